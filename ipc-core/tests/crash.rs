//! Death at every step: each operation is cut short by SIGKILL before each of its stores to shared memory and each
//! system call that others see, and by SIGSTOP at the same places. Whoever lives has what was committed, whole, once
//! and in order, goes on soon, and nothing is left in the end. A failure names operation, step and source line;
//! `AXONIC_CRASH=operation:step` plays one again.
#![cfg(crash_points)]

mod common;
mod litmus;

use axonic::*;
use common::Place;
use litmus::{PATIENCE, Parent, Process, SOON, number_of, payload, start};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::time::{Duration, Instant};

roles!(act, leave_behind);

/// More steps than any operation has.
const NEVER: u64 = 1 << 40;

/// An operation, and what may have come of it.
struct Operation {
    name: &'static str,
    run: fn(&mut Stage),
    /// Messages of topic `t`, or of ring `r`, that were sent before it, and that it sends.
    before: u64,
    sends: u64,
    /// As many are read before it, since there is no room for all.
    reads: u64,
    /// It sends all or none.
    at_once: bool,
}

const fn op(name: &'static str, run: fn(&mut Stage)) -> Operation {
    sending(name, run, 0, 0)
}

const fn sending(name: &'static str, run: fn(&mut Stage), before: u64, sends: u64) -> Operation {
    Operation { name, run, before, sends, reads: 0, at_once: false }
}

