//! A channel that many threads wait on at the same time, each for something else that comes through it.
//!
//! One of those who wait reads, for all of them: what comes for another is left where it looks, and it is woken. When the
//! one who reads has what it waited for, another takes its place. So no thread of the library's own is needed.

use super::body::Parts;
use super::frame::Header;
use super::seat::Seat;
use crate::domain::asked::asking;
use crate::domain::lock;
use crate::error::Result;
use crate::mechanisms::channel::{Channel, Inbound, Outgoing, Pushed};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Epoll;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long after a look for room the next one comes.
const FLUSH_AGAIN: Duration = Duration::from_millis(1);

pub struct Wire {
    pub channel: Channel,
    /// Of the one who reads.
    pub seat: Seat,
    /// What found no room, in order: of a service, which must not wait for its clients, and of event loops.
    outbox: Mutex<VecDeque<Vec<u8>>>,
    /// Bytes in it.
    behind: AtomicUsize,
    /// A set of descriptors tells of room.
    watched: Mutex<bool>,
}

/// What waits for something that comes for a call.
pub trait Waits<T> {
    /// Whether it is there.
    fn ready(&mut self) -> Result<Option<T>>;
    /// A message came; whether it may be what is waited for.
    fn take(&mut self, message: &[u8]) -> Result<bool>;
}

impl Wire {
    pub fn new(channel: Channel) -> Wire {
        Wire {
            channel,
            seat: Seat::new(),
            outbox: Mutex::default(),
            behind: AtomicUsize::new(0),
            watched: Mutex::default(),
        }
    }

    /// Waits until something is there for the call `call`. `None`: the deadline passed.
    #[inline]
    pub fn wait_for<T>(&self, call: u32, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        loop {
            // While something is kept for want of room, nobody else sends it.
            let kept = self.behind() > 0;
            let until = if kept { deadline.within(FLUSH_AGAIN) } else { *deadline };
            let waited = self.flush().and_then(|()| self.wait_reading(call, &until, what));
            match waited {
                Ok(None) if kept && !deadline.passed() => {}
                waited => return waited,
            }
        }
    }

    #[inline]
    fn wait_reading<T>(&self, call: u32, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        if self.seat.take() {
            let read = self.channel.try_with(&mut |half| read(half, what));
            self.seat.leave();
            match read {
                Ok(None) => {}
                read => return read,
            }
        }
        self.wait_slowly(call, deadline, what)
    }

    fn wait_slowly<T>(&self, call: u32, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        asking(deadline, |deadline| {
            loop {
                if self.seat.take() {
                    let read = self.hold(deadline, what);
                    self.seat.leave();
                    return read;
                }
                if let Some(done) = what.ready()? {
                    return Ok(Some(done));
                }
                if deadline.passed() {
                    return Ok(None);
                }
                if let Some(done) = self.sleep(call, deadline, what)? {
                    return Ok(Some(done));
                }
            }
        })
    }

    /// Reads for everybody until it has what it waits for.
    fn hold<T>(&self, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        // Somebody may have read it before.
        let mut first = true;
        self.channel.hold_with(deadline, &mut |half| {
            if std::mem::take(&mut first)
                && let Some(done) = what.ready()?
            {
                return Ok(Some(done));
            }
            read(half, what)
        })
    }

    #[cold]
    fn sleep<T>(&self, call: u32, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        self.seat.sleep(
            call,
            || what.ready(),
            || match deadline.remaining() {
                None => std::thread::park(),
                Some(left) => std::thread::park_timeout(left),
            },
        )
    }

    /// Sends a frame, waiting for room.
    #[inline]
    pub fn send(
        &self,
        header: Header,
        name: &[u8],
        parts: &Parts<'_>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let head = header.encode();
        let pieces = [&head, name, &parts.meta, parts.data];
        self.channel.send_pieces(Outgoing { pieces: &pieces, descriptors: &[] }, timeout)
    }

