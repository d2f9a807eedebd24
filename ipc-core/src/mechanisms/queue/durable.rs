//! Durable queues: what happens to messages goes to a journal too.
//!
//! Whoever changes a message names its slot in the log lane. Whoever has the journal's lock goes through what was named
//! and writes of each slot what it holds then: the message if the journal does not have it, what changed if it has, that
//! it is gone if it is done with. So a message that comes and goes in between is never written. Only then a slot that is
//! done with is free.
//!
//! - `accepted`: the message is in shared memory and survives the death of any process. `durable`: it is on the disk.
//! - Who wants to know it on the disk becomes the one who writes and syncs, or waits for the one who does: all who wait
//!   are served by one sync (group commit).
//! - The lock names the row that has it. Whoever takes it from a dead one asks the journal how far it came; what was
//!   named and not written is still named.
//! - Where the log lane is full and the disk takes nothing, a change is counted as *owed*; as soon as the lane has room, all
//!   slots are named in its place.
//! - **J1** A slot's message is in the journal when its id is one the journal has reached: the id is set before the write.

mod beside;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod full;
#[cfg(test)]
mod held;
mod load;
mod lock;
mod naming;
#[cfg(test)]
mod power;
mod record;
mod state;

use super::handle::Handle;
use super::steps::{Cell, Look, State, Word};
use super::store::Life;
use crate::domain::asked::Asker;
use crate::domain::object::Seat;
use crate::domain::{Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::journal::{Batch, Journal, Kind, Name};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{Deadline, coarse_millis, monotonic_nanos};
use crate::sys::disk::{self, DataDirectory, Disk};
use crate::sys::file;
use crate::sys::fork::LockFd;
use beside::Beside;
pub use beside::QueueWriter;
use lock::{Append, Spare, Writer};
pub use state::StateCopy;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// When what a durable queue holds is known to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before a put or an acknowledgement returns; what is under way at the same time shares one sync.
    Always,
    /// This often, as long as somebody uses the queue, by the call that comes when it is due or by a [`QueueWriter`]; and
    /// when the last one closes it.
    Interval(Duration),
    /// When the system writes it, and when the last one closes it.
    Never,
}

impl Fsync {
    pub(super) fn to_words(self) -> (u64, u64) {
        match self {
            Fsync::Always => (1, 0),
            Fsync::Interval(interval) => (2, u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)),
            Fsync::Never => (3, 0),
        }
    }

    fn from_words(kind: u64, interval: u64) -> Option<Fsync> {
        match kind {
            1 => Some(Fsync::Always),
            2 => Some(Fsync::Interval(Duration::from_nanos(interval))),
            3 => Some(Fsync::Never),
            _ => None,
        }
    }
}

/// A handle's side of the journal.
pub struct Log {
    pub fsync: Fsync,
    /// How the handle waits.
    wait: Wait,
    path: PathBuf,
    /// The journal, which one thread of this handle uses at a time; opened at first use.
    journal: Mutex<Option<Journal>>,
    /// Bytes of segments that are not too many, as of the last time somebody looked.
    enough: AtomicU64,
    /// It was told that what this handle changed could not be written, and nothing was since.
    told: AtomicBool,
    /// Whoever writes and syncs for this handle, which is in an event loop.
    beside: OnceLock<Beside>,
    /// Shares the lock that says that the journal belongs to this queue in memory.
    _claim: LockFd,
}

/// So many changes are written at once where nobody waits for the disk.
const FEW: u64 = 16;
/// Bytes of records that are written at once.
const BATCH_BYTES: u64 = 1 << 20;
/// How long one stays awake at most for a sync of somebody else.
const AWAKE: Duration = Duration::from_micros(500);
/// How long whoever does not want to wait for the disk waits all the same for somebody else who writes, where very many
/// changes are not written yet.
pub const HELD_UP: Duration = Duration::from_secs(1);
/// How long one sleeps at most before it looks whether the one it waits for is alive.
const PATIENCE: Duration = Duration::from_millis(20);

/// Where the journal of a queue is.
pub fn directory(domain: &Domain, name: &str) -> Result<PathBuf> {
    Ok(of_domain(&domain.data_dir()?, domain.name()).join(name))
}

/// Where the journals of a domain's queues are.
pub fn of_domain(data: &Path, domain: &str) -> PathBuf {
    data.join(domain).join("queues")
}

/// Whether there is a journal in a directory.
pub fn is_there(path: &Path) -> bool {
    file::names(path).is_ok_and(|names| names.iter().any(|name| Name::parse(name).is_some()))
}

