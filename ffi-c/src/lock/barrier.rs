//! Barriers.

use super::{axonic_lock_options, lend, open};
use crate::args::{self, Out};
use crate::domain::axonic_domain;
use crate::error::enter;
use crate::handle::{self, Noun};
use axonic::{Barrier, SharedLock};
use std::ffi::{c_char, c_int};

/// A barrier between processes: whoever arrives waits until so many have. Each thread that waits is a party.
pub struct axonic_barrier(());

impl Noun for axonic_barrier {
    const NAME: &'static str = "axonic_barrier";
    type State = SharedLock<Barrier>;
}

/// Opens the barrier `name`, making it for so many parties, 2 to 64, if there is none. `options` NULL: the
/// defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_barrier_open(
    domain: *const axonic_domain,
    name: *const c_char,
    parties: u32,
    options: *const axonic_lock_options,
    out: *mut *mut axonic_barrier,
) -> c_int {
    // SAFETY: the header's rules for handles, strings and pointers.
    enter(|| unsafe {
        open("barrier", (domain, name), options, out, move |domain, name, options| {
            domain.barrier(name, parties, options)
        })
    })
}

/// Ends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_barrier_close(barrier: *mut axonic_barrier) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(barrier) })
}

/// Arrives, and waits until all have. `leads` (or NULL) is set to whether it was the last, of which there is one
/// each time. If the time is over first, or its process dies, it has not arrived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_barrier_wait(
    barrier: *const axonic_barrier,
    timeout: i64,
    leads: *mut bool,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, lock) = unsafe { (Out::optional(leads), handle::get(barrier)?) };
        let led = lend(lock, |handle| args::within(timeout, |limit| handle.wait(limit)))?;
        out.into_iter().for_each(|out| out.set(led));
        Ok(())
    })
}
