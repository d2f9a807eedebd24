//! The subscribing end of a topic.

use super::cursor::{MAX_RINGS, NOWHERE, SubscriberShared, pin_word};
use super::message::{Arrival, Bytes, Envelope, Message, Pinned, Sample, Scratch};
use super::segment::{DESCRIPTOR, Descriptor, Segment};
use super::steps::{begin, is_stamped, standing};
use super::{INLINE_MAX, Overflow, Start, SubscriberOptions, lifetime};
use crate::domain::layout::{Kind, ObjectId, ParticipantId};
use crate::domain::waiter::{Ringer, Sleeper, Waiter, wait_for};
use crate::domain::{Attached, Directory, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{FLAG_SLAB, Found, From, Next, Reader, RingHead, RingMap, open_head};
use crate::name::Pattern;
use crate::sys::atomic::{AtomicU64, Ordering, fence as full_fence};
use crate::sys::clock::Deadline;
use crate::sys::{fence, file};
use crate::value::{Content, MAX_META};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Largest body of a record in a topic's ring.
const MAX_BODY: usize = INLINE_MAX + MAX_META + 8;

/// Messages taken from one publisher before the next one has its turn.
const BURST: u32 = 64;

/// Receives from every topic its pattern matches. One thread uses it at a time (`Send`, not `Sync`).
///
/// A subscriber of a forked child opens anew at its first use there.
pub struct Subscriber {
    domain: Domain,
    pattern: Pattern,
    options: SubscriberOptions,
    shared: Arc<SubscriberShared>,
    waiter: Waiter,
    sources: Vec<Source>,
    /// Rings that are of no use to us, so that they are not opened again and again.
    passed_over: HashSet<ObjectId>,
    /// Rings we are done with and others have yet to read: the cursor stays, at their end or nowhere, or we
    /// would seem to be owed what we were expected to read.
    read_out: Vec<(ObjectId, usize)>,
    next: usize,
    burst: u32,
    /// Some publisher ended and its last messages are still to be taken.
    finishing: bool,
    generation: Option<u64>,
    /// There was a ring for which no cursor was free.
    crowded: bool,
    light: bool,
    /// The body of the record just taken; always has room for the largest.
    record: Scratch,
    /// The payload just copied from a slab.
    bulk: Scratch,
    /// The payload just borrowed, on its way into a sample.
    pinned: Option<Pinned>,
    envelope: Envelope,
    received: u64,
    missed: u64,
    bytes: u64,
}

/// Counters of a subscriber since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Messages received.
    pub received: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Messages missed.
    pub missed: u64,
    /// Rings (publishers) followed now.
    pub rings: usize,
    /// Samples borrowed now.
    pub pinned: usize,
}

/// One publisher's ring.
struct Source {
    id: ObjectId,
    topic: Arc<str>,
    reader: Reader,
    /// Our place in the table of cursors.
    cursor: usize,
    /// Rings the publisher that waits for us; `None` for one that is gone.
    ringer: Option<Ringer>,
    segments: HashMap<u32, Arc<Segment>, BuildHasherDefault<OwnNumber>>,
    /// Messages lost with their slab slots, to be reported with the next one.
    lost: u64,
    /// Its participant died.
    dead: bool,
}

/// Segment numbers are small and consecutive: they are their own hash.
#[derive(Default)]
struct OwnNumber(u64);

impl Hasher for OwnNumber {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0 << 8 | u64::from(*b));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }
}

/// What to do with a large payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Copy,
    Borrow,
}

/// Where the bytes of the message just taken are, and how many. Kept small: it travels through every call.
#[derive(Clone, Copy)]
enum Taken {
    Record(usize),
    Bulk(usize),
    /// In `pinned`.
    Pinned(usize),
}

