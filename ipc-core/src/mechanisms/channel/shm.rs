//! `shm://domain/name`: a channel of two rings in shared memory, one each way.
//!
//! Whoever connects makes both files, so that it and not the listener pays for them: `<id>-c`, which it writes, and
//! `<id>-s`, which the listener will. Each end maps its own file to write and the other's to read; as the reader of the
//! other's ring it keeps its cursor, and the word that says that it sleeps, in its own ([`LinkWords`]).
//!
//! - A channel that nobody has accepted yet has the name `<id>-for-<listener>` in place of `<id>-c`. Renaming it is
//!   accepting it: whoever gave up meanwhile has removed that name, and one of the two finds it gone.
//! - **W1** comer: link the file, fence, look whether the listener is armed, ring — listener: arm, fence, look through the
//!   names. At least one sees the other.
//! - Who is gone is told by the kernel, as everywhere; who closed its end says so in its own file, and rings.

pub(crate) mod leftovers;
mod listener;
pub(crate) mod look;
mod receiving;
mod sending;
mod sleep;

use super::address::Address;
use super::link::Half;
use super::{Can, ChannelOptions, Link, Peer, Wake};
use crate::domain::layout::{Kind, ObjectId, ParticipantId};
use crate::domain::participants::Death;
use crate::domain::waiter::{Ringer, Waiter, is_armed};
use crate::domain::{Directory, Domain};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::RingMap;
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::descriptor::ring_at;
use crate::sys::file;
pub use listener::{Gauge, connect, connect_to, listen, listen_as};
use receiving::Receiving;
use sending::Sending;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of each ring.
const CAPACITY: usize = 256 << 10;

/// Suffixes of a channel's files: written by whoever connected, by whoever accepted, and not accepted yet.
const CLIENT: &str = "-c";
const SERVER: &str = "-s";
const PENDING: &str = "-for-";

/// In the shape of a record: it is a part of a message, and more follow.
const FLAG_MORE: u8 = 8;

const CAN: Can = Can {
    reliable: true,
    ordered: true,
    messages: true,
    back_pressure: true,
    end: true,
    half_close: true,
    descriptors: false,
    credentials: true,
    max_message: None,
};

/// What both halves of an end share.
pub struct End {
    domain: Domain,
    /// Of the channel: the same at both ends.
    id: ObjectId,
    server: bool,
    own: Arc<RingMap>,
    other: Arc<RingMap>,
    peer: ParticipantId,
    death: Option<Arc<Death>>,
    /// Neither process needs a fence for each message.
    light: bool,
}

impl End {
    fn new(
        domain: Domain,
        id: ObjectId,
        server: bool,
        own: RingMap,
        other: RingMap,
        peer: ParticipantId,
    ) -> Result<End> {
        let inner = domain.inner();
        let me = inner.me();
        let death = if peer == me { None } else { inner.participants.death_of(peer, me)? };
        let light = inner.participants.is_registered(me) && !inner.participants.lacks_barrier(peer);
        Ok(End { id, server, own: Arc::new(own), other: Arc::new(other), peer, death, light, domain })
    }

    /// Watches the life of the other end.
    fn watch(&self, waiter: &mut Waiter) -> Result<()> {
        let inner = self.domain.inner();
        waiter.registered_peers |= inner.participants.is_registered(inner.me());
        if self.peer == inner.me() {
            return Ok(());
        }
        waiter.watch(self.peer, self.death.clone(), inner.participants.is_registered(self.peer))
    }

    fn peer_is_there(&self) -> bool {
        !self.death.as_ref().is_some_and(|death| death.came()) && self.domain.inner().is_alive(self.peer)
    }

    fn bells(&self) -> PathBuf {
        self.domain.inner().directory(Directory::Bells)
    }

    /// Rings whoever has the bell `id`.
    fn ring(&self, id: u64) {
        if id != 0 {
            ring_at(&self.bells().join(ObjectId(id).to_string()));
        }
    }

    /// Rings both halves of the other end, in any case.
    fn farewell(&self) {
        self.ring(self.other.head().link.reader.load(Ordering::Acquire));
        self.ring(self.other.head().writer.load(Ordering::Acquire));
    }

    /// It sends and reads no more, and the other end is told.
    fn end(&self) {
        if !self.domain.forked() {
            let head = self.own.head();
            head.link.gone.store(1, Ordering::Release);
            head.closed.store(1, Ordering::Release);
            self.farewell();
        }
    }

