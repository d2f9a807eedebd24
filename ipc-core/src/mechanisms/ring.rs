//! Rings: one producer, one consumer, messages of any size in order, written and read in place.
//!
//! A ring is two files: the data, written by the producer, and the cursor, written by the consumer.
//! Who holds a role holds the OFD lock on its byte of the cursor file; the kernel gives it back at
//! death, and a successor continues where the dead one stopped. A message being read when its
//! consumer died is read again by the next.

mod consumer;
mod end;
mod producer;

use super::record::{Blocked, Reader, RingMap, Writer};
use crate::domain::layout::{Header, Kind, SharedName, map_checked};
use crate::domain::{Directory, Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::file;
use crate::sys::lock;
use crate::sys::mapping::Shared;
pub use consumer::RingConsumer;
use end::End;
pub use producer::RingProducer;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open an end of a ring.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// The largest message in bytes; default 512 KiB. Whoever makes the ring decides.
    pub capacity: usize,
    /// How to wait.
    pub wait: Wait,
}

impl Default for RingOptions {
    fn default() -> Self {
        RingOptions { capacity: 512 << 10, wait: Wait::default() }
    }
}

/// Counters of one end of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Messages written to the ring since it was made.
    pub messages: u64,
    /// Times the producer had to wait for room.
    pub blocked: u64,
    /// Bells rung for a sleeping consumer.
    pub wakes_sent: u64,
    /// Messages for which the consumer had not to be woken.
    pub wakes_elided: u64,
    /// Messages that are written and not yet released.
    pub pending_messages: u64,
    /// Bytes of the ring that are written and not yet released, record headers included.
    pub pending_bytes: u64,
}

/// The consumer's file.
#[repr(C)]
pub(crate) struct CursorHead {
    header: Header,
    name: SharedName,
    _pad0: [AtomicU64; 30],
    /// How far the consumer has released.
    pub position: AtomicU64,
    _pad1: [AtomicU64; 15],
    /// The consumer's waiter: odd while it sleeps (W1).
    armed: AtomicU64,
    /// The id of its bell; zero before the first consumer.
    reader: AtomicU64,
    _pad2: [AtomicU64; 14],
}

// SAFETY: atomics only.
unsafe impl Shared for CursorHead {}

const _: () = assert!(offset_of!(CursorHead, position) == 512 && offset_of!(CursorHead, armed) == 640);

/// The suffix of the consumer's file; no name can contain it.
pub(crate) const CURSOR_SUFFIX: &str = "*cursor";

/// The two roles and their lock bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Producer = 0,
    Consumer = 1,
}

/// The byte whose lock is held with both roles, and only then: by who takes the ring away.
const TAKING_AWAY: u64 = 2;

/// Takes all locks of a ring: nobody is in, and nobody gets in before they are given back.
fn lock_all(cursor: BorrowedFd<'_>) -> bool {
    lock::try_lock_all(cursor, TAKING_AWAY + 1)
}

impl Role {
    fn other(self) -> Role {
        if self == Role::Producer { Role::Consumer } else { Role::Producer }
    }

    fn name(self) -> &'static str {
        if self == Role::Producer { "producer" } else { "consumer" }
    }
}

/// The files of a ring.
fn paths(domain: &Domain, name: &str) -> (PathBuf, PathBuf) {
    let directory = domain.inner().directory(Directory::Rings);
    (directory.join(name), directory.join(format!("{name}{CURSOR_SUFFIX}")))
}

impl Domain {
    /// Opens the producing end of the ring `name`; `Busy` if somebody alive has it.
    pub fn ring_producer(&self, name: &str, options: &RingOptions) -> Result<RingProducer> {
        let end = End::open(self.current()?, name, options, Role::Producer)?;
        let writer = Writer::resume(end.data.clone()).map_err(|e| end.refuse(e))?;
        let mut producer = RingProducer { end, writer, reserved: None, blocked: Blocked::default() };
        producer.end.announce();
        Ok(producer)
    }

