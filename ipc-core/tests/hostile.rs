//! Damaged and foreign shared memory: an error that names the file, never a crash, a hang or a wild read; and
//! whoever is undamaged goes on working.

mod common;

use axonic::*;
use common::{Place, expect};
use std::os::unix::fs::{FileExt, FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// Where words lie in the files, as docs/protocol.md has it.
const VERSION: u64 = 8;
const KIND: u64 = 12;
const SIZE: u64 = 16;
const PAGE: u64 = 24;
const HEADER: u64 = 28;
const REQUIRED: u64 = 32;
const ID: u64 = 56;
const CAPACITY: u64 = 280;
const DATA_OFFSET: u64 = 288;

/// How a file is damaged, and which error tells of it.
struct Damage {
    name: &'static str,
    kind: ErrorKind,
    inflict: Box<dyn Fn(&std::fs::File)>,
}

fn put<const N: usize>(name: &'static str, kind: ErrorKind, at: u64, bytes: [u8; N]) -> Damage {
    Damage { name, kind, inflict: Box::new(move |file| file.write_all_at(&bytes, at).unwrap()) }
}

fn resize(name: &'static str, size: impl Fn(u64) -> u64 + 'static, honest: bool) -> Damage {
    let inflict = move |file: &std::fs::File| {
        let size = size(file.metadata().unwrap().len());
        file.set_len(size).unwrap();
        if honest {
            file.write_all_at(&size.to_le_bytes(), SIZE).unwrap();
        }
    };
    Damage { name, kind: ErrorKind::Corrupt, inflict: Box::new(inflict) }
}

/// What can be wrong with any file.
fn damages() -> Vec<Damage> {
    use ErrorKind::{Corrupt, LayoutMismatch};
    vec![
        put("layout version", LayoutMismatch, VERSION, (LAYOUT_VERSION + 1).to_le_bytes()),
        put("a feature nobody knows", LayoutMismatch, REQUIRED, (1u64 << 63).to_le_bytes()),
        put("another page size", LayoutMismatch, PAGE, 65536u32.to_le_bytes()),
        put("another kind", LayoutMismatch, KIND, 77u32.to_le_bytes()),
        put("a longer header", LayoutMismatch, HEADER, 128u32.to_le_bytes()),
        put("a size too small", Corrupt, SIZE, 64u64.to_le_bytes()),
        put("a size too large", Corrupt, SIZE, u64::MAX.to_le_bytes()),
        resize("cut to half", |size| size / 2, false),
        resize("cut by a byte", |size| size - 1, false),
        resize("grown", |size| size + 4096, false),
        resize("grown into a hole", |_| 1 << 40, true),
    ]
}

/// The file of the only object of a kind.
fn only(place: &Place, kind: &str) -> PathBuf {
    let mut files = common::files_in(&place.path().join("test").join(kind));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// A second name in the same directory, by the same owner, that no object of it will have.
fn stranger(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap().to_string_lossy();
    file.with_file_name(format!("{}ffff0001{}", &name[..8], &name[16..]))
}

/// A copy of `file` that is damaged, in its place beside it.
fn damaged_copy(file: &Path, damage: &Damage) -> PathBuf {
    let copy = stranger(file);
    std::fs::copy(file, &copy).unwrap();
    let open = std::fs::File::options().write(true).open(&copy).unwrap();
    let id = u64::from_str_radix(&copy.file_name().unwrap().to_string_lossy()[..16], 16).unwrap();
    open.write_all_at(&id.to_le_bytes(), ID).unwrap();
    (damage.inflict)(&open);
    copy
}

/// The doctor names a damaged file and what to do; looking from outside works as before.
#[track_caller]
fn diagnosed(place: &Place, path: &Path, name: &str) {
    snapshot(&place.options()).unwrap();
    let findings = doctor(&place.options(), false).unwrap();
    let found = findings
        .iter()
        .find(|f| f.path.as_deref() == Some(path))
        .unwrap_or_else(|| panic!("{name}: {path:?} is not in {findings:?}"));
    assert!(!found.remedy.is_empty() && found.what.contains(&*path.to_string_lossy()), "{found:?}");
    assert!(path.exists(), "{name}: looking removes nothing");
}

#[test]
fn a_damaged_ring_is_told_of_once_and_hinders_nobody() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher = domain
        .publisher(
            "t",
            &PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() },
        )
        .unwrap();
    let original = only(&place, "publishers");
    let ring = [
        ("no capacity", CAPACITY, 0),
        ("an odd capacity", CAPACITY, (64 << 10) + 64),
        ("a huge capacity", CAPACITY, 1 << 40),
        ("capacity without end", CAPACITY, u64::MAX),
        ("data inside the header", DATA_OFFSET, 0),
        ("data beyond the end", DATA_OFFSET, u64::MAX - 4095),
    ];
    let ring = ring.map(|(name, at, value)| put(name, ErrorKind::Corrupt, at, value.to_le_bytes()));
    for damage in damages().into_iter().chain(ring) {
        let copy = damaged_copy(&original, &damage);
        let mut subscriber = place.open().subscriber("t", &SubscriberOptions::default()).unwrap();
        publisher.publish(damage.name.as_bytes()).unwrap();
        let path = copy.to_string_lossy();
        expect(subscriber.receive(SECOND), damage.kind, &[&path, "remove"]);
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), damage.name.as_bytes());
        assert!(subscriber.try_receive().unwrap().is_none(), "{}: told once", damage.name);
        diagnosed(&place, &copy, damage.name);
        assert_eq!(
            doctor(&place.options(), true).unwrap().iter().filter(|f| f.cleanable).count(),
            usize::from(damage.kind == ErrorKind::Corrupt)
        );
        assert_eq!(copy.exists(), damage.kind != ErrorKind::Corrupt, "{}", damage.name);
        let _ = std::fs::remove_file(copy);
    }
}

