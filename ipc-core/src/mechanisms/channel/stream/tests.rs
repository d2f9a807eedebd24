//! What streams cost, and what becomes of what does not fit.

use super::*;
use crate::error::Error;
use crate::mechanisms::channel::link::Outgoing;
use crate::mechanisms::channel::wire::{Family, SocketWire};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts system calls.
struct Counted {
    wire: SocketWire,
    calls: Arc<AtomicUsize>,
}

impl Wire for Counted {
    fn read(&self, to: &mut Vec<u8>, room: usize, fds: &mut Vec<OwnedFd>) -> Result<Option<usize>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.wire.read(to, room, fds)
    }

    fn write(&self, pieces: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> Result<Option<usize>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.wire.write(pieces, fds)
    }

    fn has_input(&self) -> Result<bool> {
        Ok(false)
    }

    fn is_left(&self) -> Result<bool> {
        Ok(false)
    }

    fn finish(&self) {
        self.wire.finish();
    }

    fn is_heard(&self) -> bool {
        self.wire.is_heard()
    }

    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()> {
        self.wire.sleep(what, limit)
    }

    fn watch(&self, epoll: &Epoll, what: For) -> Result<()> {
        self.wire.watch(epoll, what)
    }

    fn wake(&self) {
        self.wire.wake();
    }
}

/// The other end refuses what it is told.
struct Mute(SocketWire);

impl Wire for Mute {
    fn read(&self, to: &mut Vec<u8>, room: usize, fds: &mut Vec<OwnedFd>) -> Result<Option<usize>> {
        self.0.read(to, room, fds)
    }

    fn write(&self, _: &[IoSlice<'_>], _: &[BorrowedFd<'_>]) -> Result<Option<usize>> {
        Err(Error::new(ErrorKind::PermissionDenied, "it was refused"))
    }

    fn has_input(&self) -> Result<bool> {
        self.0.has_input()
    }

    fn is_left(&self) -> Result<bool> {
        self.0.is_left()
    }

    fn finish(&self) {
        self.0.finish();
    }

    fn is_heard(&self) -> bool {
        self.0.is_heard()
    }

    fn sleep(&self, what: For, limit: Option<Duration>) -> Result<()> {
        self.0.sleep(what, limit)
    }

    fn watch(&self, epoll: &Epoll, what: For) -> Result<()> {
        self.0.watch(epoll, what)
    }

    fn wake(&self) {
        self.0.wake();
    }
}

fn end(socket: UnixStream, framing: Framing) -> (Link, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let wire = Counted { wire: SocketWire::new(socket.into(), Family::Unix).unwrap(), calls: calls.clone() };
    let options = ChannelOptions::default();
    (link(Box::new(wire), framing, Greets::First, &options, CAN, Peer::default()).unwrap(), calls)
}

/// Two ends that have heard each other.
fn ends(framing: Framing) -> [(Link, Arc<AtomicUsize>); 2] {
    let (one, other) = UnixStream::pair().unwrap();
    let mut ends = [end(one, framing), end(other, framing)];
    for (end, calls) in &mut ends {
        assert!(!framing.framed || !end.inbound.next().unwrap());
        calls.store(0, Ordering::Relaxed);
    }
    ends
}

#[test]
fn many_messages_take_few_system_calls() {
    for checksums in [false, true] {
        let [(mut one, writes), (mut other, reads)] = ends(Framing { checksums, ..Framing::plain() });
        let message = [7; 64];
        let messages = [&message[..]; 900];
        assert_eq!(one.outbound.send_many(&messages).unwrap(), 900);
        for _ in 0..900 {
            assert!(other.inbound.next().unwrap());
            assert_eq!(other.inbound.message(), message);
        }
        assert_eq!((writes.load(Ordering::Relaxed), reads.load(Ordering::Relaxed)), (1, 1));
    }
}

#[test]
fn one_message_takes_one_system_call_each() {
    let [(mut one, writes), (mut other, reads)] = ends(Framing::plain());
    let pieces = [&b"in"[..], b"", b" many", b" pieces", b",", b" more", b" than", b" are", b" sent", b" so"];
    for count in 0..=pieces.len() {
        let outgoing = Outgoing { pieces: &pieces[..count], descriptors: &[] };
        assert!(one.outbound.send(outgoing).unwrap() && other.inbound.next().unwrap());
        assert_eq!(other.inbound.message(), pieces[..count].concat());
    }
    let count = pieces.len() + 1;
    assert_eq!((writes.load(Ordering::Relaxed), reads.load(Ordering::Relaxed)), (count, count));
}

/// A greeting that cannot be said is told by what is read next, and takes no message with it.
#[test]
fn a_message_that_has_come_is_given_out_whatever_becomes_of_the_greeting() {
    let (one, other) = UnixStream::pair().unwrap();
    let (mut sender, _) = end(one, Framing::plain());
    let wire = Mute(SocketWire::new(other.into(), Family::Unix).unwrap());
    let (framing, options) = (Framing::plain(), ChannelOptions::default());
    let mut link = link(Box::new(wire), framing, Greets::Second, &options, CAN, Peer::default()).unwrap();
    for message in [&b"first"[..], b"second"] {
        assert!(sender.outbound.send(Outgoing { pieces: &[message], descriptors: &[] }).unwrap());
        assert!(link.inbound.next().unwrap());
        assert_eq!(link.inbound.message(), message);
    }
}

#[test]
fn empty_messages_take_no_room_without_frames() {
    let [(mut one, _), (mut other, _)] = ends(Framing { framed: false, ..Framing::plain() });
    assert_eq!(one.outbound.send_many(&[b"", b""]).unwrap(), 2);
    assert_eq!(one.outbound.send_many(&[b"", b"ab", b"", b"c", b""]).unwrap(), 5);
    assert!(other.inbound.next().unwrap());
    assert_eq!(other.inbound.message(), b"abc");
}

/// With a socket that takes a part of what is to be sent: whole messages count, and what was begun goes on.
#[test]
fn a_batch_that_does_not_fit_is_cut_between_messages() {
    let [(mut one, _), (mut other, _)] = ends(Framing::plain());
    let messages: Vec<Vec<u8>> = (0..3000).map(|i: usize| vec![i as u8; i % 700]).collect();
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let (mut sent, mut received) = (0, 0);
    let mut cut = false;
    while received < messages.len() {
        let now = one.outbound.send_many(&slices[sent..]).unwrap();
        sent += now;
        cut |= sent < messages.len();
        while other.inbound.next().unwrap() {
            assert!(received < sent, "a message came that does not count as sent");
            assert!(other.inbound.message() == messages[received]);
            received += 1;
        }
        one.outbound.flush().unwrap();
    }
    assert!(cut && sent == messages.len());
}
