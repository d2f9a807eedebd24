//! Threads of one process that share a domain, and hand handles, loans and samples to each other, for a while.
//! `cargo xtask chaos` runs this under the thread sanitizer, which sees what of it is not synchronised.

mod common;

use axonic::*;
use common::Place;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, scope};
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_millis(20));

/// How long a test goes on.
fn a_while() -> Duration {
    let seconds = std::env::var("AXONIC_CHAOS_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs_f64(seconds.map_or(0.4, |all: f64| all / 3.0))
}

/// What a wait or an ending neighbour may make of a call here.
fn passing<T>(result: Result<T>) -> Option<T> {
    use ErrorKind::*;
    match result {
        Ok(value) => Some(value),
        Err(e) if matches!(e.kind(), Timeout | Full | Closed | Disconnected | LimitReached | Busy) => None,
        Err(e) => panic!("{e:?}"),
    }
}

fn options(overflow: Overflow) -> PublisherOptions {
    PublisherOptions { overflow, capacity: 64 << 10, max_bytes: 512 << 10, ..Default::default() }
}

/// Publishes payloads in which every byte is the same, small and large, as copies and as loans.
fn publish(domain: &Domain, overflow: Overflow, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(mut publisher) = passing(domain.publisher("t", &options(overflow))) else { continue };
        for i in (0..100u8).take_while(|_| !stop.load(Ordering::Relaxed)) {
            let size = [10, 1000, 5000, 30_000][usize::from(i % 4)];
            if i % 3 == 0 {
                let Some(mut loan) = passing(publisher.loan(size, SOON)) else { continue };
                loan.fill(i);
                passing(publisher.commit(loan, &LoanMeta::default(), SOON));
            } else {
                passing(publisher.send(&Payload::raw(&vec![i; size]), SOON));
            }
            std::hint::black_box((publisher.subscribers(), publisher.stats()));
        }
    }
}

/// Borrows, and lets another thread read and give back.
fn borrow(domain: &Domain, to: &Sender<Sample>, stop: &AtomicBool) {
    let options = SubscriberOptions { start: Start::Oldest, max_borrowed: 16, ..Default::default() };
    while !stop.load(Ordering::Relaxed) {
        let Some(mut subscriber) = passing(domain.subscriber("t", &options)) else { continue };
        for i in (0..200).take_while(|_| !stop.load(Ordering::Relaxed)) {
            if i % 2 == 0 {
                if let Some(sample) = passing(subscriber.borrow(SOON)) {
                    to.send(sample).unwrap();
                }
            } else if let Some(message) = passing(subscriber.receive(SOON)) {
                whole(message.data());
            }
        }
    }
}

fn whole(data: &[u8]) {
    let first = data[0];
    assert!(data.iter().all(|byte| *byte == first), "a message of two");
}

