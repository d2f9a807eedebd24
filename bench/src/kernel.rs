//! What the kernel itself offers between two processes: pipes and Unix stream sockets, blocking.

use crate::effort::Effort;
use crate::measure::{answers, exchanges, receive};
use crate::process::pair;
use crate::report::Report;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::net::UnixStream;

/// The two directions of a connection, for one process or the other.
struct Connection<R, W> {
    read: R,
    write: W,
}

type Pair<R, W> = (Connection<R, W>, Connection<R, W>);

fn pipes() -> Pair<PipeReader, PipeWriter> {
    let ((to_child, from_parent), (to_parent, from_child)) = (pipe().expect("pipe"), pipe().expect("pipe"));
    (Connection { read: to_parent, write: from_parent }, Connection { read: to_child, write: from_child })
}

fn sockets() -> Pair<UnixStream, UnixStream> {
    let (one, other) = UnixStream::pair().expect("sockets");
    let both = |s: UnixStream| Connection { read: s.try_clone().expect("a second descriptor"), write: s };
    (both(one), both(other))
}

fn round_trips<R: Read, W: Write>(n: usize, size: usize, (mut here, mut there): Pair<R, W>) -> Vec<f64> {
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

pub fn round_trip_blocking(effort: &Effort, report: &mut Report) {
    let n = effort.sleeping();
    report.latencies("round_trip_blocking", "pipe", 64, round_trips(n, 64, pipes()));
    report.latencies("round_trip_blocking", "unix-socket", 64, round_trips(n, 64, sockets()));
}

/// One system call to write a message and one to read it.
fn rate<R: Read, W: Write>(effort: &Effort, size: usize, (mut here, mut there): Pair<R, W>) -> f64 {
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

pub fn throughput(effort: &Effort, report: &mut Report) {
    for size in [64, 65536] {
        report.rates("throughput", "pipe", size, rate(effort, size, pipes()));
        report.rates("throughput", "unix-socket", size, rate(effort, size, sockets()));
    }
}
