//! Peers in every language that live on while others come, go and are killed around them: they are served without a
//! gap, and what they hold does not grow; nor does what this process and the domain hold.

use crate::common::flat::{Flat, Held};
use crate::common::random::Random;
use crate::peers::{Peer, Running};
use crate::{PATIENCE, Place, byte, kill, long, memory, seed_of_now};
use axonic::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// More messages than a soak has.
const ENDLESS: &str = "1000000000000";
/// Sizes of what the peers receive, through the slab, and of what they send.
const RECEIVED: usize = 5000;
const SENT: usize = 300;

/// One that lives on, its process, and how much more memory it may have in the end.
type Living = (String, Running, Held);

/// What garbage collectors leave for later comes and goes.
fn allowed(language: &str) -> Held {
    match language {
        "node" => [0, 32, 16 << 10],
        "python" => [0, 4, 1 << 10],
        _ => [0, 4, 256],
    }
}

fn start(place: &Place, peers: &[Peer]) -> Vec<Living> {
    let mut living = Vec::new();
    for (peer, (reads, writes)) in
        peers.iter().zip([("copy", "loan"), ("borrow", "copy")].into_iter().cycle())
    {
        let begin = |role, topic: &str, mode, size: usize| {
            let words = [role, "chaos", topic, mode, &size.to_string(), ENDLESS];
            (
                format!("{} {role}", peer.language),
                peer.start(place.directory.path(), &words),
                allowed(peer.language),
            )
        };
        let mut receiver = begin("recv", "to", reads, RECEIVED);
        receiver.1.expect_line("ready").unwrap();
        living.extend([receiver, begin("send", &format!("from.{}", peer.language), writes, SENT)]);
    }
    living
}

/// A publisher that comes, goes on with the messages where the one before ended, and goes once they were read.
fn succeed(place: &Place, sent: &mut usize) {
    let block = PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() };
    let mut publisher = place.domain.publisher("to", &block).unwrap();
    for k in *sent..*sent + 50 {
        let message: Vec<u8> = (0..RECEIVED).map(|i| byte(i, k, RECEIVED)).collect();
        publisher.send(&Payload::raw(&message), PATIENCE).unwrap();
    }
    *sent += 50;
    let unread = |s: &SubscriberInfo| s.lag.iter().any(|lag| lag.publisher == publisher.id());
    while snapshot(place.domain.options()).unwrap().subscribers.iter().any(unread) {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Reads of what the peers send, each of which is whole and follows the one before.
fn read(subscriber: &mut Subscriber, next: &mut HashMap<String, usize>) {
    for _ in 0..500 {
        let message = subscriber.receive(PATIENCE).unwrap();
        let k = next.entry(message.topic().to_owned()).or_default();
        assert_eq!((message.missed(), message.data().len()), (0, SENT), "{}", message.topic());
        assert!(message.data().iter().enumerate().all(|(i, b)| *b == byte(i, *k, SENT)), "{k} is torn");
        *k += 1;
    }
}

/// A participant that comes, hears a little, and goes.
fn visit(place: &Place, meanwhile: impl FnOnce()) {
    let domain = Domain::open_with(place.domain.options().clone()).unwrap();
    let mut subscriber = domain.subscriber("from.*", &SubscriberOptions::default()).unwrap();
    // The senders may all be waiting for room.
    meanwhile();
    subscriber.borrow(PATIENCE).unwrap();
}

fn soak(time: Duration) {
    let _memory = memory();
    let mut random = Random(seed_of_now());
    let peers = Peer::all();
    let place = Place::new();
    let mut subscriber = place.domain.subscriber("from.*", &SubscriberOptions::default()).unwrap();
    let mut living = start(&place, &peers);
    let (mut next, mut sent, mut count) = (HashMap::new(), 0, 0);
    while next.len() < peers.len() {
        read(&mut subscriber, &mut next);
    }
    let (started, mut flat) = (Instant::now(), Flat::over(time));
    while started.elapsed() < time {
        succeed(&place, &mut sent);
        match random.below(3) {
            0 => drop(kill(&place, &peers, random.next())),
            _ => visit(&place, || read(&mut subscriber, &mut next)),
        }
        read(&mut subscriber, &mut next);
        count += 1;
        if flat.is_due() {
            look(&mut flat, &mut living, &place);
        }
    }
    println!("{count} visits and deaths, {} messages", sent + next.values().sum::<usize>());
    flat.check();
    drop((living, subscriber));
    place.end();
}

fn look(flat: &mut Flat, living: &mut [Living], place: &Place) {
    for (name, peer, allowed) in living {
        assert!(peer.child.try_wait().unwrap().is_none(), "{name} ended");
        flat.process(name, peer.child.id(), *allowed);
    }
    flat.process("this process", std::process::id(), [0, 4, 512]);
    flat.domain(place.domain.path(), 1, 64);
}

#[test]
fn what_peers_hold_does_not_grow() {
    soak(Duration::from_secs(3));
}

#[test]
#[ignore = "make chaos"]
fn what_peers_hold_does_not_grow_for_long() {
    soak(long(60, 10));
}
