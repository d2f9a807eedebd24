//! A runtime directory per test, and child processes that cannot outlive it or hang it.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axonic::{Domain, DomainOptions, ErrorKind, Snapshot, snapshot};
use nix::sys::signal::{SigHandler, Signal, kill, killpg};
use nix::unistd::Pid;

/// Long enough for a loaded machine, short enough for a person.
const PATIENCE: Duration = Duration::from_secs(30);

/// A runtime directory of its own, removed at the end.
pub struct Place {
    directory: tempfile::TempDir,
    /// What is to survive a reboot is on the same tmpfs, beside it.
    data: tempfile::TempDir,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        let directory =
            || tempfile::Builder::new().prefix("axonic-cli-test-").tempdir_in("/dev/shm").unwrap();
        Place { directory: directory(), data: directory() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// What a reboot does: nothing in memory is left.
    pub fn reboot(&self) {
        for entry in std::fs::read_dir(self.path()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }

    fn options(&self, name: &str) -> DomainOptions {
        DomainOptions {
            name: Some(name.to_owned()),
            runtime_dir: Some(self.path().to_owned()),
            data_dir: Some(self.data.path().to_owned()),
            label: Some("tester".to_owned()),
            ..DomainOptions::default()
        }
    }

    /// The test itself takes part in a domain.
    pub fn open(&self, name: &str) -> Domain {
        Domain::open_with(self.options(name)).unwrap()
    }

    /// The default domain seen from outside; empty when there is none.
    pub fn snapshot(&self) -> Snapshot {
        match snapshot(&self.options("default")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Snapshot::default(),
            seen => seen.unwrap(),
        }
    }

    /// `axonic` with these arguments, in this place.
    pub fn axonic<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axonic"));
        command.args(args);
        self.prepare(command)
    }

    /// `sh -c script` with `axonic` on the PATH, in this place.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        // A group of its own, so that all it starts ends with it.
        command.args(["-c", script]).process_group(0);
        self.prepare(command)
    }

    fn prepare(&self, mut command: Command) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_axonic")).parent().unwrap();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([own.to_owned()].into_iter().chain(std::env::split_paths(&others)));
        command
            .env("PATH", path.unwrap())
            .env("AXONIC_RUNTIME_DIR", self.path())
            .env("AXONIC_DATA_DIR", self.data.path())
            .env_remove("AXONIC_DOMAIN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let from_a_terminal = || {
            for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
                // SAFETY: to the default action, of a process that runs nothing yet.
                unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
            }
            Ok(())
        };
        // What nohup or a background job ignores, its children would ignore too.
        // SAFETY: sigaction is async-signal-safe.
        unsafe { command.pre_exec(from_a_terminal) };
        command
    }

    /// Runs `axonic` to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        Running::start(&mut self.axonic(args)).finish()
    }

    /// Runs `axonic`, which has to end with 0, and returns what it printed.
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.run(args).ok()
    }

    /// Starts `axonic sub` and comes back once it listens.
    pub fn sub<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        let before = self.listeners();
        let mut command = self.axonic(["sub"]);
        command.args(args);
        let running = Running::start(&mut command);
        until("a subscriber listens", || self.listeners() > before);
        running
    }

    /// How many live subscribers the default domain has.
    pub fn listeners(&self) -> usize {
        self.snapshot().subscribers.iter().filter(|subscriber| subscriber.alive).count()
    }
}

impl Done {
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The exit code and the message without its prefix; nothing may be on stdout.
    pub fn error(&self) -> (i32, &str) {
        assert_eq!(self.out, "");
        (self.code, self.err.strip_prefix("axonic: ").expect(&self.err).trim_end())
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            // As a shell counts.
            code: output.status.code().unwrap_or_else(|| {
                128 + std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or_default()
            }),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A child that is killed when the test ends first.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        Running { child: Some(command.spawn().unwrap()) }
    }

    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.child().id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end and collects the output.
    pub fn finish(mut self) -> Done {
        let child = self.child.take().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        match receiver.recv_timeout(PATIENCE) {
            Ok(output) => output.into(),
            Err(_) => {
                kill(pid, Signal::SIGKILL).unwrap();
                panic!("still running after {PATIENCE:?}: {:?}", receiver.recv().map(Done::from));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // A shell's group; others lead none.
            let _ = killpg(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Each line as JSON.
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}
