//! A FIFO as the shell has it: bytes, one way.

use super::{Place, absolute, claim};
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::address::Address;
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing};
use crate::mechanisms::channel::stream::{self, Framing, Greets};
use crate::mechanisms::channel::wire::PipeWire;
use crate::mechanisms::channel::{Can, ChannelOptions, Link, Listened, Listening, Peer};
use crate::sys::descriptor::{Epoll, Signal};
use crate::sys::fork::{self, LockFd, Own};
use crate::sys::pipe::{self, Way};
use crate::sys::ready::{For, is_ready, sleep_for};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

const CAN: Can = Can { half_close: false, ..stream::CAN };

pub fn listen(address: &Address, framing: Framing, options: &ChannelOptions) -> Result<Listened> {
    let path = absolute(address);
    let (held, made) = claim(&path, Way::Read)?;
    let stand = Arc::new(Stand { held, epoll: Epoll::new()?, next: Mutex::new(None), woken: Signal::new()? });
    stand.epoll.add(stand.woken.as_fd(), 1)?;
    stand.renew()?;
    let told = Arc::downgrade(&stand);
    let wake = Box::new(move || {
        if let Some(stand) = told.upgrade() {
            stand.woken.raise();
        }
    });
    let place = Place { path, token: fork::token(), remove: made };
    let listening = RawListening { stand, place, framing, options: options.clone(), watched: false };
    Ok(Listened { listening: Box::new(listening), address: address.clone(), wake })
}

pub fn connect(listener: OwnedFd, framing: Framing, options: &ChannelOptions) -> Result<Link> {
    let wire = Box::new(PipeWire::new(None, Some(Own::new(listener)?))?);
    let link = stream::link(wire, framing, Greets::First, options, CAN, Peer::default())?;
    Ok(Link { inbound: Box::new(OneWay), ..link })
}

/// Where those who write are waited for.
struct Stand {
    /// As long as it is open there is a reader; its lock says that somebody listens.
    held: LockFd,
    epoll: Epoll,
    /// The description the next channel will read. One that has seen a writer go tells of the end for good, so each channel
    /// has its own; and only one at a time, since they would take bytes from each other.
    next: Mutex<Option<Own<OwnedFd>>>,
    woken: Signal,
}

impl Stand {
    fn renew(&self) -> Result<()> {
        let fd = Own::new(pipe::reopen_reader(self.held.as_fd())?)?;
        self.epoll.add(fd.as_fd(), 0)?;
        *lock(&self.next) = Some(fd);
        Ok(())
    }

    /// What somebody writes to, or has written to.
    fn take(&self) -> Result<Option<Own<OwnedFd>>> {
        let mut next = lock(&self.next);
        match &*next {
            Some(fd) if is_ready(fd.as_fd(), For::Input)? => self.epoll.remove(fd.as_fd()),
            _ => return Ok(None),
        }
        Ok(next.take())
    }
}

/// With the channel that has it: then it is the next one's turn.
struct Turn(Weak<Stand>, u64);

impl Drop for Turn {
    fn drop(&mut self) {
        if let (Some(stand), true) = (self.0.upgrade(), fork::token() == self.1) {
            // Without a descriptor left, nobody is accepted any more; whoever listens anew is told why.
            let _ = stand.renew();
        }
    }
}

struct RawListening {
    stand: Arc<Stand>,
    place: Place,
    framing: Framing,
    options: ChannelOptions,
    watched: bool,
}

impl Half for RawListening {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_for(self.stand.epoll.as_fd(), For::Input, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.watched = true;
        Ok(self.stand.epoll.as_raw_fd())
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Listening for RawListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        let Some(fd) = self.stand.take()? else { return Ok(None) };
        let turn = Turn(Arc::downgrade(&self.stand), fork::token());
        let wire = Box::new(PipeWire::new(Some(fd), None)?.with_turn(Box::new(turn)));
        let link = stream::link(wire, self.framing, Greets::Second, &self.options, CAN, Peer::default())?;
        Ok(Some(Link { outbound: Box::new(OneWay), ..link }))
    }
}

impl Drop for RawListening {
    fn drop(&mut self) {
        self.place.leave(&self.stand.held);
    }
}

/// The half that there is not.
struct OneWay;

fn one_way() -> Error {
    let text = "a FIFO without framing goes one way, from who connects to who listens; leave framing=none out for both";
    Error::new(ErrorKind::Unsupported, text)
}

impl Half for OneWay {
    fn sleep(&mut self, _: Option<Duration>) -> Result<()> {
        Err(one_way())
    }

    fn fd(&mut self) -> Result<RawFd> {
        Err(one_way())
    }

    fn is_watched(&self) -> bool {
        false
    }
}

impl Inbound for OneWay {
    fn next(&mut self) -> Result<bool> {
        Err(one_way())
    }

    fn message(&self) -> &[u8] {
        &[]
    }
}

impl Outbound for OneWay {
    fn send(&mut self, _: Outgoing<'_>) -> Result<bool> {
        Err(one_way())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
