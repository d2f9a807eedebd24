//! Free slots: a bit for each that may be free. The slots' words tell the truth, the bits only where to look: a bit that
//! is wrongly set costs a glance, and who finds none set looks at the words themselves before he calls the queue full.

use super::steps::{Bits, State, Word};
use super::store::{SLOT, Slot, Store};
use crate::error::Result;
use crate::sys::atomic::{AtomicU64, Ordering};

/// Slots that are allocated at first, and by which a queue grows at least.
const FIRST: u64 = 1024;

/// A set of slots of a queue's file: those for messages, or those for parts.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    pub store: &'a Store,
    pub offset: usize,
    pub count: u32,
    pub bits: Bits<'a>,
    pub grown: &'a AtomicU64,
}

/// Bits that a handle has taken out of one word, for itself alone as long as nobody is in need.
#[derive(Default)]
pub struct Stock {
    bits: u64,
    first: u32,
    /// The word to look at next: slots are used in turn.
    next: usize,
    /// Words among which to look before others: a queue that was once long does not go round all its memory.
    window: usize,
}

impl Pool<'_> {
    /// Slot `number`. Panics where there cannot be one.
    #[inline(always)]
    pub fn slot(&self, number: u32) -> &Slot {
        assert!(number < self.count);
        // SAFETY: just checked, and the plan has placed the slots.
        unsafe { self.store.nth(self.offset, number as usize) }
    }

    /// How many are allocated.
    #[inline(always)]
    pub fn grown(&self) -> u32 {
        self.grown.load(Ordering::Acquire).min(u64::from(self.count)) as u32
    }

    /// Takes a free slot: its word says [`State::Writing`] then, or `Part`, for `row`. `None`: there is none, even
    /// though every word was looked at (`thorough`). The error: there is no memory for more.
    #[inline(always)]
    pub fn take(
        &self,
        stock: &mut Stock,
        state: State,
        row: u32,
        thorough: bool,
    ) -> Result<Option<(u32, Word)>> {
        loop {
            while stock.bits != 0 {
                let number = stock.first + stock.bits.trailing_zeros();
                stock.bits &= stock.bits - 1;
                if let Some(word) = self.claim(number, state, row) {
                    return Ok(Some((number, word)));
                }
            }
            match self.refill(stock) {
                Ok(true) => {}
                none if !thorough => return none.map(|_| None),
                none => return self.search(state, row).map_or(none.map(|_| None), |found| Ok(Some(found))),
            }
        }
    }

    #[inline(always)]
    fn claim(&self, number: u32, state: State, row: u32) -> Option<Word> {
        let word = &self.slot(number).word;
        let seen = Word::of(word);
        let taken = seen.then(state, row);
        (seen.is(State::Free) && seen.change(word, taken)).then_some(taken)
    }

    /// Takes the bits of one word; `false`: no bit is set and nothing is left to allocate.
    #[cold]
    fn refill(&self, stock: &mut Stock) -> Result<bool> {
        let words = (self.grown() as usize).div_ceil(64);
        stock.window = stock.window.clamp(words.min(FIRST as usize / 64), words);
        if self.refill_within(stock, 0, stock.window) {
            return Ok(true);
        }
        if !self.refill_within(stock, stock.window, words) {
            if !self.grow()? {
                return Ok(false);
            }
            self.refill_within(stock, words.saturating_sub(1), usize::MAX);
        }
        stock.window *= 2;
        Ok(true)
    }

    /// The same among words `from` to `to`, beginning with the next in turn.
    fn refill_within(&self, stock: &mut Stock, from: usize, to: usize) -> bool {
        let to = to.min(self.bits.words.len());
        let start = if (from..to).contains(&stock.next) { stock.next } else { from };
        self.refill_from(stock, start, to) || self.refill_from(stock, from, start)
    }

    fn refill_from(&self, stock: &mut Stock, from: usize, to: usize) -> bool {
        let mut next = self.bits.next(from);
        while let Some(at) = next.filter(|at| *at < to) {
            if self.take_word(stock, at) {
                return true;
            }
            next = self.bits.next(at + 1);
        }
        false
    }

    /// Takes the bits of word `at`, but not more than a sixteenth of all slots: others need some too.
    fn take_word(&self, stock: &mut Stock, at: usize) -> bool {
        let mut bits = self.bits.take(at) & self.allocated(at);
        if bits == 0 {
            return false;
        }
        let most = (self.count / 16).clamp(1, 64);
        let mut mine = 0u64;
        while mine.count_ones() < most && bits != 0 {
            mine |= bits & bits.wrapping_neg();
            bits &= bits - 1;
        }
        if bits != 0 {
            self.bits.set(at, bits);
        }
        (stock.bits, stock.first, stock.next) = (mine, at as u32 * 64, at + 1);
        true
    }

    /// The bits of word `at` that are of allocated slots.
    fn allocated(&self, at: usize) -> u64 {
        match (self.grown() as usize).saturating_sub(at * 64) {
            0 => 0,
            count => u64::MAX >> 64usize.saturating_sub(count),
        }
    }

    /// Says that a slot is free, whose word says so.
    #[inline(always)]
    pub fn give(&self, number: u32) {
        self.bits.set(number as usize / 64, 1 << (number % 64));
    }

    /// After the death of one that may have been about to say so.
    pub fn summarize(&self) {
        self.bits.summarize((self.grown() as usize).div_ceil(64));
    }

    /// Gives back what a handle has taken and not used.
    pub fn give_stock(&self, stock: &mut Stock) {
        if stock.bits != 0 {
            self.bits.set(stock.first as usize / 64, std::mem::take(&mut stock.bits));
        }
    }

    /// Whether it looks as if so many were free, or can be allocated; quickly, and where they are few always.
    pub fn has(&self, wanted: usize, stock: &Stock) -> bool {
        const FEW: usize = 8;
        let mut left =
            wanted.saturating_sub((self.count - self.grown()) as usize + stock.bits.count_ones() as usize);
        if wanted <= FEW {
            return left == 0 || self.bits.summary.iter().any(|word| word.load(Ordering::Relaxed) != 0);
        }
        for word in self.bits.words {
            left = left.saturating_sub(word.load(Ordering::Relaxed).count_ones() as usize);
            if left == 0 {
                return true;
            }
        }
        left == 0
    }

    /// Sees to it that some are allocated.
    #[inline(always)]
    pub fn begin(&self) -> Result<()> {
        if self.grown() == 0 { self.grow().map(drop) } else { Ok(()) }
    }

    /// Allocates more slots. Whether there are more.
    fn grow(&self) -> Result<bool> {
        let have = self.grown();
        if have == self.count {
            return Ok(false);
        }
        let more = (u64::from(have) / 2).next_multiple_of(64).clamp(FIRST, 65536);
        let count = (u64::from(have) + more).min(u64::from(self.count));
        self.store.grow_side(count)?;
        self.store.object.grow(self.grown, self.offset, SLOT, count)?;
        for at in have as usize / 64..(count as usize).div_ceil(64) {
            let end = (count as usize - at * 64).min(64);
            let bits = u64::MAX >> (64 - end) & (u64::MAX << (have as usize).saturating_sub(at * 64).min(63));
            self.bits.set(at, bits);
        }
        Ok(true)
    }

    /// Looks at every slot's word: a bit may be in the stock of somebody who does not need it, or have died with him.
    #[cold]
    fn search(&self, state: State, row: u32) -> Option<(u32, Word)> {
        (0..self.grown()).find_map(|number| Some((number, self.claim(number, state, row)?)))
    }
}
