//! Where the calls of a service come together, whichever thread reads them.

use super::body::Parts;
use super::frame::{Frame, Header, Kind};
use super::places::Places;
use super::request::Request;
use super::serving::{Arrived, Serving};
use crate::domain::lock;
use crate::mechanisms::channel::Listener;
use crate::mechanisms::channel::shm::Gauge;
use crate::status::{Code, Status};
use crate::sys::descriptor::Signal;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The most calls that are read ahead of their turn.
const MAX_BACKLOG: usize = 1024;

/// Frames that are read from one client before the others have their turn.
pub const AT_ONCE: usize = 256;

pub struct Desk {
    this: Weak<Desk>,
    name: String,
    version: Version,
    /// Who answers, for statuses.
    pub origin: String,
    /// Calls that were read before there was anybody to take them.
    backlog: Mutex<VecDeque<(Arc<Serving>, Arrived)>>,
    waiting: AtomicUsize,
    /// Tells whoever waits for calls: of the backlog, of room for one more at work, of frames to send, of the end.
    pub bell: Signal,
    /// Of calls that are at work.
    places: Places,
    /// The same for onlookers.
    gauge: Gauge,
    /// Where it listens since a moment ago, for the porter to know.
    newcomers: Mutex<Vec<Listener>>,
    /// Calls at work that nobody waits for any more, since they were last asked for, while somebody asks.
    given_up: Mutex<Option<Vec<u64>>>,
    /// The same of those that something came for.
    news: Mutex<Option<Vec<u64>>>,
}

/// What a client says first where the address does not say it.
#[derive(Serialize, Deserialize)]
pub struct Hello {
    pub service: String,
    pub range: String,
}

/// What it is answered.
#[derive(Serialize, Deserialize)]
pub struct Welcome {
    pub service: String,
    pub version: String,
}

impl Desk {
    pub fn make(name: &str, version: Version, limit: usize, bell: Signal, gauge: Gauge) -> Arc<Desk> {
        gauge.set_concurrency(limit);
        let who = crate::sys::process::program_name();
        Arc::new_cyclic(|this| Desk {
            this: this.clone(),
            origin: format!("{name}@{version} ('{who}', pid {})", std::process::id()),
            name: name.into(),
            version,
            backlog: Mutex::default(),
            waiting: AtomicUsize::new(0),
            bell,
            places: Places::new(limit),
            gauge,
            newcomers: Mutex::default(),
            given_up: Mutex::default(),
            news: Mutex::default(),
        })
    }

    /// Itself, for those who belong to it.
    pub fn shared(&self) -> Option<Arc<Desk>> {
        self.this.upgrade()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// One more place to listen at.
    pub fn add_listener(&self, listener: Listener) {
        lock(&self.newcomers).push(listener);
        self.bell.raise();
    }

    pub fn take_listeners(&self) -> Vec<Listener> {
        std::mem::take(&mut *lock(&self.newcomers))
    }

    /// Calls that are at work.
    pub fn at_work(&self) -> usize {
        self.places.in_use() as usize
    }

    /// Whether one more call may be at work; asked, as calls are handed out, by one thread at a time.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        self.places.is_free()
    }

    /// Hands a call out.
    #[inline(always)]
    pub fn hand_out(&self, serving: Arc<Serving>, arrived: Arrived) -> Request {
        self.gauge.set_handed_out(self.places.take());
        Request::new(serving, arrived)
    }

    /// A call is answered.
    #[inline(always)]
    pub fn leave(&self) {
        self.gauge.count_answered();
        if self.places.give_back() {
            self.bell.raise();
        }
    }

    /// A call came while nobody could take it.
    pub fn stash(&self, serving: &Arc<Serving>, arrived: Arrived) {
        let mut backlog = lock(&self.backlog);
        if backlog.len() < MAX_BACKLOG {
            backlog.push_back((serving.clone(), arrived));
            self.waiting.store(backlog.len(), Ordering::Release);
            drop(backlog);
            self.bell.raise();
            return;
        }
        drop(backlog);
        let text = format!(
            "{MAX_BACKLOG} calls wait for service '{}' already, the limit; call again later",
            self.name
        );
        let status =
            Status::new(Code::ResourceExhausted, text).with_retryable(true).with_origin(&self.origin);
        let header = Header::new(Kind::Failure, arrived.active.id);
        let _ = serving.answer(&arrived.active, header, &Parts { meta: Vec::new(), data: &status.encode() });
    }

    /// Whether more calls can be read ahead of their turn.
    pub fn may_stash(&self) -> bool {
        self.waiting.load(Ordering::Acquire) < MAX_BACKLOG
    }

