//! W1 between two processes: whoever sleeps is woken by whatever is published or read, with writers that
//! registered for membarrier and with writers that fence.

mod common;
mod litmus;

use axonic::*;
use common::Place;
use litmus::{PATIENCE, Parent, Random, long, number_of, payload, pin_to_core, start};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

roles!(drive, echo, pour, drain);

/// Opens the domain, bound to a core. `fence`: in a process with two threads, which does not register for
/// membarrier; otherwise in one with one thread, which does.
fn open(core: usize, mode: &str) -> Domain {
    pin_to_core(core);
    let fences = mode == "fence";
    if fences {
        std::thread::spawn(std::thread::park);
    }
    let domain = litmus::open();
    assert_eq!(is_registered(&domain), !fences && membarrier_available());
    domain
}

/// Whether this participant's entry says that it leaves fencing to sleepers (docs/protocol.md).
fn is_registered(domain: &Domain) -> bool {
    let table = std::fs::File::open(domain.path().join("participants")).unwrap();
    let mut flags = [0; 8];
    table.read_exact_at(&mut flags, 4096 + 256 * u64::from(domain.participant().slot) + 40).unwrap();
    u64::from_le_bytes(flags) & 1 == 1
}

fn membarrier_available() -> bool {
    // SAFETY: asks which commands there are.
    let commands = unsafe { nix::libc::syscall(nix::libc::SYS_membarrier, 0, 0, 0) };
    commands > 0 && commands & 0b110 == 0b110
}

fn sleeping() -> (PublisherOptions, SubscriberOptions) {
    let publisher = PublisherOptions {
        overflow: Overflow::Block,
        wait: Wait::Block,
        capacity: 64 << 10,
        ..Default::default()
    };
    (publisher, SubscriberOptions { wait: Wait::Block, ..Default::default() })
}

/// Waits for a message, asleep in `receive` or on the watched descriptor.
fn receive(subscriber: &mut Subscriber, how: &str) -> u64 {
    if how == "receive" {
        return number_of(subscriber.receive(PATIENCE).expect("a wake-up was lost").data());
    }
    let fd = subscriber.fd().unwrap();
    loop {
        if let Some(message) = subscriber.try_receive().unwrap() {
            return number_of(message.data());
        }
        assert!(common::wait_readable(fd, PATIENCE.unwrap()), "a wake-up of the descriptor was lost");
    }
}

const END: u64 = u64::MAX;

/// Sends messages, one or a few at a time, and waits for each to come back; `core mode how milliseconds`.
fn drive(parent: &mut Parent) {
    let [_, mode, how, _] = &parent.arguments()[..] else { panic!() };
    let domain = open(parent.number(0) as usize, mode);
    let (publishing, subscribing) = sleeping();
    let mut subscriber = domain.subscriber("back", &subscribing).unwrap();
    let mut publisher = domain.publisher("there", &publishing).unwrap();
    publisher.wait_for_subscribers(1, PATIENCE).unwrap();
    let (started, time) = (Instant::now(), Duration::from_millis(parent.number(3)));
    let (mut random, mut sent, mut back) = (Random::new(), 0, 0);
    while started.elapsed() < time {
        for _ in 0..=random.below(8) / 6 {
            random.pause(3);
            publisher.send(&Payload::raw(&payload(sent, 64)), PATIENCE).unwrap();
            sent += 1;
        }
        while back < sent {
            assert_eq!(receive(&mut subscriber, how), back);
            back += 1;
        }
    }
    publisher.send(&Payload::raw(&payload(END, 8)), PATIENCE).unwrap();
    parent.say(sent);
}

/// Sends back what it receives; `core mode how`.
fn echo(parent: &mut Parent) {
    let [_, mode, how] = &parent.arguments()[..] else { panic!() };
    let domain = open(parent.number(0) as usize, mode);
    let (publishing, subscribing) = sleeping();
    let mut subscriber = domain.subscriber("there", &subscribing).unwrap();
    let mut publisher = domain.publisher("back", &publishing).unwrap();
    let mut random = Random::new();
    loop {
        let number = receive(&mut subscriber, how);
        if number == END {
            return;
        }
        random.pause(3);
        publisher.send(&Payload::raw(&payload(number, 64)), PATIENCE).unwrap();
    }
}

/// Messages there and back between two that sleep; a lost wake-up ends in a timeout.
fn exchange(driver: &str, echoer: &str, how: &str, time: Duration) {
    let place = Place::new();
    let path = place.directory.path();
    let other = start("echo", path, &format!("1 {echoer} {how}"));
    let mut this = start("drive", path, &format!("0 {driver} {how} {}", time.as_millis()));
    let sent: u64 = this.hear().parse().unwrap();
    println!("{driver} to {echoer}, {how}: {sent} messages there and back");
    assert!(sent > 100, "{sent}");
    this.finish();
    other.finish();
}

