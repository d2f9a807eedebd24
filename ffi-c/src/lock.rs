//! Locks: mutexes, readers and writers, semaphores, events, barriers and conditions, by name.
//!
//! Threads share a handle of C, so behind it is a `SharedLock`: who waits takes out a handle of the core of its own, and
//! puts it back whatever came of it.

use crate::args::{self, Out, Timeout, Versioned};
use crate::domain::{self, axonic_domain};
use crate::error::{Failure, Outcome, enter, nothing};
use crate::handle::{self, Noun};
use axonic::{Domain, ErrorKind, LockHandle, LockHolder, LockOptions, SharedLock};
use std::ffi::{c_char, c_int};
use std::time::Duration;

pub mod mutex;

pub mod rwlock;

pub mod semaphore;

pub mod event;

pub mod barrier;

pub mod condvar;

/// How to open a lock of any type. Start with AXONIC_LOCK_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_lock_options {
    /// sizeof(axonic_lock_options)
    pub size: usize,
    /// An axonic_wait.
    pub wait: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_lock_options {
    const INIT: Self = axonic_lock_options { size: size_of::<Self>(), wait: 0, reserved: 0 };
    const NAME: &'static str = "axonic_lock_options";
}

/// Who has a lock, or something of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_lock_holder {
    /// Since when: nanoseconds since 1970, to a millisecond; 0 where that is not known.
    pub since: i64,
    /// As its own pid namespace numbers it; 0 where nothing is known of it any more.
    pub pid: u32,
    /// 0: it died, and nobody has taken the lock since.
    pub alive: i32,
    /// Not 0: it is stopped by a signal or a debugger.
    pub stopped: i32,
    /// 0; for later versions.
    pub reserved: i32,
    /// "owner" (of a mutex, or one that writes), "reader", "permit" (each of a semaphore's) or "party" (one that waits
    /// at a barrier).
    pub role: [c_char; 16],
    /// What `axonic ls` shows for it; "" where nothing is known of it any more.
    pub label: [c_char; 208],
}

/// Who has the lock `name`, of any type. The first `capacity` of them are written to `out`, which may be NULL if that is
/// 0, and how many there are to `out_count`: none of an event or a condition. AXONIC_ERROR_NOT_FOUND if there is no such
/// lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_lock_holders(
    domain: *const axonic_domain,
    name: *const c_char,
    out: *mut axonic_lock_holder,
    capacity: usize,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (count, state, name) =
            unsafe { (Out::new(out_count)?, handle::get(domain)?, args::text(name, "name")?) };
        if capacity > 0 && (out.is_null() || !out.is_aligned()) {
            return Err(Failure::argument(format!("there is no room for {capacity} holders")));
        }
        let holders = state.domain.lock_holders(name)?;
        for (index, holder) in holders.iter().take(capacity).enumerate() {
            // SAFETY: inside the caller's array of `capacity`.
            unsafe { out.add(index).write(describe(holder)) };
        }
        count.set(holders.len());
        Ok(())
    })
}

fn describe(holder: &LockHolder) -> axonic_lock_holder {
    let millis = i64::try_from(holder.since_unix_ms).unwrap_or(0);
    axonic_lock_holder {
        since: millis.saturating_mul(1_000_000),
        pid: holder.pid,
        alive: i32::from(holder.alive),
        stopped: i32::from(holder.stopped),
        reserved: 0,
        role: args::chars(holder.role),
        label: args::chars(&holder.label),
    }
}

/// Opens a lock, `what` it is, whose handles `open` opens.
///
/// # Safety
/// The header's rules for handles, strings, options and pointers.
unsafe fn open<T: LockHandle, N: Noun<State = SharedLock<T>>>(
    what: &str,
    (domain, name): (*const axonic_domain, *const c_char),
    options: *const axonic_lock_options,
    out: *mut *mut N,
    open: impl Fn(&Domain, &str, &LockOptions) -> axonic::Result<T> + Send + Sync + 'static,
) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let (out, domain, name, given) = unsafe {
        (Out::new(out)?, handle::get(domain)?, args::text(name, "name")?, args::versioned(options)?)
    };
    let options = LockOptions { wait: domain::wait(given.wait)? };
    let (what, domain, name) = (format!("{what} '{name}'"), domain.domain.clone(), name.to_owned());
    let lock = SharedLock::new(what, move || open(&domain, &name, &options))?;
    out.set(handle::give::<N>(lock));
    Ok(())
}

/// Does something with a handle that has nothing, and has nothing afterwards.
fn lend<T: LockHandle, R>(lock: &SharedLock<T>, act: impl FnOnce(&mut T) -> Outcome<R>) -> Outcome<R> {
    let mut handle = lock.idle()?;
    let done = act(&mut handle);
    lock.put_idle(handle);
    done
}

/// Takes the lock with a handle that has nothing, and by `put` puts it back as one that has it.
fn take<T: LockHandle, R>(
    lock: &SharedLock<T>,
    put: fn(&SharedLock<T>, T) -> axonic::Result<()>,
    act: impl FnOnce(&mut T) -> Outcome<R>,
) -> Outcome<R> {
    let mut handle = lock.idle()?;
    let taken = act(&mut handle);
    match taken {
        Ok(_) => put(lock, handle)?,
        Err(_) => lock.put_idle(handle),
    }
    taken
}

/// Gives back what a handle has. If none has it, one that has nothing says so.
fn give<T: LockHandle>(lock: &SharedLock<T>, act: impl FnOnce(&mut T) -> axonic::Result<()>) -> Outcome<()> {
    let Some(mut handle) = lock.holding() else { return lend(lock, |handle| Ok(act(handle)?)) };
    let given = act(&mut handle);
    match given {
        Ok(()) => lock.put_idle(handle),
        // It was closed, or this is a forked child: it has it as much as before.
        Err(_) => lock.put_holding(handle)?,
    }
    Ok(given?)
}

/// Waits, or with a timeout of 0 tries.
fn seek<T: LockHandle, R>(
    lock: &SharedLock<T>,
    handle: &mut T,
    timeout: i64,
    (attempt, lacking): (impl FnOnce(&mut T) -> axonic::Result<Option<R>>, &str),
    wait: impl FnOnce(&mut T, Option<Duration>) -> axonic::Result<R>,
) -> Outcome<R> {
    match args::timeout(timeout) {
        Timeout::Try => attempt(handle)?
            .ok_or_else(|| Failure::new(ErrorKind::WouldBlock, nothing(&lock.what(), lacking))),
        Timeout::Wait(limit) => Ok(wait(handle, limit)?),
    }
}
