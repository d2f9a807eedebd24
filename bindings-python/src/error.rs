//! The exception classes, made from the core's one table of error kinds.
//!
//! Each kind becomes a class `axonic.<Name>Error(AxonicError, <builtin>)` with the class attributes
//! `kind` (the core's name) and `number` (the stable one; C returns it negated). Nothing here lists
//! the kinds: a kind added to the core appears by itself.

use axonic::{Error, ErrorKind, Status};
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The base of them all.
static BASE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// `classes[n]` belongs to `ErrorKind::ALL[n]`.
static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// Adds `AxonicError` and one class per kind to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = class(py, "AxonicError", py.get_type::<PyException>().as_any(), None, "Error", 0)?;
    base.setattr("__doc__", "Base of every error this package raises; `kind` and `number` tell which.")?;
    base.setattr("accepted", 0)?;
    base.setattr("code", "")?;
    base.setattr("reason", "")?;
    base.setattr("retryable", false)?;
    base.setattr("details", py.None())?;
    base.setattr("origin", "")?;
    module.add("AxonicError", &base)?;
    let builtins = py.import("builtins")?;
    let mut classes = Vec::new();
    for kind in ErrorKind::ALL {
        let builtin = kind.python_base().map(|name| builtins.getattr(name)).transpose()?;
        let made = class(py, kind.python_class(), &base, builtin, kind.name(), kind.number())?;
        module.add(kind.python_class(), &made)?;
        classes.push(made.cast_into::<PyType>()?.unbind());
    }
    BASE.set(py, base.cast_into::<PyType>()?.unbind()).ok();
    CLASSES.get_or_init(py, || classes);
    Ok(())
}

fn class<'py>(
    py: Python<'py>,
    name: &str,
    base: &Bound<'py, PyAny>,
    builtin: Option<Bound<'py, PyAny>>,
    kind: &str,
    number: i32,
) -> PyResult<Bound<'py, PyAny>> {
    let namespace = PyDict::new(py);
    namespace.set_item("__module__", "axonic")?;
    namespace.set_item("__doc__", format!("Error kind {kind}, number {number}."))?;
    namespace.set_item("kind", kind)?;
    namespace.set_item("number", number)?;
    let bases = match builtin {
        Some(builtin) => PyTuple::new(py, [base, &builtin])?,
        None => PyTuple::new(py, [base])?,
    };
    py.get_type::<PyType>().call1((name, bases, namespace))
}

/// Turns a core error into the exception of its kind.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    instance(py, &error).unwrap_or_else(|failure| failure)
}

/// The class of a kind, once they are registered.
fn class_of<'py>(py: Python<'py>, kind: ErrorKind) -> Option<&'py Bound<'py, PyType>> {
    let index = ErrorKind::ALL.iter().position(|known| *known == kind)?;
    Some(CLASSES.get(py)?.get(index)?.bind(py))
}

fn instance(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let kind = error.kind();
    let Some(class) = class_of(py, kind) else { return Ok(PyException::new_err(error.to_string())) };
    let exception = class.call1((error.to_string(),))?;
    if let Some(errno) = kind.errno()
        && exception.is_instance_of::<PyOSError>()
    {
        exception.setattr("errno", errno)?;
    }
    if error.accepted() > 0 {
        exception.setattr("accepted", error.accepted())?;
    }
    if let Some(status) = error.status() {
        tell_status(&exception, status)?;
    }
    Ok(PyErr::from_value(exception))
}

/// Why a call failed, beside its text.
fn tell_status(exception: &Bound<'_, PyAny>, status: &Status) -> PyResult<()> {
    let py = exception.py();
    exception.setattr("code", status.code.name())?;
    // For a method that passes it on: the text of the exception says more.
    exception.setattr("_message", &status.message)?;
    exception.setattr("reason", &status.reason)?;
    exception.setattr("retryable", status.retryable)?;
    exception.setattr("origin", &status.origin)?;
    if !status.details.is_null() {
        let details = status.details.to_string();
        exception.setattr("details", py.import("json")?.call_method1("loads", (details,))?)?;
    }
    Ok(())
}

/// The same error of a call that has put so many messages all the same.
pub fn accepting(py: Python<'_>, error: PyErr, accepted: usize) -> PyErr {
    if accepted > 0 && BASE.get(py).is_some_and(|base| error.is_instance(py, base.bind(py))) {
        return error.value(py).setattr("accepted", accepted).err().unwrap_or(error);
    }
    error
}

/// An error of this skin's own making.
pub fn invalid(py: Python<'_>, text: impl Into<String>) -> PyErr {
    raise(py, Error::new(ErrorKind::InvalidArgument, text))
}

/// The same error; an InvalidArgumentError begins with `what` it keeps from being done.
pub fn begin_with(py: Python<'_>, error: PyErr, what: impl FnOnce() -> String) -> PyErr {
    if !class_of(py, ErrorKind::InvalidArgument).is_some_and(|class| error.is_instance(py, class)) {
        return error;
    }
    let told = invalid(py, format!("{}: {}", what(), error.value(py)));
    told.set_cause(py, error.cause(py));
    told
}

/// `result?` for core results in functions that answer to Python.
pub trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for axonic::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, error))
    }
}
