//! `cargo xtask bench`: the measurements of package `axonic-bench`, in release mode, beside other people's libraries.
//!
//! The peers burden nothing else: the Rust ones are a workspace of their own in `bench/peers`, the Python and npm ones
//! go into `target/bench`. What cannot be had here (no network, no compiler for it) is left out with a note.

use crate::artifacts::{self, Skin};
use crate::run::Run;
use crate::setup::{self, Tool};
use crate::workspace::{Workspace, files_in, write_if_changed};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Programs of `bench/peers`: each is a binary and a feature of the same name.
const RUST_PEERS: &[(&str, &str)] = &[
    ("crossbeam", "crossbeam-channel"),
    ("iceoryx2", "iceoryx2"),
    ("libzmq", "libzmq"),
    ("nats", "nats"),
    ("redis", "redis"),
    ("sqlite", "sqlite"),
    ("tonic", "tonic"),
];

/// A build or download of a peer that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(900);

pub fn run(ws: &Workspace, quick: bool) -> Result<()> {
    setup::require(&[Tool::Python, Tool::Node])?;
    let built = ws.target.join("bench");
    let mut notes = skins(ws);
    notes.push("zenoh: no program of bench/peers measures it yet".to_owned());
    notes.extend(compile_c(ws, &built).err().map(|e| note("axonic-c", &e)));
    let python = python(ws, &built, &mut notes);
    notes.extend(npm(ws, &built).err().map(|e| note("npm peers", &e)));
    for (program, subject) in RUST_PEERS {
        notes.extend(rust_peer(ws, &built, program).err().map(|e| note(subject, &e)));
    }
    let mut run = Run::cargo(ws).args(["run", "--release", "--package", "axonic-bench", "--"]);
    if quick {
        run = run.arg("--quick");
    }
    run.arg("--out")
        .arg(&built)
        .args(notes.iter().flat_map(|note| ["--skipped", note]))
        .env("AXONIC_BENCH_BUILT", &built)
        .env("AXONIC_BENCH_PYTHON", python)
        .env("AXONIC_BENCH_NODE", Tool::Node.program())
        .env("PYTHONPATH", ws.path("bindings-python/python"))
        .limit(Duration::from_secs(3600))
        .shown()
}

/// One line for the report: who is missing and the last thing that was said about it.
fn note(subject: &str, error: &anyhow::Error) -> String {
    let whole = format!("{error:#}");
    let why = whole.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it could not be set up");
    println!("  bench: {subject} is left out: {}", why.trim());
    format!("{subject}: {}", why.trim())
}

/// Builds the skins; those that fail are left out.
fn skins(ws: &Workspace) -> Vec<String> {
    let name = |skin| match skin {
        Skin::C => "axonic-c",
        Skin::Python => "axonic-python",
        Skin::Node => "axonic-node",
        Skin::Cli => "axonic",
    };
    let failed = artifacts::ready(ws, &[Skin::C, Skin::Python, Skin::Node]);
    let mut notes: Vec<String> = failed.iter().map(|(skin, error)| note(name(*skin), error)).collect();
    let linked = setup::link(&ws.path("node_modules/axonic"), Path::new("../bindings-node"));
    notes.extend(linked.err().map(|e| note("axonic-node", &e)));
    notes
}

/// The C subject, linked with the staged library.
fn compile_c(ws: &Workspace, built: &Path) -> Result<()> {
    setup::require(&[Tool::Cc])?;
    std::fs::create_dir_all(built.join("c"))?;
    Run::new(Tool::Cc.program())
        .args(artifacts::c_flags(ws, "gnu11"))
        .args(["-O2", "-o"])
        .arg(built.join("c/axonic"))
        .args(files_in(&ws.path("bench/c"), |name| name.ends_with(".c")))
        .args(artifacts::c_link(ws))
        .quiet(ws, "bench-c")
        .map(drop)
}

/// The bench's own environment with the Python peers; answers the interpreter to use, which without an environment is
/// the machine's.
fn python(ws: &Workspace, built: &Path, notes: &mut Vec<String>) -> PathBuf {
    let venv = built.join("venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        println!("  bench: python environment: target/bench/venv");
        let made = Run::new(Tool::Python.program())
            .args(["-m", "venv"])
            .arg(&venv)
            .quiet(ws, "bench-venv")
            .map(drop);
        if let Err(error) = made {
            notes.push(note("Python peers", &error));
            return Tool::Python.program().into();
        }
    }
    let list = std::fs::read_to_string(ws.path("bench/python/requirements.txt")).unwrap_or_default();
    for wanted in list.lines().filter(|line| line.contains("==")) {
        let name = wanted.split("==").next().unwrap_or(wanted);
        let stamp = venv.join(format!("{name}.stamp"));
        if std::fs::read_to_string(&stamp).is_ok_and(|has| has == wanted) {
            continue;
        }
        println!("  bench: {wanted} from the Python package index");
        let installed = Run::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--retries",
                "1",
                wanted,
            ])
            .limit(LIMIT)
            .quiet(ws, "bench-pip")
            .and_then(|_| write_if_changed(&stamp, wanted.as_bytes()));
        notes.extend(installed.err().map(|e| note(name, &e)));
    }
    python
}

/// What `bench/node/package-lock.json` pins, in `target/bench/node`.
fn npm(ws: &Workspace, built: &Path) -> Result<()> {
    setup::require(&[Tool::Npm])?;
    let folder = built.join("node");
    let mut changed = !folder.join("node_modules").exists();
    for file in ["package.json", "package-lock.json"] {
        let content =
            std::fs::read(ws.path("bench/node").join(file)).with_context(|| format!("bench/node/{file}"))?;
        changed |= write_if_changed(&folder.join(file), &content)?;
    }
    if changed {
        println!("  bench: npm packages: target/bench/node");
        let fetched = Run::new(Tool::Npm.program())
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .dir(&folder)
            .limit(LIMIT)
            .quiet(ws, "bench-npm");
        if fetched.is_err() {
            let _ = std::fs::remove_dir_all(folder.join("node_modules"));
        }
        fetched?;
    }
    Ok(())
}

fn rust_peer(ws: &Workspace, built: &Path, program: &str) -> Result<()> {
    println!("  bench: building {program} of bench/peers");
    Run::cargo(ws)
        .args(["build", "--release", "--locked", "--bin", program, "--features", program, "--manifest-path"])
        .arg(ws.path("bench/peers/Cargo.toml"))
        .arg("--target-dir")
        .arg(built.join("peers"))
        .limit(LIMIT)
        .quiet(ws, &format!("bench-{program}"))
        .map(drop)
}
