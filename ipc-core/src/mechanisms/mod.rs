//! The mechanisms: one file or folder per noun.

pub mod lock;
pub mod record;
pub mod region;
pub mod ring;
pub mod topic;
