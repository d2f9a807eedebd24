//! Clients: whoever calls a service.

use crate::args::{self, Out, Versioned};
use crate::channel;
use crate::domain::axonic_domain;
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::message::held;
use crate::message::{Sent, axonic_message, axonic_payload};
use crate::news::News;
use axonic::{CallOptions, Client, ClientOptions, ErrorKind, Payload};
use call::axonic_call;
use std::ffi::{c_char, c_int};
use std::ptr::null;
use std::time::Duration;

pub mod call;

/// Calls a service, at any of its providers. It may be used by several threads at once.
pub struct axonic_client(());

pub(crate) struct State {
    client: Client,
    news: News,
}

impl State {
    /// What a poll says that found nothing.
    fn not_now(&self, happened: &str, remedy: &str) -> Failure {
        let text = format!("client of '{}': {happened}; {remedy}", self.client.service());
        Failure::new(ErrorKind::WouldBlock, text)
    }
}

impl Noun for axonic_client {
    const NAME: &'static str = "axonic_client";
    type State = State;
}

/// Start with AXONIC_CLIENT_OPTIONS_INIT. 0 means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_client_options {
    /// sizeof(axonic_client_options)
    pub size: usize,
    /// Where the service is (see axonic_channel_connect()); NULL or "": at whoever provides it in the domain.
    pub address: *const c_char,
    /// The largest message in bytes, as in axonic_channel_options; one call, item or result is one.
    pub max_message: usize,
    /// An axonic_wait.
    pub wait: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_client_options {
    const INIT: Self = axonic_client_options {
        size: size_of::<Self>(),
        address: null(),
        max_message: 0,
        wait: 0,
        reserved: 0,
    };
    const NAME: &'static str = "axonic_client_options";
}

/// How to call. Start with AXONIC_CALL_OPTIONS_INIT: one payload there, one back, for ever.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_call_options {
    /// sizeof(axonic_call_options)
    pub size: usize,
    /// Nanoseconds it may take, sending included; the service is told. Negative: until it is done, or its provider is gone.
    pub timeout: i64,
    /// Not 0: the caller streams its input with axonic_call_send(), after the payload of the call.
    pub input: i32,
    /// Not 0: the caller takes items that the service streams, with axonic_call_next().
    pub stream: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_call_options {
    const INIT: Self = axonic_call_options { size: size_of::<Self>(), timeout: -1, input: 0, stream: 0 };
    const NAME: &'static str = "axonic_call_options";
}

impl axonic_call_options {
    fn read(&self) -> CallOptions {
        let timeout = u64::try_from(self.timeout).ok().map(Duration::from_nanos);
        CallOptions { timeout, input: self.input != 0, stream: self.stream != 0 }
    }
}

/// # Safety
/// The header's rules for strings.
unsafe fn options(given: &axonic_client_options) -> Outcome<ClientOptions> {
    // SAFETY: the caller's promise.
    let address = unsafe { args::optional_text(given.address, "address")? };
    let channel = channel::options(given.max_message, given.wait, false)?;
    Ok(ClientOptions { address: address.map(Into::into), channel })
}

/// Calls the service `service` of whoever provides a version in `range`, such as "^1.2". That nobody does is told by
/// calls: AXONIC_ERROR_UNAVAILABLE. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_open(
    domain: *const axonic_domain,
    service: *const c_char,
    range: *const c_char,
    options: *const axonic_client_options,
    out: *mut *mut axonic_client,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, domain, given) =
            unsafe { (Out::new(out)?, handle::get(domain)?, args::versioned(options)?) };
        // SAFETY: the header's rules for strings.
        let (service, range, options) =
            unsafe { (args::text(service, "service")?, args::text(range, "range")?, self::options(&given)?) };
        let client = domain.domain.client(service, range, &options)?;
        out.set(handle::give::<axonic_client>(State { client, news: News::default() }));
        Ok(())
    })
}

/// Ends it. Its calls that are under way fail; they are still to be closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_close(client: *mut axonic_client) -> c_int {
    enter(|| {
        if !client.is_null() {
            // SAFETY: the header's rules for handles.
            unsafe { handle::take(client)? }.client.close();
        }
        Ok(())
    })
}

