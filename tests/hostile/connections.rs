//! Ten thousand who connect and drop the connection at any point: the listener holds no more afterwards, and another client
//! goes on meanwhile. And more at once than the listener has descriptors for: each is served in the end.

use crate::common::{Place, child, flat, options_in};
use axonic::{Channel, ChannelOptions, Domain, ErrorKind, Listener};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(Duration::from_secs(30));
const MANY: usize = 10_000;
/// As many stay connected and say nothing, or a part.
const SLOW: usize = 30;
/// Descriptors of a listener that has few, and clients that come at once.
const FEW: u64 = 100;
const AT_ONCE: usize = 150;

/// What a stranger says before it goes.
const STREAM: [&[u8]; 5] = [
    b"",
    b"AXON",
    b"AXONIC/1\0\0\0\0\0\0\0\x01",
    b"AXONIC/1\0\0\0\0\0\0\0\x01\xff\xff\xff\x3f",
    b"AXONIC/1\0\0\0\0\0\0\0\x01\x05\0\0\0abc",
];
const WEB: [&[u8]; 5] = [
    b"",
    b"GET / HT",
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x82\xff\x00\x00",
    b"POST / HTTP/1.1\r\n\r\n",
];

/// What the listener is asked: why it could not accept.
const WHY: &[u8] = b"why?";
static REFUSED: Mutex<String> = Mutex::new(String::new());

fn options() -> ChannelOptions {
    ChannelOptions { max_message: 1 << 20, ..Default::default() }
}

/// In a process of its own: sends everything back, to the first one who comes in a thread.
fn serve(address: &str) -> ! {
    let directory = child::directory();
    if child::role().as_deref() == Some("starved") {
        let hard = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1;
        setrlimit(Resource::RLIMIT_NOFILE, FEW, hard).unwrap();
    }
    let domain = Domain::open_with(options_in(&directory)).unwrap();
    let listener = domain.listen(address, &options()).unwrap();
    std::fs::write(directory.join("address"), listener.address()).unwrap();
    std::thread::spawn(move || accept(&listener, &REFUSED));
    child::ready_until_told()
}

fn accept(listener: &Listener, refused_by: &'static Mutex<String>) {
    let first = listener.accept(SOON).unwrap();
    std::thread::spawn(move || {
        while let Ok(message) = first.receive(None) {
            let refused = refused_by.lock().unwrap().clone();
            let answer = if message.data == WHY { refused.as_bytes() } else { &message.data };
            first.send(answer, SOON).unwrap();
        }
    });
    let mut open: Vec<Channel> = Vec::new();
    let (mut refused, began) = (0, Instant::now());
    loop {
        match listener.accept(Some(Duration::from_millis(20))) {
            Ok(channel) => open.push(channel),
            Err(e) if e.kind() == ErrorKind::Timeout => {}
            Err(e) if e.kind() == ErrorKind::LimitReached && e.message().contains("RLIMIT_NOFILE") => {
                // In a loop like this one it is no busy one.
                refused += 1;
                assert!(refused <= 10 + began.elapsed().as_millis() / 10, "{refused} times: {e}");
                *refused_by.lock().unwrap() = e.message().into();
            }
            Err(e) => panic!("{e}"),
        }
        open.retain(is_there);
    }
}

/// Answers what has come, and tells whether more can come.
fn is_there(channel: &Channel) -> bool {
    loop {
        match channel.try_receive() {
            Ok(Some(message)) => drop(channel.try_send(&message.data)),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// A transport: where to listen, and how a stranger comes, says something and goes.
struct Transport {
    test: &'static str,
    address: fn(&Place) -> String,
    come: fn(&Domain, &str, usize) -> Option<Box<dyn Send>>,
}

fn place_of(address: &str) -> &str {
    address.split_once("://").unwrap().1
}

fn unix(_: &Domain, address: &str, number: usize) -> Option<Box<dyn Send>> {
    let mut stream = UnixStream::connect(place_of(address)).ok()?;
    let _ = stream.write_all(STREAM[number % STREAM.len()]);
    Some(Box::new(stream))
}

fn inet(address: &str, says: &[u8]) -> Option<Box<dyn Send>> {
    let mut stream = TcpStream::connect(place_of(address)).ok()?;
    let _ = stream.write_all(says);
    // Reset when it is dropped: it leaves no port that waits.
    let reset = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream, sockopt::Linger, &reset).unwrap();
    Some(Box::new(stream))
}

fn tcp(_: &Domain, address: &str, number: usize) -> Option<Box<dyn Send>> {
    inet(address, STREAM[number % STREAM.len()])
}

fn ws(_: &Domain, address: &str, number: usize) -> Option<Box<dyn Send>> {
    inet(address, WEB[number % WEB.len()])
}

/// Some give up before they are accepted.
fn shm(domain: &Domain, address: &str, number: usize) -> Option<Box<dyn Send>> {
    let patience = if number.is_multiple_of(3) { Some(Duration::ZERO) } else { SOON };
    let channel = domain.connect(address, &options(), patience).ok()?;
    if number.is_multiple_of(2) {
        channel.try_send(&[0; 1000]).unwrap();
    }
    Some(Box::new(channel))
}

/// A listener in a process of its own, and a client of it that is no stranger.
struct Stage {
    running: child::Running,
    place: Place,
    files: Place,
    domain: Domain,
    address: String,
    good: Channel,
}

impl Stage {
    fn new(transport: &Transport, role: &str) -> Stage {
        let (place, files) = (Place::new(), Place::new());
        let mut command = child::command(transport.test, role, place.path());
        command.env("AXONIC_TEST_ADDRESS", (transport.address)(&files));
        let running = child::Running::of(command);
        let address = std::fs::read_to_string(place.path().join("address")).unwrap();
        let domain = place.open();
        let good = domain.connect(&address, &options(), SOON).unwrap();
        Stage { running, place, files, domain, address, good }
    }

    fn held(&self) -> flat::Held {
        flat::held(self.running.id())
    }

    /// Does something, while the good client goes on; how often it was answered.
    fn meanwhile(&self, act: impl FnOnce()) -> u64 {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let going_on = scope.spawn(|| {
                let mut count = 0u64;
                while !over.load(Ordering::Relaxed) {
                    self.good.send(&count.to_le_bytes(), SOON).unwrap();
                    assert_eq!(self.good.receive(SOON).unwrap().data, count.to_le_bytes());
                    count += 1;
                }
                count
            });
            act();
            over.store(true, Ordering::Relaxed);
            going_on.join().unwrap()
        })
    }

    fn end(self) {
        self.running.exit();
        std::fs::remove_file(self.place.path().join("address")).unwrap();
        // The file of a listener that died is its successor's to replace.
        let _ = std::fs::remove_file(self.files.path().join("s"));
        drop((self.good, self.domain, self.files));
    }
}