/// Refuses to make a queue in memory only where there is a durable one on the disk.
pub fn check_none(domain: &Domain, name: &str) -> Result<()> {
    // Where nothing can be found, there is none.
    let Ok(path) = directory(domain, name) else { return Ok(()) };
    if !is_there(&path) {
        return Ok(());
    }
    let text = format!(
        "queue '{name}' is durable and on the disk ({}); open it with `durable`, or remove it with `axonic unlink queue` first",
        path.display()
    );
    Err(Error::new(ErrorKind::InvalidArgument, text))
}

impl Log {
    /// Takes part in the journal of a queue; whoever comes first reads it into the queue.
    pub fn open(seat: &Seat, handle: &Handle, wait: Wait) -> Result<Option<Log>> {
        let (store, domain) = (&handle.store, handle.domain());
        let head = store.head();
        let words = (head.fsync.load(Ordering::Relaxed), head.interval.load(Ordering::Relaxed));
        if !store.is_durable() {
            return Ok(None);
        }
        let Some(fsync) = Fsync::from_words(words.0, words.1) else {
            return Err(handle.damaged_beside_journal("how it is synced"));
        };
        let path = directory(domain, handle.name())?;
        let claim = load::claim(&path, store)?;
        let (journal, enough) = (Mutex::default(), AtomicU64::new(0));
        let (told, beside) = (AtomicBool::new(false), OnceLock::new());
        let log = Log { fsync, wait, path, journal, enough, told, beside, _claim: claim };
        load::load(handle, &log, seat.number)?;
        Ok(Some(log))
    }

    fn disk(&self, domain: &Domain) -> Result<Box<dyn Disk>> {
        #[cfg(test)]
        if let Some(simulated) = power::disk() {
            return Ok(simulated);
        }
        let filled = self.fsync == Fsync::Always;
        Ok(Box::new(DataDirectory::open(&self.path, *domain.inner().access(), filled)?))
    }
}

