//! Topics through the public interface: delivery, order, overflow, loans and borrows.

mod common;

use axonic::*;
use common::{Place, expect};
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

fn options(overflow: Overflow) -> PublisherOptions {
    PublisherOptions { overflow, ..Default::default() }
}

#[test]
fn small_and_large_messages_arrive_in_order() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("orders.>", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("orders.created", &options(Overflow::Block)).unwrap();
    let sizes = [0, 1, 47, 48, 49, 64, 2047, 2048, 2049, 4096, 100_000, 1 << 20];
    for (i, size) in sizes.iter().enumerate() {
        publisher.publish(&vec![i as u8; *size]).unwrap();
        let message = subscriber.receive(SECOND).unwrap();
        assert_eq!((message.topic(), message.sequence(), message.missed()), ("orders.created", i as u64, 0));
        assert_eq!(message.data(), vec![i as u8; *size]);
        assert_eq!(message.data().as_ptr() as usize % 64, 0);
    }
    for (i, size) in sizes.iter().enumerate() {
        publisher.publish(&vec![i as u8; *size]).unwrap();
        let sample = subscriber.borrow(SECOND).unwrap();
        assert_eq!(sample.data(), vec![i as u8; *size]);
        assert_eq!(sample.is_pinned(), *size > 2048);
        assert_eq!(sample.data().as_ptr() as usize % 64, 0);
    }
    for (i, size) in sizes.iter().enumerate() {
        publisher.publish(&vec![i as u8; *size]).unwrap();
        match subscriber.try_next().unwrap().unwrap() {
            Arrival::Small(message) => {
                assert_eq!((message.data(), *size > 2048), (&vec![i as u8; *size][..], false))
            }
            Arrival::Large(sample) => {
                assert_eq!((sample.data(), *size > 2048), (&vec![i as u8; *size][..], true))
            }
        }
    }
    assert!(subscriber.try_next().unwrap().is_none());
    assert!(subscriber.try_receive().unwrap().is_none());
    assert_eq!(subscriber.receive(Some(Duration::from_millis(5))).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(subscriber.stats().pinned, 0);
}

#[test]
fn drop_oldest_counts_exactly_what_was_missed() {
    let place = Place::new();
    let domain = place.open();
    for size in [8, 100, 3000] {
        let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let mut publisher = domain
            .publisher(
                "t",
                &PublisherOptions { capacity: 64 << 10, max_bytes: 1 << 20, ..Default::default() },
            )
            .unwrap();
        let mut seen = 0u64;
        let (mut next, mut lost) = (0u64, 0u64);
        for i in 0..20_000u64 {
            let mut data = vec![0u8; size];
            data[..8].copy_from_slice(&i.to_le_bytes());
            publisher.publish(&data).unwrap();
            if i % 7000 == 6999 {
                while let Some(m) = subscriber.try_receive().unwrap() {
                    let number = u64::from_le_bytes(m.data()[..8].try_into().unwrap());
                    assert_eq!((number, m.sequence()), (next + m.missed(), number));
                    lost += m.missed();
                    next = number + 1;
                    seen += 1;
                }
            }
        }
        while let Some(m) = subscriber.try_receive().unwrap() {
            lost += m.missed();
            seen += 1;
        }
        assert!(lost > 0 && seen > 0);
        assert_eq!(seen + lost, 20_000);
        assert_eq!(subscriber.missed(), lost);
    }
}

#[test]
fn block_waits_reject_refuses() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    for (overflow, kind) in [(Overflow::Block, ErrorKind::WouldBlock), (Overflow::Reject, ErrorKind::Full)] {
        for size in [100, 5000] {
            let mut publisher = domain
                .publisher(
                    "t",
                    &PublisherOptions {
                        overflow,
                        capacity: 64 << 10,
                        max_bytes: 64 << 10,
                        ..Default::default()
                    },
                )
                .unwrap();
            let data = vec![1u8; size];
            let mut sent = 0;
            let error = loop {
                match publisher.try_send(&Payload::raw(&data)) {
                    Ok(()) => sent += 1,
                    Err(e) => break e,
                }
            };
            assert_eq!(error.kind(), kind);
            assert!(sent >= 8, "{sent}");
            if overflow == Overflow::Block {
                let timed = publisher.send(&Payload::raw(&data), Some(Duration::from_millis(5))).unwrap_err();
                assert_eq!(timed.kind(), ErrorKind::Timeout);
            }
            for _ in 0..sent {
                assert_eq!(subscriber.receive(SECOND).unwrap().missed(), 0);
            }
            publisher.try_send(&Payload::raw(&data)).unwrap();
            subscriber.receive(SECOND).unwrap();
        }
    }
}

