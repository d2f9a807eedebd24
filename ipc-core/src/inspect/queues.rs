//! The queues of a domain, seen from outside.

use super::{ParticipantInfo, QueueHandle, QueueInfo};
use crate::domain::layout::ObjectId;
use crate::domain::object::BELL_MARK;
use crate::domain::{Directory, ParticipantId, Place};
use crate::error::Result;
use crate::mechanisms::queue::look::{Look, Seen, look};
use crate::sys::file;

pub(super) fn list(place: &Place, participants: &[ParticipantInfo]) -> Result<Vec<QueueInfo>> {
    let directory = place.directory(Directory::Queues);
    let mut names = file::names(&directory)?;
    names.retain(|name| !name.contains(BELL_MARK));
    names.sort();
    // A damaged one is named by doctor.
    let seen = names.into_iter().filter_map(|name| Some((look(&directory.join(&name))?, name)));
    Ok(seen.map(|(seen, name)| describe(name, seen, participants)).collect())
}

fn describe(name: String, seen: Look, participants: &[ParticipantInfo]) -> QueueInfo {
    let handles: Vec<QueueHandle> = seen.handles.iter().map(|seen| handle(seen, participants)).collect();
    let oldest = handles.iter().filter(|h| h.leased > 0).min_by_key(|h| h.leased_since_unix_ms).cloned();
    let alive = |side: &str| handles.iter().filter(|h| h.alive && h.side == side).count();
    let of =
        |id: ObjectId| seen.handles.iter().find(|seen| seen.id == id).map(|seen| handle(seen, participants));
    QueueInfo {
        name,
        stats: seen.stats,
        max_attempts: seen.max_attempts,
        durable: seen.durable,
        producers: alive(PRODUCER),
        consumers: alive(CONSUMER),
        oldest_holder: oldest,
        writer: seen.writer.and_then(of),
        entering: seen.entering.and_then(of),
        handles,
    }
}

const PRODUCER: &str = "producer";
const CONSUMER: &str = "consumer";

fn handle(seen: &Seen, participants: &[ParticipantInfo]) -> QueueHandle {
    let id: ParticipantId = seen.id.owner();
    let who = participants.iter().find(|p| (p.slot, p.epoch) == (id.slot, id.epoch));
    let alive = who.is_some_and(|p| p.alive);
    QueueHandle {
        participant: id.to_string(),
        pid: who.map_or(0, |p| p.pid),
        label: who.map_or_else(String::new, |p| p.label.clone()),
        side: if seen.puts { PRODUCER } else { CONSUMER },
        alive,
        stopped: who.is_some_and(|p| p.stopped),
        leased: seen.leased,
        leased_since_unix_ms: seen.leased_since,
        blocked_since_unix_ms: if alive { seen.blocked_since } else { 0 },
    }
}
