//! SIGKILL at random moments: whoever is left gets what was committed, whole, once and in order, and goes on.

mod common;
mod litmus;

use axonic::*;
use common::flat::stays_flat;
use common::{Place, often};
use litmus::{KILLS, PATIENCE, Parent, Process, Random, SOON, long, number_of, payload, rounds, start};
use nix::libc;
use std::collections::{HashMap, VecDeque};
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::time::{Duration, Instant};

roles!(publish, subscribe, live_on, incarnate, produce, consume, come_and_go);

fn overflow(name: &str) -> Overflow {
    [Overflow::DropOldest, Overflow::Block, Overflow::Reject].into_iter().find(|o| o.name() == name).unwrap()
}

fn asleep() -> SubscriberOptions {
    SubscriberOptions { wait: Wait::Block, ..Default::default() }
}

fn small(overflow: Overflow) -> PublisherOptions {
    PublisherOptions {
        overflow,
        wait: Wait::Block,
        capacity: 64 << 10,
        max_bytes: 128 << 10,
        ..Default::default()
    }
}

/// Publishes until it is killed and counts each message once it is committed; `overflow size`.
fn publish(parent: &mut Parent) {
    let options = small(overflow(&parent.arguments()[0]));
    let size = parent.number(1) as usize;
    let domain = litmus::open();
    let mut publisher = domain.publisher("t.killed", &options).unwrap();
    let mut random = Random::new();
    for number in 0.. {
        publisher.send(&Payload::raw(&payload(number, size)), PATIENCE).unwrap();
        parent.count(number + 1);
        random.pause(60);
    }
}

/// The number of records so far, as the ring of the only publisher says it (docs/protocol.md).
struct Ring(std::fs::File);

impl Ring {
    fn only(domain: &Domain) -> Ring {
        let mut rings =
            std::fs::read_dir(domain.path().join("publishers")).unwrap().map(|e| e.unwrap().path());
        let (ring, more) = (rings.next().unwrap(), rings.next());
        assert_eq!(more, None);
        Ring(std::fs::File::open(ring).unwrap())
    }

    fn records(&self) -> u64 {
        let mut seq = [0; 8];
        self.0.read_exact_at(&mut seq, 640).unwrap();
        u64::from_le_bytes(seq)
    }
}

/// A subscriber asleep in `receive` while its publisher is killed: it gets everything that was committed,
/// soon, although the killed one may not have rung for the last of it.
fn publisher_killed(overflow: &str, size: usize, time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t.>", &asleep()).unwrap();
    let mut random = Random::new();
    let mut messages = 0;
    let count = rounds(time, |round| {
        let mut publisher = start("publish", place.directory.path(), &format!("{overflow} {size}"));
        let first = publisher.counted().unwrap();
        let ring = Ring::only(&domain);
        let (received, arrivals) = mpsc::channel();
        let (delay, mut pausing) = (random.below(4000), Random(random.next()));
        let elsewhere = domain.clone();
        let killing = std::thread::spawn(move || {
            pausing.pause(delay);
            publisher.kill();
            let killed = Instant::now();
            let committed = publisher.last_count().max(first).max(ring.records());
            let mut got = 0;
            while got < committed {
                let left = SOON.saturating_sub(killed.elapsed());
                got = arrivals
                    .recv_timeout(left)
                    .unwrap_or_else(|_| panic!("round {round}: {got} of {committed} messages arrived soon"));
            }
            // Only now may anybody else wake the subscriber.
            elsewhere.publisher("t.end", &PublisherOptions::default()).unwrap().publish(b"end").unwrap();
            committed
        });
        let mut next = 0;
        loop {
            let message = subscriber.receive(PATIENCE).expect("the sleeper hears of a death");
            if message.topic() == "t.end" {
                break;
            }
            let number = number_of(message.data());
            assert_eq!((number, message.sequence()), (next + message.missed(), number), "round {round}");
            assert!(overflow == "drop_oldest" || message.missed() == 0);
            next = number + 1;
            let _ = received.send(next);
        }
        let committed = killing.join().expect("the killing thread");
        // What was committed but not counted before the kill is one message at most.
        assert!((committed..=committed + 1).contains(&next), "round {round}: {next} of {committed}");
        messages += next;
    });
    println!("{messages} messages");
    often(format!("kills of publishers, {overflow}, {size} bytes"), count, time, KILLS);
}

#[test]
fn what_a_killed_publisher_committed_is_delivered() {
    for (overflow, size) in [("block", 100), ("block", 5000), ("drop_oldest", 100), ("drop_oldest", 5000)] {
        publisher_killed(overflow, size, Duration::from_millis(500));
    }
}