#[test]
fn block_loses_nothing_across_threads() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let other = place.open();
    let writer = std::thread::spawn(move || {
        let mut publisher = other
            .publisher(
                "t",
                &PublisherOptions {
                    overflow: Overflow::Block,
                    capacity: 64 << 10,
                    max_bytes: 256 << 10,
                    ..Default::default()
                },
            )
            .unwrap();
        for i in 0..30_000u64 {
            let size = [8, 60, 700, 3000][i as usize % 4];
            let mut data = vec![i as u8; size];
            data[..8].copy_from_slice(&i.to_le_bytes());
            publisher.publish(&data).unwrap();
        }
    });
    for i in 0..30_000u64 {
        let m = subscriber.receive(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(u64::from_le_bytes(m.data()[..8].try_into().unwrap()), i);
        assert!(m.data()[8..].iter().all(|b| *b == i as u8));
        assert_eq!(m.missed(), 0);
    }
    writer.join().unwrap();
}

#[test]
fn a_hundred_pinned_views_stall_nobody() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    for overflow in [Overflow::DropOldest, Overflow::Block, Overflow::Reject] {
        let mut publisher = domain.publisher("t", &options(overflow)).unwrap();
        let mut held = Vec::new();
        for i in 0..1000u32 {
            publisher.send(&Payload::raw(&vec![i as u8; 10_000]), SECOND).unwrap();
            let sample = subscriber.borrow(SECOND).unwrap();
            if held.len() < 100 {
                held.push((i, sample));
            }
        }
        assert!(held.iter().all(|(i, s)| s.is_pinned() && s.iter().all(|b| *b == *i as u8)));
        assert_eq!(subscriber.stats().pinned, 100);
        drop(held);
        assert_eq!(subscriber.stats().pinned, 0);
    }
    let mut publisher = domain.publisher("t", &options(Overflow::DropOldest)).unwrap();
    let mut few =
        domain.subscriber("t", &SubscriberOptions { max_borrowed: 2, ..Default::default() }).unwrap();
    for _ in 0..4 {
        publisher.publish(&[0; 5000]).unwrap();
    }
    let held = [few.borrow(SECOND).unwrap(), few.borrow(SECOND).unwrap()];
    assert_eq!(few.borrow(SECOND).unwrap_err().kind(), ErrorKind::LimitReached);
    assert_eq!(few.receive(SECOND).unwrap().data().len(), 5000, "a copy needs no place to borrow");
    assert_eq!(few.stats().pinned, 2);
    drop(held);
    assert_eq!(few.borrow(SECOND).unwrap().missed(), 0);
}

