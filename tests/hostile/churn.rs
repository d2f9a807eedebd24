//! The Rust peer of the live fuzzer; every language's has these arguments and this output:
//!
//!     churn <domain> <milliseconds> <drop_oldest|block|reject>
//!
//! It uses the domain in every way, whatever its memory says meanwhile, and counts errors. It says `ready` when it
//! begins and `ok <calls> <errors>` at its end. Only errors may come of it, and none that blames the caller.

use axonic::*;
use std::time::{Duration, Instant};

/// How long a call waits.
const SOON: Option<Duration> = Some(Duration::from_millis(2));

#[derive(Default)]
struct Count {
    calls: u64,
    errors: u64,
}

impl Count {
    /// The same for what a file says that it is: that is not the caller's mistake.
    fn opened<T>(&mut self, lock: Result<T>) -> Option<T> {
        if lock.as_ref().is_err_and(|e| e.kind() == ErrorKind::InvalidArgument) {
            (self.calls, self.errors) = (self.calls + 1, self.errors + 1);
            return None;
        }
        self.fair(lock)
    }

    fn fair<T>(&mut self, result: Result<T>) -> Option<T> {
        use ErrorKind::*;
        self.calls += 1;
        match result {
            Ok(value) => Some(value),
            Err(e) if matches!(e.kind(), InvalidArgument | InvalidName | Forked | Unsupported) => {
                println!("bad {e:?}");
                std::process::exit(1);
            }
            Err(_) => {
                self.errors += 1;
                None
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [domain, milliseconds, overflow] = arguments.as_slice() else {
        panic!("usage: churn <domain> <milliseconds> <overflow>")
    };
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().expect("milliseconds"));
    let overflow = [Overflow::DropOldest, Overflow::Block, Overflow::Reject]
        .into_iter()
        .find(|known| known.name() == overflow)
        .expect("an overflow");
    println!("ready");
    let mut count = Count::default();
    while Instant::now() < end {
        if let Some(domain) = count.fair(Domain::open(domain)) {
            topics(&domain, overflow, &mut count);
            ring(&domain, &mut count);
            jobs(&domain, "q", None, &mut count);
            jobs(&domain, "d", Some(Fsync::Never), &mut count);
            locks(&domain, &mut count);
            let options = RegionOptions { size: None, create: Create::Open };
            count.fair(domain.region("m", &options));
        }
        let options = DomainOptions { name: Some(domain.clone()), ..Default::default() };
        count.fair(snapshot(&options));
        count.fair(doctor(&options, count.calls.is_multiple_of(3)));
    }
    println!("ok {} {}", count.calls, count.errors);
}

fn topics(domain: &Domain, overflow: Overflow, count: &mut Count) {
    let options =
        PublisherOptions { overflow, capacity: 64 << 10, max_bytes: 256 << 10, ..Default::default() };
    let mut publisher = count.fair(domain.publisher("t", &options));
    let options = SubscriberOptions { start: Start::Oldest, max_borrowed: 4, ..Default::default() };
    let mut subscriber = count.fair(domain.subscriber("t", &options));
    let mut held = Vec::new();
    for i in 0..100usize {
        if let Some(publisher) = &mut publisher {
            count.fair(publisher.send(&Payload::raw(&vec![i as u8; [10, 2000, 5000, 40_000][i % 4]]), SOON));
        }
        if let Some(subscriber) = &mut subscriber {
            if i % 2 == 0 {
                held.extend(count.fair(subscriber.borrow(SOON)));
            } else if let Some(message) = count.fair(subscriber.receive(SOON)) {
                touch(message.data());
                count.fair(message.attributes());
            }
        }
        if held.len() > 4 {
            held.drain(..).for_each(|sample| touch(&sample));
        }
    }
}

fn ring(domain: &Domain, count: &mut Count) {
    let options = RingOptions { capacity: 10_000, ..Default::default() };
    let mut producer = count.fair(domain.ring_producer("r", &options));
    let mut consumer = count.fair(domain.ring_consumer("r", &options));
    for i in 0..30 {
        if let Some(producer) = &mut producer {
            count.fair(producer.push(&vec![1; i * 300], SOON));
        }
        if let Some(consumer) = &mut consumer
            && let Some(data) = count.fair(consumer.pop(SOON))
        {
            touch(data);
        }
    }
}

fn jobs(domain: &Domain, name: &str, durable: Option<Fsync>, count: &mut Count) {
    let options = QueueOptions { capacity: 64, max_bytes: 64 << 10, durable, ..Default::default() };
    let mut producer = count.fair(domain.queue_producer(name, &options));
    let mut consumer = count.fair(domain.queue_consumer(name, &options));
    for i in 0..30usize {
        if let Some(producer) = &mut producer {
            put(producer, i, count);
        }
        if let Some(consumer) = &mut consumer {
            let lease = (i % 3 == 0).then_some(Duration::from_micros(200));
            if let Some(job) = count.fair(consumer.get_with(&Get { lease, ..Get::default() }, SOON)) {
                settle(job, i, count);
            }
        }
    }
    if let Some(consumer) = &mut consumer {
        count.fair(consumer.peek(100));
        count.fair(consumer.dead_letters(100));
        count.fair(consumer.redrive(3));
        count.fair(consumer.purge());
        count.fair(consumer.purge_dead_letters());
        count.fair(consumer.sync(SOON));
        std::hint::black_box(consumer.stats());
    }
}

fn put(producer: &mut QueueProducer, i: usize, count: &mut Count) {
    let how = Put {
        priority: (i % 8) as u8,
        result: i.is_multiple_of(7),
        delay: Duration::from_micros([0, 0, 500][i % 3]),
        dedup_id: i.is_multiple_of(5).then(|| i.to_string()),
        ..Put::default()
    };
    let data = vec![i as u8; [10, 129, 3000, 20_000][i % 4]];
    let receipt = count.fair(producer.put_with(&Payload::raw(&data), &how, SOON));
    if let Some(mut ticket) = receipt.and_then(Receipt::ticket)
        && let Some(outcome) = count.fair(producer.result(&mut ticket, SOON))
    {
        touch(outcome.data());
    }
}

fn settle(mut job: Delivery, i: usize, count: &mut Count) {
    touch(job.data());
    count.fair(job.attributes());
    count.fair(job.progress(0.5));
    match i % 6 {
        0 => count.fair(job.nack(Duration::from_micros(100))),
        1 => count.fair(job.reject("no good")),
        2 => count.fair(job.extend(Duration::from_micros(100))),
        3 => count.fair(job.ack_with(&Payload::raw(&[7; 1000]))),
        4 => None,
        _ => count.fair(job.ack()),
    };
}

/// Nobody has one for long. What is unlocked may be somebody else's by then, as far as its memory tells.
fn locks(domain: &Domain, count: &mut Count) {
    let plain = LockOptions::default();
    let mut mutex = count.opened(domain.mutex("m", &plain));
    let mut condvar = count.opened(domain.condvar("c", &plain));
    let mut rwlock = count.opened(domain.rwlock("w", &plain));
    let mut semaphore = count.opened(domain.semaphore("s", 2, &plain));
    let mut event = count.opened(domain.event("e", Reset::Auto, &plain));
    let mut barrier = count.opened(domain.barrier("b", 2, &plain));
    for i in 0..10 {
        if let (Some(mutex), Some(condvar)) = (&mut mutex, &mut condvar)
            && count.fair(mutex.lock(SOON)).is_some()
        {
            count.fair(condvar.wait(mutex, SOON));
            count.fair(condvar.notify_all());
            let _ = mutex.unlock();
        }
        if let Some(lock) = &mut rwlock {
            count.fair(if i % 2 == 0 { lock.read(SOON) } else { lock.write(SOON) });
            let _ = lock.unlock();
        }
        if let Some(semaphore) = &mut semaphore {
            count.fair(semaphore.acquire(SOON));
            let _ = semaphore.release();
        }
        if let Some(event) = &mut event {
            count.fair(event.wait(SOON));
            count.fair(event.set());
        }
        if let Some(barrier) = &mut barrier {
            count.fair(barrier.wait(SOON));
        }
    }
}

fn touch(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
}
