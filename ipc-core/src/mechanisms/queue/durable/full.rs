//! The disk is full while a queue writes to it.

use super::power::{domain, use_disk};
use crate::domain::{Domain, Noun};
use crate::error::{Error, ErrorKind};
use crate::log::{self, Level};
use crate::mechanisms::journal::simulator::{Image, Plan, Random, Simulated};
use crate::mechanisms::queue::{Fsync, Get, Put, QueueConsumer, QueueOptions, QueueProducer};
use crate::sys::atomic::Ordering;
use crate::value::Payload;
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

fn options() -> QueueOptions {
    QueueOptions { capacity: 256, max_attempts: 0, durable: Some(Fsync::Never), ..Default::default() }
}

fn pair(domain: &Domain, name: &str, world: &Simulated) -> (QueueProducer, QueueConsumer) {
    use_disk(world);
    let producer = domain.queue_producer(name, &options()).unwrap();
    (producer, domain.queue_consumer(name, &options()).unwrap())
}

/// Leaves the disk no room, not even in the segment there is; what was put is not on it. The error that told.
fn fill_up(producer: &mut QueueProducer, world: &Simulated) -> Error {
    world.plan(Plan::Room(0));
    loop {
        if let Err(e) = producer.put(&[1; 100], SECOND) {
            return e;
        }
    }
}

/// What is there after a power cut now, whatever of the disk's sectors survives it.
fn after_a_cut(domain: &Domain, world: &Simulated) -> Vec<Vec<Vec<u8>>> {
    let images = world.after_cut(world.operations(), 64, &mut Random(1));
    let read = |image: &Image| {
        let (producer, mut consumer) = pair(domain, "after", &Simulated::new(image));
        let found = consumer.peek(1000).unwrap().iter().map(|peeked| peeked.data().to_vec()).collect();
        drop((producer, consumer));
        domain.unlink(Noun::Queue, "after").unwrap();
        found
    };
    images.iter().map(read).collect()
}

#[test]
fn what_could_not_even_be_named_is_on_the_disk_after_the_next_sync() {
    // Nor does it matter what a damaged word says that was named of it.
    for repaid in [0, 1 << 40] {
        owe_and_sync(repaid);
    }
}

fn owe_and_sync(repaid: u64) {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut consumer) = pair(&domain, "jobs", &world);
    producer.handle().store.journal().repaid.store(repaid, Ordering::Relaxed);
    producer.put(b"goes", SECOND).unwrap();
    producer.sync(SECOND).unwrap();
    world.plan(Plan::Room(0));
    // Many more changes than the log lane has room for.
    (0..1500).for_each(|_| consumer.get(SECOND).unwrap().nack(Duration::ZERO).unwrap());
    assert!(consumer.handle().owes());
    let put = producer.put(b"stays", SECOND).unwrap_err();
    assert_eq!(put.kind(), ErrorKind::NotDurable, "{put}");
    consumer.get(SECOND).unwrap().ack().unwrap();
    assert!(producer.sync(SECOND).is_err());
    world.plan(Plan::Nothing);
    producer.sync(SECOND).unwrap();
    assert!(!consumer.handle().owes());
    let found = after_a_cut(&domain, &world);
    assert!(found.iter().all(|texts| *texts == [b"stays"]), "{found:?}");
    // The slot of the other is free again.
    assert_eq!(consumer.stats().ready, 1);
    (0..255u8).for_each(|n| producer.put(&[n], SECOND).unwrap());
}

#[test]
fn a_full_disk_whose_journal_is_mostly_dead_heals_itself() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut consumer) = pair(&domain, "jobs", &world);
    producer.put(b"stays", SECOND).unwrap();
    producer.sync(SECOND).unwrap();
    let kept = consumer.get(SECOND).unwrap();
    let mut work = |most: usize| {
        for n in 0..500u32 {
            producer.put(&n.to_le_bytes().repeat(16), SECOND).unwrap();
            producer.sync(SECOND).unwrap();
            consumer.get(SECOND).unwrap().ack().unwrap();
            if world.used() >= most {
                return;
            }
        }
    };
    // Two segments of 4 KiB, and no room for a third.
    work(8 << 10);
    world.plan(Plan::Room(world.used()));
    work(usize::MAX);
    assert!(world.used() <= 8 << 10, "{}", world.used());
    kept.nack(Duration::ZERO).unwrap();
    producer.sync(SECOND).unwrap();
    let found = after_a_cut(&domain, &world);
    assert!(found.iter().all(|texts| *texts == [b"stays"]), "{found:?}");
}

