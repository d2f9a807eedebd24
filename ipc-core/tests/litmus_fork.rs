//! A fork while everything is held: the child opens anew what can be opened anew and is told `Forked` where
//! something was the parent's alone; the parent is none the worse for it, whatever becomes of the child.

mod common;
mod litmus;

use axonic::*;
use common::{Place, expect};
use litmus::{PATIENCE, Parent, SOON, number_of, payload, start};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use std::time::Instant;

roles!(fork_holding_everything, fork_and_wait);

const LARGE: usize = 20_000;

fn block() -> PublisherOptions {
    PublisherOptions { overflow: Overflow::Block, max_bytes: 256 << 10, ..Default::default() }
}

/// One of everything, in use.
struct Everything {
    domain: Domain,
    publisher: Publisher,
    loan: Option<Loan>,
    subscriber: Subscriber,
    borrowed: Sample,
    copied: Sample,
    producer: RingProducer,
    consumer: RingConsumer,
    deliveries: Vec<Delivery>,
    ticket: Ticket,
    _puts: QueueProducer,
    _takes: QueueConsumer,
    region: Region,
    set: WaitSet,
}

impl Everything {
    fn new() -> Everything {
        let domain = litmus::open();
        let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let mut publisher = domain.publisher("t", &block()).unwrap();
        for (number, size) in [(0, 10), (1, LARGE), (2, 10), (3, LARGE)] {
            publisher.publish(&payload(number, size)).unwrap();
        }
        let copied = subscriber.borrow(PATIENCE).unwrap();
        let borrowed = subscriber.borrow(PATIENCE).unwrap();
        assert!(borrowed.is_pinned() && !copied.is_pinned());
        let mut loan = publisher.loan(LARGE, PATIENCE).unwrap();
        loan.copy_from_slice(&payload(4, LARGE));
        let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
        producer.try_push(&payload(0, 100)).unwrap();
        producer.try_push(&payload(1, 100)).unwrap();
        let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
        assert_eq!(number_of(consumer.try_pop().unwrap().unwrap()), 0);
        let mut puts = domain.queue_producer("q", &QueueOptions::default()).unwrap();
        let put = Put { result: true, ..Put::default() };
        let receipt = puts.put_with(&Payload::raw(b"asked"), &put, PATIENCE).unwrap();
        (0..4).for_each(|_| puts.put(b"plain", PATIENCE).unwrap());
        let mut takes = domain.queue_consumer("q", &QueueOptions::default()).unwrap();
        let deliveries = takes.get_many(9, &Get::default(), PATIENCE).unwrap();
        let region = domain.region("m", &RegionOptions { size: Some(100), ..Default::default() }).unwrap();
        region.write(0, b"parent").unwrap();
        let mut set = WaitSet::new().unwrap();
        set.add_subscriber(&mut subscriber, 1).unwrap();
        Everything {
            domain,
            publisher,
            loan: Some(loan),
            subscriber,
            borrowed,
            copied,
            producer,
            consumer,
            deliveries,
            ticket: receipt.ticket().unwrap(),
            _puts: puts,
            _takes: takes,
            region,
            set,
        }
    }

