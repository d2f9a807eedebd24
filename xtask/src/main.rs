//! `cargo xtask <verb>`: the front door of this repository. The Makefile only forwards to it.

mod artifacts;
mod bench;
mod chaos;
mod codegen;
mod demo;
mod dist;
mod floors;
mod install;
mod lint;
mod run;
mod setup;
mod symbols;
mod test;
mod versions;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use test::Stage;
use workspace::Workspace;

/// Builds, tests, checks and packages Axonic. Each verb does the set-up it needs.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the demonstration: a Python agent, a C++ plugin and a Node tool over one domain.
    Demo {
        /// Folder to read instead of the Python standard library and this repository's pages.
        #[arg(long, env = "DOCS")]
        docs: Option<String>,
        /// Question to answer instead of the five built-in ones.
        #[arg(long, env = "QUERY")]
        query: Option<String>,
    },
    /// Run the tests: every stage, or the named ones.
    Test { stages: Vec<Stage> },
    /// Formatting, static checks, types, the header's drift and the floors.
    Lint,
    /// Write include/axonic.h from ffi-c.
    Codegen {
        /// Only compare; fail when the committed file differs.
        #[arg(long)]
        check: bool,
    },
    /// Check that no module of the core imports from a floor above its own.
    Floors,
    /// Kill processes at random points, damage memory in use, fuzz its readers, and check what survives.
    Chaos {
        /// kills, fuzz, live, sanitizers; all when none is named.
        stages: Vec<String>,
        /// How long to go on, in hours; the tests' own short time when left out.
        #[arg(long, env = "HOURS")]
        hours: Option<String>,
    },
    /// Measure latency and throughput beside the machine's floor and other libraries.
    Bench {
        /// Fewer rounds of less work, within four minutes (QUICK=1).
        #[arg(long)]
        quick: bool,
    },
    /// Build the wheel, the npm package and the C archive into target/dist, and try each.
    Dist,
    /// Install headers, libraries and the command line.
    Install {
        #[arg(long, env = "PREFIX", default_value = "/usr/local")]
        prefix: PathBuf,
        /// Put before PREFIX while copying, for packagers.
        #[arg(long, env = "DESTDIR")]
        destdir: Option<PathBuf>,
    },
    /// Check the machine's tools, make the Python environment, fetch the npm packages.
    Setup,
}

fn main() -> ExitCode {
    forget_empty_settings();
    let arguments = Arguments::parse();
    match perform(arguments.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `make` exports every setting, given or not: an empty one means "not given".
fn forget_empty_settings() {
    for name in ["DOCS", "QUERY", "QUICK", "HOURS", "PREFIX", "DESTDIR"] {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: no other thread exists yet.
            unsafe { std::env::remove_var(name) };
        }
    }
}

fn perform(verb: Verb) -> Result<()> {
    let ws = Workspace::find()?;
    match verb {
        Verb::Demo { docs, query } => demo::run(&ws, docs.as_deref(), query.as_deref()),
        Verb::Test { stages } => test::run(&ws, &stages),
        Verb::Lint => lint::run(&ws),
        Verb::Codegen { check } => codegen::run(&ws, check),
        Verb::Floors => floors::run(&ws),
        Verb::Chaos { stages, hours } => chaos::run(&ws, &stages, hours.as_deref()),
        Verb::Bench { quick } => bench::run(&ws, quick || std::env::var_os("QUICK").is_some()),
        Verb::Dist => dist::run(&ws),
        Verb::Install { prefix, destdir } => install::run(&ws, &prefix, destdir.as_deref()),
        Verb::Setup => setup::run(&ws),
    }
}