#[test]
fn on_a_full_disk_room_is_made_as_often_as_it_takes() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut consumer) = pair(&domain, "jobs", &world);
    // A segment each, after a small one. The last is so large that the others are not worth a compaction when they are
    // done with.
    for bytes in [1200 << 10, 1200 << 10, 4 << 20] {
        producer.put(&vec![1; bytes], SECOND).unwrap();
        producer.sync(SECOND).unwrap();
    }
    (0..2).for_each(|_| consumer.get(SECOND).unwrap().ack().unwrap());
    producer.sync(SECOND).unwrap();
    world.plan(Plan::Room(world.used()));
    // More than one batch takes.
    (0..2).for_each(|_| producer.put(&vec![2; 1100 << 10], SECOND).unwrap());
    producer.sync(SECOND).unwrap();
    let lengths = |texts: &Vec<Vec<u8>>| texts.iter().map(Vec::len).collect::<Vec<_>>();
    let found = after_a_cut(&domain, &world);
    assert!(found.iter().all(|texts| lengths(texts) == [4 << 20, 1100 << 10, 1100 << 10]));
}

#[test]
fn what_was_accepted_is_told_apart_from_what_was_not_put() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, consumer) = pair(&domain, "jobs", &world);
    producer.put(b"first", SECOND).unwrap();
    let first = fill_up(&mut producer, &world);
    assert_eq!((first.kind(), first.accepted()), (ErrorKind::NotDurable, 1), "{first}");
    let before = consumer.stats().ready as usize;
    let many: Vec<_> = (0..3).map(|_| Payload::raw(b"more")).collect();
    for (round, durable) in [false, true].into_iter().enumerate() {
        let put = Put { durable: Some(durable), ..Put::default() };
        let refused = producer.put_many(&many, &put, SECOND).unwrap_err();
        assert_eq!((refused.kind(), refused.accepted()), (ErrorKind::NotDurable, 3), "{refused}");
        assert!(
            refused.message().contains("first 3 of 3") && refused.message().contains("'jobs'"),
            "{refused}"
        );
        assert_eq!(consumer.stats().ready as usize, before + 3 * (round + 1));
    }
    // No room is left for the last of these.
    let left = 256 - consumer.stats().ready as usize;
    let many = vec![Payload::raw(b"more"); left + 1];
    let soon = Some(Duration::from_millis(10));
    let refused = producer.put_many(&many, &Put::default(), soon).unwrap_err();
    assert_eq!((refused.kind(), refused.accepted()), (ErrorKind::NotDurable, left), "{refused}");
    assert_eq!(producer.put(b"x", soon).unwrap_err().accepted(), 0);
    world.plan(Plan::Nothing);
    producer.sync(SECOND).unwrap();
    assert_eq!(consumer.stats().ready, 256);
}

#[test]
fn a_duplicate_of_what_is_not_on_the_disk_is_not_either() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, consumer) = pair(&domain, "jobs", &world);
    producer.put(b"first", SECOND).unwrap();
    producer.sync(SECOND).unwrap();
    world.plan(Plan::Room(0));
    // More than is left of the journal's segment.
    let long = [1; 5000];
    let put = Put { durable: Some(true), dedup_id: Some("one".into()), ..Put::default() };
    for _ in 0..2 {
        let refused = producer.put_with(&Payload::raw(&long), &put, SECOND).unwrap_err();
        assert_eq!((refused.kind(), refused.accepted()), (ErrorKind::NotDurable, 1), "{refused}");
    }
    world.plan(Plan::Nothing);
    let again = producer.put_with(&Payload::raw(&long), &put, SECOND).unwrap();
    assert!(again.is_duplicate());
    assert_eq!(consumer.stats().ready, 2);
}

