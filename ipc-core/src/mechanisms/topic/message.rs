//! Messages as they come out: copied into the subscriber's scratch memory, or pinned in place.

use super::cursor::SubscriberShared;
use super::segment::Segment;
use crate::domain::layout::ObjectId;
use crate::domain::waiter::is_armed;
use crate::domain::{Directory, Domain};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{FLAG_ATTRIBUTES, FLAG_TENSOR, RingMap};
use crate::mechanisms::words::Scratch;
use crate::sys::atomic::{Ordering, fence};
use crate::sys::descriptor::ring_at;
use crate::value::{Attributes, Content, Tensor, decode_attributes, decode_tensor, preview};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// What every message carries besides its topic and its bytes.
#[derive(Clone, Default)]
pub(super) struct Envelope {
    pub content: Content,
    pub flags: u8,
    pub meta: Box<[u8]>,
    pub tensor: Option<Tensor>,
    pub sequence: u64,
    pub missed: u64,
    pub publisher: ObjectId,
}

impl Envelope {
    /// Decodes the tensor, which must fit the payload.
    pub fn decode(&mut self, length: usize) -> Result<()> {
        if self.flags & FLAG_TENSOR != 0 {
            self.tensor = Some(decode_tensor(&self.meta, length)?);
        }
        Ok(())
    }
}

macro_rules! accessors {
    () => {
        /// How to understand its bytes.
        pub fn content(&self) -> Content {
            self.envelope.content
        }

        /// Type and shape, if it is a tensor.
        pub fn tensor(&self) -> Option<&Tensor> {
            self.envelope.tensor.as_ref()
        }

        /// Its CloudEvents attributes; empty if it has none.
        pub fn attributes(&self) -> Result<Attributes> {
            if self.envelope.flags & FLAG_ATTRIBUTES == 0 {
                return Ok(Attributes::new());
            }
            decode_attributes(&self.envelope.meta, self.envelope.flags & FLAG_TENSOR != 0)
                .map_err(|e| e.of("topic", self.topic()))
        }

        /// How many messages of this publisher were missed just before this one.
        pub fn missed(&self) -> u64 {
            self.envelope.missed
        }

        /// Its number among the messages of its publisher, from 0.
        pub fn sequence(&self) -> u64 {
            self.envelope.sequence
        }

        /// The number of its publisher.
        pub fn publisher(&self) -> u64 {
            self.envelope.publisher.0
        }
    };
}

/// A received message; its bytes are a copy that is valid until the subscriber is used again.
pub struct Message<'a> {
    pub(super) topic: &'a Arc<str>,
    pub(super) envelope: &'a Envelope,
    pub(super) data: &'a [u8],
}

impl Message<'_> {
    accessors!();

    /// The topic it was published to.
    pub fn topic(&self) -> &str {
        self.topic
    }

    /// The payload, 64-byte aligned.
    pub fn data(&self) -> &[u8] {
        self.data
    }

    /// The same message with bytes of its own, to keep.
    pub fn to_sample(&self) -> Sample {
        Sample { envelope: self.envelope.clone(), bytes: Bytes::own(self.topic, self.data) }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("Message", self.topic, self.envelope, self.data, f)
    }
}

/// What [`crate::Subscriber::try_next`] took.
#[derive(Debug)]
pub enum Arrival<'a> {
    /// A small message, copied out of the ring.
    Small(Message<'a>),
    /// A large one, in place.
    Large(Sample),
}

/// A borrowed message: large payloads are read where they were written and stay pinned until this is
/// dropped; small ones are copies. `Send` and `Sync`; it may outlive its subscriber.
pub struct Sample {
    pub(super) envelope: Envelope,
    pub(super) bytes: Bytes,
}

pub(super) enum Bytes {
    Owned { topic: Arc<str>, bytes: Scratch, length: usize },
    Pinned(Pinned),
}

