//! Sockets that carry whole messages, one each, without any framing: `unix:///path?type=seqpacket`, `type=datagram`, and
//! `udp://host:port`. Any program that has such a socket can be at the other end.
//!
//! - Seqpacket is a connection: all promises hold, and messages are as large as the socket's buffer (some 200 KB).
//! - A datagram comes alone. Who connects has a socket of its own, connected to where it sends; over Unix it has a name of
//!   the kernel's choice, by which it is answered. A listener has one socket for all: each address that something comes
//!   from is a channel ([`peers`]). Nobody is told of an end; a datagram for which the receiver has no room is lost.
//!   That nobody is there shows when something is sent: `Disconnected`; whoever sends again may find somebody.

mod halves;
mod peers;
mod seqpacket;

use super::address::{Address, Scheme};
use super::resolve::resolve;
use super::{Can, ChannelOptions, Link, Listened, Peer};
use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Signal;
use crate::sys::packet::{Name, Socket, Type, Who};

const DATAGRAMS: Can = Can {
    reliable: false,
    ordered: false,
    messages: true,
    back_pressure: false,
    end: false,
    half_close: false,
    descriptors: false,
    credentials: false,
    max_message: None,
};

/// Whether a Unix address is of one of these types.
pub fn is_meant(address: &Address) -> Result<bool> {
    Ok(address.word("type", &["stream", "seqpacket", "datagram"])? != "stream")
}

fn socket_type(address: &Address) -> Type {
    if address.setting("type") == Some("seqpacket") { Type::Seqpacket } else { Type::Datagram }
}

/// Refuses what is set and could mean nothing.
fn check_settings(address: &Address) -> Result<()> {
    if let Some(setting) = ["framing", "checksum"].iter().find(|setting| address.setting(setting).is_some()) {
        let text = format!("{setting} is of streams; here a message goes as it is, there is no framing");
        return Err(address.refuse(text));
    }
    if address.setting("backlog").is_some() && socket_type(address) == Type::Datagram {
        return Err(address.refuse("backlog is of connections, and datagrams have none"));
    }
    Ok(())
}

/// The socket's name that an address means: of a host with several addresses the first.
fn name_of(address: &Address, deadline: &Deadline) -> Result<Name> {
    check_settings(address)?;
    if address.scheme() == Scheme::Unix {
        return Name::unix(address.place());
    }
    resolve(address, deadline).map(|found| Name::inet(found[0]))
}

/// What a socket at this address can do.
fn can(address: &Address, socket: &Socket) -> Result<Can> {
    let (unix, connected) = (address.scheme() == Scheme::Unix, socket_type(address) == Type::Seqpacket);
    Ok(Can {
        reliable: connected,
        ordered: unix,
        back_pressure: connected,
        end: connected,
        half_close: connected,
        descriptors: unix,
        credentials: connected,
        max_message: Some(socket.max_message()?),
        ..DATAGRAMS
    })
}

fn peer_of(who: Option<Who>, name: Option<&Name>) -> Peer {
    Peer {
        pid: who.map(|who| who.pid).filter(|pid| *pid != 0),
        uid: who.map(|who| who.uid),
        gid: who.map(|who| who.gid),
        address: name.map(Name::to_string),
    }
}

pub fn listen(domain: &Domain, address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let name = name_of(address, &Deadline::after(None))?;
    let socket = Socket::new(&name, socket_type(address))?;
    socket.bind(&name)?;
    match socket_type(address) {
        Type::Seqpacket => seqpacket::listen(domain, address, socket, &name, options),
        Type::Datagram => peers::listen(domain, address, socket, &name, options),
    }
}

pub fn connect(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
) -> Result<Link> {
    let name = name_of(address, deadline)?;
    let socket = Socket::new(&name, socket_type(address))?;
    if socket_type(address) == Type::Seqpacket {
        seqpacket::connect(domain, &socket, &name, deadline)?;
    } else {
        if address.scheme() == Scheme::Unix {
            socket.bind_anywhere()?;
        }
        if !socket.connect(&name)? {
            return Err(Error::new(ErrorKind::Interrupted, "a signal interrupted it: try again"));
        }
    }
    let can = can(address, &socket)?;
    let peer = peer_of(socket.peer().filter(|_| can.credentials), Some(&name));
    Ok(halves::link(socket, can, peer, options, Signal::new()?))
}
