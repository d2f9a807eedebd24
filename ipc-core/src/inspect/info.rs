//! What there is to see.

use crate::domain::layout::ObjectId;
use crate::mechanisms::queue::QueueStats;
use serde::Serialize;
use std::path::PathBuf;

/// A domain at one moment. The numbers are read while others change them, each by itself.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub domain: String,
    pub path: PathBuf,
    pub participants: Vec<ParticipantInfo>,
    /// The most there can be at a time.
    pub participant_slots: u32,
    /// What is published and who is there to read it, topic by topic.
    pub topics: Vec<TopicInfo>,
    pub publishers: Vec<PublisherInfo>,
    pub subscribers: Vec<SubscriberInfo>,
    pub regions: Vec<RegionInfo>,
    pub rings: Vec<RingInfo>,
    pub queues: Vec<QueueInfo>,
    pub locks: Vec<LockInfo>,
    pub listeners: Vec<ListenerInfo>,
    pub channels: Vec<ChannelInfo>,
    pub services: Vec<ServiceInfo>,
    /// Bytes of shared memory all its files take.
    pub bytes: u64,
    /// Bytes of the filesystem it is on, and how many of them are free; zero where that cannot be found out.
    pub filesystem_bytes: u64,
    pub filesystem_free_bytes: u64,
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

/// One topic: the sums over its publishers that are there, finished ones included.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct TopicInfo {
    pub topic: String,
    /// Live publishers.
    pub publishers: usize,
    /// Live subscribers whose pattern matches.
    pub subscribers: usize,
    /// Rings there are: of the live, orphans and remnants.
    pub rings: usize,
    /// Finished publishers whose rings still wait for a reader, or are retained.
    pub orphans: usize,
    /// Finished publishers of which only the count is left, for subscribers that are still to be told.
    pub remnants: usize,
    pub published: u64,
    pub bytes: u64,
    pub blocked: u64,
    pub wakes_sent: u64,
    pub wakes_elided: u64,
    /// Slab slots that readers have pinned.
    pub pinned: usize,
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
    /// An orphan of which only the count of messages is left, for subscribers that are still to be told.
    pub remnant: bool,
    pub published: u64,
    pub bytes: u64,
    /// Times it waited for room.
    pub blocked: u64,
    pub wakes_sent: u64,
    pub wakes_elided: u64,
    /// Bytes of its ring.
    pub capacity: u64,
    pub slab_bytes: u64,
    /// The most its slab may take.
    pub max_bytes: u64,
    /// Slab slots that readers have pinned.
    pub pinned: usize,
    /// Bytes of these slots.
    pub pinned_bytes: u64,
    /// Waits for room now, or its descriptor is watched for it.
    pub waiting: bool,
    /// Since when it has been blocked in a call, in milliseconds since 1970; 0: it is not.
    pub blocked_since_unix_ms: u64,
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
    /// It reads no more; samples it borrowed are still held.
    pub closed: bool,
    pub received: u64,
    pub missed: u64,
    pub bytes: u64,
    /// Slab slots it has borrowed.
    pub pinned: usize,
    /// Rings it follows.
    pub rings: usize,
    /// Of these, those whose publishers have ended.
    pub orphans: usize,
    /// The most samples it may borrow.
    pub max_borrowed: u64,
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
    /// Bytes of these slots.
    pub bytes: u64,
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
    pub pending_messages: u64,
    pub pending_bytes: u64,
    pub blocked: u64,
    /// Since when its producer has been blocked in a call, in milliseconds since 1970; 0: it is not.
    pub blocked_since_unix_ms: u64,
    pub wakes_sent: u64,
    pub wakes_elided: u64,
    /// Whether its ends are held by somebody alive.
    pub producer: bool,
    pub consumer: bool,
}

/// A lock. The counters are those of the handles that are open.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct LockInfo {
    pub name: String,
    /// `mutex`, `rwlock`, `semaphore`, `event`, `barrier`, `condvar`.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// `permits 4`, `parties 3`, `reset auto`; empty where the type has none.
    pub parameter: String,
    /// In words: `free`, `locked`, `owner died`; `read by 2`, `written`, `writer died`; `3 of 4 free`; `set`, `clear`;
    /// `1 of 2 arrived`; `2 wait`.
    pub state: String,
    /// Who has it, or something of it; those included who died and whom nobody has replaced yet.
    pub holders: Vec<LockHolder>,
    /// Handles of the living that wait for it now, or whose descriptors are watched for it.
    pub waiting: usize,
    /// Since when the first of them has been in its call, in milliseconds since 1970; 0: none is.
    pub waiting_since_unix_ms: u64,
    /// Those that wait, with the time since when each has been in its call.
    pub waiters: Vec<LockHolder>,
    /// Times it was had, or passed.
    pub acquired: u64,
    /// Of these or in vain, times it had to be waited for.
    pub waited: u64,
    /// Times somebody found that the owner had died.
    pub owners_died: u64,
}

