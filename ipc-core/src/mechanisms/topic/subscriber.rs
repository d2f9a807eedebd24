//! The subscribing end of a topic.

mod follow;
mod take;

use super::cursor::SubscriberShared;
use super::message::{Arrival, Bytes, Envelope, Message, Pinned, Sample};
use super::{INLINE_MAX, SubscriberOptions, lifetime, orphans};
use crate::domain::layout::ObjectId;
use crate::domain::waiter::{Arming, Ringer, Sleeper, Waiter, wait_for};
use crate::domain::{Attached, Directory, Domain, Wait, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{GRAIN, linger};
use crate::mechanisms::words::Scratch;
use crate::name::Pattern;
use crate::sys::clock::Deadline;
use crate::sys::file;
use crate::value::MAX_META;
use follow::Source;
use std::collections::HashSet;
use std::fmt;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tracing::debug;

/// Largest body of a record in a topic's ring.
const MAX_BODY: usize = INLINE_MAX.next_multiple_of(GRAIN) + MAX_META;

/// Messages taken from one publisher before the next one has its turn.
const BURST: u32 = 64;

/// Receives from every topic its pattern matches. One thread uses it at a time (`Send`, not `Sync`).
///
/// A subscriber of a forked child opens anew at its first use there.
pub struct Subscriber {
    domain: Domain,
    pattern: Pattern,
    options: SubscriberOptions,
    shared: Arc<SubscriberShared>,
    waiter: Waiter,
    sources: Vec<Source>,
    /// Rings that are of no use to us, so that they are not opened again and again.
    passed_over: HashSet<ObjectId>,
    /// Rings that cannot be believed: the cursor stays, nowhere, or their publishers would wait for us.
    abandoned: Vec<(ObjectId, usize)>,
    /// Rings that were read out, and when they were born; to be removed if nobody else is owed them.
    done: Vec<(ObjectId, u64)>,
    next: usize,
    burst: u32,
    /// Some publisher ended and its last messages are still to be taken.
    finishing: bool,
    /// The last message was there when it was asked for.
    streaming: bool,
    generation: Option<u64>,
    /// There was a ring for which no cursor was free.
    crowded: bool,
    light: bool,
    /// The body of the record just taken; always has room for the largest.
    record: Scratch,
    /// The payload just copied from a slab.
    bulk: Scratch,
    /// The payload just borrowed, on its way into a sample.
    pinned: Option<Pinned>,
    /// Where the bytes of the message just taken are, what it says besides them, and its topic.
    taken: Taken,
    envelope: Envelope,
    topic: Arc<str>,
    received: u64,
    missed: u64,
    bytes: u64,
}

/// Counters of a subscriber since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Messages received.
    pub received: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Messages missed.
    pub missed: u64,
    /// Rings (publishers) followed now.
    pub rings: usize,
    /// Of these, those whose publishers were found to have ended and that are still to be read out.
    pub orphans: usize,
    /// Samples borrowed now.
    pub pinned: usize,
}

/// What to do with a large payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Copy,
    Borrow,
}

/// Where the bytes of a message are, and how many. It waits in the subscriber while the calls that took it return
/// no more than that they did: moving it through them cost half of what receiving a small message costs.
#[derive(Clone, Copy)]
enum Taken {
    Record(usize),
    Bulk(usize),
    /// In `pinned`.
    Pinned(usize),
}

impl Subscriber {
    pub(super) fn open(domain: Domain, pattern: &str, options: &SubscriberOptions) -> Result<Subscriber> {
        let pattern = Pattern::new(pattern)?;
        let name = pattern.as_str().to_string();
        Subscriber::open_checked(domain.clone(), pattern, options)
            .map_err(|e| domain.not_opened("subscriber", &name, e))
    }

