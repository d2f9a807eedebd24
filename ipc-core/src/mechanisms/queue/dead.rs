//! Dead letters: messages nobody is to get any more, kept with the reason until somebody takes them up again or away.

use super::body::After;
use super::handle::{Count, Handle};
use super::shape::Shape;
use super::steps::{State, Word};
use super::store::Life;
use crate::sys::atomic::Ordering;
use crate::sys::clock::monotonic_nanos;
use crate::value::Content;

/// Why a message is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A consumer rejected it.
    Rejected = 1,
    /// It was delivered as often as the queue allows.
    Attempts = 2,
    /// It was too late for it.
    Expired = 3,
}

impl Reason {
    /// Its short name: `rejected`, `attempts`, `expired`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Attempts => "attempts",
            Reason::Expired => "expired",
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Reason> {
        [Reason::Rejected, Reason::Attempts, Reason::Expired]
            .get(usize::from(number).wrapping_sub(1))
            .copied()
    }
}

/// Bytes of a reason in words; what is longer is cut.
pub const MAX_REASON: usize = 4096;

/// Whether a time of the machine's monotonic clock is over; zero never is.
pub fn is_over(time: u64, now: u64) -> bool {
    time != 0 && time <= now
}

impl Handle {
    /// Makes dead letters of all messages that nobody has taken and for which it is too late.
    pub fn bury_expired(&self) {
        let now = monotonic_nanos();
        self.slots_that(Word::waits).for_each(|(number, word)| {
            self.bury_if_expired(number, word, now);
        });
    }

    /// The same of one message, which waits as `word` says. Whether it was too late.
    pub fn bury_if_expired(&self, number: u32, word: Word, now: u64) -> bool {
        let slot = self.store.slot(number);
        if !word.waits() || !is_over(slot.expires.load(Ordering::Relaxed), now) {
            return false;
        }
        if word.is(State::Ready) {
            self.store.note_gap(usize::from(Shape(slot.shape.load(Ordering::Relaxed)).priority()));
        }
        self.bury(number, word, Reason::Expired, "");
        true
    }

    /// Makes a message dead that somebody has as `word` says. Whether nobody was faster.
    #[cold]
    pub fn bury(&self, number: u32, word: Word, reason: Reason, text: &str) -> bool {
        let slot = self.store.slot(number);
        let words = self.write_reason(number, word, text);
        let Some(held) = self.hold(number, word) else {
            words.free(&self.store);
            return false;
        };
        slot.reason.store(reason as u64, Ordering::Relaxed);
        words.leave(slot);
        if !held.change(&slot.word, held.then(State::Dead, self.row)) {
            return false;
        }
        self.count(Count::Died, 1);
        self.tell_ticket(number);
        self.journal_later(number, Life(slot.life.load(Ordering::Relaxed)).generation());
        true
    }

    /// Writes down in words why a message is dead that the caller has as `word` says; without room for them, the kind of
    /// reason must do.
    pub fn write_reason(&self, number: u32, word: Word, text: &str) -> After {
        let end = (0..=MAX_REASON.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let shape = Shape::new(end, 0, Content::Raw, 0, 0);
        let text = [&text.as_bytes()[..end], &[]];
        let written = After::write(&self.store, self.row, (number, word), shape, text);
        written.ok().flatten().unwrap_or_default()
    }
}
