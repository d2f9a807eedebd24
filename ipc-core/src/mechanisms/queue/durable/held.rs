//! Somebody who does not come on has the journal's lock: stopped, or with a disk that hangs.

use super::PATIENCE;
use super::lock::Held;
use super::power::domain;
use crate::domain::Noun;
use crate::error::ErrorKind;
use crate::mechanisms::queue::{Fsync, Put, QueueOptions};
use crate::sys::atomic::Ordering;
use crate::sys::clock::monotonic_nanos;
use crate::value::Payload;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Option<Duration> = Some(Duration::from_millis(50));

#[test]
fn a_put_waits_for_the_disk_no_longer_than_its_timeout() {
    let (_place, domain) = domain();
    let options = QueueOptions { durable: Some(Fsync::Always), ..Default::default() };
    let mut producer = domain.queue_producer("jobs", &options).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
    let other = domain.queue_producer("jobs", &options).unwrap();
    let held = Held::take(other.handle()).unwrap();
    let begun = Instant::now();
    let late = producer.put(b"1", SHORT).unwrap_err();
    assert_eq!((late.kind(), late.accepted()), (ErrorKind::NotDurable, 1), "{late}");
    let all = [Payload::raw(b"2"), Payload::raw(b"3")];
    let late = producer.put_many(&all, &Put::default(), SHORT).unwrap_err();
    assert_eq!((late.kind(), late.accepted()), (ErrorKind::NotDurable, 2), "{late}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(consumer.stats().ready, 3);
    drop(held);
    producer.sync(Some(Duration::from_secs(5))).unwrap();
    consumer.get(SHORT).unwrap().ack().unwrap();
    drop((producer, consumer, other));
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn whoever_is_far_ahead_of_one_that_writes_waits_no_longer_than_told() {
    let (_place, domain) = domain();
    let options =
        QueueOptions { capacity: 64, max_attempts: 0, durable: Some(Fsync::Never), ..Default::default() };
    let mut producer = domain.queue_producer("jobs", &options).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
    let other = domain.queue_producer("jobs", &options).unwrap();
    producer.put(b"1", SHORT).unwrap();
    let held = Held::take(other.handle()).unwrap();
    // More changes than the log lane has room for.
    while producer.handle().has_log_room(producer.handle().written()) {
        consumer.get(SHORT).unwrap().nack(Duration::ZERO).unwrap();
    }
    let begun = Instant::now();
    let put = Put { durable: Some(true), ..Put::default() };
    let late = producer.put_with(&Payload::raw(b"2"), &put, SHORT).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotDurable, "{late}");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    drop(held);
    producer.sync(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(consumer.stats().ready, 2);
    drop((producer, consumer, other));
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn who_asks_a_writer_for_the_disk_shares_a_sync_with_all_others() {
    let (_place, domain) = domain();
    let options = QueueOptions { durable: Some(Fsync::Always), ..Default::default() };
    let writer = domain.queue_writer("jobs", &options).unwrap();
    let mut producer = domain.queue_producer("jobs", &options).unwrap();
    producer.leave_writing_to(&writer).unwrap();
    let other = domain.queue_producer("jobs", &options).unwrap();
    let turns = || other.handle().store.journal().turns.load(Ordering::Acquire);
    let (tell, told) = mpsc::channel();
    let ask = |n: u8| {
        let tell = tell.clone();
        writer.sync_then(move |done| tell.send(done.map(|()| n)).unwrap()).unwrap();
    };
    let held = Held::take(other.handle()).unwrap();
    for n in 0..200 {
        let put = Put { durable: Some(false), ..Put::default() };
        producer.try_put(&Payload::raw(&[n]), &put).unwrap();
        ask(n);
    }
    assert!(told.try_recv().is_err(), "nobody can have written");
    let before = turns();
    drop(held);
    for n in 0..200 {
        assert_eq!(told.recv_timeout(LONG).unwrap().unwrap(), n);
    }
    assert!(turns() - before <= 4, "{} turns for 200", turns() - before);

    let held = Held::take(other.handle()).unwrap();
    producer.try_put(&Payload::raw(b"last"), &Put { durable: Some(false), ..Put::default() }).unwrap();
    ask(200);
    let begun = Instant::now();
    drop(writer);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(told.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Closed);
    drop(held);
    drop((producer, other));
    // The thread, for which nobody waited any longer, has the queue open a moment yet.
    while domain.unlink(Noun::Queue, "jobs").is_err_and(|e| e.kind() == ErrorKind::Busy) {
        assert!(begun.elapsed() < LONG, "its thread does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_interval_that_is_over_while_somebody_else_writes_is_waited_for_and_not_forgotten() {
    let (_place, domain) = domain();
    let interval = Duration::from_millis(1);
    let options = QueueOptions { durable: Some(Fsync::Interval(interval)), ..Default::default() };
    let mut producer = domain.queue_producer("jobs", &options).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
    let other = domain.queue_producer("jobs", &options).unwrap();
    let held = Held::take(other.handle()).unwrap();
    producer.put(b"1", SHORT).unwrap();
    std::thread::sleep(2 * interval);
    let before = monotonic_nanos();
    let due = producer.handle().flush().unwrap().unwrap();
    assert!(due >= before + PATIENCE.as_nanos() as u64, "not at once again");
    let taken = consumer.get(SHORT).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| consumer.get(Some(Duration::from_secs(60))).unwrap());
        // It sleeps, and has looked once.
        std::thread::sleep(Duration::from_millis(50));
        drop(held);
        let journal = other.handle().store.journal();
        let begun = Instant::now();
        while journal.durable.load(Ordering::Relaxed) < producer.handle().last_named() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody syncs");
            std::thread::sleep(interval);
        }
        producer.put(b"2", SHORT).unwrap();
        waits.join().unwrap().ack().unwrap();
    });
    taken.ack().unwrap();
    drop((producer, consumer, other));
    domain.unlink(Noun::Queue, "jobs").unwrap();
}
