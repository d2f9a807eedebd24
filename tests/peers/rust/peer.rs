//! The Rust peer of the conformance tests; its arguments and output are those of every language:
//!   peer send <domain> <topic> <copy|loan> <sizes> <count>
//!   peer recv <domain> <topic> <copy|borrow> <sizes> <count>
//!   peer put <domain> <queue> <first> <count> <size>: `put k` after each put of k = first.., then `sent N`
//!   peer work <domain> <queue>: `take k attempt`, then `ack k`, `back k`, `dead k` (rejected) or `lost k`; `done N`
//!   peer ask|answer <domain> <queue> <count>: messages with a ticket, and their reverse as their result
//!   peer keep <domain> <queue> <count>: messages on the disk, of a durable queue that does not sync by itself; `kept N`
//!   once they are, and then waits to be killed
//!   peer spend <domain> <queue> <count>: takes so many of them, acknowledges every other one, on the disk, and gives the
//!   others back; `spent N`
//!   peer hurry <domain> <queue>: a message into such a queue that must be on the disk in no time; which error that is
//!   peer bring|fetch <domain> <queue>: one puts in every way, `brought N 0 1` (how many at once; whether what has an id was
//!   there before), and then `answered`; the other takes, settles and looks in every way, and tells
//!   peer count <domain> <file> <times>: numbers the file's 8 bytes were raised to, `owner died`, then `counted N`
//!   peer share <domain> <file> <times>: as count by a rwlock, every fourth time; the other times it reads the number twice,
//!   which must not change, `owner died K` if it was told so, K being the number, and has one of two permits meanwhile,
//!   `in T` to `out T` in nanoseconds of the monotonic clock; `shared N`
//!   peer meet <domain> first|second: what one has, the other cannot take; `met N`, which led the barrier N times
//!   peer alternate <domain> <file> <0|1> <times>: raises the number when it is even or odd, by a condvar where the language
//!   has them; `alternated N`
//!   peer listen <domain> <file> <count> <address>..., and peer connect with what it says: `at A` for each address; over the first
//!   so many a conversation by which each tells `can` and eight bits for what the channel can do, in the order of its fields, and
//!   its largest message; `sizes S`, the sum of what it heard; `peer PID`, `many N S`, `descriptor T` and `ended` where it
//!   can; then `holding` all the others, and `gone N` once nobody is at their other ends any more
//!   peer serve <domain> <service> <address>...: `at A` for each address, then `serving`, and nothing of this where it serves
//!   standard input and output; its methods are those of `METHODS` in calls.rs
//!   peer call <domain> <service> <address>...: everything that calls can do, over each address, `-` being the domain, and what
//!   came of it; `absent` for a service that nobody provides; `napping`, while a call over each address waits, and `gone` for
//!   each whose provider has died
//!   peer provide <domain> <service>: `providing`, and `did K` before it answers call K
//!   peer consult <domain> <service> <first> <milliseconds> <together>: calls with numbers from `first` for so long, so many at
//!   once, of which one in sixteen may take less time than it does; `ok K`, `wrong K` (with another's answer), `gone K` (its
//!   provider is) or `late K` for each; `consulted N`
//!   peer errors
//!   peer raise <domain>

mod calls;
mod channels;
mod crowd;
mod jobs;
mod locks;
mod talk;

