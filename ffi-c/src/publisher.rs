//! The writing side of a topic.

use crate::args::{self, Out, Timeout, Versioned};
use crate::domain::{self, axonic_domain};
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use crate::message::{Sent, axonic_payload};
use axonic::{Loan, LoanMeta, Overflow, Payload, Publisher, PublisherOptions, Schema};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

/// Publishes to one topic.
pub struct axonic_publisher(());

pub(crate) struct State {
    pub(crate) publisher: Publisher,
    topic: CString,
}

impl Noun for axonic_publisher {
    const NAME: &'static str = "axonic_publisher";
    type State = State;
}

/// What keeps a loan's memory in place.
pub struct axonic_loan_token(());

impl Noun for axonic_loan_token {
    const NAME: &'static str = "axonic_loan";
    type State = Loan;
}

/// What a publisher does when a subscriber has not read what it would overwrite.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_overflow {
    /// Overwrite the oldest; the next message received says how many were missed.
    AXONIC_OVERFLOW_DROP_OLDEST = 0,
    /// Wait for the slowest subscriber.
    AXONIC_OVERFLOW_BLOCK = 1,
    /// Refuse with AXONIC_ERROR_FULL.
    AXONIC_OVERFLOW_REJECT = 2,
}

/// Start with AXONIC_PUBLISHER_OPTIONS_INIT. 0 means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_publisher_options {
    /// sizeof(axonic_publisher_options)
    pub size: usize,
    /// An axonic_overflow.
    pub overflow: i32,
    /// An axonic_wait.
    pub wait: i32,
    /// Bytes of the ring of small messages; default 256 KiB.
    pub capacity: usize,
    /// Bytes larger messages (over 2 KiB) may use together; default 64 MiB.
    pub max_bytes: usize,
    /// Not 0: keep the messages after this publisher ends, for AXONIC_START_OLDEST.
    pub retain: i32,
    /// 0; for later versions.
    pub reserved: i32,
    /// JSON Schema text, read while the publisher is opened; NULL or "": none. A message that does not
    /// satisfy it is refused with AXONIC_ERROR_INVALID_ARGUMENT. Bytes and tensors satisfy no schema.
    pub schema: *const c_char,
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_publisher_options {
    const INIT: Self = axonic_publisher_options {
        size: size_of::<Self>(),
        overflow: axonic_overflow::AXONIC_OVERFLOW_DROP_OLDEST as i32,
        wait: 0,
        capacity: 0,
        max_bytes: 0,
        retain: 0,
        reserved: 0,
        schema: null(),
    };
    const NAME: &'static str = "axonic_publisher_options";
}

/// Memory of the publisher to write a message into. Fill `data`, lower `size` to publish less of it,
/// then axonic_publisher_commit() or axonic_publisher_abort(), once. It outlives its publisher.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_loan {
    /// Aligned to 64 bytes; what it holds at first is unspecified.
    pub data: *mut c_void,
    pub size: usize,
    /// NULL once committed or aborted.
    pub token: *mut axonic_loan_token,
}

impl axonic_loan {
    const SPENT: axonic_loan = axonic_loan { data: null_mut(), size: 0, token: null_mut() };
}

/// Counters of a publisher, as `axonic stat` shows them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_publisher_stats {
    pub published: u64,
    pub bytes: u64,
    /// Times it waited for room.
    pub blocked: u64,
    /// Sleeping subscribers it woke.
    pub wakes_sent: u64,
    /// Messages for which nobody had to be woken.
    pub wakes_elided: u64,
    pub subscribers: u64,
    /// Memory held for larger messages.
    pub slab_bytes: u64,
    /// Slots of that memory which readers have pinned now.
    pub pinned: u64,
    /// Finished publishers of this topic whose rings still wait for a reader, or are retained.
    pub orphans: u64,
    /// Those of which only the count is left, for subscribers that are still to be told what they missed.
    pub remnants: u64,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

fn options(given: &axonic_publisher_options, schema: Option<Schema>) -> Outcome<PublisherOptions> {
    use axonic_overflow::*;
    let choices = [
        (AXONIC_OVERFLOW_DROP_OLDEST as i32, Overflow::DropOldest),
        (AXONIC_OVERFLOW_BLOCK as i32, Overflow::Block),
        (AXONIC_OVERFLOW_REJECT as i32, Overflow::Reject),
    ];
    let default = PublisherOptions::default();
    Ok(PublisherOptions {
        overflow: args::choice(given.overflow, &choices, "axonic_overflow")?,
        capacity: args::or_default(given.capacity, default.capacity),
        max_bytes: args::or_default(given.max_bytes, default.max_bytes),
        retain: given.retain != 0,
        schema,
        wait: domain::wait(given.wait)?,
    })
}

/// Opens a publisher of a topic, "orders.created". `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_open(
    domain: *const axonic_domain,
    topic: *const c_char,
    options: *const axonic_publisher_options,
    out: *mut *mut axonic_publisher,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, topic, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(topic, "topic")?, args::versioned(options)?)
        };
        // SAFETY: as above.
        let schema = unsafe { args::schema(given.schema)? };
        let publisher = domain.domain.publisher(topic, &self::options(&given, schema)?)?;
        let topic = args::c_string(publisher.topic());
        out.set(handle::give::<axonic_publisher>(State { publisher, topic }));
        Ok(())
    })
}

/// Ends the publisher. What subscribers have not read yet stays readable to them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_close(publisher: *mut axonic_publisher) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(publisher) })
}

