//! What exists after what: the lifetime table of docs/protocol.md, row by row, for closing in every order, for
//! ending without closing and for being killed; and who takes away what stays.

mod common;

use axonic::*;
use common::child::{self, Running};
use common::{Place, expect, files_in, options_in};
use std::any::Any;
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

fn block() -> PublisherOptions {
    PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() }
}

fn retained() -> PublisherOptions {
    PublisherOptions { retain: true, ..block() }
}

fn oldest() -> SubscriberOptions {
    SubscriberOptions { start: Start::Oldest, ..Default::default() }
}

fn region(size: usize) -> RegionOptions {
    RegionOptions { size: Some(size), ..Default::default() }
}

/// The domain's files by kind, without the table that stays as long as anything does.
fn left(place: &Place) -> Vec<String> {
    place.kinds().into_iter().filter(|kind| kind != "participants").collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

// ---- what is owed, retained, unread

#[test]
fn a_finished_ring_stays_for_those_it_is_owed_to() {
    let place = Place::new();
    let (domain, other) = (place.open(), place.open());
    let mut first = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let second = other.subscriber("*", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    publisher.publish(b"small").unwrap();
    publisher.publish(&[1; 9000]).unwrap();
    drop(publisher);
    let owed = ["bells", "bells", "publishers", "segments", "subscribers", "subscribers"];
    assert_eq!(left(&place), owed);
    // Neither the next to come nor the doctor takes what somebody alive is owed.
    drop(place.open().subscriber("else", &SubscriberOptions::default()).unwrap());
    assert!(doctor(&place.options(), true).unwrap().iter().all(|f| !f.cleanable));
    assert_eq!(left(&place), owed);
    first.receive(SECOND).unwrap();
    first.receive(SECOND).unwrap();
    assert!(first.try_receive().unwrap().is_none());
    assert_eq!(left(&place), owed, "the second has not read");
    // The last one it is owed to goes without reading it.
    drop(second);
    assert_eq!(left(&place), ["bells", "subscribers"]);
    assert!(first.try_receive().unwrap().is_none());
    drop(first);
    assert_eq!(left(&place), nothing());
}

#[test]
fn a_reader_that_listens_on_takes_finished_rings_away() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    for round in 0..200u32 {
        let mut publisher = domain.publisher("t", &block()).unwrap();
        publisher.publish(&round.to_le_bytes()).unwrap();
        publisher.publish(&[1; 5000]).unwrap();
        drop(publisher);
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), round.to_le_bytes());
        assert_eq!(subscriber.receive(SECOND).unwrap().data().len(), 5000);
        assert!(subscriber.try_receive().unwrap().is_none());
        assert_eq!(left(&place), ["bells", "subscribers"]);
    }
    assert_eq!((subscriber.missed(), subscriber.stats().rings), (0, 0));
}

#[test]
fn retained_messages_stay_until_unlinked() {
    let place = Place::new();
    let domain = place.open();
    drop(domain.publisher("t", &retained()).unwrap());
    assert_eq!(left(&place), nothing(), "nothing was published, so nothing is retained");
    let mut publisher = domain.publisher("t", &retained()).unwrap();
    publisher.publish(&[1; 9000]).unwrap();
    expect(
        domain.unlink(Noun::Topic, "t"),
        ErrorKind::Busy,
        &["topic 't'", "live publisher in this process", "close it first"],
    );
    drop(publisher);
    drop(domain);
    assert_eq!(left(&place), ["publishers", "segments"], "after the last participant too");
    for _ in 0..2 {
        let mut late = place.open().subscriber("t", &oldest()).unwrap();
        assert_eq!(late.receive(SECOND).unwrap().data(), [1; 9000]);
        let mut latest = place.open().subscriber("t", &SubscriberOptions::default()).unwrap();
        assert!(latest.try_receive().unwrap().is_none());
    }
    assert!(doctor(&place.options(), true).unwrap().iter().all(|f| !f.cleanable));
    assert_eq!(left(&place), ["publishers", "segments"]);
    let domain = place.open();
    let mut reader = domain.subscriber("t", &oldest()).unwrap();
    domain.unlink(Noun::Topic, "t").unwrap();
    assert_eq!(left(&place), ["bells", "subscribers"]);
    expect(domain.unlink(Noun::Topic, "t"), ErrorKind::NotFound, &["topic 't'"]);
    // Who had it before the unlink keeps what is mapped; what it had not mapped yet is gone, and said to be.
    expect(reader.receive(SECOND), ErrorKind::NotFound, &["topic 't'"]);
    assert!(reader.try_receive().unwrap().is_none());
}

