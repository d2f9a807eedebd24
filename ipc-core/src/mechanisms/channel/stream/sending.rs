//! What goes out: each message in one system call, several small ones in one too.

use super::{Framing, Heard, Stream, watched};
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::frame::{Header, READ, header_length};
use crate::mechanisms::channel::link::{Half, Outbound, Outgoing};
use crate::mechanisms::channel::protocol::Protocol;
use crate::sys::descriptor::Epoll;
use crate::sys::ready::For;
use crate::sys::socket::MOST_DESCRIPTORS;
use std::io::{IoSlice, Write};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Messages up to this size are gathered; for larger ones a system call each costs less than the copy.
const GATHERED: usize = 16 << 10;

/// Up to this size the pieces of a message are put together: the kernel needs longer for several than a copy takes.
const SMALL: usize = 512;

/// As many pieces are sent without a copy; with more, those that follow are put together.
const PIECES: usize = 8;

/// Memory that is kept for what could not be sent yet.
const KEPT: usize = 256 << 10;

/// The half that messages are written to.
pub struct Sending {
    stream: Arc<Stream>,
    framing: Framing,
    /// What goes before everything else, and how much of it has gone.
    rest: Vec<u8>,
    sent: usize,
    epoll: Option<Epoll>,
    said: bool,
    /// What is spoken instead of frames.
    other: Option<Arc<dyn Protocol>>,
    finished: bool,
}

impl Sending {
    pub fn new(stream: Arc<Stream>, framing: Framing) -> Sending {
        Sending {
            stream,
            framing,
            rest: Vec::new(),
            sent: 0,
            epoll: None,
            said: !framing.framed,
            other: None,
            finished: false,
        }
    }

    /// Whether what comes next can be sent now.
    #[inline]
    fn is_clear(&mut self) -> Result<bool> {
        if self.finished {
            return Err(Error::new(
                ErrorKind::Closed,
                "it was said that nothing more will be sent; connect anew",
            ));
        }
        Ok(self.has_said()? && self.flush()?)
    }

    /// Says what this end takes, if it has not, and there is somebody to whom that means something.
    #[inline]
    fn has_said(&mut self) -> Result<bool> {
        if !self.said {
            self.other = self.stream.other();
            self.said = self.other.is_some() || self.stream.say(&mut lock(&self.stream.greeting))?;
        }
        Ok(self.said)
    }

    /// Sends a message in another protocol: what there is no room for is kept.
    #[cold]
    fn send_other(&mut self, protocol: &dyn Protocol, message: Outgoing<'_>) -> Result<()> {
        let bytes = protocol.encode(message)?;
        if !bytes.is_empty() {
            let sent = self.stream.wire.write(&[IoSlice::new(&bytes)], &[])?.unwrap_or(0);
            self.rest.extend_from_slice(&bytes[sent..]);
        }
        Ok(())
    }

    fn header(&self, message: Outgoing<'_>) -> Header {
        Header::of(message, self.framing.checksums)
    }

