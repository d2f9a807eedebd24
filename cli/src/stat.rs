//! `axonic stat`: every counter of a domain, and what deserves a look.

use std::collections::BTreeMap;
use std::io::Write;

use axonic::{LockInfo, PublisherInfo, QueueHandle, QueueInfo};

use crate::channels;
use crate::human::{bytes, label, plural, since};
use crate::lock;
use crate::ls;
use crate::openmetrics;
use crate::output::{Output, Style, complain};
use crate::place::Place;
use crate::stop::{Outcome, Stop};
use crate::table::Table;
use crate::view::{View, held, id, lag, publisher_state, subscriber_state};

const EXAMPLES: &str = "\
Examples:
  axonic stat                                      counters, and who lags, waits or pins memory
  axonic stat --domain demo --json | jq .publishers
  axonic stat --json | jq '.subscribers[] | select(.missed > 0) | .pattern'
  axonic stat --openmetrics | sponge /var/lib/node_exporter/axonic.prom   all domains, for Prometheus";

/// Show all counters: who lags, who waits, who pins memory, what was orphaned
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// One JSON object with everything there is to see
    #[arg(long)]
    json: bool,
    /// OpenMetrics text, for Prometheus and its kin; without --domain of every domain
    #[arg(long, conflicts_with = "json")]
    openmetrics: bool,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let mut out = Output::open()?;
    if args.openmetrics {
        write!(out, "{}", exposition(place)?)?;
        out.flush()?;
        return Ok(0);
    }
    let view = View::take(place, "stat")?;
    if args.json {
        serde_json::to_writer_pretty(&mut out, &view.snapshot)?;
        writeln!(out)?;
    } else {
        print(&mut out, &view)?;
    }
    out.flush()?;
    Ok(0)
}

/// One domain, or all: whoever scrapes a machine need not know their names.
fn exposition(place: &Place) -> Result<String, Stop> {
    let Some(name) = &place.domain else {
        let (mut seen, mut unreadable) = (Vec::new(), Vec::new());
        for name in place.domains()? {
            match View::take(&place.with_domain(&name), "stat") {
                Ok(view) => seen.push(view.snapshot),
                // It ended since the directory was read.
                Err(Stop::NotFound(_)) => {}
                Err(stop) => {
                    complain(format!("{name}: {stop}"));
                    unreadable.push(name);
                }
            }
        }
        return Ok(openmetrics::text(&seen, &unreadable));
    };
    Ok(openmetrics::text(&[View::take(&place.with_domain(name), "stat")?.snapshot], &[]))
}

fn print(out: &mut Output<'_>, view: &View) -> Result<(), Stop> {
    let snapshot = &view.snapshot;
    let alive = snapshot.participants.iter().filter(|p| p.alive).count();
    let name = out.paint(Style::Name, &snapshot.domain);
    writeln!(
        out,
        "{name}  {} of shared memory, {}, {}, {}, {}, {}, {}, {}",
        bytes(snapshot.bytes),
        plural(alive as u64, "live participant"),
        plural(snapshot.regions.len() as u64, "region"),
        plural(snapshot.rings.len() as u64, "ring"),
        plural((snapshot.queues.len() + view.on_disk.len()) as u64, "queue"),
        plural(snapshot.locks.len() as u64, "lock"),
        plural(snapshot.services.len() as u64, "service"),
        plural(snapshot.channels.len() as u64, "channel"),
    )?;
    let (queues, locks) = (&snapshot.queues, &snapshot.locks);
    let of_topics = [topics(view), publishers(view), subscribers(view), lags(view), pins(view)];
    let of_queues = [rings(view), ls::queues(queues, &view.on_disk), queue_counters(queues)];
    let of_locks = [lock::locks(locks), lock_counters(locks)];
    let of_channels = [channels::listeners(view), channels::services(view), channels::channels(view)];
    for table in of_topics.into_iter().chain(of_queues).chain(of_locks).chain(of_channels) {
        if !table.is_empty() {
            writeln!(out)?;
            table.print(out, 0)?;
        }
    }
    let notes = notes(view);
    if !notes.is_empty() {
        writeln!(out)?;
    }
    for note in notes {
        writeln!(out, "{} {note}", out.paint(Style::Warning, "!"))?;
    }
    Ok(())
}

