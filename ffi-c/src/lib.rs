//! The C ABI of Axonic. `include/axonic.h` is generated from this crate by cbindgen and is the
//! specification; the rules that hold for every function are written once, at its top.
//!
//! The crate translates and nothing else: arguments in (`args`), handles and codes out (`handle`,
//! `error`). What a second language would need too belongs in the core.

// The header's rules are the safety contract of every exported function, so it is not repeated on each.
#![allow(clippy::missing_safety_doc)]
// The names are the ABI: what C sees is what is written here.
#![allow(non_camel_case_types)]

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    target_endian = "little"
)))]
compile_error!("axonic runs on 64-bit little-endian Linux (x86-64, aarch64) only");

mod args;
mod handle;
mod news;

pub mod error;

pub mod status;

pub mod log;

pub mod domain;

pub mod message;

pub mod publisher;

pub mod subscriber;

pub mod region;

pub mod ring;

pub mod queue;

pub mod delivery;

pub mod ticket;

pub mod lock;

pub mod channel;

pub mod service;

pub mod client;

pub mod wait;
