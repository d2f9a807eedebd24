//! Every language with every other, from one table.
//!
//! Each language has a peer program in `tests/peers/<language>` with the same arguments and output
//! (see `peers/rust/peer.rs`). What the Python and Node peers and the C library are is told by the
//! environment `cargo xtask test interop` sets.

mod calls;
mod channels;
mod jobs;
mod journal;
mod jsonrpc;
mod layout;
mod locks;
mod peers;
mod pipes;
mod table;
mod talk;
mod tls;
mod websocket;

use peers::Peer;
use std::collections::BTreeMap;
use table::{CASES, LANGUAGES, LARGE, MODES, SMALL, Work};

fn place() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("axonic-conformance-")
        .tempdir_in("/dev/shm")
        .expect("a directory on /dev/shm")
}

/// A file with the number that `peer count` raises.
fn numbered_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), 0u64.to_le_bytes()).expect("its number");
    file
}

/// Nothing must be left of a domain.
fn left_behind(place: &tempfile::TempDir) -> Result<(), String> {
    let entries = std::fs::read_dir(place.path()).map_err(|e| e.to_string())?;
    let left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}

/// The sum of the bytes of message `k`.
fn sum_of(k: usize, size: usize) -> u32 {
    // Bytes repeat every 256, so whole periods add the same.
    let period: u32 = (0..256u32).sum();
    let tail: u32 = (0..size % 256).map(|i| u32::from((i * 31 + k * 7 + size) as u8)).sum();
    ((size / 256) as u32).wrapping_mul(period).wrapping_add(tail)
}

/// The sum of all bytes a receiver must find.
fn expected_sum(work: &Work) -> (usize, u32) {
    let (mut k, mut sum) = (0usize, 0u32);
    for size in work.sizes {
        for _ in 0..work.count {
            sum = sum.wrapping_add(sum_of(k, *size));
            k += 1;
        }
    }
    (k, sum)
}

#[test]
fn every_pair_exchanges_every_size() {
    let peers = Peer::all();
    let (mut pairs, mut failures) = (0, Vec::new());
    for sender in &peers {
        for receiver in &peers {
            for (send, receive) in MODES {
                for work in [&SMALL, &LARGE] {
                    pairs += 1;
                    if let Err(why) = exchange(sender, receiver, send, receive, work) {
                        failures.push(format!(
                            "{} {send} -> {} {receive}, sizes {}: {why}",
                            sender.language,
                            receiver.language,
                            work.text()
                        ));
                    }
                }
            }
        }
    }
    assert_eq!(pairs, LANGUAGES.len() * LANGUAGES.len() * MODES.len() * 2);
    assert!(failures.is_empty(), "{} of {pairs} exchanges failed:\n{}", failures.len(), failures.join("\n"));
}

fn exchange(sender: &Peer, receiver: &Peer, send: &str, receive: &str, work: &Work) -> Result<(), String> {
    let place = place();
    let (sizes, count) = (work.text(), work.count.to_string());
    let mut taking = receiver.start(place.path(), &["recv", "pair", "data.topic", receive, &sizes, &count]);
    taking.expect_line("ready")?;
    let giving = sender.start(place.path(), &["send", "pair", "data.topic", send, &sizes, &count]);
    let (total, sum) = expected_sum(work);
    let got = taking.finish()?;
    if got != format!("ok {total} {sum}") {
        return Err(format!("the receiver said {got:?}, expected \"ok {total} {sum}\""));
    }
    let sent = giving.finish()?;
    if sent != format!("sent {total}") {
        return Err(format!("the sender said {sent:?}"));
    }
    left_behind(&place)
}

#[test]
fn every_language_maps_every_error() {
    let wanted: Vec<String> =
        axonic::ErrorKind::ALL.iter().map(|k| format!("{} {}", k.number(), k.name())).collect();
    for peer in Peer::all() {
        let place = place();
        let said = peer.start(place.path(), &["errors"]).lines().expect("the table of errors");
        assert_eq!(said, wanted, "{}", peer.language);
    }
}

#[test]
fn every_language_raises_the_same_error() {
    for peer in Peer::all() {
        let place = place();
        let said = peer.start(place.path(), &["raise", "errors"]).lines().expect("the cases");
        let got: BTreeMap<&str, &str> = said.iter().filter_map(|line| line.split_once(' ')).collect();
        let wanted: BTreeMap<&str, &str> = CASES.iter().map(|(case, kind)| (*case, kind.name())).collect();
        assert_eq!(got, wanted, "{}", peer.language);
    }
}

#[test]
fn every_language_writes_the_same_layout() {
    for peer in Peer::all() {
        let place = place();
        // Each waits for the other, so its file stays until it is killed.
        let sender = peer.start(place.path(), &["send", "one", "data.topic", "copy", "1", "1"]);
        let publisher =
            layout::wait_for_file(&place.path().join("one/publishers")).expect("a publisher's file");
        layout::check(&publisher, &table::PUBLISHER_WORDS, peer.language);
        drop(sender);
        let receiver = peer.start(place.path(), &["recv", "two", "data.topic", "copy", "1", "1"]);
        let page = layout::wait_for_file(&place.path().join("two/subscribers")).expect("a subscriber's file");
        layout::check(&page, &table::SUBSCRIBER_WORDS, peer.language);
        drop(receiver);
        // What was put stays.
        peer.start(place.path(), &["put", "three", "jobs", "0", "1", "64"]).finish().expect("a put");
        layout::check(&place.path().join("three/queues/jobs"), &table::QUEUE_WORDS, peer.language);
        let number = numbered_file();
        let file = number.path().to_str().expect("a plain path");
        let counter = peer.start(place.path(), &["count", "four", file, "1000000000"]);
        let mutex = place.path().join("four/locks/count");
        assert!(layout::wait_for(&mutex), "a mutex's file");
        layout::check(&mutex, &table::MUTEX_WORDS, peer.language);
        drop(counter);
    }
}
