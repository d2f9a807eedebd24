//! Who waits for whom, and what is held for whom.

use super::super::{Lag, ParticipantInfo, PublisherInfo, Snapshot, SubscriberInfo};
use super::{Finding, Severity, finding, who};
use crate::mechanisms::topic::orphans::{MAX_ORPHANS, MAX_REMNANTS};
use crate::name::Pattern;
use crate::sys::clock::unix_millis;

pub(super) fn look(seen: &Snapshot, findings: &mut Vec<Finding>) {
    for subscriber in seen.subscribers.iter().filter(|s| s.alive) {
        let Some(reader) = participant(seen, &subscriber.participant) else { continue };
        for lag in &subscriber.lag {
            let Some(publisher) = seen.publishers.iter().find(|p| p.id == lag.publisher) else { continue };
            findings.extend(lagging(seen, (subscriber, reader), publisher, lag));
        }
        if !subscriber.closed
            && subscriber.max_borrowed > 0
            && subscriber.pinned as u64 >= subscriber.max_borrowed
        {
            findings.push(all_borrowed(subscriber, reader));
        }
    }
    findings.extend(seen.participants.iter().filter(|p| p.stopped).map(stopped));
    findings.extend(seen.publishers.iter().filter(|p| !p.orphan).filter_map(|p| pinned_full(seen, p)));
    rings(seen, findings);
    orphans(seen, findings);
}

fn participant<'a>(seen: &'a Snapshot, id: &str) -> Option<&'a ParticipantInfo> {
    seen.participants.iter().find(|p| format!("{}.{}", p.slot, p.epoch) == id)
}

/// Whoever has this id, as far as it is known.
pub(super) fn name_of(seen: &Snapshot, id: &str) -> String {
    participant(seen, id).map_or_else(|| format!("participant {id}, which is gone"), who)
}

/// `for 12 s`, or `now` where it is not known since when.
pub(super) fn for_how_long(since_unix_ms: u64) -> String {
    match since_unix_ms {
        0 => "now".into(),
        since => format!("for {:.1} s", unix_millis().saturating_sub(since) as f64 / 1000.0),
    }
}

/// One that holds its publisher up, or is about to lose messages.
fn lagging(
    seen: &Snapshot,
    (subscriber, reader): (&SubscriberInfo, &ParticipantInfo),
    publisher: &PublisherInfo,
    lag: &Lag,
) -> Option<Finding> {
    let state = if reader.stopped { "is stopped" } else { "has not read on" };
    let far = format!("{} messages behind", lag.messages);
    let of = format!("subscriber '{}' of {}", subscriber.pattern, who(reader));
    let continue_it = format!("continue that process (kill -CONT {}) or end it", reader.pid);
    let nearly_lapped = lag.bytes.saturating_mul(4) >= publisher.capacity.saturating_mul(3);
    // Whoever else is a little behind does not hold it up.
    let messages =
        |s: &SubscriberInfo| s.lag.iter().find(|l| l.publisher == publisher.id).map(|l| l.messages);
    let is_slowest = || {
        seen.subscribers.iter().filter(|s| s.alive).filter_map(messages).all(|behind| behind <= lag.messages)
    };
    if publisher.waiting && publisher.overflow == "block" && (nearly_lapped || is_slowest()) {
        return Some(finding(
            Severity::Warning,
            "blocked",
            format!(
                "publisher of '{}' of {} waits for room ({}): {of} {state}, {far}",
                publisher.topic,
                name_of(seen, &publisher.participant),
                for_how_long(publisher.blocked_since_unix_ms),
            ),
            "with overflow block nothing is lost and nothing gets on: it waits until the slowest subscriber reads, leaves or dies",
            if reader.stopped {
                &continue_it
            } else {
                "read faster, raise capacity, or use overflow drop_oldest"
            },
        ));
    }
    // What was owed by one that ended is told with its ring.
    if publisher.orphan || !nearly_lapped {
        return None;
    }
    let (why, remedy) = match publisher.overflow {
        "drop_oldest" => (
            "the oldest messages are dropped before it reads them; it will see them as missed",
            "read faster, raise capacity, or use overflow block to wait for it",
        ),
        _ => (
            "what is published without room is refused (Full, WouldBlock) or waits",
            "read faster, raise capacity, or use overflow drop_oldest",
        ),
    };
    Some(finding(
        Severity::Warning,
        "lagging",
        format!("{of} {state}: {far} publisher of '{}', nearly the whole ring", publisher.topic),
        why,
        if reader.stopped { &continue_it } else { remedy },
    ))
}

fn stopped(p: &ParticipantInfo) -> Finding {
    finding(
        Severity::Note,
        "stopped",
        format!("participant {} is stopped, by a signal or a debugger", who(p)),
        "it counts as alive: what it has yet to read is kept, and block publishers wait for it",
        &format!("it will continue unharmed: kill -CONT {} wakes it", p.pid),
    )
}

