//! Events: one word, which counts how often the event was set and says whether it is.

use super::handle::Handle;
use super::stake::{ACQUIRED, Nature};
use super::{LOCK_HANDLES, LockHandle, LockOptions, steps};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

pub(super) static NATURE: Nature = Nature {
    number: 4,
    name: "event",
    parameter: "reset",
    handles: LOCK_HANDLES,
    give_back: |_, _, _| {},
    names: Nature::nothing_named,
    inherit: Nature::nothing_left,
    matters: Nature::never_matters,
};

/// What those who sleep for it want.
const EVENT: u64 = 1;

/// How an event is cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// By `clear`; until then everybody passes.
    #[default]
    Manual,
    /// By the first one that waited for it, and only that one passes.
    Auto,
}

impl Reset {
    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            Reset::Manual => "manual",
            Reset::Auto => "auto",
        }
    }

    pub(super) fn from_number(number: u64) -> Reset {
        if number == 0 { Reset::Manual } else { Reset::Auto }
    }
}

/// A parameter as people read it.
pub(super) fn describe(nature: &Nature, parameter: u64) -> String {
    if nature.number == NATURE.number {
        Reset::from_number(parameter).name().into()
    } else {
        parameter.to_string()
    }
}

/// An event between processes: set or clear. It belongs to nobody, and goes with its last handle. One thread uses a handle
/// at a time (`Send`); in a forked child it opens anew at its first use.
pub struct Event {
    handle: Handle,
    /// What its word was when the descriptor's watcher last found it clear.
    since: Option<u64>,
}

impl Domain {
    /// Opens the event `name`, making it, clear, if there is none.
    pub fn event(&self, name: &str, reset: Reset, options: &LockOptions) -> Result<Event> {
        Ok(Event { handle: Handle::open(self, name, &NATURE, reset as u64, options)?, since: None })
    }
}

impl Event {
    /// Its name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// How it is cleared.
    pub fn reset(&self) -> Reset {
        Reset::from_number(self.handle.parameter)
    }

    /// Sets it. Everybody who waits passes, however soon it is cleared, or (auto) one of them, or the next to come.
    pub fn set(&mut self) -> Result<()> {
        self.handle.enter(false)?;
        steps::set(&self.handle.head().word);
        match self.reset() {
            Reset::Manual => self.handle.call_all(None),
            Reset::Auto => self.handle.call_one(EVENT),
        }
        Ok(())
    }

    /// Clears it.
    pub fn clear(&mut self) -> Result<()> {
        self.handle.enter(false)?;
        steps::clear(&self.handle.head().word);
        Ok(())
    }

    /// Whether it is set.
    pub fn is_set(&mut self) -> Result<bool> {
        self.handle.enter(false)?;
        Ok(steps::is_set(self.handle.head().word.load(Ordering::Acquire)))
    }

    /// Waits up to `timeout` (`None`: for ever) until it is set; if it is cleared by that (auto), this handle did it.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        let reset = self.reset();
        let passed = self.handle.within(false, |handle| {
            let since = handle.head().word.load(Ordering::Relaxed);
            handle.wait(timeout, EVENT, &mut |handle| Ok(attempt(handle, reset, since)))
        })?;
        self.since = None;
        passed.ok_or_else(|| self.timed_out(timeout))
    }

    /// Whether it is set; if so (auto), clears it. Where the descriptor is watched, it is enough that it was set since the
    /// last call that found it was not.
    pub fn try_wait(&mut self) -> Result<bool> {
        let (reset, before) = (self.reset(), self.since);
        let (passed, since) = self.handle.within(false, |handle| {
            let since = before.unwrap_or_else(|| handle.head().word.load(Ordering::Relaxed));
            let passed = handle.look(EVENT, &mut |handle| Ok(attempt(handle, reset, since)))?;
            Ok((passed.is_some(), since))
        })?;
        self.since = (!passed && self.handle.seat.waiter.is_evented()).then_some(since);
        Ok(passed)
    }

    /// The error of `wait` when its time is over, for who waits by the descriptor.
    pub fn timed_out(&self, timeout: Option<Duration>) -> Error {
        self.handle.timed_out(timeout, "it was not set")
    }

    /// The pollable descriptor: readable when a `try_wait` that found it clear is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.handle.fd(false)
    }

    /// Ends it; the same as dropping it.
    pub fn close(self) {}
}

fn attempt(handle: &Handle, reset: Reset, since: u64) -> Option<()> {
    let word = &handle.head().word;
    let passes = match reset {
        Reset::Manual => steps::was_set(word, since),
        Reset::Auto => steps::consume(word),
    };
    if passes {
        handle.count(ACQUIRED);
    }
    passes.then_some(())
}

impl LockHandle for Event {
    fn rest(&mut self) {
        self.since = None;
        self.handle.rest();
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = steps::is_set(self.handle.head().word.load(Ordering::Relaxed));
        write!(f, "Event({:?}, {}, {})", self.name(), self.reset().name(), if set { "set" } else { "clear" })
    }
}
