//! One that dies holding everything, and one that lives on: nothing committed is lost, nobody waits for the dead, and
//! what it left goes.

use super::{PATIENCE, Parent, SOON, number_of, payload};
use axonic::*;
use nix::libc;
use std::time::Instant;

/// Messages of the victim; the survivor takes half of them before its death.
const MESSAGES: u64 = 6;
/// In the slab.
const LARGE: usize = 5000;

pub fn block() -> PublisherOptions {
    PublisherOptions {
        overflow: Overflow::Block,
        wait: Wait::Block,
        capacity: 64 << 10,
        ..Default::default()
    }
}

pub fn asleep() -> SubscriberOptions {
    SubscriberOptions { wait: Wait::Block, ..Default::default() }
}

fn size_of(number: u64) -> usize {
    if number % 2 == 1 { LARGE } else { 100 }
}

/// A role: publishes on `t`, borrows the first message of `u` and reads no further, pushes into ring `r`, and says who
/// it is. With the argument `clone` it has a child that keeps its locks after its death, and says that one's pid.
pub fn victim(parent: &mut Parent) {
    let domain = super::open();
    let mut subscriber = domain.subscriber("u", &asleep()).unwrap();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    (0..MESSAGES).for_each(|n| publisher.publish(&payload(n, size_of(n))).unwrap());
    producer.try_push(&payload(0, 100)).unwrap();
    parent.say(domain.participant());
    if parent.arguments().iter().any(|word| word == "clone") {
        parent.say(clone_that_waits());
    }
    let _sample = subscriber.borrow(PATIENCE).unwrap();
    parent.say("holding");
    parent.wait_for_end();
}

/// A child made by a bare `clone`, which runs no fork handlers and so keeps every descriptor; its pid.
pub fn clone_that_waits() -> i64 {
    // SAFETY: as fork, without libc's knowledge: the child makes system calls only.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        loop {
            // SAFETY: sleeps.
            unsafe { libc::pause() };
        }
    }
    child
}

/// The other side of a victim's topics and ring.
pub struct Survivor {
    pub domain: Domain,
    subscriber: Subscriber,
    publisher: Publisher,
    consumer: RingConsumer,
    /// What it published so far.
    pub sent: u64,
}

impl Survivor {
    pub fn new() -> Survivor {
        let domain = super::open();
        let ring = RingOptions { wait: Wait::Block, ..Default::default() };
        Survivor {
            subscriber: domain.subscriber("t", &asleep()).unwrap(),
            // A slab that has soon grown as much as it may: what it holds is to stay flat.
            publisher: domain.publisher("u", &PublisherOptions { max_bytes: 256 << 10, ..block() }).unwrap(),
            consumer: domain.ring_consumer("r", &ring).unwrap(),
            sent: 0,
            domain,
        }
    }

    pub fn send(&mut self, size: usize, timeout: Option<std::time::Duration>) -> Result<()> {
        self.publisher.send(&Payload::raw(&payload(self.sent, size)), timeout)?;
        self.sent += 1;
        Ok(())
    }

    /// Meets a victim, lets it borrow a message, and leaves it behind by a whole ring.
    pub fn meet(&mut self) {
        self.publisher.wait_for_subscribers(1, PATIENCE).unwrap();
        self.send(LARGE, PATIENCE).unwrap();
        self.take(0..MESSAGES / 2);
        assert_eq!(self.pop().unwrap(), 0);
        let full = loop {
            if let Err(e) = self.send(1000, Some(std::time::Duration::ZERO)) {
                break e;
            }
        };
        assert!(matches!(full.kind(), ErrorKind::Timeout | ErrorKind::WouldBlock), "{full}");
        assert_eq!((self.subscriber.publishers(), self.publisher.subscribers()), (1, 1));
    }

    /// These messages come next, whole and without a gap.
    pub fn take(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let message = self.subscriber.receive(PATIENCE).unwrap();
            assert_eq!(
                (number_of(message.data()), message.sequence(), message.missed()),
                (number, number, 0)
            );
        }
    }

    /// The next value of the ring.
    pub fn pop(&mut self) -> Result<u64> {
        let number = self.consumer.pop(PATIENCE).map(number_of)?;
        self.consumer.release()?;
        Ok(number)
    }

    /// The victim is dead: there is room for what follows, what it committed arrives, and within a second nobody but
    /// these `others` is left.
    pub fn outlive(&mut self, dead: &str, others: usize) {
        let died = Instant::now();
        self.send(1000, PATIENCE).expect("a publisher does not wait for the dead");
        self.take(MESSAGES / 2..MESSAGES);
        while (self.subscriber.publishers(), self.publisher.subscribers()) != (others, others) {
            assert!(died.elapsed() < SOON, "{} publishers live", self.subscriber.publishers());
        }
        if others == 0 {
            assert_eq!(self.pop().unwrap_err().kind(), ErrorKind::Disconnected);
        }
        assert!(died.elapsed() < SOON, "{:?} until the death was told", died.elapsed());
        assert!(!is_alive(dead), "{dead} passes for alive");
        assert_eq!(self.publisher.stats().pinned, 0, "what it had borrowed is held");
    }

    /// No file of the dead is there any more.
    pub fn has_nothing_of(&self, dead: &str) {
        let id = prefix(dead);
        let mut files = crate::common::files_in(self.domain.path());
        files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&id)));
        assert!(files.is_empty(), "{dead} left {files:?}");
    }
}

/// What the files of a participant begin with (docs/protocol.md).
fn prefix(participant: &str) -> String {
    let (slot, epoch) = participant.split_once('.').expect("slot.epoch");
    format!("{:08x}", slot.parse::<u32>().unwrap() << 20 | epoch.parse::<u32>().unwrap())
}

/// Everybody in the domain, the dead included.
pub fn participants() -> Vec<ParticipantInfo> {
    snapshot(&DomainOptions::default()).unwrap().participants
}

/// Whether a participant counts as alive.
pub fn is_alive(participant: &str) -> bool {
    participants().iter().any(|p| p.alive && format!("{}.{}", p.slot, p.epoch) == participant)
}
