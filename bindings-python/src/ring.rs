//! The bare ring: one producer, one consumer.
//!
//! Both ends hand out memory in place. While such a window is open its end of the ring answers `Busy`
//! to everything else, because the next call would move the memory under it.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use axonic::{Error, ErrorKind, RingOptions};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyTuple};

use crate::buffer::{self, Layout};
use crate::domain::{Held, Home, leave, wait_name};
use crate::error::{OrRaise, raise};
use crate::gate::{Handle, Patience, QUICK};
use crate::views::Views;
use crate::whole;
use crate::window::{Shut, Window};

const NOTHING: &str = "no message arrived";

/// The core's end of a ring and whether memory of it is lent out.
struct Lender<T> {
    handle: Handle<T>,
    lent: Arc<AtomicBool>,
}

impl<T: Send> Held for Lender<T> {
    fn let_go(&self, py: Python<'_>) -> PyResult<()> {
        // What is lent out must stay mapped; the end then goes with the object.
        if self.lent.load(Ordering::Acquire) { Ok(()) } else { self.handle.close(py) }
    }
}

/// One end of a ring.
pub struct End<T> {
    lender: Arc<Lender<T>>,
    name: String,
    options: RingOptions,
    home: Arc<Home>,
    views: Arc<Views>,
}

/// Marks an end of a ring as lent out, until dropped.
pub struct Lent(Arc<AtomicBool>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T: Send + 'static> End<T> {
    fn new(noun: &str, core: T, name: &str, options: RingOptions, home: &Arc<Home>) -> End<T> {
        let handle = Handle::new(format!("{noun} {name:?}"), core);
        let lender = Arc::new(Lender { handle, lent: Arc::new(AtomicBool::new(false)) });
        let held: Weak<dyn Held> = Arc::<Lender<T>>::downgrade(&lender);
        home.hold(held);
        End { lender, name: name.to_owned(), options, home: home.clone(), views: Views::below(&home.views) }
    }

    /// Refuses while memory is lent out; asked under the handle's lock.
    fn whole(&self) -> axonic::Result<()> {
        if self.lender.lent.load(Ordering::Acquire) {
            let text = format!(
                "{}: memory of it is being used in place; leave that block first",
                self.lender.handle.what()
            );
            return Err(Error::new(ErrorKind::Busy, text));
        }
        Ok(())
    }

    /// Lends it out; under the handle's lock.
    fn lend(&self) -> Lent {
        self.lender.lent.store(true, Ordering::Release);
        Lent(self.lender.lent.clone())
    }

    fn closed(&self) -> bool {
        self.lender.handle.is_closed() || self.home.core.is_closed()
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.views.refuse_if_any(py, self.lender.handle.what())?;
        self.whole().map_err(|error| raise(py, error))?;
        self.lender.handle.close(py)
    }

    fn repr(&self, class: &str) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<axonic.{class} {:?} in {:?}{closed}>", self.name, self.home.core.name())
    }

    fn reduce<'py>(&self, py: Python<'py>, noun: &str) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("capacity", self.options.capacity)?;
        options.set_item("wait", wait_name(self.options.wait))?;
        self.home.reduce(py, noun, &self.name, &options)
    }
}

/// The sending end of a ring. Made by `Domain.ring_producer`.
#[pyclass(frozen, weakref, name = "RingProducer", module = "axonic")]
pub struct PyRingProducer {
    end: End<axonic::RingProducer>,
}

impl PyRingProducer {
    pub fn new(core: axonic::RingProducer, name: &str, options: RingOptions, home: &Arc<Home>) -> Self {
        PyRingProducer { end: End::new("ring producer", core, name, options, home) }
    }
}

#[pymethods]
impl PyRingProducer {
    /// The ring's name.
    #[getter]
    fn name(&self) -> &str {
        &self.end.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.end.closed()
    }

    /// Sends a copy of `data`, waiting up to `timeout` seconds for room.
    #[pyo3(signature = (data, timeout = None))]
    fn push(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<f64>) -> PyResult<()> {
        let patience = Patience::new(py, timeout)?;
        let source = buffer::read_bytes(data)?;
        let bytes = source.data();
        if bytes.len() <= QUICK
            && let Some(Ok(())) =
                self.end.lender.handle.quick(py, |core| self.end.whole().and_then(|()| core.try_push(bytes)))
        {
            return Ok(());
        }
        self.end.lender.handle.enter(py, patience, None, |core, slice| {
            self.end.whole()?;
            core.push(bytes, Some(slice))
        })
    }

    /// Sends a copy of `data` if there is room now, else raises WouldBlockError.
    fn try_push(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let source = buffer::read_bytes(data)?;
        self.end.lender.handle.call(py, |core| self.end.whole().and_then(|()| core.try_push(source.data())))
    }

