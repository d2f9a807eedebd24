//! What is special to channels over WebSocket: handshakes, and what strangers and broken peers send. At the other end is a
//! plain socket that writes the protocol's bytes itself; peers of another make are in `tests/conformance`.

mod common;

use axonic::{Channel, ChannelOptions, Domain, ErrorKind, Listener};
use common::{Place, expect, readable, wait_readable};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// First bytes of frames.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn options() -> ChannelOptions {
    ChannelOptions::default()
}

fn listen(domain: &Domain) -> Listener {
    domain.listen("ws://127.0.0.1:0/chat", &options()).unwrap()
}

fn plain(listener: &Listener) -> TcpStream {
    let host = listener.address().strip_prefix("ws://").unwrap().strip_suffix("/chat").unwrap();
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(SOON).unwrap();
    stream
}

/// A client that has shaken hands, and the channel.
fn pair(listener: &Listener) -> (TcpStream, Channel) {
    let mut stream = plain(listener);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let channel = listener.accept(SOON).unwrap();
    let answer = head(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    (stream, channel)
}

/// The head of an answer.
fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A frame as a client sends it, with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

/// The next frame from a server: its first byte, and what is in it.
fn next(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 126);
    let mut payload = vec![0; head[1] as usize];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// Whether the other end has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0]) {
        Ok(n) => n == 0,
        Err(e) => e.kind() != IoKind::WouldBlock,
    }
}

#[test]
fn frames_are_messages() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    let (mut stream, channel) = pair(&listener);
    assert_eq!(channel.peer().address, Some(stream.local_addr().unwrap().to_string()));
    assert!(!channel.can().half_close && !channel.can().credentials && channel.can().reliable);
    // Several at once, of which one is in parts with a ping between them: all are read before anything else is.
    let frames = [
        frame(TEXT, "grüß".as_bytes()),
        frame(0x02, b"in "),
        frame(PING, b"?"),
        frame(0x80, b"parts"),
        frame(BINARY, b""),
    ];
    let fd = channel.fd().unwrap();
    assert!(channel.try_receive().unwrap().is_none() && !readable(fd));
    stream.write_all(&frames.concat()).unwrap();
    for expected in ["grüß".as_bytes(), b"in parts", b""] {
        assert!(wait_readable(fd, SOON.unwrap()));
        assert_eq!(channel.try_receive().unwrap().unwrap().data, expected);
    }
    assert!(channel.try_receive().unwrap().is_none() && !readable(fd));
    assert_eq!(next(&mut stream), (PONG, b"?".to_vec()));
    channel.send(b"out", SOON).unwrap();
    assert_eq!(next(&mut stream), (BINARY, b"out".to_vec()));
    // An end is said, and the answer to that is the last that comes.
    channel.finish(SOON).unwrap();
    assert_eq!(next(&mut stream), (CLOSE, vec![]));
    stream.write_all(&[frame(BINARY, b"on its way"), frame(CLOSE, b"")].concat()).unwrap();
    assert_eq!(channel.receive(SOON).unwrap().data, b"on its way");
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
}

/// Who reads nothing is waited for as long as was said, also by who says that this was all.
#[test]
fn an_end_is_said_as_soon_as_there_is_room() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    let (mut stream, channel) = pair(&listener);
    // More than all buffers between take.
    let large = vec![7; 15 << 20];
    channel.try_send(&large).unwrap();
    assert!(!channel.try_finish().unwrap());
    let began = Instant::now();
    expect(channel.finish(Some(Duration::from_millis(50))), ErrorKind::Timeout, &["no room", "more time"]);
    assert!(began.elapsed() >= Duration::from_millis(50) && began.elapsed() < Duration::from_secs(5));
    std::thread::scope(|scope| {
        scope.spawn(|| channel.finish(SOON).unwrap());
        let (mut head, mut payload) = ([0; 10], vec![0; large.len()]);
        stream.read_exact(&mut head).unwrap();
        stream.read_exact(&mut payload).unwrap();
        assert!(head[..2] == [BINARY, 127] && payload == large);
        assert_eq!(next(&mut stream), (CLOSE, vec![]));
    });
    assert!(channel.try_finish().unwrap(), "it was said already");
}

/// Those who do not come to the point hold nobody up, and there are not more of them than there may be.
#[test]
fn slow_handshakes_hold_nobody_up() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    let mut slow: Vec<TcpStream> = (0..150)
        .map(|i| {
            let mut stream = plain(&listener);
            stream.write_all(&REQUEST.as_bytes()[..i.min(100)]).unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    for _ in 0..20 {
        let (mut stream, channel) = pair(&listener);
        stream.write_all(&frame(BINARY, b"quick")).unwrap();
        assert_eq!(channel.receive(SOON).unwrap().data, b"quick");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let open = slow.iter_mut().map(|stream| !is_closed(stream)).filter(|open| *open).count();
    assert!((1..=64).contains(&open), "{open} handshakes go on");
    // One of those is late, and not too late.
    let last = slow.last_mut().unwrap();
    last.set_nonblocking(false).unwrap();
    last.write_all(&REQUEST.as_bytes()[100..]).unwrap();
    listener.accept(SOON).unwrap();
    // Who takes longer than ten seconds is given up, whatever else happens.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| listener.accept(Some(Duration::from_secs(11))));
        expect(waiting.join().unwrap(), ErrorKind::Timeout, &["nobody connected"]);
    });
    assert!(slow[..149].iter_mut().all(is_closed));
}

