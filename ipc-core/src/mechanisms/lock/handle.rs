//! What the handles of all types of locks do alike: open, wait, wake, and refuse.

use super::look::{self, Held};
use super::stake::{BELL, Nature, Stake, WAITED, WAITS_SINCE, bury, ring_all};
use super::{LOCK, LockHead, LockOptions, head_of, mismatch, semaphore};
use crate::domain::asked::asking;
use crate::domain::layout::ObjectId;
use crate::domain::object::{Caller, NOUN_HEAD, Object, Row, Seat};
use crate::domain::waiter::{Arming, Sleeper, Waiter, disarm, wait_for};
use crate::domain::{Attached, Directory, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis};
use crate::sys::fence;
use crate::sys::mapping::{Mapping, round_to_pages};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// Pauses between two of the first looks at what is not free yet: twice as many each time, but not more than this (about
/// 0.8 us). Each look takes its cache line away from who has it and may give it back next.
const PAUSES: u32 = 32;
/// So many looks are the first. Who has had it for longer than that (some 20 us) and wants it again at once leaves it free
/// for an instant, which is not to be missed.
const PATIENT: u32 = 32;

/// So many who have it are named where the time for it is over.
const NAMED: usize = 3;

/// A handle of any type.
pub struct Handle {
    pub seat: Seat,
    pub stake: Arc<Stake>,
    pub nature: &'static Nature,
    pub parameter: u64,
    pub options: LockOptions,
    pub caller: Caller,
    /// The count of armings as of which all who sleep were rung for.
    heard: u64,
    /// Somebody died, or may have: who is named is asked after.
    pub suspicious: bool,
}

impl Handle {
    /// Opens a lock of this type, making it if there is none.
    pub fn open(
        domain: &Domain,
        name: &str,
        nature: &'static Nature,
        parameter: u64,
        options: &LockOptions,
    ) -> Result<Handle> {
        check_name("lock", name)?;
        let domain = domain.current()?;
        lifetime::arrive(&domain);
        Handle::enter_lock(&domain, name, nature, parameter, options)
            .map_err(|e| domain.not_opened("lock", name, e))
    }

    fn enter_lock(
        domain: &Domain,
        name: &str,
        nature: &'static Nature,
        parameter: u64,
        options: &LockOptions,
    ) -> Result<Handle> {
        let size = round_to_pages(semaphore::end(nature, parameter));
        let fill = |mapping: &Mapping| {
            let head: &LockHead = mapping.at(NOUN_HEAD);
            head.nature.store(nature.number, Ordering::Relaxed);
            head.parameter.store(parameter, Ordering::Relaxed);
            Ok(())
        };
        let seat = Seat::take(domain, &LOCK, name, size, BELL, &fill)?;
        // What a handle had here before is no business of ours.
        seat.row().words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let stake = Stake::of(&seat, nature);
        let handle = Handle {
            seat,
            stake,
            nature,
            parameter,
            options: options.clone(),
            caller: Caller::default(),
            heard: 0,
            suspicious: false,
        };
        // Dropped, a handle that cannot be opened after all leaves no trace.
        mismatch(&handle)?;
        bury(handle.object(), nature, handle.id(), |_| true);
        if domain.is_closed() {
            return Err(handle.closed());
        }
        debug!("lock '{name}': opened it as {}", super::a(nature.name));
        Ok(handle)
    }

    pub fn name(&self) -> &str {
        &self.seat.object.name
    }

    pub fn domain(&self) -> &Domain {
        &self.seat.object.domain
    }

    pub fn object(&self) -> &Object {
        &self.seat.object
    }

    pub fn id(&self) -> ObjectId {
        self.seat.id
    }

    #[inline(always)]
    pub fn row(&self) -> &Row {
        self.seat.row()
    }

    #[inline(always)]
    pub fn head(&self) -> &LockHead {
        head_of(&self.seat.object)
    }

