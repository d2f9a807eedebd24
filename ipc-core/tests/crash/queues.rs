//! The same of queues. The dying one tells what it is about to do and what it was told; whoever lives finds each message
//! that was accepted where it must be: acknowledged, in the queue, or among the dead letters, and only there.

use super::common::Place;
use super::litmus::{self, PATIENCE, Parent, Process, SOON, number_of, payload, start_with};
use super::{NEVER, chosen_steps};
use axonic::*;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A length that takes some parts.
const LARGE: usize = 1000;
const CAPACITY: usize = 8;
const PARTS: usize = 64;
/// Bytes of a part, as `store.rs` has it.
const PART: usize = 224;
/// A lease or a delay that is over soon.
const BRIEF: Duration = Duration::from_millis(5);

struct Operation {
    name: &'static str,
    run: fn(&mut Actor),
    /// Messages that are there before: number 0 and so on, each `LARGE`.
    before: u64,
    /// Somebody waits for room meanwhile.
    blocked: bool,
    /// Somebody died before in the middle of many things.
    dead: bool,
    durable: bool,
    /// Then everything in memory is lost.
    reboot: bool,
}

const fn op(name: &'static str, before: u64, run: fn(&mut Actor)) -> Operation {
    Operation { name, run, before, blocked: false, dead: false, durable: false, reboot: false }
}

const fn durable(name: &'static str, before: u64, run: fn(&mut Actor)) -> Operation {
    Operation { durable: true, ..op(name, before, run) }
}

