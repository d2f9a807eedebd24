//! Node: `axonic` has the JavaScript, `@axonic/<platform>` the native half, which npm picks as an
//! optional dependency by processor and C library. `bindings-node/lib/native.js` loads it.

use super::platform::Platform;
use super::report::Made;
use super::shop::Shop;
use crate::artifacts;
use crate::run::Run;
use crate::setup::{self, Tool};
use crate::test::blocks;
use crate::workspace::{VERSION, Workspace};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What the packages of a platform and the main one have in common.
const SHARED: [&str; 4] = ["version", "license", "keywords", "engines"];

fn package_name(platform: &Platform) -> String {
    format!("@axonic/{}", platform.name)
}

fn manifest(ws: &Workspace) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(ws.path("bindings-node/package.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The package with the addon for a platform, as built into `release`.
pub fn platform(shop: &Shop, platform: &Platform, release: &Path) -> Result<Made> {
    let addon = artifacts::released(release, "libaxonic_node.so")?;
    let floor = super::floor(platform, &addon, &["napi_", "uv_"])?;
    let file = pack_addon(shop, platform, &addon)?;
    let said = format!("{floor}; {}", platform.untried().unwrap_or("tried with the main package".into()));
    Ok(Made { file, said })
}

fn pack_addon(shop: &Shop, platform: &Platform, addon: &Path) -> Result<PathBuf> {
    let stage = shop.fresh("npm-addon")?;
    std::fs::copy(addon, stage.join("axonic.node"))?;
    let what = format!("The native half of axonic for {} with {}.", platform.cpu, platform.libc());
    std::fs::write(stage.join("README.md"), format!("# {}\n\n{what}\n", package_name(platform)))?;
    let mut manifest: Map<String, Value> =
        manifest(shop.ws)?.into_iter().filter(|(key, _)| SHARED.contains(&key.as_str())).collect();
    manifest.extend([
        ("name".to_owned(), json!(package_name(platform))),
        ("description".to_owned(), json!(what)),
        ("os".to_owned(), json!(["linux"])),
        ("cpu".to_owned(), json!([platform.cpu])),
        ("libc".to_owned(), json!([platform.libc()])),
        ("main".to_owned(), json!("axonic.node")),
        ("files".to_owned(), json!(["axonic.node"])),
    ]);
    pack(shop, &stage, manifest)
}

/// The package with the JavaScript, over these packages of platforms; tried with the one of this machine.
pub fn main(shop: &Shop, addons: &[(&Platform, PathBuf)]) -> Result<Made> {
    setup::node(shop.ws)?;
    let file = pack_main(shop, addons.iter().map(|(platform, _)| *platform))?;
    let over = format!("over {} packages of platforms", addons.len());
    let said = match addons.iter().find(|(platform, _)| platform.is_here()) {
        Some((_, addon)) => try_packages(shop, &file, addon)?,
        None => "not tried, for want of the package of this machine's platform".to_owned(),
    };
    Ok(Made { file, said: format!("{over}; {said}") })
}

fn pack_main<'a>(shop: &Shop, platforms: impl Iterator<Item = &'a Platform>) -> Result<PathBuf> {
    let stage = shop.fresh("npm-main")?;
    let entries = std::fs::read_dir(shop.ws.path("bindings-node"))?.collect::<std::io::Result<Vec<_>>>()?;
    let left_out = ["node_modules", "axonic.node"];
    let copied = entries.iter().filter(|entry| left_out.iter().all(|name| entry.file_name() != *name));
    Run::new("cp")
        .arg("-R")
        .args(copied.map(|entry| entry.path()))
        .arg(&stage)
        .quiet(shop.ws, "dist-npm-copy")?;
    let mut manifest = manifest(shop.ws)?;
    for development in ["scripts", "devDependencies"] {
        manifest.remove(development);
    }
    let optional: Map<String, Value> = platforms.map(|p| (package_name(p), json!(VERSION))).collect();
    manifest.insert("optionalDependencies".to_owned(), Value::Object(optional));
    pack(shop, &stage, manifest)
}

fn pack(shop: &Shop, stage: &Path, manifest: Map<String, Value>) -> Result<PathBuf> {
    std::fs::write(stage.join("package.json"), serde_json::to_string_pretty(&manifest)?)?;
    for licence in super::shop::LICENCES {
        // npm packs LICENSE.* unasked, but not LICENSE-*.
        std::fs::copy(shop.ws.path(licence), stage.join(licence.replace('-', ".")))?;
    }
    let packed = shop.fresh("npm-packed")?;
    Run::new(Tool::Npm.program())
        .args(["pack", "--loglevel=error", "--pack-destination"])
        .arg(&packed)
        .dir(stage)
        .quiet(shop.ws, "dist-npm-pack")?;
    shop.finish(&packed, ".tgz")
}

/// Installs the main package without, then with the package of this platform, into an empty project.
fn try_packages(shop: &Shop, main: &Path, addon: &Path) -> Result<String> {
    let ws = shop.ws;
    let place = shop.fresh("node")?;
    std::fs::write(place.join("package.json"), "{\"name\":\"trial\",\"private\":true}\n")?;
    install(shop, &place, &[main])?;
    refused(shop, &place)?;
    install(shop, &place, &[main, addon])?;
    let node = || Run::new(Tool::Node.program()).dir(&place);
    node().args(["-e", "require('axonic')"]).quiet(ws, "dist-require")?;
    node().args(["--input-type=module", "-e", "await import('axonic')"]).quiet(ws, "dist-import")?;
    typed(shop, &place)?;
    let cli = place.join("node_modules/.bin/axonic");
    Run::new(cli).arg("--version").dir(&place).quiet(ws, "dist-npm-cli")?;
    let start: blocks::Start = &|source, _| Ok(node().arg(source));
    let count = blocks::try_page(ws, "bindings-node/README.md", &["js", "ts"], &place, start)?
        + blocks::try_page(ws, "README.md", &["js"], &place, start)?;
    Ok(format!(
        "installed: loads as ESM and CommonJS, with its types, brings `axonic`, runs {count} README programs"
    ))
}

/// Offline: packages that are not published must not be looked for, and are optional.
fn install(shop: &Shop, place: &Path, packages: &[&Path]) -> Result<()> {
    Run::new(Tool::Npm.program())
        .args(["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error"])
        .args(packages)
        .dir(place)
        .quiet(shop.ws, "dist-npm-install")
        .map(drop)
}

/// Without the package of its platform, loading fails with a sentence that names it.
fn refused(shop: &Shop, place: &Path) -> Result<()> {
    let script = "try { require('axonic') } catch (error) { console.log(error.message) }";
    let said =
        Run::new(Tool::Node.program()).args(["-e", script]).dir(place).quiet(shop.ws, "dist-npm-refused")?;
    let here = Platform::here().context("an unknown machine")?;
    if !said.output.contains(&package_name(here)) {
        bail!("without {} the loader says only {:?}", package_name(here), said.output);
    }
    Ok(())
}

/// A user's TypeScript finds all of the package's types where it is installed.
fn typed(shop: &Shop, place: &Path) -> Result<()> {
    std::fs::write(
        place.join("typed.mts"),
        "import axonic, { type Channel, open } from 'axonic'\n\
         const channel: Promise<Channel> = open().connect('shm://d/n')\n\
         void [channel, axonic.errors]\n",
    )?;
    let modules = shop.ws.path("bindings-node/node_modules");
    Run::new(Tool::Node.program())
        .arg(modules.join("typescript/bin/tsc"))
        .args(["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"])
        .args(["--lib", "es2023,esnext.disposable", "--types", "node", "--typeRoots"])
        .arg(modules.join("@types"))
        .arg("typed.mts")
        .dir(place)
        .quiet(shop.ws, "dist-npm-types")
        .map(drop)
}

/// The same two packages around the addon that is built in the checkout, installed and tried.
pub fn try_built(ws: &Workspace) -> Result<String> {
    let shop = Shop::open(ws, ws.scratch("npm"))?;
    let here = Platform::here().context("an unknown machine")?;
    let addon = pack_addon(&shop, here, &ws.path("bindings-node/axonic.node"))?;
    main(&shop, &[(here, addon)]).map(|made| made.said)
}
