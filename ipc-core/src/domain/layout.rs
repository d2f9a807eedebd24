//! What every shared structure begins with, and how objects are numbered.
//!
//! `docs/protocol.md` lists each structure byte by byte; offsets are asserted here at compile time.

use crate::error::{Error, ErrorKind, Result};
use crate::name::MAX_NAME;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::file;
use crate::sys::mapping::{Mapping, Shared, page_size};
use std::fmt;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// The first eight bytes of every shared file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"AXONIC\r\n");

/// Raised whenever an older core could misread a structure.
pub const LAYOUT_VERSION: u32 = 1;

/// Features a reader must know to use a structure. None so far.
const KNOWN_FEATURES: u64 = 0;

/// Cache lines are counted in these, and records are made of them.
pub const LINE: usize = 64;

/// What a shared file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Participants = 1,
    Publisher = 2,
    Subscriber = 3,
    Segment = 4,
    Region = 5,
    RingLink = 6,
    RingData = 7,
    Queue = 8,
    Lock = 9,
    Listener = 10,
    Channel = 11,
}

impl Kind {
    /// What to do about a damaged file of this kind.
    pub fn remedy(self) -> &'static str {
        match self {
            Kind::Participants => "stop all participants and remove the domain's directory",
            Kind::Publisher | Kind::Subscriber | Kind::Segment | Kind::Listener | Kind::Channel => {
                "remove it with `axonic doctor --clean`"
            }
            Kind::Region => "remove it with `axonic unlink region`",
            Kind::RingLink | Kind::RingData => "remove it with `axonic unlink ring`",
            Kind::Queue => "remove it with `axonic unlink queue`",
            Kind::Lock => "remove it with `axonic unlink lock`",
        }
    }
}

/// The header of every shared file. Written before the file gets its name, never changed after.
#[repr(C)]
pub struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    kind: AtomicU32,
    /// Bytes of the whole file.
    size: AtomicU64,
    page_size: AtomicU32,
    header_size: AtomicU32,
    /// Feature bits a reader must know, or refuse the file.
    required: AtomicU64,
    /// Feature bits a reader may ignore.
    optional: AtomicU64,
    /// The participant that made it, as `slot << 32 | epoch`.
    owner: AtomicU64,
    /// Its [`ObjectId`].
    id: AtomicU64,
}

// SAFETY: atomics only.
unsafe impl Shared for Header {}

const _: () = assert!(size_of::<Header>() == LINE && offset_of!(Header, owner) == 48);

impl Header {
    /// Fills the header of a file that has no name yet.
    pub fn write(&self, kind: Kind, size: usize, owner: ParticipantId, id: ObjectId) {
        let relaxed = Ordering::Relaxed;
        self.magic.store(MAGIC, relaxed);
        self.version.store(LAYOUT_VERSION, relaxed);
        self.kind.store(kind as u32, relaxed);
        self.size.store(size as u64, relaxed);
        self.page_size.store(page_size() as u32, relaxed);
        self.header_size.store(size_of::<Header>() as u32, relaxed);
        self.required.store(0, relaxed);
        self.optional.store(0, relaxed);
        self.owner.store(owner.pack(), relaxed);
        self.id.store(id.0, relaxed);
    }

