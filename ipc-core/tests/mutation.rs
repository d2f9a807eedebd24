//! Shared memory that changes under its users: words of every file are overwritten at random while publishers,
//! subscribers, ring ends, queues, durable ones too, locks and onlookers use them. Errors only: no crash, no hang, no wild
//! read; and a journal can be read afterwards, or is left alone.
//!
//! Each round has a seed, printed before it starts; AXONIC_TEST_SEED runs one round again.

mod common;

use axonic::*;
use common::random::Random;
use common::{Place, child, files_in, options_in};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 60;
const MUTATIONS: u64 = 400;
/// How long a call of these tests waits.
const SOON: Option<Duration> = Some(Duration::from_millis(2));

/// A file of the domain, mapped to be damaged.
struct Target {
    memory: memmap2::MmapRaw,
}

impl Target {
    fn open(path: &Path) -> Option<Target> {
        let file = std::fs::File::options().read(true).write(true).open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        memmap2::MmapRaw::map_raw(&file).ok().map(|memory| Target { memory })
    }

    fn word(&self, place: usize) -> &AtomicU64 {
        assert!(place < self.memory.len() / 8);
        // SAFETY: within the mapping and aligned; others race for it through atomics.
        unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().cast::<u64>().add(place)) }
    }

    /// Overwrites a word, unless it is to be spared. Half of them near the beginning, where the words are that steer, half
    /// of them in use.
    fn mutate(&self, random: &mut Random, spared: &Range<usize>) {
        let words = (self.memory.len() / 8) as u64;
        let limit = if random.below(2) == 0 { words.min(1600) } else { words };
        let place = random.below(limit) as usize;
        let in_use = |place: &usize| self.word(*place).load(Ordering::Relaxed) != 0;
        let next = if random.below(2) == 0 { (place..words as usize).find(in_use) } else { None };
        let place = next.unwrap_or(place);
        if spared.contains(&place) {
            return;
        }
        let word = self.word(place);
        word.store(random.word(word.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

/// How often each kind of error was seen, by its number; zero is success.
static SEEN: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];

/// No damage may look like a mistake of the caller.
fn fair<T>(result: Result<T>) -> Option<T> {
    use ErrorKind::*;
    SEEN[result.as_ref().map_or_else(|e| e.kind().number(), |_| 0) as usize].fetch_add(1, Ordering::Relaxed);
    match result {
        Ok(done) => Some(done),
        Err(e) => {
            assert!(
                !matches!(e.kind(), InvalidArgument | InvalidName | Forked | Unsupported | Decode),
                "{e:?}"
            );
            None
        }
    }
}

fn publish(domain: &Domain, overflow: Overflow, stop: &AtomicBool, seed: u64) {
    let mut random = Random(seed);
    let options =
        PublisherOptions { overflow, capacity: 64 << 10, max_bytes: 256 << 10, ..Default::default() };
    while !stop.load(Ordering::Relaxed) {
        let Some(mut publisher) = fair(domain.publisher("t", &options)) else { continue };
        if random.below(2) == 0 {
            fair(publisher.fd());
        }
        for _ in 0..200 {
            let data = vec![random.next() as u8; [0, 10, 2000, 5000, 40_000][random.below(5) as usize]];
            let tensor = Tensor::new(Dtype::U8, [data.len()]);
            let payload = Payload::tensor(&data, &tensor);
            match random.below(4) {
                0 => fair(publisher.try_send(&payload)),
                1 => fair(publisher.publish_many(&[payload; 3], SOON)),
                _ => fair(publisher.send(&payload, SOON)),
            };
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

fn subscribe(domain: &Domain, stop: &AtomicBool, seed: u64) {
    let mut random = Random(seed);
    let options = SubscriberOptions { start: Start::Oldest, max_borrowed: 4, ..Default::default() };
    while !stop.load(Ordering::Relaxed) {
        let Some(mut subscriber) = fair(domain.subscriber("t", &options)) else { continue };
        let mut held = Vec::new();
        if random.below(2) == 0 {
            fair(subscriber.fd());
        }
        for _ in 0..300 {
            let choice = random.below(3);
            if choice == 0 {
                fair(subscriber.try_receive());
            } else if choice == 1 {
                if let Some(message) = fair(subscriber.receive(SOON)) {
                    std::hint::black_box(message.data().iter().map(|b| u64::from(*b)).sum::<u64>());
                    fair(message.attributes());
                }
            } else if let Some(sample) = fair(subscriber.borrow(SOON)) {
                held.push(sample);
            }
            if held.len() > 5 {
                let sum = |sample: Sample| sample.iter().map(|b| u64::from(*b)).sum::<u64>();
                std::hint::black_box(held.drain(..).map(sum).sum::<u64>());
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

fn produce(domain: &Domain, stop: &AtomicBool, seed: u64) {
    let mut random = Random(seed);
    while !stop.load(Ordering::Relaxed) {
        let Some(mut producer) =
            fair(domain.ring_producer("r", &RingOptions { capacity: 10_000, ..Default::default() }))
        else {
            continue;
        };
        for _ in 0..200 {
            fair(producer.push(&vec![1; random.below(5000) as usize], SOON));
        }
    }
}

fn consume(domain: &Domain, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(mut consumer) = fair(domain.ring_consumer("r", &RingOptions::default())) else { continue };
        for _ in 0..200 {
            if let Some(data) = fair(consumer.pop(SOON)) {
                std::hint::black_box(data.iter().map(|b| u64::from(*b)).sum::<u64>());
            }
        }
    }
}

fn jobs(durable: Option<Fsync>) -> QueueOptions {
    QueueOptions {
        durable,
        capacity: 64,
        max_bytes: 256 * 224,
        dedup: Dedup { count: 32, ..Default::default() },
        ..Default::default()
    }
}

fn put_jobs(domain: &Domain, options: &QueueOptions, stop: &AtomicBool, seed: u64) {
    let mut random = Random(seed);
    while !stop.load(Ordering::Relaxed) {
        let Some(mut producer) = fair(domain.queue_producer("q", options)) else { continue };
        if random.below(2) == 0 {
            fair(producer.fd());
        }
        for _ in 0..200 {
            let data = vec![random.next() as u8; [0, 100, 129, 3000, 20_000][random.below(5) as usize]];
            let put = Put {
                priority: random.below(8) as u8,
                delay: Duration::from_micros(random.below(4) / 2 * 500),
                ttl: (random.below(8) == 0).then_some(Duration::from_millis(1)),
                dedup_id: (random.below(4) == 0).then(|| random.below(100).to_string()),
                result: random.below(4) == 0,
                ..Default::default()
            };
            let tensor = Tensor::new(Dtype::U8, [data.len()]);
            let receipt = match random.below(3) {
                0 => fair(producer.try_put(&Payload::raw(&data), &put)),
                1 => fair(producer.put_with(&Payload::tensor(&data, &tensor), &put, SOON)),
                _ => fair(producer.put(&data, SOON)).and(None),
            };
            if let Some(mut ticket) = receipt.and_then(Receipt::ticket) {
                std::hint::black_box(ticket.progress());
                if let Some(outcome) = fair(producer.result(&mut ticket, SOON)) {
                    std::hint::black_box(outcome.data().iter().map(|b| u64::from(*b)).sum::<u64>());
                }
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

fn take_jobs(domain: &Domain, options: &QueueOptions, stop: &AtomicBool, seed: u64) {
    let mut random = Random(seed);
    while !stop.load(Ordering::Relaxed) {
        let Some(mut consumer) = fair(domain.queue_consumer("q", options)) else { continue };
        if random.below(2) == 0 {
            fair(consumer.fd());
        }
        for _ in 0..200 {
            let lease = (random.below(3) == 0).then_some(Duration::from_micros(200));
            if let Some(delivery) = fair(consumer.get_with(&Get { lease, ..Default::default() }, SOON)) {
                settle(delivery, &mut random);
            }
            match random.below(40) {
                0 => drop(fair(consumer.peek(100))),
                1 => drop(fair(consumer.dead_letters(100))),
                2 => drop(fair(consumer.redrive(100))),
                3 => drop(fair(consumer.purge())),
                4 => drop(fair(consumer.purge_dead_letters())),
                _ => drop(std::hint::black_box(consumer.stats())),
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

fn settle(mut delivery: Delivery, random: &mut Random) {
    std::hint::black_box(delivery.data().iter().map(|b| u64::from(*b)).sum::<u64>());
    fair(delivery.tensor());
    fair(delivery.progress(0.5));
    match random.below(6) {
        0 => None,
        1 => fair(delivery.nack(Duration::from_micros(random.below(500)))),
        2 => fair(delivery.reject("no good")),
        3 => fair(delivery.extend(Duration::from_micros(random.below(500)))),
        4 => fair(delivery.ack_with(&Payload::raw(&[7; 1000]))),
        _ => fair(delivery.ack()),
    };
}

/// Opens a lock. One whose file says that it is another kind of lock, or has another number, cannot be told from that.
fn opened<T>(lock: Result<T>) -> Option<T> {
    if lock.as_ref().is_err_and(|e| e.kind() == ErrorKind::InvalidArgument) { None } else { fair(lock) }
}

/// Every lock there is, over and over; nobody gets one for long.
fn lock(domain: &Domain, stop: &AtomicBool, seed: u64) {
    let (mut random, options) = (Random(seed), LockOptions::default());
    while !stop.load(Ordering::Relaxed) {
        let mutex = opened(domain.mutex("m", &options));
        let condvar = opened(domain.condvar("c", &options));
        if let (Some(mut mutex), Some(mut condvar)) = (mutex, condvar) {
            if fair(mutex.lock(SOON)).is_some() && random.below(2) == 0 {
                fair(condvar.wait(&mut mutex, SOON));
            }
            std::hint::black_box(mutex.is_locked());
            fair(condvar.notify_all());
            let _ = mutex.unlock();
        }
        if let Some(mut lock) = opened(domain.rwlock("rw", &options)) {
            let _ = if random.below(2) == 0 { lock.read(SOON) } else { lock.write(SOON) };
            let _ = lock.unlock();
        }
        if let Some(mut semaphore) = opened(domain.semaphore("s", 2, &options)) {
            fair(semaphore.acquire(SOON));
            let _ = semaphore.release();
        }
        if let Some(mut event) = opened(domain.event("e", Reset::Auto, &options)) {
            fair(event.wait(SOON));
            fair(event.set());
        }
        if let Some(mut barrier) = opened(domain.barrier("b", 2, &options)) {
            fair(barrier.wait(SOON));
            fair(barrier.waiting());
        }
    }
}

/// Others come and go, and look.
fn look(directory: &Path, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        fair(snapshot(&options_in(directory)));
        fair(doctor(&options_in(directory), false));
        if let Some(domain) = fair(Domain::open_with(options_in(directory))) {
            fair(domain.region("m", &RegionOptions { size: Some(100), ..Default::default() }));
            fair(doctor(&options_in(directory), true));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What is damaged.
struct Aim {
    /// Whether a file is.
    at: fn(&Path) -> bool,
    /// Which words are not.
    spared: Range<usize>,
}

const EVERYTHING: Aim = Aim { at: |_| true, spared: 0..0 };
/// The words in a queue that tell how far its journal has come, and who writes it (docs/protocol.md).
const ALL_BUT_THE_JOURNAL: Aim = Aim { at: |path| path.ends_with("queues/q"), spared: 4096 / 8..4608 / 8 };

fn damage(directory: &Path, random: &mut Random, aim: &Aim) {
    let mut targets: Vec<(PathBuf, Option<Target>)> = Vec::new();
    for i in 0..MUTATIONS {
        if i % 50 == 0 {
            for path in files_in(directory).into_iter().filter(|path| (aim.at)(path)) {
                if !targets.iter().any(|(known, _)| *known == path) {
                    targets.push((path.clone(), Target::open(&path)));
                }
            }
        }
        let pick = random.below(targets.len().max(1) as u64) as usize;
        if let Some((_, Some(target))) = targets.get(pick) {
            target.mutate(random, &aim.spared);
        }
        if i % 10 == 0 {
            std::thread::sleep(Duration::from_micros(random.below(500)));
        }
    }
}

/// What uses the memory meanwhile: three participants, an order to end, and a seed.
type Users = fn(&[Domain; 3], &AtomicBool, u64);

fn topics_and_rings(domains: &[Domain; 3], stop: &AtomicBool, seed: u64) {
    let overflow = [Overflow::DropOldest, Overflow::Block, Overflow::Reject][seed as usize % 3];
    std::thread::scope(|scope| {
        scope.spawn(|| publish(&domains[0], overflow, stop, seed ^ 1));
        scope.spawn(|| subscribe(&domains[1], stop, seed ^ 2));
        scope.spawn(|| produce(&domains[0], stop, seed ^ 3));
        scope.spawn(|| consume(&domains[1], stop));
    });
}

fn queues_and_locks(domains: &[Domain; 3], stop: &AtomicBool, seed: u64) {
    std::thread::scope(|scope| {
        scope.spawn(|| put_jobs(&domains[0], &jobs(None), stop, seed ^ 1));
        scope.spawn(|| take_jobs(&domains[1], &jobs(None), stop, seed ^ 2));
        scope.spawn(|| take_jobs(&domains[2], &jobs(None), stop, seed ^ 3));
        scope.spawn(|| lock(&domains[0], stop, seed ^ 4));
        scope.spawn(|| lock(&domains[1], stop, seed ^ 5));
    });
}

fn durable_queue(domains: &[Domain; 3], stop: &AtomicBool, seed: u64) {
    let fsync = [Fsync::Always, Fsync::Interval(Duration::from_millis(1)), Fsync::Never][seed as usize % 3];
    let options = jobs(Some(fsync));
    std::thread::scope(|scope| {
        scope.spawn(|| put_jobs(&domains[0], &options, stop, seed ^ 1));
        scope.spawn(|| take_jobs(&domains[1], &options, stop, seed ^ 2));
        scope.spawn(|| take_jobs(&domains[2], &options, stop, seed ^ 3));
    });
}

/// All have stopped and somebody starts again: what the journal has is there. A journal that is not as one can be is left
/// as it is. Whether it was read.
fn start_again(options: DomainOptions, data: &Path) -> bool {
    let contents = || -> Vec<_> {
        let segments =
            files_in(data).into_iter().filter(|path| path.extension().is_some_and(|e| e == "journal"));
        segments.map(|path| (std::fs::read(&path).unwrap(), path)).collect()
    };
    let (domain, before) = (Domain::open_with(options).unwrap(), contents());
    let roomy = QueueOptions { capacity: 1 << 16, max_bytes: 64 << 20, ..jobs(Some(Fsync::Never)) };
    match domain.queue_consumer("q", &roomy) {
        Ok(mut consumer) => {
            while let Some(job) = fair(consumer.try_get()).flatten() {
                std::hint::black_box(job.data().iter().map(|b| u64::from(*b)).sum::<u64>());
                fair(job.ack());
            }
            fair(consumer.dead_letters(1000));
            true
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
            println!("start again: {e}");
            assert!(contents() == before, "something was changed");
            false
        }
    }
}

fn round(directory: &Path, users: Users, aim: &Aim, seed: u64) {
    let mut random = Random(seed);
    let stop = AtomicBool::new(false);
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = || DomainOptions { data_dir: Some(data.path().into()), ..options_in(directory) };
    let open = || Domain::open_with(options()).unwrap();
    let domains = [open(), open(), open()];
    std::thread::scope(|scope| {
        scope.spawn(|| users(&domains, &stop, seed));
        scope.spawn(|| look(directory, &stop));
        std::thread::sleep(Duration::from_millis(5));
        damage(directory, &mut random, aim);
        stop.store(true, Ordering::Relaxed);
    });
    drop(domains);
    let forget = || std::fs::remove_dir_all(directory.join("test")).ok();
    forget();
    if !files_in(data.path()).is_empty() {
        let is_read = start_again(options(), data.path());
        assert!(is_read || aim.spared.is_empty(), "the journal of seed {seed} cannot be read");
        forget();
    }
}

/// Ends this process, with the seed, when a round takes too long.
fn watch(running: &'static AtomicU64) {
    std::thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = running.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_secs(10) {
                println!("the round of seed {now} hangs");
                std::process::abort();
            }
        }
    });
}

/// Rounds for some seconds, of test `name`; errors of these kinds must have come of them.
fn rounds(name: &str, users: Users, aim: &Aim, kinds: &[ErrorKind]) {
    if child::role().is_none() {
        let place = Place::new();
        return child::run(&mut child::command(name, "rounds", place.path()));
    }
    static RUNNING: AtomicU64 = AtomicU64::new(0);
    watch(&RUNNING);
    let again = std::env::var("AXONIC_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let first = again.unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    let (started, mut rounds) = (Instant::now(), 0);
    for seed in first..first + if again.is_some() { 1 } else { ROUNDS } {
        println!("seed {seed}");
        RUNNING.store(seed, Ordering::Relaxed);
        round(&child::directory(), users, aim, seed);
        rounds += 1;
        if started.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    let seen = |kind: ErrorKind| SEEN[kind.number() as usize].load(Ordering::Relaxed);
    let all: Vec<(ErrorKind, u64)> =
        ErrorKind::ALL.iter().map(|k| (*k, seen(*k))).filter(|(_, n)| *n > 0).collect();
    println!(
        "{rounds} rounds, {} mutations, {} successes, {all:?}",
        rounds * MUTATIONS,
        SEEN[0].load(Ordering::Relaxed)
    );
    assert!(kinds.iter().all(|kind| seen(*kind) > 0) || again.is_some(), "nothing was damaged");
}

#[test]
fn mutated_memory_gives_errors_only() {
    let kinds = [ErrorKind::Corrupt, ErrorKind::LayoutMismatch];
    rounds("mutated_memory_gives_errors_only", topics_and_rings, &EVERYTHING, &kinds);
}

#[test]
fn mutated_queues_and_locks_give_errors_only() {
    let kinds = [ErrorKind::Corrupt];
    rounds("mutated_queues_and_locks_give_errors_only", queues_and_locks, &EVERYTHING, &kinds);
}

#[test]
fn a_mutated_durable_queue_gives_errors_only() {
    let kinds = [ErrorKind::Corrupt];
    rounds("a_mutated_durable_queue_gives_errors_only", durable_queue, &EVERYTHING, &kinds);
}

#[test]
fn a_mutated_queue_leaves_a_journal_that_can_be_read() {
    let kinds = [ErrorKind::Corrupt];
    rounds("a_mutated_queue_leaves_a_journal_that_can_be_read", durable_queue, &ALL_BUT_THE_JOURNAL, &kinds);
}
