//! What carries the bytes of a stream: a socket, or two pipes.

use crate::error::Result;
use crate::sys::descriptor::{Epoll, Signal};
use crate::sys::fork::Own;
use crate::sys::ready::{For, is_left, is_ready, sleep_for, sleep_on};
use crate::sys::{pipe, socket};
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// Bytes both ways. Nothing waits, but for [`Wire::sleep`].
pub trait Wire: Send + Sync {
    /// Appends at most `room` bytes to `buffer`, which has the capacity for them, and descriptors that came with them.
    /// `None`: there are none now. `Some(0)`: the other end has ended.
    fn read(
        &self,
        buffer: &mut Vec<u8>,
        room: usize,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Option<usize>>;

    /// Sends the pieces, or the first bytes of them, and the descriptors with the first byte. `None`: there is no room.
    fn write(&self, pieces: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> Result<Option<usize>>;

    /// Sends what was taken to be written and is kept; `false`: there is no room for all of it.
    fn flush(&self) -> Result<bool> {
        Ok(true)
    }

    /// Something was kept that goes after what was written, or that has gone now: an end that is said looks like a whole.
    fn keeps(&self, _rest: bool) {}

    /// Whether something is there to be read.
    fn has_input(&self) -> Result<bool>;

    /// Whether nothing more comes than what is there.
    fn is_left(&self) -> Result<bool>;

    /// Nothing more is sent; what says so may be kept.
    fn finish(&self);

    /// Whether somebody may still read what is sent.
    fn is_heard(&self) -> bool;

    /// Sleeps until it is ready, or is woken, at most for `limit`.
    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()>;

    /// Has a set watch it.
    fn watch(&self, epoll: &Epoll, what: For) -> Result<()>;

    /// Wakes whoever sleeps, now and from now on.
    fn wake(&self);
}

/// What a socket can.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Passes descriptors.
    Unix,
    Tcp,
}

/// A stream socket.
pub struct SocketWire {
    fd: Own<OwnedFd>,
    family: Family,
}

impl SocketWire {
    pub fn new(fd: OwnedFd, family: Family) -> Result<SocketWire> {
        Ok(SocketWire { fd: Own::new(fd)?, family })
    }
}

impl Wire for SocketWire {
    fn read(
        &self,
        buffer: &mut Vec<u8>,
        room: usize,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Option<usize>> {
        match self.family {
            Family::Unix => socket::receive_with_descriptors(self.fd.as_fd(), buffer, room, descriptors),
            Family::Tcp => socket::receive(self.fd.as_fd(), buffer, room),
        }
    }

    fn write(&self, pieces: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> Result<Option<usize>> {
        socket::send(self.fd.as_fd(), pieces, descriptors)
    }

    fn has_input(&self) -> Result<bool> {
        is_ready(self.fd.as_fd(), For::Input)
    }

    fn is_left(&self) -> Result<bool> {
        is_left(self.fd.as_fd())
    }

    fn finish(&self) {
        socket::finish(self.fd.as_fd());
    }

    fn is_heard(&self) -> bool {
        pipe::has_reader(self.fd.as_fd()).unwrap_or(true)
    }

    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()> {
        match (self.family, what, limit) {
            (Family::Unix, For::Input, None) => socket::sleep_to_receive(self.fd.as_fd()),
            _ => sleep_for(self.fd.as_fd(), what, limit),
        }
    }

    fn watch(&self, epoll: &Epoll, what: For) -> Result<()> {
        watch(epoll, self.fd.as_fd(), what)
    }

    fn wake(&self) {
        socket::shut_down(self.fd.as_fd());
    }
}

impl Drop for SocketWire {
    /// A child by raw `clone` may have a copy, by which the other end must not go on believing in us.
    fn drop(&mut self) {
        if self.fd.is_here() {
            socket::finish(self.fd.as_fd());
            if self.family == Family::Tcp {
                socket::discard(self.fd.as_fd());
            }
        }
    }
}

/// Two pipes, or one where bytes go one way only.
pub struct PipeWire {
    read: Option<Own<OwnedFd>>,
    /// Until nothing more is sent.
    write: RwLock<Option<Own<OwnedFd>>>,
    wake: Signal,
    masked: bool,
    /// What ends with it.
    _turn: Option<Box<dyn Send + Sync>>,
}

impl PipeWire {
    /// Of descriptors that do not wait.
    pub fn new(read: Option<Own<OwnedFd>>, write: Option<Own<OwnedFd>>) -> Result<PipeWire> {
        Ok(PipeWire {
            read,
            write: RwLock::new(write),
            wake: Signal::new()?,
            masked: pipe::must_mask(),
            _turn: None,
        })
    }

    pub fn with_turn(self, turn: Box<dyn Send + Sync>) -> PipeWire {
        PipeWire { _turn: Some(turn), ..self }
    }

    fn writing(&self) -> RwLockReadGuard<'_, Option<Own<OwnedFd>>> {
        self.write.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the descriptor for what is asked; nothing without one.
    fn with(&self, what: For, act: impl FnOnce(BorrowedFd<'_>) -> Result<()>) -> Result<()> {
        let writing;
        let fd = match what {
            For::Input => self.read.as_ref(),
            For::Output => {
                writing = self.writing();
                writing.as_ref()
            }
        };
        fd.map_or(Ok(()), |fd| act(fd.as_fd()))
    }
}

impl Wire for PipeWire {
    fn read(&self, buffer: &mut Vec<u8>, room: usize, _: &mut Vec<OwnedFd>) -> Result<Option<usize>> {
        match &self.read {
            Some(fd) => pipe::receive(fd.as_fd(), buffer, room),
            None => Ok(Some(0)),
        }
    }

    fn write(&self, pieces: &[IoSlice<'_>], _: &[BorrowedFd<'_>]) -> Result<Option<usize>> {
        match &*self.writing() {
            Some(fd) => pipe::send(fd.as_fd(), pieces, self.masked),
            None => Ok(None),
        }
    }

    fn has_input(&self) -> Result<bool> {
        self.read.as_ref().map_or(Ok(false), |fd| is_ready(fd.as_fd(), For::Input))
    }

    fn is_left(&self) -> Result<bool> {
        self.read.as_ref().map_or(Ok(true), |fd| is_left(fd.as_fd()))
    }

    fn finish(&self) {
        self.write.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_heard(&self) -> bool {
        self.writing().as_ref().is_some_and(|fd| pipe::has_reader(fd.as_fd()).unwrap_or(true))
    }

    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()> {
        self.with(what, |fd| sleep_on(fd, what, self.wake.as_fd(), limit))
    }

    fn watch(&self, epoll: &Epoll, what: For) -> Result<()> {
        self.with(what, |fd| watch(epoll, fd, what))
    }

    fn wake(&self) {
        self.wake.raise();
    }
}

fn watch(epoll: &Epoll, fd: BorrowedFd<'_>, what: For) -> Result<()> {
    match what {
        For::Input => epoll.add(fd, 0),
        For::Output => epoll.add_output(fd, 0),
    }
}
