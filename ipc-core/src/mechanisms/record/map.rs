//! The memory of a ring: its head, and its data mapped twice back to back so that every record is contiguous.

use super::{Next, RECORD_HEADER, Reader, Shape, on_grain};
use crate::domain::layout::{Header, Kind, SharedName, map_head};
use crate::domain::{Directory, Inner};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::words::{load_words, pair, store_grains};
use crate::sys::atomic::{AtomicU64, Ordering, pairs_at_once, store_pair};
use crate::sys::file;
use crate::sys::mapping::{Head, Mapping, Mirror, Shared, page_size};
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// Smallest and largest ring.
pub const MIN_CAPACITY: usize = 64 << 10;
pub const MAX_CAPACITY: usize = 1 << 30;
/// A publisher notes at most this many subscribers that were there before it.
pub const MAX_EXPECTED: usize = 1024;

/// The beginning of a ring file, up to its data.
#[repr(C)]
pub struct RingHead {
    pub header: Header,
    pub name: SharedName,
    /// [`crate::Overflow`] as a number.
    pub overflow: AtomicU64,
    /// Bytes of data. Zero in a remnant: a finished ring whose messages were dropped, and whose head stays to tell
    /// how many they were.
    pub capacity: AtomicU64,
    /// Where the data begins in the file.
    pub data_offset: AtomicU64,
    /// Budget of the slab.
    pub max_bytes: AtomicU64,
    /// 1: kept for late joiners after its publisher is gone.
    pub retain: AtomicU64,
    /// The generation its publisher raised by linking it: a subscriber that has looked around as of then or later
    /// has come round to it (D1, O1). Written before the first record.
    pub born: AtomicU64,
    _pad0: [AtomicU64; 24],
    // Read by every reader for each message, written rarely.
    /// Positions below it may be overwritten (R2, A1).
    pub claim: AtomicU64,
    /// 1 once the writer said goodbye.
    pub closed: AtomicU64,
    _pad1: [AtomicU64; 14],
    // Written for each message, read by those who attach and by inspection only.
    /// The number of the next record; also the count of records so far (R3).
    pub seq: AtomicU64,
    /// The position after the newest record (R3).
    pub head: AtomicU64,
    /// Payload bytes so far.
    pub bytes: AtomicU64,
    /// Waits for room so far.
    pub blocked: AtomicU64,
    /// Bells rung for sleeping readers.
    pub wakes_sent: AtomicU64,
    pub slab_bytes: AtomicU64,
    /// Commits after which somebody had to be rung: one message each, or one batch.
    pub waking: AtomicU64,
    /// Since when the writer waits for room, in milliseconds of the machine's monotonic clock; 0 while it does not.
    pub blocked_since: AtomicU64,
    _pad2: [AtomicU64; 8],
    /// The writer's waiter: odd while it sleeps for room (W1).
    pub armed: AtomicU64,
    /// The id of the writer's bell; of a named ring only, whose writers change.
    pub writer: AtomicU64,
    _pad3: [AtomicU64; 14],
    /// How many of `expected` count. Written before the first record, then fixed.
    pub expected_count: AtomicU64,
    _pad4: [AtomicU64; 15],
    /// Subscribers that were there before the first record: they start at position 0.
    pub expected: [AtomicU64; MAX_EXPECTED],
    /// Of a channel only.
    pub link: LinkWords,
}

/// What the writer of one of a channel's two rings says as the reader of the other.
#[repr(C)]
pub struct LinkWords {
    /// How far it has released.
    pub position: AtomicU64,
    _pad0: [AtomicU64; 15],
    /// Odd while it sleeps for messages (W1).
    pub armed: AtomicU64,
    /// The id of the bell it sleeps on.
    pub reader: AtomicU64,
    _pad1: [AtomicU64; 14],
    /// 1 once it reads no more.
    pub gone: AtomicU64,
    /// The largest message it takes.
    pub limit: AtomicU64,
    /// Who has accepted the channel, as a participant plus one; zero before. Of the accepting end's ring only.
    pub accepted: AtomicU64,
    /// The id of the listener it was opened to. Of the connecting end's ring only.
    pub listener: AtomicU64,
    /// Since when this end has been there, in milliseconds of the machine's monotonic clock.
    pub since: AtomicU64,
    _pad2: [AtomicU64; 11],
}

// SAFETY: atomics only.
unsafe impl Shared for RingHead {}

const _: () = assert!(offset_of!(RingHead, claim) == 512 && offset_of!(RingHead, seq) == 640);
const _: () = assert!(offset_of!(RingHead, armed) == 768 && offset_of!(RingHead, expected) == 1024);
const _: () = assert!(offset_of!(RingHead, link) == 9216 && offset_of!(LinkWords, gone) == 256);

/// A writer's waits for room, as onlookers are told of them.
#[derive(Default)]
pub struct Blocked {
    /// The number of the record that the last wait was for; since when and until when it was, in milliseconds.
    seq: u64,
    since: u64,
    until: u64,
}

/// A wait that is taken up again within so many milliseconds goes on: whoever looks after signals waits in slices.
const SAME_WAIT: u64 = 50;

