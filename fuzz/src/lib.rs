//! What libFuzzer runs. The targets themselves are plain functions, which `ipc-core/tests/corpus.rs` includes to
//! replay the committed inputs without any instrumentation.

pub mod targets;

use std::cell::RefCell;
use targets::Target;

/// Gives `data` to the target of this name, made at the first call.
pub fn run(name: &str, data: &[u8]) {
    thread_local!(static MADE: RefCell<Option<Box<dyn Target>>> = const { RefCell::new(None) });
    MADE.with_borrow_mut(|made| made.get_or_insert_with(|| targets::make(name)).run(data));
}
