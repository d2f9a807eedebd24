//! Reading shared files as `docs/protocol.md` describes them, without the library.

use crate::numbered_file;
use crate::peers::Peer;
use crate::place;
use crate::table::{CONDVARS, LOCK_WORDS, LOCKS, Lock, WAITING, Word};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first file that appears in a directory.
pub fn wait_for_file(directory: &Path) -> Option<PathBuf> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if let Some(entry) = std::fs::read_dir(directory).into_iter().flatten().flatten().next() {
            return Some(entry.path());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Waits until this file is there; it is whole then.
pub fn wait_for(path: &Path) -> bool {
    let started = Instant::now();
    while !path.exists() && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(1));
    }
    path.exists()
}

/// Compares words of a file with what the table says.
pub fn check(path: &Path, words: &[Word], language: &str) {
    let bytes = std::fs::read(path).expect("a readable shared file");
    for (offset, value, what) in words {
        let word = u64::from_le_bytes(bytes[*offset..offset + 8].try_into().expect("eight bytes"));
        assert_eq!(word, *value, "{language}: {what} at {offset} of {}", path.display());
    }
}

/// Where the roster of an object that several write begins.
const ROSTER: usize = 4096;

fn word(path: &Path, offset: usize) -> Option<u64> {
    let bytes = std::fs::read(path).ok()?;
    Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

/// Waits for the last of what a peer does, which the table tells, and compares all of it.
fn check_locks(directory: &Path, locks: &[Lock], last: (&str, usize, u64), language: &str) {
    let (name, offset, value) = last;
    let started = Instant::now();
    while word(&directory.join(name), offset) != Some(value) {
        assert!(started.elapsed() < Duration::from_secs(10), "{language}: {name} has no {value} at {offset}");
        std::thread::sleep(Duration::from_millis(1));
    }
    for (name, words, owned) in locks {
        let path = directory.join(name);
        check(&path, &LOCK_WORDS, language);
        check(&path, words, language);
        let id = word(&path, ROSTER).unwrap_or_default();
        assert_eq!(id >> 32, 1, "{language}: slot 0 and its first epoch have the first row of {name}");
        owned.iter().for_each(|at| assert_eq!(word(&path, *at), Some(id), "{language}: {at} of {name}"));
    }
}

#[test]
fn every_language_writes_the_same_locks() {
    for peer in Peer::with_asyncio() {
        let place = place();
        let _first = peer.start(place.path(), &["meet", "one", "first"]);
        check_locks(&place.path().join("one/locks"), &LOCKS, ("turn", 1152, 1), peer.language);
        if CONDVARS.contains(&peer.language) {
            let number = numbered_file();
            let file = number.path().to_str().expect("a plain path");
            let _odd = peer.start(place.path(), &["alternate", "two", file, "1", "1"]);
            check_locks(&place.path().join("two/locks"), &WAITING, ("turn", 4120, 5), peer.language);
        }
    }
}
