//! `axonic unlink`: removes a named object.

use axonic::Noun;
use clap::ValueEnum;

use crate::place::Place;
use crate::stop::Outcome;
use crate::view::View;

const EXAMPLES: &str = "\
Examples:
  axonic unlink region frame-buffer
  axonic unlink topic orders.created       its leftovers, once no live process holds them
  axonic unlink ring camera-0 --domain demo
  axonic unlink queue jobs                 with all messages that are in it
  axonic unlink lock gpu                   nobody is told any more that its owner died";

/// Remove a region, a queue or a lock, or the leftovers of a topic or ring that nobody alive holds
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What it is
    noun: Kind,
    /// Its name
    name: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Region,
    Topic,
    Ring,
    Queue,
    Lock,
}

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let noun = match args.noun {
        Kind::Region => Noun::Region,
        Kind::Topic => Noun::Topic,
        Kind::Ring => Noun::Ring,
        Kind::Queue => Noun::Queue,
        Kind::Lock => Noun::Lock,
    };
    // Opening creates: a mistyped domain must not come into being here.
    View::take(place, "unlink")?;
    place.open("unlink")?.unlink(noun, &args.name)?;
    Ok(0)
}
