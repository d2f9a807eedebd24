//! Locks: mutexes, readers and writers, semaphores, events, barriers and conditions, by name, between processes.
//!
//! A lock is an object that several write (see `domain/object`). Who has it is said by single words that hold the ids of
//! handles, which are valid at every instant and never used again: a process killed between any two stores leaves words
//! that name somebody dead, and whoever wants the lock replaces them. Whether somebody is dead is what the kernel says.
//!
//! The owner is the handle: it goes, or its domain is closed, and what it held goes back.

mod barrier;
mod condvar;
mod event;
mod handle;
pub(crate) mod look;
mod mutex;
mod rwlock;
mod semaphore;
mod shared;
mod stake;
pub mod steps;
mod turns;

use crate::domain::layout::Kind;
use crate::domain::object::{BELL_MARK, Design, NOUN_HEAD, Object, existing, remove_files};
use crate::domain::steps::Generation;
use crate::domain::{Directory, Domain, ParticipantId, Place, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::file;
use crate::sys::mapping::Shared;
pub use barrier::Barrier;
pub use condvar::Condvar;
pub use event::{Event, Reset};
use handle::Handle;
pub use mutex::Mutex;
pub use rwlock::RwLock;
pub use semaphore::Semaphore;
pub use shared::{LockHandle, SharedLock};
use stake::{BELL, Nature, bury};
use std::mem::offset_of;
use std::path::PathBuf;

/// How to open a lock.
#[derive(Clone, Debug, Default)]
pub struct LockOptions {
    /// How to wait.
    pub wait: Wait,
}

/// How a mutex, or the right to read or write, was come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acquired {
    /// The owner before died while it had it: what the lock protects may be half-changed.
    pub owner_died: bool,
}

/// The part of the head that is the locks' own.
#[repr(C)]
pub(crate) struct LockHead {
    /// Which type it is, and its permits, parties, or way of being reset.
    nature: AtomicU64,
    parameter: AtomicU64,
    /// Permits' words that are allocated.
    grown: AtomicU64,
    _pad0: [AtomicU64; 13],
    /// The owner of a mutex, the writer, an event's state, who arrived at a barrier, the last ticket of a condition.
    word: AtomicU64,
    /// The writer that is in, or who was told of its death and is.
    inside: AtomicU64,
    _pad1: [AtomicU64; 14],
    /// Counts armings of sleepers (W1).
    armings: Generation,
}

// SAFETY: atomics only.
unsafe impl Shared for LockHead {}

const _: () = assert!(offset_of!(LockHead, word) == 128 && offset_of!(LockHead, armings) == 256);

/// Bytes of the head: of a lock, one page, whatever the machine's pages are.
const HEAD: usize = 4096;
const _: () = assert!(NOUN_HEAD + size_of::<LockHead>() <= HEAD);

/// Handles that can have a lock open at a time; a barrier fewer.
const LOCK_HANDLES: u32 = 1024;

pub(crate) static LOCK: Design = Design {
    noun: "lock",
    kind: Kind::Lock,
    directory: Directory::Locks,
    handles: LOCK_HANDLES,
    head: HEAD,
    bells: &[BELL],
};

#[inline(always)]
fn head_of(object: &Object) -> &LockHead {
    object.mapping().at(NOUN_HEAD)
}

static NATURES: [&Nature; 6] =
    [&mutex::NATURE, &rwlock::NATURE, &semaphore::NATURE, &event::NATURE, &barrier::NATURE, &condvar::NATURE];

/// The type of this number.
fn nature(number: u64) -> Option<&'static Nature> {
    NATURES.into_iter().find(|nature| nature.number == number)
}

/// "a mutex", "an event".
fn a(name: &str) -> String {
    format!("{} {name}", if name.starts_with('e') { "an" } else { "a" })
}

/// Refuses a lock that is there already as something else.
fn mismatch(handle: &Handle) -> Result<()> {
    let (head, name, wanted) = (handle.head(), handle.name(), handle.nature);
    let (number, parameter) = (head.nature.load(Ordering::Relaxed), head.parameter.load(Ordering::Relaxed));
    let Some(there) = nature(number) else {
        let text =
            format!("lock '{name}': it is of no known type ({number}); remove it with `axonic unlink lock`");
        return Err(Error::new(ErrorKind::Corrupt, text));
    };
    if there.number != wanted.number {
        let text = format!(
            "lock '{name}' is {}, not {}; open it as what it is, or use another name",
            a(there.name),
            a(wanted.name)
        );
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    if handle.seat.number >= wanted.handles {
        let text = format!(
            "{} '{name}' is open {} times already, and no more is possible; close some",
            wanted.name, wanted.handles
        );
        return Err(Error::new(ErrorKind::LimitReached, text));
    }
    if parameter != handle.parameter {
        let text = format!(
            "{} '{name}' was made with {} {}, not {}; open it with these, or use another name",
            wanted.name,
            wanted.parameter,
            event::describe(wanted, parameter),
            event::describe(wanted, handle.parameter)
        );
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    // Numbers in shared memory are checked before they are used.
    let (there, needed) = (handle.object().mapping().len(), semaphore::end(wanted, parameter));
    if there < needed {
        let text = format!(
            "{} '{name}': its file has {there} bytes and needs {needed}; remove it with `axonic unlink lock`",
            wanted.name
        );
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    Ok(())
}

/// Refuses a number of permits or parties.
fn check_range(nature: &Nature, name: &str, value: u32, least: u32, most: u32) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let text =
        format!("{} '{name}': {} are {value}; there can be {least} to {most}", nature.name, nature.parameter);
    Err(Error::new(ErrorKind::InvalidArgument, text))
}

/// Removes a lock that nobody alive has open, unless its state still matters to those to come.
pub(crate) fn remove_if_spent(domain: &Domain, name: &str) -> bool {
    let Ok(object) = existing(domain, &LOCK, name) else { return false };
    let Some(nature) = nature(head_of(&object).nature.load(Ordering::Relaxed)) else { return false };
    bury(&object, nature, domain.inner().new_id(), |_| true);
    object.take_away(|| !(nature.matters)(&object))
}

/// The locks of a domain, by the names of their files.
pub(crate) fn names(place: &Place) -> Result<Vec<String>> {
    let mut names = file::names(&place.directory(Directory::Locks))?;
    names.retain(|name| !name.contains(BELL_MARK));
    names.sort();
    Ok(names)
}

/// The locks that nobody alive has open and that tell those to come nothing.
pub(crate) fn spent(place: &Place, mut is_alive: impl FnMut(ParticipantId) -> bool) -> Result<Vec<PathBuf>> {
    let paths = names(place)?.into_iter().map(|name| place.directory(Directory::Locks).join(name));
    Ok(paths.filter(|path| look::look(path).is_ok_and(|seen| seen.is_spent(&mut is_alive))).collect())
}

/// Removes those of a domain in which nobody is alive, and into which nobody comes meanwhile.
pub(crate) fn collect(place: &Place) {
    spent(place, |_| false).unwrap_or_default().iter().for_each(|path| remove_files(path, &LOCK));
}
