//! Records in a ring: the one data structure under topics and rings.
//!
//! One process writes, any number read. The ring is a range of a shared file mapped twice back to
//! back, so that every record is contiguous. A position counts bytes from the beginning of time;
//! the place of a position is its remainder by the capacity, a power of two.
//!
//! A record is a 16-byte header and a body, rounded up to 16 bytes: small messages share cache lines. The header's `ready`
//! word is the record's sequence number plus one, or zero while there is no record: readers wait on
//! the very line that carries the message, one transfer between cores instead of two.
//!
//! Pairs, by name (docs/protocol.md):
//! - **R1** writer: clear `ready` of the *next* place, fill the record, `ready` (release) — reader:
//!   `ready` (acquire), then the body. What an earlier lap left in the next place can therefore
//!   never look like a record to a reader that follows.
//! - **R2** writer: `claim`, full fence, overwrite — racing reader: copy, acquire fence, `claim`. A copy that
//!   was overwritten meanwhile is noticed and dropped.
//! - **R3** writer: `seq`, then `head` (release) — attaching reader: `head` (acquire), `seq`, then `ready` at
//!   head. `ready == 0` proves that `seq` is the number of the record that will appear at `head`.
//! - **A1** writer: `claim`, full fence, look at cursors — attaching reader: cursor, full fence, look
//!   at `claim`. At least one sees the other.

#[cfg(not(loom))]
mod map;
#[cfg(loom)]
#[path = "record/model.rs"]
mod map;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{Ordering, fence, spin_loop};
pub use map::*;

/// Bytes of a record's header; the body follows.
pub const RECORD_HEADER: usize = 16;
/// Records begin at multiples of this, so that a header lies within one line.
pub const GRAIN: usize = 16;

/// Where the grain begins that a position lies in: what was damaged may lie anywhere.
#[inline(always)]
pub fn on_grain(position: u64) -> u64 {
    position & !(GRAIN as u64 - 1)
}

/// How often a reader looks for a place to begin before it takes what it has.
const ATTEMPTS: usize = if cfg!(loom) { 3 } else { 1000 };

/// The second header word: `body 32 | meta 16 | content 8 | flags 8`, low bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u64);

/// The body is a descriptor of a slab slot.
pub const FLAG_SLAB: u8 = 1;
/// The metadata begins with a tensor's type and shape.
pub const FLAG_TENSOR: u8 = 2;
/// The metadata has attributes.
pub const FLAG_ATTRIBUTES: u8 = 4;

impl Shape {
    pub const fn new(body: usize, meta: u16, content: u8, flags: u8) -> Shape {
        Shape(body as u32 as u64 | (meta as u64) << 32 | (content as u64) << 48 | (flags as u64) << 56)
    }

    /// As it stands in a record.
    pub fn pack(self) -> u64 {
        self.0
    }

    /// As a record says, which may be anything.
    pub fn unpack(word: u64) -> Shape {
        Shape(word)
    }

    /// Bytes of payload (or descriptor) in the body.
    pub fn body(self) -> usize {
        self.0 as u32 as usize
    }

    /// Bytes of metadata, after the payload rounded up to a grain.
    pub fn meta(self) -> usize {
        (self.0 >> 32) as u16 as usize
    }

    pub fn content(self) -> u8 {
        (self.0 >> 48) as u8
    }

    pub fn flags(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// Where the metadata begins in the body.
    pub fn meta_offset(self) -> usize {
        self.body().next_multiple_of(GRAIN)
    }

    /// Bytes of the body, payload and metadata.
    pub fn body_bytes(self) -> usize {
        if self.meta() == 0 { self.body() } else { self.meta_offset() + self.meta() }
    }

    /// Bytes of the record in the ring, header included, in whole grains.
    #[inline(always)]
    pub fn record_bytes(self) -> u64 {
        (RECORD_HEADER + self.body_bytes()).next_multiple_of(GRAIN) as u64
    }
}

/// Lets the other end get ahead by some messages, for about a microsecond. A reader that has caught up with a stream and
/// asks at once takes the line from the writer in the middle of its writing, and both go at the pace of that line
/// from then on.
pub fn linger() {
    const PAUSES: u32 = if cfg!(loom) { 1 } else { 64 };
    (0..PAUSES).for_each(|_| spin_loop());
}

/// What a writer makes visible, word by word. Where it can be done at once, others see no more than they may see here.
impl RingMap {
    /// See [`RingMap::commit`].
    #[inline(always)]
    fn commit_by_words(&self, position: u64, ready: u64, shape: Shape) {
        self.shape(position).store(shape.pack(), Ordering::Relaxed);
        self.ready(position).store(ready, Ordering::Release);
    }

