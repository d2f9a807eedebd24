//! The built `axonic` binary, driven from outside as a shell would.

mod bench;
mod calls;
mod harness;
mod lock;
mod metrics;
mod queue;
mod repair;
mod screen;
mod see;
mod speak;
mod streams;