fn topics(view: &View) -> Table {
    let mut table = Table::new([
        "TOPIC",
        ">PUBLISHERS",
        ">SUBSCRIBERS",
        ">PUBLISHED",
        ">BLOCKED",
        ">WAKES",
        ">ELIDED",
        ">RINGS",
        ">ORPHANS",
        ">REMNANTS",
        ">PINNED",
    ]);
    for t in &view.snapshot.topics {
        table.row([
            t.topic.clone(),
            t.publishers.to_string(),
            t.subscribers.to_string(),
            t.published.to_string(),
            t.blocked.to_string(),
            t.wakes_sent.to_string(),
            t.wakes_elided.to_string(),
            t.rings.to_string(),
            t.orphans.to_string(),
            t.remnants.to_string(),
            t.pinned.to_string(),
        ]);
    }
    table
}

fn publishers(view: &View) -> Table {
    let mut table = Table::new([
        "TOPIC",
        "PUBLISHER",
        "OVERFLOW",
        ">PUBLISHED",
        ">BYTES",
        ">BLOCKED",
        ">WAKES",
        ">ELIDED",
        ">RING",
        ">SLAB",
        ">PINNED",
        "STATE",
    ]);
    for p in &view.snapshot.publishers {
        table.row([
            p.topic.clone(),
            view.who(&p.participant),
            p.overflow.into(),
            p.published.to_string(),
            bytes(p.bytes),
            p.blocked.to_string(),
            p.wakes_sent.to_string(),
            p.wakes_elided.to_string(),
            bytes(p.capacity),
            bytes(p.slab_bytes),
            p.pinned.to_string(),
            publisher_state(view, p).into(),
        ]);
    }
    table
}

fn subscribers(view: &View) -> Table {
    let mut table = Table::new([
        "PATTERN",
        "SUBSCRIBER",
        ">RECEIVED",
        ">BYTES",
        ">MISSED",
        ">LAG",
        ">PINNED",
        ">RINGS",
        ">ORPHANS",
        "STATE",
    ]);
    for s in &view.snapshot.subscribers {
        table.row([
            s.pattern.clone(),
            view.who(&s.participant),
            s.received.to_string(),
            bytes(s.bytes),
            s.missed.to_string(),
            lag(s).to_string(),
            s.pinned.to_string(),
            s.rings.to_string(),
            s.orphans.to_string(),
            subscriber_state(view, s).into(),
        ]);
    }
    table
}

/// Who lags, behind whom, by how much: the worst first.
fn lags(view: &View) -> Table {
    let mut table = Table::new(["LAGGING", "TOPIC", "BEHIND", ">MESSAGES"]);
    let mut all: Vec<_> = view
        .snapshot
        .subscribers
        .iter()
        .flat_map(|subscriber| subscriber.lag.iter().map(move |lag| (subscriber, lag)))
        .filter(|(_, lag)| lag.messages > 0)
        .collect();
    all.sort_by_key(|(_, lag)| std::cmp::Reverse(lag.messages));
    for (subscriber, lag) in all {
        let (topic, publisher) = origin(view, lag.publisher);
        table.row([view.who(&subscriber.participant), topic, publisher, lag.messages.to_string()]);
    }
    table
}

/// Who holds slots of whose slab.
fn pins(view: &View) -> Table {
    let mut table = Table::new(["PINNING", "TOPIC", "MEMORY OF", ">SLOTS"]);
    for subscriber in &view.snapshot.subscribers {
        for pin in &subscriber.pins {
            let (topic, publisher) = origin(view, pin.publisher);
            table.row([view.who(&subscriber.participant), topic, publisher, pin.slots.to_string()]);
        }
    }
    table
}

/// Topic and participant of a publisher.
fn origin(view: &View, publisher: u64) -> (String, String) {
    match view.publisher(publisher) {
        Some(info) => (info.topic.clone(), view.who(&info.participant)),
        None => ("-".to_owned(), "gone".to_owned()),
    }
}

fn rings(view: &View) -> Table {
    let mut table = Table::new([
        "RING",
        ">MESSAGES",
        ">UNREAD",
        ">PENDING",
        ">BLOCKED",
        ">WAKES",
        ">ELIDED",
        ">CAPACITY",
        "PRODUCER",
        "CONSUMER",
    ]);
    for ring in &view.snapshot.rings {
        table.row([
            ring.name.clone(),
            ring.messages.to_string(),
            ring.pending_messages.to_string(),
            bytes(ring.pending_bytes),
            ring.blocked.to_string(),
            ring.wakes_sent.to_string(),
            ring.wakes_elided.to_string(),
            bytes(ring.capacity),
            held(ring.producer).into(),
            held(ring.consumer).into(),
        ]);
    }
    table
}

