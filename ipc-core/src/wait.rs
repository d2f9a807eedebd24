//! Waiting for several things at once.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::topic::{Publisher, Subscriber};
use crate::sys::descriptor::{Epoll, Timer};
use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

/// A set of subscribers, publishers, timers and foreign descriptors to wait for together; each is
/// added under a token of the caller's choice. Level-triggered: a token comes again until its
/// subscriber's `try_` call has returned `None`. One thread uses it at a time.
///
/// It is an epoll set over the objects' own descriptors, which are epoll sets in turn, so it can
/// itself be watched by any event loop. An object may be dropped while it is in the set.
pub struct WaitSet {
    epoll: Epoll,
    members: HashMap<u64, Member>,
}

enum Member {
    Descriptor(RawFd),
    Timer(Timer),
    /// Its descriptor's number has passed to another.
    Gone,
}

impl WaitSet {
    /// An empty set.
    pub fn new() -> Result<WaitSet> {
        Ok(WaitSet { epoll: Epoll::new()?, members: HashMap::new() })
    }

    /// Waits for messages of a subscriber too.
    pub fn add_subscriber(&mut self, subscriber: &mut Subscriber, token: u64) -> Result<()> {
        let fd = subscriber.fd()?;
        self.add_fd(fd, token)
    }

    /// Waits for room in a publisher that answered `WouldBlock` too.
    pub fn add_publisher(&mut self, publisher: &mut Publisher, token: u64) -> Result<()> {
        let fd = publisher.fd()?;
        self.add_fd(fd, token)
    }

    /// Waits for input on any pollable descriptor too. It must stay open until it is removed.
    pub fn add_fd(&mut self, fd: RawFd, token: u64) -> Result<()> {
        self.check(token)?;
        if fd < 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("{fd} is no descriptor")));
        }
        // SAFETY: the caller keeps it open; a closed one gives EBADF, not undefined behaviour.
        self.epoll.add(unsafe { BorrowedFd::borrow_raw(fd) }, token)?;
        for member in self.members.values_mut() {
            // The set took it, so who had this number before is closed and has left by itself.
            if matches!(member, Member::Descriptor(number) if *number == fd) {
                *member = Member::Gone;
            }
        }
        self.members.insert(token, Member::Descriptor(fd));
        Ok(())
    }

    /// Comes back every `period` too; expirations missed while nobody waited count once.
    pub fn add_timer(&mut self, period: Duration, token: u64) -> Result<()> {
        self.check(token)?;
        if period.is_zero() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a timer's period of zero would never let anybody sleep; give a longer one",
            ));
        }
        let timer = Timer::every(period)?;
        self.epoll.add(timer.as_fd(), token)?;
        self.members.insert(token, Member::Timer(timer));
        Ok(())
    }

    fn check(&self, token: u64) -> Result<()> {
        if self.members.contains_key(&token) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("token {token} is in the set already; remove it first"),
            ));
        }
        Ok(())
    }

    /// Stops waiting for what was added under `token`. Whether there was something.
    pub fn remove(&mut self, token: u64) -> bool {
        match self.members.remove(&token) {
            // SAFETY: see `add_fd`; a descriptor closed meanwhile has left the set by itself.
            Some(Member::Descriptor(fd)) => self.epoll.remove(unsafe { BorrowedFd::borrow_raw(fd) }),
            Some(Member::Timer(timer)) => self.epoll.remove(timer.as_fd()),
            Some(Member::Gone) => {}
            None => return false,
        }
        true
    }

    /// Waits up to `timeout` (`None`: for ever) and returns the tokens that are ready; none when the
    /// time ran out or a signal came.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<u64>> {
        let mut ready = Vec::new();
        self.epoll.wait(timeout, |token| ready.push(token))?;
        for token in &ready {
            if let Some(Member::Timer(timer)) = self.members.get(token) {
                timer.take();
            }
        }
        Ok(ready)
    }

    /// The set's own descriptor, readable while something in it is ready.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitSet({} members)", self.members.len())
    }
}

impl AsFd for WaitSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
