//! SIGKILL and SIGSTOP at random of those who put messages for later, for a time, or once, and of those who consume them:
//! what each was told keeps the queue's promises about times and ids, too (`common/history.rs`).

mod common;
mod litmus;

use axonic::*;
use common::Place;
use common::history::{Counts, History, Told};
use litmus::{PATIENCE, Parent, Process, Random, SOON, long, number_of, payload, start};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::{Duration, Instant};

roles!(produce, consume);

const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// What expires makes gaps in its line, across which no order is kept; what several put has none. Both have this priority.
const UNORDERED: u8 = 2;
/// The sender of what all producers put, each once of all.
const ALL: u64 = 0xffff_ffff << 32;
/// So long is one of these put by whoever comes by.
const TURN: u64 = 4_000_000;
/// Dead letters stay until the end of a game, so that is over before they fill the queue.
const GAME: Duration = Duration::from_millis(1500);

fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

fn options(random: &mut Random) -> QueueOptions {
    let wait = if random.below(2) == 0 { Wait::Block } else { Wait::Adaptive };
    QueueOptions { capacity: 16_384, wait, ..Default::default() }
}

fn history(parent: &Parent) -> History {
    let arguments = parent.arguments();
    History::create(Path::new(&arguments[0]), &arguments[1])
}

/// One who puts, and writes down what may become of it.
struct Producer {
    history: History,
    producer: QueueProducer,
}

impl Producer {
    fn put(&mut self, number: u64, size: usize, put: Put) {
        self.history.note("put", number, u64::from(put.priority));
        let receipt = self.producer.put_with(&Payload::raw(&payload(number, size)), &put, PATIENCE).unwrap();
        self.history.note(if receipt.is_duplicate() { "duplicate" } else { "accepted" }, number, 0);
    }

    fn put_for_later(&mut self, number: u64, size: usize, priority: u8, delay: Duration) {
        self.history.note("later", number, now() + delay.as_nanos() as u64);
        self.put(number, size, Put { priority, delay, ..Put::default() });
        self.history.note("due", number, now() + delay.as_nanos() as u64);
    }

    fn put_for_a_time(&mut self, number: u64, size: usize, ttl: Duration) {
        self.history.note("ttl", number, 0);
        self.put(number, size, Put { priority: UNORDERED, ttl: Some(ttl), ..Put::default() });
        self.history.note("until", number, now() + ttl.as_nanos() as u64);
    }

    /// What everybody puts at about this time, or did a while ago.
    fn put_once(&mut self, turn: u64, size: usize) {
        let put = Put { priority: UNORDERED, dedup_id: Some(turn.to_string()), ..Put::default() };
        self.put(ALL | turn & 0xffff_ffff, size, put);
    }
}

/// `directory file sender`: puts messages until it is killed.
fn produce(parent: &mut Parent) {
    let (domain, mut random, history) = (litmus::open(), Random::new(), history(parent));
    let producer = domain.queue_producer("q", &options(&mut random)).unwrap();
    let (mut producer, sender) = (Producer { history, producer }, parent.number(2) << 32);
    parent.say("ready");
    for number in 1.. {
        let number = sender | number;
        let size = [8, 100, 700][random.below(3) as usize];
        let time = Duration::from_micros(random.below(3000));
        match random.below(5) {
            0 => producer.put_for_later(number, size, 0, time),
            1 => producer.put_for_a_time(number, size, time),
            2 => producer.put_once(now() / TURN - random.below(2) * random.below(20), size),
            _ => producer.put(number, size, Put::default()),
        }
        random.pause(1000);
    }
}

