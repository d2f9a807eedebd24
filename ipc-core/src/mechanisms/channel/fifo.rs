//! `fifo:///path`: channels over named pipes.
//!
//! Whoever listens reads the FIFO at the path, locked so that nobody else does. Whoever connects makes two private ones
//! beside it, `path.<number>.c` to write to and `path.<number>.s` to read from, opens them, and writes their number to the
//! first in one write of [`REQUEST`] bytes, which the kernel does not mix with others'. Whoever accepts opens them too and
//! removes their names; its preamble says that it has.
//!
//! Nothing is left behind by who dies. Whoever connects removes its names when it gives up, or when nobody reads the first
//! FIFO any more; one that is killed has no reader at its `.c`, and whoever accepts removes both names instead. What two have
//! left that were killed at the same time, or one between making names and telling them, the next that listens removes.
//! The FIFO of a listener that was killed is not locked, and the next one takes it.
//!
//! With `framing=none` it is a FIFO as the shell has it, and bytes go one way: whoever listens reads what anybody writes to the
//! path, until nobody does; whoever connects writes.

#[cfg(any(test, fuzzing))]
pub mod hostile;
mod raw;

use super::address::Address;
use super::link::Half;
use super::stream::{self, Framing, Greets};
use super::wire::PipeWire;
use super::{ChannelOptions, Link, Listened, Listening, Peer};
use crate::domain::asked::asking;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::fork::{LockFd, Own};
use crate::sys::pipe::{self, Way};
use crate::sys::ready::{For, is_ready, sleep_for, sleep_on};
use crate::sys::{file, fork, process};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MAGIC: &str = "AXONIC/1 ";

/// Bytes of what is written to the listener: the magic, the number in hexadecimal digits, a line's end.
const REQUEST: usize = MAGIC.len() + 16 + 1;

/// Names without a reader are litter from this age on: until then somebody may be about to open them.
const YOUNG: Duration = Duration::from_secs(10);

/// Whoever waits to be accepted asks again after this time: one that was killed with the request in hand may have been
/// followed by another, which knows nothing of it.
const AGAIN: Duration = Duration::from_secs(1);

/// Or after this one, where so many ask that there was no room.
const FULL: Duration = Duration::from_millis(5);

pub fn listen(address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let framing = Framing::of(address)?;
    if !framing.framed {
        return raw::listen(address, framing, options);
    }
    let path = absolute(address);
    let (fd, _) = claim(&path, Way::Both)?;
    sweep(&path)?;
    let fd = Arc::new(fd);
    let held = Arc::downgrade(&fd);
    // A line that asks for nothing.
    let wake = Box::new(move || {
        if let Some(fd) = held.upgrade() {
            let _ = pipe::send(fd.as_fd(), &[IoSlice::new(b"\n")], false);
        }
    });
    let place = Place { path, token: fork::token(), remove: true };
    let listening =
        FifoListening { fd, place, line: Vec::new(), framing, options: options.clone(), watched: false };
    Ok(Listened { listening: Box::new(listening), address: address.clone(), wake })
}

fn absolute(address: &Address) -> PathBuf {
    // Whatever becomes of the working directory.
    std::path::absolute(address.place()).unwrap_or_else(|_| address.place().into())
}

/// Opens the FIFO for the one who listens, making it if it is not there. Whether it was made.
fn claim(path: &Path, way: Way) -> Result<(LockFd, bool)> {
    loop {
        let made = pipe::make(path)?;
        let Some(fd) = pipe::open_fifo(path, way)? else { continue };
        let fd = LockFd::new(fd)?;
        if !pipe::try_claim(fd.as_fd())? {
            let text = "somebody listens there already; close it first, or use another address";
            return Err(Error::new(ErrorKind::Busy, text));
        }
        // Whoever had it may have removed it before it let go.
        if file::identity(fd.as_fd()).ok() == file::identity_of(path) {
            return Ok((fd, made));
        }
    }
}

/// Removes what others beside this path have left that were killed.
fn sweep(path: &Path) -> Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let own = format!("{}.", name.to_string_lossy());
    for name in file::names(directory)? {
        let number =
            name.strip_prefix(&own).and_then(|rest| rest.strip_suffix(".c").or(rest.strip_suffix(".s")));
        let path = directory.join(&name);
        let is_old = || {
            let made = std::fs::symlink_metadata(&path).and_then(|found| found.modified());
            made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age >= YOUNG))
        };
        if number.is_some_and(is_number) && is_old() && matches!(pipe::open_fifo(&path, Way::Write), Ok(None))
        {
            file::unlink(&path);
        }
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The path that is listened at, removed in the end if nobody else has made it anew.
struct Place {
    path: PathBuf,
    token: u64,
    remove: bool,
}

impl Place {
    fn leave(&self, fd: &LockFd) {
        let is_own = || file::identity(fd.as_fd()).ok() == file::identity_of(&self.path);
        if self.remove && fork::token() == self.token && is_own() {
            file::unlink(&self.path);
        }
    }
}

struct FifoListening {
    fd: Arc<LockFd>,
    place: Place,
    /// As much of a request as was read.
    line: Vec<u8>,
    framing: Framing,
    options: ChannelOptions,
    watched: bool,
}

