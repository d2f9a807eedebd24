//! What happens when something runs out: a named error that tells the limit, the setting and the remedy,
//! nothing half-made left behind, nothing lost, and no signal.

mod common;

use axonic::*;
use common::{Place, child, expect, files_in, options_in};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::any::Any;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const SOON: Option<Duration> = Some(Duration::from_millis(50));

/// Something that takes memory, inodes or descriptors, and the words by which its error names it.
type Step<'a> = (&'a str, Box<dyn FnMut() -> Result<Box<dyn Any>> + 'a>);

fn step<'a, T: 'static>(name: &'a str, mut run: impl FnMut() -> Result<T> + 'a) -> Step<'a> {
    (name, Box::new(move || run().map(|made| Box::new(made) as Box<dyn Any>)))
}

fn small_ring(overflow: Overflow) -> PublisherOptions {
    PublisherOptions { overflow, capacity: 64 << 10, max_bytes: 512 << 10, ..Default::default() }
}

fn little_ring() -> RingOptions {
    RingOptions { capacity: 10_000, ..Default::default() }
}

/// Every step that makes something in an open domain.
fn openings(domain: &Domain) -> Vec<Step<'_>> {
    let region = RegionOptions { size: Some(40_000), ..Default::default() };
    vec![
        step("topic 'made'", || domain.publisher("made", &small_ring(Overflow::Block))),
        step("topic 'kept'", || {
            domain.publisher("kept", &PublisherOptions { retain: true, ..small_ring(Overflow::Block) })
        }),
        step("subscriber 'made.>'", || domain.subscriber("made.>", &SubscriberOptions::default())),
        step("region 'r'", move || {
            let made = domain.region("r", &region)?;
            domain.unlink(Noun::Region, "r").map(|()| made)
        }),
        step("ring 'p'", || domain.ring_producer("p", &little_ring())),
        step("ring 'c'", || domain.ring_consumer("c", &little_ring())),
    ]
}

// ---- a full shared-memory filesystem

/// Takes all but a few pages, or all but a few inodes, of a filesystem.
struct Filler {
    directory: PathBuf,
    inodes: bool,
}

impl Filler {
    fn new(directory: &Path, inodes: bool) -> Filler {
        let filler = Filler { directory: directory.join("filler"), inodes };
        std::fs::create_dir(&filler.directory).unwrap();
        std::fs::write(filler.directory.join("pages"), b"").unwrap();
        filler
    }

    fn free(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(&self.directory).unwrap();
        if self.inodes { stat.files_free() } else { stat.blocks_free() }
    }

    /// Leaves exactly `wanted` of them free.
    fn leave(&self, wanted: u64) {
        self.empty();
        let take = self.free() - wanted;
        if self.inodes {
            (0..take).for_each(|i| drop(std::fs::File::create(self.directory.join(i.to_string())).unwrap()));
        } else {
            let file = std::fs::File::options().write(true).open(self.directory.join("pages")).unwrap();
            nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, take as i64 * 4096).unwrap();
        }
        assert_eq!(self.free(), wanted);
    }

    fn empty(&self) {
        std::fs::File::options().write(true).open(self.directory.join("pages")).unwrap().set_len(0).unwrap();
        for file in files_in(&self.directory).iter().filter(|f| !f.ends_with("pages")) {
            std::fs::remove_file(file).unwrap();
        }
    }
}

/// Runs a step with nothing free, then with a little more each time, until it succeeds: it must have failed by
/// name before, and left everything as it was.
fn squeeze(directory: &Path, filler: &Filler, (name, mut run): Step<'_>) {
    let before = files_in(&directory.join("test"));
    for free in 0.. {
        filler.leave(free);
        match run() {
            Ok(_) => {
                assert!(free > 0, "{name} takes nothing");
                break;
            }
            Err(e) => {
                let error = expect::<()>(Err(e), ErrorKind::NoSpace, &[name, "full", "--shm-size"]);
                assert_eq!(files_in(&directory.join("test")), before, "{free} free: {error}");
                assert_eq!(filler.free(), free, "{error}");
            }
        }
        assert!(free < 500, "{name} never succeeds");
    }
    filler.empty();
    drop(run().unwrap_or_else(|e| panic!("{name} with room: {e}")));
}

