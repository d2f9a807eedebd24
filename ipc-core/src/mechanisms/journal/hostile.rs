//! Segments made of what a fuzzer thought of: an error comes of them, or a log that reads the same again.
//!
//! An input is a list of instructions, so that checksums can be right where everything else is wrong.

use super::format::{BATCH, Batch, HEADER, Header, Kind, Link, MAX_NUMBER, Name};
use super::recover::Recovered;
use super::simulator::{Image, Simulated, sectors};
use super::{Journal, Kept, STATE_WORDS, State};
use crate::error::{ErrorKind, Result};
use crc32c::crc32c_append;

/// The bytes of one input, taken from the front; zeros once they are used up.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Mostly a small number; a byte from 240 on announces any number.
    fn number(&mut self) -> u64 {
        let small = self.byte();
        if small < 240 {
            return u64::from(small);
        }
        let mut word = [0; 8];
        let taken = self.take(8);
        word[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(word)
    }

    fn name(&mut self) -> Name {
        // Any name that a file can have, and a few can follow.
        let number = self.number().clamp(1, MAX_NUMBER - 10);
        Name { number, salt: u64::from(self.byte() & 1) }
    }
}

/// A directory in the making: the files that are finished, and the one that is written to.
struct Directory {
    image: Image,
    name: Name,
    content: Vec<u8>,
}

impl Directory {
    fn begin(&mut self, name: Name) {
        let content = std::mem::take(&mut self.content);
        self.image.insert(self.name.to_string(), sectors(&content));
        self.name = name;
    }

    fn header(&mut self, input: &mut Input<'_>) {
        let name = input.name();
        self.begin(name);
        let flags = input.byte();
        let link = Link { name: input.name(), end: input.number().wrapping_mul(8) };
        let header = Header {
            name,
            first: input.number(),
            previous: (flags & 1 != 0).then_some(link),
            oldest: input.number(),
            durable: input.number(),
            provisional: flags & 2 != 0,
            kept: Kept::default(),
            size: 0,
        };
        self.content.extend(header.encode());
    }

    fn batch(&mut self, input: &mut Input<'_>) {
        let mut batch = Batch::new(input.number());
        for _ in 0..input.byte() % 4 {
            let kind = [Kind::Put, Kind::Note, Kind::Gone][usize::from(input.byte() % 3)];
            let (id, length) = (input.number(), usize::from(input.byte()));
            let body = batch.push(kind, id, length).expect("short enough");
            let taken = input.take(length.min(16));
            body[..taken.len()].copy_from_slice(taken);
        }
        let at = self.content.len() as u64;
        let (durable, oldest) = (input.number(), input.number());
        self.content.extend_from_slice(batch.seal(self.name, at, durable, oldest));
    }

    /// A header of a batch whose numbers may be any, with the right checksum, over what then follows or does not.
    fn forged(&mut self, input: &mut Input<'_>) {
        let at = self.content.len();
        let seed = self.name.seed(at as u64);
        let length = usize::from(input.byte());
        let records = input.take(length);
        let mut header = [0; BATCH];
        header[..4].copy_from_slice(b"AXJB");
        header[8..12].copy_from_slice(&crc32c_append(seed, records).to_le_bytes());
        header[12..16].copy_from_slice(&(input.number() as u32).to_le_bytes());
        for place in [16, 24, 32, 40] {
            header[place..place + 8].copy_from_slice(&input.number().to_le_bytes());
        }
        let crc = crc32c_append(seed, &header[8..]);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        self.content.extend(header);
        self.content.extend_from_slice(records);
    }

    fn damage(&mut self, input: &mut Input<'_>) {
        let at = input.number() as usize % self.content.len().max(1);
        if let Some(byte) = self.content.get_mut(at) {
            *byte ^= input.byte() | 1;
        }
    }
}

/// Makes the directory that an input tells of.
fn directory(input: &mut Input<'_>) -> Image {
    let name = Name { number: 1, salt: 0 };
    let mut made = Directory { image: Image::new(), name, content: Vec::new() };
    while !input.0.is_empty() {
        match input.byte() % 8 {
            0 => made.header(input),
            1 | 2 => made.batch(input),
            3 => made.forged(input),
            4 => {
                let length = usize::from(input.byte());
                made.content.extend_from_slice(input.take(length));
            }
            5 => made.content.resize(made.content.len() + usize::from(input.byte()) * 8, 0),
            6 => made.damage(input),
            // The rest is a state.
            _ => break,
        }
    }
    made.begin(name);
    made.image
}

/// What may come of it. Damage must not look like the caller's mistake.
fn fair<T>(result: Result<T>) -> Option<T> {
    result
        .inspect_err(|e| assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::LayoutMismatch), "{e:?}"))
        .ok()
}

