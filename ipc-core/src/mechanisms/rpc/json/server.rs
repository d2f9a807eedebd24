//! A service's side: requests become calls, and answers responses.

use super::super::Window;
use super::super::frame::{FLAG_NOTICE, FLAG_ONE, FLAG_STREAM, FOREVER, Frame, HEADER, Header, Kind};
use super::message::{self, Message, Text};
use super::status::{self, INVALID_REQUEST, PARSE_ERROR};
use super::{Frames, Side, push, value};
use crate::domain::lock;
use crate::error::{Error, Result};
use crate::status::{Code, Status};
use crate::value::Content;
use serde_json::value::RawValue;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use tracing::debug;

/// The most requests in a batch: each may have an answer that is many times longer than itself.
const MAX_BATCH: usize = 1024;

/// The most calls that can be under way.
const MAX_CALLS: usize = 1 << 16;

pub struct Server {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Batches that are not answered as a whole yet, by a number that is not zero.
    batches: HashMap<u32, Batch>,
    last_batch: u32,
    /// What the service is to hear of calls besides what the client says.
    news: VecDeque<Vec<u8>>,
}

#[derive(Default)]
struct Slot {
    generation: u16,
    asked: Option<Asked>,
}

/// A request that waits for its response.
struct Asked {
    /// `None`: it is a notification, and gets none.
    id: Option<Box<str>>,
    /// The batch it came in; zero: none.
    batch: u32,
    /// What was streamed, each item after a comma but the first.
    items: Option<String>,
    /// What the service may still stream.
    window: Window,
}

struct Batch {
    /// Requests that wait for their responses.
    left: usize,
    responses: String,
}

impl State {
    /// The number of a new call; `None`: there are too many.
    fn open(&mut self, id: Option<Box<str>>, batch: u32) -> Option<u32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < MAX_CALLS => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u16
            }
            None => return None,
        };
        let slot = &mut self.slots[usize::from(index)];
        slot.generation = slot.generation.wrapping_add(1).max(1);
        slot.asked = Some(Asked { id, batch, items: None, window: Window::default() });
        Some(u32::from(slot.generation) << 16 | u32::from(index))
    }

    fn find(&mut self, call: u32) -> Option<&mut Asked> {
        let slot = self.slots.get_mut(usize::from(call as u16))?;
        if u32::from(slot.generation) == call >> 16 { slot.asked.as_mut() } else { None }
    }

    fn close(&mut self, call: u32) -> Option<Asked> {
        self.find(call)?;
        self.free.push(call as u16);
        self.slots[usize::from(call as u16)].asked.take()
    }

    fn open_batch(&mut self, left: usize) -> u32 {
        loop {
            self.last_batch = self.last_batch.wrapping_add(1).max(1);
            if !self.batches.contains_key(&self.last_batch) {
                self.batches.insert(self.last_batch, Batch { left, responses: String::new() });
                return self.last_batch;
            }
        }
    }

    /// One of a batch is done, with a response or without. What is to be sent, if anything is.
    fn respond(&mut self, batch: u32, response: &str) -> String {
        let Some(whole) = self.batches.get_mut(&batch) else { return response.into() };
        whole.left -= 1;
        if !response.is_empty() {
            whole.responses.push(if whole.responses.is_empty() { '[' } else { ',' });
            whole.responses.push_str(response);
        }
        if whole.left > 0 {
            return String::new();
        }
        let responses = self.batches.remove(&batch).map_or_else(String::new, |whole| whole.responses);
        if responses.is_empty() { responses } else { responses + "]" }
    }
}

impl Server {
    pub fn new(limit: usize) -> Server {
        Server { limit, state: Mutex::default() }
    }

    fn ask(&self, message: Message<'_>, batch: u32, frames: &mut Frames) {
        match message {
            Message::Request { id, method, params } => self.call(id, &method, params, batch, frames),
            Message::Invalid { id, why } => refuse(id, INVALID_REQUEST, why, batch, frames),
            Message::Response { .. } => {
                // Nothing was asked. To answer an answer may be without end.
                debug!("a client of JSON-RPC sent a response, which was dropped");
                lock(&self.state).respond(batch, "");
            }
        }
    }

    fn call(
        &self,
        id: Option<&RawValue>,
        method: &str,
        params: Option<&RawValue>,
        batch: u32,
        frames: &mut Frames,
    ) {
        let text = id.map(RawValue::get);
        if method.is_empty() || method.len() > u8::MAX.into() {
            let why = format!("method names have 1 to {} bytes, this one {}", u8::MAX, method.len());
            return self.fail(text, Status::new(Code::Unimplemented, why), batch, frames);
        }
        let mut state = lock(&self.state);
        let Some(call) = state.open(text.map(Into::into), batch) else {
            drop(state);
            let why = format!("{MAX_CALLS} calls are under way, the limit; wait for some");
            let status = Status::new(Code::ResourceExhausted, why).with_retryable(true);
            return self.fail(text, status, batch, frames);
        };
        if id.is_none() {
            // Its batch does not wait for it.
            state.respond(batch, "");
        }
        drop(state);
        let params = params.map_or("", RawValue::get).as_bytes();
        let content = if params.is_empty() { Content::Raw } else { Content::Json };
        let name = method.len() as u8;
        let flags = FLAG_STREAM | FLAG_ONE | if id.is_none() { FLAG_NOTICE } else { 0 };
        let header = Header { content, flags, name, value: FOREVER, ..Header::new(Kind::Call, call) };
        push(frames, header, method, params);
    }

