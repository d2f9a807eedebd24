//! How one half sleeps, and is woken by another of the same process.
//!
//! **P1** sleeper: lower the signal, arm, fence, look — other end: change something, fence, read `armed`. At least one sees
//! the other. From when the descriptor is watched, it is armed or its signal is raised, whatever happens.

use crate::error::Result;
use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::sys::descriptor::Signal;
use crate::sys::ready::{For, sleep_on};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

pub struct Sleeper {
    armed: AtomicU32,
    signal: Signal,
    /// Set once: whoever sleeps here is to look up, and not to sleep again.
    called: AtomicU32,
}

impl Sleeper {
    pub fn new() -> Result<Sleeper> {
        Ok(Sleeper { armed: AtomicU32::new(0), signal: Signal::new()?, called: AtomicU32::new(0) })
    }

    /// P1: nothing was there. Whether `look` finds something now.
    pub fn arm(&self, look: impl FnOnce() -> bool) -> bool {
        self.signal.lower();
        self.armed.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let something = look() || self.called.load(Ordering::Acquire) != 0;
        if something {
            self.signal.raise();
        }
        something
    }

    pub fn sleep(&self, limit: Option<Duration>) -> Result<()> {
        sleep_on(self.signal.as_fd(), For::Input, self.signal.as_fd(), limit)
    }

    /// P1: something has changed.
    #[inline(always)]
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed) != 0 {
            self.rouse();
        }
    }

    #[cold]
    fn rouse(&self) {
        if self.armed.swap(0, Ordering::AcqRel) != 0 {
            self.signal.raise();
        }
    }

    /// Ends all sleep here, for good.
    pub fn call(&self) {
        self.called.store(1, Ordering::Release);
        self.signal.raise();
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }

    /// The descriptor, readable from when it is asked for the first time until something was looked for and not found.
    pub fn watch(&self, watched: &mut bool) -> RawFd {
        if !std::mem::replace(watched, true) {
            self.signal.raise();
        }
        self.signal.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn no_change_is_slept_over() {
        let (sleeper, count) = (Sleeper::new().unwrap(), AtomicU64::new(0));
        const CHANGES: u64 = 20_000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seen in 0..CHANGES {
                    while count.load(Ordering::Acquire) == seen {
                        if !sleeper.arm(|| count.load(Ordering::Acquire) != seen) {
                            let began = std::time::Instant::now();
                            sleeper.sleep(Some(Duration::from_secs(30))).unwrap();
                            assert!(began.elapsed() < Duration::from_secs(30), "nobody woke it after {seen}");
                        }
                    }
                }
            });
            for _ in 0..CHANGES {
                count.fetch_add(1, Ordering::AcqRel);
                sleeper.wake();
            }
        });
    }

    #[test]
    fn who_was_called_does_not_sleep() {
        let sleeper = Sleeper::new().unwrap();
        sleeper.call();
        assert!(sleeper.arm(|| false) && sleeper.arm(|| false));
    }
}
