//! `axonic ls`: which domains there are, and what is in one.

use std::collections::BTreeMap;
use std::io::Write;

use axonic::{Pattern, QueueInfo, QueueOnDisk};

use crate::channels;
use crate::human::{bytes, label, plural, printable, since};
use crate::lock::locks;
use crate::output::{Output, Style};
use crate::place::Place;
use crate::stop::{Outcome, Stop};
use crate::table::Table;
use crate::view::{View, held, id};

const EXAMPLES: &str = "\
Examples:
  axonic ls              all domains
  axonic ls demo         participants, topics, regions, rings, queues, locks, listeners, services and channels of the
                         domain demo";

/// List domains, or the objects of a domain
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The domain to look into; without it (and without --domain) all domains are listed
    #[arg(value_name = "DOMAIN")]
    name: Option<String>,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let mut out = Output::open()?;
    match (&args.name, &place.domain) {
        (Some(name), Some(domain)) if name != domain => {
            return Err(Stop::usage(format!(
                "two domains given, {name} and --domain {domain}: leave one out"
            )));
        }
        (Some(name), _) | (None, Some(name)) => {
            objects(&mut out, &View::take(&place.with_domain(name), "ls")?)?;
        }
        (None, None) => domains(&mut out, place)?,
    }
    out.flush()?;
    Ok(0)
}

/// One line per domain, and one for the queues of each that are on the disk only. One that cannot be read is listed with the
/// reason.
fn domains(out: &mut Output<'_>, place: &Place) -> Result<(), Stop> {
    let names = place.domains_and_left()?;
    if names.is_empty() {
        writeln!(out, "no domains in {}", place.directory()?.display())?;
        return Ok(());
    }
    let mut table = Table::new([
        "DOMAIN",
        ">PARTICIPANTS",
        ">TOPICS",
        ">REGIONS",
        ">RINGS",
        ">QUEUES",
        ">LOCKS",
        ">SERVICES",
        ">CHANNELS",
        ">MEMORY",
    ]);
    let (mut unreadable, mut on_disk) = (Vec::new(), Vec::new());
    for name in names {
        match View::take(&place.with_domain(&name), "ls") {
            Ok(view) => {
                table.row(summary(&view));
                let queues: Vec<String> = view.on_disk.iter().map(|queue| queue.name.clone()).collect();
                if !queues.is_empty() {
                    on_disk.push(format!("{name}: on the disk only: {}", people(&queues)));
                }
            }
            // It ended since the directory was read.
            Err(Stop::NotFound(_)) => {}
            Err(stop) => unreadable.push(format!("{name}: {stop}")),
        }
    }
    table.print(out, 0)?;
    for line in on_disk {
        writeln!(out, "{}", out.paint(Style::Quiet, &line))?;
    }
    for line in unreadable {
        writeln!(out, "{}", out.paint(Style::Warning, &printable(&line)))?;
    }
    Ok(())
}

fn summary(view: &View) -> [String; 10] {
    let snapshot = &view.snapshot;
    let alive = snapshot.participants.iter().filter(|p| p.alive).count();
    [
        snapshot.domain.clone(),
        alive.to_string(),
        topics(view).len().to_string(),
        snapshot.regions.len().to_string(),
        snapshot.rings.len().to_string(),
        (snapshot.queues.len() + view.on_disk.len()).to_string(),
        snapshot.locks.len().to_string(),
        snapshot.services.len().to_string(),
        snapshot.channels.len().to_string(),
        bytes(snapshot.bytes),
    ]
}

/// Who publishes and who subscribes to each topic. A subscriber whose pattern matches none stands
/// under its pattern.
fn topics(view: &View) -> BTreeMap<&str, (Vec<String>, Vec<String>)> {
    let mut topics: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for publisher in &view.snapshot.publishers {
        topics.entry(&publisher.topic).or_default().0.push(view.who(&publisher.participant));
    }
    let published: Vec<&str> = topics.keys().copied().collect();
    for subscriber in view.snapshot.subscribers.iter().filter(|s| s.alive) {
        let who = view.who(&subscriber.participant);
        let pattern = Pattern::new(&subscriber.pattern).ok();
        let matched = |topic: &&&str| pattern.as_ref().is_some_and(|pattern| pattern.matches(topic));
        let mut matches = published.iter().filter(matched).peekable();
        if matches.peek().is_none() {
            topics.entry(&subscriber.pattern).or_default().1.push(who.clone());
        }
        for topic in matches {
            topics.entry(topic).or_default().1.push(who.clone());
        }
    }
    topics
}

