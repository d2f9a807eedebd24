//! Finding a domain's directory, joining it, and taking it away when the last participant leaves.

use super::DomainOptions;
use super::layout::{MAX_SLOTS, ParticipantId};
use super::participants::{DEFAULT_MAX_PARTICIPANTS, Participants};
use super::quota::Quotas;
use crate::error::{Error, ErrorKind, Result};
use crate::name::check_name;
use crate::sys::file::{self, Access, distrust, inspect_directory};
use crate::sys::{clock, descriptor, process};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::info;

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
    Queues,
    Locks,
    Listeners,
    Channels,
}

impl Directory {
    pub const ALL: [Directory; 10] = [
        Directory::Publishers,
        Directory::Subscribers,
        Directory::Segments,
        Directory::Bells,
        Directory::Regions,
        Directory::Rings,
        Directory::Queues,
        Directory::Locks,
        Directory::Listeners,
        Directory::Channels,
    ];

    fn name(self) -> &'static str {
        match self {
            Directory::Publishers => PUBLISHERS,
            Directory::Subscribers => SUBSCRIBERS,
            Directory::Segments => "segments",
            Directory::Bells => "bells",
            Directory::Regions => "regions",
            Directory::Rings => "rings",
            Directory::Queues => "queues",
            Directory::Locks => "locks",
            Directory::Listeners => "listeners",
            Directory::Channels => "channels",
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
    /// The opener asked for nothing but his own use of it.
    private: bool,
    /// The opener named a mode.
    explicit: bool,
}

impl Place {
    pub fn directory(&self, kind: Directory) -> PathBuf {
        self.path.join(kind.name())
    }

    pub fn participants(&self) -> PathBuf {
        self.path.join(PARTICIPANTS)
    }

    fn ensure_directories(&self) -> Result<()> {
        Directory::ALL
            .iter()
            .try_for_each(|d| file::ensure_directory(&self.directory(*d), &self.access).map(drop))
    }

    /// Refuses a runtime directory that somebody else could pull away under us or lay out for us (squatting).
    fn check_base(&self) -> Result<()> {
        let what = format!("runtime directory {}", self.base.display());
        let owner = inspect_directory(&self.base, &what)?;
        if !(owner.is_me() || self.chosen && (owner.user == 0 || !self.private)) {
            return Err(distrust(
                &what,
                &format!("it belongs to user {}, not to user {}", owner.user, file::user()),
            ));
        }
        if owner.is_open_to_all() || !self.chosen && owner.mode & 0o022 != 0 {
            return Err(distrust(
                &what,
                &format!("others may replace what is in it (mode {:o})", owner.mode),
            ));
        }
        Ok(())
    }

    /// Refuses a domain's directory that somebody else laid out, or that was made for others than we say.
    /// Returns whom our files are for: an existing domain keeps its own mode and group.
    fn check_domain(&self) -> Result<Access> {
        let what = format!("domain '{}' ({})", self.name, self.path.display());
        let owner = inspect_directory(&self.path, &what)?;
        let (bits, wanted) = (owner.mode & 0o777, self.access);
        if self.private && !owner.is_me() {
            let why = format!(
                "it belongs to user {}, not to user {}; a domain for others is opened with mode and group",
                owner.user,
                file::user()
            );
            return Err(distrust(&what, &why));
        }
        if self.private && bits & 0o022 == 0 {
            return Ok(wanted);
        }
        let mode = match bits {
            _ if !self.private => wanted.mode,
            0o770 if !self.explicit => 0o660,
            0o777 if !self.explicit => 0o666,
            _ => return Err(distrust(&what, &format!("others may write to it (mode {:o})", owner.mode))),
        };
        let access = Access { mode, group: wanted.group.or((mode == 0o660).then_some(owner.group)) };
        if bits != access.directory_mode() || wanted.group.is_some_and(|group| group != owner.group) {
            let text = format!(
                "{what}: it was made with mode {:o} and group {}; open it with these, or remove it first",
                bits & 0o666,
                owner.group
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        Ok(access)
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

/// The names of the domains in another directory; none if it cannot be read.
pub fn domains_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = file::names(directory).unwrap_or_default();
    names.retain(|name| directory.join(name).join(PARTICIPANTS).exists());
    names.sort();
    names
}

fn base(options: &DomainOptions) -> Result<(PathBuf, bool)> {
    let chosen = options
        .runtime_dir
        .clone()
        .or_else(|| std::env::var_os("AXONIC_RUNTIME_DIR").filter(|v| !v.is_empty()).map(PathBuf::from));
    match chosen {
        Some(path) if path.as_os_str().as_bytes().contains(&0) => {
            let text = format!(
                "runtime directory {path:?} contains a NUL; set AXONIC_RUNTIME_DIR to a directory on a tmpfs"
            );
            Err(Error::new(ErrorKind::InvalidArgument, text))
        }
        Some(path) if path.is_absolute() => Ok((path, true)),
        Some(path) => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "runtime directory {} is not an absolute path; set AXONIC_RUNTIME_DIR to one",
                path.display()
            ),
        )),
        None => Ok((PathBuf::from(format!("/dev/shm/axonic-{}", file::user())), false)),
    }
}

/// Where what must survive a reboot is kept.
pub(crate) fn data_dir(options: &DomainOptions) -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = || variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let chosen = options.data_dir.clone().or_else(|| variable("AXONIC_DATA_DIR"));
    match chosen.or_else(|| Some(state()?.join("axonic"))) {
        Some(path) if path.is_absolute() => Ok(path),
        Some(path) => {
            let text = format!(
                "data directory {} is not an absolute path; set AXONIC_DATA_DIR to one",
                path.display()
            );
            Err(Error::new(ErrorKind::InvalidArgument, text))
        }
        None => Err(Error::new(
            ErrorKind::InvalidArgument,
            "there is no data directory, since HOME is not set: set AXONIC_DATA_DIR to one",
        )),
    }
}

