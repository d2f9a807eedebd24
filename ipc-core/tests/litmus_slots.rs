//! More processes than a domain has slots come, go and are killed: every slot passes from hand to hand many times, and
//! nobody is taken for the one before it.

mod common;
mod litmus;

use axonic::*;
use common::flat::Flat;
use common::{Place, often};
use litmus::{KILLS, PATIENCE, Parent, Process, Random, long, number_of, payload, start};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

roles!(come_and_go);

/// One for the test itself.
const SLOTS: u32 = 4;
const PROCESSES: usize = 6;
/// After which the epochs of a slot start over (docs/protocol.md).
const MAX_EPOCH: u32 = (1 << 20) - 1;

fn few() -> DomainOptions {
    DomainOptions { max_participants: Some(SLOTS), ..Default::default() }
}

/// Numbers that tell who published the message, as which of its own.
fn numbered(me: ParticipantId, count: u64) -> u64 {
    u64::from(me.slot) << 52 | u64::from(me.epoch) << 32 | count
}

/// Takes part again and again, whenever there is a slot, with a publisher and at times a subscriber; `seed`.
fn come_and_go(parent: &mut Parent) {
    let mut random = Random(parent.number(0));
    let crowded = |e: &Error| matches!(e.kind(), ErrorKind::LimitReached | ErrorKind::Busy);
    loop {
        let domain = match Domain::open_with(few()) {
            Err(e) if crowded(&e) => {
                random.pause(500);
                continue;
            }
            opened => opened.unwrap(),
        };
        let mut subscriber =
            (random.below(2) == 0).then(|| domain.subscriber("t", &SubscriberOptions::default()).unwrap());
        let block = PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() };
        let mut publisher = match domain.publisher("t", &block) {
            // Too many rings wait for the test to read them.
            Err(e) if crowded(&e) => continue,
            made => made.unwrap(),
        };
        for count in 0..random.below(30) {
            let number = numbered(domain.participant(), count);
            publisher
                .send(&Payload::raw(&payload(number, [20, 3000][count as usize % 2])), PATIENCE)
                .unwrap();
            while let Some(message) = subscriber.as_mut().and_then(|s| s.try_receive().unwrap()) {
                number_of(message.data());
            }
        }
        random.pause(300);
    }
}

/// The slots that are free go on from here.
fn set_epochs(domain: &Domain, epoch: u32) {
    let table = std::fs::File::options().write(true).open(domain.path().join("participants")).unwrap();
    for slot in (0..SLOTS).filter(|slot| *slot != domain.participant().slot) {
        table.write_all_at(&(u64::from(epoch) << 8).to_le_bytes(), 4096 + 256 * u64::from(slot)).unwrap();
    }
}

/// What the test hears of everybody: each participant's messages from its first on, and nobody's twice.
#[derive(Default)]
struct Heard {
    participants: u64,
    /// The number of the next message, of those that were heard of last.
    next: HashMap<u64, u64>,
    order: VecDeque<u64>,
    epochs: BTreeSet<u32>,
}

impl Heard {
    fn take(&mut self, message: &Message) {
        let number = number_of(message.data());
        let (id, count) = (number >> 32, number & 0xffff_ffff);
        let next = self.next.entry(id).or_insert_with(|| {
            self.participants += 1;
            self.order.push_back(id);
            0
        });
        assert_eq!((count, message.missed()), (*next, 0), "participant {id:x}");
        *next += 1;
        if self.order.len() > 4000 {
            self.order.pop_front().map(|oldest| self.next.remove(&oldest));
        }
        let epoch = id as u32 & MAX_EPOCH;
        if !(10..MAX_EPOCH - 10).contains(&epoch) {
            self.epochs.insert(epoch);
        }
    }
}

fn slots_pass_on(time: Duration) {
    let place = Place::new();
    let domain =
        Domain::open_with(DomainOptions { max_participants: Some(SLOTS), ..place.options() }).unwrap();
    set_epochs(&domain, MAX_EPOCH - 5);
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut random = Random::new();
    let begin = |random: &mut Random| start("come_and_go", place.path(), &random.next().to_string());
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| begin(&mut random)).collect();
    let (started, mut heard, mut killed) = (Instant::now(), Heard::default(), 0);
    let (mut flat, mut kill_at) = (Flat::over(time), started);
    while started.elapsed() < time {
        heard.take(&subscriber.receive(PATIENCE).expect("somebody has a slot"));
        if Instant::now() >= kill_at {
            let index = random.below(PROCESSES as u64) as usize;
            processes[index].kill();
            processes[index] = begin(&mut random);
            killed += 1;
            kill_at = Instant::now() + Duration::from_micros(random.below(20_000));
        }
        if flat.is_due() {
            // There are as many rings at a time as it has not read yet, but never more than 64 finished ones.
            flat.process("this process", std::process::id(), [16, 64, 1024]);
            flat.domain(domain.path(), 64, 8 << 10);
        }
    }
    processes.iter_mut().for_each(Process::kill);
    while let Some(message) = subscriber.try_receive().unwrap() {
        heard.take(&message);
    }
    println!("{} participants in {SLOTS} slots", heard.participants);
    often("kills of those who have a slot", killed, time, KILLS);
    assert!(heard.participants > 10 * u64::from(SLOTS));
    let (first, last) = (heard.epochs.first(), heard.epochs.last());
    assert!(first < Some(&10) && last > Some(&(MAX_EPOCH - 10)), "{:?}", heard.epochs);
    flat.check();
    drop((subscriber, domain));
    drop(place.open().subscriber("none", &SubscriberOptions::default()).unwrap());
}

#[test]
fn slots_pass_from_hand_to_hand() {
    slots_pass_on(Duration::from_millis(1500));
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn slots_pass_on_for_long() {
    slots_pass_on(long(32));
}
