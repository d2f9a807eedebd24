//! Running programs: with their output shown, or kept in a log under `target/xtask/logs` while a
//! line tells every so often that they are still alive, and never for longer than their limit.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const HEARTBEAT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// A program about to be run.
pub struct Run {
    command: Command,
    shown: String,
    limit: Duration,
}

/// What a captured run left behind.
pub struct Outcome {
    pub status: Option<ExitStatus>,
    pub output: String,
    pub log: PathBuf,
    pub elapsed: Duration,
}

impl Outcome {
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// "exit status: 1", "signal: 11 (SIGSEGV)", or that its time was over.
    pub fn ending(&self) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => format!("stopped after its limit of {} s", self.elapsed.as_secs()),
        }
    }

    /// The last `lines` of the output, which is where programs say what went wrong.
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.output.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Run {
    pub fn new(program: impl AsRef<OsStr>) -> Run {
        let shown = Path::new(&program).file_name().unwrap_or(program.as_ref());
        let shown = shown.to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Run { command, shown, limit: Duration::from_secs(1800) }
    }

    /// The cargo that started this xtask, in the checkout's root.
    pub fn cargo(ws: &Workspace) -> Run {
        Run::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).dir(&ws.root)
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Run {
        args.into_iter().fold(self, Run::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Run {
        self.command.current_dir(dir);
        self
    }

    /// The time after which the program and all it started are killed; half an hour unless set.
    pub fn limit(mut self, limit: Duration) -> Run {
        self.limit = limit;
        self
    }

    /// Runs it on this terminal; an unsuccessful end is an error.
    pub fn shown(mut self) -> Result<()> {
        let mut child = self.command.spawn().with_context(|| format!("starting {}", self.shown))?;
        match wait(&mut child, self.limit, || {})? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("`{}` failed: {status}", self.shown),
            None => bail!("`{}` was stopped after its limit of {} s", self.shown, self.limit.as_secs()),
        }
    }

    /// Runs it with standard output and error going, in order, to the log `name`.
    pub fn logged(mut self, ws: &Workspace, name: &str) -> Result<Outcome> {
        let log = ws.scratch("logs").join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        self.command.stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let mut child = self.command.spawn().with_context(|| format!("starting {}", self.shown))?;
        let status = wait(&mut child, self.limit, || {
            println!("    {name}: {} s; {}", started.elapsed().as_secs(), last_line(&log));
        })?;
        let output = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        Ok(Outcome { status, output, log, elapsed: started.elapsed() })
    }

    /// Like [`Run::logged`], but an unsuccessful end is an error that carries the end of the log.
    pub fn quiet(self, ws: &Workspace, name: &str) -> Result<Outcome> {
        let shown = self.shown.clone();
        let outcome = self.logged(ws, name)?;
        if !outcome.success() {
            let log = ws.show(&outcome.log);
            bail!("`{shown}` failed: {} (whole log: {log})\n{}", outcome.ending(), outcome.tail(60));
        }
        Ok(outcome)
    }

    /// Standard output of a short command that must succeed.
    pub fn text(mut self) -> Result<String> {
        let output = self.command.output().with_context(|| format!("starting {}", self.shown))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed: {}\n{}", self.shown, output.status, said.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Waits for the child; `None` when it was killed, with its descendants, at the limit.
fn wait(child: &mut Child, limit: Duration, mut alive: impl FnMut()) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut next = HEARTBEAT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let elapsed = started.elapsed();
        if elapsed >= limit {
            kill_tree(child.id());
            child.wait()?;
            return Ok(None);
        }
        if elapsed >= next {
            alive();
            next += HEARTBEAT;
        }
        // Who runs for long is not in a hurry, and may be measuring what this takes from it.
        std::thread::sleep((elapsed / 100).clamp(POLL, LONGEST_POLL));
    }
}

/// Kills a process and everything it started. The child stays in our process group, so that
/// Ctrl-C reaches it; hence the walk instead of a kill of the group.
fn kill_tree(pid: u32) {
    let mut doomed = vec![pid];
    let mut next = 0;
    while next < doomed.len() {
        doomed.extend(children(doomed[next]));
        next += 1;
    }
    let pids = doomed.iter().map(u32::to_string);
    let _ = Command::new("sh").args(["-c", "kill -KILL \"$@\" 2>/dev/null", "sh"]).args(pids).status();
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output yet");
    line.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::find().unwrap()
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let script = "sleep 345 & echo $!; sleep 346";
        let outcome = Run::new("sh")
            .args(["-c", script])
            .limit(Duration::from_millis(300))
            .logged(&workspace(), "unit-hang")
            .unwrap();
        assert!(outcome.status.is_none(), "{}", outcome.ending());
        let grandchild: u32 = outcome.output.trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(Instant::now() < deadline, "still there: {}", state());
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn what_is_shown_has_a_limit_too() {
        let run = Run::new("sleep").arg("347").limit(Duration::from_millis(100));
        assert!(run.shown().unwrap_err().to_string().contains("its limit"));
    }

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let failed =
            Run::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).quiet(&workspace(), "unit-fail");
        let said = failed.err().unwrap().to_string();
        assert!(said.contains("out\nerr") && said.contains("exit status: 3"), "{said}");
    }
}
