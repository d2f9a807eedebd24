//! Closing in every order, and by many at once: nothing may be left, whoever goes last.

mod common;

use axonic::*;
use common::{Place, options_in};
use std::any::Any;
use std::path::Path;
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

fn block() -> PublisherOptions {
    PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() }
}

/// The domain's files by kind, without the table that stays as long as anything does.
fn left(place: &Place) -> Vec<String> {
    place.kinds().into_iter().filter(|kind| kind != "participants").collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

/// Calls `each` with every order of `n` things.
fn orders(n: usize, each: &mut dyn FnMut(&[usize])) {
    fn place(order: &mut Vec<usize>, n: usize, each: &mut dyn FnMut(&[usize])) {
        if order.len() == n {
            return each(order);
        }
        for i in (0..n).filter(|i| !order.contains(i)).collect::<Vec<_>>() {
            order.push(i);
            place(order, n, each);
            order.pop();
        }
    }
    place(&mut Vec::new(), n, each);
}

type Made = Vec<Option<Box<dyn Any>>>;

/// Drops what `make` makes in every order; nothing at all may be left of the domain each time.
fn drop_in_every_order(what: &str, make: &dyn Fn(&Path) -> Made) {
    let place = Place::new();
    let count = make(place.path()).len();
    orders(count, &mut |order| {
        let mut made = make(place.path());
        assert!(place.path().join("test").exists());
        for i in order {
            drop(made[*i].take());
        }
        assert!(!place.path().join("test").exists(), "{what} in order {order:?} leaves {:?}", place.kinds());
    });
}

fn held<T: Any>(thing: T) -> Option<Box<dyn Any>> {
    Some(Box::new(thing))
}

/// Closes a domain when dropped, before its handles know.
struct Close(Domain);

impl Drop for Close {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[test]
fn a_topic_leaves_nothing_in_whatever_order_it_is_dropped() {
    let one_domain = |path: &Path| {
        let domain = Domain::open_with(options_in(path)).unwrap();
        let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let mut publisher = domain.publisher("t", &block()).unwrap();
        for size in [10, 9000, 9000] {
            publisher.publish(&vec![1; size]).unwrap();
        }
        let (_, sample) = (subscriber.receive(SECOND).map(drop).unwrap(), subscriber.borrow(SECOND).unwrap());
        let loan = publisher.loan(9000, None).unwrap();
        vec![
            held(Close(domain.clone())),
            held(domain),
            held(publisher),
            held(subscriber),
            held(sample),
            held(loan),
        ]
    };
    drop_in_every_order("a topic", &one_domain);
}

#[test]
fn two_participants_leave_nothing_in_whatever_order_they_end() {
    let two_domains = |path: &Path| {
        let (one, two) =
            (Domain::open_with(options_in(path)).unwrap(), Domain::open_with(options_in(path)).unwrap());
        let mut publisher = one.publisher("t", &block()).unwrap();
        let mut subscriber = two.subscriber(">", &SubscriberOptions::default()).unwrap();
        publisher.publish(&[1; 9000]).unwrap();
        publisher.publish(&[2; 90]).unwrap();
        let sample = subscriber.borrow(SECOND).unwrap();
        let idle = one.subscriber("t", &SubscriberOptions::default()).unwrap();
        vec![held(one), held(Close(two)), held(publisher), held(subscriber), held(sample), held(idle)]
    };
    drop_in_every_order("two participants", &two_domains);
}

#[test]
fn ring_ends_that_sleep_hear_of_the_end_of_their_domain() {
    let place = Place::new();
    let domain = place.open();
    let options = RingOptions { capacity: 10_000, wait: Wait::Block };
    let mut consumer = domain.ring_consumer("empty", &options).unwrap();
    let mut producer = domain.ring_producer("full", &options).unwrap();
    while producer.try_push(&[0; 1000]).is_ok() {}
    std::thread::scope(|scope| {
        let soon = Some(Duration::from_secs(20));
        let popping = scope.spawn(move || consumer.pop(soon).map(drop).unwrap_err().kind());
        let pushing = scope.spawn(move || producer.push(&[0; 1000], soon).unwrap_err().kind());
        std::thread::sleep(Duration::from_millis(100));
        domain.close();
        assert_eq!(popping.join().unwrap(), ErrorKind::Closed);
        assert_eq!(pushing.join().unwrap(), ErrorKind::Closed);
    });
    place.open().unlink(Noun::Ring, "full").unwrap();
}

#[test]
fn a_ring_that_was_read_leaves_nothing_in_whatever_order_it_is_dropped() {
    let ring = |path: &Path| {
        let (one, two) =
            (Domain::open_with(options_in(path)).unwrap(), Domain::open_with(options_in(path)).unwrap());
        let mut producer = one.ring_producer("r", &RingOptions::default()).unwrap();
        let mut consumer = two.ring_consumer("r", &RingOptions::default()).unwrap();
        producer.push(b"read", None).unwrap();
        assert_eq!(consumer.pop(SECOND).unwrap(), b"read");
        consumer.release().unwrap();
        let gone = one.region("gone", &RegionOptions { size: Some(100), ..Default::default() }).unwrap();
        two.unlink(Noun::Region, "gone").unwrap();
        vec![held(producer), held(consumer), held(one), held(Close(two)), held(gone)]
    };
    drop_in_every_order("a ring", &ring);
}

#[test]
fn a_sample_and_a_loan_outlive_everything() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    publisher.publish(&[7; 9000]).unwrap();
    let sample = subscriber.borrow(SECOND).unwrap();
    let mut loan = publisher.loan(9000, None).unwrap();
    drop((publisher, subscriber));
    domain.close();
    drop(domain);
    // Its page says that somebody still looks, and goes with its bell; the ring is gone.
    assert_eq!(left(&place), ["bells", "subscribers"]);
    loan.fill(3);
    assert!(sample.iter().all(|b| *b == 7) && loan.iter().all(|b| *b == 3));
    drop(sample);
    assert_eq!(left(&place), nothing());
    drop(loan);
}

#[test]
fn many_that_come_and_go_at_once_leave_nothing() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let place = &place;
            scope.spawn(move || {
                for i in 0..150 {
                    let domain = place.open();
                    match (thread + i) % 4 {
                        0 => drop(domain.publisher("t", &block()).unwrap().publish(b"x")),
                        1 => drop(
                            domain
                                .subscriber("t", &SubscriberOptions::default())
                                .unwrap()
                                .try_receive()
                                .unwrap()
                                .is_some(),
                        ),
                        2 => drop(
                            domain
                                .ring_producer("r", &RingOptions { capacity: 1000, ..Default::default() })
                                .map_err(|e| assert_eq!(e.kind(), ErrorKind::Busy)),
                        ),
                        _ => drop(
                            domain
                                .ring_consumer("r", &RingOptions { capacity: 1000, ..Default::default() })
                                .map_err(|e| assert_eq!(e.kind(), ErrorKind::Busy)),
                        ),
                    }
                }
            });
        }
    });
    assert_eq!(place.kinds(), nothing());
}

