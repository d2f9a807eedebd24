//! Who reads, of all who wait for something that comes through the same channel: one has the seat, the others sleep, and it
//! passes on when whoever has it goes. Apart from channels and clocks, so that a model runs the very steps.

use crate::error::Result;
use crate::sys::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(loom)]
use loom::thread::{Thread, current};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::thread::{Thread, current};

pub struct Seat {
    /// 1 while somebody reads.
    taken: AtomicU64,
    /// Who waits meanwhile, and for which call; and how many they are.
    sleepers: Mutex<Vec<(u32, Thread)>>,
    asleep: AtomicU64,
}

impl Seat {
    #[allow(clippy::new_without_default)] // a seat is part of a wire, which has no default either
    pub fn new() -> Seat {
        Seat { taken: AtomicU64::new(0), sleepers: Mutex::new(Vec::new()), asleep: AtomicU64::new(0) }
    }

    /// Takes it; `false`: somebody has it.
    #[inline(always)]
    pub fn take(&self) -> bool {
        self.taken.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives it up; one of those who sleep takes it.
    #[inline(always)]
    pub fn leave(&self) {
        // Whoever goes to sleep counts itself first, and then exchanges this word too: one of the two sees the other.
        self.taken.swap(0, Ordering::AcqRel);
        if self.has_sleepers() {
            self.wake_one();
        }
    }

    fn is_taken(&self) -> bool {
        self.taken.fetch_or(0, Ordering::AcqRel) == 1
    }

    #[inline(always)]
    fn has_sleepers(&self) -> bool {
        self.asleep.load(Ordering::Acquire) > 0
    }

    fn sleepers(&self) -> MutexGuard<'_, Vec<(u32, Thread)>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn wake_one(&self) {
        if let Some((_, thread)) = self.sleepers().first() {
            thread.unpark();
        }
    }

    /// Sleeps by `park` until woken: since something came for the call, or since nobody reads any more. What `ready` found
    /// before.
    #[cold]
    pub fn sleep<T>(
        &self,
        call: u32,
        ready: impl FnOnce() -> Result<Option<T>>,
        park: impl FnOnce(),
    ) -> Result<Option<T>> {
        let me = current();
        self.change(|sleepers| sleepers.push((call, me.clone())));
        // From here on what comes wakes us; what came before is there.
        let done = ready();
        if matches!(done, Ok(None)) && self.is_taken() {
            park();
        }
        self.change(|sleepers| sleepers.retain(|(_, thread)| thread.id() != me.id()));
        // Woken to read, it may have what it waited for by now: then another reads.
        if matches!(done, Ok(Some(_))) && !self.is_taken() {
            self.wake_one();
        }
        done
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(u32, Thread)>)) {
        let mut sleepers = self.sleepers();
        change(&mut sleepers);
        self.asleep.store(sleepers.len() as u64, Ordering::Release);
    }

    /// Something came for a call: whoever sleeps for it looks.
    #[inline(always)]
    pub fn wake(&self, call: u32) {
        if self.has_sleepers() {
            let sleepers = self.sleepers();
            sleepers.iter().filter(|(id, _)| *id == call).for_each(|(_, thread)| thread.unpark());
        }
    }

    /// Everybody looks.
    pub fn wake_all(&self) {
        self.sleepers().iter().for_each(|(_, thread)| thread.unpark());
    }
}
