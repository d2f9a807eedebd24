//! A half that stands for that of the connection there is just now.

use super::{GLANCE, Line, State};
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing};
use crate::sys::clock::monotonic_nanos;
use crate::sys::descriptor::{Epoll, Timer};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Which of a connection's halves it is.
pub trait Which: Half {
    fn take(state: &mut State) -> Option<Box<Self>>;
}

impl Which for dyn Inbound {
    fn take(state: &mut State) -> Option<Box<dyn Inbound>> {
        state.inbound.take()
    }
}

impl Which for dyn Outbound {
    fn take(state: &mut State) -> Option<Box<dyn Outbound>> {
        state.outbound.take()
    }
}

/// What is watched: the half's own descriptor, and the time of the next attempt to connect.
struct Watching {
    epoll: Epoll,
    timer: Timer,
}

pub struct Standing<H: Which + ?Sized> {
    line: Arc<Line>,
    half: Option<Box<H>>,
    /// Of the half.
    epoch: u64,
    /// The longest message.
    limit: usize,
    watching: Option<Watching>,
}

impl<H: Which + ?Sized> Standing<H> {
    pub fn new(line: &Arc<Line>) -> Standing<H> {
        let mut state = lock(&line.state);
        let (half, limit) = (H::take(&mut state), state.limit);
        Standing { line: line.clone(), half, epoch: 0, limit, watching: None }
    }

    /// The half of the connection there is, made now if it is time to. `None`: there is none.
    fn current(&mut self) -> Result<Option<&mut Box<H>>> {
        self.follow()?;
        if self.half.is_none() {
            self.line.attempt(GLANCE)?;
            self.follow()?;
        }
        Ok(self.half.as_mut())
    }

    /// Whatever has become of the connection: has its half, or none. Whether anything has changed.
    fn follow(&mut self) -> Result<bool> {
        if self.line.epoch.load(Ordering::Acquire) == self.epoch {
            return Ok(false);
        }
        self.half = None;
        let mut state = lock(&self.line.state);
        // Under the lock, it is what the state is of.
        self.epoch = self.line.epoch.load(Ordering::Acquire);
        self.limit = state.limit;
        self.half = H::take(&mut state);
        drop(state);
        self.watch_half()?;
        Ok(true)
    }

    fn watch_half(&mut self) -> Result<()> {
        if let (Some(watching), Some(half)) = (&self.watching, &mut self.half) {
            // SAFETY: the half keeps it open, and it leaves the set when it is closed.
            watching.epoll.add(unsafe { BorrowedFd::borrow_raw(half.fd()?) }, 0)?;
        }
        Ok(())
    }

    /// What a half has failed with: where that is because the other end is gone, it goes on with the next connection.
    fn survive(&mut self, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Disconnected || self.line.finished.load(Ordering::Acquire) {
            return Err(error);
        }
        self.line.lose(self.epoch);
        Ok(())
    }
}

impl<H: Which + ?Sized> Half for Standing<H> {
    fn arm(&mut self) -> Result<bool> {
        if self.follow()? {
            return Ok(true);
        }
        match &mut self.half {
            Some(half) => half.arm(),
            None => {
                if let Some(watching) = &self.watching {
                    watching.timer.take();
                    watching.timer.at(monotonic_nanos() + self.line.until_next().as_nanos() as u64)?;
                }
                Ok(false)
            }
        }
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        match &mut self.half {
            Some(half) => half.sleep(limit),
            None => self.line.sleep(limit),
        }
    }

    fn tidy(&mut self) -> Result<()> {
        self.half.as_mut().map_or(Ok(()), |half| half.tidy())
    }

    fn idle(&mut self) -> Result<()> {
        self.half.as_mut().map_or(Ok(()), |half| half.idle())
    }

    fn fd(&mut self) -> Result<RawFd> {
        if self.watching.is_none() {
            let watching = Watching { epoll: Epoll::new()?, timer: Timer::new()? };
            watching.epoll.add(watching.timer.as_fd(), 1)?;
            watching.timer.at(monotonic_nanos())?;
            self.watching = Some(watching);
            self.watch_half()?;
        }
        Ok(self.watching.as_ref().map_or(-1, |watching| watching.epoll.as_raw_fd()))
    }

    fn is_watched(&self) -> bool {
        self.watching.is_some()
    }
}

impl Inbound for Standing<dyn Inbound> {
    fn next(&mut self) -> Result<bool> {
        loop {
            let Some(half) = self.current()? else { return Ok(false) };
            match half.next() {
                Err(e) => self.survive(e)?,
                Ok(false) => return Ok(false),
                Ok(true) => {
                    if !self.line.used.load(Ordering::Relaxed) {
                        self.line.used.store(true, Ordering::Release);
                    }
                    return Ok(true);
                }
            }
        }
    }

    fn message(&self) -> &[u8] {
        self.half.as_ref().map_or(&[], |half| half.message())
    }

    fn take_message(&mut self) -> Vec<u8> {
        self.half.as_mut().map_or(Vec::new(), |half| half.take_message())
    }

    fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        self.half.as_mut().map_or(Vec::new(), |half| half.take_descriptors())
    }

    fn release(&mut self) -> Result<()> {
        self.half.as_mut().map_or(Ok(()), |half| half.release())
    }
}

impl Standing<dyn Outbound> {
    /// A smaller limit than that of the first connection is known here only.
    fn check(&self, length: usize) -> Result<()> {
        if length <= self.limit {
            return Ok(());
        }
        let text = format!(
            "a message of {length} bytes, and who is at the other end now takes {} at most; raise max_message there",
            self.limit
        );
        Err(Error::new(ErrorKind::TooLarge, text))
    }
}

impl Outbound for Standing<dyn Outbound> {
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        loop {
            if self.current()?.is_none() {
                return Ok(false);
            }
            self.check(message.len())?;
            match self.half.as_mut().map_or(Ok(false), |half| half.send(message)) {
                Err(e) => self.survive(e)?,
                done => return done,
            }
        }
    }

    /// One by one: of a failed half nobody could tell how many of them are sent, and none is to be sent twice.
    fn send_many(&mut self, messages: &[&[u8]]) -> Result<usize> {
        let mut sent = 0;
        while sent < messages.len() {
            match self.send(Outgoing { pieces: &messages[sent..=sent], descriptors: &[] }) {
                Ok(true) => sent += 1,
                Err(e) if sent == 0 => return Err(e),
                _ => break,
            }
        }
        Ok(sent)
    }

    fn flush(&mut self) -> Result<bool> {
        let Some(half) = &mut self.half else { return Ok(true) };
        half.flush().inspect_err(|e| {
            if e.kind() == ErrorKind::Disconnected {
                self.line.lose(self.epoch);
            }
        })
    }

    fn finish(&mut self) -> Result<()> {
        self.line.finished.store(true, Ordering::Release);
        self.half.as_mut().map_or(Ok(()), |half| half.finish())
    }
}

impl<H: Which + ?Sized> Drop for Standing<H> {
    fn drop(&mut self) {
        // What was connected for it and not taken yet ends with it. (A forked child's copy may be locked by another thread.)
        if !self.line.domain.forked() {
            H::take(&mut lock(&self.line.state));
        }
    }
}
