//! What streams alone can and must: descriptors, strangers, files that are left, raw bytes, children, signals.

mod common;
#[path = "channel_stream/farewell.rs"]
mod farewell;
#[path = "channel_stream/fifos.rs"]
mod fifos;
#[path = "channel_stream/options.rs"]
mod options;
#[path = "channel_stream/pipes.rs"]
mod pipes;
#[path = "channel_stream/sockets.rs"]
mod sockets;
#[path = "channel_stream/strangers.rs"]
mod strangers;

use axonic::{Channel, ChannelOptions, Domain, Listener};
use common::Place;
use std::time::Duration;

/// Longer than anything takes that happens at all.
const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// A domain, and a directory in which nothing is left in the end.
struct Ground {
    domain: Domain,
    _place: Place,
    files: Place,
}

impl Ground {
    fn new() -> Ground {
        let place = Place::new();
        Ground { domain: place.open(), _place: place, files: Place::new() }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().into()
    }

    fn listen(&self, address: &str) -> Listener {
        self.domain.listen(address, &ChannelOptions::default()).unwrap()
    }

    fn connect(&self, address: &str) -> Channel {
        self.domain.connect(address, &ChannelOptions::default(), SOON).unwrap()
    }

    /// Who connected, who accepted.
    fn pair(&self, address: &str) -> (Channel, Channel) {
        let listener = self.listen(address);
        std::thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept(SOON).unwrap());
            (self.connect(listener.address()), accepted.join().unwrap())
        })
    }
}

fn receive(channel: &Channel) -> Vec<u8> {
    channel.receive(SOON).unwrap().data
}
