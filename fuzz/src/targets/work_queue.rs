//! A queue's file, as producers, consumers and onlookers read it.

use super::input::Input;
use super::scene::Scene;
use super::{Target, fair, touch};
use axonic::*;
use std::path::PathBuf;
use std::time::Duration;

/// Where the roster's first page ends and where what follows the roster begins, as docs/protocol.md has it: what lies
/// between are rows that nobody ever had.
const ROSTER: usize = 8192 + 4096;
const BODY: usize = 8192 + 4096 * 128;

pub struct WorkQueue {
    scene: Scene,
    path: PathBuf,
    /// The file without the most of its roster.
    content: Vec<u8>,
    /// Bytes of the file.
    size: usize,
}

fn options() -> QueueOptions {
    QueueOptions {
        capacity: 16,
        max_bytes: 64 * 224,
        dedup: Dedup { count: 8, ..Default::default() },
        ..Default::default()
    }
}

impl WorkQueue {
    pub fn new() -> WorkQueue {
        let scene = Scene::new();
        let mut producer = scene.domain.queue_producer("q", &options()).unwrap();
        let mut consumer = scene.domain.queue_consumer("q", &options()).unwrap();
        // A message in each state.
        let mut put =
            |size: usize, put: Put| producer.put_with(&Payload::raw(&vec![7; size]), &put, None).unwrap();
        let first = put(1000, Put { result: true, ..Default::default() });
        (0..3).for_each(|_| drop(put(300, Put::default())));
        consumer.get(None).unwrap().ack_with(&Payload::raw(&[5; 500])).unwrap();
        consumer.get(None).unwrap().reject("no good").unwrap();
        consumer.get(None).unwrap().nack(Duration::ZERO).unwrap();
        put(10, Put { priority: 7, dedup_id: Some("once".into()), ..Default::default() });
        put(10, Put { delay: Duration::from_secs(1000), ..Default::default() });
        put(800, Put { priority: 2, ttl: Some(Duration::from_secs(1000)), ..Default::default() });
        let long = Get { lease: Some(Duration::from_secs(1000)), ..Default::default() };
        let held = (consumer.get(None).unwrap(), consumer.get_with(&long, None).unwrap());
        let file = scene.files("queues").remove(0);
        drop((first, held, producer, consumer));
        let content = [&file.content[..ROSTER], &file.content[BODY..]].concat();
        WorkQueue { scene, path: file.path, content, size: file.content.len() }
    }
}

impl Target for WorkQueue {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        let mut content = self.content.clone();
        input.damage(&mut content);
        let (head, body) = content.split_at(content.len().min(ROSTER));
        let mut whole = vec![0; self.size];
        whole[..head.len()].copy_from_slice(head);
        let room = self.size - BODY;
        whole[BODY..][..body.len().min(room)].copy_from_slice(&body[..body.len().min(room)]);
        self.scene.put(&self.path, &whole);
        if choice & 1 != 0 {
            self.scene.look();
        }
        let domain = &self.scene.domain;
        let mut producer = if choice & 2 == 0 { fair(domain.queue_producer("q", &options())) } else { None };
        let mut consumer = fair(domain.queue_consumer("q", &options()));
        for i in 0..6 {
            if let Some(producer) = &mut producer {
                put(producer, i, usize::from(choice) * 10);
            }
            if let Some(consumer) = &mut consumer {
                take(consumer, i);
            }
        }
        if let Some(consumer) = &mut consumer {
            look(consumer, choice & 4 != 0);
        }
        drop((producer, consumer));
        if choice & 8 != 0 {
            fair(domain.unlink(Noun::Queue, "q"));
        }
        if choice & 0xf0 == 0xf0 {
            self.scene.clean();
        }
    }
}

fn put(producer: &mut QueueProducer, i: u8, size: usize) {
    let put = Put {
        priority: i,
        delay: Duration::from_micros(u64::from(i & 1)),
        dedup_id: (i == 2).then(|| "once".into()),
        result: i == 3,
        ..Default::default()
    };
    let receipt = fair(producer.try_put(&Payload::raw(&vec![i; size]), &put));
    if let Some(mut ticket) = receipt.and_then(Receipt::ticket) {
        std::hint::black_box(ticket.progress());
        if let Some(outcome) = fair(producer.result(&mut ticket, Some(Duration::ZERO))) {
            touch(outcome.data());
        }
    }
    std::hint::black_box(producer.stats());
}

fn take(consumer: &mut QueueConsumer, i: u8) {
    let lease = (i & 1 == 1).then_some(Duration::from_micros(1));
    let Some(delivery) = fair(consumer.try_get_with(&Get { lease, ..Default::default() })).flatten() else {
        return;
    };
    touch(delivery.data());
    fair(delivery.tensor());
    fair(delivery.attributes());
    fair(delivery.progress(0.5));
    match i {
        0 => fair(delivery.ack()),
        1 => fair(delivery.nack(Duration::ZERO)),
        2 => fair(delivery.reject("no good, for a reason that takes some words to say")),
        3 => fair(delivery.ack_with(&Payload::raw(&[3; 400]))),
        _ => None,
    };
}

fn look(consumer: &mut QueueConsumer, purge: bool) {
    for seen in [consumer.peek(100), consumer.dead_letters(100)] {
        fair(seen).into_iter().flatten().for_each(|message| touch(message.data()));
    }
    fair(consumer.redrive(100));
    if purge {
        fair(consumer.purge());
        fair(consumer.purge_dead_letters());
    }
}
