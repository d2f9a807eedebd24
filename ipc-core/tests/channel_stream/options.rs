//! What an address sets, as the kernel has it for the sockets of both ends.

use super::{Ground, SOON};
use crate::common::certificates::Authority;
use nix::sys::socket::sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpNoDelay};
use nix::sys::socket::{SockaddrIn, getpeername, getsockname, getsockopt};
use std::os::fd::{BorrowedFd, RawFd};

/// Of a socket: whether it has no delay, and after how many seconds of silence it asks, how many apart and how often.
type Set = (bool, Option<(u32, u32, u32)>);

/// The connected sockets of this process at this port, here or there.
fn sockets(is_there: bool, port: u16) -> Vec<RawFd> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    open.filter(|fd: &RawFd| {
        let (Ok(here), Ok(there)) = (getsockname::<SockaddrIn>(*fd), getpeername::<SockaddrIn>(*fd)) else {
            return false;
        };
        (if is_there { there } else { here }).port() == port
    })
    .collect()
}

fn set(is_there: bool, port: u16) -> Set {
    let [fd] = sockets(is_there, port)[..] else { panic!("not one socket at port {port}") };
    // SAFETY: its channel is open as long as this is called.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let silence = getsockopt(&fd, KeepAlive).unwrap().then(|| {
        let [idle, interval] = [getsockopt(&fd, TcpKeepIdle), getsockopt(&fd, TcpKeepInterval)];
        (idle.unwrap(), interval.unwrap(), getsockopt(&fd, TcpKeepCount).unwrap())
    });
    (getsockopt(&fd, TcpNoDelay).unwrap(), silence)
}

/// Each end has what its own address says.
#[test]
fn sockets_have_what_their_addresses_set() {
    let ground = Ground::new();
    let authority = Authority::new();
    let secured = format!("tcp://127.0.0.1:0?{}&", authority.mutual("either"));
    for begin in ["tcp://127.0.0.1:0?", &secured, "ws://127.0.0.1:0/path?"] {
        for (listens, connects, wanted) in [
            ("", "", [(true, None), (true, None)]),
            ("nodelay=true", "nodelay=false", [(true, None), (false, None)]),
            ("nodelay=false&keepalive=90", "", [(false, Some((90, 30, 3))), (true, None)]),
            ("keepalive=1", "keepalive=7.5", [(true, Some((1, 1, 3))), (true, Some((8, 3, 3)))]),
        ] {
            let listener = ground.listen(format!("{begin}{listens}").trim_end_matches(['?', '&']));
            let port = listener.address().split([':', '/', '?']).nth(4).unwrap();
            let address = format!("{begin}{connects}").replace(":0", &format!(":{port}"));
            let (_one, _other) = std::thread::scope(|scope| {
                let accepted = scope.spawn(|| listener.accept(SOON).unwrap());
                (ground.connect(address.trim_end_matches(['?', '&'])), accepted.join().unwrap())
            });
            let port = port.parse().unwrap();
            assert_eq!([set(false, port), set(true, port)], wanted, "{begin}{listens}, {connects}");
        }
    }
}
