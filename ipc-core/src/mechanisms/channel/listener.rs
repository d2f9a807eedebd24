//! Listeners: whoever accepts channels at an address.

use super::address::Address;
use super::common::{Common, hold};
use super::link::Half;
use super::protocol::{Recognize, Speaks};
use super::turns::Turns;
use super::{Channel, ChannelOptions, Link, Wake};
use crate::domain::{Domain, lock};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::{Deadline, monotonic_nanos};
use crate::sys::descriptor::{Epoll, Timer};
use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// A place where channels are listened for, as its transport has it.
pub(crate) trait Listening: Half {
    /// Takes the next connection; `None`: there is none now.
    fn accept(&mut self) -> Result<Option<Link>>;
}

/// What a transport makes of an address to listen at.
pub(crate) struct Listened {
    pub listening: Box<dyn Listening>,
    /// The address with what the system chose.
    pub address: Address,
    pub wake: Wake,
}

/// Listens at an address. Several threads may use it.
pub struct Listener {
    options: ChannelOptions,
    listening: Turns<Option<Box<dyn Listening>>>,
    /// Finds out what else who connects may speak.
    recognize: Option<Recognize>,
    /// There was no descriptor left for who had come last.
    scarce: AtomicBool,
    /// What an event loop watches, once there is one.
    watch: OnceLock<Watch>,
    /// Last: with it a closed domain is left, and what goes before is still this participant's.
    common: Common,
}

/// Who accepts in a loop while there is no descriptor left is made to wait so long, since who has come stays in the line.
const SCARCE: Duration = Duration::from_millis(20);

/// Tells an event loop of those who come, but for a while after one could not be accepted: it would do so all the time.
struct Watch {
    set: Epoll,
    /// The listening's.
    source: RawFd,
    again: Timer,
    /// The set does not have the source, and the timer is set.
    paused: Mutex<bool>,
}

impl Watch {
    fn new(source: RawFd) -> Result<Watch> {
        let watch = Watch { set: Epoll::new()?, source, again: Timer::new()?, paused: Mutex::new(false) };
        watch.set.add(watch.again.as_fd(), 0)?;
        watch.set.add(watch.source(), 0)?;
        Ok(watch)
    }

    fn source(&self) -> BorrowedFd<'_> {
        // SAFETY: asked for while the listener is open, which has it open. Should another thread close it just then, epoll looks a
        // number up that is nobody's or another's, and nobody is told any more by a listener that was closed.
        unsafe { BorrowedFd::borrow_raw(self.source) }
    }

    #[cold]
    fn pause(&self) {
        let mut paused = lock(&self.paused);
        // Should the timer not work, it is told all the time rather than never.
        if !*paused && self.again.at(monotonic_nanos() + SCARCE.as_nanos() as u64).is_ok() {
            self.set.remove(self.source());
            *paused = true;
        }
    }

    fn go_on(&self) {
        let mut paused = lock(&self.paused);
        if *paused && self.set.add(self.source(), 0).is_ok() {
            self.again.stop();
            *paused = false;
        }
    }
}

impl Listener {
    pub(crate) fn new(domain: Domain, options: &ChannelOptions, listened: Listened) -> Listener {
        Listener {
            common: Common {
                noun: "listener",
                address: listened.address.to_string(),
                wait: options.wait,
                closed: AtomicBool::new(false),
                held: hold(&domain, listened.wake),
                domain,
            },
            options: options.clone(),
            listening: Turns::new(Some(listened.listening)),
            recognize: None,
            scarce: AtomicBool::new(false),
            watch: OnceLock::new(),
        }
    }

    /// Lets who connects speak other protocols than frames, too.
    pub(crate) fn recognizing(self, recognize: Recognize) -> Listener {
        Listener { recognize: Some(recognize), ..self }
    }

    /// The address, with the port that the system chose where none was named.
    pub fn address(&self) -> &str {
        &self.common.address
    }

    /// Whether what it is given is one connection, and no others come: two descriptors.
    pub(crate) fn is_one(&self) -> bool {
        self.common.address.starts_with("pipe:")
    }

    /// The next channel that somebody opens, waiting for it up to `timeout` (`None`: for ever). Where this process has no
    /// descriptor left for it, that is `LimitReached`; whoever connected stays in the line, and is accepted once there is one.
    pub fn accept(&self, timeout: Option<Duration>) -> Result<Channel> {
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        if self.scarce.swap(false, Ordering::Relaxed) {
            std::thread::sleep(deadline.remaining().map_or(SCARCE, |left| left.min(SCARCE)));
        }
        let accepted = self.listening.have(&deadline, |listening| {
            let Some(listening) = listening else { return Err(self.common.unusable()) };
            self.common
                .wait(listening, &deadline, &mut |listening: &mut Box<dyn Listening>| listening.accept())
        });
        let accepted = accepted.inspect_err(|e| {
            self.scarce.store(e.kind() == ErrorKind::LimitReached, Ordering::Relaxed);
        });
        match accepted.map_err(|e| self.common.named(e))? {
            Some(link) => Ok(self.channel(link)),
            None => Err(self.common.timed_out("nobody connected; give it more time")),
        }
    }

    /// The next channel if somebody has opened one. After `LimitReached` (see [`Listener::accept`]) its descriptor tells nothing for
    /// 20 ms, and is readable then, so that an event loop can go on meanwhile.
    pub fn try_accept(&self) -> Result<Option<Channel>> {
        self.common.enter()?;
        if let Some(watch) = self.watch.get() {
            watch.go_on();
        }
        self.accept_now().inspect_err(|e| {
            if let (ErrorKind::LimitReached, Some(watch)) = (e.kind(), self.watch.get()) {
                watch.pause();
            }
        })
    }

    fn accept_now(&self) -> Result<Option<Channel>> {
        let accepted = self.listening.with(|listening| match listening {
            Some(listening) => match listening.accept()? {
                None if listening.is_watched() && listening.arm()? => listening.accept(),
                accepted => Ok(accepted),
            },
            None => Err(self.common.unusable()),
        });
        let link = accepted.unwrap_or(Ok(None)).map_err(|e| self.common.named(e))?;
        Ok(link.map(|link| self.channel(link)))
    }

    fn channel(&self, mut link: Link) -> Channel {
        if let Some(recognize) = self.recognize {
            link.inbound.speak(Speaks::Whatever(recognize));
        }
        Channel::new(&self.common.domain, self.common.address.clone(), &self.options, link)
    }

    /// The pollable descriptor: readable until [`Listener::try_accept`] has returned `None`.
    pub fn fd(&self) -> Result<RawFd> {
        let source = self.source()?;
        if self.watch.get().is_none() {
            let watch = Watch::new(source).map_err(|e| self.common.named(e))?;
            let _ = self.watch.set(watch);
        }
        self.watch.get().map(|watch| watch.set.as_raw_fd()).ok_or_else(|| self.common.unusable())
    }

    /// The same for who pauses by itself.
    pub(crate) fn source(&self) -> Result<RawFd> {
        self.common.enter()?;
        let fd = self.listening.have(&Deadline::after(None), |listening| {
            listening.as_mut().map(|listening| listening.fd()).transpose()
        });
        fd.map_err(|e| self.common.named(e))?.ok_or_else(|| self.common.unusable())
    }

    /// Ends it; who connects from now on is refused. Channels that were accepted go on.
    pub fn close(&self) {
        if self.common.close() {
            self.listening.end(|listening| drop(listening.take()));
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.address())
    }
}
