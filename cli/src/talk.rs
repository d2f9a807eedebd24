//! `axonic listen`, `axonic connect`: what comes from standard input goes through a channel, and what comes through it to
//! standard output.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use axonic::{Channel, ChannelOptions, ErrorKind, Listener};
use nix::poll::PollFlags;

use crate::input::{each_chunk, each_line};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::place::Place;
use crate::stop::{Outcome, Stop};

const LISTEN_EXAMPLES: &str = "\
Examples:
  axonic listen shm://demo/a                       one channel: lines of stdin out, messages to stdout
  axonic listen tcp://127.0.0.1:4000 < /dev/null   only what comes
  axonic listen 'unix:///run/a.sock?framing=none' > all.bin";

const CONNECT_EXAMPLES: &str = "\
Examples:
  seq 1000 | axonic connect shm://demo/a           each line is a message
  axonic connect tcp://127.0.0.1:4000
  axonic connect 'unix:///run/a.sock?framing=none' < all.bin";

/// Accept one channel at an address and speak through it, until both ends have ended
#[derive(clap::Args)]
#[command(after_help = LISTEN_EXAMPLES)]
pub(crate) struct Listen {
    /// Where, such as shm://DOMAIN/NAME, unix:///PATH, tcp://HOST:PORT
    address: String,
}

/// Open a channel to an address and speak through it, until both ends have ended
#[derive(clap::Args)]
#[command(after_help = CONNECT_EXAMPLES)]
pub(crate) struct Connect {
    /// Where somebody listens, such as shm://DOMAIN/NAME, unix:///PATH, tcp://HOST:PORT
    address: String,
    /// Give up after so many seconds of waiting to be accepted
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    timeout: f64,
}

/// How long a call of the core waits before signals are looked at again.
const SLICE: Duration = Duration::from_millis(100);

pub(crate) fn listen(args: &Listen, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let listener = place.open("listen")?.listen(&args.address, &ChannelOptions::default())?;
    let channel = accept(&listener, &interrupt)?;
    // Whoever comes now is refused rather than left waiting.
    listener.close();
    talk(&channel, &interrupt)
}

fn accept(listener: &Listener, interrupt: &Interrupt) -> Result<Channel, Stop> {
    let fd = listener.fd()?;
    loop {
        if let Some(channel) = listener.try_accept()? {
            return Ok(channel);
        }
        // SAFETY: the listener owns the descriptor and outlives this borrow of it.
        interrupt.wait_for(unsafe { BorrowedFd::borrow_raw(fd) }, PollFlags::POLLIN)?;
    }
}

pub(crate) fn connect(args: &Connect, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let timeout = Duration::try_from_secs_f64(args.timeout)
        .map_err(|_| Stop::usage(format!("--timeout {} is no time in seconds", args.timeout)))?;
    let channel = place.open("connect")?.connect(&args.address, &ChannelOptions::default(), Some(timeout))?;
    talk(&channel, &interrupt)
}

/// Both ways at the same time. Whoever ends first is heard out by the other.
fn talk(channel: &Channel, interrupt: &Interrupt) -> Outcome {
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let sent = send(channel, interrupt);
            // Where an end cannot say that it has ended, closing says it.
            let ended = channel.finish(None);
            sent.and(ended.or_else(gone))
        });
        let received = receive(channel, interrupt);
        if received.is_err() {
            channel.close();
        }
        let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        received.and(sent)
    })?;
    Ok(0)
}

/// That the other end is gone is no failure of this one.
fn gone(error: axonic::Error) -> Result<(), Stop> {
    match error.kind() {
        ErrorKind::Disconnected | ErrorKind::Closed => Ok(()),
        _ => Err(error.into()),
    }
}

fn send(channel: &Channel, interrupt: &Interrupt) -> Result<(), Stop> {
    let mut send = |data: &[u8]| loop {
        interrupt.check()?;
        match channel.send(data, Some(SLICE)) {
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {}
            other => return Ok(other?),
        }
    };
    if channel.can().messages {
        each_line(interrupt, channel.max_message(), false, send)
    } else {
        each_chunk(interrupt, &mut send)
    }
}

fn receive(channel: &Channel, interrupt: &Interrupt) -> Result<(), Stop> {
    let mut out = Output::interruptible(interrupt)?;
    let fd = channel.fd()?;
    loop {
        match channel.try_receive() {
            Ok(Some(message)) => {
                out.write_all(&message.data)?;
                if channel.can().messages {
                    out.write_all(b"\n")?;
                }
            }
            Ok(None) => {
                out.flush()?;
                // SAFETY: the channel owns the descriptor and outlives this borrow of it.
                interrupt.wait_for(unsafe { BorrowedFd::borrow_raw(fd) }, PollFlags::POLLIN)?;
            }
            Err(error) => {
                out.flush()?;
                return gone(error);
            }
        }
    }
}
