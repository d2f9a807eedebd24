//! Stream sockets: Unix and TCP. Nothing here waits unless it says so, and none raises SIGPIPE.

use super::clock::Deadline;
use super::ready::{For, sleep_for};
use super::{os_error, socket_file};
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::sys::socket::{self, AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, sockopt};
use nix::sys::socket::{SockaddrLike, SockaddrStorage, UnixAddr, getsockopt, setsockopt};
use nix::sys::stat::Mode;
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// As many descriptors as the kernel passes with one message.
pub const MOST_DESCRIPTORS: usize = 253;

/// What came of moving bytes: how many, or that it is not the time (`None`).
pub(super) fn moved(result: nix::Result<usize>, what: &str) -> Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ECONNABORTED | Errno::ENOTCONN) => {
            Err(Error::new(ErrorKind::Disconnected, "the other end is gone; connect anew"))
        }
        Err(e @ (Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::ENETDOWN)) => {
            let text = format!("the other end cannot be reached any more ({e:?}); connect anew");
            Err(Error::new(ErrorKind::Disconnected, text))
        }
        Err(Errno::ETOOMANYREFS) => {
            let text =
                "too many descriptors of this user are on their way; let the other ends receive them first";
            Err(Error::new(ErrorKind::LimitReached, text))
        }
        Err(e) => Err(os_error(e, what)),
    }
}

/// Appends at most `room` bytes to `buffer`, which has the capacity for them. `Some(0)`: the other end has ended.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>, room: usize) -> Result<Option<usize>> {
    append(buffer, room, |to| {
        // SAFETY: the kernel writes at most so many bytes to memory that is borrowed for the call.
        Errno::result(unsafe {
            libc::recv(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len(), libc::MSG_DONTWAIT)
        })
    })
}

/// The same into memory that holds something already, as many bytes as fit.
pub fn receive_to(fd: BorrowedFd<'_>, to: &mut [u8]) -> Result<Option<usize>> {
    moved(socket::recv(fd.as_raw_fd(), to, MsgFlags::MSG_DONTWAIT), "receiving")
}

/// Sleeps until there is something to receive, or the other end is gone, or this one was shut down; a signal ends the sleep.
/// Whoever is woken from receiving itself goes on several microseconds sooner than from `poll`.
pub fn sleep_to_receive(fd: BorrowedFd<'_>) -> Result<()> {
    match socket::recv(fd.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK) {
        // Somebody else has the same description, and has made it one that does not wait.
        Err(Errno::EAGAIN) => sleep_for(fd, For::Input, None),
        // What failed is told to whoever receives.
        _ => Ok(()),
    }
}

/// Has `read` fill memory at the end of a buffer, and lengthens the buffer by what it says.
pub(super) fn append(
    buffer: &mut Vec<u8>,
    room: usize,
    read: impl FnOnce(&mut [MaybeUninit<u8>]) -> nix::Result<isize>,
) -> Result<Option<usize>> {
    let spare = buffer.spare_capacity_mut();
    let room = room.min(spare.len());
    let got = moved(read(&mut spare[..room]).map(|n| n as usize), "receiving")?;
    if let Some(n) = got {
        // SAFETY: the kernel has written the first `n` bytes, at most `room`, which are within the capacity.
        unsafe { buffer.set_len(buffer.len() + n.min(room)) };
    }
    Ok(got)
}

