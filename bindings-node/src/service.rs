//! Answering calls.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use axonic::{Body, Content, ErrorKind, Payload, Request, Wait};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::body::announce;
use crate::call::{Answer, Call, bind};
use crate::channel::{ChannelSettings, Peer};
use crate::client::SPIN;
use crate::content::{PayloadParts, content_of, flatten};
use crate::error::{OrThrow, ThrownParts, closed};
use crate::memory::{CONTENT, SEQUENCE, SOURCE, ScratchMemory, TICKET};
use crate::options;
use crate::slab::Slab;

/// Where row 0 says by what number the facade knows the method of a call,
const METHOD: usize = SOURCE;
/// and the call's id.
const ID: usize = SEQUENCE;

/// A flag beside the content type in row 0: the call has attributes.
const ATTRIBUTES: u32 = 512;

// What bound calls answer: there is nothing; row 0 tells of something; a stream has ended.
const NOTHING: i64 = 0;
const SOMETHING: i64 = 1;
const END: i64 = 2;

/// How to provide a service; what is missing takes the core's default.
#[napi(object)]
pub struct ServiceSettings {
    /// Calls that may be at work at the same time.
    pub concurrency: Option<f64>,
    /// Bytes of the largest message.
    pub max_message: Option<f64>,
    /// `spin`, `adaptive` or `block`.
    pub wait: Option<String>,
}

struct State {
    name: String,
    service: RefCell<Option<axonic::Service>>,
    /// The methods' names, by the numbers that the facade has for them.
    methods: Vec<String>,
    spin: Option<Duration>,
    /// Calls that are at work.
    requests: RefCell<Slab<Request>>,
    /// An item of a call's input that was announced and did not fit into the scratch.
    held: RefCell<Option<Body>>,
    scratch: Rc<ScratchMemory>,
}

impl State {
    fn with<T>(&self, body: impl FnOnce(&axonic::Service) -> axonic::Result<T>) -> axonic::Result<T> {
        match self.service.borrow().as_ref() {
            Some(service) => body(service),
            None => Err(closed("service", &self.name)),
        }
    }

    /// The next call of a method that there is: row 0 tells of it.
    fn take(&self) -> axonic::Result<Answer> {
        while let Some(request) = self.with(|service| self.next(service))? {
            match self.methods.iter().position(|method| method == request.method()) {
                Some(method) => return self.announce(method, request),
                None => {
                    let methods: Vec<&str> = self.methods.iter().map(String::as_str).collect();
                    request.no_such_method(&methods);
                }
            }
        }
        Ok(Answer::Int(NOTHING))
    }

    fn next(&self, service: &axonic::Service) -> axonic::Result<Option<Request>> {
        let Some(spin) = self.spin else { return service.try_next() };
        match service.next(Some(spin)) {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            next => next.map(Some),
        }
    }

    fn announce(&self, method: usize, request: Request) -> axonic::Result<Answer> {
        announce(&self.scratch, request.body());
        let flags = if request.body().attributes()?.is_empty() { 0 } else { ATTRIBUTES };
        let row = self.scratch.row(0);
        row[CONTENT] += f64::from(flags);
        row[METHOD] = method as f64;
        row[ID] = request.id() as f64;
        row[TICKET] = self.requests.borrow_mut().add(request) as f64;
        Ok(Answer::Int(SOMETHING))
    }

    fn is_gone(&self) -> axonic::Error {
        let text =
            format!("call of service '{}': it is answered already, or the service is closed", self.name);
        axonic::Error::new(ErrorKind::Closed, text)
    }

    fn remove(&self, number: usize) -> axonic::Result<Request> {
        self.requests.borrow_mut().remove(number).ok_or_else(|| self.is_gone())
    }

    fn touch<T>(
        &self,
        number: usize,
        body: impl FnOnce(&mut Request) -> axonic::Result<T>,
    ) -> axonic::Result<T> {
        self.requests.borrow_mut().get(number).ok_or_else(|| self.is_gone()).and_then(body)
    }

    /// Answers a call with nothing but bytes.
    fn reply(&self, number: usize, data: &[u8]) -> axonic::Result<Answer> {
        let content: Content = content_of(self.scratch.row(0)[CONTENT] as i32)?;
        self.remove(number)?.reply(Payload { data, content, tensor: None, attributes: None })?;
        Ok(Answer::Int(SOMETHING))
    }

