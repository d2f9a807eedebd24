//! A runtime directory of its own for each test, checked to be empty at the end.
#![allow(dead_code)]

use axonic::{Domain, DomainOptions};
use std::path::PathBuf;

pub struct Place {
    pub directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { directory: tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap() }
    }

    pub fn options(&self) -> DomainOptions {
        DomainOptions { name: Some("test".into()), runtime_dir: Some(self.directory.path().into()), ..Default::default() }
    }

    pub fn open(&self) -> Domain {
        Domain::open_with(self.options()).unwrap()
    }

    /// Everything under the runtime directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![self.directory.path().to_path_buf()];
        while let Some(directory) = todo.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    todo.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.files(), Vec::<PathBuf>::new(), "left behind");
        }
    }
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