    /// Refuses a file this core cannot read; `file_size` is what the kernel says, `what` names it.
    pub fn check(&self, kind: Kind, file_size: u64, what: &dyn fmt::Display) -> Result<()> {
        let relaxed = Ordering::Relaxed;
        let refuse = |why: String| {
            let remedy = "use one version of axonic in all processes of this domain, or remove it";
            Err(Error::new(ErrorKind::LayoutMismatch, format!("{what}: {why}; {remedy}")))
        };
        if self.magic.load(relaxed) != MAGIC {
            return refuse("it is not an axonic file".into());
        }
        let version = self.version.load(relaxed);
        if version != LAYOUT_VERSION {
            return refuse(format!("it has layout version {version}, this core speaks {LAYOUT_VERSION}"));
        }
        let unknown = self.required.load(relaxed) & !KNOWN_FEATURES;
        if unknown != 0 {
            return refuse(format!("it needs features {unknown:#x} this core does not know"));
        }
        if self.page_size.load(relaxed) as usize != page_size() {
            return refuse(format!("it was made for pages of {} bytes", self.page_size.load(relaxed)));
        }
        if self.header_size.load(relaxed) as usize != size_of::<Header>() {
            return refuse(format!(
                "its header has {} bytes, not {}",
                self.header_size.load(relaxed),
                size_of::<Header>()
            ));
        }
        if self.kind.load(relaxed) != kind as u32 {
            return refuse(format!("it holds kind {}, not {kind:?}", self.kind.load(relaxed)));
        }
        if self.size.load(relaxed) != file_size {
            let says = self.size.load(relaxed);
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{what}: it says it has {says} bytes but has {file_size}; somebody truncated or grew it: {}",
                    kind.remedy()
                ),
            ));
        }
        Ok(())
    }

    /// The file it stands in has another size than the one it was copied from.
    pub fn resize(&self, size: usize) {
        self.size.store(size as u64, Ordering::Relaxed);
    }

    pub fn id(&self) -> ObjectId {
        ObjectId(self.id.load(Ordering::Relaxed))
    }

    /// The header as read from a file.
    fn from_bytes(bytes: &[u8; size_of::<Header>()]) -> Header {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| AtomicU32::new(u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i])));
        Header {
            magic: AtomicU64::new(word(0)),
            version: half(8),
            kind: half(12),
            size: AtomicU64::new(word(16)),
            page_size: half(24),
            header_size: half(28),
            required: AtomicU64::new(word(32)),
            optional: AtomicU64::new(word(40)),
            owner: AtomicU64::new(word(48)),
            id: AtomicU64::new(word(56)),
        }
    }
}

/// Checks what a file claims to be without mapping it; `minimum` is what its fixed part needs.
pub fn check_file(path: &Path, kind: Kind, minimum: usize) -> Result<()> {
    let fd = file::open_existing(path, false)?;
    let size = check_size(fd.as_fd(), kind, minimum, &path.display())?;
    check_header(fd.as_fd(), kind, size, path)
}

/// The same of a file that is allocated only in part, of which `minimum` bytes must be.
pub fn check_growing_file(path: &Path, kind: Kind, minimum: usize) -> Result<()> {
    let fd = file::open_existing(path, false)?;
    let size = check_part(fd.as_fd(), kind, minimum, &path.display())?;
    check_header(fd.as_fd(), kind, size, path)
}

fn check_header(fd: BorrowedFd<'_>, kind: Kind, size: u64, path: &Path) -> Result<()> {
    let mut bytes = [0; size_of::<Header>()];
    file::read_at(fd, &mut bytes, 0)?;
    Header::from_bytes(&bytes).check(kind, size, &path.display())
}

/// A name inside a shared structure, written before it is linked.
#[repr(C)]
pub struct SharedName {
    length: AtomicU64,
    words: [AtomicU64; MAX_NAME / 8],
}

// SAFETY: atomics only.
unsafe impl Shared for SharedName {}

impl SharedName {
    /// Stores the first [`MAX_NAME`] bytes of `name`.
    pub fn write(&self, name: &str) {
        let bytes = &name.as_bytes()[..name.len().min(MAX_NAME)];
        for (word, chunk) in self.words.iter().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        self.length.store(bytes.len() as u64, Ordering::Relaxed);
    }

    /// Reads it back; garbage gives replacement characters, never a wild read.
    pub fn read(&self) -> String {
        let length = (self.length.load(Ordering::Relaxed) as usize).min(MAX_NAME);
        let mut bytes: Vec<u8> =
            self.words.iter().flat_map(|w| w.load(Ordering::Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// One open of a domain: a slot of the participant table and how often that slot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParticipantId {
    /// Index in the participant table.
    pub slot: u32,
    /// How many participants have had this slot, this one included.
    pub epoch: u32,
}

impl ParticipantId {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.epoch)
    }

    pub(crate) fn unpack(word: u64) -> ParticipantId {
        ParticipantId { slot: (word >> 32) as u32, epoch: word as u32 }
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.epoch)
    }
}

/// Slots fit 12 bits and epochs 20, so that an [`ObjectId`] and later a queue's slot word can name them.
pub const MAX_SLOTS: u32 = 1 << 12;
pub const MAX_EPOCH: u32 = (1 << 20) - 1;

/// Names one object of one participant for ever: `slot 12 | epoch 20 | serial 32`. A reused slot
/// has another epoch, so nothing of the dead is mistaken for something of the living.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u64);

