//! The mechanisms: one file or folder per noun.

// Used by the queue.
#[allow(dead_code, unused_imports)]
pub mod journal;
pub mod queue;
pub mod record;
pub mod region;
pub mod ring;
pub mod topic;
mod words;
