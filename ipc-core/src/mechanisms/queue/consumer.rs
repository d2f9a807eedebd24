//! The consuming side of a queue.

use super::body;
use super::dead::Reason;
use super::delivery::Delivery;
use super::handle::{Count, Handle};
use super::side::Side;
use super::steps::{Look, State, Word};
use super::store::{Life, PRIORITIES, Slot, WANTS_ITEMS};
use super::{Get, QueueOptions};
use crate::domain::Wait;
use crate::domain::object::Seat;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::linger;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis, monotonic_nanos};
use std::fmt;
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
    /// What is not in line.
    side: Side,
    /// When deaths were last asked for, in coarse milliseconds.
    asked: u64,
    /// The last message was there when it was asked for.
    streaming: bool,
}

/// Deaths are asked for this often by a consumer that always finds something, and so never sleeps.
const ASK_EVERY: u64 = 10;

impl QueueConsumer {
    pub(super) fn new(seat: Seat, handle: Handle, options: QueueOptions) -> QueueConsumer {
        seat.row().wants.store(WANTS_ITEMS, Ordering::Relaxed);
        let (heads, side) = ([0; PRIORITIES], Side::new(&handle));
        QueueConsumer {
            seat,
            handle: Arc::new(handle).attach(),
            options,
            heads,
            side,
            asked: coarse_millis(),
            streaming: false,
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The next message if there is one.
    pub fn try_get(&mut self) -> Result<Option<Delivery>> {
        self.try_get_with(&Get::default())
    }

    /// Waits for the next message up to `timeout` (`None`: for ever).
    #[inline]
    pub fn get(&mut self, timeout: Option<Duration>) -> Result<Delivery> {
        self.get_with(&Get::default(), timeout)
    }

    /// The next message if there is one, for as long as `get` says.
    pub fn try_get_with(&mut self, get: &Get) -> Result<Option<Delivery>> {
        self.enter()?;
        self.handle.check_durable(get.durable)?;
        if let Some(delivery) = self.take(get)? {
            return Ok(Some(delivery));
        }
        if !self.seat.waiter.is_evented() {
            return Ok(None);
        }
        if self.settle()? == Some(true) {
            self.tidy()?;
        }
        let taken = self.look(get)?;
        if taken.is_some() {
            // Its bell is silent, and there may be more.
            self.seat.waiter.stay_readable();
        }
        Ok(taken)
    }

    /// Waits for the next message up to `timeout` (`None`: for ever); it is this consumer's for as long as `get` says.
    #[inline]
    pub fn get_with(&mut self, get: &Get, timeout: Option<Duration>) -> Result<Delivery> {
        self.enter()?;
        self.handle.check_durable(get.durable)?;
        if let Some(delivery) = self.take(get)? {
            self.streaming = true;
            return Ok(delivery);
        }
        self.get_slowly(get, timeout)
    }

    #[cold]
    fn get_slowly(&mut self, get: &Get, timeout: Option<Duration>) -> Result<Delivery> {
        if std::mem::take(&mut self.streaming) && self.options.wait != Wait::Block {
            linger();
        }
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        let attempt = &mut |consumer: &mut QueueConsumer| {
            consumer.enter()?;
            consumer.look(get)
        };
        wait_for(self, wait, &deadline, attempt)?.ok_or_else(|| self.timed_out(timeout))
    }

    /// Takes up to `most` messages that are there. Those that do not satisfy the schema are told of only if there is no
    /// other.
    pub fn try_get_many(&mut self, most: usize, get: &Get) -> Result<Vec<Delivery>> {
        let (mut taken, mut refused) = (Vec::new(), None);
        while taken.len() < most {
            let next = if taken.is_empty() { self.try_get_with(get) } else { self.take(get) };
            match next {
                Ok(Some(delivery)) => taken.push(delivery),
                Ok(None) => break,
                Err(e) if e.kind() == ErrorKind::Decode => refused = refused.or(Some(e)),
                Err(e) if taken.is_empty() => return Err(e),
                // What was taken comes first; what went wrong is told by the next call.
                Err(_) => break,
            }
        }
        refused.filter(|_| taken.is_empty()).map_or(Ok(taken), Err)
    }

    /// Waits for a message up to `timeout`, and takes up to `most` that are there then.
    pub fn get_many(&mut self, most: usize, get: &Get, timeout: Option<Duration>) -> Result<Vec<Delivery>> {
        let mut taken = self.try_get_many(most, get)?;
        if taken.is_empty() && most > 0 {
            taken.push(self.get_with(get, timeout)?);
            let more = self.try_get_many(most - 1, get);
            // What was taken comes first.
            taken.extend(more.unwrap_or_default());
        }
        Ok(taken)
    }

    /// A look of one who is about to sleep.
    fn look(&mut self, get: &Get) -> Result<Option<Delivery>> {
        if self.seat.watch()? {
            self.tidy()?;
        }
        let taken = self.take(get)?;
        if taken.is_none() {
            let due = [self.side.next_due(), self.handle.flush()?];
            due.into_iter().flatten().min().map_or(Ok(()), |due| self.seat.waiter.wake_at(due))?;
        }
        Ok(taken)
    }

    /// Takes the first message there is: of the highest priority, by their places in line, what is not in it included.
    #[inline(always)]
    fn take(&mut self, get: &Get) -> Result<Option<Delivery>> {
        let now = coarse_millis();
        if now - self.asked > ASK_EVERY {
            self.ask_for_deaths(now)?;
        }
        self.side.read(&self.handle);
        if self.side.next_due().is_some() {
            self.side.run(&self.handle, monotonic_nanos());
        }
        let beside = self.side.priorities();
        let used = self.handle.store.head().lanes_used.load(Ordering::Acquire) & ((1 << PRIORITIES) - 1);
        let mut left = used | beside;
        while left != 0 {
            let priority = left.ilog2() as usize;
            left &= !(1 << priority);
            let (aside, in_line) = (beside & 1 << priority != 0, used & 1 << priority != 0);
            let taken = if aside { self.take_aside(priority, in_line)? } else { None };
            let taken = match taken {
                None if in_line => self.take_first(priority, u64::MAX)?,
                taken => taken,
            };
            if let Some((number, word)) = taken {
                return self.deliver(number, word, now, get).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes the first message of a priority that is not in line, or what is in line before it.
    #[cold]
    fn take_aside(&mut self, priority: usize, in_line: bool) -> Result<Option<(u32, Word)>> {
        while let Some((position, number, word)) = self.side.first(&self.handle, priority) {
            let before = if in_line { self.take_first(priority, position)? } else { None };
            if before.is_some() {
                return Ok(before);
            }
            self.side.pop(priority);
            if let Some(leased) = self.lease(number, word) {
                return Ok(Some((number, leased)));
            }
        }
        Ok(None)
    }

    /// Makes a message ours, unless somebody was faster or it is too late for it.
    #[inline(always)]
    fn lease(&self, number: u32, word: Word) -> Option<Word> {
        let slot = self.handle.store.slot(number);
        let leased = word.then(State::Leased, self.seat.number);
        let expires = slot.expires.load(Ordering::Relaxed);
        if !word.change(&slot.word, leased) {
            return None;
        }
        if expires != 0 && slot.expires.load(Ordering::Relaxed) <= monotonic_nanos() {
            self.handle.bury(number, leased, Reason::Expired, "");
            return None;
        }
        Some(leased)
    }

    #[cold]
    fn ask_for_deaths(&mut self, now: u64) -> Result<()> {
        self.asked = now;
        if self.seat.watch()? || self.seat.waiter.sleep(Some(Duration::ZERO))? { self.tidy() } else { Ok(()) }
    }

    /// Takes the first message of a lane (Q2) whose place is before this one.
    #[inline(always)]
    fn take_first(&mut self, priority: usize, before: u64) -> Result<Option<(u32, Word)>> {
        let store = &self.handle.store;
        let (lane, slots) = (store.lane(priority), store.slots());
        let hint = &store.head().lanes[priority].head;
        let mut position = self.heads[priority].max(hint.load(Ordering::Relaxed));
        let mut walk = lane.walk(position);
        let taken = loop {
            let cell = match lane.look(position) {
                Look::Full(cell) if position < before => cell,
                Look::Empty | Look::Full(_) => break None,
                Look::Past if walk.is_lost() => return Err(self.handle.damaged("a lane has no end")),
                Look::Past => {
                    let tail = &store.head().lanes[priority].tail;
                    position =
                        walk.on(position, || tail.load(Ordering::Relaxed).saturating_sub(lane.cells()));
                    continue;
                }
            };
            position = position.wrapping_add(1);
            let number = cell.slot();
            if number >= slots.grown() {
                continue;
            }
            let word = Word::of(&slots.slot(number).word);
            if !word.is(State::Ready) || !cell.means(word) {
                continue;
            }
            if let Some(leased) = self.lease(number, word) {
                // Where it was in line, which is not before what it says; should it come back, that is its place again. What
                // the slot holds by now, should it be another message, is behind that.
                let (slot, at) = (slots.slot(number), position.wrapping_sub(1));
                if slot.position.load(Ordering::Relaxed) != at {
                    slot.position.fetch_max(at, Ordering::Relaxed);
                }
                break Some((number, leased));
            }
        };
        if self.heads[priority] < position {
            self.heads[priority] = position;
            // Never back, as the tail.
            hint.fetch_max(position, Ordering::Relaxed);
        }
        Ok(taken)
    }

    /// Hands a message out that is leased to us.
    #[inline(always)]
    fn deliver(&mut self, number: u32, word: Word, now: u64, get: &Get) -> Result<Delivery> {
        let slot = self.handle.store.slot(number);
        let life = count_delivery(slot, word);
        if slot.since.load(Ordering::Relaxed) != now {
            // Never back: should we be late, the next one's is newer.
            slot.since.fetch_max(now, Ordering::Relaxed);
        }
        let shape = super::shape::Shape(slot.shape.load(Ordering::Relaxed));
        let mut delivery = Delivery::new(self.handle.clone(), number, word, shape, life);
        delivery.wait = get.durable.unwrap_or(self.handle.waits_for_disk());
        body::read(&self.handle.store, number, shape, &mut delivery.bytes)?;
        if !delivery.is_leased() {
            // The domain was closed in between.
            self.handle.check_open()?;
        }
        self.handle.count(Count::Delivered, 1);
        if let Some(lease) = get.lease {
            delivery.extend(lease)?;
        }
        if self.options.schema.is_some() { self.check(delivery) } else { Ok(delivery) }
    }

    /// What does not satisfy the schema goes to the dead letters.
    #[cold]
    fn check(&self, delivery: Delivery) -> Result<Delivery> {
        let checked = self.options.schema.as_ref().map(|s| s.check(delivery.content(), delivery.data()));
        let Some(Err(e)) = checked else { return Ok(delivery) };
        let text = format!(
            "queue '{}': a message went to the dead letters: {}; put it with the same schema",
            self.name(),
            e.message()
        );
        delivery.reject(e.message())?;
        Err(Error::new(ErrorKind::Decode, text))
    }

    /// Usable as it is, or in a forked child opened anew.
    #[inline(always)]
    pub(super) fn enter(&mut self) -> Result<()> {
        if self.handle.domain().usable() { Ok(()) } else { self.reopen() }
    }

    #[cold]
    fn reopen(&mut self) -> Result<()> {
        self.handle.check_open()?;
        *self = self.handle.domain().current()?.queue_consumer(self.name(), &self.options)?;
        Ok(())
    }

    #[cold]
    fn timed_out(&self, timeout: Option<Duration>) -> Error {
        let waited = timeout.unwrap_or_default();
        Error::new(ErrorKind::Timeout, format!("queue '{}': no message within {waited:?}", self.name()))
    }

    /// The pollable descriptor: readable until `try_get` has returned `None`.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        self.seat.waiter.look_regularly()?;
        Ok(self.seat.waiter.watch_descriptor())
    }

    /// Ends it; the same as dropping it. Deliveries that are not settled stay its own until they are.
    pub fn close(self) {}
}

/// Counts a delivery of the message that is leased as `word` says. Where it was given away in between, since the domain was
/// closed, nothing is changed of another that the slot may hold by now.
#[inline(always)]
fn count_delivery(slot: &Slot, word: Word) -> Life {
    // Read before the word: as long as that is ours, so is this.
    let mut life = Life(slot.life.load(Ordering::Acquire));
    if Word::of(&slot.word) != word {
        return life;
    }
    loop {
        let more = life.delivered();
        match slot.life.compare_exchange(life.0, more.0, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return more,
            Err(now) if Life(now).generation() == life.generation() => life = Life(now),
            Err(_) => return life,
        }
    }
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
        self.handle.recover();
        Ok(())
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

impl fmt::Debug for QueueConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueConsumer({:?}, {} ready)", self.name(), self.stats().ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Domain, DomainOptions};

    /// The domain is closed after a message was leased and before that is written down; the slot holds another by then.
    #[test]
    fn a_late_delivery_changes_nothing_of_the_next_message() {
        let place = tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap();
        let runtime_dir = Some(place.path().into());
        let domain = Domain::open_with(DomainOptions { runtime_dir, ..Default::default() }).unwrap();
        let options = QueueOptions { capacity: 1, ..Default::default() };
        let mut producer = domain.queue_producer("jobs", &options).unwrap();
        let mut late = domain.queue_consumer("jobs", &options).unwrap();
        let mut next = domain.queue_consumer("jobs", &options).unwrap();
        let soon = Some(Duration::from_secs(1));
        let large = [7; 1000];
        producer.put(&large, soon).unwrap();
        let (number, word) = late.take_first(0, u64::MAX).unwrap().unwrap();
        assert!(late.handle.give_back(number, word, Duration::ZERO, late.handle.row));
        next.get(soon).unwrap().ack().unwrap();
        producer.put(&large, soon).unwrap();
        let ahead = coarse_millis() + 1000;
        late.handle.store.slot(number).since.store(ahead, Ordering::Relaxed);
        let delivery = late.deliver(number, word, coarse_millis(), &Get::default()).unwrap();
        assert!(!delivery.is_leased());
        assert_eq!(late.handle.store.slot(number).since.load(Ordering::Relaxed), ahead);
        drop(delivery);
        let delivery = next.get(soon).unwrap();
        assert_eq!((delivery.data(), delivery.attempt()), (&large[..], 1));
        delivery.ack().unwrap();
        assert_eq!(next.stats().bytes, 0);
    }
}
