//! Queues: each message to one consumer, until it is settled; by priority, in order, back after a death.

mod common;

use axonic::*;
use common::jobs::{get, options, pair, put, text};
use common::{Place, child, expect, readable, wait_readable};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const SOON: Option<Duration> = Some(Duration::from_millis(20));
const NOW: Duration = Duration::ZERO;

#[test]
fn messages_of_any_size_and_kind_pass_in_order() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let sizes = [0usize, 1, 15, 63, 64, 127, 128, 129, 224, 225, 448, 5000, 1 << 20, 8 << 20];
    for size in sizes {
        producer.put(&vec![size as u8; size], SECOND).unwrap();
    }
    for size in sizes {
        let delivery = get(&mut consumer);
        assert_eq!(delivery.data(), vec![size as u8; size]);
        assert_eq!((delivery.attempt(), delivery.priority(), delivery.content()), (1, 0, Content::Raw));
        delivery.ack().unwrap();
    }
    let mut attributes = Attributes::new();
    attributes.insert("type", "frame").unwrap();
    for elements in [6usize, 6000] {
        let tensor = Tensor::new(Dtype::U8, [2, elements / 2]);
        let data = vec![7; elements];
        let payload = Payload::tensor(&data, &tensor).with_attributes(&attributes);
        producer.put_with(&payload, &Put::default(), SECOND).unwrap();
        let delivery = get(&mut consumer);
        assert_eq!(delivery.data(), data);
        assert_eq!(
            (delivery.tensor().unwrap(), delivery.attributes().unwrap()),
            (Some(tensor), attributes.clone())
        );
        delivery.ack().unwrap();
    }
    assert!(consumer.try_get().unwrap().is_none());
    expect(consumer.get(SOON), ErrorKind::Timeout, &["jobs", "20ms"]);
    let both = [Payload::raw(b"one"), Payload::raw(b"two")];
    assert_eq!(producer.put_many(&both, &Put::default(), SECOND).unwrap(), 2);
    let many = consumer.get_many(5, &Get::default(), SECOND).unwrap();
    assert_eq!(many.iter().map(text).collect::<Vec<_>>(), ["one", "two"]);
    many.into_iter().for_each(|delivery| delivery.ack().unwrap());
    let stats = producer.stats();
    assert_eq!((stats.put, stats.delivered, stats.acked, stats.ready, stats.leased), (18, 18, 18, 0, 0));
    assert_eq!(stats.bytes, 0, "parts are left");
}

#[test]
fn the_highest_priority_comes_first_and_what_came_back_before_the_rest() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    for (text, priority) in [("a0", 0), ("b7", 7), ("c3", 3), ("d0", 0), ("e7", 7), ("f0", 0)] {
        put(&mut producer, text, Put { priority, ..Put::default() });
    }
    expect(
        producer.put_with(&Payload::raw(b""), &Put { priority: 8, ..Put::default() }, None),
        ErrorKind::InvalidArgument,
        &["jobs", "8", "7"],
    );
    let peeked: Vec<_> =
        consumer.peek(10).unwrap().iter().map(|p| String::from_utf8_lossy(p.data()).into_owned()).collect();
    assert_eq!(peeked, ["b7", "e7", "c3", "a0", "d0", "f0"]);
    let mut taken: Vec<Delivery> = (0..5).map(|_| get(&mut consumer)).collect();
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["b7", "e7", "c3", "a0", "d0"]);
    // Given back in another order than they were put.
    let last = taken.pop().unwrap();
    last.nack(NOW).unwrap();
    taken.pop().unwrap().nack(NOW).unwrap();
    drop(taken.pop().unwrap());
    let again: Vec<Delivery> = (0..4).map(|_| get(&mut consumer)).collect();
    assert_eq!(again.iter().map(text).collect::<Vec<_>>(), ["c3", "a0", "d0", "f0"]);
    assert_eq!(again.iter().map(Delivery::attempt).collect::<Vec<_>>(), [2, 2, 2, 1]);
    for delivery in again.into_iter().chain(taken) {
        delivery.ack().unwrap();
    }
    assert_eq!(consumer.stats().returned, 3);
}

