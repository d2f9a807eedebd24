//! Hostile memory: libFuzzer over everything that reads shared memory, a live domain whose memory changes under
//! peers of every language, and the core's tests under the sanitizers.
//!
//! The stable compiler knows the sanitizers but offers them to those only who set `RUSTC_BOOTSTRAP`. What is built
//! with them has target folders of its own.

use crate::artifacts;
use crate::run::Run;
use crate::workspace::{Workspace, files_in};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What libFuzzer wants to be told: which edges were taken, and what was compared with what.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// The packages it is to be told of, none with a build script, which would be instrumented too; all others would only make it
/// slower.
const COVERED: [&str; 5] = ["axonic", "axonic-fuzz", "rmp", "rmp-serde", "tungstenite"];
const ADDRESS: &str = "-Zsanitizer=address -Cforce-frame-pointers=yes";
/// The standard library comes without the sanitizer; mixing is fine as long as we know what that hides. Stores in
/// assembly it would not see.
const THREAD: &str = "-Zsanitizer=thread --cfg plain_stores -Cunsafe-allow-abi-mismatch=sanitizer";

/// Seconds that one input may take, and MiB that one allocation may have.
const INPUT_SECONDS: &str = "-timeout=5";
const ALLOCATION: &str = "-malloc_limit_mb=64";
const LONGEST: &str = "-max_len=2048";

/// A directory of shared memory for the domains of the fuzz targets, which end without tidying up.
struct Place(PathBuf);

