//! What a subscriber hands out: a [`PyMessage`] owns a copy, a [`PySample`] looks at shared memory.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axonic::{Content, Error, ErrorKind, Sample, Tensor};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyDict, PyMemoryView, PyString};

use crate::buffer::{self, Block, Layout};
use crate::dlpack;
use crate::error::{OrRaise, raise};
use crate::meaning::Meaning;
use crate::value;
use crate::views::{Views, in_use};

/// Everything about a message except its bytes.
pub struct Facts {
    pub topic: Py<PyString>,
    pub meaning: Meaning,
    pub missed: u64,
    pub sequence: u64,
    pub publisher: u64,
}

impl Facts {
    fn repr(&self, py: Python<'_>, class: &str, data: &[u8]) -> PyResult<String> {
        let topic = self.topic.bind(py).repr()?;
        let missed = if self.missed > 0 { format!(", missed {}", self.missed) } else { String::new() };
        Ok(format!(
            "<axonic.{class} {topic} #{}, {}{missed}: {}>",
            self.sequence,
            self.meaning.size(data),
            self.meaning.preview(data)
        ))
    }
}

/// A received message: a private copy, valid for as long as you keep it.
///
/// It is a buffer itself: `memoryview(message)` and `numpy.asarray(message)` look at the copy without
/// copying again, with the shape and type of a tensor.
#[pyclass(frozen, generic, name = "Message", module = "axonic")]
pub struct PyMessage {
    /// The payload as bytes.
    #[pyo3(get)]
    data: Py<PyBytes>,
    facts: Facts,
    layout: OnceLock<Box<Layout>>,
    value: Mutex<Option<Py<PyAny>>>,
}

impl PyMessage {
    pub fn new(data: Bound<'_, PyBytes>, facts: Facts) -> PyMessage {
        PyMessage { data: data.unbind(), facts, layout: OnceLock::new(), value: Mutex::new(None) }
    }

    /// Makes it Python's.
    pub fn hand_out(self, py: Python<'_>) -> PyResult<Py<PyMessage>> {
        let message = Py::new(py, self)?;
        untrack(&message);
        Ok(message)
    }
}

/// Every class of PyO3 is the garbage collector's to look through. A message shows it nothing, and would cost it
/// a quarter of what receiving many at once takes.
pub fn untrack<T>(message: &Py<T>) {
    // SAFETY: an object of such a class, attached since it is just made; whoever frees it does not mind.
    unsafe { ffi::PyObject_GC_UnTrack(message.as_ptr().cast()) };
}

#[pymethods]
impl PyMessage {
    /// The topic it was published on.
    #[getter]
    fn topic(&self, py: Python<'_>) -> Py<PyString> {
        self.facts.topic.clone_ref(py)
    }

    /// The payload decoded by its content type: bytes, Python objects (or the subscriber's `type`), or
    /// for a tensor a numpy array (a shaped memoryview where numpy is not installed).
    ///
    /// Decoded at first use; raises DecodeError when the bytes are not what they claim to be.
    #[getter]
    fn value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        this.facts.meaning.value(slf.py(), &this.data, &this.value, || value::as_array(slf.as_any()))
    }

    /// "raw", "json", "msgpack" or "tensor".
    #[getter]
    fn content(&self) -> &'static str {
        self.facts.meaning.content.name()
    }

    /// Element type of a tensor, by its numpy name; None for other contents.
    #[getter]
    fn dtype(&self) -> Option<&'static str> {
        self.facts.meaning.dtype()
    }

    /// Shape of a tensor; None for other contents.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, pyo3::types::PyTuple>>> {
        self.facts.meaning.shape(py)
    }

    /// CloudEvents attributes; empty when the publisher gave none.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.facts.meaning.attributes(py)
    }

    /// Messages of this publisher lost just before this one, exactly.
    #[getter]
    fn missed(&self) -> u64 {
        self.facts.missed
    }

    /// Position in its publisher's stream, counted from 0.
    #[getter]
    fn sequence(&self) -> u64 {
        self.facts.sequence
    }

    /// Identity of the publisher; a restarted publisher is a new one.
    #[getter]
    fn publisher(&self) -> u64 {
        self.facts.publisher
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.data.as_bytes(py).len()
    }

    fn __bytes__(&self, py: Python<'_>) -> Py<PyBytes> {
        self.data.clone_ref(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.facts.repr(py, "Message", self.data.as_bytes(py))
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
        let data = this.data.as_bytes(slf.py());
        let layout = this.layout.get_or_init(|| Box::new(this.facts.meaning.layout(data.len())));
        let block = Block { start: data.as_ptr().cast_mut(), len: data.len(), layout, writable: false };
        // SAFETY: called by CPython; bytes and layout live as long as the message, which the view keeps.
        unsafe { buffer::export(slf.clone().into_any(), view, flags, &block) }
    }

    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let py = slf.py();
        let request = dlpack::Request::new(stream, max_version, dl_device, copy)?;
        let data = slf.get().data.as_bytes(py);
        let tensor = as_tensor(slf.get().facts.meaning.tensor.as_deref(), data.len());
        if request.wants_copy()? {
            return copied(py, &request, &tensor, data);
        }
        let owner = slf.get().data.clone_ref(py);
        dlpack::export(py, &request, &tensor, data.as_ptr(), owner, false)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes without a tensor header are a vector of uint8 to array libraries.
fn as_tensor(tensor: Option<&Tensor>, len: usize) -> Tensor {
    tensor.cloned().unwrap_or_else(|| Tensor { dtype: axonic::Dtype::U8, shape: vec![len] })
}

fn copied<'py>(
    py: Python<'py>,
    request: &dlpack::Request,
    tensor: &Tensor,
    data: &[u8],
) -> PyResult<Bound<'py, PyCapsule>> {
    // Words, so that elements of every type are aligned.
    let mut words = vec![0_u128; data.len().div_ceil(16)];
    // SAFETY: the words cover at least `data.len()` bytes, and neither overlaps the other.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), words.as_mut_ptr().cast(), data.len()) };
    let start = words.as_ptr().cast();
    dlpack::export(py, request, tensor, start, words, true)
}

