//! Rings: one producer, one consumer, in place, through either one's death.

mod common;

use axonic::*;
use common::Place;
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn messages_pass_in_order_and_wait_for_their_consumer() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    for size in [0usize, 1, 47, 64, 5000, 100_000] {
        producer.push(&vec![size as u8; size], SECOND).unwrap();
    }
    let place_of = producer.reserve(100, SECOND).unwrap();
    place_of.fill(9);
    producer.commit(50).unwrap();
    for nothing_reserved in [0, 1] {
        assert_eq!(producer.commit(nothing_reserved).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    for size in [0usize, 1, 47, 64, 5000, 100_000] {
        assert_eq!(consumer.pop(SECOND).unwrap(), vec![size as u8; size]);
    }
    assert_eq!(consumer.pop(SECOND).unwrap(), [9; 50]);
    assert!(consumer.try_pop().unwrap().is_none());
    assert_eq!(consumer.pop(Some(Duration::from_millis(2))).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(domain.ring_producer("r", &RingOptions::default()).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(domain.ring_consumer("r", &RingOptions::default()).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(domain.unlink(Noun::Ring, "r").unwrap_err().kind(), ErrorKind::Busy);
    drop(producer);
    assert_eq!(consumer.try_pop().unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(consumer.pop(SECOND).unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn a_successor_continues_where_the_last_one_stopped() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    producer.push(b"one", None).unwrap();
    producer.push(b"two", None).unwrap();
    drop(producer);
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    assert_eq!(consumer.pop(SECOND).unwrap(), b"one");
    drop(consumer); // "one" was not released: it comes again
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    producer.push(b"three", None).unwrap();
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    for word in [b"one".as_slice(), b"two", b"three"] {
        assert_eq!(consumer.pop(SECOND).unwrap(), word);
    }
    consumer.release().unwrap();
    drop(producer);
    drop(consumer);
    assert_eq!(domain.unlink(Noun::Ring, "r").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_full_ring_pushes_back() {
    let place = Place::new();
    let domain = place.open();
    let options = RingOptions { capacity: 10_000, ..Default::default() };
    let mut producer = domain.ring_producer("r", &options).unwrap();
    assert_eq!(producer.try_push(&vec![0; 1 << 20]).unwrap_err().kind(), ErrorKind::TooLarge);
    let mut sent = 0;
    while producer.try_push(&[1; 5000]).is_ok() {
        sent += 1;
    }
    assert!(sent >= 10);
    assert_eq!(
        producer.push(&[1; 5000], Some(Duration::from_millis(2))).unwrap_err().kind(),
        ErrorKind::Timeout
    );
    let mut consumer = domain.ring_consumer("r", &options).unwrap();
    let reader = std::thread::spawn(move || {
        for _ in 0..sent + 1000 {
            assert_eq!(consumer.pop(Some(Duration::from_secs(10))).unwrap(), [1; 5000]);
        }
        consumer.release().unwrap();
    });
    for _ in 0..1000 {
        producer.push(&[1; 5000], Some(Duration::from_secs(10))).unwrap();
    }
    reader.join().unwrap();
    assert_eq!(producer.stats().pending_bytes, 0);
}

#[test]
fn a_sleeping_consumer_learns_that_the_producer_ended() {
    let place = Place::new();
    let domain = place.open();
    let producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    let mut consumer =
        domain.ring_consumer("r", &RingOptions { wait: Wait::Block, ..Default::default() }).unwrap();
    let waiting = std::thread::spawn(move || {
        consumer.pop(Some(Duration::from_secs(10))).map(<[u8]>::to_vec).unwrap_err().kind()
    });
    std::thread::sleep(Duration::from_millis(50));
    drop(producer);
    assert_eq!(waiting.join().unwrap(), ErrorKind::Disconnected);
}

#[test]
fn the_descriptor_is_readable_until_an_attempt_is_empty() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    let fd = consumer.fd().unwrap();
    assert!(consumer.try_pop().unwrap().is_none());
    assert!(!common::readable(fd));
    for _ in 0..3 {
        producer.push(b"x", None).unwrap();
        assert!(common::readable(fd));
        assert!(consumer.try_pop().unwrap().is_some());
        assert!(common::readable(fd));
        assert!(consumer.try_pop().unwrap().is_none());
        assert!(!common::readable(fd));
    }
}

#[test]
fn a_push_takes_the_place_that_was_reserved() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    producer.reserve(10, SECOND).unwrap().fill(1);
    assert_eq!(producer.commit(11).unwrap_err().kind(), ErrorKind::InvalidArgument);
    producer.push(b"pushed", SECOND).unwrap();
    assert_eq!(producer.commit(10).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(consumer.pop(SECOND).unwrap(), b"pushed");
    assert!(consumer.try_pop().unwrap().is_none());
}

#[test]
fn a_wait_that_times_out_leaves_the_descriptors_listening() {
    let place = Place::new();
    let domain = place.open();
    let options = RingOptions { capacity: 10_000, ..Default::default() };
    let mut producer = domain.ring_producer("r", &options).unwrap();
    let mut consumer = domain.ring_consumer("r", &options).unwrap();
    let (room, messages) = (producer.fd().unwrap(), consumer.fd().unwrap());
    for patience in [Duration::ZERO, Duration::from_millis(2)] {
        assert_eq!(consumer.pop(Some(patience)).unwrap_err().kind(), ErrorKind::Timeout);
        assert!(!common::readable(messages));
        while producer.push(&[1; 5000], Some(patience)).is_ok() {}
        assert!(common::readable(messages) && !common::readable(room));
        while consumer.try_pop().unwrap().is_some() {}
        assert!(common::readable(room));
    }
}
