//! Looking into a queue without taking, and setting many messages at once.

use super::body::{self, Bytes};
use super::consumer::QueueConsumer;
use super::dead::{Reason, is_over};
use super::durable::Fsync;
use super::handle::{Count, Handle};
use super::producer::QueueProducer;
use super::shape::Shape;
use super::steps::{State, Word};
use super::store::{Life, PART, Plan};
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::monotonic_nanos;
use crate::value::{Content, preview};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// A message as it was when somebody looked at it.
pub struct Peeked {
    shape: Shape,
    bytes: Bytes,
    attempts: u16,
    reason: Option<Reason>,
    text: String,
}

impl Peeked {
    /// Its bytes, 64-byte aligned.
    pub fn data(&self) -> &[u8] {
        &self.bytes.of(self.shape)[..self.shape.length()]
    }

    /// How to understand them.
    pub fn content(&self) -> Content {
        self.shape.content().unwrap_or_default()
    }

    /// Its priority, 0 to 7.
    pub fn priority(&self) -> u8 {
        self.shape.priority()
    }

    /// How often it was delivered.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// Why it is dead; `None`: it is not.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The same in the words of whoever rejected it; empty if nobody did.
    pub fn reason_text(&self) -> &str {
        &self.text
    }
}

/// What is in a queue, each number read by itself, and what its handles have done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueStats {
    /// Messages to be delivered now, those included that were given back or were for later and are due.
    pub ready: u64,
    /// Messages for later.
    pub delayed: u64,
    /// Messages that consumers have.
    pub leased: u64,
    /// Results that producers have not fetched.
    pub done: u64,
    /// Dead letters, those included for which it is too late and that nobody has looked at since.
    pub dead: u64,
    /// Messages it can hold.
    pub capacity: u64,
    /// Bytes of messages over 128 bytes, in the parts they are stored in; in a durable queue of those too that are done with
    /// as long as the journal does not have that yet, which a sync sees to.
    pub bytes: u64,
    /// The most there can be of these.
    pub max_bytes: u64,
    /// Messages put.
    pub put: u64,
    /// Messages handed out, some more than once.
    pub delivered: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Deliveries given back, by their consumers, by the end of a lease or after a death.
    pub returned: u64,
    /// Messages that became dead letters.
    pub buried: u64,
    /// Times a producer had to wait for room.
    pub blocked: u64,
    /// Bells rung for sleeping consumers.
    pub wakes_sent: u64,
}