#[test]
fn a_full_queue_holds_its_producers_back() {
    let place = Place::new();
    let domain = place.open();
    let small = QueueOptions { capacity: 10, ..options() };
    let (mut producer, mut consumer) = pair(&domain, &small);
    let mut other = domain.queue_producer("jobs", &small).unwrap();
    for n in 0..10u8 {
        let producer = if n % 2 == 0 { &mut producer } else { &mut other };
        producer.put(&[n], SECOND).unwrap();
    }
    expect(
        producer.try_put(&Payload::raw(b"x"), &Put::default()),
        ErrorKind::WouldBlock,
        &["jobs", "10", "capacity"],
    );
    expect(producer.put(b"x", SOON), ErrorKind::Timeout, &["jobs", "10", "capacity"]);
    get(&mut consumer).ack().unwrap();
    let three = [Payload::raw(&[10]), Payload::raw(b"no room"), Payload::raw(b"no room")];
    assert_eq!(other.put_many(&three, &Put::default(), SOON).unwrap(), 1);
    let waiting = std::thread::spawn(move || producer.put(&[11], Some(Duration::from_secs(10))));
    while consumer.stats().blocked < 3 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(20));
    for n in 1..12u8 {
        let delivery = get(&mut consumer);
        assert_eq!(delivery.data(), [n]);
        delivery.ack().unwrap();
    }
    waiting.join().unwrap().unwrap();
    // A leased message takes a place, too.
    let taken = {
        (0..10).for_each(|n| other.put(&[n], SECOND).unwrap());
        consumer.get_many(20, &Get::default(), SECOND).unwrap()
    };
    assert_eq!(taken.len(), 10);
    expect(other.put(b"x", SOON), ErrorKind::Timeout, &[]);
    taken.into_iter().for_each(|delivery| delivery.ack().unwrap());
}

#[test]
fn who_tries_a_long_full_queue_again_and_again_does_not_look_at_all_of_it_each_time() {
    let place = Place::new();
    let domain = place.open();
    let long = QueueOptions { capacity: 200_000, ..options() };
    let (mut producer, mut consumer) = pair(&domain, &long);
    let mut other = domain.queue_producer("jobs", &long).unwrap();
    let attempt = |producer: &mut QueueProducer| producer.try_put(&Payload::raw(b"x"), &Put::default());
    let looked = loop {
        let begun = Instant::now();
        if attempt(&mut producer).is_err() {
            break begun.elapsed();
        }
    };
    let begun = Instant::now();
    (0..200).for_each(|_| drop(expect(attempt(&mut producer), ErrorKind::WouldBlock, &["200000 messages"])));
    assert!(begun.elapsed() < looked * 100, "{:?} for 200, {looked:?} for one that looks", begun.elapsed());
    // What another has set aside is found all the same.
    let freed = consumer.get_many(64, &Get::default(), SECOND).unwrap();
    freed.into_iter().for_each(|delivery| delivery.ack().unwrap());
    other.put(b"x", SECOND).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    for _ in 1..64 {
        while attempt(&mut producer).is_err() {
            assert!(Instant::now() < end, "63 places are free");
        }
    }
    expect(attempt(&mut producer), ErrorKind::WouldBlock, &[]);
    assert_eq!(consumer.purge().unwrap(), 200_000);
}

#[test]
fn who_finds_no_room_is_told_what_takes_it() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 8, ..options() });
    let wanted = Put { result: true, ..Put::default() };
    let ticket = put(&mut producer, "work", wanted).ticket();
    (0..6).for_each(|_| drop(put(&mut producer, "more", Put::default())));
    put(&mut producer, "later", Put { delay: Duration::from_secs(100), ..Put::default() });
    get(&mut consumer).ack().unwrap();
    (0..3).for_each(|_| get(&mut consumer).reject("").unwrap());
    let held = consumer.get_many(2, &Get::default(), SECOND).unwrap();
    let filled =
        ["8 of 8", "1 ready", "1 for later", "2 held", "3 dead letters", "1 results", "settle what is held"];
    expect(producer.put(b"x", SOON), ErrorKind::Timeout, &filled);
    expect(
        producer.try_put(&Payload::raw(b"x"), &Put::default()),
        ErrorKind::WouldBlock,
        &["holds 8 messages", "counters"],
    );
    let refused = producer.put(b"x", SOON).unwrap_err();
    let (purge, fetch) = ("axonic queue purge --dead jobs", "fetch its results");
    let at = |word| refused.message().find(word).unwrap_or_else(|| panic!("{word}: {refused}"));
    assert!(at(purge) < at(fetch) && at(fetch) < at("larger capacity"), "{refused}");
    drop((held, ticket));
    consumer.purge_dead_letters().unwrap();
    (0..4).for_each(|_| drop(put(&mut producer, "again", Put::default())));
    expect(producer.put(b"x", SOON), ErrorKind::Timeout, &["8 of 8", "7 ready", "0 dead letters"]);
    assert_eq!(consumer.purge().unwrap(), 8);
}

