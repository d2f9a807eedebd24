//! A publisher's view of its subscribers: their cursors, pins and bells.

use super::cursor::{NOWHERE, SubscriberHead, pin_word, pins_of};
use super::slab::Slot;
use super::steps::{find_cursor, is_announced};
use crate::domain::layout::{Kind, ObjectId, map_checked};
use crate::domain::steps::Seen;
use crate::domain::waiter::{Ringer, Waiter};
use crate::domain::{Directory, Domain, ParticipantId};
use crate::error::{ErrorKind, Result};
use crate::name::Pattern;
use crate::sys::atomic::Ordering;
use crate::sys::fence;
use crate::sys::file;
use crate::sys::mapping::Head;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::Arc;
use tracing::{debug, info};

struct Peer {
    id: ObjectId,
    head: Head<SubscriberHead>,
    ringer: Ringer,
    /// Where our ring stands in its cursors, once found.
    cursor: Option<usize>,
    /// It was there before our first record and has not attached yet: it owes a reading from 0.
    expected: bool,
}

impl Peer {
    /// The place of our ring in its table, looked up until it is there.
    fn find_cursor(&mut self, ring: ObjectId) -> Option<usize> {
        let found = find_cursor(&self.head.cursors, &self.head.cursors_high, self.cursor, ring.0);
        if found.is_some() {
            self.expected = false;
        }
        self.cursor = found;
        found
    }

    /// How far it has read; [`NOWHERE`] when it does not hold us up.
    fn position(&mut self, ring: ObjectId) -> u64 {
        if self.head.closed.load(Ordering::Acquire) != 0 {
            // Closed by another thread while it still read, it may have moved its cursor afterwards.
            return NOWHERE;
        }
        match self.find_cursor(ring) {
            Some(index) => self.head.cursors[index].position.load(Ordering::Acquire),
            None if self.expected => 0,
            None => NOWHERE,
        }
    }
}

pub struct Peers {
    domain: Domain,
    ring: ObjectId,
    topic: Arc<str>,
    list: Vec<Peer>,
    /// Subscribers whose pages cannot be believed.
    passed_over: Vec<ObjectId>,
    seen: Option<u64>,
    /// As of which count of armings everybody who slept was rung.
    pub heard: Seen,
    /// Our writes need no fence: this process registered for membarrier and every peer can issue one (W1).
    pub light: bool,
    registered: bool,
}

impl Peers {
    pub fn new(domain: &Domain, ring: ObjectId, topic: Arc<str>) -> Peers {
        let registered = domain.inner().participants.is_registered(domain.participant());
        Peers {
            domain: domain.clone(),
            ring,
            topic,
            list: Vec::new(),
            passed_over: Vec::new(),
            seen: None,
            heard: Seen::default(),
            light: registered,
            registered,
        }
    }

    /// Whether subscribers came or went since the last look: one load of a line that rarely changes (D1).
    #[inline(always)]
    pub fn changed(&self) -> bool {
        Some(self.domain.inner().participants.board().subscribers.now()) != self.seen
    }

    /// These peers as of now.
    pub fn refreshed(&mut self, watcher: Option<&mut Waiter>) -> Result<&mut Peers> {
        if self.changed() {
            self.refresh(watcher, false)?;
        }
        Ok(self)
    }

