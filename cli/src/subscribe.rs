//! `axonic sub`: prints what arrives, until told to stop.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use axonic::{Start, Subscriber, SubscriberOptions};
use clap::ValueEnum;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::human::plural;
use crate::interrupt::Interrupt;
use crate::message;
use crate::output::{Output, complain};
use crate::place::Place;
use crate::stop::{Outcome, Stop};

const EXAMPLES: &str = "\
Examples:
  axonic sub orders.created                      the data of each message, a line each
  axonic sub 'orders.>' --json                   topic, value, sequence, missed, attributes
  axonic sub a | grep --line-buffered x | axonic pub b
  axonic sub job.done --count 1 --timeout 60     wait a minute for one message
  axonic sub '>' --from oldest --timeout 0       what is there now

Patterns: '*' stands for one name between dots, '>' for all the rest. Ends by Ctrl-C, or when
whoever reads the output has gone; told of lost messages on stderr.";

/// Print the messages of all topics a pattern matches
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A topic, or a pattern such as 'orders.*' or 'orders.>'
    pattern: String,
    /// One JSON object per message: its value (or data, or data_base64), topic, sequence, attributes
    #[arg(long)]
    json: bool,
    /// End after N messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End when none came for SECONDS; an error if --count was not reached
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Begin with the next message, or with the oldest that is still there
    #[arg(long, value_name = "WHERE", default_value = "latest")]
    from: From,
}

#[derive(Clone, Copy, ValueEnum)]
enum From {
    Latest,
    Oldest,
}

/// The longest single wait; the loop comes back for the rest.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of seconds, such as 2.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let out = Output::interruptible(&interrupt)?;
    let domain = place.open("sub")?;
    let start = match args.from {
        From::Latest => Start::Latest,
        From::Oldest => Start::Oldest,
    };
    let options = SubscriberOptions { start, ..SubscriberOptions::default() };
    let subscriber = domain.subscriber(&args.pattern, &options)?;
    let mut reader =
        Reader { subscriber, args, interrupt: &interrupt, out, printed: 0, missed: Missed::default() };
    let outcome = reader.run();
    reader.missed.tell();
    let flushed = reader.out.flush();
    match outcome? {
        // Without --count there is no other way to end: nothing is left undone. What a reader that
        // does not read left in the buffer is not waited for.
        End::Signal(_) if args.count.is_none() => return Ok(0),
        End::Signal(signal) => return Err(Stop::Interrupted(signal)),
        End::Complete => {}
        End::Quiet if args.count.is_none() => {}
        End::Quiet => {
            flushed?;
            let wanted = args.count.unwrap_or_default();
            let (printed, seconds) = (reader.printed, args.timeout.unwrap_or_default().as_secs_f64());
            let pattern = &args.pattern;
            return Err(Stop::failed(format!(
                "subscriber {pattern}: {printed} of {} came before {seconds} s passed without one",
                plural(wanted, "message")
            )));
        }
    }
    flushed?;
    Ok(0)
}

/// Why printing ended.
enum End {
    Complete,
    Quiet,
    Signal(i32),
}

struct Reader<'a> {
    subscriber: Subscriber,
    args: &'a Args,
    interrupt: &'a Interrupt,
    out: Output<'a>,
    printed: u64,
    missed: Missed,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<End, Stop> {
        match self.print_all() {
            // Also what a write to a full pipe answers when the signal came meanwhile.
            Err(Stop::Interrupted(signal)) => Ok(End::Signal(signal)),
            other => other,
        }
    }

    fn print_all(&mut self) -> Result<End, Stop> {
        let mut last = Instant::now();
        loop {
            let before = self.printed;
            if self.print_pending()? {
                return Ok(End::Complete);
            }
            // Whatever was printed reaches the reader before we sleep.
            self.out.flush()?;
            self.missed.tell_now_and_then();
            if self.printed > before {
                last = Instant::now();
            }
            if !self.wait(last)? {
                return Ok(End::Quiet);
            }
        }
    }

    /// Prints until nothing is pending (`false`) or enough was printed (`true`).
    fn print_pending(&mut self) -> Result<bool, Stop> {
        while self.args.count.is_none_or(|count| self.printed < count) {
            self.interrupt.check()?;
            let Some(message) = self.subscriber.try_receive()? else { return Ok(false) };
            if message.missed() > 0 {
                self.missed.add(message.topic(), message.missed());
            }
            if self.args.json {
                message::write_json(&mut self.out, &message)?;
            } else {
                let tensor = message.tensor();
                message::write_line(&mut self.out, message.content(), tensor, message.data())?;
            }
            self.printed += 1;
        }
        Ok(true)
    }

    /// Waits for a message; `false` when none came in time since `last`.
    fn wait(&mut self, last: Instant) -> Result<bool, Stop> {
        let left = match self.args.timeout {
            Some(timeout) => timeout.saturating_sub(last.elapsed()),
            None => LONGEST,
        };
        // Rounded up, so that the last fraction of a millisecond is not spent spinning.
        let millis = left.min(LONGEST).as_nanos().div_ceil(1_000_000);
        let timeout = u16::try_from(millis).unwrap_or(u16::MAX);
        let fd = self.subscriber.fd()?;
        // SAFETY: the subscriber owns the descriptor and outlives this borrow of it.
        let arrival = unsafe { BorrowedFd::borrow_raw(fd) };
        // No event asked for, but POLLERR always comes: the reader of a pipe has gone. Without it
        // `axonic sub quiet | head -1` would wait for one more message to find out.
        let mut fds =
            [PollFd::new(arrival, PollFlags::POLLIN), PollFd::new(self.out.as_fd(), PollFlags::empty())];
        self.interrupt.poll(&mut fds, PollTimeout::from(timeout))?;
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        if fds[1].revents().is_some_and(|events| events.intersects(gone)) {
            return Err(Stop::OutputClosed);
        }
        let arrived = fds[0].revents().is_some_and(|events| !events.is_empty());
        Ok(arrived || self.args.timeout.is_none_or(|timeout| last.elapsed() < timeout))
    }
}

/// Messages lost to a full ring, told on stderr at most once a second.
#[derive(Default)]
struct Missed {
    untold: u64,
    topic: String,
    told: Option<Instant>,
}

impl Missed {
    fn add(&mut self, topic: &str, count: u64) {
        self.untold += count;
        if self.topic != topic {
            topic.clone_into(&mut self.topic);
        }
    }

    fn tell_now_and_then(&mut self) {
        if self.told.is_none_or(|then| then.elapsed() >= Duration::from_secs(1)) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if self.untold > 0 {
            let messages = plural(self.untold, "message");
            complain(format_args!("missed {messages}, the last on {}", self.topic));
            self.told = Some(Instant::now());
            self.untold = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_but_no_sign() {
        assert_eq!(seconds("0.25").unwrap(), Duration::from_millis(250));
        for bad in ["-1", "nan", "inf", "1e300", "x", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
