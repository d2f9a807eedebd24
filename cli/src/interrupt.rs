//! Ctrl-C without leaving a trace in the process that called us.
//!
//! The command also runs inside a Python interpreter or a Node process. Both have threads and
//! signal handlers of their own, so `signalfd` is out (it needs the signal blocked in *every*
//! thread) and a handler may only stay while a verb waits. The handler writes to an eventfd that
//! every wait polls; the last guard to go puts the former handlers back.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::stop::Stop;

/// What ends a verb: Ctrl-C, a polite kill, a closed terminal.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The eventfd the handler writes to; -1 while none is installed.
static EVENT: AtomicI32 = AtomicI32::new(-1);
/// Handlers running at this instant, in any thread: the eventfd may be closed only at zero.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// The signal that came last; 0 for none.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
/// The installed handlers, shared by all verbs running in this process.
static INSTALLED: Mutex<Weak<Handlers>> = Mutex::new(Weak::new());

extern "C" fn on_signal(signal: libc::c_int) {
    RUNNING.fetch_add(1, SeqCst);
    let event = EVENT.load(SeqCst);
    if event >= 0 {
        CAUGHT.store(signal, SeqCst);
        let one = 1u64;
        // SAFETY: errno is this thread's own; write() is async-signal-safe; `event` stays open
        // while RUNNING is not zero, and `one` is eight readable bytes. The interrupted code must
        // find its errno unchanged.
        unsafe {
            let errno = *libc::__errno_location();
            libc::write(event, (&raw const one).cast(), size_of::<u64>());
            *libc::__errno_location() = errno;
        }
    }
    RUNNING.fetch_sub(1, SeqCst);
}

/// The handlers in place, with the ones to put back.
struct Handlers {
    event: EventFd,
    former: Vec<(Signal, SigAction)>,
}

impl Handlers {
    fn install() -> Result<Handlers, Stop> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        CAUGHT.store(0, SeqCst);
        EVENT.store(event.as_fd().as_raw_fd(), SeqCst);
        let mut handlers = Handlers { event, former: Vec::with_capacity(SIGNALS.len()) };
        // No SA_RESTART: a blocked system call of ours must come back.
        let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
        for signal in SIGNALS {
            // SAFETY: `on_signal` only uses atomics and async-signal-safe calls.
            let former = unsafe { sigaction(signal, &action) }?;
            handlers.former.push((signal, former));
            if matches!(former.handler(), SigHandler::SigIgn) {
                // nohup, or a background job of a shell without job control: it stays ignored.
                handlers.former.pop();
                // SAFETY: the action is the one that was in place a moment ago.
                unsafe { sigaction(signal, &former) }?;
            }
        }
        Ok(handlers)
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        for (signal, former) in &self.former {
            // SAFETY: the action was in place before ours. It can only fail for a bad signal number.
            let _ = unsafe { sigaction(*signal, former) };
        }
        EVENT.store(-1, SeqCst);
        while RUNNING.load(SeqCst) > 0 {
            std::thread::yield_now();
        }
    }
}

fn installed() -> MutexGuard<'static, Weak<Handlers>> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While one lives, Ctrl-C, SIGTERM and SIGHUP are noted instead of ending the process.
pub(crate) struct Interrupt {
    /// `None` only inside `drop`.
    handlers: Option<Arc<Handlers>>,
}

impl Interrupt {
    /// Catches the signals from here on; shared when another verb in this process already does.
    pub(crate) fn catch() -> Result<Interrupt, Stop> {
        let mut installed = installed();
        let handlers = match installed.upgrade() {
            Some(handlers) => handlers,
            None => {
                let handlers = Arc::new(Handlers::install()?);
                *installed = Arc::downgrade(&handlers);
                handlers
            }
        };
        Ok(Interrupt { handlers: Some(handlers) })
    }

    /// The signal that came, if one did.
    pub(crate) fn signal(&self) -> Option<i32> {
        match CAUGHT.load(SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// `Err(Interrupted)` once a signal came.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        self.signal().map_or(Ok(()), |signal| Err(Stop::Interrupted(signal)))
    }

    /// Waits until one of `fds` has an event or the time is over (`false`). A signal, before or
    /// during the wait, ends it with `Err(Interrupted)`.
    pub(crate) fn poll<'a>(&'a self, fds: &mut [PollFd<'a>], timeout: PollTimeout) -> Result<bool, Stop> {
        let Some(handlers) = &self.handlers else { return Ok(false) };
        let mut all: Vec<PollFd> = fds.to_vec();
        all.push(PollFd::new(handlers.event.as_fd(), PollFlags::POLLIN));
        let ready = match poll(&mut all, timeout) {
            // A signal of the host that is none of ours: the caller looks again and comes back.
            Err(nix::Error::EINTR) => 0,
            other => other?,
        };
        self.check()?;
        fds.clone_from_slice(&all[..fds.len()]);
        Ok(ready > 0)
    }

    /// Waits until `fd` is ready for `flags`, however long that takes.
    pub(crate) fn wait_for<'a>(&'a self, fd: BorrowedFd<'a>, flags: PollFlags) -> Result<(), Stop> {
        let mut fds = [PollFd::new(fd, flags)];
        while !self.poll(&mut fds, PollTimeout::NONE)? {}
        Ok(())
    }
}

/// The time left until `end` (`None`: for ever), for [`Interrupt::poll`]; rounded up, so that the last fraction of a
/// millisecond is not spent spinning. A long wait ends early: its caller comes back for the rest.
pub(crate) fn until(end: Option<Instant>) -> PollTimeout {
    let Some(end) = end else { return PollTimeout::NONE };
    let left = end.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
    PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX))
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // Under the lock, so that a verb starting now either shares these handlers or installs
        // its own after ours are gone.
        let _installed = installed();
        self.handlers = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    static HOST: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn host_handler(_: libc::c_int) {
        HOST.fetch_add(1, SeqCst);
    }

    #[test]
    fn signals_are_caught_while_a_guard_lives_and_go_to_the_host_afterwards() {
        let host = SigAction::new(SigHandler::Handler(host_handler), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler only touches an atomic.
        let original = unsafe { sigaction(Signal::SIGTERM, &host) }.unwrap();
        {
            let first = Interrupt::catch().unwrap();
            let second = Interrupt::catch().unwrap();
            assert!(!first.poll(&mut [], PollTimeout::ZERO).unwrap());
            drop(first);
            raise(Signal::SIGTERM).unwrap();
            let stop = second.poll(&mut [], PollTimeout::NONE).unwrap_err();
            assert_eq!(stop.code(), 128 + libc::SIGTERM);
        }
        assert_eq!(HOST.load(SeqCst), 0);
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(HOST.load(SeqCst), 1, "the host's handler is back");
        let again = Interrupt::catch().unwrap();
        assert!(again.check().is_ok(), "an old signal does not end a new verb");
        drop(again);
        // SAFETY: the action that was in place when the test began.
        unsafe { sigaction(Signal::SIGTERM, &original) }.unwrap();
    }
}
