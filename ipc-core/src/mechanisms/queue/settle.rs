//! What becomes of a message that somebody has: given back, leased for a time.

use super::dead::{Reason, is_over};
use super::handle::{Count, Handle};
use super::steps::{Cell, State, Word};
use super::store::Life;
use crate::sys::atomic::Ordering;
use crate::sys::clock::monotonic_nanos;
use std::time::Duration;

/// A time from now on the machine's monotonic clock, in nanoseconds.
pub fn after(delay: Duration) -> u64 {
    monotonic_nanos().saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
}

impl Handle {
    /// Makes a message that somebody has as `word` says ours alone: neither the end of its lease nor the end of the domain
    /// gives it to others while we write down what becomes of it. `None`: somebody was faster. Whoever ends here
    /// leaves a message that is given back.
    pub fn hold(&self, number: u32, word: Word) -> Option<Word> {
        let held = word.then(State::Held, self.row);
        word.change(&self.store.slot(number).word, held).then_some(held)
    }

    /// Gives a message back that somebody has as `word` says, for after `delay`; one that was delivered often enough is
    /// dead, and so is one for which it is too late. Whether nobody was faster. The handle with this `row`, or whoever
    /// sets right what it left, sees to it that others learn of it.
    pub fn give_back(&self, number: u32, mut word: Word, delay: Duration, row: u32) -> bool {
        let slot = self.store.slot(number);
        let most = self.store.head().max_attempts.load(Ordering::Relaxed);
        if most != 0 && u64::from(Life(slot.life.load(Ordering::Relaxed)).attempts()) >= most {
            return self.bury(number, word, Reason::Attempts, "");
        }
        if is_over(slot.expires.load(Ordering::Relaxed), monotonic_nanos()) {
            return self.bury(number, word, Reason::Expired, "");
        }
        let state = if delay.is_zero() { State::Returned } else { State::Delayed };
        if state == State::Delayed {
            let Some(held) = self.hold(number, word) else { return false };
            slot.due.store(after(delay), Ordering::Relaxed);
            word = held;
        }
        let returned = word.then(state, row);
        if !word.change(&slot.word, returned) {
            return false;
        }
        self.count(Count::Returned, 1);
        self.name_aside(number, returned);
        self.journal_later(number, Life(slot.life.load(Ordering::Relaxed)).generation());
        true
    }

    /// Ends a lease whose time is over.
    pub fn end_lease(&self, number: u32, word: Word) {
        self.give_back(number, word, Duration::ZERO, self.row);
    }

    /// Names a message that is not in line, so that every consumer learns of it; where there is no memory for the lane,
    /// that there is one.
    pub fn name_aside(&self, number: u32, word: Word) {
        let slots = self.store.slots();
        let is_aside = |cell: Cell| {
            cell.slot() < slots.grown() && {
                let word = Word::of(&slots.slot(cell.slot()).word);
                let aside = matches!(word.state(), Some(State::Returned | State::Delayed | State::Timed));
                aside && cell.means(word)
            }
        };
        let head = self.store.head();
        match self.store.used_side() {
            Ok(lane) => drop(lane.fill_keeping(&head.side.tail, number, word.generation(), is_aside)),
            Err(_) => drop(head.unnamed.fetch_add(1, Ordering::AcqRel)),
        }
        self.tell_item();
    }

    /// Lets a lease end after `lease` from now, whatever it was before. The word it has then; `None`: it was lost.
    pub fn set_lease(&self, number: u32, word: Word, lease: Duration) -> Option<Word> {
        let slot = self.store.slot(number);
        // Nobody ends it by a time that is just changing.
        let held = self.hold(number, word)?;
        slot.due.store(after(lease), Ordering::Relaxed);
        let timed = held.then(State::Timed, self.row);
        if !held.change(&slot.word, timed) {
            return None;
        }
        self.name_aside(number, timed);
        Some(timed)
    }
}
