//! `queue`: what one puts the other takes, and what is in between is seen and set.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use axonic::{
    Attributes, Domain, DomainOptions, Get, LockOptions, Payload, Put, QueueConsumer, QueueOptions,
    QueueProducer,
};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use crate::harness::{Done, Place, Running, json_lines, until};

const SECOND: Option<Duration> = Some(Duration::from_secs(5));

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn both(place: &Place, options: &QueueOptions) -> (QueueProducer, QueueConsumer) {
    let domain = place.open("default");
    (domain.queue_producer("jobs", options).unwrap(), domain.queue_consumer("jobs", options).unwrap())
}

/// Feeds `input` to `axonic queue put jobs`.
fn feed(place: &Place, args: &[&str], input: &[u8]) -> Done {
    let mut command = place.axonic(["queue", "put", "jobs"]);
    let mut running = Running::start(command.args(args).stdin(Stdio::piped()));
    running.child().stdin.take().unwrap().write_all(input).unwrap();
    running.finish()
}

#[test]
fn what_is_put_is_taken_in_order_of_priority() {
    let place = Place::new();
    assert_eq!(place.ok(["queue", "put", "jobs", "low"]), "");
    place.ok(["queue", "put", "jobs", "high", "--priority", "7"]);
    place.ok(["queue", "put", "jobs", "-5"]);
    assert_eq!(place.ok(["queue", "get", "jobs"]), "high\n");
    assert_eq!(place.ok(["queue", "get", "jobs", "--count", "2", "--timeout", "5"]), "low\n-5\n");
    let done = place.run(["queue", "get", "jobs", "--timeout", "0"]);
    let (code, message) = done.error();
    assert!(code == 1 && message.contains("jobs") && message.contains("0 of 1 message"), "{message}");
    assert!(place.snapshot().queues.is_empty(), "an empty queue goes with the last one who has it open");
}

#[test]
fn each_line_of_stdin_is_a_message_or_all_of_it_is_one() {
    let place = Place::new();
    feed(&place, &[], b"one\n\nthree").ok();
    assert_eq!(place.ok(["queue", "get", "jobs", "--count", "3"]), "one\n\nthree\n");
    feed(&place, &["--whole"], b"one\ntwo\n").ok();
    assert_eq!(place.ok(["queue", "get", "jobs"]), "one\ntwo\n\n");
    let done = feed(&place, &["--json"], b"{\"a\": 1}\n\n{nonsense\n");
    let (code, message) = done.error();
    assert!(code == 1 && message.starts_with("line 3: ") && message.contains("JSON"), "{message}");
    let taken = json_lines(&place.ok(["queue", "get", "jobs", "--json"]));
    assert_eq!(taken[0]["value"]["a"], 1);
}

#[test]
fn json_tells_what_a_message_is() {
    let place = Place::new();
    let put = ["queue", "put", "jobs", "7", "--json", "--priority", "3", "--attribute", "subject=cat"];
    place.ok(put);
    let peeked = json_lines(&place.ok(["queue", "peek", "jobs", "--json"]));
    assert_eq!((&peeked[0]["value"], &peeked[0]["attempts"]), (&7.into(), &0.into()), "{peeked:?}");
    let taken = json_lines(&place.ok(["queue", "get", "jobs", "--json"]));
    let message = taken[0].as_object().unwrap();
    let keys: Vec<&str> = message.keys().map(String::as_str).collect();
    for key in ["queue", "content", "value", "priority", "attempt", "attributes"] {
        assert!(keys.contains(&key), "no {key} in {message:?}");
    }
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert_eq!(
        (&message["queue"], &message["attempt"], &message["priority"]),
        (&"jobs".into(), &1.into(), &3.into())
    );
    assert_eq!(message["attributes"]["subject"], "cat");
}

