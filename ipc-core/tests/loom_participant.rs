//! P1: who has a slot of the participant table, and whether it is alive, with deaths between any two steps.
#![cfg(loom)]

mod model;

use axonic::domain::steps::Tenancy;
use axonic::sys::atomic::{AtomicU64, Ordering, dies_after, without_fences};
use loom::sync::{Arc, Mutex};
use loom::thread;
use model::check;

const HERE: u64 = 77;
const MOST: u32 = 1000;

/// A slot of the table, the lock on it, and the processes that come to have it: number 1 and 2.
struct World {
    slot: Tenancy,
    /// Who holds the OFD lock: a pid, or nobody. The kernel's, so it orders like a mutex.
    lock: Mutex<u64>,
    /// 1: running, by pid.
    runs: [AtomicU64; 3],
    /// 1: whatever process 1 was, it is no more.
    gone: AtomicU64,
}

impl World {
    fn new() -> Arc<World> {
        let word = AtomicU64::new;
        Arc::new(World {
            slot: Tenancy::new(),
            lock: Mutex::new(0),
            runs: [word(0), word(1), word(1)],
            gone: word(0),
        })
    }

    /// Takes the slot as `Participants::join` does; `None` if somebody has it.
    fn join(&self, pid: u64) -> Option<u32> {
        {
            let mut holder = self.lock.lock().unwrap();
            if *holder != 0 {
                return None;
            }
            *holder = pid;
        }
        let epoch = self.slot.claim(MOST);
        self.slot.pid.store(pid, Ordering::Relaxed);
        self.slot.namespace.store(HERE, Ordering::Relaxed);
        self.slot.start_time.store(1000 + pid, Ordering::Relaxed);
        self.slot.settle(epoch);
        Some(epoch)
    }

    /// The kernel ends a process: first its locks go, then its pidfd tells.
    fn exit(&self, pid: u64, keeps_the_lock: bool) {
        if !keeps_the_lock {
            let mut holder = self.lock.lock().unwrap();
            if *holder == pid {
                *holder = 0;
            }
        }
        self.runs[pid as usize].store(0, Ordering::Release);
    }

    fn is_alive(&self, epoch: u32) -> bool {
        let locked = || *self.lock.lock().unwrap() != 0;
        self.slot.is_alive(epoch, HERE, locked, |pid, started| {
            assert_eq!(started, 1000 + u64::from(pid), "pid and start time of two processes");
            self.runs[pid as usize].load(Ordering::Acquire) == 1
        })
    }
}

/// Process 1 has the slot and dies; process 2 takes it; somebody who knew process 1 asks about it.
fn asking_about_the_dead(fences: bool) {
    check(3, move || {
        let world = World::new();
        let first = world.join(1).unwrap();
        let (dying, coming) = (world.clone(), world.clone());
        let death = thread::spawn(move || {
            dying.exit(1, false);
            dying.gone.store(1, Ordering::Release);
        });
        let next = thread::spawn(move || {
            if !fences {
                without_fences();
            }
            coming.join(2)
        });
        let was_gone = world.gone.load(Ordering::Acquire) == 1;
        let alive = world.is_alive(first);
        assert!(!(was_gone && alive), "the dead passes for its successor");
        death.join().unwrap();
        assert!(!world.is_alive(first));
        if let Some(second) = next.join().unwrap() {
            assert!(second > first && world.is_alive(second), "a successor has an epoch of its own");
        }
    });
}

#[test]
fn the_dead_do_not_pass_for_their_successors() {
    asking_about_the_dead(true);
}

#[test]
#[should_panic(expected = "of two processes")]
fn without_the_takers_fence_two_participants_are_mixed() {
    asking_about_the_dead(false);
}

/// A child made by raw clone keeps the lock of its dead parent.
#[test]
fn a_lock_kept_by_a_child_keeps_nobody_alive() {
    check(3, || {
        let world = World::new();
        let first = world.join(1).unwrap();
        assert!(world.is_alive(first));
        let dying = world.clone();
        let death = thread::spawn(move || {
            dying.exit(1, true);
            dying.gone.store(1, Ordering::Release);
        });
        let was_gone = world.gone.load(Ordering::Acquire) == 1;
        assert!(!(was_gone && world.is_alive(first)));
        death.join().unwrap();
        assert!(!world.is_alive(first));
    });
}

/// The living are never taken for dead, however much others come, ask and leave.
#[test]
fn the_living_are_alive() {
    check(3, || {
        let world = World::new();
        let first = world.join(1).unwrap();
        let (other, asker) = (world.clone(), world.clone());
        let turned_away = thread::spawn(move || other.join(2));
        let asking = thread::spawn(move || assert!(asker.is_alive(first), "alive and said to be dead"));
        assert!(world.is_alive(first), "alive and said to be dead");
        assert_eq!(turned_away.join().unwrap(), None);
        asking.join().unwrap();
    });
}

/// A taker dies before any of its stores; the next has a fresh epoch, and whoever is told of an epoch is
/// told of one participant. A third looks at the slot all the while.
#[test]
fn a_death_while_taking_a_slot_leaves_it_to_the_next() {
    for stores in 0..=5 {
        check(2, move || {
            let world = World::new();
            let (dying, looking) = (world.clone(), world.clone());
            let death = thread::spawn(move || {
                let joined = dies_after(stores, || dying.join(1));
                dying.exit(1, false);
                joined.flatten()
            });
            let onlooker = thread::spawn(move || {
                if let Some(epoch) = looking.slot.tenant() {
                    looking.is_alive(epoch);
                }
            });
            let early = world.join(2);
            let first = death.join().unwrap();
            onlooker.join().unwrap();
            let second = early.or_else(|| world.join(2)).unwrap();
            assert!(world.is_alive(second), "a fresh participant");
            assert_ne!(Some(second), first, "an epoch was given out twice");
            world.slot.vacate(second);
            assert!(!world.is_alive(second));
        });
    }
}