    /// Meets new subscribers and forgets those that left. Opens their bells here, so that a lack of
    /// descriptors is an error of this call and no message is written before everybody can be woken.
    /// A damaged subscriber is told of once, when everybody else has been met, and then left alone.
    pub fn refresh(&mut self, watcher: Option<&mut Waiter>, expected: bool) -> Result<()> {
        let domain = self.domain.clone();
        let inner = domain.inner();
        let mut catalogue = inner.subscribers();
        let (generation, entries) = catalogue.refresh(&inner.participants.board().subscribers)?;
        let stays = |peer: &Peer| entries.iter().any(|listed| listed.id == peer.id);
        let gone: Vec<Peer> = self.list.extract_if(.., |peer| !stays(peer)).collect();
        let before = self.list.len();
        self.passed_over.retain(|id| entries.iter().any(|listed| listed.id == *id));
        let mut watcher = watcher;
        let mut damage = None;
        for listed in entries {
            let known =
                self.list.iter().any(|peer| peer.id == listed.id) || self.passed_over.contains(&listed.id);
            if known || !Pattern::new(&listed.name).is_ok_and(|p| p.matches(&self.topic)) {
                continue;
            }
            match self.meet(listed.id, &listed.path, watcher.as_deref_mut(), expected) {
                // It left, or died and was collected, between the listing and now.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) if e.is_damage() => {
                    self.passed_over.push(listed.id);
                    damage = Some(e);
                }
                other => other?,
            }
        }
        if let Some(waiter) = watcher {
            waiter.watch_only(|owner| self.has_owner(owner));
        }
        let barriers = self.list.iter().all(|peer| !inner.participants.lacks_barrier(peer.id.owner()));
        self.light = self.registered && barriers;
        self.seen = Some(generation);
        drop(catalogue);
        self.tell(&gone);
        for Peer { id, .. } in &self.list[before..] {
            debug!("topic '{}': publisher {} met subscriber {id}", self.topic, self.ring);
        }
        damage.map_or(Ok(()), Err)
    }

    /// Lets the next call tell of the damaged.
    pub fn tell_again(&mut self) {
        self.passed_over.clear();
        self.seen = None;
    }

    fn meet(
        &mut self,
        id: ObjectId,
        path: &std::path::Path,
        watcher: Option<&mut Waiter>,
        expected: bool,
    ) -> Result<()> {
        let inner = self.domain.inner();
        let owner = id.owner();
        if !inner.is_alive(owner) {
            return Ok(());
        }
        let fd = file::open_existing(path, false)?;
        let map =
            map_checked(fd.as_fd(), Kind::Subscriber, super::cursor::file_size(), false, &path.display())?;
        let ringer = Ringer::open(&inner.directory(Directory::Bells), id)?;
        if let (Some(waiter), true) = (watcher, owner != inner.me()) {
            let death = inner.participants.death_of(owner, inner.me())?;
            waiter.watch(owner, death, inner.participants.is_registered(owner))?;
        }
        self.list.push(Peer { id, head: Head::new(map), ringer, cursor: None, expected });
        Ok(())
    }

    /// Whether a participant has a subscriber among them.
    pub fn has_owner(&self, owner: ParticipantId) -> bool {
        self.list.iter().any(|peer| peer.id.owner() == owner)
    }

    /// The ids of everybody known, for the ring's list of expected subscribers.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.list.iter().map(|peer| peer.id)
    }

    pub fn len(&self) -> usize {
        self.list.iter().filter(|peer| peer.head.closed.load(Ordering::Acquire) == 0).count()
    }

    /// How many would hear the next message: those that hold a cursor of our ring, and those that were
    /// there before it and will read it from its beginning. Others are known but have not come round yet.
    pub fn attached(&mut self) -> usize {
        let ring = self.ring;
        let open = self.list.iter_mut().filter(|peer| peer.head.closed.load(Ordering::Acquire) == 0);
        open.map(|peer| peer.find_cursor(ring).is_some() || peer.expected).filter(|hears| *hears).count()
    }

    /// The smallest position anybody still has to read from.
    pub fn slowest(&mut self) -> u64 {
        let ring = self.ring;
        self.list.iter_mut().map(|peer| peer.position(ring)).min().unwrap_or(NOWHERE)
    }

    /// How far the subscribers of this very process have read, the slowest of them.
    pub fn slowest_own(&mut self) -> u64 {
        let (ring, participants) = (self.ring, &self.domain.inner().participants);
        let own = self.list.iter_mut().filter(|peer| participants.is_own(peer.id.owner()));
        own.map(|peer| peer.position(ring)).min().unwrap_or(NOWHERE)
    }

    /// Whether somebody has announced that it reads this slot (H1). The caller has withdrawn it and fenced.
    ///
    /// Should our domain be closed in the middle of a call, by another thread or by a listener, readers find us
    /// finished and give up their cursors, by which their pins go, but not their samples: then nobody knows. Whoever
    /// does not see the cursor sees that the domain is closed, since the reader gave it up after seeing that.
    pub fn is_pinned(&mut self, slot: Slot) -> bool {
        let (ring, domain) = (self.ring, &self.domain);
        self.list.iter_mut().any(|peer| {
            let Some(index) = peer.find_cursor(ring) else { return domain.is_closed() };
            is_announced(&peer.head.pins, &peer.head.pins_high, pin_word(index, slot.segment, slot.slot))
        })
    }

    /// How many slots of our slab they have pinned.
    pub fn pinned(&self) -> usize {
        let found =
            |peer: &Peer| find_cursor(&peer.head.cursors, &peer.head.cursors_high, peer.cursor, self.ring.0);
        let pins = self.list.iter().filter_map(|peer| Some(pins_of(&peer.head, found(peer)?)));
        pins.flatten().collect::<HashSet<u64>>().len()
    }

    /// After a commit: fences, and tells whether anybody armed since everybody was rung (W1). Who came meanwhile and
    /// sleeps has armed too.
    #[inline(always)]
    pub fn committed(&self) -> bool {
        fence::light(self.light);
        self.heard.is_due(&self.domain.inner().participants.board().armings)
    }

    /// Wakes those known who sleep. Returns how many bells were rung.
    pub fn wake(&mut self) -> u64 {
        let ring = |peer: &mut Peer| u64::from(peer.ringer.ring_if_armed(&peer.head.armed));
        self.list.iter_mut().map(ring).sum()
    }

    /// Forgets subscribers whose participant died; returns how many.
    pub fn forget_dead(&mut self) -> usize {
        let inner = self.domain.inner();
        let mut verdicts: Vec<(ParticipantId, bool)> = Vec::new();
        let mut is_dead = |peer: &mut Peer| {
            let owner = peer.id.owner();
            if let Some((_, alive)) = verdicts.iter().find(|(id, _)| *id == owner) {
                return !*alive;
            }
            let alive = inner.is_alive(owner);
            verdicts.push((owner, alive));
            !alive
        };
        let dead: Vec<Peer> = self.list.extract_if(.., &mut is_dead).collect();
        self.tell(&dead);
        dead.len()
    }

    /// Tells of those that are no longer among them.
    fn tell(&self, gone: &[Peer]) {
        for Peer { id, head, .. } in gone {
            let (topic, owner) = (&self.topic, id.owner());
            if head.closed.load(Ordering::Acquire) == 0 {
                info!("topic '{topic}': subscriber {id} died (participant {owner}) and no longer counts");
            } else {
                debug!("topic '{topic}': subscriber {id} left");
            }
        }
    }
}
