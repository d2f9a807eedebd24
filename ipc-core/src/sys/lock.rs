//! OFD locks on single bytes: held by an open file description, given back by the kernel when the
//! last copy of it goes. A lock on a byte is how a participant proves that it lives.

use super::crash::point;
use super::os_error;
use crate::error::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::os::fd::BorrowedFd;

fn byte(kind: libc::c_int, at: u64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: at as i64,
        l_len: 1,
        l_pid: 0,
    }
}

/// Takes the lock on one byte; `false` when another description holds it.
#[track_caller]
pub fn try_lock(fd: BorrowedFd<'_>, at: u64) -> Result<bool> {
    point();
    match fcntl(fd, FcntlArg::F_OFD_SETLK(&byte(libc::F_WRLCK, at))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(e) => Err(os_error(e, "locking a byte of a shared file")),
    }
}

/// Shares the lock on one byte with others who share it; `false` when somebody has it alone.
#[track_caller]
pub fn try_share(fd: BorrowedFd<'_>, at: u64) -> Result<bool> {
    point();
    match fcntl(fd, FcntlArg::F_OFD_SETLK(&byte(libc::F_RDLCK, at))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(e) => Err(os_error(e, "sharing a byte of a shared file")),
    }
}

/// Takes the lock on the first `count` bytes at once; `false` when somebody else holds one of them.
#[track_caller]
pub fn try_lock_all(fd: BorrowedFd<'_>, count: u64) -> bool {
    point();
    let mut lock = byte(libc::F_WRLCK, 0);
    lock.l_len = count as i64;
    fcntl(fd, FcntlArg::F_OFD_SETLK(&lock)).is_ok()
}

/// Gives back every lock of this description.
#[track_caller]
pub fn unlock_all(fd: BorrowedFd<'_>) {
    point();
    let mut lock = byte(libc::F_UNLCK, 0);
    lock.l_len = 0;
    let _ = fcntl(fd, FcntlArg::F_OFD_SETLK(&lock));
}

/// Gives it back.
#[track_caller]
pub fn unlock(fd: BorrowedFd<'_>, at: u64) {
    point();
    let _ = fcntl(fd, FcntlArg::F_OFD_SETLK(&byte(libc::F_UNLCK, at)));
}

/// Whether a description other than `fd`'s own holds the lock on this byte.
pub fn is_locked(fd: BorrowedFd<'_>, at: u64) -> bool {
    let mut lock = byte(libc::F_WRLCK, at);
    // A question that fails says nothing about death: count it as held.
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut lock)).is_err() || lock.l_type != libc::F_UNLCK as libc::c_short
}
