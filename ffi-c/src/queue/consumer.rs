//! The taking side.

use super::{
    axonic_get_options, axonic_peeked, axonic_queue_options, axonic_queue_stats, axonic_reason, options,
    stats, waits,
};
use crate::args::{self, Out, Timeout};
use crate::delivery::{self, Held, axonic_delivery};
use crate::domain::axonic_domain;
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::message::{Strings, axonic_message};
use axonic::{Get, Peeked, QueueConsumer};
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::Arc;

/// The taking side of a queue.
pub struct axonic_queue_consumer(());

pub(crate) struct Taking {
    consumer: QueueConsumer,
    name: Arc<CStr>,
    /// What was looked at last, and the structs that point at it.
    seen: Vec<Seen>,
    peeked: Vec<axonic_peeked>,
}

impl Noun for axonic_queue_consumer {
    const NAME: &'static str = "axonic_queue_consumer";
    type State = Taking;
}
/// # Safety
/// The header's rules for options.
unsafe fn get(options: *const axonic_get_options) -> Outcome<Get> {
    // SAFETY: the caller's promise.
    let given = unsafe { args::versioned(options)? };
    Ok(Get { lease: args::optional_duration(given.lease, "lease")?, durable: waits(given.durable) })
}
/// Opens the taking side of a queue, making it if there is none. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_queue_options,
    out: *mut *mut axonic_queue_consumer,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, name, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(name, "name")?, args::versioned(options)?)
        };
        // SAFETY: as above.
        let schema = unsafe { args::schema(given.schema)? };
        let consumer = domain.domain.queue_consumer(name, &self::options(&given, schema)?)?;
        let name = args::c_string(consumer.name()).into();
        let taking = Taking { consumer, name, seen: Vec::new(), peeked: Vec::new() };
        out.set(handle::give::<axonic_queue_consumer>(taking));
        Ok(())
    })
}

/// Ends it. Deliveries that are not settled stay its own until they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_close(consumer: *mut axonic_queue_consumer) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(consumer) })
}

/// Takes the next message, waiting for one: of the highest priority, and of these what was given back
/// before what is delivered first. It is settled with axonic_delivery_ack(), _nack() or _reject(), or
/// given back with _release().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_get(
    consumer: *mut axonic_queue_consumer,
    options: *const axonic_get_options,
    timeout: i64,
    out: *mut axonic_delivery,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state, get) = unsafe { (Out::new(out)?, handle::get_mut(consumer)?, self::get(options)?) };
        let taken = match args::timeout(timeout) {
            Timeout::Try => state
                .consumer
                .try_get_with(&get)?
                .ok_or_else(|| Failure::nothing("queue", &state.name, "no message is in it now"))?,
            Timeout::Wait(limit) => state.consumer.get_with(&get, limit)?,
        };
        out.set(delivery::hand_out(Held::new(taken, &state.name)?)?);
        Ok(())
    })
}

/// Waits for a message, takes up to `capacity` that are there then, and writes them to `out` and their
/// number to `out_count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_get_many(
    consumer: *mut axonic_queue_consumer,
    options: *const axonic_get_options,
    timeout: i64,
    out: *mut axonic_delivery,
    capacity: usize,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (count, state, get) =
            unsafe { (Out::new(out_count)?, handle::get_mut(consumer)?, self::get(options)?) };
        if out.is_null() || !out.is_aligned() || capacity == 0 {
            return Err(Failure::argument("there is no room for deliveries"));
        }
        let taken = args::within(timeout, |limit| state.consumer.get_many(capacity, &get, limit))?;
        // What cannot be described gives all of them back.
        let held: Outcome<Vec<Held>> = taken.into_iter().map(|taken| Held::new(taken, &state.name)).collect();
        let held = held?;
        count.set(held.len());
        for (index, held) in held.into_iter().enumerate() {
            // SAFETY: inside the caller's array of `capacity`.
            unsafe { out.add(index).write(delivery::hand_out(held)?) };
        }
        Ok(())
    })
}

/// A descriptor for poll() and epoll, readable until a get with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK (level-triggered). Only poll it; it belongs to the consumer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_fd(
    consumer: *mut axonic_queue_consumer,
    out: *mut c_int,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(consumer)?) };
        out.set(state.consumer.fd()?);
        Ok(())
    })
}

