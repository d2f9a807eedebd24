//! A mutex.

use std::rc::Rc;

use axonic::{LockOptions, SharedLock};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::{LockLine, Pool, Way};
use crate::call::{Call, bind};

static LOCK: Way<axonic::Mutex> = Way {
    once: axonic::Mutex::try_lock,
    waiting: axonic::Mutex::try_lock,
    fd: axonic::Mutex::fd,
    timed_out: axonic::Mutex::timed_out,
    put: SharedLock::put_holding,
};

/// The native mutex behind the facade's.
#[napi]
pub struct Mutex {
    pool: Rc<Pool<axonic::Mutex>>,
}

#[napi]
impl Mutex {
    pub(crate) fn open(domain: &axonic::Domain, name: &str, options: LockOptions) -> axonic::Result<Mutex> {
        let (domain, named) = (domain.clone(), name.to_owned());
        let pool = Pool::new(format!("mutex '{name}'"), move || domain.mutex(&named, &options))?;
        Ok(Mutex { pool })
    }

    /// Those who want it.
    #[napi]
    pub fn line(&self) -> LockLine {
        LockLine::new(&self.pool, &LOCK)
    }

    /// `()`: gives it back.
    #[napi(ts_return_type = "() => undefined")]
    pub fn bind_release<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"release", &self.pool, |pool: &Pool<_>, _: &Call| pool.release(axonic::Mutex::unlock))
    }

    /// Whether a task of this thread has it.
    #[napi]
    pub fn locked(&self) -> bool {
        self.pool.shared.holders() > 0
    }

    /// Gives back what is held and ends it. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        self.pool.shared.close();
    }
}
