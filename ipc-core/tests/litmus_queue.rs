//! SIGKILL and SIGSTOP at random of those who put and those who consume: what each was told, and what is left in the end,
//! keeps the queue's promises (`common/history.rs`); and whoever lives goes on at once.

mod common;
mod litmus;

use axonic::*;
use common::flat::stays_flat;
use common::history::{History, Told};
use common::{Place, often};
use litmus::{
    KILLS, PATIENCE, Parent, Process, Random, SOON, STOPS, long, number_of, payload, rounds, start,
};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

roles!(produce, consume, answer);

/// Small, so that producers wait for room and bytes.
fn options(random: &mut Random) -> QueueOptions {
    QueueOptions {
        capacity: 20,
        max_bytes: 40 * 224,
        max_attempts: 5,
        wait: if random.below(2) == 0 { Wait::Block } else { Wait::Adaptive },
        ..Default::default()
    }
}

fn history(parent: &Parent) -> History {
    let arguments = parent.arguments();
    History::create(Path::new(&arguments[0]), &arguments[1])
}

/// `directory file sender`: puts messages of all sizes and priorities until it is killed.
fn produce(parent: &mut Parent) {
    let (domain, mut random, mut history) = (litmus::open(), Random::new(), history(parent));
    let mut producer = domain.queue_producer("q", &options(&mut random)).unwrap();
    let sender = parent.number(2) << 32;
    parent.say("ready");
    for number in 1.. {
        let number = sender | number;
        let size = [8, 100, 129, 700, 3000][random.below(5) as usize];
        let put = Put { priority: random.below(3) as u8, ..Put::default() };
        history.note("put", number, u64::from(put.priority));
        let limit = if random.below(4) == 0 { Some(Duration::from_millis(1)) } else { PATIENCE };
        match producer.put_with(&Payload::raw(&payload(number, size)), &put, limit) {
            Ok(_) => history.note("accepted", number, 0),
            Err(e) => {
                assert_eq!((e.kind(), limit != PATIENCE), (ErrorKind::Timeout, true), "{e}");
                history.note("refused", number, 0);
            }
        }
        random.pause(100);
    }
}

/// `directory file`: consumes, and settles in every way, until it is killed.
fn consume(parent: &mut Parent) {
    let (domain, mut random, mut history) = (litmus::open(), Random::new(), history(parent));
    let mut consumer = domain.queue_consumer("q", &options(&mut random)).unwrap();
    parent.say("ready");
    loop {
        let lease = (random.below(4) == 0).then(|| Duration::from_millis(1 + random.below(3)));
        let delivery = consumer.get_with(&Get { lease, ..Get::default() }, None).unwrap();
        let (number, token) = (number_of(delivery.data()), delivery.token());
        history.note("got", number, token);
        random.pause(if lease.is_some() { 4000 } else { 100 });
        match random.below(12) {
            0 => drop(delivery),
            1 => drop(delivery.nack(Duration::from_micros(random.below(2000)))),
            2 => drop(delivery.reject("no good")),
            _ => {
                history.note("settling", number, token);
                let told = match delivery.ack() {
                    Ok(()) => "acked",
                    Err(e) => {
                        assert_eq!((e.kind(), lease.is_some()), (ErrorKind::LeaseLost, true), "{e}");
                        "lost"
                    }
                };
                history.note(told, number, token);
            }
        }
    }
}

/// Takes one message after the other and is done with it, as one that mostly sleeps.
fn answer(parent: &mut Parent) {
    let domain = litmus::open();
    let options = QueueOptions { wait: Wait::Block, ..Default::default() };
    let mut consumer = domain.queue_consumer("q", &options).unwrap();
    parent.say("ready");
    loop {
        consumer.get(None).unwrap().ack().unwrap();
    }
}

/// The processes that die and are replaced.
struct Players<'a> {
    place: &'a Place,
    histories: &'a Path,
    processes: Vec<Process>,
    started: u64,
}

