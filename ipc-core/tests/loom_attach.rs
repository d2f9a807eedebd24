//! A1 and D1: a subscriber that comes, and a publisher that goes on or comes, never miss each other.
#![cfg(loom)]

mod model;

use axonic::domain::steps::{Generation, Seen};
use axonic::mechanisms::record::{From, Reader, RingMap, Writer};
use axonic::mechanisms::topic::steps::{Cursor, begin, claim_unread, find_cursor, is_owed, standing};
use axonic::sys::atomic::{AtomicU64, Ordering, dies_after, without_fences};
use loom::sync::{Arc, Mutex};
use loom::thread;
use model::check;
use model::ring::{Follower, RECORD, ring, write};

const RING: u64 = 7;
const SUBSCRIBER: u64 = 9;
const NOWHERE: u64 = u64::MAX;

/// What is shared: both generations, both directories, a subscriber's table of one cursor, a ring.
struct World {
    publishers: Generation,
    subscribers: Generation,
    /// Whether the ring, and the subscriber's page, are linked. A directory is locked by the kernel.
    ring_linked: Mutex<bool>,
    page_linked: Mutex<bool>,
    cursors: [Cursor; 1],
    high: AtomicU64,
    map: std::sync::Arc<RingMap>,
    /// Told by the subscriber to the publisher in some way of their own: I am open.
    open: AtomicU64,
}

impl World {
    fn new(records: usize) -> Arc<World> {
        let word = || AtomicU64::new(0);
        Arc::new(World {
            publishers: Generation::new(),
            subscribers: Generation::new(),
            ring_linked: Mutex::new(false),
            page_linked: Mutex::new(false),
            cursors: [Cursor { ring: word(), position: AtomicU64::new(NOWHERE) }],
            high: word(),
            map: ring(records),
            open: word(),
        })
    }
}

/// A participant's knowledge of a directory with one place, kept from one object to the next.
#[derive(Default)]
struct Catalogue {
    seen: Seen,
    listed: bool,
}

impl Catalogue {
    fn refresh(&mut self, generation: &Generation, directory: &Mutex<bool>) -> bool {
        self.seen.look(generation, || self.listed = *directory.lock().unwrap());
        self.listed
    }
}

/// A publisher that overwrites nothing unread.
struct Publisher {
    world: Arc<World>,
    writer: Writer,
    safe: u64,
    catalogue: Catalogue,
    /// The subscriber, once it was found, and whether it is expected to begin at the first record.
    peer: Option<bool>,
}

impl Publisher {
    fn new(world: &Arc<World>) -> Publisher {
        let writer = Writer::new(world.map.clone(), false);
        Publisher { world: world.clone(), writer, safe: 0, catalogue: Catalogue::default(), peer: None }
    }

    /// Links the ring, raises, looks for subscribers and writes them down, before the first record.
    fn open(world: &Arc<World>) -> Publisher {
        let mut publisher = Publisher::new(world);
        publisher.catalogue.refresh(&world.subscribers, &world.page_linked);
        *world.ring_linked.lock().unwrap() = true;
        world.publishers.raise();
        publisher.refresh(true);
        let head = world.map.head();
        if publisher.peer.is_some() {
            head.expected[0].store(SUBSCRIBER, Ordering::Relaxed);
        }
        head.expected_count.store(u64::from(publisher.peer.is_some()), Ordering::Release);
        publisher
    }

    fn refresh(&mut self, expected: bool) {
        if self.catalogue.refresh(&self.world.subscribers, &self.world.page_linked) && self.peer.is_none() {
            self.peer = Some(expected);
        }
    }

    fn slowest(&self) -> u64 {
        let Some(expected) = self.peer else { return NOWHERE };
        match find_cursor(&self.world.cursors, &self.world.high, None, RING) {
            Some(at) => self.world.cursors[at].position.load(Ordering::Acquire),
            None if expected => 0,
            None => NOWHERE,
        }
    }

    /// Publishes a record if there is room.
    fn try_publish(&mut self) -> bool {
        self.refresh(false);
        let needed = self.writer.needed_claim(RECORD);
        if needed > self.safe {
            let slowest = self.slowest();
            let mut writer = std::mem::replace(&mut self.writer, Writer::new(self.world.map.clone(), false));
            let claimed = claim_unread(&mut writer, needed, slowest, || {
                self.refresh(false);
                Ok(self.slowest())
            });
            self.writer = writer;
            if claimed.unwrap() {
                self.safe = self.writer.claim();
            }
        }
        let room = needed <= self.safe;
        if room {
            write(&mut self.writer);
        }
        room
    }
}

/// A subscriber of one ring.
struct Subscriber {
    world: Arc<World>,
    start: From,
    catalogue: Catalogue,
    follower: Option<Follower>,
}