#[test]
fn a_damaged_subscriber_is_told_of_once_and_hinders_nobody() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let original = only(&place, "subscribers");
    for damage in damages() {
        let copy = damaged_copy(&original, &damage);
        let mut publisher = place
            .open()
            .publisher("t", &PublisherOptions { overflow: Overflow::Block, ..Default::default() })
            .unwrap();
        expect(publisher.publish(b"x"), damage.kind, &[&copy.to_string_lossy(), "remove"]);
        publisher.publish(damage.name.as_bytes()).unwrap();
        let message = subscriber.receive(SECOND).unwrap();
        assert_eq!((message.data(), message.sequence()), (damage.name.as_bytes(), 0));
        diagnosed(&place, &copy, damage.name);
        std::fs::remove_file(copy).unwrap();
    }
}

#[test]
fn a_damaged_segment_loses_its_publisher_and_no_other() {
    [Overflow::Block, Overflow::DropOldest].into_iter().for_each(damaged_segment);
}

fn damaged_segment(overflow: Overflow) {
    let place = Place::new();
    let domain = place.open();
    let options = PublisherOptions { overflow, capacity: 64 << 10, retain: true, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    let (large, oldest) =
        (vec![5; 100_000], SubscriberOptions { start: Start::Oldest, ..Default::default() });
    publisher.publish(&large).unwrap();
    let (ring, segment) = (only(&place, "publishers"), only(&place, "segments"));
    let none = put("nothing", ErrorKind::Corrupt, REQUIRED, [0]);
    let numbers = [
        ("no slots", 72, 0u64),
        ("slots without end", 72, u64::MAX),
        ("slots of no size", 64, 0),
        ("huge slots", 64, u64::MAX / 2),
        ("data in the header", 80, 8),
    ];
    let numbers = numbers.map(|(name, at, value)| put(name, ErrorKind::Corrupt, at, value.to_le_bytes()));
    for damage in
        damages().into_iter().chain(numbers).chain([put("magic", ErrorKind::LayoutMismatch, 0, *b"nonsense")])
    {
        let (ring_copy, copy) = (damaged_copy(&ring, &none), damaged_copy(&segment, &damage));
        let mut subscriber = place.open().subscriber("t", &oldest).unwrap();
        let (mut good, mut bad) = (0, 0);
        while good + bad < 2 {
            match subscriber.borrow(SECOND) {
                Ok(sample) => good += usize::from(sample.data() == large),
                Err(e) => {
                    assert!(
                        e.kind() == damage.kind && e.message().contains(&*copy.to_string_lossy()),
                        "{}: {e}",
                        damage.name
                    );
                    bad += 1;
                }
            }
        }
        assert_eq!((good, bad), (1, 1), "{}", damage.name);
        assert!(subscriber.try_receive().unwrap().is_none());
        diagnosed(&place, &copy, damage.name);
        drop(subscriber);
        [ring_copy, copy].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    }
    drop(publisher);
    domain.unlink(Noun::Topic, "t").unwrap();
}

#[test]
fn damaged_regions_and_rings_are_errors_of_their_opening() {
    let place = Place::new();
    let domain = place.open();
    let _region = domain.region("good", &RegionOptions { size: Some(10_000), ..Default::default() }).unwrap();
    let mut producer =
        domain.ring_producer("good", &RingOptions { capacity: 10_000, ..Default::default() }).unwrap();
    producer.push(b"x", None).unwrap();
    let directory = place.path().join("test");
    let (regions, rings) = (directory.join("regions"), directory.join("rings"));
    let open = |path: &Path| std::fs::File::options().write(true).open(path).unwrap();
    for damage in damages().into_iter().chain([put("magic", ErrorKind::LayoutMismatch, 0, *b"nonsense")]) {
        let bad = regions.join("bad");
        std::fs::copy(regions.join("good"), &bad).unwrap();
        (damage.inflict)(&open(&bad));
        expect(domain.region("bad", &RegionOptions::default()), damage.kind, &["region 'bad'", "remove"]);
        diagnosed(&place, &bad, damage.name);
        assert_eq!(snapshot(&place.options()).unwrap().regions.len(), 1);
        domain.unlink(Noun::Region, "bad").unwrap();
        for file in ["bad", "bad*cursor"] {
            std::fs::copy(rings.join("good"), rings.join("bad")).unwrap();
            std::fs::copy(rings.join("good*cursor"), rings.join("bad*cursor")).unwrap();
            (damage.inflict)(&open(&rings.join(file)));
            expect(
                domain.ring_consumer("bad", &RingOptions::default()),
                damage.kind,
                &["ring 'bad'", "remove"],
            );
            expect(
                domain.ring_producer("bad", &RingOptions::default()),
                damage.kind,
                &["ring 'bad'", "remove"],
            );
            diagnosed(&place, &rings.join(file), damage.name);
            assert!(doctor(&place.options(), true).unwrap().iter().all(|f| !f.cleanable), "somebody's data");
            domain.unlink(Noun::Ring, "bad").unwrap();
        }
    }
    // Words that cannot be true of a ring that is there otherwise.
    let words = [
        ("bad", 512, 1u64 << 40),
        ("bad", 512, 7),
        ("bad", 648, 1),
        ("bad", 648, u64::MAX - 63),
        ("bad", 640, 1 << 63),
        ("bad*cursor", 512, 1 << 40),
        ("bad*cursor", 512, 3),
    ];
    for (file, at, value) in words {
        std::fs::copy(rings.join("good"), rings.join("bad")).unwrap();
        std::fs::copy(rings.join("good*cursor"), rings.join("bad*cursor")).unwrap();
        open(&rings.join(file)).write_all_at(&value.to_le_bytes(), at).unwrap();
        let role = if file == "bad" {
            domain.ring_producer("bad", &RingOptions::default()).err()
        } else {
            domain.ring_consumer("bad", &RingOptions::default()).err()
        };
        expect::<()>(Err(role.unwrap()), ErrorKind::Corrupt, &["ring 'bad'", "damaged", "unlink"]);
        assert_eq!(common::files_in(&directory.join("bells")).len(), 1, "no bell of a failed end");
        domain.unlink(Noun::Ring, "bad").unwrap();
    }
    domain.unlink(Noun::Region, "good").unwrap();
    let mut consumer = domain.ring_consumer("good", &RingOptions::default()).unwrap();
    assert_eq!(consumer.pop(SECOND).unwrap(), b"x");
    consumer.release().unwrap();
}

#[test]
fn a_damaged_table_of_participants_is_named() {
    let place = Place::new();
    let domain = place.open();
    let table = place.path().join("test/participants");
    std::fs::create_dir(place.path().join("other")).unwrap();
    let copy = place.path().join("other/participants");
    let options = DomainOptions { name: Some("other".into()), ..place.options() };
    let slots = [("no slots", 0), ("more slots than fit", 2000), ("slots without end", u64::MAX)];
    let slots = slots.map(|(name, value)| put(name, ErrorKind::Corrupt, 64, value.to_le_bytes()));
    for damage in
        damages().into_iter().chain(slots).chain([put("magic", ErrorKind::LayoutMismatch, 0, *b"nonsense")])
    {
        std::fs::copy(&table, &copy).unwrap();
        (damage.inflict)(&std::fs::File::options().write(true).open(&copy).unwrap());
        let words = [&*copy.to_string_lossy(), "remove"];
        expect(Domain::open_with(options.clone()), damage.kind, &[&words[..], &["domain 'other'"]].concat());
        expect(snapshot(&options), damage.kind, &words);
        let findings = doctor(&options, true).unwrap();
        assert!(
            findings.len() == 1 && findings[0].path.as_deref() == Some(&copy),
            "{}: {findings:?}",
            damage.name
        );
    }
    std::fs::remove_dir_all(place.path().join("other")).unwrap();
    drop(domain);
}

#[test]
fn foreign_files_hinder_nobody_and_are_named() {
    let place = Place::new();
    let domain = place.open();
    let directory = place.path().join("test");
    let id = "000fffff00000001";
    let mut foreign = Vec::new();
    for kind in ["", "publishers", "subscribers", "segments", "bells", "regions", "rings"] {
        for name in ["junk", "empty", "fifo", "link", "folder", "socket"] {
            for name in [
                name.to_string(),
                format!("{id}-{name}"),
                format!("{:016x}", 0x1_f000_0000u64 + foreign.len() as u64),
            ] {
                let path = directory.join(kind).join(&name);
                match foreign.len() / 3 % 6 {
                    0 => std::fs::write(&path, [0xa5; 10_000]).unwrap(),
                    1 => std::fs::write(&path, b"").unwrap(),
                    2 => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                    3 => symlink("/etc/passwd", &path).unwrap(),
                    4 => std::fs::create_dir(&path).unwrap(),
                    _ => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
                }
                foreign.push(path);
            }
        }
    }
    let started = Instant::now();
    let other = place.open();
    let mut subscriber = other.subscriber(">", &SubscriberOptions::default()).unwrap();
    let mut publisher =
        domain.publisher("t", &PublisherOptions { overflow: Overflow::Block, ..Default::default() }).unwrap();
    publisher.publish(b"x").unwrap();
    publisher.publish(&[1; 9000]).unwrap();
    assert_eq!(subscriber.receive(SECOND).unwrap().data(), b"x");
    assert_eq!(subscriber.receive(SECOND).unwrap().data().len(), 9000);
    for name in ["junk", "empty", "fifo", "link", "folder", "socket"] {
        assert!(
            domain
                .region(name, &RegionOptions { size: Some(10), ..Default::default() })
                .unwrap_err()
                .message()
                .contains(&format!("'{name}'"))
        );
        assert!(
            domain
                .ring_producer(name, &RingOptions::default())
                .unwrap_err()
                .message()
                .contains(&format!("'{name}'"))
        );
    }
    let seen = snapshot(&place.options()).unwrap();
    assert_eq!(
        (seen.publishers.len(), seen.subscribers.len(), seen.regions.len(), seen.rings.len()),
        (1, 1, 0, 0)
    );
    let findings = doctor(&place.options(), false).unwrap();
    // A FIFO with the name of a bell of somebody alive is a bell.
    let is_bell =
        |path: &PathBuf| path.parent().unwrap().ends_with("bells") && path.file_name().unwrap().len() == 16;
    let is_fifo = |path: &PathBuf| path.symlink_metadata().unwrap().file_type().is_fifo();
    for path in foreign.iter().filter(|path| !(is_bell(path) && is_fifo(path))) {
        assert!(findings.iter().any(|f| f.path.as_deref() == Some(path)), "{path:?} is not named");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    doctor(&place.options(), true).unwrap();
    // What does not even have the name of one of ours is not touched.
    for path in foreign
        .iter()
        .filter(|p| ["junk", "empty", "fifo", "link", "folder", "socket"].iter().any(|n| p.ends_with(n)))
    {
        assert!(path.symlink_metadata().is_ok(), "{path:?} was removed");
    }
    drop((subscriber, publisher, other, domain));
    std::fs::remove_dir_all(directory).unwrap();
}

/// Writes a word into a file that others have mapped.
fn poke(file: &Path, at: u64, word: u64) {
    std::fs::File::options().write(true).open(file).unwrap().write_all_at(&word.to_le_bytes(), at).unwrap();
}

const CLAIM: u64 = 512;
const SEQ: u64 = 640;
const HEAD: u64 = 648;

/// Words of a ring that cannot be true, found by who reads it and by who comes to it.
#[test]
fn words_that_cannot_be_true_are_errors_in_time() {
    let started = Instant::now();
    let cases = [
        (CLAIM, u64::MAX),
        (CLAIM, 1 << 40),
        (CLAIM, 65),
        (SEQ, u64::MAX),
        (HEAD, u64::MAX - 63),
        (HEAD, u64::MAX),
        (HEAD, 33),
        (12288, u64::MAX),
        (12288, 7),
        (12288 + 8, u64::MAX),
        (12288 + 8, 0x0100_0000_0000_0001),
    ];
    for overflow in [Overflow::DropOldest, Overflow::Block] {
        for (at, word) in cases {
            let place = Place::new();
            let domain = place.open();
            let options = PublisherOptions { overflow, capacity: 64 << 10, ..Default::default() };
            let mut publisher = domain.publisher("t", &options).unwrap();
            let mut reader = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
            for i in 0..5u8 {
                publisher.publish(&[i; 100]).unwrap();
            }
            let ring = only(&place, "publishers");
            poke(&ring, at, word);
            let oldest = SubscriberOptions { start: Start::Oldest, ..Default::default() };
            let mut comers = [
                domain.subscriber("t", &oldest).unwrap(),
                domain.subscriber("t", &SubscriberOptions::default()).unwrap(),
            ];
            for subscriber in comers.iter_mut().chain([&mut reader]) {
                let mut wrong = 0;
                for _ in 0..6 {
                    match subscriber.receive(Some(Duration::from_millis(1))) {
                        Ok(message) => assert_eq!(message.data().len(), 100),
                        Err(e) => {
                            assert!(
                                matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Timeout),
                                "{at} {word:#x}: {e:?}"
                            );
                            wrong += u32::from(e.kind() == ErrorKind::Corrupt);
                        }
                    }
                }
                assert!(wrong <= 1, "told once");
            }
            let _ = publisher.send(&Payload::raw(&[1; 100]), Some(Duration::from_millis(1)));
        }
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_damaged_claim_is_told_by_its_name() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher =
        domain.publisher("t", &PublisherOptions { capacity: 64 << 10, ..Default::default() }).unwrap();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    poke(&only(&place, "publishers"), CLAIM, 1 << 40);
    expect(subscriber.receive(SECOND), ErrorKind::Corrupt, &["topic 't'", "never written", "damaged"]);
    publisher.publish(b"x").unwrap();
}

/// Both words in one line, behind its beginning: no position a reader can go to is beyond the claim.
#[test]
fn a_claim_within_a_line_does_not_make_a_reader_look_for_ever() {
    let place = Place::new();
    let domain = place.open();
    let mut publisher =
        domain.publisher("t", &PublisherOptions { capacity: 64 << 10, ..Default::default() }).unwrap();
    publisher.publish(b"x").unwrap();
    let ring = only(&place, "publishers");
    poke(&ring, CLAIM, 64 + 3);
    poke(&ring, HEAD, 64 + 5);
    for start in [Start::Oldest, Start::Latest] {
        let mut subscriber =
            domain.subscriber("t", &SubscriberOptions { start, ..Default::default() }).unwrap();
        expect(subscriber.receive(SECOND), ErrorKind::Corrupt, &["topic 't'", "no record can begin"]);
    }
}

/// What a subscriber and a participant say of themselves is theirs to write, and still not believed by them.
#[test]
fn ones_own_damaged_words_harm_nobody() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber =
        domain.subscriber("t", &SubscriberOptions { max_borrowed: 1, ..Default::default() }).unwrap();
    let mut publisher = domain
        .publisher(
            "t",
            &PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() },
        )
        .unwrap();
    let page = only(&place, "subscribers");
    let most = 272;
    for word in [u64::MAX, 0, 60_000] {
        publisher.publish(&[1; 5000]).unwrap();
        publisher.publish(&[2; 5000]).unwrap();
        poke(&page, most, word);
        let held = subscriber.borrow(SECOND).unwrap();
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), [2; 5000]);
        assert_eq!(subscriber.stats().pinned, 1);
        drop(held);
    }
    // A cursor that went back holds its publisher up, which says so in time; the doctor names who.
    publisher.publish(b"x").unwrap();
    subscriber.receive(SECOND).unwrap();
    let cursor = 896 + 8;
    poke(&page, cursor, 0);
    let full = loop {
        if let Err(e) = publisher.send(&Payload::raw(&[0; 2000]), Some(Duration::from_millis(5))) {
            break e;
        }
    };
    expect::<()>(Err(full), ErrorKind::Timeout, &["topic 't'", "capacity", "axonic stat"]);
    // Our entry in the table says that somebody else has our slot; sweeping must not give up our own lock.
    let late = place.open();
    let entry = 4096 + 256 * u64::from(late.participant().slot);
    poke(&place.path().join("test/participants"), entry, 99 << 8 | 2);
    drop(late.publisher("u", &PublisherOptions::default()).unwrap());
    assert_ne!(place.open().participant().slot, late.participant().slot);
}

