//! Rust: the crates as `cargo publish` would send them, built from the packed files alone.

use super::platform::Platform;
use super::report::{Made, Report};
use super::shop::Shop;
use super::tools::Tools;
use crate::run::Run;
use crate::test::blocks;
use crate::workspace::VERSION;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The library, and the command over it, which `cargo install` builds.
const CRATES: [&str; 2] = ["axonic", "axonic-cli"];

/// A project that has the packed crates and nothing else of this checkout.
const PROJECT: &str = r#"[package]
name = "trial"
edition = "2024"

[dependencies]
axonic = "=VERSION"
next = { package = "axonic", path = "next" }

[workspace]
members = ["axonic-VERSION", "axonic-cli-VERSION"]
exclude = ["next"]

[patch.crates-io]
axonic = { path = "axonic-VERSION" }
"#;

/// A program that has processes with two layout versions meet.
const LAYOUTS: &str = include_str!("../../templates/layouts.rs");

pub fn make(shop: &Shop, tools: Option<&Tools>, report: &mut Report) {
    let mut said = packed(shop).and_then(|files| Ok((tried(shop, tools, &files)?, files)));
    for (index, name) in CRATES.iter().enumerate() {
        report.make(&format!("crate {name}"), || match &mut said {
            Ok((said, files)) => Ok(Made { file: files[index].clone(), said: said.clone() }),
            Err(error) => bail!("{error:#}"),
        });
    }
}

fn packed(shop: &Shop) -> Result<Vec<PathBuf>> {
    let dir = shop.ws.target.join("package");
    Run::cargo(shop.ws)
        .args(["package", "--no-verify", "--allow-dirty"])
        .args(CRATES.iter().flat_map(|name| ["--package", name]))
        .quiet(shop.ws, "dist-crates")?;
    CRATES.iter().map(|name| shop.finish(&dir, &format!("{name}-{VERSION}.crate"))).collect()
}

/// Builds both from what is in the packed files, and runs the page's programs.
fn tried(shop: &Shop, tools: Option<&Tools>, files: &[PathBuf]) -> Result<String> {
    let place = shop.fresh("crates")?;
    for file in files {
        Run::new("tar").arg("-xzf").arg(file).arg("-C").arg(&place).quiet(shop.ws, "dist-unpack")?;
    }
    std::fs::write(place.join("Cargo.toml"), PROJECT.replace("VERSION", VERSION))?;
    // The versions that are tested here; cargo takes out what is not needed.
    std::fs::copy(shop.ws.path("Cargo.lock"), place.join("Cargo.lock"))?;
    next_layout(&place)?;
    std::fs::create_dir_all(place.join("src/bin"))?;
    std::fs::write(place.join("src/bin/layouts.rs"), LAYOUTS)?;
    let built = built(shop, tools);
    let start: blocks::Start = &|source, _| {
        std::fs::copy(source, place.join("src/main.rs"))?;
        build(shop, tools, &place)?;
        Ok(Run::new(built.join("trial")))
    };
    let count = blocks::try_page(shop.ws, "README.md", &["rust"], &place, start)?;
    Run::new(built.join("axonic")).arg("--version").quiet(shop.ws, "dist-crate-cli")?;
    Run::new(built.join("layouts")).quiet(shop.ws, "dist-layouts")?;
    Ok(format!("built from the packed files; runs {count} README program; another layout is refused"))
}

/// The packed library once more, as one that speaks another layout version.
fn next_layout(place: &Path) -> Result<()> {
    let next = place.join("next");
    Run::new("cp").arg("-R").arg(place.join(format!("axonic-{VERSION}"))).arg(&next).text()?;
    let other = |file: &str, from: String, to: String| -> Result<()> {
        let path = next.join(file);
        let text = std::fs::read_to_string(&path)?;
        if !text.contains(&from) {
            bail!("{file} of the packed crate does not say {from:?}");
        }
        Ok(std::fs::write(&path, text.replacen(&from, &to, 1))?)
    };
    let version = |version: &str| format!("\nversion = \"{version}\"");
    other("Cargo.toml", version(VERSION), version("99.0.0"))?;
    let layout = |number: &str| format!("LAYOUT_VERSION: u32 = {number}");
    other("src/domain/layout.rs", layout(""), layout("1000 + "))
}

/// With the tools, in the folder where the packages of this platform have compiled every dependency.
fn build(shop: &Shop, tools: Option<&Tools>, place: &Path) -> Result<()> {
    let run = match tools.zip(Platform::here()) {
        Some((tools, here)) => here.cargo(tools),
        None => Run::cargo(shop.ws).args(["build", "--release"]).env("CARGO_TARGET_DIR", alone(shop)),
    };
    run.arg("--workspace").dir(place).quiet(shop.ws, "dist-crates-build").map(drop)
}

fn built(shop: &Shop, tools: Option<&Tools>) -> PathBuf {
    match tools.and(Platform::here()) {
        Some(here) => here.release(shop.ws),
        None => alone(shop).join("release"),
    }
}

fn alone(shop: &Shop) -> PathBuf {
    shop.ws.target.join("dist-crates")
}
