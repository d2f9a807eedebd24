//! The second process.

use super::CASES;
use super::pair::{Cores, Theirs};
use crate::place::Place;
use crate::stop::{Outcome, Stop};

/// Plays the other side of every case, in order, and ends.
pub(super) fn run(token: &str, place: &Place) -> Outcome {
    let mistake = || Stop::usage("--other-side is for `axonic bench` itself");
    let mut numbers = token.split(':').map(|number| number.parse::<usize>().ok());
    let mut next = || numbers.next().flatten().ok_or_else(mistake);
    let (parent, here, there) = (next()?, next()?, next()?);
    let cores = Cores { here, there };
    let mut theirs = Theirs::start(place, cores, parent)?;
    for case in CASES.iter().filter(|case| !(case.spins && cores.is_one())) {
        theirs.meet()?;
        (case.theirs)(&mut theirs)?;
    }
    Ok(0)
}
