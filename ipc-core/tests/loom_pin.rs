//! H1: a slab slot is never written while somebody who announced it believes in it.
#![cfg(loom)]

mod model;

use axonic::domain::steps::Generation;
use axonic::mechanisms::topic::steps::{announce, has_slot, is_announced, withdraw};
use axonic::sys::atomic::{AtomicU64, Ordering, dies_after, without_fences};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use model::check;

/// What the pins call the one slot, and some other.
const SLOT: u64 = 5;
const OTHER: u64 = 6;

/// A slot, and the pins of a subscriber.
struct World {
    withdrawn: AtomicU64,
    /// The payload. loom fails a model in which it is read and written at the same time.
    payload: UnsafeCell<u64>,
    pins: [AtomicU64; 2],
    high: AtomicU64,
    subscribers: Generation,
    /// How many records are out: the last of them has the slot.
    record: AtomicU64,
}

// SAFETY: loom checks every access to the payload.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    /// The slot belongs to record 0, which is out.
    fn new() -> Arc<World> {
        let word = AtomicU64::new;
        Arc::new(World {
            withdrawn: word(0),
            payload: UnsafeCell::new(100),
            pins: [word(0), word(0)],
            high: word(0),
            subscribers: Generation::new(),
            record: word(1),
        })
    }

    /// What `Slab::take_back` and the next message do: withdraw, look who announced it, reuse. `met`: the
    /// publisher knows the subscriber already; otherwise it looks whether somebody came.
    fn reuse(&self, seq: u64, met: &mut bool) -> bool {
        withdraw([(&self.withdrawn, seq)]);
        *met |= self.subscribers.now() != 0;
        if *met && is_announced(&self.pins, &self.high, SLOT) {
            return false;
        }
        // SAFETY: loom checks it.
        self.payload.with_mut(|payload| unsafe { *payload = seq + 100 });
        self.record.store(seq + 1, Ordering::Release);
        true
    }

    /// What a subscriber does with a record that points to the slot, if it is out. Whether it was still there.
    fn read(&self, place: usize, seq: u64) -> bool {
        if self.record.load(Ordering::Acquire) <= seq {
            return false;
        }
        announce(&self.pins, &self.high, place, SLOT);
        let believed = has_slot(&self.withdrawn, seq);
        if believed {
            // SAFETY: loom checks it.
            self.payload.with(|payload| assert_eq!(unsafe { *payload }, seq + 100));
        }
        self.pins[place].store(0, Ordering::Release);
        believed
    }
}

fn reading_against_reuse(publisher_fences: bool, reader_fences: bool) {
    check(4, move || {
        let world = World::new();
        let reading = world.clone();
        let reader = thread::spawn(move || {
            if !reader_fences {
                without_fences();
            }
            // Two in turn, from two places.
            reading.read(0, 0);
            reading.read(1, 1);
        });
        if !publisher_fences {
            without_fences();
        }
        let mut met = true;
        world.reuse(1, &mut met);
        reader.join().unwrap();
        assert!(world.reuse(2, &mut met), "a slot nobody announces is free");
    });
}

#[test]
fn a_slot_is_not_reused_under_its_reader() {
    reading_against_reuse(true, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_publishers_fence_a_slot_is_reused_under_its_reader() {
    reading_against_reuse(false, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_readers_fence_a_slot_is_reused_under_its_reader() {
    reading_against_reuse(true, false);
}

/// Who finds another slot announced where this one was knows that this one was read.
#[test]
fn a_place_that_names_another_slot_was_left_before() {
    check(4, || {
        let world = World::new();
        let reading = world.clone();
        let reader = thread::spawn(move || {
            reading.read(0, 0);
            announce(&reading.pins, &reading.high, 0, OTHER);
        });
        world.reuse(1, &mut true);
        reader.join().unwrap();
    });
}

/// The reader came after the publisher last looked who is there.
#[test]
fn a_slot_is_not_reused_under_a_reader_that_just_came() {
    check(4, || {
        let world = World::new();
        let arriving = world.clone();
        let reader = thread::spawn(move || {
            arriving.subscribers.raise();
            arriving.read(0, 0);
        });
        world.reuse(1, &mut false);
        reader.join().unwrap();
    });
}

/// The reader dies anywhere: its pin keeps the slot until its death is noticed, and nothing else.
#[test]
fn a_dead_readers_pin_holds_only_its_slot() {
    for stores in 0..4 {
        check(3, move || {
            let world = World::new();
            let dying = world.clone();
            let reader = thread::spawn(move || {
                dies_after(stores, || dying.read(0, 0));
            });
            let mut met = true;
            world.reuse(1, &mut met);
            reader.join().unwrap();
            // Forgotten once dead.
            assert!(world.reuse(2, &mut false));
        });
    }
}
