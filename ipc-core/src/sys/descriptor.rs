//! Descriptors one sleeps on: epoll sets, bells (FIFOs) and timers.

use super::clock::own_nanos;
use super::crash::point;
use super::file::{self, Access};
use super::os_error;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::Mode;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{mkfifo, read, write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// An epoll set; its own descriptor is pollable in turn.
pub struct Epoll(epoll::Epoll);

/// At most this many events are taken per call; the rest stay for the next.
const BATCH: usize = 64;

impl Epoll {
    pub fn new() -> Result<Epoll> {
        epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map(Epoll)
            .map_err(|e| os_error(e, "creating an epoll descriptor to wait on"))
    }

    /// Watches `fd` for input under `token`, level-triggered.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> Result<()> {
        self.add_for(fd, EpollFlags::EPOLLIN, token)
    }

    /// Watches `fd` for room to write to, in the same way.
    pub fn add_output(&self, fd: BorrowedFd<'_>, token: u64) -> Result<()> {
        self.add_for(fd, EpollFlags::EPOLLOUT, token)
    }

    /// Watches a descriptor that many sets watch: input wakes one of those who wait then. Who is stopped or busy
    /// with something else does not wait, and sets that others watch in turn are told all.
    pub fn add_exclusively(&self, fd: BorrowedFd<'_>, token: u64) -> Result<()> {
        self.add_for(fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, token)
    }

    fn add_for(&self, fd: BorrowedFd<'_>, what: EpollFlags, token: u64) -> Result<()> {
        self.0
            .add(fd, EpollEvent::new(what, token))
            .map_err(|e| match e {
                Errno::ENOSPC => Error::new(
                    ErrorKind::LimitReached,
                    "watching a descriptor: this user watches as many as the system allows; raise fs.epoll.max_user_watches or close handles",
                ),
                e => os_error(e, "watching a descriptor"),
            })
    }

    /// Stops watching `fd`; a descriptor that is not watched is no error.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        let _ = self.0.delete(fd);
    }

    /// Waits for input and calls `each` with the tokens that have some. An interrupted wait counts
    /// as no input, so that the caller looks around before sleeping on.
    pub fn wait(&self, timeout: Option<Duration>, mut each: impl FnMut(u64)) -> Result<()> {
        let mut events = [EpollEvent::empty(); BATCH];
        match self.0.wait(&mut events, epoll_timeout(timeout)) {
            Ok(n) => events[..n].iter().for_each(|event| each(event.data())),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(os_error(e, "waiting on an epoll descriptor")),
        }
        Ok(())
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

/// A descriptor that is readable when there is room to write to another, made when it is asked for first.
pub fn watch_output(watching: &mut Option<Epoll>, fd: BorrowedFd<'_>) -> Result<RawFd> {
    if watching.is_none() {
        let epoll = Epoll::new()?;
        epoll.add_output(fd, 0)?;
        *watching = Some(epoll);
    }
    Ok(watching.as_ref().map_or(-1, Epoll::as_raw_fd))
}

/// Rounds up to whole milliseconds, so that a wait never ends early and then spins.
fn epoll_timeout(timeout: Option<Duration>) -> EpollTimeout {
    match timeout {
        None => EpollTimeout::NONE,
        Some(t) => {
            let millis = t.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
            EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
        }
    }
}

/// Makes the FIFO a sleeper is woken through, for those whom `access` lets in, or nothing.
#[track_caller]
pub fn make_bell(path: &Path, access: &Access) -> Result<OwnedFd> {
    point();
    match mkfifo(path, Mode::from_bits_truncate(access.mode & 0o600)) {
        Ok(()) => {}
        // The name carries slot, epoch and serial: a leftover can only be our own half-made one.
        Err(Errno::EEXIST) => {}
        Err(e) => return Err(os_error(e, format!("making the bell {}", path.display()))),
    }
    let made = file::set_group(path, access.group)
        .and_then(|()| file::set_mode(path, access.mode))
        .and_then(|()| open_bell(path));
    if made.is_err() {
        file::unlink(path);
    }
    made
}

/// Opens a bell. Read-write even for a ringer: a FIFO without a reader would raise SIGPIPE, and an
/// open for writing alone would wait for one. What is no FIFO is not written to.
pub fn open_bell(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let foreign = || {
        Err(Error::new(
            ErrorKind::Corrupt,
            format!("the bell {}: it is not a FIFO; remove it", path.display()),
        ))
    };
    match open(path, flags, Mode::empty()) {
        Ok(fd) if file::is_fifo(fd.as_fd()) => Ok(fd),
        Ok(_) | Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => foreign(),
        Err(e) => Err(os_error(e, format!("opening the bell {}", path.display()))),
    }
}

/// Rings: one byte. A full FIFO has bytes enough to wake its sleeper.
#[track_caller]
pub fn ring(bell: BorrowedFd<'_>) {
    point();
    let _ = write(bell, &[1]);
}

/// A bell of many sleepers, beside the object they sleep for. It outlives whoever made it.
pub struct Bell(OwnedFd);

impl Bell {
    /// Opens it; whoever comes first makes it, under a name of its own (`passing`) until it is complete.
    pub fn open_or_make(path: &Path, passing: &Path, access: &Access) -> Result<Bell> {
        match open_bell(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            opened => return opened.map(Bell),
        }
        drop(make_bell(passing, access)?);
        let linked = file::link_beside(passing, path);
        file::unlink(passing);
        linked.and_then(|()| open_bell(path)).map(Bell)
    }

    /// Wakes one of those who sleep.
    #[track_caller]
    pub fn ring(&self) {
        ring(self.0.as_fd());
    }

    /// Takes one ring, if nobody else has.
    pub fn take_one(&self) {
        let _ = read(self.0.as_fd(), &mut [0; 1]);
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor kept for when there is no other: whoever leaves must be able to wake those it was in the way
/// of, and to open their bells takes one. Plus one; zero while there is none. No lock, which a fork could find held.
static SPARE: AtomicI32 = AtomicI32::new(0);

/// Keeps the spare descriptor; `false` if it was kept already.
pub fn keep_spare() -> Result<bool> {
    if SPARE.load(Ordering::Relaxed) != 0 {
        return Ok(false);
    }
    let made = EventFd::from_flags(EfdFlags::EFD_CLOEXEC);
    let made: OwnedFd = made.map_err(|e| os_error(e, "keeping a descriptor in reserve"))?.into();
    let kept = SPARE.compare_exchange(0, made.as_raw_fd() + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if kept {
        let _ = made.into_raw_fd();
    }
    Ok(kept)
}

/// Gives the spare descriptor up; whether there was one.
pub fn release_spare() -> bool {
    let spare = SPARE.swap(0, Ordering::AcqRel);
    if spare != 0 {
        // SAFETY: the descriptor kept above, taken from its place by nobody but us.
        drop(unsafe { OwnedFd::from_raw_fd(spare - 1) });
    }
    spare != 0
}

/// Does what takes one descriptor for a moment, in place of the spare one if there is no other.
pub fn with_spare<T>(mut act: impl FnMut() -> Result<T>) -> Result<T> {
    match act() {
        Err(e) if e.kind() == ErrorKind::LimitReached => {
            if !release_spare() {
                return Err(e);
            }
            let done = act();
            let _ = keep_spare();
            done
        }
        done => done,
    }
}

/// Rings at a bell that is not at hand. Whose bell is gone needs no ring.
pub fn ring_at(path: &Path) {
    let _ = with_spare(|| open_bell(path).map(|bell| ring(bell.as_fd())));
}

/// Takes every byte out of a bell.
#[track_caller]
pub fn silence(bell: BorrowedFd<'_>) {
    point();
    let mut buffer = [0; 256];
    while matches!(read(bell, &mut buffer), Ok(n) if n == buffer.len()) {}
}

/// A descriptor that is readable from when it is raised until it is lowered, within one process.
pub struct Signal(EventFd);

impl Signal {
    pub fn new() -> Result<Signal> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        EventFd::from_flags(flags).map(Signal).map_err(|e| os_error(e, "creating an event descriptor"))
    }

    pub fn raise(&self) {
        let _ = self.0.write(1);
    }

    pub fn lower(&self) {
        let _ = self.0.read();
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor that becomes readable every period, or once at a time.
pub struct Timer(TimerFd);

impl Timer {
    /// One that is not set.
    pub fn new() -> Result<Timer> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map(Timer).map_err(|e| os_error(e, "creating a timer"))
    }

    pub fn every(period: Duration) -> Result<Timer> {
        let timer = Timer::new()?;
        timer
            .0
            .set(Expiration::Interval(period.into()), TimerSetTimeFlags::empty())
            .map_err(|e| os_error(e, format!("starting a timer of {period:?}")))?;
        Ok(timer)
    }

    /// Becomes readable at `nanos` of the machine's monotonic clock, instead of what was set before.
    pub fn at(&self, nanos: u64) -> Result<()> {
        let at = Duration::from_nanos(own_nanos(nanos).max(1));
        self.0
            .set(Expiration::OneShot(at.into()), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .map_err(|e| os_error(e, "setting a timer"))
    }

    /// Not set any more, and quiet.
    pub fn stop(&self) {
        let _ = self.0.unset();
    }

    /// Takes the expirations seen so far, so that the descriptor is quiet until the next.
    pub fn take(&self) {
        let _ = read(self.0.as_fd(), &mut [0; 8]);
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
