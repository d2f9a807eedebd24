//! A channel that many threads wait on at the same time, each for something else that comes through it.
//!
//! One of those who wait reads, for all of them: what comes for another is left where it looks, and it is woken. When the
//! one who reads has what it waited for, another takes its place. So no thread of the library's own is needed.

use super::body::Parts;
use super::frame::Header;
use super::seat::Seat;
use crate::domain::asked::{Asker, asking};
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::ended;
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

/// Bytes that may wait for the other end to take them before what else it sends is left unread.
pub const MOST_BEHIND: usize = 16 << 20;

/// The same before it is ended, of a service, which is read on by whoever waits for calls, and sends what can only be refused.
const MOST_REFUSED: usize = 4 * MOST_BEHIND;

/// How long whoever waits does so before it looks whether another has left something that was kept for want of room.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    /// A message came; what is waited for, if that is there now.
    fn take(&mut self, came: &dyn Inbound) -> Result<Option<T>>;
    /// Whether it may read on: not while the other end has not taken what it was sent.
    fn may_read(&self) -> bool {
        true
    }
    /// Whether the other end is gone, for who may not read.
    fn is_left(&self) -> bool {
        false
    }
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
        self.flush()?;
        if self.seat.take() {
            let read = self.channel.try_with(&mut |half| read(half, what));
            self.seat.leave();
            match read {
                Ok(None) => {}
                read => return read,
            }
        }
        let mut asker = None;
        loop {
            // What is kept for want of room nobody else may send, now or when somebody leaves it behind.
            let limit = if self.behind() > 0 { FLUSH_AGAIN } else { LOOK_AGAIN };
            let until = deadline.within(limit);
            let waited = match what.may_read() {
                true => self.wait_slowly(call, &until, what),
                false => self.wait_unread(deadline, what),
            };
            match waited {
                Ok(None) if !deadline.passed() => self.flush()?,
                waited => return waited,
            }
            // Waits of a moment are over before they ask.
            asker.get_or_insert_with(Asker::new).ask()?;
        }
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
        let held = self.channel.hold_with(deadline, &mut |half| {
            if std::mem::take(&mut first)
                && let Some(done) = what.ready()?
            {
                return Ok(Some(Some(done)));
            }
            let done = read(half, what)?;
            // What is left unread would have it look again and again.
            Ok(if done.is_none() && what.may_read() { None } else { Some(done) })
        });
        held.map(Option::flatten)
    }

    /// Waits until it may read on, or what it waits for is there without.
    #[cold]
    fn wait_unread<T>(&self, deadline: &Deadline, what: &mut dyn Waits<T>) -> Result<Option<T>> {
        let waited = asking(deadline, |deadline| {
            loop {
                self.flush()?;
                let done = what.ready()?;
                if done.is_some() || what.may_read() {
                    return Ok(Some(done));
                }
                if what.is_left() {
                    return Err(ended(false));
                }
                if deadline.passed() {
                    return Ok(None);
                }
                std::thread::sleep(FLUSH_AGAIN);
            }
        });
        waited.map(Option::flatten)
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

    /// Sends a frame, waiting for room. It goes after what was kept: a call that was given up ends before another has its number.
    /// Whoever waits long reads meanwhile: the other end may take nothing more before it is rid of what it has for us.
    #[inline]
    pub fn send(
        &self,
        header: Header,
        name: &[u8],
        parts: &Parts<'_>,
        deadline: &Deadline,
        read: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let head = header.encode();
        let pieces = [&head, name, &parts.meta, parts.data];
        let message = Outgoing { pieces: &pieces, descriptors: &[] };
        if self.behind() > 0 {
            self.send_kept(deadline, read)?;
        }
        match self.channel.push(message)? {
            Pushed::All => Ok(()),
            pushed => self.send_slowly(message, pushed == Pushed::Part, deadline, read),
        }
    }

    /// What was kept goes before everything else.
    #[cold]
    fn send_kept(&self, deadline: &Deadline, read: &dyn Fn() -> Result<()>) -> Result<()> {
        let sent = asking(deadline, |deadline| {
            loop {
                self.flush()?;
                if self.behind() == 0 || deadline.passed() {
                    return Ok((self.behind() == 0).then_some(()));
                }
                read().map_err(unsent)?;
                std::thread::sleep(FLUSH_AGAIN);
            }
        })?;
        sent.ok_or_else(no_room)
    }

    #[cold]
    fn send_slowly(
        &self,
        message: Outgoing<'_>,
        mut begun: bool,
        deadline: &Deadline,
        read: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        // A wait for room is counted once, however often somebody reads meanwhile.
        let mut counted = false;
        let sent = asking(deadline, |deadline| {
            loop {
                let until = deadline.within(FLUSH_AGAIN);
                let sent = if begun {
                    self.channel.flush(until.remaining())
                } else if std::mem::replace(&mut counted, true) {
                    self.channel.send_slowly(message, Pushed::Nothing, &until)
                } else {
                    self.channel.send_pieces(message, until.remaining())
                };
                match sent {
                    Ok(()) if begun => return Ok(Some(())),
                    // The rest of a large one may be kept.
                    Ok(()) => begun = true,
                    Err(e) if e.kind() != ErrorKind::Timeout => return Err(e),
                    Err(_) if deadline.passed() => return Ok(None),
                    Err(_) if begun => read()?,
                    Err(_) => read().map_err(unsent)?,
                }
            }
        })?;
        if begun { Ok(()) } else { sent.ok_or_else(no_room) }
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
            match self.channel.push(Outgoing { pieces: &pieces, descriptors: &[] })? {
                Pushed::All => return Ok(()),
                // Kept by the channel; an empty frame here has it flushed.
                Pushed::Part => return self.keep(Vec::new()),
                Pushed::Nothing => {}
            }
        }
        self.keep_whole(&pieces)
    }

    #[cold]
    fn keep_whole(&self, pieces: &[&[u8]]) -> Result<()> {
        // Refused later, it would be so when nobody is there any more who can be told.
        self.channel.takes(pieces.iter().map(|piece| piece.len()).sum())?;
        self.keep(pieces.concat())
    }

    /// Sends a frame if there is room, or not at all. Whether there is something left of it to send.
    pub fn offer(&self, header: Header, parts: &Parts<'_>) -> Result<bool> {
        if self.behind() > 0 {
            return Ok(false);
        }
        let pieces: [&[u8]; 3] = [&header.encode(), &parts.meta, parts.data];
        match self.channel.push(Outgoing { pieces: &pieces, descriptors: &[] })? {
            Pushed::Part => self.keep(Vec::new()).map(|()| true),
            Pushed::All | Pushed::Nothing => Ok(false),
        }
    }

    #[cold]
    fn keep(&self, frame: Vec<u8>) -> Result<()> {
        let mut outbox = lock(&self.outbox);
        self.behind.fetch_add(frame.len().max(1), Ordering::AcqRel);
        outbox.push_back(frame);
        Ok(())
    }

    /// Whether one more frame may be answered that is refused: who sends such without end, and takes no answers, is ended.
    pub fn may_refuse(&self) -> Result<()> {
        if self.behind() <= MOST_REFUSED {
            return Ok(());
        }
        let text = format!(
            "the other end sends what cannot be answered, and has not taken {MOST_REFUSED} bytes, the limit; have it read, \
             and connect anew"
        );
        Err(Error::new(ErrorKind::LimitReached, text))
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

#[cold]
fn no_room() -> Error {
    Error::new(ErrorKind::Timeout, "no room, the other end is behind; give it more time, or send less")
}

/// Whoever reads before anything of a frame was sent finds out that the other end is gone: it is as if sending had.
#[cold]
fn unsent(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable => Error::new(ErrorKind::Disconnected, error.message()),
        _ => error,
    }
}

/// Takes what comes, up to what is waited for.
#[inline(always)]
fn read<T>(half: &mut Box<dyn Inbound>, what: &mut dyn Waits<T>) -> Result<Option<T>> {
    while what.may_read() && half.next()? {
        let taken = what.take(&**half);
        half.release()?;
        if let Some(done) = taken? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}
