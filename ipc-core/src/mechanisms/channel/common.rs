//! What channels and listeners have in common.

use super::Wake;
use super::link::{Half, wait_for};
use crate::domain::asked::asking;
use crate::domain::{Attached, Domain, Wait, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Wakes whoever waits when the domain is closed, which it leaves once they have gone.
pub struct Held {
    domain: Domain,
    wake: Wake,
}

impl Attached for Held {
    fn detach(&self) -> bool {
        (self.wake)();
        false
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.domain.inner().released();
    }
}

pub fn hold(domain: &Domain, wake: Wake) -> Arc<Held> {
    let held = Arc::new(Held { domain: domain.clone(), wake });
    let attached: Weak<dyn Attached> = Arc::<Held>::downgrade(&held);
    domain.inner().attach(attached);
    held
}

/// What channels and listeners have in common: an address, and that they can be closed.
pub struct Common {
    pub domain: Domain,
    pub noun: &'static str,
    pub address: String,
    pub wait: Wait,
    pub closed: AtomicBool,
    pub held: Arc<Held>,
}

impl Common {
    #[inline(always)]
    pub fn enter(&self) -> Result<()> {
        if self.domain.usable() && !self.closed.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(self.unusable())
        }
    }

    #[cold]
    pub fn unusable(&self) -> Error {
        let what = format!("{} '{}'", self.noun, self.address);
        if self.closed.load(Ordering::Relaxed) {
            return closed(&what);
        }
        if self.domain.is_closed() {
            return closed(&format!("{what}: its domain '{}'", self.domain.name()));
        }
        Error::new(
            ErrorKind::Forked,
            format!("{what} was carried over a fork, and the parent process has it; open another one here"),
        )
    }

    /// Waits for `attempt`, which does not begin once this is closed.
    pub fn wait<H: Half, T>(
        &self,
        half: &mut H,
        deadline: &Deadline,
        attempt: &mut dyn FnMut(&mut H) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let attempt = &mut |half: &mut H| {
            self.enter()?;
            attempt(half)
        };
        asking(deadline, |deadline| wait_for(half, self.wait, deadline, attempt))
    }

    /// From now on it counts as closed, and whoever waits looks. Whether it was not before, and is this process's: a forked
    /// child has copies of locks that nobody gives back.
    pub fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel) && !self.domain.forked();
        if first {
            (self.held.wake)();
        }
        first
    }

    pub fn named(&self, error: Error) -> Error {
        // What another thread's close has broken off was not the other end.
        if error.kind() == ErrorKind::Disconnected && self.closed.load(Ordering::Acquire) {
            return self.unusable();
        }
        error.of(self.noun, &self.address)
    }

    pub fn timed_out(&self, why: &str) -> Error {
        Error::new(ErrorKind::Timeout, format!("{} '{}': {why}", self.noun, self.address))
    }
}
