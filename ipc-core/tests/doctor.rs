//! What the doctor finds, each made to happen: who, where, why it matters, and what helps.

mod common;

use axonic::*;
use common::{Place, child, options_in};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(10));

fn small(overflow: Overflow) -> PublisherOptions {
    PublisherOptions { overflow, capacity: 64 << 10, max_bytes: 512 << 10, ..Default::default() }
}

fn of_kind(place: &Place, kind: &str) -> Vec<Finding> {
    let mut findings = doctor(&place.options(), false).unwrap();
    findings.retain(|found| found.kind == kind);
    findings
}

/// The one finding of a kind, which has these words; all it should say is said.
#[track_caller]
fn one(place: &Place, kind: &str, severity: Severity, words: &[&str]) -> Finding {
    let mut findings = of_kind(place, kind);
    assert_eq!(findings.len(), 1, "{kind}: {:#?}", doctor(&place.options(), false));
    let found = findings.remove(0);
    assert_eq!(found.severity, severity, "{found:#?}");
    let all = format!("{}\n{}\n{}", found.what, found.why, found.remedy);
    for word in words {
        assert!(all.contains(word), "'{word}' is not in: {all}");
    }
    assert!(!found.why.is_empty() && !found.remedy.is_empty());
    found
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn me() -> String {
    std::process::id().to_string()
}

#[test]
fn a_blocked_publisher_and_who_holds_it_up() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("orders.>", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain
        .publisher("orders.new", &PublisherOptions { wait: Wait::Spin, ..small(Overflow::Block) })
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || (0..100).for_each(|_| publisher.publish(&[0; 1000]).unwrap()));
        until("it blocks", || !of_kind(&place, "blocked").is_empty());
        let found = one(
            &place,
            "blocked",
            Severity::Warning,
            &["'orders.new'", "'orders.>'", &me(), "for 0.", "messages behind", "drop_oldest"],
        );
        assert!(of_kind(&place, "lagging").is_empty(), "told once: {found:?}");
        (0..100).for_each(|_| assert_eq!(subscriber.receive(SECOND).unwrap().data().len(), 1000));
    });
    assert!(of_kind(&place, "blocked").is_empty());
}

#[test]
fn only_who_holds_a_publisher_up_is_told_of() {
    let place = Place::new();
    let domain = place.open();
    let mut slow = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut fast = domain.subscriber("*", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { wait: Wait::Block, ..small(Overflow::Block) };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let mut sent = 0;
    while publisher.try_send(&Payload::raw(&[0; 1000])).is_ok() {
        sent += 1;
    }
    (0..sent - 1).for_each(|_| assert!(fast.try_receive().unwrap().is_some()));
    std::thread::scope(|scope| {
        scope.spawn(|| publisher.publish(&[0; 1000]).unwrap());
        until("it blocks", || !of_kind(&place, "blocked").is_empty());
        one(&place, "blocked", Severity::Warning, &["subscriber 't'", "messages behind"]);
        while slow.try_receive().unwrap().is_some() {}
    });
    // To wait for subscribers is not to wait for room.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| publisher.wait_for_subscribers(3, Some(Duration::from_millis(300))));
        while !waiting.is_finished() {
            assert!(of_kind(&place, "blocked").is_empty());
        }
    });
}

#[test]
fn a_retained_ring_stays_until_it_is_unlinked() {
    let place = Place::new();
    let domain = place.open();
    let retained = PublisherOptions { retain: true, ..small(Overflow::DropOldest) };
    domain.publisher("t", &retained).unwrap().publish(b"kept").unwrap();
    let found = one(&place, "orphan", Severity::Note, &["readers still to come", "unlink topic t"]);
    assert!(!found.remedy.contains("goes when"), "{found:?}");
    domain.unlink(Noun::Topic, "t").unwrap();
}