    fn link(self, options: &ChannelOptions, waiter: Waiter) -> Result<Link> {
        let end = Arc::new(self);
        let inner = end.domain.inner();
        let entry = inner.entry_of(end.peer);
        let peer = Peer {
            pid: entry.as_ref().map(|entry| entry.pid),
            uid: None,
            gid: None,
            address: entry.map(|entry| entry.label),
        };
        let most = end.other.head().link.limit.load(Ordering::Acquire) as usize;
        let bell = waiter.path().to_path_buf();
        // A closed channel that is still around has neither files nor memory.
        let (mine, bells) = (Arc::downgrade(&end), inner.directory(Directory::Bells));
        let wake: Wake = Box::new(move || {
            ring_at(&bell);
            if let Some(mine) = mine.upgrade() {
                mine.end();
                let writer = ObjectId(mine.own.head().writer.load(Ordering::Acquire));
                ring_at(&bells.join(writer.to_string()));
            }
        });
        let mut receiving = Receiving::new(end.clone(), options.max_message, waiter);
        // That the other end died may have been told while this one waited to be accepted, and is not told twice.
        receiving.tidy()?;
        Ok(Link {
            inbound: Box::new(receiving),
            outbound: Box::new(Sending::new(end)),
            can: CAN,
            peer_limit: Some(most),
            peer,
            wake,
        })
    }
}

impl Drop for End {
    /// Both halves are gone: the files go too, those of an end that died without its leave.
    fn drop(&mut self) {
        let accepted = &self.own.head().link.accepted;
        // What was not accepted in the end is the other's to remove.
        if self.domain.forked() || self.server && accepted.load(Ordering::Relaxed) == 0 {
            return;
        }
        let path = |suffix: &str| {
            self.domain.inner().directory(Directory::Channels).join(format!("{}{suffix}", self.id))
        };
        let (own, others) = if self.server { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        file::unlink(&path(own));
        if !self.peer_is_there() {
            file::unlink(&path(others));
        }
    }
}

/// The bell of one half of the other end, opened when it is rung for the first time.
#[derive(Default)]
struct Bell {
    ringer: Option<Ringer>,
    id: u64,
    /// The arming it was rung for last: once is enough.
    last_rung: u64,
}

impl Bell {
    /// W1: rings if the other half sleeps; called after the commit and its fence.
    #[inline(always)]
    fn ring_if_armed(&mut self, end: &End, armed: &AtomicU64, id: &AtomicU64) {
        if let Some(value) = is_armed(armed, self.last_rung) {
            self.last_rung = value;
            self.ring(end, id.load(Ordering::Acquire));
        }
    }

    #[cold]
    #[inline(never)]
    fn ring(&mut self, end: &End, id: u64) {
        if self.id != id {
            self.ringer = Ringer::open(&end.bells(), ObjectId(id)).ok();
            self.id = id;
        }
        match &self.ringer {
            Some(ringer) => ringer.ring(),
            // There is no descriptor left to keep it open.
            None => end.ring(id),
        }
    }
}

/// The names of the listener's file and of the domain in an address.
fn place<'a>(domain: &Domain, address: &'a Address) -> Result<(Domain, &'a str)> {
    let (there, name) =
        address.place().split_once('/').ok_or_else(|| address.refuse("it is shm://domain/name"))?;
    check_name("listener", name)?;
    if there == domain.name() {
        return Ok((domain.clone(), name));
    }
    let options = crate::domain::DomainOptions { name: Some(there.into()), ..domain.options().clone() };
    Ok((Domain::open_with(options)?, name))
}

/// Makes one of a channel's two files, not named yet.
fn make_file(domain: &Domain, id: ObjectId, limit: usize) -> Result<(std::os::fd::OwnedFd, RingMap)> {
    let inner = domain.inner();
    let (fd, map) = RingMap::create(inner, Directory::Channels, CAPACITY)?;
    map.head().header.write(Kind::Channel, RingMap::data_offset() + CAPACITY, inner.me(), id);
    map.head().link.limit.store(limit as u64, Ordering::Relaxed);
    Ok((fd, map))
}

fn file_of(domain: &Domain, id: ObjectId, suffix: &str) -> PathBuf {
    domain.inner().directory(Directory::Channels).join(format!("{id}{suffix}"))
}

fn make_waiter(domain: &Domain) -> Result<(ObjectId, Waiter)> {
    let inner = domain.inner();
    let id = inner.new_id();
    Ok((id, Waiter::new(&inner.directory(Directory::Bells), id, inner.access())?))
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::NotFound, what)
}

fn arrive(domain: &Domain) {
    lifetime::arrive(domain);
}