/// Who asks for something else is told so, and hinders nobody.
#[test]
fn strangers_are_refused() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    for (sent, answer) in [
        (REQUEST.replace("/chat", "/elsewhere"), "HTTP/1.1 404"),
        ("GET /chat HTTP/1.1\r\nHost: here\r\n\r\n".into(), "HTTP/1.1 400"),
        ("POST /chat HTTP/1.1\r\nHost: here\r\n\r\n".into(), "HTTP/1.1 400"),
        ("AXONIC/1\0\0\0\0\0\0\0\0".into(), "HTTP/1.1 400"),
        (format!("GET /chat HTTP/1.1\r\n{}", "x".repeat(100_000)), "HTTP/1.1 400"),
    ] {
        let mut stream = plain(&listener);
        let _ = stream.write_all(sent.as_bytes());
        let refused = listener.accept(Some(Duration::from_millis(200)));
        expect(refused, ErrorKind::Timeout, &["nobody connected"]);
        let mut got = [0; 12];
        if sent.len() < 10_000 {
            stream.read_exact(&mut got).unwrap();
            assert_eq!(std::str::from_utf8(&got).unwrap(), answer, "{sent}");
        } else {
            assert!(is_closed(&mut stream) || stream.read(&mut got).is_ok());
        }
    }
    // As a channel that connects hears it.
    let address = listener.address().replace("/chat", "/elsewhere");
    std::thread::scope(|scope| {
        scope.spawn(|| listener.accept(Some(Duration::from_millis(300))).is_err());
        let refused = domain.connect(&address, &options(), SOON);
        expect(refused, ErrorKind::NotFound, &["elsewhere", "nobody listens there for this path"]);
    });
    drop(plain(&listener));
    pair(&listener);
}

/// A browser lets any page connect to any address: pages of other hosts are refused, unless they are meant.
#[test]
fn pages_of_other_hosts_are_refused() {
    let place = Place::new();
    let domain = place.open();
    let own = listen(&domain);
    let named = domain.listen("ws://127.0.0.1:0/chat?origin=https://a.example,null", &options()).unwrap();
    let any = domain.listen("ws://127.0.0.1:0/chat?origin=*", &options()).unwrap();
    for (listener, origin, answer) in [
        (&own, "https://evil.example", "HTTP/1.1 403"),
        // Its name stands for this machine, by whatever the page's own server says.
        (&own, "http://here", "HTTP/1.1 403"),
        (&own, "null", "HTTP/1.1 403"),
        (&own, "http://127.0.0.1:8080", "HTTP/1.1 101"),
        (&own, "http://localhost:8080", "HTTP/1.1 101"),
        (&named, "https://a.example", "HTTP/1.1 101"),
        (&named, "null", "HTTP/1.1 101"),
        (&named, "http://127.0.0.1:8080", "HTTP/1.1 403"),
        (&any, "https://evil.example", "HTTP/1.1 101"),
    ] {
        let host = listener.address()["ws://".len()..].split('/').next().unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(SOON).unwrap();
        let asked = REQUEST.replace("Host: here\r\n", &format!("Host: here\r\nOrigin: {origin}\r\n"));
        stream.write_all(asked.as_bytes()).unwrap();
        let accepted = listener.accept(Some(Duration::from_millis(200)));
        let head = head(&mut stream);
        assert!(head.starts_with(answer), "{origin} at {}: {head}", listener.address());
        assert_eq!(accepted.is_ok(), answer.ends_with("101"), "{origin}");
        if accepted.is_err() {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(text.contains(origin) && text.contains("origin="), "{text}");
        }
    }
    // Programs say no origin, and an address with the setting is one to connect to.
    std::thread::scope(|scope| {
        scope.spawn(|| named.accept(SOON).unwrap());
        domain.connect(named.address(), &options(), SOON).unwrap();
    });
    let wrong = domain.listen("ws://127.0.0.1:0?origin=a.example", &options());
    expect(wrong, ErrorKind::InvalidArgument, &["origin=a.example", "scheme://host"]);
}

