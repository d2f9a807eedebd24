//! The one gate every call into a core handle passes.
//!
//! A core handle is `Send` but wants `&mut self`, while Python hands the same object to any number of
//! threads. [`Handle`] gives it to one thread at a time under three rules:
//!
//! 1. Whoever is attached to the interpreter (holds the GIL) only ever *tries* the lock. A call that
//!    can be answered at once is answered that way, without detaching.
//! 2. Everything that may wait, or do file work ([`Handle::of_files`]), runs detached: the lock is taken inside the detached section and given
//!    back before attaching again, so the lock and the GIL are never waited for in a circle.
//! 3. A wait is cut into slices of at most [`SLICE`]. Signals are checked between two slices (Ctrl-C
//!    raises `KeyboardInterrupt`) and another thread that wants the handle gets its turn there. Where the
//!    core waits within a slice, for who is stopped or for the disk, it asks, and signals are checked under the
//!    lock: a handler that wants the same handle is refused, for its own thread has the turn ([`is_inside`]).
//!
//! Code that runs under the lock while attached creates no garbage-collected Python object: a
//! collection could run arbitrary code, which could ask for this very handle again.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axonic::{Error, ErrorKind, Wait};
use pyo3::prelude::*;

use crate::asked::{is_inside, waiting_in};
use crate::error::raise;
use crate::log::{deliver, detached};

/// The longest time a thread waits without looking at signals.
const SLICE: Duration = Duration::from_millis(100);

/// How long a waiting loop steps aside when another thread wants the handle.
const COURTESY: Duration = Duration::from_millis(2);

/// Counts the forks between the process that imported the module and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Runs in the child after `os.fork()`: a lock held by a thread that was not copied stays locked for
/// ever, and its generation is how that is recognised.
pub fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The process something of the core belongs to, which a forked child must leave alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    /// This one.
    pub fn current() -> Process {
        Process(GENERATION.load(Ordering::Relaxed))
    }

    /// Refuses in a child that was forked since; `what` is the noun and name.
    pub fn check(self, py: Python<'_>, what: &str, thing: &str) -> PyResult<()> {
        if self == Process::current() {
            return Ok(());
        }
        let text = format!("{what}: this {thing} belongs to the process before the fork; use it there");
        Err(raise(py, Error::new(ErrorKind::Forked, text)))
    }
}

