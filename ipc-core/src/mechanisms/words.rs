//! Copying bytes into and out of shared memory by atomic words, so that whoever races gets garbage it will drop, and no
//! undefined behaviour.

use super::record::GRAIN;
use crate::domain::layout::LINE;
use crate::sys::atomic::{AtomicU64, Ordering, store_pair};

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Memory for message bytes, aligned like the messages themselves.
#[derive(Default)]
pub struct Scratch(Vec<Line>);

impl Scratch {
    /// Memory for `bytes`, for as long as `room` is not called.
    pub fn of(bytes: usize) -> Scratch {
        Scratch(Vec::with_capacity(bytes.div_ceil(LINE)))
    }

    pub fn start(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }

    /// Room for `bytes` rounded up to 8; what it held before is lost. Memory far larger than needed
    /// is given back, so that one huge message is not paid for for ever.
    pub fn room(&mut self, bytes: usize) -> *mut u8 {
        const GENEROUS: usize = 4 << 20;
        let lines = bytes.div_ceil(LINE) + 1;
        if self.0.capacity() < lines || (self.0.capacity() * LINE > GENEROUS && lines < self.0.capacity() / 4)
        {
            self.0 = Vec::with_capacity(lines);
        }
        self.0.as_mut_ptr().cast()
    }

    /// What was written into the room.
    ///
    /// # Safety
    /// The first `offset + length` bytes were written since the last call of `room` for at least as many.
    pub unsafe fn bytes(&self, offset: usize, length: usize) -> &[u8] {
        // SAFETY: by the caller; the vector's capacity covers it.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(offset), length) }
    }
}

/// Stores bytes by grains. They never straddle a line as the wider stores of `memcpy` would, which halve the rate at which
/// lines get to another core; by 8 bytes it would be as many stores again, of which a core can have a few dozen under way.
/// A reader that copies at the same time gets garbage it will drop, not undefined behaviour.
///
/// # Safety
/// `to` is aligned to a grain and writable for the length rounded up to a grain.
#[inline(always)]
pub unsafe fn store_grains(to: *mut u8, from: &[u8]) {
    let (grains, tail) = from.as_chunks::<GRAIN>();
    // SAFETY: as many grains as the length has; `to` by the caller.
    unsafe {
        for (i, grain) in grains.iter().enumerate() {
            store_pair(to.add(i * GRAIN).cast(), u128::from_le_bytes(*grain));
        }
        if !tail.is_empty() {
            store_pair(to.add(grains.len() * GRAIN).cast(), last_grain(from, tail));
        }
    }
}

/// The tail, the last bytes of `from`, as a grain that begins with it. By reads that overlap: a call would cost stores.
#[inline(always)]
fn last_grain(from: &[u8], tail: &[u8]) -> u128 {
    match tail.split_first_chunk::<8>() {
        Some((first, rest)) if !rest.is_empty() => {
            pair(u64::from_le_bytes(*first), last_word(from, rest.len()))
        }
        _ => pair(last_word(from, tail.len()), 0),
    }
}

/// The last `count` bytes, one to eight of them, as a word that begins with them.
#[inline(always)]
fn last_word(from: &[u8], count: usize) -> u64 {
    if let Some(last) = from.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (64 - 8 * count);
    }
    from.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Two words as they lie in memory, the first at the lower address.
#[inline(always)]
pub fn pair(first: u64, second: u64) -> u128 {
    u128::from(second) << 64 | u128::from(first)
}

/// Loads bytes by relaxed 8-byte atomics; see [`store_grains`].
///
/// # Safety
/// Both aligned to 8; `from` readable and `to` writable for `bytes` rounded up to 8.
#[inline(always)]
pub unsafe fn load_words(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: by the caller.
    unsafe {
        let (source, target) = (from.cast::<AtomicU64>(), to.cast::<u64>());
        for i in 0..bytes.div_ceil(8) {
            target.add(i).write((*source.add(i)).load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_stored_whole_and_end_in_zeros() {
        let from: Vec<u8> = (1..=255).collect();
        for length in 0..from.len() {
            let mut grains = [u128::MAX; 17];
            let to = grains.as_mut_ptr().cast::<u8>();
            // SAFETY: aligned to a grain, and longer than any length.
            unsafe { store_grains(to, &from[..length]) };
            let stored: Vec<u8> = grains.iter().flat_map(|grain| grain.to_le_bytes()).collect();
            let end = length.next_multiple_of(GRAIN);
            assert_eq!(&stored[..length], &from[..length]);
            assert!(stored[length..end].iter().all(|byte| *byte == 0), "after {length} bytes");
            assert!(stored[end..].iter().all(|byte| *byte == 255), "{length} bytes reach too far");
        }
    }
}