/// So many of them put, the others consume.
const PRODUCERS: usize = 2;

impl Players<'_> {
    fn play(&mut self, number: usize) -> Process {
        self.started += 1;
        let role = if number < PRODUCERS { "produce" } else { "consume" };
        let directory = self.histories.display();
        let arguments = format!("{directory} {role}-{} {}", self.started, self.started);
        let mut process = start(role, self.place.path(), &arguments);
        assert_eq!(process.hear(), "ready");
        process
    }

    fn check(&mut self) {
        for (number, process) in self.processes.iter_mut().enumerate() {
            assert_eq!(process.ended(), None, "number {number} has ended, though nobody killed it");
        }
    }
}

/// Puts a message, which somebody acknowledges soon. Dead letters take room, until `redrive` is asked.
fn probe(
    producer: &mut QueueProducer,
    history: &mut History,
    number: u64,
    priority: u8,
    mut redrive: impl FnMut(),
) {
    let put = Put { result: true, priority, ..Put::default() };
    history.note("put", number, u64::from(priority));
    let begun = Instant::now();
    let receipt = loop {
        redrive();
        match producer.put_with(&Payload::raw(&payload(number, 200)), &put, Some(SOON / 10)) {
            Ok(receipt) => break receipt,
            Err(e) => assert!(begun.elapsed() < PATIENCE.unwrap(), "{e}: {:?}", producer.stats()),
        }
    };
    history.note("accepted", number, 0);
    let started = Instant::now();
    match producer.result(&mut receipt.ticket().unwrap(), PATIENCE) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), ErrorKind::Rejected, "{e}"),
    }
    assert!(started.elapsed() < 2 * SOON, "it was not served for {:?}", started.elapsed());
}

/// Takes out what is left: messages, and dead letters.
fn drain(producer: &QueueProducer, consumer: &mut QueueConsumer) -> [Vec<u64>; 2] {
    let mut ready = Vec::new();
    loop {
        let stats = producer.stats();
        if stats.ready + stats.delayed + stats.leased == 0 {
            break;
        }
        let delivery = consumer.get(Some(SOON)).unwrap_or_else(|e| panic!("{e}: {:?}", producer.stats()));
        ready.push(number_of(delivery.data()));
        delivery.ack().unwrap();
    }
    let dead = consumer.dead_letters(1000).unwrap().iter().map(|letter| number_of(letter.data())).collect();
    consumer.purge_dead_letters().unwrap();
    [ready, dead]
}