/// Where the domain of these options is; checks names and numbers, touches no file.
pub(crate) fn find(options: &DomainOptions) -> Result<Place> {
    let from_environment = || {
        std::env::var_os("AXONIC_DOMAIN").filter(|v| !v.is_empty()).map(|v| v.to_string_lossy().into_owned())
    };
    let name = options.name.clone().or_else(from_environment).unwrap_or_else(|| "default".into());
    check_name("domain", &name)?;
    let mode = options.mode.unwrap_or(if options.group.is_some() { 0o660 } else { 0o600 });
    if !matches!(mode, 0o600 | 0o660 | 0o666) || mode == 0o600 && options.group.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "mode {mode:o} of domain '{name}' is not possible: use 600 (for this user), 660 (for a group) or 666 (for everybody)"
            ),
        ));
    }
    let (base, chosen) = base(options)?;
    let access = Access { mode, group: options.group };
    let private = mode == 0o600;
    if !chosen && !private {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "a domain for others (mode {mode:o}) cannot live in a user's own directory: set runtime_dir or AXONIC_RUNTIME_DIR to a shared directory on a tmpfs"
            ),
        ));
    }
    Ok(Place {
        path: base.join(&name),
        name,
        access,
        base,
        chosen,
        private,
        explicit: options.mode.is_some(),
    })
}

/// Attempts before concurrent makers and removers of one domain are called a failure.
const ATTEMPTS: u32 = 2000;

/// Makes or opens the domain and takes a slot in its table.
pub(crate) fn join(options: &DomainOptions) -> Result<(Place, Participants, ParticipantId)> {
    let place = find(options)?;
    let name = place.name.clone();
    // Kept by whoever has a domain open; one who fails to open leaves everything as it was.
    let kept = descriptor::keep_spare().map_err(|e| e.of("domain", &name))?;
    join_at(place, options).map_err(|e| {
        if kept {
            descriptor::release_spare();
        }
        e.of("domain", &name)
    })
}