/// Who has a lock, or something of it, or waits for it.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct LockHolder {
    /// `slot.epoch`.
    pub participant: String,
    /// As its own pid namespace numbers it; 0 where nothing is known of it any more.
    pub pid: u32,
    pub label: String,
    /// Since when, in milliseconds since 1970; 0 where that is not known.
    pub since_unix_ms: u64,
    pub alive: bool,
    /// Stopped by a signal or a debugger.
    pub stopped: bool,
    /// As what: `owner`, `reader`, `permit`, `party`, `waiter`.
    #[serde(rename = "as")]
    pub role: &'static str,
}

/// A queue.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct QueueInfo {
    pub name: String,
    /// What is in it, and what its handles have done since it was made.
    #[serde(flatten)]
    pub stats: QueueStats,
    /// Deliveries of one message before it is a dead letter; 0: no limit.
    pub max_attempts: u64,
    /// Whether it has a journal.
    pub durable: bool,
    /// Handles of live participants, by side.
    pub producers: usize,
    pub consumers: usize,
    /// The handle that has had a message longest.
    pub oldest_holder: Option<QueueHandle>,
    /// The handle that writes the queue's journal at this moment, and the one that enters a message's id; others wait for
    /// each.
    pub writer: Option<QueueHandle>,
    pub entering: Option<QueueHandle>,
    /// Those that have it open, and those of the dead that nobody has cleaned up after yet.
    pub handles: Vec<QueueHandle>,
}

/// A durable queue of which only the journal is there.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct QueueOnDisk {
    pub domain: String,
    pub name: String,
    /// The directory of its journal.
    pub path: PathBuf,
}

/// A handle of a queue.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct QueueHandle {
    /// `slot.epoch`.
    pub participant: String,
    pub pid: u32,
    pub label: String,
    /// "producer" or "consumer".
    pub side: &'static str,
    pub alive: bool,
    pub stopped: bool,
    /// Messages it has taken and not settled.
    pub leased: u64,
    /// Since when it has had the oldest of them, in milliseconds since 1970; 0: it has none.
    pub leased_since_unix_ms: u64,
    /// Since when it has been blocked in a call, in milliseconds since 1970; 0: it is not.
    pub blocked_since_unix_ms: u64,
}

/// A listener for channels through shared memory. Services have listeners of their own, see [`ServiceInfo`].
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ListenerInfo {
    pub name: String,
    /// `slot.epoch`.
    pub participant: String,
    pub alive: bool,
    pub since_unix_ms: u64,
    /// Channels that wait to be accepted.
    pub waiting: usize,
    /// Since when the first of them has, in milliseconds since 1970; 0: none does.
    pub waiting_since_unix_ms: u64,
}

/// A channel through shared memory.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ChannelInfo {
    #[serde(serialize_with = "hex")]
    pub id: u64,
    /// Where it was opened to: a listener's name, or `service@version`; empty if that is gone.
    pub listener: String,
    pub since_unix_ms: u64,
    /// Whoever connected.
    pub client: ChannelEnd,
    /// Whoever accepted; `None`: nobody has yet.
    pub server: Option<ChannelEnd>,
}

/// One end of a channel, and what it sends.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ChannelEnd {
    /// `slot.epoch`.
    pub participant: String,
    pub pid: u32,
    pub label: String,
    pub alive: bool,
    pub stopped: bool,
    /// Records it has written: messages, of which those over 64 KiB are several.
    pub records: u64,
    /// Bytes of these, headers included, that the other end has yet to read.
    pub pending_bytes: u64,
    /// Since when it has waited for room, in milliseconds since 1970; 0: it does not.
    pub blocked_since_unix_ms: u64,
    /// It sends no more.
    pub closed: bool,
}

/// A provider of a service.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ServiceInfo {
    /// Of the provider: a process may provide a service more than once.
    #[serde(serialize_with = "hex")]
    pub id: u64,
    pub name: String,
    pub version: String,
    /// `slot.epoch`.
    pub participant: String,
    pub alive: bool,
    pub since_unix_ms: u64,
    /// Calls that may be at work at the same time, and those that are; calls it has taken so far.
    pub concurrency: u64,
    pub at_work: u64,
    pub calls: u64,
    /// Clients of the domain that are connected, and bytes they sent that were not read yet.
    pub clients: usize,
    pub unread_bytes: u64,
    /// Clients that wait to be let in.
    pub waiting: usize,
    /// Since when the first of them has, in milliseconds since 1970; 0: none does.
    pub waiting_since_unix_ms: u64,
}
