//! Death at every step: each operation is cut short by SIGKILL before each of its stores to shared memory and each
//! system call that others see, and by SIGSTOP at the same places. Whoever lives has what was committed, whole, once
//! and in order, goes on soon, and nothing is left in the end. A failure names operation, step and source line;
//! `AXONIC_CRASH=operation:step` plays one again.
#![cfg(crash_points)]

#[path = "crash/channels.rs"]
mod channels;
mod common;
mod litmus;
#[path = "crash/meeting.rs"]
mod meeting;
#[path = "crash/notices.rs"]
mod notices;
#[path = "crash/queues.rs"]
mod queues;

use axonic::*;
use channels::act_on_channel;
use common::Place;
use litmus::{PATIENCE, Parent, Process, SOON, number_of, payload, start};
use meeting::{accept_and_stop, come_and_stop};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use notices::wait_and_stop;
use queues::{act_on_queue, die_in_a_put, keep_queue};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

roles!(
    act,
    leave_behind,
    act_on_channel,
    act_on_queue,
    die_in_a_put,
    keep_queue,
    wait_and_stop,
    come_and_stop,
    accept_and_stop
);

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
    op("open_mutex", |stage| {
        let domain = litmus::open();
        let _mutex = stage.armed(|| domain.mutex("new", &locks()).unwrap());
    }),
    op("open_semaphore", |stage| {
        let domain = litmus::open();
        let _semaphore = stage.armed(|| domain.semaphore("many", 1024, &locks()).unwrap());
    }),
    op("close_lock", |stage| {
        let domain = litmus::open();
        let mutex = domain.mutex("new", &locks()).unwrap();
        stage.armed(|| drop(mutex));
    }),
    op("lock", |stage| {
        let mut mutex = stage.mutex();
        stage.armed(|| mutex.lock(PATIENCE).unwrap());
    }),
    op("lock_in_vain", |stage| {
        let mut mutex = stage.mutex();
        let mut holder = stage.mutex();
        holder.lock(PATIENCE).unwrap();
        stage.armed(|| mutex.lock(BRIEF).unwrap_err());
    }),
    op("unlock", |stage| {
        let mut mutex = stage.mutex();
        mutex.lock(PATIENCE).unwrap();
        stage.wait("mutex");
        stage.armed(|| mutex.unlock().unwrap());
    }),
    op("close_mutex", |stage| {
        let mut mutex = stage.mutex();
        mutex.lock(PATIENCE).unwrap();
        stage.wait("mutex");
        stage.armed(|| drop(mutex));
    }),
    op("close_domain_with_locks", |stage| {
        let domain = litmus::open();
        let mut mutex = domain.mutex("m", &locks()).unwrap();
        mutex.lock(PATIENCE).unwrap();
        let mut semaphore = domain.semaphore("s", 2, &locks()).unwrap();
        (0..2).for_each(|_| semaphore.acquire(PATIENCE).unwrap());
        stage.wait("mutex");
        stage.wait("permit");
        stage.armed(|| domain.close());
    }),
    op("unlock_reading", |stage| {
        let mut lock = stage.rwlock();
        lock.read(PATIENCE).unwrap();
        stage.wait("write");
        stage.armed(|| lock.unlock().unwrap());
    }),
    op("read_in_vain", |stage| {
        let (mut lock, mut holder) = (stage.rwlock(), stage.rwlock());
        holder.write(PATIENCE).unwrap();
        stage.wait("write");
        stage.armed(|| lock.read(BRIEF).unwrap_err());
    }),
    op("write_and_unlock", |stage| {
        let mut lock = stage.rwlock();
        stage.armed(|| {
            lock.write(PATIENCE).unwrap();
            lock.unlock().unwrap();
        });
    }),
    op("unlock_writing", |stage| {
        let mut lock = stage.rwlock();
        lock.write(PATIENCE).unwrap();
        stage.wait("read");
        stage.wait("write");
        stage.armed(|| lock.unlock().unwrap());
    }),
    op("write_in_vain", |stage| {
        let (mut lock, mut holder) = (stage.rwlock(), stage.rwlock());
        holder.read(PATIENCE).unwrap();
        stage.wait("write");
        stage.armed(|| lock.write(BRIEF).unwrap_err());
    }),
    op("acquire_and_release", |stage| {
        let mut semaphore = stage.semaphore();
        semaphore.acquire(PATIENCE).unwrap();
        semaphore.acquire(PATIENCE).unwrap();
        stage.wait("permit");
        stage.wait("permit");
        stage.armed(|| (0..2).for_each(|_| semaphore.release().unwrap()));
    }),
    op("set_event", |stage| {
        let mut event = litmus::open().event("e", Reset::Manual, &locks()).unwrap();
        stage.wait("event");
        stage.wait("event");
        stage.armed(|| event.set().unwrap());
    }),
    op("set_auto_event", |stage| {
        let mut event = litmus::open().event("a", Reset::Auto, &locks()).unwrap();
        stage.wait("auto");
        stage.armed(|| event.set().unwrap());
    }),
    op("arrive_last", |stage| {
        let mut barrier = litmus::open().barrier("b", 2, &locks()).unwrap();
        stage.wait("barrier");
        stage.armed(|| assert!(barrier.wait(PATIENCE).unwrap()));
    }),
    op("arrive_in_vain", |stage| {
        let mut barrier = litmus::open().barrier("b", 2, &locks()).unwrap();
        stage.armed(|| barrier.wait(BRIEF).unwrap_err());
    }),
    op("notify", |stage| {
        let mut condvar = litmus::open().condvar("c", &locks()).unwrap();
        stage.wait("condvar");
        stage.armed(|| assert!(condvar.notify_one().unwrap()));
    }),
    op("wait_in_vain", |stage| {
        let (mut mutex, mut condvar) = (stage.mutex(), litmus::open().condvar("c", &locks()).unwrap());
        mutex.lock(PATIENCE).unwrap();
        stage.armed(|| condvar.wait(&mut mutex, BRIEF).unwrap_err());
        mutex.unlock().unwrap();
    }),
    op("wait_and_be_notified", |stage| {
        let (mut mutex, mut condvar) = (stage.mutex(), litmus::open().condvar("c", &locks()).unwrap());
        let mut notifier = litmus::open().condvar("c", &locks()).unwrap();
        mutex.lock(PATIENCE).unwrap();
        condvar.start_wait(&mut mutex).unwrap();
        stage.wait("condvar");
        // The one that was there first has the notice: it takes it, or the other gets it.
        assert!(notifier.notify_one().unwrap());
        stage.armed(|| assert!(condvar.try_wait().unwrap()));
    }),
];

