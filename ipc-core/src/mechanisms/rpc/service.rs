//! Services: whoever answers calls.

use super::desk::Desk;
use super::json;
use super::porter::Porter;
use super::providers;
use super::request::Request;
use crate::domain::asked::asking;
use crate::domain::{Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::turns::Turns;
use crate::mechanisms::channel::{ChannelOptions, Listener, shm};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Signal;
use std::fmt;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How to provide a service.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Calls that may be at work at the same time; the others wait. Default 64.
    pub concurrency: usize,
    /// How to wait, and how large messages may be.
    pub channel: ChannelOptions,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        ServiceOptions { concurrency: 64, channel: ChannelOptions::default() }
    }
}

/// Provides a service. Several threads may take its calls. After a fork the child provides it too, from its first use on.
pub struct Service {
    domain: Domain,
    options: ServiceOptions,
    desk: Arc<Desk>,
    porter: Turns<Box<Porter>>,
    /// The porter's.
    fd: RawFd,
    /// Where it listens besides, for a forked child to know.
    addresses: Mutex<Vec<String>>,
    closed: AtomicBool,
    reopened: OnceLock<Box<Service>>,
}

impl Domain {
    /// Provides the service `name` in a version such as `1.2.0`, from now on: whoever calls it waits until its calls are
    /// taken with [`Service::next`].
    pub fn service(&self, name: &str, version: &str, options: &ServiceOptions) -> Result<Service> {
        let domain = self.current()?;
        let version = providers::check(name, version)?;
        super::check("service", name, &options.channel)?;
        if options.concurrency == 0 {
            let text =
                format!("service '{name}': concurrency is 0, so that no call would ever be taken; 1 or more");
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let file = providers::file_of(name, &version, domain.inner().new_id());
        let address = format!("shm://{}/{name}@{version}", domain.name());
        let (listened, gauge) = shm::listen_as(domain.clone(), &file, &address.parse()?, &options.channel)
            .map_err(|e| domain.not_opened("service", name, e))?;
        let listener = Listener::new(domain.clone(), &options.channel, listened);
        let desk = Desk::make(name, version, options.concurrency, Signal::new()?, gauge);
        let porter = Porter::new(listener, &desk)?;
        domain.inner().participants.board().services.raise();
        Ok(Service {
            options: options.clone(),
            desk,
            fd: porter.fd(),
            porter: Turns::new(Box::new(porter)),
            addresses: Mutex::default(),
            closed: AtomicBool::new(false),
            reopened: OnceLock::new(),
            domain,
        })
    }
}

impl Service {
    /// Its name.
    pub fn name(&self) -> &str {
        self.desk.name()
    }

    /// Its version.
    pub fn version(&self) -> String {
        self.desk.version().to_string()
    }

    /// Calls that are at work.
    pub fn at_work(&self) -> usize {
        self.desk.at_work()
    }

    /// Has it called at an address too, by clients of other domains or machines. The address, with what the system chose.
    /// Where it is a stream (`unix:`, `tcp:`, `pipe:`), who speaks JSON-RPC 2.0 to it is answered in that. At `pipe:0,1` it is
    /// called by whoever has the other ends, and is there for it: once that has ended, see [`Service::next`].
    pub fn listen(&self, address: &str) -> Result<String> {
        let service = self.usable()?;
        super::check_carrier(&address.parse()?)?;
        let listener = service.domain.listen_to(address, &service.options.channel, json::recognize)?;
        let there = listener.address().to_string();
        service.desk.add_listener(listener);
        crate::domain::lock(&service.addresses).push(address.into());
        Ok(there)
    }

    /// The next call, waiting for it up to `timeout` (`None`: for ever). `Disconnected`, of one that listens at pipes, when their
    /// other ends have ended and all calls that came through them are answered: it has nothing left to be there for.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Request> {
        let service = self.usable()?;
        let quick = service.porter.with(|porter| porter.take(&service.desk));
        if let Some(Some(request)) = quick {
            return Ok(request);
        }
        service.wait(&Deadline::after(timeout))
    }

