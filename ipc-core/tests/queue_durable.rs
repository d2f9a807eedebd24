//! Durable queues: what was put survives the end of everything in memory, what was settled stays gone.

mod common;

use axonic::*;
use common::{Place, child, expect};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// A place in memory, and one on a disk.
struct Durable {
    place: Place,
    data: tempfile::TempDir,
}

fn in_data(mut options: DomainOptions, data: PathBuf) -> DomainOptions {
    options.data_dir = Some(data);
    options
}

impl Durable {
    fn new() -> Durable {
        Durable { place: Place::new(), data: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    fn open(&self) -> Domain {
        Domain::open_with(in_data(self.place.options(), self.data.path().into())).unwrap()
    }

    /// What a reboot leaves: nothing in memory.
    fn reboot(&self) {
        std::fs::remove_dir_all(self.place.path().join("test")).unwrap();
    }
}

fn options(fsync: Fsync) -> QueueOptions {
    QueueOptions { durable: Some(fsync), ..Default::default() }
}

fn texts(consumer: &mut QueueConsumer) -> Vec<String> {
    consumer.peek(100).unwrap().iter().map(|p| String::from_utf8_lossy(p.data()).into_owned()).collect()
}

const FSYNCS: [Fsync; 3] = [Fsync::Always, Fsync::Interval(Duration::from_millis(1)), Fsync::Never];

/// A role's domain.
fn role_domain() -> Domain {
    let data = std::env::var_os("AXONIC_TEST_DATA").unwrap();
    Domain::open_with(in_data(common::options_in(&child::directory()), data.into())).unwrap()
}

impl Durable {
    fn command(&self, test: &str, role: &str) -> std::process::Command {
        let mut command = child::command(test, role, self.place.path());
        command.env("AXONIC_TEST_DATA", self.data.path());
        command
    }
}

/// Puts and settles a bit of everything, and ends with a message in its hands.
fn work(fsync: Fsync) {
    let domain = role_domain();
    let mut producer = domain.queue_producer("jobs", &options(fsync)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(fsync)).unwrap();
    let put = |producer: &mut QueueProducer, text: &str, put: Put| {
        producer.put_with(&Payload::raw(text.as_bytes()), &put, SECOND).unwrap();
    };
    for (text, priority) in [("done", 0), ("a", 0), ("urgent", 5), ("b", 0), ("bad", 0)] {
        put(&mut producer, text, Put { priority, ..Put::default() });
    }
    put(&mut producer, "later", Put { delay: Duration::from_secs(100), ..Put::default() });
    put(&mut producer, &"large ".repeat(10_000), Put { result: true, ..Put::default() });
    let urgent = consumer.get(SECOND).unwrap();
    consumer.get(SECOND).unwrap().ack().unwrap();
    let a = consumer.get(SECOND).unwrap();
    let b = consumer.get(SECOND).unwrap();
    consumer.get(SECOND).unwrap().reject("no good").unwrap();
    a.nack(Duration::ZERO).unwrap();
    drop(b);
    let mut attributes = Attributes::new();
    attributes.insert("type", "last").unwrap();
    producer.put_with(&Payload::json(b"{}").with_attributes(&attributes), &Put::default(), SECOND).unwrap();
    producer.sync(SECOND).unwrap();
    assert_eq!((producer.stats().leased, urgent.data()), (1, &b"urgent"[..]));
    child::ready_until_told();
}

#[test]
fn a_reboot_changes_nothing() {
    const NAME: &str = "a_reboot_changes_nothing";
    if let Some(role) = child::role() {
        work(FSYNCS[role.parse::<usize>().unwrap()]);
    }
    for (number, fsync) in FSYNCS.into_iter().enumerate() {
        let here = Durable::new();
        child::Running::of(here.command(NAME, &number.to_string())).kill();
        here.reboot();
        let domain = here.open();
        let mut consumer = domain.queue_consumer("jobs", &options(fsync)).unwrap();
        let stats = consumer.stats();
        assert_eq!((stats.ready, stats.delayed, stats.leased, stats.dead), (5, 1, 0, 1), "{fsync:?}");
        let large = "large ".repeat(10_000);
        assert_eq!(texts(&mut consumer), ["urgent", "a", "b", &large, "{}"]);
        let dead = consumer.dead_letters(9).unwrap();
        assert_eq!((dead[0].data(), dead[0].reason_text()), (&b"bad"[..], "no good"));
        let taken = consumer.get_many(9, &Get::default(), SECOND).unwrap();
        let attempts: Vec<_> = taken.iter().map(Delivery::attempt).collect();
        assert!((1..=2).contains(&attempts[0]), "an attempt that nobody gave back may be known or not");
        assert_eq!(attempts[1..], [2, 2, 1, 1]);
        assert_eq!(taken[4].attributes().unwrap().get("type"), Some("last"));
        assert_eq!(taken[4].content(), Content::Json);
        taken.into_iter().for_each(|delivery| delivery.ack().unwrap());
        consumer.purge().unwrap();
        consumer.purge_dead_letters().unwrap();
        drop(consumer);
        let consumer = domain.queue_consumer("jobs", &options(fsync)).unwrap();
        assert_eq!(consumer.stats().ready + consumer.stats().delayed + consumer.stats().dead, 0);
    }
}

/// Delays and times to live go on over a reboot, and while the machine is off, by the wall clock.
#[test]
fn times_go_on_over_a_reboot() {
    const TIME: Duration = Duration::from_millis(500);
    // The journal has whole milliseconds.
    const ROUNDED: Duration = Duration::from_millis(2);
    for off in [Duration::ZERO, TIME] {
        let here = Durable::new();
        let domain = here.open();
        let begun = Instant::now();
        for (text, time) in [("short", TIME), ("long", 1000 * TIME)] {
            let delayed = Put { delay: time, ..Put::default() };
            let perishing = Put { ttl: Some(time), ..Put::default() };
            for (queue, put) in [("delays", delayed), ("lives", perishing)] {
                let mut producer = domain.queue_producer(queue, &options(Fsync::Always)).unwrap();
                producer.put_with(&Payload::raw(text.as_bytes()), &put, SECOND).unwrap();
            }
        }
        drop(domain);
        here.reboot();
        std::thread::sleep(off);
        let domain = here.open();
        let mut delays = domain.queue_consumer("delays", &options(Fsync::Always)).unwrap();
        let mut lives = domain.queue_consumer("lives", &options(Fsync::Always)).unwrap();
        // What ended meanwhile has ended.
        assert!(off < TIME || (delays.stats().ready, lives.stats().dead) == (1, 1));
        let short = delays.get(Some(20 * TIME)).unwrap();
        assert!(short.data() == b"short" && begun.elapsed() >= TIME - ROUNDED, "{:?}", begun.elapsed());
        short.ack().unwrap();
        while lives.stats().dead == 0 {
            assert!(begun.elapsed() < 20 * TIME, "it lives for ever");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(begun.elapsed() >= TIME - ROUNDED, "{:?}", begun.elapsed());
        let dead = lives.dead_letters(9).unwrap();
        assert_eq!((dead[0].data(), dead[0].reason()), (&b"short"[..], Some(Reason::Expired)));
        // What is long goes on.
        assert_eq!((texts(&mut lives), delays.stats().delayed), (vec!["long".to_owned()], 1));
        lives.purge_dead_letters().unwrap();
        lives.purge().unwrap();
        delays.purge().unwrap();
    }
}

/// What is not in line when the journal is read, for whatever reason, has its place when it comes back.
#[test]
fn places_in_line_are_kept_over_a_reboot() {
    const DELAY: Duration = Duration::from_millis(20);
    let here = Durable::new();
    let domain = here.open();
    let (mut producer, mut consumer) = (
        domain.queue_producer("jobs", &options(Fsync::Always)).unwrap(),
        domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap(),
    );
    let mut put = |text: &str, delay| {
        let put = Put { delay, ..Put::default() };
        producer.put_with(&Payload::raw(text.as_bytes()), &put, SECOND).unwrap();
    };
    put("rejected", Duration::ZERO);
    put("returned", Duration::ZERO);
    consumer.get(SECOND).unwrap().reject("bad").unwrap();
    consumer.get(SECOND).unwrap().nack(DELAY).unwrap();
    put("later", DELAY);
    put("now", Duration::ZERO);
    consumer.sync(SECOND).unwrap();
    drop((producer, consumer, domain));
    here.reboot();
    let domain = here.open();
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
    std::thread::sleep(2 * DELAY);
    assert_eq!(consumer.redrive(1).unwrap(), 1);
    let line = ["rejected", "returned", "later", "now"];
    assert_eq!(texts(&mut consumer), line);
    for text in line {
        let job = consumer.get(SECOND).unwrap();
        assert_eq!(job.data(), text.as_bytes());
        job.ack().unwrap();
    }
}

#[test]
fn an_interval_passes_without_anybody_putting_more() {
    let here = Durable::new();
    let domain = here.open();
    let often = options(Fsync::Interval(Duration::from_millis(20)));
    let mut producer = domain.queue_producer("jobs", &often).unwrap();
    producer.put(b"waits", SECOND).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &often).unwrap();
    let taken = consumer.get(SECOND).unwrap();
    // Whoever waits for messages sees to it.
    expect(consumer.get(Some(Duration::from_millis(100))), ErrorKind::Timeout, &[]);
    let journal = || -> u64 {
        let files = common::files_in(here.data.path());
        files.iter().map(|path| std::fs::read(path).unwrap().iter().filter(|b| **b != 0).count() as u64).sum()
    };
    let before = journal();
    producer.put(b"more", SECOND).unwrap();
    let more = consumer.get(SECOND).unwrap();
    expect(consumer.get(Some(Duration::from_millis(100))), ErrorKind::Timeout, &[]);
    assert!(journal() > before);
    taken.ack().unwrap();
    more.ack().unwrap();
}

/// Bytes that this thread has given to files and pipes so far.
fn given_by_this_thread() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let given = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
    given.parse().unwrap()
}

#[test]
fn beside_an_event_loop_a_thread_does_the_file_work() {
    for fsync in [Fsync::Always, Fsync::Interval(Duration::from_millis(20)), Fsync::Never] {
        let here = Durable::new();
        let domain = here.open();
        let writer = domain.queue_writer("jobs", &options(fsync)).unwrap();
        let mut producer = domain.queue_producer("jobs", &options(fsync)).unwrap();
        let mut consumer = domain.queue_consumer("jobs", &options(fsync)).unwrap();
        producer.leave_writing_to(&writer).unwrap();
        consumer.leave_writing_to(&writer).unwrap();
        let before = given_by_this_thread();
        let (put, get) =
            (Put { durable: Some(false), ..Put::default() }, Get { durable: Some(false), ..Get::default() });
        for _ in 0..100 {
            producer.try_put(&Payload::raw(&[b'#'; 5000]), &put).unwrap();
        }
        for n in 0..40 {
            let delivery = consumer.try_get_with(&get).unwrap().unwrap();
            if n % 2 == 0 {
                delivery.ack().unwrap()
            } else {
                delivery.reject("no good").unwrap()
            }
            // What is overdue is none of ours, either.
            std::thread::sleep(Duration::from_millis(2));
        }
        consumer.purge_dead_letters().unwrap();
        assert!(given_by_this_thread() - before < 5000, "{fsync:?}");
        // Nobody asks for it, and it is written.
        let payloads = |path: &PathBuf| std::fs::read(path).unwrap().iter().filter(|b| **b == b'#').count();
        let deadline = Instant::now() + Duration::from_secs(20);
        while common::files_in(here.data.path()).iter().map(payloads).sum::<usize>() < 60 * 5000 {
            assert!(Instant::now() < deadline, "not written: {fsync:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.sync(SECOND).unwrap();
        assert_eq!((consumer.stats().ready, consumer.stats().dead), (60, 0));
        consumer.purge().unwrap();
    }
}

#[test]
fn whoever_was_left_by_its_writer_writes_itself() {
    let here = Durable::new();
    let domain = here.open();
    let mut producer = domain.queue_producer("jobs", &options(Fsync::Never)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Never)).unwrap();
    let writer = domain.queue_writer("jobs", &options(Fsync::Never)).unwrap();
    producer.leave_writing_to(&writer).unwrap();
    drop(writer);
    (0..100).for_each(|_| producer.put(&[b'#'; 5000], SECOND).unwrap());
    let payloads = |path: &PathBuf| std::fs::read(path).unwrap().iter().filter(|b| **b == b'#').count();
    let written: usize = common::files_in(here.data.path()).iter().map(payloads).sum();
    assert!(written >= 80 * 5000, "{written}");
    consumer.purge().unwrap();
}

#[test]
fn writing_is_left_to_a_writer_of_the_same_queue_only() {
    let (here, elsewhere) = (Durable::new(), Durable::new());
    let (domain, other) = (here.open(), elsewhere.open());
    let of = |domain: &Domain, name, durable| {
        domain.queue_writer(name, &QueueOptions { durable, ..Default::default() }).unwrap()
    };
    let always = Some(Fsync::Always);
    let mut producer = domain.queue_producer("jobs", &options(Fsync::Always)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
    for writer in [of(&domain, "others", always), of(&domain, "memory", None), of(&other, "jobs", always)] {
        expect(producer.leave_writing_to(&writer), ErrorKind::InvalidArgument, &["jobs", "another"]);
        expect(consumer.leave_writing_to(&writer), ErrorKind::InvalidArgument, &["jobs", "another"]);
    }
    producer.leave_writing_to(&of(&domain, "jobs", always)).unwrap();
}

#[test]
fn tokens_grow_over_a_reboot() {
    let here = Durable::new();
    let mut last = 0;
    for boot in 0..3 {
        let domain = here.open();
        let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Never)).unwrap();
        if boot == 0 {
            domain.queue_producer("jobs", &options(Fsync::Never)).unwrap().put(b"x", SECOND).unwrap();
        }
        for _ in 0..5 {
            let delivery = consumer.get(SECOND).unwrap();
            assert!(delivery.token() > last, "{} after {last}", delivery.token());
            last = delivery.token();
        }
        drop(consumer);
        drop(domain);
        here.reboot();
    }
}

#[test]
fn the_disk_is_bounded() {
    let here = Durable::new();
    let domain = here.open();
    let mut producer = domain.queue_producer("jobs", &options(Fsync::Never)).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Never)).unwrap();
    producer.put(b"stays", SECOND).unwrap();
    let kept = consumer.get(SECOND).unwrap();
    let size = || -> u64 {
        common::files_in(here.data.path()).iter().map(|path| path.metadata().unwrap().len()).sum()
    };
    for n in 0..3000u32 {
        producer.put(&n.to_le_bytes().repeat(10_000), SECOND).unwrap();
        consumer.get(SECOND).unwrap().ack().unwrap();
        if n % 500 == 0 {
            assert!(size() <= 64 << 20, "{} MiB after {n} messages", size() >> 20);
        }
    }
    kept.nack(Duration::ZERO).unwrap();
    drop((producer, consumer));
    drop(domain);
    here.reboot();
    let domain = here.open();
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Never)).unwrap();
    assert_eq!(texts(&mut consumer), ["stays"]);
    consumer.purge().unwrap();
}

