//! Counts what is still looking at shared memory.
//!
//! Closing a handle while an array or memoryview of its memory is alive would leave that view looking
//! at memory that may be reused, so `close()` refuses then, as `mmap.close()` does. Counts add up from
//! a sample to its subscriber to its domain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axonic::{Error, ErrorKind};
use pyo3::prelude::*;

use crate::error::raise;

/// The live views of one handle and of everything below it.
pub struct Views {
    live: AtomicUsize,
    parent: Option<Arc<Views>>,
}

impl Views {
    pub fn root() -> Arc<Views> {
        Arc::new(Views { live: AtomicUsize::new(0), parent: None })
    }

    pub fn below(parent: &Arc<Views>) -> Arc<Views> {
        Arc::new(Views { live: AtomicUsize::new(0), parent: Some(parent.clone()) })
    }

    pub fn add(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.add();
        }
    }

    pub fn remove(&self) {
        self.live.fetch_sub(1, Ordering::Release);
        if let Some(parent) = &self.parent {
            parent.remove();
        }
    }

    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Refuses with `InUse` while a view is alive; `what` is the noun and name being closed.
    pub fn refuse_if_any(&self, py: Python<'_>, what: &str) -> PyResult<()> {
        match self.live() {
            0 => Ok(()),
            live => Err(in_use(py, what, live)),
        }
    }
}

/// The one text for "views are still alive".
pub fn in_use(py: Python<'_>, what: &str, live: usize) -> PyErr {
    let (views, them) = if live == 1 { ("view", "it") } else { ("views", "them") };
    let text = format!(
        "{what}: cannot be released while {live} {views} of its memory (a memoryview, or an array made \
         from one) can still be used; delete {them} first, for example with `del array`"
    );
    raise(py, Error::new(ErrorKind::InUse, text))
}
