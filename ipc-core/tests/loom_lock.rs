//! The locks' words: one owner at a time, whoever dies; nobody sleeps for what is free; nothing is given back twice.
#![cfg(loom)]

mod model;

use axonic::Result;
use axonic::domain::steps::{Generation, Owed};
use axonic::domain::waiter::{Arming, turn};
use axonic::mechanisms::lock::steps::{self, Gate};
use axonic::sys::atomic::{AtomicU64, Ordering, dies_after, fence, spin_loop, without_fences, without_order};
use axonic::sys::fence::after_update;
use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use model::check;
// loom's own may not be dropped while a deadlock unwinds.
use std::sync::Arc;

/// The bell that sleepers share, and the deaths they all hear of: a ring is for one, a death for each.
#[derive(Default)]
struct SharedBell {
    state: Mutex<(u64, [bool; 2])>,
    came: Condvar,
}

impl SharedBell {
    fn ring(&self) {
        self.state.lock().unwrap().0 += 1;
        self.came.notify_all();
    }

    fn die(&self) {
        self.state.lock().unwrap().1 = [true; 2];
        self.came.notify_all();
    }

    fn sleep(&self, who: usize) {
        let mut state = self.state.lock().unwrap();
        while state.0 == 0 && !state.1[who] {
            state = self.came.wait(state).unwrap();
        }
        if !std::mem::take(&mut state.1[who]) {
            state.0 -= 1;
        }
    }
}

/// A mutex, what it protects, and the rows of two that sleep for it.
struct Locked {
    word: AtomicU64,
    data: UnsafeCell<u64>,
    armed: [AtomicU64; 2],
    armings: Generation,
    bell: SharedBell,
    dead: Mutex<Vec<u64>>,
}

impl Locked {
    fn by(owner: u64) -> Arc<Locked> {
        Arc::new(Locked {
            word: AtomicU64::new(owner),
            data: UnsafeCell::new(0),
            armed: [AtomicU64::new(0), AtomicU64::new(0)],
            armings: Generation::new(),
            bell: SharedBell::default(),
            dead: Mutex::new(Vec::new()),
        })
    }

    fn touch(&self) {
        self.data.with_mut(|data| {
            // SAFETY: the lock is held; loom checks it.
            unsafe { *data += 1 }
        });
    }

    /// What the library does: commit, fence, see who sleeps, ring for one.
    fn unlock(&self, me: u64, owed: &Owed) {
        assert!(steps::give(&self.word, me));
        self.call(owed);
    }

    fn call(&self, owed: &Owed) {
        after_update();
        let now = self.armings.now();
        let asleep =
            || self.armed.iter().filter(|armed| armed.load(Ordering::Relaxed) & 1 == 1).count() as u64;
        if !owed.is_settled(now) && owed.take(now, asleep) {
            self.bell.ring();
        }
    }

    /// Whether it was taken, and whether from somebody dead.
    fn attempt(&self, me: u64) -> Option<bool> {
        let owner = self.word.load(Ordering::Relaxed);
        if owner != 0 && !self.dead.lock().unwrap().contains(&owner) {
            return None;
        }
        steps::take(&self.word, owner, me).then_some(owner != 0)
    }

    /// Sleeps until it has it; a wake-up that is lost is a deadlock.
    fn lock(&self, me: u64, who: usize) -> bool {
        loop {
            let look = &mut |locked: &mut &Locked| -> Result<Option<bool>> { Ok(locked.attempt(me)) };
            let arming: fn(&&Locked) -> Arming<'static> = match who {
                0 => |locked| arming(locked, 0),
                _ => |locked| arming(locked, 1),
            };
            let mut sleeper = self;
            let sleep = |locked: &mut &Locked| -> Result<()> {
                locked.bell.sleep(who);
                Ok(())
            };
            if let Some(from_dead) = turn(&mut sleeper, arming, false, look, sleep).0.unwrap() {
                return from_dead;
            }
        }
    }

    fn kill(&self, who: u64) {
        self.dead.lock().unwrap().push(who);
        self.bell.die();
    }
}

