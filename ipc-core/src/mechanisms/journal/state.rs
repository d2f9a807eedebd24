//! What the processes that use a journal know in common.

use super::format::{BATCH, HEADER, MAX_BODY, MAX_NUMBER, Name};
use crate::error::{Error, ErrorKind, Result};

/// How many words a [`State`] has.
pub const STATE_WORDS: usize = 12;

const POISONED: u64 = 1;
const UNSYNCED_DIRECTORY: u64 = 2;

/// How far a journal has come. The caller keeps its words in shared memory; it must replace all of them at once, for
/// what a dead process left half old and half new is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The current segment, and where the next batch goes.
    pub(super) segment: u64,
    pub(super) salt: u64,
    pub(super) end: u64,
    /// Bytes of the current segment.
    pub(super) size: u64,
    /// The oldest segment.
    pub(super) oldest: u64,
    /// The number of the next segment.
    pub(super) next: u64,
    pub(super) last: u64,
    pub(super) durable: u64,
    /// The segment and the place in it from which on something may not be on the disk.
    pub(super) unsynced_segment: u64,
    pub(super) unsynced_from: u64,
    /// Bytes of all segments.
    pub(super) bytes: u64,
    pub(super) poisoned: bool,
    /// Segments were made whose names may not be on the disk.
    pub(super) unsynced_directory: bool,
    /// Of a chain that is not finished; never published.
    pub(super) provisional: bool,
}

impl State {
    /// The LSN of the newest record; zero if there was none yet.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Records up to this LSN are on the disk.
    #[cfg(test)]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The number of the current segment.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// The highest number that a segment was given: greater after each recovery than ever before.
    pub fn highest(&self) -> u64 {
        self.next - 1
    }

    /// The number of the oldest segment, which can be retired if it is not the current one.
    pub fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Bytes that all segments take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that the current segment has free.
    pub fn left(&self) -> u64 {
        self.size - self.end
    }

    /// Whether a sync failed, so that the journal must be written anew.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// What is to be kept in shared memory.
    pub fn to_words(self) -> [u64; STATE_WORDS] {
        let poisoned = if self.poisoned { POISONED } else { 0 };
        let directory = if self.unsynced_directory { UNSYNCED_DIRECTORY } else { 0 };
        [
            self.segment,
            self.salt,
            self.end,
            self.size,
            self.oldest,
            self.next,
            self.last,
            self.durable,
            self.unsynced_segment,
            self.unsynced_from,
            self.bytes,
            poisoned | directory,
        ]
    }

    /// What was kept; `Corrupt` if no journal can have left it.
    pub fn from_words(words: [u64; STATE_WORDS]) -> Result<State> {
        let [
            segment,
            salt,
            end,
            size,
            oldest,
            next,
            last,
            durable,
            unsynced_segment,
            unsynced_from,
            bytes,
            flags,
        ] = words;
        let sound = (1..=segment).contains(&oldest)
            && (oldest..=segment).contains(&unsynced_segment)
            && segment < next
            && next <= MAX_NUMBER
            && (BEGIN..=size).contains(&end)
            && end % 8 == 0
            && size <= LARGEST
            && durable <= last
            && last <= MAX_NUMBER
            && flags & !(POISONED | UNSYNCED_DIRECTORY) == 0;
        if !sound {
            let text = "the state of a journal in shared memory holds values that cannot be true: stop all participants and start again, which reads the journal anew";
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(State {
            segment,
            salt,
            end,
            size,
            oldest,
            next,
            last,
            durable,
            unsynced_segment,
            unsynced_from,
            bytes,
            poisoned: flags & POISONED != 0,
            unsynced_directory: flags & UNSYNCED_DIRECTORY != 0,
            provisional: false,
        })
    }

    /// Before the first segment of a chain, whose first record follows `last`.
    pub(super) fn before(next: u64, last: u64, durable: u64) -> State {
        State {
            segment: 0,
            salt: 0,
            end: 0,
            size: 0,
            oldest: 0,
            next,
            last,
            durable,
            unsynced_segment: 0,
            unsynced_from: 0,
            bytes: 0,
            poisoned: false,
            unsynced_directory: true,
            provisional: false,
        }
    }

    pub(super) fn name(&self) -> Name {
        Name { number: self.segment, salt: self.salt }
    }

    /// Everything appended from now on goes to a new segment.
    pub(super) fn enter(&mut self, name: Name, oldest: u64, end: u64, size: u64) {
        if self.segment == 0 {
            (self.unsynced_segment, self.unsynced_from) = (name.number, 0);
        }
        (self.segment, self.salt, self.end, self.size) = (name.number, name.salt, end, size);
        self.oldest = oldest;
        self.bytes = self.bytes.saturating_add(size);
        self.unsynced_directory = true;
    }

    pub(super) fn is_synced(&self) -> bool {
        (self.unsynced_segment, self.unsynced_from) == (self.segment, self.end) && !self.unsynced_directory
    }

    pub(super) fn mark_synced(&mut self) {
        (self.unsynced_segment, self.unsynced_from) = (self.segment, self.end);
        self.unsynced_directory = false;
        self.durable = self.last;
    }
}

/// No segment has more bytes: one that was made for a batch has room for small records and one of the largest.
const LARGEST: u64 = 2 * MAX_BODY as u64;
/// Where the second batch of a segment is; the first one is made with it.
pub(super) const BEGIN: u64 = (HEADER + BATCH) as u64;
