//! Locks between processes: what all types do alike.
//!
//! The owner of a lock is a handle of the core, which one thread uses at a time. An object of Python's has a pool of them
//! ([`SharedLock`]): each thread, and each task of an event loop, that waits takes one out for itself, and puts it back
//! with what it got. So threads and tasks that share an object wait for each other, and none has to wait for a turn.
//!
//! What can be answered at once is, attached; everything else runs detached, with the whole timeout: between two slices
//! a lock's waiters would lose their places. The core asks meanwhile, for signals ([`waiting`]).

mod asyncio;
mod barrier;
mod condvar;
mod event;
mod mutex;
mod rwlock;
mod semaphore;

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axonic::{Error, ErrorKind, LockHandle, LockOptions, SharedLock};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

pub use barrier::PyBarrier;
pub use condvar::PyCondvar;
pub use event::PyEvent;
pub use mutex::PyMutex;
pub use rwlock::{PyHeld, PyRwLock};
pub use semaphore::PySemaphore;

use crate::asked::waiting;
use crate::domain::{Held, Home, wait_name};
use crate::error::{OrRaise, raise};
use crate::log::{deliver, detached};

/// Who has a lock, or something of it.
#[pyclass(frozen, get_all, name = "LockHolder", module = "axonic")]
pub struct PyLockHolder {
    /// As its own pid namespace numbers it; 0, and `label` "", where nothing is known of it any more.
    pid: u32,
    /// What `axonic ls` shows for it.
    label: String,
    /// Since when, in seconds since 1970, as of time.time(); None where that is not known.
    since: Option<f64>,
    /// If not, it died, and nobody has taken the lock since.
    alive: bool,
    /// By a signal or a debugger.
    stopped: bool,
    /// "owner" (of a mutex, or one that writes), "reader", "permit" (each of a semaphore's) or "party" (one that waits at a
    /// barrier).
    role: &'static str,
}

impl PyLockHolder {
    pub fn new(holder: axonic::LockHolder) -> PyLockHolder {
        let axonic::LockHolder { pid, label, since_unix_ms, alive, stopped, role, .. } = holder;
        let since = (since_unix_ms != 0).then_some(since_unix_ms as f64 / 1000.0);
        PyLockHolder { pid, label, since, alive, stopped, role }
    }
}

#[pymethods]
impl PyLockHolder {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let PyLockHolder { pid, label, since, alive, stopped, role } = self;
        let python = |value: Bound<'_, PyAny>| Ok::<String, PyErr>(value.repr()?.to_string());
        Ok(format!(
            "LockHolder(pid={pid}, label={}, since={}, alive={}, stopped={}, role={})",
            python(label.into_pyobject(py)?.into_any())?,
            python(since.into_pyobject(py)?)?,
            python(alive.into_pyobject(py)?.to_owned().into_any())?,
            python(stopped.into_pyobject(py)?.to_owned().into_any())?,
            python(role.into_pyobject(py)?.into_any())?,
        ))
    }
}

/// Gets something if it is there.
type Attempt<T> = fn(&mut T) -> axonic::Result<Option<bool>>;

/// One way to get something of a lock. What is got says one bit: whether the owner died, or whether it leads.
pub struct Way<T> {
    attempt: Attempt<T>,
    /// The same for those who wait by the descriptor, where that differs.
    waiting: Option<Attempt<T>>,
    wait: fn(&mut T, Option<Duration>) -> axonic::Result<bool>,
    /// Their descriptor.
    fd: fn(&mut T) -> axonic::Result<RawFd>,
    /// What is said to who waited so and is out of time.
    timed_out: fn(&T, Option<Duration>) -> Error,
    /// Ends the attempts of a handle: what it got at the last moment.
    give_up: fn(&mut T) -> Option<bool>,
    /// Puts back a handle that got something.
    put: fn(&SharedLock<T>, T) -> axonic::Result<()>,
}

/// What was got is nothing that a handle has.
fn put_idle<T: LockHandle>(shared: &SharedLock<T>, handle: T) -> axonic::Result<()> {
    shared.put_idle(handle);
    Ok(())
}

/// What a handle gets it has at once.
fn nothing_late<T>(_: &mut T) -> Option<bool> {
    None
}

/// A lock of any type, and its handles.
pub struct Lock<T> {
    name: String,
    options: LockOptions,
    home: Arc<Home>,
    shared: SharedLock<T>,
    closed: Arc<AtomicBool>,
}

