//! What is in a segment: a header, then batches of records. `docs/protocol.md` has it byte by byte.
//!
//! Every checksum is mixed with the segment's salt and number and with the place in it, so that neither a message
//! that looks like a batch nor bytes that come from elsewhere pass for one.

use crate::error::{Error, ErrorKind, Result};
use crc32c::crc32c_append;
use std::fmt;

/// Bytes of a segment's header, at its beginning.
pub const HEADER: usize = 128;
/// Bytes of a batch's header.
pub const BATCH: usize = 48;
/// Bytes of a record's header.
pub const RECORD: usize = 16;
/// Words of a segment's header that are its user's.
pub const KEPT_WORDS: usize = 4;
/// Batches and records begin at multiples of this.
const GRAIN: usize = 8;
/// What a disk writes from its beginning on: if the power goes meanwhile, the end may be what it was before.
pub const SECTOR: usize = 512;
/// The longest body of a record: the longest message and what a caller adds to it.
pub const MAX_BODY: usize = (64 << 20) + (16 << 10);

/// No LSN and no number of a segment comes near this one, so that sums of them cannot overflow.
pub const MAX_NUMBER: u64 = 1 << 62;

const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"AXJRNL\r\n");
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"AXJB");
/// Raised whenever an older core could misread a segment. Magic, version and checksum keep their places.
const VERSION: u32 = 1;
/// The segment counts only once a later one of its chain has not this flag.
const PROVISIONAL: u64 = 1;
const SUFFIX: &str = ".journal";

/// What a segment is called: its number, and a salt, lest an earlier file of the same number pass for it. The salt is
/// in the name so that batches can be told from other bytes even when the header is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub number: u64,
    pub salt: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}{SUFFIX}", self.number, self.salt)
    }
}

impl Name {
    /// `None` for a file of somebody else.
    pub fn parse(text: &str) -> Option<Name> {
        let (number, salt) = text.strip_suffix(SUFFIX)?.split_once('-')?;
        let word = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let name = Name { number: word(number)?, salt: word(salt)? };
        ((1..MAX_NUMBER).contains(&name.number) && name.to_string() == text).then_some(name)
    }

    /// What the checksum of anything at `at` in this segment begins with.
    pub fn seed(self, at: u64) -> u32 {
        let mut seed = [0; 24];
        put(&mut seed, 0, self.number);
        put(&mut seed, 8, self.salt);
        put(&mut seed, 16, at);
        crc32c::crc32c(&seed)
    }
}

fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

fn put_half(bytes: &mut [u8], at: usize, half: u32) {
    bytes[at..at + 4].copy_from_slice(&half.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// What whoever uses a journal keeps in each segment's header; all zeros: nothing.
pub type Kept = [u64; KEPT_WORDS];

/// The segment another one continues, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: Name,
    pub end: u64,
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: Name,
    /// The LSN its first record has; the one before it is the last of the previous segment.
    pub first: u64,
    /// `None` at the beginning of a chain.
    pub previous: Option<Link>,
    /// The oldest segment that still counted when it was made.
    pub oldest: u64,
    /// Up to which LSN records were known to be on the disk when it was made.
    pub durable: u64,
    /// It belongs to a chain that is not finished.
    pub provisional: bool,
    pub kept: Kept,
    /// Bytes that the segment was made with; zero: not told.
    pub size: u64,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let none = Link { name: Name { number: 0, salt: 0 }, end: 0 };
        let previous = self.previous.unwrap_or(none);
        let flags = if self.provisional { PROVISIONAL } else { 0 };
        put(&mut bytes, 0, SEGMENT_MAGIC);
        put_half(&mut bytes, 8, VERSION);
        let words = [
            self.name.number,
            self.name.salt,
            self.first,
            previous.name.number,
            previous.name.salt,
            previous.end,
            self.oldest,
            self.durable,
            flags,
        ];
        let words = words.iter().chain(&self.kept).chain([&self.size]);
        words.enumerate().for_each(|(i, word)| put(&mut bytes, 16 + 8 * i, *word));
        let crc = crc32c_append(self.name.seed(0), &bytes);
        put_half(&mut bytes, 12, crc);
        bytes
    }

    /// Reads the header of the segment `name`: `None` if there is none, or a damaged one.
    pub fn decode(name: Name, bytes: &[u8]) -> Result<Option<Header>> {
        let Some(bytes) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let mut unsigned = *bytes;
        put_half(&mut unsigned, 12, 0);
        let intact = half(bytes, 12) == crc32c_append(name.seed(0), &unsigned);
        if word(bytes, 0) != SEGMENT_MAGIC || !intact {
            return Ok(None);
        }
        let (version, flags) = (half(bytes, 8), word(bytes, 80));
        if version != VERSION || flags & !PROVISIONAL != 0 {
            let text = format!(
                "{name}: it has layout version {version} and flags {flags:#x}, this core speaks {VERSION}; use the version of axonic that wrote it"
            );
            return Err(Error::new(ErrorKind::LayoutMismatch, text));
        }
        let link =
            Link { name: Name { number: word(bytes, 40), salt: word(bytes, 48) }, end: word(bytes, 56) };
        let header = Header {
            name,
            first: word(bytes, 32),
            previous: (link.name.number != 0).then_some(link),
            oldest: word(bytes, 64),
            durable: word(bytes, 72),
            provisional: flags & PROVISIONAL != 0,
            kept: std::array::from_fn(|i| word(bytes, 88 + 8 * i)),
            size: word(bytes, 120),
        };
        let named = Name { number: word(bytes, 16), salt: word(bytes, 24) } == name;
        Ok((named && header.is_sound()).then_some(header))
    }

    /// Whether its numbers can be true together.
    fn is_sound(&self) -> bool {
        let earlier = self.previous.is_none_or(|link| link.name.number < self.name.number);
        earlier && (1..MAX_NUMBER).contains(&self.first) && self.oldest <= self.name.number
    }
}

