//! Two processes for a test: the test itself, and copies of the test program that take a role instead of
//! running tests. They talk through pipes, so that nobody has to guess when the other is ready.
#![allow(dead_code)]

pub mod locks;
pub mod survivor;

use axonic::Domain;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const ROLE: &str = "AXONIC_LITMUS_ROLE";
const ARGUMENTS: &str = "AXONIC_LITMUS_ARGUMENTS";
const SEED: &str = "AXONIC_CHAOS_SEED";

/// How long anything may take that must not hang.
pub const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// After a death, the living go on within this time.
pub const SOON: Duration = Duration::from_secs(1);

/// A role: what a process does instead of running tests.
pub type Role = fn(&mut Parent);

/// Lets the test program take roles. They run before its `main`, so that a role's process has one thread
/// and may register for membarrier; the test harness would give it two.
#[macro_export]
macro_rules! roles {
    ($($role:ident),* $(,)?) => {
        #[used]
        #[unsafe(link_section = ".init_array")]
        static BEFORE_MAIN: extern "C" fn() = {
            extern "C" fn before_main() {
                litmus::take_role(&[$((stringify!($role), $role as litmus::Role)),*]);
            }
            before_main
        };
    };
}

/// Takes the role the environment names, if it names one, and exits.
pub fn take_role(roles: &[(&str, Role)]) {
    let Ok(name) = std::env::var(ROLE) else { return };
    let role = roles.iter().find(|(known, _)| *known == name).map(|(_, role)| *role);
    let outcome = std::panic::catch_unwind(|| {
        let role = role.unwrap_or_else(|| panic!("no role {name}"));
        role(&mut Parent { input: BufReader::new(std::io::stdin()) });
    });
    std::process::exit(if outcome.is_ok() { 0 } else { 101 });
}

/// What a role sees of its test.
pub struct Parent {
    input: BufReader<std::io::Stdin>,
}

impl Parent {
    /// The words the test gave the role.
    pub fn arguments(&self) -> Vec<String> {
        std::env::var(ARGUMENTS).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// One of them, as a number.
    pub fn number(&self, index: usize) -> u64 {
        self.arguments()[index].parse().expect("a number")
    }

    /// Tells the test a line.
    pub fn say(&self, line: impl std::fmt::Display) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("the test listens");
    }

    /// Tells the test a number, in one write that is whole or not at all.
    pub fn count(&self, number: u64) {
        let written = nix::unistd::write(std::io::stdout(), &number.to_le_bytes());
        assert_eq!(written, Ok(8));
    }

    /// Waits for a line of the test; `None` when it closed the pipe.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.input.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// Waits until the test has nothing more to say, which is how it ends a role.
    pub fn wait_for_end(&mut self) {
        while self.hear().is_some() {}
    }
}

/// A process in a role.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts a role in the runtime directory `place`. It ends with the thread that started it at the latest.
pub fn start(role: &str, place: &Path, arguments: &str) -> Process {
    start_with(role, place, arguments, |_| {})
}

/// The same, with a last word on how it is started.
pub fn start_with(role: &str, place: &Path, arguments: &str, adapt: impl FnOnce(&mut Command)) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env(ROLE, role)
        .env(ARGUMENTS, arguments)
        .env("AXONIC_RUNTIME_DIR", place)
        .env("AXONIC_DOMAIN", "test")
        .env(SEED, draw(false).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // A core dump would delay the notice of a death.
            libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
            Ok(())
        });
    }
    adapt(&mut command);
    let mut child = command.spawn().expect("a copy of the test program");
    let input = child.stdin.take();
    let output = BufReader::new(child.stdout.take().unwrap());
    Process { child, input, output }
}

impl Process {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Tells the role a line.
    pub fn say(&mut self, line: impl std::fmt::Display) {
        writeln!(self.input.as_mut().unwrap(), "{line}").expect("the role listens");
    }

