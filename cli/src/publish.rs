//! `axonic pub`: one message from the command line, or one per line of stdin.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use axonic::{Attributes, Content, ErrorKind, Overflow, Payload, Publisher, PublisherOptions};
use clap::ValueEnum;
use nix::poll::PollFlags;
use serde::de::IgnoredAny;

use crate::interrupt::Interrupt;
use crate::place::Place;
use crate::stop::{Outcome, Stop};

const EXAMPLES: &str = "\
Examples:
  axonic pub orders.created 'hello'                    one message
  axonic pub orders.created '{\"id\": 7}' --json         one JSON value
  seq 1000 | axonic pub numbers                        each line is a message
  axonic sub a --json | jq -c .value | axonic pub b --json
  axonic pub --whole pictures < cat.png                all of stdin is one message
  axonic pub job.done ok --wait-for 1                  not before somebody listens
  axonic pub job.done ok --attribute subject=build-7";

/// Publish a message, or each line of stdin as one
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The topic: names joined by dots, such as orders.created
    topic: String,
    /// The message; without it each line of stdin is one, published as it comes
    #[arg(allow_negative_numbers = true)]
    data: Option<OsString>,
    /// The data is JSON: check it and send it as such
    #[arg(long)]
    json: bool,
    /// All of stdin is one message
    #[arg(long, conflicts_with = "data")]
    whole: bool,
    /// When a subscriber lags a whole ring behind: wait as a pipe would, overwrite, or end with an error
    #[arg(long, value_name = "POLICY", default_value = "block")]
    overflow: Policy,
    /// Keep the messages for `sub --from oldest` after this command ended
    #[arg(long)]
    retain: bool,
    /// Wait until N subscribers listen before publishing
    #[arg(long, value_name = "N")]
    wait_for: Option<usize>,
    /// A CloudEvents attribute for every message; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    attribute: Vec<(String, String)>,
}

/// Unlike in the libraries `block` is the default: in a shell, lines do not get lost.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Policy {
    Block,
    DropOldest,
    Reject,
}

impl From<Policy> for Overflow {
    fn from(policy: Policy) -> Overflow {
        match policy {
            Policy::Block => Overflow::Block,
            Policy::DropOldest => Overflow::DropOldest,
            Policy::Reject => Overflow::Reject,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as subject=build-7".to_owned()),
    }
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let attributes = attributes(&args.attribute)?;
    // Read before opening: the slab's budget has to hold it.
    let whole = if args.whole { Some(read_whole(&interrupt)?) } else { None };
    let single: Option<&[u8]> = whole.as_deref().or(args.data.as_ref().map(|data| data.as_bytes()));
    let mut options = PublisherOptions {
        overflow: args.overflow.into(),
        retain: args.retain,
        ..PublisherOptions::default()
    };
    if let Some(data) = single {
        options.max_bytes = options.max_bytes.max(data.len().saturating_mul(2));
    }
    let domain = place.open("pub")?;
    let limit = options.max_bytes;
    let mut sender = Sender {
        publisher: domain.publisher(&args.topic, &options)?,
        json: args.json,
        attributes,
        interrupt: &interrupt,
    };
    if let Some(count) = args.wait_for {
        sender.wait_for_subscribers(count)?;
    }
    match single {
        Some(data) => sender.send(data)?,
        None => sender.send_lines(limit)?,
    }
    Ok(0)
}

fn attributes(pairs: &[(String, String)]) -> Result<Option<Attributes>, Stop> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut attributes = Attributes::new();
    for (key, value) in pairs {
        attributes.insert(key, value)?;
    }
    Ok(Some(attributes))
}

/// The publisher with what goes along with every message.
struct Sender<'a> {
    publisher: Publisher,
    json: bool,
    attributes: Option<Attributes>,
    interrupt: &'a Interrupt,
}

impl Sender<'_> {
    /// Waits without a deadline; in slices, because the wait inside the core does not know our signals.
    fn wait_for_subscribers(&mut self, count: usize) -> Result<(), Stop> {
        loop {
            self.interrupt.check()?;
            match self.publisher.wait_for_subscribers(count, Some(Duration::from_millis(100))) {
                Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {}
                other => return Ok(other?),
            }
        }
    }

    fn send(&mut self, data: &[u8]) -> Result<(), Stop> {
        let content = if self.json { Content::Json } else { Content::Raw };
        if self.json {
            serde_json::from_slice::<IgnoredAny>(data)
                .map_err(|error| Stop::failed(format!("the data is not JSON: {error}")))?;
        }
        let payload = Payload { data, content, tensor: None, attributes: self.attributes.as_ref() };
        loop {
            match self.publisher.try_send(&payload) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return Ok(other?),
            }
            let room = self.publisher.fd()?;
            // SAFETY: the publisher owns the descriptor and outlives this borrow of it.
            let room = unsafe { BorrowedFd::borrow_raw(room) };
            self.interrupt.wait_for(room, PollFlags::POLLIN)?;
        }
    }

    /// Publishes each line when it is complete; the last one may lack its line feed.
    fn send_lines(&mut self, limit: usize) -> Result<(), Stop> {
        let mut lines = Lines::new(Stdin::open(self.interrupt)?, limit);
        while let Some(line) = lines.next()? {
            // Between JSON values a blank line means nothing.
            if self.json && line.trim_ascii().is_empty() {
                continue;
            }
            let line = line.to_vec();
            self.send(&line).map_err(|stop| at_line(stop, lines.number))?;
        }
        Ok(())
    }
}

