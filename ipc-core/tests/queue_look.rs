//! Queues as an onlooker sees them, and what the doctor says of those in which nothing gets on.

mod common;

use axonic::*;
use common::{Place, child, options_in};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

const SECOND: Option<Duration> = Some(Duration::from_secs(10));

fn seen(place: &Place) -> Snapshot {
    snapshot(&place.options()).unwrap()
}

fn queue(place: &Place) -> QueueInfo {
    let mut queues = seen(place).queues;
    assert_eq!(queues.len(), 1, "{queues:#?}");
    queues.remove(0)
}

fn options(capacity: usize) -> QueueOptions {
    QueueOptions { capacity, ..QueueOptions::default() }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The one finding of a kind, which has these words.
#[track_caller]
fn one(place: &Place, kind: &str, severity: Severity, words: &[&str]) {
    let all = doctor(&place.options(), false).unwrap();
    let found: Vec<&Finding> = all.iter().filter(|found| found.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {all:#?}");
    assert_eq!(found[0].severity, severity, "{found:#?}");
    let text = format!("{}\n{}\n{}", found[0].what, found[0].why, found[0].remedy);
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
}

fn none(place: &Place, kind: &str) -> bool {
    doctor(&place.options(), false).unwrap().iter().all(|found| found.kind != kind)
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

#[test]
fn an_onlooker_counts_what_the_handles_count() {
    let place = Place::new();
    let domain = place.open();
    let begun = unix_ms();
    // More than are read at once.
    let mut producer = domain.queue_producer("jobs", &options(10_000)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(10_000)).unwrap();
    (0..9000).for_each(|_| producer.put(b"small", SECOND).unwrap());
    producer.put(&vec![7; 100_000], SECOND).unwrap();
    let later = Put { delay: Duration::from_secs(3600), ..Put::default() };
    producer.put_with(&Payload::raw(b"later"), &later, SECOND).unwrap();
    let asked = Put { priority: 7, result: true, ..Put::default() };
    let ticket = producer.put_with(&Payload::raw(b"asked"), &asked, SECOND).unwrap();
    consumer.get(SECOND).unwrap().ack().unwrap();
    consumer.get(SECOND).unwrap().reject("no").unwrap();
    drop(consumer.get(SECOND).unwrap());
    let held = consumer.get_many(3, &Get::default(), SECOND).unwrap();

    let info = queue(&place);
    assert_eq!(info.stats, consumer.stats());
    let QueueStats { ready, delayed, leased, done, dead, capacity, bytes, .. } = info.stats;
    assert_eq!((ready, delayed, leased, done, dead, capacity), (8997, 1, 3, 1, 1, 10_000));
    assert!((100_000..110_000).contains(&bytes), "{bytes}");
    assert_eq!((info.name.as_str(), info.max_attempts, info.durable), ("jobs", 16, false));
    assert_eq!((info.producers, info.consumers, info.handles.len()), (1, 1, 2));
    let oldest = info.oldest_holder.unwrap();
    assert_eq!((oldest.side, oldest.leased, oldest.pid), ("consumer", 3, std::process::id()));
    assert!(oldest.alive && !oldest.stopped && !oldest.label.is_empty());
    let since = oldest.leased_since_unix_ms;
    assert!((begun.saturating_sub(100)..=unix_ms()).contains(&since), "{since} is not after {begun}");

    held.into_iter().for_each(|delivery| delivery.ack().unwrap());
    let info = queue(&place);
    assert!(info.oldest_holder.is_none() && info.handles.iter().all(|h| h.leased_since_unix_ms == 0));
    // Handles that ended are not listed, and what they did still counts.
    drop((producer, consumer, ticket));
    let info = queue(&place);
    assert_eq!((info.handles.len(), info.stats.put, info.stats.acked), (0, 9003, 4));
    let json = serde_json::to_value(seen(&place)).unwrap();
    assert_eq!(json["queues"][0]["put"], 9003, "{json}");
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn numbers_of_a_damaged_file_are_checked() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.queue_producer("jobs", &options(100)).unwrap();
    producer.put(b"x", SECOND).unwrap();
    let path = place.path().join("test/queues/jobs");
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let word = |offset: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, offset).unwrap();
        u64::from_le_bytes(bytes)
    };
    // Rows, capacity, parts, whether it has a journal, ids, slots and parts allocated (docs/protocol.md).
    for offset in [272, 1024, 1032, 1048, 1064, 1152, 1160] {
        let was = word(offset);
        for lie in [u64::MAX, 1 << 40, 1 << 63, was + 1] {
            file.write_all_at(&lie.to_le_bytes(), offset).unwrap();
            let queues = seen(&place).queues;
            assert!(queues.iter().all(|q| q.stats.ready <= 1 && q.handles.len() <= 1), "{queues:#?}");
            doctor(&place.options(), false).unwrap();
        }
        file.write_all_at(&was.to_le_bytes(), offset).unwrap();
    }
    // What was never allocated is read as zeros, and stays so.
    let blocks = || file.metadata().unwrap().blocks();
    let before = blocks();
    file.write_all_at(&100u64.to_le_bytes(), 1152).unwrap();
    assert_eq!(queue(&place).stats.ready, 1);
    assert_eq!(blocks(), before, "an onlooker takes no memory");
    drop(producer);
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn a_queue_nobody_consumes_and_who_waits() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.queue_producer("jobs", &options(3)).unwrap();
    (0..2).for_each(|_| producer.put(b"x", SECOND).unwrap());
    assert!(none(&place, "queue_full"));
    producer.put(b"x", SECOND).unwrap();
    one(&place, "queue_full", Severity::Warning, &["'jobs'", "3 of 3", "0 consumers", "start a consumer"]);
    let mut waiting = domain.queue_producer("jobs", &options(3)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || waiting.put(b"x", SECOND).unwrap());
        until("it blocks", || !none(&place, "queue_blocked"));
        let me = format!("pid {}", std::process::id());
        one(&place, "queue_blocked", Severity::Warning, &["'jobs'", &me, "for 0.", "nobody consumes it"]);
        assert!(none(&place, "queue_full"), "told once");
        assert_eq!(queue(&place).handles.iter().filter(|h| h.blocked_since_unix_ms != 0).count(), 1);
        let mut consumer = domain.queue_consumer("jobs", &options(3)).unwrap();
        one(&place, "queue_blocked", Severity::Warning, &["do not keep up"]);
        let held = consumer.get_many(2, &Get::default(), SECOND).unwrap();
        let last = consumer.get(SECOND).unwrap();
        one(&place, "queue_blocked", Severity::Warning, &["settle what is held"]);
        last.ack().unwrap();
        until("there is room", || none(&place, "queue_blocked"));
        held.into_iter().for_each(|delivery| delivery.ack().unwrap());
        consumer.get(SECOND).unwrap().ack().unwrap();
    });
    assert!(queue(&place).handles.iter().all(|h| h.blocked_since_unix_ms == 0));
}