/// Calls a method with a payload (NULL: with nothing) and waits for its result; axonic_message_release() ends that.
/// AXONIC_ERROR_CALL_FAILED, _UNAVAILABLE, _TIMEOUT and _CANCELLED have a status: axonic_last_status().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_call(
    client: *const axonic_client,
    method: *const c_char,
    payload: *const axonic_payload,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings, options and pointers.
        let (out, state, method, sent) = unsafe {
            (Out::new(out)?, handle::get(client)?, args::text(method, "method")?, Sent::optional(payload)?)
        };
        let payload = sent.as_ref().map_or(Payload::raw(&[]), Sent::payload);
        let result = args::within(timeout, |limit| state.client.call(method, payload, limit))?;
        out.set(held::hand_out_body(result)?);
        Ok(())
    })
}

/// Sends a call on its way, to the provider with the fewest under way. `options` NULL: the defaults. The first one to a provider
/// waits until that takes calls and has let this client in, as far as there is time for the call; who must not wait uses
/// axonic_client_try_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_start(
    client: *const axonic_client,
    method: *const c_char,
    payload: *const axonic_payload,
    options: *const axonic_call_options,
    out: *mut *mut axonic_call,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, options and pointers.
        let (out, state, given) =
            unsafe { (Out::new(out)?, handle::get(client)?, args::versioned(options)?) };
        // SAFETY: the header's rules for strings and options.
        let (method, sent) = unsafe { (args::text(method, "method")?, Sent::optional(payload)?) };
        let payload = sent.as_ref().map_or(Payload::raw(&[]), Sent::payload);
        out.set(call::give(state.client.start(method, payload, &given.read())?));
        Ok(())
    })
}

/// The same for who must not wait, in an event loop: AXONIC_ERROR_WOULD_BLOCK where it would have to be connected to a
/// provider first, which axonic_client_connect() does. What finds no room is kept; it goes out with
/// axonic_client_take_news(), or axonic_client_flush().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_try_start(
    client: *const axonic_client,
    method: *const c_char,
    payload: *const axonic_payload,
    options: *const axonic_call_options,
    out: *mut *mut axonic_call,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, options and pointers.
        let (out, state, given) =
            unsafe { (Out::new(out)?, handle::get(client)?, args::versioned(options)?) };
        // SAFETY: the header's rules for strings and options.
        let (method, sent) = unsafe { (args::text(method, "method")?, Sent::optional(payload)?) };
        let payload = sent.as_ref().map_or(Payload::raw(&[]), Sent::payload);
        let started = state.client.try_start(method, payload, &given.read())?;
        let remedy = "call axonic_client_connect() where it may wait, and try again";
        out.set(call::give(
            started.ok_or_else(|| state.not_now("it is not connected to a provider", remedy))?,
        ));
        Ok(())
    })
}

/// Connects to whoever provides the service now, ahead of calls; for a thread that may wait while an event loop goes on.
/// AXONIC_ERROR_UNAVAILABLE at once where nobody does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_connect(client: *const axonic_client, timeout: i64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get(client)? };
        args::within(timeout, |limit| state.client.connect(limit))
    })
}

/// Sends what axonic_client_try_start() and axonic_call_send() with timeout 0 could not yet, as far as there is room.
/// AXONIC_ERROR_WOULD_BLOCK: some is left. Never waits; who waits for a result, and axonic_client_take_news(), do it too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_flush(client: *const axonic_client) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get(client)? };
        match state.client.flush()? {
            true => Ok(()),
            false => {
                Err(state.not_now("what was sent finds no room", "wait for its descriptor, and try again"))
            }
        }
    })
}

/// A descriptor for poll() and epoll, readable until axonic_client_take_news() has found nothing (level-triggered). Only
/// poll it; it belongs to the client. It does not tell of what another thread has read that waits for a call meanwhile: that
/// one uses a client of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_fd(client: *const axonic_client, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(client)?) };
        out.set(state.client.fd()?);
        Ok(())
    })
}

/// Reads what came, and writes the numbers (axonic_call_id()) of up to `capacity` calls that something came for since the
/// last time to `ids`, and how many to `out_count`. Those that do not fit come first next time: call it until it writes 0,
/// and only then wait for the descriptor again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_client_take_news(
    client: *const axonic_client,
    ids: *mut u64,
    capacity: usize,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        unsafe {
            let state = handle::get(client)?;
            state.news.hand_out((ids, capacity), out_count, || state.client.take_news())
        }
    })
}
