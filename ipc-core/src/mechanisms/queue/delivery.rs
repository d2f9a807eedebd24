//! A message that was taken and is to be settled.

use super::body::Bytes;
use super::dead::Reason;
use super::handle::{Count, Handle};
use super::shape::{ATTRIBUTES, Shape, TENSOR, TICKET};
use super::steps::Word;
use super::store::Life;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::value::{Attributes, Content, Payload, Tensor, decode_attributes, decode_tensor, preview};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A message taken from a queue: nobody else gets it until it is settled, given back, or its consumer is dead.
/// Dropping it gives it back. `Send`; any thread may settle it.
pub struct Delivery {
    handle: Arc<Handle>,
    number: u32,
    /// What the slot's word is as long as the message is ours.
    word: Word,
    shape: Shape,
    /// As it was when the message was taken: the slot may hold another by now.
    life: Life,
    pub(super) bytes: Bytes,
    settled: bool,
    /// Settling it waits for the disk.
    pub(super) wait: bool,
}

impl Delivery {
    pub(super) fn new(handle: Arc<Handle>, number: u32, word: Word, shape: Shape, life: Life) -> Delivery {
        Delivery { handle, number, word, shape, life, bytes: Bytes::default(), settled: false, wait: false }
    }

    /// The payload, 64-byte aligned.
    pub fn data(&self) -> &[u8] {
        &self.bytes.of(self.shape)[..self.shape.length()]
    }

    fn meta(&self) -> &[u8] {
        &self.bytes.of(self.shape)[self.shape.length()..]
    }

    /// How to understand its bytes.
    pub fn content(&self) -> Content {
        self.shape.content().unwrap_or_default()
    }

    /// Type and shape, if it is a tensor.
    pub fn tensor(&self) -> Result<Option<Tensor>> {
        if !self.shape.has(TENSOR) {
            return Ok(None);
        }
        decode_tensor(self.meta(), self.shape.length())
            .map(Some)
            .map_err(|e| e.of("queue", self.handle.name()))
    }

    /// Its CloudEvents attributes; empty if it has none.
    pub fn attributes(&self) -> Result<Attributes> {
        if !self.shape.has(ATTRIBUTES) {
            return Ok(Attributes::new());
        }
        decode_attributes(self.meta(), self.shape.has(TENSOR)).map_err(|e| e.of("queue", self.handle.name()))
    }

    /// Its priority, 0 to 7.
    pub fn priority(&self) -> u8 {
        self.shape.priority()
    }

    /// The number of this delivery of the message, from 1.
    pub fn attempt(&self) -> u16 {
        self.life.attempts()
    }

    /// A number that is greater for each later delivery of the same message, to tell a storage that a late writer is
    /// late.
    pub fn token(&self) -> u64 {
        let changes = self.word.generation().wrapping_sub(self.life.generation()).min(u64::from(u32::MAX));
        self.handle.store.journal().boot.load(Ordering::Relaxed) << 32 | changes
    }

    /// The message is done with and goes. After `NotDurable` it does, too; it is not known to be on the disk.
    #[inline]
    pub fn ack(mut self) -> Result<()> {
        self.handle.check_own()?;
        if self.shape.has(TICKET) {
            return self.ack_with(&Payload::raw(b""));
        }
        self.settled = true;
        let freed = self.handle.free(self.number, self.word, self.wait);
        self.acked(freed)
    }

    #[inline(always)]
    fn acked(&self, done: Result<bool>) -> Result<()> {
        if matches!(done, Ok(false)) {
            return Err(self.lost());
        }
        self.handle.count(Count::Acked, 1);
        done.map(drop)
    }

    /// The message is done with; `result`, up to 64 MiB, is what its producer gets that waits for it. One that is not
    /// possible, or for which there is no room or no memory, gives the message back, to be delivered again.
    /// After `NotDurable` it is done with all the same.
    pub fn ack_with(mut self, result: &Payload<'_>) -> Result<()> {
        self.handle.check_own()?;
        let done = self.handle.finish(self.number, self.word, result, self.wait);
        if let Err(e) = &done
            && e.kind() != ErrorKind::NotDurable
        {
            return done.map(drop);
        }
        self.settled = true;
        self.acked(done)
    }

    /// Gives it back, to be delivered again after `delay`.
    pub fn nack(mut self, delay: Duration) -> Result<()> {
        self.handle.check_own()?;
        self.settled = true;
        if self.give_back(delay) { Ok(()) } else { Err(self.lost()) }
    }

    fn give_back(&self, delay: Duration) -> bool {
        self.handle.give_back(self.number, self.word, delay, self.word.row())
    }

    /// Nobody is to get it any more: it goes to the dead letters, with the reason. Of that, 4,096 bytes are kept.
    pub fn reject(mut self, reason: &str) -> Result<()> {
        self.handle.check_own()?;
        self.settled = true;
        if self.handle.bury(self.number, self.word, Reason::Rejected, reason) {
            Ok(())
        } else {
            Err(self.lost())
        }
    }

    /// From now on it is this consumer's for `lease`, whatever was left of it.
    pub fn extend(&mut self, lease: Duration) -> Result<()> {
        self.handle.check_own()?;
        match self.handle.set_lease(self.number, self.word, lease) {
            Some(word) => {
                self.word = word;
                Ok(())
            }
            None => Err(self.lost()),
        }
    }

    /// Tells a producer that waits for the result how far the work is, from 0 to 1.
    pub fn progress(&self, done: f64) -> Result<()> {
        self.handle.check_own()?;
        if !(0.0..=1.0).contains(&done) {
            let text = format!("queue '{}': progress {done} is not possible; use 0 to 1", self.handle.name());
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        if self.handle.note_progress(self.number, self.word, done) { Ok(()) } else { Err(self.lost()) }
    }

    /// Whether it is still this consumer's.
    pub fn is_leased(&self) -> bool {
        Word::of(&self.handle.store.slot(self.number).word) == self.word
    }

    #[cold]
    fn lost(&self) -> Error {
        let text = format!(
            "queue '{}': the lease of delivery {} ran out, the message is no longer this consumer's; ask for a longer lease, or extend it",
            self.handle.name(),
            self.attempt()
        );
        Error::new(ErrorKind::LeaseLost, text)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled && !self.handle.domain().forked() {
            self.give_back(Duration::ZERO);
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = preview(self.content(), None, self.data(), 40);
        write!(f, "Delivery({shown}, queue {:?}, attempt {})", self.handle.name(), self.attempt())
    }
}
