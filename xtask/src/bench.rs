//! `cargo xtask bench`: the measurements of package `axonic-bench`, in release mode.

use crate::artifacts;
use crate::run::Run;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};

pub fn run(ws: &Workspace, quick: bool) -> Result<()> {
    let main = std::fs::read_to_string(ws.path("bench/src/main.rs")).context("reading bench/src/main.rs")?;
    if main.trim() == "fn main() {}" {
        bail!("there are no measurements: bench/src/main.rs does nothing");
    }
    let mut run = Run::cargo(ws).args(["run", "--release", "--package", "axonic-bench", "--"]);
    if quick {
        run = run.arg("--quick");
    }
    for (name, path) in artifacts::environment(ws) {
        run = run.env(name, path);
    }
    run.shown()
}
