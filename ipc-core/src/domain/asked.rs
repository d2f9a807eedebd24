//! Waits that go on only while the program's runtime agrees.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static GOES_ON: OnceLock<fn() -> bool> = OnceLock::new();

/// It is asked so often.
const OFTEN: Duration = Duration::from_millis(100);

/// From now on whoever waits for a lock, or for the disk, in this process asks `goes_on`, ten times a second and after each
/// signal, on its own thread. If the answer is no, its wait ends with `Interrupted`: it does not have the lock, and what was
/// to be on the disk is accepted all the same. The first one that is given stays.
///
/// For runtimes that run the handlers of signals themselves, when they are asked to (Python). Whoever waited in slices
/// instead would lose its place between them: a writer that stops those who come to read, one that has arrived at a
/// barrier, or what an event or a condition tells just then.
pub fn ask_while_waiting(goes_on: fn() -> bool) {
    GOES_ON.get_or_init(|| goes_on);
}

/// Waits by `wait` until the deadline, asking meanwhile. `None`: it has passed.
pub fn asking<T>(
    deadline: &Deadline,
    mut wait: impl FnMut(&Deadline) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let Some(goes_on) = GOES_ON.get() else { return wait(deadline) };
    loop {
        let waited = wait(&deadline.within(OFTEN));
        let later = match &waited {
            Ok(done) => done.is_none() && !deadline.passed(),
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
        if !later {
            return waited;
        }
        if !goes_on() {
            return Err(ended());
        }
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Interrupted, "the program ended the wait; wait again")
}

/// The same for a wait that looks up by itself now and then.
pub struct Asker(Instant);

impl Asker {
    pub fn new() -> Asker {
        Asker(Instant::now())
    }

    /// Asks if it is time.
    pub fn ask(&mut self) -> Result<()> {
        if self.0.elapsed() < OFTEN {
            return Ok(());
        }
        self.0 = Instant::now();
        if GOES_ON.get().is_none_or(|goes_on| goes_on()) { Ok(()) } else { Err(ended()) }
    }
}
