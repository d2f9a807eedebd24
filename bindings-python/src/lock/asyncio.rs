//! What a task of an event loop has while it waits for a lock: a handle of its own, and its descriptor.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axonic::{Error, LockHandle};
use pyo3::prelude::*;

use super::{Lock, Way};
use crate::error::{OrRaise, raise};
use crate::gate::limit;
use crate::log::{deliver, detached};
use crate::message::lock;

/// The attempts of one task to get something of a lock. For `axonic.aio`.
#[pyclass(frozen, name = "_Attempts", module = "axonic._native")]
pub struct PyAttempts(Mutex<Box<dyn Attempts>>);

impl PyAttempts {
    pub fn new<T: LockHandle + 'static>(lock: &Arc<Lock<T>>, way: &'static Way<T>) -> PyAttempts {
        PyAttempts(Mutex::new(Box::new(Task { lock: lock.clone(), way, handle: None, waits: false })))
    }
}

#[pymethods]
impl PyAttempts {
    /// What was got, one bit; None: nothing yet.
    fn attempt(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        let ready = lock(&self.0).is_ready();
        if !ready {
            detached(py, || lock(&self.0).open()).or_raise(py)?;
        }
        let attempted = lock(&self.0).attempt();
        deliver(py);
        attempted.or_raise(py)
    }

    /// The pollable descriptor: readable when it is worth trying again.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        lock(&self.0).fd().or_raise(py)
    }

    /// Ends the attempts; what was got at the last moment. After an attempt that got something it does nothing.
    fn end(&self, py: Python<'_>) -> Option<bool> {
        let late = lock(&self.0).end();
        deliver(py);
        late
    }

    /// The error of who is out of time, once the attempts have ended.
    fn timed_out(&self, py: Python<'_>, timeout: f64) -> PyResult<PyErr> {
        let timeout = limit(py, Some(timeout))?;
        Ok(raise(py, detached(py, || lock(&self.0).timed_out(timeout))))
    }
}

/// The same for a lock of any type.
trait Attempts: Send {
    /// Whether it has a handle, or could take one that is open already.
    fn is_ready(&mut self) -> bool;
    fn open(&mut self) -> axonic::Result<()>;
    fn attempt(&mut self) -> axonic::Result<Option<bool>>;
    fn fd(&mut self) -> axonic::Result<RawFd>;
    fn end(&mut self) -> Option<bool>;
    fn timed_out(&self, timeout: Option<Duration>) -> Error;
}

struct Task<T: 'static> {
    lock: Arc<Lock<T>>,
    way: &'static Way<T>,
    /// From the first attempt until it got something.
    handle: Option<T>,
    /// Somebody knows its descriptor.
    waits: bool,
}

impl<T: LockHandle + 'static> Task<T> {
    /// Its own handle, unless the lock was closed meanwhile.
    fn handle(&mut self) -> axonic::Result<T> {
        let own = self.handle.take().filter(|_| !self.lock.closed.load(Ordering::Acquire));
        own.map_or_else(|| self.lock.shared.idle(), Ok)
    }
}

impl<T: LockHandle + 'static> Attempts for Task<T> {
    fn is_ready(&mut self) -> bool {
        self.handle = self.handle.take().or_else(|| self.lock.shared.spare());
        self.handle.is_some()
    }

    fn open(&mut self) -> axonic::Result<()> {
        self.handle = Some(self.lock.shared.idle()?);
        Ok(())
    }

    fn attempt(&mut self) -> axonic::Result<Option<bool>> {
        let mut handle = self.handle()?;
        let attempt = self.way.waiting.filter(|_| self.waits).unwrap_or(self.way.attempt);
        match attempt(&mut handle) {
            Ok(None) => {
                self.handle = Some(handle);
                Ok(None)
            }
            got => self.lock.put(handle, self.way, got),
        }
    }

    fn fd(&mut self) -> axonic::Result<RawFd> {
        let mut handle = self.handle()?;
        let fd = (self.way.fd)(&mut handle);
        self.waits = true;
        self.handle = Some(handle);
        fd
    }

    fn end(&mut self) -> Option<bool> {
        let mut handle = self.handle.take()?;
        let late = (self.way.give_up)(&mut handle);
        self.lock.shared.put_idle(handle);
        late
    }

    fn timed_out(&self, timeout: Option<Duration>) -> Error {
        self.lock.timed_out(self.way, timeout)
    }
}