/// As axonic_queue_producer_sync().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_sync(
    consumer: *mut axonic_queue_consumer,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get_mut(consumer)? };
        args::within(timeout, |limit| state.consumer.sync(limit))
    })
}

/// Up to `most` messages that can be delivered now, in that order, without taking them; how many is
/// written to `out_count`. Valid until the next axonic_queue_consumer_peek() or
/// axonic_queue_consumer_dead_letters() on this consumer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_peek(
    consumer: *mut axonic_queue_consumer,
    most: usize,
    out: *mut *const axonic_peeked,
    out_count: *mut usize,
) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { look(consumer, out, out_count, |consumer| consumer.peek(most)) })
}

/// As axonic_queue_consumer_peek() with the dead letters, in no order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_dead_letters(
    consumer: *mut axonic_queue_consumer,
    most: usize,
    out: *mut *const axonic_peeked,
    out_count: *mut usize,
) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { look(consumer, out, out_count, |consumer| consumer.dead_letters(most)) })
}

/// # Safety
/// The header's rules for handles and pointers.
unsafe fn look(
    consumer: *mut axonic_queue_consumer,
    out: *mut *const axonic_peeked,
    out_count: *mut usize,
    look: impl FnOnce(&mut QueueConsumer) -> axonic::Result<Vec<Peeked>>,
) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let (out, count, state) = unsafe { (Out::new(out)?, Out::new(out_count)?, handle::get_mut(consumer)?) };
    let seen = look(&mut state.consumer)?;
    // Nothing of it moves before the next look: the structs point into it.
    state.seen = seen.into_iter().map(|peeked| Seen::new(peeked, &state.name)).collect();
    state.peeked = state.seen.iter().map(Seen::describe).collect();
    out.set(state.peeked.as_ptr());
    count.set(state.peeked.len());
    Ok(())
}

/// What a struct in C points into.
struct Seen {
    peeked: Peeked,
    reason: CString,
    strings: Strings,
}

impl Seen {
    fn new(peeked: Peeked, queue: &CStr) -> Seen {
        let mut strings = Strings::default();
        strings.set_topic(&queue.to_string_lossy());
        Seen { reason: args::c_string(peeked.reason_text()), peeked, strings }
    }

    fn describe(&self) -> axonic_peeked {
        let Seen { peeked, reason, strings } = self;
        axonic_peeked {
            message: axonic_message::new(peeked.data(), peeked.content(), None, strings),
            priority: u32::from(peeked.priority()),
            attempts: u32::from(peeked.attempts()),
            reason: peeked.reason().map_or(axonic_reason::AXONIC_REASON_NONE as i32, |reason| reason as i32),
            reserved0: 0,
            reason_text: reason.as_ptr(),
            reserved: [0; 2],
        }
    }
}

/// Takes all messages away that nobody has, those for later included, but not the dead letters. How many
/// is written to `out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_purge(
    consumer: *mut axonic_queue_consumer,
    out: *mut u64,
) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { set_many(consumer, out, QueueConsumer::purge) })
}

/// Takes all dead letters away. How many is written to `out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_purge_dead_letters(
    consumer: *mut axonic_queue_consumer,
    out: *mut u64,
) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { set_many(consumer, out, QueueConsumer::purge_dead_letters) })
}

/// Lets up to `most` dead letters be delivered again, as if they never had been. How many is written to
/// `out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_redrive(
    consumer: *mut axonic_queue_consumer,
    most: usize,
    out: *mut u64,
) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { set_many(consumer, out, |consumer| consumer.redrive(most)) })
}

/// # Safety
/// The header's rules for handles and pointers.
unsafe fn set_many(
    consumer: *mut axonic_queue_consumer,
    out: *mut u64,
    set: impl FnOnce(&mut QueueConsumer) -> axonic::Result<u64>,
) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(consumer)?) };
    out.set(set(&mut state.consumer)?);
    Ok(())
}

/// What is in the queue, and its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_queue_consumer_get_stats(
    consumer: *mut axonic_queue_consumer,
    out: *mut axonic_queue_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(consumer)?) };
        out.set(stats(state.consumer.stats()));
        Ok(())
    })
}
