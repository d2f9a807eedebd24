//! Where channels are listened for.

use super::{axonic_channel, axonic_channel_options, give, options};
use crate::args::{self, Out, Timeout};
use crate::domain::axonic_domain;
use crate::error::{Failure, enter, enter_or};
use crate::handle::{self, Noun};
use axonic::Listener;
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null;
use std::sync::Arc;

/// Listens for channels at an address. It may be used by several threads at once.
pub struct axonic_listener(());

pub(crate) struct State {
    listener: Listener,
    address: Arc<CStr>,
}

impl Noun for axonic_listener {
    const NAME: &'static str = "axonic_listener";
    type State = State;
}

/// Listens for channels at an address, such as "shm://domain/name" or "unix:///run/jobs.sock". `options` NULL: the
/// defaults; they hold for the channels, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_listener_open(
    domain: *const axonic_domain,
    address: *const c_char,
    options: *const axonic_channel_options,
    out: *mut *mut axonic_listener,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings, options and pointers.
        let (out, domain, address, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(address, "address")?, args::versioned(options)?)
        };
        let options = self::options(given.max_message, given.wait, given.reconnect != 0)?;
        let listener = domain.domain.listen(address, &options)?;
        let address = args::c_string(listener.address()).into();
        out.set(handle::give::<axonic_listener>(State { listener, address }));
        Ok(())
    })
}

/// Ends it; who connects from now on is refused. Channels that were accepted go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_listener_close(listener: *mut axonic_listener) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(listener) })
}

/// Ends it as axonic_listener_close() does, for all threads: see axonic_channel_shutdown().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_listener_shutdown(listener: *const axonic_listener) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        unsafe { handle::get(listener)? }.listener.close();
        Ok(())
    })
}

/// Its address, with the port that the system chose where none was named. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_listener_address(listener: *const axonic_listener) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(listener)? }.address.as_ptr()))
}

/// The next channel that somebody opens, waiting for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_listener_accept(
    listener: *const axonic_listener,
    timeout: i64,
    out: *mut *mut axonic_channel,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(listener)?) };
        let channel = match args::timeout(timeout) {
            Timeout::Try => state
                .listener
                .try_accept()?
                .ok_or_else(|| Failure::nothing("listener", &state.address, "nobody has connected"))?,
            Timeout::Wait(limit) => state.listener.accept(limit)?,
        };
        out.set(give(channel));
        Ok(())
    })
}

/// A descriptor for poll() and epoll, readable until an accept with timeout 0 has answered AXONIC_ERROR_WOULD_BLOCK
/// (level-triggered). Only poll it; it belongs to the listener.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_listener_fd(listener: *const axonic_listener, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(listener)?) };
        out.set(state.listener.fd()?);
        Ok(())
    })
}
