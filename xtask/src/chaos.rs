//! `cargo xtask chaos`: the long forms of the litmus tests, which kill, stop and fork processes at random points, pass
//! pids and slots of the dead on to others, and put peers into containers (the ignored tests of the core's `litmus_*`
//! and of `tests/chaos`), power cuts of whole queues (those of the core itself), death and stop at every step of every
//! operation (`crash`), and hostile memory ([`hostile`]).

mod hostile;

use crate::artifacts;
use crate::run::Run;
use crate::setup;
use crate::test::{targets, with_crash_points};
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::time::Duration;

/// A stage by its name, the seconds it takes unless HOURS says otherwise, and what it does with these.
type Stage = (&'static str, f64, fn(&Workspace, f64) -> Result<()>);

/// Building comes on top.
const HOSTILE: [Stage; 3] =
    [("fuzz", 90.0, hostile::fuzz), ("live", 45.0, hostile::live), ("sanitizers", 45.0, hostile::sanitizers)];

/// Runs the named stages, or all. Of `hours` the kills get one half, hostile memory the other.
pub fn run(ws: &Workspace, stages: &[String], hours: Option<&str>) -> Result<()> {
    let half = match hours.map(str::parse::<f64>) {
        None => None,
        Some(Ok(hours)) if hours > 0.0 && hours.is_finite() => Some(hours / 2.0),
        _ => bail!("HOURS must be a number above zero, not {:?}", hours.unwrap_or_default()),
    };
    if let Some(unknown) =
        stages.iter().find(|s| *s != "kills" && !HOSTILE.iter().any(|known| known.0 == **s))
    {
        bail!("chaos has no stage {unknown:?}: kills, {}", HOSTILE.map(|stage| stage.0).join(", "));
    }
    let wanted = |name: &str| stages.is_empty() || stages.iter().any(|stage| stage == name);
    // What is missing is told now, not after hours.
    setup::require(setup::ALL)?;
    if wanted("kills") || wanted("live") {
        ready_peers(ws)?;
    }
    if wanted("kills") {
        kills(ws, half)?;
    }
    let usual: f64 = HOSTILE.iter().map(|stage| stage.1).sum();
    for (name, seconds, stage) in HOSTILE.iter().filter(|stage| wanted(stage.0)) {
        println!("chaos: {name}: …");
        stage(ws, half.map_or(*seconds, |hours| seconds / usual * hours * 3600.0))?;
    }
    Ok(())
}

/// How long a stage that goes on for `hours` may take with its build before it hangs.
fn limit(hours: f64) -> Duration {
    Duration::from_secs_f64((hours + 1.0) * 3600.0)
}

/// `hours` reaches the tests as `AXONIC_CHAOS_HOURS`, and is divided among all but death at every step.
fn kills(ws: &Workspace, hours: Option<f64>) -> Result<()> {
    let litmus = targets(ws, "axonic")?.into_iter().filter(|name| name.starts_with("litmus"));
    let of_core = std::iter::once("--lib".to_owned()).chain(litmus.map(|name| format!("--test={name}")));
    ignored_tests(ws, "axonic", of_core.collect(), hours)?;
    let steps = with_crash_points(ws).args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    steps.limit(limit(0.0)).shown()?;
    ignored_tests(ws, "axonic-tests", vec!["--test=chaos".into()], hours)
}

/// What the peers in every language load and run on.
fn ready_peers(ws: &Workspace) -> Result<()> {
    setup::python(ws)?;
    setup::node(ws)?;
    artifacts::build(ws, artifacts::EVERY)
}

fn ignored_tests(ws: &Workspace, package: &str, tests: Vec<String>, hours: Option<f64>) -> Result<()> {
    let mut run = Run::cargo(ws)
        .args(["test", "--release", "--no-fail-fast", "--package", package])
        .args(tests)
        .args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    for (name, path) in artifacts::environment(ws) {
        run = run.env(name, path);
    }
    if let Some(hours) = hours {
        run = run.env("AXONIC_CHAOS_HOURS", hours.to_string());
    }
    run.limit(limit(hours.unwrap_or(0.0))).shown()
}
