//! Queues: each message goes to one consumer, which says when it is done.

use crate::args::{self, Out, Timeout, Versioned};
use crate::delivery::{self, Held, axonic_delivery};
use crate::domain::{self, axonic_domain};
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::message::{Sent, Strings, axonic_message, axonic_payload};
use crate::ticket::{self, axonic_ticket};
use axonic::{
    Dedup, Fsync, Get, Payload, Peeked, Put, QueueConsumer, QueueOptions, QueueProducer, QueueStats, Receipt,
    Schema,
};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

/// The putting side of a queue.
pub struct axonic_queue_producer(());

pub(crate) struct Putting {
    pub(crate) producer: QueueProducer,
    name: CString,
}

impl Noun for axonic_queue_producer {
    const NAME: &'static str = "axonic_queue_producer";
    type State = Putting;
}

/// The taking side of a queue.
pub struct axonic_queue_consumer(());

pub(crate) struct Taking {
    consumer: QueueConsumer,
    name: CString,
    /// What was looked at last, and the structs that point at it.
    seen: Vec<Seen>,
    peeked: Vec<axonic_peeked>,
}

impl Noun for axonic_queue_consumer {
    const NAME: &'static str = "axonic_queue_consumer";
    type State = Taking;
}

/// Whether what is in a queue survives a reboot, and when it is known to be on the disk.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_fsync {
    /// It does not survive: the queue is in memory only.
    AXONIC_FSYNC_NONE = 0,
    /// Before a put or an acknowledgement returns; what is under way at the same time shares one sync.
    AXONIC_FSYNC_ALWAYS = 1,
    /// Every `fsync_interval`, as long as somebody uses the queue, by the call that comes when it is due; and when the
    /// last one closes it.
    AXONIC_FSYNC_INTERVAL = 2,
    /// When the system writes it, and when the last one closes it.
    AXONIC_FSYNC_NEVER = 3,
}

/// Start with AXONIC_QUEUE_OPTIONS_INIT. 0 means the default. Except for `schema` and `wait`, whoever makes the
/// queue decides.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_queue_options {
    /// sizeof(axonic_queue_options)
    pub size: usize,
    /// Messages it can hold, up to 16,777,216; default 65,536. Dead letters, and results that nobody fetched, take
    /// room too.
    pub capacity: usize,
    /// Bytes of messages over 128 bytes it can hold together; default 128 MiB. One message, or one result, has at
    /// most 64 MiB; AXONIC_ERROR_TOO_LARGE tells of more.
    pub max_bytes: usize,
    /// Deliveries of one message before it is a dead letter, up to 65,535; default 16; negative: no limit.
    pub max_attempts: i32,
    /// An axonic_fsync. A durable queue that is there can be opened with any and keeps its own; one in memory is refused
    /// to whoever asks for a durable one, and so is to make one that is on the disk already without this.
    pub durable: i32,
    /// Nanoseconds, for AXONIC_FSYNC_INTERVAL only.
    pub fsync_interval: i64,
    /// Ids of messages that are remembered (see `dedup_id`), up to 1,048,576; default 4096.
    pub dedup_count: usize,
    /// Nanoseconds for which they are; default five minutes.
    pub dedup_within: i64,
    /// JSON Schema, as JSON text, that every value must satisfy; NULL or "": none. What does not is refused with
    /// AXONIC_ERROR_INVALID_ARGUMENT, and what comes out and does not goes to the dead letters, which
    /// AXONIC_ERROR_DECODE tells. Bytes and tensors satisfy no schema.
    pub schema: *const c_char,
    /// An axonic_wait.
    pub wait: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers and a pointer only.
unsafe impl Versioned for axonic_queue_options {
    const INIT: Self = axonic_queue_options {
        size: size_of::<Self>(),
        capacity: 0,
        max_bytes: 0,
        max_attempts: 0,
        durable: axonic_fsync::AXONIC_FSYNC_NONE as i32,
        fsync_interval: 0,
        dedup_count: 0,
        dedup_within: 0,
        schema: null(),
        wait: 0,
        reserved: 0,
    };
    const NAME: &'static str = "axonic_queue_options";
}

