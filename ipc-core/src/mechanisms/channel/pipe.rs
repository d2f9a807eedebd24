//! `pipe:3,4`: descriptors this process has; and pairs of pipes to a child.

use super::address::Address;
use super::link::Half;
use super::stream::{self, Framing, Greets};
use super::unix;
use super::wire::{Family, PipeWire, SocketWire, Wire};
use super::{Channel, ChannelOptions, Link, Listened, Listening, Peer, check};
use crate::domain::Domain;
use crate::error::Result;
use crate::sys::descriptor::Signal;
use crate::sys::fork::Own;
use crate::sys::pipe::{self, Lent, Taken};
use crate::sys::ready::{For, sleep_for};
use crate::sys::socket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The end of a pair of pipes that a child is to have. Dropping it closes this process's copy of it; until then nobody
/// hears of the child's end. A process that connects to it itself, or forks and does so in the child, has taken that copy over: it
/// is the channel's there, and dropping this closes nothing.
///
/// The child opens [`ChildPipe::address`] with [`Domain::connect`]. Where the program that starts it gives descriptors other
/// numbers (Node's `stdio`), the address is `pipe:` and the numbers they have there: to read from, to write to.
#[derive(Debug)]
pub struct ChildPipe {
    read: Lent,
    write: Lent,
    address: String,
}

impl ChildPipe {
    /// What the child connects to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The descriptors that the child is to have: to read from, to write to. What starts a program with descriptors that are
    /// named (Python's `pass_fds`, Node's `stdio`) takes these.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.read.number(), self.write.number()]
    }

    /// The same for who closes them by itself.
    pub fn into_descriptors(self) -> [OwnedFd; 2] {
        [self.read.into_inner(), self.write.into_inner()]
    }

    /// Has the program that `command` starts inherit them. It must be started while this is there.
    pub fn pass_to(&self, command: &mut Command) {
        pipe::pass_to(command, self.descriptors());
    }
}

impl Domain {
    /// A channel over two pipes, of which a child of this process gets the other end.
    pub fn pipe(&self, options: &ChannelOptions) -> Result<(Channel, ChildPipe)> {
        let domain = self.current()?;
        check("pipe:", options)?;
        let (child_read, own_write) = pipe::pair()?;
        let (own_read, child_write) = pipe::pair()?;
        let (read, write) = (Lent::new(child_read)?, Lent::new(child_write)?);
        let (own_read, own_write) = (Own::new(own_read)?, Own::new(own_write)?);
        pipe::set_blocking(own_read.as_fd(), false)?;
        pipe::set_blocking(own_write.as_fd(), false)?;
        let address = format!("pipe:{},{}", read.number(), write.number());
        let wire = Box::new(PipeWire::new(Some(own_read), Some(own_write))?);
        let link =
            stream::link(wire, Framing::plain(), Greets::First, options, stream::CAN, Peer::default())?;
        let channel = Channel::new(&domain, address.clone(), options, link);
        Ok((channel, ChildPipe { read, write, address }))
    }
}

/// Takes over the descriptors an address names.
pub fn connect(address: &Address, options: &ChannelOptions) -> Result<Link> {
    open(address, Greets::First, options)
}

/// The same for a service: somebody is there already, who speaks first, and nobody else comes.
pub fn listen(address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let link = open(address, Greets::Second, options)?;
    let there = Arc::new(Signal::new()?);
    there.raise();
    let wake = there.clone();
    Ok(Listened {
        listening: Box::new(PipeListening { link: Some(link), there, watched: false }),
        address: address.clone(),
        wake: Box::new(move || wake.raise()),
    })
}

/// Pipes that wait to be accepted, and no others after them.
struct PipeListening {
    link: Option<Link>,
    there: Arc<Signal>,
    watched: bool,
}

impl Half for PipeListening {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_for(self.there.as_fd(), For::Input, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.watched = true;
        Ok(self.there.as_fd().as_raw_fd())
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Listening for PipeListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        self.there.lower();
        Ok(self.link.take())
    }
}

fn open(address: &Address, greets: Greets, options: &ChannelOptions) -> Result<Link> {
    let framing = Framing::of(address)?;
    let numbers = address.place().split_once(',').and_then(|(r, w)| Some((r.parse().ok()?, w.parse().ok()?)));
    let Some((reading, writing)) = numbers else {
        return Err(address.refuse("it is pipe:3,4, the descriptors to read from and to write to"));
    };
    let wire: Box<dyn Wire> = match pipe::take_over(reading, writing)? {
        (Taken::Socket(fd), Taken::Socket(_)) if reading == writing => {
            if socket::is_unix(fd.as_fd()) {
                return unix::link(fd, framing, greets, options);
            }
            Box::new(SocketWire::new(fd, Family::Tcp)?)
        }
        // Some parents (Node) make two sockets for what others make pipes for.
        (read, write) => {
            let (read, write) = (Own::new(read.one_way()?)?, Own::new(write.one_way()?)?);
            Box::new(PipeWire::new(Some(read), Some(write))?)
        }
    };
    stream::link(wire, framing, greets, options, stream::CAN, Peer::default())
}
