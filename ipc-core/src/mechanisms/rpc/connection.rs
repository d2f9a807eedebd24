//! A client's connection to one provider, and the calls that are under way on it.

use super::body::{Body, Parts};
use super::frame::{Frame, Header, Kind};
use super::wire::{Waits, Wire};
use super::{WINDOW, Window};
use crate::domain::{closed, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::{Channel, Inbound};
use crate::status::{Code, Status};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Epoll;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// The most calls that can be under way on one connection.
const MAX_CALLS: usize = 1 << 16;

pub struct Connection {
    pub wire: Wire,
    /// Tells it from every other of this process.
    pub number: u32,
    /// Whose it is, for texts: `search@1.2.0 of 'worker' (pid 7)`.
    pub provider: String,
    calls: Mutex<Calls>,
    /// Calls that are under way.
    pub load: AtomicU32,
    /// There can be no more.
    ended: AtomicBool,
    /// The descriptors of its client, where an event loop watches them.
    set: OnceLock<Arc<Epoll>>,
}

#[derive(Default)]
struct Calls {
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Why there can be no more.
    ended: Option<End>,
    /// Calls that something came for, since they were last asked for, while somebody asks.
    news: Option<Vec<u32>>,
}

/// How a connection ended.
#[derive(Clone)]
enum End {
    /// Its client was closed.
    Closed,
    /// Its provider is gone, as far as it is known why.
    Gone(String),
}

/// What has come for a call.
#[derive(Default)]
pub struct Slot {
    /// How often the slot was used: what comes late for a call that is over is not taken for another's.
    generation: u16,
    open: bool,
    pub result: Option<Outcome>,
    pub items: VecDeque<Body>,
    pub progress: Option<(f64, String)>,
    /// Bytes that may still be streamed to the service.
    pub credit: i64,
    window: Window,
    /// It is among the news.
    noted: bool,
}

/// The result of a call, as its service gave it.
pub type Outcome = std::result::Result<Body, Status>;

/// No call has this number.
const NONE: u32 = 0;

/// What a frame was about.
enum Came {
    /// No call that is under way.
    Nothing,
    /// This one, which it was kept for.
    For(u32),
    /// The one that is waited for: this is its result, and it is closed.
    Result(Outcome),
}

impl Calls {
    /// The slot is free for another call. What nobody took of it.
    fn close(&mut self, call: u32) -> VecDeque<Body> {
        let slot = &mut self.slots[usize::from(call as u16)];
        slot.open = false;
        slot.result = None;
        self.free.push(call as u16);
        std::mem::take(&mut slot.items)
    }
}

/// What a caller waits for.
struct Awaited<'a, T> {
    connection: &'a Connection,
    call: u32,
    take: &'a mut dyn FnMut(&mut Slot) -> Option<T>,
}

impl<T> Waits<T> for Awaited<'_, T> {
    fn ready(&mut self) -> Result<Option<T>> {
        self.connection.with(self.call, &mut self.take)
    }

    fn take(&mut self, came: &dyn Inbound) -> Result<Option<T>> {
        match self.connection.dispatch(came, NONE)? {
            Came::For(call) if call == self.call => self.ready(),
            _ => Ok(None),
        }
    }
}

/// The same of who waits for the result alone: the call is closed with it.
struct AwaitedResult<'a> {
    connection: &'a Connection,
    call: u32,
}

impl Waits<Outcome> for AwaitedResult<'_> {
    fn ready(&mut self) -> Result<Option<Outcome>> {
        self.connection.result_so_far(self.call)
    }

    fn take(&mut self, came: &dyn Inbound) -> Result<Option<Outcome>> {
        match self.connection.dispatch(came, self.call)? {
            Came::Result(result) => Ok(Some(result)),
            Came::For(call) if call == self.call => self.ready(),
            _ => Ok(None),
        }
    }
}

impl Connection {
    pub fn new(channel: Channel, provider: String) -> Connection {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Connection {
            wire: Wire::new(channel),
            number,
            provider,
            calls: Mutex::default(),
            load: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            set: OnceLock::new(),
        }
    }

    /// Has a set tell of what comes, and from now on of room.
    pub fn watch(&self, set: &Arc<Epoll>) -> Result<()> {
        self.take_news();
        // SAFETY: the channel closes its descriptor itself, which takes it out of the set.
        set.add(unsafe { BorrowedFd::borrow_raw(self.wire.channel.fd()?) }, self.number.into())?;
        let _ = self.set.set(set.clone());
        Ok(())
    }

    pub fn is_watched(&self) -> bool {
        self.set.get().is_some()
    }

    /// Sends a frame, waiting for room.
    #[inline]
    pub fn send(&self, header: Header, name: &[u8], parts: &Parts<'_>, deadline: &Deadline) -> Result<()> {
        self.wire.send(header, name, parts, deadline, &|| self.pump())
    }

    /// Sends a frame, or keeps it until there is room: never waits.
    #[inline]
    pub fn push(&self, header: Header, name: &[u8], parts: &Parts<'_>) -> Result<()> {
        self.wire.push_named(header, name, parts)?;
        if self.wire.behind() > 0 { self.tell_of_room() } else { Ok(()) }
    }

