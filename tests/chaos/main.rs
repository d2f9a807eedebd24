//! `kill -9` at random moments, in every language: who lives on has everything that was committed, whole and in
//! order, and waits for nobody. Each kill has a seed, printed when it fails; `AXONIC_CHAOS_SEED` plays that kill again.

mod calls;
#[path = "../../ipc-core/tests/common/mod.rs"]
mod common;
mod containers;
mod crew;
mod history;
#[path = "../conformance/peers.rs"]
#[allow(dead_code)]
mod peers;
mod soak;
#[path = "../conformance/table.rs"]
#[allow(dead_code)]
mod table;

use axonic::*;
use common::random::Random;
use peers::{Peer, Running};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a death, the living go on within this time.
const SOON: Duration = Duration::from_secs(1);
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));
/// What peers send and are sent: in the ring, in the slab, and over a size class.
const SIZES: &str = "64,2000,5000";
const EACH: usize = 20_000;

/// Says which kill it was that failed.
struct Telltale(u64);

impl Drop for Telltale {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("AXONIC_CHAOS_SEED={} plays this kill again", self.0);
        }
    }
}

/// Byte i of message k, as `tests/peers` have it.
fn byte(i: usize, k: usize, size: usize) -> u8 {
    (i * 31 + k * 7 + size) as u8
}

fn size_of(k: usize) -> usize {
    SIZES.split(',').nth(k / EACH).expect("a message of the batch").parse().expect("a number")
}

fn check(data: &[u8], k: usize) {
    assert_eq!(data.len(), size_of(k), "message {k}");
    let torn = data.iter().enumerate().position(|(i, b)| *b != byte(i, k, data.len()));
    assert_eq!(torn, None, "message {k} is torn");
}

struct Place {
    directory: tempfile::TempDir,
    domain: Domain,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::Builder::new().prefix("axonic-chaos-").tempdir_in("/dev/shm").unwrap();
        Place { domain: Domain::open_with(options(directory.path())).unwrap(), directory }
    }

    fn start(&self, peer: &Peer, arguments: [&str; 2]) -> Running {
        let [role, mode] = arguments;
        let count = EACH.to_string();
        peer.start(self.directory.path(), &[role, "chaos", "t", mode, SIZES, &count])
    }

    /// Everybody left: nothing stays.
    fn end(self) {
        self.domain.close();
        let found = doctor(&options(self.directory.path()), true);
        assert!(found.is_ok() || found.is_err_and(|e| e.kind() == ErrorKind::NotFound));
        let left: Vec<_> = std::fs::read_dir(self.directory.path()).unwrap().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

fn options(directory: &Path) -> DomainOptions {
    DomainOptions { name: Some("chaos".into()), runtime_dir: Some(directory.into()), ..Default::default() }
}

/// A publisher in some language is killed: its messages up to one are there, whole and in order, and no more come.
fn publisher_dies(place: &Place, peer: &Peer, mode: &str, random: &mut Random) -> usize {
    let mut subscriber = place.domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let victim = place.start(peer, ["send", mode]);
    let mut k = 0;
    let mut next = |subscriber: &mut Subscriber, patience| match subscriber.borrow(patience) {
        Ok(sample) => {
            assert_eq!(sample.missed(), 0);
            check(&sample, k);
            k += 1;
            true
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Timeout, "{e}");
            false
        }
    };
    assert!(next(&mut subscriber, PATIENCE), "{} publishes", peer.language);
    let end = Instant::now() + Duration::from_micros(random.below(20_000));
    while Instant::now() < end && next(&mut subscriber, Some(Duration::from_millis(1))) {}
    drop(victim);
    while next(&mut subscriber, Some(Duration::from_millis(5))) {}
    let killed = Instant::now();
    let mut successor = place.domain.publisher("t", &PublisherOptions::default()).unwrap();
    successor.publish(b"on").unwrap();
    assert_eq!(subscriber.receive(Some(SOON)).unwrap().data(), b"on");
    assert!(killed.elapsed() < SOON);
    k
}

/// A subscriber in some language is killed while a `block` publisher sends to it and to another, which misses nothing.
fn subscriber_dies(place: &Place, peer: &Peer, mode: &str, random: &mut Random) -> usize {
    let block = PublisherOptions { overflow: Overflow::Block, ..Default::default() };
    let mut publisher = place.domain.publisher("t", &block).unwrap();
    let mut witness = place.domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let victim = place.start(peer, ["recv", mode]);
    publisher.wait_for_subscribers(2, PATIENCE).unwrap();
    let mut message = Vec::new();
    let mut k = 0;
    let mut exchange = |publisher: &mut Publisher| {
        let size = size_of(k);
        message.clear();
        message.extend((0..size).map(|i| byte(i, k, size)));
        publisher.send(&Payload::raw(&message), Some(SOON)).expect("nobody waits for the dead");
        let received = witness.receive(Some(SOON)).unwrap();
        assert_eq!(received.missed(), 0);
        check(received.data(), k);
        k += 1;
    };
    let end = Instant::now() + Duration::from_micros(random.below(20_000));
    while Instant::now() < end {
        exchange(&mut publisher);
    }
    drop(victim);
    (0..500).for_each(|_| exchange(&mut publisher));
    assert_eq!(publisher.subscribers(), 1);
    k
}

/// The seed tells who is killed, at what and when; as many seeds in a row as there are peers and roles have them all.
fn kill(place: &Place, peers: &[Peer], seed: u64) -> usize {
    let _telltale = Telltale(seed);
    let random = &mut Random(seed);
    let peer = &peers[(seed / 2) as usize % peers.len()];
    match (seed % 2, random.below(2)) {
        (0, 0) => publisher_dies(place, peer, "copy", random),
        (0, _) => publisher_dies(place, peer, "loan", random),
        (_, 0) => subscriber_dies(place, peer, "copy", random),
        _ => subscriber_dies(place, peer, "borrow", random),
    }
}

/// Another each time.
fn seed_of_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_nanos() as u64
}

fn kills(time: Duration) {
    let peers = Peer::all();
    if let Ok(seed) = std::env::var("AXONIC_CHAOS_SEED") {
        let place = Place::new();
        kill(&place, &peers, seed.parse().expect("a number"));
        return place.end();
    }
    let (first, started) = (seed_of_now(), Instant::now());
    let (mut count, mut messages) = (0, 0);
    while count < 2 * peers.len() as u64 || started.elapsed() < time {
        let place = Place::new();
        messages += kill(&place, &peers, first + count);
        place.end();
        count += 1;
    }
    println!("{messages} messages");
    // Of each in turn, at both ends.
    common::often(format!("kills in {} languages", peers.len()), count, time, 1.0);
}

#[test]
fn some_are_killed() {
    kills(Duration::ZERO);
}

#[test]
#[ignore = "make chaos"]
fn many_are_killed() {
    kills(long(90, 8));
}

/// Of those that take much memory and those that look whether it grows, one has this process.
fn memory() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many seconds, or this part of the hours.
fn long(seconds: u64, part: u32) -> Duration {
    let hours = std::env::var("AXONIC_CHAOS_HOURS").ok().and_then(|h| h.parse::<f64>().ok());
    hours.map_or(Duration::from_secs(seconds), |hours| {
        Duration::from_secs_f64(hours * 3600.0 / f64::from(part))
    })
}
