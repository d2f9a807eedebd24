//! What stays after its maker is gone, and who takes it away.
//!
//! A ring stays while its publisher lives, and then while some live subscriber still has to read
//! from it (or for good with `retain`); `orphans` sees to it that they are not too many. A subscriber's page
//! and all bells go with their owner.

use super::cursor::{NOWHERE, SubscriberHead};
use super::orphans::{PASSING, is_remnant};
use super::steps;
use crate::domain::catalogue::{Catalogue, Listed};
use crate::domain::layout::{Kind, ObjectId, map_checked};
use crate::domain::participants::Participants;
use crate::domain::{Directory, Domain, ParticipantId, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::shm::leftovers as channels;
use crate::mechanisms::record::{Reader, RingHead, RingMap, on_grain, open_head};
use crate::mechanisms::{lock, queue, ring};
use crate::name::Pattern;
use crate::sys::atomic::Ordering;
use crate::sys::file;
use crate::sys::mapping::Mapping;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::info;

/// Who lives and who subscribes, found out once per pass. By a participant, or by an onlooker who takes no part.
pub(crate) struct Living<'a> {
    place: &'a Place,
    table: &'a Participants,
    me: Option<ParticipantId>,
    known: HashMap<ParticipantId, bool>,
    subscribers: Option<Vec<Arc<Listed>>>,
}

impl<'a> Living<'a> {
    pub fn new(domain: &'a Domain) -> Living<'a> {
        let inner = domain.inner();
        Living { me: Some(inner.me()), ..Living::outside(inner.place(), &inner.participants) }
    }

    pub fn outside(place: &'a Place, table: &'a Participants) -> Living<'a> {
        Living { place, table, me: None, known: HashMap::new(), subscribers: None }
    }

    pub fn is_alive(&mut self, id: ParticipantId) -> bool {
        *self.known.entry(id).or_insert_with(|| self.table.is_alive(id, self.me))
    }

    fn subscribers(&mut self) -> Result<&[Arc<Listed>]> {
        if self.subscribers.is_none() {
            self.subscribers =
                Some(Catalogue::new(self.place.directory(Directory::Subscribers)).scan()?.to_vec());
        }
        Ok(self.subscribers.as_deref().unwrap_or_default())
    }
}

/// Before an object is made: the first one of a participation sweeps up after the dead.
pub(crate) fn arrive(domain: &Domain) {
    domain.inner().arrive(collect_last, || sweep(domain).map(drop));
}

/// Removes everything whose maker is gone and that nobody is owed. Returns the paths removed.
pub(crate) fn sweep(domain: &Domain) -> Result<Vec<PathBuf>> {
    let inner = domain.inner();
    let left = leftovers(&mut Living::new(domain))?;
    let [publishers, rings, locks, queues, listeners] =
        [Directory::Publishers, Directory::Rings, Directory::Locks, Directory::Queues, Directory::Listeners]
            .map(|kind| inner.directory(kind));
    for path in &left {
        match id_of(path) {
            Some(id) if *path == publishers.join(id.to_string()) => remove_ring(inner.place(), id),
            _ if path.parent() == Some(&rings) => {
                ring::remove_if_spent(path);
            }
            _ if path.parent() == Some(&locks) => {
                lock::remove_if_spent(domain, &path.file_name().unwrap_or_default().to_string_lossy());
            }
            _ if path.parent() == Some(&queues) => {
                queue::look::remove_if_spent(domain, path);
            }
            _ if path.parent() == Some(&listeners) => channels::remove_listener(domain, path),
            _ => file::unlink(path),
        }
    }
    if !left.is_empty() {
        inner.participants.board().subscribers.raise();
        inner.participants.board().publishers.raise();
        inner.participants.board().services.raise();
        info!("domain '{}': removed {} files of participants that died", domain.name(), left.len());
    }
    for entry in inner.participants.list(Some(inner.me())) {
        if !entry.alive {
            let died = inner.participants.bury(entry.id, inner.me());
            died.iter().for_each(|died| info!("domain '{}': {died}", domain.name()));
        }
    }
    Ok(left)
}

