//! The publishing end of a topic.

mod encode;
mod room;

use super::loan::{Lender, Loan, LoanMeta};
use super::peers::Peers;
use super::segment::{DESCRIPTOR, Descriptor};
use super::slab::{Slab, Slot};
use super::{INLINE_MAX, Overflow, PublisherOptions, lifetime, orphans};
use crate::domain::layout::{Kind, ObjectId};
use crate::domain::waiter::{Arming, Waiter, wait_for};
use crate::domain::{Attached, Directory, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{self, Blocked, GRAIN, MAX_EXPECTED, RingMap, Shape, Writer};
use crate::name::check_name;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::{ring_at, with_spare};
use crate::sys::file;
use crate::value::Payload;
use encode::Encoded;
use room::Patience;
use std::fmt;
use std::os::fd::{AsFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tracing::debug;

/// Publishes to one topic. One thread uses it at a time (`Send`, not `Sync`).
///
/// A publisher of a forked child opens anew at its first use there, with a ring of its own.
pub struct Publisher {
    domain: Domain,
    topic: Arc<str>,
    options: PublisherOptions,
    shared: Arc<PublisherShared>,
    writer: Writer,
    /// Records may be written while no more than this claim is needed: cursors were checked for it.
    safe: u64,
    slab: Slab,
    peers: Peers,
    waiter: Waiter,
    blocked: Blocked,
}

/// Counters of a publisher since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherStats {
    /// Messages published.
    pub published: u64,
    /// Payload bytes published.
    pub bytes: u64,
    /// Times a message had to wait for room.
    pub blocked: u64,
    /// Bells rung for sleeping subscribers.
    pub wakes_sent: u64,
    /// Messages for which nobody had to be woken.
    pub wakes_elided: u64,
    /// Subscribers at the last look.
    pub subscribers: usize,
    /// Bytes of shared memory the slab has taken.
    pub slab_bytes: usize,
    /// Slots of the slab that readers have pinned now.
    pub pinned: usize,
    /// Finished publishers of this topic whose rings still wait for a reader, or are retained.
    pub orphans: usize,
    /// Those of which only the count is left, for subscribers that are still to be told what they missed.
    pub remnants: usize,
}

/// What a publisher leaves in shared memory.
struct PublisherShared {
    id: ObjectId,
    domain: Domain,
    topic: Arc<str>,
    map: Arc<RingMap>,
    bell: PathBuf,
}

impl PublisherShared {
    fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.map.head().armed, count: None }
    }
}

impl Attached for PublisherShared {
    fn detach(&self) -> bool {
        let head = self.map.head();
        if self.domain.forked() || head.closed.swap(1, Ordering::AcqRel) == 1 {
            return true;
        }
        let inner = self.domain.inner();
        // Sleeping subscribers take what is left and let the ring go. Raised before they are rung: one that reads
        // the last of it while we look whether anybody has yet to looks again before it sleeps.
        inner.participants.board().publishers.raise();
        let bells = inner.directory(Directory::Bells);
        let subscribers =
            with_spare(|| lifetime::subscribers_of(&self.domain, &self.topic)).unwrap_or_default();
        subscribers.iter().for_each(|id| ring_at(&bells.join(id.to_string())));
        ring_at(&self.bell);
        file::unlink(&self.bell);
        lifetime::collect_own(&self.domain, self.id, &self.map);
        inner.participants.board().publishers.raise();
        debug!("topic '{}': closed publisher {}", self.topic, self.id);
        true
    }
}

impl Drop for PublisherShared {
    fn drop(&mut self) {
        self.detach();
    }
}

impl Publisher {
    pub(super) fn open(domain: Domain, topic: &str, options: &PublisherOptions) -> Result<Publisher> {
        check_name("topic", topic)?;
        Publisher::open_checked(domain.clone(), topic, options)
            .map_err(|e| domain.not_opened("topic", topic, e))
    }