impl<T: LockHandle + 'static> Lock<T> {
    pub fn open(
        py: Python<'_>,
        noun: &str,
        name: &str,
        options: LockOptions,
        home: &Arc<Home>,
        open: impl Fn(&axonic::Domain, &str, &LockOptions) -> axonic::Result<T> + Send + Sync + 'static,
    ) -> PyResult<Arc<Lock<T>>> {
        let (domain, own, how) = (home.core.clone(), name.to_owned(), options.clone());
        let open = move || open(&domain, &own, &how);
        let what = format!("{noun} '{name}'");
        let shared = detached(py, || SharedLock::new(what, open)).or_raise(py)?;
        let (name, home) = (name.to_owned(), home.clone());
        let lock = Arc::new(Lock { name, options, home, shared, closed: Arc::default() });
        let held: Weak<dyn Held> = Arc::<Lock<T>>::downgrade(&lock);
        lock.home.hold(held);
        Ok(lock)
    }

    /// A handle that has nothing.
    fn idle(&self, py: Python<'_>) -> PyResult<T> {
        match self.shared.spare() {
            Some(handle) => Ok(handle),
            None => detached(py, || self.shared.idle()).or_raise(py),
        }
    }

    /// Puts a handle back, with what it `got`.
    fn put(
        &self,
        handle: T,
        way: &Way<T>,
        got: axonic::Result<Option<bool>>,
    ) -> axonic::Result<Option<bool>> {
        match got {
            Ok(Some(_)) => (way.put)(&self.shared, handle)?,
            _ => self.shared.put_idle(handle),
        }
        got
    }

    /// Gets something, waiting up to `timeout` (`None`: for ever).
    fn take(&self, py: Python<'_>, way: &Way<T>, timeout: Option<Duration>) -> PyResult<bool> {
        if let Some(handle) = self.shared.spare()
            && let Some(got) = self.attempt(py, way, handle)?
        {
            return Ok(got);
        }
        self.wait(py, way, timeout)
    }

    /// The same without the look at what is there already.
    fn wait(&self, py: Python<'_>, way: &Way<T>, timeout: Option<Duration>) -> PyResult<bool> {
        let waited = waiting(py, Some(&self.closed), || {
            let mut handle = self.shared.idle()?;
            let got = (way.wait)(&mut handle, timeout).map(Some);
            self.put(handle, way, got)
        })?;
        waited.map(|got| got == Some(true)).map_err(|error| self.ended(py, error))
    }

    /// Gets something if it is there.
    fn try_take(&self, py: Python<'_>, way: &Way<T>) -> PyResult<Option<bool>> {
        let handle = self.idle(py)?;
        self.attempt(py, way, handle)
    }

    fn attempt(&self, py: Python<'_>, way: &Way<T>, mut handle: T) -> PyResult<Option<bool>> {
        let got = (way.attempt)(&mut handle);
        let got = self.put(handle, way, got);
        deliver(py);
        got.or_raise(py)
    }

    /// The error of a wait: one that ended because the lock was closed here says that.
    fn ended(&self, py: Python<'_>, error: Error) -> PyErr {
        let was_closed = error.kind() == ErrorKind::Interrupted && self.closed.load(Ordering::Acquire);
        let closed = if was_closed { self.shared.idle().err() } else { None };
        raise(py, closed.unwrap_or(error))
    }

    /// What is said to who is out of time and has no handle any more.
    fn timed_out(&self, way: &Way<T>, timeout: Option<Duration>) -> Error {
        let handle = match self.shared.idle() {
            Ok(handle) => handle,
            Err(error) => return error,
        };
        let said = (way.timed_out)(&handle, timeout);
        self.shared.put_idle(handle);
        said
    }

    /// Gives back what one of the handles has.
    fn give(&self, py: Python<'_>, give: fn(&mut T) -> axonic::Result<()>) -> PyResult<()> {
        let Some(mut handle) = self.shared.holding() else {
            // The core says what is wrong.
            return self.with_idle(py, give);
        };
        let given = give(&mut handle);
        if given.is_ok() {
            self.shared.put_idle(handle);
            deliver(py);
        } else {
            // What it has is not this process's, or gone: it is of no use any more.
            detached(py, || drop(handle));
        }
        given.or_raise(py)
    }

    /// Asks or tells the lock something that needs no lock held.
    fn with_idle<R>(&self, py: Python<'_>, call: impl FnOnce(&mut T) -> axonic::Result<R>) -> PyResult<R> {
        let mut handle = self.idle(py)?;
        let done = call(&mut handle);
        self.shared.put_idle(handle);
        deliver(py);
        done.or_raise(py)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.home.core.is_closed()
    }

    /// Gives back what is held; who waits learns of it.
    fn close(&self, py: Python<'_>) {
        detached(py, || self.shared.close());
        self.closed.store(true, Ordering::Release);
    }

    /// `<axonic.Mutex "gpu" in "demo", held>`.
    fn repr(&self, class: &str, more: &str) -> String {
        let state = if self.is_closed() { ", closed" } else { more };
        format!("<axonic.{class} {:?} in {:?}{state}>", self.name, self.home.core.name())
    }

    /// What pickle stores, with the type's own `options`.
    fn reduce<'py>(
        &self,
        py: Python<'py>,
        noun: &str,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        options.set_item("wait", wait_name(self.options.wait))?;
        self.home.reduce(py, noun, &self.name, options)
    }
}

impl<T: LockHandle + 'static> Held for Lock<T> {
    fn let_go(&self, py: Python<'_>) -> PyResult<()> {
        self.close(py);
        Ok(())
    }
}
