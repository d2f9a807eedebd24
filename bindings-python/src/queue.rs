//! The work queue: each message goes to one consumer, which says when it is done.
//!
//! One Python object has both sides ([`Sides`]).

use std::sync::Arc;
use std::time::Duration;

use axonic::{
    Dedup, Delivery, Error, ErrorKind, Fsync, Get, Payload, Peeked, Put, QueueConsumer, QueueOptions,
    QueueProducer, Receipt, Schema,
};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyMapping, PyTuple};

use crate::disk::PyDisk;
use crate::domain::{Home, fsync_name, leave, wait_name};
use crate::error::{OrRaise, accepting, invalid, raise};
use crate::gate::{Handle, IN_USE, Patience, QUICK, seconds, soon};
use crate::job::PyJob;
use crate::log::detached;
use crate::look::{PyPeeked, PyQueueStats};
use crate::rpc::{carry, is_traced};
use crate::sides::{Sides, Way};
use crate::ticket::PyTicket;
use crate::value::{self, Manner, Outgoing};
use crate::whole;

const NOTHING: &str = "no message";

/// A work queue: each message goes to one consumer, which acknowledges it, gives it back or rejects it; what a dead
/// consumer had goes to another. Made by `Domain.queue`.
///
/// May be shared by threads: one may wait in get() while others put. Of several that wait in get(), one at a time is
/// inside, and gives the others a turn at least every tenth of a second. Iterating gets for ever.
#[pyclass(frozen, generic, weakref, name = "Queue", module = "axonic")]
pub struct PyQueue {
    sides: Arc<Sides>,
    kind: Option<Py<PyAny>>,
}

impl PyQueue {
    pub fn new(name: &str, options: QueueOptions, kind: Option<Py<PyAny>>, home: &Arc<Home>) -> PyQueue {
        PyQueue { sides: Sides::new(name, options, home), kind }
    }