/// Its topic. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_topic(publisher: *const axonic_publisher) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(publisher)? }.topic.as_ptr()))
}

/// Its id, which its messages carry. 0 on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_id(publisher: *const axonic_publisher) -> u64 {
    // SAFETY: the header's rules for handles.
    enter_or(0, || Ok(unsafe { handle::get(publisher)? }.publisher.id()))
}

/// Publishes a copy of raw bytes; with AXONIC_OVERFLOW_BLOCK it waits for room for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_publish(
    publisher: *mut axonic_publisher,
    data: *const c_void,
    size: usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, data) = unsafe { (handle::get_mut(publisher)?, args::bytes(data, size)?) };
        Ok(state.publisher.publish(data)?)
    })
}

/// Publishes a copy of a payload; with AXONIC_OVERFLOW_BLOCK it waits for room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_send(
    publisher: *mut axonic_publisher,
    payload: *const axonic_payload,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, sent) = unsafe { (handle::get_mut(publisher)?, Sent::read(payload)?) };
        match args::timeout(timeout) {
            Timeout::Try => state.publisher.try_send(&sent.payload())?,
            Timeout::Wait(limit) => state.publisher.send(&sent.payload(), limit)?,
        }
        Ok(())
    })
}

/// Publishes `count` payloads so that a subscriber finds all of them or none.
/// AXONIC_ERROR_TOO_LARGE when they can never fit together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_publish_many(
    publisher: *mut axonic_publisher,
    payloads: *const axonic_payload,
    count: usize,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, sent) = unsafe { (handle::get_mut(publisher)?, Sent::read_many(payloads, count)?) };
        let payloads: Vec<Payload> = sent.iter().map(Sent::payload).collect();
        args::within(timeout, |limit| state.publisher.publish_many(&payloads, limit))
    })
}

/// Lends `size` bytes to write a message in place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_loan(
    publisher: *mut axonic_publisher,
    size: usize,
    timeout: i64,
    out: *mut axonic_loan,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(publisher)?) };
        let loan = args::within(timeout, |limit| state.publisher.loan(size, limit))?;
        let data = loan.as_mut_ptr().cast();
        out.set(axonic_loan { data, size, token: handle::give::<axonic_loan_token>(loan) });
        Ok(())
    })
}

/// Publishes a loan of this publisher. `payload` says what it holds (its `data` and `data_size` stay
/// NULL and 0); NULL: raw bytes. The loan is spent whatever the answer is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_commit(
    publisher: *mut axonic_publisher,
    loan: *mut axonic_loan,
    payload: *const axonic_payload,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: NULL is answered; else the header's rules for pointers.
        let place = unsafe { loan.as_mut() }.ok_or_else(|| Failure::argument("the loan is NULL"))?;
        let axonic_loan { size, token, .. } = std::mem::replace(place, axonic_loan::SPENT);
        // SAFETY: the header's rules for handles; the struct has just forgotten it.
        let loan = unsafe { handle::take(token)? };
        // SAFETY: the header's rules for handles and pointers.
        let (state, sent) = unsafe { (handle::get_mut(publisher)?, Sent::read(payload)?) };
        if !sent.data.is_empty() {
            return Err(Failure::argument(
                "the payload of a loan has no data of its own: the loan is the data",
            ));
        }
        let Sent { content, tensor, attributes, .. } = &sent;
        let (tensor, attributes) = (tensor.as_ref(), attributes.as_ref());
        let meta = LoanMeta { len: Some(size), content: *content, tensor, attributes };
        args::within(timeout, |limit| state.publisher.commit(loan, &meta, limit))
    })
}

/// Gives a loan back unpublished. No-op for NULL and for a loan that is spent. Needs no publisher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_abort(loan: *mut axonic_loan) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        if let Some(place) = unsafe { loan.as_mut() } {
            let token = std::mem::replace(place, axonic_loan::SPENT).token;
            // SAFETY: the header's rules for handles; the struct has just forgotten it.
            unsafe { handle::close(token)? };
        }
        Ok(())
    })
}

/// Waits until at least `count` subscribers would receive what is published next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_wait_for_subscribers(
    publisher: *mut axonic_publisher,
    count: usize,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get_mut(publisher)? };
        args::within(timeout, |limit| state.publisher.wait_for_subscribers(count, limit))
    })
}

/// Live subscribers whose pattern matches, now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_subscribers(
    publisher: *mut axonic_publisher,
    out: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(publisher)?) };
        out.set(state.publisher.subscribers());
        Ok(())
    })
}

/// A descriptor for poll() and epoll, readable until a call with timeout 0 has answered
/// AXONIC_ERROR_WOULD_BLOCK, and again when it should be tried again. Only poll it; it belongs to
/// the publisher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_fd(publisher: *mut axonic_publisher, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(publisher)?) };
        out.set(state.publisher.fd()?);
        Ok(())
    })
}

/// Its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_publisher_get_stats(
    publisher: *mut axonic_publisher,
    out: *mut axonic_publisher_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(publisher)?) };
        let stats = state.publisher.stats();
        out.set(axonic_publisher_stats {
            published: stats.published,
            bytes: stats.bytes,
            blocked: stats.blocked,
            wakes_sent: stats.wakes_sent,
            wakes_elided: stats.wakes_elided,
            subscribers: stats.subscribers as u64,
            slab_bytes: stats.slab_bytes as u64,
            pinned: stats.pinned as u64,
            orphans: stats.orphans as u64,
            remnants: stats.remnants as u64,
            reserved: [0; 2],
        });
        Ok(())
    })
}