#[test]
fn what_takes_the_places_of_a_full_queue_and_what_frees_them() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.queue_producer("jobs", &options(2)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(2)).unwrap();
    let asked = Put { result: true, ..Put::default() };
    let ticket = producer.put_with(&Payload::raw(b"asked"), &asked, SECOND).unwrap();
    consumer.get(SECOND).unwrap().ack().unwrap();
    producer.put(b"bad", SECOND).unwrap();
    consumer.get(SECOND).unwrap().reject("no").unwrap();
    drop(consumer);
    let command =
        format!("`axonic queue purge --dead jobs --domain test --runtime-dir '{}'`", place.path().display());
    let inside = "0 ready, 0 for later, 0 held, 1 results, 1 dead letters";
    one(&place, "queue_full", Severity::Warning, &["2 of 2 messages", inside, &command]);
    let all = doctor(&place.options(), false).unwrap();
    assert!(
        all.iter().all(|found| !found.remedy.contains("axonic queue purge jobs")),
        "it drops none of these: {all:#?}"
    );
    drop(ticket);
    drop(producer);
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn what_a_stopped_and_a_dead_process_hold() {
    if child::role().is_some() {
        let domain = Domain::open_with(options_in(&child::directory())).unwrap();
        let mut consumer = domain.queue_consumer("jobs", &QueueOptions::default()).unwrap();
        let _held = consumer.get_many(2, &Get::default(), SECOND).unwrap();
        child::ready_until_told();
    }
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.queue_producer("jobs", &options(10)).unwrap();
    (0..3).for_each(|_| producer.put(b"x", SECOND).unwrap());
    let holder = child::Running::start("what_a_stopped_and_a_dead_process_hold", "holder", place.path());
    let pid = Pid::from_raw(queue(&place).oldest_holder.unwrap().pid as i32);
    assert_eq!(queue(&place).stats.leased, 2);
    assert!(none(&place, "queue_held"));
    kill(pid, Signal::SIGSTOP).unwrap();
    let of = format!("pid {pid}");
    until("it is stopped", || !none(&place, "queue_held"));
    one(&place, "queue_held", Severity::Warning, &["'jobs'", &of, "stopped", "2 messages", "kill -CONT"]);
    let oldest = queue(&place).oldest_holder.unwrap();
    assert!(oldest.stopped && oldest.alive && oldest.pid == pid.as_raw() as u32);

    holder.kill();
    until("it is dead", || queue(&place).oldest_holder.is_some_and(|h| !h.alive));
    one(&place, "queue_held", Severity::Note, &["'jobs'", &of, "died", "2 messages", "start a consumer"]);
    let mut consumer = domain.queue_consumer("jobs", &self::options(10)).unwrap();
    assert!(none(&place, "queue_held"));
    let taken = consumer.get_many(3, &Get::default(), SECOND).unwrap();
    assert_eq!(taken.iter().filter(|delivery| delivery.attempt() == 2).count(), 2);
    taken.into_iter().for_each(|delivery| delivery.ack().unwrap());
}