/// How to put a message. Start with AXONIC_PUT_OPTIONS_INIT, which is an ordinary message, now.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_put_options {
    /// sizeof(axonic_put_options)
    pub size: usize,
    /// 0 to 7; the highest is served first.
    pub priority: u32,
    /// Not 0: the receipt has a ticket, with which to wait for what becomes of the message.
    pub result: i32,
    /// Nanoseconds after which it is delivered, and not before; due, it is in line where it was put.
    pub delay: i64,
    /// Nanoseconds after which it is a dead letter, if nobody has taken it; 0: never.
    pub ttl: i64,
    /// A message with this id is put only once, as far as the queue remembers ids; NULL or "": none.
    pub dedup_id: *const c_char,
    /// Positive: the put waits until the message is on the disk, which a queue in memory refuses; negative: it
    /// does not; 0: as the queue's axonic_fsync says.
    pub durable: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_put_options {
    const INIT: Self = axonic_put_options {
        size: size_of::<Self>(),
        priority: 0,
        result: 0,
        delay: 0,
        ttl: 0,
        dedup_id: null(),
        durable: 0,
        reserved: 0,
    };
    const NAME: &'static str = "axonic_put_options";
}

/// How to take a message. Start with AXONIC_GET_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_get_options {
    /// sizeof(axonic_get_options)
    pub size: usize,
    /// Nanoseconds for which it is the consumer's, and then somebody else's; 0: until the consumer is dead.
    pub lease: i64,
    /// As in axonic_put_options, for the acknowledgement.
    pub durable: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_get_options {
    const INIT: Self = axonic_get_options { size: size_of::<Self>(), lease: 0, durable: 0, reserved: 0 };
    const NAME: &'static str = "axonic_get_options";
}

/// What a put gives: the message is in the queue, and survives the death of any process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_receipt {
    /// NULL unless it was asked for. Ends with axonic_ticket_close().
    pub ticket: *mut axonic_ticket,
    /// Not 0: a message with this id was put before, and nothing was done now.
    pub duplicate: i32,
    /// 0; for later versions.
    pub reserved0: i32,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

/// Why a message is a dead letter.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_reason {
    /// It is not dead.
    AXONIC_REASON_NONE = 0,
    /// A consumer rejected it.
    AXONIC_REASON_REJECTED = 1,
    /// It was delivered as often as the queue allows.
    AXONIC_REASON_ATTEMPTS = 2,
    /// It was too late for it.
    AXONIC_REASON_EXPIRED = 3,
}

/// A message as it was when somebody looked at it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_peeked {
    /// Without attributes, shape and element type.
    pub message: axonic_message,
    /// 0 to 7.
    pub priority: u32,
    /// How often it was delivered.
    pub attempts: u32,
    /// An axonic_reason.
    pub reason: i32,
    /// 0; for later versions.
    pub reserved0: i32,
    /// The same in the words of whoever rejected it; "" if nobody did.
    pub reason_text: *const c_char,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

/// What is in a queue, each number read by itself, and what its handles have done since it was made.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_queue_stats {
    /// Messages to be delivered now, those given back included.
    pub ready: u64,
    /// Messages for later.
    pub delayed: u64,
    /// Messages that consumers have.
    pub leased: u64,
    /// Results that producers have not fetched.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
    /// Messages it can hold.
    pub capacity: u64,
    /// Bytes of messages over 128 bytes, in the parts they are stored in.
    pub bytes: u64,
    /// The most there can be of these.
    pub max_bytes: u64,
    /// Messages put.
    pub put: u64,
    /// Messages handed out, some more than once.
    pub delivered: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Deliveries given back, by their consumers, by the end of a lease or after a death.
    pub returned: u64,
    /// Messages that became dead letters.
    pub buried: u64,
    /// Times a producer had to wait for room.
    pub blocked: u64,
    /// Sleeping consumers that were woken.
    pub wakes_sent: u64,
    /// 0; for later versions.
    pub reserved: [u64; 3],
}

