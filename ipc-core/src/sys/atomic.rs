//! Atomics come through here, so that loom can take their place in the protocol models.

#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// loom has no compiler fence; the protocols never rely on one without a barrier on the other side.
#[cfg(loom)]
pub fn compiler_fence(_: Ordering) {}

#[cfg(loom)]
loom::thread_local! {
    static FENCELESS: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

/// Takes every fence away from the calling thread of a model, to show that the model needs it.
#[cfg(loom)]
pub fn without_fences() {
    FENCELESS.with(|off| off.set(true));
}

#[cfg(loom)]
pub fn fence(order: Ordering) {
    if !FENCELESS.with(|off| off.get()) {
        loom::sync::atomic::fence(order);
    }
}
