//! Atomics come through here, so that loom can take their place in the protocol models, and tests can let a process
//! die before any store.

#[cfg(not(any(loom, crash_points)))]
pub use std::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
pub use std::{
    hint::spin_loop,
    sync::atomic::{Ordering, compiler_fence, fence},
};

#[cfg(not(loom))]
pub use pair::{pairs_at_once, store_pair};

#[cfg(all(crash_points, not(loom)))]
pub use mortal::{AtomicU32, AtomicU64};

/// Two neighbouring words by one store: a core has a few dozen stores under way, however wide they are.
#[cfg(all(target_arch = "x86_64", not(any(loom, crash_points, plain_stores))))]
mod pair {
    use super::AtomicU64;
    use std::arch::{asm, x86_64::_mm_set_epi64x};

    /// Whether others see both words of a pair at once, and after all that was stored before (release). Processors with
    /// AVX promise it of aligned stores of 16 bytes, as Intel's and AMD's manuals say.
    pub fn pairs_at_once() -> bool {
        std::arch::is_x86_feature_detected!("avx")
    }

    /// Stores the lower word of `pair` at `to` and the higher after it, each as by a relaxed store; both at once and with
    /// release where [`pairs_at_once`] says so.
    ///
    /// # Safety
    /// `to` is aligned to 16, and it and the word after it are writable.
    #[inline(always)]
    pub unsafe fn store_pair(to: *const AtomicU64, pair: u128) {
        // SAFETY: by the caller. In assembly, since Rust has no atomic of 16 bytes.
        unsafe {
            let both = _mm_set_epi64x((pair >> 64) as i64, pair as i64);
            asm!(
                "movdqa xmmword ptr [{to}], {both}",
                to = in(reg) to,
                both = in(xmm_reg) both,
                options(nostack, preserves_flags)
            );
        }
    }
}

/// The same by two stores.
#[cfg(all(not(loom), any(not(target_arch = "x86_64"), crash_points, plain_stores)))]
mod pair {
    use super::{AtomicU64, Ordering};

    pub fn pairs_at_once() -> bool {
        false
    }

    /// # Safety
    /// As above.
    #[inline(always)]
    #[cfg_attr(crash_points, track_caller)]
    pub unsafe fn store_pair(to: *const AtomicU64, pair: u128) {
        // SAFETY: by the caller.
        unsafe {
            (*to).store(pair as u64, Ordering::Relaxed);
            (*to.add(1)).store((pair >> 64) as u64, Ordering::Relaxed);
        }
    }
}

/// The standard atomics, of which each store is a crash point.
#[cfg(all(crash_points, not(loom)))]
mod mortal {
    use super::Ordering;
    use crate::sys::crash::point;
    use std::sync::atomic;