    /// See [`RingMap::note`].
    #[inline(always)]
    fn note_by_words(&self, seq: u64, head: u64) {
        self.head().seq.store(seq, Ordering::Release);
        self.head().head.store(head, Ordering::Release);
    }
}

/// The writing end. Belongs to the one process that made the ring.
pub struct Writer {
    map: std::sync::Arc<RingMap>,
    head: u64,
    seq: u64,
    claim: u64,
    /// Readers may copy what is being overwritten.
    racy: bool,
}

impl Writer {
    pub fn new(map: std::sync::Arc<RingMap>, racy: bool) -> Writer {
        Writer { map, head: 0, seq: 0, claim: 0, racy }
    }

    /// Continues a ring whose last writer is gone. It may have died between its commit and its note of
    /// it, so the newest record is looked for at the place itself. What the words say is checked: the
    /// writer will believe them from now on.
    pub fn resume(map: std::sync::Arc<RingMap>) -> Result<Writer> {
        let words = map.head();
        let (mut head, mut seq) = (words.head.load(Ordering::Acquire), words.seq.load(Ordering::Acquire));
        let claim = words.claim.load(Ordering::Relaxed);
        let impossible = || {
            let text = format!(
                "it was written to {head}, its oldest record is at {claim}, which cannot be: its memory was damaged; unlink it"
            );
            Error::new(ErrorKind::Corrupt, text)
        };
        let aligned = (head | claim).is_multiple_of(GRAIN as u64) && (head | seq) >> 62 == 0;
        if !aligned || head.checked_sub(claim).is_none_or(|bytes| bytes > map.capacity()) {
            return Err(impossible());
        }
        let ready = map.ready(head).load(Ordering::Acquire);
        if ready != 0 {
            let bytes = Shape::unpack(map.shape(head).load(Ordering::Relaxed)).record_bytes();
            // It took note of neither, or of the number alone.
            if !(seq..=seq + 1).contains(&ready) || head + bytes - claim > map.capacity() {
                return Err(impossible());
            }
            head += bytes;
            seq = ready;
        }
        let mut writer = Writer { map, head, seq, claim, racy: false };
        writer.publish_progress(head, 0);
        Ok(writer)
    }

