//! `axonic lock`: which locks there are, and who has them.

use std::io::Write;

use axonic::{LockHolder, LockInfo};
use clap::Subcommand;

use crate::human::{label, since};
use crate::ls::people;
use crate::output::Output;
use crate::place::Place;
use crate::stop::Outcome;
use crate::table::Table;
use crate::view::View;

const EXAMPLES: &str = "\
Examples:
  axonic lock ls                                   who has which lock, since when, and who waits
  axonic lock ls --json | jq 'select(.waiting > 0) | .name'
  axonic unlink lock gpu                           what a dead owner left, if it does not matter";

/// See mutexes, semaphores and the other locks, and who has them
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the locks of the domain, who has them, since when, and who waits for them
    Ls {
        /// One JSON object per lock
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let Verb::Ls { json } = args.verb;
    let snapshot = View::take(place, "lock ls")?.snapshot;
    let mut out = Output::open()?;
    if json {
        for lock in &snapshot.locks {
            serde_json::to_writer(&mut out, lock)?;
            writeln!(out)?;
        }
    } else if snapshot.locks.is_empty() {
        writeln!(out, "no locks in domain {}", snapshot.domain)?;
    } else {
        locks(&snapshot.locks).print(&mut out, 0)?;
    }
    out.flush()?;
    Ok(0)
}

/// What each lock is, how it is, who has it, and who waits.
pub(crate) fn locks(locks: &[LockInfo]) -> Table {
    let mut table =
        Table::new(["LOCK", "TYPE", "STATE", "HELD BY", ">FOR", ">WAITING", ">LONGEST", "WAITED FOR BY"]);
    for lock in locks {
        table.row([
            lock.name.clone(),
            what(lock),
            lock.state.clone(),
            people(&lock.holders.iter().map(holder).collect::<Vec<_>>()),
            longest(lock.holders.iter().map(|holder| holder.since_unix_ms)),
            lock.waiting.to_string(),
            longest([lock.waiting_since_unix_ms]),
            people(&lock.waiters.iter().map(holder).collect::<Vec<_>>()),
        ]);
    }
    table
}

/// `semaphore, permits 4`.
fn what(lock: &LockInfo) -> String {
    match lock.parameter.as_str() {
        "" => lock.type_name.to_owned(),
        parameter => format!("{}, {parameter}", lock.type_name),
    }
}

/// `label(pid)`, and what is the matter with it.
fn holder(holder: &LockHolder) -> String {
    let state = match holder {
        h if h.pid == 0 => return format!("ended({})", h.participant),
        h if !h.alive => ", dead",
        h if h.stopped => ", stopped",
        _ => "",
    };
    format!("{}({}){state}", label(&holder.label), holder.pid)
}

/// How long ago the first of these instants was, of those that are known.
fn longest(since_unix_ms: impl IntoIterator<Item = u64>) -> String {
    since_unix_ms.into_iter().filter(|instant| *instant != 0).min().map_or("-".into(), since)
}
