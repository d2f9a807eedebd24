//! Why a call failed, in the same terms in every language.

use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What went wrong with a call: gRPC's codes, by their numbers and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// The caller gave it up.
    Cancelled = 1,
    /// Something that fits no other code.
    Unknown = 2,
    /// The arguments are wrong, whatever the state of the service.
    InvalidArgument = 3,
    /// It took longer than the caller gave it.
    DeadlineExceeded = 4,
    /// What was asked for does not exist.
    NotFound = 5,
    /// What should be made exists.
    AlreadyExists = 6,
    /// The caller may not do that.
    PermissionDenied = 7,
    /// A quota is used up, or a queue is full.
    ResourceExhausted = 8,
    /// The service is not in a state to do that; trying again as it is does not help.
    FailedPrecondition = 9,
    /// Somebody else did something at the same time; begin anew.
    Aborted = 10,
    /// Past the end of what there is.
    OutOfRange = 11,
    /// The service has no such method.
    Unimplemented = 12,
    /// The service is broken.
    Internal = 13,
    /// Nobody provides the service now.
    Unavailable = 14,
    /// Data is lost or damaged.
    DataLoss = 15,
    /// The caller has not said who it is.
    Unauthenticated = 16,
}

const CODES: [(Code, &str); 16] = [
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// Every code, in the order of its number.
    pub fn all() -> impl Iterator<Item = Code> {
        CODES.iter().map(|row| row.0)
    }

    /// Its number, gRPC's.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number.
    pub fn from_number(number: u8) -> Option<Code> {
        CODES.get(usize::from(number).wrapping_sub(1)).map(|row| row.0)
    }

    /// Its name, gRPC's, such as `NOT_FOUND`.
    pub fn name(self) -> &'static str {
        CODES[self as usize - 1].1
    }

    /// The code with this name.
    pub fn from_name(name: &str) -> Option<Code> {
        CODES.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What to branch on.
    pub code: Code,
    /// A word of the service's own that stays the same while texts change, such as `no_such_order`; may be empty.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// The same call may succeed later, and does no harm if it was done already.
    pub retryable: bool,
    /// What else the service tells, as JSON.
    pub details: serde_json::Value,
    /// Who failed: `service@version (label, pid)`; may be empty.
    pub origin: String,
}

/// What ended the work on a call that has no answer, in the terms of the handler's language. [`Status::from`] it says what the
/// caller is told, the same for handlers of all languages.
#[derive(Clone, Copy, Debug)]
pub struct Thrown<'a> {
    /// Its class, which is the reason that is told; empty: the kind's name is.
    pub class: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Its kind, where it is an error of this library's, or means the same as one.
    pub kind: Option<ErrorKind>,
    /// Of a call that the handler made and that failed: why. That is passed on as it is.
    pub status: Option<&'a Status>,
}

/// How it travels.
#[derive(Serialize, Deserialize)]
#[cfg_attr(loom, allow(dead_code))]
struct Wire {
    code: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retryable: bool,
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    details: serde_json::Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    origin: String,
}

#[cfg_attr(loom, allow(dead_code))]
impl Status {
    /// A status with a code and a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status {
            code,
            reason: String::new(),
            message: message.into(),
            retryable: code == Code::Unavailable,
            details: serde_json::Value::Null,
            origin: String::new(),
        }
    }

    /// The same with a stable reason.
    pub fn with_reason(self, reason: impl Into<String>) -> Status {
        Status { reason: reason.into(), ..self }
    }

    /// The same with details.
    pub fn with_details(self, details: serde_json::Value) -> Status {
        Status { details, ..self }
    }

    /// The same, worth trying again or not.
    pub fn with_retryable(self, retryable: bool) -> Status {
        Status { retryable, ..self }
    }

    /// The same, from somewhere, if it does not say so yet: whoever passes on another's failure keeps its origin.
    pub(crate) fn with_origin(mut self, origin: &str) -> Status {
        if self.origin.is_empty() {
            self.origin = origin.into();
        }
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            code: self.code.name().into(),
            reason: self.reason.clone(),
            message: self.message.clone(),
            retryable: self.retryable,
            details: self.details.clone(),
            origin: self.origin.clone(),
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Reads it back; what cannot be read is `Unknown`, with what there is of a text.
    pub(crate) fn decode(bytes: &[u8]) -> Status {
        serde_json::from_slice(bytes).map(|wire: Wire| wire.status()).unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
            Status::new(Code::Unknown, format!("it failed without a readable reason ({text:?})"))
        })
    }

    /// Reads what may be one, and says so by its code.
    pub(crate) fn read(json: &str) -> Option<Status> {
        let wire: Wire = serde_json::from_str(json).ok()?;
        Code::from_name(&wire.code)?;
        Some(wire.status())
    }
}

