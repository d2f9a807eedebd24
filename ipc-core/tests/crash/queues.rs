//! The same of queues. The dying one tells what it is about to do and what it was told; whoever lives finds each message
//! that was accepted where it must be: acknowledged, in the queue, or among the dead letters, and only there.

mod actor;

use super::common::Place;
use super::litmus::{self, PATIENCE, Process, SOON, number_of, payload, start_with};
use super::{NEVER, chosen_steps};
use actor::{CAPACITY, LARGE, OPERATIONS, Operation, PART, PARTS, once, options};
pub use actor::{act_on_queue, die_in_a_put, keep_queue};
use axonic::*;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is known of a message.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    accepted: bool,
    acking: bool,
    acked: bool,
    rejected: bool,
    /// It is too late for it, from the beginning.
    expiring: bool,
    redriven: bool,
    purging: bool,
    purged: bool,
    /// Where it was found: delivered now, or among the dead letters.
    delivered: u32,
    dead: u32,
    reason: Option<Reason>,
}

/// Those who live on.
struct Survivors {
    place: Place,
    data: tempfile::TempDir,
    durable: bool,
    living: Option<Living>,
    /// Who had the queue open before, where that is none of those who live on.
    keeper: Option<Process>,
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
            keeper: None,
            fates: BTreeMap::new(),
            first: Vec::new(),
        };
        let durable = u8::from(operation.durable);
        (0..operation.before).for_each(|number| survivors.note(&format!("accepted {number}")));
        if operation.kept {
            let mut keeper = survivors.start("keep_queue", &format!("{durable} {}", operation.before));
            assert_eq!(keeper.hear(), "ready");
            survivors.keeper = Some(keeper);
            return survivors;
        }
        let mut living = survivors.open();
        for number in 0..operation.before {
            living.producer.put(&payload(number, LARGE), PATIENCE).unwrap();
        }
        if operation.dead {
            let step = litmus::Random::new().below(40);
            let mut dead = survivors.start("die_in_a_put", &format!("{durable} {step}"));
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
            survivors.note(&format!("accepted {LATE}"));
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
            "accepted" => fate.accepted = true,
            "acking" => fate.acking = true,
            "acked" => fate.acked = true,
            "rejected" => fate.rejected = true,
            "expiring" => fate.expiring = true,
            "redriven" => fate.redriven = true,
            "purging" => fate.purging = true,
            "purged" => fate.purged = true,
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
        self.keeper.iter_mut().for_each(Process::kill);
        let _ = std::fs::remove_dir_all(self.place.path().join("test"));
    }

    fn check(mut self, operation: &Operation) {
        if operation.reboot {
            self.lose_memory();
        }
        drop(self.keeper.take());
        let mut living = self.living.take().unwrap_or_else(|| self.open());
        let started = Instant::now();
        // Whoever comes sets right what the dead left.
        drop(living.domain.queue_consumer("q", &options(self.durable)).unwrap());
        self.check_sleeper(&mut living);
        if operation.again {
            living.producer.put_with(&Payload::raw(&payload(1, LARGE)), &once(), PATIENCE).unwrap();
            self.note("accepted 1");
        }
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
            self.note(&format!("accepted {}", LATE + 1));
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
            let fate = self.fates.entry(number_of(letter.data())).or_default();
            fate.dead += 1;
            fate.reason = letter.reason();
        }
        living.consumer.purge_dead_letters().unwrap();
    }

    /// Each message is where it must be, once.
    fn check_fates(&mut self, living: &mut Living) {
        for (number, fate) in &self.fates {
            let found = fate.delivered + fate.dead;
            assert!(found <= 1, "{number} is there {found} times: {fate:?}");
            assert!(!(fate.acked || fate.purged) || found == 0, "{number} is gone for good: {fate:?}");
            assert!(!fate.rejected || fate.dead == 1, "{number} is a dead letter: {fate:?}");
            assert!(!fate.redriven || fate.delivered == 1, "{number} is none any more: {fate:?}");
            assert!(!fate.expiring || fate.delivered == 0, "it is too late for {number}: {fate:?}");
            let reason = if fate.expiring { Reason::Expired } else { Reason::Rejected };
            assert!(fate.dead == 0 || fate.reason == Some(reason), "{number}: {fate:?}");
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

    /// While somebody is stopped others go on, with the same queue too.
    fn check_progress(&mut self, operation: &Operation) {
        let started = Instant::now();
        let domain = Domain::open_with(self.options()).unwrap();
        let mut producer = domain.queue_producer("fresh", &options(false)).unwrap();
        let mut consumer = domain.queue_consumer("fresh", &options(false)).unwrap();
        producer.put(&payload(1, LARGE), PATIENCE).unwrap();
        consumer.get(Some(SOON)).unwrap().ack().unwrap();
        if let Some(mut living) = self.living.take() {
            if living.sleeper.is_none() {
                living.put_and_get();
            }
            if operation.late {
                self.take_over(&mut living);
            }
            self.living = Some(living);
        }
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }

    /// Takes the message of one whose lease is over by now, or soon: either has it from then on.
    fn take_over(&mut self, living: &mut Living) {
        if let Ok(delivery) = living.consumer.get(Some(5 * actor::BRIEF)) {
            self.fates.entry(number_of(delivery.data())).or_default().delivered += 1;
            delivery.ack().unwrap();
        }
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

    /// A message more, the first of all, if there is room for one.
    fn put_and_get(&mut self) {
        let put = Put { priority: 7, durable: Some(false), ..Put::default() };
        let get = Get { durable: Some(false), ..Get::default() };
        match self.producer.try_put(&Payload::raw(&payload(LATE, 10)), &put) {
            Ok(_) => {
                let delivery = self.consumer.get_with(&get, Some(SOON)).unwrap();
                assert_eq!(number_of(delivery.data()), LATE);
                delivery.ack().unwrap();
            }
            Err(e) => {
                assert_eq!((e.kind(), self.producer.stats().ready > 0), (ErrorKind::WouldBlock, true), "{e}")
            }
        }
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
        survivors.check_progress(operation);
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
        let steps = outcome.expect("it comes to its end");
        // Who only looks leaves nothing.
        assert_eq!(steps == 0, operation.name == "queue_peek", "{steps} steps");
        steps
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
