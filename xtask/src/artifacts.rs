//! What gets built and where it goes: the C library staged under `target/c`, the two extensions
//! copied beside the facades that load them, the command line in `target/release`.

use crate::run::Run;
use crate::setup;
use crate::workspace::{Workspace, copy_if_changed, files_below};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The name every program linked with the shared library asks the loader for; `ffi-c/build.rs`
/// writes it into the library.
pub const SONAME: &str = concat!("libaxonic.so.", env!("CARGO_PKG_VERSION_MAJOR"));

/// One artefact over the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skin {
    C,
    Python,
    Node,
    Cli,
}

pub const EVERY: &[Skin] = &[Skin::C, Skin::Python, Skin::Node, Skin::Cli];

impl Skin {
    fn package(self) -> &'static str {
        match self {
            Skin::C => "axonic-c",
            Skin::Python => "axonic-python",
            Skin::Node => "axonic-node",
            Skin::Cli => "axonic-cli",
        }
    }
}

/// Builds these skins in release mode and puts each where its users look for it.
pub fn build(ws: &Workspace, skins: &[Skin]) -> Result<()> {
    let packages = skins.iter().flat_map(|skin| ["--package", skin.package()]);
    Run::cargo(ws).args(["build", "--release"]).args(packages).shown()?;
    for skin in skins {
        match skin {
            Skin::C => stage_c(ws)?,
            Skin::Python => place(ws, "lib_native.so", "bindings-python/python/axonic/_native.abi3.so")?,
            Skin::Node => place(ws, "libaxonic_node.so", "bindings-node/axonic.node")?,
            Skin::Cli => {}
        }
    }
    Ok(())
}

/// Makes these skins ready and answers those that could not be built, each with the reason.
///
/// All skins are built in one cargo call, whichever are asked for: another selection of packages
/// would select other features of their common dependencies, and build the core anew. Only when
/// that fails is each of them tried alone, so that a broken one does not stop the others.
pub fn ready(ws: &Workspace, skins: &[Skin]) -> Vec<(Skin, anyhow::Error)> {
    if build(ws, EVERY).is_ok() {
        return Vec::new();
    }
    skins.iter().filter_map(|skin| build(ws, &[*skin]).err().map(|error| (*skin, error))).collect()
}

fn place(ws: &Workspace, built: &str, wanted: &str) -> Result<()> {
    let to = ws.path(wanted);
    let dir = to.parent().context("no folder")?;
    if !dir.is_dir() {
        bail!("{} does not exist: there is no package to put the extension in", ws.show(dir));
    }
    copy_if_changed(&ws.release().join(built), &to).map(drop)
}

fn stage_c(ws: &Workspace) -> Result<()> {
    let shared = ws.release().join("libaxonic_c.so");
    let dynamic = Run::new("readelf").args(["--dynamic", "--wide"]).arg(&shared).text()?;
    if !dynamic.contains(&format!("[{SONAME}]")) {
        bail!("the C library does not carry the soname {SONAME}; ffi-c/build.rs sets it");
    }
    let prefix = ws.c_prefix();
    // A header that is gone from include/ must be gone for the tests too.
    let _ = std::fs::remove_dir_all(prefix.join("include"));
    crate::install::c_tree(ws, &ws.release(), &prefix, &prefix)
}

/// The flags every C and C++ program of this repository is compiled with.
pub fn c_flags(ws: &Workspace, std: &str) -> Vec<String> {
    let mut flags: Vec<String> =
        ["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-O1", "-g", "-pthread"].map(String::from).to_vec();
    flags.push(format!("-std={std}"));
    flags.push(format!("-I{}", ws.c_prefix().join("include").display()));
    flags
}

/// How a program in the build tree finds the staged shared library, when linking and when running.
pub fn c_link(ws: &Workspace) -> Vec<String> {
    let lib = ws.c_prefix().join("lib").display().to_string();
    vec![format!("-L{lib}"), "-laxonic".to_owned(), format!("-Wl,-rpath,{lib}")]
}

/// Crates that examples and README blocks in Rust may use, as `--extern` arguments for rustc.
/// Cargo names the exact files: the plain `libaxonic.rlib` may belong to another build.
pub fn rust_externs(ws: &Workspace) -> Result<Vec<String>> {
    Run::cargo(ws).args(["build", "--package", "axonic"]).shown()?;
    let messages = Run::cargo(ws)
        .args(["build", "--quiet", "--package", "axonic", "--message-format", "json"])
        .text()?;
    let mut externs = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let name = message["target"]["name"].as_str().unwrap_or_default();
        if message["reason"] != "compiler-artifact" || !matches!(name, "axonic" | "serde" | "serde_json") {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(|f| f.as_str());
        if let Some(rlib) = files.into_iter().find(|file| file.ends_with(".rlib")) {
            externs.push(format!("--extern={name}={rlib}"));
        }
    }
    if !externs.iter().any(|e| e.starts_with("--extern=axonic=")) {
        bail!("cargo did not say where it built the axonic crate");
    }
    externs.push(format!("-Ldependency={}", ws.target.join("debug/deps").display()));
    Ok(externs)
}

/// Variables by which tests, peers and examples find what was built.
pub fn environment(ws: &Workspace) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("AXONIC_TEST_PYTHON", ws.python()),
        ("AXONIC_TEST_NODE", PathBuf::from(setup::Tool::Node.program())),
        ("AXONIC_TEST_CLI", ws.cli()),
        ("AXONIC_TEST_C_PREFIX", ws.c_prefix()),
    ]
}

/// The public headers: everything below `include/`.
pub fn headers(ws: &Workspace) -> Vec<PathBuf> {
    ["h", "hpp"].iter().flat_map(|extension| files_below(&ws.path("include"), extension)).collect()
}

/// The file `name` that was built into `release`, checked to be there.
pub fn released(release: &Path, name: &str) -> Result<PathBuf> {
    let path = release.join(name);
    if !path.exists() {
        bail!("{} was not built", path.display());
    }
    Ok(path)
}
