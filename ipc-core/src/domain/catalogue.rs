//! The catalogue: which objects of a kind a domain holds, read from its directory and cached until
//! the generation word says that something changed.
//!
//! **D1**: whoever appears links its file, raises its generation (a full barrier), and then scans the
//! other side, so of two that appear at the same time at least one finds the other.

use super::layout::{Header, ObjectId, SharedName};
use super::steps::{Generation, Seen};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::file;
use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One object: a file named by its id that carries a name after its header.
#[derive(Debug)]
pub struct Listed {
    pub id: ObjectId,
    pub name: String,
    pub path: PathBuf,
}

/// The objects of one directory.
pub struct Catalogue {
    directory: PathBuf,
    seen: Seen,
    entries: Vec<Arc<Listed>>,
    known: HashMap<ObjectId, Arc<Listed>>,
}

impl Catalogue {
    pub fn new(directory: PathBuf) -> Catalogue {
        Catalogue { directory, seen: Seen::default(), entries: Vec::new(), known: HashMap::new() }
    }

    /// The objects as of `generation` or later, oldest first, and the generation they are as of. Not being
    /// able to look (no descriptors left) is an error, lest somebody be taken for gone.
    pub fn refresh(&mut self, generation: &Generation) -> Result<(u64, &[Arc<Listed>])> {
        let mut seen = std::mem::take(&mut self.seen);
        let now = seen.try_look(generation, || self.scan().map(drop));
        self.seen = seen;
        Ok((now?, &self.entries))
    }

    /// Reads the directory whatever the generation says.
    pub fn scan(&mut self) -> Result<&[Arc<Listed>]> {
        let present: HashSet<ObjectId> =
            file::names(&self.directory)?.iter().filter_map(|name| ObjectId::named(name)).collect();
        self.known.retain(|id, _| present.contains(id));
        for id in present {
            if !self.known.contains_key(&id) {
                let path = self.directory.join(id.to_string());
                match read_name(&path) {
                    Ok(name) => drop(self.known.insert(id, Arc::new(Listed { id, name, path }))),
                    // It vanished meanwhile, or is damaged or foreign: not listed. doctor names the latter.
                    Err(e)
                        if matches!(
                            e.kind(),
                            ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::PermissionDenied
                        ) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        self.entries = self.known.values().cloned().collect();
        self.entries.sort_by_key(|listed| listed.id);
        Ok(&self.entries)
    }
}

/// Reads the name that follows the header, without mapping the file.
fn read_name(path: &Path) -> Result<String> {
    const HEAD: usize = size_of::<Header>() + size_of::<SharedName>();
    let fd = file::open_existing(path, false)?;
    let mut bytes = [0u8; HEAD];
    let got = file::read_at(fd.as_fd(), &mut bytes, 0)?;
    let magic = u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default());
    if got < HEAD || magic != super::layout::MAGIC {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: it is not an axonic file; remove it", path.display()),
        ));
    }
    let at = size_of::<Header>();
    let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default()) as usize;
    let name = &bytes[at + 8..][..length.min(crate::name::MAX_NAME)];
    Ok(String::from_utf8_lossy(name).into_owned())
}
