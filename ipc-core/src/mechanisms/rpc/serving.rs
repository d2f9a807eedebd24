//! A service's side of one client: the calls that it has under way.

use super::body::{Body, Parts};
use super::desk::Desk;
use super::frame::{FLAG_INPUT, FLAG_NOTICE, FOREVER, Frame, Header, Kind};
use super::wire::{MOST_BEHIND, Waits, Wire};
use super::{WINDOW, Window};
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::{Channel, Inbound};
use crate::status::{Code, Status};
use crate::sys::clock::Deadline;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Serving {
    pub wire: Wire,
    /// Its token in the service's set of descriptors.
    pub token: u64,
    pub desk: Arc<Desk>,
    /// The service's set of descriptors tells of what comes from it.
    pub watched: AtomicBool,
    /// Looking whether something came takes a system call, and so is done only when the set has told.
    is_dear: bool,
    /// The set has told, since nothing was found.
    told: AtomicBool,
    /// The calls that are under way, each at the index that its number begins with (the low half). One that is over stays for
    /// the next to use its memory, unless it may have been sent a stream.
    calls: Mutex<Vec<Option<Arc<Active>>>>,
    /// The first of its calls that found no room in the backlog: nothing behind it is read, but all that came before it was.
    parked: Mutex<Option<Arrived>>,
    has_parked: AtomicBool,
    /// It has said what it wants.
    greeted: AtomicBool,
    ended: AtomicBool,
    /// It has the other ends of two descriptors, and nobody comes after it.
    pub is_only: bool,
    /// It asks for nothing more, and hears what it has asked for.
    finishing: AtomicBool,
    /// Threads that answer it: a call is over before its answer is sent or kept. Counted only where somebody may be finishing.
    answering: AtomicUsize,
}

/// A call that was received and is not answered yet.
pub struct Active {
    pub id: u32,
    pub deadline: Deadline,
    /// The client gave it up, or is gone.
    pub cancelled: AtomicBool,
    /// It is answered or given up: its place in the table is free.
    over: AtomicBool,
    /// The client may stream to it.
    has_input: bool,
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

    fn take(&mut self, came: &dyn Inbound) -> Result<Option<T>> {
        self.serving.dispatch(came)?.into_iter().for_each(self.stash);
        self.ready()
    }

    fn may_read(&self) -> bool {
        !self.serving.is_behind()
    }

    fn is_left(&self) -> bool {
        self.serving.is_left()
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
    pub fn new(channel: Channel, token: u64, desk: Arc<Desk>, is_only: bool) -> Serving {
        Serving {
            is_dear: channel.is_dear(),
            told: AtomicBool::new(true),
            wire: Wire::new(channel),
            token,
            desk,
            watched: AtomicBool::new(true),
            calls: Mutex::default(),
            parked: Mutex::default(),
            has_parked: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            is_only,
            finishing: AtomicBool::new(false),
            answering: AtomicUsize::new(0),
        }
    }

    /// Whether something may have come.
    #[inline(always)]
    pub fn is_told(&self) -> bool {
        !self.is_dear || self.told.load(Ordering::Relaxed)
    }

    pub fn tell_of(&self, something: bool) {
        self.told.store(something, Ordering::Relaxed);
    }

    pub fn is_dear(&self) -> bool {
        self.is_dear
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Nothing can be read from the client any more. At the end of a pipe it is told what it has asked for, as long as it
    /// listens; everywhere else it is gone.
    pub fn lose(&self, error: &Error) {
        if self.is_only && error.kind() == ErrorKind::Disconnected {
            self.finishing.store(true, Ordering::Release);
            // Whoever answers meanwhile counts itself out, and then looks whether this is so: one of the two sees the other.
            fence(Ordering::SeqCst);
            self.finish();
        } else {
            self.end();
        }
    }

    /// Whether it is gone, as can be told without reading what it left.
    pub fn is_left(&self) -> bool {
        match self.is_only {
            true => !self.wire.channel.is_heard(),
            false => self.wire.channel.is_left(),
        }
    }

    /// Whether it asks for nothing more, and waits for what it has asked for.
    pub fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire) && !self.is_ended()
    }

