//! Options as JavaScript spells them, turned into the core's.

use std::time::Duration;

use axonic::{Create, Fsync, Noun, Overflow, Start, Wait};

use crate::error::invalid;

/// A count or a size in bytes.
pub fn size(what: &str, value: f64) -> axonic::Result<usize> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    if (0.0..=MAX_SAFE).contains(&value) && value.fract() == 0.0 {
        Ok(value as usize)
    } else {
        Err(invalid(format!("{what} is {value}; it must be a whole number from 0 to {MAX_SAFE}")))
    }
}

/// A whole number of 32 bits.
pub fn number(what: &str, value: f64) -> axonic::Result<u32> {
    let whole = size(what, value)?;
    u32::try_from(whole)
        .map_err(|_| invalid(format!("{what} is {whole}; it must be a whole number from 0 to {}", u32::MAX)))
}

/// Milliseconds.
pub fn duration(what: &str, milliseconds: f64) -> axonic::Result<Duration> {
    Duration::try_from_secs_f64(milliseconds / 1000.0).map_err(|_| {
        let must = "milliseconds, a number that is not negative and fits a clock";
        invalid(format!("{what} is {milliseconds}; it must be {must}"))
    })
}

fn one_of<T: Copy>(what: &str, value: &str, choices: &[(&str, T)]) -> axonic::Result<T> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        invalid(format!("{what} is '{value}'; it must be one of {}", names.join(", ")))
    })
}

/// `wait`: how a handle waits.
pub fn wait(value: &str) -> axonic::Result<Wait> {
    one_of("wait", value, &[("spin", Wait::Spin), ("adaptive", Wait::Adaptive), ("block", Wait::Block)])
}

/// `fsync`: when what a durable queue holds is on the disk.
pub fn fsync(value: &str, interval: Duration) -> axonic::Result<Fsync> {
    let choices =
        [("always", Fsync::Always), ("interval", Fsync::Interval(interval)), ("never", Fsync::Never)];
    one_of("fsync", value, &choices)
}

/// `overflow`: what a full ring means.
pub fn overflow(value: &str) -> axonic::Result<Overflow> {
    let choices =
        [("dropOldest", Overflow::DropOldest), ("block", Overflow::Block), ("reject", Overflow::Reject)];
    one_of("overflow", value, &choices)
}

/// `start`: where a late joiner begins.
pub fn start(value: &str) -> axonic::Result<Start> {
    one_of("start", value, &[("latest", Start::Latest), ("oldest", Start::Oldest)])
}

/// `create`: whether a region may or must be made.
pub fn create(value: &str) -> axonic::Result<Create> {
    let choices =
        [("openOrCreate", Create::OpenOrCreate), ("createNew", Create::CreateNew), ("open", Create::Open)];
    one_of("create", value, &choices)
}

/// The noun to unlink.
pub fn noun(value: &str) -> axonic::Result<Noun> {
    let choices = [
        ("topic", Noun::Topic),
        ("region", Noun::Region),
        ("ring", Noun::Ring),
        ("queue", Noun::Queue),
        ("lock", Noun::Lock),
    ];
    one_of("noun", value, &choices)
}
