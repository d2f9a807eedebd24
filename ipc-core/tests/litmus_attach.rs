//! A1, D1, H1 and orphans between two processes: whoever comes while others publish misses nothing it is owed,
//! believes nothing torn, and holds what it holds.

mod common;
mod litmus;

use axonic::*;
use common::flat::stays_flat;
use common::{Place, often};
use litmus::{KILLS, PATIENCE, Parent, Random, long, number_of, payload, pin_to_core, start};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

roles!(appear, stream, join_late, expect, bear_and_die);

const SHORT: Duration = Duration::from_millis(700);

fn options(overflow: &str) -> PublisherOptions {
    let overflow =
        [Overflow::DropOldest, Overflow::Block].into_iter().find(|o| o.name() == overflow).unwrap();
    PublisherOptions { overflow, capacity: 64 << 10, max_bytes: 128 << 10, ..Default::default() }
}

/// Messages of one that appears.
const FEW: u64 = 3;

/// Publishers appear, publish at once and end; `overflow milliseconds`.
fn appear(parent: &mut Parent) {
    pin_to_core(0);
    let domain = litmus::open();
    let (started, time, mut count) = (Instant::now(), Duration::from_millis(parent.number(1)), 0);
    let mut random = Random::new();
    while started.elapsed() < time {
        // Only so many finished ones may wait for a reader.
        while std::fs::read_dir(domain.path().join("publishers")).unwrap().count() > 30 {
            std::thread::yield_now();
        }
        let mut publisher = domain.publisher("t", &options(&parent.arguments()[0])).unwrap();
        for number in 0..FEW {
            publisher.send(&Payload::raw(&payload(number, 100)), PATIENCE).unwrap();
        }
        count += 1;
        random.pause(50);
    }
    parent.say(count);
}

/// D1: a subscriber that looks all the time meets a publisher at every moment of its appearance.
fn appearing(overflow: &str, time: Duration) {
    pin_to_core(1);
    let place = Place::new();
    let domain = place.open();
    let mut subscriber =
        domain.subscriber("t", &SubscriberOptions { wait: Wait::Spin, ..Default::default() }).unwrap();
    let mut publishers = start("appear", place.path(), &format!("{overflow} {}", time.as_millis()));
    let counting = std::thread::spawn(move || {
        let count: u64 = publishers.hear().parse().unwrap();
        publishers.finish();
        count
    });
    let mut next: HashMap<u64, u64> = HashMap::new();
    let mut received = 0;
    let mut receive = |subscriber: &mut Subscriber, received: &mut u64| {
        while let Some(message) = subscriber.try_receive().unwrap() {
            let expected = next.entry(message.publisher()).or_default();
            assert_eq!(
                (number_of(message.data()), message.missed()),
                (*expected, 0),
                "missed a message of one that appeared"
            );
            *expected += 1;
            // That was its last; a test that goes on for long remembers only who is still at it.
            if *expected == FEW {
                next.remove(&message.publisher());
            }
            *received += 1;
        }
    };
    while !counting.is_finished() {
        receive(&mut subscriber, &mut received);
    }
    let count = counting.join().unwrap();
    receive(&mut subscriber, &mut received);
    assert_eq!(received, FEW * count, "missed a message of one that appeared");
    println!("{overflow}: {count} publishers appeared");
}

#[test]
fn nothing_of_a_publisher_that_appears_is_missed() {
    appearing("block", SHORT);
    appearing("drop_oldest", SHORT);
}

/// Publishes as fast as it can until told to end; `overflow`. Every fourth message is a large one.
fn stream(parent: &mut Parent) {
    pin_to_core(0);
    let domain = litmus::open();
    let mut publisher = domain.publisher("t", &options(&parent.arguments()[0])).unwrap();
    parent.say("ready");
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let end = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().next();
        end.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let mut number = 0;
    while !ended.load(std::sync::atomic::Ordering::Relaxed) {
        let size = if number % 4 == 0 { 6000 } else { 200 };
        publisher.send(&Payload::raw(&payload(number, size)), PATIENCE).unwrap();
        number += 1;
    }
    println!("published {number}, blocked {} times", publisher.stats().blocked);
}

/// Joins again and again, reads a while, and leaves; counts how often; `overflow`.
fn join_late(parent: &mut Parent) {
    pin_to_core(1);
    let domain = litmus::open();
    let drops = parent.arguments()[0] == "drop_oldest";
    let mut random = Random::new();
    let mut checked = 0;
    for joined in 1.. {
        let begin = if random.below(2) == 0 { Start::Latest } else { Start::Oldest };
        let mut subscriber =
            domain.subscriber("t", &SubscriberOptions { start: begin, ..Default::default() }).unwrap();
        let mut next = None;
        let mut kept: VecDeque<Sample> = VecDeque::new();
        for _ in 0..random.below(60) {
            let sample = subscriber.borrow(PATIENCE).expect("the publisher goes on");
            let number = number_of(sample.data());
            if let Some(next) = next {
                assert_eq!(next + sample.missed(), number, "the count of what was missed");
                assert!(
                    drops || sample.missed() == 0,
                    "missed {} of a publisher that drops nothing",
                    sample.missed()
                );
            }
            next = Some(number + 1);
            if random.below(4) == 0 {
                kept.push_back(sample);
            }
        }
        // What is held is as it was, though the slab went round many times.
        if drops {
            random.pause(300);
        }
        for sample in &kept {
            number_of(sample.data());
            checked += u64::from(sample.is_pinned());
        }
        parent.count(joined << 32 | checked);
    }
}

