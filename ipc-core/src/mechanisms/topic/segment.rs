//! A segment: a file of equal slots that hold the payloads too large for a ring.
//!
//! Written by its publisher, mapped read-only by subscribers when a record first points into it. Slots are
//! withdrawn from records in the order of these, so one word tells which records still have theirs.

use crate::domain::layout::{Header, Kind, ObjectId, map_checked};
use crate::domain::{Directory, Inner};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::file;
use crate::sys::mapping::{Mapping, Shared, page_size};
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::path::Path;

/// Most slots of a segment.
pub const MAX_SLOTS: usize = 64;

#[repr(C)]
struct SegmentHead {
    header: Header,
    slot_size: AtomicU64,
    slots: AtomicU64,
    data_offset: AtomicU64,
    /// 1: the publisher has given it up; readers may unmap it.
    retired: AtomicU64,
    _pad0: [AtomicU64; 4],
    /// Records below this number have no slot here any more (H1). Written once for several of them.
    withdrawn: AtomicU64,
    _pad1: [AtomicU64; 7],
}

// SAFETY: atomics only.
unsafe impl Shared for SegmentHead {}

const _: () = assert!(offset_of!(SegmentHead, withdrawn) == 128);

/// The name of segment `number` of a ring.
pub fn file_name(ring: ObjectId, number: u32) -> String {
    format!("{ring}-{number}")
}

/// Whether the file is the segment its name says.
pub(crate) fn check(path: &Path) -> Result<()> {
    let ring = path.file_name().and_then(|name| ObjectId::parse(&name.to_string_lossy()));
    Segment::open_at(path, ring.unwrap_or(ObjectId(0))).map(drop)
}

/// A mapped segment.
pub struct Segment {
    map: Mapping,
    pub slot_size: usize,
    pub slots: usize,
    data_offset: usize,
}

/// Where a payload is, as a record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub segment: u32,
    pub slot: u32,
    pub length: u64,
}

/// Bytes of a descriptor in a record.
pub const DESCRIPTOR: usize = 16;

impl Descriptor {
    pub fn encode(&self) -> [u8; DESCRIPTOR] {
        let mut bytes = [0; DESCRIPTOR];
        bytes[..4].copy_from_slice(&self.segment.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.slot.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; DESCRIPTOR]) -> Descriptor {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let first = word(0);
        Descriptor { segment: first as u32, slot: (first >> 32) as u32, length: word(8) }
    }
}

impl Segment {
    /// Makes a segment and links it at `path`.
    pub fn create(
        domain: &Inner,
        path: &Path,
        ring: ObjectId,
        slot_size: usize,
        slots: usize,
    ) -> Result<Segment> {
        let data_offset = size_of::<SegmentHead>().next_multiple_of(page_size());
        let size = data_offset + slot_size * slots;
        let fd = domain.create_file(Directory::Segments, size)?;
        let map = Mapping::new(fd.as_fd(), size, true)?;
        let head: &SegmentHead = map.at(0);
        head.header.write(Kind::Segment, size, domain.me(), ring);
        head.slot_size.store(slot_size as u64, Ordering::Relaxed);
        head.slots.store(slots as u64, Ordering::Relaxed);
        head.data_offset.store(data_offset as u64, Ordering::Relaxed);
        file::link_or_error(fd.as_fd(), path)?;
        Ok(Segment { map, slot_size, slots, data_offset })
    }

    /// Maps somebody's segment to read, after checking every number in it.
    pub fn open(directory: &Path, ring: ObjectId, number: u32) -> Result<Segment> {
        Segment::open_at(&directory.join(file_name(ring, number)), ring)
    }

    fn open_at(path: &Path, ring: ObjectId) -> Result<Segment> {
        let fd = file::open_existing(path, false)?;
        let what = path.display();
        let map = map_checked(fd.as_fd(), Kind::Segment, size_of::<SegmentHead>(), false, &what)?;
        let head: &SegmentHead = map.at(0);
        let numbers =
            [&head.slot_size, &head.slots, &head.data_offset].map(|w| w.load(Ordering::Relaxed) as usize);
        let [slot_size, slots, data_offset] = numbers;
        let fits = slot_size.checked_mul(slots).and_then(|n| n.checked_add(data_offset)) == Some(map.len());
        if !fits
            || slots == 0
            || slots > MAX_SLOTS
            || data_offset < size_of::<SegmentHead>()
            || head.header.id() != ring
        {
            let text = format!(
                "{what}: {slots} slots of {slot_size} bytes do not fit its {} bytes; remove it with `axonic doctor --clean`",
                map.len()
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(Segment { map, slot_size, slots, data_offset })
    }

    fn head(&self) -> &SegmentHead {
        self.map.at(0)
    }

    /// Records below this number have no slot here any more (H1).
    pub fn withdrawn(&self) -> &AtomicU64 {
        &self.head().withdrawn
    }

    /// The memory of a slot.
    pub fn place(&self, slot: u32) -> *mut u8 {
        assert!((slot as usize) < self.slots);
        // SAFETY: slots fit the mapping (checked when it was made).
        unsafe { self.map.as_mut_ptr().add(self.data_offset + slot as usize * self.slot_size) }
    }

    pub fn retire(&self) {
        self.head().retired.store(1, Ordering::Release);
    }

    pub fn is_retired(&self) -> bool {
        self.head().retired.load(Ordering::Acquire) != 0
    }
}