impl Subscriber {
    pub(super) fn open(domain: Domain, pattern: &str, options: &SubscriberOptions) -> Result<Subscriber> {
        let pattern = Pattern::new(pattern)?;
        let name = pattern.as_str().to_string();
        Subscriber::open_checked(domain, pattern, options).map_err(|e| e.of("subscriber", &name))
    }

    fn open_checked(domain: Domain, pattern: Pattern, options: &SubscriberOptions) -> Result<Subscriber> {
        options.check()?;
        lifetime::arrive(&domain);
        let inner = domain.inner();
        let id = inner.new_id();
        let mut waiter = Waiter::new(&inner.directory(Directory::Bells), id, inner.access())?;
        waiter.registered_peers = inner.participants.is_registered(inner.me());
        let shared = match SubscriberShared::create(
            &domain,
            id,
            waiter.path(),
            pattern.as_str(),
            options.max_borrowed,
        ) {
            Ok(shared) => Arc::new(shared),
            Err(e) => {
                file::unlink(waiter.path());
                return Err(e);
            }
        };
        let attached: Weak<dyn Attached> = Arc::<SubscriberShared>::downgrade(&shared);
        inner.attach(attached);
        // D1: our page is linked; raise, then look for publishers.
        inner.participants.board().subscribers.raise();
        let envelope = Envelope {
            topic: "".into(),
            content: Content::Raw,
            flags: 0,
            meta: Box::default(),
            tensor: None,
            sequence: 0,
            missed: 0,
            publisher: ObjectId(0),
        };
        let mut subscriber = Subscriber {
            pattern,
            options: options.clone(),
            shared,
            waiter,
            sources: Vec::new(),
            passed_over: HashSet::new(),
            read_out: Vec::new(),
            next: 0,
            burst: 0,
            finishing: false,
            generation: None,
            crowded: false,
            light: inner.participants.is_registered(inner.me()),
            record: Scratch::of(MAX_BODY),
            bulk: Scratch::default(),
            pinned: None,
            envelope,
            received: 0,
            missed: 0,
            bytes: 0,
            domain: domain.clone(),
        };
        match subscriber.refresh() {
            // Somebody's damaged ring is no reason not to read all others; the first receive tells of it.
            Err(e) if e.is_damage() => {
                subscriber.passed_over.clear();
                subscriber.generation = None;
            }
            other => other?,
        }
        Ok(subscriber)
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// Its number, unique in the domain.
    pub fn id(&self) -> u64 {
        self.shared.id.0
    }

    /// The options it was opened with.
    pub fn options(&self) -> &SubscriberOptions {
        &self.options
    }

    /// The domain it belongs to.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Takes the next message if there is one, as a copy.
    #[inline]
    pub fn try_receive(&mut self) -> Result<Option<Message<'_>>> {
        match self.try_take(Take::Copy)? {
            Some(taken) => Ok(Some(self.message(taken))),
            None => Ok(None),
        }
    }

