//! The topic's protocols over bare words, apart from files, so that the models in `tests/loom_*.rs`
//! run the very steps that the library runs.

use crate::error::Result;
use crate::mechanisms::record::{From, Reader, RingHead, RingMap, Writer};
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use std::sync::Arc;

/// How far one ring has been read. `ring == 0`: the place is free. The position is stored before the
/// ring when attaching, so that a publisher that sees the ring sees a true position.
#[repr(C)]
pub struct Cursor {
    pub ring: AtomicU64,
    pub position: AtomicU64,
}

/// Where a ring stands in a table of cursors of which `high` were ever used; `known` is where it stood last.
pub fn find_cursor(cursors: &[Cursor], high: &AtomicU64, known: Option<usize>, ring: u64) -> Option<usize> {
    let is_it = |cursor: &Cursor| cursor.ring.load(Ordering::Acquire) == ring;
    if let Some(index) = known
        && is_it(&cursors[index])
    {
        return Some(index);
    }
    let high = (high.load(Ordering::Acquire) as usize).min(cursors.len());
    cursors[..high].iter().position(is_it)
}

/// Whether the publisher wrote this subscriber down as one that was there before its first record.
/// The list is complete once there is a record, or once the publisher is gone.
fn is_expected(head: &RingHead, subscriber: u64) -> bool {
    let count = (head.expected_count.load(Ordering::Acquire) as usize).min(head.expected.len());
    head.expected[..count].iter().any(|e| e.load(Ordering::Relaxed) == subscriber)
}

/// Whether a ring's publisher is finished (`dead`, or said goodbye) and whether it expected this subscriber. In
/// this order, so that the list of one that is finished is complete (D1).
pub fn standing(head: &RingHead, dead: bool, subscriber: u64) -> (bool, bool) {
    let finished = dead || head.closed.load(Ordering::Acquire) != 0;
    (finished, is_expected(head, subscriber))
}

/// Whether a subscriber, by what its page says, has yet to read something of a ring that is finished; `is_at_end`
/// tells of a position whether nothing is left from there.
///
/// **O1** subscriber: cursors of all rings it finds as of a generation, then `seen` = that generation (release) —
/// asker: `seen` (acquire), then cursors. Where the ring was born by then, no cursor means that it was read out.
pub fn is_owed(
    (cursors, high, seen): (&[Cursor], &AtomicU64, &AtomicU64),
    (ring, head): (u64, &RingHead),
    subscriber: u64,
    is_at_end: impl FnOnce(u64) -> bool,
) -> bool {
    let came_round = seen.load(Ordering::Acquire) >= head.born.load(Ordering::Relaxed);
    match find_cursor(cursors, high, None, ring) {
        Some(index) => !is_at_end(cursors[index].position.load(Ordering::Acquire)),
        // It was here first; what it has not come round to it is owed from the first record on.
        None => !came_round && is_expected(head, subscriber),
    }
}

/// Makes a cursor visible and begins where the publisher will not overwrite unseen (A1). Who is
/// expected begins at the first record, anybody else at `start`.
pub fn begin(
    cursors: &[Cursor],
    high: &AtomicU64,
    index: usize,
    (ring, map): (u64, &Arc<RingMap>),
    racy: bool,
    subscriber: u64,
    start: From,
) -> Reader {
    if high.load(Ordering::Relaxed) <= index as u64 {
        high.store(index as u64 + 1, Ordering::Release);
    }
    let cursor = &cursors[index];
    let mut from = start;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let reader = Reader::new(map.clone(), racy, from);
        // D1: the publisher may have written us down after we looked, and published since. The place just
        // found tells: beyond the first record the list is complete.
        if from != From::Beginning && reader.position() > 0 && is_expected(map.head(), subscriber) {
            from = From::Beginning;
            continue;
        }
        cursor.position.store(reader.position(), Ordering::Release);
        cursor.ring.store(ring, Ordering::Release);
        // A ring that never overwrites the unread holds an expected subscriber's place from the start.
        if reader.attached() || racy || from == From::Beginning {
            return reader;
        }
        // Damaged: it gave up what was never written, and would be waited for in vain.
        if attempts > 1000
            && map.head().claim.load(Ordering::Acquire) > map.head().head.load(Ordering::Acquire)
        {
            return reader;
        }
    }
}

/// Claims room up to `wanted` that nobody has yet to read, `slowest` being how far everybody is; looks
/// `again` once the claim is out, since whoever attached meanwhile either saw it or is seen now (A1).
/// Whether everything claimed may be overwritten.
pub fn claim_unread(
    writer: &mut Writer,
    wanted: u64,
    slowest: u64,
    again: impl FnOnce() -> Result<u64>,
) -> Result<bool> {
    writer.claim_to(wanted, slowest);
    Ok(again()? >= writer.claim())
}

/// Announces in a place of `pins` that a slot is being read, and fences. The caller asks [`has_slot`] next.
///
/// **H1** reader: pin, full fence, withdrawn — publisher: withdrawn, full fence, pins. At least one
/// sees the other, so a slot is never overwritten under a reader that believes in it.
pub fn announce(pins: &[AtomicU64], high: &AtomicU64, place: usize, word: u64) {
    // Release: who sees this pin in place of an earlier one sees that one's reading over.
    pins[place].store(word, Ordering::Release);
    if high.load(Ordering::Relaxed) <= place as u64 {
        high.store(place as u64 + 1, Ordering::Relaxed);
    }
    fence(Ordering::SeqCst);
}

/// Whether record `seq` still has its slot in a segment (H1); after [`announce`], it then has it until the pin is
/// taken back.
pub fn has_slot(withdrawn: &AtomicU64, seq: u64) -> bool {
    seq >= withdrawn.load(Ordering::Acquire)
}

/// Withdraws slots from all records of a segment below the given number, for each of these segments, and fences
/// (H1). Those slots may be overwritten that nobody has announced.
pub fn withdraw<'a>(segments: impl IntoIterator<Item = (&'a AtomicU64, u64)>) {
    segments.into_iter().for_each(|(withdrawn, below)| withdrawn.store(below, Ordering::Relaxed));
    fence(Ordering::SeqCst);
}

/// Whether somebody announced a slot (H1).
pub fn is_announced(pins: &[AtomicU64], high: &AtomicU64, word: u64) -> bool {
    let high = (high.load(Ordering::Acquire) as usize).min(pins.len());
    pins[..high].iter().any(|pin| pin.load(Ordering::Acquire) == word)
}
