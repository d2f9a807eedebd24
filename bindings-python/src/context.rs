//! A call as the function that answers it has it.

use std::sync::{Arc, Mutex};

use axonic::{Code, Content, Error, ErrorKind, Request, Service, Status, Thrown};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::channel::PyPeer;
use crate::error::{OrRaise, invalid, raise};
use crate::gate::limit;
use crate::log::deliver;
use crate::meaning::{Copied, Meaning};
use crate::message::{lock, untrack};
use crate::rpc::{copied, is_not_yet, traced};
use crate::shared::Shared;
use crate::value::{self, Manner, Outgoing};

/// A call, as the function that answers it has it: who calls, how long it waits, whether it still does. A function gets it
/// by a parameter named `ctx` or annotated with `axonic.Context`.
#[pyclass(frozen, name = "Context", module = "axonic")]
pub struct PyContext {
    /// `None` once it is answered.
    request: Mutex<Option<Arc<Request>>>,
    service: Arc<Shared<Service>>,
    /// The method's name.
    #[pyo3(get)]
    method: Py<PyString>,
    body: Copied,
    /// No other call that the service has at work has the same.
    #[pyo3(get)]
    _id: u64,
}

impl PyContext {
    pub fn make(py: Python<'_>, request: Request, service: &Arc<Shared<Service>>) -> PyResult<Py<PyContext>> {
        let body = copied(py, request.body())?;
        let context = PyContext {
            service: service.clone(),
            method: PyString::new(py, request.method()).unbind(),
            body,
            _id: request.id(),
            request: Mutex::new(Some(Arc::new(request))),
        };
        let made = Py::new(py, context)?;
        untrack(&made);
        Ok(made)
    }

    fn request(&self, py: Python<'_>) -> PyResult<Arc<Request>> {
        lock(&self.request).clone().ok_or_else(|| raise(py, self.answered()))
    }

    /// Takes it, to answer it.
    fn take(&self, py: Python<'_>) -> PyResult<Request> {
        let taken = lock(&self.request).take().ok_or_else(|| raise(py, self.answered()))?;
        Arc::try_unwrap(taken).map_err(|taken| {
            *lock(&self.request) = Some(taken);
            let text = format!("{}: another thread streams to its caller; answer it there", self.what());
            raise(py, Error::new(ErrorKind::Busy, text))
        })
    }

    fn answered(&self) -> Error {
        Error::new(ErrorKind::Closed, format!("{}: it is answered already", self.what()))
    }

    fn what(&self) -> String {
        format!("a call of {}", self.service.what())
    }

    fn encode<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Outgoing<'py>> {
        let manner =
            Manner { what: self.service.what(), verb: "answer", kind: None, content: None, attributes: None };
        value::encode(value, manner)
    }
}

#[pymethods]
impl PyContext {
    /// Who calls, as far as the kernel tells.
    #[getter]
    fn caller(&self, py: Python<'_>) -> PyResult<PyPeer> {
        Ok(PyPeer::new(self.request(py)?.caller()))
    }

    /// How many seconds the caller still waits; None: as long as it takes.
    #[getter]
    fn remaining(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        Ok(self.request(py)?.remaining().map(|left| left.as_secs_f64()))
    }

    /// Whether the caller waits no more: it gave the call up, it is gone, or its time is over.
    #[getter]
    fn cancelled(&self, py: Python<'_>) -> bool {
        let request = lock(&self.request).clone();
        let cancelled = request.is_some_and(|request| request.is_cancelled());
        deliver(py);
        cancelled
    }

