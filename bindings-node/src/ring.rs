//! The bare ring: one producer, one consumer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use axonic::ErrorKind;
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::error::{OrThrow, closed, invalid};
use crate::memory::{SHARED, ScratchMemory, View, bytes_of, detach, expose};
use crate::options;

/// How to open a ring; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct RingSettings {
    /// Bytes of the largest message.
    pub capacity: Option<f64>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

impl RingSettings {
    pub(crate) fn options(self) -> axonic::Result<axonic::RingOptions> {
        let mut options = axonic::RingOptions::default();
        if let Some(capacity) = self.capacity {
            options.capacity = options::size("capacity", capacity)?;
        }
        if let Some(wait) = self.wait {
            options.wait = options::wait(&wait)?;
        }
        Ok(options)
    }
}

/// Counters of a ring.
#[napi(object, object_from_js = false)]
pub struct RingStats {
    /// Messages written since the ring was made.
    pub messages: f64,
    /// Times the producer waited for room.
    pub blocked: f64,
    /// Bytes written and not yet released.
    pub pending_bytes: f64,
    /// Messages written and not yet released.
    pub pending_messages: f64,
    /// Times a sleeping consumer was woken.
    pub wakes_sent: f64,
    /// Messages for which the consumer had not to be woken.
    pub wakes_elided: f64,
}

impl From<axonic::RingStats> for RingStats {
    fn from(stats: axonic::RingStats) -> RingStats {
        RingStats {
            messages: stats.messages as f64,
            blocked: stats.blocked as f64,
            pending_bytes: stats.pending_bytes as f64,
            pending_messages: stats.pending_messages as f64,
            wakes_sent: stats.wakes_sent as f64,
            wakes_elided: stats.wakes_elided as f64,
        }
    }
}

struct Producer {
    name: String,
    producer: RefCell<Option<axonic::RingProducer>>,
    /// The reservation under a scoped view, and whether the view shares it.
    reserved: Cell<Option<(*mut u8, usize, bool)>>,
}

impl Producer {
    fn with<T>(
        &self,
        body: impl FnOnce(&mut axonic::RingProducer) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        if self.reserved.get().is_some() {
            let text = format!("ring '{}': a reserve callback is still running; push after it", self.name);
            return Err(axonic::Error::new(ErrorKind::InUse, text));
        }
        match self.producer.borrow_mut().as_mut() {
            Some(producer) => body(producer),
            None => Err(closed("ring producer", &self.name)),
        }
    }
}

/// The native writing end behind the facade's.
#[napi]
pub struct RingProducer {
    state: Rc<Producer>,
}

#[napi]
impl RingProducer {
    pub(crate) fn new(producer: axonic::RingProducer) -> RingProducer {
        let name = producer.name().to_string();
        RingProducer {
            state: Rc::new(Producer {
                name,
                producer: RefCell::new(Some(producer)),
                reserved: Cell::new(None),
            }),
        }
    }

