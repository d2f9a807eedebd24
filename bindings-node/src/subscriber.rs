//! The receiving end of topics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use axonic::{Arrival, ErrorKind, Message, Sample, Tensor};
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
    /// JSON Schema, as text, that every value must satisfy.
    pub schema: Option<String>,
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
        options.schema = self.schema.as_deref().map(axonic::Schema::new).transpose()?;
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
    /// Of these rings, those whose publishers have ended and that are still to be read out.
    pub orphans: f64,
}

/// The message's bytes are not in the scratch: `take` fetches them.
const HELD: u32 = 256;
/// The message has attributes.
const ATTRIBUTES: u32 = 512;
/// Payloads in the scratch begin at multiples of this.
const ALIGN: usize = 8;
/// Larger payloads are copied straight into a buffer of their own.
const PACK_MAX: usize = 16 << 10;
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
    fn number(&mut self, (id, topic): (u64, &str)) -> u32 {
        if let Some((last, number)) = self.last
            && last == id
        {
            return number;
        }
        let number = *self.numbers.entry(id).or_insert_with(|| {
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            self.known.insert(number, (id, topic.to_string()));
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

/// What messages copied out of the ring and samples in place have in common.
trait Received {
    fn bytes(&self) -> &[u8];
    fn from(&self) -> (u64, &str);
    fn content_number(&self) -> u32;
    fn counts(&self) -> (u64, u64);
    fn shape(&self) -> Option<&Tensor>;
    fn has_attributes(&self) -> bool;
    fn into_sample(self) -> Sample;
}

macro_rules! received {
    ($type:ty, $into_sample:ident) => {
        impl Received for $type {
            fn bytes(&self) -> &[u8] {
                self.data()
            }
            fn from(&self) -> (u64, &str) {
                (self.publisher(), self.topic())
            }
            fn content_number(&self) -> u32 {
                self.content() as u32
            }
            fn counts(&self) -> (u64, u64) {
                (self.missed(), self.sequence())
            }
            fn shape(&self) -> Option<&Tensor> {
                self.tensor()
            }
            fn has_attributes(&self) -> bool {
                // What cannot be decoded is reported when it is fetched.
                self.attributes().map_or(true, |attributes| !attributes.is_empty())
            }
            fn into_sample(self) -> Sample {
                $into_sample(self)
            }
        }
    };
}

received!(Message<'_>, own);
received!(Sample, same);

fn own(message: Message<'_>) -> Sample {
    message.to_sample()
}

fn same(sample: Sample) -> Sample {
    sample
}

struct State {
    pattern: String,
    id: u64,
    subscriber: RefCell<Option<axonic::Subscriber>>,
    /// A message that was announced but not fetched yet; the next call announces it again.
    held: RefCell<Option<Sample>>,
    /// An error that ended a batch which had messages already; the next call reports it.
    deferred: RefCell<Option<axonic::Error>>,
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

    /// Writes what is known about a message into row `index`.
    fn announce(&self, index: usize, message: &impl Received, flags: u32) {
        let row = self.scratch.row(index);
        let (missed, sequence) = message.counts();
        row[LENGTH] = message.bytes().len() as f64;
        row[SOURCE] = f64::from(self.sources.borrow_mut().number(message.from()));
        row[CONTENT] = f64::from(message.content_number() | flags);
        row[MISSED] = missed as f64;
        row[SEQUENCE] = sequence as f64;
        if let Some(tensor) = message.shape() {
            self.scratch.put_tensor(index, tensor);
        }
    }

    /// Up to `max` messages: small ones packed into the scratch; one that is large or has attributes
    /// ends the batch and is held. A caller that `has` messages of earlier calls gets no error with them.
    fn next_many(&self, max: usize, has: bool) -> axonic::Result<usize> {
        if has && self.deferred.borrow().is_some() {
            return Ok(0);
        }
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        self.sources.borrow_mut().trim();
        let mut batch = Batch { state: self, at: 0, count: 0 };
        if let Some(sample) = self.held.take()
            && let Some(held) = batch.add(sample)
        {
            *self.held.borrow_mut() = Some(held);
            return Ok(batch.count);
        }
        let max = max.min(self.scratch.rows());
        let taken = self.with(|subscriber| {
            while batch.count < max {
                let held = match subscriber.try_next()? {
                    None => break,
                    Some(Arrival::Small(message)) => batch.add(message),
                    Some(Arrival::Large(sample)) => batch.add(sample),
                };
                if held.is_some() {
                    *self.held.borrow_mut() = held;
                    break;
                }
            }
            Ok(())
        });
        match taken {
            Err(error) if batch.count == 0 && !has => return Err(error),
            Err(error) => *self.deferred.borrow_mut() = Some(error),
            Ok(()) => {}
        }
        Ok(batch.count)
    }

    /// One message into `target`; -1 when there is none. One that does not fit is held.
    fn next_into(&self, target: &mut [u8]) -> axonic::Result<Answer> {
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        if let Some(sample) = self.held.take() {
            return self.put_into(target, sample);
        }
        self.with(|subscriber| match subscriber.try_next()? {
            None => Ok(Answer::Int(-1)),
            Some(Arrival::Small(message)) => self.put_into(target, message),
            Some(Arrival::Large(sample)) => self.put_into(target, sample),
        })
    }

    fn put_into(&self, target: &mut [u8], message: impl Received) -> axonic::Result<Answer> {
        let data = message.bytes();
        let (length, room) = (data.len(), target.len());
        if let Some(target) = target.get_mut(..length) {
            target.copy_from_slice(data);
            return Ok(Answer::Int(length as i64));
        }
        let text = format!(
            "subscriber '{}': the next message on '{}' has {length} bytes and the buffer {room}; the message \
             is kept, receive it with a larger buffer",
            self.pattern,
            message.from().1
        );
        *self.held.borrow_mut() = Some(message.into_sample());
        Err(axonic::Error::new(ErrorKind::TooLarge, text))
    }

    /// The next message as a sample.
    fn sample(&self) -> axonic::Result<Option<Sample>> {
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        if let Some(sample) = self.held.take() {
            return Ok(Some(sample));
        }
        self.with(|subscriber| subscriber.try_borrow())
    }
}

/// Messages on their way into the scratch.
struct Batch<'a> {
    state: &'a State,
    at: usize,
    count: usize,
}

impl Batch<'_> {
    /// Packs a message; one that must be held is announced, if it may be the last of this batch, and
    /// given back.
    fn add(&mut self, message: impl Received) -> Option<Sample> {
        let bytes = self.state.scratch.bytes();
        let data = message.bytes();
        let attributes = if message.has_attributes() { ATTRIBUTES } else { 0 };
        let packable = data.len() <= PACK_MAX && attributes == 0;
        if packable && self.at + data.len() <= bytes.len() {
            self.state.announce(self.count, &message, 0);
            bytes[self.at..self.at + data.len()].copy_from_slice(data);
            self.at += data.len().next_multiple_of(ALIGN);
            self.count += 1;
            return None;
        }
        // One that only found the scratch full is the first of the next batch.
        if !packable {
            self.state.announce(self.count, &message, HELD | attributes);
            self.count += 1;
        }
        Some(message.into_sample())
    }
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
                deferred: RefCell::default(),
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

    /// `(max, has)`: announces up to `max` messages in the table; answers how many. An error waits for
    /// the next call of a caller that has messages already.
    #[napi(ts_return_type = "(max: number, has: number) => number")]
    pub fn bind_next<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"next", &self.state, |state: &State, call: &Call| {
            Ok(Answer::Int(state.next_many(call.int(0).max(0) as usize, call.int(1) != 0)? as i64))
        })
    }

    /// `(view)`: one message's bytes into a view; answers the length, or -1.
    #[napi(ts_return_type = "(view: NodeJS.ArrayBufferView) => number")]
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
    #[napi(ts_return_type = "(view: Uint8Array) => undefined")]
    pub fn bind_take<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"take", &self.state, |state: &State, call: &Call| {
            let sample = state.held.take();
            let sample = sample.ok_or_else(|| invalid("no message is held"))?;
            call.bytes_mut(0).copy_from_slice(sample.data());
            Ok(Answer::Nothing)
        })
    }

    /// The next message in place, as an `ArrayBuffer`; row 0 of the table says the rest. `null` when there is none.
    #[napi(ts_return_type = "ArrayBuffer | null")]
    pub fn borrow<'env>(&self, env: &'env Env) -> Result<Option<Unknown<'env>>> {
        self.state.sources.borrow_mut().trim();
        let Some(sample) = self.state.sample().or_throw(env)? else { return Ok(None) };
        let attributes = if Received::has_attributes(&sample) { ATTRIBUTES } else { 0 };
        self.state.announce(0, &sample, attributes);
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
    pub fn release(
        &self,
        env: &Env,
        ticket: u32,
        #[napi(ts_arg_type = "ArrayBuffer")] buffer: Unknown<'_>,
        shared: bool,
    ) {
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
            orphans: stats.orphans as f64,
        })
    }

    /// Ends the subscriber; a second time does nothing. Views still open stay valid.
    #[napi]
    pub fn close(&self) {
        drop(self.state.subscriber.borrow_mut().take());
        drop(self.state.held.take());
    }

    pub(crate) fn with<T>(
        &self,
        body: impl FnOnce(&mut axonic::Subscriber) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.state.with(body)
    }
}
