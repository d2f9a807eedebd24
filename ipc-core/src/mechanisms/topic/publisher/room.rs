//! Making room: in the ring and in the slab, at once or by waiting.

use super::Publisher;
use crate::domain::waiter::{Arming, Sleeper, Waiter, wait_for};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::Writer;
use crate::mechanisms::topic::Overflow;
use crate::mechanisms::topic::slab::{Reclaim, Slab, Slot};
use crate::mechanisms::topic::steps::claim_unread;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis};
use crate::sys::process;
use tracing::debug;

/// How long an attempt may take.
pub(super) enum Patience {
    Never,
    Until(Deadline),
}

impl Publisher {
    /// Makes sure that `bytes` of records can be written over what is there.
    #[inline]
    pub(super) fn make_room(&mut self, bytes: u64, patience: &Patience) -> Result<()> {
        if self.writer.needed_claim(bytes) <= self.safe || self.try_room(bytes)? {
            return Ok(());
        }
        self.check_own(patience, |publisher, own| own < publisher.writer.needed_claim(bytes))?;
        self.wait_for_room(patience, &mut |publisher| publisher.try_room(bytes))
    }

    /// Claims what the next records need and some more, so that the fence is paid once in a while.
    pub(super) fn try_room(&mut self, bytes: u64) -> Result<bool> {
        let needed = self.writer.needed_claim(bytes);
        let wanted = needed + self.shared.map.capacity() / 16;
        if self.options.overflow == Overflow::DropOldest {
            self.writer.claim_to(wanted, u64::MAX);
            self.safe = self.writer.claim();
            return Ok(true);
        }
        let slowest = Writer::await_room(wanted, || self.peers.slowest());
        let watcher = (self.options.overflow == Overflow::Block).then_some(&mut self.waiter);
        if claim_unread(&mut self.writer, wanted, slowest, || Ok(self.peers.refreshed(watcher)?.slowest()))? {
            self.safe = self.writer.claim();
        }
        if needed <= self.safe {
            self.waiter.satisfied(&self.shared.map.head().armed);
        }
        Ok(needed <= self.safe)
    }

    /// Takes a slot; the caller has taken `mine` for the same batch, which do not come back while it waits.
    pub(super) fn take_slot(&mut self, length: usize, patience: &Patience, mine: usize) -> Result<Slot> {
        let waits = self.options.overflow == Overflow::Block && matches!(patience, Patience::Until(_));
        if let Some(slot) = self.try_slot(length, waits)? {
            return Ok(slot);
        }
        if mine > 0 && self.slab.is_hopeless(mine) {
            return Err(self.never_at_once());
        }
        if self.options.overflow == Overflow::DropOldest {
            return Err(self.unless_closed(self.all_pinned()));
        }
        self.check_own(patience, |publisher, own| publisher.slab.is_withheld(own))?;
        let mut taken = None;
        self.wait_for_room(patience, &mut |publisher| {
            taken = publisher.try_slot(length, false)?;
            if taken.is_none() && mine > 0 && publisher.slab.is_hopeless(mine) {
                return Err(publisher.never_at_once());
            }
            Ok(taken.is_some())
        })?;
        taken.ok_or_else(|| self.all_pinned())
    }

    /// `waits`: rather than grow, the slab may wait for a reader for a moment.
    pub(super) fn try_slot(&mut self, length: usize, waits: bool) -> Result<Option<Slot>> {
        let (before, most) = (self.slab.bytes(), self.slab.most_bytes());
        let mut taken = self.acquire(length, waits).map_err(|e| self.unless_closed(e))?;
        if taken.is_none() && self.peers.forget_dead() > 0 {
            taken = self.acquire(length, waits).map_err(|e| self.unless_closed(e))?;
        }
        if self.slab.bytes() != before {
            self.control().slab_bytes.store(self.slab.bytes() as u64, Ordering::Relaxed);
        }
        if self.slab.most_bytes() > most {
            let (topic, id, bytes) = (&self.topic, self.shared.id, self.slab.bytes());
            debug!("topic '{topic}': the slab of publisher {id} grew to {bytes} bytes");
        }
        if taken.is_some() {
            self.waiter.satisfied(&self.shared.map.head().armed);
        }
        Ok(taken)
    }

    pub(super) fn acquire(&mut self, length: usize, waits: bool) -> Result<Option<Slot>> {
        self.with_slab(waits, |slab, reclaim| slab.acquire(length, reclaim))
    }

    /// A message of this slot's size is out: while its readers are busy with it, a slot is looked for that the next
    /// one can have.
    pub(super) fn look_ahead(&mut self, slot: Slot) {
        if self.with_slab(false, |slab, reclaim| slab.look_ahead(slot, reclaim)).is_err() {
            // This message is out; the next call tells what is wrong.
            self.peers.tell_again();
        }
    }

