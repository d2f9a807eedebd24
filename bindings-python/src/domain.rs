//! The domain: where every other handle comes from.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use axonic::{
    ChannelOptions, ClientOptions, Create, DomainOptions, Fsync, LockOptions, Noun, Overflow,
    PublisherOptions, QueueOptions, RegionOptions, RingOptions, ServiceOptions, Start, SubscriberOptions,
    Wait,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyTuple};

use crate::channel::{PyChannel, PyChildPipe, PyListener};
use crate::client::PyClient;
use crate::error::OrRaise;
use crate::gate::seconds;
use crate::lock::{PyBarrier, PyCondvar, PyEvent, PyLockHolder, PyMutex, PyRwLock, PySemaphore};
use crate::log::detached;
use crate::message::lock;
use crate::publisher::PyPublisher;
use crate::queue::{PyQueue, dedup_argument};
use crate::region::PyRegion;
use crate::ring::{PyRingConsumer, PyRingProducer};
use crate::service::PyService;
use crate::subscriber::PySubscriber;
use crate::value::{choice, schema_argument};
use crate::views::Views;
use crate::whole;

/// A handle that has to be let go of when its domain closes.
pub trait Held: Send + Sync {
    fn let_go(&self, py: Python<'_>) -> PyResult<()>;
}

/// The core's domain and the count of views below it, shared by all of its handles.
pub struct Home {
    pub core: axonic::Domain,
    pub views: Arc<Views>,
    /// Ends of rings, queues and locks. A domain that is closed while there are any is left when they and itself are dropped,
    /// and here that is when Python forgets the objects, which may be much later.
    held: Mutex<Vec<Weak<dyn Held>>>,
}

impl Home {
    /// Remembers a handle until it is dropped.
    pub fn hold(&self, handle: Weak<dyn Held>) {
        let mut held = lock(&self.held);
        held.retain(|known| known.strong_count() > 0);
        held.push(handle);
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.let_go(py)?;
        detached(py, || self.core.close());
        // What another thread has opened meanwhile.
        self.let_go(py)
    }

    fn let_go(&self, py: Python<'_>) -> PyResult<()> {
        let held: Vec<_> = lock(&self.held).iter().filter_map(Weak::upgrade).collect();
        held.iter().try_for_each(|handle| handle.let_go(py))
    }

    /// How another process opens the same domain: the arguments of `axonic.open`.
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let options = self.core.options();
        let arguments = PyDict::new(py);
        arguments.set_item("name", self.core.name())?;
        arguments.set_item("runtime_dir", options.runtime_dir.as_ref())?;
        arguments.set_item("mode", options.mode)?;
        arguments.set_item("group", options.group)?;
        arguments.set_item("max_participants", options.max_participants)?;
        arguments.set_item("quota", options.quota)?;
        arguments.set_item("participant_quota", options.participant_quota)?;
        arguments.set_item("data_dir", options.data_dir.as_ref())?;
        arguments.set_item("label", options.label.as_deref())?;
        Ok(arguments)
    }

    /// What pickle stores for a handle: how to open its domain, which noun, its name and its options.
    pub fn reduce<'py>(
        &self,
        py: Python<'py>,
        noun: &str,
        name: &str,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let reopen = py.import("axonic._reopen")?.getattr("reopen")?;
        let arguments = (self.arguments(py)?, noun, name, options);
        PyTuple::new(py, [reopen, arguments.into_pyobject(py)?.into_any()])
    }
}

/// Reads a `wait=` argument.
fn wait_argument(py: Python<'_>, name: &str) -> PyResult<Wait> {
    choice(py, "wait", name, [("adaptive", Wait::Adaptive), ("spin", Wait::Spin), ("block", Wait::Block)])
}

pub fn wait_name(wait: Wait) -> &'static str {
    match wait {
        Wait::Adaptive => "adaptive",
        Wait::Spin => "spin",
        Wait::Block => "block",
    }
}

