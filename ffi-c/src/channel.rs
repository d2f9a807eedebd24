//! Channels: messages both ways between two ends, by address.

use crate::args::{self, Out, Timeout, Versioned};
use crate::domain::{self, axonic_domain};
use crate::error::{Failure, Outcome, enter};
use crate::handle::{self, Noun};
use crate::message::axonic_message;
use crate::message::held;
use axonic::{Channel, ChannelOptions, Peer};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::sync::Arc;

pub mod listener;

/// One end of a channel. It may be used by several threads at once: what they send goes out whole, one after the other.
pub struct axonic_channel(());

pub(crate) struct State {
    channel: Channel,
    name: Arc<CStr>,
}

impl Noun for axonic_channel {
    const NAME: &'static str = "axonic_channel";
    type State = State;
}

/// Start with AXONIC_CHANNEL_OPTIONS_INIT. 0 means the default. What only one transport has is set in the address.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_channel_options {
    /// sizeof(axonic_channel_options)
    pub size: usize,
    /// The largest message in bytes, to send and to receive; default 16 MiB, at most 1 GiB.
    pub max_message: usize,
    /// An axonic_wait.
    pub wait: i32,
    /// Not 0: whoever connects does so anew when the other end is gone; what was sent and not received is lost then.
    pub reconnect: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_channel_options {
    const INIT: Self =
        axonic_channel_options { size: size_of::<Self>(), max_message: 0, wait: 0, reconnect: 0 };
    const NAME: &'static str = "axonic_channel_options";
}

/// Bytes to send; laid out as a struct iovec.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_bytes {
    pub data: *const c_void,
    pub size: usize,
}

/// Who is at the other end, as far as the kernel tells.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_peer {
    /// Its process, in the numbers of this process's namespace; -1: not known.
    pub pid: i64,
    /// Its user; -1: not known.
    pub uid: i64,
    /// Its group; -1: not known.
    pub gid: i64,
    /// Where it is: its socket's address, or its label in a domain; "": not known.
    pub address: [c_char; 208],
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

/// What a channel can do, by its transport.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_can {
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
    /// The largest message in bytes that the transport takes; 0: it has no limit of its own. axonic_channel_max_message() says
    /// what counts.
    pub max_message: usize,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

/// The end of a pair of pipes that a child is to have. Both descriptors are the caller's to close, once the child is started:
/// until then nobody hears of the child's end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_child_pipe {
    /// The descriptor the child reads from.
    pub read: i32,
    /// The descriptor the child writes to.
    pub write: i32,
    /// What the child connects to, where it has them under these numbers.
    pub address: [c_char; 32],
}

/// Counters of one end of a channel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_channel_stats {
    pub sent_messages: u64,
    pub sent_bytes: u64,
    pub received_messages: u64,
    pub received_bytes: u64,
    /// Sends that had to wait for room.
    pub blocked: u64,
    /// 0; for later versions.
    pub reserved: [u64; 3],
}

pub(crate) fn options(max_message: usize, wait: i32, reconnect: bool) -> Outcome<ChannelOptions> {
    let default = ChannelOptions::default();
    Ok(ChannelOptions {
        max_message: args::or_default(max_message, default.max_message),
        wait: domain::wait(wait)?,
        reconnect,
    })
}

pub(crate) fn peer(peer: &Peer) -> axonic_peer {
    let known = |number: Option<u32>| number.map_or(-1, i64::from);
    axonic_peer {
        pid: known(peer.pid),
        uid: known(peer.uid),
        gid: known(peer.gid),
        address: args::chars(peer.address.as_deref().unwrap_or_default()),
        reserved: [0; 2],
    }
}

/// Moves a channel behind a pointer of C.
fn give(channel: Channel) -> *mut axonic_channel {
    let name = args::c_string(channel.address()).into();
    handle::give::<axonic_channel>(State { channel, name })
}

