//! Channels: messages both ways between two ends, by address, whatever carries them.
//!
//! A transport is two halves (`link`): one that messages come from, one they go to. All that channels have in common
//! (waiting, limits, several threads, counters) is here; what a transport cannot do, its [`Can`] says.

mod address;
mod datagram;
mod fifo;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod inproc;
mod link;
mod pipe;
pub(crate) mod protocol;
mod reconnect;
pub(crate) mod shm;
mod sleeper;
mod stream;
mod tcp;
mod transport;
pub(crate) mod turns;
mod unix;
mod wire;
mod ws;

use crate::domain::asked::asking;
use crate::domain::{Attached, Domain, Wait, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
pub use address::{Address, Scheme};
use link::{Half, Outbound, wait_for};
pub(crate) use link::{Inbound, Outgoing};
pub use pipe::ChildPipe;
use protocol::{Protocol, Recognize, Speaks};
use reconnect::Line;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
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
    /// time to; who watches the descriptor is woken for it.)
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

/// Wakes whoever waits when the domain is closed.
struct Held(Wake);

impl Attached for Held {
    fn detach(&self) -> bool {
        (self.0)();
        false
    }
}

fn hold(domain: &Domain, wake: Wake) -> Arc<Held> {
    let held = Arc::new(Held(wake));
    let attached: Weak<dyn Attached> = Arc::<Held>::downgrade(&held);
    domain.inner().attach(attached);
    held
}

/// What channels and listeners have in common: an address, and that they can be closed.
struct Common {
    domain: Domain,
    noun: &'static str,
    address: String,
    wait: Wait,
    closed: AtomicBool,
    held: Arc<Held>,
}

impl Common {
    #[inline(always)]
    fn enter(&self) -> Result<()> {
        if self.domain.usable() && !self.closed.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(self.unusable())
        }
    }

    #[cold]
    fn unusable(&self) -> Error {
        let what = format!("{} '{}'", self.noun, self.address);
        if self.closed.load(Ordering::Relaxed) {
            return closed(&what);
        }
        if self.domain.is_closed() {
            return closed(&format!("{what}: its domain '{}'", self.domain.name()));
        }
        Error::new(
            ErrorKind::Forked,
            format!("{what} was carried over a fork, and the parent process has it; open another one here"),
        )
    }

    /// Waits for `attempt`, which does not begin once this is closed.
    fn wait<H: Half, T>(
        &self,
        half: &mut H,
        deadline: &Deadline,
        attempt: &mut dyn FnMut(&mut H) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let attempt = &mut |half: &mut H| {
            self.enter()?;
            attempt(half)
        };
        asking(deadline, |deadline| wait_for(half, self.wait, deadline, attempt))
    }

    /// From now on it counts as closed, and whoever waits looks. Whether it was not before, and is this process's: a forked
    /// child has copies of locks that nobody gives back.
    fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel) && !self.domain.forked();
        if first {
            (self.held.0)();
        }
        first
    }

    fn named(&self, error: Error) -> Error {
        error.of(self.noun, &self.address)
    }

    fn timed_out(&self, why: &str) -> Error {
        Error::new(ErrorKind::Timeout, format!("{} '{}': {why}", self.noun, self.address))
    }
}

/// How much of a message was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    All,
    /// The rest is kept, and goes before whatever is sent next.
    Part,
    /// There is no room.
    Nothing,
}

/// What is made of what comes in; `None`: nothing yet.
type Attempt<'a, T> = &'a mut dyn FnMut(&mut Box<dyn Inbound>) -> Result<Option<T>>;

/// One end of a channel. Several threads may use it; what they send goes out whole and one after the other.
pub struct Channel {
    common: Common,
    limit: usize,
    inbound: Turns<Box<dyn Inbound>>,
    outbound: Turns<Box<dyn Outbound>>,
    can: Can,
    peer: Peer,
    counters: Counters,
    /// Of one that connects anew.
    line: Option<Arc<Line>>,
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