    pub fn head(&self) -> u64 {
        self.head
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn claim(&self) -> u64 {
        self.claim
    }

    pub fn control(&self) -> &RingHead {
        self.map.head()
    }

    /// How far `claim` must be before `bytes` of records can be written. A spare grain stays
    /// between the newest record and the oldest, for the cleared `ready` word (R1).
    #[inline(always)]
    pub fn needed_claim(&self, bytes: u64) -> u64 {
        (self.head + bytes + GRAIN as u64).saturating_sub(self.map.capacity())
    }

    #[inline(always)]
    pub fn has_room(&self, bytes: u64) -> bool {
        self.needed_claim(bytes) <= self.claim
    }

    /// Whether `bytes` of records fit an empty ring.
    pub fn can_ever_fit(&self, bytes: u64) -> bool {
        bytes + GRAIN as u64 <= self.map.capacity()
    }

    /// A ring is full: gives its slowest reader up to about ten microseconds to free `wanted` rather than
    /// one record, looking seldom. A writer that looked at the cursor for every record would pass its
    /// cache line back and forth with the reader and slow both down. Returns the slowest position.
    pub fn await_room(wanted: u64, mut slowest: impl FnMut() -> u64) -> u64 {
        const LOOKS: u32 = 4;
        let mut position = slowest();
        for _ in 0..LOOKS {
            if position >= wanted {
                break;
            }
            linger();
            position = slowest();
        }
        position
    }

    /// Moves `claim` to the first record boundary at or after `target`, or to `head`, but not past `limit`, and
    /// fences: afterwards a reader's cursor that is not seen belongs to a reader that sees the claim (A1, R2).
    pub fn claim_to(&mut self, target: u64, limit: u64) {
        let mut at = self.claim;
        while at < target && at < self.head {
            // A damaged shape must not carry the claim past what was written.
            let next = (at + Shape::unpack(self.map.shape(at).load(Ordering::Relaxed)).record_bytes())
                .min(self.head);
            if next > limit {
                break;
            }
            at = next;
        }
        if at != self.claim {
            self.claim = at;
            // Release: who begins at the claim finds there what was there when it was claimed, or later.
            self.map.head().claim.store(at, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }

    /// Writes and publishes one record; there must be room for it.
    #[inline(always)]
    pub fn write(&mut self, shape: Shape, body: &[u8], meta: &[u8]) {
        let next = self.head + shape.record_bytes();
        self.map.ready(next).store(0, Ordering::Relaxed);
        // SAFETY: there is room for the record, and this is the writer.
        unsafe { self.map.store_body(self.head, shape, body, meta, self.racy) }
        self.map.commit(self.head, self.seq + 1, shape);
        self.publish_progress(next, 1);
    }

    /// Writes all records, then makes them visible at once: the last first, so that a reader that
    /// sees the first sees all, and a death in between shows none.
    pub fn write_many<'a>(&mut self, records: impl Iterator<Item = (Shape, &'a [u8], &'a [u8])>) {
        let mut places = Vec::new();
        let mut at = self.head;
        for (shape, body, meta) in records {
            if at != self.head {
                self.map.ready(at).store(0, Ordering::Relaxed);
            }
            // SAFETY: there is room for the record, and this is the writer.
            unsafe { self.map.store_body(at, shape, body, meta, self.racy) }
            places.push((at, shape));
            at += shape.record_bytes();
        }
        if places.is_empty() {
            return;
        }
        self.map.ready(at).store(0, Ordering::Relaxed);
        for (i, (place, shape)) in places.iter().enumerate().rev() {
            self.map.commit(*place, self.seq + i as u64 + 1, *shape);
        }
        self.publish_progress(at, places.len() as u64);
    }

    #[inline(always)]
    fn publish_progress(&mut self, head: u64, records: u64) {
        self.head = head;
        self.seq += records;
        self.map.note(self.seq, head);
    }

    /// The memory of a record of up to `body` bytes at the head, to be filled in place. There must be room.
    #[cfg(not(loom))]
    pub fn reserve(&mut self, body: usize) -> &mut [u8] {
        // SAFETY: room was checked by the caller; until `write_reserved` nobody else looks at it.
        unsafe { std::slice::from_raw_parts_mut(self.map.body(self.head), body) }
    }

    /// Publishes what [`Writer::reserve`] gave out.
    pub fn write_reserved(&mut self, shape: Shape) {
        let next = self.head + shape.record_bytes();
        self.map.ready(next).store(0, Ordering::Relaxed);
        self.map.commit(self.head, self.seq + 1, shape);
        self.publish_progress(next, 1);
    }
}

/// What a reader finds at its position.
pub enum Next {
    /// Nothing yet.
    Empty,
    /// The writer overwrote it: the reader must resynchronise.
    Lapped,
    /// A record.
    Record(Found),
}

/// A record found and not yet taken.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub seq: u64,
    pub shape: Shape,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Beginning,
    Oldest,
    Latest,
}

/// The reading end.
pub struct Reader {
    pub map: std::sync::Arc<RingMap>,
    position: u64,
    expected: u64,
    /// The writer overwrites without asking: copies are by words and validated (R2).
    racy: bool,
}

impl Reader {
    pub fn new(map: std::sync::Arc<RingMap>, racy: bool, from: From) -> Reader {
        let mut reader = Reader { map, position: 0, expected: 0, racy };
        match from {
            From::Beginning => {}
            From::Oldest => reader.go_to_oldest(),
            From::Latest => reader.go_to_latest(),
        }
        reader
    }

