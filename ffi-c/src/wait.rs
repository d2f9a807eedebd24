//! The wait set: one wait for many handles, timers and foreign descriptors.

use crate::args::{self, Out};
use crate::error::{Failure, enter};
use crate::handle::{self, Noun};
use crate::publisher::axonic_publisher;
use crate::subscriber::axonic_subscriber;
use axonic::{ErrorKind, WaitSet};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::time::Duration;

/// Waits for several things at once. Each is known by a token of the caller's choice.
pub struct axonic_waitset(());

pub(crate) struct State {
    set: WaitSet,
    /// Ready tokens that did not fit into the caller's array; the next wait begins with them.
    left: VecDeque<u64>,
}

impl Noun for axonic_waitset {
    const NAME: &'static str = "axonic_waitset";
    type State = State;
}

/// Makes an empty wait set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_open(out: *mut *mut axonic_waitset) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        let out = unsafe { Out::new(out)? };
        let state = State { set: WaitSet::new()?, left: VecDeque::new() };
        out.set(handle::give::<axonic_waitset>(state));
        Ok(())
    })
}

/// Ends it; what was added is not touched.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_close(waitset: *mut axonic_waitset) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(waitset) })
}

/// Ready while the subscriber may have messages. A token can be used once:
/// AXONIC_ERROR_ALREADY_EXISTS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_add_subscriber(
    waitset: *mut axonic_waitset,
    subscriber: *mut axonic_subscriber,
    token: u64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let (state, added) = unsafe { (handle::get_mut(waitset)?, handle::get_mut(subscriber)?) };
        Ok(state.set.add_subscriber(&mut added.subscriber, token)?)
    })
}

/// Ready as axonic_publisher_fd() is readable: add a publisher when it was told
/// AXONIC_ERROR_WOULD_BLOCK and remove it when there was room again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_add_publisher(
    waitset: *mut axonic_waitset,
    publisher: *mut axonic_publisher,
    token: u64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let (state, added) = unsafe { (handle::get_mut(waitset)?, handle::get_mut(publisher)?) };
        Ok(state.set.add_publisher(&mut added.publisher, token)?)
    })
}

/// Ready while a descriptor is readable: any of the system's, or one from an `_fd` function above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_add_fd(waitset: *mut axonic_waitset, fd: c_int, token: u64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get_mut(waitset)? };
        Ok(state.set.add_fd(fd, token)?)
    })
}

/// Ready every `period` nanoseconds, the first time after one period.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_add_timer(
    waitset: *mut axonic_waitset,
    period: i64,
    token: u64,
) -> c_int {
    enter(|| {
        let nanoseconds = u64::try_from(period).ok().filter(|&period| period > 0);
        let period = nanoseconds.ok_or_else(|| Failure::argument("the period of a timer is not positive"))?;
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get_mut(waitset)? };
        Ok(state.set.add_timer(Duration::from_nanos(period), token)?)
    })
}

/// Takes what has this token out of the set; AXONIC_ERROR_NOT_FOUND if nothing has it. What was added
/// may be closed before, and foreign descriptors must not be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_remove(waitset: *mut axonic_waitset, token: u64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get_mut(waitset)? };
        state.left.retain(|&left| left != token);
        match state.set.remove(token) {
            true => Ok(()),
            false => Err(Failure::new(ErrorKind::NotFound, format!("token {token} is not in the set"))),
        }
    })
}

/// Waits until something is ready and writes up to `capacity` tokens to `tokens` and their number to
/// `out_count`: 0 when the timeout passed, which is no error. Tokens that do not fit come first next time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_wait(
    waitset: *mut axonic_waitset,
    timeout: i64,
    tokens: *mut u64,
    capacity: usize,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out_count)?, handle::get_mut(waitset)?) };
        if tokens.is_null() || !tokens.is_aligned() || capacity == 0 {
            return Err(Failure::argument("there is no room for tokens"));
        }
        if state.left.is_empty() {
            state.left.extend(args::within(timeout, |limit| state.set.wait(limit))?);
        }
        let count = state.left.len().min(capacity);
        for (index, token) in state.left.drain(..count).enumerate() {
            // SAFETY: inside the caller's array of `capacity`.
            unsafe { tokens.add(index).write(token) };
        }
        out.set(count);
        Ok(())
    })
}

/// A descriptor that is readable while something in the set is ready. Belongs to the set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_waitset_fd(waitset: *mut axonic_waitset, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(waitset)?) };
        out.set(state.set.fd());
        Ok(())
    })
}
