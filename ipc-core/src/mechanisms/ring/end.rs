//! What both ends of a ring have: its files, its role, its waiter and the other end's bell.

use super::{
    CursorHead, RingOptions, RingStats, Role, TAKING_AWAY, is_spent, lock_all, paths, remove_if_spent,
};
use crate::domain::layout::{Kind, ObjectId, map_checked};
use crate::domain::participants::Death;
use crate::domain::waiter::{Arming, Ringer, Waiter, is_armed};
use crate::domain::{Attached, Directory, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{self, RingMap};
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::descriptor::ring_at;
use crate::sys::file::{self, FileErrno};
use crate::sys::fork::LockFd;
use crate::sys::mapping::{Head, Mapping, page_size};
use crate::sys::{fence, lock, os_error};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tracing::{debug, info};

/// Milliseconds until somebody who takes the ring away and comes to no end is called a failure.
const ATTEMPTS: u32 = 2000;

/// What both ends have.
pub(super) struct End {
    pub(super) domain: Domain,
    pub(super) name: String,
    pub(super) options: RingOptions,
    pub(super) role: Role,
    pub(super) data: Arc<RingMap>,
    pub(super) cursor: Head<CursorHead>,
    /// Open on the cursor file; holds the role's lock.
    pub(super) lock: LockFd,
    pub(super) waiter: Waiter,
    /// The other end's bell, once it is known.
    pub(super) peer: Option<Ringer>,
    /// Whose bell that is; zero before the other end was met. Somebody gone is known, and has none.
    pub(super) known: ObjectId,
    /// Whose going was told of.
    mourned: ObjectId,
    /// Its death notice, where there can be one.
    pub(super) peer_death: Option<Arc<Death>>,
    pub(super) light: bool,
    /// Keeps the participation until this end is dropped, even if the domain is closed before.
    _held: Arc<Held>,
}

struct Held {
    bell: PathBuf,
}

impl Attached for Held {
    fn detach(&self) -> bool {
        // It may be asleep in another thread; awake, it finds its domain closed.
        ring_at(&self.bell);
        false
    }
}

impl End {
    pub(super) fn open(domain: Domain, name: &str, options: &RingOptions, role: Role) -> Result<End> {
        check_name("ring", name)?;
        let capacity = record::round_capacity(
            options.capacity.saturating_add(record::RECORD_HEADER + record::GRAIN),
            "capacity",
        )
        .map_err(|e| e.of("ring", name))?;
        lifetime::arrive(&domain);
        let (data, _) = paths(&domain, name);
        End::enter_ring(domain.clone(), name, options, role, capacity).map_err(|e| {
            // Nothing half-made stays: one file of two, or a ring that nobody has.
            remove_if_spent(&data);
            domain.not_opened("ring", name, e)
        })
    }

    pub(super) fn enter_ring(
        domain: Domain,
        name: &str,
        options: &RingOptions,
        role: Role,
        capacity: usize,
    ) -> Result<End> {
        let (data_path, cursor_path) = paths(&domain, name);
        let (mut patience, mut attempts) = (5, 0);
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
                // Whoever takes an empty ring away holds both roles for an instant, however long that may be for
                // one who gets no processor. It may have begun and ended while we looked.
                let going =
                    lock::is_locked(cursor_fd.as_fd(), TAKING_AWAY) || file::is_unlinked(cursor_fd.as_fd());
                patience -= i32::from(!going);
                attempts += 1;
                if patience >= 0 && attempts < ATTEMPTS {
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

    pub(super) fn join(
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
        let held = Arc::new(Held { bell: waiter.path().into() });
        let attached: Weak<dyn Attached> = Arc::<Held>::downgrade(&held);
        inner.attach(attached);
        Ok(End {
            _held: held,
            name: name.into(),
            options: options.clone(),
            role,
            data: Arc::new(data),
            cursor: Head::new(cursor),
            lock,
            waiter,
            peer: None,
            known: ObjectId(0),
            mourned: ObjectId(0),
            peer_death: None,
            light,
            domain,
        })
    }

    /// How far was read, if it can be true. The writer's note of its head may lag behind by a record.
    pub(super) fn position(&self) -> Result<u64> {
        let (position, head) =
            (self.cursor.position.load(Ordering::Acquire), self.data.head().head.load(Ordering::Acquire));
        if position.is_multiple_of(record::GRAIN as u64) && position.abs_diff(head) <= self.data.capacity() {
            return Ok(position);
        }
        let text = format!(
            "it was written to {head} and read to {position}, which cannot be: its memory was damaged; unlink it"
        );
        Err(Error::new(ErrorKind::Corrupt, text))
    }

    /// An end that cannot be opened after all takes its bell along.
    pub(super) fn refuse(&self, error: Error) -> Error {
        file::unlink(self.waiter.path());
        error.of("ring", &self.name)
    }

    pub(super) fn arming(&self) -> Arming<'_> {
        Arming { armed: self.own_words().0, count: None }
    }

    /// Our own sleeping word and the word that names our bell.
    pub(super) fn own_words(&self) -> (&AtomicU64, &AtomicU64) {
        words(self.role, &self.data, &self.cursor)
    }

    pub(super) fn settle(&mut self) -> Result<Option<bool>> {
        let (armed, _) = words(self.role, &self.data, &self.cursor);
        self.waiter.settle(Arming { armed, count: None })
    }

    #[inline(always)]
    pub(super) fn peer_words(&self) -> (&AtomicU64, &AtomicU64) {
        words(self.role.other(), &self.data, &self.cursor)
    }

    /// Names our bell, then rings the other end, which may be asleep waiting for somebody to come.
    pub(super) fn announce(&mut self) {
        let own = ObjectId::parse(&self.waiter.path().file_name().unwrap_or_default().to_string_lossy());
        let (armed, word) = self.own_words();
        // The dead predecessor may have left its word armed.
        crate::domain::waiter::disarm(armed);
        word.store(own.map_or(0, |id| id.0), Ordering::Release);
        if self.role == Role::Producer {
            // It may have died while it waited, too.
            self.data.head().blocked_since.store(0, Ordering::Relaxed);
            self.data.head().closed.store(0, Ordering::Release);
        }
        fence::heavy(true);
        let _ = self.meet();
        self.tell_peer();
        debug!("ring '{}': opened its {}", self.name, self.role.name());
    }

    /// Opens the other end's bell when it is a new one.
    #[inline(always)]
    pub(super) fn meet(&mut self) -> Result<()> {
        let id = ObjectId(self.peer_words().1.load(Ordering::Acquire));
        if id == self.known { Ok(()) } else { self.meet_new(id) }
    }

    #[cold]
    pub(super) fn meet_new(&mut self, id: ObjectId) -> Result<()> {
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

    /// W1: something was committed or released; the other end is rung if it sleeps. Whether it was.
    #[inline(always)]
    pub(super) fn tell_peer(&mut self) -> bool {
        let (armed, who) = self.peer_words();
        fence::light(self.light);
        // One that came meanwhile may be asleep already, having looked before the commit.
        let stranger = who.load(Ordering::Acquire) != self.known.0;
        (stranger || is_armed(armed, 0).is_some()) && self.tell_sleeper(stranger)
    }

    /// The producer rang for a message; its counter, in its own page.
    #[cold]
    pub(super) fn count_wake(&self) {
        let word = &self.data.head().wakes_sent;
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The other end sleeps, or it is a stranger: one that came since the call began, or went and took its bell along.
    #[cold]
    #[inline(never)]
    fn tell_sleeper(&mut self, stranger: bool) -> bool {
        let id = ObjectId(self.peer_words().1.load(Ordering::Acquire));
        if stranger && self.meet().is_err() {
            // Why it cannot be met is told by the next call; it is woken all the same.
            ring_at(&self.domain.inner().directory(Directory::Bells).join(id.to_string()));
            return true;
        }
        let (armed, _) = words(self.role.other(), &self.data, &self.cursor);
        self.peer.as_mut().is_some_and(|ringer| ringer.ring_if_armed(armed))
    }

    /// Whether [`End::enter`] has nothing to do: not closed, not a forked copy, the other end still the one we know.
    #[inline(always)]
    pub(super) fn is_settled(&self) -> bool {
        self.domain.usable() && self.peer_words().1.load(Ordering::Acquire) == self.known.0
    }

    #[inline(always)]
    pub(super) fn enter(&mut self) -> Result<()> {
        if !self.domain.usable() {
            return Err(self.unusable());
        }
        self.meet()
    }

    #[cold]
    pub(super) fn unusable(&self) -> Error {
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

    /// Watches the other end no more once it is gone; its successor is watched when it is met.
    pub(super) fn forget_gone(&mut self) {
        if !self.peer_is_there() {
            self.waiter.unwatch(self.known.owner());
            if self.mourned != self.known {
                self.mourned = self.known;
                let (name, role, owner) = (&self.name, self.role.other().name(), self.known.owner());
                if self.role == Role::Consumer && self.data.head().closed.load(Ordering::Acquire) != 0 {
                    debug!("ring '{name}': its {role} (participant {owner}) left");
                } else {
                    info!("ring '{name}': its {role} (participant {owner}) is gone");
                }
            }
        }
    }

    /// A child made by raw clone keeps the lock of its dead parent, so the lock alone does not tell.
    pub(super) fn peer_is_there(&self) -> bool {
        lock::is_locked(self.lock.as_fd(), self.role.other() as u64)
            && !self.peer_death.as_ref().is_some_and(|death| death.came())
    }

    pub(super) fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        Ok(self.waiter.watch_descriptor())
    }

    pub(super) fn stats(&self) -> RingStats {
        let head = self.data.head();
        let written = head.head.load(Ordering::Acquire);
        let position = self.cursor.position.load(Ordering::Acquire);
        let messages = head.seq.load(Ordering::Relaxed);
        let wakes_sent = head.wakes_sent.load(Ordering::Relaxed);
        RingStats {
            messages,
            blocked: head.blocked.load(Ordering::Relaxed),
            wakes_sent,
            wakes_elided: messages.saturating_sub(wakes_sent),
            pending_messages: self.data.unread(position),
            pending_bytes: written.saturating_sub(position),
        }
    }

    /// Largest message.
    pub(super) fn limit(&self) -> usize {
        self.data.capacity() as usize - record::RECORD_HEADER - record::GRAIN
    }

    /// The last one out of an empty ring takes it away.
    pub(super) fn close(&mut self) {
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
        debug!("ring '{}': closed its {}", self.name, self.role.name());
    }

    /// Removes the ring if nothing is left in it. `false`: the other end is held.
    pub(super) fn take_away(&self) -> bool {
        // Both locks at once: nobody is in, and nobody gets in before the names are gone.
        if !lock_all(self.lock.as_fd()) {
            return false;
        }
        // A ring that has lost its name already may have given it to another.
        if !file::is_unlinked(self.lock.as_fd())
            && is_spent(&self.data, self.cursor.position.load(Ordering::Acquire))
        {
            let (data, cursor) = paths(&self.domain, &self.name);
            file::unlink(&data);
            file::unlink(&cursor);
        }
        true
    }
}

/// The sleeping word of an end, and the word that names its bell.
#[inline(always)]
fn words<'a>(role: Role, data: &'a RingMap, cursor: &'a CursorHead) -> (&'a AtomicU64, &'a AtomicU64) {
    match role {
        Role::Producer => (&data.head().armed, &data.head().writer),
        Role::Consumer => (&cursor.armed, &cursor.reader),
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
