//! The files of a channel through shared memory, as both its ends, who lets it in, and onlookers read them.

use super::input::Input;
use super::scene::Scene;
use super::{Target, fair, touch};
use axonic::*;
use std::time::Duration;

pub struct Channels {
    scene: Scene,
    listener: Listener,
}

const ADDRESS: &str = "shm://test/channel";
const NOW: Option<Duration> = Some(Duration::ZERO);

/// As large as a message of damaged parts may become.
fn options() -> ChannelOptions {
    ChannelOptions { max_message: 1 << 20, wait: Wait::Block, ..Default::default() }
}

impl Channels {
    pub fn new() -> Channels {
        let scene = Scene::new();
        let listener = scene.domain.listen(ADDRESS, &options()).unwrap();
        Channels { scene, listener }
    }

    /// Two ends that have sent each other something, a large message among it that has not gone out whole.
    fn connect(&self) -> (Channel, Channel) {
        let domain = &self.scene.domain;
        std::thread::scope(|scope| {
            let accepting = scope.spawn(|| self.listener.accept(None).unwrap());
            let client = domain.connect(ADDRESS, &options(), None).unwrap();
            let server = accepting.join().unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                from.send(b"small", NOW).unwrap();
                touch(&to.receive(NOW).unwrap().data);
                from.send(b"another", NOW).unwrap();
                from.try_send(&[7; 300 << 10]).unwrap();
            }
            (client, server)
        })
    }
}

impl Target for Channels {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        let (client, server) = self.connect();
        let files = self.scene.files("channels");
        let file = &files[usize::from(choice & 1) % files.len()];
        // Words of the head are damaged in place, as somebody who maps the file could.
        let mut head = file.content[..12 << 10].to_vec();
        input.damage(&mut head);
        head.resize(12 << 10, 0);
        for (at, (new, old)) in head.chunks(8).zip(file.content.chunks(8)).enumerate() {
            // Not the header, which nobody reads again.
            if new != old && at >= 8 {
                file.poke(at as u64 * 8, u64::from_le_bytes(new.try_into().unwrap()));
            }
        }
        if choice & 2 != 0 {
            self.scene.look();
        }
        for end in [&client, &server, &client, &server] {
            while let Some(Some(message)) = fair(end.try_receive()) {
                touch(&message.data);
            }
            fair(end.try_send(b"more"));
            fair(end.flush(NOW));
            fair(end.receive(NOW));
        }
        fair(server.finish(NOW));
        fair(client.receive(NOW));
    }
}
