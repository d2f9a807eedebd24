//! Cargo's tests: the workspace, the loom models, the interop matrix.

use super::{Tally, count_before, judge, sections, sum_lines, with_environment};
use crate::run::{Outcome, Run};
use crate::workspace::{Workspace, files_below, files_in};
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// Integration tests that need every skin: they run as the interop stage.
const INTEROP: &[&str] = &["conformance", "interop", "chaos", "hostile", "jsonrpc"];

/// The two extensions cannot be linked into a test program: their symbols live in the interpreter.
const EXTENSIONS: &[&str] = &["axonic-python", "axonic-node"];

pub fn floors(ws: &Workspace) -> Result<Tally> {
    let mut tally = Tally::default();
    for violation in crate::floors::check(&ws.path("ipc-core/src"))? {
        tally.fail(format!("ipc-core/src/{violation}"));
    }
    if tally.failed == 0 {
        tally.pass();
    }
    Ok(tally)
}

/// Every package but the extensions; of `axonic-tests` what needs no other language.
pub fn workspace(ws: &Workspace) -> Result<Tally> {
    let excluded = EXTENSIONS.iter().chain(&["axonic-tests"]).flat_map(|name| ["--exclude", name]);
    let run = Run::cargo(ws).args(["test", "--workspace", "--no-fail-fast"]).args(excluded);
    let mut tally = counted(ws, &run.logged(ws, "test-rust")?);
    let own: Vec<String> =
        targets(ws, "axonic-tests")?.into_iter().filter(|name| !INTEROP.contains(&name.as_str())).collect();
    if !own.is_empty() {
        let selected = own.iter().flat_map(|name| ["--test", name]);
        let run = Run::cargo(ws).args(["test", "--package", "axonic-tests", "--no-fail-fast"]).args(selected);
        tally.add(counted(ws, &with_environment(ws, run).logged(ws, "test-processes")?));
    }
    Ok(tally)
}

/// Models live beside the code as `loom_*.rs` or under `ipc-core/tests`; they have a target folder
/// of their own because `--cfg loom` rebuilds everything.
pub fn loom(ws: &Workspace) -> Result<Tally> {
    let is_model = |name: &str| name.starts_with("loom_") && name.ends_with(".rs");
    let outside = files_in(&ws.path("ipc-core/tests"), is_model);
    let inside: Vec<_> = files_below(&ws.path("ipc-core/src"), "rs")
        .into_iter()
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(is_model))
        .collect();
    let mut tally = Tally::default();
    let selections: [(&str, bool, &[&str]); 2] = [
        ("test-loom", !outside.is_empty(), &["--test", "loom_*"]),
        ("test-loom-inside", !inside.is_empty(), &["--lib", "--", "loom_"]),
    ];
    for (log, present, selection) in selections {
        if present {
            let run = Run::cargo(ws)
                .args(["test", "--package", "axonic", "--release", "--no-fail-fast"])
                .args(selection)
                .env("RUSTFLAGS", "--cfg loom")
                .env("CARGO_TARGET_DIR", ws.target.join("loom"))
                // Models are compiled often and run briefly: link-time optimisation does not pay.
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
            tally.add(counted(ws, &run.logged(ws, log)?));
        }
    }
    Ok(tally)
}

/// Death at some steps of every operation (`make chaos`: at all of them), in a core built with crash points.
pub fn crash(ws: &Workspace) -> Result<Tally> {
    Ok(counted(ws, &with_crash_points(ws).args(["--", "--nocapture"]).logged(ws, "test-crash")?))
}

/// The tests of a core in which every step that others see is a crash point.
pub fn with_crash_points(ws: &Workspace) -> Run {
    Run::cargo(ws)
        .args(["test", "--package", "axonic", "--release", "--test", "crash"])
        .env("RUSTFLAGS", "--cfg crash_points")
        .env("CARGO_TARGET_DIR", ws.target.join("crash"))
}

pub fn interop(ws: &Workspace) -> Result<Tally> {
    let all = targets(ws, "axonic-tests")?;
    let chosen: Vec<&String> = all.iter().filter(|name| INTEROP.contains(&name.as_str())).collect();
    if chosen.is_empty() {
        bail!("package axonic-tests has no integration test named {}", INTEROP.join(" or "));
    }
    let selected = chosen.iter().flat_map(|name| ["--test", name.as_str()]);
    let run = Run::cargo(ws).args(["test", "--package", "axonic-tests", "--no-fail-fast"]).args(selected);
    let run = with_environment(ws, run).limit(Duration::from_secs(2400));
    Ok(counted(ws, &run.logged(ws, "test-interop")?))
}

/// The integration tests of a package, by name.
pub fn targets(ws: &Workspace, package: &str) -> Result<Vec<String>> {
    let text = Run::cargo(ws).args(["metadata", "--no-deps", "--format-version", "1"]).text()?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let found = packages.iter().find(|p| p["name"] == package);
    let found = found.with_context(|| format!("the workspace has no package {package}"))?;
    let targets = found["targets"].as_array().into_iter().flatten();
    let tests =
        targets.filter(|t| t["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "test")));
    Ok(tests.filter_map(|t| t["name"].as_str().map(str::to_owned)).collect())
}

fn counted(ws: &Workspace, outcome: &Outcome) -> Tally {
    let sum = sum_lines(&outcome.output, |line| {
        line.starts_with("test result:").then(|| Tally {
            passed: count_before(line, "passed"),
            failed: count_before(line, "failed"),
            ..Tally::default()
        })
    });
    let failures =
        sections(&outcome.output, |line| line == "failures:", |line| line.starts_with("test result:"));
    let mut tally = judge(ws, outcome, sum, &failures);
    for what in skipped(&outcome.output) {
        tally.skip(what);
    }
    tally
}

/// What tests that passed say they could not try on this machine (`SKIPPED what: why`, past the harness's capture).
fn skipped(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| Some(line.split_once("SKIPPED ")?.1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_could_not_be_tried_is_told() {
        let output = "running 2 tests\ntest a ... SKIPPED namespaces: not allowed\nok\ntest b ... ok\n";
        assert_eq!(super::skipped(output).collect::<Vec<_>>(), ["namespaces: not allowed"]);
    }
}
