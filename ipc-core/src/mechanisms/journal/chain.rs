//! Which segments count, and what is in them.

use super::format::{BatchHeader, HEADER, Header, Name};
use super::state::BEGIN;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::disk::Disk;

/// A file that is called like a segment.
pub struct Found {
    pub name: Name,
    /// `None` if it is damaged or was never written.
    pub header: Option<Header>,
}

/// Segments each of which continues the one before.
pub struct Chain {
    /// Oldest first; never empty.
    pub segments: Vec<Header>,
    /// What the newest one holds.
    pub head: Vec<u8>,
}

impl Chain {
    pub fn oldest(&self) -> Header {
        self.segments[0]
    }

    pub fn newest(&self) -> Header {
        self.segments[self.segments.len() - 1]
    }

    pub fn has(&self, number: u64) -> bool {
        self.segments.iter().any(|header| header.name.number == number)
    }

    /// Whether segments before it were removed since its newest one was begun. Its end was durable then.
    pub fn was_shortened(&self) -> bool {
        self.oldest().name.number > self.newest().oldest
    }
}

/// The names of all segments, in the order of their numbers.
pub fn names(disk: &mut dyn Disk) -> Result<Vec<Name>> {
    let mut names: Vec<Name> = disk.list()?.iter().filter_map(|name| Name::parse(name)).collect();
    names.sort_unstable();
    Ok(names)
}

/// All segments there are, in the order of their numbers, and what their headers say.
pub fn find(disk: &mut dyn Disk) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in names(disk)? {
        let mut bytes = [0; HEADER];
        let count = disk.read_at(&name.to_string(), 0, &mut bytes)?;
        let header = Header::decode(name, &bytes[..count])
            .map_err(|e| Error::new(e.kind(), format!("{}/{}", disk.place(), e.message())))?;
        check_size(disk, name, header)?;
        found.push(Found { name, header });
    }
    Ok(found)
}

/// A segment has all its bytes, or none if it was never synced.
fn check_size(disk: &mut dyn Disk, name: Name, header: Option<Header>) -> Result<()> {
    let (size, made) = (disk.open(&name.to_string())?, header.map_or(0, |header| header.size));
    let least = made.max(BEGIN);
    if size == 0 || size >= least {
        return Ok(());
    }
    let text = format!(
        "{}/{name}: it has {size} bytes, and was made with {least} at least; no power cut leaves that, so it was cut or copied in part, and nothing was changed; restore the directory from a copy, or move it away to begin with nothing (AXONIC_DATA_DIR says where it is)",
        disk.place()
    );
    Err(Error::new(ErrorKind::Corrupt, text))
}

/// Everything a segment holds.
pub fn content(disk: &mut dyn Disk, name: Name) -> Result<Vec<u8>> {
    let text = name.to_string();
    let size = disk.open(&text)?;
    let mut bytes = Vec::new();
    let reserved = usize::try_from(size).is_ok_and(|size| bytes.try_reserve_exact(size).is_ok());
    if !reserved {
        let text = format!(
            "{}/{text}: there is no memory for its {size} bytes; close something, or raise the memory limit",
            disk.place()
        );
        return Err(Error::new(ErrorKind::NoSpace, text));
    }
    bytes.resize(size as usize, 0);
    let count = disk.read_at(&text, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// The chain that counts: the one with the newest segment that was finished and lacks nothing.
pub fn select(disk: &mut dyn Disk, found: &[Found]) -> Result<Option<Chain>> {
    for newest in found.iter().rev().filter_map(|found| found.header).filter(|header| !header.provisional) {
        let segments = walk_back(found, newest);
        let head = content(disk, newest.name)?;
        if segments[0].name.number <= oldest_told(&head, newest) {
            return Ok(Some(Chain { segments, head }));
        }
    }
    Ok(None)
}

/// The segments that lead to the newest one, as far back as it needs them and they are there, oldest first.
fn walk_back(found: &[Found], newest: Header) -> Vec<Header> {
    let mut segments = vec![newest];
    let mut current = newest;
    while current.name.number > newest.oldest {
        let Some(link) = current.previous else { break };
        let place = found.binary_search_by(|other| other.name.cmp(&link.name));
        let Some(previous) = place.ok().and_then(|at| found[at].header) else { break };
        segments.push(previous);
        current = previous;
    }
    segments.reverse();
    segments
}

/// The oldest segment that counts, as its header and its batches say: some may have been retired since it was begun.
fn oldest_told(content: &[u8], header: Header) -> u64 {
    let mut oldest = header.oldest;
    let mut last = header.first - 1;
    walk(content, header.name, HEADER, content.len(), &mut last, &mut |batch, _| {
        oldest = oldest.max(batch.oldest);
        Ok(())
    })
    .map_or(oldest, |_| oldest)
}

/// Gives each whole batch from `at` on to `each`, as long as one continues the other, and tells where that ends. What
/// begins at `limit` does not count. `last` is the LSN before the first record, and then the last one.
pub fn walk<'a>(
    content: &'a [u8],
    name: Name,
    mut at: usize,
    limit: usize,
    last: &mut u64,
    each: &mut dyn FnMut(BatchHeader, &'a [u8]) -> Result<()>,
) -> Result<usize> {
    while at < limit {
        let Some(batch) = BatchHeader::find(name, content, at).filter(|batch| batch.first == *last + 1)
        else {
            break;
        };
        let Some((records, end)) = batch.records(name, content, at, limit) else { break };
        each(batch, records)?;
        *last += u64::from(batch.count);
        at = end;
    }
    Ok(at)
}