fn play_full_filesystem(directory: &Path, inodes: bool) {
    let filler = Filler::new(directory, inodes);
    let options = options_in(directory);
    squeeze(directory, &filler, step("domain 'test'", || Domain::open_with(options.clone())));
    assert!(!directory.join("test").exists());
    let domain = Domain::open_with(options).unwrap();
    for opening in openings(&domain) {
        squeeze(directory, &filler, opening);
    }
    let mut subscriber = domain.subscriber("slab", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("slab", &small_ring(Overflow::DropOldest)).unwrap();
    let large = vec![7; 100_000];
    filler.leave(0);
    // What is open goes on working; only what needs new memory fails.
    expect(publisher.publish(&large), ErrorKind::NoSpace, &["topic 'slab'", "max_bytes"]);
    expect(publisher.loan(100_000, None), ErrorKind::NoSpace, &["topic 'slab'", "max_bytes"]);
    for i in 0..5000u32 {
        publisher.publish(&i.to_le_bytes()).unwrap();
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), i.to_le_bytes());
    }
    filler.empty();
    publisher.publish(&large).unwrap();
    subscriber.receive(SECOND).unwrap();
    filler.leave(0);
    // Memory that is there already is used again, although the slab would rather grow.
    for i in 0..100u8 {
        publisher.publish(&vec![i; 100_000]).unwrap();
        assert!(subscriber.receive(SECOND).unwrap().data() == vec![i; 100_000]);
    }
    assert_eq!(subscriber.missed(), 0);
    filler.empty();
    drop((subscriber, publisher, domain));
    assert!(!directory.join("test").exists());
}

#[test]
fn a_full_filesystem_is_an_error_of_the_call_that_needs_it() {
    if let Some(role) = child::role() {
        return play_full_filesystem(&child::directory(), role == "inodes");
    }
    let place = Place::new();
    for (role, options) in [("pages", "size=2m"), ("inodes", "size=4m,nr_inodes=100")] {
        let mut command =
            child::command("a_full_filesystem_is_an_error_of_the_call_that_needs_it", role, place.path());
        if !child::with_tmpfs(&mut command, place.path(), options, false) {
            return child::skip("full filesystem: mounting a tmpfs of our own is not allowed here");
        }
        child::run(&mut command);
    }
}

#[test]
fn a_file_size_limit_is_an_error_and_no_signal() {
    const NAME: &str = "a_file_size_limit_is_an_error_and_no_signal";
    let Some(_) = child::role() else {
        let place = Place::new();
        return child::run(&mut child::command(NAME, "limited", place.path()));
    };
    let domain = Domain::open_with(options_in(&child::directory())).unwrap();
    let mut publisher = domain.publisher("t", &small_ring(Overflow::Block)).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 100_000, libc::RLIM_INFINITY).unwrap();
    expect(publisher.publish(&[0; 200_000]), ErrorKind::LimitReached, &["topic 't'", "ulimit -f"]);
    let region = RegionOptions { size: Some(200_000), ..Default::default() };
    expect(domain.region("r", &region), ErrorKind::LimitReached, &["region 'r'", "ulimit -f"]);
    expect(Region::sealed(&[0; 200_000]), ErrorKind::LimitReached, &["sealed region", "ulimit -f"]);
    publisher.publish(&[0; 2000]).unwrap();
}

// ---- no descriptors left

/// Every descriptor of this process but a few.
struct Starved {
    _taken: Vec<OwnedFd>,
}

fn starve(free: usize) -> Starved {
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file.into());
    }
    assert!(taken.len() > free);
    taken.truncate(taken.len() - free);
    Starved { _taken: taken }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs something with no descriptor free, then with one more each time, until it succeeds: it must have
