//! Conditions.

use super::mutex::axonic_mutex;
use super::{axonic_lock_options, lend, open};
use crate::args::{self, Out};
use crate::domain::axonic_domain;
use crate::error::{Outcome, enter};
use crate::handle::{self, Noun};
use axonic::{Condvar, ErrorKind, Mutex, SharedLock};
use std::ffi::{c_char, c_int};

/// A condition to wait for between processes, with a mutex that protects what it is about.
pub struct axonic_condvar(());

impl Noun for axonic_condvar {
    const NAME: &'static str = "axonic_condvar";
    type State = SharedLock<Condvar>;
}

/// Opens the condition `name`, making it if there is none. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_condvar_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_lock_options,
    out: *mut *mut axonic_condvar,
) -> c_int {
    // SAFETY: the header's rules for handles, strings and pointers.
    enter(|| unsafe {
        open("condvar", (domain, name), options, out, |domain, name, options| domain.condvar(name, options))
    })
}

/// Ends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_condvar_close(condvar: *mut axonic_condvar) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(condvar) })
}

/// Unlocks the mutex, which the caller has, waits to be notified, and locks it again, however long that takes.
/// After AXONIC_ERROR_TIMEOUT and AXONIC_ERROR_WOULD_BLOCK it is locked too, and `owner_died` (or NULL) is set as by
/// axonic_mutex_lock(); after any other failure it is not. What is waited for is looked at again afterwards:
/// another may have come first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_condvar_wait(
    condvar: *const axonic_condvar,
    mutex: *const axonic_mutex,
    timeout: i64,
    owner_died: *mut bool,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, mutex) = unsafe { (Out::optional(owner_died), handle::get(mutex)?) };
        // If none has it, one that has nothing says so. Unless the wait ends well it is dropped: what it has goes back.
        let mut held = mutex.holding().map_or_else(|| mutex.idle(), Ok)?;
        // SAFETY: as above.
        let waited = unsafe { handle::get(condvar) }.and_then(|lock| wait(lock, &mut held, timeout));
        if is_locked_again(&waited) {
            let died = held.owner_died();
            mutex.put_holding(held)?;
            out.into_iter().for_each(|out| out.set(died));
        }
        waited
    })
}

fn wait(lock: &SharedLock<Condvar>, mutex: &mut Mutex, timeout: i64) -> Outcome<()> {
    lend(lock, |handle| args::within(timeout, |limit| handle.wait(mutex, limit)).map(drop))
}

fn is_locked_again(waited: &Outcome<()>) -> bool {
    let late = |kind| matches!(kind, ErrorKind::Timeout | ErrorKind::WouldBlock);
    waited.as_ref().map_or_else(|failure| late(failure.kind()), |()| true)
}

/// Wakes the one that has waited longest, if there is one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_condvar_notify_one(condvar: *const axonic_condvar) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| lend(unsafe { handle::get(condvar)? }, |handle| Ok(handle.notify_one().map(drop)?)))
}

/// Wakes all who wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_condvar_notify_all(condvar: *const axonic_condvar) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| lend(unsafe { handle::get(condvar)? }, |handle| Ok(handle.notify_all().map(drop)?)))
}
