//! The mechanisms: one file or folder per noun.

pub mod channel;
pub mod journal;
pub mod lock;
pub mod queue;
pub mod record;
pub mod region;
pub mod ring;
pub mod rpc;
pub mod topic;
mod words;
