//! Crash points: places at which a test lets a process die or stop.
//!
//! Built with `--cfg crash_points`, every store to shared memory (`sys/atomic`) and every system call that others
//! see (`sys/file`, `sys/lock`, `sys/descriptor`) is one, named by the line it stands on. Otherwise there are none.

/// Before a step that others see.
#[cfg(not(crash_points))]
#[inline(always)]
pub fn point() {}

#[cfg(crash_points)]
pub use armed::*;

#[cfg(crash_points)]
mod armed {
    use std::panic::Location;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

    /// Points to pass before something happens; the largest number: nothing does.
    static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);
    static SIGNAL: AtomicI32 = AtomicI32::new(0);

    /// From now on the process gets `signal` (SIGKILL, SIGSTOP) before its step number `after`, counted from 0.
    pub fn arm(after: u64, signal: i32) {
        SIGNAL.store(signal, Ordering::Relaxed);
        LEFT.store(after, Ordering::Relaxed);
    }

    /// Nothing happens any more. How many steps were left.
    pub fn disarm() -> u64 {
        LEFT.swap(u64::MAX, Ordering::Relaxed)
    }

    /// Before a step that others see.
    #[track_caller]
    pub fn point() {
        let left = LEFT.load(Ordering::Relaxed);
        if left == u64::MAX {
            return;
        }
        LEFT.store(left.wrapping_sub(1), Ordering::Relaxed);
        if left == 0 {
            let place = Location::caller();
            println!("crash point {}:{}", place.file(), place.line());
            // SAFETY: a signal to this very process.
            unsafe { nix::libc::raise(SIGNAL.load(Ordering::Relaxed)) };
        }
    }
}
