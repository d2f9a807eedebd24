//! How both halves of an end, and who waits to be accepted, sleep.

use super::End;
use crate::domain::waiter::{Arming, Waiter, disarm};
use crate::error::Result;

/// Arms (W1): nothing could be done, and the caller looks once more. Whether the other end died or may have; `None`: somebody
/// watches the descriptor, which is armed and silent as before.
///
/// From when it sleeps for the first time it looks once a second, too: of an end that called `exec` nothing else tells.
pub fn arm(end: &End, waiter: &mut Waiter, arming: Arming<'_>) -> Result<Option<bool>> {
    if end.peer != end.domain.inner().me() {
        waiter.look_regularly()?;
    }
    if waiter.is_evented() {
        return waiter.settle(arming);
    }
    arming.arm(waiter.registered_peers);
    Ok(Some(false))
}

/// After it has slept.
pub fn awake(waiter: &mut Waiter, arming: Arming<'_>) {
    if waiter.is_evented() {
        waiter.stay_readable();
    } else {
        disarm(arming.armed);
    }
}
