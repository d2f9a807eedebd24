//! `axonic queue`: what is in queues, and messages put, taken, looked at and set.

mod get;
mod put;

use std::io::Write;
use std::time::{Duration, Instant};

use axonic::{ErrorKind, Fsync, Peeked, QueueConsumer, QueueInfo, QueueOnDisk, QueueOptions, preview};
use clap::Subcommand;
use serde_json::json;

use crate::human::{plural, printable, short, since};
use crate::interrupt::Interrupt;
use crate::ls;
use crate::message;
use crate::output::Output;
use crate::place::Place;
use crate::stat::{queue_counters, queue_handle};
use crate::stop::{Outcome, Stop};
use crate::table::Table;
use crate::view::View;

const EXAMPLES: &str = "\
Examples:
  axonic queue put jobs 'resize cat.png' --priority 5
  seq 1000 | axonic queue put jobs                 each line is a message
  axonic queue get jobs                            take one, print it, acknowledge it
  axonic queue peek jobs --dead                    dead letters and why they are
  axonic queue redrive jobs                        deliver them again
  axonic queue ls";

/// Put into queues, take from them, look into them
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the queues of the domain and what is in them
    Ls {
        /// One JSON object per queue
        #[arg(long)]
        json: bool,
    },
    /// Put a message, or each line of stdin as one
    Put(put::Args),
    /// Take messages, print them and acknowledge each when it was printed
    Get(get::Args),
    /// Look at the messages that can be delivered now, in that order, without taking them
    Peek {
        /// The queue
        queue: String,
        /// The dead letters instead, with the reasons
        #[arg(long)]
        dead: bool,
        /// At most N messages
        #[arg(long, value_name = "N", default_value_t = 10)]
        count: usize,
        /// One JSON object per message
        #[arg(long)]
        json: bool,
    },
    /// Show all counters of a queue, who has it open and who holds its messages
    Stats {
        /// The queue
        queue: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Take all messages away that nobody has, those for later included
    Purge {
        /// The queue
        queue: String,
        /// The dead letters instead
        #[arg(long)]
        dead: bool,
    },
    /// Let dead letters be delivered again, as if they never had been
    Redrive {
        /// The queue
        queue: String,
        /// At most N of them [default: all]
        #[arg(long, value_name = "N")]
        count: Option<usize>,
    },
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    match &args.verb {
        Verb::Ls { json } => list(place, *json),
        Verb::Put(args) => put::run(args, place),
        Verb::Get(args) => get::run(args, place),
        Verb::Peek { queue, dead, count, json } => {
            let mut consumer = open(place, "queue peek", queue)?;
            let seen = if *dead { consumer.dead_letters(*count)? } else { consumer.peek(*count)? };
            show(queue, &seen, *json)
        }
        Verb::Stats { queue, json } => stats(place, queue, *json),
        Verb::Purge { queue, dead } => {
            let mut consumer = open(place, "queue purge", queue)?;
            let (count, noun) = match dead {
                true => (consumer.purge_dead_letters()?, "dead letter"),
                false => (consumer.purge()?, "message"),
            };
            tell(&format!("{} taken away", plural(count, noun)))
        }
        Verb::Redrive { queue, count } => {
            let count = open(place, "queue redrive", queue)?.redrive(count.unwrap_or(usize::MAX))?;
            tell(&format!("{} to be delivered again", plural(count, "dead letter")))
        }
    }
}

fn tell(line: &str) -> Outcome {
    let mut out = Output::open()?;
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(0)
}

/// How `put` and `get` open a queue: one that is on the disk only as it was made, and only if it is to be `durable`.
fn options(place: &Place, verb: &str, name: &str, durable: bool) -> Result<QueueOptions, Stop> {
    let on_disk = axonic::queues_on_disk(&place.options(verb))?;
    match on_disk.iter().find(|queue| queue.name == name) {
        Some(queue) if durable => Ok(queue.options()?),
        Some(queue) => Err(only_on_disk(place, queue)),
        None => Ok(QueueOptions { durable: durable.then_some(Fsync::Always), ..QueueOptions::default() }),
    }
}

/// Waits for the disk where the queue's changes do, until `end` (`None`: for ever) or a signal: whoever writes may be stopped.
fn on_disk(
    fsync: Option<Fsync>,
    end: Option<Instant>,
    interrupt: &Interrupt,
    mut sync: impl FnMut(Option<Duration>) -> axonic::Result<()>,
) -> Result<(), Stop> {
    const SLICE: Duration = Duration::from_millis(100);
    if fsync != Some(Fsync::Always) {
        return Ok(());
    }
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match sync(Some(left.map_or(SLICE, |left| left.min(SLICE)))) {
            Err(e) if e.kind() == ErrorKind::Timeout && left.is_none_or(|left| left > SLICE) => {
                interrupt.check()?
            }
            synced => return Ok(synced?),
        }
    }
}

