//! What a long life, a second thread and a second use bring out: handles that come and go by the thousand,
//! descriptors watched and waited on in turn, domains closed under a running call.

mod common;

use axonic::{
    Domain, ErrorKind, Overflow, Payload, PublisherOptions, RingOptions, SubscriberOptions, Wait, WaitSet,
};
use common::{Place, expect, readable, wait_readable};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(Duration::from_secs(5));

fn block() -> PublisherOptions {
    PublisherOptions {
        overflow: Overflow::Block,
        capacity: 64 << 10,
        max_bytes: 256 << 10,
        wait: Wait::Block,
        ..Default::default()
    }
}

/// Open descriptors and mappings of the process `play` runs in, a child of its own: other tests open theirs.
fn held() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), maps.lines().count())
}

/// Runs `play` in a forked child, apart from the other tests' threads.
fn alone(play: impl FnOnce()) {
    // SAFETY: the child runs `play` and exits; glibc keeps its allocator usable after a fork.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(play));
            // SAFETY: ends the child without running the test harness's exit handlers.
            unsafe { nix::libc::_exit(i32::from(done.is_err())) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
}

/// Whoever stays is not to gather descriptors of those who came and went.
#[test]
fn who_stays_holds_nothing_of_those_who_left() {
    let place = Place::new();
    alone(|| {
        let staying = place.open();
        let mut subscriber = staying.subscriber("come.>", &Default::default()).unwrap();
        let mut publisher = staying.publisher("go", &block()).unwrap();
        let mut consumer = staying.ring_consumer("ring", &RingOptions::default()).unwrap();
        let mut visit = |i: u32| {
            let visitor = place.open();
            let mut coming = visitor.publisher("come.here", &block()).unwrap();
            coming.publish(&i.to_le_bytes()).unwrap();
            assert_eq!(subscriber.receive(SOON).unwrap().data(), i.to_le_bytes());
            let mut going = visitor.subscriber("go", &Default::default()).unwrap();
            publisher.send(&Payload::raw(b"farewell"), SOON).unwrap();
            assert_eq!(going.receive(SOON).unwrap().data(), b"farewell");
            let mut producer = visitor.ring_producer("ring", &RingOptions::default()).unwrap();
            producer.push(b"pushed", SOON).unwrap();
            assert_eq!(consumer.pop(SOON).unwrap(), b"pushed");
            consumer.release().unwrap();
            drop((coming, going, producer, visitor));
            assert!(subscriber.try_receive().unwrap().is_none());
            publisher.try_send(&Payload::raw(b"to nobody")).unwrap();
        };
        (0..3).for_each(&mut visit);
        let before = held();
        (3..60).for_each(&mut visit);
        assert_eq!(held(), before, "descriptors and mappings after 57 more visitors");
        drop((subscriber, publisher, consumer));
    });
}

#[test]
fn ten_thousand_objects_leave_nothing_in_their_process() {
    let place = Place::new();
    alone(|| {
        let domain = place.open();
        let mut listener = domain.subscriber(">", &Default::default()).unwrap();
        let mut speaker = domain.publisher("a", &Default::default()).unwrap();
        let mut turn = |n: usize| {
            for _ in 0..n {
                let mut publisher = domain.publisher("b", &Default::default()).unwrap();
                publisher.publish(b"b").unwrap();
                drop(publisher);
                assert_eq!(listener.try_receive().unwrap().unwrap().data(), b"b");
                let subscriber = domain.subscriber("a", &Default::default()).unwrap();
                drop(subscriber);
                speaker.publish(b"a").unwrap();
                assert_eq!(listener.try_receive().unwrap().unwrap().data(), b"a");
                assert!(listener.try_receive().unwrap().is_none());
            }
        };
        turn(10);
        let before = held();
        turn(if cfg!(debug_assertions) { 500 } else { 10_000 });
        assert_eq!(held(), before);
    });
}

/// A blocking call between two watches of the descriptor leaves it readable while there is something to take.
#[test]
fn a_blocking_call_leaves_a_watched_descriptor_readable() {
    let place = Place::new();
    let domain = place.open();
    let options = SubscriberOptions { wait: Wait::Block, ..Default::default() };
    let mut subscriber = domain.subscriber("a", &options).unwrap();
    let mut publisher = domain.publisher("a", &Default::default()).unwrap();
    let fd = subscriber.fd().unwrap();
    for _ in 0..3 {
        assert!(subscriber.try_receive().unwrap().is_none() && !readable(fd));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                (0..3u8).for_each(|i| publisher.publish(&[i]).unwrap());
            });
            assert_eq!(subscriber.receive(SOON).unwrap().data(), [0]);
        });
        assert!(wait_readable(fd, Duration::from_secs(1)), "two are left and nobody would ever tell");
        assert_eq!(subscriber.try_receive().unwrap().unwrap().data(), [1]);
        assert_eq!(subscriber.try_receive().unwrap().unwrap().data(), [2]);
    }
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    let mut consumer =
        domain.ring_consumer("r", &RingOptions { wait: Wait::Block, ..Default::default() }).unwrap();
    let fd = consumer.fd().unwrap();
    assert!(consumer.try_pop().unwrap().is_none() && !readable(fd));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            (0..2u8).for_each(|i| producer.push(&[i], SOON).unwrap());
        });
        assert_eq!(consumer.pop(SOON).unwrap(), [0]);
    });
    assert!(wait_readable(fd, Duration::from_secs(1)), "one is left and nobody would ever tell");
    assert_eq!(consumer.try_pop().unwrap().unwrap(), [1]);
    assert!(consumer.try_pop().unwrap().is_none());
}

