//! The queue's words: a message goes to one, whole; no cell, bit or hint hides it; what ends at the same time ends once; and
//! nobody sleeps while there is something for it.
#![cfg(loom)]

mod model;

use axonic::Result;
use axonic::domain::steps::{Generation, Owed};
use axonic::domain::waiter::{Arming, turn};
use axonic::mechanisms::queue::steps::{Bits, Cell, Lane, Look, State, Word, unclaimed};
use axonic::sys::atomic::{AtomicU64, Ordering, dies_after, spin_loop, without_fences, without_order};
use axonic::sys::fence::after_update;
use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use model::check;
// loom's own may not be dropped while a deadlock unwinds.
use std::sync::Arc;

/// A slot and its bytes.
struct Slot {
    word: AtomicU64,
    due: AtomicU64,
    claim: AtomicU64,
    bytes: UnsafeCell<u64>,
}

/// A queue of two slots, one lane of two cells, a side lane of two, and two that sleep for a message.
struct Queue {
    slots: [Slot; 2],
    cells: Vec<AtomicU64>,
    tail: AtomicU64,
    side: Vec<AtomicU64>,
    side_tail: AtomicU64,
    unnamed: AtomicU64,
    armed: [AtomicU64; 2],
    armings: Generation,
    bell: SharedBell,
}

/// The bell that sleepers share: a ring is for one.
#[derive(Default)]
struct SharedBell {
    rings: Mutex<u64>,
    came: Condvar,
}

impl SharedBell {
    fn ring(&self) {
        *self.rings.lock().unwrap() += 1;
        self.came.notify_all();
    }

    fn sleep(&self) {
        let mut rings = self.rings.lock().unwrap();
        while *rings == 0 {
            rings = self.came.wait(rings).unwrap();
        }
        *rings -= 1;
    }
}

/// Rows of a producer and of consumers.
const PRODUCER: u32 = 9;
const FREE: Word = Word(0);

impl Queue {
    fn new() -> Arc<Queue> {
        let word = || AtomicU64::new(0);
        let slot = || Slot { word: word(), due: word(), claim: word(), bytes: UnsafeCell::new(0) };
        Arc::new(Queue {
            slots: [slot(), slot()],
            cells: vec![word(), word()],
            tail: word(),
            side: vec![word(), word()],
            side_tail: word(),
            unnamed: word(),
            armed: [word(), word()],
            armings: Generation::new(),
            bell: SharedBell::default(),
        })
    }

