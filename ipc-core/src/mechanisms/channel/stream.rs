//! Channels over anything that carries bytes in order: with frames ([`super::frame`]) or raw.
//!
//! Each end says what it takes before everything else, and hears the same of the other. Whoever has connected says it at once;
//! whoever has accepted, when it first sends, or when it has seen that the other end speaks as it does, and has read what came:
//! a stranger is not spoken to, nor, as far as can be told, who has gone already. Nobody waits for it before sending.

mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use super::address::Address;
use super::frame::{PREAMBLE, Preamble};
use super::link::{Inbound, ended};
use super::protocol::{Protocol, Recognize};
use super::wire::Wire;
use super::{Can, ChannelOptions, Link, Peer};
use crate::domain::lock;
use crate::error::{ErrorKind, Result};
use crate::sys::descriptor::Epoll;
use crate::sys::ready::For;
use receiving::{Raw, Receiving};
use sending::Sending;
use std::io::IoSlice;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, OnceLock};

/// What streams can, with frames.
pub const CAN: Can = Can {
    reliable: true,
    ordered: true,
    messages: true,
    back_pressure: true,
    end: true,
    half_close: true,
    descriptors: false,
    credentials: false,
    max_message: None,
};

/// What of this is set in addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Messages; otherwise bytes as they come.
    pub framed: bool,
    checksums: bool,
    /// Messages of another protocol, which whoever opens the channel gives it; otherwise frames.
    other: bool,
}

impl Framing {
    pub fn of(address: &Address) -> Result<Framing> {
        if address.setting("protocol").is_some() {
            return Framing::of_other(address);
        }
        let framed = address.word("framing", &["length", "none"])? == "length";
        let checksums = address.word("checksum", &["none", "crc32c"])? != "none";
        if checksums && !framed {
            return Err(
                address.refuse("without framing there is nothing to have a checksum; leave one of both out")
            );
        }
        Ok(Framing { framed, checksums, other: false })
    }

    /// How the texts of another protocol are told from each other is its own concern.
    fn of_other(address: &Address) -> Result<Framing> {
        address.word("protocol", &["json-rpc"])?;
        if address.setting("checksum").is_some() {
            return Err(address.refuse("another protocol has no checksums; leave one of both out"));
        }
        Ok(Framing { other: true, ..Framing::plain() })
    }

    pub const fn plain() -> Framing {
        Framing { framed: true, checksums: false, other: false }
    }

    /// What a transport can with it.
    pub fn can(self, can: Can) -> Can {
        Can { messages: self.framed, descriptors: can.descriptors && self.framed, ..can }
    }
}

/// What both halves of an end share.
struct Stream {
    wire: Box<dyn Wire>,
    own: Preamble,
    greeting: Mutex<Greeting>,
    heard: OnceLock<Heard>,
    /// Who finds out whether it speaks something else.
    recognize: OnceLock<Recognize>,
}

/// What the other end speaks.
enum Heard {
    Frames(Preamble),
    Other(Arc<dyn Protocol>),
}

#[derive(Default)]
struct Greeting {
    said: bool,
    /// What has come of the other end's.
    got: Vec<u8>,
}

impl Stream {
    /// Says what this end takes, if it has not. Whether it has now.
    fn say(&self, greeting: &mut Greeting) -> Result<bool> {
        if !greeting.said {
            // So little goes out whole, as the first bytes of a stream.
            let sent = self.wire.write(&[IoSlice::new(&self.own.encode())], &[])?;
            greeting.said = sent.is_some();
        }
        Ok(greeting.said)
    }

    /// Says it once nothing is left to be read that has come: TCP to somebody who has closed would be reset by it, and what
    /// that one sent and what is still on its way would be lost. Whether that is done with.
    #[cold]
    fn greet(&self) -> Result<bool> {
        if self.other().is_some() || self.wire.is_left()? {
            return Ok(true);
        }
        if self.wire.has_input()? {
            return Ok(false);
        }
        match self.say(&mut lock(&self.greeting)) {
            Err(e) if e.kind() == ErrorKind::Disconnected => Ok(true),
            said => said,
        }
    }

    /// What the other end takes; `None`: it has not said so yet.
    #[inline]
    fn hear(&self) -> Result<Option<&Heard>> {
        match self.heard.get() {
            None => self.listen(),
            heard => Ok(heard),
        }
    }

    /// The protocol that is spoken instead of frames.
    fn other(&self) -> Option<Arc<dyn Protocol>> {
        match self.heard.get() {
            Some(Heard::Other(protocol)) => Some(protocol.clone()),
            _ => None,
        }
    }

    fn recognize(&self, begins: &[u8]) -> Option<Arc<dyn Protocol>> {
        let recognize = self.recognize.get()?;
        if begins.is_empty() { None } else { recognize(begins, self.own.max_message) }
    }

    #[cold]
    fn listen(&self) -> Result<Option<&Heard>> {
        let mut greeting = lock(&self.greeting);
        loop {
            if let Some(other) = self.recognize(&greeting.got) {
                return Ok(Some(self.heard.get_or_init(|| Heard::Other(other))));
            }
            if let Some(heard) = Preamble::decode(&greeting.got)? {
                return Ok(Some(self.heard.get_or_init(|| Heard::Frames(heard))));
            }
            greeting.got.reserve_exact(PREAMBLE);
            let room = PREAMBLE - greeting.got.len();
            match self.wire.read(&mut greeting.got, room, &mut Vec::new())? {
                None => return Ok(None),
                Some(0) => return Err(ended(!greeting.got.is_empty())),
                Some(_) => {}
            }
        }
    }
}

/// When an end says what it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Greets {
    First,
    /// When it sends, or has heard the other end.
    Second,
}

/// Makes a channel's halves of a wire.
pub fn link(
    wire: Box<dyn Wire>,
    framing: Framing,
    greets: Greets,
    options: &ChannelOptions,
    can: Can,
    peer: Peer,
) -> Result<Link> {
    let own = Preamble { checksums: framing.checksums, max_message: options.max_message };
    let stream = Arc::new(Stream {
        wire,
        own,
        greeting: Mutex::default(),
        heard: OnceLock::new(),
        recognize: OnceLock::new(),
    });
    if framing.framed && !framing.other && greets == Greets::First {
        stream.say(&mut lock(&stream.greeting))?;
    }
    let inbound: Box<dyn Inbound> = if framing.framed {
        Box::new(Receiving::new(stream.clone(), options.max_message))
    } else {
        Box::new(Raw::new(stream.clone(), options.max_message))
    };
    let outbound = Box::new(Sending::new(stream.clone(), framing));
    // A channel that was closed has let go of its halves, and this does not keep them.
    let held = Arc::downgrade(&stream);
    let wake = Box::new(move || {
        if let Some(stream) = held.upgrade() {
            stream.wire.wake();
        }
    });
    Ok(Link { inbound, outbound, can: framing.can(can), peer, peer_limit: None, wake })
}

fn watched(epoll: &mut Option<Epoll>, wire: &dyn Wire, what: For) -> Result<RawFd> {
    if epoll.is_none() {
        let made = Epoll::new()?;
        wire.watch(&made, what)?;
        *epoll = Some(made);
    }
    Ok(epoll.as_ref().map_or(-1, Epoll::as_raw_fd))
}
