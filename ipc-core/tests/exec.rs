//! A participant that becomes another program: its lock is free, but no pidfd tells.

mod common;

use axonic::*;
use common::{Place, child};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

const NAME: &str = "a_publisher_does_not_wait_for_a_process_that_became_another";

#[test]
fn a_publisher_does_not_wait_for_a_process_that_became_another() {
    if child::role().is_some() {
        return become_another();
    }
    let place = Place::new();
    let domain = place.open();
    let options = PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let mut changed = child::command(NAME, "subscriber", place.directory.path()).spawn().unwrap();
    publisher.wait_for_subscribers(1, Some(Duration::from_secs(10))).unwrap();
    // Fills the ring for a subscriber that never reads, then has to wait for it.
    let started = Instant::now();
    for _ in 0..200 {
        publisher.send(&Payload::raw(&[1; 1000]), Some(Duration::from_secs(10))).unwrap();
    }
    assert!(publisher.stats().blocked > 0 && started.elapsed() < Duration::from_secs(8));
    assert!(changed.try_wait().unwrap().is_none(), "it is still running, as another program");
    changed.kill().unwrap();
    changed.wait().unwrap();
}

fn become_another() {
    let options = DomainOptions {
        name: Some("test".into()),
        runtime_dir: Some(child::directory()),
        ..Default::default()
    };
    let domain = Domain::open_with(options).unwrap();
    let _subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    // Long enough for the publisher to fill its ring and fall asleep.
    std::thread::sleep(Duration::from_millis(500));
    panic!("{}", Command::new("sleep").arg("60").exec());
}