impl Place {
    fn make() -> Result<Place> {
        let path = PathBuf::from(format!("/dev/shm/axonic-xtask-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Place(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The platform rustc builds for, which must be named lest build scripts be instrumented too.
fn platform() -> Result<String> {
    let text = Run::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").text()?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// A cargo whose output has these flags and goes to the target folder `name`.
fn instrumented(ws: &Workspace, name: &str, flags: &str) -> (Run, PathBuf) {
    let target = ws.target.join(name);
    let run =
        Run::cargo(ws).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &target);
    (run, target)
}

/// Runs every fuzz target for its share of `seconds`, two at a time. Inputs that reach something new stay in
/// `target/xtask/corpus`; one that breaks something goes to `fuzz/artifacts`.
pub fn fuzz(ws: &Workspace, seconds: f64) -> Result<()> {
    let platform = platform()?;
    let (build, target) = instrumented(ws, "fuzz", &format!("--cfg fuzzing {ADDRESS}"));
    let covered = COVERED.map(|name| format!("profile.release.package.{name}.rustflags={COVERAGE:?}"));
    build
        .limit(super::limit(0.0))
        .arg("-Zprofile-rustflags")
        .args(covered.iter().flat_map(|setting| ["--config", setting]))
        .args(["build", "--release", "--locked", "--target", &platform])
        .arg("--manifest-path")
        .arg(ws.path("fuzz/Cargo.toml"))
        .quiet(ws, "chaos-fuzz-build")?;
    let binaries = target.join(&platform).join("release");
    let names: Vec<String> = files_in(&ws.path("fuzz/fuzz_targets"), |name| name.ends_with(".rs"))
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    if names.is_empty() {
        bail!("fuzz/fuzz_targets has no target");
    }
    let made = Place::make()?;
    let (binaries, place) = (&binaries, made.0.as_path());
    let each = (seconds * 2.0 / names.len() as f64).ceil().max(1.0) as u64;
    for pair in names.chunks(2) {
        std::thread::scope(|scope| {
            let runs: Vec<_> = pair
                .iter()
                .map(|name| scope.spawn(move || fuzz_one(ws, &binaries.join(name), name, each, place)))
                .collect();
            runs.into_iter().try_for_each(|run| run.join().expect("a thread that runs a program"))
        })?;
    }
    Ok(())
}

fn fuzz_one(ws: &Workspace, binary: &Path, name: &str, seconds: u64, place: &Path) -> Result<()> {
    let corpus = ws.scratch("corpus").join(name);
    let artifacts = ws.path("fuzz/artifacts");
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let outcome = Run::new(binary)
        .arg(format!("-max_total_time={seconds}"))
        .args([
            INPUT_SECONDS,
            ALLOCATION,
            LONGEST,
            "-rss_limit_mb=2048",
            "-use_value_profile=1",
            "-print_final_stats=1",
        ])
        .arg(format!("-artifact_prefix={}/{name}-", artifacts.display()))
        .arg(&corpus)
        .arg(ws.path("fuzz/corpus").join(name))
        .env("AXONIC_FUZZ_DIR", place)
        .env("ASAN_OPTIONS", "detect_leaks=0:handle_abort=1:malloc_context_size=4")
        .limit(Duration::from_secs(seconds + 120))
        .quiet(ws, &format!("chaos-fuzz-{name}"))
        .with_context(|| {
            format!("the input is in fuzz/artifacts; `{} <input>` runs it again", binary.display())
        })?;
    let stat = |wanted: &str| {
        let line = outcome.output.lines().rev().find_map(|line| line.strip_prefix(wanted));
        line.map_or("?", str::trim).to_owned()
    };
    let edges = outcome.output.lines().rev().find_map(|line| line.split("cov: ").nth(1)?.split(' ').next());
    println!(
        "chaos: fuzz {name}: {} inputs, {} per second, {} edges",
        stat("stat::number_of_executed_units:"),
        stat("stat::average_exec_per_sec:"),
        edges.unwrap_or("?")
    );
    Ok(())
}

/// Lets peers in every language use domains whose memory is overwritten meanwhile.
pub fn live(ws: &Workspace, seconds: f64) -> Result<()> {
    let mut run = Run::cargo(ws)
        .args(["test", "--release", "--package", "axonic-tests", "--test", "hostile"])
        .args(["--", "--ignored", "--nocapture"])
        .env("AXONIC_CHAOS_SECONDS", seconds.to_string());
    for (name, path) in artifacts::environment(ws) {
        run = run.env(name, path);
    }
    run.limit(super::limit(seconds / 3600.0)).shown()
}

/// The core's tests that touch memory others wrote, and those that share handles between threads.
const UNDER_ADDRESS: &[&str] = &[
    "topic",
    "ring",
    "region",
    "hostile",
    "mutation",
    "corpus",
    "review",
    "closing",
    "threads",
    "channel_stream",
    "jsonrpc",
    "rpc",
    "rpc_frames",
];
/// They count their process's mappings, of which the sanitizer makes some.
const COUNTING: &[&str] =
    &["ten_thousand_objects_leave_nothing_in_their_process", "who_stays_holds_nothing_of_those_who_left"];
/// Mappings of one file have several addresses, so the thread sanitizer cannot see what processes do to each other
/// (loom's models and the litmus tests do). What threads of one process share is what it is for.
const UNDER_THREAD: &[&str] = &["threads"];

/// The address and the thread sanitizer over the core's own tests.
pub fn sanitizers(ws: &Workspace, seconds: f64) -> Result<()> {
    let platform = platform()?;
    let options = format!(
        "halt_on_error=1:second_deadlock_stack=1:suppressions={}",
        ws.path("xtask/src/chaos/tsan.supp").display()
    );
    for (name, flags, tests, variable, options) in [
        (
            "asan",
            ADDRESS,
            UNDER_ADDRESS,
            "ASAN_OPTIONS",
            "detect_leaks=1:detect_stack_use_after_return=1".to_owned(),
        ),
        ("tsan", THREAD, UNDER_THREAD, "TSAN_OPTIONS", options),
    ] {
        let (run, _) = instrumented(ws, name, flags);
        let outcome = run
            .args(["test", "--package", "axonic", "--no-fail-fast", "--target", &platform])
            .args(tests.iter().flat_map(|test| ["--test", test]))
            .arg("--")
            .args(COUNTING.iter().flat_map(|test| ["--skip", test]))
            .env(variable, options)
            .env("AXONIC_CHAOS_SECONDS", (seconds / 2.0).to_string())
            .limit(super::limit(seconds / 2.0 / 3600.0))
            .quiet(ws, &format!("chaos-{name}"))?;
        let passed = outcome.output.lines().filter(|line| line.ends_with("... ok")).count();
        if passed == 0 {
            bail!("no test ran under {name}");
        }
        println!("chaos: {name}: {passed} tests of {} ({} s)", tests.join(", "), outcome.elapsed.as_secs());
    }
    Ok(())
}
