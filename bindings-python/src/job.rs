//! A message taken from a queue, until it is settled.

use std::sync::{Arc, Mutex, PoisonError};

use axonic::{Delivery, Error, ErrorKind};
use pyo3::exceptions::{PyException, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::asked::waiting;
use crate::buffer;
use crate::desk::{Desk, Place};
use crate::domain::leave;
use crate::error::{OrRaise, raise};
use crate::gate::{Process, QUICK, seconds};
use crate::log::{deliver, drop_detached};
use crate::meaning::{Copied, Meaning};
use crate::message::{lock, untrack};
use crate::value::{self, Manner};

pyo3::create_exception!(
    axonic,
    Reject,
    PyException,
    "Raised by the code that works on a job: nobody is to get the job any more. It goes to the dead letters, with the\n\
     text as the reason."
);

/// A message taken from a queue: nobody else gets it until it is settled, or its process is dead.
///
/// `with job:` acknowledges it at the end of the block and gives it back at once when an exception passes through
/// (Reject rejects it); so does `async with`. A job that is dropped without being settled is given back. Any thread may
/// use it. Its bytes are a copy, valid for as long as you keep the job.
#[pyclass(frozen, generic, name = "Job", module = "axonic")]
pub struct PyJob {
    desk: Arc<Desk<Delivery>>,
    /// Where it is there; `None` once it is settled.
    place: Mutex<Option<Place>>,
    process: Process,
    /// Its queue, for messages.
    what: Arc<str>,
    /// Settling it may do file work, or wait for the disk.
    does_file_work: bool,
    copied: Copied,
    attempt: u16,
    priority: u8,
    token: u64,
}

impl PyJob {
    /// Makes a delivery Python's.
    pub fn hand_out(
        py: Python<'_>,
        delivery: Delivery,
        desk: &Arc<Desk<Delivery>>,
        what: &Arc<str>,
        kind: Option<&Py<PyAny>>,
        does_file_work: bool,
    ) -> PyResult<Py<PyJob>> {
        let attributes = delivery.attributes().or_raise(py)?;
        let meaning = Meaning {
            content: delivery.content(),
            tensor: delivery.tensor().or_raise(py)?.map(Box::new),
            attributes: if attributes.is_empty() { None } else { Some(Box::new(attributes)) },
            kind: kind.map(|kind| kind.clone_ref(py)),
        };
        let copied = Copied::new(buffer::to_bytes(py, delivery.data())?, meaning);
        let (attempt, priority, token) = (delivery.attempt(), delivery.priority(), delivery.token());
        let place = Mutex::new(Some(desk.add(delivery)));
        let (desk, what, process) = (desk.clone(), what.clone(), Process::current());
        let job = Py::new(
            py,
            PyJob { desk, place, process, what, does_file_work, copied, attempt, priority, token },
        )?;
        untrack(&job);
        Ok(job)
    }

    fn no_longer_held(&self) -> Error {
        let text =
            format!("{}: this job is settled already, or its queue was closed; get the next one", self.what);
        Error::new(ErrorKind::Closed, text)
    }

    /// Ends it, one way or another; a second time raises. Other threads run meanwhile if that may take `long`.
    fn settle(
        &self,
        py: Python<'_>,
        long: bool,
        how: impl FnOnce(Delivery) -> axonic::Result<()> + Send,
    ) -> PyResult<()> {
        self.process.check(py, &self.what, "job")?;
        let place = lock(&self.place).take();
        let Some(delivery) = place.and_then(|place| self.desk.remove(place)) else {
            return Err(raise(py, self.no_longer_held()));
        };
        if long || self.does_file_work {
            return waiting(py, None, || how(delivery))?.or_raise(py);
        }
        let settled = how(delivery);
        deliver(py);
        settled.or_raise(py)
    }

    /// Does something with it while it stays ours.
    fn touch(&self, py: Python<'_>, what: impl FnOnce(&mut Delivery) -> axonic::Result<()>) -> PyResult<()> {
        self.process.check(py, &self.what, "job")?;
        let place = lock(&self.place);
        let lifted = place.and_then(|place| Some((place, self.desk.lift(place)?)));
        let Some((number, mut delivery)) = lifted else {
            drop(place);
            return Err(raise(py, self.no_longer_held()));
        };
        let done = what(&mut delivery);
        self.desk.lay(number, delivery);
        drop(place);
        deliver(py);
        done.or_raise(py)
    }

    /// The end of a block that an exception leaves.
    fn leave_block(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        if error.is_instance_of::<Reject>() {
            return self.reject(py, error.str()?.to_str()?);
        }
        self.nack(py, 0.0)
    }
}

impl Drop for PyJob {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Dropped, the delivery gives its message back.
        drop_detached(self.does_file_work, place.and_then(|place| self.desk.remove(place)));
    }
}