#[test]
fn of_many_as_many_are_put_as_there_is_room_for() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 4, ..options() });
    let texts: Vec<[u8; 1]> = (0..6).map(|n| [n]).collect();
    let payloads: Vec<Payload> = texts.iter().map(|text| Payload::raw(text)).collect();
    let high = Put { priority: 5, ..Put::default() };
    assert_eq!(producer.put_many(&[], &high, SOON).unwrap(), 0);
    assert_eq!(producer.put_many(&payloads[..3], &high, None).unwrap(), 3);
    assert_eq!(producer.put_many(&payloads[3..], &high, SOON).unwrap(), 1);
    expect(producer.put_many(&payloads[4..], &high, SOON), ErrorKind::Timeout, &["jobs", "4", "capacity"]);
    let tickets = Put { result: true, ..Put::default() };
    expect(producer.put_many(&payloads, &tickets, SOON), ErrorKind::InvalidArgument, &["jobs", "tickets"]);
    for n in 0..4 {
        let delivery = get(&mut consumer);
        assert_eq!((delivery.data(), delivery.priority()), (&[n][..], 5));
        delivery.ack().unwrap();
    }
}

#[test]
fn large_messages_are_bounded_in_bytes() {
    let place = Place::new();
    let domain = place.open();
    let small = QueueOptions { max_bytes: 1 << 20, ..options() };
    let (mut producer, mut consumer) = pair(&domain, &small);
    expect(producer.put(&vec![0; 2 << 20], SECOND), ErrorKind::TooLarge, &["jobs", "2097152", "max_bytes"]);
    let (little, large) = (Payload::raw(b"little"), vec![0; 2 << 20]);
    let both = [little, Payload::raw(&large)];
    let put = producer.stats().put;
    expect(producer.put_many(&both, &Put::default(), SECOND), ErrorKind::TooLarge, &["jobs", "max_bytes"]);
    assert_eq!(producer.stats().put, put, "none is put");
    producer.check(&both[0]).unwrap();
    expect(producer.check(&both[1]), ErrorKind::TooLarge, &["jobs", "max_bytes"]);
    producer.put(&vec![1; 600 << 10], SECOND).unwrap();
    expect(producer.put(&vec![2; 600 << 10], SOON), ErrorKind::Timeout, &["jobs", "max_bytes"]);
    producer.put(&[3; 100], SECOND).unwrap();
    get(&mut consumer).ack().unwrap();
    get(&mut consumer).ack().unwrap();
    for _ in 0..20 {
        producer.put(&vec![2; 600 << 10], SECOND).unwrap();
        get(&mut consumer).ack().unwrap();
    }
    producer.put(&vec![2; 600 << 10], SECOND).unwrap();
    assert_eq!(consumer.purge().unwrap(), 1);
    assert_eq!(consumer.stats().bytes, 0);
}

#[test]
fn the_largest_message_there_can_be_passes() {
    const MOST: usize = 64 << 20;
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let mut data: Vec<u8> = (0..MOST as u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    producer.put(&data, SECOND).unwrap();
    let delivery = get(&mut consumer);
    assert!(delivery.data() == data);
    delivery.ack().unwrap();
    assert_eq!(producer.stats().bytes, 0);
    data.push(0);
    expect(producer.put(&data, SECOND), ErrorKind::TooLarge, &["jobs", "67108865", "64 MiB"]);
    assert_eq!(producer.stats().put, 1);
}

#[test]
fn dead_letters_keep_the_reason_and_can_be_taken_up_again() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { max_attempts: 2, ..options() });
    put(&mut producer, "poison", Put::default());
    put(&mut producer, "nonsense", Put::default());
    for attempt in 1..=2 {
        let delivery = get(&mut consumer);
        assert_eq!((text(&delivery), delivery.attempt()), ("poison", attempt));
        drop(delivery);
    }
    get(&mut consumer).reject(&"what is this? ".repeat(1000)).unwrap();
    assert!(consumer.try_get().unwrap().is_none());
    let dead = consumer.dead_letters(9).unwrap();
    let reasons: Vec<_> = dead.iter().map(|d| (d.data(), d.reason().unwrap())).collect();
    assert_eq!(reasons, [(&b"poison"[..], Reason::Attempts), (&b"nonsense"[..], Reason::Rejected)]);
    assert!(dead[1].reason_text().starts_with("what is this? what") && dead[1].reason_text().len() <= 4096);
    assert_eq!((consumer.stats().dead, consumer.stats().buried), (2, 2));
    assert_eq!(consumer.redrive(1).unwrap(), 1);
    let delivery = get(&mut consumer);
    assert_eq!((text(&delivery), delivery.attempt()), ("poison", 1));
    delivery.ack().unwrap();
    assert_eq!(consumer.purge().unwrap(), 0);
    assert_eq!(consumer.purge_dead_letters().unwrap(), 1);
    assert_eq!((consumer.stats().dead, consumer.stats().bytes), (0, 0));
    let too_many = QueueOptions { max_attempts: 65_536, ..options() };
    expect(
        domain.queue_consumer("x", &too_many),
        ErrorKind::InvalidArgument,
        &["x", "max_attempts", "65535"],
    );
}