const OPERATIONS: &[Operation] = &[
    op("open_domain", |stage| {
        let domain = stage.armed(litmus::open);
        drop(domain);
    }),
    op("open_another_domain", |stage| {
        let options = DomainOptions { name: Some("another".into()), ..Default::default() };
        let _domain = stage.armed(|| Domain::open_with(options).unwrap());
    }),
    op("close_another_domain", |stage| {
        let options = DomainOptions { name: Some("another".into()), ..Default::default() };
        let domain = Domain::open_with(options).unwrap();
        let _region = domain.region("m", &RegionOptions { size: Some(10), ..Default::default() }).unwrap();
        domain.unlink(Noun::Region, "m").unwrap();
        stage.armed(|| domain.close());
    }),
    op("close_domain", |stage| {
        let domain = litmus::open();
        let _publisher = domain.publisher("t", &small()).unwrap();
        let _subscriber = domain.subscriber("u", &asleep()).unwrap();
        stage.armed(|| domain.close());
    }),
    op("open_publisher", |stage| {
        let domain = litmus::open();
        let _publisher = stage.armed(|| domain.publisher("t", &small()).unwrap());
    }),
    sending("publish", |stage| stage.publish(small(), 100, 5, 3), 5, 3),
    Operation {
        reads: 80,
        ..sending("publish_with_room_to_make", |stage| stage.publish(small(), 2000, 100, 3), 100, 3)
    },
    sending("publish_dropping", |stage| stage.publish(dropping(), 1500, 100, 3), 100, 3),
    sending("publish_large", |stage| stage.publish(small(), 5000, 2, 3), 2, 3),
    Operation {
        reads: 17,
        ..sending(
            "publish_large_with_slots_to_take_back",
            |stage| stage.publish(small(), 20_000, 20, 3),
            20,
            3,
        )
    },
    sending("publish_large_dropping", |stage| stage.publish(dropping(), 20_000, 20, 3), 20, 3),
    Operation { at_once: true, ..sending("publish_many", publish_many, 5, 4) },
    sending("loan_and_commit", loan_and_commit, 2, 1),
    sending("loan_and_give_up", loan_and_give_up, 2, 0),
    sending(
        "close_publisher",
        |stage| {
            let (_domain, publisher) = stage.publisher(small(), 5000, 5);
            stage.armed(|| drop(publisher));
        },
        5,
        0,
    ),
    op("open_subscriber", |stage| {
        let domain = litmus::open();
        let _subscriber = stage.armed(|| domain.subscriber("u", &asleep()).unwrap());
    }),
    op("receive", |stage| {
        let (_domain, mut subscriber) = stage.subscriber(100);
        stage.armed(|| assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), 0));
    }),
    op("receive_large", |stage| {
        let (_domain, mut subscriber) = stage.subscriber(5000);
        stage.armed(|| assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), 0));
    }),
    op("borrow", |stage| {
        let (_domain, mut subscriber) = stage.subscriber(5000);
        let sample = stage.armed(|| subscriber.borrow(PATIENCE).unwrap());
        assert_eq!(number_of(&sample), 0);
    }),
    op("release", |stage| {
        let (_domain, mut subscriber) = stage.subscriber(5000);
        let sample = subscriber.borrow(PATIENCE).unwrap();
        stage.armed(|| drop(sample));
    }),
    op("fall_asleep", |stage| {
        let (_domain, mut subscriber) = stage.subscriber(100);
        while subscriber.try_receive().unwrap().is_some() {}
        let short = Some(Duration::from_millis(5));
        stage.armed(|| subscriber.receive(short).map(drop).unwrap_err());
    }),
    op("close_subscriber", |stage| {
        let (_domain, subscriber) = stage.subscriber(5000);
        stage.armed(|| drop(subscriber));
    }),
    op("sweep", |stage| {
        let domain = litmus::open();
        let _subscriber = stage.armed(|| domain.subscriber("none", &asleep()).unwrap());
    }),
    op("doctor_clean", |stage| {
        stage.armed(|| doctor(&DomainOptions::default(), true).unwrap());
    }),
    op("make_way", |stage| {
        let domain = litmus::open();
        let _sleeper = domain.subscriber("o", &asleep()).unwrap();
        let little = PublisherOptions { capacity: 4096, ..Default::default() };
        for number in 0..64 {
            domain.publisher("o", &little).unwrap().publish(&payload(number, 100)).unwrap();
        }
        let _publisher = stage.armed(|| domain.publisher("o", &little).unwrap());
    }),
    op("region", |stage| {
        let domain = litmus::open();
        let sized = RegionOptions { size: Some(100), ..Default::default() };
        let _region = stage.armed(|| domain.region("m", &sized).unwrap());
    }),
    op("unlink_region", |stage| {
        let domain = litmus::open();
        drop(domain.region("m", &RegionOptions { size: Some(100), ..Default::default() }).unwrap());
        stage.armed(|| domain.unlink(Noun::Region, "m").unwrap());
    }),
    op("unlink_topic", |stage| {
        let domain = litmus::open();
        let kept = PublisherOptions { retain: true, ..small() };
        domain.publisher("kept", &kept).unwrap().publish(&payload(0, 5000)).unwrap();
        stage.armed(|| domain.unlink(Noun::Topic, "kept").unwrap());
    }),
    op("open_producer", |stage| {
        let domain = litmus::open();
        let _producer = stage.armed(|| domain.ring_producer("r", &ring()).unwrap());
    }),
    sending("push", push, 5, 3),
    sending(
        "close_producer",
        |stage| {
            let (_domain, producer) = stage.producer(5);
            stage.armed(|| drop(producer));
        },
        5,
        0,
    ),
    op("open_consumer", |stage| {
        let domain = litmus::open();
        let _consumer = stage.armed(|| domain.ring_consumer("s", &ring()).unwrap());
    }),
    op("pop", |stage| {
        let domain = litmus::open();
        let mut consumer = domain.ring_consumer("s", &ring()).unwrap();
        assert_eq!(number_of(consumer.pop(PATIENCE).unwrap()), 0);
        stage.armed(|| assert_eq!(number_of(consumer.pop(PATIENCE).unwrap()), 1));
    }),
    op("close_consumer", |stage| {
        let domain = litmus::open();
        let mut consumer = domain.ring_consumer("s", &ring()).unwrap();
        assert_eq!(number_of(consumer.pop(PATIENCE).unwrap()), 0);
        stage.armed(|| drop(consumer));
    }),
];

fn small() -> PublisherOptions {
    PublisherOptions {
        overflow: Overflow::Block,
        wait: Wait::Block,
        capacity: 64 << 10,
        max_bytes: 128 << 10,
        ..Default::default()
    }
}

fn dropping() -> PublisherOptions {
    PublisherOptions { overflow: Overflow::DropOldest, ..small() }
}

fn asleep() -> SubscriberOptions {
    SubscriberOptions { wait: Wait::Block, ..Default::default() }
}

fn ring() -> RingOptions {
    RingOptions { wait: Wait::Block, ..Default::default() }
}