/// What a record says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message, or a copy of it: replaces every earlier record of the same id.
    Put = 1,
    /// A small change to a message; the newest counts.
    Note = 2,
    /// The message is gone.
    Gone = 3,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        [Kind::Put, Kind::Note, Kind::Gone].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub lsn: u64,
    pub kind: Kind,
    pub id: u64,
    pub body: &'a [u8],
    /// The number of the segment it is in.
    pub segment: u64,
}

/// Records that are written together.
pub struct Batch {
    first: u64,
    count: u32,
    /// The header, filled when it is appended, and the records.
    bytes: Vec<u8>,
}

impl Batch {
    /// A batch without records; the first will have this LSN, and the others those that follow.
    pub fn new(first: u64) -> Batch {
        Batch { first, count: 0, bytes: vec![0; BATCH] }
    }

    /// Adds a record with room for a body of `length` bytes, which the caller fills. `TooLarge`, and nothing is added,
    /// over [`MAX_BODY`].
    pub fn push(&mut self, kind: Kind, id: u64, length: usize) -> Result<&mut [u8]> {
        if length > MAX_BODY {
            let text = format!("a record of {length} bytes is over {MAX_BODY}, the most the journal takes");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let at = self.bytes.len();
        let body = at + RECORD;
        self.bytes.resize(body + length.next_multiple_of(GRAIN), 0);
        put_half(&mut self.bytes, at, length as u32);
        put_half(&mut self.bytes, at + 4, kind as u32);
        put(&mut self.bytes, at + 8, id);
        self.count += 1;
        Ok(&mut self.bytes[body..body + length])
    }

    /// The LSN of the first record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many records it has.
    pub fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// Bytes it takes in a segment.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Completes it for its place in a segment.
    pub fn seal(&mut self, name: Name, at: u64, durable: u64, oldest: u64) -> &[u8] {
        let seed = name.seed(at);
        let (header, records) = self.bytes.split_at_mut(BATCH);
        put_half(header, 0, BATCH_MAGIC);
        put_half(header, 8, crc32c_append(seed, records));
        put_half(header, 12, self.count);
        put(header, 16, records.len() as u64);
        put(header, 24, self.first);
        put(header, 32, durable);
        put(header, 40, oldest);
        put_half(header, 4, crc32c_append(seed, &header[8..]));
        &self.bytes
    }
}

/// The header of a batch that was written at this place of this segment; its records may be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Bytes of its records.
    length: u64,
    records_crc: u32,
    pub count: u32,
    pub first: u64,
    /// Up to which LSN records were known to be on the disk when it was written.
    pub durable: u64,
    /// The oldest segment that counted when it was written.
    pub oldest: u64,
}

