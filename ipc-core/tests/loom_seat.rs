//! Many who wait on one channel, of whom one reads for all: nobody sleeps on when what it waits for has come, or when nobody
//! reads any more.
#![cfg(loom)]

mod model;

use axonic::mechanisms::rpc::seat::Seat;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use model::check;
use std::collections::VecDeque;

/// A channel and what came through it.
struct Shared {
    seat: Seat,
    /// Calls whose results are on their way.
    ring: Mutex<VecDeque<u32>>,
    came: Condvar,
    /// Calls whose results were read, by whoever read them.
    there: Mutex<[bool; 2]>,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            seat: Seat::new(),
            ring: Mutex::new(VecDeque::new()),
            came: Condvar::new(),
            there: Mutex::new([false; 2]),
        })
    }

    fn answer(&self, call: u32) {
        self.ring.lock().unwrap().push_back(call);
        self.came.notify_one();
    }

    fn is_there(&self, call: u32) -> bool {
        self.there.lock().unwrap()[call as usize]
    }

    /// Reads for everybody until the result of `call` is there.
    fn hold(&self, call: u32) {
        while !self.is_there(call) {
            let mut ring = self.ring.lock().unwrap();
            while ring.is_empty() {
                ring = self.came.wait(ring).unwrap();
            }
            let came = ring.pop_front().unwrap();
            drop(ring);
            self.there.lock().unwrap()[came as usize] = true;
            self.seat.wake(came);
        }
    }

    /// What `Wire::wait_for` does.
    fn wait_for(&self, call: u32) {
        loop {
            if self.seat.take() {
                self.hold(call);
                return self.seat.leave();
            }
            let ready = || Ok(self.is_there(call).then_some(()));
            if self.seat.sleep(call, ready, thread::park).unwrap().is_some() {
                return;
            }
        }
    }
}

/// Two who wait, and answers in this order. One that sleeps on is a deadlock.
fn two_wait(answers: [u32; 2]) {
    check(3, move || {
        let shared = Shared::new();
        let other = shared.clone();
        let waiting = thread::spawn(move || other.wait_for(1));
        answers.iter().for_each(|call| shared.answer(*call));
        shared.wait_for(0);
        waiting.join().unwrap();
    });
}

#[test]
fn each_gets_its_own() {
    two_wait([0, 1]);
    two_wait([1, 0]);
}
