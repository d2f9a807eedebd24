//! Axonic core.
#[cfg(not(loom))]
mod domain;
mod error;
#[cfg(not(loom))]
mod inspect;
#[cfg(not(loom))]
mod mechanisms;
mod name;
mod sys;
#[cfg(not(loom))]
mod unlink;
#[cfg(not(loom))]
mod value;
#[cfg(not(loom))]
mod wait;

pub use error::{Error, ErrorKind, Result};
#[cfg(not(loom))]
pub use domain::layout::LAYOUT_VERSION;
#[cfg(not(loom))]
pub use domain::{Domain, DomainOptions, Noun, ParticipantId, Wait};
#[cfg(not(loom))]
pub use mechanisms::topic::{
    Arrival, Loan, LoanMeta, Message, Overflow, Publisher, PublisherOptions, PublisherStats, Sample, Start, Subscriber, SubscriberOptions, SubscriberStats,
};
#[cfg(not(loom))]
pub use value::{Attributes, Content, Dtype, Payload, Tensor, json_to_msgpack, msgpack_to_json, preview};
pub use name::{MAX_NAME, Pattern, check_name};
#[cfg(not(loom))]
pub use mechanisms::region::{Create, Region, RegionOptions};
#[cfg(not(loom))]
pub use wait::WaitSet;
#[cfg(not(loom))]
pub use mechanisms::ring::{RingConsumer, RingOptions, RingProducer, RingStats};
#[cfg(not(loom))]
pub use domain::{domains, domains_in, runtime_dir};
#[cfg(not(loom))]
pub use inspect::{
    Finding, Lag, ParticipantInfo, Pin, PublisherInfo, RegionInfo, RingInfo, Severity, Snapshot, SubscriberInfo, doctor, snapshot,
};