    fn open_checked(domain: Domain, pattern: Pattern, options: &SubscriberOptions) -> Result<Subscriber> {
        options.check()?;
        lifetime::arrive(&domain);
        let inner = domain.inner();
        let id = inner.new_id();
        let mut waiter = Waiter::new(&inner.directory(Directory::Bells), id, inner.access())?;
        waiter.registered_peers = inner.participants.is_registered(inner.me());
        let shared = match SubscriberShared::create(
            &domain,
            id,
            waiter.path(),
            pattern.as_str(),
            options.max_borrowed,
        ) {
            Ok(shared) => Arc::new(shared),
            Err(e) => {
                file::unlink(waiter.path());
                return Err(e);
            }
        };
        let attached: Weak<dyn Attached> = Arc::<SubscriberShared>::downgrade(&shared);
        inner.attach(attached);
        // D1: our page is linked; raise, then look for publishers.
        inner.participants.board().subscribers.raise();
        let mut subscriber = Subscriber {
            pattern,
            options: options.clone(),
            shared,
            waiter,
            sources: Vec::new(),
            passed_over: HashSet::new(),
            abandoned: Vec::new(),
            done: Vec::new(),
            next: 0,
            burst: 0,
            finishing: false,
            streaming: false,
            generation: None,
            crowded: false,
            light: inner.participants.is_registered(inner.me()),
            record: Scratch::of(MAX_BODY),
            bulk: Scratch::default(),
            pinned: None,
            taken: Taken::Record(0),
            envelope: Envelope::default(),
            topic: "".into(),
            received: 0,
            missed: 0,
            bytes: 0,
            domain: domain.clone(),
        };
        match subscriber.refresh() {
            // Somebody's damaged ring is no reason not to read all others; the first receive tells of it.
            Err(e) if e.is_damage() => {
                let publishers = inner.directory(Directory::Publishers);
                // A remnant was counted; it is not counted again.
                subscriber.passed_over.retain(|id| orphans::is_remnant(&publishers.join(id.to_string())));
                subscriber.generation = None;
            }
            other => other?,
        }
        let alive = subscriber.sources.iter().filter(|source| !source.is_finished()).count();
        debug!("subscriber '{}': opened {id}, {alive} publishers are there", subscriber.pattern());
        Ok(subscriber)
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// Its number, unique in the domain.
    pub fn id(&self) -> u64 {
        self.shared.id.0
    }

    /// The options it was opened with.
    pub fn options(&self) -> &SubscriberOptions {
        &self.options
    }

    /// The domain it belongs to.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Takes the next message if there is one, as a copy.
    #[inline]
    pub fn try_receive(&mut self) -> Result<Option<Message<'_>>> {
        if self.try_take(Take::Copy)? { Ok(Some(self.message())) } else { Ok(None) }
    }