    macro_rules! mortal {
        ($name:ident, $integer:ty) => {
            #[repr(transparent)]
            #[derive(Debug, Default)]
            pub struct $name(atomic::$name);

            #[allow(dead_code)] // one of them has all
            impl $name {
                pub const fn new(value: $integer) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub fn load(&self, order: Ordering) -> $integer {
                    self.0.load(order)
                }

                #[track_caller]
                pub fn store(&self, value: $integer, order: Ordering) {
                    point();
                    self.0.store(value, order);
                }

                #[track_caller]
                pub fn swap(&self, value: $integer, order: Ordering) -> $integer {
                    point();
                    self.0.swap(value, order)
                }

                #[track_caller]
                pub fn fetch_add(&self, value: $integer, order: Ordering) -> $integer {
                    point();
                    self.0.fetch_add(value, order)
                }

                #[track_caller]
                pub fn fetch_max(&self, value: $integer, order: Ordering) -> $integer {
                    point();
                    self.0.fetch_max(value, order)
                }

                #[track_caller]
                pub fn fetch_and(&self, value: $integer, order: Ordering) -> $integer {
                    point();
                    self.0.fetch_and(value, order)
                }

                #[track_caller]
                pub fn fetch_or(&self, value: $integer, order: Ordering) -> $integer {
                    point();
                    self.0.fetch_or(value, order)
                }

                #[track_caller]
                pub fn fetch_sub(&self, value: $integer, order: Ordering) -> $integer {
                    point();
                    self.0.fetch_sub(value, order)
                }

                pub fn as_ptr(&self) -> *mut $integer {
                    self.0.as_ptr()
                }

                #[track_caller]
                pub fn compare_exchange(
                    &self,
                    current: $integer,
                    new: $integer,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$integer, $integer> {
                    point();
                    self.0.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    mortal!(AtomicU32, u32);
    mortal!(AtomicU64, u64);
}

#[cfg(loom)]
pub use model::{
    AtomicU64, Ordering, compiler_fence, dies_after, fence, spin_loop, without_fences, without_order,
};

/// loom's atomics, with three ways to break what runs on them: fences can be taken away from a thread, and so can the
/// order its accesses ask for, and a thread can be killed before any of its stores.
#[cfg(loom)]
mod model {
    pub use loom::sync::atomic::Ordering;
    pub use loom::thread::yield_now as spin_loop;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    loom::thread_local! {
        static FENCELESS: Cell<bool> = Cell::new(false);
        static ORDERLESS: Cell<bool> = Cell::new(false);
        static STORES_LEFT: Cell<Option<usize>> = Cell::new(None);
    }

    /// What unwinds a killed thread of a model.
    struct Killed;

    /// Takes every fence away from the calling thread, to show that the model needs it.
    pub fn without_fences() {
        FENCELESS.with(|off| off.set(true));
    }

    /// Makes every access of the calling thread a relaxed one, to show that the model needs what they ask for.
    pub fn without_order() {
        ORDERLESS.with(|off| off.set(true));
    }

    fn ordered(order: Ordering) -> Ordering {
        if ORDERLESS.with(|off| off.get()) { Ordering::Relaxed } else { order }
    }

    /// Runs `process` as if it were killed before its store number `stores`; `None` if it was. What other
    /// processes see of it are the stores before.
    pub fn dies_after<T>(stores: usize, process: impl FnOnce() -> T) -> Option<T> {
        STORES_LEFT.with(|left| left.set(Some(stores)));
        let outcome = catch_unwind(AssertUnwindSafe(process));
        STORES_LEFT.with(|left| left.set(None));
        match outcome {
            Ok(done) => Some(done),
            Err(cause) if cause.is::<Killed>() => None,
            Err(cause) => resume_unwind(cause),
        }
    }

    fn about_to_store() {
        STORES_LEFT.with(|left| match left.get() {
            Some(0) => resume_unwind(Box::new(Killed)),
            Some(n) => left.set(Some(n - 1)),
            None => {}
        });
    }

    pub fn fence(order: Ordering) {
        if !FENCELESS.with(|off| off.get()) {
            loom::sync::atomic::fence(order);
        }
    }

    /// loom has no compiler fence; the protocols never rely on one without a barrier on the other side.
    pub fn compiler_fence(_: Ordering) {}

    #[derive(Debug, Default)]
    pub struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        #[track_caller]
        pub fn new(value: u64) -> AtomicU64 {
            AtomicU64(loom::sync::atomic::AtomicU64::new(value))
        }

        #[track_caller]
        pub fn load(&self, order: Ordering) -> u64 {
            self.0.load(ordered(order))
        }

        #[track_caller]
        pub fn store(&self, value: u64, order: Ordering) {
            about_to_store();
            self.0.store(value, ordered(order));
        }

        #[track_caller]
        pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            about_to_store();
            self.0.fetch_add(value, ordered(order))
        }

        #[track_caller]
        pub fn swap(&self, value: u64, order: Ordering) -> u64 {
            about_to_store();
            self.0.swap(value, ordered(order))
        }

        #[track_caller]
        pub fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
            about_to_store();
            self.0.fetch_max(value, ordered(order))
        }

        #[track_caller]
        pub fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
            about_to_store();
            self.0.fetch_or(value, ordered(order))
        }

        #[track_caller]
        pub fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
            about_to_store();
            self.0.fetch_and(value, ordered(order))
        }

        #[track_caller]
        pub fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            about_to_store();
            self.0.compare_exchange(current, new, ordered(success), ordered(failure))
        }
    }
}