pub fn start_name(start: Start) -> &'static str {
    match start {
        Start::Latest => "latest",
        Start::Oldest => "oldest",
    }
}

pub fn fsync_name(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "always",
        Fsync::Interval(_) => "interval",
        Fsync::Never => "never",
    }
}

/// A named place on this machine where processes meet. Made by `axonic.open`.
///
/// Safe to use from several threads. Closing it closes every handle made from it.
#[pyclass(frozen, weakref, name = "Domain", module = "axonic")]
pub struct PyDomain {
    home: Arc<Home>,
}

#[pymethods]
impl PyDomain {
    #[new]
    #[pyo3(signature = (name = None, *, runtime_dir = None, mode = None, group = None, max_participants = None, quota = None, participant_quota = None, data_dir = None, label = None))]
    #[allow(clippy::too_many_arguments)] // one per keyword of `axonic.open`
    fn new(
        py: Python<'_>,
        name: Option<String>,
        runtime_dir: Option<PathBuf>,
        #[pyo3(from_py_with = whole::mode)] mode: Option<u32>,
        #[pyo3(from_py_with = whole::group)] group: Option<u32>,
        #[pyo3(from_py_with = whole::max_participants)] max_participants: Option<u32>,
        #[pyo3(from_py_with = whole::quota)] quota: Option<u64>,
        #[pyo3(from_py_with = whole::participant_quota)] participant_quota: Option<u64>,
        data_dir: Option<PathBuf>,
        label: Option<String>,
    ) -> PyResult<PyDomain> {
        let options = DomainOptions {
            name,
            runtime_dir,
            mode,
            group,
            max_participants,
            quota,
            participant_quota,
            data_dir,
            label,
        };
        let core = detached(py, || axonic::Domain::open_with(options)).or_raise(py)?;
        Ok(PyDomain { home: Arc::new(Home { core, views: Views::root(), held: Mutex::default() }) })
    }

    /// The domain's name.
    #[getter]
    fn name(&self) -> &str {
        self.home.core.name()
    }

    /// The directory that holds its shared memory.
    #[getter]
    fn path(&self) -> PathBuf {
        self.home.core.path().to_path_buf()
    }

    /// This open's place among the participants, such as "7.3" (slot and epoch).
    #[getter]
    fn participant(&self) -> String {
        self.home.core.participant().to_string()
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.home.core.is_closed()
    }

