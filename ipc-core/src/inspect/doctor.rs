//! What is stuck, lagging, dead or damaged in a domain, and what to do about it.

mod channels;
mod files;
mod locks;
mod machine;
mod queues;
mod waits;

use super::{ParticipantInfo, open_table, queues_on_disk, snapshot};
use crate::domain::layout::ObjectId;
use crate::domain::{Domain, DomainOptions, ParticipantId, Place, find};
use crate::error::{ErrorKind, Result};
use crate::mechanisms::topic::lifetime::{Living, id_of, leftovers, sweep};
use crate::sys::file;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something waits, or memory is held for nothing.
    Warning,
    /// Something cannot work.
    Problem,
}

/// Something the doctor found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of finding it is, for programs; never renamed.
    pub kind: &'static str,
    /// What was found, and of whom.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
    /// The file concerned.
    pub path: Option<PathBuf>,
    /// Whether `clean` removes it.
    pub cleanable: bool,
}

fn finding(severity: Severity, kind: &'static str, what: String, why: &str, remedy: &str) -> Finding {
    Finding { severity, kind, what, why: why.into(), remedy: remedy.into(), path: None, cleanable: false }
}

/// Participants as people know them.
fn who(p: &ParticipantInfo) -> String {
    format!("'{}' (pid {})", p.label, p.pid)
}

/// Looks for what is stuck, lagging, dead or damaged in a domain and says what to do about each. With
/// `clean` it also removes what the dead left behind, never anything somebody alive is still owed; without,
/// it takes no part in the domain and changes nothing.
pub fn doctor(options: &DomainOptions, clean: bool) -> Result<Vec<Finding>> {
    let place = find(options)?;
    let mut findings = examine(options, &place, clean)?;
    for found in &mut findings {
        found.remedy = with_place(&found.remedy, options, &place);
    }
    Ok(findings)
}

/// A remedy whose commands say which domain they are for: who pastes them may stand elsewhere.
fn with_place(remedy: &str, options: &DomainOptions, place: &Place) -> String {
    let mut place = format!(" --domain {}", place.name);
    if let Some(directory) = &options.runtime_dir {
        // As a shell reads it, whatever is in it.
        place += &format!(" --runtime-dir '{}'", directory.display().to_string().replace('\'', r"'\''"));
    }
    let in_place = |(number, part): (usize, &str)| match part {
        // Every other part stands between backticks.
        command if number % 2 == 1 && command.starts_with("axonic ") => format!("{command}{place}"),
        text => text.into(),
    };
    remedy.split('`').enumerate().map(in_place).collect::<Vec<String>>().join("`")
}