/// failed by name before, and left everything as it was. Returns how many it needed.
fn starve_until<T>(name: &str, directory: &Path, mut run: impl FnMut() -> Result<T>) -> (usize, T) {
    let before = (files_in(directory), open_descriptors());
    for free in 0..50 {
        let starved = starve(free);
        let result = run();
        drop(starved);
        match result {
            Ok(done) => return (free, done),
            Err(e) => {
                let error = expect::<()>(Err(e), ErrorKind::LimitReached, &[name, "ulimit -n"]);
                assert_eq!((files_in(directory), open_descriptors()), before, "{free} free: {error}");
            }
        }
    }
    panic!("{name} never succeeds");
}

fn play_no_descriptors(directory: &Path) {
    setrlimit(Resource::RLIMIT_NOFILE, 200, hard_descriptors()).unwrap();
    let options = options_in(directory);
    let (needed, domain) = starve_until("domain 'test'", directory, || Domain::open_with(options.clone()));
    assert!(needed > 0);
    for (name, run) in openings(&domain) {
        let (needed, made) = starve_until(name, directory, run);
        assert!(needed > 0, "{name} needs none");
        drop(made);
    }
    starve_until("sealed region", directory, || Region::sealed(b"x"));
    starve_until("descriptor", directory, WaitSet::new);
    let mut set = WaitSet::new().unwrap();
    starve_until("timer", directory, || set.add_timer(Duration::from_secs(1), 1));
    starved_topic(directory, &domain);
    starved_ring(directory, &domain);
    starved_datagrams(directory, &domain);
    starved_farewells(directory, &domain);
    drop(domain);
    assert_eq!(files_in(directory), Vec::<PathBuf>::new());
}

/// Publishing to a subscriber that is new, receiving from a publisher that is: with every lack of descriptors
/// nothing is lost.
fn starved_topic(directory: &Path, domain: &Domain) {
    for size in [100, 10_000] {
        let data = vec![1; size];
        let mut publisher = domain.publisher("t", &small_ring(Overflow::Block)).unwrap();
        let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
        let (needed, ()) = starve_until("topic 't'", directory, || publisher.publish(&data));
        assert!(needed > 0);
        publisher.publish(&data).unwrap();
        assert_eq!((publisher.stats().published, subscriber.receive(SECOND).unwrap().sequence()), (2, 0));
        assert_eq!((subscriber.receive(SECOND).unwrap().sequence(), subscriber.missed()), (1, 0));
        drop(publisher);

        let mut late = domain.publisher("t", &small_ring(Overflow::Block)).unwrap();
        for _ in 0..5 {
            late.publish(&data).unwrap();
        }
        let (needed, first) = starve_until("'t'", directory, || subscriber.borrow(SECOND));
        assert!(needed > 0);
        assert_eq!((first.sequence(), first.len()), (0, size));
        let _none = starve(0);
        for i in 1..5 {
            assert_eq!((subscriber.receive(SECOND).unwrap().sequence(), subscriber.missed()), (i, 0));
        }
    }
}

/// The two ends of a ring find each other late.
fn starved_ring(directory: &Path, domain: &Domain) {
    let mut producer = domain.ring_producer("r", &little_ring()).unwrap();
    producer.push(b"before", None).unwrap();
    let mut consumer = domain.ring_consumer("r", &little_ring()).unwrap();
    starve_until("ring 'r'", directory, || producer.try_push(b"after"));
    let _none = starve(0);
    for word in [b"before".as_slice(), b"after"] {
        assert_eq!(consumer.pop(SECOND).unwrap(), word);
    }
    producer.push(b"still", None).unwrap();
    assert_eq!(consumer.pop(SECOND).unwrap(), b"still");
    consumer.release().unwrap();
}

/// Whoever a listener for datagrams has no descriptors for stays in the line, with what it has sent.
fn starved_datagrams(directory: &Path, domain: &Domain) {
    let listener = domain.listen("udp://127.0.0.1:0", &ChannelOptions::default()).unwrap();
    let to = listener.address().strip_prefix("udp://").unwrap();
    let senders = [1, 2].map(|number| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[number], to).unwrap();
        socket
    });
    let first = listener.accept(SECOND).unwrap();
    let (needed, second) = starve_until("listener 'udp:", directory, || listener.try_accept());
    assert!(needed > 0);
    let second = second.expect("it is in the line");
    for (channel, number) in [(&first, 1), (&second, 2)] {
        assert_eq!(channel.receive(SECOND).unwrap().data, [number]);
    }
    drop(senders);
}

