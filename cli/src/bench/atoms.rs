//! The floors: what the machine does without Axonic.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::pair::{COPY_ROOM, Ours, Side, Theirs, Word};
use super::report::{Latencies, Report};
use crate::stop::Stop;

/// Said last, in place of a number.
const END: u64 = u64::MAX;
/// The low half of it, which is what a futex is asked for.
const END_32: u32 = u32::MAX;

/// How often a spinning side looks whether the other is still there.
const LOOK: u32 = 1 << 22;

/// Spins until a word is as wanted.
fn spin_until(side: &mut impl Side, word: Word, wanted: impl Fn(u64) -> bool) -> Result<u64, Stop> {
    let mut spins: u32 = 0;
    loop {
        let value = side.word(word).load(Ordering::Acquire);
        if wanted(value) {
            return Ok(value);
        }
        spin_loop();
        spins += 1;
        if spins.is_multiple_of(LOOK) {
            side.check()?;
        }
    }
}

/// Two cores passing a cache line back and forth: half the round trip.
pub(super) fn ping(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    let mut times = Latencies::default();
    let first = side.word(Word::Ping).load(Ordering::Relaxed);
    for i in first + 1.. {
        let started = Instant::now();
        side.word(Word::Ping).store(i, Ordering::Release);
        spin_until(side, Word::Pong, |value| value == i)?;
        let now = Instant::now();
        times.add((now - started) / 2);
        if side.is_over(now)? {
            break;
        }
    }
    side.word(Word::Ping).store(END, Ordering::Release);
    report.floor("atomics", "two atomics, one way", 8, times);
    Ok(())
}

pub(super) fn pong(side: &mut Theirs) -> Result<(), Stop> {
    let mut last = 0;
    loop {
        match spin_until(side, Word::Ping, |value| value != last)? {
            END => return Ok(()),
            value => last = value,
        }
        side.word(Word::Pong).store(last, Ordering::Release);
    }
}

/// The half of a word a futex works on.
fn half(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: the first four of its eight bytes, the low ones on every platform there is (little-endian);
    // nobody uses the word in another way during a case.
    unsafe { &*std::ptr::from_ref(word).cast::<AtomicU32>() }
}

fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    let second = libc::timespec { tv_sec: 1, tv_nsec: 0 };
    // SAFETY: word and timeout are valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, &raw const second, 0, 0) };
}

fn tell(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    futex(word, libc::FUTEX_WAKE, 1);
}

/// Sleeps until a word is no longer `last`.
fn sleep_until_not(side: &mut impl Side, word: Word, last: u32) -> Result<u32, Stop> {
    loop {
        let value = half(side.word(word)).load(Ordering::Acquire);
        if value != last {
            return Ok(value);
        }
        let started = Instant::now();
        futex(half(side.word(word)), libc::FUTEX_WAIT, last);
        if started.elapsed() > Duration::from_millis(500) {
            side.check()?;
        }
    }
}

/// A round trip of two that sleep on futexes.
pub(super) fn futex_ping(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    let mut times = Latencies::default();
    for i in 1..END_32 {
        let started = Instant::now();
        tell(half(side.word(Word::Written)), i);
        sleep_until_not(side, Word::Taken, i - 1)?;
        let now = Instant::now();
        times.add(now - started);
        if side.is_over(now)? {
            break;
        }
    }
    tell(half(side.word(Word::Written)), END_32);
    // The words are used again.
    sleep_until_not(side, Word::Written, END_32)?;
    report.floor("futexes", "two futexes, round trip", 4, times);
    Ok(())
}

pub(super) fn futex_pong(side: &mut Theirs) -> Result<(), Stop> {
    let mut last = 0;
    loop {
        last = match sleep_until_not(side, Word::Written, last)? {
            END_32 => break,
            value => value,
        };
        tell(half(side.word(Word::Taken)), last);
    }
    half(side.word(Word::Taken)).store(0, Ordering::Release);
    tell(half(side.word(Word::Written)), 0);
    Ok(())
}

pub(super) fn copy_small(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    copy::<64>(side, report, "copies_64")
}

pub(super) fn copy_large(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    copy::<{ 1 << 20 }>(side, report, "copies_1m")
}

pub(super) fn take_small(side: &mut Theirs) -> Result<(), Stop> {
    take::<64>(side)
}

pub(super) fn take_large(side: &mut Theirs) -> Result<(), Stop> {
    take::<{ 1 << 20 }>(side)
}

/// Blocks in the room between the two.
const fn slots(size: usize) -> u64 {
    let fit = COPY_ROOM / size;
    (if fit > 64 { 64 } else { fit }) as u64
}

fn place(side: &impl Side, size: usize, i: u64) -> *mut u8 {
    // SAFETY: `slots` of this size fit the room.
    unsafe { side.copy_room().add((i % slots(size)) as usize * size) }
}

/// Blocks copied in on one core and out on the other, with a count of either side's.
fn copy<const SIZE: usize>(side: &mut Ours<'_>, report: &mut Report, case: &'static str) -> Result<(), Stop> {
    let from = vec![7u8; SIZE];
    let started = Instant::now();
    let mut i = 0;
    loop {
        spin_until(side, Word::Taken, |taken| taken + slots(SIZE) > i)?;
        // SAFETY: one block of the room, read already.
        unsafe {
            std::ptr::copy_nonoverlapping(std::hint::black_box(&from).as_ptr(), place(side, SIZE, i), SIZE)
        };
        i += 1;
        side.word(Word::Written).store(i, Ordering::Release);
        if (SIZE > 4096 || i.is_multiple_of(256)) && side.is_over(Instant::now())? {
            break;
        }
    }
    spin_until(side, Word::Taken, |taken| taken == i)?;
    let took = started.elapsed();
    side.word(Word::Written).store(END, Ordering::Release);
    spin_until(side, Word::Written, |value| value == 0)?;
    report.floor_rate(case, "memcpy through a buffer", SIZE, i, took);
    Ok(())
}

fn take<const SIZE: usize>(side: &mut Theirs) -> Result<(), Stop> {
    let mut to = vec![0u8; SIZE];
    let mut i = 0;
    loop {
        let written = spin_until(side, Word::Written, |written| written > i)?;
        if written == END {
            break;
        }
        // SAFETY: one block of the room, not written again before `Taken` moves on.
        unsafe { std::ptr::copy_nonoverlapping(place(side, SIZE, i), to.as_mut_ptr(), SIZE) };
        std::hint::black_box(&to);
        i += 1;
        side.word(Word::Taken).store(i, Ordering::Release);
    }
    side.word(Word::Taken).store(0, Ordering::Release);
    side.word(Word::Written).store(0, Ordering::Release);
    Ok(())
}
