//! The locks of a domain, seen from outside.

use super::{LockHolder, LockInfo, ParticipantInfo};
use crate::domain::layout::ObjectId;
use crate::domain::{Directory, ParticipantId, Place};
use crate::error::Result;
use crate::mechanisms::lock::look::{Held, Look, look};
use crate::mechanisms::lock::names;
use crate::sys::clock::unix_of;

pub(super) fn list(
    place: &Place,
    participants: &[ParticipantInfo],
    mut is_alive: impl FnMut(ParticipantId) -> bool,
) -> Result<Vec<LockInfo>> {
    let directory = place.directory(Directory::Locks);
    // A damaged one is named by doctor.
    let seen = names(place)?.into_iter().filter_map(|name| Some((look(&directory.join(&name))?, name)));
    Ok(seen.map(|(seen, name)| describe(name, &seen, participants, &mut is_alive)).collect())
}

fn describe(
    name: String,
    seen: &Look,
    participants: &[ParticipantInfo],
    is_alive: &mut dyn FnMut(ParticipantId) -> bool,
) -> LockInfo {
    let waiters = seen.waiters(&mut *is_alive);
    let first = waiters.iter().map(|w| w.since).filter(|since| *since != 0).min();
    let [acquired, waited, owners_died] = seen.counts();
    LockInfo {
        name,
        type_name: seen.type_name(),
        parameter: seen.parameter_text(),
        state: seen.state(&mut *is_alive),
        holders: seen.holders().iter().map(|held| holder(held, participants)).collect(),
        waiting: waiters.len(),
        waiting_since_unix_ms: unix_of(first.unwrap_or(0)),
        waiters: waiters.iter().map(|waiter| holder(waiter, participants)).collect(),
        acquired,
        waited,
        owners_died,
    }
}

fn holder(held: &Held, participants: &[ParticipantInfo]) -> LockHolder {
    let id: ParticipantId = ObjectId::owner(held.id);
    let who = participants.iter().find(|p| (p.slot, p.epoch) == (id.slot, id.epoch));
    LockHolder {
        participant: id.to_string(),
        pid: who.map_or(0, |p| p.pid),
        label: who.map_or_else(String::new, |p| p.label.clone()),
        since_unix_ms: unix_of(held.since),
        alive: who.is_some_and(|p| p.alive),
        stopped: who.is_some_and(|p| p.stopped),
        role: held.role,
    }
}
