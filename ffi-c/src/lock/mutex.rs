//! Mutexes.

use super::{axonic_lock_options, give, open, seek, take};
use crate::args::Out;
use crate::domain::axonic_domain;
use crate::error::enter;
use crate::handle::{self, Noun};
use axonic::{Mutex, SharedLock};
use std::ffi::{c_char, c_int};

/// A mutex between processes, and between the threads that share this handle: one of them all has it. It is the
/// handle's, not the thread's: any thread may unlock it.
pub struct axonic_mutex(());

impl Noun for axonic_mutex {
    const NAME: &'static str = "axonic_mutex";
    type State = SharedLock<Mutex>;
}

const LOCKED: &str = "it is locked";

/// Opens the mutex `name`, making it if there is none. `options` NULL: the defaults. It is not fair: whoever unlocks
/// it and wants it again at once mostly gets it before one that sleeps for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_mutex_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_lock_options,
    out: *mut *mut axonic_mutex,
) -> c_int {
    // SAFETY: the header's rules for handles, strings and pointers.
    enter(|| unsafe {
        open("mutex", (domain, name), options, out, |domain, name, options| domain.mutex(name, options))
    })
}

/// Ends it. If it is locked, it is not any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_mutex_close(mutex: *mut axonic_mutex) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(mutex) })
}

/// Locks it, waiting for it. `owner_died` (or NULL) is set to whether its owner before died while it had it: what
/// it protects may be half-changed, and it is for the caller to set that right. A thread that has it already would
/// wait for itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_mutex_lock(
    mutex: *const axonic_mutex,
    timeout: i64,
    owner_died: *mut bool,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, lock) = unsafe { (Out::optional(owner_died), handle::get(mutex)?) };
        let attempt = (Mutex::try_lock, LOCKED);
        let how =
            take(lock, SharedLock::put_holding, |handle| seek(lock, handle, timeout, attempt, Mutex::lock))?;
        out.into_iter().for_each(|out| out.set(how.owner_died));
        Ok(())
    })
}

/// Unlocks it. AXONIC_ERROR_INVALID_ARGUMENT if it is not locked by this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_mutex_unlock(mutex: *const axonic_mutex) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| give(unsafe { handle::get(mutex)? }, Mutex::unlock))
}
