//! Readers and writers.

use super::{axonic_lock_options, give, open, seek, take};
use crate::args::Out;
use crate::domain::axonic_domain;
use crate::error::enter;
use crate::handle::{self, Noun};
use axonic::{RwLock, SharedLock};
use std::ffi::{c_char, c_int};

/// A lock that many read, or one writes, between processes, and between the threads that share this handle. One
/// that waits to write stops those who come to read.
pub struct axonic_rwlock(());

impl Noun for axonic_rwlock {
    const NAME: &'static str = "axonic_rwlock";
    type State = SharedLock<RwLock>;
}

const WRITTEN: &str = "somebody writes, or waits to";
const HELD: &str = "somebody reads or writes";

/// Opens the readers' and writers' lock `name`, making it if there is none. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_rwlock_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_lock_options,
    out: *mut *mut axonic_rwlock,
) -> c_int {
    // SAFETY: the header's rules for handles, strings and pointers.
    enter(|| unsafe {
        open("rwlock", (domain, name), options, out, |domain, name, options| domain.rwlock(name, options))
    })
}

/// Ends it. If it is locked, it is not any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_rwlock_close(rwlock: *mut axonic_rwlock) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(rwlock) })
}

/// Locks it for reading, waiting until nobody writes. `owner_died` (or NULL) is set to whether a writer died in
/// it, which is told to the first to read, or who writes next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_rwlock_read(
    rwlock: *const axonic_rwlock,
    timeout: i64,
    owner_died: *mut bool,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, lock) = unsafe { (Out::optional(owner_died), handle::get(rwlock)?) };
        let attempt = (RwLock::try_read, WRITTEN);
        let how =
            take(lock, SharedLock::put_holding, |handle| seek(lock, handle, timeout, attempt, RwLock::read))?;
        out.into_iter().for_each(|out| out.set(how.owner_died));
        Ok(())
    })
}

/// Locks it for writing, waiting until nobody has it. `owner_died` is as in axonic_rwlock_read().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_rwlock_write(
    rwlock: *const axonic_rwlock,
    timeout: i64,
    owner_died: *mut bool,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, lock) = unsafe { (Out::optional(owner_died), handle::get(rwlock)?) };
        let attempt = (RwLock::try_write, HELD);
        let how = take(lock, SharedLock::put_holding, |handle| {
            seek(lock, handle, timeout, attempt, RwLock::write)
        })?;
        out.into_iter().for_each(|out| out.set(how.owner_died));
        Ok(())
    })
}

/// Ends one reading, or the writing. AXONIC_ERROR_INVALID_ARGUMENT if it is not locked by this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_rwlock_unlock(rwlock: *const axonic_rwlock) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| give(unsafe { handle::get(rwlock)? }, RwLock::unlock))
}
