//! What a fuzzer thought of, written to a FIFO that is listened at: the same requests come of it however it is cut, with
//! nothing in them but a number, and nothing keeps the next one from being heard.

use super::{FifoListening, MAGIC, Place, REQUEST, is_number};
use crate::mechanisms::channel::ChannelOptions;
use crate::mechanisms::channel::stream::Framing;
use crate::sys::fork::LockFd;
use crate::sys::{fork, pipe};
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::sync::Arc;

const NUMBER: &str = "0123456789abcdef";

/// The numbers in what is written, so many bytes at a time.
fn numbers(bytes: &[u8], at_a_time: usize) -> Vec<String> {
    let (read, write) = pipe::pair().unwrap();
    pipe::set_blocking(read.as_fd(), false).unwrap();
    let mut listening = FifoListening {
        fd: Arc::new(LockFd::new(read).unwrap()),
        place: Place { path: "/dev/null".into(), token: fork::token(), remove: false },
        line: Vec::new(),
        framing: Framing::plain(),
        options: ChannelOptions::default(),
        watched: false,
    };
    let mut heard = Vec::new();
    for piece in bytes.chunks(at_a_time) {
        assert_eq!(pipe::send(write.as_fd(), &[IoSlice::new(piece)], false).unwrap(), Some(piece.len()));
        heard.extend(std::iter::from_fn(|| listening.request().unwrap()));
        assert!(listening.line.capacity() <= 2 * REQUEST, "memory for what is no request");
    }
    heard
}

/// Writes requests and what is none; the first byte says how it is cut.
pub fn requests(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    // As much as a pipe holds.
    let bytes = &bytes[..bytes.len().min(32 << 10)];
    let heard = numbers(bytes, bytes.len().max(1));
    assert_eq!(numbers(bytes, 1 + usize::from(cut)), heard);
    assert!(heard.iter().all(|number| is_number(number)), "{heard:?}");
    let followed = [bytes, format!("\n{MAGIC}{NUMBER}\n").as_bytes()].concat();
    let before = numbers(&followed[..=bytes.len()], followed.len());
    assert_eq!(numbers(&followed, followed.len()), [before, vec![NUMBER.into()]].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libFuzzer has found, and what its first inputs were.
    #[test]
    fn the_corpus_is_heard() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/fifo");
        let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
        assert!(inputs.len() >= 8, "only {} inputs in {corpus}", inputs.len());
        inputs.into_iter().for_each(|entry| requests(&std::fs::read(entry.unwrap().path()).unwrap()));
    }

    #[test]
    fn a_request_is_heard_and_nothing_like_it() {
        let heard = |text: &str| numbers(text.as_bytes(), text.len());
        assert_eq!(heard(&format!("\n\n{MAGIC}{NUMBER}\n")), [NUMBER]);
        for wrong in [
            "AXONIC/2 0123456789abcdef",
            "AXONIC/1 0123456789ABCDEF",
            "AXONIC/1 ../../../../../x",
            "AXONIC/1 0",
        ] {
            assert!(heard(&format!("{wrong}\n")).is_empty(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_requests_or_none(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            requests(&bytes);
        }
    }
}
