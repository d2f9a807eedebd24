//! What threads of a process use in turns, which a forked child never waits for in vain.

use crate::sys::fork;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A mutex for what takes no time. std's stays locked for ever in a forked child where another thread had it at the fork.
pub struct Turns<T> {
    /// The fork token of the process of which a thread has the value; zero: none has.
    process: AtomicU64,
    value: UnsafeCell<ManuallyDrop<T>>,
}

// SAFETY: one thread at a time is given the value, and it may be any.
unsafe impl<T: Send> Sync for Turns<T> {}

impl<T> Turns<T> {
    pub fn new(value: T) -> Turns<T> {
        Turns { process: AtomicU64::new(0), value: UnsafeCell::new(ManuallyDrop::new(value)) }
    }

    /// Waits for its turn; `None`: a thread that this process does not have was in the middle of something at the fork.
    #[inline]
    pub fn take(&self) -> Option<Turn<'_, T>> {
        let (me, mut tries) = (fork::renew(), 0);
        while let Err(other) = self.process.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            if other != me {
                return None;
            }
            // A thread of a higher priority would keep who has it from going on.
            if tries < 64 {
                std::thread::yield_now()
            } else {
                std::thread::sleep(Duration::from_micros(50))
            }
            tries += 1;
        }
        Some(Turn(self, PhantomData))
    }
}

impl<T> Drop for Turns<T> {
    fn drop(&mut self) {
        // After such a fork it may be half-changed.
        if *self.process.get_mut() == 0 {
            // SAFETY: dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(self.value.get_mut()) }
        }
    }
}

/// A turn, which ends when this is dropped. Other threads may have it as far as they may have a mutex's guard.
pub struct Turn<'a, T>(&'a Turns<T>, PhantomData<MutexGuard<'a, T>>);

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: nobody else has the value until this is dropped.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.0.process.store(0, Ordering::Release);
    }
}