    /// Keeps what was not sent of the header and the pieces.
    #[cold]
    fn keep(&mut self, pieces: &[IoSlice<'_>], mut sent: usize) {
        for piece in pieces {
            let skipped = sent.min(piece.len());
            sent -= skipped;
            self.rest.extend_from_slice(&piece[skipped..]);
        }
    }

    fn write(&mut self, pieces: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> Result<bool> {
        let whole: usize = pieces.iter().map(|piece| piece.len()).sum();
        if whole == 0 {
            return Ok(true);
        }
        let mut together = [0; SMALL];
        let one;
        let pieces = if pieces.len() > 1 && whole <= SMALL {
            let mut rest = &mut together[..];
            pieces.iter().for_each(|piece| rest.write_all(piece).expect("there is room"));
            one = [IoSlice::new(&together[..whole])];
            &one
        } else {
            pieces
        };
        match self.stream.wire.write(pieces, descriptors)? {
            None => Ok(false),
            Some(sent) => {
                if sent < whole {
                    self.keep(pieces, sent);
                }
                Ok(true)
            }
        }
    }

    /// Puts together the first small ones of several messages; how many.
    fn gather(&mut self, messages: &[&[u8]]) -> usize {
        let mut count = 0;
        for message in messages {
            if message.len() > GATHERED || self.rest.len() + message.len() > READ {
                break;
            }
            if self.framing.framed {
                let header = self.header(Outgoing { pieces: &[message], descriptors: &[] });
                self.rest.extend_from_slice(header.bytes());
            }
            self.rest.extend_from_slice(message);
            count += 1;
        }
        count
    }

    /// Sends what was gathered; how many of these messages have begun to go out. Those that have not are forgotten.
    fn send_gathered(&mut self, messages: &[&[u8]]) -> Result<usize> {
        let written =
            self.stream.wire.write(&[IoSlice::new(&self.rest)], &[]).inspect_err(|_| self.rest.clear())?;
        let header = if self.framing.framed { header_length(self.framing.checksums) } else { 0 };
        let (mut begun, mut end) = (0, 0);
        while let Some(length) = messages.get(begun).map(|message| header + message.len()) {
            // An empty one without a header takes no room.
            if length > 0 && end >= written.unwrap_or(0) {
                break;
            }
            end += length;
            begun += 1;
        }
        self.rest.truncate(end);
        self.sent = written.unwrap_or(0);
        self.forget_sent();
        Ok(begun)
    }

    /// Sends what was kept; `false`: there is no room for all of it.
    #[cold]
    fn send_rest(&mut self) -> Result<bool> {
        while self.sent < self.rest.len() {
            match self.stream.wire.write(&[IoSlice::new(&self.rest[self.sent..])], &[])? {
                None => {
                    self.stream.wire.keeps(true);
                    return Ok(false);
                }
                Some(n) => self.sent += n,
            }
            self.forget_sent();
        }
        self.stream.wire.keeps(false);
        Ok(true)
    }

    fn forget_sent(&mut self) {
        if self.sent == self.rest.len() {
            self.rest.clear();
            self.rest.shrink_to(KEPT);
            self.sent = 0;
        }
    }
}

/// That the other end is gone is for others to say.
fn unless_gone(result: Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::Disconnected => Ok(()),
        result => result,
    }
}

#[cold]
fn too_large(length: usize, limit: usize) -> Error {
    let text = format!(
        "a message of {length} bytes, the largest is {limit}: the limit is the smaller max_message of both ends; raise it \
         there"
    );
    Error::new(ErrorKind::TooLarge, text)
}

#[inline]
fn check_descriptors(count: usize) -> Result<()> {
    if count <= MOST_DESCRIPTORS {
        return Ok(());
    }
    let text = format!(
        "{count} descriptors, the kernel passes {MOST_DESCRIPTORS} with a message; send several messages"
    );
    Err(Error::new(ErrorKind::InvalidArgument, text))
}

impl Half for Sending {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.stream.wire.sleep(For::Output, limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        watched(&mut self.epoll, &*self.stream.wire, For::Output)
    }

    fn is_watched(&self) -> bool {
        self.epoll.is_some()
    }
}

impl Outbound for Sending {
    #[inline]
    fn send(&mut self, message: Outgoing<'_>) -> Result<bool> {
        if !self.is_clear()? {
            return Ok(false);
        }
        if let Some(protocol) = self.other.clone() {
            return self.send_other(&*protocol, message).map(|()| true);
        }
        self.takes(message.len())?;
        check_descriptors(message.descriptors.len())?;
        let header = self.header(message);
        let mut pieces = [IoSlice::new(&[]); PIECES];
        pieces[0] = IoSlice::new(if self.framing.framed { header.bytes() } else { &[] });
        let last;
        let mut given = message.pieces;
        if given.len() >= PIECES {
            let (first, others) = given.split_at(PIECES - 2);
            last = others.concat();
            pieces[PIECES - 1] = IoSlice::new(&last);
            given = first;
        }
        pieces[1..].iter_mut().zip(given).for_each(|(slice, piece)| *slice = IoSlice::new(piece));
        let used = if message.pieces.len() < PIECES { 1 + given.len() } else { PIECES };
        self.write(&pieces[..used], message.descriptors)
    }

    fn send_many(&mut self, messages: &[&[u8]]) -> Result<usize> {
        messages.iter().try_for_each(|message| self.takes(message.len()))?;
        let mut sent = 0;
        while sent < messages.len() && self.is_clear()? {
            let gathered = if self.other.is_none() { self.gather(&messages[sent..]) } else { 0 };
            if gathered > 0 {
                let begun = self.send_gathered(&messages[sent..sent + gathered])?;
                sent += begun;
                if begun < gathered {
                    break;
                }
            } else if self.send(Outgoing { pieces: &messages[sent..=sent], descriptors: &[] })? {
                sent += 1;
            } else {
                break;
            }
        }
        Ok(sent)
    }

    #[inline]
    fn flush(&mut self) -> Result<bool> {
        Ok((self.sent == self.rest.len() || self.send_rest()?) && self.stream.wire.flush()?)
    }

    fn is_heard(&self) -> bool {
        self.stream.wire.is_heard()
    }

    #[inline]
    fn takes(&self, length: usize) -> Result<()> {
        if !self.framing.framed {
            return Ok(());
        }
        match self.stream.hear() {
            Ok(Some(Heard::Frames(heard))) if length > heard.max_message => {
                Err(too_large(length, heard.max_message))
            }
            heard => unless_gone(heard.map(drop)),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.has_said()?;
        self.finished = true;
        self.stream.wire.finish();
        Ok(())
    }
}
