//! The receiving end of topics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use axonic::{ErrorKind, Sample};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::content::attributes_of;
use crate::error::{OrThrow, closed, invalid};
use crate::memory::{CONTENT, LENGTH, MISSED, SEQUENCE, SHARED, SOURCE, TICKET};
use crate::memory::{ScratchMemory, View, copy, detach, expose};
use crate::options;

/// How to open a subscriber; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct SubscriberSettings {
    /// `latest` or `oldest`.
    pub start: Option<String>,
    /// Samples that may be borrowed at once.
    pub max_borrowed: Option<f64>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

impl SubscriberSettings {
    pub(crate) fn options(self) -> axonic::Result<axonic::SubscriberOptions> {
        let mut options = axonic::SubscriberOptions::default();
        if let Some(start) = self.start {
            options.start = options::start(&start)?;
        }
        if let Some(max_borrowed) = self.max_borrowed {
            options.max_borrowed = options::size("maxBorrowed", max_borrowed)?;
        }
        if let Some(wait) = self.wait {
            options.wait = options::wait(&wait)?;
        }
        Ok(options)
    }
}

/// Who sent a message: what is the same for all messages of one publisher, fetched once.
#[napi(object, object_from_js = false)]
pub struct Source {
    /// Its topic.
    pub topic: String,
    /// Its identity.
    pub publisher: u64,
}

/// Counters of a subscriber.
#[napi(object, object_from_js = false)]
pub struct SubscriberStats {
    /// Messages received.
    pub received: f64,
    /// Payload bytes received.
    pub bytes: f64,
    /// Messages missed.
    pub missed: f64,
    /// Publishers' rings attached.
    pub rings: f64,
    /// Samples borrowed now.
    pub pinned: f64,
}

/// The message's bytes are not in the scratch: `take` fetches them.
const HELD: u32 = 256;
/// The message has attributes.
const ATTRIBUTES: u32 = 512;
/// Payloads in the scratch begin at multiples of this.
const ALIGN: usize = 8;
/// Publishers remembered before the numbers start over with new ones.
const MAX_SOURCES: usize = 1024;

/// Numbers for publishers, so that a message names its topic by a small integer.
#[derive(Default)]
struct Sources {
    numbers: HashMap<u64, u32>,
    known: HashMap<u32, (u64, String)>,
    last: Option<(u64, u32)>,
    next: u32,
}

impl Sources {
    fn number(&mut self, sample: &Sample) -> u32 {
        let id = sample.publisher();
        if let Some((last, number)) = self.last
            && last == id
        {
            return number;
        }
        let number = *self.numbers.entry(id).or_insert_with(|| {
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            self.known.insert(number, (id, sample.topic().to_string()));
            number
        });
        self.last = Some((id, number));
        number
    }

    /// Forgets everybody when there are too many (publishers come and go); the facade asks again.
    fn trim(&mut self) {
        if self.known.len() > MAX_SOURCES {
            self.numbers.clear();
            self.known.clear();
            self.last = None;
        }
    }
}

struct State {
    pattern: String,
    id: u64,
    subscriber: RefCell<Option<axonic::Subscriber>>,
    /// A message that was announced but not fetched yet; the next call announces it again.
    held: RefCell<Option<Sample>>,
    /// Samples under a scoped view, by ticket.
    borrowed: RefCell<Vec<Option<Sample>>>,
    sources: RefCell<Sources>,
    scratch: Rc<ScratchMemory>,
}

impl State {
    fn with<T>(&self, body: impl FnOnce(&mut axonic::Subscriber) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.subscriber.borrow_mut().as_mut() {
            Some(subscriber) => body(subscriber),
            None => Err(closed("subscriber", &self.pattern)),
        }
    }

    fn sample(&self) -> axonic::Result<Option<Sample>> {
        if let Some(sample) = self.held.borrow_mut().take() {
            return Ok(Some(sample));
        }
        self.with(|subscriber| subscriber.try_borrow())
    }

