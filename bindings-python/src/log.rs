//! What happens beside the answers of calls, told to `logging.getLogger("axonic")`.
//!
//! The core keeps the records of a thread until its call is over; then, attached and with no lock held,
//! they go to the logger, whose handlers are any Python code and may use the library themselves.

use axonic::log::{Level, Record, keep, listen, tell};
use pyo3::exceptions::PyKeyboardInterrupt;
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

/// After a call of the core, when its locks are free: tells what happened in it.
#[inline]
pub fn deliver(py: Python<'_>) {
    tell(|record| {
        if let Err(error) = hand_over(py, &record) {
            if error.is_instance_of::<PyKeyboardInterrupt>(py) {
                // Ctrl-C while a handler ran: raised again at the next look at signals.
                // SAFETY: attached to the interpreter.
                unsafe { pyo3::ffi::PyErr_SetInterrupt() };
            } else {
                error.write_unraisable(py, None);
            }
        }
    });
}

/// `logging.getLogger("axonic").log`; `None` in a program that has not imported `logging`, where nobody listens.
fn log(py: Python<'_>) -> PyResult<Option<&Py<PyAny>>> {
    static LOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if LOG.get(py).is_none() && !py.import("sys")?.getattr("modules")?.contains("logging")? {
        return Ok(None);
    }
    let find = || -> PyResult<Py<PyAny>> {
        let logging = py.import("logging")?;
        let logger = logging.call_method1("getLogger", ("axonic",))?;
        // Without it warnings would go to standard error where nobody asked for logs.
        logger.call_method1("addHandler", (logging.call_method0("NullHandler")?,))?;
        Ok(logger.getattr("log")?.unbind())
    };
    LOG.get_or_try_init(py, find).map(Some)
}

fn hand_over(py: Python<'_>, record: &Record) -> PyResult<()> {
    let Some(log) = log(py)? else { return Ok(()) };
    // The numbers of `logging`.
    let level = match record.level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warn => 30,
    };
    log.call1(py, (level, record.text.as_str())).map(drop)
}
