//! What travels between client and service: one frame is one message of a channel.
//!
//! A frame is a header of 16 bytes, the method's name (of a call only), metadata (a tensor's shape, attributes), and the
//! payload. All numbers are little-endian.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::Inbound;
use crate::value::Content;

/// Bytes of the header.
pub const HEADER: usize = 16;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: which service and versions it wants, as JSON.
    Hello = 1,
    /// Service: its name, version and methods, as JSON.
    Welcome = 2,
    /// Client: a call; `value` is the time it has, in milliseconds.
    Call = 3,
    /// Client: one more item of what it streams.
    Input = 4,
    /// Client: that was all of it.
    InputEnd = 5,
    /// Client: the call is given up.
    Cancel = 6,
    /// Service: one more item of what it streams.
    Item = 7,
    /// Service: the call is done, and this is its result, if it has one.
    Reply = 8,
    /// Service: the call failed; the payload is a status.
    Failure = 9,
    /// Either: so many bytes more of a stream may be sent, `value`.
    Credit = 10,
    /// Service: how far the call is, `value` in millionths, with a note as payload.
    Progress = 11,
    /// Of another protocol's translation, and never sent: what came cannot be a call, and this is the answer that it gets.
    Refused = 12,
}

const KINDS: [Kind; 12] = [
    Kind::Hello,
    Kind::Welcome,
    Kind::Call,
    Kind::Input,
    Kind::InputEnd,
    Kind::Cancel,
    Kind::Item,
    Kind::Reply,
    Kind::Failure,
    Kind::Credit,
    Kind::Progress,
    Kind::Refused,
];

/// The metadata begins with a tensor's type and shape; it has attributes; the client streams; the service may, and of a reply, it
/// did; nobody waits for the call's answer, so that it is done also when its client is gone; whoever takes a stream takes one
/// result, too.
pub const FLAG_TENSOR: u8 = 1;
pub const FLAG_ATTRIBUTES: u8 = 2;
pub const FLAG_INPUT: u8 = 4;
pub const FLAG_STREAM: u8 = 8;
pub const FLAG_NOTICE: u8 = 16;
pub const FLAG_ONE: u8 = 32;

/// A call that has all the time in the world.
pub const FOREVER: u32 = u32::MAX;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub content: Content,
    pub flags: u8,
    /// Bytes of the method's name.
    pub name: u8,
    /// Which call it belongs to; zero: none.
    pub call: u32,
    /// Bytes of metadata.
    pub meta: u32,
    pub value: u32,
}

impl Header {
    pub fn new(kind: Kind, call: u32) -> Header {
        Header { kind, content: Content::Raw, flags: 0, name: 0, call, meta: 0, value: 0 }
    }

    #[inline(always)]
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&[self.kind as u8, self.content as u8, self.flags, self.name]);
        bytes[4..8].copy_from_slice(&self.call.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.meta.to_le_bytes());
        bytes[12..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }
}

/// A frame as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub header: Header,
    pub name: &'a [u8],
    pub meta: &'a [u8],
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads one; every number in it is checked.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Frame<'a>> {
        Frame::read(bytes).ok_or_else(|| unreadable(bytes))
    }

    /// Reads the one that has come; what only translations say within a process is none.
    #[inline]
    pub fn received(half: &'a dyn Inbound) -> Result<Frame<'a>> {
        let bytes = half.message();
        let frame = Frame::decode(bytes)?;
        if frame.header.kind == Kind::Refused && !half.is_translated() {
            return Err(unreadable(bytes));
        }
        Ok(frame)
    }

    /// It came from somebody who must not send it.
    #[cold]
    pub fn out_of_place(&self, why: &str) -> Error {
        let text =
            format!("a frame came that is out of place: {why}; see that the other end keeps to the protocol");
        Error::new(ErrorKind::Corrupt, text)
    }

    #[inline(always)]
    fn read(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let (head, rest) = bytes.split_first_chunk::<HEADER>()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let header = Header {
            kind: *KINDS.get(usize::from(head[0]).wrapping_sub(1))?,
            content: Content::from_number(head[1])?,
            flags: head[2],
            name: head[3],
            call: word(4),
            meta: word(8),
            value: word(12),
        };
        let (name, rest) = rest.split_at_checked(header.name.into())?;
        let (meta, data) = rest.split_at_checked(header.meta as usize)?;
        Some(Frame { header, name, meta, data })
    }
}

#[cold]
fn unreadable(bytes: &[u8]) -> Error {
    let head = &bytes[..bytes.len().min(HEADER)];
    let text = format!(
        "a message of {} bytes came that is no frame of a call (it begins with {head:02x?}); see that the other end speaks Axonic's RPC",
        bytes.len()
    );
    Error::new(ErrorKind::Corrupt, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip() {
        for (i, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, i + 1);
            let header = Header {
                content: Content::Json,
                flags: FLAG_STREAM,
                name: 4,
                meta: 3,
                value: FOREVER,
                ..Header::new(kind, 0x0102_0304)
            };
            let bytes = [&header.encode()[..], b"echo", b"abc", b"payload"].concat();
            let frame = Frame::decode(&bytes).unwrap();
            assert_eq!(
                (frame.header, frame.name, frame.meta, frame.data),
                (header, &b"echo"[..], &b"abc"[..], &b"payload"[..])
            );
            for cut in 0..HEADER + 7 {
                assert_eq!(Frame::decode(&bytes[..cut]).unwrap_err().kind(), ErrorKind::Corrupt);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_error_or_a_frame(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                let again = [&frame.header.encode()[..], frame.name, frame.meta, frame.data].concat();
                proptest::prop_assert_eq!(again, bytes);
            }
        }
    }
}
