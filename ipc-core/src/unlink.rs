//! Removing named objects for good.

use crate::domain::{Directory, Domain, Noun, object};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::lock::LOCK;
use crate::mechanisms::queue;
use crate::mechanisms::topic::lifetime::{Living, is_finished, remove_ring};
use crate::name::check_name;
use crate::sys::file;
use tracing::info;

impl Domain {
    /// Removes a region, a lock, a queue with all that is in it, or what finished publishers of a topic or the ends of a
    /// ring left behind. Fails with
    /// `NotFound` when there is nothing, with `Busy` when somebody alive still publishes or has it open. Those who have the
    /// memory mapped keep it until they let go.
    pub fn unlink(&self, noun: Noun, name: &str) -> Result<()> {
        let domain = self.current()?;
        let what = match noun {
            Noun::Topic => "topic",
            Noun::Region => "region",
            Noun::Ring => "ring",
            Noun::Queue => "queue",
            Noun::Lock => "lock",
        };
        check_name(what, name)?;
        match noun {
            Noun::Topic => unlink_topic(&domain, name),
            Noun::Region => unlink_file(&domain, Directory::Regions, what, name),
            Noun::Ring if crate::mechanisms::ring::unlink(&domain, name)? => Ok(()),
            Noun::Queue if unlink_queue(&domain, name)? => Ok(()),
            Noun::Lock if object::unlink(&domain, &LOCK, name)? => Ok(()),
            Noun::Ring | Noun::Queue | Noun::Lock => Err(not_found(&domain, what, name)),
        }?;
        info!("{what} '{name}': unlinked from domain '{}'", domain.name());
        Ok(())
    }
}

fn not_found(domain: &Domain, what: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "{what} '{name}': nothing to remove in domain '{}' (`axonic ls` shows what is there)",
            domain.name()
        ),
    )
}

fn unlink_queue(domain: &Domain, name: &str) -> Result<bool> {
    let was = object::unlink(domain, &queue::DESIGN, name)?;
    Ok(queue::durable::remove(domain, name)? || was)
}

fn unlink_file(domain: &Domain, directory: Directory, what: &str, name: &str) -> Result<()> {
    let path = domain.inner().directory(directory).join(name);
    match file::remove(&path).map_err(|e| e.of(what, name))? {
        true => Ok(()),
        false => Err(not_found(domain, what, name)),
    }
}

fn unlink_topic(domain: &Domain, name: &str) -> Result<()> {
    let rings: Vec<_> =
        domain.inner().publishers().scan()?.iter().filter(|l| l.name == name).cloned().collect();
    let mut living = Living::new(domain);
    if let Some(ring) = rings.iter().find(|ring| !is_finished(&ring.path, ring.id, &mut living)) {
        let who = domain.inner().who(ring.id.owner());
        let text = format!("topic '{name}' has a live publisher in {who}; close it first");
        return Err(Error::new(ErrorKind::Busy, text));
    }
    if rings.is_empty() {
        return Err(not_found(domain, "topic", name));
    }
    rings.iter().for_each(|ring| remove_ring(domain.inner().place(), ring.id));
    domain.inner().participants.board().publishers.raise();
    Ok(())
}
