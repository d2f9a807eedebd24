//! Channels: messages both ways by address.

use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, Weak};

use axonic::{Can, Channel, ChannelOptions, ChildPipe, ErrorKind, Listener, Peer, Wait};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::buffer::{self, Source};
use crate::domain::{Held, Home, leave};
use crate::error::{OrRaise, invalid, raise};
use crate::gate::{QUICK, closed, limit, soon};
use crate::log::{deliver, detached};
use crate::message::lock;
use crate::shared::Shared;
use crate::whole;

/// Who is at the other end, as far as the kernel tells; None for what it does not.
#[pyclass(frozen, get_all, name = "Peer", module = "axonic")]
pub struct PyPeer {
    /// Its process, in the numbers of this process's namespace.
    pid: Option<u32>,
    /// Its user.
    uid: Option<u32>,
    /// Its group.
    gid: Option<u32>,
    /// Where it is: its socket's address, or its label in a domain.
    address: Option<String>,
}

impl PyPeer {
    pub fn new(peer: Peer) -> PyPeer {
        let Peer { pid, uid, gid, address } = peer;
        PyPeer { pid, uid, gid, address }
    }
}

#[pymethods]
impl PyPeer {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let number = |number: Option<u32>| number.map_or("None".into(), |number| number.to_string());
        let address = self.address.as_deref().into_pyobject(py)?.repr()?.to_string();
        Ok(format!(
            "Peer(pid={}, uid={}, gid={}, address={address})",
            number(self.pid),
            number(self.uid),
            number(self.gid)
        ))
    }
}

/// What a channel's transport can do.
#[pyclass(frozen, get_all, name = "Can", module = "axonic")]
pub struct PyCan {
    /// All that is sent arrives, once, unless the other end is gone.
    reliable: bool,
    /// Messages arrive in the order in which they were sent.
    ordered: bool,
    /// Messages arrive as they were sent; otherwise it is a stream of bytes.
    messages: bool,
    /// Who sends faster than is received is made to wait; otherwise messages are lost.
    back_pressure: bool,
    /// The other end is told when this one has ended.
    end: bool,
    /// An end can say that it will send nothing more and go on receiving.
    half_close: bool,
    /// Open descriptors can be passed.
    descriptors: bool,
    /// The kernel tells who is at the other end.
    credentials: bool,
    /// The largest message the transport takes, where that is less than the channel's limit.
    max_message: Option<usize>,
}

impl PyCan {
    fn new(can: Can) -> PyCan {
        PyCan {
            reliable: can.reliable,
            ordered: can.ordered,
            messages: can.messages,
            back_pressure: can.back_pressure,
            end: can.end,
            half_close: can.half_close,
            descriptors: can.descriptors,
            credentials: can.credentials,
            max_message: can.max_message,
        }
    }
}

#[pymethods]
impl PyCan {
    fn __repr__(&self) -> String {
        let flags = [
            ("reliable", self.reliable),
            ("ordered", self.ordered),
            ("messages", self.messages),
            ("back_pressure", self.back_pressure),
            ("end", self.end),
            ("half_close", self.half_close),
            ("descriptors", self.descriptors),
            ("credentials", self.credentials),
        ];
        let flags = flags.map(|(name, can)| format!("{name}={}", if can { "True" } else { "False" }));
        let most = self.max_message.map_or("None".into(), |most| most.to_string());
        format!("Can({}, max_message={most})", flags.join(", "))
    }
}

/// Counters of one end of a channel.
#[pyclass(frozen, get_all, module = "axonic")]
pub struct ChannelStats {
    /// Messages sent.
    sent_messages: u64,
    /// Their bytes.
    sent_bytes: u64,
    /// Messages received.
    received_messages: u64,
    /// Their bytes.
    received_bytes: u64,
    /// Sends that had to wait for room.
    blocked: u64,
}

#[pymethods]
impl ChannelStats {
    fn __repr__(&self) -> String {
        let ChannelStats { sent_messages, sent_bytes, received_messages, received_bytes, blocked } = self;
        format!(
            "ChannelStats(sent_messages={sent_messages}, sent_bytes={sent_bytes}, \
             received_messages={received_messages}, received_bytes={received_bytes}, blocked={blocked})"
        )
    }
}