    /// Reads a value that is to be put.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyMapping>>,
        content: Option<&str>,
    ) -> PyResult<Outgoing<'py>> {
        let py = value.py();
        let kind = self.kind.as_ref().map(|kind| kind.bind(py));
        let manner = Manner {
            what: &self.sides.what,
            verb: "put",
            kind,
            content: value::content_argument(py, content)?,
            attributes,
        };
        let mut outgoing = value::encode(value, manner)?;
        carry(py, &mut outgoing)?;
        Ok(outgoing)
    }

    /// Whether a value may be put: the producers have no schema.
    fn check(&self, py: Python<'_>, payload: &Payload<'_>) -> PyResult<()> {
        let check = || self.sides.options.check(&self.sides.name, payload);
        let long = self.sides.options.schema.is_some() && payload.data.len() > QUICK;
        if long { detached(py, check) } else { check() }.or_raise(py)
    }

    /// Reads values that are to be put: all of them may be, or an error comes before any is.
    fn encode_all<'py>(
        &self,
        values: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyMapping>>,
        content: Option<&str>,
    ) -> PyResult<Vec<Outgoing<'py>>> {
        let outgoing = values.try_iter()?.map(|value| self.encode(&value?, attributes, content));
        let outgoing = outgoing.collect::<PyResult<Vec<_>>>()?;
        outgoing.iter().try_for_each(|value| self.check(values.py(), &value.payload()))?;
        let payloads: Vec<_> = outgoing.iter().map(Outgoing::payload).collect();
        let fits = |core: &mut QueueProducer| payloads.iter().try_for_each(|payload| core.check(payload));
        self.sides.producer(values.py())?.briefly(values.py(), fits)?;
        Ok(outgoing)
    }

    /// Puts one message by a call that `by` makes, and waits for the disk if that is to be. The ticket, or whether it is no
    /// duplicate.
    fn put_by(
        &self,
        py: Python<'_>,
        put: &Put,
        patience: Patience,
        by: impl FnOnce(&Handle<QueueProducer>, &Put) -> PyResult<Receipt>,
    ) -> PyResult<Py<PyAny>> {
        let way = self.sides.way(py, put)?;
        let receipt = if self.sides.waits_for_disk(put.durable) {
            let accepted = by(way.handle(), &Put { durable: Some(false), ..put.clone() })?;
            // The first of a duplicate may be on its way there.
            on_disk(py, way.handle(), patience, "the message is", 1)?;
            accepted
        } else {
            by(way.handle(), put)?
        };
        if !put.result {
            return Ok(PyBool::new(py, !receipt.is_duplicate()).to_owned().into_any().unbind());
        }
        match (receipt.ticket(), way) {
            (Some(ticket), Way::Own(caller)) => Ok(Py::new(py, PyTicket::new(ticket, caller))?.into_any()),
            _ => Ok(py.None()),
        }
    }

    fn put_payload(
        &self,
        py: Python<'_>,
        payload: &Payload<'_>,
        put: &Put,
        patience: Patience,
    ) -> PyResult<Py<PyAny>> {
        self.check(py, payload)?;
        self.put_by(py, put, patience, |producer, put| {
            if payload.data.len() <= QUICK && !producer.does_file_work() {
                match producer.quick(py, |core| core.try_put(payload, put)) {
                    Some(Ok(receipt)) => return Ok(receipt),
                    Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                        return Err(raise(py, error));
                    }
                    _ => {}
                }
            }
            producer.enter(py, patience, None, |core, slice| core.put_with(payload, put, Some(slice)))
        })
    }

    /// Waits for a message up to the caller's patience.
    fn take(&self, py: Python<'_>, get: &Get, patience: Patience) -> PyResult<Delivery> {
        let consumer = self.sides.consumer(py)?;
        let mut taken = None;
        if !consumer.does_file_work() {
            let tried = consumer.quick(py, |core| {
                soon(self.sides.options.wait, || {
                    taken = core.try_get_with(get)?;
                    Ok(taken.is_some())
                })
            });
            tried.transpose().or_raise(py)?;
        }
        match taken {
            Some(delivery) => Ok(delivery),
            None => {
                consumer.enter(py, patience, Some(NOTHING), |core, slice| core.get_with(get, Some(slice)))
            }
        }
    }

    /// `durable`: as it was got.
    fn job(&self, py: Python<'_>, delivery: Delivery, durable: Option<bool>) -> PyResult<Py<PyJob>> {
        PyJob::hand_out(
            py,
            delivery,
            &self.sides.jobs,
            &self.sides.what,
            self.kind.as_ref(),
            // Where an event loop leaves file work to a thread, settling may wait for that.
            self.sides.does_file_work() || self.sides.waits_for_disk(durable),
        )
    }

    /// Asks the consuming side something that may look at every message; other threads run meanwhile.
    fn ask<R: Send>(
        &self,
        py: Python<'_>,
        mut question: impl FnMut(&mut QueueConsumer) -> axonic::Result<R> + Send,
    ) -> PyResult<R> {
        let patience = Patience::new(py, None)?;
        self.sides.consumer(py)?.enter(py, patience, None, |core, _| question(core))
    }

    fn peeked<'py>(&self, py: Python<'py>, peeked: Vec<Peeked>) -> PyResult<Bound<'py, PyList>> {
        let peeked = peeked.iter().map(|peeked| PyPeeked::new(py, peeked, self.kind.as_ref()));
        PyList::new(py, peeked.collect::<PyResult<Vec<_>>>()?)
    }
}

/// Reads the arguments that say when to deliver.
fn put_argument(py: Python<'_>, priority: u8, delay: f64, ttl: Option<f64>) -> PyResult<Put> {
    let ttl = ttl.map(|ttl| seconds(py, "ttl", ttl)).transpose()?;
    Ok(Put { priority, delay: seconds(py, "delay", delay)?, ttl, ..Put::default() })
}

/// Reads the arguments that say how to get.
fn get_argument(py: Python<'_>, lease: Option<f64>, durable: Option<bool>) -> PyResult<Get> {
    Ok(Get { lease: lease.map(|lease| seconds(py, "lease", lease)).transpose()?, durable })
}

