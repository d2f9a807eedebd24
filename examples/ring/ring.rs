//! The bare ring: messages in order, written and read in place, until the producer ends.

use axonic::*;
use std::time::Duration;

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-ring")?,
    };
    let second = Some(Duration::from_secs(1));
    let mut producer = ax.ring_producer("numbers", &RingOptions::default())?;
    let mut consumer = ax.ring_consumer("numbers", &RingOptions::default())?;
    producer.push(b"one", second)?;
    producer.push(b"two", second)?;
    let room = producer.reserve(100, second)?;
    room[..16].copy_from_slice(b"written in place");
    producer.commit(16)?;
    drop(producer);

    loop {
        match consumer.pop(second) {
            Ok(message) => println!("popped {}", String::from_utf8_lossy(message)),
            Err(e) if e.kind() == ErrorKind::Disconnected => break,
            Err(e) => return Err(e),
        }
    }
    println!("the producer ended");
    Ok(())
}
