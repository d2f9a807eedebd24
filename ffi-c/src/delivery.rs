//! A message that was taken from a queue and is to be settled.

use crate::args;
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::message::{Sent, Strings, axonic_message, axonic_payload};
use axonic::{Delivery, Tensor};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null_mut;

/// What keeps a delivery the consumer's.
pub struct axonic_delivery_token(());

pub(crate) struct Held {
    delivery: Delivery,
    tensor: Option<Tensor>,
    strings: Strings,
}

impl Noun for axonic_delivery_token {
    const NAME: &'static str = "axonic_delivery";
    type State = Held;
}

/// A message taken from a queue: nobody else gets it until it is settled, given back, or its consumer is
/// dead. Filled by axonic_queue_consumer_get(); all its pointers stay valid until it is settled or
/// released, once, whatever becomes of the consumer. Any thread may do that.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_delivery {
    pub message: axonic_message,
    /// 0 to 7.
    pub priority: u32,
    /// The number of this delivery of the message, from 1.
    pub attempt: u32,
    /// A number that is greater for each later delivery of the same message, to tell a storage that a late
    /// writer is late.
    pub token: u64,
    /// NULL once settled or released.
    pub held: *mut axonic_delivery_token,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

impl axonic_delivery {
    const SPENT: axonic_delivery = axonic_delivery {
        message: axonic_message::EMPTY,
        priority: 0,
        attempt: 0,
        token: 0,
        held: null_mut(),
        reserved: [0; 2],
    };
}

impl Held {
    /// With what its struct in C is to say, as far as that can fail.
    pub(crate) fn new(delivery: Delivery, queue: &CStr) -> Outcome<Held> {
        let mut strings = Strings::default();
        strings.set_topic(&queue.to_string_lossy());
        strings.set_attributes(&delivery.attributes()?);
        Ok(Held { tensor: delivery.tensor()?, delivery, strings })
    }
}

/// Moves a delivery behind a struct of C.
pub(crate) fn hand_out(held: Held) -> Outcome<axonic_delivery> {
    let token = handle::give::<axonic_delivery_token>(held);
    // Short messages lie in the delivery itself, so it is described where it stays.
    // SAFETY: just made, and nobody else has it.
    let Held { delivery, tensor, strings } = unsafe { handle::get(token)? };
    Ok(axonic_delivery {
        message: axonic_message::new(delivery.data(), delivery.content(), tensor.as_ref(), strings),
        priority: u32::from(delivery.priority()),
        attempt: u32::from(delivery.attempt()),
        token: delivery.token(),
        held: token,
        ..axonic_delivery::SPENT
    })
}

/// Takes the delivery out of its struct, which is spent then.
///
/// # Safety
/// The header's rules for pointers and handles.
unsafe fn settle(
    place: *mut axonic_delivery,
    how: impl FnOnce(Delivery) -> axonic::Result<()>,
) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let place = unsafe { place_of(place)? };
    let held = std::mem::replace(place, axonic_delivery::SPENT).held;
    // SAFETY: the caller's promise; the struct has just forgotten it.
    Ok(how(unsafe { handle::take(held)? }.delivery)?)
}

/// # Safety
/// The header's rules for pointers.
unsafe fn place_of<'a>(place: *mut axonic_delivery) -> Outcome<&'a mut axonic_delivery> {
    // SAFETY: NULL is answered; else the caller's promise.
    unsafe { place.as_mut() }.ok_or_else(|| Failure::argument("the delivery is NULL"))
}

/// The message is done with and goes. `result` is what its producer gets that waits for it; NULL: nothing.
/// The delivery is spent whatever the answer is but AXONIC_ERROR_INVALID_ARGUMENT, which changes nothing (so with
/// axonic_delivery_nack and axonic_delivery_reject): AXONIC_ERROR_LEASE_LOST when the message was somebody
/// else's already, AXONIC_ERROR_FULL when there was no room for the result and it was given back, and so it is by
/// AXONIC_ERROR_TOO_LARGE; with AXONIC_ERROR_NOT_DURABLE it is done with, and that is not known to be on the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_delivery_ack(
    delivery: *mut axonic_delivery,
    result: *const axonic_payload,
) -> c_int {
    enter(|| {
        if result.is_null() {
            // SAFETY: the header's rules for pointers and handles.
            return unsafe { settle(delivery, Delivery::ack) };
        }
        // SAFETY: the header's rules for pointers and handles.
        unsafe {
            let sent = Sent::read(result)?;
            settle(delivery, |delivery| delivery.ack_with(&sent.payload()))
        }
    })
}

/// Gives it back, to be delivered again after `delay` nanoseconds. Spent as by axonic_delivery_ack().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_delivery_nack(delivery: *mut axonic_delivery, delay: i64) -> c_int {
    enter(|| {
        let delay = args::duration(delay, "delay")?;
        // SAFETY: the header's rules for pointers and handles.
        unsafe { settle(delivery, |delivery| delivery.nack(delay)) }
    })
}

/// Nobody is to get it any more: it goes to the dead letters, with the reason in words (NULL or "": none),
/// of which 4,096 bytes are kept. Spent as by axonic_delivery_ack().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_delivery_reject(
    delivery: *mut axonic_delivery,
    reason: *const c_char,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for strings.
        let reason = unsafe { args::optional_text(reason, "reason")? }.unwrap_or_default();
        // SAFETY: the header's rules for pointers and handles.
        unsafe { settle(delivery, |delivery| delivery.reject(reason)) }
    })
}

/// From now on it is this consumer's for `lease` nanoseconds, whatever was left of it. Its `token` changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_delivery_extend(delivery: *mut axonic_delivery, lease: i64) -> c_int {
    enter(|| {
        let lease = args::duration(lease, "lease")?;
        // SAFETY: the header's rules for pointers and handles.
        let (place, held) = unsafe {
            let place = place_of(delivery)?;
            let held = handle::get_mut(place.held)?;
            (place, held)
        };
        held.delivery.extend(lease)?;
        place.token = held.delivery.token();
        Ok(())
    })
}

/// Tells a producer that waits for the result how far the work is, from 0 to 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_delivery_progress(delivery: *mut axonic_delivery, done: f64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers and handles.
        let held = unsafe { handle::get(place_of(delivery)?.held)? };
        Ok(held.delivery.progress(done)?)
    })
}

/// Ends it in any case: what is not settled is given back, to be delivered again at once. The struct
/// becomes an empty message. No-op for NULL and for a delivery that is spent. Needs no consumer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_delivery_release(delivery: *mut axonic_delivery) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        if let Some(place) = unsafe { delivery.as_mut() } {
            let held = std::mem::replace(place, axonic_delivery::SPENT).held;
            // SAFETY: the header's rules for handles; the struct has just forgotten it.
            unsafe { handle::close(held)? };
        }
        Ok(())
    })
}