    fn lane(&self) -> Lane<'_> {
        Lane::new(&self.cells)
    }

    fn word(&self, number: u32) -> &AtomicU64 {
        &self.slots[number as usize].word
    }

    fn write(&self, number: u32, value: u64) {
        self.slots[number as usize].bytes.with_mut(|bytes| {
            // SAFETY: whoever writes has the slot; loom checks it.
            unsafe { *bytes = value }
        });
    }

    fn read(&self, number: u32) -> u64 {
        // SAFETY: whoever reads has the slot; loom checks it.
        self.slots[number as usize].bytes.with(|bytes| unsafe { *bytes })
    }

    /// The put, if the slot is free.
    fn put(&self, number: u32, value: u64) -> bool {
        let seen = Word::of(self.word(number));
        let writing = seen.then(State::Writing, PRODUCER);
        if !seen.is(State::Free) || !seen.change(self.word(number), writing) {
            return false;
        }
        self.write(number, value);
        let ready = writing.then(State::Ready, PRODUCER);
        self.word(number).store(ready.0, Ordering::Release);
        self.lane().fill(&self.tail, number, ready.generation());
        true
    }

    /// Takes the first message of the lane from `position` on, and what it says.
    fn take(&self, position: &mut u64, row: u32) -> Option<(u32, Word, u64)> {
        loop {
            let cell = match self.lane().look(*position) {
                Look::Full(cell) => cell,
                Look::Empty => return None,
                Look::Past => {
                    *position += 1;
                    continue;
                }
            };
            *position += 1;
            let (number, word) = (cell.slot(), Word::of(self.word(cell.slot())));
            let leased = word.then(State::Leased, row);
            if word.is(State::Ready) && cell.means(word) && word.change(self.word(number), leased) {
                return Some((number, leased, self.read(number)));
            }
        }
    }

    fn free(&self, number: u32, from: Word) -> bool {
        from.change(self.word(number), from.then(State::Free, 0))
    }

    /// Gives a message back, and names it in the side lane.
    fn give_back(&self, number: u32, from: Word, row: u32) -> bool {
        let returned = from.then(State::Returned, row);
        from.change(self.word(number), returned) && {
            self.name_aside(number, returned);
            true
        }
    }

    fn name_aside(&self, number: u32, word: Word) {
        let is_aside = |cell: Cell| {
            let word = Word::of(self.word(cell.slot()));
            word.is(State::Returned) && cell.means(word)
        };
        Lane::new(&self.side).fill_keeping(&self.side_tail, number, word.generation(), is_aside);
    }

    /// What a consumer finds beside the line that has read the side lane up to `cursor`.
    fn take_aside(&self, cursor: &mut u64, row: u32) -> Option<(u32, Word, u64)> {
        let lane = Lane::new(&self.side);
        let tail = self.side_tail.load(Ordering::Relaxed);
        *cursor = (*cursor).max(tail.saturating_sub(lane.cells()));
        loop {
            let look = lane.look(*cursor);
            if look == Look::Empty {
                return None;
            }
            *cursor += 1;
            let Look::Full(cell) = look else { continue };
            let (number, word) = (cell.slot(), Word::of(self.word(cell.slot())));
            let leased = word.then(State::Leased, row);
            if word.is(State::Returned) && word.change(self.word(number), leased) {
                return Some((number, leased, self.read(number)));
            }
        }
    }

    /// What the library does after a commit: fence, see who sleeps, ring for one.
    fn call(&self, owed: &Owed) {
        after_update();
        let now = self.armings.now();
        let asleep =
            || self.armed.iter().filter(|armed| armed.load(Ordering::Relaxed) & 1 == 1).count() as u64;
        if !owed.is_settled(now) && owed.take(now, asleep) {
            self.bell.ring();
        }
    }

    /// Sleeps until `look` finds something; a wake-up that is lost is a deadlock.
    fn wait<T>(&self, who: usize, look: &mut dyn FnMut(&Queue) -> Option<T>) -> T {
        loop {
            let look = &mut |queue: &mut &Queue| -> Result<Option<T>> { Ok(look(queue)) };
            let arming: fn(&&Queue) -> Arming<'static> = match who {
                0 => |queue| arming(queue, 0),
                _ => |queue| arming(queue, 1),
            };
            let mut sleeper = self;
            let sleep = |queue: &mut &Queue| -> Result<()> {
                queue.bell.sleep();
                Ok(())
            };
            if let Some(found) = turn(&mut sleeper, arming, false, look, sleep).0.unwrap() {
                return found;
            }
        }
    }
}

/// Whoever borrows it is joined before the model ends.
fn arming(queue: &Queue, who: usize) -> Arming<'static> {
    // SAFETY: the `Queue` is in an `Arc` that every thread of the model holds while it uses this.
    let queue: &'static Queue = unsafe { &*std::ptr::from_ref(queue) };
    Arming { armed: &queue.armed[who], count: Some(&queue.armings) }
}

/// Two consumers and a producer: the message goes to one of them, with its bytes.
fn delivery(ordered: bool) {
    check(3, move || {
        let queue = Queue::new();
        let (producer, other) = (queue.clone(), queue.clone());
        let producing = thread::spawn(move || {
            if !ordered {
                without_order();
            }
            assert!(producer.put(0, 7));
        });
        let consuming = thread::spawn(move || other.take(&mut 0, 1));
        let mine = queue.take(&mut 0, 2);
        let theirs = consuming.join().unwrap();
        producing.join().unwrap();
        assert!(mine.is_none() || theirs.is_none(), "both have it");
        let got = mine.or(theirs).or_else(|| queue.take(&mut 0, 2)).expect("it is there");
        assert_eq!(got.2, 7);
    });
}

