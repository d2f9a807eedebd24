//! What happens beside the answers of calls, told to `logging.getLogger("axonic")`.
//!
//! The core keeps the records of a thread until its call is over; then, attached and with no lock held,
//! they go to the logger, whose handlers are any Python code and may use the library themselves.

use std::ffi::{c_int, c_void};

use axonic::log::{Level, Record, keep, listen, tell};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::error::OrRaise;

/// Makes the core keep records.
pub fn register(py: Python<'_>) -> PyResult<()> {
    listen(keep).or_raise(py)
}

/// Runs a call of the core detached, then tells what happened in it.
pub fn detached<R: Send>(py: Python<'_>, call: impl FnOnce() -> R + Send) -> R {
    let result = py.detach(call);
    deliver(py);
    result
}

/// Drops something of the core's that a Python object had, which may do file work. What happened is told by the next call:
/// objects go in the middle of anything.
pub fn drop_detached(does_file_work: bool, thing: impl Send) {
    if does_file_work {
        // Where there is no interpreter any more, nobody waits for it either.
        Python::try_attach(|py| py.detach(|| drop(thing)));
    }
}

/// After a call of the core, when its locks are free: tells what happened in it.
#[inline]
pub fn deliver(py: Python<'_>) {
    tell(|record| {
        if let Err(error) = hand_over(py, &record) {
            if error.is_instance_of::<PyException>(py) {
                error.write_unraisable(py, None);
            } else {
                raise_later(py, error);
            }
        }
    });
}

/// What a signal's handler raised while a log handler ran (KeyboardInterrupt, SystemExit) ends neither the call, whose
/// result would be lost, nor is it lost itself: the interpreter raises it as soon as the call is over.
fn raise_later(py: Python<'_>, error: PyErr) {
    extern "C" fn raise(error: *mut c_void) -> c_int {
        // SAFETY: the box made below, given to the interpreter once; it calls back attached.
        let (error, py) = unsafe { (Box::from_raw(error.cast::<PyErr>()), Python::assume_attached()) };
        error.restore(py);
        -1
    }
    let error = Box::into_raw(Box::new(error));
    // SAFETY: the function and its argument fit each other.
    if unsafe { pyo3::ffi::Py_AddPendingCall(Some(raise), error.cast()) } != 0 {
        // The interpreter's list is full.
        // SAFETY: not taken.
        unsafe { Box::from_raw(error) }.write_unraisable(py, None);
    }
}

/// `logging.getLogger("axonic").log`; `None` in a program that has not imported `logging`, or that is just ending:
/// there nobody listens.
fn log(py: Python<'_>) -> Option<&Py<PyAny>> {
    static LOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let find = || -> PyResult<Py<PyAny>> {
        let logging = py.import("sys")?.getattr("modules")?.get_item("logging")?;
        let logger = logging.call_method1("getLogger", ("axonic",))?;
        // Without it warnings would go to standard error where nobody asked for logs.
        logger.call_method1("addHandler", (logging.call_method0("NullHandler")?,))?;
        Ok(logger.getattr("log")?.unbind())
    };
    LOG.get_or_try_init(py, find).ok()
}

fn hand_over(py: Python<'_>, record: &Record) -> PyResult<()> {
    let Some(log) = log(py) else { return Ok(()) };
    // The numbers of `logging`.
    let level = match record.level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warn => 30,
    };
    log.call1(py, (level, record.text.as_str())).map(drop)
}
