//! A call as its service has it.

use super::body::{Body, Parts};
use super::frame::{FLAG_ONE, FLAG_STREAM, Header, Kind};
use super::serving::{Active, Arrived, Serving};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::Peer;
use crate::status::{Code, Status};
use crate::value::{Content, Payload};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A call that waits for its answer. Dropped without one, it fails with `INTERNAL`.
pub struct Request {
    serving: Arc<Serving>,
    active: Arc<Active>,
    body: Body,
    flags: u8,
    /// Its handler has said, or shown by an item, that it streams.
    streams: AtomicBool,
    answered: bool,
}

impl Request {
    pub(super) fn new(serving: Arc<Serving>, arrived: Arrived) -> Request {
        let Arrived { active, body, flags } = arrived;
        Request { serving, active, body, flags, streams: AtomicBool::new(false), answered: false }
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

    /// Whether the caller takes items of a stream. Callers over JSON-RPC take that or one result: whatever the method has.
    pub fn is_stream(&self) -> bool {
        self.flags & FLAG_STREAM != 0
    }

    /// Whether what the caller sends is an array of arguments by position: by JSON-RPC. Elsewhere an array is one value.
    pub fn is_by_position(&self) -> bool {
        self.flags & FLAG_ONE != 0 && self.body.data().trim_ascii_start().starts_with(b"[")
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

    /// Tells the caller how far it is, from 0 to 1. Where there is no room for it the next one tells.
    pub fn progress(&self, fraction: f64, note: &str) {
        let value = (fraction.clamp(0.0, 1.0) * 1e6) as u32;
        if !self.active.is_over() {
            self.serving.tell(Header { value, ..Header::new(Kind::Progress, self.active.id) }, note);
        }
    }

    /// Says that the method streams, as its first item does: without items, it is then a stream that has none. A caller that
    /// takes one result is told `INVALID_ARGUMENT` with the reason `stream`, whatever else the call is answered, which the
    /// error has as its status.
    pub fn begin_stream(&self) -> Result<()> {
        self.check_process()?;
        self.streams.store(true, Ordering::Relaxed);
        match self.is_stream() {
            true => Ok(()),
            false => Err(self.no_stream()),
        }
    }

    /// Streams one more item to the caller, waiting until it takes some, up to `timeout`. `Cancelled` when it takes no more; to
    /// who takes one result it fails as [`begin_stream`](Request::begin_stream) does.
    pub fn send(&self, payload: Payload<'_>, timeout: Option<Duration>) -> Result<()> {
        self.begin_stream()?;
        let mut header = Header::new(Kind::Item, self.active.id);
        let parts = Parts::of(payload, &mut header)?;
        let weight = parts.weight() as i64;
        let mut ready = || {
            if self.active.is_over() {
                return Some(false);
            }
            self.active.with(|streams| {
                (streams.credit > 0).then(|| {
                    streams.credit -= weight;
                    true
                })
            })
        };
        match self.wait(timeout, &mut ready)? {
            Some(true) => self.push_item(header, &parts),
            Some(false) => Err(self.cancelled()),
            None => Err(self.timed_out("its caller takes nothing")),
        }
    }

    fn push_item(&self, header: Header, parts: &Parts<'_>) -> Result<()> {
        if let Err(refused) = self.serving.push(header, parts) {
            self.active.with(|streams| streams.credit += parts.weight() as i64);
            return Err(refused);
        }
        if self.serving.is_ended() { Err(self.cancelled()) } else { Ok(()) }
    }

    /// The next item that the caller streams; `None`: that was all. `Cancelled` when it gave the call up.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Body>> {
        self.check_process()?;
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
            self.serving.took(&self.active, item);
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

    /// Answers it; where nothing was streamed, to who takes a stream only, by a stream of that one item. After its time is over
    /// that is what its caller is told, however late it looks.
    pub fn reply(mut self, payload: Payload<'_>) -> Result<()> {
        self.check_process()?;
        if let Some(status) = self.overruled() {
            self.answer_failure(status);
            return Ok(());
        }
        let streams = self.streams.load(Ordering::Relaxed);
        let flags = if streams { FLAG_STREAM } else { 0 };
        let mut header = Header { flags, ..Header::new(Kind::Reply, self.active.id) };
        let parts = Parts::of(payload, &mut header)?;
        if self.is_stream() && !streams && self.flags & FLAG_ONE == 0 {
            return self.reply_item(header, &parts);
        }
        self.answered = true;
        self.serving.answer(&self.active, header, &parts)
    }

    /// Its result is the only item of a stream, whose own result is null.
    fn reply_item(mut self, header: Header, parts: &Parts<'_>) -> Result<()> {
        if !self.active.is_over()
            && let Err(refused) = self.serving.push(Header { kind: Kind::Item, ..header }, parts)
        {
            self.fail(Status::new(Code::ResourceExhausted, refused.message()));
            return Err(refused);
        }
        self.answered = true;
        let end = Header { content: Content::Json, ..Header::new(Kind::Reply, self.active.id) };
        self.serving.answer(&self.active, end, &Parts { meta: Vec::new(), data: b"null" })
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

    /// It is the parent's in a forked child, from which nothing reaches the caller.
    fn check_process(&self) -> Result<()> {
        if !self.serving.wire.channel.is_forked() {
            return Ok(());
        }
        let text = format!(
            "call of {} was carried over a fork, and the parent process has it; answer it there",
            self.method()
        );
        Err(Error::new(ErrorKind::Forked, text))
    }

    /// What the caller is told, whatever its call is answered.
    fn overruled(&self) -> Option<Status> {
        if self.active.deadline.passed() {
            return Some(self.late());
        }
        let is_refused = !self.is_stream() && self.streams.load(Ordering::Relaxed);
        is_refused.then(|| self.not_one())
    }

    /// Of a caller that takes one result, where the method streams.
    #[cold]
    fn not_one(&self) -> Status {
        let text = format!("method '{}' streams its results; call it as a stream", self.method());
        Status::new(Code::InvalidArgument, text).with_reason("stream")
    }

    /// What a caller is told whose time is over, whatever came of its call since.
    #[cold]
    fn late(&self) -> Status {
        let text = format!("the service answered the call of {} after its time was over", self.method());
        Status::new(Code::DeadlineExceeded, text)
    }

    fn answer_failure(&mut self, status: Status) {
        self.answered = true;
        let status = self.overruled().unwrap_or(status);
        let status = status.with_origin(&self.serving.desk.origin).encode();
        let header = Header::new(Kind::Failure, self.active.id);
        // What is too large of it is told to the caller.
        let _ = self.serving.answer(&self.active, header, &Parts { meta: Vec::new(), data: &status });
    }

    #[cold]
    fn no_stream(&self) -> Error {
        let text = format!(
            "call of {}: its caller takes one result, which is no stream; it is told to call it as one",
            self.method()
        );
        Error::of_call(text, self.not_one())
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
        // A forked child has a copy, and of locks that nobody gives back.
        if self.serving.wire.channel.is_forked() {
            return;
        }
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
