//! The work queue: both sides of it, each opened at first use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axonic::{
    Content, ErrorKind, Fsync, Payload, Put, QueueConsumer, QueueOptions, QueueProducer, QueueWriter, Schema,
};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::content::{PayloadParts, content_of};
use crate::disk::Sync;
use crate::error::{OrThrow, closed};
use crate::memory::ScratchMemory;
use crate::options;
use crate::slab::Slab;
use crate::ticket::Ticket;

/// Which ids of messages are remembered.
#[napi(object)]
pub struct DedupSettings {
    /// So many.
    pub count: Option<f64>,
    /// For so many milliseconds.
    pub within: Option<f64>,
}

/// How to open a queue; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct QueueSettings {
    /// Messages it can hold.
    pub capacity: Option<f64>,
    /// Bytes of messages over 128 bytes it can hold together.
    pub max_bytes: Option<f64>,
    /// Deliveries of one message before it is a dead letter.
    pub max_attempts: Option<f64>,
    /// Whether what is in it survives a reboot.
    pub durable: Option<bool>,
    /// `always`, `interval` or `never`.
    pub fsync: Option<String>,
    /// Milliseconds between syncs.
    pub fsync_interval: Option<f64>,
    /// Which ids of messages are remembered.
    pub dedup: Option<DedupSettings>,
    /// JSON Schema, as text, that every value must satisfy.
    pub schema: Option<String>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

/// Milliseconds between syncs unless the caller says.
const FSYNC_INTERVAL: f64 = 100.0;

impl QueueSettings {
    pub(crate) fn options(self) -> axonic::Result<QueueOptions> {
        let mut options = QueueOptions::default();
        if let Some(capacity) = self.capacity {
            options.capacity = options::size("capacity", capacity)?;
        }
        if let Some(max_bytes) = self.max_bytes {
            options.max_bytes = options::size("maxBytes", max_bytes)?;
        }
        if let Some(max_attempts) = self.max_attempts {
            options.max_attempts = options::number("maxAttempts", max_attempts)?;
        }
        let interval = options::duration("fsyncInterval", self.fsync_interval.unwrap_or(FSYNC_INTERVAL))?;
        let fsync = options::fsync(self.fsync.as_deref().unwrap_or("always"), interval)?;
        options.durable = self.durable.unwrap_or_default().then_some(fsync);
        if let Some(DedupSettings { count, within }) = self.dedup {
            if let Some(count) = count {
                options.dedup.count = options::size("dedup.count", count)?;
            }
            if let Some(within) = within {
                options.dedup.within = options::duration("dedup.within", within)?;
            }
        }
        if let Some(wait) = self.wait {
            options.wait = options::wait(&wait)?;
        }
        options.schema = self.schema.as_deref().map(Schema::new).transpose()?;
        Ok(options)
    }
}

/// How to put a message.
#[napi(object)]
pub struct PutSettings {
    /// 0 to 7.
    pub priority: Option<f64>,
    /// Milliseconds before it is delivered.
    pub delay: Option<f64>,
    /// Milliseconds after which it is a dead letter.
    pub ttl: Option<f64>,
    /// A message with this id is put only once.
    pub dedup_id: Option<String>,
    /// Whether there is to be a ticket.
    pub result: Option<bool>,
}

impl PutSettings {
    fn put(self) -> axonic::Result<Put> {
        let priority = self.priority.map_or(Ok(0), |priority| options::number("priority", priority))?;
        Ok(Put {
            // What is too much for this is too much for the core, which says so.
            priority: u8::try_from(priority).unwrap_or(u8::MAX),
            delay: self.delay.map_or(Ok(Duration::ZERO), |delay| options::duration("delay", delay))?,
            ttl: self.ttl.map(|ttl| options::duration("ttl", ttl)).transpose()?,
            dedup_id: self.dedup_id,
            result: self.result.unwrap_or_default(),
            ..in_memory()
        })
    }
}

/// Whoever waits for the disk does so afterwards, elsewhere.
fn in_memory() -> Put {
    Put { durable: Some(false), ..Put::default() }
}

/// A message as it was when somebody looked at it.
#[napi(object, object_from_js = false)]
pub struct PeekedMessage {
    /// Its bytes.
    pub data: Buffer,
    /// Their content type's number.
    pub content: u32,
    /// 0 to 7.
    pub priority: u32,
    /// How often it was delivered.
    pub attempts: u32,
    /// Why it is dead.
    pub reason: Option<String>,
    /// The same in words; empty if there are none.
    pub reason_text: String,
}