/// `directory file`: consumes, and settles or gives back, until it is killed. Nobody rejects anything.
fn consume(parent: &mut Parent) {
    let (domain, mut random, mut history) = (litmus::open(), Random::new(), history(parent));
    let mut consumer = domain.queue_consumer("q", &options(&mut random)).unwrap();
    parent.say("ready");
    loop {
        let lease = (random.below(8) == 0).then(|| Duration::from_millis(1 + random.below(3)));
        let asked = now();
        let delivery = consumer.get_with(&Get { lease, ..Get::default() }, None).unwrap();
        let seen = now();
        let (number, token) = (number_of(delivery.data()), delivery.token());
        history.note("got", number, token);
        history.note("asked", number, asked);
        history.note("seen", number, seen);
        if let Some(lease) = lease {
            history.note("leased", number, asked + lease.as_nanos() as u64);
            history.note("ends", number, seen + lease.as_nanos() as u64);
        }
        random.pause(if lease.is_some() { 4000 } else { 1000 });
        match random.below(12) {
            0 => drop(delivery),
            1 => drop(delivery.nack(Duration::from_micros(random.below(2000)))),
            _ => {
                history.note("settling", number, token);
                history.note("settles", number, now());
                let acked = delivery.ack();
                let is_lost = |e: &Error| e.kind() == ErrorKind::LeaseLost && lease.is_some();
                assert!(acked.as_ref().err().is_none_or(is_lost), "{acked:?}");
                let told = now();
                history.note(if acked.is_ok() { "acked" } else { "lost" }, number, token);
                if acked.is_err() {
                    history.note("told", number, told);
                }
            }
        }
    }
}

/// Starts number `n` of the game, of which so many were started before.
fn play(place: &Place, histories: &Path, n: usize, started: usize) -> Process {
    let role = if n < PRODUCERS { "produce" } else { "consume" };
    let arguments = format!("{} {role}-{started} {started}", histories.display());
    let mut process = start(role, place.path(), &arguments);
    assert_eq!(process.hear(), "ready");
    process
}

/// Takes out what is left to be delivered.
fn drain(consumer: &mut QueueConsumer) -> Vec<u64> {
    let mut ready = Vec::new();
    loop {
        let stats = consumer.stats();
        if stats.ready + stats.delayed + stats.leased == 0 {
            return ready;
        }
        match consumer.get(Some(SOON)) {
            Ok(delivery) => {
                ready.push(number_of(delivery.data()));
                delivery.ack().unwrap();
            }
            // It was too late for the last.
            Err(e) => assert_eq!(e.kind(), ErrorKind::Timeout, "{e}: {stats:?}"),
        }
    }
}

fn game(random: &mut Random) -> Counts {
    let (place, histories) = (Place::new(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let domain = place.open();
    let mut consumer = domain.queue_consumer("q", &options(random)).unwrap();
    let all = PRODUCERS + CONSUMERS;
    let mut players: Vec<Process> = (0..all).map(|n| play(&place, histories.path(), n, n)).collect();
    let (begun, mut started, mut killed) = (Instant::now(), all, CONSUMERS);
    while begun.elapsed() < GAME {
        random.pause(30_000);
        let victim = random.below(all as u64) as usize;
        if random.below(3) == 0 {
            players[victim].signal(Signal::SIGSTOP);
            random.pause(10_000);
            players[victim].signal(Signal::SIGCONT);
        } else {
            players[victim].kill();
            killed += usize::from(victim >= PRODUCERS);
            players[victim] = play(&place, histories.path(), victim, started);
            started += 1;
        }
        players.iter_mut().for_each(|player| assert_eq!(player.ended(), None, "nobody killed it"));
    }
    players.iter_mut().for_each(Process::kill);
    let ready = drain(&mut consumer);
    let mut told = Told::read(histories.path());
    let letters = consumer.dead_letters(usize::MAX).unwrap();
    let dead: Vec<u64> = letters.iter().map(|letter| number_of(letter.data())).collect();
    let expired = letters.iter().zip(&dead).filter(|(letter, _)| letter.reason() == Some(Reason::Expired));
    expired.for_each(|(_, number)| told.tell("expired", *number, 0));
    told.check(&ready, &dead, killed).unwrap_or_else(|wrong| panic!("{wrong}"));
    consumer.purge_dead_letters().unwrap();
    let stats = consumer.stats();
    assert_eq!((stats.done, stats.dead, stats.bytes), (0, 0, 0), "something is left: {stats:?}");
    told.counts()
}

fn games(time: Duration) {
    let (mut random, begun) = (Random::new(), Instant::now());
    loop {
        let counts = game(&mut random);
        println!("{counts:?}");
        let all = [counts.delayed, counts.expired, counts.duplicates, counts.acknowledged];
        assert!(all.iter().all(|count| *count > 10), "that is no game: {counts:?}");
        if begun.elapsed() >= time {
            break;
        }
    }
}

#[test]
fn nothing_comes_before_its_time_or_too_late_or_twice() {
    games(Duration::from_secs(3));
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn times_for_long() {
    games(long(40));
}