#[test]
fn loans_are_published_or_discarded() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("cam", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("cam", &PublisherOptions::default()).unwrap();
    let tensor = Tensor::new(Dtype::U8, [480, 640, 3]);
    let mut loan = publisher.loan(tensor.byte_len().unwrap(), None).unwrap();
    loan.fill(7);
    publisher
        .commit(
            loan,
            &LoanMeta { content: Content::Tensor, tensor: Some(&tensor), ..Default::default() },
            None,
        )
        .unwrap();
    drop(publisher.loan(5000, None).unwrap());
    let mut small = publisher.loan(10, None).unwrap();
    small.copy_from_slice(b"0123456789");
    publisher.commit(small, &LoanMeta { len: Some(4), ..Default::default() }, None).unwrap();
    let frame = subscriber.borrow(SECOND).unwrap();
    assert_eq!((frame.tensor(), frame.content()), (Some(&tensor), Content::Tensor));
    assert!(frame.is_pinned() && frame.iter().all(|b| *b == 7));
    assert_eq!(subscriber.receive(SECOND).unwrap().data(), b"0123");
    let mut other = domain.publisher("cam", &PublisherOptions::default()).unwrap();
    let loan = other.loan(100, None).unwrap();
    assert_eq!(
        publisher.commit(loan, &LoanMeta::default(), None).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    let too_large = publisher.publish(&vec![0; (64 << 20) + 1]).unwrap_err();
    assert_eq!(too_large.kind(), ErrorKind::TooLarge);
}

#[test]
fn attributes_ride_along_and_are_completed() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("orders.*", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("orders.created", &PublisherOptions::default()).unwrap();
    let mut attributes = Attributes::new();
    attributes.insert("type", "com.example.order").unwrap();
    attributes.insert("traceparent", "00-abc").unwrap();
    for size in [10, 5000] {
        let data = vec![1u8; size];
        publisher.send(&Payload::raw(&data).with_attributes(&attributes), None).unwrap();
        let message = subscriber.receive(SECOND).unwrap();
        let got = message.attributes().unwrap();
        assert_eq!((got.get("type"), got.get("traceparent")), (Some("com.example.order"), Some("00-abc")));
        assert!(["specversion", "id", "source", "time"].iter().all(|n| got.get(n).is_some()));
        assert_eq!(message.data(), data);
    }
    publisher.publish(b"plain").unwrap();
    assert!(subscriber.receive(SECOND).unwrap().attributes().unwrap().is_empty());
}

#[test]
fn the_largest_payload_in_a_record_and_the_most_metadata_go_together() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let data = [7; 2048];
    let mut send = |filling: usize| {
        let mut attributes = Attributes::new();
        attributes.insert("filling", &"x".repeat(filling)).unwrap();
        publisher.send(&Payload::raw(&data).with_attributes(&attributes), None)
    };
    // The other attributes take their part of the 4096 bytes.
    let most = (0..4096).rev().find(|filling| match send(*filling) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::TooLarge => false,
        Err(e) => panic!("{e}"),
    });
    let message = subscriber.receive(SECOND).unwrap();
    assert_eq!(message.attributes().unwrap().get("filling").map(str::len), most);
    assert!(most.is_some_and(|most| most > 3800) && message.data() == data);
}

/// It drops nothing on the way to its error.
#[test]
fn a_batch_that_can_never_fit_the_slab_leaves_what_was_there() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { max_bytes: 400 << 10, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let large = vec![7; 96 << 10];
    (0..4).for_each(|_| publisher.publish(&large).unwrap());
    let batch = [(); 5].map(|()| Payload::raw(&large));
    expect(publisher.publish_many(&batch, SECOND), ErrorKind::TooLarge, &["max_bytes"]);
    for sequence in 0..4 {
        let message = subscriber.receive(SECOND).unwrap();
        assert_eq!((message.sequence(), message.missed()), (sequence, 0));
    }
}

#[test]
fn publish_many_is_all_or_nothing() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher =
        domain.publisher("t", &PublisherOptions { capacity: 64 << 10, ..Default::default() }).unwrap();
    let bodies: Vec<Vec<u8>> =
        (0..50).map(|i| vec![i as u8; if i % 10 == 0 { 5000 } else { i * 3 }]).collect();
    let batch: Vec<Payload> = bodies.iter().map(|b| Payload::raw(b)).collect();
    for _ in 0..100 {
        publisher.publish_many(&batch, None).unwrap();
        for body in &bodies {
            let m = subscriber.receive(SECOND).unwrap();
            assert_eq!((m.data(), m.missed()), (body.as_slice(), 0));
        }
    }
    let many = vec![Payload::raw(&[0; 1000]); 100];
    assert_eq!(publisher.publish_many(&many, None).unwrap_err().kind(), ErrorKind::TooLarge);
    publisher.publish_many(&[], None).unwrap();
    assert!(subscriber.try_receive().unwrap().is_none());
}

