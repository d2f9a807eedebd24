//! The journal: an append-only log on a disk, from which what lived in shared memory is made again after a reboot.
//!
//! It is a chain of segments, files of one directory. Records are appended in batches, one write each, and are
//! durable once [`Journal::sync`] has returned. Several processes use one journal, one at a time: the caller holds
//! a lock around every call and keeps a [`State`] in shared memory, with which the next one goes on. If the one
//! before it died in the middle of a call, [`Journal::verify`] finds out how far it came.
//!
//! What is on the disk is never believed without a checksum. After a power cut any of the sectors that were not
//! synced may be there or not, so the log is cut off at the first batch that is not whole ([`Journal::recover`]),
//! unless something behind it says that it had been durable: then the disk has lost what it had promised to keep, and
//! nothing is touched. What follows a cut never comes back: the next segment says where the one that was cut
//! ends, or, where a full disk has no room for one, zeros take the place of what was cut off.
//!
//! A failed sync means that nobody knows what is on the disk, though reading shows what was written. The journal is
//! *poisoned* then, for all processes, until it is written anew ([`Journal::start_over`]).

mod chain;
mod format;
mod fresh;
mod recover;
mod state;
mod verify;

#[cfg(any(test, fuzzing))]
pub mod hostile;
#[cfg(any(test, fuzzing))]
pub mod simulator;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::disk::Disk;
pub use format::{Batch, Kept, Kind, MAX_BODY, Name, Record};
use format::{HEADER, Header, Link, MAX_NUMBER};
pub use fresh::Fresh;
#[cfg(test)]
pub use recover::Recovery;
pub use recover::Torn;
pub use state::{STATE_WORDS, State};
use std::ops::Range;
use tracing::warn;

/// Bytes of a segment, unless one batch needs more. Few where a test goes through every step.
const SEGMENT: u64 = if cfg!(any(test, crash_points)) { 4 << 10 } else { 8 << 20 };

/// Bytes of a segment that are kept free at its end: only copies use them that make room on a full disk.
const SPARE: u64 = SEGMENT / 8;

/// A journal as one process uses it. It remembers nothing that is not on the disk or in the [`State`].
pub struct Journal {
    disk: Box<dyn Disk>,
    /// For the headers of new segments.
    kept: Kept,
    /// Bytes of new segments, and those of them that stay free.
    segment: u64,
    spare: u64,
}

impl Journal {
    fn new(disk: Box<dyn Disk>, kept: Kept) -> Journal {
        Journal { disk, kept, segment: SEGMENT, spare: SPARE }
    }

