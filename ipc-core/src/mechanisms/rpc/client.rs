//! Clients: whoever calls a service.

use super::body::{Body, Parts};
use super::call::{Call, CallOptions};
use super::connection::Connection;
use super::desk::{Hello, Welcome};
use super::frame::{Frame, Header, Kind};
use super::json;
use super::providers::{self, Provider};
use crate::domain::layout::ObjectId;
use crate::domain::{Domain, closed, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::turns::Turns;
use crate::mechanisms::channel::{Address, Channel, ChannelOptions, Scheme, shm};
use crate::status::{Code, Status};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Epoll;
use crate::value::Payload;
use semver::{Version, VersionReq};
use std::fmt;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// How to open a client.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// Where the service is, as a channel's address; `None`: at whoever provides it in the domain. One that is not Axonic's
    /// and speaks JSON-RPC 2.0 is at an address with `?protocol=json-rpc`, and `&framing=content-length` where its texts
    /// are not lines; what is called is its method, whatever the service's name and versions are.
    pub address: Option<String>,
    /// How to wait, and how large messages may be.
    pub channel: ChannelOptions,
}

/// How many providers are tried that go just when they are to be called.
const ELSEWHERE: usize = 16;

type Connections = Arc<[Arc<Connection>]>;

/// How long one that does not let anybody in, since it is stopped or busy, is waited for at first while others may serve, and
/// after how long it is asked again while others do.
const QUICK: Duration = Duration::from_millis(20);
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The providers a client knows.
#[derive(Default)]
struct Known {
    all: Vec<(Provider, Arc<Connection>)>,
    /// Those that did not let it in, and when.
    slow: Vec<(Provider, Instant)>,
}

/// Calls a service, at any of its providers. Several threads may use it at the same time. After a fork the child connects
/// anew at its first use.
pub struct Client {
    domain: Domain,
    service: String,
    range: VersionReq,
    options: ClientOptions,
    connections: RwLock<Connections>,
    /// As of which generation it has looked for providers, plus one; zero: it must look.
    seen: AtomicU64,
    /// Those it knows; taken by who looks, who may wait for them.
    known: Turns<Known>,
    turn: AtomicUsize,
    /// The descriptors of all connections, once somebody asked for them.
    set: OnceLock<Arc<Epoll>>,
    /// Held by who puts some into it.
    watching: Mutex<()>,
    /// Connections that end, whose calls an event loop has not heard of.
    ended: Mutex<Vec<Arc<Connection>>>,
    /// A provider did not let it in; whoever may wait tries again.
    lacking: AtomicBool,
    /// Its address named descriptors, which are this process's no more: their numbers may be others' now.
    spent: AtomicBool,
    closed: AtomicBool,
    reopened: OnceLock<Box<Client>>,
}

impl Domain {
    /// Calls the service `service`, whoever provides a version in `range` (such as `^1.2`). That nobody does is told by calls.
    pub fn client(&self, service: &str, range: &str, options: &ClientOptions) -> Result<Client> {
        let range = providers::check_range(service, range)?;
        super::check("client of", service, &options.channel)?;
        if let Some(address) = &options.address {
            super::check_carrier(&address.parse()?)?;
        }
        Ok(Client {
            domain: self.current()?,
            service: service.into(),
            range,
            options: options.clone(),
            connections: RwLock::new(Arc::new([])),
            seen: AtomicU64::new(0),
            known: Turns::new(Known::default()),
            turn: AtomicUsize::new(0),
            set: OnceLock::new(),
            watching: Mutex::default(),
            ended: Mutex::default(),
            lacking: AtomicBool::new(false),
            spent: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            reopened: OnceLock::new(),
        })
    }
}

impl Client {
    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The versions it can do with.
    pub fn range(&self) -> String {
        self.range.to_string()
    }

