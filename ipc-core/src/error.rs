//! One error type for every noun and every language.
//!
//! [`ErrorKind`] is the table all skins map from: its number is the ABI (C returns the negative
//! number), its name, Node code and Python classes are derived here and nowhere else. One struct
//! with a kind and a sentence, rather than an enum per noun, because a caller in any of five
//! languages needs the same two things: what to branch on, and what to tell a person.

use crate::status::{Code, Status};
use std::fmt;

/// What went wrong. Numbers are never reused or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorKind {
    /// An argument is out of range or contradicts another.
    InvalidArgument = 1,
    /// A name or pattern breaks the naming rules.
    InvalidName = 2,
    /// The named object does not exist.
    NotFound = 3,
    /// The named object exists already.
    AlreadyExists = 4,
    /// The operating system or the owner of a directory says no, or a certificate is not trusted.
    PermissionDenied = 5,
    /// The time given ran out; nothing was lost.
    Timeout = 6,
    /// The call would have to wait and was asked not to, or would wait for itself.
    WouldBlock = 7,
    /// The handle, or the domain it belongs to, was closed.
    Closed = 8,
    /// The other side ended and everything it sent has been read.
    Disconnected = 9,
    /// The message can never fit the configured limit.
    TooLarge = 10,
    /// A publisher with overflow `reject` has no room now.
    Full = 11,
    /// A count reached its limit (participants, descriptors, borrowed samples, rings).
    LimitReached = 12,
    /// Memory or the shared-memory filesystem is exhausted.
    NoSpace = 13,
    /// A shared structure was made by an incompatible version or machine.
    LayoutMismatch = 14,
    /// A shared structure holds values that cannot be true.
    Corrupt = 15,
    /// A loan, sample or lock was carried over a fork.
    Forked = 16,
    /// Another handle holds the role asked for.
    Busy = 17,
    /// The object has live views and cannot be closed yet.
    InUse = 18,
    /// A signal interrupted the wait.
    Interrupted = 19,
    /// This platform or object cannot do that.
    Unsupported = 20,
    /// A value could not be encoded or decoded.
    Decode = 21,
    /// Any other failure of the operating system.
    Io = 22,
    /// A delivery's lease ran out: the message is somebody else's now.
    LeaseLost = 23,
    /// A message was not worked off: it is a dead letter.
    Rejected = 24,
    /// What was put is in the queue, or what was acknowledged done with, and that is not known to be on the disk: do not do
    /// it again.
    NotDurable = 25,
    /// Nobody provides the service, or who did is gone; [`Error::status`] tells more.
    Unavailable = 26,
    /// The caller gave the call up.
    Cancelled = 27,
    /// The service says that the call failed; [`Error::status`] tells why.
    CallFailed = 28,
}

use ErrorKind::*;

