//! Who lets the clients of a service in, and takes their calls: one thread at a time.

use super::desk::Desk;
use super::request::Request;
use super::serving::Serving;
use crate::domain::Wait;
use crate::domain::waiter::SPIN;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::{Channel, Listener};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Epoll;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

pub struct Porter {
    listeners: Vec<Listener>,
    clients: Vec<Arc<Serving>>,
    set: Epoll,
    /// Whose turn it is.
    next: usize,
    last_token: u64,
    looked: Instant,
    /// A client could not be let in: that is said once, and tried again now and then.
    lacking: bool,
}

/// Tokens of the bell and, from there on, of listeners; clients count from 1.
const BELL: u64 = u64::MAX;
const LISTENERS: u64 = 1 << 63;

/// While calls come without a pause, descriptors are looked at this often.
const LOOK: Duration = Duration::from_micros(100);

/// How long after somebody could not be let in it is tried again.
const LET_IN_AGAIN: Duration = Duration::from_millis(100);

impl Porter {
    pub fn new(listener: Listener, desk: &Desk) -> Result<Porter> {
        let set = Epoll::new()?;
        set.add(desk.bell.as_fd(), BELL)?;
        let mut porter = Porter {
            listeners: Vec::new(),
            clients: Vec::new(),
            set,
            next: 0,
            last_token: 0,
            looked: Instant::now(),
            lacking: false,
        };
        porter.listen(listener)?;
        Ok(porter)
    }

    /// Lets in those who come to one more listener.
    fn listen(&mut self, listener: Listener) -> Result<()> {
        // SAFETY: the listener is kept as long as the set.
        let fd = unsafe { BorrowedFd::borrow_raw(listener.fd()?) };
        self.set.add(fd, LISTENERS + self.listeners.len() as u64)?;
        self.listeners.push(listener);
        Ok(())
    }

    pub fn fd(&self) -> RawFd {
        self.set.as_raw_fd()
    }

    /// The next call; `None`: none is there, or no more may be at work.
    #[inline]
    pub fn take(&mut self, desk: &Desk) -> Option<Request> {
        if !desk.has_room() {
            // What is under way may be given up meanwhile.
            self.clients.iter().for_each(|client| desk.pump(client));
            return None;
        }
        if let Some(request) = desk.unstash() {
            return Some(request);
        }
        let count = self.clients.len();
        for i in 0..count {
            let at = if self.next + i < count { self.next + i } else { self.next + i - count };
            if let Some(request) = take_from(&self.clients[at], desk) {
                self.next = if at + 1 < count { at + 1 } else { 0 };
                return Some(request);
            }
        }
        None
    }

    /// Waits for the next call. `None`: none came until the deadline.
    pub fn wait(
        &mut self,
        desk: &Desk,
        wait: Wait,
        deadline: &Deadline,
        enter: &dyn Fn() -> Result<()>,
    ) -> Result<Option<Request>> {
        loop {
            if let Some(request) = self.spin(desk, wait, deadline, enter)? {
                return Ok(Some(request));
            }
            if deadline.passed() {
                return Ok(None);
            }
            let limit = match self.arm() {
                true => Some(Duration::ZERO),
                false if self.lacking => deadline.within(LET_IN_AGAIN).remaining(),
                false => deadline.remaining(),
            };
            self.look_around(desk, limit)?;
        }
    }

