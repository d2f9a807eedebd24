//! The bare ring: one producer, one consumer, messages in order, written and read in place.

use crate::args::{self, Out, Timeout, Versioned};
use crate::domain::{self, axonic_domain};
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use axonic::{RingConsumer, RingOptions, RingProducer, RingStats};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null;
use std::sync::Arc;

/// The writing end of a ring.
pub struct axonic_ring_producer(());

pub(crate) struct Writing {
    producer: RingProducer,
    name: Arc<CStr>,
}

impl Noun for axonic_ring_producer {
    const NAME: &'static str = "axonic_ring_producer";
    type State = Writing;
}

/// The reading end of a ring.
pub struct axonic_ring_consumer(());

pub(crate) struct Reading {
    consumer: RingConsumer,
    name: Arc<CStr>,
}

impl Noun for axonic_ring_consumer {
    const NAME: &'static str = "axonic_ring_consumer";
    type State = Reading;
}

/// Start with AXONIC_RING_OPTIONS_INIT. 0 means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_ring_options {
    /// sizeof(axonic_ring_options)
    pub size: usize,
    /// The largest message in bytes; default 512 KiB. Whoever makes the ring decides.
    pub capacity: usize,
    /// An axonic_wait.
    pub wait: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_ring_options {
    const INIT: Self = axonic_ring_options { size: size_of::<Self>(), capacity: 0, wait: 0, reserved: 0 };
    const NAME: &'static str = "axonic_ring_options";
}

/// Counters of one end of a ring.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_ring_stats {
    /// Since the ring was made.
    pub messages: u64,
    /// Times the producer had to wait for room.
    pub blocked: u64,
    /// Bytes of the ring that are written and not given back yet, record headers included.
    pub pending_bytes: u64,
    /// Messages that are written and not given back yet.
    pub pending_messages: u64,
    /// Times a sleeping consumer was woken.
    pub wakes_sent: u64,
    /// Messages for which the consumer had not to be woken.
    pub wakes_elided: u64,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

fn stats(stats: RingStats) -> axonic_ring_stats {
    let RingStats { messages, blocked, wakes_sent, wakes_elided, pending_messages, pending_bytes } = stats;
    axonic_ring_stats {
        messages,
        blocked,
        pending_bytes,
        pending_messages,
        wakes_sent,
        wakes_elided,
        reserved: [0; 2],
    }
}

fn options(given: &axonic_ring_options) -> Outcome<RingOptions> {
    let capacity = args::or_default(given.capacity, RingOptions::default().capacity);
    Ok(RingOptions { capacity, wait: domain::wait(given.wait)? })
}

/// Opens the writing end of a ring and creates the ring if needed. A ring has one of each:
/// AXONIC_ERROR_BUSY for a second one. What is pushed before a consumer opened waits for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_ring_options,
    out: *mut *mut axonic_ring_producer,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, name, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(name, "name")?, args::versioned(options)?)
        };
        let producer = domain.domain.ring_producer(name, &self::options(&given)?)?;
        let name = args::c_string(producer.name()).into();
        out.set(handle::give::<axonic_ring_producer>(Writing { producer, name }));
        Ok(())
    })
}

/// Ends the writing end; the consumer reads what is left, then answers AXONIC_ERROR_DISCONNECTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_close(producer: *mut axonic_ring_producer) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(producer) })
}

/// The ring's name. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_name(producer: *const axonic_ring_producer) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(producer)? }.name.as_ptr()))
}

/// Pushes a copy of a message, waiting for room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_push(
    producer: *mut axonic_ring_producer,
    data: *const c_void,
    size: usize,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, data) = unsafe { (handle::get_mut(producer)?, args::bytes(data, size)?) };
        match args::timeout(timeout) {
            Timeout::Try => state.producer.try_push(data)?,
            Timeout::Wait(limit) => state.producer.push(data, limit)?,
        }
        Ok(())
    })
}

/// Room for a message of `size` bytes to be written in place, aligned to 16 bytes; nothing is sent
/// before axonic_ring_producer_commit(). Valid until the next call on this producer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_reserve(
    producer: *mut axonic_ring_producer,
    size: usize,
    timeout: i64,
    out: *mut *mut c_void,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(producer)?) };
        let room = args::within(timeout, |limit| state.producer.reserve(size, limit))?;
        out.set(room.as_mut_ptr().cast());
        Ok(())
    })
}

/// Sends the first `size` bytes of what was reserved last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_commit(
    producer: *mut axonic_ring_producer,
    size: usize,
) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| Ok(unsafe { handle::get_mut(producer)? }.producer.commit(size)?))
}

/// A descriptor for poll() and epoll, readable until a push with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK, and again when it should be tried again. Only poll it; it belongs to
/// the producer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_fd(
    producer: *mut axonic_ring_producer,
    out: *mut c_int,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(producer)?) };
        out.set(state.producer.fd()?);
        Ok(())
    })
}

/// Its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_producer_get_stats(
    producer: *mut axonic_ring_producer,
    out: *mut axonic_ring_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(producer)?) };
        out.set(stats(state.producer.stats()));
        Ok(())
    })
}

/// Opens the reading end of a ring and creates the ring if needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_ring_options,
    out: *mut *mut axonic_ring_consumer,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, name, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(name, "name")?, args::versioned(options)?)
        };
        let consumer = domain.domain.ring_consumer(name, &self::options(&given)?)?;
        let name = args::c_string(consumer.name()).into();
        out.set(handle::give::<axonic_ring_consumer>(Reading { consumer, name }));
        Ok(())
    })
}

/// Ends the reading end; another consumer may take its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_close(consumer: *mut axonic_ring_consumer) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(consumer) })
}

/// The ring's name. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_name(consumer: *const axonic_ring_consumer) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(consumer)? }.name.as_ptr()))
}

/// The next message, read in place: valid until the next axonic_ring_consumer_pop() or
/// axonic_ring_consumer_release(), which give its room back to the producer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_pop(
    consumer: *mut axonic_ring_consumer,
    timeout: i64,
    out_data: *mut *const c_void,
    out_size: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (data, size, state) =
            unsafe { (Out::new(out_data)?, Out::new(out_size)?, handle::get_mut(consumer)?) };
        let message = match args::timeout(timeout) {
            Timeout::Try => state
                .consumer
                .try_pop()?
                .ok_or_else(|| Failure::nothing("ring", &state.name, "no message is in it yet"))?,
            Timeout::Wait(limit) => state.consumer.pop(limit)?,
        };
        data.set(message.as_ptr().cast());
        size.set(message.len());
        Ok(())
    })
}

/// Gives the room of the message popped last back to the producer; no-op if it was given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_release(consumer: *mut axonic_ring_consumer) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        Ok(unsafe { handle::get_mut(consumer)? }.consumer.release()?)
    })
}

/// A descriptor for poll() and epoll, readable until a pop with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the consumer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_fd(
    consumer: *mut axonic_ring_consumer,
    out: *mut c_int,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(consumer)?) };
        out.set(state.consumer.fd()?);
        Ok(())
    })
}

/// Its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ring_consumer_get_stats(
    consumer: *mut axonic_ring_consumer,
    out: *mut axonic_ring_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(consumer)?) };
        out.set(stats(state.consumer.stats()));
        Ok(())
    })
}
