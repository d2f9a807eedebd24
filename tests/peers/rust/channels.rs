//! What the Rust peer does with channels.

use crate::{PATIENCE, byte, check};
use axonic::*;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

/// Of the messages both ways, as far as a transport takes them.
const SIZES: [usize; 6] = [64, 0, 1, 4096, 60_000, 1 << 20];
/// Of those that are sent many at a time, and their first number.
const SMALL: usize = 64;
const MANY: usize = 100;
/// The number of the last message.
const LAST: usize = 999;
/// What who listens says has numbers that are so much higher.
const ANSWERS: usize = 1000;

/// One end, which speaks first or answers.
struct End {
    channel: Channel,
    speaks_first: bool,
    /// Of the bytes that were heard.
    sum: u32,
}

impl End {
    fn numbers(&self) -> (usize, usize) {
        if self.speaks_first { (0, ANSWERS) } else { (ANSWERS, 0) }
    }

    fn message(&self, k: usize, size: usize) -> Vec<u8> {
        let k = k + self.numbers().0;
        (0..size).map(|i| byte(i, k, size)).collect()
    }

    fn say(&self, k: usize, size: usize) -> Result<()> {
        self.channel.send(&self.message(k, size), PATIENCE)
    }

    /// So many bytes: one message, or what comes until that is all.
    fn take(&self, size: usize) -> Result<Vec<u8>> {
        let mut taken = self.channel.receive(PATIENCE)?.data;
        while !self.channel.can().messages && taken.len() < size {
            taken.extend(self.channel.receive(PATIENCE)?.data);
        }
        Ok(taken)
    }

    fn verify(&mut self, data: &[u8], k: usize, size: usize) -> Result<()> {
        let k = k + self.numbers().1;
        let torn = || Error::new(ErrorKind::Corrupt, format!("message {k} has {} bytes", data.len()));
        self.sum = self.sum.wrapping_add(check(data, k, size).ok_or_else(torn)?);
        Ok(())
    }

    fn hear(&mut self, k: usize, size: usize) -> Result<()> {
        let data = self.take(size)?;
        self.verify(&data, k, size)
    }

    fn exchange(&mut self, k: usize, size: usize) -> Result<()> {
        if self.speaks_first {
            self.say(k, size)?;
            return self.hear(k, size);
        }
        self.hear(k, size)?;
        self.say(k, size)
    }

    fn say_many(&self, count: usize) -> Result<()> {
        let messages: Vec<_> = (MANY..MANY + count).map(|k| self.message(k, SMALL)).collect();
        let all: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let sent = self.channel.send_many(&all, PATIENCE)?;
        if sent == count { Ok(()) } else { Err(Error::new(ErrorKind::Timeout, format!("{sent} were sent"))) }
    }

    fn hear_many(&mut self, count: usize) -> Result<()> {
        if self.channel.can().messages {
            return (MANY..MANY + count).try_for_each(|k| self.hear(k, SMALL));
        }
        let all = self.take(count * SMALL)?;
        let each = all.chunks(SMALL);
        (MANY..).zip(each).try_for_each(|(k, data)| self.verify(data, k, SMALL))
    }

    fn exchange_many(&mut self, count: usize) -> Result<()> {
        if self.speaks_first {
            self.say_many(count)?;
            return self.hear_many(count);
        }
        self.hear_many(count)?;
        self.say_many(count)
    }

    fn pass(&self, path: &str) -> Result<()> {
        let file = File::open(path).map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
        self.channel.send_descriptors(b"file", &[file.as_fd()], PATIENCE)
    }

    /// What is in the file whose descriptor comes.
    fn take_file(&self) -> Result<String> {
        let mut message = self.channel.receive(PATIENCE)?;
        let (Some(descriptor), b"file") = (message.descriptors.pop(), message.data.as_slice()) else {
            return Err(Error::new(ErrorKind::Corrupt, "no descriptor came with the message"));
        };
        let mut text = String::new();
        File::from(descriptor)
            .read_to_string(&mut text)
            .map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
        Ok(text)
    }

    fn exchange_files(&self, path: &str) -> Result<String> {
        if self.speaks_first {
            self.pass(path)?;
            return self.take_file();
        }
        let text = self.take_file()?;
        self.pass(path)?;
        Ok(text)
    }

