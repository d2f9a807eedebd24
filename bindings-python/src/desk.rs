//! Where a queue keeps what its jobs and tickets have of the core.
//!
//! A delivery is large and aligned for moves of many bytes, which costs at every allocation: here the places are used
//! again. And closing the queue, or its domain, finds what is still held by objects that Python has not forgotten.

use std::sync::Mutex;

use crate::message::lock;

/// A place on a desk; it belongs to one object, which frees it.
pub type Place = u32;

pub struct Desk<T>(Mutex<Places<T>>);

struct Places<T> {
    held: Vec<Option<T>>,
    free: Vec<Place>,
}

impl<T> Desk<T> {
    pub fn new() -> Desk<T> {
        Desk(Mutex::new(Places { held: Vec::new(), free: Vec::new() }))
    }

    /// Finds a place for it.
    pub fn add(&self, held: T) -> Place {
        let mut places = lock(&self.0);
        match places.free.pop() {
            Some(place) => {
                places.held[place as usize] = Some(held);
                place
            }
            None => {
                places.held.push(Some(held));
                places.held.len() as Place - 1
            }
        }
    }

    /// Takes it and frees the place; `None` when the desk was cleared.
    pub fn remove(&self, place: Place) -> Option<T> {
        let mut places = lock(&self.0);
        places.free.push(place);
        places.held[place as usize].take()
    }

    /// Takes it for a while; the place stays its own.
    pub fn lift(&self, place: Place) -> Option<T> {
        lock(&self.0).held[place as usize].take()
    }

    /// Puts back what was lifted.
    pub fn lay(&self, place: Place, held: T) {
        lock(&self.0).held[place as usize] = Some(held);
    }

    /// Takes everything; the places stay their owners'.
    pub fn clear(&self) -> Vec<T> {
        lock(&self.0).held.iter_mut().filter_map(Option::take).collect()
    }
}