    /// The next item that a caller streams.
    fn input(&self, number: usize) -> axonic::Result<Answer> {
        match unless_timeout(self.touch(number, |request| request.next(Some(Duration::ZERO))))? {
            None => Ok(Answer::Int(NOTHING)),
            Some(None) => Ok(Answer::Int(END)),
            Some(Some(item)) => {
                if !announce(&self.scratch, &item) {
                    self.held.replace(Some(item));
                }
                Ok(Answer::Int(SOMETHING))
            }
        }
    }
}

/// `None`: it was not there yet.
fn unless_timeout<T>(result: axonic::Result<T>) -> axonic::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
        result => result.map(Some),
    }
}

/// The native service behind the facade's. Calls are known by their numbers.
#[napi]
pub struct Service {
    state: Rc<State>,
}

#[napi]
impl Service {
    pub(crate) fn open(
        domain: &axonic::Domain,
        name: &str,
        version: &str,
        methods: Vec<String>,
        settings: ServiceSettings,
        scratch: &Rc<ScratchMemory>,
    ) -> axonic::Result<Service> {
        let ServiceSettings { concurrency, max_message, wait } = settings;
        let channel = ChannelSettings { max_message, wait, reconnect: None }.options()?;
        let spin = (channel.wait == Wait::Spin).then_some(SPIN);
        let mut options = axonic::ServiceOptions { channel, ..axonic::ServiceOptions::default() };
        if let Some(concurrency) = concurrency {
            options.concurrency = options::size("concurrency", concurrency)?;
        }
        let service = domain.service(name, version, &options)?;
        Ok(Service {
            state: Rc::new(State {
                name: name.into(),
                service: RefCell::new(Some(service)),
                methods,
                spin,
                requests: RefCell::default(),
                held: RefCell::default(),
                scratch: scratch.clone(),
            }),
        })
    }

    /// Its version.
    #[napi]
    pub fn version(&self, env: &Env) -> Result<String> {
        self.state.with(|service| Ok(service.version())).or_throw(env)
    }

    /// Whether it polls for calls rather than wait for them.
    #[napi]
    pub fn spins(&self) -> bool {
        self.state.spin.is_some()
    }

    /// Calls that are at work.
    #[napi]
    pub fn at_work(&self, env: &Env) -> Result<u32> {
        self.state.with(|service| Ok(service.at_work() as u32)).or_throw(env)
    }

    /// Has it called at an address too. The address, with what the system chose.
    #[napi]
    pub fn listen(&self, env: &Env, address: String) -> Result<String> {
        self.state.with(|service| service.listen(&address)).or_throw(env)
    }

