//! Starting the peers, and noticing when one crashes or hangs.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A program of one language that uses a domain in every way.
pub struct Peer {
    language: &'static str,
    command: Vec<PathBuf>,
}

fn setting(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(value) => value.into(),
        None => panic!("{name} is not set: run this through `cargo xtask chaos`"),
    }
}

impl Peer {
    pub fn all() -> Vec<Peer> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
        let peer = |language, command: Vec<PathBuf>| Peer { language, command };
        vec![
            peer("rust", vec![env!("CARGO_BIN_EXE_axonic-churn").into()]),
            peer("c", vec![compile(&sources.join("churn.c"))]),
            peer("python", vec![setting("AXONIC_TEST_PYTHON"), sources.join("churn.py")]),
            peer("node", vec![setting("AXONIC_TEST_NODE"), sources.join("churn.mjs")]),
        ]
    }

    pub fn start(&self, runtime: &Path, data: &Path, milliseconds: &str, overflow: &str) -> Running {
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(["test", milliseconds, overflow])
            .env("AXONIC_RUNTIME_DIR", runtime)
            .env("AXONIC_DATA_DIR", data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.language));
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Running { language: self.language, child, output }
    }
}

fn compile(source: &Path) -> PathBuf {
    let prefix = setting("AXONIC_TEST_C_PREFIX");
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("churn-c");
    let library = prefix.join("lib");
    let status = Command::new("cc")
        .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg(source)
        .arg(format!("-I{}", prefix.join("include").display()))
        .arg(format!("-L{}", library.display()))
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-laxonic", "-o"])
        .arg(&binary)
        .status()
        .unwrap_or_else(|e| panic!("cc: {e}"));
    assert!(status.success(), "{} does not compile", source.display());
    binary
}

/// A peer at work; it is killed if the test ends before it.
pub struct Running {
    language: &'static str,
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Waits until it begins.
    pub fn ready(&mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), "ready", "{}", self.language);
    }

    /// Waits for its end, which must be a good one and come in time. Returns how it counted.
    pub fn end(mut self, latest: Instant) -> String {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > latest => self.hangs(),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        let counts = said.trim_end().strip_prefix("ok ").filter(|_| status.success());
        let counts = counts.unwrap_or_else(|| panic!("{}: {status}, saying {said:?}", self.language));
        let (calls, errors) = counts.split_once(' ').expect("two numbers");
        format!("{} {calls} calls, {errors} errors", self.language)
    }

    /// Says where in the kernel its threads are before it is killed.
    fn hangs(&self) -> ! {
        let process = format!("/proc/{}", self.child.id());
        let read = |file: &str| std::fs::read_to_string(format!("{process}/{file}")).unwrap_or_default();
        panic!(
            "{} hangs; it sleeps in {:?} (none: it spins), {}",
            self.language,
            read("wchan"),
            read("status")
                .lines()
                .filter(|l| l.contains("State") || l.contains("ctxt"))
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
