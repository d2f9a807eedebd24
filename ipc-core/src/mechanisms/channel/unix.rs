//! `unix:///path` and `unix://@name`: Unix stream sockets.

use super::address::Address;
use super::link::Half;
use super::stream::{self, Framing, Greets};
use super::wire::{Family, SocketWire};
use super::{Can, ChannelOptions, Link, Listened, Listening, Peer};
use crate::domain::asked::asking;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::fork::Own;
use crate::sys::ready::{For, sleep_for};
use crate::sys::socket;
use crate::sys::socket_file::SocketFile;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CAN: Can = Can { descriptors: true, credentials: true, ..stream::CAN };

pub fn listen(address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let framing = Framing::of(address)?;
    let fd = socket::listen_unix(address.place(), backlog(address)?)?;
    let file = (!address.place().starts_with('@')).then(|| SocketFile::of(Path::new(address.place())));
    let options = options.clone();
    let make = move |fd| link(fd, framing, Greets::Second, &options);
    listened(fd, address.clone(), file, Box::new(make))
}

pub fn connect(address: &Address, options: &ChannelOptions, deadline: &Deadline) -> Result<Link> {
    let framing = Framing::of(address)?;
    match asking(deadline, |deadline| socket::connect_unix(address.place(), deadline))? {
        Some(fd) => link(fd, framing, Greets::First, options),
        None => Err(timed_out()),
    }
}

/// A Unix socket as a channel.
pub fn link(fd: OwnedFd, framing: Framing, greets: Greets, options: &ChannelOptions) -> Result<Link> {
    let told = socket::credentials(fd.as_fd());
    let peer = Peer {
        // Zero is a process that has no number here.
        pid: told.map(|(pid, _, _)| pid).filter(|pid| *pid != 0),
        uid: told.map(|(_, uid, _)| uid),
        gid: told.map(|(_, _, gid)| gid),
        address: None,
    };
    stream::link(Box::new(SocketWire::new(fd, Family::Unix)?), framing, greets, options, CAN, peer)
}

pub fn timed_out() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "who listens there did not take the connection; give it more time, or see what it does",
    )
}

/// How many connections may wait to be accepted.
pub fn backlog(address: &Address) -> Result<u32> {
    match address.number("backlog", 1024)? {
        number @ 1..=65_535 => Ok(number as u32),
        number => Err(address.refuse(format!("backlog={number}; it is 1 to 65535"))),
    }
}

/// Makes a channel of a connection.
pub type Make = Box<dyn FnMut(OwnedFd) -> Result<Link> + Send>;

/// A socket that is listened at.
struct SocketListening {
    fd: Arc<Own<OwnedFd>>,
    make: Make,
    watched: bool,
    file: Option<SocketFile>,
}

/// What listens at a socket.
pub fn listened(fd: OwnedFd, address: Address, file: Option<SocketFile>, make: Make) -> Result<Listened> {
    let fd = Arc::new(Own::new(fd)?);
    let held = Arc::downgrade(&fd);
    let wake = Box::new(move || {
        if let Some(fd) = held.upgrade() {
            socket::shut_down(fd.as_fd());
        }
    });
    let listening = Box::new(SocketListening { fd, make, watched: false, file });
    Ok(Listened { listening, address, wake })
}

impl Half for SocketListening {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_for(self.fd.as_fd(), For::Input, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.watched = true;
        Ok(self.fd.as_raw_fd())
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Listening for SocketListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        match socket::accept(self.fd.as_fd())? {
            Some(fd) => (self.make)(fd).map(Some),
            None => Ok(None),
        }
    }
}

impl Drop for SocketListening {
    fn drop(&mut self) {
        if self.fd.is_here() {
            self.file.iter().for_each(SocketFile::remove);
        }
    }
}
