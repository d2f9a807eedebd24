//! Reading shared files as `docs/protocol.md` describes them, without the library.

use crate::table::Word;
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