    /// Calls a method and waits for its result, up to `timeout` (`None`: until it is done, or its provider is gone).
    pub fn call(&self, method: &str, payload: Payload<'_>, timeout: Option<Duration>) -> Result<Body> {
        self.start(method, payload, &CallOptions { timeout, ..CallOptions::default() })?.result(None)
    }

    /// Sends a call on its way, to the provider with the fewest under way.
    pub fn start(&self, method: &str, payload: Payload<'_>, options: &CallOptions) -> Result<Call> {
        let client = self.usable()?;
        let deadline = Deadline::after(options.timeout);
        let started = Call::start(client.pick(&deadline)?, method, payload, options, &deadline);
        match started {
            Err(e) if not_sent(&e) => client.start_elsewhere(method, payload, options, &deadline, e),
            started => started,
        }
    }

    /// The same for who must not wait. `None` where it would have to, until it is connected to a provider: [`Client::start`]
    /// waits for that, and [`Client::connect`]. What finds no room is kept: it goes out once the descriptor has told of room
    /// ([`Client::take_news`]), or with [`Client::flush`].
    pub fn try_start(
        &self,
        method: &str,
        payload: Payload<'_>,
        options: &CallOptions,
    ) -> Result<Option<Call>> {
        let client = self.usable()?;
        let Some(connection) = client.connected() else { return Ok(None) };
        match Call::try_start(connection, method, payload, options) {
            Err(e) if e.kind() == ErrorKind::Unavailable => Ok(None),
            started => started.map(Some),
        }
    }

    /// Connects to whoever provides the service now, ahead of calls. That may wait for the providers, up to `timeout`.
    pub fn connect(&self, timeout: Option<Duration>) -> Result<()> {
        self.usable()?.pick(&Deadline::after(timeout)).map(drop)
    }

    /// For who calls with [`Client::try_start`] and [`Client::connect`]: whether to do so once more after so many providers that
    /// went just when they were to be called. [`Client::start`] sees to that by itself.
    pub fn may_try_again(&self, gone: usize) -> Result<()> {
        if gone < ELSEWHERE {
            return Ok(());
        }
        let text = format!("service '{}': its providers come and go; call again", self.service);
        Err(Error::of_call(text.clone(), Status::new(Code::Unavailable, text)))
    }

    /// Sends what [`Client::try_start`] and [`Call::try_send`] could not yet, as far as there is room. Whether nothing is left.
    pub fn flush(&self) -> Result<bool> {
        let connections = self.usable()?.connections().clone();
        for connection in connections.iter() {
            if let Err(e) = connection.wire.flush() {
                // Its calls are told.
                connection.end(e);
            }
        }
        Ok(connections.iter().all(|connection| connection.is_ended() || connection.wire.behind() == 0))
    }

    /// A provider went before it could be sent the call: another one serves as well.
    #[cold]
    fn start_elsewhere(
        &self,
        method: &str,
        payload: Payload<'_>,
        options: &CallOptions,
        deadline: &Deadline,
        mut why: Error,
    ) -> Result<Call> {
        for _ in 0..ELSEWHERE {
            match Call::start(self.pick(deadline)?, method, payload, options, deadline) {
                Err(e) if not_sent(&e) => why = e,
                started => return started,
            }
        }
        Err(why)
    }

    #[inline(always)]
    fn pick(&self, deadline: &Deadline) -> Result<Arc<Connection>> {
        match self.connected() {
            Some(connection) if !self.lacking.load(Ordering::Relaxed) => Ok(connection),
            _ => self.pick_anew(deadline),
        }
    }

    /// One of those it is connected to, if nobody has come or gone since it looked.
    #[inline(always)]
    fn connected(&self) -> Option<Arc<Connection>> {
        let generation = self.domain.inner().participants.board().services.now();
        let seen = self.seen.load(Ordering::Acquire) == generation.wrapping_add(1);
        if seen { self.least(&self.connections()) } else { None }
    }

