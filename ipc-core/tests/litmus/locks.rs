//! What tests of locks have in common: a process that holds one, and how it is seen from outside.

use super::{PATIENCE, Parent, Process, start};
use crate::common::Place;
use axonic::{LockInfo, LockOptions, Wait, snapshot};
use std::thread;
use std::time::Instant;

pub fn asleep() -> LockOptions {
    LockOptions { wait: Wait::Block }
}

/// Takes something of a lock, says so, and keeps it until the test ends it; `type`.
pub fn hold(parent: &mut Parent) {
    let domain = super::open();
    let (what, options) = (parent.arguments()[0].clone(), asleep());
    let mut kept: Vec<Box<dyn std::any::Any>> = Vec::new();
    match what.as_str() {
        "mutex" => {
            let mut mutex = domain.mutex("m", &options).unwrap();
            mutex.lock(PATIENCE).unwrap();
            kept.push(Box::new(mutex));
        }
        "read" | "write" => {
            let mut lock = domain.rwlock("rw", &options).unwrap();
            if what == "read" { lock.read(PATIENCE) } else { lock.write(PATIENCE) }.unwrap();
            kept.push(Box::new(lock));
        }
        "permits" => {
            let mut semaphore = domain.semaphore("s", 3, &options).unwrap();
            (0..2).for_each(|_| semaphore.acquire(PATIENCE).unwrap());
            kept.push(Box::new(semaphore));
        }
        "barrier" => {
            let mut barrier = domain.barrier("b", 2, &options).unwrap();
            assert_eq!(barrier.try_wait().unwrap(), None);
            kept.push(Box::new(barrier));
        }
        other => panic!("{other}"),
    }
    parent.say("ready");
    parent.wait_for_end();
    drop(kept);
}

pub fn playing(role: &str, place: &Place, arguments: &str) -> Process {
    let mut process = start(role, place.path(), arguments);
    assert_eq!(process.hear(), "ready");
    process
}

/// The lock of this name, as it is seen from outside.
pub fn seen(place: &Place, name: &str) -> LockInfo {
    snapshot(&place.options()).unwrap().locks.into_iter().find(|lock| lock.name == name).expect("a lock")
}

/// Waits until so many wait for it.
pub fn await_waiting(place: &Place, name: &str, count: usize) {
    let started = Instant::now();
    while seen(place, name).waiting < count {
        assert!(started.elapsed() < PATIENCE.unwrap(), "nobody waits for '{name}'");
        thread::yield_now();
    }
}
