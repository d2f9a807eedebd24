//! Codes, the message of the last failure, versions, and the gate every exported function goes through.

use crate::status::{Told, axonic_status};
use axonic::{Error, ErrorKind, Status};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// What a function returns: AXONIC_OK or the negative number of what went wrong. Numbers are never
/// reused; later versions may add some.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum axonic_error_kind {
    AXONIC_OK = 0,
    /// An argument makes no sense; also NULL where data or a place for a result is needed.
    AXONIC_ERROR_INVALID_ARGUMENT = -1,
    /// A name or pattern is not made of tokens joined by '.'.
    AXONIC_ERROR_INVALID_NAME = -2,
    AXONIC_ERROR_NOT_FOUND = -3,
    AXONIC_ERROR_ALREADY_EXISTS = -4,
    AXONIC_ERROR_PERMISSION_DENIED = -5,
    /// The timeout passed.
    AXONIC_ERROR_TIMEOUT = -6,
    /// The timeout was 0 and it would have had to wait.
    AXONIC_ERROR_WOULD_BLOCK = -7,
    /// The handle or its domain is closed, or the handle is NULL.
    AXONIC_ERROR_CLOSED = -8,
    /// The other side ended.
    AXONIC_ERROR_DISCONNECTED = -9,
    /// Larger than an option allows; the message names it.
    AXONIC_ERROR_TOO_LARGE = -10,
    /// A publisher with AXONIC_OVERFLOW_REJECT found no room.
    AXONIC_ERROR_FULL = -11,
    /// A table or quota is used up; the message names it.
    AXONIC_ERROR_LIMIT_REACHED = -12,
    /// The filesystem of the runtime directory is full.
    AXONIC_ERROR_NO_SPACE = -13,
    /// The domain was made by an incompatible version.
    AXONIC_ERROR_LAYOUT_MISMATCH = -14,
    /// Shared memory holds what no version writes.
    AXONIC_ERROR_CORRUPT = -15,
    /// A loan or borrowed message was carried across fork().
    AXONIC_ERROR_FORKED = -16,
    /// Somebody else holds it.
    AXONIC_ERROR_BUSY = -17,
    /// Still referred to from this process.
    AXONIC_ERROR_IN_USE = -18,
    AXONIC_ERROR_INTERRUPTED = -19,
    AXONIC_ERROR_UNSUPPORTED = -20,
    /// The bytes are not what the content type says, or do not satisfy the schema.
    AXONIC_ERROR_DECODE = -21,
    /// Any other failure of the operating system, and errors inside the library.
    AXONIC_ERROR_IO = -22,
    /// The lease of a delivery ran out: its message is somebody else's now.
    AXONIC_ERROR_LEASE_LOST = -23,
    /// A message whose result was waited for is a dead letter.
    AXONIC_ERROR_REJECTED = -24,
    /// What was put is in the queue, or what was acknowledged done with, and that is not known to be on the disk. Do
    /// not do it again.
    AXONIC_ERROR_NOT_DURABLE = -25,
    /// Nobody provides the service, or who did is gone; axonic_last_status() tells more.
    AXONIC_ERROR_UNAVAILABLE = -26,
    /// The caller gave the call up.
    AXONIC_ERROR_CANCELLED = -27,
    /// The service says that the call failed; axonic_last_status() tells why.
    AXONIC_ERROR_CALL_FAILED = -28,
}

pub const AXONIC_VERSION_MAJOR: u32 = 0;
pub const AXONIC_VERSION_MINOR: u32 = 1;
pub const AXONIC_VERSION_PATCH: u32 = 0;

/// Why a call failed: the core's error, or one found before the core was reached.
pub(crate) enum Failure {
    Core(Error),
    /// A poll found nothing: a noun, its name, and what was not there.
    Nothing(&'static str, Arc<CStr>, &'static str),
    /// The same poll as the last of this thread that failed found nothing again.
    NothingAgain,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Failure {
        Failure::Core(Error::new(kind, message))
    }