/// A message that a channel received.
#[pyclass(frozen, name = "ChannelMessage", module = "axonic")]
pub struct PyChannelMessage {
    /// Its bytes.
    #[pyo3(get)]
    data: Py<PyBytes>,
    descriptors: Mutex<Descriptors>,
}

/// Descriptors that came with a message.
enum Descriptors {
    /// Nobody has asked for them: they are closed with the message.
    Kept(Vec<OwnedFd>),
    Given(Vec<RawFd>),
}

impl PyChannelMessage {
    fn new(py: Python<'_>, message: axonic::ChannelMessage) -> PyResult<PyChannelMessage> {
        let data = buffer::to_bytes(py, &message.data)?.unbind();
        Ok(PyChannelMessage { data, descriptors: Mutex::new(Descriptors::Kept(message.descriptors)) })
    }
}

#[pymethods]
impl PyChannelMessage {
    /// Descriptors that were passed with it. They are yours to close once you have asked for them; those that nobody asks
    /// for are closed with the message.
    #[getter]
    fn descriptors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut descriptors = lock(&self.descriptors);
        if let Descriptors::Kept(kept) = &mut *descriptors {
            let given = kept.drain(..).map(IntoRawFd::into_raw_fd).collect();
            *descriptors = Descriptors::Given(given);
        }
        let given = match &*descriptors {
            Descriptors::Given(given) => given.clone(),
            Descriptors::Kept(_) => Vec::new(),
        };
        drop(descriptors);
        PyTuple::new(py, given)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.data.as_bytes(py).len()
    }

    fn __bytes__(&self, py: Python<'_>) -> Py<PyBytes> {
        self.data.clone_ref(py)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let data = self.data.as_bytes(py);
        let count = match &*lock(&self.descriptors) {
            Descriptors::Kept(kept) => kept.len(),
            Descriptors::Given(given) => given.len(),
        };
        let with = if count > 0 { format!(", {count} descriptors") } else { String::new() };
        let preview = axonic::preview(axonic::Content::Raw, None, data, 60);
        format!("<axonic.ChannelMessage of {} bytes{with}: {preview}>", data.len())
    }
}

/// One end of a channel: messages both ways. Made by `Domain.connect`, `Domain.pipe` and `Listener.accept`.
///
/// May be shared by threads; what they send goes out whole and one after the other. Iterating receives until the other end
/// has ended. It does not pickle: the other end has one of these.
#[pyclass(frozen, weakref, name = "Channel", module = "axonic")]
pub struct PyChannel {
    shared: Arc<Shared<Channel>>,
    wait: Wait,
    home: Arc<Home>,
}

impl PyChannel {
    fn new(core: Channel, wait: Wait, home: &Arc<Home>) -> PyChannel {
        let shared = Shared::new(format!("channel '{}'", core.address()), core, Channel::close);
        let held: Weak<dyn Held> = Arc::<Shared<Channel>>::downgrade(&shared);
        home.hold(held);
        PyChannel { shared, wait, home: home.clone() }
    }

    pub fn pipe(
        py: Python<'_>,
        options: &ChannelOptions,
        home: &Arc<Home>,
    ) -> PyResult<(PyChannel, PyChildPipe)> {
        let (core, child) = detached(py, || home.core.pipe(options)).or_raise(py)?;
        Ok((PyChannel::new(core, options.wait, home), PyChildPipe::new(child)))
    }

    pub fn connect(
        py: Python<'_>,
        address: &str,
        options: &ChannelOptions,
        timeout: Option<f64>,
        home: &Arc<Home>,
    ) -> PyResult<PyChannel> {
        let timeout = limit(py, timeout)?;
        let connect = || home.core.connect(address, options, timeout);
        let core = crate::asked::waiting(py, None, connect)?.or_raise(py)?;
        Ok(PyChannel::new(core, options.wait, home))
    }
}

/// The error of a call that found no room, or came too late.
fn is_late(error: &axonic::Error, kind: ErrorKind) -> bool {
    error.kind() == kind && error.status().is_none()
}

