//! Conditions: a word in the row of each that waits, which says whether it was notified.

use super::handle::Handle;
use super::mutex::Mutex;
use super::stake::{ACQUIRED, Nature, STATE, WAITER, bury, word};
use super::{Acquired, LOCK_HANDLES, LockHandle, LockOptions, steps};
use crate::domain::Domain;
use crate::domain::layout::ObjectId;
use crate::domain::object::Object;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::fence;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

pub(super) static NATURE: Nature = Nature {
    number: 6,
    name: "condvar",
    parameter: "",
    handles: LOCK_HANDLES,
    give_back: |object, number, _| leave(object, number),
    names: Nature::nothing_named,
    inherit: leave,
    matters: Nature::never_matters,
};

/// What those who sleep want.
const NOTICE: u64 = 1;

/// Whoever has, or had, a row waits no more; if it was notified, somebody else is instead.
fn leave(object: &Object, number: u32) {
    steps::end_wait(word(object, number, STATE), || {
        notify_one(object);
    });
}

/// A condition to wait for between processes, with a mutex that protects what it is about. One thread uses a handle at a
/// time (`Send`).
///
/// One that was notified and dies before it woke passes that on to another. In a forked child a handle opens anew at its
/// first use, unless it waited at the fork.
pub struct Condvar {
    handle: Handle,
    /// It waits, by [`Condvar::start_wait`].
    waits: bool,
}

impl Domain {
    /// Opens the condition `name`, making it if there is none.
    pub fn condvar(&self, name: &str, options: &LockOptions) -> Result<Condvar> {
        Ok(Condvar { handle: Handle::open(self, name, &NATURE, 0, options)?, waits: false })
    }
}

impl Condvar {
    /// Its name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Unlocks the mutex, waits up to `timeout` (`None`: for ever) to be notified, and locks it again, however long that takes;
    /// how it was locked is told. After `Timeout` it is locked too, and `Mutex::owner_died` tells; after any other error it is not.
    pub fn wait(&mut self, mutex: &mut Mutex, timeout: Option<Duration>) -> Result<Acquired> {
        self.check(mutex)?;
        let done = self.handle.within(false, |handle| {
            begin(handle, mutex)?;
            handle
                .wait(timeout, NOTICE, &mut |handle| Ok(is_notified(handle)))
                .inspect_err(|_| leave(handle.object(), handle.seat.number))?;
            // Whoever comes after the time is over does not notify it any more. If it was notified, and dies or fails before
            // it has the mutex, the notice goes to another.
            let mut locked = None;
            let notified = steps::end_wait(&handle.row().words[STATE], || {
                locked = Some(mutex.lock(None).inspect_err(|_| {
                    notify_one(handle.object());
                }));
            });
            let how = locked.unwrap_or_else(|| mutex.lock(None))?;
            Ok(notified.then_some(how))
        })?;
        done.ok_or_else(|| self.timed_out(timeout))
    }

    /// Begins to wait: says that it does, and unlocks the mutex. For those who wait by the descriptor.
    pub fn start_wait(&mut self, mutex: &mut Mutex) -> Result<()> {
        self.check(mutex)?;
        self.handle.within(false, |handle| begin(handle, mutex))?;
        self.waits = true;
        Ok(())
    }

    /// Whether it was notified since [`Condvar::start_wait`]; then it waits no more and locks its mutex again.
    pub fn try_wait(&mut self) -> Result<bool> {
        self.check_waits()?;
        let notified = self.handle.within(true, |handle| {
            let notified = handle.look(NOTICE, &mut |handle| Ok(is_notified(handle)))?.is_some();
            if notified {
                end(handle);
            }
            Ok(notified)
        })?;
        self.waits = !notified;
        Ok(notified)
    }

    /// Waits no more; whether it was notified before that.
    pub fn stop_wait(&mut self) -> Result<bool> {
        self.check_waits()?;
        let notified = self.handle.within(true, |handle| Ok(end(handle)))?;
        self.waits = false;
        Ok(notified)
    }

    /// Wakes the one that has waited longest; whether there was one.
    pub fn notify_one(&mut self) -> Result<bool> {
        self.handle.enter(self.waits)?;
        Ok(notify_one(self.handle.object()))
    }