const OPERATIONS: &[Operation] = &[
    op("queue_open", 2, |actor| {
        let open = || actor.domain.queue_consumer("q", &actor.options);
        let _consumer = actor.parent.armed(actor.after, actor.signal, || open().unwrap());
    }),
    op("queue_open_new", 0, |actor| {
        let open = || actor.domain.queue_producer("new", &actor.options);
        let _producer = actor.parent.armed(actor.after, actor.signal, || open().unwrap());
    }),
    op("queue_close_producer", 1, |actor| {
        let mut producer = actor.producer();
        actor.put(&mut producer, 1, LARGE, Put::default());
        actor.parent.armed(actor.after, actor.signal, || drop(producer));
    }),
    op("queue_close_consumer", 3, |actor| {
        let mut consumer = actor.consumer();
        let delivery = actor.get(&mut consumer, &Get::default());
        actor.parent.armed(actor.after, actor.signal, || drop((consumer, delivery)));
    }),
    op("queue_close_domain", 3, |actor| {
        let (_producer, mut consumer) = (actor.producer(), actor.consumer());
        let _delivery = actor.get(&mut consumer, &Get::default());
        actor.parent.armed(actor.after, actor.signal, || actor.domain.close());
    }),
    op("queue_put", 1, |actor| actor.puts(&[(1, 10, 0), (2, 10, 0), (3, 10, 0)])),
    op("queue_put_to_a_sleeper", 0, |actor| {
        actor.let_sleep();
        actor.puts(&[(1, 10, 0), (2, 10, 0)]);
    }),
    op("queue_put_large", 1, |actor| actor.puts(&[(1, LARGE, 0), (2, LARGE, 3)])),
    op("queue_put_growing", 0, |actor| actor.puts(&[(1, 40 * PART, 7)])),
    op("queue_put_later", 1, |actor| {
        let mut producer = actor.producer();
        actor.arm();
        (1..3).for_each(|n| actor.put(&mut producer, n, LARGE, Put { delay: BRIEF, ..Put::default() }));
        actor.disarm();
    }),
    op("queue_put_with_a_ticket", 1, |actor| {
        let mut producer = actor.producer();
        actor.arm();
        drop(actor.put_for_result(&mut producer, 1));
        actor.disarm();
    }),
    op("queue_get", 3, |actor| {
        let mut consumer = actor.consumer();
        actor.arm();
        let _deliveries = [(); 2].map(|()| actor.get(&mut consumer, &Get::default()));
        actor.disarm();
    }),
    op("queue_get_for_a_time", 2, |actor| {
        let mut consumer = actor.consumer();
        actor.arm();
        let get = Get { lease: Some(BRIEF), ..Get::default() };
        let _delivery = consumer.get_with(&get, PATIENCE);
        actor.disarm();
    }),
    op("queue_extend", 2, |actor| {
        let mut consumer = actor.consumer();
        let get = Get { lease: Some(SOON), ..Get::default() };
        let mut delivery = consumer.get_with(&get, PATIENCE).unwrap();
        actor.arm();
        let _ = delivery.extend(BRIEF);
        actor.disarm();
    }),
    op("queue_fall_asleep", 0, |actor| {
        let mut consumer = actor.consumer();
        actor.arm();
        let _ = consumer.get(Some(BRIEF));
        actor.disarm();
    }),
    Operation {
        blocked: true,
        ..op("queue_ack", CAPACITY as u64, |actor| actor.settle("ack", |d| d.ack(), Get::default()))
    },
    op("queue_ack_of_a_timed_one", 2, |actor| {
        actor.settle("ack", |d| d.ack(), Get { lease: Some(SOON), ..Get::default() });
    }),
    op("queue_nack", 1, |actor| actor.settle("nack", |d| d.nack(Duration::ZERO), Get::default())),
    op("queue_nack_for_later", 1, |actor| actor.settle("nack", |d| d.nack(BRIEF), Get::default())),
    op("queue_reject", 2, |actor| {
        actor.settle("reject", |d| d.reject(&"why ".repeat(100)), Get::default());
    }),
    op("queue_ack_with_a_result", 1, |actor| actor.answer(false)),
    op("queue_ack_for_nobody", 1, |actor| actor.answer(true)),
    op("queue_fetch_a_result", 1, |actor| {
        let (mut producer, mut consumer) = (actor.producer(), actor.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        let mut ticket = actor.put_for_result(&mut producer, 1);
        let delivery = consumer.get(PATIENCE).unwrap();
        actor.parent.say("acking 1");
        delivery.ack_with(&Payload::raw(&[7; LARGE])).unwrap();
        actor.parent.say("acked 1");
        actor.arm();
        assert_eq!(producer.result(&mut ticket, PATIENCE).unwrap().data(), [7; LARGE]);
        actor.disarm();
    }),
    op("queue_drop_a_ticket", 1, |actor| {
        let (mut producer, mut consumer) = (actor.producer(), actor.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        let ticket = actor.put_for_result(&mut producer, 1);
        actor.parent.say("acking 1");
        consumer.get(PATIENCE).unwrap().ack_with(&Payload::raw(&[7; LARGE])).unwrap();
        actor.parent.say("acked 1");
        actor.parent.armed(actor.after, actor.signal, || drop(ticket));
    }),
    op("queue_end_a_lease", 2, |actor| {
        let (mut consumer, mut other) = (actor.consumer(), actor.consumer());
        let get = Get { lease: Some(Duration::from_millis(1)), ..Get::default() };
        let _delivery = other.get_with(&get, PATIENCE).unwrap();
        let _second = other.get(PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        actor.arm();
        let _third = consumer.try_get().unwrap();
        actor.disarm();
    }),
    op("queue_expire", 0, |actor| {
        let (mut producer, mut consumer) = (actor.producer(), actor.consumer());
        let short = || Put { ttl: Some(Duration::from_micros(1)), ..Put::default() };
        (0..2).for_each(|n| actor.put(&mut producer, n, LARGE, short()));
        actor.arm();
        assert!(consumer.try_get().unwrap().is_none());
        actor.disarm();
    }),
    op("queue_redrive", 3, |actor| {
        let mut consumer = actor.consumer();
        (0..2).for_each(|_| consumer.get(PATIENCE).unwrap().reject("bad luck").unwrap());
        actor.arm();
        consumer.redrive(9).unwrap();
        actor.disarm();
    }),
    op("queue_purge", CAPACITY as u64, |actor| {
        let mut consumer = actor.consumer();
        actor.parent.say("purging 0");
        actor.arm();
        consumer.purge().unwrap();
        actor.disarm();
    }),
    Operation {
        dead: true,
        ..op("queue_recover", 4, |actor| {
            actor.arm();
            let _consumer = actor.consumer();
            actor.disarm();
        })
    },
    durable("queue_put_durably", 1, |actor| actor.puts(&[(1, 10, 0), (2, LARGE, 0)])),
    durable("queue_ack_durably", 2, |actor| actor.settle("ack", |d| d.ack(), Get::default())),
    durable("queue_write_and_sync", 1, |actor| actor.write_and_sync()),
    durable("queue_go_round_the_disk", 1, |actor| actor.go_round()),
    Operation {
        dead: true,
        ..durable("queue_recover_durably", 3, |actor| {
            actor.arm();
            let mut consumer = actor.consumer();
            let _ = consumer.sync(PATIENCE);
            actor.disarm();
        })
    },
    Operation {
        reboot: true,
        ..durable("queue_put_before_a_reboot", 1, |actor| {
            actor.puts(&[(1, 10, 0), (2, LARGE, 0)]);
        })
    },
    Operation {
        reboot: true,
        ..durable("queue_ack_before_a_reboot", 2, |actor| {
            actor.settle("ack", |d| d.ack(), Get::default());
        })
    },
    Operation { reboot: true, ..durable("queue_write_before_a_reboot", 1, |actor| actor.write_and_sync()) },
    Operation { reboot: true, ..durable("queue_go_round_before_a_reboot", 1, |actor| actor.go_round()) },
    Operation {
        reboot: true,
        ..durable("queue_load", 3, |actor| {
            // Everybody else is gone, and what was in memory too.
            actor.parent.say("reboot 0");
            actor.parent.hear().expect("done");
            let domain = litmus::open();
            let options = &actor.options;
            let open = || domain.queue_consumer("q", options);
            let _consumer = actor.parent.armed(actor.after, actor.signal, || open().unwrap());
        })
    },
];

fn options(durable: bool) -> QueueOptions {
    QueueOptions {
        capacity: CAPACITY,
        max_bytes: PARTS * PART,
        durable: durable.then_some(Fsync::Always),
        wait: Wait::Block,
        ..Default::default()
    }
}

/// The process that is to die.
struct Actor<'a> {
    parent: &'a mut Parent,
    domain: Domain,
    options: QueueOptions,
    after: u64,
    signal: i32,
}

impl Parent {
    /// Runs an operation that is cut short.
    fn armed<T>(&self, after: u64, signal: i32, operation: impl FnOnce() -> T) -> T {
        crash::arm(after, signal);
        let result = operation();
        self.say(format!("steps {}", after.saturating_sub(crash::disarm())));
        result
    }
}

impl Actor<'_> {
    fn arm(&self) {
        crash::arm(self.after, self.signal);
    }

    fn disarm(&self) {
        self.parent.say(format!("steps {}", self.after.saturating_sub(crash::disarm())));
    }

    /// Lets a survivor wait for a message, of which there is none now.
    fn let_sleep(&mut self) {
        self.parent.say("sleep 0");
        self.parent.hear().expect("it sleeps");
    }

    fn producer(&self) -> QueueProducer {
        self.domain.queue_producer("q", &self.options).unwrap()
    }

    fn consumer(&self) -> QueueConsumer {
        self.domain.queue_consumer("q", &self.options).unwrap()
    }

    fn put(&self, producer: &mut QueueProducer, number: u64, size: usize, put: Put) {
        self.parent.say(format!("putting {number}"));
        producer.put_with(&Payload::raw(&payload(number, size)), &put, PATIENCE).unwrap();
        self.parent.say(format!("accepted {number}"));
    }

    fn put_for_result(&self, producer: &mut QueueProducer, number: u64) -> Ticket {
        self.parent.say(format!("putting {number}"));
        let put = Put { result: true, ..Put::default() };
        let receipt = producer.put_with(&Payload::raw(&payload(number, LARGE)), &put, PATIENCE).unwrap();
        self.parent.say(format!("accepted {number}"));
        receipt.ticket().unwrap()
    }

    /// Messages by number, size and priority.
    fn puts(&self, messages: &[(u64, usize, u8)]) {
        let mut producer = self.producer();
        self.arm();
        for (number, size, priority) in messages {
            self.put(&mut producer, *number, *size, Put { priority: *priority, ..Put::default() });
        }
        self.disarm();
    }

    fn get(&self, consumer: &mut QueueConsumer, get: &Get) -> Delivery {
        consumer.get_with(get, PATIENCE).unwrap()
    }

    /// Takes the first message and settles it.
    fn settle(&mut self, how: &str, settle: fn(Delivery) -> Result<()>, get: Get) {
        let mut consumer = self.consumer();
        let delivery = self.get(&mut consumer, &get);
        let number = number_of(delivery.data());
        self.parent.say(format!("{how}ing {number}"));
        if how == "nack" {
            self.let_sleep();
        }
        self.arm();
        match settle(delivery) {
            Ok(()) => self.parent.say(format!("{how}ed {number}")),
            Err(e) => assert_eq!((e.kind(), get.lease.is_some()), (ErrorKind::LeaseLost, true), "{e}"),
        }
        self.disarm();
    }

    /// Answers a message whose producer waits for that, or does not any more.
    fn answer(&self, given_up: bool) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        let mut ticket = Some(self.put_for_result(&mut producer, 1));
        let delivery = consumer.get(PATIENCE).unwrap();
        ticket.take_if(|_| given_up);
        self.parent.say("acking 1");
        self.arm();
        delivery.ack_with(&Payload::raw(&[7; LARGE])).unwrap();
        self.parent.say("acked 1");
        self.disarm();
    }

    /// Some that need not be on the disk, and then all of them.
    fn write_and_sync(&self) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let put = || Put { durable: Some(false), ..Put::default() };
        self.arm();
        for number in 1..3 {
            // Accepted, and not durable before the sync.
            self.parent.say(format!("putting {number}"));
            producer.put_with(&Payload::raw(&payload(number, LARGE)), &put(), PATIENCE).unwrap();
        }
        self.parent.say("acking 0");
        consumer.get_with(&Get { durable: Some(false), ..Get::default() }, PATIENCE).unwrap().ack().unwrap();
        producer.sync(PATIENCE).unwrap();
        (1..3).for_each(|number| self.parent.say(format!("accepted {number}")));
        self.parent.say("acked 0");
        self.disarm();
    }

    /// So many that the journal goes on in further segments, and frees the first, in which one message is left.
    fn go_round(&self) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        self.arm();
        for number in 1..16 {
            self.put(&mut producer, number, LARGE, Put::default());
            self.parent.say(format!("acking {number}"));
            consumer.get(PATIENCE).unwrap().ack().unwrap();
            self.parent.say(format!("acked {number}"));
        }
        self.disarm();
    }
}

