//! One bit of the disk changes.

use super::super::simulator::sectors;
use super::*;

/// A log, and where its last batch is.
struct Log {
    image: Image,
    records: Vec<Own>,
    file: String,
    last_batch: std::ops::Range<usize>,
    /// Records before the last batch.
    before: usize,
}

fn visited(image: &Image) -> Result<(Recovery, Vec<Own>)> {
    let (_, _, recovery, visited) = recover(&Simulated::new(image))?;
    Ok((recovery, visited.into_iter().map(|(_, _, own)| own).collect()))
}

/// What is on the disk after these steps, each of which is synced, and the last of which appends one batch.
fn log(caller: &mut Caller, steps: &[Step]) -> Log {
    let (last, first) = steps.split_last().unwrap();
    for step in first {
        caller.step(*step).unwrap();
        caller.step(Sync).unwrap();
    }
    let before = visited(&caller.world.seen()).unwrap().1.len();
    caller.step(*last).unwrap();
    caller.step(Sync).unwrap();
    let image = caller.world.seen();
    let (recovery, records) = visited(&image).unwrap();
    assert_eq!(recovery.torn, None);
    let (file, end) = (caller.state.name().to_string(), caller.state.end as usize);
    let appended: u64 = records[before.min(records.len())..]
        .iter()
        .fold(48, |sum, (_, _, body)| sum + 16 + body.len().next_multiple_of(8) as u64);
    Log { image, before, file, last_batch: end - appended as usize..end, records }
}

fn flipped(image: &Image, name: &str, bit: usize) -> Image {
    let mut image = image.clone();
    let mut content = image[name].concat();
    content[bit / 8] ^= 1 << (bit % 8);
    image.insert(name.to_owned(), sectors(&content));
    image
}

/// Whatever bit changes, it is told, or nothing is missing; only the last batch may look as if it was never whole.
fn no_flip_is_silent(log: &Log) {
    let (mut corrupt, mut torn) = (0, 0);
    for (name, content) in &log.image {
        for bit in 0..content.concat().len() * 8 {
            match visited(&flipped(&log.image, name, bit)) {
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Corrupt, "{name} bit {bit}: {e}");
                    corrupt += 1;
                }
                Ok((recovery, records)) if records.len() < log.records.len() => {
                    assert!(*name == log.file && log.last_batch.contains(&(bit / 8)), "{name} bit {bit}");
                    assert_eq!(records, log.records[..log.before]);
                    let told = recovery.torn.expect("it is told");
                    assert_eq!((told.file, told.offset), (name.clone(), log.last_batch.start as u64));
                    torn += 1;
                }
                Ok((_, records)) => assert!(records == log.records, "{name} bit {bit}"),
            }
        }
    }
    assert!(corrupt > 1000, "only {corrupt} of the flips were noticed");
    assert_eq!(torn, if log.before < log.records.len() { log.last_batch.len() * 8 } else { 0 });
}

#[test]
fn no_bit_changes_silently() {
    let begin = || Caller::begin(&Simulated::new(&Image::new())).unwrap();
    let appended = [Put(1, 30), Put(2, 100), Note, Put(1, 200), Gone, Put(1, 40), Put(1, 20)];
    no_flip_is_silent(&log(&mut begin(), &appended));
    // The first segment alone; one that was begun with its last batch; the end of a recovery.
    no_flip_is_silent(&log(&mut begin(), &[Put(1, 30)]));
    no_flip_is_silent(&log(&mut begin(), &[Put(1, 300), Put(1, 300)]));
    let mut caller = begin();
    log(&mut caller, &[Put(1, 30)]);
    no_flip_is_silent(&log(&mut Caller::begin(&Simulated::new(&caller.world.seen())).unwrap(), &[Put(1, 9)]));
}

/// When the last batch is without records, no bit may take anything away.
#[test]
fn no_bit_changes_silently_after_compaction_and_a_new_start() {
    for last in [Compact, StartOver] {
        let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
        for step in [Put(1, 30), Put(1, 250), Put(1, 250), Gone, last, Sync] {
            caller.step(step).unwrap();
        }
        let image = caller.world.seen();
        let (_, records) = visited(&image).unwrap();
        let (before, end) = (records.len(), caller.state.end as usize);
        no_flip_is_silent(&Log { image, records, file: String::new(), last_batch: end..end, before });
    }
}

/// Valid records behind a damage are never cut off, and the disk stays as it is.
#[test]
fn damage_is_named_and_nothing_is_changed() {
    let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
    for step in [Put(1, 30), Sync, Put(1, 30), Sync, Put(2, 30), Sync] {
        caller.step(step).unwrap();
    }
    let image = caller.world.seen();
    let (first_batch, name) = (176, caller.state.name().to_string());
    let world = Simulated::new(&flipped(&image, &name, (first_batch + 70) * 8));
    let text = recover(&world).err().expect("it is damaged").to_string();
    let told = format!("{name}: damaged at offset {first_batch}");
    assert!(text.contains(&told) && text.contains("3 valid records follow"), "{text}");
    assert_eq!(world.operations(), 0);
}

#[test]
fn a_version_to_come_is_refused() {
    let mut header = Header {
        name: Name { number: 1, salt: 2 },
        first: 1,
        previous: None,
        oldest: 1,
        durable: 0,
        provisional: false,
        kept: Kept::default(),
        size: 0,
    }
    .encode();
    header[80] = 2;
    let name = Name { number: 1, salt: 2 };
    header[12..16].fill(0);
    let crc = crc32c::crc32c_append(name.seed(0), &header);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    let image = Image::from([(name.to_string(), sectors(&header))]);
    let error = visited(&image).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LayoutMismatch);
    assert!(error.message().starts_with(&format!("simulated/{name}: ")), "{error}");
}

/// What some tool cut off is told, though what is left looks like the end of a log.
#[test]
fn a_size_that_no_power_cut_leaves_is_named() {
    let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
    for step in [Put(1, 30), Sync, Put(1, 200), Sync, Put(1, 300), Sync] {
        caller.step(step).unwrap();
    }
    let image = caller.world.seen();
    assert_eq!(image.len(), 2);
    for (name, content) in &image {
        let content = content.concat();
        for size in [1, 100, 150, 176, 177, 300, 512, content.len() - 1] {
            let mut cut = image.clone();
            cut.insert(name.clone(), sectors(&content[..size]));
            let world = Simulated::new(&cut);
            let told = recover(&world).err().expect("it was cut");
            let words = [format!("{name}: it has {size} bytes"), "restore the directory".to_owned()];
            assert_eq!(told.kind(), ErrorKind::Corrupt);
            assert!(words.iter().all(|word| told.message().contains(word)), "{told}");
            assert_eq!(world.operations(), 0);
        }
    }
}
