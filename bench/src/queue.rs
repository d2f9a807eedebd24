//! Jobs in memory: one process puts them, another takes and acknowledges each.

use crate::effort::{Effort, Stream};
use crate::measure::receive;
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open};
use axonic::*;
use std::time::Instant;

const SIZE: usize = 64;
pub const MILLION: usize = 1_000_000;
/// Jobs timed together.
const BATCH: usize = 1000;

pub fn memory(effort: &Effort, report: &mut Report) {
    let options = QueueOptions { wait: Wait::Spin, ..Default::default() };
    report.rates("queue", SUBJECT, SIZE, rate(effort.stream(SIZE), SIZE, &options));
}

/// Jobs per second that are put, taken and acknowledged, one by one.
pub fn rate(stream: Stream, size: usize, queue: &QueueOptions) -> f64 {
    let options = domain_options();
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 4));
    let produce = || {
        let domain = open(&options);
        let mut output = domain.queue_producer("jobs", queue).expect("producer");
        let message = vec![7u8; size];
        meet(start, 2);
        for _ in 0..stream.all() {
            output.put(std::hint::black_box(&message), None).expect("put");
        }
        meet(end, 2);
    };
    let rate = pair(produce, || {
        let domain = open(&options);
        let mut input = domain.queue_consumer("jobs", queue).expect("consumer");
        meet(start, 2);
        let rate = receive(stream, || {
            let job = input.get(None).expect("job");
            // A copy of its own already.
            std::hint::black_box(job.data());
            job.ack().expect("ack");
        });
        meet(end, 2);
        rate
    });
    // One in memory is gone with the last that used it.
    if queue.durable.is_some() {
        open(&options).unlink(Noun::Queue, "jobs").expect("unlink");
    }
    rate
}

/// What it costs to take a job, acknowledge it and put another, while few or a million others are there.
pub fn pending(effort: &Effort, report: &mut Report) {
    crate::process::pin(0);
    let domain = open(&domain_options());
    let message = [7u8; SIZE];
    for (metric, pending) in [("get_put_few", 10), ("get_put_million", MILLION)] {
        let options = QueueOptions { capacity: MILLION + 10, ..Default::default() };
        let mut output = domain.queue_producer(metric, &options).expect("producer");
        let mut input = domain.queue_consumer(metric, &options).expect("consumer");
        for _ in 0..pending {
            output.put(&message, None).expect("put");
        }
        let mut batch = || {
            let started = Instant::now();
            for _ in 0..BATCH {
                input.get(None).expect("job").ack().expect("ack");
                output.put(std::hint::black_box(&message), None).expect("put");
            }
            started.elapsed().as_nanos() as f64 / BATCH as f64
        };
        let nanos = (0..effort.exchanges / 100).map(|_| batch()).collect();
        report.add("queue_pending", SUBJECT, SIZE, metric, "ns", crate::samples::percentiles(nanos));
        drop((output, input));
        domain.unlink(Noun::Queue, metric).expect("unlink");
    }
}
