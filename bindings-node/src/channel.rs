//! Channels, and listening for them.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::rc::Rc;
use std::time::Duration;

use axonic::{ChannelMessage, ErrorKind};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::elsewhere::Elsewhere;
use crate::error::{OrThrow, closed, invalid};
use crate::memory::{CONTENT, LENGTH, ScratchMemory};
use crate::options;

/// How to open a channel, or to listen for some; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct ChannelSettings {
    /// Bytes of the largest message.
    pub max_message: Option<f64>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
    /// Whether whoever connects does so anew when the other end is gone.
    pub reconnect: Option<bool>,
}

impl ChannelSettings {
    pub(crate) fn options(self) -> axonic::Result<axonic::ChannelOptions> {
        let mut options = axonic::ChannelOptions::default();
        if let Some(most) = self.max_message {
            options.max_message = options::size("maxMessage", most)?;
        }
        if let Some(wait) = self.wait {
            options.wait = options::wait(&wait)?;
        }
        options.reconnect = self.reconnect.unwrap_or_default();
        Ok(options)
    }
}

/// What a transport can do.
#[napi(object, object_from_js = false)]
pub struct Can {
    /// All that is sent arrives, once, unless the other end is gone.
    pub reliable: bool,
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// Messages arrive as they were sent.
    pub messages: bool,
    /// Who sends faster than is received is made to wait.
    pub back_pressure: bool,
    /// The other end is told when this one has ended.
    pub end: bool,
    /// An end can say that it will send nothing more.
    pub half_close: bool,
    /// Open descriptors can be passed.
    pub descriptors: bool,
    /// The kernel tells who is at the other end.
    pub credentials: bool,
    /// Bytes of the largest message that it takes, where it has a limit of its own.
    pub max_message: Option<f64>,
}

impl From<axonic::Can> for Can {
    fn from(can: axonic::Can) -> Can {
        Can {
            reliable: can.reliable,
            ordered: can.ordered,
            messages: can.messages,
            back_pressure: can.back_pressure,
            end: can.end,
            half_close: can.half_close,
            descriptors: can.descriptors,
            credentials: can.credentials,
            max_message: can.max_message.map(|most| most as f64),
        }
    }
}

/// Who is at the other end.
#[napi(object, object_from_js = false)]
pub struct Peer {
    /// Its process.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// Where it is.
    pub address: Option<String>,
}

impl From<&axonic::Peer> for Peer {
    fn from(peer: &axonic::Peer) -> Peer {
        Peer { pid: peer.pid, uid: peer.uid, gid: peer.gid, address: peer.address.clone() }
    }
}

/// Counters of one end of a channel.
#[napi(object, object_from_js = false)]
pub struct ChannelStats {
    /// Messages sent.
    pub sent_messages: f64,
    /// Their bytes.
    pub sent_bytes: f64,
    /// Messages received.
    pub received_messages: f64,
    /// Their bytes.
    pub received_bytes: f64,
    /// Sends that found no room.
    pub blocked: f64,
}

impl From<axonic::ChannelStats> for ChannelStats {
    fn from(stats: axonic::ChannelStats) -> ChannelStats {
        ChannelStats {
            sent_messages: stats.sent_messages as f64,
            sent_bytes: stats.sent_bytes as f64,
            received_messages: stats.received_messages as f64,
            received_bytes: stats.received_bytes as f64,
            blocked: stats.blocked as f64,
        }
    }
}

/// The message is not in the scratch: `take` fetches it.
const HELD: u32 = 256;
/// Descriptors came with the message.
const DESCRIPTORS: u32 = 512;
/// What a bound send answers when a part of the message is kept for want of room.
const PART: i64 = 1;

struct State {
    address: String,
    channel: RefCell<Option<axonic::Channel>>,
    /// The message announced, where the scratch does not have all of it.
    held: RefCell<Option<ChannelMessage>>,
    /// Sends that found no room, which the core counts only of those who wait for it.
    blocked: Cell<u64>,
    scratch: Rc<ScratchMemory>,
}

impl State {
    fn with<T>(&self, body: impl FnOnce(&axonic::Channel) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.channel.borrow().as_ref() {
            Some(channel) => body(channel),
            None => Err(closed("channel", &self.address)),
        }
    }

    /// What became of an attempt to send.
    fn sent(
        &self,
        channel: &axonic::Channel,
        sent: axonic::Result<()>,
        quiet: bool,
    ) -> axonic::Result<Answer> {
        match sent {
            Ok(()) => Ok(if channel.try_flush()? { Answer::Nothing } else { Answer::Int(PART) }),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Err(_) => {
                self.blocked.set(self.blocked.get() + 1);
                if quiet {
                    return Ok(Answer::No);
                }
                let text =
                    format!("channel '{}': no room now; use sendAsync, which waits for it", self.address);
                Err(axonic::Error::new(ErrorKind::WouldBlock, text))
            }
        }
    }