    /// The next of those that were read ahead.
    #[inline(always)]
    pub fn unstash(&self) -> Option<Request> {
        if self.waiting.load(Ordering::Acquire) == 0 { None } else { self.take_stashed() }
    }

    #[cold]
    fn take_stashed(&self) -> Option<Request> {
        let mut backlog = lock(&self.backlog);
        while let Some((serving, arrived)) = backlog.pop_front() {
            self.waiting.store(backlog.len(), Ordering::Release);
            if !arrived.active.is_over() {
                drop(backlog);
                return Some(self.hand_out(serving, arrived));
            }
        }
        None
    }

    /// The service was closed: nobody takes any more what waits here, which names the desk in turn.
    pub fn close(&self) {
        drop(self.take_listeners());
        let waiting = std::mem::take(&mut *lock(&self.backlog));
        drop(waiting);
        self.waiting.store(0, Ordering::Release);
    }

    /// Whether nothing that comes from a client is read for now: nobody has room for a call of it, or it takes nothing itself.
    pub fn is_deaf(&self, serving: &Serving) -> bool {
        serving.is_behind() || serving.has_parked() && !self.has_room() && !self.may_stash()
    }

    /// Reads what came from a client without waiting, and keeps the calls. A full backlog hides nothing else: what comes is
    /// read up to the first call that there is no room for.
    pub fn pump(&self, serving: &Arc<Serving>) {
        let mut left = AT_ONCE;
        let read = serving.wire.channel.try_with(&mut |half| {
            if serving.has_parked() && self.may_stash() {
                serving.unpark().into_iter().for_each(|arrived| self.stash(serving, arrived));
            }
            while left > 0 && !serving.has_parked() && !serving.is_behind() && half.next()? {
                left -= 1;
                let arrived = serving.dispatch(&**half);
                half.release()?;
                match arrived? {
                    Some(arrived) if self.may_stash() => self.stash(serving, arrived),
                    Some(arrived) => serving.park(arrived),
                    None => {}
                }
            }
            half.idle()?;
            Ok(None::<()>)
        });
        if let Err(e) = &read {
            serving.lose(e);
        } else if left == 0 {
            // Whoever waits for calls goes on.
            self.bell.raise();
        } else if self.is_deaf(serving) && serving.is_left() {
            // What it left unread tells nobody that it is gone.
            serving.end();
        }
    }

    /// Somebody waits for a call no more.
    pub fn note_given_up(&self, id: u64) {
        if let Some(given_up) = lock(&self.given_up).as_mut() {
            given_up.push(id);
        }
    }

    /// Those since the last time; the first time, from now on.
    pub fn take_given_up(&self) -> Vec<u64> {
        lock(&self.given_up).replace(Vec::new()).unwrap_or_default()
    }

    /// Something came for a call at work.
    pub fn note_news(&self, id: u64) {
        if let Some(news) = lock(&self.news).as_mut()
            && !news.contains(&id)
        {
            news.push(id);
        }
    }

    /// Those since the last time; the first time, from now on.
    pub fn take_news(&self) -> Vec<u64> {
        lock(&self.news).replace(Vec::new()).unwrap_or_default()
    }

    /// Answers a client that says what it wants.
    pub fn welcome(&self, serving: &Serving, hello: &Frame<'_>) {
        let answer = serde_json::from_slice::<Hello>(hello.data)
            .map_err(|e| Status::new(Code::InvalidArgument, format!("its greeting is not readable: {e}")))
            .and_then(|hello| self.receive(&hello));
        let (kind, data) = match answer {
            Ok(welcome) => (Kind::Welcome, serde_json::to_vec(&welcome).unwrap_or_default()),
            Err(status) => (Kind::Failure, status.with_origin(&self.origin).encode()),
        };
        if serving.push(Header::new(kind, 0), &Parts { meta: Vec::new(), data: &data }).is_err() {
            serving.end();
        }
    }

    fn receive(&self, hello: &Hello) -> Result<Welcome, Status> {
        let here = format!("here is {}@{}", self.name, self.version);
        if hello.service != self.name {
            let text = format!("service '{}' is not provided, {here}", hello.service);
            return Err(Status::new(Code::NotFound, text));
        }
        match hello.range.parse::<VersionReq>() {
            Ok(range) if range.matches(&self.version) => {
                Ok(Welcome { service: self.name.clone(), version: self.version.to_string() })
            }
            _ => {
                let text = format!("no version in {} is provided, {here}", hello.range);
                Err(Status::new(Code::FailedPrecondition, text))
            }
        }
    }
}
