//! Listeners and channels, seen from outside.

use super::leftovers::{Named, named};
use super::listener::open_listener;
use crate::domain::layout::{Kind, ObjectId, ParticipantId};
use crate::domain::{Directory, Place};
use crate::error::Result;
use crate::mechanisms::record::{RingHead, open_head};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::file;
use crate::sys::mapping::Mapping;
use std::collections::BTreeMap;

/// A listener's file; times are milliseconds of the machine's clock.
pub struct SeenListener {
    /// The file's name: the listener's own, or that of a service's provider.
    pub file: String,
    pub id: ObjectId,
    pub since: u64,
    pub concurrency: u64,
    pub at_work: u64,
    pub calls: u64,
}

/// A channel.
pub struct SeenChannel {
    pub id: ObjectId,
    /// Whom it was opened to; zero where that is not known any more.
    pub listener: ObjectId,
    pub since: u64,
    pub client: SeenEnd,
    /// `None`: nobody has accepted it yet.
    pub server: Option<SeenEnd>,
}

/// One of its ends, as a sender.
pub struct SeenEnd {
    pub who: ParticipantId,
    /// Records it has written, and bytes of them that the other end has not released.
    pub records: u64,
    pub pending: u64,
    pub blocked_since: u64,
    /// It sends no more, or is gone with its file.
    pub closed: bool,
}

fn read(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

pub fn listeners(place: &Place) -> Result<Vec<SeenListener>> {
    let directory = place.directory(Directory::Listeners);
    let mut names = file::names(&directory)?;
    names.sort();
    // A damaged one is named by doctor.
    let seen = names.into_iter().filter_map(|file| {
        let (_, head) = open_listener(&directory.join(&file), false).ok()?;
        // In this order: what is answered was taken before.
        let answered = read(&head.answered);
        let calls = read(&head.calls);
        Some(SeenListener {
            id: head.header.id(),
            since: read(&head.since),
            concurrency: read(&head.concurrency),
            at_work: calls.saturating_sub(answered),
            calls,
            file,
        })
    });
    Ok(seen.collect())
}

pub fn channels(place: &Place) -> Result<Vec<SeenChannel>> {
    let directory = place.directory(Directory::Channels);
    let mut files: BTreeMap<ObjectId, [Option<Mapping>; 2]> = BTreeMap::new();
    for name in file::names(&directory)? {
        let Some((id, what)) = named(&name) else { continue };
        let map = open_head(&directory.join(&name), Kind::Channel).ok();
        files.entry(id).or_default()[usize::from(what == Named::Server)] = map;
    }
    Ok(files.iter().map(|(id, maps)| channel(*id, maps)).collect())
}

fn channel(id: ObjectId, maps: &[Option<Mapping>; 2]) -> SeenChannel {
    let [client, server] = maps.each_ref().map(|map| map.as_ref().map(|map| map.at::<RingHead>(0)));
    let accepted = server.and_then(|head| read(&head.link.accepted).checked_sub(1));
    SeenChannel {
        id,
        listener: ObjectId(client.map_or(0, |head| read(&head.link.listener))),
        since: client.or(server).map_or(0, |head| read(&head.link.since)),
        client: end(id.owner(), client, server),
        server: accepted.map(|who| end(ParticipantId::unpack(who), server, client)),
    }
}

fn end(who: ParticipantId, own: Option<&RingHead>, other: Option<&RingHead>) -> SeenEnd {
    let released = other.map(|head| read(&head.link.position));
    let written = own.map(|head| read(&head.head));
    SeenEnd {
        who,
        records: own.map_or(0, |head| read(&head.seq)),
        // What is released is read first: it never seems to be more than was written.
        pending: released.zip(written).map_or(0, |(released, written)| written.saturating_sub(released)),
        blocked_since: own.map_or(0, |head| read(&head.blocked_since)),
        closed: own.is_none_or(|head| read(&head.closed) != 0),
    }
}
