//! The sending end of a topic.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use axonic::{Content, ErrorKind, Loan, LoanMeta, Payload};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::content::{PayloadParts, content_of};
use crate::error::{OrThrow, closed, invalid};
use crate::memory::{CONTENT, LENGTH, ScratchMemory, TICKET, View, bytes_of, detach, expose};
use crate::options;

/// How to open a publisher; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct PublisherSettings {
    /// `dropOldest`, `block` or `reject`.
    pub overflow: Option<String>,
    /// Bytes of the ring.
    pub capacity: Option<f64>,
    /// Budget in bytes for large payloads.
    pub max_bytes: Option<f64>,
    /// Keep what was sent after this publisher ends.
    pub retain: Option<bool>,
    /// JSON Schema, as text, that every value must satisfy.
    pub schema: Option<String>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

impl PublisherSettings {
    pub(crate) fn options(self) -> axonic::Result<axonic::PublisherOptions> {
        let mut options = axonic::PublisherOptions::default();
        if let Some(overflow) = self.overflow {
            options.overflow = options::overflow(&overflow)?;
        }
        if let Some(capacity) = self.capacity {
            options.capacity = options::size("capacity", capacity)?;
        }
        if let Some(max_bytes) = self.max_bytes {
            options.max_bytes = options::size("maxBytes", max_bytes)?;
        }
        options.schema = self.schema.as_deref().map(axonic::Schema::new).transpose()?;
        if let Some(wait) = self.wait {
            options.wait = options::wait(&wait)?;
        }
        options.retain = self.retain.unwrap_or(options.retain);
        Ok(options)
    }
}

/// One payload of `publishMany`.
#[napi(object)]
pub struct PayloadItem {
    /// Its bytes.
    pub data: Uint8Array,
    /// The rest.
    pub parts: PayloadParts,
}

/// Counters of a publisher.
#[napi(object, object_from_js = false)]
pub struct PublisherStats {
    /// Messages published.
    pub published: f64,
    /// Payload bytes published.
    pub bytes: f64,
    /// Times a publish waited for room.
    pub blocked: f64,
    /// Sleepers woken.
    pub wakes_sent: f64,
    /// Messages for which nobody had to be woken.
    pub wakes_elided: f64,
    /// Live matched subscribers.
    pub subscribers: f64,
    /// Bytes of shared memory for large payloads.
    pub slab_bytes: f64,
    /// Slots of that memory which readers have pinned now.
    pub pinned: f64,
    /// Finished publishers of this topic whose rings still wait for a reader, or are retained.
    pub orphans: f64,
    /// Those of which only the count is left, for subscribers that are still to be told what they missed.
    pub remnants: f64,
}

struct State {
    topic: String,
    id: u64,
    publisher: RefCell<Option<axonic::Publisher>>,
    /// Loans between `loan` and `commit` or `abort`, by ticket.
    loans: RefCell<Vec<Option<OpenLoan>>>,
    scratch: Rc<ScratchMemory>,
}

struct OpenLoan {
    loan: Loan,
    view: ViewOf,
}

/// What JavaScript writes into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ViewOf {
    /// The loan itself.
    Loan,
    /// Private memory, in an engine that refuses foreign one.
    Copy,
    /// Nothing any more.
    Nothing,
}

impl State {
    fn with<T>(&self, body: impl FnOnce(&mut axonic::Publisher) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.publisher.borrow_mut().as_mut() {
            Some(publisher) => body(publisher),
            None => Err(closed("publisher", &self.topic)),
        }
    }

    /// Sends without waiting; `quiet` makes "no room now" an answer instead of an error.
    fn send(&self, data: &[u8], flags: i32) -> axonic::Result<Answer> {
        let payload = Payload { data, content: content_of(flags & 0xff)?, tensor: None, attributes: None };
        quietly(self.with(|publisher| publisher.try_send(&payload)), flags & QUIET != 0)
    }

