//! The sending end of a topic.

use std::sync::Arc;

use axonic::{ErrorKind, LoanMeta, Payload, PublisherOptions, Schema, Tensor};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyMapping, PyTuple};

use crate::buffer::dtype_argument;
use crate::domain::{Home, leave, wait_name};
use crate::error::{OrRaise, invalid, raise};
use crate::gate::{Handle, Patience, QUICK};
use crate::loan::PyLoan;
use crate::rpc::{carry, is_traced};
use crate::value::{self, Manner};
use crate::views::Views;
use crate::whole;

/// The sending end of one topic. Made by `Domain.publisher`.
///
/// May be shared by threads: one at a time is inside.
#[pyclass(frozen, generic, weakref, name = "Publisher", module = "axonic")]
pub struct PyPublisher {
    pub handle: Handle<axonic::Publisher>,
    options: PublisherOptions,
    topic: String,
    id: u64,
    kind: Option<Py<PyAny>>,
    home: Arc<Home>,
    pub views: Arc<Views>,
}

impl PyPublisher {
    pub fn new(
        core: axonic::Publisher,
        options: PublisherOptions,
        kind: Option<Py<PyAny>>,
        home: &Arc<Home>,
    ) -> PyPublisher {
        let topic = core.topic().to_owned();
        PyPublisher {
            id: core.id(),
            handle: Handle::new(format!("publisher {topic:?}"), core),
            options,
            topic,
            kind,
            home: home.clone(),
            views: Views::below(&home.views),
        }
    }

    fn manner<'a, 'py>(
        &'a self,
        py: Python<'py>,
        content: Option<&str>,
        attributes: Option<&'a Bound<'py, PyMapping>>,
    ) -> PyResult<Manner<'a, 'py>> {
        let kind = self.kind.as_ref().map(|kind| kind.bind(py));
        Ok(Manner {
            what: self.handle.what(),
            verb: "publish",
            kind,
            content: value::content_argument(py, content)?,
            attributes,
        })
    }

    fn send(&self, py: Python<'_>, payload: &Payload<'_>, patience: Patience) -> PyResult<()> {
        if payload.data.len() <= QUICK {
            match self.handle.quick(py, |core| core.try_send(payload)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => return Err(raise(py, error)),
                _ => {}
            }
        }
        self.handle.enter(py, patience, None, |core, slice| core.send(payload, Some(slice)))
    }
}

#[pymethods]
impl PyPublisher {
    /// The topic it publishes on.
    #[getter]
    fn topic(&self) -> &str {
        &self.topic
    }

    /// Its identity: `Message.publisher` on the other side; `axonic stat --json` writes it as 16
    /// hexadecimal digits.
    #[getter]
    fn id(&self) -> u64 {
        self.id
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.handle.is_closed() || self.home.core.is_closed()
    }

