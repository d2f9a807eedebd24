//! Objects that anybody may open and several write to: queues and locks.
//!
//! Such an object is one file, named by its users. It begins with a head and a roster, which has a row for each handle
//! that has the object open; what follows is the noun's. Only what is needed of the file is allocated, and it grows in
//! place. Beside it are the bells its sleepers share.
//!
//! A row belongs to one handle from when its id is written until nothing in the object names the row any more: its
//! owner gives it back after it has given back everything else, and after a death whoever has set right what the dead
//! one left. So words of the object may name rows, and a row that is used again inherits nothing.
//!
//! - **E1** comer: write the row's id, raise `comings`, ring everybody who is armed — sleeper: arm (W1), look at
//!   `comings`, watch who has come. So everybody asleep watches everybody there is, and hears of each death.
//! - Whoever opens shares the lock on the file's first byte until its row is written; whoever takes the object away has
//!   it alone, so nobody comes into what is just going.

use super::layout::{Header, Kind, ObjectId, SharedName, map_growing};
use super::steps::{Generation, Owed, Seen};
use super::waiter::{Waiter, disarm};
use super::{Directory, Domain, Inner, ParticipantId};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::descriptor::{Bell, ring_at};
use crate::sys::file::{self, FileErrno};
use crate::sys::mapping::{Mapping, Shared, page_size, round_to_pages};
use crate::sys::os_error;
use crate::sys::{fence, lock};
use std::collections::BTreeSet;
use std::fmt;
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::debug;

/// What every such object begins with.
#[repr(C)]
pub struct ObjectHead {
    pub header: Header,
    pub name: SharedName,
    /// Rows that are allocated.
    rows: AtomicU64,
    _pad0: [AtomicU64; 29],
    /// Raised whenever a handle comes (E1).
    comings: Generation,
}

/// A handle's row.
#[repr(C)]
pub struct Row {
    /// Whose it is; zero: nobody's.
    id: AtomicU64,
    /// Odd while the handle sleeps, or is about to (W1).
    pub armed: AtomicU64,
    /// What it sleeps for, as the noun numbers it.
    pub wants: AtomicU64,
    /// What the noun keeps in it, on this line and the next; not cleared between handles.
    pub words: [AtomicU64; 13],
}

// SAFETY: atomics only.
unsafe impl Shared for ObjectHead {}
// SAFETY: atomics only.
unsafe impl Shared for Row {}

/// Where the noun's part of the head begins.
pub const NOUN_HEAD: usize = 1024;
/// Rows are made of two cache lines.
pub const ROW: usize = 128;
/// Where the head says how many there are, for those who read the file; and words of a row before the noun's own.
pub const ROWS_AT: usize = offset_of!(ObjectHead, rows);
pub const OWN_WORDS: usize = offset_of!(Row, words) / 8;
const _: () = assert!(size_of::<Row>() == ROW && size_of::<ObjectHead>() <= NOUN_HEAD);
const _: () = assert!(ROWS_AT == 272 && offset_of!(ObjectHead, comings) == 512);

/// Suffixes of the bells beside an object begin with what no name can contain.
pub const BELL_MARK: char = '*';

/// Milliseconds until somebody who takes the object away and comes to no end is called a failure.
const ATTEMPTS: u32 = 2000;

/// What a kind of object is made of.
pub struct Design {
    /// As in messages: "queue".
    pub noun: &'static str,
    pub kind: Kind,
    pub directory: Directory,
    /// Handles that can have one open at a time.
    pub handles: u32,
    /// Bytes of head, the noun's part included; whole pages.
    pub head: usize,
    /// Suffixes of the bells its sleepers share.
    pub bells: &'static [&'static str],
}

impl Design {
    /// Where the noun's own part begins, after head and roster.
    pub fn body(&self) -> usize {
        round_to_pages(self.head + self.handles as usize * ROW)
    }

    fn path(&self, domain: &Inner, name: &str) -> PathBuf {
        domain.directory(self.directory).join(name)
    }
}

/// An object that is open here, without a row.
pub struct Object {
    pub domain: Domain,
    pub name: String,
    pub design: &'static Design,
    mapping: Mapping,
    fd: OwnedFd,
}