    fn open_checked(domain: Domain, topic: &str, options: &PublisherOptions) -> Result<Publisher> {
        let capacity = record::round_capacity(options.capacity, "capacity")?;
        lifetime::arrive(&domain);
        orphans::make_way(&domain, topic)?;
        let inner = domain.inner();
        let id = inner.new_id();
        let mut waiter = Waiter::new(&inner.directory(Directory::Bells), id, inner.access())?;
        waiter.registered_peers = inner.participants.is_registered(inner.me());
        let shared = match create_ring(&domain, id, topic, options, capacity, waiter.path()) {
            Ok(shared) => Arc::new(shared),
            Err(e) => {
                file::unlink(waiter.path());
                return Err(e);
            }
        };
        let attached: Weak<dyn Attached> = Arc::<PublisherShared>::downgrade(&shared);
        inner.attach(attached);
        // D1: our ring is linked; raise, then look for subscribers that were there before.
        let born = inner.participants.board().publishers.raise();
        shared.map.head().born.store(born, Ordering::Relaxed);
        let topic = shared.topic.clone();
        let mut publisher = Publisher {
            writer: Writer::new(shared.map.clone(), options.overflow == Overflow::DropOldest),
            safe: 0,
            slab: Slab::new(
                Lender::new(domain.clone(), id, shared.map.clone()),
                options.max_bytes,
                options.retain,
            ),
            peers: Peers::new(&domain, id, topic.clone()),
            options: options.clone(),
            waiter,
            blocked: Blocked::default(),
            topic,
            shared,
            domain: domain.clone(),
        };
        publisher.note_expected()?;
        debug!(
            "topic '{}': opened publisher {id}, {} subscribers are there",
            publisher.topic,
            publisher.peers.len()
        );
        Ok(publisher)
    }

    /// Writes down who was here before the first message: they will read from the very first record,
    /// however late they come round to mapping the ring.
    fn note_expected(&mut self) -> Result<()> {
        match self.refresh_peers(true) {
            // Somebody's damaged page is no reason not to publish to all others.
            Err(e) if e.is_damage() => self.peers.tell_again(),
            other => other?,
        }
        let head = self.writer.control();
        let mut count = 0;
        for id in self.peers.ids() {
            if count == MAX_EXPECTED {
                let text = format!(
                    "topic '{}' has over {MAX_EXPECTED} subscribers, more than one publisher can promise its first message to; close some",
                    self.topic
                );
                return Err(Error::new(ErrorKind::LimitReached, text));
            }
            head.expected[count].store(id.0, Ordering::Relaxed);
            count += 1;
        }
        head.expected_count.store(count as u64, Ordering::Release);
        Ok(())
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its number, unique in the domain; messages carry it.
    pub fn id(&self) -> u64 {
        self.shared.id.0
    }

    /// The options it was opened with.
    pub fn options(&self) -> &PublisherOptions {
        &self.options
    }

    /// The domain it belongs to.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Publishes bytes; with [`Overflow::Block`] it waits for room without a deadline.
    // Where a store waits for its cache line, those behind it wait too, and a core takes only a few dozen: the fewer a
    // message needs, the more messages are on their way to the other core. So nothing may be saved on the stack. Whole
    // grains have a function of their own, which without the care for a tail needs few registers.
    #[inline(never)]
    pub fn publish(&mut self, data: &[u8]) -> Result<()> {
        if !data.len().is_multiple_of(GRAIN) {
            return self.publish_uneven(data);
        }
        if self.publish_quickly(data) { Ok(()) } else { self.publish_slowly(data) }
    }

    #[inline(never)]
    fn publish_uneven(&mut self, data: &[u8]) -> Result<()> {
        if self.publish_quickly(data) { Ok(()) } else { self.publish_slowly(data) }
    }

    /// The common case: a small message, room for it, nobody new. `false`: it is not.
    #[inline(always)]
    fn publish_quickly(&mut self, data: &[u8]) -> bool {
        let shape = Shape::new(data.len(), 0, 0, 0);
        let common = data.len() <= record::SMALL
            && self.options.schema.is_none()
            && self.domain.usable()
            && !self.peers.changed()
            && self.writer.needed_claim(shape.record_bytes()) <= self.safe;
        if common {
            self.write(shape, data, &[], data.len());
        }
        common
    }

    #[inline(never)]
    fn publish_slowly(&mut self, data: &[u8]) -> Result<()> {
        self.send(&Payload::raw(data), None)
    }

    /// Publishes a value as JSON.
    pub fn publish_json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let text = serde_json::to_vec(value).map_err(|e| {
            Error::new(ErrorKind::Decode, format!("topic '{}': the value is not JSON: {e}", self.topic))
        })?;
        self.send(&Payload::json(&text), None)
    }

    /// Publishes a message; with [`Overflow::Block`] it waits for room up to `timeout` (`None`: for ever).
    pub fn send(&mut self, payload: &Payload<'_>, timeout: Option<Duration>) -> Result<()> {
        self.send_with(payload, &Patience::Until(Deadline::after(timeout)))
    }

