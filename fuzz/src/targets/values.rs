//! What a record says of its message: type and shape, attributes, JSON and MessagePack.

use super::input::Input;
use super::scene::Scene;
use super::{Target, fair, touch};
use axonic::*;
use std::fs;
use std::os::unix::fs::FileExt;

/// Bytes of the records, header included; payload and metadata share what follows the header.
const RECORD: usize = 1024;
const HEADER: usize = 16;
/// Where a ring says where its data are, and how far they go.
const DATA_OFFSET: u64 = 288;
const HEAD: u64 = 648;
const CAPACITY: u64 = 64 << 10;

pub struct Values {
    publisher: Publisher,
    subscriber: Subscriber,
    ring: fs::File,
    _scene: Scene,
}

impl Values {
    pub fn new() -> Values {
        let scene = Scene::new();
        let options = PublisherOptions { capacity: CAPACITY as usize, ..Default::default() };
        let subscriber = scene.domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let publisher = scene.domain.publisher("t", &options).unwrap();
        let file = scene.files("publishers").remove(0);
        let ring = fs::File::options().read(true).write(true).open(&file.path).unwrap();
        Values { publisher, subscriber, ring, _scene: scene }
    }

    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.ring.read_exact_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// Sends a record whose body is `body`, of which the payload is the beginning, whatever the other bits say.
    fn send(&mut self, content: u8, flags: u8, payload: usize, body: &[u8]) {
        let place = self.word(DATA_OFFSET) + self.word(HEAD) % CAPACITY;
        let mut full = body.to_vec();
        full.resize(RECORD - HEADER, 0);
        self.publisher.publish(&full).unwrap();
        // The record takes as many grains as before: payload, and metadata to the end.
        let meta = full.len() - payload.next_multiple_of(16).min(full.len());
        let payload = if meta == 0 { full.len() } else { payload };
        let shape = payload as u64 | (meta as u64) << 32 | u64::from(content) << 48 | u64::from(flags) << 56;
        self.ring.write_all_at(&shape.to_le_bytes(), place + 8).unwrap();
    }
}

impl Target for Values {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let (content, flags, split) = (input.byte(), input.byte(), input.byte());
        let rest = input.rest();
        // JSON that is nested without end, and the like.
        if let Some(msgpack) = fair(json_to_msgpack(rest)) {
            msgpack_to_json(&msgpack).unwrap();
        }
        if let Some(json) = fair(msgpack_to_json(rest)) {
            json_to_msgpack(&json).unwrap();
        }
        for content in [Content::Raw, Content::Json, Content::MessagePack, Content::Tensor] {
            touch(preview(content, None, rest, 60).as_bytes());
        }
        let room = RECORD - HEADER;
        // What points into the slab is the business of others.
        self.send(content, flags & !1, usize::from(split) * 4, &rest[..rest.len().min(room)]);
        match self.subscriber.try_receive() {
            Ok(message) => {
                let message = message.expect("a record was sent");
                touch(message.data());
                fair(message.attributes());
                touch(format!("{message:?}").as_bytes());
                if let Some(tensor) = message.tensor() {
                    assert_eq!(tensor.byte_len().unwrap(), message.data().len());
                }
            }
            Err(e) => assert_eq!(e.kind(), ErrorKind::Corrupt, "{e:?}"),
        }
    }
}
