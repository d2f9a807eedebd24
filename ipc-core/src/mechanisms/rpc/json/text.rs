//! JSON texts on a stream of bytes: each on a line, or each after a header that says how long it is.
//!
//! A header is lines such as `Content-Length: 17`, ended by an empty one, as HTTP and the Language Server Protocol have
//! them. What it promises is checked before memory is taken, and memory is taken as the bytes come.

use crate::error::{Error, ErrorKind, Result};
use std::ops::Range;

/// So much is read at a time.
const READ: usize = 64 << 10;

/// The longest header.
const MAX_HEADER: usize = 4096;

/// How texts are told from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A text is a line, and has no line's end in it.
    Lines,
    /// `Content-Length: <bytes>`, an empty line, the text.
    ContentLength,
}

impl Framing {
    /// What a stream has that begins so.
    pub fn recognize(first: u8) -> Option<Framing> {
        match first {
            b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n' => Some(Framing::Lines),
            b'C' | b'c' => Some(Framing::ContentLength),
            _ => None,
        }
    }

    /// Puts a text, which is JSON, on a stream.
    pub fn encode(self, text: Vec<u8>) -> Vec<u8> {
        match self {
            Framing::Lines => {
                // Only between its words can JSON have a line's end.
                let spaced = |b: u8| if matches!(b, b'\n' | b'\r') { b' ' } else { b };
                text.into_iter().map(spaced).chain([b'\n']).collect()
            }
            Framing::ContentLength => {
                [format!("Content-Length: {}\r\n\r\n", text.len()).as_bytes(), &text].concat()
            }
        }
    }
}

/// Makes texts of bytes, however they come.
pub struct Texts {
    framing: Framing,
    limit: usize,
    /// What is before `start` has been given out; between there and `looked` nothing ends that is looked for.
    buffer: Vec<u8>,
    start: usize,
    looked: usize,
    /// The length of the text that follows, once its header has come.
    length: Option<usize>,
    ready: Range<usize>,
    /// Nothing can be made of what follows.
    broken: Option<(ErrorKind, String)>,
}

impl Texts {
    pub fn new(framing: Framing, limit: usize) -> Texts {
        Texts {
            framing,
            limit,
            buffer: Vec::new(),
            start: 0,
            looked: 0,
            length: None,
            ready: 0..0,
            broken: None,
        }
    }

    /// Where to read to, and how much at most. Asked for when there is no text.
    pub fn room(&mut self) -> (&mut Vec<u8>, usize) {
        self.buffer.drain(..self.start);
        self.looked = self.looked.saturating_sub(self.start);
        (self.start, self.ready) = (0, 0..0);
        if self.buffer.is_empty() {
            self.buffer.shrink_to(READ);
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve_exact(self.buffer.len().max(READ));
        }
        let room = READ.min(self.buffer.capacity() - self.buffer.len());
        (&mut self.buffer, room)
    }

    /// Has the next text ready, in place of the one before; `false`: it has not come yet.
    pub fn next(&mut self) -> Result<bool> {
        if let Some((kind, text)) = &self.broken {
            return Err(Error::new(*kind, text.clone()));
        }
        let found = match self.framing {
            Framing::Lines => self.next_line(),
            Framing::ContentLength => self.next_counted(),
        };
        if let Err(e) = &found {
            self.broken = Some((e.kind(), e.message().into()));
        }
        found
    }

    /// The text that is ready.
    pub fn text(&self) -> &[u8] {
        &self.buffer[self.ready.clone()]
    }

    fn next_line(&mut self) -> Result<bool> {
        loop {
            let Some(line) = self.line() else {
                self.check(self.buffer.len() - self.start)?;
                return Ok(false);
            };
            self.check(line.len())?;
            // Empty lines are none.
            if !self.buffer[line.clone()].trim_ascii().is_empty() {
                self.ready = line;
                return Ok(true);
            }
        }
    }

    /// The next line without its end.
    fn line(&mut self) -> Option<Range<usize>> {
        let from = self.looked.max(self.start);
        let Some(end) = self.buffer[from..].iter().position(|b| *b == b'\n') else {
            self.looked = self.buffer.len();
            return None;
        };
        let line = self.start..from + end;
        self.start = line.end + 1;
        self.looked = self.start;
        Some(line)
    }

    fn next_counted(&mut self) -> Result<bool> {
        let length = match self.length {
            Some(length) => length,
            None => match self.header()? {
                Some(length) => *self.length.insert(length),
                None => return Ok(false),
            },
        };
        if self.buffer.len() - self.start < length {
            return Ok(false);
        }
        self.ready = self.start..self.start + length;
        (self.start, self.looked) = (self.ready.end, self.ready.end);
        self.length = None;
        Ok(true)
    }

