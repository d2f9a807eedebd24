//! The journal of a durable queue, read as `docs/protocol.md` describes it, without the library.

use crate::layout;
use crate::peers::Peer;
use crate::place;
use crate::table::{JOURNAL_HEAD, SEGMENT_WORDS};
use axonic::{Domain, DomainOptions, Fsync, QueueOptions};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEADER: usize = 128;
const BATCH: usize = 48;
/// Message 0 of a peer.
const MESSAGE: usize = 64;

/// CRC-32C of bytes that follow others of which it was `crc`.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A segment, with the number and the salt its name has.
struct Segment {
    bytes: Vec<u8>,
    number: u64,
    salt: u64,
}

impl Segment {
    fn read(path: &Path) -> Segment {
        let name = path.file_stem().expect("a name").to_str().expect("a plain name");
        let (number, salt) = name.split_once('-').expect("number and salt");
        assert_eq!((number.len(), salt.len()), (16, 16), "{name}");
        let parse = |digits| u64::from_str_radix(digits, 16).expect("hexadecimal digits");
        Segment { bytes: std::fs::read(path).expect("a segment"), number: parse(number), salt: parse(salt) }
    }

    /// The checksum of bytes at a place of it, which begins with that of three words.
    fn sum(&self, at: usize, bytes: &[u8]) -> u32 {
        let seed = [self.number, self.salt, at as u64].map(u64::to_le_bytes).concat();
        crc32c(crc32c(0, &seed), bytes)
    }

    /// Its header, which keeps how the queue was made that is in this file.
    fn check_header(&self, queue: &[u8]) {
        let mut header = self.bytes[..HEADER].to_vec();
        header[12..16].fill(0);
        assert_eq!(half(&self.bytes, 12), self.sum(0, &header), "checksum of the header");
        assert_eq!(half(&self.bytes, 8), 1, "layout version");
        assert_eq!(word(&self.bytes, 16), self.number, "number");
        assert_eq!(word(&self.bytes, 24), self.salt, "salt");
        assert_eq!(word(&self.bytes, 64), self.number, "no older one counts");
        let [capacity, parts, attempts, fsync, interval, ids, within] =
            [1024, 1032, 1040, 1048, 1056, 1064, 1072].map(|at| word(queue, at));
        let kept = [capacity | parts << 32, ids | attempts << 32 | fsync << 48, interval, within];
        assert_eq!([88, 96, 104, 112].map(|at| word(&self.bytes, at)), kept, "how the queue was made");
        assert_eq!(word(&self.bytes, 120), self.bytes.len() as u64, "its size");
    }

    /// A batch at this place, which must hold so many records from this LSN on. They, and where it ends.
    fn batch(&self, at: usize, count: u32, first: u64) -> (&[u8], usize) {
        let header = &self.bytes[at..at + BATCH];
        assert_eq!(&header[..4], b"AXJB", "magic of the batch at {at}");
        let end = at + BATCH + word(header, 16) as usize;
        let records = &self.bytes[at + BATCH..end];
        assert_eq!(half(header, 4), self.sum(at, &header[8..]), "checksum of the batch's header at {at}");
        assert_eq!(half(header, 8), self.sum(at, records), "checksum of its records");
        assert_eq!((half(header, 12), word(header, 24)), (count, first), "records, and the LSN of the first");
        assert!(word(header, 32) < first, "what is called durable was before");
        assert_eq!(word(header, 40), self.number, "no older segment counts");
        (records, end)
    }

    /// Of one message that was put: the first batch has no records, and the second has it.
    fn check(&self, queue: &[u8]) {
        self.check_header(queue);
        let (none, end) = self.batch(HEADER, 0, 1);
        assert!(none.is_empty());
        let (record, end) = self.batch(end, 1, 1);
        let length = half(record, 0) as usize;
        assert_eq!(half(record, 4), 1, "kind of the record: put");
        assert_eq!(word(record, 8), 1, "id");
        assert_eq!(record.len(), (16 + length).next_multiple_of(8), "bytes of the record");
        let body = &record[16..16 + length];
        let message: Vec<u8> =
            (0..MESSAGE).map(|i| if i < 8 { 0 } else { (i * 31 + MESSAGE) as u8 }).collect();
        assert!(body.windows(MESSAGE).any(|bytes| bytes == message), "the message is in the record");
        assert!(
            record[16 + length..].iter().chain(&self.bytes[end..]).all(|byte| *byte == 0),
            "zeros follow"
        );
    }
}