fn publish_many(stage: &mut Stage) {
    let (_domain, mut publisher) = stage.publisher(small(), 100, 5);
    let messages: Vec<Vec<u8>> =
        (5..9).map(|number| payload(number, 100 + 2000 * (number as usize % 2))).collect();
    let payloads: Vec<Payload<'_>> = messages.iter().map(|m| Payload::raw(m)).collect();
    stage.armed(|| publisher.publish_many(&payloads, PATIENCE).unwrap());
}

fn loan_and_commit(stage: &mut Stage) {
    let (_domain, mut publisher) = stage.publisher(small(), 5000, 2);
    stage.armed(|| {
        let mut loan = publisher.loan(5000, PATIENCE).unwrap();
        loan.copy_from_slice(&payload(2, 5000));
        publisher.commit(loan, &LoanMeta::default(), PATIENCE).unwrap();
    });
}

fn loan_and_give_up(stage: &mut Stage) {
    let (_domain, mut publisher) = stage.publisher(small(), 5000, 2);
    stage.armed(|| drop(publisher.loan(5000, PATIENCE).unwrap()));
}

fn push(stage: &mut Stage) {
    let (_domain, mut producer) = stage.producer(5);
    stage.armed(|| (5..8).for_each(|number| producer.push(&payload(number, 100), PATIENCE).unwrap()));
}

/// The process that is to die.
struct Stage<'a> {
    parent: &'a mut Parent,
    after: u64,
    signal: i32,
}

impl Stage<'_> {
    /// Runs the operation itself; before, everything is in place.
    fn armed<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        crash::arm(self.after, self.signal);
        let result = operation();
        // Nothing is left of one that stopped on the way.
        self.parent.say(format!("steps {}", self.after.saturating_sub(crash::disarm())));
        result
    }

    fn publisher(&mut self, options: PublisherOptions, size: usize, before: u64) -> (Domain, Publisher) {
        let domain = litmus::open();
        let mut publisher = domain.publisher("t", &options).unwrap();
        publisher.wait_for_subscribers(1, PATIENCE).unwrap();
        (0..before).for_each(|n| publisher.send(&Payload::raw(&payload(n, size)), PATIENCE).unwrap());
        (domain, publisher)
    }

    fn publish(&mut self, options: PublisherOptions, size: usize, before: u64, sends: u64) {
        let (_domain, mut publisher) = self.publisher(options, size, before);
        self.armed(|| {
            let message = |number| payload(number, size);
            (before..before + sends)
                .for_each(|n| publisher.send(&Payload::raw(&message(n)), PATIENCE).unwrap());
        });
    }

    /// A subscriber of `u`, to which the survivor has sent some messages.
    fn subscriber(&mut self, size: usize) -> (Domain, Subscriber) {
        let domain = litmus::open();
        let subscriber = domain.subscriber("u", &asleep()).unwrap();
        self.parent.say(format!("send {size}"));
        self.parent.hear().expect("sent");
        (domain, subscriber)
    }

    fn producer(&mut self, before: u64) -> (Domain, RingProducer) {
        let domain = litmus::open();
        let mut producer = domain.ring_producer("r", &ring()).unwrap();
        (0..before).for_each(|n| producer.push(&payload(n, 100), PATIENCE).unwrap());
        (domain, producer)
    }
}

/// `operation after signal`: dies or stops on the way, or when it is done.
fn act(parent: &mut Parent) {
    let name = parent.arguments()[0].clone();
    let (after, signal) = (parent.number(1), parent.number(2) as i32);
    let operation = OPERATIONS.iter().find(|known| known.name == name).expect("an operation");
    (operation.run)(&mut Stage { parent, after, signal });
    parent.wait_for_end();
}

/// Leaves one of everything behind, for others to sweep.
fn leave_behind(parent: &mut Parent) {
    let domain = litmus::open();
    let mut publisher = domain.publisher("v", &small()).unwrap();
    publisher.publish(&payload(0, 5000)).unwrap();
    let _subscriber = domain.subscriber("v", &asleep()).unwrap();
    let _producer = domain.ring_producer("v", &ring()).unwrap();
    parent.say("ready");
    parent.wait_for_end();
}

/// Those who live on.
struct Survivors {
    place: Place,
    domain: Domain,
    /// Of `t`, to which the dying one publishes.
    subscriber: Subscriber,
    /// Of `u`, to which the dying one subscribes.
    publisher: Publisher,
    consumer: RingConsumer,
    producer: RingProducer,
    received: u64,
}

