//! Waiting for the disk, which may block and so is left to libuv's threads.

use std::sync::Arc;

use axonic::QueueWriter;
use napi::bindgen_prelude::*;

use crate::error::Failure;

/// One wait, made by a thread of libuv's. Should the queue be closed meanwhile, that thread ends its writer.
pub struct Sync(pub Arc<QueueWriter>);

impl Task for Sync {
    type Output = axonic::Result<()>;
    type JsValue = Option<Failure>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.0.sync(None))
    }

    fn resolve(&mut self, _: Env, synced: Self::Output) -> Result<Self::JsValue> {
        Ok(synced.err().map(Failure::from))
    }
}
