//! `cargo xtask chaos`: the long forms of the litmus tests, which kill, stop and fork processes at random
//! points: the ignored tests of the core's `litmus_*` and, where there are any, of `tests/chaos`; and death and stop at
//! every step of every operation (`crash`).

use crate::artifacts;
use crate::run::Run;
use crate::test::{targets, with_crash_points};
use crate::workspace::Workspace;
use anyhow::{Result, bail};

/// `hours` reaches the tests as `AXONIC_CHAOS_HOURS`.
pub fn run(ws: &Workspace, hours: Option<&str>) -> Result<()> {
    if let Some(text) = hours
        && !text.parse::<f64>().is_ok_and(|hours| hours > 0.0 && hours.is_finite())
    {
        bail!("HOURS must be a number above zero, not {text:?}");
    }
    let litmus = targets(ws, "axonic")?.into_iter().filter(|name| name.starts_with("litmus")).collect();
    ignored_tests(ws, "axonic", litmus, hours)?;
    with_crash_points(ws).args(["--", "--ignored", "--nocapture", "--test-threads=1"]).shown()?;
    let mixed: Vec<String> =
        targets(ws, "axonic-tests")?.into_iter().filter(|name| name == "chaos").collect();
    if !mixed.is_empty() {
        artifacts::build(ws, artifacts::EVERY)?;
        ignored_tests(ws, "axonic-tests", mixed, hours)?;
    }
    Ok(())
}

fn ignored_tests(ws: &Workspace, package: &str, tests: Vec<String>, hours: Option<&str>) -> Result<()> {
    if tests.is_empty() {
        bail!("package {package} has no tests for chaos");
    }
    let selected = tests.iter().flat_map(|name| ["--test", name]);
    let mut run = Run::cargo(ws)
        .args(["test", "--release", "--no-fail-fast", "--package", package])
        .args(selected)
        .args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    for (name, path) in artifacts::environment(ws) {
        run = run.env(name, path);
    }
    if let Some(hours) = hours {
        run = run.env("AXONIC_CHAOS_HOURS", hours);
    }
    run.shown()
}
