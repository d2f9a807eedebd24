//! A lock that the threads or tasks of a process share.

use super::Semaphore;
use super::turns::{Turn, Turns};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// A handle of a lock of any type, as [`SharedLock`] puts it by.
pub trait LockHandle: Send {
    /// Waits for nothing any more, as by its descriptor it may: whoever was to be woken in its place is.
    fn rest(&mut self);
}

/// A lock's handles, for several threads or tasks of a process that use it as one object (`Sync`).
///
/// The owner of a lock is a handle, which one thread uses at a time. In Rust the borrow checker sees to that; where
/// nothing does, each that waits takes a handle of its own out of here, an idle one or a new one, and puts it back.
/// Whoever gives the lock back takes out one that has it: any, since those of one process that have a lock at the same
/// time have it in the same way.
///
/// A handle of a semaphore may have many permits, so one has all of them but those that just come in or go: there are as
/// many handles as wait at once, and this one.
///
/// In a forked child each handle opens anew at its first use, as it says. If another thread was in a call here at the fork,
/// the child is told `Forked`.
pub struct SharedLock<T> {
    /// Which it is, as errors say it.
    what: String,
    open: Box<dyn Fn() -> Result<T> + Send + Sync>,
    handles: Turns<Handles<T>>,
}

struct Handles<T> {
    idle: Vec<T>,
    holding: Vec<T>,
    closed: bool,
}

impl<T: LockHandle> SharedLock<T> {
    /// Opens the first handle of `what` ("mutex 'gpu'"); `open` opens each of the others.
    pub fn new(what: String, open: impl Fn() -> Result<T> + Send + Sync + 'static) -> Result<SharedLock<T>> {
        let handles = Handles { idle: vec![open()?], holding: Vec::new(), closed: false };
        Ok(SharedLock { what, open: Box::new(open), handles: Turns::new(handles) })
    }

    /// Which it is, as errors say it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Takes out a handle that has nothing.
    pub fn idle(&self) -> Result<T> {
        let mut handles = self.open_handles()?;
        let idle = handles.idle.pop();
        drop(handles);
        idle.map_or_else(&self.open, Ok)
    }

    /// The same if one is open already, which takes no time.
    pub fn spare(&self) -> Option<T> {
        self.handles.take()?.idle.pop()
    }

    /// Takes out a handle that has the lock, if there is one.
    pub fn holding(&self) -> Option<T> {
        self.handles.take()?.holding.pop()
    }

    /// Puts in a handle that has nothing, and from now on waits for nothing.
    pub fn put_idle(&self, mut handle: T) {
        handle.rest();
        if let Ok(mut handles) = self.open_handles() {
            handles.idle.push(handle);
        }
    }

    /// Puts in a handle that has the lock. If all was closed meanwhile the lock goes back at once, which is an error.
    pub fn put_holding(&self, handle: T) -> Result<()> {
        self.open_handles()?.holding.push(handle);
        Ok(())
    }

    /// Whether one of the handles that have the lock says so.
    pub fn any(&self, says: impl FnMut(&T) -> bool) -> bool {
        self.handles.take().is_some_and(|handles| handles.holding.iter().any(says))
    }

    /// How many handles have the lock.
    pub fn holders(&self) -> usize {
        self.handles.take().map_or(0, |handles| handles.holding.len())
    }

    /// Closes the handles; what they hold goes back. Those that are out are closed when they are put back.
    pub fn close(&self) {
        let Some(mut handles) = self.handles.take() else { return };
        handles.closed = true;
        let gone = (std::mem::take(&mut handles.idle), std::mem::take(&mut handles.holding));
        drop(handles);
        drop(gone);
    }

    /// Unless they were closed.
    fn open_handles(&self) -> Result<Turn<'_, Handles<T>>> {
        let handles = self.handles.take().ok_or_else(|| self.forked())?;
        if handles.closed { Err(self.closed()) } else { Ok(handles) }
    }

    #[cold]
    fn forked(&self) -> Error {
        let text = format!(
            "{}: another thread was using it when the process forked, so this child cannot; open it anew here",
            self.what
        );
        Error::new(ErrorKind::Forked, text)
    }

    #[cold]
    fn closed(&self) -> Error {
        Error::new(ErrorKind::Closed, format!("{} was closed; open it again", self.what))
    }
}

impl SharedLock<Semaphore> {
    /// [`SharedLock::put_holding`] for a handle that has a permit, which goes over to one that has some already.
    pub fn put_permit(&self, mut handle: Semaphore) -> Result<()> {
        let mut handles = self.open_handles()?;
        let holder = handles.holding.last_mut();
        if holder.is_some_and(|holder| handle.hand_over(holder)) {
            handles.idle.push(handle);
        } else {
            // There is none, or what it has is not this process's since a fork.
            handles.holding.push(handle);
        }
        Ok(())
    }

    /// Gives a permit back. The handle that has it stays in meanwhile, for others that give back one too.
    pub fn release(&self) -> Result<()> {
        let mut handles = self.open_handles()?;
        let Some(holder) = handles.holding.last_mut() else {
            drop(handles);
            return self.release_nothing();
        };
        let released = holder.release();
        if holder.held() == 0 {
            let spent = handles.holding.pop();
            handles.idle.extend(spent);
        }
        released
    }

    /// A handle that has nothing says so.
    fn release_nothing(&self) -> Result<()> {
        let mut handle = self.idle()?;
        let released = handle.release();
        self.put_idle(handle);
        released
    }
}

impl<T: LockHandle + fmt::Debug> fmt::Debug for SharedLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |handles: Turn<'_, Handles<T>>| {
            handles.holding.last().or(handles.idle.last()).map(|handle| format!("{handle:?}"))
        };
        match self.handles.take().and_then(said) {
            Some(text) => f.write_str(&text),
            None if self.open_handles().is_err() => write!(f, "{}, closed", self.what),
            None => write!(f, "{}, waited for", self.what),
        }
    }
}
