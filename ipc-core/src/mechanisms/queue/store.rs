//! The file of a queue: where everything is in it.

use super::QueueOptions;
use super::durable::StateCopy;
use super::pool::Pool;
use super::shape::{LATER, Shape};
use super::steps::{Bits, Cell, Lane, SLOT_BITS, State, Word};
use crate::domain::Directory;
use crate::domain::layout::{Kind, LINE};
use crate::domain::object::{Design, NOUN_HEAD, Object};
use crate::domain::steps::Generation;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::mapping::{Mapping, Shared, round_to_pages};
use crate::sys::process;
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::Arc;

/// Priorities there are; the highest is served first.
pub const PRIORITIES: usize = 8;
/// Messages a queue can hold at most.
pub const MAX_CAPACITY: usize = 1 << SLOT_BITS;
/// Bytes of a message, or of a result, without their metadata: as many as a journal's record takes, in memory too.
pub const MAX_PAYLOAD: usize = 64 << 20;
/// Deliveries of one message that are counted at most.
pub const MAX_ATTEMPTS: u32 = u16::MAX as u32;
/// Bytes of a message that its slot itself holds.
pub const INLINE: usize = 128;
/// Bytes of a message that a part holds.
pub const PART: usize = SLOT - 32;

/// Cells of the log lane that are left free for those who fill one at the same time. Few where a test fills it.
pub const LOG_MARGIN: u64 = if cfg!(test) { 64 } else { 8192 };

/// What a handle waits for, as its row says.
pub const WANTS_ROOM: u64 = 1;
pub const WANTS_ITEMS: u64 = 2;

/// How far a lane is full, and how far it was taken; hints, each on lines of its own.
#[repr(C)]
pub struct LaneHead {
    pub tail: AtomicU64,
    _pad0: [AtomicU64; 15],
    pub head: AtomicU64,
    _pad1: [AtomicU64; 15],
}

/// The queue's part of the head.
#[repr(C)]
pub struct QueueHead {
    pub capacity: AtomicU64,
    pub parts: AtomicU64,
    /// Deliveries of one message before it is dead.
    pub max_attempts: AtomicU64,
    /// How the journal is synced; zero: there is none. See [`super::Fsync`].
    pub fsync: AtomicU64,
    /// Nanoseconds between two syncs.
    pub interval: AtomicU64,
    /// Ids that are remembered, and for how many nanoseconds.
    pub dedup: AtomicU64,
    pub dedup_within: AtomicU64,
    _pad0: [AtomicU64; 9],
    /// Of each part of the file, how many units are allocated.
    pub slots_grown: AtomicU64,
    pub parts_grown: AtomicU64,
    /// A bit for each lane that is allocated, all that were ever used; [`SIDE`], [`DEDUP`], [`BITS`] and [`GAPS`].
    pub lanes_used: AtomicU64,
    /// The id of the handle that enters one; zero: nobody does.
    pub dedup_lock: AtomicU64,
    /// Ids that were ever entered.
    pub dedup_next: AtomicU64,
    /// Counts messages aside that the side lane does not name, since there was no memory for it: who sees it moved looks at
    /// every slot.
    pub unnamed: AtomicU64,
    _pad1: [AtomicU64; 42],
    /// Raised by those about to sleep for a message, and for room (W1).
    pub items: Generation,
    pub room: Generation,
    pub lanes: [LaneHead; PRIORITIES],
    pub side: LaneHead,
}

/// What the processes that share a journal know in common, on the second page of the head.
#[repr(C)]
pub struct JournalHead {
    /// The id of the handle that writes; zero: nobody does.
    pub lock: AtomicU64,
    /// Handles that wait for the lock or for a sync: a hint, too many after a death.
    pub waiters: AtomicU64,
    /// Counts what they wait for; they sleep on its lower half.
    pub turns: AtomicU64,
    /// Which queue in memory the journal belongs to, and whether it was read into it.
    pub token: AtomicU64,
    pub loaded: AtomicU64,
    /// Tells the deliveries after one start from those after another.
    pub boot: AtomicU64,
    /// Counts the states that were published; its lowest bit tells which of the two counts.
    pub count: AtomicU64,
    /// Position in the log lane up to which all is on the disk.
    pub durable: AtomicU64,
    /// When it was last synced, in coarse milliseconds.
    pub synced: AtomicU64,
    /// How many changes the last sync served, and how many nanoseconds it took.
    pub group: AtomicU64,
    pub pace: AtomicU64,
    /// Changes that could not be named in the log lane, since it was full and the disk, too; and how many of them were
    /// named since.
    pub owed: AtomicU64,
    pub repaid: AtomicU64,
    /// Tells where the journal is from other places.
    pub place: AtomicU64,
    _pad0: [AtomicU64; 2],
    /// How far the journal has come.
    pub states: [StateCopy; 2],
    _pad1: [AtomicU64; 20],
    pub log: LaneHead,
}