/// Whom a subscriber follows, as its samples know it.
pub(super) struct Origin {
    pub shared: Arc<SubscriberShared>,
    pub topic: Arc<str>,
    pub publisher: ObjectId,
    /// The ring of a publisher that may be waiting for a slot.
    pub waiting: Option<Arc<RingMap>>,
}

/// A segment of a publisher's slab, and who reads it: one counted owner for a sample.
pub(super) struct Theirs {
    pub segment: Segment,
    pub origin: Arc<Origin>,
}

/// A slab slot held still.
pub(super) struct Pinned {
    pub theirs: Arc<Theirs>,
    pub slot: u32,
    pub place: u16,
    pub length: usize,
}

impl Bytes {
    pub fn own(topic: &Arc<str>, data: &[u8]) -> Bytes {
        let mut bytes = Scratch::default();
        let room = bytes.room(data.len());
        // SAFETY: the room is at least this large and new.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), room, data.len()) };
        Bytes::Owned { topic: topic.clone(), bytes, length: data.len() }
    }
}

impl Pinned {
    pub fn data(&self) -> &[u8] {
        // SAFETY: the length was checked against the slot; the pin keeps the publisher from writing to it.
        unsafe { std::slice::from_raw_parts(self.theirs.segment.place(self.slot), self.length) }
    }

    fn is_forked(&self) -> bool {
        self.theirs.origin.shared.forked()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.is_forked() {
            return;
        }
        let origin = &self.theirs.origin;
        origin.shared.unpin(self.place);
        if let Some(map) = &origin.waiting {
            ring_publisher(origin.shared.domain(), origin.publisher, map);
        }
    }
}

/// W1, as after any other progress: a slot came back; its publisher is rung if it sleeps. Rare enough to open
/// the bell here.
pub(super) fn ring_publisher(domain: &Domain, publisher: ObjectId, map: &RingMap) {
    fence(Ordering::SeqCst);
    if is_armed(&map.head().armed, 0).is_some() {
        ring_at(&domain.inner().directory(Directory::Bells).join(publisher.to_string()));
    }
}

impl Sample {
    accessors!();

    /// The topic it was published to.
    pub fn topic(&self) -> &str {
        match &self.bytes {
            Bytes::Pinned(pinned) => &pinned.theirs.origin.topic,
            Bytes::Owned { topic, .. } => topic,
        }
    }

    /// The payload, 64-byte aligned. Fails with `Forked` in a forked child for pinned bytes, which
    /// only the parent may rely on.
    pub fn try_data(&self) -> Result<&[u8]> {
        match &self.bytes {
            Bytes::Pinned(pinned) if pinned.is_forked() => Err(Error::new(
                ErrorKind::Forked,
                format!(
                    "a borrowed sample of '{}' was carried over a fork; it belongs to the parent process, borrow anew here",
                    self.topic()
                ),
            )),
            Bytes::Pinned(pinned) => Ok(pinned.data()),
            // SAFETY: `own` and the subscriber wrote this many bytes.
            Bytes::Owned { bytes, length, .. } => Ok(unsafe { bytes.bytes(0, *length) }),
        }
    }

    /// The payload; panics in a forked child for pinned bytes (see [`Sample::try_data`]).
    pub fn data(&self) -> &[u8] {
        match self.try_data() {
            Ok(data) => data,
            Err(e) => panic!("{e}"),
        }
    }

    /// Whether the bytes are in shared memory and count against `max_borrowed`.
    pub fn is_pinned(&self) -> bool {
        matches!(self.bytes, Bytes::Pinned(_))
    }
}

impl Deref for Sample {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.data()
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("Sample", self.topic(), &self.envelope, self.try_data().unwrap_or_default(), f)
    }
}

fn describe(
    what: &str,
    topic: &str,
    envelope: &Envelope,
    data: &[u8],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let text = preview(envelope.content, envelope.tensor.as_ref(), data, 60);
    write!(f, "{what}({topic:?}, #{}, {text})", envelope.sequence)
}
