//! Latency of topics between two processes: a message goes there and comes back, copied in and out at each end.

use crate::effort::Effort;
use crate::measure::{answers, exchanges};
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use axonic::*;
use std::sync::atomic::{AtomicU64, Ordering};

pub const SUBJECT: &str = "axonic-rust";

/// A domain of one measurement alone, in which parent and child meet.
pub fn domain_options() -> DomainOptions {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    DomainOptions { name: Some(name), ..Default::default() }
}

pub fn open(options: &DomainOptions) -> Domain {
    Domain::open_with(options.clone()).expect("domain")
}

pub fn publisher(domain: &Domain, topic: &str, overflow: Overflow, wait: Wait) -> Publisher {
    let options = PublisherOptions { overflow, wait, ..Default::default() };
    domain.publisher(topic, &options).expect("publisher")
}

pub fn subscriber(domain: &Domain, topic: &str, wait: Wait) -> Subscriber {
    domain.subscriber(topic, &SubscriberOptions { wait, ..Default::default() }).expect("subscriber")
}

/// One end of a pair of topics, once the other end is there too: what it sends by and what it receives by.
pub fn ends(options: &DomainOptions, send: &str, receive: &str, wait: Wait, start: &AtomicU64) -> Ends {
    let domain = open(options);
    let input = subscriber(&domain, receive, wait);
    let mut output = publisher(&domain, send, Overflow::DropOldest, wait);
    meet(start, 2);
    output.wait_for_subscribers(1, None).expect("a subscriber");
    Ends { output, input, _domain: domain }
}

/// Copies the next message into memory of one's own, once: a large one is borrowed for it, as `Subscriber::receive` would
/// copy it into the subscriber's memory first.
pub fn take(input: &mut Subscriber, to: &mut [u8]) {
    const LARGE: usize = 2048;
    if to.len() > LARGE {
        to.copy_from_slice(&input.borrow(None).expect("a message"));
    } else {
        to.copy_from_slice(input.receive(None).expect("a message").data());
    }
    std::hint::black_box(to);
}

pub struct Ends {
    pub output: Publisher,
    pub input: Subscriber,
    _domain: Domain,
}

/// Nanoseconds of `n` round trips of `size` bytes.
fn round_trips(n: usize, size: usize, wait: Wait) -> Vec<f64> {
    let options = domain_options();
    let start = word(shared(4096), 0);
    let echo = || {
        let mut ends = ends(&options, "pong", "ping", wait, start);
        let mut reply = vec![0u8; size];
        answers(n, || {
            take(&mut ends.input, &mut reply);
            ends.output.publish(&reply).expect("pong");
        });
    };
    pair(echo, || {
        let mut ends = ends(&options, "ping", "pong", wait, start);
        let message = vec![7u8; size];
        let mut got = vec![0u8; size];
        exchanges(n, || {
            ends.output.publish(std::hint::black_box(&message)).expect("ping");
            take(&mut ends.input, &mut got);
        })
    })
}

/// Half a round trip, both ends spinning.
pub fn one_way_spin(effort: &Effort, report: &mut Report) {
    for size in [48, 64, 1024, 1 << 20] {
        let whole = round_trips(effort.spinning(size), size, Wait::Spin);
        report.latencies("one_way_spin", SUBJECT, size, whole.into_iter().map(|t| t / 2.0).collect());
    }
}

pub fn round_trip_spin(effort: &Effort, report: &mut Report) {
    let trips = round_trips(effort.spinning(64), 64, Wait::Spin);
    report.latencies("round_trip_spin", SUBJECT, 64, trips);
}

pub fn round_trip_blocking(effort: &Effort, report: &mut Report) {
    let trips = round_trips(effort.sleeping(), 64, Wait::Block);
    report.latencies("round_trip_blocking", SUBJECT, 64, trips);
}

/// The peer answers at once, so whoever waits still spins.
pub fn round_trip_adaptive(effort: &Effort, report: &mut Report) {
    let trips = round_trips(effort.spinning(64), 64, Wait::Adaptive);
    report.latencies("round_trip_adaptive", SUBJECT, 64, trips);
}

/// One-way latency of a loaned and borrowed megabyte of which one line is written and read.
pub fn loan_borrow(effort: &Effort, report: &mut Report) {
    let size = 1 << 20;
    let n = effort.spinning(size);
    let options = domain_options();
    let start = word(shared(4096), 0);
    let lend = |publisher: &mut Publisher, value: u8| {
        let mut loan = publisher.loan(size, None).expect("loan");
        loan[..64].fill(value);
        publisher.commit(loan, &LoanMeta::default(), None).expect("commit");
    };
    let echo = || {
        let mut ends = ends(&options, "pong", "ping", Wait::Spin, start);
        answers(n, || {
            let value = ends.input.borrow(None).expect("ping")[0];
            lend(&mut ends.output, value);
        });
    };
    let whole = pair(echo, || {
        let mut ends = ends(&options, "ping", "pong", Wait::Spin, start);
        let mut value = 0u8;
        exchanges(n, || {
            value = value.wrapping_add(1);
            lend(&mut ends.output, value);
            assert_eq!(ends.input.borrow(None).expect("pong")[0], value);
        })
    });
    report.latencies("loan_borrow", SUBJECT, size, whole.into_iter().map(|t| t / 2.0).collect());
}
