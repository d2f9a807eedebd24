//! What a transport is to a channel: two halves, one that messages come from and one they go to.

use super::protocol::Speaks;
use crate::domain::Wait;
use crate::domain::waiter::{HOUSEKEEPING, SPIN};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// What a half waits with.
pub trait Half: Send {
    /// Nothing could be done: gets ready to be woken. Whether something can be done after all, so that nobody need wait.
    fn arm(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Sleeps until something can be done, may be, at most for `limit`. Called after [`Half::arm`] said no.
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()>;

    /// Looks whether the other end is gone; done now and then by who spins.
    fn tidy(&mut self) -> Result<()> {
        Ok(())
    }

    /// An attempt of somebody who does not wait found nothing: looks now and then whether the other end is gone.
    fn idle(&mut self) -> Result<()> {
        Ok(())
    }

    /// A descriptor that is readable when something can be done, until an attempt found nothing and [`Half::arm`] said no.
    fn fd(&mut self) -> Result<RawFd>;

    /// Whether somebody has asked for the descriptor.
    fn is_watched(&self) -> bool;
}

impl<H: Half + ?Sized> Half for Box<H> {
    fn arm(&mut self) -> Result<bool> {
        (**self).arm()
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        (**self).sleep(limit)
    }

    fn tidy(&mut self) -> Result<()> {
        (**self).tidy()
    }

    fn idle(&mut self) -> Result<()> {
        (**self).idle()
    }

    fn fd(&mut self) -> Result<RawFd> {
        (**self).fd()
    }

    fn is_watched(&self) -> bool {
        (**self).is_watched()
    }
}

/// The half that messages come from.
pub trait Inbound: Half {
    /// Has the next message ready, in place of the one before. `false`: there is none now. `Disconnected`: the other
    /// end has ended, and all it sent was read.
    fn next(&mut self) -> Result<bool>;

    /// The message that [`Inbound::next`] has ready.
    fn message(&self) -> &[u8];

    /// The same for whoever keeps it; a half that has it in memory of its own gives that away. Asked for once.
    fn take_message(&mut self) -> Vec<u8> {
        self.message().to_vec()
    }

    /// The descriptors that came with it.
    fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        Vec::new()
    }

    /// Whether messages are what another protocol was made into, within this process.
    fn is_translated(&self) -> bool {
        false
    }

    /// It was read: its memory is the other end's again.
    fn release(&mut self) -> Result<()> {
        Ok(())
    }

    /// Whether looking for a message takes a system call, so that whoever has many of them looks where something came.
    fn is_dear(&self) -> bool {
        true
    }

    /// Whether the other end is gone, also where it has left something to read: for who reads nothing now.
    fn is_left(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Before anything is read or sent: what is spoken. Whether this is a stream, which can speak it.
    fn speak(&mut self, _: Speaks) -> bool {
        false
    }
}

/// A message to send: its bytes, in pieces that are sent as one, and descriptors to pass with it.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    pub pieces: &'a [&'a [u8]],
    pub descriptors: &'a [BorrowedFd<'a>],
}

impl Outgoing<'_> {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

/// The half that messages go to.
pub trait Outbound: Half {
    /// Sends a message. `false`: there is no room now, and nothing of it was sent. A message of which a part was sent
    /// counts as sent: its rest is kept, and goes before whatever is sent next.
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool>;

    /// Sends the first messages of several, as many as there is room for, where that costs less than one by one.
    fn send_many(&mut self, messages: &[&[u8]]) -> Result<usize> {
        let mut sent = 0;
        while sent < messages.len()
            && self.send(Outgoing { pieces: &messages[sent..=sent], descriptors: &[] })?
        {
            sent += 1;
        }
        Ok(sent)
    }

    /// Sends what was kept; `false`: there is no room for all of it now.
    fn flush(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// Whether somebody may still receive what is sent, as far as can be told without sending.
    fn is_heard(&self) -> bool {
        true
    }

    /// Whether the other end takes a message of so many bytes, as far as it has said so.
    fn takes(&self, _: usize) -> Result<()> {
        Ok(())
    }

    /// Says that nothing more will be sent; the other end hears of it after what was sent.
    fn finish(&mut self) -> Result<()>;
}

/// The other end has ended, and all it sent was read; `amid` the last message, which was cut off.
#[cold]
pub fn ended(amid: bool) -> Error {
    let text = if amid {
        "the other end has ended in the middle of a message; connect anew"
    } else {
        "the other end has ended, and everything it sent was received; connect anew"
    };
    Error::new(ErrorKind::Disconnected, text)
}

/// Waits until `attempt` gives something. `None`: the deadline passed.
pub fn wait_for<H: Half, T>(
    half: &mut H,
    wait: Wait,
    deadline: &Deadline,
    attempt: &mut dyn FnMut(&mut H) -> Result<Option<T>>,
) -> Result<Option<T>> {
    loop {
        if let Some(done) = spin(half, wait, deadline, attempt)? {
            return Ok(Some(done));
        }
        if deadline.passed() {
            return Ok(None);
        }
        if half.arm()? {
            continue;
        }
        half.sleep(deadline.remaining())?;
    }
}

fn spin<H: Half, T>(
    half: &mut H,
    wait: Wait,
    deadline: &Deadline,
    attempt: &mut dyn FnMut(&mut H) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let limit = match wait {
        Wait::Spin => None,
        Wait::Adaptive => Some(SPIN),
        Wait::Block => return attempt(half),
    };
    let started = Instant::now();
    let mut tidied = started;
    loop {
        for _ in 0..64 {
            if let Some(done) = attempt(half)? {
                return Ok(Some(done));
            }
            std::hint::spin_loop();
        }
        if tidied.elapsed() >= HOUSEKEEPING {
            tidied = Instant::now();
            half.tidy()?;
        }
        if deadline.passed() || limit.is_some_and(|limit| started.elapsed() >= limit) {
            return Ok(None);
        }
    }
}
