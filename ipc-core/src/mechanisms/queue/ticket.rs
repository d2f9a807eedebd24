//! What becomes of a message, for the producer that waits for it.

use super::body::{self, After, Bytes};
use super::dead::{MAX_REASON, Reason};
use super::handle::Handle;
use super::producer::QueueProducer;
use super::shape::{ATTRIBUTES, Shape, TENSOR, TICKET};
use super::steps::{State, Word, unclaimed};
use super::store::Life;
use crate::domain::layout::ObjectId;
use crate::domain::waiter::wait_for;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{Ordering, fence};
use crate::sys::clock::{Deadline, monotonic_nanos};
use crate::value::{Content, Payload, Tensor, decode_tensor, encode_meta};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A claim on what becomes of one message. Dropping it gives the claim up; the message is worked on all the same.
pub struct Ticket {
    handle: Arc<Handle>,
    number: u32,
    /// In which the slot was filled, and what it says of us.
    filled: u64,
    mark: u64,
    /// What became of the message, once that was told.
    told: Option<Told>,
}

/// When messages with tickets become dead letters, if nobody takes them: each with its slot, and in which generation that
/// was filled.
#[derive(Default)]
pub struct Expiries {
    times: BinaryHeap<Reverse<(u64, u32, u64)>>,
    /// Where they become more than this, those go whose messages are gone.
    limit: usize,
}

impl Expiries {
    pub fn note(&mut self, handle: &Handle, expires: u64, number: u32, filled: u64) {
        self.times.push(Reverse((expires, number, filled)));
        if self.times.len() > self.limit {
            self.times.retain(|Reverse((_, number, filled))| holds(handle, *number, *filled));
            self.limit = 2 * self.times.len().max(64);
        }
    }

    /// The next of them that is not over.
    pub fn next(&mut self) -> Option<u64> {
        loop {
            let Reverse((expires, ..)) = *self.times.peek()?;
            if expires > monotonic_nanos() {
                return Some(expires);
            }
            self.times.pop();
        }
    }
}

/// Whether a slot still holds the message that it was filled with in `filled`.
fn holds(handle: &Handle, number: u32, filled: u64) -> bool {
    let slot = handle.store.slot(number);
    let word = Word::of(&slot.word);
    Life(slot.life.load(Ordering::Acquire)).generation() == filled && !word.is(State::Free)
}

/// What became of a message for good.
enum Told {
    Result(Outcome),
    Failed(ErrorKind, String),
}

/// What a consumer gave as the result of a message.
#[derive(Clone)]
pub struct Outcome {
    shape: Shape,
    bytes: Arc<Bytes>,
}

impl Outcome {
    /// Its bytes, 64-byte aligned; none if the consumer gave none.
    pub fn data(&self) -> &[u8] {
        &self.bytes.of(self.shape)[..self.shape.length()]
    }

    /// How to understand them.
    pub fn content(&self) -> Content {
        self.shape.content().unwrap_or_default()
    }

    /// Type and shape, if it is a tensor.
    pub fn tensor(&self) -> Result<Option<Tensor>> {
        if !self.shape.has(TENSOR) {
            return Ok(None);
        }
        decode_tensor(&self.bytes.of(self.shape)[self.shape.length()..], self.shape.length()).map(Some)
    }
}

/// Rows are numbered in this many bits of a mark.
const ROW_BITS: u32 = 13;

impl Ticket {
    /// Of the message that is about to be put, which is still the caller's.
    pub(super) fn new(handle: &Arc<Handle>, number: u32, word: Word) -> Ticket {
        let serial = handle.tickets.fetch_add(1, Ordering::Relaxed) + 1;
        let mark = serial << ROW_BITS | u64::from(handle.row + 1);
        let slot = handle.store.slot(number);
        slot.progress.store(0, Ordering::Relaxed);
        slot.ticket.store(mark, Ordering::Relaxed);
        Ticket { handle: handle.clone(), number, filled: word.generation(), mark, told: None }
    }

    /// The slot's word, as long as the slot holds our message.
    fn word(&self) -> Option<Word> {
        let slot = self.handle.store.slot(self.number);
        let word = Word::of(&slot.word);
        let ours = Life(slot.life.load(Ordering::Acquire)).generation() == self.filled
            && slot.ticket.load(Ordering::Acquire) == self.mark
            && !word.is(State::Free);
        ours.then_some(word)
    }

    /// How far the work is, from 0 to 1, as its consumer told.
    pub fn progress(&self) -> f64 {
        match self.word() {
            Some(_) => f64::from_bits(self.handle.store.slot(self.number).progress.load(Ordering::Relaxed)),
            None => 1.0,
        }
    }

    /// What became of the message, if that is known: the result, or `Rejected` with the reason when it is a dead letter,
    /// `NotFound` when somebody took it away. Asked again, it answers the same.
    pub fn try_result(&mut self) -> Result<Option<Outcome>> {
        self.handle.check_own()?;
        if self.told.is_none() {
            self.handle.check_open()?;
            self.told = self.look()?;
        }
        match &self.told {
            None => Ok(None),
            Some(Told::Result(outcome)) => Ok(Some(outcome.clone())),
            Some(Told::Failed(kind, text)) => Err(Error::new(*kind, text.clone())),
        }
    }

