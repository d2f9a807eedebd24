//! Memory seen by both sides: the scratch every message passes through, and views over shared
//! memory that end with the callback they were made for.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axonic::{Dtype, Tensor};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::invalid;
use crate::options::size;

/// Whether views copy although the engine could share (Electron cannot); for tests.
static ALWAYS_COPY: AtomicBool = AtomicBool::new(false);

/// Makes scoped views copies, as in engines that refuse external memory. For tests.
#[napi]
pub fn always_copy(copy: bool) {
    ALWAYS_COPY.store(copy, Relaxed);
}

/// Numbers per row of the scratch table, which says of each message:
pub const ROW: usize = 17;
/// its bytes,
pub const LENGTH: usize = 0;
/// the number of its publisher,
pub const SOURCE: usize = 1;
/// its content type, with flags,
pub const CONTENT: usize = 2;
/// messages missed before it,
pub const MISSED: usize = 3;
/// its sequence number,
pub const SEQUENCE: usize = 4;
/// the ticket of a loan or borrowed message,
pub const TICKET: usize = 5;
/// whether its view shares the memory (1) or is a copy (0),
pub const SHARED: usize = 6;
/// and of a tensor its element type, how many dimensions it has, and these (up to 8).
pub const DTYPE: usize = 7;
/// See [`DTYPE`].
pub const DIMENSIONS: usize = 8;

/// JavaScript memory that native calls fill: small payloads go through `bytes`, what is known
/// about them through `table`, so that a call passes no objects. One per loaded facade; calls are
/// synchronous, so nobody reads it late.
pub struct ScratchMemory {
    bytes: (*mut u8, usize),
    table: (*mut f64, usize),
    // They keep the memory in place.
    _bytes: Uint8Array,
    _table: Float64Array,
}

impl ScratchMemory {
    /// The payload part.
    #[allow(clippy::mut_from_ref)] // JavaScript's memory, used by one call at a time
    pub fn bytes(&self) -> &mut [u8] {
        // SAFETY: the array is alive and cannot move; one thread, and no call keeps the slice.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.0, self.bytes.1) }
    }

    /// Row `index` of the table.
    #[allow(clippy::mut_from_ref)] // as above
    pub fn row(&self, index: usize) -> &mut [f64; ROW] {
        assert!((index + 1) * ROW <= self.table.1, "row {index} lies outside the table");
        // SAFETY: inside the array by the assertion; else as in `bytes`.
        unsafe { &mut *self.table.0.add(index * ROW).cast() }
    }

    /// Writes a tensor description into row `index`.
    pub fn put_tensor(&self, index: usize, tensor: &Tensor) {
        let row = self.row(index);
        row[DTYPE] = f64::from(tensor.dtype as u8);
        row[DIMENSIONS] = tensor.shape.len() as f64;
        for (number, dimension) in row[DIMENSIONS + 1..].iter_mut().zip(&tensor.shape) {
            *number = *dimension as f64;
        }
    }

    /// The tensor description in row `index`.
    pub fn tensor(&self, index: usize) -> axonic::Result<Tensor> {
        let row = self.row(index);
        let dtype = Dtype::from_number(row[DTYPE] as u8);
        let dtype = dtype.ok_or_else(|| invalid(format!("no element type has the number {}", row[DTYPE])))?;
        let shape = row[DIMENSIONS + 1..].iter().take(row[DIMENSIONS] as usize);
        let shape = shape.map(|n| size("a dimension of shape", *n)).collect::<axonic::Result<_>>()?;
        Ok(Tensor { dtype, shape })
    }

    /// Rows in the table.
    pub fn rows(&self) -> usize {
        self.table.1 / ROW
    }
}

/// The scratch of one facade.
#[napi]
pub struct Scratch {
    pub(crate) memory: Rc<ScratchMemory>,
}

