//! The sending end of a channel.

use super::Channel;
use super::link::{Half, Outbound, Outgoing};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How much of a message was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    All,
    /// The rest is kept, and goes before whatever is sent next.
    Part,
    /// There is no room.
    Nothing,
}

impl Channel {
    /// Sends a message, waiting for room up to `timeout` (`None`: for ever). With `Timeout` nothing of it was sent.
    pub fn send(&self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        self.send_pieces(Outgoing { pieces: &[data], descriptors: &[] }, timeout)
    }

    /// The same with open descriptors, of which the other end gets copies.
    pub fn send_descriptors(
        &self,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> Result<()> {
        self.check_descriptors()?;
        self.send_pieces(Outgoing { pieces: &[data], descriptors }, timeout)
    }

    /// Sends a message if there is room, or fails with `WouldBlock`. Of one that is larger than the room there is a part
    /// is sent; the rest goes out with the next call that sends, or with [`Channel::flush`].
    pub fn try_send(&self, data: &[u8]) -> Result<()> {
        self.try_send_pieces(Outgoing { pieces: &[data], descriptors: &[] })
    }

    /// The same with open descriptors, of which the other end gets copies.
    pub fn try_send_descriptors(&self, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.check_descriptors()?;
        self.try_send_pieces(Outgoing { pieces: &[data], descriptors })
    }

    fn check_descriptors(&self) -> Result<()> {
        if self.can.descriptors {
            return Ok(());
        }
        let text = "it passes no descriptors; unix: sockets do";
        Err(self.common.named(Error::new(ErrorKind::Unsupported, text)))
    }

    fn try_send_pieces(&self, message: Outgoing<'_>) -> Result<()> {
        if self.push(message)? == Pushed::Nothing { Err(self.full(ErrorKind::WouldBlock)) } else { Ok(()) }
    }

    /// Sends what [`Channel::try_send`] could not yet, waiting for room up to `timeout` (`None`: for ever).
    pub fn flush(&self, timeout: Option<Duration>) -> Result<()> {
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        let flushed = self.outbound.have(&deadline, |half| self.push_on(half, &deadline));
        flushed.map_err(|e| self.common.named(e))?.ok_or_else(|| self.full(ErrorKind::Timeout))
    }

    /// The same without waiting; whether there is nothing left.
    pub fn try_flush(&self) -> Result<bool> {
        self.common.enter()?;
        self.outbound.with(flush_watched).unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    /// Sends what was kept; `None`: not all of it until the deadline.
    fn push_on(&self, half: &mut Box<dyn Outbound>, deadline: &Deadline) -> Result<Option<()>> {
        let attempt = &mut |half: &mut Box<dyn Outbound>| Ok(half.flush()?.then_some(()));
        self.common.wait(half, deadline, attempt)
    }

    /// Sends several messages, which costs less than one by one; how many of them were sent, if not all within `timeout`.
    pub fn send_many(&self, messages: &[&[u8]], timeout: Option<Duration>) -> Result<usize> {
        messages.iter().try_for_each(|message| self.check(message.len()))?;
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        let mut sent = 0;
        let waited = self.outbound.have(&deadline, |half| {
            let attempt = &mut |half: &mut Box<dyn Outbound>| {
                let more = half.send_many(&messages[sent..])?;
                messages[sent..sent + more]
                    .iter()
                    .for_each(|message| self.counters.sent.count(message.len()));
                sent += more;
                // A part of the last one may be kept.
                Ok((sent == messages.len() && half.flush()?).then_some(()))
            };
            self.common.wait(half, &deadline, attempt)
        });
        match waited.map_err(|e| self.common.named(e)) {
            Err(e) if sent == 0 => Err(e),
            _ if sent == 0 && !messages.is_empty() => Err(self.full(ErrorKind::Timeout)),
            _ => Ok(sent),
        }
    }

    pub(crate) fn send_pieces(&self, message: Outgoing<'_>, timeout: Option<Duration>) -> Result<()> {
        match self.push(message)? {
            Pushed::All => Ok(()),
            attempt => {
                self.counters.blocked.fetch_add(1, Ordering::Relaxed);
                self.send_slowly(message, attempt, &Deadline::after(timeout))
            }
        }
    }

    /// There is no room for all of it now. Once a part of a large message is sent, the message is: its rest goes out as far as
    /// there is time for it, and the remainder before whatever is sent next.
    #[cold]
    pub(crate) fn send_slowly(
        &self,
        message: Outgoing<'_>,
        attempt: Pushed,
        deadline: &Deadline,
    ) -> Result<()> {
        let mut begun = attempt == Pushed::Part;
        let sent = self.outbound.have(deadline, |half| {
            if !begun {
                let attempt = &mut |half: &mut Box<dyn Outbound>| Ok(half.send(message)?.then_some(()));
                begun = self.common.wait(half, deadline, attempt)?.is_some();
                if begun {
                    self.counters.sent.count(message.len());
                }
            }
            if begun { self.push_on(half, deadline) } else { Ok(None) }
        });
        sent.map_err(|e| self.common.named(e))?;
        if begun { Ok(()) } else { Err(self.full(ErrorKind::Timeout)) }
    }

    /// Sends as much as there is room for.
    #[inline(always)]
    pub(crate) fn push(&self, message: Outgoing<'_>) -> Result<Pushed> {
        self.check(message.len())?;
        self.common.enter()?;
        let pushed = self.outbound.with(|half| {
            let pushed = push_to(half, message)?;
            if pushed == Pushed::Nothing {
                half.idle()?;
            } else {
                self.counters.sent.count(message.len());
            }
            Ok(pushed)
        });
        pushed.unwrap_or(Ok(Pushed::Nothing)).map_err(|e| self.common.named(e))
    }

    #[inline(always)]
    fn check(&self, length: usize) -> Result<()> {
        if length <= self.limit { Ok(()) } else { Err(self.too_large(length)) }
    }

    /// Whether both ends take a message of so many bytes, as far as that is known.
    pub(crate) fn takes(&self, length: usize) -> Result<()> {
        self.check(length)?;
        self.outbound.with(|half| half.takes(length)).unwrap_or(Ok(())).map_err(|e| self.common.named(e))
    }

    #[cold]
    fn too_large(&self, length: usize) -> Error {
        let why = match self.can.max_message {
            Some(most) if most == self.limit => {
                "more than its transport takes; send it in parts, or use another transport"
            }
            _ => "the limit is the smaller max_message of both ends; raise it there",
        };
        let text = format!("a message of {length} bytes, the largest is {}: {why}", self.limit);
        self.common.named(Error::new(ErrorKind::TooLarge, text))
    }

    #[cold]
    fn full(&self, kind: ErrorKind) -> Error {
        let why = self.line.as_ref().and_then(|line| line.why_not());
        let why =
            why.unwrap_or_else(|| "no room, the other end is behind; give it more time, or send less".into());
        self.common.named(Error::new(kind, why))
    }

    /// Whether somebody may still receive what is sent, though nothing comes any more.
    pub(crate) fn is_heard(&self) -> bool {
        self.outbound.with(|half| half.is_heard()).unwrap_or(true)
    }

    /// The same of the descriptor that tells of room.
    pub(crate) fn arm_send(&self) -> Result<bool> {
        self.outbound.with(|half| half.arm()).unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    /// Says that nothing more will be sent, once all that was has gone out, which it waits for up to `timeout` (`None`: for
    /// ever). The other end receives what was sent and then `Disconnected`; it may still send where
    /// [`Can::half_close`](super::Can::half_close) says so. With `Timeout` not all has gone out, or not what says so: call it
    /// again, or [`Channel::close`].
    pub fn finish(&self, timeout: Option<Duration>) -> Result<()> {
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        let finished = self.outbound.have(&deadline, |half| {
            if self.push_on(half, &deadline)?.is_none() {
                return Ok(None);
            }
            half.finish()?;
            // What says so goes out like a message, where that takes room.
            self.push_on(half, &deadline)
        });
        finished.map_err(|e| self.common.named(e))?.ok_or_else(|| self.full(ErrorKind::Timeout))
    }

    /// The same without waiting; whether it is done. Where it is not, call it again when there is room.
    pub fn try_finish(&self) -> Result<bool> {
        self.common.enter()?;
        let finished = self.outbound.with(|half| {
            if !flush_watched(half)? {
                return Ok(false);
            }
            half.finish()?;
            flush_watched(half)
        });
        finished.unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    /// Another one: readable when a send that failed with `WouldBlock` is worth trying again.
    pub fn send_fd(&self) -> Result<RawFd> {
        self.common.enter()?;
        let fd = self.outbound.have(&Deadline::after(None), |half| half.fd().map(Some));
        fd.map_err(|e| self.common.named(e))?.ok_or_else(|| self.common.unusable())
    }
}

/// Sends what was kept, for somebody who does not wait.
fn flush_watched(half: &mut Box<dyn Outbound>) -> Result<bool> {
    // Whoever watches the descriptor relies on it from when there was no room.
    Ok(half.flush()? || half.is_watched() && half.arm()? && half.flush()?)
}

#[inline(always)]
fn push_to(half: &mut Box<dyn Outbound>, message: Outgoing<'_>) -> Result<Pushed> {
    let pushed = match half.send(message)? {
        false => Pushed::Nothing,
        true if half.flush()? => return Ok(Pushed::All),
        true => Pushed::Part,
    };
    // Whoever watches the descriptor relies on it from when there was no room.
    if half.is_watched() && half.arm()? && (pushed == Pushed::Part || half.send(message)?) {
        return Ok(if half.flush()? { Pushed::All } else { Pushed::Part });
    }
    Ok(pushed)
}