/// The last two to leave, again and again: each must not leave the rest to the other.
#[test]
fn two_that_leave_at_the_same_time_leave_nothing() {
    let place = Place::new();
    for i in 0..400 {
        // With somebody who stays, each noun must see to itself; without, the domain goes too.
        let stays = (i % 2 == 0).then(|| place.open());
        let together = std::sync::Barrier::new(2);
        let leave = |which: bool| {
            let domain = place.open();
            let handle: Box<dyn Any> = match (i % 3, which) {
                (0, _) => Box::new(()),
                (1, true) => Box::new(domain.publisher("t", &block()).unwrap()),
                (1, false) => Box::new(domain.subscriber("t", &SubscriberOptions::default()).unwrap()),
                (_, true) => Box::new(domain.ring_producer("r", &RingOptions::default()).unwrap()),
                (_, false) => Box::new(domain.ring_consumer("r", &RingOptions::default()).unwrap()),
            };
            together.wait();
            drop((handle, domain));
        };
        std::thread::scope(|scope| {
            scope.spawn(|| leave(true));
            scope.spawn(|| leave(false));
        });
        assert_eq!(left(&place), nothing(), "{i}");
        drop(stays);
        assert!(!place.path().join("test").exists(), "{i}: {:?}", place.kinds());
    }
}

#[test]
fn a_closed_domain_is_left_once_nobody_is_in_it_any_more() {
    let place = Place::new();
    for accepted in [true, false] {
        let ax = Domain::open_with(options_in(place.path())).unwrap();
        let deaf = ax.listen("shm://test/deaf", &ChannelOptions::default()).unwrap();
        let other = ax.clone();
        let connecting = std::thread::spawn(move || {
            let options = ClientOptions { address: Some("shm://test/deaf".into()), ..Default::default() };
            other.client("s", "^1", &options).unwrap().connect(None).unwrap_err()
        });
        let far = accepted.then(|| deaf.accept(SECOND).unwrap());
        if !accepted {
            // It has knocked, or is about to: it hears of the end either way.
            std::thread::sleep(Duration::from_millis(20));
        }
        ax.close();
        assert_eq!(connecting.join().unwrap().kind(), ErrorKind::Closed);
        assert!(place.path().join("test").exists(), "the listener is still there");
        drop((deaf, far));
        assert!(!place.path().join("test").exists(), "{:?} are left", place.kinds());
        assert!(ax.is_closed());
    }
}
