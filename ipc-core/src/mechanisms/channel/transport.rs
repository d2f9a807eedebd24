//! Which transport an address asks for.

use super::address::{Address, Scheme};
use super::{ChannelOptions, Link, Listened};
use crate::domain::Domain;
use crate::error::Result;
use crate::sys::clock::Deadline;

pub fn listen(domain: &Domain, address: &Address, options: &ChannelOptions) -> Result<Listened> {
    match address.scheme() {
        Scheme::Udp => super::datagram::listen(domain, address, options),
        Scheme::Unix if super::datagram::is_meant(address)? => {
            super::datagram::listen(domain, address, options)
        }
        Scheme::Inproc => super::inproc::listen(domain, address, options),
        Scheme::Shm => super::shm::listen(domain, address, options),
        Scheme::Fifo => super::fifo::listen(address, options),
        Scheme::Unix => super::unix::listen(address, options),
        Scheme::Tcp => super::tcp::listen(address, options),
        Scheme::Ws => super::ws::listen(address, options),
        Scheme::Pipe => Err(address
            .refuse("nobody listens at a pipe; make one with `pipe`, and connect to what it is called")),
    }
}

pub fn connect(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
) -> Result<Link> {
    match address.scheme() {
        Scheme::Udp => super::datagram::connect(domain, address, options, deadline),
        Scheme::Unix if super::datagram::is_meant(address)? => {
            super::datagram::connect(domain, address, options, deadline)
        }
        Scheme::Inproc => super::inproc::connect(domain, address, options, deadline),
        Scheme::Shm => super::shm::connect(domain, address, options, deadline),
        Scheme::Pipe => super::pipe::connect(address, options),
        Scheme::Fifo => super::fifo::connect(address, options, deadline),
        Scheme::Unix => super::unix::connect(address, options, deadline),
        Scheme::Tcp => super::tcp::connect(domain, address, options, deadline),
        Scheme::Ws => super::ws::connect(domain, address, options, deadline),
    }
}
