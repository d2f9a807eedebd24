//! What a producer, a consumer and the consumer's deliveries have in common: the open file, a row, and the bells of those
//! who wait for what they do.

use super::body;
use super::durable::Log;
use super::steps::{Cell, State, Word};
use super::store::{ITEMS_BELL, Life, MAX_PAYLOAD, ROOM_BELL, Store, WANTS_ITEMS, WANTS_ROOM};
use crate::domain::layout::ObjectId;
use crate::domain::object::{Caller, Row, Seat};
use crate::domain::{Attached, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::descriptor::Bell;
use crate::sys::process;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// One open of a queue. It has the row until the last delivery is settled too.
pub struct Handle {
    pub store: Store,
    pub row: u32,
    pub id: ObjectId,
    items: (Caller, Bell),
    room: (Caller, Bell),
    /// The queue's journal, if it has one.
    pub log: Option<Log>,
    /// Since when the journal's lock has been taken, in coarse milliseconds, and its turn then.
    pub suspect: (AtomicU64, AtomicU64),
    /// Tickets given out so far.
    pub(super) tickets: AtomicU64,
}

/// Counters of a row; they count on for whoever has it next.
#[derive(Clone, Copy)]
pub enum Count {
    Put = 5,
    Acked = 6,
    Delivered = 7,
    Returned = 8,
    Died = 9,
    Blocked = 10,
    Wakes = 11,
}

/// The word of a row that says since when its handle has waited for room in a call, in milliseconds of the
/// machine's monotonic clock.
pub const BLOCKED_SINCE: usize = 4;

impl Attached for Handle {
    /// Whoever sleeps here finds the domain closed, and what it has goes to others. The row is its own until it is dropped:
    /// a thread may be in the middle of a call.
    fn detach(&self) -> bool {
        if !self.domain().forked() {
            self.store.object.ring(self.id);
            let slots = self.store.slots();
            for number in 0..slots.grown() {
                let word = Word::of(&slots.slot(number).word);
                let ours = word.row() == self.row && (word.is(State::Leased) || word.is(State::Timed));
                if ours {
                    self.give_back(number, word, Duration::ZERO, self.row);
                }
            }
        }
        false
    }
}

impl Handle {
    /// What the domain is to call when it is closed.
    pub fn attach(self: Arc<Self>) -> Arc<Self> {
        let attached: Weak<dyn Attached> = Arc::<Self>::downgrade(&self);
        self.domain().inner().attach(attached);
        self
    }

    pub fn new(seat: &Seat) -> Result<Handle> {
        // Whoever had the row may have died in the middle of a wait.
        seat.row().words[BLOCKED_SINCE].store(0, Ordering::Relaxed);
        Ok(Handle {
            store: Store::new(seat.object.clone())?,
            row: seat.number,
            id: seat.id,
            items: (Caller::default(), seat.bell(ITEMS_BELL)?),
            room: (Caller::default(), seat.bell(ROOM_BELL)?),
            log: None,
            suspect: (AtomicU64::new(0), AtomicU64::new(0)),
            // No mark is ever that of another handle that had the row.
            tickets: AtomicU64::new(process::random() >> 16),
        })
    }

    pub fn domain(&self) -> &Domain {
        &self.store.object.domain
    }

    pub fn name(&self) -> &str {
        &self.store.object.name
    }

    #[inline(always)]
    pub fn own_row(&self) -> &Row {
        self.store.object.row(self.row)
    }

    /// Counts; only one thread counts one thing in one row.
    #[inline(always)]
    pub fn count(&self, what: Count, more: u64) {
        let word: &AtomicU64 = &self.own_row().words[what as usize];
        word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// There is one more message: wakes somebody who waits for one.
    #[inline(always)]
    pub fn tell_item(&self) {
        let (caller, bell) = &self.items;
        if caller.call(&self.store.object, &self.store.head().items, bell, WANTS_ITEMS) {
            self.count(Count::Wakes, 1);
        }
    }

    /// There is one more free slot.
    #[inline(always)]
    pub fn tell_room(&self) {
        let (caller, bell) = &self.room;
        caller.call(&self.store.object, &self.store.head().room, bell, WANTS_ROOM);
    }

    /// Fails when the domain was closed.
    pub fn check_open(&self) -> Result<()> {
        if self.domain().is_closed() {
            return Err(closed(&format!("queue '{}': its domain '{}'", self.name(), self.domain().name())));
        }
        Ok(())
    }

    /// Refuses what a forked child has a copy of only: its parent's delivery or ticket.
    #[inline(always)]
    pub fn check_own(&self) -> Result<()> {
        if self.domain().forked() { Err(self.forked()) } else { Ok(()) }
    }

    #[cold]
    fn forked(&self) -> Error {
        let text = format!(
            "queue '{}': this message was had, or waited for, when the process forked; it is the parent's, not this child's: let the parent settle it",
            self.name()
        );
        Error::new(ErrorKind::Forked, text)
    }

    /// Refuses a message or a result that no queue takes, in memory or durable.
    #[inline(always)]
    pub fn check_size(&self, what: &str, bytes: usize) -> Result<()> {
        if bytes <= MAX_PAYLOAD { Ok(()) } else { Err(self.too_large(what, bytes)) }
    }

    #[cold]
    fn too_large(&self, what: &str, bytes: usize) -> Error {
        let text = format!(
            "queue '{}': a {what} of {bytes} bytes is over {} MiB, the most a queue takes; split it, or put it into a region or a file and its name into the queue",
            self.name(),
            MAX_PAYLOAD >> 20
        );
        Error::new(ErrorKind::TooLarge, text)
    }

    /// The error of what cannot be true of a queue.
    #[cold]
    pub fn damaged(&self, what: &str) -> Error {
        let text = format!(
            "queue '{}': {what}; its memory was damaged: stop all that use it, and remove it with `axonic unlink queue`",
            self.name()
        );
        Error::new(ErrorKind::Corrupt, text)
    }

    /// The message of a slot whose word is `from` is done with, after an error, too. Whether nobody was faster; `wait`: it
    /// is on the disk that it is, when this returns.
    #[inline(always)]
    pub fn free(&self, number: u32, from: Word, wait: bool) -> Result<bool> {
        if self.store.is_durable() {
            self.free_durable(number, from, wait)
        } else {
            Ok(self.free_now(number, from))
        }
    }

    /// The slot is free once the journal has it that the message is gone.
    #[cold]
    fn free_durable(&self, number: u32, from: Word, wait: bool) -> Result<bool> {
        let slot = self.store.slot(number);
        let filled = Life(slot.life.load(Ordering::Relaxed)).generation();
        if !from.change(&slot.word, from.then(State::Gone, self.row)) {
            return Ok(false);
        }
        self.journal_ended(number, filled, wait)?;
        Ok(true)
    }

    /// Frees a slot whose word is `from`, and the parts of its message. Whether nobody was faster.
    #[inline(always)]
    pub fn free_now(&self, number: u32, from: Word) -> bool {
        let slot = self.store.slot(number);
        let first = slot.body.load(Ordering::Relaxed);
        let filled = Life(slot.life.load(Ordering::Relaxed)).generation();
        let ended = from.is(State::Done) || from.is(State::Dead) || from.is(State::Gone);
        let after = if ended { slot.after.load(Ordering::Relaxed) } else { 0 };
        if !from.change(&slot.word, from.then(State::Free, 0)) {
            return false;
        }
        self.store.slots().give(number);
        if first != 0 {
            body::free_chain(&self.store, Cell::new(body::MESSAGE, number, filled), first);
        }
        if after != 0 {
            body::free_after(&self.store, number, from, after);
        }
        self.tell_room();
        true
    }
}
