//! A semaphore. One handle has the permits of all tasks.

use std::rc::Rc;

use axonic::{Acquired, LockOptions, SharedLock};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::{LockLine, Pool, Way};
use crate::call::{Answer, Call, bind};
use crate::error::OrThrow;

static PERMIT: Way<axonic::Semaphore> = Way {
    once: attempt,
    waiting: attempt,
    fd: axonic::Semaphore::fd,
    timed_out: axonic::Semaphore::timed_out,
    put: SharedLock::put_permit,
};

/// The native semaphore behind the facade's.
#[napi]
pub struct Semaphore {
    pool: Rc<Pool<axonic::Semaphore>>,
}

fn attempt(semaphore: &mut axonic::Semaphore) -> axonic::Result<Option<Acquired>> {
    Ok(semaphore.try_acquire()?.then(Acquired::default))
}

#[napi]
impl Semaphore {
    pub(crate) fn open(
        domain: &axonic::Domain,
        name: &str,
        permits: u32,
        options: LockOptions,
    ) -> axonic::Result<Semaphore> {
        let (domain, named) = (domain.clone(), name.to_owned());
        let open = move || domain.semaphore(&named, permits, &options);
        Ok(Semaphore { pool: Pool::new(format!("semaphore '{name}'"), open)? })
    }

    /// Those who want a permit.
    #[napi]
    pub fn line(&self) -> LockLine {
        LockLine::new(&self.pool, &PERMIT)
    }

    /// `()`: gives a permit back.
    #[napi(ts_return_type = "() => undefined")]
    pub fn bind_release<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"release", &self.pool, |pool: &Pool<axonic::Semaphore>, _: &Call| {
            pool.shared.release().map(|()| Answer::Nothing)
        })
    }

    /// How many permits nobody alive has.
    #[napi]
    pub fn available(&self, env: &Env) -> Result<u32> {
        self.pool.with_idle(axonic::Semaphore::available).or_throw(env)
    }

    /// Gives back what is held and ends it. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        self.pool.shared.close();
    }
}
