//! A claim on what becomes of one message.

use std::sync::{Arc, Mutex, Weak};

use axonic::{Error, ErrorKind, Outcome, QueueProducer, Ticket};
use pyo3::prelude::*;

use crate::buffer;
use crate::desk::{Desk, Place};
use crate::error::{OrRaise, raise};
use crate::gate::{Handle, Patience, Process};
use crate::log::{detached, drop_detached};
use crate::meaning::{Copied, Meaning};
use crate::message::lock;

const NOTHING: &str = "no result";

/// A producer for one thread's messages with tickets, and those that are to be on the disk. Waiting for that takes the
/// producer, so a thread that waits would keep all others from putting if they shared it.
pub struct Caller {
    pub handle: Handle<QueueProducer>,
    tickets: Desk<Ticket>,
}

impl Caller {
    pub fn new(handle: Handle<QueueProducer>) -> Caller {
        Caller { handle, tickets: Desk::new() }
    }
}

thread_local! {
    /// Says which thread this is, and by its end that the thread has ended.
    static THREAD: Arc<()> = Arc::new(());
}

/// The callers of one queue, and whose they are.
#[derive(Default)]
pub struct Callers(Mutex<Vec<(Weak<()>, Arc<Caller>)>>);

impl Callers {
    /// This thread's caller: the one it has, that of a thread that has ended and whose tickets are gone, or a new one.
    pub fn get(&self, py: Python<'_>, open: impl FnOnce() -> PyResult<Caller>) -> PyResult<Arc<Caller>> {
        let thread = THREAD.with(Arc::downgrade);
        if let Some((_, caller)) = lock(&self.0).iter().find(|(owner, _)| owner.ptr_eq(&thread)) {
            return Ok(caller.clone());
        }
        let mut left = self.take_left();
        let caller = left.pop().map_or_else(|| open().map(Arc::new), Ok)?;
        // There were more threads at a time than there are now.
        detached(py, || drop(left));
        lock(&self.0).push((thread, caller.clone()));
        Ok(caller)
    }

    /// Those of threads that have ended and whose tickets are gone.
    fn take_left(&self) -> Vec<Arc<Caller>> {
        let is_left = |(owner, caller): &mut (Weak<()>, Arc<Caller>)| {
            owner.strong_count() == 0 && Arc::strong_count(caller) == 1
        };
        lock(&self.0).extract_if(.., is_left).map(|(_, caller)| caller).collect()
    }

    /// Ends them all; their tickets are given up.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        let callers = std::mem::take(&mut *lock(&self.0));
        for (_, caller) in callers {
            caller.handle.close(py)?;
            let tickets = caller.tickets.clear();
            detached(py, || drop(tickets));
        }
        Ok(())
    }
}

/// What became of a message.
enum Told {
    Result(Copied),
    Failed(ErrorKind, String),
}

/// A claim on what becomes of one message. Made by `Queue.put(..., result=True)`.
///
/// Dropping it gives the claim up; the message is worked on all the same. Threads may share it; fastest is the one
/// that put the message.
#[pyclass(frozen, weakref, name = "Ticket", module = "axonic")]
pub struct PyTicket {
    caller: Arc<Caller>,
    place: Place,
    process: Process,
    told: Mutex<Option<Told>>,
}

impl PyTicket {
    pub fn new(core: Ticket, caller: Arc<Caller>) -> PyTicket {
        let place = caller.tickets.add(core);
        PyTicket { caller, place, process: Process::current(), told: Mutex::default() }
    }

    /// Does something with the core's ticket; only who has the turn of its producer may.
    fn look<R>(&self, look: impl FnOnce(&mut Ticket) -> axonic::Result<R>) -> axonic::Result<R> {
        let Some(mut ticket) = self.caller.tickets.lift(self.place) else {
            let text = format!("{}: it was closed, and its tickets given up", self.caller.handle.what());
            return Err(Error::new(ErrorKind::Closed, text));
        };
        let looked = look(&mut ticket);
        self.caller.tickets.lay(self.place, ticket);
        looked
    }

    /// Remembers what the core tells.
    fn remember(&self, py: Python<'_>, outcome: axonic::Result<Outcome>) -> PyResult<()> {
        let told = match outcome {
            Ok(outcome) => {
                let tensor = outcome.tensor().or_raise(py)?.map(Box::new);
                let meaning = Meaning { content: outcome.content(), tensor, attributes: None, kind: None };
                Told::Result(Copied::new(buffer::to_bytes(py, outcome.data())?, meaning))
            }
            Err(error) if matches!(error.kind(), ErrorKind::Rejected | ErrorKind::NotFound) => {
                Told::Failed(error.kind(), error.to_string())
            }
            Err(error) => return Err(raise(py, error)),
        };
        // Another thread that waited may have been told, too.
        lock(&self.told).get_or_insert(told);
        Ok(())
    }

    fn is_told(&self) -> bool {
        lock(&self.told).is_some()
    }

    /// What was remembered.
    fn answer(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &*lock(&self.told) {
            // The consumer gave none.
            Some(Told::Result(copied)) if copied.data.as_bytes(py).is_empty() => Ok(py.None()),
            Some(Told::Result(copied)) => copied.value(py).map(Bound::unbind),
            Some(Told::Failed(kind, text)) => Err(raise(py, Error::new(*kind, text.clone()))),
            None => Ok(py.None()),
        }
    }
}

#[pymethods]
impl PyTicket {
    /// Waits up to `timeout` seconds for what becomes of the message and returns the consumer's result, decoded by its
    /// content type; None when it gave none.
    ///
    /// Raises RejectedError, with the reason, when the message is a dead letter, NotFoundError when somebody
    /// purged it. Asked again, it answers the same.
    #[pyo3(signature = (timeout = None))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let patience = Patience::new(py, timeout)?;
        if !self.done(py)? {
            let outcome =
                self.caller.handle.enter(py, patience, Some(NOTHING), |producer, slice| {
                    match self.look(|ticket| producer.result(ticket, Some(slice))) {
                        Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {
                            Err(error)
                        }
                        outcome => Ok(outcome),
                    }
                })?;
            self.remember(py, outcome)?;
        }
        self.answer(py)
    }

    /// Whether result() would answer, or raise, at once.
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_told() {
            return Ok(true);
        }
        self.process.check(py, self.caller.handle.what(), "ticket")?;
        let looked = self.caller.handle.briefly(py, |_| Ok(self.look(Ticket::try_result)))?;
        match looked.transpose() {
            Some(outcome) => self.remember(py, outcome).map(|()| true),
            None => Ok(false),
        }
    }

    /// How far the work is, from 0 to 1, as its consumer told.
    #[getter]
    fn progress(&self, py: Python<'_>) -> PyResult<f64> {
        if self.is_told() {
            return Ok(1.0);
        }
        self.process.check(py, self.caller.handle.what(), "ticket")?;
        self.caller.handle.call(py, |_| self.look(|ticket| Ok(ticket.progress())))
    }

    fn __repr__(&self) -> String {
        let state = match &*lock(&self.told) {
            Some(Told::Result(_)) => "done",
            Some(Told::Failed(kind, _)) => kind.name(),
            None => "open",
        };
        format!("<axonic.Ticket of {}, {state}>", self.caller.handle.what())
    }
}

impl Drop for PyTicket {
    fn drop(&mut self) {
        drop_detached(self.caller.handle.does_file_work(), self.caller.tickets.remove(self.place));
    }
}
