//! Channels on which nothing gets on, and services that nobody works for.

use super::super::{ChannelEnd, ChannelInfo, ListenerInfo, ServiceInfo, Snapshot, snapshot};
use super::waits::{for_how_long, name_of};
use super::{Finding, Severity, finding};
use crate::domain::DomainOptions;
use crate::error::Result;
use crate::sys::clock::unix_millis;
use std::time::Duration;

/// Milliseconds before who waits to be accepted is worth a word.
const LONG: u64 = 500;

/// A service that has taken a call within this time is at work.
const SECOND_LOOK: Duration = Duration::from_millis(50);

pub(super) fn look(options: &DomainOptions, seen: &Snapshot, findings: &mut Vec<Finding>) -> Result<()> {
    let late = |since: u64| unix_millis().saturating_sub(since) >= LONG;
    let waited_for = |l: &&ListenerInfo| l.alive && l.waiting > 0 && late(l.waiting_since_unix_ms);
    findings.extend(seen.listeners.iter().filter(waited_for).map(|l| not_accepted(seen, l)));
    for channel in &seen.channels {
        if let Some(server) = &channel.server {
            findings.extend(blocked(channel, &channel.client, server));
            findings.extend(blocked(channel, server, &channel.client));
        }
    }
    let idle: Vec<&ServiceInfo> = seen.services.iter().filter(|s| s.alive && has_unread(s)).collect();
    if idle.is_empty() {
        return Ok(());
    }
    // What is there at one instant may be taken at the next.
    std::thread::sleep(SECOND_LOOK);
    let then = snapshot(options)?;
    for service in idle {
        let same = |other: &&ServiceInfo| (other.id, other.calls) == (service.id, service.calls);
        let still = then.services.iter().find(same).filter(|later| has_unread(later));
        findings.extend(still.map(|later| not_served(seen, later)));
    }
    Ok(())
}

fn has_unread(service: &ServiceInfo) -> bool {
    service.waiting > 0 || service.unread_bytes > 0
}

fn is_stopped(seen: &Snapshot, participant: &str) -> Option<u32> {
    let is_it = |p: &&super::ParticipantInfo| format!("{}.{}", p.slot, p.epoch) == participant;
    seen.participants.iter().find(is_it).filter(|p| p.stopped).map(|p| p.pid)
}

fn continue_it(pid: u32) -> String {
    format!("continue that process (kill -CONT {pid}) or end it")
}

/// Who waits for a listener that does not accept.
fn not_accepted(seen: &Snapshot, listener: &ListenerInfo) -> Finding {
    let waits = |c: &&ChannelInfo| c.server.is_none() && c.listener == listener.name;
    let waiters: Vec<String> = seen.channels.iter().filter(waits).map(|c| who(&c.client)).collect();
    let stopped = is_stopped(seen, &listener.participant);
    let does = if stopped.is_some() { "is stopped" } else { "does not accept" };
    finding(
        Severity::Warning,
        "channel_not_accepted",
        format!(
            "{} wait to be accepted by listener '{}', the first {}: {}; {}, which listens, {does}",
            listener.waiting,
            listener.name,
            for_how_long(listener.waiting_since_unix_ms),
            waiters.join(", "),
            name_of(seen, &listener.participant),
        ),
        "they wait until it accepts, ends, or their time is over",
        &stopped.map_or_else(|| "see what it does, or connect with a timeout".into(), continue_it),
    )
}

fn who(end: &ChannelEnd) -> String {
    format!("'{}' (pid {})", end.label, end.pid)
}

/// An end that waits for room, and the one that does not read.
fn blocked(channel: &ChannelInfo, writer: &ChannelEnd, reader: &ChannelEnd) -> Option<Finding> {
    if writer.blocked_since_unix_ms == 0 || !reader.alive {
        return None;
    }
    let does = if reader.stopped { "is stopped" } else { "does not read on" };
    Some(finding(
        Severity::Warning,
        "channel_blocked",
        format!(
            "{} waits for room on its channel of '{}' ({}): {} {does}, {} bytes are unread",
            who(writer),
            channel.listener,
            for_how_long(writer.blocked_since_unix_ms),
            who(reader),
            writer.pending_bytes,
        ),
        "a channel loses nothing: who sends waits until the other end has read",
        &match reader.stopped {
            true => continue_it(reader.pid),
            false => "receive faster there, or send with a timeout".into(),
        },
    ))
}

/// A provider that takes no calls, though there are some.
fn not_served(seen: &Snapshot, service: &ServiceInfo) -> Finding {
    let ServiceInfo { name, version, clients, waiting, unread_bytes, at_work, concurrency, .. } = service;
    let stopped = is_stopped(seen, &service.participant);
    let (does, remedy) = match stopped {
        Some(pid) => ("is stopped", continue_it(pid)),
        None if at_work >= concurrency => {
            ("has as many calls at work as may be", "raise its concurrency, or start more providers".into())
        }
        None => ("takes none", "see that it takes calls (`next`, `serve`) and what its handlers do".into()),
    };
    finding(
        Severity::Warning,
        "service_not_served",
        format!(
            "service '{name}@{version}' of {} {does}: {waiting} clients wait to be let in, {unread_bytes} bytes of {clients} others are unread; {at_work} calls of at most {concurrency} are at work",
            name_of(seen, &service.participant),
        ),
        "its callers wait until it answers, ends, or their time is over",
        &remedy,
    )
}
