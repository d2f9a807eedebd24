//! The locks of a domain, seen from outside.

use super::{LockHolder, LockInfo, ParticipantInfo, describe_participant};
use crate::domain::layout::ObjectId;
use crate::domain::{Directory, Domain, ParticipantId, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::lock::look::{Held, Look, look};
use crate::mechanisms::lock::names;
use crate::name::check_name;
use crate::sys::clock::unix_of;

impl Domain {
    /// Who has the lock `name`, of any type, or something of it, and since when; those included who died and whom nobody has
    /// replaced yet. Of a barrier they are those who have arrived and wait; nobody has an event or a condition. `NotFound` if
    /// there is no such lock.
    pub fn lock_holders(&self, name: &str) -> Result<Vec<LockHolder>> {
        check_name("lock", name)?;
        let domain = self.current()?;
        let inner = domain.inner();
        let seen = look(&inner.directory(Directory::Locks).join(name));
        let seen = seen.map_err(|e| domain.not_opened("lock", name, lacking(&domain, name, e)))?;
        let who = |id| inner.entry_of(id).as_ref().map(describe_participant);
        Ok(seen.holders().iter().map(|held| holder(held, who)).collect())
    }
}

fn lacking(domain: &Domain, name: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    let text = format!(
        "lock '{name}' does not exist in domain '{}'; open it first (`axonic lock ls` names those there are)",
        domain.name()
    );
    Error::new(ErrorKind::NotFound, text)
}

pub(super) fn list(
    place: &Place,
    participants: &[ParticipantInfo],
    mut is_alive: impl FnMut(ParticipantId) -> bool,
) -> Result<Vec<LockInfo>> {
    let directory = place.directory(Directory::Locks);
    // A damaged one is named by doctor.
    let seen = names(place)?.into_iter().filter_map(|name| Some((look(&directory.join(&name)).ok()?, name)));
    Ok(seen.map(|(seen, name)| describe(name, &seen, participants, &mut is_alive)).collect())
}

fn describe(
    name: String,
    seen: &Look,
    participants: &[ParticipantInfo],
    is_alive: &mut dyn FnMut(ParticipantId) -> bool,
) -> LockInfo {
    let waiters = seen.waiters(&mut *is_alive);
    let who =
        |id: ParticipantId| participants.iter().find(|p| (p.slot, p.epoch) == (id.slot, id.epoch)).cloned();
    let first = waiters.iter().map(|w| w.since).filter(|since| *since != 0).min();
    let [acquired, waited, owners_died] = seen.counts();
    LockInfo {
        name,
        type_name: seen.type_name(),
        parameter: seen.parameter_text(),
        state: seen.state(&mut *is_alive),
        holders: seen.holders().iter().map(|held| holder(held, who)).collect(),
        waiting: waiters.len(),
        waiting_since_unix_ms: unix_of(first.unwrap_or(0)),
        waiters: waiters.iter().map(|waiter| holder(waiter, who)).collect(),
        acquired,
        waited,
        owners_died,
    }
}

fn holder(held: &Held, who: impl Fn(ParticipantId) -> Option<ParticipantInfo>) -> LockHolder {
    let id: ParticipantId = ObjectId::owner(held.id);
    let who = who(id);
    LockHolder {
        participant: id.to_string(),
        pid: who.as_ref().map_or(0, |p| p.pid),
        label: who.as_ref().map_or_else(String::new, |p| p.label.clone()),
        since_unix_ms: unix_of(held.since),
        alive: who.as_ref().is_some_and(|p| p.alive),
        stopped: who.as_ref().is_some_and(|p| p.stopped),
        role: held.role,
    }
}