    /// Sends a frame, or keeps it until there is room: never waits.
    #[inline]
    pub fn push(&self, header: Header, parts: &Parts<'_>) -> Result<()> {
        self.push_named(header, &[], parts)
    }

    /// The same with a name.
    #[inline]
    pub fn push_named(&self, header: Header, name: &[u8], parts: &Parts<'_>) -> Result<()> {
        let head = header.encode();
        let pieces: [&[u8]; 4] = [&head, name, &parts.meta, parts.data];
        if self.behind() == 0 {
            let pushed = self.channel.push(Outgoing { pieces: &pieces, descriptors: &[] })?;
            return match pushed {
                Pushed::All => Ok(()),
                // Kept by the channel; an empty frame here has it flushed.
                Pushed::Part => self.keep(Vec::new()),
                Pushed::Nothing => self.keep(pieces.concat()),
            };
        }
        self.keep(pieces.concat())
    }

    #[cold]
    fn keep(&self, frame: Vec<u8>) -> Result<()> {
        let mut outbox = lock(&self.outbox);
        self.behind.fetch_add(frame.len().max(1), Ordering::AcqRel);
        outbox.push_back(frame);
        Ok(())
    }

    /// Bytes that are kept for want of room.
    #[inline(always)]
    pub fn behind(&self) -> usize {
        self.behind.load(Ordering::Acquire)
    }

    /// Sends what was kept, as far as there is room now.
    #[inline(always)]
    pub fn flush(&self) -> Result<()> {
        if self.behind() == 0 { Ok(()) } else { self.flush_outbox() }
    }

    #[cold]
    fn flush_outbox(&self) -> Result<()> {
        let mut outbox = lock(&self.outbox);
        while let Some(frame) = outbox.front_mut() {
            let length = frame.len().max(1);
            let all = if frame.is_empty() {
                self.channel.try_flush()?
            } else {
                match self.channel.push(Outgoing { pieces: &[frame], descriptors: &[] })? {
                    Pushed::All => true,
                    Pushed::Part => {
                        *frame = Vec::new();
                        self.behind.fetch_sub(length - 1, Ordering::AcqRel);
                        false
                    }
                    Pushed::Nothing => false,
                }
            };
            if !all {
                break;
            }
            outbox.pop_front();
            self.behind.fetch_sub(length, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Sends what was kept for want of room; as long as there is none, `set` tells of room, too. Whether there may be some.
    #[inline(always)]
    pub fn arm_for_room(&self, set: &Epoll, token: u64) -> Result<bool> {
        let mut watched = lock(&self.watched);
        if self.behind() == 0 && !*watched {
            Ok(false)
        } else {
            self.watch_for_room(&mut watched, set, token)
        }
    }

    /// The set tells no more, neither of what comes nor of room.
    pub fn unwatch(&self, set: &Epoll) {
        let watched = std::mem::take(&mut *lock(&self.watched)).then(|| self.channel.send_fd());
        for fd in [Some(self.channel.fd()), watched].into_iter().flatten().flatten() {
            // SAFETY: the channel is open, so its descriptors are.
            set.remove(unsafe { BorrowedFd::borrow_raw(fd) });
        }
    }

    #[cold]
    fn watch_for_room(&self, watched: &mut bool, set: &Epoll, token: u64) -> Result<bool> {
        self.flush()?;
        let behind = self.behind() > 0;
        if *watched != behind {
            // SAFETY: the channel is open; the descriptor leaves the set here, or with the channel.
            let fd = unsafe { BorrowedFd::borrow_raw(self.channel.send_fd()?) };
            if behind {
                set.add(fd, token)?
            } else {
                set.remove(fd)
            }
            *watched = behind;
        }
        Ok(behind && self.channel.arm_send()?)
    }
}

/// Takes what comes, up to what is waited for.
#[inline(always)]
fn read<T>(half: &mut Box<dyn Inbound>, what: &mut dyn Waits<T>) -> Result<Option<T>> {
    while half.next()? {
        let taken = what.take(half.message());
        half.release()?;
        if taken? && let Some(done) = what.ready()? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}