    /// A reader that continues at a known place of a ring that never overwrites the unread.
    pub fn resume(map: std::sync::Arc<RingMap>, position: u64) -> Reader {
        let position = on_grain(position);
        let mut reader = Reader { map, position, expected: 0, racy: false };
        for _ in 0..ATTEMPTS {
            if let Some(number) = reader.number_here() {
                reader.expected = number;
                break;
            }
            spin_loop();
        }
        reader
    }

    /// The number of the record at the position, or of the one that will appear there.
    fn number_here(&self) -> Option<u64> {
        let words = self.map.head();
        // R3: `head`, then `seq`, then `ready`.
        let head = on_grain(words.head.load(Ordering::Acquire));
        let seq = words.seq.load(Ordering::Acquire);
        match self.map.ready(self.position).load(Ordering::Acquire) {
            0 if head == self.position => Some(seq),
            0 => {
                // The record before us was read before its writer took note of it, and the writer may have died
                // there; it takes note of each before it begins the next.
                let ready = self.map.ready(head).load(Ordering::Acquire);
                let bytes = Shape::unpack(self.map.shape(head).load(Ordering::Relaxed)).record_bytes();
                // What was damaged may say anything.
                let end = head.wrapping_add(bytes);
                fence(Ordering::Acquire);
                let unmoved = on_grain(words.head.load(Ordering::Relaxed)) == head;
                (ready != 0 && end == self.position && unmoved).then_some(ready)
            }
            ready => Some(ready - 1),
        }
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn racy(&self) -> bool {
        self.racy
    }

    /// The cursor is visible to the writer now; is the position still whole? (A1)
    pub fn attached(&self) -> bool {
        fence(Ordering::SeqCst);
        self.map.head().claim.load(Ordering::Relaxed) <= self.position
    }

    /// Both searches read racing words and check that nothing moved meanwhile; a writer fast enough to
    /// spoil every attempt leaves the reader behind, which it then notices as being lapped.
    fn go_to_latest(&mut self) {
        let head = self.map.head();
        for _ in 0..ATTEMPTS {
            // R3: `head`, then `seq`, then `ready` at head.
            let at = on_grain(head.head.load(Ordering::Acquire));
            let seq = head.seq.load(Ordering::Acquire);
            let ready = self.map.ready(at).load(Ordering::Acquire);
            self.position = at;
            self.expected = if ready == 0 { seq } else { ready - 1 };
            if !self.is_lapped() {
                return;
            }
            spin_loop();
        }
    }

    fn go_to_oldest(&mut self) {
        let words = self.map.head();
        for _ in 0..ATTEMPTS {
            let claim = on_grain(words.claim.load(Ordering::Acquire));
            // R3, for the case that nothing lies between claim and head.
            let head = words.head.load(Ordering::Acquire);
            let seq = words.seq.load(Ordering::Acquire);
            let ready = self.map.ready(claim).load(Ordering::Acquire);
            fence(Ordering::Acquire);
            if words.claim.load(Ordering::Relaxed) == claim && (ready != 0 || head == claim) {
                self.position = claim;
                self.expected = if ready == 0 { seq } else { ready - 1 };
                return;
            }
            spin_loop();
        }
        self.go_to_latest();
    }

    /// The next record is the first that is expected, or one with a number from this on: what lies before is not missed.
    pub fn expect_from(&mut self, number: u64) {
        self.expected = self.expected.max(number);
    }

    /// After being lapped: continues at the oldest record there is. What was missed is counted once, when
    /// the next record arrives. A ring that claims to have overwritten what was never written is damaged, and so
    /// is one whose claim is between two grains: no position would ever be beyond it.
    pub fn resynchronise(&mut self) -> Result<()> {
        let expected = self.expected;
        self.go_to_oldest();
        self.expected = expected;
        let claim = self.map.head().claim.load(Ordering::Acquire);
        let why = if !claim.is_multiple_of(GRAIN as u64) {
            "where no record can begin"
        } else if claim > self.position && claim > self.map.head().head.load(Ordering::Acquire) {
            "which was never written"
        } else {
            return Ok(());
        };
        let text =
            format!("it gave up all before {claim}, {why}; its writer's memory was damaged, restart it");
        Err(Error::new(ErrorKind::Corrupt, text))
    }

    /// Looks at the next record without taking it.
    #[inline(always)]
    pub fn peek(&self) -> Result<Next> {
        let ready = self.map.ready(self.position).load(Ordering::Acquire);
        // Saturating: what was damaged may say anything, but a place that is zero is never a record.
        let wanted = self.expected.saturating_add(1);
        if ready == wanted || (ready > wanted && self.racy && self.is_plausible(ready)) {
            let shape = Shape::unpack(self.map.shape(self.position).load(Ordering::Relaxed));
            if RECORD_HEADER + shape.body_bytes() + GRAIN <= self.map.capacity() as usize {
                return Ok(Next::Record(Found { seq: ready - 1, shape }));
            }
        }
        self.nothing(ready)
    }

    /// Whether a record after a gap can be: the count of records lags behind them by one batch at most.
    #[cold]
    fn is_plausible(&self, ready: u64) -> bool {
        let batch = self.map.capacity() / GRAIN as u64;
        ready.saturating_sub(batch) <= self.map.head().seq.load(Ordering::Acquire)
    }

    #[cold]
    fn nothing(&self, ready: u64) -> Result<Next> {
        if self.racy && self.is_lapped() {
            return Ok(Next::Lapped);
        }
        if ready == 0 {
            return Ok(Next::Empty);
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "a record at {} has an impossible header ({ready:#x}); its writer's memory was damaged, restart it",
                self.position
            ),
        ))
    }