/// `operation after signal`: dies or stops on the way, or when it is done.
pub fn act_on_queue(parent: &mut Parent) {
    let name = parent.arguments()[0].clone();
    let (after, signal) = (parent.number(1), parent.number(2) as i32);
    let operation = OPERATIONS.iter().find(|known| known.name == name).expect("an operation");
    let options = options(operation.durable);
    (operation.run)(&mut Actor { parent, domain: litmus::open(), options, after, signal });
    parent.wait_for_end();
}

/// `durable step`: takes a message, another for long, gives one back, and dies at a step of a put.
pub fn die_in_a_put(parent: &mut Parent) {
    let (durable, step) = (parent.number(0) == 1, parent.number(1));
    let (domain, options) = (litmus::open(), options(durable));
    let mut producer = domain.queue_producer("q", &options).unwrap();
    let mut consumer = domain.queue_consumer("q", &options).unwrap();
    let _taken = consumer.get(PATIENCE).unwrap();
    let _timed = consumer.get_with(&Get { lease: Some(BRIEF), ..Get::default() }, PATIENCE).unwrap();
    parent.say("putting 100");
    crash::arm(step, Signal::SIGKILL as i32);
    producer.put(&payload(100, LARGE), PATIENCE).unwrap();
    crash::disarm();
    parent.say("accepted 100");
    parent.wait_for_end();
}