    /// What the child may do with what it inherited.
    fn in_the_child(mut self) {
        let forked = |outcome: Result<()>| assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Forked);
        // The parent's alone.
        let loan = self.loan.take().unwrap();
        forked(loan.check());
        forked(self.publisher.commit(loan, &LoanMeta::default(), PATIENCE));
        forked(self.borrowed.try_data().map(drop));
        forked(self.producer.try_push(b"child"));
        forked(self.producer.push(b"child", PATIENCE));
        forked(self.consumer.try_pop().map(drop));
        forked(self.consumer.release());
        forked(self.ticket.try_result().map(drop));
        let mut next = || self.deliveries.pop().unwrap();
        forked(next().extend(Duration::from_secs(9)));
        forked(next().ack());
        forked(next().nack(Duration::ZERO));
        forked(next().reject("by a child"));
        forked(next().ack_with(&Payload::raw(b"by a child")));
        // A copy is a copy, and a mapping is shared.
        assert_eq!(number_of(self.copied.try_data().unwrap()), 0);
        let mut bytes = [0; 6];
        self.region.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"parent");
        self.region.write(0, b"child!").unwrap();
        // Opened anew: publishers and subscribers of the child's own.
        let (id, others) = (self.publisher.id(), self.subscriber.id());
        self.publisher.publish(&payload(100, 10)).unwrap();
        self.publisher.publish(&payload(101, LARGE)).unwrap();
        assert_ne!(self.publisher.id(), id);
        // The subscriber was not there yet when these were published.
        assert!(self.subscriber.try_receive().unwrap().is_none());
        assert_ne!(self.subscriber.id(), others);
        self.publisher.publish(&payload(102, 10)).unwrap();
        let message = self.subscriber.receive(PATIENCE).unwrap();
        assert_eq!((number_of(message.data()), message.publisher()), (102, self.publisher.id()));
        let mut fresh = self.domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        self.publisher.publish(&payload(103, 10)).unwrap();
        assert_eq!(number_of(fresh.receive(PATIENCE).unwrap().data()), 103);
        assert_eq!(number_of(self.subscriber.receive(PATIENCE).unwrap().data()), 103);
        self.domain.close();
        assert!(self.domain.is_closed());
    }

    /// The parent's objects are as they were, and whole.
    fn in_the_parent(&mut self, written: &[u8; 6]) {
        let (id, me) = (self.publisher.id(), self.domain.participant());
        assert_eq!(number_of(self.borrowed.data()), 1);
        let mut bytes = [0; 6];
        self.region.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, written);
        self.publisher.commit(self.loan.take().unwrap(), &LoanMeta::default(), PATIENCE).unwrap();
        // The slab goes round, and the pin holds.
        let mut next = 2;
        for number in 5..100 {
            self.publisher.send(&Payload::raw(&payload(number, LARGE)), PATIENCE).unwrap();
            assert_eq!(self.set.wait(PATIENCE).unwrap(), [1]);
            next = self.receive_from(id, next);
        }
        assert_eq!(next, 100);
        assert_eq!((number_of(self.borrowed.data()), self.subscriber.stats().pinned), (1, 1));
        assert_eq!((self.publisher.id(), self.domain.participant()), (id, me));
        // The ring goes on where it was.
        assert_eq!(number_of(self.consumer.try_pop().unwrap().unwrap()), 1);
        self.producer.try_push(&payload(2, 100)).unwrap();
        assert_eq!(number_of(self.consumer.try_pop().unwrap().unwrap()), 2);
        self.consumer.release().unwrap();
        // What was taken is still this process's.
        self.deliveries.drain(..).for_each(|delivery| delivery.ack().unwrap());
        assert!(self.ticket.try_result().unwrap().is_some());
    }

    /// Everything there is to receive from publisher `id`, in order from `next`; what others sent is passed over.
    fn receive_from(&mut self, id: u64, mut next: u64) -> u64 {
        while let Some(message) = self.subscriber.try_receive().unwrap() {
            if message.publisher() == id {
                assert_eq!((number_of(message.data()), message.missed()), (next, 0));
                next += 1;
            }
        }
        next
    }
}

/// Forks while it holds everything; the child uses and drops it all (`drops`), drops it as it is (`untouched`), or uses
/// it and is `killed`.
fn fork_holding_everything(parent: &mut Parent) {
    let mut everything = Everything::new();
    let ending = parent.arguments()[0].clone();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match ending.as_str() {
                "drops" => everything.in_the_child(),
                "untouched" => drop(everything),
                _ => {
                    // Opened anew and then lost without a word.
                    everything.publisher.publish(&payload(100, LARGE)).unwrap();
                    everything.subscriber.fd().unwrap();
                    everything.region.write(0, b"child!").unwrap();
                    kill(getpid(), Signal::SIGKILL).unwrap();
                }
            }));
            // SAFETY: ends the process without what the parent registered for its own end.
            unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).unwrap();
            match ending.as_str() {
                "killed" => assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _))),
                _ => assert_eq!(status, WaitStatus::Exited(child, 0)),
            }
            everything.in_the_parent(if ending == "untouched" { b"parent" } else { b"child!" });
            everything.domain.unlink(Noun::Region, "m").unwrap();
        }
    }
}

fn forked(ending: &str) {
    let place = Place::new();
    start("fork_holding_everything", place.directory.path(), ending).finish();
    // A killed child's page and bells go with the next that comes.
    let domain = place.open();
    drop(domain.subscriber("none", &SubscriberOptions::default()).unwrap());
}

#[test]
fn a_child_uses_everything_it_inherited() {
    forked("drops");
}

#[test]
fn a_child_that_drops_everything_takes_nothing_away() {
    forked("untouched");
}

