//! What a consumer does with a message it has: calls of the native queue by the job's number.

use std::time::Duration;

use axonic::{Delivery, Error};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::content::{PayloadParts, flatten};
use crate::error::{OrThrow, closed};
use crate::memory::{CONTENT, LENGTH, MISSED, SEQUENCE, SHARED, SOURCE, TICKET};
use crate::options;
use crate::queue::{Queue, State};

// Of a job the row of the table says, in places that messages of topics use for what jobs have not:
/// its priority,
const PRIORITY: usize = SOURCE;
/// the number of its delivery,
const ATTEMPT: usize = MISSED;
/// and its token's halves.
const TOKEN_LOW: usize = SEQUENCE;
/// See [`TOKEN_LOW`].
const TOKEN_HIGH: usize = SHARED;

/// The job's bytes are not in the scratch: `take` fetches them.
const HELD: u32 = 256;
/// The job has attributes.
const ATTRIBUTES: u32 = 512;

impl State {
    /// Writes what is known about a job into row 0, and its bytes into the scratch if they fit.
    fn announce(&self, delivery: Delivery) -> axonic::Result<Answer> {
        let (row, bytes) = (self.scratch.row(0), self.scratch.bytes());
        let (data, token) = (delivery.data(), delivery.token());
        let mut flags = 0;
        match bytes.get_mut(..data.len()) {
            Some(target) => target.copy_from_slice(data),
            None => flags |= HELD,
        }
        if !delivery.attributes()?.is_empty() {
            flags |= ATTRIBUTES;
        }
        if let Some(tensor) = delivery.tensor()? {
            self.scratch.put_tensor(0, &tensor);
        }
        row[LENGTH] = data.len() as f64;
        row[CONTENT] = f64::from(delivery.content() as u32 | flags);
        row[PRIORITY] = f64::from(delivery.priority());
        row[ATTEMPT] = f64::from(delivery.attempt());
        row[TOKEN_LOW] = f64::from(token as u32);
        row[TOKEN_HIGH] = f64::from((token >> 32) as u32);
        let number = self.jobs.borrow_mut().add(delivery);
        row[TICKET] = number as f64;
        Ok(Answer::Int(1))
    }

    fn get(&self, lease: f64) -> axonic::Result<Answer> {
        let lease = if lease < 0.0 { None } else { Some(options::duration("lease", lease)?) };
        // Whoever waits for the disk does so afterwards, elsewhere.
        let get = axonic::Get { lease, durable: Some(false) };
        match self.with_consumer(|consumer| consumer.try_get_with(&get))? {
            Some(delivery) => self.announce(delivery),
            None => Ok(Answer::Int(0)),
        }
    }

    fn is_gone(&self) -> Error {
        closed("job of queue", &self.name)
    }

    fn remove(&self, number: usize) -> axonic::Result<Delivery> {
        self.jobs.borrow_mut().remove(number).ok_or_else(|| self.is_gone())
    }

    fn touch<T>(
        &self,
        number: u32,
        body: impl FnOnce(&mut Delivery) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.jobs.borrow_mut().get(number as usize).ok_or_else(|| self.is_gone()).and_then(body)
    }
}

#[napi]
impl Queue {
    /// `(lease)`: takes the next message for so many milliseconds, or (-1) without an end; row 0 of the table says what
    /// it is. 0: there is none.
    #[napi(ts_return_type = "(lease: number) => number")]
    pub fn bind_get<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"get", &self.state, |state: &State, call: &Call| state.get(call.number(0)))
    }

    /// `(number, view)`: fetches a job's bytes into a view of their length.
    #[napi(ts_return_type = "(number: number, view: Uint8Array) => undefined")]
    pub fn bind_take<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"take", &self.state, |state: &State, call: &Call| {
            state.touch(call.int(0) as u32, |delivery| {
                call.bytes_mut(1).copy_from_slice(delivery.data());
                Ok(Answer::Nothing)
            })
        })
    }

    /// `(number)`: a job is done with.
    #[napi(ts_return_type = "(number: number) => undefined")]
    pub fn bind_ack<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"ack", &self.state, |state: &State, call: &Call| {
            state.remove(call.int(0) as usize)?.ack().map(|()| Answer::Nothing)
        })
    }

    /// The attributes of a job: name, value, name, value.
    #[napi]
    pub fn attributes(&self, env: &Env, number: u32) -> Result<Vec<String>> {
        self.state.touch(number, |delivery| Ok(flatten(&delivery.attributes()?))).or_throw(env)
    }

    /// A job is done with; `data` is what its producer gets that waits for it.
    #[napi]
    pub fn finish(&self, env: &Env, number: u32, data: &[u8], parts: PayloadParts) -> Result<()> {
        let parts = parts.parse().or_throw(env)?;
        let delivery = self.state.remove(number as usize).or_throw(env)?;
        delivery.ack_with(&parts.payload(data)).or_throw(env)
    }

    /// Gives a job back, for after so many milliseconds.
    #[napi]
    pub fn give_back(&self, env: &Env, number: u32, delay: f64) -> Result<()> {
        let delay = options::duration("delay", delay).or_throw(env)?;
        self.state.remove(number as usize).and_then(|delivery| delivery.nack(delay)).or_throw(env)
    }

    /// Nobody is to get a job any more.
    #[napi]
    pub fn reject(&self, env: &Env, number: u32, reason: String) -> Result<()> {
        self.state.remove(number as usize).and_then(|delivery| delivery.reject(&reason)).or_throw(env)
    }

    /// From now on a job is this consumer's for so many milliseconds.
    #[napi]
    pub fn extend(&self, env: &Env, number: u32, lease: f64) -> Result<()> {
        let lease: Duration = options::duration("lease", lease).or_throw(env)?;
        self.state.touch(number, |delivery| delivery.extend(lease)).or_throw(env)
    }

    /// Tells how far the work on a job is.
    #[napi]
    pub fn progress(&self, env: &Env, number: u32, done: f64) -> Result<()> {
        self.state.touch(number, |delivery| delivery.progress(done)).or_throw(env)
    }
}