#[pymethods]
impl PyChannel {
    /// The address it was opened by.
    #[getter]
    fn address(&self) -> &str {
        self.shared.core().address()
    }

    /// Whether it was closed here.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed() || self.home.core.is_closed()
    }

    /// What its transport can do.
    #[getter]
    fn can(&self) -> PyCan {
        PyCan::new(self.shared.core().can())
    }

    /// Who is at the other end, as far as the kernel tells.
    #[getter]
    fn peer(&self) -> PyPeer {
        PyPeer::new(self.shared.core().peer())
    }

    /// The largest message it takes, in bytes.
    #[getter]
    fn max_message(&self) -> usize {
        self.shared.core().max_message()
    }

    /// Sends a message, waiting up to `timeout` seconds for room, then raises TimeoutError: nothing of it was sent.
    /// `descriptors`, numbers or objects with `fileno()`, are passed with it where the transport can: the other end gets
    /// copies.
    #[pyo3(signature = (data, timeout = None, descriptors = None))]
    fn send(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        descriptors: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let timeout = limit(py, timeout)?;
        let source = buffer::read_bytes(data)?;
        let bytes = source.data();
        let numbers = descriptors.map_or(Ok(Vec::new()), descriptor_numbers)?;
        if !numbers.is_empty() {
            let borrowed = borrow(&numbers);
            return self.shared.wait(py, |core| core.send_descriptors(bytes, &borrowed, timeout));
        }
        if bytes.len() <= QUICK {
            let tried = self.shared.core().try_send(bytes).and_then(|()| self.shared.core().try_flush());
            deliver(py);
            match tried {
                Ok(true) => return Ok(()),
                // A part is on its way, so all of it counts as sent.
                Ok(false) => return self.flush_on(py, timeout),
                Err(error) if is_late(&error, ErrorKind::WouldBlock) => {}
                Err(error) => return Err(raise(py, error)),
            }
        }
        self.shared.wait(py, |core| core.send(bytes, timeout))
    }

    /// Sends a message if there is room now, else raises WouldBlockError. Of a large one a part may be sent: flush() sends
    /// the rest, and so does whatever is sent next.
    #[pyo3(signature = (data, descriptors = None))]
    fn try_send(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        descriptors: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let source = buffer::read_bytes(data)?;
        let numbers = descriptors.map_or(Ok(Vec::new()), descriptor_numbers)?;
        if numbers.is_empty() {
            return self.shared.call(py, |core| core.try_send(source.data()));
        }
        let borrowed = borrow(&numbers);
        self.shared.call(py, |core| core.try_send_descriptors(source.data(), &borrowed))
    }

    /// Sends several messages, which costs less than one by one, and returns how many were sent within `timeout` seconds,
    /// the first ones; TimeoutError if none was.
    #[pyo3(signature = (messages, timeout = None))]
    fn send_many(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let timeout = limit(py, timeout)?;
        let all = messages.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let sources = all.iter().map(buffer::read_bytes).collect::<PyResult<Vec<_>>>()?;
        let data: Vec<&[u8]> = sources.iter().map(Source::data).collect();
        self.shared.wait(py, |core| core.send_many(&data, timeout))
    }

    /// Sends what try_send() could not yet, waiting up to `timeout` seconds for room.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = limit(py, timeout)?;
        self.shared.wait(py, |core| core.flush(timeout))
    }

    /// The same without waiting; whether nothing is left.
    fn _try_flush(&self, py: Python<'_>) -> PyResult<bool> {
        self.shared.call(py, Channel::try_flush)
    }

    /// Waits up to `timeout` seconds for the next message. Raises DisconnectedError when the other end has ended and all it
    /// sent was received.
    #[pyo3(signature = (timeout = None))]
    fn receive(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PyChannelMessage> {
        let timeout = limit(py, timeout)?;
        let mut taken = None;
        let tried = soon(self.wait, || {
            taken = self.shared.core().try_receive()?;
            Ok(taken.is_some())
        });
        deliver(py);
        tried.or_raise(py)?;
        let message = match taken {
            Some(message) => message,
            None => self.shared.wait_reading(py, |core| core.receive(timeout))?,
        };
        PyChannelMessage::new(py, message)
    }

    /// The next message if one is there, else None.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<PyChannelMessage>> {
        let taken = self.shared.call(py, Channel::try_receive)?;
        taken.map(|message| PyChannelMessage::new(py, message)).transpose()
    }

    /// Says that nothing more will be sent: the other end receives what was sent and then DisconnectedError, and may still
    /// send where `can.half_close` is true. Waits up to `timeout` seconds until all that was sent has gone out, and what says
    /// so; after TimeoutError call it again, or close().
    #[pyo3(signature = (timeout = None))]
    fn finish(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = limit(py, timeout)?;
        self.shared.wait(py, |core| core.finish(timeout))
    }

    /// The same without waiting; whether it is done.
    fn _try_finish(&self, py: Python<'_>) -> PyResult<bool> {
        self.shared.call(py, Channel::try_finish)
    }

    /// For `axonic.aio`: an event loop works with it from now on.
    fn _give_to_loop(&self) {
        self.shared.give_to_loop();
    }

    /// The pollable descriptor: readable while a message may be there, until try_receive() answered None.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.shared.wait(py, Channel::fd)
    }

    /// Another one: readable when it is worth trying again after WouldBlockError.
    fn send_fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.shared.wait(py, Channel::send_fd)
    }

    /// Counters of this end.
    fn stats(&self) -> ChannelStats {
        let stats = self.shared.core().stats();
        ChannelStats {
            sent_messages: stats.sent_messages,
            sent_bytes: stats.sent_bytes,
            received_messages: stats.received_messages,
            received_bytes: stats.received_bytes,
            blocked: stats.blocked,
        }
    }

    /// Ends it, also for threads that wait on it; the other end receives what was sent. Closing again does nothing. It does not
    /// wait: what there is no room for now of a message that was sent in part is cut off, and the other end is told; flush()
    /// before it waits for room.
    fn close(&self, py: Python<'_>) {
        self.shared.close(py);
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
        self.close(py);
        leave(exc_type, Ok(()))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<PyChannelMessage>> {
        if let Some(message) = self.shared.core().try_receive().ok().flatten() {
            deliver(py);
            return PyChannelMessage::new(py, message).map(Some);
        }
        self.shared.check_loop(py)?;
        match self.shared.wait_told(py, |core| core.receive(None))? {
            Ok(message) => PyChannelMessage::new(py, message).map(Some),
            Err(error) if error.kind() == ErrorKind::Disconnected => Ok(None),
            Err(error) => Err(raise(py, error)),
        }
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        let stats = self.shared.core().stats();
        format!(
            "<axonic.Channel {:?}, {} sent, {} received{closed}>",
            self.address(),
            stats.sent_messages,
            stats.received_messages
        )
    }
}