#[test]
fn an_unread_ring_waits_for_its_consumer() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    producer.push(b"one", None).unwrap();
    producer.push(b"two", None).unwrap();
    expect(domain.unlink(Noun::Ring, "r"), ErrorKind::Busy, &["ring 'r'", "live process"]);
    drop((producer, domain));
    let unread = ["rings/r", "rings/r*cursor"];
    assert_eq!(left(&place), unread);
    assert!(doctor(&place.options(), true).unwrap().iter().all(|f| !f.cleanable));
    let domain = place.open();
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    assert_eq!(consumer.pop(SECOND).unwrap(), b"one");
    drop((consumer, domain));
    assert_eq!(left(&place), unread, "a message that was not released comes again");
    let domain = place.open();
    domain.unlink(Noun::Ring, "r").unwrap();
    expect(domain.unlink(Noun::Ring, "r"), ErrorKind::NotFound, &["ring 'r'"]);
    drop(domain.ring_consumer("r", &RingOptions::default()).unwrap());
    assert_eq!(left(&place), nothing(), "an end opened and closed for nothing leaves nothing");
}

#[test]
fn a_region_stays_until_unlinked() {
    let place = Place::new();
    let domain = place.open();
    let memory = domain.region("m", &region(100)).unwrap();
    memory.write(0, b"kept").unwrap();
    drop((memory, domain));
    assert_eq!(left(&place), ["regions/m"]);
    assert!(doctor(&place.options(), true).unwrap().is_empty());
    let domain = place.open();
    let memory = domain.region("m", &RegionOptions::default()).unwrap();
    domain.unlink(Noun::Region, "m").unwrap();
    assert_eq!(left(&place), nothing());
    let mut bytes = [0; 4];
    memory.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    let new = domain.region("m", &region(100)).unwrap();
    new.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4]);
    domain.unlink(Noun::Region, "m").unwrap();
}

#[test]
fn finished_publishers_do_not_pile_up() {
    const MOST: usize = 64;
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let once = |options: &PublisherOptions, word: &[u8]| {
        domain.publisher("t", options).map(|mut p| p.publish(word).unwrap())
    };
    let dropping = PublisherOptions { overflow: Overflow::DropOldest, ..block() };
    let publishers = || snapshot(&place.options()).unwrap().publishers;
    let rings = || publishers().iter().filter(|p| p.capacity > 0).count();
    for i in 0..100u8 {
        once(&dropping, &[i]).unwrap();
        assert!(rings() <= MOST, "{}", rings());
    }
    assert_eq!((rings(), publishers().len()), (MOST, 100));
    // What may not be dropped is refused instead; what may be goes first.
    for _ in 0..MOST {
        once(&block(), b"owed").unwrap();
    }
    expect(
        once(&block(), b"too many"),
        ErrorKind::LimitReached,
        &["topic 't'", "64 finished publishers", "axonic unlink topic t"],
    );
    assert_eq!(rings(), MOST);
    let owed: Vec<_> = std::iter::from_fn(|| {
        subscriber.receive(Some(Duration::from_millis(50))).ok().map(|m| m.data().to_vec())
    })
    .collect();
    assert_eq!(owed.iter().filter(|data| *data == b"owed").count(), MOST);
    // The others gave way to them, and are told of exactly.
    assert_eq!((owed.len(), subscriber.missed()), (MOST, 100));
    assert_eq!(publishers().len(), 0);
    once(&block(), b"again").unwrap();
    drop(subscriber);
    // Retained ones count too, and unlinking frees their places.
    for _ in 0..MOST {
        once(&retained(), b"kept").unwrap();
    }
    expect(
        once(&dropping, b"x"),
        ErrorKind::LimitReached,
        &["topic 't'", "retained", "axonic unlink topic t"],
    );
    domain.unlink(Noun::Topic, "t").unwrap();
    once(&dropping, b"x").unwrap();
}

