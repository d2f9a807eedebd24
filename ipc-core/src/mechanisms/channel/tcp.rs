//! `tcp://host:port`, with TLS where the address asks for it.

use super::address::Address;
use super::resolve::resolve;
use super::stream::{self, Framing, Greets};
use super::tls::{self, TlsWire};
use super::unix::{backlog, listened, timed_out};
use super::wire::{Family, SocketWire};
use super::{ChannelOptions, Link, Listened, Peer, handshakes};
use crate::domain::Domain;
use crate::domain::asked::asking;
use crate::error::Result;
use crate::sys::clock::Deadline;
use crate::sys::socket;
use std::net::SocketAddr;
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

pub fn listen(address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let (framing, settings) = (Framing::of(address)?, Settings::of(address)?);
    let secured = tls::Listens::of(address)?;
    let (fd, address) = listen_at(address)?;
    let options = options.clone();
    let Some(secured) = secured else {
        let make = move |fd| link(fd, settings, framing, Greets::Second, &options);
        return listened(fd, address, None, Box::new(make));
    };
    handshakes::listened(fd, address, move |fd| {
        settings.apply(&fd)?;
        let options = options.clone();
        secured.begin(fd, move |wire| secured_link(wire, framing, Greets::Second, &options))
    })
}

/// A listening socket, and the address with its port.
pub fn listen_at(address: &Address) -> Result<(OwnedFd, Address)> {
    let most = backlog(address)?;
    let fd = first(&resolve(address, &Deadline::after(None))?, |place| socket::listen_tcp(place, most))?;
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

pub fn connect(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
) -> Result<Link> {
    let (framing, settings) = (Framing::of(address)?, Settings::of(address)?);
    let secured = tls::Connects::of(address)?;
    let fd = connect_to(address, deadline)?;
    let Some(secured) = secured else { return link(fd, settings, framing, Greets::First, options) };
    settings.apply(&fd)?;
    secured_link(secured.shake(domain, fd, deadline)?, framing, Greets::First, options)
}

/// Connects to the first address that answers. One that does not takes its share of the time and no more.
pub fn connect_to(address: &Address, deadline: &Deadline) -> Result<OwnedFd> {
    let places = resolve(address, deadline)?;
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
    let wire = Box::new(SocketWire::new(fd, Family::Tcp)?);
    stream::link(wire, framing, greets, options, stream::CAN, peer)
}

fn secured_link(wire: TlsWire, framing: Framing, greets: Greets, options: &ChannelOptions) -> Result<Link> {
    let peer = Peer { address: wire.peer_address(), ..Peer::default() };
    stream::link(Box::new(wire), framing, greets, options, stream::CAN, peer)
}