#[test]
fn values_are_held_to_a_schema() {
    let place = Place::new();
    let domain = place.open();
    let strict = QueueOptions {
        schema: Some(Schema::new(r#"{"type": "integer"}"#).unwrap()),
        ..QueueOptions::default()
    };
    let mut producer = domain.queue_producer("jobs", &strict).unwrap();
    let mut careless = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &strict).unwrap();
    expect(producer.put(b"1", SOON), ErrorKind::InvalidArgument, &["queue 'jobs'", "raw", "nothing was put"]);
    let put = Put::default();
    let many = [Payload::json(b"1"), Payload::json(b"true")];
    expect(producer.put_many(&many, &put, SOON), ErrorKind::InvalidArgument, &["nothing was put"]);
    expect(producer.try_put(&many[1], &put), ErrorKind::InvalidArgument, &["'/type'"]);
    assert_eq!(consumer.stats().ready, 0);
    for text in ["[]", "1", "{}", "2", "{}"] {
        careless.put_with(&Payload::json(text.as_bytes()), &put, SOON).unwrap();
    }
    expect(consumer.get(SOON), ErrorKind::Decode, &["dead letters", "the same schema"]);
    let taken = consumer.get_many(9, &Get::default(), SOON).unwrap();
    assert_eq!(taken.iter().map(Delivery::data).collect::<Vec<_>>(), [b"1", b"2"]);
    taken.into_iter().for_each(|delivery| delivery.ack().unwrap());
    careless.put_with(&Payload::json(b"{}"), &put, SOON).unwrap();
    expect(consumer.try_get_many(9, &Get::default()), ErrorKind::Decode, &["dead letters"]);
    let letters = consumer.dead_letters(9).unwrap();
    assert!(letters.len() == 4 && letters.iter().all(|letter| letter.reason() == Some(Reason::Rejected)));
    assert!(letters[0].reason_text().contains("'/type'"), "{}", letters[0].reason_text());
    assert_eq!(consumer.purge_dead_letters().unwrap(), 4);
}

#[test]
fn a_lease_ends_by_time_and_its_holder_cannot_settle_any_more() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let mut other = domain.queue_consumer("jobs", &options()).unwrap();
    producer.put(b"slow", SECOND).unwrap();
    let short = Get { lease: Some(Duration::from_millis(40)), ..Get::default() };
    let mut late = consumer.get_with(&short, SECOND).unwrap();
    assert!(late.is_leased());
    expect(other.get(SOON), ErrorKind::Timeout, &[]);
    late.extend(Duration::from_millis(60)).unwrap();
    expect(other.get(Some(Duration::from_millis(40))), ErrorKind::Timeout, &[]);
    let taken = get(&mut other);
    assert_eq!((text(&taken), taken.attempt()), ("slow", 2));
    assert!(taken.token() > late.token() && !late.is_leased());
    expect(late.extend(Duration::from_secs(1)), ErrorKind::LeaseLost, &["jobs", "lease"]);
    expect(late.progress(0.5), ErrorKind::LeaseLost, &["jobs"]);
    expect(late.ack(), ErrorKind::LeaseLost, &["jobs"]);
    taken.ack().unwrap();
    // In time.
    producer.put(b"quick", SECOND).unwrap();
    let delivery = consumer.get_with(&short, SECOND).unwrap();
    delivery.ack().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(other.try_get().unwrap().is_none());
    assert_eq!(other.stats().returned, 1);
}

