//! Meeting: who listens for shared-memory channels, and who connects.

use super::sleep::{arm, awake};
use super::{
    CAPACITY, CLIENT, End, PENDING, SERVER, arrive, file_of, make_file, make_waiter, place, refused,
};
use crate::domain::asked::asking;
use crate::domain::layout::{Header, Kind, ObjectId, ParticipantId, SharedName, map_checked};
use crate::domain::waiter::{Arming, Waiter, disarm, is_armed};
use crate::domain::{Directory, Domain};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::address::Address;
use crate::mechanisms::channel::link::Half;
use crate::mechanisms::channel::{ChannelOptions, Link, Listened, Listening, Wake, hold};
use crate::mechanisms::record::{RingHead, RingMap, open_head};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{Deadline, coarse_millis};
use crate::sys::descriptor::ring_at;
use crate::sys::file::{self, FileErrno};
use crate::sys::mapping::{Head, Mapping, Shared, page_size};
use crate::sys::{fence, lock, os_error};
use std::collections::VecDeque;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A listener's file.
#[repr(C)]
pub struct ListenerHead {
    pub header: Header,
    pub name: SharedName,
    /// Since when it listens, in milliseconds of the machine's monotonic clock.
    pub since: AtomicU64,
    /// Of a service's provider: how many calls may be at work at the same time; zero: it is none.
    pub concurrency: AtomicU64,
    _pad0: [AtomicU64; 28],
    /// Odd while the listener sleeps (W1).
    armed: AtomicU64,
    /// The id of the bell it sleeps on.
    bell: AtomicU64,
    _pad1: [AtomicU64; 14],
    /// Of a service's provider: calls that are answered, and those that were taken so far.
    pub answered: AtomicU64,
    pub calls: AtomicU64,
    _pad2: [AtomicU64; 14],
}

// SAFETY: atomics only.
unsafe impl Shared for ListenerHead {}

const _: () = assert!(offset_of!(ListenerHead, since) == 272 && offset_of!(ListenerHead, armed) == 512);
const _: () = assert!(offset_of!(ListenerHead, answered) == 640);

/// A listening end.
struct ShmListening {
    domain: Domain,
    sign: Arc<Sign>,
    head: Arc<Head<ListenerHead>>,
    waiter: Waiter,
    options: ChannelOptions,
    /// Who was found waiting, not looked at yet.
    found: VecDeque<ObjectId>,
}

pub fn listen(domain: &Domain, address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let (domain, name) = place(domain, address)?;
    listen_as(domain, name, address, options).map(|(listened, _)| listened)
}

/// Listens under the name of a file.
pub fn listen_as(
    domain: Domain,
    name: &str,
    address: &Address,
    options: &ChannelOptions,
) -> Result<(Listened, Gauge)> {
    arrive(&domain);
    let (bell, waiter) = make_waiter(&domain)?;
    let made = make_listener(&domain, name, bell);
    let (id, fd, head) = made.inspect_err(|_| file::unlink(waiter.path()))?;
    let path = waiter.path().to_path_buf();
    let sign = domain.inner().directory(Directory::Listeners).join(name);
    let sign = Arc::new(Sign { domain: domain.clone(), id, fd, path: sign });
    // A closed listener that is still around keeps no descriptor.
    let own = Arc::downgrade(&sign);
    let wake: Wake = Box::new(move || {
        own.upgrade().iter().for_each(|sign| sign.take_down());
        ring_at(&path);
    });
    let head = Arc::new(head);
    let gauge = Gauge { head: head.clone(), domain: domain.clone() };
    let listening =
        ShmListening { sign, head, waiter, options: options.clone(), found: VecDeque::new(), domain };
    Ok((Listened { listening: Box::new(listening), address: address.clone(), wake }, gauge))
}

/// What a service's provider tells onlookers, in its listener's file.
pub struct Gauge {
    head: Arc<Head<ListenerHead>>,
    domain: Domain,
}

impl Gauge {
    /// So many calls may be at work.
    pub fn set_concurrency(&self, limit: usize) {
        self.head.concurrency.store(limit as u64, Ordering::Relaxed);
    }

    /// So many calls were taken so far; told by one thread at a time.
    #[inline(always)]
    pub fn set_handed_out(&self, calls: u64) {
        self.head.calls.store(calls, Ordering::Relaxed);
    }

