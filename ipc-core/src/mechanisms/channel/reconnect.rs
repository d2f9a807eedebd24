//! A channel that connects anew when the other end is gone: its halves stand for those of the connection there is just now.
//!
//! A half of a connection that has ended is dropped, and there is nothing to receive and no room to send until the next one is
//! made, by whoever of the two needs it first: when it looks, if it is time, and else where it sleeps. Between attempts it
//! waits, 10 ms and then doubling to a second. A connection that something was received from, or that lasted longer than that, is
//! followed by another at once.

mod halves;

use super::link::{Inbound, Outbound};
use super::{Address, ChannelOptions, Link, Peer, Wake, transport};
use crate::domain::{Domain, closed, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Signal;
use crate::sys::ready::{For, sleep_on};
use halves::Standing;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// Pauses between attempts.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// So long an attempt may take that is made where nobody waits, and so long any.
const GLANCE: Duration = Duration::from_millis(10);
const EACH: Duration = Duration::from_secs(1);

/// What the two halves share, and whoever asks how it is.
pub struct Line {
    domain: Domain,
    address: Address,
    options: ChannelOptions,
    /// Even while there is a connection, odd while there is none; it grows by one with each change.
    epoch: AtomicU64,
    state: Mutex<State>,
    /// Something was received from the connection there is.
    used: AtomicBool,
    /// Nothing more will be sent, so there is nothing to connect anew for.
    finished: AtomicBool,
    /// The channel is closed.
    called: AtomicBool,
    call: Signal,
}

struct State {
    /// Halves of what was connected, for ours to take, and the longest message that is sent there.
    inbound: Option<Box<dyn Inbound>>,
    outbound: Option<Box<dyn Outbound>>,
    limit: usize,
    wake: Arc<Wake>,
    peer: Peer,
    tried: Instant,
    pause: Duration,
    /// Why the last attempt failed.
    why: Option<String>,
}

/// Has a connection that was made follow by others.
pub fn keep(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    link: Link,
) -> Result<(Link, Arc<Line>)> {
    let state = State {
        inbound: Some(link.inbound),
        outbound: Some(link.outbound),
        limit: link.peer_limit.unwrap_or(usize::MAX),
        wake: Arc::new(link.wake),
        peer: link.peer.clone(),
        tried: Instant::now(),
        pause: FIRST,
        why: None,
    };
    let line = Arc::new(Line {
        domain: domain.clone(),
        address: address.clone(),
        options: options.clone(),
        epoch: AtomicU64::new(0),
        state: Mutex::new(state),
        used: AtomicBool::new(false),
        finished: AtomicBool::new(false),
        called: AtomicBool::new(false),
        call: Signal::new()?,
    });
    let called = line.clone();
    let kept = Link {
        inbound: Box::new(Standing::<dyn Inbound>::new(&line)),
        outbound: Box::new(Standing::<dyn Outbound>::new(&line)),
        can: link.can,
        peer: link.peer,
        peer_limit: link.peer_limit,
        wake: Box::new(move || called.call()),
    };
    Ok((kept, line))
}

impl Line {
    /// How often it has connected anew.
    pub fn count(&self) -> u64 {
        self.epoch.load(Ordering::Acquire) / 2
    }

    /// Who is at the other end, or was last.
    pub fn peer(&self) -> Peer {
        lock(&self.state).peer.clone()
    }

    /// Why there is no connection.
    pub fn why_not(&self) -> Option<String> {
        if self.is_connected() {
            return None;
        }
        let why = self.peek().and_then(|state| state.why.clone()).unwrap_or_else(|| "it goes on".into());
        Some(format!(
            "the other end is gone, and connecting anew has failed so far ({why}); give it more time"
        ))
    }

    fn is_connected(&self) -> bool {
        self.epoch.load(Ordering::Acquire).is_multiple_of(2)
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.call.raise();
        // Whoever connects just now looks whether it was called.
        let wake = lock(&self.state).wake.clone();
        wake();
    }

    /// The connection of an epoch has ended: the other half is to look up.
    fn lose(&self, epoch: u64) {
        let mut state = lock(&self.state);
        if self.epoch.compare_exchange(epoch, epoch + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        (state.inbound, state.outbound) = (None, None);
        state.why = None;
        if self.used.swap(false, Ordering::AcqRel) || state.tried.elapsed() > LONGEST {
            state.pause = Duration::ZERO;
        }
        let wake = state.wake.clone();
        drop(state);
        wake();
    }

    /// The state, if nobody connects just now.
    fn peek(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// How long it is until the next attempt, or until it is worth looking whether somebody has connected.
    fn until_next(&self) -> Duration {
        let left = self.peek().map(|state| state.pause.saturating_sub(state.tried.elapsed()));
        left.unwrap_or(GLANCE).max(Duration::from_millis(1))
    }

    /// Connects anew if it is time to, which takes no longer than `limit`, and if nobody else does just now.
    fn attempt(&self, limit: Duration) -> Result<()> {
        if self.finished.load(Ordering::Acquire) {
            let text =
                "the other end has ended, and it was said that nothing more will be sent; connect anew";
            return Err(Error::new(ErrorKind::Disconnected, text));
        }
        let Some(mut state) = self.peek() else { return Ok(()) };
        if self.is_connected() || state.tried.elapsed() < state.pause {
            return Ok(());
        }
        let deadline = Deadline::after(Some(limit));
        let connected = transport::connect(&self.domain, &self.address, &self.options, &deadline);
        state.tried = Instant::now();
        state.pause = (state.pause * 2).clamp(FIRST, LONGEST);
        match connected {
            Ok(link) => {
                self.connected(&mut state, link);
                Ok(())
            }
            Err(e) if may_pass(e.kind()) => {
                state.why = Some(e.message().into());
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn connected(&self, state: &mut State, link: Link) {
        (state.inbound, state.outbound) = (Some(link.inbound), Some(link.outbound));
        state.limit = link.peer_limit.unwrap_or(usize::MAX);
        (state.wake, state.peer) = (Arc::new(link.wake), link.peer);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        if self.called.load(Ordering::Acquire) {
            (state.wake)();
        }
    }

    /// Sleeps until it is time to connect anew, and does; or until `limit`.
    fn sleep(&self, limit: Option<Duration>) -> Result<()> {
        let began = Instant::now();
        let pause = self.until_next();
        let nap = limit.map_or(pause, |limit| limit.min(pause));
        sleep_on(self.call.as_fd(), For::Input, self.call.as_fd(), Some(nap))?;
        let left = limit.map_or(EACH, |limit| limit.saturating_sub(began.elapsed()).min(EACH));
        if left.is_zero() || self.called.load(Ordering::Acquire) {
            return Ok(());
        }
        self.domain.usable().then_some(()).ok_or_else(|| closed("its domain"))?;
        self.attempt(left)
    }
}

/// Whether an attempt that has failed so is worth another.
fn may_pass(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, NotFound | Disconnected | Timeout | Busy | LimitReached | NoSpace | Interrupted | Io)
}
