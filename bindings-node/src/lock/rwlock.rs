//! A lock that many read, or one writes.

use std::rc::Rc;

use axonic::{LockOptions, SharedLock};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::{LockLine, Pool, Way};
use crate::call::{Call, bind};

static READ: Way<axonic::RwLock> = Way {
    once: axonic::RwLock::try_read,
    waiting: axonic::RwLock::try_read,
    fd: axonic::RwLock::fd,
    timed_out: axonic::RwLock::reading_timed_out,
    put: SharedLock::put_holding,
};

static WRITE: Way<axonic::RwLock> = Way {
    once: axonic::RwLock::try_write,
    waiting: axonic::RwLock::claim_write,
    fd: axonic::RwLock::fd,
    timed_out: axonic::RwLock::writing_timed_out,
    put: SharedLock::put_holding,
};

/// The native readers' and writers' lock behind the facade's.
#[napi]
pub struct RwLock {
    pool: Rc<Pool<axonic::RwLock>>,
}

#[napi]
impl RwLock {
    pub(crate) fn open(domain: &axonic::Domain, name: &str, options: LockOptions) -> axonic::Result<RwLock> {
        let (domain, named) = (domain.clone(), name.to_owned());
        let pool = Pool::new(format!("rwlock '{name}'"), move || domain.rwlock(&named, &options))?;
        Ok(RwLock { pool })
    }

    /// Those who want to read.
    #[napi]
    pub fn readers(&self) -> LockLine {
        LockLine::new(&self.pool, &READ)
    }

    /// Those who want to write.
    #[napi]
    pub fn writers(&self) -> LockLine {
        LockLine::new(&self.pool, &WRITE)
    }

    /// `()`: gives it back, however it was had.
    #[napi(ts_return_type = "() => undefined")]
    pub fn bind_release<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"release", &self.pool, |pool: &Pool<_>, _: &Call| pool.release(axonic::RwLock::unlock))
    }

    /// Gives back what is held and ends it. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        self.pool.shared.close();
    }
}
