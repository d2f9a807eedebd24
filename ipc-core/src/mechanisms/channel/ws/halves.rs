//! The two halves of a WebSocket.

use super::Shared;
use crate::domain::lock;
use crate::error::Result;
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing};
use crate::mechanisms::channel::{Can, Link, Peer, Wake};
use crate::sys::descriptor::{Epoll, Signal, watch_output};
use crate::sys::ready::{For, is_left, sleep_on};
use crate::sys::socket;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;
use tungstenite::Bytes;

pub fn link(shared: Arc<Shared>, can: Can, peer: Peer, call: Signal) -> Link {
    let call = Arc::new(call);
    let inbound = Receiving {
        shared: shared.clone(),
        call: call.clone(),
        found: None,
        message: Bytes::new(),
        watching: None,
    };
    let outbound = Sending { shared, call: call.clone(), watching: None };
    let wake: Wake = Box::new(move || call.raise());
    Link { inbound: Box::new(inbound), outbound: Box::new(outbound), can, peer, peer_limit: None, wake }
}

/// What is watched: the socket, and that something was read from it and not looked at.
struct Watching {
    epoll: Epoll,
    read: Signal,
    raised: bool,
}

impl Watching {
    fn raise(&mut self) {
        if !std::mem::replace(&mut self.raised, true) {
            self.read.raise();
        }
    }

    fn lower(&mut self) {
        if std::mem::replace(&mut self.raised, false) {
            self.read.lower();
        }
    }
}

struct Receiving {
    shared: Arc<Shared>,
    call: Arc<Signal>,
    /// Found while looking whether there is anything.
    found: Option<Bytes>,
    message: Bytes,
    watching: Option<Watching>,
}

impl Half for Receiving {
    fn arm(&mut self) -> Result<bool> {
        let mut state = lock(&self.shared.state);
        let Some(watching) = &mut self.watching else { return Ok(state.more) };
        watching.lower();
        let found = state.read().inspect_err(|_| watching.raise())?;
        if found.is_some() || state.more {
            watching.raise();
            self.found = found;
        }
        Ok(watching.raised)
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_on(self.shared.wire.0.as_fd(), For::Input, self.call.as_fd(), limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        if self.watching.is_none() {
            let mut watching = Watching { epoll: Epoll::new()?, read: Signal::new()?, raised: false };
            watching.epoll.add(watching.read.as_fd(), 0)?;
            watching.epoll.add(self.shared.wire.0.as_fd(), 1)?;
            watching.raise();
            self.watching = Some(watching);
        }
        Ok(self.watching.as_ref().map_or(-1, |watching| watching.epoll.as_raw_fd()))
    }

    fn is_watched(&self) -> bool {
        self.watching.is_some()
    }
}

impl Inbound for Receiving {
    fn next(&mut self) -> Result<bool> {
        let next = match self.found.take() {
            None => lock(&self.shared.state).read(),
            found => Ok(found),
        };
        // Until nothing is found: more may have been read from the socket than that.
        if let (Some(watching), Ok(Some(_)) | Err(_)) = (&mut self.watching, &next) {
            watching.raise();
        }
        let next = next?;
        let is_there = next.is_some();
        self.message = next.unwrap_or_default();
        Ok(is_there)
    }

    fn message(&self) -> &[u8] {
        &self.message
    }

    fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message).into()
    }

    fn release(&mut self) -> Result<()> {
        self.message = Bytes::new();
        Ok(())
    }

    fn is_left(&mut self) -> Result<bool> {
        Ok(lock(&self.shared.state).over.is_some() || is_left(self.shared.wire.0.as_fd())?)
    }
}

struct Sending {
    shared: Arc<Shared>,
    call: Arc<Signal>,
    /// Watches for room, once somebody has asked for the descriptor.
    watching: Option<Epoll>,
}

impl Half for Sending {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_on(self.shared.wire.0.as_fd(), For::Output, self.call.as_fd(), limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        watch_output(&mut self.watching, self.shared.wire.0.as_fd())
    }

    fn is_watched(&self) -> bool {
        self.watching.is_some()
    }
}

impl Outbound for Sending {
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        let mut state = lock(&self.shared.state);
        // Written at once, so that whoever fails with it has not sent it.
        let is_in_line = state.write(message.pieces)?;
        if is_in_line {
            state.flush()?;
        }
        Ok(is_in_line)
    }

    fn send_many(&mut self, messages: &[&[u8]]) -> Result<usize> {
        let mut state = lock(&self.shared.state);
        let mut sent = 0;
        while sent < messages.len() && state.write(&[messages[sent]])? {
            sent += 1;
        }
        state.flush()?;
        Ok(sent)
    }

    fn flush(&mut self) -> Result<bool> {
        lock(&self.shared.state).flush()
    }

    fn finish(&mut self) -> Result<()> {
        lock(&self.shared.state).finish();
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // The copy of a forked child says nothing.
        if self.shared.wire.0.is_here() {
            lock(&self.shared.state).finish();
            // What was not read would have the connection reset, and what is on its way be lost.
            socket::discard(self.shared.wire.0.as_fd());
        }
    }
}
