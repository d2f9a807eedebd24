//! Queues where memory cannot be had: a put is refused and says what is used up, whatever is in the queue stays and goes on.

mod common;

use axonic::*;
use common::jobs::{pair, text};
use common::{Place, child, expect};
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const NOW: Duration = Duration::ZERO;
const QUOTA: u64 = 4 << 20;

fn limited(place: &Place) -> Domain {
    Domain::open_with(DomainOptions { quota: Some(QUOTA), ..place.options() }).unwrap()
}

/// What uses all up that is left of the quota, but for less than two pages.
struct Ballast(Domain, usize);

impl Ballast {
    fn of(domain: &Domain) -> Ballast {
        let mut ballast = Ballast(domain.clone(), 0);
        for size in [1 << 20, 64 << 10, 1] {
            let one = RegionOptions { size: Some(size), ..Default::default() };
            while domain.region(&ballast.1.to_string(), &one).is_ok() {
                ballast.1 += 1;
            }
        }
        ballast
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        (0..self.1).for_each(|number| self.0.unlink(Noun::Region, &number.to_string()).unwrap());
    }
}

/// Puts as many small messages as there is memory for. The error says what is used up.
fn fill(producer: &mut QueueProducer) -> u64 {
    let refused = loop {
        if let Err(e) = producer.put(b"x", SECOND) {
            break e;
        }
    };
    assert_eq!(refused.kind(), ErrorKind::NoSpace);
    assert!(refused.message().contains("over its quota") && refused.message().contains("larger quota"));
    producer.stats().ready
}

#[test]
fn a_death_holds_nobody_up_where_memory_is_used_up() {
    if let Some(role) = child::role() {
        let domain = Domain::open_with(common::options_in(&child::directory())).unwrap();
        let (mut producer, mut consumer) = pair(&domain, &QueueOptions::default());
        if role == "consumer" {
            std::mem::forget(consumer.get(SECOND).unwrap());
            let lease = Some(Duration::from_secs(100));
            std::mem::forget(consumer.get_with(&Get { lease, ..Get::default() }, SECOND).unwrap());
        } else {
            // Puts are refused, all else goes on in whoever comes.
            fill(&mut producer);
            assert_eq!(consumer.peek(2).unwrap()[0].attempts(), 2);
            consumer.get(SECOND).unwrap().ack().unwrap();
        }
        child::ready_until_told();
    }
    let name = "a_death_holds_nobody_up_where_memory_is_used_up";
    // By the backlog of the queue itself, and by others when there is next to nothing in it.
    for backlog in [true, false] {
        let place = Place::new();
        let domain = limited(&place);
        let (mut producer, mut consumer) = pair(&domain, &QueueOptions::default());
        if backlog {
            fill(&mut producer);
        } else {
            (0..4).for_each(|_| producer.put(b"x", SECOND).unwrap());
        }
        let _ballast = Ballast::of(&domain);
        child::Running::start(name, "consumer", place.path()).kill();
        // Whoever comes sets right what it left, and whoever is there.
        drop(domain.queue_consumer("jobs", &QueueOptions::default()).unwrap());
        let first = consumer.get(SECOND).unwrap();
        assert_eq!(first.attempt(), 2);
        drop(first);
        child::Running::start(name, "other", place.path()).kill();
        let stats = consumer.stats();
        assert_eq!((stats.acked, stats.leased, stats.ready), (1, 0, stats.put - 1));
        assert_eq!(consumer.purge().unwrap(), stats.ready);
        producer.put(b"y", SECOND).unwrap();
        let last = consumer.get(SECOND).unwrap();
        assert_eq!(last.data(), b"y");
        last.ack().unwrap();
    }
}

