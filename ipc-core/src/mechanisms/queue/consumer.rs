//! The consuming side of a queue.

use super::QueueOptions;
use super::body;
use super::delivery::Delivery;
use super::handle::{Count, Handle};
use super::steps::{Look, State, Word};
use super::store::{Life, PRIORITIES, WANTS_ITEMS};
use crate::domain::object::Seat;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

/// Takes messages from a queue. One thread uses it at a time; its deliveries may be settled by others.
pub struct QueueConsumer {
    seat: Seat,
    handle: Arc<Handle>,
    options: QueueOptions,
    /// Where to look in each lane.
    heads: [u64; PRIORITIES],
    /// When deaths were last asked for, in coarse milliseconds.
    asked: u64,
}

/// Deaths are asked for this often by a consumer that always finds something, and so never sleeps.
const ASK_EVERY: u64 = 10;

impl QueueConsumer {
    pub(super) fn new(seat: Seat, handle: Handle, options: QueueOptions) -> QueueConsumer {
        seat.row().wants.store(WANTS_ITEMS, Ordering::Relaxed);
        let heads = [0; PRIORITIES];
        QueueConsumer { seat, handle: Arc::new(handle), options, heads, asked: coarse_millis() }
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The next message if there is one.
    pub fn try_get(&mut self) -> Result<Option<Delivery>> {
        self.handle.enter()?;
        if let Some(delivery) = self.take()? {
            return Ok(Some(delivery));
        }
        if !self.seat.waiter.is_evented() {
            return Ok(None);
        }
        if self.settle()? == Some(true) {
            self.tidy()?;
        }
        self.look()
    }

    /// Waits for the next message up to `timeout` (`None`: for ever).
    #[inline]
    pub fn get(&mut self, timeout: Option<Duration>) -> Result<Delivery> {
        self.handle.enter()?;
        if let Some(delivery) = self.take()? {
            return Ok(delivery);
        }
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        let attempt = &mut |consumer: &mut QueueConsumer| {
            consumer.handle.enter()?;
            consumer.look()
        };
        wait_for(self, wait, &deadline, attempt)?.ok_or_else(|| self.timed_out(timeout))
    }

    /// A look of one who is about to sleep.
    fn look(&mut self) -> Result<Option<Delivery>> {
        if self.seat.watch()? {
            self.tidy()?;
        }
        self.take()
    }

    /// Takes the first message there is.
    #[inline(always)]
    fn take(&mut self) -> Result<Option<Delivery>> {
        let now = coarse_millis();
        if now - self.asked > ASK_EVERY {
            self.ask_for_deaths(now)?;
        }
        let mut used = self.handle.store.head().lanes_used.load(Ordering::Acquire) & ((1 << PRIORITIES) - 1);
        while used != 0 {
            let priority = used.ilog2() as usize;
            used &= !(1 << priority);
            if let Some((number, word)) = self.take_first(priority) {
                return self.deliver(number, word, now).map(Some);
            }
        }
        Ok(None)
    }

    #[cold]
    fn ask_for_deaths(&mut self, now: u64) -> Result<()> {
        self.asked = now;
        if self.seat.watch()? || self.seat.waiter.sleep(Some(Duration::ZERO))? { self.tidy() } else { Ok(()) }
    }

    /// Takes the first message of a lane (Q2).
    #[inline(always)]
    fn take_first(&mut self, priority: usize) -> Option<(u32, Word)> {
        let store = &self.handle.store;
        let (lane, slots) = (store.lane(priority), store.slots());
        let hint = &store.head().lanes[priority].head;
        let mut position = self.heads[priority].max(hint.load(Ordering::Relaxed));
        let taken = loop {
            let cell = match lane.look(position) {
                Look::Full(cell) => cell,
                Look::Empty => break None,
                Look::Past => {
                    position += 1;
                    continue;
                }
            };
            position += 1;
            let number = cell.slot();
            if number >= slots.grown() {
                continue;
            }
            let word = Word::of(&slots.slot(number).word);
            let leased = word.then(State::Leased, self.seat.number);
            if word.is(State::Ready) && cell.means(word) && word.change(&slots.slot(number).word, leased) {
                // Where it was in line; should it come back, that is its place again.
                slots.slot(number).position.store(position - 1, Ordering::Relaxed);
                break Some((number, leased));
            }
        };
        if self.heads[priority] < position {
            self.heads[priority] = position;
            hint.store(position, Ordering::Relaxed);
        }
        taken
    }

    /// Hands a message out that is leased to us.
    #[inline(always)]
    fn deliver(&mut self, number: u32, word: Word, now: u64) -> Result<Delivery> {
        let slot = self.handle.store.slot(number);
        let life = Life(slot.life.load(Ordering::Relaxed)).delivered();
        slot.life.store(life.0, Ordering::Relaxed);
        slot.since.store(now, Ordering::Relaxed);
        let shape = super::shape::Shape(slot.shape.load(Ordering::Relaxed));
        let mut delivery = Delivery::new(self.handle.clone(), number, word, shape, life.attempts());
        body::read(&self.handle.store, number, shape, &mut delivery.bytes)?;
        self.handle.count(Count::Delivered, 1);
        Ok(delivery)
    }

    #[cold]
    fn timed_out(&self, timeout: Option<Duration>) -> Error {
        let waited = timeout.unwrap_or_default();
        Error::new(ErrorKind::Timeout, format!("queue '{}': no message within {waited:?}", self.name()))
    }

    /// The pollable descriptor: readable until `try_get` has returned `None`.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.handle.enter()?;
        Ok(self.seat.waiter.watch_descriptor())
    }

    /// Ends it; the same as dropping it. Deliveries that are not settled stay its own until they are.
    pub fn close(self) {}
}

impl Sleeper for QueueConsumer {
    /// Another consumer may leave its deliveries by `exec`, and one that was rung for may be stopped that instant.
    const LOOKS_AT_LOCKS: bool = true;

    fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.seat.row().armed, count: Some(&self.handle.store.head().items) }
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
            count: Some(&self.handle.store.head().items),
        };
        self.seat.waiter.settle(arming)
    }
}

impl Drop for QueueConsumer {
    fn drop(&mut self) {
        if !self.handle.domain().forked() {
            self.seat.end();
        }
    }
}
