//! What a behaviour runs on: a transport, a domain, a directory for its files, and processes at the other end.

use crate::common::certificates::Authority;
use crate::common::{Place, child, options_in};
use axonic::{Channel, ChannelOptions, Domain, ErrorKind, Listener};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longer than anything takes that happens at all.
pub const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// Where the process at the other end is to connect.
const ADDRESS: &str = "AXONIC_TEST_ADDRESS";

/// A transport as the suite knows it.
#[derive(Clone, Copy)]
pub struct Transport {
    /// An address to listen at; `None`: nobody listens, a pair is made with [`Domain::pipe`].
    pub address: fn(&Ground) -> Option<String>,
    /// Its ends can be in two processes.
    pub across: bool,
}

pub struct Ground {
    transport: Transport,
    /// The name of the test.
    pub test: &'static str,
    pub domain: Domain,
    place: Place,
    files: Place,
    certificates: OnceLock<(Authority, String)>,
}

impl Ground {
    /// The ground of a test; in a process that a test has started for the other end of a channel, that end, and no return.
    pub fn new(transport: Transport, test: &'static str) -> Ground {
        if let Ok(address) = std::env::var(ADDRESS) {
            let domain = Domain::open_with(options_in(&child::directory())).unwrap();
            let channel = domain.connect(&address, &ChannelOptions::default(), SOON).unwrap();
            greet(&channel);
            crate::ends::play(channel);
        }
        let place = Place::new();
        Ground {
            transport,
            test,
            domain: place.open(),
            files: Place::new(),
            place,
            certificates: OnceLock::new(),
        }
    }

    /// A directory for the transport's files; nothing is left in it in the end.
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    /// Settings by which each end is somebody, and demands that the other is.
    pub fn certificates(&self) -> &str {
        let make = || {
            let authority = Authority::new();
            let settings = authority.mutual("either");
            (authority, settings)
        };
        &self.certificates.get_or_init(make).1
    }

    /// Whether somebody can listen; if not, there is nothing to see for what asks.
    pub fn listens(&self) -> bool {
        (self.transport.address)(self).is_some()
    }

    pub fn address(&self) -> String {
        (self.transport.address)(self).expect("asked of those who listen only")
    }

    pub fn listener(&self) -> Listener {
        self.listen(&ChannelOptions::default())
    }

    /// A process that another test starts has a copy of a listener that was closed for a moment, until it calls `exec`.
    fn listen(&self, options: &ChannelOptions) -> Listener {
        let started = Instant::now();
        loop {
            match self.domain.listen(&self.address(), options) {
                Err(e) if e.kind() == ErrorKind::Busy && started.elapsed() < SOON.unwrap() => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                listener => return listener.unwrap(),
            }
        }
    }

    /// Two ends: who connected, and who accepted.
    pub fn pair(&self) -> (Channel, Channel) {
        let options = ChannelOptions::default();
        self.pair_with(&options, &options)
    }

    pub fn pair_with(&self, connecting: &ChannelOptions, accepting: &ChannelOptions) -> (Channel, Channel) {
        if !self.listens() {
            let (channel, child) = self.domain.pipe(accepting).unwrap();
            // It is taken over, and no copy of it is to be left here.
            let address = child.address().to_string();
            std::mem::forget(child);
            return (self.domain.connect(&address, connecting, SOON).unwrap(), channel);
        }
        let listener = self.listen(accepting);
        let ends = self.connect(&listener, connecting);
        listener.close();
        ends
    }

    /// The same at a listener that is there.
    pub fn connect(&self, listener: &Listener, options: &ChannelOptions) -> (Channel, Channel) {
        std::thread::scope(|scope| {
            let accepted = scope.spawn(|| self.accept(listener));
            let connected = self.domain.connect(listener.address(), options, SOON).unwrap();
            greet(&connected);
            (connected, accepted.join().unwrap())
        })
    }

    fn accept(&self, listener: &Listener) -> Channel {
        let accepted = listener.accept(SOON).unwrap();
        if needs_greeting(&accepted) {
            assert_eq!(accepted.receive(SOON).unwrap().data, GREETING);
        }
        accepted
    }

    /// A process at the other end, which plays `role` and is waited for until it is ready.
    pub fn with_process(&self, role: &str) -> (child::Running, Channel) {
        let options = ChannelOptions::default();
        if !self.listens() {
            let (channel, pipe) = self.domain.pipe(&options).unwrap();
            let mut command = self.elsewhere(role, pipe.address());
            pipe.pass_to(&mut command);
            return (child::Running::of(command), channel);
        }
        let listener = self.listener();
        std::thread::scope(|scope| {
            let accepted = scope.spawn(|| self.accept(&listener));
            let running = child::Running::of(self.elsewhere(role, listener.address()));
            (running, accepted.join().unwrap())
        })
    }

    /// This test in a process of its own.
    pub fn alone(&self) -> Command {
        child::command(self.test, "alone", self.place.path())
    }

    fn elsewhere(&self, role: &str, address: &str) -> Command {
        let mut command = child::command(self.test, role, self.place.path());
        command.env(ADDRESS, address);
        command
    }

    /// Whether a message may be larger than what the transport takes at a time.
    pub fn takes_any_size(&self) -> bool {
        self.pair().0.can().max_message.is_none()
    }

    /// Whether the other end is told of an end.
    pub fn with_end(&self) -> bool {
        self.pair().0.can().end
    }

    /// Whether each end is told of the other's limit. What is not framed by us has no place to say it.
    pub fn tells_limits(&self) -> bool {
        let untold = ["type=seqpacket", "type=datagram", "udp:"];
        !(self.transport.address)(self).is_some_and(|a| untold.iter().any(|part| a.contains(part)))
    }

    pub fn across(&self) -> bool {
        self.transport.across
    }
}

/// What is sent to be noticed at all, where connecting is nothing that anybody hears of.
const GREETING: &[u8] = b"hello";

fn needs_greeting(channel: &Channel) -> bool {
    !channel.can().reliable
}

fn greet(channel: &Channel) {
    if needs_greeting(channel) {
        channel.send(GREETING, SOON).unwrap();
    }
}

/// A message of a length whose bytes tell its number.
pub fn message(number: u64, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|i| (i as u64 ^ number).wrapping_mul(0x9d) as u8).collect();
    let head = length.min(8);
    bytes[..head].copy_from_slice(&number.to_le_bytes()[..head]);
    bytes
}

/// The number of a message of eight bytes or more, all of which must be its own.
#[track_caller]
pub fn number(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == message(number, bytes.len()), "message {number} of {} bytes is not whole", bytes.len());
    number
}
