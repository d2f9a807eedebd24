//! The table of participants, as who joins and onlookers read it.

use super::input::Input;
use super::scene::{File, Scene};
use super::{Target, fair};
use axonic::*;
use std::os::unix::fs::FileExt;

pub struct Table {
    /// Damaged in place, while its maker takes part; or replaced by another file, in which nobody does.
    scene: Scene,
    file: File,
    live: std::fs::File,
}

impl Table {
    pub fn new() -> Table {
        let scene = Scene::new();
        let path = scene.path("participants");
        let file = File { content: std::fs::read(&path).unwrap(), path };
        let live = std::fs::File::options().write(true).open(&file.path).unwrap();
        Table { scene, file, live }
    }
}

impl Target for Table {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        let mut content = self.file.content.clone();
        input.damage(&mut content);
        let in_place = choice & 1 == 0 && content.len() == self.file.content.len();
        if in_place {
            self.live.write_all_at(&content, 0).unwrap();
        } else {
            self.scene.put(&self.file.path, &content);
        }
        self.scene.look();
        if let Some(visitor) = fair(Domain::open_with(self.scene.options())) {
            meet(&visitor);
            if choice & 2 != 0 {
                self.scene.clean();
            }
        }
        if in_place && self.file.path.exists() {
            self.live.write_all_at(&self.file.content, 0).unwrap();
        } else {
            // The last one out has taken the domain away, or the file is another one now.
            *self = Table::new();
        }
    }
}

/// Two meet in whatever the table says.
fn meet(domain: &Domain) {
    let options = PublisherOptions { capacity: 64 << 10, ..Default::default() };
    let subscriber = fair(domain.subscriber("t", &SubscriberOptions::default()));
    let publisher = fair(domain.publisher("t", &options));
    if let (Some(mut publisher), Some(mut subscriber)) = (publisher, subscriber) {
        fair(publisher.fd());
        fair(publisher.publish(b"x"));
        fair(subscriber.try_receive());
        std::hint::black_box((publisher.subscribers(), subscriber.publishers()));
    }
    fair(domain.region("m", &RegionOptions { size: Some(100), create: Create::OpenOrCreate }));
    fair(domain.unlink(Noun::Region, "m"));
}
