//! Channels: messages both ways between two ends, by address, whatever carries them.
//!
//! A transport is two halves (`link`): one that messages come from, one they go to. All that channels have in common
//! (waiting, limits, several threads, counters) is here and in `sending`, `receiving`, `listener` and `common`; what a
//! transport cannot do, its [`Can`] says.

mod address;
mod common;
mod datagram;
mod fifo;
mod frame;
mod gone;
mod handshakes;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod inproc;
pub(crate) mod link;
mod listener;
mod pipe;
pub(crate) mod protocol;
mod receiving;
mod reconnect;
mod resolve;
mod sending;
pub(crate) mod shm;
mod sleeper;
mod stream;
mod tcp;
mod tls;
mod transport;
pub(crate) mod turns;
mod unix;
mod wire;
mod ws;

use crate::domain::{Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
pub use address::{Address, Scheme};
use common::{Common, hold};
use gone::Gone;
use link::Outbound;
pub(crate) use link::{Inbound, Outgoing};
pub use listener::Listener;
pub(crate) use listener::{Listened, Listening};
pub use pipe::ChildPipe;
use protocol::{Protocol, Recognize, Speaks};
use reconnect::Line;
pub(crate) use sending::Pushed;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use turns::Turns;

/// How to open a channel, or to listen for some.
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// The largest message in bytes, to send and to receive; default 16 MiB, at most 1 GiB.
    pub max_message: usize,
    /// How to wait.
    pub wait: Wait,
    /// Of whoever connects: when the other end is gone, the next call that sends or receives connects anew, within its
    /// timeout and with pauses between attempts of 10 ms, doubling to a second. (A `try_` call tries for 10 ms, if it is
    /// time to, also over TLS and far networks, where that may be too short: use calls that wait there; who watches the
    /// descriptor is woken for it.)
    ///
    /// What was sent and not received yet when the other end went away is lost, and nobody is told; so is what
    /// [`Channel::try_send`] kept of a large message. The message of a call that fails was not received: send it again. That
    /// is so with `Disconnected` too, which says that the other end went away in the middle of it. After
    /// [`Channel::finish`] nothing connects anew.
    pub reconnect: bool,
}

/// The most that [`ChannelOptions::max_message`] can be.
pub const MAX_MESSAGE: usize = 1 << 30;

impl Default for ChannelOptions {
    fn default() -> Self {
        ChannelOptions { max_message: 16 << 20, wait: Wait::default(), reconnect: false }
    }
}

/// What a transport can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Can {
    /// All that is sent arrives, once, unless the other end is gone.
    pub reliable: bool,
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// Messages arrive as they were sent; otherwise it is a stream of bytes.
    pub messages: bool,
    /// Who sends faster than is received is made to wait; otherwise messages are lost.
    pub back_pressure: bool,
    /// The other end is told when this one has ended.
    pub end: bool,
    /// An end can say that it will send nothing more and go on receiving.
    pub half_close: bool,
    /// Open descriptors can be passed.
    pub descriptors: bool,
    /// The kernel tells who is at the other end.
    pub credentials: bool,
    /// The largest message the transport takes, where that is less than the channel's limit.
    pub max_message: Option<usize>,
}

/// Who is at the other end, as far as the kernel tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its process, in the numbers of this process's namespace.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// Where it is: its socket's address, or its label in a domain.
    pub address: Option<String>,
}

/// Counters of one end of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelStats {
    /// Messages sent.
    pub sent_messages: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Messages received.
    pub received_messages: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Sends that had to wait for room.
    pub blocked: u64,
    /// How often it has connected anew.
    pub reconnects: u64,
}

#[derive(Default)]
struct Counters {
    sent: Traffic,
    received: Traffic,
    blocked: AtomicU64,
}

/// Messages and bytes one way; counted by who has that half.
#[derive(Default)]
struct Traffic {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    #[inline(always)]
    fn count(&self, length: usize) {
        let add = |counter: &AtomicU64, more: u64| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        };
        add(&self.messages, 1);
        add(&self.bytes, length as u64);
    }
}

/// A message that was received.
#[derive(Debug)]
pub struct ChannelMessage {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Descriptors that were passed with it.
    pub descriptors: Vec<OwnedFd>,
}

/// What a transport makes of a connection.
pub(crate) struct Link {
    pub inbound: Box<dyn Inbound>,
    pub outbound: Box<dyn Outbound>,
    pub can: Can,
    pub peer: Peer,
    /// The largest message the other end takes, where it has said so.
    pub peer_limit: Option<usize>,
    /// Has waits of other threads end; called once the channel counts as closed.
    pub wake: Wake,
}

/// See [`Link::wake`].
pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

/// One end of a channel. Several threads may use it; what they send goes out whole and one after the other.
pub struct Channel {
    limit: usize,
    inbound: Turns<Box<dyn Inbound>>,
    outbound: Turns<Box<dyn Outbound>>,
    can: Can,
    peer: Peer,
    counters: Counters,
    /// Of one that connects anew.
    line: Option<Arc<Line>>,
    /// Last: with it a closed domain is left, and what goes before is still this participant's.
    common: Common,
}

impl Channel {
    pub(crate) fn new(domain: &Domain, address: String, options: &ChannelOptions, link: Link) -> Channel {
        Channel {
            common: Common {
                domain: domain.clone(),
                noun: "channel",
                address,
                wait: options.wait,
                closed: AtomicBool::new(false),
                held: hold(domain, link.wake),
            },
            limit: [link.can.max_message, link.peer_limit]
                .into_iter()
                .flatten()
                .fold(options.max_message, usize::min),
            inbound: Turns::new(link.inbound),
            outbound: Turns::new(link.outbound),
            can: link.can,
            peer: link.peer,
            counters: Counters::default(),
            line: None,
        }
    }

