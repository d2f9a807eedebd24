//! DLPack, both ways: how tensors pass to and from array libraries without this package or the library
//! knowing each other. Layout from `dlpack.h`, ABI version 1.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use axonic::{Dtype, Tensor};
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};

use crate::error::invalid;

const PLAIN: &CStr = c"dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const FLAG_READ_ONLY: u64 = 1;
const FLAG_COPIED: u64 = 2;
/// `kDLCPU`, and `kDLCUDAHost`: pinned memory the CPU can read.
const CPU: i32 = 1;
const CUDA_HOST: i32 = 3;

#[repr(C)]
#[derive(Clone, Copy)]
struct Device {
    kind: i32,
    id: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct Array {
    data: *mut c_void,
    device: Device,
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Managed {
    array: Array,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

#[repr(C)]
struct ManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    array: Array,
}

/// What an exported array points at, freed by its deleter.
struct Exported<K, M> {
    managed: M,
    /// Shape, then strides.
    _dims: Vec<i64>,
    _keeps: K,
}

/// What a consumer asked of `__dlpack__`.
pub struct Request {
    versioned: bool,
    /// Whether the consumer insists on (`true`) or forbids (`false`) a copy.
    pub copy: Option<bool>,
}

impl Request {
    pub fn new(
        stream: Option<&Bound<'_, PyAny>>,
        max_version: Option<(u32, u32)>,
        device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Request> {
        if stream.is_some() || device.is_some_and(|(kind, _)| kind != CPU) {
            return Err(PyBufferError::new_err("this memory is in main memory: no stream, no other device"));
        }
        Ok(Request { versioned: max_version.is_some_and(|(major, _)| major >= 1), copy })
    }

    /// Whether to hand out a private copy: only the versioned form can say "read-only", and a consumer
    /// that wrote into a read-only mapping would be killed.
    pub fn wants_copy(&self) -> PyResult<bool> {
        match (self.copy, self.versioned) {
            (Some(false), false) => Err(PyBufferError::new_err(
                "this memory is read-only, which DLPack can only express from version 1.0 on; allow a copy",
            )),
            (Some(true), _) | (None, false) => Ok(true),
            (_, true) => Ok(false),
        }
    }
}

/// Wraps memory in a capsule. `keeps` owns the memory at `data` and may be dropped on any thread,
/// attached or not.
pub fn export<'py, K: Send + 'static>(
    py: Python<'py>,
    request: &Request,
    tensor: &Tensor,
    data: *const u8,
    keeps: K,
    copied: bool,
) -> PyResult<Bound<'py, PyCapsule>> {
    let (code, bits) = tensor.dtype.dlpack();
    let ndim = tensor.shape.len();
    let mut dims: Vec<i64> = tensor.shape.iter().map(|&n| n as i64).collect();
    let mut stride = 1;
    let strides: Vec<i64> = dims.iter().rev().map(|&n| (stride, stride *= n.max(1)).0).collect();
    dims.extend(strides.into_iter().rev());
    let array = Array {
        data: data.cast_mut().cast(),
        device: Device { kind: CPU, id: 0 },
        ndim: ndim as i32,
        dtype: DataType { code, bits, lanes: 1 },
        shape: dims.as_mut_ptr(),
        strides: dims[ndim..].as_mut_ptr(),
        byte_offset: 0,
    };
    if request.versioned {
        let flags = if copied { FLAG_COPIED } else { FLAG_READ_ONLY };
        let deleter = Some(delete_versioned::<K> as unsafe extern "C" fn(*mut ManagedVersioned));
        let managed =
            ManagedVersioned { major: 1, minor: 0, context: ptr::null_mut(), deleter, flags, array };
        let boxed = Box::into_raw(Box::new(Exported { managed, _dims: dims, _keeps: keeps }));
        // SAFETY: `boxed` was just allocated; the managed part is its address for the consumer.
        let managed = unsafe {
            (*boxed).managed.context = boxed.cast();
            NonNull::from(&mut (*boxed).managed)
        };
        // SAFETY: the capsule owns the box until a consumer renames it and takes over the deleter.
        unsafe {
            PyCapsule::new_with_pointer_and_destructor(py, managed.cast(), VERSIONED, Some(drop_versioned))
        }
    } else {
        let deleter = Some(delete_plain::<K> as unsafe extern "C" fn(*mut Managed));
        let managed = Managed { array, context: ptr::null_mut(), deleter };
        let boxed = Box::into_raw(Box::new(Exported { managed, _dims: dims, _keeps: keeps }));
        // SAFETY: as above.
        let managed = unsafe {
            (*boxed).managed.context = boxed.cast();
            NonNull::from(&mut (*boxed).managed)
        };
        // SAFETY: as above.
        unsafe { PyCapsule::new_with_pointer_and_destructor(py, managed.cast(), PLAIN, Some(drop_plain)) }
    }
}

unsafe extern "C" fn delete_plain<K>(managed: *mut Managed) {
    // SAFETY: called once, by the array's last owner, with the pointer `export` made.
    drop(unsafe { Box::from_raw((*managed).context.cast::<Exported<K, Managed>>()) });
}

unsafe extern "C" fn delete_versioned<K>(managed: *mut ManagedVersioned) {
    // SAFETY: as in `delete_plain`.
    drop(unsafe { Box::from_raw((*managed).context.cast::<Exported<K, ManagedVersioned>>()) });
}

/// Runs when a capsule dies: if no consumer renamed it, the array is still the capsule's to free.
unsafe extern "C" fn drop_plain(capsule: *mut pyo3::ffi::PyObject) {
    // SAFETY: CPython calls this attached, with the dying capsule; an unused capsule has its first name.
    unsafe {
        if pyo3::ffi::PyCapsule_IsValid(capsule, PLAIN.as_ptr()) == 1 {
            let managed: *mut Managed = pyo3::ffi::PyCapsule_GetPointer(capsule, PLAIN.as_ptr()).cast();
            if let Some(deleter) = (*managed).deleter {
                deleter(managed);
            }
        }
    }
}

unsafe extern "C" fn drop_versioned(capsule: *mut pyo3::ffi::PyObject) {
    // SAFETY: as in `drop_plain`.
    unsafe {
        if pyo3::ffi::PyCapsule_IsValid(capsule, VERSIONED.as_ptr()) == 1 {
            let managed: *mut ManagedVersioned =
                pyo3::ffi::PyCapsule_GetPointer(capsule, VERSIONED.as_ptr()).cast();
            if let Some(deleter) = (*managed).deleter {
                deleter(managed);
            }
        }
    }
}

/// Copies the elements of any object with `__dlpack__` in row-major order.
pub fn read(object: &Bound<'_, PyAny>) -> PyResult<(Vec<u8>, Tensor)> {
    let py = object.py();
    let (kind, _id): (i32, i32) = object.call_method0("__dlpack_device__")?.extract()?;
    if kind != CPU && kind != CUDA_HOST {
        return Err(invalid(
            py,
            format!("this array is on DLPack device {kind}; move it to the CPU before sending"),
        ));
    }
    let capsule = ask(object)?;
    // SAFETY: a capsule of either name holds the struct of that name, which the capsule keeps alive;
    // it is only read here, never taken over.
    unsafe {
        if let Ok(managed) = capsule.pointer_checked(Some(VERSIONED)) {
            copy(py, &managed.cast::<ManagedVersioned>().as_ref().array)
        } else {
            copy(py, &capsule.pointer_checked(Some(PLAIN))?.cast::<Managed>().as_ref().array)
        }
    }
}

/// Calls `__dlpack__`, in the newest form the object takes.
fn ask<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyCapsule>> {
    let py = object.py();
    let version = PyDict::new(py);
    version.set_item("max_version", PyTuple::new(py, [1, 0])?)?;
    let answer = match object.call_method("__dlpack__", (), Some(&version)) {
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) => {
            object.call_method0("__dlpack__")
        }
        answer => answer,
    };
    Ok(answer?.cast_into::<PyCapsule>()?)
}

/// # Safety
/// `array` describes readable memory, as DLPack promises.
unsafe fn copy(py: Python<'_>, array: &Array) -> PyResult<(Vec<u8>, Tensor)> {
    let DataType { code, bits, lanes } = array.dtype;
    let Some(dtype) = dtype_of(code, bits).filter(|_| lanes == 1) else {
        return Err(invalid(
            py,
            format!("cannot send DLPack elements of code {code}, {bits} bits, {lanes} lanes"),
        ));
    };
    let ndim = usize::try_from(array.ndim).unwrap_or(0);
    let dims = |start: *const i64| {
        // SAFETY: shape and strides hold `ndim` numbers unless NULL.
        if ndim == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(start, ndim) } }
    };
    let shape: Vec<usize> = dims(array.shape).iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let tensor = Tensor { dtype, shape };
    let total: usize = tensor.shape.iter().product::<usize>() * dtype.size();
    let mut out = Vec::with_capacity(total);
    if total > 0 {
        let start = array.data.cast::<u8>().wrapping_add(array.byte_offset as usize);
        if array.strides.is_null() {
            // SAFETY: without strides the memory is row-major and `total` long.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(start, total) });
        } else {
            // SAFETY: the strides lead to elements of the array only.
            unsafe { gather(start, &tensor.shape, dims(array.strides), dtype.size(), &mut out) };
        }
    }
    Ok((out, tensor))
}

/// Appends the elements under `start` in row-major order, whole rows at a time where they lie together.
///
/// # Safety
/// Every element reached by `shape` and `strides` (counted in elements) is readable.
unsafe fn gather(start: *const u8, shape: &[usize], strides: &[i64], item: usize, out: &mut Vec<u8>) {
    let contiguous = |shape: &[usize], strides: &[i64]| {
        let mut expected = 1;
        shape.iter().zip(strides).rev().all(|(&n, &stride)| {
            let fits = n == 1 || stride == expected;
            expected *= n as i64;
            fits
        })
    };
    if contiguous(shape, strides) {
        let len = shape.iter().product::<usize>() * item;
        // SAFETY: these elements lie one after the other.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(start, len) });
        return;
    }
    for index in 0..shape[0] as i64 {
        let row = start.wrapping_offset((index * strides[0]) as isize * item as isize);
        // SAFETY: the promise of the caller covers each row.
        unsafe { gather(row, &shape[1..], &strides[1..], item, out) };
    }
}

fn dtype_of(code: u8, bits: u8) -> Option<Dtype> {
    Dtype::all().find(|dtype| dtype.dlpack() == (code, bits))
}