    /// Waits for the next message up to `timeout` (`None`: for ever) and takes it as a copy.
    #[inline]
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Message<'_>> {
        let taken = self.wait(timeout, Take::Copy)?;
        Ok(self.message(taken))
    }

    /// Takes the next message if there is one, in place.
    pub fn try_borrow(&mut self) -> Result<Option<Sample>> {
        Ok(self.try_take(Take::Borrow)?.map(|taken| self.sample(taken)))
    }

    /// Takes the next message if there is one, as it comes cheapest: a small one as a copy, a large one
    /// in place. For who copies every message into memory of his own, and so copies it once.
    #[inline]
    pub fn try_next(&mut self) -> Result<Option<Arrival<'_>>> {
        Ok(match self.try_take(Take::Borrow)? {
            None => None,
            Some(taken @ Taken::Pinned(_)) => Some(Arrival::Large(self.sample(taken))),
            Some(taken) => Some(Arrival::Small(self.message(taken))),
        })
    }

    /// Waits for the next message up to `timeout` (`None`: for ever) and takes it in place.
    pub fn borrow(&mut self, timeout: Option<Duration>) -> Result<Sample> {
        let taken = self.wait(timeout, Take::Borrow)?;
        Ok(self.sample(taken))
    }

    /// The pollable descriptor: readable until a `try_` call has returned `None`. Works with epoll,
    /// poll, asyncio and libuv, level-triggered. Calling this once makes empty `try_` calls arm it.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        Ok(self.waiter.watch_descriptor())
    }

    /// How many publishers are followed now.
    pub fn publishers(&mut self) -> usize {
        let _ = self.enter();
        self.note_deaths();
        self.sources.iter().filter(|s| !s.is_finished()).count()
    }

    /// Messages missed so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Counters since it was opened.
    pub fn stats(&self) -> SubscriberStats {
        SubscriberStats {
            received: self.received,
            bytes: self.bytes,
            missed: self.missed,
            rings: self.sources.len(),
            pinned: self.shared.pinned(),
        }
    }

    /// Ends it; the same as dropping it. Borrowed samples stay readable.
    pub fn close(self) {}

    /// The gate of every call: not closed, not a forked copy, no publisher unknown.
    #[inline(always)]
    fn enter(&mut self) -> Result<()> {
        if !self.domain.usable() {
            self.reopen()?;
        }
        if Some(self.domain.inner().participants.board().publishers.now()) != self.generation {
            self.refresh()?;
        }
        Ok(())
    }

    #[cold]
    fn reopen(&mut self) -> Result<()> {
        if self.domain.is_closed() {
            return Err(closed(&format!(
                "subscriber of '{}': its domain '{}'",
                self.pattern(),
                self.domain.name()
            )));
        }
        *self = Subscriber::open(self.domain.current()?, self.pattern(), &self.options.clone())?;
        Ok(())
    }

    /// Attaches to rings that appeared and lets go of those that are finished. A ring that is damaged, or one
    /// too many, is told of once, when all others have been attached.
    #[cold]
    fn refresh(&mut self) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let (generation, fresh) = {
            let mut catalogue = inner.publishers();
            let (generation, entries) = catalogue
                .refresh(&inner.participants.board().publishers)
                .map_err(|e| e.of("subscriber", self.pattern.as_str()))?;
            self.passed_over.retain(|id| entries.iter().any(|listed| listed.id == *id));
            let known = |id| self.passed_over.contains(&id) || self.sources.iter().any(|s| s.id == id);
            let fresh: Vec<_> =
                entries.iter().filter(|l| !known(l.id) && self.pattern.matches(&l.name)).cloned().collect();
            (generation, fresh)
        };
        if self.crowded {
            // What ended meanwhile makes room.
            self.tidy()?;
            self.crowded = false;
        }
        let mut told = None;
        for listed in fresh {
            match self.attach(listed.id, &listed.name, &listed.path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) if e.is_damage() => {
                    self.passed_over.insert(listed.id);
                    told = Some(e);
                }
                Err(e) if self.crowded => {
                    told = Some(e);
                    break;
                }
                Err(e) => return Err(e.of("subscriber", self.pattern())),
            }
        }
        self.generation = Some(generation);
        self.tidy()?;
        told.map_or(Ok(()), |e| Err(e.of("subscriber", self.pattern())))
    }

    fn attach(&mut self, id: ObjectId, topic: &str, path: &std::path::Path) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let map = Arc::new(RingMap::open(path, Kind::Publisher)?);
        let head = map.head();
        let owner = id.owner();
        let dead = !inner.is_alive(owner);
        let (finished, expected) = standing(head, dead, self.shared.id.0);
        let kept = head.retain.load(Ordering::Relaxed) != 0 && self.options.start == Start::Oldest;
        if finished && !expected && !kept {
            // What it still holds is owed to others.
            self.passed_over.insert(id);
            return Ok(());
        }
        let ringer = match Ringer::open(&inner.directory(Directory::Bells), id) {
            Ok(ringer) => Some(ringer),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let cursor = self.free_cursor()?;
        if owner != inner.me() && !dead {
            let death = inner.participants.death_of(owner, inner.me())?;
            self.waiter.watch(owner, death, inner.participants.is_registered(owner))?;
        }
        self.light &= !inner.participants.lacks_barrier(owner);
        let racy = Overflow::from_number(head.overflow.load(Ordering::Relaxed)) == Overflow::DropOldest;
        let from = match (expected, self.options.start) {
            (true, _) => From::Beginning,
            (false, Start::Oldest) => From::Oldest,
            (false, Start::Latest) => From::Latest,
        };
        let page = self.shared.head();
        let reader =
            begin(&page.cursors, &page.cursors_high, cursor, (id.0, &map), racy, self.shared.id.0, from);
        let (segments, topic) = (HashMap::default(), topic.into());
        let mut source = Source { id, topic, reader, cursor, ringer, segments, lost: 0, dead };
        source.tell_publisher(self.light);
        self.sources.push(source);
        Ok(())
    }

    fn free_cursor(&mut self) -> Result<usize> {
        let free = self.shared.head().cursors.iter().position(|c| c.ring.load(Ordering::Relaxed) == 0);
        self.crowded = free.is_none();
        free.ok_or_else(|| {
            let text = format!(
                "subscriber '{}' follows {MAX_RINGS} publishers, the most one can; others wait until some of these end; use narrower patterns",
                self.pattern()
            );
            Error::new(ErrorKind::LimitReached, text)
        })
    }

    /// Marks publishers whose participant died since the last look.
    fn note_deaths(&mut self) {
        let inner = self.domain.inner();
        let mut verdicts: HashMap<ParticipantId, bool> = HashMap::new();
        for source in self.sources.iter_mut().filter(|s| !s.dead) {
            let owner = source.id.owner();
            if !*verdicts.entry(owner).or_insert_with(|| inner.is_alive(owner)) {
                source.dead = true;
                self.waiter.unwatch(owner);
            }
        }
    }

    /// Lets go of rings that will never say anything again, and removes them if nobody else is owed.
    fn let_go_of_finished(&mut self) {
        let mut i = 0;
        self.finishing = false;
        while i < self.sources.len() {
            let source = &self.sources[i];
            let finished = source.is_finished();
            if !finished || !source.reader.drained() {
                self.finishing |= finished;
                i += 1;
                continue;
            }
            let source = self.sources.remove(i);
            self.passed_over.insert(source.id);
            // What was lost at its very end is told by no further message.
            self.missed = self.missed.saturating_add(source.lost);
            let cursor = &self.shared.head().cursors[source.cursor];
            cursor.position.store(source.reader.position(), Ordering::Release);
            // Of two that finish at the same time at least one sees that nobody is owed any more.
            full_fence(Ordering::SeqCst);
            lifetime::collect_ring(&self.domain, source.id);
            self.read_out.push((source.id, source.cursor));
        }
        self.release_cursors();
    }

    /// Frees the cursors of rings we are done with, once these are gone or kept for another reason.
    fn release_cursors(&mut self) {
        let (head, publishers) = (self.shared.head(), self.domain.inner().directory(Directory::Publishers));
        self.read_out.retain(|(ring, index)| {
            let path = publishers.join(ring.to_string());
            // What cannot be looked at now may still be there.
            let stays = match open_head(&path, Kind::Publisher) {
                Ok(map) => map.at::<RingHead>(0).retain.load(Ordering::Relaxed) == 0,
                Err(_) => file::exists(&path),
            };
            if !stays {
                head.cursors[*index].position.store(NOWHERE, Ordering::Release);
                head.cursors[*index].ring.store(0, Ordering::Release);
                if self.crowded {
                    // There is room for one that was turned away.
                    self.generation = None;
                }
            }
            stays
        });
    }

    #[inline(always)]
    fn try_take(&mut self, take: Take) -> Result<Option<Taken>> {
        let taken = self.poll(take)?;
        if taken.is_none() && self.waiter.is_evented() {
            return self.poll_armed(take);
        }
        Ok(taken)
    }

    /// Looks once at every ring, in turn.
    #[inline(always)]
    fn poll(&mut self, take: Take) -> Result<Option<Taken>> {
        self.enter()?;
        if self.finishing {
            // What the first to finish said comes before what others say now.
            self.next = self.sources.iter().position(Source::is_finished).unwrap_or(0);
        }
        for _ in 0..self.sources.len() {
            if self.next >= self.sources.len() {
                self.next = 0;
            }
            if let Some(taken) = self.take_from(self.next, take)? {
                self.waiter.note_taken();
                self.burst += 1;
                if self.burst >= BURST {
                    self.burst = 0;
                    self.next += 1;
                }
                return Ok(Some(taken));
            }
            self.burst = 0;
            self.next += 1;
        }
        if self.finishing {
            self.let_go_of_finished();
        }
        Ok(None)
    }

    /// Nothing there, and somebody watches the descriptor: leaves it armed and silent, or readable.
    #[cold]
    fn poll_armed(&mut self, take: Take) -> Result<Option<Taken>> {
        let Some(dead) = self.settle()? else { return Ok(None) };
        if !dead.is_empty() {
            self.tidy()?;
        }
        let taken = self.poll(take)?;
        if taken.is_some() {
            self.waiter.stay_readable();
        }
        Ok(taken)
    }

    #[inline(always)]
    fn wait(&mut self, timeout: Option<Duration>, take: Take) -> Result<Taken> {
        match self.poll(take)? {
            Some(taken) => Ok(taken),
            None => self.wait_slowly(timeout, take),
        }
    }

    #[cold]
    fn wait_slowly(&mut self, timeout: Option<Duration>, take: Take) -> Result<Taken> {
        let deadline = Deadline::after(timeout);
        let wait = self.options.wait;
        wait_for(self, wait, &deadline, &mut |subscriber| subscriber.poll(take))?.ok_or_else(|| {
            let text = format!("subscriber '{}': no message within {:?}; give it more time, or see with `axonic stat` whether somebody publishes", self.pattern(), timeout.unwrap_or_default());
            Error::new(ErrorKind::Timeout, text)
        })
    }

    /// Takes the next record of one ring.
    #[inline(always)]
    fn take_from(&mut self, index: usize, take: Take) -> Result<Option<Taken>> {
        loop {
            let source = &mut self.sources[index];
            let found = match source.reader.peek() {
                Ok(Next::Record(found)) => found,
                Ok(Next::Empty) => return Ok(None),
                Ok(Next::Lapped) => {
                    self.resynchronise(index)?;
                    continue;
                }
                Err(e) => return Err(self.abandon(index, e)),
            };
            let body = found.shape.body_bytes();
            if body > MAX_BODY {
                if source.reader.racy() && source.reader.is_lapped() {
                    self.resynchronise(index)?;
                    continue;
                }
                let e = Error::new(
                    ErrorKind::Corrupt,
                    format!("topic '{}': a record of {body} bytes", source.topic),
                );
                return Err(self.abandon(index, e));
            }
            let room = self.record.start();
            // SAFETY: the record holds `body` bytes (checked by `peek`), the room is larger.
            if !unsafe { source.reader.copy(body, room) } {
                self.resynchronise(index)?;
                continue;
            }
            let taken = if found.shape.flags & FLAG_SLAB == 0 {
                Some(Taken::Record(found.shape.body as usize))
            } else {
                match self.take_slab(index, &found, take) {
                    Err(e) if e.is_damage() || e.kind() == ErrorKind::NotFound => {
                        return Err(self.abandon(index, e));
                    }
                    other => other?,
                }
            };
            self.advance(index, &found, taken.is_some());
            if let Some(taken) = taken {
                return self.admit(index, &found, taken).map(Some);
            }
        }
    }

    /// A large payload: pinned, then copied or kept. `None`: its slot was reused meanwhile.
    fn take_slab(&mut self, index: usize, found: &Found, take: Take) -> Result<Option<Taken>> {
        let source = &mut self.sources[index];
        let corrupt = |why: &str| Error::new(ErrorKind::Corrupt, format!("topic '{}': {why}", source.topic));
        if (found.shape.body as usize) < DESCRIPTOR {
            return Err(corrupt("a descriptor is too short"));
        }
        // SAFETY: the body, at least this long, was just copied there.
        let bytes = unsafe { self.record.bytes(0, DESCRIPTOR) };
        let descriptor = Descriptor::decode(bytes.try_into().unwrap_or(&[0; DESCRIPTOR]));
        let segment = match source.segments.get(&descriptor.segment) {
            Some(segment) => segment.clone(),
            None => {
                source.segments.retain(|_, segment| !segment.is_retired());
                let directory = self.domain.inner().directory(Directory::Segments);
                match Segment::open(&directory, source.id, descriptor.segment) {
                    Ok(segment) => {
                        source.segments.entry(descriptor.segment).or_insert(Arc::new(segment)).clone()
                    }
                    // Given up by its publisher after we saw the record.
                    Err(e) if e.kind() == ErrorKind::NotFound && source.reader.racy() => return Ok(None),
                    Err(e) => return Err(e.of("topic", &source.topic)),
                }
            }
        };
        let length = descriptor.length as usize;
        if descriptor.slot as usize >= segment.slots || length > segment.slot_size {
            return Err(corrupt("a descriptor points outside its segment"));
        }
        let place = self
            .shared
            .pin(pin_word(source.cursor, descriptor.segment, descriptor.slot), take == Take::Copy)?;
        if !is_stamped(segment.stamp(descriptor.slot), found.seq) {
            self.shared.unpin(place);
            return if source.reader.racy() {
                Ok(None)
            } else {
                Err(corrupt("a slot lost its stamp before it was read"))
            };
        }
        let waiting = (!source.reader.racy()).then(|| source.reader.map.clone());
        let slot = descriptor.slot;
        let pinned = Pinned {
            shared: self.shared.clone(),
            segment,
            slot,
            place,
            length,
            waiting,
            publisher: source.id,
        };
        if take == Take::Borrow {
            self.pinned = Some(pinned);
            return Ok(Some(Taken::Pinned(length)));
        }
        let room = self.bulk.room(length);
        // SAFETY: the room has `length` bytes, the slot too; the pin keeps it still.
        unsafe { std::ptr::copy_nonoverlapping(pinned.data().as_ptr(), room, length) };
        Ok(Some(Taken::Bulk(length)))
    }

    /// Moves past a record and lets the publisher know.
    #[inline(always)]
    fn advance(&mut self, index: usize, found: &Found, arrived: bool) {
        let source = &mut self.sources[index];
        source.lost =
            source.lost.saturating_add(source.reader.advance(found)).saturating_add(u64::from(!arrived));
        let position = source.reader.position();
        self.shared.head().cursors[source.cursor].position.store(position, Ordering::Release);
        if !source.reader.racy() {
            source.tell_publisher(self.light);
        }
    }

    /// Fills the envelope of the message just taken and counts it.
    #[inline(always)]
    fn admit(&mut self, index: usize, found: &Found, taken: Taken) -> Result<Taken> {
        let source = &mut self.sources[index];
        let shape = found.shape;
        let (Taken::Record(length) | Taken::Bulk(length) | Taken::Pinned(length)) = taken;
        let missed = std::mem::take(&mut source.lost);
        let envelope = &mut self.envelope;
        if !Arc::ptr_eq(&envelope.topic, &source.topic) {
            envelope.topic = source.topic.clone();
        }
        envelope.content = Content::from_number(shape.content).unwrap_or_default();
        envelope.flags = shape.flags;
        envelope.sequence = found.seq;
        envelope.missed = missed;
        envelope.publisher = source.id;
        self.received += 1;
        self.missed = self.missed.saturating_add(missed);
        self.bytes += length as u64;
        let head = self.shared.head();
        head.received.store(self.received, Ordering::Relaxed);
        head.missed.store(self.missed, Ordering::Relaxed);
        head.bytes.store(self.bytes, Ordering::Relaxed);
        if shape.meta != 0 || envelope.tensor.is_some() || !envelope.meta.is_empty() {
            // SAFETY: the whole body was copied, the metadata is its end.
            envelope.meta = unsafe { self.record.bytes(shape.meta_offset(), shape.meta as usize) }.into();
            envelope.tensor = None;
            envelope.decode(length)?;
        }
        Ok(taken)
    }

    /// The reader was overtaken and goes on with what is left.
    #[cold]
    fn resynchronise(&mut self, index: usize) -> Result<()> {
        self.sources[index].reader.resynchronise().map_err(|e| self.abandon(index, e))
    }

    /// A ring that cannot be believed any more is let go.
    #[cold]
    fn abandon(&mut self, index: usize, error: Error) -> Error {
        let source = self.sources.swap_remove(index);
        self.passed_over.insert(source.id);
        self.shared.head().cursors[source.cursor].position.store(NOWHERE, Ordering::Release);
        self.read_out.push((source.id, source.cursor));
        error.of("topic", &source.topic)
    }

    #[inline(always)]
    fn message(&self, taken: Taken) -> Message<'_> {
        let data = match taken {
            // SAFETY: as many bytes were copied there.
            Taken::Record(length) => unsafe { self.record.bytes(0, length) },
            // SAFETY: as above.
            Taken::Bulk(length) => unsafe { self.bulk.bytes(0, length) },
            Taken::Pinned(_) => self.pinned.as_ref().map_or(&[][..], Pinned::data),
        };
        Message { envelope: &self.envelope, data }
    }

    fn sample(&mut self, taken: Taken) -> Sample {
        let pinned = if matches!(taken, Taken::Pinned(_)) { self.pinned.take() } else { None };
        let bytes = match pinned {
            Some(pinned) => Bytes::Pinned(pinned),
            None => Bytes::own(self.message(taken).data()),
        };
        Sample { envelope: self.envelope.clone(), bytes }
    }
}