impl Handle {
    /// The slots of which this is true, in their order.
    pub(super) fn slots_that<'a>(
        &'a self,
        is: impl Fn(Word) -> bool + 'a,
    ) -> impl Iterator<Item = (u32, Word)> + 'a {
        let slots = self.store.slots();
        (0..slots.grown())
            .map(move |number| (number, Word::of(&slots.slot(number).word)))
            .filter(move |(_, w)| is(*w))
    }

    fn peek(&self, number: u32, word: Word) -> Result<Option<Peeked>> {
        let slot = self.store.slot(number);
        let shape = Shape(slot.shape.load(Ordering::Relaxed));
        let attempts = Life(slot.life.load(Ordering::Relaxed)).attempts();
        let mut bytes = Bytes::default();
        let read = body::read(&self.store, number, shape, &mut bytes);
        let (reason, text) = if word.is(State::Dead) { self.reason(number) } else { (None, String::new()) };
        if Word::of(&slot.word) != word {
            return Ok(None);
        }
        read.map(|()| Some(Peeked { shape, bytes, attempts, reason, text }))
    }

    fn peek_all(&self, slots: impl Iterator<Item = (u32, Word)>, most: usize) -> Result<Vec<Peeked>> {
        let peeked = slots.map(|(number, word)| self.peek(number, word)).filter_map(Result::transpose);
        peeked.take(most).collect()
    }

    /// What can be delivered now, in that order.
    fn in_order(&self) -> Vec<(u32, Word)> {
        let (line, now): (HashMap<(u32, u64), u64>, u64) = (self.listed(), monotonic_nanos());
        let mut ready: Vec<_> = self
            .slots_that(Word::waits)
            .filter(|(number, word)| word.is_due(self.store.slot(*number).due.load(Ordering::Relaxed), now))
            .filter_map(|(number, word)| {
                let slot = self.store.slot(number);
                let priority = Shape(slot.shape.load(Ordering::Relaxed)).priority();
                let (position, turn) = match word.is(State::Ready) {
                    true => (*line.get(&(number, word.generation()))?, u64::MAX),
                    false => (slot.position.load(Ordering::Relaxed), slot.turn()),
                };
                Some((Reverse(priority), position, turn, number, word))
            })
            .collect();
        ready.sort_by_key(|entry| (entry.0, entry.1, entry.2));
        ready.into_iter().map(|(_, _, _, number, word)| (number, word)).collect()
    }

    fn purge(&self, messages: impl IntoIterator<Item = (u32, Word)>) -> Result<u64> {
        let mut count = 0;
        for (number, word) in messages {
            let waiting = self.ticket_row(number);
            if self.free(number, word, false)? {
                count += 1;
                waiting.into_iter().for_each(|row| self.wake_row(row));
            }
        }
        if count == 0 {
            return Ok(0);
        }
        self.sync_unless_beside().map(|()| count).map_err(|e| {
            let text = format!(
                "the messages are taken away, {count} in all, but that is not known to be on the disk: {e}"
            );
            Error::not_durable(0, text)
        })
    }

    fn redrive(&self, most: usize) -> Result<u64> {
        self.bury_expired();
        let mut count = 0;
        for (number, word) in self.slots_that(|word| word.is(State::Dead)).take(most) {
            let slot = self.store.slot(number);
            let Some(held) = self.hold(number, word) else { continue };
            let life = Life(slot.life.load(Ordering::Relaxed));
            slot.life.store(Life::new(life.generation()).0, Ordering::Relaxed);
            slot.expires.store(0, Ordering::Relaxed);
            body::free_after(&self.store, number, word, slot.after.swap(0, Ordering::Relaxed));
            count += u64::from(self.give_back(number, held, Duration::ZERO, self.row));
        }
        Ok(count)
    }

    /// What the slots of messages hold.
    pub fn messages(&self) -> QueueStats {
        let mut stats = QueueStats::of_plan(&self.store.plan);
        let now = monotonic_nanos();
        self.slots_that(|_| true).for_each(|(number, word)| {
            let slot = self.store.slot(number);
            let times = (slot.due.load(Ordering::Relaxed), slot.expires.load(Ordering::Relaxed));
            stats.add_message(word, times, now);
        });
        stats
    }

    pub fn stats(&self) -> QueueStats {
        let mut stats = self.messages();
        let parts = self.store.parts();
        (0..parts.grown()).for_each(|number| stats.add_part(Word::of(&parts.slot(number).word)));
        for number in 0..self.store.object.rows() {
            let row = self.store.object.row(number);
            stats.add_row(|what| row.words[what as usize].load(Ordering::Relaxed));
        }
        stats
    }
}

impl QueueStats {
    /// What fills the queue `name`, and what makes room in it: the words of the error of a put that finds none.
    pub fn why_full(&self, name: &str) -> (String, String) {
        let QueueStats { ready, delayed, leased, done, dead, capacity, max_bytes, .. } = *self;
        let all = [ready, delayed, leased, done, dead].into_iter().fold(0, u64::saturating_add);
        let happened = format!(
            "no room, it has {all} of {capacity} messages ({ready} ready, {delayed} for later, {leased} held, {dead} dead letters, {done} results that nobody fetched), of which large ones share {max_bytes} bytes"
        );
        let mut remedies = [
            (dead, format!("redrive or purge its dead letters (`axonic queue purge --dead {name}`)")),
            (done, "fetch its results or drop their tickets".into()),
            (leased, "settle what is held".into()),
            (ready.saturating_add(delayed), "take more of it".into()),
        ];
        remedies.sort_by_key(|(count, _)| Reverse(*count));
        let there = remedies.into_iter().filter(|(count, _)| *count > 0).map(|(_, remedy)| remedy);
        let last = "make it with a larger capacity or max_bytes".to_owned();
        (happened, there.chain([last]).collect::<Vec<_>>().join(", or "))
    }

    pub(super) fn of_plan(plan: &Plan) -> QueueStats {
        let (capacity, max_bytes) = (plan.capacity as u64, (plan.parts * PART) as u64);
        QueueStats { capacity, max_bytes, ..QueueStats::default() }
    }

