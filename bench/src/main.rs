//! Latency and throughput beside the machine's floor and beside other libraries: each case between two pinned
//! processes, payload written and read, all subjects interleaved in every round.

mod calls;
mod durable;
mod effort;
mod external;
mod fan_out;
mod floor;
mod kernel;
mod lock;
mod markdown;
mod measure;
mod mqueue;
mod opening;
mod own;
mod plot;
mod process;
mod queue;
mod report;
mod rpc;
mod samples;
mod scratch;
mod stream;
mod targets;
mod throughput;
mod topic;

use clap::Parser;
use effort::Effort;
use report::Report;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Measures Axonic and its peers beside what this machine can do at best.
#[derive(Parser)]
struct Arguments {
    /// Fewer repetitions; ends within four minutes.
    #[arg(long)]
    quick: bool,
    /// Only cases whose name contains this, or one of these with commas between.
    #[arg(long, default_value = "")]
    only: String,
    /// Another number of rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// What could not be set up, as `subject: why`.
    #[arg(long)]
    skipped: Vec<String>,
    /// Where report.json, report.md and the pictures go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Measures one subject here, for the driver: subject, case, exchanges, messages.
    #[arg(long, hide = true, num_args = 4)]
    own: Vec<String>,
}

/// The cases, in the order of a round; `own` and `external` know their subjects.
const CASES: &[&str] = &[
    "floor_ping_pong",
    "one_way_spin",
    "round_trip_spin",
    "round_trip_adaptive",
    "floor_futex",
    "round_trip_blocking",
    "round_trip_event_loop",
    "floor_copy",
    "throughput",
    "ring",
    "loan_borrow",
    "fan_out",
    "many_topics",
    "open_and_first_publish",
    "memory",
    "binding_call",
    "queue",
    "queue_pending",
    "floor_durable",
    "durable_sync_each",
    "durable_group_commit",
    "durable_unsynced",
    "durable_reopen",
    "call_spin",
    "call_adaptive",
    "call_blocking",
    "call_many",
    "call_json",
    "framed_socket",
    "framed_pipe",
    "mutex",
    "mutex_contended",
];

fn main() {
    let arguments = Arguments::parse();
    if let [subject, case, exchanges, messages] = &arguments.own[..] {
        return own::measure(subject, case, exchanges, messages);
    }
    if let Err(error) = run(&arguments) {
        eprintln!("bench: {error}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err("this machine has one core; latency between two cannot be measured".into());
    }
    let mut effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    effort.rounds = arguments.rounds.unwrap_or(effort.rounds);
    let mut report = Report::default();
    for note in &arguments.skipped {
        let (subject, why) = note.split_once(": ").unwrap_or((note, "could not be set up"));
        report.skip(subject, "", why);
    }
    let limit = arguments.quick.then_some(QUICK_SECONDS);
    let _scratch = scratch::Scratch::new(&arguments.out)
        .map_err(|e| format!("making a folder in /dev/shm and {}: {e}", arguments.out.display()))?;
    if scratch::disk_is_memory() {
        report.skip("the disk", "", "target/bench is on a tmpfs, so that nothing waited for a disk");
    }
    measure(&arguments.only, effort, limit, &mut report);
    write(&arguments.out, &report, effort.rounds)
        .map_err(|e| format!("writing to {}: {e}", arguments.out.display()))?;
    println!("{}", markdown::table(&report.rows()));
    println!("{}", targets::table(&report.rows()));
    println!("{} has everything", arguments.out.join("report.md").display());
    Ok(())
}

/// What the rounds of a quick run may take together; later ones do less work when the first were slow.
const QUICK_SECONDS: f64 = 200.0;

fn measure(only: &str, mut effort: Effort, limit: Option<f64>, report: &mut Report) {
    // Programs that do not pin their half of a pair themselves, which are Node's, stay where this process is.
    process::pin(0);
    let mut programs = external::Programs::find();
    let all_began = Instant::now();
    for round in 0..effort.rounds {
        let began = Instant::now();
        let mut longest = (Duration::ZERO, "");
        for name in CASES.iter().filter(|name| only.split(',').any(|part| name.contains(part))) {
            let started = Instant::now();
            programs.run(name, &effort, report);
            longest = longest.max((started.elapsed(), name));
        }
        let (most, name) = (longest.0.as_secs_f64(), longest.1);
        let whole = began.elapsed().as_secs_f64();
        if let (Some(limit), rounds @ 1..) = (limit, effort.rounds - round - 1) {
            effort.fit(whole, (limit - all_began.elapsed().as_secs_f64()) / rounds as f64);
        }
        eprintln!("round {} of {}: {whole:.0} s, of which {name} {most:.0} s", round + 1, effort.rounds);
    }
}

fn write(directory: &Path, report: &Report, rounds: usize) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let rows = report.rows();
    std::fs::write(directory.join("report.json"), serde_json::to_string_pretty(&rows)?)?;
    let mut shown = Vec::new();
    for (name, cases) in plot::GROUPS {
        if let Some(picture) = plot::svg(&rows, cases) {
            std::fs::write(directory.join(format!("{name}.svg")), picture)?;
            shown.push(*name);
        }
    }
    std::fs::write(directory.join("report.md"), markdown::page(report, rounds, &shown))
}
