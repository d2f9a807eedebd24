//! From nothing to the first message: a new domain, a publisher, one publish. And what a topic takes of memory.

use crate::effort::Effort;
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open};
use axonic::*;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

/// Opens of one round.
const OPENS: usize = 20;

/// Nanoseconds until the first publish has returned, in a domain that did not exist.
pub fn open_and_first_publish(_: &Effort, report: &mut Report) {
    crate::process::pin(0);
    let measured = (0..OPENS).map(|_| {
        let options = domain_options();
        let started = Instant::now();
        let domain = open(&options);
        let mut output = domain.publisher("first", &PublisherOptions::default()).expect("publisher");
        output.publish(&[7u8; 64]).expect("publish");
        started.elapsed().as_nanos() as f64
    });
    report.latencies("open_and_first_publish", SUBJECT, 64, measured.collect());
}

/// Blocks allocated by a publisher and a subscriber with default options after one message of 64 bytes, beyond
/// what the empty domain has.
pub fn memory(_: &Effort, report: &mut Report) {
    let domain = open(&domain_options());
    let before = allocated(domain.path());
    let mut input = domain.subscriber("topic", &SubscriberOptions::default()).expect("subscriber");
    let mut output = domain.publisher("topic", &PublisherOptions::default()).expect("publisher");
    output.publish(&[7u8; 64]).expect("publish");
    input.receive(None).expect("message");
    let topic = allocated(domain.path()) - before;
    report.add("memory", SUBJECT, 64, "topic", "bytes", [topic as f64; 3]);
    report.add("memory", SUBJECT, 64, "empty_domain", "bytes", [before as f64; 3]);
}

/// Bytes of the blocks of all files below a folder.
fn allocated(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, meta)| if meta.is_dir() { allocated(&path) } else { meta.blocks() * 512 })
        .sum()
}
