//! Finding a domain's directory, joining it, and taking it away when the last participant leaves.

use super::layout::{MAX_SLOTS, ParticipantId};
use super::participants::{DEFAULT_MAX_PARTICIPANTS, Participants};
use super::DomainOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::name::check_name;
use crate::sys::file::{self, Access};
use crate::sys::process;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const PUBLISHERS: &str = "publishers";
pub const SUBSCRIBERS: &str = "subscribers";
const PARTICIPANTS: &str = "participants";

/// The directories of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directory {
    Publishers,
    Subscribers,
    Segments,
    Bells,
    Regions,
    Rings,
}

impl Directory {
    pub const ALL: [Directory; 6] = [
        Directory::Publishers,
        Directory::Subscribers,
        Directory::Segments,
        Directory::Bells,
        Directory::Regions,
        Directory::Rings,
    ];

    fn name(self) -> &'static str {
        match self {
            Directory::Publishers => PUBLISHERS,
            Directory::Subscribers => SUBSCRIBERS,
            Directory::Segments => "segments",
            Directory::Bells => "bells",
            Directory::Regions => "regions",
            Directory::Rings => "rings",
        }
    }
}

/// Where a domain is and who may use it.
pub(crate) struct Place {
    pub name: String,
    pub path: PathBuf,
    pub access: Access,
    /// The runtime directory, and whether somebody chose it (then it is not ours to remove).
    base: PathBuf,
    chosen: bool,
}

impl Place {
    pub fn directory(&self, kind: Directory) -> PathBuf {
        self.path.join(kind.name())
    }

    pub fn participants(&self) -> PathBuf {
        self.path.join(PARTICIPANTS)
    }

    fn ensure_directories(&self) -> Result<()> {
        file::ensure_directory(&self.path, &self.access)?;
        Directory::ALL.iter().try_for_each(|d| file::ensure_directory(&self.directory(*d), &self.access))
    }

    fn is_empty(&self) -> bool {
        Directory::ALL.iter().all(|d| file::names(&self.directory(*d)).is_empty())
    }
}

/// The directory that holds this user's domains: `AXONIC_RUNTIME_DIR`, or `/dev/shm/axonic-<uid>`.
pub fn runtime_dir() -> Result<PathBuf> {
    base(&DomainOptions::default()).map(|(path, _)| path)
}

/// The names of the domains in the runtime directory.
pub fn domains() -> Result<Vec<String>> {
    Ok(domains_in(&runtime_dir()?))
}

/// The names of the domains in another directory.
pub fn domains_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = file::names(directory);
    names.retain(|name| directory.join(name).join(PARTICIPANTS).exists());
    names.sort();
    names
}

fn base(options: &DomainOptions) -> Result<(PathBuf, bool)> {
    let chosen = options.runtime_dir.clone().or_else(|| {
        std::env::var_os("AXONIC_RUNTIME_DIR").filter(|v| !v.is_empty()).map(PathBuf::from)
    });
    match chosen {
        Some(path) if path.is_absolute() => Ok((path, true)),
        Some(path) => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("runtime directory {} is not an absolute path; set AXONIC_RUNTIME_DIR to one", path.display()),
        )),
        None => Ok((PathBuf::from(format!("/dev/shm/axonic-{}", file::user())), false)),
    }
}

/// Where the domain of these options is; checks names and numbers, touches no file.
pub(crate) fn find(options: &DomainOptions) -> Result<Place> {
    let from_environment = || std::env::var("AXONIC_DOMAIN").ok().filter(|v| !v.is_empty());
    let name = options.name.clone().or_else(from_environment).unwrap_or_else(|| "default".into());
    check_name("domain", &name)?;
    let mode = options.mode.unwrap_or(0o600);
    if mode & !0o666 != 0 || mode & 0o600 != 0o600 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("mode {mode:o} of domain '{name}' is not possible: use 600, 660 or 666"),
        ));
    }
    let (base, chosen) = base(options)?;
    let access = Access { mode, group: options.group };
    if !chosen && (access.group.is_some() || mode != 0o600) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a domain for others (mode {mode:o}) cannot live in a user's own directory: set runtime_dir or AXONIC_RUNTIME_DIR to a shared directory on a tmpfs"),
        ));
    }
    Ok(Place { path: base.join(&name), name, access, base, chosen })
}

/// Attempts before concurrent makers and removers of one domain are called a failure.
const ATTEMPTS: u32 = 200;

/// Makes or opens the domain and takes a slot in its table.
pub(crate) fn join(options: &DomainOptions) -> Result<(Place, Participants, ParticipantId)> {
    let place = find(options)?;
    let slots = options.max_participants.unwrap_or(DEFAULT_MAX_PARTICIPANTS);
    if slots == 0 || slots > MAX_SLOTS {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("max_participants is {slots}; it must be 1 to {MAX_SLOTS}"),
        ));
    }
    let label = options.label.clone().unwrap_or_else(process::program_name);
    let mut attempt = 0;
    loop {
        attempt += 1;
        match try_join(&place, slots, &label) {
            Ok(Some((participants, me))) => return Ok((place, participants, me)),
            // The last participant is just taking the domain away: make it anew.
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::NotFound && attempt < ATTEMPTS => {}
            Err(e) if e.kind() == ErrorKind::LimitReached && attempt < 5 => {}
            Err(e) => return Err(e),
        }
        if attempt >= ATTEMPTS {
            let what = format!("domain '{}' kept being removed while it was opened; try again", place.name);
            return Err(Error::new(ErrorKind::Busy, what));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn try_join(place: &Place, slots: u32, label: &str) -> Result<Option<(Participants, ParticipantId)>> {
    if !place.chosen {
        file::ensure_directory(&place.base, &Access { mode: 0o600, group: None })?;
    }
    file::check_directory(&place.base, place.chosen)?;
    file::ensure_directory(&place.path, &place.access)?;
    file::check_directory(&place.path, place.chosen)?;
    let participants = Participants::open_or_create(&place.participants(), slots, &place.access)?;
    let me = participants.join(&place.name, label)?;
    // Our lock is held now, so nobody removes the table any more; was it removed before?
    if participants.is_removed() {
        return Ok(None);
    }
    place.ensure_directories()?;
    Ok(Some((participants, me)))
}

/// Leaves; the last one out takes an empty domain away. Holding every slot's lock proves that
/// nobody is in, and keeps everybody out until the table has lost its name.
pub(crate) fn leave(place: &Place, participants: &Participants, me: ParticipantId) {
    if participants.try_lock_all() {
        remove_if_empty(place);
        participants.leave(me);
        participants.unlock_all();
    } else {
        participants.leave(me);
    }
}

/// Removes a domain without objects. The caller holds every slot's lock.
pub(crate) fn remove_if_empty(place: &Place) {
    if !place.is_empty() {
        return;
    }
    file::unlink(&place.participants());
    for directory in Directory::ALL {
        let _ = std::fs::remove_dir(place.directory(directory));
    }
    let _ = std::fs::remove_dir(&place.path);
    if !place.chosen {
        let _ = std::fs::remove_dir(&place.base);
    }
}