// SAFETY: atomics only.
unsafe impl Shared for JournalHead {}

/// Where it begins.
pub const JOURNAL_HEAD: usize = 4096;
const _: () =
    assert!(offset_of!(JournalHead, states) == 128 && JOURNAL_HEAD + size_of::<JournalHead>() <= HEAD);
const _: () =
    assert!(offset_of!(JournalHead, log) == 512 && NOUN_HEAD + size_of::<QueueHead>() <= JOURNAL_HEAD);

/// An id of a message that was put.
#[repr(C)]
pub struct DedupEntry {
    pub key_low: AtomicU64,
    pub key_high: AtomicU64,
    /// When, in nanoseconds of the machine's monotonic clock.
    pub stamp: AtomicU64,
    /// The slot and the generation in which it was filled; zero: the entry does not count.
    pub place: AtomicU64,
}

// SAFETY: atomics only.
unsafe impl Shared for DedupEntry {}

/// A slot: one message, or a part of one. Its first line is what it is, then come its bytes, then what few messages use.
#[repr(C)]
pub struct Slot {
    /// [`super::steps::Word`].
    pub word: AtomicU64,
    /// [`super::shape::Shape`].
    pub shape: AtomicU64,
    /// The first part, plus one; zero if there is none.
    pub body: AtomicU64,
    /// Its place in the order of puts of its priority: about there when it is put, exactly once it was taken. One that was
    /// put for later has that of the next that was not; see [`Slot::turn`].
    pub position: AtomicU64,
    /// Milliseconds of the machine's monotonic clock when it came to be as its word says.
    pub since: AtomicU64,
    /// Nanoseconds of the machine's monotonic clock when it is to be delivered, or its lease ends.
    pub due: AtomicU64,
    /// The same when it is too late to deliver it; zero: never.
    pub expires: AtomicU64,
    /// How often it was delivered, and in which generation it was filled; see [`Life`].
    pub life: AtomicU64,
    pub bytes: [AtomicU64; INLINE / 8],
    /// Who waits for what becomes of it: `serial 51 | row + 1`, the row in 13 bits; zero: nobody any more.
    pub ticket: AtomicU64,
    /// How far its consumer is, as the bits of a double from 0 to 1.
    pub progress: AtomicU64,
    /// What is left when it is done or dead, and the first part of that, plus one: the result, or the reason in words.
    pub after_shape: AtomicU64,
    pub after: AtomicU64,
    /// Why it is dead; [`super::dead::Reason`].
    pub reason: AtomicU64,
    /// The LSN of its first record in the journal, and the segment of its newest, both zero as long as there is none.
    /// Written under the journal's lock.
    pub id: AtomicU64,
    pub segment: AtomicU64,
    /// Of a message that had not come into line when it was put or read: when that was, in nanoseconds of the machine's monotonic clock.
    pub put_at: AtomicU64,
}

impl Slot {
    /// Which of those with the same place comes first: who did not come into line has the place of who came next, and is before
    /// it.
    #[inline(always)]
    pub fn turn(&self) -> u64 {
        let later = Shape(self.shape.load(Ordering::Relaxed)).has(LATER);
        if later { self.put_at.load(Ordering::Relaxed) } else { u64::MAX }
    }
}

/// `attempts 16 | generation 48`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(pub u64);

impl Life {
    /// Of a message that is filled in `generation`.
    pub fn new(generation: u64) -> Life {
        Life(generation & (u64::MAX >> 16))
    }

