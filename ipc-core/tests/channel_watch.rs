//! Channels in event loops: what their descriptors tell of room, and those of listeners of who connects.

mod common;

use axonic::{ChannelOptions, Domain, ErrorKind, Listener};
use common::{Place, child};
use nix::sys::resource::{Resource, setrlimit};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn whoever_watches_hears_of_room_after_there_was_none() {
    let place = Place::new();
    let ax = place.open();
    let options = ChannelOptions::default();
    let listener = ax.listen("shm://test/jobs", &options).unwrap();
    std::thread::scope(|scope| {
        let there = scope.spawn(|| listener.accept(SECOND).unwrap());
        let here = ax.connect("shm://test/jobs", &options, SECOND).unwrap();
        let there = there.join().unwrap();
        let fd = here.send_fd().unwrap();
        let full = loop {
            if let Err(e) = here.try_send(&[7; 10_000]) {
                break e;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(!common::wait_readable(fd, Duration::ZERO), "there is no room");
        while there.try_receive().unwrap().is_some() {}
        assert!(common::wait_readable(fd, Duration::from_secs(5)));
        here.try_send(&vec![8; 1 << 20]).unwrap();
        assert!(!here.try_flush().unwrap() && !common::wait_readable(fd, Duration::ZERO));
        scope.spawn(move || assert_eq!(there.receive(SECOND).unwrap().data.len(), 1 << 20));
        while !here.try_flush().unwrap() {
            assert!(common::wait_readable(fd, Duration::from_secs(5)));
        }
    });
}

const SCARCE: &str = "a_listener_without_descriptors_tells_its_event_loop_now_and_then";

/// Who has connected stays in the line: an event loop that is told so all the time would do nothing else.
#[test]
fn a_listener_without_descriptors_tells_its_event_loop_now_and_then() {
    if child::role().is_none() {
        let place = Place::new();
        return child::run(&mut child::command(SCARCE, "listen", place.path()));
    }
    let ax = Domain::open_with(common::options_in(&child::directory())).unwrap();
    let socket = child::directory().join("socket");
    let address = format!("unix://{}", socket.display());
    let listener = ax.listen(&address, &ChannelOptions::default()).unwrap();
    let fd = listener.fd().unwrap();
    let _waiting = UnixStream::connect(&socket).unwrap();
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let files: Vec<_> =
        std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).take(used as usize + 64).collect();
    setrlimit(Resource::RLIMIT_NOFILE, used, used + 128).unwrap();
    let (began, mut failures) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(500) {
        failures += usize::from(is_told_in_vain(&listener, fd));
    }
    assert!((2..50).contains(&failures), "{failures} times in half a second");
    drop(files);
    setrlimit(Resource::RLIMIT_NOFILE, used + 128, used + 128).unwrap();
    assert!(common::wait_readable(fd, Duration::from_secs(5)), "whoever waits is told of");
    assert!(listener.try_accept().unwrap().is_some());
    assert!(listener.try_accept().unwrap().is_none());
    // Neither the one who was accepted nor the pause has anything to tell.
    assert!(!common::wait_readable(fd, Duration::from_millis(100)));
    let _next = UnixStream::connect(&socket).unwrap();
    assert!(common::wait_readable(fd, Duration::from_secs(5)) && listener.try_accept().unwrap().is_some());
}

/// Whether it is told within a moment that somebody connects, who cannot be accepted.
fn is_told_in_vain(listener: &Listener, fd: i32) -> bool {
    let told = common::wait_readable(fd, Duration::from_millis(100));
    if told {
        assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::LimitReached);
    }
    told
}
