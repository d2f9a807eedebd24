//! A subscriber's page, as publishers and onlookers read it.

use super::input::Input;
use super::scene::{File, Scene};
use super::{Target, fair};
use axonic::*;
use std::time::Duration;

/// The ring id of the first cursor.
const CURSOR: u64 = 896;
/// How many cursors were ever used.
const CURSORS: u64 = 648;

pub struct Page {
    scene: Scene,
    file: File,
    _subscriber: Subscriber,
    _held: Vec<Sample>,
}

impl Page {
    pub fn new() -> Page {
        let scene = Scene::new();
        let mut subscriber = scene.domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let visitor = scene.visitor();
        let mut publisher = visitor.publisher("t", &PublisherOptions::default()).unwrap();
        publisher.publish(&[1; 5000]).unwrap();
        publisher.publish(&[2; 40_000]).unwrap();
        let held = (0..2).map(|_| subscriber.borrow(None).unwrap()).collect();
        // A cursor and two pins are in it as somebody who reads has them.
        let file = scene.files("subscribers").remove(0);
        Page { scene, file, _subscriber: subscriber, _held: held }
    }
}

impl Target for Page {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        let content = self.scene.damage(&self.file, &mut input);
        let overflow = [Overflow::DropOldest, Overflow::Block, Overflow::Reject];
        let options = PublisherOptions {
            overflow: overflow[usize::from(choice & 3) % 3],
            capacity: 64 << 10,
            max_bytes: 128 << 10,
            ..Default::default()
        };
        let visitor = self.scene.visitor();
        if let Some(mut publisher) = fair(visitor.publisher("t", &options)) {
            let cursor = CURSOR as usize;
            if choice & 4 != 0 && content.len() > cursor + 16 {
                // It has a cursor of this publisher's ring; where it stands is up to the input.
                self.file.poke(CURSOR, publisher.id());
                self.file.poke(CURSORS, 1);
            }
            if choice & 8 != 0 {
                fair(publisher.fd());
            }
            fill(&mut publisher, choice & 16 != 0);
            std::hint::black_box((publisher.subscribers(), publisher.stats()));
            if choice & 32 == 0 {
                self.scene.look();
            }
        }
        drop(visitor);
        if choice & 0xe0 == 0xe0 {
            self.scene.clean();
        }
        if std::fs::read_dir(self.scene.path("bells")).map_or(0, |entries| entries.count()) == 1 {
            self.scene.put(&self.file.path, &self.file.content);
        } else {
            // It was taken for somebody who left.
            *self = Page::new();
        }
    }
}

/// Sends more than the ring and the slab hold.
fn fill(publisher: &mut Publisher, patient: bool) {
    for i in 0..40 {
        let large = i % 4 == 3;
        let sent = fair(publisher.try_send(&Payload::raw(&[i; 20_000][..if large { 20_000 } else { 2000 }])));
        if sent.is_none() && patient {
            fair(publisher.send(&Payload::raw(&[0; 2000]), Some(Duration::from_micros(100))));
            break;
        }
    }
    if let Some(mut loan) = fair(publisher.loan(10_000, Some(Duration::ZERO))) {
        loan.fill(7);
        fair(publisher.commit(loan, &LoanMeta::default(), Some(Duration::ZERO)));
    }
}