    /// Deliveries so far.
    #[inline(always)]
    pub fn attempts(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The generation in which it was filled: its parts know it by that.
    pub fn generation(self) -> u64 {
        self.0 & (u64::MAX >> 16)
    }

    /// After so many deliveries.
    pub fn after(self, attempts: u16) -> Life {
        Life(u64::from(attempts) << 48 | self.generation())
    }

    /// After one delivery more.
    #[inline(always)]
    pub fn delivered(self) -> Life {
        self.after(self.attempts().saturating_add(1))
    }
}

/// The bit of the side lane, that of the ids, and that of what every queue has: the bits of free slots, and the log lane.
pub const SIDE: u64 = 1 << PRIORITIES;
pub const DEDUP: u64 = SIDE << 1;
const BITS: u64 = DEDUP << 1;
/// The bit of the first lane, and then one for each, of which messages went that others were before.
const GAPS: u64 = 1 << 16;
/// Ids a queue can remember at most.
pub const MAX_DEDUP: usize = 1 << 20;

/// Bytes of a slot.
pub const SLOT: usize = 256;

// SAFETY: atomics only.
unsafe impl Shared for QueueHead {}
// SAFETY: atomics only.
unsafe impl Shared for Slot {}

/// Bytes of the head.
const HEAD: usize = 8192;
const _: () = assert!(size_of::<Slot>() == SLOT && offset_of!(Slot, bytes) == LINE);
const _: () = assert!(offset_of!(QueueHead, slots_grown) == 128 && offset_of!(QueueHead, unnamed) == 168);
const _: () = assert!(offset_of!(QueueHead, items) == 512);
const _: () = assert!(offset_of!(QueueHead, lanes) == 768 && NOUN_HEAD + size_of::<QueueHead>() <= HEAD);

pub static DESIGN: Design = Design {
    noun: "queue",
    kind: Kind::Queue,
    directory: Directory::Queues,
    handles: 4096,
    head: HEAD,
    bells: &[ITEMS_BELL, ROOM_BELL],
};
pub const ITEMS_BELL: &str = "items";
pub const ROOM_BELL: &str = "room";

/// Where each part of the file begins, from how much the queue can hold.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub capacity: usize,
    pub parts: usize,
    pub cells: usize,
    /// Cells of the log lane; zero if there is no journal.
    pub log_cells: usize,
    /// Ids that are remembered.
    pub dedup: usize,
    slot_bits: usize,
    slot_summary: usize,
    part_bits: usize,
    part_summary: usize,
    lanes: usize,
    side: usize,
    log: usize,
    ids: usize,
    pub slots: usize,
    pub part_slots: usize,
    pub size: usize,
}

impl Plan {
    pub fn new(capacity: usize, parts: usize, durable: bool, dedup: usize) -> Plan {
        let cells = capacity.next_power_of_two();
        let log_cells = if durable { 4 * cells.max(LOG_MARGIN as usize) } else { 0 };
        let mut end = DESIGN.body();
        let mut place = |bytes: usize| {
            let at = end;
            end = round_to_pages(end + bytes);
            at
        };
        let bits = |count: usize| count.div_ceil(64) * 8;
        Plan {
            capacity,
            parts,
            cells,
            log_cells,
            dedup,
            slot_bits: place(bits(capacity)),
            slot_summary: place(bits(bits(capacity) / 8)),
            part_bits: place(bits(parts)),
            part_summary: place(bits(bits(parts) / 8)),
            lanes: place(PRIORITIES * round_to_pages(cells * 8)),
            side: place(2 * cells * 8),
            log: place(log_cells * 8),
            ids: place(dedup * size_of::<DedupEntry>()),
            slots: place(capacity * SLOT),
            part_slots: place(parts * SLOT),
            size: place(0),
        }
    }

    /// The plan of a file that says so of itself, if it is of the size such a file has.
    pub fn of_file(capacity: u64, parts: u64, durable: bool, dedup: u64, size: u64) -> Option<Plan> {
        let fits = (1..=MAX_CAPACITY as u64).contains(&capacity)
            && parts <= MAX_CAPACITY as u64
            && (1..=MAX_DEDUP as u64).contains(&dedup);
        let plan = fits.then(|| Plan::new(capacity as usize, parts as usize, durable, dedup as usize))?;
        (plan.size as u64 == size).then_some(plan)
    }

    fn lane(&self, priority: usize) -> usize {
        self.lanes + priority * round_to_pages(self.cells * 8)
    }
}

/// The file of an open queue.
pub struct Store {
    pub object: Arc<Object>,
    pub plan: Plan,
    base: NonNull<u8>,
}