#[test]
fn a_message_goes_to_one() {
    delivery(true);
}

#[test]
#[should_panic]
fn without_the_producers_order_a_message_is_not_whole() {
    delivery(false);
}

/// Two producers fill a lane at the same time: no cell is empty before a full one, and nothing is there twice.
#[test]
fn two_that_put_get_two_cells() {
    check(3, || {
        let queue = Queue::new();
        let other = queue.clone();
        let putting = thread::spawn(move || assert!(other.put(1, 11)));
        assert!(queue.put(0, 10));
        let mut position = 0;
        let first = queue.take(&mut position, 1).expect("what was put before is not behind a gap").2;
        putting.join().unwrap();
        let second = queue.take(&mut position, 1).expect("the other one").2;
        assert_eq!(first + second, 21);
        assert!(queue.take(&mut position, 1).is_none());
    });
}

/// A lane goes round while a consumer looks at a cell of the lap before: what it takes is there now, and once.
#[test]
fn a_lane_goes_round_under_a_consumer() {
    check(2, || {
        let queue = Queue::new();
        assert!(queue.put(0, 1));
        let (producer, other) = (queue.clone(), queue.clone());
        let producing =
            thread::spawn(move || (2..4).filter(|value| producer.put(0, *value)).collect::<Vec<_>>());
        let consume = |queue: &Queue, row: u32| {
            let (mut position, mut got) = (0, Vec::new());
            while let Some((number, word, value)) = queue.take(&mut position, row) {
                got.push(value);
                assert!(queue.free(number, word));
            }
            got
        };
        let consuming = thread::spawn(move || consume(&other, 1));
        let mut got = consume(&queue, 2);
        got.extend(consuming.join().unwrap());
        let mut put = producing.join().unwrap();
        put.push(1);
        got.extend(consume(&queue, 3));
        got.sort_unstable();
        put.sort_unstable();
        assert_eq!(got, put);
    });
}

/// A producer is killed before each of its stores, and two set right at once what it left: the message is in line once, or
/// its slot is free.
#[test]
fn what_a_dead_producer_left_is_listed_by_one() {
    for stores in 0..5 {
        check(2, move || {
            let queue = Queue::new();
            dies_after(stores, || queue.put(0, 7));
            let recover = |queue: &Queue, row: u32| {
                let word = Word::of(queue.word(0));
                if word.is(State::Writing) {
                    queue.free(0, word);
                } else if word.is(State::Ready) && word.row() == PRODUCER {
                    let named = matches!(queue.lane().look(0), Look::Full(cell) if cell.means(word));
                    let ours = word.then(State::Ready, row);
                    if !named && word.change(queue.word(0), ours) {
                        queue.lane().fill(&queue.tail, 0, ours.generation());
                    }
                }
            };
            let other = queue.clone();
            let recovering = thread::spawn(move || recover(&other, 2));
            recover(&queue, 1);
            recovering.join().unwrap();
            let mut position = 0;
            let got = queue.take(&mut position, 1);
            assert!(queue.take(&mut position, 1).is_none(), "it is in line twice");
            assert_eq!(got.is_none(), Word::of(queue.word(0)).is(State::Free), "neither free nor in line");
        });
    }
}

