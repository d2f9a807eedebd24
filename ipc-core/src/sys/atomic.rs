//! Atomics come through here, so that loom can take their place in the protocol models.

#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// loom has no compiler fence; the protocols never rely on one without a barrier on the other side.
#[cfg(loom)]
pub fn compiler_fence(_: Ordering) {}
