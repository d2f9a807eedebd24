//! What the machine itself can do: cache lines, futexes, copies.

use crate::effort::Effort;
use crate::measure::{answers, exchanges, receive};
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use nix::libc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Two cores exchanging a cache line: half the round trip.
pub fn ping_pong(effort: &Effort, report: &mut Report) {
    let memory = shared(4096);
    let (ping, pong) = (word(memory, 0), word(memory, 4));
    let n = effort.spinning(8);
    let echo = || {
        let mut i = 0;
        answers(n, || {
            i += 1;
            wait_until(ping, i);
            pong.store(i, Ordering::Release);
        });
    };
    let whole = pair(echo, || {
        let mut i = 0;
        exchanges(n, || {
            i += 1;
            ping.store(i, Ordering::Release);
            wait_until(pong, i);
        })
    });
    report.latencies("floor_ping_pong", "atomics", 8, whole.into_iter().map(|t| t / 2.0).collect());
}

fn futex_call(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // SAFETY: the word is valid for the call; no timeout, no second word.
    unsafe {
        libc::syscall(libc::SYS_futex, word, operation, value, std::ptr::null::<libc::timespec>(), 0, 0)
    };
}

fn wait_for(word: &AtomicU32, value: u32) {
    loop {
        let now = word.load(Ordering::Acquire);
        if now == value {
            return;
        }
        futex_call(word, libc::FUTEX_WAIT, now);
    }
}

/// A round trip of two processes that sleep on futexes.
pub fn futex(effort: &Effort, report: &mut Report) {
    let memory = shared(4096);
    // SAFETY: two words of the page just mapped.
    let (ping, pong) = unsafe { (&*memory.cast::<AtomicU32>(), &*memory.add(512).cast::<AtomicU32>()) };
    let tell = |word: &AtomicU32, i| {
        word.store(i, Ordering::Release);
        futex_call(word, libc::FUTEX_WAKE, 1);
    };
    let n = effort.sleeping();
    let echo = || {
        let mut i = 0;
        answers(n, || {
            i += 1;
            wait_for(ping, i);
            tell(pong, i);
        });
    };
    let whole = pair(echo, || {
        let mut i = 0;
        exchanges(n, || {
            i += 1;
            tell(ping, i);
            wait_for(pong, i);
        })
    });
    report.latencies("floor_futex", "raw-futex", 4, whole);
}

/// Bytes one core writes and the other reads, in blocks of `size` with a hand-shake of two counters.
pub fn copy(effort: &Effort, report: &mut Report) {
    for size in [64, 4096, 65536, 1 << 20] {
        let slots = ((4 << 20) / size).clamp(4, 64) as u64;
        let memory = shared(4096);
        let data = shared(size * slots as usize) as usize;
        let (written, read, start) = (word(memory, 0), word(memory, 4), word(memory, 8));
        let stream = effort.stream(size);
        let place = |i: u64| (data + (i % slots) as usize * size) as *mut u8;
        let produce = || {
            let from = vec![7u8; size];
            meet(start, 2);
            for i in 0..stream.all() as u64 {
                wait_until(read, (i + 1).saturating_sub(slots));
                let bytes = std::hint::black_box(&from).as_ptr();
                // SAFETY: one slot, read already.
                unsafe { std::ptr::copy_nonoverlapping(bytes, place(i), size) };
                written.store(i + 1, Ordering::Release);
            }
        };
        let rate = pair(produce, || {
            let mut to = vec![0u8; size];
            let mut i = 0;
            meet(start, 2);
            receive(stream, || {
                wait_until(written, i + 1);
                // SAFETY: one slot of the shared memory, not written until `read` moves on.
                unsafe { std::ptr::copy_nonoverlapping(place(i), to.as_mut_ptr(), size) };
                std::hint::black_box(&to);
                i += 1;
                read.store(i, Ordering::Release);
            })
        });
        report.add("floor_copy", "memcpy", size, "rate", "bytes_per_s", [rate * size as f64; 3]);
    }
}

fn wait_until(word: &AtomicU64, value: u64) {
    while word.load(Ordering::Acquire) < value {
        std::hint::spin_loop();
    }
}