impl Subscriber {
    /// Links the page, raises, looks for publishers.
    fn open(world: &Arc<World>, start: From) -> Subscriber {
        let catalogue = Catalogue::default();
        let mut subscriber = Subscriber { world: world.clone(), start, catalogue, follower: None };
        subscriber.catalogue.refresh(&world.publishers, &world.ring_linked);
        *world.page_linked.lock().unwrap() = true;
        world.subscribers.raise();
        subscriber.refresh(false);
        subscriber
    }

    fn refresh(&mut self, publisher_is_dead: bool) {
        if self.catalogue.refresh(&self.world.publishers, &self.world.ring_linked) && self.follower.is_none()
        {
            self.follower = attach(&self.world, self.start, publisher_is_dead);
        }
    }

    /// Takes what there is, and lets the publisher know.
    fn take(&mut self) -> bool {
        self.refresh(false);
        let Some(follower) = &mut self.follower else { return false };
        let taken = follower.take();
        self.world.cursors[0].position.store(follower.reader.position(), Ordering::Release);
        taken
    }

    fn got(&self) -> Vec<u64> {
        self.follower.as_ref().map(|f| f.got.clone()).unwrap_or_default()
    }
}

/// What [`Subscriber::refresh`] does with a ring it did not know; `None`: it is passed over.
fn attach(world: &World, start: From, dead: bool) -> Option<Follower> {
    let (finished, expected) = standing(world.map.head(), dead, SUBSCRIBER);
    if finished && !expected {
        return None;
    }
    let from = if expected { From::Beginning } else { start };
    let reader: Reader = begin(&world.cursors, &world.high, 0, (RING, &world.map), false, SUBSCRIBER, from);
    Some(Follower::of(reader))
}

/// A1: a publisher reclaims while a subscriber attaches to its ring of one record. Whatever the subscriber
/// gets is whole, in order and without a gap ([`Follower::take`]), and what comes later is among it.
fn attach_against_reclaim(start: From, publisher_fences: bool, subscriber_fences: bool) {
    check(3, move || {
        let world = World::new(2);
        let mut publisher = Publisher::open(&world);
        assert!(publisher.try_publish());
        let arriving = world.clone();
        let subscribing = thread::spawn(move || {
            if !subscriber_fences {
                without_fences();
            }
            let mut subscriber = Subscriber::open(&arriving, start);
            subscriber.take();
            subscriber
        });
        if !publisher_fences {
            without_fences();
        }
        for _ in 0..2 {
            publisher.try_publish();
        }
        let mut subscriber = subscribing.join().unwrap();
        while subscriber.take() {}
        if publisher.try_publish() {
            assert!(subscriber.take(), "what comes after attaching is received");
        }
        assert_eq!(subscriber.follower.unwrap().missed, 0, "a publisher that overwrites nothing unread did");
    });
}

#[test]
fn a_reclaiming_publisher_and_an_attaching_subscriber_see_each_other() {
    attach_against_reclaim(From::Latest, true, true);
    attach_against_reclaim(From::Oldest, true, true);
}

#[test]
#[should_panic(expected = "was believed")]
fn without_the_publishers_fence_an_attaching_subscriber_is_overrun() {
    attach_against_reclaim(From::Oldest, false, true);
}

#[test]
#[should_panic(expected = "was believed")]
fn without_the_subscribers_fence_an_attaching_subscriber_is_overrun() {
    attach_against_reclaim(From::Oldest, true, false);
}

/// D1: a subscriber that is open before the first message gets every message, however the two come about.
#[test]
fn who_was_open_before_the_first_message_misses_none() {
    check(3, || {
        let world = World::new(8);
        let arriving = world.clone();
        let subscribing = thread::spawn(move || {
            let mut subscriber = Subscriber::open(&arriving, From::Latest);
            arriving.open.store(1, Ordering::Release);
            subscriber.take();
            subscriber
        });
        let mut publisher = Publisher::open(&world);
        let was_open = world.open.load(Ordering::Acquire) == 1;
        assert!(publisher.try_publish() && publisher.try_publish());
        let mut subscriber = subscribing.join().unwrap();
        while subscriber.take() {}
        if was_open {
            assert_eq!(subscriber.got(), [0, 1], "missed what came after it was open");
        }
        // And neither is ignorant of the other for ever.
        assert!(publisher.try_publish() && subscriber.take());
        assert!(publisher.slowest() != NOWHERE);
    });
}

