//! What a full disk refused: to make it ready once more, and have it refused again, takes milliseconds, which every change
//! of a message would wait for.

use crate::error::{Error, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// As long as the disk has no more room than it had, it is tried this often: the journal may be able to make some.
const PAUSE: Duration = Duration::from_millis(50);

/// What a handle was refused.
#[derive(Default)]
pub struct Refused(Mutex<Option<Refusal>>);

struct Refusal {
    since: Instant,
    /// Bytes that the disk had free.
    room: u64,
    kind: ErrorKind,
    text: String,
}

impl Refused {
    fn last(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, which has `room` bytes free, refuses.
    pub fn begin(&self, error: &Error, room: u64) {
        let (kind, text) = (error.kind(), error.message().to_owned());
        *self.last() = Some(Refusal { since: Instant::now(), room, kind, text });
    }

    /// The error, where it would only come again, as the bytes that are free now say.
    pub fn now(&self, room: impl FnOnce() -> u64) -> Option<Error> {
        let mut last = self.last();
        let refusal = last.as_ref()?;
        if refusal.since.elapsed() < PAUSE && room() <= refusal.room {
            return Some(Error::new(refusal.kind, refusal.text.as_str()));
        }
        *last = None;
        None
    }

    /// Somebody asks for the disk, whatever it said.
    pub fn forget(&self) {
        *self.last() = None;
    }
}
