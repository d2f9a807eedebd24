//! Seeing a domain from outside: nobody in it has to cooperate.

mod channels;
mod doctor;
mod info;
mod journals;
mod locks;
mod queues;

use crate::domain::layout::{Kind, ObjectId, check_file};
use crate::domain::participants::{ParticipantEntry, Participants};
use crate::domain::{Directory, DomainOptions, ParticipantId, Place, find};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{MAX_EXPECTED, RingHead, RingMap, open_head};
use crate::mechanisms::ring::{CURSOR_SUFFIX, ring_position};
use crate::mechanisms::topic::lifetime::open_page;
use crate::mechanisms::topic::{NOWHERE, Overflow, SubscriberHead};
use crate::name::Pattern;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{find_difference, unix_of};
use crate::sys::mapping::page_size;
use crate::sys::{file, process};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

pub use doctor::{Finding, Severity, doctor, doctor_runtime_dir};
pub use info::*;
pub use journals::{domains_on_disk, queues_on_disk};

fn read(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Looks at a domain without taking part in it. `NotFound` if there is none.
pub fn snapshot(options: &DomainOptions) -> Result<Snapshot> {
    let place = find(options)?;
    find_difference()?;
    let table = open_table(&place)?;
    let participants: Vec<ParticipantInfo> = table.list(None).iter().map(describe_participant).collect();
    let mut living = HashMap::new();
    let mut is_alive = |id: ParticipantId| *living.entry(id).or_insert_with(|| table.is_alive(id, None));
    let mut publishers =
        list(&place, Directory::Publishers, |path, id| describe_publisher(path, id, is_alive(id.owner())))?;
    let topics =
        publishers.iter().filter_map(|p| Some((p.id, (open_ring(&place, p.id)?, p.orphan)))).collect();
    let mut pinned = Pinned::new();
    let subscribers = list(&place, Directory::Subscribers, |path, id| {
        describe_subscriber(path, id, is_alive(id.owner()), &topics, (&place, &mut pinned))
    })?;
    for publisher in &mut publishers {
        let slots = pinned.remove(&publisher.id).unwrap_or_default();
        publisher.pinned = slots.len();
        publisher.pinned_bytes = slots.into_values().fold(0, u64::saturating_add);
    }
    let mut bytes = file::allocated(&place.participants());
    for kind in Directory::ALL {
        let directory = place.directory(kind);
        bytes +=
            file::names(&directory)?.iter().map(|name| file::allocated(&directory.join(name))).sum::<u64>();
    }
    for publisher in publishers.iter_mut().filter(|p| p.waiting && p.blocked_since_unix_ms == 0) {
        publisher.waiting = may_lack_room(publisher, &subscribers);
    }
    let (regions, rings) = (regions(&place)?, rings(&place)?);
    let queues = queues::list(&place, &participants)?;
    let locks = locks::list(&place, &participants, &mut is_alive)?;
    let (filesystem_free_bytes, filesystem_bytes) = file::filesystem_space(&place.path).unwrap_or_default();
    let mut seen = Snapshot {
        domain: place.name.clone(),
        path: place.path.clone(),
        participants,
        participant_slots: table.slots(),
        topics: topics_of(&publishers, &subscribers),
        publishers,
        subscribers,
        regions,
        rings,
        queues,
        locks,
        bytes,
        filesystem_bytes,
        filesystem_free_bytes,
        ..Snapshot::default()
    };
    channels::add(&place, &mut seen)?;
    Ok(seen)
}

fn open_table(place: &Place) -> Result<Participants> {
    Participants::open(&place.participants()).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::new(
            ErrorKind::NotFound,
            format!("domain '{}' does not exist in {}; nobody has it open; open it first (`axonic ls` names those there are)", place.name, place.path.display()),
        ),
        _ => e,
    })
}

fn list<T>(
    place: &Place,
    kind: Directory,
    mut each: impl FnMut(PathBuf, ObjectId) -> Option<T>,
) -> Result<Vec<T>> {
    let directory = place.directory(kind);
    let mut names = file::names(&directory)?;
    names.sort();
    Ok(names.iter().filter_map(|name| each(directory.join(name), ObjectId::named(name)?)).collect())
}

fn describe_participant(entry: &ParticipantEntry) -> ParticipantInfo {
    ParticipantInfo {
        slot: entry.id.slot,
        epoch: entry.id.epoch,
        pid: entry.pid,
        label: entry.label.clone(),
        alive: entry.alive,
        stopped: entry.alive && entry.same_pid_namespace && process::is_stopped(entry.pid),
        since_unix_ms: entry.since_unix_ms,
        same_pid_namespace: entry.same_pid_namespace,
    }
}

