//! What is stuck, lagging, dead or damaged in a domain, and what to do about it.

use super::{ParticipantInfo, Snapshot, open_table, snapshot};
use crate::domain::layout::{Kind, ObjectId, check_file};
use crate::domain::{Directory, Domain, DomainOptions, ParticipantId, Place, find};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::RingMap;
use crate::mechanisms::ring::CURSOR_SUFFIX;
use crate::mechanisms::topic::check_segment;
use crate::mechanisms::topic::lifetime::{Living, id_of, leftovers, open_page, sweep};
use crate::mechanisms::topic::orphans::PASSING;
use crate::sys::descriptor::open_bell;
use crate::sys::file;
use crate::sys::mapping::page_size;
use serde::Serialize;
use std::collections::HashMap;
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
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// The file concerned.
    pub path: Option<PathBuf>,
    /// Whether `clean` removes it.
    pub cleanable: bool,
}

fn finding(severity: Severity, what: String, remedy: &str) -> Finding {
    Finding { severity, what, remedy: remedy.into(), path: None, cleanable: false }
}

/// Looks for what is stuck, lagging, dead or damaged in a domain and says what to do about each. With
/// `clean` it also removes what the dead left behind, never anything somebody alive is still owed; without,
/// it takes no part in the domain and changes nothing.
pub fn doctor(options: &DomainOptions, clean: bool) -> Result<Vec<Finding>> {
    let place = find(options)?;
    let seen = match snapshot(options) {
        Err(e) if e.is_damage() => {
            let what = format!("the table of domain '{}' cannot be read: {e}", place.name);
            let path = Some(place.participants());
            return Ok(vec![Finding {
                path,
                ..finding(Severity::Problem, what, "stop its participants and remove the directory")
            }]);
        }
        // Whoever was making it died before it had a table; whoever is making it makes it anew.
        Err(e) if e.kind() == ErrorKind::NotFound && clean && file::remove_directory(&place.path) => {
            let what = format!("domain '{}' was an empty directory, left behind half-made", place.name);
            return Ok(vec![Finding {
                path: Some(place.path),
                ..finding(Severity::Warning, what, "removed")
            }]);
        }
        other => other?,
    };
    let mut findings = Vec::new();
    stuck(&seen, &mut findings);
    damaged(&place, &mut findings)?;
    space(&place, &mut findings);
    let left = match clean {
        false => leftovers(&mut Living::outside(&place, &open_table(&place)?))?,
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
                        format!("nothing could be cleaned: {e}"),
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
    findings.extend(left.into_iter().map(|path| left_behind(path, &dead, clean)));
    Ok(findings)
}

fn left_behind(path: PathBuf, dead: &HashMap<ParticipantId, &ParticipantInfo>, clean: bool) -> Finding {
    let owner = id_of(&path).map(ObjectId::owner);
    let what = match owner.map(|id| dead.get(&id)) {
        None => "a ring that nobody holds and in which nothing is left".into(),
        Some(None) => "left behind by a participant or publisher that is gone".into(),
        Some(Some(p)) => format!("left behind by '{}' (pid {}), which died", p.label, p.pid),
    };
    let remedy = match (clean, file::exists(&path)) {
        (false, _) => "`axonic doctor --clean` removes it",
        (true, false) => "removed",
        (true, true) => "it could not be removed: check the owner and mode of its directory",
    };
    Finding { path: Some(path), cleanable: true, ..finding(Severity::Warning, what, remedy) }
}

/// Removes the damaged files that are nobody's data.
fn remove_damaged(findings: &mut [Finding]) {
    for found in findings.iter_mut().filter(|found| found.cleanable) {
        if let Some(path) = &found.path {
            found.remedy = file::remove(path).map_or_else(|e| e.to_string(), |_| "removed".into());
        }
    }
}

/// Who waits for whom.
fn stuck(seen: &Snapshot, findings: &mut Vec<Finding>) {
    let participant = |id: &str| seen.participants.iter().find(|p| format!("{}.{}", p.slot, p.epoch) == id);
    for subscriber in seen.subscribers.iter().filter(|s| s.alive) {
        let Some(who) = participant(&subscriber.participant) else { continue };
        let state = if who.stopped { "is stopped" } else { "has not read on" };
        for lag in &subscriber.lag {
            let Some(publisher) = seen.publishers.iter().find(|p| p.id == lag.publisher) else { continue };
            if publisher.waiting && publisher.overflow == "block" {
                let what = format!(
                    "publisher of '{}' waits for room: subscriber '{}' of '{}' (pid {}) {state}, {} messages behind",
                    publisher.topic, subscriber.pattern, who.label, who.pid, lag.messages
                );
                let remedy = if who.stopped {
                    "continue that process (kill -CONT) or end it"
                } else {
                    "read faster, raise capacity, or use overflow drop_oldest"
                };
                findings.push(finding(Severity::Warning, what, remedy));
            }
        }
    }
    for who in seen.participants.iter().filter(|p| p.stopped) {
        let what = format!("participant '{}' (pid {}) is stopped", who.label, who.pid);
        findings.push(finding(
            Severity::Note,
            what,
            "it is alive and will continue unharmed; kill -CONT wakes it",
        ));
    }
    for publisher in seen.publishers.iter().filter(|p| p.orphan && p.alive && p.capacity > 0) {
        let what = format!(
            "a finished publisher of '{}' holds {} bytes for readers still to come",
            publisher.topic,
            publisher.capacity.saturating_add(publisher.slab_bytes)
        );
        findings.push(finding(
            Severity::Note,
            what,
            "it goes when they have read it; `axonic unlink topic` drops it",
        ));
    }
}

/// Files that are not what their place says.
fn damaged(place: &Place, findings: &mut Vec<Finding>) -> Result<()> {
    let known = |name: &String| {
        place.participants().ends_with(name)
            || Directory::ALL.iter().any(|d| place.directory(*d).ends_with(name))
    };
    findings.extend(
        file::names(&place.path)?
            .iter()
            .filter(|name| !known(name))
            .map(|name| foreign(place.path.join(name))),
    );
    for kind in Directory::ALL {
        let directory = place.directory(kind);
        for name in file::names(&directory)? {
            let path = directory.join(&name);
            let id = if kind == Directory::Segments {
                ObjectId::of_segment(&name)
            } else {
                ObjectId::named(&name)
            };
            let checked = match kind {
                Directory::Regions => check_file(&path, Kind::Region, page_size()),
                Directory::Rings if name.ends_with(CURSOR_SUFFIX) => {
                    check_file(&path, Kind::RingLink, page_size())
                }
                Directory::Rings => RingMap::check(&path, Kind::RingData),
                // On its way to be swapped, or swept.
                Directory::Publishers if name.ends_with(PASSING) => continue,
                _ if id.is_none() => {
                    findings.push(foreign(path));
                    continue;
                }
                Directory::Publishers => RingMap::check(&path, Kind::Publisher),
                Directory::Subscribers => open_page(&path).map(drop),
                Directory::Segments => check_segment(&path),
                Directory::Bells => open_bell(&path).map(drop),
            };
            match checked {
                Err(e) if e.is_damage() => findings.push(broken(path, kind, &name, &e)),
                // It may be gone again, or be another user's.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                other => other?,
            }
        }
    }
    Ok(())
}

fn foreign(path: PathBuf) -> Finding {
    let what = format!("{}: axonic did not make this", path.display());
    Finding {
        path: Some(path),
        ..finding(
            Severity::Warning,
            what,
            "remove it if nobody needs it; the domain's directory stays as long as it is there",
        )
    }
}

/// A damaged file. What a publisher, subscriber or sleeper left is of no use to anybody; regions and rings
/// hold data that somebody named, and somebody must give up by name.
fn broken(path: PathBuf, kind: Directory, name: &str, error: &Error) -> Finding {
    let name = name.strip_suffix(CURSOR_SUFFIX).unwrap_or(name);
    let named = match kind {
        Directory::Regions => Some(format!("`axonic unlink region {name}` removes it")),
        Directory::Rings => Some(format!("`axonic unlink ring {name}` removes it")),
        _ => None,
    };
    let cleanable = named.is_none() && error.kind() == ErrorKind::Corrupt && !is_directory(&path);
    let remedy = match named {
        Some(remedy) => remedy,
        None if cleanable => "`axonic doctor --clean` removes it".into(),
        None => "run one version of axonic, then remove it by hand".into(),
    };
    Finding { path: Some(path), cleanable, ..finding(Severity::Problem, error.to_string(), &remedy) }
}

fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}

/// Whether memory is running out.
fn space(place: &Place, findings: &mut Vec<Finding>) {
    let Some((free, all)) = file::filesystem_space(&place.path) else { return };
    if free < all / 10 {
        let what = format!(
            "the shared-memory filesystem of {} has {} of {} MiB left",
            place.path.display(),
            free >> 20,
            all >> 20
        );
        findings.push(finding(
            Severity::Problem,
            what,
            "enlarge it (containers: --shm-size), or lower capacity and max_bytes",
        ));
    } else if all <= 64 << 20 {
        let what = format!(
            "the shared-memory filesystem of {} has {} MiB in all, a container's default",
            place.path.display(),
            all >> 20
        );
        findings.push(finding(
            Severity::Note,
            what,
            "start the container with a larger --shm-size for large messages",
        ));
    }
}
