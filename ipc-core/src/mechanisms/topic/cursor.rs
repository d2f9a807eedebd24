//! A subscriber's shared page: written by it alone, mapped read-only by publishers.
//!
//! It says what the subscriber wants (pattern), how far it has read each ring (cursors), which slab
//! slots it looks at (pins) and whether it sleeps (armed).

use super::lifetime;
pub use super::steps::Cursor;
use super::steps::announce;
use crate::domain::layout::{Header, Kind, LINE, ObjectId, SharedName};
use crate::domain::waiter::Arming;
use crate::domain::{Attached, Directory, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::name::Pattern;
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::descriptor::{ring_at, with_spare};
use crate::sys::file;
use crate::sys::mapping::{Head, Mapping, Shared, round_to_pages};
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use tracing::debug;

/// Rings one subscriber can follow at a time.
pub const MAX_RINGS: usize = 1024;
/// Samples one subscriber can have borrowed at a time.
pub const MAX_BORROWED: usize = 1024;
/// Places to announce slots in: one beyond those for borrowing is for a payload while it is copied,
/// so that receiving copies never fails for want of a place. (A whole line, to end on one.)
pub const PIN_PLACES: usize = MAX_BORROWED + LINE / size_of::<u64>();
/// A position that holds nobody up.
pub const NOWHERE: u64 = u64::MAX;

/// The subscriber's file.
#[repr(C)]
pub struct SubscriberHead {
    pub header: Header,
    pub pattern: SharedName,
    pub max_borrowed: AtomicU64,
    _pad0: [AtomicU64; 29],
    /// The subscriber's waiter: odd while it sleeps or watches its descriptor (W1).
    pub armed: AtomicU64,
    _pad1: [AtomicU64; 15],
    /// 1 once closed; its pins may still count.
    pub closed: AtomicU64,
    /// Places of `cursors` in use or used before; no ring beyond.
    pub cursors_high: AtomicU64,
    /// The same for `pins`.
    pub pins_high: AtomicU64,
    /// The generation of publishers as of which it has a cursor of every ring it reads, or had one (O1).
    pub seen: AtomicU64,
    _pad2: [AtomicU64; 12],
    // For inspection only.
    pub received: AtomicU64,
    pub missed: AtomicU64,
    pub bytes: AtomicU64,
    _pad3: [AtomicU64; 13],
    pub cursors: [Cursor; MAX_RINGS],
    /// A slab slot being read: `cursor index + 1 (16) | segment (24) | slot (24)`; zero: free (H1).
    pub pins: [AtomicU64; PIN_PLACES],
}

// SAFETY: atomics only.
unsafe impl Shared for SubscriberHead {}

const _: () = assert!(offset_of!(SubscriberHead, armed) == 512 && offset_of!(SubscriberHead, closed) == 640);
const _: () =
    assert!(offset_of!(SubscriberHead, cursors) == 896 && offset_of!(SubscriberHead, cursors) % LINE == 0);

/// Bytes of the file.
pub fn file_size() -> usize {
    round_to_pages(size_of::<SubscriberHead>())
}

/// The word that announces a slot (H1).
pub fn pin_word(cursor: usize, segment: u32, slot: u32) -> u64 {
    (cursor as u64 + 1) << 48 | u64::from(segment & 0xff_ffff) << 24 | u64::from(slot & 0xff_ffff)
}

/// The slots of the ring at cursor `index` that are announced, as segment and slot in one number.
pub fn pins_of(head: &SubscriberHead, index: usize) -> impl Iterator<Item = u64> {
    let pins = head.pins.iter().map(|pin| pin.load(Ordering::Relaxed));
    pins.filter(move |pin| pin >> 48 == index as u64 + 1).map(|pin| pin & 0xffff_ffff_ffff)
}

/// The subscriber's own hold on its page, shared with the samples borrowed through it.
pub struct SubscriberShared {
    pub id: ObjectId,
    domain: Domain,
    head: Head<SubscriberHead>,
    path: PathBuf,
    bell: PathBuf,
    /// How many samples may be borrowed.
    most: usize,
    /// The place last taken, which is the likeliest to be free again.
    last: AtomicUsize,
    /// No sample may be borrowed any more; once none is, the page goes.
    gone: AtomicBool,
}

impl SubscriberShared {
    /// Makes the page and gives it its name; from now on publishers see it.
    pub fn create(
        domain: &Domain,
        id: ObjectId,
        bell: &Path,
        pattern: &str,
        max_borrowed: usize,
    ) -> Result<SubscriberShared> {
        let inner = domain.inner();
        let directory = inner.directory(Directory::Subscribers);
        let fd = inner.create_file(Directory::Subscribers, file_size())?;
        let map = Mapping::new(fd.as_fd(), file_size(), true)?;
        let head: Head<SubscriberHead> = Head::new(map);
        head.header.write(Kind::Subscriber, file_size(), inner.me(), id);
        head.pattern.write(pattern);
        head.max_borrowed.store(max_borrowed as u64, Ordering::Relaxed);
        let path = directory.join(id.to_string());
        file::link_or_error(fd.as_fd(), &path)?;
        Ok(SubscriberShared {
            id,
            domain: domain.clone(),
            head,
            path,
            bell: bell.into(),
            most: max_borrowed,
            last: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        })
    }

    #[inline(always)]
    pub fn head(&self) -> &SubscriberHead {
        &self.head
    }

    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    pub fn arming(&self) -> Arming<'_> {
        Arming { armed: &self.head().armed, count: Some(&self.domain.inner().participants.board().armings) }
    }

    /// Whether this is a copy in a forked child.
    pub fn forked(&self) -> bool {
        self.domain.forked()
    }

    /// How many samples are borrowed now.
    pub fn pinned(&self) -> usize {
        self.head().pins[..self.most].iter().filter(|pin| pin.load(Ordering::Relaxed) != 0).count()
    }

    /// Announces that a slot is being read, and fences (H1); the caller asks next whether the record still has it.
    /// Only the subscriber takes places, one thread at a time; whoever drops a sample gives its place back. A slot
    /// that is only copied has a place of its own, so that receiving never fails for want of one.
    pub fn pin(&self, word: u64, copying: bool) -> Result<u16> {
        let head = self.head();
        let is_free = |place: &usize| head.pins[*place].load(Ordering::Acquire) == 0;
        let place = if copying {
            self.most
        } else {
            let last =
                Some(self.last.load(Ordering::Relaxed)).filter(|place| *place < self.most && is_free(place));
            let Some(place) = last.or_else(|| (0..self.most).find(is_free)) else {
                return Err(self.all_borrowed());
            };
            self.last.store(place, Ordering::Relaxed);
            place
        };
        announce(&head.pins, &head.pins_high, place, word);
        if self.gone.load(Ordering::Relaxed) {
            self.unpin(place as u16);
            return Err(closed(&format!("subscriber '{}': its domain", head.pattern.read())));
        }
        Ok(place as u16)
    }

    #[cold]
    fn all_borrowed(&self) -> Error {
        let text = format!(
            "subscriber '{}' has {} samples borrowed, its max_borrowed: release some or raise max_borrowed (at most {MAX_BORROWED})",
            self.head().pattern.read(),
            self.most
        );
        Error::new(ErrorKind::LimitReached, text)
    }

    /// Takes the announcement back: the slot may be overwritten from now on.
    pub fn unpin(&self, place: u16) {
        self.head().pins[usize::from(place)].store(0, Ordering::Release);
    }

    /// Lets nobody pin any more; whether nothing is pinned. Pairs with the fence of `announce`: who pins now is
    /// seen here, or sees that it is too late.
    fn give_up(&self) -> bool {
        self.gone.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.head().pins.iter().all(|pin| pin.load(Ordering::Acquire) == 0)
    }

    /// Any publisher may be asleep waiting for us: for a cursor, or for the one that we, expected, never set.
    fn wake_publishers(&self, pattern: &Pattern) {
        // D1: a publisher that appears now either finds us closed or is found here.
        fence(Ordering::SeqCst);
        let bells = self.domain.inner().directory(Directory::Bells);
        let publishers = with_spare(|| lifetime::publishers_of(&self.domain, pattern)).unwrap_or_default();
        publishers.iter().for_each(|listed| ring_at(&bells.join(listed.id.to_string())));
    }

    fn unlink(&self) {
        file::unlink(&self.path);
        file::unlink(&self.bell);
        self.domain.inner().participants.board().subscribers.raise();
    }
}

impl Attached for SubscriberShared {
    /// Lets go of every ring and, once no sample is borrowed any more, of the page itself.
    fn detach(&self) -> bool {
        if self.forked() {
            return true;
        }
        let head = self.head();
        if head.closed.swap(1, Ordering::AcqRel) == 0 {
            let high = (head.cursors_high.load(Ordering::Relaxed) as usize).min(MAX_RINGS);
            head.cursors[..high].iter().for_each(|cursor| cursor.position.store(NOWHERE, Ordering::Release));
            ring_at(&self.bell);
            if let Ok(pattern) = Pattern::new(&head.pattern.read()) {
                self.wake_publishers(&pattern);
                lifetime::collect_finished(&self.domain, &pattern);
                debug!("subscriber '{}': closed {}", pattern.as_str(), self.id);
            }
        }
        // Another thread may be about to borrow: it pins before this, or learns that it is too late.
        let done = self.give_up();
        if done {
            self.unlink();
        }
        done
    }
}

impl Drop for SubscriberShared {
    fn drop(&mut self) {
        self.detach();
    }
}
