//! Finished publishers of a topic whose rings still wait for a reader. Behind one that never reads they must not
//! pile up: the oldest that may drop messages drop them all and leave a *remnant*, their head, which tells the
//! subscribers that were owed them how many they missed. Others, and too many remnants, are refused.

use super::Overflow;
use super::lifetime::{Living, collect_ring, is_finished, remove_beside, remove_ring};
use crate::domain::catalogue::Listed;
use crate::domain::layout::{Kind, ObjectId};
use crate::domain::{Directory, Domain};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{RingHead, RingMap, open_head};
use crate::sys::atomic::Ordering;
use crate::sys::file;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use tracing::warn;

/// Finished publishers of one topic whose rings may wait for a reader.
pub(crate) const MAX_ORPHANS: usize = 64;

/// Remnants of one topic that may wait for a reader to be told.
pub(crate) const MAX_REMNANTS: usize = 1024;

/// Follows a ring's id in the name its remnant bears before it takes the ring's place.
pub(crate) const PASSING: &str = "-remnant";

/// Before one more publisher.
pub(super) fn make_way(domain: &Domain, topic: &str) -> Result<()> {
    let inner = domain.inner();
    let rings: Vec<Arc<Listed>> = {
        let mut catalogue = inner.publishers();
        let (_, entries) = catalogue.refresh(&inner.participants.board().publishers)?;
        entries.iter().filter(|l| l.name == topic).cloned().collect()
    };
    if rings.len() < MAX_ORPHANS {
        return Ok(());
    }
    let mut living = Living::new(domain);
    let (remnants, rings): (Vec<_>, Vec<_>) = rings.into_iter().partition(|ring| is_remnant(&ring.path));
    let left =
        |ring: &Arc<Listed>| is_finished(&ring.path, ring.id, &mut living) && !collect_ring(domain, ring.id);
    let orphans: Vec<Arc<Listed>> = rings.into_iter().filter(left).collect();
    let excess = (orphans.len() + 1).saturating_sub(MAX_ORPHANS);
    let droppable: Vec<ObjectId> =
        orphans.iter().filter(|ring| may_be_dropped(ring)).map(|ring| ring.id).take(excess).collect();
    // Readers may have taken some away meanwhile.
    let there = orphans.iter().filter(|ring| file::exists(&ring.path)).count();
    if droppable.len() < (there + 1).saturating_sub(MAX_ORPHANS) {
        return Err(too_many(
            topic,
            &format!(
                "{MAX_ORPHANS} finished publishers still hold messages, the most there can be (retained, or for a subscriber that does not read)"
            ),
        ));
    }
    if !droppable.is_empty() && remnants.len() + droppable.len() > MAX_REMNANTS {
        return Err(too_many(
            topic,
            &format!(
                "the messages of {MAX_REMNANTS} finished publishers were dropped behind a subscriber that never looks, the most it can be told of"
            ),
        ));
    }
    droppable.into_iter().try_for_each(|id| drop_messages(domain, topic, id))
}

/// How many other finished publishers of a topic have their ring there, and of how many more only a remnant is.
/// Zero where it cannot be found out.
pub(super) fn count(domain: &Domain, topic: &str, own: ObjectId) -> (usize, usize) {
    if !domain.usable() {
        return (0, 0);
    }
    let inner = domain.inner();
    let others: Vec<Arc<Listed>> = {
        let mut catalogue = inner.publishers();
        let Ok((_, entries)) = catalogue.refresh(&inner.participants.board().publishers) else {
            return (0, 0);
        };
        entries.iter().filter(|l| l.name == topic && l.id != own).cloned().collect()
    };
    let (remnants, rings): (Vec<_>, Vec<_>) = others.into_iter().partition(|ring| is_remnant(&ring.path));
    let mut living = Living::new(domain);
    (rings.iter().filter(|ring| is_finished(&ring.path, ring.id, &mut living)).count(), remnants.len())
}

fn too_many(topic: &str, what: &str) -> Error {
    let text =
        format!("topic '{topic}': {what}; `axonic stat` names it, `axonic unlink topic {topic}` drops them");
    Error::new(ErrorKind::LimitReached, text)
}

/// Whether a ring's publisher allowed its oldest messages to be dropped.
fn may_be_dropped(ring: &Listed) -> bool {
    let Ok(map) = open_head(&ring.path, Kind::Publisher) else { return false };
    let head: &RingHead = map.at(0);
    let drops = Overflow::from_number(head.overflow.load(Ordering::Relaxed)) == Overflow::DropOldest;
    drops && head.retain.load(Ordering::Relaxed) == 0
}

/// Drops all that a finished ring holds and leaves its remnant. Whoever has it mapped reads on.
fn drop_messages(domain: &Domain, topic: &str, id: ObjectId) -> Result<()> {
    let inner = domain.inner();
    let publishers = inner.directory(Directory::Publishers);
    let path = publishers.join(id.to_string());
    let remnant = RingMap::open(&path, Kind::Publisher)
        .and_then(|map| Arc::new(map).remnant(inner, Directory::Publishers));
    match remnant {
        Ok(remnant) => {
            file::replace(remnant.as_fd(), &publishers.join(format!("{id}{PASSING}")), &path)?;
            remove_beside(inner.place(), id);
            warn!(
                "topic '{topic}': over {MAX_ORPHANS} finished publishers wait for a reader; dropped what publisher {id} had left, its readers will see it as missed"
            );
        }
        // Nobody could read it.
        Err(e) if e.is_damage() => {
            remove_ring(inner.place(), id);
            warn!("topic '{topic}': removed what publisher {id} had left: {e}");
        }
        // Somebody was faster.
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    Ok(())
}

/// Whether only a ring's head is left. There may be many to ask, so its length is asked and no word of it.
pub(super) fn is_remnant(path: &Path) -> bool {
    file::length(path) == Some(RingMap::data_offset() as u64)
}
