//! Who takes part in a domain, and who is still alive.
//!
//! The table is a file with one entry per slot. A participant holds the OFD lock on the byte that
//! is its slot number for as long as it lives; only the holder of that lock writes the entry. The
//! kernel gives the lock back at death, whatever the cause, so nobody ever needs a heartbeat.
//!
//! Taking a slot: lock the byte, store `epoch + 1` as CLAIMING, fill the entry, store it as LIVE. A
//! death between any two of these frees the lock, and the next taker starts over with a new epoch.

use super::layout::{
    Header, Kind, LINE, MAX_EPOCH, MAX_SLOTS, ObjectId, ParticipantId, SharedName, map_checked,
};
use super::quota::Quotas;
pub use super::steps::Generation;
use super::steps::Tenancy;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::file::{self, Access, FileErrno};
use crate::sys::fork::LockFd;
use crate::sys::mapping::{Head, Mapping, Shared, round_to_pages};
use crate::sys::process::{self, PidFd};
use crate::sys::{clock, fence, lock};
use std::collections::HashMap;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tracing::info;

/// Participants of a new domain unless asked otherwise.
pub const DEFAULT_MAX_PARTICIPANTS: u32 = 1024;

/// The beginning of the participants file.
#[repr(C)]
pub struct Board {
    header: Header,
    /// Slots in the table.
    slots: AtomicU64,
    /// Bytes all objects may take together; zero: no limit.
    quota: AtomicU64,
    /// Bytes each participant's objects may take; zero: no limit.
    participant_quota: AtomicU64,
    _pad0: [AtomicU64; 5],
    /// Raised whenever a publisher or ring appears; who looks for publishers compares it (D1).
    pub publishers: Generation,
    /// Raised whenever a subscriber appears or leaves; publishers compare it (D1).
    pub subscribers: Generation,
    /// Raised whenever a subscriber is about to sleep; publishers compare it after each commit (W1).
    pub armings: Generation,
    /// Raised whenever a provider of a service appears or leaves; clients compare it (D1).
    pub services: Generation,
}

/// One entry of the table.
#[repr(C)]
struct Entry {
    tenancy: Tenancy,
    /// When it came, in milliseconds of the machine's monotonic clock.
    since: AtomicU64,
    /// [`REGISTERED`], [`NO_BARRIER`].
    flags: AtomicU64,
    label: SharedName,
}

impl Entry {
    /// What is told of a tenant that died.
    fn obituary(&self, id: ParticipantId) -> String {
        let pid = self.tenancy.pid.load(Ordering::Relaxed);
        format!("participant {id} ('{}', process {pid}) died", self.label.read())
    }
}

/// The process registered for membarrier: its writers do not fence, sleepers must (W1).
const REGISTERED: u64 = 1;
/// The process cannot issue a membarrier: writers it listens to must fence (W1).
const NO_BARRIER: u64 = 2;

// SAFETY: atomics only.
unsafe impl Shared for Board {}
// SAFETY: atomics only.
unsafe impl Shared for Entry {}

/// Entries begin here.
const TABLE: usize = 4096;
const ENTRY: usize = 256;
const _: () = assert!(size_of::<Entry>() <= ENTRY && size_of::<Board>() <= TABLE);
const _: () =
    assert!(offset_of!(Board, publishers) == 2 * LINE && offset_of!(Board, subscribers) == 4 * LINE);
const _: () = assert!(offset_of!(Board, armings) == 6 * LINE && offset_of!(Board, services) == 8 * LINE);
const _: () = assert!(offset_of!(Entry, since) == 32 && offset_of!(Entry, label) == 48);

/// As many share one notice of a death. The kernel lets a descriptor be watched in 500 sets that are watched by another, and
/// in 100 that are so once more, as in an event loop.
const MOST_WATCHERS: usize = 32;

/// Becomes readable when the process of a participant exits.
pub struct Death(PidFd);