/// What [`sweep`] would remove.
pub(crate) fn leftovers(living: &mut Living<'_>) -> Result<Vec<PathBuf>> {
    let place = living.place;
    let mut left = Vec::new();
    for kind in [Directory::Subscribers, Directory::Bells] {
        let directory = place.directory(kind);
        let names = file::names(&directory)?.into_iter();
        left.extend(
            names
                .filter(|n| ObjectId::named(n).is_some_and(|id| !living.is_alive(id.owner())))
                .map(|n| directory.join(n)),
        );
    }
    let publishers = place.directory(Directory::Publishers);
    let names = file::names(&publishers)?;
    // Whoever was about to drop a ring's messages died, or finds the name gone and lets it be.
    left.extend(names.iter().filter(|name| name.ends_with(PASSING)).map(|name| publishers.join(name)));
    for id in names.iter().filter_map(|name| ObjectId::named(name)) {
        let path = publishers.join(id.to_string());
        if is_finished(&path, id, living) && !is_kept(living, id, &path) {
            left.push(path);
        }
    }
    let segments = place.directory(Directory::Segments);
    for name in file::names(&segments)? {
        let mut is_left = |id: ObjectId| {
            let ring = publishers.join(id.to_string());
            !living.is_alive(id.owner()) && (!file::exists(&ring) || is_remnant(&ring))
        };
        if ObjectId::of_segment(&name).is_some_and(&mut is_left) {
            left.push(segments.join(name));
        }
    }
    left.extend(ring::spent(&place.directory(Directory::Rings))?);
    left.extend(lock::spent(place, |id| living.is_alive(id))?);
    left.extend(queue::look::spent(place, |id| living.is_alive(id))?);
    left.extend(channels::spent(place, |id| living.is_alive(id))?);
    Ok(left)
}

/// Nobody is left in the domain, so nobody is owed anything: all goes but what is kept for those to come.
fn collect_last(place: &Place) {
    let names = |kind| file::names(&place.directory(kind)).unwrap_or_default();
    for kind in [Directory::Subscribers, Directory::Bells] {
        names(kind)
            .iter()
            .filter(|name| ObjectId::named(name).is_some())
            .for_each(|name| file::unlink(&place.directory(kind).join(name)));
    }
    let publishers = place.directory(Directory::Publishers);
    for id in names(Directory::Publishers).iter().filter_map(|name| ObjectId::named(name)) {
        let kept = match RingMap::open(&publishers.join(id.to_string()), Kind::Publisher) {
            Ok(map) => is_retained(&Arc::new(map)),
            Err(e) => is_unknown(&e),
        };
        if !kept {
            remove_ring(place, id);
        }
    }
    let passing = names(Directory::Publishers).into_iter().filter(|name| name.ends_with(PASSING));
    passing.for_each(|name| file::unlink(&publishers.join(name)));
    for name in names(Directory::Segments) {
        if ObjectId::of_segment(&name).is_some_and(|id| !file::exists(&publishers.join(id.to_string()))) {
            file::unlink(&place.directory(Directory::Segments).join(name));
        }
    }
    let rings = ring::spent(&place.directory(Directory::Rings)).unwrap_or_default();
    for ring in rings {
        ring::remove_if_spent(&ring);
    }
    lock::collect(place);
    queue::look::collect(place);
    channels::collect(place);
}

pub(crate) fn id_of(path: &Path) -> Option<ObjectId> {
    ObjectId::parse(&path.file_name()?.to_string_lossy())
}

/// Whether an error leaves open what a file holds: it may be owed to somebody and stays. What is gone or
/// damaged can be read by nobody.
fn is_unknown(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt)
}

/// Whether a finished ring is retained, or owed to somebody alive.
fn is_kept(living: &mut Living<'_>, id: ObjectId, path: &Path) -> bool {
    match RingMap::open(path, Kind::Publisher) {
        Ok(map) => is_map_kept(living, id, &Arc::new(map)),
        // Gone, or a remnant: who has a cursor holds what it reads and needs no file.
        Err(e) if e.kind() == ErrorKind::NotFound => match open_head(path, Kind::Publisher) {
            Ok(head) => is_owed(living, id, head.at(0), &|_| true),
            Err(e) => is_unknown(&e),
        },
        Err(e) => is_unknown(&e),
    }
}

fn is_map_kept(living: &mut Living<'_>, id: ObjectId, map: &Arc<RingMap>) -> bool {
    is_retained(map)
        || has_records(map) && is_owed(living, id, map.head(), &|position| is_at_end(map, position))
}

fn is_retained(map: &Arc<RingMap>) -> bool {
    map.head().retain.load(Ordering::Relaxed) != 0 && has_records(map)
}

/// Whether anything was ever published. A publisher that died between its first record and its count of it
/// has published it.
fn has_records(map: &Arc<RingMap>) -> bool {
    map.head().seq.load(Ordering::Acquire) > 0 || !Reader::resume(map.clone(), 0).drained()
}

/// The ids of the subscribers of a topic.
pub(super) fn subscribers_of(domain: &Domain, topic: &str) -> Result<Vec<ObjectId>> {
    let inner = domain.inner();
    let mut catalogue = inner.subscribers();
    let (_, entries) = catalogue.refresh(&inner.participants.board().subscribers)?;
    Ok(entries
        .iter()
        .filter(|l| Pattern::new(&l.name).is_ok_and(|p| p.matches(topic)))
        .map(|l| l.id)
        .collect())
}