#[test]
fn who_is_stopped_with_the_journal_or_the_ids() {
    const TEST: &str = "who_is_stopped_with_the_journal_or_the_ids";
    let durable = QueueOptions { durable: Some(Fsync::Always), ..options(10) };
    let in_data = |directory: &Path, data: &OsStr| {
        Domain::open_with(DomainOptions { data_dir: Some(data.into()), ..options_in(directory) }).unwrap()
    };
    if child::role().is_some() {
        let domain = in_data(&child::directory(), &std::env::var_os("AXONIC_TEST_DATA").unwrap());
        let _consumer = domain.queue_consumer("jobs", &durable).unwrap();
        child::ready_until_told();
    }
    let (place, data) = (Place::new(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let mut command = child::command(TEST, "holder", place.path());
    command.env("AXONIC_TEST_DATA", data.path());
    let holder = child::Running::of(command);
    let handle = queue(&place).handles.remove(0);
    kill(Pid::from_raw(handle.pid as i32), Signal::SIGSTOP).unwrap();
    until("it is stopped", || seen(&place).participants[0].stopped);
    assert!(none(&place, "queue_locked"));

    let file =
        std::fs::File::options().read(true).write(true).open(place.path().join("test/queues/jobs")).unwrap();
    // The id of the only row; the locks of the journal and of the ids (docs/protocol.md).
    let (mut id, of) = ([0; 8], "'jobs'");
    file.read_exact_at(&mut id, 8192).unwrap();
    for (offset, what) in [(4096, "the journal of"), (1176, "the ids of")] {
        file.write_all_at(&id, offset).unwrap();
        let words = [what, of, &format!("pid {}", handle.pid), "is stopped", "kill -CONT"];
        one(&place, "queue_locked", Severity::Warning, &words);
        file.write_all_at(&[0; 8], offset).unwrap();
    }
    holder.kill();
    let domain = in_data(place.path(), data.path().as_os_str());
    drop(domain.queue_consumer("jobs", &durable).unwrap());
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn dead_letters_are_told_of() {
    let place = Place::new();
    let domain = place.open();
    let mut producer = domain.queue_producer("jobs", &options(10)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(10)).unwrap();
    producer.put(b"x", SECOND).unwrap();
    assert!(none(&place, "queue_dead_letters"));
    consumer.get(SECOND).unwrap().reject("no").unwrap();
    one(&place, "queue_dead_letters", Severity::Note, &["'jobs'", "1 dead", "axonic queue redrive jobs"]);
    consumer.purge_dead_letters().unwrap();
    assert!(none(&place, "queue_dead_letters"));
}
