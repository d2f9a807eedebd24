//! The receiving end of topics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axonic::{Arrival, ErrorKind, Message, Sample, Schema, SubscriberOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::buffer;
use crate::domain::{Home, leave, start_name, wait_name};
use crate::error::{OrRaise, invalid};
use crate::gate::{Handle, Patience, soon};
use crate::meaning::Meaning;
use crate::message::{Facts, PyMessage, PySample, lock};
use crate::views::Views;
use crate::whole;

const NOTHING: &str = "no message arrived";

/// Publishers whose topic string is remembered; one past that starts over.
const TOPICS: usize = 1024;

/// The receiving end of one or more topics. Made by `Domain.subscriber`.
///
/// May be shared by threads: one at a time is inside, and a call that waits gives the others a turn
/// at least every tenth of a second. Iterating receives for ever.
#[pyclass(frozen, generic, weakref, name = "Subscriber", module = "axonic")]
pub struct PySubscriber {
    pub handle: Handle<axonic::Subscriber>,
    options: SubscriberOptions,
    pattern: String,
    id: u64,
    kind: Option<Py<PyAny>>,
    home: Arc<Home>,
    views: Arc<Views>,
    topics: Mutex<Topics>,
    /// The error that ended the last `receive_many`, which had messages to return.
    owed: Mutex<Option<PyErr>>,
    /// Whether there may be one, so that calls need not lock to see that there is none.
    owes: AtomicBool,
}

/// Messages taken at a time of many; between them the lock is free, and they become Python's objects.
const AT_ONCE: usize = 64;

/// Topic strings by publisher, so that a message costs a reference and not a new string.
#[derive(Default)]
struct Topics {
    /// The publisher of the last message, who mostly is that of the next one.
    last: Option<(u64, Py<PyString>)>,
    known: HashMap<u64, Py<PyString>>,
}

impl Topics {
    fn of(&mut self, py: Python<'_>, publisher: u64, name: &str) -> Py<PyString> {
        match &self.last {
            Some((last, topic)) if *last == publisher => return topic.clone_ref(py),
            _ => {}
        }
        if self.known.len() >= TOPICS {
            self.known.clear();
        }
        let topic = self.known.entry(publisher).or_insert_with(|| PyString::new(py, name).unbind());
        self.last = Some((publisher, topic.clone_ref(py)));
        topic.clone_ref(py)
    }
}

/// What [`axonic::Message`] and [`axonic::Sample`] both tell; one body for both.
macro_rules! facts {
    ($subscriber:expr, $topics:expr, $py:expr, $message:expr) => {{
        let message = $message;
        let attributes = message.attributes()?;
        Facts {
            topic: $topics.of($py, message.publisher(), message.topic()),
            meaning: Meaning {
                content: message.content(),
                tensor: message.tensor().cloned().map(Box::new),
                attributes: if attributes.is_empty() { None } else { Some(Box::new(attributes)) },
                kind: $subscriber.kind.as_ref().map(|kind| kind.clone_ref($py)),
            },
            missed: message.missed(),
            sequence: message.sequence(),
            publisher: message.publisher(),
        }
    }};
}

/// A message on its way out of the lock.
enum Taken {
    Copy(PyMessage),
    /// Boxed: it is several times as large as a message, which would be moved as slowly.
    Large(Box<Sample>),
}

impl PySubscriber {
    pub fn new(
        core: axonic::Subscriber,
        options: SubscriberOptions,
        kind: Option<Py<PyAny>>,
        home: &Arc<Home>,
    ) -> PySubscriber {
        let pattern = core.pattern().to_owned();
        PySubscriber {
            id: core.id(),
            handle: Handle::new(format!("subscriber {pattern:?}"), core),
            options,
            pattern,
            kind,
            home: home.clone(),
            views: Views::below(&home.views),
            topics: Mutex::default(),
            owed: Mutex::default(),
            owes: AtomicBool::new(false),
        }
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        lock(&self.topics)
    }

    /// Raises what `receive_many` kept for this call.
    #[inline]
    fn raise_owed(&self) -> PyResult<()> {
        if !self.owes.load(Ordering::Acquire) {
            return Ok(());
        }
        self.owes.store(false, Ordering::Relaxed);
        lock(&self.owed).take().map_or(Ok(()), Err)
    }

