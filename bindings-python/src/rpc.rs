//! What both sides of a call do alike.

use std::sync::atomic::{AtomicBool, Ordering};

use axonic::{Body, Content, Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use crate::buffer;
use crate::error::OrRaise;
use crate::meaning::{Copied, Meaning};
use crate::value::Outgoing;

/// Whether anything that this process does belongs to a trace.
static TRACED: AtomicBool = AtomicBool::new(false);

/// From now on whatever goes out asks for the trace it belongs to.
#[pyfunction(name = "_carry_traces")]
pub fn traced() {
    TRACED.store(true, Ordering::Relaxed);
}

/// The trace that this thread, or task, works for.
pub fn trace(py: Python<'_>) -> PyResult<Option<String>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if !is_traced() {
        return Ok(None);
    }
    VARIABLE.import(py, "axonic._service", "trace")?.call_method1("get", (py.None(),))?.extract()
}

/// Whether there may be one.
#[inline]
pub fn is_traced() -> bool {
    TRACED.load(Ordering::Relaxed)
}

/// Has what goes out belong to that trace, unless it says which.
pub fn carry(py: Python<'_>, outgoing: &mut Outgoing<'_>) -> PyResult<()> {
    if let Some(traceparent) = trace(py)? {
        outgoing.default_attribute("traceparent", &traceparent).or_raise(py)?;
    }
    Ok(())
}

/// A body in a copy of its own.
pub fn copied(py: Python<'_>, body: &Body) -> PyResult<Copied> {
    let attributes = body.attributes().or_raise(py)?;
    let meaning = Meaning {
        content: body.content(),
        tensor: body.tensor().cloned().map(Box::new),
        attributes: (!attributes.is_empty()).then(|| Box::new(attributes)),
        kind: None,
    };
    Ok(Copied::new(buffer::to_bytes(py, body.data())?, meaning))
}

/// What a body means to Python.
pub fn decoded<'py>(py: Python<'py>, body: &Body) -> PyResult<Bound<'py, PyAny>> {
    match (body.content(), body.data()) {
        (Content::Raw, data) => Ok(PyBytes::new(py, data).into_any()),
        (Content::Json, b"null") => Ok(py.None().into_bound(py)),
        _ => copied(py, body)?.value(py),
    }
}

/// Whether an error says that something did not come yet, and not that a call's own time is over.
pub fn is_not_yet(error: &Error) -> bool {
    error.kind() == ErrorKind::Timeout && error.status().is_none()
}