    /// Reserves room to write a message in place: `with ring.reserve(nbytes) as view`. Leaving the
    /// block sends it, an exception discards it.
    #[pyo3(signature = (nbytes, timeout = None))]
    fn reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = whole::nbytes)] nbytes: usize,
        timeout: Option<f64>,
    ) -> PyResult<PyReservation> {
        let py = slf.py();
        let end = &slf.get().end;
        let patience = Patience::new(py, timeout)?;
        let (start, lent) = end.lender.handle.enter(py, patience, None, |core, slice| {
            end.whole()?;
            let start = core.reserve(nbytes, Some(slice))?.as_mut_ptr() as usize;
            Ok((start, end.lend()))
        })?;
        let what = format!("reservation in {}", end.lender.handle.what());
        let layout = Layout::bytes(nbytes);
        // SAFETY: reserved memory stays where it is until the next call on the producer, and `lent`
        // makes every other call answer `Busy`.
        let window = unsafe { Window::new(what, start as *mut u8, nbytes, layout, true, lent) };
        Ok(PyReservation { window, producer: slf.clone().unbind() })
    }

    /// The pollable descriptor: readable when it is worth trying again after WouldBlockError.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.end.lender.handle.call(py, |core| core.fd())
    }

    /// Counters of the ring.
    fn stats(&self, py: Python<'_>) -> PyResult<RingStats> {
        self.end.lender.handle.with(py, |core| RingStats::of(core.stats()))
    }

    /// Ends the stream: the consumer reads what is left, then gets DisconnectedError. Closing again
    /// does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end.close(py)
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
        self.end.repr("RingProducer")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.end.reduce(py, "ring_producer")
    }
}

/// The receiving end of a ring. Made by `Domain.ring_consumer`. Iterating receives until the producer
/// has ended and everything is read.
#[pyclass(frozen, weakref, name = "RingConsumer", module = "axonic")]
pub struct PyRingConsumer {
    end: End<axonic::RingConsumer>,
}

impl PyRingConsumer {
    pub fn new(core: axonic::RingConsumer, name: &str, options: RingOptions, home: &Arc<Home>) -> Self {
        PyRingConsumer { end: End::new("ring consumer", core, name, options, home) }
    }

    /// Copies a message that is there; runs under the lock, attached.
    fn take<'py>(
        &self,
        py: Python<'py>,
        core: &mut axonic::RingConsumer,
    ) -> axonic::Result<Option<Bound<'py, PyBytes>>> {
        self.end.whole()?;
        let bytes = core.try_pop()?.map(|data| PyBytes::new(py, data));
        core.release()?;
        Ok(bytes)
    }

    /// Waits for a message and lends out its memory.
    fn wait(&self, py: Python<'_>, patience: Patience) -> PyResult<(usize, usize, Lent)> {
        self.end.lender.handle.enter(py, patience, Some(NOTHING), |core, slice| {
            self.end.whole()?;
            let data = core.pop(Some(slice))?;
            Ok((data.as_ptr() as usize, data.len(), self.end.lend()))
        })
    }

    /// Gives the memory of the last message back to the producer.
    fn give_back(&self, py: Python<'_>, lent: Lent) -> PyResult<()> {
        drop(lent);
        // Closed meanwhile means given back already.
        if self.end.closed() { Ok(()) } else { self.end.lender.handle.call(py, |core| core.release()) }
    }
}

#[pymethods]
impl PyRingConsumer {
    /// The ring's name.
    #[getter]
    fn name(&self) -> &str {
        &self.end.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.end.closed()
    }

    /// Waits up to `timeout` seconds for the next message and returns a copy. Raises DisconnectedError
    /// when the producer has ended and everything is read.
    #[pyo3(signature = (timeout = None))]
    fn pop<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyBytes>> {
        let patience = Patience::new(py, timeout)?;
        if let Some(Some(bytes)) =
            self.end.lender.handle.quick(py, |core| self.take(py, core)).transpose().or_raise(py)?
        {
            return Ok(bytes);
        }
        let (start, len, lent) = self.wait(py, patience)?;
        // SAFETY: popped memory stays where it is until the next call on the consumer, and `lent` makes
        // every other call answer `Busy`.
        let bytes = buffer::to_bytes(py, unsafe { std::slice::from_raw_parts(start as *const u8, len) });
        self.give_back(py, lent)?;
        bytes
    }

    /// The next message if one is there, else None; never waits.
    fn try_pop<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.end.lender.handle.call(py, |core| self.take(py, core))
    }

    /// Waits for the next message and shows it in place: `with ring.borrow() as view`. Its memory goes
    /// back to the producer at the end of the block.
    #[pyo3(signature = (timeout = None))]
    fn borrow(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<PyRingMessage> {
        let py = slf.py();
        let (start, len, lent) = slf.get().wait(py, Patience::new(py, timeout)?)?;
        let what = format!("message in {}", slf.get().end.lender.handle.what());
        // SAFETY: as in `pop`.
        let window = unsafe { Window::new(what, start as *mut u8, len, Layout::bytes(len), false, lent) };
        Ok(PyRingMessage { window, consumer: slf.clone().unbind() })
    }

    /// The pollable descriptor: readable while a message may be there, until try_pop() answered None.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.end.lender.handle.call(py, |core| core.fd())
    }

    /// Counters of the ring.
    fn stats(&self, py: Python<'_>) -> PyResult<RingStats> {
        self.end.lender.handle.with(py, |core| RingStats::of(core.stats()))
    }

    /// Stops reading; what is left waits for the next consumer. Closing again does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end.close(py)
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

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.pop(py, None) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.value(py).getattr("kind").is_ok_and(|kind| is_disconnected(&kind)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn __repr__(&self) -> String {
        self.end.repr("RingConsumer")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.end.reduce(py, "ring_consumer")
    }
}

