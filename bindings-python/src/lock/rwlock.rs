//! Readers' and writers' locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axonic::{LockOptions, RwLock, SharedLock};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::asyncio::PyAttempts;
use super::{Lock, Way, nothing_late};
use crate::domain::{Home, leave};
use crate::gate::limit;

static READ: Way<RwLock> = Way {
    attempt: |lock| Ok(lock.try_read()?.map(|how| how.owner_died)),
    waiting: None,
    wait: |lock, timeout| Ok(lock.read(timeout)?.owner_died),
    fd: RwLock::fd,
    timed_out: RwLock::reading_timed_out,
    give_up: nothing_late,
    put: SharedLock::put_holding,
};

static WRITE: Way<RwLock> = Way {
    attempt: |lock| Ok(lock.try_write()?.map(|how| how.owner_died)),
    waiting: Some(|lock| Ok(lock.claim_write()?.map(|how| how.owner_died))),
    wait: |lock, timeout| Ok(lock.write(timeout)?.owner_died),
    fd: RwLock::fd,
    timed_out: RwLock::writing_timed_out,
    give_up: nothing_late,
    put: SharedLock::put_holding,
};

/// A lock that many read or one writes, between processes; whoever waits to write stops those who come to read. Made by
/// `Domain.rwlock`.
///
/// `with lock.read():` and `with lock.write():` have it for the length of the block. Threads may share the object: each
/// reads or writes for itself. If a process dies while it writes, whoever comes next is told by `owner_died`. An object
/// that is closed, or that Python forgets, releases what it has.
#[pyclass(frozen, weakref, name = "RwLock", module = "axonic")]
pub struct PyRwLock {
    lock: Arc<Lock<RwLock>>,
}

impl PyRwLock {
    pub fn open(py: Python<'_>, name: &str, options: LockOptions, home: &Arc<Home>) -> PyResult<PyRwLock> {
        Ok(PyRwLock { lock: Lock::open(py, "rwlock", name, options, home, axonic::Domain::rwlock)? })
    }

    fn block(&self, py: Python<'_>, write: bool, timeout: Option<f64>) -> PyResult<PyHeld> {
        Ok(PyHeld {
            lock: self.lock.clone(),
            write,
            timeout: limit(py, timeout)?,
            blocks: AtomicU32::new(0),
            owner_died: AtomicBool::new(false),
        })
    }
}

/// How to get it.
fn way(write: bool) -> &'static Way<RwLock> {
    if write { &WRITE } else { &READ }
}

#[pymethods]
impl PyRwLock {
    /// The lock's name.
    #[getter]
    fn name(&self) -> &str {
        &self.lock.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.lock.is_closed()
    }

    /// Whether it was got after a writer died while it wrote; until it is released.
    #[getter]
    fn owner_died(&self) -> bool {
        self.lock.shared.any(|lock| lock.is_locked() && lock.owner_died())
    }

    /// For `with lock.read() as held:`: reads for the length of the block. Its beginning waits up to `timeout` seconds
    /// (None: without end), then raises TimeoutError. The call alone takes nothing; acquire_read() does without a block.
    #[pyo3(signature = (timeout = None))]
    fn read(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PyHeld> {
        self.block(py, false, timeout)
    }

    /// The same for writing.
    #[pyo3(signature = (timeout = None))]
    fn write(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PyHeld> {
        self.block(py, true, timeout)
    }

    /// Takes it for reading, until release(), waiting up to `timeout` seconds, then raises TimeoutError. Returns True.
    #[pyo3(signature = (timeout = None))]
    fn acquire_read(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.lock.take(py, &READ, limit(py, timeout)?).map(|_| true)
    }

    /// Takes it for writing.
    #[pyo3(signature = (timeout = None))]
    fn acquire_write(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.lock.take(py, &WRITE, limit(py, timeout)?).map(|_| true)
    }

    /// Takes it for reading if nobody alive writes or waits to, and returns whether it did.
    fn try_acquire_read(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.try_take(py, &READ)?.is_some())
    }

    /// Takes it for writing if nobody alive has it, and returns whether it did.
    fn try_acquire_write(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.try_take(py, &WRITE)?.is_some())
    }

    /// Gives back what one of acquire_read() and acquire_write() took.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.give(py, RwLock::unlock)
    }

    /// Whether this object has it, for any of its threads.
    fn locked(&self) -> bool {
        self.lock.shared.any(RwLock::is_locked)
    }

    fn _attempts(&self, write: bool) -> PyAttempts {
        PyAttempts::new(&self.lock, way(write))
    }

    /// Releases what is held, and ends the waits of other threads. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.lock.close(py);
    }

    fn __repr__(&self) -> String {
        self.lock.repr("RwLock", if self.locked() { ", held" } else { "" })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.lock.reduce(py, "rwlock", &PyDict::new(py))
    }
}

/// What a `with` block has of a lock that many read or one writes. Made by `RwLock.read` and `RwLock.write`; nothing is
/// taken until the block begins.
#[pyclass(frozen, name = "Held", module = "axonic")]
pub struct PyHeld {
    lock: Arc<Lock<RwLock>>,
    write: bool,
    timeout: Option<Duration>,
    /// How many blocks have it.
    blocks: AtomicU32,
    owner_died: AtomicBool,
}

#[pymethods]
impl PyHeld {
    /// Whether a writer died while it wrote, so that what the lock protects may be half-changed.
    #[getter]
    fn owner_died(&self) -> bool {
        self.owner_died.load(Ordering::Relaxed)
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let held = slf.get();
        let owner_died = held.lock.take(slf.py(), way(held.write), held.timeout)?;
        held.blocks.fetch_add(1, Ordering::Relaxed);
        held.owner_died.store(owner_died, Ordering::Relaxed);
        Ok(slf)
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc_value, traceback);
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        leave(exc_type, self.lock.give(py, RwLock::unlock))
    }

    fn __repr__(&self) -> String {
        let how = if self.write { "to write" } else { "to read" };
        let taken = if self.blocks.load(Ordering::Relaxed) > 0 { "held" } else { "not held" };
        self.lock.repr("Held", &format!(", {how}, {taken}"))
    }
}
