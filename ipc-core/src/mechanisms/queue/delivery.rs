//! A message that was taken and is to be settled.

use super::body::Bytes;
use super::handle::{Count, Handle};
use super::shape::{ATTRIBUTES, Shape, TENSOR};
use super::steps::Word;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{Attributes, Content, Tensor, decode_attributes, decode_tensor};
use std::sync::Arc;

/// A message taken from a queue: nobody else gets it until it is settled, given back, or its consumer is dead.
/// Dropping it gives it back. `Send`; any thread may settle it.
pub struct Delivery {
    handle: Arc<Handle>,
    number: u32,
    /// What the slot's word is as long as the message is ours.
    word: Word,
    shape: Shape,
    attempt: u16,
    pub(super) bytes: Bytes,
    settled: bool,
}

impl Delivery {
    pub(super) fn new(handle: Arc<Handle>, number: u32, word: Word, shape: Shape, attempt: u16) -> Delivery {
        Delivery { handle, number, word, shape, attempt, bytes: Bytes::default(), settled: false }
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
        self.attempt
    }

    /// A number that is greater for each later delivery of the same message, to tell a storage that a late writer is
    /// late.
    pub fn token(&self) -> u64 {
        self.word.generation()
    }

    /// The message is done with and goes.
    #[inline]
    pub fn ack(mut self) -> Result<()> {
        self.settled = true;
        if !self.handle.free(self.number, self.word) {
            return Err(self.lost());
        }
        self.handle.count(Count::Acked, 1);
        Ok(())
    }

    /// Gives it back, to be delivered again at once.
    pub fn nack(mut self) -> Result<()> {
        self.settled = true;
        if self.handle.give_back(self.number, self.word)? { Ok(()) } else { Err(self.lost()) }
    }

    #[cold]
    fn lost(&self) -> Error {
        let text = format!(
            "queue '{}': the lease of delivery {} ran out, the message is no longer this consumer's; ask for a longer lease, or extend it",
            self.handle.name(),
            self.attempt
        );
        Error::new(ErrorKind::LeaseLost, text)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled && !self.handle.domain().forked() {
            let _ = self.handle.give_back(self.number, self.word);
        }
    }
}