/// The same with the descriptors that were passed with these bytes.
pub fn receive_with_descriptors(
    fd: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    room: usize,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Option<usize>> {
    // SAFETY: a header of zeros names no memory.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    // Aligned for the headers in it, and large enough for all descriptors that one message can have.
    let mut control = [MaybeUninit::<u64>::uninit(); 4 + MOST_DESCRIPTORS.div_ceil(2)];
    let got = append(buffer, room, |to| {
        let mut piece = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the header names memory that outlives the call, with its length.
        Errno::result(unsafe {
            libc::recvmsg(fd.as_raw_fd(), &mut header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC)
        })
    })?;
    if got.is_some() && header.msg_controllen != 0 {
        take_descriptors(&header, descriptors);
        if header.msg_flags & libc::MSG_CTRUNC != 0 {
            let text = "descriptors that were sent could not be received: this process may open no more; raise `ulimit -n`";
            return Err(Error::new(ErrorKind::LimitReached, text));
        }
    }
    Ok(got)
}

fn take_descriptors(header: &libc::msghdr, descriptors: &mut Vec<OwnedFd>) {
    // SAFETY: the kernel has filled the control memory of this header, which is still there, and said how far.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(at).cast::<libc::c_int>();
                let bytes = (*at).cmsg_len as usize - (data as usize - at as usize);
                for i in 0..bytes / size_of::<libc::c_int>() {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
}

/// Sends the pieces, or the first bytes of them, and the descriptors with the first byte.
pub fn send(
    fd: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<Option<usize>> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    if descriptors.is_empty() {
        let sent = match pieces {
            [piece] => socket::send(fd.as_raw_fd(), piece, flags),
            _ => socket::sendmsg::<()>(fd.as_raw_fd(), pieces, &[], flags, None),
        };
        return moved(sent, "sending");
    }
    let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    match socket::sendmsg::<()>(fd.as_raw_fd(), pieces, &rights, flags, None) {
        Err(Errno::EBADF) => Err(not_open(descriptors)),
        sent => moved(sent, "sending"),
    }
}

/// Copies of descriptors, which are passed without a socket.
pub fn copies(descriptors: &[BorrowedFd<'_>]) -> Result<Vec<OwnedFd>> {
    let copied: std::io::Result<_> = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect();
    copied.map_err(|e| match e.raw_os_error() {
        Some(libc::EBADF) => not_open(descriptors),
        _ => Error::new(ErrorKind::LimitReached, format!("copying a descriptor to pass: {e}")),
    })
}

/// Of descriptors that were not passed: which is none.
#[cold]
fn not_open(descriptors: &[BorrowedFd<'_>]) -> Error {
    let closed = descriptors.iter().find(|one| fcntl(one, FcntlArg::F_GETFD).is_err());
    let number = closed.map_or(-1, AsRawFd::as_raw_fd);
    let text = format!("descriptor {number} is not open here, and cannot be passed");
    Error::new(ErrorKind::InvalidArgument, text)
}

/// Nothing more is sent; the other end hears of it.
pub fn finish(fd: BorrowedFd<'_>) {
    let _ = socket::shutdown(fd.as_raw_fd(), socket::Shutdown::Write);
}

/// Nothing is sent or received any more, and whoever waits for it wakes up; of a listening socket too.
pub fn shut_down(fd: BorrowedFd<'_>) {
    let _ = socket::shutdown(fd.as_raw_fd(), socket::Shutdown::Both);
}

/// Throws away what was received and not read. TCP closed with something unread resets the connection, and what the
/// other end was sent may be lost on its way.
pub fn discard(fd: BorrowedFd<'_>) {
    for _ in 0..64 {
        // SAFETY: with MSG_TRUNC TCP writes nothing to memory.
        let n = unsafe {
            libc::recv(fd.as_raw_fd(), std::ptr::null_mut(), 1 << 20, libc::MSG_DONTWAIT | libc::MSG_TRUNC)
        };
        if n <= 0 {
            return;
        }
    }
}

/// The next connection of a listening socket; `None`: there is none now.
pub fn accept(fd: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    loop {
        match socket::accept4(fd.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: a descriptor the kernel just gave us, owned by nobody else.
            Ok(accepted) => return Ok(Some(unsafe { OwnedFd::from_raw_fd(accepted) })),
            // It was shut down.
            Err(Errno::EAGAIN | Errno::EINVAL) => return Ok(None),
            // Errors of a connection that is gone again.
            Err(
                Errno::EINTR
                | Errno::ECONNABORTED
                | Errno::EPROTO
                | Errno::EPERM
                | Errno::ENETDOWN
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH,
            ) => {}
            Err(e) => return Err(os_error(e, "accepting a connection")),
        }
    }
}

/// Process, user and group at the other end of a Unix socket.
pub fn credentials(fd: BorrowedFd<'_>) -> Option<(u32, u32, u32)> {
    let told = getsockopt(&fd, sockopt::PeerCredentials).ok()?;
    Some((told.pid() as u32, told.uid(), told.gid()))
}

/// Whether a descriptor is a stream socket.
pub fn is_stream(fd: BorrowedFd<'_>) -> bool {
    getsockopt(&fd, sockopt::SockType).is_ok_and(|kind| kind == SockType::Stream)
}

/// Whether it is a Unix socket.
pub fn is_unix(fd: BorrowedFd<'_>) -> bool {
    socket::getsockname::<SockaddrStorage>(fd.as_raw_fd())
        .is_ok_and(|address| address.family() == Some(AddressFamily::Unix))
}

fn address_error(errno: Errno, doing: &str) -> Error {
    let (kind, remedy) = match errno {
        Errno::EADDRINUSE => {
            (ErrorKind::Busy, "somebody listens there already; close it first, or use another address")
        }
        Errno::EADDRNOTAVAIL => {
            (ErrorKind::InvalidArgument, "this machine has no such address; use one it has")
        }
        Errno::EACCES | Errno::EPERM => (
            ErrorKind::PermissionDenied,
            "it is not allowed; check owner and mode of the path, or use another port",
        ),
        Errno::ENOENT | Errno::ENOTDIR => {
            (ErrorKind::NotFound, "its directory does not exist; make it first")
        }
        Errno::ENAMETOOLONG => (ErrorKind::InvalidArgument, "the name is too long; use a shorter one"),
        Errno::EAFNOSUPPORT => (ErrorKind::Unsupported, "this system has no such addresses; use others"),
        e => return os_error(e, doing),
    };
    Error::new(kind, format!("{doing}: {remedy} ({errno:?})"))
}

fn nobody() -> Error {
    Error::new(ErrorKind::NotFound, "nobody listens there; start who shall, or use another address")
}

/// The address of a Unix socket, and what it holds on to.
struct UnixPlace {
    address: UnixAddr,
    _directory: Option<OwnedFd>,
}

/// A path that is too long for an address is reached through its directory.
fn unix_place(place: &str) -> Result<UnixPlace> {
    let failed = |e| address_error(e, "reaching a Unix socket");
    if let Some(name) = place.strip_prefix('@') {
        let address = UnixAddr::new_abstract(name.as_bytes()).map_err(failed)?;
        return Ok(UnixPlace { address, _directory: None });
    }
    let path = Path::new(place);
    match UnixAddr::new(path) {
        Ok(address) => Ok(UnixPlace { address, _directory: None }),
        Err(Errno::ENAMETOOLONG) => {
            let directory = open_directory(path).map_err(failed)?;
            let name = path.file_name().unwrap_or_default();
            let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
            let address = UnixAddr::new(&short).map_err(failed)?;
            Ok(UnixPlace { address, _directory: Some(directory) })
        }
        Err(e) => Err(failed(e)),
    }
}

fn open_directory(path: &Path) -> nix::Result<OwnedFd> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn unix_socket(kind: SockType) -> Result<OwnedFd> {
    socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|e| os_error(e, "making a Unix socket"))
}

fn backlog(most: u32) -> Backlog {
    Backlog::new(most.min(libc::SOMAXCONN as u32) as i32).unwrap_or(Backlog::MAXCONN)
}

/// Listens at a path, or at `@name` without one. The socket file of a listener that is gone is replaced.
pub fn listen_unix(place: &str, most: u32) -> Result<OwnedFd> {
    let (at, fd) = (unix_place(place)?, unix_socket(SockType::Stream)?);
    let failed = |e| address_error(e, "listening at a Unix socket");
    if place.starts_with('@') {
        socket::bind(fd.as_raw_fd(), &at.address).map_err(failed)?;
    } else {
        socket_file::bind_at(Path::new(place), |probe| {
            if !probe {
                return socket::bind(fd.as_raw_fd(), &at.address);
            }
            // One of another type is refused by whoever is there, who hears nothing of it.
            let probe = unix_socket(SockType::Datagram).map_err(|_| Errno::EMFILE)?;
            socket::connect(probe.as_raw_fd(), &at.address)
        })?;
    }
    socket::listen(&fd, backlog(most)).map_err(failed)?;
    super::pipe::set_blocking(fd.as_fd(), false)?;
    Ok(fd)
}

/// Connects to a Unix socket, waiting for room among those who wait to be accepted. `None`: there was none until then.
pub fn connect_unix(place: &str, deadline: &Deadline) -> Result<Option<OwnedFd>> {
    let (at, fd) = (unix_place(place)?, unix_socket(SockType::Stream)?);
    loop {
        let limit = deadline.remaining().map_or(0, |left| (left.as_micros() as i64).max(1));
        setsockopt(&fd, sockopt::SendTimeout, &TimeVal::microseconds(limit))
            .map_err(|e| os_error(e, "setting a socket's time limit"))?;
        match socket::connect(fd.as_raw_fd(), &at.address) {
            Ok(()) => return Ok(Some(fd)),
            Err(Errno::EAGAIN | Errno::EINTR) if deadline.passed() => return Ok(None),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTDIR) => return Err(nobody()),
            Err(Errno::EPROTOTYPE) => {
                let text = "who listens there has a socket of another type; set `type` as it does";
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            Err(e) => return Err(address_error(e, "connecting to a Unix socket")),
        }
    }
}

fn tcp_socket(address: &SocketAddr) -> Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(family, SockType::Stream, flags, None).map_err(|e| address_error(e, "making a TCP socket"))
}

/// Listens at a TCP address; `[::]` is for IPv4 too.
pub fn listen_tcp(address: &SocketAddr, most: u32) -> Result<OwnedFd> {
    let fd = tcp_socket(address)?;
    let failed = |e| address_error(e, "listening at a TCP address");
    setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(failed)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &false).map_err(failed)?;
    }
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(*address))
        .and_then(|()| socket::listen(&fd, backlog(most)))
        .map_err(failed)?;
    Ok(fd)
}

