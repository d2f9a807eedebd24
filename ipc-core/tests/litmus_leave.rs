//! A publisher asleep for room goes on when the one in its way leaves, in whatever state that one is: not its
//! death but its leaving wakes the publisher.

mod common;
mod litmus;

use axonic::*;
use common::Place;
use litmus::{PATIENCE, Parent, Random, SOON, number_of, payload, rounds, start};
use nix::libc;
use std::time::{Duration, Instant};

roles!(leave, listen, alone);

/// There is room for some eight of these.
const LARGE: usize = 6000;
const MESSAGES: u64 = 200;

fn small() -> PublisherOptions {
    let (capacity, max_bytes) = (64 << 10, 64 << 10);
    PublisherOptions {
        overflow: Overflow::Block,
        wait: Wait::Block,
        capacity,
        max_bytes,
        ..Default::default()
    }
}

/// Subscribes, gets in the way and leaves when told to; `state lacking`.
fn leave(parent: &mut Parent) {
    let state = parent.arguments()[0].clone();
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    parent.say("ready");
    assert_eq!(parent.hear().as_deref(), Some("published"));
    let mut held = Vec::new();
    match state.as_str() {
        // It was there first and never came round to look.
        "unattached" => {}
        "attached" => drop(subscriber.receive(PATIENCE).unwrap()),
        _ => {
            while let Some(sample) = subscriber.try_borrow().unwrap() {
                held.push(sample);
            }
        }
    }
    parent.say("in the way");
    assert_eq!(parent.hear().as_deref(), Some("leave"));
    let all = if parent.arguments()[1] == "lacking" { take_all_descriptors() } else { Vec::new() };
    match state.as_str() {
        "borrowed" => {
            held.clear();
            drop(all);
            assert_eq!(parent.hear().as_deref(), Some("read on"));
            while number_of(subscriber.receive(PATIENCE).unwrap().data()) + 1 < MESSAGES {}
        }
        "closing" => domain.close(),
        _ => drop(subscriber),
    }
    // The participant lives on.
    parent.wait_for_end();
}

fn take_all_descriptors() -> Vec<std::fs::File> {
    // SAFETY: sets a limit of this process.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &libc::rlimit { rlim_cur: 100, rlim_max: 100 }) };
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

fn leaving(state: &str, lacking: bool) {
    let place = Place::new();
    let domain = place.open();
    let lack = if lacking { "lacking" } else { "rich" };
    let mut other = start("leave", place.path(), &format!("{state} {lack}"));
    assert_eq!(other.hear(), "ready");
    let mut publisher = domain.publisher("t", &small()).unwrap();
    for number in 0..4 {
        publisher.publish(&payload(number, LARGE)).unwrap();
    }
    other.say("published");
    assert_eq!(other.hear(), "in the way");
    let sending = std::thread::spawn(move || {
        for number in 4..MESSAGES {
            publisher.send(&Payload::raw(&payload(number, LARGE)), PATIENCE).expect("the publisher goes on");
        }
        (Instant::now(), publisher)
    });
    // Asleep, as an onlooker sees it.
    let seen = || snapshot(&place.options()).unwrap().publishers.remove(0);
    let published = loop {
        let publisher = seen();
        if publisher.waiting {
            break publisher.published;
        }
        assert!(!sending.is_finished(), "nobody was in the way");
    };
    let left = Instant::now();
    other.say("leave");
    if state == "borrowed" {
        // Slots are free again, though nothing more was read.
        while seen().published == published {
            assert!(left.elapsed() < SOON, "the publisher sleeps on");
        }
        other.say("read on");
    }
    let (done, publisher) = sending.join().unwrap();
    assert!(done - left < SOON, "{state}: the publisher went on after {:?}", done - left);
    drop(publisher);
    other.end();
}

#[test]
fn one_that_leaves_lets_the_publisher_go_on() {
    for state in ["unattached", "attached", "closing", "borrowed"] {
        leaving(state, false);
    }
}

/// There is always a descriptor to ring with.
#[test]
fn one_that_leaves_without_descriptors_lets_the_publisher_go_on() {
    for state in ["unattached", "attached", "closing", "borrowed"] {
        leaving(state, true);
    }
}

/// Receives until the last word, asleep in between.
fn listen(parent: &mut Parent) {
    let domain = litmus::open();
    let options = SubscriberOptions { wait: Wait::Block, ..Default::default() };
    let mut subscriber = domain.subscriber("t", &options).unwrap();
    parent.say("ready");
    while number_of(subscriber.receive(PATIENCE).unwrap().data()) != u64::MAX {}
}

/// Whoever reads the last message of a publisher that ends takes its ring away, though it goes back to sleep.
#[test]
fn a_ring_goes_with_its_last_message() {
    let place = Place::new();
    let mut listener = start("listen", place.path(), "");
    assert_eq!(listener.hear(), "ready");
    let domain = place.open();
    let mut random = Random::new();
    let count = rounds(Duration::from_millis(700), |round| {
        let mut publisher = domain.publisher("t", &small()).unwrap();
        publisher.publish(&payload(round, 100)).unwrap();
        random.pause(100);
        drop(publisher);
        let ended = Instant::now();
        while std::fs::read_dir(domain.path().join("publishers")).unwrap().count() > 0 {
            assert!(ended.elapsed() < SOON, "round {round}: the ring stays");
        }
    });
    println!("{count} publishers ended");
    domain.publisher("t", &small()).unwrap().publish(&payload(u64::MAX, 8)).unwrap();
    listener.finish();
}

/// Publishes to a subscriber of its own, which nobody reads meanwhile.
fn alone(parent: &mut Parent) {
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &small()).unwrap();
    for length in [100, LARGE] {
        let full = loop {
            if let Err(e) = publisher.publish(&payload(0, length)) {
                break e;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
        assert!(full.to_string().contains("of this process, which has one thread"), "{full}");
        assert_eq!(
            publisher.send(&Payload::raw(&payload(0, length)), Some(Duration::ZERO)).unwrap_err().kind(),
            ErrorKind::Timeout
        );
        while subscriber.try_receive().unwrap().is_some() {}
        publisher.publish(&payload(0, length)).unwrap();
        while subscriber.try_receive().unwrap().is_some() {}
    }
    // With a second thread somebody may be about to read.
    let reading = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        for expected in 0..MESSAGES {
            assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), expected);
        }
    });
    (0..MESSAGES).for_each(|n| publisher.send(&Payload::raw(&payload(n, LARGE)), PATIENCE).unwrap());
    reading.join().unwrap();
    parent.say("done");
    parent.wait_for_end();
}

/// A thread that is alone in its process and would wait for its own subscriber is told so.
#[test]
fn nobody_waits_for_itself() {
    let place = Place::new();
    let mut process = start("alone", place.directory.path(), "");
    assert_eq!(process.hear(), "done");
    process.end();
}