    fn take_loan(&self, ticket: u32) -> axonic::Result<OpenLoan> {
        let mut loans = self.loans.borrow_mut();
        loans.get_mut(ticket as usize).and_then(Option::take).ok_or_else(|| {
            invalid(format!("publisher '{}': no open loan has the ticket {ticket}", self.topic))
        })
    }
}

/// Flag beside the content type of a bound call: see [`State::send`].
const QUIET: i32 = 256;

/// Turns "no room now" into an answer when asked to.
fn quietly(result: axonic::Result<()>, quiet: bool) -> axonic::Result<Answer> {
    match result {
        Ok(()) => Ok(Answer::Nothing),
        Err(error) if quiet && error.kind() == ErrorKind::WouldBlock => Ok(Answer::No),
        Err(error) => Err(error),
    }
}

/// The native publisher behind the facade's.
#[napi]
pub struct Publisher {
    state: Rc<State>,
}

#[napi]
impl Publisher {
    pub(crate) fn new(publisher: axonic::Publisher, scratch: &Rc<ScratchMemory>) -> Publisher {
        Publisher {
            state: Rc::new(State {
                topic: publisher.topic().into(),
                id: publisher.id(),
                publisher: RefCell::new(Some(publisher)),
                loans: RefCell::default(),
                scratch: scratch.clone(),
            }),
        }
    }

    /// The publisher's identity.
    #[napi]
    pub fn id(&self) -> u64 {
        self.state.id
    }