/// Its consumer settles a message while somebody ends its lease: one of them does, and whoever has it next has it alone.
#[test]
fn a_message_is_settled_or_given_to_another() {
    check(3, || {
        let queue = Queue::new();
        let leased = FREE.then(State::Timed, 1);
        queue.word(0).store(leased.0, Ordering::Release);
        let other = queue.clone();
        let ending = thread::spawn(move || {
            other.give_back(0, leased, 2).then(|| {
                let taken = other.take_aside(&mut 0, 2).expect("what was given back is there");
                other.write(0, 5);
                assert!(other.free(taken.0, taken.1));
            })
        });
        // What becomes of it is written down while nobody else has it.
        let held = leased.then(State::Held, 1);
        let settled = leased.change(queue.word(0), held) && {
            queue.write(0, 6);
            assert!(queue.free(0, held), "nobody takes what is held");
            true
        };
        assert!(settled != ending.join().unwrap().is_some());
        assert_eq!(queue.read(0), if settled { 6 } else { 5 });
    });
}

/// A consumer extends its lease while somebody looks whether it is over: by the time of before, or not at all.
fn extension(ordered: bool) {
    const NOW: u64 = 10;
    check(3, move || {
        let queue = Queue::new();
        let timed = FREE.then(State::Timed, 1);
        queue.slots[0].due.store(NOW, Ordering::Relaxed);
        queue.word(0).store(timed.0, Ordering::Release);
        let owner = queue.clone();
        let extending = thread::spawn(move || {
            if !ordered {
                without_order();
            }
            let held = timed.then(State::Held, 1);
            timed.change(owner.word(0), held) && {
                owner.slots[0].due.store(NOW + 100, Ordering::Relaxed);
                held.change(owner.word(0), held.then(State::Timed, 1))
            }
        });
        let word = Word::of(queue.word(0));
        let due = queue.slots[0].due.load(Ordering::Acquire);
        let ended = word.is(State::Timed) && due <= NOW && queue.give_back(0, word, 2);
        assert!(ended != extending.join().unwrap(), "a lease that was extended is over");
    });
}

#[test]
fn a_lease_ends_by_its_own_time() {
    extension(true);
}

#[test]
#[should_panic]
fn without_its_order_a_lease_ends_by_another_time() {
    extension(false);
}

/// Two messages are given back at the same time, again and again: the side lane goes round, and names both.
#[test]
fn what_was_given_back_is_named_however_the_lane_goes_round() {
    check(2, || {
        let queue = Queue::new();
        let leased = FREE.then(State::Leased, 1);
        (0..2).for_each(|number| queue.word(number).store(leased.0, Ordering::Relaxed));
        assert!(queue.give_back(0, leased, 1));
        let other = queue.clone();
        // Somebody has the second one twice, unless the other takes it in between.
        let giving = thread::spawn(move || {
            assert!(other.give_back(1, leased, 1));
            let returned = leased.then(State::Returned, 1);
            let again = returned.then(State::Leased, 1);
            if returned.change(other.word(1), again) {
                assert!(other.give_back(1, again, 1));
            }
        });
        let mut cursor = 0;
        let mut got: Vec<u32> =
            std::iter::from_fn(|| queue.take_aside(&mut cursor, 2)).map(|t| t.0).collect();
        giving.join().unwrap();
        got.extend(std::iter::from_fn(|| queue.take_aside(&mut cursor, 2)).map(|t| t.0));
        got.sort_unstable();
        assert_eq!(got, [0, 1]);
    });
}

/// One that comes reads the side lane from where it is not over a round back: what was given back before is named there.
#[test]
fn what_was_given_back_is_never_a_round_behind() {
    check(2, || {
        let queue = Queue::new();
        let leased = FREE.then(State::Leased, 1);
        (0..2).for_each(|number| queue.word(number).store(leased.0, Ordering::Relaxed));
        assert!(queue.give_back(0, leased, 1));
        let mut word = leased;
        for _ in 0..2 {
            assert!(queue.give_back(1, word, 1));
            let returned = word.then(State::Returned, 1);
            word = returned.then(State::Leased, 1);
            assert!(returned.change(queue.word(1), word));
        }
        let other = queue.clone();
        let giving = thread::spawn(move || other.give_back(1, word, 1));
        let found = queue.take_aside(&mut 0, 2).map(|taken| taken.0);
        assert!(giving.join().unwrap());
        assert!(found.is_some());
    });
}

