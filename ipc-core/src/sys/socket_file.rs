//! The files of Unix sockets: one that somebody left when it died is in nobody's way.

use super::{file, os_error};
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The error of a name that somebody else has.
pub fn in_use(name: impl fmt::Display) -> Error {
    let text =
        format!("somebody listens at {name} already, and one can; close it first, or use another address");
    Error::new(ErrorKind::Busy, text)
}

/// Makes a socket's file. `act` binds the socket to it, or (`true`) connects another one to it to see whether somebody is there.
///
/// Whoever finds nobody there removes the file while it has the directory locked, so that it is not another's new one.
pub fn bind_at(path: &Path, act: impl Fn(bool) -> std::result::Result<(), Errno>) -> Result<()> {
    let _locked = lock_directory(path)?;
    let failed = |e| os_error(e, format!("listening at {}", path.display()));
    match act(false) {
        Err(Errno::EADDRINUSE) => {}
        done => return done.map_err(failed),
    }
    let is_socket = path.symlink_metadata().is_ok_and(|about| about.file_type().is_socket());
    match act(true) {
        Err(Errno::ECONNREFUSED) if is_socket => {}
        Ok(()) | Err(Errno::EPROTOTYPE | Errno::EPERM) => return Err(in_use(path.display())),
        _ if !is_socket => {
            let text = format!("{} is no socket; remove it, or use another path", path.display());
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        Err(e) => return Err(failed(e)),
    }
    file::unlink(path);
    act(false).map_err(failed)
}

/// Whoever makes or removes a socket has the directory locked for some microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

fn lock_directory(path: &Path) -> Result<Flock<OwnedFd>> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |e| os_error(e, format!("locking {}", directory.display()));
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let fd = open(directory, flags, Mode::empty()).map_err(failed)?;
    let (mut fd, started) = (fd, Instant::now());
    loop {
        fd = match Flock::lock(fd, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((fd, Errno::EAGAIN | Errno::EINTR)) if started.elapsed() < PATIENCE => fd,
            Err((_, Errno::EAGAIN)) => {
                let text = format!(
                    "{}: somebody else keeps it locked (flock); end who does, or use another directory",
                    directory.display()
                );
                return Err(Error::new(ErrorKind::Busy, text));
            }
            Err((_, e)) => return Err(failed(e)),
        };
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A socket's file, removed with this if it is still the same.
pub struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Of a socket that was bound there just now.
    pub fn of(path: &Path) -> SocketFile {
        // Whatever becomes of the working directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        SocketFile { identity: file::identity_of(&path), path }
    }

    pub fn remove(&self) {
        let locked = lock_directory(&self.path);
        if locked.is_ok() && self.identity.is_some() && file::identity_of(&self.path) == self.identity {
            file::unlink(&self.path);
        }
    }
}