#[test]
fn a_journal_has_one_queue_and_room_for_what_it_holds() {
    let here = Durable::new();
    {
        let domain = here.open();
        let mut producer = domain.queue_producer("jobs", &options(Fsync::Always)).unwrap();
        (0..20).for_each(|n| producer.put(&[n], SECOND).unwrap());
        let elsewhere = Place::new();
        let other = Domain::open_with(in_data(elsewhere.options(), here.data.path().into())).unwrap();
        let refused = other.queue_producer("jobs", &options(Fsync::Always));
        expect(refused, ErrorKind::Busy, &["jobs", "another runtime directory", "AXONIC_DATA_DIR"]);
    }
    here.reboot();
    let domain = here.open();
    let small = QueueOptions { capacity: 10, ..options(Fsync::Always) };
    expect(domain.queue_consumer("jobs", &small), ErrorKind::LimitReached, &["jobs", "20", "capacity"]);
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
    assert_eq!(consumer.stats().ready, 20);
    consumer.purge().unwrap();
    drop(consumer);
    assert!(!common::files_in(here.data.path()).is_empty());
    domain.unlink(Noun::Queue, "jobs").unwrap();
    assert_eq!(common::files_in(here.data.path()), Vec::<PathBuf>::new());
}

/// One removes the journal again and again, while another, in another runtime directory, puts into a queue it belongs to.
#[test]
fn whoever_removes_a_journal_takes_it_from_nobody() {
    let here = Durable::new();
    let elsewhere = Place::new();
    let other = Domain::open_with(in_data(elsewhere.options(), here.data.path().into())).unwrap();
    let put = |n: u32| {
        let mut producer = other.queue_producer("jobs", &options(Fsync::Always)).unwrap();
        let text = format!("number {n}");
        producer.put(text.as_bytes(), SECOND).unwrap();
        let has = |path: &PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        assert!(common::files_in(here.data.path()).iter().any(has), "{text} is lost");
        let mut consumer = other.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
        consumer.get(SECOND).unwrap().ack().unwrap();
    };
    std::thread::scope(|scope| {
        let putter = scope.spawn(|| (0..200).for_each(put));
        let (domain, mut random) = (here.open(), common::random::Random(1));
        while !putter.is_finished() {
            std::thread::sleep(Duration::from_micros(random.below(5000)));
            if let Err(e) = domain.unlink(Noun::Queue, "jobs") {
                assert!(matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Busy), "{e}");
            }
        }
    });
}

