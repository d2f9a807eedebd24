//! The queue's protocol over bare words, so that the models in `tests/loom_queue.rs` run the very steps the library runs.
//!
//! - **Q1** A message is where its slot's word says: one word, changed by compare-and-swap, and each change gives it
//!   another generation. Cells, bits and heaps only say where to look.
//! - **Q2** producer: fill the slot, `word = READY` (release), fill the first empty cell of the lane by compare-and-swap
//!   (release): that is the put — consumer: read the cell (acquire), the word (acquire), and take the message by
//!   compare-and-swap of the word. A cell whose slot has moved on is empty in effect.
//! - No cell is left empty before a full one, and there is no counter to draw from: a producer that stops anywhere has
//!   put its message or has not, and holds up nobody.

use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::fence::after_update;

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nothing.
    Free = 0,
    /// A producer fills it.
    Writing = 1,
    /// A message for whoever comes first.
    Ready = 2,
    /// A consumer has it until it says so or dies.
    Leased = 3,
    /// A consumer has it until then, or until a time.
    Timed = 4,
    /// A message that somebody had and gave back, or died with.
    Returned = 5,
    /// A message for later.
    Delayed = 6,
    /// What became of a message, for its producer.
    Done = 7,
    /// A message nobody is to get any more, and why.
    Dead = 8,
    /// A part of another slot's message.
    Part = 9,
    /// A message that is done with and whose end is not in the journal yet.
    Gone = 10,
    /// Somebody who has a message writes down what becomes of it: until then nothing else does.
    Held = 11,
}

impl State {
    const ALL: [State; 12] = [
        State::Free,
        State::Writing,
        State::Ready,
        State::Leased,
        State::Timed,
        State::Returned,
        State::Delayed,
        State::Done,
        State::Dead,
        State::Part,
        State::Gone,
        State::Held,
    ];
}

/// A slot's word: `state 4 | row 12 | generation 48`. The row is that of the handle that brought the slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u64);

const GENERATION: u64 = (1 << 48) - 1;

impl Word {
    pub fn new(state: State, row: u32, generation: u64) -> Word {
        Word((state as u64) << 60 | u64::from(row & 0xfff) << 48 | generation & GENERATION)
    }

    /// `None`: no word of ours; the memory was damaged.
    #[inline(always)]
    pub fn state(self) -> Option<State> {
        State::ALL.get((self.0 >> 60) as usize).copied()
    }

    #[inline(always)]
    pub fn is(self, state: State) -> bool {
        self.0 >> 60 == state as u64
    }

    /// Whether a consumer has the message.
    pub fn is_leased(self) -> bool {
        self.is(State::Leased) || self.is(State::Timed)
    }

    /// Whether the message is for whoever comes first, now or later.
    pub fn waits(self) -> bool {
        self.is(State::Ready) || self.is(State::Returned) || self.is(State::Delayed)
    }

    /// Whether a message that waits is for now, and not for later than that.
    pub fn is_due(self, due: u64, now: u64) -> bool {
        !self.is(State::Delayed) || due <= now
    }

    #[inline(always)]
    pub fn row(self) -> u32 {
        (self.0 >> 48) as u32 & 0xfff
    }

    #[inline(always)]
    pub fn generation(self) -> u64 {
        self.0 & GENERATION
    }

    /// The word that follows this one.
    #[inline(always)]
    pub fn then(self, state: State, row: u32) -> Word {
        Word::new(state, row, self.generation().wrapping_add(1))
    }