/// Who sends more than the other end takes is told so by it, where it has not said before how much that is.
#[test]
fn a_message_that_was_too_large_is_a_clear_end() {
    let place = Place::new();
    let listener = listen(&place.open());
    let (mut stream, channel) = pair(&listener);
    channel.send(&[0; 1000], SOON).unwrap();
    stream.write_all(&frame(CLOSE, &1009_u16.to_be_bytes())).unwrap();
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["larger than it takes", "connect anew"]);
    expect(channel.send(b"", SOON), ErrorKind::Disconnected, &["larger than it takes"]);
}

/// Who listens is not always what it should be.
#[test]
fn servers_that_are_none() {
    let place = Place::new();
    let domain = place.open();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ws://{}/", server.local_addr().unwrap());
    let connect = |answer: &'static str, wait: Duration| {
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let (mut stream, _) = server.accept().unwrap();
                if !answer.is_empty() {
                    head(&mut stream);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
                stream
            });
            let outcome = domain.connect(&address, &options(), Some(wait));
            drop(serving.join().unwrap());
            outcome
        })
    };
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    expect(connect(ok, SOON.unwrap()), ErrorKind::Corrupt, &["does not speak WebSocket", "200"]);
    expect(connect("+OK Redis\r\n", SOON.unwrap()), ErrorKind::Corrupt, &["does not speak WebSocket"]);
    let started = Instant::now();
    expect(connect("", Duration::from_millis(80)), ErrorKind::Timeout, &["has not answered the handshake"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(server);
    expect(domain.connect(&address, &options(), SOON), ErrorKind::NotFound, &["nobody listens"]);
    expect(domain.connect("ws://127.0.0.1", &options(), SOON), ErrorKind::InvalidArgument, &["host:port"]);
}

/// What breaks the protocol ends the connection, with a reason at both ends, and no other.
#[test]
fn broken_frames_end_their_connection() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    let (mut good, calm) = pair(&listener);
    let huge = [BINARY, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let code = |code: u16| Some(code.to_be_bytes().to_vec());
    let cases = [
        ("a frame of 2^40 bytes", huge, ErrorKind::TooLarge, "max_message", code(1009)),
        ("one without a mask", vec![BINARY, 1, 7], ErrorKind::Corrupt, "breaks the protocol", code(1002)),
        ("one of no type", frame(0x83, b""), ErrorKind::Corrupt, "breaks the protocol", code(1002)),
        ("text of no letters", frame(TEXT, &[0xff]), ErrorKind::Corrupt, "UTF-8", code(1007)),
        ("half a frame", vec![BINARY, 0x85, 0, 0], ErrorKind::Disconnected, "connect anew", None),
        ("an end without a word", vec![], ErrorKind::Disconnected, "connect anew", None),
    ];
    for (what, bytes, kind, says, code) in cases {
        println!("{what}");
        let (mut stream, channel) = pair(&listener);
        stream.write_all(&bytes).unwrap();
        if code.is_none() {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        expect(channel.receive(SOON), kind, &[says, channel.address()]);
        expect(channel.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
        expect(channel.send(b"", SOON), ErrorKind::Disconnected, &["connect anew"]);
        if let Some(code) = code {
            assert_eq!(next(&mut stream), (CLOSE, code));
        }
        good.write_all(&frame(BINARY, what.as_bytes())).unwrap();
        assert_eq!(calm.receive(SOON).unwrap().data, what.as_bytes());
    }
}

/// A message that comes byte by byte keeps nobody else waiting, and its reader no longer than it wants to.
#[test]
fn a_slow_message_holds_nobody_up() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    let (mut slow, waiting) = pair(&listener);
    let (mut quick, served) = pair(&listener);
    for byte in frame(BINARY, b"letter by letter") {
        expect(waiting.receive(Some(Duration::from_millis(2))), ErrorKind::Timeout, &["no message came"]);
        slow.write_all(&[byte]).unwrap();
        quick.write_all(&frame(BINARY, &[byte])).unwrap();
        assert_eq!(served.receive(SOON).unwrap().data, [byte]);
    }
    assert_eq!(waiting.receive(SOON).unwrap().data, b"letter by letter");
}

/// Memory is taken for what has come, not for what a header says will come.
#[test]
fn what_a_header_promises_costs_nothing() {
    let place = Place::new();
    let domain = place.open();
    let listener = listen(&domain);
    let before = common::flat::held(std::process::id());
    let pairs: Vec<(TcpStream, Channel)> = (0..40).map(|_| pair(&listener)).collect();
    for (mut stream, channel) in pairs.iter().map(|(stream, channel)| (stream, channel)) {
        let promise = [&[BINARY, 0xff], &(16u64 << 20).to_be_bytes()[..], &[0; 4], &[1; 100]].concat();
        stream.write_all(&promise).unwrap();
        expect(channel.receive(Some(Duration::from_millis(5))), ErrorKind::Timeout, &["no message came"]);
    }
    let grown = common::flat::held(std::process::id())[2].saturating_sub(before[2]);
    assert!(grown < 100 << 10, "{grown} KiB for 40 promises of 16 MiB");
}