    /// Writes what is known about a sample into row `index`.
    fn announce(&self, index: usize, sample: &Sample, flags: u32) {
        let row = self.scratch.row(index);
        let attributes = if has_attributes(sample) { ATTRIBUTES } else { 0 };
        row[LENGTH] = sample.len() as f64;
        row[SOURCE] = f64::from(self.sources.borrow_mut().number(sample));
        row[CONTENT] = f64::from(sample.content() as u32 | flags | attributes);
        row[MISSED] = sample.missed() as f64;
        row[SEQUENCE] = sample.sequence() as f64;
        if let Some(description) = sample.tensor() {
            self.scratch.put_tensor(index, description);
        }
    }

    /// Up to `max` messages: small ones packed into the scratch; one that is large or has
    /// attributes ends the batch and is held.
    fn next_many(&self, max: usize) -> axonic::Result<usize> {
        self.sources.borrow_mut().trim();
        let bytes = self.scratch.bytes();
        let (mut at, mut count) = (0, 0);
        while count < max.min(self.scratch.rows()) {
            let Some(sample) = self.sample()? else { break };
            let data = sample.data();
            let fits = data.len() <= bytes.len() - at.min(bytes.len());
            if fits && !has_attributes(&sample) {
                self.announce(count, &sample, 0);
                bytes[at..at + data.len()].copy_from_slice(data);
                at += data.len().next_multiple_of(ALIGN);
                count += 1;
                continue;
            }
            // A small one that only found the scratch full waits for the next batch, which packs it.
            if count == 0 || data.len() > bytes.len() || has_attributes(&sample) {
                self.announce(count, &sample, HELD);
                count += 1;
            }
            *self.held.borrow_mut() = Some(sample);
            break;
        }
        Ok(count)
    }

    /// One message into `target`; -1 when there is none.
    fn next_into(&self, target: &mut [u8]) -> axonic::Result<Answer> {
        let Some(sample) = self.sample()? else { return Ok(Answer::Int(-1)) };
        let data = sample.data();
        let length = data.len();
        if let Some(target) = target.get_mut(..length) {
            target.copy_from_slice(data);
            return Ok(Answer::Int(length as i64));
        }
        let topic = sample.topic().to_string();
        *self.held.borrow_mut() = Some(sample);
        Err(axonic::Error::new(
            ErrorKind::TooLarge,
            format!(
                "subscriber {:?}: the next message on {topic:?} has {length} bytes and the buffer {}; the \
                 message is kept, receive it with a larger buffer",
                self.pattern,
                target.len()
            ),
        ))
    }
}

fn has_attributes(sample: &Sample) -> bool {
    // What cannot be decoded is reported when it is fetched.
    sample.attributes().map_or(true, |attributes| !attributes.is_empty())
}

/// The native subscriber behind the facade's.
#[napi]
pub struct Subscriber {
    state: Rc<State>,
}

#[napi]
impl Subscriber {
    pub(crate) fn new(subscriber: axonic::Subscriber, scratch: &Rc<ScratchMemory>) -> Subscriber {
        Subscriber {
            state: Rc::new(State {
                pattern: subscriber.pattern().into(),
                id: subscriber.id(),
                subscriber: RefCell::new(Some(subscriber)),
                held: RefCell::default(),
                borrowed: RefCell::default(),
                sources: RefCell::default(),
                scratch: scratch.clone(),
            }),
        }
    }

    /// The subscriber's identity.
    #[napi]
    pub fn id(&self) -> u64 {
        self.state.id
    }

