//! Names: of topics and patterns as callers give them, of files as anybody may have made them.

use super::input::Input;
use super::scene::Scene;
use super::{Target, fair};
use axonic::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The directories of a domain.
const KINDS: [&str; 7] = ["publishers", "subscribers", "segments", "bells", "regions", "rings", "."];

pub struct Names {
    scene: Scene,
}

impl Names {
    pub fn new() -> Names {
        Names { scene: Scene::new() }
    }

    /// Whoever looks or comes meets a file of this name.
    fn meet(&self, path: &Path) {
        self.scene.look();
        let visitor = self.scene.visitor();
        let options = PublisherOptions { capacity: 64 << 10, ..Default::default() };
        let subscriber = fair(visitor.subscriber(">", &SubscriberOptions::default()));
        let publisher = fair(visitor.publisher("t", &options));
        if let (Some(mut publisher), Some(mut subscriber)) = (publisher, subscriber) {
            fair(publisher.publish(b"x"));
            fair(subscriber.try_receive());
        }
        drop(visitor);
        self.scene.clean();
        let _ = std::fs::remove_file(path);
        let _ = std::fs::remove_dir(path);
    }
}

impl Target for Names {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        let name = input.rest();
        let (first, second) = name.split_at(name.len() / 2);
        let [whole, first, second] = [name, first, second].map(String::from_utf8_lossy);
        let valid = check_name("topic", &whole).is_ok();
        let pattern = Pattern::new(&whole);
        assert!(!valid || pattern.as_ref().is_ok_and(|p| p.matches(&whole)), "{whole:?} matches itself");
        if let Ok(pattern) = Pattern::new(&first) {
            std::hint::black_box(pattern.matches(&second));
        }
        let free = |name: &[u8]| {
            !name.is_empty()
                && name.len() < 256
                && !name.contains(&b'/')
                && !name.contains(&0)
                && name[0] != b'.'
        };
        if !free(name) {
            return;
        }
        let path = self.scene.path(KINDS[usize::from(choice & 7) % 7]).join(OsStr::from_bytes(name));
        if path.exists() {
            return;
        }
        let made = match choice >> 6 {
            0 => std::fs::write(&path, [0; 100]),
            1 => std::fs::write(&path, b""),
            2 => std::fs::create_dir(&path),
            _ => std::os::unix::fs::symlink("participants", &path),
        };
        made.unwrap();
        self.meet(&path);
    }
}