    /// Takes a message that is there already; runs under the lock, attached. A small one is copied on
    /// the spot, a large one comes out pinned and is copied when the lock has been given back. It goes `out` here, and
    /// not as the result, which would be moved several times. Whether there was one.
    #[inline]
    fn take(
        &self,
        py: Python<'_>,
        core: &mut axonic::Subscriber,
        out: &mut impl FnMut(Taken),
    ) -> axonic::Result<bool> {
        match core.try_next() {
            Ok(None) => return Ok(false),
            Ok(Some(Arrival::Small(message))) => out(self.copy(py, &message)?),
            Ok(Some(Arrival::Large(sample))) => out(Taken::Large(Box::new(sample))),
            // Every sample that may be borrowed is; a copy needs no place to borrow.
            Err(error) if error.kind() == ErrorKind::LimitReached => match core.try_receive()? {
                Some(message) => out(self.copy(py, &message)?),
                None => return Ok(false),
            },
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// The same, for a call that may wait.
    fn take_soon(
        &self,
        py: Python<'_>,
        core: &mut axonic::Subscriber,
        out: &mut impl FnMut(Taken),
    ) -> axonic::Result<bool> {
        soon(self.options.wait, || self.take(py, core, out))
    }

    #[inline]
    fn copy(&self, py: Python<'_>, message: &Message<'_>) -> axonic::Result<Taken> {
        let facts = facts!(self, self.topics(), py, message);
        Ok(Taken::Copy(PyMessage::new(PyBytes::new(py, message.data()), facts)))
    }

    /// Ends a take outside the lock.
    fn settle(&self, py: Python<'_>, taken: Taken) -> PyResult<Py<PyMessage>> {
        match taken {
            Taken::Copy(message) => message.hand_out(py),
            Taken::Large(sample) => self.own(py, *sample),
        }
    }

    /// Waits for a message; runs detached.
    fn wait(&self, py: Python<'_>, patience: Patience) -> PyResult<Sample> {
        self.handle.enter(py, patience, Some(NOTHING), |core, slice| match core.borrow(Some(slice)) {
            // Every slot to borrow with is taken, but a copy needs none.
            Err(error) if error.kind() == ErrorKind::LimitReached => {
                Ok(core.receive(Some(slice))?.to_sample())
            }
            outcome => outcome,
        })
    }

    /// The message in a sample: its bytes are copied once, straight out of shared memory.
    fn own(&self, py: Python<'_>, sample: Sample) -> PyResult<Py<PyMessage>> {
        let facts = (|| Ok(facts!(self, self.topics(), py, &sample)))().or_raise(py)?;
        PyMessage::new(buffer::to_bytes(py, sample.try_data().or_raise(py)?)?, facts).hand_out(py)
    }

    fn lend(&self, py: Python<'_>, sample: Sample) -> PyResult<PySample> {
        let facts = (|| Ok(facts!(self, self.topics(), py, &sample)))().or_raise(py)?;
        Ok(PySample::new(sample, facts, &self.views))
    }

    /// Adds messages that are there already, until there are `room`. An error loses none of the others.
    fn drain(&self, py: Python<'_>, into: &mut Vec<Py<PyMessage>>, room: usize) -> PyResult<()> {
        loop {
            let mut taken = Vec::new();
            let left = (room - into.len()).min(AT_ONCE);
            let drained = self.handle.quick(py, |core| self.drain_some(py, core, &mut taken, left));
            let mut failed = None;
            for one in taken {
                match self.settle(py, one) {
                    Ok(message) => into.push(message),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            failed.map_or(Ok(()), Err)?;
            match drained.transpose().or_raise(py)? {
                Some(true) if into.len() < room => {}
                // Taken or closed: whoever asked finds out by waiting.
                _ => return Ok(()),
            }
        }
    }

    /// The part of `drain` under the lock: stops behind a large message, which is pinned. Whether there may be more.
    fn drain_some(
        &self,
        py: Python<'_>,
        core: &mut axonic::Subscriber,
        into: &mut Vec<Taken>,
        room: usize,
    ) -> axonic::Result<bool> {
        while into.len() < room && !matches!(into.last(), Some(Taken::Large(_))) {
            if !self.take(py, core, &mut |taken| into.push(taken))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[pymethods]
impl PySubscriber {
    /// The topic or pattern it receives.
    #[getter]
    fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Its identity; `axonic stat --json` writes it as 16 hexadecimal digits.
    #[getter]
    fn id(&self) -> u64 {
        self.id
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.handle.is_closed() || self.home.core.is_closed()
    }

    /// Waits for the next message and returns a copy of it.
    ///
    /// `timeout` in seconds: None waits without end; TimeoutError when nothing came in time. Ctrl-C
    /// interrupts the wait.
    #[pyo3(signature = (timeout = None))]
    fn receive(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyMessage>> {
        let patience = Patience::new(py, timeout)?;
        self.raise_owed()?;
        let mut taken = None;
        let tried = self.handle.quick(py, |core| self.take_soon(py, core, &mut |one| taken = Some(one)));
        tried.transpose().or_raise(py)?;
        match taken {
            Some(taken) => self.settle(py, taken),
            None => self.own(py, self.wait(py, patience)?),
        }
    }

    /// The next message if one is there, else None; never waits.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<Py<PyMessage>>> {
        self.raise_owed()?;
        let mut taken = None;
        self.handle.call(py, |core| self.take(py, core, &mut |one| taken = Some(one)))?;
        taken.map(|taken| self.settle(py, taken)).transpose()
    }

    /// Waits for a message and returns it with all that are there too, at most `max`, as a list:
    /// one call for many small messages. An error that comes behind some is raised by the next call.
    #[pyo3(signature = (max = 1024, timeout = None))]
    fn receive_many<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = whole::max)] max: usize,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        if max == 0 {
            return Err(invalid(py, "receive_many(max=0): ask for at least one message"));
        }
        let patience = Patience::new(py, timeout)?;
        self.raise_owed()?;
        let mut messages = Vec::new();
        // An error that meets messages in hand must not lose them; it is raised at the next call.
        let mut drained = self.drain(py, &mut messages, max);
        if messages.is_empty() {
            drained?;
            let first = self.wait(py, patience)?;
            messages.push(self.own(py, first)?);
            drained = self.drain(py, &mut messages, max);
        }
        if let Err(error) = drained {
            *lock(&self.owed) = Some(error);
            self.owes.store(true, Ordering::Release);
        }
        PyList::new(py, messages)
    }

    /// Waits for the next message and returns a sample that looks at it in shared memory, without a
    /// copy. Use it in a `with` block.
    #[pyo3(signature = (timeout = None))]
    fn borrow(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PySample> {
        let patience = Patience::new(py, timeout)?;
        self.raise_owed()?;
        let sample = match self.handle.quick(py, |core| core.try_borrow()).transpose().or_raise(py)? {
            Some(Some(sample)) => sample,
            _ => self.handle.enter(py, patience, Some(NOTHING), |core, slice| core.borrow(Some(slice)))?,
        };
        self.lend(py, sample)
    }

    /// Like borrow(), but None when no message is there; never waits.
    fn try_borrow(&self, py: Python<'_>) -> PyResult<Option<PySample>> {
        self.raise_owed()?;
        let sample = self.handle.call(py, |core| core.try_borrow())?;
        sample.map(|sample| self.lend(py, sample)).transpose()
    }

    /// The pollable descriptor: readable while a message may be there, until try_receive() or
    /// try_borrow() answered None. For select, epoll and asyncio's add_reader; do not read from it.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.handle.call(py, |core| core.fd())
    }

    /// Live publishers it is connected to now.
    fn publishers(&self, py: Python<'_>) -> PyResult<usize> {
        self.handle.with(py, |core| core.publishers())
    }

    /// Messages missed so far in all.
    #[getter]
    fn missed(&self, py: Python<'_>) -> PyResult<u64> {
        self.handle.with(py, |core| core.missed())
    }

    /// Its counters now.
    fn stats(&self, py: Python<'_>) -> PyResult<SubscriberStats> {
        self.handle.with(py, |core| {
            let stats = core.stats();
            SubscriberStats {
                received: stats.received,
                bytes: stats.bytes,
                missed: stats.missed,
                rings: stats.rings,
                pinned: stats.pinned,
                orphans: stats.orphans,
            }
        })
    }

    /// Stops receiving; closing again does nothing. Raises InUseError, and stays open, while a view of
    /// a sample borrowed from it is alive.
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

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyMessage>> {
        self.receive(py, None)
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<axonic.Subscriber {:?} in {:?}{closed}>", self.pattern, self.home.core.name())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("type", self.kind.as_ref())?;
        options.set_item("schema", self.options.schema.as_ref().map(Schema::text))?;
        options.set_item("start", start_name(self.options.start))?;
        options.set_item("max_borrowed", self.options.max_borrowed)?;
        options.set_item("wait", wait_name(self.options.wait))?;
        self.home.reduce(py, "subscriber", &self.pattern, &options)
    }
}

/// Counters of a subscriber.
#[pyclass(frozen, get_all, module = "axonic")]
pub struct SubscriberStats {
    /// Messages received.
    received: u64,
    /// Payload bytes received.
    bytes: u64,
    /// Messages missed.
    missed: u64,
    /// Publishers' rings it reads from.
    rings: usize,
    /// Samples borrowed now that pin a publisher's memory.
    pinned: usize,
    /// Of these rings, those whose publishers have ended and that are still to be read out.
    orphans: usize,
}

#[pymethods]
impl SubscriberStats {
    fn __repr__(&self) -> String {
        format!(
            "SubscriberStats(received={}, bytes={}, missed={}, rings={}, pinned={}, orphans={})",
            self.received, self.bytes, self.missed, self.rings, self.pinned, self.orphans
        )
    }
}
