//! libzmq over `ipc://`: PAIR for exchanges, REQ and REP for calls, PUSH and PULL for rates. Its own threads are pinned with the process
//! that starts them.

#![allow(dead_code)]
mod common;

use common::{asked, folder, latencies, measure, process, rates};
use std::time::Instant;
use zmq::{Context, SocketType};

fn main() {
    let (case, effort) = asked();
    match case.as_str() {
        "round_trip_blocking" => {
            latencies(64, round_trips(effort.sleeping(), 64, SocketType::PAIR, SocketType::PAIR), 1.0);
        }
        "call_blocking" => {
            latencies(64, round_trips(effort.sleeping(), 64, SocketType::REQ, SocketType::REP), 1.0);
        }
        "throughput" => {
            for size in [64, 65536] {
                rates(size, rate(&effort, size));
            }
        }
        "open_and_first_publish" => latencies(64, opens(), 1.0),
        _ => {}
    }
}

fn endpoint(name: &str) -> String {
    format!("ipc://{}/zmq-{}-{name}", folder().display(), std::process::id())
}

fn round_trips(n: usize, size: usize, asks: SocketType, replies: SocketType) -> Vec<f64> {
    let endpoint = endpoint("pair");
    let start = process::word(process::shared(4096), 0);
    let echo = || {
        let context = Context::new();
        let socket = context.socket(replies).expect("socket");
        socket.bind(&endpoint).expect("bind");
        process::meet(start, 2);
        let mut bytes = vec![0; size];
        measure::answers(n, || {
            socket.recv_into(&mut bytes, 0).expect("ping");
            socket.send(&bytes, 0).expect("pong");
        });
    };
    process::pair(echo, || {
        process::meet(start, 2);
        let context = Context::new();
        let socket = context.socket(asks).expect("socket");
        socket.connect(&endpoint).expect("connect");
        let message = vec![7; size];
        let mut got = vec![0; size];
        measure::exchanges(n, || {
            socket.send(&message, 0).expect("ping");
            socket.recv_into(&mut got, 0).expect("pong");
        })
    })
}

fn rate(effort: &common::effort::Effort, size: usize) -> f64 {
    let endpoint = endpoint("push");
    let stream = effort.stream(size);
    let start = process::word(process::shared(4096), 0);
    let produce = || {
        process::meet(start, 2);
        let context = Context::new();
        let socket = context.socket(SocketType::PUSH).expect("socket");
        socket.connect(&endpoint).expect("connect");
        let message = vec![7; size];
        for _ in 0..stream.all() {
            socket.send(&message, 0).expect("data");
        }
    };
    process::pair(produce, || {
        let context = Context::new();
        let socket = context.socket(SocketType::PULL).expect("socket");
        socket.bind(&endpoint).expect("bind");
        process::meet(start, 2);
        let mut to = vec![0; size];
        measure::receive(stream, || {
            socket.recv_into(&mut to, 0).expect("data");
        })
    })
}

/// A context, a socket, and the first message handed to it.
fn opens() -> Vec<f64> {
    process::pin(0);
    let open = |i| {
        let endpoint = endpoint(&format!("first-{i}"));
        let started = Instant::now();
        let context = Context::new();
        let socket = context.socket(SocketType::PUB).expect("socket");
        socket.bind(&endpoint).expect("bind");
        socket.send(vec![7; 64], 0).expect("send");
        started.elapsed().as_nanos() as f64
    };
    (0..20).map(open).collect()
}
