//! What the kernel itself offers between two processes: pipes and Unix stream sockets, blocking.

use crate::effort::Effort;
use crate::measure::{answers, exchanges, receive};
use crate::process::pair;
use crate::report::Report;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

pub const PIPE: &str = "pipe";
pub const SOCKET: &str = "unix-socket";
const SIZES: [usize; 2] = [64, 65536];

/// The two directions of a connection, for one process or the other.
pub struct Connection<R, W> {
    pub read: R,
    pub write: W,
}

type Pair<R, W> = (Connection<R, W>, Connection<R, W>);

pub fn pipes() -> Pair<PipeReader, PipeWriter> {
    let ((to_child, from_parent), (to_parent, from_child)) = (pipe().expect("pipe"), pipe().expect("pipe"));
    (Connection { read: to_parent, write: from_parent }, Connection { read: to_child, write: from_child })
}

pub fn sockets() -> Pair<UnixStream, UnixStream> {
    let (one, other) = UnixStream::pair().expect("sockets");
    let both = |s: UnixStream| Connection { read: s.try_clone().expect("a second descriptor"), write: s };
    (both(one), both(other))
}

/// What is read again and again until there is something.
pub struct Spinning<R>(R);

impl<R: Read> Read for Spinning<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(to) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                done => return done,
            }
        }
    }
}

/// The same for who spins.
pub fn spinning<R: AsFd, W>((one, other): Pair<R, W>) -> Pair<Spinning<R>, W> {
    let of = |Connection { read, write }: Connection<R, W>| {
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a descriptor that does not wait");
        Connection { read: Spinning(read), write }
    };
    (of(one), of(other))
}

pub fn round_trips<R: Read, W: Write>(n: usize, size: usize, (mut here, mut there): Pair<R, W>) -> Vec<f64> {
    let echo = || {
        let mut bytes = vec![0u8; size];
        answers(n, || {
            there.read.read_exact(&mut bytes).expect("ping");
            there.write.write_all(&bytes).expect("pong");
        });
    };
    pair(echo, || {
        let message = vec![7u8; size];
        let mut got = vec![0u8; size];
        exchanges(n, || {
            here.write.write_all(&message).expect("ping");
            here.read.read_exact(&mut got).expect("pong");
        })
    })
}

pub fn pipe_round_trip(effort: &Effort, report: &mut Report) {
    let nanos = round_trips(effort.sleeping(), 64, pipes());
    report.latencies("round_trip_blocking", PIPE, 64, nanos);
}

pub fn socket_round_trip(effort: &Effort, report: &mut Report) {
    let nanos = round_trips(effort.sleeping(), 64, sockets());
    report.latencies("round_trip_blocking", SOCKET, 64, nanos);
}

/// One system call to write a message and one to read it.
pub fn rate<R: Read, W: Write>(effort: &Effort, size: usize, (mut here, mut there): Pair<R, W>) -> f64 {
    let stream = effort.stream(size);
    let produce = || {
        let message = vec![7u8; size];
        for _ in 0..stream.all() {
            there.write.write_all(&message).expect("data");
        }
    };
    pair(produce, || {
        let mut to = vec![0u8; size];
        receive(stream, || here.read.read_exact(&mut to).expect("data"))
    })
}

pub fn pipe_throughput(effort: &Effort, report: &mut Report) {
    SIZES.iter().for_each(|size| report.rates("throughput", PIPE, *size, rate(effort, *size, pipes())));
}

pub fn socket_throughput(effort: &Effort, report: &mut Report) {
    SIZES.iter().for_each(|size| report.rates("throughput", SOCKET, *size, rate(effort, *size, sockets())));
}
