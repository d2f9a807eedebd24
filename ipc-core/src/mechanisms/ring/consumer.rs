//! The consuming end of a ring.

use super::RingStats;
use super::end::End;
use crate::domain::Wait;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{self, Next, Reader};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

/// The consuming end. One thread uses it at a time.
pub struct RingConsumer {
    pub(super) end: End,
    pub(super) reader: Reader,
    pub(super) taken: Option<record::Found>,
    /// The last message was there when it was asked for.
    pub(super) streaming: bool,
}

impl RingConsumer {
    /// The ring's name.
    pub fn name(&self) -> &str {
        &self.end.name
    }

    /// The next message if there is one, in place; it is released by the next call. `Disconnected` when
    /// the producer ended and everything was read.
    #[inline]
    pub fn try_pop(&mut self) -> Result<Option<&[u8]>> {
        self.release()?;
        if self.look()? || self.look_armed()? {
            return Ok(self.taken.as_ref().map(|found| self.reader.body(found)));
        }
        self.check_producer()?;
        Ok(None)
    }

    /// Waits for the next message up to `timeout` (`None`: for ever); otherwise as [`RingConsumer::try_pop`].
    #[inline]
    pub fn pop(&mut self, timeout: Option<Duration>) -> Result<&[u8]> {
        self.release()?;
        if self.look()? {
            self.streaming = true;
        } else {
            self.wait_for_message(timeout)?;
        }
        match &self.taken {
            Some(found) => Ok(self.reader.body(found)),
            None => Err(self.timed_out(timeout)),
        }
    }

    /// Gives the last message's place back to the producer; the next call does so too.
    #[inline]
    pub fn release(&mut self) -> Result<()> {
        self.end.enter()?;
        if let Some(found) = self.taken.take() {
            self.reader.advance(&found);
            self.end.cursor.position.store(self.reader.position(), Ordering::Release);
            self.end.tell_peer();
        }
        Ok(())
    }

    /// The pollable descriptor: readable until `try_pop` has returned `None`.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.end.fd()
    }

    /// Counters.
    pub fn stats(&self) -> RingStats {
        self.end.stats()
    }

    /// Ends it; the same as dropping it. What was not released waits for the next consumer.
    pub fn close(self) {}

    #[inline(always)]
    fn look(&mut self) -> Result<bool> {
        match self.reader.peek().map_err(|e| e.of("ring", &self.end.name))? {
            Next::Record(found) => {
                self.taken = Some(found);
                self.end.waiter.note_taken();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn look_armed(&mut self) -> Result<bool> {
        if !self.end.waiter.is_evented() {
            return Ok(false);
        }
        let Some(deaths) = self.end.settle()? else { return Ok(false) };
        if deaths {
            self.end.forget_gone();
        }
        if !self.look()? {
            return Ok(false);
        }
        self.end.waiter.stay_readable();
        Ok(true)
    }

    #[cold]
    fn wait_for_message(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.check_producer()?;
        let (wait, deadline) = (self.end.options.wait, Deadline::after(timeout));
        if std::mem::take(&mut self.streaming) && wait != Wait::Block {
            record::linger();
        }
        let attempt = &mut |consumer: &mut RingConsumer| {
            consumer.end.enter()?;
            if !consumer.look()? && consumer.end.data.head().closed.load(Ordering::Acquire) != 0 {
                consumer.check_producer()?;
            }
            Ok(consumer.taken.is_some().then_some(()))
        };
        wait_for(self, wait, &deadline, attempt)?;
        Ok(())
    }

    /// A producer that was there and is not any more will say nothing more: look once more, then tell.
    fn check_producer(&mut self) -> Result<()> {
        let came = self.end.data.head().writer.load(Ordering::Acquire) != 0;
        if !came || self.taken.is_some() || self.end.peer_is_there() || self.look()? {
            return Ok(());
        }
        self.end.forget_gone();
        let text = format!(
            "ring '{}': its producer ended and everything it sent was read; wait for another one, or close it",
            self.end.name
        );
        Err(Error::new(ErrorKind::Disconnected, text))
    }

    #[cold]
    fn timed_out(&self, timeout: Option<Duration>) -> Error {
        let text = format!(
            "ring '{}': no message within {:?}; give it more time, or see with `axonic stat` whether somebody writes",
            self.end.name,
            timeout.unwrap_or_default()
        );
        Error::new(ErrorKind::Timeout, text)
    }
}

impl Sleeper for RingConsumer {
    fn arming(&self) -> Arming<'_> {
        self.end.arming()
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.end.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.end.forget_gone();
        self.check_producer()
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        self.end.settle()
    }
}

impl Drop for RingConsumer {
    fn drop(&mut self) {
        self.end.close();
    }
}

impl fmt::Debug for RingConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingConsumer({:?}, {} bytes pending)", self.end.name, self.stats().pending_bytes)
    }
}
