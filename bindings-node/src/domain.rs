//! A named place: what everything else is opened in.

use std::rc::Rc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::channel::{ChannelSettings, Connecting, Listener, Pipe};
use crate::client::{Client, ClientSettings};
use crate::error::OrThrow;
use crate::lock::{Barrier, Event, LockHolder, LockSettings, Mutex, RwLock, Semaphore};
use crate::memory::{Scratch, ScratchMemory};
use crate::options;
use crate::publisher::{Publisher, PublisherSettings};
use crate::queue::{Queue, QueueSettings};
use crate::region::{Region, RegionSettings};
use crate::ring::{RingConsumer, RingProducer, RingSettings};
use crate::service::{Service, ServiceSettings};
use crate::subscriber::{Subscriber, SubscriberSettings};

/// How to open a domain; what is missing takes the core's default.
#[napi(object)]
#[derive(Default)]
pub struct DomainSettings {
    /// Its name; default `AXONIC_DOMAIN` or `default`.
    pub name: Option<String>,
    /// Where its files live.
    pub runtime_dir: Option<String>,
    /// Permission bits of a group's domain.
    pub mode: Option<f64>,
    /// Group id of a group's domain.
    pub group: Option<f64>,
    /// Participants the domain has room for, when this call creates it.
    pub max_participants: Option<f64>,
    /// Bytes the domain's objects may take together, when this call creates it.
    pub quota: Option<f64>,
    /// Bytes each participant's objects may take, when this call creates it.
    pub participant_quota: Option<f64>,
    /// Where durable queues are kept.
    pub data_dir: Option<String>,
    /// What `axonic ls` calls this participant.
    pub label: Option<String>,
}

impl DomainSettings {
    fn options(self) -> axonic::Result<axonic::DomainOptions> {
        let number = |what: &str, value: Option<f64>| value.map(|n| options::number(what, n)).transpose();
        let bytes = |what: &str, value: Option<f64>| -> axonic::Result<Option<u64>> {
            Ok(value.map(|n| options::size(what, n)).transpose()?.map(|n| n as u64))
        };
        Ok(axonic::DomainOptions {
            name: self.name,
            runtime_dir: self.runtime_dir.map(Into::into),
            mode: number("mode", self.mode)?,
            group: number("group", self.group)?,
            max_participants: number("maxParticipants", self.max_participants)?,
            quota: bytes("quota", self.quota)?,
            participant_quota: bytes("participantQuota", self.participant_quota)?,
            data_dir: self.data_dir.map(Into::into),
            label: self.label,
        })
    }
}

/// An open domain: one participant.
#[napi]
pub struct Domain {
    domain: axonic::Domain,
    scratch: Rc<ScratchMemory>,
}

#[napi]
impl Domain {
    /// Opens or creates it.
    #[napi(factory)]
    pub fn open(env: &Env, settings: DomainSettings, scratch: &Scratch) -> Result<Domain> {
        let domain = settings.options().and_then(axonic::Domain::open_with).or_throw(env)?;
        Ok(Domain { domain, scratch: scratch.memory.clone() })
    }

    /// Its name.
    #[napi]
    pub fn name(&self) -> String {
        self.domain.name().into()
    }

    /// Its directory.
    #[napi]
    pub fn path(&self) -> String {
        self.domain.path().to_string_lossy().into_owned()
    }

    /// This open, as `slot.epoch`.
    #[napi]
    pub fn participant(&self) -> String {
        self.domain.participant().to_string()
    }

    /// Ends the participant; its handles answer Closed afterwards.
    #[napi]
    pub fn close(&self) {
        self.domain.close();
    }

    /// Whether it was closed.
    #[napi]
    pub fn is_closed(&self) -> bool {
        self.domain.is_closed()
    }

    /// Opens a publisher.
    #[napi]
    pub fn publisher(&self, env: &Env, topic: String, settings: PublisherSettings) -> Result<Publisher> {
        let options = settings.options().or_throw(env)?;
        let publisher = self.domain.publisher(&topic, &options).or_throw(env)?;
        Ok(Publisher::new(publisher, &self.scratch))
    }

    /// Opens a subscriber.
    #[napi]
    pub fn subscriber(&self, env: &Env, pattern: String, settings: SubscriberSettings) -> Result<Subscriber> {
        let options = settings.options().or_throw(env)?;
        let subscriber = self.domain.subscriber(&pattern, &options).or_throw(env)?;
        Ok(Subscriber::new(subscriber, &self.scratch))
    }

    /// Opens or creates a region.
    #[napi]
    pub fn region(&self, env: &Env, name: String, settings: RegionSettings) -> Result<Region> {
        let options = settings.options().or_throw(env)?;
        Ok(Region::new(self.domain.region(&name, &options).or_throw(env)?))
    }

