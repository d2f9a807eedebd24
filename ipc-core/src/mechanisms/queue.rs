//! Queues: each message goes to one consumer, which says when it is done; what a dead consumer had goes to another.

mod body;
mod consumer;
mod delivery;
mod handle;
mod pool;
mod producer;
mod recover;
mod shape;
mod steps;
mod store;

use crate::domain::object::Seat;
use crate::domain::{Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
pub use consumer::QueueConsumer;
pub use delivery::Delivery;
use handle::Handle;
pub use producer::QueueProducer;
use store::{ITEMS_BELL, MAX_CAPACITY, PART, Plan, ROOM_BELL};

/// How to open a queue.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// Messages it can hold, 1 to 16,777,216; default 65,536. Whoever makes the queue decides.
    pub capacity: usize,
    /// Bytes of messages over 128 bytes it can hold together; default 128 MiB. Whoever makes the queue decides.
    pub max_bytes: usize,
    /// How to wait.
    pub wait: Wait,
}

impl Default for QueueOptions {
    fn default() -> Self {
        QueueOptions { capacity: 65536, max_bytes: 128 << 20, wait: Wait::default() }
    }
}

/// How to put a message.
#[derive(Clone, Debug, Default)]
pub struct Put {
    /// 0 to 7; the highest is served first.
    pub priority: u8,
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
    let parts = options.max_bytes / PART;
    if !(1..=MAX_CAPACITY).contains(&options.capacity) || parts > MAX_CAPACITY {
        let text = format!(
            "queue '{name}': a capacity of {} and max_bytes of {} are not possible; a queue holds 1 to {MAX_CAPACITY} messages and up to {} bytes",
            options.capacity,
            options.max_bytes,
            MAX_CAPACITY * PART
        );
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    let domain = domain.current()?;
    lifetime::arrive(&domain);
    let plan = Plan::new(options.capacity, parts);
    let seat = Seat::take(&domain, &store::DESIGN, name, plan.size, hears, &|mapping| {
        store::fill(mapping, &plan, 0);
    })
    .map_err(|e| domain.not_opened("queue", name, e))?;
    let handle = Handle::new(&seat)?;
    store::allocate_bits(&handle.store)?;
    handle.recover()?;
    Ok((seat, handle))
}
