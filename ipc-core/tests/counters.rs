//! Every counter, as its owner tells it and as it is seen from outside.

mod common;

use axonic::*;
use common::Place;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(10));

fn seen(place: &Place) -> Snapshot {
    snapshot(&place.options()).unwrap()
}

/// A subscriber that is armed: whoever publishes next has to ring it.
fn asleep(domain: &Domain) -> Subscriber {
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    subscriber.fd().unwrap();
    assert!(subscriber.try_receive().unwrap().is_none());
    subscriber
}

#[test]
fn wakes_elided_counts_messages_however_many_subscribers_there_are() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let mut subscribers = [asleep(&domain), asleep(&domain)];
    publisher.publish(b"rings both").unwrap();
    publisher.publish(b"rings nobody").unwrap();
    let stats = publisher.stats();
    assert_eq!((stats.published, stats.wakes_sent, stats.wakes_elided), (2, 2, 1));

    let batch = [Payload::raw(b"a"), Payload::raw(b"b"), Payload::raw(b"c")];
    for subscriber in &mut subscribers {
        while subscriber.try_receive().unwrap().is_some() {}
    }
    publisher.publish_many(&batch, None).unwrap();
    let stats = publisher.stats();
    assert_eq!((stats.published, stats.wakes_sent, stats.wakes_elided), (5, 4, 3));

    let seen = seen(&place);
    let (outside, topic) = (&seen.publishers[0], &seen.topics[0]);
    assert_eq!((outside.published, outside.wakes_sent, outside.wakes_elided), (5, 4, 3));
    assert_eq!((topic.published, topic.wakes_sent, topic.wakes_elided), (5, 4, 3));
    assert_eq!((topic.topic.as_str(), topic.publishers, topic.subscribers, topic.rings), ("t", 1, 2, 1));
    assert_eq!(seen.participant_slots, 1024);
    assert!(seen.filesystem_bytes > seen.filesystem_free_bytes && seen.filesystem_free_bytes > 0);
}

#[test]
fn orphans_and_remnants_are_counted_until_they_are_read() {
    const FINISHED: usize = 70;
    // More than these keep their messages nowhere: the oldest leave remnants.
    const KEPT: usize = 64;
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { capacity: 64 << 10, ..PublisherOptions::default() };
    for _ in 0..FINISHED {
        domain.publisher("t", &options).unwrap().publish(b"x").unwrap();
    }
    let mut publisher = domain.publisher("t", &options).unwrap();
    publisher.publish(b"last").unwrap();
    let stats = publisher.stats();
    assert_eq!((stats.orphans, stats.remnants), (KEPT - 1, FINISHED + 1 - KEPT));
    let outside = seen(&place);
    let topic = &outside.topics[0];
    assert_eq!((topic.orphans, topic.remnants, topic.rings), (stats.orphans, stats.remnants, FINISHED + 1));
    assert_eq!((topic.publishers, topic.published), (1, FINISHED as u64 + 1));
    assert_eq!(outside.publishers.iter().filter(|p| p.remnant).count(), stats.remnants);
    assert!(outside.publishers.iter().all(|p| p.orphan || !p.remnant));

    subscriber.try_receive().unwrap().unwrap();
    // One was read just now; its ring goes with the next look.
    assert_eq!(subscriber.stats().orphans, KEPT - 1);
    assert_eq!(subscriber.missed(), (FINISHED + 1 - KEPT) as u64);
    while subscriber.try_receive().unwrap().is_some() {}
    assert_eq!((subscriber.stats().orphans, subscriber.stats().rings), (0, 1));
    let stats = publisher.stats();
    assert_eq!((stats.orphans, stats.remnants), (0, 0));
    assert_eq!((seen(&place).topics[0].rings, seen(&place).subscribers[0].orphans), (1, 0));
}

