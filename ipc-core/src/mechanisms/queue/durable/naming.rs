//! The log lane: the slots whose messages have changed, until that is in the journal.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::steps::{Look, State, Word};
use crate::mechanisms::queue::store::{LOG_MARGIN, Life};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;

impl Handle {
    /// Names a slot whose message, filled in `filled`, has changed. The position in the log lane after it. After an error
    /// the change is owed.
    pub fn name_for_journal(&self, number: u32, filled: u64, until: &Deadline) -> Result<u64> {
        let mut written = self.written();
        while !self.has_log_room(written) {
            let owed = &self.store.journal().owed;
            let wrote = self.write_out(Some(until));
            let moved = std::mem::replace(&mut written, self.written()) != written;
            if !moved {
                owed.fetch_add(1, Ordering::AcqRel);
                wrote?;
                return Err(if until.passed() {
                    self.held_up_on_disk()
                } else {
                    self.damaged("it has more to write down than was named")
                });
            }
        }
        Ok(self.name_slot(number, filled))
    }

    #[cold]
    fn held_up_on_disk(&self) -> Error {
        let text = format!(
            "queue '{}': very many changes wait for the disk, and whoever writes them does not come on; `axonic doctor` tells who that is",
            self.name()
        );
        Error::new(ErrorKind::Timeout, text)
    }

    /// Whether one more can be named, if the log lane is in the journal up to `written`.
    pub fn has_log_room(&self, written: u64) -> bool {
        let room = self.store.plan.log_cells as u64 - LOG_MARGIN;
        self.store.journal().log.tail.load(Ordering::Relaxed) <= written.saturating_add(room)
    }

    fn name_slot(&self, number: u32, filled: u64) -> u64 {
        self.store.log().fill(&self.store.journal().log.tail, number, filled).wrapping_add(1)
    }

    pub fn owes(&self) -> bool {
        let journal = self.store.journal();
        // Where less is owed than was repaid, one of them is wrong.
        journal.owed.load(Ordering::Acquire) != journal.repaid.load(Ordering::Acquire)
    }

    /// If a change is owed, names all slots, since nobody knows in which it was; as soon as the log lane has room.
    pub fn name_owed(&self) {
        let (journal, slots) = (self.store.journal(), self.store.slots());
        // What is owed from here on still is when these are named.
        let repaid = journal.repaid.load(Ordering::Acquire);
        let count = journal.owed.load(Ordering::Acquire);
        if count == repaid {
            return;
        }
        for number in 0..slots.grown() {
            if !self.has_log_room(self.written()) {
                return;
            }
            if !Word::of(&slots.slot(number).word).is(State::Free) {
                self.name_slot(number, Life(slots.slot(number).life.load(Ordering::Acquire)).generation());
            }
        }
        // Whoever was faster may have named what was owed before only, or more than we.
        let _ = journal.repaid.compare_exchange(repaid, count, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether something was named and is not written, or is not even named.
    pub fn is_behind(&self) -> Result<bool> {
        let written = self.written();
        let has_room = self.has_log_room(written);
        if self.store.log().look(written) != Look::Empty {
            return Ok(true);
        }
        // What is named in the lane begins where the journal ends.
        if has_room { Ok(self.owes()) } else { Err(self.damaged("it has more to write down than was named")) }
    }

    /// The end of the log lane. What others are just naming comes before what they are told.
    pub fn last_named(&self) -> u64 {
        let mut position = self.store.journal().log.tail.load(Ordering::Acquire).max(self.written());
        let lane = self.store.log();
        let mut walk = lane.walk(position);
        while lane.look(position) != Look::Empty && !walk.is_lost() {
            position = walk.on(position, || self.written());
        }
        position
    }
}