/// The port a socket was given.
pub fn port(fd: BorrowedFd<'_>) -> Option<u16> {
    let name = socket::getsockname::<SockaddrStorage>(fd.as_raw_fd()).ok()?;
    name.as_sockaddr_in().map(|a| a.port()).or_else(|| name.as_sockaddr_in6().map(|a| a.port()))
}

/// The address at the other end.
pub fn peer_address(fd: BorrowedFd<'_>) -> Option<String> {
    socket::getpeername::<SockaddrStorage>(fd.as_raw_fd()).ok().map(|address| address.to_string())
}

/// Begins to connect.
pub fn begin_tcp(address: &SocketAddr) -> Result<OwnedFd> {
    let fd = tcp_socket(address)?;
    match socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(*address)) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(fd),
        Err(e) => Err(connect_error(e)),
    }
}

fn connect_error(errno: Errno) -> Error {
    match errno {
        Errno::ECONNREFUSED => nobody(),
        Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH => {
            let text = format!("it cannot be reached ({errno:?}); check the address and the network");
            Error::new(ErrorKind::Io, text)
        }
        e => address_error(e, "connecting to a TCP address"),
    }
}

/// Waits until what [`begin_tcp`] began is done. `None`: not until then.
pub fn connected_tcp(fd: BorrowedFd<'_>, deadline: &Deadline) -> Result<Option<()>> {
    loop {
        let error = getsockopt(&fd, sockopt::SocketError).map_err(|e| os_error(e, "looking at a socket"))?;
        if error != 0 {
            return Err(connect_error(Errno::from_raw(error)));
        }
        if let Ok(there) = socket::getpeername::<SockaddrStorage>(fd.as_raw_fd()) {
            // Where nobody listens, a socket that the system gave that very port is connected to itself.
            let here = socket::getsockname::<SockaddrStorage>(fd.as_raw_fd());
            return if here == Ok(there) { Err(nobody()) } else { Ok(Some(())) };
        }
        if deadline.passed() {
            return Ok(None);
        }
        sleep_for(fd, For::Output, deadline.remaining())?;
    }
}

