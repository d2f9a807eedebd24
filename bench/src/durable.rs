//! Durable queues beside what their disk can do.

use crate::effort::{Effort, Stream};
use crate::measure::{receive, watch};
use crate::process::{CORES, crew, keep, meet, shared, word};
use crate::queue::{MILLION, rate};
use crate::report::Report;
use crate::topic::{SUBJECT, domain_options, open};
use axonic::*;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SIZE: usize = 256;
/// Processes that put, and how many jobs each puts at once.
const PROCESSES: usize = 4;
const AT_ONCE: usize = 16;

fn options(fsync: Fsync) -> QueueOptions {
    let (capacity, max_bytes) = (2 * MILLION, 1 << 30);
    QueueOptions { capacity, max_bytes, durable: Some(fsync), ..Default::default() }
}

/// The disk is left to the system.
pub fn unsynced(effort: &Effort, report: &mut Report) {
    let rate = rate(effort.fewer(4).stream(SIZE), SIZE, &options(Fsync::Never));
    report.rates("durable_unsynced", SUBJECT, SIZE, rate);
}

/// Records of a file that are on the disk: so many are written at once, and then one waits for them. In blocks that were
/// reserved, as a journal's are, and in blocks that were written before, for which the file system has nothing to note.
pub fn floor(effort: &Effort, report: &mut Report) {
    let syncs = effort.syncs();
    keep(CORES);
    for records in [1, PROCESSES * AT_ONCE] {
        for (metric, written) in [("rate", false), ("rate_rewritten", true)] {
            let rate = records as f64 * write(syncs, &vec![7; records * SIZE], written);
            let metric = format!("{metric}_{records}");
            report.add("floor_durable", "fdatasync", SIZE, &metric, "msgs_per_s", [rate; 3]);
        }
    }
}

/// Writes of these bytes per second, one after the other, each waited for.
fn write(stream: Stream, bytes: &[u8], written: bool) -> f64 {
    let path = crate::scratch::disk().join("floor");
    let file = std::fs::File::create(&path).expect("a file on the disk");
    let length = stream.all() * bytes.len();
    nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, length as i64).expect("room");
    if written {
        file.write_all_at(&vec![0; length], 0).expect("zeros");
    }
    file.sync_all().expect("a new file on the disk");
    let mut at = 0;
    let rate = receive(stream, || {
        file.write_all_at(std::hint::black_box(bytes), at).expect("write");
        file.sync_data().expect("sync");
        at += bytes.len() as u64;
    });
    std::fs::remove_file(&path).expect("removing a file");
    rate
}

/// One process puts one job after the other.
pub fn sync_each(effort: &Effort, report: &mut Report) {
    keep(CORES);
    let domain = open(&domain_options());
    let mut output = domain.queue_producer("jobs", &options(Fsync::Always)).expect("producer");
    let message = [7u8; SIZE];
    let rate = receive(effort.syncs(), || output.put(std::hint::black_box(&message), None).expect("put"));
    report.rates("durable_sync_each", SUBJECT, SIZE, rate);
    drop(output);
    domain.unlink(Noun::Queue, "jobs").expect("unlink");
}

/// Several processes put several jobs at once, all the time.
pub fn group_commit(effort: &Effort, report: &mut Report) {
    let (domain, queue) = (domain_options(), options(Fsync::Always));
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 1));
    let count = |process| word(memory, 2 + process);
    let produce = |process| {
        let domain = open(&domain);
        let mut output = domain.queue_producer("jobs", &queue).expect("producer");
        let message = [7u8; SIZE];
        let jobs = vec![Payload::raw(&message); AT_ONCE];
        meet(start, PROCESSES as u64 + 1);
        while end.load(Ordering::Relaxed) == 0 {
            let put = output.put_many(std::hint::black_box(&jobs), &Put::default(), None).expect("put");
            count(process).fetch_add(put as u64, Ordering::Relaxed);
        }
    };
    let rate = crew(PROCESSES, produce, || {
        let _domain = open(&domain);
        meet(start, PROCESSES as u64 + 1);
        let rate = watch(effort.fewer(20).stream(SIZE), || {
            std::thread::sleep(Duration::from_millis(1));
            (0..PROCESSES).map(|process| count(process).load(Ordering::Relaxed) as usize).sum()
        });
        end.store(1, Ordering::Relaxed);
        rate
    });
    report.rates("durable_group_commit", SUBJECT, SIZE, rate);
    open(&domain).unlink(Noun::Queue, "jobs").expect("unlink");
}

/// How long it takes to open a queue with a million jobs, and to have the first of them, when only the disk has them.
pub fn reopen(_: &Effort, report: &mut Report) {
    let (place, queue) = (domain_options(), options(Fsync::Never));
    let domain = open(&place);
    let mut output = domain.queue_producer("jobs", &queue).expect("producer");
    let message = [7u8; SIZE];
    for _ in 0..MILLION {
        output.put(&message, None).expect("put");
    }
    drop(output);
    let memory = domain.path().to_owned();
    drop(domain);
    // What a reboot leaves: the journal, and no shared memory.
    std::fs::remove_dir_all(memory).expect("removing the domain");
    let started = Instant::now();
    let domain = open(&place);
    let mut input = domain.queue_consumer("jobs", &queue).expect("consumer");
    let job = input.get(None).expect("job");
    report.latencies("durable_reopen", SUBJECT, SIZE, vec![started.elapsed().as_nanos() as f64]);
    assert_eq!((job.data(), input.stats().ready as usize), (&message[..], MILLION - 1));
    drop((job, input));
    domain.unlink(Noun::Queue, "jobs").expect("unlink");
}
