//! Why a call failed, as its service says it: a code, and what goes with it.

use crate::args::{self, Out, Versioned};
use crate::error::{self, Failure, Outcome, enter_or};
use axonic::{Code, Status};
use std::ffi::{CString, c_char};
use std::ptr::null;
use std::sync::OnceLock;

/// What went wrong with a call: gRPC's codes, by their numbers and names.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum axonic_code {
    /// The caller gave it up.
    AXONIC_CODE_CANCELLED = 1,
    /// Something that fits no other code.
    AXONIC_CODE_UNKNOWN = 2,
    /// The arguments are wrong, whatever the state of the service.
    AXONIC_CODE_INVALID_ARGUMENT = 3,
    /// It took longer than the caller gave it.
    AXONIC_CODE_DEADLINE_EXCEEDED = 4,
    /// What was asked for does not exist.
    AXONIC_CODE_NOT_FOUND = 5,
    /// What should be made exists.
    AXONIC_CODE_ALREADY_EXISTS = 6,
    /// The caller may not do that.
    AXONIC_CODE_PERMISSION_DENIED = 7,
    /// A quota is used up, or a queue is full.
    AXONIC_CODE_RESOURCE_EXHAUSTED = 8,
    /// The service is not in a state to do that; trying again as it is does not help.
    AXONIC_CODE_FAILED_PRECONDITION = 9,
    /// Somebody else did something at the same time; begin anew.
    AXONIC_CODE_ABORTED = 10,
    /// Past the end of what there is.
    AXONIC_CODE_OUT_OF_RANGE = 11,
    /// The service has no such method.
    AXONIC_CODE_UNIMPLEMENTED = 12,
    /// The service is broken.
    AXONIC_CODE_INTERNAL = 13,
    /// Nobody provides the service now.
    AXONIC_CODE_UNAVAILABLE = 14,
    /// Data is lost or damaged.
    AXONIC_CODE_DATA_LOSS = 15,
    /// The caller has not said who it is.
    AXONIC_CODE_UNAUTHENTICATED = 16,
}

/// Why a call failed. Start with AXONIC_STATUS_INIT to say it with axonic_request_fail(), or to have it filled by
/// axonic_last_status(). NULL and "" both mean that a text is not there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_status {
    /// sizeof(axonic_status)
    pub size: usize,
    /// An axonic_code.
    pub code: i32,
    /// Whether the same call may succeed later, and does no harm if it was done already: 0 or 1. To say a status also -1, as
    /// AXONIC_STATUS_INIT has it: as the code has it, which is 1 for AXONIC_CODE_UNAVAILABLE only.
    pub retryable: i32,
    /// A word of the service's own that stays the same while texts change, such as "no_such_order".
    pub reason: *const c_char,
    /// A sentence for a person.
    pub message: *const c_char,
    /// What else the service tells, as JSON text.
    pub details: *const c_char,
    /// Who failed, "service@version (program, pid)"; of one that does not say, whoever answers.
    pub origin: *const c_char,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_status {
    const INIT: Self = axonic_status {
        size: size_of::<Self>(),
        code: axonic_code::AXONIC_CODE_UNKNOWN as i32,
        retryable: -1,
        reason: null(),
        message: null(),
        details: null(),
        origin: null(),
        reserved: [0; 2],
    };
    const NAME: &'static str = "axonic_status";
}

/// A status read from C.
///
/// # Safety
/// The header's rules for pointers and strings.
pub(crate) unsafe fn read(status: *const axonic_status) -> Outcome<Status> {
    // SAFETY: the caller's promise.
    let given = unsafe { args::versioned(status)? };
    let code = u8::try_from(given.code).ok().and_then(Code::from_number);
    let code = code.ok_or_else(|| Failure::argument(format!("{} is no axonic_code", given.code)))?;
    // SAFETY: the caller's promise.
    let (reason, message, details, origin) = unsafe {
        (
            args::optional_text(given.reason, "reason")?,
            args::optional_text(given.message, "message")?,
            args::optional_text(given.details, "details")?,
            args::optional_text(given.origin, "origin")?,
        )
    };
    let details = details.map(str::parse).transpose();
    let details = details.map_err(|e| Failure::argument(format!("the details are no JSON text: {e}")))?;
    Ok(Status {
        code,
        reason: reason.unwrap_or_default().into(),
        message: message.unwrap_or_default().into(),
        retryable: match given.retryable {
            -1 => code == Code::Unavailable,
            said => said != 0,
        },
        details: details.unwrap_or_default(),
        origin: origin.unwrap_or_default().into(),
    })
}

/// The status of a failed call, as C may look at it.
pub(crate) struct Told {
    code: Code,
    retryable: bool,
    reason: CString,
    message: CString,
    details: CString,
    origin: CString,
}