impl Object {
    /// Opens the object `name`; if there is none, makes it with `size` bytes in all, filled by `fill`, unless
    /// that fails. Then takes a row for the handle `id`.
    pub fn open(
        domain: &Domain,
        design: &'static Design,
        name: &str,
        id: ObjectId,
        size: usize,
        fill: &dyn Fn(&Mapping) -> Result<()>,
    ) -> Result<(Object, u32)> {
        let path = design.path(domain.inner(), name);
        for _ in 0..ATTEMPTS {
            make(domain.inner(), design, name, &path, size, fill)?;
            let fd = match file::open_existing(&path, true) {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                opened => opened?,
            };
            if !lock::try_share(fd.as_fd(), 0)? {
                // Somebody is taking it away, or looks whether it may.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            if file::is_unlinked(fd.as_fd()) {
                continue;
            }
            let mapping = map(&fd, design, &path)?;
            let object = Object { domain: domain.clone(), name: name.into(), design, mapping, fd };
            let row = object.take_row(id)?;
            lock::unlock(object.fd.as_fd(), 0);
            return Ok((object, row));
        }
        let text = format!("{} '{name}' kept being taken away while it was opened; try again", design.noun);
        Err(Error::new(ErrorKind::Busy, text))
    }

    fn inner(&self) -> &Inner {
        self.domain.inner()
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    pub fn head(&self) -> &ObjectHead {
        self.mapping.at(0)
    }

    /// Rows there are, taken or not.
    pub fn rows(&self) -> u32 {
        self.head().rows.load(Ordering::Acquire).min(u64::from(self.design.handles)) as u32
    }

    /// Row `number`, which the caller has from [`Object::rows`] or from its own place.
    #[inline(always)]
    pub fn row(&self, number: u32) -> &Row {
        self.mapping.at(self.design.head + number as usize * ROW)
    }

    /// Whose row it is.
    pub fn holder(&self, number: u32) -> Option<ObjectId> {
        match self.row(number).id.load(Ordering::Acquire) {
            0 => None,
            id => Some(ObjectId(id)),
        }
    }

    /// The rows that somebody has, with their numbers.
    pub fn taken(&self) -> impl Iterator<Item = (u32, ObjectId)> {
        (0..self.rows()).filter_map(|number| Some((number, self.holder(number)?)))
    }

    /// Those of handles whose participants died.
    pub fn dead(&self) -> Vec<(u32, ObjectId)> {
        self.taken().filter(|(_, id)| !self.inner().is_alive(id.owner())).collect()
    }

    fn take_row(&self, id: ObjectId) -> Result<u32> {
        let mut number = 0;
        loop {
            while number < self.rows() {
                let word = &self.row(number).id;
                if word.load(Ordering::Relaxed) == 0
                    && word.compare_exchange(0, id.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
                {
                    disarm(&self.row(number).armed);
                    return Ok(number);
                }
                number += 1;
            }
            if number >= self.design.handles {
                let text = format!(
                    "{} '{}' is open {number} times already, and no more is possible; close some",
                    self.design.noun, self.name
                );
                return Err(Error::new(ErrorKind::LimitReached, text));
            }
            let more = ((page_size() / ROW) as u32).min(self.design.handles - number);
            self.grow(&self.head().rows, self.design.head, ROW, u64::from(number + more))?;
        }
    }

    /// Sees to it that at least `count` units of `unit` bytes are allocated of a part of the file that begins at
    /// `offset`; `grown` says how many are. Several may do it at the same time.
    #[cold]
    pub fn grow(&self, grown: &AtomicU64, offset: usize, unit: usize, count: u64) -> Result<()> {
        let have = grown.load(Ordering::Acquire);
        if have >= count {
            return Ok(());
        }
        self.allocate(offset + have as usize * unit, (count - have) as usize * unit)?;
        grown.fetch_max(count, Ordering::AcqRel);
        Ok(())
    }

    /// Allocates a part of the file; bytes that are allocated already keep what they hold.
    pub fn allocate(&self, offset: usize, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // Whole pages, the first of which may be allocated already.
        let begin = offset / page_size() * page_size();
        let end = round_to_pages(offset + bytes).min(self.mapping.len());
        let what = format!("{} '{}'", self.design.noun, self.name);
        self.inner().grow_file(self.fd.as_fd(), begin, end - begin, &what)?;
        self.mapping.touch(begin, end - begin);
        Ok(())
    }

    /// Makes the row of a dead handle the caller's, who alone sets right then what it says and releases it. Whether it did.
    pub fn inherit_row(&self, number: u32, dead: ObjectId, me: ObjectId) -> bool {
        let word = &self.row(number).id;
        word.compare_exchange(dead.0, me.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives a row back. Nothing of the object names it any more.
    pub fn release_row(&self, number: u32, id: ObjectId) {
        let _ = self.row(number).id.compare_exchange(id.0, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Wakes everybody who sleeps for this object by their own bells.
    pub fn ring_sleepers(&self) {
        for (number, id) in self.taken() {
            if self.row(number).armed.load(Ordering::Relaxed) & 1 == 1 {
                self.ring(id);
            }
        }
    }

    /// Rings at a handle's own bell.
    pub fn ring(&self, id: ObjectId) {
        ring_at(&self.inner().directory(Directory::Bells).join(id.to_string()));
    }

    /// Opens one of the bells beside the object.
    fn open_bell(&self, suffix: &str) -> Result<Bell> {
        let inner = self.inner();
        let path = self.design.path(inner, &format!("{}{BELL_MARK}{suffix}", self.name));
        let passing = inner.directory(Directory::Bells).join(inner.new_id().to_string());
        Bell::open_or_make(&path, &passing, inner.access())
    }

    /// Takes the object away if nobody has it open and it is `spent`. Whether it did.
    pub fn take_away(&self, spent: impl FnOnce() -> bool) -> bool {
        self.take_away_if(|| self.taken().next().is_none() && spent())
    }

    /// The same where the dead have it open still, who need nothing of it any more.
    pub fn take_away_from_dead(&self, spent: impl FnOnce() -> bool) -> bool {
        let is_alive = |id: ObjectId| self.inner().is_alive(id.owner());
        self.take_away_if(|| !self.taken().any(|(_, id)| is_alive(id)) && spent())
    }

    fn take_away_if(&self, goes: impl FnOnce() -> bool) -> bool {
        if !lock::try_lock(self.fd.as_fd(), 0).unwrap_or(false) {
            return false;
        }
        let goes = !file::is_unlinked(self.fd.as_fd()) && goes();
        if goes {
            remove_files(&self.design.path(self.inner(), &self.name), self.design);
            debug!("{} '{}': the last one out took it away", self.design.noun, self.name);
        }
        lock::unlock(self.fd.as_fd(), 0);
        goes
    }
}

/// Maps an object's file, which must have room for all rows it may say it has.
fn map(fd: &OwnedFd, design: &Design, path: &Path) -> Result<Mapping> {
    let mapping = map_growing(fd.as_fd(), design.kind, design.head + page_size(), &path.display())?;
    if mapping.len() < design.body() {
        let text = format!(
            "{}: it has {} bytes, too few for its roster; {}",
            path.display(),
            mapping.len(),
            design.kind.remedy()
        );
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    Ok(mapping)
}

/// The object `name`, if there is one, without a row and for an instant.
pub fn existing(domain: &Domain, design: &'static Design, name: &str) -> Result<Object> {
    let path = design.path(domain.inner(), name);
    let fd = file::open_existing(&path, true)?;
    let mapping = map(&fd, design, &path)?;
    Ok(Object { domain: domain.clone(), name: name.into(), design, mapping, fd })
}

/// Removes an object that nobody alive has open. Whether there was one.
pub fn unlink(domain: &Domain, design: &'static Design, name: &str) -> Result<bool> {
    let path = design.path(domain.inner(), name);
    let busy = match existing(domain, design, name) {
        Ok(object) => {
            let alone = lock::try_lock(object.fd.as_fd(), 0)?;
            if file::is_unlinked(object.fd.as_fd()) {
                return unlink(domain, design, name);
            }
            let ids = object.taken().map(|(_, id)| id.owner()).filter(|id| domain.inner().is_alive(*id));
            let holders: BTreeSet<ParticipantId> = ids.collect();
            if alone && holders.is_empty() {
                remove_files(&path, design);
                return Ok(true);
            }
            Some(holders)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        // What is damaged nobody can have open.
        Err(e) if e.is_damage() => None,
        Err(e) => return Err(e),
    };
    if let Some(holders) = busy {
        let who = domain.inner().people(holders);
        let text = format!("{} '{name}' is open in {who}; close it there first", design.noun);
        return Err(Error::new(ErrorKind::Busy, text));
    }
    remove_files(&path, design);
    Ok(true)
}

/// Makes the object if there is none.
fn make(
    domain: &Inner,
    design: &Design,
    name: &str,
    path: &Path,
    size: usize,
    fill: &dyn Fn(&Mapping) -> Result<()>,
) -> Result<()> {
    if file::exists(path) {
        return Ok(());
    }
    let allocated = design.head + page_size();
    let fd = domain.create_growing(design.directory, size, allocated)?;
    let mapping = Mapping::sparse(fd.as_fd(), size)?;
    let head: &ObjectHead = mapping.at(0);
    head.header.write(design.kind, size, domain.me(), domain.new_id());
    head.name.write(name);
    head.rows.store((page_size() / ROW) as u64, Ordering::Relaxed);
    fill(&mapping)?;
    match file::link(fd.as_fd(), path) {
        Ok(()) => debug!("{} '{name}': made it", design.noun),
        Err(FileErrno::EEXIST) => {}
        Err(e) => return Err(os_error(e, format!("creating {}", path.display()))),
    }
    Ok(())
}

/// Removes an object's file and its bells; the bells first, so that a death between leaves none alone.
pub fn remove_files(path: &Path, design: &Design) {
    for suffix in design.bells {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!("{BELL_MARK}{suffix}"));
        file::unlink(&path.with_file_name(name));
    }
    file::unlink(path);
}

/// A handle's place in an object: its row, its waiter, and whom it watches.
pub struct Seat {
    pub object: std::sync::Arc<Object>,
    pub number: u32,
    pub id: ObjectId,
    pub waiter: Waiter,
    seen: Seen,
}

impl Seat {
    /// Opens an object and takes a place in it; see [`Object::open`]. The waiter listens to the bell `hears` too.
    pub fn take(
        domain: &Domain,
        design: &'static Design,
        name: &str,
        size: usize,
        hears: &str,
        fill: &dyn Fn(&Mapping) -> Result<()>,
    ) -> Result<Seat> {
        let inner = domain.inner();
        let id = inner.new_id();
        let mut waiter = Waiter::new(&inner.directory(Directory::Bells), id, inner.access())?;
        let opened = Object::open(domain, design, name, id, size, fill).and_then(|(object, number)| {
            object.open_bell(hears).and_then(|bell| waiter.share(bell)).inspect_err(|_| {
                object.release_row(number, id);
            })?;
            Ok((object, number))
        });
        match opened {
            Ok((object, number)) => {
                let mut seat =
                    Seat { object: std::sync::Arc::new(object), number, id, waiter, seen: Seen::default() };
                seat.announce();
                Ok(seat)
            }
            Err(e) => {
                file::unlink(waiter.path());
                Err(e)
            }
        }
    }

    /// Wakes everybody who sleeps, so that they watch us (E1).
    fn announce(&mut self) {
        self.object.head().comings.raise();
        self.object.ring_sleepers();
    }

    /// One of the bells beside the object.
    pub fn bell(&self, suffix: &str) -> Result<Bell> {
        self.object.open_bell(suffix)
    }

    #[inline(always)]
    pub fn row(&self) -> &Row {
        self.object.row(self.number)
    }

    /// Watches everybody who has come since the last time (E1); part of each look of one who is about to sleep. Whether
    /// one of them is dead already, of which nobody will tell.
    #[inline(always)]
    pub fn watch(&mut self) -> Result<bool> {
        if self.seen.is_due(&self.object.head().comings) { self.watch_comers() } else { Ok(false) }
    }

    #[cold]
    fn watch_comers(&mut self) -> Result<bool> {
        let mut dead = false;
        let (object, waiter) = (&self.object, &mut self.waiter);
        let inner = object.domain.inner();
        self.seen.try_look(&object.head().comings, || {
            let peers: Vec<ParticipantId> =
                object.taken().map(|(_, id)| id.owner()).filter(|peer| *peer != inner.me()).collect();
            waiter.watch_only(|peer| peers.contains(&peer));
            for peer in peers {
                let death = inner.participants.death_of(peer, inner.me())?;
                if death.is_some() || inner.is_alive(peer) {
                    // Whoever rings has fenced by its commit.
                    waiter.watch(peer, death, false)?;
                } else {
                    dead = true;
                }
            }
            Ok(())
        })?;
        Ok(dead)
    }

    /// Nobody sleeps here any more; the row is given back when nothing of the object names it.
    pub fn end(&self) {
        file::unlink(self.waiter.path());
    }
}

/// Wakes those who sleep for one thing by the bell they share, one for each time there is something for one of them.
///
/// Sleepers count their armings (W1). Where the count has moved, the caller looks how many sleep, and owes each one ring:
/// as often as that it rings, once per call, and then no more until the count moves again. Who was rung for and died
/// is mourned by all who sleep; who was rung for and goes to sleep again looks first.
#[derive(Default)]
pub struct Caller {
    owed: Owed,
}

impl Caller {
    /// Call after a commit that was a read-modify-write; `wants` is what the sleepers want. Whether it rang.
    #[inline(always)]
    pub fn call(&self, object: &Object, armings: &Generation, bell: &Bell, wants: u64) -> bool {
        fence::after_update();
        let now = armings.now();
        if self.owed.is_settled(now) {
            return false;
        }
        self.call_sleepers(object, now, bell, wants)
    }

    #[cold]
    fn call_sleepers(&self, object: &Object, now: u64, bell: &Bell, wants: u64) -> bool {
        let asleep = |row: &Row| {
            row.armed.load(Ordering::Relaxed) & 1 == 1 && row.wants.load(Ordering::Relaxed) == wants
        };
        let count = || object.taken().filter(|(number, _)| asleep(object.row(*number))).count() as u64;
        let rings = self.owed.take(now, count);
        if rings {
            bell.ring();
        }
        rings
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.design.noun, self.name)
    }
}
