//! A datagram socket that many send to: each address that something comes from is a channel.
//!
//! There is one socket, the listener's and all channels'. Whoever of them looks or sleeps takes everything out of it and
//! puts each datagram where it belongs; of those who sleep the system wakes one for that, and who gets something is rung for.
//! What is kept for a channel that does not read, and for one that nobody has accepted, is bounded; the rest is lost. So are the
//! channels: nobody tells that an address is gone, so the one that was silent for longest, and long enough, makes room.

mod mailbox;
#[cfg(test)]
mod tests;

use super::{can, halves, peer_of};
use crate::domain::{Domain, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::address::{Address, Scheme};
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing};
use crate::mechanisms::channel::sleeper::Sleeper;
use crate::mechanisms::channel::{Can, ChannelOptions, Link, Listened, Listening, Wake};
use crate::sys::clock::coarse_millis;
use crate::sys::descriptor::{Epoll, Signal, watch_output};
use crate::sys::packet::{Control, Name, Received, Sent, Socket};
use crate::sys::ready::{For, sleep_on};
use crate::sys::socket_file::SocketFile;
use mailbox::{Mailbox, Parcel};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So many addresses wait to be accepted; what comes from others meanwhile is lost.
const BACKLOG: usize = 128;

/// So many addresses are channels at a time. One to which and from which nothing went for so long makes room for another.
const LIMITS: Limits = Limits { peers: 1024, silence: Duration::from_secs(60) };

#[derive(Clone, Copy)]
struct Limits {
    peers: usize,
    silence: Duration,
}

/// Whoever empties the socket lets another go on after so many datagrams: it has something else to do, too.
const BATCH: usize = 1024;

/// What the listener and its channels share.
struct Hub {
    domain: Domain,
    socket: Socket,
    can: Can,
    unix: bool,
    /// The longest message.
    most: usize,
    limits: Limits,
    state: Mutex<State>,
    /// Of the listener.
    sleeper: Arc<Sleeper>,
}

type Boxes = HashMap<Option<Name>, Arc<Mailbox>>;

struct State {
    buffer: Vec<u8>,
    control: Control,
    /// By where they are. A Unix socket need not have a name: what comes from those without is one channel.
    boxes: Boxes,
    /// Until then, in milliseconds, nobody can have been silent for long enough to make room.
    full_until: u64,
    /// Not accepted yet.
    fresh: VecDeque<Arc<Mailbox>>,
    /// Whether somebody accepts.
    listening: bool,
}

impl Hub {
    /// Takes everything out of the socket.
    fn sort(&self) -> Result<()> {
        let mut state = lock(&self.state);
        for _ in 0..BATCH {
            if !self.sort_one(&mut state)? {
                return Ok(());
            }
        }
        // Whoever sleeps may have been passed over in favour of us.
        state.boxes.values().for_each(|mailbox| mailbox.sleeper.wake());
        self.sleeper.wake();
        Ok(())
    }

    fn sort_one(&self, state: &mut State) -> Result<bool> {
        let State { buffer, control, boxes, full_until, fresh, listening } = state;
        let arrived = match self.socket.receive(buffer, control)? {
            Received::Message(arrived) => arrived,
            Received::Nothing => return Ok(false),
            // Somebody to whom something was sent is not there any more; it will show when something is sent again.
            Received::Gone => return Ok(true),
        };
        let mailbox = match boxes.get(&arrived.from).cloned() {
            Some(mailbox) => mailbox,
            None if !*listening || fresh.len() == BACKLOG => return Ok(true),
            None if boxes.len() >= self.limits.peers && !self.make_room(boxes, full_until) => {
                return Ok(true);
            }
            None => {
                // Without a descriptor left, what comes from somebody new is lost; this is not its channel's call.
                let Ok(mailbox) = Mailbox::new(arrived.from, arrived.who).map(Arc::new) else {
                    return Ok(true);
                };
                boxes.insert(arrived.from, mailbox.clone());
                fresh.push_back(mailbox.clone());
                self.sleeper.wake();
                mailbox
            }
        };
        mailbox.put(match buffer.get(..arrived.length) {
            Some(data) if data.len() <= self.most => {
                Parcel::Whole { data: data.to_vec(), descriptors: arrived.descriptors }
            }
            _ => Parcel::TooLarge(arrived.length),
        });
        Ok(true)
    }