impl PeekedMessage {
    fn new(peeked: &axonic::Peeked) -> PeekedMessage {
        PeekedMessage {
            data: peeked.data().into(),
            content: peeked.content() as u32,
            priority: peeked.priority().into(),
            attempts: peeked.attempts().into(),
            reason: peeked.reason().map(|reason| reason.name().into()),
            reason_text: peeked.reason_text().into(),
        }
    }
}

/// What is in a queue, and counters.
#[napi(object, object_from_js = false)]
pub struct QueueStats {
    /// Messages to be delivered now.
    pub ready: f64,
    /// Messages for later.
    pub delayed: f64,
    /// Messages that consumers have.
    pub leased: f64,
    /// Results that producers have not fetched.
    pub done: f64,
    /// Dead letters.
    pub dead: f64,
    /// Messages it can hold.
    pub capacity: f64,
    /// Bytes of messages over 128 bytes, in the parts they are stored in.
    pub bytes: f64,
    /// The most there can be of these.
    pub max_bytes: f64,
    /// Messages put.
    pub put: f64,
    /// Messages handed out.
    pub delivered: f64,
    /// Messages acknowledged.
    pub acked: f64,
    /// Deliveries given back.
    pub returned: f64,
    /// Messages that became dead letters.
    pub buried: f64,
    /// Times a producer had to wait for room.
    pub blocked: f64,
    /// Bells rung for sleeping consumers.
    pub wakes_sent: f64,
}

impl From<axonic::QueueStats> for QueueStats {
    fn from(stats: axonic::QueueStats) -> QueueStats {
        QueueStats {
            ready: stats.ready as f64,
            delayed: stats.delayed as f64,
            leased: stats.leased as f64,
            done: stats.done as f64,
            dead: stats.dead as f64,
            capacity: stats.capacity as f64,
            bytes: stats.bytes as f64,
            max_bytes: stats.max_bytes as f64,
            put: stats.put as f64,
            delivered: stats.delivered as f64,
            acked: stats.acked as f64,
            returned: stats.returned as f64,
            buried: stats.buried as f64,
            blocked: stats.blocked as f64,
            wakes_sent: stats.wakes_sent as f64,
        }
    }
}

/// What a queue object has open.
pub struct State {
    pub(crate) name: String,
    domain: axonic::Domain,
    options: QueueOptions,
    closed: Cell<bool>,
    /// For messages without a ticket.
    producer: RefCell<Option<QueueProducer>>,
    /// For those with one, so that news of tickets and of room come by descriptors of their own.
    asker: RefCell<Option<QueueProducer>>,
    tickets: RefCell<Slab<axonic::Ticket>>,
    /// The ticket of the last put, until it is fetched.
    ticket: RefCell<Option<axonic::Ticket>>,
    consumer: RefCell<Option<QueueConsumer>>,
    /// Jobs that are not settled.
    pub(crate) jobs: RefCell<Slab<axonic::Delivery>>,
    /// Does the file work of the others, of which there is some if the queue is durable.
    writer: RefCell<Option<Arc<QueueWriter>>>,
    pub(crate) scratch: Rc<ScratchMemory>,
}

/// Flag beside the content type of a bound call: "no room now" is an answer, not an error.
const QUIET: i32 = 256;

impl State {
    /// Does something with a side, which the first call opens.
    fn with<S, T>(
        &self,
        side: &RefCell<Option<S>>,
        open: impl FnOnce() -> axonic::Result<S>,
        body: impl FnOnce(&mut S) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        if self.closed.get() {
            return Err(closed("queue", &self.name));
        }
        match &mut *side.borrow_mut() {
            Some(side) => body(side),
            none => body(none.insert(open()?)),
        }
    }

    fn open_producer(&self, options: &QueueOptions) -> axonic::Result<QueueProducer> {
        let mut producer = self.domain.queue_producer(&self.name, options)?;
        self.writer.borrow().iter().try_for_each(|writer| producer.leave_writing_to(writer))?;
        Ok(producer)
    }

    fn open_consumer(&self) -> axonic::Result<QueueConsumer> {
        let mut consumer = self.domain.queue_consumer(&self.name, &self.options)?;
        self.writer.borrow().iter().try_for_each(|writer| consumer.leave_writing_to(writer))?;
        Ok(consumer)
    }

    fn with_producer<T>(
        &self,
        body: impl FnOnce(&mut QueueProducer) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.with(&self.producer, || self.open_producer(&self.options), body)
    }

    fn with_asker<T>(&self, body: impl FnOnce(&mut QueueProducer) -> axonic::Result<T>) -> axonic::Result<T> {
        // It is asked for news of tickets with no time to wait, not even to spin.
        let options = || QueueOptions { wait: axonic::Wait::Block, ..self.options.clone() };
        self.with(&self.asker, || self.open_producer(&options()), body)
    }

