//! The two halves of an end of a channel within a process.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::link::{Half, Inbound, Outbound, Outgoing, ended};
use crate::mechanisms::channel::sleeper::Sleeper;
use crate::mechanisms::channel::{Can, Link, Peer, Wake};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::{file, socket};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// So many messages are on their way in one direction, and so many bytes: a larger message goes alone.
const MESSAGES: usize = 256;
const BYTES: u64 = 1 << 20;

const CAN: Can = Can {
    reliable: true,
    ordered: true,
    messages: true,
    back_pressure: true,
    end: true,
    half_close: true,
    descriptors: true,
    credentials: true,
    max_message: None,
};

#[derive(Default)]
struct Parcel {
    data: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What the two ends of one direction share beside the queue.
struct Way {
    /// Bytes on their way.
    bytes: AtomicU64,
    /// Nothing will be put in any more, or nothing taken out.
    over: AtomicU32,
    reader: Sleeper,
    writer: Sleeper,
}

impl Way {
    fn new() -> Result<Arc<Way>> {
        let (reader, writer) = (Sleeper::new()?, Sleeper::new()?);
        Ok(Arc::new(Way { bytes: AtomicU64::new(0), over: AtomicU32::new(0), reader, writer }))
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) != 0
    }

    /// Called once the queue has lost one of its ends.
    fn end(&self) {
        self.over.store(1, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }
}

/// The two ends of a channel: of whoever connects, which takes messages of up to `ours` bytes, and of whoever accepts.
pub fn pair(ours: usize, theirs: usize) -> Result<(Link, Link)> {
    let (out, back) = (Way::new()?, Way::new()?);
    let (to_them, from_us) = bounded(MESSAGES);
    let (to_us, from_them) = bounded(MESSAGES);
    let here = link(Sending::new(to_them, &out), Receiving::new(from_them, &back), theirs);
    Ok((here, link(Sending::new(to_us, &back), Receiving::new(from_us, &out), ours)))
}

fn link(sending: Sending, receiving: Receiving, peer_limit: usize) -> Link {
    let (out, back) = (sending.way.clone(), receiving.way.clone());
    let wake: Wake = Box::new(move || {
        out.writer.call();
        back.reader.call();
    });
    let peer = Peer { pid: Some(std::process::id()), uid: Some(file::user()), ..Peer::default() };
    Link {
        inbound: Box::new(receiving),
        outbound: Box::new(sending),
        can: CAN,
        peer,
        peer_limit: Some(peer_limit),
        wake,
    }
}

struct Receiving {
    /// `None` only while it is dropped.
    queue: Option<Receiver<Parcel>>,
    way: Arc<Way>,
    /// What is ready.
    parcel: Parcel,
    watched: bool,
}

impl Receiving {
    fn new(queue: Receiver<Parcel>, way: &Arc<Way>) -> Receiving {
        Receiving { queue: Some(queue), way: way.clone(), parcel: Parcel::default(), watched: false }
    }
}

impl Half for Receiving {
    fn arm(&mut self) -> Result<bool> {
        let (queue, way) = (&self.queue, &self.way);
        Ok(way.reader.arm(|| way.is_over() || queue.as_ref().is_some_and(|queue| !queue.is_empty())))
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.way.reader.sleep(limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.way.reader.watch(&mut self.watched))
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Inbound for Receiving {
    fn next(&mut self) -> Result<bool> {
        let Some(queue) = &self.queue else { return Ok(false) };
        self.parcel = match queue.try_recv() {
            Ok(parcel) => parcel,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => return Err(ended(false)),
        };
        self.way.bytes.fetch_sub(self.parcel.data.len() as u64, Ordering::AcqRel);
        self.way.writer.wake();
        Ok(true)
    }

    fn message(&self) -> &[u8] {
        &self.parcel.data
    }

    fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parcel.data)
    }

    fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.parcel.descriptors)
    }

    fn release(&mut self) -> Result<()> {
        self.parcel = Parcel::default();
        Ok(())
    }

    fn is_dear(&self) -> bool {
        false
    }

    fn is_left(&mut self) -> Result<bool> {
        Ok(self.way.is_over())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // What was not taken is not kept for as long as its sender lives.
        if let Some(queue) = self.queue.take() {
            self.way.end();
            while queue.try_recv().is_ok() {}
        }
    }
}

struct Sending {
    /// `None` once nothing more will be sent.
    queue: Option<Sender<Parcel>>,
    way: Arc<Way>,
    /// Bytes of the message there was no room for.
    wanted: u64,
    watched: bool,
}

impl Sending {
    fn new(queue: Sender<Parcel>, way: &Arc<Way>) -> Sending {
        Sending { queue: Some(queue), way: way.clone(), wanted: 0, watched: false }
    }

    fn has_room(&self, queue: &Sender<Parcel>) -> bool {
        let bytes = self.way.bytes.load(Ordering::Acquire);
        !queue.is_full() && (bytes == 0 || bytes + self.wanted <= BYTES)
    }

    #[cold]
    fn gone() -> Error {
        Error::new(ErrorKind::Disconnected, "the other end is gone; connect anew")
    }
}

impl Half for Sending {
    fn arm(&mut self) -> Result<bool> {
        let look = || self.way.is_over() || self.queue.as_ref().is_none_or(|queue| self.has_room(queue));
        Ok(self.way.writer.arm(look))
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.way.writer.sleep(limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.way.writer.watch(&mut self.watched))
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Outbound for Sending {
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        self.wanted = message.len() as u64;
        let Some(queue) = &self.queue else {
            let text = "it was said that nothing more will be sent; connect anew";
            return Err(Error::new(ErrorKind::Closed, text));
        };
        if self.way.is_over() {
            return Err(Sending::gone());
        }
        if !self.has_room(queue) {
            return Ok(false);
        }
        let descriptors = socket::copies(message.descriptors)?;
        self.way.bytes.fetch_add(self.wanted, Ordering::AcqRel);
        match queue.try_send(Parcel { data: message.pieces.concat(), descriptors }) {
            Ok(()) => {
                self.way.reader.wake();
                Ok(true)
            }
            // It is the only one that sends: there was room.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Sending::gone()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        if self.queue.take().is_some() {
            self.way.end();
        }
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.queue.take();
        self.way.end();
    }
}