#[test]
fn a_child_that_is_killed_takes_nothing_away() {
    forked("killed");
}

/// Forks while another thread is in a call on what threads share: nobody in the child ends that call.
#[test]
fn a_child_does_not_wait_for_a_thread_it_does_not_have() {
    let place = Place::new();
    let domain = place.open();
    let from = domain.clone();
    let open = move || from.mutex("m", &LockOptions::default());
    let shared = Arc::new(SharedLock::new("mutex 'm'".into(), open.clone()).unwrap());
    let mut mutex = shared.idle().unwrap();
    mutex.lock(PATIENCE).unwrap();
    shared.put_holding(mutex).unwrap();
    let (its, barrier) = (shared.clone(), Arc::new(Barrier::new(2)));
    let inside = barrier.clone();
    let thread = std::thread::spawn(move || its.any(|_| [inside.wait(), inside.wait()].len() == 2));
    barrier.wait();
    // SAFETY: the child calls what this test is about, and ends without running anything else.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // SAFETY: ends a child that hangs.
                unsafe { libc::alarm(10) };
                expect(shared.idle(), ErrorKind::Forked, &["mutex 'm'", "another thread", "anew"]);
                assert!(shared.spare().is_none() && shared.holding().is_none());
                let mut anew = open().unwrap();
                assert!(anew.try_lock().unwrap().is_none(), "the parent has it");
                expect(shared.put_holding(anew), ErrorKind::Forked, &["mutex 'm'"]);
                assert_eq!((shared.holders(), shared.any(|_| true)), (0, false));
                shared.close();
                // SAFETY: that of the thread that is not here.
                unsafe { Arc::decrement_strong_count(Arc::as_ptr(&shared)) };
                drop(shared);
                drop(SharedLock::new("mutex 'm'".into(), open).unwrap().idle().unwrap());
                domain.close();
            }));
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
    barrier.wait();
    assert!(thread.join().unwrap() && shared.holders() == 1);
    shared.holding().unwrap().unlock().unwrap();
}

/// Opens a publisher and a subscriber, forks, and waits in both.
fn fork_and_wait(parent: &mut Parent) {
    let domain = litmus::open();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    let _subscriber = domain.subscriber("u", &SubscriberOptions::default()).unwrap();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    producer.try_push(&payload(0, 100)).unwrap();
    publisher.publish(&payload(0, 100)).unwrap();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            // SAFETY: ends with the role at the latest.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
            // Said by the child, which has let go of what it inherited by now.
            parent.say(nix::unistd::getpid());
            loop {
                // SAFETY: sleeps until it is killed.
                unsafe { libc::pause() };
            }
        }
        ForkResult::Parent { .. } => parent.wait_for_end(),
    }
}

/// A child that never uses what it inherited does not keep its dead parent alive.
#[test]
fn a_fork_does_not_keep_its_dead_parent_alive() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber =
        domain.subscriber("t", &SubscriberOptions { wait: Wait::Block, ..Default::default() }).unwrap();
    let mut parent = start("fork_and_wait", place.directory.path(), "");
    let stray = litmus::Stray::new(Pid::from_raw(parent.hear().parse().unwrap()));
    subscriber.receive(PATIENCE).unwrap();
    let mut consumer =
        domain.ring_consumer("r", &RingOptions { wait: Wait::Block, ..Default::default() }).unwrap();
    assert_eq!(number_of(consumer.pop(PATIENCE).unwrap()), 0);
    let mut publisher = domain.publisher("u", &block()).unwrap();
    parent.kill();
    let killed = Instant::now();
    for number in 0..2000 {
        publisher.send(&Payload::raw(&payload(number, 1000)), PATIENCE).expect("the publisher goes on");
    }
    assert!(killed.elapsed() < SOON);
    assert_eq!((subscriber.publishers(), publisher.subscribers()), (0, 0));
    assert_eq!(consumer.pop(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(stray.lives() && killed.elapsed() < SOON);
    // And its locks are free, although the child still has its memory: the next has the slot, and the ring.
    let next = place.open();
    drop(next.ring_producer("r", &RingOptions::default()).unwrap());
    assert_eq!(next.participant().slot, 1);
    drop((publisher, subscriber, consumer, domain));
    // The pages and bells of the dead go with the first object of a participant, though the fork lives.
    drop(next.subscriber("none", &SubscriberOptions::default()).unwrap());
    drop(next);
    assert!(place.files().is_empty() && stray.lives());
}