    /// Writes the next message into the scratch, and its length into row 0.
    fn receive(&self) -> axonic::Result<Answer> {
        let Some(message) = self.with(|channel| channel.try_receive())? else { return Ok(Answer::Int(0)) };
        let row = self.scratch.row(0);
        let mut flags = 0;
        match self.scratch.bytes().get_mut(..message.data.len()) {
            Some(target) => target.copy_from_slice(&message.data),
            None => flags |= HELD,
        }
        if !message.descriptors.is_empty() {
            flags |= DESCRIPTORS;
        }
        row[LENGTH] = message.data.len() as f64;
        row[CONTENT] = f64::from(flags);
        if flags != 0 {
            self.held.replace(Some(message));
        }
        Ok(Answer::Int(1))
    }
}

/// The native channel behind the facade's.
#[napi]
pub struct Channel {
    state: Rc<State>,
}

#[napi]
impl Channel {
    fn new(channel: axonic::Channel, scratch: &Rc<ScratchMemory>) -> Channel {
        Channel {
            state: Rc::new(State {
                address: channel.address().into(),
                channel: RefCell::new(Some(channel)),
                held: RefCell::default(),
                blocked: Cell::new(0),
                scratch: scratch.clone(),
            }),
        }
    }

    /// The address it was opened by.
    #[napi]
    pub fn address(&self) -> String {
        self.state.address.clone()
    }

    /// What its transport can do.
    #[napi]
    pub fn can(&self, env: &Env) -> Result<Can> {
        self.state.with(|channel| Ok(channel.can().into())).or_throw(env)
    }

    /// Who is at the other end.
    #[napi]
    pub fn peer(&self, env: &Env) -> Result<Peer> {
        self.state.with(|channel| Ok(Peer::from(&channel.peer().clone()))).or_throw(env)
    }

    /// Bytes of the largest message it takes.
    #[napi]
    pub fn max_message(&self, env: &Env) -> Result<f64> {
        self.state.with(|channel| Ok(channel.max_message() as f64)).or_throw(env)
    }

    /// `(view, quiet)`: sends a view's bytes; `false` when quiet and there is no room, 1 when a part of it is kept.
    #[napi(ts_return_type = "(view: NodeJS.ArrayBufferView, quiet: 0 | 1) => false | 1 | undefined")]
    pub fn bind_send<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"send", &self.state, |state: &State, call: &Call| {
            state.with(|channel| state.sent(channel, channel.try_send(call.bytes(0)), call.int(1) != 0))
        })
    }

    /// Sends bytes with copies of descriptors; `false` when quiet and there is no room, otherwise whether all went out.
    #[napi(ts_return_type = "false | 1 | undefined")]
    pub fn send_descriptors(
        &self,
        env: &Env,
        data: &[u8],
        fds: Vec<i32>,
        quiet: bool,
    ) -> Result<Option<Either<bool, i32>>> {
        if let Some(bad) = fds.iter().find(|fd| **fd < 0) {
            return Err(invalid(format!("{bad} is no descriptor"))).or_throw(env);
        }
        // SAFETY: not -1, and borrowed for the length of this call; what is not open the kernel refuses.
        let fds: Vec<BorrowedFd<'_>> =
            fds.into_iter().map(|fd| unsafe { BorrowedFd::borrow_raw(fd) }).collect();
        let state = &self.state;
        let answer =
            state.with(|channel| state.sent(channel, channel.try_send_descriptors(data, &fds), quiet));
        Ok(match answer.or_throw(env)? {
            Answer::Nothing => None,
            Answer::No => Some(Either::A(false)),
            Answer::Int(part) => Some(Either::B(part as i32)),
        })
    }

    /// Sends the first of several messages, as many as there is room for; how many.
    #[napi]
    pub fn send_many(&self, env: &Env, messages: Vec<Uint8Array>) -> Result<u32> {
        let messages: Vec<&[u8]> = messages.iter().map(|message| message.as_ref()).collect();
        let sent = self.state.with(|channel| match channel.send_many(&messages, Some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(0),
            sent => sent,
        });
        Ok(sent.or_throw(env)? as u32)
    }

    /// Sends what was kept; whether there is nothing left.
    #[napi]
    pub fn flush(&self, env: &Env) -> Result<bool> {
        self.state.with(|channel| channel.try_flush()).or_throw(env)
    }

    /// Says that nothing more will be sent; what was kept is sent before. Whether that is done.
    #[napi]
    pub fn finish(&self, env: &Env) -> Result<bool> {
        self.state.with(|channel| channel.try_finish()).or_throw(env)
    }

    /// `()`: the next message, of which row 0 of the table tells; 0: there is none.
    #[napi(ts_return_type = "() => number")]
    pub fn bind_receive<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"receive", &self.state, |state: &State, _: &Call| state.receive())
    }

    /// Fetches the message that was announced into a view of its length, and what descriptors came with it.
    #[napi]
    pub fn take(&self, mut target: Uint8Array) -> Vec<i32> {
        let Some(message) = self.state.held.take() else { return Vec::new() };
        // SAFETY: the facade has just made the array, and nobody else has it.
        unsafe { target.as_mut() }.copy_from_slice(&message.data);
        message.descriptors.into_iter().map(|fd| fd.into_raw_fd()).collect()
    }

    /// The pollable descriptor; readable until `receive` answered that there is nothing.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|channel| channel.fd()).or_throw(env)
    }

    /// The descriptor that is readable when a send that found no room should be tried again.
    #[napi]
    pub fn send_fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|channel| channel.send_fd()).or_throw(env)
    }

    /// Counters.
    #[napi]
    pub fn stats(&self, env: &Env) -> Result<ChannelStats> {
        let mut stats = self.state.with(|channel| Ok(channel.stats())).or_throw(env)?;
        stats.blocked += self.state.blocked.get();
        Ok(stats.into())
    }

    /// Ends it; a second time does nothing. It does not wait: what there is no room for now of a message that was sent in part
    /// is cut off, and the other end is told; `flush` before it waits for room.
    #[napi]
    pub fn close(&self) {
        self.state.held.take();
        if let Some(channel) = self.state.channel.take() {
            channel.close();
        }
    }
}

