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

fn touch(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
}