#[test]
fn late_joiners_begin_where_they_ask() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    for i in 0..10u8 {
        publisher.publish(&[i]).unwrap();
    }
    let mut late = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut oldest =
        domain.subscriber("t", &SubscriberOptions { start: Start::Oldest, ..Default::default() }).unwrap();
    publisher.publish(&[10]).unwrap();
    let m = late.receive(SECOND).unwrap();
    assert_eq!((m.data(), m.missed()), ([10].as_slice(), 0));
    for i in 0..=10u8 {
        assert_eq!(oldest.receive(SECOND).unwrap().data(), [i]);
    }
}

/// Large payloads that lost their slots before it came are no more missed than records that were overwritten; those that
/// lost them afterwards are, and all of them by one that was there first.
#[test]
fn who_begins_at_the_oldest_missed_nothing_before_it() {
    let place = Place::new();
    let domain = place.open();
    let oldest = SubscriberOptions { start: Start::Oldest, ..Default::default() };
    // Of one size; or of two, of which the second takes the whole budget, so that whole segments were given up.
    for (topic, first, then) in [("same", 100_000, 100_000), ("other", 100_000, 2_000_000)] {
        let mut expected = domain.subscriber(topic, &oldest).unwrap();
        let options = PublisherOptions { max_bytes: 2 << 20, ..Default::default() };
        let mut publisher = domain.publisher(topic, &options).unwrap();
        let mut publish = |count: usize, size| {
            (0..count).for_each(|_| publisher.publish(&vec![7; size]).unwrap());
        };
        publish(30, first);
        publish(30, then);
        let mut late = [(); 3].map(|()| domain.subscriber(topic, &oldest).unwrap());
        let message = late[0].receive(SECOND).unwrap();
        let begin = message.sequence();
        assert!((30..60).contains(&begin) && message.missed() == 0, "{message:?}");
        for sequence in begin + 1..60 {
            let message = late[0].receive(SECOND).unwrap();
            assert_eq!((message.sequence(), message.missed()), (sequence, 0));
        }
        assert_eq!((late[0].missed(), late[0].stats().received), (0, 60 - begin));

        let message = expected.receive(SECOND).unwrap();
        assert_eq!((message.sequence(), message.missed()), (begin, begin));

        publish(3, then);
        let message = late[1].receive(SECOND).unwrap();
        assert_eq!((message.sequence(), message.missed()), (begin + 3, 3));
        // Those included that were published since.
        publish(60, then);
        let message = late[2].receive(SECOND).unwrap();
        assert_eq!((message.sequence(), message.missed()), (begin + 63, 63));
    }
}

/// The newest message keeps its slot until the next one comes, however large it is and whoever reads.
#[test]
fn who_comes_late_finds_the_newest_message() {
    let place = Place::new();
    let domain = place.open();
    let oldest = SubscriberOptions { start: Start::Oldest, ..Default::default() };
    for overflow in [Overflow::DropOldest, Overflow::Block, Overflow::Reject] {
        let options = PublisherOptions { overflow, ..Default::default() };
        let mut publisher = domain.publisher("t", &options).unwrap();
        (0..3).for_each(|_| publisher.publish(&vec![7; 3 << 20]).unwrap());
        let mut late = domain.subscriber("t", &oldest).unwrap();
        let newest = late.receive(SECOND).unwrap();
        assert_eq!((newest.sequence(), newest.missed()), (2, 0), "{overflow:?}");
    }
}

