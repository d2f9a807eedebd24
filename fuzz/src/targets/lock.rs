//! The files of locks, as those who want them and onlookers read them.

use super::input::Input;
use super::scene::{File, Scene};
use super::{Target, fair};
use axonic::*;
use std::time::Duration;

pub struct Locks {
    scene: Scene,
    /// In the order of their names.
    files: Vec<File>,
}

/// As long as nothing is to be waited for.
const NOW: Option<Duration> = Some(Duration::ZERO);

impl Locks {
    pub fn new() -> Locks {
        let scene = Scene::new();
        let (domain, options) = (&scene.domain, LockOptions::default());
        let mut mutex = domain.mutex("mutex", &options).unwrap();
        let mut rwlock = domain.rwlock("rwlock", &options).unwrap();
        let mut semaphore = domain.semaphore("semaphore", 2, &options).unwrap();
        let mut event = domain.event("event", Reset::Manual, &options).unwrap();
        let barrier = domain.barrier("barrier", 2, &options).unwrap();
        let condvar = domain.condvar("condvar", &options).unwrap();
        mutex.lock(None).unwrap();
        rwlock.read(None).unwrap();
        semaphore.acquire(None).unwrap();
        event.set().unwrap();
        // As they are while somebody has them.
        let files = scene.files("locks");
        drop((mutex, rwlock, semaphore, event, barrier, condvar));
        Locks { scene, files }
    }
}

/// Opens a lock. One whose file says that it is another kind of lock, or has another number, cannot be told from that.
fn opened<T>(lock: Result<T>) -> Option<T> {
    if lock.as_ref().is_err_and(|e| e.kind() == ErrorKind::InvalidArgument) { None } else { fair(lock) }
}

impl Target for Locks {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        let number = usize::from(choice) % self.files.len();
        self.scene.damage(&self.files[number], &mut input);
        if choice & 128 != 0 {
            self.scene.look();
        }
        let (domain, options) = (&self.scene.domain, LockOptions::default());
        match number {
            0 => opened(domain.barrier("barrier", 2, &options)).into_iter().for_each(meet),
            1 => opened(domain.condvar("condvar", &options)).into_iter().for_each(|condvar| {
                if let Some(mutex) = opened(domain.mutex("fresh", &options)) {
                    wait(condvar, mutex);
                }
            }),
            2 => opened(domain.event("event", Reset::Manual, &options)).into_iter().for_each(signal),
            3 => opened(domain.mutex("mutex", &options)).into_iter().for_each(own),
            4 => opened(domain.rwlock("rwlock", &options)).into_iter().for_each(share),
            _ => opened(domain.semaphore("semaphore", 2, &options)).into_iter().for_each(count),
        }
        if choice & 64 != 0 {
            self.scene.clean();
        }
    }
}

fn meet(mut barrier: Barrier) {
    fair(barrier.wait(NOW));
    fair(barrier.waiting());
}

/// What is not had, or has been lost, cannot be given back.
fn wait(mut condvar: Condvar, mut mutex: Mutex) {
    if fair(mutex.lock(NOW)).is_some() {
        fair(condvar.wait(&mut mutex, NOW));
        let _ = mutex.unlock();
    }
    fair(condvar.notify_one());
    fair(condvar.notify_all());
}

fn signal(mut event: Event) {
    fair(event.is_set());
    fair(event.set());
    fair(event.wait(NOW));
    fair(event.clear());
    fair(event.wait(NOW));
}

fn own(mut mutex: Mutex) {
    fair(mutex.lock(NOW));
    let _ = mutex.unlock();
}

fn share(mut lock: RwLock) {
    fair(lock.read(NOW));
    let _ = lock.unlock();
    fair(lock.write(NOW));
    let _ = lock.unlock();
}

fn count(mut semaphore: Semaphore) {
    for _ in 0..3 {
        fair(semaphore.acquire(NOW));
    }
    for _ in 0..3 {
        let _ = semaphore.release();
    }
}