/// A storage that is asked with a token tells who is late, also when the message's place holds another by then.
#[test]
fn a_lease_ends_while_its_result_is_written() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let wanted = Put { result: true, ..Put::default() };
    let mut ticket = put(&mut producer, "a", wanted).ticket().unwrap();
    let mut other = domain.queue_consumer("jobs", &options()).unwrap();
    let result = vec![7; 64 << 20];
    let lease = Some(Duration::from_millis(5));
    let late = consumer.get_with(&Get { lease, ..Get::default() }, SECOND).unwrap();
    // It takes much longer than that to write it.
    let late = std::thread::spawn(move || late.ack_with(&Payload::raw(&result)));
    let again = get(&mut other);
    expect(late.join().unwrap(), ErrorKind::LeaseLost, &["jobs", "ran out"]);
    again.ack_with(&Payload::raw(b"of the second")).unwrap();
    assert_eq!(producer.result(&mut ticket, SECOND).unwrap().data(), b"of the second");
    assert_eq!(producer.stats().bytes, 0, "parts of the first are left");
}

#[test]
fn a_late_token_stays_the_smaller_one() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 1, ..options() });
    let mut other = domain.queue_consumer("jobs", &options()).unwrap();
    producer.put(b"slow", SECOND).unwrap();
    let short = Get { lease: Some(Duration::from_millis(1)), ..Get::default() };
    let late = consumer.get_with(&short, SECOND).unwrap();
    let (early, taken) = (late.token(), get(&mut other));
    let later = taken.token();
    taken.ack().unwrap();
    producer.put(b"another", SECOND).unwrap();
    assert!(late.token() == early && early < later, "{:#x} and {later:#x}", late.token());
    expect(late.ack(), ErrorKind::LeaseLost, &["jobs"]);
    get(&mut other).ack().unwrap();
}