    /// Publishes one value.
    ///
    /// bytes and other flat byte buffers travel as they are; arrays (numpy, array.array, anything with
    /// `__dlpack__` or a shaped buffer) as tensors with type and shape; everything else (dataclasses,
    /// pydantic models, dicts, lists, strings, numbers, None) as JSON. `content` forces one of "raw",
    /// "json", "msgpack" or "tensor". `attributes` are CloudEvents attributes (strings). With
    /// overflow="block" waits up to `timeout` seconds for room, then raises TimeoutError.
    #[pyo3(signature = (value, *, attributes = None, timeout = None, content = None))]
    fn publish<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyMapping>>,
        timeout: Option<f64>,
        content: Option<&str>,
    ) -> PyResult<()> {
        let patience = Patience::new(py, timeout)?;
        if let (Ok(bytes), None, None, false) = (value.cast::<PyBytes>(), content, attributes, is_traced()) {
            // The common case first: bytes as they are.
            return self.send(py, &Payload::raw(bytes.as_bytes()), patience);
        }
        let mut outgoing = value::encode(value, self.manner(py, content, attributes)?)?;
        carry(py, &mut outgoing)?;
        self.send(py, &outgoing.payload(), patience)
    }

    /// Like publish(), but never waits: raises WouldBlockError when overflow="block" has no room.
    #[pyo3(signature = (value, *, attributes = None, content = None))]
    fn try_publish<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyMapping>>,
        content: Option<&str>,
    ) -> PyResult<()> {
        let mut outgoing = value::encode(value, self.manner(py, content, attributes)?)?;
        carry(py, &mut outgoing)?;
        let payload = outgoing.payload();
        self.handle.call(py, |core| core.try_send(&payload))
    }

    /// Publishes all values or, on an error, none: one call for many small messages.
    #[pyo3(signature = (values, *, attributes = None, timeout = None, content = None))]
    fn publish_many<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyMapping>>,
        timeout: Option<f64>,
        content: Option<&str>,
    ) -> PyResult<()> {
        let patience = Patience::new(py, timeout)?;
        let manner = self.manner(py, content, attributes)?;
        let mut outgoing = Vec::with_capacity(values.len().unwrap_or(0));
        for value in values.try_iter()? {
            let mut one = value::encode(&value?, manner)?;
            carry(py, &mut one)?;
            outgoing.push(one);
        }
        let payloads: Vec<Payload<'_>> = outgoing.iter().map(|one| one.payload()).collect();
        self.handle.enter(py, patience, None, |core, slice| core.publish_many(&payloads, Some(slice)))
    }

    /// Lends shared memory to write a message in place: `with pub.loan((480, 640, 3), "uint8") as view`.
    ///
    /// `shape` is a tensor's shape, or a number of bytes (of elements, with a `dtype`). The block gets
    /// a writable memoryview; leaving it publishes, an exception in it discards. No array or memoryview
    /// made from the view may be left by then (InUseError, nothing is published). The memory is not
    /// cleared.
    #[pyo3(signature = (shape, dtype = None, *, attributes = None, timeout = None, content = None))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn loan<'py>(
        slf: &Bound<'py, Self>,
        shape: &Bound<'py, PyAny>,
        dtype: Option<&Bound<'py, PyAny>>,
        attributes: Option<&Bound<'py, PyMapping>>,
        timeout: Option<f64>,
        content: Option<&str>,
    ) -> PyResult<PyLoan> {
        let py = slf.py();
        let this = slf.get();
        let patience = Patience::new(py, timeout)?;
        let tensor = loan_tensor(shape, dtype)?;
        let len = match &tensor {
            Some(tensor) => tensor.byte_len().or_raise(py)?,
            None => shape.extract()?,
        };
        let attributes = attributes.map(value::attributes).transpose()?;
        let content = value::content_argument(py, content)?;
        let core = this.handle.enter(py, patience, None, |core, slice| core.loan(len, Some(slice)))?;
        Ok(PyLoan::new(core, slf.clone().unbind(), tensor, attributes, content, timeout))
    }

    /// Waits until at least `count` subscribers are connected.
    #[pyo3(signature = (count = 1, timeout = None))]
    fn wait_for_subscribers(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole::count)] count: usize,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let patience = Patience::new(py, timeout)?;
        self.handle.enter(py, patience, None, |core, slice| core.wait_for_subscribers(count, Some(slice)))
    }

    /// Live subscribers connected now.
    fn subscribers(&self, py: Python<'_>) -> PyResult<usize> {
        self.handle.with(py, |core| core.subscribers())
    }

    /// The pollable descriptor: readable when it is worth trying again after WouldBlockError. For
    /// select, epoll and asyncio's add_reader; do not read from it.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.handle.call(py, |core| core.fd())
    }

    /// Its counters now.
    fn stats(&self, py: Python<'_>) -> PyResult<PublisherStats> {
        self.handle.with(py, |core| {
            let stats = core.stats();
            PublisherStats {
                published: stats.published,
                bytes: stats.bytes,
                blocked: stats.blocked,
                wakes_sent: stats.wakes_sent,
                wakes_elided: stats.wakes_elided,
                subscribers: stats.subscribers,
                slab_bytes: stats.slab_bytes,
                pinned: stats.pinned,
                orphans: stats.orphans,
                remnants: stats.remnants,
            }
        })
    }

    /// Ends the publisher; what it sent stays readable for those who were connected. Closing again
    /// does nothing. Raises InUseError, and stays open, while the view of a loan is alive.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.views.refuse_if_any(py, self.handle.what())?;
        self.handle.close(py)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc_value, traceback);
        leave(exc_type, self.close(py))
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        let overflow = self.options.overflow.name();
        format!(
            "<axonic.Publisher {:?} in {:?}, overflow {overflow}{closed}>",
            self.topic,
            self.home.core.name()
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("type", self.kind.as_ref())?;
        options.set_item("schema", self.options.schema.as_ref().map(Schema::text))?;
        options.set_item("overflow", self.options.overflow.name())?;
        options.set_item("capacity", self.options.capacity)?;
        options.set_item("max_bytes", self.options.max_bytes)?;
        options.set_item("retain", self.options.retain)?;
        options.set_item("wait", wait_name(self.options.wait))?;
        self.home.reduce(py, "publisher", &self.topic, &options)
    }
}

