//! Core handles that several threads use at the same time.
//!
//! The core has turns of its own for these, so they need no gate. What can be answered at once is, attached; what may wait
//! runs detached with the whole timeout, and the core asks meanwhile, for signals and whether the handle was closed here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axonic::{Error, ErrorKind};
use pyo3::prelude::*;

use crate::asked::{is_inside, waiting_on};
use crate::domain::Held;
use crate::error::{OrRaise, raise};
use crate::gate::closed;
use crate::log::{deliver, detached};

pub struct Shared<T> {
    /// What the handle is, for messages: noun and name.
    what: String,
    core: T,
    close: fn(&T),
    closed: Arc<AtomicBool>,
    /// An event loop works with it, by its descriptor.
    in_loop: AtomicBool,
}

impl<T: Send + Sync> Shared<T> {
    pub fn new(what: String, core: T, close: fn(&T)) -> Arc<Shared<T>> {
        Arc::new(Shared { what, core, close, closed: Arc::default(), in_loop: AtomicBool::new(false) })
    }

    pub fn core(&self) -> &T {
        &self.core
    }

    /// Noun and name, as error messages begin.
    pub fn what(&self) -> &str {
        &self.what
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// A call that does not wait.
    #[inline]
    pub fn call<R>(&self, py: Python<'_>, call: impl FnOnce(&T) -> axonic::Result<R>) -> PyResult<R> {
        let done = call(&self.core);
        deliver(py);
        done.or_raise(py)
    }

    /// From now on an event loop works with it.
    pub fn give_to_loop(&self) {
        self.in_loop.store(true, Ordering::Relaxed);
    }

    /// For who reads what comes: of what a thread reads for others the descriptor that an event loop sleeps on tells nothing.
    #[inline]
    pub fn check_loop(&self, py: Python<'_>) -> PyResult<()> {
        if !self.in_loop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let text = format!(
            "{}: an event loop has it, which would miss what a thread reads; wait there, or open another one for the thread",
            self.what
        );
        Err(raise(py, Error::new(ErrorKind::InUse, text)))
    }

    /// A call that waits for what comes.
    pub fn wait_reading<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&T) -> axonic::Result<R> + Send,
    ) -> PyResult<R> {
        self.check_loop(py)?;
        self.wait(py, call)
    }

    /// A call that may wait.
    pub fn wait<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&T) -> axonic::Result<R> + Send,
    ) -> PyResult<R> {
        self.wait_told(py, call)?.or_raise(py)
    }

    /// The same for who looks at the core's error.
    pub fn wait_told<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&T) -> axonic::Result<R> + Send,
    ) -> PyResult<axonic::Result<R>> {
        if self.is_inside() {
            let text = format!(
                "{}: a call of this thread is using it, which a signal's handler interrupted; use it after the handler",
                self.what
            );
            return Err(raise(py, Error::new(ErrorKind::InUse, text)));
        }
        let done = waiting_on(py, self.address(), &self.closed, || call(&self.core));
        if self.is_closed() {
            // A signal's handler may have, which cannot wait until this call is over.
            detached(py, || (self.close)(&self.core));
        }
        done.map(|done| done.map_err(|error| self.ended(error)))
    }

    /// The error of a wait: one that ended because the handle was closed here says that.
    fn ended(&self, error: Error) -> Error {
        let was_closed = error.kind() == ErrorKind::Interrupted && self.is_closed();
        if was_closed { closed(&self.what) } else { error }
    }

    /// Whether a call of this thread is using it, which a signal's handler has interrupted.
    pub fn is_inside(&self) -> bool {
        is_inside(self.address())
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends it, and the waits of other threads. From a signal's handler in the middle of its call, when that is over.
    pub fn close(&self, py: Python<'_>) {
        self.closed.store(true, Ordering::Release);
        if !self.is_inside() {
            detached(py, || (self.close)(&self.core));
        }
    }
}

impl<T: Send + Sync> Held for Shared<T> {
    fn let_go(&self, py: Python<'_>) -> PyResult<()> {
        self.close(py);
        Ok(())
    }
}