/// Level-triggered under two publishers at full speed: no message waits behind a silent descriptor, and a
/// drained one is silent.
#[test]
fn a_watched_descriptor_tells_of_everything_and_then_falls_silent() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("a", &Default::default()).unwrap();
    let fd = subscriber.fd().unwrap();
    let rounds = 20_000u32;
    let mut publishers: Vec<_> = (0..2).map(|_| domain.publisher("a", &block()).unwrap()).collect();
    std::thread::scope(|scope| {
        for publisher in &mut publishers {
            scope.spawn(move || {
                for i in 0..rounds {
                    publisher.send(&Payload::raw(&i.to_le_bytes()), SOON).unwrap();
                    if i % 64 == 0 {
                        std::thread::sleep(Duration::from_micros(50));
                    }
                }
            });
        }
        let mut left = 2 * rounds;
        while left > 0 {
            assert!(wait_readable(fd, Duration::from_secs(3)), "{left} messages were not told of");
            while subscriber.try_receive().unwrap().is_some() {
                left -= 1;
            }
        }
    });
    assert!(subscriber.try_receive().unwrap().is_none());
    assert!(!readable(fd), "nothing is left and the descriptor says otherwise");
}

/// In a child, a domain the parent closed stays closed, and closing one closes what the child opened anew.
#[test]
fn closed_is_closed_on_both_sides_of_a_fork() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher = domain.publisher("a", &Default::default()).unwrap();
    let mut subscriber = domain.subscriber("a", &Default::default()).unwrap();
    let open = place.open();
    domain.close();
    alone(|| {
        expect(publisher.publish(b"x"), ErrorKind::Closed, &[]);
        expect(subscriber.receive(Some(Duration::from_millis(50))).map(drop), ErrorKind::Closed, &[]);
        expect(domain.publisher("b", &Default::default()), ErrorKind::Closed, &[]);
        let mut anew = open.publisher("c", &Default::default()).unwrap();
        anew.publish(b"x").unwrap();
        open.close();
        expect(anew.publish(b"x"), ErrorKind::Closed, &[]);
        expect(open.publisher("c", &Default::default()), ErrorKind::Closed, &[]);
    });
    open.publisher("still", &Default::default()).unwrap();
}

