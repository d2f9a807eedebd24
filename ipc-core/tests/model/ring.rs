//! A ring whose records tell whether they are whole.

use axonic::mechanisms::record::{From, Next, Reader, RingMap, Shape, Writer};
use axonic::sys::atomic::spin_loop;
use std::sync::Arc;

/// Bytes of a record with two words of payload.
pub const RECORD: u64 = 32;

/// A ring with the room of a few such records.
pub fn ring(records: usize) -> Arc<RingMap> {
    Arc::new(RingMap::new(records * RECORD as usize))
}

pub const SINGLE: Shape = Shape::new(16, 0, 0, 0);

/// The payload of record `seq`.
pub fn payload(seq: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(seq + 100).to_le_bytes());
    bytes[8..].copy_from_slice(&(seq + 200).to_le_bytes());
    bytes
}

/// Writes the next record; there must be room.
pub fn write(writer: &mut Writer) {
    let seq = writer.seq();
    writer.write(SINGLE, &payload(seq), &[]);
}

/// What a `drop_oldest` publisher does: claims what it needs, then overwrites.
pub fn overwrite(writer: &mut Writer) {
    writer.claim_to(writer.needed_claim(RECORD), u64::MAX);
    write(writer);
}

/// A reader and what it got.
pub struct Follower {
    pub reader: Reader,
    pub next: Option<u64>,
    pub got: Vec<u64>,
    pub missed: u64,
}

impl Follower {
    pub fn new(map: &Arc<RingMap>, racy: bool, from: From) -> Follower {
        Follower::of(Reader::new(map.clone(), racy, from))
    }

    pub fn of(reader: Reader) -> Follower {
        Follower { reader, next: None, got: Vec::new(), missed: 0 }
    }

    /// Begins anew, and lets others go on: what the next look finds is not what the last one found.
    fn resynchronise(&mut self) {
        self.reader.resynchronise().expect("a sound ring");
        spin_loop();
    }

    /// Takes one record, as a subscriber does; whether there was one. Whatever it believes must be
    /// whole, in order, and its account of what it missed exact.
    pub fn take(&mut self) -> bool {
        loop {
            let found = match self.reader.peek().expect("a sound ring") {
                Next::Empty => return false,
                Next::Lapped => {
                    self.resynchronise();
                    continue;
                }
                Next::Record(found) => found,
            };
            let mut body = [0u64; 2];
            if found.shape != SINGLE {
                assert!(self.reader.racy() && self.reader.is_lapped(), "a header that never was: {found:?}");
                self.resynchronise();
                continue;
            }
            // SAFETY: the body has as many bytes as a record of this shape.
            if !unsafe { self.reader.copy(16, body.as_mut_ptr().cast()) } {
                self.resynchronise();
                continue;
            }
            assert_eq!(
                body,
                [found.seq + 100, found.seq + 200],
                "a torn copy of record {} was believed",
                found.seq
            );
            let missed = self.reader.advance(&found);
            if let Some(next) = self.next {
                assert_eq!(next + missed, found.seq, "order, or the count of what was missed");
            }
            self.next = Some(found.seq + 1);
            self.got.push(found.seq);
            self.missed += missed;
            return true;
        }
    }
}
