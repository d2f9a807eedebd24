//! Semaphores: a word for each permit, zero or the id of who has it.

use super::handle::Handle;
use super::stake::{ACQUIRED, HELD_SINCE, Nature, OWNERS_DIED};
use super::{LOCK as DESIGN, LOCK_HANDLES, LockHandle, LockOptions, check_range, head_of, steps};
use crate::domain::Domain;
use crate::domain::layout::ObjectId;
use crate::domain::object::Object;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::coarse_millis;
use std::collections::HashMap;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

/// The most permits there can be.
pub(super) const MAX_PERMITS: u32 = 1024;

pub(super) static NATURE: Nature = Nature {
    number: 3,
    name: "semaphore",
    parameter: "permits",
    handles: LOCK_HANDLES,
    give_back: |object, _, id| {
        permits(object).for_each(|permit| {
            steps::give(permit, id.0);
        });
    },
    names: Nature::nothing_named,
    inherit: Nature::nothing_left,
    matters: Nature::never_matters,
};

/// What those who sleep for it want.
const PERMIT: u64 = 1;

/// A semaphore between processes: a number of permits, of which each is had by one handle at a time. A handle may have
/// several; one thread uses it at a time (`Send`).
///
/// The permits of one that dies, is dropped, or whose domain is closed come back by themselves. In a forked child a handle
/// opens anew at its first use, unless it had permits at the fork.
pub struct Semaphore {
    handle: Handle,
    /// The places of the permits it has.
    held: Vec<u32>,
    /// Where it found one last.
    last: u32,
}

impl Domain {
    /// Opens the semaphore `name`, making it with so many permits, 1 to 1024, if there is none.
    pub fn semaphore(&self, name: &str, permits: u32, options: &LockOptions) -> Result<Semaphore> {
        check_range(&NATURE, name, permits, 1, MAX_PERMITS)?;
        let handle = Handle::open(self, name, &NATURE, u64::from(permits), options)?;
        let mut semaphore = Semaphore { handle, held: Vec::new(), last: 0 };
        semaphore.grow()?;
        Ok(semaphore)
    }
}

/// Words that a lock of this type has behind its roster.
pub(super) fn words_of(nature: &Nature, parameter: u64) -> usize {
    if nature.number == NATURE.number { parameter as usize } else { 0 }
}

/// Bytes that the file of a lock of this type needs.
pub(super) fn end(nature: &Nature, parameter: u64) -> usize {
    DESIGN.body() + words_of(nature, parameter) * 8
}

/// Where permit `place` is in the file.
pub(super) fn offset(place: u32) -> usize {
    DESIGN.body() + place as usize * 8
}

fn permit(object: &Object, place: u32) -> &AtomicU64 {
    object.mapping().at(offset(place))
}

/// The permits that are allocated, and there in the file.
fn permits(object: &Object) -> impl Iterator<Item = &AtomicU64> {
    let head = head_of(object);
    let count = head.parameter.load(Ordering::Relaxed).min(head.grown.load(Ordering::Acquire));
    let fit = object.mapping().len().saturating_sub(DESIGN.body()) / 8;
    (0..count.min(fit as u64) as u32).map(|place| permit(object, place))
}

impl Semaphore {
    /// Its name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// How many permits there are.
    pub fn permits(&self) -> u32 {
        self.handle.parameter as u32
    }

    /// How many permits this handle has.
    pub fn held(&self) -> u32 {
        self.held.len() as u32
    }

    /// How many permits nobody alive has.
    pub fn available(&mut self) -> Result<u32> {
        self.enter()?;
        let is_free = |permit: &&AtomicU64| {
            let holder = permit.load(Ordering::Relaxed);
            holder == 0 || !self.handle.is_alive(holder)
        };
        Ok(permits(self.handle.object()).filter(is_free).count() as u32)
    }

    /// Takes a permit, waiting up to `timeout` (`None`: for ever).
    pub fn acquire(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.enter()?;
        if self.held() == self.permits() {
            let text = format!(
                "this handle has all {} permits and would wait for itself; release one first, or acquire by another handle",
                self.permits()
            );
            return Err(self.handle.would_wait_for_itself(&text));
        }
        let from = self.last;
        let found = self
            .handle
            .within(true, |handle| handle.wait(timeout, PERMIT, &mut |handle| Ok(attempt(handle, from))))?;
        match found {
            Some(place) => self.take(place),
            None => return Err(self.timed_out(timeout)),
        }
        Ok(())
    }

