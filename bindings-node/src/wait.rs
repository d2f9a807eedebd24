//! Waiting for many things at once.

use std::cell::RefCell;
use std::time::Duration;

use axonic::ErrorKind;
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::OrThrow;
use crate::options;
use crate::publisher::Publisher;
use crate::subscriber::Subscriber;

/// The native wait set behind the facade's. Tokens are the facade's small integers.
#[napi]
pub struct WaitSet {
    set: RefCell<Option<axonic::WaitSet>>,
}

#[napi]
impl WaitSet {
    /// An empty set.
    #[napi(factory)]
    pub fn create(env: &Env) -> Result<WaitSet> {
        Ok(WaitSet { set: RefCell::new(Some(axonic::WaitSet::new().or_throw(env)?)) })
    }

    fn with<T>(&self, body: impl FnOnce(&mut axonic::WaitSet) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.set.borrow_mut().as_mut() {
            Some(set) => body(set),
            None => {
                Err(axonic::Error::new(ErrorKind::Closed, "the wait set is closed; make another to go on"))
            }
        }
    }

    /// Reports `token` while the subscriber has messages.
    #[napi]
    pub fn add_subscriber(&self, env: &Env, subscriber: &Subscriber, token: u32) -> Result<()> {
        self.with(|set| subscriber.with(|subscriber| set.add_subscriber(subscriber, token.into())))
            .or_throw(env)
    }

    /// Reports `token` when a publisher that found no room should try again.
    #[napi]
    pub fn add_publisher(&self, env: &Env, publisher: &Publisher, token: u32) -> Result<()> {
        self.with(|set| publisher.with(|publisher| set.add_publisher(publisher, token.into()))).or_throw(env)
    }

    /// Reports `token` while a foreign descriptor is readable.
    #[napi]
    pub fn add_fd(&self, env: &Env, fd: i32, token: u32) -> Result<()> {
        self.with(|set| set.add_fd(fd, token.into())).or_throw(env)
    }

    /// Reports `token` every `period` milliseconds.
    #[napi]
    pub fn add_timer(&self, env: &Env, period: f64, token: u32) -> Result<()> {
        self.with(|set| set.add_timer(options::duration("the period of a timer", period)?, token.into()))
            .or_throw(env)
    }

    /// Forgets what has this token.
    #[napi]
    pub fn remove(&self, env: &Env, token: u32) -> Result<bool> {
        self.with(|set| Ok(set.remove(token.into()))).or_throw(env)
    }

    /// The tokens that are ready now; never waits.
    #[napi]
    pub fn ready(&self, env: &Env) -> Result<Vec<u32>> {
        let tokens = self.with(|set| set.wait(Some(Duration::ZERO))).or_throw(env)?;
        Ok(tokens.into_iter().map(|token| token as u32).collect())
    }

    /// The pollable descriptor.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.with(|set| Ok(set.fd())).or_throw(env)
    }

    /// Ends the set; a second time does nothing.
    #[napi]
    pub fn close(&self) {
        drop(self.set.borrow_mut().take());
    }
}
