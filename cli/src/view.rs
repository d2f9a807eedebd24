//! A snapshot with the names a person asks for: who is behind a number, what state it is in.

use std::collections::HashMap;

use axonic::ParticipantId;
use axonic::inspect::{ParticipantInfo, PublisherInfo, Snapshot, SubscriberInfo};

use crate::human::printable;
use crate::place::Place;
use crate::stop::Stop;

/// A snapshot and the indexes to read it by.
pub(crate) struct View {
    pub(crate) snapshot: Snapshot,
    names: HashMap<(u32, u32), String>,
    /// Publisher id to its place in the snapshot.
    publishers: HashMap<u64, usize>,
}

impl View {
    /// The domain as it is now, seen from outside.
    pub(crate) fn take(place: &Place, verb: &str) -> Result<View, Stop> {
        Ok(View::of(axonic::inspect::snapshot(&place.options(verb))?))
    }

    pub(crate) fn of(snapshot: Snapshot) -> View {
        let names = snapshot.participants.iter().map(|p| ((p.slot, p.epoch), name(p))).collect();
        let publishers = snapshot.publishers.iter().enumerate().map(|(at, p)| (p.id, at)).collect();
        View { snapshot, names, publishers }
    }

    /// `label(pid)`; the participant's id when it has left the table.
    pub(crate) fn who(&self, participant: ParticipantId) -> String {
        let key = (participant.slot, participant.epoch);
        self.names.get(&key).cloned().unwrap_or_else(|| format!("gone({participant})"))
    }

    /// The publisher with this id, if its ring still exists.
    pub(crate) fn publisher(&self, id: u64) -> Option<&PublisherInfo> {
        self.publishers.get(&id).map(|at| &self.snapshot.publishers[*at])
    }
}

fn name(participant: &ParticipantInfo) -> String {
    format!("{}({})", printable(&participant.label), participant.pid)
}

/// The state of a publisher in a word.
pub(crate) fn publisher_state(publisher: &PublisherInfo) -> &'static str {
    match publisher {
        p if p.orphan => "orphan",
        p if !p.alive => "dead",
        p if p.closed => "closed",
        p if p.waiting => "waits for room",
        _ => "live",
    }
}

/// The state of a subscriber in a word.
pub(crate) fn subscriber_state(subscriber: &SubscriberInfo) -> &'static str {
    match subscriber {
        s if !s.alive => "dead",
        s if s.waiting => "waits",
        _ => "live",
    }
}

/// All messages a subscriber has yet to read.
pub(crate) fn lag(subscriber: &SubscriberInfo) -> u64 {
    subscriber.lag.iter().map(|lag| lag.messages).sum()
}
