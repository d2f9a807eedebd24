//! Messages between processes of one machine through shared memory, without a broker.
//!
//! Processes that open the same [`Domain`] meet there. A topic is published with a [`Publisher`] and read
//! with [`Subscriber`]s; a ring has one [`RingProducer`] and one [`RingConsumer`]; a [`Region`] is raw shared
//! memory; a [`WaitSet`] waits for many of them at once. [`snapshot`] and [`doctor`] look on from outside.
//!
//! ```
//! use axonic::{Domain, PublisherOptions, SubscriberOptions};
//! use std::time::Duration;
//!
//! # fn main() -> axonic::Result<()> {
//! let ax = Domain::open("demo")?;
//! let mut subscriber = ax.subscriber("orders.>", &SubscriberOptions::default())?;
//! let mut publisher = ax.publisher("orders.created", &PublisherOptions::default())?;
//! publisher.publish(b"lamp")?;
//! let message = subscriber.receive(Some(Duration::from_secs(1)))?;
//! assert_eq!((message.topic(), message.data()), ("orders.created", &b"lamp"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! Sizes are bytes. A wait takes `Option<Duration>`, where `None` is for ever, and ends with
//! [`ErrorKind::Timeout`]. Handles that send or receive are used by one thread at a time (`Send`); domains,
//! regions and borrowed [`Sample`]s may be shared by threads. Every failure is an [`Error`] with an
//! [`ErrorKind`] that is the same in all languages, and a message that names the object, what happened, the
//! limit and the remedy. Opening installs no signal handler, and starts no thread, a [`QueueWriter`]'s excepted.
//!
//! Linux 5.3 or later on x86-64 and aarch64.
#[cfg(not(loom))]
mod domain;
mod error;
#[cfg(not(loom))]
mod inspect;
#[cfg(not(loom))]
pub mod log;
#[cfg(not(loom))]
mod mechanisms;
mod name;
#[cfg(not(loom))]
mod schema;
mod status;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
mod unlink;
#[cfg(not(loom))]
mod value;
#[cfg(not(loom))]
mod wait;

/// For the tests of crash points: see `sys/crash.rs`.
#[cfg(crash_points)]
pub mod crash {
    pub use crate::sys::crash::{arm, disarm};
}

/// For the fuzz targets of what has no public face.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads segments of a journal.
    pub fn journal(data: &[u8]) {
        crate::mechanisms::journal::hostile::read(data);
    }

    /// Decodes a stream of frames.
    pub fn frames(data: &[u8]) {
        crate::mechanisms::channel::hostile::frames(data);
    }

    /// Asks at a FIFO that is listened at.
    pub fn fifo(data: &[u8]) {
        crate::mechanisms::channel::hostile::requests(data);
    }

    /// Asks a WebSocket listener, and sends messages.
    pub fn websocket(data: &[u8]) {
        crate::mechanisms::channel::hostile::visit(data);
    }

    /// Speaks JSON-RPC with a service and a client.
    pub fn json_rpc(data: &[u8]) {
        crate::mechanisms::rpc::json::hostile::speak(data);
    }
}

/// What the models in `tests/loom_*.rs` run: the steps of the protocols, over loom's atomics.
#[cfg(loom)]
#[allow(missing_docs)]
pub mod domain {
    pub mod layout {
        pub const LINE: usize = 64;
    }
    pub mod steps;
    pub mod waiter;
}
#[cfg(loom)]
#[allow(missing_docs)]
pub mod mechanisms {
    pub mod lock {
        pub mod steps;
    }
    pub mod queue {
        pub mod steps;
    }
    pub mod record;
    pub mod rpc {
        pub mod places;
        pub mod seat;
    }
    pub mod topic {
        pub mod steps;
    }
}
#[cfg(loom)]
#[allow(missing_docs)]
pub mod sys;

#[cfg(not(loom))]
pub use domain::asked::ask_while_waiting;
#[cfg(not(loom))]
pub use domain::layout::LAYOUT_VERSION;
#[cfg(not(loom))]
pub use domain::{Domain, DomainOptions, Noun, ParticipantId, Wait};
#[cfg(not(loom))]
pub use domain::{domains, domains_in, runtime_dir};
pub use error::{Error, ErrorKind, Result};
#[cfg(not(loom))]
pub use inspect::{
    ChannelEnd, ChannelInfo, Finding, Lag, ListenerInfo, LockHolder, LockInfo, ParticipantInfo, Pin,
    PublisherInfo, QueueHandle, QueueInfo, QueueOnDisk, RegionInfo, RingInfo, ServiceInfo, Severity,
    Snapshot, SubscriberInfo, TopicInfo, doctor, doctor_runtime_dir, domains_on_disk, queues_on_disk,
    snapshot,
};
#[cfg(not(loom))]
pub use mechanisms::channel::{
    Address, Can, Channel, ChannelMessage, ChannelOptions, ChannelStats, ChildPipe, Listener, MAX_MESSAGE,
    Peer, Scheme,
};
#[cfg(not(loom))]
pub use mechanisms::lock::{
    Acquired, Barrier, Condvar, Event, LockHandle, LockOptions, Mutex, Reset, RwLock, Semaphore, SharedLock,
};
#[cfg(not(loom))]
pub use mechanisms::queue::{
    Dedup, Delivery, Fsync, Get, Outcome, Peeked, Put, QueueConsumer, QueueOptions, QueueProducer,
    QueueStats, QueueWriter, Reason, Receipt, Ticket,
};
#[cfg(not(loom))]
pub use mechanisms::region::{Create, Region, RegionOptions};
#[cfg(not(loom))]
pub use mechanisms::ring::{RingConsumer, RingOptions, RingProducer, RingStats};
#[cfg(not(loom))]
pub use mechanisms::rpc::{Body, Call, CallOptions, Client, ClientOptions, Request, Service, ServiceOptions};
#[cfg(not(loom))]
pub use mechanisms::topic::{
    Arrival, Loan, LoanMeta, Message, Overflow, Publisher, PublisherOptions, PublisherStats, Sample, Start,
    Subscriber, SubscriberOptions, SubscriberStats,
};
pub use name::{MAX_NAME, Pattern, check_name};
#[cfg(not(loom))]
pub use schema::Schema;
pub use status::{Code, Status, Thrown};
#[cfg(not(loom))]
pub use value::{Attributes, Content, Dtype, Payload, Tensor, json_to_msgpack, msgpack_to_json, preview};
#[cfg(not(loom))]
pub use wait::WaitSet;
