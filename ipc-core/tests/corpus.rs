//! The committed inputs of the fuzz targets (`fuzz/`), and some more made from them, replayed without
//! instrumentation: only errors come of them. `AXONIC_TEST_SEED` makes the further ones again.

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

mod common;

use common::child;
use common::random::Random;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a single input may take on a busy machine; where nothing hangs it takes a few milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
/// How long each target goes on with inputs of its own making.
const FURTHER: Duration = Duration::from_millis(250);

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{directory:?}: {e}"));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Some bytes of an input are others.
fn vary(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut varied = input.to_vec();
    for _ in 0..=random.below(4) {
        if !varied.is_empty() {
            let at = random.below(varied.len() as u64) as usize;
            varied[at] = [0, 1, 0xff, 64, random.next() as u8][random.below(5) as usize];
        }
    }
    varied
}

/// Ends this process, with the reason, when one input takes too long.
fn watch(beat: &'static AtomicU64) {
    std::thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = beat.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > LIMIT {
                println!("the last input above hangs");
                std::process::abort();
            }
        }
    });
}

#[test]
fn hostile_inputs_give_errors_only() {
    // In a process of its own, which has then said what it was given even if it is aborted.
    if child::role().is_none() {
        let name = "hostile_inputs_give_errors_only";
        return child::run(&mut child::command(name, "inputs", Path::new("/")));
    }
    static BEAT: AtomicU64 = AtomicU64::new(0);
    watch(&BEAT);
    let seed = std::env::var("AXONIC_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    for name in targets::NAMES {
        let inputs = corpus(name);
        assert!(inputs.len() >= 3, "{name}: its corpus is missing");
        let mut target = targets::make(name);
        let mut run = |file: &str, data: &[u8]| {
            println!("{name} {file}: {data:02x?}");
            BEAT.fetch_add(1, Ordering::Relaxed);
            target.run(data);
        };
        inputs.iter().for_each(|(file, data)| run(file, data));
        let (started, mut random) = (Instant::now(), Random(seed));
        while started.elapsed() < FURTHER {
            let (file, data) = &inputs[(random.below(inputs.len() as u64)) as usize];
            run(&format!("like {file}"), &vary(data, &mut random));
        }
    }
}