#[test]
fn a_ring_whose_producer_died_while_it_waited() {
    let options = RingOptions { capacity: 10_000, ..RingOptions::default() };
    if child::role().is_some() {
        let domain = Domain::open_with(options_in(&child::directory())).unwrap();
        let mut producer = domain.ring_producer("r", &options).unwrap();
        std::thread::spawn(move || while producer.push(&[0; 1000], None).is_ok() {});
        child::ready_until_told();
    }
    let place = Place::new();
    let domain = place.open();
    let mut consumer = domain.ring_consumer("r", &options).unwrap();
    let peer = child::Running::start("a_ring_whose_producer_died_while_it_waited", "producer", place.path());
    until("it blocks", || !of_kind(&place, "ring_blocked").is_empty());
    peer.kill();
    assert!(of_kind(&place, "ring_blocked").is_empty());
    let _successor = domain.ring_producer("r", &options).unwrap();
    assert!(of_kind(&place, "ring_blocked").is_empty(), "the successor waits for nothing");
    while consumer.try_pop().unwrap().is_some() {}
}

#[test]
fn a_subscriber_that_is_about_to_miss_messages() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &small(Overflow::DropOldest)).unwrap();
    (0..20).for_each(|_| publisher.publish(&[0; 1000]).unwrap());
    assert!(of_kind(&place, "lagging").is_empty(), "a third of a ring is nothing");
    (0..40).for_each(|_| publisher.publish(&[0; 1000]).unwrap());
    one(&place, "lagging", Severity::Warning, &["60 messages behind", "missed", &me(), "raise capacity"]);
    while subscriber.try_receive().unwrap().is_some() {}
    assert!(of_kind(&place, "lagging").is_empty());
}

#[test]
fn a_ring_whose_producer_waits() {
    let place = Place::new();
    let domain = place.open();
    let options = RingOptions { capacity: 10_000, ..RingOptions::default() };
    let mut producer = domain.ring_producer("r", &options).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            (0..100).for_each(|_| producer.push(&[0; 1000], SECOND).unwrap());
            producer
        });
        until("it blocks", || !of_kind(&place, "ring_blocked").is_empty());
        one(&place, "ring_blocked", Severity::Warning, &["ring 'r'", "no consumer", "messages are unread"]);
        let mut consumer = domain.ring_consumer("r", &options).unwrap();
        (0..100).for_each(|_| assert_eq!(consumer.pop(SECOND).unwrap().len(), 1000));
        consumer.release().unwrap();
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_stopped_process_and_a_dead_one() {
    if let Some(role) = child::role() {
        let domain = Domain::open_with(options_in(&child::directory())).unwrap();
        let _subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let mut publisher = domain.publisher("left", &small(Overflow::DropOldest)).unwrap();
        if role == "peer" {
            publisher.publish(b"owed").unwrap();
            child::ready_until_told();
        }
    }
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("left", &SubscriberOptions::default()).unwrap();
    let peer = child::Running::start("a_stopped_process_and_a_dead_one", "peer", place.path());
    let seen = snapshot(&place.options()).unwrap();
    let pid = seen.participants.iter().map(|p| p.pid).find(|pid| *pid != std::process::id()).unwrap();
    assert!(of_kind(&place, "stopped").is_empty());
    kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).unwrap();
    until("it is stopped", || !of_kind(&place, "stopped").is_empty());
    let wake = format!("kill -CONT {pid}");
    one(&place, "stopped", Severity::Note, &[&pid.to_string(), &wake, "block"]);
    // One that holds a publisher up is told to be stopped there.
    let mut publisher = domain.publisher("t", &small(Overflow::Block)).unwrap();
    publisher.wait_for_subscribers(1, SECOND).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while publisher.send(&Payload::raw(&[0; 1000]), SECOND).is_ok() {
                if publisher.subscribers() == 0 {
                    break;
                }
            }
        });
        until("it blocks", || !of_kind(&place, "blocked").is_empty());
        one(&place, "blocked", Severity::Warning, &["is stopped", &wake]);
        assert!(of_kind(&place, "dead").is_empty());
        peer.kill();
    });
    one(&place, "dead", Severity::Note, &[&pid.to_string(), "1 of subscribers/", "bells/", "--clean"]);
    one(&place, "orphan", Severity::Note, &["'left'", "died", &pid.to_string(), &me(), "unlink topic left"]);
    assert!(of_kind(&place, "left_behind").iter().all(|f| f.cleanable && f.what.contains(&pid.to_string())));
    assert_eq!(subscriber.receive(SECOND).unwrap().data(), b"owed");
    assert!(subscriber.try_receive().unwrap().is_none());
    doctor(&place.options(), true).unwrap();
    for kind in ["dead", "orphan", "left_behind"] {
        assert!(of_kind(&place, kind).is_empty(), "{kind}");
    }
}

