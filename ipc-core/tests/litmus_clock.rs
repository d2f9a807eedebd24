//! Clocks: processes whose monotonic clocks differ by a time namespace, and wall clocks that jump.

mod common;
mod litmus;

use axonic::*;
use common::jobs::text;
use common::{Place, expect};
use litmus::{PATIENCE, Parent, Process, locks, may_unshare, start_with};
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::time::ClockId;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

roles!(elsewhere, jump);

/// A time that does not pass while a test runs, though it does where a clock jumps.
const LONG: Duration = Duration::from_secs(600);
/// One that passes.
const SHORT: Duration = Duration::from_millis(200);

fn asleep() -> QueueOptions {
    QueueOptions { wait: Wait::Block, ..Default::default() }
}

fn put(producer: &mut QueueProducer, text: &str, put: Put) -> Receipt {
    producer.put_with(&Payload::raw(text.as_bytes()), &put, PATIENCE).unwrap()
}

/// Something of each kind that has a time, in a queue that its maker keeps open.
struct Left {
    producer: QueueProducer,
    consumer: QueueConsumer,
    held: Delivery,
}

impl Left {
    fn new(domain: &Domain, queue: &str) -> Left {
        let mut producer = domain.queue_producer(queue, &asleep()).unwrap();
        let mut consumer = domain.queue_consumer(queue, &asleep()).unwrap();
        put(&mut producer, "held", Put::default());
        let held = consumer.get_with(&Get { lease: Some(LONG), ..Get::default() }, PATIENCE).unwrap();
        put(&mut producer, "later", Put { delay: LONG, ..Put::default() });
        put(&mut producer, "fresh", Put { ttl: Some(LONG), ..Put::default() });
        put(&mut producer, "once", Put { dedup_id: Some("id".into()), ..Put::default() });
        Left { producer, consumer, held }
    }

    /// Whoever else looks finds it as it was left, and nothing early.
    fn find(domain: &Domain, queue: &str) {
        let mut consumer = domain.queue_consumer(queue, &asleep()).unwrap();
        let mut producer = domain.queue_producer(queue, &asleep()).unwrap();
        assert!(
            put(&mut producer, "twice", Put { dedup_id: Some("id".into()), ..Put::default() }).is_duplicate()
        );
        let found = consumer.get_many(9, &Get::default(), PATIENCE).unwrap();
        assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["fresh", "once"]);
        found.into_iter().for_each(|delivery| delivery.ack().unwrap());
        let stats = consumer.stats();
        assert_eq!((stats.ready, stats.delayed, stats.leased, stats.dead), (0, 1, 1, 0));
    }

    fn clear(mut self) {
        self.held.ack().expect("the lease is good still");
        self.consumer.purge().unwrap();
        drop(self.producer);
    }
}

fn assert_recent(since_unix_ms: u64) {
    let ago = unix_now().abs_diff(Duration::from_millis(since_unix_ms));
    assert!(ago < PATIENCE.unwrap(), "{since_unix_ms} is {ago:?} from now");
}

