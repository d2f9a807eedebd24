//! Where a domain may live and under which names: everything that cannot be trusted or cannot work is
//! refused by name, and nothing is made.

mod common;

use axonic::*;
use common::{Place, child, expect, files_in, options_in};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const REMEDY: &str = "AXONIC_RUNTIME_DIR";

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Opening in `directory` fails like this and leaves `untouched` as empty as it was.
#[track_caller]
fn refused(directory: &Path, kind: ErrorKind, words: &[&str], untouched: &Path) {
    let before = listing(untouched);
    expect(Domain::open_with(options_in(directory)), kind, &[words, &["domain 'test'"]].concat());
    assert_eq!(listing(untouched), before);
}

/// Everything below a directory, directories included.
fn listing(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|e| e.path()).collect();
    found.sort();
    found
        .iter()
        .flat_map(|path| {
            [vec![path.clone()], if path.is_symlink() { vec![] } else { listing(path) }].concat()
        })
        .collect()
}

/// Removes what a test put into a place on purpose.
fn clear(place: &Place) {
    for entry in std::fs::read_dir(place.path()).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap()
        } else {
            std::fs::remove_file(entry.path()).unwrap()
        }
    }
}

#[test]
fn a_runtime_directory_must_exist_and_be_one() {
    let place = Place::new();
    let missing = place.path().join("missing");
    let started = Instant::now();
    refused(&missing, ErrorKind::NotFound, &["does not exist", REMEDY, "mkdir"], place.path());
    assert!(started.elapsed() < Duration::from_millis(100), "it was waited for");
    let (file, link) = (place.path().join("file"), place.path().join("link"));
    std::fs::write(&file, b"").unwrap();
    refused(&file, ErrorKind::PermissionDenied, &["not a directory", REMEDY], place.path());
    std::fs::create_dir(place.path().join("real")).unwrap();
    symlink(place.path().join("real"), &link).unwrap();
    refused(&link, ErrorKind::PermissionDenied, &["link", REMEDY], place.path());
    refused(Path::new("/proc"), ErrorKind::PermissionDenied, &["tmpfs", REMEDY], place.path());
    clear(&place);
}

#[test]
fn a_path_that_cannot_be_one_is_an_invalid_argument() {
    for bad in [
        "relative",
        "",
        "/dev/shm/with\0nul",
        &format!("/dev/shm/{}", "x".repeat(100_000)),
        &format!("/dev/shm{}", "/y".repeat(4000)),
    ] {
        let error = expect(Domain::open_with(options_in(Path::new(bad))), ErrorKind::InvalidArgument, &[]);
        assert!(error.message().contains("AXONIC_RUNTIME_DIR"), "{error:.300}");
        assert!(snapshot(&options_in(Path::new(bad))).is_err());
    }
    const NAME: &str = "a_path_that_cannot_be_one_is_an_invalid_argument";
    if child::role().is_some() {
        expect(Domain::open("test"), ErrorKind::InvalidArgument, &["relative/path", "absolute", REMEDY]);
        expect(runtime_dir(), ErrorKind::InvalidArgument, &["relative/path", "absolute", REMEDY]);
        expect(Domain::open_default(), ErrorKind::InvalidName, &["domain name", "a/b"]);
        return;
    }
    let place = Place::new();
    child::run(
        child::command(NAME, "relative", place.path())
            .env("AXONIC_RUNTIME_DIR", "relative/path")
            .env("AXONIC_DOMAIN", "a/b"),
    );
}