#[test]
fn what_nobody_has_any_more_is_called_what_it_is() {
    if child::role().is_some() {
        let domain = Domain::open_with(options_in(&child::directory())).unwrap();
        let _queue = domain.queue_consumer("q", &QueueOptions::default()).unwrap();
        let _lock = domain.event("l", Reset::Manual, &LockOptions::default()).unwrap();
        let _ring = domain.ring_producer("r", &RingOptions::default()).unwrap();
        child::ready_until_told();
    }
    let place = Place::new();
    child::Running::start("what_nobody_has_any_more_is_called_what_it_is", "opens", place.path()).kill();
    let left = of_kind(&place, "left_behind");
    for (directory, noun) in [("queues", "a queue"), ("locks", "a lock"), ("rings", "a ring")] {
        let of = |found: &&Finding| {
            found.path.as_ref().is_some_and(|path| path.parent().unwrap().ends_with(directory))
        };
        let what = left.iter().find(of).map_or("", |found| found.what.as_str());
        assert!(what.starts_with(&format!("{noun} that nobody")), "{directory}: {what:?} of {left:#?}");
    }
    let cleaned = doctor(&place.options(), true).unwrap();
    assert!(left.iter().all(|left| cleaned.iter().any(|f| f.path == left.path && f.remedy == "removed")));
}

