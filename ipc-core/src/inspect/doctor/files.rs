//! Files that should not be there, or are not what they should be.

use super::{Finding, Severity, finding};
use crate::domain::layout::{Kind, ObjectId, check_file, check_growing_file};
use crate::domain::object::BELL_MARK;
use crate::domain::{Directory, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::shm::leftovers::named;
use crate::mechanisms::record::RingMap;
use crate::mechanisms::ring::CURSOR_SUFFIX;
use crate::mechanisms::topic::check_segment;
use crate::mechanisms::topic::lifetime::open_page;
use crate::mechanisms::topic::orphans::PASSING;
use crate::name::check_name;
use crate::sys::descriptor::open_bell;
use crate::sys::file;
use crate::sys::mapping::page_size;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A table of participants that cannot be read.
pub(super) fn table(place: &Place, error: &Error) -> Finding {
    let what = format!("the table of domain '{}' cannot be read: {error}", place.name);
    let (kind, why, remedy) = match error.kind() {
        ErrorKind::LayoutMismatch => (
            "other_layout",
            "participants of different versions cannot meet in one domain",
            "run one version of axonic, or give each its own domain; end those of the other and remove the directory",
        ),
        _ => ("damaged", "nobody can open the domain", "stop its participants and remove the directory"),
    };
    Finding { path: Some(place.participants()), ..finding(Severity::Problem, kind, what, why, remedy) }
}

/// What is no domain, or another user's, in the directory that holds domains.
pub(super) fn runtime_dir(directory: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut names = file::names(directory)?;
    names.sort();
    for name in names {
        let path = directory.join(&name);
        // It may be gone again.
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let is_domain = metadata.is_dir() && check_name("domain", &name).is_ok();
        let is_empty = || file::names(&path).is_ok_and(|names| names.is_empty());
        let (severity, kind, what, why, remedy) = if metadata.uid() != file::user() {
            (
                Severity::Note,
                "other_user",
                format!("'{name}' belongs to user {}", metadata.uid()),
                "no domain of that name can be opened by this user unless its owner made it for others (mode 660 or 666)",
                "use another name, a runtime directory of your own, or ask its owner",
            )
        } else if !is_domain || !path.join("participants").exists() && !is_empty() {
            (
                Severity::Warning,
                "foreign",
                format!("'{name}' in the runtime directory is no domain: axonic did not make it"),
                "it takes memory, and no domain can have its name",
                "remove it by hand if nobody needs it",
            )
        } else {
            continue;
        };
        findings.push(Finding { path: Some(path), ..finding(severity, kind, what, why, remedy) });
    }
    Ok(findings)
}

/// Files that are not what their place says.
pub(super) fn damaged(place: &Place, findings: &mut Vec<Finding>) -> Result<()> {
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
                Directory::Queues | Directory::Locks if name.contains(BELL_MARK) => {
                    open_bell(&path).map(drop)
                }
                Directory::Queues => check_growing_file(&path, Kind::Queue, page_size()),
                Directory::Locks => check_growing_file(&path, Kind::Lock, page_size()),
                Directory::Listeners => check_file(&path, Kind::Listener, page_size()),
                Directory::Channels if named(&name).is_some() => RingMap::check(&path, Kind::Channel),
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
                Directory::Channels => {
                    findings.push(foreign(path));
                    continue;
                }
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
            "foreign",
            what,
            "the domain's directory cannot go with its last participant as long as it is there",
            "remove it by hand if nobody needs it",
        )
    }
}

/// A damaged file. What a publisher, subscriber or sleeper left is of no use to anybody; regions and rings
/// hold data that somebody named, and somebody must give up by name.
fn broken(path: PathBuf, kind: Directory, name: &str, error: &Error) -> Finding {
    let name = name.split(BELL_MARK).next().unwrap_or(name);
    let named = match kind {
        Directory::Regions => Some(format!("`axonic unlink region {name}` removes it")),
        Directory::Rings => Some(format!("`axonic unlink ring {name}` removes it")),
        Directory::Queues => Some(format!("`axonic unlink queue {name}` removes it")),
        Directory::Locks => Some(format!("`axonic unlink lock {name}` removes it")),
        _ => None,
    };
    let cleanable = named.is_none() && error.kind() == ErrorKind::Corrupt && !is_directory(&path);
    let remedy = match named {
        Some(remedy) => remedy,
        None if cleanable => "`axonic doctor --clean` removes it".into(),
        None => "run one version of axonic, then remove it by hand".into(),
    };
    let (code, why) = match error.kind() {
        ErrorKind::LayoutMismatch => {
            ("other_layout", "participants of different versions cannot read each other's memory")
        }
        _ => ("damaged", "whoever needs it is refused with an error"),
    };
    Finding {
        path: Some(path),
        cleanable,
        ..finding(Severity::Problem, code, error.to_string(), why, &remedy)
    }
}

fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}