/// A wait that is in vain.
const BRIEF: Option<Duration> = Some(Duration::from_millis(3));

fn locks() -> LockOptions {
    LockOptions { wait: Wait::Block }
}

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

    /// Lets a survivor wait for a lock.
    fn wait(&mut self, what: &str) {
        self.parent.say(format!("wait {what}"));
        self.parent.hear().expect("it waits");
    }

    fn mutex(&self) -> Mutex {
        litmus::open().mutex("m", &locks()).unwrap()
    }

    fn rwlock(&self) -> RwLock {
        litmus::open().rwlock("rw", &locks()).unwrap()
    }

    fn semaphore(&self) -> Semaphore {
        litmus::open().semaphore("s", 2, &locks()).unwrap()
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
    waiting: Vec<(String, JoinHandle<()>)>,
}

/// Waits for a lock, and gives it back.
fn wait_for(domain: &Domain, what: &str) {
    let options = locks();
    match what {
        "mutex" => drop(domain.mutex("m", &options).unwrap().lock(PATIENCE).unwrap()),
        "read" => drop(domain.rwlock("rw", &options).unwrap().read(PATIENCE).unwrap()),
        "write" => drop(domain.rwlock("rw", &options).unwrap().write(PATIENCE).unwrap()),
        "permit" => domain.semaphore("s", 2, &options).unwrap().acquire(PATIENCE).unwrap(),
        "event" => domain.event("e", Reset::Manual, &options).unwrap().wait(PATIENCE).unwrap(),
        "auto" => domain.event("a", Reset::Auto, &options).unwrap().wait(PATIENCE).unwrap(),
        "barrier" => drop(domain.barrier("b", 2, &options).unwrap().wait(PATIENCE).unwrap()),
        "condvar" => {
            let mut mutex = domain.mutex("m", &options).unwrap();
            mutex.lock(PATIENCE).unwrap();
            domain.condvar("c", &options).unwrap().wait(&mut mutex, PATIENCE).unwrap();
        }
        other => panic!("{other}"),
    }
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
        Survivors {
            place,
            domain,
            subscriber,
            publisher,
            consumer,
            producer,
            received: 0,
            waiting: Vec::new(),
        }
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
                Some(("wait", what)) => {
                    self.start_waiting(what);
                    process.say("waiting");
                }
                Some(("steps", steps)) => return (process, Ok(steps.parse().unwrap())),
                _ => return (process, Err(line)),
            }
        }
    }

    fn start_waiting(&mut self, what: &str) {
        let asleep = |place: &Place| {
            let locks = snapshot(&place.options()).unwrap().locks;
            locks
                .iter()
                .filter(|lock| lock.type_name != "mutex" || what == "mutex")
                .map(|lock| lock.waiting)
                .sum::<usize>()
        };
        let before = asleep(&self.place);
        let (domain, name) = (self.domain.clone(), what.to_owned());
        self.waiting.push((what.into(), std::thread::spawn(move || wait_for(&domain, &name))));
        while asleep(&self.place) <= before {
            std::thread::yield_now();
        }
    }

    /// Whoever waits gets what there is, soon; what there is not, because the dead one did not give it, they are given.
    fn check_waiting(&mut self) {
        let domain = self.domain.clone();
        let started = Instant::now();
        while let Some((what, thread)) = self.waiting.pop() {
            let given = match what.as_str() {
                "event" => domain.event("e", Reset::Manual, &locks()).unwrap().is_set().unwrap(),
                "barrier" => domain.barrier("b", 2, &locks()).unwrap().waiting().unwrap() == 0,
                "condvar" => {
                    let seen = snapshot(&self.place.options()).unwrap().locks;
                    seen.iter().any(|lock| lock.name == "c" && lock.state == "0 wait")
                }
                // Set and not consumed yet, or consumed: one or the other, soon, if it was set at all.
                "auto" => {
                    std::thread::sleep(Duration::from_millis(20));
                    thread.is_finished()
                }
                _ => true,
            };
            if !given {
                match what.as_str() {
                    "event" => domain.event("e", Reset::Manual, &locks()).unwrap().set().unwrap(),
                    "auto" => domain.event("a", Reset::Auto, &locks()).unwrap().set().unwrap(),
                    "barrier" => drop(domain.barrier("b", 2, &locks()).unwrap().wait(PATIENCE).unwrap()),
                    _ => drop(domain.condvar("c", &locks()).unwrap().notify_all().unwrap()),
                }
            }
            thread.join().unwrap_or_else(|_| panic!("who waits for {what} goes on"));
        }
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }

    /// Nobody has what the dead one had.
    fn check_locks(&mut self) {
        self.check_waiting();
        let started = Instant::now();
        let domain = self.place.open();
        domain.mutex("m", &locks()).unwrap().lock(PATIENCE).unwrap();
        let mut lock = domain.rwlock("rw", &locks()).unwrap();
        lock.write(PATIENCE).unwrap();
        lock.unlock().unwrap();
        lock.read(PATIENCE).unwrap();
        let mut semaphore = domain.semaphore("s", 2, &locks()).unwrap();
        (0..2).for_each(|_| semaphore.acquire(PATIENCE).unwrap());
        let mut barrier = domain.barrier("b", 2, &locks()).unwrap();
        assert_eq!(barrier.wait(BRIEF).unwrap_err().kind(), ErrorKind::Timeout, "the dead are no party");
        let mut new = domain.mutex("new", &locks()).unwrap();
        assert!(!new.lock(PATIENCE).unwrap().owner_died);
        let mut many = domain.semaphore("many", 1024, &locks()).unwrap();
        (0..1024).for_each(|_| assert!(many.try_acquire().unwrap()));
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
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
        let mut mutex = domain.mutex("fresh", &locks()).unwrap();
        mutex.lock(PATIENCE).unwrap();
        mutex.unlock().unwrap();
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
        self.check_locks();
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
    let whole = || {
        let mut survivors = Survivors::new();
        let (mut process, outcome) = survivors.play(operation, NEVER, Signal::SIGKILL);
        let steps = outcome.expect("it comes to its end");
        process.kill();
        survivors.check(operation, true);
        // A loan that is given up is nobody else's business: it has none.
        assert!(steps > 0 || operation.name == "loan_and_give_up");
        steps
    };
    chosen_steps(operation.name, most, whole, |step| cut(operation, step).is_some());
}

/// The same of any kind of operation: `whole` counts its steps, `cut` cuts it short at one, if it comes to it.
fn chosen_steps(name: &str, most: u64, whole: impl FnOnce() -> u64, cut: impl Fn(u64) -> bool) {
    if let Ok(chosen) = std::env::var("AXONIC_CRASH") {
        let (operation, step) = chosen.split_once(':').expect("operation:step");
        if operation == name {
            cut(step.parse().expect("a number"));
        }
        return;
    }
    let steps = whole();
    let stride = steps.div_ceil(most).max(1);
    let chosen = (litmus::Random::new().below(stride)..=steps).step_by(stride as usize);
    let cut = chosen.filter(|step| cut(*step)).count();
    println!("{name}: cut short at {cut} of {steps} steps");
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
