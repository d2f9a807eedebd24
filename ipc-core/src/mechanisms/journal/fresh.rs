//! A journal that is written anew, beside the one that is poisoned.
//!
//! The segments of the new chain are marked provisional, so that they do not count. Once they are on the disk, one
//! without the mark follows, and with it all of them count and the older ones do not. A power cut at any time leaves
//! the one or the other.

use super::format::{Batch, Name};
use super::{Journal, State, chain};
use crate::error::Result;

/// A chain of segments in the making. Dropped, it leaves the journal as it was.
pub struct Fresh<'a> {
    journal: &'a mut Journal,
    old: &'a mut State,
    new: State,
    finished: bool,
}

impl Journal {
    /// Begins a fresh chain of segments, to which the caller appends all its live messages. The LSNs go on from
    /// [`State::last`]. The lock must be held until it is finished or dropped.
    ///
    /// A process that ends before it is finished leaves segments that do not count; [`Journal::verify`] removes them.
    pub fn start_over<'a>(&'a mut self, state: &'a mut State) -> Result<Fresh<'a>> {
        let names = chain::names(&mut *self.disk)?;
        let next = names.last().map_or(0, |name| name.number + 1).max(state.next);
        let new = State { provisional: true, ..State::before(next, state.last, state.durable) };
        let mut fresh = Fresh { journal: self, old: state, new, finished: false };
        // A process that died in here may have left some.
        fresh.discard(&names);
        fresh.journal.rotate(&mut fresh.new, 0)?;
        Ok(fresh)
    }
}

impl Fresh<'_> {
    /// How far the new chain has come.
    pub fn state(&self) -> &State {
        &self.new
    }

    /// Like [`Journal::append`], to the new chain.
    pub fn append(&mut self, batch: &mut Batch) -> Result<u64> {
        self.journal.append(&mut self.new, batch)
    }

    /// Makes the new chain durable, and only then the one that counts. Older segments are removed. After an error the
    /// journal is as poisoned as before.
    pub fn finish(mut self) -> Result<()> {
        self.journal.sync(&mut self.new)?;
        self.new.provisional = false;
        self.journal.rotate(&mut self.new, 0)?;
        self.journal.sync(&mut self.new)?;
        *self.old = self.new;
        self.finished = true;
        for name in chain::names(&mut *self.journal.disk)? {
            if name.number < self.new.oldest {
                self.journal.discard(name);
            }
        }
        Ok(())
    }

    /// Removes those of `names` that are newer than the old chain.
    fn discard(&mut self, names: &[Name]) {
        let newer = names.iter().filter(|name| name.number > self.old.segment);
        newer.for_each(|name| self.journal.discard(*name));
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Its numbers are used up: what is removed now could come back after a power cut.
        self.old.next = self.new.next;
        if let Ok(names) = chain::names(&mut *self.journal.disk) {
            self.discard(&names);
        }
    }
}