    /// Opens the consuming end of the ring `name`; `Busy` if somebody alive has it. Messages sent
    /// before are waiting in it.
    pub fn ring_consumer(&self, name: &str, options: &RingOptions) -> Result<RingConsumer> {
        let end = End::open(self.current()?, name, options, Role::Consumer)?;
        let position = end.position().map_err(|e| end.refuse(e))?;
        let reader = Reader::resume(end.data.clone(), position);
        let mut consumer = RingConsumer { end, reader, taken: None, streaming: false };
        consumer.end.announce();
        Ok(consumer)
    }
}

/// Removes a ring nobody holds. Whether there was one.
pub(crate) fn unlink(domain: &Domain, name: &str) -> Result<bool> {
    let (data, cursor) = paths(domain, name);
    // A damaged cursor can hold no lock that counts.
    let fd = file::open_existing(&cursor, true).ok();
    if fd.as_ref().is_some_and(|fd| !lock_all(fd.as_fd())) {
        return Err(Error::new(
            ErrorKind::Busy,
            format!("ring '{name}' is open in a live process; close it there first"),
        ));
    }
    let was = file::remove(&data)?;
    Ok(file::remove(&cursor)? || was)
}

/// The rings of a directory that nobody holds and in which nothing is left.
pub(crate) fn spent(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut names = file::names(directory)?;
    names.iter_mut().for_each(|name| name.truncate(name.strip_suffix(CURSOR_SUFFIX).unwrap_or(name).len()));
    names.sort();
    names.dedup();
    Ok(names.into_iter().map(|name| directory.join(name)).filter(|data| if_spent(data, || {})).collect())
}

/// Removes a ring if nobody holds it and nothing is left in it.
pub(crate) fn remove_if_spent(data: &Path) -> bool {
    if_spent(data, || {
        file::unlink(data);
        file::unlink(&cursor_of(data));
    })
}

fn cursor_of(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_os_string();
    name.push(CURSOR_SUFFIX);
    data.with_file_name(name)
}

/// Does something to a ring that nobody holds and in which nothing is left, keeping everybody out meanwhile.
/// What cannot be looked at is not spent.
fn if_spent(data: &Path, then: impl FnOnce()) -> bool {
    // The data first: mapped, it needs no descriptor any more while the lock does.
    let opened = file::open_existing(data, false).and_then(|fd| {
        let map = RingMap::open_fd(fd.as_fd(), Kind::RingData, false, &data.display())?;
        Ok((Arc::new(map), file::identity(fd.as_fd())?))
    });
    let Ok((position, held)) = read_cursor(&cursor_of(data)) else { return false };
    if held.as_ref().is_some_and(|fd| !lock_all(fd.as_fd())) {
        return false;
    }
    let spent = match opened {
        // Another ring may have got the name meanwhile.
        Ok((map, identity)) => file::identity_of(data) == Some(identity) && is_spent(&map, position),
        Err(e) => e.kind() == ErrorKind::NotFound && !file::exists(data),
    };
    if spent {
        then();
    }
    spent
}

/// How far a ring was read, and the open cursor file; nothing was read where there is none.
fn read_cursor(path: &Path) -> Result<(u64, Option<OwnedFd>)> {
    let fd = match file::open_existing(path, true) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((0, None)),
        other => other?,
    };
    let map = map_checked(fd.as_fd(), Kind::RingLink, size_of::<CursorHead>(), false, &path.display())?;
    let position = map.at::<CursorHead>(0).position.load(Ordering::Acquire);
    Ok((position, Some(fd)))
}

/// Whether everything in a ring was released.
fn is_spent(map: &Arc<RingMap>, position: u64) -> bool {
    position >= map.head().head.load(Ordering::Acquire) && Reader::resume(map.clone(), position).drained()
}

/// How far a ring was read, and whether its producer and consumer are alive.
pub(crate) fn ring_position(cursor: &Path) -> Result<(u64, bool, bool)> {
    let fd = file::open_existing(cursor, true)?;
    let map = map_checked(fd.as_fd(), Kind::RingLink, size_of::<CursorHead>(), false, &cursor.display())?;
    let position = map.at::<CursorHead>(0).position.load(Ordering::Acquire);
    Ok((
        position,
        lock::is_locked(fd.as_fd(), Role::Producer as u64),
        lock::is_locked(fd.as_fd(), Role::Consumer as u64),
    ))
}
