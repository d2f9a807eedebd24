//! Setting right what the dead left: their rows name what they had.

use super::body;
use super::durable::HELD_UP;
use super::handle::Handle;
use super::shape::Shape;
use super::steps::{Look, State, Word};
use super::store::{Life, PRIORITIES};
use crate::domain::layout::ObjectId;
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use std::collections::HashMap;
use std::time::Duration;
use tracing::{info, warn};

impl Handle {
    /// Sets right what the handles of dead participants left, and gives their rows back. It needs nothing that could be
    /// lacking: a death holds nobody up.
    #[cold]
    pub fn recover(&self) {
        let dead = self.store.object.dead();
        for (row, id) in &dead {
            self.recover_row(*row, *id);
            self.store.object.release_row(*row, *id);
        }
    }

    pub(super) fn recover_row(&self, row: u32, id: ObjectId) {
        info!("queue '{}': a handle of participant {} died; what it had goes on", self.name(), id.owner());
        if self.store.is_durable() && self.store.journal().lock.load(Ordering::Acquire) == id.0 {
            // The lock names an id, not the row: whoever is the next to write takes it from the dead one all the same.
            let _ = self.write_out(Some(&Deadline::after(Some(HELD_UP))));
        }
        let slots = self.store.slots();
        let mut unlisted = Vec::new();
        for number in 0..slots.grown() {
            let word = Word::of(&slots.slot(number).word);
            if word.row() != row || word.is(State::Free) {
                continue;
            }
            // Read after the word: as long as the row is the dead one's, so is the word.
            if self.store.object.holder(row) != Some(id) {
                return;
            }
            match word.state() {
                Some(State::Writing) => {
                    self.forget_duplicate(number, word);
                    self.free_now(number, word);
                }
                Some(State::Ready) => unlisted.push((number, word)),
                // In the name of the dead: should we be stopped, another goes on with it.
                Some(State::Leased | State::Timed | State::Held) => {
                    self.give_back(number, word, Duration::ZERO, row);
                }
                Some(State::Returned | State::Delayed) => self.name_aside(number, word),
                // Whoever gave the ticket up saw that it was not done yet.
                Some(State::Done) => self.free_if_unclaimed(number),
                _ => {}
            }
            // It may have died before it could tell the journal.
            if !word.is(State::Writing) {
                let life = Life(slots.slot(number).life.load(Ordering::Relaxed));
                self.journal_later(number, life.generation());
            }
        }
        self.forget_tickets(row, id);
        if !unlisted.is_empty() {
            self.list(unlisted);
        }
        let parts = self.store.parts();
        for number in 0..parts.grown() {
            let word = Word::of(&parts.slot(number).word);
            if word.is(State::Writing)
                && word.row() == row
                && self.store.object.holder(row) == Some(id)
                && word.change(&parts.slot(number).word, word.then(State::Free, 0))
            {
                parts.give(number);
            }
        }
        body::collect(parts);
        slots.summarize();
        parts.summarize();
    }

    /// Puts messages into their lanes that are ready and were not yet: their producers died in between.
    fn list(&self, ready: Vec<(u32, Word)>) {
        let listed = self.listed();
        for (number, word) in ready {
            let slot = self.store.slot(number);
            let priority = usize::from(Shape(slot.shape.load(Ordering::Relaxed)).priority());
            // The lane is there since before the put.
            if self.store.used_lane(priority).is_err() {
                continue;
            }
            // Made ours, so that of all who set this right one gives it a cell: there are no more cells than slots.
            let ours = word.then(State::Ready, self.row);
            if listed.contains_key(&(number, word.generation())) || !word.change(&slot.word, ours) {
                continue;
            }
            self.store.line_up(priority, number, ours.generation());
            self.tell_item();
        }
    }

    /// What the lanes name that is still there, and its place in line.
    pub fn listed(&self) -> HashMap<(u32, u64), u64> {
        let mut listed = HashMap::new();
        let used = self.store.head().lanes_used.load(Ordering::Acquire);
        for priority in (0..PRIORITIES).filter(|p| used & 1 << p != 0) {
            let lane = self.store.lane(priority);
            let head = &self.store.head().lanes[priority];
            let mut position = head.head.load(Ordering::Relaxed);
            let mut walk = lane.walk(position);
            while !walk.is_lost() {
                match lane.look(position) {
                    Look::Full(cell) if cell.slot() < self.store.slots().grown() => {
                        let word = Word::of(&self.store.slot(cell.slot()).word);
                        if cell.means(word) {
                            listed.entry((cell.slot(), word.generation())).or_insert(position);
                        }
                    }
                    Look::Empty => break,
                    _ => {}
                }
                position =
                    walk.on(position, || head.tail.load(Ordering::Relaxed).saturating_sub(lane.cells()));
            }
        }
        listed
    }

    /// Whether nothing is in the queue.
    pub fn is_spent(&self) -> bool {
        let slots = self.store.slots();
        (0..slots.grown()).all(|number| Word::of(&slots.slot(number).word).is(State::Free))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.domain().forked() {
            return;
        }
        // What the dead left must not keep the queue.
        self.recover();
        // What was put and settled is on the disk, unless that is held up by somebody.
        if let Err(e) = self.sync(Some(Duration::from_secs(1))) {
            warn!(
                "queue '{}': closed, and what was put and settled may not be on the disk: {e}",
                self.name()
            );
        }
        // Before the queue may go: whoever makes it anew then finds nobody who claims its journal.
        self.log = None;
        self.store.object.release_row(self.row, self.id);
        self.store.object.take_away(|| self.is_spent());
    }
}
