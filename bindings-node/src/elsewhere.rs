//! What may wait for others, such as connecting: on a thread of its own, of which the event loop hears by a descriptor.

use std::cell::RefCell;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axonic::{Error, ErrorKind};

thread_local! {
    /// On such a thread: whether nobody waits for it any more.
    static GIVEN_UP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// An outcome that a thread is about to have. Dropped, nobody waits for it any more, and the thread ends.
pub struct Elsewhere<T> {
    /// Its other end is the thread's, which closes it when it is done. `None`: it was given up.
    done: RefCell<Option<UnixStream>>,
    outcome: Arc<Mutex<Option<axonic::Result<T>>>>,
    given_up: Arc<AtomicBool>,
}

impl<T: Send + 'static> Elsewhere<T> {
    /// Begins it.
    pub fn start(work: impl FnOnce() -> axonic::Result<T> + Send + 'static) -> axonic::Result<Elsewhere<T>> {
        axonic::ask_while_waiting(goes_on);
        let lacks = |error: std::io::Error| {
            let text = format!("no thread or descriptor is left to connect with ({error}); see `ulimit -a`");
            Error::new(ErrorKind::LimitReached, text)
        };
        let (done, doing) = UnixStream::pair().map_err(lacks)?;
        let elsewhere =
            Elsewhere { done: RefCell::new(Some(done)), outcome: Arc::default(), given_up: Arc::default() };
        let (outcome, given_up) = (elsewhere.outcome.clone(), elsewhere.given_up.clone());
        let run = move || {
            GIVEN_UP.set(Some(given_up.clone()));
            let result = work();
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            // What nobody waits for ends here.
            if !given_up.load(Ordering::Relaxed) {
                *outcome = Some(result);
            }
            drop(outcome);
            drop(doing);
        };
        std::thread::Builder::new().name("axonic connect".into()).spawn(run).map_err(lacks)?;
        Ok(elsewhere)
    }

    /// Readable once the outcome is there.
    pub fn fd(&self) -> i32 {
        self.done.borrow().as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// The outcome, once; `None`: it is not there yet.
    pub fn take(&self) -> axonic::Result<Option<T>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take().transpose()
    }
}

impl<T> Elsewhere<T> {
    /// Nobody waits for it any more.
    pub fn give_up(&self) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        self.given_up.store(true, Ordering::Relaxed);
        drop(outcome.take());
        self.done.take();
    }
}

impl<T> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Whether what waits on this thread is to go on.
fn goes_on() -> bool {
    GIVEN_UP.with_borrow(|given_up| !given_up.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}
