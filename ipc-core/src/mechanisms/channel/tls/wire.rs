//! The bytes of a stream, in records of TLS.

use super::session::Session;
use crate::domain::lock;
use crate::error::Result;
use crate::mechanisms::channel::wire::Wire;
use crate::sys::descriptor::{Epoll, Signal};
use crate::sys::fork::Own;
use crate::sys::ready::{For, is_left, is_ready, sleep_for, sleep_on};
use crate::sys::{pipe, socket};
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection that has shaken hands.
pub struct TlsWire {
    fd: Arc<Own<OwnedFd>>,
    state: Mutex<State>,
    /// Readable while something was made of what has come and is not read: the connection tells nothing of that.
    more: Signal,
}

struct State {
    session: Session,
    /// Somebody sleeps until something can be read.
    asleep: bool,
    /// Somebody watches for it.
    watched: bool,
    raised: bool,
    /// What was sent is not all that there was to send.
    is_part: bool,
}

impl State {
    /// An end that is not said is one that the other end cannot tell from a connection that was cut. Of a part it is not to.
    fn finish(&mut self, fd: BorrowedFd<'_>) {
        if !self.is_part {
            self.session.finish(fd);
        }
    }
}

impl TlsWire {
    pub fn new(fd: Arc<Own<OwnedFd>>, session: Session, more: Signal) -> TlsWire {
        let state = State { session, asleep: false, watched: false, raised: false, is_part: false };
        TlsWire { fd, state: Mutex::new(state), more }
    }

    /// The address at the other end.
    pub fn peer_address(&self) -> Option<String> {
        socket::peer_address(self.fd.as_fd())
    }

    /// Does something, and tells who sleeps or watches what has become of it. Whoever sends may have read something, too:
    /// what the other end takes.
    fn with<T>(&self, act: impl FnOnce(&mut State, BorrowedFd<'_>) -> T) -> T {
        let mut state = lock(&self.state);
        let done = act(&mut state, self.fd.as_fd());
        let ready = (state.asleep || state.watched) && state.session.is_ready();
        if ready != state.raised {
            if ready {
                self.more.raise()
            } else {
                self.more.lower()
            }
            state.raised = ready;
        }
        done
    }
}

impl Wire for TlsWire {
    fn read(&self, buffer: &mut Vec<u8>, room: usize, _: &mut Vec<OwnedFd>) -> Result<Option<usize>> {
        self.with(|state, fd| state.session.read(fd, buffer, room))
    }

    fn write(&self, pieces: &[IoSlice<'_>], _: &[BorrowedFd<'_>]) -> Result<Option<usize>> {
        self.with(|state, fd| state.session.write(fd, pieces))
    }

    fn has_input(&self) -> Result<bool> {
        Ok(lock(&self.state).session.is_ready() || is_ready(self.fd.as_fd(), For::Input)?)
    }

    fn is_left(&self) -> Result<bool> {
        Ok(lock(&self.state).session.is_over() || is_left(self.fd.as_fd())?)
    }

    fn flush(&self) -> Result<bool> {
        let mut state = lock(&self.state);
        match state.session.flush(self.fd.as_fd()) {
            Ok(true) | Err(_) if state.session.is_finished() => {
                socket::finish(self.fd.as_fd());
                Ok(true)
            }
            flushed => flushed,
        }
    }

    fn keeps(&self, rest: bool) {
        lock(&self.state).is_part = rest;
    }

    fn finish(&self) {
        lock(&self.state).finish(self.fd.as_fd());
    }

    fn is_heard(&self) -> bool {
        pipe::has_reader(self.fd.as_fd()).unwrap_or(true)
    }

    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()> {
        if what == For::Output {
            return sleep_for(self.fd.as_fd(), what, limit);
        }
        self.with(|state, _| state.asleep = true);
        let slept = sleep_on(self.fd.as_fd(), what, self.more.as_fd(), limit);
        self.with(|state, _| state.asleep = false);
        slept
    }

    fn watch(&self, epoll: &Epoll, what: For) -> Result<()> {
        if what == For::Output {
            return epoll.add_output(self.fd.as_fd(), 0);
        }
        epoll.add(self.fd.as_fd(), 0)?;
        epoll.add(self.more.as_fd(), 0)?;
        self.with(|state, _| state.watched = true);
        Ok(())
    }

    fn wake(&self) {
        self.finish();
        socket::shut_down(self.fd.as_fd());
    }
}

impl Drop for TlsWire {
    /// The copy of a forked child says nothing.
    fn drop(&mut self) {
        if self.fd.is_here() {
            let fd = self.fd.as_fd();
            self.state.get_mut().unwrap_or_else(PoisonError::into_inner).finish(fd);
            socket::finish(fd);
            socket::discard(fd);
        }
    }
}