    /// What became of it; the message goes if it is done.
    fn look(&self) -> Result<Option<Told>> {
        if let Some(word) = self.word() {
            self.handle.bury_if_expired(self.number, word, monotonic_nanos());
        }
        let name = self.handle.name();
        let Some(word) = self.word() else {
            let text = format!("queue '{name}': the message is gone, somebody took it away");
            return Ok(Some(Told::Failed(ErrorKind::NotFound, text)));
        };
        if word.is(State::Dead) {
            let (reason, text) = self.handle.reason(self.number);
            self.give_up();
            let reason = reason.map_or("unknown", Reason::name);
            let text = if text.is_empty() { reason.into() } else { format!("{reason}: {text}") };
            let text = format!("queue '{name}': the message is dead, {text}");
            return Ok(Some(Told::Failed(ErrorKind::Rejected, text)));
        }
        if !word.is(State::Done) {
            return Ok(None);
        }
        let shape = Shape(self.handle.store.slot(self.number).after_shape.load(Ordering::Relaxed));
        let mut bytes = Bytes::default();
        body::read_after(&self.handle.store, (self.number, word), shape, &mut bytes)?;
        // That it is done the journal has been told before; what it does not take now it is told by the next.
        let _ = self.handle.free(self.number, word, false);
        Ok(Some(Told::Result(Outcome { shape, bytes: Arc::new(bytes) })))
    }

    fn give_up(&self) {
        let slot = self.handle.store.slot(self.number);
        let _ = slot.ticket.compare_exchange(self.mark, 0, Ordering::AcqRel, Ordering::Relaxed);
        self.handle.free_if_unclaimed(self.number);
    }
}

impl QueueProducer {
    /// Waits for what becomes of a message of this producer up to `timeout` (`None`: for ever); otherwise as
    /// [`Ticket::try_result`].
    pub fn result(&mut self, ticket: &mut Ticket, timeout: Option<Duration>) -> Result<Outcome> {
        let deadline = Deadline::after(timeout);
        let wait = self.wait();
        let attempt = &mut |producer: &mut QueueProducer| {
            producer.look_around()?;
            producer.handle().flush()?;
            // Before the look: what is over by then is told by it.
            producer.wake_at_expiry()?;
            ticket.try_result()
        };
        wait_for(self, wait, &deadline, attempt)?.ok_or_else(|| {
            let waited = timeout.unwrap_or_default();
            Error::new(ErrorKind::Timeout, format!("queue '{}': no result within {waited:?}", self.name()))
        })
    }
}

impl Handle {
    /// Ends a message with a result, which stays for the producer if it waits for it. `false`: the lease was lost. After
    /// `NotDurable` it is ended; after another error it is still the caller's.
    pub fn finish(&self, number: u32, word: Word, result: &Payload<'_>, wait: bool) -> Result<bool> {
        self.check_size("result", result.data.len())?;
        let slot = self.store.slot(number);
        let waits = Shape(slot.shape.load(Ordering::Relaxed)).has(TICKET);
        if !waits || slot.ticket.load(Ordering::Relaxed) == 0 {
            return self.free(number, word, wait);
        }
        let (tensor, attributes) = (result.tensor, result.attributes.filter(|a| !a.is_empty()));
        let meta = encode_meta(result.content, tensor, attributes, result.data.len())
            .map_err(|e| e.of("queue", self.name()))?;
        let flags = tensor.map_or(0, |_| TENSOR) | attributes.map_or(0, |_| ATTRIBUTES);
        let shape = Shape::new(result.data.len(), meta.len(), result.content, 0, flags);
        let written = After::write(&self.store, self.row, (number, word), shape, [result.data, &meta]);
        let result = match written {
            Ok(Some(written)) => written,
            none => return Err(self.no_room_for_result(result.data.len(), none.err())),
        };
        // Only now: until all is written the lease may end, and then somebody else has the message.
        let Some(held) = self.hold(number, word) else {
            result.free(&self.store);
            return Ok(false);
        };
        result.leave(slot);
        let filled = Life(slot.life.load(Ordering::Relaxed)).generation();
        if !held.change(&slot.word, held.then(State::Done, self.row)) {
            return Ok(false);
        }
        self.free_if_unclaimed(number);
        self.tell_ticket(number);
        self.journal_ended(number, filled, wait)?;
        Ok(true)
    }

    /// The error of a result for which there are not parts enough, or no memory.
    #[cold]
    fn no_room_for_result(&self, bytes: usize, error: Option<Error>) -> Error {
        let (kind, why) = match error {
            Some(e) => (e.kind(), format!("acknowledge it without one, or when there is memory: {e}")),
            None => {
                let why = "acknowledge it with a smaller one, or make the queue with a larger max_bytes";
                (ErrorKind::Full, why.into())
            }
        };
        let text = format!(
            "queue '{}': no room for a result of {bytes} bytes; the message was given back, to be delivered again: {why}",
            self.name()
        );
        Error::new(kind, text)
    }

