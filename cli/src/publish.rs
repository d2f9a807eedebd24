//! `axonic pub`: one message from the command line, or one per line of stdin.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use axonic::{Attributes, ErrorKind, Overflow, Payload, Publisher, PublisherOptions};
use clap::ValueEnum;
use nix::poll::PollFlags;

use crate::input::{attributes, content, each_line, key_value, read_whole};
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
        let content = content(data, self.json)?;
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
        each_line(self.interrupt, limit, self.json, |line| self.send(line))
    }
}
