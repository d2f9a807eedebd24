//! Named raw shared memory.

use std::ffi::c_int;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

use axonic::{Error, ErrorKind, Region};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::buffer::{self, Block, Layout};
use crate::domain::{Home, leave};
use crate::error::{OrRaise, invalid, raise};
use crate::log::detached;
use crate::message::lock;
use crate::value;
use crate::views::{Views, in_use};
use crate::whole;

/// What can still be used, and by how many views.
struct State {
    core: Option<Arc<Region>>,
    exports: usize,
}

/// Raw shared memory as a buffer: `memoryview(region)`, `numpy.frombuffer(region, ...)`. Made by
/// `Domain.region`, or without a name by `Region.sealed` and `Region.from_fd`.
///
/// Nothing orders what two processes write to it; use it with your own rules, or use a topic.
#[pyclass(frozen, weakref, name = "Region", module = "axonic")]
pub struct PyRegion {
    name: Option<String>,
    len: usize,
    layout: Layout,
    state: Mutex<State>,
    home: Option<Arc<Home>>,
    views: Arc<Views>,
}

impl PyRegion {
    pub fn named(core: Region, home: &Arc<Home>) -> PyRegion {
        PyRegion::new(core, Some(home.clone()), Views::below(&home.views))
    }

    fn new(core: Region, home: Option<Arc<Home>>, views: Arc<Views>) -> PyRegion {
        let len = core.len();
        let name = home.is_some().then(|| core.name().to_owned());
        let state = Mutex::new(State { core: Some(Arc::new(core)), exports: 0 });
        PyRegion { name, len, layout: Layout::bytes(len), state, home, views }
    }

    fn what(&self) -> String {
        match &self.name {
            Some(name) => format!("region {name:?}"),
            None => "sealed region".to_owned(),
        }
    }

    fn core(&self, py: Python<'_>) -> PyResult<Arc<Region>> {
        let known = lock(&self.state).core.clone();
        known.filter(|_| !self.closed()).ok_or_else(|| {
            raise(
                py,
                Error::new(
                    ErrorKind::Closed,
                    format!("{}: it is closed; open it again to go on", self.what()),
                ),
            )
        })
    }
}

#[pymethods]
impl PyRegion {
    /// Makes an anonymous region with this content that nobody, its maker included, can change or
    /// truncate any more. Pass its descriptor (`fileno()`) to another process.
    #[staticmethod]
    #[pyo3(signature = (data, /))]
    fn sealed(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<PyRegion> {
        let source = buffer::read_bytes(data)?;
        let bytes = source.data();
        let core = py.detach(|| Region::sealed(bytes)).or_raise(py)?;
        Ok(PyRegion::new(core, None, Views::root()))
    }

    /// Maps a sealed region from a descriptor, after checking that it is sealed. The descriptor is
    /// duplicated; closing yours is up to you.
    #[staticmethod]
    #[pyo3(signature = (fd, /))]
    fn from_fd(py: Python<'_>, #[pyo3(from_py_with = whole::fd)] fd: i32) -> PyResult<PyRegion> {
        let own: i32 = py.import("os")?.getattr("dup")?.call1((fd,))?.extract()?;
        // SAFETY: the descriptor was just made for this call and belongs to nobody else.
        let own = unsafe { OwnedFd::from_raw_fd(own) };
        let core = py.detach(|| Region::from_fd(own)).or_raise(py)?;
        Ok(PyRegion::new(core, None, Views::root()))
    }

    /// Its name; None for a sealed region.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether this open made it.
    #[getter]
    fn created(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.core(py)?.is_created())
    }

    /// Whether it can be written to.
    #[getter]
    fn writable(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.core(py)?.writable())
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        lock(&self.state).core.is_none() || self.home.as_ref().is_some_and(|home| home.core.is_closed())
    }

    /// Reads `size` bytes from `offset` on; to the end without a size.
    #[pyo3(signature = (offset = 0, size = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = whole::offset)] offset: usize,
        #[pyo3(from_py_with = whole::size)] size: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let core = self.core(py)?;
        let size = size.unwrap_or(self.len.saturating_sub(offset));
        if offset.checked_add(size).is_none_or(|end| end > self.len) {
            let text =
                format!("{}: {size} bytes at {offset} reach past its end at {}", self.what(), self.len);
            return Err(invalid(py, text));
        }
        PyBytes::new_with(py, size, |bytes| core.read(offset, bytes).or_raise(py))
    }

    /// Writes bytes at `offset`.
    #[pyo3(signature = (offset, data, /))]
    fn write(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole::offset)] offset: usize,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let core = self.core(py)?;
        let source = buffer::read_bytes(data)?;
        let bytes = source.data();
        py.detach(|| core.write(offset, bytes)).or_raise(py)
    }

    /// The descriptor of a sealed region, to be passed to another process.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.core(py)?.fd().ok_or_else(|| {
            let text = format!(
                "{}: only a sealed region has a descriptor to pass on; others are opened by name",
                self.what()
            );
            raise(py, Error::new(ErrorKind::Unsupported, text))
        })
    }

    /// Unmaps it; the region itself stays until `Domain.unlink("region", name)`. Closing again does
    /// nothing. Raises InUseError, and stays open, while a view of it is alive.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = lock(&self.state);
        if state.exports > 0 {
            let live = state.exports;
            drop(state);
            return Err(in_use(py, &self.what(), live));
        }
        let core = state.core.take();
        drop(state);
        detached(py, || drop(core));
        Ok(())
    }

    fn __len__(&self) -> usize {
        self.len
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
        match (&self.name, &self.home) {
            (Some(name), Some(home)) => {
                format!("<axonic.Region {name:?} in {:?}, {} bytes{closed}>", home.core.name(), self.len)
            }
            _ => format!("<axonic.Region sealed, {} bytes{closed}>", self.len),
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (Some(name), Some(home)) = (&self.name, &self.home) else {
            let text = "a sealed region has no name to reopen it by; pass its fileno() to the other process";
            return Err(raise(py, Error::new(ErrorKind::Unsupported, text)));
        };
        let options = PyDict::new(py);
        options.set_item("size", self.len)?;
        options.set_item("create", "open")?;
        home.reduce(py, "region", name, &options)
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
        let py = slf.py();
        lock(&this.state).exports += 1;
        this.views.add();
        let exported = this.core(py).and_then(|core| {
            let block = Block {
                start: core.as_ptr(),
                len: this.len,
                layout: &this.layout,
                writable: core.writable(),
            };
            // SAFETY: called by CPython; while exports are counted `close` leaves the mapping alone, and
            // the view keeps this object.
            unsafe { buffer::export(slf.clone().into_any(), view, flags, &block) }
        });
        if exported.is_err() {
            this.hidden();
        }
        exported
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.hidden();
    }
}

impl PyRegion {
    fn hidden(&self) {
        lock(&self.state).exports -= 1;
        self.views.remove();
    }
}
