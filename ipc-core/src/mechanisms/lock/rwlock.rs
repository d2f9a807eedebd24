//! Readers and writers: the writer's word, and a mark in the row of each reader. Writers go first.

use super::handle::Handle;
use super::stake::{ACQUIRED, HELD_SINCE, Nature, OWNERS_DIED, STATE, bury, word};
use super::{Acquired, LOCK_HANDLES, LockHandle, LockOptions, head_of, steps};
use crate::domain::Domain;
use crate::domain::layout::ObjectId;
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::coarse_millis;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

pub(super) static NATURE: Nature = Nature {
    number: 2,
    name: "rwlock",
    parameter: "",
    handles: LOCK_HANDLES,
    give_back: |object, number, id| {
        let head = head_of(object);
        steps::give(word(object, number, STATE), id.0);
        steps::give(&head.inside, id.0);
        steps::give(&head.word, id.0);
    },
    names: |object, id| head_of(object).inside.load(Ordering::Relaxed) == id.0,
    inherit: Nature::nothing_left,
    matters: |object| head_of(object).inside.load(Ordering::Relaxed) != 0,
};

/// What those who sleep want.
const READ: u64 = 1;
const WRITE: u64 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Reading,
    Writing,
}

/// A lock that many read, or one writes, between processes. One that waits to write stops those who come to read. The
/// handle is the owner, not the thread; one thread uses it at a time (`Send`).
///
/// If a writer dies while it writes, who writes next, or the first to read, is told. A handle that is dropped, or whose
/// domain is closed, unlocks it. In a forked child a handle opens anew at its first use, unless it held the lock at the fork.
pub struct RwLock {
    handle: Handle,
    held: Option<(Held, Acquired)>,
    /// As whom it has claimed to write; in a forked child that is somebody else.
    claimed: Option<ObjectId>,
}

impl Domain {
    /// Opens the readers' and writers' lock `name`, making it if there is none.
    pub fn rwlock(&self, name: &str, options: &LockOptions) -> Result<RwLock> {
        Ok(RwLock { handle: Handle::open(self, name, &NATURE, 0, options)?, held: None, claimed: None })
    }
}

impl RwLock {
    /// Its name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Locks it for reading, waiting up to `timeout` (`None`: for ever).
    pub fn read(&mut self, timeout: Option<Duration>) -> Result<Acquired> {
        self.check_free()?;
        let got = self.handle.within(false, |handle| handle.wait(timeout, READ, &mut enter_reading))?;
        self.held = got.map(|how| (Held::Reading, how));
        got.ok_or_else(|| self.reading_timed_out(timeout))
    }

    /// Locks it for reading if nobody alive writes or waits to.
    pub fn try_read(&mut self) -> Result<Option<Acquired>> {
        self.check_free()?;
        let got = self.handle.within(false, |handle| handle.look(READ, &mut enter_reading))?;
        self.held = got.map(|how| (Held::Reading, how));
        Ok(got)
    }

    /// Locks it for writing, waiting up to `timeout` (`None`: for ever).
    pub fn write(&mut self, timeout: Option<Duration>) -> Result<Acquired> {
        self.check_free()?;
        let got = self.handle.within(false, |handle| {
            let mut claimed = false;
            let got = handle.wait(timeout, WRITE, &mut |handle| enter_writing(handle, &mut claimed));
            if claimed && !matches!(got, Ok(Some(_))) {
                give_up_writing(handle);
            }
            got
        })?;
        self.held = got.map(|how| (Held::Writing, how));
        got.ok_or_else(|| self.writing_timed_out(timeout))
    }

    /// Locks it for writing if nobody alive has it.
    pub fn try_write(&mut self) -> Result<Option<Acquired>> {
        self.check_free()?;
        let got = self.handle.within(false, |handle| handle.look(WRITE, &mut try_writing))?;
        self.held = got.map(|how| (Held::Writing, how));
        Ok(got)
    }

    /// The same for who waits by the descriptor: unless somebody alive writes or waits to already, those who come to read from
    /// then on wait for this handle, as they do for one inside `write`, until it has written or called anything else.
    pub fn claim_write(&mut self) -> Result<Option<Acquired>> {
        let before = self.claimed.take();
        self.check_free()?;
        let (got, claimed) = self.handle.within(false, |handle| {
            let mut claimed = before == Some(handle.id());
            let got = handle.look(WRITE, &mut |handle| enter_writing(handle, &mut claimed));
            if claimed && got.is_err() {
                give_up_writing(handle);
            }
            Ok((got?, claimed.then(|| handle.id())))
        })?;
        self.held = got.map(|how| (Held::Writing, how));
        self.claimed = claimed.filter(|_| got.is_none());
        Ok(got)
    }

    /// Takes a claim to write back; `false`: there is none.
    pub fn withdraw(&mut self) -> Result<bool> {
        let claimed = self.claimed.take();
        self.handle.within(self.held.is_some(), |handle| {
            let claimed = claimed == Some(handle.id());
            if claimed {
                give_up_writing(handle);
            }
            Ok(claimed)
        })
    }

    /// Unlocks it.
    pub fn unlock(&mut self) -> Result<()> {
        if let Some((held, how)) = self.held
            && self.handle.domain().usable()
            && self.give(held, how)
        {
            self.held = None;
            return Ok(());
        }
        self.handle.enter(self.held.is_some())?;
        Err(self
            .handle
            .misused("this handle has not locked it; unlock only what was locked with the same handle"))
    }

