//! What happens beside the answers of calls, told to a function of the facade's.
//!
//! A record comes in the middle of a native call, where no foreign code may run. It is kept, and the facade's
//! `wake` is called, which does no more than to ask the event loop for a microtask; there the facade takes what
//! was kept and calls the program's logger.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use axonic::log::{Level, Record, keep, listen, tell};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::OrThrow;

/// The facade's `wake` and its environment; null where nobody listens.
#[derive(Clone, Copy)]
struct Wake {
    env: sys::napi_env,
    function: sys::napi_ref,
}

const NOBODY: Wake = Wake { env: null_mut(), function: null_mut() };

thread_local! {
    static WAKE: Cell<Wake> = const { Cell::new(NOBODY) };
}

/// One thing that happened.
#[napi(object, object_from_js = false)]
pub struct LogRecord {
    /// `debug`, `info` or `warn`.
    pub level: &'static str,
    /// The noun, its name, what happened.
    pub message: String,
}

/// From now on records of this thread are kept for `take_log`, and `wake` is called for each; once per environment.
#[napi]
pub fn start_log(env: &Env, wake: Function<'_, (), ()>) -> Result<()> {
    listen(hear).or_throw(env)?;
    let mut function = null_mut();
    // SAFETY: on the thread of `env`, which all three belong to; the hook is added once per environment.
    unsafe {
        check_status!(sys::napi_create_reference(env.raw(), wake.raw(), 1, &mut function))?;
        check_status!(sys::napi_add_env_cleanup_hook(env.raw(), Some(forget), null_mut()))?;
    }
    WAKE.set(Wake { env: env.raw(), function });
    Ok(())
}

/// What happened on this thread since the last time.
#[napi]
pub fn take_log() -> Vec<LogRecord> {
    let mut taken = Vec::new();
    tell(|Record { level, text }| {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
        };
        taken.push(LogRecord { level, message: text });
    });
    taken
}

/// The environment ends, and with it the reference.
unsafe extern "C" fn forget(_: *mut c_void) {
    WAKE.set(NOBODY);
}

fn hear(record: Record) {
    let wake = WAKE.get();
    if wake.env.is_null() {
        return;
    }
    keep(record);
    // SAFETY: on the thread of a live environment (`forget` runs before it ends), in a native call of it. Where no
    // JavaScript can run now (an exception is on its way), the record waits for the next one's wake.
    unsafe {
        let (mut scope, mut function, mut this) = (null_mut(), null_mut(), null_mut());
        if sys::napi_open_handle_scope(wake.env, &mut scope) != sys::Status::napi_ok {
            return;
        }
        if sys::napi_get_reference_value(wake.env, wake.function, &mut function) == sys::Status::napi_ok
            && sys::napi_get_undefined(wake.env, &mut this) == sys::Status::napi_ok
        {
            sys::napi_call_function(wake.env, this, function, 0, std::ptr::null(), null_mut());
        }
        sys::napi_close_handle_scope(wake.env, scope);
    }
}