#[test]
fn pinned_slots_are_counted_on_both_sides() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    for _ in 0..3 {
        publisher.publish(&[7; 100_000]).unwrap();
    }
    let held = [(); 2].map(|()| subscriber.borrow(SECOND).unwrap());
    assert_eq!((publisher.stats().pinned, subscriber.stats().pinned), (2, 2));
    let outside = seen(&place);
    let (from, to) = (&outside.publishers[0], &outside.subscribers[0]);
    assert_eq!((from.pinned, to.pinned, outside.topics[0].pinned), (2, 2, 2));
    assert!((200_000..=from.slab_bytes).contains(&from.pinned_bytes), "{}", from.pinned_bytes);
    assert_eq!(to.pins[0].bytes, from.pinned_bytes);
    assert_eq!((from.max_bytes, to.max_borrowed), (64 << 20, 128));
    // Who pins the same slots as well takes no more memory.
    let options = SubscriberOptions { start: Start::Oldest, ..SubscriberOptions::default() };
    let mut second = domain.subscriber("t", &options).unwrap();
    let both = [(); 3].map(|()| second.borrow(SECOND).unwrap());
    publisher.wait_for_subscribers(2, SECOND).unwrap();
    let bytes = seen(&place).publishers[0].pinned_bytes;
    assert_eq!((publisher.stats().pinned, seen(&place).publishers[0].pinned), (3, 3));
    assert_eq!(bytes * 2, from.pinned_bytes * 3);
    drop((held, both));
    assert_eq!(publisher.stats().pinned, 0);
}

#[test]
fn who_is_blocked_says_since_when() {
    let place = Place::new();
    let domain = place.open();
    for wait in [Wait::Block, Wait::Spin] {
        let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let (overflow, capacity) = (Overflow::Block, 64 << 10);
        let options = PublisherOptions { overflow, capacity, wait, ..PublisherOptions::default() };
        let mut publisher = domain.publisher("t", &options).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                (0..100).for_each(|_| publisher.publish(&[0; 1000]).unwrap());
                publisher
            });
            let since = until(|| seen(&place).publishers[0].blocked_since_unix_ms);
            let outside = &seen(&place).publishers[0];
            assert!(
                outside.waiting && outside.blocked == 1 && is_about(outside.blocked_since_unix_ms, since)
            );
            (0..100).for_each(|_| assert_eq!(subscriber.receive(SECOND).unwrap().data().len(), 1000));
            let publisher = writer.join().unwrap();
            assert!(publisher.stats().blocked >= 1);
            assert_eq!(seen(&place).publishers[0].blocked_since_unix_ms, 0, "{wait:?}");
        });
    }
}

/// Python waits in slices, between which it looks after signals.
#[test]
fn a_wait_in_slices_counts_once() {
    let place = Place::new();
    let domain = place.open();
    let _subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    while publisher.try_send(&Payload::raw(&[0; 1000])).is_ok() {}
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    while producer.try_push(&[0; 1000]).is_ok() {}
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            for _ in 0..10 {
                publisher.send(&Payload::raw(&[0; 1000]), Some(Duration::from_millis(20))).unwrap_err();
            }
            for _ in 0..10 {
                producer.push(&[0; 1000], Some(Duration::from_millis(20))).unwrap_err();
            }
        });
        let since = until(|| seen(&place).publishers[0].blocked_since_unix_ms);
        std::thread::sleep(Duration::from_millis(60));
        assert!(is_about(until(|| seen(&place).publishers[0].blocked_since_unix_ms), since));
        waiting.join().unwrap();
    });
    assert_eq!((publisher.stats().blocked, producer.stats().blocked), (1, 1));
    // Another wait, later.
    std::thread::sleep(Duration::from_millis(100));
    publisher.send(&Payload::raw(&[0; 1000]), Some(Duration::from_millis(5))).unwrap_err();
    assert_eq!(publisher.stats().blocked, 2);
    drop(producer);
    domain.unlink(Noun::Ring, "r").unwrap();
}

