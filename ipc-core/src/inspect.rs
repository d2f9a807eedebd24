//! Seeing a domain from outside: nobody in it has to cooperate.

mod doctor;

use crate::domain::layout::{Kind, ObjectId, check_file};
use crate::domain::participants::Participants;
use crate::domain::{Directory, DomainOptions, ParticipantId, Place, find};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{MAX_EXPECTED, RingHead, RingMap, open_head};
use crate::mechanisms::ring::{CURSOR_SUFFIX, ring_position};
use crate::mechanisms::topic::lifetime::open_page;
use crate::mechanisms::topic::{NOWHERE, Overflow, SubscriberHead};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::mapping::page_size;
use crate::sys::{file, process};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub use doctor::{Finding, Severity, doctor};

/// A domain at one moment. The numbers are read while others change them, each by itself.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub domain: String,
    pub path: PathBuf,
    pub participants: Vec<ParticipantInfo>,
    pub publishers: Vec<PublisherInfo>,
    pub subscribers: Vec<SubscriberInfo>,
    pub regions: Vec<RegionInfo>,
    pub rings: Vec<RingInfo>,
    /// Bytes of shared memory all its files take.
    pub bytes: u64,
}

/// Ids fill 64 bits; as numbers, JSON readers such as JavaScript and jq would round them.
fn hex<S: serde::Serializer>(id: &u64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&ObjectId(*id))
}

/// One participant.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ParticipantInfo {
    pub slot: u32,
    pub epoch: u32,
    /// As its own pid namespace numbers it.
    pub pid: u32,
    pub label: String,
    pub alive: bool,
    /// Stopped by a signal or a debugger.
    pub stopped: bool,
    pub since_unix_ms: u64,
    pub same_pid_namespace: bool,
}

/// One publisher, living or with messages left.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct PublisherInfo {
    #[serde(serialize_with = "hex")]
    pub id: u64,
    /// `slot.epoch`.
    pub participant: String,
    pub topic: String,
    pub overflow: &'static str,
    pub alive: bool,
    pub closed: bool,
    /// Finished, but somebody is owed what is left, or it is retained.
    pub orphan: bool,
    pub published: u64,
    pub bytes: u64,
    /// Times it waited for room.
    pub blocked: u64,
    pub wakes_sent: u64,
    pub wakes_elided: u64,
    /// Bytes of its ring.
    pub capacity: u64,
    pub slab_bytes: u64,
    /// Asleep for room now.
    pub waiting: bool,
}

/// One subscriber.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SubscriberInfo {
    #[serde(serialize_with = "hex")]
    pub id: u64,
    /// `slot.epoch`.
    pub participant: String,
    pub pattern: String,
    pub alive: bool,
    pub received: u64,
    pub missed: u64,
    pub bytes: u64,
    /// Slab slots it has borrowed.
    pub pinned: usize,
    /// Rings it follows.
    pub rings: usize,
    /// Asleep now, or watched by an event loop.
    pub waiting: bool,
    pub lag: Vec<Lag>,
    pub pins: Vec<Pin>,
}

/// How far a subscriber is behind a publisher.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Lag {
    #[serde(serialize_with = "hex")]
    pub publisher: u64,
    /// Messages to read; those overwritten already show in `missed` once it reads on.
    pub messages: u64,
    /// Bytes of ring they take; payloads in the slab are not among them.
    pub bytes: u64,
}

/// How many slots of a publisher a subscriber has borrowed.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Pin {
    #[serde(serialize_with = "hex")]
    pub publisher: u64,
    pub slots: usize,
}

/// A region.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RegionInfo {
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A ring.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RingInfo {
    pub name: String,
    pub capacity: u64,
    pub messages: u64,
    pub pending_bytes: u64,
    pub blocked: u64,
    /// Whether its ends are held by somebody alive.
    pub producer: bool,
    pub consumer: bool,
}

fn read(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Looks at a domain without taking part in it. `NotFound` if there is none.
pub fn snapshot(options: &DomainOptions) -> Result<Snapshot> {
    let place = find(options)?;
    let table = open_table(&place)?;
    let participants: Vec<ParticipantInfo> = table.list(None).iter().map(describe_participant).collect();
    let mut living = HashMap::new();
    let mut is_alive = |id: ParticipantId| *living.entry(id).or_insert_with(|| table.is_alive(id, None));
    let publishers =
        list(&place, Directory::Publishers, |path, id| describe_publisher(path, id, is_alive(id.owner())))?;
    let topics = publishers.iter().filter_map(|p| Some((p.id, open_ring(&place, p.id)?))).collect();
    let subscribers = list(&place, Directory::Subscribers, |path, id| {
        describe_subscriber(path, id, is_alive(id.owner()), &topics)
    })?;
    let mut bytes = file::allocated(&place.participants());
    for kind in Directory::ALL {
        let directory = place.directory(kind);
        bytes +=
            file::names(&directory)?.iter().map(|name| file::allocated(&directory.join(name))).sum::<u64>();
    }
    let (regions, rings) = (regions(&place)?, rings(&place)?);
    Ok(Snapshot {
        domain: place.name.clone(),
        path: place.path.clone(),
        participants,
        publishers,
        subscribers,
        regions,
        rings,
        bytes,
    })
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

fn describe_participant(entry: &crate::domain::participants::ParticipantEntry) -> ParticipantInfo {
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
        published: read(&head.seq),
        bytes: read(&head.bytes),
        blocked: read(&head.blocked),
        wakes_sent: read(&head.wakes_sent),
        wakes_elided: read(&head.seq).saturating_sub(read(&head.wakes_sent)),
        capacity: read(&head.capacity),
        slab_bytes: read(&head.slab_bytes),
        waiting: read(&head.armed) & 1 == 1,
    })
}

/// The rings of all publishers, by id.
type Rings = BTreeMap<u64, RingMap>;

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

fn describe_subscriber(path: PathBuf, id: ObjectId, alive: bool, rings: &Rings) -> Option<SubscriberInfo> {
    let map = open_page(&path).ok()?;
    let head: &SubscriberHead = map.at(0);
    let seen = head.seen.load(Ordering::Acquire);
    let cursors: Vec<(u64, u64)> = head.cursors.iter().map(|c| (read(&c.ring), read(&c.position))).collect();
    let followed = |publisher: &&u64| cursors.iter().any(|(ring, _)| ring == *publisher);
    let mut pins: HashMap<u64, usize> = HashMap::new();
    for pin in head.pins.iter().map(read).filter(|pin| *pin != 0) {
        let ring = (pin >> 48)
            .checked_sub(1)
            .and_then(|index| cursors.get(index as usize))
            .map_or(0, |(ring, _)| *ring);
        *pins.entry(ring).or_default() += 1;
    }
    Some(SubscriberInfo {
        id: id.0,
        participant: id.owner().to_string(),
        pattern: head.pattern.read(),
        alive,
        received: read(&head.received),
        missed: read(&head.missed),
        bytes: read(&head.bytes),
        pinned: pins.values().sum(),
        rings: rings.keys().filter(followed).count(),
        waiting: read(&head.armed) & 1 == 1,
        lag: rings.iter().filter_map(|(publisher, ring)| lag(id, seen, &cursors, *publisher, ring)).collect(),
        pins: pins.into_iter().map(|(publisher, slots)| Pin { publisher, slots }).collect(),
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
    Some(RingInfo {
        name,
        capacity: read(&head.capacity),
        messages: read(&head.seq),
        pending_bytes: read(&head.head).saturating_sub(position),
        blocked: read(&head.blocked),
        producer,
        consumer,
    })
}