fn describe_publisher(path: PathBuf, id: ObjectId, alive: bool) -> Option<PublisherInfo> {
    let map = open_head(&path, Kind::Publisher).ok()?;
    let head: &RingHead = map.at(0);
    let closed = read(&head.closed) != 0;
    Some(PublisherInfo {
        id: id.0,
        participant: id.owner().to_string(),
        topic: head.name.read(),
        overflow: Overflow::from_number(read(&head.overflow)).name(),
        alive,
        closed,
        orphan: closed || !alive,
        remnant: read(&head.capacity) == 0,
        published: read(&head.seq),
        bytes: read(&head.bytes),
        blocked: read(&head.blocked),
        wakes_sent: read(&head.wakes_sent),
        wakes_elided: read(&head.seq).saturating_sub(read(&head.waking)),
        capacity: read(&head.capacity),
        slab_bytes: read(&head.slab_bytes),
        max_bytes: read(&head.max_bytes),
        pinned: 0,
        pinned_bytes: 0,
        waiting: alive && (read(&head.armed) & 1 == 1 || read(&head.blocked_since) != 0),
        blocked_since_unix_ms: if alive { unix_of(read(&head.blocked_since)) } else { 0 },
    })
}

/// Whether a publisher that is armed, but not in a call that waits for room, may wait for it by its descriptor. It
/// stays armed after it got room, and is so while it waits for subscribers to come.
fn may_lack_room(publisher: &PublisherInfo, subscribers: &[SubscriberInfo]) -> bool {
    let is_much = |part: u64, whole: u64| part.saturating_mul(2) >= whole;
    let of_ours =
        |s: &SubscriberInfo| s.lag.iter().find(|lag| lag.publisher == publisher.id).map(|l| l.bytes);
    let behind = subscribers.iter().filter(|s| s.alive).filter_map(of_ours).max();
    let held = behind.is_some() || publisher.pinned > 0;
    behind.is_some_and(|bytes| is_much(bytes, publisher.capacity))
        || held && is_much(publisher.slab_bytes, publisher.max_bytes)
}

/// The slots of each publisher that somebody alive has pinned, with their bytes; by segment and slot, since
/// several may have pinned the same.
type Pinned = BTreeMap<u64, BTreeMap<u64, u64>>;

fn topics_of(publishers: &[PublisherInfo], subscribers: &[SubscriberInfo]) -> Vec<TopicInfo> {
    let mut topics: BTreeMap<&str, TopicInfo> = BTreeMap::new();
    for p in publishers {
        let topic = topics.entry(&p.topic).or_default();
        topic.publishers += usize::from(!p.orphan);
        topic.rings += 1;
        topic.orphans += usize::from(p.orphan && !p.remnant);
        topic.remnants += usize::from(p.remnant);
        topic.pinned += p.pinned;
        let sums = [
            (&mut topic.published, p.published),
            (&mut topic.bytes, p.bytes),
            (&mut topic.blocked, p.blocked),
            (&mut topic.wakes_sent, p.wakes_sent),
            (&mut topic.wakes_elided, p.wakes_elided),
        ];
        sums.into_iter().for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }
    let patterns: Vec<Pattern> = subscribers
        .iter()
        .filter(|s| s.alive && !s.closed)
        .filter_map(|s| Pattern::new(&s.pattern).ok())
        .collect();
    let described = topics.into_iter().map(|(name, topic)| TopicInfo {
        topic: name.into(),
        subscribers: patterns.iter().filter(|pattern| pattern.matches(name)).count(),
        ..topic
    });
    described.collect()
}

/// The rings of all publishers, by id, and whether they have ended.
type Rings = BTreeMap<u64, (RingMap, bool)>;

/// Where the head of a segment says how large its slots are (docs/protocol.md).
const SLOT_SIZE_AT: i64 = 64;

fn open_ring(place: &Place, id: u64) -> Option<RingMap> {
    RingMap::open(&place.directory(Directory::Publishers).join(ObjectId(id).to_string()), Kind::Publisher)
        .ok()
}

/// How far a subscriber is behind. One that was there first and has not come round yet has no cursor: it
/// has everything before it; `seen` tells whether it has (O1).
fn lag(
    subscriber: ObjectId,
    seen: u64,
    cursors: &[(u64, u64)],
    publisher: u64,
    ring: &RingMap,
) -> Option<Lag> {
    let head = ring.head();
    let position = match cursors.iter().find(|(id, _)| *id == publisher) {
        Some((_, position)) => *position,
        None if seen >= read(&head.born) => NOWHERE,
        None => {
            let count = (read(&head.expected_count) as usize).min(MAX_EXPECTED);
            head.expected[..count].iter().any(|e| read(e) == subscriber.0).then_some(0)?
        }
    };
    let messages = if position == NOWHERE { 0 } else { ring.unread(position) };
    (messages > 0).then(|| Lag { publisher, messages, bytes: read(&head.head).saturating_sub(position) })
}

