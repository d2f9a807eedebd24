//! A channel: messages both ways by address, until both ends have said all.

use axonic::*;
use std::time::Duration;

/// Sends every word back in reverse, until the other end has sent all.
fn answer(listener: &Listener) -> Result<()> {
    let channel = listener.accept(Some(Duration::from_secs(5)))?;
    while let Some(message) = next(&channel)? {
        let word: Vec<u8> = message.data.into_iter().rev().collect();
        channel.send(&word, None)?;
    }
    channel.finish(None)
}

/// The next message; `None` when the other end has ended.
fn next(channel: &Channel) -> Result<Option<ChannelMessage>> {
    match channel.receive(None) {
        Err(e) if e.kind() == ErrorKind::Disconnected => Ok(None),
        message => message.map(Some),
    }
}

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-channel")?,
    };
    let options = ChannelOptions::default();
    let address = format!("shm://{}/words", ax.name());
    let listener = ax.listen(&address, &options)?;
    std::thread::scope(|scope| {
        let answering = scope.spawn(|| answer(&listener));
        let channel = ax.connect(listener.address(), &options, Some(Duration::from_secs(5)))?;
        for word in ["stop", "live", "draw"] {
            channel.send(word.as_bytes(), None)?;
        }
        channel.finish(None)?;
        while let Some(message) = next(&channel)? {
            println!("answer: {}", String::from_utf8_lossy(&message.data));
        }
        println!("the other end has ended");
        match channel.send(&vec![0; channel.max_message() + 1], None) {
            Err(e) if e.kind() == ErrorKind::TooLarge => println!("too large"),
            sent => sent?,
        }
        answering.join().expect("it does not panic")
    })?;

    listener.close();
    match ax.connect(&address, &options, None) {
        Err(e) if e.kind() == ErrorKind::NotFound => println!("nobody listens"),
        connected => drop(connected?),
    }
    Ok(())
}
