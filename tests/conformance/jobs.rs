//! Queues between every two languages, asyncio among them: one puts, and each takes, from a queue of its own.

use crate::peers::{Peer, Running};
use crate::{left_behind, place};
use axonic::{Domain, DomainOptions, Fsync, QueueOptions, Reason};
use std::path::Path;

/// Messages of each pair: every size with every priority, and what is given back or rejected among them.
const COUNT: u64 = 60;

fn options(directory: &Path) -> DomainOptions {
    let runtime_dir = Some(directory.to_owned());
    DomainOptions { name: Some("pairs".into()), runtime_dir, ..Default::default() }
}

fn domain(directory: &Path) -> Domain {
    Domain::open_with(options(directory)).expect("the pairs' domain")
}

/// What is wrong with each pair that `try_pairs` finds something wrong with.
pub fn with_each(mut try_pairs: impl FnMut(&Peer, &[Peer]) -> Vec<(&'static str, Result<(), String>)>) {
    let peers = Peer::with_asyncio();
    let (mut pairs, mut failures) = (0, Vec::new());
    for left in &peers {
        for (right, outcome) in try_pairs(left, &peers) {
            pairs += 1;
            failures.extend(outcome.err().map(|why| format!("{} -> {right}: {why}", left.language)));
        }
    }
    assert_eq!(pairs, peers.len() * peers.len());
    assert!(failures.is_empty(), "{} of {pairs} pairs failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_pair_works_off_a_queue() {
    with_each(|putter, workers| {
        let place = place();
        // All at once: a worker is done once it had nothing to do for a second.
        let at_work: Vec<_> =
            workers.iter().map(|worker| (worker.language, begin(putter, worker, place.path()))).collect();
        let domain = domain(place.path());
        let outcomes = at_work
            .into_iter()
            .map(|(queue, pair)| (queue, pair.and_then(|pair| worked_off(&domain, queue, pair))))
            .collect();
        drop(domain);
        left_behind(&place).expect("empty queues go with their last handle");
        outcomes
    });
}

fn begin(putter: &Peer, worker: &Peer, place: &Path) -> Result<[Running; 2], String> {
    let queue = worker.language;
    let mut putting = putter.start(place, &["put", "pairs", queue, "0", &COUNT.to_string(), "64"]);
    putting.expect_line("put 0")?;
    Ok([putting, worker.start(place, &["work", "pairs", queue])])
}

fn worked_off(domain: &Domain, queue: &str, [putting, working]: [Running; 2]) -> Result<(), String> {
    let put = putting.lines()?;
    let wanted = (1..COUNT).map(|k| format!("put {k}")).chain([format!("sent {COUNT}")]);
    if !put.iter().cloned().eq(wanted) {
        return Err(format!("the producer said {put:?}"));
    }
    let mut told = working.lines()?;
    let mut wanted: Vec<String> = (0..COUNT).flat_map(told_of).collect();
    let done = format!("done {}", wanted.len() / 2);
    if told.pop() != Some(done) {
        return Err(format!("the worker said {told:?} in the end"));
    }
    // The order is that of priorities, of what was there already.
    told.sort();
    wanted.sort();
    if told != wanted {
        return Err(format!("the worker said {told:?}, not {wanted:?}"));
    }
    check_dead(domain, queue)
}

/// What a worker says of a message.
fn told_of(k: u64) -> Vec<String> {
    let returned = [format!("take {k} 1"), format!("back {k}")].into_iter().filter(|_| k % 5 == 3);
    let attempt = if k % 5 == 3 { 2 } else { 1 };
    let outcome = if k % 11 == 7 { "dead" } else { "ack" };
    returned.chain([format!("take {k} {attempt}"), format!("{outcome} {k}")]).collect()
}

/// In the end there are only those that were rejected, with the reason the worker gave.
fn check_dead(domain: &Domain, queue: &str) -> Result<(), String> {
    let look = || -> axonic::Result<_> {
        let mut consumer = domain.queue_consumer(queue, &QueueOptions::default())?;
        let stats = consumer.stats();
        let letters = consumer.dead_letters(usize::MAX)?;
        consumer.purge_dead_letters()?;
        Ok((stats, letters))
    };
    let (stats, letters) = look().map_err(|e| e.to_string())?;
    let mut dead: Vec<_> = letters
        .iter()
        .map(|letter| {
            let k = letter.data().first_chunk().map(|first| u64::from_le_bytes(*first));
            (k, letter.reason(), letter.reason_text(), u64::from(letter.priority()))
        })
        .collect();
    dead.sort_by_key(|letter| letter.0);
    let rejected = (0..COUNT).filter(|k| k % 11 == 7);
    let wanted: Vec<_> = rejected.map(|k| (Some(k), Some(Reason::Rejected), "as agreed", k % 3)).collect();
    let left = stats.ready + stats.delayed + stats.leased + stats.done;
    if dead == wanted && left == 0 { Ok(()) } else { Err(format!("dead letters {dead:?}, {stats:?}")) }
}

#[test]
fn every_pair_exchanges_questions_and_answers() {
    with_each(|asker, answerers| {
        let place = place();
        let at_work: Vec<_> = answerers
            .iter()
            .map(|answerer| {
                let queue = answerer.language;
                let start = |peer: &Peer, verb| peer.start(place.path(), &[verb, "pairs", queue, "9"]);
                (queue, start(asker, "ask"), start(answerer, "answer"))
            })
            .collect();
        let outcomes = at_work
            .into_iter()
            .map(|(queue, asking, answering)| {
                (queue, said(asking, "asked 9").and(said(answering, "answered 9")))
            })
            .collect();
        left_behind(&place).expect("empty queues go with their last handle");
        outcomes
    });
}

pub fn said(peer: Running, wanted: &str) -> Result<(), String> {
    let last = peer.finish()?;
    if last == wanted { Ok(()) } else { Err(format!("said {last:?}, expected {wanted:?}")) }
}

/// Messages kept by one and taken by another, which acknowledges every other one.
const KEPT: u64 = 9;
const SPENT: u64 = 6;

/// A place in memory, and one on a disk.
struct Durable {
    place: tempfile::TempDir,
    data: tempfile::TempDir,
}

impl Durable {
    fn new() -> Durable {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
        Durable { place: place(), data }
    }

    fn start(&self, peer: &Peer, verb: &str, queue: &str, count: u64) -> Running {
        peer.start_with(self.place.path(), &[verb, "pairs", queue, &count.to_string()], |command| {
            command.env("AXONIC_DATA_DIR", self.data.path());
        })
    }

    fn domain(&self) -> Domain {
        let data_dir = Some(self.data.path().to_owned());
        Domain::open_with(DomainOptions { data_dir, ..options(self.place.path()) })
            .expect("the pairs' domain")
    }

    /// As a reboot does.
    fn lose_memory(&self) {
        std::fs::remove_dir_all(self.place.path().join("pairs")).expect("what was in memory");
    }
}

/// What one has put on the disk another finds there; in between, and in the end, all memory is lost.
#[test]
fn every_pair_keeps_and_spends_what_is_on_the_disk() {
    with_each(|keeper, spenders| {
        let durable = Durable::new();
        let kept = kept(&durable, keeper, spenders);
        durable.lose_memory();
        let spending: Vec<_> =
            spenders.iter().map(|spender| durable.start(spender, "spend", spender.language, SPENT)).collect();
        let spent: Vec<_> =
            spending.into_iter().map(|spending| said(spending, &format!("spent {SPENT}"))).collect();
        durable.lose_memory();
        let domain = durable.domain();
        let each = spenders.iter().map(|spender| spender.language).zip(kept).zip(spent);
        let outcomes = each
            .map(|((queue, kept), spent)| (queue, kept.and(spent).and_then(|()| check_left(&domain, queue))))
            .collect();
        drop(domain);
        left_behind(&durable.place).expect("empty queues go with their last handle");
        outcomes
    });
}

/// One queue for each that spends. Who keeps is killed once it has said so: what is not on the disk then, never will be.
fn kept(durable: &Durable, keeper: &Peer, spenders: &[Peer]) -> Vec<Result<(), String>> {
    let mut keeping: Vec<_> =
        spenders.iter().map(|spender| durable.start(keeper, "keep", spender.language, KEPT)).collect();
    keeping.iter_mut().map(|keeping| keeping.expect_line(&format!("kept {KEPT}"))).collect()
}

/// There is what was not acknowledged, and nothing else.
fn check_left(domain: &Domain, queue: &str) -> Result<(), String> {
    let look = || -> axonic::Result<_> {
        let options = QueueOptions { durable: Some(Fsync::Never), ..Default::default() };
        let mut consumer = domain.queue_consumer(queue, &options)?;
        let mut left = Vec::new();
        while let Some(job) = consumer.try_get()? {
            left.push(job.data().first_chunk().map_or(u64::MAX, |first| u64::from_le_bytes(*first)));
            job.ack()?;
        }
        left.sort_unstable();
        Ok((left, consumer.stats()))
    };
    let (left, stats) = look().map_err(|e| e.to_string())?;
    let wanted: Vec<u64> = (0..KEPT).filter(|k| *k >= SPENT || k % 2 == 1).collect();
    let others = stats.ready + stats.delayed + stats.leased + stats.done + stats.dead;
    if left == wanted && others == 0 { Ok(()) } else { Err(format!("left are {left:?}, and {stats:?}")) }
}
