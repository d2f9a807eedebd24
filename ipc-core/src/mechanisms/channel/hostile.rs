//! Streams made of what a fuzzer thought of: an error comes of them, or messages, the same ones however they are cut.

use super::frame::{Decoder, Header, Preamble, READ};
use super::link::Outgoing;
use super::protocol::Decode;
#[cfg(fuzzing)]
pub use super::{fifo::hostile::requests, ws::hostile::visit};
use crate::error::ErrorKind;

/// What was made of a stream.
#[derive(PartialEq, Debug)]
struct Made {
    messages: Vec<Vec<u8>>,
    error: Option<ErrorKind>,
}

/// Decodes bytes that come so many at a time, and of which so many are read at most.
fn decode(bytes: &[u8], limit: usize, checksums: bool, at_a_time: usize, size: usize) -> Made {
    let mut decoder = Decoder::new(limit, checksums).reading(size);
    let mut made = Made { messages: Vec::new(), error: None };
    let mut rest = bytes;
    while !rest.is_empty() {
        let (to, room) = decoder.room();
        assert!(room > 0, "there is no room, and no message");
        let (now, later) = rest.split_at(at_a_time.min(room).min(rest.len()));
        to.extend_from_slice(now);
        rest = later;
        loop {
            match decoder.next() {
                Ok(true) => made.messages.push(decoder.message().to_vec()),
                Ok(false) => break,
                Err(e) => {
                    assert!(decoder.next().is_err(), "an error is forgotten");
                    return Made { error: Some(e.kind()), ..made };
                }
            }
        }
        assert!(decoder.memory() <= 2 * size + 2 * bytes.len(), "memory for what has not come");
    }
    made
}

/// Reads a preamble and frames; the first two bytes say how.
pub fn frames(data: &[u8]) {
    let Some((&[how, cut], bytes)) = data.split_first_chunk() else { return };
    let (checksums, limit) = (how & 1 != 0, 1usize << (how >> 1 & 31).min(30));
    if let Ok(Some(preamble)) = Preamble::decode(bytes) {
        assert_eq!(preamble.encode(), bytes[..16]);
    }
    let made = decode(bytes, limit, checksums, usize::MAX, READ);
    assert_eq!(decode(bytes, limit, checksums, 1 + usize::from(cut), READ), made);
    // Nearly everything is large then.
    assert_eq!(decode(bytes, limit, checksums, 1 + usize::from(cut), 16), made);
    assert!(made.messages.iter().all(|message| message.len() <= limit));
    // What was made is made again of what it is encoded as.
    let mut again = Vec::new();
    for message in &made.messages {
        again.extend(Header::of(Outgoing { pieces: &[message], descriptors: &[] }, checksums).bytes());
        again.extend(message);
    }
    assert_eq!(
        decode(&again, limit, checksums, usize::MAX, 64),
        Made { error: None, messages: made.messages }
    );
}

#[cfg(test)]
mod tests {
    /// What libFuzzer has found, and what its first inputs were.
    #[test]
    fn the_corpus_is_read() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/frames");
        let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
        assert!(inputs.len() >= 10, "only {} inputs in {corpus}", inputs.len());
        inputs.into_iter().for_each(|entry| super::frames(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
}