/// A journal with small segments, which take less time.
fn journal(world: &Simulated) -> Journal {
    Journal { segment: 512, spare: 0, ..Journal::new(world.disk(), Kept::default()) }
}

/// Reads the directory that `data` tells of.
pub fn read(data: &[u8]) {
    let mut input = Input(data);
    let image = directory(&mut input);
    let words: [u64; STATE_WORDS] = std::array::from_fn(|_| input.number());
    go_on(&image, words);
    let world = Simulated::new(&image);
    let mut count = 0;
    let recovered = journal(&world).recovered(&mut |record| {
        count += record.body.len() as u64 + 1;
        Ok(())
    });
    let Some((_, state, recovery)) = fair(recovered.and_then(Recovered::begin)) else {
        assert_eq!(world.operations(), 0, "a log that is refused is left alone");
        return;
    };
    go_on(&world.seen(), state.to_words());
    let mut again = 0;
    let second = journal(&world).recovered(&mut |record| {
        again += record.body.len() as u64 + 1;
        Ok(())
    });
    let (_, _, second) = second.and_then(Recovered::begin).expect("what was recovered can be recovered");
    assert_eq!((second.records, second.last, again), (recovery.records, recovery.last, count));
}

/// Goes on with whatever state was found in shared memory.
fn go_on(image: &Image, words: [u64; STATE_WORDS]) {
    let Some(mut state) = fair(State::from_words(words)) else { return };
    let mut journal = journal(&Simulated::new(image));
    if fair(journal.verify(&mut state)).is_some() && !state.is_poisoned() {
        let mut batch = Batch::new(state.last() + 1);
        batch.push(Kind::Put, 1, 100).expect("short enough");
        let appended = journal.append(&mut state, &mut batch);
        if fair(appended).is_some() {
            journal.sync(&mut state).expect("the disk is sound");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    proptest::proptest! {
        #[test]
        fn any_segments_are_an_error_or_a_log(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            read(&bytes);
        }
    }

    /// The inputs that libFuzzer kept, and some more made from them.
    #[test]
    fn the_corpus_is_an_error_or_a_log() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/journal");
        let mut files: Vec<_> =
            std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "the corpus is missing");
        let mut random = super::super::simulator::Random(1);
        for file in files {
            let input = std::fs::read(&file).unwrap();
            println!("{}", file.display());
            read(&input);
            for _ in 0..20 {
                let mut varied = input.clone();
                if !varied.is_empty() {
                    let at = random.below(varied.len());
                    varied[at] = random.next() as u8;
                }
                println!("{varied:02x?}");
                read(&varied);
            }
        }
    }

    /// The instructions reach what they are to reach: a log of two segments that is read, and one that is damaged.
    #[test]
    fn inputs_can_tell_of_a_log() {
        let recovered = |data: &[u8]| {
            let world = Simulated::new(&directory(&mut Input(data)));
            let begun = journal(&world).recovered(&mut |_| Ok(())).and_then(Recovered::begin);
            begun.map(|(_, _, recovery)| recovery.records)
        };
        let torn = |data: &[u8]| {
            let world = Simulated::new(&directory(&mut Input(data)));
            journal(&world).recovered(&mut |_| Ok(())).unwrap().begin().unwrap().2.torn
        };
        let first = [&[0, 1, 0, 0, 1, 0, 0, 1, 1, 0][..], &[1, 1, 1, 0, 7, 4, 9, 9, 9, 9, 0, 1]].concat();
        assert_eq!(recovered(&first).unwrap(), 1);
        let end = ((HEADER + BATCH + 16 + 8) / 8) as u8;
        let second = [&first[..], &[0, 2, 0, 1, 1, 0, end, 2, 1, 1], &[2, 2, 1, 2, 7, 0, 1, 1]].concat();
        assert_eq!(recovered(&second).unwrap(), 2);
        let damaged = [&first[..], &[6, 190, 1], &second[first.len()..]].concat();
        assert_eq!(recovered(&damaged).unwrap_err().kind(), ErrorKind::Corrupt);
        // What follows the end that the next segment names; an LSN that does not follow; more records than there are.
        let beyond = [&first[..], &[1, 2, 1, 1, 7, 0, 0, 1], &second[first.len()..]].concat();
        assert_eq!(torn(&beyond), None);
        assert_eq!(recovered(&[&first[..], &[1, 3, 1, 1, 7, 0, 0, 1]].concat()).unwrap(), 1);
        assert_eq!(recovered(&[&first[..], &[3, 0, 5, 0, 2, 0, 1]].concat()).unwrap(), 1);
    }
}
