//! The journal's writer finds memory that somebody has damaged.

use crate::domain::{Domain, DomainOptions};
use crate::error::ErrorKind;
use crate::log::{self, Level};
use crate::mechanisms::queue::shape::Shape;
use crate::mechanisms::queue::store::Slot;
use crate::mechanisms::queue::{Fsync, Put, QueueOptions, QueueProducer};
use crate::sys::atomic::Ordering;
use crate::value::{Content, Payload};
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// A place in memory, and one on the disk.
struct Here {
    place: TempDir,
    data: TempDir,
}

impl Here {
    fn new() -> Here {
        let place = tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap();
        Here { place, data: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Domain {
        Domain::open_with(DomainOptions {
            name: Some("test".into()),
            runtime_dir: Some(self.place.path().into()),
            data_dir: Some(self.data.path().into()),
            ..Default::default()
        })
        .unwrap()
    }

    /// What is in memory is gone.
    fn reboot(&self) {
        std::fs::remove_dir_all(self.place.path().join("test")).unwrap();
    }
}

/// The slot of the message of so many bytes.
fn slot(producer: &QueueProducer, bytes: usize) -> &Slot {
    let store = &producer.handle().store;
    (0..store.slots().grown())
        .map(|number| store.slot(number))
        .find(|slot| Shape(slot.shape.load(Ordering::Relaxed)).length() == bytes)
        .unwrap()
}

/// Lets the message of so many bytes look like one of more than a journal takes, which its first part repeats.
fn damage(producer: &QueueProducer, bytes: usize) {
    let (store, slot) = (&producer.handle().store, slot(producer, bytes));
    let first = slot.body.load(Ordering::Relaxed);
    store.parts().slot(first as u32 - 1).body.store(first, Ordering::Relaxed);
    slot.shape.store(Shape::new(70 << 20, 0, Content::Raw, 0, 0).0, Ordering::Relaxed);
}

#[test]
fn a_damaged_message_is_told_of_and_holds_up_no_other() {
    let here = Here::new();
    let options = QueueOptions { durable: Some(Fsync::Never), ..Default::default() };
    let durable = Put { durable: Some(true), ..Put::default() };
    {
        let domain = here.open();
        let mut producer = domain.queue_producer("jobs", &options).unwrap();
        for bytes in [64 << 20, 8 << 20] {
            producer.put(&vec![1; bytes], SECOND).unwrap();
        }
        damage(&producer, 8 << 20);
        let told = producer.put_with(&Payload::raw(b"one"), &durable, SECOND).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::NotDurable);
        assert!(["'jobs'", "cannot be read"].iter().all(|word| told.message().contains(word)), "{told}");
        producer.put_with(&Payload::raw(b"two"), &durable, SECOND).unwrap();
    }
    here.reboot();
    let mut consumer = here.open().queue_consumer("jobs", &options).unwrap();
    let lengths: Vec<usize> = consumer.peek(9).unwrap().iter().map(|peeked| peeked.data().len()).collect();
    assert_eq!(lengths, [64 << 20, 3, 3]);
}

#[test]
fn the_only_good_copy_of_a_message_outlives_every_compaction() {
    let here = Here::new();
    let options = QueueOptions { durable: Some(Fsync::Never), ..Default::default() };
    {
        let domain = here.open();
        let mut producer = domain.queue_producer("jobs", &options).unwrap();
        let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
        producer.put(&[7; 600], SECOND).unwrap();
        producer.sync(SECOND).unwrap();
        // Its parts are not to be found any more.
        slot(&producer, 600).body.store(0, Ordering::Relaxed);
        let before = Put { priority: 1, ..Put::default() };
        for _ in 0..300 {
            producer.put_with(&Payload::raw(&[1; 100]), &before, SECOND).unwrap();
            producer.sync(SECOND).unwrap();
            consumer.get(SECOND).unwrap().ack().unwrap();
        }
    }
    here.reboot();
    let mut consumer = here.open().queue_consumer("jobs", &options).unwrap();
    assert!(consumer.peek(9).unwrap().iter().any(|peeked| peeked.data() == [7; 600]));
}

#[test]
fn a_damaged_message_is_told_of_where_nobody_waits_for_the_disk() {
    let here = Here::new();
    let options = QueueOptions { durable: Some(Fsync::Never), ..Default::default() };
    let domain = here.open();
    let mut producer = domain.queue_producer("jobs", &options).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
    for _ in 0..100 {
        producer.put(&[1], SECOND).unwrap();
    }
    producer.sync(SECOND).unwrap();
    for bytes in [600, 700] {
        producer.put(&vec![7; bytes], SECOND).unwrap();
        slot(&producer, bytes).body.store(0, Ordering::Relaxed);
    }
    log::listen(log::keep).unwrap();
    log::tell(drop);
    for _ in 0..100 {
        consumer.get(SECOND).unwrap().ack().unwrap();
    }
    let mut warned = Vec::new();
    log::tell(|record| warned.extend((record.level == Level::Warn).then_some(record.text)));
    let of = |bytes: &str| {
        warned.iter().any(|text| ["'jobs'", "cannot be read", bytes].iter().all(|word| text.contains(word)))
    };
    assert!(of("600 bytes") && of("700 bytes"), "{warned:?}");
}

#[test]
fn nothing_is_on_the_disk_because_a_damaged_word_says_so() {
    let here = Here::new();
    let domain = here.open();
    let durable = Put { durable: Some(true), ..Put::default() };
    for (name, fsync) in [("never", Fsync::Never), ("interval", Fsync::Interval(Duration::from_millis(1)))] {
        let options = QueueOptions { durable: Some(fsync), ..Default::default() };
        let mut producer = domain.queue_producer(name, &options).unwrap();
        producer.handle().store.journal().durable.store(1 << 40, Ordering::Relaxed);
        let told = producer.put_with(&Payload::raw(b"one"), &durable, SECOND).unwrap_err();
        assert_eq!((told.kind(), told.accepted()), (ErrorKind::NotDurable, 1), "{told}");
        assert!(
            [name, "damaged", "not the journal"].iter().all(|word| told.message().contains(word)),
            "{told}"
        );
        assert_eq!(producer.sync(SECOND).unwrap_err().kind(), ErrorKind::Corrupt);
        if fsync != Fsync::Never {
            std::thread::sleep(Duration::from_millis(5));
            let told = producer.put(b"two", SECOND).unwrap_err();
            assert_eq!((told.kind(), told.accepted()), (ErrorKind::NotDurable, 1), "{told}");
        }
        producer.handle().store.head().fsync.store(9, Ordering::Relaxed);
        let told = domain.queue_producer(name, &options).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Corrupt, "{told}");
    }
}