    /// Takes part in a journal that others use, with the same `kept`; `NotFound` if the directory has none.
    pub fn resume(mut disk: Box<dyn Disk>, kept: Kept) -> Result<Journal> {
        if chain::names(&mut *disk)?.is_empty() {
            let text = format!(
                "journal {}: it is not there; let all processes use the same data directory (AXONIC_DATA_DIR)",
                disk.place()
            );
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        Ok(Journal::new(disk, kept))
    }

    /// What was kept when it was last read; nothing if there is no journal, or none that can be read. Only looks.
    pub fn kept(mut disk: Box<dyn Disk>) -> Result<Kept> {
        let found = chain::find(&mut *disk)?;
        Ok(chain::select(&mut *disk, &found)?.map_or(Kept::default(), |chain| chain.newest().kept))
    }

    /// Appends a batch, whose first LSN must be the one after [`State::last`], with one write, and tells the number of
    /// the segment it is in. After an error it is not in the journal; only if that is poisoned, a power cut may show it.
    ///
    /// A process that ends here leaves a batch that is not whole, or one that [`Journal::verify`] finds.
    pub fn append(&mut self, state: &mut State, batch: &mut Batch) -> Result<u64> {
        self.append_leaving(self.spare, state, batch)
    }

    /// The same, into what others leave free at the end of a segment.
    pub fn append_to_spare(&mut self, state: &mut State, batch: &mut Batch) -> Result<u64> {
        self.append_leaving(0, state, batch)
    }

    /// Begins a segment of just the size that `bytes` of such copies need, if of all segments so much is not `live` that one
    /// of the usual size will be free. Whether it did.
    pub fn begin_for_copies(&mut self, state: &mut State, bytes: u64, live: u64) -> Result<bool> {
        self.check(state)?;
        let is_worth = state.bytes >= live + self.segment;
        if is_worth {
            self.begin(state, 0, bytes)?;
        }
        Ok(is_worth)
    }

    /// Bytes that are free on the disk, as far as it tells.
    pub fn room(&self) -> u64 {
        self.disk.room()
    }

    fn append_leaving(&mut self, spare: u64, state: &mut State, batch: &mut Batch) -> Result<u64> {
        self.check(state)?;
        if batch.first() != state.last + 1 {
            let text = format!("a batch that begins with LSN {} cannot follow {}", batch.first(), state.last);
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        self.put(state, batch, state.oldest, spare)?;
        Ok(state.segment)
    }

    /// Appends a batch that calls the segment `oldest` the oldest one that counts, and leaves so many bytes free behind it.
    fn put(&mut self, state: &mut State, batch: &mut Batch, oldest: u64, spare: u64) -> Result<()> {
        if batch.len() + spare > state.left() {
            self.rotate(state, batch.len() + spare)?;
        }
        let bytes = batch.seal(state.name(), state.end, state.durable, oldest);
        if let Err(e) = self.disk.write_at(&state.name().to_string(), state.end, bytes) {
            self.undo(state, batch.len());
            return Err(e);
        }
        state.end += batch.len();
        state.last += batch.count();
        Ok(())
    }

    /// Afterwards every record appended is on the disk. A failure poisons the journal.
    pub fn sync(&mut self, state: &mut State) -> Result<()> {
        self.check(state)?;
        if !state.is_synced() {
            let names = self.unsynced(state)?;
            self.sync_all(state, &names).inspect_err(|_| state.poisoned = true)?;
            state.mark_synced();
        }
        Ok(())
    }

    /// Removes the oldest segment, of whose messages the caller has appended copies. These are durable before.
    ///
    /// A process that ends here leaves the segment, or a file that no longer counts.
    pub fn retire(&mut self, state: &mut State) -> Result<()> {
        self.check(state)?;
        let oldest = state.oldest;
        let names = chain::names(&mut *self.disk)?;
        let next = self.segment_after(oldest, state.segment, &names)?;
        let (Some(old), Some(next)) = (names.iter().find(|name| name.number == oldest), next) else {
            let text = format!("journal {}: its only segment cannot be retired", self.disk.place());
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        };
        // An empty batch tells that the segment is missing by intent. (A header must not: what is before it may be lost.)
        self.put(state, &mut Batch::new(state.last + 1), next.number, 0)?;
        self.sync(state)?;
        let size = self.disk.open(&old.to_string())?;
        state.oldest = next.number;
        state.bytes = state.bytes.saturating_sub(size);
        self.discard(*old);
        Ok(())
    }

    /// The segment behind the oldest one. A file without a byte is none: a recovery on a full disk has made it.
    fn segment_after(&mut self, oldest: u64, newest: u64, names: &[Name]) -> Result<Option<Name>> {
        for name in names.iter().filter(|name| name.number > oldest && name.number <= newest) {
            if self.disk.open(&name.to_string())? > 0 {
                return Ok(Some(*name));
            }
        }
        Ok(None)
    }

    /// Removes a segment that does not count any more. One that stays takes room and harms nothing.
    fn discard(&mut self, name: Name) {
        if let Err(e) = self.disk.remove(&name.to_string()) {
            warn!("journal {}: a file it does not need stays: {e}", self.disk.place());
        }
    }

    /// Begins a segment that a batch of `room` bytes fits in. On failure there is none.
    fn rotate(&mut self, state: &mut State, room: u64) -> Result<()> {
        self.begin(state, self.segment, room)
    }

    /// Begins a segment of at least so many bytes.
    ///
    /// A process that ends here leaves a segment without a header, which [`Journal::verify`] removes, or a whole one.
    fn begin(&mut self, state: &mut State, least: u64, room: u64) -> Result<()> {
        if state.next.max(state.last + 1) >= MAX_NUMBER {
            return Err(self.used_up());
        }
        let name = Name { number: state.next, salt: self.disk.salt() };
        // Used up whatever happens: an earlier file of this number could come back after a power cut.
        state.next += 1;
        let mut mark = Batch::new(state.last + 1);
        let used = HEADER as u64 + mark.len();
        let size = least.max(used + room);
        self.disk.create(&name.to_string(), size)?;
        let oldest = if state.oldest == 0 { name.number } else { state.oldest };
        let header = self.header(state, name, oldest, size).encode();
        // The empty batch tells a damaged header from one that was never written.
        let begin = [&header, mark.seal(name, HEADER as u64, state.durable, oldest)].concat();
        if let Err(e) = self.disk.write_at(&name.to_string(), 0, &begin) {
            self.forget(state, name);
            return Err(e);
        }
        state.enter(name, oldest, used, size);
        Ok(())
    }

    /// Nobody counts that far.
    fn used_up(&self) -> Error {
        let text = format!(
            "journal {}: its numbers are beyond any that it can have reached; restore the directory from a copy, or move it away to begin with nothing (AXONIC_DATA_DIR says where it is)",
            self.disk.place()
        );
        Error::new(ErrorKind::Corrupt, text)
    }

    /// The header of the segment that follows the current one, if there is any.
    fn header(&self, state: &State, name: Name, oldest: u64, size: u64) -> Header {
        let previous = (state.segment != 0).then(|| Link { name: state.name(), end: state.end });
        let (first, durable, provisional) = (state.last + 1, state.durable, state.provisional);
        Header { name, first, previous, oldest, durable, provisional, kept: self.kept, size }
    }

    /// Takes back a batch whose write failed. It must not be there after a power cut either, when a shorter one that
    /// took its place may be missing.
    fn undo(&mut self, state: &mut State, length: u64) {
        let name = state.name().to_string();
        let zeros = vec![0; length as usize];
        let undone = self.disk.write_at(&name, state.end, &zeros).and_then(|()| self.disk.sync(&name));
        state.poisoned |= undone.is_err();
    }

    /// Takes back a segment whose header could not be written. It must not come back after a power cut, since it says
    /// where the one before it ends.
    fn forget(&mut self, state: &mut State, name: Name) {
        let removed = self.disk.remove(&name.to_string()).and_then(|()| self.disk.sync_directory());
        state.poisoned |= removed.is_err();
    }

    /// The segments that may not be on the disk yet, oldest first.
    fn unsynced(&mut self, state: &State) -> Result<Vec<Name>> {
        if state.unsynced_segment == state.segment {
            return Ok(vec![state.name()]);
        }
        let mut names = chain::names(&mut *self.disk)?;
        names.retain(|name| (state.unsynced_segment..=state.segment).contains(&name.number));
        Ok(names)
    }

    fn sync_all(&mut self, state: &State, names: &[Name]) -> Result<()> {
        names.iter().try_for_each(|name| self.disk.sync(&name.to_string()))?;
        if state.unsynced_directory { self.disk.sync_directory() } else { Ok(()) }
    }

    /// Writes again what is there. A sync that failed unseen, because its process died, has left pages that look as
    /// if they were on the disk; now they will be written.
    fn rewrite(&mut self, name: Name, range: Range<u64>) -> Result<()> {
        let mut buffer = vec![0; (range.end.saturating_sub(range.start) as usize).min(1 << 20)];
        for at in range.clone().step_by(buffer.len().max(1)) {
            let length = (range.end - at).min(buffer.len() as u64) as usize;
            let count = self.disk.read_at(&name.to_string(), at, &mut buffer[..length])?;
            self.disk.write_at(&name.to_string(), at, &buffer[..count])?;
        }
        Ok(())
    }

    /// Writes zeros, whatever is there.
    fn clear(&mut self, name: Name, range: Range<u64>) -> Result<()> {
        let zeros = vec![0; (range.end.saturating_sub(range.start) as usize).min(1 << 20)];
        for at in range.clone().step_by(zeros.len().max(1)) {
            let length = (range.end - at).min(zeros.len() as u64) as usize;
            self.disk.write_at(&name.to_string(), at, &zeros[..length])?;
        }
        Ok(())
    }

    fn check(&self, state: &State) -> Result<()> {
        if !state.poisoned {
            return Ok(());
        }
        let text = format!(
            "journal {}: an earlier write to the disk failed, so what it holds is not known and it takes nothing more until it is written anew; look into the system's log (dmesg), and if the disk fails set AXONIC_DATA_DIR to a directory on a sound one",
            self.disk.place()
        );
        Err(Error::new(ErrorKind::Io, text))
    }
}