    /// Publishes without waiting: `WouldBlock` when a `Block` ring is full, `Full` when a `Reject` ring is.
    pub fn try_send(&mut self, payload: &Payload<'_>) -> Result<()> {
        self.send_with(payload, &Patience::Never)
    }

    fn send_with(&mut self, payload: &Payload<'_>, patience: &Patience) -> Result<()> {
        self.enter()?;
        let encoded = self.encode(payload.data, payload.content, payload.tensor, payload.attributes)?;
        if payload.data.len() <= INLINE_MAX {
            let shape = encoded.shape(payload.data.len());
            self.make_room(shape.record_bytes(), patience)?;
            self.write(shape, payload.data, &encoded.meta, payload.data.len());
            return Ok(());
        }
        let shape = encoded.slab_shape();
        let slot = self.take_slot(payload.data.len(), patience, 0)?;
        if let Err(e) = self.make_room(shape.record_bytes(), patience) {
            self.slab.give_back(slot);
            return Err(e);
        }
        self.copy_to_slot(slot, payload.data);
        let descriptor = self.bind(slot, payload.data.len(), self.writer.seq(), self.writer.head());
        self.write(shape, &descriptor, &encoded.meta, payload.data.len());
        self.look_ahead(slot);
        Ok(())
    }

    /// Publishes all messages at once or none: a subscriber that sees the first sees all. `TooLarge`
    /// when together they can never fit the ring, or the large ones `max_bytes`.
    pub fn publish_many(&mut self, payloads: &[Payload<'_>], timeout: Option<Duration>) -> Result<()> {
        self.enter()?;
        let patience = Patience::Until(Deadline::after(timeout));
        let encoded = payloads
            .iter()
            .map(|p| self.encode(p.data, p.content, p.tensor, p.attributes))
            .collect::<Result<Vec<Encoded<'_>>>>()?;
        let shapes: Vec<Shape> = encoded.iter().map(Encoded::any_shape).collect();
        let bytes: u64 = shapes.iter().map(|s| s.record_bytes()).sum();
        if !self.writer.can_ever_fit(bytes) {
            let text = format!(
                "topic '{}': {} messages need {bytes} bytes of ring at once, its capacity is {}; raise capacity or send fewer at once",
                self.topic,
                payloads.len(),
                self.shared.map.capacity()
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let slots = self.take_slots(&encoded, &patience)?;
        if let Err(e) = self.make_room(bytes, &patience) {
            slots.into_iter().flatten().for_each(|slot| self.slab.give_back(slot));
            return Err(e);
        }
        let mut at = self.writer.head();
        let mut descriptors = vec![[0; DESCRIPTOR]; payloads.len()];
        for (i, slot) in slots.iter().enumerate() {
            if let Some(slot) = slot {
                self.copy_to_slot(*slot, encoded[i].data);
                descriptors[i] = self.bind(*slot, encoded[i].data.len(), self.writer.seq() + i as u64, at);
            }
            at += shapes[i].record_bytes();
        }
        let bodies = encoded.iter().enumerate().map(|(i, e)| {
            let body: &[u8] = if slots[i].is_some() { &descriptors[i] } else { e.data };
            (shapes[i], body, e.meta.as_slice())
        });
        self.writer.write_many(bodies);
        let total: usize = payloads.iter().map(|p| p.data.len()).sum();
        self.after_write(total);
        Ok(())
    }

    /// A slot for every message that needs one, or none taken.
    fn take_slots(&mut self, encoded: &[Encoded<'_>], patience: &Patience) -> Result<Vec<Option<Slot>>> {
        // What can never be published must not drop what was published before.
        let large = encoded.iter().map(|e| e.data.len()).filter(|length| *length > INLINE_MAX);
        if !self.slab.can_ever_fit(large) {
            return Err(self.never_at_once());
        }
        let mut slots = Vec::with_capacity(encoded.len());
        for e in encoded {
            if e.data.len() <= INLINE_MAX {
                slots.push(None);
                continue;
            }
            let mine = slots.iter().flatten().count();
            match self.take_slot(e.data.len(), patience, mine) {
                Ok(slot) => slots.push(Some(slot)),
                Err(error) => {
                    slots.into_iter().flatten().for_each(|slot| self.slab.give_back(slot));
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    /// Lends a slot of `length` bytes to be written in place; it waits for one as `send` does.
    pub fn loan(&mut self, length: usize, timeout: Option<Duration>) -> Result<Loan> {
        self.enter()?;
        self.check_size(length)?;
        let slot = self.take_slot(length, &Patience::Until(Deadline::after(timeout)), 0)?;
        Ok(Loan::new(self.slab.segment(slot).clone(), slot, length))
    }

    /// Publishes a loan of this publisher, in place (a small one is copied into the ring).
    pub fn commit(&mut self, loan: Loan, meta: &LoanMeta<'_>, timeout: Option<Duration>) -> Result<()> {
        self.commit_from(&mut Some(loan), meta, timeout)
    }

    /// Like [`Publisher::commit`], but takes the loan out only when it was published: a caller whose
    /// time ran out still has what was written and may try again.
    pub fn commit_from(
        &mut self,
        loan: &mut Option<Loan>,
        meta: &LoanMeta<'_>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let Some(given) = loan.as_ref() else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("topic '{}': the loan was published already; take a new one", self.topic),
            ));
        };
        given.check()?;
        self.enter()?;
        if given.own.lender.ring != self.shared.id {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("topic '{}': the loan was taken from another publisher; commit it there", self.topic),
            ));
        }
        let (slot, length) = (given.slot, meta.len.unwrap_or(given.len()));
        if length > given.len() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "topic '{}': {length} bytes of a loan of {}; take a larger one",
                    self.topic,
                    given.len()
                ),
            ));
        }
        let encoded = self.encode(&given[..length], meta.content, meta.tensor, meta.attributes)?;
        let patience = Patience::Until(Deadline::after(timeout));
        if length <= INLINE_MAX {
            let shape = encoded.shape(length);
            self.make_room(shape.record_bytes(), &patience)?;
            self.write(shape, &given[..length], &encoded.meta, length);
            *loan = None;
            return Ok(());
        }
        let shape = encoded.slab_shape();
        self.make_room(shape.record_bytes(), &patience)?;
        let descriptor = self.bind(slot, length, self.writer.seq(), self.writer.head());
        let meta = encoded.meta;
        if let Some(given) = loan.take() {
            given.spent();
        }
        self.write(shape, &descriptor, &meta, length);
        self.look_ahead(slot);
        Ok(())
    }

    /// Waits until `n` subscribers would receive what is published next.
    pub fn wait_for_subscribers(&mut self, n: usize, timeout: Option<Duration>) -> Result<()> {
        let enough = &mut |publisher: &mut Publisher| {
            publisher.enter()?;
            Ok((publisher.peers.attached() >= n).then_some(()))
        };
        self.peers.forget_dead();
        if enough(self)?.is_some()
            || wait_for(self, self.options.wait, &Deadline::after(timeout), enough)?.is_some()
        {
            return Ok(());
        }
        let text = format!(
            "topic '{}': {} of {n} subscribers came in time; give them more, or start them",
            self.topic,
            self.peers.attached()
        );
        Err(Error::new(ErrorKind::Timeout, text))
    }

    /// How many live subscribers match this topic now.
    pub fn subscribers(&mut self) -> usize {
        if self.enter().is_err() {
            return 0;
        }
        self.peers.forget_dead();
        self.peers.len()
    }

    /// The descriptor to watch after `WouldBlock`: readable when it is worth trying again. Calling
    /// this once makes later failed attempts arm it.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        Ok(self.waiter.watch_descriptor())
    }

    /// Counters since it was opened.
    pub fn stats(&self) -> PublisherStats {
        let head = self.control();
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (orphans, remnants) = orphans::count(&self.domain, &self.topic, self.shared.id);
        PublisherStats {
            published: read(&head.seq),
            bytes: read(&head.bytes),
            blocked: read(&head.blocked),
            wakes_sent: read(&head.wakes_sent),
            wakes_elided: read(&head.seq).saturating_sub(read(&head.waking)),
            subscribers: self.peers.len(),
            slab_bytes: self.slab.bytes(),
            pinned: self.peers.pinned(),
            orphans,
            remnants,
        }
    }

    /// Ends it; the same as dropping it.
    pub fn close(self) {}

    fn control(&self) -> &record::RingHead {
        self.shared.map.head()
    }

    /// The gate of every call: not closed, not a forked copy, nobody unknown.
    #[inline]
    fn enter(&mut self) -> Result<()> {
        if !self.domain.usable() {
            self.reopen()?;
        }
        if self.peers.changed() {
            self.refresh_peers(false)?;
        }
        Ok(())
    }

    fn closed(&self) -> Error {
        closed(&format!("publisher of '{}': its domain '{}'", self.topic, self.domain.name()))
    }

    #[cold]
    fn reopen(&mut self) -> Result<()> {
        if self.domain.is_closed() {
            return Err(self.closed());
        }
        // The parent's copy notices the fork when it is dropped and leaves the shared side alone.
        *self = Publisher::open(self.domain.current()?, &self.topic.clone(), &self.options.clone())?;
        Ok(())
    }

    fn refresh_peers(&mut self, expected: bool) -> Result<()> {
        let watcher = if self.options.overflow == Overflow::Block { Some(&mut self.waiter) } else { None };
        self.peers.refresh(watcher, expected).map_err(|e| e.of("topic", &self.topic))
    }

    fn copy_to_slot(&self, slot: Slot, data: &[u8]) {
        let segment = &self.slab.segment(slot).segment;
        // SAFETY: the slot was just taken for this many bytes, and nobody reads it before its record is out.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), segment.place(slot.slot), data.len()) };
    }

    /// Binds a slot to the record about to be written, number `seq` at `position`.
    fn bind(&mut self, slot: Slot, length: usize, seq: u64, position: u64) -> [u8; DESCRIPTOR] {
        self.slab.used(slot, position, seq);
        Descriptor { segment: slot.segment, slot: slot.slot, length: length as u64 }.encode()
    }

    #[inline(always)]
    fn write(&mut self, shape: Shape, body: &[u8], meta: &[u8], payload: usize) {
        self.writer.write(shape, body, meta);
        self.after_write(payload);
    }

    #[inline(always)]
    fn after_write(&mut self, payload: usize) {
        add(&self.control().bytes, payload as u64);
        if self.peers.committed() {
            self.wake_sleepers();
        }
    }

    /// Somebody armed since we last went round, perhaps one who came while the message was on its way out: who is there
    /// is asked after the count of armings. Why somebody cannot be met is told by the next call; he is woken all the same.
    #[cold]
    #[inline(never)]
    fn wake_sleepers(&mut self) {
        let domain = self.domain.clone();
        let mut rung = 0;
        let mut heard = std::mem::take(&mut self.peers.heard);
        let _ = heard.try_look(&domain.inner().participants.board().armings, || {
            let met = if self.peers.changed() { self.refresh_peers(false) } else { Ok(()) };
            if met.is_err() {
                self.peers.tell_again();
                let bells = domain.inner().directory(Directory::Bells);
                let subscribers =
                    with_spare(|| lifetime::subscribers_of(&domain, &self.topic)).unwrap_or_default();
                subscribers.iter().for_each(|id| ring_at(&bells.join(id.to_string())));
            }
            rung = self.peers.wake();
            met
        });
        self.peers.heard = heard;
        if rung > 0 {
            add(&self.control().wakes_sent, rung);
            add(&self.control().waking, 1);
        }
    }
}