#[test]
fn a_directory_that_others_could_swap_is_refused() {
    let place = Place::new();
    let base = place.path().join("base");
    std::fs::create_dir(&base).unwrap();
    mode(&base, 0o777);
    refused(&base, ErrorKind::PermissionDenied, &["others may replace", "777", REMEDY], place.path());
    // With the sticky bit, as /dev/shm itself has it, nobody can replace what is ours.
    mode(&base, 0o1777);
    drop(Domain::open_with(options_in(&base)).unwrap());
    // Somebody was there first and left the domain's own directory open, or put something else there.
    let domain = base.join("test");
    std::fs::create_dir(&domain).unwrap();
    mode(&domain, 0o722);
    refused(&base, ErrorKind::PermissionDenied, &["others may write", "722", REMEDY], place.path());
    std::fs::remove_dir(&domain).unwrap();
    symlink(place.path(), &domain).unwrap();
    refused(&base, ErrorKind::PermissionDenied, &["link", REMEDY], place.path());
    std::fs::remove_file(&domain).unwrap();
    std::fs::write(&domain, b"").unwrap();
    refused(&base, ErrorKind::PermissionDenied, &["file", REMEDY], place.path());
    std::fs::remove_file(&domain).unwrap();
    if is_root() {
        std::fs::create_dir(&domain).unwrap();
        chown(&domain, Some(4242), None).unwrap();
        refused(&base, ErrorKind::PermissionDenied, &["user 4242", "mode and group", REMEDY], place.path());
        chown(&base, Some(4242), None).unwrap();
        refused(&base, ErrorKind::PermissionDenied, &["user 4242", REMEDY], place.path());
    } else {
        child::skip("directories of another user: only root can make them");
    }
    clear(&place);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    const NAME: &str = "a_directory_that_cannot_be_written_is_refused";
    match child::role().as_deref() {
        Some("read-only filesystem") => {
            return refused(
                &child::directory(),
                ErrorKind::PermissionDenied,
                &["read-only", REMEDY],
                &child::directory(),
            );
        }
        Some(_) => {
            return refused(
                &child::directory(),
                ErrorKind::PermissionDenied,
                &["owner and mode", REMEDY],
                &child::directory(),
            );
        }
        None => {}
    }
    let place = Place::new();
    let mut command = child::command(NAME, "read-only filesystem", place.path());
    match child::with_tmpfs(&mut command, place.path(), "size=1m", true) {
        true => child::run(&mut command),
        false => child::skip("read-only filesystem: mounting a tmpfs of our own is not allowed here"),
    }
    // A directory without the right to write, for a user whom rights bind.
    let mut command = child::command(NAME, "read-only directory", place.path());
    if is_root() {
        chown(place.path(), Some(4242), Some(4242)).unwrap();
        as_user(&mut command, 4242, &[4242]);
    }
    mode(place.path(), 0o500);
    child::run(&mut command);
}

#[test]
fn names_are_refused_for_every_noun() {
    let place = Place::new();
    let domain = place.open();
    let before = listing(place.path());
    let long = "x".repeat(100_000);
    for bad in ["", ".", "..", "a/b", "/", "../../etc/passwd", "a\0b", "a b", "a\nb", "a..b", long.as_str()] {
        let all = |result: Result<()>, noun: &str| {
            let error = expect(result, ErrorKind::InvalidName, &[noun, "not valid", "1 to 200 bytes"]);
            assert!(error.message().len() < 500, "the name is cut");
        };
        all(
            Domain::open_with(DomainOptions { name: Some(bad.into()), ..place.options() }).map(drop),
            "domain",
        );
        all(snapshot(&DomainOptions { name: Some(bad.into()), ..place.options() }).map(drop), "domain");
        all(domain.publisher(bad, &PublisherOptions::default()).map(drop), "topic");
        all(domain.subscriber(bad, &SubscriberOptions::default()).map(drop), "pattern");
        all(domain.region(bad, &RegionOptions { size: Some(1), ..Default::default() }).map(drop), "region");
        all(domain.ring_producer(bad, &RingOptions::default()).map(drop), "ring");
        all(domain.ring_consumer(bad, &RingOptions::default()).map(drop), "ring");
        for (noun, name) in [(Noun::Topic, "topic"), (Noun::Region, "region"), (Noun::Ring, "ring")] {
            all(domain.unlink(noun, bad), name);
        }
    }
    expect(
        domain.publisher("a.*", &PublisherOptions::default()),
        ErrorKind::InvalidName,
        &["topic", "wildcard"],
    );
    expect(
        domain.subscriber(">.a", &SubscriberOptions::default()),
        ErrorKind::InvalidName,
        &["pattern", "last token"],
    );
    for (noun, name) in [(Noun::Topic, "topic"), (Noun::Region, "region"), (Noun::Ring, "ring")] {
        expect(domain.unlink(noun, "none"), ErrorKind::NotFound, &[name, "'none'", "'test'", "axonic ls"]);
    }
    expect(
        snapshot(&DomainOptions { name: Some("nowhere".into()), ..place.options() }),
        ErrorKind::NotFound,
        &["'nowhere'", "nobody has it open"],
    );
    assert_eq!(listing(place.path()), before);
    // Two hundred bytes are allowed, of any script.
    let name = "ü".repeat(100);
    let all = DomainOptions { name: Some(name.clone()), ..place.options() };
    let domain = Domain::open_with(all).unwrap();
    let _handles = (
        domain.publisher(&name, &PublisherOptions::default()).unwrap(),
        domain.subscriber(&name, &SubscriberOptions::default()).unwrap(),
        domain.ring_producer(&name, &RingOptions::default()).unwrap(),
        domain.region(&name, &RegionOptions { size: Some(1), ..Default::default() }).unwrap(),
    );
    domain.unlink(Noun::Region, &name).unwrap();
}

