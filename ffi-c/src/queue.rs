//! Queues: each message goes to one consumer, which says when it is done.

use crate::args::{self, Versioned};
use crate::domain;
use crate::error::{Failure, Outcome};
use crate::message::axonic_message;
use crate::ticket::axonic_ticket;
use axonic::{Dedup, Fsync, QueueOptions, QueueStats, Schema};
use std::ffi::c_char;
use std::ptr::null;

pub mod producer;

pub mod consumer;

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
