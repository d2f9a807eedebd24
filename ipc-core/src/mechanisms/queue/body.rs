//! The bytes of a message: in its slot, or, when they are many, in a chain of parts.
//!
//! A part says whose it is by the number of its owner's slot and the generation in which the owner was filled. When the
//! owner has moved on it is garbage, whatever its word says: whoever frees a message frees its parts last, and where he
//! dies before he comes to it they are found when parts run out.

use super::pool::{Pool, Stock};
use super::shape::Shape;
use super::steps::{Cell, State, Word};
use super::store::{INLINE, Life, PART, SLOT, Slot, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::words::{Scratch, load_words, store_grains};
use crate::sys::atomic::{AtomicU64, Ordering};

/// What a chain of parts is, as its owner's cell says: the bytes of a message, or what is left when it is done or dead.
pub const MESSAGE: u64 = 0;
pub const AFTER: u64 = 1;

/// The bytes of a message outside the queue: few in place, many on the heap.
#[derive(Default)]
pub struct Bytes {
    few: Few,
    many: Scratch,
}

#[repr(C, align(64))]
struct Few([u8; INLINE]);

impl Default for Few {
    fn default() -> Few {
        Few([0; INLINE])
    }
}

impl Bytes {
    /// What [`read`] has filled in for a message of this shape.
    pub fn of(&self, shape: Shape) -> &[u8] {
        if shape.bytes() <= INLINE {
            return &self.few.0[..shape.bytes()];
        }
        // SAFETY: `read` has written as many.
        unsafe { self.many.bytes(0, shape.bytes()) }
    }
}

/// Where the bytes of a part begin in its slot: after its word, its owner and the number of the next.
const HEADER: usize = SLOT - PART;

impl Slot {
    fn owner(&self) -> &AtomicU64 {
        &self.shape
    }

    fn next(&self) -> &AtomicU64 {
        &self.body
    }

    fn part_bytes(&self) -> *mut u8 {
        // SAFETY: within the slot.
        unsafe { std::ptr::from_ref(self).cast_mut().cast::<u8>().add(HEADER) }
    }

    fn inline_bytes(&self) -> *mut u8 {
        self.bytes.as_ptr().cast_mut().cast()
    }
}

/// Writes a message's bytes into slot `number`, which the caller fills since `generation`. `false`: there are not
/// parts enough now; what was taken of them is free again.
#[inline(always)]
pub fn write(
    store: &Store,
    stock: &mut Stock,
    row: u32,
    (number, generation): (u32, u64),
    data: &[u8],
    meta: &[u8],
    thorough: bool,
) -> Result<bool> {
    let slot = store.slot(number);
    slot.life.store(Life::new(generation).0, Ordering::Relaxed);
    if meta.is_empty() && data.len() <= INLINE {
        slot.body.store(0, Ordering::Relaxed);
        // SAFETY: the slot is ours, its bytes are aligned, and there is room for so many, a multiple of a grain.
        unsafe { store_grains(slot.inline_bytes(), data) };
        return Ok(true);
    }
    let (first, [data, meta]) = split_inline(data, meta);
    // SAFETY: as above.
    unsafe { store_grains(slot.inline_bytes(), &first) };
    let owner = Cell::new(MESSAGE, number, generation);
    write_chain(store, stock, row, owner, &slot.body, [data, meta], thorough)
}

/// The bytes that the slot itself holds, and what is left of both for the parts.
fn split_inline<'a>(data: &'a [u8], meta: &'a [u8]) -> ([u8; INLINE], [&'a [u8]; 2]) {
    let mut first = [0; INLINE];
    let (of_data, data) = data.split_at(data.len().min(INLINE));
    let (of_meta, meta) = meta.split_at(meta.len().min(INLINE - of_data.len()));
    first[..of_data.len()].copy_from_slice(of_data);
    first[of_data.len()..][..of_meta.len()].copy_from_slice(of_meta);
    (first, [data, meta])
}

/// The owner of what is left of the message in slot `number`, whose word this is: it is written by one who has the message,
/// and belongs to the generation its word has then. Held it is in the next one, done or dead in the one after that. Should
/// the message go to somebody else instead, the parts are garbage that instant.
fn owner_after(number: u32, word: Word) -> Option<Cell> {
    let since = match word.state()? {
        State::Leased | State::Timed => 0,
        State::Held | State::Writing => 1,
        State::Done | State::Dead => 2,
        State::Gone => 3,
        _ => return None,
    };
    Some(Cell::new(AFTER, number, word.generation().wrapping_sub(since)))
}

/// What is to be left of a message when it is done or dead, in parts that the message does not name yet.
#[derive(Default)]
pub struct After {
    shape: Shape,
    owner: Option<Cell>,
    first: u64,
}

