//! Sockets that carry whole messages: Unix sockets of the types seqpacket and datagram, and UDP.

use super::fork::Own;
use super::{os_error, socket_file};
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, SockaddrLike,
    SockaddrStorage, UnixAddr, accept4, bind, connect, getsockname, getsockopt, listen, sendmsg, setsockopt,
    shutdown, socket, sockopt,
};
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Longest message over UDP, IP's versions 4 and 6: what lengths of 16 bits leave beside the headers.
const MAX_UDP: [usize; 2] = [65_507, 65_527];

/// The kernel keeps so many bytes of a Unix socket's buffer for itself.
const KEPT: usize = 32;

/// The kernel passes so many descriptors with one message at most.
const MAX_DESCRIPTORS: u32 = 253;

/// The address of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name(SockaddrStorage);

impl Name {
    /// Of a Unix socket: a path, or `@` and a name without a file.
    pub fn unix(place: &str) -> Result<Name> {
        let name = match place.strip_prefix('@') {
            Some(name) => UnixAddr::new_abstract(name.as_bytes()),
            None => UnixAddr::new(place),
        };
        name.map(Name::of_unix).map_err(|_| {
            let text =
                format!("'{place}' is too long for the name of a Unix socket, which has 107 bytes at most");
            Error::new(ErrorKind::InvalidArgument, text)
        })
    }

    pub fn inet(address: SocketAddr) -> Name {
        Name(address.into())
    }

    fn of_unix(name: UnixAddr) -> Name {
        // SAFETY: the address and its length are those of a whole one.
        Name(
            unsafe { SockaddrStorage::from_raw(name.as_ptr().cast(), Some(name.len())) }
                .expect("a whole address"),
        )
    }

    /// Where its file is, if it has one.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.0.as_unix_addr().and_then(UnixAddr::path)
    }

    fn family(&self) -> AddressFamily {
        self.0.family().unwrap_or(AddressFamily::Unspec)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_unix_addr().map(|name| (name.path(), name.as_abstract())) {
            Some((Some(path), _)) => path.display().fmt(f),
            Some((_, Some(name))) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Some(_) => f.write_str("a socket without a name"),
            None => self.0.fmt(f),
        }
    }
}

/// The type of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Seqpacket,
    Datagram,
}

/// Who a process is, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

/// What became of a message that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Done,
    /// There is no room now.
    Full,
    /// Nobody is there to receive it.
    Gone,
}

/// A message that has come.
pub struct Arrived {
    /// Its length, which may be more than fitted in the buffer.
    pub length: usize,
    /// Whose it is; a Unix socket need not have a name.
    pub from: Option<Name>,
    pub descriptors: Vec<OwnedFd>,
    /// Who has sent it; from Unix sockets only.
    pub who: Option<Who>,
}

/// What was to be received.
pub enum Received {
    Message(Arrived),
    Nothing,
    /// The other end has ended, or a message that was sent to it was refused.
    Gone,
}

pub struct Socket {
    fd: Own<OwnedFd>,
    kind: Type,
    unix: bool,
}

impl Socket {
    pub fn new(name: &Name, kind: Type) -> Result<Socket> {
        let socket_type = if kind == Type::Seqpacket { SockType::SeqPacket } else { SockType::Datagram };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd =
            socket(name.family(), socket_type, flags, None).map_err(|e| os_error(e, "creating a socket"))?;
        let made = Socket { fd: Own::new(fd)?, kind, unix: name.family() == AddressFamily::Unix };
        if made.unix {
            // Each message comes with who sent it then, also one of no bytes, which would look like the end.
            setsockopt(&*made.fd, sockopt::PassCred, &true)
                .map_err(|e| os_error(e, "setting SO_PASSCRED"))?;
        }
        if name.family() == AddressFamily::Inet6 {
            // `[::]` is for IPv4 too.
            setsockopt(&*made.fd, sockopt::Ipv6V6Only, &false)
                .map_err(|e| os_error(e, "setting IPV6_V6ONLY"))?;
        }
        Ok(made)
    }

    /// Gives it a name. `Busy`: somebody else has it.
    pub fn bind(&self, name: &Name) -> Result<()> {
        match name.path() {
            Some(path) => socket_file::bind_at(path, |probe| {
                if !probe {
                    return bind(self.raw(), &name.0);
                }
                // A datagram socket sees whether anybody is there, of whatever type, and is no connection to accept.
                let probe = Socket::new(name, Type::Datagram).map_err(|_| Errno::EMFILE)?;
                connect(probe.raw(), &name.0)
            }),
            None => bind(self.raw(), &name.0).map_err(|e| bind_error(e, name)),
        }
    }

