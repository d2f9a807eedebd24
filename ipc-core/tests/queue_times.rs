//! Queues and time: messages for later, and messages for which it is too late.

mod common;

use axonic::*;
use common::jobs::{get, options, pair, put, text};
use common::{Place, expect, readable, wait_readable};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const NOW: Duration = Duration::ZERO;

#[test]
fn messages_for_later_and_messages_that_come_too_late() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let began = Instant::now();
    put(&mut producer, "later", Put { delay: Duration::from_millis(60), ..Put::default() });
    put(&mut producer, "sooner", Put { delay: Duration::from_millis(30), ..Put::default() });
    put(&mut producer, "now", Put::default());
    assert_eq!((consumer.stats().ready, consumer.stats().delayed), (1, 2));
    for (expected, least) in [("now", 0), ("sooner", 30), ("later", 60)] {
        let delivery = get(&mut consumer);
        assert_eq!(text(&delivery), expected);
        assert!(began.elapsed() >= Duration::from_millis(least), "{expected} after {:?}", began.elapsed());
        delivery.ack().unwrap();
    }
    put(&mut producer, "stale", Put { ttl: Some(Duration::from_millis(10)), ..Put::default() });
    put(&mut producer, "fresh", Put { ttl: Some(Duration::from_secs(100)), ..Put::default() });
    std::thread::sleep(Duration::from_millis(15));
    let delivery = get(&mut consumer);
    assert_eq!(text(&delivery), "fresh");
    delivery.nack(Duration::from_millis(30)).unwrap();
    let began = Instant::now();
    let delivery = get(&mut consumer);
    assert!(began.elapsed() >= Duration::from_millis(25));
    assert_eq!((text(&delivery), delivery.attempt()), ("fresh", 2));
    delivery.ack().unwrap();
    let dead = consumer.dead_letters(9).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].data(), dead[0].reason(), dead[0].attempts()),
        (&b"stale"[..], Some(Reason::Expired), 0)
    );
    assert_eq!(consumer.purge_dead_letters().unwrap(), 1);
}

#[test]
fn what_is_due_has_the_place_in_line_in_which_it_was_put() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let later = |delay| Put { delay: Duration::from_millis(delay), ..Put::default() };
    for (text, delay) in [("a", 0), ("b", 20), ("c", 0), ("d", 10), ("e", 0), ("f", 100_000)] {
        put(&mut producer, text, later(delay));
    }
    assert_eq!((consumer.stats().ready, consumer.stats().delayed), (3, 3));
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!((consumer.stats().ready, consumer.stats().delayed), (5, 1));
    assert_eq!(snapshot(&place.options()).unwrap().queues[0].stats, consumer.stats());
    let peeked = consumer.peek(9).unwrap();
    let peeked: Vec<&[u8]> = peeked.iter().map(Peeked::data).collect();
    assert_eq!(peeked, [b"a", b"b", b"c", b"d", b"e"]);
    let taken: Vec<Delivery> = (0..4).map(|_| get(&mut consumer)).collect();
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    // What comes back has its place still.
    drop(taken);
    let again = consumer.get_many(9, &Get::default(), SECOND).unwrap();
    assert_eq!(again.iter().map(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    again.into_iter().for_each(|delivery| delivery.ack().unwrap());
    assert_eq!(consumer.purge().unwrap(), 1);
}

fn soon(ttl: u64) -> Put {
    Put { ttl: Some(Duration::from_millis(ttl)), ..Put::default() }
}

#[test]
fn a_message_is_a_dead_letter_when_its_time_is_over() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    put(&mut producer, "late", soon(20));
    put(&mut producer, "kept", Put::default());
    put(&mut producer, "later", Put { delay: Duration::from_secs(100), ..soon(20) });
    let held = get(&mut consumer);
    put(&mut producer, "also late", soon(20));
    std::thread::sleep(Duration::from_millis(30));
    let seen = |stats: QueueStats| (stats.ready, stats.delayed, stats.leased, stats.dead);
    assert_eq!(seen(consumer.stats()), (1, 0, 1, 2));
    let outside = snapshot(&place.options()).unwrap().queues[0].stats;
    assert_eq!(outside, consumer.stats());
    let texts = |peeked: Vec<Peeked>| -> Vec<String> {
        peeked.iter().map(|p| String::from_utf8_lossy(p.data()).into_owned()).collect()
    };
    assert_eq!(texts(consumer.peek(9).unwrap()), ["kept"]);
    // Given back, it is too late for it as well.
    drop(held);
    let dead = consumer.dead_letters(9).unwrap();
    assert!(dead.iter().all(|dead| dead.reason() == Some(Reason::Expired)));
    assert_eq!(texts(dead), ["late", "later", "also late"]);
    assert_eq!((seen(consumer.stats()), consumer.stats().buried), ((1, 0, 0, 3), 3));
    put(&mut producer, "and late", soon(1));
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(consumer.redrive(9).unwrap(), 4);
    let all = consumer.get_many(9, &Get::default(), SECOND).unwrap();
    assert_eq!(all.len(), 5);
    all.into_iter().for_each(|delivery| delivery.ack().unwrap());
    put(&mut producer, "late", soon(1));
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!((consumer.purge().unwrap(), consumer.purge_dead_letters().unwrap()), (0, 1));
}

