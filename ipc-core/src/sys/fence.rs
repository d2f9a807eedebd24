//! The two halves of the store-load barrier between a writer and a sleeper.
//!
//! A writer stores a record and then reads `armed`; a sleeper stores `armed` and then reads the
//! record. Each needs a full barrier between its two steps (Dekker). The writer runs millions of
//! times for each sleep, so a process that registered for `membarrier` pays nothing per write
//! ([`light`] is a compiler fence there) and the sleeper pays for both ([`heavy`]). A process that
//! did not register fences on each write; mixing the two is correct, since [`heavy`] is also a fence.

use super::atomic::{Ordering, fence};

/// The writer's half, in a process that is (`true`) or is not registered for `membarrier`.
#[inline(always)]
pub fn light(registered: bool) {
    if registered {
        super::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The writer's half where it committed with a read-modify-write of an atomic, which is a full barrier on x86.
#[inline(always)]
pub fn after_update() {
    light(cfg!(all(target_arch = "x86_64", not(loom))));
}

/// The sleeper's half. `registered_peers`: some writer relies on [`light`] being free.
pub fn heavy(registered_peers: bool) {
    fence(Ordering::SeqCst);
    #[cfg(not(loom))]
    if registered_peers {
        membarrier::global();
        fence(Ordering::SeqCst);
    }
    #[cfg(loom)]
    let _ = registered_peers;
}

#[cfg(not(loom))]
pub use membarrier::{available, register};

#[cfg(not(loom))]
mod membarrier {
    use crate::sys::process;
    use nix::libc;
    use std::sync::OnceLock;

    const CMD_QUERY: libc::c_int = 0;
    const CMD_GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
    const CMD_REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;

    fn call(command: libc::c_int) -> libc::c_long {
        // SAFETY: membarrier takes two integers here and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
    }

    /// Whether this process may issue the barrier (an old kernel or a seccomp filter may refuse).
    pub fn available() -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        let wanted = libc::c_long::from(CMD_GLOBAL_EXPEDITED | CMD_REGISTER_GLOBAL_EXPEDITED);
        *AVAILABLE.get_or_init(|| call(CMD_QUERY) & wanted == wanted)
    }

    /// Registers this process so that its writers need no fence. Registering a process with other
    /// threads stalls for milliseconds (it waits for an RCU grace period), so those are left to fence.
    pub fn register() -> bool {
        available() && process::single_threaded() && call(CMD_REGISTER_GLOBAL_EXPEDITED) == 0
    }

    pub fn global() {
        call(CMD_GLOBAL_EXPEDITED);
    }
}
