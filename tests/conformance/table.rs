//! The table: who, which sizes, which errors, which words at which offsets.

use axonic::ErrorKind;

/// Every language with a peer.
pub const LANGUAGES: [&str; 5] = ["rust", "c", "cpp", "python", "node"];

/// What counts as one more where it has verbs of its own.
pub const ASYNCIO: &str = "asyncio";

/// Those with condition variables.
pub const CONDVARS: [&str; 4] = ["rust", "c", "cpp", "python"];

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
pub const CASES: [(&str, ErrorKind); 10] = [
    ("invalid-name", ErrorKind::InvalidName),
    ("not-found", ErrorKind::NotFound),
    ("timeout", ErrorKind::Timeout),
    ("too-large", ErrorKind::TooLarge),
    ("closed", ErrorKind::Closed),
    ("busy", ErrorKind::Busy),
    ("rejected", ErrorKind::Rejected),
    ("lease-lost", ErrorKind::LeaseLost),
    ("full", ErrorKind::WouldBlock),
    ("other-lock", ErrorKind::InvalidArgument),
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

/// What the file of a queue must hold in which one message was put.
pub const QUEUE_WORDS: [Word; 13] = [
    (0, MAGIC, "magic"),
    (8, 8 << 32 | 1, "kind, layout version"),
    (32, 0, "required features"),
    (64, 4, "length of the queue's name"),
    (1024, 65_536, "capacity"),
    (1032, (128 << 20) / 224, "parts"),
    (1040, 16, "deliveries"),
    (1048, 0, "durable: no"),
    (1056, 0, "interval"),
    (1064, 4096, "ids"),
    (1072, 300_000_000_000, "nanoseconds for which ids are remembered"),
    (1168, 1 << 10 | 1, "bits and lanes: that of priority 0"),
    (4128, 0, "read from a journal"),
];

/// What the file of a mutex must hold.
pub const MUTEX_WORDS: [Word; 6] = [
    (0, MAGIC, "magic"),
    (8, 9 << 32 | 1, "kind, layout version"),
    (32, 0, "required features"),
    (64, 5, "length of the mutex's name"),
    (1024, 1, "type: mutex"),
    (1032, 0, "parameter: none"),
];

/// What the file of a durable queue must hold once one message is on the disk.
pub const JOURNAL_HEAD: [Word; 8] = [
    (1048, 3, "durable: synced never"),
    (1056, 0, "interval"),
    (4096, 0, "the lock of the journal: free"),
    (4128, 1, "it was read into this queue"),
    (4152, 1, "position in the log lane up to which all is on the disk"),
    (4184, 0, "changes that were ever owed"),
    (4192, 0, "of these, those that are no more"),
    (4608, 1, "tail of the log lane"),
];

/// What the header of its first segment must hold.
pub const SEGMENT_WORDS: [Word; 8] = [
    (0, u64::from_le_bytes(*b"AXJRNL\r\n"), "magic"),
    (16, 1, "number"),
    (32, 1, "LSN of its first record"),
    (40, 0, "number of the previous segment: none"),
    (48, 0, "its salt"),
    (56, 0, "where it ends"),
    (72, 0, "durable"),
    (80, 0, "flags"),
];

/// What every lock's file must hold.
pub const LOCK_WORDS: [Word; 3] =
    [(0, MAGIC, "magic"), (8, 9 << 32 | 1, "kind, layout version"), (32, 0, "required features")];

/// A lock by its name, what its file must hold, and the words that name its owner, the handle in the first row.
pub type Lock = (&'static str, &'static [Word], &'static [usize]);

/// The locks of `peer meet`, while the first waits for the second.
pub const LOCKS: [Lock; 5] = [
    ("page", &[(1024, 2, "type: rwlock"), (1032, 0, "parameter: none")], &[1152, 1160]),
    ("seat", &[(1024, 3, "type: semaphore"), (1032, 1, "permits")], &[135_168]),
    ("go", &[(1024, 4, "type: event"), (1032, 0, "manual"), (1152, 0, "it was never set")], &[]),
    ("bell", &[(1024, 4, "type: event"), (1032, 1, "auto"), (1152, 3, "it was set, and is")], &[]),
    (
        "turn",
        &[(1024, 5, "type: barrier"), (1032, 2, "parties"), (1152, 1, "the first row has arrived")],
        &[],
    ),
];

/// The condvar of `peer alternate`, and its mutex, while it waits for another.
pub const WAITING: [Lock; 2] = [
    (
        "turn",
        &[(1024, 6, "type: condvar"), (1152, 1, "the last ticket"), (4120, 1 << 2 | 1, "it waits with that")],
        &[4128],
    ),
    ("count", &[(1024, 1, "type: mutex")], &[]),
];

/// What carries channels between processes.
pub struct Transport {
    /// `{place}` is a folder, `{name}` a name of its own, `{secured}` asks for TLS in which both ends say who they are.
    pub address: &'static str,
    /// What it can do, in the order of `Can`'s fields; `L`: for who listens.
    pub can: &'static str,
    /// The largest message.
    pub largest: Largest,
}

pub enum Largest {
    /// As a channel is opened.
    Any,
    /// What the transport takes, which is no less.
    AtLeast(usize),
}

/// As docs/channel.md has it.
pub const TRANSPORTS: [Transport; 12] = [
    Transport { address: "shm://pairs/{name}", can: "11111101", largest: Largest::Any },
    Transport { address: "pipe:", can: "11111100", largest: Largest::Any },
    Transport { address: "fifo://{place}/{name}", can: "11111100", largest: Largest::Any },
    Transport { address: "unix://{place}/{name}", can: "11111111", largest: Largest::Any },
    Transport {
        address: "unix://{place}/{name}?type=seqpacket",
        can: "11111111",
        largest: Largest::AtLeast(60_000),
    },
    Transport {
        address: "unix://{place}/{name}?type=datagram",
        can: "0110001L",
        largest: Largest::AtLeast(60_000),
    },
    Transport { address: "unix://{place}/{name}?framing=none", can: "11011101", largest: Largest::Any },
    Transport { address: "tcp://127.0.0.1:0", can: "11111100", largest: Largest::Any },
    Transport { address: "tcp://127.0.0.1:0?checksum=crc32c", can: "11111100", largest: Largest::Any },
    Transport { address: "tcp://127.0.0.1:0?{secured}", can: "11111100", largest: Largest::Any },
    Transport { address: "udp://127.0.0.1:0", can: "00100000", largest: Largest::AtLeast(60_000) },
    Transport { address: "ws://127.0.0.1:0/{name}", can: "11111000", largest: Largest::Any },
];
