//! A service's side of one client: the calls that it has under way.

use super::body::{Body, Parts};
use super::desk::Desk;
use super::frame::{FLAG_INPUT, FLAG_NOTICE, FOREVER, Frame, Header, Kind};
use super::wire::{Waits, Wire};
use super::{WINDOW, Window};
use crate::domain::lock;
use crate::error::{Error, Result};
use crate::mechanisms::channel::Channel;
use crate::sys::clock::Deadline;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Serving {
    pub wire: Wire,
    /// Its token in the service's set of descriptors.
    pub token: u64,
    pub desk: Arc<Desk>,
    /// The calls that are under way, each at the index that its number begins with (the low half).
    calls: Mutex<Vec<Option<Arc<Active>>>>,
    ended: AtomicBool,
}

/// A call that was received and is not answered yet.
pub struct Active {
    pub id: u32,
    pub deadline: Deadline,
    /// The client gave it up, or is gone.
    pub cancelled: AtomicBool,
    /// Nobody waits for its answer; it is done anyway.
    notice: bool,
    streams: Mutex<Streams>,
}

/// What of a call's streams is under way.
pub struct Streams {
    /// Bytes of items that may still be sent.
    pub credit: i64,
    /// What the client streams.
    pub input: VecDeque<Body>,
    /// There is no more of it.
    pub input_ended: bool,
    window: Window,
}

/// A call as it came.
pub struct Arrived {
    pub active: Arc<Active>,
    pub body: Body,
    pub flags: u8,
}

/// What a handler waits for.
struct Awaited<'a, T> {
    serving: &'a Serving,
    ready: &'a mut dyn FnMut() -> Option<T>,
    stash: &'a dyn Fn(Arrived),
}

impl<T> Waits<T> for Awaited<'_, T> {
    fn ready(&mut self) -> Result<Option<T>> {
        Ok((self.ready)())
    }

    fn take(&mut self, message: &[u8]) -> Result<bool> {
        self.serving.dispatch(message)?.into_iter().for_each(self.stash);
        Ok(true)
    }
}

impl Active {
    /// Whether nobody waits for its answer any more.
    pub fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Acquire) || self.deadline.passed()
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Streams) -> T) -> T {
        act(&mut lock(&self.streams))
    }
}

impl Serving {
    pub fn new(channel: Channel, token: u64, desk: Arc<Desk>) -> Serving {
        Serving {
            wire: Wire::new(channel),
            token,
            desk,
            calls: Mutex::default(),
            ended: AtomicBool::new(false),
        }
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The client is gone: its calls are cancelled, and what is sent to it goes nowhere.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let calls = std::mem::take(&mut *lock(&self.calls));
        let waited_for = calls.into_iter().flatten().filter(|active| !active.notice);
        waited_for.for_each(|active| self.give_up(&active));
        self.wire.seat.wake_all();
    }

    /// A frame came; a call is returned, everything else is for one that is under way.
    pub fn dispatch(&self, message: &[u8]) -> Result<Option<Arrived>> {
        let frame = Frame::decode(message)?;
        let Header { kind, call, value, .. } = frame.header;
        match kind {
            Kind::Call => return self.arrive(message, &frame).map(Some),
            Kind::Hello => {
                self.desk.welcome(self, &frame);
                return Ok(None);
            }
            Kind::Refused => {
                self.push(frame.header, &Parts { meta: Vec::new(), data: frame.data });
                return Ok(None);
            }
            _ => {}
        }
        let active = if kind == Kind::Cancel { self.forget(call) } else { self.find(call) };
        // What is answered already may still be written to.
        let Some(active) = active else { return Ok(None) };
        match kind {
            Kind::Cancel => self.give_up(&active),
            Kind::Input => {
                let item = Body::keep(message, &frame)?;
                active.with(|streams| {
                    streams.window.come(item.data().len())?;
                    streams.input.push_back(item);
                    Ok(())
                })?;
            }
            Kind::InputEnd => active.with(|streams| streams.input_ended = true),
            Kind::Credit => active.with(|streams| streams.credit += i64::from(value)),
            _ => {}
        }
        self.desk.note_news(self.id_of(&active));
        self.wire.seat.wake(call);
        Ok(None)
    }

    fn give_up(&self, active: &Active) {
        active.cancelled.store(true, Ordering::Release);
        self.desk.note_given_up(self.id_of(active));
    }

    /// A number that no other call of the service has at the same time.
    pub fn id_of(&self, active: &Active) -> u64 {
        self.token << 32 | u64::from(active.id)
    }

    fn find(&self, call: u32) -> Option<Arc<Active>> {
        lock(&self.calls).get(usize::from(call as u16))?.clone().filter(|active| active.id == call)
    }

    /// A call is over; it, if it was not before.
    #[inline]
    fn forget(&self, call: u32) -> Option<Arc<Active>> {
        let mut calls = lock(&self.calls);
        let place = calls.get_mut(usize::from(call as u16))?;
        place.take_if(|active| active.id == call)
    }

    fn arrive(&self, message: &[u8], frame: &Frame<'_>) -> Result<Arrived> {
        let body = Body::keep(message, frame)?;
        let time = frame.header.value;
        let timeout = (time != FOREVER).then(|| Duration::from_millis(time.into()));
        let streams = Streams {
            credit: WINDOW.into(),
            input: VecDeque::new(),
            input_ended: frame.header.flags & FLAG_INPUT == 0,
            window: Window::default(),
        };
        let active = Arc::new(Active {
            id: frame.header.call,
            deadline: Deadline::after(timeout),
            cancelled: AtomicBool::new(false),
            notice: frame.header.flags & FLAG_NOTICE != 0,
            streams: Mutex::new(streams),
        });
        let mut calls = lock(&self.calls);
        let index = usize::from(active.id as u16);
        if calls.len() <= index {
            calls.resize(index + 1, None);
        }
        calls[index] = Some(active.clone());
        drop(calls);
        Ok(Arrived { active, body, flags: frame.header.flags })
    }

    /// Answers a call, whose client may be gone.
    pub fn answer(&self, active: &Active, header: Header, parts: &Parts<'_>) {
        if self.forget(active.id).is_some() {
            self.push(header, parts);
        }
    }

    /// Sends a frame, or has whoever waits for calls send it when there is room. Whether the client is still there.
    pub fn push(&self, header: Header, parts: &Parts<'_>) -> bool {
        let pushed = self.wire.push(header, parts).is_ok();
        if !pushed {
            self.end();
        } else if self.wire.behind() > 0 {
            self.desk.bell.raise();
        }
        pushed
    }

    /// Waits until `ready` gives something for a call that is under way, reading what comes. Calls that come are `stashed`.
    pub fn wait<T>(
        &self,
        active: &Active,
        deadline: &Deadline,
        ready: &mut dyn FnMut() -> Option<T>,
        stash: &dyn Fn(Arrived),
    ) -> Result<Option<T>> {
        let mut what = Awaited { serving: self, ready, stash };
        self.wire.wait_for(active.id, deadline, &mut what).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: Error) -> Error {
        if error.kind() != crate::error::ErrorKind::Interrupted {
            self.end();
        }
        error
    }

    /// An item of the client's stream was taken.
    pub fn took(&self, active: &Active, bytes: usize) {
        let told = active.with(|streams| streams.window.take(bytes, !streams.input_ended));
        if let Some(value) = told {
            self.push(Header { value, ..Header::new(Kind::Credit, active.id) }, &Parts::NONE);
        }
    }
}