/// Subscribes, says so, and does as told until it is killed: `sit`, `read`, or `borrow` and keep what it borrows.
fn subscribe(parent: &mut Parent) {
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions { max_borrowed: 16, ..asleep() }).unwrap();
    parent.say("ready");
    let mut random = Random::new();
    let mut kept = VecDeque::new();
    match parent.arguments()[0].as_str() {
        "sit" => parent.wait_for_end(),
        "read" => loop {
            subscriber.receive(PATIENCE).unwrap();
            random.pause(100);
        },
        "borrow" => loop {
            kept.push_back(subscriber.borrow(PATIENCE).unwrap());
            if kept.len() == 16 {
                kept.pop_front();
            }
            random.pause(100);
        },
        _ => panic!(),
    }
}

/// A living subscriber beside the one that is killed: it misses nothing.
fn live_on(parent: &mut Parent) {
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    parent.say("ready");
    for expected in 0.. {
        let message = subscriber.receive(PATIENCE).expect("the publisher goes on");
        if message.data().len() == LAST {
            return;
        }
        let number = number_of(message.data());
        assert_eq!((number, message.missed()), (expected, 0));
    }
}

/// Bytes of the last message, and of no other.
const LAST: usize = 9;

/// A `block` publisher whose subscriber is killed goes on soon, whatever the subscriber was doing.
fn subscriber_killed(doing: &str, size: usize, before: bool, time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut living = start("live_on", place.directory.path(), "");
    assert_eq!(living.hear(), "ready");
    let begin = |opened: &mut Option<Process>| {
        let mut process = start("subscribe", place.directory.path(), doing);
        assert_eq!(process.hear(), "ready");
        *opened = Some(process);
    };
    let mut victim = None;
    if before {
        begin(&mut victim);
    }
    let mut publisher = domain.publisher("t", &small(Overflow::Block)).unwrap();
    let mut random = Random::new();
    let mut sent = 0;
    let mut send = |publisher: &mut Publisher| {
        publisher.send(&Payload::raw(&payload(sent, size)), PATIENCE).expect("the publisher goes on");
        sent += 1;
    };
    let count = rounds(time, |_| {
        if victim.is_none() {
            begin(&mut victim);
        }
        let mut dying = victim.take().unwrap();
        publisher.wait_for_subscribers(2, PATIENCE).unwrap();
        let (delay, mut pausing) = (random.below(6000), Random(random.next()));
        let (told, killed) = mpsc::channel();
        let killing = std::thread::spawn(move || {
            pausing.pause(delay);
            dying.kill();
            told.send(Instant::now()).unwrap();
        });
        let died = loop {
            send(&mut publisher);
            if let Ok(at) = killed.try_recv() {
                break at;
            }
        };
        let took = died.elapsed();
        assert!(took < SOON, "the publisher went on {took:?} after the death");
        killing.join().unwrap();
        // More than a whole ring and slab: nothing of the dead is in the way.
        (0..(256 << 10) / size).for_each(|_| send(&mut publisher));
    });
    publisher.send(&Payload::raw(&[0; LAST]), PATIENCE).unwrap();
    living.finish();
    println!("{sent} messages, {} times blocked", publisher.stats().blocked);
    often(format!("kills of subscribers that {doing}, {size} bytes"), count, time, KILLS);
    assert!(doing != "sit" || publisher.stats().blocked > 0);
    drop(publisher);
    drop(domain);
    // The page and bell of the last one killed go with the first object of a participant.
    let domain = place.open();
    drop(domain.subscriber("none", &SubscriberOptions::default()).unwrap());
}

#[test]
fn a_blocked_publisher_goes_on_when_its_subscriber_is_killed() {
    for (doing, size, before) in
        [("sit", 1000, false), ("sit", 5000, true), ("read", 1000, true), ("borrow", 5000, false)]
    {
        subscriber_killed(doing, size, before, Duration::from_millis(500));
    }
}

/// Publishes a few messages and ends in the given way; `messages ending`.
fn incarnate(parent: &mut Parent) {
    let domain = litmus::open();
    let mut publisher = domain.publisher("t", &small(Overflow::Block)).unwrap();
    for number in 0..parent.number(0) {
        publisher.send(&Payload::raw(&payload(number, 200)), PATIENCE).unwrap();
    }
    match parent.arguments()[1].as_str() {
        "close" => publisher.close(),
        "domain" => domain.close(),
        // SAFETY: ends the process at once, without any clean-up.
        "exit" => unsafe { libc::_exit(0) },
        "kill" => nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap(),
        _ => panic!(),
    }
}

