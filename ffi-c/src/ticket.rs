//! What becomes of a message that was put into a queue.

use crate::args::{self, Out, Timeout};
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use crate::message::{Strings, axonic_message};
use crate::queue::producer::axonic_queue_producer;
use axonic::{ErrorKind, Ticket};
use std::ffi::{CStr, c_int};
use std::sync::Arc;
use std::time::Duration;

/// A claim on what becomes of one message. It belongs to the producer that put it.
pub struct axonic_ticket(());

pub(crate) struct State {
    ticket: Ticket,
    queue: Arc<CStr>,
    /// What the struct in C points into.
    outcome: Option<axonic::Outcome>,
    strings: Strings,
}

impl Noun for axonic_ticket {
    const NAME: &'static str = "axonic_ticket";
    type State = State;
}

/// Moves a ticket behind a pointer of C.
pub(crate) fn give(ticket: Ticket, queue: &Arc<CStr>) -> *mut axonic_ticket {
    let mut strings = Strings::default();
    strings.set_topic(&queue.to_string_lossy());
    handle::give::<axonic_ticket>(State { ticket, queue: queue.clone(), outcome: None, strings })
}

/// Gives the claim up; the message is worked on all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ticket_close(ticket: *mut axonic_ticket) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(ticket) })
}

/// How far the work is, from 0 to 1, as its consumer told. Negative on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ticket_progress(ticket: *const axonic_ticket) -> f64 {
    // SAFETY: the header's rules for handles.
    enter_or(-1.0, || Ok(unsafe { handle::get(ticket)? }.ticket.progress()))
}

/// Waits for what becomes of the message, and writes the result its consumer gave to `out`, empty if it
/// gave none; valid until the ticket is closed. AXONIC_ERROR_REJECTED, with the reason, when the message is
/// a dead letter; AXONIC_ERROR_NOT_FOUND when somebody took it away. Asked again, it answers the same. `producer`
/// is the one that put the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_ticket_result(
    ticket: *mut axonic_ticket,
    producer: *mut axonic_queue_producer,
    timeout: i64,
    out: *mut axonic_message,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state, putting) =
            unsafe { (Out::new(out)?, handle::get_mut(ticket)?, handle::get_mut(producer)?) };
        let limit = match args::timeout(timeout) {
            // Not `try_result`: the producer's descriptor is to tell when to try again.
            Timeout::Try => Some(Duration::ZERO),
            Timeout::Wait(limit) => limit,
        };
        let outcome = putting.producer.result(&mut state.ticket, limit).map_err(|error| match timeout {
            0 if error.kind() == ErrorKind::Timeout => Failure::nothing("queue", &state.queue, NO_RESULT),
            _ => error.into(),
        })?;
        out.set(state.keep(outcome)?);
        Ok(())
    })
}

const NO_RESULT: &str = "nothing has become of the message yet";

impl State {
    /// Keeps the outcome where the struct that is made of it points.
    fn keep(&mut self, outcome: axonic::Outcome) -> Outcome<axonic_message> {
        let tensor = outcome.tensor()?;
        let outcome = self.outcome.insert(outcome);
        Ok(axonic_message::new(outcome.data(), outcome.content(), tensor.as_ref(), &self.strings))
    }
}