    /// `(view, quiet)`: pushes a view's bytes.
    #[napi(ts_return_type = "(view: NodeJS.ArrayBufferView, quiet: 0 | 1) => false | undefined")]
    pub fn bind_push<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"push", &self.state, |state: &Producer, call: &Call| {
            match state.with(|producer| producer.try_push(call.bytes(0))) {
                Ok(()) => Ok(Answer::Nothing),
                Err(error) if error.kind() == ErrorKind::WouldBlock && call.int(1) != 0 => Ok(Answer::No),
                Err(error) => Err(error),
            }
        })
    }

    /// Reserves `length` bytes in place, as an `ArrayBuffer`.
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn reserve<'env>(&self, env: &'env Env, length: f64) -> Result<Unknown<'env>> {
        let length = options::size("the length", length).or_throw(env)?;
        let state = &self.state;
        let reserve = |producer: &mut axonic::RingProducer| {
            let target = producer.reserve(length, Some(Duration::ZERO)).map_err(|error| {
                if error.kind() != ErrorKind::Timeout {
                    return error;
                }
                let text =
                    format!("ring '{}' has no room now; use pushAsync, which waits for room", state.name);
                axonic::Error::new(ErrorKind::WouldBlock, text)
            })?;
            Ok(target.as_mut_ptr())
        };
        let data = state.with(reserve).or_throw(env)?;
        // SAFETY: the reservation stays ours until it is committed or another is made, which
        // `with` refuses while `reserved` is set; the facade detaches the view first.
        let View { buffer, shared } = unsafe { expose(env, data, length) }?;
        state.reserved.set(Some((data, length, shared)));
        Ok(buffer)
    }

    /// Publishes a reservation and ends its view; without `commit` it is only given up.
    #[napi]
    pub fn finish(
        &self,
        env: &Env,
        #[napi(ts_arg_type = "ArrayBuffer")] buffer: Unknown<'_>,
        commit: bool,
    ) -> Result<()> {
        let reserved = self.state.reserved.take().ok_or_else(|| invalid("nothing is reserved"));
        let (data, length, shared) = reserved.or_throw(env)?;
        if !shared {
            let written = bytes_of(env, &buffer);
            if self.state.producer.borrow().is_some() {
                // SAFETY: the reservation has `length` bytes and its producer is open.
                let target = unsafe { std::slice::from_raw_parts_mut(data, length) };
                let length = written.len().min(length);
                target[..length].copy_from_slice(&written[..length]);
            }
        }
        if !detach(env, &buffer) && shared {
            // Out of reach and writable for ever: the mapping must stay and the ring ends here.
            std::mem::forget(self.state.producer.borrow_mut().take());
            let text = format!(
                "ring '{}': the array of a reservation was transferred away inside its callback; the \
                 producer is closed",
                self.state.name
            );
            return Err(invalid(text)).or_throw(env);
        }
        if commit { self.state.with(|producer| producer.commit(length)).or_throw(env) } else { Ok(()) }
    }

    /// The descriptor that is readable when a push that found no room should be tried again.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|producer| producer.fd()).or_throw(env)
    }

    /// Counters.
    #[napi]
    pub fn stats(&self, env: &Env) -> Result<RingStats> {
        self.state.with(|producer| Ok(producer.stats().into())).or_throw(env)
    }

    /// Whether a reserve callback is still running.
    #[napi]
    pub fn in_use(&self) -> bool {
        self.state.reserved.get().is_some()
    }

    /// Ends the producer; a second time does nothing.
    #[napi]
    pub fn close(&self, env: &Env) -> Result<()> {
        if self.state.reserved.get().is_some() {
            let text =
                format!("ring '{}': a reserve callback is still running; close after it", self.state.name);
            return Err(axonic::Error::new(ErrorKind::InUse, text)).or_throw(env);
        }
        drop(self.state.producer.borrow_mut().take());
        Ok(())
    }
}

struct Consumer {
    name: String,
    consumer: RefCell<Option<axonic::RingConsumer>>,
    /// The message announced and not fetched yet, in place in the ring.
    held: Cell<Option<(*const u8, usize)>>,
    /// Whether a scoped view shows it.
    viewed: Cell<bool>,
    scratch: Rc<ScratchMemory>,
}

impl Consumer {
    fn with<T>(
        &self,
        body: impl FnOnce(&mut axonic::RingConsumer) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        if self.viewed.get() {
            let text = format!("ring '{}': a borrow callback is still running; go on after it", self.name);
            return Err(axonic::Error::new(ErrorKind::InUse, text));
        }
        match self.consumer.borrow_mut().as_mut() {
            Some(consumer) => body(consumer),
            None => Err(closed("ring consumer", &self.name)),
        }
    }

    /// The next message in place; it stays until [`Consumer::release`].
    fn next(&self) -> axonic::Result<Option<(*const u8, usize)>> {
        if let Some(held) = self.held.get() {
            return self.with(|_| Ok(Some(held)));
        }
        let next = self.with(|consumer| Ok(consumer.try_pop()?.map(|data| (data.as_ptr(), data.len()))))?;
        self.held.set(next);
        Ok(next)
    }

    fn release(&self) -> axonic::Result<()> {
        self.held.set(None);
        self.with(|consumer| consumer.release())
    }

