//! Every subject is measured by a program that is started once per case and round as `program [subject] case exchanges
//! messages`, forks or starts its other half itself, and prints one JSON line per result: `{"size", "metric", "unit",
//! "p50", "p99", "p999"}`, or `{"skipped": why}`. For some subjects that program is this one (`own`).

use crate::effort::Effort;
use crate::report::Report;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use std::collections::HashSet;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than this, something waits for what never comes.
const LIMIT: Duration = Duration::from_secs(20);

/// How a subject's program is found.
enum Program {
    /// This one, once more.
    Own,
    /// Built from `bench/c`.
    C,
    /// A script in `bench/python`, given the subject's name.
    Python(&'static str),
    /// A script in `bench/node`, given the subject's name.
    Node(&'static str),
    /// A program of the package in `bench/peers`, named as the subject or as here.
    Peer(&'static str),
}

struct Subject {
    name: &'static str,
    program: Program,
    cases: &'static [&'static str],
}

const SPIN: &str = "round_trip_spin";
const BLOCKING: &str = "round_trip_blocking";
const ADAPTIVE: &str = "round_trip_adaptive";
const LOOP: &str = "round_trip_event_loop";
const THROUGHPUT: &str = "throughput";
const OPENING: &str = "open_and_first_publish";
const CALL: &str = "binding_call";
const LOAN: &str = "loan_borrow";
const CALL_SPIN: &str = "call_spin";
const CALL_ADAPTIVE: &str = "call_adaptive";
const CALL_BLOCKING: &str = "call_blocking";
const CALL_JSON: &str = "call_json";
const QUEUE: &str = "queue";
const UNSYNCED: &str = "durable_unsynced";
const SYNC_EACH: &str = "durable_sync_each";
const DURABLE: &[&str] = &[UNSYNCED, SYNC_EACH, "durable_group_commit"];

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "axonic-c",
        program: Program::C,
        cases: &["one_way_spin", SPIN, BLOCKING, ADAPTIVE, THROUGHPUT, LOAN, "ring", OPENING, CALL],
    },
    Subject {
        name: "iceoryx2",
        program: Program::Peer("iceoryx2"),
        cases: &["one_way_spin", SPIN, BLOCKING, THROUGHPUT, LOAN, "fan_out", OPENING, "memory", CALL_SPIN],
    },
    Subject {
        name: "libzmq",
        program: Program::Peer("libzmq"),
        cases: &[BLOCKING, THROUGHPUT, OPENING, CALL_BLOCKING],
    },
    Subject {
        name: "crossbeam-channel",
        program: Program::Peer("crossbeam"),
        cases: &["one_way_spin", SPIN, ADAPTIVE, THROUGHPUT],
    },
    Subject { name: "tonic", program: Program::Peer("tonic"), cases: &[CALL_BLOCKING] },
    Subject { name: "redis", program: Program::Peer("redis"), cases: DURABLE },
    Subject { name: "nats", program: Program::Peer("nats"), cases: DURABLE },
    Subject { name: "sqlite", program: Program::Peer("sqlite"), cases: DURABLE },
    Subject {
        name: "axonic-python",
        program: Program::Python("axonic_sync.py"),
        cases: &[
            SPIN, BLOCKING, ADAPTIVE, THROUGHPUT, LOAN, "ring", OPENING, CALL, QUEUE, UNSYNCED, SYNC_EACH,
        ],
    },
    Subject {
        name: "axonic-python",
        program: Program::Python("calls.py"),
        cases: &[CALL_SPIN, CALL_ADAPTIVE, CALL_BLOCKING, CALL_JSON],
    },
    Subject { name: "grpcio", program: Program::Python("calls.py"), cases: &[CALL_BLOCKING, CALL_JSON] },
    Subject {
        name: "python-lsp-jsonrpc",
        program: Program::Python("calls.py"),
        cases: &[CALL_BLOCKING, CALL_JSON],
    },
    Subject {
        name: "persist-queue",
        program: Program::Python("persist_queue.py"),
        cases: &[UNSYNCED, SYNC_EACH],
    },
    Subject { name: "axonic-asyncio", program: Program::Python("event_loop.py"), cases: &[LOOP] },
    Subject { name: "unix-socket", program: Program::Python("event_loop.py"), cases: &[LOOP] },
    Subject {
        name: "iceoryx2-python",
        program: Program::Python("shared_memory.py"),
        cases: &[SPIN, THROUGHPUT],
    },
    Subject {
        name: "cloudtoid-interprocess",
        program: Program::Python("shared_memory.py"),
        cases: &[SPIN, BLOCKING, THROUGHPUT, LOAN],
    },
    Subject {
        name: "mmbus",
        program: Program::Python("shared_memory.py"),
        cases: &[SPIN, BLOCKING, THROUGHPUT],
    },
    Subject {
        name: "pyzmq",
        program: Program::Python("sockets.py"),
        cases: &[BLOCKING, LOOP, THROUGHPUT, CALL_BLOCKING],
    },
    Subject {
        name: "multiprocessing",
        program: Program::Python("sockets.py"),
        cases: &[BLOCKING, THROUGHPUT, QUEUE, CALL_BLOCKING],
    },
    Subject {
        name: "axonic-node",
        program: Program::Node("axonic.mjs"),
        cases: &[SPIN, LOOP, THROUGHPUT, LOAN, "ring", OPENING, CALL, QUEUE],
    },
    Subject {
        name: "axonic-node",
        program: Program::Node("calls.mjs"),
        cases: &[CALL_SPIN, CALL_ADAPTIVE, CALL_BLOCKING],
    },
    Subject { name: "grpc-js", program: Program::Node("calls.mjs"), cases: &[CALL_BLOCKING] },
    Subject { name: "vscode-jsonrpc", program: Program::Node("calls.mjs"), cases: &[CALL_BLOCKING] },
    Subject { name: "node-unix-socket", program: Program::Node("peers.mjs"), cases: &[LOOP, THROUGHPUT] },
    Subject {
        name: "node-child-process",
        program: Program::Node("peers.mjs"),
        cases: &[LOOP, THROUGHPUT, CALL_BLOCKING],
    },
    Subject {
        name: "zeromq-node",
        program: Program::Node("peers.mjs"),
        cases: &[LOOP, THROUGHPUT, CALL_BLOCKING],
    },
];

