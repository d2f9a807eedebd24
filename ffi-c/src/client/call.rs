//! A call that is under way, as its caller has it.

use crate::args::{self, Out, Timeout};
use crate::error::{self, Failure, enter, enter_or};
use crate::handle::{self, Noun};
use crate::message::held;
use crate::message::{Sent, axonic_message, axonic_payload};
use axonic::{Call, ErrorKind};
use std::ffi::{CString, c_char, c_int};

/// A call that is under way.
pub struct axonic_call(());

pub(crate) struct State {
    call: Call,
    /// What the service noted about its progress last.
    note: CString,
}

impl Noun for axonic_call {
    const NAME: &'static str = "axonic_call";
    type State = State;
}

/// Moves a call behind a pointer of C.
pub(crate) fn give(call: Call) -> *mut axonic_call {
    handle::give::<axonic_call>(State { call, note: CString::default() })
}

impl State {
    /// What a poll says that found nothing.
    fn nothing(&self, lacking: &str) -> Failure {
        let what = format!("call of {}", self.call.method());
        Failure::new(ErrorKind::WouldBlock, error::nothing(&what, lacking))
    }
}

/// Ends it. If it is not done, it is given up, and the service is told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_close(call: *mut axonic_call) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(call) })
}

/// Its number: no other call that is under way in this process has the same. 0 on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_id(call: *const axonic_call) -> u64 {
    // SAFETY: the header's rules for handles.
    enter_or(0, || Ok(unsafe { handle::get(call)? }.call.id()))
}

/// Waits for the result, which is taken once; axonic_message_release() ends it. AXONIC_ERROR_TIMEOUT gives the call up
/// only if it has a status (axonic_last_status()): then the call's own time was over. Items of a stream that were not
/// taken are dropped. To give a call up from outside, wait in slices by `timeout`, and close it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_result(
    call: *mut axonic_call,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(call)?) };
        let result = match args::timeout(timeout) {
            Timeout::Try => {
                state.call.try_result()?.ok_or_else(|| state.nothing("its result is not there yet"))?
            }
            Timeout::Wait(limit) => state.call.result(limit)?,
        };
        out.set(held::hand_out_body(result)?);
        Ok(())
    })
}

/// The next item that the service streams, waiting for it; axonic_message_release() ends it. AXONIC_ERROR_DISCONNECTED
/// when that was all; axonic_call_result() may still have a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_next(
    call: *mut axonic_call,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get_mut(call)?) };
        let next = match args::timeout(timeout) {
            Timeout::Try => {
                state.call.try_next()?.ok_or_else(|| state.nothing("its next item is not there yet"))?
            }
            Timeout::Wait(limit) => state.call.next(limit)?,
        };
        let item = next.ok_or_else(|| held::no_more("service", state.call.method()))?;
        out.set(held::hand_out_body(item)?);
        Ok(())
    })
}

/// Streams one more item to the service, waiting until it takes some. Goes nowhere when the service has answered already.
/// With timeout 0, what the service takes and finds no room is kept: see axonic_client_flush().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_send(
    call: *mut axonic_call,
    item: *const axonic_payload,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and options.
        let (state, sent) = unsafe { (handle::get_mut(call)?, Sent::read(item)?) };
        match args::timeout(timeout) {
            Timeout::Try if !state.call.try_send(sent.payload())? => {
                return Err(state.nothing("its service takes nothing now"));
            }
            Timeout::Try => {}
            Timeout::Wait(limit) => state.call.send(sent.payload(), limit)?,
        }
        Ok(())
    })
}

/// Says that there is no more input.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_finish_input(call: *mut axonic_call) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| Ok(unsafe { handle::get_mut(call)? }.call.finish_input()?))
}

/// How far the work is, from 0 to 1, as its service told last; negative when it has told nothing, and on failure. Its note
/// is written to `out_note`, which may be NULL; valid until the next call of this function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_call_progress(call: *mut axonic_call, out_note: *mut *const c_char) -> f64 {
    enter_or(-1.0, || {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::optional(out_note), handle::get_mut(call)?) };
        let (done, note) = state.call.progress().unwrap_or((-1.0, String::new()));
        state.note = error::without_nul(note);
        if let Some(out) = out {
            out.set(state.note.as_ptr());
        }
        Ok(done)
    })
}
