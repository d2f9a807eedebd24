//! `cargo xtask lint`: every static check; all of them run, then the verdict.

use crate::artifacts::{self, Skin};
use crate::run::Run;
use crate::setup::{self, Tool};
use crate::workspace::{Workspace, files_below};
use crate::{codegen, floors, versions};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::Instant;

type Check = fn(&Workspace) -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("rustfmt", rustfmt),
    ("floors", floors_check),
    ("one version", versions::check),
    ("clippy", clippy),
    ("rustdoc", rustdoc),
    ("header drift", |ws| codegen::run(ws, true)),
    ("headers compile alone", headers),
    ("ruff", ruff),
    ("mypy --strict", mypy),
    ("stubtest", stubtest),
    ("tsc --strict", tsc),
];

pub fn run(ws: &Workspace) -> Result<()> {
    setup::require(setup::ALL)?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        let started = Instant::now();
        let result = check(ws);
        let seconds = started.elapsed().as_secs();
        match result {
            Ok(()) => println!("lint: {name}: ok ({seconds} s)"),
            Err(error) => {
                println!("lint: {name}: FAILED ({seconds} s)\n{error:#}");
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    println!("lint: all {} checks passed", CHECKS.len());
    Ok(())
}

const UNFORMATTED: &str =
    "files that `cargo fmt --all` (for those of no package here: `rustfmt`) would change";

/// Rust of no package of this workspace, which `cargo fmt` therefore does not know.
const LOOSE: [&str; 5] = ["examples", "fuzz/src", "fuzz/fuzz_targets", "bench/peers/src", "xtask/templates"];

fn rustfmt(ws: &Workspace) -> Result<()> {
    Run::cargo(ws)
        .args(["fmt", "--all", "--", "--check", "--files-with-diff"])
        .quiet(ws, "lint-rustfmt")
        .context(UNFORMATTED)?;
    Run::new("rustfmt")
        .args(["--check", "--files-with-diff", "--edition", "2024"])
        .args(LOOSE.iter().flat_map(|dir| files_below(&ws.path(dir), "rs")))
        .dir(&ws.root)
        .quiet(ws, "lint-rustfmt-loose")
        .context(UNFORMATTED)
        .map(drop)
}

fn floors_check(ws: &Workspace) -> Result<()> {
    floors::run(ws)
}

fn clippy(ws: &Workspace) -> Result<()> {
    Run::cargo(ws)
        .args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
        .quiet(ws, "lint-clippy")
        .map(drop)
}

/// Broken links and missing pages in the documentation of the public crate.
fn rustdoc(ws: &Workspace) -> Result<()> {
    Run::cargo(ws)
        .args(["doc", "--no-deps", "--package", "axonic"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .quiet(ws, "lint-rustdoc")
        .map(drop)
}

/// Each public header is complete by itself, in every dialect it promises.
fn headers(ws: &Workspace) -> Result<()> {
    let headers = artifacts::headers(ws);
    if headers.is_empty() {
        bail!("include/ holds no header");
    }
    for header in headers {
        let c = header.extension().is_some_and(|e| e == "h");
        let dialects: &[(Tool, &str, &str)] = if c {
            &[(Tool::Cc, "c", "c11"), (Tool::Cxx, "c++", "c++17")]
        } else {
            &[(Tool::Cxx, "c++", "c++17"), (Tool::Cxx, "c++", "c++20")]
        };
        for (tool, language, std) in dialects {
            Run::new(tool.program())
                .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wpedantic", "-x", language])
                .arg(format!("-std={std}"))
                .arg(format!("-I{}", ws.path("include").display()))
                // The file is not the main program here: its include guard is no mistake.
                .args(["-include".into(), header.clone(), PathBuf::from("/dev/null")])
                .quiet(ws, "lint-headers")?;
        }
    }
    Ok(())
}

/// Folders with Python of ours; those that hold none yet are left out.
fn python_folders(ws: &Workspace) -> Vec<PathBuf> {
    let all = ["bindings-python", "examples", "tests", "bench", "docs"].map(|dir| ws.path(dir));
    all.into_iter().filter(|dir| !files_below(dir, "py").is_empty()).collect()
}

fn ruff(ws: &Workspace) -> Result<()> {
    let python = setup::python(ws)?;
    for action in [&["check"] as &[&str], &["format", "--check"]] {
        Run::new(&python)
            .args(["-m", "ruff"])
            .args(action)
            .args(["--config", "pyproject.toml", "--cache-dir"])
            .arg(ws.target.join("ruff"))
            .args(python_folders(ws))
            // The configuration names our own packages relative to its folder.
            .dir(&ws.path("bindings-python"))
            .quiet(ws, "lint-ruff")?;
    }
    Ok(())
}

fn mypy(ws: &Workspace) -> Result<()> {
    let python = setup::python(ws)?;
    Run::new(&python)
        .args(["-m", "mypy", "--strict", "--cache-dir"])
        .arg(ws.target.join("mypy"))
        .args(["--package", "axonic"])
        .dir(&ws.path("bindings-python"))
        .env("MYPYPATH", "python")
        .quiet(ws, "lint-mypy")
        .map(drop)
}

/// The stubs say what the built extension really has.
fn stubtest(ws: &Workspace) -> Result<()> {
    let python = setup::python(ws)?;
    if let Some((_, error)) = artifacts::ready(ws, &[Skin::Python]).into_iter().next() {
        return Err(error);
    }
    let allowlist = ws.path("bindings-python/stubtest-allowlist.txt");
    let mut run = Run::new(&python).args(["-m", "mypy.stubtest", "axonic"]);
    if allowlist.exists() {
        run = run.arg("--allowlist").arg(allowlist);
    }
    run.dir(&ws.path("bindings-python")).env("MYPYPATH", "python").quiet(ws, "lint-stubtest").map(drop)
}

fn tsc(ws: &Workspace) -> Result<()> {
    setup::node(ws)?;
    let dir = ws.path("bindings-node");
    let compiler = dir.join("node_modules/typescript/bin/tsc");
    if !compiler.exists() {
        bail!("bindings-node/package.json does not list typescript among its devDependencies");
    }
    if !dir.join("tsconfig.json").exists() {
        bail!("bindings-node/tsconfig.json is missing: there is nothing to type-check");
    }
    Run::new(Tool::Node.program())
        .arg(compiler)
        .args(["--noEmit", "--strict", "--project", "."])
        .dir(&dir)
        .quiet(ws, "lint-tsc")
        .map(drop)
}