    /// Waits for the next message up to `timeout` (`None`: for ever) and takes it as a copy.
    #[inline]
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Message<'_>> {
        self.wait(timeout, Take::Copy)?;
        Ok(self.message())
    }

    /// Takes the next message if there is one, in place.
    pub fn try_borrow(&mut self) -> Result<Option<Sample>> {
        if self.try_take(Take::Borrow)? { Ok(Some(self.sample())) } else { Ok(None) }
    }

    /// Takes the next message if there is one, as it comes cheapest: a small one as a copy, a large one
    /// in place. For who copies every message into memory of his own, and so copies it once.
    #[inline]
    pub fn try_next(&mut self) -> Result<Option<Arrival<'_>>> {
        if !self.try_take(Take::Borrow)? {
            return Ok(None);
        }
        Ok(Some(match self.taken {
            Taken::Pinned(_) => Arrival::Large(self.sample()),
            _ => Arrival::Small(self.message()),
        }))
    }

    /// Waits for the next message up to `timeout` (`None`: for ever) and takes it in place.
    pub fn borrow(&mut self, timeout: Option<Duration>) -> Result<Sample> {
        self.wait(timeout, Take::Borrow)?;
        Ok(self.sample())
    }

    /// The pollable descriptor: readable until a `try_` call has returned `None`. Works with epoll,
    /// poll, asyncio and libuv, level-triggered. Calling this once makes empty `try_` calls arm it.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.enter()?;
        Ok(self.waiter.watch_descriptor())
    }

    /// How many publishers are followed now.
    pub fn publishers(&mut self) -> usize {
        let _ = self.enter();
        self.note_deaths();
        self.sources.iter().filter(|s| !s.is_finished()).count()
    }

    /// Messages missed so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Counters since it was opened.
    pub fn stats(&self) -> SubscriberStats {
        SubscriberStats {
            received: self.received,
            bytes: self.bytes,
            missed: self.missed,
            rings: self.sources.len(),
            orphans: self.sources.iter().filter(|source| source.is_finished()).count(),
            pinned: self.shared.pinned(),
        }
    }

    /// Ends it; the same as dropping it. Borrowed samples stay readable.
    pub fn close(self) {}

    /// The gate of every call: not closed, not a forked copy, no publisher unknown.
    #[inline(always)]
    fn enter(&mut self) -> Result<()> {
        if !self.domain.usable() {
            self.reopen()?;
        }
        if Some(self.domain.inner().participants.board().publishers.now()) != self.generation {
            self.refresh()?;
        }
        Ok(())
    }

    #[cold]
    fn reopen(&mut self) -> Result<()> {
        if self.domain.is_closed() {
            return Err(closed(&format!(
                "subscriber of '{}': its domain '{}'",
                self.pattern(),
                self.domain.name()
            )));
        }
        *self = Subscriber::open(self.domain.current()?, self.pattern(), &self.options.clone())?;
        Ok(())
    }

    #[inline(always)]
    fn try_take(&mut self, take: Take) -> Result<bool> {
        Ok(self.poll(take)? || self.waiter.is_evented() && self.poll_armed(take)?)
    }

    /// Looks once at every ring, in turn; whether a message was taken.
    #[inline(always)]
    fn poll(&mut self, take: Take) -> Result<bool> {
        self.enter()?;
        if self.finishing {
            // What the first to finish said comes before what others say now.
            self.next = self.sources.iter().position(Source::is_finished).unwrap_or(0);
        }
        for _ in 0..self.sources.len() {
            if self.next >= self.sources.len() {
                self.next = 0;
            }
            if self.take_from(self.next, take)? {
                self.waiter.note_taken();
                self.burst += 1;
                if self.burst >= BURST {
                    self.burst = 0;
                    self.next += 1;
                }
                return Ok(true);
            }
            self.burst = 0;
            self.next += 1;
        }
        if self.finishing {
            self.let_go_of_finished();
        }
        Ok(false)
    }

    /// Nothing there, and somebody watches the descriptor: leaves it armed and silent, or readable.
    #[cold]
    fn poll_armed(&mut self, take: Take) -> Result<bool> {
        let Some(deaths) = self.settle()? else { return Ok(false) };
        if deaths {
            self.tidy()?;
        }
        let taken = self.poll(take);
        if !matches!(taken, Ok(false)) {
            self.waiter.stay_readable();
        }
        taken
    }

    #[inline(always)]
    fn wait(&mut self, timeout: Option<Duration>, take: Take) -> Result<()> {
        if self.poll(take)? {
            self.streaming = true;
            return Ok(());
        }
        self.wait_slowly(timeout, take)
    }

    #[cold]
    fn wait_slowly(&mut self, timeout: Option<Duration>, take: Take) -> Result<()> {
        let (wait, deadline) = (self.options.wait, Deadline::after(timeout));
        if std::mem::take(&mut self.streaming) && wait != Wait::Block {
            linger();
        }
        wait_for(self, wait, &deadline, &mut |subscriber| Ok(subscriber.poll(take)?.then_some(())))?.ok_or_else(|| {
            let text = format!("subscriber '{}': no message within {:?}; give it more time, or see with `axonic stat` whether somebody publishes", self.pattern(), timeout.unwrap_or_default());
            Error::new(ErrorKind::Timeout, text)
        })
    }

    #[inline(always)]
    fn message(&self) -> Message<'_> {
        let data = match self.taken {
            // SAFETY: as many bytes were copied there.
            Taken::Record(length) => unsafe { self.record.bytes(0, length) },
            // SAFETY: as above.
            Taken::Bulk(length) => unsafe { self.bulk.bytes(0, length) },
            Taken::Pinned(_) => self.pinned.as_ref().map_or(&[][..], Pinned::data),
        };
        Message { topic: &self.topic, envelope: &self.envelope, data }
    }

    fn sample(&mut self) -> Sample {
        let pinned = if matches!(self.taken, Taken::Pinned(_)) { self.pinned.take() } else { None };
        let bytes = match pinned {
            Some(pinned) => Bytes::Pinned(pinned),
            None => Bytes::own(&self.topic, self.message().data()),
        };
        Sample { envelope: std::mem::take(&mut self.envelope), bytes }
    }
}

impl Sleeper for Subscriber {
    fn arming(&self) -> Arming<'_> {
        self.shared.arming()
    }

    fn waiter(&mut self) -> &mut Waiter {
        &mut self.waiter
    }

    fn tidy(&mut self) -> Result<()> {
        self.note_deaths();
        self.let_go_of_finished();
        Ok(())
    }

    fn settle(&mut self) -> Result<Option<bool>> {
        self.waiter.settle(self.shared.arming())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.domain.forked() {
            return;
        }
        self.shared.detach();
        // Who sleeps for our cursor is rung by the bells we have, also where no descriptor is left to open them.
        self.sources.iter().filter_map(|source| source.ringer.as_ref()).for_each(Ringer::ring);
    }
}

impl Iterator for Subscriber {
    type Item = Result<Sample>;

    /// Waits for the next message, without end.
    fn next(&mut self) -> Option<Result<Sample>> {
        Some(self.borrow(None))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Subscriber({:?}, {} publishers, {} received, {} missed)",
            self.pattern(),
            self.sources.len(),
            self.received,
            self.missed
        )
    }
}
