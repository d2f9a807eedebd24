//! R1, R2, R3: what a reader of a ring believes is a whole record, in its place, with its number.
#![cfg(loom)]

mod model;

use axonic::mechanisms::record::{From, Next, Reader, Shape, Writer};
use axonic::sys::atomic::{AtomicU64, Ordering, dies_after, without_fences};
use loom::thread;
use model::check;
use model::ring::{Follower, RECORD, SINGLE, overwrite, payload, ring, write};
use std::sync::Arc;

/// R2: the writer laps a reader that copies. A ring of two has room for one.
fn lapping(writer_fences: bool, reader_fences: bool) {
    check(2, move || {
        let map = ring(2);
        let mut writer = Writer::new(map.clone(), true);
        let writing = thread::spawn(move || {
            if !writer_fences {
                without_fences();
            }
            for _ in 0..3 {
                overwrite(&mut writer);
            }
        });
        let mut reader = Follower::new(&map, true, From::Beginning);
        reader.next = Some(0);
        if !reader_fences {
            without_fences();
        }
        for _ in 0..2 {
            reader.take();
        }
        writing.join().unwrap();
        while reader.take() {}
        assert_eq!(
            reader.got.len() as u64 + reader.missed,
            3,
            "every record is received or counted as missed"
        );
    });
}

#[test]
fn a_lapped_copy_is_never_believed() {
    lapping(true, true);
}

#[test]
#[should_panic(expected = "was believed")]
fn without_the_writers_fence_a_lapped_copy_is_believed() {
    lapping(false, true);
}

#[test]
#[should_panic(expected = "was believed")]
fn without_the_readers_fence_a_lapped_copy_is_believed() {
    lapping(true, false);
}

/// R1: a payload that looks like the header of a record to come stands where a later lap will put one.
const FORGED: [u64; 6] = {
    let mut body = [0; 6];
    // Word 4 of the body of a record at 0 is where the third will end: ready word of number 3, and its shape.
    body[4] = 4;
    body[5] = 16;
    body
};

/// A record of double size that ends with the forgery, and a single one, in a ring of four.
fn forge(writer: &mut Writer) {
    let body: Vec<u8> = FORGED.iter().flat_map(|word| word.to_le_bytes()).collect();
    writer.write(DOUBLE, &body, &[]);
    write(writer);
}

const DOUBLE: Shape = Shape::new(48, 0, 0, 0);
/// The third record goes around the end of the ring, ends where the forgery lies, and needs every byte of the first but
/// the spare 16.
const LAST: Shape = Shape::new(64, 0, 0, 0);

/// Reads what is there, in order, and lets the writer go on behind it.
fn follow(reader: &mut Reader, cursor: &AtomicU64, read: &mut u64) {
    while let Next::Record(found) = reader.peek().expect("a sound ring") {
        assert_eq!(found.seq, *read, "a forged record was read");
        assert!(*read < 3, "a forged record was read");
        reader.advance(&found);
        cursor.store(reader.position(), Ordering::Release);
        *read += 1;
    }
}

#[test]
fn what_an_earlier_lap_left_is_no_record() {
    check(3, || {
        let map = ring(4);
        let cursor = loom::sync::Arc::new(AtomicU64::new(0));
        let (mut writer, passed) = (Writer::new(map.clone(), false), cursor.clone());
        let writing = thread::spawn(move || {
            forge(&mut writer);
            writer.claim_to(writer.needed_claim(LAST.record_bytes()), passed.load(Ordering::Acquire));
            let room = writer.has_room(LAST.record_bytes());
            if room {
                writer.write(LAST, &[0; 64], &[]);
            }
            2 + u64::from(room)
        });
        let mut reader = Reader::new(map, false, From::Beginning);
        let mut read = 0;
        follow(&mut reader, &cursor, &mut read);
        let written = writing.join().unwrap();
        follow(&mut reader, &cursor, &mut read);
        assert_eq!(read, written);
    });
}

/// The same steps by a writer that forgets to clear the next header.
#[test]
#[should_panic(expected = "a forged record was read")]
fn without_the_cleared_header_a_payload_is_a_record() {
    check(1, || {
        let map = ring(4);
        let mut writer = Writer::new(map.clone(), false);
        forge(&mut writer);
        let mut reader = Reader::new(map.clone(), false, From::Beginning);
        while let Ok(Next::Record(found)) = reader.peek() {
            reader.advance(&found);
        }
        map.shape(3 * RECORD).store(LAST.pack(), Ordering::Relaxed);
        map.ready(3 * RECORD).store(3, Ordering::Release);
        follow(&mut reader, &AtomicU64::new(0), &mut 2);
    });
}