/// A sample and the count of what looks at it.
struct Held {
    sample: Sample,
    layout: OnceLock<Layout>,
}

/// One view given to an array library: keeps the sample, and counts while it lives.
struct Lease {
    _held: Arc<Held>,
    views: Arc<Views>,
}

impl Lease {
    fn new(held: Arc<Held>, views: &Arc<Views>) -> Lease {
        views.add();
        Lease { _held: held, views: views.clone() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.views.remove();
    }
}

/// What the user can still reach.
struct State {
    held: Option<Arc<Held>>,
    /// `release()` happened while views were alive: the last one lets go of the sample.
    released: bool,
}

/// A borrowed message: its bytes are looked at in shared memory, without a copy.
///
/// Use it in a `with` block, which releases it. Arrays and memoryviews made from it keep the memory
/// pinned for as long as they live, also past the block; `release()` refuses while there are any.
#[pyclass(frozen, generic, name = "Sample", module = "axonic")]
pub struct PySample {
    state: Mutex<State>,
    facts: Facts,
    /// Views through the buffer protocol now.
    exports: AtomicUsize,
    /// The same and DLPack's, for the subscriber's `close()`.
    views: Arc<Views>,
}

impl PySample {
    pub fn new(sample: Sample, facts: Facts, views: &Arc<Views>) -> PySample {
        let held = Arc::new(Held { sample, layout: OnceLock::new() });
        PySample {
            state: Mutex::new(State { held: Some(held), released: false }),
            facts,
            exports: AtomicUsize::new(0),
            views: Views::below(views),
        }
    }

    fn what(&self, py: Python<'_>) -> String {
        format!("sample of topic {:?}", self.facts.topic.to_str(py).unwrap_or("?"))
    }

    /// The sample, if it may still be used.
    fn held(&self, py: Python<'_>) -> PyResult<Arc<Held>> {
        let state = lock(&self.state);
        match &state.held {
            Some(held) if !state.released => Ok(held.clone()),
            _ => {
                drop(state);
                let text = format!("{}: it was released; borrow the next one", self.what(py));
                Err(raise(py, Error::new(ErrorKind::Closed, text)))
            }
        }
    }

    /// Ends the borrow, now or with its last view.
    fn let_go(&self) {
        let mut state = lock(&self.state);
        state.released = true;
        let last = if self.exports.load(Ordering::Acquire) == 0 { state.held.take() } else { None };
        drop(state);
        drop(last);
    }
}

#[pymethods]
impl PySample {
    /// The topic it was published on.
    #[getter]
    fn topic(&self, py: Python<'_>) -> Py<PyString> {
        self.facts.topic.clone_ref(py)
    }

    /// The payload as a flat, read-only memoryview of the shared memory.
    #[getter]
    fn data<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        slf.get().held(slf.py())?;
        let flat = Bound::new(slf.py(), Flat { sample: slf.clone().unbind(), layout: OnceLock::new() })?;
        PyMemoryView::from(flat.as_any())
    }

