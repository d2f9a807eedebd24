//! A claim on what becomes of a message.

use std::rc::Rc;
use std::time::Duration;

use axonic::{ErrorKind, Outcome};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::OrThrow;
use crate::queue::State;

/// What a consumer gave as the result of a message.
#[napi(object, object_from_js = false)]
pub struct Answer {
    /// Its bytes; none if the consumer gave none.
    pub data: Buffer,
    /// Their content type's number.
    pub content: u32,
    /// The element type of a tensor.
    pub dtype: Option<String>,
    /// The shape of a tensor.
    pub shape: Option<Vec<f64>>,
}

impl Answer {
    fn new(outcome: &Outcome) -> axonic::Result<Answer> {
        let tensor = outcome.tensor()?;
        Ok(Answer {
            data: outcome.data().into(),
            content: outcome.content() as u32,
            dtype: tensor.as_ref().map(|tensor| tensor.dtype.name().into()),
            shape: tensor.map(|tensor| tensor.shape.iter().map(|n| *n as f64).collect()),
        })
    }
}

/// The native ticket behind the facade's. When that is collected, the claim is given up.
#[napi]
pub struct Ticket {
    pub(crate) state: Rc<State>,
    /// Its place among the queue's tickets.
    pub(crate) place: usize,
}

#[napi]
impl Ticket {
    /// What became of the message; `null`: nothing yet. With `arm`, the descriptor of the queue's tickets is silent
    /// afterwards until there may be news of any of them.
    #[napi]
    pub fn look(&self, env: &Env, arm: bool) -> Result<Option<Answer>> {
        let looked = self.state.with_ticket(self.place, |producer, ticket| {
            if !arm {
                return ticket.try_result();
            }
            match producer.result(ticket, Some(Duration::ZERO)) {
                Ok(outcome) => Ok(Some(outcome)),
                Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
                Err(error) => Err(error),
            }
        });
        let answer = looked.and_then(|outcome| outcome.as_ref().map(Answer::new).transpose());
        answer.or_throw(env)
    }

    /// How far the work is, from 0 to 1.
    #[napi]
    pub fn progress(&self, env: &Env) -> Result<f64> {
        self.state.with_ticket(self.place, |_, ticket| Ok(ticket.progress())).or_throw(env)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.state.forget_ticket(self.place);
    }
}
