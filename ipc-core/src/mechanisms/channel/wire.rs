//! What carries the bytes of a stream: a socket, or two pipes.

use crate::error::Result;
use crate::sys::descriptor::{Epoll, Signal};
use crate::sys::ready::{For, sleep_for, sleep_on};
use crate::sys::{fork, pipe, socket};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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

    /// Nothing more is sent.
    fn finish(&self);

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
    fd: OwnedFd,
    family: Family,
    token: u64,
}

impl SocketWire {
    pub fn new(fd: OwnedFd, family: Family) -> SocketWire {
        SocketWire { fd, family, token: fork::token() }
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

    fn finish(&self) {
        socket::finish(self.fd.as_fd());
    }

    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()> {
        sleep_for(self.fd.as_fd(), what, limit)
    }

    fn watch(&self, epoll: &Epoll, what: For) -> Result<()> {
        watch(epoll, self.fd.as_fd(), what)
    }

    fn wake(&self) {
        socket::shut_down(self.fd.as_fd());
    }
}

impl Drop for SocketWire {
    /// A forked child may have a copy, by which the other end must not go on believing in us.
    fn drop(&mut self) {
        if fork::token() == self.token {
            socket::finish(self.fd.as_fd());
            if self.family == Family::Tcp {
                socket::discard(self.fd.as_fd());
            }
        }
    }
}

/// Two pipes, or one where bytes go one way only.
pub struct PipeWire {
    read: Option<OwnedFd>,
    /// Until nothing more is sent.
    write: RwLock<Option<OwnedFd>>,
    wake: Signal,
    masked: bool,
    /// What ends with it.
    _turn: Option<Box<dyn Send + Sync>>,
}

impl PipeWire {
    /// Of descriptors that do not wait.
    pub fn new(read: Option<OwnedFd>, write: Option<OwnedFd>) -> Result<PipeWire> {
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

    fn writing(&self) -> RwLockReadGuard<'_, Option<OwnedFd>> {
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

    fn finish(&self) {
        self.write.write().unwrap_or_else(PoisonError::into_inner).take();
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