impl After {
    /// Writes two slices for the message in a slot that the caller has as its word says; always in parts. `None`: there are not
    /// parts enough.
    pub fn write(
        store: &Store,
        row: u32,
        (number, word): (u32, Word),
        shape: Shape,
        bytes: [&[u8]; 2],
    ) -> Result<Option<After>> {
        let Some(owner) = owner_after(number, word).filter(|_| shape.bytes() > 0) else {
            return Ok(Some(After { shape, ..After::default() }));
        };
        let (mut stock, first) = (Stock::default(), AtomicU64::new(0));
        let written = write_chain(store, &mut stock, row, owner, &first, bytes, true);
        store.parts().give_stock(&mut stock);
        let after = After { shape, owner: Some(owner), first: first.load(Ordering::Relaxed) };
        written.map(|written| written.then_some(after))
    }

    /// The message in this slot, which the caller holds by now, names it.
    pub fn leave(&self, slot: &Slot) {
        slot.after_shape.store(self.shape.0, Ordering::Relaxed);
        slot.after.store(self.first, Ordering::Relaxed);
    }

    /// The message went to somebody else.
    pub fn free(&self, store: &Store) {
        self.owner.into_iter().for_each(|owner| free_chain(store, owner, self.first));
    }
}

/// Frees what is left of the message in slot `number`, which was as `word` says.
pub fn free_after(store: &Store, number: u32, word: Word, first: u64) {
    owner_after(number, word).into_iter().for_each(|owner| free_chain(store, owner, first));
}

/// Copies it out again.
pub fn read_after(store: &Store, (number, word): (u32, Word), shape: Shape, to: &mut Bytes) -> Result<()> {
    let mut many = Scratch::default();
    let owner = owner_after(number, word).unwrap_or(Cell(0));
    read_chain(store, owner, &store.slot(number).after, 0, shape.bytes(), &mut many)?;
    if shape.bytes() <= INLINE {
        // SAFETY: as many were just read.
        to.few.0[..shape.bytes()].copy_from_slice(unsafe { many.bytes(0, shape.bytes()) });
    } else {
        to.many = many;
    }
    Ok(())
}

/// Writes bytes, those of one slice and then those of another, into parts. `thorough`: when they run out, it looks for
/// some that lost their owners.
#[cold]
fn write_chain(
    store: &Store,
    stock: &mut Stock,
    row: u32,
    owner: Cell,
    first: &AtomicU64,
    mut rest: [&[u8]; 2],
    thorough: bool,
) -> Result<bool> {
    let parts = store.parts();
    first.store(0, Ordering::Relaxed);
    let wanted = (rest[0].len() + rest[1].len()).div_ceil(PART);
    let mut lacking = !parts.has(wanted, stock);
    if lacking {
        if !thorough {
            return Ok(false);
        }
        collect(parts);
    }
    let (mut link, mut open) = (first, None::<(&Slot, Word)>);
    // A part stays ours until the next one is known: from then on somebody who collects may free it, should its owner move on.
    let close = |open: &mut Option<(&Slot, Word)>| {
        if let Some((part, word)) = open.take() {
            part.word.store(word.then(State::Part, row).0, Ordering::Release);
        }
    };
    let written = loop {
        if rest[0].is_empty() && rest[1].is_empty() {
            break Ok(true);
        }
        // Where even garbage was looked for, it is told whether there is no memory or no room.
        let (number, word) = match parts.take(stock, State::Writing, row, lacking) {
            Ok(Some(taken)) => taken,
            Ok(None) | Err(_) if thorough && !std::mem::replace(&mut lacking, true) => {
                collect(parts);
                continue;
            }
            none => break none.map(|_| false),
        };
        let part = parts.slot(number);
        part.owner().store(owner.0, Ordering::Relaxed);
        part.next().store(0, Ordering::Relaxed);
        store_chunk(part, &mut rest);
        link.store(u64::from(number) + 1, Ordering::Release);
        close(&mut open);
        open = Some((part, word));
        link = part.next();
    };
    close(&mut open);
    if !matches!(written, Ok(true)) {
        free_chain(store, owner, first.swap(0, Ordering::Relaxed));
    }
    written
}

/// Frees the parts whose owners have moved on, and finds those that are free already, though somebody has their bits
/// who does not need them, or died with them.
#[cold]
pub fn collect(parts: Pool<'_>) {
    for number in 0..parts.grown() {
        let part = parts.slot(number);
        let word = Word::of(&part.word);
        let owner = Cell(part.owner().load(Ordering::Acquire));
        if word.is(State::Free) {
            parts.give(number);
        } else if word.is(State::Part) && !owns(parts.store, owner) {
            free_part(parts, number, word);
        }
    }
}

