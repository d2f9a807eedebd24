//! `cargo xtask test [stage…]`: runs the stages, one line each, and sums them up in a last line of
//! the form `N passed, N failed, N skipped`. A stage that finds nothing to run has failed.

pub mod blocks;
pub mod c;
mod examples;
mod rust;
mod scripts;

use crate::artifacts::{self, Skin};
use crate::run::{Outcome, Run};
use crate::setup::{self, Tool};
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Instant;

pub use rust::{targets, with_crash_points};

/// A part of the test suite that can be asked for by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Stage {
    /// Floors, unit and integration tests of every Rust package, the loom models, crash points.
    Rust,
    /// C and C++ programs against the built library, and an installation of it.
    C,
    /// pytest.
    Python,
    /// node --test, and an installation of the npm packages.
    Node,
    /// Every ordered pair of languages, from tests/conformance.
    Interop,
    /// The examples against their expected output, the code blocks of the pages.
    Docs,
}

/// What came out of one step of a stage.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// What to tell about the failures: names, and the end of the log.
    pub said: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.said.extend(other.said);
    }

    pub fn pass(&mut self) {
        self.passed += 1;
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.said.push(what.into());
    }

    pub fn skip(&mut self, why: impl Into<String>) {
        self.skipped += 1;
        self.said.push(format!("skipped: {}", why.into()));
    }

    fn counts(&self) -> String {
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

/// One line of the report; most stages are one step, `rust` and `docs` are several.
struct Step {
    stage: Stage,
    name: &'static str,
    needs: &'static [Skin],
    run: fn(&Workspace) -> Result<Tally>,
}

const STEPS: &[Step] = &[
    Step { stage: Stage::Rust, name: "floors", needs: &[], run: rust::floors },
    Step { stage: Stage::Rust, name: "rust", needs: &[], run: rust::workspace },
    Step { stage: Stage::Rust, name: "loom", needs: &[], run: rust::loom },
    Step { stage: Stage::Rust, name: "crash", needs: &[], run: rust::crash },
    Step { stage: Stage::C, name: "c", needs: &[Skin::C], run: c::programs },
    Step { stage: Stage::C, name: "install", needs: &[Skin::C, Skin::Cli], run: c::installed },
    Step { stage: Stage::Python, name: "python", needs: &[Skin::Python, Skin::Cli], run: scripts::python },
    Step { stage: Stage::Node, name: "node", needs: &[Skin::Node, Skin::Cli], run: scripts::node },
    Step { stage: Stage::Node, name: "npm", needs: &[Skin::Node, Skin::Cli], run: scripts::npm },
    Step { stage: Stage::Interop, name: "interop", needs: artifacts::EVERY, run: rust::interop },
    Step { stage: Stage::Docs, name: "examples", needs: artifacts::EVERY, run: examples::run },
    Step { stage: Stage::Docs, name: "docs", needs: artifacts::EVERY, run: blocks::run },
];

/// How much of a runner's failure report goes to the terminal; the log has all of it.
const MOST_LINES: usize = 400;

/// Runs these stages, or all of them when none is named.
pub fn run(ws: &Workspace, stages: &[Stage]) -> Result<()> {
    let steps: Vec<&Step> = STEPS.iter().filter(|s| stages.is_empty() || stages.contains(&s.stage)).collect();
    let private = RuntimeDir::create()?;
    let mut total = Tally::default();
    let broken = prepare(ws, &steps);
    for step in steps {
        let started = Instant::now();
        println!("test: {}: …", step.name);
        let tally = perform(ws, step, &broken);
        report(step.name, &tally, started.elapsed().as_secs());
        total.add(tally);
    }
    drop(private);
    let line = format!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    write_if_changed(&ws.scratch("test-summary"), format!("{line}\n").as_bytes())?;
    println!("{line}");
    if total.failed > 0 {
        bail!("tests failed");
    }
    Ok(())
}

fn report(name: &str, tally: &Tally, seconds: u64) {
    for said in &tally.said {
        for line in said.lines() {
            println!("    {line}");
        }
    }
    let verdict = if tally.failed > 0 { "FAILED" } else { "ok" };
    println!("test: {name}: {verdict}: {} ({seconds} s)", tally.counts());
}

/// Sets up and builds what the steps need; answers what could not be made. The other skins are
/// tested all the same, but nothing is tested with an old build.
fn prepare(ws: &Workspace, steps: &[&Step]) -> Vec<Skin> {
    let mut needs: Vec<Skin> = Vec::new();
    for skin in steps.iter().flat_map(|step| step.needs) {
        if !needs.contains(skin) {
            needs.push(*skin);
        }
    }
    let mut broken = Vec::new();
    if needs.is_empty() {
        return broken;
    }
    println!("test: setting up");
    let mut failed = |skin: Skin, error: anyhow::Error| {
        println!("test: {skin:?} is not ready: {error:#}");
        broken.push(skin);
    };
    for skin in &needs {
        let result = match skin {
            Skin::Python => setup::python(ws).map(drop),
            Skin::Node => setup::node(ws),
            Skin::C => setup::require(&[Tool::Cc, Tool::Cxx]),
            Skin::Cli => Ok(()),
        };
        if let Err(error) = result {
            failed(*skin, error);
        }
    }
    println!("test: building");
    for (skin, error) in artifacts::ready(ws, &needs) {
        failed(skin, error);
    }
    broken
}

/// Runs a step, unless something it needs is missing.
fn perform(ws: &Workspace, step: &Step, broken: &[Skin]) -> Tally {
    let missing: Vec<Skin> = step.needs.iter().copied().filter(|skin| broken.contains(skin)).collect();
    let result =
        if missing.is_empty() { (step.run)(ws) } else { Err(anyhow!("not run, for want of {missing:?}")) };
    let mut tally = result.unwrap_or_else(|error| {
        let mut tally = Tally::default();
        tally.fail(format!("{error:#}"));
        tally
    });
    if tally.passed + tally.failed + tally.skipped == 0 && step.name != "loom" {
        tally.fail("nothing was run");
    }
    tally
}

const RUNTIME_DIRS: &str = "/dev/shm/axonic-xtask-";

/// A runtime directory of our own, so that tests meet no domain of this user's and leave none.
pub struct RuntimeDir(PathBuf);

impl RuntimeDir {
    pub fn create() -> Result<RuntimeDir> {
        use std::os::unix::fs::DirBuilderExt;
        RuntimeDir::collect();
        let path = PathBuf::from(format!("{RUNTIME_DIRS}{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        // SAFETY: xtask has started no thread; everything it runs inherits the variable.
        unsafe { std::env::set_var("AXONIC_RUNTIME_DIR", &path) };
        Ok(RuntimeDir(path))
    }

    /// Removes what interrupted runs left: directories named after processes that are gone, and
    /// after our own number, which an earlier process had.
    fn collect() {
        for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let path = entry.path();
            let owner = path.to_str().and_then(|p| p.strip_prefix(RUNTIME_DIRS)?.parse::<u32>().ok());
            let gone = |pid| pid == std::process::id() || !PathBuf::from(format!("/proc/{pid}")).exists();
            if owner.is_some_and(gone) {
                let _ = std::fs::remove_dir_all(path);
            }
        }
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The tally of a run whose own summary was read as `counted`: a crash is a failure even when no
/// test admitted to one, and a run without any count is a failure too. `failures` is the part of
/// the output that tells what went wrong; when the runner got to tell nothing, the end is shown.
pub fn judge(ws: &Workspace, outcome: &Outcome, counted: Option<Tally>, failures: &[&str]) -> Tally {
    let mut tally = counted.unwrap_or_default();
    if tally.passed + tally.failed + tally.skipped == 0 && outcome.success() {
        tally.fail("the run counted no test");
    }
    if !outcome.success() && tally.failed == 0 {
        tally.fail(outcome.ending());
    }
    if tally.failed > 0 {
        let told = failures.len().min(MOST_LINES);
        tally.said.push(if told > 0 { failures[..told].join("\n") } else { outcome.tail(80) });
        tally.said.push(format!("whole log: {}", ws.show(&outcome.log)));
    }
    tally
}

/// A run that finds what was built through the `AXONIC_TEST_*` variables.
pub fn with_environment(ws: &Workspace, run: Run) -> Run {
    artifacts::environment(ws).into_iter().fold(run, |run, (name, path)| run.env(name, path))
}

/// The lines from each one that `begins` to the next that `ends` a report.
pub fn sections(output: &str, begins: fn(&str) -> bool, ends: fn(&str) -> bool) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in output.lines() {
        inside = begins(line) || (inside && !ends(line));
        if inside {
            found.push(line);
        }
    }
    found
}

/// Adds up `label: number` pairs found by `read` in each line.
pub fn sum_lines(output: &str, read: impl Fn(&str) -> Option<Tally>) -> Option<Tally> {
    let mut sum: Option<Tally> = None;
    for tally in output.lines().filter_map(read) {
        sum.get_or_insert_default().add(tally);
    }
    sum
}

/// The number right before `word` in a summary such as "3 passed, 1 failed".
pub fn count_before(line: &str, word: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ',', ';', '=']).filter(|w| !w.is_empty()).collect();
    let at = words.iter().position(|w| *w == word);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_summaries() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(count_before(line, "passed"), 12);
        assert_eq!(count_before(line, "failed"), 3);
        assert_eq!(count_before("== 7 passed, 2 errors in 0.1s ==", "errors"), 2);
        assert_eq!(count_before("passed", "passed"), 0);
    }

    #[test]
    fn failure_reports_are_cut_out() {
        let output = "a\nfailures:\nwhy\ntest result: FAILED\nb\nfailures:\nmore\ntest result: FAILED\n";
        let found = sections(output, |line| line == "failures:", |line| line.starts_with("test result:"));
        assert_eq!(found, ["failures:", "why", "failures:", "more"]);
    }

    #[test]
    fn a_crash_and_an_empty_run_are_failures() {
        let ws = Workspace::find().unwrap();
        let crashed = Run::new("sh").args(["-c", "kill -SEGV $$"]).logged(&ws, "unit-crash").unwrap();
        let counted = Tally { passed: 3, ..Tally::default() };
        assert_eq!(judge(&ws, &crashed, Some(counted), &[]).failed, 1);
        let empty = Run::new("true").logged(&ws, "unit-empty").unwrap();
        assert_eq!(judge(&ws, &empty, None, &[]).failed, 1);
        let counted = Tally { passed: 3, ..Tally::default() };
        assert_eq!(judge(&ws, &empty, Some(counted), &[]).failed, 0);
    }
}
