//! Semaphores.

use super::{axonic_lock_options, lend, open, seek, take};
use crate::args::Out;
use crate::domain::axonic_domain;
use crate::error::enter;
use crate::handle::{self, Noun};
use axonic::{Semaphore, SharedLock};
use std::ffi::{c_char, c_int};

/// A semaphore between processes: a number of permits. Those of one that dies come back by themselves.
pub struct axonic_semaphore(());

impl Noun for axonic_semaphore {
    const NAME: &'static str = "axonic_semaphore";
    type State = SharedLock<Semaphore>;
}

const NO_PERMIT: &str = "no permit is free";

/// Opens the semaphore `name`, making it with so many permits, 1 to 1024, if there is none. `options` NULL: the
/// defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_semaphore_open(
    domain: *const axonic_domain,
    name: *const c_char,
    permits: u32,
    options: *const axonic_lock_options,
    out: *mut *mut axonic_semaphore,
) -> c_int {
    // SAFETY: the header's rules for handles, strings and pointers.
    enter(|| unsafe {
        open("semaphore", (domain, name), options, out, move |domain, name, options| {
            domain.semaphore(name, permits, options)
        })
    })
}

/// Ends it. Its permits go back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_semaphore_close(semaphore: *mut axonic_semaphore) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(semaphore) })
}

/// Takes a permit, waiting for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_semaphore_acquire(semaphore: *const axonic_semaphore, timeout: i64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let lock = unsafe { handle::get(semaphore)? };
        let attempt = |handle: &mut Semaphore| Ok(handle.try_acquire()?.then_some(()));
        take(lock, SharedLock::put_permit, |handle| {
            seek(lock, handle, timeout, (attempt, NO_PERMIT), Semaphore::acquire)
        })
    })
}

/// Gives a permit back. AXONIC_ERROR_INVALID_ARGUMENT if this handle has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_semaphore_release(semaphore: *const axonic_semaphore) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| Ok(unsafe { handle::get(semaphore)? }.release()?))
}

/// How many permits nobody alive has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_semaphore_available(
    semaphore: *const axonic_semaphore,
    out: *mut u32,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, lock) = unsafe { (Out::new(out)?, handle::get(semaphore)?) };
        out.set(lend(lock, |handle| Ok(handle.available()?))?);
        Ok(())
    })
}