/// An onlooker with a wall clock that is right is told since when the message is held.
fn assert_held_recently(domain: &Domain, queue: &str) {
    let seen =
        snapshot(domain.options()).unwrap().queues.into_iter().find(|seen| seen.name == queue).unwrap();
    assert_recent(seen.oldest_holder.expect("somebody has a message").leased_since_unix_ms);
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Does something that takes this time: not less, and not much more.
#[track_caller]
fn takes<T>(time: Duration, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = act();
    let took = begun.elapsed();
    assert!(took >= time && took < time + PATIENCE.unwrap() / 2, "{took:?} instead of {time:?}");
    done
}

/// A message for later that one side puts and the other sleeps for.
fn put_for_later(domain: &Domain, queue: &str) {
    let mut producer = domain.queue_producer(queue, &asleep()).unwrap();
    put(&mut producer, "soon", Put { delay: SHORT, ..Put::default() });
}

/// Whoever sleeps for a message for later is woken when it is due: only a machine that is busy lets it sleep each time
/// until it looks around, which is what it does if its timer is wrong.
fn sleeps_no_longer(domain: &Domain) {
    const LOOKS_AROUND: Duration = Duration::from_secs(1);
    // Nobody of another namespace has this one open, for whose death one would look around sooner.
    let sleep = |_| {
        let begun = Instant::now();
        takes(SHORT, || {
            put_for_later(domain, "own");
            domain.queue_consumer("own", &asleep()).unwrap().get(PATIENCE).unwrap().ack().unwrap();
        });
        begun.elapsed()
    };
    assert!((0..10).map(sleep).any(|took| took < LOOKS_AROUND), "it is not woken, but looks around");
}

const OWN_TIME: CloneFlags = CloneFlags::from_bits_retain(libc::CLONE_NEWUSER | 0x80);

fn own_monotonic() -> i64 {
    ClockId::CLOCK_MONOTONIC.now().unwrap().tv_sec()
}

/// In a time namespace of its own: what others left is good there, what it leaves is good elsewhere.
fn elsewhere(parent: &mut Parent) {
    let domain = litmus::open();
    parent.say(own_monotonic());
    Left::find(&domain, "outside");
    assert_held_recently(&domain, "outside");
    let left = Left::new(&domain, "inside");
    parent.say("left");
    let mut sleeper = domain.queue_consumer("to-inside", &asleep()).unwrap();
    parent.say("waits");
    sleeper.get(PATIENCE).unwrap().ack().unwrap();
    parent.say("woken");
    sleeps_no_longer(&domain);
    assert_eq!(parent.hear().unwrap(), "put");
    put_for_later(&domain, "to-outside");
    parent.say("put");
    assert_eq!(parent.hear().unwrap(), "found");
    left.clear();
    parent.say("cleared");
    parent.wait_for_end();
}

fn start_elsewhere(place: &Place, ahead: i64) -> Process {
    start_with("elsewhere", place.path(), "", |command| {
        let later = move || {
            unshare(OWN_TIME)?;
            // For the processes it makes from now on: those of `exec`.
            std::fs::write("/proc/self/timens_offsets", format!("monotonic {ahead} 0"))
        };
        // SAFETY: the child of a fork of one thread's making; it may allocate as the parent held no lock of malloc's then.
        unsafe { command.pre_exec(later) };
    })
}

/// In namespaces where it is later and earlier.
#[test]
fn times_are_the_same_in_every_time_namespace() {
    if !may_unshare(OWN_TIME) {
        return;
    }
    for ahead in [3600, -own_monotonic() / 2] {
        let place = Place::new();
        let domain = place.open();
        let left = Left::new(&domain, "outside");
        let mut other = start_elsewhere(&place, ahead);
        let differs = other.hear().parse::<i64>().unwrap() - own_monotonic();
        assert!((differs - ahead).abs() < 20, "its clock is {differs} s ahead, not {ahead}");
        assert_eq!(other.hear(), "left");
        Left::find(&domain, "inside");
        assert_held_recently(&domain, "inside");
        assert_eq!(other.hear(), "waits");
        takes(SHORT, || {
            put_for_later(&domain, "to-inside");
            assert_eq!(other.hear(), "woken");
        });
        let mut sleeper = domain.queue_consumer("to-outside", &asleep()).unwrap();
        takes(SHORT, || {
            other.say("put");
            sleeper.get(PATIENCE).unwrap().ack().unwrap();
        });
        assert_eq!(other.hear(), "put");
        other.say("found");
        assert_eq!(other.hear(), "cleared");
        left.clear();
        other.end();
        drop((sleeper, domain));
    }
}

/// The library that makes the wall clock of a process jump.
fn jumping_clock(directory: &Path) -> PathBuf {
    let library = directory.join("jumping_clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus/jumping_clock.c");
    let status = Command::new("cc")
        .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap_or_else(|e| panic!("cc: {e}"));
    assert!(status.success(), "{} does not compile", source.display());
    library
}

/// How far the wall clock went astray while it was read a few times.
fn astray() -> Duration {
    let begun = (Instant::now(), unix_now());
    let is_off = |now: Duration| now.abs_diff(begun.1 + begun.0.elapsed());
    (0..100).map(|_| is_off(unix_now())).max().unwrap()
}

/// Does everything that has a time, where the wall clock jumps or does not.
fn jump(parent: &mut Parent) {
    const DAY: Duration = Duration::from_secs(86400);
    let jumps = parent.arguments()[0] == "jumping";
    assert_eq!(astray() > 10 * DAY, jumps, "the wall clock of this process is {:?} astray", astray());
    let domain = litmus::open();
    messages(&domain);
    ids(&domain);
    limits(&domain);
    interval(&domain);
    let left = Left::new(&domain, "inside");
    let options = locks::asleep();
    let mut held = domain.mutex("held", &options).unwrap();
    held.lock(PATIENCE).unwrap();
    parent.say("left");
    domain.mutex("wanted", &options).unwrap().lock(PATIENCE).unwrap();
    left.clear();
    parent.say("cleared");
    parent.wait_for_end();
}

/// Leases, delays and times to live end in time, and none of those that are long end meanwhile.
fn messages(domain: &Domain) {
    let left = Left::new(domain, "long");
    let mut producer = domain.queue_producer("short", &asleep()).unwrap();
    let mut consumer = domain.queue_consumer("short", &asleep()).unwrap();
    takes(SHORT, || {
        put(&mut producer, "later", Put { delay: SHORT, ..Put::default() });
        consumer.get(PATIENCE).unwrap().ack().unwrap();
    });
    put(&mut producer, "leased", Put::default());
    takes(SHORT, || {
        let held = consumer.get_with(&Get { lease: Some(SHORT), ..Get::default() }, PATIENCE).unwrap();
        let again = consumer.get(PATIENCE).unwrap();
        assert_eq!((text(&again), again.attempt(), held.is_leased()), ("leased", 2, false));
        again.ack().unwrap();
    });
    takes(SHORT, || {
        let perishes = Put { ttl: Some(SHORT), result: true, ..Put::default() };
        let mut ticket = put(&mut producer, "perishes", perishes).ticket().unwrap();
        expect(producer.result(&mut ticket, PATIENCE), ErrorKind::Rejected, &["expired"]);
    });
    assert_eq!(consumer.purge_dead_letters().unwrap(), 1);
    Left::find(domain, "long");
    left.clear();
}

/// An id counts for as long as its queue says.
fn ids(domain: &Domain) {
    let dedup = Dedup { count: 9, within: SHORT };
    let mut producer = domain.queue_producer("ids", &QueueOptions { dedup, ..asleep() }).unwrap();
    let mut once = || put(&mut producer, "once", Put { dedup_id: Some("id".into()), ..Put::default() });
    takes(SHORT, || {
        assert!(!once().is_duplicate());
        while once().is_duplicate() {}
    });
    domain.queue_consumer("ids", &asleep()).unwrap().purge().unwrap();
}

/// Waits in vain for as long as it may.
#[track_caller]
fn in_vain<T>(wait: impl FnOnce(Option<Duration>) -> Result<T>) -> Error {
    takes(SHORT, || expect(wait(Some(SHORT)), ErrorKind::Timeout, &[]))
}

fn limits(domain: &Domain) {
    let options = locks::asleep();
    let mut held = domain.mutex("m", &options).unwrap();
    held.lock(PATIENCE).unwrap();
    let mut mutex = domain.mutex("m", &options).unwrap();
    let error = in_vain(|time| mutex.lock(time));
    let told = error.message().rsplit_once(", for ").expect("it says how long").1;
    let seconds: f64 = told.split(' ').next().unwrap().parse().unwrap();
    assert!(seconds < PATIENCE.unwrap().as_secs_f64(), "{error}");
    let mut written = domain.rwlock("rw", &options).unwrap();
    written.write(PATIENCE).unwrap();
    in_vain(|time| domain.rwlock("rw", &options).unwrap().read(time));
    in_vain(|time| domain.rwlock("rw", &options).unwrap().write(time));
    let mut semaphore = domain.semaphore("s", 1, &options).unwrap();
    semaphore.acquire(PATIENCE).unwrap();
    in_vain(|time| domain.semaphore("s", 1, &options).unwrap().acquire(time));
    in_vain(|time| domain.event("e", Reset::Manual, &options).unwrap().wait(time));
    in_vain(|time| domain.barrier("b", 2, &options).unwrap().wait(time));
    in_vain(|time| domain.condvar("c", &options).unwrap().wait(&mut held, time));
    in_vain(|time| domain.queue_consumer("none", &asleep()).unwrap().get(time));
    let full = QueueOptions { capacity: 1, ..asleep() };
    let mut producer = domain.queue_producer("full", &full).unwrap();
    put(&mut producer, "fills it", Put::default());
    in_vain(|time| producer.put(b"has no room", time));
    domain.queue_consumer("full", &full).unwrap().purge().unwrap();
}

/// What an interval is to sync is synced when it is over.
fn interval(domain: &Domain) {
    // To within the ticks of a coarse clock.
    takes(SHORT - Duration::from_millis(20), || {
        let options = QueueOptions { durable: Some(Fsync::Interval(SHORT)), ..asleep() };
        let mut producer = domain.queue_producer("synced", &options).unwrap();
        let mut consumer = domain.queue_consumer("synced", &options).unwrap();
        put(&mut producer, "kept", Put::default());
        let kept = consumer.get(PATIENCE).unwrap();
        let queue = std::fs::File::open(domain.path().join("queues/synced")).unwrap();
        let word = |at: u64| {
            let mut bytes = [0; 8];
            queue.read_exact_at(&mut bytes, at).unwrap();
            u64::from_le_bytes(bytes)
        };
        // As docs/protocol.md has them: what is on the disk of what was named.
        while word(4152) != word(4608) {
            expect(consumer.get(Some(Duration::from_millis(1))), ErrorKind::Timeout, &[]);
        }
        kept.ack().unwrap();
    });
}

/// What a process does whose wall clock jumps takes as long as it says, and what it leaves is right for others.
#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let library = jumping_clock(directory.path());
    for clock in ["steady", "jumping"] {
        let place = Place::new();
        let domain = place.open();
        let mut wanted = domain.mutex("wanted", &locks::asleep()).unwrap();
        wanted.lock(PATIENCE).unwrap();
        let mut other = start_with("jump", place.path(), clock, |command| {
            command.env("AXONIC_DATA_DIR", directory.path());
            if clock == "jumping" {
                command.env("LD_PRELOAD", &library);
            }
        });
        assert_eq!(other.hear(), "left");
        Left::find(&domain, "inside");
        assert_held_recently(&domain, "inside");
        assert_recent(locks::seen(&place, "held").holders[0].since_unix_ms);
        locks::await_waiting(&place, "wanted", 1);
        assert_recent(locks::seen(&place, "wanted").waiting_since_unix_ms);
        let seen = snapshot(&place.options()).unwrap();
        seen.participants.iter().for_each(|participant| assert_recent(participant.since_unix_ms));
        wanted.unlock().unwrap();
        assert_eq!(other.hear(), "cleared");
        other.end();
    }
}