impl ObjectId {
    pub fn new(owner: ParticipantId, serial: u32) -> ObjectId {
        ObjectId(u64::from(owner.slot) << 52 | u64::from(owner.epoch) << 32 | u64::from(serial))
    }

    pub fn owner(self) -> ParticipantId {
        ParticipantId { slot: (self.0 >> 52) as u32, epoch: (self.0 >> 32) as u32 & MAX_EPOCH }
    }

    /// Reads the id from the name of an object's own file; others' names are not ids.
    pub fn named(file_name: &str) -> Option<ObjectId> {
        ObjectId::parse(file_name).filter(|id| id.to_string() == file_name)
    }

    /// The same of a segment's file, which has a number besides.
    pub fn of_segment(file_name: &str) -> Option<ObjectId> {
        let (id, number) = file_name.split_once('-')?;
        number.parse::<u32>().ok().and(ObjectId::named(id))
    }

    /// Reads the id from a file name made by `Display`, possibly followed by `-` and more.
    pub fn parse(file_name: &str) -> Option<ObjectId> {
        let hex = file_name.split('-').next()?;
        if hex.len() != 16 { None } else { u64::from_str_radix(hex, 16).ok().map(ObjectId) }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Maps an existing shared file after checking its header; `minimum` is what its fixed part needs.
pub fn map_checked(
    fd: BorrowedFd<'_>,
    kind: Kind,
    minimum: usize,
    writable: bool,
    what: &dyn fmt::Display,
) -> Result<Mapping> {
    let size = check_size(fd, kind, minimum, what)? as usize;
    map_part(fd, kind, size, minimum, writable, what)
}

/// The same for the first `length` bytes only.
pub fn map_head(fd: BorrowedFd<'_>, kind: Kind, length: usize, what: &dyn fmt::Display) -> Result<Mapping> {
    map_part(fd, kind, length, length, false, what)
}

fn map_part(
    fd: BorrowedFd<'_>,
    kind: Kind,
    length: usize,
    minimum: usize,
    writable: bool,
    what: &dyn fmt::Display,
) -> Result<Mapping> {
    let size = check_size(fd, kind, minimum.max(length), what)?;
    let mapping = Mapping::new(fd, length, writable)?;
    mapping.at::<Header>(0).check(kind, size, what)?;
    Ok(mapping)
}

/// Maps a shared file whole that is allocated only in part, after checking that `minimum` bytes are and its header.
#[allow(dead_code)]
pub fn map_growing(
    fd: BorrowedFd<'_>,
    kind: Kind,
    minimum: usize,
    what: &dyn fmt::Display,
) -> Result<Mapping> {
    let size = check_part(fd, kind, minimum, what)?;
    let mapping = Mapping::sparse(fd, size as usize)?;
    mapping.at::<Header>(0).check(kind, size, what)?;
    Ok(mapping)
}

/// The size of a file of which at least `minimum` bytes are allocated.
fn check_part(fd: BorrowedFd<'_>, kind: Kind, minimum: usize, what: &dyn fmt::Display) -> Result<u64> {
    let size = file::size(fd)?;
    if size < minimum as u64 || !file::has_memory(fd, minimum as u64) {
        let text = format!("{what}: it has {size} bytes, too few or without memory; {}", kind.remedy());
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    Ok(size)
}

/// The size of a file that has at least `minimum` bytes, all of them allocated.
fn check_size(fd: BorrowedFd<'_>, kind: Kind, minimum: usize, what: &dyn fmt::Display) -> Result<u64> {
    let size = file::size(fd)?;
    let corrupt =
        |why: String| Err(Error::new(ErrorKind::Corrupt, format!("{what}: {why}; {}", kind.remedy())));
    if size < minimum.max(size_of::<Header>()) as u64 {
        return corrupt(format!("it has {size} bytes, too few for its header"));
    }
    if !file::is_whole(fd) {
        return corrupt(format!("it says {size} bytes but has memory for fewer"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        let owner = ParticipantId { slot: MAX_SLOTS - 1, epoch: MAX_EPOCH };
        let id = ObjectId::new(owner, u32::MAX);
        assert_eq!((id.owner(), ObjectId::parse(&format!("{id}-3"))), (owner, Some(id)));
        assert_eq!(ParticipantId::unpack(owner.pack()), owner);
        for bad in ["", "xyz", "00000000000000000", "-"] {
            assert_eq!(ObjectId::parse(bad), None);
        }
    }
}