    /// `(view, flags)`: sends a view's bytes.
    #[napi(ts_return_type = "(view: Uint8Array, flags: number) => false | undefined")]
    pub fn bind_send<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"send", &self.state, |state: &State, call: &Call| state.send(call.bytes(0), call.int(1)))
    }

    /// `(view, flags)`: sends a view's bytes as the tensor described in row 0 of the table.
    #[napi(ts_return_type = "(view: NodeJS.ArrayBufferView, flags: number) => false | undefined")]
    pub fn bind_send_tensor<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"sendTensor", &self.state, |state: &State, call: &Call| {
            let tensor = state.scratch.tensor(0)?;
            let payload = Payload::tensor(call.bytes(0), &tensor);
            quietly(state.with(|publisher| publisher.try_send(&payload)), call.int(1) & QUIET != 0)
        })
    }

    /// `(length, flags)`: sends the first bytes of the scratch.
    #[napi(ts_return_type = "(length: number, flags: number) => false | undefined")]
    pub fn bind_send_scratch<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"sendScratch", &self.state, |state: &State, call: &Call| {
            let bytes = state.scratch.bytes();
            let length = (call.int(0).max(0) as usize).min(bytes.len());
            state.send(&bytes[..length], call.int(1))
        })
    }

    /// `(count, quiet)`: sends messages packed one after another into the scratch, all or none;
    /// row i of the table describes the i-th.
    #[napi(ts_return_type = "(count: number, quiet: 0 | 1) => false | undefined")]
    pub fn bind_send_packed<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"sendPacked", &self.state, |state: &State, call: &Call| {
            let count = (call.int(0).max(0) as usize).min(state.scratch.rows());
            let mut rest = &*state.scratch.bytes();
            let mut messages = Vec::with_capacity(count);
            for index in 0..count {
                let row = state.scratch.row(index);
                let (data, tail) = rest
                    .split_at_checked(row[LENGTH] as usize)
                    .ok_or_else(|| invalid("packed messages exceed the scratch"))?;
                rest = tail;
                let content = content_of(row[CONTENT] as i32)?;
                let tensor =
                    if content == Content::Tensor { Some(state.scratch.tensor(index)?) } else { None };
                messages.push((data, content, tensor));
            }
            let payloads: Vec<Payload<'_>> = messages
                .iter()
                .map(|(data, content, tensor)| Payload {
                    data,
                    content: *content,
                    tensor: tensor.as_ref(),
                    attributes: None,
                })
                .collect();
            quietly(state.with(|publisher| many(publisher, &payloads)), call.int(1) != 0)
        })
    }

    /// Sends one payload with a tensor description or attributes; `false` when quiet and full.
    #[napi]
    pub fn send_parts(&self, env: &Env, data: &[u8], parts: PayloadParts, quiet: bool) -> Result<bool> {
        let parts = parts.parse().or_throw(env)?;
        let payload = parts.payload(data);
        let answer =
            quietly(self.state.with(|publisher| publisher.try_send(&payload)), quiet).or_throw(env)?;
        Ok(!matches!(answer, Answer::No))
    }

    /// Sends all or nothing; `false` when quiet and full.
    #[napi]
    pub fn send_many(&self, env: &Env, items: Vec<PayloadItem>, quiet: bool) -> Result<bool> {
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            all.push((item.data, item.parts.parse().or_throw(env)?));
        }
        let payloads: Vec<Payload<'_>> = all.iter().map(|(data, parts)| parts.payload(data)).collect();
        let answer = quietly(self.state.with(|publisher| many(publisher, &payloads)), quiet).or_throw(env)?;
        Ok(!matches!(answer, Answer::No))
    }

    /// Lends `length` bytes of shared memory as an `ArrayBuffer`; the ticket is in the table. `null`
    /// when quiet and full.
    #[napi(ts_return_type = "ArrayBuffer | null")]
    pub fn loan<'env>(&self, env: &'env Env, length: f64, quiet: bool) -> Result<Option<Unknown<'env>>> {
        let length = options::size("the length of a loan", length).or_throw(env)?;
        let lent = self.state.with(|publisher| {
            publisher.loan(length, Some(Duration::ZERO)).map_err(|error| no_room(publisher, error))
        });
        let loan = match lent {
            Err(error) if quiet && error.kind() == ErrorKind::WouldBlock => return Ok(None),
            other => other.or_throw(env)?,
        };
        // SAFETY: the loan is kept in `loans` until the view is detached; nobody else writes it.
        let View { buffer, shared } = unsafe { expose(env, loan.as_mut_ptr(), length) }?;
        let mut loans = self.state.loans.borrow_mut();
        let ticket = loans.iter().position(Option::is_none).unwrap_or_else(|| {
            loans.push(None);
            loans.len() - 1
        });
        let view = if shared { ViewOf::Loan } else { ViewOf::Copy };
        loans[ticket] = Some(OpenLoan { loan, view });
        self.state.scratch.row(0)[TICKET] = ticket as f64;
        Ok(Some(buffer))
    }

    /// Publishes a loan and ends its view; `false` when quiet and full, and then the loan waits for
    /// another commit (or `abort`).
    #[napi]
    pub fn commit(
        &self,
        env: &Env,
        ticket: u32,
        #[napi(ts_arg_type = "ArrayBuffer")] buffer: Unknown<'_>,
        parts: PayloadParts,
        quiet: bool,
    ) -> Result<bool> {
        let mut open = self.state.take_loan(ticket).or_throw(env)?;
        open = self.end_view(env, open, &buffer)?;
        let parts = parts.parse().or_throw(env)?;
        let meta = LoanMeta {
            len: None,
            content: parts.content,
            tensor: parts.tensor.as_ref(),
            attributes: parts.attributes.as_ref(),
        };
        let mut loan = Some(open.loan);
        let committed = self.state.with(|publisher| {
            let committed = publisher.commit_from(&mut loan, &meta, Some(Duration::ZERO));
            committed.map_err(|error| no_room(publisher, error))
        });
        let done = quietly(committed, quiet).or_throw(env)?;
        if let (Answer::No, Some(loan)) = (&done, loan) {
            self.state.loans.borrow_mut()[ticket as usize] = Some(OpenLoan { loan, view: ViewOf::Nothing });
            return Ok(false);
        }
        Ok(true)
    }

    /// Gives a loan back unpublished and ends its view.
    #[napi]
    pub fn abort(
        &self,
        env: &Env,
        ticket: u32,
        #[napi(ts_arg_type = "ArrayBuffer")] buffer: Unknown<'_>,
    ) -> Result<()> {
        let open = self.state.take_loan(ticket).or_throw(env)?;
        self.end_view(env, open, &buffer).map(drop)
    }

    /// Detaches the view of a loan, after fetching what was written into it if it is a copy.
    fn end_view(&self, env: &Env, mut open: OpenLoan, buffer: &Unknown<'_>) -> Result<OpenLoan> {
        if open.view == ViewOf::Copy {
            let written = bytes_of(env, buffer);
            let length = written.len().min(open.loan.len());
            open.loan[..length].copy_from_slice(&written[..length]);
        }
        if open.view != ViewOf::Nothing && !detach(env, buffer) && open.view == ViewOf::Loan {
            return keep(open.loan, &self.state.topic).or_throw(env);
        }
        Ok(OpenLoan { view: ViewOf::Nothing, ..open })
    }

    /// Whether `count` subscribers would hear the next message; if not, the descriptor becomes
    /// readable when it is worth asking again.
    #[napi]
    pub fn heard_by(&self, env: &Env, count: f64) -> Result<bool> {
        let count = options::size("count", count).or_throw(env)?;
        let heard = self
            .state
            .with(|publisher| publisher.wait_for_subscribers(count, Some(Duration::ZERO)).map(|()| true));
        match heard {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(false),
            other => other.or_throw(env),
        }
    }

    /// Live matched subscribers now.
    #[napi]
    pub fn subscribers(&self, env: &Env) -> Result<u32> {
        self.state.with(|publisher| Ok(publisher.subscribers() as u32)).or_throw(env)
    }

    /// The descriptor that is readable when a publish that found no room should be tried again.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|publisher| publisher.fd()).or_throw(env)
    }

    /// Counters.
    #[napi]
    pub fn stats(&self, env: &Env) -> Result<PublisherStats> {
        let stats = self.state.with(|publisher| Ok(publisher.stats())).or_throw(env)?;
        Ok(PublisherStats {
            published: stats.published as f64,
            bytes: stats.bytes as f64,
            blocked: stats.blocked as f64,
            wakes_sent: stats.wakes_sent as f64,
            wakes_elided: stats.wakes_elided as f64,
            subscribers: stats.subscribers as f64,
            slab_bytes: stats.slab_bytes as f64,
            pinned: stats.pinned as f64,
            orphans: stats.orphans as f64,
            remnants: stats.remnants as f64,
        })
    }

    /// Ends the publisher; a second time does nothing.
    #[napi]
    pub fn close(&self) {
        drop(self.state.publisher.borrow_mut().take());
    }

    pub(crate) fn with<T>(
        &self,
        body: impl FnOnce(&mut axonic::Publisher) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.state.with(body)
    }
}

fn many(publisher: &mut axonic::Publisher, payloads: &[Payload<'_>]) -> axonic::Result<()> {
    publisher.publish_many(payloads, Some(Duration::ZERO)).map_err(|error| no_room(publisher, error))
}

/// The core answers Timeout to a call that was given no time; here nothing ever waits, and the
/// name of that is WouldBlock.
fn no_room(publisher: &axonic::Publisher, error: axonic::Error) -> axonic::Error {
    if error.kind() != ErrorKind::Timeout {
        return error;
    }
    let topic = publisher.topic();
    axonic::Error::new(
        ErrorKind::WouldBlock,
        format!(
            "publisher '{topic}' has no room now and overflow is \"block\"; use publishAsync, which waits \
             for room"
        ),
    )
}

/// Refuses a loan whose view was moved out of reach, and never reuses its memory: that memory can
/// still be written through the moved view.
fn keep<T>(loan: Loan, topic: &str) -> axonic::Result<T> {
    std::mem::forget(loan);
    Err(invalid(format!(
        "publisher '{topic}': the array of a loan was transferred away inside its callback; the message is \
         not sent and its memory stays reserved"
    )))
}