#[test]
fn on_a_full_disk_what_the_dead_had_goes_on() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut dead) = pair(&domain, "jobs", &world);
    (0..50u8).for_each(|n| producer.put(&[n], SECOND).unwrap());
    producer.sync(SECOND).unwrap();
    fill_up(&mut producer, &world);
    // It ends without a word: nothing of it is dropped.
    (0..50).for_each(|_| std::mem::forget(dead.get(SECOND).unwrap()));
    let (row, id) = (dead.handle().row, dead.handle().id);
    std::mem::forget(dead);
    producer.handle().recover_row(row, id);
    let mut next = domain.queue_consumer("jobs", &options()).unwrap();
    let taken: Vec<u8> = (0..50)
        .map(|_| {
            let delivery = next.get(SECOND).unwrap();
            let number = delivery.data()[0];
            delivery.ack().unwrap();
            number
        })
        .collect();
    assert!(taken.into_iter().eq(0..50));
}

#[test]
fn an_acknowledgement_that_is_not_on_the_disk_is_one_all_the_same() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut consumer) = pair(&domain, "jobs", &world);
    producer.put(b"plain", SECOND).unwrap();
    let put = Put { result: true, ..Put::default() };
    let mut ticket = producer.put_with(&Payload::raw(b"asked"), &put, SECOND).unwrap().ticket.unwrap();
    producer.sync(SECOND).unwrap();
    let get = Get { durable: Some(true), ..Get::default() };
    let (plain, asked) = (consumer.get_with(&get, SECOND).unwrap(), consumer.get_with(&get, SECOND).unwrap());
    fill_up(&mut producer, &world);
    for told in [plain.ack(), asked.ack_with(&Payload::raw(b"done"))] {
        let told = told.unwrap_err();
        assert_eq!((told.kind(), told.accepted()), (ErrorKind::NotDurable, 0), "{told}");
        assert!(told.message().contains("is acknowledged") && told.message().contains("'jobs'"), "{told}");
    }
    assert_eq!((consumer.stats().acked, consumer.stats().leased), (2, 0));
    assert_eq!(ticket.try_result().unwrap().unwrap().data(), b"done");
}

#[test]
fn what_is_purged_and_not_on_the_disk_is_purged_all_the_same() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    use_disk(&world);
    let options = QueueOptions { durable: Some(Fsync::Always), ..options() };
    let mut producer = domain.queue_producer("jobs", &options).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
    producer.put(b"bad", SECOND).unwrap();
    consumer.get(SECOND).unwrap().reject("no good").unwrap();
    let first = fill_up(&mut producer, &world);
    assert_eq!(first.kind(), ErrorKind::NotDurable, "{first}");
    for told in [consumer.purge(), consumer.purge_dead_letters()] {
        let told = told.unwrap_err();
        assert_eq!((told.kind(), told.accepted()), (ErrorKind::NotDurable, 0), "{told}");
        assert!(told.message().contains("taken away") && told.message().contains("'jobs'"), "{told}");
    }
    assert_eq!((consumer.stats().ready, consumer.stats().dead), (0, 0));
}

#[test]
fn whoever_only_acknowledges_is_told_once_that_the_disk_takes_nothing() {
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut consumer) = pair(&domain, "jobs", &world);
    log::listen(log::keep).unwrap();
    for _ in 0..2 {
        (0..100u8).for_each(|n| producer.put(&[n], SECOND).unwrap());
        producer.sync(SECOND).unwrap();
        fill_up(&mut producer, &world);
        log::tell(drop);
        (0..100).for_each(|_| consumer.get(SECOND).unwrap().ack().unwrap());
        let mut warned = Vec::new();
        log::tell(|record| warned.extend((record.level == Level::Warn).then_some(record.text)));
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains("'jobs'") && warned[0].contains("not in its journal"), "{warned:?}");
        world.plan(Plan::Nothing);
        producer.sync(SECOND).unwrap();
        consumer.purge().unwrap();
    }
}