/// A subscriber that never looks while publishers come and go is told of every message it was owed; one that was
/// in the middle of a ring reads on, and one that has read a ring out takes no place of it.
#[test]
fn what_was_dropped_behind_a_sleeping_subscriber_is_counted() {
    const EACH: u64 = 7;
    let place = Place::new();
    let domain = place.open();
    let mut sleeping = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut reading = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let dropping = PublisherOptions { overflow: Overflow::DropOldest, ..block() };
    let mut read = 0;
    for round in 0..200 {
        let mut publisher = domain.publisher("t", &dropping).unwrap();
        (0..EACH).for_each(|n| publisher.publish(&vec![round; if n == 3 { 9000 } else { 10 }]).unwrap());
        if round == 0 {
            // It has begun with this ring, and stops within it.
            sleeping.receive(SECOND).unwrap();
        }
        if round % 3 == 0 {
            drop(publisher);
            while reading.try_receive().unwrap().is_some() {
                read += 1;
            }
        }
    }
    while reading.try_receive().unwrap().is_some() {
        read += 1;
    }
    assert_eq!((read, reading.missed(), reading.stats().rings), (200 * EACH, 0, 0));
    let seen = snapshot(&place.options()).unwrap();
    let lag = |id: u64| seen.subscribers.iter().find(|s| s.id == id).unwrap().lag.len();
    assert!(lag(reading.id()) == 0 && lag(sleeping.id()) > 1, "{seen:?}");
    let mut read = 1;
    while sleeping.try_receive().unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read + sleeping.missed(), 200 * EACH);
    assert!(read >= 63 * EACH, "{read}");
    assert_eq!(snapshot(&place.options()).unwrap().publishers.len(), 0);
    drop((sleeping, reading, domain));
    assert_eq!(left(&place), Vec::<String>::new());
}

/// There is an end to how many dropped rings are remembered, and it is told before anything is lost: by the error, and
/// by the doctor to who only looks.
#[test]
fn there_is_an_end_to_what_a_sleeper_can_be_told() {
    const MOST: usize = 64 + 1024;
    let place = Place::new();
    let domain = place.open();
    let mut sleeping = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let dropping = PublisherOptions { overflow: Overflow::DropOldest, ..block() };
    let once = || domain.publisher("t", &dropping).map(|mut p| p.publish(b"x").unwrap());
    let told = || doctor(&place.options(), false).unwrap().into_iter().find(|f| f.kind == "orphans").unwrap();
    (1..MOST).for_each(|_| once().unwrap());
    assert_eq!(told().severity, Severity::Warning);
    once().unwrap();
    let words =
        ["topic 't'", "1024 finished publishers", "never looks", "axonic stat", "axonic unlink topic t"];
    expect(once(), ErrorKind::LimitReached, &words);
    let found = told();
    assert_eq!(found.severity, Severity::Problem);
    let all = format!("{} {} {}", found.what, found.why, found.remedy);
    let who = format!("(pid {})", std::process::id());
    for words in ["64 of at most 64", "1024 of at most 1024", &who, "LimitReached", "let the subscriber read"]
    {
        assert!(all.contains(words), "'{words}' is not in: {all}");
    }
    let topic = &snapshot(&place.options()).unwrap().topics[0];
    assert_eq!((topic.publishers, topic.orphans, topic.remnants), (0, 64, 1024));
    let mut read = 0;
    while sleeping.try_receive().unwrap().is_some() {
        read += 1;
    }
    assert_eq!((read, sleeping.missed()), (64, 1024));
    once().unwrap();
    assert_eq!(snapshot(&place.options()).unwrap().publishers.len(), 1);
}

/// Finished rings that another subscriber never reads take no place from one that has read them.
#[test]
fn a_stalled_subscriber_does_not_crowd_another() {
    let place = Place::new();
    let domain = place.open();
    let stalled = domain.subscriber(">", &SubscriberOptions::default()).unwrap();
    let mut reading = domain.subscriber(">", &SubscriberOptions::default()).unwrap();
    for round in 0..50 {
        for topic in 0..25 {
            let mut publisher = domain.publisher(&format!("t.{topic}"), &block()).unwrap();
            publisher.publish(b"x").unwrap();
            drop(publisher);
            let message = reading.receive(SECOND).unwrap_or_else(|e| panic!("{round}: {e}"));
            assert_eq!(message.topic(), format!("t.{topic}"));
        }
    }
    assert_eq!(snapshot(&place.options()).unwrap().publishers.len(), 1250);
    drop(stalled);
    assert_eq!(snapshot(&place.options()).unwrap().publishers.len(), 0);
}