fn options(given: &axonic_queue_options, schema: Option<Schema>) -> Outcome<QueueOptions> {
    let default = QueueOptions::default();
    let max_attempts = match given.max_attempts {
        0 => default.max_attempts,
        limit => limit.max(0).unsigned_abs(),
    };
    Ok(QueueOptions {
        capacity: args::or_default(given.capacity, default.capacity),
        max_bytes: args::or_default(given.max_bytes, default.max_bytes),
        max_attempts,
        durable: fsync(given)?,
        dedup: Dedup {
            count: args::or_default(given.dedup_count, default.dedup.count),
            within: args::optional_duration(given.dedup_within, "dedup_within")?
                .unwrap_or(default.dedup.within),
        },
        schema,
        wait: domain::wait(given.wait)?,
    })
}

fn fsync(given: &axonic_queue_options) -> Outcome<Option<Fsync>> {
    use axonic_fsync::*;
    let interval = args::duration(given.fsync_interval, "fsync_interval")?;
    let choices = [
        (AXONIC_FSYNC_NONE as i32, None),
        (AXONIC_FSYNC_ALWAYS as i32, Some(Fsync::Always)),
        (AXONIC_FSYNC_INTERVAL as i32, Some(Fsync::Interval(interval))),
        (AXONIC_FSYNC_NEVER as i32, Some(Fsync::Never)),
    ];
    let durable = args::choice(given.durable, &choices, "axonic_fsync")?;
    if matches!(durable, Some(Fsync::Interval(_))) == interval.is_zero() {
        return Err(Failure::argument("fsync_interval goes with AXONIC_FSYNC_INTERVAL, which needs one"));
    }
    Ok(durable)
}

/// Whether to wait for the disk, as options say it.
fn waits(durable: i32) -> Option<bool> {
    (durable != 0).then_some(durable > 0)
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

/// # Safety
/// The header's rules for options.
unsafe fn get(options: *const axonic_get_options) -> Outcome<Get> {
    // SAFETY: the caller's promise.
    let given = unsafe { args::versioned(options)? };
    Ok(Get { lease: args::optional_duration(given.lease, "lease")?, durable: waits(given.durable) })
}

fn stats(stats: QueueStats) -> axonic_queue_stats {
    axonic_queue_stats {
        ready: stats.ready,
        delayed: stats.delayed,
        leased: stats.leased,
        done: stats.done,
        dead: stats.dead,
        capacity: stats.capacity,
        bytes: stats.bytes,
        max_bytes: stats.max_bytes,
        put: stats.put,
        delivered: stats.delivered,
        acked: stats.acked,
        returned: stats.returned,
        buried: stats.buried,
        blocked: stats.blocked,
        wakes_sent: stats.wakes_sent,
        reserved: [0; 3],
    }
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
        let name = args::c_string(producer.name());
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

fn describe_receipt(receipt: Receipt, queue: &CStr) -> axonic_receipt {
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
        let name = args::c_string(consumer.name());
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

const NO_MESSAGE: &CStr = c"no message is in the queue now (the timeout was 0)";

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
            Timeout::Try => state.consumer.try_get_with(&get)?.ok_or_else(|| domain::nothing(NO_MESSAGE))?,
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

#[cfg(test)]
mod tests {
    use super::axonic_reason::*;
    use super::*;
    use axonic::Reason;

    #[test]
    fn reasons_of_the_header_are_those_of_the_core() {
        let choices = [
            (AXONIC_REASON_REJECTED, Reason::Rejected),
            (AXONIC_REASON_ATTEMPTS, Reason::Attempts),
            (AXONIC_REASON_EXPIRED, Reason::Expired),
        ];
        for (number, reason) in choices {
            assert_eq!(number as i32, reason as i32);
        }
    }

    #[test]
    fn no_attempts_given_is_the_default_and_negative_is_no_limit() {
        let attempts = |max_attempts| {
            options(&axonic_queue_options { max_attempts, ..axonic_queue_options::INIT }, None)
                .unwrap()
                .max_attempts
        };
        assert_eq!((attempts(0), attempts(5)), (QueueOptions::default().max_attempts, 5));
        assert_eq!((attempts(-1), attempts(i32::MIN)), (0, 0));
    }
}
