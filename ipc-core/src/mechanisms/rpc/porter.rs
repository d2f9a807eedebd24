//! Who lets the clients of a service in, and takes their calls: one thread at a time.

use super::desk::{AT_ONCE, Desk};
use super::request::Request;
use super::serving::Serving;
use crate::domain::Wait;
use crate::domain::waiter::{HOUSEKEEPING, SPIN};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::{Channel, Listener};
use crate::sys::clock::{Deadline, monotonic_nanos};
use crate::sys::descriptor::{Epoll, Timer};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
    /// It was said that nobody can be let in.
    lacking: bool,
    /// Who has come, and cannot be let in for want of a descriptor.
    at_the_door: Option<(Channel, bool)>,
    /// Pipes that it was told to listen at, and how many of them have ended.
    pipes: usize,
    ended_pipes: usize,
    /// The set tells of nobody who comes, which it would all the time; only of when it does again.
    set_aside: bool,
    again: Timer,
}

/// Tokens of the bell, the timer and, from there on, of listeners; clients count from 1.
const BELL: u64 = u64::MAX;
const AGAIN: u64 = u64::MAX - 1;
const LISTENERS: u64 = 1 << 63;

/// While calls come without a pause, descriptors are looked at this often.
const LOOK: Duration = Duration::from_micros(100);

/// How long after somebody could not be let in it is tried again.
const LET_IN_AGAIN: Duration = Duration::from_millis(100);

/// Failures in a row that are those of so many who came; one more is the listener's own, and lasts.
const FAILURES: usize = 16;

impl Porter {
    pub fn new(listener: Listener, desk: &Desk) -> Result<Porter> {
        let set = Epoll::new()?;
        let again = Timer::new()?;
        set.add(desk.bell.as_fd(), BELL)?;
        set.add(again.as_fd(), AGAIN)?;
        let mut porter = Porter {
            listeners: Vec::new(),
            clients: Vec::new(),
            set,
            next: 0,
            last_token: 0,
            looked: Instant::now(),
            lacking: false,
            at_the_door: None,
            pipes: 0,
            ended_pipes: 0,
            set_aside: false,
            again,
        };
        porter.watch(&listener, 0)?;
        porter.listeners.push(listener);
        Ok(porter)
    }

    /// Lets in those who come to one more listener, be it after a while.
    fn listen(&mut self, listener: Listener) -> Result<()> {
        let watched = self.set_aside || self.watch(&listener, self.listeners.len()).is_ok();
        self.pipes += usize::from(listener.is_one());
        self.listeners.push(listener);
        if watched { Ok(()) } else { self.set_listeners_aside() }
    }

    fn watch(&self, listener: &Listener, number: usize) -> Result<()> {
        // SAFETY: the listener is kept as long as the set.
        let fd = unsafe { BorrowedFd::borrow_raw(listener.source()?) };
        self.set.add(fd, LISTENERS + number as u64)
    }

    /// Nobody can be let in: the set tells of those who come only after a while again.
    fn set_listeners_aside(&mut self) -> Result<()> {
        self.set_aside = true;
        for fd in self.listeners.iter().filter_map(|listener| listener.source().ok()) {
            // SAFETY: the listener has it open.
            self.set.remove(unsafe { BorrowedFd::borrow_raw(fd) });
        }
        self.again.at(monotonic_nanos() + LET_IN_AGAIN.as_nanos() as u64)
    }

    /// Tries again what could not be done. Whoever gave up meanwhile is not told of by the set.
    fn listen_again(&mut self, desk: &Desk) -> Result<()> {
        self.again.take();
        let mut listeners = self.listeners.iter().enumerate();
        if listeners.try_for_each(|(number, listener)| self.watch(listener, number)).is_err() {
            return self.set_listeners_aside();
        }
        self.set_aside = false;
        (0..self.listeners.len()).try_for_each(|number| self.let_in(number, desk))
    }

    pub fn fd(&self) -> RawFd {
        self.set.as_raw_fd()
    }