#[test]
fn a_ticket_tells_what_became_of_a_message() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let wanted = || Put { result: true, ..Put::default() };
    let mut ticket = put(&mut producer, "work", wanted()).ticket().unwrap();
    assert!(ticket.try_result().unwrap().is_none());
    expect(producer.result(&mut ticket, SOON), ErrorKind::Timeout, &["jobs", "result"]);
    let delivery = get(&mut consumer);
    delivery.progress(0.5).unwrap();
    assert_eq!(ticket.progress(), 0.5);
    expect(delivery.progress(1.5), ErrorKind::InvalidArgument, &["jobs", "1.5"]);
    let worker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        delivery.ack_with(&Payload::json(br#"{"answer":42}"#)).unwrap();
    });
    let outcome = producer.result(&mut ticket, SECOND).unwrap();
    assert_eq!((outcome.data(), outcome.content()), (&br#"{"answer":42}"#[..], Content::Json));
    worker.join().unwrap();
    // Asked again, it answers the same.
    assert_eq!(producer.result(&mut ticket, SECOND).unwrap().data(), outcome.data());
    assert_eq!(ticket.try_result().unwrap().unwrap().content(), Content::Json);
    // A large result, none at all, and one nobody waits for.
    let large = vec![5; 100_000];
    let mut first = put(&mut producer, "a", wanted()).ticket().unwrap();
    let mut second = put(&mut producer, "b", wanted()).ticket().unwrap();
    let third = put(&mut producer, "c", wanted()).ticket();
    drop(third);
    get(&mut consumer).ack_with(&Payload::raw(&large)).unwrap();
    get(&mut consumer).ack().unwrap();
    get(&mut consumer).ack_with(&Payload::raw(b"for nobody")).unwrap();
    assert_eq!(producer.result(&mut first, SECOND).unwrap().data(), large);
    assert_eq!(producer.result(&mut second, SECOND).unwrap().data(), b"");
    assert_eq!((producer.stats().done, producer.stats().bytes), (0, 0));
    // What is dead, and what was taken away.
    let mut dead = put(&mut producer, "d", wanted()).ticket().unwrap();
    get(&mut consumer).reject("no such thing").unwrap();
    expect(producer.result(&mut dead, SECOND), ErrorKind::Rejected, &["jobs", "rejected", "no such thing"]);
    consumer.purge_dead_letters().unwrap();
    expect(dead.try_result(), ErrorKind::Rejected, &["jobs", "rejected", "no such thing"]);
    let mut gone = put(&mut producer, "e", wanted()).ticket().unwrap();
    consumer.purge().unwrap();
    for _ in 0..2 {
        expect(producer.result(&mut gone, SECOND), ErrorKind::NotFound, &["jobs", "gone"]);
    }
}

#[test]
fn the_same_id_is_put_once_as_far_as_ids_are_remembered() {
    let place = Place::new();
    let domain = place.open();
    let within = Duration::from_millis(80);
    let few = QueueOptions { dedup: Dedup { count: 3, within }, ..options() };
    let (mut producer, mut consumer) = pair(&domain, &few);
    let mut other = domain.queue_producer("jobs", &few).unwrap();
    let with = |id: &str| Put { dedup_id: Some(id.into()), ..Put::default() };
    assert!(!put(&mut producer, "1", with("a")).is_duplicate());
    assert!(put(&mut producer, "2", with("a")).is_duplicate());
    assert!(put(&mut other, "3", with("a")).is_duplicate());
    // It counts although the message is done with.
    get(&mut consumer).ack().unwrap();
    assert!(put(&mut other, "4", with("a")).is_duplicate());
    for id in ["b", "c", "d"] {
        assert!(!put(&mut other, id, with(id)).is_duplicate());
    }
    assert!(!put(&mut producer, "5", with("a")).is_duplicate(), "three others came in between");
    assert!(put(&mut producer, "6", with("d")).is_duplicate());
    std::thread::sleep(within);
    assert!(!put(&mut producer, "7", with("d")).is_duplicate(), "the time is over");
    assert_eq!(consumer.purge().unwrap(), 5);
    assert_eq!(consumer.stats().put, 6);
    let none = QueueOptions { dedup: Dedup { count: 0, within }, ..options() };
    expect(domain.queue_producer("x", &none), ErrorKind::InvalidArgument, &["x", "dedup", "1048576"]);
}

#[test]
fn that_it_was_put_before_is_told_of_a_message_for_which_there_is_no_room() {
    let place = Place::new();
    let domain = place.open();
    let small = QueueOptions { capacity: 2, max_bytes: 16 * 224, ..options() };
    let (mut producer, mut consumer) = pair(&domain, &small);
    let mut other = domain.queue_producer("jobs", &small).unwrap();
    let with = |id: &str| Put { dedup_id: Some(id.into()), ..Put::default() };
    put(&mut producer, &"1".repeat(1000), with("a"));
    // No room for its bytes, and then none for any.
    let large = [7; 3000];
    assert!(other.try_put(&Payload::raw(&large), &with("a")).unwrap().is_duplicate());
    expect(other.try_put(&Payload::raw(&large), &with("b")), ErrorKind::WouldBlock, &["jobs", "no room"]);
    put(&mut producer, "2", with("b"));
    for producer in [&mut producer, &mut other] {
        assert!(producer.try_put(&Payload::raw(b"3"), &with("a")).unwrap().is_duplicate());
        assert!(put(producer, "4", with("b")).is_duplicate());
        expect(producer.try_put(&Payload::raw(b"5"), &with("c")), ErrorKind::WouldBlock, &["no room"]);
        let waited = producer.put_with(&Payload::raw(b"6"), &with("c"), SOON);
        expect(waited, ErrorKind::Timeout, &["no room"]);
    }
    assert_eq!(consumer.purge().unwrap(), 2);
}

#[test]
fn a_late_consumer_changes_nothing_of_what_became_of_a_message() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut late) = pair(&domain, &options());
    let mut other = domain.queue_consumer("jobs", &options()).unwrap();
    let short = Get { lease: Some(Duration::from_millis(5)), ..Get::default() };
    let wanted = || Put { result: true, ..Put::default() };
    let mut work = put(&mut producer, "work", wanted()).ticket().unwrap();
    let outlived = late.get_with(&short, SECOND).unwrap();
    get(&mut other).ack_with(&Payload::raw(b"right")).unwrap();
    expect(outlived.ack_with(&Payload::raw(b"wrong, and too late")), ErrorKind::LeaseLost, &["jobs"]);
    assert_eq!(producer.result(&mut work, SECOND).unwrap().data(), b"right");
    put(&mut producer, "nonsense", Put::default());
    let outlived = late.get_with(&short, SECOND).unwrap();
    get(&mut other).reject("right").unwrap();
    expect(outlived.reject("wrong, and too late"), ErrorKind::LeaseLost, &["jobs"]);
    assert_eq!(other.dead_letters(1).unwrap()[0].reason_text(), "right");
    other.purge_dead_letters().unwrap();
    // Another time for which it is given back does not delay it.
    put(&mut producer, "at once", Put::default());
    let outlived = late.get_with(&short, SECOND).unwrap();
    let taken = get(&mut other);
    expect(outlived.nack(Duration::from_secs(100)), ErrorKind::LeaseLost, &["jobs"]);
    taken.nack(Duration::from_millis(1)).unwrap();
    get(&mut other).ack().unwrap();
    assert_eq!(producer.stats().bytes, 0);
}