    fn expect_end(&self) -> Result<()> {
        match self.channel.receive(PATIENCE) {
            Err(e) if e.kind() == ErrorKind::Disconnected => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Err(Error::new(ErrorKind::Corrupt, "a message after the last")),
        }
    }

    /// Who spoke first ends first, and hears one more message where it can.
    fn end(mut self) -> Result<()> {
        let can = self.channel.can();
        if !can.end || self.speaks_first && !can.half_close {
            return Ok(());
        }
        if self.speaks_first {
            self.channel.finish(None)?;
            self.hear(LAST, SMALL)?;
        }
        self.expect_end()?;
        if !self.speaks_first && can.half_close {
            self.say(LAST, SMALL)?;
            self.channel.finish(None)?;
        }
        println!("ended");
        Ok(())
    }
}

/// What its transport can do, in the order of the fields, and the largest message.
fn tell(channel: &Channel) {
    let can = channel.can();
    let bits = [can.reliable, can.ordered, can.messages, can.back_pressure, can.end]
        .into_iter()
        .chain([can.half_close, can.descriptors, can.credentials])
        .map(|can| if can { '1' } else { '0' });
    println!("can {} {}", bits.collect::<String>(), channel.max_message());
}

fn talk(mut end: End, file: &str) -> Result<()> {
    tell(&end.channel);
    let (can, most) = (end.channel.can(), end.channel.max_message());
    for (k, size) in SIZES.into_iter().enumerate() {
        if size <= most && (can.messages || size > 0) {
            end.exchange(k, size)?;
        }
    }
    println!("sizes {}", std::mem::take(&mut end.sum));
    if can.credentials {
        let peer = end.channel.peer();
        println!("peer {}", peer.pid.unwrap_or(0));
    }
    // Nobody waits for room, and so much there is.
    let count = if can.back_pressure { 200 } else { 8 };
    end.exchange_many(count)?;
    println!("many {count} {}", std::mem::take(&mut end.sum));
    if can.descriptors {
        println!("descriptor {}", end.exchange_files(file)?);
    }
    end.end()
}

/// Waits on each channel until the other end has died.
fn hold(ends: &[End]) -> Result<()> {
    println!("holding");
    ends.iter().try_for_each(End::expect_end)?;
    println!("gone {}", ends.len());
    Ok(())
}

/// Pipes are there already.
enum Door {
    Listener(Listener),
    Pipe(Channel),
}

impl Door {
    fn open(domain: &Domain, address: &str) -> Result<Door> {
        let options = ChannelOptions::default();
        let door = if address.starts_with("pipe:") {
            Door::Pipe(domain.connect(address, &options, PATIENCE)?)
        } else {
            Door::Listener(domain.listen(address, &options)?)
        };
        println!("at {}", if let Door::Listener(listener) = &door { listener.address() } else { address });
        Ok(door)
    }

    fn accept(self) -> Result<End> {
        let channel = match self {
            Door::Listener(listener) => listener.accept(PATIENCE)?,
            Door::Pipe(channel) => channel,
        };
        Ok(End { channel, speaks_first: false, sum: 0 })
    }
}

pub fn listen(domain: &str, file: &str, count: usize, addresses: &[&str]) -> Result<()> {
    let domain = Domain::open(domain)?;
    let doors = addresses.iter().map(|address| Door::open(&domain, address)).collect::<Result<Vec<_>>>()?;
    let mut ends = doors.into_iter().map(Door::accept);
    ends.by_ref().take(count).try_for_each(|end| talk(end?, file))?;
    let mut held = ends.collect::<Result<Vec<_>>>()?;
    held.iter_mut().try_for_each(|end| end.exchange(0, SMALL))?;
    hold(&held)
}

pub fn connect(domain: &str, file: &str, count: usize, addresses: &[&str]) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut ends = addresses.iter().map(|address| -> Result<End> {
        let channel = domain.connect(address, &ChannelOptions::default(), PATIENCE)?;
        Ok(End { channel, speaks_first: true, sum: 0 })
    });
    ends.by_ref().take(count).try_for_each(|end| talk(end?, file))?;
    let mut held = ends.collect::<Result<Vec<_>>>()?;
    held.iter_mut().try_for_each(|end| end.exchange(0, SMALL))?;
    hold(&held)
}
