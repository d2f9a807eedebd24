//! A journal in a real directory.

use super::*;
use crate::sys::disk::DataDirectory;
use crate::sys::file::Access;
use std::path::Path;

fn disk(path: &Path) -> Box<dyn Disk> {
    Box::new(DataDirectory::open(path, Access { mode: 0o600, group: None }, false).unwrap())
}

fn put(journal: &mut Journal, state: &mut State, id: u64, length: usize) -> u64 {
    let mut batch = Batch::new(state.last() + 1);
    batch.push(Kind::Put, id, length).unwrap().fill(id as u8);
    journal.append(state, &mut batch).unwrap()
}

const KEPT: Kept = [1, 2, 3, u64::MAX];

/// Two take turns, with messages of every size; a third reads all of it.
#[test]
fn processes_take_turns_in_a_directory() {
    let place = tempfile::tempdir().unwrap();
    let missing = Journal::resume(disk(place.path()), KEPT).err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.message().contains("AXONIC_DATA_DIR"), "{missing}");
    let recovered = Journal::recover(disk(place.path()), KEPT, &mut |_| Ok(())).unwrap();
    assert_eq!(Journal::kept(disk(place.path())).unwrap(), Kept::default(), "nothing is changed yet");
    let (mut one, mut state, recovery) = recovered.begin().unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!((state.bytes(), state.oldest(), state.segment()), (SEGMENT, 1, 1));
    let mut other = Journal::resume(disk(place.path()), KEPT).unwrap();
    let most = SEGMENT as usize / 8;
    let lengths = [0, 1, 2 * most, 4 * most, MAX_BODY, 100];
    for (id, length) in lengths.into_iter().enumerate() {
        let journal = if id % 2 == 0 { &mut one } else { &mut other };
        put(journal, &mut state, id as u64, length);
    }
    assert_eq!((state.last(), state.durable(), state.segment()), (6, 0, 3));
    one.sync(&mut state).unwrap();
    assert_eq!(state.durable(), 6);
    assert_eq!(other.verify(&mut state).unwrap(), 6);
    // The first segment has the messages 0 to 3.
    let mut last = 0;
    (0..4).for_each(|id| last = put(&mut other, &mut state, id, lengths[id as usize]));
    other.retire(&mut state).unwrap();
    assert_eq!((state.oldest(), last), (2, state.segment()));
    let mut seen = Vec::new();
    let recovered = Journal::recover(disk(place.path()), Kept::default(), &mut |record| {
        assert!(record.body.iter().all(|byte| u64::from(*byte) == record.id));
        seen.push((record.id, record.body.len()));
        Ok(())
    });
    assert_eq!(Journal::kept(disk(place.path())).unwrap(), KEPT, "both wrote it into their segments");
    let (_, state, recovery) = recovered.unwrap().begin().unwrap();
    assert_eq!(Journal::kept(disk(place.path())).unwrap(), Kept::default(), "whoever reads it decides anew");
    let expected = [4, 5, 0, 1, 2, 3].map(|id| (id as u64, lengths[id]));
    assert_eq!((seen.as_slice(), recovery.last, recovery.torn), (&expected[..], 10, None));
    let names = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap());
    let sizes: u64 = names.map(|entry| entry.metadata().unwrap().len()).sum();
    assert_eq!(sizes, state.bytes());
}