#[pymethods]
impl PyJob {
    /// The payload as bytes.
    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyBytes> {
        self.copied.data.clone_ref(py)
    }

    /// The payload decoded by its content type: bytes, Python objects (or the queue's `type`), or for a
    /// tensor a numpy array (a shaped memoryview where numpy is not installed).
    ///
    /// Decoded at first use; raises DecodeError when the bytes are not what they claim to be.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.copied.value(py)
    }

    /// "raw", "json", "msgpack" or "tensor".
    #[getter]
    fn content(&self) -> &'static str {
        self.copied.meaning.content.name()
    }

    /// Element type of a tensor, by its numpy name; None for other contents.
    #[getter]
    fn dtype(&self) -> Option<&'static str> {
        self.copied.meaning.dtype()
    }

    /// Shape of a tensor; None for other contents.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.copied.meaning.shape(py)
    }

    /// CloudEvents attributes; empty when the producer gave none.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.copied.meaning.attributes(py)
    }

    /// Its priority, 0 to 7.
    #[getter]
    fn priority(&self) -> u8 {
        self.priority
    }

    /// The number of this delivery of the message, from 1.
    #[getter]
    fn attempt(&self) -> u16 {
        self.attempt
    }

    /// A number that is greater for each later delivery of the same message, to tell a storage that a late
    /// writer is late.
    #[getter]
    fn token(&self) -> u64 {
        self.token
    }

    /// Whether it was acknowledged, given back or rejected.
    #[getter]
    fn settled(&self) -> bool {
        lock(&self.place).is_none()
    }

    /// It is done with. `result` is what the producer's ticket answers, in the forms put() takes.
    ///
    /// Raises LeaseLostError when the lease ran out before: somebody else has the message now. After a NotDurableError it
    /// is done with all the same.
    #[pyo3(signature = (result = None))]
    fn ack(&self, py: Python<'_>, result: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(result) = result else { return self.settle(py, false, Delivery::ack) };
        let outgoing = value::encode(
            result,
            Manner {
                what: &self.what,
                verb: "answer with this result",
                kind: None,
                content: None,
                attributes: None,
            },
        )?;
        let payload = outgoing.payload();
        self.settle(py, payload.data.len() > QUICK, |delivery| delivery.ack_with(&payload))
    }

    /// Gives it back, to be delivered again after `delay` seconds: to another attempt, or when there were as
    /// many as the queue allows, to the dead letters.
    #[pyo3(signature = (delay = 0.0))]
    fn nack(&self, py: Python<'_>, delay: f64) -> PyResult<()> {
        let delay = seconds(py, "delay", delay)?;
        self.settle(py, false, |delivery| delivery.nack(delay))
    }

    /// Nobody is to get it any more: it goes to the dead letters, with the reason. Of that, 4,096 bytes are kept.
    #[pyo3(signature = (reason = ""))]
    fn reject(&self, py: Python<'_>, reason: &str) -> PyResult<()> {
        self.settle(py, false, |delivery| delivery.reject(reason))
    }

    /// From now on it is this process's for `lease` seconds, whatever was left of its lease.
    fn extend(&self, py: Python<'_>, lease: f64) -> PyResult<()> {
        let lease = seconds(py, "lease", lease)?;
        self.touch(py, |delivery| delivery.extend(lease))
    }

    /// Tells a producer that waits for the result how far the work is, from 0 to 1.
    fn progress(&self, py: Python<'_>, done: f64) -> PyResult<()> {
        self.touch(py, |delivery| delivery.progress(done))
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
        let _ = traceback;
        if self.settled() {
            return Ok(());
        }
        if exc_type.is_none() {
            return self.settle(py, false, Delivery::ack);
        }
        leave(exc_type, self.leave_block(py, exc_value))
    }

    /// For `async with job:`. Settling waits for nothing but, where that was asked for, the disk.
    fn __aenter__(slf: Py<Self>) -> Ready {
        Ready(Some(slf))
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __aexit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Ready> {
        self.__exit__(py, exc_type, exc_value, traceback)?;
        Ok(Ready(None))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let settled = if self.settled() { ", settled" } else { "" };
        self.copied.repr(py, &format!("Job of {}, attempt {}{settled}", self.what, self.attempt))
    }
}

/// An awaitable that has its answer already.
#[pyclass(frozen)]
struct Ready(Option<Py<PyJob>>);

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        Err(PyStopIteration::new_err((self.0.as_ref().map(|job| job.clone_ref(py)),)))
    }
}
