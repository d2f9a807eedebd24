//! Who writes to the journal.

use super::{Log, PATIENCE, kept};
use crate::domain::asked::Asker;
use crate::domain::layout::ObjectId;
use crate::error::{Error, Result};
use crate::mechanisms::journal::{Batch, Journal, State};
use crate::mechanisms::queue::handle::Handle;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{Deadline, coarse_millis};
use crate::sys::futex;
use std::sync::MutexGuard;

/// Segments' bytes below which it is not worth to copy anything.
const FEW_BYTES: u64 = if cfg!(any(test, crash_points)) { 12 << 10 } else { 32 << 20 };

/// The one who writes, as long as this lives.
pub struct Writer<'a> {
    handle: &'a Handle,
    log: &'a Log,
    /// Given back before the lock: whoever that wakes may be of this handle.
    journal: MutexGuard<'a, Option<Journal>>,
    /// After a death as long as nobody has asked the journal yet how far it had come.
    held: Held<'a>,
    pub state: State,
    /// Up to where the log lane is written.
    pub written: u64,
    /// The journal changed since others were let see it.
    changed: bool,
}

/// What appends to a journal, or to the one that takes its place.
pub trait Append {
    /// An empty batch that can be appended next.
    fn batch(&self) -> Batch;
    /// Appends it and tells the segment it is in.
    fn append(&mut self, batch: &mut Batch) -> Result<u64>;
}

impl<'a> Writer<'a> {
    /// Becomes the one who writes. `None`: somebody else is, `until` then; without that it does not wait.
    pub fn begin(handle: &'a Handle, log: &'a Log, until: Option<&Deadline>) -> Result<Option<Writer<'a>>> {
        handle.in_turn(until, || Writer::begin_now(handle, log))
    }

    fn begin_now(handle: &'a Handle, log: &'a Log) -> Result<Option<Writer<'a>>> {
        let journal = match log.journal.try_lock() {
            Ok(journal) => journal,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(None),
        };
        let Some(held) = Held::take(handle) else { return Ok(None) };
        let (state, written) = handle.journal_state()?;
        let mut writer = Writer { handle, log, journal, held, state, written, changed: false };
        if writer.journal.is_none() {
            *writer.journal = Some(Journal::resume(log.disk(handle.domain())?, kept::of(&handle.store))?);
        }
        if writer.held.after_death {
            writer.verify()?;
        }
        Ok(Some(writer))
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Journal, &mut State) -> Result<T>) -> Result<T> {
        let name = self.handle.name();
        self.changed = true;
        match &mut *self.journal {
            Some(journal) => act(journal, &mut self.state).map_err(|e| e.of("queue", name)),
            None => unreachable!("a writer has opened the journal"),
        }
    }

    /// The one before died: how far had it come?
    fn verify(&mut self) -> Result<()> {
        let known = self.state.last();
        self.with(|journal, state| journal.verify(state))?;
        self.held.after_death = false;
        self.handle.forget_unwritten(self.state.last());
        if self.state.last() > known {
            tracing::info!("queue '{}': went on where a dead writer stopped", self.handle.name());
        }
        self.publish();
        Ok(())
    }

    /// Lets others see how far the journal has come: all of it at once, or nothing.
    pub fn publish(&mut self) {
        self.handle.store.journal().publish(&self.state, self.written);
        self.changed = false;
    }

    pub fn sync(&mut self) -> Result<()> {
        self.with(|journal, state| journal.sync(state))
    }

    /// Makes the copies of the oldest segment's messages durable, and removes it.
    pub fn retire(&mut self) -> Result<()> {
        self.with(|journal, state| journal.retire(state))
    }

    /// Begins a segment that takes no more of the disk than `bytes` of copies need, if that is worth it where `live` bytes
    /// of messages are left.
    pub fn begin_for_copies(&mut self, bytes: u64, live: u64) -> Result<bool> {
        self.with(|journal, state| journal.begin_for_copies(state, bytes, live))
    }

    /// Why the disk has no room, if that is known and nothing speaks for more by now.
    pub fn refused(&self) -> Option<Error> {
        self.log.refused.now(|| self.room())
    }

    /// The disk has no room: what was to be written is not tried again at once.
    pub fn refuse(&self, error: &Error) {
        self.log.refused.begin(error, self.room());
    }

    fn room(&self) -> u64 {
        self.journal.as_ref().map_or(u64::MAX, Journal::room)
    }

    /// Whether the journal takes more of the disk than when it was last found to be worth it.
    pub fn is_due_to_compact(&self) -> bool {
        let enough = self.log.enough.load(Ordering::Relaxed).max(FEW_BYTES);
        self.state.segment() > self.state.oldest() && self.state.bytes() > enough
    }

    /// Whether it takes more than twice what `live` bytes of messages need.
    pub fn is_worth(&self, live: u64) -> bool {
        let enough = (2 * live).max(FEW_BYTES);
        self.log.enough.store(enough, Ordering::Relaxed);
        self.state.bytes() > enough
    }

    /// It takes what it needs, or what it can be brought to, however much that is.
    pub fn is_compact(&self) {
        self.log.enough.store(self.state.bytes() + FEW_BYTES, Ordering::Relaxed);
    }

    /// The disk has no room: tried again when the journal has grown all the same.
    pub fn is_full(&self) {
        self.log.enough.store(self.state.bytes(), Ordering::Relaxed);
    }

    /// Writes everything live, which `write` appends, beside the poisoned journal, which it then replaces.
    pub fn start_over(&mut self, write: impl FnOnce(&mut dyn Append) -> Result<()>) -> Result<()> {
        self.with(|journal, state| {
            let mut fresh = journal.start_over(state)?;
            write(&mut fresh)?;
            fresh.finish()
        })
    }

    pub fn end(self) {}
}

