//! `axonic doctor`: what is wrong, and what helps.

use std::io::Write;

use axonic::{Finding, Severity};

use crate::human::{plural, printable};
use crate::output::{Output, Style};
use crate::place::Place;
use crate::stop::{FAILED, Outcome, Stop};

const EXAMPLES: &str = "\
Examples:
  axonic doctor                       look at every domain
  axonic doctor --domain demo         look at one
  axonic doctor --clean               remove what dead processes left behind

Unread messages that a live subscriber is still owed are never removed.
Exit code 1 when something is wrong (more than a note) and still there at the end.";

/// Find what is wrong, with the remedy for each finding
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Remove what dead processes left behind
    #[arg(long)]
    clean: bool,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let mut out = Output::open()?;
    let names = match &place.domain {
        Some(name) => vec![name.clone()],
        None => place.domains()?,
    };
    let mut left = 0;
    for name in &names {
        left += match examine(&mut out, name, args.clean, place) {
            // It ended since the directory was read.
            Err(Stop::NotFound(_)) if place.domain.is_none() => 0,
            // One bad domain does not hide the others.
            Err(stop @ Stop::Failed { .. }) if place.domain.is_none() => {
                let word = out.paint(Style::Error, "problem");
                writeln!(out, "{word}  {name}: {}", printable(&stop.to_string()))?;
                1
            }
            other => other?,
        };
    }
    if left == 0 {
        let good = out.paint(Style::Good, "ok");
        writeln!(out, "{good}  {} examined", plural(names.len() as u64, "domain"))?;
    }
    out.flush()?;
    Ok(if left == 0 { 0 } else { FAILED })
}

/// Prints what is found in one domain; returns how many findings are wrong and still there.
fn examine(out: &mut Output<'_>, domain: &str, clean: bool, place: &Place) -> Result<usize, Stop> {
    let findings = axonic::doctor(&place.with_domain(domain).options("doctor"), clean)?;
    for finding in &findings {
        print(out, domain, finding, clean)?;
    }
    let wrong = |finding: &&Finding| finding.severity != Severity::Note && !(clean && finding.cleanable);
    Ok(findings.iter().filter(wrong).count())
}

fn print(out: &mut Output<'_>, domain: &str, finding: &Finding, clean: bool) -> Result<(), Stop> {
    let (style, word) = match finding.severity {
        _ if clean && finding.cleanable => (Style::Good, "removed"),
        Severity::Problem => (Style::Error, "problem"),
        Severity::Warning => (Style::Warning, "warning"),
        Severity::Note => (Style::Quiet, "note"),
    };
    writeln!(out, "{}  {domain}: {}", out.paint(style, word), printable(&finding.what))?;
    if let Some(path) = &finding.path {
        writeln!(out, "    at {}", printable(&path.display().to_string()))?;
    }
    if !(clean && finding.cleanable) {
        writeln!(out, "    remedy: {}", printable(&finding.remedy))?;
    }
    Ok(())
}
