//! A runtime directory of its own for each test, checked to be empty at the end.
#![allow(dead_code)]

pub mod certificates;
pub mod child;
pub mod container;
pub mod flat;
pub mod history;
pub mod jobs;
pub mod random;
pub mod serving;

use axonic::{Domain, DomainOptions};
use std::path::{Path, PathBuf};

pub struct Place {
    pub directory: tempfile::TempDir,
}

/// The options of every test's domain.
pub fn options_in(directory: &Path) -> DomainOptions {
    DomainOptions { name: Some("test".into()), runtime_dir: Some(directory.into()), ..Default::default() }
}

impl Place {
    pub fn new() -> Place {
        Place { directory: tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap() }
    }

    pub fn options(&self) -> DomainOptions {
        options_in(self.directory.path())
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn open(&self) -> Domain {
        Domain::open_with(self.options()).unwrap()
    }

    /// Every file under the runtime directory.
    pub fn files(&self) -> Vec<PathBuf> {
        files_in(self.directory.path())
    }

    /// The files of the domain, as `kind` or `kind/name` without the ids that differ from run to run.
    pub fn kinds(&self) -> Vec<String> {
        kinds_in(&self.directory.path().join("test"))
    }
}

/// Every file under a directory.
pub fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![directory.to_path_buf()];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The directories that files of a domain are in, one for each file; regions and rings by their names too.
pub fn kinds_in(domain: &Path) -> Vec<String> {
    let mut kinds: Vec<String> = files_in(domain)
        .iter()
        .map(|file| file.strip_prefix(domain).unwrap().to_string_lossy().into_owned())
        .map(|name| match name.split_once('/') {
            Some((kind @ ("regions" | "rings"), name)) => format!("{kind}/{name}"),
            Some((kind, _)) => kind.into(),
            None => name,
        })
        .collect();
    kinds.sort();
    kinds
}

impl Drop for Place {
    /// Nothing at all may be left, directories included.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left: Vec<_> =
                std::fs::read_dir(self.directory.path()).unwrap().flatten().map(|e| e.path()).collect();
            assert_eq!(left, Vec::<PathBuf>::new(), "left behind: {:#?}", self.files());
        }
    }
}

/// Fails unless it is an error of this kind whose text has every one of these words.
#[track_caller]
pub fn expect<T>(result: axonic::Result<T>, kind: axonic::ErrorKind, words: &[&str]) -> axonic::Error {
    let Err(error) = result else { panic!("no error, {kind} expected") };
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.message().contains(word), "'{word}' is not in: {error}");
    }
    error
}

/// Says how often something was done in this time. It must have been `a_second`, some part of what is usual: a run in which
/// hardly anybody is killed shows nothing.
#[track_caller]
pub fn often(what: impl std::fmt::Display, count: u64, time: std::time::Duration, a_second: f64) {
    println!("{what}: {count} in {time:.0?}");
    let least = (time.as_secs_f64() * a_second) as u64;
    assert!(count >= least, "{what}: {count} in {time:?}, at least {least} were to be");
}

/// Whether a descriptor has input now.
pub fn readable(fd: i32) -> bool {
    wait_readable(fd, std::time::Duration::ZERO)
}

/// Waits for a descriptor to have input; whether it has.
pub fn wait_readable(fd: i32, timeout: std::time::Duration) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    // SAFETY: the caller keeps the descriptor open during the call.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    let timeout = PollTimeout::try_from(timeout).unwrap();
    poll(&mut [PollFd::new(borrowed, PollFlags::POLLIN)], timeout).unwrap() == 1
}
