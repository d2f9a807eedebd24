//! The two halves of an end of a shared-memory channel.

use super::{Bell, End, make_waiter};
use crate::domain::waiter::{Arming, HOUSEKEEPING, Waiter, disarm};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing};
use crate::mechanisms::record::{Blocked, Found, GRAIN, Next, RECORD_HEADER, Reader, Shape, Writer};
use crate::sys::atomic::Ordering;
use crate::sys::clock::coarse_millis;
use crate::sys::{fence, file};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The record is a part of a message, and more follow.
const FLAG_MORE: u8 = 8;

/// The half that reads the other end's ring.
pub struct Receiving {
    end: Arc<End>,
    reader: Reader,
    limit: usize,
    taken: Option<Found>,
    /// A message of several parts, as far as it has come.
    whole: Vec<u8>,
    /// The message that is ready is the whole of those.
    is_whole: bool,
    waiter: Waiter,
    /// Of the half that sleeps for room.
    bell: Bell,
    /// The other end is gone.
    gone: bool,
    /// When somebody who does not wait looked whether it is.
    tidied: Instant,
}

impl Receiving {
    pub fn new(end: Arc<End>, limit: usize, waiter: Waiter) -> Receiving {
        let reader = Reader::resume(end.other.clone(), 0);
        Receiving {
            end,
            reader,
            limit,
            taken: None,
            whole: Vec::new(),
            is_whole: false,
            waiter,
            bell: Bell::default(),
            gone: false,
            tidied: Instant::now(),
        }
    }

    /// Takes the next record: a message, or a part of one.
    #[inline(always)]
    fn look(&mut self) -> Result<Option<Found>> {
        match self.reader.peek()? {
            Next::Record(found) => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// A part of a message came: keeps it. Whether that was all of it.
    #[cold]
    fn keep(&mut self, found: Found) -> Result<bool> {
        let part = self.reader.body(&found);
        if self.whole.len() + part.len() > self.limit {
            let text = format!(
                "a message of more than {} bytes came, the limit is max_message; raise it at this end",
                self.limit
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        self.whole.extend_from_slice(part);
        self.is_whole = found.shape.flags() & FLAG_MORE == 0;
        self.free(&found);
        Ok(self.is_whole)
    }

    #[inline(always)]
    fn free(&mut self, found: &Found) {
        self.reader.advance(found);
        let end = &self.end;
        end.own.head().link.position.store(self.reader.position(), Ordering::Release);
        // W1: room was made for whoever sleeps for it.
        fence::light(end.light);
        let words = end.other.head();
        self.bell.ring_if_armed(end, &words.armed, &words.writer);
    }

    /// Nothing is there: whether anything can come.
    #[inline(always)]
    fn check_end(&mut self) -> Result<()> {
        if self.gone || self.end.other.head().closed.load(Ordering::Acquire) != 0 {
            self.ended()
        } else {
            Ok(())
        }
    }

    #[cold]
    fn ended(&mut self) -> Result<()> {
        // What it sent before it said so.
        if self.look()?.is_some() {
            return Ok(());
        }
        Err(ended())
    }

    fn arming(end: &End) -> Arming<'_> {
        Arming { armed: &end.own.head().link.armed, count: None }
    }
}

#[cold]
fn ended() -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "the other end has ended, and everything it sent was received; connect anew",
    )
}

impl Half for Receiving {
    fn arm(&mut self) -> Result<bool> {
        if self.waiter.is_evented() {
            match self.waiter.settle(Receiving::arming(&self.end))? {
                None => return Ok(false),
                Some(true) => self.tidy()?,
                Some(false) => {}
            }
        } else {
            Receiving::arming(&self.end).arm(self.waiter.registered_peers);
        }
        let something =
            self.look()?.is_some() || self.gone || self.end.other.head().closed.load(Ordering::Acquire) != 0;
        if something && !self.waiter.is_evented() {
            disarm(&self.end.own.head().link.armed);
        }
        Ok(something)
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        let deaths = self.waiter.sleep(limit)?;
        if self.waiter.is_evented() {
            self.waiter.stay_readable();
        } else {
            disarm(&self.end.own.head().link.armed);
        }
        if deaths { self.tidy() } else { Ok(()) }
    }

