//! Numbers of calls that something came for, in the caller's arrays.

use crate::args::Out;
use crate::error::{Failure, Outcome};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What did not fit into the caller's array; the next call begins with it.
#[derive(Default)]
pub(crate) struct News(Mutex<VecDeque<u64>>);

impl News {
    /// Writes what is left, or else what `look` finds, as far as it fits.
    ///
    /// # Safety
    /// `ids` is NULL or has room for `capacity` numbers, `out_count` is NULL or may be written.
    pub(crate) unsafe fn hand_out(
        &self,
        (ids, capacity): (*mut u64, usize),
        out_count: *mut usize,
        look: impl FnOnce() -> axonic::Result<Vec<u64>>,
    ) -> Outcome<()> {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out_count)? };
        if ids.is_null() || !ids.is_aligned() || capacity == 0 {
            return Err(Failure::argument("there is no room for numbers of calls"));
        }
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_empty() {
            left.extend(look()?);
        }
        let count = left.len().min(capacity);
        for (index, id) in left.drain(..count).enumerate() {
            // SAFETY: inside the caller's array of `capacity`.
            unsafe { ids.add(index).write(id) };
        }
        out.set(count);
        Ok(())
    }
}