    /// A call is answered. What a forked child drops is its parent's.
    #[inline(always)]
    pub fn count_answered(&self) {
        if !self.domain.forked() {
            // Paired with the acquire in `look`: whoever sees it sees that the call was taken.
            self.head.answered.fetch_add(1, Ordering::Release);
        }
    }
}

fn make_listener(
    domain: &Domain,
    name: &str,
    bell: ObjectId,
) -> Result<(ObjectId, OwnedFd, Head<ListenerHead>)> {
    let inner = domain.inner();
    let path = inner.directory(Directory::Listeners).join(name);
    let fd = inner.create_file(Directory::Listeners, page_size())?;
    let head: Head<ListenerHead> = Head::new(Mapping::new(fd.as_fd(), page_size(), true)?);
    let id = inner.new_id();
    head.header.write(Kind::Listener, page_size(), inner.me(), id);
    head.name.write(name);
    head.bell.store(bell.0, Ordering::Relaxed);
    head.since.store(coarse_millis(), Ordering::Relaxed);
    loop {
        match file::link(fd.as_fd(), &path) {
            Ok(()) => return Ok((id, fd, head)),
            Err(FileErrno::EEXIST) => remove_dead(domain, name, &path)?,
            Err(e) => return Err(os_error(e, format!("creating {}", path.display()))),
        }
    }
}

/// Maps a listener's file, to look at or to lock.
pub fn open_listener(path: &Path, writable: bool) -> Result<(OwnedFd, Head<ListenerHead>)> {
    let fd = file::open_existing(path, writable)?;
    let map = map_checked(fd.as_fd(), Kind::Listener, page_size(), false, &path.display())?;
    Ok((fd, Head::new(map)))
}

/// Removes the file of a listener that is gone; `Busy` if it is not.
pub fn remove_dead(domain: &Domain, name: &str, path: &Path) -> Result<()> {
    let (fd, head) = match open_listener(path, true) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let owner = head.header.id().owner();
    if domain.inner().is_alive(owner) {
        let text = format!(
            "listener '{name}': {} listens there already, and one can; close it first, or use another name",
            domain.inner().who(owner)
        );
        return Err(Error::new(ErrorKind::Busy, text));
    }
    if !remove_locked(fd.as_fd(), path)? {
        std::thread::yield_now();
    }
    Ok(())
}

/// Removes a listener's file, unless somebody else is about to or has. Of two that try, one removes it, and the other does
/// not remove what a successor has made there since.
fn remove_locked(fd: BorrowedFd<'_>, path: &Path) -> Result<bool> {
    let mine = lock::try_lock(fd, 0)? && !file::is_unlinked(fd);
    if mine {
        file::unlink(path);
    }
    Ok(mine)
}

impl ShmListening {
    fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.head.armed, count: None }
    }

    /// Whether somebody waits.
    fn look(&mut self) -> Result<bool> {
        if self.found.is_empty() {
            self.found.extend(self.sign.pending()?);
        }
        Ok(!self.found.is_empty())
    }

    /// Takes one in; `None`: it is gone, or gave up.
    fn take_in(&mut self, id: ObjectId) -> Result<Option<Link>> {
        let pending = file_of(&self.domain, id, &format!("{PENDING}{}", self.sign.id));
        let opened = open_pair(&pending, &file_of(&self.domain, id, SERVER));
        let (own, other) = match opened {
            // It gave up, or it died and somebody has removed a part of what it left.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                file::unlink(&pending);
                return Ok(None);
            }
            Err(e) if e.is_damage() => {
                file::unlink(&pending);
                return Err(e);
            }
            other => other?,
        };
        let (bell, mut waiter) = make_waiter(&self.domain)?;
        let end = End::new(self.domain.clone(), id, true, own, other, id.owner())?;
        end.watch(&mut waiter).inspect_err(|_| file::unlink(waiter.path()))?;
        let words = &end.own.head().link;
        words.reader.store(bell.0, Ordering::Relaxed);
        words.limit.store(self.options.max_message as u64, Ordering::Relaxed);
        let renamed = file::rename(&pending, &file_of(&self.domain, id, CLIENT));
        if !matches!(renamed, Ok(true)) {
            file::unlink(waiter.path());
            return renamed.map(|_| None);
        }
        words.since.store(coarse_millis(), Ordering::Relaxed);
        words.accepted.store(self.domain.inner().me().pack() + 1, Ordering::Release);
        end.farewell();
        end.link(&self.options, waiter).map(Some)
    }
}