/// D1: the same for one that was open all along, and looks round while the publisher comes.
#[test]
fn who_was_open_all_along_misses_none() {
    check(3, || {
        let world = World::new(8);
        let mut subscriber = Subscriber::open(&world, From::Latest);
        let coming = world.clone();
        let publishing = thread::spawn(move || {
            let mut publisher = Publisher::open(&coming);
            assert!(publisher.try_publish() && publisher.try_publish());
        });
        for _ in 0..2 {
            subscriber.take();
        }
        publishing.join().unwrap();
        while subscriber.take() {}
        assert_eq!(subscriber.got(), [0, 1], "missed a message");
    });
}

/// Without the barrier in [`Generation::raise`] both look and neither sees the other.
#[test]
#[should_panic(expected = "missed what came after it was open")]
fn without_fences_two_that_come_at_once_miss_each_other() {
    check(3, || {
        let world = World::new(8);
        let arriving = world.clone();
        let subscribing = thread::spawn(move || {
            without_fences();
            let subscriber = Subscriber::open(&arriving, From::Latest);
            arriving.open.store(1, Ordering::Release);
            subscriber
        });
        without_fences();
        let mut publisher = Publisher::open(&world);
        let was_open = world.open.load(Ordering::Acquire) == 1;
        assert!(publisher.try_publish());
        let mut subscriber = subscribing.join().unwrap();
        while subscriber.take() {}
        if was_open {
            assert_eq!(subscriber.got(), [0], "missed what came after it was open");
        }
    });
}

/// A publisher that comes, publishes and dies anywhere, or says goodbye: who was there before is owed all
/// that was committed, and gets it, whether it met the living or finds the dead.
#[test]
fn what_the_dead_committed_is_received() {
    let finished = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for stores in 0.. {
        let told = finished.clone();
        check(2, move || {
            let world = World::new(8);
            let mut subscriber = Subscriber::open(&world, From::Latest);
            let (coming, told) = (world.clone(), told.clone());
            let publishing = thread::spawn(move || {
                let committed = std::cell::Cell::new(0);
                let done = dies_after(stores, || {
                    let mut publisher = Publisher::open(&coming);
                    for _ in 0..2 {
                        publisher.try_publish();
                        committed.set(committed.get() + 1);
                    }
                    coming.map.head().closed.store(1, Ordering::Release);
                });
                told.store(done.is_some(), std::sync::atomic::Ordering::Relaxed);
                committed.get()
            });
            subscriber.take();
            let committed = publishing.join().unwrap();
            // The death notice: the generation may or may not have been raised, so everything is looked at.
            subscriber.catalogue = Catalogue::default();
            subscriber.refresh(true);
            while subscriber.take() {}
            let got = subscriber.got();
            assert!(
                got.len() >= committed && got == (0..got.len() as u64).collect::<Vec<u64>>(),
                "{got:?} of {committed}"
            );
        });
        if finished.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
    }
}

/// O1: a subscriber looks round, attaches to a finished ring it is expected at, reads it out and frees its cursor, while
/// another asks whether it is owed the ring. `honest`: it says that it has seen the ring after it has a cursor.
fn coming_round(honest: bool) {
    check(3, move || {
        let map = ring(2);
        let head = map.head();
        head.expected[0].store(SUBSCRIBER, Ordering::Relaxed);
        head.expected_count.store(1, Ordering::Relaxed);
        head.born.store(1, Ordering::Relaxed);
        let word = |value| AtomicU64::new(value);
        let page = Arc::new((
            [Cursor { ring: word(0), position: word(NOWHERE) }],
            word(0),
            word(0),
            // Whether all of the ring was read.
            word(0),
        ));
        let (reading, read) = (page.clone(), map.clone());
        let subscriber = thread::spawn(move || {
            let (cursors, high, seen, done) = &*reading;
            if !honest {
                seen.store(1, Ordering::Release);
            }
            drop(begin(cursors, high, 0, (RING, &read), true, SUBSCRIBER, From::Latest));
            if honest {
                seen.store(1, Ordering::Release);
            }
            done.store(1, Ordering::Relaxed);
            cursors[0].position.store(NOWHERE, Ordering::Release);
            cursors[0].ring.store(0, Ordering::Release);
        });
        let (cursors, high, seen, done) = &*page;
        let at_end = |position| position == NOWHERE;
        if !is_owed((cursors, high, seen), (RING, head), SUBSCRIBER, at_end) {
            assert_eq!(done.load(Ordering::Relaxed), 1, "a ring was taken away unread");
        }
        subscriber.join().unwrap();
        assert!(!is_owed((cursors, high, seen), (RING, head), SUBSCRIBER, at_end), "it stays for ever");
    });
}

#[test]
fn a_ring_is_owed_until_it_was_read_out() {
    coming_round(true);
}

#[test]
#[should_panic(expected = "taken away unread")]
fn who_says_too_soon_that_it_came_round_loses_the_ring() {
    coming_round(false);
}
