//! Putting the same message only once: the ids of the last puts, and for how long they count.
//!
//! They are a ring of entries, written under a lock that names its owner's row. An id is entered before its message is
//! put, so that a producer that dies in between and is started again finds it; who sets right what the dead left takes
//! the id back with the slot that was never put. Every producer knows the entries by a map of its own.

use super::handle::Handle;
use super::steps::Word;
use super::store::{DEDUP, DedupEntry};
use crate::domain::layout::ObjectId;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::monotonic_nanos;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many ids of messages are remembered, and for how long: an id counts until so many others came, or the time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// Ids, 1 to 1,048,576.
    pub count: usize,
    /// For so long.
    pub within: Duration,
}

impl Default for Dedup {
    fn default() -> Dedup {
        Dedup { count: 4096, within: Duration::from_secs(300) }
    }
}

/// An id as the entries have it: 128 bits of FNV-1a.
pub type Key = u128;

/// The key of an id.
pub fn key(id: &str) -> Key {
    const PRIME: u128 = (1 << 88) + 0x13b;
    id.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    })
}

/// What one producer knows of the entries.
#[derive(Default)]
pub struct Known {
    /// Entries read so far, of all there ever were.
    read: u64,
    numbers: HashMap<Key, u64>,
}

/// How long one waits for the lock before one looks after other things.
const PATIENCE: Duration = Duration::from_millis(50);

/// The lock, as long as this lives.
pub struct Dedupping<'a>(&'a Handle);

impl<'a> Dedupping<'a> {
    /// Takes the lock. The id of a handle: that one is alive, and has it for long; it is not waited for again if it was
    /// `before`.
    pub fn begin(
        handle: &'a Handle,
        before: Option<ObjectId>,
    ) -> Result<std::result::Result<Dedupping<'a>, ObjectId>> {
        handle.store.allocate_dedup()?;
        let (lock, mine) = (&handle.store.head().dedup_lock, handle.id.0);
        let begun = Instant::now();
        loop {
            let Err(owner) = lock.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) else {
                return Ok(Ok(Dedupping(handle)));
            };
            let (known, waited) = (before == Some(ObjectId(owner)), begun.elapsed());
            if (known || waited > PATIENCE / 10)
                && handle.is_dead(owner)
                && lock.compare_exchange(owner, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                let held = Dedupping(handle);
                // It died with it: what it was entering is taken back with its slot now, or was put.
                handle.recover();
                return Ok(Ok(held));
            }
            if known || waited > PATIENCE {
                return Ok(Err(ObjectId(owner)));
            }
            std::thread::yield_now();
        }
    }

    /// Whether an id is there already, and counts: its message was put.
    pub fn has(&self, known: &mut Known, key: Key) -> bool {
        let (store, head) = (&self.0.store, self.0.store.head());
        let (next, count) = (head.dedup_next.load(Ordering::Acquire), store.plan.dedup as u64);
        known.read = known.read.max(next.saturating_sub(count));
        while known.read < next {
            known.numbers.insert(store.dedup(known.read).key(), known.read);
            known.read += 1;
        }
        if known.numbers.len() as u64 > 2 * count {
            known.numbers.retain(|_, number| number.saturating_add(count) > next);
        }
        known.numbers.get(&key).map(|number| store.dedup(*number)).is_some_and(|entry| {
            let age = monotonic_nanos().saturating_sub(entry.stamp.load(Ordering::Relaxed));
            entry.place.load(Ordering::Acquire) != 0
                && entry.key() == key
                && age < head.dedup_within.load(Ordering::Relaxed)
        })
    }

    /// Enters an id for the message that is about to be put in slot `number`, whose word is `word`; `false`: it is there
    /// already, and counts.
    pub fn enter(&self, known: &mut Known, key: Key, number: u32, word: Word) -> bool {
        if self.has(known, key) {
            return false;
        }
        let (store, head) = (&self.0.store, self.0.store.head());
        let next = head.dedup_next.load(Ordering::Acquire);
        let entry = store.dedup(next);
        entry.place.store(0, Ordering::Release);
        entry.write(key, monotonic_nanos());
        entry.place.store(place(number, word), Ordering::Release);
        head.dedup_next.store(next.wrapping_add(1), Ordering::Release);
        true
    }
}

impl Drop for Dedupping<'_> {
    fn drop(&mut self) {
        self.0.store.head().dedup_lock.swap(0, Ordering::AcqRel);
    }
}

/// A slot that is filled, in one word that is not zero.
fn place(number: u32, word: Word) -> u64 {
    (word.generation() << 24 | u64::from(number)) | 1 << 63
}

impl Handle {
    /// A slot's message was never put: the id entered for it counts no more.
    pub fn forget_duplicate(&self, number: u32, word: Word) {
        if self.store.head().lanes_used.load(Ordering::Acquire) & DEDUP == 0 {
            return;
        }
        let ours = place(number, word);
        for entry in (0..self.store.plan.dedup as u64).map(|number| self.store.dedup(number)) {
            let _ = entry.place.compare_exchange(ours, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// The error of whoever would enter an id, too, which the handle `owner` keeps from it.
    #[cold]
    pub fn held_up(&self, kind: ErrorKind, owner: ObjectId) -> Error {
        let (inner, owner) = (self.domain().inner(), owner.owner());
        let listed = inner.participants.list(None).into_iter().find(|entry| entry.id == owner);
        let whose =
            listed.map(|entry| format!(" ('{}', process {})", entry.label, entry.pid)).unwrap_or_default();
        let text = format!(
            "queue '{}': nothing was put, since participant {owner}{whose} is just putting a message with a dedup id and does not go on, and one after another enters those; if it is stopped, let it go on (SIGCONT) or end it",
            self.name()
        );
        Error::new(kind, text)
    }
}

impl DedupEntry {
    fn key(&self) -> Key {
        u128::from(self.key_high.load(Ordering::Relaxed)) << 64
            | u128::from(self.key_low.load(Ordering::Relaxed))
    }

    fn write(&self, key: Key, stamp: u64) {
        self.key_low.store(key as u64, Ordering::Relaxed);
        self.key_high.store((key >> 64) as u64, Ordering::Relaxed);
        self.stamp.store(stamp, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Domain, DomainOptions};
    use crate::mechanisms::queue::{Put, QueueOptions};
    use crate::value::Payload;

    #[test]
    fn whoever_keeps_the_ids_is_named_and_not_called_no_room() {
        let place = tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap();
        let runtime_dir = Some(place.path().into());
        let domain = Domain::open_with(DomainOptions { runtime_dir, ..Default::default() }).unwrap();
        let slow = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
        let mut other = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
        let held = Dedupping::begin(slow.handle(), None).unwrap();
        assert!(held.is_ok());
        let put = Put { dedup_id: Some("a".into()), ..Put::default() };
        let tried = other.try_put(&Payload::raw(b"x"), &put).unwrap_err();
        let begun = Instant::now();
        let waited = other.put_with(&Payload::raw(b"x"), &put, Some(PATIENCE)).unwrap_err();
        assert!(begun.elapsed() < 10 * PATIENCE);
        assert_eq!((tried.kind(), waited.kind()), (ErrorKind::WouldBlock, ErrorKind::Timeout));
        for text in [tried.to_string(), waited.to_string()] {
            let process = format!("process {}", std::process::id());
            assert!(text.contains("'jobs'") && text.contains(&process) && text.contains("SIGCONT"), "{text}");
        }
        drop(held);
        assert!(!other.try_put(&Payload::raw(b"x"), &put).unwrap().is_duplicate());
    }
}
