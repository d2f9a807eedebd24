//! Knowing, without a system call, that this process is a fork of the one that made a handle.
//!
//! A page marked `MADV_WIPEONFORK` holds the process's token; the kernel hands a child the page
//! zeroed, also after a raw `clone` that runs no atfork handler. A handle remembers the token it
//! was made under.

use crate::error::{Error, ErrorKind, Result};
use nix::libc;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static PAGE: OnceLock<usize> = OnceLock::new();
/// Tokens are never zero (a wiped page) and grow, so a child's differs from its parent's.
static LAST: AtomicU64 = AtomicU64::new(0);
/// Where the hot path finds the page; null until the first handle is made.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// A bit for each descriptor of which a child must not keep a copy. Parts of the table are made when they are needed and
/// stay, because an atfork handler must not allocate or lock.
static OWN: [AtomicPtr<Part>; PARTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; PARTS];

/// As many descriptors as Linux lets a process have, unless fs.nr_open was raised.
const PARTS: usize = (1 << 20) / (WORDS * 64);
const WORDS: usize = 64;
type Part = [AtomicU64; WORDS];

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
    unsafe { libc::pthread_atfork(None, None, Some(close_in_child)) };
    WORD.store(page.cast(), Ordering::Release);
    page as usize
}

/// A child shares its parent's open file descriptions: the locks that say "alive", and connections of which the kernel tells
/// the other end when their last copy is closed. Its copies are closed at once, so that the parent's death is all there is.
extern "C" fn close_in_child() {
    for (number, part) in OWN.iter().enumerate() {
        // SAFETY: null, or a part that was made by `place_of` and stays.
        let Some(part) = (unsafe { part.load(Ordering::Relaxed).as_ref() }) else { continue };
        for (word, bits) in part.iter().enumerate() {
            let mut bits = bits.swap(0, Ordering::Relaxed);
            while bits != 0 {
                let fd = (number * WORDS + word) * 64 + bits.trailing_zeros() as usize;
                // SAFETY: closing a descriptor this library owns, opened here or given to it; the handles that own it notice the
                // fork and never touch it again.
                unsafe { libc::close(fd as RawFd) };
                bits &= bits - 1;
            }
        }
    }
}

/// The word and the bit of a descriptor, in a part that is made if there is none; `None`: its number is too large.
fn place_of(fd: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let fd = fd as usize;
    let part = OWN.get(fd / (WORDS * 64))?;
    let mut there = part.load(Ordering::Acquire);
    if there.is_null() {
        let made = Box::into_raw(Box::new([const { AtomicU64::new(0) }; WORDS]));
        match part.compare_exchange(there, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => there = made,
            Err(other) => {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                there = other;
            }
        }
    }
    // SAFETY: a part stays once it was made.
    Some((unsafe { &(*there)[fd / 64 % WORDS] }, 1 << (fd % 64)))
}

/// A descriptor, or what has one: closed in children at fork, and once by its owner.
#[derive(Debug)]
pub struct Own<T: AsRawFd> {
    it: ManuallyDrop<T>,
    token: u64,
}

/// A descriptor that has a lock.
pub type LockFd = Own<OwnedFd>;

impl<T: AsRawFd> Own<T> {
    pub fn new(it: T) -> Result<Own<T>> {
        let token = renew();
        let Some((word, bit)) = place_of(it.as_raw_fd()) else {
            let text = format!(
                "descriptor {} is more than the {} that are kept from a forked child; close some",
                it.as_raw_fd(),
                PARTS * WORDS * 64
            );
            return Err(Error::new(ErrorKind::LimitReached, text));
        };
        word.fetch_or(bit, Ordering::AcqRel);
        Ok(Own { it: ManuallyDrop::new(it), token })
    }

    /// Whether it is this process's, and not carried over a fork.
    pub fn is_here(&self) -> bool {
        token() == self.token
    }
}

impl<T: AsRawFd + AsFd> Own<T> {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.it.as_fd()
    }
}

impl<T: AsRawFd> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.it
    }
}

impl<T: AsRawFd> Drop for Own<T> {
    fn drop(&mut self) {
        if !self.is_here() {
            // A fork: the atfork handler closed our copy (or, after a raw clone, it is better
            // leaked than closed twice); the number may belong to somebody else by now.
            return;
        }
        if let Some((word, bit)) = place_of(self.it.as_raw_fd()) {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
        // SAFETY: dropped once, here, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.it) };
    }
}

/// What a process has one of. A forked child begins with a new one: threads that it has not may have been changing its
/// parent's, whose copy stays as it is.
pub struct Single<T: 'static> {
    /// With the token of the process that it is of; null as long as there is none.
    there: AtomicPtr<(u64, T)>,
}

impl<T: Default + Send + Sync> Single<T> {
    #[allow(clippy::new_without_default)] // a default is not const, and this is for statics
    pub const fn new() -> Single<T> {
        Single { there: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// That of this process, made if it has none yet.
    pub fn get(&self) -> &'static T {
        let token = renew();
        loop {
            let there = self.there.load(Ordering::Acquire);
            // SAFETY: null, or made below, and what another process or thread may use is never freed.
            if let Some((of, it)) = unsafe { there.as_ref() }
                && *of == token
            {
                return it;
            }
            let made = Box::into_raw(Box::new((token, T::default())));
            if self.there.compare_exchange(there, made, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
            }
        }
    }
}