    /// Changes a slot's word from this one to `next`. Whether nobody was faster.
    #[inline(always)]
    pub fn change(self, word: &AtomicU64, next: Word) -> bool {
        word.compare_exchange(self.0, next.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    pub fn of(word: &AtomicU64) -> Word {
        Word(word.load(Ordering::Acquire))
    }
}

/// A cell: `lap 12 | generation 28 | slot 24`. Zero: never filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell(pub u64);

/// Slots are numbered in this many bits.
pub const SLOT_BITS: u32 = 24;
const TAG: u64 = (1 << 28) - 1;
const LAP: u64 = (1 << 12) - 1;

impl Cell {
    #[inline(always)]
    pub fn new(lap: u64, slot: u32, generation: u64) -> Cell {
        Cell((lap & LAP) << 52 | (generation & TAG) << SLOT_BITS | u64::from(slot))
    }

    #[inline(always)]
    pub fn slot(self) -> u32 {
        self.0 as u32 & ((1 << SLOT_BITS) - 1)
    }

    #[inline(always)]
    pub fn lap(self) -> u64 {
        self.0 >> 52
    }

    /// Whether the slot still is as it was when the cell was filled.
    #[inline(always)]
    pub fn means(self, word: Word) -> bool {
        word.generation() & TAG == self.0 >> SLOT_BITS & TAG
    }
}

/// An endless lane over a round of cells. Position `p` is cell `p % cells`; a cell is full at `p` when it bears its lap.
pub struct Lane<'a> {
    cells: &'a [AtomicU64],
    shift: u32,
}

impl<'a> Lane<'a> {
    /// The number of cells is a power of two.
    #[inline(always)]
    pub fn new(cells: &'a [AtomicU64]) -> Lane<'a> {
        Lane { cells, shift: cells.len().trailing_zeros() }
    }

    #[inline(always)]
    fn cell(&self, position: u64) -> &AtomicU64 {
        &self.cells[position as usize & (self.cells.len() - 1)]
    }

    /// The lap of a position, as its cell bears it. The first is 1.
    #[inline(always)]
    fn lap(&self, position: u64) -> u64 {
        (position >> self.shift).wrapping_add(1) & LAP
    }

    /// So many positions are in use at most.
    #[inline(always)]
    pub fn cells(&self) -> u64 {
        self.cells.len() as u64
    }

    /// Fills the first empty cell at or after `tail`, which says how far the lane is full, or was not long ago. Returns
    /// the position.
    #[inline(always)]
    pub fn fill(&self, tail: &AtomicU64, slot: u32, generation: u64) -> u64 {
        self.fill_keeping(tail, slot, generation, |_| false)
    }

    /// The same in a lane whose cells go out of use in any order: what is still in use (`keep`) is moved on to where it
    /// stands in the new lap. There are cells enough for that.
    #[inline(always)]
    pub fn fill_keeping(
        &self,
        tail: &AtomicU64,
        slot: u32,
        generation: u64,
        keep: impl Fn(Cell) -> bool,
    ) -> u64 {
        // Acquire and release: who starts here sees all cells before full, and so do those who see the cell it fills.
        let mut position = tail.load(Ordering::Acquire);
        let mut walk = self.walk(position);
        loop {
            let cell = self.cell(position);
            let seen = Cell(cell.load(Ordering::Acquire));
            let lap = self.lap(position);
            if seen.lap() != lap.wrapping_sub(1) & LAP && !walk.is_lost() {
                // Full, or full for the next lap even.
                position = walk.on(position, || tail.load(Ordering::Acquire));
                continue;
            }
            // Where everything seems to be in use, any cell will do.
            let kept = seen.0 != 0 && !walk.is_lost() && keep(seen);
            let moved = Cell(seen.0 & (u64::MAX >> 12) | lap << 52);
            let next = if kept { moved } else { Cell::new(lap, slot, generation) };
            if cell.compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // Never back: who was stopped just here would send the others to where the laps look the same again.
            tail.fetch_max(position.wrapping_add(1), Ordering::Release);
            if !kept {
                return position;
            }
            position = walk.on(position, || tail.load(Ordering::Acquire));
        }
    }

    /// Begins to go along the lane.
    #[inline(always)]
    pub fn walk(&self, from: u64) -> Walk {
        Walk { cells: self.cells(), begun: from, rounds: 0 }
    }

    /// What is at `position`.
    #[inline(always)]
    pub fn look(&self, position: u64) -> Look {
        let cell = Cell(self.cell(position).load(Ordering::Acquire));
        let lap = self.lap(position);
        if cell.lap() == lap {
            Look::Full(cell)
        } else if cell.lap() == lap.wrapping_sub(1) & LAP {
            Look::Empty
        } else {
            Look::Past
        }
    }
}

/// A way along a lane past cells that are of no use. After a round it goes on where the lane is by then; where it comes
/// to no end all the same, the memory was damaged.
pub struct Walk {
    cells: u64,
    begun: u64,
    rounds: u32,
}

impl Walk {
    /// The position after this one, or `ahead`, if a round is over and that is farther.
    #[inline(always)]
    pub fn on(&mut self, position: u64, ahead: impl FnOnce() -> u64) -> u64 {
        let next = position.wrapping_add(1);
        if next.wrapping_sub(self.begun) < self.cells {
            return next;
        }
        let ahead = ahead();
        // One that has passed the last of all numbers is ahead of those before.
        let is_ahead = (1..1 << 63).contains(&ahead.wrapping_sub(next));
        (self.begun, self.rounds) = if is_ahead { (ahead, 0) } else { (next, self.rounds + 1) };
        self.begun
    }

