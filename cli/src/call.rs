//! `axonic call`: one call of a service from the command line.

use std::time::Duration;

use axonic::{Body, Call, CallOptions, ClientOptions, Content, ErrorKind, Payload};

use crate::input::content;
use crate::interrupt::Interrupt;
use crate::message::write_line;
use crate::output::Output;
use crate::place::Place;
use crate::stop::{Outcome, Stop};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  axonic call search query '{\"text\": \"lamp\"}'     the result on stdout
  axonic call search query '{}' --range '^1.2' --timeout 5
  axonic call search watch --stream                each item on a line of its own
  axonic call search query --address tcp://127.0.0.1:4000";

/// Call a method of a service and print its result
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The service
    service: String,
    /// The method
    method: String,
    /// The arguments as JSON
    #[arg(default_value = "{}")]
    params: String,
    /// The versions of the service that will do
    #[arg(long, value_name = "RANGE", default_value = "*")]
    range: String,
    /// Where it is, such as tcp://HOST:PORT, instead of in the domain
    #[arg(long)]
    address: Option<String>,
    /// Give the call up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Print the items that the service streams
    #[arg(long)]
    stream: bool,
}

/// How long a call of the core waits before signals are looked at again.
const SLICE: Option<Duration> = Some(Duration::from_millis(100));

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let timeout = match args.timeout.map(Duration::try_from_secs_f64) {
        None => None,
        Some(Ok(time)) => Some(time),
        Some(Err(_)) => return Err(Stop::usage("--timeout is no time in seconds")),
    };
    let data = args.params.as_bytes();
    let payload = Payload { data, content: content(data, true)?, tensor: None, attributes: None };
    let options = ClientOptions { address: args.address.clone(), ..ClientOptions::default() };
    let client = place.open("call")?.client(&args.service, &args.range, &options)?;
    let options = CallOptions { timeout, stream: args.stream, ..CallOptions::default() };
    let mut call = client.start(&args.method, payload, &options)?;
    let mut out = Output::interruptible(&interrupt)?;
    while args.stream
        && let Some(item) = wait(&mut call, &interrupt, |call| call.next(SLICE))?
    {
        print(&mut out, &item)?;
        out.flush()?;
    }
    let result = wait(&mut call, &interrupt, |call| call.result(SLICE))?;
    // A stream's result is empty, or null, unless its service gave one.
    let is_nothing =
        matches!((result.content(), result.data()), (Content::Raw, b"") | (Content::Json, b"null"));
    if !(args.stream && is_nothing) {
        print(&mut out, &result)?;
    }
    out.flush()?;
    Ok(0)
}

fn print(out: &mut Output<'_>, body: &Body) -> Result<(), Stop> {
    write_line(out, body.content(), body.tensor(), body.data())
}

/// Waits in slices, because the wait inside the core does not know our signals.
fn wait<T>(
    call: &mut Call,
    interrupt: &Interrupt,
    mut wait: impl FnMut(&mut Call) -> axonic::Result<T>,
) -> Result<T, Stop> {
    loop {
        interrupt.check()?;
        match wait(call) {
            // The call's own time being over is a status.
            Err(error) if error.kind() == ErrorKind::Timeout && error.status().is_none() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return Ok(other?),
        }
    }
}