#[test]
fn whoever_dies_while_it_writes_is_followed_by_another() {
    const NAME: &str = "whoever_dies_while_it_writes_is_followed_by_another";
    if child::role().is_some() {
        let domain = role_domain();
        let mut producer = domain.queue_producer("jobs", &options(Fsync::Always)).unwrap();
        let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
        for n in 0u64.. {
            let put = Put { durable: Some(n % 4 == 0), ..Put::default() };
            producer.put_with(&Payload::raw(&n.to_le_bytes()), &put, None).unwrap();
            if n % 3 == 0 {
                consumer.get(SECOND).unwrap().ack().unwrap();
            }
        }
    }
    let here = Durable::new();
    let domain = here.open();
    let mut mine = domain.queue_producer("jobs", &options(Fsync::Always)).unwrap();
    let mut random = common::random::Random(1);
    for round in 0..8 {
        let mut children: Vec<_> = (0..2)
            .map(|_| here.command(NAME, "worker").stdout(std::process::Stdio::null()).spawn().unwrap())
            .collect();
        std::thread::sleep(Duration::from_millis(30 + random.below(60)));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        mine.put(format!("mine {round}").as_bytes(), SECOND).unwrap();
        mine.sync(SECOND).unwrap();
    }
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
    let before = consumer.peek(1_000_000).unwrap();
    let ready = consumer.stats().ready;
    assert_eq!(before.len() as u64, ready);
    drop((consumer, mine));
    drop(domain);
    here.reboot();
    let domain = here.open();
    let mut consumer = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
    let after = consumer.peek(1_000_000).unwrap();
    let of = |peeked: &[Peeked]| {
        let mut all: Vec<Vec<u8>> = peeked.iter().map(|p| p.data().to_vec()).collect();
        all.sort();
        all
    };
    assert_eq!(of(&before), of(&after));
    assert!(!after.is_empty());
    consumer.purge().unwrap();
}

