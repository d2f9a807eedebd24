//! A listener that closes the domain in the middle of a call, as another thread might.

mod common;

use axonic::*;
use common::{Place, expect};
use std::sync::Mutex;
use std::time::Duration;

/// What the next event of a meeting closes, and who reads on meanwhile.
static SCENE: Mutex<Option<(Domain, Subscriber)>> = Mutex::new(None);

fn hear(record: log::Record) {
    if !record.text.contains("met subscriber") {
        return;
    }
    if let Some((domain, subscriber)) = SCENE.lock().unwrap().as_mut() {
        domain.close();
        while subscriber.try_receive().unwrap().is_some() {}
        assert_eq!(subscriber.stats().rings, 0, "it has let go of the publisher");
    }
}

#[test]
fn a_sample_outlives_the_domain_of_a_publisher_in_the_middle_of_a_call() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    log::listen(hear).unwrap();
    let mut subscriber = theirs.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { max_bytes: 100_000, ..Default::default() };
    let mut publisher = ours.publisher("t", &options).unwrap();
    publisher.publish(&[1; 100_000]).unwrap();
    let sample = subscriber.borrow(Some(Duration::from_secs(10))).unwrap();
    // The publisher will meet it within its next call.
    let _another = theirs.subscriber("t", &SubscriberOptions::default()).unwrap();
    *SCENE.lock().unwrap() = Some((ours.clone(), subscriber));
    let outcome = publisher.publish(&[2; 100_000]);
    assert!(ours.is_closed());
    assert!(sample.iter().all(|byte| *byte == 1), "overwritten under its reader");
    expect(outcome, ErrorKind::Closed, &["publisher of 't'"]);
    SCENE.lock().unwrap().take();
}
