//! A call as its service has it.

use crate::args::{self, Out};
use crate::channel::{self, axonic_peer};
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use crate::message::held;
use crate::message::{Sent, Strings, axonic_message, axonic_payload};
use crate::status::{self, axonic_status};
use axonic::{ErrorKind, Payload, Request, Status, Thrown};
use std::ffi::{CString, c_char, c_int};
use std::ptr::{null, null_mut};

/// What keeps a call at work.
pub struct axonic_request_token(());

pub(crate) struct Held {
    request: Request,
    /// What the struct in C points at besides the call's own bytes.
    _strings: Strings,
    _method: CString,
}

/// An answer may be made of what the struct points at, which stays until it is sent.
impl Held {
    fn reply(self, payload: Payload<'_>) -> axonic::Result<()> {
        self.request.reply(payload)
    }

    fn fail(self, status: Status) {
        self.request.fail(status);
    }

    fn no_such_method(self, methods: &[&str]) {
        self.request.no_such_method(methods);
    }
}

impl Noun for axonic_request_token {
    const NAME: &'static str = "axonic_request";
    type State = Held;
}

/// A call to be answered. Filled by axonic_service_next(); all its pointers stay valid until it is answered or released,
/// once, whatever becomes of the service. Any thread may do that; what takes a `const axonic_request *` may be called by
/// several at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_request {
    /// The method's name.
    pub method: *const c_char,
    /// What the caller sends with it.
    pub message: axonic_message,
    /// Who calls, as far as the kernel tells.
    pub caller: axonic_peer,
    /// No other call that the service has under way has the same.
    pub id: u64,
    /// The caller takes items of a stream: axonic_request_send(). Callers over JSON-RPC take that or one result.
    pub is_stream: bool,
    /// NULL once answered or released.
    pub held: *mut axonic_request_token,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

const NOBODY: axonic_peer = axonic_peer { pid: -1, uid: -1, gid: -1, address: [0; 208], reserved: [0; 2] };

impl axonic_request {
    const SPENT: axonic_request = axonic_request {
        method: null(),
        message: axonic_message::EMPTY,
        caller: NOBODY,
        id: 0,
        is_stream: false,
        held: null_mut(),
        reserved: [0; 2],
    };
}

/// Moves a call behind a struct of C.
pub(crate) fn hand_out(request: Request) -> Outcome<axonic_request> {
    let (mut strings, method) = (Strings::default(), args::c_string(request.method()));
    let filled = axonic_request {
        method: method.as_ptr(),
        message: held::describe_body(request.body(), &mut strings)?,
        caller: channel::peer(&request.caller()),
        id: request.id(),
        is_stream: request.is_stream(),
        ..axonic_request::SPENT
    };
    let held = Held { request, _strings: strings, _method: method };
    Ok(axonic_request { held: handle::give::<axonic_request_token>(held), ..filled })
}

/// # Safety
/// The header's rules for pointers and handles.
unsafe fn look<'a>(request: *const axonic_request) -> Outcome<&'a Request> {
    // SAFETY: NULL is answered; else the caller's promise.
    let place = unsafe { request.as_ref() }.ok_or_else(|| Failure::argument("the request is NULL"))?;
    check_held(place)?;
    // SAFETY: the caller's promise.
    Ok(&unsafe { handle::get(place.held)? }.request)
}

fn check_held(place: &axonic_request) -> Outcome<()> {
    match place.held.is_null() {
        false => Ok(()),
        true => Err(Failure::new(ErrorKind::Closed, "the call was answered or released already, or is none")),
    }
}

/// Takes the call out of its struct, which is spent then.
///
/// # Safety
/// The header's rules for pointers and handles.
unsafe fn take(request: *mut axonic_request) -> Outcome<Held> {
    // SAFETY: NULL is answered; else the caller's promise.
    let place = unsafe { request.as_mut() }.ok_or_else(|| Failure::argument("the request is NULL"))?;
    check_held(place)?;
    let held = std::mem::replace(place, axonic_request::SPENT).held;
    // SAFETY: the caller's promise; the struct has just forgotten it.
    unsafe { handle::take(held) }
}

/// Nanoseconds that the caller still waits, as a timeout for what is done for it: AXONIC_FOREVER if it waits as long as it
/// takes. 0 when its time is over, and on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_remaining(request: *const axonic_request) -> i64 {
    enter_or(0, || {
        // SAFETY: the header's rules for pointers and handles.
        let remaining = unsafe { look(request)? }.remaining();
        Ok(remaining.map_or(-1, |left| i64::try_from(left.as_nanos()).unwrap_or(i64::MAX)))
    })
}

/// Whether the caller waits no more: it gave the call up, it is gone, or its time is over. True on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_is_cancelled(request: *const axonic_request) -> bool {
    // SAFETY: the header's rules for pointers and handles.
    enter_or(true, || Ok(unsafe { look(request)? }.is_cancelled()))
}