    /// Opens the writing end of a ring.
    #[napi]
    pub fn ring_producer(&self, env: &Env, name: String, settings: RingSettings) -> Result<RingProducer> {
        let options = settings.options().or_throw(env)?;
        Ok(RingProducer::new(self.domain.ring_producer(&name, &options).or_throw(env)?))
    }

    /// Opens the reading end of a ring.
    #[napi]
    pub fn ring_consumer(&self, env: &Env, name: String, settings: RingSettings) -> Result<RingConsumer> {
        let options = settings.options().or_throw(env)?;
        let consumer = self.domain.ring_consumer(&name, &options).or_throw(env)?;
        Ok(RingConsumer::new(consumer, &self.scratch))
    }

    /// Opens or creates a queue.
    #[napi]
    pub fn queue(&self, env: &Env, name: String, settings: QueueSettings) -> Result<Queue> {
        let options = settings.options().or_throw(env)?;
        Queue::open(&self.domain, &name, options, &self.scratch).or_throw(env)
    }

    /// Opens or creates a mutex.
    #[napi]
    pub fn mutex(&self, env: &Env, name: String, settings: LockSettings) -> Result<Mutex> {
        settings.options().and_then(|options| Mutex::open(&self.domain, &name, options)).or_throw(env)
    }

    /// Opens or creates a lock for readers and writers.
    #[napi]
    pub fn rwlock(&self, env: &Env, name: String, settings: LockSettings) -> Result<RwLock> {
        settings.options().and_then(|options| RwLock::open(&self.domain, &name, options)).or_throw(env)
    }

    /// Opens a semaphore, or creates it with so many permits.
    #[napi]
    pub fn semaphore(
        &self,
        env: &Env,
        name: String,
        permits: f64,
        settings: LockSettings,
    ) -> Result<Semaphore> {
        let permits = options::number("permits", permits).or_throw(env)?;
        let options = settings.options().or_throw(env)?;
        Semaphore::open(&self.domain, &name, permits, options).or_throw(env)
    }

    /// Opens or creates an event, which (`auto_reset`) the first one that waited for it clears.
    #[napi]
    pub fn event(&self, env: &Env, name: String, auto_reset: bool, settings: LockSettings) -> Result<Event> {
        let options = settings.options().or_throw(env)?;
        Event::open(&self.domain, &name, auto_reset, options).or_throw(env)
    }

    /// Opens a barrier, or creates it for so many parties.
    #[napi]
    pub fn barrier(&self, env: &Env, name: String, parties: f64, settings: LockSettings) -> Result<Barrier> {
        let parties = options::number("parties", parties).or_throw(env)?;
        let options = settings.options().or_throw(env)?;
        Barrier::open(&self.domain, &name, parties, options).or_throw(env)
    }

    /// Listens for channels at an address.
    #[napi]
    pub fn listen(&self, env: &Env, address: String, settings: ChannelSettings) -> Result<Listener> {
        let options = settings.options().or_throw(env)?;
        Ok(Listener::new(self.domain.listen(&address, &options).or_throw(env)?, &self.scratch))
    }

    /// Has a thread open a channel to whoever listens at an address, within so many milliseconds.
    #[napi]
    pub fn connect(
        &self,
        env: &Env,
        address: String,
        timeout: Option<f64>,
        settings: ChannelSettings,
    ) -> Result<Connecting> {
        Connecting::start(&self.domain, address, settings, timeout, &self.scratch).or_throw(env)
    }

    /// Opens a channel to a child of this process.
    #[napi]
    pub fn pipe(&self, env: &Env, settings: ChannelSettings) -> Result<Pipe> {
        Pipe::open(&self.domain, settings, &self.scratch).or_throw(env)
    }

    /// Provides a service whose methods have these names.
    #[napi]
    pub fn service(
        &self,
        env: &Env,
        name: String,
        version: String,
        methods: Vec<String>,
        settings: ServiceSettings,
    ) -> Result<Service> {
        Service::open(&self.domain, &name, &version, methods, settings, &self.scratch).or_throw(env)
    }

    /// Opens a client of whoever provides a service in a range of versions.
    #[napi]
    pub fn client(&self, env: &Env, name: String, range: String, settings: ClientSettings) -> Result<Client> {
        Client::open(&self.domain, &name, &range, settings, &self.scratch).or_throw(env)
    }

    /// Who has this lock, of any type.
    #[napi]
    pub fn lock_holders(&self, env: &Env, name: String) -> Result<Vec<LockHolder>> {
        let holders = self.domain.lock_holders(&name).or_throw(env)?;
        Ok(holders.into_iter().map(LockHolder::from).collect())
    }

    /// Removes a region, or what is left of a topic, ring, queue or lock.
    #[napi]
    pub fn unlink(&self, env: &Env, noun: String, name: String) -> Result<()> {
        let noun = options::noun(&noun).or_throw(env)?;
        self.domain.unlink(noun, &name).or_throw(env)
    }
}