    fn tidy(&mut self) -> Result<()> {
        self.gone = self.gone || !self.end.peer_is_there();
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        if self.tidied.elapsed() < HOUSEKEEPING {
            return Ok(());
        }
        self.tidied = Instant::now();
        self.tidy()
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.waiter.watch_descriptor())
    }

    fn is_watched(&self) -> bool {
        self.waiter.is_evented()
    }
}

impl Inbound for Receiving {
    #[inline]
    fn next(&mut self) -> Result<bool> {
        if self.taken.is_some() || self.is_whole {
            self.release()?;
        }
        while let Some(found) = self.look()? {
            self.waiter.note_taken();
            if found.shape.flags() & FLAG_MORE == 0 && self.whole.is_empty() {
                self.taken = Some(found);
                return Ok(true);
            }
            if self.keep(found)? {
                return Ok(true);
            }
        }
        self.check_end()?;
        Ok(false)
    }

    #[inline]
    fn message(&self) -> &[u8] {
        match &self.taken {
            Some(found) => self.reader.body(found),
            None => &self.whole,
        }
    }

    #[inline]
    fn release(&mut self) -> Result<()> {
        if let Some(found) = self.taken.take() {
            self.free(&found);
        } else {
            self.whole = Vec::new();
            self.is_whole = false;
        }
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.end.domain.forked() {
            file::unlink(self.waiter.path());
            self.end.own.head().link.gone.store(1, Ordering::Release);
            self.end.farewell();
        }
    }
}

/// The half that writes its own ring.
pub struct Sending {
    end: Arc<End>,
    writer: Writer,
    /// What of a large message has not gone out yet, and how much of it has.
    rest: Vec<u8>,
    sent: usize,
    /// It has one once it had to wait for room.
    waiter: Option<Waiter>,
    /// Of the half that sleeps for messages.
    bell: Bell,
    gone: bool,
    finished: bool,
    blocked: Blocked,
    tidied: Instant,
}

impl Sending {
    pub fn new(end: Arc<End>) -> Sending {
        let writer = Writer::new(end.own.clone(), false);
        Sending {
            end,
            writer,
            rest: Vec::new(),
            sent: 0,
            waiter: None,
            bell: Bell::default(),
            gone: false,
            finished: false,
            blocked: Blocked::default(),
            tidied: Instant::now(),
        }
    }

    /// The longest body of one record: several fit, so that reading and writing go on at the same time.
    fn part(&self) -> usize {
        self.end.own.capacity() as usize / 4 - RECORD_HEADER - GRAIN
    }

    #[inline(always)]
    fn room(&mut self, shape: Shape) -> bool {
        self.writer.has_room(shape.record_bytes()) || self.claim(shape)
    }

    #[cold]
    fn claim(&mut self, shape: Shape) -> bool {
        let needed = self.writer.needed_claim(shape.record_bytes());
        let wanted = needed + self.end.own.capacity() / 16;
        let limit = self.end.other.head().link.position.load(Ordering::Acquire);
        self.writer.claim_to(wanted, limit);
        let enough = needed <= self.writer.claim();
        if enough && self.waiter.as_ref().is_some_and(Waiter::is_evented) {
            self.blocked.end(self.end.own.head(), coarse_millis());
        }
        enough
    }

    #[inline(always)]
    fn check_end(&self) -> Result<()> {
        if self.gone || self.finished || self.end.other.head().link.gone.load(Ordering::Acquire) != 0 {
            return Err(self.ended());
        }
        Ok(())
    }

    #[cold]
    fn ended(&self) -> Error {
        if self.finished {
            return Error::new(ErrorKind::Closed, "it was said that nothing more will be sent; connect anew");
        }
        Error::new(ErrorKind::Disconnected, "the other end is gone; connect anew")
    }

    /// W1: a message was committed.
    #[inline(always)]
    fn tell(&mut self) {
        let words = &self.end.other.head().link;
        fence::light(self.end.light);
        self.bell.ring_if_armed(&self.end, &words.armed, &words.reader);
    }