/// Ten thousand, one after the other, while some are half open: descriptors are as they were, and memory nearly so.
fn come_and_go(transport: &Transport, times: usize) {
    let stage = Stage::new(transport, "listener");
    let come = |number| (transport.come)(&stage.domain, &stage.address, number);
    let slow: Vec<_> = (0..SLOW).map(come).collect();
    let many = |count| (0..count).for_each(|number| drop(come(number)));
    // What both keep open once they have spoken to each other.
    stage.meanwhile(|| many(MANY / 10));
    settle(&stage, u64::MAX);
    let before = stage.held();
    let answered = stage.meanwhile(|| many(times));
    assert!(answered >= 100, "the other client was answered {answered} times");
    settle(&stage, before[0]);
    let after = stage.held();
    assert!(after[2] <= before[2] + 4096, "{before:?} before, {after:?} after");
    drop(slow);
    assert!(stage.good.send(b"on", SOON).is_ok() && stage.good.receive(SOON).unwrap().data == b"on");
    stage.end();
}

/// Until the listener has no more descriptors than so many.
fn settle(stage: &Stage, most: u64) {
    let (started, mut last) = (Instant::now(), u64::MAX);
    loop {
        let now = stage.held()[0];
        if now <= most && now == last {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{now} descriptors stay, {most} were there before"
        );
        last = now;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// More than the listener has descriptors for: it says so by name, in no busy loop, and each is served when others are gone.
fn all_at_once(transport: &Transport) {
    let stage = Stage::new(transport, "starved");
    let answered = stage.meanwhile(|| {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    let channel = stage.domain.connect(&stage.address, &options(), SOON).unwrap();
                    channel.send(b"here", SOON).unwrap();
                    assert_eq!(channel.receive(SOON).unwrap().data, b"here");
                    std::thread::sleep(Duration::from_millis(300));
                });
            }
        })
    });
    assert!(answered > 10, "the other client was answered {answered} times");
    stage.good.send(WHY, SOON).unwrap();
    let refused = String::from_utf8(stage.good.receive(SOON).unwrap().data).unwrap();
    assert!(refused.contains("RLIMIT_NOFILE") && refused.contains(&stage.address), "{refused}");
    stage.end();
}

macro_rules! transports {
    ($($name:ident: $address:expr;)*) => {
        $(mod $name {
            use super::*;

            fn play(test: &'static str, act: fn(&Transport)) {
                if child::role().is_some() {
                    serve(&std::env::var("AXONIC_TEST_ADDRESS").unwrap());
                }
                let address: fn(&Place) -> String = $address;
                act(&Transport { test, address, come: super::$name });
            }

            #[test]
            fn ten_thousand_come_and_go() {
                let test = concat!("connections::", stringify!($name), "::ten_thousand_come_and_go");
                play(test, |transport| come_and_go(transport, MANY));
            }

            #[test]
            fn more_come_at_once_than_there_are_descriptors() {
                let test =
                    concat!("connections::", stringify!($name), "::more_come_at_once_than_there_are_descriptors");
                play(test, all_at_once);
            }

            #[test]
            #[ignore = "make chaos"]
            fn they_come_and_go_for_long() {
                let test = concat!("connections::", stringify!($name), "::ten_thousand_come_and_go");
                let seconds = std::env::var("AXONIC_CHAOS_SECONDS").map_or(30.0, |s| s.parse().unwrap());
                let end = Instant::now() + Duration::from_secs_f64(seconds / 4.0);
                while Instant::now() < end {
                    play(test, |transport| come_and_go(transport, 5 * MANY));
                }
            }
        })*
    };
}

transports! {
    unix: |place| format!("unix://{}/s", place.path().display());
    tcp: |_| "tcp://127.0.0.1:0".into();
    ws: |_| "ws://127.0.0.1:0".into();
    shm: |_| "shm://test/words".into();
}
