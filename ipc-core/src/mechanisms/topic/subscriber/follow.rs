//! Following publishers: attaching to rings that appear, letting go of those that are finished.

use super::Subscriber;
use crate::domain::layout::{Kind, ObjectId, ParticipantId};
use crate::domain::waiter::{Ringer, Sleeper};
use crate::domain::{Directory, Domain};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{From, Reader, RingHead, RingMap, open_head};
use crate::mechanisms::topic::cursor::{MAX_RINGS, NOWHERE};
use crate::mechanisms::topic::message::{Origin, Theirs};
use crate::mechanisms::topic::segment::Segment;
use crate::mechanisms::topic::steps::{begin, standing};
use crate::mechanisms::topic::{Overflow, Start, lifetime};
use crate::name::Pattern;
use crate::sys::atomic::{Ordering, fence as full_fence};
use crate::sys::{fence, file};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;
use tracing::{debug, info, warn};

/// One publisher's ring.
pub(super) struct Source {
    pub(super) id: ObjectId,
    pub(super) origin: Arc<Origin>,
    pub(super) reader: Reader,
    /// Our place in the table of cursors.
    pub(super) cursor: usize,
    /// Rings the publisher that waits for us; `None` for one that is gone.
    pub(super) ringer: Option<Ringer>,
    pub(super) segments: HashMap<u32, Arc<Theirs>, BuildHasherDefault<OwnNumber>>,
    /// Messages lost with their slab slots, to be reported with the next one.
    pub(super) lost: u64,
    /// Its participant died.
    pub(super) dead: bool,
}

impl Source {
    pub(super) fn topic(&self) -> &str {
        &self.origin.topic
    }

    /// Its publisher said goodbye or died.
    pub(super) fn is_finished(&self) -> bool {
        self.dead || self.said_goodbye()
    }

    fn said_goodbye(&self) -> bool {
        self.reader.map.head().closed.load(Ordering::Acquire) != 0
    }

    /// A segment of its slab, mapped when it is first asked for. `None`: given up by its publisher after the record
    /// that names it was found.
    pub(super) fn segment(&mut self, domain: &Domain, number: u32) -> Result<Option<Arc<Theirs>>> {
        if !self.segments.contains_key(&number) {
            self.segments.retain(|_, theirs| !theirs.segment.is_retired());
            let directory = domain.inner().directory(Directory::Segments);
            match Segment::open(&directory, self.id, number) {
                Ok(segment) => {
                    let theirs = Arc::new(Theirs { segment, origin: self.origin.clone() });
                    self.segments.insert(number, theirs);
                }
                Err(e) if e.kind() == ErrorKind::NotFound && self.reader.racy() => return Ok(None),
                Err(e) => return Err(e.of("topic", self.topic())),
            }
        }
        Ok(self.segments.get(&number).cloned())
    }

