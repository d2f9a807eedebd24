//! A call as its service has it.

use super::body::{Body, Parts};
use super::frame::{FLAG_STREAM, Header, Kind};
use super::serving::{Active, Arrived, Serving};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::Peer;
use crate::status::{Code, Status};
use crate::value::Payload;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A call that waits for its answer. Dropped without one, it fails with `INTERNAL`.
pub struct Request {
    serving: Arc<Serving>,
    active: Arc<Active>,
    body: Body,
    flags: u8,
    answered: bool,
}

impl Request {
    pub(super) fn new(serving: Arc<Serving>, arrived: Arrived) -> Request {
        let Arrived { active, body, flags } = arrived;
        Request { serving, active, body, flags, answered: false }
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        self.body.name()
    }

    /// What the caller sends with it.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Who calls, as far as the kernel tells.
    pub fn caller(&self) -> Peer {
        self.serving.wire.channel.peer()
    }

    /// How long the caller still waits; `None`: as long as it takes.
    pub fn remaining(&self) -> Option<Duration> {
        self.active.deadline.remaining()
    }

    /// Whether the caller takes items of a stream.
    pub fn is_stream(&self) -> bool {
        self.flags & FLAG_STREAM != 0
    }

    /// Its number: no other call that the service has under way has the same.
    pub fn id(&self) -> u64 {
        self.serving.id_of(&self.active)
    }

    /// Whether the caller waits no more: it gave the call up, it is gone, or its time is over. Reads what came meanwhile.
    pub fn is_cancelled(&self) -> bool {
        if !self.active.is_over() {
            self.serving.desk.pump(&self.serving);
        }
        self.active.is_over()
    }

    /// Tells the caller how far it is, from 0 to 1.
    pub fn progress(&self, fraction: f64, note: &str) {
        let value = (fraction.clamp(0.0, 1.0) * 1e6) as u32;
        let header = Header { value, ..Header::new(Kind::Progress, self.active.id) };
        self.serving.push(header, &Parts { meta: Vec::new(), data: note.as_bytes() });
    }

    /// Streams one more item to the caller, waiting until it takes some, up to `timeout`. `Cancelled` when it takes no more.
    pub fn send(&self, payload: Payload<'_>, timeout: Option<Duration>) -> Result<()> {
        if !self.is_stream() {
            let text =
                format!("call of {}: its caller takes no stream; answer it with one result", self.method());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let mut header = Header::new(Kind::Item, self.active.id);
        let parts = Parts::of(payload, &mut header)?;
        let length = payload.data.len() as i64;
        let mut ready = || {
            if self.active.is_over() {
                return Some(false);
            }
            self.active.with(|streams| {
                (streams.credit > 0).then(|| {
                    streams.credit -= length;
                    true
                })
            })
        };
        match self.wait(timeout, &mut ready)? {
            Some(true) if self.serving.push(header, &parts) => Ok(()),
            Some(_) => Err(self.cancelled()),
            None => Err(self.timed_out("its caller takes nothing")),
        }
    }

    /// The next item that the caller streams; `None`: that was all. `Cancelled` when it gave the call up.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Body>> {
        let mut ready = || {
            let next = self.active.with(|streams| match streams.input.pop_front() {
                Some(item) => Some(Ok(Some(item))),
                None if streams.input_ended => Some(Ok(None)),
                None => None,
            });
            next.or_else(|| self.active.is_over().then(|| Err(self.cancelled())))
        };
        let next = self.wait(timeout, &mut ready)?;
        let Some(next) = next else { return Err(self.timed_out("its caller sends nothing")) };
        let item = next?;
        if let Some(item) = &item {
            self.serving.took(&self.active, item.data().len());
        }
        Ok(item)
    }

    fn wait<T>(&self, timeout: Option<Duration>, ready: &mut dyn FnMut() -> Option<T>) -> Result<Option<T>> {
        let deadline = match timeout {
            Some(timeout) => self.active.deadline.within(timeout),
            None => self.active.deadline,
        };
        let waited = self
            .serving
            .wait(&self.active, &deadline, ready, &|arrived| self.serving.desk.stash(&self.serving, arrived));
        match waited {
            Ok(None) if self.active.deadline.passed() => Ok(ready()),
            Err(e) if e.kind() != ErrorKind::Interrupted => Err(self.cancelled()),
            waited => waited,
        }
    }

    /// Answers it. After its time is over that is what its caller is told, however late it looks.
    pub fn reply(mut self, payload: Payload<'_>) -> Result<()> {
        if self.active.deadline.passed() {
            let late = self.late();
            self.answer_failure(late);
            return Ok(());
        }
        let mut header = Header::new(Kind::Reply, self.active.id);
        let parts = Parts::of(payload, &mut header)?;
        let limit = self.serving.wire.channel.max_message();
        if payload.data.len() + parts.meta.len() + super::frame::HEADER > limit {
            let text = format!(
                "the result of {} has {} bytes, the largest message is {limit}: stream it, or raise max_message",
                self.method(),
                payload.data.len()
            );
            self.fail(Status::new(Code::ResourceExhausted, text.clone()));
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        self.answered = true;
        self.serving.answer(&self.active, header, &parts);
        Ok(())
    }

    /// Answers that it failed.
    pub fn fail(mut self, status: Status) {
        self.answer_failure(status);
    }

    /// Answers that the service has no such method.
    pub fn no_such_method(self, methods: &[&str]) {
        let has = if methods.is_empty() { "none".into() } else { methods.join(", ") };
        let (service, method) = (self.serving.desk.name(), self.method());
        let text = format!("service '{service}' has no method '{method}'; it has {has}");
        self.fail(Status::new(Code::Unimplemented, text));
    }

    /// What a caller is told whose time is over, whatever came of its call since.
    #[cold]
    fn late(&self) -> Status {
        let text = format!("the service answered the call of {} after its time was over", self.method());
        Status::new(Code::DeadlineExceeded, text)
    }

    fn answer_failure(&mut self, status: Status) {
        self.answered = true;
        let status = if self.active.deadline.passed() { self.late() } else { status };
        let status = status.with_origin(&self.serving.desk.origin).encode();
        let header = Header::new(Kind::Failure, self.active.id);
        self.serving.answer(&self.active, header, &Parts { meta: Vec::new(), data: &status });
    }

    fn cancelled(&self) -> Error {
        let text = format!("call of {}: its caller waits for it no more", self.method());
        Error::of_call(text.clone(), Status::new(Code::Cancelled, text))
    }

    fn timed_out(&self, why: &str) -> Error {
        Error::new(ErrorKind::Timeout, format!("call of {}: {why}; give it more time", self.method()))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            let text = format!("the service dropped the call of {} without an answer", self.method());
            self.answer_failure(Status::new(Code::Internal, text));
        }
        self.serving.desk.leave();
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?}, {:?})", self.method(), self.body)
    }
}
