//! The domain's protocols over bare words, apart from files and processes, so that the models in
//! `tests/loom_*.rs` run the very steps that the library runs.

use crate::sys::atomic::{AtomicU64, Ordering, fence};

/// A counter on two cache lines of its own (neighbouring lines are fetched in pairs).
#[repr(C)]
pub struct Generation {
    value: AtomicU64,
    #[cfg(not(loom))]
    _pad: [AtomicU64; 15],
}

impl Generation {
    #[cfg(loom)]
    pub fn new() -> Generation {
        Generation { value: AtomicU64::new(0) }
    }

    /// Tells everyone who compares it to look again, and fences: who raises its own and then reads the
    /// other side's cannot be missed by somebody who does the same the other way round (D1). Returns what it is now:
    /// who looks around as of that or later finds what was linked before.
    pub fn raise(&self) -> u64 {
        let raised = self.value.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        fence(Ordering::SeqCst);
        raised
    }

    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }
}

/// As of which generation somebody last looked around.
#[derive(Default)]
pub struct Seen(Option<u64>);

impl Seen {
    /// A look that cannot fail.
    #[cfg(loom)]
    pub fn look(&mut self, generation: &Generation, look: impl FnOnce()) -> u64 {
        let Ok(now) = self.try_look::<std::convert::Infallible>(generation, || {
            look();
            Ok(())
        });
        now
    }

    /// Whether the generation moved since the last time.
    #[inline(always)]
    pub fn is_due(&self, generation: &Generation) -> bool {
        self.0 != Some(generation.now())
    }

    /// Looks around if the generation moved since the last time. The number is read before the look:
    /// what appears during it raises the number once more and causes another (D1). A look that failed is due again.
    pub fn try_look<E>(
        &mut self,
        generation: &Generation,
        look: impl FnOnce() -> Result<(), E>,
    ) -> Result<u64, E> {
        let now = generation.now();
        if self.0 != Some(now) {
            look()?;
            self.0 = Some(now);
        }
        Ok(now)
    }
}

/// How many of those who sleep for one thing somebody has yet to ring for: one for each time there is something for one
/// of them, until the count of armings moves again.
#[derive(Default)]
pub struct Owed {
    /// The count of armings as of the last look.
    seen: AtomicU64,
    owed: AtomicU64,
}

impl Owed {
    /// Whether there can be nobody to ring for; `now` is the count of armings after the commit and its fence.
    #[inline(always)]
    pub fn is_settled(&self, now: u64) -> bool {
        now == self.seen.load(Ordering::Acquire) && self.owed.load(Ordering::Relaxed) == 0
    }

    /// Whether to ring once; `asleep` counts those who sleep.
    pub fn take(&self, now: u64, asleep: impl FnOnce() -> u64) -> bool {
        if now != self.seen.load(Ordering::Acquire) {
            // In this order: another thread that finds the count unmoved finds what is owed.
            self.owed.store(asleep(), Ordering::Release);
            self.seen.store(now, Ordering::Release);
        }
        let owed = self.owed.load(Ordering::Relaxed);
        if owed > 0 {
            self.owed.store(owed - 1, Ordering::Relaxed);
        }
        owed > 0
    }
}

/// Nobody has the slot.
const FREE: u64 = 0;
/// Somebody is writing who it is.
const CLAIMING: u64 = 1;
/// Somebody has it, and said who.
const LIVE: u64 = 2;

/// Who has a slot of the participant table. Written by the holder of the slot's lock alone.
///
/// **P1** taker: `state = CLAIMING`, release fence, the other words, `state = LIVE` (release) — asker: `state`
/// (acquire), the other words, acquire fence, `state` again. What lies between two equal states
/// belongs to one participant; a death at any point leaves an epoch that the next taker raises.
#[repr(C)]
pub struct Tenancy {
    /// `epoch << 8 | phase`.
    pub state: AtomicU64,
    pub pid: AtomicU64,
    /// Which processes that pid means something to.
    pub namespace: AtomicU64,
    pub start_time: AtomicU64,
}

impl Tenancy {
    #[cfg(loom)]
    pub fn new() -> Tenancy {
        let word = || AtomicU64::new(0);
        Tenancy { state: word(), pid: word(), namespace: word(), start_time: word() }
    }

    /// Begins a tenancy; the caller holds the lock. `most` is the largest epoch, after which they start over.
    pub fn claim(&self, most: u32) -> u32 {
        let epoch = (self.state.load(Ordering::Relaxed) >> 8) as u32 % most + 1;
        self.state.store(u64::from(epoch) << 8 | CLAIMING, Ordering::Relaxed);
        fence(Ordering::Release);
        epoch
    }

    /// The other words are written.
    pub fn settle(&self, epoch: u32) {
        self.state.store(u64::from(epoch) << 8 | LIVE, Ordering::Release);
    }

    /// Ends a tenancy, one's own or a dead one's; the caller holds the lock.
    pub fn vacate(&self, epoch: u32) {
        if self.state.load(Ordering::Relaxed) >> 8 == u64::from(epoch) {
            self.state.store(u64::from(epoch) << 8 | FREE, Ordering::Release);
        }
    }

    /// The epoch of whoever has, or died with, the slot.
    pub fn tenant(&self) -> Option<u32> {
        let state = self.state.load(Ordering::Acquire);
        if state & 0xff == FREE { None } else { Some((state >> 8) as u32) }
    }

    /// Whether somebody has, or died with, the slot and is not just taking or leaving it.
    pub fn is_settled(&self) -> bool {
        self.state.load(Ordering::Acquire) & 0xff == LIVE
    }

    /// Whether the tenant of this epoch is alive: it still has the slot, its lock is held, and its
    /// process, when it is one of namespace `here`, runs. `runs` is asked with pid and start time.
    pub fn is_alive(
        &self,
        epoch: u32,
        here: u64,
        locked: impl FnOnce() -> bool,
        runs: impl FnOnce(u32, u64) -> bool,
    ) -> bool {
        let state = self.state.load(Ordering::Acquire);
        if state >> 8 != u64::from(epoch) || state & 0xff == FREE || !locked() {
            return false;
        }
        if state & 0xff == CLAIMING {
            // It has not said who it is, but holds the lock.
            return true;
        }
        let who = self.identity(here);
        // The lock and the words may be those of the next tenant already.
        fence(Ordering::Acquire);
        if self.state.load(Ordering::Relaxed) != state {
            return false;
        }
        who.is_none_or(|(pid, started)| runs(pid, started))
    }

    /// Pid and start time as they are now, if they mean something `here`.
    pub fn identity(&self, here: u64) -> Option<(u32, u64)> {
        let pid = self.pid.load(Ordering::Relaxed);
        let started = self.start_time.load(Ordering::Relaxed);
        let same = here != 0 && self.namespace.load(Ordering::Relaxed) == here;
        if same && started != 0 { Some((pid as u32, started)) } else { None }
    }
}
