//! What the journal has of live messages is written once more: to free disk, or since a sync failed.

use super::lock::{Append, Spare, Writer};
use super::{BATCH_BYTES, record};
use crate::error::Result;
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::steps::{State, Word};
use crate::sys::atomic::Ordering;

impl Handle {
    /// Frees disk: of the oldest segment what is still there is copied, until all segments are not much more than that.
    pub(super) fn compact(&self, writer: &mut Writer<'_>) -> Result<()> {
        let newest = writer.state.segment();
        while writer.is_due_to_compact() {
            let oldest = writer.state.oldest();
            if oldest > newest {
                // All was copied once. Messages of half a segment do not come closer together than that.
                writer.is_compact();
                return Ok(());
            }
            let live = self.live();
            let bytes = self.bytes(&live);
            if !writer.is_worth(bytes) {
                return Ok(());
            }
            if !self.copy(self.of_oldest(live, writer), writer)? {
                writer.is_compact();
                return Ok(());
            }
            writer.retire()?;
            writer.publish();
        }
        Ok(())
    }

    /// The disk is full: the oldest segment goes, if what is still there of it fits into what is kept free for that, or
    /// into a segment of its own. Whether it did.
    pub(super) fn make_room(&self, writer: &mut Writer<'_>) -> Result<bool> {
        let live = self.live();
        let all = self.bytes(&live);
        let copies = self.of_oldest(live, writer);
        let bytes = self.bytes(&copies);
        // With the headers of the batches they are in, and of the one that retires the segment.
        let room = bytes + (bytes / BATCH_BYTES + 2) * writer.batch().len();
        let is_alone = writer.state.oldest() == writer.state.segment();
        if (is_alone || room > writer.state.left()) && !writer.begin_for_copies(room, all)? {
            return Ok(false);
        }
        if !self.copy(copies, &mut Spare(writer))? {
            return Ok(false);
        }
        writer.retire()?;
        writer.publish();
        Ok(true)
    }

    /// What messages take in the journal.
    fn bytes(&self, messages: &[(u32, Word)]) -> u64 {
        messages.iter().map(|(number, word)| record::length(self, *number, *word)).sum()
    }

    /// Of live messages those of which the oldest segment has the newest record.
    fn of_oldest(&self, mut live: Vec<(u32, Word)>, writer: &Writer<'_>) -> Vec<(u32, Word)> {
        live.retain(|(number, _)| {
            let slot = self.store.slot(*number);
            slot.segment.load(Ordering::Relaxed) <= writer.state.oldest()
                && slot.id.load(Ordering::Relaxed) <= writer.state.last()
        });
        live
    }

    /// The messages that the journal has or is to have.
    fn live(&self) -> Vec<(u32, Word)> {
        let slots = self.store.slots();
        (0..slots.grown())
            .map(|number| (number, Word::of(&slots.slot(number).word)))
            .filter(|(number, word)| {
                let ended = matches!(
                    word.state(),
                    None | Some(State::Free | State::Writing | State::Part | State::Gone | State::Done)
                );
                !ended && slots.slot(*number).id.load(Ordering::Relaxed) != 0
            })
            .collect()
    }

    /// Writes messages that have an id once more, but for those whose memory was damaged: the record there is of such a
    /// one is the only good copy, and its segment is to stay. Whether there was none of them.
    fn copy(&self, messages: Vec<(u32, Word)>, to: &mut dyn Append) -> Result<bool> {
        let (mut left, mut all) = (messages.as_slice(), true);
        while !left.is_empty() {
            let (mut batch, mut count, mut copied) = (to.batch(), 0, Vec::new());
            while count < left.len() && batch.len() < BATCH_BYTES {
                let (number, word) = left[count];
                let id = self.store.slot(number).id.load(Ordering::Relaxed);
                match record::put(self, number, word, id, &mut batch) {
                    Ok(()) => copied.push(number),
                    Err(e) => {
                        self.left_out(e);
                        all = false;
                    }
                }
                count += 1;
            }
            if batch.count() > 0 {
                let segment = to.append(&mut batch)?;
                for number in copied {
                    self.store.slot(number).segment.store(segment, Ordering::Relaxed);
                }
            }
            left = &left[count..];
        }
        Ok(all)
    }

    /// Writes all live messages to a journal beside the poisoned one, which then takes its place.
    pub(super) fn start_over(&self, writer: &mut Writer<'_>) -> Result<()> {
        let live = self.live();
        let slots: Vec<u32> = live.iter().map(|(number, _)| *number).collect();
        let done = writer.start_over(|fresh| self.copy(live, fresh).map(drop));
        for slot in slots.iter().map(|number| self.store.slot(*number)) {
            if done.is_err() {
                // Where they are is no longer known: as if in the oldest segment, they are copied before that goes.
                slot.segment.store(0, Ordering::Relaxed);
            } else if slot.segment.load(Ordering::Relaxed) < writer.state.oldest() {
                // It could not be read, and the journal does not have it any more.
                slot.id.store(0, Ordering::Relaxed);
            }
        }
        writer.publish();
        done
    }
}