impl PyChannel {
    /// Sends the rest of a message that counts as sent, as far as there is time.
    fn flush_on(&self, py: Python<'_>, timeout: Option<std::time::Duration>) -> PyResult<()> {
        match self.shared.wait_told(py, |core| core.flush(timeout))? {
            Err(error) if is_late(&error, ErrorKind::Timeout) => Ok(()),
            flushed => flushed.or_raise(py),
        }
    }
}

fn borrow(numbers: &[RawFd]) -> Vec<BorrowedFd<'_>> {
    // SAFETY: none is -1, and the caller keeps them open during the call; one that is not open is refused.
    numbers.iter().map(|fd| unsafe { BorrowedFd::borrow_raw(*fd) }).collect()
}

/// Reads a `descriptors=` argument.
fn descriptor_numbers(given: &Bound<'_, PyAny>) -> PyResult<Vec<RawFd>> {
    let number = |one: PyResult<Bound<'_, PyAny>>| {
        let one = one?;
        let is_number = one.is_instance_of::<pyo3::types::PyInt>();
        let number = if is_number { whole::fd(&one)? } else { one.call_method0("fileno")?.extract()? };
        if number < 0 {
            return Err(invalid(given.py(), format!("descriptors: {number} is no descriptor's number")));
        }
        Ok(number)
    };
    given.try_iter()?.map(number).collect()
}