    /// Whether what was read since may have been overwritten (R2).
    #[inline(always)]
    pub fn is_lapped(&self) -> bool {
        fence(Ordering::Acquire);
        self.map.head().claim.load(Ordering::Relaxed) > self.position
    }

    /// Copies `bytes` of the body at the position to `to`, which has room for them rounded up to 8.
    /// `false`: it was overwritten meanwhile.
    ///
    /// # Safety
    /// `bytes` fits the record [`Reader::peek`] returned; `to` is writable for `bytes` rounded up to 8, aligned to 8.
    #[inline(always)]
    pub unsafe fn copy(&self, bytes: usize, to: *mut u8) -> bool {
        // SAFETY: the record is within the mirror (checked by `peek`), `to` by the caller.
        unsafe { self.map.load_body(self.position, bytes, to, self.racy) };
        !(self.racy && self.is_lapped())
    }

    /// The body in place; only of a ring whose writer waits for its readers.
    #[cfg(not(loom))]
    pub fn body(&self, found: &Found) -> &[u8] {
        debug_assert!(!self.racy);
        // SAFETY: within the mirror (checked by `peek`); the writer leaves it alone until the cursor passed.
        unsafe { std::slice::from_raw_parts(self.map.body(self.position), found.shape.body()) }
    }

    /// Takes the record: the next expected is the one after it. Returns how many were missed before it.
    #[inline(always)]
    pub fn advance(&mut self, found: &Found) -> u64 {
        let missed = found.seq.wrapping_sub(self.expected);
        self.position = self.position.wrapping_add(found.shape.record_bytes());
        self.expected = found.seq + 1;
        missed
    }

    /// Whether every record up to the true end has been taken. `head` may lag one record behind when the writer
    /// died between its two stores, so the place itself is asked.
    pub fn drained(&self) -> bool {
        matches!(self.peek(), Ok(Next::Empty))
    }
}
