//! Locks, as the tasks of a thread share them.
//!
//! The owner of a lock is a handle of the core's, so whoever has it keeps one ([`Pool`]). Those who wait for the same stand in
//! a line of the facade's, and only the first of them takes a handle out, whose descriptor tells when to try again ([`Line`]).

mod barrier;
mod event;
mod mutex;
mod rwlock;
mod semaphore;

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use axonic::{Acquired, LockHandle, LockOptions, SharedLock, WaitSet};
use napi::bindgen_prelude::*;
use napi_derive::napi;

pub use barrier::Barrier;
pub use event::Event;
pub use mutex::Mutex;
pub use rwlock::RwLock;
pub use semaphore::Semaphore;

use crate::call::{Answer, Call, bind};
use crate::error::{Failure, OrThrow};
use crate::options;

/// How to open a lock; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct LockSettings {
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

impl LockSettings {
    pub(crate) fn options(self) -> axonic::Result<LockOptions> {
        let mut options = LockOptions::default();
        if let Some(wait) = self.wait {
            options.wait = options::wait(&wait)?;
        }
        Ok(options)
    }
}

/// Who has a lock, or something of it.
#[napi(object, object_from_js = false)]
pub struct LockHolder {
    /// Its process; 0 where nothing is known of it any more.
    pub pid: u32,
    /// Its label.
    pub label: String,
    /// Since when, in milliseconds since 1970; none where that is not known.
    pub since: Option<f64>,
    /// Whether it is alive.
    pub alive: bool,
    /// Whether it is stopped by a signal or a debugger.
    pub stopped: bool,
    /// `owner`, `reader`, `permit` or `party`.
    pub role: String,
}

impl From<axonic::LockHolder> for LockHolder {
    fn from(holder: axonic::LockHolder) -> LockHolder {
        LockHolder {
            pid: holder.pid,
            label: holder.label,
            since: (holder.since_unix_ms != 0).then_some(holder.since_unix_ms as f64),
            alive: holder.alive,
            stopped: holder.stopped,
            role: holder.role.into(),
        }
    }
}

/// The handles of one lock.
pub struct Pool<T> {
    shared: SharedLock<T>,
}

impl<T: LockHandle + 'static> Pool<T> {
    /// Opens the first handle of `what`.
    fn new(
        what: String,
        open: impl Fn() -> axonic::Result<T> + Send + Sync + 'static,
    ) -> axonic::Result<Rc<Pool<T>>> {
        Ok(Rc::new(Pool { shared: SharedLock::new(what, open)? }))
    }

    /// Does something with a handle that has nothing.
    fn with_idle<R>(&self, body: impl FnOnce(&mut T) -> axonic::Result<R>) -> axonic::Result<R> {
        let mut handle = self.shared.idle()?;
        let done = body(&mut handle)?;
        self.shared.put_idle(handle);
        Ok(done)
    }

    /// Gives back what one of the handles has; if none has anything, the core says what is wrong.
    fn release(&self, unlock: fn(&mut T) -> axonic::Result<()>) -> axonic::Result<Answer> {
        let mut handle = self.shared.holding().map_or_else(|| self.shared.idle(), Ok)?;
        unlock(&mut handle)?;
        self.shared.put_idle(handle);
        Ok(Answer::Nothing)
    }
}

/// The only handle in a set, which has no other tokens.
const FIRST: u64 = 0;

/// How those who want the same of a lock get it.
struct Line<T: 'static> {
    pool: Rc<Pool<T>>,
    way: &'static Way<T>,
    /// What the event loop watches: the handle that waits changes.
    set: RefCell<Option<WaitSet>>,
    waiting: RefCell<Option<T>>,
}

/// The core's calls for what somebody wants of a lock.
struct Way<T> {
    /// For who does not wait.
    once: fn(&mut T) -> axonic::Result<Option<Acquired>>,
    /// For who waits by the descriptor.
    waiting: fn(&mut T) -> axonic::Result<Option<Acquired>>,
    fd: fn(&mut T) -> axonic::Result<RawFd>,
    /// What is said to who is out of time.
    timed_out: fn(&T, Option<Duration>) -> axonic::Error,
    /// Puts back a handle that got something.
    put: fn(&SharedLock<T>, T) -> axonic::Result<()>,
}

