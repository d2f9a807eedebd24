//! Processes that open and close the last participation all at once never see an error, and leave nothing.

mod common;
mod litmus;

use axonic::*;
use common::flat::stays_flat;
use common::{Place, often};
use litmus::{KILLS, PATIENCE, Parent, Process, Random, long, number_of, payload, start};
use std::time::{Duration, Instant};

roles!(open_and_close, both_ends);

/// Opens and closes until the time is over, now and then with objects; `milliseconds`.
fn open_and_close(parent: &mut Parent) {
    let (started, time) = (Instant::now(), Duration::from_millis(parent.number(0)));
    let mut random = Random::new();
    let mut opened = 0;
    while started.elapsed() < time {
        let domain = litmus::open();
        opened += 1;
        match random.below(8) {
            0 => {
                let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
                let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
                publisher.publish(&payload(7, 3000)).unwrap();
                assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), 7);
            }
            1 => drop(domain.publisher("t", &PublisherOptions::default()).unwrap()),
            2 => drop(domain.subscriber("*", &SubscriberOptions::default()).unwrap()),
            3 => domain.close(),
            _ => {}
        }
        drop(domain);
        random.pause(300);
    }
    parent.say(opened);
}

/// `kill`: one more is killed and started again all the time.
fn last_ones_out(time: Duration, kills: bool) {
    let place = Place::new();
    let millis = time.as_millis();
    let begin = |millis: u128| start("open_and_close", place.path(), &millis.to_string());
    let mut processes: Vec<Process> = (0..4).map(|_| begin(millis)).collect();
    let (started, mut random, mut killed) = (Instant::now(), Random::new(), 0);
    while kills && started.elapsed() < time {
        let mut victim = begin(u128::from(u32::MAX));
        random.pause(6000);
        victim.kill();
        killed += 1;
    }
    let opened: u64 = processes.iter_mut().map(|process| process.hear().parse::<u64>().unwrap()).sum();
    processes.into_iter().for_each(Process::finish);
    println!("opened and closed {opened} times by four at once");
    assert!(opened > 100, "{opened}");
    if kills {
        often("kills of those who open and close", killed, time, KILLS);
        // What the last one killed left goes with whoever next makes something.
        drop(place.open().subscriber("t", &SubscriberOptions::default()).unwrap());
    }
}

#[test]
fn nobody_fails_to_open_while_others_close() {
    last_ones_out(Duration::from_millis(1500), false);
}

#[test]
fn nobody_fails_to_open_while_others_are_killed() {
    last_ones_out(Duration::from_millis(1500), true);
}

/// Opens an end of one ring and closes it again, again and again; `milliseconds role`.
fn both_ends(parent: &mut Parent) {
    let (started, time) = (Instant::now(), Duration::from_millis(parent.number(0)));
    let domain = litmus::open();
    let (mut random, mut count) = (Random::new(), 0);
    while started.elapsed() < time {
        if parent.arguments()[1] == "producer" {
            let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
            if random.below(2) == 0 {
                producer.push(&payload(count, 100), PATIENCE).unwrap();
            }
        } else {
            let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
            loop {
                match consumer.try_pop() {
                    Ok(Some(data)) => drop(number_of(data)),
                    Ok(None) => break,
                    Err(e) if e.kind() == ErrorKind::Disconnected => break,
                    Err(e) => panic!("{e}"),
                }
            }
        }
        count += 1;
        random.pause(200);
    }
    parent.say(count);
    // The one who reads goes last.
    parent.wait_for_end();
    if parent.arguments()[1] == "consumer" {
        let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
        while let Ok(Some(_)) = consumer.try_pop() {}
    }
}

fn ends_of_one_ring(time: Duration) {
    let place = Place::new();
    let millis = time.as_millis();
    let mut producer = start("both_ends", place.path(), &format!("{millis} producer"));
    let mut consumer = start("both_ends", place.path(), &format!("{millis} consumer"));
    let counts = [producer.hear(), consumer.hear()];
    producer.end();
    consumer.end();
    println!("a ring's ends opened and closed {counts:?} times");
}

#[test]
fn the_ends_of_a_ring_come_and_go_without_an_error() {
    ends_of_one_ring(Duration::from_millis(1000));
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn coming_and_going_for_long() {
    stays_flat(long(32), |time| last_ones_out(time, false));
    stays_flat(long(32), |time| last_ones_out(time, true));
    stays_flat(long(32), ends_of_one_ring);
}
