//! Durable queues of which only the journal is there: after a reboot nothing in memory tells of them.

use super::QueueOnDisk;
use crate::domain::{Directory, DomainOptions, data_dir, find};
use crate::error::Result;
use crate::mechanisms::journal::{Journal, Torn};
use crate::mechanisms::queue::{QueueOptions, durable};
use crate::name::check_name;
use crate::sys::disk::DataDirectory;
use crate::sys::{disk, file};
use std::path::Path;

/// The durable queues of a domain of which only the journal is on the disk: they were not opened since the machine was
/// started, or since they were left empty. None where the data directory cannot be read; the domain need not exist.
pub fn queues_on_disk(options: &DomainOptions) -> Result<Vec<QueueOnDisk>> {
    let place = find(options)?;
    let Ok(data) = data_dir(options) else { return Ok(Vec::new()) };
    let (journals, queues) = (durable::of_domain(&data, &place.name), place.directory(Directory::Queues));
    let only_there = |name: &String| {
        let path = journals.join(name);
        durable::is_there(&path) && !file::exists(&queues.join(name)) && !disk::is_claimed(&path)
    };
    let names = directories(&journals, "queue").into_iter().filter(only_there);
    let found = names.map(|name| {
        let path = journals.join(&name);
        QueueOnDisk { domain: place.name.clone(), name, path }
    });
    Ok(found.collect())
}

/// What whoever opens this queue next finds of its journal: what is cut off at its end, or why it is not opened. Nothing is
/// changed. `None`: somebody has opened or removed it meanwhile.
pub(super) fn examine(options: &DomainOptions, queue: &QueueOnDisk) -> Result<Option<Result<Option<Torn>>>> {
    let access = find(options)?.access;
    let disk = DataDirectory::open(&queue.path, access, false);
    let read = disk.and_then(|disk| Journal::examine(Box::new(disk)));
    let is_still_there = queues_on_disk(options)?.iter().any(|other| other.name == queue.name);
    Ok(is_still_there.then_some(read))
}

impl QueueOnDisk {
    /// How it was made when somebody last opened it: whoever opens it with these options has it as it was. As by default, and
    /// with [`Fsync::Always`](crate::Fsync), where its journal does not tell.
    pub fn options(&self) -> Result<QueueOptions> {
        durable::kept(&self.path).map_err(|e| e.of("queue", &self.name))
    }
}

/// The names of the domains that have queues of which only the journal is on the disk.
pub fn domains_on_disk(options: &DomainOptions) -> Vec<String> {
    let Ok(data) = data_dir(options) else { return Vec::new() };
    let mut names = directories(&data, "domain");
    let of = |name: &String| DomainOptions { name: Some(name.clone()), ..options.clone() };
    names.retain(|name| queues_on_disk(&of(name)).is_ok_and(|queues| !queues.is_empty()));
    names
}

/// The directories in another one that may be a `noun`'s, by name.
fn directories(above: &Path, noun: &str) -> Vec<String> {
    let mut names = file::names(above).unwrap_or_default();
    names.retain(|name| check_name(noun, name).is_ok() && above.join(name).is_dir());
    names.sort();
    names
}
