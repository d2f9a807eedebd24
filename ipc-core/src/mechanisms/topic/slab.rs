//! A publisher's slab: where payloads over 2 KiB live.
//!
//! Slots come in size classes (four to each doubling, so at most a fifth is wasted), segments are
//! added on demand up to `max_bytes`. A slot is used again when every reader has passed its record,
//! or, where the oldest may be dropped, when it is the oldest; never while somebody has it pinned.

use super::cursor::NOWHERE;
use super::loan::{Lender, Own};
use super::peers::Peers;
use super::segment::{MAX_SLOTS, Segment, file_name};
use super::steps::{claim_unread, withdraw};
use crate::domain::Directory;
use crate::domain::waiter::Waiter;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{Writer, linger};
use crate::sys::file;
use crate::sys::mapping::page_size;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A segment of small slots has about this many bytes.
const SEGMENT_BYTES: usize = 256 << 10;

/// While the slab is smaller, it grows rather than reuse slots all readers have passed: late joiners find that much
/// history. Beyond, memory that is warm in the caches is preferred: 8 MiB instead made a megabyte's way more than
/// twice as long. A publisher that retains keeps all its budget holds.
const HISTORY_BYTES: usize = 2 << 20;

/// How long a slab waits for a reader rather than grow: less than the first touch of a megabyte.
const PATIENCE: Duration = Duration::from_micros(500);
/// With fewer slots of a size it grows at once: writer and readers would be in each other's way.
const FEW: usize = 4;

/// A slot of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    pub segment: u32,
    pub slot: u32,
}

/// A slot that belongs to a record.
struct Used {
    slot: Slot,
    /// The record's place in the ring, and its number.
    position: u64,
    seq: u64,
}

/// Of the slots in use, one in so many is taken back at a time if all readers have passed it: looking who pins them
/// costs a fence and other processes' lines.
const SHARE: usize = 2;

#[derive(Default)]
struct Class {
    free: Vec<Slot>,
    /// In order of position.
    used: VecDeque<Used>,
    /// Taken back, but somebody still looks at them.
    pinned: Vec<Slot>,
}

struct Held {
    own: Arc<Own>,
    free: usize,
}

pub struct Slab {
    directory: PathBuf,
    lender: Arc<Lender>,
    max_bytes: usize,
    /// Slots are reused before their time only beyond so many bytes.
    history: usize,
    bytes: usize,
    /// The most it ever had.
    most_bytes: usize,
    classes: BTreeMap<usize, Class>,
    /// By number. Numbers are not used again.
    segments: BTreeMap<u32, Held>,
    /// The number of the next segment.
    next: u32,
}

/// What the slab must know of the ring to take slots back.
pub struct Reclaim<'a> {
    pub peers: &'a mut Peers,
    /// Watches subscribers met on the way, where somebody waits for them.
    pub watcher: Option<&'a mut Waiter>,
    pub writer: &'a mut Writer,
    /// Records below it are nobody's any more.
    pub safe: &'a mut u64,
    /// Whether unread records may be dropped.
    pub drop_oldest: bool,
    /// Whether the caller would wait for a slot.
    pub waits: bool,
}

impl Reclaim<'_> {
    /// The place below which records will be read by nobody, or by nobody who may not miss them; wanted is that it
    /// is beyond `last`, or at least beyond `first`. A ring that drops nothing gives the records up with their
    /// slots, or a late joiner would begin with them and find no payload.
    fn finished(&mut self, first: u64, last: u64) -> Result<u64> {
        let slowest = self.peers.slowest();
        if self.drop_oldest {
            return Ok(slowest.max(*self.safe));
        }
        if last >= *self.safe && first < slowest {
            let (peers, watcher) = (&mut *self.peers, self.watcher.as_deref_mut());
            if claim_unread(self.writer, last + 1, slowest, || Ok(peers.refreshed(watcher)?.slowest()))? {
                *self.safe = self.writer.claim();
            }
        }
        Ok(*self.safe)
    }

    /// Those who may have announced slots that were withdrawn, one who came this instant included (D1, H1).
    fn peers(&mut self) -> Result<&mut Peers> {
        self.peers.refreshed(self.watcher.as_deref_mut())
    }
}