/// Publishers that come, publish and end, one after the other and two at a time: every message of every one of
/// them arrives, in its order, whether it was read before or after the end.
fn restarts(time: Duration) {
    const EACH: u64 = 40;
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    let mut next: HashMap<u64, u64> = HashMap::new();
    let mut random = Random::new();
    let count = rounds(time, |round| {
        let endings = ["close", "domain", "exit", "kill"];
        let mut two: Vec<Process> = (0..2)
            .map(|_| {
                start(
                    "incarnate",
                    place.directory.path(),
                    &format!("{EACH} {}", endings[random.below(4) as usize]),
                )
            })
            .collect();
        if round % 2 == 0 {
            // All read after the end.
            two.iter_mut().for_each(|process| {
                while process.ended().is_none() {
                    std::thread::yield_now()
                }
            });
        }
        for _ in 0..2 * EACH {
            let message = subscriber.receive(PATIENCE).expect("every message of every publisher");
            let expected = next.entry(message.publisher()).or_default();
            assert_eq!(
                (number_of(message.data()), message.sequence(), message.missed()),
                (*expected, *expected, 0)
            );
            *expected += 1;
        }
    });
    assert!(next.len() as u64 == 2 * count && next.values().all(|n| *n == EACH), "{next:?}");
    assert_eq!(subscriber.receive(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::Timeout);
    often("publishers that came and went", 2 * count, time, 2.0 * KILLS);
}

#[test]
fn every_incarnation_of_a_publisher_is_heard() {
    restarts(Duration::from_millis(1000));
}

/// Produces numbers on from those in the ring until it is killed.
fn produce(parent: &mut Parent) {
    let domain = litmus::open();
    let mut producer =
        domain.ring_producer("r", &RingOptions { capacity: 8 << 10, wait: Wait::Block }).unwrap();
    let mut random = Random::new();
    for number in producer.stats().messages.. {
        producer.push(&payload(number, 100 + (number % 5) as usize * 1000), PATIENCE).unwrap();
        parent.count(number + 1);
        random.pause(40);
    }
}

/// A ring's producer is killed and another goes on: the consumer, asleep, is told once it has read what was
/// committed, and gets every number once.
fn producer_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut consumer =
        domain.ring_consumer("r", &RingOptions { capacity: 8 << 10, wait: Wait::Block }).unwrap();
    let mut random = Random::new();
    let mut next = 0;
    let count = rounds(time, |round| {
        let mut producer = start("produce", place.directory.path(), "");
        let first = producer.counted().unwrap();
        let (delay, mut pausing) = (random.below(3000), Random(random.next()));
        let killing = std::thread::spawn(move || {
            pausing.pause(delay);
            producer.kill();
            (Instant::now(), producer.last_count().max(first))
        });
        let error = loop {
            match consumer.pop(PATIENCE) {
                Ok(data) => {
                    assert_eq!(number_of(data), next, "round {round}");
                    next += 1;
                }
                Err(e) => break e,
            }
        };
        let told = Instant::now();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        let (killed, committed) = killing.join().unwrap();
        assert!((committed..=committed + 1).contains(&next), "round {round}: {next} of {committed}");
        assert!(told.saturating_duration_since(killed) < SOON, "the consumer was told late");
    });
    println!("{next} messages");
    often("kills of a ring's producers", count, time, KILLS);
}

#[test]
fn a_killed_producer_is_told_and_its_successor_goes_on() {
    producer_killed(Duration::from_millis(700));
}

/// Consumes until it is killed; counts each message before it releases it.
fn consume(parent: &mut Parent) {
    let domain = litmus::open();
    let mut consumer =
        domain.ring_consumer("r", &RingOptions { wait: Wait::Block, ..Default::default() }).unwrap();
    let mut random = Random::new();
    loop {
        let number = number_of(consumer.pop(PATIENCE).unwrap());
        parent.count(number + 1);
        random.pause(20);
        consumer.release().unwrap();
    }
}

