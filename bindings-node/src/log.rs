//! What happens beside the answers of calls, told to a function of the facade's.
//!
//! A record comes in the middle of a native call, where no JavaScript may run. It is kept, and the event loop is
//! asked (by a thread-safe function, which runs nothing now) to call the facade, which takes what was kept.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use axonic::log::{Level, Record, keep, listen, tell};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::OrThrow;

/// Whoever listens on a thread.
#[derive(Clone, Copy)]
struct Listener {
    /// Counts those of the thread, so that one who was replaced takes nothing from its successor.
    turn: u32,
    /// Asks the loop; null where nobody listens.
    wake: sys::napi_threadsafe_function,
}

thread_local! {
    static LISTENER: Cell<Listener> = const { Cell::new(Listener { turn: 0, wake: null_mut() }) };
}

/// One thing that happened.
#[napi(object, object_from_js = false)]
pub struct LogRecord {
    /// `debug`, `info` or `warn`.
    pub level: &'static str,
    /// The noun, its name, what happened.
    pub message: String,
}

/// From now on records of this thread are kept for `take_log`, and the event loop calls `deliver` when there are some.
/// Of several calls on a thread the last counts; the answer is its turn.
#[napi]
pub fn start_log(env: &Env, deliver: Function<'_, (), ()>) -> Result<u32> {
    listen(hear).or_throw(env)?;
    let before = LISTENER.get();
    let turn = before.turn + 1;
    let (mut name, mut wake) = (null_mut(), null_mut());
    // SAFETY: on the thread of `env`, with values of it. The loop owns the new function until the environment ends,
    // and then calls `forget`.
    unsafe {
        check_status!(sys::napi_create_string_utf8(env.raw(), c"axonic log".as_ptr(), -1, &mut name))?;
        check_status!(sys::napi_create_threadsafe_function(
            env.raw(),
            deliver.raw(),
            null_mut(),
            name,
            0,
            1,
            turn as usize as *mut c_void,
            Some(forget),
            null_mut(),
            None,
            &mut wake,
        ))?;
        // A log keeps no process alive.
        check_status!(sys::napi_unref_threadsafe_function(env.raw(), wake))?;
        LISTENER.set(Listener { turn, wake });
        if !before.wake.is_null() {
            sys::napi_release_threadsafe_function(before.wake, sys::ThreadsafeFunctionReleaseMode::abort);
        }
    }
    Ok(turn)
}

/// What happened on this thread since the last time, for whose turn it is.
#[napi]
pub fn take_log(turn: u32) -> Vec<LogRecord> {
    let mut taken = Vec::new();
    if turn != LISTENER.get().turn {
        return taken;
    }
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

/// The environment ends, or another listener took over.
unsafe extern "C" fn forget(_: sys::napi_env, turn: *mut c_void, _: *mut c_void) {
    let listener = LISTENER.get();
    if listener.turn as usize == turn as usize {
        LISTENER.set(Listener { wake: null_mut(), ..listener });
    }
}

fn hear(record: Record) {
    let wake = LISTENER.get().wake;
    if wake.is_null() {
        return;
    }
    keep(record);
    // SAFETY: alive, since `forget` runs on this very thread before it is freed. It only asks the loop; that it is
    // asked already, or ending, is no matter.
    unsafe {
        sys::napi_call_threadsafe_function(wake, null_mut(), sys::ThreadsafeFunctionCallMode::nonblocking)
    };
}