/// What is known of a message.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    accepted: bool,
    acking: bool,
    acked: bool,
    rejected: bool,
    purging: bool,
    /// Where it was found: delivered now, or among the dead letters.
    delivered: u32,
    dead: u32,
}

/// Those who live on.
struct Survivors {
    place: Place,
    data: tempfile::TempDir,
    durable: bool,
    /// Gone while everything in memory is lost.
    living: Option<Living>,
    fates: BTreeMap<u64, Fate>,
    /// Numbers of first deliveries, in the order in which they came.
    first: Vec<u64>,
}

struct Living {
    domain: Domain,
    producer: QueueProducer,
    consumer: QueueConsumer,
    sleeper: Option<JoinHandle<u64>>,
    blocked: Option<JoinHandle<()>>,
}

/// Of the one that waits for room, and of the one that wakes the sleeper; numbers whose order is not looked at.
const LATE: u64 = 1000;

impl Survivors {
    fn new(operation: &Operation) -> Survivors {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut survivors = Survivors {
            place: Place::new(),
            data,
            durable: operation.durable,
            living: None,
            fates: BTreeMap::new(),
            first: Vec::new(),
        };
        let mut living = survivors.open();
        for number in 0..operation.before {
            living.producer.put(&payload(number, LARGE), PATIENCE).unwrap();
            survivors.fates.entry(number).or_default().accepted = true;
        }
        if operation.dead {
            let step = litmus::Random::new().below(40);
            let mut dead =
                survivors.start("die_in_a_put", &format!("{} {step}", u8::from(operation.durable)));
            loop {
                let line = dead.hear();
                survivors.note(&line);
                if line.starts_with("crash point") || line.starts_with("accepted") {
                    println!("one died before, at {line}");
                    break;
                }
            }
            dead.kill();
        }
        if operation.blocked {
            living.block(operation.durable);
            survivors.fates.entry(LATE).or_default().accepted = true;
        }
        survivors.living = Some(living);
        survivors
    }