    /// The next call; `None`: none is there, or no more may be at work.
    #[inline]
    pub fn take(&mut self, desk: &Desk) -> Option<Request> {
        if !desk.has_room() {
            // What is under way may be given up meanwhile.
            let told = self.clients.iter().filter(|client| client.is_told());
            told.for_each(|client| desk.pump(client));
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
            let armed = self.arm(desk);
            self.check_end()?;
            if deadline.passed() {
                return Ok(None);
            }
            let limit = match armed {
                true => Some(Duration::ZERO),
                // Nobody is heard who goes.
                false if self.clients.iter().any(|client| client.is_finishing() || desk.is_deaf(client)) => {
                    deadline.within(HOUSEKEEPING).remaining()
                }
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
            if now - self.looked >= LOOK || self.clients.iter().any(|client| client.is_dear()) {
                self.look_around(desk, Some(Duration::ZERO))?;
                self.check_end()?;
            }
        }
    }

    /// The next call if one is there; otherwise the set tells of the next.
    pub fn try_take(&mut self, desk: &Desk) -> Result<Option<Request>> {
        loop {
            if let Some(request) = self.take(desk) {
                return Ok(Some(request));
            }
            let more = self.arm(desk) || self.look_around(desk, Some(Duration::ZERO))?;
            // What went out just now may have been the last.
            self.check_end()?;
            if !more {
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
                AGAIN => self.listen_again(desk)?,
                token if token >= LISTENERS => self.let_in((token - LISTENERS) as usize, desk)?,
                token => self.tell_of(token),
            }
        }
        // Whoever spins never comes to sleep, before which what was kept for want of room is sent.
        for client in &self.clients {
            let left = desk.is_deaf(client) && client.is_left();
            if left || client.wire.flush().is_err() {
                client.end();
            }
        }
        self.see_off();
        Ok(!tokens.is_empty())
    }

    /// Something came from a client: they are in the order of their tokens.
    fn tell_of(&self, token: u64) {
        if let Ok(at) = self.clients.binary_search_by_key(&token, |client| client.token) {
            self.clients[at].tell_of(true);
        }
    }

    fn answer_bell(&mut self, desk: &Desk) -> Result<()> {
        desk.bell.lower();
        desk.take_listeners().into_iter().try_for_each(|listener| self.listen(listener))
    }

    fn let_in(&mut self, listener: usize, desk: &Desk) -> Result<()> {
        let mut failures = 0;
        loop {
            let came = match self.at_the_door.take() {
                None => self.accept(listener),
                came => Ok(came),
            };
            let accepted = match came {
                Ok(Some((channel, is_only))) => self.admit(channel, is_only, desk),
                Ok(None) => {
                    self.lacking = false;
                    return Ok(());
                }
                Err(e) => Err(e),
            };
            match accepted {
                Ok(()) => failures = 0,
                Err(e) if matches!(e.kind(), ErrorKind::Closed | ErrorKind::Forked) => return Err(e),
                Err(e) => {
                    failures += 1;
                    let lacks = matches!(e.kind(), ErrorKind::LimitReached | ErrorKind::NoSpace);
                    if lacks || failures > FAILURES {
                        return self.let_in_later(listener, desk, &e);
                    }
                    // What one client did wrong is no reason to keep the next one out.
                    let (name, address) = (desk.name(), self.listeners[listener].address());
                    debug!("service '{name}': somebody was not let in at {address}: {e}");
                }
            }
        }
    }

    /// What keeps everybody out lasts, and is tried again after a while.
    #[cold]
    fn let_in_later(&mut self, listener: usize, desk: &Desk, error: &Error) -> Result<()> {
        let (name, address) = (desk.name(), self.listeners[listener].address());
        if !std::mem::replace(&mut self.lacking, true) {
            warn!("service '{name}': nobody can be let in at {address} now: {error}");
        }
        self.set_listeners_aside()
    }

    fn watch_client(&self, channel: &Channel) -> Result<()> {
        let fd = channel.fd()?;
        // SAFETY: the channel is kept until it is closed, which takes its descriptor out of the set.
        self.set.add(unsafe { BorrowedFd::borrow_raw(fd) }, self.last_token)
    }

    /// The next one who came, and whether no others do.
    fn accept(&self, listener: usize) -> Result<Option<(Channel, bool)>> {
        let listener = &self.listeners[listener];
        Ok(listener.try_accept()?.map(|channel| (channel, listener.is_one())))
    }

    /// Who cannot be for want of a descriptor stays at the door.
    fn admit(&mut self, channel: Channel, is_only: bool, desk: &Desk) -> Result<()> {
        self.last_token += 1;
        if let Err(e) = self.watch_client(&channel) {
            let lacks = matches!(e.kind(), ErrorKind::LimitReached | ErrorKind::NoSpace);
            self.at_the_door = lacks.then_some((channel, is_only));
            return Err(e);
        }
        let Some(desk) = desk.shared() else {
            return Err(Error::new(ErrorKind::Closed, "the service was closed"));
        };
        self.clients.push(Arc::new(Serving::new(channel, self.last_token, desk, is_only)));
        Ok(())
    }

    /// Whoever listens at pipes is there for who has the other ends.
    fn check_end(&self) -> Result<()> {
        if self.pipes == 0 || self.ended_pipes < self.pipes {
            return Ok(());
        }
        let text =
            "the other end of the pipe it listens at has ended, and all it asked for is answered; close it";
        Err(Error::new(ErrorKind::Disconnected, text))
    }

    fn see_off(&mut self) {
        self.clients.iter().filter(|client| client.is_finishing()).for_each(|client| client.finish());
        if !self.clients.iter().any(|client| client.is_ended()) {
            return;
        }
        let (set, ended_pipes) = (&self.set, &mut self.ended_pipes);
        self.clients.retain(|client| {
            let ended = client.is_ended();
            if ended {
                see_off(set, client);
                *ended_pipes += usize::from(client.is_only);
            }
            !ended
        });
        self.next = 0;
    }

    /// Before sleeping: has every client's descriptor tell of what comes. Whether something is there already.
    fn arm(&mut self, desk: &Desk) -> bool {
        // Who is gone would have something to tell again and again.
        self.see_off();
        let mut something = false;
        for client in &self.clients {
            match self.arm_for(client, !client.is_finishing() && !desk.is_deaf(client)) {
                Ok(true) => {
                    client.tell_of(true);
                    something = true;
                }
                Ok(false) => {}
                Err(_) => client.end(),
            }
        }
        something
    }

    /// The same of one of them, of which the set tells what comes only while it is `watched`.
    fn arm_for(&self, client: &Serving, watched: bool) -> Result<bool> {
        let wire = &client.wire;
        if client.watched.swap(watched, Ordering::Relaxed) != watched {
            // SAFETY: the channel is open; its descriptor leaves the set here, or with the channel.
            let fd = unsafe { BorrowedFd::borrow_raw(wire.channel.fd()?) };
            match watched {
                true => self.set.add(fd, client.token)?,
                false => self.set.remove(fd),
            }
        }
        let something = watched && wire.channel.arm()?;
        Ok(wire.arm_for_room(&self.set, client.token)? || something)
    }

    /// Nobody is let in any more, and everybody is told.
    pub fn close(&mut self) {
        self.listeners.iter().for_each(Listener::close);
        self.at_the_door = None;
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
    if client.has_parked()
        && let Some(arrived) = client.unpark()
    {
        return Some(desk.hand_out(client.clone(), arrived));
    }
    if client.is_behind() || !client.is_told() {
        return None;
    }
    let mut left = AT_ONCE;
    let taken = client.wire.channel.try_with(&mut |half| {
        while left > 0 && !client.is_behind() && half.next()? {
            left -= 1;
            let arrived = client.dispatch(&**half);
            half.release()?;
            if let Some(arrived) = arrived? {
                return Ok(Some(arrived));
            }
        }
        Ok(None)
    });
    match taken {
        Ok(None) => {
            // There may be more than it was read for.
            client.tell_of(left == 0 || client.is_behind());
            None
        }
        Ok(arrived) => arrived.map(|arrived| desk.hand_out(client.clone(), arrived)),
        Err(e) => {
            client.lose(&e);
            None
        }
    }
}
