//! The putting side.

use super::{
    axonic_put_options, axonic_queue_options, axonic_queue_stats, axonic_receipt, options, stats, waits,
};
use crate::args::{self, Out, Timeout};
use crate::domain::axonic_domain;
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::message::{Sent, axonic_payload};
use crate::ticket;
use axonic::{Payload, Put, QueueProducer, Receipt};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

/// The putting side of a queue.
pub struct axonic_queue_producer(());

pub(crate) struct Putting {
    pub(crate) producer: QueueProducer,
    name: Arc<CStr>,
}

impl Noun for axonic_queue_producer {
    const NAME: &'static str = "axonic_queue_producer";
    type State = Putting;
}
/// # Safety
/// The header's rules for options.
unsafe fn put(options: *const axonic_put_options) -> Outcome<Put> {
    // SAFETY: the caller's promise.
    let given = unsafe { args::versioned(options)? };
    // SAFETY: as above.
    let dedup_id = unsafe { args::optional_text(given.dedup_id, "dedup_id")? };
    Ok(Put {
        // What is over 255 is refused as 255 is.
        priority: given.priority.try_into().unwrap_or(u8::MAX),
        delay: args::duration(given.delay, "delay")?,
        ttl: args::optional_duration(given.ttl, "ttl")?,
        dedup_id: dedup_id.map(str::to_owned),
        durable: waits(given.durable),
        result: given.result != 0,
    })
}
/// Opens the putting side of a queue, making it if there is none. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_queue_options,
    out: *mut *mut axonic_queue_producer,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, name, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(name, "name")?, args::versioned(options)?)
        };
        // SAFETY: as above.
        let schema = unsafe { args::schema(given.schema)? };
        let producer = domain.domain.queue_producer(name, &self::options(&given, schema)?)?;
        let name = args::c_string(producer.name()).into();
        out.set(handle::give::<axonic_queue_producer>(Putting { producer, name }));
        Ok(())
    })
}

/// Ends it. What it has put stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_close(producer: *mut axonic_queue_producer) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(producer) })
}

/// Puts a copy of raw bytes, an ordinary message, waiting for room, and until it is on the disk if the queue's
/// axonic_fsync says so. `timeout` is for both. If it is 0 no room is waited for, but the disk for as long as it
/// takes; axonic_queue_producer_send() with a negative `durable` does not wait for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_put(
    producer: *mut axonic_queue_producer,
    data: *const c_void,
    size: usize,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, data) = unsafe { (handle::get_mut(producer)?, args::bytes(data, size)?) };
        match args::timeout(timeout) {
            Timeout::Try => state.producer.try_put(&Payload::raw(data), &Put::default()).map(drop)?,
            Timeout::Wait(limit) => state.producer.put(data, limit)?,
        }
        Ok(())
    })
}

/// Puts a copy of a payload as `options` say (NULL: as an ordinary message), waiting as
/// axonic_queue_producer_put() does, unless `durable` says otherwise. `out` is NULL when nobody needs the
/// receipt; a ticket needs it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_send(
    producer: *mut axonic_queue_producer,
    payload: *const axonic_payload,
    options: *const axonic_put_options,
    timeout: i64,
    out: *mut axonic_receipt,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, sent, put) =
            unsafe { (handle::get_mut(producer)?, Sent::read(payload)?, self::put(options)?) };
        if put.result && out.is_null() {
            return Err(Failure::argument("the result was asked for, and the place for the receipt is NULL"));
        }
        let receipt = match args::timeout(timeout) {
            Timeout::Try => state.producer.try_put(&sent.payload(), &put)?,
            Timeout::Wait(limit) => state.producer.put_with(&sent.payload(), &put, limit)?,
        };
        if !out.is_null() {
            // SAFETY: the header's rules for pointers.
            unsafe { Out::new(out)? }.set(describe_receipt(receipt, &state.name));
        }
        Ok(())
    })
}

fn describe_receipt(receipt: Receipt, queue: &Arc<CStr>) -> axonic_receipt {
    let duplicate = i32::from(receipt.is_duplicate());
    let ticket = receipt.ticket().map_or(null_mut(), |ticket| ticket::give(ticket, queue));
    axonic_receipt { ticket, duplicate, reserved0: 0, reserved: [0; 2] }
}

/// Puts `count` payloads one after another, each as `options` say, waiting for room up to `timeout` in
/// all, and writes to `out_count` how many were put: fewer than `count` where a later one found no room
/// or failed, which the next call tells. There are no tickets. With AXONIC_ERROR_NOT_DURABLE, too,
/// `out_count` is how many are in the queue: do not put them again. The disk is waited for once, in what is
/// left of the time: unlike a put of one, a call with timeout 0 gives up, with that error, if somebody else is
/// just writing to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_put_many(
    producer: *mut axonic_queue_producer,
    payloads: *const axonic_payload,
    count: usize,
    options: *const axonic_put_options,
    timeout: i64,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out_count)?, handle::get_mut(producer)?) };
        // SAFETY: as above.
        let (sent, put) = unsafe { (Sent::read_many(payloads, count)?, self::put(options)?) };
        let payloads: Vec<Payload> = sent.iter().map(Sent::payload).collect();
        let done = args::within(timeout, |limit| state.producer.put_many(&payloads, &put, limit));
        match &done {
            Ok(count) => out.set(*count),
            Err(Failure::Core(error)) if error.accepted() > 0 => out.set(error.accepted()),
            Err(_) => {}
        }
        done.map(drop)
    })
}

/// Returns when everything that was put into this queue and settled before is on the disk; at once if it
/// is in memory only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_sync(
    producer: *mut axonic_queue_producer,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get_mut(producer)? };
        args::within(timeout, |limit| state.producer.sync(limit))
    })
}

/// A descriptor for poll() and epoll, readable until a put or a result with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK, and again when it should be tried again. Only poll it; it belongs to
/// the producer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_fd(
    producer: *mut axonic_queue_producer,
    out: *mut c_int,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(producer)?) };
        out.set(state.producer.fd()?);
        Ok(())
    })
}

/// What is in the queue, and its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_producer_get_stats(
    producer: *mut axonic_queue_producer,
    out: *mut axonic_queue_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(producer)?) };
        out.set(stats(state.producer.stats()));
        Ok(())
    })
}