    fn wait(&self, deadline: &Deadline) -> Result<Request> {
        let enter = &|| self.enter();
        let waited = self.porter.have(deadline, |porter| {
            asking(deadline, |deadline| porter.wait(&self.desk, self.options.channel.wait, deadline, enter))
        });
        match waited {
            Ok(Some(request)) => Ok(request),
            Err(e) => Err(e.of("service", self.name())),
            Ok(None) => {
                let text = format!("service '{}': no call came; give it more time", self.name());
                Err(Error::new(ErrorKind::Timeout, text))
            }
        }
    }

    /// The next call if one is there.
    pub fn try_next(&self) -> Result<Option<Request>> {
        let service = self.usable()?;
        let taken = service.porter.with(|porter| porter.try_take(&service.desk));
        taken.unwrap_or(Ok(None)).map_err(|e| e.of("service", self.name()))
    }

    /// The pollable descriptor: readable until [`Service::try_next`] has returned `None`. It does not tell of what another
    /// thread has read that waits for calls meanwhile.
    pub fn fd(&self) -> Result<RawFd> {
        let service = self.usable()?;
        service.desk.take_given_up();
        Ok(service.fd)
    }

    /// For who works in an event loop: calls at work that nobody waits for any more ([`Request::id`]), since the last time.
    /// They are found out by [`Service::try_next`].
    pub fn take_given_up(&self) -> Vec<u64> {
        self.usable().map(|service| service.desk.take_given_up()).unwrap_or_default()
    }

    /// The same of calls at work whose streams may go on: their callers take more, have sent more, or take nothing any more.
    /// Whoever reads for one call may find that out for another: look after each that waits for nothing, too.
    pub fn take_news(&self) -> Vec<u64> {
        self.usable().map(|service| service.desk.take_news()).unwrap_or_default()
    }

    #[inline(always)]
    fn enter(&self) -> Result<()> {
        if self.domain.usable() && !self.closed.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(self.unusable())
        }
    }

    /// Itself, or in a forked child the one that was opened there.
    #[inline(always)]
    fn usable(&self) -> Result<&Service> {
        if self.domain.usable() && !self.closed.load(Ordering::Relaxed) { Ok(self) } else { self.renewed() }
    }

    #[cold]
    fn renewed(&self) -> Result<&Service> {
        if self.closed.load(Ordering::Relaxed) || !self.domain.forked() {
            return Err(self.unusable());
        }
        if self.reopened.get().is_none() {
            let fresh = self.domain.service(self.name(), &self.version(), &self.options)?;
            let addresses = self.addresses.try_lock().map(|addresses| addresses.clone()).unwrap_or_default();
            if !addresses.is_empty() {
                let text = format!(
                    "service '{}' was carried over a fork, and the parent process listens at {}; open another one here",
                    self.name(),
                    addresses.join(", ")
                );
                return Err(Error::new(ErrorKind::Forked, text));
            }
            self.reopened.get_or_init(|| Box::new(fresh));
        }
        self.reopened.get().map_or_else(|| Err(self.unusable()), |service| service.usable())
    }

    #[cold]
    fn unusable(&self) -> Error {
        let what = format!("service '{}'", self.name());
        if self.closed.load(Ordering::Relaxed) || self.domain.is_closed() {
            return closed(&what);
        }
        Error::new(ErrorKind::Forked, format!("{what} was carried over a fork; open another one here"))
    }

    /// Ends it: calls that are not answered fail with `UNAVAILABLE`.
    pub fn close(&self) {
        if let Some(reopened) = self.reopened.get() {
            reopened.close();
        }
        if !self.closed.swap(true, Ordering::AcqRel) && !self.domain.forked() {
            self.desk.bell.raise();
            self.porter.end(|porter| porter.close());
            self.desk.close();
            self.domain.inner().participants.board().services.raise();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({:?}, {}, {} calls at work)", self.name(), self.version(), self.at_work())
    }
}
