//! A queue: jobs by priority, one given back, one rejected, one whose result comes back.

use axonic::*;
use std::time::Duration;

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-queue")?,
    };
    let second = Some(Duration::from_secs(1));
    let mut producer = ax.queue_producer("jobs", &QueueOptions::default())?;
    let mut consumer = ax.queue_consumer("jobs", &QueueOptions::default())?;
    for (job, priority) in [("sweep", 0), ("wash", 7), ("paint", 3)] {
        producer.put_with(&Payload::raw(job.as_bytes()), &Put { priority, ..Put::default() }, second)?;
    }
    for _ in 0..4 {
        let job = consumer.get(second)?;
        print!("{}: priority {}, attempt {}", text(job.data()), job.priority(), job.attempt());
        if job.data() == b"sweep" {
            job.reject("no broom")?;
            println!(", rejected");
        } else if job.data() == b"paint" && job.attempt() == 1 {
            job.nack(Duration::ZERO)?;
            println!(", given back");
        } else {
            job.ack()?;
            println!();
        }
    }

    let asked = Put { result: true, ..Put::default() };
    let receipt = producer.put_with(&Payload::raw(b"6 x 7"), &asked, second)?;
    let job = consumer.get(second)?;
    let question = text(job.data());
    job.ack_with(&Payload::raw(b"42"))?;
    if let Some(mut ticket) = receipt.ticket() {
        let answer = producer.result(&mut ticket, second)?;
        println!("{question} is {}", text(answer.data()));
    }

    for dead in consumer.dead_letters(10)? {
        println!("dead letter: {}, {}", text(dead.data()), dead.reason_text());
    }
    consumer.purge_dead_letters()?;
    Ok(())
}
