//! Queues: each message goes to one consumer, which says when it is done; what a dead consumer had goes to another.

mod admin;
mod body;
mod consumer;
mod dead;
mod dedup;
mod delivery;
pub(crate) mod durable;
mod handle;
pub(crate) mod look;
mod pool;
mod producer;
mod recover;
mod settle;
mod shape;
mod side;
mod steps;
mod store;
mod ticket;

use crate::domain::object::Seat;
use crate::domain::{Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
use crate::schema::Schema;
use crate::value::Payload;
pub use admin::{Peeked, QueueStats};
pub use consumer::QueueConsumer;
pub use dead::Reason;
pub use dedup::Dedup;
pub use delivery::Delivery;
use durable::Log;
pub use durable::{Fsync, QueueWriter};
use handle::Handle;
pub use producer::QueueProducer;
use std::time::Duration;
pub(crate) use store::DESIGN;
use store::{ITEMS_BELL, MAX_ATTEMPTS, MAX_CAPACITY, MAX_DEDUP, PART, Plan, ROOM_BELL};
pub use ticket::{Outcome, Ticket};

/// How to open a queue.
///
/// Of these, whoever makes the queue in memory decides all but the last two. A durable one keeps them on the disk, too: after
/// a reboot the first to open it decides anew, and [`QueueOnDisk::options`](crate::QueueOnDisk::options) tells how it was.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// Messages it can hold, 1 to 16,777,216; default 65,536. Whoever makes the queue decides. Dead letters, and results
    /// that nobody fetched, take room too.
    pub capacity: usize,
    /// Deliveries of one message before it is a dead letter, up to 65,535; default 16; 0: no limit. Whoever makes the
    /// queue decides.
    pub max_attempts: u32,
    /// Bytes of messages over 128 bytes it can hold together; default 128 MiB. Whoever makes the queue decides. One
    /// message, or one result, has at most 64 MiB.
    pub max_bytes: usize,
    /// Whether what is in it survives a reboot, and how that is seen to; `None`: it does not. Whoever makes the queue
    /// decides: a durable one that is there can be opened with any of these and keeps its own, one in memory only with
    /// `None`, which makes no queue that is on the disk already.
    pub durable: Option<Fsync>,
    /// Which ids of messages are remembered, in memory. Whoever makes the queue decides.
    pub dedup: Dedup,
    /// JSON Schema that every value of this handle must satisfy: what does not is not put, and what comes out and does
    /// not goes to the dead letters. Each handle has its own, or none.
    pub schema: Option<Schema>,
    /// How to wait.
    pub wait: Wait,
}

impl Default for QueueOptions {
    fn default() -> Self {
        QueueOptions {
            capacity: 65536,
            max_attempts: 16,
            max_bytes: 128 << 20,
            durable: None,
            dedup: Dedup::default(),
            schema: None,
            wait: Wait::default(),
        }
    }
}

impl QueueOptions {
    /// Whether a value may be put into the queue `name`; every put asks it, too.
    pub fn check(&self, name: &str, payload: &Payload<'_>) -> Result<()> {
        let Some(schema) = &self.schema else { return Ok(()) };
        schema.check(payload.content, payload.data).map_err(|e| {
            let text = format!("queue '{name}': {}; nothing was put", e.message());
            Error::new(ErrorKind::InvalidArgument, text)
        })
    }

    /// Refuses what no queue can be; opening the queue `name` asks it, too.
    pub fn check_limits(&self, name: &str) -> Result<()> {
        let (attempts, ids) = (self.max_attempts, self.dedup.count);
        let text = if !(1..=MAX_DEDUP).contains(&ids) {
            format!("it cannot remember {ids} ids; give dedup a count of 1 to {MAX_DEDUP}")
        } else if attempts > MAX_ATTEMPTS {
            format!("max_attempts of {attempts} is not possible; use 1 to {MAX_ATTEMPTS}, or 0 for no limit")
        } else if !(1..=MAX_CAPACITY).contains(&self.capacity) || self.max_bytes / PART > MAX_CAPACITY {
            format!(
                "a capacity of {} and max_bytes of {} are not possible; a queue holds 1 to {MAX_CAPACITY} messages and up to {} bytes",
                self.capacity,
                self.max_bytes,
                MAX_CAPACITY * PART
            )
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidArgument, format!("queue '{name}': {text}")))
    }
}

