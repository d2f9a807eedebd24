//! What an onlooker sees of a lock: copies of its words, read from the file, since he has no row and maps nothing.

use super::stake::{ACQUIRED, HELD_SINCE, Nature, OWNERS_DIED, STATE, WAITED, WAITS_SINCE};
use super::{HEAD, LOCK, NATURES, event, nature, semaphore, steps};
use crate::domain::ParticipantId;
use crate::domain::layout::{Kind, ObjectId, check_growing_file};
use crate::domain::object::{NOUN_HEAD, OWN_WORDS as OWN, ROW, ROWS_AT};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::file;
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub(crate) struct Look {
    nature: &'static Nature,
    pub parameter: u64,
    word: u64,
    inside: u64,
    rows: Vec<[u64; ROW / 8]>,
    permits: Vec<u64>,
}

/// Who has something of a lock, or waits for it.
pub(crate) struct Held {
    pub id: ObjectId,
    /// "owner", "reader", "permit", "party", "waiter".
    pub role: &'static str,
    /// In milliseconds of the machine's monotonic clock; zero where it is not known.
    pub since: u64,
}

fn read(fd: &OwnedFd, offset: usize, words: usize) -> Result<Option<Vec<u64>>> {
    let mut bytes = vec![0; words * 8];
    let whole = file::read_at(fd.as_fd(), &mut bytes, offset as i64)? == bytes.len();
    let word = |word: &[u8]| u64::from_le_bytes(std::array::from_fn(|i| word[i]));
    Ok(whole.then(|| bytes.chunks_exact(8).map(word).collect()))
}

/// Looks at the lock in this file. `Corrupt` where it makes no sense.
pub(crate) fn look(path: &Path) -> Result<Look> {
    check_growing_file(path, Kind::Lock, HEAD)?;
    let senseless = || {
        let text =
            format!("{}: it makes no sense as a lock; remove it with `axonic unlink lock`", path.display());
        Error::new(ErrorKind::Corrupt, text)
    };
    try_look(&file::open_existing(path, false)?)?.ok_or_else(senseless)
}

fn try_look(fd: &OwnedFd) -> Result<Option<Look>> {
    let Some(head) = read(fd, 0, HEAD / 8)? else { return Ok(None) };
    let own = |offset: usize| head[(NOUN_HEAD + offset) / 8];
    let Some(nature) = nature(own(0)) else { return Ok(None) };
    let rows = head[ROWS_AT / 8].min(u64::from(LOCK.handles)) as usize;
    let permits = semaphore::words_of(nature, own(8).min(own(16)).min(u64::from(semaphore::MAX_PERMITS)));
    let (rows, permits) = (read(fd, HEAD, rows * ROW / 8)?, read(fd, semaphore::offset(0), permits)?);
    let (Some(rows), Some(permits)) = (rows, permits) else { return Ok(None) };
    Ok(Some(Look {
        nature,
        parameter: own(8),
        word: own(128),
        inside: own(136),
        rows: rows.chunks_exact(ROW / 8).map(|row| std::array::from_fn(|i| row[i])).collect(),
        permits,
    }))
}