/// Reads an argument that is a time from 0 up, in seconds.
pub fn seconds(py: Python<'_>, argument: &str, seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        let text = format!("{argument}={seconds}: give seconds as a number from 0 up");
        return Err(raise(py, Error::new(ErrorKind::InvalidArgument, text)));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Reads a `timeout=` argument: seconds, `None` waits without end, 0 does not wait.
pub fn limit(py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Duration>> {
    let Some(seconds) = timeout else { return Ok(None) };
    if seconds.is_nan() || seconds < 0.0 {
        let text =
            format!("timeout={seconds}: give seconds as a number from 0 up, or None to wait without end");
        return Err(raise(py, Error::new(ErrorKind::InvalidArgument, text)));
    }
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

/// A time in seconds as the core's errors write it, such as "200ms"; for those that Python makes.
#[pyfunction]
pub fn _span(seconds: f64) -> String {
    format!("{:?}", Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// How long a call may take: a number of seconds, or without end.
#[derive(Clone, Copy)]
pub struct Patience {
    end: Option<Instant>,
    total: Duration,
}

impl Patience {
    const ENDLESS: Patience = Patience { end: None, total: Duration::MAX };

    /// Reads a `timeout=` argument, as [`limit`].
    pub fn new(py: Python<'_>, seconds: Option<f64>) -> PyResult<Patience> {
        Ok(match limit(py, seconds)? {
            None => Patience::ENDLESS,
            Some(total) => Patience { end: Instant::now().checked_add(total), total },
        })
    }

    /// The next slice to wait for.
    fn slice(&self) -> Duration {
        self.end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()).min(SLICE))
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

/// Payloads up to this many bytes are first tried without detaching: copying them takes less time than
/// letting go of the interpreter and getting it back.
pub const QUICK: usize = 16 * 1024;

/// How long a call that may spin looks for something before it lets go of the interpreter: longer than letting go and
/// coming back costs, and nothing beside the 5 ms for which a thread keeps the interpreter anyway.
pub const ATTACHED: Duration = Duration::from_micros(3);

/// Attempts a call that may wait, attached: it spins, if it may, for as long as that is cheaper than letting go of the
/// interpreter. Whether an attempt succeeded.
pub fn soon(wait: Wait, mut attempt: impl FnMut() -> axonic::Result<bool>) -> axonic::Result<bool> {
    if attempt()? {
        return Ok(true);
    }
    if wait == Wait::Block {
        return Ok(false);
    }
    let end = Instant::now() + ATTACHED;
    while Instant::now() < end {
        if attempt()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The error of what was closed: noun and name.
pub fn closed(what: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("{what}: it is closed; open it again to go on"))
}

/// What is awaited of a handle that another thread has.
pub const IN_USE: &str = "it is in use";

/// Nobody is inside.
const FREE: u8 = 0;
/// A thread is inside.
const TAKEN: u8 = 1;
/// The same, and another one sleeps until it is out.
const WANTED: u8 = 2;

/// Whose turn it is: a lock that is tried, never waited for while attached. (Beside std's mutex, which cannot be
/// waited for with a limit, every call would pay a fence to see whether somebody waits.)
struct Turn {
    state: AtomicU8,
    /// Guards nothing but the sleep on `freed`.
    queue: Mutex<()>,
    freed: Condvar,
}

/// A turn that was taken, given back when this is dropped.
struct Taken<'a>(&'a Turn);

impl Turn {
    fn take(&self) -> Option<Taken<'_>> {
        match self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Taken(self)),
            Err(_) => None,
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, ()> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until the turn may be free or `slice` has passed.
    fn wait(&self, slice: Duration) {
        let queue = self.sleepers();
        // Whoever gives the turn back after this finds it wanted, and can tell only once we sleep and `queue` is free.
        let found = self.state.compare_exchange(TAKEN, WANTED, Ordering::Relaxed, Ordering::Relaxed);
        if found != Err(FREE) {
            drop(self.freed.wait_timeout(queue, slice));
        }
    }

    #[cold]
    fn tell(&self) {
        drop(self.sleepers());
        self.freed.notify_all();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.0.state.swap(FREE, Ordering::Release) == WANTED {
            self.0.tell();
        }
    }
}

/// A core handle shared by the threads of one interpreter; `None` inside once closed.
pub struct Handle<T> {
    /// What the handle is, for messages: noun and name.
    what: String,
    /// Even calls that do not wait may have to write to files, or to wait for a disk.
    does_file_work: bool,
    turn: Turn,
    /// Belongs to whoever has the turn.
    value: UnsafeCell<Option<T>>,
    /// [`GENERATION`] when the turn was taken last; meaningful only while it is taken.
    holder: AtomicU32,
    /// Threads blocked in [`Handle::wait_for_turn`].
    waiting: AtomicU32,
    /// [`GENERATION`] of the process it was made ready for.
    home: AtomicU32,
}

// SAFETY: one thread at a time is given the value, and it may be any (`T: Send`); the rest may be shared.
unsafe impl<T: Send> Sync for Handle<T> {}

impl<T: Send> Handle<T> {
    pub fn new(what: String, value: T) -> Handle<T> {
        Handle {
            what,
            does_file_work: false,
            turn: Turn { state: AtomicU8::new(FREE), queue: Mutex::new(()), freed: Condvar::new() },
            value: UnsafeCell::new(Some(value)),
            holder: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            home: AtomicU32::new(GENERATION.load(Ordering::Relaxed)),
        }
    }

    /// One whose calls may do file work.
    pub fn of_files(what: String, value: T, does_file_work: bool) -> Handle<T> {
        Handle { does_file_work, ..Handle::new(what, value) }
    }

    /// Whether its calls may do file work, so that no attached call is to be tried.
    pub fn does_file_work(&self) -> bool {
        self.does_file_work
    }

    /// Whether it is a forked child's copy that was not made ready for it.
    #[inline]
    pub fn is_inherited(&self) -> bool {
        self.home.load(Ordering::Relaxed) != GENERATION.load(Ordering::Relaxed)
    }

    /// It is ready for this process.
    pub fn adopt(&self) {
        self.home.store(GENERATION.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Noun and name, as error messages begin.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Runs `f` on the handle if no other thread has it now; `None` otherwise. Never blocks.
    #[inline]
    fn attempt<R>(&self, f: impl FnOnce(&mut Option<T>) -> R) -> Option<R> {
        // A panic in `f` surfaces as an exception. The turn is given back then too: closing must stay possible.
        let _taken = self.turn.take()?;
        self.holder.store(GENERATION.load(Ordering::Relaxed), Ordering::Relaxed);
        // SAFETY: the turn is ours until `_taken` is dropped, and with it the only reference to the value.
        Some(f(unsafe { &mut *self.value.get() }))
    }

    /// Sleeps, detached, until the handle may be free or `slice` has passed.
    fn wait_for_turn(&self, slice: Duration) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.turn.wait(slice);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells this handle from others.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Another thread has the handle: wait for it, looking at signals in between.
    fn contended(&self, py: Python<'_>, slice: Duration) -> PyResult<()> {
        if self.holder.load(Ordering::Relaxed) != GENERATION.load(Ordering::Relaxed) {
            let text = format!(
                "{}: another thread was using it at the moment of the fork, so this process cannot; \
                 open it again here",
                self.what
            );
            return Err(raise(py, Error::new(ErrorKind::Forked, text)));
        }
        if is_inside(self.address()) {
            let text = format!(
                "{}: a call of this thread is using it, which a signal's handler interrupted; use it after the \
                 handler",
                self.what
            );
            return Err(raise(py, Error::new(ErrorKind::InUse, text)));
        }
        py.detach(|| self.wait_for_turn(slice));
        py.check_signals()
    }

    fn closed(&self) -> Error {
        closed(&self.what)
    }

    /// One attached try: `None` when another thread has the handle or the handle is closed. For the
    /// fast paths, which fall back to [`Handle::enter`].
    #[inline]
    pub fn quick<R>(&self, py: Python<'_>, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let result = self.quick_within(f);
        deliver(py);
        result
    }

    /// The same within a call on another handle, at whose end it is told what happened in this one.
    #[inline]
    pub fn quick_within<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.attempt(|value| value.as_mut().map(f)).flatten()
    }

    /// Runs a call that does not wait; only another thread inside the handle can delay it.
    pub fn with<R>(&self, py: Python<'_>, mut f: impl FnMut(&mut T) -> R) -> PyResult<R> {
        loop {
            let attempt = self.attempt(|value| value.as_mut().map(&mut f));
            deliver(py);
            match attempt {
                Some(Some(result)) => return Ok(result),
                Some(None) => return Err(raise(py, self.closed())),
                None => self.contended(py, SLICE)?,
            }
        }
    }

    /// Like [`Handle::with`] for calls that answer with a core result.
    pub fn call<R>(&self, py: Python<'_>, f: impl FnMut(&mut T) -> axonic::Result<R>) -> PyResult<R> {
        self.with(py, f)?.map_err(|error| raise(py, error))
    }

    /// As [`Handle::quick`], detached if it may do file work, and then to be interrupted.
    pub fn try_briefly<R: Send>(
        &self,
        py: Python<'_>,
        f: impl FnOnce(&mut T) -> R + Send,
    ) -> PyResult<Option<R>> {
        if !self.does_file_work {
            return Ok(self.quick(py, f));
        }
        waiting_in(py, self.address(), || self.quick_within(f))
    }

    /// As [`Handle::call`], detached if it may do file work.
    pub fn briefly<R: Send>(
        &self,
        py: Python<'_>,
        mut f: impl FnMut(&mut T) -> axonic::Result<R> + Send,
    ) -> PyResult<R> {
        if !self.does_file_work {
            return self.call(py, f);
        }
        self.enter(py, Patience::ENDLESS, None, |value, _| Ok(f(value)))?.map_err(|error| raise(py, error))
    }

    /// Runs a call that may wait. `step` runs detached and waits for at most the time it is given;
    /// `Timeout` and `Interrupted` from it mean "not yet". At the end of the caller's patience the
    /// core's last word is raised; where that names the slice's time, `awaited` says what did not happen.
    pub fn enter<R: Send>(
        &self,
        py: Python<'_>,
        patience: Patience,
        awaited: Option<&str>,
        mut step: impl FnMut(&mut T, Duration) -> axonic::Result<R> + Send,
    ) -> PyResult<R> {
        let mut last = None;
        let waited = self.enter_or_none(py, patience, |value, slice| match step(value, slice) {
            Ok(result) => Ok(Some(result)),
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {
                last = Some(error);
                Ok(None)
            }
            Err(error) => Err(error),
        })?;
        waited.ok_or_else(|| {
            let said = last.filter(|error| awaited.is_none() && error.kind() == ErrorKind::Timeout);
            raise(py, said.unwrap_or_else(|| self.late(patience, awaited.unwrap_or(IN_USE))))
        })
    }

    /// The error at the end of the caller's patience.
    pub fn late(&self, patience: Patience, awaited: &str) -> Error {
        let text = format!("{}: {awaited} within {:?}", self.what, patience.total);
        Error::new(ErrorKind::Timeout, text)
    }

    /// Like [`Handle::enter`] where "not yet" is `None`, and so is the end of the caller's patience.
    pub fn enter_or_none<R: Send>(
        &self,
        py: Python<'_>,
        patience: Patience,
        mut step: impl FnMut(&mut T, Duration) -> axonic::Result<Option<R>> + Send,
    ) -> PyResult<Option<R>> {
        loop {
            let slice = patience.slice();
            let attempt = || self.attempt(|value| value.as_mut().map(|value| step(value, slice)));
            match waiting_in(py, self.address(), attempt)? {
                None => self.contended(py, slice)?,
                Some(None) => return Err(raise(py, self.closed())),
                Some(Some(Ok(Some(result)))) => return Ok(Some(result)),
                Some(Some(Ok(None))) => {}
                Some(Some(Err(error))) => return Err(raise(py, error)),
            }
            py.check_signals()?;
            if patience.is_over() {
                return Ok(None);
            }
            self.step_aside(py);
        }
    }

    /// Between two slices, lets a thread that waits for the handle have it: an unfair lock would be
    /// taken again at once by the thread that has just let go.
    fn step_aside(&self, py: Python<'_>) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            py.detach(|| std::thread::sleep(COURTESY));
        }
    }

    /// Takes the core handle out for good and drops it detached; does nothing the second time.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        loop {
            match self.attempt(Option::take) {
                Some(value) => {
                    detached(py, || drop(value));
                    return Ok(());
                }
                None => self.contended(py, SLICE)?,
            }
        }
    }

    /// Whether [`Handle::close`] was called. A handle another thread is using is open.
    pub fn is_closed(&self) -> bool {
        self.attempt(|value| value.is_none()).unwrap_or(false)
    }
}