    /// A message for which it is too late is a dead letter, though nobody has buried it yet.
    pub(super) fn add_message(&mut self, word: Word, (due, expires): (u64, u64), now: u64) {
        match word.state() {
            Some(_) if word.waits() && is_over(expires, now) => self.dead += 1,
            Some(_) if word.waits() && word.is_due(due, now) => self.ready += 1,
            Some(State::Delayed) => self.delayed += 1,
            Some(State::Leased | State::Timed | State::Held) => self.leased += 1,
            Some(State::Done) => self.done += 1,
            Some(State::Dead) => self.dead += 1,
            _ => {}
        }
    }

    pub(super) fn add_part(&mut self, word: Word) {
        self.bytes += if word.is(State::Free) { 0 } else { PART as u64 };
    }

    /// What the handles of one row have done.
    pub(super) fn add_row(&mut self, of: impl Fn(Count) -> u64) {
        let sums = [
            (&mut self.put, Count::Put),
            (&mut self.delivered, Count::Delivered),
            (&mut self.acked, Count::Acked),
            (&mut self.returned, Count::Returned),
            (&mut self.buried, Count::Died),
            (&mut self.blocked, Count::Blocked),
            (&mut self.wakes_sent, Count::Wakes),
        ];
        sums.into_iter().for_each(|(sum, what)| *sum = sum.wrapping_add(of(what)));
    }
}

impl QueueConsumer {
    /// Up to `most` messages that can be delivered now, in that order, without taking them.
    pub fn peek(&mut self, most: usize) -> Result<Vec<Peeked>> {
        self.enter()?;
        let handle = self.handle();
        handle.bury_expired();
        handle.peek_all(handle.in_order().into_iter(), most)
    }

    /// Up to `most` dead letters.
    pub fn dead_letters(&mut self, most: usize) -> Result<Vec<Peeked>> {
        self.enter()?;
        let handle = self.handle();
        handle.bury_expired();
        handle.peek_all(handle.slots_that(|word| word.is(State::Dead)), most)
    }

    /// Takes all messages away that nobody has, those for later included, but not the dead letters. How many. After
    /// `NotDurable` they are gone, too; it is not known to be on the disk.
    pub fn purge(&mut self) -> Result<u64> {
        self.enter()?;
        let handle = self.handle();
        handle.bury_expired();
        // In their order: no cell of a lane may name a message still that those after it have outlived.
        let messages = handle.in_order();
        handle.purge(messages.into_iter().chain(handle.slots_that(|word| word.is(State::Delayed))))
    }

    /// Takes all dead letters away. How many. `NotDurable` as [`Self::purge`].
    pub fn purge_dead_letters(&mut self) -> Result<u64> {
        self.enter()?;
        let handle = self.handle();
        handle.bury_expired();
        handle.purge(handle.slots_that(|word| word.is(State::Dead)))
    }

    /// Lets up to `most` dead letters be delivered again, as if they never had been. How many.
    pub fn redrive(&mut self, most: usize) -> Result<u64> {
        self.enter()?;
        self.handle().redrive(most)
    }

    /// Returns when everything that was put into this queue and settled before is on the disk; at once if it has no
    /// journal.
    pub fn sync(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.enter()?;
        self.handle().sync(timeout)
    }

    /// Deliveries of one message before it is a dead letter, as whoever made the queue decided; 0: no limit.
    pub fn max_attempts(&self) -> u32 {
        // More than that no message reaches.
        self.handle().store.head().max_attempts.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// When what it holds is known to be on the disk, as whoever made the queue decided; `None`: it is in memory only.
    pub fn fsync(&self) -> Option<Fsync> {
        self.handle().log.as_ref().map(|log| log.fsync)
    }

    /// What is in the queue, and counters.
    pub fn stats(&self) -> QueueStats {
        self.handle().stats()
    }
}

impl QueueProducer {
    /// Returns when everything that was put into this queue and settled before is on the disk; at once if it has no
    /// journal.
    pub fn sync(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.enter()?;
        self.handle().sync(timeout)
    }

    /// When what it holds is known to be on the disk, as whoever made the queue decided; `None`: it is in memory only.
    pub fn fsync(&self) -> Option<Fsync> {
        self.handle().log.as_ref().map(|log| log.fsync)
    }

    /// What is in the queue, and counters.
    pub fn stats(&self) -> QueueStats {
        self.handle().stats()
    }
}

impl fmt::Debug for Peeked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peeked({}", preview(self.content(), None, self.data(), 40))?;
        if let Some(reason) = self.reason {
            write!(f, ", {}", reason.name())?;
        }
        write!(f, ", {} attempts)", self.attempts)
    }
}
