//! What goes on between the two ends: records in, records out. Nothing waits.

use super::refusal;
use crate::error::{Error, Result};
use crate::sys::socket;
use rustls::Connection;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;

/// So much is in one record at most, and in line at this end.
const RECORD: usize = 16 << 10;

/// What a connection is to the protocol.
struct Port<'a> {
    fd: BorrowedFd<'a>,
    /// Why it has failed, rather than that it is not the time.
    failed: Option<Error>,
}

impl Port<'_> {
    fn moved(&mut self, moved: Result<Option<usize>>) -> io::Result<usize> {
        match moved {
            Ok(Some(n)) => Ok(n),
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(e) => {
                self.failed = Some(e);
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

impl Read for Port<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let moved = socket::receive_to(self.fd, to);
        self.moved(moved)
    }
}

impl Write for Port<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let moved = socket::send(self.fd, pieces, &[]);
        self.moved(moved)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One end of what goes on.
pub struct Session {
    tls: Connection,
    /// The other end has said that it has ended.
    over: bool,
    /// The connection has ended, whether or not that was said.
    ended: bool,
    /// Nothing can be made of what comes, or the other end refuses what it got.
    failed: Option<rustls::Error>,
    /// Nothing more is said.
    finished: bool,
}

impl Session {
    pub fn new(mut tls: Connection) -> Session {
        tls.set_buffer_limit(Some(RECORD));
        Session { tls, over: false, ended: false, failed: None, finished: false }
    }

    /// Goes on with the handshake; whether it is done.
    pub fn shake(&mut self, fd: BorrowedFd<'_>) -> Result<bool> {
        loop {
            self.check()?;
            if self.ended {
                return Err(refusal::left(&self.tls));
            }
            if !self.flush(fd)? {
                return Ok(false);
            }
            if !self.tls.is_handshaking() {
                return Ok(true);
            }
            if !self.pull(fd)? {
                return Ok(false);
            }
        }
    }

    /// Whether something is in line for which there was no room.
    pub fn is_blocked(&self) -> bool {
        self.tls.wants_write()
    }

    /// Whether reading gives something, if only an end, without the connection.
    pub fn is_ready(&self) -> bool {
        !self.tls.wants_read() || self.failed.is_some() || self.ended
    }

    /// Whether nothing more comes than what is there already.
    pub fn is_over(&self) -> bool {
        self.over || self.ended || self.failed.is_some()
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    fn check(&self) -> Result<()> {
        self.failed.as_ref().map_or(Ok(()), |e| Err(refusal::explain(&self.tls, e)))
    }

    /// Appends at most `room` bytes; `None`: there are none now. `Some(0)`: the other end has said that it has ended.
    pub fn read(&mut self, fd: BorrowedFd<'_>, buffer: &mut Vec<u8>, room: usize) -> Result<Option<usize>> {
        loop {
            let got = self.take(buffer, room);
            if got > 0 {
                return Ok(Some(got));
            }
            if self.over {
                return Ok(Some(0));
            }
            self.check()?;
            if self.ended {
                return Err(refusal::cut_off());
            }
            if !self.pull(fd)? {
                return Ok(None);
            }
        }
    }

    /// Appends what was made of what has come.
    fn take(&mut self, buffer: &mut Vec<u8>, room: usize) -> usize {
        let (mut reader, mut got) = (self.tls.reader(), 0);
        while got < room {
            let Ok(chunk @ [_, ..]) = reader.fill_buf() else { break };
            let length = chunk.len().min(room - got);
            buffer.extend_from_slice(&chunk[..length]);
            reader.consume(length);
            got += length;
        }
        got
    }

    /// Reads what has come once; `false`: nothing has.
    fn pull(&mut self, fd: BorrowedFd<'_>) -> Result<bool> {
        let mut port = Port { fd, failed: None };
        let processed = match self.tls.read_tls(&mut port) {
            Ok(0) => {
                self.ended = true;
                return Ok(true);
            }
            Ok(_) => self.tls.process_new_packets().map(|state| self.over = state.peer_has_closed()),
            Err(e) => match port.failed {
                Some(e) => return Err(e),
                None if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                None => Err(rustls::Error::General(e.to_string())),
            },
        };
        self.failed = processed.err();
        // It may have an answer to what came, or the other end is to hear why this one cannot go on.
        let _ = self.flush(fd);
        Ok(true)
    }

    /// Sends the pieces, or the first bytes of them; `None`: there is no room. What of a record there was no room for is kept.
    pub fn write(&mut self, fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Result<Option<usize>> {
        let written = self.write_on(fd, pieces);
        // Who was refused finds nobody to send to, and was told why.
        if written.is_err() {
            while !self.is_ready() && matches!(self.pull(fd), Ok(true)) {}
            self.check()?;
        }
        written
    }

    fn write_on(&mut self, fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Result<Option<usize>> {
        self.check()?;
        if after(pieces, 0).is_empty() {
            return Ok(Some(0));
        }
        if !self.flush(fd)? {
            return Ok(None);
        }
        let mut sent = self.seal(|to| to.write_vectored(pieces))?;
        while self.flush(fd)? {
            let left = after(pieces, sent);
            if left.is_empty() {
                break;
            }
            sent += self.seal(|to| to.write(left))?;
        }
        Ok(Some(sent))
    }

    /// Makes a record of what is written; of how much.
    fn seal(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<usize>) -> Result<usize> {
        match write(&mut self.tls.writer()) {
            Ok(0) | Err(_) => Err(refusal::exhausted()),
            Ok(n) => Ok(n),
        }
    }

    /// Sends what is in line; `false`: there is no room for all of it.
    pub fn flush(&mut self, fd: BorrowedFd<'_>) -> Result<bool> {
        let mut port = Port { fd, failed: None };
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut port).is_err() {
                return port.failed.map_or(Ok(false), Err);
            }
        }
        Ok(true)
    }

    /// Says that nothing more will be said, as far as there is room for that now.
    pub fn finish(&mut self, fd: BorrowedFd<'_>) {
        if !std::mem::replace(&mut self.finished, true) {
            self.tls.send_close_notify();
        }
        let _ = self.flush(fd);
    }
}

/// What follows the first bytes in the piece they end in, or the next one.
fn after<'a>(pieces: &'a [IoSlice<'_>], mut bytes: usize) -> &'a [u8] {
    for piece in pieces {
        if bytes < piece.len() {
            return &piece[bytes..];
        }
        bytes -= piece.len();
    }
    &[]
}
