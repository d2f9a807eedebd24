//! A call that is under way, as its caller has it.

use super::body::{Body, Parts};
use super::connection::{Connection, Outcome, Slot};
use super::frame::{FLAG_INPUT, FLAG_STREAM, FOREVER, Header, Kind};
use crate::error::{Error, ErrorKind, Result};
use crate::status::{Code, Status};
use crate::sys::clock::Deadline;
use crate::value::Payload;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How to call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions {
    /// How long it may take, sending included; `None`: until it is done, or its provider is gone. The service is told.
    pub timeout: Option<Duration>,
    /// The caller streams its input with [`Call::send`], beginning after the payload of the call.
    pub input: bool,
    /// The caller takes items that the service streams, with [`Call::next`].
    pub stream: bool,
}

/// A call that is under way. Dropped before it is done, it is given up, and the service is told.
pub struct Call {
    connection: Arc<Connection>,
    id: u32,
    method: Method,
    deadline: Deadline,
    /// Its result was taken, and with it what its connection keeps of it was given up.
    closed: bool,
    /// More input may be sent.
    input: bool,
    /// The service knows of it.
    sent: bool,
}

/// How a method's name begins, for texts, where it costs no memory of its own.
#[derive(Clone, Copy)]
struct Method {
    name: [u8; 31],
    length: u8,
}

impl Method {
    fn new(method: &str) -> Method {
        let mut name = [0; 31];
        let length =
            (0..=method.len().min(name.len())).rev().find(|at| method.is_char_boundary(*at)).unwrap_or(0);
        name[..length].copy_from_slice(&method.as_bytes()[..length]);
        Method { name, length: length as u8 }
    }
}

impl Call {
    /// Sends a call on its way.
    pub(super) fn start(
        connection: Arc<Connection>,
        method: &str,
        payload: Payload<'_>,
        options: &CallOptions,
        deadline: &Deadline,
    ) -> Result<Call> {
        let mut call = Call::open(connection, method, options, deadline)?;
        call.send_call(method, payload, options, true).inspect_err(|_| call.sent = false)?;
        Ok(call)
    }

    /// The same without waiting: what finds no room is kept.
    pub(super) fn try_start(
        connection: Arc<Connection>,
        method: &str,
        payload: Payload<'_>,
        options: &CallOptions,
    ) -> Result<Call> {
        let mut call = Call::open(connection, method, options, &Deadline::after(options.timeout))?;
        call.send_call(method, payload, options, false).inspect_err(|_| call.sent = false)?;
        Ok(call)
    }

    fn open(
        connection: Arc<Connection>,
        method: &str,
        options: &CallOptions,
        deadline: &Deadline,
    ) -> Result<Call> {
        let (id, deadline) = (connection.open()?, *deadline);
        let method = Method::new(method);
        Ok(Call { connection, id, method, deadline, closed: false, input: options.input, sent: true })
    }

    /// Sends it, for which it waits if it may.
    fn send_call(
        &self,
        method: &str,
        payload: Payload<'_>,
        options: &CallOptions,
        may_wait: bool,
    ) -> Result<()> {
        if method.is_empty() || method.len() > u8::MAX.into() {
            let text = format!(
                "method '{}' has a name of {} bytes, 1 to {} are possible",
                self.method(),
                method.len(),
                u8::MAX
            );
            return Err(Error::new(ErrorKind::InvalidName, text));
        }
        let mut header = Header { name: method.len() as u8, ..Header::new(Kind::Call, self.id) };
        header.flags |= if options.input { FLAG_INPUT } else { 0 };
        header.flags |= if options.stream { FLAG_STREAM } else { 0 };
        let parts = Parts::of(payload, &mut header)?;
        // Rounded up: the service never gives up before the caller does.
        let left = self.deadline.remaining();
        header.value =
            left.map_or(FOREVER, |t| t.as_nanos().div_ceil(1_000_000).min(u128::from(FOREVER - 1)) as u32);
        let name = method.as_bytes();
        let sent = match may_wait {
            true => self.connection.send(header, name, &parts, &self.deadline),
            false => self.connection.push(header, name, &parts),
        };
        sent.map_err(|e| self.not_sent(e))
    }

