//! Readers of shared memory, each given files that hold what a fuzzer thought of. Only errors may come of it.
//!
//! A target keeps a private domain in a directory of its own on a tmpfs, with real objects in it. An input damages
//! one of their files ([`input`]), and then everything that reads the file is used through the public interface.

mod calls;
mod channel;
mod input;
mod lock;
mod names;
mod page;
mod queue;
mod region;
mod scene;
mod table;
mod topic;
mod values;
mod work_queue;

use axonic::{Error, ErrorKind, Result};

/// Something that reads what others wrote.
pub trait Target {
    /// Reads `data`; panics when something else than an error comes of it.
    fn run(&mut self, data: &[u8]);
}

/// Every target, by name.
pub const NAMES: [&str; 12] = [
    "table",
    "ring",
    "segment",
    "page",
    "queue",
    "region",
    "values",
    "names",
    "work_queue",
    "lock",
    "channel",
    "calls",
];

/// Makes a target with its domain.
pub fn make(name: &str) -> Box<dyn Target> {
    match name {
        "table" => Box::new(table::Table::new()),
        "ring" => Box::new(topic::Topic::new("publishers")),
        "segment" => Box::new(topic::Topic::new("segments")),
        "page" => Box::new(page::Page::new()),
        "queue" => Box::new(queue::Queue::new()),
        "region" => Box::new(region::Regions::new()),
        "values" => Box::new(values::Values::new()),
        "names" => Box::new(names::Names::new()),
        "work_queue" => Box::new(work_queue::WorkQueue::new()),
        "lock" => Box::new(lock::Locks::new()),
        "channel" => Box::new(channel::Channels::new()),
        "calls" => Box::new(calls::Calls::new()),
        _ => panic!("no target is called {name:?}; there are {NAMES:?}"),
    }
}

/// What came of a call that touched damaged memory: no damage may look like a mistake of the caller.
fn fair<T>(result: Result<T>) -> Option<T> {
    use ErrorKind::*;
    let wrong = |e: &Error| matches!(e.kind(), InvalidArgument | InvalidName | Forked | Unsupported);
    match result {
        Ok(value) => Some(value),
        Err(e) if wrong(&e) => panic!("damage must not look like the caller's mistake: {e:?}"),
        Err(_) => None,
    }
}

/// Reads a byte of every line and the last one, so that one that cannot be read is noticed here.
fn touch(bytes: &[u8]) {
    let lines = bytes.iter().step_by(64).chain(bytes.last());
    std::hint::black_box(lines.map(|byte| u64::from(*byte)).sum::<u64>());
}
