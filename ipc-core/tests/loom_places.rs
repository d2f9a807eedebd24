//! One who hands out calls while there are places, and those who answer them: whoever waits for a place is told of one.
#![cfg(loom)]

mod model;

use axonic::mechanisms::rpc::places::Places;
use axonic::sys::atomic::without_fences;
use loom::sync::Arc;
use loom::thread;
use model::{Bell, check};

struct Shared {
    places: Places,
    bell: Bell,
}

impl Shared {
    fn answer(&self) {
        if self.places.give_back() {
            self.bell.ring();
        }
    }

    fn take(&self) {
        while !self.places.is_free() {
            self.bell.sleep();
        }
        self.places.take();
    }
}

/// Hands out so many calls, each answered by a thread of its own. Whoever waits in vain is a deadlock.
fn hand_out(limit: usize, calls: usize, answers_fence: bool, hands_out_fence: bool) {
    check(3, move || {
        let shared = Arc::new(Shared { places: Places::new(limit), bell: Bell::new() });
        if !hands_out_fence {
            without_fences();
        }
        for _ in 0..calls {
            shared.take();
            assert!(shared.places.in_use() <= limit as u64);
            let answering = shared.clone();
            thread::spawn(move || {
                if !answers_fence {
                    without_fences();
                }
                answering.answer();
            });
        }
    });
}

#[test]
fn whoever_waits_for_a_place_is_told() {
    hand_out(1, 3, true, true);
    hand_out(2, 3, true, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_of_who_answers_the_model_fails() {
    hand_out(2, 3, false, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_of_who_hands_out_the_model_fails() {
    hand_out(2, 3, true, false);
}
