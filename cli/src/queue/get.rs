//! `axonic queue get`: takes messages and prints them.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use axonic::{Delivery, Get, QueueConsumer};
use nix::poll::{PollFd, PollFlags};

use crate::human::plural;
use crate::interrupt::{Interrupt, until};
use crate::message;
use crate::output::Output;
use crate::place::Place;
use crate::queue::options;
use crate::stop::{Outcome, Stop};
use crate::subscribe::seconds;

const EXAMPLES: &str = "\
Examples:
  axonic queue get jobs                          wait for a message
  axonic queue get jobs --json --timeout 5       value, priority, attempt, attributes
  axonic queue get jobs --count 100 --timeout 0  up to 100 that are there now

A message is acknowledged once it was written to standard output, and goes back if that fails.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The queue; made if there is none
    queue: String,
    /// One JSON object per message: its value (or data, or data_base64), priority, attempt, attributes
    #[arg(long)]
    json: bool,
    /// A queue that is made here survives a reboot; one that is on the disk only is read back as it was made
    #[arg(long)]
    durable: bool,
    /// Take N messages
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
    /// End when none came for SECONDS, with an error if there were fewer than --count [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut out = Output::interruptible(&interrupt)?;
    let options = options(place, "queue get", &args.queue, args.durable)?;
    let mut consumer = place.open("queue get")?.queue_consumer(&args.queue, &options)?;
    for taken in 0..args.count {
        let Some(delivery) = next(&mut consumer, args.timeout, &interrupt, &out)? else {
            let (wanted, seconds) = (plural(args.count, "message"), args.timeout.unwrap_or_default());
            return Err(Stop::failed(format!(
                "queue '{}': {taken} of {wanted} came before {} s passed without one",
                args.queue,
                seconds.as_secs_f64()
            )));
        };
        print(&mut out, args, &delivery)?;
        delivery.ack()?;
        super::on_disk(consumer.fsync(), None, &interrupt, |slice| consumer.sync(slice))?;
    }
    Ok(0)
}

/// Until it is written it is not done with: an error gives it back.
fn print(out: &mut Output<'_>, args: &Args, delivery: &Delivery) -> Result<(), Stop> {
    if args.json {
        message::write_delivery(out, &args.queue, delivery)?;
    } else {
        let tensor = delivery.tensor()?;
        message::write_line(out, delivery.content(), tensor.as_ref(), delivery.data())?;
    }
    Ok(out.flush()?)
}

/// Waits for a message; nothing when none came in time.
fn next(
    consumer: &mut QueueConsumer,
    timeout: Option<Duration>,
    interrupt: &Interrupt,
    out: &Output<'_>,
) -> Result<Option<Delivery>, Stop> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    // It waits for the disk so that it can be interrupted.
    let get = Get { durable: Some(false), ..Get::default() };
    loop {
        interrupt.check()?;
        if let Some(delivery) = consumer.try_get_with(&get)? {
            return Ok(Some(delivery));
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(None);
        }
        let fd = consumer.fd()?;
        // SAFETY: the consumer owns the descriptor and outlives this borrow of it.
        let arrival = unsafe { BorrowedFd::borrow_raw(fd) };
        // No event asked for, but POLLERR always comes: the reader of a pipe has gone.
        let mut fds = [PollFd::new(arrival, PollFlags::POLLIN), PollFd::new(out.as_fd(), PollFlags::empty())];
        interrupt.poll(&mut fds, until(end))?;
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        if fds[1].revents().is_some_and(|events| events.intersects(gone)) {
            return Err(Stop::OutputClosed);
        }
    }
}