fn objects(out: &mut Output<'_>, view: &View) -> Result<(), Stop> {
    let snapshot = &view.snapshot;
    let name = out.paint(Style::Name, &snapshot.domain);
    let path = out.paint(Style::Quiet, &snapshot.path.display().to_string());
    writeln!(out, "{name}  {}  {path}", bytes(snapshot.bytes))?;

    let mut participants = Table::new(["ID", "LABEL", ">PID", ">AGE", "STATE"]);
    for p in &snapshot.participants {
        let state = match p {
            p if !p.alive => "dead",
            p if p.stopped => "stopped",
            p if !p.same_pid_namespace => "live, other pid namespace",
            _ => "live",
        };
        participants.row([id(p), label(&p.label), p.pid.to_string(), since(p.since_unix_ms), state.into()]);
    }
    section(out, "participant", &participants)?;

    let mut table = Table::new(["TOPIC", "PUBLISHERS", "SUBSCRIBERS"]);
    for (topic, (publishers, subscribers)) in topics(view) {
        table.row([topic.to_owned(), people(&publishers), people(&subscribers)]);
    }
    section(out, "topic", &table)?;

    let mut regions = Table::new(["REGION", ">SIZE"]);
    for region in &snapshot.regions {
        regions.row([region.name.clone(), bytes(region.size)]);
    }
    section(out, "region", &regions)?;
    section(out, "ring", &rings(view))?;
    section(out, "queue", &queues(&view.snapshot.queues, &view.on_disk))?;
    section(out, "lock", &locks(&view.snapshot.locks))?;
    section(out, "listener", &channels::listeners(view))?;
    section(out, "service", &channels::services(view))?;
    section(out, "channel", &channels::channels(view))
}

fn rings(view: &View) -> Table {
    let mut table = Table::new(["RING", "PRODUCER", "CONSUMER", ">CAPACITY", ">PENDING"]);
    for ring in &view.snapshot.rings {
        let ends = (held(ring.producer), held(ring.consumer));
        let (capacity, pending) = (bytes(ring.capacity), bytes(ring.pending_bytes));
        table.row([ring.name.clone(), ends.0.into(), ends.1.into(), capacity, pending]);
    }
    table
}

/// What is in each queue, and how many live handles put into it and take from it; of those on the disk only nobody knows.
pub(crate) fn queues(queues: &[QueueInfo], on_disk: &[QueueOnDisk]) -> Table {
    let mut table = Table::new([
        "QUEUE",
        ">READY",
        ">DELAYED",
        ">HELD",
        ">RESULTS",
        ">DEAD",
        ">CAPACITY",
        ">LARGE",
        ">PRODUCERS",
        ">CONSUMERS",
        "DURABLE",
    ]);
    for queue in queues {
        let stats = &queue.stats;
        table.row([
            queue.name.clone(),
            stats.ready.to_string(),
            stats.delayed.to_string(),
            held_messages(queue),
            stats.done.to_string(),
            stats.dead.to_string(),
            stats.capacity.to_string(),
            bytes(stats.bytes),
            queue.producers.to_string(),
            queue.consumers.to_string(),
            if queue.durable { "yes" } else { "-" }.into(),
        ]);
    }
    for queue in on_disk {
        let mut row: [String; 11] = std::array::from_fn(|_| "-".into());
        row[0].clone_from(&queue.name);
        row[10] = "on the disk only".into();
        table.row(row);
    }
    table
}

/// How many messages are held, and how many of these by the dead: whoever looks at the queue next gets them ready.
fn held_messages(queue: &QueueInfo) -> String {
    let dead: u64 = queue.handles.iter().filter(|handle| !handle.alive).map(|handle| handle.leased).sum();
    match (queue.stats.leased, dead) {
        (held, 0) => held.to_string(),
        (held, dead) => format!("{held} ({dead} by the dead)"),
    }
}

/// A table under its count; nothing when it is empty.
fn section(out: &mut Output<'_>, noun: &str, table: &Table) -> Result<(), Stop> {
    if !table.is_empty() {
        let title = plural(table.rows().len() as u64, noun);
        writeln!(out, "\n{}", out.paint(Style::Name, &title))?;
        table.print(out, 2)?;
    }
    Ok(())
}

/// The first few, and how many more.
pub(crate) fn people(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names {
        [] => "-".to_owned(),
        few if few.len() <= SHOWN => few.join(", "),
        many => format!("{}, and {} more", many[..SHOWN].join(", "), many.len() - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut_short() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(people(&names[..0]), "-");
        assert_eq!(people(&names[..3]), "a, b, c");
        assert_eq!(people(&names), "a, b, c, and 2 more");
    }
}