/// A ring's consumer is killed and another goes on: what was not released is read again, nothing else is, and
/// the producer, asleep for room, goes on with it.
fn consumer_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut random = Random::new();
    let mut producer =
        domain.ring_producer("r", &RingOptions { capacity: 8 << 10, wait: Wait::Block }).unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let producing = std::thread::spawn(move || {
        let mut number = 0;
        while stopped.try_recv().is_err() {
            producer.push(&payload(number, 1000), PATIENCE).expect("the producer goes on");
            number += 1;
        }
        (producer, number)
    });
    let mut read = 0;
    let count = rounds(time, |_| {
        let mut consumer = start("consume", place.directory.path(), "");
        let first = consumer.counted().unwrap();
        assert!(first == read || first == read + 1, "begins at {first} after {read}");
        random.pause(3000);
        consumer.kill();
        read = first;
        while let Some(number) = consumer.counted() {
            assert_eq!(number, read + 1);
            read = number;
        }
    });
    stop.send(()).unwrap();
    let mut last = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    let mut left = 0;
    let mut producing = Some(producing);
    let mut sent = None;
    while sent.is_none_or(|sent| read < sent) {
        if producing.as_ref().is_some_and(|thread| thread.is_finished()) {
            sent = producing.take().map(|thread| thread.join().unwrap().1);
        }
        match last.try_pop() {
            Ok(Some(data)) => {
                let number = number_of(data);
                assert!(number == read || (left == 0 && number + 1 == read), "{number} after {read}");
                read = number + 1;
                left += 1;
            }
            Ok(None) => std::thread::yield_now(),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Disconnected),
        }
    }
    last.release().unwrap();
    println!("{read} messages");
    often("kills of a ring's consumers", count, time, KILLS);
}

#[test]
fn a_killed_consumers_successor_goes_on() {
    consumer_killed(Duration::from_millis(700));
}

/// Opens, publishes, subscribes and closes until it is killed.
fn come_and_go(parent: &mut Parent) {
    parent.say("ready");
    let mut random = Random::new();
    loop {
        let domain = litmus::open();
        let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
        let mut publisher = domain.publisher("t", &small(Overflow::Block)).unwrap();
        publisher.try_send(&Payload::raw(&payload(1, 3000))).unwrap();
        let sample = subscriber.borrow(PATIENCE).unwrap();
        match random.below(3) {
            0 => domain.close(),
            1 => drop(subscriber),
            _ => drop(publisher),
        }
        drop(sample);
    }
}

/// Killed anywhere in opening and closing: nobody else notices, and the next to come clears up.
fn killed_on_the_way(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut random = Random::new();
    let (stop, stopped) = mpsc::channel::<()>();
    let elsewhere = domain.clone();
    let publishing = std::thread::spawn(move || {
        let mut publisher = elsewhere.publisher("u", &small(Overflow::Block)).unwrap();
        let mut sent = 0;
        while stopped.try_recv().is_err() {
            publisher.send(&Payload::raw(&payload(sent, 100)), PATIENCE).expect("the publisher goes on");
            sent += 1;
        }
        (publisher, sent)
    });
    let mut subscriber = domain.subscriber("*", &asleep()).unwrap();
    let started = Instant::now();
    let mut count = 0;
    let mut victim = start("come_and_go", place.directory.path(), "");
    assert_eq!(victim.hear(), "ready");
    let mut kill_at = Instant::now() + Duration::from_micros(random.below(8000));
    let mut next = None;
    while started.elapsed() < time {
        let message = subscriber.receive(PATIENCE).expect("the subscriber goes on");
        let number = number_of(message.data());
        if message.topic() == "u" {
            assert!(next.is_none_or(|next| next == number), "{number} instead of {next:?}");
            next = Some(number + 1);
        }
        if Instant::now() >= kill_at {
            victim.kill();
            count += 1;
            victim = start("come_and_go", place.directory.path(), "");
            assert_eq!(victim.hear(), "ready");
            kill_at = Instant::now() + Duration::from_micros(random.below(8000));
        }
    }
    stop.send(()).unwrap();
    victim.kill();
    let publishing = std::thread::spawn(move || publishing.join().unwrap());
    while !publishing.is_finished() {
        let _ = subscriber.receive(Some(Duration::from_millis(1)));
    }
    drop((publishing.join().unwrap(), subscriber, domain));
    let domain = place.open();
    drop(domain.subscriber("none", &SubscriberOptions::default()).unwrap());
    often("kills on the way", count, time, KILLS);
}

#[test]
fn a_process_killed_while_it_opens_or_closes_harms_nobody() {
    killed_on_the_way(Duration::from_millis(1500));
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn kills_for_long() {
    for (overflow, size) in [("block", 100), ("block", 5000), ("drop_oldest", 100), ("drop_oldest", 5000)] {
        stays_flat(long(40), |time| publisher_killed(overflow, size, time));
    }
    for (doing, size, before) in
        [("sit", 1000, false), ("sit", 5000, true), ("read", 1000, true), ("borrow", 5000, false)]
    {
        stays_flat(long(40), |time| subscriber_killed(doing, size, before, time));
    }
    for work in [restarts, producer_killed, consumer_killed, killed_on_the_way] {
        stays_flat(long(40), work);
    }
}
