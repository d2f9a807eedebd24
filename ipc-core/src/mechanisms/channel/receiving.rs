//! The receiving end of a channel.

use super::link::{Half, Inbound};
use super::{Channel, ChannelMessage};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use std::os::fd::RawFd;
use std::time::Duration;

/// What is made of what comes in; `None`: nothing yet.
type Attempt<'a, T> = &'a mut dyn FnMut(&mut Box<dyn Inbound>) -> Result<Option<T>>;

impl Channel {
    /// Whether looking for a message takes a system call.
    pub(crate) fn is_dear(&self) -> bool {
        self.inbound.with(|half| half.is_dear()).unwrap_or(true)
    }

    /// Whether the other end is gone, also where it has left something to read.
    pub(crate) fn is_left(&self) -> bool {
        self.inbound.with(|half| half.is_left()).is_some_and(|left| left.unwrap_or(true))
    }

    /// The next message, waiting for it up to `timeout` (`None`: for ever). `Disconnected` when the other end has ended and
    /// everything it sent was received.
    pub fn receive(&self, timeout: Option<Duration>) -> Result<ChannelMessage> {
        let deadline = Deadline::after(timeout);
        match self.receive_with(&deadline, |half| self.take(half))? {
            Some(message) => message,
            None => Err(self.nothing_came()),
        }
    }

    #[cold]
    fn nothing_came(&self) -> Error {
        let why = self.line.as_ref().and_then(|line| line.why_not());
        let why =
            why.as_deref().unwrap_or("no message came; give it more time, or see that the other end sends");
        self.common.timed_out(why)
    }

    /// The next message if there is one.
    pub fn try_receive(&self) -> Result<Option<ChannelMessage>> {
        self.try_with(&mut |half| {
            // Whoever watches the descriptor relies on it from when nothing was found.
            if half.next()? || half.is_watched() && half.arm()? && half.next()? {
                return self.take(half).map(Some);
            }
            half.idle()?;
            Ok(None)
        })
    }

    /// Does something with the next message, in place. `None`: none came until the deadline.
    fn receive_with<T>(
        &self,
        deadline: &Deadline,
        mut act: impl FnMut(&mut Box<dyn Inbound>) -> T,
    ) -> Result<Option<T>> {
        self.wait_with(deadline, &mut |half| if half.next()? { Ok(Some(act(half))) } else { Ok(None) })
    }

    /// Waits until `attempt` makes something of what comes in. `None`: nothing until the deadline.
    fn wait_with<T>(&self, deadline: &Deadline, attempt: Attempt<'_, T>) -> Result<Option<T>> {
        match self.try_with(attempt)? {
            None => self.hold_with(deadline, attempt),
            done => Ok(done),
        }
    }

    /// The same with nobody else reading until it is over.
    pub(crate) fn hold_with<T>(&self, deadline: &Deadline, attempt: Attempt<'_, T>) -> Result<Option<T>> {
        let waited = self.inbound.have(deadline, |half| self.common.wait(half, deadline, attempt));
        waited.map_err(|e| self.common.named(e))
    }

    /// The same without waiting, also for another thread that has it.
    pub(crate) fn try_with<T>(&self, attempt: Attempt<'_, T>) -> Result<Option<T>> {
        self.common.enter()?;
        self.inbound.with(attempt).unwrap_or(Ok(None)).map_err(|e| self.common.named(e))
    }

    /// Gets its descriptor ready to tell of what comes; whether something may be there already.
    pub(crate) fn arm(&self) -> Result<bool> {
        self.inbound.with(|half| half.arm()).unwrap_or(Ok(false)).map_err(|e| self.common.named(e))
    }

    fn take(&self, half: &mut Box<dyn Inbound>) -> Result<ChannelMessage> {
        let data = half.take_message();
        let descriptors = half.take_descriptors();
        half.release()?;
        self.counters.received.count(data.len());
        Ok(ChannelMessage { data, descriptors })
    }

    /// The pollable descriptor: readable until [`Channel::try_receive`] has returned `None`.
    pub fn fd(&self) -> Result<RawFd> {
        self.common.enter()?;
        let fd = self.inbound.have(&Deadline::after(None), |half| half.fd().map(Some));
        fd.map_err(|e| self.common.named(e))?.ok_or_else(|| self.common.unusable())
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{Domain, DomainOptions};
    use crate::mechanisms::channel::ChannelOptions;
    use std::time::{Duration, Instant};

    /// Also where what it has left is not read.
    #[test]
    fn who_is_gone_is_missed_by_who_reads_nothing() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let runtime_dir = Some(directory.path().into());
        let domain = Domain::open_with(DomainOptions { runtime_dir, ..Default::default() }).unwrap();
        let (options, soon) = (ChannelOptions::default(), Some(Duration::from_secs(20)));
        let socket = format!("unix://{}/s", directory.path().display());
        for address in [&socket, &format!("{socket}?type=seqpacket"), "tcp://127.0.0.1:0", "ws://127.0.0.1:0"]
        {
            let listener = domain.listen(address, &options).unwrap();
            let (one, other) = std::thread::scope(|scope| {
                let accepting = scope.spawn(|| listener.accept(soon).unwrap());
                (domain.connect(listener.address(), &options, soon).unwrap(), accepting.join().unwrap())
            });
            one.send(b"not read", soon).unwrap();
            assert!(!other.is_left(), "{address}");
            drop(one);
            let began = Instant::now();
            while !other.is_left() {
                assert!(began.elapsed() < Duration::from_secs(20), "{address}");
            }
            assert_eq!(other.receive(soon).unwrap().data, b"not read");
        }
    }
}