#[test]
fn what_no_queue_takes_is_refused_before_anything_is_changed() {
    let here = Durable::new();
    let domain = here.open();
    let (most, limit) = (64 << 20, ["jobs", "64 MiB"]);
    let over = vec![7; most + 1];
    let mut attributes = Attributes::new();
    attributes.insert("type", &"x".repeat(4080)).unwrap();
    let result = Put { result: true, ..Put::default() };
    for durable in [None, Some(Fsync::Never)] {
        let options = QueueOptions { durable, ..Default::default() };
        let mut producer = domain.queue_producer("jobs", &options).unwrap();
        let mut consumer = domain.queue_consumer("jobs", &options).unwrap();
        expect(producer.put(&over, SECOND), ErrorKind::TooLarge, &limit);
        let refused = producer.try_put(&Payload::json(&over).with_attributes(&attributes), &result);
        expect(refused, ErrorKind::TooLarge, &limit);
        assert_eq!((producer.stats().ready, producer.stats().bytes, producer.stats().put), (0, 0, 0));
        let mut ticket = producer.put_with(&Payload::raw(b"job"), &result, SECOND).unwrap().ticket().unwrap();
        let refused = consumer.get(SECOND).unwrap().ack_with(&Payload::raw(&over));
        expect(refused, ErrorKind::TooLarge, &["jobs", "result", "64 MiB"]);
        assert!(ticket.try_result().unwrap().is_none());
        let again = consumer.get(SECOND).unwrap();
        assert_eq!((again.data(), again.attempt()), (&b"job"[..], 2));
        again.ack_with(&Payload::raw(&over[1..])).unwrap();
        assert_eq!(ticket.try_result().unwrap().unwrap().data().len(), most);
        // The longest record there can be: message, metadata and reason.
        let payload = Payload::raw(&over[1..]).with_attributes(&attributes);
        producer.put_with(&payload, &Put::default(), SECOND).unwrap();
        consumer.get(SECOND).unwrap().reject(&"y".repeat(5000)).unwrap();
        producer.sync(SECOND).unwrap();
        if durable.is_none() {
            drop((producer, consumer, ticket));
            domain.unlink(Noun::Queue, "jobs").unwrap();
        }
    }
    drop(domain);
    here.reboot();
    let mut consumer = here.open().queue_consumer("jobs", &options(Fsync::Never)).unwrap();
    let dead = &consumer.dead_letters(9).unwrap()[0];
    assert_eq!((dead.data().len(), dead.reason_text().len()), (most, 4096));
    consumer.purge_dead_letters().unwrap();
}

