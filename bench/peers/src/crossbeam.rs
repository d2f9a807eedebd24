//! crossbeam-channel: two threads of one process, which is as near as Rust comes without shared memory. A message is
//! an array of 64 bytes that is moved in and out.

#![allow(dead_code)]
mod common;

use common::{asked, latencies, measure, process, rates};
use crossbeam_channel::{Receiver, Sender, bounded};

const SIZE: usize = 64;
type Message = [u8; SIZE];

fn main() {
    let (case, effort) = asked();
    match case.as_str() {
        "one_way_spin" => latencies(SIZE, round_trips(effort.spinning(SIZE), spinning), 2.0),
        "round_trip_spin" => latencies(SIZE, round_trips(effort.spinning(SIZE), spinning), 1.0),
        "round_trip_adaptive" => latencies(SIZE, round_trips(effort.spinning(SIZE), adaptive), 1.0),
        "throughput" => {
            let stream = effort.stream(SIZE);
            let (send, receive) = bounded::<Message>(4096);
            let produce = move || {
                for _ in 0..stream.all() {
                    send.send(std::hint::black_box([7; SIZE])).expect("data");
                }
            };
            let rate = threads(produce, || {
                measure::receive(stream, || {
                    std::hint::black_box(adaptive(&receive));
                })
            });
            rates(SIZE, rate);
        }
        _ => {}
    }
}

fn spinning(receive: &Receiver<Message>) -> Message {
    loop {
        match receive.try_recv() {
            Ok(message) => return message,
            Err(_) => std::hint::spin_loop(),
        }
    }
}

/// `recv` spins for a while before it sleeps.
fn adaptive(receive: &Receiver<Message>) -> Message {
    receive.recv().expect("a message")
}

fn round_trips(n: usize, take: fn(&Receiver<Message>) -> Message) -> Vec<f64> {
    let (ping, pinged): (Sender<Message>, Receiver<Message>) = bounded(16);
    let (pong, ponged) = bounded(16);
    let echo = move || measure::answers(n, || pong.send(take(&pinged)).expect("pong"));
    threads(echo, || {
        measure::exchanges(n, || {
            ping.send(std::hint::black_box([7; SIZE])).expect("ping");
            std::hint::black_box(take(&ponged));
        })
    })
}

/// Runs `other` on core 1 and `here` on core 0.
fn threads<T>(other: impl FnOnce() + Send, here: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            process::pin(1);
            other();
        });
        process::pin(0);
        here()
    })
}