    fn start(&self, role: &str, arguments: &str) -> Process {
        let data = self.data.path();
        start_with(role, self.place.path(), arguments, |command| {
            command.env("AXONIC_DATA_DIR", data);
        })
    }

    fn options(&self) -> DomainOptions {
        DomainOptions { data_dir: Some(self.data.path().into()), ..self.place.options() }
    }

    fn open(&self) -> Living {
        let domain = Domain::open_with(self.options()).unwrap();
        let producer = domain.queue_producer("q", &options(self.durable)).unwrap();
        let consumer = domain.queue_consumer("q", &options(self.durable)).unwrap();
        Living { domain, producer, consumer, sleeper: None, blocked: None }
    }

    /// What the dying one said.
    fn note(&mut self, line: &str) {
        let Some((word, number)) = line.split_once(' ') else { return };
        let Ok(number) = number.parse() else { return };
        let fate = self.fates.entry(number).or_default();
        match word {
            "putting" => {}
            "accepted" => fate.accepted = true,
            "acking" => fate.acking = true,
            "acked" => fate.acked = true,
            "rejected" => fate.rejected = true,
            "purging" => self.fates.values_mut().for_each(|fate| fate.purging = true),
            _ => {}
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
        let mut process = self.start("act_on_queue", &arguments);
        loop {
            let line = process.hear();
            if let Some(steps) = line.strip_prefix("steps ") {
                return (process, Ok(steps.parse().unwrap()));
            } else if line.starts_with("crash point") {
                return (process, Err(line));
            } else if line.starts_with("reboot") {
                self.lose_memory();
                process.say("done");
            } else if line.starts_with("sleep") {
                self.living.as_mut().expect("somebody lives").sleep(operation.durable);
                process.say("done");
            }
            self.note(&line);
        }
    }

    /// What a reboot leaves.
    fn lose_memory(&mut self) {
        if let Some(living) = self.living.take() {
            // No farewell.
            std::mem::forget((living.producer, living.consumer, living.domain));
        }
        let _ = std::fs::remove_dir_all(self.place.path().join("test"));
    }

    fn check(mut self, operation: &Operation) {
        if operation.reboot {
            self.lose_memory();
        }
        let mut living = self.living.take().unwrap_or_else(|| self.open());
        let started = Instant::now();
        // Whoever comes sets right what the dead left.
        drop(living.domain.queue_consumer("q", &options(self.durable)).unwrap());
        self.check_sleeper(&mut living);
        self.drain(&mut living);
        living.blocked.take().into_iter().for_each(|thread| thread.join().expect("there is room"));
        self.drain(&mut living);
        self.check_fates(&mut living);
        self.check_room(&mut living);
        assert!(started.elapsed() < 2 * SOON, "it took {:?}", started.elapsed());
        self.check_rest(living);
    }

    /// Who waits for a message gets one if there is one.
    fn check_sleeper(&mut self, living: &mut Living) {
        let Some(sleeper) = living.sleeper.take() else { return };
        let stats = living.consumer.stats();
        if stats.ready + stats.leased + stats.delayed == 0 && !sleeper.is_finished() {
            living.producer.put(&payload(LATE + 1, 10), PATIENCE).unwrap();
            self.fates.entry(LATE + 1).or_default().accepted = true;
        }
        let started = Instant::now();
        let number = sleeper.join().expect("the sleeper got something");
        assert!(started.elapsed() < SOON, "it slept for {:?}", started.elapsed());
        self.fates.entry(number).or_default().delivered += 1;
    }

    fn drain(&mut self, living: &mut Living) {
        loop {
            let stats = living.consumer.stats();
            if stats.ready + stats.leased + stats.delayed == 0 {
                break;
            }
            match living.consumer.get(Some(SOON)) {
                Ok(delivery) => {
                    let number = number_of(delivery.data());
                    self.fates.entry(number).or_default().delivered += 1;
                    if delivery.attempt() == 1 && delivery.priority() == 0 && number < LATE {
                        self.first.push(number);
                    }
                    delivery.ack().unwrap();
                }
                Err(e) => {
                    let left = living.consumer.stats();
                    let none = left.ready + left.leased + left.delayed == 0;
                    assert!(none && e.kind() == ErrorKind::Timeout, "{e}: {left:?}");
                }
            }
        }
        for letter in living.consumer.dead_letters(100).unwrap() {
            self.fates.entry(number_of(letter.data())).or_default().dead += 1;
        }
        living.consumer.purge_dead_letters().unwrap();
    }

    /// Each message is where it must be, once.
    fn check_fates(&mut self, living: &mut Living) {
        for (number, fate) in &self.fates {
            let found = fate.delivered + fate.dead;
            assert!(found <= 1, "{number} is there {found} times: {fate:?}");
            assert!(!fate.acked || found == 0, "{number} was acknowledged: {fate:?}");
            assert!(!fate.rejected || fate.dead == 1, "{number} is a dead letter: {fate:?}");
            let may_be_gone = !fate.accepted || fate.acking || fate.purging;
            assert!(may_be_gone || found == 1, "{number} is lost: {fate:?}");
        }
        assert!(self.first.is_sorted(), "out of order: {:?}", self.first);
        let stats = living.consumer.stats();
        assert_eq!((stats.done, stats.bytes), (0, 0), "something is left: {stats:?}");
    }

    /// All there can be in it can be put again.
    fn check_room(&mut self, living: &mut Living) {
        let share = PARTS / CAPACITY * PART + 128;
        for number in 0..CAPACITY as u64 {
            let put = Put { durable: Some(false), ..Put::default() };
            let put = living.producer.try_put(&Payload::raw(&payload(number, share)), &put);
            put.unwrap_or_else(|e| panic!("number {number}: {e}, {:?}", living.producer.stats()));
        }
        let get = Get { durable: Some(false), ..Get::default() };
        for number in 0..CAPACITY as u64 {
            let delivery = living.consumer.get_with(&get, Some(SOON)).unwrap();
            assert_eq!(number_of(delivery.data()), number);
            delivery.ack().unwrap();
        }
        living.consumer.sync(PATIENCE).unwrap();
        assert_eq!(living.consumer.stats().bytes, 0);
    }

    /// Everybody leaves: nothing stays.
    fn check_rest(self, living: Living) {
        drop((living.producer, living.consumer));
        drop(living.domain.queue_consumer("new", &options(false)).unwrap());
        let _ = living.domain.unlink(Noun::Queue, "q");
        drop(living.domain);
        let found = doctor(&self.options(), true);
        assert!(found.is_ok() || found.is_err_and(|e| e.kind() == ErrorKind::NotFound));
        assert_eq!(self.place.files(), Vec::<std::path::PathBuf>::new(), "left behind");
    }

    /// While somebody is stopped: others go on.
    fn check_newcomers(&self) {
        let started = Instant::now();
        let domain = Domain::open_with(self.options()).unwrap();
        let mut producer = domain.queue_producer("fresh", &options(false)).unwrap();
        let mut consumer = domain.queue_consumer("fresh", &options(false)).unwrap();
        producer.put(&payload(1, LARGE), PATIENCE).unwrap();
        consumer.get(Some(SOON)).unwrap().ack().unwrap();
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }
}

impl Living {
    fn sleep(&mut self, durable: bool) {
        let mut consumer = self.domain.queue_consumer("q", &options(durable)).unwrap();
        self.sleeper = Some(std::thread::spawn(move || {
            let delivery = consumer.get(PATIENCE).expect("somebody wakes it");
            let number = number_of(delivery.data());
            delivery.ack().unwrap();
            number
        }));
        // If it does not sleep yet, it looks: the test is as right, if easier.
        std::thread::sleep(Duration::from_millis(3));
    }