    /// Whether somebody was silent for long enough. Who floods the socket does not have all looked through each time.
    fn make_room(&self, boxes: &mut Boxes, full_until: &mut u64) -> bool {
        let now = coarse_millis();
        if now < *full_until {
            return false;
        }
        let accepted = boxes.values().filter(|mailbox| mailbox.is_accepted());
        let silent = accepted.max_by_key(|mailbox| mailbox.silence());
        let longest = silent.map_or(Duration::ZERO, |mailbox| mailbox.silence());
        let Some(silent) = silent.filter(|_| longest >= self.limits.silence) else {
            *full_until = now + (self.limits.silence - longest).as_millis() as u64;
            return false;
        };
        let silent = silent.clone();
        boxes.remove(&silent.name);
        silent.put_out();
        true
    }

    #[cold]
    fn put_out(&self) -> Error {
        let text = format!(
            "nothing came from there or went there for {:?}, and its place was given to another, since {} have one at a time; \
             when it sends again, it is accepted anew",
            self.limits.silence, self.limits.peers
        );
        Error::new(ErrorKind::Disconnected, text)
    }
}

/// What waits for something to be found in the socket, or put where it looks.
struct Watcher {
    epoll: Epoll,
    watched: bool,
}

impl Watcher {
    fn new(hub: &Hub, sleeper: &Sleeper) -> Result<Watcher> {
        let epoll = Epoll::new()?;
        epoll.add(sleeper.as_fd(), 0)?;
        epoll.add_exclusively(hub.socket.as_fd(), 1)?;
        Ok(Watcher { epoll, watched: false })
    }

    /// Whoever was woken empties the socket: no other was.
    fn sleep(&self, hub: &Hub, limit: Option<Duration>) -> Result<()> {
        self.epoll.wait(limit, |_| ())?;
        hub.sort()
    }

    fn watch(&mut self, sleeper: &Sleeper) -> RawFd {
        sleeper.watch(&mut self.watched);
        self.epoll.as_raw_fd()
    }
}

struct DatagramListening {
    hub: Arc<Hub>,
    watcher: Watcher,
    file: Option<SocketFile>,
}

pub fn listen(
    domain: &Domain,
    address: &Address,
    socket: Socket,
    name: &Name,
    options: &ChannelOptions,
) -> Result<Listened> {
    listen_within(LIMITS, domain, address, socket, name, options)
}

fn listen_within(
    limits: Limits,
    domain: &Domain,
    address: &Address,
    socket: Socket,
    name: &Name,
    options: &ChannelOptions,
) -> Result<Listened> {
    let unix = address.scheme() == Scheme::Unix;
    // Over Unix a message tells who has sent it.
    let can = Can { credentials: unix, ..can(address, &socket)? };
    let most = options.max_message.min(socket.max_message()?);
    let place = if unix { address.place().to_string() } else { socket.name()?.to_string() };
    let state = State {
        buffer: vec![0; most + 1],
        control: Control::new(),
        boxes: HashMap::new(),
        full_until: 0,
        fresh: VecDeque::new(),
        listening: true,
    };
    let sleeper = Arc::new(Sleeper::new()?);
    let called = sleeper.clone();
    let (domain, state) = (domain.clone(), Mutex::new(state));
    let hub = Arc::new(Hub { domain, socket, can, unix, most, limits, state, sleeper });
    let wake: Wake = Box::new(move || called.call());
    let watcher = Watcher::new(&hub, &hub.sleeper)?;
    let file = name.path().map(SocketFile::of);
    let listening = DatagramListening { hub, watcher, file };
    Ok(Listened { listening: Box::new(listening), address: address.with_place(place), wake })
}

impl Half for DatagramListening {
    fn arm(&mut self) -> Result<bool> {
        self.hub.sort()?;
        Ok(self.hub.sleeper.arm(|| !lock(&self.hub.state).fresh.is_empty()))
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.watcher.sleep(&self.hub, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.watcher.watch(&self.hub.sleeper))
    }

    fn is_watched(&self) -> bool {
        self.watcher.watched
    }
}

impl Listening for DatagramListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        self.hub.sort()?;
        let Some(mailbox) = lock(&self.hub.state).fresh.front().cloned() else { return Ok(None) };
        // With no descriptor left for it, nobody is taken out of the line, and only this takes somebody out.
        let link = link(&self.hub, mailbox)?;
        lock(&self.hub.state).fresh.pop_front();
        Ok(Some(link))
    }
}