/// The end of a pair of pipes that a child is to have.
#[napi]
pub struct ChildPipe {
    pipe: Option<axonic::ChildPipe>,
}

#[napi]
impl ChildPipe {
    /// The descriptors that the child is to have: to read from, to write to.
    #[napi]
    pub fn descriptors(&self, env: &Env) -> Result<Vec<i32>> {
        let pipe = self.pipe.as_ref().ok_or_else(|| closed("child pipe", "pipe:"));
        Ok(pipe.or_throw(env)?.descriptors().into())
    }

    /// Closes this process's copy; a second time does nothing.
    #[napi]
    pub fn close(&mut self) {
        self.pipe = None;
    }
}

/// A channel to a child, and what the child is to have.
#[napi]
pub struct Pipe {
    channel: Option<Channel>,
    child: Option<ChildPipe>,
}

#[napi]
impl Pipe {
    pub(crate) fn open(
        domain: &axonic::Domain,
        settings: ChannelSettings,
        scratch: &Rc<ScratchMemory>,
    ) -> axonic::Result<Pipe> {
        let (channel, pipe) = domain.pipe(&settings.options()?)?;
        let channel = Channel::new(channel, scratch);
        Ok(Pipe { channel: Some(channel), child: Some(ChildPipe { pipe: Some(pipe) }) })
    }

    /// The channel, once.
    #[napi]
    pub fn channel(&mut self) -> Option<Channel> {
        self.channel.take()
    }

    /// The child's end, once.
    #[napi]
    pub fn child(&mut self) -> Option<ChildPipe> {
        self.child.take()
    }
}

/// A channel that is about to be opened.
#[napi]
pub struct Connecting {
    outcome: Elsewhere<axonic::Channel>,
    scratch: Rc<ScratchMemory>,
}

#[napi]
impl Connecting {
    pub(crate) fn start(
        domain: &axonic::Domain,
        address: String,
        settings: ChannelSettings,
        timeout: Option<f64>,
        scratch: &Rc<ScratchMemory>,
    ) -> axonic::Result<Connecting> {
        let options = settings.options()?;
        let timeout = timeout.map(|timeout| options::duration("timeout", timeout)).transpose()?;
        let domain = domain.clone();
        let outcome = Elsewhere::start(move || domain.connect(&address, &options, timeout))?;
        Ok(Connecting { outcome, scratch: scratch.clone() })
    }

    /// Nobody waits for it any more.
    #[napi]
    pub fn give_up(&self) {
        self.outcome.give_up();
    }

    /// Readable once it is decided.
    #[napi]
    pub fn fd(&self) -> i32 {
        self.outcome.fd()
    }

    /// The channel; `null`: it is not decided yet.
    #[napi]
    pub fn take(&self, env: &Env) -> Result<Option<Channel>> {
        Ok(self.outcome.take().or_throw(env)?.map(|channel| Channel::new(channel, &self.scratch)))
    }
}

/// The native listener behind the facade's.
#[napi]
pub struct Listener {
    address: String,
    listener: RefCell<Option<axonic::Listener>>,
    scratch: Rc<ScratchMemory>,
}

#[napi]
impl Listener {
    pub(crate) fn new(listener: axonic::Listener, scratch: &Rc<ScratchMemory>) -> Listener {
        let address = listener.address().into();
        Listener { address, listener: RefCell::new(Some(listener)), scratch: scratch.clone() }
    }

    fn with<T>(&self, body: impl FnOnce(&axonic::Listener) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.listener.borrow().as_ref() {
            Some(listener) => body(listener),
            None => Err(closed("listener", &self.address)),
        }
    }

    /// Its address, with what the system chose.
    #[napi]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// The next channel that somebody opened; `null`: nobody has.
    #[napi]
    pub fn accept(&self, env: &Env) -> Result<Option<Channel>> {
        let accepted = self.with(|listener| listener.try_accept()).or_throw(env)?;
        Ok(accepted.map(|channel| Channel::new(channel, &self.scratch)))
    }

    /// The pollable descriptor; readable until `accept` answered that nobody is there.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.with(|listener| listener.fd()).or_throw(env)
    }

    /// Ends it; a second time does nothing.
    #[napi]
    pub fn close(&self) {
        if let Some(listener) = self.listener.take() {
            listener.close();
        }
    }
}