#[test]
fn a_queue_is_opened_as_what_it_is() {
    let here = Durable::new();
    let domain = here.open();
    let (memory, on_disk) = (QueueOptions::default(), options(Fsync::Always));
    {
        let mut producer = domain.queue_producer("memory", &memory).unwrap();
        let refused = ["queue 'memory'", "memory only"];
        expect(domain.queue_producer("memory", &on_disk), ErrorKind::InvalidArgument, &refused);
        expect(domain.queue_consumer("memory", &on_disk), ErrorKind::InvalidArgument, &refused);
        let (now, payload) = (Put { durable: Some(true), ..Put::default() }, Payload::raw(b"x"));
        expect(producer.put_with(&payload, &now, SECOND), ErrorKind::InvalidArgument, &refused);
        expect(producer.try_put(&payload, &now), ErrorKind::InvalidArgument, &refused);
        expect(producer.put_many(&[payload], &now, SECOND), ErrorKind::InvalidArgument, &refused);
        assert_eq!(producer.stats().put, 0);
        producer.put(b"x", SECOND).unwrap();
        producer.sync(SECOND).unwrap();
        let mut consumer = domain.queue_consumer("memory", &memory).unwrap();
        let now = Get { durable: Some(true), ..Get::default() };
        expect(consumer.get_with(&now, SECOND), ErrorKind::InvalidArgument, &refused);
        expect(consumer.get_many(2, &now, SECOND), ErrorKind::InvalidArgument, &refused);
        consumer.get(SECOND).unwrap().ack().unwrap();
    }
    // Whoever has nothing to say follows what is there, and so does who says something else of it.
    let first = domain.queue_producer("jobs", &on_disk).unwrap();
    for options in [&memory, &options(Fsync::Never)] {
        let mut producer = domain.queue_producer("jobs", options).unwrap();
        assert_eq!(producer.fsync(), Some(Fsync::Always));
        producer.put(b"kept", SECOND).unwrap();
    }
    drop((first, domain));
    here.reboot();
    let domain = here.open();
    let refused = ["queue 'jobs'", "on the disk", "durable", "unlink"];
    expect(domain.queue_consumer("jobs", &memory), ErrorKind::InvalidArgument, &refused);
    assert_eq!(domain.queue_consumer("jobs", &on_disk).unwrap().stats().ready, 2);
    domain.unlink(Noun::Queue, "jobs").unwrap();
    domain.queue_consumer("jobs", &memory).unwrap();
    // Where there is no directory for them, there is no journal.
    let mut nowhere = here.place.options();
    nowhere.data_dir = Some("no/path".into());
    Domain::open_with(nowhere).unwrap().queue_consumer("other", &memory).unwrap();
}