/// Whose descriptor is watched is armed while it waits for subscribers too.
#[test]
fn who_got_room_waits_no_more() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    publisher.fd().unwrap();
    while publisher.try_send(&Payload::raw(&[0; 1000])).is_ok() {}
    assert!(seen(&place).publishers[0].waiting);
    while subscriber.try_receive().unwrap().is_some() {}
    publisher.try_send(&Payload::raw(&[0; 1000])).unwrap();
    assert!(!seen(&place).publishers[0].waiting);
}

#[test]
fn what_was_missed_at_the_end_is_seen_from_outside_too() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { max_bytes: 100_000, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    publisher.publish(&[1; 100_000]).unwrap();
    // A loan takes the only slot, whatever becomes of it.
    drop(publisher.loan(100_000, SECOND).unwrap());
    drop(publisher);
    assert!(subscriber.try_receive().unwrap().is_none());
    assert_eq!((subscriber.missed(), seen(&place).subscribers[0].missed), (1, 1));
}

#[test]
fn a_closed_subscriber_whose_samples_are_held_counts_no_more() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    publisher.publish(&[1; 10_000]).unwrap();
    let held = subscriber.borrow(SECOND).unwrap();
    assert!(!seen(&place).subscribers[0].closed);
    drop(subscriber);
    let mut later = domain.publisher("t", &PublisherOptions::default()).unwrap();
    later.publish(b"for nobody").unwrap();
    let outside = seen(&place);
    assert_eq!((later.subscribers(), outside.topics[0].subscribers), (0, 0));
    let closed = &outside.subscribers[0];
    assert!(closed.closed && closed.lag.is_empty() && closed.pinned == 1, "{closed:?}");
    drop(held);
    assert!(seen(&place).subscribers.is_empty());
}

#[test]
fn rings_count_wakes_and_what_is_pending() {
    let place = Place::new();
    let domain = place.open();
    let options = RingOptions { capacity: 10_000, ..RingOptions::default() };
    let mut producer = domain.ring_producer("r", &options).unwrap();
    let mut consumer = domain.ring_consumer("r", &options).unwrap();
    assert_eq!((producer.stats().wakes_sent, producer.stats().wakes_elided), (0, 0));
    consumer.fd().unwrap();
    assert!(consumer.try_pop().unwrap().is_none());
    for _ in 0..3 {
        producer.push(b"x", SECOND).unwrap();
    }
    let counts =
        |stats: RingStats| (stats.messages, stats.wakes_sent, stats.wakes_elided, stats.pending_messages);
    assert_eq!(counts(producer.stats()), (3, 1, 2, 3));
    assert_eq!(counts(consumer.stats()), (3, 1, 2, 3));
    consumer.pop(SECOND).unwrap();
    consumer.release().unwrap();
    assert_eq!(counts(consumer.stats()), (3, 1, 2, 2));
    let ring = &seen(&place).rings[0];
    assert_eq!((ring.messages, ring.wakes_sent, ring.wakes_elided, ring.pending_messages), (3, 1, 2, 2));

    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            (0..100).for_each(|_| producer.push(&[0; 1000], SECOND).unwrap());
            producer
        });
        assert_ne!(until(|| seen(&place).rings[0].blocked_since_unix_ms), 0);
        (0..102).for_each(|_| assert!(!consumer.pop(SECOND).unwrap().is_empty()));
        consumer.release().unwrap();
        drop(writer.join().unwrap());
        let ring = &seen(&place).rings[0];
        assert!(ring.blocked >= 1 && ring.blocked_since_unix_ms == 0 && ring.pending_messages == 0);
    });
}

/// Since when is told by the clock of whoever looks, to within some milliseconds.
fn is_about(time: u64, other: u64) -> bool {
    time.abs_diff(other) < 40
}

/// Waits until a number is not zero.
fn until(look: impl Fn() -> u64) -> u64 {
    let started = Instant::now();
    loop {
        match look() {
            0 => assert!(started.elapsed() < Duration::from_secs(20), "it never came"),
            found => return found,
        }
        std::thread::yield_now();
    }
}
