//! Calling services.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axonic::{Body, CallOptions, Content, ErrorKind, Payload, Wait};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::body::announce;
use crate::call::{Answer, Call, bind};
use crate::channel::ChannelSettings;
use crate::content::{PayloadParts, content_of};
use crate::elsewhere::Elsewhere;
use crate::error::{OrThrow, closed};
use crate::memory::{CONTENT, MISSED, ScratchMemory, TICKET};
use crate::options;

/// Where row 0 says how many milliseconds a call may take; negative: any number.
const TIMEOUT: usize = MISSED;

/// In the waiting mode `spin` a call waits so long for its result before it leaves that to the event loop.
pub const SPIN: Duration = Duration::from_micros(50);

// What bound calls answer:
/// the client must connect first,
const UNCONNECTED: i64 = -1;
/// it is under way, nothing has come yet,
const NOTHING: i64 = 0;
/// row 0 tells of what came,
const SOMETHING: i64 = 1;
/// and a stream has ended.
const END: i64 = 2;

/// How to open a client; what is missing takes the core's default.
#[napi(object)]
pub struct ClientSettings {
    /// Where the service is; default: at whoever provides it in the domain.
    pub address: Option<String>,
    /// Bytes of the largest message.
    pub max_message: Option<f64>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

/// How to begin a call.
#[napi(object)]
pub struct CallSettings {
    /// Milliseconds that it may take.
    pub timeout: Option<f64>,
    /// The caller streams its input.
    pub input: bool,
    /// The caller takes a stream.
    pub stream: bool,
}

/// How far a call is.
#[napi(object, object_from_js = false)]
pub struct CallProgress {
    /// From 0 to 1.
    pub fraction: f64,
    /// What its handler says to it.
    pub note: String,
}

struct State {
    name: String,
    client: RefCell<Option<Arc<axonic::Client>>>,
    spin: Option<Duration>,
    /// The names of methods, by the numbers that the facade has for them.
    methods: RefCell<Vec<String>>,
    /// Calls that are under way, by their ids.
    calls: RefCell<HashMap<u64, axonic::Call>>,
    /// What was announced and did not fit into the scratch.
    held: RefCell<Option<Body>>,
    scratch: Rc<ScratchMemory>,
}

impl State {
    fn with<T>(&self, body: impl FnOnce(&Arc<axonic::Client>) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.client.borrow().as_ref() {
            Some(client) => body(client),
            None => Err(closed("client of service", &self.name)),
        }
    }

    fn announce(&self, body: Body) -> Answer {
        if !announce(&self.scratch, &body) {
            self.held.replace(Some(body));
        }
        Answer::Int(SOMETHING)
    }

    /// Keeps a call that is under way; row 0 says its id.
    fn keep(&self, call: axonic::Call) -> Answer {
        let id = call.id();
        self.scratch.row(0)[TICKET] = id as f64;
        self.calls.borrow_mut().insert(id, call);
        Answer::Int(NOTHING)
    }

