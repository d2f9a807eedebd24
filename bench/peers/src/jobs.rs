//! What is asked of other people's queues: the cases of `bench/src/durable.rs`, by the same method.

use super::common::effort::{Effort, Stream};
use super::common::measure::{receive, watch};
use super::common::{disk, process, skip, tell};
use process::{CORES, crew, keep, meet, pair, shared, word};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub const SIZE: usize = 256;
/// Messages of one call, or under way at once, where one at a time is slower.
pub const BATCH: usize = 64;
/// Processes that put, and how many messages each has under way at once.
const PROCESSES: usize = 4;
const AT_ONCE: usize = 16;

/// A producer and consumer of one process.
pub trait Jobs {
    /// Puts so many messages, and returns when all are accepted.
    fn put(&mut self, count: usize);
    /// Takes and acknowledges at least one message, and no more than this.
    fn take(&mut self, most: usize) -> usize;
}

/// Messages that go from one process to another, `batch` at a time.
pub fn pass<J: Jobs>(stream: Stream, metric: &str, batch: usize, open: impl Fn() -> J) {
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 4));
    let all = stream.all().next_multiple_of(batch);
    let produce = || {
        let mut jobs = open();
        meet(start, 2);
        (0..all / batch).for_each(|_| jobs.put(batch));
        meet(end, 2);
    };
    let rate = pair(produce, || {
        let mut jobs = open();
        meet(start, 2);
        let mut taken = 0;
        let rate = watch(stream, || {
            taken += jobs.take(batch);
            taken
        });
        while taken < all {
            taken += jobs.take(batch);
        }
        end.store(2, Ordering::Release);
        rate
    });
    tell(SIZE, metric, "msgs_per_s", [rate; 3]);
}

/// One process puts one message after the other.
pub fn put_each(effort: &Effort, mut jobs: impl Jobs) {
    keep(CORES);
    let rate = receive(effort.syncs(), || jobs.put(1));
    tell(SIZE, "rate", "msgs_per_s", [rate; 3]);
}

/// Several processes put several messages at once, all the time.
pub fn put_together<J: Jobs>(effort: &Effort, open: impl Fn() -> J) {
    let memory = shared(4096);
    let (start, end) = (word(memory, 0), word(memory, 1));
    let count = |process| word(memory, 2 + process);
    let produce = |process| {
        let mut jobs = open();
        meet(start, PROCESSES as u64 + 1);
        while end.load(Ordering::Relaxed) == 0 {
            jobs.put(AT_ONCE);
            count(process).fetch_add(AT_ONCE as u64, Ordering::Relaxed);
        }
    };
    let rate = crew(PROCESSES, produce, || {
        meet(start, PROCESSES as u64 + 1);
        let rate = watch(effort.fewer(200).stream(SIZE), || {
            std::thread::sleep(Duration::from_millis(1));
            (0..PROCESSES).map(|process| count(process).load(Ordering::Relaxed) as usize).sum()
        });
        end.store(1, Ordering::Relaxed);
        rate
    });
    tell(SIZE, "rate", "msgs_per_s", [rate; 3]);
}

/// Starts a server, on both cores, and answers what `connect` makes of it. It ends with the process group of this program,
/// which the bench kills.
pub fn serve<T>(mut command: Command, mut connect: impl FnMut(&Child) -> Option<T>) -> T {
    let log = disk().join("log");
    let file = std::fs::File::create(&log).expect("a file on the disk");
    command.stdin(Stdio::null()).stderr(file.try_clone().expect("a second descriptor")).stdout(file);
    let program = command.get_program().to_string_lossy().into_owned();
    keep(CORES);
    let mut server = command.spawn().unwrap_or_else(|e| skip(&format!("starting {program}: {e}")));
    let began = Instant::now();
    loop {
        if let Some(connected) = connect(&server) {
            return connected;
        }
        let ended = server.try_wait().expect("a child");
        if ended.is_some() || began.elapsed() > Duration::from_secs(10) {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            skip(&format!("{program} does not answer: {}", last.unwrap_or("it said nothing")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