#[test]
fn no_part_of_a_message_is_lost() {
    let place = Place::new();
    let domain = place.open();
    let small = QueueOptions { max_bytes: 64 * 224, ..options() };
    let (mut producer, mut consumer) = pair(&domain, &small);
    // The reason stays with a dead letter only.
    put(&mut producer, "poison", Put::default());
    get(&mut consumer).reject("bad luck").unwrap();
    assert!(consumer.stats().bytes > 0);
    assert_eq!(consumer.redrive(1).unwrap(), 1);
    get(&mut consumer).ack().unwrap();
    assert_eq!(consumer.stats().bytes, 0);
    // What others have at hand and do not need is there for who needs it all.
    let mut others: Vec<_> = (0..3).map(|_| domain.queue_producer("jobs", &small).unwrap()).collect();
    for other in &mut others {
        other.put(&[1; 200], SECOND).unwrap();
        get(&mut consumer).ack().unwrap();
    }
    producer.put(&[7; 64 * 224], SECOND).unwrap();
    let whole = get(&mut consumer);
    assert_eq!(whole.data(), [7; 64 * 224]);
    whole.ack().unwrap();
}

#[test]
fn progress_begins_anew_with_each_message() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 1, ..options() });
    for _ in 0..2 {
        let ticket = put(&mut producer, "work", Put { result: true, ..Put::default() }).ticket().unwrap();
        assert_eq!(ticket.progress(), 0.0);
        let delivery = get(&mut consumer);
        delivery.progress(0.5).unwrap();
        drop(ticket);
        delivery.ack().unwrap();
    }
}

#[test]
fn descriptors_tell_of_messages_and_of_room() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &QueueOptions { capacity: 2, ..options() });
    let fd = consumer.fd().unwrap();
    assert!(readable(fd), "before the first look");
    assert!(consumer.try_get().unwrap().is_none());
    assert!(!readable(fd));
    producer.put(b"1", SECOND).unwrap();
    assert!(wait_readable(fd, Duration::from_secs(1)));
    let first = consumer.try_get().unwrap().unwrap();
    assert!(consumer.try_get().unwrap().is_none());
    assert!(!readable(fd));
    // What comes later rings when it is time.
    put(&mut producer, "2", Put { delay: Duration::from_millis(30), ..Put::default() });
    assert!(consumer.try_get().unwrap().is_none() && !readable(fd));
    assert!(wait_readable(fd, Duration::from_secs(1)));
    let second = consumer.try_get().unwrap().unwrap();
    let room = producer.fd().unwrap();
    expect(producer.try_put(&Payload::raw(b"3"), &Put::default()), ErrorKind::WouldBlock, &[]);
    assert!(!readable(room));
    first.ack().unwrap();
    assert!(wait_readable(room, Duration::from_secs(1)));
    producer.try_put(&Payload::raw(b"3"), &Put::default()).unwrap();
    second.ack().unwrap();
    consumer.try_get().unwrap().unwrap().ack().unwrap();
    assert_eq!(consumer.stats().acked, 3);
}

#[test]
fn a_ring_that_a_look_for_deaths_took_is_not_the_last() {
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let fd = consumer.fd().unwrap();
    for _ in 0..5 {
        assert!(consumer.try_get().unwrap().is_none());
        producer.put(b"1", SECOND).unwrap();
        // Whoever always finds something asks for deaths every ten milliseconds.
        std::thread::sleep(Duration::from_millis(30));
        consumer.try_get().unwrap().unwrap().ack().unwrap();
        assert!(consumer.try_get().unwrap().is_none());
        producer.put(b"2", SECOND).unwrap();
        assert!(wait_readable(fd, Duration::from_millis(300)));
        consumer.try_get().unwrap().unwrap().ack().unwrap();
    }
}

#[test]
fn what_a_dead_consumer_had_goes_to_another_at_once() {
    if let Some(role) = child::role() {
        let domain = Domain::open_with(common::options_in(&child::directory())).unwrap();
        let (mut producer, mut consumer) = pair(&domain, &options());
        if role == "producer" {
            producer.put(b"from the dead", SECOND).unwrap();
        } else {
            std::mem::forget(get(&mut consumer));
            std::mem::forget(get(&mut consumer));
        }
        child::ready_until_told();
    }
    let place = Place::new();
    let domain = place.open();
    let (mut producer, mut consumer) = pair(&domain, &options());
    let name = "what_a_dead_consumer_had_goes_to_another_at_once";
    for n in 0..3u8 {
        producer.put(&[n], SECOND).unwrap();
    }
    let running = child::Running::start(name, "consumer", place.path());
    let third = get(&mut consumer);
    assert_eq!(third.data(), [2]);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        let killed = Instant::now();
        running.kill();
        killed
    });
    let first = consumer.get(Some(Duration::from_secs(10))).unwrap();
    let after = Instant::now().duration_since(killer.join().unwrap());
    assert!(after < Duration::from_millis(500), "{after:?} after the death");
    let second = get(&mut consumer);
    assert_eq!((first.data(), first.attempt(), second.data()), (&[0][..], 2, &[1][..]));
    child::Running::start(name, "producer", place.path()).kill();
    let orphan = get(&mut consumer);
    assert_eq!(orphan.data(), b"from the dead");
    for delivery in [third, first, second, orphan] {
        delivery.ack().unwrap();
    }
}