/// A loan that is dropped is room for who waits for it.
#[test]
fn a_dropped_loan_wakes_a_publisher_that_waits_for_a_slot() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher = domain.publisher("a", &block()).unwrap();
    let loan = publisher.loan(256 << 10, None).unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(loan);
        });
        publisher.loan(256 << 10, SOON).unwrap();
    });
    assert!(started.elapsed() < Duration::from_secs(3), "woken by its deadline");
}

/// A batch that can never have all its slots at once says so instead of waiting for itself.
#[test]
fn a_batch_larger_than_the_slab_is_refused() {
    let place = Place::new();
    let domain = place.open();
    for overflow in [Overflow::Block, Overflow::DropOldest, Overflow::Reject] {
        let mut publisher = domain.publisher("a", &PublisherOptions { overflow, ..block() }).unwrap();
        let (half, quarter, small) = (vec![1; 128 << 10], vec![2; 64 << 10], vec![3; 4 << 10]);
        let many = [&half, &half, &quarter].map(|data| Payload::raw(data));
        expect(publisher.publish_many(&many, SOON), ErrorKind::TooLarge, &["max_bytes"]);
        // Small slots come in segments of many, so these do not fit either although their sum does.
        let mixed = [&small, &half, &quarter, &quarter].map(|data| Payload::raw(data));
        expect(publisher.publish_many(&mixed, SOON), ErrorKind::TooLarge, &["max_bytes"]);
        let two = [&half, &half].map(|data| Payload::raw(data));
        publisher.publish_many(&two, SOON).unwrap();
        // A loan may come back, so this is a matter of time.
        drop(publisher);
    }
}

#[test]
fn the_largest_numbers_are_limits_and_not_accidents() {
    let place = Place::new();
    let domain = place.open();
    let options = PublisherOptions { max_bytes: usize::MAX, ..Default::default() };
    let mut publisher = domain.publisher("a", &options).unwrap();
    let mut subscriber = domain.subscriber("a", &Default::default()).unwrap();
    publisher.publish(&[7; 10_000]).unwrap();
    assert_eq!(subscriber.receive(SOON).unwrap().data(), [7; 10_000]);
    for huge in [usize::MAX, usize::MAX / 2, 1 << 62, (1 << 63) + 1] {
        assert!(matches!(
            publisher.loan(huge, SOON).unwrap_err().kind(),
            ErrorKind::TooLarge | ErrorKind::NoSpace | ErrorKind::LimitReached
        ));
    }
    publisher.publish(&[8; 10_000]).unwrap();
    assert_eq!(subscriber.receive(SOON).unwrap().data(), [8; 10_000]);
}

/// A token is what was added under it, not whoever has its descriptor's number today.
#[test]
fn removing_the_dropped_from_a_wait_set_leaves_their_successors() {
    let place = Place::new();
    let domain = place.open();
    let mut set = WaitSet::new().unwrap();
    let mut first = domain.subscriber("a", &Default::default()).unwrap();
    let number = first.fd().unwrap();
    set.add_subscriber(&mut first, 1).unwrap();
    drop(first);
    // Other tests open descriptors too; look for the one that got the number.
    let mut others = Vec::new();
    let mut second = loop {
        let mut candidate = domain.subscriber("a", &Default::default()).unwrap();
        if candidate.fd().unwrap() == number || others.len() == 50 {
            break candidate;
        }
        others.push(candidate);
    };
    set.add_subscriber(&mut second, 2).unwrap();
    assert!(set.remove(1));
    assert!(second.try_receive().unwrap().is_none());
    domain.publisher("a", &Default::default()).unwrap().publish(b"x").unwrap();
    assert_eq!(set.wait(SOON).unwrap(), [2]);
}