#[test]
fn a_delay_a_ttl_and_a_full_queue() {
    let place = Place::new();
    let (mut producer, mut consumer) = both(&place, &QueueOptions { capacity: 2, ..QueueOptions::default() });
    place.ok(["queue", "put", "jobs", "later", "--delay", "0.05"]);
    place.ok(["queue", "put", "jobs", "brief", "--ttl", "0"]);
    assert_eq!(consumer.stats().delayed, 1);
    let done = place.run(["queue", "put", "jobs", "x", "--timeout", "0.05"]);
    let (code, message) = done.error();
    assert!(code == 1 && message.contains("jobs") && message.contains("capacity"), "{message}");
    assert_eq!(place.run(["queue", "put", "jobs", "x", "--priority", "8"]).error().0, 2);
    let delivery = consumer.get(SECOND).unwrap();
    assert_eq!(delivery.data(), b"later");
    delivery.ack().unwrap();
    assert!(consumer.try_get().unwrap().is_none());
    assert_eq!(consumer.stats().dead, 1);
    // One that waits for room gets it.
    producer.put(b"y", SECOND).unwrap();
    let waiting = Running::start(&mut place.axonic(["queue", "put", "jobs", "z"]));
    until("it waits", || place.snapshot().queues[0].producers == 2);
    consumer.purge_dead_letters().unwrap();
    waiting.finish().ok();
    assert_eq!(consumer.stats().ready, 2);
}

#[test]
fn a_durable_queue_is_read_back() {
    let place = Place::new();
    place.ok(["queue", "put", "jobs", "kept", "--durable"]);
    assert!(place.ok(["queue", "ls"]).lines().any(|line| line.starts_with("jobs") && line.ends_with("yes")));
    place.reboot();
    assert_eq!(place.ok(["queue", "get", "jobs", "--durable", "--timeout", "5"]), "kept\n");
}

#[test]
fn a_queue_on_the_disk_only_is_named_wherever_one_looks() {
    let place = Place::new();
    place.ok(["queue", "put", "jobs", "kept", "--durable", "--domain", "shop"]);
    place.reboot();
    let row = |text: &str| {
        text.lines().any(|line| line.trim().starts_with("jobs ") && line.ends_with("on the disk only"))
    };
    for args in [&["queue", "ls", "--domain", "shop"][..], &["ls", "shop"], &["stat", "--domain", "shop"]] {
        let shown = place.ok(args);
        assert!(row(&shown), "{args:?}: {shown}");
    }
    let listed = json_lines(&place.ok(["queue", "ls", "--json", "--domain", "shop"]));
    assert_eq!(
        (listed.len(), &listed[0]["name"], &listed[0]["on_disk_only"]),
        (1, &"jobs".into(), &true.into())
    );
    let domains = place.ok(["ls"]);
    assert_eq!(words(domains.lines().nth(1).unwrap())[..6], ["shop", "0", "0", "0", "0", "1"], "{domains}");
    assert!(domains.ends_with("\nshop: on the disk only: jobs\n"), "{domains}");
    let found = place.ok(["doctor"]);
    assert!(
        found.contains("shop: queue 'jobs' is on the disk only") && found.contains("1 domain"),
        "{found}"
    );

    let verbs: [&[&str]; 6] = [
        &["stats", "jobs"],
        &["peek", "jobs"],
        &["purge", "jobs"],
        &["redrive", "jobs"],
        &["get", "jobs"],
        &["put", "jobs", "x"],
    ];
    for args in verbs {
        let done = place.run(["queue", "--domain", "shop"].iter().chain(args));
        let (code, message) = done.error();
        assert!(code == 1 && message.contains("on the disk only"), "{args:?}: {message}");
        assert!(message.contains("`axonic queue get jobs --durable --count 0 --domain shop`"), "{message}");
    }
    assert!(place.run(["queue", "ls"]).error().1.contains("'default' does not exist"), "another domain");
    // What the message says helps.
    assert_eq!(place.ok(["queue", "get", "jobs", "--durable", "--count", "0", "--domain", "shop"]), "");
    assert!(place.ok(["queue", "peek", "jobs", "--domain", "shop"]).contains("kept"));
    assert!(!place.ok(["doctor"]).contains("on the disk only"));
}