    /// Copies the next message to the front of `target` and releases it; -1 when there is none.
    /// One that does not fit stays, and its length is answered.
    fn pop(&self, target: &mut [u8]) -> axonic::Result<Answer> {
        let Some((data, length)) = self.next()? else { return Ok(Answer::Int(-1)) };
        if let Some(target) = target.get_mut(..length) {
            // SAFETY: `next` keeps the message in place until it is released below; the slice behind
            // it was never null.
            target.copy_from_slice(unsafe { std::slice::from_raw_parts(data, length) });
            self.release()?;
        }
        Ok(Answer::Int(length as i64))
    }
}

/// The native reading end behind the facade's.
#[napi]
pub struct RingConsumer {
    state: Rc<Consumer>,
}

#[napi]
impl RingConsumer {
    pub(crate) fn new(consumer: axonic::RingConsumer, scratch: &Rc<ScratchMemory>) -> RingConsumer {
        let name = consumer.name().to_string();
        RingConsumer {
            state: Rc::new(Consumer {
                name,
                consumer: RefCell::new(Some(consumer)),
                held: Cell::new(None),
                viewed: Cell::new(false),
                scratch: scratch.clone(),
            }),
        }
    }

    /// `()`: the next message into the scratch; answers its length, or -1. One longer than the
    /// scratch stays for `popInto`.
    #[napi(ts_return_type = "() => number")]
    pub fn bind_pop<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"pop", &self.state, |state: &Consumer, _: &Call| state.pop(state.scratch.bytes()))
    }

    /// `(view)`: the next message into a view; answers its length, or -1. One longer than the view
    /// stays for a larger one.
    #[napi(ts_return_type = "(view: NodeJS.ArrayBufferView) => number")]
    pub fn bind_pop_into<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"popInto", &self.state, |state: &Consumer, call: &Call| state.pop(call.bytes_mut(0)))
    }

    /// The next message in place, as an `ArrayBuffer`; `null` when there is none.
    #[napi(ts_return_type = "ArrayBuffer | null")]
    pub fn borrow<'env>(&self, env: &'env Env) -> Result<Option<Unknown<'env>>> {
        let Some((data, length)) = self.state.next().or_throw(env)? else { return Ok(None) };
        // SAFETY: the message stays in place until it is released, which `viewed` delays until the
        // facade has detached the view; consumers map the ring read-only.
        let View { buffer, shared } = unsafe { expose(env, data.cast_mut(), length) }?;
        self.state.viewed.set(true);
        self.state.scratch.row(0)[SHARED] = f64::from(u8::from(shared));
        Ok(Some(buffer))
    }

    /// Ends a view and gives the message's room back.
    #[napi]
    pub fn finish(
        &self,
        env: &Env,
        #[napi(ts_arg_type = "ArrayBuffer")] buffer: Unknown<'_>,
        shared: bool,
    ) -> Result<()> {
        self.state.viewed.set(false);
        if !detach(env, &buffer) && shared {
            // Still readable out of reach: the mapping must stay, so the consumer is never dropped.
            std::mem::forget(self.state.consumer.borrow_mut().take());
            self.state.held.set(None);
            let text = format!(
                "ring '{}': the array of a message was transferred away inside its callback; the consumer \
                 is closed",
                self.state.name
            );
            return Err(invalid(text)).or_throw(env);
        }
        self.state.release().or_throw(env)
    }

    /// The pollable descriptor; readable until a call answered that there is nothing.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|consumer| consumer.fd()).or_throw(env)
    }

    /// Counters.
    #[napi]
    pub fn stats(&self, env: &Env) -> Result<RingStats> {
        self.state.with(|consumer| Ok(consumer.stats().into())).or_throw(env)
    }

    /// Whether a borrow callback is still running.
    #[napi]
    pub fn in_use(&self) -> bool {
        self.state.viewed.get()
    }

    /// Ends the consumer; a second time does nothing.
    #[napi]
    pub fn close(&self, env: &Env) -> Result<()> {
        if self.state.viewed.get() {
            let text =
                format!("ring '{}': a borrow callback is still running; close after it", self.state.name);
            return Err(axonic::Error::new(ErrorKind::InUse, text)).or_throw(env);
        }
        self.state.held.set(None);
        drop(self.state.consumer.borrow_mut().take());
        Ok(())
    }
}
