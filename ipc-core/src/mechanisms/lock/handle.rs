//! What every lock's handle is made of: its seat, how it waits, and what goes back when it or its domain is closed.

use super::steps::Gate;
use super::{LOCK, LockHead, LockOptions, head_of, mismatch};
use crate::domain::layout::ObjectId;
use crate::domain::object::{Caller, NOUN_HEAD, Object, Row, Seat};
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::domain::{Attached, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::clock::{Deadline, coarse_unix_millis};
use crate::sys::descriptor::ring_at;
use crate::sys::file;
use crate::sys::mapping::{Mapping, round_to_pages};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering as Local};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tracing::{debug, info};

/// Words of a row (docs/protocol.md).
pub const STATE: usize = 0;
pub const WAITER: usize = 1;
pub const HELD_SINCE: usize = 2;
pub const WAITS_SINCE: usize = 3;
pub const ACQUIRED: usize = 5;
pub const WAITED: usize = 6;
pub const OWNERS_DIED: usize = 7;

/// The bell that those share of whom one at a time is woken.
pub const BELL: &str = "wake";

/// What distinguishes the types of locks where they go or die.
pub struct Nature {
    /// As the head says it.
    pub number: u64,
    /// As in messages and in what is seen from outside.
    pub name: &'static str,
    /// What the parameter is: "permits".
    pub parameter: &'static str,
    /// Handles that can have one open at a time.
    pub handles: u32,
    /// Gives back all that a handle holds.
    pub give_back: fn(&Object, u32, ObjectId),
    /// Whether the object still names a dead handle, whose row has to stay.
    pub names: fn(&Object, ObjectId) -> bool,
    /// Sets right what a dead handle left in its row, which is the caller's meanwhile.
    pub inherit: fn(&Object, u32),
    /// Whether somebody died in it and nobody was told yet, so that it stays without handles.
    pub matters: fn(&Object) -> bool,
}

impl Nature {
    pub fn nothing_named(_: &Object, _: ObjectId) -> bool {
        false
    }

    pub fn nothing_left(_: &Object, _: u32) {}

    pub fn never_matters(_: &Object) -> bool {
        false
    }
}

/// What a handle has in shared memory, taken back when the handle or its domain is closed, by one of those two.
pub struct Stake {
    pub object: Arc<Object>,
    pub number: u32,
    pub id: ObjectId,
    nature: &'static Nature,
    bell: PathBuf,
    pub gate: Gate,
    gone: AtomicBool,
}

impl Stake {
    /// After [`Gate::end`]; `false`: the domain was closed meanwhile and everything went back.
    fn is_open(&self) -> bool {
        let open = !self.object.domain.is_closed();
        if !open {
            self.give_back();
        }
        open
    }

    fn give_back(&self) {
        if self.gone.swap(true, Local::AcqRel) {
            return;
        }
        (self.nature.give_back)(&self.object, self.number, self.id);
        // Whoever was to be woken in our place is among them.
        fence(Ordering::SeqCst);
        self.object.ring_sleepers();
        file::unlink(&self.bell);
        self.object.release_row(self.number, self.id);
        bury(&self.object, self.nature, self.id, |_| true);
        self.object.take_away(|| !(self.nature.matters)(&self.object));
        debug!("lock '{}': closed a {} handle", self.object.name, self.nature.name);
    }
}

impl Attached for Stake {
    /// Whoever is in a call learns that it is closed, and gives back by itself what it may have got by then.
    fn detach(&self) -> bool {
        if self.object.domain.forked() {
            return true;
        }
        fence(Ordering::SeqCst);
        loop {
            match self.gate.is_out() {
                Some(true) => {
                    self.give_back();
                    return true;
                }
                Some(false) => {
                    ring_at(&self.bell);
                    return false;
                }
                None => std::thread::yield_now(),
            }
        }
    }
}

