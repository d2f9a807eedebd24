//! The reading side of topics.

use crate::args::{self, Out, Timeout, Versioned};
use crate::domain::{self, axonic_domain};
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use crate::message::held::{self, Borrowed, Memory};
use crate::message::{Strings, axonic_message, axonic_sample, describe};
use axonic::{Sample, Schema, Start, Subscriber, SubscriberOptions};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null;
use std::sync::Arc;

/// Receives what is published to the topics that match its pattern.
pub struct axonic_subscriber(());

pub(crate) struct State {
    pub(crate) subscriber: Subscriber,
    pattern: Arc<CStr>,
    /// Of the message received last.
    strings: Strings,
}

impl Noun for axonic_subscriber {
    const NAME: &'static str = "axonic_subscriber";
    type State = State;
}

/// Where a subscriber begins with publishers that were there before it.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_start {
    /// With the next message.
    AXONIC_START_LATEST = 0,
    /// With the oldest message that is still there.
    AXONIC_START_OLDEST = 1,
}

/// Start with AXONIC_SUBSCRIBER_OPTIONS_INIT. 0 means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_subscriber_options {
    /// sizeof(axonic_subscriber_options)
    pub size: usize,
    /// An axonic_start.
    pub start: i32,
    /// An axonic_wait.
    pub wait: i32,
    /// Messages borrowed at once; default 128, at most 1024.
    pub max_borrowed: usize,
    /// JSON Schema text, read while the subscriber is opened; NULL or "": none. A message that does not
    /// satisfy it is passed over with AXONIC_ERROR_DECODE. Bytes and tensors satisfy no schema.
    pub schema: *const c_char,
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_subscriber_options {
    const INIT: Self = axonic_subscriber_options {
        size: size_of::<Self>(),
        start: axonic_start::AXONIC_START_LATEST as i32,
        wait: 0,
        max_borrowed: 0,
        schema: null(),
    };
    const NAME: &'static str = "axonic_subscriber_options";
}

/// Counters of a subscriber, as `axonic stat` shows them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_subscriber_stats {
    pub received: u64,
    pub bytes: u64,
    /// Messages overwritten before it read them.
    pub missed: u64,
    /// Publishers it reads from, ended ones with unread messages included.
    pub rings: u64,
    /// Borrowed messages that hold a publisher's memory.
    pub pinned: u64,
    /// Of these rings, those whose publishers have ended and that are still to be read out.
    pub orphans: u64,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

fn options(given: &axonic_subscriber_options, schema: Option<Schema>) -> Outcome<SubscriberOptions> {
    use axonic_start::*;
    let choices = [(AXONIC_START_LATEST as i32, Start::Latest), (AXONIC_START_OLDEST as i32, Start::Oldest)];
    Ok(SubscriberOptions {
        start: args::choice(given.start, &choices, "axonic_start")?,
        max_borrowed: args::or_default(given.max_borrowed, SubscriberOptions::default().max_borrowed),
        schema,
        wait: domain::wait(given.wait)?,
    })
}

/// Subscribes to a topic or a pattern: "orders.created", "orders.*" (one token), "orders.>" (the
/// rest). `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_open(
    domain: *const axonic_domain,
    pattern: *const c_char,
    options: *const axonic_subscriber_options,
    out: *mut *mut axonic_subscriber,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, pattern, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(pattern, "pattern")?, args::versioned(options)?)
        };
        // SAFETY: as above.
        let schema = unsafe { args::schema(given.schema)? };
        let subscriber = domain.domain.subscriber(pattern, &self::options(&given, schema)?)?;
        let pattern = args::c_string(subscriber.pattern()).into();
        let strings = Strings::default();
        out.set(handle::give::<axonic_subscriber>(State { subscriber, pattern, strings }));
        Ok(())
    })
}

/// Ends the subscription. Borrowed messages stay valid until they are released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_close(subscriber: *mut axonic_subscriber) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(subscriber) })
}

/// Its pattern. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_pattern(subscriber: *const axonic_subscriber) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(subscriber)? }.pattern.as_ptr()))
}

/// Its id. 0 on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_id(subscriber: *const axonic_subscriber) -> u64 {
    // SAFETY: the header's rules for handles.
    enter_or(0, || Ok(unsafe { handle::get(subscriber)? }.subscriber.id()))
}

fn nothing(pattern: &Arc<CStr>) -> Failure {
    Failure::nothing("subscriber", pattern, "no message is there yet")
}

/// Copies the next message into the subscriber and describes it in `out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_receive(
    subscriber: *mut axonic_subscriber,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(subscriber)?) };
        let message = match args::timeout(timeout) {
            Timeout::Try => state.subscriber.try_receive()?.ok_or_else(|| nothing(&state.pattern))?,
            Timeout::Wait(limit) => state.subscriber.receive(limit)?,
        };
        out.set(describe!(message, state.strings));
        Ok(())
    })
}

/// As axonic_subscriber_receive() without the copy: a larger message is read where its publisher
/// wrote it. Ends with axonic_subscriber_release().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_borrow(
    subscriber: *mut axonic_subscriber,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(subscriber)?) };
        let sample = match args::timeout(timeout) {
            Timeout::Try => state.subscriber.try_borrow()?.ok_or_else(|| nothing(&state.pattern))?,
            Timeout::Wait(limit) => state.subscriber.borrow(limit)?,
        };
        out.set(lend(sample)?);
        Ok(())
    })
}

fn lend(sample: Sample) -> Outcome<axonic_message> {
    let mut strings = Strings::default();
    let mut message = describe!(sample, strings);
    message.sample = handle::give::<axonic_sample>(Borrowed {
        _memory: Memory::Sample(sample),
        _strings: strings,
        _descriptors: Vec::new(),
    });
    Ok(message)
}

/// Ends a borrow; the struct becomes an empty message. No-op for NULL and for a message that is not
/// borrowed. Needs no subscriber and may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_release(message: *mut axonic_message) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { held::release(message) })
}

/// Live publishers whose topic matches, now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_publishers(
    subscriber: *mut axonic_subscriber,
    out: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(subscriber)?) };
        out.set(state.subscriber.publishers());
        Ok(())
    })
}

/// A descriptor for poll() and epoll, readable until a call with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the subscriber.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_fd(subscriber: *mut axonic_subscriber, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(subscriber)?) };
        out.set(state.subscriber.fd()?);
        Ok(())
    })
}

/// Its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_subscriber_get_stats(
    subscriber: *mut axonic_subscriber,
    out: *mut axonic_subscriber_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(subscriber)?) };
        let stats = state.subscriber.stats();
        out.set(axonic_subscriber_stats {
            received: stats.received,
            bytes: stats.bytes,
            missed: stats.missed,
            rings: stats.rings as u64,
            pinned: stats.pinned as u64,
            orphans: stats.orphans as u64,
            reserved: [0; 2],
        });
        Ok(())
    })
}
