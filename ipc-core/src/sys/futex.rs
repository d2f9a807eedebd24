//! Sleeping on a word of shared memory, for waits that are short and need no descriptor.

use super::atomic::AtomicU64;
use nix::libc;
use std::time::Duration;

/// Sleeps until somebody calls [`wake_all`], or for `limit`, unless the lower half of the word is no longer that of `seen`.
pub fn wait(word: &AtomicU64, seen: u64, limit: Duration) {
    let timeout = libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(limit.subsec_nanos() as i32),
    };
    // SAFETY: the word outlives the call; little-endian, so its lower half is where it begins.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            std::ptr::from_ref(word),
            libc::FUTEX_WAIT,
            seen as u32,
            &raw const timeout,
            std::ptr::null::<u32>(),
            0,
        )
    };
}

/// Wakes everybody who sleeps on the word.
pub fn wake_all(word: &AtomicU64) {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_futex, std::ptr::from_ref(word), libc::FUTEX_WAKE, i32::MAX, 0, 0, 0) };
}