/// Whether the owner of a part is still the message it was.
fn owns(store: &Store, owner: Cell) -> bool {
    if owner.slot() >= store.slots().grown() {
        return false;
    }
    let slot = store.slot(owner.slot());
    // In this order: a slot that is filled anew says so by its word before it does by its life.
    let filled = Life(slot.life.load(Ordering::Acquire)).generation();
    let word = Word::of(&slot.word);
    if owner.lap() == AFTER {
        return owner_after(owner.slot(), word) == Some(owner);
    }
    let lives = !matches!(word.state(), None | Some(State::Free));
    lives && owner.means(Word::new(State::Free, 0, filled))
}

fn free_part(parts: Pool<'_>, number: u32, word: Word) {
    if word.change(&parts.slot(number).word, word.then(State::Free, 0)) {
        parts.give(number);
    }
}

/// Stores as much of two slices, the second after the first, as goes into a part that is ours; the rest is left.
fn store_chunk(part: &Slot, rest: &mut [&[u8]; 2]) {
    let [data, meta] = *rest;
    if data.len() >= PART || meta.is_empty() {
        let (chunk, after) = data.split_at(data.len().min(PART));
        // SAFETY: the part is ours, and no more is stored than its bytes, which are whole grains.
        unsafe { store_grains(part.part_bytes(), chunk) };
        rest[0] = after;
        return;
    }
    let mut buffer = [0; PART];
    let more = meta.len().min(PART - data.len());
    buffer[..data.len()].copy_from_slice(data);
    buffer[data.len()..][..more].copy_from_slice(&meta[..more]);
    // SAFETY: as above.
    unsafe { store_grains(part.part_bytes(), &buffer[..data.len() + more]) };
    *rest = [&[], &meta[more..]];
}

/// Frees a chain of parts of a message that is gone, or was not put.
pub fn free_chain(store: &Store, owner: Cell, first: u64) {
    let parts = store.parts();
    let mut link = first;
    while let Some(number) = part_at(parts, link) {
        let part = parts.slot(number);
        let (word, next) = (Word::of(&part.word), part.next().load(Ordering::Acquire));
        if !word.is(State::Part) || part.owner().load(Ordering::Acquire) != owner.0 {
            return;
        }
        // Somebody who collects may be faster with this one, and have passed the next already.
        free_part(parts, number, word);
        link = next;
    }
}

/// The number of a part that a link names; `None` at the end, and where there is none such.
fn part_at(parts: Pool<'_>, link: u64) -> Option<u32> {
    link.checked_sub(1).filter(|number| *number < u64::from(parts.grown())).map(|number| number as u32)
}

/// Copies a message's bytes out of slot `number`. What it finds may be changing if the slot is
/// not the caller's: then the caller looks at its word once more.
#[inline(always)]
pub fn read(store: &Store, number: u32, shape: Shape, to: &mut Bytes) -> Result<()> {
    if shape.bytes() <= INLINE {
        // SAFETY: room for as many, both aligned.
        unsafe { load_words(store.slot(number).inline_bytes(), to.few.0.as_mut_ptr(), shape.bytes()) };
        return Ok(());
    }
    read_parts(store, number, shape.bytes(), &mut to.many)
}

#[cold]
fn read_parts(store: &Store, number: u32, bytes: usize, to: &mut Scratch) -> Result<()> {
    let slot = store.slot(number);
    let owner = Cell::new(MESSAGE, number, Life(slot.life.load(Ordering::Acquire)).generation());
    read_chain(store, owner, &slot.body, INLINE, bytes, to)?;
    // SAFETY: room for more than these, both aligned.
    unsafe { load_words(slot.inline_bytes(), to.start(), INLINE) };
    Ok(())
}

/// Copies a chain of parts to where `bytes` are wanted, but for those before `begin`.
fn read_chain(
    store: &Store,
    owner: Cell,
    first: &AtomicU64,
    begin: usize,
    bytes: usize,
    to: &mut Scratch,
) -> Result<()> {
    let parts = store.parts();
    let broken = || {
        let text = format!(
            "queue '{}': a message of {bytes} bytes has lost some of them; its memory was damaged",
            store.object.name
        );
        Err(Error::new(ErrorKind::Corrupt, text))
    };
    // Before there is memory for it: a length that cannot be must not cost any.
    if (bytes - begin).div_ceil(PART) > parts.grown() as usize {
        return broken();
    }
    let room = to.room(bytes.next_multiple_of(8));
    let (mut link, mut done) = (first.load(Ordering::Acquire), begin);
    while done < bytes {
        let Some(part) = part_at(parts, link).map(|number| parts.slot(number)) else { return broken() };
        if !Word::of(&part.word).is(State::Part) || part.owner().load(Ordering::Acquire) != owner.0 {
            return broken();
        }
        let count = (bytes - done).min(PART);
        // SAFETY: `room` has so many; parts hold multiples of 8 bytes.
        unsafe { load_words(part.part_bytes(), room.add(done), count) };
        (link, done) = (part.next().load(Ordering::Acquire), done + count);
    }
    Ok(())
}