/// Removes the ring of a finished publisher unless it is retained or somebody alive is owed what it holds.
/// Whether it is gone.
pub(super) fn collect_ring(domain: &Domain, id: ObjectId) -> bool {
    let path = domain.inner().directory(Directory::Publishers).join(id.to_string());
    let gone = !is_kept(&mut Living::new(domain), id, &path);
    if gone {
        remove_ring(domain.inner().place(), id);
    }
    gone
}

/// The same for the publisher itself, which has its ring mapped: a lack of descriptors must not make it leave
/// an empty one.
pub(super) fn collect_own(domain: &Domain, id: ObjectId, map: &Arc<RingMap>) {
    if !is_map_kept(&mut Living::new(domain), id, map) {
        remove_ring(domain.inner().place(), id);
    }
}

/// The publishers a pattern matches.
pub(super) fn publishers_of(domain: &Domain, pattern: &Pattern) -> Result<Vec<Arc<Listed>>> {
    let inner = domain.inner();
    let mut catalogue = inner.publishers();
    let (_, entries) = catalogue.refresh(&inner.participants.board().publishers)?;
    Ok(entries.iter().filter(|l| pattern.matches(&l.name)).cloned().collect())
}

/// Removes the rings of finished publishers that only a leaving subscriber of `pattern` was owed.
pub(super) fn collect_finished(domain: &Domain, pattern: &Pattern) {
    // What cannot be looked at now is swept by whoever comes next.
    let Ok(rings) = publishers_of(domain, pattern) else { return };
    let mut living = Living::new(domain);
    for ring in rings {
        if is_finished(&ring.path, ring.id, &mut living) {
            collect_ring(domain, ring.id);
        }
    }
}

/// Whether a ring's publisher said goodbye or died.
pub(crate) fn is_finished(path: &Path, id: ObjectId, living: &mut Living<'_>) -> bool {
    !living.is_alive(id.owner())
        || open_head(path, Kind::Publisher)
            .is_ok_and(|head| head.at::<RingHead>(0).closed.load(Ordering::Acquire) != 0)
}

/// Removes a ring's files whatever is in them.
pub(crate) fn remove_ring(place: &Place, id: ObjectId) {
    file::unlink(&place.directory(Directory::Publishers).join(id.to_string()));
    remove_beside(place, id);
}

/// Removes what belongs to a ring whose publisher is gone.
pub(super) fn remove_beside(place: &Place, id: ObjectId) {
    file::unlink(&place.directory(Directory::Bells).join(id.to_string()));
    let segments = place.directory(Directory::Segments);
    for name in file::names(&segments).unwrap_or_default() {
        if ObjectId::of_segment(&name) == Some(id) {
            file::unlink(&segments.join(name));
        }
    }
}

/// Whether a live subscriber has yet to read something from this ring. What cannot be found out counts as owed.
fn is_owed(living: &mut Living<'_>, id: ObjectId, ring: &RingHead, is_at_end: &dyn Fn(u64) -> bool) -> bool {
    let topic = ring.name.read();
    let Ok(subscribers) = living.subscribers() else { return true };
    let matching = |listed: &&Arc<Listed>| Pattern::new(&listed.name).is_ok_and(|p| p.matches(&topic));
    let subscribers: Vec<Arc<Listed>> = subscribers.iter().filter(matching).cloned().collect();
    subscribers.iter().any(|subscriber| {
        living.is_alive(subscriber.id.owner()) && owes(&subscriber.path, subscriber.id, (id, ring), is_at_end)
    })
}

fn owes(
    path: &Path,
    subscriber: ObjectId,
    (id, ring): (ObjectId, &RingHead),
    is_at_end: &dyn Fn(u64) -> bool,
) -> bool {
    let page = match open_page(path) {
        Ok(page) => page,
        Err(e) => return is_unknown(&e),
    };
    let head: &SubscriberHead = page.at(0);
    head.closed.load(Ordering::Acquire) == 0
        && steps::is_owed(
            (&head.cursors, &head.cursors_high, &head.seen),
            (id.0, ring),
            subscriber.0,
            |position| position == NOWHERE || is_at_end(on_grain(position)),
        )
}

fn is_at_end(map: &Arc<RingMap>, position: u64) -> bool {
    let end = map.head().head.load(Ordering::Acquire);
    position >= end && Reader::resume(map.clone(), position).drained()
}

/// Maps a subscriber's page to look at.
pub(crate) fn open_page(path: &Path) -> Result<Mapping> {
    let fd = file::open_existing(path, false)?;
    map_checked(fd.as_fd(), Kind::Subscriber, super::cursor::file_size(), false, &path.display())
}