    /// Sends a message, waiting for room up to `timeout` (`None`: for ever). With `Timeout` nothing of it was sent.
    pub fn send(&self, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        self.send_pieces(Outgoing { pieces: &[data], descriptors: &[] }, timeout)
    }

    /// The same with open descriptors, of which the other end gets copies.
    pub fn send_descriptors(
        &self,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> Result<()> {
        if !self.can.descriptors {
            let text = "it passes no descriptors; unix: sockets do";
            return Err(self.common.named(Error::new(ErrorKind::Unsupported, text)));
        }
        self.send_pieces(Outgoing { pieces: &[data], descriptors }, timeout)
    }

    /// Sends a message if there is room, or fails with `WouldBlock`. Of one that is larger than the room there is a part
    /// is sent; the rest goes out with the next call that sends, or with [`Channel::flush`].
    pub fn try_send(&self, data: &[u8]) -> Result<()> {
        let message = Outgoing { pieces: &[data], descriptors: &[] };
        let mut pushed = self.push(message)?;
        // Whoever watches the descriptor relies on it from when there was no room.
        if pushed == Pushed::Nothing && self.arm_watched()? {
            pushed = self.push(message)?;
        }
        if pushed == Pushed::Nothing { Err(self.full(ErrorKind::WouldBlock)) } else { Ok(()) }
    }

    #[cold]
    fn arm_watched(&self) -> Result<bool> {
        let armed = self.outbound.with(|half| Ok(half.is_watched() && half.arm()?));
        armed.unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    /// Sends what [`Channel::try_send`] could not yet, waiting for room up to `timeout` (`None`: for ever).
    pub fn flush(&self, timeout: Option<Duration>) -> Result<()> {
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        match self.outbound.have(&deadline, |half| self.push_on(half, &deadline)) {
            Some(Ok(true)) => Ok(()),
            Some(Err(e)) => Err(self.common.named(e)),
            _ => Err(self.full(ErrorKind::Timeout)),
        }
    }

    /// The same without waiting; whether there is nothing left.
    pub fn try_flush(&self) -> Result<bool> {
        self.common.enter()?;
        let flushed =
            self.outbound.with(|half| Ok(half.flush()? || half.is_watched() && half.arm()? && half.flush()?));
        flushed.unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    /// Sends what was kept; `false`: not all of it until the deadline.
    fn push_on(&self, half: &mut Box<dyn Outbound>, deadline: &Deadline) -> Result<bool> {
        let attempt = &mut |half: &mut Box<dyn Outbound>| Ok(half.flush()?.then_some(()));
        Ok(self.common.wait(half, deadline, attempt)?.is_some())
    }

    /// Sends several messages, which costs less than one by one; how many of them were sent, if not all within `timeout`.
    pub fn send_many(&self, messages: &[&[u8]], timeout: Option<Duration>) -> Result<usize> {
        messages.iter().try_for_each(|message| self.check(message.len()))?;
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        let mut sent = 0;
        let waited = self.outbound.have(&deadline, |half| {
            let attempt = &mut |half: &mut Box<dyn Outbound>| {
                let more = half.send_many(&messages[sent..])?;
                messages[sent..sent + more]
                    .iter()
                    .for_each(|message| self.counters.sent.count(message.len()));
                sent += more;
                // A part of the last one may be kept.
                Ok((sent == messages.len() && half.flush()?).then_some(()))
            };
            self.common.wait(half, &deadline, attempt)
        });
        match waited.transpose().map_err(|e| self.common.named(e)) {
            Err(e) if sent == 0 => Err(e),
            _ if sent == 0 && !messages.is_empty() => Err(self.full(ErrorKind::Timeout)),
            _ => Ok(sent),
        }
    }

    pub(crate) fn send_pieces(&self, message: Outgoing<'_>, timeout: Option<Duration>) -> Result<()> {
        match self.push(message)? {
            Pushed::All => Ok(()),
            attempt => self.send_slowly(message, attempt, &Deadline::after(timeout)),
        }
    }

    /// There is no room for all of it now. Once a part of a large message is sent, the message is: its rest goes out as far as
    /// there is time for it, and the remainder before whatever is sent next.
    #[cold]
    fn send_slowly(&self, message: Outgoing<'_>, attempt: Pushed, deadline: &Deadline) -> Result<()> {
        self.counters.blocked.fetch_add(1, Ordering::Relaxed);
        let mut begun = attempt == Pushed::Part;
        let sent = self.outbound.have(deadline, |half| {
            if !begun {
                let attempt = &mut |half: &mut Box<dyn Outbound>| Ok(half.send(message)?.then_some(()));
                begun = self.common.wait(half, deadline, attempt)?.is_some();
                if begun {
                    self.counters.sent.count(message.len());
                }
            }
            if begun { self.push_on(half, deadline).map(drop) } else { Ok(()) }
        });
        sent.transpose().map_err(|e| self.common.named(e))?;
        if begun { Ok(()) } else { Err(self.full(ErrorKind::Timeout)) }
    }

    /// Sends as much as there is room for.
    #[inline(always)]
    pub(crate) fn push(&self, message: Outgoing<'_>) -> Result<Pushed> {
        self.check(message.len())?;
        self.common.enter()?;
        let pushed = self.outbound.with(|half| {
            let pushed = push_to(half, message)?;
            if pushed == Pushed::Nothing {
                half.idle()?;
            } else {
                self.counters.sent.count(message.len());
            }
            Ok(pushed)
        });
        pushed.unwrap_or(Ok(Pushed::Nothing)).map_err(|e| self.common.named(e))
    }

    #[inline(always)]
    fn check(&self, length: usize) -> Result<()> {
        if length <= self.limit { Ok(()) } else { Err(self.too_large(length)) }
    }

    #[cold]
    fn too_large(&self, length: usize) -> Error {
        let why = match self.can.max_message {
            Some(most) if most == self.limit => {
                "more than its transport takes; send it in parts, or use another transport"
            }
            _ => "the limit is the smaller max_message of both ends; raise it there",
        };
        let text = format!("a message of {length} bytes, the largest is {}: {why}", self.limit);
        self.common.named(Error::new(ErrorKind::TooLarge, text))
    }

    #[cold]
    fn full(&self, kind: ErrorKind) -> Error {
        let why = self.line.as_ref().and_then(|line| line.why_not());
        let why =
            why.unwrap_or_else(|| "no room, the other end is behind; give it more time, or send less".into());
        self.common.named(Error::new(kind, why))
    }

    /// The next message, waiting for it up to `timeout` (`None`: for ever). `Disconnected` when the other end has ended and
    /// everything it sent was received.
    pub fn receive(&self, timeout: Option<Duration>) -> Result<ChannelMessage> {
        let deadline = Deadline::after(timeout);
        match self.receive_with(&deadline, |half| self.take(half))? {
            Some(message) => message,
            None => Err(self.nothing_came()),
        }
    }

    #[cold]
    fn nothing_came(&self) -> Error {
        let why = self.line.as_ref().and_then(|line| line.why_not());
        let why =
            why.as_deref().unwrap_or("no message came; give it more time, or see that the other end sends");
        self.common.timed_out(why)
    }

    /// The next message if there is one.
    pub fn try_receive(&self) -> Result<Option<ChannelMessage>> {
        self.try_with(&mut |half| {
            // Whoever watches the descriptor relies on it from when nothing was found.
            if half.next()? || half.is_watched() && half.arm()? && half.next()? {
                return self.take(half).map(Some);
            }
            half.idle()?;
            Ok(None)
        })
    }

    /// Does something with the next message, in place. `None`: none came until the deadline.
    fn receive_with<T>(
        &self,
        deadline: &Deadline,
        mut act: impl FnMut(&mut Box<dyn Inbound>) -> T,
    ) -> Result<Option<T>> {
        self.wait_with(deadline, &mut |half| if half.next()? { Ok(Some(act(half))) } else { Ok(None) })
    }

    /// Waits until `attempt` makes something of what comes in. `None`: nothing until the deadline.
    fn wait_with<T>(&self, deadline: &Deadline, attempt: Attempt<'_, T>) -> Result<Option<T>> {
        match self.try_with(attempt)? {
            None => self.hold_with(deadline, attempt),
            done => Ok(done),
        }
    }

    /// The same with nobody else reading until it is over.
    pub(crate) fn hold_with<T>(&self, deadline: &Deadline, attempt: Attempt<'_, T>) -> Result<Option<T>> {
        let waited = self.inbound.have(deadline, |half| self.common.wait(half, deadline, attempt));
        Ok(waited.transpose().map_err(|e| self.common.named(e))?.flatten())
    }

    /// The same without waiting, also for another thread that has it.
    pub(crate) fn try_with<T>(&self, attempt: Attempt<'_, T>) -> Result<Option<T>> {
        self.common.enter()?;
        self.inbound.with(attempt).unwrap_or(Ok(None)).map_err(|e| self.common.named(e))
    }

    /// The same of the descriptor that tells of room.
    pub(crate) fn arm_send(&self) -> Result<bool> {
        self.outbound.with(|half| half.arm()).unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    /// Gets its descriptor ready to tell of what comes; whether something may be there already.
    pub(crate) fn arm(&self) -> Result<bool> {
        self.inbound.with(|half| half.arm()).unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    fn take(&self, half: &mut Box<dyn Inbound>) -> Result<ChannelMessage> {
        let data = half.take_message();
        let descriptors = half.take_descriptors();
        half.release()?;
        self.counters.received.count(data.len());
        Ok(ChannelMessage { data, descriptors })
    }

    /// Says that nothing more will be sent. The other end receives what was sent and then `Disconnected`; it may still
    /// send where [`Can::half_close`] says so.
    pub fn finish(&self) -> Result<()> {
        self.common.enter()?;
        let deadline = Deadline::after(None);
        let finished = self.outbound.have(&deadline, |half| {
            self.push_on(half, &deadline)?;
            half.finish()
        });
        finished.unwrap_or(Ok(())).map_err(|e| self.common.named(e))
    }

    /// The pollable descriptor: readable until [`Channel::try_receive`] has returned `None`.
    pub fn fd(&self) -> Result<RawFd> {
        self.common.enter()?;
        let fd = self.inbound.have(&Deadline::after(None), |half| half.fd());
        fd.unwrap_or_else(|| Err(self.common.unusable())).map_err(|e| self.common.named(e))
    }

    /// Another one: readable when a send that failed with `WouldBlock` is worth trying again.
    pub fn send_fd(&self) -> Result<RawFd> {
        self.common.enter()?;
        let fd = self.outbound.have(&Deadline::after(None), |half| half.fd());
        fd.unwrap_or_else(|| Err(self.common.unusable())).map_err(|e| self.common.named(e))
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

    /// Ends it, also for other threads that wait on it. The other end receives what was sent.
    pub fn close(&self) {
        if self.common.close() {
            let forever = Deadline::after(None);
            self.inbound.have(&forever, |half| *half = Box::new(Gone));
            self.outbound.have(&forever, |half| *half = Box::new(Gone));
        }
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

#[inline(always)]
fn push_to(half: &mut Box<dyn Outbound>, message: Outgoing<'_>) -> Result<Pushed> {
    let pushed = match half.send(message)? {
        false => Pushed::Nothing,
        true if half.flush()? => return Ok(Pushed::All),
        true => Pushed::Part,
    };
    // Whoever watches the descriptor relies on it from when there was no room.
    if half.is_watched() && half.arm()? && (pushed == Pushed::Part || half.send(message)?) {
        return Ok(if half.flush()? { Pushed::All } else { Pushed::Part });
    }
    Ok(pushed)
}

/// The halves of a channel that was closed.
struct Gone;

impl Half for Gone {
    fn sleep(&mut self, _: Option<Duration>) -> Result<()> {
        Err(closed("it"))
    }

    fn fd(&mut self) -> Result<RawFd> {
        Err(closed("it"))
    }

    fn is_watched(&self) -> bool {
        false
    }
}

impl Inbound for Gone {
    fn next(&mut self) -> Result<bool> {
        Err(closed("it"))
    }

    fn message(&self) -> &[u8] {
        &[]
    }
}

impl Outbound for Gone {
    fn send(&mut self, _: Outgoing<'_>) -> Result<bool> {
        Err(closed("it"))
    }

    fn finish(&mut self) -> Result<()> {
        Err(closed("it"))
    }
}

/// A place where channels are listened for, as its transport has it.
pub(crate) trait Listening: Half {
    /// Takes the next connection; `None`: there is none now.
    fn accept(&mut self) -> Result<Option<Link>>;
}

/// What a transport makes of an address to listen at.
pub(crate) struct Listened {
    pub listening: Box<dyn Listening>,
    /// The address with what the system chose.
    pub address: Address,
    pub wake: Wake,
}

/// Listens at an address. Several threads may use it.
pub struct Listener {
    common: Common,
    options: ChannelOptions,
    listening: Turns<Option<Box<dyn Listening>>>,
    /// Finds out what else who connects may speak.
    recognize: Option<Recognize>,
}

impl Listener {
    pub(crate) fn new(domain: Domain, options: &ChannelOptions, listened: Listened) -> Listener {
        Listener {
            common: Common {
                noun: "listener",
                address: listened.address.to_string(),
                wait: options.wait,
                closed: AtomicBool::new(false),
                held: hold(&domain, listened.wake),
                domain,
            },
            options: options.clone(),
            listening: Turns::new(Some(listened.listening)),
            recognize: None,
        }
    }

    /// The address, with the port that the system chose where none was named.
    pub fn address(&self) -> &str {
        &self.common.address
    }

    /// The next channel that somebody opens, waiting for it up to `timeout` (`None`: for ever).
    pub fn accept(&self, timeout: Option<Duration>) -> Result<Channel> {
        self.common.enter()?;
        let deadline = Deadline::after(timeout);
        let accepted = self.listening.have(&deadline, |listening| {
            let Some(listening) = listening else { return Err(self.common.unusable()) };
            self.common
                .wait(listening, &deadline, &mut |listening: &mut Box<dyn Listening>| listening.accept())
        });
        match accepted.transpose().map_err(|e| self.common.named(e))?.flatten() {
            Some(link) => Ok(self.channel(link)),
            None => Err(self.common.timed_out("nobody connected; give it more time")),
        }
    }

    /// The next channel if somebody has opened one.
    pub fn try_accept(&self) -> Result<Option<Channel>> {
        self.common.enter()?;
        let accepted = self.listening.with(|listening| match listening {
            Some(listening) => match listening.accept()? {
                None if listening.is_watched() && listening.arm()? => listening.accept(),
                accepted => Ok(accepted),
            },
            None => Err(self.common.unusable()),
        });
        let link = accepted.unwrap_or(Ok(None)).map_err(|e| self.common.named(e))?;
        Ok(link.map(|link| self.channel(link)))
    }

    fn channel(&self, mut link: Link) -> Channel {
        if let Some(recognize) = self.recognize {
            link.inbound.speak(Speaks::Whatever(recognize));
        }
        Channel::new(&self.common.domain, self.common.address.clone(), &self.options, link)
    }

    /// The pollable descriptor: readable until [`Listener::try_accept`] has returned `None`.
    pub fn fd(&self) -> Result<RawFd> {
        self.common.enter()?;
        let fd = self.listening.have(&Deadline::after(None), |l| l.as_mut().map(|listening| listening.fd()));
        fd.flatten().unwrap_or_else(|| Err(self.common.unusable())).map_err(|e| self.common.named(e))
    }

    /// Ends it; who connects from now on is refused. Channels that were accepted go on.
    pub fn close(&self) {
        if self.common.close() {
            self.listening.have(&Deadline::after(None), Option::take);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.address())
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
        Ok(Listener { recognize: Some(recognize), ..Listener::new(domain, options, listened) })
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
            return Ok(Channel { line: Some(line), ..Channel::new(&domain, address.into(), options, link) });
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