#[napi]
impl Scratch {
    /// Keeps both arrays; the caller never detaches them.
    #[napi(constructor)]
    pub fn new(mut bytes: Uint8Array, mut table: Float64Array) -> Scratch {
        // SAFETY: only the addresses are taken; the arrays are kept beside them.
        let (b, t) = unsafe { (bytes.as_mut(), table.as_mut()) };
        let (bytes_part, table_part) = ((b.as_mut_ptr(), b.len()), (t.as_mut_ptr(), t.len()));
        Scratch {
            memory: Rc::new(ScratchMemory {
                bytes: bytes_part,
                table: table_part,
                _bytes: bytes,
                _table: table,
            }),
        }
    }
}

/// An `ArrayBuffer` for the length of a callback.
pub struct View<'env> {
    /// The buffer.
    pub buffer: Unknown<'env>,
    /// Whether it shares the memory; else it is a private copy.
    pub shared: bool,
}

/// Shows `length` bytes at `data` as an `ArrayBuffer`: in place, or as a copy where the engine
/// refuses external memory.
///
/// # Safety
/// The bytes stay valid (and unwritten by others, as far as the caller promises) until [`detach`],
/// or for ever when that answers `false`.
pub unsafe fn expose<'env>(env: &'env Env, data: *mut u8, length: usize) -> Result<View<'env>> {
    let mut value = null_mut();
    if length > 0 && !ALWAYS_COPY.load(Relaxed) {
        // SAFETY: by this function's contract; no finalizer is needed.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env.raw(),
                data.cast(),
                length,
                None,
                null_mut(),
                &mut value,
            )
        };
        if status == sys::Status::napi_ok {
            // SAFETY: a fresh value of this scope.
            return Ok(View { buffer: unsafe { Unknown::from_napi_value(env.raw(), value) }?, shared: true });
        }
        if status != sys::Status::napi_no_external_buffers_allowed {
            check_status!(status)?;
        }
    }
    // SAFETY: as the caller promises for this moment.
    let source = if length == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, length) } };
    Ok(View { buffer: copy(env, source)?, shared: false })
}

/// A private `ArrayBuffer` with these bytes.
pub fn copy<'env>(env: &'env Env, source: &[u8]) -> Result<Unknown<'env>> {
    let (mut value, mut memory) = (null_mut(), null_mut());
    // SAFETY: the new buffer has as many bytes as the source; null only when empty.
    unsafe {
        check_status!(sys::napi_create_arraybuffer(env.raw(), source.len(), &mut memory, &mut value))?;
        if !source.is_empty() {
            std::ptr::copy_nonoverlapping(source.as_ptr(), memory.cast(), source.len());
        }
        Unknown::from_napi_value(env.raw(), value)
    }
}

/// The bytes of an `ArrayBuffer` made by [`expose`] or [`copy`]; empty when detached.
pub fn bytes_of<'a>(env: &Env, buffer: &'a Unknown<'_>) -> &'a [u8] {
    let (mut data, mut length) = (null_mut::<c_void>(), 0);
    // SAFETY: a live value; on another type nothing is written.
    unsafe {
        let status = sys::napi_get_arraybuffer_info(env.raw(), buffer.raw(), &mut data, &mut length);
        if status != sys::Status::napi_ok || data.is_null() || length == 0 {
            return &[];
        }
        std::slice::from_raw_parts(data.cast(), length)
    }
}

/// Ends a view: every typed array over it becomes empty. `false` when somebody moved the memory
/// away with `ArrayBuffer.prototype.transfer`: then a buffer out of reach still shows it, and the
/// caller must never give that memory back.
pub fn detach(env: &Env, buffer: &Unknown<'_>) -> bool {
    let mut gone = false;
    // SAFETY: a live value; wrong types are answered with a status.
    unsafe {
        sys::napi_is_detached_arraybuffer(env.raw(), buffer.raw(), &mut gone);
        !gone && sys::napi_detach_arraybuffer(env.raw(), buffer.raw()) == sys::Status::napi_ok
    }
}