/// A sample that was given out stays as it was, even if its domain is closed at that very moment.
#[test]
fn a_sample_borrowed_while_its_domain_closes_stays_whole() {
    let place = Place::new();
    let publishing = place.open();
    let options = PublisherOptions { max_bytes: 256 << 10, ..Default::default() };
    let mut publisher = publishing.publisher("a", &options).unwrap();
    let over = AtomicBool::new(false);
    let mut whole = true;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0u8;
            while !over.load(Ordering::Relaxed) {
                i = i.wrapping_add(1);
                match publisher.publish(&[i; 60_000]) {
                    Ok(()) => {}
                    // Every slot is looked at for an instant.
                    Err(e) => assert_eq!(e.kind(), ErrorKind::LimitReached, "{e}"),
                }
            }
        });
        let until = Instant::now() + Duration::from_millis(2500);
        while whole && Instant::now() < until {
            let domain = place.open();
            let mut subscriber = domain.subscriber("a", &Default::default()).unwrap();
            let mut samples = Vec::new();
            std::thread::scope(|inner| {
                inner.spawn(|| domain.close());
                while let Ok(sample) = subscriber.try_borrow() {
                    samples.extend(sample);
                    samples.truncate(2);
                }
            });
            for _ in 0..3 {
                for sample in &samples {
                    whole &= sample.iter().all(|byte| *byte == sample[0]);
                }
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(whole, "a slot was reused under its reader");
}

/// Calls that run while another thread closes the domain end with `Closed`, whatever they wait for.
#[test]
fn closing_from_another_thread_ends_every_call() {
    let place = Place::new();
    for _ in 0..5 {
        let domain = place.open();
        let elsewhere = place.open();
        let mut laggard = elsewhere.subscriber("full", &Default::default()).unwrap();
        let mut full = domain.publisher("full", &block()).unwrap();
        let mut waiting = domain.subscriber("quiet", &Default::default()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let error = loop {
                    if let Err(e) = full.send(&Payload::raw(&[0; 1000]), SOON) {
                        break e;
                    }
                };
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            });
            scope.spawn(|| expect(waiting.receive(SOON).map(drop), ErrorKind::Closed, &[]));
            std::thread::sleep(Duration::from_millis(20));
            domain.close();
        });
        assert!(laggard.try_receive().unwrap().is_some());
    }
}

/// A slab that changes its size class with every message works as fast after a long life as before.
#[test]
fn changing_sizes_cost_the_same_after_many_changes() {
    let place = Place::new();
    let domain = place.open();
    let options = PublisherOptions { max_bytes: 16 << 10, ..Default::default() };
    let mut publisher = domain.publisher("a", &options).unwrap();
    let mut turns = |n: usize| {
        let started = Instant::now();
        for i in 0..n {
            publisher.publish(&vec![1; if i % 2 == 0 { 9_000 } else { 14_000 }]).unwrap();
        }
        started.elapsed()
    };
    turns(100);
    assert_eq!(publisher_segments(&place), 1);
    assert!(turns(2000) < Duration::from_secs(5));
    assert_eq!(publisher_segments(&place), 1);
}

fn publisher_segments(place: &Place) -> usize {
    place.kinds().iter().filter(|kind| *kind == "segments").count()
}

/// The same domain opened twice in one process, and two domains, keep apart what is theirs.
#[test]
fn one_process_may_take_part_several_times() {
    let place = Place::new();
    let (first, second) = (place.open(), place.open());
    let other =
        Domain::open_with(axonic::DomainOptions { name: Some("other".into()), ..place.options() }).unwrap();
    let mut subscriber = second.subscriber("a", &Default::default()).unwrap();
    let mut stranger = other.subscriber("a", &Default::default()).unwrap();
    let mut publisher = first.publisher("a", &block()).unwrap();
    publisher.publish(b"x").unwrap();
    assert_eq!(subscriber.receive(SOON).unwrap().data(), b"x");
    assert!(stranger.try_receive().unwrap().is_none());
    first.close();
    expect(publisher.publish(b"y"), ErrorKind::Closed, &["test"]);
    second.publisher("a", &block()).unwrap().publish(b"z").unwrap();
    assert_eq!(subscriber.receive(SOON).unwrap().data(), b"z");
}