impl FifoListening {
    /// The number in the next request.
    fn request(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.line.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                let number = std::str::from_utf8(&line[..end]).ok().and_then(|text| text.strip_prefix(MAGIC));
                if let Some(number) = number.filter(|number| is_number(number)) {
                    return Ok(Some(number.into()));
                }
                continue;
            }
            // Something else than requests: what follows counts as a line of its own.
            if self.line.len() >= REQUEST {
                self.line.clear();
            }
            // Never more than one, so that the descriptor tells of those that follow.
            let room = REQUEST - self.line.len();
            self.line.reserve_exact(room);
            if pipe::receive(self.fd.as_fd(), &mut self.line, room)?.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }

    /// Opens what somebody has made; `None`: it is gone, or gave up.
    fn take_in(&self, number: &str) -> Result<Option<Link>> {
        let names = Names::of(&self.place.path, number);
        let opened = open_private(&names.back, Way::Write)?.zip(open_private(&names.forth, Way::Read)?);
        drop(names);
        let Some((write, read)) = opened else { return Ok(None) };
        match link(read, write, self.framing, &self.options) {
            Err(e) if e.kind() == ErrorKind::Disconnected => Ok(None),
            made => made.map(Some),
        }
    }
}

/// What is no FIFO is none that was made to be opened here.
fn open_private(path: &Path, way: Way) -> Result<Option<OwnedFd>> {
    match pipe::open_fifo(path, way) {
        Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::PermissionDenied) => Ok(None),
        opened => opened,
    }
}

/// Both say at once what they take: what the one who accepts says is that it has accepted.
fn link(read: OwnedFd, write: OwnedFd, framing: Framing, options: &ChannelOptions) -> Result<Link> {
    let wire = Box::new(PipeWire::new(Some(Own::new(read)?), Some(Own::new(write)?))?);
    stream::link(wire, framing, Greets::First, options, stream::CAN, Peer::default())
}

impl Half for FifoListening {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        sleep_for(self.fd.as_fd(), For::Input, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.watched = true;
        Ok(self.fd.as_fd().as_raw_fd())
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Listening for FifoListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        while let Some(number) = self.request()? {
            if let Some(link) = self.take_in(&number)? {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }
}

impl Drop for FifoListening {
    fn drop(&mut self) {
        self.place.leave(&self.fd);
    }
}

/// The names of two private FIFOs, removed with it.
struct Names {
    /// From whoever has connected.
    forth: PathBuf,
    back: PathBuf,
}

impl Names {
    fn of(path: &Path, number: &str) -> Names {
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_os_string();
            name.push(format!(".{number}.{end}"));
            PathBuf::from(name)
        };
        Names { forth: beside("c"), back: beside("s") }
    }

    fn make(path: &Path) -> Result<(Names, String)> {
        loop {
            let number = format!("{:016x}", process::random());
            let names = Names::of(path, &number);
            if pipe::make(&names.forth)? && pipe::make(&names.back)? {
                return Ok((names, number));
            }
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        file::unlink(&self.forth);
        file::unlink(&self.back);
    }
}

fn nobody() -> Error {
    Error::new(ErrorKind::NotFound, "nobody listens there; start who shall, or use another path")
}

pub fn connect(address: &Address, options: &ChannelOptions, deadline: &Deadline) -> Result<Link> {
    let framing = Framing::of(address)?;
    let path = absolute(address);
    let listener = pipe::open_fifo(&path, Way::Write)?.ok_or_else(nobody)?;
    if !framing.framed {
        return raw::connect(listener, framing, options);
    }
    let (names, number) = Names::make(&path)?;
    // With a reader that there is in any case, until the other one is there.
    let held = pipe::open_fifo(&names.forth, Way::Both)?;
    let write = pipe::open_fifo(&names.forth, Way::Write)?.ok_or_else(nobody)?;
    let read = pipe::open_fifo(&names.back, Way::Read)?.ok_or_else(nobody)?;
    let request = format!("{MAGIC}{number}\n");
    let mut again = Deadline::after(Some(Duration::ZERO));
    match asking(deadline, |deadline| knock(&listener, &request, &read, &mut again, deadline))? {
        Some(()) => drop((held, names)),
        None => return Err(super::unix::timed_out()),
    }
    link(read, write, framing, options)
}

/// Asks whoever listens, until it has answered. `again`: when to ask. `None`: it has not until the deadline.
fn knock(
    listener: &OwnedFd,
    request: &str,
    read: &OwnedFd,
    again: &mut Deadline,
    deadline: &Deadline,
) -> Result<Option<()>> {
    let ended = || {
        let text = "who listened there ended before it accepted; connect anew";
        Error::new(ErrorKind::Disconnected, text)
    };
    loop {
        if is_ready(read.as_fd(), For::Input)? {
            return Ok(Some(()));
        }
        if !pipe::has_reader(listener.as_fd())? {
            return Err(ended());
        }
        if again.passed() {
            let sent = pipe::send(listener.as_fd(), &[IoSlice::new(request.as_bytes())], pipe::must_mask());
            let is_full = sent.map_err(|_| ended())?.is_none();
            *again = Deadline::after(Some(if is_full { FULL } else { AGAIN }));
        }
        if deadline.passed() {
            return Ok(None);
        }
        let limit = deadline.within(again.remaining().unwrap_or(AGAIN)).remaining();
        sleep_on(read.as_fd(), For::Input, listener.as_fd(), limit)?;
    }
}