impl Death {
    /// Whether it has happened.
    pub fn came(&self) -> bool {
        self.0.exited()
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The table of a domain, seen by a participant or from outside.
pub struct Participants {
    board: Head<Board>,
    fd: LockFd,
    slots: u32,
    namespace: u64,
    deaths: Mutex<HashMap<ParticipantId, Arc<Death>>>,
}

/// What is known of one participant.
#[derive(Clone, Debug)]
pub struct ParticipantEntry {
    pub id: ParticipantId,
    pub pid: u32,
    pub label: String,
    pub since_unix_ms: u64,
    pub same_pid_namespace: bool,
    pub alive: bool,
}

impl Participants {
    /// Opens the table at `path`, making it with `slots` entries if nobody has.
    pub fn open_or_create(path: &Path, slots: u32, quotas: Quotas, access: &Access) -> Result<Participants> {
        loop {
            match Participants::open(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => return other,
            }
            let size = round_to_pages(TABLE + slots as usize * ENTRY);
            let directory = path.parent().unwrap_or(Path::new("/"));
            // Everything that can fail comes before the table gets its name.
            let mapped = file::create_unnamed(directory, size as u64, access)?;
            let mapping = Mapping::new(mapped.as_fd(), size, true)?;
            let fd = LockFd::new(file::reopen(mapped.as_fd())?)?;
            let board: &Board = mapping.at(0);
            board.header.write(Kind::Participants, size, ParticipantId { slot: 0, epoch: 0 }, ObjectId(0));
            board.slots.store(u64::from(slots), Ordering::Relaxed);
            board.quota.store(quotas.domain, Ordering::Relaxed);
            board.participant_quota.store(quotas.participant, Ordering::Relaxed);
            match file::link(fd.as_fd(), path) {
                Ok(()) => return Ok(Participants::of(mapping, fd, slots)),
                Err(FileErrno::EEXIST) => {}
                Err(e) => return Err(crate::sys::os_error(e, format!("creating {}", path.display()))),
            }
        }
    }

    /// Opens an existing table.
    pub fn open(path: &Path) -> Result<Participants> {
        let mapped = file::open_existing(path, true)?;
        let what = path.display();
        let mapping = map_checked(mapped.as_fd(), Kind::Participants, TABLE, true, &what)?;
        let slots = mapping.at::<Board>(0).slots.load(Ordering::Relaxed);
        let fits = ((mapping.len() - TABLE) / ENTRY) as u64;
        if slots == 0 || slots > fits.min(u64::from(MAX_SLOTS)) {
            let text = format!(
                "{what}: it claims {slots} slots, its size holds {fits}; stop its participants and remove the domain's directory"
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(Participants::of(mapping, LockFd::new(file::reopen(mapped.as_fd())?)?, slots as u32))
    }

    fn of(mapping: Mapping, fd: LockFd, slots: u32) -> Participants {
        Participants {
            board: Head::new(mapping),
            fd,
            slots,
            namespace: process::namespace(),
            deaths: Mutex::default(),
        }
    }

    #[inline(always)]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// How many participants there can be at a time.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The limits the domain was made with.
    pub fn quotas(&self) -> Quotas {
        let (board, relaxed) = (self.board(), Ordering::Relaxed);
        Quotas { domain: board.quota.load(relaxed), participant: board.participant_quota.load(relaxed) }
    }

    fn entry(&self, slot: u32) -> &Entry {
        self.board.mapping().at(TABLE + slot as usize * ENTRY)
    }

    /// Takes a free slot for this process, which `started` then. `None`: there is none now, but somebody is just
    /// coming or going.
    pub fn join(&self, domain: &str, label: &str, started: u64) -> Result<Option<ParticipantId>> {
        for slot in 0..self.slots {
            if !lock::try_lock(self.fd.as_fd(), u64::from(slot))? {
                continue;
            }
            let entry = self.entry(slot);
            let tenancy = &entry.tenancy;
            let dead = tenancy.tenant().map(|epoch| entry.obituary(ParticipantId { slot, epoch }));
            let epoch = tenancy.claim(MAX_EPOCH);
            tenancy.pid.store(u64::from(process::pid()), Ordering::Relaxed);
            tenancy.namespace.store(self.namespace, Ordering::Relaxed);
            tenancy.start_time.store(started, Ordering::Relaxed);
            entry.since.store(clock::coarse_millis(), Ordering::Relaxed);
            let barrier = if fence::available() { 0 } else { NO_BARRIER };
            entry.flags.store(barrier | if fence::register() { REGISTERED } else { 0 }, Ordering::Relaxed);
            entry.label.write(label);
            tenancy.settle(epoch);
            dead.iter().for_each(|died| info!("domain '{domain}': {died}"));
            return Ok(Some(ParticipantId { slot, epoch }));
        }
        if self.is_removed() || (0..self.slots).any(|slot| !self.entry(slot).tenancy.is_settled()) {
            return Ok(None);
        }
        Err(Error::new(
            ErrorKind::LimitReached,
            format!(
                "domain '{domain}' is full: all {} participants are taken; close some (`axonic ls` names them), or make the domain anew with a larger max_participants",
                self.slots
            ),
        ))
    }

    /// Takes every slot's lock at once: nobody but this description is in the domain, and nobody
    /// gets in until [`Participants::unlock_all`].
    pub fn try_lock_all(&self) -> bool {
        lock::try_lock_all(self.fd.as_fd(), u64::from(MAX_SLOTS))
    }

    pub fn unlock_all(&self) {
        lock::unlock_all(self.fd.as_fd());
    }

    /// Whether the table has lost its name: the domain was taken away.
    pub fn is_removed(&self) -> bool {
        file::is_unlinked(self.fd.as_fd())
    }

    /// Gives the slot back.
    pub fn leave(&self, me: ParticipantId) {
        self.entry(me.slot).tenancy.vacate(me.epoch);
        lock::unlock(self.fd.as_fd(), u64::from(me.slot));
    }

    /// Whether a participant is of this very process.
    pub fn is_own(&self, id: ParticipantId) -> bool {
        let identity = |id: ParticipantId| self.entry(id.slot).tenancy.identity(self.namespace);
        id.slot < self.slots && identity(id).is_some_and(|(pid, _)| pid == process::pid())
    }

    /// Whether writers of this participant leave fencing to sleepers.
    pub fn is_registered(&self, id: ParticipantId) -> bool {
        id.slot < self.slots && self.entry(id.slot).flags.load(Ordering::Relaxed) & REGISTERED != 0
    }

    /// Whether this participant cannot fence for others when it goes to sleep.
    pub fn lacks_barrier(&self, id: ParticipantId) -> bool {
        id.slot < self.slots && self.entry(id.slot).flags.load(Ordering::Relaxed) & NO_BARRIER != 0
    }

    /// Whether `id` is alive: its epoch is current, its lock is held, and its process, where it can
    /// be seen, has not exited. `me` is the asker's own id, whose lock it cannot ask about.
    pub fn is_alive(&self, id: ParticipantId, me: Option<ParticipantId>) -> bool {
        if Some(id) == me {
            return true;
        }
        if id.slot >= self.slots {
            return false;
        }
        let locked = || lock::is_locked(self.fd.as_fd(), u64::from(id.slot));
        // A child made by raw clone keeps its dead parent's lock: believe the process, where the
        // pid is one of our namespace.
        self.entry(id.slot).tenancy.is_alive(id.epoch, self.namespace, locked, |pid, started| {
            process::start_time(pid).is_none_or(|now| now == started) && !has_exited(pid)
        })
    }

    /// The death notice of a participant; `None` when its process cannot be seen from here (another
    /// pid namespace) or is dead already. The lock must still be held *after* the descriptor was
    /// opened, or the pid may have passed to a stranger.
    pub fn death_of(&self, id: ParticipantId, me: ParticipantId) -> Result<Option<Arc<Death>>> {
        let mut deaths = self.deaths.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(death) = deaths.get(&id).filter(|death| Arc::strong_count(death) <= MOST_WATCHERS) {
            return Ok(Some(death.clone()));
        }
        if id.slot >= self.slots {
            return Ok(None);
        }
        let Some((pid, _)) = self.entry(id.slot).tenancy.identity(self.namespace) else { return Ok(None) };
        let Some(pidfd) = PidFd::open(pid)? else { return Ok(None) };
        if !self.is_alive(id, Some(me)) {
            return Ok(None);
        }
        let death = Arc::new(Death(pidfd));
        // A notice nobody watches is a descriptor nobody needs: its participant may have left, and its
        // process live on.
        deaths.retain(|_, death| Arc::strong_count(death) > 1);
        deaths.insert(id, death.clone());
        Ok(Some(death))
    }

    /// Everybody whose entry is not free, the dead included.
    pub fn list(&self, me: Option<ParticipantId>) -> Vec<ParticipantEntry> {
        (0..self.slots).filter_map(|slot| self.describe(slot, me)).collect()
    }

    /// What is known of one of them, as long as its entry is not another's.
    pub fn entry_of(&self, id: ParticipantId, me: Option<ParticipantId>) -> Option<ParticipantEntry> {
        (id.slot < self.slots).then(|| self.describe(id.slot, me))?.filter(|entry| entry.id == id)
    }

    fn describe(&self, slot: u32, me: Option<ParticipantId>) -> Option<ParticipantEntry> {
        let entry = self.entry(slot);
        let id = ParticipantId { slot, epoch: entry.tenancy.tenant()? };
        Some(ParticipantEntry {
            id,
            pid: entry.tenancy.pid.load(Ordering::Relaxed) as u32,
            label: entry.label.read(),
            since_unix_ms: clock::unix_of(entry.since.load(Ordering::Relaxed)),
            same_pid_namespace: self.namespace != 0
                && entry.tenancy.namespace.load(Ordering::Relaxed) == self.namespace,
            alive: self.is_alive(id, me),
        })
    }

    /// Empties the table and says who had died. The caller holds every lock, so whoever is listed is dead, or `me`.
    pub fn bury_all(&self, me: Option<ParticipantId>) -> Vec<String> {
        let mut dead = Vec::new();
        for slot in 0..self.slots {
            let entry = self.entry(slot);
            if let Some(epoch) = entry.tenancy.tenant() {
                let id = ParticipantId { slot, epoch };
                dead.extend((Some(id) != me).then(|| entry.obituary(id)));
                entry.tenancy.vacate(epoch);
            }
        }
        dead
    }

    /// Frees the entry of a dead participant, so that it is no longer listed, and says who it was. Taking its lock
    /// proves that nobody has it; our own lock, which we could take again and would then give back, is left alone.
    pub fn bury(&self, id: ParticipantId, me: ParticipantId) -> Option<String> {
        if id.slot >= self.slots
            || id.slot == me.slot
            || !matches!(lock::try_lock(self.fd.as_fd(), u64::from(id.slot)), Ok(true))
        {
            return None;
        }
        let entry = self.entry(id.slot);
        let died = (entry.tenancy.tenant() == Some(id.epoch)).then(|| entry.obituary(id));
        entry.tenancy.vacate(id.epoch);
        lock::unlock(self.fd.as_fd(), u64::from(id.slot));
        died
    }
}

/// Whether a process has exited, be it that nobody has waited for it yet, or that somebody does this instant.
fn has_exited(pid: u32) -> bool {
    match PidFd::open(pid) {
        Ok(process) => process.is_none_or(|process| process.exited()),
        // Not to be found out now.
        Err(_) => false,
    }
}
