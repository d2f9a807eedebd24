//! A message as the journal has it: what is known of it, the payload and its metadata, and why it is dead in words.
//!
//! Times are those of the wall clock, the only one that goes on over a reboot.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::journal::{Batch, Kind, MAX_BODY};
use crate::mechanisms::queue::body::{self, Bytes};
use crate::mechanisms::queue::dead::MAX_REASON;
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::shape::{Shape, TICKET};
use crate::mechanisms::queue::steps::{State, Word};
use crate::mechanisms::queue::store::{Life, MAX_PAYLOAD};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{monotonic_nanos, unix_millis};
use crate::value::MAX_META;

/// Bytes of what is known of a message.
const FACTS: usize = 40;
const _: () = assert!(FACTS + MAX_REASON + MAX_PAYLOAD + MAX_META <= MAX_BODY);

/// What is known of a message beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub shape: Shape,
    /// Milliseconds since 1970; zero: at once, and never.
    pub due: u64,
    pub expires: u64,
    pub attempts: u16,
    /// [`crate::mechanisms::queue::dead::Reason`] as a number; zero: it is not dead.
    pub reason: u8,
    pub text: Vec<u8>,
}

impl Facts {
    /// Of the message in a slot; what changes meanwhile is named once more.
    fn of(handle: &Handle, number: u32, word: Word) -> Facts {
        let slot = handle.store.slot(number);
        let is_dead = word.is(State::Dead);
        let (reason, text) = if is_dead { handle.reason(number) } else { (None, String::new()) };
        let due = if word.is(State::Delayed) { slot.due.load(Ordering::Relaxed) } else { 0 };
        Facts {
            shape: Shape(slot.shape.load(Ordering::Relaxed) & !TICKET),
            due: to_wall(due),
            expires: to_wall(slot.expires.load(Ordering::Relaxed)),
            attempts: Life(slot.life.load(Ordering::Relaxed)).attempts(),
            reason: reason.map_or(0, |reason| reason as u8),
            text: text.into_bytes(),
        }
    }

    fn encode(&self, to: &mut [u8]) {
        let put = |to: &mut [u8], at: usize, bytes: &[u8]| to[at..at + bytes.len()].copy_from_slice(bytes);
        put(to, 0, &self.shape.0.to_le_bytes());
        put(to, 8, &self.due.to_le_bytes());
        put(to, 16, &self.expires.to_le_bytes());
        put(to, 24, &self.attempts.to_le_bytes());
        to[26] = self.reason;
        put(to, 32, &(self.text.len() as u64).to_le_bytes());
        put(to, FACTS, &self.text);
    }

    /// Reads them, and what follows them.
    pub fn decode(bytes: &[u8]) -> Result<(Facts, &[u8])> {
        let broken = || Error::new(ErrorKind::Corrupt, "a record of its journal is not one of a queue");
        let (facts, rest) = bytes.split_at_checked(FACTS).ok_or_else(broken)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| facts[at + i]));
        let (text, rest) = rest.split_at_checked(word(32) as usize).ok_or_else(broken)?;
        let facts = Facts {
            shape: Shape(word(0)),
            due: word(8),
            expires: word(16),
            attempts: u16::from_le_bytes([facts[24], facts[25]]),
            reason: facts[26],
            text: text.to_vec(),
        };
        Ok((facts, rest))
    }
}

/// Bytes that a message takes in the journal at most.
pub fn length(handle: &Handle, number: u32, word: Word) -> u64 {
    let shape = Shape(handle.store.slot(number).shape.load(Ordering::Relaxed));
    let text = if word.is(State::Dead) { handle.reason(number).1.len() } else { 0 };
    (FACTS + text + shape.bytes() + 64) as u64
}

/// Adds a message to a batch; nothing if its memory was damaged.
pub fn put(handle: &Handle, number: u32, word: Word, id: u64, batch: &mut Batch) -> Result<()> {
    let facts = Facts::of(handle, number, word);
    let mut bytes = Bytes::default();
    body::read(&handle.store, number, facts.shape, &mut bytes)?;
    let payload = bytes.of(facts.shape);
    let record = batch.push(Kind::Put, id, FACTS + facts.text.len() + payload.len())?;
    facts.encode(record);
    record[FACTS + facts.text.len()..].copy_from_slice(payload);
    Ok(())
}

/// Adds what changed of a message to a batch.
pub fn note(handle: &Handle, number: u32, word: Word, id: u64, batch: &mut Batch) -> Result<()> {
    let facts = Facts::of(handle, number, word);
    facts.encode(batch.push(Kind::Note, id, FACTS + facts.text.len())?);
    Ok(())
}

/// A time of the machine's monotonic clock as one of the wall clock; zero stays zero.
fn to_wall(nanos: u64) -> u64 {
    if nanos == 0 {
        0
    } else {
        unix_millis().saturating_add(nanos.saturating_sub(monotonic_nanos()) / 1_000_000)
    }
}

/// The reverse: a time that is over is now.
pub fn from_wall(millis: u64) -> u64 {
    if millis == 0 {
        return 0;
    }
    let left = millis.saturating_sub(unix_millis());
    monotonic_nanos().saturating_add(left.saturating_mul(1_000_000)).max(1)
}