impl Slab {
    pub fn new(lender: Lender, max_bytes: usize, retain: bool) -> Slab {
        Slab {
            directory: lender.domain.inner().directory(Directory::Segments),
            lender: Arc::new(lender),
            // More than any memory, and no sum with it overflows.
            max_bytes: max_bytes.min(1 << 60),
            history: if retain { usize::MAX } else { HISTORY_BYTES },
            bytes: 0,
            most_bytes: 0,
            classes: BTreeMap::new(),
            segments: BTreeMap::new(),
            next: 0,
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// The size of the slots that hold `length` bytes.
    pub fn class_of(&self, length: usize) -> usize {
        let page = page_size();
        let step = (length.max(1).next_power_of_two() / 8).max(page);
        length.max(1).next_multiple_of(step).min(self.max_bytes.next_multiple_of(page))
    }

    /// Whether payloads of these lengths can ever be in it at once.
    pub fn can_ever_fit(&self, lengths: impl Iterator<Item = usize>) -> bool {
        lengths.map(|length| self.class_of(length)).sum::<usize>()
            <= self.max_bytes.next_multiple_of(page_size())
    }

    /// The segment of a slot in use.
    pub fn segment(&self, slot: Slot) -> &Arc<Own> {
        &self.segments.get(&slot.segment).expect("a slot in use keeps its segment").own
    }

    fn held(&mut self, slot: Slot) -> Option<&mut Held> {
        self.segments.get_mut(&slot.segment)
    }

    /// Takes a slot for `length` bytes; `None` when every slot is still needed or pinned.
    pub fn acquire(&mut self, length: usize, reclaim: &mut Reclaim<'_>) -> Result<Option<Slot>> {
        self.lender.take_returned().into_iter().for_each(|slot| self.give_back(slot));
        let size = self.class_of(length);
        if let Some(slot) = self.pop_free(size) {
            return Ok(Some(slot));
        }
        self.release_unpinned(size, reclaim)?;
        if self.bytes >= self.history {
            self.recycle(size, reclaim, false)?;
            if reclaim.waits {
                self.linger(size, reclaim)?;
            }
        }
        let mut lack = None;
        if self.classes.entry(size).or_default().free.is_empty() && !self.try_grow(size, &mut lack)? {
            self.recycle(size, reclaim, false)?;
            if self.classes[&size].free.is_empty() && self.shrink_others(size, reclaim, false)? {
                self.try_grow(size, &mut lack)?;
            }
            if reclaim.drop_oldest && self.classes[&size].free.is_empty() {
                self.recycle(size, reclaim, true)?;
                if self.classes[&size].free.is_empty() && self.shrink_others(size, reclaim, true)? {
                    self.try_grow(size, &mut lack)?;
                }
            }
        }
        match (self.pop_free(size), lack) {
            (None, Some(lack)) => Err(lack),
            (slot, _) => Ok(slot),
        }
    }

    /// Takes slots of this one's class back if none is free and the slab has grown enough. The newest message, which
    /// late joiners may begin with, keeps its own.
    pub fn look_ahead(&mut self, slot: Slot, reclaim: &mut Reclaim<'_>) -> Result<()> {
        let size = self.segment(slot).segment.slot_size;
        let is_due = |class: &Class| class.free.is_empty() && class.used.len() > 1;
        if self.bytes >= self.history && self.classes.get(&size).is_some_and(is_due) {
            self.recycle(size, reclaim, false)?;
        }
        Ok(())
    }

    /// Gives readers that are busy with this class a moment before the slab grows: a slot they let go of is warm, while
    /// memory that was never touched costs some microseconds a page, and a stream that spreads over more memory than
    /// the caches hold stays slow.
    fn linger(&mut self, size: usize, reclaim: &mut Reclaim<'_>) -> Result<()> {
        let is_busy = |class: &Class| class.free.is_empty() && class.used.len() + class.pinned.len() >= FEW;
        let end = Instant::now() + PATIENCE;
        while self.slots_to_add(size) > 0
            && self.classes.get(&size).is_some_and(is_busy)
            && Instant::now() < end
        {
            linger();
            self.recycle(size, reclaim, false)?;
            self.release_unpinned(size, reclaim)?;
        }
        Ok(())
    }

    /// Grows unless the filesystem is full or descriptors are lacking, which is told only if no slot that is
    /// there already can be used again.
    fn try_grow(&mut self, size: usize, lack: &mut Option<Error>) -> Result<bool> {
        match self.grow(size) {
            Err(e) if matches!(e.kind(), ErrorKind::NoSpace | ErrorKind::LimitReached) => {
                *lack = Some(e);
                Ok(false)
            }
            other => other,
        }
    }

    /// The slot now belongs to record `seq` at `position`.
    pub fn used(&mut self, slot: Slot, position: u64, seq: u64) {
        let size = self.segment(slot).segment.slot_size;
        self.classes.entry(size).or_default().used.push_back(Used { slot, position, seq });
    }

    /// The slot was not needed after all.
    pub fn give_back(&mut self, slot: Slot) {
        if let Some(held) = self.held(slot) {
            held.free += 1;
            let size = held.own.segment.slot_size;
            self.classes.entry(size).or_default().free.push(slot);
        }
    }

    fn pop_free(&mut self, size: usize) -> Option<Slot> {
        let slot = self.classes.get_mut(&size)?.free.pop()?;
        if let Some(held) = self.held(slot) {
            held.free -= 1;
        }
        Some(slot)
    }

    /// Slots whose readers have let go meanwhile are free again.
    fn release_unpinned(&mut self, size: usize, reclaim: &mut Reclaim<'_>) -> Result<()> {
        let mut i = 0;
        while let Some(slot) = self.classes.get(&size).and_then(|class| class.pinned.get(i)).copied() {
            if reclaim.peers()?.is_pinned(slot) {
                i += 1;
            } else {
                self.classes.entry(size).or_default().pinned.swap_remove(i);
                self.give_back(slot);
            }
        }
        Ok(())
    }

    /// Takes back the oldest slots of a class: some that are finished, or with `unread` the oldest of all.
    fn recycle(&mut self, size: usize, reclaim: &mut Reclaim<'_>, unread: bool) -> Result<()> {
        while let Some(class) = self.classes.get_mut(&size) {
            let most = if unread { 1 } else { (class.used.len() / SHARE).max(1) };
            let Some((first, last)) = class.used.front().zip(class.used.get(most - 1)) else { return Ok(()) };
            let end = if unread { NOWHERE } else { reclaim.finished(first.position, last.position)? };
            let count = class.used.iter().take(most).take_while(|used| used.position < end).count();
            if count == 0 || self.take_back(size, count, reclaim) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Withdraws the oldest slots of a class from their records (H1). `false`: all are pinned and set aside.
    fn take_back(&mut self, size: usize, count: usize, reclaim: &mut Reclaim<'_>) -> bool {
        let Some(class) = self.classes.get_mut(&size) else { return false };
        // In the order of records, so the last of a segment speaks for all of it.
        let withdrawn = |used: &Used| self.segments.get(&used.slot.segment).map(|held| &held.own);
        let oldest = class.used.iter().take(count);
        let segments = oldest.filter_map(|used| Some((withdrawn(used)?, used.seq + 1)));
        withdraw(segments.map(|(own, below)| (own.segment.withdrawn(), below)));
        // Nobody knows: then they count as pinned until somebody does.
        let known = reclaim.peers().is_ok();
        if !known {
            reclaim.peers.tell_again();
        }
        let mut any = false;
        for Used { slot, .. } in class.used.drain(..count) {
            if !known || reclaim.peers.is_pinned(slot) {
                class.pinned.push(slot);
            } else {
                class.free.push(slot);
                self.segments.get_mut(&slot.segment).iter_mut().for_each(|held| held.free += 1);
                any = true;
            }
        }
        any
    }

    /// How many slots a new segment of this class would have; none when the budget does not allow one.
    fn slots_to_add(&self, size: usize) -> usize {
        let left = self.max_bytes.next_multiple_of(page_size()) - self.bytes.min(self.max_bytes);
        (SEGMENT_BYTES / size).clamp(1, MAX_SLOTS).min(left / size)
    }

    /// Adds a segment of this class if the budget allows; `false` when it does not.
    fn grow(&mut self, size: usize) -> Result<bool> {
        let slots = self.slots_to_add(size);
        if slots == 0 {
            return Ok(false);
        }
        let number = self.next;
        let lender = self.lender.clone();
        let path = self.directory.join(file_name(lender.ring, number));
        let segment = Segment::create(lender.domain.inner(), &path, lender.ring, size, slots)?;
        self.bytes += size * slots;
        self.most_bytes = self.most_bytes.max(self.bytes);
        self.next += 1;
        self.segments.insert(number, Held { own: Arc::new(Own { segment, lender }), free: 0 });
        (0..slots as u32).rev().for_each(|slot| self.give_back(Slot { segment: number, slot }));
        Ok(true)
    }

    /// Gives up segments of other classes until one of `size` fits the budget.
    fn shrink_others(&mut self, size: usize, reclaim: &mut Reclaim<'_>, unread: bool) -> Result<bool> {
        let others: Vec<usize> = self.classes.keys().copied().filter(|other| *other != size).collect();
        for other in others {
            self.release_unpinned(other, reclaim)?;
            loop {
                self.retire_free_segments(other);
                if self.bytes + size <= self.max_bytes.next_multiple_of(page_size()) {
                    return Ok(true);
                }
                let before = self.classes[&other].used.len();
                self.recycle(other, reclaim, unread)?;
                if self.classes[&other].used.len() == before {
                    break;
                }
            }
        }
        Ok(false)
    }

    fn retire_free_segments(&mut self, size: usize) {
        let all_free =
            |held: &Held| held.own.segment.slot_size == size && held.free == held.own.segment.slots;
        let idle: Vec<u32> =
            self.segments.iter().filter(|(_, held)| all_free(held)).map(|(number, _)| *number).collect();
        for number in idle {
            if let Some(Held { own, .. }) = self.segments.remove(&number) {
                own.segment.retire();
                self.bytes -= own.segment.slot_size * own.segment.slots;
                file::unlink(&self.directory.join(file_name(self.lender.ring, number)));
                if let Some(class) = self.classes.get_mut(&size) {
                    class.free.retain(|slot| slot.segment != number);
                }
            }
        }
    }

    /// Whether none of its slots can come back: all that are in use are the `mine` the caller has taken.
    pub fn is_hopeless(&self, mine: usize) -> bool {
        let idle = self.classes.values().all(|class| class.used.is_empty() && class.pinned.is_empty());
        idle && self.segments.values().map(|held| held.own.segment.slots - held.free).sum::<usize>() == mine
    }

    /// Whether every slot in use waits for a reader that stands at `position`.
    pub fn is_withheld(&self, position: u64) -> bool {
        let is_behind = |class: &Class| class.used.front().is_none_or(|oldest| oldest.position >= position);
        self.classes.values().all(|class| class.pinned.is_empty() && is_behind(class))
            && self.classes.values().any(|class| !class.used.is_empty())
    }

    /// How many slots are pinned by readers, for messages.
    pub fn pinned(&self) -> usize {
        self.classes.values().map(|class| class.pinned.len()).sum()
    }
}