/// Opens a channel to whoever listens at `address`, such as "shm://domain/name" or "unix:///run/jobs.sock".
/// AXONIC_ERROR_NOT_FOUND at once where nobody does; `timeout` (not 0) is for one that is slow to answer. `options` NULL:
/// the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_connect(
    domain: *const axonic_domain,
    address: *const c_char,
    options: *const axonic_channel_options,
    timeout: i64,
    out: *mut *mut axonic_channel,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings, options and pointers.
        let (out, domain, address, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(address, "address")?, args::versioned(options)?)
        };
        let options = self::options(given.max_message, given.wait, given.reconnect != 0)?;
        out.set(give(args::within(timeout, |limit| domain.domain.connect(address, &options, limit))?));
        Ok(())
    })
}

/// Opens a channel over two pipes, of which a child of this process gets the other end. A program has them closed as it
/// starts: posix_spawn_file_actions_adddup2(&actions, child.read, child.read) passes one on, and so does clearing its
/// FD_CLOEXEC between fork() and exec. It connects to the address, "pipe:" and the numbers it has them under: to read from, to
/// write to. `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_pipe(
    domain: *const axonic_domain,
    options: *const axonic_channel_options,
    out: *mut *mut axonic_channel,
    out_child: *mut axonic_child_pipe,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, options and pointers.
        let (out, out_child, domain, given) = unsafe {
            (Out::new(out)?, Out::new(out_child)?, handle::get(domain)?, args::versioned(options)?)
        };
        let options = self::options(given.max_message, given.wait, given.reconnect != 0)?;
        let (channel, child) = domain.domain.pipe(&options)?;
        let address = args::chars(child.address());
        let [read, write] = child.into_descriptors().map(IntoRawFd::into_raw_fd);
        out.set(give(channel));
        out_child.set(axonic_child_pipe { read, write, address });
        Ok(())
    })
}

/// Ends it; the other end receives what was sent, and then AXONIC_ERROR_DISCONNECTED. It does not wait: what there is no room for
/// now of a message that was sent in part is cut off, and the other end is told. axonic_channel_flush() before it waits for room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_close(channel: *mut axonic_channel) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(channel) })
}

/// Ends it as axonic_channel_close() does, for all threads: who waits on it or uses it later is answered
/// AXONIC_ERROR_CLOSED. The handle is still to be closed, when no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_shutdown(channel: *const axonic_channel) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        unsafe { handle::get(channel)? }.channel.close();
        Ok(())
    })
}

/// Sends a message, waiting for room; after a failure nothing of it was sent. With timeout 0, one that is larger than the
/// room there is is taken if there is any, and the rest goes out with the next call that sends, or with
/// axonic_channel_flush().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_send(
    channel: *const axonic_channel,
    data: *const c_void,
    size: usize,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and data.
        let (state, data) = unsafe { (handle::get(channel)?, args::bytes(data, size)?) };
        match args::timeout(timeout) {
            Timeout::Try => state.channel.try_send(data)?,
            Timeout::Wait(limit) => state.channel.send(data, limit)?,
        }
        Ok(())
    })
}

/// Sends several messages, which costs less than one by one, and writes how many to `out_count`: fewer than `count` when
/// the time was over after some.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_send_many(
    channel: *const axonic_channel,
    messages: *const axonic_bytes,
    count: usize,
    timeout: i64,
    out_count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state, given) = unsafe {
            (Out::new(out_count)?, handle::get(channel)?, args::items(messages, count, "messages")?)
        };
        // SAFETY: the header's rules for data.
        let messages = given.iter().map(|message| unsafe { args::bytes(message.data, message.size) });
        let messages: Vec<&[u8]> = messages.collect::<Outcome<_>>()?;
        out.set(args::within(timeout, |limit| state.channel.send_many(&messages, limit))?);
        Ok(())
    })
}

