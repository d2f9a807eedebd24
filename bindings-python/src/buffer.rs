//! The buffer protocol, both ways: shared memory shown to Python, and Python's memory read for sending.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;

use axonic::{Dtype, Tensor};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::invalid;

/// The most dimensions a tensor has.
const MAX_NDIM: usize = 8;

/// How a block of memory looks through the buffer protocol. Views point into it, so it lives exactly
/// as long as the object that exports it, at one address.
pub struct Layout {
    format: &'static CStr,
    item: usize,
    ndim: usize,
    shape: [isize; MAX_NDIM],
    strides: [isize; MAX_NDIM],
}

impl Layout {
    /// Plain bytes, one dimension.
    pub fn bytes(len: usize) -> Layout {
        Layout::rows(c"B", 1, &[len])
    }

    /// A row-major tensor.
    pub fn tensor(tensor: &Tensor) -> Layout {
        Layout::rows(format_of(tensor.dtype), tensor.dtype.size(), &tensor.shape)
    }

    fn rows(format: &'static CStr, item: usize, dims: &[usize]) -> Layout {
        let mut layout =
            Layout { format, item, ndim: dims.len(), shape: [0; MAX_NDIM], strides: [0; MAX_NDIM] };
        let mut stride = item as isize;
        for (axis, &len) in dims.iter().enumerate().rev() {
            layout.shape[axis] = len as isize;
            layout.strides[axis] = stride;
            stride *= len.max(1) as isize;
        }
        layout
    }

    pub fn shape(&self) -> &[isize] {
        &self.shape[..self.ndim]
    }
}

/// The PEP 3118 letters of an element type. bfloat16 has none; its 16-bit words are shown instead.
fn format_of(dtype: Dtype) -> &'static CStr {
    match dtype {
        Dtype::Bool => c"?",
        Dtype::I8 => c"b",
        Dtype::U8 => c"B",
        Dtype::I16 => c"h",
        Dtype::U16 | Dtype::BF16 => c"H",
        Dtype::I32 => c"i",
        Dtype::U32 => c"I",
        Dtype::I64 => c"q",
        Dtype::U64 => c"Q",
        Dtype::F16 => c"e",
        Dtype::F32 => c"f",
        Dtype::F64 => c"d",
        Dtype::C64 => c"Zf",
        Dtype::C128 => c"Zd",
    }
}

/// The element type behind PEP 3118 letters of this machine's byte order.
fn dtype_of(format: &CStr, item: usize) -> Option<Dtype> {
    let letters = match format.to_bytes() {
        [b'@' | b'=' | b'<', letters @ ..] => letters,
        letters => letters,
    };
    Some(match (letters, item) {
        (b"?", 1) => Dtype::Bool,
        (b"b", 1) => Dtype::I8,
        (b"B" | b"c", 1) => Dtype::U8,
        (b"h", 2) => Dtype::I16,
        (b"H", 2) => Dtype::U16,
        (b"i" | b"l" | b"q" | b"n", 4) => Dtype::I32,
        (b"I" | b"L" | b"Q" | b"N", 4) => Dtype::U32,
        (b"i" | b"l" | b"q" | b"n", 8) => Dtype::I64,
        (b"I" | b"L" | b"Q" | b"N", 8) => Dtype::U64,
        (b"e", 2) => Dtype::F16,
        (b"f", 4) => Dtype::F32,
        (b"d", 8) => Dtype::F64,
        (b"Zf", 8) => Dtype::C64,
        (b"Zd", 16) => Dtype::C128,
        _ => return None,
    })
}

/// A block of memory to be shown.
pub struct Block<'a> {
    pub start: *mut u8,
    pub len: usize,
    pub layout: &'a Layout,
    pub writable: bool,
}