fn read(samples: &Receiver<Sample>, count: &AtomicU64) {
    for sample in samples {
        whole(&sample);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn stop_after_a_while<'a>(scope: &'a Scope<'a, '_>, stop: &'a AtomicBool) {
    scope.spawn(|| {
        std::thread::sleep(a_while());
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn threads_share_a_domain_and_pass_samples_on() {
    for overflow in [Overflow::DropOldest, Overflow::Block] {
        let place = Place::new();
        let domain = place.open();
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let (to, samples) = channel();
        scope(|scope| {
            let (domain, stop, count) = (&domain, &stop, &count);
            scope.spawn(move || publish(domain, overflow, stop));
            scope.spawn(move || publish(domain, overflow, stop));
            for _ in 0..2 {
                let to = to.clone();
                scope.spawn(move || borrow(domain, &to, stop));
            }
            drop(to);
            scope.spawn(move || read(&samples, count));
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    snapshot(&place.options()).unwrap();
                    doctor(&place.options(), false).unwrap();
                }
            });
            stop_after_a_while(scope, stop);
        });
        assert!(count.load(Ordering::Relaxed) > 10, "{overflow:?}: {count:?}");
        drop(domain);
    }
}

#[test]
fn both_ends_of_a_ring_in_threads_and_loans_dropped_elsewhere() {
    let place = Place::new();
    let domain = place.open();
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let (to, loans) = channel::<Loan>();
    let ring = RingOptions { capacity: 10_000, ..Default::default() };
    scope(|scope| {
        scope.spawn(|| {
            let mut producer = domain.ring_producer("r", &ring).unwrap();
            while !stop.load(Ordering::Relaxed) {
                passing(producer.push(&[7; 3000], SOON));
            }
        });
        scope.spawn(|| {
            let mut consumer = domain.ring_consumer("r", &ring).unwrap();
            while !stop.load(Ordering::Relaxed) {
                if let Some(data) = passing(consumer.pop(SOON)) {
                    whole(data);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let (domain, stopped) = (&domain, &stop);
        scope.spawn(move || {
            let mut publisher = domain.publisher("u", &options(Overflow::DropOldest)).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                if let Some(loan) = passing(publisher.loan(20_000, SOON)) {
                    to.send(loan).unwrap();
                }
                passing(publisher.publish(&[1; 20_000]));
            }
        });
        scope.spawn(move || loans.into_iter().for_each(|mut loan| loan.fill(1)));
        stop_after_a_while(scope, &stop);
    });
    assert!(count.load(Ordering::Relaxed) > 10, "{count:?}");
    domain.unlink(Noun::Ring, "r").ok();
}

#[test]
fn a_domain_is_closed_while_other_threads_use_it() {
    let place = Place::new();
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    scope(|outer| {
        stop_after_a_while(outer, &stop);
        while !stop.load(Ordering::Relaxed) {
            let domain = place.open();
            let over = AtomicBool::new(false);
            let (to, samples) = channel();
            let count = AtomicU64::new(0);
            scope(|scope| {
                let (domain, over, count) = (&domain, &over, &count);
                scope.spawn(move || publish(domain, Overflow::DropOldest, over));
                scope.spawn(move || borrow(domain, &to, over));
                scope.spawn(move || read(&samples, count));
                std::thread::sleep(Duration::from_millis(10));
                domain.close();
                over.store(true, Ordering::Relaxed);
            });
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(rounds.load(Ordering::Relaxed) > 0, "{rounds:?}");
}

/// Late joiners at the oldest message of a publisher that is faster than they look round: where they begin is neither
/// before what was gone when they came nor after what it published for them, and every number from there on is counted.
#[test]
fn who_joins_a_fast_publisher_counts_from_what_was_there() {
    const SLOTS: u64 = 4;
    const JOINS: usize = 300;
    let place = Place::new();
    let domain = place.open();
    let options =
        PublisherOptions { capacity: 64 << 10, max_bytes: SLOTS as usize * 4096, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let (published, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    // Who joins now, and from which number on it would hear everything, as its publisher says.
    let (joining, heard) = (AtomicUsize::new(0), [const { AtomicU64::new(u64::MAX) }; JOINS]);
    let join = |number: usize| {
        let oldest = SubscriberOptions { start: Start::Oldest, ..Default::default() };
        joining.store(number, Ordering::SeqCst);
        let before = published.load(Ordering::SeqCst);
        let mut late = domain.subscriber("t", &oldest).unwrap();
        let first = late.receive(Some(Duration::from_secs(10))).unwrap();
        let begin = first.sequence() - first.missed();
        let mut next = first.sequence() + 1;
        for _ in 0..5 {
            let message = late.receive(Some(Duration::from_secs(10))).unwrap();
            assert_eq!(message.sequence() - message.missed(), next);
            next = message.sequence() + 1;
        }
        let heard = heard[number].load(Ordering::SeqCst);
        assert!(begin + SLOTS >= before && begin <= heard, "{before}, {begin}, {heard}");
    };
    scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let heard = &heard[joining.load(Ordering::SeqCst)];
                if heard.load(Ordering::SeqCst) == u64::MAX
                    && publisher.wait_for_subscribers(1, Some(Duration::ZERO)).is_ok()
                {
                    heard.store(publisher.stats().published, Ordering::SeqCst);
                }
                publisher.publish(&[1; 4096]).unwrap();
                published.fetch_add(1, Ordering::SeqCst);
            }
        });
        let joined = scope.spawn(|| (0..JOINS).for_each(join)).join();
        stop.store(true, Ordering::Relaxed);
        joined.unwrap();
    });
}
