//! Messages for later, for a time, put once or for a result: what may be found of them after the power went.

use crate::mechanisms::journal::simulator::Random;
use crate::mechanisms::queue::Put;
use crate::mechanisms::queue::body::{self, Bytes};
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::settle::after;
use crate::mechanisms::queue::shape::{Shape, TICKET};
use crate::mechanisms::queue::steps::{State, Word};
use crate::sys::atomic::Ordering;
use crate::sys::clock::monotonic_nanos;
use std::time::Duration;

/// Times of different messages, and the different times of one, are farther apart than [`SLACK`].
const SPACING: Duration = Duration::from_secs(1000);
/// So much earlier or later is the same time: the journal has milliseconds of a wall clock.
const SLACK: u64 = 100_000_000_000;
/// There are so many ids.
const IDS: usize = 4;

/// A time that is not over before the test is, and no other message's.
fn long(number: u32) -> Duration {
    SPACING * (number + 1)
}

/// Lets a message be for later, for a time, put once or for a result. Its id, if it has any.
pub fn choose(put: &mut Put, number: u32, random: &mut Random) -> Option<usize> {
    let kind = random.below(8);
    match kind {
        0 => put.delay = long(number),
        1 => put.delay = Duration::from_nanos(1),
        2 => put.ttl = Some(Duration::ZERO),
        3 | 4 => put.ttl = Some(long(number) + SPACING / 2),
        _ => {}
    }
    if kind == 4 {
        put.delay = long(number);
    }
    put.result = kind >= 6;
    let id = matches!(kind, 5 | 6).then(|| random.below(IDS));
    put.dedup_id = id.map(|id| id.to_string());
    id
}

/// After which time a message is given back.
pub fn delay(number: u32, random: &mut Random) -> Duration {
    [Duration::ZERO, Duration::from_nanos(1), long(number) + SPACING / 4][random.below(3)]
}

/// When a message is due and when it is too late for it, in nanoseconds of the machine's monotonic clock. Zero: at once, as
/// when it is due already, and never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    due: u64,
    expires: u64,
}

impl Times {
    fn new(due: u64, expires: u64) -> Times {
        Times { due: if due < monotonic_nanos() + SLACK { 0 } else { due }, expires }
    }

    pub fn of(put: &Put) -> Times {
        Times::new(after(put.delay), put.ttl.map_or(0, after))
    }

    /// Those of a message that is given back.
    pub fn returned(self, delay: Duration) -> Times {
        Times::new(after(delay), self.expires)
    }

    pub fn is_for_later(self) -> bool {
        self.due != 0
    }

    pub fn is_too_late(self) -> bool {
        self.expires != 0 && self.expires <= monotonic_nanos()
    }
}

/// Whether one time is the other. What is over is over.
fn is_same(one: u64, other: u64) -> bool {
    let are_over = one.max(other) <= monotonic_nanos();
    (one == 0) == (other == 0) && (are_over || one.abs_diff(other) < SLACK)
}

/// The times a message had one after another: after how many operations of the disk it got them, and after how many they
/// were known to be on it.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<(Times, usize, Option<usize>)>);

impl History {
    /// Times that were always there.
    pub fn of(times: Times) -> History {
        History(vec![(times, 0, Some(0))])
    }

    pub fn change(&mut self, times: Times, operations: usize) {
        self.0.push((times, operations, None));
    }

    /// The last ones are on the disk.
    pub fn known(&mut self, operations: usize) {
        self.0.last_mut().expect("it was put").2.get_or_insert(operations);
    }

    pub fn last(&self) -> Times {
        self.0.last().expect("it was put").0
    }

    /// Whether a message may have these times after a power cut after so many operations. A dead letter is not due.
    pub fn allows(&self, found: &Found, operations: usize) -> bool {
        let is_there = |known: &Option<usize>| known.is_some_and(|known| known <= operations);
        let from = self.0.iter().rposition(|(_, _, known)| is_there(known)).unwrap_or(0);
        let begun = self.0[from..].iter().filter(|(_, begun, _)| *begun <= operations);
        let is_found = |times: &Times| {
            is_same(times.expires, found.times.expires)
                && (found.is_dead || is_same(times.due, found.times.due))
        };
        begun.map(|(times, ..)| times).any(is_found)
    }
}

/// A message as it is in memory.
pub struct Found {
    pub payload: Vec<u8>,
    pub priority: u8,
    pub times: Times,
    pub is_dead: bool,
    /// Somebody waits for what becomes of it.
    pub has_ticket: bool,
}

impl Found {
    /// All that wait, or are dead letters.
    pub fn all(handle: &Handle) -> Vec<Found> {
        let waits = handle.slots_that(|word| word.waits() || word.is(State::Dead));
        waits.map(|(number, word)| Found::of(handle, number, word)).collect()
    }

    fn of(handle: &Handle, number: u32, word: Word) -> Found {
        let slot = handle.store.slot(number);
        let shape = Shape(slot.shape.load(Ordering::Relaxed));
        let mut bytes = Bytes::default();
        body::read(&handle.store, number, shape, &mut bytes).unwrap();
        let due = if word.is(State::Delayed) { slot.due.load(Ordering::Relaxed) } else { 0 };
        Found {
            payload: bytes.of(shape).to_vec(),
            priority: shape.priority(),
            times: Times::new(due, slot.expires.load(Ordering::Relaxed)),
            is_dead: word.is(State::Dead),
            has_ticket: shape.has(TICKET) || slot.ticket.load(Ordering::Relaxed) != 0,
        }
    }
}
