//! A publisher's ring and segments, as subscribers and onlookers read them.

use super::input::Input;
use super::scene::{File, Scene};
use super::{Target, fair, touch};
use axonic::*;
use std::time::Duration;

/// Messages read of one input; more than the publishers have sent.
const MOST: usize = 48;

/// Two publishers, one that drops and one that waits, with messages of every shape.
struct Stage {
    scene: Scene,
    _publishers: [Publisher; 2],
    /// The damaged kind first.
    files: Vec<File>,
    damageable: usize,
}

/// The files of `kind` are damaged.
pub struct Topic {
    kind: &'static str,
    stage: Stage,
}

fn send_everything(publisher: &mut Publisher, rounds: usize) {
    let mut attributes = Attributes::new();
    attributes.insert("type", "fuzz").unwrap();
    let tensor = Tensor::new(Dtype::F32, [25, 10]);
    for _ in 0..rounds {
        publisher.publish(b"ten bytes.").unwrap();
        publisher.send(&Payload::json(br#"{"a": [1, 2]}"#).with_attributes(&attributes), None).unwrap();
        publisher.send(&Payload::tensor(&[1; 1000], &tensor).with_attributes(&attributes), None).unwrap();
        publisher.publish(&[2; 2000]).unwrap();
        publisher.publish(&[3; 5000]).unwrap();
        publisher.publish(&[4; 40_000]).unwrap();
    }
}

impl Stage {
    fn new(kind: &'static str) -> Stage {
        let scene = Scene::new();
        let open = |topic, overflow| {
            let options = PublisherOptions { overflow, capacity: 64 << 10, ..Default::default() };
            scene.domain.publisher(topic, &options).unwrap()
        };
        let mut publishers = [open("t.drop", Overflow::DropOldest), open("t.block", Overflow::Block)];
        // The ring of the first has been round once.
        (0..40).for_each(|_| publishers[0].publish(&[0; 2000]).unwrap());
        send_everything(&mut publishers[0], 3);
        send_everything(&mut publishers[1], 3);
        let mut files = scene.files(kind);
        let damageable = files.len();
        files.extend(["publishers", "segments"].iter().filter(|k| **k != kind).flat_map(|k| scene.files(k)));
        Stage { scene, _publishers: publishers, files, damageable }
    }

    /// Whether nothing was removed; a reader of a ring that says it is finished removes it.
    fn is_whole(&self) -> bool {
        let bells = std::fs::read_dir(self.scene.path("bells")).map_or(0, |entries| entries.count());
        bells == 2 && self.files.iter().all(|file| file.path.exists())
    }
}

impl Topic {
    pub fn new(kind: &'static str) -> Topic {
        Topic { kind, stage: Stage::new(kind) }
    }
}

impl Target for Topic {
    fn run(&mut self, data: &[u8]) {
        let stage = &self.stage;
        let mut input = Input::new(data);
        let choice = input.byte();
        let file = &stage.files[usize::from(choice & 15) % stage.damageable];
        let mut content = file.content.clone();
        input.damage(&mut content);
        stage.scene.put(&file.path, &content);
        let visitor = stage.scene.visitor();
        // One reader for each input: what the other makes of it, another input tells.
        read(&visitor, if choice & 64 == 0 { Start::Oldest } else { Start::Latest }, choice & 16 != 0);
        drop(visitor);
        if choice & 32 == 0 {
            stage.scene.look();
        }
        if choice & 0xe0 == 0xe0 {
            stage.scene.clean();
        }
        if stage.is_whole() {
            stage.scene.put(&file.path, &file.content);
        } else {
            self.stage = Stage::new(self.kind);
        }
    }
}

/// Takes what is there, in every way.
fn read(domain: &Domain, start: Start, watched: bool) {
    let options = SubscriberOptions { start, max_borrowed: 4, ..Default::default() };
    let Some(mut subscriber) = fair(domain.subscriber("t.>", &options)) else { return };
    if watched {
        fair(subscriber.fd());
    }
    let mut held = Vec::new();
    let mut nothing = 0;
    for i in 0..MOST {
        let came = match i % 3 {
            0 => fair(subscriber.try_borrow()).flatten().map(|sample| held.push(sample)),
            1 => fair(subscriber.try_receive()).flatten().map(|message| look_at(&message)),
            _ => fair(subscriber.receive(Some(Duration::ZERO))).map(|message| look_at(&message)),
        };
        nothing = if came.is_some() { 0 } else { nothing + 1 };
        if nothing > 4 {
            break;
        }
        if held.len() > 5 {
            held.drain(..).for_each(|sample| keep(&sample));
        }
    }
    held.iter().for_each(keep);
    std::hint::black_box((subscriber.publishers(), subscriber.stats()));
}

fn look_at(message: &Message<'_>) {
    touch(message.data());
    fair(message.attributes());
    std::hint::black_box(format!("{message:?}"));
}

fn keep(sample: &Sample) {
    touch(sample.data());
    fair(sample.attributes());
    std::hint::black_box(format!("{sample:?}"));
}