impl Survivors {
    fn new() -> Survivors {
        let place = Place::new();
        let domain = place.open();
        let subscriber = domain.subscriber("t", &asleep()).unwrap();
        let publisher = domain.publisher("u", &small()).unwrap();
        let consumer = domain.ring_consumer("r", &ring()).unwrap();
        let mut producer = domain.ring_producer("s", &ring()).unwrap();
        (0..3).for_each(|number| producer.try_push(&payload(number, 100)).unwrap());
        let mut dead = start("leave_behind", place.directory.path(), "");
        assert_eq!(dead.hear(), "ready");
        dead.kill();
        Survivors { place, domain, subscriber, publisher, consumer, producer, received: 0 }
    }

    /// Plays an operation up to step `after`. Where it was cut short, or how many steps it has.
    fn play(
        &mut self,
        operation: &Operation,
        after: u64,
        signal: Signal,
    ) -> (Process, std::result::Result<u64, String>) {
        let arguments = format!("{} {after} {}", operation.name, signal as i32);
        let mut process = start("act", self.place.directory.path(), &arguments);
        // One that waits for room is read from meanwhile.
        self.read(operation.reads, SOON * 10);
        loop {
            let line = process.hear();
            match line.split_once(' ') {
                Some(("send", size)) => {
                    let message = |number| payload(number, size.parse().unwrap());
                    (0..3).for_each(|n| self.publisher.publish(&message(n)).unwrap());
                    process.say("sent");
                }
                Some(("steps", steps)) => return (process, Ok(steps.parse().unwrap())),
                _ => return (process, Err(line)),
            }
        }
    }

    /// Reads from `t` up to message number `until`, or as much as comes.
    fn read(&mut self, until: u64, limit: Duration) {
        while self.received < until {
            match self.subscriber.receive(Some(limit)) {
                Ok(message) => {
                    assert_eq!(number_of(message.data()), self.received + message.missed());
                    self.received = number_of(message.data()) + 1;
                }
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Timeout, "{e}");
                    break;
                }
            }
        }
    }

    /// What was sent is there: all that was committed, nothing twice, nothing torn.
    fn check_arrivals(&mut self, operation: &Operation, complete: bool) {
        self.read(u64::MAX, Duration::from_millis(2));
        let mut popped = 0;
        while let Ok(Some(message)) = self.consumer.try_pop() {
            assert_eq!(number_of(message), popped);
            popped += 1;
        }
        let (got, all) = (self.received.max(popped), operation.before + operation.sends);
        assert!((operation.before..=all).contains(&got), "{got} of {} to {all}", operation.before);
        assert!(!complete || got == all, "{got} of {all}");
        assert!(!operation.at_once || got == operation.before || got == all, "{got}: a part of them");
        // There is no room for all of them.
        assert_eq!(self.subscriber.missed() > 0, operation.name.ends_with("_dropping"));
    }

    /// Who comes now finds everything working.
    fn check_newcomers(&self) {
        let started = Instant::now();
        let domain = self.place.open();
        let mut subscriber = domain.subscriber("fresh", &asleep()).unwrap();
        let mut publisher = domain.publisher("fresh", &small()).unwrap();
        for (number, size) in [(0, 100), (1, 5000)] {
            publisher.publish(&payload(number, size)).unwrap();
            assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), number);
        }
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }

    /// Nobody waits for the dead.
    fn check_progress(&mut self) {
        let started = Instant::now();
        for number in 0..100 {
            let sent = self.publisher.send(&Payload::raw(&payload(number, 1000)), Some(SOON));
            sent.expect("a publisher does not wait for the dead");
        }
        assert_eq!(self.publisher.subscribers(), 0);
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }

    /// The ends of rings the dead had may be had again.
    fn check_rings(&mut self) {
        drop(self.domain.ring_producer("r", &ring()).unwrap());
        let mut consumer = self.domain.ring_consumer("s", &ring()).unwrap();
        let first = number_of(consumer.pop(PATIENCE).unwrap());
        assert!(first <= 2, "{first}");
        (first + 1..3).for_each(|number| assert_eq!(number_of(consumer.pop(PATIENCE).unwrap()), number));
        consumer.release().unwrap();
    }

    /// Everybody leaves: nothing stays.
    fn check_rest(self) {
        let Survivors { place, domain, subscriber, publisher, consumer, producer, .. } = self;
        let _ = domain.unlink(Noun::Region, "m");
        let _ = domain.unlink(Noun::Topic, "kept");
        let _ = domain.unlink(Noun::Ring, "v");
        drop((subscriber, publisher, consumer, producer, domain));
        for name in ["test", "another"] {
            let options = DomainOptions { name: Some(name.into()), ..place.options() };
            let found = doctor(&options, true);
            assert!(found.is_ok() || found.is_err_and(|e| e.kind() == ErrorKind::NotFound));
        }
        assert_eq!(place.files(), Vec::<std::path::PathBuf>::new(), "left behind");
    }

    fn check(mut self, operation: &Operation, complete: bool) {
        self.check_arrivals(operation, complete);
        self.check_progress();
        self.check_rings();
        self.check_newcomers();
        self.check_rest();
    }
}

