//! Conditions to wait for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axonic::{Condvar, Error, ErrorKind, LockOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::mutex::PyMutex;
use super::{Lock, waiting};
use crate::domain::{Home, leave};
use crate::error::raise;
use crate::gate::limit;

/// A condition to wait for between processes and threads, with the mutex that protects what it is about. Made by
/// `Domain.condvar`.
///
/// As `threading.Condition`, but that wait() and wait_for() raise TimeoutError: `with condvar:` has the mutex for the
/// length of the block, wait() gives it back and takes it again. Threads may share the object.
#[pyclass(frozen, weakref, name = "Condvar", module = "axonic")]
pub struct PyCondvar {
    lock: Arc<Lock<Condvar>>,
    mutex: Py<PyMutex>,
}

impl PyCondvar {
    pub fn open(
        py: Python<'_>,
        name: &str,
        mutex: Py<PyMutex>,
        options: LockOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyCondvar> {
        let lock = Lock::open(py, "condvar", name, options, home, axonic::Domain::condvar)?;
        Ok(PyCondvar { lock, mutex })
    }

    /// Waits to be notified; has the mutex afterwards, unless that was closed.
    fn sleep(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<()> {
        let mutexes = &self.mutex.get().lock;
        let mut unlocked = None;
        let mut waited = waiting(py, Some(&self.lock.closed), || {
            let mut condvar = self.lock.shared.idle()?;
            let holding = mutexes.shared.holding();
            let held = holding.is_some();
            // Where none has it, the core says so.
            let mut mutex = holding.map_or_else(|| mutexes.shared.idle(), Ok)?;
            let waited = condvar.wait(&mut mutex, timeout);
            self.lock.shared.put_idle(condvar);
            if mutex.is_locked() {
                mutexes.shared.put_holding(mutex)?;
            } else if held {
                unlocked = Some(mutex);
            } else {
                mutexes.shared.put_idle(mutex);
            }
            waited.map(drop)
        });
        if let Some(mut mutex) = unlocked {
            // Its block would unlock what another thread has. So whatever handlers of signals raise meanwhile waits too.
            let locked = loop {
                match waiting(py, Some(&mutexes.closed), || mutex.lock(None)) {
                    Ok(locked) => break locked,
                    Err(raised) => waited = Err(raised),
                }
            };
            // Where it cannot be locked, the block's end tells.
            drop(locked.and_then(|_| mutexes.shared.put_holding(mutex)));
        }
        waited?.map_err(|error| self.lock.ended(py, error))
    }
}

#[pymethods]
impl PyCondvar {
    /// The condition's name.
    #[getter]
    fn name(&self) -> &str {
        &self.lock.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.lock.is_closed()
    }

    /// Gives the mutex back, waits up to `timeout` seconds (None: without end) to be notified, and takes the mutex again,
    /// however long that takes: Ctrl-C ends the wait, and is raised with the mutex taken. Returns True; raises TimeoutError when the time was over, with the mutex taken too.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.sleep(py, limit(py, timeout)?).map(|()| true)
    }

    /// Waits until `predicate()` is true, and returns what it answers. Raises TimeoutError when it is not after `timeout`
    /// seconds.
    #[pyo3(signature = (predicate, timeout = None))]
    fn wait_for<'py>(
        &self,
        py: Python<'py>,
        predicate: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let end = limit(py, timeout)?.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let answer = predicate.call0()?;
            if answer.is_truthy()? {
                return Ok(answer);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let text = format!(
                    "condvar '{}': what was waited for did not come true within {} s; its mutex is locked again",
                    self.lock.name,
                    timeout.unwrap_or_default()
                );
                return Err(raise(py, Error::new(ErrorKind::Timeout, text)));
            }
            match self.sleep(py, left) {
                // It is asked once more.
                Err(error) if error.is_instance_of::<pyo3::exceptions::PyTimeoutError>(py) => {}
                slept => slept?,
            }
        }
    }

    /// Wakes up to `n` of those who wait, who have waited longest, and returns how many.
    #[pyo3(signature = (n = 1))]
    fn notify(&self, py: Python<'_>, n: usize) -> PyResult<usize> {
        self.lock.with_idle(py, |condvar| {
            let mut woken = 0;
            while woken < n && condvar.notify_one()? {
                woken += 1;
            }
            Ok(woken)
        })
    }

    /// Wakes all who wait, and returns how many.
    fn notify_all(&self, py: Python<'_>) -> PyResult<usize> {
        self.lock.with_idle(py, Condvar::notify_all)
    }

    /// Closes it here, not its mutex, and ends the waits of other threads. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.lock.close(py);
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().mutex.get().lock(slf.py())?;
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
        leave(exc_type, self.mutex.get().unlock(py))
    }

    fn __repr__(&self) -> String {
        self.lock.repr("Condvar", "")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("mutex", &self.mutex)?;
        self.lock.reduce(py, "condvar", &options)
    }
}