/// Maps a channel's files as the accepting end: its own to write.
fn open_pair(client: &Path, server: &Path) -> Result<(RingMap, RingMap)> {
    let (theirs, ours) = (file::open_existing(client, false)?, file::open_existing(server, true)?);
    let own = RingMap::open_fd(ours.as_fd(), Kind::Channel, true, &server.display())?;
    Ok((own, RingMap::open_fd(theirs.as_fd(), Kind::Channel, false, &client.display())?))
}

impl Half for ShmListening {
    fn arm(&mut self) -> Result<bool> {
        if self.waiter.is_evented() {
            let armed = Arming { armed: &self.head.armed, count: None };
            if self.waiter.settle(armed)?.is_none() {
                return Ok(false);
            }
        } else {
            self.arming().arm(true);
        }
        let something = self.look()?;
        if something && !self.waiter.is_evented() {
            disarm(&self.head.armed);
        }
        Ok(something)
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.waiter.sleep(limit)?;
        awake(&mut self.waiter, Arming { armed: &self.head.armed, count: None });
        Ok(())
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.waiter.watch_descriptor())
    }

    fn is_watched(&self) -> bool {
        self.waiter.is_evented()
    }
}

impl Listening for ShmListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        while self.look()? {
            while let Some(id) = self.found.pop_front() {
                self.waiter.note_taken();
                if let Some(link) = self.take_in(id)? {
                    return Ok(Some(link));
                }
            }
        }
        Ok(None)
    }
}

impl Drop for ShmListening {
    fn drop(&mut self) {
        if !self.domain.forked() {
            self.sign.take_down();
            file::unlink(self.waiter.path());
        }
    }
}

/// What says that somebody listens: its file's name, which goes at once when the listener is closed, or its domain.
struct Sign {
    domain: Domain,
    id: ObjectId,
    fd: OwnedFd,
    path: PathBuf,
}

impl Sign {
    /// Who waits to be taken in.
    fn pending(&self) -> Result<Vec<ObjectId>> {
        let ending = format!("{PENDING}{}", self.id);
        let names = file::names(&self.domain.inner().directory(Directory::Channels))?;
        let mut ids: Vec<ObjectId> =
            names.iter().filter_map(|name| ObjectId::named(name.strip_suffix(&ending)?)).collect();
        ids.sort();
        Ok(ids)
    }

    /// Nobody finds it any more, and those who wait are told.
    fn take_down(&self) {
        if self.domain.forked() {
            return;
        }
        // If it was closed before, somebody else may have the name by now.
        let _ = remove_locked(self.fd.as_fd(), &self.path);
        // Whoever came before the name went is found here; whoever came later finds it gone.
        for id in self.pending().unwrap_or_default() {
            let path = file_of(&self.domain, id, &format!("{PENDING}{}", self.id));
            let Ok(head) = open_head(&path, Kind::Channel) else { continue };
            let bell = head.at::<RingHead>(0).link.reader.load(Ordering::Acquire);
            ring_at(&self.domain.inner().directory(Directory::Bells).join(ObjectId(bell).to_string()));
        }
    }
}

/// Whoever waits to be let in looks this often whether that goes on.
const LOOK: Duration = Duration::from_millis(100);

/// A channel that waits to be accepted.
struct Waiting {
    end: Option<End>,
    waiter: Option<Waiter>,
    pending: PathBuf,
    /// The file of who listens there.
    listener: (OwnedFd, ParticipantId),
}

pub fn connect(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
) -> Result<Link> {
    let (domain, name) = place(domain, address)?;
    connect_to(&domain, name, address, options, deadline, &|| Ok(()))
}