/// A message is done while its producer gives up waiting for that: one of them frees it, and only one.
fn result(fences: bool) {
    check(3, move || {
        let queue = Queue::new();
        let held = FREE.then(State::Held, 1);
        queue.word(0).store(held.0, Ordering::Relaxed);
        queue.slots[0].claim.store(3, Ordering::Release);
        let free = move |queue: &Queue| {
            if !fences {
                without_fences();
            }
            unclaimed(queue.word(0), &queue.slots[0].claim).is_some_and(|word| queue.free(0, word))
        };
        let producer = queue.clone();
        let giving_up = thread::spawn(move || {
            let claim = &producer.slots[0].claim;
            claim.compare_exchange(3, 0, Ordering::AcqRel, Ordering::Relaxed).unwrap();
            free(&producer)
        });
        queue.write(0, 1);
        assert!(held.change(queue.word(0), held.then(State::Done, 1)));
        let freed = [free(&queue), giving_up.join().unwrap()];
        assert_eq!(freed.iter().filter(|freed| **freed).count(), 1, "freed by each: {freed:?}");
    });
}

#[test]
fn a_result_nobody_waits_for_is_freed_by_one() {
    result(true);
}

#[test]
#[should_panic(expected = "freed by each")]
fn without_fences_a_result_stays_for_ever() {
    result(false);
}

/// A producer that waits for a result finds it whole.
fn outcome(ordered: bool) {
    check(3, move || {
        let queue = Queue::new();
        let leased = FREE.then(State::Leased, 1);
        queue.word(0).store(leased.0, Ordering::Relaxed);
        let consumer = queue.clone();
        let finishing = thread::spawn(move || {
            if !ordered {
                without_order();
            }
            let held = leased.then(State::Held, 1);
            assert!(leased.change(consumer.word(0), held));
            consumer.write(0, 8);
            assert!(held.change(consumer.word(0), held.then(State::Done, 1)));
        });
        let word = loop {
            let word = Word::of(queue.word(0));
            if word.is(State::Done) {
                break word;
            }
            spin_loop();
        };
        assert_eq!(queue.read(0), 8);
        assert!(queue.free(0, word));
        finishing.join().unwrap();
    });
}

#[test]
fn a_result_is_whole() {
    outcome(true);
}

#[test]
#[should_panic]
fn without_its_order_a_result_is_not_whole() {
    outcome(false);
}

/// One frees slots while another takes all bits there are: each slot's bit is in one hand, or found.
fn free_bits(fences: bool) {
    check(3, move || {
        let (words, summary) = (Arc::new([AtomicU64::new(0)]), Arc::new([AtomicU64::new(0)]));
        let bits = Bits { words: &*words, summary: &*summary };
        bits.set(0, 1);
        let (theirs, above) = (words.clone(), summary.clone());
        let giving = thread::spawn(move || {
            if !fences {
                without_fences();
            }
            let bits = Bits { words: &*theirs, summary: &*above };
            bits.set(0, 2);
            bits.set(0, 4);
        });
        if !fences {
            without_fences();
        }
        let mut taken = 0;
        for _ in 0..2 {
            let new = bits.next(0).map_or(0, |at| bits.take(at));
            assert_eq!(taken & new, 0, "a bit is in two hands");
            taken |= new;
        }
        giving.join().unwrap();
        while let Some(at) = bits.next(0) {
            taken |= bits.take(at);
        }
        assert_eq!(taken, 7, "one is neither taken nor found");
    });
}

#[test]
fn no_free_bit_is_lost() {
    free_bits(true);
}

#[test]
#[should_panic(expected = "neither taken nor found")]
fn without_fences_a_free_bit_is_lost() {
    free_bits(false);
}