    #[inline(always)]
    pub fn count(&self, word: usize) {
        let word = &self.row().words[word];
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The gate of every call: not closed; in a forked child opened anew, unless it `holds` something there.
    #[inline(always)]
    pub fn enter(&mut self, holds: bool) -> Result<()> {
        if self.domain().usable() { Ok(()) } else { self.renew(holds) }
    }

    #[cold]
    fn renew(&mut self, holds: bool) -> Result<()> {
        if self.domain().is_closed() {
            return Err(self.closed());
        }
        if holds {
            let text = format!(
                "lock '{}' was held when the process forked; the parent has it, not this child; open the lock anew here",
                self.name()
            );
            return Err(Error::new(ErrorKind::Forked, text));
        }
        *self = Handle::open(self.domain(), self.name(), self.nature, self.parameter, &self.options.clone())?;
        Ok(())
    }

    #[cold]
    pub fn closed(&self) -> Error {
        closed(&format!(
            "{} of lock '{}': its domain '{}'",
            self.nature.name,
            self.name(),
            self.domain().name()
        ))
    }

    #[cold]
    pub fn misused(&self, what: &str) -> Error {
        Error::new(ErrorKind::InvalidArgument, format!("{} '{}': {what}", self.nature.name, self.name()))
    }

    #[cold]
    pub fn would_wait_for_itself(&self, what: &str) -> Error {
        let text = format!("{} '{}': {what}", self.nature.name, self.name());
        Error::new(ErrorKind::WouldBlock, text)
    }

    /// The error of a wait whose time is over, with those who have it.
    #[cold]
    pub fn timed_out(&self, timeout: Option<Duration>, what: &str) -> Error {
        let held = self.holders();
        let had = if held.is_empty() { String::new() } else { format!(": had by {}", self.told(&held)) };
        self.too_late(timeout, what, &had)
    }

    /// The same with something else that is to be known.
    #[cold]
    pub fn too_late(&self, timeout: Option<Duration>, what: &str, more: &str) -> Error {
        let text = format!(
            "{} '{}': {what} within {:?}{more}; give it more time, or see with `axonic doctor` who holds it up",
            self.nature.name,
            self.name(),
            timeout.unwrap_or_default(),
        );
        Error::new(ErrorKind::Timeout, text)
    }

    /// Everybody who has something of it.
    pub fn holders(&self) -> Vec<Held> {
        let seen = look::look(&self.domain().inner().directory(Directory::Locks).join(self.name()));
        seen.map_or_else(|_| Vec::new(), |seen| seen.holders())
    }

    /// `'worker' (pid 7), for 3.0 s`.
    pub fn told(&self, held: &[Held]) -> String {
        let (inner, now) = (self.domain().inner(), coarse_millis());
        let holder = |held: &Held| match held.since {
            0 => inner.who(held.id.owner()),
            since => {
                let seconds = now.saturating_sub(since) as f64 / 1000.0;
                format!("{}, for {seconds:.1} s", inner.who(held.id.owner()))
            }
        };
        let told: Vec<String> = held.iter().take(NAMED).map(holder).collect();
        match held.len().saturating_sub(NAMED) {
            0 => told.join("; "),
            more => format!("{}; and {more} more", told.join("; ")),
        }
    }

    /// A call that may sleep, or touches the handle's row: a close of the domain leaves what it gets to itself.
    pub fn within<T>(&mut self, holds: bool, act: impl FnOnce(&mut Handle) -> Result<T>) -> Result<T> {
        self.enter(holds)?;
        self.stake.gate.begin();
        let done = if self.domain().usable() { act(self) } else { Err(self.closed()) };
        self.stake.gate.end();
        if !self.stake.is_open() {
            return Err(self.closed());
        }
        if done.is_err() {
            // It may have been woken for what it does not take now.
            self.object().ring_sleepers();
        }
        done
    }

    /// Waits until `attempt` gives something; `None`: the time is over. Part of [`Handle::within`].
    pub fn wait<T>(
        &mut self,
        timeout: Option<Duration>,
        wants: u64,
        attempt: &mut dyn FnMut(&mut Handle) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut got = attempt(self)?;
        if got.is_none() {
            self.count(WAITED);
            self.row().words[WAITS_SINCE].store(coarse_millis(), Ordering::Relaxed);
            let waited = self.sleep(timeout, wants, attempt);
            self.row().words[WAITS_SINCE].store(0, Ordering::Relaxed);
            got = waited?;
        }
        if got.is_none() {
            // Perhaps there was no time to hear of a death.
            self.suspicious = true;
            got = attempt(self)?;
        }
        if got.is_some() {
            self.satisfied();
        }
        Ok(got)
    }

    fn sleep<T>(
        &mut self,
        timeout: Option<Duration>,
        wants: u64,
        attempt: &mut dyn FnMut(&mut Handle) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.row().wants.store(wants, Ordering::Relaxed);
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        let mut looks = 0;
        asking(&deadline, |deadline| {
            wait_for(self, wait, deadline, &mut |handle: &mut Handle| {
                if !handle.domain().usable() {
                    return Err(handle.closed());
                }
                handle.look_around()?;
                let got = attempt(handle)?;
                if got.is_none() {
                    looks += 1;
                    let pauses = if looks < PATIENT { PAUSES.min(1 << looks) } else { 1 };
                    (0..pauses).for_each(|_| std::hint::spin_loop());
                }
                Ok(got)
            })
        })
    }

    /// Looks once whether `attempt` gives something; if not, a watched descriptor tells when it is worth another look. Part of
    /// [`Handle::within`].
    pub fn look<T>(
        &mut self,
        wants: u64,
        attempt: &mut dyn FnMut(&mut Handle) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.suspicious = true;
        if let Some(done) = attempt(self)? {
            self.satisfied();
            return Ok(Some(done));
        }
        if !self.seat.waiter.is_evented() {
            return Ok(None);
        }
        self.row().wants.store(wants, Ordering::Relaxed);
        let Some(deaths) = self.settle()? else { return Ok(None) };
        if deaths {
            self.tidy()?;
        }
        self.look_around()?;
        self.suspicious = true;
        let done = attempt(self)?;
        if done.is_some() {
            self.seat.waiter.stay_readable();
        }
        Ok(done)
    }

    /// Something was got: whoever was left armed needs no ring any more.
    pub fn satisfied(&mut self) {
        self.seat.waiter.note_taken();
        let row = self.seat.object.row(self.seat.number);
        self.seat.waiter.satisfied(&row.armed);
    }

    /// About to sleep, it watches everybody who came (E1).
    #[inline(always)]
    fn look_around(&mut self) -> Result<()> {
        if self.row().armed.load(Ordering::Relaxed) & 1 == 1 {
            self.seat.waiter.look_regularly()?;
            if self.seat.watch()? {
                self.tidy()?;
            }
        }
        Ok(())
    }

    /// Whether who is named in a word is dead, where there is reason to ask.
    #[inline(always)]
    pub fn is_dead(&self, id: u64) -> bool {
        self.suspicious && !self.is_alive(id)
    }

    pub fn is_alive(&self, id: u64) -> bool {
        self.domain().inner().is_alive(ObjectId(id).owner())
    }

    /// Rings for everybody who sleeps and `wants` this, or anything, if one of them armed since the last time. Call after
    /// a read-modify-write. Who was rung and goes to sleep again arms again.
    #[inline(always)]
    pub fn call_all(&mut self, wants: Option<u64>) {
        fence::after_update();
        let now = self.head().armings.now();
        if now != self.heard {
            self.heard = now;
            ring_all(self.object(), wants);
        }
    }

    /// Rings for one of those who sleep by their shared bell. Call after a read-modify-write.
    #[inline(always)]
    pub fn call_one(&self, wants: u64) {
        if let Some(bell) = self.seat.waiter.shared() {
            self.caller.call(&self.seat.object, &self.head().armings, bell, wants);
        }
    }

    /// Nobody waits by its descriptor any more.
    #[inline(always)]
    pub fn rest(&mut self) {
        if self.row().armed.load(Ordering::Relaxed) & 1 == 1 {
            self.stop_waiting();
        }
    }

    #[cold]
    fn stop_waiting(&mut self) {
        // If it was closed, or this is a forked child, the row is somebody else's, and so is whoever waits by it.
        let _ = self.within(true, |handle| {
            disarm(&handle.row().armed);
            // It may have been woken for what it does not take now.
            handle.object().ring_sleepers();
            Ok(())
        });
    }

    pub fn fd(&mut self, holds: bool) -> Result<RawFd> {
        self.enter(holds)?;
        self.seat.waiter.look_regularly()?;
        Ok(self.seat.waiter.watch_descriptor())
    }
}

impl Sleeper for Handle {
    fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.row().armed, count: Some(&self.head().armings) }
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.seat.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.suspicious = true;
        let (object, waiter, inner) = (&self.seat.object, &self.seat.waiter, self.domain().inner());
        let asked = |id: ObjectId| id.owner() != inner.me() && !waiter.is_watched(id.owner());
        bury(object, self.nature, self.seat.id, asked);
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        let object = &self.seat.object;
        let armed = &object.row(self.seat.number).armed;
        self.seat.waiter.settle(Arming { armed, count: Some(&head_of(object).armings) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stake.detach();
    }
}
