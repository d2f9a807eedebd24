//! Loans: payloads written where they will be read.

use super::message::ring_publisher;
use super::segment::Segment;
use super::slab::Slot;
use crate::domain::layout::ObjectId;
use crate::domain::{Domain, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::RingMap;
use crate::value::{Attributes, Content, Tensor};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

/// A slot of shared memory to write a message into. Publish it with [`crate::Publisher::commit`];
/// dropping it discards it. The memory is 64-byte aligned and holds whatever was there before.
pub struct Loan {
    domain: Domain,
    pub(super) ring: ObjectId,
    pub(super) segment: Arc<Segment>,
    pub(super) slot: Slot,
    length: usize,
    returned: Option<Arc<Mutex<Vec<Slot>>>>,
    /// The ring of its publisher, which may be waiting for this slot.
    map: Arc<RingMap>,
}

// SAFETY: the loan is the only one who writes the slot, whatever thread it is on.
unsafe impl Send for Loan {}
// SAFETY: shared access only reads.
unsafe impl Sync for Loan {}

impl Loan {
    pub(super) fn new(
        domain: &Domain,
        ring: ObjectId,
        segment: Arc<Segment>,
        slot: Slot,
        length: usize,
        returned: Arc<Mutex<Vec<Slot>>>,
        map: Arc<RingMap>,
    ) -> Loan {
        Loan { domain: domain.clone(), ring, segment, slot, length, returned: Some(returned), map }
    }

    /// Fails with `Forked` in a forked child, where the loan belongs to the parent.
    pub fn check(&self) -> Result<()> {
        if self.domain.forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "a loan was carried over a fork; it belongs to the parent process, take a new one",
            ));
        }
        Ok(())
    }

    /// The memory, for skins that hand out views. Valid for as long as the loan.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.segment.place(self.slot.slot)
    }

    /// It was published: the slot belongs to its record now.
    pub(super) fn spent(mut self) {
        self.returned = None;
    }
}

impl Deref for Loan {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the slot holds at least `length` bytes and nobody else writes it while it is on loan.
        unsafe { std::slice::from_raw_parts(self.as_mut_ptr(), self.length) }
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the loan is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.length) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let (Some(returned), false) = (&self.returned, self.domain.forked()) {
            lock(returned).push(self.slot);
            ring_publisher(&self.domain, self.ring, &self.map);
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan({} bytes)", self.length)
    }
}

/// What a committed loan means.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoanMeta<'a> {
    /// Bytes to publish, from the start of the loan; `None` publishes all of it.
    pub len: Option<usize>,
    /// How to understand them.
    pub content: Content,
    /// Type and shape, with [`Content::Tensor`].
    pub tensor: Option<&'a Tensor>,
    /// CloudEvents attributes.
    pub attributes: Option<&'a Attributes>,
}
