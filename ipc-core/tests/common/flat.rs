//! What processes and a domain hold, looked at while they work. It may rise until they have done everything once;
//! from then on it must not.

use std::path::Path;
use std::time::{Duration, Instant};

/// So often they are looked at; what the first third of the looks saw is not counted.
const LOOKS: u32 = 30;

/// Descriptors, mappings, and KiB of memory that are a process's alone.
pub type Held = [u64; 3];
const HOLDS: [&str; 3] = ["descriptors", "mappings", "KiB"];

pub fn held(pid: u32) -> Held {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let rollup = read("smaps_rollup");
    let private = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    let kib = private.trim().trim_end_matches(" kB").parse().unwrap();
    [descriptors, read("maps").lines().count() as u64, kib]
}

/// Does something for a moment, so that everything was done once, and then for long: afterwards this process holds
/// what it held before. No other test may run in it meanwhile.
pub fn stays_flat(time: Duration, mut work: impl FnMut(Duration)) {
    const ALLOWED: Held = [0, 16, 2048];
    work(Duration::from_secs(1));
    let before = held(std::process::id());
    work(time);
    let after = held(std::process::id());
    let grown =
        after.iter().zip(before).zip(ALLOWED).any(|((after, before), allowed)| *after > before + allowed);
    assert!(!grown, "{HOLDS:?} grew from {before:?} to {after:?}; {ALLOWED:?} more are allowed");
}

/// One number over time, and by how much it may be larger in the end.
struct Series {
    what: String,
    allowed: u64,
    values: Vec<u64>,
}

pub struct Flat {
    series: Vec<Series>,
    every: Duration,
    next: Instant,
}

impl Flat {
    /// For work that takes this long.
    pub fn over(time: Duration) -> Flat {
        Flat { series: Vec::new(), every: time / LOOKS, next: Instant::now() }
    }

    /// Whether it is time for another look.
    pub fn is_due(&mut self) -> bool {
        let due = Instant::now() >= self.next;
        if due {
            self.next = Instant::now() + self.every;
        }
        due
    }

    /// A process, which may have so many more descriptors, mappings and KiB in the end.
    pub fn process(&mut self, name: &str, pid: u32, allowed: Held) {
        for ((what, value), allowed) in HOLDS.iter().zip(held(pid)).zip(allowed) {
            self.note(format!("{name}: {what}"), allowed, value);
        }
    }

    /// The files of a domain and the memory they take.
    pub fn domain(&mut self, path: &Path, allowed_files: u64, allowed_kib: u64) {
        use std::os::unix::fs::MetadataExt;
        let files = super::files_in(path);
        let blocks = files.iter().filter_map(|file| Some(file.symlink_metadata().ok()?.blocks()));
        self.note("domain: KiB".into(), allowed_kib, blocks.sum::<u64>() / 2);
        self.note("domain: files".into(), allowed_files, files.len() as u64);
    }

    fn note(&mut self, what: String, allowed: u64, value: u64) {
        match self.series.iter_mut().find(|series| series.what == what) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series { what, allowed, values: vec![value] }),
        }
    }

    /// Fails if something grew. Of what comes and goes, the least that was seen counts: it has what never goes.
    pub fn check(self) {
        let mut grown = Vec::new();
        for Series { what, allowed, values } in self.series {
            let third = values.len() / 3;
            assert!(third > 1, "{what}: {} looks are too few", values.len());
            let least = |values: &[u64]| *values.iter().min().unwrap();
            let (before, after) = (least(&values[third..2 * third]), least(&values[2 * third..]));
            println!("  {what}: {} at first, {before}, {after} in the end", values[0]);
            if after > before + allowed {
                grown.push(format!("{what}: from {before} to {after}, {allowed} allowed: {values:?}"));
            }
        }
        assert!(grown.is_empty(), "it grew: {grown:#?}");
    }
}
