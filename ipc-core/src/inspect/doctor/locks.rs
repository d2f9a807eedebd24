//! Locks that are waited for, and those whose owners died.

use super::super::{LockHolder, LockInfo, Snapshot};
use super::waits::for_how_long;
use super::{Finding, Severity, finding};
use crate::sys::clock::unix_millis;
use std::collections::HashSet;

/// So many who wait are named.
const NAMED: usize = 5;
/// Milliseconds before who waits is taken to wait in a circle: what is seen is not of one instant.
const LONG: u64 = 500;

pub(super) fn look(seen: &Snapshot, findings: &mut Vec<Finding>) {
    findings.extend(deadlock(seen));
    for lock in &seen.locks {
        if lock.waiting > 0 && !lock.holders.is_empty() {
            findings.push(waited_for(lock));
        } else if lock.state.ends_with(" died") {
            findings.push(owner_died(lock));
        }
    }
}

fn named(lock: &LockInfo) -> String {
    format!("{} '{}'", lock.type_name, lock.name)
}

fn who(holder: &LockHolder) -> String {
    format!("'{}' (pid {})", holder.label, holder.pid)
}

fn holders(lock: &LockInfo) -> String {
    let holder = |h: &LockHolder| {
        let how = match (h.alive, h.stopped) {
            (false, _) => ", which died",
            (true, true) => ", which is stopped",
            _ => "",
        };
        format!("{} {}{how}, {}", h.role, who(h), for_how_long(h.since_unix_ms))
    };
    lock.holders.iter().map(holder).collect::<Vec<_>>().join("; ")
}

/// Who waits for a lock, and for whom.
fn waited_for(lock: &LockInfo) -> Finding {
    let named_ones = lock.waiters.iter().take(NAMED);
    let mut waiters: Vec<String> =
        named_ones.map(|w| format!("{}, {}", who(w), for_how_long(w.since_unix_ms))).collect();
    if lock.waiters.len() > NAMED {
        waiters.push(format!("and {} more", lock.waiters.len() - NAMED));
    }
    let stopped = lock.holders.iter().find(|h| h.stopped);
    finding(
        Severity::Warning,
        "lock_waited_for",
        format!(
            "{} wait for {} ({}), {}: {}; it is had by {}",
            lock.waiting,
            named(lock),
            lock.state,
            for_how_long(lock.waiting_since_unix_ms),
            waiters.join("; "),
            holders(lock)
        ),
        match lock.type_name {
            // Who waits at a barrier waits for those who are not there.
            "barrier" => "they wait until all parties have arrived",
            _ => "they wait until it is given back; if its holder dies it comes back by itself",
        },
        &stopped.map_or_else(
            || "see what its holder does, hold it for less long, or wait with a timeout".into(),
            |h| format!("continue that process (kill -CONT {}) or end it", h.pid),
        ),
    )
}

fn owner_died(lock: &LockInfo) -> Finding {
    finding(
        Severity::Note,
        "lock_owner_died",
        format!("{} was had by {}; nobody has taken it since", named(lock), holders(lock)),
        "what it protects may be half-changed: whoever takes it next is told",
        &format!(
            "lock it and set right what it protects, or drop it with `axonic unlink lock {}`",
            lock.name
        ),
    )
}

/// Participants each of which waits for a lock that the next one has.
fn deadlock(seen: &Snapshot) -> Option<Finding> {
    let since = |waiter: &LockHolder| unix_millis().saturating_sub(waiter.since_unix_ms);
    let is_long = |waiter: &&LockHolder| waiter.since_unix_ms != 0 && since(waiter) >= LONG;
    // Anybody's permit of a semaphore will do, so that it is not one holder who is waited for.
    let locks = seen.locks.iter().filter(|lock| matches!(lock.type_name, "mutex" | "rwlock"));
    let mut waits: Vec<(&LockHolder, &LockInfo, &LockHolder)> = locks
        .flat_map(|lock| lock.waiters.iter().filter(is_long).map(move |waiter| (waiter, lock)))
        .flat_map(|(waiter, lock)| lock.holders.iter().map(move |holder| (waiter, lock, holder)))
        .filter(|(waiter, _, holder)| holder.alive && holder.participant != waiter.participant)
        .collect();
    // Whoever waits for nobody goes on, and whoever nobody waits for holds nobody up: what is left goes round.
    loop {
        let before = waits.len();
        let waiters: HashSet<&str> = waits.iter().map(|(waiter, ..)| waiter.participant.as_str()).collect();
        let holders: HashSet<&str> = waits.iter().map(|(.., holder)| holder.participant.as_str()).collect();
        waits.retain(|(waiter, _, holder)| {
            waiters.contains(holder.participant.as_str()) && holders.contains(waiter.participant.as_str())
        });
        if waits.len() == before {
            break;
        }
    }
    let told = |(waiter, lock, holder): &(&LockHolder, &LockInfo, &LockHolder)| {
        format!("{} waits for {}, which {} has", who(waiter), named(lock), who(holder))
    };
    let told: Vec<String> = waits.iter().map(told).collect();
    (!told.is_empty()).then(|| {
        finding(
            Severity::Warning,
            "lock_deadlock",
            format!("deadlock: {}", told.join("; ")),
            "each waits for what another of them has: none goes on, unless another thread of one gives its lock back",
            "end one of them; take locks in the same order everywhere, or wait with a timeout and give back what is had",
        )
    })
}
