//! The disk is full while a queue writes to it.

use super::power::{domain, use_disk};
use crate::domain::{Domain, Noun};
use crate::error::ErrorKind;
use crate::mechanisms::journal::simulator::{Image, Plan, Random, Simulated};
use crate::mechanisms::queue::{Fsync, QueueConsumer, QueueOptions, QueueProducer};
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
    let (_place, domain) = domain();
    let world = Simulated::new(&Image::new());
    let (mut producer, mut consumer) = pair(&domain, "jobs", &world);
    producer.put(b"goes", SECOND).unwrap();
    producer.sync(SECOND).unwrap();
    world.plan(Plan::Room(0));
    // Many more changes than the log lane has room for.
    let mut refused = 0;
    for _ in 0..1500 {
        let given_back = consumer.get(SECOND).unwrap().nack(Duration::ZERO);
        refused += given_back.map_or_else(|e| usize::from(e.kind() == ErrorKind::NoSpace), |()| 0);
    }
    assert!(refused > 100);
    let put = producer.put(b"stays", SECOND).unwrap_err();
    assert!(put.message().contains("accepted"), "{put}");
    consumer.get(SECOND).unwrap().ack().unwrap_err();
    assert!(producer.sync(SECOND).is_err());
    world.plan(Plan::Nothing);
    producer.sync(SECOND).unwrap();
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