/// Says which line of stdin it was.
fn at_line(stop: Stop, number: u64) -> Stop {
    match stop {
        Stop::Failed { code, message } => Stop::Failed { code, message: format!("line {number}: {message}") },
        other => other,
    }
}

/// Stdin without the buffer of `std::io::stdin`, which would outlive this run.
struct Stdin<'a> {
    file: File,
    interrupt: &'a Interrupt,
}

impl<'a> Stdin<'a> {
    fn open(interrupt: &'a Interrupt) -> Result<Stdin<'a>, Stop> {
        let owned = io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Stop::failed(format!("standard input: {error}")))?;
        Ok(Stdin { file: File::from(owned), interrupt })
    }
}

impl Read for Stdin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.interrupt.wait_for(self.file.as_fd(), PollFlags::POLLIN).map_err(io::Error::other)?;
            match self.file.read(buffer) {
                // Node makes pipes non-blocking, and another reader may have been faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                other => return other,
            }
        }
    }
}

fn read_whole(interrupt: &Interrupt) -> Result<Vec<u8>, Stop> {
    let mut data = Vec::new();
    Stdin::open(interrupt)?.read_to_end(&mut data)?;
    Ok(data)
}

/// Splits a stream into lines as soon as they are complete.
struct Lines<R> {
    input: R,
    /// What was read; `start..scanned` holds no line feed.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    ended: bool,
    /// The number of the line returned last.
    number: u64,
    /// The longest line worth collecting: a longer one could not be published anyway.
    limit: usize,
}

impl<R: Read> Lines<R> {
    fn new(input: R, limit: usize) -> Lines<R> {
        Lines { input, buffer: Vec::new(), start: 0, scanned: 0, ended: false, number: 0, limit }
    }

    /// The next line without its line feed.
    fn next(&mut self) -> Result<Option<&[u8]>, Stop> {
        loop {
            if let Some(length) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
                let line = self.start..self.scanned + length;
                self.start = line.end + 1;
                self.scanned = self.start;
                self.number += 1;
                return Ok(Some(&self.buffer[line]));
            }
            self.scanned = self.buffer.len();
            if self.ended {
                let rest = self.start..self.buffer.len();
                self.start = rest.end;
                self.number += 1;
                return Ok((!rest.is_empty()).then(|| &self.buffer[rest]));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Stop> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        if self.buffer.len() > self.limit {
            let line = self.number + 1;
            return Err(Stop::failed(format!(
                "line {line} of stdin is longer than {}: send it with --whole, or in shorter lines",
                crate::human::bytes(self.limit as u64)
            )));
        }
        let old = self.buffer.len();
        self.buffer.resize(old + (64 << 10), 0);
        let read = self.input.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Stop> {
        let mut lines = Lines::new(input, limit);
        let mut all = Vec::new();
        while let Some(line) = lines.next()? {
            all.push(line.to_vec());
        }
        Ok(all)
    }

    #[test]
    fn lines_are_split_at_line_feeds_only() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"a", &[b"a"]),
            (b"a\n", &[b"a"]),
            (b"a\n\nb\r\nc", &[b"a", b"", b"b\r", b"c"]),
            (b"\n", &[b""]),
        ];
        for (input, expected) in cases {
            assert_eq!(lines(input, 1000).unwrap(), *expected);
        }
    }

    #[test]
    fn a_line_may_span_many_reads_and_an_endless_one_is_refused() {
        let long = vec![b'x'; 300_000];
        assert_eq!(lines(&long, 1 << 20).unwrap(), std::slice::from_ref(&long));
        assert!(lines(&long, 100_000).unwrap_err().to_string().contains("--whole"));
    }

    #[test]
    fn attributes_need_a_key() {
        assert_eq!(key_value("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(key_value("=b").is_err() && key_value("ab").is_err());
    }
}
