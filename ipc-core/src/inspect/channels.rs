//! The listeners, channels and services of a domain, seen from outside.

use super::{ChannelEnd, ChannelInfo, ListenerInfo, ParticipantInfo, ServiceInfo, Snapshot};
use crate::domain::Place;
use crate::domain::layout::{ObjectId, ParticipantId};
use crate::error::Result;
use crate::mechanisms::channel::shm::look::{self, SeenChannel, SeenEnd, SeenListener};
use crate::mechanisms::rpc::provided_by;
use crate::sys::clock::unix_of;

/// Adds them to what was seen of a domain.
pub(super) fn add(place: &Place, seen: &mut Snapshot) -> Result<()> {
    // Channels first: a listener that goes meanwhile has its name in none, one that comes has no channel yet.
    let channels = look::channels(place)?;
    for listener in look::listeners(place)? {
        let own = || channels.iter().filter(|channel| channel.listener == listener.id);
        let waiting: Vec<u64> = own().filter(|c| c.server.is_none()).map(|c| c.since).collect();
        match provided_by(&listener.file) {
            Some((name, version)) => {
                let accepted: Vec<&SeenChannel> = own().filter(|c| c.server.is_some()).collect();
                let about = (name.to_owned(), version.to_string());
                seen.services.push(service(about, &listener, &waiting, &accepted, &seen.participants));
            }
            None => seen.listeners.push(describe(&listener, &waiting, &seen.participants)),
        }
        seen.channels.extend(own().map(|channel| channel_of(channel, &listener.file, &seen.participants)));
    }
    let known: Vec<u64> = seen.channels.iter().map(|channel| channel.id).collect();
    let rest = channels.iter().filter(|channel| !known.contains(&channel.id.0));
    seen.channels.extend(rest.map(|channel| channel_of(channel, "", &seen.participants)));
    seen.channels.sort_by_key(|channel| channel.id);
    Ok(())
}

fn find(participants: &[ParticipantInfo], id: ParticipantId) -> Option<&ParticipantInfo> {
    participants.iter().find(|p| (p.slot, p.epoch) == (id.slot, id.epoch))
}

fn is_alive(participants: &[ParticipantInfo], id: ObjectId) -> bool {
    find(participants, id.owner()).is_some_and(|p| p.alive)
}

fn first(waiting: &[u64]) -> u64 {
    unix_of(waiting.iter().copied().min().unwrap_or(0))
}

fn describe(listener: &SeenListener, waiting: &[u64], participants: &[ParticipantInfo]) -> ListenerInfo {
    ListenerInfo {
        name: listener.file.clone(),
        participant: listener.id.owner().to_string(),
        alive: is_alive(participants, listener.id),
        since_unix_ms: unix_of(listener.since),
        waiting: waiting.len(),
        waiting_since_unix_ms: first(waiting),
    }
}

fn service(
    (name, version): (String, String),
    listener: &SeenListener,
    waiting: &[u64],
    accepted: &[&SeenChannel],
    participants: &[ParticipantInfo],
) -> ServiceInfo {
    ServiceInfo {
        id: listener.id.0,
        name,
        version,
        participant: listener.id.owner().to_string(),
        alive: is_alive(participants, listener.id),
        since_unix_ms: unix_of(listener.since),
        concurrency: listener.concurrency,
        at_work: listener.at_work,
        calls: listener.calls,
        clients: accepted.len(),
        unread_bytes: accepted.iter().fold(0, |sum, channel| channel.client.pending.saturating_add(sum)),
        waiting: waiting.len(),
        waiting_since_unix_ms: first(waiting),
    }
}

fn channel_of(channel: &SeenChannel, listener: &str, participants: &[ParticipantInfo]) -> ChannelInfo {
    // A provider's file has its id after its name and version.
    let listener = listener.split('*').next().unwrap_or_default().to_owned();
    ChannelInfo {
        id: channel.id.0,
        listener,
        since_unix_ms: unix_of(channel.since),
        client: end(&channel.client, participants),
        server: channel.server.as_ref().map(|server| end(server, participants)),
    }
}

fn end(seen: &SeenEnd, participants: &[ParticipantInfo]) -> ChannelEnd {
    let who = find(participants, seen.who);
    let alive = who.is_some_and(|p| p.alive);
    ChannelEnd {
        participant: seen.who.to_string(),
        pid: who.map_or(0, |p| p.pid),
        label: who.map_or_else(String::new, |p| p.label.clone()),
        alive,
        stopped: who.is_some_and(|p| p.stopped),
        records: seen.records,
        pending_bytes: seen.pending,
        blocked_since_unix_ms: if alive && !seen.closed { unix_of(seen.blocked_since) } else { 0 },
        closed: seen.closed,
    }
}
