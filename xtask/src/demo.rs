//! `cargo xtask demo`: builds what the processes of `examples/demo` need and starts the agent, which starts
//! the others.

use crate::artifacts::{self, EVERY};
use crate::run::Run;
use crate::setup::{self, Tool};
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

pub fn run(ws: &Workspace, docs: Option<&str>, query: Option<&str>) -> Result<()> {
    setup::require(setup::ALL)?;
    println!("demo: setting up");
    setup::python(ws)?;
    setup::node(ws)?;
    println!("demo: building the core, the C library, both extensions and the command line");
    artifacts::build(ws, EVERY)?;
    let mut run = agent(ws)?;
    println!("demo: starting the agent");
    if let Some(docs) = docs {
        // As the caller meant it; the agent runs in the root of the repository.
        run = run.arg("--docs").arg(docs);
    }
    if let Some(query) = query {
        run = run.arg("--query").arg(query);
    }
    run.shown()
}

/// Compiles what the agent starts, over skins that are built, and says how to start it.
pub fn agent(ws: &Workspace) -> Result<Run> {
    let [plugin, worker] = ["plugin", "worker"].map(|name| ws.target.join("demo").join(name));
    build(ws, &source(ws, "plugin.cpp")?, &plugin)?;
    build(ws, &source(ws, "worker.cpp")?, &worker)?;
    let run = Run::new(ws.python()).arg(source(ws, "agent.py")?);
    let run = run.env("AXONIC_DEMO_PLUGIN", plugin).env("AXONIC_DEMO_WORKER", worker);
    Ok(run.env("AXONIC_DEMO_TOOL", source(ws, "tool.mjs")?).env("AXONIC_DEMO_NODE", Tool::Node.program()))
}

fn source(ws: &Workspace, name: &str) -> Result<PathBuf> {
    let path = ws.path("examples/demo").join(name);
    if !path.exists() {
        bail!("the demo is incomplete: {} is missing", ws.show(&path));
    }
    Ok(path)
}

fn build(ws: &Workspace, source: &Path, program: &Path) -> Result<()> {
    std::fs::create_dir_all(ws.target.join("demo"))?;
    Run::new(Tool::Cxx.program())
        .args(["-O2", "-Wall", "-Wextra", "-pthread", "-std=c++17"])
        .arg(format!("-I{}", ws.c_prefix().join("include").display()))
        .arg(source)
        .args(artifacts::c_link(ws))
        .arg("-o")
        .arg(program)
        .quiet(ws, "demo-compile")?;
    Ok(())
}