#[test]
fn who_comes_when_all_is_gone_missed_nothing() {
    let place = Place::new();
    let domain = place.open();
    let oldest = SubscriberOptions { start: Start::Oldest, ..Default::default() };
    let options = PublisherOptions { max_bytes: 100_000, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    publisher.publish(&[1; 100_000]).unwrap();
    // A loan takes the only slot, whatever becomes of it.
    drop(publisher.loan(100_000, SECOND).unwrap());
    let mut late = domain.subscriber("t", &oldest).unwrap();
    assert!(late.try_receive().unwrap().is_none());
    publisher.publish(b"next").unwrap();
    let message = late.receive(SECOND).unwrap();
    assert_eq!((message.sequence(), message.missed()), (1, 0));
}

#[test]
fn the_last_words_of_a_publisher_are_heard() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    for round in 0..5u8 {
        let mut publisher = domain.publisher("t", &options(Overflow::Block)).unwrap();
        publisher.publish(&[round]).unwrap();
        publisher.publish(&vec![round; 5000]).unwrap();
        drop(publisher);
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), [round]);
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), vec![round; 5000]);
    }
    assert_eq!(subscriber.publishers(), 0);
    let mut retained =
        domain.publisher("t", &PublisherOptions { retain: true, ..Default::default() }).unwrap();
    retained.publish(b"kept").unwrap();
    drop(retained);
    let mut oldest =
        domain.subscriber("t", &SubscriberOptions { start: Start::Oldest, ..Default::default() }).unwrap();
    assert_eq!(oldest.receive(SECOND).unwrap().data(), b"kept");
    drop((oldest, subscriber));
    domain.unlink(Noun::Topic, "t").unwrap();
}

#[test]
fn what_all_have_read_goes_while_they_listen_on() {
    let place = Place::new();
    let domain = place.open();
    let mut readers: Vec<Subscriber> =
        (0..3).map(|_| domain.subscriber("t", &SubscriberOptions::default()).unwrap()).collect();
    // More publishers, one after the other, than a topic may leave behind.
    for round in 0..200u32 {
        let mut publisher = domain.publisher("t", &options(Overflow::Block)).unwrap();
        publisher.publish(&round.to_le_bytes()).unwrap();
        drop(publisher);
        for reader in &mut readers {
            assert_eq!(reader.receive(SECOND).unwrap().data(), round.to_le_bytes());
            assert!(reader.try_receive().unwrap().is_none());
        }
    }
    // One that comes late to the last message delays nothing but the last ring.
    let mut last = domain.publisher("t", &options(Overflow::Block)).unwrap();
    last.publish(b"last").unwrap();
    drop(last);
    let mut late = readers.pop().unwrap();
    for reader in &mut readers {
        assert_eq!(reader.receive(SECOND).unwrap().data(), b"last");
        assert!(reader.try_receive().unwrap().is_none());
    }
    let seen = snapshot(&place.options()).unwrap();
    assert_eq!(
        (seen.publishers.len(), seen.subscribers.iter().filter(|s| !s.lag.is_empty()).count()),
        (1, 1)
    );
    assert_eq!(late.receive(SECOND).unwrap().data(), b"last");
    // It lets go when it looks round next.
    let next = domain.publisher("t", &PublisherOptions::default()).unwrap();
    assert!(late.try_receive().unwrap().is_none());
    let seen = snapshot(&place.options()).unwrap();
    assert_eq!(seen.publishers.iter().map(|p| p.id).collect::<Vec<_>>(), [next.id()]);
    assert!(doctor(&place.options(), false).unwrap().is_empty());
}

#[test]
fn wildcards_and_publishers_that_appear_later() {
    let place = Place::new();
    let domain = place.open();
    let mut all = domain.subscriber(">", &SubscriberOptions::default()).unwrap();
    let mut publishers: Vec<Publisher> =
        (0..20).map(|i| domain.publisher(&format!("a.{i}"), &PublisherOptions::default()).unwrap()).collect();
    for (i, publisher) in publishers.iter_mut().enumerate() {
        publisher.publish(&[i as u8]).unwrap();
    }
    let mut seen: Vec<u8> = (0..20).map(|_| all.receive(SECOND).unwrap().data()[0]).collect();
    seen.sort();
    assert_eq!(seen, (0..20).collect::<Vec<u8>>());
    assert_eq!(all.publishers(), 20);
}