/// How to put a message.
#[derive(Clone, Debug, Default)]
pub struct Put {
    /// 0 to 7; the highest is served first.
    pub priority: u8,
    /// It is delivered after this time, not before. When it is due it has the place in line in which it was put.
    pub delay: Duration,
    /// After this time it is a dead letter, if nobody has taken it: who waits for its ticket is told then.
    pub ttl: Option<Duration>,
    /// A message with this id is put only once, as far as the queue remembers ids ([`Dedup`]).
    pub dedup_id: Option<String>,
    /// Whether the put waits until the message is on the disk; `None`: as the queue's [`Fsync`] says. A queue in memory
    /// refuses `Some(true)`.
    pub durable: Option<bool>,
    /// The receipt has a ticket, with which to wait for what becomes of it.
    pub result: bool,
}

/// How to take a message.
#[derive(Clone, Debug, Default)]
pub struct Get {
    /// It is the consumer's for this time, and then somebody else's; `None`: until the consumer is dead.
    pub lease: Option<Duration>,
    /// Whether acknowledging it waits until that is on the disk; `None`: as the queue's [`Fsync`] says. A queue in memory
    /// refuses `Some(true)`.
    pub durable: Option<bool>,
}

/// What a put gives: the message is in the queue, and survives the death of any process.
#[derive(Debug)]
pub struct Receipt {
    ticket: Option<Ticket>,
    duplicate: bool,
}

impl Receipt {
    /// Whether a message with this id was put before, so that nothing was done now.
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// With which to wait for what becomes of it, if that was asked for.
    pub fn ticket(self) -> Option<Ticket> {
        self.ticket
    }
}

impl Domain {
    /// Opens the producing side of the queue `name`, making it if there is none.
    pub fn queue_producer(&self, name: &str, options: &QueueOptions) -> Result<QueueProducer> {
        let (seat, handle) = open(self, name, options, ROOM_BELL)?;
        Ok(QueueProducer::new(seat, handle, options.clone()))
    }

    /// Opens the consuming side of the queue `name`, making it if there is none.
    pub fn queue_consumer(&self, name: &str, options: &QueueOptions) -> Result<QueueConsumer> {
        let (seat, handle) = open(self, name, options, ITEMS_BELL)?;
        Ok(QueueConsumer::new(seat, handle, options.clone()))
    }
}

fn open(domain: &Domain, name: &str, options: &QueueOptions, hears: &str) -> Result<(Seat, Handle)> {
    check_name("queue", name)?;
    options.check_limits(name)?;
    let domain = domain.current()?;
    lifetime::arrive(&domain);
    let parts = options.max_bytes / PART;
    let plan = Plan::new(options.capacity, parts, options.durable.is_some(), options.dedup.count);
    let seat = Seat::take(&domain, &store::DESIGN, name, plan.size, hears, &|mapping| {
        store::fill(mapping, &plan, options);
        if options.durable.is_none() { durable::check_none(&domain, name) } else { Ok(()) }
    })
    .map_err(|e| domain.not_opened("queue", name, e))?;
    let mut handle = Handle::new(&seat)?;
    if options.durable.is_some() && !handle.store.is_durable() {
        let text = format!(
            "queue '{name}' is in memory only, not durable; open it as what it is, use another name, or remove it with `axonic unlink queue` first"
        );
        seat.end();
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    store::allocate_bits(&handle.store)?;
    handle.log = Log::open(&seat, &handle, options.wait)?;
    handle.recover();
    Ok((seat, handle))
}
