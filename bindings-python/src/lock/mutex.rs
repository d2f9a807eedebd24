//! Mutexes.

use std::sync::Arc;
use std::time::Duration;

use axonic::{LockOptions, Mutex, SharedLock};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::asyncio::PyAttempts;
use super::{Lock, Way, nothing_late};
use crate::domain::{Home, leave};
use crate::gate::limit;

static LOCK: Way<Mutex> = Way {
    attempt: |mutex| Ok(mutex.try_lock()?.map(|how| how.owner_died)),
    waiting: None,
    wait: |mutex, timeout| Ok(mutex.lock(timeout)?.owner_died),
    fd: Mutex::fd,
    timed_out: Mutex::timed_out,
    give_up: nothing_late,
    put: SharedLock::put_holding,
};

/// A mutex between processes; of threads and tasks that share this object, one has it too. Made by `Domain.mutex`.
///
/// `with mutex:` has it for the length of the block. If a process dies while it has it, whoever gets it next does so at
/// once and `owner_died` is True: what it protects may be half-changed. It is not reentrant, and any thread may release
/// it. It is not fair: whoever releases it and wants it again at once mostly gets it before one that sleeps for it. An
/// object that is closed, or that Python forgets, releases it.
#[pyclass(frozen, weakref, name = "Mutex", module = "axonic")]
pub struct PyMutex {
    pub(super) lock: Arc<Lock<Mutex>>,
    /// For `with` and acquire(), in seconds and as the core takes it.
    seconds: Option<f64>,
    timeout: Option<Duration>,
}

impl PyMutex {
    pub fn open(
        py: Python<'_>,
        name: &str,
        seconds: Option<f64>,
        options: LockOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyMutex> {
        let timeout = limit(py, seconds)?;
        let lock = Lock::open(py, "mutex", name, options, home, axonic::Domain::mutex)?;
        Ok(PyMutex { lock, seconds, timeout })
    }

    pub(super) fn lock(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock.take(py, &LOCK, self.timeout)
    }

    pub(super) fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.give(py, Mutex::unlock)
    }
}

#[pymethods]
impl PyMutex {
    /// The mutex's name.
    #[getter]
    fn name(&self) -> &str {
        &self.lock.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.lock.is_closed()
    }

    /// How many seconds `with` and acquire() wait; None: without end.
    #[getter]
    fn timeout(&self) -> Option<f64> {
        self.seconds
    }

    /// Whether the owner before died while it had it; until it is released.
    #[getter]
    fn owner_died(&self) -> bool {
        self.lock.shared.any(|mutex| mutex.is_locked() && mutex.owner_died())
    }

    /// Takes it, waiting up to `timeout` seconds, by default what it was opened with, then raises TimeoutError. Returns True.
    #[pyo3(signature = (timeout = None))]
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = limit(py, timeout)?.or(self.timeout);
        self.lock.take(py, &LOCK, timeout).map(|_| true)
    }

    /// Takes it if nobody alive has it, and returns whether it did.
    fn try_acquire(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.try_take(py, &LOCK)?.is_some())
    }

    /// Gives it back.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.unlock(py)
    }

    /// Whether this object has it, for any of its threads.
    fn locked(&self) -> bool {
        self.lock.shared.any(Mutex::is_locked)
    }

    fn _attempts(&self) -> PyAttempts {
        PyAttempts::new(&self.lock, &LOCK)
    }

    /// Releases it if it is held, and ends the waits of other threads. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.lock.close(py);
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().lock(slf.py())?;
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
        leave(exc_type, self.unlock(py))
    }

    fn __repr__(&self) -> String {
        self.lock.repr("Mutex", if self.locked() { ", held" } else { "" })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("timeout", self.seconds)?;
        self.lock.reduce(py, "mutex", &options)
    }
}
