//! Quotas: how much shared memory a domain, and each participant of it, may take.
//!
//! Nothing is counted in shared memory, where a death could leave a count wrong: before a file is
//! made, the files that are there are added up. Files are made when objects open and slabs grow, never
//! on the way of a message. Two that make files at the same instant may both just pass.

use super::layout::{Header, ObjectId, ParticipantId};
use super::{Directory, Inner, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::file;
use std::fmt::Display;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Limits in bytes; zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    pub domain: u64,
    pub participant: u64,
}

impl Inner {
    /// Makes an unnamed file of `size` bytes for `directory`, within the quotas. Every object's memory comes from here.
    pub fn create_file(&self, directory: Directory, size: usize) -> Result<OwnedFd> {
        self.create_growing(directory, size, size)
    }

    /// The same of which only the first `allocated` bytes are taken now; the others by [`Inner::grow_file`].
    pub fn create_growing(&self, directory: Directory, size: usize, allocated: usize) -> Result<OwnedFd> {
        self.check_quotas(allocated)?;
        file::create_sparse(&self.directory(directory), size as u64, allocated as u64, self.access())
    }

    /// Takes memory for `length` bytes more of a file, within the quotas. What is taken already costs nothing.
    pub fn grow_file(
        &self,
        fd: BorrowedFd<'_>,
        offset: usize,
        length: usize,
        place: &dyn Display,
    ) -> Result<()> {
        self.check_quotas(length)?;
        file::allocate_more(fd, offset as u64, length as u64, place)
    }

    fn check_quotas(&self, size: usize) -> Result<()> {
        let quotas = self.participants.quotas();
        if quotas == Quotas::default() {
            return Ok(());
        }
        let (all, mine) = usage(&self.place, self.me())?;
        let refuse = |used: u64, limit: u64, whose: &str, setting: &str| {
            Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "domain '{}': {size} bytes more are over {whose}, {used} of {limit} bytes are used; close or unlink something, or make the domain with a larger {setting}",
                    self.place.name
                ),
            ))
        };
        if quotas.domain != 0 && all + size as u64 > quotas.domain {
            return refuse(all, quotas.domain, "its quota", "quota");
        }
        if quotas.participant != 0 && mine + size as u64 > quotas.participant {
            return refuse(mine, quotas.participant, "this participant's quota", "participant_quota");
        }
        Ok(())
    }
}

/// Bytes of all files of a domain's objects, and of those `who` made.
fn usage(place: &Place, who: ParticipantId) -> Result<(u64, u64)> {
    let (mut all, mut mine) = (0, 0);
    for kind in Directory::ALL {
        let directory = place.directory(kind);
        for name in file::names(&directory)? {
            let path = directory.join(&name);
            let bytes = file::allocated(&path);
            all += bytes;
            if bytes > 0 && maker(kind, &name, &path) == Some(who) {
                mine += bytes;
            }
        }
    }
    Ok((all, mine))
}

/// Who made a file: its name says so, or its header where users choose the name (it may look like an id).
fn maker(kind: Directory, name: &str, path: &Path) -> Option<ParticipantId> {
    let named =
        [Directory::Regions, Directory::Rings, Directory::Queues, Directory::Locks, Directory::Listeners];
    if !named.contains(&kind) {
        return ObjectId::parse(name).map(ObjectId::owner);
    }
    let mut bytes = [0; size_of::<Header>()];
    let fd = file::open_existing(path, false).ok()?;
    file::read_at(fd.as_fd(), &mut bytes, 0).ok()?;
    Some(ParticipantId::unpack(u64::from_le_bytes(std::array::from_fn(|i| bytes[48 + i]))))
}