    /// Whether it comes to no end.
    #[inline(always)]
    pub fn is_lost(&self) -> bool {
        const MANY: u32 = 4;
        self.rounds >= MANY
    }
}

/// What a look into a lane finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Full(Cell),
    /// Nothing yet: the lane ends here.
    Empty,
    /// The cell serves a later lap already; what was here is gone.
    Past,
}

/// The word of a message that is done, if nobody has a claim on what became of it any more.
///
/// **Q3** who ends a message: its word, full fence, the claim — who gives the claim up: the claim, full fence, the word. At
/// least one sees the other, and frees the message.
pub fn unclaimed(word: &AtomicU64, claim: &AtomicU64) -> Option<Word> {
    fence(Ordering::SeqCst);
    let word = Word::of(word);
    (word.is(State::Done) && claim.load(Ordering::Acquire) == 0).then_some(word)
}

/// Bits that say which slots may be free, and a summary: a bit for each word of them that may have one set.
///
/// **Q4** who sets a bit where none was: the bit, full fence, the summary, which it sets if it has to — who finds none: clears the
/// summary, full fence, the bits. At least one sees the other, and the summary is set.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    pub words: &'a [AtomicU64],
    pub summary: &'a [AtomicU64],
}

impl Bits<'_> {
    /// Sets bits of word `at`.
    #[inline(always)]
    pub fn set(&self, at: usize, bits: u64) {
        if self.words[at].fetch_or(bits, Ordering::AcqRel) == 0 {
            let bit = 1 << (at % 64);
            after_update();
            if self.summary[at / 64].load(Ordering::Acquire) & bit == 0 {
                self.summary[at / 64].fetch_or(bit, Ordering::AcqRel);
            }
        }
    }

    /// Says in the summary which of the first `count` words have some set: who sets one where some are set does not look, and
    /// one that died between the two has left a word that nobody would find.
    pub fn summarize(&self, count: usize) {
        for (at, word) in self.words[..count].iter().enumerate() {
            if word.load(Ordering::Acquire) != 0 {
                self.summary[at / 64].fetch_or(1 << (at % 64), Ordering::AcqRel);
            }
        }
    }

    /// Takes all that are set in word `at`.
    pub fn take(&self, at: usize) -> u64 {
        let bits = self.words[at].swap(0, Ordering::AcqRel);
        if bits == 0 {
            self.summary[at / 64].fetch_and(!(1 << (at % 64)), Ordering::AcqRel);
            after_update();
            if self.words[at].load(Ordering::Acquire) != 0 {
                self.summary[at / 64].fetch_or(1 << (at % 64), Ordering::AcqRel);
            }
        }
        bits
    }

    /// The first word from `at` on that may have one set.
    #[inline(always)]
    pub fn next(&self, mut at: usize) -> Option<usize> {
        while at < self.words.len() {
            let seen = self.summary[at / 64].load(Ordering::Acquire) >> (at % 64);
            if seen != 0 {
                return Some(at + seen.trailing_zeros() as usize);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }
}
