//! Time: deadlines on the monotonic clock, wall-clock stamps for people.

use nix::time::ClockId;
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

/// Milliseconds of the monotonic clock, a few of them late: for what only people look at.
#[inline(always)]
pub fn coarse_millis() -> u64 {
    read(ClockId::CLOCK_MONOTONIC_COARSE) / 1_000_000
}

/// Nanoseconds of the monotonic clock, which all processes of one time namespace share.
pub fn monotonic_nanos() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

#[inline(always)]
fn read(clock: ClockId) -> u64 {
    clock.now().map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

/// The same to within some milliseconds, where the precise clock would cost more than what is stamped.
#[inline]
pub fn coarse_unix_millis() -> u64 {
    read(ClockId::CLOCK_REALTIME_COARSE) / 1_000_000
}