#[test]
fn closing_in_any_order_is_clean() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    publisher.publish(&[3; 5000]).unwrap();
    let sample = subscriber.borrow(SECOND).unwrap();
    domain.close();
    domain.close();
    assert_eq!(publisher.publish(b"x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(subscriber.try_receive().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(domain.publisher("t", &PublisherOptions::default()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(sample.data(), [3; 5000]);
    drop((publisher, subscriber));
    assert_eq!(sample.data(), [3; 5000]);
}

#[test]
fn the_descriptor_is_readable_until_an_attempt_is_empty() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let fd = subscriber.fd().unwrap();
    assert!(common::readable(fd));
    assert!(subscriber.try_receive().unwrap().is_none());
    assert!(!common::readable(fd));
    for _ in 0..3 {
        publisher.publish(b"a").unwrap();
        publisher.publish(b"b").unwrap();
        assert!(common::readable(fd));
        subscriber.try_receive().unwrap().unwrap();
        assert!(common::readable(fd));
        subscriber.try_receive().unwrap().unwrap();
        assert!(subscriber.try_receive().unwrap().is_none());
        assert!(!common::readable(fd));
    }
    let stats = publisher.stats();
    assert!(stats.wakes_sent >= 3 && stats.published == 6);
}

#[test]
fn a_wait_that_times_out_leaves_the_descriptors_listening() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { overflow: Overflow::Block, capacity: 16 << 10, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let (room, messages) = (publisher.fd().unwrap(), subscriber.fd().unwrap());
    for patience in [Duration::ZERO, Duration::from_millis(2)] {
        assert_eq!(subscriber.receive(Some(patience)).unwrap_err().kind(), ErrorKind::Timeout);
        assert!(!common::readable(messages));
        while publisher.send(&Payload::raw(&[1; 1000]), Some(patience)).is_ok() {}
        assert!(common::readable(messages) && !common::readable(room));
        while subscriber.try_receive().unwrap().is_some() {}
        assert!(common::readable(room));
    }
}

/// Whoever got room is rung no more by those that let samples go; who still waits for other room hears that it is
/// worth trying, and is armed again by the attempt that fails.
#[test]
fn a_publisher_that_got_room_is_armed_no_more() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions {
        overflow: Overflow::Block,
        capacity: 64 << 10,
        max_bytes: 100_000,
        ..Default::default()
    };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let room = publisher.fd().unwrap();
    let ring = place.files().into_iter().find(|file| file.parent().unwrap().ends_with("publishers")).unwrap();
    let is_armed = || std::fs::read(&ring).unwrap()[768] & 1 == 1;
    let (large, small) = (vec![1; 100_000], vec![2; 2000]);
    for _ in 0..3 {
        // Once round the ring and all read, so that there is room, which has to be claimed.
        for _ in 0..40 {
            publisher.try_send(&Payload::raw(&small)).unwrap();
            subscriber.try_receive().unwrap().unwrap();
        }
        publisher.try_send(&Payload::raw(&large)).unwrap();
        let blocked = |publisher: &mut Publisher| {
            assert!(!is_armed());
            expect(publisher.try_send(&Payload::raw(&large)), ErrorKind::WouldBlock, &["'t'"]);
            assert!(is_armed() && !common::readable(room));
        };
        blocked(&mut publisher);
        while is_armed() {
            publisher.try_send(&Payload::raw(&small)).unwrap();
        }
        assert!(common::readable(room));
        blocked(&mut publisher);
        drop(subscriber.borrow(SECOND).unwrap());
        assert!(common::readable(room));
        publisher.try_send(&Payload::raw(&large)).unwrap();
        assert!(!is_armed());
        while subscriber.try_borrow().unwrap().is_some() {}
    }
}

#[test]
fn wait_for_subscribers_waits_until_they_would_hear() {
    let place = Place::new();
    let domain = place.open();
    for round in 0..300 {
        let topic = format!("t{round}");
        let mut publisher = domain.publisher(&topic, &PublisherOptions::default()).unwrap();
        let (elsewhere, pattern) = (domain.clone(), topic.clone());
        let listening = std::thread::spawn(move || {
            let mut subscriber = elsewhere.subscriber(&pattern, &SubscriberOptions::default()).unwrap();
            subscriber.receive(Some(Duration::from_secs(10))).map(|m| m.data().to_vec())
        });
        // Looking all the time meets the moment in which it is known and does not hear yet.
        while publisher.wait_for_subscribers(1, Some(Duration::ZERO)).is_err() {}
        publisher.publish(b"first").unwrap();
        publisher.publish(b"second").unwrap();
        assert_eq!(listening.join().unwrap().unwrap(), b"first", "round {round}");
    }
}