    #[cold]
    fn pick_anew(&self, deadline: &Deadline) -> Result<Arc<Connection>> {
        let looked = self.known.have(deadline, |known| self.look(known, deadline).map(Some))?;
        let connections = looked.ok_or_else(|| self.not_connected_in_time(None))?;
        self.least(&connections).ok_or_else(|| self.nobody(None))
    }

    fn connections(&self) -> RwLockReadGuard<'_, Connections> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one with the fewest calls under way; in turns among equals.
    fn least(&self, connections: &[Arc<Connection>]) -> Option<Arc<Connection>> {
        if let [only] = connections {
            return (!only.is_ended()).then(|| only.clone());
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (after, before) = connections.split_at(turn % connections.len().max(1));
        let alive = before.iter().chain(after).filter(|connection| !connection.is_ended());
        alive.min_by_key(|connection| connection.load.load(Ordering::Relaxed)).cloned()
    }

    /// Looks who provides the service now, and connects to who is new.
    fn look(&self, known: &mut Known, deadline: &Deadline) -> Result<Connections> {
        // Read before looking: who appears meanwhile raises it once more (D1).
        let generation = self.domain.inner().participants.board().services.now();
        let (mut failed, mut patience) = (None, QUICK);
        known.slow.retain(|(_, when)| when.elapsed() < ASK_AGAIN);
        let mut missing = self.providers()?;
        // Who provides nothing any more is gone, whether that was noticed or not.
        let is_over = |(provider, connection): &mut (Provider, Arc<Connection>)| {
            connection.is_ended() || !missing.contains(provider)
        };
        // Those that have nothing more to tell, be it that nobody asks for it.
        lock(&self.ended).retain(|gone| !gone.is_ended() || gone.load.load(Ordering::Relaxed) > 0);
        for (_, connection) in known.all.extract_if(.., is_over) {
            if self.set.get().is_some() {
                lock(&self.ended).push(connection);
            }
        }
        // The descriptors of one who is gone may be others' by now.
        let spent = self.spent.load(Ordering::Relaxed);
        missing.retain(|provider| !spent && known.all.iter().all(|(known, _)| known != provider));
        while !missing.is_empty() && (known.all.is_empty() || patience == QUICK) {
            let only = missing.len() == 1 && known.all.is_empty();
            let until = |patience| if only { *deadline } else { deadline.within(patience) };
            missing.retain(|provider| {
                if !known.all.is_empty() && known.slow.iter().any(|(slow, _)| slow == provider) {
                    return true;
                }
                match self.connect_with(provider, &until(patience)) {
                    Ok(connection) => known.all.push((provider.clone(), Arc::new(connection))),
                    Err(e) if e.kind() == ErrorKind::Timeout && !deadline.passed() => {
                        known.slow.push((provider.clone(), Instant::now()));
                        return true;
                    }
                    // It is going: the others serve.
                    Err(e) => failed = Some(e),
                }
                false
            });
            patience *= 2;
        }
        let all: Connections = known.all.iter().map(|(_, connection)| connection.clone()).collect();
        *self.connections.write().unwrap_or_else(PoisonError::into_inner) = all.clone();
        if self.closed.load(Ordering::SeqCst) {
            known.all.clear();
            self.end();
            return Err(self.unusable());
        }
        self.watch_all(&all)?;
        self.lacking.store(failed.is_some() || !missing.is_empty(), Ordering::Relaxed);
        self.seen.store(generation.wrapping_add(1), Ordering::Release);
        match failed {
            Some(e) if all.is_empty() => Err(self.not_connected(e)),
            _ => Ok(all),
        }
    }

    /// Who can be called; where there is an address, whoever is there.
    fn providers(&self) -> Result<Vec<Provider>> {
        let Some(address) = &self.options.address else {
            let mut found = providers::find(&self.domain, &self.service)?;
            found.retain(|provider| self.range.matches(&provider.version));
            return Ok(found);
        };
        Ok(vec![Provider { version: Version::new(0, 0, 0), id: ObjectId(0), file: address.clone() }])
    }

    fn connect_with(&self, provider: &Provider, deadline: &Deadline) -> Result<Connection> {
        match &self.options.address {
            Some(address) => self.connect_at(address, deadline),
            None => self.connect_to(provider, deadline),
        }
    }

    /// Has the set of an event loop, where there is one, tell of all connections.
    fn watch_all(&self, connections: &[Arc<Connection>]) -> Result<()> {
        let Some(set) = self.set.get() else { return Ok(()) };
        let _one = lock(&self.watching);
        connections.iter().filter(|connection| !connection.is_watched()).try_for_each(|c| c.watch(set))
    }

    fn connect_to(&self, provider: &Provider, deadline: &Deadline) -> Result<Connection> {
        let address = format!("shm://{}/{}@{}", self.domain.name(), self.service, provider.version);
        let options = &self.options.channel;
        let goes_on = &|| if self.closed.load(Ordering::Relaxed) { Err(closed("it")) } else { Ok(()) };
        let link =
            shm::connect_to(&self.domain, &provider.file, &address.parse()?, options, deadline, goes_on)
                .map_err(|e| e.of("client of", &self.service))?;
        let who = self.domain.inner().who(provider.id.owner());
        let channel = Channel::new(&self.domain, address, options, link);
        Ok(Connection::new(channel, format!("{}@{} of {who}", self.service, provider.version)))
    }

    /// Says what it wants, and hears whether that is there.
    fn connect_at(&self, address: &str, deadline: &Deadline) -> Result<Connection> {
        let options = &self.options.channel;
        let parsed: Address = address.parse()?;
        let protocol = json::of(&parsed, options.max_message)?;
        let is_other = protocol.is_some();
        let channel = self.domain.connect_to(address, options, deadline.remaining(), protocol)?;
        self.spent.store(parsed.scheme() == Scheme::Pipe, Ordering::Relaxed);
        if is_other {
            return Ok(Connection::new(channel, format!("{} at {address}", self.service)));
        }
        let hello = Hello { service: self.service.clone(), range: self.range() };
        let hello = serde_json::to_vec(&hello).unwrap_or_default();
        let mut connection = Connection::new(channel, format!("{} at {address}", self.service));
        let parts = Parts { meta: Vec::new(), data: &hello };
        connection.send(Header::new(Kind::Hello, 0), &[], &parts, deadline)?;
        let answer = connection.wire.channel.receive(deadline.remaining())?;
        let frame = Frame::decode(&answer.data)?;
        match (frame.header.kind, serde_json::from_slice::<Welcome>(frame.data)) {
            (Kind::Welcome, Ok(welcome)) => {
                connection.provider = format!("{}@{} at {address}", welcome.service, welcome.version);
                Ok(connection)
            }
            (Kind::Failure, _) => {
                let status = Status::decode(frame.data);
                let text = format!("service '{}' at {address}: {}", self.service, status.message);
                Err(Error::of_call(text.clone(), Status::new(Code::Unavailable, text).with_retryable(false)))
            }
            _ => {
                let text = format!(
                    "service '{}' at {address}: what answers there speaks another protocol",
                    self.service
                );
                Err(Error::new(ErrorKind::Corrupt, text))
            }
        }
    }

    /// That nobody is there is the same in the domain and at an address.
    fn not_connected(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Disconnected => self.nobody(Some(error)),
            ErrorKind::Timeout => self.not_connected_in_time(Some(error)),
            _ => error,
        }
    }