/// Connects to whoever listens under the name of a file, as long as it `goes_on`.
pub fn connect_to(
    domain: &Domain,
    name: &str,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
    goes_on: &dyn Fn() -> Result<()>,
) -> Result<Link> {
    arrive(domain);
    let inner = domain.inner();
    let path = inner.directory(Directory::Listeners).join(name);
    let absent = || {
        refused(format!(
            "channel '{address}': nobody listens there; start who shall, or look for it with `axonic ls`"
        ))
    };
    let (fd, head) = match open_listener(&path, false) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(absent()),
        other => other?,
    };
    if !inner.is_alive(head.header.id().owner()) {
        return Err(absent());
    }
    let waiting = Waiting::knock(domain, fd, &head, options)?;
    let bell = waiting.waiter.as_ref().map(|waiter| waiter.path().to_path_buf()).unwrap_or_default();
    let _held = hold(domain, Box::new(move || ring_at(&bell)));
    // Dropped before that: a closed domain is left only when it is gone.
    let mut waiting = waiting;
    let accepted = asking(deadline, |deadline| {
        loop {
            let accepted = waiting.wait(&deadline.within(LOOK), options)?;
            if accepted.is_some() || deadline.passed() {
                return Ok(accepted);
            }
            goes_on()?;
        }
    })?;
    accepted.ok_or_else(|| {
        Error::new(
            ErrorKind::Timeout,
            "who listens there did not accept; give it more time, or see what it does with `axonic doctor`",
        )
    })
}

impl Waiting {
    fn knock(
        domain: &Domain,
        file: OwnedFd,
        head: &ListenerHead,
        options: &ChannelOptions,
    ) -> Result<Waiting> {
        let inner = domain.inner();
        let (id, listener) = (inner.new_id(), head.header.id());
        let (own_fd, own) = make_file(domain, id, options.max_message)?;
        let (other_fd, other) = make_file(domain, id, 0)?;
        let (bell, mut waiter) = make_waiter(domain)?;
        let pending = file_of(domain, id, &format!("{PENDING}{listener}"));
        own.head().link.reader.store(bell.0, Ordering::Relaxed);
        own.head().link.listener.store(listener.0, Ordering::Relaxed);
        own.head().link.since.store(coarse_millis(), Ordering::Relaxed);
        let other =
            RingMap::open_fd(other_fd.as_fd(), Kind::Channel, false, &"the channel").and_then(|read| {
                drop(other);
                file::link_or_error(other_fd.as_fd(), &file_of(domain, id, SERVER))?;
                Ok(read)
            });
        let end = other.and_then(|other| End::new(domain.clone(), id, false, own, other, listener.owner()));
        let end = end.and_then(|end| {
            end.watch(&mut waiter)?;
            file::link_or_error(own_fd.as_fd(), &pending)?;
            Ok(end)
        });
        let end = end.inspect_err(|_| file::unlink(waiter.path()))?;
        // W1
        fence::heavy(true);
        if is_armed(&head.armed, 0).is_some() {
            end.ring(head.bell.load(Ordering::Acquire));
        }
        Ok(Waiting { end: Some(end), waiter: Some(waiter), pending, listener: (file, listener.owner()) })
    }

    fn wait(&mut self, deadline: &Deadline, options: &ChannelOptions) -> Result<Option<Link>> {
        loop {
            let (Some(end), Some(waiter)) = (&self.end, &mut self.waiter) else {
                unreachable!("until it is accepted")
            };
            let accepted = || end.other.head().link.accepted.load(Ordering::Acquire) != 0;
            arm(end, waiter, Arming { armed: &end.own.head().link.armed, count: None })?;
            // Looked at before what `accepted` says: whoever accepts and then ends has accepted.
            let is_there =
                end.domain.inner().is_alive(self.listener.1) && !file::is_unlinked(self.listener.0.as_fd());
            let over = !is_there || !end.domain.usable() || deadline.passed();
            if !accepted() && !over {
                waiter.sleep(deadline.remaining())?;
            }
            disarm(&end.own.head().link.armed);
            if accepted() {
                self.pending = PathBuf::new();
                let (Some(end), Some(waiter)) = (self.end.take(), self.waiter.take()) else {
                    unreachable!("as above")
                };
                return end.link(options, waiter).map(Some);
            }
            if !end.domain.usable() {
                return Err(crate::domain::closed("its domain"));
            }
            if !is_there {
                return Err(Error::new(
                    ErrorKind::Disconnected,
                    "who listened there ended before it accepted; connect anew",
                ));
            }
            if over {
                return Ok(None);
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiter.iter().for_each(|waiter| file::unlink(waiter.path()));
        if let Some(end) = &self.end {
            // Accepted this instant, it is a channel that ends at once.
            end.own.head().link.gone.store(1, Ordering::Release);
            end.own.head().closed.store(1, Ordering::Release);
            if matches!(file::remove(&self.pending), Ok(true)) {
                file::unlink(&file_of(&end.domain, end.id, SERVER));
            }
            end.farewell();
        }
    }
}

const _: () = assert!(CAPACITY.is_power_of_two());