/// The end of a pair of pipes that a child is to have. Made by `Domain.pipe`.
///
/// `subprocess.Popen(..., pass_fds=child.descriptors)` has the child inherit it, which opens it with `ax.connect(address)`.
/// Closing it, once the child is started, closes this process's copy; until then nobody hears of the child's end. It does
/// not pickle: the child gets the address.
#[pyclass(frozen, name = "ChildPipe", module = "axonic")]
pub struct PyChildPipe {
    address: String,
    pipe: Mutex<Option<ChildPipe>>,
}

impl PyChildPipe {
    pub fn new(pipe: ChildPipe) -> PyChildPipe {
        PyChildPipe { address: pipe.address().into(), pipe: Mutex::new(Some(pipe)) }
    }
}

#[pymethods]
impl PyChildPipe {
    /// What the child connects to: `pipe:` and the numbers of `descriptors`, or those that it has them under.
    #[getter]
    fn address(&self) -> &str {
        &self.address
    }

    /// The descriptors that the child is to have: to read from, to write to.
    #[getter]
    fn descriptors(&self, py: Python<'_>) -> PyResult<(RawFd, RawFd)> {
        match &*lock(&self.pipe) {
            Some(pipe) => Ok(pipe.descriptors().into()),
            None => Err(raise(py, closed(&format!("child pipe '{}'", self.address)))),
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        lock(&self.pipe).is_none()
    }

    /// Closes this process's copy. Closing again does nothing.
    fn close(&self) {
        drop(lock(&self.pipe).take());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) {
        let _ = (exc_type, exc_value, traceback);
        self.close();
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<axonic.ChildPipe {:?}{closed}>", self.address)
    }
}

/// Listens for channels at an address. Made by `Domain.listen`.
///
/// May be shared by threads. Iterating accepts channels until it is closed.
#[pyclass(frozen, weakref, name = "Listener", module = "axonic")]
pub struct PyListener {
    shared: Arc<Shared<Listener>>,
    wait: Wait,
    home: Arc<Home>,
}

impl PyListener {
    pub fn listen(
        py: Python<'_>,
        address: &str,
        options: &ChannelOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyListener> {
        let core = detached(py, || home.core.listen(address, options)).or_raise(py)?;
        let shared = Shared::new(format!("listener '{}'", core.address()), core, Listener::close);
        let held: Weak<dyn Held> = Arc::<Shared<Listener>>::downgrade(&shared);
        home.hold(held);
        Ok(PyListener { shared, wait: options.wait, home: home.clone() })
    }
}

#[pymethods]
impl PyListener {
    /// The address, with what the system chose where the one that was given left something open.
    #[getter]
    fn address(&self) -> &str {
        self.shared.core().address()
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed() || self.home.core.is_closed()
    }

    /// Waits up to `timeout` seconds for the next channel that somebody opens.
    #[pyo3(signature = (timeout = None))]
    fn accept(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PyChannel> {
        let timeout = limit(py, timeout)?;
        let core = self.shared.wait_reading(py, |core| core.accept(timeout))?;
        Ok(PyChannel::new(core, self.wait, &self.home))
    }

    /// The next channel if somebody has opened one, else None.
    fn try_accept(&self, py: Python<'_>) -> PyResult<Option<PyChannel>> {
        let accepted = self.shared.wait(py, Listener::try_accept)?;
        Ok(accepted.map(|core| PyChannel::new(core, self.wait, &self.home)))
    }

    /// For `axonic.aio`: an event loop works with it from now on.
    fn _give_to_loop(&self) {
        self.shared.give_to_loop();
    }

    /// The pollable descriptor: readable until try_accept() answered None.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.shared.wait(py, Listener::fd)
    }

    /// Ends it: who connects from now on is refused; channels that were accepted go on. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.shared.close(py);
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
        self.close(py);
        leave(exc_type, Ok(()))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<PyChannel>> {
        self.shared.check_loop(py)?;
        match self.shared.wait_told(py, |core| core.accept(None))? {
            Ok(core) => Ok(Some(PyChannel::new(core, self.wait, &self.home))),
            Err(error) if error.kind() == ErrorKind::Closed => Ok(None),
            Err(error) => Err(raise(py, error)),
        }
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<axonic.Listener {:?}{closed}>", self.address())
    }
}
