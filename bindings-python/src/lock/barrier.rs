//! Barriers.

use std::sync::Arc;

use axonic::{Barrier, LockOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::asyncio::PyAttempts;
use super::{Lock, Way, put_idle};
use crate::domain::Home;
use crate::error::OrRaise;
use crate::gate::limit;
use crate::log::{deliver, detached};

static ARRIVE: Way<Barrier> = Way {
    attempt: Barrier::try_wait,
    waiting: None,
    wait: Barrier::wait,
    fd: Barrier::fd,
    timed_out: Barrier::timed_out,
    give_up: |barrier| matches!(barrier.withdraw(), Ok(false)).then_some(false),
    put: put_idle,
};

/// A place where so many wait until all of them have arrived, between processes and threads. Made by `Domain.barrier`.
///
/// Each thread or task that waits is a party; threads may share the object. One whose process dies has not arrived.
#[pyclass(frozen, weakref, name = "Barrier", module = "axonic")]
pub struct PyBarrier {
    lock: Arc<Lock<Barrier>>,
    parties: u32,
}

impl PyBarrier {
    pub fn open(
        py: Python<'_>,
        name: &str,
        parties: u32,
        options: LockOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyBarrier> {
        let lock = Lock::open(py, "barrier", name, options, home, move |domain, name, options| {
            domain.barrier(name, parties, options)
        })?;
        Ok(PyBarrier { lock, parties })
    }
}

#[pymethods]
impl PyBarrier {
    /// The barrier's name.
    #[getter]
    fn name(&self) -> &str {
        &self.lock.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.lock.is_closed()
    }

    /// How many must arrive.
    #[getter]
    fn parties(&self) -> u32 {
        self.parties
    }

    /// How many have arrived and wait.
    #[getter]
    fn waiting(&self, py: Python<'_>) -> PyResult<u32> {
        let lock = &self.lock;
        if lock.is_closed() {
            return lock.with_idle(py, Barrier::waiting);
        }
        let waiting = match lock.shared.spare() {
            Some(mut barrier) => {
                let waiting = barrier.waiting();
                lock.shared.put_idle(barrier);
                waiting
            }
            // Another handle might take a party's place.
            None => detached(py, || Barrier::waiting_at(&lock.home.core, &lock.name)),
        };
        deliver(py);
        waiting.or_raise(py)
    }

    /// Arrives, and waits until all have. Returns True to the last one, of which there is one each time. After `timeout`
    /// seconds (None: without end) raises TimeoutError, and has not arrived.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.lock.wait(py, &ARRIVE, limit(py, timeout)?)
    }

    fn _attempts(&self) -> PyAttempts {
        PyAttempts::new(&self.lock, &ARRIVE)
    }

    /// Closes it here, and ends the waits of other threads, which have not arrived then. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.lock.close(py);
    }

    fn __repr__(&self) -> String {
        self.lock.repr("Barrier", &format!(", {} parties", self.parties))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("parties", self.parties)?;
        self.lock.reduce(py, "barrier", &options)
    }
}
