//! Knowing, without a system call, that this process is a fork of the one that made a handle.
//!
//! A page marked `MADV_WIPEONFORK` holds the process's token; the kernel hands a child the page
//! zeroed, also after a raw `clone` that runs no atfork handler. A handle remembers the token it
//! was made under.

use nix::libc;
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

static PAGE: OnceLock<usize> = OnceLock::new();
/// Tokens are never zero (a wiped page) and grow, so a child's differs from its parent's.
static LAST: AtomicU64 = AtomicU64::new(0);
/// Where the hot path finds the page; null until the first handle is made.
static WORD: std::sync::atomic::AtomicPtr<AtomicU64> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

/// Descriptors whose OFD locks a child must not keep alive. Zero is an empty place; the table
/// stores descriptor + 1. A fixed table, because an atfork handler must not allocate or lock.
static LOCKS: [AtomicI32; 1024] = [const { AtomicI32::new(0) }; 1024];

/// The token of this process now; differs from every token seen before a fork.
#[inline(always)]
pub fn token() -> u64 {
    let word = WORD.load(Ordering::Relaxed);
    if word.is_null() {
        return 0;
    }
    // SAFETY: WORD points at the page made by `make_page`, which is never unmapped.
    unsafe { (*word).load(Ordering::Relaxed) }
}

/// The token of this process, made if it has none yet (first use, or first use after a fork).
pub fn renew() -> u64 {
    let page = *PAGE.get_or_init(make_page);
    // SAFETY: as in `token`.
    let word = unsafe { &*(page as *const AtomicU64) };
    let current = word.load(Ordering::Acquire);
    if current != 0 {
        return current;
    }
    let fresh = LAST.fetch_add(1, Ordering::AcqRel) + 1;
    match word.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        Err(other) => other,
    }
}

fn make_page() -> usize {
    let length = super::mapping::page_size();
    // SAFETY: an anonymous private mapping of one page at an address of the kernel's choice.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert!(page != libc::MAP_FAILED, "axonic: no memory for one page");
    // SAFETY: the page just mapped; wiping it on fork is the whole point.
    let wiped = unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) };
    assert!(wiped == 0, "axonic: this kernel lacks MADV_WIPEONFORK (Linux 4.14 or later is needed)");
    // SAFETY: registers a handler that only closes descriptors, which is async-signal-safe.
    unsafe { libc::pthread_atfork(None, None, Some(close_locks_in_child)) };
    WORD.store(page.cast(), Ordering::Release);
    page as usize
}

/// A child shares its parent's open file descriptions, and with them the locks that say "alive":
/// its copies are closed at once, so that the parent's death frees them.
extern "C" fn close_locks_in_child() {
    for place in &LOCKS {
        let fd = place.swap(0, Ordering::Relaxed);
        if fd != 0 {
            // SAFETY: closing a descriptor this library opened; the handles that own it notice the
            // fork and never touch it again.
            unsafe { libc::close(fd - 1) };
        }
    }
}

/// A lock descriptor: closed in children at fork, and once by its owner.
pub struct LockFd {
    fd: std::mem::ManuallyDrop<std::os::fd::OwnedFd>,
    token: u64,
}

impl LockFd {
    pub fn new(fd: std::os::fd::OwnedFd) -> crate::error::Result<LockFd> {
        use std::os::fd::AsRawFd;
        let token = renew();
        let stored = fd.as_raw_fd() + 1;
        let free = |place: &&AtomicI32| {
            place.compare_exchange(0, stored, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        if LOCKS.iter().find(free).is_none() {
            return Err(crate::error::Error::new(
                crate::error::ErrorKind::LimitReached,
                format!("one process can hold {} opened domains and rings; close some", LOCKS.len()),
            ));
        }
        Ok(LockFd { fd: std::mem::ManuallyDrop::new(fd), token })
    }

    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.fd.as_fd()
    }

    fn forget_place(&self, raw: RawFd) {
        let _ = LOCKS
            .iter()
            .find(|place| place.compare_exchange(raw + 1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok());
    }
}

impl Drop for LockFd {
    fn drop(&mut self) {
        use std::os::fd::AsRawFd;
        if token() != self.token {
            // A fork: the atfork handler closed our copy (or, after a raw clone, it is better
            // leaked than closed twice); the number may belong to somebody else by now.
            return;
        }
        self.forget_place(self.fd.as_raw_fd());
        // SAFETY: dropped once, here, and not used afterwards.
        unsafe { std::mem::ManuallyDrop::drop(&mut self.fd) };
    }
}
