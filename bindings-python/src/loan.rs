//! Shared memory lent to write one message in place.

use std::ffi::c_int;
use std::sync::Arc;

use axonic::{Attributes, Content, Loan, LoanMeta, Tensor};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::buffer::Layout;
use crate::gate::Patience;
use crate::publisher::PyPublisher;
use crate::value;
use crate::views::Views;
use crate::whole;
use crate::window::{Shut, Window};

/// Shared memory lent to write one message in place. Made by `Publisher.loan`.
///
/// As a context manager it gives a writable memoryview and publishes at the end of the block. Without
/// one, look at it with `memoryview(loan)` and call `commit()` or `discard()`.
#[pyclass(frozen, name = "Loan", module = "axonic")]
pub struct PyLoan {
    window: Window<Loan>,
    publisher: Py<PyPublisher>,
    views: Arc<Views>,
    tensor: Option<Tensor>,
    attributes: Option<Attributes>,
    content: Option<Content>,
    /// Seconds `commit` may wait at the end of a block.
    timeout: Option<f64>,
}

impl PyLoan {
    pub fn new(
        core: Loan,
        publisher: Py<PyPublisher>,
        tensor: Option<Tensor>,
        attributes: Option<Attributes>,
        content: Option<Content>,
        timeout: Option<f64>,
    ) -> PyLoan {
        let (start, len) = (core.as_mut_ptr(), core.len());
        let layout = tensor.as_ref().map_or_else(|| Layout::bytes(len), Layout::tensor);
        let what = format!("loan of {}", publisher.get().handle.what());
        let views = publisher.get().views.clone();
        // SAFETY: a loan keeps its memory mapped until it is dropped, and is the only one writing to it.
        let window = unsafe { Window::new(what, start, len, layout, true, core) };
        PyLoan { window, publisher, views, tensor, attributes, content, timeout }
    }

    fn finish(&self, py: Python<'_>, nbytes: Option<usize>, timeout: Option<f64>) -> PyResult<()> {
        let patience = Patience::new(py, timeout)?;
        let mut core = match self.window.shut(py) {
            Shut::Yes(core) => Some(core),
            Shut::Already => return Ok(()),
            Shut::Viewed(error) => return Err(error),
        };
        let natural = if self.tensor.is_some() { Content::Tensor } else { Content::Raw };
        let meta = LoanMeta {
            len: nbytes,
            content: self.content.unwrap_or(natural),
            tensor: self.tensor.as_ref(),
            attributes: self.attributes.as_ref(),
        };
        let published = self.publisher.get().commit(py, &mut core, &meta, patience);
        // What was not published may be tried again, until this object goes.
        if let Some(core) = core {
            self.window.keep(core);
        }
        published
    }
}

#[pymethods]
impl PyLoan {
    /// Its shape: of the tensor, or one dimension of bytes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        pyo3::types::PyTuple::new(py, self.window.layout().shape())
    }

    /// Publishes what was written, only the first `nbytes` of it if given.
    ///
    /// With overflow="block" waits up to `timeout` seconds for room; after a TimeoutError it may be
    /// tried again. Raises InUseError, publishing nothing, while a view of the memory is alive. Does
    /// nothing when it was published or discarded.
    #[pyo3(signature = (nbytes = None, timeout = None))]
    fn commit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole::nbytes)] nbytes: Option<usize>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        self.finish(py, nbytes, timeout)
    }

    /// Gives the memory back without publishing.
    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        match self.window.shut(py) {
            Shut::Yes(core) => py.detach(|| drop(core)),
            // A view is alive: the memory goes back with it.
            Shut::Already | Shut::Viewed(_) => {}
        }
        Ok(())
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        slf.get().window.open(slf.as_any())
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
        if exc_type.is_none() { self.finish(py, None, self.timeout) } else { self.discard(py) }
    }

    fn __repr__(&self) -> String {
        let state = if self.window.is_shut() { "ended" } else { "open" };
        format!("<axonic.Loan of shape {:?}, {state}>", self.window.layout().shape())
    }

    /// For numpy and others that look for it: the same array the buffer gives, or the reason why there is
    /// none. (numpy drops a buffer's error and would make an array of the object itself.)
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        value::to_array(slf.as_any(), dtype, copy)
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: called by CPython; the window is part of this object.
        unsafe { this.window.show(slf.clone().into_any(), &this.views, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.window.hidden(&self.views);
    }
}
