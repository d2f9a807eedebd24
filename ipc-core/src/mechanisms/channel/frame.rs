//! Messages on a stream of bytes: a preamble each way, then frames.
//!
//! A preamble is `AXONIC/1`, flags (bit 0: the frames that follow have checksums) and the largest message its sender
//! takes; a frame is its length (bit 31: descriptors were passed with it), with checksums the CRC-32C of its bytes, and
//! the bytes. Numbers are 32 bits, little-endian. What a length promises is checked before memory is taken for it, and
//! memory is taken as the bytes come.

use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::channel::MAX_MESSAGE;
use crate::mechanisms::channel::link::Outgoing;
use crate::mechanisms::channel::protocol::Decode;
use crc32c::crc32c_append;
use std::ops::Range;

/// Bytes of a preamble.
pub const PREAMBLE: usize = 16;
const MAGIC: &[u8; 8] = b"AXONIC/1";
const CHECKSUMS: u32 = 1;

/// So much is read at a time; a larger message has memory of its own.
pub const READ: usize = 64 << 10;

const DESCRIPTORS: u32 = 1 << 31;
const LENGTH: u32 = DESCRIPTORS - 1;

/// What one end says of itself before everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    pub checksums: bool,
    pub max_message: usize,
}

impl Preamble {
    pub fn encode(self) -> [u8; PREAMBLE] {
        let mut bytes = [0; PREAMBLE];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&u32::from(self.checksums).to_le_bytes());
        bytes[12..].copy_from_slice(&(self.max_message as u32).to_le_bytes());
        bytes
    }

    /// Reads as much of one as has come; `None`: that was not all of it yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<Preamble>> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(stranger(&bytes[..known]));
        }
        if bytes.len() < PREAMBLE {
            return Ok(None);
        }
        let (flags, max_message) = (word(&bytes[8..]), word(&bytes[12..]) as usize);
        if flags & !CHECKSUMS != 0 {
            let text =
                format!("the other end asks for what this version has not (flags {flags:#x}); update it");
            return Err(Error::new(ErrorKind::LayoutMismatch, text));
        }
        if !(1..=MAX_MESSAGE).contains(&max_message) {
            let text =
                format!("the other end says that its max_message is {max_message}, 1 to {MAX_MESSAGE}");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(Some(Preamble { checksums: flags & CHECKSUMS != 0, max_message }))
    }
}

