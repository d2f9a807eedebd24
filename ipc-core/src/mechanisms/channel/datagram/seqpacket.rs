//! Unix sockets of the type seqpacket: listening and connecting.

use super::{can, halves, peer_of};
use crate::domain::asked::Asker;
use crate::domain::{Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::address::Address;
use crate::mechanisms::channel::link::Half;
use crate::mechanisms::channel::{ChannelOptions, Link, Listened, Listening, Wake};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Signal;
use crate::sys::packet::{Name, Socket};
use crate::sys::ready::{For, sleep_on};
use crate::sys::socket_file::SocketFile;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// So many connections wait to be accepted, unless the address says how many.
const BACKLOG: u64 = 128;

/// Whoever finds as many waiting as may tries again so often: the system does not tell of room there.
const OFTEN: Duration = Duration::from_millis(5);

struct SeqpacketListening {
    domain: Domain,
    address: Address,
    socket: Socket,
    file: Option<SocketFile>,
    options: ChannelOptions,
    call: Arc<Signal>,
    /// Of the next channel.
    next: Option<Signal>,
    watched: bool,
}

pub fn listen(
    domain: &Domain,
    address: &Address,
    socket: Socket,
    name: &Name,
    options: &ChannelOptions,
) -> Result<Listened> {
    let call = Arc::new(Signal::new()?);
    let called = call.clone();
    let wake: Wake = Box::new(move || called.raise());
    let listening = SeqpacketListening {
        domain: domain.clone(),
        address: address.clone(),
        file: name.path().map(SocketFile::of),
        options: options.clone(),
        call,
        next: None,
        watched: false,
        socket,
    };
    listening.socket.listen(address.number("backlog", BACKLOG)?)?;
    Ok(Listened { listening: Box::new(listening), address: address.clone(), wake })
}

impl Half for SeqpacketListening {
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

impl Listening for SeqpacketListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        // With no descriptor left for it, nobody is taken out of the line.
        let call = self.next.take().map_or_else(Signal::new, Ok)?;
        let Some(socket) = self.socket.accept()? else {
            self.next = Some(call);
            return Ok(None);
        };
        let (can, peer) = (can(&self.address, &socket)?, peer_of(socket.peer(), None));
        Ok(Some(halves::link(socket, can, peer, &self.options, call)))
    }
}

impl Drop for SeqpacketListening {
    fn drop(&mut self) {
        if !self.domain.forked() {
            self.file.iter().for_each(SocketFile::remove);
        }
    }
}

pub fn connect(domain: &Domain, socket: &Socket, name: &Name, deadline: &Deadline) -> Result<()> {
    let mut asker = Asker::new();
    loop {
        if socket.connect(name)? {
            return Ok(());
        }
        if !domain.usable() {
            return Err(closed("its domain"));
        }
        if deadline.passed() {
            let text = "as many as may wait already for who listens there to accept them; give it more time, or see what it does";
            return Err(Error::new(ErrorKind::Timeout, text));
        }
        asker.ask()?;
        std::thread::sleep(deadline.remaining().map_or(OFTEN, |left| left.min(OFTEN)));
    }
}
