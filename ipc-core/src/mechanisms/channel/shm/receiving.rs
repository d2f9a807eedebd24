//! The half of a shared-memory channel that messages come from: it reads the other end's ring.

use super::sleep::{arm, awake};
use super::{Bell, End, FLAG_MORE};
use crate::domain::waiter::{Arming, HOUSEKEEPING, Waiter, disarm};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::{Half, Inbound, ended};
use crate::mechanisms::record::{Found, Next, Reader};
use crate::sys::atomic::Ordering;
use crate::sys::{fence, file};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        Err(ended(!self.whole.is_empty()))
    }

    fn arming(end: &End) -> Arming<'_> {
        Arming { armed: &end.own.head().link.armed, count: None }
    }
}

impl Half for Receiving {
    fn arm(&mut self) -> Result<bool> {
        match arm(&self.end, &mut self.waiter, Receiving::arming(&self.end))? {
            None => return Ok(false),
            Some(true) => self.tidy()?,
            Some(false) => {}
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
        awake(&mut self.waiter, Receiving::arming(&self.end));
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

    fn is_dear(&self) -> bool {
        false
    }

    fn is_left(&mut self) -> Result<bool> {
        self.tidy()?;
        Ok(self.gone || self.end.other.head().closed.load(Ordering::Acquire) != 0)
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
