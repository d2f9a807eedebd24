//! Other ends that do not speak as they should, or not at all.

use super::{Ground, SOON, receive};
use crate::common::expect;
use axonic::{Channel, ChannelOptions, ErrorKind, Listener};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const PREAMBLE: &[u8; 16] = b"AXONIC/1\0\0\0\0\0\0\0\x01";

/// A listener, and what connects to it as anybody can.
fn stage(ground: &Ground) -> (Listener, impl Fn() -> UnixStream + use<>) {
    let path = ground.path("s");
    (ground.listen(&format!("unix://{path}")), move || UnixStream::connect(&path).unwrap())
}

fn accepted(listener: &Listener, stranger: &mut UnixStream, bytes: &[u8]) -> Channel {
    stranger.write_all(bytes).unwrap();
    listener.accept(SOON).unwrap()
}

/// Strangers are told apart, and not answered: what they would make of it is not known.
#[test]
fn another_protocol_is_a_clear_error() {
    let ground = Ground::new();
    let (listener, connect) = stage(&ground);
    for (bytes, kind, says) in [
        (&b"GET / HTTP/1.1\r\n"[..], ErrorKind::Corrupt, "GET /"),
        (b"{\"jsonrpc\":\"2.0\"}\n", ErrorKind::Corrupt, "framing=none"),
        (b"AXONIC/1\xff\0\0\0\0\0\0\x01", ErrorKind::LayoutMismatch, "update it"),
        (b"AXONIC/1\0\0\0\0\xff\xff\xff\xff", ErrorKind::Corrupt, "max_message"),
    ] {
        let mut stranger = connect();
        let channel = accepted(&listener, &mut stranger, bytes);
        expect(channel.receive(SOON), kind, &[says, channel.address()]);
        expect(channel.receive(SOON), kind, &[says]);
        stranger.set_nonblocking(true).unwrap();
        assert_eq!(stranger.read(&mut [0; 16]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    // And one that was connected to.
    let foreign = std::os::unix::net::UnixListener::bind(ground.path("f")).unwrap();
    let channel = ground.connect(&format!("unix://{}", ground.path("f")));
    foreign.accept().unwrap().0.write_all(b"220 mail ready\r\n").unwrap();
    expect(channel.receive(SOON), ErrorKind::Corrupt, &["'220 mail'"]);
    expect(channel.send(b"x", SOON), ErrorKind::Corrupt, &["'220 mail'"]);
    std::fs::remove_file(ground.path("f")).unwrap();
}

#[test]
fn truncated_and_oversized_frames_are_clear_errors() {
    let ground = Ground::new();
    let (listener, connect) = stage(&ground);
    for (bytes, says) in [
        (&PREAMBLE[..5], "in the middle"),
        (&[PREAMBLE, &b"\x05\0"[..]].concat(), "in the middle"),
        (&[PREAMBLE, &b"\x05\0\0\0abc"[..]].concat(), "in the middle"),
        (&[PREAMBLE, &b"\0\0\x10\0abc"[..]].concat(), "in the middle"),
        (PREAMBLE, "everything it sent was received"),
        (b"", "everything it sent was received"),
    ] {
        let mut stranger = connect();
        let channel = accepted(&listener, &mut stranger, bytes);
        drop(stranger);
        for _ in 0..2 {
            expect(channel.receive(SOON), ErrorKind::Disconnected, &[says]);
        }
    }
    let mut stranger = connect();
    let channel =
        accepted(&listener, &mut stranger, &[PREAMBLE, &b"\x02\0\0\0ok\xff\xff\xff\x3f"[..]].concat());
    assert_eq!(receive(&channel), b"ok");
    expect(channel.receive(SOON), ErrorKind::TooLarge, &["1073741823", "16777216", "max_message"]);
    // A flag says that descriptors were passed, and none were.
    let mut stranger = connect();
    let channel = accepted(&listener, &mut stranger, &[PREAMBLE, &b"\0\0\0\x80"[..]].concat());
    expect(channel.receive(SOON), ErrorKind::Corrupt, &["without the descriptors"]);
}

/// Descriptors that belong to no message are not collected.
#[test]
fn descriptors_without_messages_are_refused() {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::os::fd::AsRawFd;
    let ground = Ground::new();
    let (listener, connect) = stage(&ground);
    let mut stranger = connect();
    let channel = accepted(&listener, &mut stranger, &[PREAMBLE, &b"\0\0\x10\0"[..]].concat());
    // Other tests run beside this one: the copies of this very pipe are counted.
    let (pipe, _) = std::io::pipe().unwrap();
    let number = pipe.as_raw_fd();
    let name = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    for _ in 0..100 {
        let rights = [number; 3];
        let rights = [ControlMessage::ScmRights(&rights)];
        let piece = [std::io::IoSlice::new(b"x")];
        let _ = sendmsg::<()>(stranger.as_raw_fd(), &piece, &rights, MsgFlags::MSG_NOSIGNAL, None);
    }
    expect(channel.receive(SOON), ErrorKind::Corrupt, &["belong to no message"]);
    let held = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let copies = held.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|there| there == name)).count();
    // Its two ends have the same name, and one of them is closed.
    assert!(copies < 20, "{copies} of 300 were kept");
}

/// Those who connect and say nothing, or say it byte by byte, hold up nobody, and cost what they have sent.
#[test]
fn slow_ones_hold_up_nobody() {
    let ground = Ground::new();
    let (listener, connect) = stage(&ground);
    let mut slow: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
    let started = Instant::now();
    let waiting: Vec<Channel> = slow.iter().map(|_| listener.accept(SOON).unwrap()).collect();
    let whole = [PREAMBLE, &b"\x03\0\0\0yes"[..]].concat();
    let good = ground.connect(listener.address());
    let peer = listener.accept(SOON).unwrap();
    for byte in &whole[..whole.len() - 1] {
        for (stranger, channel) in slow.iter_mut().zip(&waiting) {
            stranger.write_all(&[*byte]).unwrap();
            assert!(channel.try_receive().unwrap().is_none());
        }
        good.send(b"quick", SOON).unwrap();
        assert_eq!(receive(&peer), b"quick");
    }
    assert!(started.elapsed() < Duration::from_secs(15));
    for (stranger, channel) in slow.iter_mut().zip(&waiting) {
        stranger.write_all(&whole[whole.len() - 1..]).unwrap();
        assert_eq!(receive(channel), b"yes");
    }
}

/// What was passed while nobody speaks to this end: it can be the first, since it has a preamble of its own.
#[test]
fn who_has_accepted_may_speak_first() {
    let ground = Ground::new();
    let (listener, connect) = stage(&ground);
    let mut stranger = connect();
    let channel = listener.accept(SOON).unwrap();
    channel.send(b"welcome", SOON).unwrap();
    let mut got = [0; 16 + 4 + 7];
    stranger.read_exact(&mut got).unwrap();
    assert_eq!(&got, &[&b"AXONIC/1\0\0\0\0\0\0\0\x01"[..], b"\x07\0\0\0welcome"].concat()[..]);
    stranger.write_all(PREAMBLE).unwrap();
    channel.finish(SOON).unwrap();
    assert_eq!(stranger.read(&mut got).unwrap(), 0);
}

/// Bytes as they are, both ways.
#[test]
fn without_framing_it_is_a_socket() {
    let ground = Ground::new();
    let path = ground.path("s");
    let listener = ground.listen(&format!("unix://{path}?framing=none"));
    let mut stranger = UnixStream::connect(&path).unwrap();
    let channel = listener.accept(SOON).unwrap();
    assert!(!channel.can().messages && !channel.can().descriptors);
    stranger.write_all(b"GET /\r\n").unwrap();
    assert_eq!(receive(&channel), b"GET /\r\n");
    channel.send(b"", SOON).unwrap();
    channel.send(b"200 OK\r\n", SOON).unwrap();
    assert_eq!(channel.send_many(&[b"a", b"bc"], SOON).unwrap(), 2);
    channel.finish(SOON).unwrap();
    let mut answer = String::new();
    stranger.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "200 OK\r\nabc");
    let much = vec![7; 300_000];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stranger.write_all(&much).unwrap();
            drop(stranger);
        });
        let mut got = 0;
        loop {
            match channel.receive(SOON) {
                Ok(message) => {
                    assert!((1..=65_536).contains(&message.data.len()));
                    got += message.data.len();
                }
                Err(e) => break assert_eq!(e.kind(), ErrorKind::Disconnected),
            }
        }
        assert_eq!(got, much.len());
    });
    let limited = ChannelOptions { max_message: 10, ..Default::default() };
    let address = format!("unix://{path}?framing=none");
    let small = ground.domain.connect(&address, &limited, SOON).unwrap();
    expect(small.send(&[0; 11], SOON), ErrorKind::TooLarge, &["11"]);
    listener.accept(SOON).unwrap().send(&[1; 25], SOON).unwrap();
    assert_eq!([receive(&small).len(), receive(&small).len(), receive(&small).len()], [10, 10, 5]);
}
