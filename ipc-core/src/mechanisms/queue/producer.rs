//! The producing side of a queue.

use super::body;
use super::handle::{Count, Handle};
use super::pool::Stock;
use super::shape::{ATTRIBUTES, Shape, TENSOR};
use super::steps::{State, Word};
use super::store::{PART, PRIORITIES, WANTS_ROOM};
use super::{Put, QueueOptions};
use crate::domain::object::Seat;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis};
use crate::value::{Payload, encode_meta};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

/// Puts messages into a queue. One thread uses it at a time.
pub struct QueueProducer {
    seat: Seat,
    handle: Arc<Handle>,
    options: QueueOptions,
    slots: Stock,
    parts: Stock,
}

/// A message ready to be put.
struct Ready<'a> {
    data: &'a [u8],
    meta: Vec<u8>,
    shape: Shape,
}

impl QueueProducer {
    pub(super) fn new(seat: Seat, handle: Handle, options: QueueOptions) -> QueueProducer {
        seat.row().wants.store(WANTS_ROOM, Ordering::Relaxed);
        QueueProducer {
            seat,
            handle: Arc::new(handle),
            options,
            slots: Stock::default(),
            parts: Stock::default(),
        }
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Puts raw bytes, waiting for room up to `timeout` (`None`: for ever).
    #[inline]
    pub fn put(&mut self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        if self.put_quickly(data)? {
            return Ok(());
        }
        self.put_payload(&Payload::raw(data), &Put::default(), timeout)
    }

    /// Puts a message, waiting for room up to `timeout` (`None`: for ever).
    pub fn put_payload(&mut self, payload: &Payload<'_>, put: &Put, timeout: Option<Duration>) -> Result<()> {
        let ready = self.prepare(payload, put)?;
        if self.attempt(&ready, false)? {
            return Ok(());
        }
        self.wait_for_room(&ready, timeout)
    }

    /// Puts a message if there is room, or fails with `WouldBlock`.
    pub fn try_put(&mut self, payload: &Payload<'_>, put: &Put) -> Result<()> {
        let ready = self.prepare(payload, put)?;
        if self.attempt(&ready, true)? || self.waits_by_descriptor()? && self.attempt(&ready, true)? {
            return Ok(());
        }
        Err(self.full(ErrorKind::WouldBlock))
    }

    /// The common case: raw bytes for which there is room; `false`: it is not.
    #[inline(always)]
    fn put_quickly(&mut self, data: &[u8]) -> Result<bool> {
        if data.len() > super::store::INLINE || !self.handle.domain().usable() {
            return Ok(false);
        }
        let shape = Shape::new(data.len(), 0, crate::value::Content::Raw, 0, 0);
        let taken =
            self.handle.store.slots().take(&mut self.slots, State::Writing, self.seat.number, false)?;
        let Some((number, word)) = taken else { return Ok(false) };
        self.fill(number, word, data, &[], shape)?;
        self.commit(number, word, 0)?;
        Ok(true)
    }

    fn prepare<'a>(&self, payload: &Payload<'a>, put: &Put) -> Result<Ready<'a>> {
        self.enter()?;
        if usize::from(put.priority) >= PRIORITIES {
            let text = format!(
                "queue '{}': priority {} is not possible; use 0 to {}, the highest is served first",
                self.name(),
                put.priority,
                PRIORITIES - 1
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let (tensor, attributes) = (payload.tensor, payload.attributes.filter(|a| !a.is_empty()));
        let meta = encode_meta(payload.content, tensor, attributes, payload.data.len())
            .map_err(|e| e.of("queue", self.name()))?;
        let most = self.handle.store.plan.parts * PART;
        if payload.data.len() + meta.len() > most.max(super::store::INLINE) {
            let text = format!(
                "queue '{}': a message of {} bytes is over what it can hold, {most} bytes; make the queue with a larger max_bytes",
                self.name(),
                payload.data.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let flags = tensor.map_or(0, |_| TENSOR) | attributes.map_or(0, |_| ATTRIBUTES);
        let shape = Shape::new(payload.data.len(), meta.len(), payload.content, put.priority, flags);
        Ok(Ready { data: payload.data, meta, shape })
    }

    /// Puts it if there is room. `thorough`: before it says that there is none, it looks everywhere.
    fn attempt(&mut self, ready: &Ready<'_>, thorough: bool) -> Result<bool> {
        let row = self.seat.number;
        let taken = self.handle.store.slots().take(&mut self.slots, State::Writing, row, thorough)?;
        let Some((number, word)) = taken else { return Ok(false) };
        match self.fill(number, word, ready.data, &ready.meta, ready.shape) {
            Ok(true) => {
                self.commit(number, word, usize::from(ready.shape.priority()))?;
                Ok(true)
            }
            other => {
                self.handle.free(number, word);
                other
            }
        }
    }

    #[inline(always)]
    fn fill(&mut self, number: u32, word: Word, data: &[u8], meta: &[u8], shape: Shape) -> Result<bool> {
        let relaxed = Ordering::Relaxed;
        let slot = self.handle.store.slot(number);
        slot.shape.store(shape.0, relaxed);
        slot.since.store(coarse_millis(), relaxed);
        slot.expires.store(0, relaxed);
        body::write(
            &self.handle.store,
            &mut self.parts,
            self.seat.number,
            (number, word.generation()),
            data,
            meta,
        )
    }

    /// The put itself (Q2).
    #[inline(always)]
    fn commit(&mut self, number: u32, word: Word, priority: usize) -> Result<()> {
        let store = &self.handle.store;
        let lane = store.used_lane(priority)?;
        let ready = word.then(State::Ready, self.seat.number);
        store.slot(number).word.store(ready.0, Ordering::Release);
        lane.fill(&store.head().lanes[priority].tail, number, ready.generation());
        self.handle.count(Count::Put, 1);
        self.handle.tell_item();
        Ok(())
    }

    fn wait_for_room(&mut self, ready: &Ready<'_>, timeout: Option<Duration>) -> Result<()> {
        self.handle.count(Count::Blocked, 1);
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        let mut spins = 0;
        let attempt = &mut |producer: &mut QueueProducer| {
            producer.enter()?;
            producer.look_around()?;
            spins += 1;
            // The first look, and those around sleep.
            let thorough = spins == 1 || producer.seat.row().armed.load(Ordering::Relaxed) & 1 == 1;
            Ok(producer.attempt(ready, thorough)?.then_some(()))
        };
        wait_for(self, wait, &deadline, attempt)?.ok_or_else(|| self.full(ErrorKind::Timeout))
    }

    fn waits_by_descriptor(&mut self) -> Result<bool> {
        if !self.seat.waiter.is_evented() {
            return Ok(false);
        }
        if self.settle()? == Some(true) {
            self.tidy()?;
        }
        self.look_around()?;
        Ok(true)
    }

    /// Watches who has come, and sets right what the dead left.
    fn look_around(&mut self) -> Result<()> {
        if self.seat.watch()? { self.tidy() } else { Ok(()) }
    }

    #[inline(always)]
    fn enter(&self) -> Result<()> {
        self.handle.enter()
    }

    #[cold]
    fn full(&self, kind: ErrorKind) -> Error {
        let plan = &self.handle.store.plan;
        let text = format!(
            "queue '{}': no room, it holds {} messages and {} bytes of large ones at most; take some, or make it with a larger capacity or max_bytes",
            self.name(),
            plan.capacity,
            plan.parts * PART
        );
        Error::new(kind, text)
    }

    /// The pollable descriptor: readable when a put that failed with `WouldBlock` is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        Ok(self.seat.waiter.watch_descriptor())
    }

    /// Ends it; the same as dropping it.
    pub fn close(self) {}
}

impl Sleeper for QueueProducer {
    /// A consumer may leave its deliveries by `exec`.
    const LOOKS_AT_LOCKS: bool = true;

    fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.seat.row().armed, count: Some(&self.handle.store.head().room) }
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.seat.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.handle.recover()
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        let arming = Arming {
            armed: &self.seat.object.row(self.seat.number).armed,
            count: Some(&self.handle.store.head().room),
        };
        self.seat.waiter.settle(arming)
    }
}

impl Drop for QueueProducer {
    fn drop(&mut self) {
        if self.handle.domain().forked() {
            return;
        }
        self.handle.store.slots().give_stock(&mut self.slots);
        self.handle.store.parts().give_stock(&mut self.parts);
        self.seat.end();
    }
}
