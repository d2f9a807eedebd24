//! What the machine itself can do: cache lines, futexes, copies.

use crate::Effort;
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use nix::libc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// Two cores exchanging a cache line: half the round trip.
pub fn ping_pong(effort: &Effort, report: &mut Report) {
    let memory = shared(4096);
    let (ping, pong) = (word(memory, 0), word(memory, 4));
    let n = effort.exchanges as u64;
    let echo = || {
        for i in 1..=n {
            while ping.load(Ordering::Acquire) != i {
                std::hint::spin_loop();
            }
            pong.store(i, Ordering::Release);
        }
    };
    let measured = pair(echo, || {
        let exchange = |i| {
            let started = Instant::now();
            ping.store(i, Ordering::Release);
            while pong.load(Ordering::Acquire) != i {
                std::hint::spin_loop();
            }
            started.elapsed().as_nanos() as f64 / 2.0
        };
        (1..=n).map(exchange).collect()
    });
    report.latencies("floor_ping_pong", "atomics", 8, measured);
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
fn futex_round_trip(n: u32) -> Vec<f64> {
    let memory = shared(4096);
    // SAFETY: two words of the page just mapped.
    let (ping, pong) = unsafe { (&*memory.cast::<AtomicU32>(), &*memory.add(512).cast::<AtomicU32>()) };
    let tell = |word: &AtomicU32, i| {
        word.store(i, Ordering::Release);
        futex_call(word, libc::FUTEX_WAKE, 1);
    };
    let echo = || {
        for i in 1..=n {
            wait_for(ping, i);
            tell(pong, i);
        }
    };
    pair(echo, || {
        let exchange = |i| {
            let started = Instant::now();
            tell(ping, i);
            wait_for(pong, i);
            started.elapsed().as_nanos() as f64
        };
        (1..=n).map(exchange).collect()
    })
}

/// The same with both asleep between messages.
pub fn futex(effort: &Effort, report: &mut Report) {
    report.latencies("floor_futex", "raw-futex", 4, futex_round_trip((effort.exchanges / 10) as u32));
}

/// Bytes one core writes and the other reads, in blocks of `size` with a hand-shake of two counters.
pub fn copy(effort: &Effort, report: &mut Report) {
    for size in [64, 4096, 1 << 20] {
        let slots = ((4 << 20) / size).clamp(4, 64) as u64;
        let memory = shared(4096);
        let data = shared(size * slots as usize) as usize;
        let (written, read, start) = (word(memory, 0), word(memory, 4), word(memory, 8));
        let n = effort.messages_of(size) as u64;
        let place = |i: u64| (data + (i % slots) as usize * size) as *mut u8;
        let consume = || {
            let mut to = vec![0u8; size];
            meet(start, 2);
            for i in 0..n {
                wait_until(written, i + 1);
                // SAFETY: one slot of the shared memory, not written until `read` moves on.
                unsafe { std::ptr::copy_nonoverlapping(place(i), to.as_mut_ptr(), size) };
                std::hint::black_box(&to);
                read.store(i + 1, Ordering::Release);
            }
        };
        let seconds = pair(consume, || {
            let from = vec![7u8; size];
            meet(start, 2);
            let started = Instant::now();
            for i in 0..n {
                wait_until(read, (i + 1).saturating_sub(slots));
                // SAFETY: one slot, read already.
                unsafe {
                    std::ptr::copy_nonoverlapping(std::hint::black_box(&from).as_ptr(), place(i), size)
                };
                written.store(i + 1, Ordering::Release);
            }
            wait_until(read, n);
            started.elapsed().as_secs_f64()
        });
        report.rate("floor_copy", "memcpy", size, "bytes_per_s", (n as usize * size) as f64 / seconds);
    }
}

fn wait_until(word: &AtomicU64, value: u64) {
    while word.load(Ordering::Acquire) < value {
        std::hint::spin_loop();
    }
}
