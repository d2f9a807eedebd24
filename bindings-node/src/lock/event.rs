//! An event, which nobody has.

use std::rc::Rc;

use axonic::{Acquired, LockOptions, Reset, SharedLock};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::{LockLine, Pool, Way};
use crate::error::OrThrow;

static PASS: Way<axonic::Event> = Way {
    once: attempt,
    waiting: attempt,
    fd: axonic::Event::fd,
    timed_out: axonic::Event::timed_out,
    put: pass,
};

/// The native event behind the facade's.
#[napi]
pub struct Event {
    pool: Rc<Pool<axonic::Event>>,
}

/// It has nothing.
fn pass(events: &SharedLock<axonic::Event>, event: axonic::Event) -> axonic::Result<()> {
    events.put_idle(event);
    Ok(())
}

fn attempt(event: &mut axonic::Event) -> axonic::Result<Option<Acquired>> {
    Ok(event.try_wait()?.then(Acquired::default))
}

#[napi]
impl Event {
    pub(crate) fn open(
        domain: &axonic::Domain,
        name: &str,
        auto_reset: bool,
        options: LockOptions,
    ) -> axonic::Result<Event> {
        let reset = if auto_reset { Reset::Auto } else { Reset::Manual };
        let (domain, named) = (domain.clone(), name.to_owned());
        let pool = Pool::new(format!("event '{name}'"), move || domain.event(&named, reset, &options))?;
        Ok(Event { pool })
    }

    /// Those who wait for it.
    #[napi]
    pub fn line(&self) -> LockLine {
        LockLine::new(&self.pool, &PASS)
    }

    /// Sets it.
    #[napi]
    pub fn set(&self, env: &Env) -> Result<()> {
        self.pool.with_idle(axonic::Event::set).or_throw(env)
    }

    /// Clears it.
    #[napi]
    pub fn clear(&self, env: &Env) -> Result<()> {
        self.pool.with_idle(axonic::Event::clear).or_throw(env)
    }

    /// Whether it is set.
    #[napi]
    pub fn is_set(&self, env: &Env) -> Result<bool> {
        self.pool.with_idle(axonic::Event::is_set).or_throw(env)
    }

    /// Ends it. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        self.pool.shared.close();
    }
}
