//! What a channel that is closed has instead of its halves.

use super::link::{Half, Inbound, Outbound, Outgoing};
use crate::domain::closed;
use crate::error::Result;
use std::os::fd::RawFd;
use std::time::Duration;

pub struct Gone;

impl Half for Gone {
    fn sleep(&mut self, _: Option<Duration>) -> Result<()> {
        Err(closed("it"))
    }

    fn fd(&mut self) -> Result<RawFd> {
        Err(closed("it"))
    }

    fn is_watched(&self) -> bool {
        false
    }
}

impl Inbound for Gone {
    fn next(&mut self) -> Result<bool> {
        Err(closed("it"))
    }

    fn message(&self) -> &[u8] {
        &[]
    }
}

impl Outbound for Gone {
    fn send(&mut self, _: Outgoing<'_>) -> Result<bool> {
        Err(closed("it"))
    }

    fn finish(&mut self) -> Result<()> {
        Err(closed("it"))
    }
}
