//! What is told beside the answers of calls, and that whoever listens may use the library meanwhile.

mod common;

use axonic::*;
use common::{Place, child, options_in};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber as Listener, span};

const ROLES: &str = "events_are_told_with_no_lock_held";
const SOON: Option<Duration> = Some(Duration::from_secs(10));

/// Publishes every event of the library through the library, with the very domain handle it happens on.
struct Relay {
    domain: Domain,
    told: Arc<Mutex<Vec<(tracing::Level, String)>>>,
}

thread_local! {
    static RELAYING: Cell<bool> = const { Cell::new(false) };
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        assert_eq!(field.name(), "message");
        self.0 = format!("{value:?}");
    }
}

impl Relay {
    fn relay(&self, text: &str) {
        let mut subscriber = self.domain.subscriber("log", &SubscriberOptions::default()).unwrap();
        let mut publisher = self.domain.publisher("log", &PublisherOptions::default()).unwrap();
        publisher.publish(text.as_bytes()).unwrap();
        assert_eq!(subscriber.receive(SOON).unwrap().data(), text.as_bytes());
    }
}

impl Listener for Relay {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        if RELAYING.replace(true) {
            return;
        }
        assert!(event.metadata().target().starts_with("axonic::"));
        let mut text = Text(String::new());
        event.record(&mut text);
        self.relay(&text.0);
        self.told.lock().unwrap().push((*event.metadata().level(), text.0));
        RELAYING.set(false);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        unreachable!("the library opens no span")
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn ring_options() -> RingOptions {
    RingOptions::default()
}

fn play(role: &str) -> ! {
    let domain = Domain::open_with(DomainOptions {
        label: Some("the doomed".into()),
        ..options_in(&child::directory())
    })
    .unwrap();
    match role {
        "publisher" => {
            let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
            publisher.publish(b"last words").unwrap();
            child::ready_until_told()
        }
        "subscriber" => {
            let _subscriber = domain.subscriber("u", &SubscriberOptions::default()).unwrap();
            child::ready_until_told()
        }
        "other" => {
            let _other = Domain::open_with(DomainOptions {
                name: Some("other".into()),
                label: Some("the other".into()),
                ..options_in(&child::directory())
            })
            .unwrap();
            child::ready_until_told()
        }
        "producer" => {
            let _producer = domain.ring_producer("r", &ring_options()).unwrap();
            child::ready_until_told()
        }
        other => panic!("no role {other}"),
    }
}

/// Everything that is worth an event.
fn live(place: &Place, domain: &Domain) {
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("u", &PublisherOptions::default()).unwrap();

    let doomed = child::Running::start(ROLES, "publisher", place.path());
    assert_eq!(subscriber.receive(SOON).unwrap().data(), b"last words");
    doomed.kill();
    expect_nothing(&mut subscriber);

    let doomed = child::Running::start(ROLES, "subscriber", place.path());
    publisher.wait_for_subscribers(1, SOON).unwrap();
    publisher.publish(&[0; 100_000]).unwrap();
    doomed.kill();
    assert_eq!(publisher.subscribers(), 0);

    let mut consumer = domain.ring_consumer("r", &ring_options()).unwrap();
    let doomed = child::Running::start(ROLES, "producer", place.path());
    assert!(consumer.pop(Some(Duration::from_millis(50))).is_err());
    doomed.kill();
    assert_eq!(consumer.pop(SOON).unwrap_err().kind(), ErrorKind::Disconnected);
    drop(consumer);

    // Finished publishers behind one that does not look for long.
    let mut sleeper = domain.subscriber("o", &SubscriberOptions::default()).unwrap();
    for _ in 0..66 {
        let small = PublisherOptions { capacity: 4096, ..Default::default() };
        domain.publisher("o", &small).unwrap().publish(b"unread").unwrap();
    }
    while sleeper.try_receive().unwrap().is_some() {}
    assert_eq!(sleeper.missed(), 2);
    drop(sleeper);

    // One that leaves as it should is not said to have died.
    let elsewhere = place.open();
    let leaving = elsewhere.subscriber("u", &SubscriberOptions::default()).unwrap();
    publisher.wait_for_subscribers(1, SOON).unwrap();
    drop(leaving);
    elsewhere.close();
    assert!(publisher.wait_for_subscribers(1, Some(Duration::ZERO)).is_err());

    domain.region("m", &RegionOptions { size: Some(64), create: Create::CreateNew }).unwrap();
    domain.unlink(Noun::Region, "m").unwrap();
    drop((subscriber, publisher));
    // Whoever opens next sweeps.
    let doomed = child::Running::start(ROLES, "subscriber", place.path());
    let keeper = place.open();
    doomed.kill();
    keeper.subscriber("t", &SubscriberOptions::default()).unwrap();
    keeper.close();

    // The last one out buries the dead.
    let other = DomainOptions { name: Some("other".into()), ..place.options() };
    let last = Domain::open_with(other).unwrap();
    let doomed = child::Running::start(ROLES, "other", place.path());
    doomed.kill();
    last.close();
}

fn expect_nothing(subscriber: &mut Subscriber) {
    let error = subscriber.receive(Some(Duration::from_millis(50))).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn events_are_told_with_no_lock_held() {
    if let Some(role) = child::role() {
        play(&role);
    }
    let place = Place::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let domain = place.open();
    let relay = Relay { domain: domain.clone(), told: told.clone() };
    relay.relay("");
    tracing::subscriber::set_global_default(relay).unwrap();
    live(&place, &domain);
    // The listener stays, and with it a handle of the domain.
    RELAYING.set(true);
    domain.close();
    let told = told.lock().unwrap();
    use tracing::Level;
    for (level, words) in [
        (Level::DEBUG, "domain 'test': joined as participant "),
        (Level::DEBUG, "subscriber 't': opened"),
        (Level::DEBUG, "of topic 't'"),
        (Level::INFO, "of topic 't' died (participant"),
        (Level::DEBUG, "subscriber 't': has read all that publisher"),
        (Level::DEBUG, "topic 'u': opened publisher"),
        (Level::DEBUG, " met subscriber "),
        (Level::DEBUG, "topic 'u': the slab of publisher "),
        (Level::INFO, " died (participant "),
        (Level::DEBUG, "topic 'u': subscriber "),
        (Level::DEBUG, "ring 'r': opened its consumer"),
        (Level::INFO, "ring 'r': its producer (participant"),
        (Level::DEBUG, "ring 'r': closed its consumer"),
        (Level::WARN, "topic 'o': over 64 finished publishers wait"),
        (Level::WARN, "subscriber 'o': missed all 1 messages of publisher "),
        (Level::DEBUG, "region 'm': made it, 64 bytes"),
        (Level::INFO, "region 'm': unlinked"),
        (Level::DEBUG, "topic 'u': closed publisher"),
        (Level::DEBUG, "subscriber 't': closed"),
        (Level::DEBUG, "domain 'test': participant "),
        (Level::INFO, "domain 'test': removed "),
        (Level::INFO, "('the doomed', process "),
        (Level::INFO, "domain 'other': participant 1.1 ('the other', process "),
    ] {
        let found = told.iter().any(|(at, text)| *at == level && text.contains(words));
        assert!(found, "nothing says {words:?} at {level}: {told:#?}");
    }
    let deaths =
        told.iter().filter(|(_, text)| text.contains("topic 'u': subscriber") && text.contains("died"));
    assert_eq!(deaths.count(), 1, "{told:#?}");
}