    /// Begins a call with nothing but bytes, as row 0 says, and spins for its result where that is the waiting mode.
    fn call(&self, method: usize, data: &[u8]) -> axonic::Result<Answer> {
        let row = self.scratch.row(0);
        let content: Content = content_of(row[CONTENT] as i32)?;
        let timeout =
            if row[TIMEOUT] < 0.0 { None } else { Some(options::duration("timeout", row[TIMEOUT])?) };
        let payload = Payload { data, content, tensor: None, attributes: None };
        self.with(|client| {
            let options = CallOptions { timeout, ..CallOptions::default() };
            let Some(mut call) = client.try_start(&self.methods.borrow()[method], payload, &options)? else {
                return Ok(Answer::Int(UNCONNECTED));
            };
            if let Some(spin) = self.spin {
                match call.result(Some(spin)) {
                    Ok(body) => return Ok(self.announce(body)),
                    // Its status would say that its own time is over.
                    Err(error) if error.kind() == ErrorKind::Timeout && error.status().is_none() => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(self.keep(call))
        })
    }

    fn touch<T>(
        &self,
        id: u64,
        body: impl FnOnce(&mut axonic::Call) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        match self.calls.borrow_mut().get_mut(&id) {
            Some(call) => body(call),
            None => Err(closed("call of service", &self.name)),
        }
    }

    /// A call's result if it is there, and then, or when it failed, the call is over.
    fn result(&self, id: u64) -> axonic::Result<Answer> {
        let result = self.touch(id, |call| call.try_result());
        if !matches!(result, Ok(None)) {
            drop(self.calls.borrow_mut().remove(&id));
        }
        Ok(result?.map_or(Answer::Int(NOTHING), |body| self.announce(body)))
    }

    /// The next item of a call's stream if it is there; after the last one the call has its result.
    fn next(&self, id: u64) -> axonic::Result<Answer> {
        let next = self.touch(id, |call| call.try_next());
        if next.is_err() {
            drop(self.calls.borrow_mut().remove(&id));
        }
        Ok(match next? {
            None => Answer::Int(NOTHING),
            Some(None) => Answer::Int(END),
            Some(Some(item)) => self.announce(item),
        })
    }
}

/// A connection that is about to be there.
#[napi]
pub struct ClientConnecting {
    outcome: Elsewhere<()>,
}

#[napi]
impl ClientConnecting {
    /// Nobody waits for it any more.
    #[napi]
    pub fn give_up(&self) {
        self.outcome.give_up();
    }

    /// Readable once it is decided.
    #[napi]
    pub fn fd(&self) -> i32 {
        self.outcome.fd()
    }

    /// Whether it is there; `false`: that is not decided yet.
    #[napi]
    pub fn take(&self, env: &Env) -> Result<bool> {
        Ok(self.outcome.take().or_throw(env)?.is_some())
    }
}

/// The native client behind the facade's.
#[napi]
pub struct Client {
    state: Rc<State>,
}

#[napi]
impl Client {
    pub(crate) fn open(
        domain: &axonic::Domain,
        name: &str,
        range: &str,
        settings: ClientSettings,
        scratch: &Rc<ScratchMemory>,
    ) -> axonic::Result<Client> {
        let ClientSettings { address, max_message, wait } = settings;
        let channel = ChannelSettings { max_message, wait, reconnect: None }.options()?;
        let spin = (channel.wait == Wait::Spin).then_some(SPIN);
        let client = domain.client(name, range, &axonic::ClientOptions { address, channel })?;
        Ok(Client {
            state: Rc::new(State {
                name: name.into(),
                client: RefCell::new(Some(Arc::new(client))),
                spin,
                methods: RefCell::default(),
                calls: RefCell::default(),
                held: RefCell::default(),
                scratch: scratch.clone(),
            }),
        })
    }

    /// The number to call a method by.
    #[napi]
    pub fn method(&self, name: String) -> u32 {
        let mut methods = self.state.methods.borrow_mut();
        methods.push(name);
        (methods.len() - 1) as u32
    }

    /// `(method, view)`: calls a method with a view's bytes, of the content and within the time that row 0 says. -1: nobody was
    /// called, `connect` first; 0: it is under way, with the id in row 0; 1: row 0 tells of its result.
    #[napi(ts_return_type = "(method: number, view: Uint8Array) => number")]
    pub fn bind_call<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"call", &self.state, |state: &State, call: &Call| {
            state.call(call.int(0) as usize, call.bytes(1))
        })
    }

