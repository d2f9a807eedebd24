//! Following publishers: attaching to rings that appear, letting go of those that are finished.

use super::Subscriber;
use crate::domain::Directory;
use crate::domain::layout::{Kind, ObjectId, ParticipantId};
use crate::domain::waiter::{Ringer, Sleeper};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{From, Reader, RingHead, RingMap, open_head};
use crate::mechanisms::topic::cursor::{MAX_RINGS, NOWHERE};
use crate::mechanisms::topic::segment::Segment;
use crate::mechanisms::topic::steps::{begin, standing};
use crate::mechanisms::topic::{Overflow, Start, lifetime};
use crate::sys::atomic::{Ordering, fence as full_fence};
use crate::sys::{fence, file};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// One publisher's ring.
pub(super) struct Source {
    pub(super) id: ObjectId,
    pub(super) topic: Arc<str>,
    pub(super) reader: Reader,
    /// Our place in the table of cursors.
    pub(super) cursor: usize,
    /// Rings the publisher that waits for us; `None` for one that is gone.
    pub(super) ringer: Option<Ringer>,
    pub(super) segments: HashMap<u32, Arc<Segment>, BuildHasherDefault<OwnNumber>>,
    /// Messages lost with their slab slots, to be reported with the next one.
    pub(super) lost: u64,
    /// Its participant died.
    pub(super) dead: bool,
}

impl Source {
    /// Its publisher said goodbye or died.
    pub(super) fn is_finished(&self) -> bool {
        self.dead || self.reader.map.head().closed.load(Ordering::Acquire) != 0
    }

    /// W1: the cursor moved; a publisher that sleeps for room is rung.
    #[inline(always)]
    pub(super) fn tell_publisher(&mut self, light: bool) {
        fence::light(light);
        if let Some(ringer) = &mut self.ringer {
            ringer.ring_if_armed(&self.reader.map.head().armed);
        }
    }
}

/// Segment numbers are small and consecutive: they are their own hash.
#[derive(Default)]
pub(super) struct OwnNumber(u64);

impl Hasher for OwnNumber {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0 << 8 | u64::from(*b));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }
}