// ---- ending without closing

const ROLES: &str = "what_a_process_leaves_without_closing_is_collected";

/// Plays one of the processes that end without closing anything.
fn play(role: &str) -> ! {
    let domain =
        Domain::open_with(DomainOptions { label: Some(role.into()), ..options_in(&child::directory()) })
            .unwrap();
    let fill = |mut publisher: Publisher| {
        publisher.publish(b"small").unwrap();
        publisher.publish(&[1; 9000]).unwrap();
        publisher
    };
    let made: Box<dyn Any> = match role {
        "publisher" => Box::new(fill(domain.publisher("t", &block()).unwrap())),
        "retained" => Box::new(fill(domain.publisher("t", &retained()).unwrap())),
        "subscriber" => {
            let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
            let sample = subscriber.try_borrow().unwrap();
            Box::new((subscriber, sample))
        }
        "producer" => {
            let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
            producer.push(b"one", None).unwrap();
            producer.push(b"two", None).unwrap();
            Box::new(producer)
        }
        "consumer" => {
            let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
            assert_eq!(consumer.pop(SECOND).unwrap(), b"one");
            Box::new(consumer)
        }
        "idle ring" => Box::new((
            domain.ring_producer("r", &RingOptions::default()).unwrap(),
            domain.ring_consumer("r", &RingOptions::default()).unwrap(),
        )),
        "region" => Box::new(domain.region("m", &region(100)).unwrap()),
        "participant" => Box::new(()),
        _ => panic!("{role}"),
    };
    std::mem::forget((made, domain));
    child::ready_until_told()
}

/// Runs a role to its end, by exit and by kill, and looks what is left each time.
fn after(role: &str, check: &dyn Fn(&Place)) {
    for end in [Running::exit, Running::kill] {
        let place = Place::new();
        end(Running::start(ROLES, role, place.path()));
        check(&place);
    }
}

/// The doctor lists exactly these kinds of files as left behind, removes nothing when it only looks, and
/// exactly them when it cleans.
fn cleaned(place: &Place, kinds: &[&str]) {
    let before = files_in(place.path());
    let listed = |findings: Vec<Finding>| {
        let mut paths: Vec<PathBuf> =
            findings.into_iter().filter(|f| f.cleanable).filter_map(|f| f.path).collect();
        paths.sort();
        paths
    };
    let named = listed(doctor(&place.options(), false).unwrap());
    let mut found: Vec<String> = named
        .iter()
        .map(|p| p.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, kinds);
    assert_eq!(files_in(place.path()), before, "looking changes nothing");
    assert_eq!(listed(doctor(&place.options(), true).unwrap()), named);
    assert!(named.iter().all(|path| !path.exists()));
}

