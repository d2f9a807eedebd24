//! W1: no wake-up is lost between one who commits and one who goes to sleep.
#![cfg(loom)]

mod model;

use axonic::Result;
use axonic::domain::steps::{Generation, Seen};
use axonic::domain::waiter::{Arming, is_armed, rearm, turn};
use axonic::sys::atomic::{AtomicU64, Ordering, without_fences};
use axonic::sys::fence;
use loom::sync::Arc;
use loom::thread;
use model::{Bell, check};

/// What a sleeper and those who wake it share; each ringer commits to a word of its own.
struct Shared {
    armed: AtomicU64,
    armings: Generation,
    committed: [AtomicU64; 2],
    bell: Bell,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            armed: AtomicU64::new(0),
            armings: Generation::new(),
            committed: [AtomicU64::new(0), AtomicU64::new(0)],
            bell: Bell::new(),
        })
    }

    /// A ringer's whole turn: commit, light fence, look, ring.
    fn publish(&self, ringer: usize, last_rung: &mut u64) {
        if let Some(value) = self.commit(ringer, *last_rung) {
            *last_rung = value;
            self.bell.ring();
        }
    }

    fn commit(&self, ringer: usize, last_rung: u64) -> Option<u64> {
        let number = self.committed[ringer].load(Ordering::Relaxed);
        self.committed[ringer].store(number + 1, Ordering::Release);
        fence::light(false);
        is_armed(&self.armed, last_rung)
    }

    /// The same of one who has many to wake: it looks at them only if the count of armings moved.
    fn publish_to_many(&self, heard: &mut Seen, last_rung: &mut u64) {
        let number = self.committed[0].load(Ordering::Relaxed);
        self.committed[0].store(number + 1, Ordering::Release);
        fence::light(false);
        heard.look(&self.armings, || {
            if let Some(value) = is_armed(&self.armed, *last_rung) {
                *last_rung = value;
                self.bell.ring();
            }
        });
    }

    fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.armed, count: Some(&self.armings) }
    }

    fn sum(&self) -> u64 {
        self.committed.iter().map(|word| word.load(Ordering::Acquire)).sum()
    }
}

/// Turns of waiting until `wanted` commits were seen; a lost wake-up is a deadlock.
fn wait_for(shared: &Shared, wanted: u64, mut died: impl FnMut()) {
    let mut seen = 0;
    while seen < wanted {
        let look = &mut |shared: &mut &Shared| -> Result<Option<u64>> {
            let sum = shared.sum();
            Ok((sum > seen).then_some(sum))
        };
        let mut sleeper = shared;
        let (looked, slept) = turn(&mut sleeper, |s| s.arming(), false, look, |s| Ok(s.bell.sleep()));
        if let Some(sum) = looked.unwrap() {
            seen = sum;
        }
        if slept.unwrap() {
            died();
        }
    }
}

#[test]
fn a_sleeper_hears_every_commit() {
    check(4, || {
        let shared = Shared::new();
        let ringer = shared.clone();
        thread::spawn(move || {
            let mut last_rung = 0;
            ringer.publish(0, &mut last_rung);
            ringer.publish(0, &mut last_rung);
        });
        wait_for(&shared, 2, || {});
    });
}

/// Who counts armings; `fences` or not.
fn counting(fences: bool) {
    check(4, move || {
        let shared = Shared::new();
        let ringer = shared.clone();
        thread::spawn(move || {
            if !fences {
                without_fences();
            }
            let (mut heard, mut last_rung) = (Seen::default(), 0);
            ringer.publish_to_many(&mut heard, &mut last_rung);
            ringer.publish_to_many(&mut heard, &mut last_rung);
        });
        wait_for(&shared, 2, || {});
    });
}

