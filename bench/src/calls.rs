//! What a call costs by itself, with nobody at the other end: the mean of a batch, for each batch.

use crate::effort::Effort;
use crate::report::Report;
use crate::samples::percentiles;
use crate::topic::{SUBJECT, domain_options, open, publisher, subscriber};
use axonic::*;
use std::time::Instant;

const BATCH: usize = 1000;

pub fn run(effort: &Effort, report: &mut Report) {
    crate::process::pin(0);
    let domain = open(&domain_options());
    let mut output = publisher(&domain, "alone", Overflow::DropOldest, Wait::Adaptive);
    let mut input = subscriber(&domain, "silent", Wait::Adaptive);
    let message = [7u8; 64];
    let batches = effort.exchanges / 100;
    let mut take = |metric, call: &mut dyn FnMut()| {
        let batch = |_| {
            let started = Instant::now();
            for _ in 0..BATCH {
                call();
            }
            started.elapsed().as_nanos() as f64 / BATCH as f64
        };
        let nanos = percentiles((0..batches).map(batch).collect());
        report.add("binding_call", SUBJECT, 64, metric, "ns", nanos);
    };
    take("publish", &mut || output.publish(std::hint::black_box(&message)).expect("publish"));
    take("try_receive", &mut || assert!(input.try_receive().expect("try").is_none()));
}