/// A topic held to a schema: the publisher refuses what does not satisfy it, the subscriber passes it over with an
/// error that names it, and what it had missed before is told by the next.
#[test]
fn a_schema_holds_both_ends() {
    let place = Place::new();
    let ax = place.open();
    let schema = axonic::Schema::new(r#"{"type": "object", "required": ["id"]}"#).unwrap();
    let mut strict = ax
        .publisher("orders", &PublisherOptions { schema: Some(schema.clone()), ..Default::default() })
        .unwrap();
    let mut lax = ax.publisher("orders", &Default::default()).unwrap();
    let mut subscriber =
        ax.subscriber("orders", &SubscriberOptions { schema: Some(schema), ..Default::default() }).unwrap();
    for refused in [
        strict.publish(b"bytes"),
        strict.publish_json(&[1]),
        strict.publish_many(&[Payload::json(b"{\"id\": 1}"), Payload::json(b"{}")], None),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let mut loan = strict.loan(4096, None).unwrap();
    loan.fill(b' ');
    loan[..9].copy_from_slice(b"{\"id\": 1}");
    let raw = strict.commit(loan, &LoanMeta::default(), None);
    assert_eq!(raw.unwrap_err().kind(), ErrorKind::InvalidArgument);
    strict.publish_json(&serde_json::json!({"id": 1})).unwrap();
    assert_eq!(subscriber.receive(SECOND).unwrap().data(), br#"{"id":1}"#);

    lax.publish(b"bytes").unwrap();
    lax.publish(&vec![b' '; 1 << 20]).unwrap();
    lax.publish_json(&serde_json::json!({"id": 2})).unwrap();
    for _ in 0..2 {
        let e = subscriber.borrow(SECOND).unwrap_err();
        assert!(e.kind() == ErrorKind::Decode && e.to_string().contains("orders"), "{e}");
    }
    assert_eq!(subscriber.receive(SECOND).unwrap().data(), br#"{"id":2}"#);
    assert_eq!(subscriber.stats().pinned, 0);

    // Lapped while it did not read: the count comes with the first message that satisfies.
    for _ in 0..100_000 {
        lax.publish(b"bytes").unwrap();
    }
    lax.publish_json(&serde_json::json!({"id": 3})).unwrap();
    let mut passed = 0;
    let missed = loop {
        match subscriber.receive(SECOND) {
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Decode);
                passed += 1;
            }
            Ok(message) => break message.missed(),
        }
    };
    assert_eq!(missed + passed, 100_000);
    assert_eq!(subscriber.missed(), missed);
}

/// What a retaining publisher leaves is bounded by its budget, not by what others keep for late joiners.
#[test]
fn a_retaining_publisher_keeps_as_many_large_messages_as_its_budget_holds() {
    let place = Place::new();
    let domain = place.open();
    for (retain, kept) in [(true, 12), (false, 0)] {
        let topic = if retain { "kept" } else { "gone" };
        let options = PublisherOptions { retain, ..Default::default() };
        let mut publisher = domain.publisher(topic, &options).unwrap();
        (0..12u8).for_each(|n| publisher.publish(&vec![n; 1 << 20]).unwrap());
        drop(publisher);
        let oldest = SubscriberOptions { start: Start::Oldest, ..Default::default() };
        let mut subscriber = domain.subscriber(topic, &oldest).unwrap();
        let mut got = 0;
        while let Some(message) = subscriber.try_receive().unwrap() {
            assert!(message.data().len() == 1 << 20 && message.data()[0] == got);
            got += 1;
        }
        assert_eq!(got, kept);
    }
    domain.unlink(Noun::Topic, "kept").unwrap();
}