/// Whoever dies or stops, no message is lost, and none is there twice.
fn all_killed(time: Duration) {
    let (place, histories) = (Place::new(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let domain = place.open();
    let mut random = Random::new();
    let mut producer = domain.queue_producer("q", &options(&mut random)).unwrap();
    let mut history = History::create(histories.path(), "probes");
    let mut players =
        Players { place: &place, histories: histories.path(), processes: Vec::new(), started: 0 };
    for number in 0..PRODUCERS + 3 {
        let process = players.play(number);
        players.processes.push(process);
    }
    let (mut killed, mut redriven, mut stops) = ([0; 2], 0, 0);
    rounds(time, |round| {
        random.pause(3000);
        let victim = random.below(players.processes.len() as u64) as usize;
        if random.below(3) == 0 {
            players.processes[victim].signal(Signal::SIGSTOP);
            random.pause(20_000);
            players.processes[victim].signal(Signal::SIGCONT);
            stops += 1;
        } else {
            players.processes[victim].kill();
            killed[usize::from(victim >= PRODUCERS)] += 1;
            players.processes[victim] = players.play(victim);
        }
        let mut consumer = domain.queue_consumer("q", &options(&mut random)).unwrap();
        let priority = random.below(3) as u8;
        probe(&mut producer, &mut history, round + 1, priority, || {
            redriven += consumer.redrive(1000).unwrap();
        });
        drop(consumer);
        players.check();
    });
    players.processes.iter_mut().for_each(Process::kill);
    let consumers = players.processes.len() - PRODUCERS;
    drop(players);
    let mut consumer = domain.queue_consumer("q", &options(&mut random)).unwrap();
    let [ready, dead] = drain(&producer, &mut consumer);
    let told = Told::read(histories.path());
    println!("{:?}, {redriven} redriven, {} and {} left", told.counts(), ready.len(), dead.len());
    told.check(&ready, &dead, killed[1] + consumers).unwrap_or_else(|wrong| panic!("{wrong}"));
    for (what, count) in [("producers", killed[0]), ("consumers", killed[1])] {
        often(format!("kills of a queue's {what}"), count as u64, time, KILLS / 2.0);
    }
    often("stops of them", stops, time, KILLS / 2.0);
    let stats = producer.stats();
    assert_eq!((stats.done, stats.dead, stats.bytes), (0, 0, 0), "something is left: {stats:?}");
    for number in 0..20 {
        producer.try_put(&Payload::raw(&payload(number, 128 + 400)), &Put::default()).expect("all is free");
    }
    assert_eq!(drain(&producer, &mut consumer), [(0..20).collect(), vec![]]);
}

#[test]
fn no_message_is_lost_and_none_is_there_twice() {
    all_killed(Duration::from_secs(6));
}

/// Three sleep; one of them is stopped or killed just when there is something for one of them: it gets to somebody.
fn sleepers(time: Duration, signal: Signal) {
    let place = Place::new();
    let domain = place.open();
    let mut random = Random::new();
    let options = QueueOptions { wait: Wait::Block, ..Default::default() };
    let mut producer = domain.queue_producer("q", &options).unwrap();
    let playing = || {
        let mut process = start("answer", place.path(), "");
        assert_eq!(process.hear(), "ready");
        process
    };
    let mut players: Vec<Process> = (0..3).map(|_| playing()).collect();
    let mut slowest = Duration::ZERO;
    let count = rounds(time, |round| {
        random.pause(500);
        let victim = random.below(3) as usize;
        let delay = Duration::from_micros(random.below(80));
        let put = Put { result: true, ..Put::default() };
        let receipt = producer.put_with(&Payload::raw(&payload(round, 10)), &put, PATIENCE).unwrap();
        litmus::spin(delay);
        players[victim].signal(signal);
        let started = Instant::now();
        let mut ticket = receipt.ticket().unwrap();
        if signal == Signal::SIGSTOP {
            // Unless the stopped one has it.
            let told = producer.result(&mut ticket, Some(2 * SOON));
            assert!(told.is_ok() || producer.stats().leased == 1, "nobody got it: {:?}", producer.stats());
            players[victim].signal(Signal::SIGCONT);
            if told.is_err() {
                producer.result(&mut ticket, Some(SOON)).unwrap();
            }
        } else {
            producer.result(&mut ticket, Some(SOON)).expect("one who lives gets it");
            players[victim].kill();
            players[victim] = playing();
        }
        slowest = slowest.max(started.elapsed());
    });
    println!("the slowest took {slowest:?}");
    let a_second = if signal == Signal::SIGKILL { KILLS } else { STOPS };
    often(format!("{signal} of one that was rung for"), count, time, a_second);
}

#[test]
fn one_that_was_rung_for_and_killed_holds_nobody_up() {
    sleepers(Duration::from_millis(1500), Signal::SIGKILL);
}

#[test]
fn one_that_was_rung_for_and_stopped_holds_nobody_up() {
    sleepers(Duration::from_millis(2500), Signal::SIGSTOP);
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn queues_for_long() {
    // What was told is kept until it is checked: this one does not stay flat.
    all_killed(long(40));
    stays_flat(long(40), |time| sleepers(time, Signal::SIGKILL));
    stays_flat(long(40), |time| sleepers(time, Signal::SIGSTOP));
}
