//! `axonic bench`: what this machine can do, and how near Axonic comes to it.
//!
//! Two processes on two cores: this one and a second one, for which the command starts itself again. They
//! meet in a domain of their own, which is removed at the end.

mod atoms;
mod other;
mod pair;
mod report;
mod topics;

use std::io::Write;
use std::time::Duration;

use crate::interrupt::Interrupt;
use crate::output::{Output, complain};
use crate::place::Place;
use crate::stop::{Outcome, Stop};
use pair::{Cores, Ours, Theirs};
use report::Report;

const EXAMPLES: &str = "\
Examples:
  axonic bench                        a table in about five seconds
  axonic bench --seconds 30           steadier numbers
  axonic bench --json | jq '.results[] | select(.case == \"one_way_spin\")'

The ratios are to what the machine does without Axonic: two processes that pass a number back and forth
in shared memory, wake each other with futexes, or copy through a buffer. Measure on an idle machine.";

/// Measure latency and throughput on this machine, beside its floor
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// How long to measure, in seconds, all cases together
    #[arg(long, default_value_t = 5.0, value_name = "N", value_parser = seconds)]
    seconds: f64,
    /// The second process, started by the first.
    #[arg(long, hide = true, value_name = "TOKEN")]
    other_side: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=3600.0).contains(&value) => Ok(value),
        _ => Err("a number of seconds, 0.1 to 3600".into()),
    }
}

/// One measurement: both sides run it at the same time, `ours` until the time is over.
struct Case {
    ours: fn(&mut Ours<'_>, &mut Report) -> Result<(), Stop>,
    theirs: fn(&mut Theirs) -> Result<(), Stop>,
    /// Both sides spin: that needs a core for each.
    spins: bool,
}

/// In the order of the table; a floor comes before what is measured against it.
const CASES: &[Case] = &[
    Case { ours: atoms::ping, theirs: atoms::pong, spins: true },
    Case { ours: topics::one_way_48, theirs: topics::echo_48, spins: true },
    Case { ours: topics::one_way_64, theirs: topics::echo_64, spins: true },
    Case { ours: topics::loans, theirs: topics::echo_loans, spins: true },
    Case { ours: atoms::futex_ping, theirs: atoms::futex_pong, spins: false },
    Case { ours: topics::round_trip, theirs: topics::echo_blocking, spins: false },
    Case { ours: atoms::copy_small, theirs: atoms::take_small, spins: true },
    Case { ours: topics::send_small, theirs: topics::drain, spins: false },
    Case { ours: atoms::copy_large, theirs: atoms::take_large, spins: true },
    Case { ours: topics::send_large, theirs: topics::drain, spins: false },
];

pub(crate) fn run(args: &Args, place: &Place, again: &[std::ffi::OsString]) -> Outcome {
    if let Some(token) = &args.other_side {
        return other::run(token, place);
    }
    if place.domain.is_some() {
        return Err(Stop::usage("bench makes a domain of its own and removes it: leave --domain out"));
    }
    let interrupt = Interrupt::catch()?;
    let cores = Cores::choose()?;
    if cores.is_one() {
        complain(
            "this process may use one core only: two processes take turns on it, so what spins cannot be \
             measured and is left out; what sleeps is measured, switching between the processes included",
        );
    }
    let cases: Vec<&Case> = CASES.iter().filter(|case| !(case.spins && cores.is_one())).collect();
    let share = Duration::from_secs_f64(args.seconds / cases.len() as f64);
    let mut report = Report::new(cores);
    let mut ours = Ours::start(place, cores, again, &interrupt)?;
    for case in cases {
        ours.begin(share)?;
        (case.ours)(&mut ours, &mut report)?;
    }
    ours.end()?;
    let mut out = Output::open()?;
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        report.print(&mut out)?;
    }
    out.flush()?;
    Ok(0)
}
