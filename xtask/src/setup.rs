//! What the machine must have, and what we fetch ourselves: the virtual environment under
//! `target/venv` and the npm packages of `bindings-node`. Each is stamped and skipped when current.

use crate::run::Run;
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A program this project cannot bring along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    Python,
    Node,
    Npm,
    Cc,
    Cxx,
}

pub const ALL: &[Tool] = &[Tool::Python, Tool::Node, Tool::Npm, Tool::Cc, Tool::Cxx];

impl Tool {
    /// The program to start: the usual environment variable, else the usual name.
    pub fn program(self) -> String {
        let (variable, usual) = match self {
            Tool::Python => ("PYTHON", "python3"),
            Tool::Node => ("NODE", "node"),
            Tool::Npm => ("NPM", "npm"),
            Tool::Cc => ("CC", "cc"),
            Tool::Cxx => ("CXX", "c++"),
        };
        std::env::var(variable).ok().filter(|v| !v.is_empty()).unwrap_or_else(|| usual.to_owned())
    }

    fn least(self) -> Option<(u32, u32)> {
        match self {
            Tool::Python => Some((3, 11)),
            Tool::Node => Some((20, 0)),
            Tool::Npm | Tool::Cc | Tool::Cxx => None,
        }
    }

    fn debian(self) -> &'static str {
        match self {
            Tool::Python => "python3 python3-venv",
            Tool::Node => "nodejs (Debian 13 or newer, else NodeSource's)",
            Tool::Npm => "npm",
            Tool::Cc => "gcc libc6-dev",
            Tool::Cxx => "g++",
        }
    }

    fn wanted(self) -> String {
        match self.least() {
            Some((major, minor)) => format!("{} >= {major}.{minor}", self.program()),
            None => self.program(),
        }
    }

    /// What is wrong with this tool on this machine, if anything.
    fn complaint(self) -> Option<String> {
        let found = match Run::new(self.program()).arg("--version").text() {
            Ok(text) => text,
            Err(_) => return Some("not found".to_owned()),
        };
        match (self.least(), version(&found)) {
            (Some(least), Some(has)) if has < least => Some(format!("found {}.{}", has.0, has.1)),
            (Some(_), None) => Some(format!("cannot read its version from {:?}", found.trim())),
            _ => None,
        }
    }
}

/// The first `major.minor` in a `--version` answer.
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[start..].split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Fails with one sentence per missing tool, naming the Debian package.
pub fn require(tools: &[Tool]) -> Result<()> {
    let missing: Vec<String> = tools
        .iter()
        .filter_map(|tool| {
            let complaint = tool.complaint()?;
            Some(format!("  {}: {complaint}; Debian: apt-get install {}", tool.wanted(), tool.debian()))
        })
        .collect();
    if !missing.is_empty() {
        bail!("this machine lacks what the verb needs:\n{}", missing.join("\n"));
    }
    Ok(())
}

/// Lists of pinned Python packages; both go into the one environment.
const REQUIREMENTS: [&str; 2] = ["bindings-python/requirements-dev.txt", "xtask/requirements.txt"];

/// Makes `target/venv` hold what [`REQUIREMENTS`] pin and see the checkout's package; answers the interpreter's path.
pub fn python(ws: &Workspace) -> Result<PathBuf> {
    let python = environment(ws, &ws.venv(), &REQUIREMENTS)?;
    show_checkout_to_venv(ws)?;
    Ok(python)
}

/// Makes the virtual environment `dir` hold what these lists pin; answers the interpreter's path.
pub fn environment(ws: &Workspace, dir: &Path, lists: &[&str]) -> Result<PathBuf> {
    require(&[Tool::Python])?;
    let lists: Vec<PathBuf> = lists.iter().map(|list| ws.path(list)).collect();
    let python = dir.join("bin/python");
    let mut wanted = String::new();
    for list in &lists {
        wanted += &std::fs::read_to_string(list).with_context(|| format!("reading {}", ws.show(list)))?;
    }
    let base = Run::new(Tool::Python.program())
        .args(["-c", "import sys; print(sys.executable, sys.version)"])
        .text()?;
    let base_stamp = dir.join("axonic-base.stamp");
    let list_stamp = dir.join("axonic-requirements.stamp");
    if !stamped(&base_stamp, &base) || !python.exists() {
        println!("  python environment: {}", ws.show(dir));
        make_venv(ws, dir)?;
        write_if_changed(&base_stamp, base.as_bytes())?;
    }
    if !stamped(&list_stamp, &wanted) {
        println!("  python packages: {}", names(&wanted));
        Run::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(lists.iter().flat_map(|list| ["--requirement".as_ref(), list.as_os_str()]))
            .quiet(ws, "setup-pip")
            .context("installing the Python packages (a package index must be reachable once)")?;
        write_if_changed(&list_stamp, wanted.as_bytes())?;
    }
    Ok(python)
}

