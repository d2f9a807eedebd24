//! `cargo xtask chaos`: the ignored tests of `tests/chaos`, which kill processes at random points.

use crate::artifacts;
use crate::run::Run;
use crate::test::targets;
use crate::workspace::Workspace;
use anyhow::{Result, bail};

/// `hours` reaches the tests as `AXONIC_CHAOS_HOURS`.
pub fn run(ws: &Workspace, hours: Option<&str>) -> Result<()> {
    if let Some(text) = hours
        && !text.parse::<f64>().is_ok_and(|hours| hours > 0.0 && hours.is_finite())
    {
        bail!("HOURS must be a number above zero, not {text:?}");
    }
    if !targets(ws, "axonic-tests")?.iter().any(|name| name == "chaos") {
        bail!("there are no chaos tests: package axonic-tests has no integration test named `chaos`");
    }
    artifacts::build(ws, artifacts::EVERY)?;
    let mut run = Run::cargo(ws)
        .args(["test", "--release", "--package", "axonic-tests", "--test", "chaos"])
        .args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    for (name, path) in artifacts::environment(ws) {
        run = run.env(name, path);
    }
    if let Some(hours) = hours {
        run = run.env("AXONIC_CHAOS_HOURS", hours);
    }
    run.shown()
}