impl ErrorKind {
    /// Every kind, in the order of its number.
    pub const ALL: &'static [ErrorKind] = &[
        InvalidArgument,
        InvalidName,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        Timeout,
        WouldBlock,
        Closed,
        Disconnected,
        TooLarge,
        Full,
        LimitReached,
        NoSpace,
        LayoutMismatch,
        Corrupt,
        Forked,
        Busy,
        InUse,
        Interrupted,
        Unsupported,
        Decode,
        Io,
        LeaseLost,
        Rejected,
        NotDurable,
        Unavailable,
        Cancelled,
        CallFailed,
    ];

    /// The stable number; C functions return its negative.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The kind with this number.
    pub fn from_number(number: i32) -> Option<ErrorKind> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n.wrapping_sub(1)).copied())
    }

    /// The kind's own name, such as `Timeout`.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// `err.code` in Node, such as `AXONIC_TIMEOUT`.
    pub fn node_code(self) -> &'static str {
        self.row().1
    }

    /// The Python exception class, such as `TimeoutError`.
    pub fn python_class(self) -> &'static str {
        self.row().2
    }

    /// The built-in exception the Python class also derives from.
    pub fn python_base(self) -> Option<&'static str> {
        self.row().3
    }

    /// The errno closest in meaning, for callers that speak errno.
    pub fn errno(self) -> Option<i32> {
        self.row().4
    }

    #[rustfmt::skip]
    fn row(self) -> (&'static str, &'static str, &'static str, Option<&'static str>, Option<i32>) {
        match self {
            InvalidArgument => ("InvalidArgument", "AXONIC_INVALID_ARGUMENT", "InvalidArgumentError", Some("ValueError"), Some(22)),
            InvalidName => ("InvalidName", "AXONIC_INVALID_NAME", "InvalidNameError", Some("ValueError"), Some(22)),
            NotFound => ("NotFound", "AXONIC_NOT_FOUND", "NotFoundError", Some("FileNotFoundError"), Some(2)),
            AlreadyExists => ("AlreadyExists", "AXONIC_ALREADY_EXISTS", "AlreadyExistsError", Some("FileExistsError"), Some(17)),
            PermissionDenied => ("PermissionDenied", "AXONIC_PERMISSION_DENIED", "PermissionDeniedError", Some("PermissionError"), Some(13)),
            Timeout => ("Timeout", "AXONIC_TIMEOUT", "TimeoutError", Some("TimeoutError"), Some(110)),
            WouldBlock => ("WouldBlock", "AXONIC_WOULD_BLOCK", "WouldBlockError", Some("BlockingIOError"), Some(11)),
            Closed => ("Closed", "AXONIC_CLOSED", "ClosedError", Some("ValueError"), Some(9)),
            Disconnected => ("Disconnected", "AXONIC_DISCONNECTED", "DisconnectedError", Some("BrokenPipeError"), Some(32)),
            TooLarge => ("TooLarge", "AXONIC_TOO_LARGE", "TooLargeError", Some("ValueError"), Some(90)),
            Full => ("Full", "AXONIC_FULL", "FullError", Some("BlockingIOError"), Some(105)),
            LimitReached => ("LimitReached", "AXONIC_LIMIT_REACHED", "LimitReachedError", Some("OSError"), Some(24)),
            NoSpace => ("NoSpace", "AXONIC_NO_SPACE", "NoSpaceError", Some("MemoryError"), Some(28)),
            LayoutMismatch => ("LayoutMismatch", "AXONIC_LAYOUT_MISMATCH", "LayoutMismatchError", Some("RuntimeError"), Some(71)),
            Corrupt => ("Corrupt", "AXONIC_CORRUPT", "CorruptError", Some("RuntimeError"), Some(74)),
            Forked => ("Forked", "AXONIC_FORKED", "ForkedError", Some("RuntimeError"), None),
            Busy => ("Busy", "AXONIC_BUSY", "BusyError", Some("RuntimeError"), Some(16)),
            InUse => ("InUse", "AXONIC_IN_USE", "InUseError", Some("BufferError"), Some(16)),
            Interrupted => ("Interrupted", "AXONIC_INTERRUPTED", "InterruptedError", Some("InterruptedError"), Some(4)),
            Unsupported => ("Unsupported", "AXONIC_UNSUPPORTED", "UnsupportedError", Some("NotImplementedError"), Some(95)),
            Decode => ("Decode", "AXONIC_DECODE", "DecodeError", Some("ValueError"), Some(84)),
            Io => ("Io", "AXONIC_IO", "IoError", Some("OSError"), Some(5)),
            LeaseLost => ("LeaseLost", "AXONIC_LEASE_LOST", "LeaseLostError", Some("RuntimeError"), Some(125)),
            Rejected => ("Rejected", "AXONIC_REJECTED", "RejectedError", Some("RuntimeError"), Some(129)),
            NotDurable => ("NotDurable", "AXONIC_NOT_DURABLE", "NotDurableError", Some("OSError"), Some(5)),
            Unavailable => ("Unavailable", "AXONIC_UNAVAILABLE", "UnavailableError", Some("ConnectionError"), Some(111)),
            Cancelled => ("Cancelled", "AXONIC_CANCELLED", "CancelledError", Some("RuntimeError"), Some(125)),
            CallFailed => ("CallFailed", "AXONIC_CALL_FAILED", "CallFailedError", Some("RuntimeError"), Some(121)),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error: what to branch on, and one sentence that says what happened to which object, names
/// the limit or setting, and what to do about it.
pub struct Error(Box<Told>);

/// Behind a pointer, so that a result without an error travels in a register.
struct Told {
    kind: ErrorKind,
    message: Box<str>,
    accepted: usize,
    status: Option<Box<Status>>,
}

/// The result of every fallible call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error of `kind` with a sentence for a person.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Told { kind, message: message.into().into_boxed_str(), accepted: 0, status: None }))
    }

    /// Makes the error of a put that is in the queue, as are so many messages of the call, but not durable.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn not_durable(accepted: usize, message: String) -> Error {
        Error(Box::new(Told { kind: NotDurable, message: message.into_boxed_str(), accepted, status: None }))
    }

    /// With [`ErrorKind::NotDurable`]: how many messages of the call are in the queue all the same, the first ones.
    pub fn accepted(&self) -> usize {
        self.0.accepted
    }

    /// Makes the error of a call: of the kind that its status says, with a sentence that names the call.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn of_call(message: String, status: Status) -> Error {
        let kind = match status.code {
            Code::Unavailable => Unavailable,
            Code::Cancelled => Cancelled,
            Code::DeadlineExceeded => Timeout,
            _ => CallFailed,
        };
        let status = Some(Box::new(status));
        Error(Box::new(Told { kind, message: message.into_boxed_str(), accepted: 0, status }))
    }

    /// Of a call that failed: why, as its service says.
    pub fn status(&self) -> Option<&Status> {
        self.0.status.as_deref()
    }

    /// What to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same error, naming the object it happened to if it does not yet.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn of(self, noun: &str, name: &str) -> Error {
        if self.0.message.contains(&format!("'{name}'")) {
            return self;
        }
        Error::new(self.0.kind, format!("{noun} '{name}': {}", self.0.message))
    }

    /// Whether it tells of memory that cannot be believed, rather than of something that may pass.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self.0.kind, Corrupt | LayoutMismatch)
    }

    /// The sentence, without the kind.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_round_trip() {
        for (i, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(kind.number(), i as i32 + 1);
            assert_eq!(ErrorKind::from_number(kind.number()), Some(*kind));
        }
        for bad in [0, -1, ErrorKind::ALL.len() as i32 + 1, i32::MIN] {
            assert_eq!(ErrorKind::from_number(bad), None);
        }
    }

    #[test]
    fn names_are_unique_and_derived() {
        let mut seen = std::collections::HashSet::new();
        for kind in ErrorKind::ALL {
            assert!(
                seen.insert(kind.name()) && seen.insert(kind.node_code()) && seen.insert(kind.python_class())
            );
            assert_eq!(kind.python_class(), format!("{}Error", kind.name()));
            let spelled: String = kind.node_code()["AXONIC_".len()..].split('_').map(capitalise).collect();
            assert_eq!(spelled, kind.name());
        }
    }

    fn capitalise(word: &str) -> String {
        word[..1].to_string() + &word[1..].to_lowercase()
    }
}
