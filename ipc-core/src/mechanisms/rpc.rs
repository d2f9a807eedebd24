//! Calls: requests and replies between programs, over shared memory within a domain, or over any channel.
//!
//! A service listens for channels; a client opens one to each provider of the service and shares its calls out among
//! them. A call is a few frames (`frame`) that name it, so many are under way on a channel at the same time (`wire`).
//! Nothing here waits without reading what comes meanwhile, and a service never waits for its clients: neither side can
//! hold up the other for ever.

mod body;
mod call;
mod client;
mod connection;
mod desk;
mod frame;
pub mod json;
mod porter;
mod providers;
mod request;
mod seat;
mod service;
mod serving;
mod wire;

pub use body::Body;
pub use call::{Call, CallOptions};
pub use client::{Client, ClientOptions};
pub(crate) use providers::provided_by;
pub use request::Request;
pub use service::{Service, ServiceOptions};

use crate::error::{Error, ErrorKind, Result};

/// How many bytes of a stream may be on their way before who receives it takes some.
const WINDOW: u32 = 256 << 10;

/// An item of a stream came. Whoever sends more than it may would fill our memory.
fn take_in(window: &mut i64, bytes: usize) -> Result<()> {
    if *window <= 0 {
        let text = format!(
            "a stream goes on although {WINDOW} bytes of it were not taken yet; its sender does not wait as it must"
        );
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    *window -= bytes as i64;
    Ok(())
}
