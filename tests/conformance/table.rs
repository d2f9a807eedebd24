//! The table: who, which sizes, which errors, which words at which offsets.

use axonic::ErrorKind;

/// Every language with a peer.
pub const LANGUAGES: [&str; 5] = ["rust", "c", "cpp", "python", "node"];

/// How the sender writes and the receiver reads: by copy, and in place.
pub const MODES: [(&str, &str); 2] = [("copy", "copy"), ("loan", "borrow")];

/// `count` messages of each size.
pub struct Work {
    pub sizes: &'static [usize],
    pub count: usize,
}

impl Work {
    pub fn text(&self) -> String {
        self.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }
}

pub const SMALL: Work = Work { sizes: &[0, 1, 47, 64, 2047, 4096], count: 50 };
pub const LARGE: Work = Work { sizes: &[1 << 20, 64 << 20], count: 2 };

/// What `peer raise` does, and the kind it must report.
pub const CASES: [(&str, ErrorKind); 6] = [
    ("invalid-name", ErrorKind::InvalidName),
    ("not-found", ErrorKind::NotFound),
    ("timeout", ErrorKind::Timeout),
    ("too-large", ErrorKind::TooLarge),
    ("closed", ErrorKind::Closed),
    ("busy", ErrorKind::Busy),
];

/// A 64-bit word of a shared file: offset, value, what it is.
pub type Word = (usize, u64, &'static str);

const MAGIC: u64 = u64::from_le_bytes(*b"AXONIC\r\n");

/// What every publisher's file must hold, whatever language made it (docs/protocol.md).
pub const PUBLISHER_WORDS: [Word; 9] = [
    (0, MAGIC, "magic"),
    (8, 2 << 32 | 1, "kind, layout version"),
    (32, 0, "required features"),
    (64, 10, "length of the topic's name"),
    (272, 1, "overflow: block"),
    (280, 256 << 10, "capacity"),
    (296, 512 << 20, "max_bytes"),
    (304, 0, "retain"),
    (520, 0, "closed"),
];

/// What every subscriber's file must hold.
pub const SUBSCRIBER_WORDS: [Word; 6] = [
    (0, MAGIC, "magic"),
    (8, 3 << 32 | 1, "kind, layout version"),
    (32, 0, "required features"),
    (64, 10, "length of the pattern"),
    (272, 128, "max_borrowed"),
    (640, 0, "closed"),
];
