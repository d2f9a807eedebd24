//! How many calls of a service may be at work at once: each takes a place, and gives it back. Apart from calls and bells, so
//! that a model runs the very steps.

use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::fence;

pub struct Places {
    limit: u64,
    /// Counted by who has the turn to hand out calls.
    taken: AtomicU64,
    given_back: AtomicU64,
}

impl Places {
    pub fn new(limit: usize) -> Places {
        Places { limit: limit as u64, taken: AtomicU64::new(0), given_back: AtomicU64::new(0) }
    }

    /// How many are in use.
    pub fn in_use(&self) -> u64 {
        // In this order: what was given back was taken before.
        let given_back = self.given_back.load(Ordering::Acquire);
        self.taken.load(Ordering::Acquire).wrapping_sub(given_back)
    }

    /// Whether one is free; asked by one thread at a time, the one that takes them. Where none is, whoever gives one back tells.
    #[inline(always)]
    pub fn is_free(&self) -> bool {
        self.in_use() < self.limit || self.is_free_after_all()
    }

    #[cold]
    fn is_free_after_all(&self) -> bool {
        // Whoever gives one back counts that, and then looks whether the last one was taken: one of the two sees the other.
        fence(Ordering::SeqCst);
        self.in_use() < self.limit
    }

    /// Takes one; how many were taken so far.
    #[inline(always)]
    pub fn take(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed) + 1;
        self.taken.store(taken, Ordering::Release);
        taken
    }

    /// Gives one back. Whether there was none, so that whoever waits for one is to be told.
    #[inline(always)]
    pub fn give_back(&self) -> bool {
        let given_back = self.given_back.fetch_add(1, Ordering::AcqRel);
        fence::after_update();
        self.taken.load(Ordering::Relaxed).wrapping_sub(given_back) == self.limit
    }
}