#[test]
fn what_doctor_advises_changes_no_queue() {
    let place = Place::new();
    let fsync = Some(axonic::Fsync::Never);
    let options = QueueOptions { durable: fsync, max_attempts: 2, capacity: 70_000, ..Default::default() };
    let (mut producer, consumer) = both(&place, &options);
    let more_than_usual: Vec<_> = (0..65_537).map(|_| Payload::raw(b"x")).collect();
    producer.put_many(&more_than_usual, &Put::default(), SECOND).unwrap();
    drop((producer, consumer));
    place.reboot();
    assert!(place.ok(["doctor"]).contains("`axonic queue get jobs --durable --count 0 --domain default`"));
    assert_eq!(place.ok(["queue", "get", "jobs", "--durable", "--count", "0"]), "");
    let (_, mut consumer) = both(&place, &QueueOptions::default());
    assert_eq!(
        (consumer.fsync(), consumer.stats().capacity, consumer.stats().ready),
        (fsync, 70_000, 65_537)
    );
    for _ in 0..2 {
        let first = consumer.get(SECOND).unwrap();
        first.nack(Duration::ZERO).unwrap();
    }
    assert_eq!(consumer.stats().dead, 1);
}

#[test]
fn a_message_with_an_id_is_put_once() {
    let place = Place::new();
    for _ in 0..2 {
        place.ok(["queue", "put", "jobs", "bill", "--dedup-id", "7"]);
    }
    place.ok(["queue", "put", "jobs", "bill", "--dedup-id", "8"]);
    assert_eq!(place.snapshot().queues[0].stats.ready, 2);
    for args in [&["--dedup-id", "9"][..], &["x", "--whole"]] {
        let done = place.run(["queue", "put", "jobs"].iter().chain(args));
        let (code, message) = done.error();
        assert!(code == 2 && message.contains("--whole"), "{message}");
    }
}

#[test]
fn unlink_removes_the_journal_that_a_reboot_left() {
    let (place, other) = (Place::new(), Place::new());
    place.ok(["queue", "put", "jobs", "kept", "--durable"]);
    // From another runtime directory the journal may not be taken away under those who have it open.
    let durable = QueueOptions { durable: Some(axonic::Fsync::Always), ..QueueOptions::default() };
    let consumer = place.open("default").queue_consumer("jobs", &durable).unwrap();
    let elsewhere = |verb: &[&str]| {
        let mut command = other.axonic(verb);
        Running::start(command.env("AXONIC_DATA_DIR", place.data())).finish()
    };
    assert!(elsewhere(&["queue", "ls"]).error().1.contains("does not exist"), "it is not on the disk only");
    let _domain = other.open("default");
    let done = elsewhere(&["unlink", "queue", "jobs"]);
    assert!(done.error().1.contains("another runtime directory"), "{done:?}");
    drop(consumer);
    place.reboot();
    assert_eq!(place.ok(["unlink", "queue", "jobs"]), "");
    assert_eq!(std::fs::read_dir(place.data().join("default/queues")).unwrap().count(), 0);
    assert!(place.ok(["ls"]).starts_with("no domains"), "nor is a domain made by it");
    assert_eq!(place.run(["unlink", "queue", "jobs"]).error().0, 1);
}

#[test]
fn what_was_not_written_goes_back() {
    let place = Place::new();
    let (mut producer, mut consumer) = both(&place, &QueueOptions::default());
    (0..2).for_each(|n| producer.put(&[b'a' + n; 100_000], SECOND).unwrap());
    let read = place.shell("axonic queue get jobs --count 2 | head -c 10");
    assert_eq!(Running::start(&mut { read }).finish().ok(), "aaaaaaaaaa");
    assert_eq!(consumer.stats().leased, 0);
    let attempts: Vec<u16> = consumer
        .get_many(9, &Get::default(), SECOND)
        .unwrap()
        .into_iter()
        .map(|delivery| {
            let attempt = delivery.attempt();
            delivery.ack().unwrap();
            attempt
        })
        .collect();
    assert!(attempts == [2, 1] || attempts == [2], "{attempts:?}");
    // Nor is anything taken by one who is told to end while it waits.
    let mut waiting = Running::start(&mut place.axonic(["queue", "get", "jobs"]));
    until("it waits", || place.snapshot().queues.iter().any(|queue| queue.consumers == 2));
    waiting.signal(Signal::SIGINT);
    assert_eq!(waiting.finish().code, 130);
}

