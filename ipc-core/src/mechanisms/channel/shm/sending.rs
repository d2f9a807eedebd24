//! The half of a shared-memory channel that messages go to: it writes its own ring.

use super::sleep::{arm, awake};
use super::{Bell, End, FLAG_MORE, make_waiter};
use crate::domain::waiter::{Arming, HOUSEKEEPING, Waiter, disarm};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::{Half, Outbound, Outgoing};
use crate::mechanisms::record::{Blocked, GRAIN, RECORD_HEADER, Shape, Writer};
use crate::sys::atomic::Ordering;
use crate::sys::clock::coarse_millis;
use crate::sys::{fence, file};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        match arm(&end, waiter, Sending::arming(&end))? {
            None => return Ok(false),
            Some(true) => self.tidy()?,
            Some(false) => {}
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
        awake(self.waiter()?, Sending::arming(&end));
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
