//! Axonic core.
#[cfg(not(loom))]
mod domain;
mod error;
#[cfg(not(loom))]
mod inspect;
#[cfg(not(loom))]
mod mechanisms;
mod name;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
mod unlink;
#[cfg(not(loom))]
mod value;
#[cfg(not(loom))]
mod wait;

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
    pub mod record;
    pub mod topic {
        pub mod steps;
    }
}
#[cfg(loom)]
#[allow(missing_docs)]
pub mod sys;

#[cfg(not(loom))]
pub use domain::layout::LAYOUT_VERSION;
#[cfg(not(loom))]
pub use domain::{Domain, DomainOptions, Noun, ParticipantId, Wait};
#[cfg(not(loom))]
pub use domain::{domains, domains_in, runtime_dir};
pub use error::{Error, ErrorKind, Result};
#[cfg(not(loom))]
pub use inspect::{
    Finding, Lag, ParticipantInfo, Pin, PublisherInfo, RegionInfo, RingInfo, Severity, Snapshot,
    SubscriberInfo, doctor, snapshot,
};
#[cfg(not(loom))]
pub use mechanisms::region::{Create, Region, RegionOptions};
#[cfg(not(loom))]
pub use mechanisms::ring::{RingConsumer, RingOptions, RingProducer, RingStats};
#[cfg(not(loom))]
pub use mechanisms::topic::{
    Arrival, Loan, LoanMeta, Message, Overflow, Publisher, PublisherOptions, PublisherStats, Sample, Start,
    Subscriber, SubscriberOptions, SubscriberStats,
};
pub use name::{MAX_NAME, Pattern, check_name};
#[cfg(not(loom))]
pub use value::{Attributes, Content, Dtype, Payload, Tensor, json_to_msgpack, msgpack_to_json, preview};
#[cfg(not(loom))]
pub use wait::WaitSet;
