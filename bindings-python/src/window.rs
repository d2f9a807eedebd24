//! Memory shown for the length of a `with` block.
//!
//! A loan, a reservation in a ring and a message read in place all hand out one memoryview that must
//! be gone when the block ends, because the memory then belongs to somebody else. A [`Window`] keeps
//! that account.

use std::ffi::c_int;
use std::sync::Mutex;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::buffer::{self, Block, Layout};
use crate::error::raise;
use crate::message::lock;
use crate::views::{Views, in_use};
use axonic::{Error, ErrorKind};

/// What is behind the window while it is open: dropped when the last view of it has gone.
struct Pane<T> {
    kept: Option<T>,
    exports: usize,
    /// No view is given out any more.
    shut: bool,
}

/// Memory at a fixed address that `T` keeps valid.
pub struct Window<T> {
    what: String,
    start: usize,
    len: usize,
    layout: Layout,
    writable: bool,
    pane: Mutex<Pane<T>>,
    /// The memoryview given to the block.
    view: Mutex<Option<Py<PyMemoryView>>>,
}

/// How an attempt to take the memory back ended.
pub enum Shut<T> {
    /// Nobody looks at it any more; here is what kept it.
    Yes(T),
    /// It was taken back before.
    Already,
    /// Views are alive; what keeps the memory goes with the last of them.
    Viewed(PyErr),
}

impl<T> Window<T> {
    /// # Safety
    /// `kept` keeps `len` bytes at `start` valid, for writing too if `writable`, until it is dropped.
    pub unsafe fn new(
        what: String,
        start: *mut u8,
        len: usize,
        layout: Layout,
        writable: bool,
        kept: T,
    ) -> Self {
        let pane = Mutex::new(Pane { kept: Some(kept), exports: 0, shut: false });
        Window { what, start: start as usize, len, layout, writable, pane, view: Mutex::new(None) }
    }

    pub fn is_shut(&self) -> bool {
        lock(&self.pane).shut
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The memoryview for the block, made by `owner`'s buffer protocol.
    pub fn open<'py>(&self, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyMemoryView>> {
        let view = PyMemoryView::from(owner)?;
        let replaced = lock(&self.view).replace(view.clone().unbind());
        drop(replaced);
        Ok(view)
    }

    /// `__getbuffer__` of the owner.
    ///
    /// # Safety
    /// Called by CPython; `owner` is the object this window is part of.
    pub unsafe fn show(
        &self,
        owner: Bound<'_, PyAny>,
        views: &Views,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let py = owner.py();
        {
            let mut pane = lock(&self.pane);
            if !pane.shut {
                pane.exports += 1;
                views.add();
            } else {
                drop(pane);
                let text = format!("{}: its block has ended, the memory is no longer yours", self.what);
                return Err(raise(py, Error::new(ErrorKind::Closed, text)));
            }
        }
        let block = Block {
            start: self.start as *mut u8,
            len: self.len,
            layout: &self.layout,
            writable: self.writable,
        };
        // SAFETY: the pane was counted open, so what keeps the memory stays until the view is released;
        // the layout lives in the owner, which the view keeps.
        let exported = unsafe { buffer::export(owner, view, flags, &block) };
        if exported.is_err() {
            self.hidden(views);
        }
        exported
    }

    /// `__releasebuffer__` of the owner.
    pub fn hidden(&self, views: &Views) {
        views.remove();
        let mut pane = lock(&self.pane);
        pane.exports -= 1;
        let last = if pane.shut && pane.exports == 0 { pane.kept.take() } else { None };
        drop(pane);
        drop(last);
    }

    /// Puts back what [`Window::shut`] gave, for another attempt. No view is given out any more.
    pub fn keep(&self, kept: T) {
        lock(&self.pane).kept = Some(kept);
    }

    /// Takes the memory back from the block.
    pub fn shut(&self, py: Python<'_>) -> Shut<T> {
        // The block's own view goes first. It refuses while something else looks through it.
        let view = lock(&self.view).take();
        if let Some(view) = view
            && let Err(error) = view.bind(py).call_method0("release")
            && !error.is_instance_of::<PyBufferError>(py)
        {
            return Shut::Viewed(error);
        }
        let mut pane = lock(&self.pane);
        pane.shut = true;
        if pane.exports > 0 {
            let live = pane.exports;
            drop(pane);
            return Shut::Viewed(in_use(py, &self.what, live));
        }
        match pane.kept.take() {
            Some(kept) => Shut::Yes(kept),
            None => Shut::Already,
        }
    }
}
