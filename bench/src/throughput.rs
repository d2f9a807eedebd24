//! Rates between two processes: messages per second, none lost, copied in and out.

use crate::effort::{Effort, Stream};
use crate::measure::receive;
use crate::process::{meet, pair, shared, word};
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open, publisher, subscriber, take};
use axonic::*;

/// The rate at which messages of a subscriber are received and copied out.
fn receive_copies(stream: Stream, input: &mut Subscriber, size: usize) -> f64 {
    let mut to = vec![0u8; size];
    receive(stream, || take(input, &mut to))
}

/// Through a topic that blocks when its ring is full.
pub fn topic(effort: &Effort, report: &mut Report) {
    for size in [64, 4096, 65536, 1 << 20] {
        let stream = effort.stream(size);
        let options = domain_options();
        let memory = shared(4096);
        let (start, end) = (word(memory, 0), word(memory, 4));
        let produce = || {
            let domain = open(&options);
            let mut output = publisher(&domain, "data", Overflow::Block, Wait::Spin);
            meet(start, 2);
            output.wait_for_subscribers(1, None).expect("a subscriber");
            let message = vec![7u8; size];
            for _ in 0..stream.all() {
                output.publish(std::hint::black_box(&message)).expect("data");
            }
            meet(end, 2);
        };
        let rate = pair(produce, || {
            let domain = open(&options);
            let mut input = subscriber(&domain, "data", Wait::Spin);
            meet(start, 2);
            let rate = receive_copies(stream, &mut input, size);
            meet(end, 2);
            rate
        });
        report.rates("throughput", SUBJECT, size, rate);
    }
}

/// Through a bare ring: pushed by copy, popped in place and copied to private memory.
pub fn ring(effort: &Effort, report: &mut Report) {
    for size in [64, 4096] {
        let stream = effort.stream(size);
        let options = domain_options();
        let memory = shared(4096);
        let (start, end) = (word(memory, 0), word(memory, 4));
        let ring = RingOptions { wait: Wait::Spin, ..Default::default() };
        let produce = || {
            let domain = open(&options);
            let mut producer = domain.ring_producer("ring", &ring).expect("producer");
            let message = vec![7u8; size];
            meet(start, 2);
            for _ in 0..stream.all() {
                producer.push(std::hint::black_box(&message), None).expect("push");
            }
            meet(end, 2);
        };
        let rate = pair(produce, || {
            let domain = open(&options);
            let mut consumer = domain.ring_consumer("ring", &ring).expect("consumer");
            meet(start, 2);
            let mut to = vec![0u8; size];
            let rate = receive(stream, || {
                to.copy_from_slice(consumer.pop(None).expect("message"));
                std::hint::black_box(&to);
            });
            consumer.release().expect("release");
            meet(end, 2);
            rate
        });
        report.rates("ring", SUBJECT, size, rate);
    }
}

/// One subscriber of a pattern, and a publisher for each of so many topics that takes its turn.
pub fn many_topics(effort: &Effort, report: &mut Report) {
    for topics in [1, 16, 64] {
        let (size, options) = (64, domain_options());
        let mut stream = effort.stream(size);
        // Every publisher has a ring of its own to be touched before the clock starts.
        stream.margin = stream.margin.max(topics * 4096);
        let memory = shared(4096);
        let (start, end) = (word(memory, 0), word(memory, 4));
        let produce = || {
            let domain = open(&options);
            let open = |i| publisher(&domain, &format!("t.{i}"), Overflow::Block, Wait::Spin);
            let mut outputs: Vec<Publisher> = (0..topics).map(open).collect();
            meet(start, 2);
            for output in &mut outputs {
                output.wait_for_subscribers(1, None).expect("a subscriber");
            }
            let message = vec![7u8; size];
            for i in 0..stream.all() {
                outputs[i % topics].publish(std::hint::black_box(&message)).expect("data");
            }
            meet(end, 2);
        };
        let rate = pair(produce, || {
            let domain = open(&options);
            let mut input = subscriber(&domain, "t.>", Wait::Spin);
            meet(start, 2);
            let rate = receive_copies(stream, &mut input, size);
            meet(end, 2);
            rate
        });
        let metric = format!("rate_{topics}_topics");
        report.add("many_topics", SUBJECT, size, &metric, "msgs_per_s", [rate; 3]);
    }
}