    /// The role's next line; fails the test if it ended instead.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).unwrap();
        assert_ne!(read, 0, "the role ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// The next number it counted; `None` once it is gone.
    pub fn counted(&mut self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.output.read_exact(&mut bytes).ok().map(|()| u64::from_le_bytes(bytes))
    }

    /// The last number it counted before it ended; zero if none.
    pub fn last_count(&mut self) -> u64 {
        std::iter::from_fn(|| self.counted()).last().unwrap_or(0)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Kills it and waits until the kernel says that it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// Ends it by closing its input; it must end well.
    pub fn end(mut self) {
        self.input = None;
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the role failed: {status}");
    }

    /// Waits for a role that ends by itself; it must end well.
    pub fn finish(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the role failed: {status}");
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody else's child, killed when the test ends, however it ends. The descriptor is of it and nobody after it.
pub struct Stray(OwnedFd);

impl Stray {
    pub fn new(pid: Pid) -> Stray {
        // SAFETY: makes a descriptor of a process that lives.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) } as i32;
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: it was just made and is nobody else's.
        Stray(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    pub fn lives(&self) -> bool {
        !self.exits_within(PollTimeout::ZERO)
    }

    fn exits_within(&self, timeout: PollTimeout) -> bool {
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) == Ok(1)
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        // SAFETY: sends a signal to the process the descriptor was made of.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, 0, 0) };
        let gone = self.exits_within(PollTimeout::try_from(PATIENCE.unwrap()).unwrap());
        assert!(gone || std::thread::panicking());
    }
}

/// Whether this system lets us make namespaces of this kind; a test that cannot run says so.
pub fn may_unshare(flags: CloneFlags) -> bool {
    let mut command = Command::new("/bin/true");
    // SAFETY: unshare is a bare system call.
    unsafe { command.pre_exec(move || unshare(flags).map_err(std::io::Error::from)) };
    let may = command.status().is_ok_and(|status| status.success());
    if !may {
        crate::common::child::skip(&format!("namespaces {flags:?} are not permitted here"));
    }
    may
}

/// Binds the calling thread, and those it makes, to a core; what there is of them.
pub fn pin_to_core(core: usize) {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut set = nix::sched::CpuSet::new();
    set.set(core % cores).unwrap();
    // Not permitted in some containers; the test is as good, only slower to meet a race.
    let _ = nix::sched::sched_setaffinity(Pid::from_raw(0), &set);
}

/// Opens the domain the test chose for its roles.
pub fn open() -> Domain {
    Domain::open_default().unwrap()
}

/// Repeats something for about this long, at least twice.
pub fn rounds(time: Duration, mut round: impl FnMut(u64)) -> u64 {
    let started = Instant::now();
    let mut count = 0;
    while count < 2 || started.elapsed() < time {
        round(count);
        count += 1;
    }
    count
}

/// How long the long variants go on: `AXONIC_CHAOS_HOURS` divided among them by `share`, or ten seconds. All that there
/// are, those of `tests/chaos` included, share one whole.
pub fn long(share: u32) -> Duration {
    let hours: f64 = std::env::var("AXONIC_CHAOS_HOURS").ok().and_then(|h| h.parse().ok()).unwrap_or(0.0);
    if hours > 0.0 {
        Duration::from_secs_f64(hours * 3600.0 / f64::from(share))
    } else {
        Duration::from_secs(10)
    }
}

/// Kills in a second there must be at least; several dozen are usual.
pub const KILLS: f64 = 3.0;
/// Stops: one that was rung for may hold its message, or lock, up for a second, until somebody looks around.
pub const STOPS: f64 = 0.3;

/// Random numbers. A test prints the seed of its own and its roles'; `AXONIC_CHAOS_SEED` draws the same again, though
/// the scheduler makes of it what it likes.
pub struct Random(pub u64);

/// The next number drawn from the seed of this process, in the order of this thread, that is of this test.
fn draw(tell: bool) -> u64 {
    static GIVEN: OnceLock<u64> = OnceLock::new();
    thread_local!(static DRAWN: Cell<u64> = const { Cell::new(0) });
    let seed = *GIVEN.get_or_init(|| {
        let given = std::env::var(SEED).ok().map(|seed| seed.parse().expect("a seed"));
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        given.unwrap_or_else(now)
    });
    if tell && std::env::var_os(ROLE).is_none() {
        println!("{SEED}={seed}");
    }
    let drawn = DRAWN.replace(DRAWN.get() + 1);
    (seed ^ drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}

impl Random {
    pub fn new() -> Random {
        Random(draw(true))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Some time up to `limit` microseconds, short ones as likely as long ones.
    pub fn pause(&mut self, limit: u64) {
        let micros = self.below(limit + 1) >> self.below(6);
        if micros > 200 {
            std::thread::sleep(Duration::from_micros(micros));
        } else {
            spin(Duration::from_micros(micros));
        }
    }
}

/// Burns time without giving up the core.
pub fn spin(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// A payload that tells its number and whether it is whole.
pub fn payload(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; size.max(8)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number of a payload; fails if it is torn.
pub fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(
        bytes[8..].iter().all(|byte| *byte == number as u8),
        "a torn message: number {number}, {} bytes",
        bytes.len()
    );
    number
}
