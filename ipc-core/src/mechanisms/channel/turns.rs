//! Half a channel among several threads: one has it at a time, and who waits for it waits no longer than it wants to.

use crate::domain::asked::asking;
use crate::domain::lock;
use crate::sys::clock::Deadline;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Something that one thread has at a time: in place for what takes no time, taken away for what may take long.
pub struct Turns<T> {
    place: Mutex<Place<T>>,
    back: Condvar,
}

struct Place<T> {
    /// `None`: somebody has taken it away.
    it: Option<T>,
    /// Who waits until it is back.
    waiting: usize,
}

impl<T> Turns<T> {
    pub fn new(it: T) -> Turns<T> {
        Turns { place: Mutex::new(Place { it: Some(it), waiting: 0 }), back: Condvar::new() }
    }

    /// Does something that takes no time; `None`: somebody else has it.
    #[inline(always)]
    pub fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        lock(&self.place).it.as_mut().map(act)
    }

    /// Has it to itself for something that may take long. `None`: somebody else had it until the deadline.
    pub fn have<R>(&self, deadline: &Deadline, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut it = Taken { turns: self, it: Some(self.take(deadline)?) };
        it.it.as_mut().map(act)
    }

    fn take(&self, deadline: &Deadline) -> Option<T> {
        if let Some(it) = lock(&self.place).it.take() {
            return Some(it);
        }
        // Whose program ended the wait is told so by itself.
        asking(deadline, |deadline| Ok(self.wait(deadline))).ok().flatten()
    }

    fn wait(&self, deadline: &Deadline) -> Option<T> {
        let mut place = lock(&self.place);
        loop {
            if let Some(it) = place.it.take() {
                return Some(it);
            }
            let left = deadline.remaining();
            if left == Some(Duration::ZERO) {
                return None;
            }
            place.waiting += 1;
            place = match left {
                None => self.back.wait(place).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.back.wait_timeout(place, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            place.waiting -= 1;
        }
    }
}

/// Puts it back, whatever happens meanwhile.
struct Taken<'a, T> {
    turns: &'a Turns<T>,
    it: Option<T>,
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut place = lock(&self.turns.place);
        place.it = self.it.take();
        if place.waiting > 0 {
            self.turns.back.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_others_wait_as_long_as_they_want_to() {
        let turns = Turns::new(1);
        std::thread::scope(|scope| {
            let (began, begins) = std::sync::mpsc::channel();
            let (ends, end) = std::sync::mpsc::channel::<()>();
            let turns = &turns;
            scope.spawn(move || {
                turns.have(&Deadline::after(None), |n| {
                    began.send(()).unwrap();
                    end.recv().unwrap();
                    *n += 1;
                })
            });
            begins.recv().unwrap();
            assert_eq!(turns.with(|n| *n), None);
            assert_eq!(turns.have(&Deadline::after(Some(Duration::from_millis(5))), |n| *n), None);
            ends.send(()).unwrap();
            assert_eq!(turns.have(&Deadline::after(None), |n| *n), Some(2));
        });
        assert_eq!(turns.with(|n| *n), Some(2));
    }
}
