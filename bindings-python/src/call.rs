//! A call that is under way, as its caller has it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axonic::{Body, Call, Client, Error, ErrorKind};
use pyo3::prelude::*;

use crate::domain::leave;
use crate::error::{OrRaise, raise};
use crate::gate::{closed, limit};
use crate::log::deliver;
use crate::message::lock;
use crate::rpc::{decoded, is_not_yet};
use crate::shared::Shared;
use crate::value::{self, Manner, Outgoing};

/// A call that is under way. Made by `Client.start` and `Client.stream`; iterating takes what it streams.
///
/// Given up, or forgotten before it is done, its service is told. One thread uses it at a time.
#[pyclass(frozen, weakref, name = "Call", module = "axonic")]
pub struct PyCall {
    state: Mutex<State>,
    client: Arc<Shared<Client>>,
    method: String,
    id: u64,
}

enum State {
    Here(Box<Call>),
    /// A thread uses it.
    Away,
    /// It was given up.
    Over,
}

impl PyCall {
    pub fn new(call: Call, client: &Arc<Shared<Client>>) -> PyCall {
        let (method, id) = (call.method().to_owned(), call.id());
        PyCall { state: Mutex::new(State::Here(Box::new(call))), client: client.clone(), method, id }
    }

    fn what(&self) -> String {
        format!("call of {}", self.method)
    }

    /// Does something with the core's call, which no other thread can use meanwhile.
    fn using<R>(&self, py: Python<'_>, act: impl FnOnce(&mut Call) -> PyResult<R>) -> PyResult<R> {
        let taken = {
            let mut state = lock(&self.state);
            match std::mem::replace(&mut *state, State::Away) {
                State::Here(call) => Ok(call),
                State::Away => Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "{}: another thread waits for it; wait there, or make a call of your own",
                        self.what()
                    ),
                )),
                State::Over => {
                    *state = State::Over;
                    Err(closed(&self.what()))
                }
            }
        };
        let mut call = taken.or_raise(py)?;
        let done = act(&mut call);
        *lock(&self.state) = State::Here(call);
        done
    }

    fn try_with<R>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Call) -> axonic::Result<Option<R>>,
    ) -> PyResult<Option<R>> {
        let done = self.using(py, |call| act(call).or_raise(py));
        deliver(py);
        done
    }

    /// What comes next of a stream, waiting up to `timeout`.
    fn wait_next(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Body>> {
        self.using(py, |call| {
            match call.try_next() {
                Ok(None) => {}
                Ok(Some(next)) => return Ok(next),
                Err(error) => return Err(raise(py, error)),
            }
            self.client.wait_reading(py, |_| call.next(timeout))
        })
    }

    fn encode<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Outgoing<'py>> {
        let manner =
            Manner { what: self.client.what(), verb: "send", kind: None, content: None, attributes: None };
        value::encode(value, manner)
    }
}

#[pymethods]
impl PyCall {
    /// The method's name.
    #[getter]
    fn method(&self) -> &str {
        &self.method
    }

    /// No other call that is under way in this process has the same.
    #[getter]
    fn _id(&self) -> u64 {
        self.id
    }

    /// Waits up to `timeout` seconds, or until the call's own time is over, for its result; once.
    #[pyo3(signature = (timeout = None))]
    fn result<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = limit(py, timeout)?;
        let body = self.using(py, |call| self.client.wait_reading(py, |_| call.result(timeout)))?;
        decoded(py, &body)
    }

    /// How far it is, from 0 to 1, with a note, as its service told last; None if it did not.
    #[getter]
    fn progress(&self, py: Python<'_>) -> PyResult<Option<(f64, String)>> {
        self.try_with(py, |call| Ok(call.progress()))
    }

    /// The result in a tuple, if it is there, else None.
    fn _try_result<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let result = self.try_with(py, Call::try_result)?;
        result.map(|body| Ok((decoded(py, &body)?,))).transpose()
    }

    /// The next item of a stream in a list, if it is there, else None; an empty list: that was all.
    fn _try_next<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let next = self.try_with(py, Call::try_next)?;
        next.map(|item| item.map(|body| decoded(py, &body)).transpose().map(Vec::from_iter)).transpose()
    }

    /// The same, waiting up to `timeout` seconds.
    fn _next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let timeout = limit(py, Some(timeout))?;
        let next = self.using(py, |call| {
            self.client.wait_reading(py, |_| match call.next(timeout) {
                Err(error) if is_not_yet(&error) => Ok(None),
                next => next.map(Some),
            })
        })?;
        next.map(|item| item.map(|body| decoded(py, &body)).transpose().map(Vec::from_iter)).transpose()
    }

    /// Streams one more item to the service, waiting until it takes some.
    fn _send(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let outgoing = self.encode(item)?;
        let payload = outgoing.payload();
        self.using(py, |call| {
            match call.try_send(payload) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) => return Err(raise(py, error)),
            }
            self.client.wait(py, |_| call.send(payload, None))
        })
    }

    /// The same without waiting; whether it was sent.
    fn _try_send(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let outgoing = self.encode(item)?;
        let sent = self.try_with(py, |call| call.try_send(outgoing.payload()).map(Some))?;
        Ok(sent == Some(true))
    }

    /// Says that there is no more input.
    fn _finish_input(&self, py: Python<'_>) -> PyResult<()> {
        self.try_with(py, |call| call.finish_input().map(Some)).map(drop)
    }

    /// Gives it up; its service is told. Does nothing when it is done.
    fn cancel(&self, py: Python<'_>) {
        let mut state = lock(&self.state);
        let taken = match &*state {
            // Whoever uses it would lay it back.
            State::Away => return,
            _ => std::mem::replace(&mut *state, State::Over),
        };
        drop(state);
        drop(taken);
        deliver(py);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc_value, traceback);
        self.cancel(py);
        leave(exc_type, Ok(()))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = self.wait_next(py, None)?;
        next.map(|body| decoded(py, &body)).transpose()
    }

    fn __repr__(&self) -> String {
        let state = match &*lock(&self.state) {
            State::Over => ", over",
            _ => "",
        };
        format!("<axonic.Call of {:?} by {}{state}>", self.method, self.client.what())
    }
}
