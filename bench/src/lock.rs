//! Mutexes between processes, beside the C library's robust ones.

use crate::effort::{Effort, Stream};
use crate::measure::watch;
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open};
use axonic::*;
use nix::libc;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub const PTHREAD: &str = "pthread-robust";
const SIZE: usize = 8;
const BATCH: usize = 1000;
/// Steps of work between two locks, together about half a microsecond.
const WORK: u64 = 1000;

/// What both kinds can do.
trait Locked {
    fn lock(&mut self);
    fn unlock(&mut self);
}

impl Locked for Mutex {
    fn lock(&mut self) {
        Mutex::lock(self, None).expect("lock");
    }

    fn unlock(&mut self) {
        Mutex::unlock(self).expect("unlock");
    }
}

/// A robust mutex that processes share; it lives in the memory shared with them.
#[derive(Clone, Copy)]
struct Pthread(*mut libc::pthread_mutex_t);

impl Pthread {
    fn new() -> Pthread {
        let place = shared(4096).cast();
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: attributes of our own, initialised by the first call; the memory is large enough and never unmapped.
        let failed = unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr())
                | libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED)
                | libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST)
                | libc::pthread_mutex_init(place, attributes.as_ptr())
        };
        assert_eq!(failed, 0, "a robust mutex");
        Pthread(place)
    }
}

impl Locked for Pthread {
    fn lock(&mut self) {
        // SAFETY: it was initialised and is never unmapped.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.0) }, 0);
    }

    fn unlock(&mut self) {
        // SAFETY: it was initialised and is never unmapped.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.0) }, 0);
    }
}

fn mutex(domain: &Domain) -> Mutex {
    domain.mutex("mutex", &LockOptions::default()).expect("mutex")
}

/// Nanoseconds to lock and unlock while nobody else wants it.
fn alone(effort: &Effort, report: &mut Report, subject: &str, mut lock: impl Locked) {
    crate::process::pin(0);
    let mut batch = || {
        let started = Instant::now();
        for _ in 0..BATCH {
            lock.lock();
            lock.unlock();
        }
        started.elapsed().as_nanos() as f64 / BATCH as f64
    };
    let nanos = (0..effort.exchanges / 100).map(|_| batch()).collect();
    report.latencies("mutex", subject, SIZE, nanos);
}

pub fn uncontended(effort: &Effort, report: &mut Report) {
    let domain = open(&domain_options());
    alone(effort, report, SUBJECT, mutex(&domain));
}

pub fn pthread_uncontended(effort: &Effort, report: &mut Report) {
    alone(effort, report, PTHREAD, Pthread::new());
}

/// How often per second two processes together lock it, add to a count, and unlock it again. Back to back, who has just
/// had it mostly has it again before the other comes; with work of their own in between they take turns.
fn rivals<L: Locked>(effort: &Effort, report: &mut Report, subject: &str, lock: impl Fn() -> L) {
    for (metric, work) in [("rate", 0), ("rate_with_work", WORK)] {
        let rate = rivalry(effort.stream(SIZE), work, &lock);
        report.add("mutex_contended", subject, SIZE, metric, "msgs_per_s", [rate; 3]);
    }
}

fn rivalry<L: Locked>(stream: Stream, work: u64, lock: impl Fn() -> L) -> f64 {
    let memory = shared(4096);
    let (start, count) = (word(memory, 0), word(memory, 4));
    let add = |lock: &mut L| {
        // Each step needs the one before.
        std::hint::black_box(
            (0..work).fold(1, |value: u64, i| std::hint::black_box(value.wrapping_mul(3) ^ i)),
        );
        lock.lock();
        // Not one operation: it counts right because of the lock.
        let next = count.load(Ordering::Relaxed) + 1;
        count.store(next, Ordering::Relaxed);
        lock.unlock();
        next as usize
    };
    let rival = || {
        let mut lock = lock();
        meet(start, 2);
        while add(&mut lock) < stream.all() {}
    };
    pair(rival, || {
        let mut lock = lock();
        meet(start, 2);
        watch(stream, || add(&mut lock))
    })
}

pub fn contended(effort: &Effort, report: &mut Report) {
    let options = domain_options();
    rivals(effort, report, SUBJECT, || mutex(&open(&options)));
}

pub fn pthread_contended(effort: &Effort, report: &mut Report) {
    let lock = Pthread::new();
    rivals(effort, report, PTHREAD, || lock);
}