    fn with_slab<T>(
        &mut self,
        waits: bool,
        f: impl FnOnce(&mut Slab, &mut Reclaim<'_>) -> Result<T>,
    ) -> Result<T> {
        let reclaim = &mut Reclaim {
            waits,
            watcher: (self.options.overflow == Overflow::Block).then_some(&mut self.waiter),
            drop_oldest: self.options.overflow == Overflow::DropOldest,
            peers: &mut self.peers,
            writer: &mut self.writer,
            safe: &mut self.safe,
        };
        f(&mut self.slab, reclaim)
    }

    /// Where another thread has closed the domain meanwhile, its directory may be gone: that is the reason then.
    fn unless_closed(&self, error: Error) -> Error {
        if self.domain.is_closed() { self.closed() } else { error.of("topic", &self.topic) }
    }

    pub(super) fn never_at_once(&self) -> Error {
        let text = format!(
            "topic '{}': the large messages of the batch can never be in its slab at once, max_bytes is {}; raise it or send fewer at once",
            self.topic, self.options.max_bytes
        );
        Error::new(ErrorKind::TooLarge, text)
    }

    pub(super) fn all_pinned(&self) -> Error {
        let text = format!(
            "topic '{}': all slots of its slab ({} of max_bytes {}) are lent out or pinned by readers ({} pinned); release samples, commit loans, or raise max_bytes (`axonic stat` names who pins)",
            self.topic,
            self.slab.bytes(),
            self.options.max_bytes,
            self.slab.pinned()
        );
        Error::new(ErrorKind::LimitReached, text)
    }

    /// Waits until `attempt` succeeds: until a subscriber moves on, lets a sample go, leaves or dies.
    #[cold]
    pub(super) fn wait_for_room(
        &mut self,
        patience: &Patience,
        attempt: &mut dyn FnMut(&mut Publisher) -> Result<bool>,
    ) -> Result<()> {
        let attempt = &mut |publisher: &mut Publisher| {
            publisher.enter()?;
            Ok(attempt(publisher)?.then_some(()))
        };
        self.peers.forget_dead();
        if self.options.overflow == Overflow::Reject {
            return attempt(self)?.ok_or_else(|| self.full(ErrorKind::Full));
        }
        let Patience::Until(deadline) = patience else {
            if self.waiter.is_evented() && self.settle()?.is_some() {
                self.tidy()?;
            }
            return attempt(self)?.ok_or_else(|| self.full(ErrorKind::WouldBlock));
        };
        self.blocked.begin(self.shared.map.head(), coarse_millis());
        let waited = wait_for(self, self.options.wait, deadline, attempt);
        self.blocked.end(self.shared.map.head(), coarse_millis());
        waited?.ok_or_else(|| self.full(ErrorKind::Timeout))
    }

    /// To wait without a deadline for a subscriber that only this thread could let read on is to wait for ever. With
    /// other threads about, nobody can tell: they may be about to use it.
    fn check_own(
        &mut self,
        patience: &Patience,
        is_withheld: impl FnOnce(&Publisher, u64) -> bool,
    ) -> Result<()> {
        let endless = matches!(patience, Patience::Until(deadline) if deadline.remaining().is_none());
        if !endless || self.options.overflow != Overflow::Block || !process::single_threaded() {
            return Ok(());
        }
        self.peers.forget_dead();
        let own = self.peers.slowest_own();
        if !is_withheld(self, own) {
            return Ok(());
        }
        let text = format!(
            "topic '{}': no room, and a subscriber of this process, which has one thread, is behind: it cannot read while this call waits; read first, or use overflow drop_oldest",
            self.topic
        );
        Err(Error::new(ErrorKind::WouldBlock, text))
    }

    pub(super) fn full(&self, kind: ErrorKind) -> Error {
        let text = format!(
            "topic '{}': no room, a subscriber is a whole ring behind (capacity {} bytes, max_bytes {}); read faster, raise them, or use overflow drop_oldest (`axonic stat` names who lags)",
            self.topic,
            self.shared.map.capacity(),
            self.options.max_bytes
        );
        Error::new(kind, text)
    }
}

impl Sleeper for Publisher {
    const LOOKS_AT_LOCKS: bool = true;

    fn arming(&self) -> Arming<'_> {
        self.shared.arming()
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        if self.peers.forget_dead() > 0 {
            self.waiter.watch_only(|owner| self.peers.has_owner(owner));
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        self.waiter.settle(self.shared.arming())
    }
}
