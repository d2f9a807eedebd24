//! Framed messages over a Unix socket and over two pipes, beside the system calls that carry them: a read and a write for
//! each message.

use crate::effort::Effort;
use crate::kernel::{self, PIPE, SOCKET, pipes, sockets};
use crate::measure::{answers, exchanges, receive};
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use crate::samples::percentiles;
use crate::scratch::folder;
use crate::topic::{SUBJECT, domain_options, open};
use axonic::*;
use std::os::fd::IntoRawFd;

const SIZE: usize = 64;
/// Messages of a call of `send_many`.
const BATCH: usize = 64;

/// What carries the frames.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Socket,
    Pipes,
}

pub fn framed_socket(effort: &Effort, report: &mut Report) {
    framed("framed_socket", Over::Socket, effort, report);
}

pub fn framed_pipe(effort: &Effort, report: &mut Report) {
    framed("framed_pipe", Over::Pipes, effort, report);
}

fn framed(case: &str, over: Over, effort: &Effort, report: &mut Report) {
    report.latencies(case, SUBJECT, SIZE, round_trips(over, Wait::Block, effort.sleeping()));
    let spun = percentiles(round_trips(over, Wait::Spin, effort.spinning(SIZE)));
    report.add(case, SUBJECT, SIZE, "latency_spin", "ns", spun);
    report.rates(case, SUBJECT, SIZE, rate(over, effort));
}

/// The same without frames, one system call for each message.
pub fn raw_socket(effort: &Effort, report: &mut Report) {
    let case = "framed_socket";
    report.latencies(case, SOCKET, SIZE, kernel::round_trips(effort.sleeping(), SIZE, sockets()));
    let spun = kernel::round_trips(effort.spinning(SIZE), SIZE, kernel::spinning(sockets()));
    report.add(case, SOCKET, SIZE, "latency_spin", "ns", percentiles(spun));
    report.rates(case, SOCKET, SIZE, kernel::rate(effort, SIZE, sockets()));
}

pub fn raw_pipe(effort: &Effort, report: &mut Report) {
    let case = "framed_pipe";
    report.latencies(case, PIPE, SIZE, kernel::round_trips(effort.sleeping(), SIZE, pipes()));
    let spun = kernel::round_trips(effort.spinning(SIZE), SIZE, kernel::spinning(pipes()));
    report.add(case, PIPE, SIZE, "latency_spin", "ns", percentiles(spun));
    report.rates(case, PIPE, SIZE, kernel::rate(effort, SIZE, pipes()));
}

fn round_trips(over: Over, wait: Wait, n: usize) -> Vec<f64> {
    let echo = |channel: Channel| {
        answers(n, || {
            let ping = channel.receive(None).expect("ping");
            channel.send(&ping.data, None).expect("pong");
        });
    };
    between(over, wait, echo, |channel| {
        let message = [7u8; SIZE];
        exchanges(n, || {
            channel.send(std::hint::black_box(&message), None).expect("ping");
            std::hint::black_box(channel.receive(None).expect("pong"));
        })
    })
}

/// Many messages per call are sent, and received one by one.
fn rate(over: Over, effort: &Effort) -> f64 {
    let stream = effort.stream(SIZE);
    let produce = |channel: Channel| {
        let message = [7u8; SIZE];
        let batch = [&message[..]; BATCH];
        let mut left = stream.all();
        while left > 0 {
            left -= channel.send_many(std::hint::black_box(&batch[..left.min(BATCH)]), None).expect("data");
        }
    };
    between(over, Wait::Adaptive, produce, |channel| {
        receive(stream, || {
            std::hint::black_box(channel.receive(None).expect("data"));
        })
    })
}

/// Runs both at the ends of a channel: `there` in another process.
fn between<T>(over: Over, wait: Wait, there: impl FnOnce(Channel), here: impl FnOnce(Channel) -> T) -> T {
    let (domain, channel) = (domain_options(), ChannelOptions { wait, ..Default::default() });
    let meeting = word(shared(4096), 0);
    let connect = |domain: &Domain, address: &str| domain.connect(address, &channel, None).expect("channel");
    if over == Over::Pipes {
        let (own, other) = pipes();
        let address = |(read, write): (_, _)| format!("pipe:{read},{write}");
        let other = || {
            let numbers = (other.read.into_raw_fd(), other.write.into_raw_fd());
            there(connect(&open(&domain), &address(numbers)));
        };
        return pair(other, || {
            let numbers = (own.read.into_raw_fd(), own.write.into_raw_fd());
            here(connect(&open(&domain), &address(numbers)))
        });
    }
    let address = format!("unix://{}/framed-{}", folder().display(), std::process::id());
    let accept = || {
        let domain = open(&domain);
        let listener = domain.listen(&address, &channel).expect("listener");
        meet(meeting, 2);
        there(listener.accept(None).expect("channel"));
    };
    pair(accept, || {
        meet(meeting, 2);
        here(connect(&open(&domain), &address))
    })
}