/// Subscribers join and leave while a publisher laps or reclaims; some are killed.
fn joining(overflow: &str, time: Duration) {
    let place = Place::new();
    let mut publisher = start("stream", place.path(), overflow);
    assert_eq!(publisher.hear(), "ready");
    let mut random = Random::new();
    let (mut joined, mut held, mut kills) = (0, 0, 0);
    let started = Instant::now();
    // Beside other work it may take longer to have seen anything.
    while started.elapsed() < time || joined <= 10 || held <= 10 {
        let mut joining = start("join_late", place.path(), overflow);
        let first = joining.counted().expect("a subscriber joins and leaves");
        std::thread::sleep(Duration::from_micros(random.below(50_000)));
        assert_eq!(joining.ended(), None, "a subscriber failed");
        joining.kill();
        let last = joining.last_count().max(first);
        joined += last >> 32;
        held += last & 0xffff_ffff;
        kills += 1;
        assert!(started.elapsed() < time + PATIENCE.unwrap(), "{joined} joined, {held} samples held");
    }
    publisher.end();
    println!("joined {joined} times, {held} samples held");
    often(format!("kills of those who join, {overflow}"), kills, time, KILLS);
    drop(place.open().subscriber("none", &SubscriberOptions::default()).unwrap());
}

#[test]
fn who_joins_a_reclaiming_publisher_misses_nothing_after() {
    joining("block", SHORT);
}

#[test]
fn who_joins_a_lapping_publisher_believes_nothing_torn() {
    joining("drop_oldest", SHORT);
}

/// Subscribes, and reads only when told to; says how many it got; `messages`.
fn expect(parent: &mut Parent) {
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    parent.say("ready");
    assert_eq!(parent.hear().as_deref(), Some("read"));
    for expected in 0..parent.number(0) {
        let message = subscriber.receive(PATIENCE).unwrap();
        assert_eq!((number_of(message.data()), message.missed()), (expected, 0));
    }
    assert_eq!(subscriber.receive(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::Timeout);
    // Read to the end, it is gone.
    let left = std::fs::read_dir(domain.path().join("publishers")).unwrap().count();
    parent.say(left);
    parent.wait_for_end();
}

/// Publishes some and is gone without a word; `messages`.
fn bear_and_die(parent: &mut Parent) {
    let domain = litmus::open();
    let mut publisher = domain.publisher("t", &options("block")).unwrap();
    for number in 0..parent.number(0) {
        publisher
            .try_send(&Payload::raw(&payload(number, if number % 5 == 0 { 3000 } else { 100 })))
            .unwrap();
    }
    nix::sys::signal::raise(Signal::SIGKILL).unwrap();
}

/// An orphan ring waits for the one who was there before its first message, though that one is stopped and has
/// never looked; others that come, read, sweep and go take nothing from it.
#[test]
fn an_orphan_waits_for_who_is_owed() {
    const MESSAGES: u64 = 30;
    let place = Place::new();
    let mut owed = start("expect", place.path(), &MESSAGES.to_string());
    assert_eq!(owed.hear(), "ready");
    owed.signal(Signal::SIGSTOP);
    waitpid(owed.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    let mut dying = start("bear_and_die", place.path(), &MESSAGES.to_string());
    while dying.ended().is_none() {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        let domain = place.open();
        let mut late = domain
            .subscriber("t", &SubscriberOptions { start: Start::Oldest, ..Default::default() })
            .unwrap();
        assert!(late.try_receive().unwrap().is_none(), "what the dead left is owed to others");
        doctor(&place.options(), true).unwrap();
        assert_eq!(domain.unlink(Noun::Region, "none").unwrap_err().kind(), ErrorKind::NotFound);
    }
    owed.signal(Signal::SIGCONT);
    owed.say("read");
    assert_eq!(owed.hear(), "0", "rings left");
    owed.end();
}

/// Nobody is left to be owed anything: what two dead left goes with the next that comes.
#[test]
fn an_orphan_nobody_is_owed_goes() {
    let place = Place::new();
    let mut owed = start("expect", place.path(), "30");
    assert_eq!(owed.hear(), "ready");
    let mut dying = start("bear_and_die", place.path(), "30");
    while dying.ended().is_none() {
        std::thread::yield_now();
    }
    owed.kill();
    drop(place.open().subscriber("none", &SubscriberOptions::default()).unwrap());
    assert_eq!(place.files(), Vec::<std::path::PathBuf>::new());
}

/// A slot used again takes its record with it: who joins at the oldest message finds whole ones only.
#[test]
fn who_joins_at_the_oldest_finds_payloads() {
    let place = Place::new();
    let domain = place.open();
    let mut early = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &options("block")).unwrap();
    for number in 0..100 {
        publisher.publish(&payload(number, 6000)).unwrap();
        early.receive(PATIENCE).unwrap();
    }
    let mut late =
        domain.subscriber("t", &SubscriberOptions { start: Start::Oldest, ..Default::default() }).unwrap();
    let mut numbers = Vec::new();
    while let Some(message) = late.try_receive().unwrap() {
        assert_eq!(message.missed(), 0);
        numbers.push(number_of(message.data()));
    }
    let count = numbers.len() as u64;
    assert!(count > 5 && numbers == (100 - count..100).collect::<Vec<u64>>(), "{numbers:?}");
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn attaching_for_long() {
    for overflow in ["block", "drop_oldest"] {
        stays_flat(long(32), |time| appearing(overflow, time));
        stays_flat(long(32), |time| joining(overflow, time));
    }
}