/// Closing with nothing left to open files with loses nothing that somebody is owed, and wakes who waits.
fn starved_farewells(directory: &Path, domain: &Domain) {
    let mut subscriber = domain.subscriber("bye", &SubscriberOptions::default()).unwrap();
    for free in 0..8 {
        let mut publisher = domain.publisher("bye", &small_ring(Overflow::Block)).unwrap();
        publisher.publish(b"last words").unwrap();
        publisher.publish(&[9; 9000]).unwrap();
        let none = starve(free);
        drop(publisher);
        drop(none);
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), b"last words");
        assert_eq!(subscriber.receive(SECOND).unwrap().data(), [9; 9000]);
    }

    let mut publisher = domain.publisher("bye", &small_ring(Overflow::Block)).unwrap();
    while publisher.try_send(&Payload::raw(&[0; 2000])).is_ok() {}
    subscriber.receive(SECOND).unwrap();
    while publisher.try_send(&Payload::raw(&[0; 2000])).is_ok() {}
    let blocked = std::thread::spawn(move || {
        let sent = publisher.send(&Payload::raw(&[0; 2000]), Some(Duration::from_secs(10)));
        (sent.map_err(|e| e.kind()), publisher)
    });
    std::thread::sleep(Duration::from_millis(100));
    let none = starve(0);
    drop(subscriber);
    let (sent, publisher) = blocked.join().unwrap();
    drop(none);
    // It woke up, and either needed to look who is left or not.
    assert!(matches!(sent, Ok(()) | Err(ErrorKind::LimitReached)), "{sent:?}");
    drop(publisher);
    // Two makers and a finder: whatever could not be looked at is collected by the next that can.
    drop(domain.subscriber("bye", &SubscriberOptions::default()).unwrap());
    assert_eq!(files_in(directory).len(), 1, "{:?}", files_in(directory));
}

#[test]
fn no_descriptors_left_loses_nothing() {
    const NAME: &str = "no_descriptors_left_loses_nothing";
    match child::role() {
        Some(_) => play_no_descriptors(&child::directory()),
        None => {
            let place = Place::new();
            child::run(&mut child::command(NAME, "starved", place.path()));
        }
    }
}

// ---- counts and sizes

#[test]
fn a_full_table_of_participants_is_told_and_heals() {
    let place = Place::new();
    let options = DomainOptions { max_participants: Some(2), ..place.options() };
    let one = Domain::open_with(options.clone()).unwrap();
    let two = Domain::open_with(options.clone()).unwrap();
    let words = ["domain 'test'", "all 2", "max_participants"];
    expect(Domain::open_with(options.clone()), ErrorKind::LimitReached, &words);
    // An existing domain keeps its own number.
    expect(Domain::open_with(place.options()), ErrorKind::LimitReached, &words);
    assert_eq!(snapshot(&options).unwrap().participants.len(), 2);
    assert!(
        doctor(&options, true).unwrap().iter().any(|f| f.what.contains("all 2")),
        "doctor names the full table"
    );
    drop(one);
    let again = Domain::open_with(options.clone()).unwrap();
    assert_eq!((again.participant().slot, again.participant().epoch), (0, 2));
    drop((two, again));
    for bad in [0, 4097, u32::MAX] {
        let options = DomainOptions { max_participants: Some(bad), ..place.options() };
        expect(
            Domain::open_with(options),
            ErrorKind::InvalidArgument,
            &["domain 'test'", "max_participants", "1 to 4096"],
        );
    }
}

