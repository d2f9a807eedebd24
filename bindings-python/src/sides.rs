//! What a queue object has open.
//!
//! Each side is opened at first use. Threads take turns at either; those that wait for results or for the disk have a
//! producer each ([`Callers`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use axonic::{
    Delivery, Error, ErrorKind, Fsync, Put, QueueConsumer, QueueOptions, QueueProducer, QueueWriter,
};
use pyo3::prelude::*;

use crate::desk::Desk;
use crate::domain::{Held, Home};
use crate::error::{OrRaise, raise};
use crate::gate::{Handle, Patience, Process};
use crate::log::{detached, drop_detached};
use crate::message::lock;
use crate::ticket::{Caller, Callers};

/// One side of a queue, opened at first use.
type Side<T> = OnceLock<Handle<T>>;

/// What a queue object has open.
pub struct Sides {
    pub name: String,
    /// Noun and name, as messages begin.
    pub what: Arc<str>,
    pub options: QueueOptions,
    pub home: Arc<Home>,
    producer: Side<QueueProducer>,
    consumer: Side<QueueConsumer>,
    callers: Callers,
    /// Jobs that are not settled.
    pub jobs: Arc<Desk<Delivery>>,
    /// What whoever made the queue decided; known when a side is open.
    fsync: OnceLock<Option<Fsync>>,
    /// It is used in an event loop: a thread is to do the file work of its calls.
    in_loop: AtomicBool,
    /// The one whose thread that is, if there is file work, and the process that has the thread.
    writer: Mutex<Option<(Process, Arc<QueueWriter>)>>,
    closed: AtomicBool,
}

/// A side as the core has it.
trait Core: Send + Sized {
    fn open(domain: &axonic::Domain, name: &str, options: &QueueOptions) -> axonic::Result<Self>;
    fn fsync(&self) -> Option<Fsync>;
    fn leave_writing_to(&mut self, writer: &QueueWriter) -> axonic::Result<()>;
}

impl Core for QueueProducer {
    fn open(domain: &axonic::Domain, name: &str, options: &QueueOptions) -> axonic::Result<Self> {
        // What is put is checked before, once for all attempts and, of many, before the first is put.
        domain.queue_producer(name, &QueueOptions { schema: None, ..options.clone() })
    }

    fn fsync(&self) -> Option<Fsync> {
        self.fsync()
    }

    fn leave_writing_to(&mut self, writer: &QueueWriter) -> axonic::Result<()> {
        self.leave_writing_to(writer)
    }
}

impl Core for QueueConsumer {
    fn open(domain: &axonic::Domain, name: &str, options: &QueueOptions) -> axonic::Result<Self> {
        domain.queue_consumer(name, options)
    }

    fn fsync(&self) -> Option<Fsync> {
        self.fsync()
    }

    fn leave_writing_to(&mut self, writer: &QueueWriter) -> axonic::Result<()> {
        self.leave_writing_to(writer)
    }
}

impl Sides {
    pub fn new(name: &str, options: QueueOptions, home: &Arc<Home>) -> Arc<Sides> {
        let sides = Arc::new(Sides {
            name: name.to_owned(),
            what: format!("queue {name:?}").into(),
            options,
            home: home.clone(),
            producer: Side::new(),
            consumer: Side::new(),
            callers: Callers::default(),
            jobs: Arc::new(Desk::new()),
            fsync: OnceLock::new(),
            in_loop: AtomicBool::new(false),
            writer: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let held: Weak<dyn Held> = Arc::<Sides>::downgrade(&sides);
        home.hold(held);
        sides
    }

    fn open<T: Core>(&self, py: Python<'_>) -> PyResult<Handle<T>> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(self.closed_error(py));
        }
        let core = detached(py, || self.open_core::<T>()).or_raise(py)?;
        Ok(Handle::of_files(self.what.to_string(), core, self.does_file_work()))
    }

    fn open_core<T: Core>(&self) -> axonic::Result<T> {
        let mut core = T::open(&self.home.core, &self.name, &self.options)?;
        if self.fsync.get_or_init(|| core.fsync()).is_some() && self.in_loop.load(Ordering::Relaxed) {
            core.leave_writing_to(&*self.writer_here()?)?;
        }
        Ok(core)
    }

    /// The writer of this process. Nothing is held while it is opened: a fork may come.
    fn writer_here(&self) -> axonic::Result<Arc<QueueWriter>> {
        let here = Process::current();
        let known = || lock(&self.writer).clone().filter(|(process, _)| *process == here);
        if let Some((_, writer)) = known() {
            return Ok(writer);
        }
        let opened = Arc::new(self.home.core.queue_writer(&self.name, &self.options)?);
        let mut writer = lock(&self.writer);
        match &*writer {
            // Another thread was faster.
            Some((process, writer)) if *process == here => Ok(writer.clone()),
            _ => Ok(writer.insert((here, opened)).1.clone()),
        }
    }

    /// The one whose thread does the file work.
    pub fn writer(&self, py: Python<'_>) -> PyResult<Arc<QueueWriter>> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(self.closed_error(py));
        }
        let writer = detached(py, || self.writer_here()).or_raise(py)?;
        self.close_again(py)?;
        Ok(writer)
    }

