//! Waiting for the disk, which may block and so is left to libuv's threads.

use std::sync::Arc;

use axonic::QueueWriter;
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// A core error on its way from a thread, where nothing can be thrown.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// The kind's name.
    pub kind: String,
    /// What happened.
    pub message: String,
}

/// One wait, made by a thread of libuv's. Should the queue be closed meanwhile, that thread ends its writer.
pub struct Sync(pub Arc<QueueWriter>);

impl Task for Sync {
    type Output = axonic::Result<()>;
    type JsValue = Option<Failure>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.0.sync(None))
    }

    fn resolve(&mut self, _: Env, synced: Self::Output) -> Result<Self::JsValue> {
        let failure =
            |error: axonic::Error| Failure { kind: error.kind().name().into(), message: error.to_string() };
        Ok(synced.err().map(failure))
    }
}
