//! Waiting for the disk, which may block and so is left to libuv's threads.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::closed;

/// The disk of one queue: a handle of its own, which one thread at a time has.
pub struct Disk {
    domain: axonic::Domain,
    name: String,
    options: axonic::QueueOptions,
    /// Opened by the first wait.
    producer: Mutex<Option<axonic::QueueProducer>>,
    closed: AtomicBool,
}

impl Disk {
    pub fn new(domain: &axonic::Domain, name: &str, options: &axonic::QueueOptions) -> Arc<Disk> {
        Arc::new(Disk {
            domain: domain.clone(),
            name: name.into(),
            options: options.clone(),
            producer: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Waits until everything that was put and settled before is on the disk.
    fn sync(&self) -> axonic::Result<()> {
        let synced = self.sync_open();
        // Whoever closed it meanwhile did not wait for us.
        if self.closed.load(SeqCst) {
            drop(self.producer.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        synced
    }

    fn sync_open(&self) -> axonic::Result<()> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(SeqCst) {
            return Err(closed("queue", &self.name));
        }
        let producer = match &mut *producer {
            Some(producer) => producer,
            none => none.insert(self.domain.queue_producer(&self.name, &self.options)?),
        };
        producer.sync(None)
    }

    /// Ends it; a sync under way is finished.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        // Taken: the thread that has it sees to that when it is done.
        if let Ok(mut producer) = self.producer.try_lock() {
            drop(producer.take());
        }
    }
}

/// A core error on its way from a thread, where nothing can be thrown.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// The kind's name.
    pub kind: String,
    /// What happened.
    pub message: String,
}

/// One sync, done by a thread of libuv's.
pub struct Sync(pub Arc<Disk>);

impl Task for Sync {
    type Output = axonic::Result<()>;
    type JsValue = Option<Failure>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.0.sync())
    }

    fn resolve(&mut self, _: Env, synced: Self::Output) -> Result<Self::JsValue> {
        let failure =
            |error: axonic::Error| Failure { kind: error.kind().name().into(), message: error.to_string() };
        Ok(synced.err().map(failure))
    }
}