    fn give(&mut self, held: Held, how: Acquired) -> bool {
        let (head, me) = (self.handle.head(), self.handle.id().0);
        if held == Held::Writing || how.owner_died {
            // Killed after this, it has done what it had to.
            steps::give(&head.inside, me);
        }
        if held == Held::Writing {
            let given = steps::give(&head.word, me);
            self.handle.call_all(None);
            given
        } else {
            let given = steps::give(&self.handle.row().words[STATE], me);
            self.handle.call_all(Some(WRITE));
            given
        }
    }

    /// Whether this handle has it, for reading or writing.
    pub fn is_locked(&self) -> bool {
        self.held.is_some() && self.handle.domain().usable()
    }

    /// Whether this handle was told that a writer died in it; until it is unlocked.
    pub fn owner_died(&self) -> bool {
        self.held.is_some_and(|(_, how)| how.owner_died)
    }

    /// The error of `read` when its time is over, for who waits by the descriptor.
    pub fn reading_timed_out(&self, timeout: Option<Duration>) -> Error {
        self.handle.timed_out(timeout, "its writers did not let readers in")
    }

    /// The error of `write` when its time is over, for who waits by the descriptor.
    pub fn writing_timed_out(&self, timeout: Option<Duration>) -> Error {
        self.handle.timed_out(timeout, "those who had it did not unlock it")
    }

    /// The pollable descriptor: readable when a `try_` call that found it locked is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.handle.fd(self.held.is_some())
    }

    /// Ends it; the same as dropping it. What it holds goes back.
    pub fn close(self) {}

    fn check_free(&mut self) -> Result<()> {
        if self.claimed.is_some() {
            self.withdraw()?;
        }
        if self.held.is_none() {
            return Ok(());
        }
        self.handle.enter(true)?;
        Err(self.handle.would_wait_for_itself(
            "this handle has it locked already and would wait for itself; unlock it first, or lock another handle",
        ))
    }
}

/// In as a reader, unless a writer that lives has it or waits for it.
fn enter_reading(handle: &mut Handle) -> Result<Option<Acquired>> {
    let (head, me) = (handle.head(), handle.id().0);
    let writer = head.word.load(Ordering::Relaxed);
    if writer != 0 {
        if !handle.is_dead(writer) {
            handle.suspicious = false;
            return Ok(None);
        }
        steps::give(&head.word, writer);
    }
    if !steps::enter_reading(&head.word, &handle.row().words[STATE], me) {
        handle.call_all(Some(WRITE));
        return Ok(None);
    }
    let owner_died = is_told(handle);
    entered(handle, owner_died);
    Ok(Some(Acquired { owner_died }))
}

/// The first reader after a writer died in it takes its place as the one that was told; if it dies too, the next is.
fn is_told(handle: &Handle) -> bool {
    let (inside, me) = (&handle.head().inside, handle.id().0);
    let was = inside.load(Ordering::Acquire);
    was != 0 && !handle.is_alive(was) && steps::take(inside, was, me)
}

/// In as a writer, once no reader is. A writer that died before it was in has harmed nothing.
fn enter_writing(handle: &mut Handle, claimed: &mut bool) -> Result<Option<Acquired>> {
    let (head, me) = (handle.head(), handle.id().0);
    if !*claimed {
        let writer = head.word.load(Ordering::Relaxed);
        if writer != 0 && !handle.is_dead(writer) {
            handle.suspicious = false;
            return Ok(None);
        }
        *claimed = steps::claim_writing(&head.word, writer, me);
        if !*claimed {
            return Ok(None);
        }
    }
    if has_readers(handle) {
        return Ok(None);
    }
    let inside = &handle.head().inside;
    let owner_died = inside.load(Ordering::Acquire) != 0;
    inside.store(me, Ordering::Release);
    entered(handle, owner_died);
    Ok(Some(Acquired { owner_died }))
}

/// The same without waiting for readers: they are asked after first, so that none is stopped for nothing.
fn try_writing(handle: &mut Handle) -> Result<Option<Acquired>> {
    if has_readers(handle) {
        return Ok(None);
    }
    handle.suspicious = true;
    let mut claimed = false;
    let got = enter_writing(handle, &mut claimed)?;
    if claimed && got.is_none() {
        give_up_writing(handle);
    }
    Ok(got)
}

/// Those whom the claim stopped go on.
fn give_up_writing(handle: &mut Handle) {
    steps::give(&handle.head().word, handle.id().0);
    handle.call_all(None);
}

/// Whether somebody alive reads.
fn has_readers(handle: &mut Handle) -> bool {
    let object = handle.object();
    let reads = |(number, id): (u32, ObjectId)| {
        id != handle.id() && steps::is_reading(word(object, number, STATE), id.0) && !handle.is_dead(id.0)
    };
    let found = object.taken().any(reads);
    handle.suspicious = false;
    found
}

fn entered(handle: &Handle, owner_died: bool) {
    handle.row().words[HELD_SINCE].store(coarse_millis(), Ordering::Relaxed);
    handle.count(ACQUIRED);
    if owner_died {
        handle.count(OWNERS_DIED);
        bury(handle.object(), &NATURE, handle.id(), |_| true);
    }
}

impl LockHandle for RwLock {
    fn rest(&mut self) {
        // Those whom its claim stopped go on. Where it cannot be taken back, it went with its domain, or is the parent's.
        if self.claimed.is_some() {
            let _ = self.withdraw();
        }
        self.handle.rest();
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.held {
            None => "not held",
            Some((Held::Reading, _)) => "read",
            Some((Held::Writing, _)) => "written",
        };
        write!(f, "RwLock({:?}, {state})", self.name())
    }
}