impl Blocked {
    /// The writer begins to wait for room. Should it die there, whoever looks sees that it is not alive.
    pub fn begin(&mut self, head: &RingHead, now: u64) {
        let seq = head.seq.load(Ordering::Relaxed);
        let goes_on = self.since != 0 && self.seq == seq && now.saturating_sub(self.until) <= SAME_WAIT;
        if !goes_on {
            (self.seq, self.since) = (seq, now);
            head.blocked.store(head.blocked.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        head.blocked_since.store(self.since, Ordering::Relaxed);
    }

    /// The writer waits no more.
    pub fn end(&mut self, head: &RingHead, now: u64) {
        self.until = now;
        head.blocked_since.store(0, Ordering::Relaxed);
    }
}

/// Rounds a wish for capacity to what a ring can have; `setting` names it in the error.
pub fn round_capacity(wish: usize, setting: &str) -> Result<usize> {
    if wish > MAX_CAPACITY {
        let text = format!("{setting} is {wish} bytes, the limit is {MAX_CAPACITY}; lower it");
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    Ok(wish.max(MIN_CAPACITY).max(page_size()).next_power_of_two())
}

/// Maps the head of a ring alone, to look at its words.
pub fn open_head(path: &Path, kind: Kind) -> Result<Mapping> {
    let fd = file::open_existing(path, false)?;
    map_head(fd.as_fd(), kind, RingMap::data_offset(), &path.display())
}

/// A mapped ring file.
pub struct RingMap {
    control: Head<RingHead>,
    data: Mirror,
    capacity: u64,
    /// What [`pairs_at_once`] says: asked for each record, it would cost its way more than it saves.
    pairs_at_once: bool,
}

impl RingMap {
    /// Bytes before the data.
    pub fn data_offset() -> usize {
        size_of::<RingHead>().next_multiple_of(page_size())
    }

    /// Makes an unnamed ring file; the caller fills the rest of its head and links it.
    pub fn create(domain: &Inner, directory: Directory, capacity: usize) -> Result<(OwnedFd, RingMap)> {
        let offset = RingMap::data_offset();
        let fd = domain.create_file(directory, offset + capacity)?;
        let control = Mapping::new(fd.as_fd(), offset, true)?;
        let data = Mirror::new(fd.as_fd(), offset, capacity, true)?;
        let map = RingMap {
            control: Head::new(control),
            data,
            capacity: capacity as u64,
            pairs_at_once: pairs_at_once(),
        };
        map.head().capacity.store(capacity as u64, Ordering::Relaxed);
        map.head().data_offset.store(offset as u64, Ordering::Relaxed);
        Ok((fd, map))
    }

    /// Makes an unnamed file that has only what a finished publisher's ring says of itself, its messages counted.
    pub fn remnant(self: &Arc<RingMap>, domain: &Inner, directory: Directory) -> Result<OwnedFd> {
        let offset = RingMap::data_offset();
        let fd = domain.create_file(directory, offset)?;
        let copy = Mapping::new(fd.as_fd(), offset, true)?;
        for at in (0..size_of::<RingHead>()).step_by(8) {
            let word: &AtomicU64 = self.control.mapping().at(at);
            copy.at::<AtomicU64>(at).store(word.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let head: &RingHead = copy.at(0);
        // Its publisher may have died before it took note of its last records.
        let mut end = Reader::resume(self.clone(), self.head().head.load(Ordering::Acquire));
        let mut messages = self.head().seq.load(Ordering::Acquire);
        while let Next::Record(found) = end.peek()? {
            end.advance(&found);
            messages = messages.max(found.seq + 1);
        }
        head.header.resize(offset);
        head.capacity.store(0, Ordering::Relaxed);
        head.seq.store(messages, Ordering::Relaxed);
        head.slab_bytes.store(0, Ordering::Relaxed);
        head.closed.store(1, Ordering::Relaxed);
        Ok(fd)
    }

    /// Maps an existing ring to read; `NotFound` if only its remnant is left. Every number in it is checked before it is believed.
    pub fn open(path: &Path, kind: Kind) -> Result<RingMap> {
        let fd = file::open_existing(path, false)?;
        RingMap::open_fd(fd.as_fd(), kind, false, &path.display())
    }

    /// Maps an open ring file; to write only for the holder of the writer's role.
    pub fn open_fd(
        fd: BorrowedFd<'_>,
        kind: Kind,
        writable: bool,
        what: &dyn std::fmt::Display,
    ) -> Result<RingMap> {
        let offset = RingMap::data_offset();
        let (control, capacity) = RingMap::open_control(fd, kind, what)?;
        if capacity == 0 {
            let text = format!("{what}: its publisher is gone and its messages were dropped; read sooner");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        let control = if writable { Mapping::new(fd, offset, true)? } else { control };
        Ok(RingMap {
            control: Head::new(control),
            data: Mirror::new(fd, offset, capacity as usize, writable)?,
            capacity,
            pairs_at_once: pairs_at_once(),
        })
    }

    /// Checks an existing ring without mapping its data.
    pub fn check(path: &Path, kind: Kind) -> Result<()> {
        let fd = file::open_existing(path, false)?;
        RingMap::open_control(fd.as_fd(), kind, &path.display()).map(drop)
    }

    /// Maps the head and finds out the capacity.
    fn open_control(fd: BorrowedFd<'_>, kind: Kind, what: &dyn std::fmt::Display) -> Result<(Mapping, u64)> {
        let offset = RingMap::data_offset();
        let size = file::size(fd)? as usize;
        let control = map_head(fd, kind, offset, what)?;
        let capacity = control.at::<RingHead>(0).capacity.load(Ordering::Relaxed);
        let starts = control.at::<RingHead>(0).data_offset.load(Ordering::Relaxed);
        let remnant = capacity == 0 && kind == Kind::Publisher;
        let possible = remnant
            || (MIN_CAPACITY as u64..=MAX_CAPACITY as u64).contains(&capacity) && capacity.is_power_of_two();
        if !possible || starts != offset as u64 || size as u64 != starts + capacity {
            let text = format!(
                "{what}: a ring of {capacity} bytes at {starts} does not fit its {size} bytes; remove it (`axonic doctor` tells how)"
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok((control, capacity))
    }

    #[inline(always)]
    pub fn head(&self) -> &RingHead {
        &self.control
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many records a reader at `position` has before it, as an onlooker counts them: those
    /// overwritten already are not among them.
    pub fn unread(&self, position: u64) -> u64 {
        let head = self.head();
        let at = on_grain(position.max(head.claim.load(Ordering::Acquire)));
        let ready = self.ready(at).load(Ordering::Acquire);
        let seq = head.seq.load(Ordering::Acquire);
        // Zero: nothing there. More than there ever were: overwritten this instant.
        if (1..=seq).contains(&ready) { seq - (ready - 1) } else { 0 }
    }

    #[inline(always)]
    fn place(&self, position: u64) -> *mut u8 {
        // SAFETY: the remainder is below the capacity, and the mirror maps twice that.
        unsafe { self.data.as_mut_ptr().add((position & (self.capacity - 1)) as usize) }
    }

    #[inline(always)]
    pub fn ready(&self, position: u64) -> &AtomicU64 {
        // SAFETY: record positions are multiples of a grain, so aligned, and within the mirror.
        unsafe { &*self.place(position).cast::<AtomicU64>() }
    }

    #[inline(always)]
    pub fn shape(&self, position: u64) -> &AtomicU64 {
        // SAFETY: as above; a header is a whole grain.
        unsafe { &*self.place(position).add(8).cast::<AtomicU64>() }
    }

    /// Where the body of the record at `position` begins; the mirror makes it contiguous.
    #[inline(always)]
    pub fn body(&self, position: u64) -> *mut u8 {
        // SAFETY: a place is within the first half of the mirror and a header is shorter than the second.
        unsafe { self.place(position).add(RECORD_HEADER) }
    }

    /// Makes the record at `position` visible: its header, and all that was stored before (R1).
    #[inline(always)]
    pub fn commit(&self, position: u64, ready: u64, shape: Shape) {
        if self.pairs_at_once {
            // SAFETY: a header is a whole grain, and records lie on grains.
            unsafe { store_pair(self.ready(position), pair(ready, shape.pack())) }
        } else {
            self.commit_by_words(position, ready, shape);
        }
    }

    /// Takes note of the number of the next record and of its position (R3).
    #[inline(always)]
    pub fn note(&self, seq: u64, head: u64) {
        if self.pairs_at_once {
            // SAFETY: `seq` begins a line, and `head` follows it.
            unsafe { store_pair(&raw const self.head().seq, pair(seq, head)) }
        } else {
            self.note_by_words(seq, head);
        }
    }

    /// Fills the record at `position`, but for its header. `racy`: somebody may copy what is being overwritten.
    ///
    /// # Safety
    /// There is room for a record of this shape at `position`, and the caller is the writer.
    #[inline(always)]
    pub unsafe fn store_body(&self, position: u64, shape: Shape, body: &[u8], meta: &[u8], racy: bool) {
        let place = self.body(position);
        // SAFETY: by the caller; records are whole grains.
        unsafe {
            if racy || body.len() <= SMALL {
                store_grains(place, body);
            } else {
                std::ptr::copy_nonoverlapping(body.as_ptr(), place, body.len());
            }
            if !meta.is_empty() {
                store_grains(place.add(shape.meta_offset()), meta);
            }
        }
    }

    /// Copies `bytes` of a body out; what a racing writer overwrites meanwhile comes out as garbage.
    ///
    /// # Safety
    /// The body at `position` is within the mirror; `to` is writable for `bytes` rounded up to 8 and aligned to 8.
    #[inline(always)]
    pub unsafe fn load_body(&self, position: u64, bytes: usize, to: *mut u8, racy: bool) {
        let place = self.body(position);
        // SAFETY: by the caller.
        unsafe {
            if racy {
                load_words(place, to, bytes);
            } else {
                std::ptr::copy_nonoverlapping(place, to, bytes);
            }
        }
    }
}

/// Bodies to this size are always stored by [`store_grains`].
pub const SMALL: usize = 256;
