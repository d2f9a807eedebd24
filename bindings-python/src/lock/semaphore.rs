//! Semaphores.

use std::sync::Arc;
use std::time::Duration;

use axonic::{LockOptions, Semaphore, SharedLock};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::asyncio::PyAttempts;
use super::{Lock, Way, nothing_late};
use crate::domain::{Home, leave};
use crate::error::OrRaise;
use crate::gate::limit;
use crate::log::deliver;

static ACQUIRE: Way<Semaphore> = Way {
    attempt: |semaphore| Ok(semaphore.try_acquire()?.then_some(true)),
    waiting: None,
    wait: |semaphore, timeout| semaphore.acquire(timeout).map(|()| true),
    fd: Semaphore::fd,
    timed_out: Semaphore::timed_out,
    give_up: nothing_late,
    put: SharedLock::put_permit,
};

/// A number of permits, each of which one has at a time, between processes and threads. Made by `Domain.semaphore`.
///
/// `with semaphore:` has one for the length of the block. Permits of a process that dies come back by themselves, and
/// so do those of an object that is closed, or that Python forgets. Threads may share the object.
#[pyclass(frozen, weakref, name = "Semaphore", module = "axonic")]
pub struct PySemaphore {
    lock: Arc<Lock<Semaphore>>,
    permits: u32,
    /// For `with` and acquire(), in seconds and as the core takes it.
    seconds: Option<f64>,
    timeout: Option<Duration>,
}

impl PySemaphore {
    pub fn open(
        py: Python<'_>,
        name: &str,
        permits: u32,
        seconds: Option<f64>,
        options: LockOptions,
        home: &Arc<Home>,
    ) -> PyResult<PySemaphore> {
        let timeout = limit(py, seconds)?;
        let lock = Lock::open(py, "semaphore", name, options, home, move |domain, name, options| {
            domain.semaphore(name, permits, options)
        })?;
        Ok(PySemaphore { lock, permits, seconds, timeout })
    }
}

#[pymethods]
impl PySemaphore {
    /// The semaphore's name.
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

    /// How many permits there are.
    #[getter]
    fn permits(&self) -> u32 {
        self.permits
    }

    /// How many of them nobody alive has.
    #[getter]
    fn available(&self, py: Python<'_>) -> PyResult<u32> {
        self.lock.with_idle(py, Semaphore::available)
    }

    /// Takes a permit, waiting up to `timeout` seconds, by default what it was opened with, then raises TimeoutError.
    /// Returns True.
    #[pyo3(signature = (timeout = None))]
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = limit(py, timeout)?.or(self.timeout);
        self.lock.take(py, &ACQUIRE, timeout)
    }

    /// Takes a permit if there is one, and returns whether it did.
    fn try_acquire(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.try_take(py, &ACQUIRE)?.is_some())
    }

    /// Gives a permit back.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let released = self.lock.shared.release();
        deliver(py);
        released.or_raise(py)
    }

    fn _attempts(&self) -> PyAttempts {
        PyAttempts::new(&self.lock, &ACQUIRE)
    }

    /// Gives its permits back, and ends the waits of other threads. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.lock.close(py);
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let semaphore = slf.get();
        semaphore.lock.take(slf.py(), &ACQUIRE, semaphore.timeout)?;
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
        leave(exc_type, self.release(py))
    }

    fn __repr__(&self) -> String {
        self.lock.repr("Semaphore", &format!(", {} permits", self.permits))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("permits", self.permits)?;
        options.set_item("timeout", self.seconds)?;
        self.lock.reduce(py, "semaphore", &options)
    }
}