#[test]
fn a_journal_on_the_disk_is_looked_into() {
    let (place, data) = (Place::new(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let options = DomainOptions { data_dir: Some(data.path().into()), ..place.options() };
    let durable = QueueOptions { durable: Some(Fsync::Always), ..QueueOptions::default() };
    let domain = Domain::open_with(options.clone()).unwrap();
    let mut producer = domain.queue_producer("jobs", &durable).unwrap();
    (0..20).for_each(|_| producer.put(&[7; 300], SECOND).unwrap());
    drop((producer, domain));
    std::fs::remove_dir_all(place.path().join("test")).unwrap();

    let files =
        std::fs::read_dir(data.path().join("test/queues/jobs")).unwrap().map(|entry| entry.unwrap().path());
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
    let journal = files.into_iter().find(is_journal).unwrap();
    let whole = std::fs::read(&journal).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let found_with = |damage: Option<usize>| {
        let mut bytes = whole.clone();
        damage.iter().for_each(|at| bytes[*at] ^= 4);
        std::fs::write(&journal, &bytes).unwrap();
        let mut found = doctor(&options, false).unwrap();
        assert_eq!(std::fs::read(&journal).unwrap(), bytes, "it was looked at, and no more");
        assert!(found.len() == 1 && found[0].what.contains("queue 'jobs' is on the disk only"), "{found:#?}");
        found.remove(0)
    };
    let found = found_with(None);
    assert_eq!((found.kind, found.severity), ("queue_on_disk", Severity::Note));
    assert_eq!(found.why, "what is in it is delivered once somebody opens it");
    let found = found_with(Some(end));
    assert_eq!((found.kind, found.severity), ("queue_on_disk", Severity::Note));
    assert!(
        found.what.contains("bytes of its journal are not whole") && found.why.contains("cut off"),
        "{found:#?}"
    );
    let found = found_with(Some(1000));
    assert_eq!((found.kind, found.severity), ("queue_journal_damaged", Severity::Problem));
    assert!(
        found.what.contains("damaged at offset") && found.remedy.contains("unlink queue jobs"),
        "{found:#?}"
    );
    // Whoever opens it is told the same.
    let refused = Domain::open_with(options.clone()).unwrap().queue_consumer("jobs", &durable).unwrap_err();
    assert!(
        refused.kind() == ErrorKind::Corrupt && refused.message().contains("damaged at offset"),
        "{refused}"
    );
}

#[test]
fn a_small_shared_memory_filesystem() {
    const NAME: &str = "a_small_shared_memory_filesystem";
    if child::role().is_some() {
        // The test's own directory is covered by the small filesystem.
        let options = options_in(&child::directory());
        let domain = Domain::open_with(options.clone()).unwrap();
        let kinds = || doctor(&options, false).unwrap().into_iter().map(|f| (f.kind, f)).collect::<Vec<_>>();
        let [(kind, found)] = &kinds()[..] else { panic!("{:?}", kinds()) };
        let words = ["4 MiB in all", "--shm-size", "256 KiB at once", "64 MiB for messages"];
        let all = format!("{found:?}");
        assert!(*kind == "memory_small" && words.iter().all(|word| all.contains(word)), "{all}");
        let region = RegionOptions { size: Some(3800 << 10), ..RegionOptions::default() };
        let _region = domain.region("r", &region).unwrap();
        assert!(kinds().iter().any(|(kind, f)| *kind == "memory_short" && f.severity == Severity::Problem));
        domain.unlink(Noun::Region, "r").unwrap();
        return;
    }
    let place = Place::new();
    let mut command = child::command(NAME, "small", place.path());
    match child::with_tmpfs(&mut command, place.path(), "size=4m", false) {
        true => child::run(&mut command),
        false => child::skip("a small filesystem: mounting a tmpfs of our own is not allowed here"),
    }
}

#[test]
fn a_table_that_is_nearly_full_and_full() {
    let place = Place::new();
    let options = DomainOptions { max_participants: Some(10), ..place.options() };
    let mut domains: Vec<Domain> = (0..8).map(|_| Domain::open_with(options.clone()).unwrap()).collect();
    assert!(of_kind(&place, "participants").is_empty());
    domains.push(Domain::open_with(options.clone()).unwrap());
    one(&place, "participants", Severity::Warning, &["9 of 10", "max_participants", "LimitReached"]);
    domains.push(Domain::open_with(options.clone()).unwrap());
    one(&place, "participants", Severity::Problem, &["all 10 slots"]);
    assert_eq!(Domain::open_with(options).unwrap_err().kind(), ErrorKind::LimitReached);
}

#[test]
fn pins_that_hold_a_slab_and_a_subscriber_that_borrowed_all_it_may() {
    let place = Place::new();
    let domain = place.open();
    let options = SubscriberOptions { max_borrowed: 4, ..SubscriberOptions::default() };
    let mut subscriber = domain.subscriber("t", &options).unwrap();
    let mut publisher = domain.publisher("t", &small(Overflow::DropOldest)).unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        publisher.publish(&[0; 100 << 10]).unwrap();
        held.push(subscriber.borrow(SECOND).unwrap());
        if held.len() == 2 {
            assert!(of_kind(&place, "pinned").is_empty() && of_kind(&place, "all_borrowed").is_empty());
        }
    }
    one(&place, "pinned", Severity::Warning, &["of the 512 KiB slab of 't'", "4 by 't'", &me(), "max_bytes"]);
    one(&place, "all_borrowed", Severity::Warning, &["4 samples", "max_borrowed", &me()]);
    held.clear();
    assert!(of_kind(&place, "pinned").is_empty() && of_kind(&place, "all_borrowed").is_empty());
}

#[test]
fn finished_publishers_near_their_limit() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let finish = || domain.publisher("t", &small(Overflow::DropOldest)).unwrap().publish(b"x").unwrap();
    (0..47).for_each(|_| finish());
    assert!(of_kind(&place, "orphans").is_empty());
    finish();
    let words = ["48 of at most 64", "0 of at most 1024", "'t' of", &me(), "unlink topic t"];
    one(&place, "orphans", Severity::Warning, &words);
    assert_eq!(of_kind(&place, "orphan").len(), 48);
    while subscriber.try_receive().unwrap().is_some() {}
    assert!(of_kind(&place, "orphans").is_empty());
}