/// Bytes of a slot of segment `number` of a publisher, as its head says; zero when it is gone.
fn slot_bytes(place: &Place, publisher: u64, number: u64) -> u64 {
    let name = format!("{}-{number}", ObjectId(publisher));
    let mut word = [0; 8];
    let read = file::open_existing(&place.directory(Directory::Segments).join(name), false)
        .and_then(|fd| file::read_at(fd.as_fd(), &mut word, SLOT_SIZE_AT));
    if read.is_ok_and(|bytes| bytes == word.len()) { u64::from_le_bytes(word) } else { 0 }
}

fn describe_subscriber(
    path: PathBuf,
    id: ObjectId,
    alive: bool,
    rings: &Rings,
    (place, pinned): (&Place, &mut Pinned),
) -> Option<SubscriberInfo> {
    let map = open_page(&path).ok()?;
    let head: &SubscriberHead = map.at(0);
    let closed = read(&head.closed) != 0;
    let seen = head.seen.load(Ordering::Acquire);
    let cursors: Vec<(u64, u64)> = head.cursors.iter().map(|c| (read(&c.ring), read(&c.position))).collect();
    let followed = |publisher: &&u64| cursors.iter().any(|(ring, _)| ring == *publisher);
    let mut pins: BTreeMap<u64, Pin> = BTreeMap::new();
    for pin in head.pins.iter().map(read).filter(|pin| *pin != 0) {
        let publisher = (pin >> 48)
            .checked_sub(1)
            .and_then(|index| cursors.get(index as usize))
            .map_or(0, |(ring, _)| *ring);
        let sum = pins.entry(publisher).or_insert(Pin { publisher, slots: 0, bytes: 0 });
        let bytes = slot_bytes(place, publisher, pin >> 24 & 0xff_ffff);
        sum.slots += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
        if alive {
            pinned.entry(publisher).or_default().insert(pin & 0xffff_ffff_ffff, bytes);
        }
    }
    Some(SubscriberInfo {
        id: id.0,
        participant: id.owner().to_string(),
        pattern: head.pattern.read(),
        alive,
        closed,
        received: read(&head.received),
        missed: read(&head.missed),
        bytes: read(&head.bytes),
        pinned: pins.values().map(|pin| pin.slots).sum(),
        rings: rings.keys().filter(followed).count(),
        orphans: rings.iter().filter(|(ring, (_, orphan))| *orphan && followed(ring)).count(),
        max_borrowed: read(&head.max_borrowed),
        waiting: read(&head.armed) & 1 == 1,
        lag: rings
            .iter()
            .filter(|_| !closed)
            .filter_map(|(publisher, (ring, _))| lag(id, seen, &cursors, *publisher, ring))
            .collect(),
        pins: pins.into_values().collect(),
    })
}

fn regions(place: &Place) -> Result<Vec<RegionInfo>> {
    let directory = place.directory(Directory::Regions);
    let mut names = file::names(&directory)?;
    // A foreign file is no region; doctor names it.
    names.retain(|name| check_file(&directory.join(name), Kind::Region, page_size()).is_ok());
    names.sort();
    let size = |name: &String| {
        std::fs::metadata(directory.join(name)).map_or(0, |m| m.len().saturating_sub(page_size() as u64))
    };
    Ok(names.into_iter().map(|name| RegionInfo { size: size(&name), name }).collect())
}

fn rings(place: &Place) -> Result<Vec<RingInfo>> {
    let directory = place.directory(Directory::Rings);
    let mut names = file::names(&directory)?;
    names.retain(|name| !name.ends_with(CURSOR_SUFFIX));
    names.sort();
    Ok(names.into_iter().filter_map(|name| describe_ring(&directory, name)).collect())
}

fn describe_ring(directory: &Path, name: String) -> Option<RingInfo> {
    let map = open_head(&directory.join(&name), Kind::RingData).ok()?;
    let head: &RingHead = map.at(0);
    let (position, producer, consumer) =
        ring_position(&directory.join(format!("{name}{CURSOR_SUFFIX}"))).ok()?;
    let pending_messages =
        RingMap::open(&directory.join(&name), Kind::RingData).map_or(0, |ring| ring.unread(position));
    Some(RingInfo {
        name,
        capacity: read(&head.capacity),
        messages: read(&head.seq),
        pending_messages,
        pending_bytes: read(&head.head).saturating_sub(position),
        blocked: read(&head.blocked),
        blocked_since_unix_ms: if producer { unix_of(read(&head.blocked_since)) } else { 0 },
        wakes_sent: read(&head.wakes_sent),
        wakes_elided: read(&head.seq).saturating_sub(read(&head.wakes_sent)),
        producer,
        consumer,
    })
}
