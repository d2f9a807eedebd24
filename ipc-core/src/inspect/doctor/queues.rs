//! Queues in which nothing gets on, or from which somebody must take something.

use super::super::journals::examine;
use super::super::{QueueHandle, QueueInfo, QueueOnDisk, Snapshot, queues_on_disk};
use super::waits::for_how_long;
use super::{Finding, Severity, finding};
use crate::domain::DomainOptions;
use crate::error::Result;
use crate::mechanisms::journal::Torn;

pub(super) fn look(seen: &Snapshot, findings: &mut Vec<Finding>) {
    for queue in &seen.queues {
        findings.extend(full(queue));
        let stuck = |h: &&QueueHandle| h.leased > 0 && (h.stopped || !h.alive);
        findings.extend(queue.handles.iter().filter(stuck).map(|h| held(queue, h)));
        let locks = [(&queue.writer, "the journal"), (&queue.entering, "the ids")];
        let stopped = |(holder, what): &(&Option<QueueHandle>, &'static str)| {
            holder.as_ref().filter(|holder| holder.stopped).map(|holder| locked(queue, holder, what))
        };
        findings.extend(locks.iter().filter_map(stopped));
        if queue.stats.dead > 0 {
            findings.push(dead_letters(queue));
        }
    }
}

/// Queues of which only the journal is there.
pub(super) fn on_disk(options: &DomainOptions) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for queue in queues_on_disk(options)? {
        found.extend(examine(options, &queue)?.map(|read| journal(&queue, read)));
    }
    Ok(found)
}

fn journal(queue: &QueueOnDisk, read: Result<Option<Torn>>) -> Finding {
    let name = &queue.name;
    let mut what = format!(
        "queue '{name}' is on the disk only: it was not opened since the machine was started, or since it was left empty"
    );
    let back = format!(
        "start the program it belongs to, or read it back with `axonic queue get {name} --durable --count 0`"
    );
    let delivered = "what is in it is delivered once somebody opens it";
    let (severity, kind, why, remedy) = match read {
        Ok(None) => (Severity::Note, "queue_on_disk", delivered.into(), back),
        Ok(Some(torn)) => {
            what += &format!(
                "; the last {} bytes of its journal are not whole, as after a power cut",
                torn.bytes
            );
            let why = format!("{delivered}, except for these bytes, which are cut off then");
            (Severity::Note, "queue_on_disk", why, back)
        }
        Err(e) if e.is_damage() => {
            what += &format!("; its journal cannot be read: {e}");
            let why = "nobody can open it, and what is in it is not delivered".into();
            (Severity::Problem, "queue_journal_damaged", why, "put back a copy of its directory".into())
        }
        Err(e) => {
            what += &format!("; its journal could not be looked into: {e}");
            let why = "what is in it is delivered once somebody opens it, if its journal is whole".into();
            (Severity::Note, "queue_on_disk", why, back)
        }
    };
    let remedy = format!("{remedy}; `axonic unlink queue {name}` drops it");
    Finding { path: Some(queue.path.clone()), ..finding(severity, kind, what, &why, &remedy) }
}

/// Why there is no room.
fn full(queue: &QueueInfo) -> Option<Finding> {
    let (name, stats) = (&queue.name, &queue.stats);
    let inside = [stats.ready, stats.delayed, stats.leased, stats.done, stats.dead];
    let messages = inside.into_iter().fold(0, u64::saturating_add);
    let blocked: Vec<&QueueHandle> = queue.handles.iter().filter(|h| h.blocked_since_unix_ms != 0).collect();
    if blocked.is_empty() && (queue.consumers > 0 || messages < stats.capacity) {
        return None;
    }
    let waits = blocked.iter().map(|h| {
        format!("'{}' (pid {}) waits for room ({})", h.label, h.pid, for_how_long(h.blocked_since_unix_ms))
    });
    let waits: Vec<String> = waits.collect();
    let waits = if waits.is_empty() { "nobody waits for room yet".into() } else { waits.join(", ") };
    let (why, remedy) = match queue.consumers {
        0 => ("nobody consumes it: producers wait until somebody does", "start a consumer"),
        _ if stats.ready == 0 => (
            "its places are taken by messages that are not delivered now",
            "settle what is held, fetch results",
        ),
        _ => ("its consumers do not keep up", "add consumers, or work faster"),
    };
    Some(finding(
        Severity::Warning,
        if blocked.is_empty() { "queue_full" } else { "queue_blocked" },
        format!(
            "queue '{name}' has {messages} of {} messages and {} of {} bytes of large ones ({} ready, {} for later, {} held, {} results, {} dead letters), and {} consumers; {waits}",
            stats.capacity,
            stats.bytes,
            stats.max_bytes,
            stats.ready,
            stats.delayed,
            stats.leased,
            stats.done,
            stats.dead,
            queue.consumers
        ),
        why,
        &format!("{remedy}, or make the queue with a larger capacity or max_bytes{}", drops(queue)),
    ))
}

/// What makes room at once, of what there is.
fn drops(queue: &QueueInfo) -> String {
    let (name, stats) = (&queue.name, &queue.stats);
    let mut drops = String::new();
    if stats.ready + stats.delayed > 0 {
        drops += &format!("; `axonic queue purge {name}` drops what is to be delivered");
    }
    if stats.dead > 0 {
        drops += &format!("; `axonic queue purge --dead {name}` drops the dead letters");
    }
    drops
}

/// Messages of one that cannot settle them now, or ever.
fn held(queue: &QueueInfo, handle: &QueueHandle) -> Finding {
    let (severity, how, why, remedy) = if handle.alive {
        (
            Severity::Warning,
            "is stopped",
            "it counts as alive: unless it took them with a lease, nobody else gets them",
            format!("continue that process (kill -CONT {}) or end it", handle.pid),
        )
    } else {
        (
            Severity::Note,
            "died",
            "whoever looks at the queue next gives them to others; nobody has since",
            "start a consumer".into(),
        )
    };
    let QueueHandle { label, pid, leased, leased_since_unix_ms: since, .. } = handle;
    finding(
        severity,
        "queue_held",
        format!(
            "'{label}' (pid {pid}), which {how}, has {leased} messages of queue '{}', the oldest {}",
            queue.name,
            for_how_long(*since)
        ),
        why,
        &remedy,
    )
}

/// What only one at a time may write is held by one that does not go on.
fn locked(queue: &QueueInfo, handle: &QueueHandle, what: &str) -> Finding {
    let QueueHandle { label, pid, .. } = handle;
    finding(
        Severity::Warning,
        "queue_locked",
        format!("'{label}' (pid {pid}) is stopped and holds {what} of queue '{}'", queue.name),
        "it counts as alive: all who have to write there wait until it goes on or ends",
        &format!("continue that process (kill -CONT {pid}) or end it"),
    )
}

fn dead_letters(queue: &QueueInfo) -> Finding {
    let (name, dead) = (&queue.name, queue.stats.dead);
    finding(
        Severity::Note,
        "queue_dead_letters",
        format!("queue '{name}' has {dead} dead letters, of {} messages it can hold", queue.stats.capacity),
        "nobody is delivered them any more, and they take the places of others",
        &format!(
            "`axonic queue peek --dead {name}` tells why; `axonic queue redrive {name}` has them delivered again, `axonic queue purge --dead {name}` drops them"
        ),
    )
}
