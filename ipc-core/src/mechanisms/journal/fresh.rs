//! A journal that is written anew, beside the one that is poisoned.
//!
//! The segments of the new chain are marked provisional, so that they do not count. Once they are on the disk, one
//! without the mark follows, and with it all of them count and the older ones do not. A power cut at any time leaves
//! the one or the other.

use super::format::{Batch, Name};
use super::{Journal, State, chain};
use crate::error::{Error, ErrorKind, Result};
use tracing::warn;

/// A chain of segments in the making. Dropped, it leaves the journal as it was.
pub struct Fresh<'a> {
    journal: &'a mut Journal,
    old: &'a mut State,
    new: State,
    finished: bool,
    /// What was written may count after a power cut, so nothing of it may be missing.
    stays: bool,
}

impl Journal {
    /// Begins a fresh chain of segments beside a poisoned one, to which the caller appends all its live messages. The
    /// LSNs go on from [`State::last`]. The lock must be held until it is finished or dropped, and a state that is
    /// poisoned must have been published before.
    ///
    /// A process that ends before it is finished leaves segments that do not count; the next one that finishes
    /// removes them.
    pub fn start_over<'a>(&'a mut self, state: &'a mut State) -> Result<Fresh<'a>> {
        if !state.poisoned {
            let text = format!("journal {}: it is sound, and need not be written anew", self.disk.place());
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let names = chain::names(&mut *self.disk)?;
        let next = names.last().map_or(0, |name| name.number + 1).max(state.next);
        let new = State { provisional: true, ..State::before(next, state.last, state.durable) };
        let mut fresh = Fresh { journal: self, old: state, new, finished: false, stays: false };
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
        if let Err(e) = self.journal.rotate(&mut self.new, 0) {
            self.stays = self.new.poisoned;
            return Err(e);
        }
        if let Err(e) = self.journal.sync(&mut self.new) {
            self.stays = self.withdraw().is_err();
            return Err(e);
        }
        *self.old = self.new;
        self.finished = true;
        let oldest = self.new.oldest;
        self.discard(|name| name.number < oldest);
        Ok(())
    }

    /// Removes the segment that makes the others count, for certain and before them: it must not be found alone.
    fn withdraw(&mut self) -> Result<()> {
        self.journal.disk.remove(&self.new.name().to_string())?;
        self.journal.disk.sync_directory()
    }

    fn discard(&mut self, which: impl Fn(&Name) -> bool) {
        match chain::names(&mut *self.journal.disk) {
            Ok(names) => names.into_iter().filter(which).for_each(|name| self.journal.discard(name)),
            Err(e) => warn!("journal {}: files it does not need stay: {e}", self.journal.disk.place()),
        }
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Its numbers are used up: what is removed now could come back after a power cut.
        self.old.next = self.new.next;
        if !self.stays {
            let first = self.new.oldest;
            self.discard(|name| first > 0 && name.number >= first);
        }
    }
}
