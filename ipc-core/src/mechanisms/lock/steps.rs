//! The locks' protocols over bare words, apart from files and processes, so that the models in `tests/loom_lock.rs` run
//! the very steps that the library runs.
//!
//! A word that says who has something holds the id of a handle, which is never used again: whoever finds the owner dead
//! replaces its id, and nobody can mistake a living one for it.

use crate::sys::atomic::{AtomicU64, Ordering, fence};

/// Takes what `from` has: nobody (zero), or one that died.
///
/// Acquire pairs with the release of [`give`]: what its last owner wrote is seen. A dead one released nothing; what it wrote
/// is there all the same, since the kernel told of its death.
#[inline(always)]
pub fn take(word: &AtomicU64, from: u64, me: u64) -> bool {
    word.compare_exchange(from, me, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Gives back what `me` has; `false`: it has not (any more).
#[inline(always)]
pub fn give(word: &AtomicU64, me: u64) -> bool {
    word.compare_exchange(me, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// A reader comes in, unless a writer has the lock or waits for it.
///
/// **L1** reader: its mark, full fence, the writer's word — writer: its word, full fence, the readers' marks. At least one
/// sees the other. `false`: the mark was there for an instant, and a writer may have gone to sleep for it.
pub fn enter_reading(writer: &AtomicU64, mark: &AtomicU64, me: u64) -> bool {
    mark.store(me, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let entered = writer.load(Ordering::Acquire) == 0;
    if !entered {
        mark.store(0, Ordering::Release);
        fence(Ordering::SeqCst);
    }
    entered
}

/// A writer stops readers who come from now on (L1); those who are in are waited for.
pub fn claim_writing(writer: &AtomicU64, from: u64, me: u64) -> bool {
    let claimed = take(writer, from, me);
    fence(Ordering::SeqCst);
    claimed
}

/// Whether this reader is in. Acquire pairs with the release when it leaves.
pub fn is_reading(mark: &AtomicU64, reader: u64) -> bool {
    mark.load(Ordering::Acquire) == reader
}

/// An event's word: how often it was set, shifted, and whether it is set.
const SET: u64 = 1;

/// Sets an event; one that is set stays as it is.
pub fn set(word: &AtomicU64) {
    let mut now = word.load(Ordering::Relaxed);
    // Written in any case, so that what came before is seen by who finds it set.
    while let Err(other) = word.compare_exchange(
        now,
        if is_set(now) { now } else { now.wrapping_add(2) | SET },
        Ordering::AcqRel,
        Ordering::Relaxed,
    ) {
        now = other;
    }
}

/// Clears it.
pub fn clear(word: &AtomicU64) {
    word.fetch_and(!SET, Ordering::AcqRel);
}

/// Whether it is set, by its word.
pub fn is_set(word: u64) -> bool {
    word & SET != 0
}

/// Whether one that waits since the word was `since` may go: it is set, or was meanwhile.
pub fn was_set(word: &AtomicU64, since: u64) -> bool {
    let now = word.load(Ordering::Acquire);
    is_set(now) || now >> 1 != since >> 1
}

/// Clears it if it is set, which only one of those who try achieves.
pub fn consume(word: &AtomicU64) -> bool {
    let mut now = word.load(Ordering::Relaxed);
    while is_set(now) {
        match word.compare_exchange(now, now & !SET, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(other) => now = other,
        }
    }
    false
}

/// One more arrives at a barrier: sets its bit, or, if that makes as many as there must be, clears all and leads (`true`).
///
/// Whose bit is gone was released: only it sets the bit, and who clears it otherwise has inherited its row.
pub fn arrive(word: &AtomicU64, bit: u64, parties: u32) -> bool {
    let mut now = word.load(Ordering::Relaxed);
    loop {
        let leads = (now | bit).count_ones() >= parties;
        let then = if leads { 0 } else { now | bit };
        match word.compare_exchange(now, then, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return leads,
            Err(other) => now = other,
        }
    }
}

/// Whether one that arrived was released.
pub fn is_released(word: &AtomicU64, bit: u64) -> bool {
    word.load(Ordering::Acquire) & bit == 0
}

/// Takes an arrival back; `false`: it was released already.
pub fn withdraw(word: &AtomicU64, bit: u64) -> bool {
    word.fetch_and(!bit, Ordering::AcqRel) & bit != 0
}

/// What a handle that waits for a condition says in its row: a number no other wait has, shifted, and this.
const WAITS: u64 = 1;
const NOTIFIED: u64 = 2;
const STATE: u64 = 3;

/// Begins a wait. Released with the mutex after it: who takes that afterwards sees it.
pub fn begin_wait(state: &AtomicU64, ticket: u64) {
    state.store(ticket << 2 | WAITS, Ordering::Release);
}

/// The ticket of one that waits and was not notified yet.
pub fn ticket(state: u64) -> Option<u64> {
    (state & STATE == WAITS).then_some(state >> 2)
}

/// Notifies the one that has this ticket; `false`: it waits no more, or another has.
pub fn notify(state: &AtomicU64, ticket: u64) -> bool {
    let waits = ticket << 2 | WAITS;
    state.compare_exchange(waits, ticket << 2 | NOTIFIED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Whether one's own wait was notified.
pub fn is_notified(state: &AtomicU64) -> bool {
    state.load(Ordering::Acquire) & STATE == NOTIFIED
}

/// Ends a wait, one's own or a dead one's: who was notified passes that `on` first unless it takes it for itself. Whether
/// it was notified. A death on the way leaves it to be passed on again.
pub fn end_wait(state: &AtomicU64, on: impl FnOnce()) -> bool {
    loop {
        let now = state.load(Ordering::Acquire);
        if now & STATE == NOTIFIED {
            on();
            state.store(0, Ordering::Release);
            return true;
        }
        if state.compare_exchange(now, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return false;
        }
    }
}

/// Nobody is in a call on the handle that a close would have to mind.
const OUT: u64 = 0;
/// Somebody is, for some nanoseconds.
const QUICK: u64 = 1;
/// Somebody is, and may sleep; it looks itself, when it comes out, whether the domain was closed.
const SLOW: u64 = 2;

/// Who may give back what a handle has: the thread that uses it, or one that closes its domain.
///
/// **L2** user: begin, commit (a read-modify-write and its fence), ask whether it is closed — closer: say that it is closed, full
/// fence, look at the gate. At least one sees the other: the closer waits for a step that takes no time, and leaves it to
/// one that may sleep, which asks again after it has come out.
#[derive(Default)]
pub struct Gate(AtomicU64);

impl Gate {
    #[inline(always)]
    pub fn begin_quickly(&self) {
        self.0.store(QUICK, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn end_quickly(&self) {
        self.0.store(OUT, Ordering::Release);
    }

    pub fn begin(&self) {
        self.0.store(SLOW, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The caller asks next whether it was closed, and gives back what it has.
    pub fn end(&self) {
        self.0.store(OUT, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// The closer's look, after its fence: whether to give back (`true`), to leave that to the user, or to look again.
    pub fn is_out(&self) -> Option<bool> {
        match self.0.load(Ordering::Acquire) {
            OUT => Some(true),
            QUICK => None,
            _ => Some(false),
        }
    }
}