/// One is killed before each of its stores to the bits: whoever sets right what it left finds those it set.
#[test]
fn a_bit_of_a_dead_one_is_found() {
    for stores in 0..3 {
        check(3, move || {
            let (words, summary) = ([AtomicU64::new(0)], [AtomicU64::new(0)]);
            let bits = Bits { words: &words, summary: &summary };
            dies_after(stores, || bits.set(0, 1));
            bits.set(0, 2);
            bits.summarize(1);
            let found = bits.next(0).map(|at| bits.take(at));
            assert_eq!(found, Some(if stores == 0 { 2 } else { 3 }));
        });
    }
}

/// Two sleep for messages; a producer puts two: each gets one.
fn wake_ups(producer_fences: bool, sleepers_fence: bool) {
    check(2, move || {
        let queue = Queue::new();
        let sleeping: Vec<_> = (0..2)
            .map(|who| {
                let queue = queue.clone();
                thread::spawn(move || {
                    if !sleepers_fence {
                        without_fences();
                    }
                    let mut position = 0;
                    queue.wait(who, &mut |queue| queue.take(&mut position, who as u32 + 1)).2
                })
            })
            .collect();
        if !producer_fences {
            without_fences();
        }
        let owed = Owed::default();
        for number in 0..2 {
            assert!(queue.put(number, u64::from(number) + 1));
            queue.call(&owed);
        }
        let got: u64 = sleeping.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(got, 3);
    });
}

#[test]
fn nobody_sleeps_while_there_is_a_message() {
    wake_ups(true, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_producers_fence_somebody_sleeps_on() {
    wake_ups(false, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_sleepers_fence_somebody_sleeps_on() {
    wake_ups(true, false);
}

/// Who sleeps for a message hears of one that is given back, and a producer of a slot that becomes free.
fn given_back_or_freed(freed: bool) {
    check(3, move || {
        let queue = Queue::new();
        let leased = FREE.then(State::Leased, 1);
        queue.word(0).store(leased.0, Ordering::Release);
        let sleeper = queue.clone();
        let sleeping = thread::spawn(move || {
            let mut cursor = 0;
            sleeper.wait(0, &mut |queue| match freed {
                true => queue.put(0, 4).then_some(()),
                false => queue.take_aside(&mut cursor, 2).map(drop),
            });
        });
        match freed {
            true => assert!(queue.free(0, leased)),
            false => assert!(queue.give_back(0, leased, 1)),
        }
        queue.call(&Owed::default());
        sleeping.join().unwrap();
    });
}

#[test]
fn who_sleeps_hears_of_what_is_given_back() {
    given_back_or_freed(false);
}

/// Where there is no memory for the side lane a count says that something was given back, and who sleeps looks at all slots
/// once for that.
fn given_back_unnamed(ordered: bool) {
    check(3, move || {
        let queue = Queue::new();
        let leased = FREE.then(State::Leased, 1);
        queue.word(0).store(leased.0, Ordering::Release);
        let sleeper = queue.clone();
        let sleeping = thread::spawn(move || {
            let mut seen = 0;
            sleeper.wait(0, &mut |queue| {
                let now = queue.unnamed.load(Ordering::Acquire);
                let moved = std::mem::replace(&mut seen, now) != now;
                moved.then(|| assert!(Word::of(queue.word(0)).is(State::Returned)))
            });
        });
        if !ordered {
            without_order();
        }
        assert!(leased.change(queue.word(0), leased.then(State::Returned, 1)));
        queue.unnamed.fetch_add(1, Ordering::AcqRel);
        queue.call(&Owed::default());
        sleeping.join().unwrap();
    });
}

#[test]
fn who_sleeps_hears_of_what_the_side_lane_does_not_name() {
    given_back_unnamed(true);
}

#[test]
#[should_panic]
fn without_its_order_what_the_side_lane_does_not_name_is_not_found() {
    given_back_unnamed(false);
}

#[test]
fn a_producer_hears_of_a_slot_that_is_free() {
    given_back_or_freed(true);
}