#[test]
fn what_is_in_a_queue_needs_no_more_memory() {
    let place = Place::new();
    let domain = limited(&place);
    let (mut producer, mut one) = pair(&domain, &QueueOptions::default());
    let mut other = domain.queue_consumer("jobs", &QueueOptions::default()).unwrap();
    for letter in ["a", "b", "c", "d", "e"] {
        producer.put(letter.as_bytes(), SECOND).unwrap();
    }
    let ballast = Ballast::of(&domain);
    let lease = |millis| Get { lease: Some(Duration::from_millis(millis)), ..Get::default() };
    let timed = one.get_with(&lease(20), SECOND).unwrap();
    let mut longer = one.get(SECOND).unwrap();
    longer.extend(Duration::from_secs(100)).unwrap();
    one.get(SECOND).unwrap().nack(Duration::from_millis(10)).unwrap();
    one.get(SECOND).unwrap().reject("no memory for these words").unwrap();
    one.get(SECOND).unwrap().nack(NOW).unwrap();
    let got: Vec<_> = (0..3).map(|_| other.get(SECOND).unwrap()).collect();
    let mut letters: Vec<_> = got.iter().map(text).collect();
    assert_eq!(letters[0], "e");
    letters.sort();
    assert_eq!(letters, ["a", "c", "e"], "its consumer has one of them still");
    drop(got);
    expect(timed.ack(), ErrorKind::LeaseLost, &["jobs"]);
    longer.ack().unwrap();
    let dead = other.dead_letters(9).unwrap();
    assert_eq!((dead.len(), dead[0].reason()), (1, Some(Reason::Rejected)));
    assert_eq!(other.redrive(9).unwrap(), 1);
    for letter in ["a", "c", "d", "e"] {
        let delivery = other.get(SECOND).unwrap();
        assert_eq!(text(&delivery), letter);
        delivery.ack().unwrap();
    }
    assert!(one.try_get().unwrap().is_none() && other.try_get().unwrap().is_none());
    let later = Put { delay: Duration::from_millis(1), ..Put::default() };
    let refused = producer.put_with(&Payload::raw(b"f"), &later, SECOND);
    expect(refused, ErrorKind::NoSpace, &["over its quota", "larger quota"]);
    drop(ballast);
    producer.put_with(&Payload::raw(b"f"), &later, SECOND).unwrap();
    let delivery = one.get(SECOND).unwrap();
    assert_eq!(text(&delivery), "f");
    delivery.nack(NOW).unwrap();
    other.get(SECOND).unwrap().ack().unwrap();
}

#[test]
fn a_small_queue_takes_little() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions::default());
    let file = place.path().join("test/queues/jobs");
    let taken = || std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&file).unwrap()) * 512;
    producer.put(b"x", SECOND).unwrap();
    consumer.get(SECOND).unwrap().ack().unwrap();
    assert!(taken() < 900 << 10, "{} bytes", taken());
}

#[test]
fn a_result_without_memory_gives_its_message_back() {
    let place = Place::new();
    let domain = limited(&place);
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions::default());
    let with = Put { result: true, ..Put::default() };
    let mut ticket = producer.put_with(&Payload::raw(b"x"), &with, SECOND).unwrap().ticket().unwrap();
    let _ballast = Ballast::of(&domain);
    let large = vec![7; 1 << 20];
    let refused = consumer.get(SECOND).unwrap().ack_with(&Payload::raw(&large));
    expect(refused, ErrorKind::NoSpace, &["jobs", "1048576", "given back", "over its quota", "larger quota"]);
    assert_eq!(consumer.stats().bytes, 0);
    let again = consumer.get(SECOND).unwrap();
    assert_eq!((again.data(), again.attempt()), (&b"x"[..], 2));
    // For small ones there is some since the put.
    again.ack_with(&Payload::raw(&large[..1000])).unwrap();
    assert_eq!(producer.result(&mut ticket, SECOND).unwrap().data(), &large[..1000]);
    assert_eq!(consumer.stats().bytes, 0);
}

#[test]
fn every_free_slot_is_used_before_a_put_is_refused() {
    let place = Place::new();
    let domain = limited(&place);
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions::default());
    let mut other = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
    // From now on it keeps slots for itself that it does not need.
    other.put(b"x", SECOND).unwrap();
    let _ballast = Ballast::of(&domain);
    assert_eq!(fill(&mut producer), 1024, "all that are allocated at first");
    consumer.get(SECOND).unwrap().ack().unwrap();
    other.put(b"x", SECOND).unwrap();
    expect(other.put(b"x", SECOND), ErrorKind::NoSpace, &["quota"]);
    assert_eq!(consumer.purge().unwrap(), 1024);
}