/// Sends small messages at once rather than gathering them.
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> Result<()> {
    setsockopt(&fd, sockopt::TcpNoDelay, &on).map_err(|e| os_error(e, "setting nodelay"))
}

/// After so long a silence the other end is asked whether it is there, and given up after as long again.
pub fn set_keepalive(fd: BorrowedFd<'_>, silence: Duration) -> Result<()> {
    let seconds = (silence.as_secs_f64().ceil() as u32).clamp(1, 32_767);
    setsockopt(&fd, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(&fd, sockopt::TcpKeepIdle, &seconds))
        .and_then(|()| setsockopt(&fd, sockopt::TcpKeepInterval, &seconds.div_ceil(3)))
        .and_then(|()| setsockopt(&fd, sockopt::TcpKeepCount, &3))
        .map_err(|e| os_error(e, "setting keepalive"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ready::is_ready;

    /// A description that somebody else has made one that does not wait is waited for all the same.
    #[test]
    fn who_sleeps_to_receive_has_something_to_receive() {
        for flags in [SockFlag::empty(), SockFlag::SOCK_NONBLOCK] {
            let (one, other) =
                socket::socketpair(AddressFamily::Unix, SockType::Stream, None, flags).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    send(other.as_fd(), &[IoSlice::new(b"x")], &[]).unwrap();
                });
                sleep_to_receive(one.as_fd()).unwrap();
                assert!(is_ready(one.as_fd(), For::Input).unwrap(), "{flags:?}");
            });
            assert_eq!(receive(one.as_fd(), &mut Vec::with_capacity(8), 8).unwrap(), Some(1));
            std::thread::scope(|scope| {
                scope.spawn(|| sleep_to_receive(one.as_fd()).unwrap());
                shut_down(one.as_fd());
            });
        }
    }

    /// Who connects again and again to a port that nobody has is given that port itself in the end, and is not somebody who
    /// listens there.
    #[test]
    fn nobody_is_connected_to_itself() {
        let place: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let fd = tcp_socket(&place).unwrap();
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(place)).unwrap();
        let own: SockaddrStorage = socket::getsockname(fd.as_raw_fd()).unwrap();
        let _ = socket::connect(fd.as_raw_fd(), &own);
        let deadline = Deadline::after(Some(Duration::from_secs(10)));
        let refused = connected_tcp(fd.as_fd(), &deadline).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    }
}