/// What is on the disk only.
fn left(here: &Durable) -> QueueOnDisk {
    let mut left = queues_on_disk(&in_data(here.place.options(), here.data.path().into())).unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    left.remove(0)
}

#[test]
fn how_a_queue_was_made_is_kept_on_the_disk() {
    let here = Durable::new();
    let dedup = Dedup { count: 10, within: Duration::from_secs(3) };
    let fsync = Some(Fsync::Interval(Duration::from_millis(7)));
    let small = QueueOptions {
        capacity: 100,
        max_attempts: 2,
        max_bytes: 224_000,
        durable: fsync,
        dedup,
        ..options(Fsync::Never)
    };
    here.open().queue_producer("jobs", &small).unwrap().put(b"poison", SECOND).unwrap();
    here.reboot();
    let kept = left(&here).options().unwrap();
    let essence = |o: &QueueOptions| (o.capacity, o.max_attempts, o.max_bytes, o.durable, o.dedup);
    assert_eq!(essence(&kept), essence(&small));
    {
        let domain = here.open();
        let mut consumer = domain.queue_consumer("jobs", &kept).unwrap();
        // Whoever comes second has what there is, whatever it asks for.
        let mut other = domain.queue_consumer("jobs", &options(Fsync::Always)).unwrap();
        assert_eq!((other.fsync(), other.stats().capacity, other.stats().max_bytes), (fsync, 100, 224_000));
        consumer.get(SECOND).unwrap().nack(Duration::ZERO).unwrap();
        other.get(SECOND).unwrap().nack(Duration::ZERO).unwrap();
        assert_eq!((other.try_get().unwrap().is_none(), other.stats().dead), (true, 1));
    }
    // Whoever makes it in memory decides, and is whom it is kept of: it need not be full for that, nor change.
    here.reboot();
    let large = QueueOptions { capacity: 200_000, max_attempts: 0, ..options(Fsync::Never) };
    let mut consumer = here.open().queue_consumer("jobs", &large).unwrap();
    assert_eq!(consumer.purge_dead_letters().unwrap(), 1);
    drop(consumer);
    let kept = left(&here).options().unwrap();
    assert_eq!((kept.capacity, kept.max_attempts, kept.durable), (200_000, 0, Some(Fsync::Never)));
}