impl From<Thrown<'_>> for Status {
    fn from(thrown: Thrown<'_>) -> Status {
        if let Some(status) = thrown.status {
            return status.clone();
        }
        let code = match thrown.kind {
            Some(ErrorKind::Timeout) => Code::DeadlineExceeded,
            Some(ErrorKind::Cancelled) => Code::Cancelled,
            // No other kind says whose fault it was: what the library refused may be no argument of the caller's.
            _ => Code::Unknown,
        };
        let class = match (thrown.class, thrown.kind) {
            ("", Some(kind)) => kind.name(),
            (class, _) => class,
        };
        let text = if thrown.text.is_empty() { class } else { thrown.text };
        Status::new(code, text).with_reason(class)
    }
}

/// What a handler tells its caller that met an error of this library's: with `?` a result of the handler's, say.
impl From<&Error> for Status {
    fn from(error: &Error) -> Status {
        let (kind, status) = (error.kind(), error.status());
        Thrown { class: "", text: error.message(), kind: Some(kind), status }.into()
    }
}

impl Wire {
    /// The status; a code that is not known here counts as `Unknown`.
    fn status(self) -> Status {
        Status {
            code: Code::from_name(&self.code).unwrap_or(Code::Unknown),
            reason: self.reason,
            message: self.message,
            retryable: self.retryable,
            details: self.details,
            origin: self.origin,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        write!(f, ": {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_grpcs() {
        for (i, code) in Code::all().enumerate() {
            assert_eq!(usize::from(code.number()), i + 1);
            assert_eq!(
                (Code::from_number(code.number()), Code::from_name(code.name())),
                (Some(code), Some(code))
            );
        }
        assert_eq!((Code::from_number(0), Code::from_number(17), Code::from_name("OK")), (None, None, None));
        assert_eq!((Code::Unavailable.number(), Code::DeadlineExceeded.name()), (14, "DEADLINE_EXCEEDED"));
    }

    #[test]
    fn a_status_travels() {
        let status = Status::new(Code::NotFound, "no order 7")
            .with_reason("no_such_order")
            .with_details(serde_json::json!({ "order": 7 }))
            .with_retryable(true)
            .with_origin("orders@1.0.0");
        assert_eq!(Status::decode(&status.encode()), status);
        assert_eq!(status.clone().with_origin("other").origin, "orders@1.0.0");
        assert_eq!(Status::decode(b"{\"code\":\"NONSENSE\"}").code, Code::Unknown);
        assert_eq!(Status::decode(b"\xff").code, Code::Unknown);
    }

    #[test]
    fn what_a_handler_throws_is_told_by_its_class() {
        let thrown = |kind, text| Status::from(Thrown { class: "NoStock", text, kind, status: None });
        let told = thrown(None, "no apples");
        assert_eq!(told, Status::new(Code::Unknown, "no apples").with_reason("NoStock"));
        assert_eq!(thrown(None, "").message, "NoStock");
        for (kind, code) in [
            (ErrorKind::Timeout, Code::DeadlineExceeded),
            (ErrorKind::Cancelled, Code::Cancelled),
            (ErrorKind::InvalidArgument, Code::Unknown),
            (ErrorKind::Unavailable, Code::Unknown),
        ] {
            assert_eq!(thrown(Some(kind), "x").code, code);
        }
        let passed =
            Status::new(Code::NotFound, "no order 7").with_reason("no_such_order").with_origin("orders");
        let error = Error::of_call("call of get: no order 7".into(), passed.clone());
        assert_eq!(Status::from(&error), passed);
        let error = Error::new(ErrorKind::Timeout, "queue 'q': no job came");
        let told = Status::from(&error);
        assert_eq!((told.code, told.reason.as_str()), (Code::DeadlineExceeded, "Timeout"));
        assert_eq!(told.message, "queue 'q': no job came");
    }
}