fn stranger(begins: &[u8]) -> Error {
    // A handshake, or what somebody says who expected one.
    if let [0x15 | 0x16, 3, ..] = begins {
        let text = "the other end speaks TLS, and this one does not; give this end's address, or the other's, the same settings \
                    for it (cert, key, ca)";
        return Error::new(ErrorKind::Corrupt, text);
    }
    let text = format!(
        "the other end does not send messages of axonic, it begins with '{}'; connect to something that does, or use \
         framing=none",
        begins.escape_ascii()
    );
    Error::new(ErrorKind::Corrupt, text)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// What comes before a message's bytes.
pub struct Header {
    bytes: [u8; 8],
    length: usize,
}

impl Header {
    pub fn of(message: Outgoing<'_>, checksums: bool) -> Header {
        let flag = if message.descriptors.is_empty() { 0 } else { DESCRIPTORS };
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&(message.len() as u32 | flag).to_le_bytes());
        if checksums {
            let sum = message.pieces.iter().fold(0, |sum, piece| crc32c_append(sum, piece));
            bytes[4..].copy_from_slice(&sum.to_le_bytes());
        }
        Header { bytes, length: header_length(checksums) }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Bytes of a header.
pub const fn header_length(checksums: bool) -> usize {
    if checksums { 8 } else { 4 }
}

/// A header that has come.
#[derive(Clone, Copy)]
struct Head {
    length: usize,
    descriptors: bool,
    sum: Option<u32>,
}

/// Where the message that is ready is.
enum Ready {
    Nothing,
    /// In the buffer.
    Here(Range<usize>),
    /// In memory of its own.
    Large,
}

/// Makes messages of bytes, however they come.
pub struct Decoder {
    limit: usize,
    checksums: bool,
    /// So much is read at a time: [`READ`].
    size: usize,
    /// What was read, at most `size`; what is before `start` has been given out.
    buffer: Vec<u8>,
    start: usize,
    /// A message that does not fit there, as far as it has come.
    large: Vec<u8>,
    coming: Option<Head>,
    ready: Ready,
    descriptors: bool,
    /// Nothing can be made of what follows.
    broken: Option<(ErrorKind, String)>,
}

impl Decoder {
    pub fn new(limit: usize, checksums: bool) -> Decoder {
        Decoder {
            limit,
            checksums,
            size: READ,
            buffer: Vec::new(),
            start: 0,
            large: Vec::new(),
            coming: None,
            ready: Ready::Nothing,
            descriptors: false,
            broken: None,
        }
    }

    fn decode(&mut self) -> Result<bool> {
        if self.coming.is_none() {
            let Some(head) = self.head()? else { return Ok(false) };
            let (at, whole) = (self.start + header_length(self.checksums), self.whole(head));
            if whole <= self.size {
                if self.buffer.len() - self.start < whole {
                    return Ok(false);
                }
                self.check(head, &self.buffer[at..at + head.length])?;
                self.ready = Ready::Here(at..at + head.length);
                self.descriptors = head.descriptors;
                self.start += whole;
                return Ok(true);
            }
            self.large.extend_from_slice(&self.buffer[at..]);
            self.start = self.buffer.len();
            self.coming = Some(head);
        }
        match self.coming {
            Some(head) if self.large.len() == head.length => {
                self.coming = None;
                self.check(head, &self.large)?;
                self.ready = Ready::Large;
                self.descriptors = head.descriptors;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn whole(&self, head: Head) -> usize {
        header_length(self.checksums) + head.length
    }

    /// The header that is next in the buffer, if all of it is there.
    fn head(&self) -> Result<Option<Head>> {
        let bytes = &self.buffer[self.start..];
        if bytes.len() < header_length(self.checksums) {
            return Ok(None);
        }
        let first = word(bytes);
        let length = (first & LENGTH) as usize;
        if length > self.limit {
            let text = format!(
                "a message of {length} bytes came, the limit is max_message, {}; raise it at this end",
                self.limit
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let sum = self.checksums.then(|| word(&bytes[4..]));
        Ok(Some(Head { length, descriptors: first & DESCRIPTORS != 0, sum }))
    }

    fn check(&self, head: Head, message: &[u8]) -> Result<()> {
        match head.sum {
            Some(sum) if sum != crc32c_append(0, message) => {
                let text = format!(
                    "a message of {} bytes came damaged, its checksum is another; connect anew",
                    head.length
                );
                Err(Error::new(ErrorKind::Corrupt, text))
            }
            _ => Ok(()),
        }
    }

    /// One that reads less at a time, and has what is large sooner.
    #[cfg(any(test, fuzzing))]
    pub fn reading(self, size: usize) -> Decoder {
        Decoder { size, ..self }
    }

    /// The memory it has taken.
    #[cfg(any(test, fuzzing))]
    pub fn memory(&self) -> usize {
        self.buffer.capacity() + self.large.capacity()
    }
}

impl Decode for Decoder {
    fn room(&mut self) -> (&mut Vec<u8>, usize) {
        if let Some(head) = self.coming {
            let missing = head.length - self.large.len();
            if self.large.len() == self.large.capacity() {
                self.large.reserve_exact(missing.min(self.large.len().max(self.size)));
            }
            let room = missing.min(self.large.capacity() - self.large.len());
            return (&mut self.large, room);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let room = self.size - self.buffer.len();
        self.buffer.reserve_exact(room);
        (&mut self.buffer, room)
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        self.release();
        if let Some((kind, text)) = &self.broken {
            return Err(Error::new(*kind, text.clone()));
        }
        let decoded = self.decode();
        if let Err(e) = &decoded {
            self.broken = Some((e.kind(), e.message().into()));
        }
        decoded
    }

    fn message(&self) -> &[u8] {
        match &self.ready {
            Ready::Nothing => &[],
            Ready::Here(range) => &self.buffer[range.clone()],
            Ready::Large => &self.large,
        }
    }

    fn take_message(&mut self) -> Vec<u8> {
        match &self.ready {
            Ready::Large => std::mem::take(&mut self.large),
            _ => self.message().to_vec(),
        }
    }

    #[inline]
    fn release(&mut self) {
        if let Ready::Large = self.ready {
            self.large = Vec::new();
        }
        self.ready = Ready::Nothing;
    }

    fn has_more(&self) -> bool {
        self.broken.is_some()
            || self
                .head()
                .map_or(true, |head| head.is_some_and(|h| self.buffer.len() - self.start >= self.whole(h)))
    }

    fn is_amid(&self) -> bool {
        self.coming.is_some() || self.start < self.buffer.len()
    }

    fn has_descriptors(&self) -> bool {
        self.descriptors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn preambles_round_trip_and_strangers_are_named() {
        for (checksums, max_message) in [(true, 1), (false, MAX_MESSAGE)] {
            let preamble = Preamble { checksums, max_message };
            let bytes = preamble.encode();
            assert_eq!(Preamble::decode(&bytes).unwrap(), Some(preamble));
            (0..PREAMBLE).for_each(|n| assert_eq!(Preamble::decode(&bytes[..n]).unwrap(), None));
        }
        let refused = |bytes: &[u8], kind, says: &str| {
            let error = Preamble::decode(bytes).unwrap_err();
            assert!(error.kind() == kind && error.message().contains(says), "{error}");
        };
        refused(b"GET / HTTP/1.1\r\n", ErrorKind::Corrupt, "'GET / HT'");
        refused(b"{", ErrorKind::Corrupt, "framing=none");
        refused(b"AXONIC/2", ErrorKind::Corrupt, "'AXONIC/2'");
        refused(b"AXONIC/1\x02\0\0\0\0\x01\0\0", ErrorKind::LayoutMismatch, "flags 0x2");
        refused(b"AXONIC/1\0\0\0\0\0\0\0\0", ErrorKind::Corrupt, "max_message is 0");
        refused(b"AXONIC/1\0\0\0\0\xff\xff\xff\xff", ErrorKind::Corrupt, "max_message is 4294967295");
    }

    fn encode(messages: &[Vec<u8>], checksums: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            let outgoing = Outgoing {
                pieces: &[&message[..message.len() / 2], &message[message.len() / 2..]],
                descriptors: &[],
            };
            bytes.extend(Header::of(outgoing, checksums).bytes());
            bytes.extend(message);
        }
        bytes
    }

    fn drain(decoder: &mut Decoder, messages: &mut Vec<Vec<u8>>) -> Result<()> {
        while decoder.next()? {
            messages.push(decoder.take_message());
        }
        Ok(())
    }

    /// Gives it bytes as far as it has room for them.
    fn feed(decoder: &mut Decoder, mut bytes: &[u8], messages: &mut Vec<Vec<u8>>) -> Result<()> {
        while !bytes.is_empty() {
            let (to, room) = decoder.room();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            to.extend_from_slice(now);
            bytes = later;
            drain(decoder, messages)?;
        }
        Ok(())
    }

    #[test]
    fn memory_is_taken_as_bytes_come() {
        let mut decoder = Decoder::new(MAX_MESSAGE, false);
        let mut messages = Vec::new();
        feed(&mut decoder, &(MAX_MESSAGE as u32).to_le_bytes(), &mut messages).unwrap();
        for _ in 0..100 {
            feed(&mut decoder, &[1; 1000], &mut messages).unwrap();
        }
        assert!(decoder.memory() <= 4 * READ && decoder.is_amid() && messages.is_empty());
        let mut decoder = Decoder::new(1 << 20, false);
        let large = encode(&[vec![7; 1 << 20]], false);
        feed(&mut decoder, &large, &mut messages).unwrap();
        assert!(messages == [vec![7; 1 << 20]] && decoder.memory() <= READ && !decoder.is_amid());
    }

    #[test]
    fn what_is_too_large_or_damaged_is_refused_for_good() {
        let mut messages = Vec::new();
        let mut decoder = Decoder::new(100, false);
        for _ in 0..2 {
            let error = feed(&mut decoder, &encode(&[vec![0; 101]], false), &mut messages).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            assert!(error.message().contains("101") && error.message().contains("100"), "{error}");
            assert!(decoder.has_more());
        }
        for length in [1, 100_000] {
            let mut decoder = Decoder::new(MAX_MESSAGE, true);
            let mut bytes = encode(&[vec![3; length], vec![3; length]], true);
            *bytes.last_mut().unwrap() ^= 1;
            messages.clear();
            let error = feed(&mut decoder, &bytes, &mut messages).unwrap_err();
            assert_eq!((error.kind(), messages.len()), (ErrorKind::Corrupt, 1));
        }
    }

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(
            prop_oneof![0..20usize, 0..5000usize, READ - 20..READ + 20, 0..300_000usize],
            0..8,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_chunking_gives_the_same_messages(
            lengths in lengths(), checksums: bool, cuts in prop::collection::vec(1..70_000usize, 1..20)
        ) {
            let messages: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(i, n)| (0..*n).map(|b| (b * 7 + i) as u8).collect()).collect();
            let bytes = encode(&messages, checksums);
            let (mut decoder, mut got, mut rest) = (Decoder::new(MAX_MESSAGE, checksums), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                feed(&mut decoder, now, &mut got).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(got == messages && !decoder.is_amid() && !decoder.has_more());
        }

        #[test]
        fn any_bytes_give_an_error_or_messages(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300), checksums: bool
        ) {
            crate::mechanisms::channel::hostile::frames(&bytes);
            let (mut decoder, mut got) = (Decoder::new(1000, checksums), Vec::new());
            let _ = feed(&mut decoder, &bytes, &mut got);
            prop_assert!(got.iter().map(|m| m.len() + 4).sum::<usize>() <= bytes.len());
        }
    }
}
