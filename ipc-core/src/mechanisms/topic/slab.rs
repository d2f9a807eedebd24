//! A publisher's slab: where payloads over 2 KiB live.
//!
//! Slots come in size classes (four to each doubling, so at most a fifth is wasted), segments are
//! added on demand up to `max_bytes`. A slot is used again when every reader has passed its record,
//! or, where the oldest may be dropped, when it is the oldest; never while somebody has it pinned.

use super::peers::Peers;
use super::segment::{MAX_SLOTS, Segment, file_name};
use super::steps::{claim_unread, withdraw};
use crate::domain::layout::ObjectId;
use crate::domain::waiter::Waiter;
use crate::domain::{Directory, Domain, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::Writer;
use crate::sys::file;
use crate::sys::mapping::page_size;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A segment of small slots has about this many bytes.
const SEGMENT_BYTES: usize = 256 << 10;

/// While the slab is smaller, it grows rather than reuse slots all readers have passed: late joiners
/// find that much history. Beyond, memory that is warm in the caches is preferred.
const HISTORY_BYTES: usize = 8 << 20;

/// A slot of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    pub segment: u32,
    pub slot: u32,
}

/// A slot that belongs to the record at a position.
struct Used {
    slot: Slot,
    position: u64,
}

#[derive(Default)]
struct Class {
    free: Vec<Slot>,
    /// In order of position.
    used: VecDeque<Used>,
    /// Taken back, but somebody still looks at them.
    pinned: Vec<Slot>,
}

struct Held {
    segment: Arc<Segment>,
    free: usize,
}

pub struct Slab {
    directory: PathBuf,
    domain: Domain,
    ring: ObjectId,
    max_bytes: usize,
    bytes: usize,
    classes: BTreeMap<usize, Class>,
    /// By number. Numbers are not used again.
    segments: BTreeMap<u32, Held>,
    /// The number of the next segment.
    next: u32,
    /// Slots of loans that were dropped, from any thread.
    pub returned: Arc<Mutex<Vec<Slot>>>,
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
}

impl Reclaim<'_> {
    /// Whether the record at `position` will be read by nobody, or by nobody who may not miss it. A ring that
    /// drops nothing gives the record up with its slot, or a late joiner would begin with it and find no payload.
    fn is_finished(&mut self, position: u64) -> Result<bool> {
        let slowest = self.peers.slowest();
        if self.drop_oldest || position < *self.safe || position >= slowest {
            return Ok(position < slowest.max(*self.safe));
        }
        let (peers, watcher) = (&mut *self.peers, self.watcher.as_deref_mut());
        if claim_unread(self.writer, position + 1, slowest, || Ok(peers.refreshed(watcher)?.slowest()))? {
            *self.safe = self.writer.claim();
        }
        Ok(position < *self.safe)
    }

    /// Whether somebody announced a slot that was just withdrawn, one who came this instant included (D1, H1).
    fn is_pinned(&mut self, slot: Slot) -> Result<bool> {
        Ok(self.peers.refreshed(self.watcher.as_deref_mut())?.is_pinned(slot))
    }
}

