//! Waiting for several sources at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axonic::WaitSet;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};

use crate::domain::leave;
use crate::error::{OrRaise, invalid, raise};
use crate::gate::{Handle, Patience};
use crate::message::lock;
use crate::publisher::PyPublisher;
use crate::subscriber::PySubscriber;
use crate::whole;

/// One thing waited for.
struct Entry {
    /// What `wait()` answers.
    key: Py<PyAny>,
    /// Kept open while it is waited for.
    _source: Option<Py<PyAny>>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    known: HashMap<u64, Entry>,
}

/// Waits for any of several subscribers, publishers, descriptors and timers, sleeping in between.
#[pyclass(frozen, weakref, name = "WaitSet", module = "axonic")]
pub struct PyWaitSet {
    handle: Handle<WaitSet>,
    entries: Mutex<Entries>,
}

impl PyWaitSet {
    /// Reserves a token. The core knows numbers, Python knows the objects behind them.
    fn token(&self) -> u64 {
        let mut entries = lock(&self.entries);
        entries.next += 1;
        entries.next
    }

    fn remember(&self, token: u64, key: &Bound<'_, PyAny>, source: Option<&Bound<'_, PyAny>>) {
        let entry =
            Entry { key: key.clone().unbind(), _source: source.map(|source| source.clone().unbind()) };
        lock(&self.entries).known.insert(token, entry);
    }

    fn keys(&self, py: Python<'_>) -> Vec<(u64, Py<PyAny>)> {
        lock(&self.entries).known.iter().map(|(token, entry)| (*token, entry.key.clone_ref(py))).collect()
    }

    /// Adds a handle of ours: both locks are only tried, and neither is kept while waiting for the other.
    fn add_handle<T: Send>(
        &self,
        py: Python<'_>,
        source: &Handle<T>,
        add: impl Fn(&mut WaitSet, &mut T) -> axonic::Result<()>,
    ) -> PyResult<()> {
        loop {
            match self.handle.with(py, |set| source.quick_within(|core| add(set, core)))? {
                Some(added) => return added.or_raise(py),
                None => source.with(py, |_| ())?,
            }
        }
    }

    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        for (token, known) in self.keys(key.py()) {
            let known = known.bind(key.py());
            if known.is(key) || known.eq(key)? {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }
}

#[pymethods]
impl PyWaitSet {
    #[new]
    fn new(py: Python<'_>) -> PyResult<PyWaitSet> {
        let core = WaitSet::new().map_err(|error| raise(py, error))?;
        Ok(PyWaitSet { handle: Handle::new("wait set".into(), core), entries: Mutex::default() })
    }

    /// Waits for `source` too: a subscriber, a publisher (room after WouldBlockError), or anything with
    /// a descriptor (`fileno()` or a number). `wait()` answers `key`, by default the source itself.
    /// Returns the key.
    #[pyo3(signature = (source, key = None))]
    fn add<'py>(
        &self,
        source: &Bound<'py, PyAny>,
        key: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = source.py();
        let key = key.unwrap_or_else(|| source.clone());
        if self.find(&key)?.is_some() {
            return Err(invalid(py, format!("wait set: {} is in it already", key.repr()?)));
        }
        let token = self.token();
        if let Ok(subscriber) = source.cast::<PySubscriber>() {
            self.add_handle(py, &subscriber.get().handle, |set, core| set.add_subscriber(core, token))?;
        } else if let Ok(publisher) = source.cast::<PyPublisher>() {
            self.add_handle(py, &publisher.get().handle, |set, core| set.add_publisher(core, token))?;
        } else {
            let fd: i32 = match source.extract() {
                Ok(fd) => fd,
                Err(_) if source.is_instance_of::<PyInt>() => whole::fd(source)?,
                Err(_) => source.call_method0("fileno")?.extract()?,
            };
            self.handle.call(py, |set| set.add_fd(fd, token))?;
        }
        self.remember(token, &key, Some(source));
        Ok(key)
    }

    /// Adds a timer that is ready every `period` seconds; `wait()` answers `key`, by default the period.
    /// Returns the key.
    #[pyo3(signature = (period, key = None))]
    fn add_timer<'py>(
        &self,
        py: Python<'py>,
        period: f64,
        key: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let key = match key {
            Some(key) => key,
            None => period.into_pyobject(py)?.into_any(),
        };
        if self.find(&key)?.is_some() {
            return Err(invalid(py, format!("wait set: {} is in it already", key.repr()?)));
        }
        let Ok(every) = Duration::try_from_secs_f64(period) else {
            return Err(invalid(py, format!("wait set: a period of {period} s is no time a timer can have")));
        };
        let token = self.token();
        self.handle.call(py, |set| set.add_timer(every, token))?;
        self.remember(token, &key, None);
        Ok(key)
    }

    /// Stops waiting for the source or timer with this key.
    fn remove(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(token) = self.find(key)? else {
            return Err(invalid(py, format!("wait set: {} is not in it", key.repr()?)));
        };
        self.handle.with(py, |set| set.remove(token))?;
        let entry = lock(&self.entries).known.remove(&token);
        drop(entry);
        Ok(())
    }

    /// Waits until something is ready and returns the keys of all that are; an empty list when nothing
    /// was within `timeout` seconds (None waits without end).
    #[pyo3(signature = (timeout = None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyList>> {
        let patience = Patience::new(py, timeout)?;
        let waited = self.handle.enter_or_none(py, patience, |set, slice| {
            let ready = set.wait(Some(slice))?;
            Ok((!ready.is_empty()).then_some(ready))
        })?;
        let tokens = waited.unwrap_or_default();
        let entries = lock(&self.entries);
        let keys: Vec<Py<PyAny>> = tokens
            .iter()
            .filter_map(|token| entries.known.get(token))
            .map(|entry| entry.key.clone_ref(py))
            .collect();
        drop(entries);
        PyList::new(py, keys)
    }

    /// The pollable descriptor: readable when wait() would answer at once.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.handle.with(py, |set| set.fd())
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Forgets all sources, which stay open; closing again does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.close(py)?;
        self.__clear__();
        Ok(())
    }

    fn __len__(&self) -> usize {
        lock(&self.entries).known.len()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
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
        leave(exc_type, self.close(py))
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<axonic.WaitSet of {}{closed}>", self.__len__())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The collector may run while this thread is inside; what is skipped then is only kept longer.
        let Ok(entries) = self.entries.try_lock() else { return Ok(()) };
        for entry in entries.known.values() {
            visit.call(&entry.key)?;
            visit.call(&entry._source)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let known = std::mem::take(&mut lock(&self.entries).known);
        drop(known);
    }
}
