//! `tcp://host:port`.

use super::address::Address;
use super::stream::{self, Framing, Greets};
use super::unix::{backlog, listened, timed_out};
use super::wire::{Family, SocketWire};
use super::{ChannelOptions, Link, Listened, Peer};
use crate::domain::asked::asking;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::socket;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// What is set in an address.
#[derive(Clone, Copy)]
pub struct Settings {
    nodelay: bool,
    keepalive: Option<Duration>,
}

impl Settings {
    pub fn of(address: &Address) -> Result<Settings> {
        let nodelay = address.word("nodelay", &["true", "false"])? == "true";
        Ok(Settings { nodelay, keepalive: address.seconds("keepalive")? })
    }

    /// Sets it. What is gone again already is found out by whoever uses it.
    pub fn apply(self, fd: &OwnedFd) -> Result<()> {
        socket::set_nodelay(fd.as_fd(), self.nodelay)?;
        self.keepalive.map_or(Ok(()), |silence| socket::set_keepalive(fd.as_fd(), silence))
    }
}

/// The addresses that `host:port` stands for.
pub fn resolve(address: &Address) -> Result<Vec<SocketAddr>> {
    let place = address.place();
    let is_complete = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !is_complete {
        return Err(address.refuse("it is host:port, and the port is a number up to 65535"));
    }
    let failed = |e: std::io::Error| {
        let text = format!("its host has no address here ({e}); check the name, or use a number");
        Error::new(ErrorKind::NotFound, text)
    };
    let found: Vec<SocketAddr> = place.to_socket_addrs().map_err(failed)?.collect();
    if found.is_empty() { Err(failed(std::io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

pub fn listen(address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let (framing, settings) = (Framing::of(address)?, Settings::of(address)?);
    let (fd, address) = listen_at(address)?;
    let options = options.clone();
    let make = move |fd| link(fd, settings, framing, Greets::Second, &options);
    Ok(listened(fd, address, None, Box::new(make)))
}

/// A listening socket, and the address with its port.
pub fn listen_at(address: &Address) -> Result<(OwnedFd, Address)> {
    let most = backlog(address)?;
    let fd = first(&resolve(address)?, |place| socket::listen_tcp(place, most))?;
    let host = address.place().rsplit_once(':').map_or("", |(host, _)| host);
    let port = socket::port(fd.as_fd()).unwrap_or(0);
    Ok((fd, address.with_place(format!("{host}:{port}"))))
}

/// What succeeds at the first address it can; the first error if it does at none.
fn first<T>(places: &[SocketAddr], mut act: impl FnMut(&SocketAddr) -> Result<T>) -> Result<T> {
    let mut failed = None;
    for place in places {
        match act(place) {
            Ok(done) => return Ok(done),
            Err(e) => failed = failed.or(Some(e)),
        }
    }
    Err(failed.unwrap_or_else(timed_out))
}

pub fn connect(address: &Address, options: &ChannelOptions, deadline: &Deadline) -> Result<Link> {
    let (framing, settings) = (Framing::of(address)?, Settings::of(address)?);
    let fd = connect_to(address, deadline)?;
    link(fd, settings, framing, Greets::First, options)
}

/// Connects to the first address that answers. One that does not takes its share of the time and no more.
pub fn connect_to(address: &Address, deadline: &Deadline) -> Result<OwnedFd> {
    let places = resolve(address)?;
    let mut left = places.len() as u32;
    first(&places, |place| {
        let share = deadline.remaining().map(|time| time / left);
        left -= 1;
        let fd = socket::begin_tcp(place)?;
        let until = Deadline::after(share);
        match asking(&until, |until| socket::connected_tcp(fd.as_fd(), until))? {
            Some(()) => Ok(fd),
            None => Err(timed_out()),
        }
    })
}

fn link(
    fd: OwnedFd,
    settings: Settings,
    framing: Framing,
    greets: Greets,
    options: &ChannelOptions,
) -> Result<Link> {
    settings.apply(&fd)?;
    let peer = Peer { address: socket::peer_address(fd.as_fd()), ..Peer::default() };
    let wire = Box::new(SocketWire::new(fd, Family::Tcp));
    stream::link(wire, framing, greets, options, stream::CAN, peer)
}
