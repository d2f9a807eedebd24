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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What a publisher and its loans share; a loan may outlive its publisher.
pub(super) struct Lender {
    pub domain: Domain,
    pub ring: ObjectId,
    /// The ring of the publisher, which may be waiting for a slot.
    pub map: Arc<RingMap>,
    /// Slots of loans that were dropped, from any thread, and whether there are some.
    returned: Mutex<Vec<Slot>>,
    any: AtomicBool,
}

impl Lender {
    pub fn new(domain: Domain, ring: ObjectId, map: Arc<RingMap>) -> Lender {
        Lender { domain, ring, map, returned: Mutex::default(), any: AtomicBool::new(false) }
    }

    fn give_back(&self, slot: Slot) {
        let mut returned = lock(&self.returned);
        returned.push(slot);
        self.any.store(true, Ordering::Relaxed);
        drop(returned);
        ring_publisher(&self.domain, self.ring, &self.map);
    }

    /// The slots that came back since the last time.
    #[inline]
    pub fn take_returned(&self) -> Vec<Slot> {
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut returned = lock(&self.returned);
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *returned)
    }
}

/// A segment of a publisher's own, and for whom its slots are lent: one counted owner for a loan.
pub(super) struct Own {
    pub segment: Segment,
    pub lender: Arc<Lender>,
}

/// A slot of shared memory to write a message into. Publish it with [`crate::Publisher::commit`];
/// dropping it discards it. The memory is 64-byte aligned and holds whatever was there before.
pub struct Loan {
    pub(super) own: Arc<Own>,
    pub(super) slot: Slot,
    length: usize,
    spent: bool,
}

// SAFETY: the loan is the only one who writes the slot, whatever thread it is on.
unsafe impl Send for Loan {}
// SAFETY: shared access only reads.
unsafe impl Sync for Loan {}

impl Loan {
    pub(super) fn new(own: Arc<Own>, slot: Slot, length: usize) -> Loan {
        Loan { own, slot, length, spent: false }
    }

    /// Fails with `Forked` in a forked child, where the loan belongs to the parent.
    pub fn check(&self) -> Result<()> {
        if self.own.lender.domain.forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "a loan was carried over a fork; it belongs to the parent process, take a new one",
            ));
        }
        Ok(())
    }

    /// The memory, for skins that hand out views. Valid for as long as the loan.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.own.segment.place(self.slot.slot)
    }

    /// It was published: the slot belongs to its record now.
    pub(super) fn spent(mut self) {
        self.spent = true;
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
        if !self.spent && !self.own.lender.domain.forked() {
            self.own.lender.give_back(self.slot);
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