#[test]
fn a_sleeper_hears_who_counts_armings() {
    counting(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_who_counts_armings_leaves_a_sleeper() {
    counting(false);
}

#[test]
fn two_ringers_wake_one_sleeper() {
    check(3, || {
        let shared = Shared::new();
        for i in 0..2 {
            let ringer = shared.clone();
            thread::spawn(move || ringer.publish(i, &mut 0));
        }
        wait_for(&shared, 2, || {});
    });
}

/// Killed between looking and ringing: its death notice wakes the sleeper, which looks again.
#[test]
fn a_ringer_that_dies_before_ringing_wakes_by_its_death() {
    for dies_before_ringing in [false, true] {
        check(4, move || {
            let shared = Shared::new();
            let ringer = shared.clone();
            thread::spawn(move || {
                let due = ringer.commit(0, 0);
                if due.is_some() && !dies_before_ringing {
                    ringer.bell.ring();
                }
                ringer.bell.die();
            });
            wait_for(&shared, 1, || {});
        });
    }
}

/// A dead ringer must not leave the sleeper deaf to a living one.
#[test]
fn the_living_are_heard_beside_the_dead() {
    check(3, || {
        let shared = Shared::new();
        let (dying, living) = (shared.clone(), shared.clone());
        thread::spawn(move || {
            dying.commit(0, 0);
            dying.bell.die();
        });
        thread::spawn(move || living.publish(1, &mut 0));
        wait_for(&shared, 2, || {});
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_death_notice_the_model_fails() {
    check(4, || {
        let shared = Shared::new();
        let ringer = shared.clone();
        thread::spawn(move || {
            ringer.commit(0, 0);
        });
        wait_for(&shared, 1, || {});
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_sleepers_fence_the_model_fails() {
    check(4, || {
        let shared = Shared::new();
        let ringer = shared.clone();
        thread::spawn(move || ringer.publish(0, &mut 0));
        without_fences();
        wait_for(&shared, 1, || {});
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_ringers_fence_the_model_fails() {
    check(4, || {
        let shared = Shared::new();
        let ringer = shared.clone();
        thread::spawn(move || {
            without_fences();
            ringer.publish(0, &mut 0);
        });
        wait_for(&shared, 1, || {});
    });
}

/// A sleeper comes while a ringer that counts armings, and looked who is there before, is about to commit: it may look
/// and go to sleep before the commit, so the ringer that finds an arming has to look who is there after that.
fn coming_to_many(looks_again: bool) {
    check(4, move || {
        let shared = Shared::new();
        let who = Arc::new(Generation::new());
        let (ringer, there) = (shared.clone(), who.clone());
        thread::spawn(move || {
            let mut known = there.now();
            ringer.committed[0].store(1, Ordering::Release);
            fence::light(false);
            Seen::default().look(&ringer.armings, || {
                if looks_again {
                    known = there.now();
                }
                if known != 0 && is_armed(&ringer.armed, 0).is_some() {
                    ringer.bell.ring();
                }
            });
        });
        who.raise();
        wait_for(&shared, 1, || {});
    });
}

#[test]
fn who_comes_to_one_that_counts_armings_is_woken() {
    coming_to_many(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn who_counts_armings_and_does_not_ask_who_came_leaves_him_asleep() {
    coming_to_many(false);
}

/// A sleeper comes while a ringer, which looked who is there before, is about to commit: it may look and go
/// to sleep before the commit, so the ringer has to look who is there after it.
fn coming(looks_again: bool) {
    check(4, move || {
        let shared = Shared::new();
        let who = Arc::new(AtomicU64::new(0));
        let (ringer, there) = (shared.clone(), who.clone());
        thread::spawn(move || {
            let mut known = there.load(Ordering::Acquire);
            ringer.committed[0].store(1, Ordering::Release);
            fence::light(false);
            if looks_again {
                known = there.load(Ordering::Acquire);
            }
            if known != 0 && is_armed(&ringer.armed, 0).is_some() {
                ringer.bell.ring();
            }
        });
        who.store(1, Ordering::Release);
        fence::heavy(false);
        wait_for(&shared, 1, || {});
    });
}

#[test]
fn who_comes_while_a_message_is_on_its_way_is_woken() {
    coming(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_second_look_who_comes_meanwhile_sleeps_on() {
    coming(false);
}

/// Somebody else watches the descriptor: an attempt that finds nothing leaves it armed, and whatever is
/// committed after that makes it readable, whatever was taken without being asked to in between.
fn watched(ringers_fence: bool) {
    check(3, move || {
        let shared = Shared::new();
        let ringer = shared.clone();
        let ringing = thread::spawn(move || {
            if !ringers_fence {
                without_fences();
            }
            let mut last_rung = 0;
            ringer.publish(0, &mut last_rung);
            ringer.publish(0, &mut last_rung);
        });
        let (mut seen, mut taken) = (0, true);
        for _ in 0..2 {
            attempt(&shared, &mut seen, &mut taken);
        }
        ringing.join().unwrap();
        while shared.bell.is_rung() {
            attempt(&shared, &mut seen, &mut taken);
        }
        assert_eq!(seen, 2, "a message waits and the descriptor is silent");
    });
}

#[test]
fn a_watched_descriptor_tells_what_came_after_an_empty_attempt() {
    watched(true);
}

#[test]
#[should_panic(expected = "the descriptor is silent")]
fn without_the_ringers_fence_a_watched_descriptor_stays_silent() {
    watched(false);
}

/// Takes one message, or leaves the descriptor armed: what `try_receive` does.
fn attempt(shared: &Shared, seen: &mut u64, taken: &mut bool) {
    if shared.sum() > *seen {
        *seen += 1;
        *taken = true;
        return;
    }
    let rearmed = rearm(shared.arming(), false, taken, || Ok((shared.bell.silence(), false))).unwrap();
    if rearmed.is_some() && shared.sum() > *seen {
        *seen += 1;
        *taken = true;
        shared.bell.ring();
    }
}
