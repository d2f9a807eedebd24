//! What somebody sees who looks into a queue.

use axonic::Peeked;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer;
use crate::meaning::{Copied, Meaning};

/// A message as it was when somebody looked at it. Made by `Queue.peek` and `Queue.dead_letters`.
#[pyclass(frozen, generic, name = "Peeked", module = "axonic")]
pub struct PyPeeked {
    copied: Copied,
    /// Its priority, 0 to 7.
    #[pyo3(get)]
    priority: u8,
    /// How often it was delivered.
    #[pyo3(get)]
    attempts: u16,
    /// Why it is a dead letter: "rejected", "attempts" or "expired"; None for other messages.
    #[pyo3(get)]
    reason: Option<&'static str>,
    /// The same in the words of whoever rejected it; empty if nobody did.
    #[pyo3(get)]
    reason_text: String,
}

impl PyPeeked {
    pub fn new(py: Python<'_>, peeked: &Peeked, kind: Option<&Py<PyAny>>) -> PyResult<PyPeeked> {
        let meaning = Meaning {
            content: peeked.content(),
            tensor: None,
            attributes: None,
            kind: kind.map(|kind| kind.clone_ref(py)),
        };
        Ok(PyPeeked {
            copied: Copied::new(buffer::to_bytes(py, peeked.data())?, meaning),
            priority: peeked.priority(),
            attempts: peeked.attempts(),
            reason: peeked.reason().map(axonic::Reason::name),
            reason_text: peeked.reason_text().to_owned(),
        })
    }
}

#[pymethods]
impl PyPeeked {
    /// The payload as bytes.
    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyBytes> {
        self.copied.data.clone_ref(py)
    }

    /// The payload decoded by its content type, as `Job.value`; a tensor as a vector of its bytes.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.copied.value(py)
    }

    /// "raw", "json", "msgpack" or "tensor".
    #[getter]
    fn content(&self) -> &'static str {
        self.copied.meaning.content.name()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let reason = self.reason.map_or(String::new(), |reason| format!(", {reason}"));
        self.copied.repr(py, &format!("Peeked{reason}, {} attempts", self.attempts))
    }
}

/// What is in a queue, each number read by itself, and what its handles have done since it was made.
#[pyclass(frozen, get_all, name = "QueueStats", module = "axonic")]
pub struct PyQueueStats {
    /// Messages to be delivered now, those given back included.
    ready: u64,
    /// Messages for later.
    delayed: u64,
    /// Messages that consumers have.
    leased: u64,
    /// Results that producers have not fetched.
    done: u64,
    /// Dead letters.
    dead: u64,
    /// Messages it can hold.
    capacity: u64,
    /// Bytes of messages over 128 bytes, in the parts they are stored in.
    bytes: u64,
    /// The most there can be of these.
    max_bytes: u64,
    /// Messages put.
    put: u64,
    /// Messages handed out, some more than once.
    delivered: u64,
    /// Messages acknowledged.
    acked: u64,
    /// Deliveries given back, by their consumers, by the end of a lease or after a death.
    returned: u64,
    /// Messages that became dead letters.
    buried: u64,
    /// Times a producer had to wait for room.
    blocked: u64,
    /// Bells rung for sleeping consumers.
    wakes_sent: u64,
}

impl PyQueueStats {
    pub fn new(stats: &axonic::QueueStats) -> PyQueueStats {
        PyQueueStats {
            ready: stats.ready,
            delayed: stats.delayed,
            leased: stats.leased,
            done: stats.done,
            dead: stats.dead,
            capacity: stats.capacity,
            bytes: stats.bytes,
            max_bytes: stats.max_bytes,
            put: stats.put,
            delivered: stats.delivered,
            acked: stats.acked,
            returned: stats.returned,
            buried: stats.buried,
            blocked: stats.blocked,
            wakes_sent: stats.wakes_sent,
        }
    }
}

#[pymethods]
impl PyQueueStats {
    fn __repr__(&self) -> String {
        format!(
            "QueueStats(ready={}, delayed={}, leased={}, done={}, dead={}, capacity={}, bytes={}, max_bytes={}, put={}, delivered={}, acked={}, returned={}, buried={}, blocked={}, wakes_sent={})",
            self.ready,
            self.delayed,
            self.leased,
            self.done,
            self.dead,
            self.capacity,
            self.bytes,
            self.max_bytes,
            self.put,
            self.delivered,
            self.acked,
            self.returned,
            self.buried,
            self.blocked,
            self.wakes_sent
        )
    }
}
