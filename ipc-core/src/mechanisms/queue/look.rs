//! What an onlooker sees of a queue: copies of its words, read from the file, since he has no row and maps nothing.

use super::admin::QueueStats;
use super::handle::{BLOCKED_SINCE, Count};
use super::steps::Word;
use super::store::{DESIGN, JOURNAL_HEAD, JournalHead, Plan, QueueHead, SLOT, Slot, WANTS_ROOM};
use crate::domain::layout::{Kind, ObjectId, check_growing_file};
use crate::domain::object::{BELL_MARK, NOUN_HEAD, OWN_WORDS, ROW, ROWS_AT, existing, remove_files};
use crate::domain::{Directory, Domain, ParticipantId, Place};
use crate::error::Result;
use crate::sys::clock::{monotonic_nanos, unix_of};
use crate::sys::file;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Slots that are read at once.
const CHUNK: usize = 4096;

pub(crate) struct Look {
    pub stats: QueueStats,
    /// Deliveries of one message before it is dead; zero: no limit.
    pub max_attempts: u64,
    pub durable: bool,
    pub handles: Vec<Seen>,
    /// Which handles write the journal now, and enter an id.
    pub writer: Option<ObjectId>,
    pub entering: Option<ObjectId>,
}

/// A handle that has the queue open, or had it when its participant died.
pub(crate) struct Seen {
    pub id: ObjectId,
    /// Whether it puts; it takes otherwise.
    pub puts: bool,
    /// Since when it has waited for room in a call, in milliseconds since 1970; zero: it does not.
    pub blocked_since: u64,
    /// Messages it has, and since when it has had the oldest of them, in milliseconds since 1970.
    pub leased: u64,
    pub leased_since: u64,
}

impl Look {
    /// Whether nobody alive has it open and nothing is in it. What a durable queue has in memory may not be on the disk.
    fn is_spent(&self, is_alive: &mut dyn FnMut(ParticipantId) -> bool) -> bool {
        let stats = &self.stats;
        let empty = stats.ready + stats.delayed + stats.leased + stats.done + stats.dead == 0;
        empty && !self.durable && !self.handles.iter().any(|handle| is_alive(handle.id.owner()))
    }
}

/// The queues that nobody alive has open and in which nothing is left.
pub(crate) fn spent(place: &Place, mut is_alive: impl FnMut(ParticipantId) -> bool) -> Result<Vec<PathBuf>> {
    let directory = place.directory(Directory::Queues);
    let names = file::names(&directory)?.into_iter().filter(|name| !name.contains(BELL_MARK));
    let paths = names.map(|name| directory.join(name));
    Ok(paths.filter(|path| look(path).is_some_and(|seen| seen.is_spent(&mut is_alive))).collect())
}

/// Removes a queue if it still is.
pub(crate) fn remove_if_spent(domain: &Domain, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(object) = existing(domain, &DESIGN, &name) else { return false };
    object.take_away_from_dead(|| look(path).is_some_and(|seen| seen.is_spent(&mut |_| false)))
}

/// Removes those of a domain in which nobody is alive, and into which nobody comes meanwhile.
pub(crate) fn collect(place: &Place) {
    spent(place, |_| false).unwrap_or_default().iter().for_each(|path| remove_files(path, &DESIGN));
}

/// Words of a file, none of them beyond its end.
fn read(file: &impl AsFd, offset: usize, words: usize) -> Option<Vec<u64>> {
    let mut bytes = vec![0; words * 8];
    (file::read_at(file.as_fd(), &mut bytes, offset as i64).ok()? == bytes.len()).then_some(())?;
    Some(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

/// Looks at the queue in this file; `None` where there is none that makes sense.
pub(crate) fn look(path: &Path) -> Option<Look> {
    check_growing_file(path, Kind::Queue, DESIGN.head).ok()?;
    let file = file::open_existing(path, false).ok()?;
    let head = read(&file, 0, DESIGN.head / 8)?;
    let own = |offset: usize| head[(NOUN_HEAD + offset) / 8];
    let durable = own(offset_of!(QueueHead, fsync)) != 0;
    let (capacity, parts) = (own(offset_of!(QueueHead, capacity)), own(offset_of!(QueueHead, parts)));
    let size = file::size(file.as_fd()).ok()?;
    let plan = Plan::of_file(capacity, parts, durable, own(offset_of!(QueueHead, dedup)), size)?;

    let rows = head[ROWS_AT / 8].min(u64::from(DESIGN.handles)) as usize;
    let rows = read(&file, DESIGN.head, rows * ROW / 8)?;
    let rows = rows.as_chunks::<{ ROW / 8 }>().0;
    let mut look = Look {
        stats: QueueStats::of_plan(&plan),
        max_attempts: own(offset_of!(QueueHead, max_attempts)),
        durable,
        handles: Vec::new(),
        writer: named(head[(JOURNAL_HEAD + offset_of!(JournalHead, lock)) / 8]).filter(|_| durable),
        entering: named(own(offset_of!(QueueHead, dedup_lock))),
    };
    let mut leases = vec![(0, u64::MAX); rows.len()];
    let grown = own(offset_of!(QueueHead, slots_grown)).min(capacity) as usize;
    let now = monotonic_nanos();
    each_slot(&file, plan.slots, grown, |slot| {
        let word = Word(slot[offset_of!(Slot, word) / 8]);
        let times = (slot[offset_of!(Slot, due) / 8], slot[offset_of!(Slot, expires) / 8]);
        look.stats.add_message(word, times, now);
        if let (true, Some((count, since))) = (word.is_leased(), leases.get_mut(word.row() as usize)) {
            *count += 1;
            *since = slot[offset_of!(Slot, since) / 8].min(*since);
        }
    })?;
    let grown = own(offset_of!(QueueHead, parts_grown)).min(parts) as usize;
    each_slot(&file, plan.part_slots, grown, |slot| look.stats.add_part(Word(slot[0])))?;
    for (row, lease) in rows.iter().zip(leases) {
        look.stats.add_row(|what: Count| row[OWN_WORDS + what as usize]);
        look.handles.extend(seen(row, lease));
    }
    Some(look)
}

/// The handle a lock's word names.
fn named(word: u64) -> Option<ObjectId> {
    (word != 0).then_some(ObjectId(word))
}

fn each_slot(
    file: &impl AsFd,
    offset: usize,
    count: usize,
    mut each: impl FnMut(&[u64; SLOT / 8]),
) -> Option<()> {
    for first in (0..count).step_by(CHUNK) {
        let words = read(file, offset + first * SLOT, CHUNK.min(count - first) * SLOT / 8)?;
        words.as_chunks().0.iter().for_each(&mut each);
    }
    Some(())
}

/// The handle of a row, which has so many messages since then.
fn seen(row: &[u64; ROW / 8], (leased, since): (u64, u64)) -> Option<Seen> {
    let (id, wants) = (row[0], row[2]);
    (id != 0).then(|| Seen {
        id: ObjectId(id),
        puts: wants == WANTS_ROOM,
        blocked_since: unix_of(row[OWN_WORDS + BLOCKED_SINCE]),
        leased,
        leased_since: if leased == 0 { 0 } else { unix_of(since) },
    })
}