#[test]
fn dead_letters_are_seen_delivered_again_and_dropped() {
    let place = Place::new();
    let (mut producer, mut consumer) = both(&place, &QueueOptions::default());
    for text in ["bad", "worse"] {
        producer.put(text.as_bytes(), SECOND).unwrap();
        consumer.get(SECOND).unwrap().reject("no job\nat all").unwrap();
    }
    let seen = place.ok(["queue", "peek", "jobs", "--dead"]);
    assert!(seen.contains("rejected: no job?at all") && seen.contains("worse"), "{seen}");
    let seen = json_lines(&place.ok(["queue", "peek", "jobs", "--dead", "--json", "--count", "1"]));
    assert_eq!((seen.len(), seen[0]["reason"].as_str()), (1, Some("rejected")));
    assert_eq!(seen[0]["reason_text"], "no job\nat all");
    assert_eq!(
        place.ok(["queue", "redrive", "jobs", "--count", "1"]),
        "1 dead letter to be delivered again\n"
    );
    assert_eq!(place.ok(["queue", "purge", "jobs", "--dead"]), "1 dead letter taken away\n");
    assert_eq!(place.ok(["queue", "redrive", "jobs"]), "0 dead letters to be delivered again\n");
    assert_eq!(place.ok(["queue", "purge", "jobs"]), "1 message taken away\n");
    assert_eq!(place.ok(["queue", "peek", "jobs"]), "");
}

#[test]
fn long_labels_and_reasons_are_cut_for_tables_only() {
    let place = Place::new();
    let label = format!("python -c {}", "import axonic\n".repeat(10));
    let options = DomainOptions {
        name: Some("default".into()),
        runtime_dir: Some(place.path().into()),
        label: Some(label.clone()),
        ..DomainOptions::default()
    };
    let domain = Domain::open_with(options).unwrap();
    let mut producer = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &QueueOptions::default()).unwrap();
    let mut mutex = domain.mutex("gpu", &LockOptions::default()).unwrap();
    mutex.lock(None).unwrap();
    let reason = "no ".repeat(1000);
    (0..2).for_each(|_| producer.put(b"x", SECOND).unwrap());
    consumer.get(SECOND).unwrap().reject(&reason).unwrap();
    let _held = consumer.get(SECOND).unwrap();
    let tables: [&[&str]; 5] = [
        &["ls", "default"],
        &["stat"],
        &["queue", "stats", "jobs"],
        &["queue", "peek", "jobs", "--dead"],
        &["lock", "ls"],
    ];
    for args in tables {
        let shown = place.ok(args);
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest < 200 && shown.contains('…'), "{args:?}: {longest} in\n{shown}");
    }
    assert!(place.run(["unlink", "queue", "jobs"]).error().1.len() < 200);
    let peeked = json_lines(&place.ok(["queue", "peek", "jobs", "--dead", "--json"]));
    assert_eq!(peeked[0]["reason_text"], reason.as_str());
    let locks = json_lines(&place.ok(["lock", "ls", "--json"]));
    assert_eq!(locks[0]["holders"][0]["label"], label.as_str());
}