    /// `()`: the next call: 1: row 0 tells of it; 0: there is none.
    #[napi(ts_return_type = "() => number")]
    pub fn bind_take<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"take", &self.state, |state: &State, _: &Call| state.take())
    }

    /// `(number, view)`: answers a call with a view's bytes, of the content that row 0 says.
    #[napi(ts_return_type = "(number: number, view: Uint8Array) => number")]
    pub fn bind_reply<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"reply", &self.state, |state: &State, call: &Call| {
            state.reply(call.int(0) as usize, call.bytes(1))
        })
    }

    /// `(number, length)`: the same with the first bytes of the scratch.
    #[napi(ts_return_type = "(number: number, length: number) => number")]
    pub fn bind_reply_scratch<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"replyScratch", &self.state, |state: &State, call: &Call| {
            let bytes = state.scratch.bytes();
            let length = (call.int(1).max(0) as usize).min(bytes.len());
            state.reply(call.int(0) as usize, &bytes[..length])
        })
    }

    /// `(number)`: the next item of a call's input: 1: row 0 tells of it; 0: there is none yet; 2: there is no more.
    #[napi(ts_return_type = "(number: number) => number")]
    pub fn bind_input<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"input", &self.state, |state: &State, call: &Call| state.input(call.int(0) as usize))
    }

    /// Fetches the arguments of a call, or the item of its input, that was announced and did not fit into the scratch.
    #[napi]
    pub fn fetch(&self, env: &Env, number: u32, mut target: Uint8Array) -> Result<()> {
        // SAFETY: the facade has just made the array, and nobody else has it.
        let target = unsafe { target.as_mut() };
        if let Some(item) = self.state.held.take() {
            target.copy_from_slice(item.data());
            return Ok(());
        }
        let copy = |request: &mut Request| {
            target.copy_from_slice(request.body().data());
            Ok(())
        };
        self.state.touch(number as usize, copy).or_throw(env)
    }

    /// The attributes of a call: name, value, name, value.
    #[napi]
    pub fn attributes(&self, env: &Env, number: u32) -> Result<Vec<String>> {
        let attributes = self.state.touch(number as usize, |request| request.body().attributes());
        Ok(flatten(&attributes.or_throw(env)?))
    }

    /// Answers a call.
    #[napi]
    pub fn reply_parts(&self, env: &Env, number: u32, data: &[u8], parts: PayloadParts) -> Result<()> {
        let parts = parts.parse().or_throw(env)?;
        let request = self.state.remove(number as usize).or_throw(env)?;
        request.reply(parts.payload(data)).or_throw(env)
    }

    /// Answers that a call failed by what its handler threw.
    #[napi]
    pub fn fail(&self, env: &Env, number: u32, thrown: ThrownParts) -> Result<()> {
        let status = thrown.status().or_throw(env)?;
        self.state.remove(number as usize).or_throw(env)?.fail(status);
        Ok(())
    }

    /// Says that a call's handler streams.
    #[napi]
    pub fn begin_stream(&self, env: &Env, number: u32) -> Result<()> {
        self.state.touch(number as usize, |request| request.begin_stream()).or_throw(env)
    }

    /// Streams one more item to a caller; `false`: it takes none now.
    #[napi]
    pub fn send(&self, env: &Env, number: u32, data: &[u8], parts: PayloadParts) -> Result<bool> {
        let parts = parts.parse().or_throw(env)?;
        let send = |request: &mut Request| request.send(parts.payload(data), Some(Duration::ZERO));
        Ok(unless_timeout(self.state.touch(number as usize, send)).or_throw(env)?.is_some())
    }

    /// Tells a caller how far its call is.
    #[napi]
    pub fn progress(&self, env: &Env, number: u32, fraction: f64, note: String) -> Result<()> {
        let tell = |request: &mut Request| {
            request.progress(fraction, &note);
            Ok(())
        };
        self.state.touch(number as usize, tell).or_throw(env)
    }

    /// Milliseconds that a caller still waits; `null`: as long as it takes.
    #[napi]
    pub fn remaining(&self, env: &Env, number: u32) -> Result<Option<f64>> {
        let remaining = self.state.touch(number as usize, |request| Ok(request.remaining())).or_throw(env)?;
        Ok(remaining.map(|remaining| remaining.as_secs_f64() * 1000.0))
    }

    /// Who calls.
    #[napi]
    pub fn peer(&self, env: &Env, number: u32) -> Result<Peer> {
        let caller = |request: &mut Request| Ok(Peer::from(&request.caller().clone()));
        self.state.touch(number as usize, caller).or_throw(env)
    }

    /// The ids of calls at work that nobody waits for any more, since the last time.
    #[napi]
    pub fn given_up(&self, env: &Env) -> Result<Vec<f64>> {
        let given_up = self.state.with(|service| Ok(service.take_given_up())).or_throw(env)?;
        Ok(given_up.into_iter().map(|id| id as f64).collect())
    }

    /// The ids of calls at work whose streams may go on, since the last time.
    #[napi]
    pub fn news(&self, env: &Env) -> Result<Vec<f64>> {
        let news = self.state.with(|service| Ok(service.take_news())).or_throw(env)?;
        Ok(news.into_iter().map(|id| id as f64).collect())
    }

    /// The pollable descriptor; readable until `take` answered that there is nothing.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        self.state.with(|service| service.fd()).or_throw(env)
    }

    /// Ends it: calls that are not answered fail. A second time does nothing.
    #[napi]
    pub fn close(&self) {
        if let Some(service) = self.state.service.take() {
            service.close();
        }
        self.state.requests.take();
        self.state.held.take();
    }
}