    fn block(&mut self, durable: bool) {
        let mut producer = self.domain.queue_producer("q", &options(durable)).unwrap();
        let before = self.producer.stats().blocked;
        self.blocked = Some(std::thread::spawn(move || producer.put(&payload(LATE, 10), PATIENCE).unwrap()));
        while self.producer.stats().blocked == before {
            std::thread::yield_now();
        }
    }
}

/// Kills an operation at one of its steps. `None` when it has no such step.
fn killed_at(operation: &Operation, step: u64) -> Option<()> {
    let mut survivors = Survivors::new(operation);
    let (mut process, outcome) = survivors.play(operation, step, Signal::SIGKILL);
    process.kill();
    match &outcome {
        Ok(_) => println!("{}: over before step {step}", operation.name),
        Err(place) => println!("{}:{step} killed at {place}", operation.name),
    }
    survivors.check(operation);
    outcome.err().map(drop)
}

/// Stops it there for a while: who comes meanwhile is not held up, and it goes on unharmed.
fn stopped_at(operation: &Operation, step: u64) -> Option<()> {
    let mut survivors = Survivors::new(operation);
    let (mut process, outcome) = survivors.play(operation, step, Signal::SIGSTOP);
    if let Err(place) = &outcome {
        println!("{}:{step} stopped at {place}", operation.name);
        let status = waitpid(process.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(status, WaitStatus::Stopped(process.pid(), Signal::SIGSTOP));
        survivors.check_newcomers();
        process.signal(Signal::SIGCONT);
        loop {
            let line = process.hear();
            survivors.note(&line);
            if line.starts_with("steps ") {
                break;
            }
        }
    }
    process.kill();
    survivors.check(operation);
    outcome.err().map(drop)
}

/// Steps of an operation, `most` of them at even distances, or the one that `AXONIC_CRASH` names.
fn cut_short(operation: &Operation, most: u64, cut: fn(&Operation, u64) -> Option<()>) {
    let whole = || {
        let mut survivors = Survivors::new(operation);
        let (mut process, outcome) = survivors.play(operation, NEVER, Signal::SIGKILL);
        process.kill();
        survivors.check(operation);
        outcome.expect("it comes to its end")
    };
    chosen_steps(operation.name, most, whole, |step| cut(operation, step).is_some());
}

#[test]
fn queues_killed_at_some_steps() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, 5, killed_at));
}

#[test]
fn queues_stopped_at_some_steps() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, 2, stopped_at));
}

#[test]
#[ignore = "make chaos"]
fn queues_killed_at_every_step() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, u64::MAX, killed_at));
}

#[test]
#[ignore = "make chaos"]
fn queues_stopped_at_every_step() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, u64::MAX, stopped_at));
}