fn join_at(mut place: Place, options: &DomainOptions) -> Result<(Place, Participants, ParticipantId)> {
    let slots = options.max_participants.unwrap_or(DEFAULT_MAX_PARTICIPANTS);
    if slots == 0 || slots > MAX_SLOTS {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("domain '{}': max_participants is {slots}; it must be 1 to {MAX_SLOTS}", place.name),
        ));
    }
    let quotas =
        Quotas { domain: options.quota.unwrap_or(0), participant: options.participant_quota.unwrap_or(0) };
    let label = options.label.clone().unwrap_or_else(process::program_name);
    // A chosen runtime directory is not ours to make: if it is missing, it stays missing.
    if place.chosen {
        place.check_base()?;
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        match try_join(&mut place, slots, quotas, &label) {
            Ok(Some((participants, me))) => return Ok((place, participants, me)),
            // The last participant is just taking the domain away: make it anew.
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::NotFound && attempt < ATTEMPTS => {}
            // Somebody may be just making its directory, which gets its mode and group last.
            Err(e) if e.kind() == ErrorKind::InvalidArgument && attempt < 10 => {}
            Err(e) => return Err(e),
        }
        if attempt >= ATTEMPTS {
            let what = format!("domain '{}' kept being removed while it was opened; try again", place.name);
            return Err(Error::new(ErrorKind::Busy, what));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One attempt; what it made is taken away again if it fails.
fn try_join(
    place: &mut Place,
    slots: u32,
    quotas: Quotas,
    label: &str,
) -> Result<Option<(Participants, ParticipantId)>> {
    let made_base =
        !place.chosen && file::ensure_directory(&place.base, &Access { mode: 0o600, group: None })?;
    let mut made_path = false;
    let joined = enter(place, slots, quotas, label, &mut made_path);
    if joined.is_err() {
        // Only an empty directory goes.
        for (_, path) in [(made_path, &place.path), (made_base, &place.base)].iter().filter(|(made, _)| *made)
        {
            file::remove_directory(path);
        }
    }
    joined
}

fn enter(
    place: &mut Place,
    slots: u32,
    quotas: Quotas,
    label: &str,
    made: &mut bool,
) -> Result<Option<(Participants, ParticipantId)>> {
    if !place.chosen {
        place.check_base()?;
    }
    *made = file::ensure_directory(&place.path, &place.access)?;
    place.access = place.check_domain()?;
    // Before the table takes what may be the last descriptor.
    let started = process::own_start_time()?;
    clock::find_difference()?;
    let participants = Participants::open_or_create(&place.participants(), slots, quotas, &place.access)?;
    let me = match participants.join(&place.name, label, started) {
        Ok(Some(me)) => me,
        other => {
            // The table may be one we just made.
            take_away(place, &participants, None, None);
            return other.map(|_| None);
        }
    };
    // Our lock is held now, so nobody removes the table any more; was it removed before?
    if participants.is_removed() {
        return Ok(None);
    }
    if let Err(e) = place.ensure_directories() {
        leave(place, &participants, me, None);
        return Err(e);
    }
    Ok(Some((participants, me)))
}

/// Removes from a domain in which nobody is alive what nobody can be owed.
pub(crate) type Collector = fn(&Place);

/// Leaves; the last one out collects what the dead left behind and takes an empty domain away.
pub(crate) fn leave(
    place: &Place,
    participants: &Participants,
    me: ParticipantId,
    collect: Option<Collector>,
) {
    if !take_away(place, participants, Some(me), collect) {
        participants.leave(me);
        // Two that leave at the same time each found the other still in: whoever comes here last is alone.
        take_away(place, participants, None, collect);
    }
}

/// If nobody else is in: collects, and removes a domain without objects. Holding every slot's lock proves that
/// nobody is in, and keeps everybody out until the table has lost its name. Our own slot is given back with them.
pub(crate) fn take_away(
    place: &Place,
    participants: &Participants,
    me: Option<ParticipantId>,
    collect: Option<Collector>,
) -> bool {
    if !participants.try_lock_all() {
        return false;
    }
    let mut dead = Vec::new();
    // A table that has lost its name is no longer the table of what stands in its place.
    if !participants.is_removed() {
        dead = participants.bury_all(me);
        collect.iter().for_each(|collect| collect(place));
        remove_if_empty(place);
    }
    participants.unlock_all();
    dead.iter().for_each(|died| info!("domain '{}': {died}; what it left was removed", place.name));
    true
}

/// Removes a domain without objects. The caller holds every slot's lock.
fn remove_if_empty(place: &Place) {
    // Asking by doing takes no descriptor; whoever comes next makes anew what is gone.
    let gone =
        |d: Directory| file::remove_directory(&place.directory(d)) || !file::exists(&place.directory(d));
    let stays = Directory::ALL.into_iter().filter(|d| !gone(*d)).count();
    if stays > 0 {
        return;
    }
    file::unlink(&place.participants());
    file::remove_directory(&place.path);
    if !place.chosen {
        file::remove_directory(&place.base);
    }
}
