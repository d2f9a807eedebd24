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
mod compact;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod full;
#[cfg(test)]
mod held;
mod kept;
mod load;
mod lock;
mod naming;
#[cfg(test)]
mod power;
mod record;
mod refused;
mod state;
mod wait;
mod write;

use super::handle::Handle;
use crate::domain::object::Seat;
use crate::domain::{Domain, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::journal::{Journal, Name};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{Deadline, monotonic_nanos};
use crate::sys::disk::{self, DataDirectory, Disk};
use crate::sys::file;
use crate::sys::fork::LockFd;
use beside::Beside;
pub use beside::QueueWriter;
pub use kept::kept;
use lock::Writer;
use refused::Refused;
pub use state::StateCopy;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
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
    /// What a full disk has no room for.
    refused: Refused,
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
        let refused = Refused::default();
        let log = Log { fsync, wait, path, journal, enough, refused, told, beside, _claim: claim };
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
    /// be time to sync, in nanoseconds of the machine's monotonic clock; later than now.
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