    /// What a forked child has inherited would do its file work itself, for want of the parent's thread.
    #[cold]
    fn adopt<T: Core>(&self, py: Python<'_>, handle: &Handle<T>) -> PyResult<()> {
        let is_durable = self.fsync.get().is_some_and(Option::is_some);
        if is_durable && self.in_loop.load(Ordering::Relaxed) {
            let writer = self.writer(py)?;
            let patience = Patience::new(py, None)?;
            handle.enter(py, patience, None, |core, _| core.leave_writing_to(&writer))?;
        }
        handle.adopt();
        Ok(())
    }

    /// From now on, before anything is open, a thread is to do the file work.
    pub fn use_in_loop(&self) {
        self.in_loop.store(true, Ordering::Relaxed);
    }

    /// The side, opened by the first thread that asks.
    fn side<'a, T: Core>(&self, py: Python<'_>, side: &'a Side<T>) -> PyResult<&'a Handle<T>> {
        if let Some(handle) = side.get() {
            if handle.is_inherited() {
                self.adopt(py, handle)?;
            }
            return Ok(handle);
        }
        if let Err(late) = side.set(self.open(py)?) {
            late.close(py)?;
        }
        self.close_again(py)?;
        side.get().ok_or_else(|| self.closed_error(py))
    }

    /// Whoever closed the queue while something was opened may not have seen it.
    fn close_again(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.load(Ordering::SeqCst) { self.close(py) } else { Ok(()) }
    }

    #[inline]
    pub fn producer(&self, py: Python<'_>) -> PyResult<&Handle<QueueProducer>> {
        self.side(py, &self.producer)
    }

    #[inline]
    pub fn consumer(&self, py: Python<'_>) -> PyResult<&Handle<QueueConsumer>> {
        self.side(py, &self.consumer)
    }

    /// The shared producer, if there is one.
    pub fn open_producer(&self) -> Option<&Handle<QueueProducer>> {
        self.producer.get()
    }

    /// This thread's own producer.
    pub fn caller(&self, py: Python<'_>) -> PyResult<Arc<Caller>> {
        let caller = self.callers.get(py, || self.open(py).map(Caller::new))?;
        if caller.handle.is_inherited() {
            self.adopt(py, &caller.handle)?;
        }
        self.close_again(py)?;
        Ok(caller)
    }

    /// The producer for such a put.
    pub fn way(&self, py: Python<'_>, put: &Put) -> PyResult<Way<'_>> {
        if put.result {
            return self.caller(py).map(Way::Own);
        }
        let shared = self.producer(py)?;
        match self.waits_for_disk(put.durable) {
            true => self.caller(py).map(Way::Own),
            false => Ok(Way::Shared(shared)),
        }
    }

    /// When what it holds is known to be on the disk; `None`: it is in memory only.
    pub fn fsync(&self, py: Python<'_>) -> PyResult<Option<Fsync>> {
        if self.fsync.get().is_none() {
            self.producer(py)?;
        }
        Ok(self.fsync.get().copied().flatten())
    }

    /// Whether calls may do file work.
    pub fn does_file_work(&self) -> bool {
        self.fsync.get().is_some_and(Option::is_some) && !self.in_loop.load(Ordering::Relaxed)
    }

    /// Whether a put may wait for the disk.
    pub fn waits_for_disk(&self, asked: Option<bool>) -> bool {
        match self.fsync.get() {
            Some(Some(fsync)) => asked.unwrap_or(*fsync == Fsync::Always),
            _ => false,
        }
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        let text = format!("{}: it is closed; open it again to go on", self.what);
        raise(py, Error::new(ErrorKind::Closed, text))
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.home.core.is_closed()
    }

    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.closed.store(true, Ordering::SeqCst);
        self.producer.get().map_or(Ok(()), |producer| producer.close(py))?;
        self.callers.close(py)?;
        // Dropped, deliveries give their messages back.
        let jobs = self.jobs.clear();
        detached(py, || drop(jobs));
        self.consumer.get().map_or(Ok(()), |consumer| consumer.close(py))?;
        let writer = lock(&self.writer).take();
        detached(py, || drop(writer));
        Ok(())
    }
}

impl Drop for Sides {
    /// Of a durable queue that nobody closed, the ends may write, and wait for the writer. Jobs and tickets outlive this.
    fn drop(&mut self) {
        let is_durable = self.fsync.get().is_some_and(Option::is_some);
        let writer = std::mem::take(&mut *lock(&self.writer));
        let callers = std::mem::take(&mut self.callers);
        // In this order: the writer ends last.
        drop_detached(is_durable, (self.producer.take(), callers, self.consumer.take(), writer));
    }
}

impl Held for Sides {
    fn let_go(&self, py: Python<'_>) -> PyResult<()> {
        self.close(py)
    }
}

/// The producer for a put: that of all threads, or this thread's own where it may wait for more than room.
pub enum Way<'a> {
    Shared(&'a Handle<QueueProducer>),
    Own(Arc<Caller>),
}

impl Way<'_> {
    pub fn handle(&self) -> &Handle<QueueProducer> {
        match self {
            Way::Shared(producer) => producer,
            Way::Own(caller) => &caller.handle,
        }
    }
}