/// Whoever borrows it is joined before the model ends.
fn arming(locked: &Locked, who: usize) -> Arming<'static> {
    // SAFETY: the `Locked` is in an `Arc` that every thread of the model holds while it uses this.
    let locked: &'static Locked = unsafe { &*std::ptr::from_ref(locked) };
    Arming { armed: &locked.armed[who], count: Some(&locked.armings) }
}

/// Two that try until they have it: one at a time, and each sees what the other did.
fn exclusion(ordered: bool) {
    check(3, move || {
        let locked = Locked::by(0);
        let other = locked.clone();
        let run = move |locked: &Locked, me: u64| {
            if !ordered {
                without_order();
            }
            while !steps::take(&locked.word, 0, me) {
                spin_loop();
            }
            locked.touch();
            assert!(steps::give(&locked.word, me) && !steps::give(&locked.word, me));
        };
        let thread = thread::spawn(move || run(&other, 1));
        run(&locked, 2);
        thread.join().unwrap();
    });
}

#[test]
fn a_mutex_is_had_by_one() {
    exclusion(true);
}

#[test]
#[should_panic]
fn without_its_order_a_mutex_protects_nothing() {
    exclusion(false);
}

/// One has it, two sleep for it, and each gets it in the end.
fn wake_ups(unlocker_fences: bool, sleepers_fence: bool) {
    check(2, move || {
        let locked = Locked::by(9);
        let sleeping: Vec<_> = (0..2)
            .map(|who| {
                let locked = locked.clone();
                thread::spawn(move || {
                    if !sleepers_fence {
                        without_fences();
                    }
                    let me = who as u64 + 1;
                    locked.lock(me, who);
                    locked.touch();
                    locked.unlock(me, &Owed::default());
                })
            })
            .collect();
        if !unlocker_fences {
            without_fences();
        }
        locked.touch();
        locked.unlock(9, &Owed::default());
        sleeping.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn nobody_sleeps_for_a_free_mutex() {
    wake_ups(true, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_unlockers_fence_somebody_sleeps_on() {
    wake_ups(false, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_sleepers_fence_somebody_sleeps_on() {
    wake_ups(true, false);
}

/// One that locks and unlocks again and again rings for one each time, and for no more than sleep.
#[test]
fn who_unlocks_twice_wakes_two() {
    check(2, || {
        let locked = Locked::by(9);
        let sleeping: Vec<_> = (0..2)
            .map(|who| {
                let locked = locked.clone();
                thread::spawn(move || {
                    locked.lock(who as u64 + 1, who);
                    locked.touch();
                    assert!(steps::give(&locked.word, who as u64 + 1));
                    locked.call(&Owed::default());
                })
            })
            .collect();
        let owed = Owed::default();
        locked.unlock(9, &owed);
        if steps::take(&locked.word, 0, 9) {
            locked.unlock(9, &owed);
        }
        sleeping.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// The owner is killed before each of its stores: the sleeper gets it, and is told if the owner still had it.
fn owner_dies(notice: bool) {
    for stores in 0..3 {
        check(3, move || {
            let locked = Locked::by(0);
            let owner = locked.clone();
            let dying = thread::spawn(move || {
                let mut had = false;
                dies_after(stores, || {
                    had = steps::take(&owner.word, 0, 9);
                    if had {
                        had = !steps::give(&owner.word, 9);
                        owner.call(&Owed::default());
                    }
                });
                if notice {
                    owner.kill(9);
                }
                had
            });
            let told = locked.lock(1, 0);
            assert_eq!(told, dying.join().unwrap());
        });
    }
}

#[test]
fn a_dead_owners_mutex_is_taken_over() {
    owner_dies(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_death_notice_nobody_takes_it_over() {
    owner_dies(false);
}

/// Two find the same owner dead: one takes its place, and the other does not take it from that one.
#[test]
fn of_two_that_find_the_owner_dead_one_takes_over() {
    check(3, || {
        let locked = Locked::by(9);
        locked.dead.lock().unwrap().push(9);
        let other = locked.clone();
        let run = |locked: &Locked, me: u64| {
            let told = locked.attempt(me);
            if told.is_some() {
                locked.touch();
            }
            told
        };
        let thread = thread::spawn(move || run(&other, 1));
        let told = run(&locked, 2);
        assert_eq!([told, thread.join().unwrap()].iter().flatten().count(), 1);
    });
}

/// Of two that sleep the one that was rung for dies with the ring in its hand: the other hears of that death.
fn rung_one_dies(notice: bool) {
    check(3, move || {
        let locked = Locked::by(9);
        let (doomed, sleeper) = (locked.clone(), locked.clone());
        let dying = thread::spawn(move || {
            doomed.armed[1].store(1, Ordering::Relaxed);
            doomed.armings.raise();
            doomed.bell.sleep(1);
            if notice {
                doomed.kill(2);
            }
        });
        let sleeping = thread::spawn(move || {
            sleeper.lock(1, 0);
            // Where the ring was for this one, the doomed sleeps on.
            sleeper.bell.ring();
        });
        locked.unlock(9, &Owed::default());
        dying.join().unwrap();
        sleeping.join().unwrap();
    });
}

#[test]
fn who_was_rung_for_and_dies_is_heard_of() {
    rung_one_dies(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_its_death_notice_the_ring_is_lost() {
    rung_one_dies(false);
}

/// A semaphore: two permits, what each lets in, and the rows of two that sleep for one.
struct Permits {
    words: [AtomicU64; 2],
    data: [UnsafeCell<u64>; 2],
    /// As the mutex has them.
    asleep: Arc<Locked>,
}

impl Permits {
    fn of(holders: [u64; 2]) -> Arc<Permits> {
        Arc::new(Permits {
            words: holders.map(AtomicU64::new),
            data: [UnsafeCell::new(0), UnsafeCell::new(0)],
            asleep: Locked::by(0),
        })
    }

    /// What the library does: those that nobody has, then those of the dead.
    fn attempt(&self, me: u64) -> Option<usize> {
        let free =
            |at: &usize| self.words[*at].load(Ordering::Relaxed) == 0 && steps::take(&self.words[*at], 0, me);
        let dead = |at: &usize| {
            let holder = self.words[*at].load(Ordering::Relaxed);
            let is_dead = self.asleep.dead.lock().unwrap().contains(&holder);
            is_dead && steps::take(&self.words[*at], holder, me)
        };
        (0..2).find(free).or_else(|| (0..2).find(dead))
    }

    /// Sleeps until it has one; a wake-up that is lost is a deadlock.
    fn acquire(&self, me: u64, who: usize) -> usize {
        loop {
            let look = &mut |permits: &mut &Permits| -> Result<Option<usize>> { Ok(permits.attempt(me)) };
            let arming: fn(&&Permits) -> Arming<'static> = match who {
                0 => |permits| arming(&permits.asleep, 0),
                _ => |permits| arming(&permits.asleep, 1),
            };
            let sleep = |permits: &mut &Permits| -> Result<()> {
                permits.asleep.bell.sleep(who);
                Ok(())
            };
            let mut sleeper = self;
            if let Some(place) = turn(&mut sleeper, arming, false, look, sleep).0.unwrap() {
                return place;
            }
        }
    }

    fn touch(&self, place: usize) {
        self.data[place].with_mut(|data| {
            // SAFETY: the permit is held, and no other has this place; loom checks it.
            unsafe { *data += 1 }
        });
    }

    fn release(&self, place: usize, me: u64, owed: &Owed) {
        assert!(steps::give(&self.words[place], me));
        self.asleep.call(owed);
    }
}

/// Both permits are had, by one; two sleep, and each gets one when that releases both.
fn permits_released(ordered: bool, fences: bool) {
    check(2, move || {
        let permits = Permits::of([9, 9]);
        let sleeping: Vec<_> = (0..2)
            .map(|who| {
                let permits = permits.clone();
                thread::spawn(move || {
                    if !ordered {
                        without_order();
                    }
                    let place = permits.acquire(who as u64 + 1, who);
                    permits.touch(place);
                    place
                })
            })
            .collect();
        if !fences {
            without_fences();
        }
        let owed = Owed::default();
        for place in 0..2 {
            permits.touch(place);
            permits.release(place, 9, &owed);
        }
        let places = sleeping.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(places.sum::<usize>(), 1, "both have the same");
    });
}

#[test]
fn two_permits_that_are_released_wake_two() {
    permits_released(true, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_releasers_fence_somebody_waits_for_a_free_permit() {
    permits_released(true, false);
}

#[test]
#[should_panic]
fn without_its_order_a_permit_lets_in_too_early() {
    permits_released(false, true);
}

/// One that has a permit and takes another is killed before each of its stores: the two that sleep get one each, of those
/// it had and had given back, once it is known to be dead.
fn holder_dies(notice: bool) {
    for stores in 0..3 {
        check(2, move || {
            let permits = Permits::of([9, 0]);
            let holder = permits.clone();
            let dying = thread::spawn(move || {
                dies_after(stores, || {
                    if let Some(place) = holder.attempt(9) {
                        holder.release(place, 9, &Owed::default());
                    }
                });
                if notice {
                    holder.asleep.kill(9);
                }
            });
            let other = permits.clone();
            let sleeping = thread::spawn(move || {
                let place = other.acquire(1, 0);
                other.touch(place);
                place
            });
            let place = permits.acquire(2, 1);
            permits.touch(place);
            assert_eq!(place + sleeping.join().unwrap(), 1, "both have the same");
            dying.join().unwrap();
        });
    }
}

#[test]
fn permits_of_the_dead_go_to_those_who_wait() {
    holder_dies(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_death_notice_permits_are_lost() {
    holder_dies(false);
}

/// One handle releases a permit, which a stranger takes, and hands another to a handle of its process, while a third thread
/// closes their domain: both are given back once, and the stranger keeps what it has.
fn permits_while_closing(fences: bool) {
    check(3, move || {
        let permits = Permits::of([1, 1]);
        let closed = Arc::new(AtomicU64::new(0));
        let gate = Arc::new(Gate::default());
        let give_back =
            |permits: &Permits, me: u64| permits.words.iter().filter(|word| steps::give(word, me)).count();
        let (theirs, flag, passed) = (permits.clone(), closed.clone(), gate.clone());
        let user = thread::spawn(move || {
            if !fences {
                without_fences();
            }
            let released = usize::from(steps::give(&theirs.words[0], 1));
            assert!(steps::take(&theirs.words[0], 0, 3), "nobody else wants it");
            passed.begin();
            if flag.load(Ordering::Relaxed) == 0 {
                steps::take(&theirs.words[1], 1, 2);
            }
            passed.end();
            released + if flag.load(Ordering::Relaxed) == 0 { 0 } else { give_back(&theirs, 2) }
        });
        closed.store(1, Ordering::Release);
        if !fences {
            without_fences();
        }
        fence(Ordering::SeqCst);
        let mut given = give_back(&permits, 1);
        if gate.is_out() == Some(true) {
            given += give_back(&permits, 2);
        }
        given += user.join().unwrap();
        let had = [0, 1].map(|at: usize| permits.words[at].load(Ordering::Relaxed));
        assert_eq!(had, [3, 0], "a closed handle holds it, or the stranger does not");
        assert_eq!(given, 2, "each went back once");
    });
}

#[test]
fn permits_that_are_handed_over_while_the_domain_closes_go_back() {
    permits_while_closing(true);
}

#[test]
#[should_panic(expected = "a closed handle holds it, or")]
fn without_fences_a_permit_stays_with_a_closed_handle() {
    permits_while_closing(false);
}

/// A readers' and writers' lock: the words and marks of one writer and one reader, and what they protect.
struct Shared {
    writer: AtomicU64,
    mark: AtomicU64,
    data: UnsafeCell<u64>,
    armed: AtomicU64,
    armings: Generation,
    bell: model::Bell,
}

impl Shared {
    fn new() -> Arc<Shared> {
        let word = || AtomicU64::new(0);
        Arc::new(Shared {
            writer: word(),
            mark: word(),
            data: UnsafeCell::new(0),
            armed: word(),
            armings: Generation::new(),
            bell: model::Bell::new(),
        })
    }

    /// After a reader left or did not come in.
    fn call_writer(&self) {
        after_update();
        if self.armings.now() != 0 && self.armed.load(Ordering::Relaxed) & 1 == 1 {
            self.bell.ring();
        }
    }

    fn write(&self) {
        // SAFETY: the lock is held; loom checks it.
        self.data.with_mut(|data| unsafe { *data += 1 });
        assert!(steps::give(&self.writer, 1));
    }
}

/// A reader and a writer that try once each: never are both in, and each sees what the other did.
fn readers_and_writers(fences: bool, ordered: bool) {
    check(3, move || {
        let shared = Shared::new();
        let reader = shared.clone();
        let reading = thread::spawn(move || {
            if !fences {
                without_fences();
            }
            if !ordered {
                without_order();
            }
            if steps::enter_reading(&reader.writer, &reader.mark, 2) {
                // SAFETY: the lock is held; loom checks it.
                reader.data.with(|data| unsafe { *data });
                assert!(steps::give(&reader.mark, 2));
            }
        });
        if !fences {
            without_fences();
        }
        if steps::claim_writing(&shared.writer, 0, 1) && !steps::is_reading(&shared.mark, 2) {
            shared.write();
        }
        reading.join().unwrap();
    });
}

#[test]
fn who_reads_and_who_writes_keep_apart() {
    readers_and_writers(true, true);
}

#[test]
#[should_panic]
fn without_fences_who_reads_and_who_writes_meet() {
    readers_and_writers(false, true);
}

#[test]
#[should_panic]
fn without_its_order_a_reader_meets_a_writer() {
    readers_and_writers(true, false);
}

/// A writer that has stopped readers sleeps until none is in: whoever leaves, or was in for an instant only, wakes it.
fn writer_sleeps(rings: bool) {
    check(3, move || {
        let shared = Shared::new();
        let reader = shared.clone();
        let reading = thread::spawn(move || {
            let entered = steps::enter_reading(&reader.writer, &reader.mark, 2);
            if entered {
                // SAFETY: the lock is held; loom checks it.
                reader.data.with(|data| unsafe { *data });
                assert!(steps::give(&reader.mark, 2));
            }
            if entered || rings {
                reader.call_writer();
            }
        });
        assert!(steps::claim_writing(&shared.writer, 0, 1));
        let arming: fn(&&Shared) -> Arming<'static> = |shared| {
            // SAFETY: in an `Arc` that outlives the sleep.
            let shared: &'static Shared = unsafe { &*std::ptr::from_ref(*shared) };
            Arming { armed: &shared.armed, count: Some(&shared.armings) }
        };
        loop {
            let look = &mut |shared: &mut &Shared| -> Result<Option<()>> {
                Ok((!steps::is_reading(&shared.mark, 2)).then_some(()))
            };
            let mut sleeper = &*shared;
            let slept = turn(&mut sleeper, arming, false, look, |shared| Ok(shared.bell.sleep()));
            if slept.0.unwrap().is_some() {
                break;
            }
        }
        shared.write();
        reading.join().unwrap();
    });
}

#[test]
fn a_writer_hears_of_every_reader_that_goes() {
    writer_sleeps(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_writer_has_to_hear_of_one_that_was_in_for_an_instant() {
    writer_sleeps(false);
}

/// An event that is set and cleared at once: who waited since before has passed, and sees what was done before.
fn event(ordered: bool) {
    check(3, move || {
        let (word, data) = (Arc::new(AtomicU64::new(0)), Arc::new(UnsafeCell::new(0)));
        let (theirs, done) = (word.clone(), data.clone());
        let setting = thread::spawn(move || {
            if !ordered {
                without_order();
            }
            // SAFETY: before the event is set nobody reads it; loom checks it.
            done.with_mut(|data| unsafe { *data = 1 });
            steps::set(&theirs);
            steps::clear(&theirs);
        });
        while !steps::was_set(&word, 0) {
            spin_loop();
        }
        // SAFETY: as above.
        assert_eq!(data.with(|data| unsafe { *data }), 1);
        setting.join().unwrap();
        assert!(!steps::is_set(word.load(Ordering::Relaxed)));
    });
}

#[test]
fn who_waited_passes_however_soon_an_event_is_cleared() {
    event(true);
}

#[test]
#[should_panic]
fn without_its_order_an_event_tells_too_early() {
    event(false);
}

#[test]
fn one_set_lets_one_pass() {
    check(3, || {
        let word = Arc::new(AtomicU64::new(0));
        let (setter, other) = (word.clone(), word.clone());
        let setting = thread::spawn(move || steps::set(&setter));
        let consuming = thread::spawn(move || u32::from(steps::consume(&other)));
        let passed = u32::from(steps::consume(&word)) + consuming.join().unwrap();
        setting.join().unwrap();
        assert_eq!(passed + u32::from(steps::consume(&word)), 1);
    });
}

/// Two parties: one leads, both are released, and each sees what the other did before it arrived.
fn barrier(ordered: bool) {
    check(3, move || {
        let word = Arc::new(AtomicU64::new(0));
        let done = Arc::new([UnsafeCell::new(0u64), UnsafeCell::new(0)]);
        let run = move |word: &AtomicU64, done: &[UnsafeCell<u64>; 2], me: usize| {
            if !ordered {
                without_order();
            }
            // SAFETY: the other reads it after both have arrived; loom checks it.
            done[me].with_mut(|data| unsafe { *data = 1 });
            let leads = steps::arrive(word, 1 << me, 2);
            while !leads && !steps::is_released(word, 1 << me) {
                spin_loop();
            }
            // SAFETY: as above.
            assert_eq!(done[1 - me].with(|data| unsafe { *data }), 1);
            leads
        };
        let (theirs, both) = (word.clone(), done.clone());
        let other = thread::spawn(move || run(&theirs, &both, 1));
        let leads = run(&word, &done, 0);
        assert!(leads != other.join().unwrap());
        assert_eq!(word.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_barrier_has_one_leader_and_all_pass() {
    barrier(true);
}

#[test]
#[should_panic]
fn without_its_order_a_barrier_lets_pass_too_early() {
    barrier(false);
}

/// One whose time is over while the other arrives: it is released, or the other is not.
#[test]
fn a_withdrawal_and_a_release_exclude_each_other() {
    check(3, || {
        let word = Arc::new(AtomicU64::new(1));
        let theirs = word.clone();
        let other = thread::spawn(move || steps::arrive(&theirs, 2, 2));
        let withdrawn = steps::withdraw(&word, 1);
        assert_eq!(other.join().unwrap(), !withdrawn);
        assert_eq!(word.load(Ordering::Relaxed), if withdrawn { 2 } else { 0 });
    });
}

/// One whose time is over while another notifies it: it was notified, or nobody was.
#[test]
fn a_notice_is_taken_or_was_not_given() {
    check(3, || {
        let state = Arc::new(AtomicU64::new(0));
        steps::begin_wait(&state, 1);
        let theirs = state.clone();
        let notifying = thread::spawn(move || {
            steps::ticket(theirs.load(Ordering::Acquire)).is_some_and(|ticket| steps::notify(&theirs, ticket))
        });
        let notified = steps::end_wait(&state, || {});
        assert_eq!(notifying.join().unwrap(), notified);
        assert_eq!(state.load(Ordering::Relaxed), 0);
    });
}

/// A dead one's wait is ended while somebody notifies it, by one that may be killed before each store and by one
/// after it: the notice reaches the other that waits.
#[test]
fn a_dead_ones_notice_is_passed_on() {
    for stores in 0..4 {
        check(3, move || {
            let states = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
            steps::begin_wait(&states[0], 1);
            steps::begin_wait(&states[1], 2);
            let theirs = states.clone();
            let notifying = thread::spawn(move || steps::notify(&theirs[0], 1));
            let pass_on = |states: &[AtomicU64; 2]| {
                steps::end_wait(&states[0], || {
                    steps::notify(&states[1], 2);
                })
            };
            if dies_after(stores, || pass_on(&states)).is_none() {
                // Its death is noticed, and another does it.
                pass_on(&states);
            }
            let given = notifying.join().unwrap();
            assert_eq!(given, steps::is_notified(&states[1]));
        });
    }
}

/// One locks quickly while another closes the domain: the mutex is free in the end, and the row is not written any more
/// once it was given back.
fn closing(fences: bool) {
    check(3, move || {
        let word = Arc::new(AtomicU64::new(0));
        let closed = Arc::new(AtomicU64::new(0));
        let (gate, row) = (Arc::new(Gate::default()), Arc::new(UnsafeCell::new(0)));
        let (theirs, flag, passed, place) = (word.clone(), closed.clone(), gate.clone(), row.clone());
        let user = thread::spawn(move || {
            if !fences {
                without_fences();
            }
            if flag.load(Ordering::Relaxed) != 0 {
                return;
            }
            passed.begin_quickly();
            let taken = steps::take(&theirs, 0, 1);
            after_update();
            let open = flag.load(Ordering::Relaxed) == 0;
            if taken && open {
                // SAFETY: the row is ours until it is given back; loom checks it.
                place.with_mut(|row| unsafe { *row += 1 });
            }
            passed.end_quickly();
            if taken && !open {
                steps::give(&theirs, 1);
            }
        });
        closed.store(1, Ordering::Release);
        if !fences {
            without_fences();
        }
        fence(Ordering::SeqCst);
        while gate.is_out().is_none() {
            spin_loop();
        }
        steps::give(&word, 1);
        // SAFETY: as above.
        row.with_mut(|row| unsafe { *row = 0 });
        user.join().unwrap();
        assert_eq!(word.load(Ordering::Relaxed), 0, "a closed handle holds it");
    });
}

#[test]
fn what_is_locked_while_the_domain_closes_is_given_back() {
    closing(true);
}

#[test]
#[should_panic]
fn without_fences_a_closed_handle_holds_on() {
    closing(false);
}

/// The same of one that may sleep: one of the two gives back, once both are through.
fn closing_slowly(fences: bool) {
    check(3, move || {
        let word = Arc::new(AtomicU64::new(0));
        let closed = Arc::new(AtomicU64::new(0));
        let gate = Arc::new(Gate::default());
        let (theirs, flag, passed) = (word.clone(), closed.clone(), gate.clone());
        let user = thread::spawn(move || {
            if !fences {
                without_fences();
            }
            passed.begin();
            if flag.load(Ordering::Relaxed) == 0 {
                steps::take(&theirs, 0, 1);
            }
            passed.end();
            if flag.load(Ordering::Relaxed) != 0 {
                steps::give(&theirs, 1);
            }
        });
        closed.store(1, Ordering::Release);
        if !fences {
            without_fences();
        }
        fence(Ordering::SeqCst);
        if gate.is_out() == Some(true) {
            steps::give(&word, 1);
        }
        user.join().unwrap();
        assert_eq!(word.load(Ordering::Relaxed), 0, "a closed handle holds it");
    });
}

#[test]
fn who_comes_out_after_the_close_gives_back() {
    closing_slowly(true);
}

#[test]
#[should_panic(expected = "a closed handle holds it")]
fn without_fences_nobody_gives_back() {
    closing_slowly(false);
}