/// Kills an operation at one of its steps. `None` when it has no such step.
fn killed_at(operation: &Operation, step: u64) -> Option<()> {
    let mut survivors = Survivors::new();
    let (mut process, outcome) = survivors.play(operation, step, Signal::SIGKILL);
    process.kill();
    match &outcome {
        Ok(_) => println!("{}: over before step {step}", operation.name),
        Err(place) => println!("{}:{step} killed at {place}", operation.name),
    }
    survivors.check(operation, outcome.is_ok());
    outcome.err().map(drop)
}

/// Stops it there for a while: who comes meanwhile is not held up, and it goes on unharmed.
fn stopped_at(operation: &Operation, step: u64) -> Option<()> {
    let mut survivors = Survivors::new();
    let (mut process, outcome) = survivors.play(operation, step, Signal::SIGSTOP);
    if let Err(place) = &outcome {
        println!("{}:{step} stopped at {place}", operation.name);
        let status = waitpid(process.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(status, WaitStatus::Stopped(process.pid(), Signal::SIGSTOP));
        survivors.read(u64::MAX, Duration::from_millis(2));
        survivors.check_newcomers();
        process.signal(Signal::SIGCONT);
        assert!(process.hear().starts_with("steps "));
    }
    process.kill();
    survivors.check(operation, true);
    outcome.err().map(drop)
}

/// Steps of an operation, `most` of them at even distances, or the one that `AXONIC_CRASH` names.
fn cut_short(operation: &Operation, most: u64, cut: fn(&Operation, u64) -> Option<()>) {
    if let Ok(chosen) = std::env::var("AXONIC_CRASH") {
        let (name, step) = chosen.split_once(':').expect("operation:step");
        if name == operation.name {
            cut(operation, step.parse().expect("a number"));
        }
        return;
    }
    let mut survivors = Survivors::new();
    let (mut process, outcome) = survivors.play(operation, NEVER, Signal::SIGKILL);
    let steps = outcome.expect("it comes to its end");
    process.kill();
    survivors.check(operation, true);
    // A loan that is given up is nobody else's business: it has none.
    assert!(steps > 0 || operation.name == "loan_and_give_up");
    let stride = steps.div_ceil(most).max(1);
    let chosen = (litmus::Random::new().below(stride)..=steps).step_by(stride as usize);
    let cut = chosen.filter(|step| cut(operation, *step).is_some()).count();
    println!("{}: cut short at {cut} of {steps} steps", operation.name);
}

/// Who stops while it takes an empty domain away holds up those who come, who are told so.
fn may_stop(operation: &&Operation) -> bool {
    !operation.name.contains("another_domain")
}

#[test]
fn killed_at_some_steps() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, 8, killed_at));
}

#[test]
fn stopped_at_some_steps() {
    OPERATIONS.iter().filter(may_stop).for_each(|operation| cut_short(operation, 3, stopped_at));
}

#[test]
#[ignore = "make chaos"]
fn killed_at_every_step() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, u64::MAX, killed_at));
}

#[test]
#[ignore = "make chaos"]
fn stopped_at_every_step() {
    OPERATIONS.iter().filter(may_stop).for_each(|operation| cut_short(operation, u64::MAX, stopped_at));
}