impl Handle {
    /// Whether puts and acknowledgements wait for the disk unless told otherwise.
    pub fn waits_for_disk(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.fsync == Fsync::Always)
    }

    /// Refuses to wait for the disk where nothing ever gets there.
    #[inline(always)]
    pub fn check_durable(&self, asked: Option<bool>) -> Result<()> {
        if asked == Some(true) && !self.store.is_durable() { Err(self.in_memory()) } else { Ok(()) }
    }

    #[cold]
    fn in_memory(&self) -> Error {
        let text = format!(
            "queue '{}' is in memory only, so nothing of it can be durable; leave that out, or make a queue with `durable`",
            self.name()
        );
        Error::new(ErrorKind::InvalidArgument, text)
    }

    /// Whoever writes for this handle, if it does not itself.
    fn beside(&self) -> Option<&Beside> {
        self.log.as_ref().and_then(|log| log.beside.get()).filter(|beside| beside.is_there())
    }

    /// Up to where the log lane is in the journal.
    fn written(&self) -> u64 {
        self.store.journal().written()
    }

    /// Up to where it is on the disk, which is no further.
    fn durable(&self) -> Result<u64> {
        let durable = self.store.journal().durable.load(Ordering::Acquire);
        if durable <= self.written() {
            Ok(durable)
        } else {
            Err(self.damaged_beside_journal("what is on the disk"))
        }
    }

    /// A message, filled in `filled`, has changed: it goes to the journal, and to the disk before this returns if it is
    /// to `wait`. Nothing where there is no journal.
    #[inline(always)]
    pub fn journal(&self, number: u32, filled: u64, wait: bool) -> Result<()> {
        if self.store.is_durable() { self.journal_change(number, filled, wait) } else { Ok(()) }
    }

    #[cold]
    fn journal_change(&self, number: u32, filled: u64, wait: bool) -> Result<()> {
        if wait {
            return self.journal_until(number, filled, &Deadline::after(None));
        }
        let position = self.name_for_journal(number, filled, &Deadline::after(Some(HELD_UP)))?;
        if let Some(beside) = self.beside() {
            beside.ask(self);
            return Ok(());
        }
        // One write for several; who goes to sleep or ends writes what is left.
        let is_many = position >= self.written().saturating_add(FEW);
        if is_many || self.is_sync_due() { self.write_out(None) } else { Ok(()) }
    }

    /// A change that is made and that nobody waits for: what the disk does not take is named or owed, a later write has it.
    #[inline(always)]
    pub fn journal_later(&self, number: u32, filled: u64) {
        if let Err(e) = self.journal(number, filled, false) {
            self.tell_unwritten(&e);
        }
    }

    /// Where no call tells that something could not be written: of many failures in a row, the first one matters.
    #[cold]
    fn tell_unwritten(&self, error: &Error) {
        let name = self.name();
        if self.log.as_ref().is_some_and(|log| log.told.swap(true, Ordering::Relaxed)) {
            debug!("queue '{name}': another change is not in its journal yet: {error}");
        } else {
            warn!("queue '{name}': what was changed is not in its journal yet: {error}");
        }
    }

    /// What [`Self::journal`] does of a message that is acknowledged, which it is after an error, too.
    pub fn journal_ended(&self, number: u32, filled: u64, wait: bool) -> Result<()> {
        if !wait {
            self.journal_later(number, filled);
            return Ok(());
        }
        self.journal(number, filled, true).map_err(|e| {
            let text = format!("the message is acknowledged, but that is not known to be on the disk: {e}");
            Error::not_durable(0, text)
        })
    }

    /// As [`Self::journal`], waiting for the disk until `deadline`.
    pub fn journal_until(&self, number: u32, filled: u64, deadline: &Deadline) -> Result<()> {
        if !self.store.is_durable() {
            return Ok(());
        }
        let position = self.name_for_journal(number, filled, deadline)?;
        self.wait_durable(position, deadline)
    }

    /// Writes what was named and is not written yet, and syncs if it is time; for one who is about to sleep. When it will
    /// be time to sync, in nanoseconds of the monotonic clock; later than now.
    #[inline(always)]
    pub fn flush(&self) -> Result<Option<u64>> {
        if self.store.is_durable() { self.flush_journal() } else { Ok(None) }
    }

    #[cold]
    fn flush_journal(&self) -> Result<Option<u64>> {
        let is_left = self.store.journal().log.tail.load(Ordering::Relaxed) > self.written() || self.owes();
        if let Some(beside) = self.beside() {
            // What others left behind, too.
            if is_left || self.sync_due().is_some() {
                beside.ask(self);
            }
            return Ok(None);
        }
        if is_left || self.is_sync_due() {
            self.write_out(None)?;
        }
        // Where it is time still, somebody else writes, who may have begun too early to sync it.
        let (now, patience) = (monotonic_nanos(), PATIENCE.as_nanos() as u64);
        Ok(self.sync_due().map(|due| if due > now { due } else { now + patience }))
    }

    /// Waits for the disk after changes of a handle that was not told whether to, if that is how its queue and it are.
    pub fn sync_unless_beside(&self) -> Result<()> {
        if self.waits_for_disk() && self.beside().is_none() { self.sync(None) } else { Ok(()) }
    }

    /// When something that is not on the disk yet is to be synced, where that is done by an interval.
    fn sync_due(&self) -> Option<u64> {
        let journal = self.store.journal();
        let Some(Fsync::Interval(interval)) = self.log.as_ref().map(|log| log.fsync) else { return None };
        // More on the disk than was named is what a sync refuses.
        let unsynced = journal.log.tail.load(Ordering::Relaxed) != journal.durable.load(Ordering::Relaxed);
        let synced = journal.synced.load(Ordering::Relaxed).saturating_mul(1_000_000);
        unsynced.then(|| synced.saturating_add(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn is_sync_due(&self) -> bool {
        self.sync_due().is_some_and(|due| due <= monotonic_nanos())
    }

    /// Writes what was named, unless somebody else is about to, for whom it waits `until` then. Syncs if it is time.
    pub fn write_out(&self, until: Option<&Deadline>) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        loop {
            self.name_owed();
            let Some(mut writer) = Writer::begin(self, log, until)? else { return Ok(()) };
            let written = self.write_named(&mut writer).and_then(|()| self.sync_if_due(&mut writer));
            writer.end();
            written?;
            log.told.store(false, Ordering::Relaxed);
            // Whoever found the lock taken relies on us to look once more.
            if !self.is_behind()? {
                return Ok(());
            }
        }
    }

    fn sync_if_due(&self, writer: &mut Writer<'_>) -> Result<()> {
        if self.is_sync_due() { self.sync_named(writer) } else { Ok(()) }
    }

    /// Waits until the log lane is on the disk up to `position`, and sees to it, if nobody else does.
    fn wait_durable(&self, position: u64, deadline: &Deadline) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let (journal, mut asker) = (self.store.journal(), Asker::new());
        loop {
            let turn = journal.turns.load(Ordering::Acquire);
            if self.durable()? >= position {
                return Ok(());
            }
            if let Some(mut writer) = Writer::begin(self, log, None)? {
                self.linger();
                let synced = self.write_named(&mut writer).and_then(|()| self.sync_named(&mut writer));
                writer.end();
                synced?;
                // Whoever found the lock taken meanwhile, and does not wait for the disk, relies on us. Ours is on the disk
                // whatever becomes of that.
                if self.owes() || log.fsync != Fsync::Always && self.is_behind().unwrap_or(false) {
                    self.write_out(None).unwrap_or_else(|e| self.tell_unwritten(&e));
                }
                if self.durable()? < position {
                    return Err(self.damaged("what was named is not there to be written down"));
                }
                continue;
            }
            if deadline.passed() {
                let text =
                    format!("queue '{}': not on the disk in time; it is accepted, and will be", self.name());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            if self.turned(log, turn) {
                continue;
            }
            asker.ask()?;
            self.await_turn(turn, deadline);
        }
    }

    /// Stays awake for as long as a sync may take, if that is not long: on an idle processor, to be woken takes as long
    /// again, and whoever wakes several is not done before. Whether somebody has given the lock back since `turn`.
    fn turned(&self, log: &Log, turn: u64) -> bool {
        let journal = self.store.journal();
        let pace = Duration::from_nanos(journal.pace.load(Ordering::Relaxed));
        let (begun, limit) = (Instant::now(), (2 * pace).min(AWAKE));
        while log.wait != Wait::Block && begun.elapsed() < limit {
            if journal.turns.load(Ordering::Acquire) != turn {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// Before a sync: those whom the last one served may be about to ask for the next. They are given up to a quarter of
    /// the time that a sync takes, so that it serves all of them again.
    fn linger(&self) {
        let journal = self.store.journal();
        let durable = journal.durable.load(Ordering::Relaxed);
        let (group, pace) = (
            journal.group.load(Ordering::Relaxed),
            Duration::from_nanos(journal.pace.load(Ordering::Relaxed)),
        );
        let begun = Instant::now();
        while journal.log.tail.load(Ordering::Relaxed) < durable.saturating_add(group)
            && begun.elapsed() < (pace / 4).min(PATIENCE / 4)
        {
            std::thread::yield_now();
        }
    }

    /// Everything that was put and settled before is on the disk when this returns.
    pub fn sync(&self, timeout: Option<Duration>) -> Result<()> {
        if !self.store.is_durable() {
            return Ok(());
        }
        let deadline = Deadline::after(timeout);
        loop {
            self.name_owed();
            let (owes, written) = (self.owes(), self.written());
            self.wait_durable(self.last_named(), &deadline)?;
            if !owes {
                return Ok(());
            }
            // The lane has room now, unless it never had as much in it as it says.
            if self.written() == written && !self.has_log_room(written) {
                return Err(self.damaged("it has more to write down than was named"));
            }
        }
    }

    /// Writes what was named to the journal, batch by batch, and frees what is done with. A message whose memory was
    /// damaged is told of once and holds up no other.
    fn write_named(&self, writer: &mut Writer<'_>) -> Result<()> {
        if writer.state.is_poisoned() {
            self.start_over(writer)?;
        }
        let mut damaged = None;
        loop {
            let mut batch = writer.batch();
            let mut position = writer.written;
            let mut walk = self.store.log().walk(position);
            let (mut put, mut gone) = (Vec::<(u64, u32)>::new(), Vec::new());
            let mut left_out = Vec::new();
            while batch.len() < BATCH_BYTES {
                match self.store.log().look(position) {
                    Look::Full(cell) => {
                        let last = writer.state.last();
                        let added = self.write_slot(cell, &mut batch, last, &mut put, &mut gone);
                        left_out.extend(added.err());
                    }
                    Look::Empty => break,
                    Look::Past if walk.is_lost() => {
                        return Err(self.damaged("the lane of its log has no end"));
                    }
                    Look::Past => {}
                }
                position = walk.on(position, || 0);
            }
            if position == writer.written {
                return damaged.map_or(Ok(()), Err);
            }
            if batch.count() > 0 {
                // The ids they got would be given again.
                let last = writer.state.last();
                let appended = writer.append(&mut batch).inspect_err(|_| self.forget_unwritten(last));
                let segment = match appended {
                    // One segment less each time: there is an end to that.
                    Err(e)
                        if e.kind() == ErrorKind::NoSpace && matches!(self.make_room(writer), Ok(true)) =>
                    {
                        continue;
                    }
                    appended => appended?,
                };
                put.iter().for_each(|(_, number)| {
                    self.store.slot(*number).segment.store(segment, Ordering::Relaxed);
                });
            }
            for (number, word) in gone {
                self.free_now(number, word);
            }
            writer.written = position;
            writer.publish();
            left_out.into_iter().for_each(|e| damaged = Some(self.left_out(e)));
            if let Err(e) = self.compact(writer) {
                // What was to be written is. A sync tells if the journal is poisoned.
                warn!("queue '{}': its journal takes more of the disk than it needs: {e}", self.name());
                if e.kind() == ErrorKind::NoSpace { writer.is_full() } else { writer.is_compact() }
            }
        }
    }

    /// The error of a message whose memory was damaged. Told of each at once, since what writes may not be a call that tells.
    #[cold]
    fn left_out(&self, error: Error) -> Error {
        let text =
            format!("a message that cannot be read is not in the journal, what else was named is: {error}");
        let error = Error::new(ErrorKind::Corrupt, text).of("queue", self.name());
        warn!("{error}");
        error
    }

    /// Adds to a batch what the journal is to know of a slot.
    fn write_slot(
        &self,
        cell: Cell,
        batch: &mut Batch,
        last: u64,
        put: &mut Vec<(u64, u32)>,
        gone: &mut Vec<(u32, Word)>,
    ) -> Result<()> {
        if cell.slot() >= self.store.slots().grown() {
            return Ok(());
        }
        let slot = self.store.slot(cell.slot());
        let word = Word::of(&slot.word);
        let life = Life(slot.life.load(Ordering::Acquire));
        if !cell.means(Word::new(State::Free, 0, life.generation())) {
            return Ok(());
        }
        let id = slot.id.load(Ordering::Relaxed);
        // An id beyond what was there when this batch began is of this batch, or of one that a dead writer did not
        // come to write (J1).
        let of_batch = || put.binary_search(&(id, cell.slot())).is_ok();
        let known = id != 0 && (id <= last || of_batch());
        match word.state() {
            Some(State::Gone | State::Done) => {
                if known {
                    batch.push(Kind::Gone, id, 0)?;
                }
                if word.is(State::Gone) {
                    gone.push((cell.slot(), word));
                }
            }
            None | Some(State::Free | State::Writing | State::Part) => {}
            Some(_) if known => record::note(self, cell.slot(), word, id, batch)?,
            Some(_) => {
                let id = batch.first() + batch.count();
                record::put(self, cell.slot(), word, id, batch)?;
                slot.id.store(id, Ordering::Relaxed);
                put.push((id, cell.slot()));
            }
        }
        Ok(())
    }

    /// After the death of one who wrote: messages for which it did not come to write the ids they got are to be written.
    pub(super) fn forget_unwritten(&self, last: u64) {
        let slots = self.store.slots();
        for slot in (0..slots.grown()).map(|number| slots.slot(number)) {
            if slot.id.load(Ordering::Relaxed) > last {
                slot.id.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Makes durable what is written; if the disk fails, everything is written anew elsewhere on it.
    fn sync_named(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (journal, begun) = (self.store.journal(), Instant::now());
        let group = writer.written.saturating_sub(self.durable()?);
        if let Err(e) = writer.sync() {
            if !writer.state.is_poisoned() {
                return Err(e);
            }
            writer.publish();
            warn!("queue '{}': a sync failed, its journal is written anew: {e}", self.name());
            self.start_over(writer)?;
        }
        writer.publish();
        journal.synced.store(coarse_millis(), Ordering::Relaxed);
        journal.group.store(group, Ordering::Relaxed);
        journal.pace.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        journal.durable.fetch_max(writer.written, Ordering::AcqRel);
        Ok(())
    }

    /// Frees disk: of the oldest segment what is still there is copied, until all segments are not much more than that.
    fn compact(&self, writer: &mut Writer<'_>) -> Result<()> {
        let newest = writer.state.segment();
        while writer.is_due_to_compact() {
            let oldest = writer.state.oldest();
            if oldest > newest {
                // All was copied once. Messages of half a segment do not come closer together than that.
                writer.is_compact();
                return Ok(());
            }
            let live = self.live();
            let bytes: u64 = live.iter().map(|(number, _)| record::length(self, *number)).sum();
            if !writer.is_worth(bytes) {
                return Ok(());
            }
            if !self.copy(self.of_oldest(live, writer), writer)? {
                writer.is_compact();
                return Ok(());
            }
            writer.retire()?;
            writer.publish();
        }
        Ok(())
    }

    /// The disk is full: the oldest segment goes, if what is still there of it fits into what is kept free for that.
    /// Whether it did.
    fn make_room(&self, writer: &mut Writer<'_>) -> Result<bool> {
        let live = self.of_oldest(self.live(), writer);
        let bytes: u64 = live.iter().map(|(number, _)| record::length(self, *number)).sum();
        if writer.state.oldest() == writer.state.segment() || bytes > writer.state.left() {
            return Ok(false);
        }
        if !self.copy(live, &mut Spare(writer))? {
            return Ok(false);
        }
        writer.retire()?;
        writer.publish();
        Ok(true)
    }

    /// Of live messages those of which the oldest segment has the newest record.
    fn of_oldest(&self, mut live: Vec<(u32, Word)>, writer: &Writer<'_>) -> Vec<(u32, Word)> {
        live.retain(|(number, _)| {
            let slot = self.store.slot(*number);
            slot.segment.load(Ordering::Relaxed) <= writer.state.oldest()
                && slot.id.load(Ordering::Relaxed) <= writer.state.last()
        });
        live
    }

    /// The messages that the journal has or is to have.
    fn live(&self) -> Vec<(u32, Word)> {
        let slots = self.store.slots();
        (0..slots.grown())
            .map(|number| (number, Word::of(&slots.slot(number).word)))
            .filter(|(number, word)| {
                let ended = matches!(
                    word.state(),
                    None | Some(State::Free | State::Writing | State::Part | State::Gone | State::Done)
                );
                !ended && slots.slot(*number).id.load(Ordering::Relaxed) != 0
            })
            .collect()
    }

    /// Writes messages that have an id once more, but for those whose memory was damaged: the record there is of such a
    /// one is the only good copy, and its segment is to stay. Whether there was none of them.
    fn copy(&self, messages: Vec<(u32, Word)>, to: &mut dyn Append) -> Result<bool> {
        let (mut left, mut all) = (messages.as_slice(), true);
        while !left.is_empty() {
            let (mut batch, mut count, mut copied) = (to.batch(), 0, Vec::new());
            while count < left.len() && batch.len() < BATCH_BYTES {
                let (number, word) = left[count];
                let id = self.store.slot(number).id.load(Ordering::Relaxed);
                match record::put(self, number, word, id, &mut batch) {
                    Ok(()) => copied.push(number),
                    Err(e) => {
                        self.left_out(e);
                        all = false;
                    }
                }
                count += 1;
            }
            if batch.count() > 0 {
                let segment = to.append(&mut batch)?;
                for number in copied {
                    self.store.slot(number).segment.store(segment, Ordering::Relaxed);
                }
            }
            left = &left[count..];
        }
        Ok(all)
    }

    /// Writes all live messages to a journal beside the poisoned one, which then takes its place.
    fn start_over(&self, writer: &mut Writer<'_>) -> Result<()> {
        let live = self.live();
        let slots: Vec<u32> = live.iter().map(|(number, _)| *number).collect();
        let done = writer.start_over(|fresh| self.copy(live, fresh).map(drop));
        for slot in slots.iter().map(|number| self.store.slot(*number)) {
            if done.is_err() {
                // Where they are is no longer known: as if in the oldest segment, they are copied before that goes.
                slot.segment.store(0, Ordering::Relaxed);
            } else if slot.segment.load(Ordering::Relaxed) < writer.state.oldest() {
                // It could not be read, and the journal does not have it any more.
                slot.id.store(0, Ordering::Relaxed);
            }
        }
        writer.publish();
        done
    }
}

/// Removes the journal of a queue, if it has one and no queue in another runtime directory uses it. Whether it had.
pub fn remove(domain: &Domain, name: &str) -> Result<bool> {
    let Ok(path) = directory(domain, name) else { return Ok(false) };
    // A handle that goes has left the queue before it lets go of its journal.
    let patience = Deadline::after(Some(5 * PATIENCE));
    while file::exists(&path) {
        if disk::remove(&path)? {
            return Ok(true);
        }
        if patience.passed() {
            let text = format!(
                "queue '{name}': its journal in {} is in use by a queue of the same name that was just opened, or in another runtime directory; close that one first",
                path.display()
            );
            return Err(Error::new(ErrorKind::Busy, text));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}