/// Where `cargo xtask bench` put the programs.
pub struct Programs {
    bench: PathBuf,
    built: PathBuf,
    python: PathBuf,
    node: PathBuf,
    given_up: HashSet<(&'static str, String)>,
}

#[derive(Deserialize)]
struct Line {
    skipped: Option<String>,
    #[serde(default)]
    size: usize,
    #[serde(default)]
    metric: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    p50: f64,
    #[serde(default)]
    p99: f64,
    #[serde(default)]
    p999: f64,
}

impl Programs {
    pub fn find() -> Programs {
        let path = |name: &str, usual: PathBuf| std::env::var_os(name).map_or(usual, PathBuf::from);
        let bench = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        Programs {
            built: path("AXONIC_BENCH_BUILT", "target/bench".into()),
            python: path("AXONIC_BENCH_PYTHON", "python3".into()),
            node: path("AXONIC_BENCH_NODE", "node".into()),
            bench,
            given_up: HashSet::new(),
        }
    }

    /// Runs this case of every subject that has it. One that fails is noted in the report and not tried again.
    pub fn run(&mut self, case: &str, effort: &Effort, report: &mut Report) {
        let own = crate::own::subjects(case).map(|name| (name, &Program::Own));
        let others = SUBJECTS.iter().filter(|s| s.cases.contains(&case)).map(|s| (s.name, &s.program));
        for (name, program) in own.chain(others) {
            let key = (name, case.to_owned());
            if self.given_up.contains(&key) {
                continue;
            }
            if case.contains("durable") {
                // What one left to the system to write would be in the way of the next.
                nix::unistd::sync();
            }
            if let Err(why) = self.measure(name, program, case, effort, report) {
                report.skip(name, case, &why);
                self.given_up.insert(key);
            }
        }
    }

    fn measure(
        &self,
        subject: &str,
        program: &Program,
        case: &str,
        effort: &Effort,
        report: &mut Report,
    ) -> Result<(), String> {
        let (mut command, native) = match *program {
            Program::Own => (own(subject)?, true),
            Program::C => (Command::new(self.built.join("c/axonic")), true),
            Program::Peer(name) => (Command::new(self.built.join("peers/release").join(name)), true),
            Program::Python(script) => (self.script(&self.python, "python", script, subject), false),
            Program::Node(script) => (self.script(&self.node, "node", script, subject), false),
        };
        // A message of a scripting language takes several times as long: a quarter of them, for all of these alike.
        let messages = if native { effort.messages } else { effort.messages / 4 };
        command.args([case, &effort.exchanges.to_string(), &messages.to_string()]);
        for line in run(command)?.lines().filter(|line| line.starts_with('{')) {
            let line: Line = serde_json::from_str(line).map_err(|e| format!("{line}: {e}"))?;
            if let Some(why) = line.skipped {
                return Err(why);
            }
            let values = [line.p50, line.p99, line.p999];
            report.add(case, subject, line.size, &line.metric, &line.unit, values);
        }
        Ok(())
    }

    fn script(&self, program: &PathBuf, folder: &str, script: &str, subject: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(self.bench.join(folder).join(script)).arg(subject);
        command
    }
}

fn own(subject: &str) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let mut command = Command::new(program);
    command.args(["--own", subject]);
    Ok(command)
}

/// What the program printed; an error when it failed or had to be stopped, with its last words.
fn run(mut command: Command) -> Result<String, String> {
    let program = PathBuf::from(command.get_program());
    let scratch = crate::scratch::folder();
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    let file = |path| std::fs::File::create(path).map_err(|e| format!("creating a file in /dev/shm: {e}"));
    command.stdin(Stdio::null()).stdout(file(&out)?).stderr(file(&err)?);
    // The last words of a panic are its message then.
    command.env("RUST_BACKTRACE", "0");
    // A process group of its own, so that both halves can be ended together.
    let child = command.process_group(0).spawn();
    let mut child = child.map_err(|e| format!("starting {}: {e}", program.display()))?;
    let ended = wait(&mut child);
    // What is left of it, or of its other half.
    let _ =
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGKILL);
    let _ = child.wait();
    let said = std::fs::read_to_string(&err).unwrap_or_default();
    // A panic of Rust ends with a hint that says nothing of it.
    let telling = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: run with");
    let last = said.lines().rev().find(telling).unwrap_or("it said nothing");
    match ended {
        Some(true) => std::fs::read_to_string(&out).map_err(|e| e.to_string()),
        Some(false) => Err(format!("failed: {last}")),
        None => Err(format!("stopped after {} s: {last}", LIMIT.as_secs())),
    }
}

/// Whether it succeeded; nothing when its time is over. Looking again and again would disturb what is measured.
fn wait(child: &mut Child) -> Option<bool> {
    // SAFETY: opens a descriptor of a child that was not waited for yet, or fails.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, child.id(), 0) };
    assert!(fd >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
    // SAFETY: nobody else has it.
    let ended = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let limit = PollTimeout::try_from(LIMIT).expect("some seconds");
    let over = poll(&mut [PollFd::new(ended.as_fd(), PollFlags::POLLIN)], limit) == Ok(0);
    if over { None } else { child.wait().ok().map(|status| status.success()) }
}
