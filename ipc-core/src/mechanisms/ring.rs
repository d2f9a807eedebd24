//! Rings: one producer, one consumer, messages of any size in order, written and read in place.
//!
//! A ring is two files: the data, written by the producer, and the cursor, written by the consumer.
//! Who holds a role holds the OFD lock on its byte of the cursor file; the kernel gives it back at
//! death, and a successor continues where the dead one stopped. A message being read when its
//! consumer died is read again by the next.

use super::record::{self, Next, Reader, RingMap, Shape, Writer};
use super::topic::lifetime;
use crate::domain::layout::{Header, Kind, LINE, ObjectId, ParticipantId, SharedName, map_checked};
use crate::domain::participants::Death;
use crate::domain::waiter::{Ringer, Sleeper, Waiter, committed, wait_for};
use crate::domain::{Attached, Directory, Domain, Wait, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::name::check_name;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::ring_at;
use crate::sys::file::{self, FileErrno};
use crate::sys::fork::LockFd;
use crate::sys::mapping::{Mapping, Shared, page_size};
use crate::sys::{fence, lock, os_error};
use std::fmt;
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

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

impl Role {
    fn other(self) -> Role {
        if self == Role::Producer { Role::Consumer } else { Role::Producer }
    }

    fn name(self) -> &'static str {
        if self == Role::Producer { "producer" } else { "consumer" }
    }
}

/// What both ends have.
struct End {
    domain: Domain,
    name: String,
    options: RingOptions,
    role: Role,
    data: Arc<RingMap>,
    cursor: Mapping,
    /// Open on the cursor file; holds the role's lock.
    lock: LockFd,
    waiter: Waiter,
    /// The other end's bell, once it is known.
    peer: Option<Ringer>,
    /// Whose bell that is; zero before the other end was met. Somebody gone is known, and has none.
    known: ObjectId,
    /// Its death notice, where there can be one.
    peer_death: Option<Arc<Death>>,
    light: bool,
    /// Keeps the participation until this end is dropped, even if the domain is closed before.
    _held: Arc<Held>,
}

struct Held;

impl Attached for Held {
    fn detach(&self) -> bool {
        false
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
        let mut producer = RingProducer { end, writer, reserved: None };
        producer.end.announce();
        Ok(producer)
    }

    /// Opens the consuming end of the ring `name`; `Busy` if somebody alive has it. Messages sent
    /// before are waiting in it.
    pub fn ring_consumer(&self, name: &str, options: &RingOptions) -> Result<RingConsumer> {
        let end = End::open(self.current()?, name, options, Role::Consumer)?;
        let position = end.position().map_err(|e| end.refuse(e))?;
        let reader = Reader::resume(end.data.clone(), position);
        let mut consumer = RingConsumer { end, reader, taken: None };
        consumer.end.announce();
        Ok(consumer)
    }
}