#[test]
fn a_queue_is_listed_wherever_one_looks() {
    let place = Place::new();
    place.open("default");
    let (mut producer, mut consumer) = both(&place, &QueueOptions::default());
    let mut attributes = Attributes::new();
    attributes.insert("type", "t").unwrap();
    for n in 0..5u8 {
        let payload = Payload::raw(std::slice::from_ref(&n)).with_attributes(&attributes);
        producer.put_with(&payload, &Put::default(), SECOND).unwrap();
    }
    consumer.get(SECOND).unwrap().ack().unwrap();
    let _held = consumer.get(SECOND).unwrap();
    let me = format!("tester({})", std::process::id());
    let row = ["jobs", "3", "0", "1", "0", "0", "65536"];
    for args in [&["queue", "ls"][..], &["ls", "default"], &["stat"], &["queue", "stats", "jobs"]] {
        let shown = place.ok(args);
        let line = shown.lines().find(|line| line.starts_with("jobs") || line.starts_with("  jobs"));
        assert_eq!(words(line.expect(&shown))[..7], row, "{shown}");
    }
    let stats = place.ok(["queue", "stats", "jobs"]);
    assert!(stats.contains(&me) && stats.contains("consumer"), "{stats}");
    let stats: serde_json::Value =
        serde_json::from_str(&place.ok(["queue", "stats", "jobs", "--json"])).unwrap();
    assert_eq!((&stats["put"], &stats["oldest_holder"]["leased"]), (&5.into(), &1.into()), "{stats}");
    let listed = json_lines(&place.ok(["queue", "ls", "--json"]));
    assert_eq!((listed.len(), &listed[0]["acked"]), (1, &1.into()));
    let top = place.ok(["top", "--once"]);
    assert!(top.lines().any(|line| words(line) == ["jobs", "0", "0", "0", "3", "1", "0", "1"]), "{top}");
    let domains = place.ok(["ls"]);
    assert_eq!(
        words(domains.lines().nth(1).unwrap())[..6],
        ["default", "1", "0", "0", "0", "1"],
        "{domains}"
    );
}

#[test]
fn what_the_dead_hold_is_told_apart() {
    let place = Place::new();
    let domain = place.open("default");
    let mut producer = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
    (0..4).for_each(|_| producer.put(b"x", SECOND).unwrap());
    let take = |count: usize| {
        let mut consumer = place.open("default").queue_consumer("jobs", &QueueOptions::default()).unwrap();
        let held = consumer.get_many(count, &Get::default(), SECOND).unwrap();
        (consumer, held)
    };
    // SAFETY: of what another thread may be in the middle of, the child uses the allocator only, which is made for that.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let _held = take(2);
            let _ = raise(Signal::SIGKILL);
            unreachable!("killed");
        }
        ForkResult::Parent { child } => child,
    };
    waitpid(child, None).unwrap();
    let listed = || place.ok(["queue", "ls"]).lines().nth(1).unwrap().to_owned();
    assert!(listed().contains(" 2 (2 by the dead) "), "{}", listed());
    let stat = place.ok(["stat"]);
    assert!(stat.contains(&format!("jobs: tester({child}), dead, has 2 messages;")), "{stat}");
    let (_consumer, held) = take(3);
    assert_eq!((held.len(), words(&listed())[..4].join(" ")), (3, "jobs 1 0 3".into()));
}

#[test]
fn a_queue_that_is_not_there_is_not_made_by_looking() {
    let place = Place::new();
    let looks: [&[&str]; 5] = [&["peek", "x"], &["stats", "x"], &["purge", "x"], &["redrive", "x"], &["ls"]];
    for args in looks {
        assert_eq!(place.run(["queue"].iter().chain(args)).error().0, 1, "no domain");
    }
    let _domain = place.open("default");
    assert_eq!(place.ok(["queue", "ls"]), "no queues in domain default\n");
    for args in &looks[..4] {
        let done = place.run(["queue"].iter().chain(*args));
        let (code, message) = done.error();
        assert!(code == 1 && message.contains("'x'") && message.contains("axonic queue ls"), "{message}");
    }
    assert!(place.snapshot().queues.is_empty());
    assert_eq!(place.run(["queue", "put", "a/b", "x"]).error().0, 2);
}

#[test]
fn unlink_removes_a_queue_with_what_is_in_it() {
    let place = Place::new();
    place.ok(["queue", "put", "jobs", "x"]);
    let domain = place.open("default");
    let producer = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
    let done = place.run(["unlink", "queue", "jobs"]);
    let who = format!("open in 'tester' (pid {})", std::process::id());
    assert!(done.error().1.contains(&who), "{done:?}");
    drop(producer);
    place.ok(["unlink", "queue", "jobs"]);
    assert!(place.snapshot().queues.is_empty());
    assert_eq!(place.run(["unlink", "queue", "jobs"]).error().0, 1);
}