    #[cold]
    fn not_sent(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Disconnected | ErrorKind::Io => self.connection.unsent(error),
            _ => self.cut_off(error),
        }
    }

    /// The same of what follows the call, which may have been done without.
    #[cold]
    fn cut_off(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Disconnected | ErrorKind::Io => self.connection.end(error),
            ErrorKind::Timeout => self.timed_out(),
            _ => error,
        }
    }

    /// The method's name; of a long one, how it begins.
    pub fn method(&self) -> &str {
        std::str::from_utf8(&self.method.name[..self.method.length.into()]).unwrap_or_default()
    }

    /// Its number: no other call that is under way in this process has the same.
    pub fn id(&self) -> u64 {
        self.connection.id_of(self.id)
    }

    /// The result, waiting for it up to `timeout`, or until the call's own time is over (`Timeout`; the call is given up
    /// only in the latter case). Items of a stream that were not taken are dropped.
    pub fn result(&mut self, timeout: Option<Duration>) -> Result<Body> {
        self.check_result()?;
        match self.connection.wait_for_result(self.id, &self.until(timeout))? {
            Some(result) => self.finish(result),
            None => Err(self.out_of_time()),
        }
    }

    /// The result if it is there.
    pub fn try_result(&mut self) -> Result<Option<Body>> {
        self.check_result()?;
        // What came before the end is there.
        let pumped = self.connection.pump();
        match self.connection.result_so_far(self.id)? {
            Some(result) => self.finish(result).map(Some),
            None if self.deadline.passed() => Err(self.out_of_time()),
            None => pumped.map(|()| None),
        }
    }

    /// It is the parent's in a forked child, where nobody may wait for a lock of its.
    fn check_process(&self) -> Result<()> {
        if !self.connection.wire.channel.is_forked() {
            return Ok(());
        }
        let text = format!(
            "call of {} was carried over a fork, and the parent process has it; call anew",
            self.method()
        );
        Err(Error::new(ErrorKind::Forked, text))
    }

    /// A result is taken once.
    fn check_result(&self) -> Result<()> {
        self.check_process()?;
        if !self.closed {
            return Ok(());
        }
        let text = format!("call of {}: its result was taken already", self.method());
        Err(Error::new(ErrorKind::Closed, text))
    }

    /// The next item that the service streams; `None`: that was all. Waits as [`Call::result`] does, whose result the last
    /// item may be followed by.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Body>> {
        let next = self.wait(timeout, &mut take_item)?;
        self.take_next(next)
    }

    /// The same if there is something: `Some(None)`: that was all.
    pub fn try_next(&mut self) -> Result<Option<Option<Body>>> {
        let pumped = self.connection.pump();
        match self.connection.with(self.id, take_item)? {
            None if !self.deadline.passed() => pumped.map(|()| None),
            next => self.take_next(next).map(Some),
        }
    }

    fn take_next(&mut self, next: Option<Next>) -> Result<Option<Body>> {
        match next {
            Some(Next::Item(item)) => {
                self.connection.took(self.id, item.weight());
                Ok(Some(item))
            }
            Some(Next::End) => Ok(None),
            Some(Next::Failed(status)) => Err(self.failed(status)),
            None => Err(self.out_of_time()),
        }
    }

    /// Streams one more item to the service, waiting until it takes some, up to `timeout`.
    pub fn send(&mut self, payload: Payload<'_>, timeout: Option<Duration>) -> Result<()> {
        self.check_input()?;
        let mut header = Header::new(Kind::Input, self.id);
        let parts = Parts::of(payload, &mut header)?;
        let weight = parts.weight() as i64;
        match self.wait(timeout, &mut |slot| take_credit(slot, weight))? {
            // The service has answered without waiting for more: its result tells.
            Some(true) => Ok(()),
            Some(false) => {
                let sent = self.connection.send(header, &[], &parts, &self.deadline);
                self.after_sending(weight, sent)
            }
            None => Err(self.out_of_time()),
        }
    }

    /// What was not sent needs no credit.
    fn after_sending(&self, weight: i64, sent: Result<()>) -> Result<()> {
        sent.map_err(|e| {
            let _ = self.connection.with(self.id, |slot| {
                slot.credit += weight;
                None::<()>
            });
            self.cut_off(e)
        })
    }

    /// The same if the service takes some now, and there is room; whether it was sent.
    pub fn try_send(&mut self, payload: Payload<'_>) -> Result<bool> {
        self.check_input()?;
        self.connection.pump()?;
        let mut header = Header::new(Kind::Input, self.id);
        let parts = Parts::of(payload, &mut header)?;
        let weight = parts.weight() as i64;
        match self.connection.with(self.id, |slot| take_credit(slot, weight))? {
            None if self.deadline.passed() => Err(self.out_of_time()),
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => {
                let sent = self.connection.push(header, &[], &parts);
                self.after_sending(weight, sent).map(|()| true)
            }
        }
    }

    fn check_input(&self) -> Result<()> {
        self.check_process()?;
        if self.input {
            return Ok(());
        }
        let text =
            format!("call of {}: it was begun without input, or its input was finished", self.method());
        Err(Error::new(ErrorKind::InvalidArgument, text))
    }

    /// Says that there is no more input. Never waits: without room for it, it goes out while the result is waited for.
    pub fn finish_input(&mut self) -> Result<()> {
        self.check_process()?;
        if std::mem::take(&mut self.input) {
            let header = Header::new(Kind::InputEnd, self.id);
            self.connection.push(header, &[], &Parts::NONE).map_err(|e| self.cut_off(e))?;
        }
        Ok(())
    }

    /// How far it is, from 0 to 1, with a note, as its service told last.
    pub fn progress(&self) -> Option<(f64, String)> {
        self.check_process().ok()?;
        let _ = self.connection.pump();
        self.connection.with(self.id, |slot| slot.progress.clone()).ok().flatten()
    }

    /// Gives it up; the same as dropping it.
    pub fn cancel(self) {}

    fn wait<T>(
        &self,
        timeout: Option<Duration>,
        take: &mut dyn FnMut(&mut Slot) -> Option<T>,
    ) -> Result<Option<T>> {
        self.check_result()?;
        self.connection.wait(self.id, &self.until(timeout), take)
    }

    fn until(&self, timeout: Option<Duration>) -> Deadline {
        timeout.map_or(self.deadline, |timeout| self.deadline.within(timeout))
    }

    fn finish(&mut self, result: Outcome) -> Result<Body> {
        self.closed = true;
        result.map_err(|status| self.failed(status))
    }

    #[cold]
    fn failed(&self, status: Status) -> Error {
        Error::of_call(format!("call of {} at {}: {status}", self.method(), self.connection.provider), status)
    }

    /// The time to wait, or the call's own, is over.
    #[cold]
    fn out_of_time(&mut self) -> Error {
        if self.deadline.passed() { self.timed_out() } else { self.waited() }
    }

    fn timed_out(&self) -> Error {
        let text = format!(
            "call of {} at {}: no answer in its time; give it more, or see what the provider does",
            self.method(),
            self.connection.provider
        );
        Error::of_call(text.clone(), Status::new(Code::DeadlineExceeded, text))
    }

    fn waited(&self) -> Error {
        let text = format!(
            "call of {} at {}: nothing came yet; wait for it again",
            self.method(),
            self.connection.provider
        );
        Error::new(ErrorKind::Timeout, text)
    }
}

/// Takes what an item of this weight needs, if the service takes some now. Whether the call is over, so that it takes none.
fn take_credit(slot: &mut Slot, weight: i64) -> Option<bool> {
    let over = slot.result.is_some();
    (over || slot.credit > 0).then(|| {
        slot.credit -= weight;
        over
    })
}

/// What comes next in a stream.
enum Next {
    Item(Body),
    End,
    Failed(Status),
}

fn take_item(slot: &mut Slot) -> Option<Next> {
    if let Some(item) = slot.items.pop_front() {
        return Some(Next::Item(item));
    }
    match &slot.result {
        None => None,
        Some(Ok(_)) => Some(Next::End),
        Some(Err(status)) => Some(Next::Failed(status.clone())),
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.closed || self.check_process().is_err() {
            return;
        }
        let open = self.connection.with(self.id, |slot| slot.result.is_none().then_some(()));
        if self.sent && matches!(open, Ok(Some(()))) {
            // Never waits: who gives up must not be held up.
            let _ = self.connection.push(Header::new(Kind::Cancel, self.id), &[], &Parts::NONE);
        }
        self.connection.close(self.id);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?} at {})", self.method(), self.connection.provider)
    }
}
