//! `axonic queue put`: one message from the command line, or one per line of stdin.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use axonic::{Attributes, ErrorKind, Payload, Put, QueueProducer};
use clap::ArgGroup;
use nix::poll::{PollFd, PollFlags};

use crate::input::{attributes, content, each_line, key_value, read_whole};
use crate::interrupt::{Interrupt, until};
use crate::place::Place;
use crate::queue::options;
use crate::stop::{Outcome, Stop};
use crate::subscribe::seconds;

const EXAMPLES: &str = "\
Examples:
  axonic queue put jobs 'resize cat.png'            one message
  axonic queue put jobs '{\"id\": 7}' --json --priority 7
  find . -name '*.png' | axonic queue put jobs      each line is a message
  axonic queue put jobs --whole < cat.png           all of stdin is one message
  axonic queue put jobs 'pay bill 7' --durable      on the disk when it ends
  axonic queue put jobs 'pay bill 7' --dedup-id 7   once, however often it is tried
  axonic queue put jobs ping --delay 60 --ttl 3600  in a minute, and not after an hour";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("single").args(["data", "whole"]))]
pub(crate) struct Args {
    /// The queue; made if there is none
    queue: String,
    /// The message; without it each line of stdin is one, put as it comes
    #[arg(allow_negative_numbers = true)]
    data: Option<OsString>,
    /// The data is JSON: check it and put it as such
    #[arg(long)]
    json: bool,
    /// All of stdin is one message
    #[arg(long)]
    whole: bool,
    /// A queue that is made here survives a reboot; one that is on the disk only is read back as it was made
    #[arg(long)]
    durable: bool,
    /// 0 to 7; the highest is served first
    #[arg(long, value_name = "N", default_value_t = 0)]
    priority: u8,
    /// Deliver it after SECONDS, not before
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    delay: Option<Duration>,
    /// If nobody has taken it after SECONDS, it is a dead letter
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    ttl: Option<Duration>,
    /// Put it only if the queue remembers no message of this ID; of one message, not of lines
    #[arg(long, value_name = "ID", requires = "single")]
    dedup_id: Option<String>,
    /// Wait at most SECONDS for room [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// A CloudEvents attribute for every message; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    attribute: Vec<(String, String)>,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let attributes = attributes(&args.attribute)?;
    let whole = if args.whole { Some(read_whole(&interrupt)?) } else { None };
    let single: Option<&[u8]> = whole.as_deref().or(args.data.as_ref().map(|data| data.as_bytes()));
    let options = options(place, "queue put", &args.queue, args.durable)?;
    let producer = place.open("queue put")?.queue_producer(&args.queue, &options)?;
    let limit = usize::try_from(producer.stats().max_bytes).unwrap_or(usize::MAX);
    let put = Put {
        priority: args.priority,
        delay: args.delay.unwrap_or_default(),
        ttl: args.ttl,
        dedup_id: args.dedup_id.clone(),
        // Then it waits so that it can be interrupted.
        durable: Some(false),
        ..Put::default()
    };
    let mut putter = Putter { producer, args, put, attributes, interrupt: &interrupt };
    match single {
        Some(data) => putter.put(data)?,
        None => each_line(&interrupt, limit, args.json, |line| putter.put(line))?,
    }
    Ok(0)
}

/// The producer with what goes along with every message.
struct Putter<'a> {
    producer: QueueProducer,
    args: &'a Args,
    put: Put,
    attributes: Option<Attributes>,
    interrupt: &'a Interrupt,
}

impl Putter<'_> {
    fn put(&mut self, data: &[u8]) -> Result<(), Stop> {
        let content = content(data, self.args.json)?;
        let payload = Payload { data, content, tensor: None, attributes: self.attributes.as_ref() };
        let end = self.args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let full = match self.producer.try_put(&payload, &self.put) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => error,
                other => {
                    other?;
                    let fsync = self.producer.fsync();
                    let producer = &mut self.producer;
                    return super::on_disk(fsync, end, self.interrupt, |slice| producer.sync(slice));
                }
            };
            let room = self.producer.fd()?;
            // SAFETY: the producer owns the descriptor and outlives this borrow of it.
            let room = unsafe { BorrowedFd::borrow_raw(room) };
            let mut fds = [PollFd::new(room, PollFlags::POLLIN)];
            if !self.interrupt.poll(&mut fds, until(end))? && end.is_some_and(|end| Instant::now() >= end) {
                return Err(full.into());
            }
        }
    }
}
