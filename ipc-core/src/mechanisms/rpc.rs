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
mod places;
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
use crate::mechanisms::channel::{Address, ChannelOptions, MAX_MESSAGE, Scheme};

/// The least that `max_message` may be: what clients and services say of themselves fits.
const LEAST_MESSAGE: usize = 1024;

fn check(noun: &str, name: &str, options: &ChannelOptions) -> Result<()> {
    if (LEAST_MESSAGE..=MAX_MESSAGE).contains(&options.max_message) {
        return Ok(());
    }
    let text = format!(
        "{noun} '{name}': max_message is {}, {LEAST_MESSAGE} to {MAX_MESSAGE} are possible",
        options.max_message
    );
    Err(Error::new(ErrorKind::InvalidArgument, text))
}

/// Calls cannot end once where messages get lost or have no bounds, nor where nobody is told that the other end is gone.
fn check_carrier(address: &Address) -> Result<()> {
    let why = if address.scheme() == Scheme::Udp || address.setting("type") == Some("datagram") {
        "datagrams get lost, and nobody tells that who sent them is gone"
    } else if address.setting("framing") == Some("none") {
        "without framing there are no messages"
    } else {
        return Ok(());
    };
    let text = format!("address '{address}': it carries no calls: {why}; use another, such as unix: or tcp:");
    Err(Error::new(ErrorKind::Unsupported, text))
}

/// How many bytes of a stream may be on their way before who receives it takes some.
const WINDOW: u32 = 256 << 10;

/// What may still come of a stream, as who receives it reckons.
struct Window {
    left: i64,
    /// Bytes that were taken, and of which its sender was not told yet.
    taken: u32,
}

impl Default for Window {
    fn default() -> Window {
        Window { left: WINDOW.into(), taken: 0 }
    }
}

impl Window {
    /// An item came. Whoever sends more than it may would fill our memory.
    fn come(&mut self, bytes: usize) -> Result<()> {
        if self.left <= 0 {
            let text = format!(
                "a stream goes on although {WINDOW} bytes of it were not taken yet; its sender does not wait as it must"
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        self.left -= bytes as i64;
        Ok(())
    }

    /// An item was taken: the credit that its sender is to have, now and then, as long as the stream `goes_on`.
    fn take(&mut self, bytes: usize, goes_on: bool) -> Option<u32> {
        self.taken = self.taken.saturating_add(bytes as u32);
        (self.taken >= WINDOW / 2 && goes_on).then(|| {
            self.left += i64::from(self.taken);
            std::mem::take(&mut self.taken)
        })
    }
}
