//! All packages carry one version, and processes of one domain one layout: each place that says
//! either is read, and one that says something else is named.

use crate::install;
use crate::run::Run;
use crate::workspace::{VERSION, Workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;

/// Where a version stands and what it is.
type Said = (String, String);

/// Files of JSON, and where in them the version is.
const JSON: &[(&str, &str)] = &[
    ("bindings-node/package.json", "/version"),
    ("bindings-node/package-lock.json", "/version"),
    ("bindings-node/package-lock.json", "/packages//version"),
];

/// Texts, and what stands right before the number of the layout.
const LAYOUTS: &[(&str, &str)] = &[
    ("ipc-core/src/domain/layout.rs", "LAYOUT_VERSION: u32 = "),
    ("docs/protocol.md", "specifies layout version "),
    ("CHANGELOG.md", ", layout "),
];

pub fn check(ws: &Workspace) -> Result<()> {
    agree("the workspace has version", VERSION, &versions(ws)?)?;
    let layouts = LAYOUTS.iter().map(|(file, before)| said(ws, file, before)).collect::<Result<Vec<_>>>()?;
    agree("the core has layout", &layouts[0].1.clone(), &layouts)
}

/// Fails when one of them differs, naming each that does.
fn agree(what: &str, wanted: &str, all: &[Said]) -> Result<()> {
    let others: Vec<String> = all
        .iter()
        .filter(|(_, found)| found != wanted)
        .map(|(place, found)| format!("{place} says {found}"))
        .collect();
    if !others.is_empty() {
        bail!("{what} {wanted}, but {}", others.join("; "));
    }
    Ok(())
}

fn versions(ws: &Workspace) -> Result<Vec<Said>> {
    let mut all = crates(ws)?;
    for (file, pointer) in JSON {
        let document: Value = serde_json::from_str(&read(ws, file)?)?;
        let found = document.pointer(pointer).and_then(Value::as_str).unwrap_or("nothing");
        all.push((file.to_string(), found.to_owned()));
    }
    all.push(said(ws, "CHANGELOG.md", "\n## ")?);
    all.push(("include/axonic.h".into(), header(&read(ws, "include/axonic.h")?)));
    all.push(("bindings-python/pyproject.toml".into(), python(&read(ws, "bindings-python/pyproject.toml")?)));
    for (name, template, before) in [
        ("the pkg-config file", install::PC, "\nVersion: "),
        ("the CMake package", install::CMAKE_VERSION, "set(PACKAGE_VERSION \""),
    ] {
        all.push((name.into(), after(&install::fill(template, Path::new("/")), before)));
    }
    Ok(all)
}

/// The packages of the workspace, and what they ask of each other.
fn crates(ws: &Workspace) -> Result<Vec<Said>> {
    let text = Run::cargo(ws).args(["metadata", "--no-deps", "--format-version", "1"]).text()?;
    let metadata: Value = serde_json::from_str(&text)?;
    let mut all = Vec::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
        let name = format!("crate {}", package["name"].as_str().unwrap_or_default());
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["path"].is_string() {
                let wanted = dependency["req"].as_str().unwrap_or_default().trim_start_matches('^');
                let of = dependency["name"].as_str().unwrap_or_default();
                all.push((format!("{name}'s dependency {of}"), wanted.to_owned()));
            }
        }
        all.push((name, package["version"].as_str().unwrap_or_default().to_owned()));
    }
    Ok(all)
}

/// The header's macros, put together.
fn header(text: &str) -> String {
    ["MAJOR", "MINOR", "PATCH"].map(|part| after(text, &format!("AXONIC_VERSION_{part} "))).join(".")
}

/// maturin takes the crate's version when pyproject.toml leaves it to it.
fn python(text: &str) -> String {
    if text.lines().any(|line| line.starts_with("dynamic") && line.contains("\"version\"")) {
        return VERSION.to_owned();
    }
    after(text, "\nversion = \"")
}

fn said(ws: &Workspace, file: &str, before: &str) -> Result<Said> {
    Ok((file.to_owned(), after(&read(ws, file)?, before)))
}

/// The version that follows the first `before`.
fn after(text: &str, before: &str) -> String {
    let Some((_, rest)) = text.split_once(before) else { return format!("nothing after {before:?}") };
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')).collect()
}

fn read(ws: &Workspace, file: &str) -> Result<String> {
    std::fs::read_to_string(ws.path(file)).with_context(|| format!("reading {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_the_version_of_the_workspace() {
        check(&Workspace::find().unwrap()).unwrap();
    }

    #[test]
    fn a_place_that_says_another_version_is_named() {
        let all = [("a".to_owned(), "1.2.3".to_owned()), ("b".to_owned(), "1.2.4".to_owned())];
        let error = agree("the workspace has version", "1.2.3", &all).unwrap_err().to_string();
        assert_eq!(error, "the workspace has version 1.2.3, but b says 1.2.4");
        assert!(agree("x", "1.2.3", &all[..1]).is_ok());
    }

    #[test]
    fn versions_are_read_where_they_stand() {
        assert_eq!(after("# Log\n\n## 0.1.0-rc.1 (unreleased), layout 1\n", "\n## "), "0.1.0-rc.1");
        assert_eq!(after("nothing here", "\n## "), "nothing after \"\\n## \"");
        let macros = "#define AXONIC_VERSION_MAJOR 0\n#define AXONIC_VERSION_MINOR 1\n#define AXONIC_VERSION_PATCH 7\n";
        assert_eq!(header(macros), "0.1.7");
        assert_eq!(python("[project]\nversion = \"0.3.0\"\n"), "0.3.0");
        assert_eq!(python("[project]\ndynamic = [\"version\"]\n"), VERSION);
    }
}