#[test]
fn a_publisher_whose_old_records_were_damaged_goes_on() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let options = PublisherOptions { overflow: Overflow::Block, capacity: 64 << 10, ..Default::default() };
    let mut publisher = domain.publisher("t", &options).unwrap();
    for _ in 0..30 {
        publisher.publish(&[1; 2000]).unwrap();
        subscriber.receive(SECOND).unwrap();
    }
    // The oldest record, read long ago, now says that it is larger than all that was ever written.
    poke(&only(&place, "publishers"), 12288 + 8, 0x7fff_0000);
    for _ in 0..30 {
        publisher.send(&Payload::raw(&[2; 2000]), SECOND).unwrap();
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), [2; 2000]);
    }
}

/// A message that cannot be given out is passed over, and with it goes its pin.
#[test]
fn a_borrowed_tensor_with_a_damaged_shape_holds_no_slot() {
    let place = Place::new();
    let domain = place.open();
    let options = SubscriberOptions { max_borrowed: 1, ..Default::default() };
    let mut subscriber = domain.subscriber("t", &options).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let tensor = Tensor::new(Dtype::U8, [5000]);
    let payload = Payload { tensor: Some(&tensor), content: Content::Tensor, ..Payload::raw(&[1; 5000]) };
    publisher.send(&payload, SECOND).unwrap();
    publisher.send(&payload, SECOND).unwrap();
    // Behind header, descriptor, type and number of dimensions of the first record.
    poke(&only(&place, "publishers"), 12288 + 16 + 16 + 8, 4999);
    expect(subscriber.borrow(SECOND), ErrorKind::Corrupt, &["topic 't'", "shape"]);
    assert_eq!((subscriber.stats().pinned, publisher.stats().pinned), (0, 0));
    assert_eq!(subscriber.borrow(SECOND).unwrap().data(), [1; 5000]);
}
