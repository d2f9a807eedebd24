//! `axonic doctor`: what is wrong, and what helps.

use std::io::Write;

use axonic::{Finding, Severity};
use serde::Serialize;

use crate::human::{plural, printable};
use crate::output::{Output, Style};
use crate::place::Place;
use crate::stop::{FAILED, Outcome, Stop};

const EXAMPLES: &str = "\
Examples:
  axonic doctor                       look at every domain
  axonic doctor --domain demo         look at one
  axonic doctor --clean               remove what dead processes left behind
  axonic doctor --json | jq '.[] | select(.severity != \"note\") | .what'

Unread messages that a live subscriber is still owed are never removed.
Exit code 1 when something is wrong (more than a note) and still there at the end.";

/// Find what is wrong, with the remedy for each finding
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Remove what dead processes left behind
    #[arg(long)]
    clean: bool,
    /// One JSON array of findings
    #[arg(long)]
    json: bool,
}

/// A finding and where it was found.
#[derive(Serialize)]
struct Found {
    /// `None`: in the runtime directory, beside the domains.
    domain: Option<String>,
    #[serde(flatten)]
    finding: Finding,
    /// It was removed just now.
    removed: bool,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let mut out = Output::open()?;
    let names = match &place.domain {
        Some(name) => vec![name.clone()],
        None => place.domains_and_left()?,
    };
    let mut found = Vec::new();
    for name in &names {
        match axonic::doctor(&place.with_domain(name).options("doctor"), args.clean).map_err(Stop::from) {
            Ok(findings) => found.extend(findings.into_iter().map(|finding| Found {
                removed: args.clean && finding.cleanable,
                domain: Some(name.clone()),
                finding,
            })),
            // It ended since the directory was read.
            Err(Stop::NotFound(_)) if place.domain.is_none() => {}
            // One bad domain does not hide the others.
            Err(stop @ Stop::Failed { .. }) if place.domain.is_none() => found.push(unexamined(name, &stop)),
            Err(stop) => return Err(stop),
        }
    }
    if place.domain.is_none() {
        let beside = axonic::doctor_runtime_dir(&place.directory()?)?;
        found.extend(beside.into_iter().map(|finding| Found { domain: None, finding, removed: false }));
    }
    let wrong = found.iter().filter(|f| f.finding.severity != Severity::Note && !f.removed).count();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &found)?;
        writeln!(out)?;
    } else {
        for one in &found {
            print(&mut out, one)?;
        }
        if wrong == 0 {
            let good = out.paint(Style::Good, "ok");
            writeln!(out, "{good}  {} examined", plural(names.len() as u64, "domain"))?;
        }
    }
    out.flush()?;
    Ok(if wrong == 0 { 0 } else { FAILED })
}

fn unexamined(domain: &str, stop: &Stop) -> Found {
    let finding = Finding {
        severity: Severity::Problem,
        kind: "unexamined",
        what: stop.to_string(),
        why: "nothing can be said about this domain".into(),
        remedy: "do what the message says, then look again".into(),
        path: None,
        cleanable: false,
    };
    Found { domain: Some(domain.into()), finding, removed: false }
}

fn print(out: &mut Output<'_>, found: &Found) -> Result<(), Stop> {
    let Found { domain, finding, removed } = found;
    let (style, word) = match finding.severity {
        _ if *removed => (Style::Good, "removed"),
        Severity::Problem => (Style::Error, "problem"),
        Severity::Warning => (Style::Warning, "warning"),
        Severity::Note => (Style::Quiet, "note"),
    };
    let place = domain.as_deref().map_or_else(String::new, |name| format!("{name}: "));
    writeln!(out, "{}  {place}{}", out.paint(style, word), printable(&finding.what))?;
    if let Some(path) = &finding.path {
        writeln!(out, "    at {}", printable(&path.display().to_string()))?;
    }
    if !*removed {
        writeln!(out, "    why it matters: {}", printable(&finding.why))?;
        writeln!(out, "    remedy: {}", printable(&finding.remedy))?;
    }
    Ok(())
}