impl Source {
    /// Its publisher said goodbye or died.
    fn is_finished(&self) -> bool {
        self.dead || self.reader.map.head().closed.load(Ordering::Acquire) != 0
    }

    /// W1: the cursor moved; a publisher that sleeps for room is rung.
    #[inline(always)]
    fn tell_publisher(&mut self, light: bool) {
        fence::light(light);
        if let Some(ringer) = &mut self.ringer {
            ringer.ring_if_armed(&self.reader.map.head().armed);
        }
    }
}

impl Sleeper for Subscriber {
    fn armed(&self) -> &AtomicU64 {
        &self.shared.head().armed
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.note_deaths();
        self.let_go_of_finished();
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<Vec<ParticipantId>>> {
        self.waiter.settle(&self.shared.head().armed)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.domain.forked() {
            return;
        }
        self.shared.detach();
        // Who sleeps for our cursor is rung by the bells we have, also where no descriptor is left to open them.
        self.sources.iter().filter_map(|source| source.ringer.as_ref()).for_each(Ringer::ring);
    }
}

impl Iterator for Subscriber {
    type Item = Result<Sample>;

    /// Waits for the next message, without end.
    fn next(&mut self) -> Option<Result<Sample>> {
        Some(self.borrow(None))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Subscriber({:?}, {} publishers, {} received, {} missed)",
            self.pattern(),
            self.sources.len(),
            self.received,
            self.missed
        )
    }
}