/// Sends a message with open descriptors, of which the other end gets copies; where `descriptors` of axonic_can says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_send_descriptors(
    channel: *const axonic_channel,
    data: *const c_void,
    size: usize,
    descriptors: *const c_int,
    count: usize,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, data and pointers.
        let (state, data, descriptors) = unsafe {
            (handle::get(channel)?, args::bytes(data, size)?, args::items(descriptors, count, "descriptors")?)
        };
        if let Some(wrong) = descriptors.iter().find(|descriptor| **descriptor < 0) {
            return Err(Failure::argument(format!("{wrong} is no open descriptor")));
        }
        // SAFETY: the caller keeps them open while this call runs.
        let borrow = |descriptor: &c_int| unsafe { BorrowedFd::borrow_raw(*descriptor) };
        let descriptors: Vec<BorrowedFd> = descriptors.iter().map(borrow).collect();
        args::within(timeout, |limit| state.channel.send_descriptors(data, &descriptors, limit))
    })
}

/// Sends what a call with timeout 0 could not yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_flush(channel: *const axonic_channel, timeout: i64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get(channel)? };
        args::within(timeout, |limit| state.channel.flush(limit))
    })
}

/// The next message, waiting for it. Ends with axonic_message_release(). AXONIC_ERROR_DISCONNECTED when the other end has
/// ended and everything it sent was received.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_receive(
    channel: *const axonic_channel,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        let received = match args::timeout(timeout) {
            Timeout::Try => state
                .channel
                .try_receive()?
                .ok_or_else(|| Failure::nothing("channel", &state.name, "no message is there now"))?,
            Timeout::Wait(limit) => state.channel.receive(limit)?,
        };
        out.set(held::hand_out(received));
        Ok(())
    })
}

/// Says that nothing more will be sent: the other end receives what was sent and then AXONIC_ERROR_DISCONNECTED. It may
/// still send where `half_close` of axonic_can says so. Waits until what calls with timeout 0 could not send has gone out, and
/// what says so; when that takes too long, call it again, or axonic_channel_close(). With timeout 0 it answers
/// AXONIC_ERROR_WOULD_BLOCK until that is done: call it again when axonic_channel_send_fd() is readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_finish(channel: *const axonic_channel, timeout: i64) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles.
        let state = unsafe { handle::get(channel)? };
        match args::timeout(timeout) {
            Timeout::Try if state.channel.try_finish()? => Ok(()),
            Timeout::Try => Err(Failure::nothing("channel", &state.name, "not all has gone out")),
            Timeout::Wait(limit) => Ok(state.channel.finish(limit)?),
        }
    })
}

/// A descriptor for poll() and epoll, readable until a receive with timeout 0 has answered AXONIC_ERROR_WOULD_BLOCK
/// (level-triggered). Only poll it; it belongs to the channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_fd(channel: *const axonic_channel, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        out.set(state.channel.fd()?);
        Ok(())
    })
}

/// Another one, readable when a send that answered AXONIC_ERROR_WOULD_BLOCK is worth trying again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_send_fd(channel: *const axonic_channel, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        out.set(state.channel.send_fd()?);
        Ok(())
    })
}

/// Who is at the other end now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_peer(channel: *const axonic_channel, out: *mut axonic_peer) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        out.set(peer(&state.channel.peer()));
        Ok(())
    })
}

/// What it can do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_can(channel: *const axonic_channel, out: *mut axonic_can) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        let can = state.channel.can();
        out.set(axonic_can {
            reliable: can.reliable,
            ordered: can.ordered,
            messages: can.messages,
            back_pressure: can.back_pressure,
            end: can.end,
            half_close: can.half_close,
            descriptors: can.descriptors,
            credentials: can.credentials,
            max_message: can.max_message.unwrap_or(0),
            reserved: [0; 2],
        });
        Ok(())
    })
}

/// The largest message it takes, in bytes: what both ends allow and the transport can.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_max_message(
    channel: *const axonic_channel,
    out: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        out.set(state.channel.max_message());
        Ok(())
    })
}

/// Its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_channel_get_stats(
    channel: *const axonic_channel,
    out: *mut axonic_channel_stats,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(channel)?) };
        let stats = state.channel.stats();
        out.set(axonic_channel_stats {
            sent_messages: stats.sent_messages,
            sent_bytes: stats.sent_bytes,
            received_messages: stats.received_messages,
            received_bytes: stats.received_bytes,
            blocked: stats.blocked,
            reserved: [0; 3],
        });
        Ok(())
    })
}
