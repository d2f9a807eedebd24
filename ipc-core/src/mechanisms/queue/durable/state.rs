//! How far the journal has come, as all who have the queue open see it: two copies, of which a count tells the newer one.
//! Whoever has the journal's lock writes over the other, and raises the count: a death on the way changes nothing.
//!
//! A writer that believed in a damaged or an old state would write over what is on the disk: a checksum of a copy and the
//! count refuses it.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::journal::{STATE_WORDS, State};
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::store::JournalHead;
use crate::sys::atomic::{AtomicU64, Ordering};

/// A copy: the state, the position in the log lane up to which it goes, and the checksum.
pub type StateCopy = [AtomicU64; STATE_WORDS + 2];
const WRITTEN: usize = STATE_WORDS;
const SUM: usize = STATE_WORDS + 1;

/// CRC-32C of a copy that is the newer one when the count is `count`.
fn sum(count: u64, state: &[u64; STATE_WORDS], written: u64) -> u64 {
    let words = [count].into_iter().chain(*state).chain([written]);
    words.fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes())).into()
}

impl JournalHead {
    fn copy(&self, count: u64) -> &StateCopy {
        &self.states[count as usize & 1]
    }

    /// Up to where the log lane is in the journal.
    pub fn written(&self) -> u64 {
        self.copy(self.count.load(Ordering::Acquire))[WRITTEN].load(Ordering::Acquire)
    }

    /// Lets others see how far the journal has come. The caller has its lock.
    pub fn publish(&self, state: &State, written: u64) {
        let count = self.count.load(Ordering::Relaxed).wrapping_add(1);
        let (copy, words) = (self.copy(count), state.to_words());
        for (word, value) in copy.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        copy[WRITTEN].store(written, Ordering::Relaxed);
        copy[SUM].store(sum(count, &words, written), Ordering::Relaxed);
        self.count.store(count, Ordering::Release);
    }
}

impl Handle {
    /// How far the journal has come, and up to where in the log lane. The caller has its lock.
    pub fn journal_state(&self) -> Result<(State, u64)> {
        let head = self.store.journal();
        let count = head.count.load(Ordering::Acquire);
        let copy = head.copy(count);
        let words = std::array::from_fn(|at| copy[at].load(Ordering::Relaxed));
        let written = copy[WRITTEN].load(Ordering::Relaxed);
        if copy[SUM].load(Ordering::Relaxed) != sum(count, &words, written) {
            return Err(self.damaged_beside_journal("how far the journal has come"));
        }
        let state = State::from_words(words).map_err(|e| e.of("queue", self.name()))?;
        Ok((state, written))
    }

    /// The error of memory that says of the journal what cannot be true.
    #[cold]
    pub fn damaged_beside_journal(&self, what: &str) -> Error {
        let text = format!(
            "queue '{}': its memory was damaged where it says {what}: stop all that use it, and remove its domain's directory, not the journal; whoever opens it then reads the journal anew",
            self.name()
        );
        Error::new(ErrorKind::Corrupt, text)
    }
}
