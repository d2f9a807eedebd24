//! The native half of the npm package `axonic`: the core's nouns as Node-API classes.
//!
//! It holds no logic. The facade in `lib/` gives the nouns their JavaScript face (promises,
//! iteration, values); this crate gives the facade calls that never wait. One file per noun; beside
//! them `poll` (waiting in the event loop), `elsewhere` (what must not be waited for there), `call` (cheap bound functions), `memory` (scratch and
//! scoped views), `content` and `options` (conversions), `error`, `log` and `cli`.
//!
//! Every object belongs to the thread of the environment that made it, as Node-API demands.

// Under `cfg(test)`, which clippy asks for, napi's macros export nothing.
#![cfg_attr(test, allow(dead_code))]

mod body;
mod call;
mod channel;
mod cli;
mod client;
mod content;
mod disk;
mod domain;
mod elsewhere;
mod error;
mod job;
mod lock;
mod log;
mod memory;
mod options;
mod poll;
mod publisher;
mod queue;
mod region;
mod ring;
mod service;
mod slab;
mod subscriber;
mod ticket;
mod wait;