fn examine(options: &DomainOptions, place: &Place, clean: bool) -> Result<Vec<Finding>> {
    let seen = match snapshot(options) {
        Err(e) if e.is_damage() => {
            return Ok(vec![files::table(place, &e)]);
        }
        // Whoever was making it died before it had a table; whoever is making it makes it anew.
        Err(e) if e.kind() == ErrorKind::NotFound && clean && file::remove_directory(&place.path) => {
            let what = format!("domain '{}' is an empty directory", place.name);
            let why = "whoever was making it died before it had a table; nobody could clean it up by joining";
            let found = finding(Severity::Warning, "left_behind", what, why, "removed");
            return Ok(vec![Finding { path: Some(place.path.clone()), ..found }]);
        }
        Err(e) if e.kind() == ErrorKind::NotFound && !queues_on_disk(options)?.is_empty() => {
            return queues::on_disk(options);
        }
        other => other?,
    };
    let mut findings = queues::on_disk(options)?;
    waits::look(&seen, &mut findings);
    locks::look(&seen, &mut findings);
    queues::look(&seen, &mut findings);
    channels::look(options, &seen, &mut findings)?;
    files::damaged(place, &mut findings)?;
    machine::look(place, &seen, &mut findings);
    let left = match clean {
        false => leftovers(&mut Living::outside(place, &open_table(place)?))?,
        true => {
            match Domain::open_with(DomainOptions { label: Some("axonic doctor".into()), ..options.clone() })
            {
                Ok(domain) => {
                    let left = sweep(&domain)?;
                    remove_damaged(&mut findings);
                    left
                }
                // A full table has no place for the dead either: there is nothing to clean up after.
                Err(e) if e.kind() == ErrorKind::LimitReached => {
                    findings.push(finding(
                        Severity::Problem,
                        "not_cleaned",
                        format!("nothing could be cleaned: {e}"),
                        "cleaning takes part in the domain, for which there is no slot",
                        "close a participant, then try again",
                    ));
                    Vec::new()
                }
                Err(e) => return Err(e),
            }
        }
    };
    let dead: HashMap<ParticipantId, &ParticipantInfo> = seen
        .participants
        .iter()
        .filter(|p| !p.alive)
        .map(|p| (ParticipantId { slot: p.slot, epoch: p.epoch }, p))
        .collect();
    if !clean {
        for p in seen.participants.iter().filter(|p| !p.alive) {
            let id = ParticipantId { slot: p.slot, epoch: p.epoch };
            findings.push(died(p, left.iter().filter(|path| owner(path) == Some(id))));
        }
    }
    findings.extend(left.into_iter().map(|path| left_behind(path, &dead, clean)));
    Ok(findings)
}

/// Looks for what is no domain, or another user's, in the directory that holds domains.
pub fn doctor_runtime_dir(directory: &Path) -> Result<Vec<Finding>> {
    files::runtime_dir(directory)
}

fn owner(path: &Path) -> Option<ParticipantId> {
    id_of(path).map(ObjectId::owner)
}

/// One that died, and how much it left of what.
fn died<'a>(p: &ParticipantInfo, left: impl Iterator<Item = &'a PathBuf>) -> Finding {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for path in left {
        let kind = path.parent().and_then(Path::file_name).unwrap_or_default();
        *kinds.entry(kind.to_string_lossy().into_owned()).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} of {kind}/")).collect();
    let left = if kinds.is_empty() { "nothing that nobody is owed".into() } else { kinds.join(", ") };
    finding(
        Severity::Note,
        "dead",
        format!("participant {} died without a goodbye; it left {left}", who(p)),
        "nobody is harmed: its slot is free, and what it left holds nobody up",
        "`axonic doctor --clean` removes what it left; so does the next participant that makes a topic",
    )
}

fn left_behind(path: PathBuf, dead: &HashMap<ParticipantId, &ParticipantInfo>, clean: bool) -> Finding {
    let what = match owner(&path).map(|id| dead.get(&id)) {
        _ if is_in(&path, "listeners") => "a listener whose process is gone".into(),
        None if is_in(&path, "locks") => "a lock that nobody has open".into(),
        None if is_in(&path, "queues") => "a queue that nobody has open and in which nothing is left".into(),
        None => "a ring that nobody holds and in which nothing is left".into(),
        Some(None) => "left behind by a participant or publisher that is gone".into(),
        Some(Some(p)) => format!("left behind by {}, which died", who(p)),
    };
    let remedy = match (clean, file::exists(&path)) {
        (false, _) => "`axonic doctor --clean` removes it",
        (true, false) => "removed",
        (true, true) => "it could not be removed: check the owner and mode of its directory",
    };
    let why = "it takes memory that nobody will use again";
    Finding {
        path: Some(path),
        cleanable: true,
        ..finding(Severity::Warning, "left_behind", what, why, remedy)
    }
}

fn is_in(path: &Path, directory: &str) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with(directory))
}

/// Removes the damaged files that are nobody's data.
fn remove_damaged(findings: &mut [Finding]) {
    for found in findings.iter_mut().filter(|found| found.cleanable) {
        if let Some(path) = &found.path {
            found.remedy = file::remove(path).map_or_else(|e| e.to_string(), |_| "removed".into());
        }
    }
}