    pub(crate) fn with_consumer<T>(
        &self,
        body: impl FnOnce(&mut QueueConsumer) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.with(&self.consumer, || self.open_consumer(), body)
    }

    pub(crate) fn with_ticket<T>(
        &self,
        place: usize,
        body: impl FnOnce(&mut QueueProducer, &mut axonic::Ticket) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.with_asker(|asker| match self.tickets.borrow_mut().get(place) {
            Some(ticket) => body(asker, ticket),
            None => Err(closed("ticket of queue", &self.name)),
        })
    }

    /// Gives a claim up.
    pub(crate) fn forget_ticket(&self, place: usize) {
        drop(self.tickets.borrow_mut().remove(place));
    }

    /// Puts without waiting; `None`: there is no room, and `quiet`.
    fn put(&self, payload: &Payload<'_>, put: &Put, quiet: bool) -> axonic::Result<Option<axonic::Receipt>> {
        let tried = |producer: &mut QueueProducer| producer.try_put(payload, put);
        let receipt = if put.result { self.with_asker(tried) } else { self.with_producer(tried) };
        match receipt {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Err(_) if quiet => Ok(None),
            Err(error) => {
                Err(axonic::Error::new(error.kind(), format!("{error}, or use putAsync, which waits")))
            }
            Ok(receipt) => Ok(Some(receipt)),
        }
    }

    fn put_plainly(&self, data: &[u8], flags: i32) -> axonic::Result<Answer> {
        let content: Content = content_of(flags & 0xff)?;
        let payload = Payload { data, content, tensor: None, attributes: None };
        let receipt = self.put(&payload, &in_memory(), flags & QUIET != 0)?;
        Ok(if receipt.is_some() { Answer::Nothing } else { Answer::No })
    }
}

/// The native queue behind the facade's.
#[napi]
pub struct Queue {
    pub(crate) state: Rc<State>,
}

#[napi]
impl Queue {
    /// Opens the producing side, so that the queue is there and its options are known to be good.
    pub(crate) fn open(
        domain: &axonic::Domain,
        name: &str,
        options: QueueOptions,
        scratch: &Rc<ScratchMemory>,
    ) -> axonic::Result<Queue> {
        let state = State {
            name: name.into(),
            domain: domain.clone(),
            producer: RefCell::default(),
            options,
            closed: Cell::new(false),
            asker: RefCell::default(),
            tickets: RefCell::default(),
            ticket: RefCell::default(),
            consumer: RefCell::default(),
            jobs: RefCell::default(),
            writer: RefCell::default(),
            scratch: scratch.clone(),
        };
        let mut producer = state.open_producer(&state.options)?;
        if producer.fsync().is_some() {
            let writer = domain.queue_writer(name, &state.options)?;
            producer.leave_writing_to(&writer)?;
            state.writer.replace(Some(Arc::new(writer)));
        }
        state.producer.replace(Some(producer));
        Ok(Queue { state: Rc::new(state) })
    }

    /// Whether what happens is to be on the disk at once; `null` for a queue in memory only.
    #[napi]
    pub fn waits_for_disk(&self, env: &Env) -> Result<Option<bool>> {
        let fsync = self.state.with_producer(|producer| Ok(producer.fsync())).or_throw(env)?;
        Ok(fsync.map(|fsync| fsync == Fsync::Always))
    }

