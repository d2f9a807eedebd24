//! Waiting: for messages, for room, with descriptors and without.

use crate::common::{expect, readable, wait_readable};
use crate::ground::{Ground, SOON, message, number};
use axonic::{Channel, ErrorKind, WaitSet};
use std::time::{Duration, Instant};

/// No transport keeps more than this for a reader that does not read.
const BOUND: u64 = 64 << 20;

pub fn tries(ground: &Ground) {
    let (one, other) = ground.pair();
    assert!(one.try_receive().unwrap().is_none() && other.try_receive().unwrap().is_none());
    one.try_send(b"hello").unwrap();
    assert_eq!(other.receive(SOON).unwrap().data, b"hello");
    assert!(other.try_receive().unwrap().is_none());
    other.try_send(b"").unwrap();
    assert_eq!(one.receive(SOON).unwrap().data, b"");
}

/// The descriptor is readable until nothing was found, whatever has come with what was found.
pub fn wait_sets(ground: &Ground) {
    let (one, other) = ground.pair();
    let mut set = WaitSet::new().unwrap();
    set.add_fd(other.fd().unwrap(), 7).unwrap();
    settle(&other);
    assert!(set.wait(Some(Duration::ZERO)).unwrap().is_empty());
    for round in 0..50 {
        let count = 1 + round % 7;
        (0..count).for_each(|i| one.send(&message(i, 8 + i as usize * 700), SOON).unwrap());
        for i in 0..count {
            assert_eq!(set.wait(SOON).unwrap(), [7], "message {i} of {count}");
            assert_eq!(number(&next(&other)), i);
        }
        settle(&other);
        assert!(!readable(other.fd().unwrap()) && set.wait(Some(Duration::ZERO)).unwrap().is_empty());
    }
    one.close();
    if one.can().end {
        assert_eq!(set.wait(SOON).unwrap(), [7], "the end is something to be found");
        let ended = std::iter::repeat_with(|| other.try_receive()).take(100).find_map(Result::err);
        assert_eq!(ended.unwrap().kind(), ErrorKind::Disconnected);
        assert_eq!(set.wait(Some(Duration::ZERO)).unwrap(), [7], "and stays so");
    }
}

/// The next message as an event loop takes it: where its descriptor says that there is something, and tries find nothing yet, it
/// is asked again.
fn next(channel: &Channel) -> Vec<u8> {
    loop {
        if let Some(message) = channel.try_receive().unwrap() {
            return message.data;
        }
        assert!(wait_readable(channel.fd().unwrap(), SOON.unwrap()));
    }
}

/// Until nothing is found and the descriptor says so too.
fn settle(channel: &Channel) {
    let started = Instant::now();
    loop {
        assert!(channel.try_receive().unwrap().is_none());
        if !readable(channel.fd().unwrap()) {
            return;
        }
        assert!(started.elapsed() < SOON.unwrap(), "it stays readable, and there is nothing");
    }
}

pub fn timeouts(ground: &Ground) {
    let (one, _other) = ground.pair();
    for wait in [1, 30] {
        let (started, wait) = (Instant::now(), Duration::from_millis(wait));
        expect(one.receive(Some(wait)), ErrorKind::Timeout, &["no message came"]);
        assert!(started.elapsed() >= wait && started.elapsed() < wait + Duration::from_secs(5));
    }
}

/// Whoever does not read makes who sends wait, costs no more than so much memory, and gets everything in the end.
pub fn back_pressure(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().back_pressure {
        return;
    }
    let length = |i: u64| 8 + (i as usize * 37) % 5000;
    let mut sent = 0;
    let full = loop {
        match one.try_send(&message(sent, length(sent))) {
            Ok(()) => sent += 1,
            Err(e) => break e,
        }
        assert!(one.stats().sent_bytes < BOUND, "there is no end to it");
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
    // A system may find room a little later still.
    let (full, took) = loop {
        let started = Instant::now();
        match one.send(&message(sent, length(sent)), Some(Duration::from_millis(20))) {
            Ok(()) => sent += 1,
            Err(e) => break (e, started.elapsed()),
        }
        assert!(one.stats().sent_bytes < BOUND, "there is no end to it");
    };
    assert!(full.kind() == ErrorKind::Timeout && full.message().contains("no room"), "{full}");
    assert!(took >= Duration::from_millis(20));
    std::thread::scope(|scope| {
        scope.spawn(|| one.flush(SOON).unwrap());
        (0..sent).for_each(|i| assert_eq!(number(&other.receive(SOON).unwrap().data), i));
    });
    assert!(other.try_receive().unwrap().is_none());
    one.send(b"on", SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().data, b"on");
}

/// Whoever waits for room goes on when there is some, and what it has sent is whole.
pub fn waits_for_room(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().back_pressure {
        return;
    }
    let most = one.can().max_message.unwrap_or(usize::MAX);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..40).for_each(|i| one.send(&message(i, most.min(500_000)), SOON).unwrap()));
        for i in 0..40 {
            if i % 10 == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(number(&other.receive(SOON).unwrap().data), i);
        }
    });
}

/// The descriptor for sending tells when it is worth trying again.
pub fn watched_room(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().back_pressure {
        return;
    }
    let fd = one.send_fd().unwrap();
    let (mut sent, mut received) = (0, 0);
    for _ in 0..5 {
        let full = loop {
            match one.try_send(&message(sent, 3000)) {
                Ok(()) => sent += 1,
                Err(e) => break e.kind(),
            }
        };
        assert_eq!(full, ErrorKind::WouldBlock);
        // As long as nothing can be sent, nothing is said; a system that says so early is asked once more.
        while readable(fd) {
            match one.try_send(&message(sent, 3000)) {
                Ok(()) => sent += 1,
                Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
            }
        }
        while received < sent {
            assert_eq!(number(&other.receive(SOON).unwrap().data), received);
            received += 1;
            // What was kept of the last one goes out with the next call.
            if received + 1 == sent {
                one.flush(SOON).unwrap();
            }
        }
        assert!(wait_readable(fd, SOON.unwrap()), "all was read, and nobody says that there is room");
    }
}