// SAFETY: a pointer into the object's mapping, which is made of atomics and bytes that are copied as such.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    pub fn new(object: Arc<Object>) -> Result<Store> {
        let head: &QueueHead = object.mapping().at(NOUN_HEAD);
        let of = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (capacity, parts, dedup) = (of(&head.capacity), of(&head.parts), of(&head.dedup));
        let size = object.mapping().len() as u64;
        let Some(plan) = Plan::of_file(capacity, parts, of(&head.fsync) != 0, dedup, size) else {
            let text = format!(
                "queue '{}': {capacity} messages and {parts} parts do not fit its {} bytes; remove it with `axonic unlink queue`",
                object.name,
                object.mapping().len()
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        };
        let base = NonNull::new(object.mapping().as_mut_ptr()).unwrap_or(NonNull::dangling());
        Ok(Store { object, plan, base })
    }

    #[inline(always)]
    pub fn head(&self) -> &QueueHead {
        // SAFETY: within the head's pages, which every such mapping has.
        unsafe { self.base.byte_add(NOUN_HEAD).cast().as_ref() }
    }

    /// A structure of an array at `offset`, which the plan has placed within the mapping; `number` is below its count.
    #[inline(always)]
    pub unsafe fn nth<T: Shared>(&self, offset: usize, number: usize) -> &T {
        // SAFETY: by the caller.
        unsafe { self.base.byte_add(offset + number * size_of::<T>()).cast().as_ref() }
    }

    /// An array of words at `offset`.
    #[inline(always)]
    unsafe fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        // SAFETY: by the caller: the plan has placed it within the mapping.
        unsafe { std::slice::from_raw_parts(self.base.byte_add(offset).cast().as_ptr(), count) }
    }

    /// Slot `number`. Panics where there cannot be one; whether it is allocated is for the caller to know.
    #[inline(always)]
    pub fn slot(&self, number: u32) -> &Slot {
        assert!((number as usize) < self.plan.capacity);
        // SAFETY: just checked.
        unsafe { self.nth(self.plan.slots, number as usize) }
    }

    #[inline(always)]
    pub fn lane(&self, priority: usize) -> Lane<'_> {
        assert!(priority < PRIORITIES);
        // SAFETY: of a lane the plan has placed.
        Lane::new(unsafe { self.words(self.plan.lane(priority), self.plan.cells) })
    }

    #[inline(always)]
    pub fn side(&self) -> Lane<'_> {
        // SAFETY: as above.
        Lane::new(unsafe { self.words(self.plan.side, 2 * self.plan.cells) })
    }

    /// The slots for messages.
    #[inline(always)]
    pub fn slots(&self) -> Pool<'_> {
        let plan = &self.plan;
        self.pool(plan.slots, plan.capacity, plan.slot_bits, plan.slot_summary, &self.head().slots_grown)
    }

    /// The slots for parts of them.
    #[inline(always)]
    pub fn parts(&self) -> Pool<'_> {
        let plan = &self.plan;
        self.pool(plan.part_slots, plan.parts, plan.part_bits, plan.part_summary, &self.head().parts_grown)
    }

    #[inline(always)]
    fn pool<'a>(
        &'a self,
        slots: usize,
        count: usize,
        bits: usize,
        summary: usize,
        grown: &'a AtomicU64,
    ) -> Pool<'a> {
        let words = count.div_ceil(64);
        // SAFETY: as the plan has placed them.
        let (words, summary) = unsafe { (self.words(bits, words), self.words(summary, words.div_ceil(64))) };
        Pool { store: self, offset: slots, count: count as u32, bits: Bits { words, summary }, grown }
    }

    #[inline(always)]
    pub fn journal(&self) -> &JournalHead {
        // SAFETY: within the head's pages, which every such mapping has.
        unsafe { self.base.byte_add(JOURNAL_HEAD).cast().as_ref() }
    }

    /// Entry `number` of all ids that were ever entered; the last of them are remembered. Allocated by
    /// [`Store::allocate_dedup`].
    pub fn dedup(&self, number: u64) -> &DedupEntry {
        let place = (number % self.plan.dedup as u64) as usize;
        // SAFETY: below their count, and as the plan has placed them.
        unsafe { self.nth(self.plan.ids, place) }
    }

    /// Memory for ids, by the first use of one.
    pub fn allocate_dedup(&self) -> Result<()> {
        if self.head().lanes_used.load(Ordering::Acquire) & DEDUP != 0 {
            return Ok(());
        }
        self.allocate_lane(DEDUP, self.plan.ids, self.plan.dedup * size_of::<DedupEntry>())
    }

    /// Whether the queue has a journal.
    #[inline(always)]
    pub fn is_durable(&self) -> bool {
        self.plan.log_cells != 0
    }

    /// The lane of what is to be written to the journal; only of a queue that has one.
    #[inline(always)]
    pub fn log(&self) -> Lane<'_> {
        assert!(self.is_durable());
        // SAFETY: as above.
        Lane::new(unsafe { self.words(self.plan.log, self.plan.log_cells) })
    }

    /// The lane of a priority, allocated by its first use.
    #[inline(always)]
    pub fn used_lane(&self, priority: usize) -> Result<Lane<'_>> {
        let bit = 1 << priority;
        if self.head().lanes_used.load(Ordering::Acquire) & bit == 0 {
            self.allocate_lane(bit, self.plan.lane(priority), self.plan.cells * 8)?;
        }
        Ok(self.lane(priority))
    }

    /// Puts a ready message into its lane. Where messages went that others were before, what it would write over may
    /// be one of these still.
    #[inline(always)]
    pub fn line_up(&self, priority: usize, number: u32, generation: u64) {
        let keep = |cell| self.has_gaps(priority) && self.is_ready(cell);
        self.lane(priority).fill_keeping(&self.head().lanes[priority].tail, number, generation, keep);
    }

    /// Whether the message a cell of a lane names is there still.
    #[cold]
    fn is_ready(&self, cell: Cell) -> bool {
        cell.slot() < self.slots().grown() && {
            let word = Word::of(&self.slot(cell.slot()).word);
            word.is(State::Ready) && cell.means(word)
        }
    }

    #[inline(always)]
    fn has_gaps(&self, priority: usize) -> bool {
        self.head().lanes_used.load(Ordering::Acquire) & GAPS << priority != 0
    }

    /// A message is about to go from this lane that others may be before.
    pub fn note_gap(&self, priority: usize) {
        if !self.has_gaps(priority) {
            self.head().lanes_used.fetch_or(GAPS << priority, Ordering::AcqRel);
        }
    }

    /// The side lane, allocated by its first use, or when slots would take more memory than it does. Where there is none for
    /// it those are few at which every consumer has to look ([`QueueHead::unnamed`]).
    pub fn used_side(&self) -> Result<Lane<'_>> {
        if self.head().lanes_used.load(Ordering::Acquire) & SIDE == 0 {
            self.allocate_lane(SIDE, self.plan.side, 2 * self.plan.cells * 8)?;
        }
        Ok(self.side())
    }

    /// So many slots are about to be allocated.
    pub fn grow_side(&self, count: u64) -> Result<()> {
        let bytes = 2 * self.plan.cells as u64 * 8;
        if count * SLOT as u64 > bytes { self.used_side().map(drop) } else { Ok(()) }
    }

    #[cold]
    fn allocate_lane(&self, bit: u64, offset: usize, bytes: usize) -> Result<()> {
        self.object.allocate(offset, bytes)?;
        self.head().lanes_used.fetch_or(bit, Ordering::AcqRel);
        Ok(())
    }
}