    fn mourn(&self, pattern: &Pattern) {
        let (pattern, id, topic, owner) = (pattern.as_str(), self.id, self.topic(), self.id.owner());
        info!(
            "subscriber '{pattern}': publisher {id} of topic '{topic}' died (participant {owner}); what it had published is still read"
        );
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

/// When a ring was linked, by the generation of publishers, if it has said so yet.
fn born(path: &Path) -> Option<u64> {
    let head = open_head(path, Kind::Publisher).ok()?;
    Some(head.at::<RingHead>(0).born.load(Ordering::Acquire)).filter(|born| *born != 0)
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
            let mut fresh: Vec<_> =
                entries.iter().filter(|l| !known(l.id) && self.pattern.matches(&l.name)).cloned().collect();
            if self.sources.len() + fresh.len() > MAX_RINGS {
                // Not all may find a place: the oldest first, so that one word tells which we have come round to.
                fresh.sort_by_cached_key(|listed| born(&listed.path).unwrap_or(u64::MAX));
            }
            (generation, fresh)
        };
        let mut came_round = generation;
        if self.crowded {
            // What ended meanwhile makes room.
            self.tidy()?;
            self.crowded = false;
        }
        let mut told = None;
        for (i, listed) in fresh.iter().enumerate() {
            match self.attach(listed.id, &listed.name, &listed.path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) if e.is_damage() => {
                    self.passed_over.insert(listed.id);
                    told = Some(e);
                }
                Err(e) if self.crowded => {
                    let first = fresh[i..].iter().map(|listed| born(&listed.path).unwrap_or(0)).min();
                    came_round = generation.min(first.unwrap_or(0).saturating_sub(1));
                    told = Some(e);
                    break;
                }
                Err(e) => return Err(e.of("subscriber", self.pattern())),
            }
        }
        self.generation = Some(generation);
        // O1: every ring there is by then has its cursor, or is none of ours.
        self.shared.head().seen.fetch_max(came_round, Ordering::Release);
        self.tidy()?;
        told.map_or(Ok(()), |e| Err(e.of("subscriber", self.pattern())))
    }

    pub(super) fn attach(&mut self, id: ObjectId, topic: &str, path: &Path) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let map = match RingMap::open(path, Kind::Publisher) {
            Ok(map) => Arc::new(map),
            Err(e) if e.kind() == ErrorKind::NotFound => return self.note_remnant(id, path),
            Err(e) => return Err(e),
        };
        let head = map.head();
        let owner = id.owner();
        let dead = !inner.is_alive(owner);
        // Before we ask whether we are expected: where there was a record by then, that answer is final (D1).
        let written = head.seq.load(Ordering::Acquire);
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
        let waiting = (!racy).then(|| map.clone());
        let origin = Origin { shared: self.shared.clone(), topic: topic.into(), publisher: id, waiting };
        let (origin, segments) = (Arc::new(origin), HashMap::default());
        let mut source = Source { id, origin, reader, cursor, ringer, segments, lost: 0, dead };
        if racy && from == From::Oldest {
            match self.skip_gone(&mut source, written) {
                Err(e) if !e.is_damage() => {
                    self.release_cursor(cursor);
                    return Err(e);
                }
                // What is damaged is told of when it is taken.
                _ => {}
            }
        }
        source.tell_publisher(self.light);
        self.sources.push(source);
        debug!("subscriber '{}': follows publisher {id} of topic '{topic}'", self.pattern());
        if let Some(source) = self.sources.last().filter(|source| dead && !source.said_goodbye()) {
            source.mourn(&self.pattern);
        }
        Ok(())
    }

    /// A ring of which only the remnant is left was finished and dropped before we came round to it: if we were
    /// expected there, all of it was missed.
    fn note_remnant(&mut self, id: ObjectId, path: &Path) -> Result<()> {
        let map = open_head(path, Kind::Publisher)?;
        let head: &RingHead = map.at(0);
        self.passed_over.insert(id);
        if standing(head, true, self.shared.id.0).1 {
            let missed = head.seq.load(Ordering::Relaxed);
            self.note_missed(missed);
            self.done.push((id, head.born.load(Ordering::Relaxed)));
            let (pattern, topic) = (self.pattern(), head.name.read());
            warn!(
                "subscriber '{pattern}': missed all {missed} messages of publisher {id} of topic '{topic}', which ended and was dropped to make way for others"
            );
        }
        Ok(())
    }

    /// Counts messages that were missed, for itself and for onlookers.
    #[cold]
    pub(super) fn note_missed(&mut self, messages: u64) {
        self.missed = self.missed.saturating_add(messages);
        self.shared.head().missed.store(self.missed, Ordering::Relaxed);
    }

    /// A place in the table of cursors; rather one that no sample still borrowed goes by (`pin_word`).
    pub(super) fn free_cursor(&mut self) -> Result<usize> {
        let head = self.shared.head();
        let pinned: HashSet<u64> = head.pins.iter().map(|pin| pin.load(Ordering::Relaxed) >> 48).collect();
        let is_free = |index: &usize| head.cursors[*index].ring.load(Ordering::Relaxed) == 0;
        let unpinned = |index: &usize| is_free(index) && !pinned.contains(&(*index as u64 + 1));
        let free = (0..MAX_RINGS).find(unpinned).or_else(|| (0..MAX_RINGS).find(is_free));
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
                // One that said goodbye before is not mourned.
                if !source.said_goodbye() {
                    source.mourn(&self.pattern);
                }
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
            self.note_missed(source.lost);
            self.release_cursor(source.cursor);
            self.done.push((source.id, source.reader.map.head().born.load(Ordering::Relaxed)));
            let sources = &self.sources;
            self.waiter.watch_only(|peer| sources.iter().any(|source| source.id.owner() == peer));
            let (pattern, id, topic) = (self.pattern(), source.id, source.topic());
            match source.lost {
                0 => {
                    debug!("subscriber '{pattern}': has read all that publisher {id} of topic '{topic}' left")
                }
                lost => warn!(
                    "subscriber '{pattern}': missed the last {lost} messages of publisher {id} of topic '{topic}', which ended"
                ),
            }
        }
        self.collect_done();
    }

    /// Removes the rings that were read out, if nobody else is owed them. Those younger than our last full look
    /// around wait for the next: until then we seem to be owed them (O1).
    fn collect_done(&mut self) {
        let seen = self.shared.head().seen.load(Ordering::Relaxed);
        if self.done.iter().any(|(_, born)| *born <= seen) {
            // Of two that finish at the same time at least one sees that nobody is owed any more.
            full_fence(Ordering::SeqCst);
            let domain = &self.domain;
            self.done.retain(|(ring, born)| {
                let due = *born <= seen;
                if due {
                    lifetime::collect_ring(domain, *ring);
                }
                !due
            });
        }
        let publishers = self.domain.inner().directory(Directory::Publishers);
        let (gone, there): (Vec<_>, Vec<_>) = std::mem::take(&mut self.abandoned)
            .into_iter()
            .partition(|(ring, _)| !file::exists(&publishers.join(ring.to_string())));
        self.abandoned = there;
        gone.iter().for_each(|(_, cursor)| self.release_cursor(*cursor));
    }

    fn release_cursor(&mut self, index: usize) {
        let cursor = &self.shared.head().cursors[index];
        cursor.position.store(NOWHERE, Ordering::Release);
        cursor.ring.store(0, Ordering::Release);
        if self.crowded {
            // There is room for one that was turned away.
            self.generation = None;
        }
    }
}
