//! A domain: a named place where processes meet.
//!
//! It is a directory on a tmpfs with a participant table and one directory per kind of object.
//! Opening it takes a slot in the table; nothing else happens: no thread, no signal handler.

pub mod asked;
pub mod catalogue;
pub mod layout;
#[allow(dead_code)]
pub mod object;
mod open;
pub mod participants;
pub mod quota;
pub mod steps;
pub mod waiter;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::file::Access;
use crate::sys::fork;
use catalogue::Catalogue;
use layout::ObjectId;
pub use layout::ParticipantId;
use participants::{ParticipantEntry, Participants};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use tracing::{debug, warn};

pub(crate) use open::{Place, data_dir, find};
pub use open::{domains, domains_in, runtime_dir};

/// How a wait waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Never sleeps: lowest latency, one core busy for as long as it waits.
    Spin,
    /// Spins for about 40 microseconds, then sleeps.
    #[default]
    Adaptive,
    /// Sleeps at once: the least processor time.
    Block,
}

/// Kinds of named objects that [`Domain::unlink`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// What finished publishers of a topic left behind.
    Topic,
    /// A named region of memory.
    Region,
    /// A ring and what is in it.
    Ring,
    /// A queue and what is in it.
    Queue,
    /// A lock of any type.
    Lock,
}

/// How to open a domain. The default opens the domain named by `AXONIC_DOMAIN`, or `default`.
#[derive(Clone, Debug, Default)]
pub struct DomainOptions {
    /// Name of the domain; `None` means `AXONIC_DOMAIN`, or `default`.
    pub name: Option<String>,
    /// Directory that holds domains; `None` means `AXONIC_RUNTIME_DIR`, or a directory of this user
    /// on `/dev/shm`. Must be on a tmpfs.
    pub runtime_dir: Option<PathBuf>,
    /// Permission bits of the domain's files: `0o600` (default), `0o660` for a group's domain, `0o666` for
    /// everybody. An existing domain of this user keeps its own.
    pub mode: Option<u32>,
    /// Group number the domain's files are given to; implies mode `0o660`.
    pub group: Option<u32>,
    /// Slots of a new domain's participant table, 1 to 4096; default 1024. An existing domain keeps its own.
    pub max_participants: Option<u32>,
    /// Bytes of shared memory a new domain's objects may take together; default: no limit but the
    /// filesystem's. An existing domain keeps its own.
    pub quota: Option<u64>,
    /// Bytes of shared memory each participant of a new domain may take; default: no limit.
    pub participant_quota: Option<u64>,
    /// Directory for what must survive a reboot; `None` means `AXONIC_DATA_DIR`, or `axonic` in `XDG_STATE_HOME`, which
    /// is `~/.local/state` unless set.
    pub data_dir: Option<PathBuf>,
    /// How `axonic ls` shows this participant; default: the program's name.
    pub label: Option<String>,
}

/// One participation in a domain. Clones share it; it ends with [`Domain::close`] or when the last
/// clone and the last handle made from it are gone. `Send` and `Sync`.
///
/// After a fork the child's handles open the domain anew at their first use.
#[derive(Clone)]
pub struct Domain {
    inner: Arc<Inner>,
}

/// What a handle leaves in shared memory, taken back when it or its domain is closed.
pub(crate) trait Attached: Send + Sync {
    /// Takes it back; `false` when something of it is still in use. Called once or more, from any thread.
    fn detach(&self) -> bool;
}

/// No process's token, also not the zero of a forked child that has none yet.
const CLOSED: u64 = u64::MAX;

pub(crate) struct Inner {
    /// The fork token it was opened under; [`CLOSED`] once closed. One comparison tells a usable handle.
    state: AtomicU64,
    token: u64,
    options: DomainOptions,
    place: Place,
    me: ParticipantId,
    serial: AtomicU32,
    pub(crate) participants: Participants,
    publishers: Mutex<Catalogue>,
    subscribers: Mutex<Catalogue>,
    attached: Mutex<Vec<Weak<dyn Attached>>>,
    /// The first object made here sweeps up after the dead.
    swept: AtomicBool,
    /// Collects, when the last participant leaves, what the floors above know to be garbage.
    collector: OnceLock<open::Collector>,
    /// The slot was given back.
    left: AtomicBool,
    /// The domain as a forked child opened it anew.
    reopened: OnceLock<Domain>,
}