/// Fills in the view a consumer asked for.
///
/// # Safety
/// `view` is the pointer CPython passed to `__getbuffer__`. `block` and its layout stay valid, at the
/// same address, until `owner` has released every view of it.
pub unsafe fn export(
    owner: Bound<'_, PyAny>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
    block: &Block<'_>,
) -> PyResult<()> {
    // SAFETY: CPython passes a valid Py_buffer, and wants `obj` NULL when the export fails.
    let view = unsafe { &mut *view };
    view.obj = ptr::null_mut();
    let wants = |flag: c_int| flags & flag == flag;
    if wants(ffi::PyBUF_WRITABLE) && !block.writable {
        return Err(PyBufferError::new_err("this memory is shared with other processes and read-only"));
    }
    let layout = block.layout;
    if wants(ffi::PyBUF_F_CONTIGUOUS) && !wants(ffi::PyBUF_C_CONTIGUOUS) && layout.ndim > 1 {
        return Err(PyBufferError::new_err("tensors are row-major; Fortran order needs a copy"));
    }
    view.buf = block.start.cast();
    view.len = block.len as isize;
    view.readonly = c_int::from(!block.writable);
    view.itemsize = layout.item as isize;
    view.ndim = if wants(ffi::PyBUF_ND) { layout.ndim as c_int } else { 1 };
    view.format = if wants(ffi::PyBUF_FORMAT) { layout.format.as_ptr().cast_mut() } else { ptr::null_mut() };
    view.shape = if wants(ffi::PyBUF_ND) { layout.shape.as_ptr().cast_mut() } else { ptr::null_mut() };
    view.strides =
        if wants(ffi::PyBUF_STRIDES) { layout.strides.as_ptr().cast_mut() } else { ptr::null_mut() };
    view.suboffsets = ptr::null_mut();
    view.internal = ptr::null_mut();
    view.obj = owner.into_ptr();
    Ok(())
}

/// A buffer of another object, held until dropped. (PyO3's own refuses arrays without dimensions.)
pub struct Acquired<'py> {
    view: Box<ffi::Py_buffer>,
    py: PhantomData<Python<'py>>,
}

impl<'py> Acquired<'py> {
    fn get(object: &Bound<'py, PyAny>) -> PyResult<Acquired<'py>> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `view` is a buffer struct at an address that stays; the call is made attached.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut *view, ffi::PyBUF_FULL_RO) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Acquired { view, py: PhantomData })
    }

    fn format(&self) -> &CStr {
        match self.view.format.is_null() {
            true => c"B",
            // SAFETY: the exporter keeps its format string while the buffer is held.
            false => unsafe { CStr::from_ptr(self.view.format) },
        }
    }

    fn shape(&self) -> Vec<usize> {
        let ndim = self.view.ndim.max(0) as usize;
        if ndim == 0 || self.view.shape.is_null() {
            return Vec::new();
        }
        // SAFETY: a full view has `ndim` lengths, none of them negative.
        unsafe { std::slice::from_raw_parts(self.view.shape, ndim) }.iter().map(|&len| len as usize).collect()
    }

    fn is_c_contiguous(&self) -> bool {
        // SAFETY: the view was filled in by its exporter.
        unsafe { ffi::PyBuffer_IsContiguous(&*self.view, b'C' as std::ffi::c_char) == 1 }
    }

    fn data(&self) -> &[u8] {
        if self.view.len <= 0 {
            return &[];
        }
        // SAFETY: callers checked that it is C-contiguous, so `len` bytes lie at `buf`; the exporter keeps
        // them allocated while the buffer is held. Python code of another thread may write to them
        // meanwhile, as with any `write()`: the bytes sent are then a mix.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.view.len as usize) }
    }
}

impl Drop for Acquired<'_> {
    fn drop(&mut self) {
        // SAFETY: acquired once, released once, attached (the lifetime of `py` says so).
        unsafe { ffi::PyBuffer_Release(&mut *self.view) };
    }
}