    /// A request fails before it is a call.
    fn fail(&self, id: Option<&str>, status: Status, batch: u32, frames: &mut Frames) {
        match id {
            Some(id) => refused(&message::error(id, &status::encode(&status)), batch, frames),
            None => drop(lock(&self.state).respond(batch, "")),
        }
    }

    /// An item of a stream is kept until all have come, as far as a message may be long.
    fn keep_item(&self, frame: &Frame<'_>) -> String {
        let call = frame.header.call;
        let mut state = lock(&self.state);
        let Some(asked) = state.find(call) else { return String::new() };
        let item = match value::of(frame) {
            Ok(item) => item,
            Err(status) => return give_up(&mut state, call, &of_result(status)),
        };
        let items = asked.items.get_or_insert_default();
        if items.len() + item.len() > self.limit {
            let text = format!("its items have more than {} bytes, the limit of a message", self.limit);
            return give_up(&mut state, call, &Status::new(Code::ResourceExhausted, text));
        }
        if !items.is_empty() {
            items.push(',');
        }
        items.push_str(&item);
        // It is taken as it comes.
        let weight = HEADER + frame.meta.len() + frame.data.len();
        if let Some(value) = asked.window.take(weight, true) {
            let header = Header { value, ..Header::new(Kind::Credit, call) };
            state.news.push_back(header.encode().into());
        }
        String::new()
    }

    fn answer(&self, frame: &Frame<'_>) -> String {
        let mut state = lock(&self.state);
        let Some(asked) = state.close(frame.header.call) else { return String::new() };
        // A notification's batch has gone on without it.
        let Some(id) = asked.id else { return String::new() };
        let response = match frame.header.kind {
            Kind::Failure => Err(Status::decode(frame.data)),
            // It was a stream, of however many items.
            _ if frame.header.flags & FLAG_STREAM != 0 => {
                Ok(format!("[{}]", asked.items.unwrap_or_default()))
            }
            _ => value::of(frame).map_err(of_result),
        };
        let response = match response {
            Ok(result) => message::result(&id, &result),
            Err(status) => message::error(&id, &status::encode(&status)),
        };
        state.respond(asked.batch, &response)
    }
}

fn of_result(status: Status) -> Status {
    Status { message: format!("its result is {}", status.message), ..status }
}

/// A call that streams what cannot be answered fails now, and its handler is told.
fn give_up(state: &mut State, call: u32, status: &Status) -> String {
    let Some(asked) = state.close(call) else { return String::new() };
    state.news.push_back(Header::new(Kind::Cancel, call).encode().into());
    let Some(id) = asked.id else { return String::new() };
    let response = message::error(&id, &status::encode(status));
    state.respond(asked.batch, &response)
}

/// What is no request is answered, too. The service only has to give the answer back: it is told as everything else.
fn refused(response: &str, batch: u32, frames: &mut Frames) {
    push(frames, Header { value: batch, ..Header::new(Kind::Refused, 0) }, "", response.as_bytes());
}

fn refuse(id: Option<&RawValue>, code: i64, why: String, batch: u32, frames: &mut Frames) {
    let error = status::encode_as(code, &Status::new(Code::InvalidArgument, why));
    refused(&message::error(id.map_or("null", RawValue::get), &error), batch, frames);
}

impl Side for Server {
    fn take(&self, text: &[u8], frames: &mut Frames) -> Result<()> {
        match message::read(text) {
            Err(why) => refuse(None, PARSE_ERROR, why, 0, frames),
            Ok(Text::One(message)) => self.ask(message, 0, frames),
            Ok(Text::Batch(all)) if (1..=MAX_BATCH).contains(&all.len()) => {
                let batch = lock(&self.state).open_batch(all.len());
                all.into_iter().for_each(|value| self.ask(Message::of(value), batch, frames));
            }
            Ok(Text::Batch(all)) => {
                let why = format!("a batch has 1 to {MAX_BATCH} requests, this one {}", all.len());
                refuse(None, INVALID_REQUEST, why, 0, frames);
            }
        }
        Ok(())
    }

    fn lost(&self, why: &Error, frames: &mut Frames) {
        refuse(None, PARSE_ERROR, why.message().into(), 0, frames);
    }

    fn news(&self) -> Option<Vec<u8>> {
        lock(&self.state).news.pop_front()
    }

    fn has_news(&self) -> bool {
        !lock(&self.state).news.is_empty()
    }

    fn encode(&self, frame: &Frame<'_>) -> Result<String> {
        Ok(match frame.header.kind {
            Kind::Reply | Kind::Failure => self.answer(frame),
            Kind::Item => self.keep_item(frame),
            Kind::Refused => {
                let response = String::from_utf8_lossy(frame.data);
                lock(&self.state).respond(frame.header.value, &response)
            }
            // How far a call is, and how much more may be streamed to it, has no word.
            _ => String::new(),
        })
    }
}