    /// `(method, length)`: the same with the first bytes of the scratch.
    #[napi(ts_return_type = "(method: number, length: number) => number")]
    pub fn bind_call_scratch<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"callScratch", &self.state, |state: &State, call: &Call| {
            let bytes = state.scratch.bytes();
            let length = (call.int(1).max(0) as usize).min(bytes.len());
            state.call(call.int(0) as usize, &bytes[..length])
        })
    }

    /// Begins a call; its id, or -1: nobody was called, `connect` first.
    #[napi]
    pub fn start(
        &self,
        env: &Env,
        method: u32,
        data: &[u8],
        parts: PayloadParts,
        settings: CallSettings,
    ) -> Result<f64> {
        let parts = parts.parse().or_throw(env)?;
        let CallSettings { timeout, input, stream } = settings;
        let timeout =
            timeout.map(|timeout| options::duration("timeout", timeout)).transpose().or_throw(env)?;
        let options = CallOptions { timeout, input, stream };
        let state = &self.state;
        let call = state.with(|client| {
            client.try_start(&state.methods.borrow()[method as usize], parts.payload(data), &options)
        });
        let Some(call) = call.or_throw(env)? else { return Ok(UNCONNECTED as f64) };
        let id = call.id();
        state.keep(call);
        Ok(id as f64)
    }

    /// `(id)`: a call's result: 1: row 0 tells of it; 0: it is not there yet. With an error, too, the call is over.
    #[napi(ts_return_type = "(id: number) => number")]
    pub fn bind_result<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"result", &self.state, |state: &State, call: &Call| state.result(call.number(0) as u64))
    }

    /// `(id)`: the next item of a call's stream: 1: row 0 tells of it; 0: it is not there yet; 2: there is no more.
    #[napi(ts_return_type = "(id: number) => number")]
    pub fn bind_next<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"next", &self.state, |state: &State, call: &Call| state.next(call.number(0) as u64))
    }

    /// Fetches what was announced and did not fit into the scratch.
    #[napi]
    pub fn take(&self, mut target: Uint8Array) {
        if let Some(body) = self.state.held.take() {
            // SAFETY: the facade has just made the array, and nobody else has it.
            unsafe { target.as_mut() }.copy_from_slice(body.data());
        }
    }

    /// Streams one more item to a call's service; `false`: it takes none now.
    #[napi]
    pub fn send(&self, env: &Env, id: f64, data: &[u8], parts: PayloadParts) -> Result<bool> {
        let parts = parts.parse().or_throw(env)?;
        self.state.touch(id as u64, |call| call.try_send(parts.payload(data))).or_throw(env)
    }

    /// There is no more input of a call.
    #[napi]
    pub fn finish_input(&self, env: &Env, id: f64) -> Result<()> {
        self.state.touch(id as u64, |call| call.finish_input()).or_throw(env)
    }

    /// How far a call is, as its service told last.
    #[napi]
    pub fn progress(&self, env: &Env, id: f64) -> Result<Option<CallProgress>> {
        let progress = self.state.touch(id as u64, |call| Ok(call.progress())).or_throw(env)?;
        Ok(progress.map(|(fraction, note)| CallProgress { fraction, note }))
    }

    /// Gives a call up, if it is under way.
    #[napi]
    pub fn cancel(&self, id: f64) {
        drop(self.state.calls.borrow_mut().remove(&(id as u64)));
    }

    /// The ids of calls that something came for since the last time.
    #[napi]
    pub fn news(&self, env: &Env) -> Result<Vec<f64>> {
        let news = self.state.with(|client| client.take_news()).or_throw(env)?;
        Ok(news.into_iter().map(|id| id as f64).collect())
    }

    /// Has a thread connect to whoever provides the service, for as long as somebody waits for it.
    #[napi]
    pub fn connect(&self, env: &Env) -> Result<ClientConnecting> {
        let client = self.state.with(|client| Ok(client.clone())).or_throw(env)?;
        let outcome = Elsewhere::start(move || client.connect(None)).or_throw(env)?;
        Ok(ClientConnecting { outcome })
    }

    /// Whether to connect and try once more, after so many providers that went.
    #[napi]
    pub fn may_try_again(&self, env: &Env, gone: u32) -> Result<()> {
        self.state.with(|client| client.may_try_again(gone as usize)).or_throw(env)
    }

    /// The pollable descriptor; readable until `news` answered that there are none.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|client| client.fd()).or_throw(env)
    }

    /// Ends it, and gives up the calls that are under way; a second time does nothing.
    #[napi]
    pub fn close(&self) {
        self.state.calls.take();
        self.state.held.take();
        if let Some(client) = self.state.client.take() {
            client.close();
        }
    }
}