impl Told {
    pub(crate) fn new(status: &Status) -> Told {
        // No details are null, and so they are for C.
        let details = if status.details.is_null() { String::new() } else { status.details.to_string() };
        Told {
            code: status.code,
            retryable: status.retryable,
            reason: error::without_nul(status.reason.clone()),
            message: error::without_nul(status.message.clone()),
            details: error::without_nul(details),
            origin: error::without_nul(status.origin.clone()),
        }
    }

    fn in_c(&self) -> axonic_status {
        axonic_status {
            size: size_of::<axonic_status>(),
            code: self.code.number().into(),
            retryable: i32::from(self.retryable),
            reason: self.reason.as_ptr(),
            message: self.message.as_ptr(),
            details: self.details.as_ptr(),
            origin: self.origin.as_ptr(),
            reserved: [0; 2],
        }
    }
}

/// Why the last failed call of this thread failed, where its service, or who called for it, has told a status, beside
/// axonic_last_error_message(). False where there is none, and nothing is written then. The strings are valid until the
/// next failed call of this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_last_status(out: *mut axonic_status) -> bool {
    enter_or(false, || {
        // SAFETY: the header's rules for pointers and options.
        let (out, _) = unsafe { (Out::new(out)?, args::versioned(out)?) };
        let told = error::last_status(Told::in_c);
        Ok(told.map(|told| out.set(told)).is_some())
    })
}

/// The name of an axonic_code, gRPC's, "NOT_FOUND"; NULL for a number that is none. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_code_name(code: i32) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    enter_or(null(), || {
        let names = NAMES.get_or_init(|| Code::all().map(|code| args::c_string(code.name())).collect());
        let index = usize::try_from(code).unwrap_or(0).wrapping_sub(1);
        Ok(names.get(index).map_or(null(), |name| name.as_ptr()))
    })
}

#[cfg(test)]
mod tests {
    use super::axonic_code::*;
    use super::*;

    #[test]
    fn codes_of_the_header_are_those_of_the_core() {
        let numbers = [
            AXONIC_CODE_CANCELLED,
            AXONIC_CODE_UNKNOWN,
            AXONIC_CODE_INVALID_ARGUMENT,
            AXONIC_CODE_DEADLINE_EXCEEDED,
            AXONIC_CODE_NOT_FOUND,
            AXONIC_CODE_ALREADY_EXISTS,
            AXONIC_CODE_PERMISSION_DENIED,
            AXONIC_CODE_RESOURCE_EXHAUSTED,
            AXONIC_CODE_FAILED_PRECONDITION,
            AXONIC_CODE_ABORTED,
            AXONIC_CODE_OUT_OF_RANGE,
            AXONIC_CODE_UNIMPLEMENTED,
            AXONIC_CODE_INTERNAL,
            AXONIC_CODE_UNAVAILABLE,
            AXONIC_CODE_DATA_LOSS,
            AXONIC_CODE_UNAUTHENTICATED,
        ];
        assert_eq!(numbers.len(), Code::all().count());
        for (number, code) in numbers.into_iter().zip(Code::all()) {
            assert_eq!(format!("{number:?}"), format!("AXONIC_CODE_{}", code.name()));
            assert_eq!(number as i32, i32::from(code.number()));
            // SAFETY: names are strings of C.
            let name = unsafe { std::ffi::CStr::from_ptr(axonic_code_name(number as i32)) };
            assert_eq!(name.to_str(), Ok(code.name()));
        }
        for none in [0, 17, -1, i32::MAX, i32::MIN] {
            assert!(axonic_code_name(none).is_null());
        }
    }

    #[test]
    fn a_status_is_read_as_it_was_told() {
        let status = Status::new(Code::NotFound, "no order 7").with_reason("no_such_order");
        for status in [
            status.clone().with_retryable(true).with_details("{\"order\":7}".parse().unwrap()),
            Status { origin: "orders@1.0.0".into(), ..status },
        ] {
            let told = Told::new(&status);
            // SAFETY: the strings live as long as `told`.
            assert_eq!(unsafe { read(&told.in_c()) }.unwrap(), status);
        }
        for (code, retryable, read_as) in [
            (AXONIC_CODE_UNAVAILABLE, -1, true),
            (AXONIC_CODE_UNAVAILABLE, 0, false),
            (AXONIC_CODE_ABORTED, -1, false),
            (AXONIC_CODE_ABORTED, 1, true),
        ] {
            let said = axonic_status { code: code as i32, retryable, ..axonic_status::INIT };
            // SAFETY: as above.
            assert_eq!(unsafe { read(&said) }.unwrap().retryable, read_as, "{code:?}, {retryable}");
        }
        for wrong in [
            axonic_status { code: 0, ..axonic_status::INIT },
            axonic_status { code: 300, ..axonic_status::INIT },
            axonic_status { details: c"{".as_ptr(), ..axonic_status::INIT },
        ] {
            // SAFETY: as above.
            assert!(unsafe { read(&wrong) }.is_err());
        }
    }
}
