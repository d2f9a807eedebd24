//! One publisher and 1 to 64 subscribers: what a publish costs while nobody reads, and how many messages arrive
//! when all of them are read.

use crate::effort::Effort;
use crate::measure::receive;
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open, publisher, subscriber};
use axonic::*;
use std::time::Instant;

const COUNTS: [usize; 4] = [1, 4, 16, 64];
const SIZE: usize = 64;
/// Publishes timed together: one alone is near the clock's own cost.
const BATCH: usize = 64;

pub fn run(effort: &Effort, report: &mut Report) {
    for count in COUNTS {
        let metric = format!("publish_{count}_idle");
        let [p50, p99, p999] = crate::samples::percentiles(idle(effort, count));
        report.add("fan_out", SUBJECT, SIZE, &metric, "ns", [p50, p99, p999]);
        let metric = format!("delivered_{count}");
        report.add("fan_out", SUBJECT, SIZE, &metric, "msgs_per_s", [delivered(effort, count); 3]);
    }
}

/// Nanoseconds of a publish while `count` subscribers of another process exist and do not read: the mean of a
/// batch, for each batch.
fn idle(effort: &Effort, count: usize) -> Vec<f64> {
    let options = domain_options();
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 4));
    let stand = || {
        let domain = open(&options);
        let open = |_| subscriber(&domain, "news", Wait::Block);
        let subscribers: Vec<Subscriber> = (0..count).map(open).collect();
        meet(start, 2);
        while end.load(std::sync::atomic::Ordering::Acquire) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        drop(subscribers);
    };
    pair(stand, || {
        let domain = open(&options);
        let mut output = publisher(&domain, "news", Overflow::DropOldest, Wait::Spin);
        meet(start, 2);
        output.wait_for_subscribers(count, None).expect("subscribers");
        let message = [7u8; SIZE];
        let batch = |_| {
            let started = Instant::now();
            for _ in 0..BATCH {
                output.publish(std::hint::black_box(&message)).expect("news");
            }
            started.elapsed().as_nanos() as f64 / BATCH as f64
        };
        // Once round the ring first, so that its memory has been touched.
        let all: Vec<f64> = (0..effort.exchanges / 16 + 64).map(batch).collect();
        end.store(1, std::sync::atomic::Ordering::Release);
        all[64..].to_vec()
    })
}

/// Messages per second that arrive at `count` subscribers together, each reading all that is published.
fn delivered(effort: &Effort, count: usize) -> f64 {
    let options = domain_options();
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 4));
    let mut stream = effort.stream(SIZE);
    stream.timed /= count.min(16);
    stream.margin /= count.min(16);
    stream.part /= count.min(16);
    let produce = || {
        let domain = open(&options);
        let mut output = publisher(&domain, "news", Overflow::Block, Wait::Spin);
        meet(start, 2);
        output.wait_for_subscribers(count, None).expect("subscribers");
        let message = [7u8; SIZE];
        for _ in 0..stream.all() {
            output.publish(std::hint::black_box(&message)).expect("news");
        }
        meet(end, 2);
    };
    let rate = pair(produce, || {
        let domain = open(&options);
        let open = |_| subscriber(&domain, "news", Wait::Spin);
        let mut inputs: Vec<Subscriber> = (0..count).map(open).collect();
        meet(start, 2);
        let mut to = [0u8; SIZE];
        let rate = receive(stream, || {
            for input in &mut inputs {
                to.copy_from_slice(input.receive(None).expect("news").data());
                std::hint::black_box(&to);
            }
        });
        meet(end, 2);
        rate
    });
    rate * count as f64
}