    /// CloudEvents attributes that came with the call.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.body.meaning.attributes(py)
    }

    /// The trace the call belongs to, as W3C writes it; None if it said none. Calls that the function makes carry it on.
    #[getter]
    fn traceparent(&self) -> Option<String> {
        let attributes = self.body.meaning.attributes.as_ref()?;
        let traceparent = attributes.get("traceparent")?.to_owned();
        traced();
        Some(traceparent)
    }

    /// A logger for what it does: that of the service, whose records say which method.
    #[getter]
    fn log<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("axonic._service")?.call_method1("logger", (slf, slf.get().service.core().name()))
    }

    /// Tells the caller how far it is, from 0 to 1.
    #[pyo3(signature = (fraction, note = ""))]
    fn progress(&self, py: Python<'_>, fraction: f64, note: &str) -> PyResult<()> {
        self.request(py)?.progress(fraction, note);
        deliver(py);
        Ok(())
    }

    /// The arguments as bytes.
    #[getter]
    fn _data(&self, py: Python<'_>) -> Py<PyBytes> {
        self.body.data.clone_ref(py)
    }

    /// The same if they are nothing but bytes.
    #[getter]
    fn _direct(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        let Meaning { content, attributes, .. } = &self.body.meaning;
        let direct = *content == Content::Raw && attributes.is_none();
        direct.then(|| self._data(py))
    }

    /// "raw", "json", "msgpack" or "tensor".
    #[getter]
    fn _content(&self) -> &'static str {
        self.body.meaning.content.name()
    }

    /// Whether they are an array of arguments by position.
    #[getter]
    fn _by_position(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.request(py)?.is_by_position())
    }

    /// The arguments, decoded.
    #[getter]
    fn _value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.body.value(py)
    }

    /// Says that the function streams.
    fn _begin_stream(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py)?.begin_stream().or_raise(py)
    }

    /// Streams one more item to the caller, waiting until it takes some.
    fn _send(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let outgoing = self.encode(item)?;
        let request = self.request(py)?;
        let payload = outgoing.payload();
        match request.send(payload, Some(std::time::Duration::ZERO)) {
            Err(error) if is_not_yet(&error) => {}
            sent => {
                deliver(py);
                return sent.or_raise(py);
            }
        }
        self.service.wait(py, |_| request.send(payload, None))
    }

    /// The same without waiting; whether it was sent.
    fn _try_send(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let outgoing = self.encode(item)?;
        let sent = self.request(py)?.send(outgoing.payload(), Some(std::time::Duration::ZERO));
        deliver(py);
        match sent {
            Ok(()) => Ok(true),
            Err(error) if is_not_yet(&error) => Ok(false),
            Err(error) => Err(raise(py, error)),
        }
    }

    /// Waits up to `timeout` seconds for the next item that the caller streams, in a tuple; `()`: that was all.
    #[pyo3(signature = (timeout = None))]
    fn _next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Vec<Py<PyAny>>> {
        let timeout = limit(py, timeout)?;
        let request = self.request(py)?;
        let item = self.service.wait_reading(py, |_| request.next(timeout))?;
        item.map(|body| copied(py, &body)?.value(py).map(Bound::unbind)).transpose().map(Vec::from_iter)
    }

    /// The same without waiting; None: nothing came yet.
    fn _try_next(&self, py: Python<'_>) -> PyResult<Option<Vec<Py<PyAny>>>> {
        let next = self.request(py)?.next(Some(std::time::Duration::ZERO));
        deliver(py);
        let item = match next {
            Err(error) if is_not_yet(&error) => return Ok(None),
            next => next.or_raise(py)?,
        };
        let item = item.map(|body| copied(py, &body)?.value(py).map(Bound::unbind)).transpose()?;
        Ok(Some(Vec::from_iter(item)))
    }

    /// Answers it.
    fn _reply(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let outgoing = self.encode(value)?;
        let request = self.take(py)?;
        let replied = request.reply(outgoing.payload());
        deliver(py);
        replied.or_raise(py)
    }

    /// Answers that it failed by an exception of this class and text, which is, or means the same as, an error of a kind; with
    /// a status, by just that. Does nothing if it was answered. While another thread waits for what the caller streams, the call
    /// is dropped, which fails it as soon as that thread lets go of it.
    #[pyo3(signature = (class_, text, kind = None, status = None))]
    fn _fail(
        &self,
        py: Python<'_>,
        class_: &str,
        text: &str,
        kind: Option<&str>,
        status: Option<Told>,
    ) -> PyResult<()> {
        let status = status.map(|told| told.status(py)).transpose()?;
        let kind = ErrorKind::ALL.iter().find(|known| Some(known.name()) == kind).copied();
        let taken = lock(&self.request).take();
        if let Some(request) = taken.and_then(Arc::into_inner) {
            request.fail(Thrown { class: class_, text, kind, status: status.as_ref() }.into());
            deliver(py);
        }
        Ok(())
    }

    /// Answers that the service has no such method, but these.
    fn _no_such_method(&self, py: Python<'_>, methods: Vec<String>) -> PyResult<()> {
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        self.take(py)?.no_such_method(&methods);
        deliver(py);
        Ok(())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = if lock(&self.request).is_none() { ", answered" } else { "" };
        let Copied { data, meaning: Meaning { content, tensor, .. }, .. } = &self.body;
        let preview = axonic::preview(*content, tensor.as_deref(), data.as_bytes(py), 60);
        let method = self.method.to_str(py).unwrap_or("?");
        format!("<axonic.Context of {method:?} at {}{state}: {preview}>", self.service.what())
    }
}

/// Why a call failed: code, message, reason, whether it is retryable, details as JSON, origin.
#[derive(FromPyObject)]
struct Told(String, String, String, bool, String, String);

impl Told {
    fn status(self, py: Python<'_>) -> PyResult<Status> {
        let Told(code, message, reason, retryable, details, origin) = self;
        let code = Code::from_name(&code)
            .ok_or_else(|| invalid(py, format!("code={code:?} is none of gRPC's, such as \"NOT_FOUND\"")))?;
        let details = details
            .parse()
            .map_err(|error| invalid(py, format!("details={details}: they are to be JSON: {error}")))?;
        Ok(Status { code, reason, message, retryable, details, origin })
    }
}