/// What the handles of each queue have done since it was made.
pub(crate) fn queue_counters(queues: &[QueueInfo]) -> Table {
    let mut table = Table::new([
        "QUEUE",
        ">PUT",
        ">DELIVERED",
        ">ACKED",
        ">RETURNED",
        ">BURIED",
        ">BLOCKED",
        ">WAKES",
        "OLDEST HELD BY",
        ">FOR",
    ]);
    for queue in queues {
        let stats = &queue.stats;
        let oldest = queue.oldest_holder.as_ref();
        table.row([
            queue.name.clone(),
            stats.put.to_string(),
            stats.delivered.to_string(),
            stats.acked.to_string(),
            stats.returned.to_string(),
            stats.buried.to_string(),
            stats.blocked.to_string(),
            stats.wakes_sent.to_string(),
            oldest.map_or("-".into(), queue_handle),
            oldest.map_or("-".into(), |handle| since(handle.leased_since_unix_ms)),
        ]);
    }
    table
}

/// What the handles of each lock that are open have done.
fn lock_counters(locks: &[LockInfo]) -> Table {
    let mut table = Table::new(["LOCK", ">ACQUIRED", ">WAITED", ">OWNERS DIED"]);
    for lock in locks {
        table.row([
            lock.name.clone(),
            lock.acquired.to_string(),
            lock.waited.to_string(),
            lock.owners_died.to_string(),
        ]);
    }
    table
}

/// `label(pid)`, and what is the matter with it.
pub(crate) fn queue_handle(handle: &QueueHandle) -> String {
    let state = match handle {
        h if !h.alive => ", dead",
        h if h.stopped => ", stopped",
        _ => "",
    };
    format!("{}({}){state}", label(&handle.label), handle.pid)
}

/// `, for 3 s` where it is known since when.
fn blocked_for(since_unix_ms: u64) -> String {
    if since_unix_ms == 0 { String::new() } else { format!(", for {}", since(since_unix_ms)) }
}

/// What deserves a look, in sentences.
fn notes(view: &View) -> Vec<String> {
    let mut notes = Vec::new();
    // Behind a subscriber that never reads there may be a thousand.
    let mut ended: BTreeMap<(&str, bool), Vec<&PublisherInfo>> = BTreeMap::new();
    for p in view.snapshot.publishers.iter().filter(|p| p.orphan) {
        ended.entry((&p.topic, p.remnant)).or_default().push(p);
    }
    for ((topic, remnant), publishers) in ended {
        let (who, whose) = match &publishers[..] {
            [one] => (view.who(&one.participant), "its"),
            all => (format!("{} publishers", all.len()), "their"),
        };
        notes.push(if remnant {
            format!("{topic}: {who} ended and {whose} messages were dropped; those who were owed them are still to be told")
        } else {
            format!("{topic}: {who} ended, {whose} messages stay for those who have yet to read them")
        });
    }
    for p in view.snapshot.publishers.iter().filter(|p| p.waiting && !p.orphan) {
        notes.push(format!(
            "{}: {} waits for a subscriber to make room{}",
            p.topic,
            view.who(&p.participant),
            blocked_for(p.blocked_since_unix_ms)
        ));
    }
    for queue in &view.snapshot.queues {
        for handle in queue.handles.iter().filter(|h| h.blocked_since_unix_ms != 0) {
            let (name, who) = (&queue.name, queue_handle(handle));
            notes.push(format!("{name}: {who} waits for room{}", blocked_for(handle.blocked_since_unix_ms)));
        }
    }
    for queue in &view.snapshot.queues {
        for handle in queue.handles.iter().filter(|h| !h.alive && h.leased > 0) {
            let (name, who, held) = (&queue.name, queue_handle(handle), plural(handle.leased, "message"));
            notes.push(format!(
                "{name}: {who}, has {held}; they are delivered again once somebody looks at the queue"
            ));
        }
    }
    for lock in view.snapshot.locks.iter().filter(|lock| lock.state.ends_with(" died")) {
        for holder in lock.holders.iter().filter(|holder| !holder.alive) {
            let (name, who) = (&lock.name, view.who(&holder.participant));
            notes.push(format!("{name}: {who} died while it had it; whoever takes it next is told"));
        }
    }
    notes.extend(channels::notes(view));
    for s in view.snapshot.subscribers.iter().filter(|s| s.alive && s.missed > 0) {
        let missed = s.missed;
        notes.push(format!("{}: {} missed {missed} so far", s.pattern, view.who(&s.participant)));
    }
    for p in &view.snapshot.participants {
        let who = view.who(&id(p));
        if p.stopped {
            notes.push(format!(
                "{who} is stopped; it continues unharmed when it is woken (kill -CONT {})",
                p.pid
            ));
        } else if !p.alive {
            notes.push(format!("{who} died: `axonic doctor` tells what it left"));
        }
    }
    notes
}