/// Adds to a counter in our own page.
#[inline(always)]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

fn create_ring(
    domain: &Domain,
    id: ObjectId,
    topic: &str,
    options: &PublisherOptions,
    capacity: usize,
    bell: &std::path::Path,
) -> Result<PublisherShared> {
    let inner = domain.inner();
    let directory = inner.directory(Directory::Publishers);
    let (fd, map) = RingMap::create(inner, Directory::Publishers, capacity)?;
    let head = map.head();
    head.header.write(Kind::Publisher, RingMap::data_offset() + capacity, inner.me(), id);
    head.name.write(topic);
    head.overflow.store(options.overflow as u64, Ordering::Relaxed);
    head.max_bytes.store(options.max_bytes as u64, Ordering::Relaxed);
    head.retain.store(u64::from(options.retain), Ordering::Relaxed);
    file::link_or_error(fd.as_fd(), &directory.join(id.to_string()))?;
    Ok(PublisherShared {
        id,
        domain: domain.clone(),
        topic: topic.into(),
        map: Arc::new(map),
        bell: bell.into(),
    })
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        write!(
            f,
            "Publisher({:?}, {}, {} published, {} subscribers)",
            self.topic,
            self.options.overflow.name(),
            stats.published,
            stats.subscribers
        )
    }
}