    /// Frees a message that is done and that nobody waits for any more. Whoever gives a ticket up and whoever ends the
    /// message both come here after it (Q3).
    pub fn free_if_unclaimed(&self, number: u32) {
        let slot = self.store.slot(number);
        if let Some(word) = unclaimed(&slot.word, &slot.ticket) {
            // What the journal does not take now it is told by the next.
            let _ = self.free(number, word, false);
        }
    }

    /// Wakes the producer that waits for what becomes of a message, if it sleeps.
    pub fn tell_ticket(&self, number: u32) {
        self.ticket_row(number).into_iter().for_each(|row| self.wake_row(row));
    }

    /// The row of the handle that has the ticket of a message.
    pub fn ticket_row(&self, number: u32) -> Option<u32> {
        let slot = self.store.slot(number);
        if !Shape(slot.shape.load(Ordering::Relaxed)).has(TICKET) {
            return None;
        }
        (slot.ticket.load(Ordering::Relaxed) as u32 & ((1 << ROW_BITS) - 1)).checked_sub(1)
    }

    /// Wakes the handle with this row, if it sleeps.
    pub fn wake_row(&self, row: u32) {
        fence(Ordering::SeqCst);
        if row < self.store.object.rows()
            && self.store.object.row(row).armed.load(Ordering::Relaxed) & 1 == 1
            && let Some(holder) = self.store.object.holder(row)
        {
            self.store.object.ring(holder);
        }
    }

    /// Says how far the work on a message is. `false`: the lease was lost.
    pub fn note_progress(&self, number: u32, word: Word, done: f64) -> bool {
        let slot = self.store.slot(number);
        if Word::of(&slot.word) != word {
            return false;
        }
        slot.progress.store(done.to_bits(), Ordering::Relaxed);
        self.tell_ticket(number);
        true
    }

    /// Nobody waits any more for what a dead producer's row has tickets of.
    pub fn forget_tickets(&self, row: u32, id: ObjectId) {
        for number in 0..self.store.slots().grown() {
            let slot = self.store.slot(number);
            let mark = slot.ticket.load(Ordering::Acquire);
            // As long as the row is the dead one's, so is the mark.
            let theirs =
                mark as u32 & ((1 << ROW_BITS) - 1) == row + 1 && self.store.object.holder(row) == Some(id);
            if theirs && slot.ticket.compare_exchange(mark, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                self.free_if_unclaimed(number);
            }
        }
    }

    /// Why a message is dead, and in words if somebody said so.
    pub fn reason(&self, number: u32) -> (Option<Reason>, String) {
        let slot = self.store.slot(number);
        let word = Word::of(&slot.word);
        let reason = Reason::from_number(slot.reason.load(Ordering::Relaxed) as u8);
        let mut bytes = Bytes::default();
        let shape = Shape(slot.after_shape.load(Ordering::Relaxed));
        let told = slot.after.load(Ordering::Relaxed) != 0
            && shape.bytes() <= MAX_REASON
            && body::read_after(&self.store, (number, word), shape, &mut bytes).is_ok();
        let text = if told { String::from_utf8_lossy(bytes.of(shape)).into_owned() } else { String::new() };
        (reason, text)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.handle.domain().forked() && self.word().is_some() {
            self.give_up();
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:?}, progress {})", self.handle.name(), self.progress())
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outcome({} bytes)", self.shape.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Domain, DomainOptions};
    use crate::mechanisms::queue::{Put, QueueOptions};

    #[test]
    fn what_is_known_of_messages_that_are_gone_does_not_pile_up() {
        let place = tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap();
        let runtime_dir = Some(place.path().into());
        let domain = Domain::open_with(DomainOptions { runtime_dir, ..Default::default() }).unwrap();
        let options = QueueOptions { capacity: 2, ..Default::default() };
        let mut producer = domain.queue_producer("jobs", &options).unwrap();
        let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
        let later = Some(Duration::from_secs(1000));
        let put = Put { result: true, ttl: later, ..Put::default() };
        let mut first = producer.try_put(&Payload::raw(b"first"), &put).unwrap().ticket.unwrap();
        let kept = consumer.try_get().unwrap().unwrap();
        for _ in 0..1000 {
            drop(producer.try_put(&Payload::raw(b"x"), &put).unwrap());
            producer.try_put(&Payload::raw(b"y"), &put).unwrap_err();
            consumer.try_get().unwrap().unwrap().ack().unwrap();
        }
        assert!(producer.expiries().times.len() <= 128);
        let mut known =
            producer.expiries().times.iter().map(|Reverse((_, number, filled))| (*number, *filled));
        assert!(known.any(|of| of == (first.number, first.filled)));
        kept.ack().unwrap();
        assert!(first.try_result().unwrap().is_some());
    }
}
