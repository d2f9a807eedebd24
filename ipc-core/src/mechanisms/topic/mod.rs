//! Topics: publish-subscribe through shared memory.
//!
//! Each publisher owns one ring (and a slab for large payloads) that every subscriber maps
//! read-only; each subscriber owns one page of cursors that publishers map read-only. There is no
//! broker and no shared queue: order is kept per publisher.

mod cursor;
pub(crate) mod lifetime;
mod loan;
mod message;
pub(crate) mod orphans;
mod peers;
mod publisher;
mod segment;
mod slab;
pub mod steps;
mod subscriber;

pub(crate) use cursor::{NOWHERE, SubscriberHead};
pub use loan::{Loan, LoanMeta};
pub use message::{Arrival, Message, Sample};
pub use publisher::{Publisher, PublisherStats};
pub(crate) use segment::check as check_segment;
pub use subscriber::{Subscriber, SubscriberStats};

use crate::domain::{Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Schema;

/// Payloads up to this many bytes travel in the ring, larger ones in the slab.
pub const INLINE_MAX: usize = 2048;

/// What a publisher does when a subscriber has fallen a whole ring behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Drops the oldest message; the subscriber learns exactly how many it missed.
    #[default]
    DropOldest,
    /// Waits for room.
    Block,
    /// Fails with `Full`.
    Reject,
}

impl Overflow {
    /// Its name in options and listings: `drop_oldest`, `block`, `reject`.
    pub fn name(self) -> &'static str {
        ["drop_oldest", "block", "reject"][self as usize]
    }

    pub(crate) fn from_number(number: u64) -> Overflow {
        match number {
            1 => Overflow::Block,
            2 => Overflow::Reject,
            _ => Overflow::DropOldest,
        }
    }
}

/// Where a subscriber that comes late begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next message.
    #[default]
    Latest,
    /// With the oldest message still held.
    Oldest,
}

/// How to publish.
#[derive(Clone, Debug)]
pub struct PublisherOptions {
    /// What to do when there is no room.
    pub overflow: Overflow,
    /// Bytes of the ring; default 256 KiB, rounded up to a power of two, 64 KiB to 1 GiB.
    pub capacity: usize,
    /// Budget in bytes of the slab for payloads over 2 KiB, and so the largest message; default 64 MiB.
    /// Memory is taken when it is needed.
    pub max_bytes: usize,
    /// Keep the messages after this publisher ends, for subscribers with [`Start::Oldest`].
    pub retain: bool,
    /// What every value published must satisfy; others are refused with `InvalidArgument`.
    pub schema: Option<Schema>,
    /// How a full `Block` publisher waits.
    pub wait: Wait,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        let (capacity, max_bytes) = (256 << 10, 64 << 20);
        PublisherOptions {
            overflow: Overflow::default(),
            capacity,
            max_bytes,
            retain: false,
            schema: None,
            wait: Wait::default(),
        }
    }
}

/// How to subscribe.
#[derive(Clone, Debug)]
pub struct SubscriberOptions {
    /// Where to begin with publishers that were there before.
    pub start: Start,
    /// Samples that may be borrowed at a time, 1 to 1024; default 128.
    pub max_borrowed: usize,
    /// What every value received must satisfy: one that does not is passed over with `Decode`, which names it.
    pub schema: Option<Schema>,
    /// How to wait for messages.
    pub wait: Wait,
}

impl Default for SubscriberOptions {
    fn default() -> Self {
        SubscriberOptions { start: Start::default(), max_borrowed: 128, schema: None, wait: Wait::default() }
    }
}

impl SubscriberOptions {
    fn check(&self) -> Result<()> {
        if self.max_borrowed == 0 || self.max_borrowed > cursor::MAX_BORROWED {
            let text =
                format!("max_borrowed is {}; it must be 1 to {}", self.max_borrowed, cursor::MAX_BORROWED);
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        Ok(())
    }
}

impl Domain {
    /// Opens a publisher of `topic`.
    pub fn publisher(&self, topic: &str, options: &PublisherOptions) -> Result<Publisher> {
        Publisher::open(self.current()?, topic, options)
    }

    /// Opens a subscriber of every topic that `pattern` matches, now or later.
    pub fn subscriber(&self, pattern: &str, options: &SubscriberOptions) -> Result<Subscriber> {
        Subscriber::open(self.current()?, pattern, options)
    }
}