impl Look {
    pub fn type_name(&self) -> &'static str {
        self.nature.name
    }

    fn is(&self, index: usize) -> bool {
        self.nature.number == NATURES[index].number
    }

    /// The rows that somebody has, with their numbers.
    fn taken(&self) -> impl Iterator<Item = (usize, ObjectId, &[u64; ROW / 8])> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| row[0] != 0).map(|(number, row)| (number, ObjectId(row[0]), row))
    }

    fn held(&self, id: u64, role: &'static str) -> Held {
        let since =
            self.taken().find(|(_, other, _)| other.0 == id).map_or(0, |(_, _, row)| row[OWN + HELD_SINCE]);
        Held { id: ObjectId(id), role, since }
    }

    fn readers(&self) -> impl Iterator<Item = u64> {
        let reads =
            |(_, id, row): (usize, ObjectId, &[u64; ROW / 8])| (row[OWN + STATE] == id.0).then_some(id.0);
        self.taken().filter_map(reads)
    }

    /// Everybody who has something of it, the dead included.
    pub fn holders(&self) -> Vec<Held> {
        let one = |id: u64, role| (id != 0).then(|| self.held(id, role)).into_iter();
        match self.nature.name {
            "mutex" => one(self.word, "owner").collect(),
            "rwlock" => {
                let told = self.readers().any(|reader| reader == self.inside);
                let writer = one(if told { 0 } else { self.inside }, "owner");
                writer.chain(self.readers().map(|id| self.held(id, "reader"))).collect()
            }
            "semaphore" => self.permits.iter().flat_map(|id| one(*id, "permit")).collect(),
            "barrier" => {
                let arrived =
                    |number: usize| 1u64.checked_shl(number as u32).is_some_and(|bit| self.word & bit != 0);
                self.taken()
                    .filter(|(number, ..)| arrived(*number))
                    .map(|(_, id, _)| self.held(id.0, "party"))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Those alive that wait for it, and since when each has been in its call.
    pub fn waiters(&self, mut is_alive: impl FnMut(ParticipantId) -> bool) -> Vec<Held> {
        let waits = |row: &[u64; ROW / 8]| row[OWN + WAITS_SINCE] != 0 || row[1] & 1 == 1;
        self.taken()
            .filter(|(_, id, row)| waits(row) && is_alive(id.owner()))
            .map(|(_, id, row)| Held { id, role: "waiter", since: row[OWN + WAITS_SINCE] })
            .collect()
    }

    /// The sums of what the handles that are open counted: times it was had, waited for, and found to have died with its owner.
    pub fn counts(&self) -> [u64; 3] {
        let sum = |word: usize| self.taken().fold(0u64, |sum, (_, _, row)| sum.wrapping_add(row[OWN + word]));
        [ACQUIRED, WAITED, OWNERS_DIED].map(sum)
    }

    /// How it is, as people say it.
    pub fn state(&self, mut is_alive: impl FnMut(ParticipantId) -> bool) -> String {
        let mut lives = |id: u64| id != 0 && is_alive(ObjectId(id).owner());
        let of = |count: usize, what: &dyn Display| format!("{count} of {} {what}", self.parameter);
        match self.nature.name {
            "mutex" if self.word == 0 => "free".into(),
            "mutex" if lives(self.word) => "locked".into(),
            "mutex" => "owner died".into(),
            "rwlock" if self.inside != 0 && !lives(self.inside) => "writer died".into(),
            "rwlock" if self.word != 0 && self.word == self.inside => "written".into(),
            "rwlock" => match self.readers().filter(|id| lives(*id)).count() {
                0 => "free".into(),
                readers => format!("read by {readers}"),
            },
            "semaphore" => {
                of(self.parameter as usize - self.permits.iter().filter(|id| lives(**id)).count(), &"free")
            }
            "event" => if steps::is_set(self.word) { "set" } else { "clear" }.into(),
            "barrier" => of(self.word.count_ones() as usize, &"arrived"),
            _ => {
                let waits = |(_, id, row): &(usize, ObjectId, &[u64; ROW / 8])| {
                    steps::ticket(row[OWN + STATE]).is_some() && lives(id.0)
                };
                format!("{} wait", self.taken().filter(waits).count())
            }
        }
    }

    /// Its parameter as people read it; empty where the type has none.
    pub fn parameter_text(&self) -> String {
        match self.nature.parameter {
            "" => String::new(),
            name => format!("{name} {}", event::describe(self.nature, self.parameter)),
        }
    }

    /// Whether nobody alive has it open and those to come need not be told of anything.
    pub fn is_spent(&self, mut is_alive: impl FnMut(ParticipantId) -> bool) -> bool {
        let matters = self.is(0) && self.word != 0 || self.is(1) && self.inside != 0;
        !matters && self.taken().all(|(_, id, _)| !is_alive(id.owner()))
    }
}