    pub(crate) fn argument(message: impl Into<String>) -> Failure {
        Failure::new(ErrorKind::InvalidArgument, message)
    }

    /// The ordinary answer of a poll: it costs no allocation, and from the second time on not even a count of who has the
    /// name, which takes as long as the poll.
    pub(crate) fn nothing(noun: &'static str, name: &Arc<CStr>, lacking: &'static str) -> Failure {
        let is_told = |last: &RefCell<Last>| match &last.borrow().failure {
            Some(Failure::Nothing(_, told, lacked)) => Arc::ptr_eq(told, name) && *lacked == lacking,
            _ => false,
        };
        match LAST.try_with(is_told) {
            Ok(true) => Failure::NothingAgain,
            _ => Failure::Nothing(noun, name.clone(), lacking),
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Failure::Core(error) => error.kind(),
            Failure::Nothing(..) | Failure::NothingAgain => ErrorKind::WouldBlock,
        }
    }

    /// Of a call that failed: why, as its service says.
    fn status(&self) -> Option<&Status> {
        match self {
            Failure::Core(error) => error.status(),
            Failure::Nothing(..) | Failure::NothingAgain => None,
        }
    }
}

/// What a call with timeout 0 says that found nothing.
pub(crate) fn nothing(object: &dyn fmt::Display, text: &str) -> String {
    format!("{object}: {text}, and the timeout was 0; give it one to wait")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Core(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Core(error) => error.fmt(f),
            Failure::Nothing(noun, name, text) => {
                f.write_str(&nothing(&format_args!("{noun} '{}'", name.to_string_lossy()), text))
            }
            Failure::NothingAgain => f.write_str("nothing again"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

/// The last failure of this thread; its text is made when somebody asks for it.
#[derive(Default)]
pub(crate) struct Last {
    failure: Option<Failure>,
    text: Option<CString>,
    status: Option<Told>,
}

impl Last {
    /// Makes what is told of a failure that nobody has asked for yet.
    fn tell(&mut self) {
        if let Some(failure) = self.failure.take() {
            self.text = Some(without_nul(failure.to_string()));
            self.status = failure.status().map(Told::new);
        }
    }
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { failure: None, text: None, status: None }) };
}

fn remember(failure: Failure) -> c_int {
    let code = -failure.kind().number();
    if !matches!(failure, Failure::NothingAgain) {
        // A thread that is ending has no place for the text any more; the code still says what happened.
        let _ = LAST.try_with(|last| last.borrow_mut().failure = Some(failure));
    }
    code
}

/// The last failure, out of the way of calls that the logger makes.
pub(crate) fn set_aside() -> Last {
    LAST.try_with(RefCell::take).unwrap_or_default()
}

pub(crate) fn put_back(last: Last) {
    let _ = LAST.try_with(|place| place.replace(last));
}

fn panicked(payload: &(dyn Any + Send)) -> Failure {
    let what = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no message",
    };
    Failure::new(ErrorKind::Io, format!("internal error in the library, please report it: {what}"))
}

/// Runs the body of an exported function: a failure becomes a code and this thread's message, and
/// no panic crosses into C.
pub(crate) fn enter(body: impl FnOnce() -> Outcome<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => remember(failure),
        Err(payload) => remember(panicked(&*payload)),
    }
}

/// As `enter` for functions that return what they found, or `none` when they fail.
pub(crate) fn enter_or<T>(none: T, body: impl FnOnce() -> Outcome<T>) -> T {
    let mut found = none;
    enter(|| {
        found = body()?;
        Ok(())
    });
    found
}

/// The message of this thread's last failed call: the noun, its name, what happened, the limit or
/// setting, the remedy. "" before the first failure; valid until the next failed call of this thread.
/// A call that succeeds does not clear it.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_last_error_message() -> *const c_char {
    let text = catch_unwind(|| {
        LAST.try_with(|last| {
            let last = &mut *last.borrow_mut();
            last.tell();
            last.text.as_ref().map(|text| text.as_ptr())
        })
    });
    text.ok().and_then(Result::ok).flatten().unwrap_or(c"".as_ptr())
}