/// Of the two copies of the journal's state in the queue's file, the newer has the right checksum.
fn check_state(queue: &[u8]) {
    let count = word(queue, 4144);
    let copy = [4224, 4336][count as usize & 1];
    let (state, sum) = (&queue[copy..copy + 13 * 8], word(queue, copy + 13 * 8));
    assert_eq!(sum, u64::from(crc32c(crc32c(0, &count.to_le_bytes()), state)), "checksum of the state");
    assert_eq!(word(queue, copy + 12 * 8), word(queue, 4152), "all in the log lane is on the disk");
    assert_ne!(word(queue, 4120), 0, "which queue in memory it belongs to");
}

fn segments(below: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(below).expect("a directory").flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut found: Vec<_> = folders.iter().flat_map(|folder| segments(folder)).collect();
    found.extend(files.into_iter().filter(|path| path.extension().is_some_and(|name| name == "journal")));
    found
}

#[test]
fn every_language_writes_the_same_journal() {
    for peer in Peer::with_asyncio() {
        let (place, data) = (place(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("on a disk"));
        let mut keeping = peer.start_with(place.path(), &["keep", "one", "jobs", "1"], |command| {
            command.env("AXONIC_DATA_DIR", data.path());
        });
        keeping.expect_line("kept 1").unwrap_or_else(|why| panic!("{}: {why}", peer.language));
        println!("of {}:", peer.language);
        let queue = place.path().join("one/queues/jobs");
        layout::check(&queue, &JOURNAL_HEAD, peer.language);
        let queue = std::fs::read(queue).expect("the queue's file");
        check_state(&queue);
        let found = segments(data.path());
        assert_eq!(found.len(), 1, "{found:?}");
        layout::check(&found[0], &SEGMENT_WORDS, peer.language);
        Segment::read(&found[0]).check(&queue);
    }
}

/// Where the roster of a queue begins, and the word of the journal's lock.
const ROSTER: u64 = 8192;
const LOCK: u64 = 4096;

/// What somebody else keeps from the disk is accepted all the same, and every language says so.
#[test]
fn every_language_says_what_is_not_durable() {
    for peer in Peer::with_asyncio() {
        let (place, data) = (place(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("on a disk"));
        let (runtime_dir, data_dir) = (Some(place.path().to_owned()), Some(data.path().to_owned()));
        let options = DomainOptions { name: Some("one".into()), runtime_dir, data_dir, ..Default::default() };
        let domain = Domain::open_with(options).expect("a domain");
        let options = QueueOptions { durable: Some(Fsync::Never), ..Default::default() };
        let mut consumer = domain.queue_consumer("jobs", &options).expect("a queue");
        // As if this process were just writing to the journal.
        let file =
            File::options().read(true).write(true).open(place.path().join("one/queues/jobs")).expect("it");
        let mut id = [0; 8];
        file.read_exact_at(&mut id, ROSTER).expect("the id in the first row");
        assert_ne!(id, [0; 8]);
        file.write_all_at(&id, LOCK).expect("the lock");
        let mut hurrying = peer.start_with(place.path(), &["hurry", "one", "jobs"], |command| {
            command.env("AXONIC_DATA_DIR", data.path());
        });
        let said = hurrying.expect_line("NotDurable");
        file.write_all_at(&[0; 8], LOCK).expect("the lock");
        said.and(hurrying.finish()).unwrap_or_else(|why| panic!("{}: {why}", peer.language));
        let job = consumer.try_get().expect("a queue").expect("what was put is there");
        assert_eq!((job.data().len(), job.data()[0]), (MESSAGE, 0), "{}", peer.language);
        job.ack().expect("it is ours");
    }
}
