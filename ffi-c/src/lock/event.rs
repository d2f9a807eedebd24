//! Events.

use super::{axonic_lock_options, lend, open, seek};
use crate::args::{self, Out};
use crate::domain::axonic_domain;
use crate::error::{Outcome, enter};
use crate::handle::{self, Noun};
use axonic::{Event, Reset, SharedLock};
use std::ffi::{c_char, c_int};

/// An event between processes: set or clear. It belongs to nobody, and goes with its last handle.
pub struct axonic_event(());

impl Noun for axonic_event {
    const NAME: &'static str = "axonic_event";
    type State = SharedLock<Event>;
}

/// How an event is cleared.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_reset {
    /// By axonic_event_clear(); until then everybody passes.
    AXONIC_RESET_MANUAL = 0,
    /// By the first one that waited for it, and only that one passes.
    AXONIC_RESET_AUTO = 1,
}

const CLEAR: &str = "it is not set";

fn reset(given: i32) -> Outcome<Reset> {
    use axonic_reset::*;
    let choices = [(AXONIC_RESET_MANUAL as i32, Reset::Manual), (AXONIC_RESET_AUTO as i32, Reset::Auto)];
    args::choice(given, &choices, "axonic_reset")
}

/// Opens the event `name`, making it, clear, if there is none; `reset` is an axonic_reset. `options` NULL: the
/// defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_event_open(
    domain: *const axonic_domain,
    name: *const c_char,
    reset: i32,
    options: *const axonic_lock_options,
    out: *mut *mut axonic_event,
) -> c_int {
    enter(|| {
        let reset = self::reset(reset)?;
        // SAFETY: the header's rules for handles, strings and pointers.
        unsafe {
            open("event", (domain, name), options, out, move |domain, name, options| {
                domain.event(name, reset, options)
            })
        }
    })
}

/// Ends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_event_close(event: *mut axonic_event) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(event) })
}

/// Sets it. Everybody who waits passes, however soon it is cleared, or (AXONIC_RESET_AUTO) one of them, or the
/// next to come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_event_set(event: *const axonic_event) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| lend(unsafe { handle::get(event)? }, |handle| Ok(handle.set()?)))
}

/// Clears it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_event_clear(event: *const axonic_event) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| lend(unsafe { handle::get(event)? }, |handle| Ok(handle.clear()?)))
}

/// Whether it is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_event_is_set(event: *const axonic_event, out: *mut bool) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, lock) = unsafe { (Out::new(out)?, handle::get(event)?) };
        out.set(lend(lock, |handle| Ok(handle.is_set()?))?);
        Ok(())
    })
}

/// Waits until it is set. If it is cleared by that (AXONIC_RESET_AUTO), this call did it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_event_wait(event: *const axonic_event, timeout: i64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let lock = unsafe { handle::get(event)? };
        let attempt = |handle: &mut Event| Ok(handle.try_wait()?.then_some(()));
        lend(lock, |handle| seek(lock, handle, timeout, (attempt, CLEAR), Event::wait))
    })
}
