//! Messages that are not in line: given back, for later, or leased up to a time.
//!
//! The side lane names each of them when it becomes so, and every consumer keeps them in order for itself: what was given
//! back by its place in line, what has a time by that. So there is no list that somebody could leave half done, and a
//! consumer that stops holds up no other. Whoever comes first, or when the time is there, changes the slot's word. Where there is
//! no memory for the lane, a count says that there is more than it names, and every consumer looks at every slot.

use super::handle::Handle;
use super::shape::Shape;
use super::steps::{Look, State, Word};
use super::store::{PRIORITIES, SIDE};
use crate::sys::atomic::Ordering;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What one consumer knows of them.
#[derive(Default)]
pub struct Side {
    /// How far it has read the side lane, and as of which count of those that are not named there.
    cursor: u64,
    unnamed: u64,
    /// Messages to be delivered, by priority.
    ready: [BinaryHeap<Reverse<Aside>>; PRIORITIES],
    /// Slots to look at, by when, in nanoseconds of the machine's monotonic clock.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
}

/// A message to be delivered, in the order of its fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Aside {
    /// Its place in line.
    position: u64,
    /// Which of those with that place it is; see [`super::store::Slot::turn`].
    turn: u64,
    number: u32,
    /// The slot's word as long as it is still as it was.
    word: u64,
}

impl Side {
    /// Of a consumer that comes: it looks at every slot, and from then on at what the side lane names.
    pub fn new(handle: &Handle) -> Side {
        let store = &handle.store;
        let unnamed = store.head().unnamed.load(Ordering::Acquire);
        let cursor = store.head().side.tail.load(Ordering::Acquire);
        let mut side = Side { cursor, unnamed, ..Side::default() };
        (0..store.slots().grown()).for_each(|number| side.consider(handle, number));
        side
    }

    /// Reads what the side lane names anew.
    #[inline(always)]
    pub fn read(&mut self, handle: &Handle) {
        if handle.store.head().unnamed.load(Ordering::Acquire) != self.unnamed {
            self.look_anew(handle);
        }
        if handle.store.head().lanes_used.load(Ordering::Acquire) & SIDE != 0 {
            self.read_lane(handle);
        }
    }

    #[cold]
    fn look_anew(&mut self, handle: &Handle) {
        *self = Side::new(handle);
    }

    #[inline(always)]
    fn read_lane(&mut self, handle: &Handle) {
        let lane = handle.store.side();
        // What is in use moves on with the lane: there is nothing more than a round back.
        let begin = || handle.store.head().side.tail.load(Ordering::Relaxed).saturating_sub(lane.cells());
        self.cursor = self.cursor.max(begin());
        let mut walk = lane.walk(self.cursor);
        while !walk.is_lost() {
            match lane.look(self.cursor) {
                Look::Empty => return,
                Look::Full(cell) if cell.slot() < handle.store.slots().grown() => {
                    self.consider(handle, cell.slot());
                }
                _ => {}
            }
            self.cursor = walk.on(self.cursor, begin);
        }
    }

    /// Looks at a slot, and remembers it if its message is not in line.
    fn consider(&mut self, handle: &Handle, number: u32) {
        let slot = handle.store.slot(number);
        let word = Word::of(&slot.word);
        match word.state() {
            Some(State::Returned) => self.make_ready(handle, number, word),
            Some(State::Delayed | State::Timed) => {
                self.timers.push(Reverse((slot.due.load(Ordering::Acquire), number)));
            }
            _ => {}
        }
    }

    fn make_ready(&mut self, handle: &Handle, number: u32, word: Word) {
        let slot = handle.store.slot(number);
        let priority = Shape(slot.shape.load(Ordering::Relaxed)).priority();
        let position = slot.position.load(Ordering::Relaxed);
        let aside = Aside { position, turn: slot.turn(), number, word: word.0 };
        self.ready[usize::from(priority)].push(Reverse(aside));
    }

    /// When it is time for something again.
    #[inline(always)]
    pub fn next_due(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Does what is due: messages for later are ready, leases end.
    pub fn run(&mut self, handle: &Handle, now: u64) {
        while let Some(Reverse((due, number))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            let slot = handle.store.slot(number);
            let word = Word::of(&slot.word);
            let due = slot.due.load(Ordering::Acquire);
            match word.state() {
                // Another time was set since.
                Some(State::Delayed | State::Timed) if due > now => self.timers.push(Reverse((due, number))),
                Some(State::Delayed) => self.make_ready(handle, number, word),
                Some(State::Timed) => {
                    // The time and the word belong together, or the change fails and the next look tells.
                    handle.end_lease(number, word);
                    self.consider(handle, number);
                }
                Some(State::Returned) => self.make_ready(handle, number, word),
                _ => {}
            }
        }
    }

    /// The first of a priority that is still as it was, and its place in line.
    #[inline(always)]
    pub fn first(&mut self, handle: &Handle, priority: usize) -> Option<(u64, u32, Word)> {
        loop {
            let Reverse(Aside { position, number, word, .. }) = *self.ready[priority].peek()?;
            if Word::of(&handle.store.slot(number).word) == Word(word) {
                return Some((position, number, Word(word)));
            }
            self.ready[priority].pop();
        }
    }

    /// Forgets the first of a priority.
    pub fn pop(&mut self, priority: usize) {
        self.ready[priority].pop();
    }

    /// The priorities of which some may be ready, a bit each.
    #[inline(always)]
    pub fn priorities(&self) -> u64 {
        (0..PRIORITIES).filter(|p| !self.ready[*p].is_empty()).fold(0, |mask, p| mask | 1 << p)
    }
}