impl Slab {
    pub fn new(domain: &Domain, ring: ObjectId, max_bytes: usize) -> Slab {
        Slab {
            directory: domain.inner().directory(Directory::Segments),
            domain: domain.clone(),
            ring,
            // More than any memory, and no sum with it overflows.
            max_bytes: max_bytes.min(1 << 60),
            bytes: 0,
            classes: BTreeMap::new(),
            segments: BTreeMap::new(),
            next: 0,
            returned: Arc::default(),
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The size of the slots that hold `length` bytes.
    pub fn class_of(&self, length: usize) -> usize {
        let page = page_size();
        let step = (length.max(1).next_power_of_two() / 8).max(page);
        length.max(1).next_multiple_of(step).min(self.max_bytes.next_multiple_of(page))
    }

    /// The segment of a slot in use.
    pub fn segment(&self, slot: Slot) -> &Arc<Segment> {
        &self.segments.get(&slot.segment).expect("a slot in use keeps its segment").segment
    }

    fn held(&mut self, slot: Slot) -> Option<&mut Held> {
        self.segments.get_mut(&slot.segment)
    }

    /// Takes a slot for `length` bytes; `None` when every slot is still needed or pinned.
    pub fn acquire(&mut self, length: usize, reclaim: &mut Reclaim<'_>) -> Result<Option<Slot>> {
        self.take_returned();
        let size = self.class_of(length);
        if let Some(slot) = self.pop_free(size) {
            return Ok(Some(slot));
        }
        self.release_unpinned(size, reclaim)?;
        if self.bytes >= HISTORY_BYTES {
            self.recycle(size, reclaim, false)?;
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

    /// The slot now belongs to the record at `position`.
    pub fn used(&mut self, slot: Slot, position: u64) {
        let size = self.segment(slot).slot_size;
        self.classes.entry(size).or_default().used.push_back(Used { slot, position });
    }

    /// The slot was not needed after all.
    pub fn give_back(&mut self, slot: Slot) {
        if let Some(held) = self.held(slot) {
            held.free += 1;
            let size = held.segment.slot_size;
            self.classes.entry(size).or_default().free.push(slot);
        }
    }

    fn take_returned(&mut self) {
        let returned = std::mem::take(&mut *lock(&self.returned));
        returned.into_iter().for_each(|slot| self.give_back(slot));
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
            if reclaim.is_pinned(slot)? {
                i += 1;
            } else {
                self.classes.entry(size).or_default().pinned.swap_remove(i);
                self.give_back(slot);
            }
        }
        Ok(())
    }

    /// Takes back the oldest slot of a class: one that is finished, or with `unread` any.
    fn recycle(&mut self, size: usize, reclaim: &mut Reclaim<'_>, unread: bool) -> Result<()> {
        while let Some(class) = self.classes.get_mut(&size) {
            match class.used.front() {
                Some(oldest) if unread || reclaim.is_finished(oldest.position)? => {}
                _ => return Ok(()),
            }
            let Some(oldest) = class.used.pop_front() else { return Ok(()) };
            if self.take_back(oldest.slot, reclaim)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Withdraws a slot from its record (H1). `false`: it is pinned and set aside.
    fn take_back(&mut self, slot: Slot, reclaim: &mut Reclaim<'_>) -> Result<bool> {
        let Some(held) = self.held(slot) else { return Ok(false) };
        let size = held.segment.slot_size;
        withdraw(held.segment.stamp(slot.slot));
        // Nobody knows: then it counts as pinned until somebody does.
        if !matches!(reclaim.is_pinned(slot), Ok(false)) {
            self.classes.entry(size).or_default().pinned.push(slot);
            return Ok(false);
        }
        self.give_back(slot);
        Ok(true)
    }

    /// Adds a segment of this class if the budget allows; `false` when it does not.
    fn grow(&mut self, size: usize) -> Result<bool> {
        let slots = (SEGMENT_BYTES / size)
            .clamp(1, MAX_SLOTS)
            .min((self.max_bytes.next_multiple_of(page_size()) - self.bytes.min(self.max_bytes)) / size);
        if slots == 0 {
            return Ok(false);
        }
        let number = self.next;
        let path = self.directory.join(file_name(self.ring, number));
        let inner = self.domain.inner();
        let segment = Segment::create(inner, &path, self.ring, size, slots)?;
        self.bytes += size * slots;
        self.next += 1;
        self.segments.insert(number, Held { segment: Arc::new(segment), free: 0 });
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
        let all_free = |held: &Held| held.segment.slot_size == size && held.free == held.segment.slots;
        let idle: Vec<u32> =
            self.segments.iter().filter(|(_, held)| all_free(held)).map(|(number, _)| *number).collect();
        for number in idle {
            if let Some(held) = self.segments.remove(&number) {
                held.segment.retire();
                self.bytes -= held.segment.slot_size * held.segment.slots;
                file::unlink(&self.directory.join(file_name(self.ring, number)));
                if let Some(class) = self.classes.get_mut(&size) {
                    class.free.retain(|slot| slot.segment != number);
                }
            }
        }
    }

    /// Whether none of its slots can come back: all that are in use are the `mine` the caller has taken.
    pub fn is_hopeless(&self, mine: usize) -> bool {
        let idle = self.classes.values().all(|class| class.used.is_empty() && class.pinned.is_empty());
        idle && self.segments.values().map(|held| held.segment.slots - held.free).sum::<usize>() == mine
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
