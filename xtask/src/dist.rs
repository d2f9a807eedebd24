//! `cargo xtask dist`: the packages of every platform this machine can build for, in `target/dist`,
//! each tried in a place that knows nothing of this checkout. Nothing is published.

mod c;
mod crates;
pub mod npm;
mod platform;
mod report;
mod shop;
mod tools;
mod wheel;

use crate::setup;
use crate::symbols;
use crate::test::RuntimeDir;
use crate::versions;
use crate::workspace::Workspace;
use anyhow::Result;
use platform::{PLATFORMS, Platform};
use report::Report;
use shop::Shop;
use std::path::Path;
use tools::Tools;

pub fn run(ws: &Workspace) -> Result<()> {
    setup::require(setup::ALL)?;
    versions::check(ws)?;
    forget_paths();
    // The trials leave no domain of this user's behind, and meet none.
    let private = RuntimeDir::create()?;
    let shop = Shop::open(ws, ws.target.join("dist"))?;
    let mut report = Report::default();
    let tools = match Tools::ready(ws) {
        Ok(tools) => Some(tools),
        Err(error) => {
            println!("dist: {error:#}");
            report.skipped("all but the crates", "maturin and zig could not be installed");
            None
        }
    };
    if let Some(tools) = &tools {
        with_tools(&shop, tools, &mut report)?;
    }
    crates::make(&shop, tools.as_ref(), &mut report);
    drop((shop, private));
    report.close(ws)
}

/// Cargo and shells tell programs where to find more than what is installed; trials must not know.
fn forget_paths() {
    for name in ["LD_LIBRARY_PATH", "PYTHONPATH", "NODE_PATH"] {
        // SAFETY: xtask has started no thread.
        unsafe { std::env::remove_var(name) };
    }
}

/// What needs zig or maturin. The sources come after the platforms, whose builds their trial uses.
fn with_tools(shop: &Shop, tools: &Tools, report: &mut Report) -> Result<()> {
    let mut addons = Vec::new();
    for platform in PLATFORMS {
        if !platform.has_std(shop.ws)? {
            let why = format!("no Rust standard library for it; rustup target add {}", platform.target);
            report.skipped(platform.name, why);
            continue;
        }
        if let Some(addon) = for_platform(shop, tools, platform, report) {
            addons.push((platform, addon));
        }
    }
    report.make("sdist", || wheel::sdist(shop, tools));
    report.make("npm: axonic", || npm::main(shop, &addons));
    wheel::free_threaded(shop, tools, report);
    Ok(())
}

/// The wheel, the C archive and the npm package of a platform; answers the last.
fn for_platform(
    shop: &Shop,
    tools: &Tools,
    platform: &Platform,
    report: &mut Report,
) -> Option<std::path::PathBuf> {
    let name = |what: &str| format!("{what} {}", platform.name);
    report.make(&name("wheel"), || wheel::wheel(shop, tools, platform, None));
    println!("dist: {}: building", platform.name);
    match platform.build(shop.ws, tools) {
        Ok(release) => {
            report.make(&name("C archive"), || c::archive(shop, platform, &release));
            report.make(&name("npm: axonic for"), || npm::platform(shop, platform, &release))
        }
        Err(error) => {
            report.failed(&name("build for"), &error);
            None
        }
    }
}

/// Checks that a file loads with the C library it is for, and says the newest glibc it needs. What begins
/// like `loader` comes from the interpreter.
fn floor(platform: &Platform, file: &Path, loader: &[&str]) -> Result<String> {
    match (symbols::check_glibc(file, platform.glibc, loader)?, platform.glibc) {
        (Some((major, minor)), Some(_)) => Ok(format!("needs glibc {major}.{minor}")),
        (None, Some(_)) => Ok("needs no glibc".to_owned()),
        (_, None) => Ok("needs musl".to_owned()),
    }
}
