//! Long waits of the core, in which the handlers of signals run all the same.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

use crate::log::deliver;

/// What this thread waits for.
struct Wait {
    /// The address of the handle that this thread is in; 0: none.
    handle: usize,
    /// What it waits for was closed here.
    closed: Option<Arc<AtomicBool>>,
    /// What a signal's handler raised.
    raised: Option<PyErr>,
}

thread_local! {
    /// What this thread works at: whether nobody waits for that any more.
    static GIVEN_UP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    /// The last is the innermost: a signal's handler may wait too.
    static WAITS: RefCell<Vec<Wait>> = const { RefCell::new(Vec::new()) };
}

/// What a thread does for an event loop, which may give it up: it waits for nothing more then.
#[pyclass(frozen, name = "_Attempt", module = "axonic")]
pub struct Attempt(Arc<AtomicBool>);

#[pymethods]
impl Attempt {
    #[new]
    fn new() -> Attempt {
        Attempt(Arc::default())
    }

    /// Calls a function on this thread.
    fn run<'py>(&self, work: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        GIVEN_UP.set(Some(self.0.clone()));
        let done = work.call0();
        GIVEN_UP.set(None);
        done
    }

    /// Nobody waits for it any more.
    fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the core ask.
pub fn register() {
    axonic::ask_while_waiting(goes_on);
}

/// Whether this thread's wait goes on; runs the handlers of signals.
fn goes_on() -> bool {
    let is_set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
    if GIVEN_UP.with_borrow(|given_up| given_up.as_ref().is_some_and(is_set)) {
        return false;
    }
    let is_closed = |wait: &Wait| wait.closed.as_ref().is_some_and(is_set);
    match WAITS.with_borrow(|waits| waits.last().map(is_closed)) {
        Some(true) => return false,
        Some(false) => {}
        // Nobody would raise what a handler raises.
        None => return true,
    }
    // Nobody to attach to: the interpreter ends.
    let Some(checked) = Python::try_attach(|py| py.check_signals()) else { return false };
    let Err(error) = checked else { return true };
    WAITS.with_borrow_mut(|waits| waits.iter_mut().last().map(|wait| wait.raised = Some(error)));
    false
}

/// Runs a call that may wait, detached. Raises what a signal's handler raised, which has ended the wait.
pub fn waiting<R: Send>(
    py: Python<'_>,
    closed: Option<&Arc<AtomicBool>>,
    call: impl FnOnce() -> R + Send,
) -> PyResult<R> {
    wait(py, Wait { handle: 0, closed: closed.cloned(), raised: None }, call)
}

/// The same for a call on the handle at this address.
pub fn waiting_in<R: Send>(py: Python<'_>, handle: usize, call: impl FnOnce() -> R + Send) -> PyResult<R> {
    wait(py, Wait { handle, closed: None, raised: None }, call)
}

/// The same for a handle that may be closed meanwhile.
pub fn waiting_on<R: Send>(
    py: Python<'_>,
    handle: usize,
    closed: &Arc<AtomicBool>,
    call: impl FnOnce() -> R + Send,
) -> PyResult<R> {
    wait(py, Wait { handle, closed: Some(closed.clone()), raised: None }, call)
}

/// Whether this thread is in the handle at this address: a signal's handler has interrupted its call.
pub fn is_inside(handle: usize) -> bool {
    WAITS.with_borrow(|waits| waits.iter().any(|wait| wait.handle == handle))
}

fn wait<R: Send>(py: Python<'_>, wait: Wait, call: impl FnOnce() -> R + Send) -> PyResult<R> {
    WAITS.with_borrow_mut(|waits| waits.push(wait));
    let waited = py.detach(call);
    let raised = WAITS.with_borrow_mut(Vec::pop).and_then(|wait| wait.raised);
    deliver(py);
    raised.map_or(Ok(waited), Err)
}
