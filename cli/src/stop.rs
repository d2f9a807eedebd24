//! Why a verb ended early, and the exit code that says so.

use std::fmt;
use std::io;

use axonic::ErrorKind;

/// A finding (`doctor`) or an error.
pub(crate) const FAILED: i32 = 1;
/// The command line itself is wrong: an unknown option, a malformed name.
pub(crate) const USAGE: i32 = 2;

/// What a verb returns: its exit code, or the reason why it stopped.
pub(crate) type Outcome = Result<i32, Stop>;

/// The reason why a verb stopped before its natural end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something to tell on stderr, with the exit code to end with.
    Failed { code: i32, message: String },
    /// The core says that it does not exist.
    NotFound(String),
    /// Whoever read our output went away (`axonic sub a | head -1`): nothing to say, nothing wrong.
    OutputClosed,
    /// A signal (its number) ended the verb before its work was complete.
    Interrupted(i32),
}

impl Stop {
    /// An error that is not the core's: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Stop {
        Stop::Failed { code: FAILED, message: message.into() }
    }

    /// A mistake on the command line that clap cannot see: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Stop {
        Stop::Failed { code: USAGE, message: message.into() }
    }

    /// The exit code; an interruption follows the shell's convention of 128 plus the signal.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Stop::Failed { code, .. } => *code,
            Stop::NotFound(_) => FAILED,
            Stop::OutputClosed => 0,
            Stop::Interrupted(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Failed { message, .. } | Stop::NotFound(message) => f.write_str(message),
            Stop::OutputClosed => f.write_str("the output was closed"),
            Stop::Interrupted(signal) => write!(f, "interrupted by signal {signal}"),
        }
    }
}

impl std::error::Error for Stop {}

impl From<axonic::Error> for Stop {
    fn from(error: axonic::Error) -> Stop {
        let message = error.to_string();
        match error.kind() {
            ErrorKind::NotFound => Stop::NotFound(message),
            ErrorKind::InvalidArgument | ErrorKind::InvalidName => Stop::Failed { code: USAGE, message },
            _ => Stop::Failed { code: FAILED, message },
        }
    }
}

impl From<io::Error> for Stop {
    /// Unwraps what [`crate::output`] had to carry through `io::Write`.
    fn from(error: io::Error) -> Stop {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Stop::OutputClosed;
        }
        match error.downcast::<Stop>() {
            Ok(stop) => stop,
            Err(error) => Stop::failed(error.to_string()),
        }
    }
}

impl From<nix::Error> for Stop {
    fn from(errno: nix::Error) -> Stop {
        Stop::from(io::Error::from(errno))
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Stop {
        Stop::from(io::Error::from(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_survives_the_trip_through_io_write() {
        let carried = io::Error::other(Stop::Interrupted(15));
        assert_eq!(Stop::from(carried).code(), 143);
    }

    #[test]
    fn a_closed_output_is_no_error() {
        assert_eq!(Stop::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
    }

    #[test]
    fn a_bad_name_is_a_usage_error_and_a_missing_one_is_not() {
        assert_eq!(Stop::from(axonic::Error::new(ErrorKind::InvalidName, "x")).code(), 2);
        assert_eq!(Stop::from(axonic::Error::new(ErrorKind::NotFound, "x")).code(), 1);
    }
}