#[test]
fn what_a_process_leaves_without_closing_is_collected() {
    if let Some(role) = child::role() {
        play(&role);
    }
    after("publisher", &|place| {
        assert_eq!(left(place), ["bells", "publishers", "segments"]);
        let findings = doctor(&place.options(), false).unwrap();
        assert!(findings.iter().any(|f| f.what.contains("'publisher' (pid")), "{findings:?}");
        // A segment goes with its ring, so it is not named by itself.
        cleaned(place, &["bells", "publishers"]);
        assert_eq!(left(place), nothing());
    });
    after("publisher", &|place| {
        // Opening the domain alone collects nothing, making something in it does.
        drop(place.open());
        assert_eq!(left(place), ["bells", "publishers", "segments"]);
        let _subscriber = place.open().subscriber("else", &SubscriberOptions::default()).unwrap();
        assert_eq!(left(place), ["bells", "subscribers"]);
    });
    after("subscriber", &|place| {
        assert_eq!(left(place), ["bells", "subscribers"]);
        cleaned(place, &["bells", "subscribers"]);
        assert_eq!(left(place), nothing());
    });
    after("retained", &|place| {
        cleaned(place, &["bells"]);
        assert_eq!(left(place), ["publishers", "segments"]);
        let domain = place.open();
        let mut late = domain.subscriber("t", &oldest()).unwrap();
        assert_eq!(late.receive(SECOND).unwrap().data(), b"small");
        assert_eq!(late.receive(SECOND).unwrap().data(), [1; 9000]);
        domain.unlink(Noun::Topic, "t").unwrap();
    });
    after("producer", &|place| {
        assert_eq!(left(place), ["bells", "rings/r", "rings/r*cursor"]);
        cleaned(place, &["bells"]);
        let mut consumer = place.open().ring_consumer("r", &RingOptions::default()).unwrap();
        assert_eq!(consumer.pop(SECOND).unwrap(), b"one");
        assert_eq!(consumer.pop(SECOND).unwrap(), b"two");
        expect(consumer.pop(SECOND), ErrorKind::Disconnected, &["ring 'r'", "producer ended"]);
    });
    after("idle ring", &|place| {
        assert_eq!(left(place), ["bells", "bells", "rings/r", "rings/r*cursor"]);
        cleaned(place, &["bells", "bells", "rings"]);
        assert_eq!(left(place), nothing());
    });
    after("region", &|place| {
        cleaned(place, &[]);
        assert_eq!(left(place), ["regions/m"]);
        place.open().unlink(Noun::Region, "m").unwrap();
    });
    after("participant", &|place| {
        assert_eq!(place.kinds(), ["participants"]);
        let seen = snapshot(&place.options()).unwrap();
        assert!(
            seen.participants.len() == 1
                && !seen.participants[0].alive
                && seen.participants[0].label == "participant"
        );
        let next = place.open();
        assert_eq!((next.participant().slot, next.participant().epoch), (0, 2), "its slot is free at once");
    });
}

#[test]
fn what_the_dead_said_is_still_heard() {
    for end in [Running::exit, Running::kill] {
        let place = Place::new();
        let domain = place.open();
        let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        end(Running::start(ROLES, "publisher", place.path()));
        // Others come and clean up, and leave what is owed to us.
        drop(place.open().publisher("t", &block()).unwrap());
        assert_eq!(left(&place).iter().filter(|kind| *kind == "publishers").count(), 1);
        cleaned(&place, &[]);
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), b"small");
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), [1; 9000]);
        assert!(subscriber.try_receive().unwrap().is_none());
        assert_eq!((left(&place), subscriber.missed()), (vec!["bells".to_string(), "subscribers".into()], 0));

        // A dead reader holds nobody up, its sample no memory.
        let mut publisher =
            domain.publisher("t", &PublisherOptions { max_bytes: 256 << 10, ..block() }).unwrap();
        publisher.publish(&[9; 9000]).unwrap();
        subscriber.receive(SECOND).unwrap();
        end(Running::start(ROLES, "subscriber", place.path()));
        for _ in 0..200 {
            publisher.send(&Payload::raw(&[1; 9000]), SECOND).unwrap();
            assert_eq!(subscriber.receive(SECOND).unwrap().missed(), 0);
        }

        // A ring goes on where the dead consumer had it.
        let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
        producer.push(b"one", None).unwrap();
        producer.push(b"two", None).unwrap();
        end(Running::start(ROLES, "consumer", place.path()));
        let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
        assert_eq!(consumer.pop(SECOND).unwrap(), b"one");
        assert_eq!(consumer.pop(SECOND).unwrap(), b"two");
        consumer.release().unwrap();
    }
}

#[test]
fn the_last_to_leave_takes_everything_along() {
    for end in [Running::exit, Running::kill] {
        let place = Place::new();
        let domain = place.open();
        let mut publisher = domain.publisher("t", &block()).unwrap();
        // They die after our first object swept; nobody comes after us.
        for role in ["publisher", "subscriber", "producer", "idle ring", "region"] {
            if role == "idle ring" {
                domain.unlink(Noun::Ring, "r").unwrap();
            }
            end(Running::start(ROLES, role, place.path()));
        }
        publisher.publish(b"x").unwrap();
        drop((publisher, domain));
        assert_eq!(left(&place), ["regions/m"]);
        place.open().unlink(Noun::Region, "m").unwrap();
    }
}
