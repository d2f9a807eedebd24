//! `cargo xtask dist`: the packages for this machine's platform in `target/dist`, each tried in a
//! place that knows nothing of this checkout. Nothing is published.

use crate::artifacts::{self, EVERY};
use crate::install;
use crate::run::Run;
use crate::setup::{self, Tool};
use crate::workspace::{VERSION, Workspace, files_in};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

type Package = fn(&Workspace, &Path) -> Result<String>;

const PACKAGES: &[(&str, Package)] =
    &[("wheel", wheel), ("npm", npm), ("C archive", c_archive), ("crate", crate_list)];

const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

const NOT_DONE: &str =
    "not built here: other architectures, musl, wheels for free-threaded Python; nothing was published";

pub fn run(ws: &Workspace) -> Result<()> {
    setup::require(setup::ALL)?;
    let out = ws.target.join("dist");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out)?;
    artifacts::build(ws, EVERY)?;
    let mut failed = Vec::new();
    for (name, package) in PACKAGES {
        println!("dist: {name}: …");
        match package(ws, &out) {
            Ok(made) => println!("dist: {name}: {made}"),
            Err(error) => {
                println!("dist: {name}: FAILED: {error:#}");
                failed.push(*name);
            }
        }
    }
    println!("dist: {NOT_DONE}");
    if !failed.is_empty() {
        bail!("could not make: {}", failed.join(", "));
    }
    Ok(())
}

/// Built by maturin and installed, without an index, into an environment of its own.
fn wheel(ws: &Workspace, out: &Path) -> Result<String> {
    let python = setup::python(ws)?;
    let dir = ws.path("bindings-python");
    if !dir.join("pyproject.toml").exists() {
        bail!("bindings-python/pyproject.toml is missing");
    }
    // maturin packs what it finds, what this machine's interpreter left there included.
    let _ = std::fs::remove_dir_all(dir.join("python/axonic/__pycache__"));
    Run::new(&python)
        .args(["-m", "maturin", "build", "--release", "--out"])
        .arg(out)
        .dir(&dir)
        .quiet(ws, "dist-wheel")?;
    let wheel = only(out, ".whl")?;
    let trial = fresh(ws, "dist-wheel")?;
    Run::new(Tool::Python.program()).args(["-m", "venv"]).arg(&trial).quiet(ws, "dist-venv")?;
    let bin = trial.join("bin");
    Run::new(bin.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"])
        .arg(&wheel)
        .quiet(ws, "dist-pip")?;
    Run::new(bin.join("python")).args(["-c", "import axonic"]).dir(&trial).quiet(ws, "dist-import")?;
    Run::new(bin.join("axonic")).arg("--version").dir(&trial).quiet(ws, "dist-wheel-cli")?;
    Ok(format!("{}; imports, and puts `axonic` on the PATH", ws.show(&wheel)))
}

/// Packed with the addon for this platform inside, and installed into an empty project.
fn npm(ws: &Workspace, out: &Path) -> Result<String> {
    setup::node(ws)?;
    let stage = fresh(ws, "dist-npm-stage")?;
    copy_npm_files(ws, &stage)?;
    strip(ws, &[stage.join("axonic.node")])?;
    Run::new(Tool::Npm.program())
        .args(["pack", "--loglevel=error", "--pack-destination"])
        .arg(out)
        .dir(&stage)
        .quiet(ws, "dist-npm")?;
    let tarball = only(out, ".tgz")?;
    let trial = fresh(ws, "dist-npm")?;
    std::fs::write(trial.join("package.json"), "{\"name\":\"trial\",\"private\":true}\n")?;
    Run::new(Tool::Npm.program())
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
        .arg(&tarball)
        .dir(&trial)
        .quiet(ws, "dist-npm-install")?;
    let node = Tool::Node.program();
    Run::new(&node).args(["-e", "require('axonic')"]).dir(&trial).quiet(ws, "dist-require")?;
    let import = "await import('axonic')";
    Run::new(&node).args(["--input-type=module", "-e", import]).dir(&trial).quiet(ws, "dist-import")?;
    let cli = trial.join("node_modules/.bin/axonic");
    Run::new(cli).arg("--version").dir(&trial).quiet(ws, "dist-npm-cli")?;
    Ok(format!("{}; loads as ESM and CommonJS, and brings `axonic`", ws.show(&tarball)))
}

/// The folder of the package, from which `package.json` picks, and what every package carries.
fn copy_npm_files(ws: &Workspace, stage: &Path) -> Result<()> {
    let entries = std::fs::read_dir(ws.path("bindings-node"))?.collect::<std::io::Result<Vec<_>>>()?;
    let copied = entries.iter().filter(|entry| entry.file_name() != "node_modules").map(|entry| entry.path());
    Run::new("cp").arg("-R").args(copied).arg(stage).quiet(ws, "dist-npm-copy")?;
    for licence in LICENCES {
        // npm packs LICENSE.* unasked, but not LICENSE-*.
        std::fs::copy(ws.path(licence), stage.join(licence.replace('-', ".")))?;
    }
    Ok(())
}

/// Takes out the line tables, which are most of the size and serve only those who have the sources.
fn strip(ws: &Workspace, files: &[PathBuf]) -> Result<()> {
    Run::new("strip").arg("--strip-debug").args(files).quiet(ws, "dist-strip").map(drop)
}

/// What `make install` writes, with the licences and the command line, as one archive.
fn c_archive(ws: &Workspace, out: &Path) -> Result<String> {
    let name = format!("axonic-{VERSION}-{}-linux", std::env::consts::ARCH);
    let stage = fresh(ws, "dist-c")?;
    let tree = stage.join(&name);
    // The prefix of the pkg-config file is relative to that file, so the archive works where it is unpacked.
    install::tree(ws, &tree, Path::new("${pcfiledir}/../.."))?;
    let built = [format!("lib/libaxonic.so.{VERSION}"), "lib/libaxonic.a".into(), "bin/axonic".into()];
    strip(ws, &built.map(|file| tree.join(file)))?;
    for licence in LICENCES {
        std::fs::copy(ws.path(licence), tree.join(licence))?;
    }
    let archive = out.join(format!("{name}.tar.gz"));
    Run::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&stage).arg(&name).quiet(ws, "dist-tar")?;
    Ok(format!("{}; shared and static library, headers, pkg-config, CMake, `axonic`", ws.show(&archive)))
}

/// The crate is not packed while its dependencies are paths; its list of files is checked.
fn crate_list(ws: &Workspace, _out: &Path) -> Result<String> {
    let list = Run::cargo(ws).args(["package", "--list", "--allow-dirty", "--package", "axonic"]).text()?;
    for needed in ["Cargo.toml", "src/lib.rs"] {
        if !list.lines().any(|line| line == needed) {
            bail!("the crate would not contain {needed}");
        }
    }
    Ok(format!("would contain {} files; only listed, `cargo publish` makes it", list.lines().count()))
}

/// The one file in `dir` with this ending.
fn only(dir: &Path, ending: &str) -> Result<PathBuf> {
    files_in(dir, |name| name.ends_with(ending)).pop().with_context(|| format!("no {ending} came out"))
}

/// An empty folder outside the checkout's own package trees.
fn fresh(ws: &Workspace, name: &str) -> Result<PathBuf> {
    let dir = ws.scratch(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