    /// Opens a publisher.
    ///
    /// `type` is a dataclass or pydantic model for structured values, or None. `schema` is a JSON Schema
    /// (a mapping, or JSON text) that every value must satisfy; others raise InvalidArgumentError.
    /// `overflow` says what happens when a reader is slow: "drop_oldest", "block" or "reject". `capacity`
    /// is the ring in bytes, `max_bytes` the budget for payloads over 2 KiB, `retain` keeps unread messages
    /// for subscribers that start at "oldest" after this publisher has ended.
    #[pyo3(signature = (topic, r#type = None, *, schema = None, overflow = "drop_oldest", capacity = None, max_bytes = None, retain = false, wait = "adaptive"))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn publisher(
        &self,
        py: Python<'_>,
        topic: &str,
        r#type: Option<Py<PyAny>>,
        schema: Option<&Bound<'_, PyAny>>,
        overflow: &str,
        #[pyo3(from_py_with = whole::capacity)] capacity: Option<usize>,
        #[pyo3(from_py_with = whole::max_bytes)] max_bytes: Option<usize>,
        retain: bool,
        wait: &str,
    ) -> PyResult<PyPublisher> {
        let defaults = PublisherOptions::default();
        let known = [Overflow::DropOldest, Overflow::Block, Overflow::Reject];
        let options = PublisherOptions {
            overflow: choice(py, "overflow", overflow, known.map(|known| (known.name(), known)))?,
            capacity: capacity.unwrap_or(defaults.capacity),
            max_bytes: max_bytes.unwrap_or(defaults.max_bytes),
            retain,
            schema: schema_argument(py, schema)?,
            wait: wait_argument(py, wait)?,
        };
        let core = detached(py, || self.home.core.publisher(topic, &options)).or_raise(py)?;
        Ok(PyPublisher::new(core, options, r#type, &self.home))
    }

    /// Opens a subscriber for a topic or a pattern ("orders.*" one word, "orders.>" the rest).
    ///
    /// `type` shapes structured values. `schema` is a JSON Schema (a mapping, or JSON text): a message
    /// that does not satisfy it raises DecodeError and is passed over, the next call goes on behind it.
    /// `start` is "latest" or "oldest"; `max_borrowed` is how many samples may be borrowed at once.
    #[pyo3(signature = (pattern, r#type = None, *, schema = None, start = "latest", max_borrowed = None, wait = "adaptive"))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn subscriber(
        &self,
        py: Python<'_>,
        pattern: &str,
        r#type: Option<Py<PyAny>>,
        schema: Option<&Bound<'_, PyAny>>,
        start: &str,
        #[pyo3(from_py_with = whole::max_borrowed)] max_borrowed: Option<usize>,
        wait: &str,
    ) -> PyResult<PySubscriber> {
        let known = [Start::Latest, Start::Oldest];
        let options = SubscriberOptions {
            start: choice(py, "start", start, known.map(|known| (start_name(known), known)))?,
            max_borrowed: max_borrowed.unwrap_or(SubscriberOptions::default().max_borrowed),
            schema: schema_argument(py, schema)?,
            wait: wait_argument(py, wait)?,
        };
        let core = detached(py, || self.home.core.subscriber(pattern, &options)).or_raise(py)?;
        Ok(PySubscriber::new(core, options, r#type, &self.home))
    }

    /// Opens a region of raw shared memory. `size` in bytes is needed to create it and checked against
    /// one that exists; `create` is "open_or_create", "create_new" or "open".
    #[pyo3(signature = (name, size = None, *, create = "open_or_create"))]
    fn region(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = whole::size)] size: Option<usize>,
        create: &str,
    ) -> PyResult<PyRegion> {
        let known = [
            ("open_or_create", Create::OpenOrCreate),
            ("create_new", Create::CreateNew),
            ("open", Create::Open),
        ];
        let options = RegionOptions { size, create: choice(py, "create", create, known)? };
        let core = detached(py, || self.home.core.region(name, &options)).or_raise(py)?;
        Ok(PyRegion::named(core, &self.home))
    }

    /// Opens the sending end of a ring; one per name. `capacity` is its largest message in bytes.
    #[pyo3(signature = (name, *, capacity = None, wait = "adaptive"))]
    fn ring_producer(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = whole::capacity)] capacity: Option<usize>,
        wait: &str,
    ) -> PyResult<PyRingProducer> {
        let options = ring_options(py, capacity, wait)?;
        let core = detached(py, || self.home.core.ring_producer(name, &options)).or_raise(py)?;
        Ok(PyRingProducer::new(core, name, options, &self.home))
    }

    /// Opens the receiving end of a ring; one per name.
    #[pyo3(signature = (name, *, capacity = None, wait = "adaptive"))]
    fn ring_consumer(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = whole::capacity)] capacity: Option<usize>,
        wait: &str,
    ) -> PyResult<PyRingConsumer> {
        let options = ring_options(py, capacity, wait)?;
        let core = detached(py, || self.home.core.ring_consumer(name, &options)).or_raise(py)?;
        Ok(PyRingConsumer::new(core, name, options, &self.home))
    }

    /// Opens a work queue, for putting and for getting: either side is opened, and a queue that is not there is made, at
    /// the first use. What whoever makes it decides: `capacity`, the messages it can hold, dead letters and results that nobody fetched included, `max_bytes`, the bytes of those over
    /// 128 bytes together (one message or result has at most 64 MiB), `max_attempts`, the deliveries of a message
    /// before it is a dead letter (0: no limit), which ids of put() it remembers, `dedup={"count": 4096,
    /// "within": 300}`: so many, for so many seconds, and whether it is `durable`: what is in it then survives a
    /// reboot. A durable queue that is there may be opened without, and keeps its `fsync`; one in memory is not
    /// opened with it, nor one that is on the disk made without it. `fsync` says when that is known to be on the
    /// disk: "always" before put() and ack() return, "interval" every `fsync_interval` seconds, or "never" but when
    /// the system writes it.
    ///
    /// `type` shapes structured values. `schema` is a JSON Schema (a mapping, or JSON text) that every value
    /// must satisfy: another raises InvalidArgumentError in put(), and goes to the dead letters where it is
    /// met by get().
    #[pyo3(signature = (name, r#type = None, *, schema = None, capacity = None, max_bytes = None, max_attempts = None, dedup = None, durable = false, fsync = "always", fsync_interval = 0.1, wait = "adaptive"))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn queue(
        &self,
        py: Python<'_>,
        name: &str,
        r#type: Option<Py<PyAny>>,
        schema: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = whole::queue_capacity)] capacity: Option<usize>,
        #[pyo3(from_py_with = whole::max_bytes)] max_bytes: Option<usize>,
        #[pyo3(from_py_with = whole::max_attempts)] max_attempts: Option<u32>,
        dedup: Option<&Bound<'_, PyMapping>>,
        durable: bool,
        fsync: &str,
        fsync_interval: f64,
        wait: &str,
    ) -> PyResult<PyQueue> {
        axonic::check_name("queue", name).or_raise(py)?;
        let interval = seconds(py, "fsync_interval", fsync_interval)?;
        let known = [Fsync::Always, Fsync::Interval(interval), Fsync::Never];
        let fsync = choice(py, "fsync", fsync, known.map(|known| (fsync_name(known), known)))?;
        let defaults = QueueOptions::default();
        let options = QueueOptions {
            capacity: capacity.unwrap_or(defaults.capacity),
            max_bytes: max_bytes.unwrap_or(defaults.max_bytes),
            max_attempts: max_attempts.unwrap_or(defaults.max_attempts),
            dedup: dedup_argument(py, dedup)?,
            durable: durable.then_some(fsync),
            schema: schema_argument(py, schema)?,
            wait: wait_argument(py, wait)?,
        };
        options.check_limits(name).or_raise(py)?;
        Ok(PyQueue::new(name, options, r#type, &self.home))
    }

    /// Opens a mutex, making it if there is none. `timeout` is for how many seconds `with` and acquire() wait (None:
    /// without end).
    #[pyo3(signature = (name, timeout = None, *, wait = "adaptive"))]
    fn mutex(&self, py: Python<'_>, name: &str, timeout: Option<f64>, wait: &str) -> PyResult<PyMutex> {
        PyMutex::open(py, name, timeout, lock_options(py, wait)?, &self.home)
    }

    /// Opens a lock that many read or one writes, making it if there is none.
    #[pyo3(signature = (name, *, wait = "adaptive"))]
    fn rwlock(&self, py: Python<'_>, name: &str, wait: &str) -> PyResult<PyRwLock> {
        PyRwLock::open(py, name, lock_options(py, wait)?, &self.home)
    }

    /// Opens a semaphore, making it with so many `permits`, 1 to 1024, if there is none. `timeout` is for how many
    /// seconds `with` and acquire() wait (None: without end).
    #[pyo3(signature = (name, permits, timeout = None, *, wait = "adaptive"))]
    fn semaphore(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = whole::permits)] permits: u32,
        timeout: Option<f64>,
        wait: &str,
    ) -> PyResult<PySemaphore> {
        PySemaphore::open(py, name, permits, timeout, lock_options(py, wait)?, &self.home)
    }

    /// Opens an event, making it, clear, if there is none. With `auto_reset` whoever passes clears it, so that one does.
    #[pyo3(signature = (name, auto_reset = false, *, wait = "adaptive"))]
    fn event(&self, py: Python<'_>, name: &str, auto_reset: bool, wait: &str) -> PyResult<PyEvent> {
        PyEvent::open(py, name, auto_reset, lock_options(py, wait)?, &self.home)
    }

    /// Opens a barrier, making it for so many `parties`, 2 to 64, if there is none.
    #[pyo3(signature = (name, parties, *, wait = "adaptive"))]
    fn barrier(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = whole::parties)] parties: u32,
        wait: &str,
    ) -> PyResult<PyBarrier> {
        PyBarrier::open(py, name, parties, lock_options(py, wait)?, &self.home)
    }

    /// Opens a condition to wait for, making it if there is none. `mutex`, of the same domain, protects what it is about: all
    /// who open this condvar must give the same, which is not checked.
    #[pyo3(signature = (name, mutex, *, wait = "adaptive"))]
    fn condvar(&self, py: Python<'_>, name: &str, mutex: Py<PyMutex>, wait: &str) -> PyResult<PyCondvar> {
        PyCondvar::open(py, name, mutex, lock_options(py, wait)?, &self.home)
    }

    /// Who has the lock of this name, of any type; nobody has an event or a condition. Raises NotFoundError if there is no
    /// such lock.
    #[pyo3(signature = (name))]
    fn lock_holders(&self, py: Python<'_>, name: &str) -> PyResult<Vec<PyLockHolder>> {
        let holders = detached(py, || self.home.core.lock_holders(name)).or_raise(py)?;
        Ok(holders.into_iter().map(PyLockHolder::new).collect())
    }

    /// Listens for channels at an address, such as "unix:///run/jobs.sock" or "shm://demo/jobs". `max_message` is the largest
    /// message in bytes, to send and to receive (16 MiB).
    #[pyo3(signature = (address, *, max_message = None, wait = "adaptive"))]
    fn listen(
        &self,
        py: Python<'_>,
        address: &str,
        #[pyo3(from_py_with = whole::max_message)] max_message: Option<usize>,
        wait: &str,
    ) -> PyResult<PyListener> {
        PyListener::listen(py, address, &channel_options(py, max_message, wait, false)?, &self.home)
    }

    /// Opens a channel to whoever listens at `address`, within `timeout` seconds (None: however long it takes); where nobody
    /// does, it fails at once. With `reconnect` it connects anew when the other end is gone: what was sent and not
    /// received is lost then.
    #[pyo3(signature = (address, *, timeout = None, max_message = None, reconnect = false, wait = "adaptive"))]
    fn connect(
        &self,
        py: Python<'_>,
        address: &str,
        timeout: Option<f64>,
        #[pyo3(from_py_with = whole::max_message)] max_message: Option<usize>,
        reconnect: bool,
        wait: &str,
    ) -> PyResult<PyChannel> {
        let options = channel_options(py, max_message, wait, reconnect)?;
        PyChannel::connect(py, address, &options, timeout, &self.home)
    }

    /// Opens a channel over two pipes, of which a child of this process gets the other end: the channel, and what the child
    /// is to inherit.
    #[pyo3(signature = (*, max_message = None, wait = "adaptive"))]
    fn pipe(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole::max_message)] max_message: Option<usize>,
        wait: &str,
    ) -> PyResult<(PyChannel, PyChildPipe)> {
        PyChannel::pipe(py, &channel_options(py, max_message, wait, false)?, &self.home)
    }

    /// Provides the service `name` in a version such as "1.2.0": whoever calls it waits until serve() answers. `concurrency`
    /// is how many calls may be at work at the same time, the others wait; `max_message` the largest message in bytes.
    #[pyo3(signature = (name, version, *, concurrency = None, max_message = None, wait = "adaptive"))]
    fn service(
        &self,
        py: Python<'_>,
        name: &str,
        version: &str,
        #[pyo3(from_py_with = whole::concurrency)] concurrency: Option<usize>,
        #[pyo3(from_py_with = whole::max_message)] max_message: Option<usize>,
        wait: &str,
    ) -> PyResult<PyService> {
        let channel = channel_options(py, max_message, wait, false)?;
        let concurrency = concurrency.unwrap_or(ServiceOptions::default().concurrency);
        PyService::open(py, name, version, ServiceOptions { concurrency, channel }, &self.home)
    }

    /// Calls the service `service`, whoever provides a version in `range` (such as "^1.2"), or at an `address`. That nobody does is
    /// told by calls: UnavailableError.
    #[pyo3(signature = (service, range = "*", *, address = None, max_message = None, wait = "adaptive"))]
    fn client(
        &self,
        py: Python<'_>,
        service: &str,
        range: &str,
        address: Option<String>,
        #[pyo3(from_py_with = whole::max_message)] max_message: Option<usize>,
        wait: &str,
    ) -> PyResult<PyClient> {
        let options = ClientOptions { address, channel: channel_options(py, max_message, wait, false)? };
        PyClient::open(py, service, range, options, &self.home)
    }

    /// Removes a "region", a "queue" with all that is in it, a "lock" of any type, or what a dead "topic" or "ring" left
    /// behind; raises BusyError while one of these is in use.
    #[pyo3(signature = (noun, name))]
    fn unlink(&self, py: Python<'_>, noun: &str, name: &str) -> PyResult<()> {
        let known = [
            ("topic", Noun::Topic),
            ("region", Noun::Region),
            ("ring", Noun::Ring),
            ("queue", Noun::Queue),
            ("lock", Noun::Lock),
        ];
        let noun = choice(py, "noun", noun, known)?;
        detached(py, || self.home.core.unlink(noun, name)).or_raise(py)
    }

    /// Leaves the domain and closes every handle made from this object; closing again does nothing.
    /// Raises InUseError, and stays open, while a view of its shared memory is alive.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.home.core.is_closed() {
            return Ok(());
        }
        self.home.views.refuse_if_any(py, &format!("domain {:?}", self.home.core.name()))?;
        self.home.close(py)
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
        let core = &self.home.core;
        let closed = if core.is_closed() { ", closed" } else { "" };
        format!("<axonic.Domain {:?}, participant {}{closed}>", core.name(), core.participant())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let reopen = py.import("axonic._reopen")?.getattr("reopen_domain")?;
        let arguments = (self.home.arguments(py)?,);
        PyTuple::new(py, [reopen, arguments.into_pyobject(py)?.into_any()])
    }
}

fn ring_options(py: Python<'_>, capacity: Option<usize>, wait: &str) -> PyResult<RingOptions> {
    let capacity = capacity.unwrap_or(RingOptions::default().capacity);
    Ok(RingOptions { capacity, wait: wait_argument(py, wait)? })
}

fn channel_options(
    py: Python<'_>,
    max_message: Option<usize>,
    wait: &str,
    reconnect: bool,
) -> PyResult<ChannelOptions> {
    let max_message = max_message.unwrap_or(ChannelOptions::default().max_message);
    Ok(ChannelOptions { max_message, wait: wait_argument(py, wait)?, reconnect })
}

fn lock_options(py: Python<'_>, wait: &str) -> PyResult<LockOptions> {
    Ok(LockOptions { wait: wait_argument(py, wait)? })
}

/// How every `__exit__` ends: while an exception passes through, a view it keeps alive must not hide
/// it behind an error of closing. The handle then closes with its last reference.
pub fn leave(exception: &Bound<'_, PyAny>, closed: PyResult<()>) -> PyResult<()> {
    if exception.is_none() { closed } else { Ok(()) }
}
