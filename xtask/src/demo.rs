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
    let agent = source(ws, "agent.py")?;
    let tool = source(ws, "tool.mjs")?;
    let sources = [source(ws, "plugin.cpp")?, source(ws, "worker.cpp")?];
    println!("demo: setting up");
    let python = setup::python(ws)?;
    setup::node(ws)?;
    println!("demo: building the core, the C library, both extensions and the command line");
    artifacts::build(ws, EVERY)?;
    let [plugin, worker] = ["plugin", "worker"].map(|name| ws.target.join("demo").join(name));
    build(ws, &sources[0], &plugin)?;
    build(ws, &sources[1], &worker)?;
    println!("demo: starting the agent");
    let mut run = Run::new(python)
        .arg(agent)
        .env("AXONIC_DEMO_PLUGIN", plugin)
        .env("AXONIC_DEMO_WORKER", worker)
        .env("AXONIC_DEMO_TOOL", tool)
        .env("AXONIC_DEMO_NODE", Tool::Node.program());
    if let Some(docs) = docs {
        // As the caller meant it; the agent runs in the root of the repository.
        run = run.arg("--docs").arg(docs);
    }
    if let Some(query) = query {
        run = run.arg("--query").arg(query);
    }
    run.shown()
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
