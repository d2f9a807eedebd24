//! Pipes, anonymous and named. Nothing here waits, and none raises SIGPIPE.

use super::file::{identity, is_fifo};
use super::os_error;
use super::socket::{append, is_stream, moved};
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_raw, mkfifo, pipe2};
use std::io::IoSlice;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The ends of a new pipe: to read, to write.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC).map_err(|e| os_error(e, "making a pipe"))
}

/// Whether reading and writing waits, for everybody who has this description.
pub fn set_blocking(fd: BorrowedFd<'_>, blocking: bool) -> Result<()> {
    let failed = |e| os_error(e, "setting whether a descriptor waits");
    let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).map_err(failed)?);
    flags.set(OFlag::O_NONBLOCK, !blocking);
    fcntl(fd, FcntlArg::F_SETFL(flags)).map(drop).map_err(failed)
}

/// The program that `command` starts has these too, under the same numbers; what other threads start meanwhile has not.
pub fn pass_to(command: &mut Command, descriptors: [RawFd; 2]) {
    let pass = move || {
        for number in descriptors {
            // SAFETY: a system call on a number that the parent has kept open.
            Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec it does nothing but system calls.
    unsafe { command.pre_exec(pass) };
}

/// An end of a pipe whose number is told to others, one of whom may take it over ([`take_over`]): then the number is theirs to
/// close, also in this process or in one forked from it, and may be somebody else's by now.
#[derive(Debug)]
pub struct Lent {
    fd: ManuallyDrop<OwnedFd>,
    pipe: (u64, u64),
}

impl Lent {
    pub fn new(fd: OwnedFd) -> Result<Lent> {
        let pipe = identity(fd.as_fd())?;
        Ok(Lent { fd: ManuallyDrop::new(fd), pipe })
    }

    pub fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// For who closes it by itself.
    pub fn into_inner(self) -> OwnedFd {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, since nothing is done with the rest any more.
        unsafe { ManuallyDrop::take(&mut this.fd) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if identity(self.fd.as_fd()).is_ok_and(|there| there == self.pipe) {
            // SAFETY: dropped once, here, and not used afterwards; nobody has taken it over.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

/// What a descriptor that was taken over is.
pub enum Taken {
    Pipe(OwnedFd),
    /// Both ways.
    Socket(OwnedFd),
}

impl Taken {
    /// What goes one way through it, without waiting.
    pub fn one_way(self) -> Result<OwnedFd> {
        match self {
            Taken::Pipe(fd) => Ok(fd),
            Taken::Socket(fd) => set_blocking(fd.as_fd(), false).map(|()| fd),
        }
    }
}

/// Takes over the descriptors to read from and to write to. Those of standard input and output become those of
/// `/dev/null`, so that whoever prints by mistake disturbs nothing.
pub fn take_over(reading: RawFd, writing: RawFd) -> Result<(Taken, Taken)> {
    let (read, write) = (duplicate(reading)?, duplicate(writing)?);
    let taken = |number, fd: OwnedFd, way: OFlag| {
        if is_stream(fd.as_fd()) {
            return Ok(Taken::Socket(fd));
        }
        let flags = fcntl(&fd, FcntlArg::F_GETFL).map_err(|e| os_error(e, "looking at a descriptor"))?;
        let access = OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE;
        if !is_fifo(fd.as_fd()) || (access != way && access != OFlag::O_RDWR) {
            let what = if way == OFlag::O_RDONLY { "to read from" } else { "to write to" };
            let text =
                format!("descriptor {number} is neither a pipe {what} nor a stream socket; pass one that is");
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        Ok(Taken::Pipe(own_description(fd, way)?))
    };
    let taken = (taken(reading, read, OFlag::O_RDONLY)?, taken(writing, write, OFlag::O_WRONLY)?);
    leave(reading);
    if writing != reading {
        leave(writing);
    }
    Ok(taken)
}

fn duplicate(number: RawFd) -> Result<OwnedFd> {
    let absent = |_| {
        let text = format!("descriptor {number} is not open here; have it inherited, and pass its number");
        Error::new(ErrorKind::InvalidArgument, text)
    };
    if number < 0 {
        return Err(absent(Errno::EBADF));
    }
    // SAFETY: the caller names it to be taken over; one that is not open gives EBADF.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3)).map_err(absent)?;
    // SAFETY: a descriptor the kernel just gave us, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A description of our own does not wait while that of others, who may have the same pipe, does.
fn own_description(fd: OwnedFd, way: OFlag) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match open(path.as_str(), way | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(own) => Ok(own),
        Err(_) => set_blocking(fd.as_fd(), false).map(|()| fd),
    }
}

/// A number that was taken over is not this process's any more.
fn leave(number: RawFd) {
    if number > 2 {
        // SAFETY: the caller has named it to be taken over, which says that nobody else uses it.
        unsafe { libc::close(number) };
    } else if let Ok(null) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        // SAFETY: as above; the number stays one of a descriptor that is open.
        let _ = unsafe { dup2_raw(&null, number) }.map(std::os::fd::IntoRawFd::into_raw_fd);
    }
}

/// Appends at most `room` bytes to `buffer`, which has the capacity for them. `Some(0)`: the other end has ended.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>, room: usize) -> Result<Option<usize>> {
    append(buffer, room, |to| {
        // SAFETY: the kernel writes at most so many bytes to memory that is borrowed for the call.
        Errno::result(unsafe { libc::read(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len()) })
    })
}

/// Writes the pieces, or the first bytes of them; up to 4096 go out as one or not at all. `masked`: see [`must_mask`].
pub fn send(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>], masked: bool) -> Result<Option<usize>> {
    let mut write = || match pieces {
        [piece] => nix::unistd::write(fd, piece),
        _ => nix::sys::uio::writev(fd, pieces),
    };
    moved(if masked { without_sigpipe(&mut write) } else { write() }, "sending")
}

/// Whether SIGPIPE would do something in this process: then it is kept away from each write. Where it is ignored, as the
/// runtimes of Rust, Python and Node have it, that costs nothing.
pub fn must_mask() -> bool {
    // SAFETY: only looks; all zeros are a value of it.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let known = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut now) } == 0;
    !known || now.sa_sigaction != libc::SIG_IGN
}

/// The signal goes to the thread that writes: it is held off meanwhile, and taken away if this write has raised it.
fn without_sigpipe(write: &mut dyn FnMut() -> nix::Result<usize>) -> nix::Result<usize> {
    let only: SigSet = Signal::SIGPIPE.into();
    let before = only.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let blocked = before.contains(Signal::SIGPIPE);
    let was_pending = blocked && is_pending();
    let written = write();
    if written == Err(Errno::EPIPE) && !was_pending {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: takes one pending signal of the set, and does not wait.
        unsafe { libc::sigtimedwait(only.as_ref(), std::ptr::null_mut(), &now) };
    }
    if !blocked {
        let _ = only.thread_unblock();
    }
    written
}

fn is_pending() -> bool {
    // SAFETY: the kernel fills the set, of which all zeros are a value.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut set) == 0 && libc::sigismember(&set, libc::SIGPIPE) == 1
    }
}

/// How to open a named pipe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Read,
    /// Fails where nobody reads.
    Write,
    Both,
}

/// Makes a named pipe for this user; whether there was none.
pub fn make(path: &Path) -> Result<bool> {
    match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(e) => Err(path_error(e, format!("making the FIFO {}", path.display()))),
    }
}

fn path_error(errno: Errno, doing: String) -> Error {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => {
            let text = format!("{doing}: its directory does not exist; make it first ({errno:?})");
            Error::new(ErrorKind::NotFound, text)
        }
        Errno::EACCES | Errno::EPERM | Errno::EROFS => {
            let text = format!("{doing}: check its owner and mode and those of its directory ({errno:?})");
            Error::new(ErrorKind::PermissionDenied, text)
        }
        e => os_error(e, doing),
    }
}