impl Domain {
    /// Opens the domain `name`, making it if it does not exist.
    pub fn open(name: &str) -> Result<Domain> {
        Domain::open_with(DomainOptions { name: Some(name.into()), ..Default::default() })
    }

    /// Opens the domain named by `AXONIC_DOMAIN`, or `default`.
    pub fn open_default() -> Result<Domain> {
        Domain::open_with(DomainOptions::default())
    }

    /// Opens a domain with options.
    pub fn open_with(options: DomainOptions) -> Result<Domain> {
        let token = fork::renew();
        let (place, participants, me) = open::join(&options)?;
        let catalogue = |directory: &str| Mutex::new(Catalogue::new(place.path.join(directory)));
        let inner = Inner {
            state: AtomicU64::new(token),
            token,
            me,
            serial: AtomicU32::new(0),
            participants,
            publishers: catalogue(open::PUBLISHERS),
            subscribers: catalogue(open::SUBSCRIBERS),
            attached: Mutex::default(),
            swept: AtomicBool::new(false),
            collector: OnceLock::new(),
            left: AtomicBool::new(false),
            reopened: OnceLock::new(),
            options,
            place,
        };
        debug!(
            "domain '{}': joined as participant {me}, in {}",
            inner.place.name,
            inner.place.path.display()
        );
        Ok(Domain { inner: Arc::new(inner) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.place.name
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.inner.place.path
    }

    /// Who this is in the participant table; in a forked child, from its first use on, the child's own.
    pub fn participant(&self) -> ParticipantId {
        match self.inner.reopened.get() {
            Some(reopened) if self.forked() => reopened.participant(),
            _ => self.inner.me,
        }
    }

    /// The options it was opened with.
    pub fn options(&self) -> &DomainOptions {
        &self.inner.options
    }

    /// Where what must survive a reboot is kept.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        open::data_dir(&self.inner.options)
    }

    /// Leaves the domain: its publishers and subscribers are withdrawn, what its locks hold goes back, and all answer `Closed`
    /// from now on. Borrowed samples stay readable. Closing twice does nothing.
    pub fn close(&self) {
        self.inner.close();
        // What a forked child opened anew is the same domain to it.
        if let (true, Some(reopened)) = (self.forked(), self.inner.reopened.get()) {
            reopened.close();
        }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.inner.state.load(Ordering::Relaxed) == CLOSED
    }

    /// Whether handles of this domain may be used as they are: not closed, not carried over a fork.
    #[inline(always)]
    pub(crate) fn usable(&self) -> bool {
        self.inner.state.load(Ordering::Relaxed) == fork::token()
    }

    /// Whether this is a copy in a forked child, whose shared side belongs to the parent.
    pub(crate) fn forked(&self) -> bool {
        self.inner.forked()
    }

    /// The domain to use now: itself, or in a forked child the one opened anew there.
    pub(crate) fn current(&self) -> Result<Domain> {
        if self.usable() {
            return Ok(self.clone());
        }
        if self.is_closed() {
            return Err(closed(&format!("domain '{}'", self.name())));
        }
        if let Some(reopened) = self.inner.reopened.get() {
            return reopened.current();
        }
        let fresh = Domain::open_with(self.inner.options.clone())?;
        debug!("domain '{}': opened anew in a forked child", self.name());
        self.inner.reopened.get_or_init(|| fresh).current()
    }

    /// Why something could not be opened here. Where another thread has closed the domain meanwhile, its directory may be
    /// gone, whatever the call stumbled over: that is the reason then.
    pub(crate) fn not_opened(&self, noun: &str, name: &str, error: Error) -> Error {
        if self.is_closed() { closed(&format!("domain '{}'", self.name())) } else { error.of(noun, name) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    fn forked(&self) -> bool {
        fork::token() != self.token
    }

    fn close(&self) {
        if self.forked() || self.state.swap(CLOSED, Ordering::AcqRel) == CLOSED {
            self.state.store(CLOSED, Ordering::Release);
            return;
        }
        let mut attached = lock(&self.attached).clone();
        attached.retain(|object| object.upgrade().is_some_and(|object| !object.detach()));
        *lock(&self.attached) = attached;
        self.released();
    }

    /// Leaves if nothing is in use any more that was when this was closed: a borrowed sample counts only as long as its
    /// participant lives. What may be in use says when it is not; whoever does not drops us in the end, and we leave then.
    pub fn released(&self) {
        let closed = self.state.load(Ordering::Acquire) == CLOSED;
        if closed && lock(&self.attached).iter().all(|object| object.strong_count() == 0) {
            self.leave();
        }
    }

    fn leave(&self) {
        if !self.forked() && !self.left.swap(true, Ordering::AcqRel) {
            open::leave(&self.place, &self.participants, self.me, self.collector.get().copied());
            debug!("domain '{}': participant {} left", self.place.name, self.me);
        }
    }

    /// Before an object is made here: `sweep` runs once per participation, and again if it could not look at
    /// everything; `collect` runs when this is the last participant to leave.
    pub fn arrive(&self, collect: open::Collector, sweep: impl FnOnce() -> Result<()>) {
        self.collector.get_or_init(|| collect);
        if !self.swept.swap(true, Ordering::AcqRel)
            && let Err(e) = sweep()
        {
            self.swept.store(false, Ordering::Release);
            warn!(
                "domain '{}': what the dead left could not all be looked at, the next object opened looks again: {e}",
                self.place.name
            );
        }
    }

    /// A number for a new object of this participant.
    pub fn new_id(&self) -> ObjectId {
        ObjectId::new(self.me, self.serial.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub fn me(&self) -> ParticipantId {
        self.me
    }

    pub fn access(&self) -> &Access {
        &self.place.access
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn directory(&self, kind: Directory) -> PathBuf {
        self.place.directory(kind)
    }

    pub fn publishers(&self) -> MutexGuard<'_, Catalogue> {
        lock(&self.publishers)
    }

    pub fn subscribers(&self) -> MutexGuard<'_, Catalogue> {
        lock(&self.subscribers)
    }

    pub fn is_alive(&self, id: ParticipantId) -> bool {
        self.participants.is_alive(id, Some(self.me))
    }

    pub fn entry_of(&self, id: ParticipantId) -> Option<ParticipantEntry> {
        self.participants.entry_of(id, Some(self.me))
    }

    /// A participant as people know it: `'worker' (pid 7)`.
    pub fn who(&self, id: ParticipantId) -> String {
        match self.entry_of(id) {
            Some(_) if self.participants.is_own(id) => "this process".into(),
            Some(entry) => format!("'{}' (pid {})", short(&entry.label), entry.pid),
            None => format!("participant {id}, which is gone"),
        }
    }

    /// Several of them, of whom the first few are named; who is not in the table yet is somebody all the same.
    pub fn people(&self, ids: impl IntoIterator<Item = ParticipantId>) -> String {
        const NAMED: usize = 5;
        let mut names: Vec<String> = ids.into_iter().map(|id| self.who(id)).collect();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        match more {
            _ if names.is_empty() => "a live process".into(),
            0 => names.join(", "),
            more => format!("{}, and {more} more", names.join(", ")),
        }
    }

    /// Remembers what to take back at close.
    pub fn attach(&self, object: Weak<dyn Attached>) {
        let mut attached = lock(&self.attached);
        if attached.len() == attached.capacity() {
            attached.retain(|object| object.strong_count() > 0);
        }
        attached.push(object);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let was_closed = self.state.load(Ordering::Relaxed) == CLOSED;
        self.close();
        self.leave();
        if was_closed && !self.forked() {
            // Another thread may have been about to make something when we left.
            open::take_away(&self.place, &self.participants, None, self.collector.get().copied());
        }
    }
}

/// A label for the middle of a sentence; it may be a whole program (`python -c ...`).
fn short(label: &str) -> String {
    const SHOWN: usize = 40;
    let dots = if label.chars().nth(SHOWN).is_some() { "..." } else { "" };
    let shown = label.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c });
    shown.chain(dots.chars()).collect()
}

pub(crate) use open::Directory;

/// A lock of this process; a panic elsewhere leaves plain data behind it, not a broken invariant.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The error of using something closed.
pub(crate) fn closed(what: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("{what} was closed; open it again"))
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_closed() { "closed" } else { "open" };
        write!(f, "Domain({:?}, participant {}, {state})", self.name(), self.participant())
    }
}
