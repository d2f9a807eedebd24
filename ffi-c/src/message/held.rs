//! Messages that are to be released: borrowed ones, and those that are the caller's.

use super::{Strings, axonic_message, axonic_sample};
use crate::error::{Failure, Outcome, enter};
use crate::handle;
use axonic::{Body, ChannelMessage, ErrorKind, Sample};
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::ptr::null;

/// A message that is to be released, with what its struct points at. All is only held: the struct in C points into it,
/// and dropping gives it back.
pub(crate) struct Borrowed {
    pub(crate) _memory: Memory,
    pub(crate) _strings: Strings,
    pub(crate) _descriptors: Vec<c_int>,
}

/// Where the bytes of such a message are.
#[expect(dead_code, reason = "only held")]
pub(crate) enum Memory {
    Sample(Sample),
    Channel(ChannelMessage),
    Body(Body),
}

/// Moves a message of a channel behind a struct of C.
pub(crate) fn hand_out(message: ChannelMessage) -> axonic_message {
    let descriptors: Vec<c_int> = message.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let filled = axonic_message {
        data: message.data.as_ptr().cast(),
        size: message.data.len(),
        descriptors: if descriptors.is_empty() { null() } else { descriptors.as_ptr() },
        descriptor_count: descriptors.len(),
        ..axonic_message::EMPTY
    };
    let strings = Strings::default();
    let held = Borrowed { _memory: Memory::Channel(message), _strings: strings, _descriptors: descriptors };
    axonic_message { sample: handle::give::<axonic_sample>(held), ..filled }
}

/// Moves what a call carried behind a struct of C.
pub(crate) fn hand_out_body(body: Body) -> Outcome<axonic_message> {
    let mut strings = Strings::default();
    let filled = describe_body(&body, &mut strings)?;
    let held = Borrowed { _memory: Memory::Body(body), _strings: strings, _descriptors: Vec::new() };
    Ok(axonic_message { sample: handle::give::<axonic_sample>(held), ..filled })
}

/// A struct of C that points into `body` and `strings`, wherever they are moved to.
pub(crate) fn describe_body(body: &Body, strings: &mut Strings) -> Outcome<axonic_message> {
    strings.set_topic("");
    strings.set_attributes(&body.attributes()?);
    Ok(axonic_message::new(body.data(), body.content(), body.tensor(), strings))
}

/// Gives back what axonic_channel_receive(), axonic_request_next(), axonic_client_call(), axonic_call_result() or
/// axonic_call_next() has filled; the struct becomes an empty message. No-op for NULL and for an empty message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_message_release(message: *mut axonic_message) -> c_int {
    // SAFETY: passed on.
    enter(|| unsafe { release(message) })
}

/// # Safety
/// The header's rules for pointers and handles.
pub(crate) unsafe fn release(message: *mut axonic_message) -> Outcome<()> {
    // SAFETY: NULL is a no-op; else the caller's promise.
    if let Some(place) = unsafe { message.as_mut() }
        && !place.sample.is_null()
    {
        // SAFETY: the caller's promise; the struct forgets it in the next line.
        unsafe { handle::close(place.sample)? };
        *place = axonic_message::EMPTY;
    }
    Ok(())
}

/// That a stream has ended, as C is told.
pub(crate) fn no_more(who: &str, method: &str) -> Failure {
    Failure::new(ErrorKind::Disconnected, format!("call of {method}: its {who} has streamed everything"))
}
