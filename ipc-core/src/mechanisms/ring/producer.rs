//! The producing end of a ring.

use super::RingStats;
use super::end::End;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{self, Blocked, GRAIN, Shape, Writer};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis};
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

/// The producing end. One thread uses it at a time.
pub struct RingProducer {
    pub(super) end: End,
    pub(super) writer: Writer,
    /// What `commit` may publish; anything else that is written takes its place.
    pub(super) reserved: Option<usize>,
    pub(super) blocked: Blocked,
}

impl RingProducer {
    /// The ring's name.
    pub fn name(&self) -> &str {
        &self.end.name
    }

    /// The largest message, in bytes.
    pub fn max_message(&self) -> usize {
        self.end.limit()
    }

    /// Writes a message if there is room, or fails with `WouldBlock`.
    #[inline]
    pub fn try_push(&mut self, data: &[u8]) -> Result<()> {
        let shape = self.shape(data.len())?;
        self.end.enter()?;
        if self.room(shape)? || self.room_armed(shape)? {
            self.reserved = None;
            self.put(shape, data);
            return Ok(());
        }
        Err(self.full(ErrorKind::WouldBlock))
    }

    /// Writes a message, waiting for room up to `timeout` (`None`: for ever).
    // In two functions for the same reason as `Publisher::publish`.
    #[inline(never)]
    pub fn push(&mut self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        if !data.len().is_multiple_of(GRAIN) {
            return self.push_uneven(data, timeout);
        }
        if self.push_quickly(data) { Ok(()) } else { self.push_slowly(data, timeout) }
    }

    #[inline(never)]
    fn push_uneven(&mut self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        if self.push_quickly(data) { Ok(()) } else { self.push_slowly(data, timeout) }
    }

    /// The common case; `false`: it is not.
    #[inline(always)]
    fn push_quickly(&mut self, data: &[u8]) -> bool {
        let shape = Shape::new(data.len(), 0, 0, 0);
        let common = data.len() <= record::SMALL
            && self.reserved.is_none()
            && self.end.is_settled()
            && self.writer.has_room(shape.record_bytes());
        if common {
            self.put(shape, data);
        }
        common
    }

    #[inline(never)]
    fn push_slowly(&mut self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        let shape = self.shape(data.len())?;
        self.wait_for_room(shape, timeout)?;
        self.reserved = None;
        self.put(shape, data);
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, shape: Shape, data: &[u8]) {
        self.writer.write(shape, data, &[]);
        self.tell_consumer();
    }

    /// The place of a message of up to `length` bytes, to be written in place and then published with
    /// [`RingProducer::commit`]; waits for room up to `timeout`. Reserving again or pushing discards it.
    /// The place is 16-byte aligned.
    pub fn reserve(&mut self, length: usize, timeout: Option<Duration>) -> Result<&mut [u8]> {
        let shape = self.shape(length)?;
        self.wait_for_room(shape, timeout)?;
        self.reserved = Some(length);
        Ok(self.writer.reserve(length))
    }

    /// Publishes the first `length` bytes of what was reserved.
    pub fn commit(&mut self, length: usize) -> Result<()> {
        self.end.enter()?;
        if self.reserved.is_none_or(|reserved| length > reserved) {
            let reserved = self.reserved.map_or("nothing is".into(), |reserved| format!("{reserved} are"));
            let text = format!(
                "ring '{}': commit of {length} bytes, {reserved} reserved; reserve as many first",
                self.end.name
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let shape = self.shape(length)?;
        self.reserved = None;
        self.writer.write_reserved(shape);
        self.tell_consumer();
        Ok(())
    }

    /// The pollable descriptor: readable when a push that failed with `WouldBlock` is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.end.fd()
    }

    /// Counters.
    pub fn stats(&self) -> RingStats {
        self.end.stats()
    }

    /// Ends it; the same as dropping it. The consumer reads what is left.
    pub fn close(self) {}

    #[inline(always)]
    fn tell_consumer(&mut self) {
        if self.end.tell_peer() {
            self.end.count_wake();
        }
    }

    #[inline(always)]
    fn shape(&self, length: usize) -> Result<Shape> {
        if length > self.end.limit() {
            let text = format!(
                "ring '{}': a message of {length} bytes, the largest is {}; make the ring with a larger capacity",
                self.end.name,
                self.end.limit()
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(Shape::new(length, 0, 0, 0))
    }

    #[inline(always)]
    fn room(&mut self, shape: Shape) -> Result<bool> {
        Ok(self.writer.has_room(shape.record_bytes()) || self.claim(shape))
    }

    #[cold]
    fn claim(&mut self, shape: Shape) -> bool {
        let needed = self.writer.needed_claim(shape.record_bytes());
        let wanted = needed + self.end.data.capacity() / 16;
        let limit = Writer::await_room(wanted, || self.end.cursor.position.load(Ordering::Acquire));
        self.writer.claim_to(wanted, limit);
        needed <= self.writer.claim()
    }

    fn room_armed(&mut self, shape: Shape) -> Result<bool> {
        if !self.end.waiter.is_evented() {
            return Ok(false);
        }
        if self.end.settle()? == Some(true) {
            self.end.forget_gone();
        }
        self.room(shape)
    }

    #[inline]
    fn wait_for_room(&mut self, shape: Shape, timeout: Option<Duration>) -> Result<()> {
        self.end.enter()?;
        if self.room(shape)? {
            return Ok(());
        }
        self.blocked.begin(self.end.data.head(), coarse_millis());
        let (wait, deadline) = (self.end.options.wait, Deadline::after(timeout));
        let attempt = &mut |producer: &mut RingProducer| {
            producer.end.enter()?;
            Ok(producer.room(shape)?.then_some(()))
        };
        let waited = wait_for(self, wait, &deadline, attempt);
        self.blocked.end(self.end.data.head(), coarse_millis());
        waited?.ok_or_else(|| self.full(ErrorKind::Timeout))
    }

    #[cold]
    fn full(&self, kind: ErrorKind) -> Error {
        let who = if self.end.peer_is_there() { "its consumer is behind" } else { "it has no consumer" };
        Error::new(
            kind,
            format!(
                "ring '{}': no room, {who}; read it faster or make it with a larger capacity",
                self.end.name
            ),
        )
    }
}

impl Sleeper for RingProducer {
    fn arming(&self) -> Arming<'_> {
        self.end.arming()
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.end.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.end.forget_gone();
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        self.end.settle()
    }
}

impl Drop for RingProducer {
    fn drop(&mut self) {
        self.end.close();
    }
}

impl fmt::Debug for RingProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingProducer({:?}, {} messages)", self.end.name, self.stats().messages)
    }
}
