//! The producing side of a queue.

use super::body;
use super::dedup::{self, Dedupping, Known};
use super::handle::{BLOCKED_SINCE, Count, Handle};
use super::pool::Stock;
use super::settle::after;
use super::shape::{ATTRIBUTES, LATER, Shape, TENSOR, TICKET};
use super::steps::{State, Word};
use super::store::{PART, PRIORITIES, WANTS_ROOM};
use super::ticket::{Expiries, Ticket};
use super::{Put, QueueOptions, Receipt};
use crate::domain::Wait;
use crate::domain::layout::ObjectId;
use crate::domain::object::Seat;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis, monotonic_nanos};
use crate::value::{Payload, encode_meta};
use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon who waited in vain comes again if it waits in slices.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Slots and parts at which whoever finds no room may look each time.
const FEW: u32 = 4096;
/// Where there are more, whoever tries again and again spends no more of its time on that than one part in so many.
const SHARE: u32 = 16;

/// Puts messages into a queue. One thread uses it at a time.
pub struct QueueProducer {
    seat: Seat,
    handle: Arc<Handle>,
    options: QueueOptions,
    slots: Stock,
    parts: Stock,
    known: Known,
    expiries: Expiries,
    /// The handle that kept the last attempt from entering an id.
    held_up: Option<ObjectId>,
    /// Since when the last put waited for room in vain, until when, and where its message was.
    gave_up: Option<(u64, Instant, usize)>,
    /// When a put that does not wait last looked everywhere in vain, and how long that took.
    searched: Option<(Instant, Duration)>,
}

/// A message ready to be put.
struct Ready<'a> {
    data: &'a [u8],
    meta: Vec<u8>,
    shape: Shape,
    expires: u64,
    delay: Duration,
    /// The put waits for the disk so long.
    wait: Option<Deadline>,
    /// It is put only if no other with this id was.
    key: Option<dedup::Key>,
}

impl Ready<'_> {
    /// Tells this message from others that are there at the same time.
    fn place(&self) -> usize {
        self.data.as_ptr() as usize
    }
}