impl<T: LockHandle + 'static> Line<T> {
    fn put_back(&self, handle: T, got: Acquired) -> axonic::Result<Option<Acquired>> {
        (self.way.put)(&self.pool.shared, handle)?;
        Ok(Some(got))
    }

    /// The event loop looks at this handle no more.
    fn unwatch(&self) {
        self.set.borrow_mut().iter_mut().for_each(|set| {
            set.remove(FIRST);
        });
    }

    /// The event loop looks at this handle from now on, if at any. Whether it does.
    fn watch(&self, handle: &mut T) -> axonic::Result<bool> {
        let mut set = self.set.borrow_mut();
        let Some(set) = &mut *set else { return Ok(false) };
        set.add_fd((self.way.fd)(handle)?, FIRST)?;
        Ok(true)
    }

    /// A handle that is watched tries again.
    fn go_on(&self, mut handle: T) -> axonic::Result<Option<Acquired>> {
        match (self.way.waiting)(&mut handle) {
            Ok(Some(got)) => {
                self.unwatch();
                self.put_back(handle, got)
            }
            Ok(None) => {
                *self.waiting.borrow_mut() = Some(handle);
                Ok(None)
            }
            Err(e) => {
                self.unwatch();
                Err(e)
            }
        }
    }
}

/// A line, whatever the lock.
trait Tried {
    /// For the first in line. If it gets nothing and there is a descriptor, that tells when to try again.
    fn attempt(&self) -> axonic::Result<Option<Acquired>>;
    /// For somebody who does not wait.
    fn attempt_once(&self) -> axonic::Result<Option<Acquired>>;
    /// The descriptor, which tells nothing before the next attempt.
    fn fd(&self) -> axonic::Result<RawFd>;
    /// Nobody waits any more.
    fn give_up(&self);
    /// What is said to who is out of time.
    fn timed_out(&self, limit: Duration) -> axonic::Error;
}

impl<T: LockHandle + 'static> Tried for Line<T> {
    fn attempt(&self) -> axonic::Result<Option<Acquired>> {
        let waiting = self.waiting.take();
        if let Some(handle) = waiting {
            return self.go_on(handle);
        }
        let mut handle = self.pool.shared.idle()?;
        if let Some(got) = (self.way.once)(&mut handle)? {
            return self.put_back(handle, got);
        }
        // A descriptor tells only what happens after an attempt.
        if self.watch(&mut handle)? {
            return self.go_on(handle);
        }
        self.pool.shared.put_idle(handle);
        Ok(None)
    }

    fn attempt_once(&self) -> axonic::Result<Option<Acquired>> {
        let mut handle = self.pool.shared.idle()?;
        if let Some(got) = (self.way.once)(&mut handle)? {
            return self.put_back(handle, got);
        }
        self.pool.shared.put_idle(handle);
        Ok(None)
    }

    fn fd(&self) -> axonic::Result<RawFd> {
        let mut set = self.set.borrow_mut();
        match &*set {
            Some(set) => Ok(set.fd()),
            None => Ok(set.insert(WaitSet::new()?).fd()),
        }
    }

    fn give_up(&self) {
        if let Some(handle) = self.waiting.take() {
            self.unwatch();
            self.pool.shared.put_idle(handle);
        }
    }

    fn timed_out(&self, limit: Duration) -> axonic::Error {
        self.pool.with_idle(|handle| Ok((self.way.timed_out)(handle, Some(limit)))).unwrap_or_else(|e| e)
    }
}

/// What an attempt answers: 0 for nothing, 1, or 2 where the owner before died.
fn answer(got: Option<Acquired>) -> Answer {
    Answer::Int(got.map_or(0, |got| if got.owner_died { 2 } else { 1 }))
}

struct AnyLine(Box<dyn Tried>);

/// The native half of the facade's line.
#[napi]
pub struct LockLine {
    line: Rc<AnyLine>,
}

impl LockLine {
    fn new<T: LockHandle>(pool: &Rc<Pool<T>>, way: &'static Way<T>) -> LockLine {
        let line = Line { pool: pool.clone(), way, set: RefCell::default(), waiting: RefCell::default() };
        LockLine { line: Rc::new(AnyLine(Box::new(line))) }
    }
}

#[napi]
impl LockLine {
    /// `()`: tries for somebody who waits; 0: there is nothing yet, 2: there is, and the owner before died.
    #[napi(ts_return_type = "() => number")]
    pub fn bind_attempt<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"attempt", &self.line, |line: &AnyLine, _: &Call| line.0.attempt().map(answer))
    }

    /// `()`: the same for somebody who does not wait.
    #[napi(ts_return_type = "() => number")]
    pub fn bind_attempt_once<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"attemptOnce", &self.line, |line: &AnyLine, _: &Call| line.0.attempt_once().map(answer))
    }

    /// The descriptor that is readable when whoever waits should try again; it tells nothing before the next attempt.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.line.0.fd().or_throw(env)
    }

    /// Nobody waits any more.
    #[napi]
    pub fn give_up(&self) {
        self.line.0.give_up();
    }

    /// What is said to who is out of time.
    #[napi]
    pub fn timed_out(&self, milliseconds: f64) -> Failure {
        options::duration("timeout", milliseconds)
            .map_or_else(|e| e, |limit| self.line.0.timed_out(limit))
            .into()
    }
}