    /// Wakes all who wait; how many there were.
    pub fn notify_all(&mut self) -> Result<usize> {
        self.handle.enter(self.waits)?;
        let (object, last) = (self.handle.object(), self.handle.head().word.load(Ordering::Acquire));
        // Not those who begin to wait meanwhile.
        Ok(std::iter::from_fn(|| notify_next(object, last).then_some(())).count())
    }

    fn timed_out(&self, timeout: Option<Duration>) -> Error {
        self.handle.too_late(timeout, "it was not notified", ", and its mutex is locked again")
    }

    /// The pollable descriptor: readable when a `try_wait` that gave `false` is worth trying again.
    pub fn fd(&mut self) -> Result<RawFd> {
        self.handle.fd(self.waits)
    }

    /// Ends it; the same as dropping it.
    pub fn close(self) {}

    fn check(&mut self, mutex: &Mutex) -> Result<()> {
        self.handle.enter(self.waits)?;
        if self.waits {
            return Err(self
                .handle
                .misused("this handle waits already; let it be notified or stop the wait first"));
        }
        if mutex.handle.domain().path() != self.handle.domain().path() {
            let text = format!(
                "mutex '{}' is of domain '{}', the condvar of '{}'; use a mutex of the same domain",
                mutex.name(),
                mutex.handle.domain().name(),
                self.handle.domain().name()
            );
            return Err(self.handle.misused(&text));
        }
        if !mutex.is_locked() {
            let text =
                format!("mutex '{}' is not locked by its handle; lock it before waiting", mutex.name());
            return Err(self.handle.misused(&text));
        }
        Ok(())
    }

    fn check_waits(&mut self) -> Result<()> {
        self.handle.enter(self.waits)?;
        if self.waits {
            return Ok(());
        }
        let text = format!("condvar '{}': this handle does not wait; start_wait first", self.name());
        Err(Error::new(ErrorKind::InvalidArgument, text))
    }
}

/// Says that this handle waits, then unlocks the mutex: whoever locks it next finds it waiting.
fn begin(handle: &mut Handle, mutex: &mut Mutex) -> Result<()> {
    let ticket = handle.head().word.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    handle.row().words[WAITER].store(handle.id().0, Ordering::Relaxed);
    steps::begin_wait(&handle.row().words[STATE], ticket);
    mutex.unlock().inspect_err(|_| {
        end(handle);
    })
}

fn is_notified(handle: &mut Handle) -> Option<()> {
    steps::is_notified(&handle.row().words[STATE]).then(|| handle.count(ACQUIRED))
}

/// Its own wait is over; whether it was notified.
fn end(handle: &Handle) -> bool {
    steps::end_wait(&handle.row().words[STATE], || {})
}

fn notify_one(object: &Object) -> bool {
    notify_next(object, u64::MAX)
}

/// Notifies, of those whose tickets are not after `last`, the one that has waited longest.
fn notify_next(object: &Object, last: u64) -> bool {
    loop {
        let waiting = |(number, id): (u32, ObjectId)| {
            let ticket = steps::ticket(word(object, number, STATE).load(Ordering::Acquire))?;
            // Where somebody sets right what a dead one left, the row is no more the waiter's.
            let own = word(object, number, WAITER).load(Ordering::Relaxed) == id.0;
            (own && ticket <= last).then_some((ticket, number, id))
        };
        let Some((ticket, number, id)) = object.taken().filter_map(waiting).min() else { return false };
        if !object.domain.inner().is_alive(id.owner()) {
            bury(object, &NATURE, object.domain.inner().new_id(), |dead| dead == id);
            continue;
        }
        if steps::notify(word(object, number, STATE), ticket) {
            fence::after_update();
            if object.row(number).armed.load(Ordering::Relaxed) & 1 == 1 {
                object.ring(id);
            }
            return true;
        }
    }
}

impl LockHandle for Condvar {
    fn rest(&mut self) {
        self.handle.rest();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condvar({:?}, {})", self.name(), if self.waits { "waits" } else { "idle" })
    }
}