    #[cold]
    fn not_connected_in_time(&self, error: Option<Error>) -> Error {
        let why = match error {
            Some(error) => error.message().to_string(),
            None => format!("client of '{}': another call waits for a provider to let it in", self.service),
        };
        let text = format!("{why}; the call was not sent");
        Error::of_call(text.clone(), Status::new(Code::DeadlineExceeded, text).with_retryable(true))
    }

    #[cold]
    fn nobody(&self, error: Option<Error>) -> Error {
        let text = match (&self.options.address, error) {
            (Some(address), Some(error)) => {
                format!(
                    "service '{}': nobody provides it at {address} ({}); start one",
                    self.service,
                    error.message()
                )
            }
            (Some(address), None) => {
                format!(
                    "service '{}': who was at {address} is gone, and its descriptors with it; make another client, of \
                     others",
                    self.service
                )
            }
            _ => {
                let others = providers::find(&self.domain, &self.service).unwrap_or_default();
                let mut versions: Vec<&Version> = others.iter().map(|other| &other.version).collect();
                versions.sort();
                versions.dedup();
                let versions: Vec<String> = versions.iter().map(|version| version.to_string()).collect();
                let there = match versions.is_empty() {
                    true => "nobody provides it".into(),
                    false => format!("there is {}", versions.join(", ")),
                };
                format!(
                    "service '{}': no provider of {} lives, {there}; start one, or ask for another version",
                    self.service, self.range
                )
            }
        };
        let retryable = !self.spent.load(Ordering::Relaxed);
        Error::of_call(text.clone(), Status::new(Code::Unavailable, text).with_retryable(retryable))
    }