fn is_disconnected(kind: &Bound<'_, PyAny>) -> bool {
    kind.extract::<String>().is_ok_and(|kind| kind == ErrorKind::Disconnected.name())
}

/// Room in a ring to write one message in place. Made by `RingProducer.reserve`; use it with `with`.
#[pyclass(frozen, name = "RingReservation", module = "axonic")]
pub struct PyReservation {
    window: Window<Lent>,
    producer: Py<PyRingProducer>,
}

impl PyReservation {
    fn finish(&self, py: Python<'_>, nbytes: Option<usize>) -> PyResult<()> {
        let nbytes = nbytes.unwrap_or(self.window.len());
        match self.window.shut(py) {
            Shut::Yes(lent) => {
                let end = &self.producer.get().end;
                end.lender.handle.call(py, |core| core.commit(nbytes))?;
                drop(lent);
                Ok(())
            }
            Shut::Already => Ok(()),
            Shut::Viewed(error) => Err(error),
        }
    }
}

#[pymethods]
impl PyReservation {
    /// Sends what was written, only the first `nbytes` of it if given.
    #[pyo3(signature = (nbytes = None))]
    fn commit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole::nbytes)] nbytes: Option<usize>,
    ) -> PyResult<()> {
        self.finish(py, nbytes)
    }

    /// Gives the room back without sending.
    fn discard(&self, py: Python<'_>) {
        drop(self.window.shut(py));
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        slf.get().window.open(slf.as_any())
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
        if exc_type.is_none() {
            return self.finish(py, None);
        }
        self.discard(py);
        Ok(())
    }

    fn __repr__(&self) -> String {
        let state = if self.window.is_shut() { "ended" } else { "open" };
        format!("<axonic.RingReservation of {} bytes, {state}>", self.window.len())
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: called by CPython; the window is part of this object.
        unsafe { this.window.show(slf.clone().into_any(), &this.producer.get().end.views, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.window.hidden(&self.producer.get().end.views);
    }
}

/// One message read in place. Made by `RingConsumer.borrow`; use it with `with`.
#[pyclass(frozen, name = "RingMessage", module = "axonic")]
pub struct PyRingMessage {
    window: Window<Lent>,
    consumer: Py<PyRingConsumer>,
}

#[pymethods]
impl PyRingMessage {
    /// Gives the memory back to the producer. Raises InUseError while a view of it is alive.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        match self.window.shut(py) {
            Shut::Yes(lent) => self.consumer.get().give_back(py, lent),
            Shut::Already => Ok(()),
            Shut::Viewed(error) => Err(error),
        }
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        slf.get().window.open(slf.as_any())
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
        leave(exc_type, self.release(py))
    }

    fn __len__(&self) -> usize {
        self.window.len()
    }

    fn __repr__(&self) -> String {
        let state = if self.window.is_shut() { "released" } else { "in place" };
        format!("<axonic.RingMessage of {} bytes, {state}>", self.window.len())
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: called by CPython; the window is part of this object.
        unsafe { this.window.show(slf.clone().into_any(), &this.consumer.get().end.views, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.window.hidden(&self.consumer.get().end.views);
    }
}

/// Counters of a ring, the same seen from both ends.
#[pyclass(frozen, get_all, module = "axonic")]
pub struct RingStats {
    /// Messages written since the ring was made.
    messages: u64,
    /// Times the producer had to wait for room.
    blocked: u64,
    /// Bytes written and not yet released, record headers included.
    pending_bytes: u64,
    /// Messages written and not yet released.
    pending_messages: u64,
    /// Times a sleeping consumer was woken.
    wakes_sent: u64,
    /// Messages for which the consumer had not to be woken.
    wakes_elided: u64,
}

impl RingStats {
    fn of(stats: axonic::RingStats) -> RingStats {
        RingStats {
            messages: stats.messages,
            blocked: stats.blocked,
            pending_bytes: stats.pending_bytes,
            pending_messages: stats.pending_messages,
            wakes_sent: stats.wakes_sent,
            wakes_elided: stats.wakes_elided,
        }
    }
}

#[pymethods]
impl RingStats {
    fn __repr__(&self) -> String {
        format!(
            "RingStats(messages={}, blocked={}, pending_bytes={}, pending_messages={}, wakes_sent={}, wakes_elided={})",
            self.messages,
            self.blocked,
            self.pending_bytes,
            self.pending_messages,
            self.wakes_sent,
            self.wakes_elided
        )
    }
}
