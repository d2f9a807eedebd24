//! The two halves of a connected socket.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing, ended};
use crate::mechanisms::channel::{Can, ChannelOptions, Link, Peer, Wake};
use crate::sys::descriptor::{Epoll, Signal, watch_output};
use crate::sys::packet::{Control, Received, Sent, Socket};
use crate::sys::ready::{For, is_left, sleep_on};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

pub fn link(socket: Socket, can: Can, peer: Peer, options: &ChannelOptions, call: Signal) -> Link {
    let (socket, call) = (Arc::new(socket), Arc::new(call));
    // An empty message takes room too, and a longer one must be known to be longer.
    let most = options.max_message.min(can.max_message.unwrap_or(options.max_message));
    let inbound = Receiving {
        socket: socket.clone(),
        call: call.clone(),
        buffer: vec![0; most + 1],
        length: 0,
        descriptors: Vec::new(),
        control: Control::new(),
        watched: false,
    };
    let outbound = Sending { socket, call: call.clone(), end: can.end, finished: false, watching: None };
    let wake: Wake = Box::new(move || call.raise());
    Link { inbound: Box::new(inbound), outbound: Box::new(outbound), can, peer, peer_limit: None, wake }
}

#[cold]
pub fn too_large(length: usize, most: usize) -> Error {
    let text = format!(
        "a message of {length} bytes came and was dropped, the largest this end takes is {most}; raise max_message here, or send less"
    );
    Error::new(ErrorKind::TooLarge, text)
}

#[cold]
pub fn finished() -> Error {
    Error::new(ErrorKind::Closed, "it was said that nothing more will be sent; connect anew")
}

#[cold]
pub fn gone() -> Error {
    Error::new(ErrorKind::Disconnected, "the other end is gone; connect anew")
}

struct Receiving {
    socket: Arc<Socket>,
    call: Arc<Signal>,
    buffer: Vec<u8>,
    length: usize,
    descriptors: Vec<OwnedFd>,
    control: Control,
    watched: bool,
}

impl Half for Receiving {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_on(self.socket.as_fd(), For::Input, self.call.as_fd(), limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.watched = true;
        Ok(self.socket.as_fd().as_raw_fd())
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Inbound for Receiving {
    fn next(&mut self) -> Result<bool> {
        match self.socket.receive(&mut self.buffer, &mut self.control)? {
            Received::Message(arrived) if arrived.length < self.buffer.len() => {
                (self.length, self.descriptors) = (arrived.length, arrived.descriptors);
                Ok(true)
            }
            Received::Message(arrived) => Err(too_large(arrived.length, self.buffer.len() - 1)),
            Received::Nothing => Ok(false),
            Received::Gone => Err(ended(false)),
        }
    }

    fn message(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    fn release(&mut self) -> Result<()> {
        self.descriptors.clear();
        Ok(())
    }

    fn is_left(&mut self) -> Result<bool> {
        is_left(self.socket.as_fd())
    }
}

struct Sending {
    socket: Arc<Socket>,
    call: Arc<Signal>,
    /// The other end is told of an end.
    end: bool,
    finished: bool,
    /// Watches for room, once somebody has asked for the descriptor.
    watching: Option<Epoll>,
}

impl Half for Sending {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_on(self.socket.as_fd(), For::Output, self.call.as_fd(), limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        watch_output(&mut self.watching, self.socket.as_fd())
    }

    fn is_watched(&self) -> bool {
        self.watching.is_some()
    }
}

impl Outbound for Sending {
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        if self.finished {
            return Err(finished());
        }
        match self.socket.send(message.pieces, message.descriptors, None)? {
            Sent::Done => Ok(true),
            Sent::Full => Ok(false),
            Sent::Gone => Err(gone()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        if self.end {
            self.socket.finish();
        }
        Ok(())
    }
}
