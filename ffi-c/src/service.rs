//! Services: whoever answers calls.

use crate::args::{self, Out, Timeout, Versioned};
use crate::channel;
use crate::domain::axonic_domain;
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::news::News;
use axonic::{Service, ServiceOptions};
use request::axonic_request;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::{Arc, Mutex, PoisonError};

pub mod request;

/// Provides a service. It may be used by several threads at once: each takes calls of its own.
pub struct axonic_service(());

pub(crate) struct State {
    service: Service,
    name: Arc<CStr>,
    /// Where it listens besides: C has the strings until it is closed.
    addresses: Mutex<Vec<CString>>,
    given_up: News,
    news: News,
}

impl Noun for axonic_service {
    const NAME: &'static str = "axonic_service";
    type State = State;
}

/// Start with AXONIC_SERVICE_OPTIONS_INIT. 0 means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_service_options {
    /// sizeof(axonic_service_options)
    pub size: usize,
    /// Calls that may be at work at the same time, while the others wait; default 64.
    pub concurrency: usize,
    /// The largest message in bytes, as in axonic_channel_options; one call, item or result is one.
    pub max_message: usize,
    /// An axonic_wait.
    pub wait: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_service_options {
    const INIT: Self = axonic_service_options {
        size: size_of::<Self>(),
        concurrency: 0,
        max_message: 0,
        wait: 0,
        reserved: 0,
    };
    const NAME: &'static str = "axonic_service_options";
}

fn options(given: &axonic_service_options) -> Outcome<ServiceOptions> {
    let default = ServiceOptions::default();
    Ok(ServiceOptions {
        concurrency: args::or_default(given.concurrency, default.concurrency),
        channel: channel::options(given.max_message, given.wait, false)?,
    })
}

/// Provides the service `name` in a version such as "1.2.0", from now on: whoever calls it waits until its calls are taken
/// with axonic_service_next(). Several processes may provide it, and share its calls. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_open(
    domain: *const axonic_domain,
    name: *const c_char,
    version: *const c_char,
    options: *const axonic_service_options,
    out: *mut *mut axonic_service,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, domain, given) =
            unsafe { (Out::new(out)?, handle::get(domain)?, args::versioned(options)?) };
        // SAFETY: the header's rules for strings.
        let (name, version) = unsafe { (args::text(name, "name")?, args::text(version, "version")?) };
        let service = domain.domain.service(name, version, &self::options(&given)?)?;
        let name = args::c_string(service.name()).into();
        let (addresses, given_up, news) = (Mutex::default(), News::default(), News::default());
        out.set(handle::give::<axonic_service>(State { service, name, addresses, given_up, news }));
        Ok(())
    })
}

/// Ends it. Calls that are not answered fail with AXONIC_CODE_UNAVAILABLE; requests that were taken are still to be
/// released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_close(service: *mut axonic_service) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(service) })
}

/// Ends it as axonic_service_close() does, for all threads: see axonic_channel_shutdown().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_shutdown(service: *const axonic_service) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        unsafe { handle::get(service)? }.service.close();
        Ok(())
    })
}

/// Has it called at an address too (see axonic_listener_open()), by clients of other domains or machines. The address,
/// with what the system chose, is written to `out_address`, which may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_listen(
    service: *const axonic_service,
    address: *const c_char,
    out_address: *mut *const c_char,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, state, address) =
            unsafe { (Out::optional(out_address), handle::get(service)?, args::text(address, "address")?) };
        let there = args::c_string(&state.service.listen(address)?);
        if let Some(out) = out {
            out.set(there.as_ptr());
        }
        state.addresses.lock().unwrap_or_else(PoisonError::into_inner).push(there);
        Ok(())
    })
}

/// Takes the next call, waiting for one. Answer it with axonic_request_reply() or axonic_request_fail(). Of a service that
/// listens at "pipe:0,1": AXONIC_ERROR_DISCONNECTED once the other end has ended and all that it asked for is answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_next(
    service: *const axonic_service,
    timeout: i64,
    out: *mut axonic_request,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(service)?) };
        let taken = match args::timeout(timeout) {
            Timeout::Try => state
                .service
                .try_next()?
                .ok_or_else(|| Failure::nothing("service", &state.name, "no call is there now"))?,
            Timeout::Wait(limit) => state.service.next(limit)?,
        };
        out.set(request::hand_out(taken)?);
        Ok(())
    })
}

/// A descriptor for poll() and epoll, readable until axonic_service_next() with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the service.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_fd(service: *const axonic_service, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(service)?) };
        out.set(state.service.fd()?);
        Ok(())
    })
}

/// For event loops: writes the numbers (`id` of axonic_request) of up to `capacity` calls at work that nobody waits for any
/// more, since axonic_service_fd() or the last time, to `ids`, and how many to `out_count`. axonic_service_next() finds them
/// out: look after it has answered AXONIC_ERROR_WOULD_BLOCK, until this writes 0, and stop the work on them. They are still
/// to be answered or released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_take_given_up(
    service: *const axonic_service,
    ids: *mut u64,
    capacity: usize,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        unsafe {
            let state = handle::get(service)?;
            state.given_up.hand_out((ids, capacity), out_count, || Ok(state.service.take_given_up()))
        }
    })
}

/// The same of calls at work whose streams may go on, from the first time on: their callers take more, have sent more, or
/// take nothing any more. What answered AXONIC_ERROR_WOULD_BLOCK for one is worth trying again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_service_take_news(
    service: *const axonic_service,
    ids: *mut u64,
    capacity: usize,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        unsafe {
            let state = handle::get(service)?;
            state.news.hand_out((ids, capacity), out_count, || Ok(state.service.take_news()))
        }
    })
}