/// The status of the last failure of this thread, if it has one.
pub(crate) fn last_status(in_c: impl FnOnce(&Told) -> axonic_status) -> Option<axonic_status> {
    let told = LAST.try_with(|last| {
        let last = &mut *last.borrow_mut();
        last.tell();
        last.status.as_ref().map(in_c)
    });
    told.ok().flatten()
}

pub(crate) fn without_nul(text: String) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// The name of a code, the same in every language: "Timeout" for AXONIC_ERROR_TIMEOUT, "Ok" for
/// AXONIC_OK, NULL for a number this version does not know. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_error_name(code: i32) -> *const c_char {
    static NAMES: OnceLock<Vec<(i32, CString)>> = OnceLock::new();
    if code == axonic_error_kind::AXONIC_OK as i32 {
        return c"Ok".as_ptr();
    }
    enter_or(std::ptr::null(), || {
        let names = NAMES.get_or_init(|| {
            ErrorKind::ALL.iter().map(|kind| (-kind.number(), without_nul(kind.name().to_owned()))).collect()
        });
        let found = names.iter().find(|(number, _)| *number == code);
        Ok(found.map_or(std::ptr::null(), |(_, name)| name.as_ptr()))
    })
}

/// The version of the library that was loaded, "0.1.0". The header's own is in AXONIC_VERSION_MAJOR,
/// _MINOR and _PATCH. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("the version of the package holds a NUL"),
        };
    VERSION.as_ptr()
}

/// The version of the layout of shared memory: libraries with the same number share domains.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_layout_version() -> u32 {
    axonic::LAYOUT_VERSION
}

#[cfg(test)]
mod tests {
    use super::axonic_error_kind::*;
    use super::*;

    /// One line per kind, so that a new kind in the core breaks the build or this test, not a program in C.
    fn code(kind: ErrorKind) -> axonic_error_kind {
        match kind {
            ErrorKind::InvalidArgument => AXONIC_ERROR_INVALID_ARGUMENT,
            ErrorKind::InvalidName => AXONIC_ERROR_INVALID_NAME,
            ErrorKind::NotFound => AXONIC_ERROR_NOT_FOUND,
            ErrorKind::AlreadyExists => AXONIC_ERROR_ALREADY_EXISTS,
            ErrorKind::PermissionDenied => AXONIC_ERROR_PERMISSION_DENIED,
            ErrorKind::Timeout => AXONIC_ERROR_TIMEOUT,
            ErrorKind::WouldBlock => AXONIC_ERROR_WOULD_BLOCK,
            ErrorKind::Closed => AXONIC_ERROR_CLOSED,
            ErrorKind::Disconnected => AXONIC_ERROR_DISCONNECTED,
            ErrorKind::TooLarge => AXONIC_ERROR_TOO_LARGE,
            ErrorKind::Full => AXONIC_ERROR_FULL,
            ErrorKind::LimitReached => AXONIC_ERROR_LIMIT_REACHED,
            ErrorKind::NoSpace => AXONIC_ERROR_NO_SPACE,
            ErrorKind::LayoutMismatch => AXONIC_ERROR_LAYOUT_MISMATCH,
            ErrorKind::Corrupt => AXONIC_ERROR_CORRUPT,
            ErrorKind::Forked => AXONIC_ERROR_FORKED,
            ErrorKind::Busy => AXONIC_ERROR_BUSY,
            ErrorKind::InUse => AXONIC_ERROR_IN_USE,
            ErrorKind::Interrupted => AXONIC_ERROR_INTERRUPTED,
            ErrorKind::Unsupported => AXONIC_ERROR_UNSUPPORTED,
            ErrorKind::Decode => AXONIC_ERROR_DECODE,
            ErrorKind::Io => AXONIC_ERROR_IO,
            ErrorKind::LeaseLost => AXONIC_ERROR_LEASE_LOST,
            ErrorKind::Rejected => AXONIC_ERROR_REJECTED,
            ErrorKind::NotDurable => AXONIC_ERROR_NOT_DURABLE,
            ErrorKind::Unavailable => AXONIC_ERROR_UNAVAILABLE,
            ErrorKind::Cancelled => AXONIC_ERROR_CANCELLED,
            ErrorKind::CallFailed => AXONIC_ERROR_CALL_FAILED,
        }
    }