#[test]
fn options_with_too_little_room_change_nothing() {
    let here = Durable::new();
    let few = QueueOptions { capacity: 2, ..options(Fsync::Never) };
    let mut producer = here.open().queue_producer("jobs", &options(Fsync::Always)).unwrap();
    (0..3).for_each(|_| producer.put(b"kept", SECOND).unwrap());
    drop(producer);
    here.reboot();
    let files = || std::fs::read_dir(left(&here).path).unwrap().count();
    let before = files();
    for _ in 0..2 {
        let domain = here.open();
        expect(domain.queue_producer("jobs", &few), ErrorKind::LimitReached, &["3 messages", "capacity"]);
    }
    let kept = left(&here).options().unwrap();
    assert_eq!((files(), kept.capacity, kept.durable), (before, 65536, Some(Fsync::Always)));
    let domain = here.open();
    assert_eq!(domain.queue_consumer("jobs", &kept).unwrap().stats().ready, 3);
    domain.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn a_data_directory_that_does_not_fit_is_called_what_it_is() {
    let (here, other) = (Durable::new(), Durable::new());
    let options = options(Fsync::Always);
    let mut producer = here.open().queue_producer("jobs", &options).unwrap();
    producer.put(b"kept", SECOND).unwrap();
    // The same domain with another data directory, where nothing is made.
    let strayed = Domain::open_with(in_data(here.place.options(), other.data.path().into())).unwrap();
    let told = ["'jobs'", "another data directory", "AXONIC_DATA_DIR"];
    expect(strayed.queue_consumer("jobs", &options), ErrorKind::InvalidArgument, &told);
    assert_eq!(std::fs::read_dir(other.data.path()).unwrap().count(), 0);
    // Another domain with the same one.
    let twin = Domain::open_with(in_data(other.place.options(), here.data.path().into())).unwrap();
    expect(twin.queue_consumer("jobs", &options), ErrorKind::Busy, &["'jobs'", "another runtime directory"]);
    // It was removed under those who use it.
    std::fs::remove_dir_all(here.data.path().join("test")).unwrap();
    let told = ["'jobs'", "was removed", "unlink"];
    expect(here.open().queue_consumer("jobs", &options), ErrorKind::NotFound, &told);
    assert!(!here.data.path().join("test").exists());
    drop(producer);
    strayed.unlink(Noun::Queue, "jobs").unwrap();
}

#[test]
fn a_queue_is_made_anew_while_the_last_one_leaves() {
    let here = Durable::new();
    let domain = here.open();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    drop(domain.queue_producer("jobs", &options(Fsync::Never)).unwrap());
                }
            });
        }
    });
}
