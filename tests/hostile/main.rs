//! The live fuzzer: words of every file of a domain are overwritten at random while peers in Rust, C, Python and
//! Node use it. Nobody crashes, hangs or is blamed: only errors may come of it.
//!
//! The core's own `mutation` test does the same within one process and with more calls; here the skins take part.
//! Each round has a seed, printed before it starts; `AXONIC_TEST_SEED` runs one round again.

#[path = "../../ipc-core/tests/common/mod.rs"]
mod common;
mod connections;
mod peers;

use common::random::Random;
use peers::Peer;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the peers of a round work.
const ROUND: Duration = Duration::from_secs(3);
/// How long they may take to end after that, on a busy machine.
const GRACE: Duration = Duration::from_secs(20);
/// How long the rounds go on unless `AXONIC_CHAOS_SECONDS` says otherwise.
const SECONDS: f64 = 30.0;
/// Words near the beginning of a file steer more than others.
const STEERING: u64 = 1600;

/// Every file below a directory that can be damaged.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Overwrites a word; the file may be gone.
fn mutate(path: &Path, random: &mut Random) -> Option<()> {
    let file = File::options().read(true).write(true).open(path).ok()?;
    let words = file.metadata().ok()?.len() / 8;
    let limit = if random.below(2) == 0 { words.min(STEERING) } else { words };
    let at = random.below(limit.max(1)) * 8;
    let mut old = [0; 8];
    file.read_exact_at(&mut old, at).ok()?;
    file.write_all_at(&random.word(u64::from_le_bytes(old)).to_le_bytes(), at).ok()
}

/// Damages the files of a domain until the time is over; how many words were overwritten.
fn damage(directory: &Path, random: &mut Random, end: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < end {
        let files = files(directory);
        for _ in 0..20 {
            if !files.is_empty() {
                let file = &files[random.below(files.len() as u64) as usize];
                done += u64::from(mutate(file, random).is_some());
            }
            std::thread::sleep(Duration::from_micros(random.below(1000)));
        }
    }
    done
}

fn round(peers: &[Peer], seed: u64) {
    let place = tempfile::Builder::new().prefix("axonic-hostile-").tempdir_in("/dev/shm").unwrap();
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut random = Random(seed);
    let overflow = ["drop_oldest", "block", "reject"][random.below(3) as usize];
    let milliseconds = ROUND.as_millis().to_string();
    let mut running: Vec<_> =
        peers.iter().map(|peer| peer.start(place.path(), data.path(), &milliseconds, overflow)).collect();
    running.iter_mut().for_each(|peer| peer.ready());
    let end = Instant::now() + ROUND;
    let words = damage(place.path(), &mut random, end);
    let said: Vec<String> = running.into_iter().map(|peer| peer.end(end + GRACE)).collect();
    println!("  {overflow}, {words} words: {}", said.join(", "));
}

#[test]
#[ignore = "chaos: takes a while, and needs every skin"]
fn peers_in_every_language_survive_mutated_memory() {
    let peers = Peer::all();
    if let Ok(seed) = std::env::var("AXONIC_TEST_SEED") {
        return round(&peers, seed.parse().unwrap());
    }
    let seconds = std::env::var("AXONIC_CHAOS_SECONDS").map_or(SECONDS, |s| s.parse().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    while Instant::now() < end {
        println!("seed {seed}");
        round(&peers, seed);
        seed += 1;
    }
}

#[test]
fn a_seed_does_the_same_damage_again() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("file");
    let damaged = |seed| {
        std::fs::write(&path, vec![7; 20_000]).unwrap();
        let mut random = Random(seed);
        (0..50).for_each(|_| mutate(&path, &mut random).unwrap());
        std::fs::read(&path).unwrap()
    };
    assert_eq!(files(directory.path()), Vec::<PathBuf>::new());
    let first = damaged(1);
    assert!(first == damaged(1) && first != damaged(2) && first != vec![7; 20_000]);
    assert_eq!((first.len(), files(directory.path())), (20_000, vec![path.clone()]));
}
