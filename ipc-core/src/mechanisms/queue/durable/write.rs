//! What the one does that has the lock: it writes to the journal what was named, and makes it durable.

use super::lock::{Append, Writer};
use super::{BATCH_BYTES, record};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::journal::{Batch, Kind};
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::steps::{Cell, Look, State, Word};
use crate::mechanisms::queue::store::Life;
use crate::sys::atomic::Ordering;
use crate::sys::clock::coarse_millis;
use std::time::Instant;
use tracing::warn;

impl Handle {
    /// Writes what was named to the journal, and frees what is done with. What a full disk has just refused it is not asked
    /// for again.
    pub(super) fn write_named(&self, writer: &mut Writer<'_>) -> Result<()> {
        if let Some(refused) = writer.refused() {
            return Err(refused);
        }
        self.write_batches(writer).inspect_err(|e| {
            if e.kind() == ErrorKind::NoSpace {
                writer.refuse(e);
            }
        })
    }

    /// Batch by batch. A message whose memory was damaged is told of once and holds up no other.
    fn write_batches(&self, writer: &mut Writer<'_>) -> Result<()> {
        if writer.state.is_poisoned() {
            self.start_over(writer)?;
        }
        let (mut damaged, newest) = (None, writer.state.segment());
        loop {
            let mut batch = writer.batch();
            let mut position = writer.written;
            let mut walk = self.store.log().walk(position);
            let (mut put, mut gone) = (Vec::<(u64, u32)>::new(), Vec::new());
            let mut left_out = Vec::new();
            while batch.len() < BATCH_BYTES {
                match self.store.log().look(position) {
                    Look::Full(cell) => {
                        let last = writer.state.last();
                        let added = self.write_slot(cell, &mut batch, last, &mut put, &mut gone);
                        left_out.extend(added.err());
                    }
                    Look::Empty => break,
                    Look::Past if walk.is_lost() => {
                        return Err(self.damaged("the lane of its log has no end"));
                    }
                    Look::Past => {}
                }
                position = walk.on(position, || 0);
            }
            if position == writer.written {
                return damaged.map_or(Ok(()), Err);
            }
            if batch.count() > 0 {
                // The ids they got would be given again.
                let last = writer.state.last();
                let appended = writer.append(&mut batch).inspect_err(|_| self.forget_unwritten(last));
                let segment = match appended {
                    // Each segment goes once: there is an end to that.
                    Err(e)
                        if e.kind() == ErrorKind::NoSpace
                            && writer.state.oldest() <= newest
                            && matches!(self.make_room(writer), Ok(true)) =>
                    {
                        continue;
                    }
                    appended => appended?,
                };
                put.iter().for_each(|(_, number)| {
                    self.store.slot(*number).segment.store(segment, Ordering::Relaxed);
                });
            }
            for (number, word) in gone {
                self.free_now(number, word);
            }
            writer.written = position;
            writer.publish();
            left_out.into_iter().for_each(|e| damaged = Some(self.left_out(e)));
            if let Err(e) = self.compact(writer) {
                // What was to be written is. A sync tells if the journal is poisoned.
                warn!("queue '{}': its journal takes more of the disk than it needs: {e}", self.name());
                if e.kind() == ErrorKind::NoSpace { writer.is_full() } else { writer.is_compact() }
            }
        }
    }

    /// The error of a message whose memory was damaged. Told of each at once, since what writes may not be a call that tells.
    #[cold]
    pub(super) fn left_out(&self, error: Error) -> Error {
        let text =
            format!("a message that cannot be read is not in the journal, what else was named is: {error}");
        let error = Error::new(ErrorKind::Corrupt, text).of("queue", self.name());
        warn!("{error}");
        error
    }

    /// Adds to a batch what the journal is to know of a slot.
    fn write_slot(
        &self,
        cell: Cell,
        batch: &mut Batch,
        last: u64,
        put: &mut Vec<(u64, u32)>,
        gone: &mut Vec<(u32, Word)>,
    ) -> Result<()> {
        if cell.slot() >= self.store.slots().grown() {
            return Ok(());
        }
        let slot = self.store.slot(cell.slot());
        let word = Word::of(&slot.word);
        let life = Life(slot.life.load(Ordering::Acquire));
        if !cell.means(Word::new(State::Free, 0, life.generation())) {
            return Ok(());
        }
        let id = slot.id.load(Ordering::Relaxed);
        // An id beyond what was there when this batch began is of this batch, or of one that a dead writer did not
        // come to write (J1).
        let of_batch = || put.binary_search(&(id, cell.slot())).is_ok();
        let known = id != 0 && (id <= last || of_batch());
        match word.state() {
            Some(State::Gone | State::Done) => {
                if known {
                    batch.push(Kind::Gone, id, 0)?;
                }
                if word.is(State::Gone) {
                    gone.push((cell.slot(), word));
                }
            }
            None | Some(State::Free | State::Writing | State::Part) => {}
            Some(_) if known => record::note(self, cell.slot(), word, id, batch)?,
            Some(_) => {
                let id = batch.first() + batch.count();
                record::put(self, cell.slot(), word, id, batch)?;
                slot.id.store(id, Ordering::Relaxed);
                put.push((id, cell.slot()));
            }
        }
        Ok(())
    }

    /// After the death of one who wrote: messages for which it did not come to write the ids they got are to be written.
    pub(super) fn forget_unwritten(&self, last: u64) {
        let slots = self.store.slots();
        for slot in (0..slots.grown()).map(|number| slots.slot(number)) {
            if slot.id.load(Ordering::Relaxed) > last {
                slot.id.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Makes durable what is written; if the disk fails, everything is written anew elsewhere on it.
    pub(super) fn sync_named(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (journal, begun) = (self.store.journal(), Instant::now());
        let group = writer.written.saturating_sub(self.durable()?);
        if let Err(e) = writer.sync() {
            if !writer.state.is_poisoned() {
                return Err(e);
            }
            writer.publish();
            warn!("queue '{}': a sync failed, its journal is written anew: {e}", self.name());
            self.start_over(writer)?;
        }
        writer.publish();
        journal.synced.store(coarse_millis(), Ordering::Relaxed);
        journal.group.store(group, Ordering::Relaxed);
        journal.pace.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        journal.durable.fetch_max(writer.written, Ordering::AcqRel);
        Ok(())
    }
}