/// Allocates the bits of a new queue, and its log lane. Whoever opens it sees to it, for one that died before.
pub fn allocate_bits(store: &Store) -> Result<()> {
    if store.head().lanes_used.load(Ordering::Acquire) & BITS != 0 {
        return Ok(());
    }
    store.object.allocate(store.plan.log, store.plan.log_cells * 8)?;
    store.allocate_lane(BITS, store.plan.slot_bits, store.plan.lanes - store.plan.slot_bits)
}

/// Fills the head of a new queue.
pub fn fill(mapping: &Mapping, plan: &Plan, options: &QueueOptions) {
    let head: &QueueHead = mapping.at(NOUN_HEAD);
    head.capacity.store(plan.capacity as u64, Ordering::Relaxed);
    head.parts.store(plan.parts as u64, Ordering::Relaxed);
    head.max_attempts.store(u64::from(options.max_attempts), Ordering::Relaxed);
    head.dedup.store(plan.dedup as u64, Ordering::Relaxed);
    let within = u64::try_from(options.dedup.within.as_nanos()).unwrap_or(u64::MAX);
    head.dedup_within.store(within, Ordering::Relaxed);
    if let Some(fsync) = options.durable {
        let (kind, interval) = fsync.to_words();
        head.fsync.store(kind, Ordering::Relaxed);
        head.interval.store(interval, Ordering::Relaxed);
        mapping.at::<JournalHead>(JOURNAL_HEAD).token.store(process::random(), Ordering::Relaxed);
    }
}