// ---- domains for others

fn for_others(directory: &Path, mode: u32, group: Option<u32>) -> DomainOptions {
    DomainOptions { mode: Some(mode), group, ..options_in(directory) }
}

#[test]
fn modes_and_groups_that_make_no_sense_are_refused() {
    let place = Place::new();
    for mode in [0o640, 0o644, 0o700, 0o060, 0o777, 0o1666, 0] {
        expect(
            Domain::open_with(for_others(place.path(), mode, None)),
            ErrorKind::InvalidArgument,
            &["'test'", "600", "660", "666"],
        );
    }
    expect(
        Domain::open_with(for_others(place.path(), 0o600, Some(1))),
        ErrorKind::InvalidArgument,
        &["'test'", "660"],
    );
    let own = DomainOptions { runtime_dir: None, mode: Some(0o660), ..place.options() };
    if std::env::var_os("AXONIC_RUNTIME_DIR").is_none() {
        expect(Domain::open_with(own), ErrorKind::InvalidArgument, &["runtime_dir", REMEDY]);
    }
    assert_eq!(listing(place.path()), Vec::<PathBuf>::new());
    // What exists keeps its mode and group; who asks for others is told.
    let domain = Domain::open_with(for_others(place.path(), 0o660, None)).unwrap();
    let _publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    expect(
        Domain::open_with(for_others(place.path(), 0o666, None)),
        ErrorKind::InvalidArgument,
        &["'test'", "mode 660", "remove it first"],
    );
    expect(
        Domain::open_with(for_others(place.path(), 0o600, None)),
        ErrorKind::PermissionDenied,
        &["'test'", "770"],
    );
    expect(
        Domain::open_with(for_others(place.path(), 0o660, Some(77))),
        ErrorKind::InvalidArgument,
        &["'test'", "group"],
    );
    // Who does not say, and owns it, makes files the others can use.
    let plain = place.open();
    let _subscriber = plain.subscriber("t", &SubscriberOptions::default()).unwrap();
    for file in files_in(place.path()) {
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o660, "{file:?}");
    }
}