/// Bytes of a Python object, held still for as long as this lives.
pub enum Source<'py> {
    Bytes(Bound<'py, PyBytes>),
    /// As UTF-8.
    Text(Bound<'py, PyString>),
    /// C-contiguous.
    Buffer(Acquired<'py>),
    Copied(Vec<u8>),
}

impl Source<'_> {
    pub fn data(&self) -> &[u8] {
        match self {
            Source::Bytes(bytes) => bytes.as_bytes(),
            // A text that is no UTF-8 was refused by whoever made this.
            Source::Text(text) => text.to_str().unwrap_or_default().as_bytes(),
            Source::Buffer(buffer) => buffer.data(),
            Source::Copied(bytes) => bytes,
        }
    }
}

/// Whether the object offers the buffer protocol.
pub fn is_buffer(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: any object may be asked.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) == 1 }
}

/// Reads a buffer: its bytes in row-major order, and its type and shape.
pub fn read<'py>(object: &Bound<'py, PyAny>) -> PyResult<(Source<'py>, Tensor)> {
    let py = object.py();
    let buffer = Acquired::get(object)?;
    let Some(dtype) = dtype_of(buffer.format(), buffer.view.itemsize as usize) else {
        let text = format!(
            "cannot send elements of format {:?}; use one of bool, (u)int8 to 64, float16 to 64, complex64 \
             or complex128 in this machine's byte order, or bytes",
            buffer.format()
        );
        return Err(invalid(py, text));
    };
    let tensor = Tensor { dtype, shape: buffer.shape() };
    if buffer.is_c_contiguous() {
        return Ok((Source::Buffer(buffer), tensor));
    }
    let rows = pyo3::types::PyMemoryView::from(object)?.call_method0("tobytes")?;
    Ok((Source::Bytes(rows.cast_into()?), tensor))
}

/// Reads a buffer as plain bytes, whatever its type and shape.
pub fn read_bytes<'py>(object: &Bound<'py, PyAny>) -> PyResult<Source<'py>> {
    match object.cast::<PyBytes>() {
        Ok(bytes) => Ok(Source::Bytes(bytes.clone())),
        Err(_) => Ok(read(object)?.0),
    }
}

/// Whether a buffer is to travel as plain bytes: one dimension of unsigned bytes.
pub fn is_plain(tensor: &Tensor) -> bool {
    tensor.dtype == Dtype::U8 && tensor.shape.len() == 1
}

/// Bytes from which a copy is done detached, so that other threads run meanwhile.
const DETACH_FROM: usize = 256 * 1024;

/// Copies `data` into a new `bytes` object: one pass over the memory, other threads running during a
/// large one.
pub fn to_bytes<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if data.len() < DETACH_FROM {
        return Ok(PyBytes::new(py, data));
    }
    // SAFETY: a NULL source asks for an uninitialised object of this length, or NULL with MemoryError.
    let bytes = unsafe {
        let made = ffi::PyBytes_FromStringAndSize(ptr::null(), data.len() as isize);
        Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked::<PyBytes>()
    };
    // SAFETY: nobody else has seen the new object yet; its buffer has room for all of `data`.
    let target = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) } as usize;
    py.detach(|| {
        // SAFETY: as above; the two do not overlap, `bytes` is kept alive by this frame.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), target as *mut u8, data.len()) }
    });
    Ok(bytes)
}

/// Reads a `dtype=` argument: a name such as "float32", or anything that carries one (`numpy.float32`,
/// `numpy.dtype("float32")`, `torch.float32`).
pub fn dtype_argument(dtype: &Bound<'_, PyAny>) -> PyResult<Dtype> {
    let named = |attribute: &str| dtype.getattr(attribute).and_then(|name| name.extract::<String>());
    let name = match dtype.extract::<String>() {
        Ok(name) => name,
        Err(_) => {
            named("name").or_else(|_| named("__name__")).or_else(|_| dtype.str().map(|s| s.to_string()))?
        }
    };
    Dtype::from_name(name.trim_start_matches("torch.")).ok_or_else(|| {
        let known: Vec<&str> = Dtype::all().map(Dtype::name).collect();
        invalid(dtype.py(), format!("dtype {name:?} is not known; use one of {}", known.join(", ")))
    })
}