    /// Sees that somebody sends what is kept.
    fn tell_of_room(&self) -> Result<()> {
        if let Some(set) = self.set.get() {
            while self.wire.arm_for_room(set, self.number.into())? {}
        }
        Ok(())
    }

    /// A number that no other call of this process has at the same time.
    pub fn id_of(&self, call: u32) -> u64 {
        u64::from(self.number) << 32 | u64::from(call)
    }

    /// Begins a call: its number.
    pub fn open(&self) -> Result<u32> {
        let mut calls = lock(&self.calls);
        if let Some(end) = &calls.ended {
            return Err(self.not_sent(end));
        }
        let index = match calls.free.pop() {
            Some(index) => index,
            None if calls.slots.len() < MAX_CALLS => {
                calls.slots.push(Slot::default());
                (calls.slots.len() - 1) as u16
            }
            None => {
                let text =
                    format!("{}: {MAX_CALLS} calls are under way, the limit; wait for some", self.provider);
                return Err(Error::new(ErrorKind::LimitReached, text));
            }
        };
        let slot = &mut calls.slots[usize::from(index)];
        let generation = slot.generation.wrapping_add(1).max(1);
        *slot = Slot { generation, open: true, credit: WINDOW.into(), ..Slot::default() };
        self.count(1);
        Ok(u32::from(generation) << 16 | u32::from(index))
    }

    /// The call is over for the caller.
    pub fn close(&self, call: u32) {
        self.close_locked(lock(&self.calls), call);
    }

    fn close_locked(&self, mut calls: MutexGuard<'_, Calls>, call: u32) {
        let dropped = calls.close(call);
        self.count(-1);
        drop(calls);
        drop(dropped);
    }

    /// There are so many calls more, or fewer; done with the calls locked, so that nobody else counts.
    fn count(&self, more: i32) {
        let load = self.load.load(Ordering::Relaxed);
        self.load.store(load.wrapping_add_signed(more), Ordering::Relaxed);
    }

    /// The same together with its result, if that is there.
    #[inline]
    pub fn close_with_result(&self, call: u32) -> Option<Outcome> {
        let mut calls = lock(&self.calls);
        let result = calls.slots[usize::from(call as u16)].result.take()?;
        self.close_locked(calls, call);
        Some(result)
    }

    /// The result if it is there, with which the call is closed. Otherwise items are dropped: who streams them waits until they
    /// are taken, and would never come to its result.
    pub fn result_so_far(&self, call: u32) -> Result<Option<Outcome>> {
        if let Some(result) = self.close_with_result(call) {
            return Ok(Some(result));
        }
        let dropped = self.with(call, |slot| {
            let items = std::mem::take(&mut slot.items);
            (!items.is_empty()).then(|| items.iter().map(Body::weight).sum())
        })?;
        dropped.into_iter().for_each(|bytes| self.took(call, bytes));
        Ok(None)
    }

    /// Looks at what has come for a call, and takes something of it. An error when nothing more can come.
    #[inline]
    pub fn with<T>(&self, call: u32, take: impl FnOnce(&mut Slot) -> Option<T>) -> Result<Option<T>> {
        let mut calls = lock(&self.calls);
        match (take(&mut calls.slots[usize::from(call as u16)]), &calls.ended) {
            (None, Some(end)) => Err(self.cut_off(end)),
            (taken, _) => Ok(taken),
        }
    }

    /// Waits until `take` gives something of what has come for a call. `None`: nothing until the deadline.
    pub fn wait<T>(
        &self,
        call: u32,
        deadline: &Deadline,
        take: &mut dyn FnMut(&mut Slot) -> Option<T>,
    ) -> Result<Option<T>> {
        self.wait_for(call, deadline, &mut Awaited { connection: self, call, take })
    }

    /// Waits for the result of a call, and closes it with that. `None`: nothing until the deadline.
    #[inline]
    pub fn wait_for_result(&self, call: u32, deadline: &Deadline) -> Result<Option<Outcome>> {
        self.wait_for(call, deadline, &mut AwaitedResult { connection: self, call })
    }

    #[inline]
    fn wait_for<T>(&self, call: u32, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        self.wire.wait_for(call, deadline, what).or_else(|e| self.last(e, what))
    }

    /// Nothing more comes: what has come before is there.
    #[cold]
    fn last<T>(&self, error: Error, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        let error = self.end(error);
        match self.is_ended().then(|| what.ready()) {
            Some(Ok(Some(done))) => Ok(Some(done)),
            _ => Err(error),
        }
    }

    /// Takes all that is there, without waiting.
    pub fn pump(&self) -> Result<()> {
        let read = self.wire.channel.try_with(&mut |half| {
            while half.next()? {
                let taken = self.dispatch(&**half, NONE);
                half.release()?;
                taken?;
            }
            half.idle()?;
            Ok(None::<()>)
        });
        read.map(drop).map_err(|e| self.end(e))
    }