    /// `(view, flags)`: puts a view's bytes; `false` when quiet and full.
    #[napi(ts_return_type = "(view: Uint8Array, flags: number) => false | undefined")]
    pub fn bind_put<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"put", &self.state, |state: &State, call: &Call| {
            state.put_plainly(call.bytes(0), call.int(1))
        })
    }

    /// `(length, flags)`: puts the first bytes of the scratch.
    #[napi(ts_return_type = "(length: number, flags: number) => false | undefined")]
    pub fn bind_put_scratch<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"putScratch", &self.state, |state: &State, call: &Call| {
            let bytes = state.scratch.bytes();
            let length = (call.int(0).max(0) as usize).min(bytes.len());
            state.put_plainly(&bytes[..length], call.int(1))
        })
    }

    /// Throws if a payload is too large for the queue, or does not satisfy the schema.
    #[napi]
    pub fn check(&self, env: &Env, data: &[u8], parts: PayloadParts) -> Result<()> {
        let parts = parts.parse().or_throw(env)?;
        self.state.with_producer(|producer| producer.check(&parts.payload(data))).or_throw(env)
    }

    /// Puts one payload; whether it is a duplicate, or `null` when quiet and full.
    #[napi]
    pub fn put_parts(
        &self,
        env: &Env,
        data: &[u8],
        parts: PayloadParts,
        settings: PutSettings,
        quiet: bool,
    ) -> Result<Option<bool>> {
        let parts = parts.parse().or_throw(env)?;
        let put = settings.put().or_throw(env)?;
        let Some(receipt) = self.state.put(&parts.payload(data), &put, quiet).or_throw(env)? else {
            return Ok(None);
        };
        let duplicate = receipt.is_duplicate();
        *self.state.ticket.borrow_mut() = receipt.ticket();
        Ok(Some(duplicate))
    }

    /// The ticket of the last put, if it has one.
    #[napi]
    pub fn ticket(&self) -> Option<Ticket> {
        let ticket = self.state.ticket.take()?;
        let place = self.state.tickets.borrow_mut().add(ticket);
        Some(Ticket { state: self.state.clone(), place })
    }

    /// Up to `max` messages that can be delivered now.
    #[napi]
    pub fn peek(&self, env: &Env, max: f64) -> Result<Vec<PeekedMessage>> {
        let max = options::size("max", max).or_throw(env)?;
        let peeked = self.state.with_consumer(|consumer| consumer.peek(max)).or_throw(env)?;
        Ok(peeked.iter().map(PeekedMessage::new).collect())
    }

    /// Up to `max` dead letters.
    #[napi]
    pub fn dead_letters(&self, env: &Env, max: f64) -> Result<Vec<PeekedMessage>> {
        let max = options::size("max", max).or_throw(env)?;
        let peeked = self.state.with_consumer(|consumer| consumer.dead_letters(max)).or_throw(env)?;
        Ok(peeked.iter().map(PeekedMessage::new).collect())
    }

    /// Takes all messages away that nobody has, or all dead letters. How many.
    #[napi]
    pub fn purge(&self, env: &Env, dead: bool) -> Result<f64> {
        let purge = |consumer: &mut QueueConsumer| {
            if dead { consumer.purge_dead_letters() } else { consumer.purge() }
        };
        Ok(self.state.with_consumer(purge).or_throw(env)? as f64)
    }

    /// Lets up to `max` dead letters be delivered again. How many.
    #[napi]
    pub fn redrive(&self, env: &Env, max: f64) -> Result<f64> {
        let max = options::size("max", max).or_throw(env)?;
        Ok(self.state.with_consumer(|consumer| consumer.redrive(max)).or_throw(env)? as f64)
    }

    /// Deliveries of one message before it is a dead letter, as whoever made the queue decided; 0: no limit.
    #[napi]
    pub fn max_attempts(&self, env: &Env) -> Result<u32> {
        self.state.with_consumer(|consumer| Ok(consumer.max_attempts())).or_throw(env)
    }

    /// What is in it, and counters.
    #[napi]
    pub fn stats(&self, env: &Env) -> Result<QueueStats> {
        self.state.with_producer(|producer| Ok(producer.stats().into())).or_throw(env)
    }

    /// What fills it, and what makes room in it.
    #[napi]
    pub fn why_full(&self, env: &Env) -> Result<Vec<String>> {
        let (happened, remedy) = self
            .state
            .with_producer(|producer| Ok(producer.stats().why_full(producer.name())))
            .or_throw(env)?;
        Ok(vec![happened, remedy])
    }

    /// Has a thread wait until all that was put and settled before is on the disk.
    #[napi(ts_return_type = "Promise<Failure | null>")]
    pub fn sync(&self, env: &Env) -> Result<AsyncTask<Sync>> {
        let writer = self.state.writer.borrow().clone();
        writer
            .map(|writer| AsyncTask::new(Sync(writer)))
            .ok_or_else(|| closed("queue", &self.state.name))
            .or_throw(env)
    }

    /// The pollable descriptor of the consuming side; readable until `get` answered that there is nothing.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with_consumer(|consumer| consumer.fd()).or_throw(env)
    }

    /// The descriptor that is readable when a put that found no room should be tried again.
    #[napi]
    pub fn room_fd(&self, env: &Env) -> Result<i32> {
        self.state.with_producer(|producer| producer.fd()).or_throw(env)
    }

    /// The same for puts with a ticket, and readable when there may be news of a ticket.
    #[napi]
    pub fn ticket_fd(&self, env: &Env) -> Result<i32> {
        self.state.with_asker(|asker| asker.fd()).or_throw(env)
    }

    /// Ends both sides: jobs that are not settled go back, tickets are given up. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        let state = &self.state;
        state.closed.set(true);
        state.ticket.take();
        state.tickets.take();
        state.jobs.take();
        state.producer.take();
        state.asker.take();
        state.consumer.take();
        // A wait for the disk that goes on has it still.
        state.writer.take();
    }
}