    fn spin(
        &mut self,
        desk: &Desk,
        wait: Wait,
        deadline: &Deadline,
        enter: &dyn Fn() -> Result<()>,
    ) -> Result<Option<Request>> {
        let limit = match wait {
            Wait::Spin => None,
            Wait::Adaptive => Some(SPIN),
            Wait::Block => Some(Duration::ZERO),
        };
        let started = Instant::now();
        loop {
            for _ in 0..64 {
                enter()?;
                if let Some(request) = self.take(desk) {
                    return Ok(Some(request));
                }
                if limit == Some(Duration::ZERO) {
                    return Ok(None);
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if deadline.passed() || limit.is_some_and(|limit| now - started >= limit) {
                return Ok(None);
            }
            if now - self.looked >= LOOK {
                self.look_around(desk, Some(Duration::ZERO))?;
            }
        }
    }

    /// The next call if one is there; otherwise the set tells of the next.
    pub fn try_take(&mut self, desk: &Desk) -> Result<Option<Request>> {
        loop {
            if let Some(request) = self.take(desk) {
                return Ok(Some(request));
            }
            if !self.arm() && !self.look_around(desk, Some(Duration::ZERO))? {
                return Ok(None);
            }
        }
    }

    /// Lets in who has come, sees off who is gone. Whether anything happened.
    fn look_around(&mut self, desk: &Desk, limit: Option<Duration>) -> Result<bool> {
        let mut tokens = Vec::new();
        self.set.wait(limit, |token| tokens.push(token))?;
        self.looked = Instant::now();
        for token in &tokens {
            match *token {
                BELL => self.answer_bell(desk)?,
                token if token >= LISTENERS => self.let_in((token - LISTENERS) as usize, desk),
                _ => {}
            }
        }
        // Whoever spins never comes to sleep, before which what was kept for want of room is sent.
        for client in &self.clients {
            if client.wire.flush().is_err() {
                client.end();
            }
        }
        self.see_off();
        Ok(!tokens.is_empty() && !self.lacking)
    }

    fn answer_bell(&mut self, desk: &Desk) -> Result<()> {
        desk.bell.lower();
        desk.take_listeners().into_iter().try_for_each(|listener| self.listen(listener))
    }

    fn let_in(&mut self, listener: usize, desk: &Desk) {
        loop {
            let accepted = match self.listeners[listener].try_accept() {
                Ok(Some(channel)) => self.admit(channel, desk),
                Ok(None) => {
                    self.lacking = false;
                    return;
                }
                Err(e) => Err(e),
            };
            if let Err(e) = accepted {
                let (name, address) = (desk.name(), self.listeners[listener].address());
                // What one client did wrong is no reason to keep the next one out.
                let lacks = matches!(e.kind(), ErrorKind::LimitReached | ErrorKind::NoSpace);
                if !lacks {
                    debug!("service '{name}': somebody was not let in at {address}: {e}");
                    continue;
                }
                if !std::mem::replace(&mut self.lacking, true) {
                    warn!("service '{name}': nobody can be let in at {address} now: {e}");
                }
                return;
            }
        }
    }

    fn admit(&mut self, channel: Channel, desk: &Desk) -> Result<()> {
        self.last_token += 1;
        let fd = channel.fd()?;
        // SAFETY: the channel is kept until it is closed, which takes its descriptor out of the set.
        self.set.add(unsafe { BorrowedFd::borrow_raw(fd) }, self.last_token)?;
        let Some(desk) = desk.shared() else {
            return Err(Error::new(ErrorKind::Closed, "the service was closed"));
        };
        self.clients.push(Arc::new(Serving::new(channel, self.last_token, desk)));
        Ok(())
    }

    fn see_off(&mut self) {
        if !self.clients.iter().any(|client| client.is_ended()) {
            return;
        }
        let set = &self.set;
        self.clients.retain(|client| {
            if client.is_ended() {
                see_off(set, client);
            }
            !client.is_ended()
        });
        self.next = 0;
    }

    /// Before sleeping: has every client's descriptor tell of what comes. Whether something is there already.
    fn arm(&mut self) -> bool {
        // Who is gone would have something to tell again and again.
        self.see_off();
        let mut something = false;
        for client in &self.clients {
            let wire = &client.wire;
            let armed =
                wire.channel.arm().and_then(|there| Ok(wire.arm_for_room(&self.set, client.token)? || there));
            match armed {
                Ok(there) => something |= there,
                Err(_) => client.end(),
            }
        }
        something
    }

    /// Nobody is let in any more, and everybody is told.
    pub fn close(&mut self) {
        self.listeners.iter().for_each(Listener::close);
        for client in self.clients.drain(..) {
            client.end();
            see_off(&self.set, &client);
        }
    }
}

/// A client's descriptors leave the set before they are closed: what the other end shares of them may stay open.
fn see_off(set: &Epoll, client: &Serving) {
    client.wire.unwatch(set);
    client.wire.channel.close();
}

/// The next call of one client. Frames for calls that are under way are dealt with on the way.
#[inline]
fn take_from(client: &Arc<Serving>, desk: &Desk) -> Option<Request> {
    let taken = client.wire.channel.try_with(&mut |half| {
        while half.next()? {
            let arrived = client.dispatch(half.message());
            half.release()?;
            if let Some(arrived) = arrived? {
                return Ok(Some(arrived));
            }
        }
        Ok(None)
    });
    match taken {
        Ok(arrived) => arrived.map(|arrived| desk.hand_out(client.clone(), arrived)),
        Err(_) => {
            client.end();
            None
        }
    }
}
