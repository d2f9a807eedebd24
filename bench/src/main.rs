//! Latency and throughput beside the machine's floor, each case between two pinned processes,
//! payload written and read, all subjects interleaved in every round.

mod floor;
mod process;
mod report;
mod ring;
mod topic;

use clap::Parser;
use report::Report;
use std::path::PathBuf;

/// Measures Axonic beside what this machine can do at best.
#[derive(Parser)]
struct Arguments {
    /// Fewer repetitions; ends within a minute.
    #[arg(long)]
    quick: bool,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where report.json and the table go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// How much work a case does.
pub struct Effort {
    pub rounds: usize,
    /// Exchanges timed one by one.
    pub exchanges: usize,
    /// Messages of 64 bytes for a rate; larger ones proportionally fewer.
    pub messages: usize,
}

impl Effort {
    /// Messages of `size` bytes that take about as long as `messages` of 64.
    pub fn messages_of(&self, size: usize) -> usize {
        (self.messages * 64 / size.max(64) * 4).clamp(200, self.messages)
    }
}

type Case = (&'static str, fn(&Effort, &mut Report));

const CASES: &[Case] = &[
    ("floor_ping_pong", floor::ping_pong),
    ("one_way_spin", topic::one_way_spin),
    ("floor_futex", floor::futex),
    ("round_trip_blocking", topic::round_trip_blocking),
    ("round_trip_adaptive", topic::round_trip_adaptive),
    ("floor_copy", floor::copy),
    ("throughput", topic::throughput),
    ("loan_borrow", topic::loan_borrow),
    ("ring", ring::throughput),
];

fn main() {
    let arguments = Arguments::parse();
    if process::cores() < 2 {
        eprintln!("bench: this machine has one core; latency between two cannot be measured");
        std::process::exit(1);
    }
    let effort = if arguments.quick {
        Effort { rounds: 5, exchanges: 20_000, messages: 400_000 }
    } else {
        Effort { rounds: 11, exchanges: 100_000, messages: 2_000_000 }
    };
    let mut report = Report::default();
    for round in 0..effort.rounds {
        eprintln!("round {} of {}", round + 1, effort.rounds);
        for (name, case) in CASES {
            if name.contains(&arguments.only) {
                case(&effort, &mut report);
            }
        }
    }
    if let Err(e) = report.write(&arguments.out) {
        eprintln!("bench: writing to {}: {e}", arguments.out.display());
        std::process::exit(1);
    }
    println!("{}", report.table());
}
