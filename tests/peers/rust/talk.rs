//! A conversation in which everything that queues can do occurs once.

use crate::PATIENCE;
use crate::jobs::{message, number_in};
use crate::locks::must;
use axonic::*;
use std::time::{Duration, Instant};

const SIZE: usize = 64;
const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(100);
/// What its consumer says of message 3 while it has it.
const HALF: f64 = 0.5;

pub fn bring(domain: &str, queue: &str) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut to = domain.queue_producer(queue, &QueueOptions::default())?;
    let first: Vec<_> = (0..3).map(|k| message(k, SIZE)).collect();
    let payloads: Vec<_> = first.iter().map(|data| Payload::raw(data)).collect();
    let many = to.put_many(&payloads, &Put::default(), PATIENCE)?;
    let mut put = |k, how: Put| to.put_with(&Payload::raw(&message(k, SIZE)), &how, PATIENCE);
    let asked = put(3, Put { priority: 2, result: true, ..Put::default() })?;
    put(4, Put { ttl: Some(Duration::from_millis(1)), ..Put::default() })?;
    let once = || Put { dedup_id: Some("once".into()), ..Put::default() };
    let again = [put(5, once())?, put(9, once())?].map(|receipt| u8::from(receipt.is_duplicate()));
    put(6, Put { delay: HOUR, ..Put::default() })?;
    put(7, Put { delay: SOON, ..Put::default() })?;
    println!("brought {many} {} {}", again[0], again[1]);
    let mut ticket = asked.ticket().expect("a ticket was asked for");
    let started = Instant::now();
    while ticket.progress() != HALF && Some(started.elapsed()) < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    put(8, Put { priority: 7, ..Put::default() })?;
    let result = to.result(&mut ticket, PATIENCE)?;
    must(result.data().iter().eq(message(3, SIZE).iter().rev()), "the result is the message's reverse")?;
    println!("answered");
    Ok(())
}

/// The next message, which must be this one, delivered for the n-th time.
fn next(from: &mut QueueConsumer, k: u64, attempt: u16) -> Result<Delivery> {
    let job = from.get(PATIENCE)?;
    let told = (number_in(job.data())?, job.attempt());
    must(told == (k, attempt), &format!("message {k} is next for time {attempt}, it is {told:?}"))?;
    Ok(job)
}

fn many(from: &mut QueueConsumer, count: usize) -> Result<Vec<Delivery>> {
    let jobs = from.get_many(count, &Get { lease: PATIENCE, ..Get::default() }, PATIENCE)?;
    let numbers = jobs.iter().map(|job| number_in(job.data())).collect::<Result<Vec<_>>>()?;
    println!("many {}", words(&numbers));
    Ok(jobs)
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

pub fn fetch(domain: &str, queue: &str) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut from = domain.queue_consumer(queue, &QueueOptions::default())?;
    let seen = from.peek(5)?.iter().map(|seen| number_in(seen.data())).collect::<Result<Vec<_>>>()?;
    println!("peek {}", words(&seen));
    let mut jobs = many(&mut from, 3)?.into_iter();
    let (Some(asked), Some(first), Some(mut late)) = (jobs.next(), jobs.next(), jobs.next()) else {
        return must(false, "there are three");
    };
    first.ack()?;
    many(&mut from, 2)?.into_iter().try_for_each(Delivery::ack)?;
    next(&mut from, 7, 1)?.ack()?;
    late.extend(SOON)?;
    let (again, given) = (next(&mut from, 1, 2)?, Instant::now());
    again.nack(SOON)?;
    next(&mut from, 1, 3)?.reject("as agreed")?;
    must(given.elapsed() >= SOON, "what is given back for later comes later")?;
    asked.progress(HALF)?;
    next(&mut from, 8, 1)?.ack()?;
    tell_dead(&mut from)?;
    println!("redriven {}", from.redrive(9)?);
    next(&mut from, 1, 1)?.ack()?;
    next(&mut from, 4, 1)?.reject("")?;
    let stats = from.stats();
    println!("stats {}", words(&[stats.ready, stats.delayed, stats.leased, stats.dead, stats.put]));
    println!("purged {} {}", from.purge()?, from.purge_dead_letters()?);
    let reversed: Vec<u8> = asked.data().iter().rev().copied().collect();
    asked.ack_with(&Payload::raw(&reversed))?;
    println!("fetched");
    Ok(())
}

fn tell_dead(from: &mut QueueConsumer) -> Result<()> {
    let letters = from.dead_letters(9)?;
    let line = |letter: &Peeked| {
        let reason = letter.reason().map_or("none", Reason::name);
        Ok(format!("dead {} {reason} '{}'", number_in(letter.data())?, letter.reason_text()))
    };
    let mut lines = letters.iter().map(line).collect::<Result<Vec<_>>>()?;
    lines.sort();
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}
