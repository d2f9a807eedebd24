//! A snapshot with the names a person asks for: who is behind a number, what state it is in.

use std::collections::HashMap;

use axonic::{ErrorKind, ParticipantInfo, PublisherInfo, QueueOnDisk, Snapshot, SubscriberInfo};

use crate::human::label;
use crate::place::Place;
use crate::stop::Stop;

/// A snapshot and the indexes to read it by.
pub(crate) struct View {
    pub(crate) snapshot: Snapshot,
    /// The durable queues of which only the journal is there.
    pub(crate) on_disk: Vec<QueueOnDisk>,
    /// `slot.epoch` to the participant's place in the snapshot.
    participants: HashMap<String, usize>,
    /// Publisher id to its place in the snapshot.
    publishers: HashMap<u64, usize>,
}

impl View {
    /// The domain as it is now, seen from outside. One of which a reboot has left only journals of queues is empty.
    pub(crate) fn take(place: &Place, verb: &str) -> Result<View, Stop> {
        let options = place.options(verb);
        let seen = axonic::snapshot(&options);
        let on_disk = axonic::queues_on_disk(&options)?;
        let snapshot = match (seen, on_disk.first()) {
            (Err(error), Some(queue)) if error.kind() == ErrorKind::NotFound => Snapshot {
                domain: queue.domain.clone(),
                path: place.directory()?.join(&queue.domain),
                ..Snapshot::default()
            },
            (seen, _) => seen?,
        };
        Ok(View { on_disk, ..View::of(snapshot) })
    }

    pub(crate) fn of(snapshot: Snapshot) -> View {
        let participants = snapshot.participants.iter().enumerate().map(|(at, p)| (id(p), at)).collect();
        let publishers = snapshot.publishers.iter().enumerate().map(|(at, p)| (p.id, at)).collect();
        View { snapshot, on_disk: Vec::new(), participants, publishers }
    }

    /// `label(pid)`; the participant's id when it has left the table.
    pub(crate) fn who(&self, participant: &str) -> String {
        match self.participant(participant) {
            Some(info) => format!("{}({})", label(&info.label), info.pid),
            None => format!("ended({participant})"),
        }
    }

    /// Is it alive but stopped, by a signal or a debugger?
    pub(crate) fn is_stopped(&self, participant: &str) -> bool {
        self.participant(participant).is_some_and(|info| info.stopped)
    }

    fn participant(&self, id: &str) -> Option<&ParticipantInfo> {
        self.participants.get(id).map(|at| &self.snapshot.participants[*at])
    }

    /// The publisher with this id, if its ring still exists.
    pub(crate) fn publisher(&self, id: u64) -> Option<&PublisherInfo> {
        self.publishers.get(&id).map(|at| &self.snapshot.publishers[*at])
    }
}

/// The participant's id as others refer to it.
pub(crate) fn id(participant: &ParticipantInfo) -> String {
    format!("{}.{}", participant.slot, participant.epoch)
}

/// The state of a publisher in a word.
pub(crate) fn publisher_state(view: &View, publisher: &PublisherInfo) -> &'static str {
    match publisher {
        p if p.orphan => "orphan",
        p if view.is_stopped(&p.participant) => "stopped",
        p if p.waiting => "waits for room",
        _ => "live",
    }
}

/// The state of a subscriber in a word.
pub(crate) fn subscriber_state(view: &View, subscriber: &SubscriberInfo) -> &'static str {
    match subscriber {
        s if !s.alive => "dead",
        s if s.closed => "closed",
        s if view.is_stopped(&s.participant) => "stopped",
        s if s.waiting => "waits",
        _ => "live",
    }
}

/// Whether somebody alive holds an end of a ring.
pub(crate) fn held(alive: bool) -> &'static str {
    if alive { "live" } else { "-" }
}

/// All messages a subscriber has yet to read.
pub(crate) fn lag(subscriber: &SubscriberInfo) -> u64 {
    subscriber.lag.iter().map(|lag| lag.messages).sum()
}