const SHORT: Duration = Duration::from_millis(700);

#[test]
fn no_wake_up_is_lost_between_registered_writers() {
    exchange("registered", "registered", "receive", SHORT);
}

#[test]
fn no_wake_up_is_lost_between_fencing_writers() {
    exchange("fence", "fence", "receive", SHORT);
}

#[test]
fn no_wake_up_is_lost_between_one_of_each() {
    exchange("registered", "fence", "receive", SHORT);
}

#[test]
fn a_watched_descriptor_loses_no_wake_up() {
    exchange("registered", "registered", "poll", SHORT);
    exchange("fence", "registered", "poll", SHORT);
}

/// Sends a message into a topic or a ring.
type Sending = dyn FnMut(&[u8]);

/// Fills a small ring as fast as it can and sleeps for room; `core mode noun milliseconds`.
fn pour(parent: &mut Parent) {
    let [_, mode, noun, _] = &parent.arguments()[..] else { panic!() };
    let domain = open(parent.number(0) as usize, mode);
    let (started, time) = (Instant::now(), Duration::from_millis(parent.number(3)));
    let mut random = Random::new();
    let mut send: Box<Sending> = if noun == "ring" {
        let options = RingOptions { capacity: 4 << 10, wait: Wait::Block };
        let mut producer = domain.ring_producer("poured", &options).unwrap();
        Box::new(move |data| producer.push(data, PATIENCE).expect("a wake-up for room was lost"))
    } else {
        let mut publisher =
            domain.publisher("poured", &PublisherOptions { max_bytes: 64 << 10, ..sleeping().0 }).unwrap();
        publisher.wait_for_subscribers(1, PATIENCE).unwrap();
        Box::new(move |data| {
            publisher.send(&Payload::raw(data), PATIENCE).expect("a wake-up for room was lost")
        })
    };
    let mut number = 0;
    while started.elapsed() < time {
        send(&payload(number, [2000, 4000][random.below(2) as usize]));
        number += 1;
    }
    send(&payload(END, 8));
    parent.say(number);
}

/// Reads what is poured, slowly enough for the ring to fill; `core mode noun`.
fn drain(parent: &mut Parent) {
    let [_, mode, noun] = &parent.arguments()[..] else { panic!() };
    let domain = open(parent.number(0) as usize, mode);
    let mut random = Random::new();
    let mut receive: Box<dyn FnMut() -> u64> = if noun == "ring" {
        let options = RingOptions { capacity: 4 << 10, wait: Wait::Block };
        let mut consumer = domain.ring_consumer("poured", &options).unwrap();
        Box::new(move || {
            let number = number_of(consumer.pop(PATIENCE).expect("a wake-up was lost"));
            consumer.release().unwrap();
            number
        })
    } else {
        let mut subscriber = domain.subscriber("poured", &sleeping().1).unwrap();
        Box::new(move || number_of(subscriber.receive(PATIENCE).expect("a wake-up was lost").data()))
    };
    let mut expected = 0;
    loop {
        let number = receive();
        if number == END {
            return;
        }
        assert_eq!(number, expected);
        expected += 1;
        random.pause(60);
    }
}

/// Both sides sleep in turn: the reader for messages, the writer for room.
fn through_a_full_ring(writer: &str, reader: &str, noun: &str, time: Duration) {
    let place = Place::new();
    let path = place.directory.path();
    let reading = start("drain", path, &format!("1 {reader} {noun}"));
    let mut writing = start("pour", path, &format!("0 {writer} {noun} {}", time.as_millis()));
    let sent: u64 = writing.hear().parse().unwrap();
    println!("{writer} to {reader}, {noun}: {sent} messages through a full ring");
    assert!(sent > 100, "{sent}");
    writing.finish();
    reading.finish();
}

#[test]
fn a_writer_that_sleeps_for_room_is_woken() {
    through_a_full_ring("registered", "registered", "topic", SHORT);
    through_a_full_ring("fence", "fence", "topic", SHORT);
}

#[test]
fn both_ends_of_a_ring_are_woken() {
    through_a_full_ring("registered", "registered", "ring", SHORT);
    through_a_full_ring("registered", "fence", "ring", SHORT);
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn no_wake_up_is_lost_for_long() {
    for (left, right) in [("registered", "registered"), ("fence", "fence"), ("registered", "fence")] {
        for how in ["receive", "poll"] {
            exchange(left, right, how, long(96));
        }
        for noun in ["topic", "ring"] {
            through_a_full_ring(left, right, noun, long(96));
        }
    }
}