/// Removes a ring nobody holds. Whether there was one.
pub(crate) fn unlink(domain: &Domain, name: &str) -> Result<bool> {
    let (data, cursor) = paths(domain, name);
    // A damaged cursor can hold no lock that counts.
    let fd = file::open_existing(&cursor, true).ok();
    if fd.as_ref().is_some_and(|fd| !lock::try_lock_all(fd.as_fd(), 2)) {
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
    if held.as_ref().is_some_and(|fd| !lock::try_lock_all(fd.as_fd(), 2)) {
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

impl End {
    fn open(domain: Domain, name: &str, options: &RingOptions, role: Role) -> Result<End> {
        check_name("ring", name)?;
        let capacity =
            record::round_capacity(options.capacity.saturating_add(record::RECORD_HEADER + 128), "capacity")
                .map_err(|e| e.of("ring", name))?;
        lifetime::arrive(&domain);
        let (data, _) = paths(&domain, name);
        End::enter_ring(domain, name, options, role, capacity).map_err(|e| {
            // Nothing half-made stays: one file of two, or a ring that nobody has.
            remove_if_spent(&data);
            e.of("ring", name)
        })
    }

    fn enter_ring(
        domain: Domain,
        name: &str,
        options: &RingOptions,
        role: Role,
        capacity: usize,
    ) -> Result<End> {
        let (data_path, cursor_path) = paths(&domain, name);
        let mut patience = 5;
        loop {
            make_data(&domain, name, &data_path, capacity)?;
            make_cursor(&domain, name, &cursor_path)?;
            // Somebody may take the ring away between making and opening it: then make it anew.
            let opened = file::open_existing(&cursor_path, true)
                .and_then(|c| Ok((c, file::open_existing(&data_path, role == Role::Producer)?)));
            let (cursor_fd, data_fd) = match opened {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            if !lock::try_lock(cursor_fd.as_fd(), role as u64)? {
                // Whoever takes an empty ring away holds both roles for an instant.
                if patience > 0 {
                    patience -= 1;
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                let text = format!(
                    "ring '{name}' has a live {} already and there can be one; close it first, or use another name",
                    role.name()
                );
                return Err(Error::new(ErrorKind::Busy, text));
            }
            if file::is_unlinked(cursor_fd.as_fd()) || file::is_unlinked(data_fd.as_fd()) {
                continue;
            }
            return End::join(domain, name, options, role, data_fd, cursor_fd);
        }
    }

    fn join(
        domain: Domain,
        name: &str,
        options: &RingOptions,
        role: Role,
        data_fd: OwnedFd,
        cursor_fd: OwnedFd,
    ) -> Result<End> {
        let inner = domain.inner();
        let what = format!("ring '{name}'");
        let data = RingMap::open_fd(data_fd.as_fd(), Kind::RingData, role == Role::Producer, &what)?;
        let mapped = file::reopen(cursor_fd.as_fd())?;
        let cursor = map_checked(
            mapped.as_fd(),
            Kind::RingLink,
            size_of::<CursorHead>(),
            role == Role::Consumer,
            &what,
        )?;
        let lock = LockFd::new(cursor_fd)?;
        let mut waiter = Waiter::new(&inner.directory(Directory::Bells), inner.new_id(), inner.access())?;
        let light = inner.participants.is_registered(inner.me());
        waiter.registered_peers = light;
        let held = Arc::new(Held);
        let attached: Weak<dyn Attached> = Arc::<Held>::downgrade(&held);
        inner.attach(attached);
        Ok(End {
            _held: held,
            name: name.into(),
            options: options.clone(),
            role,
            data: Arc::new(data),
            cursor,
            lock,
            waiter,
            peer: None,
            known: ObjectId(0),
            peer_death: None,
            light,
            domain,
        })
    }

    fn cursor_head(&self) -> &CursorHead {
        self.cursor.at(0)
    }

    /// How far was read, if it can be true. The writer's note of its head may lag behind by a record.
    fn position(&self) -> Result<u64> {
        let (position, head) = (
            self.cursor_head().position.load(Ordering::Acquire),
            self.data.head().head.load(Ordering::Acquire),
        );
        if position.is_multiple_of(LINE as u64) && position.abs_diff(head) <= self.data.capacity() {
            return Ok(position);
        }
        let text = format!(
            "it was written to {head} and read to {position}, which cannot be: its memory was damaged; unlink it"
        );
        Err(Error::new(ErrorKind::Corrupt, text))
    }

    /// An end that cannot be opened after all takes its bell along.
    fn refuse(&self, error: Error) -> Error {
        file::unlink(self.waiter.path());
        error.of("ring", &self.name)
    }

    /// Our own sleeping word and the word that names our bell.
    fn own_words(&self) -> (&AtomicU64, &AtomicU64) {
        match self.role {
            Role::Producer => (&self.data.head().armed, &self.data.head().writer),
            Role::Consumer => (&self.cursor_head().armed, &self.cursor_head().reader),
        }
    }

    fn settle(&mut self) -> Result<Option<Vec<ParticipantId>>> {
        match self.role {
            Role::Producer => self.waiter.settle(&self.data.head().armed),
            Role::Consumer => self.waiter.settle(&self.cursor.at::<CursorHead>(0).armed),
        }
    }

    fn peer_words(&self) -> (&AtomicU64, &AtomicU64) {
        match self.role {
            Role::Producer => (&self.cursor_head().armed, &self.cursor_head().reader),
            Role::Consumer => (&self.data.head().armed, &self.data.head().writer),
        }
    }

    /// Names our bell, then rings the other end, which may be asleep waiting for somebody to come.
    fn announce(&mut self) {
        let own = ObjectId::parse(&self.waiter.path().file_name().unwrap_or_default().to_string_lossy());
        let (armed, word) = self.own_words();
        // The dead predecessor may have left its word armed.
        crate::domain::waiter::disarm(armed);
        word.store(own.map_or(0, |id| id.0), Ordering::Release);
        if self.role == Role::Producer {
            self.data.head().closed.store(0, Ordering::Release);
        }
        fence::heavy(true);
        let _ = self.meet();
        self.tell_peer();
    }

    /// Opens the other end's bell when it is a new one.
    #[inline(always)]
    fn meet(&mut self) -> Result<()> {
        let id = ObjectId(self.peer_words().1.load(Ordering::Acquire));
        if id == self.known { Ok(()) } else { self.meet_new(id) }
    }

    #[cold]
    fn meet_new(&mut self, id: ObjectId) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let named = |e: Error| e.of("ring", &self.name);
        let ringer = match Ringer::open(&inner.directory(Directory::Bells), id) {
            Ok(ringer) => Some(ringer),
            // It is gone already; its successor will have another bell.
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(named(e)),
        };
        let owner = id.owner();
        self.waiter.watch_only(|peer| peer == owner);
        let mut death = None;
        if owner != inner.me() && ringer.is_some() {
            death = inner.participants.death_of(owner, inner.me()).map_err(named)?;
            self.waiter
                .watch(owner, death.clone(), inner.participants.is_registered(owner))
                .map_err(|e| e.of("ring", &self.name))?;
        }
        self.light &= !inner.participants.lacks_barrier(owner);
        // Known only now that its death would be noticed too.
        (self.peer, self.peer_death, self.known) = (ringer, death, id);
        Ok(())
    }

    /// W1: something was committed or released; the other end is rung if it sleeps.
    #[inline(always)]
    fn tell_peer(&mut self) {
        let (armed, who) = self.peer_words();
        if committed(self.light, || who.load(Ordering::Acquire) != self.known.0) {
            return self.tell_stranger();
        }
        let armed: *const AtomicU64 = armed;
        if let Some(ringer) = &mut self.peer {
            // SAFETY: the word is in a mapping of this end, which outlives the call.
            ringer.ring_if_armed(unsafe { &*armed });
        }
    }

    /// The other end is one that came since the call began, or one that went and took its bell along.
    #[cold]
    fn tell_stranger(&mut self) {
        let (armed, who) = self.peer_words();
        let (armed, id): (*const AtomicU64, _) = (armed, ObjectId(who.load(Ordering::Acquire)));
        match self.meet() {
            Ok(()) => {
                if let Some(ringer) = &mut self.peer {
                    // SAFETY: the word is in a mapping of this end, which outlives the call.
                    ringer.ring_if_armed(unsafe { &*armed });
                }
            }
            // Why it cannot be met is told by the next call; it is woken all the same.
            Err(_) => ring_at(&self.domain.inner().directory(Directory::Bells).join(id.to_string())),
        }
    }

    #[inline(always)]
    fn enter(&mut self) -> Result<()> {
        if !self.domain.usable() {
            return Err(self.unusable());
        }
        self.meet()
    }

    #[cold]
    fn unusable(&self) -> Error {
        let what = format!("{} of ring '{}'", self.role.name(), self.name);
        if self.domain.is_closed() {
            return closed(&format!("{what}: its domain '{}'", self.domain.name()));
        }
        Error::new(
            ErrorKind::Forked,
            format!(
                "{what} was carried over a fork; the parent process has it and there can be one; open another ring here"
            ),
        )
    }

    /// A child made by raw clone keeps the lock of its dead parent, so the lock alone does not tell.
    fn peer_is_there(&self) -> bool {
        lock::is_locked(self.lock.as_fd(), self.role.other() as u64)
            && !self.peer_death.as_ref().is_some_and(|death| death.came())
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        Ok(self.waiter.watch_descriptor())
    }

    fn stats(&self) -> RingStats {
        let head = self.data.head();
        let written = head.head.load(Ordering::Acquire);
        RingStats {
            messages: head.seq.load(Ordering::Relaxed),
            blocked: head.blocked.load(Ordering::Relaxed),
            pending_bytes: written.saturating_sub(self.cursor_head().position.load(Ordering::Acquire)),
        }
    }

    /// Largest message.
    fn limit(&self) -> usize {
        self.data.capacity() as usize - record::RECORD_HEADER - 2 * LINE
    }

    /// The last one out of an empty ring takes it away.
    fn close(&mut self) {
        if self.domain.forked() {
            return;
        }
        file::unlink(self.waiter.path());
        if self.role == Role::Producer {
            self.data.head().closed.store(1, Ordering::Release);
        }
        if !self.take_away() {
            lock::unlock_all(self.lock.as_fd());
            // Two that close at the same time each found the other still in: whoever comes here last is alone.
            self.take_away();
        }
        lock::unlock_all(self.lock.as_fd());
        // The bell we have will do where there is no descriptor left for a newer one.
        let _ = self.meet();
        if let Some(ringer) = &self.peer {
            ringer.ring();
        }
    }

    /// Removes the ring if nothing is left in it. `false`: the other end is held.
    fn take_away(&self) -> bool {
        // Both locks at once: nobody is in, and nobody gets in before the names are gone.
        if !lock::try_lock_all(self.lock.as_fd(), 2) {
            return false;
        }
        // A ring that has lost its name already may have given it to another.
        if !file::is_unlinked(self.lock.as_fd())
            && is_spent(&self.data, self.cursor_head().position.load(Ordering::Acquire))
        {
            let (data, cursor) = paths(&self.domain, &self.name);
            file::unlink(&data);
            file::unlink(&cursor);
        }
        true
    }
}

fn make_data(domain: &Domain, name: &str, path: &Path, capacity: usize) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let inner = domain.inner();
    let (fd, map) = RingMap::create(inner, Directory::Rings, capacity)?;
    map.head().header.write(Kind::RingData, RingMap::data_offset() + capacity, inner.me(), inner.new_id());
    map.head().name.write(name);
    link(fd, path)
}

fn make_cursor(domain: &Domain, name: &str, path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let inner = domain.inner();
    let fd = inner.create_file(Directory::Rings, page_size())?;
    let map = Mapping::new(fd.as_fd(), page_size(), true)?;
    let head: &CursorHead = map.at(0);
    head.header.write(Kind::RingLink, page_size(), inner.me(), inner.new_id());
    head.name.write(name);
    link(fd, path)
}

/// Links; if the other end was faster, its file is as good as ours.
fn link(fd: OwnedFd, path: &Path) -> Result<()> {
    match file::link(fd.as_fd(), path) {
        Ok(()) | Err(FileErrno::EEXIST) => Ok(()),
        Err(e) => Err(os_error(e, format!("creating {}", path.display()))),
    }
}

/// The producing end. One thread uses it at a time.
pub struct RingProducer {
    end: End,
    writer: Writer,
    /// What `commit` may publish; anything else that is written takes its place.
    reserved: Option<usize>,
}

impl RingProducer {
    /// The ring's name.
    pub fn name(&self) -> &str {
        &self.end.name
    }

    /// The largest message, in bytes.
    pub fn max_message(&self) -> usize {
        self.end.limit()
    }

    /// Writes a message if there is room, or fails with `WouldBlock`.
    #[inline]
    pub fn try_push(&mut self, data: &[u8]) -> Result<()> {
        let shape = self.shape(data.len())?;
        self.end.enter()?;
        if self.room(shape)? || self.room_armed(shape)? {
            self.reserved = None;
            self.writer.write(shape, data, &[]);
            self.end.tell_peer();
            return Ok(());
        }
        Err(self.full(ErrorKind::WouldBlock))
    }

    /// Writes a message, waiting for room up to `timeout` (`None`: for ever).
    #[inline]
    pub fn push(&mut self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        let shape = self.shape(data.len())?;
        self.wait_for_room(shape, timeout)?;
        self.reserved = None;
        self.writer.write(shape, data, &[]);
        self.end.tell_peer();
        Ok(())
    }

    /// The place of a message of up to `length` bytes, to be written in place and then published with
    /// [`RingProducer::commit`]; waits for room up to `timeout`. Reserving again or pushing discards it.
    /// The place is 16-byte aligned.
    pub fn reserve(&mut self, length: usize, timeout: Option<Duration>) -> Result<&mut [u8]> {
        let shape = self.shape(length)?;
        self.wait_for_room(shape, timeout)?;
        self.reserved = Some(length);
        Ok(self.writer.reserve(length))
    }

    /// Publishes the first `length` bytes of what was reserved.
    pub fn commit(&mut self, length: usize) -> Result<()> {
        self.end.enter()?;
        if self.reserved.is_none_or(|reserved| length > reserved) {
            let reserved = self.reserved.map_or("nothing is".into(), |reserved| format!("{reserved} are"));
            let text = format!(
                "ring '{}': commit of {length} bytes, {reserved} reserved; reserve as many first",
                self.end.name
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let shape = self.shape(length)?;
        self.reserved = None;
        self.writer.write_reserved(shape);
        self.end.tell_peer();
        Ok(())
    }

    /// The pollable descriptor: readable when a push that failed with `WouldBlock` is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.end.fd()
    }

    /// Counters.
    pub fn stats(&self) -> RingStats {
        self.end.stats()
    }

    /// Ends it; the same as dropping it. The consumer reads what is left.
    pub fn close(self) {}

    #[inline(always)]
    fn shape(&self, length: usize) -> Result<Shape> {
        if length > self.end.limit() {
            let text = format!(
                "ring '{}': a message of {length} bytes, the largest is {}; make the ring with a larger capacity",
                self.end.name,
                self.end.limit()
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(Shape { body: length as u32, meta: 0, content: 0, flags: 0 })
    }

    #[inline(always)]
    fn room(&mut self, shape: Shape) -> Result<bool> {
        Ok(self.writer.has_room(shape.record_bytes()) || self.claim(shape))
    }

    #[cold]
    fn claim(&mut self, shape: Shape) -> bool {
        let needed = self.writer.needed_claim(shape.record_bytes());
        let wanted = needed + self.end.data.capacity() / 16;
        let limit = Writer::linger(wanted, || self.end.cursor_head().position.load(Ordering::Acquire));
        self.writer.claim_to(wanted, limit);
        needed <= self.writer.claim()
    }

    fn room_armed(&mut self, shape: Shape) -> Result<bool> {
        if !self.end.waiter.is_evented() {
            return Ok(false);
        }
        self.end.settle()?;
        self.room(shape)
    }

    #[inline]
    fn wait_for_room(&mut self, shape: Shape, timeout: Option<Duration>) -> Result<()> {
        self.end.enter()?;
        if self.room(shape)? {
            return Ok(());
        }
        let blocked = &self.end.data.head().blocked;
        blocked.store(blocked.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let (wait, deadline) = (self.end.options.wait, Deadline::after(timeout));
        let attempt = &mut |producer: &mut RingProducer| {
            producer.end.enter()?;
            Ok(producer.room(shape)?.then_some(()))
        };
        wait_for(self, wait, &deadline, attempt)?.ok_or_else(|| self.full(ErrorKind::Timeout))
    }

    #[cold]
    fn full(&self, kind: ErrorKind) -> Error {
        let who = if self.end.peer_is_there() { "its consumer is behind" } else { "it has no consumer" };
        Error::new(
            kind,
            format!(
                "ring '{}': no room, {who}; read it faster or make it with a larger capacity",
                self.end.name
            ),
        )
    }
}

/// The consuming end. One thread uses it at a time.
pub struct RingConsumer {
    end: End,
    reader: Reader,
    taken: Option<record::Found>,
}

impl RingConsumer {
    /// The ring's name.
    pub fn name(&self) -> &str {
        &self.end.name
    }

    /// The next message if there is one, in place; it is released by the next call. `Disconnected` when
    /// the producer ended and everything was read.
    #[inline]
    pub fn try_pop(&mut self) -> Result<Option<&[u8]>> {
        self.release()?;
        if self.look()? || self.look_armed()? {
            return Ok(self.taken.as_ref().map(|found| self.reader.body(found)));
        }
        self.check_producer()?;
        Ok(None)
    }

    /// Waits for the next message up to `timeout` (`None`: for ever); otherwise as [`RingConsumer::try_pop`].
    #[inline]
    pub fn pop(&mut self, timeout: Option<Duration>) -> Result<&[u8]> {
        self.release()?;
        if !self.look()? {
            self.wait_for_message(timeout)?;
        }
        match &self.taken {
            Some(found) => Ok(self.reader.body(found)),
            None => Err(self.timed_out(timeout)),
        }
    }

    /// Gives the last message's place back to the producer; the next call does so too.
    #[inline]
    pub fn release(&mut self) -> Result<()> {
        self.end.enter()?;
        if let Some(found) = self.taken.take() {
            self.reader.advance(&found);
            self.end.cursor_head().position.store(self.reader.position(), Ordering::Release);
            self.end.tell_peer();
        }
        Ok(())
    }

    /// The pollable descriptor: readable until `try_pop` has returned `None`.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.end.fd()
    }

    /// Counters.
    pub fn stats(&self) -> RingStats {
        self.end.stats()
    }

    /// Ends it; the same as dropping it. What was not released waits for the next consumer.
    pub fn close(self) {}

    #[inline(always)]
    fn look(&mut self) -> Result<bool> {
        match self.reader.peek().map_err(|e| e.of("ring", &self.end.name))? {
            Next::Record(found) => {
                self.taken = Some(found);
                self.end.waiter.note_taken();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn look_armed(&mut self) -> Result<bool> {
        if !self.end.waiter.is_evented() {
            return Ok(false);
        }
        if self.end.settle()?.is_none() || !self.look()? {
            return Ok(false);
        }
        self.end.waiter.stay_readable();
        Ok(true)
    }

    #[cold]
    fn wait_for_message(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.check_producer()?;
        let (wait, deadline) = (self.end.options.wait, Deadline::after(timeout));
        let attempt = &mut |consumer: &mut RingConsumer| {
            consumer.end.enter()?;
            if !consumer.look()? && consumer.end.data.head().closed.load(Ordering::Acquire) != 0 {
                consumer.check_producer()?;
            }
            Ok(consumer.taken.is_some().then_some(()))
        };
        wait_for(self, wait, &deadline, attempt)?;
        Ok(())
    }

    /// A producer that was there and is not any more will say nothing more: look once more, then tell.
    fn check_producer(&mut self) -> Result<()> {
        let came = self.end.data.head().writer.load(Ordering::Acquire) != 0;
        if !came || self.taken.is_some() || self.end.peer_is_there() || self.look()? {
            return Ok(());
        }
        let text = format!(
            "ring '{}': its producer ended and everything it sent was read; wait for another one, or close it",
            self.end.name
        );
        Err(Error::new(ErrorKind::Disconnected, text))
    }

    #[cold]
    fn timed_out(&self, timeout: Option<Duration>) -> Error {
        let text = format!(
            "ring '{}': no message within {:?}; give it more time, or see with `axonic stat` whether somebody writes",
            self.end.name,
            timeout.unwrap_or_default()
        );
        Error::new(ErrorKind::Timeout, text)
    }
}

impl Sleeper for RingProducer {
    fn armed(&self) -> &AtomicU64 {
        self.end.own_words().0
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.end.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<Vec<ParticipantId>>> {
        self.end.settle()
    }
}

impl Sleeper for RingConsumer {
    fn armed(&self) -> &AtomicU64 {
        self.end.own_words().0
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.end.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.check_producer()
    }

    fn settle(&mut self) -> Result<Option<Vec<ParticipantId>>> {
        self.end.settle()
    }
}

impl Drop for RingProducer {
    fn drop(&mut self) {
        self.end.close();
    }
}

impl Drop for RingConsumer {
    fn drop(&mut self) {
        self.end.close();
    }
}

impl fmt::Debug for RingProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingProducer({:?}, {} messages)", self.end.name, self.stats().messages)
    }
}

impl fmt::Debug for RingConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingConsumer({:?}, {} bytes pending)", self.end.name, self.stats().pending_bytes)
    }
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
