//! What a handle has in shared memory, and how it goes back: by the handle, by a close of its domain, or by the living after
//! a death.

use super::head_of;
use super::steps::Gate;
use crate::domain::Attached;
use crate::domain::layout::ObjectId;
use crate::domain::object::{Object, Seat};
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::descriptor::ring_at;
use crate::sys::file;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering as Local};
use std::sync::{Arc, Weak};
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
    object: Arc<Object>,
    number: u32,
    id: ObjectId,
    nature: &'static Nature,
    bell: PathBuf,
    pub gate: Gate,
    gone: AtomicBool,
}

impl Stake {
    /// Of a handle that has just got its seat: from now on a close of its domain takes it back.
    pub fn of(seat: &Seat, wanted: &'static Nature) -> Arc<Stake> {
        let stake = Arc::new(Stake {
            object: seat.object.clone(),
            number: seat.number,
            id: seat.id,
            nature: nature_of(&seat.object, wanted),
            bell: seat.waiter.path().into(),
            gate: Gate::default(),
            gone: AtomicBool::new(false),
        });
        let attached: Weak<dyn Attached> = Arc::<Stake>::downgrade(&stake);
        stake.object.domain.inner().attach(attached);
        stake
    }

    /// After [`Gate::end`]; `false`: the domain was closed meanwhile and everything went back.
    pub fn is_open(&self) -> bool {
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
        debug!("lock '{}': closed its handle {}", self.object.name, self.id);
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
            info!("{} '{}': participant {}, which had it open, died", nature.name, object.name, dead.owner());
        }
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
