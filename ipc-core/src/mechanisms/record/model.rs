//! The memory of a ring as the models see it: every eight bytes are one atomic of loom's, a payload
//! word that a later lap turns into a header included.

use super::{GRAIN, RECORD_HEADER, Shape};
use crate::sys::atomic::{AtomicU64, Ordering};

/// The words of a ring's head that the protocols use; their meaning is told in `map.rs`.
pub struct RingHead {
    pub claim: AtomicU64,
    pub closed: AtomicU64,
    pub born: AtomicU64,
    pub seq: AtomicU64,
    pub head: AtomicU64,
    pub armed: AtomicU64,
    pub expected_count: AtomicU64,
    pub expected: [AtomicU64; 1],
}

/// A ring of a few grains.
pub struct RingMap {
    head: RingHead,
    words: Vec<AtomicU64>,
    capacity: u64,
}

impl RingMap {
    /// `capacity` in bytes: a power of two, at least two grains.
    pub fn new(capacity: usize) -> RingMap {
        assert!(capacity.is_power_of_two() && capacity >= 2 * GRAIN);
        let word = || AtomicU64::new(0);
        let head = RingHead {
            claim: word(),
            closed: word(),
            born: word(),
            seq: word(),
            head: word(),
            armed: word(),
            expected_count: word(),
            expected: [word()],
        };
        RingMap { head, words: (0..capacity / 8).map(|_| word()).collect(), capacity: capacity as u64 }
    }

    pub fn head(&self) -> &RingHead {
        &self.head
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[(position & (self.capacity - 1)) as usize / 8]
    }

    pub fn ready(&self, position: u64) -> &AtomicU64 {
        self.word(position)
    }

    pub fn shape(&self, position: u64) -> &AtomicU64 {
        self.word(position + 8)
    }

    pub fn commit(&self, position: u64, ready: u64, shape: Shape) {
        self.commit_by_words(position, ready, shape);
    }

    pub fn note(&self, seq: u64, head: u64) {
        self.note_by_words(seq, head);
    }

    /// # Safety
    /// None is needed; the signature is that of the real memory.
    pub unsafe fn store_body(&self, position: u64, _: Shape, body: &[u8], _: &[u8], _racy: bool) {
        for (i, chunk) in body.chunks(8).enumerate() {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            self.word(position + (RECORD_HEADER + 8 * i) as u64)
                .store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
    }

    /// # Safety
    /// `to` is writable for `bytes` rounded up to 8 and aligned to 8.
    pub unsafe fn load_body(&self, position: u64, bytes: usize, to: *mut u8, _racy: bool) {
        for i in 0..bytes.div_ceil(8) {
            let word = self.word(position + (RECORD_HEADER + 8 * i) as u64).load(Ordering::Relaxed);
            // SAFETY: by the caller.
            unsafe { to.cast::<u64>().add(i).write(word) };
        }
    }
}