    /// Takes a permit if there is one that nobody alive has; whether it did.
    pub fn try_acquire(&mut self) -> Result<bool> {
        self.enter()?;
        let from = self.last;
        let found = self
            .handle
            .within(true, |handle| handle.look(PERMIT, &mut |handle| Ok(attempt(handle, from))))?;
        found.into_iter().for_each(|place| self.take(place));
        Ok(found.is_some())
    }

    /// Gives a permit back.
    pub fn release(&mut self) -> Result<()> {
        self.enter()?;
        let Some(place) = self.held.pop() else {
            return Err(self
                .handle
                .misused("this handle has no permit; release only what was acquired with the same handle"));
        };
        if !steps::give(permit(self.handle.object(), place), self.handle.id().0) {
            self.enter()?;
        }
        self.handle.call_one(PERMIT);
        Ok(())
    }

    /// Its last permit becomes that of `other`, a handle of this process; whether it did.
    ///
    /// Killed before or after the one step that this takes, the process leaves a permit of the dead.
    pub(super) fn hand_over(&mut self, other: &mut Semaphore) -> bool {
        let Some(place) = self.held.last().copied() else { return false };
        let me = self.handle.id().0;
        // Within the other's gate: a close of the domain gives it back too, once it is the other's.
        let handed = other.handle.within(true, |other| {
            // Where the other's file is one of the same name, there is no such permit in it.
            let handed = steps::take(permit(other.object(), place), me, other.id().0);
            if handed {
                other.row().words[HELD_SINCE].store(coarse_millis(), Ordering::Relaxed);
            }
            Ok(handed)
        });
        let handed = matches!(handed, Ok(true));
        if handed {
            self.held.pop();
            other.take(place);
        }
        handed
    }

    /// The error of `acquire` when its time is over, for who waits by the descriptor.
    pub fn timed_out(&self, timeout: Option<Duration>) -> Error {
        self.handle.timed_out(timeout, "no permit was released")
    }

    /// The pollable descriptor: readable when a `try_acquire` that found no permit is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        self.handle.fd(true)
    }

    /// Ends it; the same as dropping it. Its permits go back.
    pub fn close(self) {}

    fn take(&mut self, place: u32) {
        self.held.push(place);
        self.last = place;
    }

    /// In a forked child everything is new, the permits' words included.
    fn enter(&mut self) -> Result<()> {
        if self.handle.domain().usable() {
            return Ok(());
        }
        self.handle.enter(!self.held.is_empty())?;
        self.grow()
    }

    /// Sees to it that there is memory for all permits.
    fn grow(&mut self) -> Result<()> {
        let (object, head) = (self.handle.object(), self.handle.head());
        object.grow(&head.grown, DESIGN.body(), 8, self.handle.parameter)
    }
}

/// Takes a permit from nobody, or from one that died, looking first at place `from`.
fn attempt(handle: &mut Handle, from: u32) -> Option<u32> {
    let (object, me, count) = (handle.object(), handle.id().0, handle.parameter as u32);
    let places = || (from..count).chain(0..from);
    let free = |place: &u32| {
        let permit = permit(object, *place);
        permit.load(Ordering::Relaxed) == 0 && steps::take(permit, 0, me)
    };
    let mut living = HashMap::new();
    let mut dead = |place: &u32| {
        let permit = permit(object, *place);
        let holder = permit.load(Ordering::Relaxed);
        let owner = ObjectId(holder).owner();
        !*living.entry(owner).or_insert_with(|| handle.is_alive(holder)) && steps::take(permit, holder, me)
    };
    let mut found = places().find(free);
    if found.is_none() && handle.suspicious {
        found = places().find(&mut dead);
        if found.is_some() {
            handle.count(OWNERS_DIED);
        } else {
            handle.suspicious = false;
        }
    }
    if found.is_some() {
        handle.count(ACQUIRED);
        handle.row().words[HELD_SINCE].store(coarse_millis(), Ordering::Relaxed);
    }
    found
}

impl LockHandle for Semaphore {
    fn rest(&mut self) {
        self.handle.rest();
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({:?}, {} of {} permits held)", self.name(), self.held(), self.permits())
    }
}