/// Reads `loan`'s shape and dtype: `None` for a plain number of bytes.
fn loan_tensor(shape: &Bound<'_, PyAny>, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Tensor>> {
    let count =
        if shape.is_instance_of::<PyInt>() { Some(whole::shape(shape)?) } else { shape.extract().ok() };
    match (count, dtype) {
        (Some(_), None) => Ok(None),
        (Some(count), Some(dtype)) => Ok(Some(Tensor { dtype: dtype_argument(dtype)?, shape: vec![count] })),
        (None, Some(dtype)) => {
            Ok(Some(Tensor { dtype: dtype_argument(dtype)?, shape: whole::shape(shape)? }))
        }
        (None, None) => {
            let text =
                "loan() needs a number of bytes, or a shape and a dtype, such as (480, 640, 3), \"uint8\"";
            Err(invalid(shape.py(), text))
        }
    }
}

impl PyPublisher {
    /// Publishes a filled loan with the same waits as `publish`; it stays in `loan` when that fails.
    pub fn commit(
        &self,
        py: Python<'_>,
        loan: &mut Option<axonic::Loan>,
        meta: &LoanMeta<'_>,
        patience: Patience,
    ) -> PyResult<()> {
        self.handle.enter(py, patience, None, |core, slice| core.commit_from(loan, meta, Some(slice)))
    }
}

/// Counters of a publisher.
#[pyclass(frozen, get_all, module = "axonic")]
pub struct PublisherStats {
    /// Messages published.
    published: u64,
    /// Payload bytes published.
    bytes: u64,
    /// Times it had to wait for room.
    blocked: u64,
    /// Sleeping subscribers woken.
    wakes_sent: u64,
    /// Messages for which nobody had to be woken.
    wakes_elided: u64,
    /// Live subscribers connected.
    subscribers: usize,
    /// Shared memory reserved for payloads over 2 KiB.
    slab_bytes: usize,
    /// Slots of that memory which readers have pinned now.
    pinned: usize,
    /// Finished publishers of this topic whose rings still wait for a reader, or are retained.
    orphans: usize,
    /// Those of which only the count is left, for subscribers that are still to be told what they missed.
    remnants: usize,
}

#[pymethods]
impl PublisherStats {
    fn __repr__(&self) -> String {
        format!(
            "PublisherStats(published={}, bytes={}, blocked={}, wakes_sent={}, wakes_elided={}, subscribers={}, slab_bytes={}, pinned={}, orphans={}, remnants={})",
            self.published,
            self.bytes,
            self.blocked,
            self.wakes_sent,
            self.wakes_elided,
            self.subscribers,
            self.slab_bytes,
            self.pinned,
            self.orphans,
            self.remnants
        )
    }
}