impl Append for Writer<'_> {
    fn batch(&self) -> Batch {
        Batch::new(self.state.last() + 1)
    }

    fn append(&mut self, batch: &mut Batch) -> Result<u64> {
        self.with(|journal, state| journal.append(state, batch))
    }
}

/// Appends into what is kept free at the end of a segment.
pub struct Spare<'a, 'b>(pub &'a mut Writer<'b>);

impl Append for Spare<'_, '_> {
    fn batch(&self) -> Batch {
        self.0.batch()
    }

    fn append(&mut self, batch: &mut Batch) -> Result<u64> {
        self.0.with(|journal, state| journal.append_to_spare(state, batch))
    }
}

impl Append for crate::mechanisms::journal::Fresh<'_> {
    fn batch(&self) -> Batch {
        Batch::new(self.state().last() + 1)
    }

    fn append(&mut self, batch: &mut Batch) -> Result<u64> {
        crate::mechanisms::journal::Fresh::append(self, batch)
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.held.after_death |= std::thread::panicking();
        if self.changed && !self.held.after_death {
            // What failed has changed it, too: the next one goes on where this one stopped, and knows of the poison.
            self.publish();
        }
    }
}

/// What the lock says after a death of which nobody has asked the journal yet: the next one does, whoever it is.
const UNVERIFIED: u64 = u64::MAX;

/// The lock itself.
pub struct Held<'a> {
    handle: &'a Handle,
    /// Whoever had it before died with it.
    pub after_death: bool,
}

impl<'a> Held<'a> {
    /// Takes it, from a dead one too. `None`: somebody alive has it.
    pub fn take(handle: &'a Handle) -> Option<Held<'a>> {
        let (head, mine) = (handle.store.journal(), handle.id.0);
        let Err(owner) = head.lock.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) else {
            return Some(Held { handle, after_death: false });
        };
        let dead = owner == UNVERIFIED || handle.suspects(&head.lock, owner) && handle.is_dead(owner);
        (dead && head.lock.compare_exchange(owner, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok())
            .then(|| Held { handle, after_death: true })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let head = self.handle.store.journal();
        head.lock.swap(if self.after_death { UNVERIFIED } else { 0 }, Ordering::AcqRel);
        // What those sleep on who want the lock or what was done under it.
        head.turns.fetch_add(1, Ordering::AcqRel);
        if head.waiters.load(Ordering::Acquire) != 0 {
            futex::wake_all(&head.turns);
        }
    }
}

impl Handle {
    /// Tries whenever somebody has given the lock back, `until` then; once, without that. Nothing is held in between, so
    /// that whoever is asked whether to go on may use the queue.
    pub fn in_turn<T>(
        &self,
        until: Option<&Deadline>,
        mut attempt: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let (head, mut asker) = (self.store.journal(), Asker::new());
        loop {
            let turn = head.turns.load(Ordering::Acquire);
            let done = attempt()?;
            let Some(deadline) = until.filter(|deadline| done.is_none() && !deadline.passed()) else {
                return Ok(done);
            };
            asker.ask()?;
            self.await_turn(turn, deadline);
        }
    }

    /// Sleeps until somebody gives the lock back, the deadline, or until it is time to look whether who has it is alive.
    pub fn await_turn(&self, turn: u64, deadline: &Deadline) {
        let head = self.store.journal();
        head.waiters.fetch_add(1, Ordering::AcqRel);
        futex::wait(&head.turns, turn, deadline.remaining().unwrap_or(PATIENCE).min(PATIENCE));
        head.waiters.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether the lock's owner has had it so long that it may be dead.
    fn suspects(&self, lock: &AtomicU64, owner: u64) -> bool {
        let (now, turn) = (coarse_millis(), self.store.journal().turns.load(Ordering::Relaxed));
        let (since, seen) = (&self.suspect.0, &self.suspect.1);
        if seen.load(Ordering::Relaxed) != turn {
            seen.store(turn, Ordering::Relaxed);
            since.store(now, Ordering::Relaxed);
        }
        now.saturating_sub(since.load(Ordering::Relaxed)) >= PATIENCE.as_millis() as u64 / 2
            && lock.load(Ordering::Relaxed) == owner
    }

    /// Whether the handle of this id, or whatever number stands there, is nobody's who is alive. An id is never given
    /// again, unlike a row: who took that after a death would have the lock without knowing.
    pub fn is_dead(&self, id: u64) -> bool {
        !self.domain().inner().is_alive(ObjectId(id).owner())
    }
}