    /// Reads a header if all of it has come: the length it tells.
    fn header(&mut self) -> Result<Option<usize>> {
        let bytes = &self.buffer[self.start..];
        let Some((header, end)) = split_header(&bytes[..bytes.len().min(MAX_HEADER)]) else {
            if bytes.len() >= MAX_HEADER {
                let text = format!(
                    "a header of more than {MAX_HEADER} bytes came; it is Content-Length and an empty line"
                );
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            return Ok(None);
        };
        let length = content_length(header)?;
        self.check(length)?;
        self.start += end;
        Ok(Some(length))
    }

    fn check(&self, length: usize) -> Result<()> {
        if length <= self.limit {
            return Ok(());
        }
        let text = format!(
            "a text of {length} bytes came, the limit is max_message, {}; raise it at this end",
            self.limit
        );
        Err(Error::new(ErrorKind::TooLarge, text))
    }

    /// Whether there may be something more to be had from what was read already.
    pub fn has_more(&self) -> bool {
        if self.broken.is_some() {
            return true;
        }
        let bytes = &self.buffer[self.start..];
        match (self.framing, self.length) {
            (Framing::Lines, _) => self.buffer[self.looked.max(self.start)..].contains(&b'\n'),
            (_, Some(length)) => bytes.len() >= length,
            (_, None) => match split_header(&bytes[..bytes.len().min(MAX_HEADER)]) {
                // Of one that cannot be, the error is to be had.
                Some((header, end)) => content_length(header)
                    .map_or(true, |length| length > self.limit || bytes.len() - end >= length),
                None => bytes.len() >= MAX_HEADER,
            },
        }
    }

    /// Nothing more comes, which ends the last line: whether it is a text.
    pub fn end(&mut self) -> bool {
        let rest = &self.buffer[self.start..];
        let ends = self.framing == Framing::Lines && self.broken.is_none() && !rest.trim_ascii().is_empty();
        if ends {
            self.buffer.push(b'\n');
        }
        ends
    }

    /// Whether a part of a text has come, and not all of it.
    pub fn is_amid(&self) -> bool {
        self.length.is_some() || self.start < self.buffer.len()
    }

    /// Bytes of memory it has.
    #[cfg(any(test, fuzzing))]
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}

/// The header that bytes begin with, and where what it announces begins.
fn split_header(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut from = 0;
    loop {
        let end = from + bytes[from..].iter().position(|b| *b == b'\n')?;
        if bytes[from..end].trim_ascii().is_empty() {
            return Some((&bytes[..from], end + 1));
        }
        from = end + 1;
    }
}

/// The length that a header tells; what else it tells is of no interest.
fn content_length(header: &[u8]) -> Result<usize> {
    let mut found = None;
    for line in header.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        if line[..colon].trim_ascii().eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(line[colon + 1..].trim_ascii()).unwrap_or_default();
            let is_number = digits.bytes().all(|b| b.is_ascii_digit());
            found = digits.parse().ok().filter(|_| is_number && found.is_none());
            if found.is_none() {
                break;
            }
        }
    }
    found.ok_or_else(|| {
        let begins = &header[..header.len().min(60)];
        let text = format!(
            "a header came that tells no length, it begins with '{}'; it is Content-Length: <bytes> and an empty line",
            begins.escape_ascii()
        );
        Error::new(ErrorKind::Corrupt, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives bytes in pieces; the texts that came of them.
    pub fn feed(texts: &mut Texts, bytes: &[u8], at_a_time: usize) -> (Vec<String>, Option<ErrorKind>) {
        let (mut made, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let (to, room) = texts.room();
            assert!(room > 0);
            let (now, later) = rest.split_at(at_a_time.min(room).min(rest.len()));
            to.extend_from_slice(now);
            rest = later;
            loop {
                let promised = texts.has_more();
                match texts.next() {
                    Ok(true) => made.push(String::from_utf8_lossy(texts.text()).into_owned()),
                    Ok(false) => break,
                    Err(e) => return (made, Some(e.kind())),
                }
                assert!(promised, "there was more than was said");
            }
            assert!(!texts.has_more(), "there is less than is said");
        }
        (made, None)
    }

    #[test]
    fn lines_and_headers_come_in_any_pieces() {
        let lines: &[u8] = b" \r\n{\"a\":1}\r\n\n[]\n \n{}";
        let counted: &[u8] = b"Content-Length: 7\r\n\r\n{\"a\":1}content-type: x\ncontent-length:2\n\n[]Content-Length: 5\r\n\r\n";
        for cut in 1..lines.len() {
            let mut texts = Texts::new(Framing::Lines, 100);
            assert_eq!(feed(&mut texts, lines, cut), (vec!["{\"a\":1}\r".into(), "[]".into()], None));
            assert!(texts.is_amid());
        }
        for cut in 1..counted.len() {
            let mut texts = Texts::new(Framing::ContentLength, 100);
            assert_eq!(feed(&mut texts, counted, cut), (vec!["{\"a\":1}".into(), "[]".into()], None));
            assert!(texts.is_amid());
        }
    }

    /// As `printf '...' | service` leaves it.
    #[test]
    fn the_end_of_what_comes_ends_the_last_line() {
        for (bytes, last) in [("[]\n{}", Some("{}")), ("[]\n \r", None), ("[]\n", None)] {
            let mut texts = Texts::new(Framing::Lines, 100);
            assert_eq!(feed(&mut texts, bytes.as_bytes(), 100), (vec!["[]".into()], None));
            assert_eq!(texts.end(), last.is_some(), "{bytes:?}");
            if let Some(last) = last {
                assert!(texts.next().unwrap());
                assert_eq!(texts.text(), last.as_bytes());
            }
            assert!(!texts.next().unwrap() && !texts.end());
        }
        let mut texts = Texts::new(Framing::ContentLength, 100);
        assert_eq!(feed(&mut texts, b"Content-Length: 3\n\n{}", 100), (Vec::new(), None));
        assert!(!texts.end() && texts.is_amid());
    }

    #[test]
    fn what_is_too_large_or_has_no_length_is_refused_for_good() {
        let huge = format!("Content-Length: {}\r\n\r\n", u64::MAX);
        let long = format!("X: {}\r\n", "x".repeat(MAX_HEADER));
        for (framing, bytes, kind) in [
            (Framing::Lines, "{\"abcdefgh\":1}\n", ErrorKind::TooLarge),
            (Framing::Lines, "{\"abcdefgh\"", ErrorKind::TooLarge),
            (Framing::ContentLength, "Content-Length: 11\r\n\r\n", ErrorKind::TooLarge),
            (Framing::ContentLength, &huge, ErrorKind::TooLarge),
            (Framing::ContentLength, "Content-Length: -1\r\n\r\n", ErrorKind::Corrupt),
            (Framing::ContentLength, "Content-Length: +1\r\n\r\n", ErrorKind::Corrupt),
            (Framing::ContentLength, "Content-Length: 1\nContent-Length: 2\n\n", ErrorKind::Corrupt),
            (Framing::ContentLength, "Content-Type: x\r\n\r\n{}", ErrorKind::Corrupt),
            (Framing::ContentLength, &long, ErrorKind::Corrupt),
        ] {
            let mut texts = Texts::new(framing, 10);
            assert_eq!(feed(&mut texts, bytes.as_bytes(), 1000), (Vec::new(), Some(kind)), "{bytes}");
            assert!(texts.has_more() && texts.next().is_err());
        }
    }

    #[test]
    fn memory_is_taken_as_the_bytes_come() {
        let mut texts = Texts::new(Framing::ContentLength, 1 << 30);
        assert_eq!(feed(&mut texts, b"Content-Length: 1000000000\r\n\r\n", 100), (Vec::new(), None));
        assert!(texts.memory() <= READ);
        assert_eq!(feed(&mut texts, &vec![b' '; 1 << 20], 100_000), (Vec::new(), None));
        assert!(texts.memory() <= 2 * ((1 << 20) + READ), "{}", texts.memory());
    }

    proptest! {
        #[test]
        fn what_was_put_on_a_stream_comes_off_it(
            names in prop::collection::vec("[a-z\\n ]{1,40}", 0..8), lines: bool, cut in 1..50usize
        ) {
            let framing = if lines { Framing::Lines } else { Framing::ContentLength };
            let written: Vec<String> = names.iter().map(|name| format!("[\n{:?}]", name)).collect();
            let bytes: Vec<u8> = written.iter().flat_map(|text| framing.encode(text.clone().into_bytes())).collect();
            let mut texts = Texts::new(framing, 1000);
            let (read, error) = feed(&mut texts, &bytes, cut);
            let expected: Vec<String> =
                written.iter().map(|text| if lines { text.replace('\n', " ") } else { text.clone() }).collect();
            prop_assert_eq!((read, error, texts.is_amid()), (expected, None, false));
        }
    }
}
