//! What happens beside the answers of calls, told to a function of the program.

use crate::error::{self, Outcome, enter};
use axonic::log::{Level, Record, keep, listen, tell};
use std::ffi::{c_char, c_int, c_void};
use std::sync::{Mutex, PoisonError};

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

/// Told what happened: `level` is an axonic_log_level, `text` is valid until it returns. It runs on the thread
/// whose call it happened in, when that call has its answer, and may call the library except on that call's
/// handle; what its own calls cause is not told.
pub type axonic_logger = Option<unsafe extern "C" fn(level: i32, text: *const c_char, context: *mut c_void)>;

struct Logger {
    function: axonic_logger,
    context: *mut c_void,
}

// SAFETY: the caller of `axonic_set_logger` promises that both may be used from every thread that calls the library.
unsafe impl Send for Logger {}

static LOGGER: Mutex<Logger> = Mutex::new(Logger { function: None, context: std::ptr::null_mut() });

/// Lets `logger` hear, with `context`, what happens beside the answers of calls: who came, who died, what was
/// removed. NULL: nobody, as in the beginning. There is one for the whole process, called by any thread that calls the
/// library; another thread may still be in the one before when this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_set_logger(logger: axonic_logger, context: *mut c_void) -> c_int {
    enter(|| set(Logger { function: logger, context }))
}

fn set(logger: Logger) -> Outcome<()> {
    if logger.function.is_some() {
        listen(keep)?;
    }
    *LOGGER.lock().unwrap_or_else(PoisonError::into_inner) = logger;
    Ok(())
}

/// At the end of every call: tells what happened in it.
#[inline]
pub(crate) fn deliver() {
    tell(hand_over);
}

fn hand_over(record: Record) {
    let (function, context) = {
        let logger = LOGGER.lock().unwrap_or_else(PoisonError::into_inner);
        (logger.function, logger.context)
    };
    let Some(function) = function else { return };
    let level = match record.level {
        Level::Debug => axonic_log_level::AXONIC_LOG_DEBUG,
        Level::Info => axonic_log_level::AXONIC_LOG_INFO,
        Level::Warn => axonic_log_level::AXONIC_LOG_WARN,
    };
    let text = error::without_nul(record.text);
    // The message of the call that is just ending is not to be lost to a call of the logger's.
    let last = error::set_aside();
    // SAFETY: the caller of `axonic_set_logger` gave a function that takes these, and a context that fits it.
    unsafe { function(level as i32, text.as_ptr(), context) };
    error::put_back(last);
}