#[test]
fn who_has_a_ticket_is_told_when_it_is_too_late() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    put(&mut producer, "before it", Put::default());
    let began = Instant::now();
    let mut late = |ttl| put(&mut producer, "late", Put { result: true, ..soon(ttl) }).ticket().unwrap();
    let (mut last, mut first, mut polled) = (late(60), late(20), late(500));
    for (ticket, ttl) in [(&mut first, 20), (&mut last, 60)] {
        expect(producer.result(ticket, SECOND), ErrorKind::Rejected, &["jobs", "expired"]);
        let waited = began.elapsed();
        assert!((ttl..ttl + 300).contains(&(waited.as_millis() as u64)), "{waited:?}");
    }
    // The same by the descriptor, which the put after the last look has to be known to, too.
    let fd = producer.fd().unwrap();
    while readable(fd) {
        let nothing = producer.result(&mut polled, Some(NOW));
        expect(nothing, ErrorKind::Timeout, &["jobs"]);
    }
    let mut sooner = put(&mut producer, "late", Put { result: true, ..soon(10) }).ticket().unwrap();
    for ticket in [&mut sooner, &mut polled] {
        // It stays readable until an attempt finds nothing.
        let told = (0..5).find_map(|_| {
            assert!(wait_readable(fd, Duration::from_secs(2)));
            producer.result(ticket, Some(NOW)).err().filter(|e| e.kind() != ErrorKind::Timeout)
        });
        expect(Err::<(), Error>(told.unwrap()), ErrorKind::Rejected, &["jobs", "expired"]);
    }
    let before = get(&mut consumer);
    assert_eq!(text(&before), "before it");
    before.ack().unwrap();
    assert_eq!(consumer.purge_dead_letters().unwrap(), 4);
}

#[test]
fn the_descriptor_tells_of_each_message_that_is_too_late() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 2, ..options() });
    let mut late = |ttl| put(&mut producer, "late", Put { result: true, ..soon(ttl) }).ticket().unwrap();
    let mut tickets = [late(50), late(200)];
    let (fd, began) = (producer.fd().unwrap(), Instant::now());
    for ticket in &mut tickets {
        while ticket.try_result().is_ok() {
            // It stays readable until an attempt finds nothing.
            let full = producer.try_put(&Payload::raw(b"more"), &Put::default());
            expect(full, ErrorKind::WouldBlock, &["jobs"]);
            assert!(wait_readable(fd, Duration::from_secs(2)));
        }
    }
    // It is readable once a second in any case.
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    assert_eq!(consumer.purge_dead_letters().unwrap(), 2);
}

#[test]
fn a_message_keeps_its_place_while_later_ones_expire_and_are_taken_away() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 4, ..options() });
    put(&mut producer, "first", Put::default());
    for _ in 0..5 {
        (0..3).for_each(|_| drop(put(&mut producer, "late", soon(1))));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(consumer.purge_dead_letters().unwrap(), 3);
    }
    let first = get(&mut consumer);
    assert_eq!(text(&first), "first");
    first.ack().unwrap();
}

/// Whatever slots they are in, and however long each waits.
#[test]
fn messages_for_later_keep_the_order_of_their_puts() {
    let place = Place::new();
    let domain = place.open();
    let options = QueueOptions { capacity: 64, ..QueueOptions::default() };
    let mut producer = domain.queue_producer("q", &options).unwrap();
    let mut consumer = domain.queue_consumer("q", &options).unwrap();
    for round in 0..20 {
        for n in 0..13u8 {
            // The later ones are due first, and one is not for later at all.
            let delay = Duration::from_millis(if n == 6 { 0 } else { u64::from(13 - n) });
            producer.put_with(&Payload::raw(&[n]), &Put { delay, ..Put::default() }, None).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        let peeked: Vec<u8> = consumer.peek(100).unwrap().iter().map(|message| message.data()[0]).collect();
        let mut taken = Vec::new();
        while let Some(delivery) = consumer.try_get().unwrap() {
            taken.push(delivery);
        }
        let order: Vec<u8> = taken.iter().map(|delivery| delivery.data()[0]).collect();
        let all: Vec<u8> = (0..13).collect();
        assert_eq!((&order, &peeked), (&all, &all), "round {round}");
        // Given back in any order, they have their places in line again.
        let back = |delivery: Delivery| delivery.nack(Duration::ZERO).unwrap();
        taken.drain(..).rev().for_each(back);
        for n in 0..13 {
            let delivery = consumer.try_get().unwrap().unwrap();
            assert_eq!(delivery.data(), [n], "round {round}, given back");
            delivery.ack().unwrap();
        }
    }
}