    fn text(pointer: *const c_char) -> String {
        // SAFETY: the functions under test return NUL-terminated strings that live long enough.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn every_kind_is_its_negative_number_and_keeps_its_name() {
        for &kind in ErrorKind::ALL {
            assert_eq!(code(kind) as i32, -kind.number(), "{kind:?}");
            assert_eq!(text(axonic_error_name(-kind.number())), kind.name());
            // AXONIC_ERROR_WOULD_BLOCK is WouldBlock.
            let constant = format!("{:?}", code(kind)).replace("AXONIC_ERROR", "").replace('_', "");
            assert_eq!(constant, kind.name().to_uppercase());
        }
        assert_eq!(text(axonic_error_name(0)), "Ok");
        for unknown in [1, -29, i32::MIN, i32::MAX] {
            assert!(axonic_error_name(unknown).is_null());
        }
    }

    #[test]
    fn a_failure_leaves_code_and_message_and_success_keeps_them() {
        assert_eq!(text(axonic_last_error_message()), "");
        assert_eq!(enter(|| Err(Failure::new(ErrorKind::Busy, "held\0by 7.3"))), -17);
        assert_eq!(enter(|| Ok(())), 0);
        assert!(text(axonic_last_error_message()).contains("held\u{fffd}by 7.3"));
        let told = "queue 'jobs': it has none, and the timeout was 0; give it one to wait";
        let (jobs, others) = (c"jobs".into(), c"others".into());
        let nothing = |name, lacking| enter(|| Err(Failure::nothing("queue", name, lacking)));
        for repeated in [1, 2, 1] {
            (0..repeated).for_each(|_| assert_eq!(nothing(&jobs, "it has none"), -7));
            assert_eq!(text(axonic_last_error_message()), told);
        }
        // What else fails in between is told, and then nothing anew.
        assert_eq!((nothing(&jobs, "it has none"), nothing(&others, "it has none")), (-7, -7));
        assert_eq!(text(axonic_last_error_message()), told.replace("jobs", "others"));
        assert_eq!((nothing(&jobs, "it has none"), nothing(&jobs, "it is empty")), (-7, -7));
        assert_eq!(text(axonic_last_error_message()), told.replace("has none", "is empty"));
        assert_eq!(
            (
                nothing(&jobs, "it has none"),
                enter(|| Err(Failure::argument("no"))),
                nothing(&jobs, "it has none")
            ),
            (-7, -1, -7)
        );
        assert_eq!(text(axonic_last_error_message()), told);
        let other_thread = std::thread::spawn(|| text(axonic_last_error_message())).join().unwrap();
        assert_eq!(other_thread, "");
    }

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(enter(|| panic!("the sky fell")), -22);
        assert!(text(axonic_last_error_message()).contains("the sky fell"));
        assert_eq!(enter_or(5, || panic!("again")), 5);
    }

    #[test]
    fn the_header_carries_the_version_of_the_package() {
        let macros = format!("{AXONIC_VERSION_MAJOR}.{AXONIC_VERSION_MINOR}.{AXONIC_VERSION_PATCH}");
        assert_eq!(macros, env!("CARGO_PKG_VERSION"));
        assert_eq!(text(axonic_version()), env!("CARGO_PKG_VERSION"));
        assert!(axonic_layout_version() > 0);
    }
}