use axonic::*;
use std::time::{Duration, Instant};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["send", domain, topic, mode, sizes, count] => {
            send(domain, topic, mode, &lengths(sizes), number(count))
        }
        ["recv", domain, topic, mode, sizes, count] => {
            receive(domain, topic, mode, &lengths(sizes), number(count))
        }
        ["put", domain, queue, first, count, size] => {
            jobs::put(domain, queue, number(first), number(count), number(size))
        }
        ["work", domain, queue] => jobs::work(domain, queue),
        ["ask", domain, queue, count] => jobs::ask(domain, queue, number(count)),
        ["answer", domain, queue, count] => jobs::answer(domain, queue, number(count)),
        ["keep", domain, queue, count] => jobs::keep(domain, queue, number(count)),
        ["spend", domain, queue, count] => jobs::spend(domain, queue, number(count)),
        ["hurry", domain, queue] => jobs::hurry(domain, queue),
        ["bring", domain, queue] => talk::bring(domain, queue),
        ["fetch", domain, queue] => talk::fetch(domain, queue),
        ["count", domain, file, times] => locks::count(domain, file, number(times)),
        ["share", domain, file, times] => locks::share(domain, file, number(times)),
        ["alternate", domain, file, parity, times] => {
            locks::alternate(domain, file, number(parity) as u64, number(times))
        }
        ["meet", domain, role] => locks::meet(domain, role),
        ["listen", domain, file, count, addresses @ ..] => {
            channels::listen(domain, file, number(count), addresses)
        }
        ["connect", domain, file, count, addresses @ ..] => {
            channels::connect(domain, file, number(count), addresses)
        }
        ["serve", domain, service, addresses @ ..] => calls::serve(domain, service, addresses),
        ["call", domain, service, addresses @ ..] => calls::call(domain, service, addresses),
        ["provide", domain, service] => crowd::provide(domain, service),
        ["consult", domain, service, first, milliseconds, together] => {
            let [first, milliseconds] = [first, milliseconds].map(|word| number(word) as u64);
            crowd::consult(domain, service, first, milliseconds, number(together))
        }
        ["errors"] => {
            ErrorKind::ALL.iter().for_each(|kind| println!("{} {}", kind.number(), kind.name()));
            Ok(())
        }
        ["raise", domain] => raise(domain),
        _ => {
            eprintln!("usage: peer <verb> <domain> ..., as tests/peers/rust/peer.rs has it");
            std::process::exit(2);
        }
    };
    if let Err(e) = outcome {
        println!("bad {e:?}");
        std::process::exit(1);
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn lengths(text: &str) -> Vec<usize> {
    text.split(',').map(number).collect()
}

/// Byte `i` of message `k` of this size.
fn byte(i: usize, k: usize, size: usize) -> u8 {
    (i * 31 + k * 7 + size) as u8
}

fn send(domain: &str, topic: &str, mode: &str, sizes: &[usize], count: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let options = PublisherOptions { overflow: Overflow::Block, max_bytes: 512 << 20, ..Default::default() };
    let mut publisher = domain.publisher(topic, &options)?;
    publisher.wait_for_subscribers(1, Some(Duration::from_secs(10)))?;
    let mut sent = 0;
    for size in sizes {
        for _ in 0..count {
            if mode == "loan" {
                let mut loan = publisher.loan(*size, PATIENCE)?;
                loan.iter_mut().enumerate().for_each(|(i, b)| *b = byte(i, sent, *size));
                publisher.commit(loan, &LoanMeta::default(), PATIENCE)?;
            } else {
                let data: Vec<u8> = (0..*size).map(|i| byte(i, sent, *size)).collect();
                publisher.send(&Payload::raw(&data), PATIENCE)?;
            }
            sent += 1;
        }
    }
    let started = Instant::now();
    while publisher.subscribers() > 0 && started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("sent {sent}");
    Ok(())
}

fn receive(domain: &str, topic: &str, mode: &str, sizes: &[usize], count: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut subscriber = domain.subscriber(topic, &SubscriberOptions::default())?;
    println!("ready");
    let (mut got, mut sum) = (0, 0u32);
    for size in sizes {
        for _ in 0..count {
            let (data, missed) = if mode == "borrow" {
                let sample = subscriber.borrow(PATIENCE)?;
                (check(&sample, got, *size), sample.missed())
            } else {
                let message = subscriber.receive(PATIENCE)?;
                (check(message.data(), got, *size), message.missed())
            };
            match data {
                Some(total) if missed == 0 => sum = sum.wrapping_add(total),
                _ => {
                    return Err(Error::new(
                        ErrorKind::Corrupt,
                        format!("message {got} of {size} bytes, {missed} missed"),
                    ));
                }
            }
            got += 1;
        }
    }
    println!("ok {got} {sum}");
    Ok(())
}

/// The sum of its bytes if every one is as it should be.
fn check(data: &[u8], k: usize, size: usize) -> Option<u32> {
    let whole = data.len() == size && data.iter().enumerate().all(|(i, b)| *b == byte(i, k, size));
    whole.then(|| data.iter().fold(0u32, |sum, b| sum.wrapping_add(u32::from(*b))))
}

fn raise(name: &str) -> Result<()> {
    let domain = Domain::open(name)?;
    let tell =
        |case: &str, kind: Option<ErrorKind>| println!("{case} {}", kind.map_or("none", ErrorKind::name));
    tell("invalid-name", domain.publisher("a/b", &PublisherOptions::default()).err().map(|e| e.kind()));
    let missing = RegionOptions { create: Create::Open, ..Default::default() };
    tell("not-found", domain.region("missing", &missing).err().map(|e| e.kind()));
    let mut subscriber = domain.subscriber("nobody", &SubscriberOptions::default())?;
    tell("timeout", subscriber.receive(Some(Duration::from_millis(1))).err().map(|e| e.kind()));
    let small = PublisherOptions { max_bytes: 4096, ..Default::default() };
    tell("too-large", domain.publisher("small", &small)?.publish(&[0; 10_000]).err().map(|e| e.kind()));
    let other = Domain::open(name)?;
    let mut orphan = other.publisher("closed", &PublisherOptions::default())?;
    other.close();
    tell("closed", orphan.publish(b"x").err().map(|e| e.kind()));
    let _first = domain.ring_producer("ring", &RingOptions::default())?;
    tell("busy", domain.ring_producer("ring", &RingOptions::default()).err().map(|e| e.kind()));
    let all = QueueOptions::default();
    let (mut producer, mut consumer) = (domain.queue_producer("q", &all)?, domain.queue_consumer("q", &all)?);
    tell("rejected", reject(&mut producer, &mut consumer)?.map(|e| e.kind()));
    tell("lease-lost", lose(&mut producer, &mut consumer)?.map(|e| e.kind()));
    let mut full = domain.queue_producer("full", &QueueOptions { capacity: 1, ..all })?;
    full.put(b"x", PATIENCE)?;
    tell("full", full.try_put(&Payload::raw(b"x"), &Put::default()).err().map(|e| e.kind()));
    let _mutex = domain.mutex("lock", &LockOptions::default())?;
    tell("other-lock", domain.rwlock("lock", &LockOptions::default()).err().map(|e| e.kind()));
    Ok(())
}

/// What becomes of a ticket whose message is rejected.
fn reject(producer: &mut QueueProducer, consumer: &mut QueueConsumer) -> Result<Option<Error>> {
    let how = Put { result: true, ..Put::default() };
    let mut ticket = producer.put_with(&Payload::raw(b"x"), &how, PATIENCE)?.ticket().expect("a ticket");
    consumer.get(PATIENCE)?.reject("as agreed")?;
    Ok(producer.result(&mut ticket, PATIENCE).err())
}

/// An acknowledgement after the lease, once another has the message.
fn lose(producer: &mut QueueProducer, consumer: &mut QueueConsumer) -> Result<Option<Error>> {
    producer.put(b"x", PATIENCE)?;
    let short = Get { lease: Some(Duration::from_millis(1)), ..Get::default() };
    let late = consumer.get_with(&short, PATIENCE)?;
    consumer.get(PATIENCE)?.ack()?;
    Ok(late.ack().err())
}
