//! A ring's two files, as both ends and onlookers read them.

use super::input::Input;
use super::scene::{File, Scene};
use super::{Target, fair, touch};
use axonic::*;

pub struct Queue {
    scene: Scene,
    /// The data, then the cursor.
    files: Vec<File>,
}

impl Queue {
    pub fn new() -> Queue {
        let scene = Scene::new();
        let options = RingOptions { capacity: 20_000, ..Default::default() };
        let mut producer = scene.domain.ring_producer("r", &options).unwrap();
        let mut consumer = scene.domain.ring_consumer("r", &options).unwrap();
        for i in 0..40 {
            producer.push(&[i; 3000], None).unwrap();
            if i < 36 {
                touch(consumer.pop(None).unwrap());
            }
        }
        drop((producer, consumer));
        let files = scene.files("rings");
        Queue { scene, files }
    }
}

impl Target for Queue {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        for (i, file) in self.files.iter().enumerate() {
            let mut content = file.content.clone();
            if i == usize::from(choice & 1) {
                input.damage(&mut content);
            }
            self.scene.put(&file.path, &content);
        }
        let options = RingOptions { capacity: 20_000, ..Default::default() };
        let domain = &self.scene.domain;
        if choice & 2 == 0 {
            self.scene.look();
        }
        let mut consumer = fair(domain.ring_consumer("r", &options));
        let mut producer = if choice & 4 == 0 { fair(domain.ring_producer("r", &options)) } else { None };
        for i in 0..12 {
            if let Some(producer) = &mut producer {
                fill(producer, i, usize::from(choice) * 100);
            }
            if let Some(consumer) = &mut consumer {
                empty(consumer, choice & 8 != 0);
            }
        }
        drop((producer, consumer));
        if choice & 16 != 0 {
            fair(domain.unlink(Noun::Ring, "r"));
        }
        if choice & 0xe0 == 0xe0 {
            self.scene.clean();
        }
    }
}

fn fill(producer: &mut RingProducer, i: u8, length: usize) {
    if i.is_multiple_of(2) {
        fair(producer.try_push(&vec![i; length.min(20_000)]));
    } else if let Some(room) = fair(producer.reserve(2000, Some(std::time::Duration::ZERO))) {
        room.fill(i);
        fair(producer.commit(1000));
    }
    std::hint::black_box(producer.stats());
}

fn empty(consumer: &mut RingConsumer, watched: bool) {
    if watched {
        fair(consumer.fd());
    }
    if let Some(data) = fair(consumer.try_pop()).flatten() {
        touch(data);
    }
    fair(consumer.release());
    if let Some(data) = fair(consumer.pop(Some(std::time::Duration::ZERO))) {
        touch(data);
    }
    std::hint::black_box(consumer.stats());
}