impl BatchHeader {
    /// Reads the header at `at`, if there is a genuine one.
    pub fn find(name: Name, content: &[u8], at: usize) -> Option<BatchHeader> {
        let bytes = content.get(at..)?.first_chunk::<BATCH>()?;
        if half(bytes, 0) != BATCH_MAGIC || half(bytes, 4) != crc32c_append(name.seed(at as u64), &bytes[8..])
        {
            return None;
        }
        Some(BatchHeader {
            length: word(bytes, 16),
            records_crc: half(bytes, 8),
            count: half(bytes, 12),
            first: word(bytes, 24),
            durable: word(bytes, 32),
            oldest: word(bytes, 40),
        })
    }

    /// Its records, and where it ends, if all of them are there and undamaged.
    pub fn records<'a>(
        &self,
        name: Name,
        content: &'a [u8],
        at: usize,
        limit: usize,
    ) -> Option<(&'a [u8], usize)> {
        let from = at.checked_add(BATCH)?;
        let end = from.checked_add(usize::try_from(self.length).ok()?)?;
        let records = content.get(..limit)?.get(from..end)?;
        let whole = crc32c_append(name.seed(at as u64), records) == self.records_crc
            && self.first < MAX_NUMBER
            && is_well_formed(records, self.count);
        whole.then_some((records, end))
    }
}

fn is_well_formed(mut records: &[u8], count: u32) -> bool {
    let mut found = 0_u64;
    while let Some((_, _, _, rest)) = split(records) {
        records = rest;
        found += 1;
    }
    records.is_empty() && found == u64::from(count)
}

/// Takes the first record off.
fn split(records: &[u8]) -> Option<(Kind, u64, &[u8], &[u8])> {
    let (header, rest) = records.split_first_chunk::<RECORD>()?;
    let (length, kind) = (half(header, 0) as usize, Kind::from_number(half(header, 4))?);
    let (padded, rest) = rest.split_at_checked(length.next_multiple_of(GRAIN))?;
    (length <= MAX_BODY).then_some((kind, word(header, 8), &padded[..length], rest))
}

/// Gives each record of a whole batch to `visit`.
pub fn visit_records<'a>(
    mut records: &'a [u8],
    first: u64,
    segment: u64,
    visit: &mut dyn FnMut(Record<'a>) -> Result<()>,
) -> Result<()> {
    let mut lsn = first;
    while let Some((kind, id, body, rest)) = split(records) {
        visit(Record { lsn, kind, id, body, segment })?;
        records = rest;
        lsn += 1;
    }
    Ok(())
}

/// What follows a place at which reading could not go on: does it tell that this was no unfinished write?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// The highest LSN that a genuine header calls durable.
    pub durable: u64,
    /// Records in whole batches.
    pub records: u64,
    /// Bytes up to the last one that is not zero.
    pub bytes: u64,
    /// A later batch begins in the very sector in which reading stopped. A sector is written from its
    /// beginning on, so what is broken was whole when that batch was written.
    pub overtaken: bool,
}

impl Aftermath {
    /// Looks at everything from `at` on.
    pub fn read(name: Name, content: &[u8], at: usize) -> Aftermath {
        let mut found = Aftermath::default();
        let tail = content.get(at..).unwrap_or(&[]);
        found.bytes = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let until = at + found.bytes as usize;
        let mut next = at;
        while next < until {
            let header = BatchHeader::find(name, content, next);
            let mut end = next + GRAIN;
            if let Some(header) = header {
                found.durable = found.durable.max(header.durable);
                found.overtaken |= next > at && next / SECTOR == at / SECTOR;
                if let Some((_, whole)) = header.records(name, content, next, content.len()) {
                    // What stands where reading stopped is no record that follows.
                    found.records += if next > at { u64::from(header.count) } else { 0 };
                    end = whole;
                }
            }
            next = end;
        }
        found
    }

    /// Both together.
    pub fn and(self, other: Aftermath) -> Aftermath {
        Aftermath {
            durable: self.durable.max(other.durable),
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
            overtaken: self.overtaken || other.overtaken,
        }
    }
}
