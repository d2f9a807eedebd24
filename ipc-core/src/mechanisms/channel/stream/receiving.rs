//! What comes: frames, or bytes as they are.

use super::{Heard, Stream, watched};
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::frame::{Decoder, READ};
use crate::mechanisms::channel::link::{Half, Inbound, ended};
use crate::mechanisms::channel::protocol::{Decode, Speaks};
use crate::mechanisms::channel::wire::Wire;
use crate::sys::descriptor::{Epoll, Signal};
use crate::sys::ready::For;
use crate::sys::socket::MOST_DESCRIPTORS;
use std::collections::VecDeque;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// A set that a descriptor of an event loop is: the wire, and a signal for what was read and not given out.
struct Watched {
    epoll: Epoll,
    more: Signal,
    raised: bool,
}

impl Watched {
    fn new(wire: &dyn Wire) -> Result<Watched> {
        let (epoll, more) = (Epoll::new()?, Signal::new()?);
        wire.watch(&epoll, For::Input)?;
        epoll.add(more.as_fd(), 1)?;
        Ok(Watched { epoll, more, raised: false })
    }

    fn tell(&mut self, more: bool) {
        if more != self.raised {
            if more {
                self.more.raise()
            } else {
                self.more.lower()
            }
            self.raised = more;
        }
    }
}

/// The half that frames are read from.
pub struct Receiving {
    stream: Arc<Stream>,
    /// Once the other end has said what it sends.
    decoder: Option<Box<dyn Decode>>,
    limit: usize,
    /// Nothing is left to be said of what this end takes.
    greeted: bool,
    /// Descriptors that came, by the message they were sent with.
    passed: VecDeque<Vec<OwnedFd>>,
    descriptors: Vec<OwnedFd>,
    watched: Option<Watched>,
}

impl Receiving {
    pub fn new(stream: Arc<Stream>, limit: usize) -> Receiving {
        let passed = VecDeque::new();
        let descriptors = Vec::new();
        Receiving { stream, decoder: None, limit, greeted: false, passed, descriptors, watched: None }
    }

    /// What reads what the other end speaks; `None`: it has not said so yet.
    #[cold]
    fn decoder(&self) -> Result<Option<Box<dyn Decode>>> {
        Ok(match self.stream.hear()? {
            Some(Heard::Frames(heard)) => Some(Box::new(Decoder::new(self.limit, heard.checksums))),
            Some(Heard::Other(protocol)) => {
                let mut decoder = protocol.decoder();
                // What it was recognized by belongs to what it says.
                decoder.room().0.append(&mut lock(&self.stream.greeting).got);
                Some(decoder)
            }
            None => None,
        })
    }

    #[inline]
    fn look(&mut self) -> Result<bool> {
        if self.decoder.is_none() {
            self.decoder = self.decoder()?;
        }
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        while !decoder.next()? {
            let (buffer, room) = decoder.room();
            let got = self.stream.wire.read(buffer, room, &mut self.descriptors)?;
            if !self.descriptors.is_empty() {
                keep(&mut self.passed, std::mem::take(&mut self.descriptors))?;
            }
            match got {
                None => {
                    self.greeted = self.greeted || self.stream.greet()?;
                    return Ok(false);
                }
                Some(0) if !decoder.end() => return Err(ended(decoder.is_amid())),
                Some(_) => {}
            }
        }
        if !self.greeted && !decoder.has_more() {
            // A message is there, whatever comes of this: the next read tells.
            self.greeted = self.stream.greet().unwrap_or(false);
        }
        if decoder.has_descriptors() {
            let missing = || {
                let text = "a message came without the descriptors that were passed with it; connect anew";
                Error::new(ErrorKind::Corrupt, text)
            };
            self.descriptors = self.passed.pop_front().ok_or_else(missing)?;
        }
        Ok(true)
    }

    #[cold]
    fn tell(&mut self) {
        if let (Some(watched), Some(decoder)) = (&mut self.watched, &self.decoder) {
            watched.tell(decoder.has_more());
        }
    }
}

/// Descriptors come with the first byte of their message: at most a message that was not given out yet has some, and the next.
fn keep(passed: &mut VecDeque<Vec<OwnedFd>>, descriptors: Vec<OwnedFd>) -> Result<()> {
    if passed.len() > 1 || descriptors.len() > MOST_DESCRIPTORS {
        let text = "descriptors were passed that belong to no message; connect anew";
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    passed.push_back(descriptors);
    Ok(())
}

impl Half for Receiving {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.stream.wire.sleep(For::Input, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        if self.watched.is_none() {
            self.watched = Some(Watched::new(&*self.stream.wire)?);
            self.tell();
        }
        Ok(self.watched.as_ref().map_or(-1, |watched| watched.epoll.as_raw_fd()))
    }

    fn is_watched(&self) -> bool {
        self.watched.is_some()
    }
}

impl Inbound for Receiving {
    #[inline]
    fn next(&mut self) -> Result<bool> {
        self.descriptors.clear();
        let found = self.look();
        if self.watched.is_some() {
            self.tell();
        }
        found
    }

    #[inline]
    fn message(&self) -> &[u8] {
        self.decoder.as_ref().map_or(&[], |decoder| decoder.message())
    }

    fn take_message(&mut self) -> Vec<u8> {
        self.decoder.as_mut().map_or_else(Vec::new, |decoder| decoder.take_message())
    }

    fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    fn is_translated(&self) -> bool {
        self.stream.other().is_some()
    }

    #[inline]
    fn release(&mut self) -> Result<()> {
        self.decoder.iter_mut().for_each(|decoder| decoder.release());
        Ok(())
    }

    fn is_left(&mut self) -> Result<bool> {
        self.stream.wire.is_left()
    }

    fn speak(&mut self, speaks: Speaks) -> bool {
        match speaks {
            Speaks::This(protocol) => self.stream.heard.set(Heard::Other(protocol)).is_ok(),
            Speaks::Whatever(recognize) => self.stream.recognize.set(recognize).is_ok(),
        }
    }
}

/// The half that bytes are read from as they come.
pub struct Raw {
    stream: Arc<Stream>,
    buffer: Vec<u8>,
    /// So many at a time.
    limit: usize,
    epoll: Option<Epoll>,
}

impl Raw {
    pub fn new(stream: Arc<Stream>, max_message: usize) -> Raw {
        Raw { stream, buffer: Vec::new(), limit: READ.min(max_message), epoll: None }
    }
}

impl Half for Raw {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.stream.wire.sleep(For::Input, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        watched(&mut self.epoll, &*self.stream.wire, For::Input)
    }

    fn is_watched(&self) -> bool {
        self.epoll.is_some()
    }
}

impl Inbound for Raw {
    fn next(&mut self) -> Result<bool> {
        self.buffer.clear();
        self.buffer.reserve_exact(self.limit);
        match self.stream.wire.read(&mut self.buffer, self.limit, &mut Vec::new())? {
            None => Ok(false),
            Some(0) => Err(ended(false)),
            Some(_) => Ok(true),
        }
    }

    fn message(&self) -> &[u8] {
        &self.buffer
    }
}
