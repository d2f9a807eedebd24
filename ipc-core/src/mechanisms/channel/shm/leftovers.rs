//! What channels leave when who had them is gone, and who takes it away.
//!
//! A file of a channel goes with the end that writes it: the other end has it mapped, and needs no name to read it out. A
//! listener's goes with its process, and with it nobody finds it any more.

use super::listener::{open_listener, remove_dead};
use super::{CLIENT, PENDING, SERVER};
use crate::domain::layout::{Kind, ObjectId, ParticipantId, check_file};
use crate::domain::{Directory, Domain, Place};
use crate::error::Result;
use crate::mechanisms::record::{RingHead, open_head};
use crate::sys::atomic::Ordering;
use crate::sys::file;
use crate::sys::mapping::page_size;
use std::path::{Path, PathBuf};

/// What the name of a channel's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Written by whoever connected.
    Client,
    /// Written by whoever accepted, or will.
    Server,
    /// Written by whoever connected, not accepted yet.
    Pending,
}

/// Reads the name of a channel's file; others' names are none.
pub fn named(name: &str) -> Option<(ObjectId, Named)> {
    let (id, suffix) = name.split_at_checked(16)?;
    let what = match suffix {
        CLIENT => Named::Client,
        SERVER => Named::Server,
        other => {
            ObjectId::named(other.strip_prefix(PENDING)?)?;
            Named::Pending
        }
    };
    Some((ObjectId::named(id)?, what))
}

/// Who writes a channel's file. Before it is accepted, both are whose who connected.
fn writer(path: &Path, id: ObjectId, what: Named) -> ParticipantId {
    if what != Named::Server {
        return id.owner();
    }
    // A damaged one is named by doctor.
    let Ok(map) = open_head(path, Kind::Channel) else { return id.owner() };
    match map.at::<RingHead>(0).link.accepted.load(Ordering::Acquire).checked_sub(1) {
        Some(accepted) => ParticipantId::unpack(accepted),
        None => id.owner(),
    }
}

/// Files of listeners and of channels whose writers are gone.
pub fn spent(place: &Place, mut is_alive: impl FnMut(ParticipantId) -> bool) -> Result<Vec<PathBuf>> {
    let (listeners, channels) = (place.directory(Directory::Listeners), place.directory(Directory::Channels));
    let mut spent = Vec::new();
    for name in file::names(&listeners)? {
        let path = listeners.join(&name);
        // One that is damaged and has no id in its name is named by doctor.
        let id =
            open_listener(&path, false).map_or_else(|_| id_in(&name), |(_, head)| Some(head.header.id()));
        if id.is_some_and(|id| !is_alive(id.owner())) {
            spent.push(path);
        }
    }
    for name in file::names(&channels)? {
        let path = channels.join(&name);
        if named(&name).is_some_and(|(id, what)| !is_alive(writer(&path, id, what))) {
            spent.push(path);
        }
    }
    Ok(spent)
}

/// The id in the name of a service's provider; such a name is nobody else's.
fn id_in(name: &str) -> Option<ObjectId> {
    ObjectId::named(name.rsplit_once('*')?.1)
}

/// Removes the file of a listener that is gone, unless a successor has made it its own meanwhile.
pub fn remove_listener(domain: &Domain, path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if id_in(&name).is_some() {
        file::unlink(path);
    } else {
        let _ = remove_dead(domain, &name, path);
    }
}

/// Removes those of a domain in which nobody is alive, and into which nobody comes meanwhile.
pub fn collect(place: &Place) {
    let paths = |kind| {
        let directory = place.directory(kind);
        let names = file::names(&directory).unwrap_or_default();
        names.into_iter().map(move |name| (directory.join(&name), name))
    };
    for (path, name) in paths(Directory::Listeners) {
        if id_in(&name).is_some() || check_file(&path, Kind::Listener, page_size()).is_ok() {
            file::unlink(&path);
        }
    }
    paths(Directory::Channels)
        .filter(|(_, name)| named(name).is_some())
        .for_each(|(path, _)| file::unlink(&path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_end_writes() {
        let (id, listener) = (ObjectId(77), ObjectId(78));
        for (name, what) in [
            (format!("{id}-c"), Named::Client),
            (format!("{id}-s"), Named::Server),
            (format!("{id}-for-{listener}"), Named::Pending),
        ] {
            assert_eq!(named(&name), Some((id, what)));
        }
        for other in [
            "",
            "x",
            "-c",
            &format!("{id}"),
            &format!("{id}-x"),
            &format!("{id}-for-"),
            &format!("{id}-for-x"),
        ] {
            assert_eq!(named(other), None, "{other}");
        }
        assert_eq!(named(&format!("{id:?}-c").replace('0', "é")), None);
    }
}
