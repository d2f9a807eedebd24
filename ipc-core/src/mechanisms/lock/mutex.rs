//! Mutexes: one word, the id of who has it.

use super::handle::Handle;
use super::stake::{ACQUIRED, HELD_SINCE, Nature, OWNERS_DIED, bury};
use super::{Acquired, LOCK_HANDLES, LockHandle, LockOptions, head_of, steps};
use crate::domain::Domain;
use crate::domain::layout::ObjectId;
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::coarse_millis;
use crate::sys::fence;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

pub(super) static NATURE: Nature = Nature {
    number: 1,
    name: "mutex",
    parameter: "",
    handles: LOCK_HANDLES,
    give_back: |object, _, id| {
        steps::give(&head_of(object).word, id.0);
    },
    names: |object, id| head_of(object).word.load(Ordering::Relaxed) == id.0,
    inherit: Nature::nothing_left,
    matters: |object| head_of(object).word.load(Ordering::Relaxed) != 0,
};

/// What those who sleep for it want.
const LOCK: u64 = 1;

/// A mutex between processes. The handle is the owner, not the thread; one thread uses it at a time (`Send`).
///
/// It is not fair, as those of the system are not: whoever unlocks it and wants it again at once mostly gets it before
/// one that sleeps for it, which may wait for tenths of a second so. Where others are to have their turn, leave a
/// pause, or pass the work on by a queue.
///
/// If its owner dies, who takes it next is told. A handle that is dropped, or whose domain is closed, unlocks it.
/// In a forked child a handle opens anew at its first use, unless it held the mutex at the fork.
pub struct Mutex {
    pub(super) handle: Handle,
    held: Option<Acquired>,
}

impl Domain {
    /// Opens the mutex `name`, making it if there is none.
    pub fn mutex(&self, name: &str, options: &LockOptions) -> Result<Mutex> {
        Ok(Mutex { handle: Handle::open(self, name, &NATURE, 0, options)?, held: None })
    }
}

impl Mutex {
    /// Its name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Locks it, waiting up to `timeout` (`None`: for ever).
    #[inline]
    pub fn lock(&mut self, timeout: Option<Duration>) -> Result<Acquired> {
        if self.lock_quickly() { Ok(Acquired::default()) } else { self.lock_slowly(timeout) }
    }

    /// Locks it if nobody alive has it.
    #[inline]
    pub fn try_lock(&mut self) -> Result<Option<Acquired>> {
        if self.lock_quickly() { Ok(Some(Acquired::default())) } else { self.try_slowly() }
    }

    /// Unlocks it.
    #[inline]
    pub fn unlock(&mut self) -> Result<()> {
        let handle = &self.handle;
        // In this order: a forked child has a copy of what its parent holds.
        if self.held.is_some() && handle.domain().usable() && steps::give(&handle.head().word, handle.id().0)
        {
            self.held = None;
            handle.call_one(LOCK);
            return Ok(());
        }
        self.cannot_unlock()
    }

    /// Whether this handle has it.
    pub fn is_locked(&self) -> bool {
        self.held.is_some() && self.handle.domain().usable()
    }

    /// Whether the owner before this handle died in it; until it is unlocked.
    pub fn owner_died(&self) -> bool {
        self.held.is_some_and(|how| how.owner_died)
    }

    /// The error of `lock` when its time is over, for who waits by the descriptor.
    pub fn timed_out(&self, timeout: Option<Duration>) -> Error {
        self.handle.timed_out(timeout, "it was not unlocked")
    }

    /// The pollable descriptor: readable when a `try_lock` that found it locked is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.handle.fd(self.held.is_some())
    }

    /// Ends it; the same as dropping it. What it holds goes back.
    pub fn close(self) {}

    /// The common case; `false`: it is not.
    #[inline(always)]
    fn lock_quickly(&mut self) -> bool {
        let handle = &self.handle;
        let (word, me) = (&handle.head().word, handle.id().0);
        if word.load(Ordering::Relaxed) != 0 || !handle.domain().usable() || handle.seat.waiter.is_evented() {
            return false;
        }
        handle.stake.gate.begin_quickly();
        let taken = steps::take(word, 0, me);
        // Whoever closes the domain has seen what was taken, or is seen here.
        fence::after_update();
        if taken && handle.domain().usable() {
            self.note(Acquired::default());
            self.handle.stake.gate.end_quickly();
            return true;
        }
        self.handle.stake.gate.end_quickly();
        if taken {
            self.undo();
        }
        false
    }

    /// The domain was closed in the middle.
    #[cold]
    fn undo(&mut self) {
        steps::give(&self.handle.head().word, self.handle.id().0);
        self.handle.call_all(None);
    }

    #[inline(always)]
    fn note(&mut self, how: Acquired) {
        let row = self.handle.row();
        row.words[HELD_SINCE].store(coarse_millis(), Ordering::Relaxed);
        self.handle.count(ACQUIRED);
        self.held = Some(how);
    }

    #[cold]
    #[inline(never)]
    fn lock_slowly(&mut self, timeout: Option<Duration>) -> Result<Acquired> {
        self.check_free()?;
        let locked = self.handle.within(false, |handle| handle.wait(timeout, LOCK, &mut attempt))?;
        self.held = locked;
        locked.ok_or_else(|| self.timed_out(timeout))
    }

    #[cold]
    #[inline(never)]
    fn try_slowly(&mut self) -> Result<Option<Acquired>> {
        self.check_free()?;
        self.held = self.handle.within(false, |handle| handle.look(LOCK, &mut attempt))?;
        Ok(self.held)
    }

    fn check_free(&mut self) -> Result<()> {
        if self.held.is_none() {
            return Ok(());
        }
        self.handle.enter(true)?;
        Err(self.handle.would_wait_for_itself(
            "this handle has it locked already and would wait for itself; unlock it first, or lock another handle",
        ))
    }

    #[cold]
    fn cannot_unlock(&mut self) -> Result<()> {
        self.handle.enter(self.held.is_some())?;
        Err(self
            .handle
            .misused("this handle has not locked it; unlock only what was locked with the same handle"))
    }
}

/// Takes it from nobody, or from one that died.
fn attempt(handle: &mut Handle) -> Result<Option<Acquired>> {
    let (word_of, me) = (&handle.head().word, handle.id().0);
    let owner = word_of.load(Ordering::Relaxed);
    if owner != 0 && !handle.is_dead(owner) {
        handle.suspicious = false;
        return Ok(None);
    }
    if !steps::take(word_of, owner, me) {
        return Ok(None);
    }
    let how = Acquired { owner_died: owner != 0 };
    handle.row().words[HELD_SINCE].store(coarse_millis(), Ordering::Relaxed);
    handle.count(ACQUIRED);
    if how.owner_died {
        handle.count(OWNERS_DIED);
        bury(handle.object(), &NATURE, handle.id(), |id| id == ObjectId(owner));
    }
    Ok(Some(how))
}

impl LockHandle for Mutex {
    fn rest(&mut self) {
        self.handle.rest();
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mutex({:?}, {})", self.name(), if self.held.is_some() { "locked" } else { "not held" })
    }
}
