//! The bare ring between two processes.

use crate::Effort;
use crate::process::{domain_options, meet, pair, shared, word};
use crate::report::Report;
use axonic::*;
use std::time::Instant;

/// Messages per second, pushed by copy and read in place into private memory.
pub fn throughput(effort: &Effort, report: &mut Report) {
    for size in [64, 4096] {
        let n = effort.messages_of(size);
        let options = domain_options();
        let memory = shared(4096);
        let (start, done) = (word(memory, 0), word(memory, 4));
        let ring = RingOptions { wait: Wait::Spin, ..Default::default() };
        let consume = || {
            let domain = Domain::open_with(options.clone()).expect("domain");
            let mut consumer = domain.ring_consumer("ring", &ring).expect("consumer");
            meet(start, 2);
            let mut to = vec![0u8; size];
            for _ in 0..n {
                to.copy_from_slice(consumer.pop(None).expect("message"));
                std::hint::black_box(&to);
            }
            consumer.release().expect("release");
            meet(done, 2);
        };
        let seconds = pair(consume, || {
            let domain = Domain::open_with(options.clone()).expect("domain");
            let mut producer = domain.ring_producer("ring", &ring).expect("producer");
            let message = vec![7u8; size];
            meet(start, 2);
            let started = Instant::now();
            for _ in 0..n {
                producer.push(std::hint::black_box(&message), None).expect("push");
            }
            meet(done, 2);
            started.elapsed().as_secs_f64()
        });
        report.rate("ring", "axonic-rust", size, "msgs_per_s", n as f64 / seconds);
        report.rate("ring", "axonic-rust", size, "bytes_per_s", (n * size) as f64 / seconds);
    }
}
