//! What has come from one address and was not received yet.

use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::sleeper::Sleeper;
use crate::sys::clock::coarse_millis;
use crate::sys::packet::{Name, Who};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Bytes kept for a channel that does not read, and for one that nobody has accepted; a larger message is kept alone.
const ACCEPTED: usize = 256 << 10;
const FRESH: usize = 64 << 10;

/// A message takes so many bytes more than it has.
const EACH: usize = 64;

/// Descriptors kept are bounded, too: they are few for a whole process.
const DESCRIPTORS: usize = 256;

pub enum Parcel {
    Whole {
        data: Vec<u8>,
        descriptors: Vec<OwnedFd>,
    },
    /// One that was too large, with its length.
    TooLarge(usize),
}

impl Parcel {
    fn size(&self) -> (usize, usize) {
        match self {
            Parcel::Whole { data, descriptors } => (EACH + data.len(), descriptors.len()),
            Parcel::TooLarge(_) => (EACH, 0),
        }
    }
}

struct Kept {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    descriptors: usize,
    most: usize,
}

pub struct Mailbox {
    /// Whose it is.
    pub name: Option<Name>,
    /// Who has sent the first message, as far as the kernel tells.
    pub who: Option<Who>,
    pub sleeper: Sleeper,
    kept: Mutex<Kept>,
    /// When something came or went last, in milliseconds.
    noted: AtomicU64,
    /// Its place was given to another.
    out: AtomicBool,
}

impl Mailbox {
    pub fn new(name: Option<Name>, who: Option<Who>) -> Result<Mailbox> {
        let kept = Kept { parcels: VecDeque::new(), bytes: 0, descriptors: 0, most: FRESH };
        // Of those without a name each may be another.
        let who = who.filter(|_| name.is_some());
        let (kept, noted) = (Mutex::new(kept), AtomicU64::new(coarse_millis()));
        Ok(Mailbox { name, who, sleeper: Sleeper::new()?, kept, noted, out: AtomicBool::new(false) })
    }

    /// Something came or went.
    pub fn note(&self) {
        self.noted.store(coarse_millis(), Ordering::Relaxed);
    }

    pub fn silence(&self) -> Duration {
        Duration::from_millis(coarse_millis().saturating_sub(self.noted.load(Ordering::Relaxed)))
    }

    /// It has lost its place; whoever has its channel is told after what has come.
    pub fn put_out(&self) {
        self.out.store(true, Ordering::Release);
        self.sleeper.wake();
    }

    pub fn is_out(&self) -> bool {
        self.out.load(Ordering::Acquire)
    }

    /// Somebody will read from now on, and is silent from now on at most.
    pub fn accept(&self) {
        self.note();
        lock(&self.kept).most = ACCEPTED;
    }

    pub fn is_accepted(&self) -> bool {
        lock(&self.kept).most == ACCEPTED
    }

    /// Keeps a message, or drops it.
    pub fn put(&self, parcel: Parcel) {
        self.note();
        let (bytes, descriptors) = parcel.size();
        let mut kept = lock(&self.kept);
        let fits = kept.bytes + bytes <= kept.most && kept.descriptors + descriptors <= DESCRIPTORS;
        if !fits && !kept.parcels.is_empty() {
            return;
        }
        kept.bytes += bytes;
        kept.descriptors += descriptors;
        kept.parcels.push_back(parcel);
        drop(kept);
        self.sleeper.wake();
    }

    pub fn take(&self) -> Option<Parcel> {
        let mut kept = lock(&self.kept);
        let parcel = kept.parcels.pop_front()?;
        let (bytes, descriptors) = parcel.size();
        kept.bytes -= bytes;
        kept.descriptors -= descriptors;
        Some(parcel)
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.kept).parcels.is_empty()
    }
}

#[cold]
pub fn no_name() -> Error {
    let text = "who sent has a socket without a name and cannot be answered; bind it to one first";
    Error::new(ErrorKind::Unsupported, text)
}
