//! Calls between two processes: a request of raw bytes goes there, its copy comes back.

use crate::effort::Effort;
use crate::measure::{exchanges, receive};
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open};
use axonic::*;
use std::collections::VecDeque;

const SIZE: usize = 64;
/// Calls under way at the same time.
const MANY: usize = 64;

/// Latency of one call after the other, both ends spinning.
pub fn spin(effort: &Effort, report: &mut Report) {
    report.latencies("call_spin", SUBJECT, SIZE, one_by_one(effort.spinning(SIZE), Wait::Spin));
}

/// The same as everybody waits unless told otherwise.
pub fn adaptive(effort: &Effort, report: &mut Report) {
    report.latencies("call_adaptive", SUBJECT, SIZE, one_by_one(effort.spinning(SIZE), Wait::Adaptive));
}

/// The same of who never spins.
pub fn blocking(effort: &Effort, report: &mut Report) {
    report.latencies("call_blocking", SUBJECT, SIZE, one_by_one(effort.sleeping(), Wait::Block));
}

fn one_by_one(n: usize, wait: Wait) -> Vec<f64> {
    with_service(wait, |client| {
        let message = [7u8; SIZE];
        exchanges(n, || {
            let answer =
                client.call("echo", Payload::raw(std::hint::black_box(&message)), None).expect("answer");
            std::hint::black_box(answer.data());
        })
    })
}

/// Calls per second with many of them under way.
pub fn many(effort: &Effort, report: &mut Report) {
    let stream = effort.stream(SIZE);
    let rate = with_service(Wait::Spin, |client| {
        let message = [7u8; SIZE];
        let start = || {
            let payload = Payload::raw(std::hint::black_box(&message));
            client.start("echo", payload, &CallOptions::default()).expect("call")
        };
        let mut calls: VecDeque<Call> = (0..MANY).map(|_| start()).collect();
        receive(stream, || {
            let mut call = calls.pop_front().expect("a call");
            std::hint::black_box(call.result(None).expect("answer").data());
            calls.push_back(start());
        })
    });
    report.rates("call_many", SUBJECT, SIZE, rate);
}

/// Runs `act` with a client while another process answers.
fn with_service<T>(wait: Wait, act: impl FnOnce(&Client) -> T) -> T {
    let options = domain_options();
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 4));
    let channel = ChannelOptions { wait, ..Default::default() };
    let serve = || {
        let domain = open(&options);
        let service = domain.service(
            "echo",
            "1.0.0",
            &ServiceOptions { channel: channel.clone(), ..Default::default() },
        );
        let service = service.expect("service");
        meet(start, 2);
        loop {
            let request = service.next(None).expect("request");
            if request.method() == "end" {
                break;
            }
            let copy = request.body().data().to_vec();
            request.reply(Payload::raw(&copy)).expect("reply");
        }
        meet(end, 2);
    };
    pair(serve, || {
        let domain = open(&options);
        meet(start, 2);
        let client =
            domain.client("echo", "^1", &ClientOptions { channel: channel.clone(), ..Default::default() });
        let client = client.expect("client");
        let outcome = act(&client);
        let _ = client.start("end", Payload::raw(b""), &CallOptions::default());
        meet(end, 2);
        outcome
    })
}
