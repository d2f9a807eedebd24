//! What calls carry, on its way to the facade.

use axonic::Body;

use crate::memory::{CONTENT, LENGTH, ScratchMemory};

/// Flag beside the content type in the table: the bytes are not in the scratch, `take` fetches them.
pub const HELD: u32 = 256;

/// Writes what is known about a body into row 0, and its bytes into the scratch. Whether these are there: they may be too
/// many.
pub fn announce(scratch: &ScratchMemory, body: &Body) -> bool {
    let (row, data) = (scratch.row(0), body.data());
    let fits = match scratch.bytes().get_mut(..data.len()) {
        Some(target) => {
            target.copy_from_slice(data);
            true
        }
        None => false,
    };
    if let Some(tensor) = body.tensor() {
        scratch.put_tensor(0, tensor);
    }
    row[LENGTH] = data.len() as f64;
    row[CONTENT] = f64::from(body.content() as u32 | if fits { 0 } else { HELD });
    fits
}
