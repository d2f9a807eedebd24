//! What the Rust peer does with queues.

use crate::{PATIENCE, byte};
use axonic::*;
use std::time::Duration;

/// A worker that got nothing for so long is done.
const IDLE: Option<Duration> = Some(Duration::from_secs(1));
/// Every second message is taken for this long only.
const LEASE: Duration = Duration::from_secs(2);

/// Message `k`: its number, then bytes as in topics, so that one in three is in its slot, one in some parts and one in
/// many.
pub fn message(k: u64, size: usize) -> Vec<u8> {
    let length = size * [1, 10, 300][(k % 3) as usize];
    let mut data = k.to_le_bytes().to_vec();
    data.extend((8..length).map(|i| byte(i, k as usize, length)));
    data
}

/// The number of a message, every byte of which is as it should be.
pub fn number_in(data: &[u8]) -> Result<u64> {
    let k = data.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    let whole = data.len() >= 8 && (8..data.len()).all(|i| data[i] == byte(i, k as usize, data.len()));
    let torn = || Error::new(ErrorKind::Corrupt, format!("message {k} of {} bytes is torn", data.len()));
    whole.then_some(k).ok_or_else(torn)
}

pub fn put(domain: &str, queue: &str, first: usize, count: usize, size: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut producer = domain.queue_producer(queue, &QueueOptions::default())?;
    for k in (first..first + count).map(|k| k as u64) {
        let how = Put { priority: (k % 3) as u8, ..Put::default() };
        producer.put_with(&Payload::raw(&message(k, size)), &how, PATIENCE)?;
        println!("put {k}");
    }
    println!("sent {count}");
    Ok(())
}

pub fn work(domain: &str, queue: &str) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut consumer = domain.queue_consumer(queue, &QueueOptions::default())?;
    for done in 0.. {
        let how = Get { lease: (done % 2 == 1).then_some(LEASE), ..Get::default() };
        match consumer.get_with(&how, IDLE) {
            Ok(job) => settle(job)?,
            Err(e) if e.kind() == ErrorKind::Timeout => {
                println!("done {done}");
                break;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Gives some back once, rejects others, acknowledges the rest, and tells.
fn settle(job: Delivery) -> Result<()> {
    let (k, attempt) = (number_in(job.data())?, job.attempt());
    println!("take {k} {attempt}");
    let (outcome, settled) = if attempt == 1 && k % 5 == 3 {
        ("back", job.nack(Duration::ZERO))
    } else if k % 11 == 7 {
        ("dead", job.reject("as agreed"))
    } else {
        ("ack", job.ack())
    };
    match settled {
        Ok(()) => println!("{outcome} {k}"),
        Err(e) if e.kind() == ErrorKind::LeaseLost => println!("lost {k}"),
        Err(e) => return Err(e),
    }
    Ok(())
}

pub fn ask(domain: &str, queue: &str, count: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut producer = domain.queue_producer(queue, &QueueOptions::default())?;
    let how = Put { result: true, ..Put::default() };
    let mut tickets = Vec::new();
    for k in 0..count as u64 {
        let receipt = producer.put_with(&Payload::raw(&message(k, 64)), &how, PATIENCE)?;
        tickets.push((k, receipt.ticket().expect("a ticket was asked for")));
    }
    for (k, ticket) in &mut tickets {
        let result = producer.result(ticket, PATIENCE)?;
        if !result.data().iter().eq(message(*k, 64).iter().rev()) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the result of message {k} is not its reverse"),
            ));
        }
    }
    println!("asked {count}");
    Ok(())
}

pub fn answer(domain: &str, queue: &str, count: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut consumer = domain.queue_consumer(queue, &QueueOptions::default())?;
    for _ in 0..count {
        let job = consumer.get(PATIENCE)?;
        number_in(job.data())?;
        let reversed: Vec<u8> = job.data().iter().rev().copied().collect();
        job.ack_with(&Payload::raw(&reversed))?;
    }
    println!("answered {count}");
    Ok(())
}

fn durable() -> QueueOptions {
    QueueOptions { durable: Some(Fsync::Never), ..QueueOptions::default() }
}

pub fn keep(domain: &str, queue: &str, count: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut producer = domain.queue_producer(queue, &durable())?;
    let how = Put { durable: Some(true), ..Put::default() };
    for k in 0..count as u64 {
        producer.put_with(&Payload::raw(&message(k, 64)), &how, PATIENCE)?;
    }
    println!("kept {count}");
    std::thread::sleep(PATIENCE.unwrap_or_default());
    Ok(())
}

pub fn hurry(domain: &str, queue: &str) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut producer = domain.queue_producer(queue, &durable())?;
    let how = Put { durable: Some(true), ..Put::default() };
    let put = producer.put_with(&Payload::raw(&message(0, 64)), &how, Some(Duration::from_millis(10)));
    println!("{}", put.err().map_or("nothing", |e| e.kind().name()));
    Ok(())
}

pub fn spend(domain: &str, queue: &str, count: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut consumer = domain.queue_consumer(queue, &durable())?;
    let how = Get { durable: Some(true), ..Get::default() };
    // All are taken before one is given back.
    let jobs = (0..count).map(|_| consumer.get_with(&how, PATIENCE)).collect::<Result<Vec<_>>>()?;
    for job in jobs {
        if number_in(job.data())? % 2 == 0 { job.ack()? } else { job.nack(Duration::ZERO)? }
    }
    println!("spent {count}");
    Ok(())
}
