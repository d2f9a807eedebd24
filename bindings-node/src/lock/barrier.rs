//! A barrier. Each task that waits is a party, with a handle of its own.

use std::cell::RefCell;
use std::rc::Rc;

use axonic::LockOptions;
use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::Pool;
use crate::error::{Failure, OrThrow, closed};
use crate::options;

/// The native barrier behind the facade's.
#[napi]
pub struct Barrier {
    name: String,
    pool: Rc<Pool<axonic::Barrier>>,
}

#[napi]
impl Barrier {
    pub(crate) fn open(
        domain: &axonic::Domain,
        name: &str,
        parties: u32,
        options: LockOptions,
    ) -> axonic::Result<Barrier> {
        let (domain, named) = (domain.clone(), name.to_owned());
        let open = move || domain.barrier(&named, parties, &options);
        Ok(Barrier { name: name.into(), pool: Pool::new(format!("barrier '{name}'"), open)? })
    }

    /// One more party, which has not arrived yet.
    #[napi]
    pub fn party(&self, env: &Env) -> Result<Party> {
        let handle = self.pool.shared.idle().or_throw(env)?;
        Ok(Party { name: self.name.clone(), pool: self.pool.clone(), handle: RefCell::new(Some(handle)) })
    }

    /// How many have arrived and wait.
    #[napi]
    pub fn waiting(&self, env: &Env) -> Result<u32> {
        self.pool.with_idle(axonic::Barrier::waiting).or_throw(env)
    }

    /// Ends it. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        self.pool.shared.close();
    }
}

/// Somebody who waits at a barrier.
#[napi]
pub struct Party {
    name: String,
    pool: Rc<Pool<axonic::Barrier>>,
    handle: RefCell<Option<axonic::Barrier>>,
}

#[napi]
impl Party {
    fn with<R>(&self, env: &Env, body: impl FnOnce(&mut axonic::Barrier) -> axonic::Result<R>) -> Result<R> {
        match &mut *self.handle.borrow_mut() {
            Some(handle) => body(handle),
            None => Err(closed("barrier", &self.name)),
        }
        .or_throw(env)
    }

    /// The descriptor that is readable when it is worth asking again.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.with(env, axonic::Barrier::fd)
    }

    /// Arrives, unless it has; whether it was the last, or (`null`) not all have arrived.
    #[napi]
    pub fn attempt(&self, env: &Env) -> Result<Option<bool>> {
        self.with(env, axonic::Barrier::try_wait)
    }

    /// Takes back that it arrived; `false`: it has not, or all have by now.
    #[napi]
    pub fn withdraw(&self, env: &Env) -> Result<bool> {
        self.with(env, axonic::Barrier::withdraw)
    }

    /// How many have arrived and wait.
    #[napi]
    pub fn waiting(&self, env: &Env) -> Result<u32> {
        self.with(env, axonic::Barrier::waiting)
    }

    /// What is said to one that is out of time.
    #[napi]
    pub fn timed_out(&self, milliseconds: f64) -> Failure {
        let said = match (&*self.handle.borrow(), options::duration("timeout", milliseconds)) {
            (Some(handle), Ok(limit)) => handle.timed_out(Some(limit)),
            (None, _) => closed("barrier", &self.name),
            (_, Err(e)) => e,
        };
        said.into()
    }

    /// Is no party any more.
    #[napi]
    pub fn leave(&self) {
        self.handle.take().into_iter().for_each(|handle| self.pool.shared.put_idle(handle));
    }
}