#[test]
fn sizes_and_counts_have_named_limits() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber =
        domain.subscriber("t", &SubscriberOptions { max_borrowed: 2, ..Default::default() }).unwrap();
    let mut publisher = domain.publisher("t", &small_ring(Overflow::Block)).unwrap();
    for max_borrowed in [0, 1025] {
        let options = SubscriberOptions { max_borrowed, ..Default::default() };
        expect(domain.subscriber("t", &options), ErrorKind::InvalidArgument, &["max_borrowed", "1 to 1024"]);
    }
    expect(
        publisher.publish(&vec![0; (512 << 10) + 1]),
        ErrorKind::TooLarge,
        &["topic 't'", "max_bytes", "524288"],
    );
    expect(publisher.loan((512 << 10) + 1, None), ErrorKind::TooLarge, &["topic 't'", "max_bytes"]);
    let many = vec![Payload::raw(&[0; 1000]); 100];
    expect(publisher.publish_many(&many, None), ErrorKind::TooLarge, &["topic 't'", "capacity", "65536"]);
    let mut attributes = Attributes::new();
    attributes.insert("big", &"x".repeat(4096)).unwrap();
    let payload = Payload::raw(b"x").with_attributes(&attributes);
    expect(
        publisher.send(&payload, None),
        ErrorKind::TooLarge,
        &["topic 't'", "attributes", "4096", "payload"],
    );
    let huge = PublisherOptions { capacity: (1 << 30) + 1, ..Default::default() };
    expect(
        domain.publisher("u", &huge),
        ErrorKind::InvalidArgument,
        &["topic 'u'", "capacity", "1073741824"],
    );
    assert_eq!(publisher.stats().published, 0);
    for _ in 0..3 {
        publisher.publish(&[0; 5000]).unwrap();
    }
    let held = [subscriber.borrow(SECOND).unwrap(), subscriber.borrow(SECOND).unwrap()];
    expect(
        subscriber.borrow(SECOND),
        ErrorKind::LimitReached,
        &["subscriber 't'", "2 samples", "max_borrowed", "release"],
    );
    // Only borrowing is limited, and nothing was lost by trying.
    assert_eq!(subscriber.receive(SECOND).unwrap().sequence(), 2);
    drop(held);
    expect(subscriber.receive(SOON), ErrorKind::Timeout, &["subscriber 't'", "no message"]);
    let mut ring = domain.ring_producer("r", &little_ring()).unwrap();
    expect(ring.try_push(&vec![0; 1 << 20]), ErrorKind::TooLarge, &["ring 'r'", "capacity"]);
    let huge = RingOptions { capacity: usize::MAX, ..Default::default() };
    expect(domain.ring_consumer("s", &huge), ErrorKind::InvalidArgument, &["ring 's'", "capacity", "limit"]);
    for size in [None, Some(0), Some(usize::MAX)] {
        let options = RegionOptions { size, ..Default::default() };
        expect(domain.region("r", &options), ErrorKind::InvalidArgument, &["region 'r'", "size"]);
    }
    expect(
        domain.region("r", &RegionOptions { size: Some(1 << 50), ..Default::default() }),
        ErrorKind::NoSpace,
        &["region 'r'", "full"],
    );
}

#[test]
fn a_subscriber_follows_a_thousand_publishers_and_says_so() {
    const MOST: usize = 1024;
    if setrlimit(Resource::RLIMIT_NOFILE, 8000, hard_descriptors()).is_err() {
        return child::skip("a thousand publishers: this user may not have 8000 descriptors");
    }
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("many.>", &SubscriberOptions::default()).unwrap();
    let open = |i: usize| domain.publisher(&format!("many.{i}"), &small_ring(Overflow::Block)).unwrap();
    let mut publishers: Vec<Publisher> = (0..MOST).map(open).collect();
    assert_eq!(subscriber.publishers(), MOST);
    publishers.push(open(MOST));
    publishers.iter_mut().for_each(|publisher| publisher.publish(b"x").unwrap());
    expect(
        subscriber.receive(SECOND),
        ErrorKind::LimitReached,
        &["subscriber 'many.>'", "1024 publishers", "narrower"],
    );
    // Told once; all others are read, and the one too many as soon as there is a place for it.
    for _ in 0..MOST {
        subscriber.receive(SECOND).unwrap();
    }
    assert!(subscriber.try_receive().unwrap().is_none());
    drop(publishers.remove(0));
    assert_eq!(subscriber.receive(SECOND).unwrap().topic(), "many.1024");
    assert_eq!((subscriber.missed(), subscriber.stats().received), (0, MOST as u64 + 1));
}

fn hard_descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).unwrap().1
}