    /// `(max)`: announces up to `max` messages in the table; answers how many.
    #[napi]
    pub fn bind_next<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"next", &self.state, |state: &State, call: &Call| {
            Ok(Answer::Int(state.next_many(call.int(0).max(0) as usize)? as i64))
        })
    }

    /// `(view)`: one message's bytes into a view; answers the length, or -1.
    #[napi]
    pub fn bind_next_into<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"nextInto", &self.state, |state: &State, call: &Call| state.next_into(call.bytes_mut(0)))
    }

    /// The publisher with this number.
    #[napi]
    pub fn source(&self, env: &Env, number: u32) -> Result<Source> {
        let sources = self.state.sources.borrow();
        let (publisher, topic) = sources
            .known
            .get(&number)
            .ok_or_else(|| invalid(format!("no publisher has the number {number}")))
            .or_throw(env)?;
        Ok(Source { topic: topic.clone(), publisher: *publisher })
    }

    /// The attributes of the held message: name, value, name, value.
    #[napi]
    pub fn attributes(&self, env: &Env) -> Result<Vec<String>> {
        let held = self.state.held.borrow();
        let sample = held.as_ref().ok_or_else(|| invalid("no message is held")).or_throw(env)?;
        attributes_of(sample).or_throw(env)
    }

    /// `(view)`: fetches the held message into a view of its length.
    #[napi]
    pub fn bind_take<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"take", &self.state, |state: &State, call: &Call| {
            let sample = state.held.borrow_mut().take();
            let sample = sample.ok_or_else(|| invalid("no message is held"))?;
            call.bytes_mut(0).copy_from_slice(sample.data());
            Ok(Answer::Nothing)
        })
    }

    /// The next message in place, as an `ArrayBuffer`; row 0 of the table says the rest. `null` when there is none.
    #[napi]
    pub fn borrow<'env>(&self, env: &'env Env) -> Result<Option<Unknown<'env>>> {
        self.state.sources.borrow_mut().trim();
        let Some(sample) = self.state.sample().or_throw(env)? else { return Ok(None) };
        self.state.announce(0, &sample, 0);
        let data = sample.data();
        // A sample that is not pinned is private memory already: a copy lets go of it at once.
        let view = if sample.is_pinned() {
            // SAFETY: the sample is kept in `borrowed` until the view is detached; subscribers map
            // payloads read-only, so JavaScript can only read them.
            unsafe { expose(env, data.as_ptr().cast_mut(), data.len()) }?
        } else {
            View { buffer: copy(env, data)?, shared: false }
        };
        let mut borrowed = self.state.borrowed.borrow_mut();
        let ticket = borrowed.iter().position(Option::is_none).unwrap_or_else(|| {
            borrowed.push(None);
            borrowed.len() - 1
        });
        borrowed[ticket] = Some(sample);
        let row = self.state.scratch.row(0);
        row[TICKET] = ticket as f64;
        row[SHARED] = f64::from(u8::from(view.shared));
        Ok(Some(view.buffer))
    }

    /// The attributes of a borrowed message.
    #[napi]
    pub fn borrowed_attributes(&self, env: &Env, ticket: u32) -> Result<Vec<String>> {
        let borrowed = self.state.borrowed.borrow();
        let sample = borrowed.get(ticket as usize).and_then(Option::as_ref);
        attributes_of(sample.ok_or_else(|| invalid("no message has this ticket")).or_throw(env)?)
            .or_throw(env)
    }

    /// Ends a view and gives the message back.
    #[napi]
    pub fn release(&self, env: &Env, ticket: u32, buffer: Unknown<'_>, shared: bool) {
        let sample = self.state.borrowed.borrow_mut().get_mut(ticket as usize).and_then(Option::take);
        if !detach(env, &buffer) && shared {
            // The view was transferred out of reach and can still be read: the slot stays pinned.
            std::mem::forget(sample);
        }
    }

    /// Live matched publishers now.
    #[napi]
    pub fn publishers(&self, env: &Env) -> Result<u32> {
        self.state.with(|subscriber| Ok(subscriber.publishers() as u32)).or_throw(env)
    }

    /// Messages missed so far.
    #[napi]
    pub fn missed(&self, env: &Env) -> Result<f64> {
        self.state.with(|subscriber| Ok(subscriber.missed() as f64)).or_throw(env)
    }

    /// The pollable descriptor; readable until a call answered that there is nothing.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|subscriber| subscriber.fd()).or_throw(env)
    }

    /// Counters.
    #[napi]
    pub fn stats(&self, env: &Env) -> Result<SubscriberStats> {
        let stats = self.state.with(|subscriber| Ok(subscriber.stats())).or_throw(env)?;
        Ok(SubscriberStats {
            received: stats.received as f64,
            bytes: stats.bytes as f64,
            missed: stats.missed as f64,
            rings: stats.rings as f64,
            pinned: stats.pinned as f64,
        })
    }

    /// Ends the subscriber; a second time does nothing. Views still open stay valid.
    #[napi]
    pub fn close(&self) {
        drop(self.state.subscriber.borrow_mut().take());
        drop(self.state.held.borrow_mut().take());
    }

    pub(crate) fn with<T>(
        &self,
        body: impl FnOnce(&mut axonic::Subscriber) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.state.with(body)
    }
}