impl QueueProducer {
    pub(super) fn new(seat: Seat, handle: Handle, options: QueueOptions) -> QueueProducer {
        seat.row().wants.store(WANTS_ROOM, Ordering::Relaxed);
        QueueProducer {
            seat,
            handle: Arc::new(handle).attach(),
            options,
            slots: Stock::default(),
            parts: Stock::default(),
            known: Known::default(),
            expiries: Expiries::default(),
            held_up: None,
            gave_up: None,
            searched: None,
        }
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    #[cfg(test)]
    pub(super) fn expiries(&self) -> &Expiries {
        &self.expiries
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
        self.put_with(&Payload::raw(data), &Put::default(), timeout).map(drop)
    }

    /// Puts a message as `put` says, waiting for room, and for the disk if at all, up to `timeout` (`None`: for ever). If the
    /// time is over by then, the error is `NotDurable`.
    pub fn put_with(
        &mut self,
        payload: &Payload<'_>,
        put: &Put,
        timeout: Option<Duration>,
    ) -> Result<Receipt> {
        self.options.check(self.handle.name(), payload)?;
        self.put_checked(payload, put, timeout)
    }

    fn put_checked(
        &mut self,
        payload: &Payload<'_>,
        put: &Put,
        timeout: Option<Duration>,
    ) -> Result<Receipt> {
        let ready = self.prepare(payload, put, timeout)?;
        match self.attempt(&ready, false) {
            Ok(Some(receipt)) => Ok(receipt),
            Err(e) if e.kind() != ErrorKind::NoSpace => Err(e),
            _ => self.wait_for_room(&ready, timeout),
        }
    }

    /// Puts messages one after another, each as `put` says, waiting for room up to `timeout` in all (`None`: for ever), and
    /// for the disk once, if at all. How many were put: fewer than given where a later one found no room or failed, which
    /// the next call tells; none if [`Self::check`] refuses one. They have no tickets. Where they are put and not
    /// durable the error is `NotDurable`, and [`Error::accepted`] says how many.
    pub fn put_many(
        &mut self,
        payloads: &[Payload<'_>],
        put: &Put,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        if put.result {
            let text =
                format!("queue '{}': put_many gives no tickets; put with a result one by one", self.name());
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        self.handle.check_durable(put.durable)?;
        payloads.iter().try_for_each(|payload| self.check(payload))?;
        let deadline = Deadline::after(timeout);
        let each = Put { durable: Some(false), ..put.clone() };
        let (mut done, mut is_behind) = (0, false);
        for payload in payloads {
            match self.put_checked(payload, &each, deadline.remaining()) {
                Ok(_) => done += 1,
                Err(e) if e.kind() == ErrorKind::NotDurable => {
                    done += 1;
                    is_behind = true;
                }
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        let written = if put.durable.unwrap_or(self.handle.waits_for_disk()) && done > 0 {
            self.handle.sync(deadline.remaining())
        } else if is_behind {
            self.handle.flush().map(drop)
        } else {
            Ok(())
        };
        let what = format!("the first {done} of {} messages are", payloads.len());
        written.map(|()| done).map_err(|e| not_durable(done, &what, &e))
    }

    /// Refuses a message that this producer never puts: one that is too large for the queue, or does not satisfy the
    /// schema. Every put asks it, too.
    pub fn check(&self, payload: &Payload<'_>) -> Result<()> {
        self.options.check(self.handle.name(), payload)?;
        self.measure(payload).map(drop)
    }

    /// Puts a message if there is room, or fails with `WouldBlock`. For the disk it waits all the same, if `put` or the
    /// queue says so. Where there are thousands of places, who tries again at once may overlook some that another
    /// producer has set aside.
    pub fn try_put(&mut self, payload: &Payload<'_>, put: &Put) -> Result<Receipt> {
        self.options.check(self.handle.name(), payload)?;
        let ready = self.prepare(payload, put, None)?;
        let lacking = match self.attempt(&ready, false) {
            Ok(Some(receipt)) => return Ok(receipt),
            Ok(None) => None,
            Err(e) if e.kind() == ErrorKind::NoSpace => Some(e),
            Err(e) => return Err(e),
        };
        let is_evented = self.seat.waiter.is_evented();
        // Who is told from now on must have seen that there is none. The others may overlook for a while what somebody
        // else has set aside.
        let thorough = is_evented && self.arms()? || self.held_up.is_none() && self.is_search_due();
        let again = if is_evented || thorough { self.attempt_again(&ready, thorough)? } else { None };
        let held_up = self.held_up;
        match again {
            Some(receipt) => Ok(receipt),
            None if !thorough && self.is_known(&ready, held_up) => self.duplicate(&ready),
            None => Err(lacking.unwrap_or_else(|| self.full(ErrorKind::WouldBlock))),
        }
    }

    fn is_search_due(&self) -> bool {
        let store = &self.handle.store;
        self.searched.is_none_or(|(at, took)| {
            store.slots().grown().saturating_add(store.parts().grown()) <= FEW || at.elapsed() >= took * SHARE
        })
    }

    #[cold]
    fn attempt_again(&mut self, ready: &Ready<'_>, thorough: bool) -> Result<Option<Receipt>> {
        let begun = Instant::now();
        let done = self.attempt(ready, thorough)?;
        if done.is_none() && thorough {
            self.searched = Some((Instant::now(), begun.elapsed()));
        }
        Ok(done)
    }

    /// The common case: raw bytes for which there is room; `false`: it is not.
    #[inline(always)]
    fn put_quickly(&mut self, data: &[u8]) -> Result<bool> {
        if data.len() > super::store::INLINE
            || !self.handle.domain().usable()
            || self.handle.store.is_durable()
            || self.options.schema.is_some()
        {
            return Ok(false);
        }
        let shape = Shape::new(data.len(), 0, crate::value::Content::Raw, 0, 0);
        self.handle.store.used_lane(0)?;
        let taken = self.handle.store.slots().take(&mut self.slots, State::Writing, self.seat.number, false);
        // Nothing that is at hand, or no memory for more: who looks everywhere tells.
        let Ok(Some((number, word))) = taken else { return Ok(false) };
        self.fill(number, word, data, &[], (shape, 0), false)?;
        self.commit(number, word, 0);
        Ok(true)
    }

    fn prepare<'a>(
        &mut self,
        payload: &Payload<'a>,
        put: &Put,
        timeout: Option<Duration>,
    ) -> Result<Ready<'a>> {
        self.enter()?;
        self.held_up = None;
        if usize::from(put.priority) >= PRIORITIES {
            let text = format!(
                "queue '{}': priority {} is not possible; use 0 to {}, the highest is served first",
                self.name(),
                put.priority,
                PRIORITIES - 1
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        self.handle.check_durable(put.durable)?;
        let meta = self.measure(payload)?;
        let (tensor, attributes) = (payload.tensor, payload.attributes.filter(|a| !a.is_empty()));
        let later = !put.delay.is_zero();
        let flags = [
            (tensor.is_some(), TENSOR),
            (attributes.is_some(), ATTRIBUTES),
            (put.result, TICKET),
            (later, LATER),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        let shape = Shape::new(payload.data.len(), meta.len(), payload.content, put.priority, flags);
        let expires = put.ttl.map_or(0, after);
        if put.result && expires != 0 {
            self.wake_by(expires)?;
        }
        let wait = put.durable.unwrap_or(self.handle.waits_for_disk()).then(|| Deadline::after(timeout));
        let key = put.dedup_id.as_deref().map(dedup::key);
        Ok(Ready { data: payload.data, meta, shape, expires, delay: put.delay, wait, key })
    }

    /// Refuses a message that is too large for the queue. What is kept of it beside its bytes.
    fn measure(&self, payload: &Payload<'_>) -> Result<Vec<u8>> {
        let (name, bytes) = (self.handle.name(), payload.data.len());
        self.handle.check_size("message", bytes)?;
        let attributes = payload.attributes.filter(|a| !a.is_empty());
        let meta = encode_meta(payload.content, payload.tensor, attributes, bytes)
            .map_err(|e| e.of("queue", name))?;
        let most = self.handle.store.plan.parts * PART;
        if bytes + meta.len() > most.max(super::store::INLINE) {
            let text = format!(
                "queue '{name}': a message of {bytes} bytes is over what it can hold, {most} bytes; make the queue with a larger max_bytes"
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(meta)
    }

    /// Puts it if there is room. `thorough`: before it says that there is none, it looks everywhere.
    fn attempt(&mut self, ready: &Ready<'_>, thorough: bool) -> Result<Option<Receipt>> {
        let priority = usize::from(ready.shape.priority());
        let before = self.held_up.take();
        let (number, word) = match self.place(ready, thorough) {
            Ok(Some(placed)) => placed,
            // That it was put before can be told without room for it.
            _ if thorough && self.is_known(ready, before) => {
                return self.duplicate(ready).map(Some);
            }
            none => return none.map(|_| None),
        };
        // The lock is held until the message is put: whoever puts the same meanwhile waits for it.
        let mut dedupping = None;
        if let Some(key) = ready.key {
            let lock = match Dedupping::begin(&self.handle, before) {
                Ok(Ok(lock)) => lock,
                other => {
                    self.handle.free_now(number, word);
                    self.held_up = other?.err();
                    return Ok(None);
                }
            };
            if !lock.enter(&mut self.known, key, number, word) {
                drop(lock);
                self.handle.free_now(number, word);
                return self.duplicate(ready).map(Some);
            }
            dedupping = Some(lock);
        }
        let ticket = ready.shape.has(TICKET).then(|| Ticket::new(&self.handle, number, word));
        if ready.delay.is_zero() {
            self.commit(number, word, priority);
        } else {
            self.commit_later(number, word, priority, ready.delay);
        }
        drop(dedupping);
        if ticket.is_some() && ready.expires != 0 {
            self.expiries.note(&self.handle, ready.expires, number, word.generation());
            // The alarm is there since the put began, and now to be set is all it takes.
            let _ = self.wake_at_expiry();
        }
        let written = match &ready.wait {
            Some(deadline) => self.handle.journal_until(number, word.generation(), deadline),
            None => self.handle.journal(number, word.generation(), false),
        };
        written.map_err(|e| not_durable(1, "the message is", &e))?;
        Ok(Some(Receipt { ticket, duplicate: false }))
    }

    /// Takes a slot and fills it. `None`: there is no room.
    #[inline(always)]
    fn place(&mut self, ready: &Ready<'_>, thorough: bool) -> Result<Option<(u32, Word)>> {
        let store = &self.handle.store;
        // What may lack memory comes first: of all that is done with a message the put alone is refused for that.
        if ready.delay.is_zero() {
            store.used_lane(usize::from(ready.shape.priority()))?;
        } else {
            store.used_side()?;
        }
        if ready.shape.has(TICKET) {
            store.parts().begin()?;
        }
        let taken = store.slots().take(&mut self.slots, State::Writing, self.seat.number, thorough)?;
        let Some((number, word)) = taken else { return Ok(None) };
        match self.fill(number, word, ready.data, &ready.meta, (ready.shape, ready.expires), thorough) {
            Ok(true) => Ok(taken),
            other => {
                self.handle.free_now(number, word);
                other.map(|_| None)
            }
        }
    }

    /// Whether a message with this id was put before, as far as that can be told now.
    #[cold]
    fn is_known(&mut self, ready: &Ready<'_>, before: Option<ObjectId>) -> bool {
        let Some(key) = ready.key else { return false };
        match Dedupping::begin(&self.handle, before) {
            Ok(Ok(lock)) => lock.has(&mut self.known, key),
            Ok(Err(owner)) => {
                self.held_up = Some(owner);
                false
            }
            // Without memory for ids none was ever entered.
            Err(_) => false,
        }
    }

    /// The receipt of a message that was put before, which may be on its way to the disk.
    #[cold]
    fn duplicate(&self, ready: &Ready<'_>) -> Result<Receipt> {
        let written = ready.wait.as_ref().map_or(Ok(()), |wait| self.handle.sync(wait.remaining()));
        written.map_err(|e| not_durable(1, "the message is", &e))?;
        Ok(Receipt { ticket: None, duplicate: true })
    }

    #[inline(always)]
    fn fill(
        &mut self,
        number: u32,
        word: Word,
        data: &[u8],
        meta: &[u8],
        (shape, expires): (Shape, u64),
        thorough: bool,
    ) -> Result<bool> {
        let relaxed = Ordering::Relaxed;
        let slot = self.handle.store.slot(number);
        slot.shape.store(shape.0, relaxed);
        slot.since.store(coarse_millis(), relaxed);
        slot.expires.store(expires, relaxed);
        if self.handle.store.is_durable() {
            slot.id.store(0, relaxed);
            slot.segment.store(0, relaxed);
        }
        body::write(
            &self.handle.store,
            &mut self.parts,
            self.seat.number,
            (number, word.generation()),
            data,
            meta,
            thorough,
        )
    }

    /// The put itself (Q2).
    #[inline(always)]
    fn commit(&self, number: u32, word: Word, priority: usize) {
        let store = &self.handle.store;
        let ready = word.then(State::Ready, self.seat.number);
        let slot = store.slot(number);
        slot.position.store(store.head().lanes[priority].tail.load(Ordering::Relaxed), Ordering::Relaxed);
        slot.word.store(ready.0, Ordering::Release);
        store.line_up(priority, number, ready.generation());
        self.handle.count(Count::Put, 1);
        self.handle.tell_item();
    }

    /// The put of a message for later, whose place is the one it would have had now: before whoever gets that.
    fn commit_later(&self, number: u32, word: Word, priority: usize, delay: Duration) {
        let store = &self.handle.store;
        let slot = store.slot(number);
        slot.position.store(store.head().lanes[priority].tail.load(Ordering::Relaxed), Ordering::Relaxed);
        slot.put_at.store(monotonic_nanos(), Ordering::Relaxed);
        slot.due.store(after(delay), Ordering::Relaxed);
        let delayed = word.then(State::Delayed, self.seat.number);
        slot.word.store(delayed.0, Ordering::Release);
        self.handle.count(Count::Put, 1);
        self.handle.name_aside(number, delayed);
    }

    fn wait_for_room(&mut self, ready: &Ready<'_>, timeout: Option<Duration>) -> Result<Receipt> {
        let since = self.blocked_since(ready.place());
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        let mut spins = 0;
        let attempt = &mut |producer: &mut QueueProducer| {
            producer.enter()?;
            producer.look_around()?;
            spins += 1;
            // The first look, and those around sleep.
            let thorough = spins == 1 || producer.seat.row().armed.load(Ordering::Relaxed) & 1 == 1;
            let done = match producer.attempt(ready, thorough) {
                Err(e) if e.kind() == ErrorKind::NoSpace && !thorough => None,
                done => done?,
            };
            if done.is_none() {
                producer.handle.flush()?;
            }
            Ok(done)
        };
        let handle = self.handle.clone();
        let word = &handle.own_row().words[BLOCKED_SINCE];
        word.store(since, Ordering::Relaxed);
        let done = wait_for(self, wait, &deadline, attempt);
        word.store(0, Ordering::Relaxed);
        done?.ok_or_else(|| {
            self.gave_up = Some((since, Instant::now(), ready.place()));
            self.full(ErrorKind::Timeout)
        })
    }

    /// Since when it has waited for room. Who comes again with the same message as soon as the
    /// time was over waits on: some wait in slices.
    fn blocked_since(&mut self, place: usize) -> u64 {
        let goes_on = self.gave_up.take().filter(|(_, at, of)| *of == place && at.elapsed() < AT_ONCE);
        goes_on.map_or_else(
            || {
                self.handle.count(Count::Blocked, 1);
                coarse_millis()
            },
            |(since, ..)| since,
        )
    }

    /// The descriptor tells of room from now on, if it did not do so before.
    fn arms(&mut self) -> Result<bool> {
        let armed = self.settle()?;
        if armed == Some(true) {
            self.tidy()?;
        }
        self.look_around()?;
        Ok(armed.is_some())
    }

    /// Whoever waits for tickets of ours is woken when a message that is about to be put becomes a dead letter at `expires`,
    /// or one that was put before does.
    #[cold]
    fn wake_by(&mut self, expires: u64) -> Result<()> {
        let sooner = self.expiries.next().map_or(expires, |next| next.min(expires));
        self.seat.waiter.wake_at(sooner)
    }

    /// The same for the next of all that were put.
    pub(super) fn wake_at_expiry(&mut self) -> Result<()> {
        self.expiries.next().map_or(Ok(()), |expires| self.seat.waiter.wake_at(expires))
    }

    pub(super) fn wait(&self) -> Wait {
        self.options.wait
    }

    /// Watches who has come, and sets right what the dead left.
    pub(super) fn look_around(&mut self) -> Result<()> {
        if self.seat.watch()? { self.tidy() } else { Ok(()) }
    }

    /// Usable as it is, or in a forked child opened anew.
    #[inline(always)]
    pub(super) fn enter(&mut self) -> Result<()> {
        if self.handle.domain().usable() { Ok(()) } else { self.reopen() }
    }

    #[cold]
    fn reopen(&mut self) -> Result<()> {
        self.handle.check_open()?;
        *self = self.handle.domain().current()?.queue_producer(self.name(), &self.options)?;
        Ok(())
    }

    /// The error of having found no room. Who does not wait tries often, and is not made to look at every message.
    #[cold]
    fn full(&self, kind: ErrorKind) -> Error {
        if let Some(owner) = self.held_up {
            return self.handle.held_up(kind, owner);
        }
        if kind == ErrorKind::WouldBlock {
            let plan = &self.handle.store.plan;
            let text = format!(
                "queue '{}': no room, it holds {} messages and {} bytes of large ones at most; try again later, see in its counters what takes the room, or make it with a larger capacity or max_bytes",
                self.name(),
                plan.capacity,
                plan.parts * PART
            );
            return Error::new(kind, text);
        }
        let (happened, remedy) = self.handle.messages().why_full(self.name());
        Error::new(kind, format!("queue '{}': {happened}; {remedy}", self.name()))
    }

    /// The pollable descriptor: readable when a put that failed with `WouldBlock` is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        self.seat.waiter.look_regularly()?;
        Ok(self.seat.waiter.watch_descriptor())
    }

    /// Ends it; the same as dropping it.
    pub fn close(self) {}
}

/// So many messages are in the queue all the same.
#[cold]
fn not_durable(accepted: usize, what: &str, error: &Error) -> Error {
    let text = format!("{what} accepted, do not put that again, but not known to be on the disk: {error}");
    Error::not_durable(accepted, text)
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
        self.handle.recover();
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        // The alarm has rung once for whoever looks now; the next message that is too late rings it again.
        self.wake_at_expiry()?;
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

impl fmt::Debug for QueueProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueProducer({:?}, {} ready)", self.name(), self.stats().ready)
    }
}
