//! Barriers: one word, a bit for each row of the roster.

use super::handle::Handle;
use super::stake::{ACQUIRED, HELD_SINCE, Nature, bury};
use super::{LOCK, LockHandle, LockOptions, check_range, head_of, steps};
use crate::domain::Domain;
use crate::domain::object::{Object, existing};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::coarse_millis;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

/// The most parties, and handles, there can be.
pub(super) const MAX_PARTIES: u32 = 64;

pub(super) static NATURE: Nature = Nature {
    number: 5,
    name: "barrier",
    parameter: "parties",
    handles: MAX_PARTIES,
    give_back: |object, number, _| clear(object, number),
    names: Nature::nothing_named,
    inherit: clear,
    matters: Nature::never_matters,
};

/// What those who sleep at it want.
const RELEASE: u64 = 1;

fn bit(number: u32) -> u64 {
    1u64.checked_shl(number).unwrap_or(0)
}

/// Takes the arrival of whoever has, or had, a row back.
fn clear(object: &Object, number: u32) {
    steps::withdraw(&head_of(object).word, bit(number));
}

/// A barrier between processes: whoever arrives waits until so many have. Each handle is a party; one thread uses it at a
/// time (`Send`).
///
/// One that dies, is dropped, or whose domain is closed has not arrived: the barrier waits for another. In a forked child
/// a handle opens anew at its first use, unless it had arrived at the fork.
pub struct Barrier {
    handle: Handle,
    /// It has arrived and was not released yet, as far as it knows.
    arrived: bool,
}

impl Domain {
    /// Opens the barrier `name`, making it for so many parties, 2 to 64, if there is none.
    pub fn barrier(&self, name: &str, parties: u32, options: &LockOptions) -> Result<Barrier> {
        check_range(&NATURE, name, parties, 2, MAX_PARTIES)?;
        let handle = Handle::open(self, name, &NATURE, u64::from(parties), options)?;
        Ok(Barrier { handle, arrived: false })
    }
}

impl Barrier {
    /// Its name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// How many must arrive.
    pub fn parties(&self) -> u32 {
        self.handle.parameter as u32
    }

    /// How many have arrived at the barrier `name` and wait, for who has no handle of it that is not in use: another might
    /// take a party's place.
    pub fn waiting_at(domain: &Domain, name: &str) -> Result<u32> {
        let domain = domain.current()?;
        let object = existing(&domain, &LOCK, name).map_err(|e| domain.not_opened("lock", name, e))?;
        if head_of(&object).nature.load(Ordering::Relaxed) != NATURE.number {
            let text = format!("lock '{name}' is no barrier; ask for one that is");
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        Ok(waiting(&object))
    }

    /// How many have arrived and wait, this handle among them if it does.
    pub fn waiting(&mut self) -> Result<u32> {
        self.handle.enter(self.arrived)?;
        Ok(waiting(self.handle.object()))
    }

    /// Arrives, and waits up to `timeout` (`None`: for ever) until all have. Whether it was the last, of which there is one each
    /// time. If the time is over first, it has not arrived.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let before = std::mem::take(&mut self.arrived);
        let done = self.handle.within(before, |handle| {
            if !before && arrive(handle)? {
                return Ok(Some(true));
            }
            let released = handle.wait(timeout, RELEASE, &mut |handle| Ok(is_released(handle)));
            match released {
                Ok(Some(())) => Ok(Some(false)),
                // Its time is over, or it cannot wait; unless it was released meanwhile.
                _ if !steps::withdraw(&handle.head().word, bit(handle.seat.number)) => Ok(Some(false)),
                other => other.map(|_| None),
            }
        });
        self.arrived = before && done.as_ref().is_err_and(|e| e.kind() == ErrorKind::Forked);
        done?.ok_or_else(|| self.timed_out(timeout))
    }

    /// Arrives, unless it has, and does not wait: whether it was the last, once all have arrived; `None` until then. Its arrival
    /// stands until it is withdrawn.
    pub fn try_wait(&mut self) -> Result<Option<bool>> {
        let before = self.arrived;
        let done = self.handle.within(before, |handle| {
            if !before && arrive(handle)? {
                handle.satisfied();
                return Ok(Some(true));
            }
            Ok(handle.look(RELEASE, &mut |handle| Ok(is_released(handle)))?.map(|()| false))
        })?;
        self.arrived = done.is_none();
        Ok(done)
    }

    /// Takes back that it arrived; `false`: it has not, or all have by now.
    pub fn withdraw(&mut self) -> Result<bool> {
        let arrived = self.arrived;
        let back = self.handle.within(arrived, |handle| {
            Ok(arrived && steps::withdraw(&handle.head().word, bit(handle.seat.number)))
        })?;
        self.arrived = false;
        Ok(back)
    }

    /// The error of `wait` when its time is over, for who waits by the descriptor.
    pub fn timed_out(&self, timeout: Option<Duration>) -> Error {
        let mut others = self.handle.holders();
        others.retain(|held| held.id != self.handle.id());
        // With this one they were not enough, whoever has come since.
        let missing = (self.parties() as usize).saturating_sub(others.len() + 1).max(1);
        let there = match others.is_empty() {
            true => "nobody else waits there".into(),
            false => format!("there waits {}", self.handle.told(&others)),
        };
        let more = format!(": of {} parties {missing} are missing; {there}", self.parties());
        self.handle.too_late(timeout, "not all parties arrived", &more)
    }

    /// The pollable descriptor: readable when a `try_wait` that gave `None` is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.handle.fd(self.arrived)
    }

    /// Ends it; the same as dropping it. If it has arrived, it has not any more.
    pub fn close(self) {}
}

fn waiting(object: &Object) -> u32 {
    head_of(object).word.load(Ordering::Relaxed).count_ones()
}

/// Whether it is the last to arrive, all of whom live: then it has released the others.
fn arrive(handle: &mut Handle) -> Result<bool> {
    let own = bit(handle.seat.number);
    if (handle.head().word.load(Ordering::Relaxed) | own).count_ones() >= handle.parameter as u32 {
        // One that died after it arrived is no party, though nobody may have noticed yet.
        bury(handle.object(), &NATURE, handle.id(), |_| true);
    }
    handle.row().words[HELD_SINCE].store(coarse_millis(), Ordering::Relaxed);
    let leads = steps::arrive(&handle.head().word, own, handle.parameter as u32);
    if leads {
        handle.count(ACQUIRED);
        handle.call_all(None);
    }
    Ok(leads)
}

fn is_released(handle: &mut Handle) -> Option<()> {
    let released = steps::is_released(&handle.head().word, bit(handle.seat.number));
    if released {
        handle.count(ACQUIRED);
    }
    released.then_some(())
}

impl LockHandle for Barrier {
    fn rest(&mut self) {
        self.handle.rest();
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier({:?}, {} parties)", self.name(), self.parties())
    }
}