/// Reads the `dedup=` argument: `count` and `within`, or one of them.
pub fn dedup_argument(py: Python<'_>, given: Option<&Bound<'_, PyMapping>>) -> PyResult<Dedup> {
    let mut dedup = Dedup::default();
    let Some(given) = given else { return Ok(dedup) };
    for item in given.items()? {
        let (key, value): (String, Bound<'_, PyAny>) = item.extract()?;
        match key.as_str() {
            "count" => dedup.count = whole::dedup_count(&value)?,
            "within" => dedup.within = seconds(py, "dedup within", value.extract()?)?,
            _ => {
                let text = format!("dedup: {key:?} is not known; give \"count\", \"within\" or both");
                return Err(invalid(py, text));
            }
        }
    }
    Ok(dedup)
}

/// Deliveries taken at a time of many: few enough to stay in the caches until they are Python's objects.
const AT_ONCE: usize = 64;

/// Takes up to `most` messages that are there already.
fn take_some(
    py: Python<'_>,
    consumer: &Handle<QueueConsumer>,
    get: &Get,
    most: usize,
) -> PyResult<axonic::Result<Vec<Delivery>>> {
    let taken = consumer.try_briefly(py, |core| core.try_get_many(most.min(AT_ONCE), get))?;
    Ok(taken.unwrap_or_else(|| Ok(Vec::new())))
}

/// Waits until `what` was put, so many messages, is on the disk.
fn on_disk(
    py: Python<'_>,
    producer: &Handle<QueueProducer>,
    patience: Patience,
    what: &str,
    accepted: usize,
) -> PyResult<()> {
    let mut late = None;
    let synced = producer.enter_or_none(py, patience, |core, slice| match core.sync(Some(slice)) {
        Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {
            late = Some(error);
            Ok(None)
        }
        done => Ok(Some(done)),
    })?;
    let error = match synced {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) => error,
        // Where the core said nothing, another thread had the producer all the time.
        None => late.unwrap_or_else(|| producer.late(patience, IN_USE)),
    };
    Err(not_durable(py, what, accepted, &error))
}

fn not_durable(py: Python<'_>, what: &str, accepted: usize, error: &Error) -> PyErr {
    let text = format!("{what} accepted, do not put that again, but not known to be on the disk: {error}");
    accepting(py, raise(py, Error::new(ErrorKind::NotDurable, text)), accepted)
}

const ALL: &str = "all values are";

fn some_wanted(py: Python<'_>, max: usize) -> PyResult<()> {
    if max == 0 { Err(invalid(py, "get_many(max=0): ask for at least one message")) } else { Ok(()) }
}

/// Several values on their way into a queue, in their order.
struct Batch<'a> {
    payloads: Vec<Payload<'a>>,
    done: usize,
    /// The disk did not take what was put.
    unwritten: Option<Error>,
    tickets: Vec<axonic::Ticket>,
}

impl Batch<'_> {
    /// Puts what there is room for, then waits for room for one more. `None`: there is more to put.
    fn put(&mut self, core: &mut QueueProducer, put: &Put, slice: Duration) -> axonic::Result<Option<()>> {
        while let Some(payload) = self.payloads.get(self.done) {
            match core.try_put(payload, put) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                tried => self.note(tried)?,
            }
        }
        let Some(payload) = self.payloads.get(self.done) else { return Ok(Some(())) };
        match core.put_with(payload, put, Some(slice)) {
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {}
            tried => self.note(tried)?,
        }
        Ok((self.done == self.payloads.len()).then_some(()))
    }

    fn note(&mut self, tried: axonic::Result<Receipt>) -> axonic::Result<()> {
        match tried {
            Ok(receipt) => self.tickets.extend(receipt.ticket()),
            Err(error) if error.kind() == ErrorKind::NotDurable => self.unwritten = Some(error),
            Err(error) => return Err(error),
        }
        self.done += 1;
        Ok(())
    }
}

#[pymethods]
impl PyQueue {
    /// The queue's name.
    #[getter]
    fn name(&self) -> &str {
        &self.sides.name
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.sides.is_closed()
    }

