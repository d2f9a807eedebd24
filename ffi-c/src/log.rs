//! What happens beside the answers of calls, told to a function of the program.
//!
//! The core tells it with no lock held, so the function is called on the spot, in the middle of the call.

use crate::error::{self, Outcome, enter};
use axonic::log::{Level, Record, listen};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How much it matters.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_log_level {
    /// The ordinary course: what was opened and closed, who met whom.
    AXONIC_LOG_DEBUG = 1,
    /// What one may want to know: somebody died, leftovers were removed.
    AXONIC_LOG_INFO = 2,
    /// Something was lost or could not be done.
    AXONIC_LOG_WARN = 3,
}

/// Told what happened: `level` is an axonic_log_level, `text` is valid until it returns. It runs in the middle of the
/// call it happened in, on that thread, and may call the library, except on the handle of that call; what its own
/// calls cause is not told.
pub type axonic_logger = Option<unsafe extern "C" fn(level: i32, text: *const c_char, context: *mut c_void)>;

struct Logger {
    function: unsafe extern "C" fn(level: i32, text: *const c_char, context: *mut c_void),
    context: *mut c_void,
}

/// Who listens now. Never freed, since any thread may be about to call it; no lock, which a fork could catch locked.
static LOGGER: AtomicPtr<Logger> = AtomicPtr::new(null_mut());

thread_local! {
    /// This thread is in the logger.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Lets `logger` hear, with `context`, what happens beside the answers of calls: who came, who died, what was
/// removed. NULL: nobody, as in the beginning. There is one for the whole process, called by any thread that calls the
/// library; another thread may still be in, or about to call, the one before when this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_set_logger(logger: axonic_logger, context: *mut c_void) -> c_int {
    enter(|| set(logger, context))
}

fn set(logger: axonic_logger, context: *mut c_void) -> Outcome<()> {
    let Some(function) = logger else {
        LOGGER.store(null_mut(), Ordering::Release);
        return Ok(());
    };
    listen(hear)?;
    LOGGER.store(Box::into_raw(Box::new(Logger { function, context })), Ordering::Release);
    Ok(())
}

fn hear(record: Record) {
    // SAFETY: null, or a box that is never freed.
    let Some(logger) = (unsafe { LOGGER.load(Ordering::Acquire).as_ref() }) else { return };
    if TELLING.try_with(|telling| telling.replace(true)) != Ok(false) {
        return;
    }
    let level = match record.level {
        Level::Debug => axonic_log_level::AXONIC_LOG_DEBUG,
        Level::Info => axonic_log_level::AXONIC_LOG_INFO,
        Level::Warn => axonic_log_level::AXONIC_LOG_WARN,
    };
    let text = error::without_nul(record.text);
    // The message of the thread's last failure is not to be lost to a call of the logger's.
    let last = error::set_aside();
    // SAFETY: the caller of `axonic_set_logger` gave a function that takes these, and a context that fits it, on
    // whatever thread.
    unsafe { (logger.function)(level as i32, text.as_ptr(), logger.context) };
    error::put_back(last);
    let _ = TELLING.try_with(|telling| telling.set(false));
}