    /// For who works in an event loop: readable until [`Client::take_news`] has returned nothing. It does not tell of what
    /// another thread has read that waits for a call meanwhile: that one uses a client of its own.
    pub fn fd(&self) -> Result<RawFd> {
        let client = self.usable()?;
        if client.set.get().is_none() {
            let _ = client.set.set(Arc::new(Epoll::new()?));
            // Whoever connects meanwhile finds the set, or its connection is found here.
            let connections = client.connections().clone();
            client.watch_all(&connections)?;
        }
        client.set.get().map(|set| set.as_raw_fd()).ok_or_else(|| closed("it"))
    }

    /// Reads what came, and returns the calls ([`Call::id`]) that something came for since the last time.
    pub fn take_news(&self) -> Result<Vec<u64>> {
        let client = self.usable()?;
        let (connections, ended) = (client.connections().clone(), std::mem::take(&mut *lock(&client.ended)));
        let mut news = Vec::new();
        for connection in connections.iter().chain(&ended) {
            let calls = connection.take_news();
            news.extend(calls.into_iter().map(|call| connection.id_of(call)));
        }
        lock(&client.ended).extend(ended.into_iter().filter(|connection| !connection.is_ended()));
        Ok(news)
    }

    /// Itself, or in a forked child the one that was opened there.
    #[inline(always)]
    fn usable(&self) -> Result<&Client> {
        if self.domain.usable() && !self.closed.load(Ordering::Relaxed) { Ok(self) } else { self.renewed() }
    }

    #[cold]
    fn renewed(&self) -> Result<&Client> {
        if self.closed.load(Ordering::Relaxed) || !self.domain.forked() {
            return Err(self.unusable());
        }
        if self.reopened.get().is_none() {
            let fresh = self.domain.client(&self.service, &self.range(), &self.options)?;
            self.reopened.get_or_init(|| Box::new(fresh));
        }
        self.reopened.get().map_or_else(|| Err(closed("it")), |client| client.usable())
    }

    /// Ends it, and gives up the calls that are under way.
    pub fn close(&self) {
        if let Some(reopened) = self.reopened.get() {
            reopened.close();
        }
        if !self.closed.swap(true, Ordering::SeqCst) && !self.domain.forked() {
            // Whoever is just looking finds it closed.
            self.known.with(|known| known.all.clear());
            self.end();
        }
    }

    fn end(&self) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        let connections = std::mem::replace(&mut *connections, Arc::new([]));
        connections.iter().for_each(|connection| connection.wire.channel.close());
    }

    #[cold]
    fn unusable(&self) -> Error {
        closed(&format!("client of '{}'", self.service))
    }
}

/// Whether a call came to nobody at all.
fn not_sent(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.status().is_some_and(|status| status.retryable)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.connections().len();
        write!(f, "Client({:?}, {}, {count} providers)", self.service, self.range)
    }
}
