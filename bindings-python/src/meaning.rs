//! What bytes mean: those of a message, of a job, of a result.

use std::ffi::c_int;
use std::sync::Mutex;

use axonic::{Attributes, Content, Tensor};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::buffer::{self, Block, Layout};
use crate::message::lock;
use crate::value;

/// Longest preview of the data in a repr, in characters.
const PREVIEW: usize = 60;

/// How the bytes of a payload are to be understood.
pub struct Meaning {
    pub content: Content,
    pub tensor: Option<Box<Tensor>>,
    pub attributes: Option<Box<Attributes>>,
    /// The receiver's `type=`.
    pub kind: Option<Py<PyAny>>,
}

impl Meaning {
    pub fn layout(&self, len: usize) -> Layout {
        self.tensor.as_deref().map_or_else(|| Layout::bytes(len), Layout::tensor)
    }

    pub fn dtype(&self) -> Option<&'static str> {
        self.tensor.as_deref().map(|tensor| tensor.dtype.name())
    }

    pub fn shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.tensor.as_deref().map(|tensor| PyTuple::new(py, &tensor.shape)).transpose()
    }

    pub fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::attribute_dict(py, self.attributes.as_deref())
    }

    /// "5 bytes of json", for a repr.
    pub fn size(&self, data: &[u8]) -> String {
        format!("{} bytes of {}", data.len(), self.content.name())
    }

    /// The beginning of the value, for a repr.
    pub fn preview(&self, data: &[u8]) -> String {
        axonic::preview(self.content, self.tensor.as_deref(), data, PREVIEW)
    }

    /// The value of a copied payload, decoded at first use and `known` from then on; `array` shows a tensor.
    pub fn value<'py>(
        &self,
        py: Python<'py>,
        data: &Py<PyBytes>,
        known: &Mutex<Option<Py<PyAny>>>,
        array: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let decoded = match self.content {
            Content::Raw => return Ok(data.bind(py).clone().into_any()),
            // An array looks at its owner through a buffer, so keeping it there would make a cycle.
            Content::Tensor => return array(),
            content => {
                if let Some(value) = lock(known).as_ref().map(|value| value.clone_ref(py)) {
                    return Ok(value.into_bound(py));
                }
                value::decode(py, content, data.as_bytes(py), self.kind.as_ref())?
            }
        };
        let replaced = lock(known).replace(decoded.clone().unbind());
        drop(replaced);
        Ok(decoded)
    }
}

/// A payload in a copy of its own.
pub struct Copied {
    pub data: Py<PyBytes>,
    pub meaning: Meaning,
    value: Mutex<Option<Py<PyAny>>>,
}

impl Copied {
    pub fn new(data: Bound<'_, PyBytes>, meaning: Meaning) -> Copied {
        Copied { data: data.unbind(), meaning, value: Mutex::default() }
    }

    /// Decoded by its content; what shows a tensor keeps the bytes, and nothing else.
    pub fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.meaning.value(py, &self.data, &self.value, || {
            let layout = self.meaning.layout(self.data.as_bytes(py).len());
            let array = Bound::new(py, Array { data: self.data.clone_ref(py), layout })?;
            value::as_array(array.as_any())
        })
    }

    pub fn repr(&self, py: Python<'_>, what: &str) -> String {
        let data = self.data.as_bytes(py);
        format!("<axonic.{what}, {}: {}>", self.meaning.size(data), self.meaning.preview(data))
    }
}

/// The bytes of a tensor with its type and shape, for array libraries.
#[pyclass(frozen)]
struct Array {
    data: Py<PyBytes>,
    layout: Layout,
}

#[pymethods]
impl Array {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let data = this.data.as_bytes(slf.py());
        let block =
            Block { start: data.as_ptr().cast_mut(), len: data.len(), layout: &this.layout, writable: false };
        // SAFETY: called by CPython; bytes and layout live as long as this object, which the view keeps.
        unsafe { buffer::export(slf.clone().into_any(), view, flags, &block) }
    }
}