    /// The payload decoded by its content type: a memoryview for raw bytes, Python objects (or the
    /// subscriber's `type`) for JSON and MessagePack, and for a tensor a numpy array that looks at the
    /// shared memory (a shaped memoryview where numpy is not installed).
    #[getter]
    fn value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        match this.facts.meaning.content {
            Content::Raw => Ok(PySample::data(slf)?.into_any()),
            Content::Tensor => value::as_array(slf.as_any()),
            content => {
                let held = this.held(py)?;
                value::decode(
                    py,
                    content,
                    held.sample.try_data().or_raise(py)?,
                    this.facts.meaning.kind.as_ref(),
                )
            }
        }
    }

    /// "raw", "json", "msgpack" or "tensor".
    #[getter]
    fn content(&self) -> &'static str {
        self.facts.meaning.content.name()
    }

    /// Element type of a tensor, by its numpy name; None for other contents.
    #[getter]
    fn dtype(&self) -> Option<&'static str> {
        self.facts.meaning.dtype()
    }

    /// Shape of a tensor; None for other contents.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, pyo3::types::PyTuple>>> {
        self.facts.meaning.shape(py)
    }

    /// CloudEvents attributes; empty when the publisher gave none.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.facts.meaning.attributes(py)
    }

    /// Messages of this publisher lost just before this one, exactly.
    #[getter]
    fn missed(&self) -> u64 {
        self.facts.missed
    }

    /// Position in its publisher's stream, counted from 0.
    #[getter]
    fn sequence(&self) -> u64 {
        self.facts.sequence
    }

    /// Identity of the publisher; a restarted publisher is a new one.
    #[getter]
    fn publisher(&self) -> u64 {
        self.facts.publisher
    }

    /// Whether the payload lies in the publisher's memory. Small ones come with their ring record and
    /// are copied out of it, so they pin nothing.
    #[getter]
    fn pinned(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.held(py)?.sample.is_pinned())
    }

    /// Whether it can no longer be used.
    #[getter]
    fn released(&self) -> bool {
        lock(&self.state).released
    }

    /// Ends the borrow. Raises InUseError, and stays usable, while a view of it is alive.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        match self.views.live() {
            0 => {
                self.let_go();
                Ok(())
            }
            live => Err(in_use(py, &self.what(py), live)),
        }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Ends the borrow; views still alive keep the memory until they are gone.
    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, _exc: &Bound<'_, pyo3::types::PyTuple>) {
        self.let_go();
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.held(py)?.sample.try_data().or_raise(py)?.len())
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        buffer::to_bytes(py, self.held(py)?.sample.try_data().or_raise(py)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let held = lock(&self.state).held.clone();
        let state = match held.filter(|_| !self.released()) {
            None => "released",
            Some(held) => match held.sample.try_data() {
                Ok(data) => return self.facts.repr(py, "Sample", data),
                Err(_) => "of the process before the fork",
            },
        };
        Ok(format!("<axonic.Sample {}, {state}>", self.facts.topic.bind(py).repr()?))
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
        // SAFETY: called by CPython.
        unsafe { PySample::show(&slf, slf.clone().into_any(), None, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.hidden();
    }

    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let request = dlpack::Request::new(stream, max_version, dl_device, copy)?;
        let held = self.held(py)?;
        let data = held.sample.try_data().or_raise(py)?;
        let tensor = as_tensor(self.facts.meaning.tensor.as_deref(), data.len());
        if request.wants_copy()? {
            return copied(py, &request, &tensor, data);
        }
        let start = data.as_ptr();
        dlpack::export(py, &request, &tensor, start, Lease::new(held.clone(), &self.views), false)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }
}

impl PySample {
    /// Gives out one view, flat if a layout is given.
    ///
    /// # Safety
    /// `view` comes from CPython; `owner` keeps the sample and the layout.
    unsafe fn show(
        slf: &Bound<'_, Self>,
        owner: Bound<'_, PyAny>,
        flat: Option<&OnceLock<Layout>>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        let py = slf.py();
        // Counted before the sample is looked up: a release on another thread then either comes first
        // and is seen, or sees this view.
        this.shown();
        let exported = this.held(py).and_then(|held| {
            let data = held.sample.try_data().or_raise(py)?;
            let own = match flat {
                Some(flat) => flat.get_or_init(|| Layout::bytes(data.len())),
                None => held.layout.get_or_init(|| this.facts.meaning.layout(data.len())),
            };
            // SAFETY: a layout's owner outlives the view: `owner` for a flat one, and for the other the
            // held sample, which stays while `exports` is not zero.
            let layout = unsafe { &*std::ptr::from_ref(own) };
            let block = Block { start: data.as_ptr().cast_mut(), len: data.len(), layout, writable: false };
            // SAFETY: as above, for the memory.
            unsafe { buffer::export(owner, view, flags, &block) }
        });
        if exported.is_err() {
            this.hidden();
        }
        exported
    }

    fn shown(&self) {
        self.exports.fetch_add(1, Ordering::AcqRel);
        self.views.add();
    }

    fn hidden(&self) {
        self.views.remove();
        if self.exports.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut state = lock(&self.state);
            let last = if state.released { state.held.take() } else { None };
            drop(state);
            drop(last);
        }
    }
}

/// The flat face of a sample, behind `Sample.data`.
#[pyclass(frozen)]
struct Flat {
    sample: Py<PySample>,
    layout: OnceLock<Layout>,
}

#[pymethods]
impl Flat {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: called by CPython; this object keeps both the sample and the flat layout.
        unsafe {
            PySample::show(
                this.sample.bind(slf.py()),
                slf.clone().into_any(),
                Some(&this.layout),
                view,
                flags,
            )
        }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.sample.get().hidden();
    }
}
