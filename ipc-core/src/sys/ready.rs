//! Sleeping until a descriptor can be read from, or written to.

use super::os_error;
use crate::error::Result;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What one sleeps for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    Input,
    Output,
}

impl For {
    fn flags(self) -> PollFlags {
        if self == For::Input { PollFlags::POLLIN } else { PollFlags::POLLOUT }
    }
}

/// Whether `fd` is ready for `what` now, or has failed.
pub fn is_ready(fd: BorrowedFd<'_>, what: For) -> Result<bool> {
    match poll(&mut [PollFd::new(fd, what.flags())], PollTimeout::ZERO) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(os_error(e, "looking at a descriptor")),
    }
}

/// Whether the other end of a socket or a pipe sends nothing any more, whatever is left to be read.
pub fn is_left(fd: BorrowedFd<'_>) -> Result<bool> {
    let hung_up = PollFlags::from_bits_retain(libc::POLLRDHUP);
    match poll(&mut [PollFd::new(fd, hung_up)], PollTimeout::ZERO) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(os_error(e, "looking at a descriptor")),
    }
}

/// Sleeps until `fd` is ready for `what` or has failed, at most for `limit`. A signal ends the sleep, so that the caller looks
/// around before sleeping on.
pub fn sleep_for(fd: BorrowedFd<'_>, what: For, limit: Option<Duration>) -> Result<()> {
    sleep(&mut [PollFd::new(fd, what.flags())], limit)
}

/// The same until `call` is readable, too.
pub fn sleep_on(fd: BorrowedFd<'_>, what: For, call: BorrowedFd<'_>, limit: Option<Duration>) -> Result<()> {
    sleep(&mut [PollFd::new(fd, what.flags()), PollFd::new(call, PollFlags::POLLIN)], limit)
}

fn sleep(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> Result<()> {
    match ppoll(fds, limit.map(Into::into), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(os_error(e, "waiting for a descriptor")),
    }
}