    /// Puts one value, waiting up to `timeout` seconds for room, then raises TimeoutError; NotDurableError, if it has room by
    /// then and is only not on the disk.
    ///
    /// Values are sent as publish() sends them: bytes as they are, arrays as tensors, everything else as JSON.
    /// `priority` is 0 to 7, the highest is served first. It is delivered after `delay` seconds, not before;
    /// after `ttl` seconds it is a dead letter, if nobody has taken it. A message with a `dedup_id` is put only
    /// once, as far as the queue remembers ids (its `dedup`). `durable` says whether to wait until it is on the disk,
    /// for which a queue in memory cannot be asked; None: as the queue's `fsync` says. Returns whether it was put: False
    /// for a duplicate. After a NotDurableError it is in the queue all the same, and the error's `accepted` is 1.
    ///
    /// With `result=True` returns a ticket, with which to wait for what becomes of it; None for a duplicate.
    /// Tickets, and waiting for the disk, cost this thread a producer of its own.
    #[pyo3(signature = (value, *, priority = 0, delay = 0.0, ttl = None, dedup_id = None, result = false, durable = None, attributes = None, timeout = None, content = None))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn put<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = whole::priority)] priority: u8,
        delay: f64,
        ttl: Option<f64>,
        dedup_id: Option<String>,
        result: bool,
        durable: Option<bool>,
        attributes: Option<&Bound<'py, PyMapping>>,
        timeout: Option<f64>,
        content: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let patience = Patience::new(py, timeout)?;
        let put = Put { dedup_id, durable, result, ..put_argument(py, priority, delay, ttl)? };
        if let (Ok(bytes), None, None, false) = (value.cast::<PyBytes>(), content, attributes, is_traced()) {
            // The common case first: bytes as they are.
            return self.put_payload(py, &Payload::raw(bytes.as_bytes()), &put, patience);
        }
        let outgoing = self.encode(value, attributes, content)?;
        self.put_payload(py, &outgoing.payload(), &put, patience)
    }

    /// Like put(), but does not wait for room: raises WouldBlockError when there is none. Where it is to be `durable`, it waits
    /// for the disk all the same.
    #[pyo3(signature = (value, *, priority = 0, delay = 0.0, ttl = None, dedup_id = None, result = false, durable = None, attributes = None, content = None))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn try_put<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = whole::priority)] priority: u8,
        delay: f64,
        ttl: Option<f64>,
        dedup_id: Option<String>,
        result: bool,
        durable: Option<bool>,
        attributes: Option<&Bound<'py, PyMapping>>,
        content: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let put = Put { dedup_id, durable, result, ..put_argument(py, priority, delay, ttl)? };
        let outgoing = self.encode(value, attributes, content)?;
        let payload = outgoing.payload();
        self.check(py, &payload)?;
        let patience = Patience::new(py, None)?;
        self.put_by(py, &put, patience, |producer, put| {
            producer.briefly(py, |core| core.try_put(&payload, put))
        })
    }

    /// Puts several values in their order: one call for many small messages. With `result=True` returns their
    /// tickets. An error's `accepted` is how many were put, the first ones; an error in a value comes before any is.
    /// Where they are to be on the disk, they wait for it once; a NotDurableError tells that all are put, and not on it.
    /// No values: nothing is done.
    #[pyo3(signature = (values, *, priority = 0, delay = 0.0, ttl = None, result = false, durable = None, attributes = None, timeout = None, content = None))]
    #[allow(clippy::too_many_arguments)] // The arguments are the options, by keyword.
    fn put_many<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = whole::priority)] priority: u8,
        delay: f64,
        ttl: Option<f64>,
        result: bool,
        durable: Option<bool>,
        attributes: Option<&Bound<'py, PyMapping>>,
        timeout: Option<f64>,
        content: Option<&str>,
    ) -> PyResult<Option<Vec<PyTicket>>> {
        let patience = Patience::new(py, timeout)?;
        let put = Put { durable, result, ..put_argument(py, priority, delay, ttl)? };
        let outgoing = self.encode_all(values, attributes, content)?;
        if outgoing.is_empty() {
            // What is wrong with the call is told all the same.
            let nothing =
                |core: &mut QueueProducer| core.put_many(&[], &Put { durable, ..Put::default() }, None);
            self.sides.producer(py)?.briefly(py, nothing)?;
            return Ok(result.then(Vec::new));
        }
        let payloads = outgoing.iter().map(Outgoing::payload).collect();
        let mut batch = Batch { payloads, done: 0, unwritten: None, tickets: Vec::new() };
        let way = self.sides.way(py, &put)?;
        // All wait for the disk once, when the last is put. A queue in memory refuses the first.
        let waits = self.sides.waits_for_disk(durable);
        let each = if waits { Put { durable: Some(false), ..put } } else { put };
        let put = way.handle().enter_or_none(py, patience, |core, slice| batch.put(core, &each, slice));
        if put.map_err(|error| accepting(py, error, batch.done))?.is_none() {
            let (what, total) = (&self.sides.what, batch.payloads.len());
            let text =
                format!("{what}: no room in time; {} of {total} values were put, in their order", batch.done);
            return Err(accepting(py, raise(py, Error::new(ErrorKind::Timeout, text)), batch.done));
        }
        if waits {
            on_disk(py, way.handle(), patience, ALL, batch.done)?;
        }
        // By now it may be there, but a ticket was lost.
        if let Some(error) = batch.unwritten.filter(|_| result || !waits) {
            return Err(not_durable(py, ALL, batch.done, &error));
        }
        match way {
            Way::Own(caller) if result => {
                let tickets = batch.tickets.into_iter().map(|ticket| PyTicket::new(ticket, caller.clone()));
                Ok(Some(tickets.collect()))
            }
            _ => Ok(None),
        }
    }

    /// Waits for the next message, up to `timeout` seconds (None waits without end), then raises TimeoutError.
    ///
    /// Use the job in a `with` block, which settles it. It is this process's until it is settled or the process is
    /// dead; with a `lease`, for so many seconds, and then somebody else's. `durable` says whether acknowledging
    /// it waits until that is on the disk; None: as the queue's `fsync` says. Ctrl-C interrupts the wait. With a
    /// schema, a message that does not satisfy it goes to the dead letters and raises DecodeError; the next call
    /// goes on behind it.
    #[pyo3(signature = (timeout = None, lease = None, *, durable = None))]
    fn get(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        lease: Option<f64>,
        durable: Option<bool>,
    ) -> PyResult<Py<PyJob>> {
        let patience = Patience::new(py, timeout)?;
        let delivery = self.take(py, &get_argument(py, lease, durable)?, patience)?;
        self.job(py, delivery, durable)
    }

    /// The next message if one is there, else None; never waits.
    #[pyo3(signature = (lease = None, *, durable = None))]
    fn try_get(
        &self,
        py: Python<'_>,
        lease: Option<f64>,
        durable: Option<bool>,
    ) -> PyResult<Option<Py<PyJob>>> {
        let get = get_argument(py, lease, durable)?;
        let taken = self.sides.consumer(py)?.briefly(py, |core| core.try_get_with(&get))?;
        taken.map(|delivery| self.job(py, delivery, durable)).transpose()
    }

    /// Waits for a message and returns it with all that are there too, at most `max`, as a list. One that cannot be read is
    /// given back, and told of only if there is no other.
    #[pyo3(signature = (max = 1024, timeout = None, lease = None, *, durable = None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = whole::max)] max: usize,
        timeout: Option<f64>,
        lease: Option<f64>,
        durable: Option<bool>,
    ) -> PyResult<Bound<'py, PyList>> {
        some_wanted(py, max)?;
        let patience = Patience::new(py, timeout)?;
        let get = get_argument(py, lease, durable)?;
        let consumer = self.sides.consumer(py)?;
        let mut taken = take_some(py, consumer, &get, max)?.or_raise(py)?;
        if taken.is_empty() {
            let most = max.min(AT_ONCE);
            taken = consumer
                .enter(py, patience, Some(NOTHING), |core, slice| core.get_many(most, &get, Some(slice)))?;
        }
        let (mut jobs, mut refused) = (Vec::new(), None);
        while !taken.is_empty() {
            for delivery in taken {
                match self.job(py, delivery, durable) {
                    Ok(job) => jobs.push(job),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
            let left = max - jobs.len();
            // One that was refused was given back, and would be the next; the dead letters tell of one that is no longer
            // to be had.
            let is_enough = left == 0 || refused.is_some();
            taken = if is_enough {
                Vec::new()
            } else {
                // What a signal's handler raises gives back what was taken.
                take_some(py, consumer, &get, left)?.unwrap_or_default()
            };
        }
        match refused {
            Some(error) if jobs.is_empty() => Err(error),
            _ => PyList::new(py, jobs),
        }
    }

    /// Makes the decorated function the queue's worker: `concurrency` threads call it with each job, and what it
    /// returns is the result its producer's ticket answers. An exception gives the job back for later, at the last attempt
    /// rejects it (as Reject does at once), and is logged with the logger of the function's module. See `axonic.Worker`
    /// for how to run it.
    #[pyo3(signature = (*, concurrency = 1, lease = None))]
    fn worker<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = whole::concurrency)] concurrency: usize,
        lease: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        get_argument(py, lease, None)?;
        if concurrency == 0 {
            return Err(invalid(py, "worker(concurrency=0): nobody would work; use at least one thread"));
        }
        py.import("axonic._worker")?.getattr("decorator")?.call1((slf, concurrency, lease))
    }

    /// Up to `max` messages that can be delivered now, in that order, without taking them.
    #[pyo3(signature = (max = 1024))]
    fn peek<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = whole::max)] max: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        self.peeked(py, self.ask(py, |core| core.peek(max))?)
    }

    /// Up to `max` dead letters.
    #[pyo3(signature = (max = 1024))]
    fn dead_letters<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = whole::max)] max: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        self.peeked(py, self.ask(py, |core| core.dead_letters(max))?)
    }

    /// Takes all messages away that nobody has, those for later included; with `dead=True` all dead letters
    /// instead. Returns how many.
    #[pyo3(signature = (dead = false))]
    fn purge(&self, py: Python<'_>, dead: bool) -> PyResult<u64> {
        self.ask(py, |core| if dead { core.purge_dead_letters() } else { core.purge() })
    }

    /// Lets up to `max` dead letters (None: all) be delivered again, as if they never had been. Returns how many.
    #[pyo3(signature = (max = None))]
    fn redrive(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole::max)] max: Option<usize>,
    ) -> PyResult<u64> {
        self.ask(py, |core| core.redrive(max.unwrap_or(usize::MAX)))
    }

    /// When what it holds is known to be on the disk, as whoever made it decided: "always", "interval" or "never";
    /// None: it is in memory only.
    #[getter]
    fn fsync(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.sides.fsync(py)?.map(fsync_name))
    }

    /// Waits up to `timeout` seconds until everything that was put and settled before is on the disk; returns at once
    /// if the queue is in memory only.
    #[pyo3(signature = (timeout = None))]
    fn sync(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let patience = Patience::new(py, timeout)?;
        let caller = self.sides.caller(py)?;
        caller
            .handle
            .enter(py, patience, Some("not all is on the disk"), |core, slice| core.sync(Some(slice)))
    }

    /// Raises what keeps one of several values from being put. axonic.aio puts them one by one.
    fn _check(
        &self,
        values: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyMapping>>,
        content: Option<&str>,
    ) -> PyResult<()> {
        self.encode_all(values, attributes, content).map(drop)
    }

    /// From now on a thread does its file work, for calls in an event loop. What axonic.aio makes of it first.
    fn _use_in_loop(&self) {
        self.sides.use_in_loop();
    }

    /// Where an event loop's tasks wait for the disk. For axonic.aio.
    fn _disk(&self, py: Python<'_>) -> PyResult<PyDisk> {
        PyDisk::new(py, &self.sides)
    }

    /// Deliveries of one message before it is a dead letter; 0: no limit. For workers.
    #[getter]
    fn _max_attempts(&self, py: Python<'_>) -> PyResult<u32> {
        self.sides.consumer(py)?.with(py, |core| core.max_attempts())
    }

    /// What is in it now, and counters.
    fn stats(&self, py: Python<'_>) -> PyResult<PyQueueStats> {
        let patience = Patience::new(py, None)?;
        let stats = match self.sides.open_producer() {
            Some(producer) => producer.enter(py, patience, None, |core, _| Ok(core.stats()))?,
            None => self.ask(py, |core| Ok(core.stats()))?,
        };
        Ok(PyQueueStats::new(&stats))
    }

    /// The pollable descriptor: readable while a message may be there, until try_get() answered None. For select,
    /// epoll and asyncio's add_reader; do not read from it.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.sides.consumer(py)?.call(py, |core| core.fd())
    }

    /// The same for putting: readable when it is worth trying again after WouldBlockError. With `result=True` for
    /// this thread's puts that asked for a ticket, readable too when one of these may have been answered.
    #[pyo3(signature = (result = false))]
    fn put_fileno(&self, py: Python<'_>, result: bool) -> PyResult<i32> {
        if result {
            return self.sides.caller(py)?.handle.call(py, |core| core.fd());
        }
        self.sides.producer(py)?.call(py, |core| core.fd())
    }

    /// Closes both sides: jobs that are not settled are given back, tickets given up. Closing again does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.sides.close(py)
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

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyJob>> {
        self.get(py, None, None, None)
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<axonic.Queue {:?} in {:?}{closed}>", self.sides.name, self.sides.home.core.name())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let known = &self.sides.options;
        let options = PyDict::new(py);
        options.set_item("type", self.kind.as_ref())?;
        options.set_item("schema", known.schema.as_ref().map(Schema::text))?;
        options.set_item("capacity", known.capacity)?;
        options.set_item("max_bytes", known.max_bytes)?;
        options.set_item("max_attempts", known.max_attempts)?;
        let dedup = PyDict::new(py);
        dedup.set_item("count", known.dedup.count)?;
        dedup.set_item("within", known.dedup.within.as_secs_f64())?;
        options.set_item("dedup", dedup)?;
        options.set_item("durable", known.durable.is_some())?;
        if let Some(fsync) = known.durable {
            options.set_item("fsync", fsync_name(fsync))?;
        }
        if let Some(Fsync::Interval(interval)) = known.durable {
            options.set_item("fsync_interval", interval.as_secs_f64())?;
        }
        options.set_item("wait", wait_name(known.wait))?;
        self.sides.home.reduce(py, "queue", &self.sides.name, &options)
    }
}