/// Tells the caller how far the work is, from 0 to 1, with a note (NULL or "": none).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_progress(
    request: *const axonic_request,
    done: f64,
    note: *const c_char,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers, handles and strings.
        let (request, note) = unsafe { (look(request)?, args::optional_text(note, "note")?) };
        request.progress(done, note.unwrap_or_default());
        Ok(())
    })
}

/// Says that the method streams, as its first item does: without items, it is then a stream that has none. A caller that takes
/// one result is told AXONIC_CODE_INVALID_ARGUMENT with the reason "stream", whatever else the call is answered, and this is
/// AXONIC_ERROR_CALL_FAILED with that status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_begin_stream(request: *const axonic_request) -> c_int {
    // SAFETY: the header's rules for pointers and handles.
    enter(|| Ok(unsafe { look(request)? }.begin_stream()?))
}

/// Streams one more item to the caller, waiting until it takes some. AXONIC_ERROR_CANCELLED when it takes no more; to who takes
/// one result it fails as axonic_request_begin_stream() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_send(
    request: *const axonic_request,
    item: *const axonic_payload,
    timeout: i64,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers, handles and options.
        let (request, sent) = unsafe { (look(request)?, Sent::read(item)?) };
        args::within(timeout, |limit| request.send(sent.payload(), limit))
    })
}

/// The next item that the caller streams, waiting for it; axonic_message_release() ends it. AXONIC_ERROR_DISCONNECTED
/// when that was all, AXONIC_ERROR_CANCELLED when the caller gave the call up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_next(
    request: *const axonic_request,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers and handles.
        let (out, request) = unsafe { (Out::new(out)?, look(request)?) };
        let item = args::within(timeout, |limit| request.next(limit))?;
        let item = item.ok_or_else(|| held::no_more("caller", request.method()))?;
        out.set(held::hand_out_body(item)?);
        Ok(())
    })
}

/// Answers it; where nothing was streamed, to who takes a stream only, by a stream of that one item. `result` NULL: with
/// nothing. The request is spent whatever the answer is but AXONIC_ERROR_INVALID_ARGUMENT, which changes nothing; by
/// AXONIC_ERROR_TOO_LARGE the caller is told that it failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_reply(
    request: *mut axonic_request,
    result: *const axonic_payload,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers, handles and options.
        unsafe {
            let sent = Sent::optional(result)?;
            let payload = sent.as_ref().map_or(Payload::raw(&[]), Sent::payload);
            Ok(take(request)?.reply(payload)?)
        }
    })
}

/// Answers that it failed, and why, which must be told. Spent as by axonic_request_reply().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_fail(
    request: *mut axonic_request,
    status: *const axonic_status,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers, handles, options and strings.
        unsafe {
            if status.is_null() {
                return Err(Failure::argument("the status is NULL"));
            }
            let status = status::read(status)?;
            take(request)?.fail(status);
        }
        Ok(())
    })
}

/// Answers that it failed by an error that its handler met: the `class_name` of the error, which is the reason told (NULL or
/// "": the kind's name is), its `text`, and its `kind`, the axonic_error_kind that a function has answered, or that means the
/// same; AXONIC_OK: none. AXONIC_ERROR_TIMEOUT is told as AXONIC_CODE_DEADLINE_EXCEEDED, AXONIC_ERROR_CANCELLED as
/// AXONIC_CODE_CANCELLED, anything else as AXONIC_CODE_UNKNOWN. Of a call that failed, the `status` (axonic_last_status())
/// is passed on as it is; otherwise NULL. Spent as by axonic_request_reply().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_fail_by(
    request: *mut axonic_request,
    kind: i32,
    class_name: *const c_char,
    text: *const c_char,
    status: *const axonic_status,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers, handles, options and strings.
        unsafe {
            let class = args::optional_text(class_name, "class_name")?.unwrap_or_default();
            let text = args::any_text(text, "text")?;
            let status = if status.is_null() { None } else { Some(status::read(status)?) };
            let kind = ErrorKind::ALL.iter().find(|known| known.number() == -kind).copied();
            take(request)?.fail(Thrown { class, text: &text, kind, status: status.as_ref() }.into());
        }
        Ok(())
    })
}

/// Answers that the service has no such method, but these `count`. Spent as by axonic_request_reply().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_no_such_method(
    request: *mut axonic_request,
    methods: *const *const c_char,
    count: usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers, handles and strings.
        unsafe {
            let methods = args::items(methods, count, "methods")?;
            let methods = methods.iter().map(|method| args::text(*method, "method"));
            let methods: Vec<&str> = methods.collect::<Outcome<_>>()?;
            take(request)?.no_such_method(&methods);
        }
        Ok(())
    })
}

/// Ends it in any case: what is not answered fails with AXONIC_CODE_INTERNAL. The struct is spent. No-op for NULL and for a
/// request that is spent. Needs no service.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_request_release(request: *mut axonic_request) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        if let Some(place) = unsafe { request.as_mut() } {
            let held = std::mem::replace(place, axonic_request::SPENT).held;
            // SAFETY: the header's rules for handles; the struct has just forgotten it.
            unsafe { handle::close(held)? };
        }
        Ok(())
    })
}
