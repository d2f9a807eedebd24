//! How a queue was made, kept in its journal: whoever finds only that can make the queue again as it was.
//!
//! Each segment's header has it, so it is on the disk as soon as a queue has read its journal, and a power cut leaves what
//! there was before or what there is now. Whoever makes the queue in memory decides, and is whom it is kept of.

use super::Fsync;
use crate::error::Result;
use crate::mechanisms::journal::{Journal, Kept};
use crate::mechanisms::queue::store::{PART, Store};
use crate::mechanisms::queue::{Dedup, QueueOptions};
use crate::sys::atomic::Ordering;
use crate::sys::disk::DataDirectory;
use crate::sys::file::Access;
use std::path::Path;
use std::time::Duration;

/// How a queue in memory was made.
pub fn of(store: &Store) -> Kept {
    let (plan, head) = (&store.plan, store.head());
    let [attempts, fsync, interval, within] =
        [&head.max_attempts, &head.fsync, &head.interval, &head.dedup_within]
            .map(|word| word.load(Ordering::Relaxed));
    let limits = plan.capacity as u64 | (plan.parts as u64) << 32;
    [limits, plan.dedup as u64 | (attempts & 0xffff) << 32 | (fsync & 0xffff) << 48, interval, within]
}

/// How the queue was made whose journal is in a directory.
pub fn kept(path: &Path) -> Result<QueueOptions> {
    // Nothing is made there.
    let access = Access { mode: 0o600, group: None };
    let words = Journal::kept(Box::new(DataDirectory::open(path, access, false)?))?;
    Ok(options(words))
}

fn options([limits, rest, interval, within]: Kept) -> QueueOptions {
    let default = QueueOptions::default();
    match Fsync::from_words(rest >> 48, interval) {
        None => QueueOptions { durable: Some(Fsync::Always), ..default },
        fsync => QueueOptions {
            capacity: limits as u32 as usize,
            max_attempts: (rest >> 32) as u32 & 0xffff,
            max_bytes: (limits >> 32) as usize * PART,
            durable: fsync,
            dedup: Dedup { count: rest as u32 as usize, within: Duration::from_nanos(within) },
            ..default
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::power::{domain, use_disk};
    use super::*;
    use crate::domain::{Domain, Noun};
    use crate::mechanisms::journal::simulator::{Image, Plan, Random, Simulated};
    use crate::mechanisms::queue::QueueProducer;

    fn essence(options: &QueueOptions) -> impl PartialEq + std::fmt::Debug + use<> {
        let QueueOptions { capacity, max_attempts, max_bytes, durable, dedup, .. } = *options;
        (capacity, max_attempts, max_bytes, durable, dedup)
    }

    /// Opens the queue over a disk, and puts a message that is on it.
    fn open(domain: &Domain, world: &Simulated, options: &QueueOptions) -> QueueProducer {
        use_disk(world);
        let mut producer = domain.queue_producer("jobs", options).unwrap();
        producer.put(b"kept", Some(Duration::from_secs(1))).unwrap();
        producer
    }

    /// What is left when the power goes and nothing is in memory any more.
    fn lose(domain: &Domain, world: &Simulated, producer: QueueProducer) {
        world.plan(Plan::Die { at: world.operations(), sixteenths: 0 });
        drop(producer);
        domain.unlink(Noun::Queue, "jobs").unwrap();
    }

    #[test]
    fn a_power_cut_leaves_how_it_was_made_before_or_how_it_is_now() {
        let (_place, domain) = domain();
        let dedup = Dedup { count: 7, within: Duration::from_secs(9) };
        let before = QueueOptions { max_attempts: 0, max_bytes: PART, dedup, ..options([0; 4]) };
        let interval = Some(Fsync::Interval(Duration::from_micros(1)));
        let now = QueueOptions { capacity: 20, max_attempts: 65535, durable: interval, ..before.clone() };
        let world = Simulated::new(&Image::new());
        let producer = open(&domain, &world, &before);
        lose(&domain, &world, producer);
        let world = Simulated::new(&world.seen());
        use_disk(&world);
        let producer = domain.queue_producer("jobs", &now).unwrap();
        let opened = world.operations();
        lose(&domain, &world, producer);
        let mut seen = [false; 2];
        for cut in 0..=opened {
            for image in world.after_cut(cut, 64, &mut Random(1)) {
                let world = Simulated::new(&image);
                let found = options(Journal::kept(world.disk()).unwrap());
                let is_new = essence(&found) == essence(&now);
                assert!(is_new || cut < opened && essence(&found) == essence(&before), "{cut}: {found:?}");
                seen[usize::from(is_new)] = true;
                let producer = open(&domain, &world, &found);
                assert_eq!(producer.stats().ready, 2);
                lose(&domain, &world, producer);
            }
        }
        assert_eq!(seen, [true; 2]);
    }

    #[test]
    fn a_journal_that_does_not_tell_makes_a_queue_as_by_default() {
        let (found, default) = (options([0; 4]), QueueOptions::default());
        assert_eq!(essence(&found), essence(&QueueOptions { durable: Some(Fsync::Always), ..default }));
    }
}
