//! What is sent: the data of an argument, of standard input or of its lines, and what goes along with it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use axonic::{Attributes, Content};
use nix::poll::PollFlags;
use serde::de::IgnoredAny;

use crate::interrupt::Interrupt;
use crate::stop::Stop;

/// An attribute as it is written on the command line.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as subject=build-7".to_owned()),
    }
}

pub(crate) fn attributes(pairs: &[(String, String)]) -> Result<Option<Attributes>, Stop> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut attributes = Attributes::new();
    for (key, value) in pairs {
        attributes.insert(key, value)?;
    }
    Ok(Some(attributes))
}

/// What the data is; JSON is checked.
pub(crate) fn content(data: &[u8], json: bool) -> Result<Content, Stop> {
    if !json {
        return Ok(Content::Raw);
    }
    serde_json::from_slice::<IgnoredAny>(data)
        .map_err(|error| Stop::failed(format!("the data is not JSON: {error}")))?;
    Ok(Content::Json)
}

/// Sends each line of stdin when it is complete; the last one may lack its line feed.
pub(crate) fn each_line(
    interrupt: &Interrupt,
    limit: usize,
    json: bool,
    mut send: impl FnMut(&[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut lines = Lines::new(Stdin::open(interrupt)?, limit);
    while let Some(line) = lines.next()? {
        // Between JSON values a blank line means nothing.
        if json && line.trim_ascii().is_empty() {
            continue;
        }
        let line = line.to_vec();
        send(&line).map_err(|stop| at_line(stop, lines.number))?;
    }
    Ok(())
}

/// Sends stdin as it comes, in pieces of any length.
pub(crate) fn each_chunk(
    interrupt: &Interrupt,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut input = Stdin::open(interrupt)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            length => send(&buffer[..length])?,
        }
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

pub(crate) fn read_whole(interrupt: &Interrupt) -> Result<Vec<u8>, Stop> {
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
