//! A subscriber's shared page: written by it alone, mapped read-only by publishers.
//!
//! It says what the subscriber wants (pattern), how far it has read each ring (cursors), which slab
//! slots it looks at (pins) and whether it sleeps (armed).

use super::lifetime;
pub use super::steps::Cursor;
use super::steps::announce;
use crate::domain::layout::{Header, Kind, LINE, ObjectId, SharedName};
use crate::domain::{Attached, Directory, Domain, closed, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::name::Pattern;
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::descriptor::{ring_at, with_spare};
use crate::sys::file;
use crate::sys::mapping::{Head, Mapping, Shared, round_to_pages};
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
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
    places: Mutex<Places>,
}

/// Places of `pins`.
struct Places {
    /// Free ones, the lowest last; its length tells how many are in use.
    free: Vec<u16>,
    /// The one beyond is in use.
    copying: bool,
    /// The page was given up when none was in use; from then on no pin on it counts.
    gone: bool,
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
        let free = (0..max_borrowed as u16).rev().collect();
        let places = Mutex::new(Places { free, copying: false, gone: false });
        Ok(SubscriberShared {
            id,
            domain: domain.clone(),
            head,
            path,
            bell: bell.into(),
            most: max_borrowed,
            places,
        })
    }

    #[inline(always)]
    pub fn head(&self) -> &SubscriberHead {
        &self.head
    }

    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether this is a copy in a forked child.
    pub fn forked(&self) -> bool {
        self.domain.forked()
    }

    /// How many samples are borrowed now.
    pub fn pinned(&self) -> usize {
        self.most.saturating_sub(lock(&self.places).free.len())
    }

    /// Announces that a slot is being read, and fences (H1). The caller checks the slot's stamp next. A slot that is only `copying` has a place of its own when all others are taken.
    pub fn pin(&self, word: u64, copying: bool) -> Result<u16> {
        let mut places = lock(&self.places);
        let head = self.head();
        if places.gone {
            return Err(closed(&format!("subscriber '{}': its domain", head.pattern.read())));
        }
        let beyond = copying.then_some(self.most as u16);
        let Some(place) = places.free.pop().or(beyond) else {
            return Err(Error::new(
                ErrorKind::LimitReached,
                format!(
                    "subscriber '{}' has {} samples borrowed, its max_borrowed: release some or raise max_borrowed (at most {MAX_BORROWED})",
                    head.pattern.read(),
                    self.most
                ),
            ));
        };
        places.copying |= usize::from(place) == self.most;
        announce(&head.pins, &head.pins_high, usize::from(place), word);
        Ok(place)
    }

    /// Takes the announcement back: the slot may be overwritten from now on.
    pub fn unpin(&self, place: u16) {
        self.head().pins[usize::from(place)].store(0, Ordering::Release);
        let mut places = lock(&self.places);
        if usize::from(place) < self.most {
            places.free.push(place);
        } else {
            places.copying = false;
        }
    }

    /// Whether nothing is pinned; then nothing can be pinned any more.
    fn give_up(&self) -> bool {
        let mut places = lock(&self.places);
        places.gone |= places.free.len() == self.most && !places.copying;
        places.gone
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
