//! Time: deadlines on the monotonic clock, times that processes tell each other, wall-clock stamps for people.
//!
//! What is written to shared memory is time of the machine's monotonic clock, that of the initial time namespace: nobody
//! sets it, and in other namespaces, which may share a domain, the same instant has another number. Deadlines and the
//! kernel's timers are on this process's own.

use super::process;
use crate::error::Result;
use nix::time::ClockId;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When a wait ends. `None` never does.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// A deadline `timeout` from now; a timeout too long for the clock is no deadline.
    pub fn after(timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.and_then(|t| Instant::now().checked_add(t)))
    }

    /// This one, or `limit` from now if that is sooner.
    pub fn within(&self, limit: Duration) -> Deadline {
        Deadline::after(Some(self.remaining().map_or(limit, |left| left.min(limit))))
    }

    /// What is left: `None` when there is no deadline, zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

/// Milliseconds since 1970, for people and CloudEvents.
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Nanoseconds by which this process's monotonic clock is ahead of the machine's.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// Finds out how the two clocks differ; called wherever a process comes to see a domain, and so again in a child, which
/// may be in another namespace than its parent. Where `/proc` is not there to tell, they are taken for one.
pub fn find_difference() -> Result<()> {
    let namespace = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).ok();
    // What the file tells is true of children to come. Who has unshared the namespace of these stays where it was, and
    // what was found then is true still.
    if namespace("time") == namespace("time_for_children") {
        let offsets = process::read_own("timens_offsets")?;
        AHEAD.store(offsets.and_then(|text| difference_in(&text)).unwrap_or(0), Ordering::Relaxed);
    }
    Ok(())
}

fn difference_in(offsets: &str) -> Option<i64> {
    let mut fields = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    let mut next = || fields.next()?.parse::<i64>().ok();
    next()?.checked_mul(1_000_000_000)?.checked_add(next()?)
}

/// Nanoseconds of the machine's monotonic clock, the same for all processes until the next boot.
pub fn monotonic_nanos() -> u64 {
    read(ClockId::CLOCK_MONOTONIC).wrapping_add_signed(-AHEAD.load(Ordering::Relaxed))
}

/// Milliseconds of the same, a few of them late, where the precise clock would cost more than what is stamped.
#[inline(always)]
pub fn coarse_millis() -> u64 {
    read(ClockId::CLOCK_MONOTONIC_COARSE).wrapping_add_signed(-AHEAD.load(Ordering::Relaxed)) / 1_000_000
}

/// That time as the clock of this process has it, which is what the kernel takes.
pub fn own_nanos(nanos: u64) -> u64 {
    nanos.saturating_add_signed(AHEAD.load(Ordering::Relaxed))
}

/// When that was by the wall clock as it goes now, for people: a clock that was set since changes nothing of how long it
/// has been. Zero stays zero.
pub fn unix_of(millis: u64) -> u64 {
    if millis == 0 { 0 } else { unix_millis().saturating_sub(coarse_millis().saturating_sub(millis)) }
}

#[inline(always)]
fn read(clock: ClockId) -> u64 {
    clock.now().map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