fn all_borrowed(subscriber: &SubscriberInfo, reader: &ParticipantInfo) -> Finding {
    finding(
        Severity::Warning,
        "all_borrowed",
        format!(
            "subscriber '{}' of {} has borrowed {} samples, all it may",
            subscriber.pattern,
            who(reader),
            subscriber.pinned
        ),
        "its next borrow of a large message fails with LimitReached, and no publisher may reuse that memory",
        "release samples when they were read, or raise max_borrowed (at most 1024)",
    )
}

/// A slab of which readers hold most.
fn pinned_full(seen: &Snapshot, publisher: &PublisherInfo) -> Option<Finding> {
    if publisher.pinned == 0
        || publisher.pinned_bytes.saturating_mul(4) < publisher.max_bytes.saturating_mul(3)
    {
        return None;
    }
    let holders = seen.subscribers.iter().filter(|s| s.alive).flat_map(|s| {
        let pins = s.pins.iter().filter(|pin| pin.publisher == publisher.id);
        pins.map(move |pin| format!("{} by '{}' of {}", pin.slots, s.pattern, name_of(seen, &s.participant)))
    });
    Some(finding(
        Severity::Warning,
        "pinned",
        format!(
            "readers hold {} KiB of the {} KiB slab of '{}' of {}: {}",
            publisher.pinned_bytes >> 10,
            publisher.max_bytes >> 10,
            publisher.topic,
            name_of(seen, &publisher.participant),
            holders.collect::<Vec<_>>().join(", ")
        ),
        "a slot that is borrowed is not reused: publishing messages over 2 KiB waits or fails with LimitReached",
        "release samples sooner, copy what is kept (receive instead of borrow), or raise the publisher's max_bytes",
    ))
}

fn rings(seen: &Snapshot, findings: &mut Vec<Finding>) {
    for ring in seen.rings.iter().filter(|ring| ring.blocked_since_unix_ms != 0) {
        let (consumer, remedy) = if ring.consumer {
            ("its consumer does not read on", "read faster, or make the ring with a larger capacity")
        } else {
            ("it has no consumer", "open its consumer, or push with a timeout")
        };
        findings.push(finding(
            Severity::Warning,
            "ring_blocked",
            format!(
                "the producer of ring '{}' waits for room ({}): {consumer}, {} messages are unread",
                ring.name,
                for_how_long(ring.blocked_since_unix_ms),
                ring.pending_messages
            ),
            "a ring drops nothing: its producer waits until there is room",
            remedy,
        ));
    }
}

/// What finished publishers still hold, and for whom.
fn orphans(seen: &Snapshot, findings: &mut Vec<Finding>) {
    for p in seen.publishers.iter().filter(|p| p.orphan && !p.remnant) {
        let debtors: Vec<String> = seen
            .subscribers
            .iter()
            .filter(|s| s.alive && s.lag.iter().any(|lag| lag.publisher == p.id))
            .map(|s| format!("'{}' of {}", s.pattern, name_of(seen, &s.participant)))
            .collect();
        // Without a debtor it is retained, or about to be collected; a dead one's is among what was left behind.
        if debtors.is_empty() && !p.alive {
            continue;
        }
        let how = if p.closed { "ended" } else { "died" };
        let held = p.capacity.saturating_add(p.slab_bytes);
        let drop = format!("`axonic unlink topic {}` drops it", p.topic);
        let (whom, until, remedy) = if debtors.is_empty() {
            ("readers still to come".into(), "retained messages are kept without end", drop)
        } else {
            let until =
                "what was published before its end is still read, exactly once; until then it takes memory";
            (
                debtors.join(", "),
                until,
                format!("it goes when they have read it, unless it is retained; {drop}"),
            )
        };
        findings.push(finding(
            Severity::Note,
            "orphan",
            format!(
                "a finished publisher of '{}' ({how}, {}) holds {held} bytes for {whom}",
                p.topic,
                name_of(seen, &p.participant)
            ),
            until,
            &remedy,
        ));
    }
    for t in &seen.topics {
        let near = |count: usize, most: usize| count * 4 >= most * 3;
        if !near(t.orphans, MAX_ORPHANS) && !near(t.remnants, MAX_REMNANTS) {
            continue;
        }
        let silent: Vec<String> = seen
            .subscribers
            .iter()
            .filter(|s| s.alive && !s.closed && Pattern::new(&s.pattern).is_ok_and(|p| p.matches(&t.topic)))
            .map(|s| format!("'{}' of {}", s.pattern, name_of(seen, &s.participant)))
            .collect();
        let silent = if silent.is_empty() { "nobody".into() } else { silent.join(", ") };
        // Unless the subscriber comes round, nobody can open a publisher any more.
        let full = t.orphans >= MAX_ORPHANS && t.remnants >= MAX_REMNANTS;
        findings.push(finding(
            if full { Severity::Problem } else { Severity::Warning },
            "orphans",
            format!(
                "topic '{}': {} of at most {MAX_ORPHANS} finished publishers wait for a reader, and {} of at most {MAX_REMNANTS} remnants; subscribed: {silent}",
                t.topic, t.orphans, t.remnants
            ),
            "beyond the first limit the oldest drop_oldest publishers lose their messages (the others, and all beyond the second, make opening one more fail with LimitReached)",
            &format!("let the subscriber read, or close it; `axonic unlink topic {}` drops what is left", t.topic),
        ));
    }
}