    /// Ends what is finishing once there is nothing left to tell, or nobody to hear it.
    pub fn finish(&self) {
        let under_way =
            || lock(&self.calls).iter().flatten().any(|active| !active.over.load(Ordering::Acquire));
        let answering = || self.answering.load(Ordering::Acquire) > 0;
        // In this order: an answer leaves what is under way for what is being answered, and that for what is kept.
        let told = || !under_way() && !answering() && self.wire.behind() == 0;
        if !self.wire.channel.is_heard() || told() {
            self.end();
        }
    }

    /// The client is gone: its calls are cancelled, and what is sent to it goes nowhere.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let calls = std::mem::take(&mut *lock(&self.calls));
        let under_way =
            calls.into_iter().flatten().filter(|active| !active.over.swap(true, Ordering::AcqRel));
        under_way.filter(|active| !active.notice).for_each(|active| self.give_up(&active));
        self.wire.seat.wake_all();
    }

    /// A frame came; a call is returned, everything else is for one that is under way.
    pub fn dispatch(&self, came: &dyn Inbound) -> Result<Option<Arrived>> {
        let frame = Frame::received(came)?;
        let Header { kind, call, value, .. } = frame.header;
        match kind {
            Kind::Call => return self.arrive(came.message(), &frame).map(Some),
            Kind::Hello if self.greeted.swap(true, Ordering::AcqRel) => {
                return Err(frame.out_of_place("a client says twice what it wants"));
            }
            Kind::Hello => {
                self.desk.welcome(self, &frame);
                return Ok(None);
            }
            Kind::Refused => {
                self.push(frame.header, &Parts { meta: Vec::new(), data: frame.data })?;
                return Ok(None);
            }
            Kind::Welcome | Kind::Item | Kind::Reply | Kind::Failure | Kind::Progress => {
                return Err(frame.out_of_place("a client sends what services do"));
            }
            Kind::Input | Kind::InputEnd | Kind::Cancel | Kind::Credit => {}
        }
        // What is answered already may still be written to.
        let Some(active) = self.find(call) else { return Ok(None) };
        match kind {
            Kind::Cancel if self.is_first_over(&active) => self.give_up(&active),
            Kind::Input => {
                let item = Body::keep(came.message(), &frame)?;
                active.with(|streams| {
                    if streams.input_ended {
                        return Err(frame.out_of_place("a client streams that has said there is no more"));
                    }
                    streams.window.come(item.weight())?;
                    streams.input.push_back(item);
                    Ok(())
                })?;
            }
            Kind::InputEnd => active.with(|streams| streams.input_ended = true),
            Kind::Credit => {
                active.with(|streams| streams.credit = streams.credit.saturating_add(value.into()))
            }
            // Dealt with above.
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
        let calls = lock(&self.calls);
        let active = calls.get(usize::from(call as u16))?.as_ref()?;
        (active.id == call && !active.over.load(Ordering::Acquire)).then(|| active.clone())
    }

    /// A call is over; whether it was not before.
    #[inline]
    fn is_first_over(&self, active: &Active) -> bool {
        let first = !active.over.swap(true, Ordering::AcqRel);
        if first && active.has_input {
            // With what nobody took of it.
            let dropped = lock(&self.calls)
                .get_mut(usize::from(active.id as u16))
                .and_then(|place| place.take_if(|active_there| active_there.id == active.id));
            drop(dropped);
        }
        first
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
        let active = Active {
            id: frame.header.call,
            deadline: Deadline::after(timeout),
            cancelled: AtomicBool::new(false),
            over: AtomicBool::new(false),
            has_input: frame.header.flags & FLAG_INPUT != 0,
            notice: frame.header.flags & FLAG_NOTICE != 0,
            streams: Mutex::new(streams),
        };
        let active = self.place(active, frame)?;
        Ok(Arrived { active, body, flags: frame.header.flags })
    }

    /// Enters a call in the table.
    #[inline]
    fn place(&self, active: Active, frame: &Frame<'_>) -> Result<Arc<Active>> {
        let index = usize::from(active.id as u16);
        let mut calls = lock(&self.calls);
        if calls.len() <= index {
            calls.resize(index + 1, None);
        }
        let place = &mut calls[index];
        if place.as_ref().is_some_and(|before| !before.over.load(Ordering::Acquire)) {
            return Err(frame.out_of_place("a call has the number of one that is under way"));
        }
        if self.is_ended() {
            // Whoever ended it has not seen this one.
            active.over.store(true, Ordering::Relaxed);
            active.cancelled.store(true, Ordering::Relaxed);
        }
        match place.as_mut().and_then(Arc::get_mut) {
            Some(before) => *before = active,
            None => *place = Some(Arc::new(active)),
        }
        Ok(place.clone().expect("it was placed"))
    }

    /// Answers a call, whose client may be gone. What is too large for a message fails it, and is told.
    pub fn answer(&self, active: &Active, header: Header, parts: &Parts<'_>) -> Result<()> {
        if !self.is_only {
            return self.answer_first(active, header, parts);
        }
        self.answering.fetch_add(1, Ordering::AcqRel);
        let answered = self.answer_first(active, header, parts);
        self.answering.fetch_sub(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        // It may have been the last.
        if self.finishing.load(Ordering::Acquire) {
            self.desk.bell.raise();
        }
        answered
    }

    #[inline]
    fn answer_first(&self, active: &Active, header: Header, parts: &Parts<'_>) -> Result<()> {
        if !self.is_first_over(active) {
            return Ok(());
        }
        let Err(refused) = self.push(header, parts) else { return Ok(()) };
        let text = format!("its answer is too large, stream it: {}", refused.message());
        let status = Status::new(Code::ResourceExhausted, text).with_origin(&self.desk.origin).encode();
        let failure = Header::new(Kind::Failure, active.id);
        if self.push(failure, &Parts { meta: Vec::new(), data: &status }).is_err() {
            // Not even that fits, and nobody is to wait for ever.
            self.end_and_tell();
        }
        Err(refused)
    }

    /// Ends it, and has whoever waits for calls see it off: nothing else may tell of a client that nobody reads from.
    #[cold]
    fn end_and_tell(&self) {
        self.end();
        self.desk.bell.raise();
    }

    /// Sends a frame, or has whoever waits for calls send it when there is room. An error when it is too large for a message;
    /// where the client is gone, that is told elsewhere.
    pub fn push(&self, header: Header, parts: &Parts<'_>) -> Result<()> {
        match self.wire.push(header, parts) {
            Err(e) if e.kind() == ErrorKind::TooLarge => return Err(e),
            Err(_) => self.end_and_tell(),
            Ok(()) if self.wire.behind() > 0 => self.desk.bell.raise(),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Tells how far a call is, if there is room: whoever takes nothing is told the next time.
    pub fn tell(&self, header: Header, note: &str) {
        match self.wire.offer(header, &Parts { meta: Vec::new(), data: note.as_bytes() }) {
            Err(e) if e.kind() != ErrorKind::TooLarge => self.end_and_tell(),
            Ok(true) => self.desk.bell.raise(),
            _ => {}
        }
    }

    /// Whether it reads nothing that comes, for now: its client has not taken what it was sent.
    pub fn is_behind(&self) -> bool {
        self.wire.behind() > MOST_BEHIND
    }

    /// Keeps a call that there is no room for.
    pub fn park(&self, arrived: Arrived) {
        let mut parked = lock(&self.parked);
        *parked = Some(arrived);
        self.has_parked.store(true, Ordering::Release);
    }

    /// Whether it reads nothing that comes until there is room for one of its calls.
    #[inline(always)]
    pub fn has_parked(&self) -> bool {
        self.has_parked.load(Ordering::Acquire)
    }

    /// That call, if somebody still waits for it.
    #[cold]
    pub fn unpark(&self) -> Option<Arrived> {
        let mut parked = lock(&self.parked);
        self.has_parked.store(false, Ordering::Release);
        parked.take().filter(|arrived| !arrived.active.is_over())
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
        match self.wire.wait_for(active.id, deadline, &mut what) {
            Err(e) if e.kind() != ErrorKind::Interrupted => {
                self.lose(&e);
                // Who asks for nothing more may still hear something.
                if self.is_finishing() { what.ready()?.map_or(Err(e), |done| Ok(Some(done))) } else { Err(e) }
            }
            waited => waited,
        }
    }

    /// An item of the client's stream was taken.
    pub fn took(&self, active: &Active, item: &Body) {
        let told = active.with(|streams| streams.window.take(item.weight(), !streams.input_ended));
        if let Some(value) = told {
            // As small as a message can be.
            let _ = self.push(Header { value, ..Header::new(Kind::Credit, active.id) }, &Parts::NONE);
        }
    }
}
