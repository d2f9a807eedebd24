//! Starting the peers and listening to them.

use crate::table::{ASYNCIO, LANGUAGES};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A peer program of one language.
pub struct Peer {
    pub language: &'static str,
    command: Vec<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
}

fn setting(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(value) => value.into(),
        None => panic!("{name} is not set: run this through `cargo xtask test interop`"),
    }
}

impl Peer {
    /// One of each language, compiled where the language is.
    pub fn all() -> Vec<Peer> {
        LANGUAGES.iter().map(|language| Peer::new(language)).collect()
    }

    /// The same, and asyncio as a language of its own: whoever uses queues and locks.
    pub fn with_asyncio() -> Vec<Peer> {
        LANGUAGES.iter().chain([&ASYNCIO]).map(|language| Peer::new(language)).collect()
    }

    fn new(language: &'static str) -> Peer {
        let folder = if language == ASYNCIO { "python" } else { language };
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(folder);
        let (command, environment) = match language {
            "rust" => (vec![env!("CARGO_BIN_EXE_axonic-peer").into()], vec![]),
            "c" => (vec![compile(language, "cc", "-std=c11", &sources)], vec![]),
            "cpp" => (vec![compile(language, "c++", "-std=c++17", &sources)], vec![]),
            "python" => (vec![setting("AXONIC_TEST_PYTHON"), sources.join("peer.py")], vec![]),
            ASYNCIO => (vec![setting("AXONIC_TEST_PYTHON"), sources.join("aio.py")], vec![]),
            _ => (vec![setting("AXONIC_TEST_NODE"), sources.join("peer.mjs")], vec![]),
        };
        Peer { language, command, environment }
    }

    /// What its label in a domain ends with: the name of its program.
    pub fn program(&self) -> String {
        let name = self.command.last().and_then(|program| program.file_name()).expect("a program");
        name.to_string_lossy().into_owned()
    }

    /// Starts it with a runtime directory of its own.
    pub fn start(&self, runtime: &Path, arguments: &[&str]) -> Running {
        self.start_with(runtime, arguments, |_| {})
    }

    /// The same, with a last word on how it is started.
    pub fn start_with(
        &self,
        runtime: &Path,
        arguments: &[&str],
        adapt: impl FnOnce(&mut Command),
    ) -> Running {
        let mut command = self.to_start(runtime, arguments);
        command.stdout(Stdio::piped());
        adapt(&mut command);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.language));
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Running { child, output }
    }

    /// What starts it, its output going wherever the caller wants.
    pub fn to_start(&self, runtime: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(arguments).env("AXONIC_RUNTIME_DIR", runtime);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }
}

/// Compiles the folder's sources once per test process, into the target directory.
fn compile(language: &str, compiler: &str, standard: &str, folder: &Path) -> PathBuf {
    let prefix = setting("AXONIC_TEST_C_PREFIX");
    let binary =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("peer-{language}-{}", std::process::id()));
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = LOCK.lock();
    if binary.exists() {
        return binary;
    }
    let library = prefix.join("lib");
    let files = std::fs::read_dir(folder).expect("the peer's folder").flatten().map(|entry| entry.path());
    let status = Command::new(compiler)
        .args([standard, "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"])
        .args(files.filter(|path| path.extension().is_some_and(|extension| extension == language)))
        .arg("-I")
        .arg(prefix.join("include"))
        .arg("-L")
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-laxonic", "-o"])
        .arg(&binary)
        .status()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    assert!(status.success(), "{} does not compile", folder.display());
    binary
}

/// A peer at work; it is killed if it is dropped before it ended.
pub struct Running {
    pub child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Reads one line.
    pub fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|e| e.to_string())?;
        Ok(line.trim_end().to_owned())
    }

    /// Reads one line, which must be this.
    pub fn expect_line(&mut self, wanted: &str) -> Result<(), String> {
        let line = self.line()?;
        if line == wanted { Ok(()) } else { Err(format!("said {line:?}, expected {wanted:?}")) }
    }

    /// Its remaining lines, once it has ended well.
    pub fn lines(mut self) -> Result<Vec<String>, String> {
        let mut text = String::new();
        self.output.read_to_string(&mut text).map_err(|e| e.to_string())?;
        let status = self.child.wait().map_err(|e| e.to_string())?;
        if !status.success() {
            return Err(format!("ended with {status}, saying {text:?}"));
        }
        Ok(text.lines().map(String::from).collect())
    }

    /// Its last line.
    pub fn finish(self) -> Result<String, String> {
        Ok(self.lines()?.last().cloned().unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