/// Sets right what the dead left and frees their rows, of those whom `asked` for.
pub fn bury(object: &Object, nature: &Nature, me: ObjectId, asked: impl Fn(ObjectId) -> bool) {
    let inner = object.domain.inner();
    let is_dead = |id: ObjectId| asked(id) && !inner.is_alive(id.owner());
    for (number, dead) in object.taken().filter(|(_, id)| is_dead(*id)) {
        if !(nature.names)(object, dead) && object.inherit_row(number, dead, me) {
            (nature.inherit)(object, number);
            object.release_row(number, me);
            info!(
                "lock '{}': a {} handle of participant {}, which died, was removed",
                object.name,
                nature.name,
                dead.owner()
            );
        }
    }
}

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
        let size = round_to_pages(LOCK.body() + super::semaphore::words_of(nature, parameter) * 8);
        let fill = |mapping: &Mapping| {
            let head: &LockHead = mapping.at(NOUN_HEAD);
            head.nature.store(nature.number, Ordering::Relaxed);
            head.parameter.store(parameter, Ordering::Relaxed);
        };
        let seat = Seat::take(domain, &LOCK, name, size, BELL, &fill)?;
        // What a handle had here before is no business of ours.
        seat.row().words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let stake = Arc::new(Stake {
            object: seat.object.clone(),
            number: seat.number,
            id: seat.id,
            nature: nature_of(&seat.object, nature),
            bell: seat.waiter.path().into(),
            gate: Gate::default(),
            gone: AtomicBool::new(false),
        });
        let attached: Weak<dyn Attached> = Arc::<Stake>::downgrade(&stake);
        domain.inner().attach(attached);
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
        debug!("lock '{name}': opened it as a {}", nature.name);
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
        *self = Handle::open(
            self.domain(),
            &self.name().to_owned(),
            self.nature,
            self.parameter,
            &self.options.clone(),
        )?;
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

    #[cold]
    pub fn timed_out(&self, timeout: Option<Duration>, what: &str) -> Error {
        let text = format!(
            "{} '{}': {what} within {:?}; give it more time, or see with `axonic doctor` who holds it up",
            self.nature.name,
            self.name(),
            timeout.unwrap_or_default()
        );
        Error::new(ErrorKind::Timeout, text)
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
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        self.count(WAITED);
        self.row().wants.store(wants, Ordering::Relaxed);
        self.row().words[WAITS_SINCE].store(coarse_unix_millis().max(1), Ordering::Relaxed);
        let waited = wait_for(self, wait, &deadline, &mut |handle: &mut Handle| {
            if !handle.domain().usable() {
                return Err(handle.closed());
            }
            handle.look_around()?;
            attempt(handle)
        });
        self.row().words[WAITS_SINCE].store(0, Ordering::Relaxed);
        if matches!(waited, Ok(Some(_))) {
            self.satisfied();
        }
        waited
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
        crate::sys::fence::after_update();
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

    pub fn fd(&mut self, holds: bool) -> Result<RawFd> {
        self.enter(holds)?;
        self.seat.waiter.look_regularly()?;
        Ok(self.seat.waiter.watch_descriptor())
    }
}

/// Its own type, or the one the object has: what a handle that finds itself mistaken gives back is nothing.
fn nature_of(object: &Object, wanted: &'static Nature) -> &'static Nature {
    super::nature(head_of(object).nature.load(Ordering::Relaxed)).unwrap_or(wanted)
}

/// Rings for all who sleep and want this, or anything.
pub fn ring_all(object: &Object, wants: Option<u64>) {
    for (number, id) in object.taken() {
        let row = object.row(number);
        let wanting = wants.is_none_or(|wants| row.wants.load(Ordering::Relaxed) == wants);
        if wanting && row.armed.load(Ordering::Relaxed) & 1 == 1 {
            object.ring(id);
        }
    }
}

/// One word of a row.
pub fn word(object: &Object, number: u32, word: usize) -> &AtomicU64 {
    &object.row(number).words[word]
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