fn make_venv(ws: &Workspace, dir: &Path) -> Result<()> {
    let python = Tool::Python.program();
    if Run::new(&python).args(["-c", "import ensurepip, venv"]).text().is_err() {
        bail!("{python} cannot make virtual environments; Debian: apt-get install python3-venv");
    }
    let _ = std::fs::remove_dir_all(dir);
    Run::new(&python).args(["-m", "venv"]).arg(dir).quiet(ws, "setup-venv").map(drop)
}

/// A `.pth` file makes `import axonic` find `bindings-python/python`: an editable install without
/// the wait for a wheel; the extension is copied there by [`crate::artifacts::python`].
fn show_checkout_to_venv(ws: &Workspace) -> Result<()> {
    let lib = ws.venv().join("lib");
    let site = std::fs::read_dir(&lib)
        .with_context(|| format!("reading {}", ws.show(&lib)))?
        .flatten()
        .map(|entry| entry.path().join("site-packages"))
        .find(|path| path.is_dir())
        .context("target/venv has no site-packages; remove target/venv and run again")?;
    let line = format!("{}\n", ws.path("bindings-python/python").display());
    write_if_changed(&site.join("axonic-checkout.pth"), line.as_bytes()).map(drop)
}

/// Installs what `bindings-node/package-lock.json` pins, and lets scripts anywhere in the checkout
/// `import 'axonic'`.
pub fn node(ws: &Workspace) -> Result<()> {
    require(&[Tool::Node, Tool::Npm])?;
    let dir = ws.path("bindings-node");
    let lock = dir.join("package-lock.json");
    let Ok(wanted) = std::fs::read_to_string(&lock) else {
        bail!("bindings-node/package-lock.json is missing: run `npm install` there once and commit it");
    };
    let stamp = dir.join("node_modules/.axonic.stamp");
    if !stamped(&stamp, &wanted) {
        println!("  npm packages: bindings-node/node_modules");
        Run::new(Tool::Npm.program())
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .dir(&dir)
            .quiet(ws, "setup-npm")
            .context("installing the npm packages (a registry must be reachable once)")?;
        write_if_changed(&stamp, wanted.as_bytes())?;
    }
    link(&ws.path("node_modules/axonic"), Path::new("../bindings-node"))
}

/// Makes `at` a symbolic link to `to`, whatever link was there before.
pub fn link(at: &Path, to: &Path) -> Result<()> {
    if std::fs::read_link(at).is_ok_and(|old| old == to) {
        return Ok(());
    }
    if let Some(dir) = at.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let _ = std::fs::remove_file(at);
    std::os::unix::fs::symlink(to, at)
        .with_context(|| format!("linking {} to {}", at.display(), to.display()))
}

fn stamped(stamp: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|has| has == wanted)
}

fn names(requirements: &str) -> String {
    let lines = requirements.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split("==").next()).collect::<Vec<_>>().join(" ")
}

/// `cargo xtask setup`: everything any verb may need, now.
pub fn run(ws: &Workspace) -> Result<()> {
    require(ALL)?;
    python(ws)?;
    node(ws)?;
    println!("  python, node, cc and c++ are ready; packages are current");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_tools_print() {
        assert_eq!(version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(version("v20.20.2"), Some((20, 20)));
        assert_eq!(version("cc (Debian 12.2.0-14) 12.2.0"), Some((12, 2)));
        assert_eq!(version("nonsense"), None);
        assert!((3, 9) < Tool::Python.least().unwrap() && (3, 12) > Tool::Python.least().unwrap());
    }

    #[test]
    fn requirement_names_leave_versions_and_comments_out() {
        assert_eq!(names("# tools\npytest==9.2.0\n\nruff==0.17.6\n"), "pytest ruff");
    }
}