impl Subscriber {
    /// Attaches to rings that appeared and lets go of those that are finished. A ring that is damaged, or one
    /// too many, is told of once, when all others have been attached.
    #[cold]
    pub(super) fn refresh(&mut self) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let (generation, fresh) = {
            let mut catalogue = inner.publishers();
            let (generation, entries) = catalogue
                .refresh(&inner.participants.board().publishers)
                .map_err(|e| e.of("subscriber", self.pattern.as_str()))?;
            self.passed_over.retain(|id| entries.iter().any(|listed| listed.id == *id));
            let known = |id| self.passed_over.contains(&id) || self.sources.iter().any(|s| s.id == id);
            let fresh: Vec<_> =
                entries.iter().filter(|l| !known(l.id) && self.pattern.matches(&l.name)).cloned().collect();
            (generation, fresh)
        };
        if self.crowded {
            // What ended meanwhile makes room.
            self.tidy()?;
            self.crowded = false;
        }
        let mut told = None;
        for listed in fresh {
            match self.attach(listed.id, &listed.name, &listed.path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) if e.is_damage() => {
                    self.passed_over.insert(listed.id);
                    told = Some(e);
                }
                Err(e) if self.crowded => {
                    told = Some(e);
                    break;
                }
                Err(e) => return Err(e.of("subscriber", self.pattern())),
            }
        }
        self.generation = Some(generation);
        self.tidy()?;
        told.map_or(Ok(()), |e| Err(e.of("subscriber", self.pattern())))
    }

    pub(super) fn attach(&mut self, id: ObjectId, topic: &str, path: &std::path::Path) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let map = Arc::new(RingMap::open(path, Kind::Publisher)?);
        let head = map.head();
        let owner = id.owner();
        let dead = !inner.is_alive(owner);
        let (finished, expected) = standing(head, dead, self.shared.id.0);
        let kept = head.retain.load(Ordering::Relaxed) != 0 && self.options.start == Start::Oldest;
        if finished && !expected && !kept {
            // What it still holds is owed to others.
            self.passed_over.insert(id);
            return Ok(());
        }
        let ringer = match Ringer::open(&inner.directory(Directory::Bells), id) {
            Ok(ringer) => Some(ringer),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let cursor = self.free_cursor()?;
        if owner != inner.me() && !dead {
            let death = inner.participants.death_of(owner, inner.me())?;
            self.waiter.watch(owner, death, inner.participants.is_registered(owner))?;
        }
        self.light &= !inner.participants.lacks_barrier(owner);
        let racy = Overflow::from_number(head.overflow.load(Ordering::Relaxed)) == Overflow::DropOldest;
        let from = match (expected, self.options.start) {
            (true, _) => From::Beginning,
            (false, Start::Oldest) => From::Oldest,
            (false, Start::Latest) => From::Latest,
        };
        let page = self.shared.head();
        let reader =
            begin(&page.cursors, &page.cursors_high, cursor, (id.0, &map), racy, self.shared.id.0, from);
        let (segments, topic) = (HashMap::default(), topic.into());
        let mut source = Source { id, topic, reader, cursor, ringer, segments, lost: 0, dead };
        source.tell_publisher(self.light);
        self.sources.push(source);
        Ok(())
    }

    pub(super) fn free_cursor(&mut self) -> Result<usize> {
        let free = self.shared.head().cursors.iter().position(|c| c.ring.load(Ordering::Relaxed) == 0);
        self.crowded = free.is_none();
        free.ok_or_else(|| {
            let text = format!(
                "subscriber '{}' follows {MAX_RINGS} publishers, the most one can; others wait until some of these end; use narrower patterns",
                self.pattern()
            );
            Error::new(ErrorKind::LimitReached, text)
        })
    }

    /// Marks publishers whose participant died since the last look.
    pub(super) fn note_deaths(&mut self) {
        let inner = self.domain.inner();
        let mut verdicts: HashMap<ParticipantId, bool> = HashMap::new();
        for source in self.sources.iter_mut().filter(|s| !s.dead) {
            let owner = source.id.owner();
            if !*verdicts.entry(owner).or_insert_with(|| inner.is_alive(owner)) {
                source.dead = true;
                self.waiter.unwatch(owner);
            }
        }
    }

    /// Lets go of rings that will never say anything again, and removes them if nobody else is owed.
    pub(super) fn let_go_of_finished(&mut self) {
        let mut i = 0;
        self.finishing = false;
        while i < self.sources.len() {
            let source = &self.sources[i];
            let finished = source.is_finished();
            if !finished || !source.reader.drained() {
                self.finishing |= finished;
                i += 1;
                continue;
            }
            let source = self.sources.remove(i);
            self.passed_over.insert(source.id);
            // What was lost at its very end is told by no further message.
            self.missed = self.missed.saturating_add(source.lost);
            let cursor = &self.shared.head().cursors[source.cursor];
            cursor.position.store(source.reader.position(), Ordering::Release);
            // Of two that finish at the same time at least one sees that nobody is owed any more.
            full_fence(Ordering::SeqCst);
            lifetime::collect_ring(&self.domain, source.id);
            self.read_out.push((source.id, source.cursor));
            let sources = &self.sources;
            self.waiter.watch_only(|peer| sources.iter().any(|source| source.id.owner() == peer));
        }
        self.release_cursors();
    }

    /// Frees the cursors of rings we are done with, once these are gone or kept for another reason.
    pub(super) fn release_cursors(&mut self) {
        let (head, publishers) = (self.shared.head(), self.domain.inner().directory(Directory::Publishers));
        self.read_out.retain(|(ring, index)| {
            let path = publishers.join(ring.to_string());
            // What cannot be looked at now may still be there.
            let stays = match open_head(&path, Kind::Publisher) {
                Ok(map) => map.at::<RingHead>(0).retain.load(Ordering::Relaxed) == 0,
                Err(_) => file::exists(&path),
            };
            if !stays {
                head.cursors[*index].position.store(NOWHERE, Ordering::Release);
                head.cursors[*index].ring.store(0, Ordering::Release);
                if self.crowded {
                    // There is room for one that was turned away.
                    self.generation = None;
                }
            }
            stays
        });
    }
}