    /// The address it was opened by.
    pub fn address(&self) -> &str {
        &self.common.address
    }

    /// What its transport can do.
    pub fn can(&self) -> Can {
        self.can
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.line.as_ref().map_or_else(|| self.peer.clone(), |line| line.peer())
    }

    /// The largest message it takes, in bytes.
    pub fn max_message(&self) -> usize {
        self.limit
    }

    /// Whether this process is a forked child that has a copy of it, and of locks that nobody gives back.
    pub(crate) fn is_forked(&self) -> bool {
        self.common.domain.forked()
    }

    /// Counters.
    pub fn stats(&self) -> ChannelStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { sent, received, blocked } = &self.counters;
        ChannelStats {
            sent_messages: read(&sent.messages),
            sent_bytes: read(&sent.bytes),
            received_messages: read(&received.messages),
            received_bytes: read(&received.bytes),
            blocked: read(blocked),
            reconnects: self.line.as_ref().map_or(0, |line| line.count()),
        }
    }

    /// Ends it, also for other threads that wait on it; so does dropping it. The other end receives what was sent. What
    /// [`Channel::try_send`] kept of a message goes out as far as there is room now; if some is left, the other end is told that it
    /// ended in the middle of a message. [`Channel::flush`] or [`Channel::finish`] before it waits for room.
    pub fn close(&self) {
        if self.common.enter().is_ok() {
            let _ = self.outbound.with(|half| half.flush());
        }
        if self.common.close() {
            self.inbound.end(|half| *half = Box::new(Gone));
            self.outbound.end(|half| *half = Box::new(Gone));
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Channel({:?}, {} sent, {} received)",
            self.address(),
            self.stats().sent_messages,
            self.stats().received_messages
        )
    }
}

impl Domain {
    /// Listens for channels at an address, such as `unix:///run/jobs.sock` or `shm://demo/jobs`.
    pub fn listen(&self, address: &str, options: &ChannelOptions) -> Result<Listener> {
        let domain = self.current()?;
        check(address, options)?;
        let read = plain(address.parse()?)?;
        let listened = transport::listen(&domain, &read, options).map_err(|e| e.of("listener", address))?;
        Ok(Listener::new(domain, options, listened))
    }

    /// The same where other protocols than frames are spoken, too, if who connects begins with one.
    pub(crate) fn listen_to(
        &self,
        address: &str,
        options: &ChannelOptions,
        recognize: Recognize,
    ) -> Result<Listener> {
        let domain = self.current()?;
        check(address, options)?;
        let read: Address = plain(address.parse()?)?;
        let listened = match read.scheme() {
            Scheme::Pipe => pipe::listen(&read, options),
            _ => transport::listen(&domain, &read, options),
        };
        let listened = listened.map_err(|e| e.of("listener", address))?;
        Ok(Listener::new(domain, options, listened).recognizing(recognize))
    }

    /// Opens a channel to whoever listens at `address`, within `timeout` (`None`: however long it takes). Where nobody does,
    /// it fails at once.
    pub fn connect(
        &self,
        address: &str,
        options: &ChannelOptions,
        timeout: Option<Duration>,
    ) -> Result<Channel> {
        plain(address.parse()?)?;
        self.connect_to(address, options, timeout, None)
    }

    /// The same to who speaks another protocol than frames, where one is given.
    pub(crate) fn connect_to(
        &self,
        address: &str,
        options: &ChannelOptions,
        timeout: Option<Duration>,
        protocol: Option<Arc<dyn Protocol>>,
    ) -> Result<Channel> {
        let domain = self.current()?;
        check(address, options)?;
        let read: Address = address.parse()?;
        if options.reconnect && read.scheme() == Scheme::Pipe {
            return Err(
                read.refuse("a pipe is connected once; use it without reconnect, or another transport")
            );
        }
        let named = |e: Error| e.of("channel", address);
        let mut link =
            transport::connect(&domain, &read, options, &Deadline::after(timeout)).map_err(named)?;
        if let Some(protocol) = protocol {
            if !link.inbound.speak(Speaks::This(protocol)) {
                let text = "another protocol needs a stream of bytes; leave one of both settings out";
                return Err(read.refuse(text));
            }
        } else if options.reconnect {
            let (link, line) = reconnect::keep(&domain, &read, options, link).map_err(named)?;
            let mut channel = Channel::new(&domain, address.into(), options, link);
            channel.line = Some(line);
            return Ok(channel);
        }
        Ok(Channel::new(&domain, address.into(), options, link))
    }
}

/// Channels have messages of their own.
fn plain(address: Address) -> Result<Address> {
    match address.setting("protocol") {
        None => Ok(address),
        Some(_) => Err(address.refuse(
            "protocol= is for clients of services; a service finds out what is spoken to it, and channels speak nothing else",
        )),
    }
}

fn check(address: &str, options: &ChannelOptions) -> Result<()> {
    if (1..=MAX_MESSAGE).contains(&options.max_message) {
        return Ok(());
    }
    let text = format!("channel '{address}': max_message is {}, 1 to {MAX_MESSAGE}", options.max_message);
    Err(Error::new(ErrorKind::InvalidArgument, text))
}