/// The queue of this name as it is seen from outside.
fn find(place: &Place, verb: &str, name: &str) -> Result<QueueInfo, Stop> {
    let View { mut snapshot, on_disk, .. } = View::take(place, verb)?;
    if let Some(queue) = on_disk.iter().find(|queue| queue.name == name) {
        return Err(only_on_disk(place, queue));
    }
    match snapshot.queues.iter().position(|queue| queue.name == name) {
        Some(at) => Ok(snapshot.queues.swap_remove(at)),
        None => Err(Stop::failed(format!(
            "queue '{name}': there is none in domain '{}'; `axonic queue ls` names those there are",
            snapshot.domain
        ))),
    }
}

fn only_on_disk(place: &Place, QueueOnDisk { domain, name, path }: &QueueOnDisk) -> Stop {
    let runtime = place
        .runtime_dir
        .as_ref()
        .map_or_else(String::new, |dir| format!(" --runtime-dir '{}'", dir.display()));
    Stop::failed(format!(
        "queue '{name}' is on the disk only, in {}: it was not opened since the machine was started, or since it was left empty; start the program it belongs to, or read it back with `axonic queue get {name} --durable --count 0 --domain {domain}{runtime}`",
        path.display()
    ))
}

/// Opens a queue that is there: a mistyped name must not make one.
fn open(place: &Place, verb: &str, name: &str) -> Result<QueueConsumer, Stop> {
    find(place, verb, name)?;
    Ok(place.open(verb)?.queue_consumer(name, &QueueOptions::default())?)
}

fn list(place: &Place, json: bool) -> Outcome {
    let View { snapshot, on_disk, .. } = View::take(place, "queue ls")?;
    let mut out = Output::open()?;
    let table = ls::queues(&snapshot.queues, &on_disk);
    if json {
        for queue in &snapshot.queues {
            serde_json::to_writer(&mut out, queue)?;
            writeln!(out)?;
        }
        for QueueOnDisk { name, path, .. } in &on_disk {
            let queue = json!({ "name": name, "durable": true, "on_disk_only": true, "path": path });
            writeln!(out, "{queue}")?;
        }
    } else if table.is_empty() {
        writeln!(out, "no queues in domain {}", snapshot.domain)?;
    } else {
        table.print(&mut out, 0)?;
    }
    out.flush()?;
    Ok(0)
}

fn show(queue: &str, seen: &[Peeked], json: bool) -> Outcome {
    let mut out = Output::open()?;
    if json {
        for peeked in seen {
            message::write_peeked(&mut out, queue, peeked)?;
        }
    } else if !seen.is_empty() {
        peeked(seen).print(&mut out, 0)?;
    }
    out.flush()?;
    Ok(0)
}

fn peeked(seen: &[Peeked]) -> Table {
    const SHOWN: usize = 60;
    let mut table = Table::new([">PRIORITY", ">ATTEMPTS", "REASON", "MESSAGE"]);
    for peeked in seen {
        let words = Some(peeked.reason_text()).filter(|text| !text.is_empty());
        let reason = match (peeked.reason(), words) {
            (None, _) => "-".to_owned(),
            (Some(reason), None) => reason.name().to_owned(),
            (Some(reason), Some(words)) => format!("{}: {}", reason.name(), short(words, SHOWN)),
        };
        table.row([
            peeked.priority().to_string(),
            peeked.attempts().to_string(),
            reason,
            printable(&preview(peeked.content(), None, peeked.data(), SHOWN)),
        ]);
    }
    table
}

fn stats(place: &Place, name: &str, json: bool) -> Outcome {
    let queue = find(place, "queue stats", name)?;
    let mut out = Output::open()?;
    if json {
        serde_json::to_writer_pretty(&mut out, &queue)?;
        writeln!(out)?;
    } else {
        let of_handles = handles(&queue);
        let queue = std::slice::from_ref(&queue);
        let tables = [ls::queues(queue, &[]), queue_counters(queue), of_handles];
        for (number, table) in tables.iter().filter(|table| !table.is_empty()).enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            table.print(&mut out, 0)?;
        }
    }
    out.flush()?;
    Ok(0)
}

fn handles(queue: &QueueInfo) -> Table {
    let mut table = Table::new(["OPEN IN", "SIDE", ">HELD", ">OLDEST", "STATE"]);
    for handle in &queue.handles {
        let oldest = match handle.leased {
            0 => "-".to_owned(),
            _ => since(handle.leased_since_unix_ms),
        };
        let state = match handle.blocked_since_unix_ms {
            0 => "-".to_owned(),
            blocked => format!("waits for room, for {}", since(blocked)),
        };
        table.row([queue_handle(handle), handle.side.to_owned(), handle.leased.to_string(), oldest, state]);
    }
    table
}