/// Opens a named pipe. `None`: there is none, or nobody reads it.
pub fn open_fifo(path: &Path, way: Way) -> Result<Option<OwnedFd>> {
    let access = match way {
        Way::Read => OFlag::O_RDONLY,
        Way::Write => OFlag::O_WRONLY,
        Way::Both => OFlag::O_RDWR,
    };
    match open(path, access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(fd) if is_fifo(fd.as_fd()) => Ok(Some(fd)),
        Ok(_) | Err(Errno::EISDIR) => {
            let text = format!("{} is no FIFO; remove it, or use another path", path.display());
            Err(Error::new(ErrorKind::AlreadyExists, text))
        }
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(None),
        Err(e) => Err(path_error(e, format!("opening {}", path.display()))),
    }
}

/// One more description of a FIFO, to read: one that has seen no writer go yet.
pub fn reopen_reader(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(path.as_str(), OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|e| os_error(e, "opening a FIFO once more"))
}

/// Whether somebody reads what is written to this descriptor.
pub fn has_reader(fd: BorrowedFd<'_>) -> Result<bool> {
    let mut fds = [PollFd::new(fd, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).map_err(|e| os_error(e, "looking at who reads"))?;
    // The latter of a socket.
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    Ok(!fds[0].revents().is_some_and(|events| events.intersects(gone)))
}

/// Locks an open file for this description alone; whether nobody else had.
pub fn try_claim(fd: BorrowedFd<'_>) -> Result<bool> {
    // SAFETY: a system call on a descriptor that is open.
    match Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(e) => Err(os_error(e, "locking a FIFO")),
    }
}