    /// A message of several parts: the first goes out now, the others as there is room.
    #[cold]
    fn send_parts(&mut self, message: Outgoing<'_>) -> Result<bool> {
        let shape = Shape::new(self.part(), 0, 0, FLAG_MORE);
        if !self.room(shape) {
            return Ok(false);
        }
        self.rest = message.pieces.concat();
        self.sent = 0;
        self.flush()?;
        Ok(true)
    }

    fn arming(end: &End) -> Arming<'_> {
        Arming { armed: &end.own.head().armed, count: None }
    }

    fn waiter(&mut self) -> Result<&mut Waiter> {
        if self.waiter.is_none() {
            let (id, mut waiter) = make_waiter(&self.end.domain)?;
            self.end.watch(&mut waiter)?;
            self.end.own.head().writer.store(id.0, Ordering::Release);
            self.waiter = Some(waiter);
        }
        Ok(self.waiter.as_mut().expect("made above"))
    }

    /// Whether waiting for room is over: there is as much as any part needs, or nobody will make any.
    fn may_go_on(&mut self) -> bool {
        self.check_end().is_err() || self.room(Shape::new(self.part(), 0, 0, 0))
    }
}

impl Half for Sending {
    fn arm(&mut self) -> Result<bool> {
        let end = self.end.clone();
        let waiter = self.waiter()?;
        let evented = waiter.is_evented();
        if evented {
            match waiter.settle(Sending::arming(&end))? {
                None => return Ok(false),
                Some(true) => self.tidy()?,
                Some(false) => {}
            }
        } else {
            Sending::arming(&end).arm(waiter.registered_peers);
        }
        let something = self.may_go_on();
        if something && !evented {
            disarm(&end.own.head().armed);
        } else if !something && evented {
            // Until there is room; nobody tells when an event loop gives up.
            self.blocked.begin(end.own.head(), coarse_millis());
        }
        Ok(something)
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        let end = self.end.clone();
        self.blocked.begin(end.own.head(), coarse_millis());
        let slept = self.waiter().and_then(|waiter| waiter.sleep(limit));
        self.blocked.end(end.own.head(), coarse_millis());
        let waiter = self.waiter()?;
        if waiter.is_evented() {
            waiter.stay_readable();
        } else {
            disarm(&end.own.head().armed);
        }
        if slept? { self.tidy() } else { Ok(()) }
    }

    fn tidy(&mut self) -> Result<()> {
        self.gone = self.gone || !self.end.peer_is_there();
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        if self.tidied.elapsed() < HOUSEKEEPING {
            return Ok(());
        }
        self.tidied = Instant::now();
        self.tidy()
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.waiter()?.watch_descriptor())
    }

    fn is_watched(&self) -> bool {
        self.waiter.as_ref().is_some_and(Waiter::is_evented)
    }
}

impl Outbound for Sending {
    #[inline]
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        self.check_end()?;
        if !self.rest.is_empty() && !self.flush()? {
            return Ok(false);
        }
        let length = message.len();
        if length > self.part() {
            return self.send_parts(message);
        }
        let shape = Shape::new(length, 0, 0, 0);
        if !self.room(shape) {
            return Ok(false);
        }
        let mut place = self.writer.reserve(length);
        for piece in message.pieces {
            let (here, after) = place.split_at_mut(piece.len());
            here.copy_from_slice(piece);
            place = after;
        }
        self.writer.write_reserved(shape);
        self.tell();
        Ok(true)
    }

    fn flush(&mut self) -> Result<bool> {
        while self.sent < self.rest.len() {
            self.check_end()?;
            let left = &self.rest[self.sent..];
            let length = left.len().min(self.part());
            let flags = if length < left.len() { FLAG_MORE } else { 0 };
            let shape = Shape::new(length, 0, 0, flags);
            if !self.room(shape) {
                return Ok(false);
            }
            let left = &self.rest[self.sent..self.sent + length];
            self.writer.reserve(length).copy_from_slice(left);
            self.writer.write_reserved(shape);
            self.sent += length;
            self.tell();
        }
        self.rest = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        self.end.own.head().closed.store(1, Ordering::Release);
        self.end.farewell();
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.end.domain.forked() {
            self.end.own.head().closed.store(1, Ordering::Release);
            self.end.farewell();
            self.waiter.iter().for_each(|waiter| file::unlink(waiter.path()));
        }
    }
}
