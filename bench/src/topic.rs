//! Topics between two processes.

use crate::Effort;
use crate::process::{domain_options, meet, pair, shared, word};
use crate::report::Report;
use axonic::*;
use std::time::{Duration, Instant};

const RUST: &str = "axonic-rust";

fn publisher(domain: &Domain, topic: &str, overflow: Overflow, wait: Wait) -> Publisher {
    let options = PublisherOptions { overflow, wait, ..Default::default() };
    domain.publisher(topic, &options).expect("publisher")
}

fn subscriber(domain: &Domain, topic: &str, wait: Wait) -> Subscriber {
    domain.subscriber(topic, &SubscriberOptions { wait, ..Default::default() }).expect("subscriber")
}

/// Round trips through two topics, each message copied in and out; nanoseconds.
fn round_trips(n: usize, size: usize, wait: Wait) -> Vec<f64> {
    let options = domain_options();
    let start = word(shared(4096), 0);
    let echo = || {
        let domain = Domain::open_with(options.clone()).expect("domain");
        let mut ping = subscriber(&domain, "ping", wait);
        let mut pong = publisher(&domain, "pong", Overflow::DropOldest, wait);
        meet(start, 2);
        pong.wait_for_subscribers(1, None).expect("a subscriber");
        let mut reply = vec![0u8; size];
        for _ in 0..n {
            reply.copy_from_slice(ping.receive(None).expect("ping").data());
            pong.publish(&reply).expect("pong");
        }
    };
    pair(echo, || {
        let domain = Domain::open_with(options.clone()).expect("domain");
        let mut pong = subscriber(&domain, "pong", wait);
        let mut ping = publisher(&domain, "ping", Overflow::DropOldest, wait);
        meet(start, 2);
        ping.wait_for_subscribers(1, None).expect("a subscriber");
        let message = vec![7u8; size];
        let mut got = vec![0u8; size];
        let exchange = |_| {
            let started = Instant::now();
            ping.publish(&message).expect("ping");
            got.copy_from_slice(pong.receive(None).expect("pong").data());
            started.elapsed().as_nanos() as f64
        };
        (0..n).map(exchange).collect()
    })
}

pub fn one_way_spin(effort: &Effort, report: &mut Report) {
    for size in [48, 64, 1024, 1 << 20] {
        let n = if size > 4096 { effort.exchanges / 50 } else { effort.exchanges };
        let half = round_trips(n, size, Wait::Spin).into_iter().map(|t| t / 2.0).collect();
        report.latencies("one_way_spin", RUST, size, half);
    }
}

pub fn round_trip_blocking(effort: &Effort, report: &mut Report) {
    report.latencies("round_trip_blocking", RUST, 64, round_trips(effort.exchanges / 10, 64, Wait::Block));
}

pub fn round_trip_adaptive(effort: &Effort, report: &mut Report) {
    report.latencies("round_trip_adaptive", RUST, 64, round_trips(effort.exchanges, 64, Wait::Adaptive));
}

/// Messages per second, none lost, copied in and out.
pub fn throughput(effort: &Effort, report: &mut Report) {
    for size in [64, 4096, 65536, 1 << 20] {
        let n = effort.messages_of(size);
        let options = domain_options();
        let start = word(shared(4096), 0);
        let consume = || {
            let domain = Domain::open_with(options.clone()).expect("domain");
            let mut input = subscriber(&domain, "data", Wait::Spin);
            let mut end = publisher(&domain, "end", Overflow::DropOldest, Wait::Spin);
            meet(start, 2);
            end.wait_for_subscribers(1, None).expect("a subscriber");
            for _ in 0..n {
                std::hint::black_box(input.receive(None).expect("data").data());
            }
            end.publish(b"").expect("end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let seconds = pair(consume, || {
            let domain = Domain::open_with(options.clone()).expect("domain");
            let mut end = subscriber(&domain, "end", Wait::Spin);
            let mut output = publisher(&domain, "data", Overflow::Block, Wait::Spin);
            meet(start, 2);
            output.wait_for_subscribers(1, None).expect("a subscriber");
            let message = vec![7u8; size];
            let started = Instant::now();
            for _ in 0..n {
                output.publish(std::hint::black_box(&message)).expect("data");
            }
            end.receive(None).expect("end");
            started.elapsed().as_secs_f64()
        });
        rates(report, "throughput", size, n, seconds);
    }
}

fn rates(report: &mut Report, case: &str, size: usize, n: usize, seconds: f64) {
    report.rate(case, RUST, size, "msgs_per_s", n as f64 / seconds);
    if size >= 4096 {
        report.rate(case, RUST, size, "bytes_per_s", (n * size) as f64 / seconds);
    }
}

/// One-way latency of a loaned and borrowed megabyte of which one line is touched.
pub fn loan_borrow(effort: &Effort, report: &mut Report) {
    let (n, size) = (effort.exchanges, 1 << 20);
    let options = domain_options();
    let start = word(shared(4096), 0);
    let lend = |publisher: &mut Publisher, value: u8| {
        let mut loan = publisher.loan(size, None).expect("loan");
        loan[..64].fill(value);
        publisher.commit(loan, &LoanMeta::default(), None).expect("commit");
    };
    let echo = || {
        let domain = Domain::open_with(options.clone()).expect("domain");
        let mut ping = subscriber(&domain, "ping", Wait::Spin);
        let mut pong = publisher(&domain, "pong", Overflow::DropOldest, Wait::Spin);
        meet(start, 2);
        pong.wait_for_subscribers(1, None).expect("a subscriber");
        for _ in 0..n {
            let value = ping.borrow(None).expect("ping")[0];
            lend(&mut pong, value);
        }
    };
    let measured = pair(echo, || {
        let domain = Domain::open_with(options.clone()).expect("domain");
        let mut pong = subscriber(&domain, "pong", Wait::Spin);
        let mut ping = publisher(&domain, "ping", Overflow::DropOldest, Wait::Spin);
        meet(start, 2);
        ping.wait_for_subscribers(1, None).expect("a subscriber");
        let exchange = |i: usize| {
            let started = Instant::now();
            lend(&mut ping, i as u8);
            assert_eq!(pong.borrow(None).expect("pong")[0], i as u8);
            started.elapsed().as_nanos() as f64 / 2.0
        };
        (0..n).map(exchange).collect()
    });
    report.latencies("loan_borrow", RUST, size, measured);
}
