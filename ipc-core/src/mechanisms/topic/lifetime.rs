//! What stays after its maker is gone, and who takes it away.
//!
//! A ring stays while its publisher lives, and then while some live subscriber still has to read
//! from it (or for good with `retain`). A subscriber's page and all bells go with their owner.

use super::cursor::{MAX_RINGS, NOWHERE, SubscriberHead};
use super::Overflow;
use crate::domain::catalogue::Listed;
use crate::domain::layout::{Kind, ObjectId, map_checked};
use crate::domain::{Directory, Domain, ParticipantId};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{MAX_EXPECTED, Reader, RingHead, RingMap, open_head};
use crate::name::Pattern;
use crate::sys::atomic::Ordering;
use crate::sys::file;
use crate::sys::mapping::Mapping;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Finished publishers of one topic whose rings may wait for a reader.
const MAX_ORPHANS: usize = 64;

/// Liveness, asked once per participant and pass.
pub(crate) struct Living<'a> {
    domain: &'a Domain,
    known: HashMap<ParticipantId, bool>,
}

impl<'a> Living<'a> {
    pub fn new(domain: &'a Domain) -> Living<'a> {
        Living { domain, known: HashMap::new() }
    }

    pub fn is_alive(&mut self, id: ParticipantId) -> bool {
        *self.known.entry(id).or_insert_with(|| self.domain.inner().is_alive(id))
    }
}

/// The first object of a participation sweeps up after the dead.
pub(super) fn sweep_once(domain: &Domain) {
    if domain.inner().first_object() {
        sweep(domain);
    }
}

/// Removes everything whose maker is dead and that nobody is owed. Returns the paths removed.
pub(crate) fn sweep(domain: &Domain) -> Vec<PathBuf> {
    let inner = domain.inner();
    let left = leftovers(domain);
    for path in &left {
        let id = path.file_name().and_then(|name| ObjectId::parse(&name.to_string_lossy()));
        match id {
            Some(id) if path.starts_with(inner.directory(Directory::Publishers)) => remove_ring(domain, id),
            _ => file::unlink(path),
        }
    }
    if !left.is_empty() {
        inner.participants.board().subscribers.raise();
    }
    for entry in inner.participants.list(Some(inner.me())) {
        if !entry.alive {
            inner.participants.bury(entry.id);
        }
    }
    left
}

/// What [`sweep`] would remove.
pub(crate) fn leftovers(domain: &Domain) -> Vec<PathBuf> {
    let inner = domain.inner();
    let mut living = Living::new(domain);
    let mut left = Vec::new();
    for kind in [Directory::Subscribers, Directory::Bells] {
        let directory = inner.directory(kind);
        let names = file::names(&directory).into_iter();
        left.extend(names.filter(|n| ObjectId::parse(n).is_some_and(|id| !living.is_alive(id.owner()))).map(|n| directory.join(n)));
    }
    let rings: Vec<Arc<Listed>> = inner.publishers().scan().to_vec();
    let finished = rings.iter().filter(|ring| !living.is_alive(ring.id.owner())).filter(|ring| !is_kept(domain, ring));
    left.extend(finished.map(|ring| ring.path.clone()));
    let (segments, publishers) = (inner.directory(Directory::Segments), inner.directory(Directory::Publishers));
    for name in file::names(&segments) {
        let orphan = |id: ObjectId| !living.is_alive(id.owner()) && !publishers.join(id.to_string()).exists();
        if ObjectId::parse(&name).is_some_and(orphan) {
            left.push(segments.join(name));
        }
    }
    left
}

/// Whether a finished ring is retained, or owed to somebody alive.
fn is_kept(domain: &Domain, ring: &Listed) -> bool {
    match RingMap::open(&ring.path, Kind::Publisher) {
        Ok(map) => map.head().retain.load(Ordering::Relaxed) != 0 || is_owed(domain, ring.id, &ring.name, map),
        Err(_) => false,
    }
}

/// The ids of the subscribers of a topic.
pub(super) fn subscribers_of(domain: &Domain, topic: &str) -> Vec<ObjectId> {
    let inner = domain.inner();
    let mut catalogue = inner.subscribers();
    let (_, entries) = catalogue.refresh(&inner.participants.board().subscribers);
    entries.iter().filter(|l| Pattern::new(&l.name).is_ok_and(|p| p.matches(topic))).map(|l| l.id).collect()
}

/// Removes the ring of a finished publisher unless it is retained or somebody alive is owed what it holds.
pub(super) fn collect_ring(domain: &Domain, id: ObjectId, topic: &str) {
    let path = domain.inner().directory(Directory::Publishers).join(id.to_string());
    if !is_kept(domain, &Listed { id, name: topic.into(), path }) {
        remove_ring(domain, id);
    }
}

/// Removes the rings of finished publishers that only a leaving subscriber of `pattern` was owed.
pub(super) fn collect_finished(domain: &Domain, pattern: &Pattern) {
    let inner = domain.inner();
    let rings: Vec<Arc<Listed>> = {
        let mut catalogue = inner.publishers();
        let (_, entries) = catalogue.refresh(&inner.participants.board().publishers);
        entries.iter().filter(|l| pattern.matches(&l.name)).cloned().collect()
    };
    let mut living = Living::new(domain);
    for ring in rings {
        if is_finished(&ring, &mut living) {
            collect_ring(domain, ring.id, &ring.name);
        }
    }
}

/// Whether a ring's publisher said goodbye or died.
pub(crate) fn is_finished(ring: &Listed, living: &mut Living<'_>) -> bool {
    !living.is_alive(ring.id.owner())
        || open_head(&ring.path, Kind::Publisher).is_ok_and(|head| head.at::<RingHead>(0).closed.load(Ordering::Acquire) != 0)
}

/// Removes a ring's files whatever is in them.
pub(crate) fn remove_ring(domain: &Domain, id: ObjectId) {
    let inner = domain.inner();
    file::unlink(&inner.directory(Directory::Publishers).join(id.to_string()));
    file::unlink(&inner.directory(Directory::Bells).join(id.to_string()));
    let segments = inner.directory(Directory::Segments);
    for name in file::names(&segments) {
        if ObjectId::parse(&name) == Some(id) {
            file::unlink(&segments.join(name));
        }
    }
}

/// Whether a live subscriber has yet to read something from this ring.
fn is_owed(domain: &Domain, id: ObjectId, topic: &str, map: RingMap) -> bool {
    let inner = domain.inner();
    let mut living = Living::new(domain);
    let subscribers = inner.directory(Directory::Subscribers);
    let map = Arc::new(map);
    subscribers_of(domain, topic).into_iter().any(|subscriber| {
        living.is_alive(subscriber.owner()) && owes(&subscribers.join(subscriber.to_string()), subscriber, id, &map)
    })
}

fn owes(path: &Path, subscriber: ObjectId, ring: ObjectId, map: &Arc<RingMap>) -> bool {
    let Ok(page) = open_page(path) else { return false };
    let head: &SubscriberHead = page.at(0);
    if head.closed.load(Ordering::Acquire) != 0 {
        return false;
    }
    let high = (head.cursors_high.load(Ordering::Acquire) as usize).min(MAX_RINGS);
    if let Some(cursor) = head.cursors[..high].iter().find(|c| c.ring.load(Ordering::Acquire) == ring.0) {
        let position = cursor.position.load(Ordering::Acquire);
        return position != NOWHERE && !is_at_end(map, position & !63);
    }
    let expected = (map.head().expected_count.load(Ordering::Acquire) as usize).min(MAX_EXPECTED);
    let was_expected = map.head().expected[..expected].iter().any(|e| e.load(Ordering::Relaxed) == subscriber.0);
    // It was here first and has not come round yet; it is owed everything, if there is anything.
    was_expected && map.head().seq.load(Ordering::Acquire) > 0
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

/// Before one more publisher: finished ones of the topic must not pile up behind a reader that never
/// reads. Rings that may drop the oldest are dropped, oldest first; others are refused.
pub(super) fn check_orphans(domain: &Domain, topic: &str) -> Result<()> {
    let inner = domain.inner();
    let rings: Vec<Arc<Listed>> = {
        let mut catalogue = inner.publishers();
        let (_, entries) = catalogue.refresh(&inner.participants.board().publishers);
        entries.iter().filter(|l| l.name == topic).cloned().collect()
    };
    if rings.len() <= MAX_ORPHANS {
        return Ok(());
    }
    let mut living = Living::new(domain);
    let orphans: Vec<Arc<Listed>> = rings.into_iter().filter(|ring| is_finished(ring, &mut living)).collect();
    let excess = orphans.len().saturating_sub(MAX_ORPHANS - 1);
    for ring in orphans.into_iter().take(excess) {
        let Ok(map) = open_head(&ring.path, Kind::Publisher) else { continue };
        let head: &RingHead = map.at(0);
        let may_drop = Overflow::from_number(head.overflow.load(Ordering::Relaxed)) == Overflow::DropOldest;
        if !may_drop || head.retain.load(Ordering::Relaxed) != 0 {
            let text = format!(
                "topic '{topic}': {MAX_ORPHANS} finished publishers still hold messages (retained, or for a subscriber that does not read); `axonic stat` names it, `axonic unlink topic {topic}` drops them"
            );
            return Err(Error::new(ErrorKind::LimitReached, text));
        }
        remove_ring(domain, ring.id);
    }
    Ok(())
}