/// More of them behind a subscriber that never reads leave remnants (`lifetime` goes to the limit of those too).
#[test]
fn remnants_and_what_helps() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let finish = || domain.publisher("t", &small(Overflow::DropOldest)).unwrap().publish(b"x").unwrap();
    (0..66).for_each(|_| finish());
    let words = ["64 of at most 64", "2 of at most 1024", "'t' of", &me(), "lose their messages"];
    let found = one(&place, "orphans", Severity::Warning, &words);
    assert!(found.remedy.contains("let the subscriber read") && found.remedy.contains("unlink topic t"));
    while subscriber.try_receive().unwrap().is_some() {}
    assert_eq!(subscriber.missed(), 2);
    assert!(of_kind(&place, "orphans").is_empty());
    (0..65).for_each(|_| finish());
    one(&place, "orphans", Severity::Warning, &["64 of at most 64", "1 of at most 1024"]);
    domain.unlink(Noun::Topic, "t").unwrap();
    assert!(of_kind(&place, "orphans").is_empty());
}

#[test]
fn few_descriptors() {
    const NAME: &str = "few_descriptors";
    if let Some(role) = child::role() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let set = |soft| setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        set(100);
        let _domain = Domain::open_with(options_in(&child::directory())).unwrap();
        let count = if role == "few" { 76 } else { 0 };
        let _held: Vec<_> = (0..count).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        child::ready_until_told();
    }
    let place = Place::new();
    let _domain = place.open();
    let peer = child::Running::start(NAME, "few", place.path());
    one(&place, "descriptors", Severity::Warning, &["of 100 descriptors", "ulimit -n", "LimitNOFILE"]);
    peer.kill();
    assert!(of_kind(&place, "descriptors").is_empty());
    // A low limit is worth a note while there are enough.
    let peer = child::Running::start(NAME, "low", place.path());
    one(&place, "descriptors", Severity::Note, &["of 100 descriptors", "ulimit -n", "LimitNOFILE"]);
    peer.kill();
}

/// Writes another layout version into the header of a file.
fn make_other_version(path: &std::path::Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&77u32.to_le_bytes(), 8).unwrap();
}

#[test]
fn layouts_of_another_version() {
    let place = Place::new();
    let domain = place.open();
    let publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let ring = domain.path().join(format!("publishers/{:016x}", publisher.id()));
    make_other_version(&ring);
    let found = one(&place, "other_layout", Severity::Problem, &["77", "one version of axonic"]);
    assert_eq!(found.path, Some(ring));
    assert!(!found.cleanable);
    drop(publisher);
    make_other_version(&domain.path().join("participants"));
    let found = one(&place, "other_layout", Severity::Problem, &["77", "own domain", "cannot meet"]);
    assert!(found.path.unwrap().ends_with("participants"));
    std::fs::remove_dir_all(domain.path()).unwrap();
}

#[test]
fn what_is_no_domain_or_another_users_in_the_runtime_directory() {
    let place = Place::new();
    let _domain = place.open();
    let findings = || doctor_runtime_dir(place.path()).unwrap();
    assert!(findings().is_empty());
    std::fs::write(place.path().join("stray"), b"what is this").unwrap();
    std::fs::create_dir(place.path().join("folder")).unwrap();
    std::fs::write(place.path().join("folder/file"), b"").unwrap();
    // Somebody may be about to make a domain of it.
    std::fs::create_dir(place.path().join("empty")).unwrap();
    let found = findings();
    let names: Vec<_> = found.iter().map(|f| f.path.clone().unwrap()).collect();
    assert_eq!(names, [place.path().join("folder"), place.path().join("stray")]);
    assert!(found.iter().all(|f| f.kind == "foreign" && f.severity == Severity::Warning));
    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&place.path().join("stray"), Some(12345.into()), None).unwrap();
        let found = findings();
        assert_eq!((found[1].kind, found[1].severity), ("other_user", Severity::Note));
        assert!(found[1].what.contains("user 12345"));
    } else {
        child::skip("a file of another user: only root can make one");
    }
    std::fs::remove_file(place.path().join("stray")).unwrap();
    std::fs::remove_dir_all(place.path().join("folder")).unwrap();
    std::fs::remove_dir(place.path().join("empty")).unwrap();
    // Inside a domain a foreign file keeps its directory.
    std::fs::write(place.path().join("test/stray"), b"").unwrap();
    one(&place, "foreign", Severity::Warning, &["stray", "by hand"]);
    std::fs::remove_file(place.path().join("test/stray")).unwrap();
}
