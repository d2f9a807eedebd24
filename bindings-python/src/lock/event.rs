//! Events.

use std::sync::Arc;

use axonic::{Event, LockOptions, Reset};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::asyncio::PyAttempts;
use super::{Lock, Way, nothing_late, put_idle};
use crate::domain::Home;
use crate::gate::limit;

static WAIT: Way<Event> = Way {
    attempt: |event| Ok(event.try_wait()?.then_some(true)),
    waiting: None,
    wait: |event, timeout| event.wait(timeout).map(|()| true),
    fd: Event::fd,
    timed_out: Event::timed_out,
    give_up: nothing_late,
    put: put_idle,
};

/// Something that is set or clear, and waited for, between processes and threads. Made by `Domain.event`.
///
/// Set, it lets everybody pass until it is cleared; with `auto_reset=True` the one that passes clears it. It goes with
/// the last object or process that has it open. Threads may share the object.
#[pyclass(frozen, weakref, name = "Event", module = "axonic")]
pub struct PyEvent {
    lock: Arc<Lock<Event>>,
    auto_reset: bool,
}

impl PyEvent {
    pub fn open(
        py: Python<'_>,
        name: &str,
        auto_reset: bool,
        options: LockOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyEvent> {
        let reset = if auto_reset { Reset::Auto } else { Reset::Manual };
        let lock = Lock::open(py, "event", name, options, home, move |domain, name, options| {
            domain.event(name, reset, options)
        })?;
        Ok(PyEvent { lock, auto_reset })
    }
}

#[pymethods]
impl PyEvent {
    /// The event's name.
    #[getter]
    fn name(&self) -> &str {
        &self.lock.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.lock.is_closed()
    }

    /// Whether the one that passes clears it.
    #[getter]
    fn auto_reset(&self) -> bool {
        self.auto_reset
    }

    /// Sets it: everybody who waits passes, however soon it is cleared, or (auto_reset) one of them, or the next to come.
    fn set(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.with_idle(py, Event::set)
    }

    /// Clears it.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.with_idle(py, Event::clear)
    }

    /// Whether it is set.
    fn is_set(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock.with_idle(py, Event::is_set)
    }

    /// Waits up to `timeout` seconds (None: without end) until it is set, then raises TimeoutError. Returns True.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.lock.take(py, &WAIT, limit(py, timeout)?)
    }

    /// Whether it is set; if so, and with auto_reset, clears it.
    fn try_wait(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.try_take(py, &WAIT)?.is_some())
    }

    fn _attempts(&self) -> PyAttempts {
        PyAttempts::new(&self.lock, &WAIT)
    }

    /// Closes it here, and ends the waits of other threads. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.lock.close(py);
    }

    fn __repr__(&self) -> String {
        self.lock.repr("Event", if self.auto_reset { ", auto_reset" } else { "" })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("auto_reset", self.auto_reset)?;
        self.lock.reduce(py, "event", &options)
    }
}