/// Runs a command as another user.
fn as_user(command: &mut std::process::Command, user: u32, groups: &[u32]) {
    let groups: Vec<nix::libc::gid_t> = groups.to_vec();
    let drop_root = move || {
        // SAFETY: system calls on numbers and on a vector made before the fork.
        let done = unsafe {
            nix::libc::setgroups(groups.len(), groups.as_ptr()) == 0
                && nix::libc::setgid(user) == 0
                && nix::libc::setuid(user) == 0
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: as above, between fork and exec.
    unsafe { command.pre_exec(drop_root) };
}

/// The other member of the group: everything in both directions, then leaves the other's files to be swept.
fn play_member(directory: &Path) {
    let domain = Domain::open_with(for_others(directory, 0o660, Some(4000))).unwrap();
    let mut subscriber = domain.subscriber("there", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain
        .publisher("back", &PublisherOptions { overflow: Overflow::Block, ..Default::default() })
        .unwrap();
    publisher.wait_for_subscribers(1, SECOND).unwrap();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    let region = domain.region("memory", &RegionOptions::default()).unwrap();
    for i in 0..200u32 {
        let message = subscriber.receive(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(message.missed(), 0);
        let data = message.data().to_vec();
        publisher.send(&Payload::raw(&data), SECOND).unwrap();
        producer.push(&data, SECOND).unwrap();
        region.write(0, &i.to_le_bytes()).unwrap();
    }
    // A user outside the group gets nothing, by name; so does a member who does not say that he is one.
    expect(
        Domain::open_with(options_in(directory)),
        ErrorKind::PermissionDenied,
        &["user 0", "mode and group"],
    );
}

#[test]
fn a_group_shares_a_domain_across_users() {
    const NAME: &str = "a_group_shares_a_domain_across_users";
    match child::role().as_deref() {
        Some("member") => return play_member(&child::directory()),
        Some(_) => {
            let error = Domain::open_with(for_others(&child::directory(), 0o660, Some(4000))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            return;
        }
        None if !is_root() => return child::skip("a domain of a group: only root can become a second user"),
        None => {}
    }
    let place = Place::new();
    mode(place.path(), 0o711);
    let outsider = Domain::open_with(for_others(place.path(), 0o660, Some(4000))).unwrap();
    let mut command = child::command(NAME, "outsider", place.path());
    as_user(&mut command, 4243, &[4243]);
    child::run(&mut command);
    drop(outsider);

    let domain = Domain::open_with(for_others(place.path(), 0o660, Some(4000))).unwrap();
    let mut publisher = domain
        .publisher("there", &PublisherOptions { overflow: Overflow::Block, ..Default::default() })
        .unwrap();
    let mut subscriber = domain.subscriber("back", &SubscriberOptions::default()).unwrap();
    let mut consumer = domain.ring_consumer("r", &RingOptions::default()).unwrap();
    let region = domain.region("memory", &RegionOptions { size: Some(100), ..Default::default() }).unwrap();
    let mut command = child::command(NAME, "member", place.path());
    as_user(&mut command, 4242, &[4000]);
    let member = std::thread::spawn(move || child::run(&mut command));
    publisher.wait_for_subscribers(1, Some(Duration::from_secs(10))).unwrap();
    for i in 0..200usize {
        let data = vec![i as u8; i * 40];
        publisher.send(&Payload::raw(&data), SECOND).unwrap();
        assert!(subscriber.receive(SECOND).unwrap().data() == data);
        assert!(consumer.pop(SECOND).unwrap() == data);
    }
    consumer.release().unwrap();
    member.join().unwrap();
    let mut last = [0; 4];
    region.read(0, &mut last).unwrap();
    assert_eq!(u32::from_le_bytes(last), 199);
    for file in files_in(place.path()) {
        let meta = std::fs::metadata(&file).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.gid()), (0o660, 4000), "{file:?}");
    }
    domain.unlink(Noun::Region, "memory").unwrap();
}

/// Without a runtime directory of one's choice: one of this user's own on /dev/shm, made and removed by the library.
#[test]
fn a_users_own_directory_comes_and_goes_and_is_not_shared() {
    const NAME: &str = "a_users_own_directory_comes_and_goes_and_is_not_shared";
    let Some(_) = child::role() else {
        let mut command = child::command(NAME, "own", Path::new("/dev/shm"));
        command.env_remove("AXONIC_RUNTIME_DIR").env_remove("AXONIC_DOMAIN");
        return match child::with_tmpfs(&mut command, Path::new("/dev/shm"), "size=4m,mode=1777", false) {
            true => child::run(&mut command),
            false => child::skip("a user's own directory: mounting a tmpfs of our own is not allowed here"),
        };
    };
    let own = runtime_dir().unwrap();
    assert_eq!(own, Path::new(&format!("/dev/shm/axonic-{}", nix::unistd::geteuid())));
    let (one, two) = (Domain::open("one").unwrap(), Domain::open_default().unwrap());
    assert_eq!(std::fs::metadata(&own).unwrap().mode() & 0o777, 0o700);
    assert_eq!((two.name(), two.path()), ("default", own.join("default").as_path()));
    assert_eq!(domains().unwrap(), ["default", "one"]);
    drop(one);
    assert_eq!(domains().unwrap(), ["default"]);
    drop(two);
    assert_eq!(listing(Path::new("/dev/shm")), Vec::<PathBuf>::new());

    let squatted = |words: &[&str]| {
        let before = listing(Path::new("/dev/shm"));
        expect(
            Domain::open("one"),
            ErrorKind::PermissionDenied,
            &[words, &["domain 'one'", REMEDY]].concat(),
        );
        assert_eq!(listing(Path::new("/dev/shm")), before);
    };
    std::fs::create_dir("/dev/shm/elsewhere").unwrap();
    symlink("/dev/shm/elsewhere", &own).unwrap();
    squatted(&["link"]);
    std::fs::remove_file(&own).unwrap();
    std::fs::create_dir(&own).unwrap();
    mode(&own, 0o770);
    squatted(&["others", "770"]);
    mode(&own, 0o700);
    if chown(&own, Some(4242), None).is_ok() {
        squatted(&["user 4242"]);
    } else {
        child::skip("a user's own directory taken by another: only root can make that");
    }
}