impl Drop for DatagramListening {
    fn drop(&mut self) {
        // The copy of a forked child: another thread may have had it locked.
        if self.hub.domain.forked() {
            return;
        }
        self.file.iter().for_each(SocketFile::remove);
        let mut state = lock(&self.hub.state);
        state.listening = false;
        while let Some(mailbox) = state.fresh.pop_front() {
            state.boxes.remove(&mailbox.name);
        }
    }
}

/// A channel's place in the hub, for as long as it has one of its halves.
struct Member {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.hub.domain.forked() {
            let boxes = &mut lock(&self.hub.state).boxes;
            // Its place may be another's by now, from the same address.
            if boxes.get(&self.mailbox.name).is_some_and(|there| Arc::ptr_eq(there, &self.mailbox)) {
                boxes.remove(&self.mailbox.name);
            }
        }
    }
}

fn link(hub: &Arc<Hub>, mailbox: Arc<Mailbox>) -> Result<Link> {
    let (watcher, call) = (Watcher::new(hub, &mailbox.sleeper)?, Arc::new(Signal::new()?));
    mailbox.accept();
    let peer = peer_of(mailbox.who, mailbox.name.as_ref());
    let member = Arc::new(Member { hub: hub.clone(), mailbox });
    let inbound = Receiving { member: member.clone(), watcher, data: Vec::new(), descriptors: Vec::new() };
    let outbound = Sending { member: member.clone(), call: call.clone(), finished: false, watching: None };
    let mailbox = member.mailbox.clone();
    let wake: Wake = Box::new(move || {
        mailbox.sleeper.call();
        call.raise();
    });
    let (inbound, outbound) = (Box::new(inbound), Box::new(outbound));
    Ok(Link { inbound, outbound, can: hub.can, peer, peer_limit: None, wake })
}

struct Receiving {
    member: Arc<Member>,
    watcher: Watcher,
    data: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Half for Receiving {
    fn arm(&mut self) -> Result<bool> {
        let Member { hub, mailbox } = &*self.member;
        hub.sort()?;
        Ok(mailbox.sleeper.arm(|| !mailbox.is_empty() || mailbox.is_out()))
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.watcher.sleep(&self.member.hub, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.watcher.watch(&self.member.mailbox.sleeper))
    }

    fn is_watched(&self) -> bool {
        self.watcher.watched
    }
}

impl Inbound for Receiving {
    fn next(&mut self) -> Result<bool> {
        let Member { hub, mailbox } = &*self.member;
        let parcel = match mailbox.take() {
            Some(parcel) => Some(parcel),
            None => {
                hub.sort()?;
                mailbox.take()
            }
        };
        match parcel {
            Some(Parcel::Whole { data, descriptors }) => {
                (self.data, self.descriptors) = (data, descriptors);
                Ok(true)
            }
            Some(Parcel::TooLarge(length)) => Err(halves::too_large(length, hub.most)),
            None if mailbox.is_out() => Err(hub.put_out()),
            None => Ok(false),
        }
    }

    fn message(&self) -> &[u8] {
        &self.data
    }

    fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }

    fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    fn release(&mut self) -> Result<()> {
        self.data = Vec::new();
        self.descriptors.clear();
        Ok(())
    }
}

struct Sending {
    member: Arc<Member>,
    call: Arc<Signal>,
    finished: bool,
    watching: Option<Epoll>,
}

impl Half for Sending {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_on(self.member.hub.socket.as_fd(), For::Output, self.call.as_fd(), limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        watch_output(&mut self.watching, self.member.hub.socket.as_fd())
    }

    fn is_watched(&self) -> bool {
        self.watching.is_some()
    }
}

impl Outbound for Sending {
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        if self.finished {
            return Err(halves::finished());
        }
        let Member { hub, mailbox } = &*self.member;
        let Some(name) = &mailbox.name else { return Err(mailbox::no_name()) };
        if mailbox.is_out() {
            return Err(hub.put_out());
        }
        mailbox.note();
        match hub.socket.send(message.pieces, message.descriptors, Some(name))? {
            Sent::Done => Ok(true),
            // The receiver has no room, of which nobody would tell: it is lost, as it would be over UDP.
            Sent::Full => Ok(hub.unix),
            Sent::Gone => Err(halves::gone()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        Ok(())
    }
}