    /// A name of the kernel's choice, so that it can be answered.
    pub fn bind_anywhere(&self) -> Result<()> {
        let name = UnixAddr::new_unnamed();
        bind(self.raw(), &name).map_err(|e| os_error(e, "naming a socket"))
    }

    pub fn name(&self) -> Result<Name> {
        getsockname(self.raw()).map(Name).map_err(|e| os_error(e, "asking for a socket's name"))
    }

    pub fn listen(&self, backlog: u64) -> Result<()> {
        let backlog = Backlog::new(backlog.min(i32::MAX as u64) as i32).unwrap_or(Backlog::MAXCONN);
        listen(&*self.fd, backlog).map_err(|e| os_error(e, "listening"))
    }

    /// The next one that has connected.
    pub fn accept(&self) -> Result<Option<Socket>> {
        match accept4(self.raw(), SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC) {
            // SAFETY: the kernel has just made this descriptor for us.
            Ok(fd) => Own::new(unsafe { OwnedFd::from_raw_fd(fd) }).map(|fd| Some(Socket { fd, ..*self })),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => Ok(None),
            Err(e) => Err(os_error(e, "accepting a connection")),
        }
    }

    /// Connects; `false`: as many wait there to be accepted as may. Nobody there: `NotFound`.
    pub fn connect(&self, name: &Name) -> Result<bool> {
        match connect(self.raw(), &name.0) {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTSOCK) => {
                let text = format!("nobody listens at {name}; start who shall");
                Err(Error::new(ErrorKind::NotFound, text))
            }
            Err(Errno::EPROTOTYPE) => {
                let text = format!(
                    "{name} is a socket of another type than {:?}; say in the address which",
                    self.kind
                );
                Err(Error::new(ErrorKind::InvalidArgument, text))
            }
            Err(e) => Err(os_error(e, format!("connecting to {name}"))),
        }
    }

    /// Who is at the other end of a connection.
    pub fn peer(&self) -> Option<Who> {
        let who = getsockopt(&*self.fd, sockopt::PeerCredentials).ok()?;
        Some(Who { pid: who.pid() as u32, uid: who.uid(), gid: who.gid() })
    }

    /// The longest message it sends.
    pub fn max_message(&self) -> Result<usize> {
        if !self.unix {
            let six = self.name()?.family() == AddressFamily::Inet6;
            return Ok(MAX_UDP[usize::from(six)]);
        }
        let buffer = getsockopt(&*self.fd, sockopt::SndBuf).map_err(|e| os_error(e, "reading SO_SNDBUF"))?;
        Ok(buffer.saturating_sub(KEPT))
    }

    /// Sends a message to whom it is connected to, or to whoever has a name.
    pub fn send(&self, pieces: &[&[u8]], descriptors: &[BorrowedFd<'_>], to: Option<&Name>) -> Result<Sent> {
        let (one, many);
        let slices: &[IoSlice<'_>] = match pieces {
            [piece] => {
                one = [IoSlice::new(piece)];
                &one
            }
            pieces => {
                many = pieces.iter().map(|piece| IoSlice::new(piece)).collect::<Vec<_>>();
                &many
            }
        };
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        loop {
            match sendmsg(self.raw(), slices, control, MsgFlags::MSG_NOSIGNAL, to.map(|name| &name.0)) {
                Ok(_) => return Ok(Sent::Done),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(Sent::Full),
                Err(
                    Errno::EPIPE
                    | Errno::ECONNRESET
                    | Errno::ECONNREFUSED
                    | Errno::ENOTCONN
                    | Errno::ENOENT
                    | Errno::EHOSTUNREACH
                    | Errno::ENETUNREACH,
                ) => return Ok(Sent::Gone),
                Err(e) => return Err(send_error(e, pieces, descriptors.len())),
            }
        }
    }

    /// Receives the next message into `buffer`.
    pub fn receive(&self, buffer: &mut [u8], control: &mut Control) -> Result<Received> {
        let mut reset = false;
        loop {
            match receive_raw(self.fd.as_fd(), buffer, control) {
                // What the other end sent before is told of after that.
                Err(Errno::ECONNRESET) if !reset && self.kind == Type::Seqpacket => reset = true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(Received::Nothing),
                Err(Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::ENOTCONN) => return Ok(Received::Gone),
                Err(e) => return Err(os_error(e, "receiving a message")),
                Ok(arrived)
                    if self.kind == Type::Seqpacket && arrived.length == 0 && arrived.who.is_none() =>
                {
                    return Ok(Received::Gone);
                }
                Ok(arrived) => return Ok(Received::Message(arrived)),
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = shutdown(self.raw(), Shutdown::Write);
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn bind_error(e: Errno, name: &Name) -> Error {
    match e {
        Errno::EADDRINUSE => socket_file::in_use(name),
        Errno::EADDRNOTAVAIL => {
            let text = format!("{name} is no address of this machine; use one, or 0.0.0.0 or [::] for all");
            Error::new(ErrorKind::InvalidArgument, text)
        }
        e => os_error(e, format!("listening at {name}")),
    }
}

fn send_error(e: Errno, pieces: &[&[u8]], descriptors: usize) -> Error {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    match e {
        Errno::EMSGSIZE => {
            let text = format!(
                "a message of {length} bytes is more than the way to the other end takes; send it in parts"
            );
            Error::new(ErrorKind::TooLarge, text)
        }
        Errno::EINVAL | Errno::ETOOMANYREFS if descriptors > 0 => {
            let text = format!(
                "{descriptors} descriptors are more than the kernel passes: {MAX_DESCRIPTORS} with one message, and as many as `ulimit -n` says on their way"
            );
            Error::new(ErrorKind::LimitReached, text)
        }
        e => os_error(e, format!("sending a message of {length} bytes")),
    }
}

/// Room for what comes beside a message's bytes.
pub struct Control(Box<[libc::cmsghdr]>);

impl Control {
    pub fn new() -> Control {
        // SAFETY: computes sizes from sizes.
        let bytes = unsafe {
            libc::CMSG_SPACE(MAX_DESCRIPTORS * size_of::<RawFd>() as u32)
                + libc::CMSG_SPACE(size_of::<libc::ucred>() as u32)
        } as usize;
        // SAFETY: headers of zeros are headers; what matters is that the room is aligned to them.
        let header = unsafe { std::mem::zeroed::<libc::cmsghdr>() };
        Control(vec![header; bytes.div_ceil(size_of::<libc::cmsghdr>())].into())
    }
}

/// By libc itself: nix does not give descriptors out when some did not fit, and nobody would close them.
fn receive_raw(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut Control,
) -> std::result::Result<Arrived, Errno> {
    // SAFETY: addresses and messages of zeros are valid ones.
    let (mut name, mut message): (libc::sockaddr_storage, libc::msghdr) = unsafe { std::mem::zeroed() };
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = size_of_val(&name) as libc::socklen_t;
    message.msg_iov = &mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&*control.0) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: everything the message points to lives and is writable until the call returns.
    let length = Errno::result(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, flags) })? as usize;
    // SAFETY: the kernel has written an address of that length.
    let from = unsafe { SockaddrStorage::from_raw((&raw const name).cast(), Some(message.msg_namelen)) };
    // A Unix socket without a name says its family and nothing else.
    let named = |name: &SockaddrStorage| name.as_unix_addr().is_none_or(|name| !name.is_unnamed());
    let mut arrived =
        Arrived { length, from: from.filter(named).map(Name), descriptors: Vec::new(), who: None };
    // SAFETY: the kernel has filled the message in.
    unsafe { read_control(&message, &mut arrived) };
    Ok(arrived)
}

/// Takes over the descriptors that came with a message, and reads who has sent it.
///
/// # Safety
/// The message was received just now, and nobody has looked at what came beside it.
// Lengths have another type with musl.
#[allow(clippy::unnecessary_cast)]
unsafe fn read_control(message: &libc::msghdr, arrived: &mut Arrived) {
    // SAFETY: walks what the kernel has written, by its own rules; descriptors are ours from now on.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(part) = header.as_ref() {
            let data = libc::CMSG_DATA(part);
            if part.cmsg_level == libc::SOL_SOCKET && part.cmsg_type == libc::SCM_RIGHTS {
                // musl has a narrower length than glibc.
                #[allow(clippy::unnecessary_cast)]
                let length = part.cmsg_len as usize;
                let bytes = length - (data as usize - header as usize);
                let fds = (0..bytes / size_of::<RawFd>())
                    .map(|i| OwnedFd::from_raw_fd(data.cast::<RawFd>().add(i).read_unaligned()));
                arrived.descriptors.extend(fds);
            } else if part.cmsg_level == libc::SOL_SOCKET && part.cmsg_type == libc::SCM_CREDENTIALS {
                let who = data.cast::<libc::ucred>().read_unaligned();
                arrived.who = Some(Who { pid: who.pid as u32, uid: who.uid, gid: who.gid });
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}
