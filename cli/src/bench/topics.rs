//! Topics between the two sides.

use std::time::Instant;

use axonic::{LoanMeta, Overflow, Publisher, PublisherOptions, Subscriber, SubscriberOptions, Wait};

use super::pair::{Ours, PATIENCE, Side, Theirs};
use super::report::{Latencies, Report};
use crate::stop::Stop;

/// First byte of the last message.
const LAST: u8 = 255;
const MIB: usize = 1 << 20;

/// Budget of a slab: a container's default /dev/shm holds two of them.
const SLAB: usize = 16 << 20;

fn publisher(side: &impl Side, name: &str, overflow: Overflow, wait: Wait) -> Result<Publisher, Stop> {
    let options = PublisherOptions { overflow, wait, max_bytes: SLAB, ..PublisherOptions::default() };
    Ok(side.domain().publisher(&format!("{name}.{}", side.stage()), &options)?)
}

fn subscriber(side: &impl Side, name: &str, wait: Wait) -> Result<Subscriber, Stop> {
    let options = SubscriberOptions { wait, ..SubscriberOptions::default() };
    Ok(side.domain().subscriber(&format!("{name}.{}", side.stage()), &options)?)
}

/// Both ends of a conversation, once the other side has both of its own.
fn ends(side: &impl Side, from: &str, to: &str, wait: Wait) -> Result<(Subscriber, Publisher), Stop> {
    let input = subscriber(side, from, wait)?;
    let mut output = publisher(side, to, Overflow::DropOldest, wait)?;
    output.wait_for_subscribers(1, Some(PATIENCE))?;
    Ok((input, output))
}

/// Round trips of a message that is copied in and out on both sides.
fn exchange(side: &mut Ours<'_>, size: usize, wait: Wait) -> Result<Latencies, Stop> {
    let (mut input, mut output) = ends(side, "pong", "ping", wait)?;
    let mut message = vec![7u8; size];
    let mut got = vec![0u8; size];
    let mut times = Latencies::default();
    loop {
        let started = Instant::now();
        output.publish(&message)?;
        got.copy_from_slice(input.receive(Some(PATIENCE))?.data());
        let now = Instant::now();
        times.add(now - started);
        if got[0] == LAST {
            return Ok(times);
        }
        if side.is_over(now)? {
            message[0] = LAST;
        }
    }
}

fn echo(side: &mut Theirs, size: usize, wait: Wait) -> Result<(), Stop> {
    let (mut input, mut output) = ends(side, "ping", "pong", wait)?;
    let mut reply = vec![0u8; size];
    while reply[0] != LAST {
        reply.copy_from_slice(input.receive(None)?.data());
        output.publish(&reply)?;
    }
    linger(input, output)
}

/// The other side has what it needs only when it has heard the last message: it goes first.
fn linger(input: Subscriber, mut output: Publisher) -> Result<(), Stop> {
    let started = Instant::now();
    while output.subscribers() > 0 && started.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    drop(input);
    Ok(())
}

pub(super) fn one_way_48(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    one_way(side, report, 48)
}

pub(super) fn one_way_64(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    one_way(side, report, 64)
}

fn one_way(side: &mut Ours<'_>, report: &mut Report, size: usize) -> Result<(), Stop> {
    let times = exchange(side, size, Wait::Spin)?.halved();
    report.latency("one_way_spin", "topic, one way, spinning", size, times, "atomics");
    Ok(())
}

pub(super) fn echo_48(side: &mut Theirs) -> Result<(), Stop> {
    echo(side, 48, Wait::Spin)
}

pub(super) fn echo_64(side: &mut Theirs) -> Result<(), Stop> {
    echo(side, 64, Wait::Spin)
}

pub(super) fn round_trip(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    let times = exchange(side, 64, Wait::Block)?;
    report.latency("round_trip_blocking", "topic, round trip, sleeping", 64, times, "futexes");
    Ok(())
}

pub(super) fn echo_blocking(side: &mut Theirs) -> Result<(), Stop> {
    echo(side, 64, Wait::Block)
}

fn lend(publisher: &mut Publisher, value: u8) -> Result<(), Stop> {
    let mut loan = publisher.loan(MIB, None)?;
    loan[..64].fill(value);
    Ok(publisher.commit(loan, &LoanMeta::default(), None)?)
}

/// A megabyte that is written and read in place, of which one line is touched: half the round trip.
pub(super) fn loans(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    let (mut input, mut output) = ends(side, "pong", "ping", Wait::Spin)?;
    let mut times = Latencies::default();
    let mut value = 7;
    loop {
        let started = Instant::now();
        lend(&mut output, value)?;
        let got = input.borrow(Some(PATIENCE))?[0];
        let now = Instant::now();
        times.add((now - started) / 2);
        if got == LAST {
            break;
        }
        if side.is_over(now)? {
            value = LAST;
        }
    }
    report.latency("loan_borrow", "loan and borrow, one way, spinning", MIB, times, "atomics");
    Ok(())
}

pub(super) fn echo_loans(side: &mut Theirs) -> Result<(), Stop> {
    let (mut input, mut output) = ends(side, "ping", "pong", Wait::Spin)?;
    let mut value = 0;
    while value != LAST {
        value = input.borrow(None)?[0];
        lend(&mut output, value)?;
    }
    linger(input, output)
}

pub(super) fn send_small(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    send(side, report, 64, "copies_64")
}

pub(super) fn send_large(side: &mut Ours<'_>, report: &mut Report) -> Result<(), Stop> {
    send(side, report, MIB, "copies_1m")
}

/// Messages one after the other, none lost, copied in and out.
fn send(side: &mut Ours<'_>, report: &mut Report, size: usize, floor: &'static str) -> Result<(), Stop> {
    let wait = side.eager();
    let mut done = subscriber(side, "done", wait)?;
    let mut output = publisher(side, "data", Overflow::Block, wait)?;
    output.wait_for_subscribers(1, Some(PATIENCE))?;
    let mut message = vec![7u8; size];
    let started = Instant::now();
    let mut count = 0;
    while message[0] != LAST {
        if (size > 4096 || u64::is_multiple_of(count, 256)) && side.is_over(Instant::now())? {
            message[0] = LAST;
        }
        // No timeout, for which the clock would be read each time: a dead reader holds nobody up.
        output.publish(std::hint::black_box(&message))?;
        count += 1;
    }
    done.receive(Some(PATIENCE))?;
    report.rate("throughput", "topic, throughput", size, count, started.elapsed(), floor);
    Ok(())
}

pub(super) fn drain(side: &mut Theirs) -> Result<(), Stop> {
    let wait = side.eager();
    let (mut input, mut output) = ends(side, "data", "done", wait)?;
    while input.receive(None)?.data().first() != Some(&LAST) {}
    output.publish(b"")?;
    linger(input, output)
}
