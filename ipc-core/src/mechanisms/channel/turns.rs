//! Half a channel among several threads: one has it at a time, and who waits for it waits no longer than it wants to.

use crate::domain::asked::asking;
use crate::domain::lock;
use crate::error::Result;
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

    /// Has it to itself for something that may take long. `None`: that was not done until the deadline, or somebody else
    /// had it. `Interrupted`: the program ended the wait.
    pub fn have<R>(
        &self,
        deadline: &Deadline,
        act: impl FnOnce(&mut T) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let quick = lock(&self.place).it.take();
        let taken = match quick {
            None => asking(deadline, |deadline| Ok(self.wait(deadline)))?,
            quick => quick,
        };
        let Some(it) = taken else { return Ok(None) };
        Taken { turns: self, it: Some(it) }.it.as_mut().map_or(Ok(None), act)
    }

    /// Has it once everybody else has let go of it, who knows that it is to end.
    pub fn end(&self, act: impl FnOnce(&mut T)) {
        let mut it = Taken { turns: self, it: self.wait(&Deadline::after(None)) };
        it.it.as_mut().map(act);
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
                    Ok(Some(()))
                })
            });
            begins.recv().unwrap();
            assert_eq!(turns.with(|n| *n), None);
            assert_eq!(
                turns.have(&Deadline::after(Some(Duration::from_millis(5))), |n| Ok(Some(*n))).unwrap(),
                None
            );
            ends.send(()).unwrap();
            assert_eq!(turns.have(&Deadline::after(None), |n| Ok(Some(*n))).unwrap(), Some(2));
        });
        assert_eq!(turns.with(|n| *n), Some(2));
    }
}