/// R3: who attaches at the newest record knows the number of the next.
fn attaching(records: usize, racy: bool, from: From) {
    check(3, move || {
        let map = ring(records);
        let mut writer = Writer::new(map.clone(), racy);
        let writing = thread::spawn(move || {
            for _ in 0..2 {
                overwrite(&mut writer);
            }
            writer
        });
        let mut reader = Follower::new(&map, racy, from);
        reader.take();
        let mut writer = writing.join().unwrap();
        while reader.take() {}
        overwrite(&mut writer);
        assert!(reader.take(), "what comes after attaching is received");
        assert_eq!(reader.got.last(), Some(&2));
        // In a ring with room for all nothing is overwritten, so nothing can have been missed.
        assert!(records < 8 || reader.missed == 0, "missed {}", reader.missed);
    });
}

#[test]
fn attaching_at_the_newest_record_misses_none_after_it() {
    attaching(8, false, From::Latest);
    attaching(8, true, From::Latest);
    attaching(2, true, From::Latest);
}

#[test]
fn attaching_at_the_oldest_record_misses_none_after_it() {
    attaching(8, false, From::Oldest);
    attaching(8, true, From::Oldest);
    attaching(2, true, From::Oldest);
}

/// A batch is seen whole or not at all, also when its writer dies within it.
#[test]
fn a_batch_is_all_or_nothing() {
    for stores in 0.. {
        let finished = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let told = finished.clone();
        check(2, move || {
            let map = ring(8);
            let mut writer = Writer::new(map.clone(), true);
            write(&mut writer);
            let told = told.clone();
            let writing = thread::spawn(move || {
                let bodies = [payload(1), payload(2)];
                let records = bodies.iter().map(|body| (SINGLE, body.as_slice(), [].as_slice()));
                let done = dies_after(stores, || writer.write_many(records)).is_some();
                told.store(done, std::sync::atomic::Ordering::Relaxed);
            });
            let mut reader = Follower::new(&map, true, From::Beginning);
            assert!(reader.take());
            if reader.take() {
                assert!(reader.take(), "half a batch");
            }
            writing.join().unwrap();
            while reader.take() {}
            assert_ne!(reader.got.len(), 2, "half a batch");
        });
        if finished.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
    }
}

/// A ring's producer dies before any of its stores and another goes on: what it committed stays, nothing
/// half-made is seen, and the numbers go on without a gap.
#[test]
fn a_successor_goes_on_where_the_producer_died() {
    for stores in 0.. {
        let finished = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let told = finished.clone();
        check(2, move || {
            let map = ring(8);
            let mut writer = Writer::new(map.clone(), false);
            let (again, told) = (map.clone(), told.clone());
            let writing = thread::spawn(move || {
                let done = dies_after(stores, || {
                    write(&mut writer);
                    write(&mut writer);
                });
                told.store(done.is_some(), std::sync::atomic::Ordering::Relaxed);
                let mut successor = Writer::resume(again).expect("a sound ring");
                let at = successor.seq();
                write(&mut successor);
                at
            });
            let mut reader = Follower::new(&map, false, From::Beginning);
            reader.take();
            reader.take();
            let survived = writing.join().unwrap();
            while reader.take() {}
            assert_eq!(reader.got, (0..=survived).collect::<Vec<u64>>());
        });
        if finished.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
    }
}

/// A ring's consumer ends anywhere and another goes on at its cursor while the producer writes.
#[test]
fn a_successor_goes_on_where_the_consumer_died() {
    check(3, || {
        let map = ring(8);
        let mut writer = Writer::new(map.clone(), false);
        let writing = thread::spawn(move || {
            write(&mut writer);
            write(&mut writer);
        });
        let mut first = Follower::of(Reader::resume(map.clone(), 0));
        first.take();
        let mut second = Follower::of(Reader::resume(map.clone(), first.reader.position()));
        second.take();
        writing.join().unwrap();
        while second.take() {}
        first.got.extend(second.got);
        assert_eq!(first.got, [0, 1]);
    });
}
