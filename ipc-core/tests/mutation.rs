//! Shared memory that changes under its users: words of every file are overwritten at random while publishers,
//! subscribers, ring ends and onlookers use them. Errors only: no crash, no hang, no wild read.
//!
//! Each round has a seed, printed before it starts; AXONIC_TEST_SEED runs one round again.

mod common;

use axonic::*;
use common::random::Random;
use common::{Place, child, files_in, options_in};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NAME: &str = "mutated_memory_gives_errors_only";
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

    /// Overwrites a word. Half of them near the beginning, where the words are that steer.
    fn mutate(&self, random: &mut Random) {
        let words = (self.memory.len() / 8) as u64;
        let limit = if random.below(2) == 0 { words.min(1600) } else { words };
        let place = self.memory.as_mut_ptr().cast::<u64>().wrapping_add(random.below(limit) as usize);
        // SAFETY: within the mapping and aligned; others race for it through atomics.
        let word = unsafe { AtomicU64::from_ptr(place) };
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

fn damage(directory: &Path, random: &mut Random) {
    let mut targets: Vec<(PathBuf, Option<Target>)> = Vec::new();
    for i in 0..MUTATIONS {
        if i % 50 == 0 {
            for path in files_in(directory) {
                if !targets.iter().any(|(known, _)| *known == path) {
                    targets.push((path.clone(), Target::open(&path)));
                }
            }
        }
        let pick = random.below(targets.len() as u64) as usize;
        if let Some(target) = &targets[pick].1 {
            target.mutate(random);
        }
        if i % 10 == 0 {
            std::thread::sleep(Duration::from_micros(random.below(500)));
        }
    }
}

fn round(directory: &Path, seed: u64) {
    let mut random = Random(seed);
    let stop = AtomicBool::new(false);
    let open = || Domain::open_with(options_in(directory)).unwrap();
    let domains = [open(), open(), open()];
    let overflow = [Overflow::DropOldest, Overflow::Block, Overflow::Reject][random.below(3) as usize];
    std::thread::scope(|scope| {
        scope.spawn(|| publish(&domains[0], overflow, &stop, seed ^ 1));
        scope.spawn(|| subscribe(&domains[1], &stop, seed ^ 2));
        scope.spawn(|| produce(&domains[0], &stop, seed ^ 3));
        scope.spawn(|| consume(&domains[1], &stop));
        scope.spawn(|| look(directory, &stop));
        std::thread::sleep(Duration::from_millis(5));
        damage(directory, &mut random);
        stop.store(true, Ordering::Relaxed);
    });
    drop(domains);
    std::fs::remove_dir_all(directory.join("test")).ok();
}

#[test]
fn mutated_memory_gives_errors_only() {
    if child::role().is_none() {
        let place = Place::new();
        return child::run(&mut child::command(NAME, "rounds", place.path()));
    }
    let running = std::sync::Arc::new(AtomicU64::new(0));
    let watched = running.clone();
    std::thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = watched.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_secs(10) {
                println!("the round of seed {now} hangs");
                std::process::abort();
            }
        }
    });
    let again = std::env::var("AXONIC_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let first = again.unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    let (started, mut rounds) = (Instant::now(), 0);
    for seed in first..first + if again.is_some() { 1 } else { ROUNDS } {
        println!("seed {seed}");
        running.store(seed, Ordering::Relaxed);
        round(&child::directory(), seed);
        rounds += 1;
        if started.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    let seen = |kind: ErrorKind| SEEN[kind.number() as usize].load(Ordering::Relaxed);
    let kinds: Vec<(ErrorKind, u64)> =
        ErrorKind::ALL.iter().map(|k| (*k, seen(*k))).filter(|(_, n)| *n > 0).collect();
    println!(
        "{rounds} rounds, {} mutations, {} successes, {kinds:?}",
        rounds * MUTATIONS,
        SEEN[0].load(Ordering::Relaxed)
    );
    assert!(
        seen(ErrorKind::Corrupt) > 0 && seen(ErrorKind::LayoutMismatch) > 0 || again.is_some(),
        "nothing was damaged"
    );
}