    /// The channel failed: every call on it does. The error as the call that found out is told.
    pub fn end(&self, error: Error) -> Error {
        if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Unavailable) {
            return error;
        }
        let kind = error.kind();
        let end = || if kind == ErrorKind::Closed { End::Closed } else { End::Gone(error.message().into()) };
        // What ended it first is why.
        let end = lock(&self.calls).ended.get_or_insert_with(end).clone();
        self.ended.store(true, Ordering::Release);
        self.wire.seat.wake_all();
        if kind == ErrorKind::Forked { error } else { self.cut_off(&end) }
    }

    #[inline(always)]
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    #[cold]
    fn cut_off(&self, end: &End) -> Error {
        self.failed(end, "the call may have been done, or not", false)
    }

    #[cold]
    fn not_sent(&self, end: &End) -> Error {
        self.failed(end, "the call was not sent", true)
    }

    /// The same of a call that was not sent, which may be tried elsewhere.
    #[cold]
    pub fn unsent(&self, error: Error) -> Error {
        let told = self.end(error);
        let end = lock(&self.calls).ended.clone();
        end.map_or(told, |end| self.not_sent(&end))
    }

    fn failed(&self, end: &End, done: &str, retryable: bool) -> Error {
        let End::Gone(why) = end else { return closed(&format!("the client of {}", self.provider)) };
        let text = format!("{}: its provider is gone ({why}); {done}", self.provider);
        Error::of_call(text.clone(), Status::new(Code::Unavailable, text).with_retryable(retryable))
    }

    /// A frame came. Who waits for the result of a call has that closed with it.
    #[inline]
    fn dispatch(&self, came: &dyn Inbound, awaited: u32) -> Result<Came> {
        let frame = Frame::received(came)?;
        let Header { kind, call, value, .. } = frame.header;
        match kind {
            Kind::Refused => {
                self.wire.may_refuse()?;
                self.wire.push(frame.header, &Parts { meta: Vec::new(), data: frame.data })?;
                return Ok(Came::Nothing);
            }
            Kind::Hello | Kind::Welcome | Kind::Call | Kind::Input | Kind::InputEnd | Kind::Cancel => {
                return Err(frame.out_of_place("a service sends what clients do, or greets again"));
            }
            Kind::Item | Kind::Reply | Kind::Failure | Kind::Credit | Kind::Progress => {}
        }
        let mut locked = lock(&self.calls);
        let calls = &mut *locked;
        let Some(slot) = calls.slots.get_mut(usize::from(call as u16)) else { return Ok(Came::Nothing) };
        if !slot.open || u32::from(slot.generation) != call >> 16 || slot.result.is_some() {
            // The caller has given it up.
            return Ok(Came::Nothing);
        }
        match kind {
            Kind::Reply | Kind::Failure => {
                let result = match kind {
                    Kind::Reply => Ok(Body::keep(came.message(), &frame)?),
                    _ => Err(Status::decode(frame.data)),
                };
                if call == awaited {
                    self.close_locked(locked, call);
                    return Ok(Came::Result(result));
                }
                slot.result = Some(result);
            }
            Kind::Item => {
                slot.window.come(came.message().len())?;
                slot.items.push_back(Body::keep(came.message(), &frame)?);
            }
            Kind::Credit => slot.credit = slot.credit.saturating_add(value.into()),
            Kind::Progress => {
                let note = String::from_utf8_lossy(frame.data).into_owned();
                slot.progress = Some((f64::from(value) / 1e6, note));
            }
            // Dealt with above.
            _ => {}
        }
        if let Some(news) = calls.news.as_mut()
            && !std::mem::replace(&mut slot.noted, true)
        {
            news.push(call);
        }
        drop(locked);
        self.wire.seat.wake(call);
        Ok(Came::For(call))
    }

    /// Items of a stream were taken: the service may send as many bytes more, which it is told now and then.
    pub fn took(&self, call: u32, bytes: usize) {
        let told = self.with(call, |slot| slot.window.take(bytes, slot.result.is_none()));
        if let Ok(Some(value)) = told {
            // Should nothing go out any more, whoever waits for what comes is told.
            let _ = self.push(Header { value, ..Header::new(Kind::Credit, call) }, &[], &Parts::NONE);
        }
    }

    /// For who works in an event loop: has the channel's descriptor tell of what comes. Calls that something came for since
    /// the last time; every one that is under way when no more can come.
    pub fn take_news(&self) -> Vec<u32> {
        while self.pump().is_ok() && self.wire.channel.arm().unwrap_or(false) {}
        if let Err(e) = self.tell_of_room() {
            self.end(e);
        }
        if let (true, Some(set)) = (self.is_ended(), self.set.get()) {
            // Its descriptors would be readable for ever.
            self.wire.unwatch(set);
        }
        let mut calls = lock(&self.calls);
        let news = calls.news.replace(Vec::new()).unwrap_or_default();
        news.iter().for_each(|call| calls.slots[usize::from(*call as u16)].noted = false);
        if calls.ended.is_none() {
            return news;
        }
        let open = |(index, slot): (usize, &Slot)| {
            slot.open.then(|| u32::from(slot.generation) << 16 | index as u32)
        };
        calls.slots.iter().enumerate().filter_map(open).collect()
    }
}