#[test]
fn a_queue_stays_while_something_is_in_it() {
    let place = Place::new();
    let domain = place.open();
    {
        let (mut producer, mut consumer) = pair(&domain, &options());
        producer.put(b"a", SECOND).unwrap();
        producer.put(b"b", SECOND).unwrap();
        // Not settled, and its consumer is gone before it.
        let delivery = get(&mut consumer);
        drop(consumer);
        assert_eq!(delivery.data(), b"a");
        delivery.ack().unwrap();
    }
    domain.close();
    let domain = place.open();
    let mut consumer = domain.queue_consumer("jobs", &QueueOptions { capacity: 5, ..options() }).unwrap();
    expect(domain.unlink(Noun::Queue, "jobs"), ErrorKind::Busy, &["queue", "jobs"]);
    assert_eq!(consumer.stats().capacity, 65536, "whoever makes it decides");
    get(&mut consumer).ack().unwrap();
    drop(consumer);
    assert!(place.files().iter().all(|path| !path.to_string_lossy().contains("jobs")), "{:?}", place.files());
    domain.queue_producer("jobs", &options()).unwrap().put(b"never read", SECOND).unwrap();
    domain.unlink(Noun::Queue, "jobs").unwrap();
    expect(domain.unlink(Noun::Queue, "jobs"), ErrorKind::NotFound, &["queue", "jobs"]);
}

#[test]
fn a_queue_that_only_the_dead_have_open_goes_when_nothing_is_in_it() {
    const NAME: &str = "a_queue_that_only_the_dead_have_open_goes_when_nothing_is_in_it";
    if let Some(role) = child::role() {
        let domain = Domain::open_with(common::options_in(&child::directory())).unwrap();
        let (mut producer, mut consumer) = pair(&domain, &options());
        producer.put(b"x", SECOND).unwrap();
        if role == "acked" {
            get(&mut consumer).ack().unwrap();
        }
        child::ready_until_told();
    }
    let place = Place::new();
    let domain = place.open();
    let jobs = || place.files().iter().any(|path| path.ends_with("queues/jobs"));
    child::Running::start(NAME, "acked", place.path()).kill();
    assert!(jobs());
    // Whoever opens the first object sweeps up.
    drop(domain.queue_producer("other", &options()).unwrap());
    assert!(!jobs());
    child::Running::start(NAME, "left", place.path()).kill();
    domain.close();
    let domain = place.open();
    drop(domain.queue_producer("other", &options()).unwrap());
    assert!(jobs(), "a message is in it");
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn many_threads_share_the_work() {
    let place = Place::new();
    let domain = place.open();
    let each = 20_000u64;
    let count = std::sync::atomic::AtomicU64::new(0);
    let sum = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for p in 0..3u64 {
            let mut producer =
                domain.queue_producer("jobs", &QueueOptions { capacity: 500, ..options() }).unwrap();
            scope.spawn(move || {
                for n in 0..each {
                    producer.put(&(p * each + n).to_le_bytes(), Some(Duration::from_secs(30))).unwrap();
                }
            });
        }
        for _ in 0..3 {
            let mut consumer =
                domain.queue_consumer("jobs", &QueueOptions { capacity: 500, ..options() }).unwrap();
            let (count, sum) = (&count, &sum);
            scope.spawn(move || {
                let mut last = [0u64; 3];
                while count.load(std::sync::atomic::Ordering::Relaxed) < 3 * each {
                    let Ok(delivery) = consumer.get(Some(Duration::from_millis(100))) else { continue };
                    let n = u64::from_le_bytes(delivery.data().try_into().unwrap());
                    let (p, n) = ((n / each) as usize, n % each + 1);
                    assert!(n > last[p], "{n} of {p} after {}", last[p]);
                    last[p] = n;
                    sum.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
                    delivery.ack().unwrap();
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 3 * (each * (each + 1) / 2));
    assert_eq!(count.into_inner(), 3 * each);
}
