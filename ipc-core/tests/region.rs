//! Regions, wait sets and what one sees from outside.

mod common;

use axonic::*;
use common::Place;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

#[test]
fn a_region_is_the_same_memory_for_everyone() {
    let place = Place::new();
    let domain = place.open();
    let missing =
        domain.region("r", &RegionOptions { create: Create::Open, ..Default::default() }).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(domain.region("r", &RegionOptions::default()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let one = domain.region("r", &RegionOptions { size: Some(1000), ..Default::default() }).unwrap();
    let other = place.open().region("r", &RegionOptions::default()).unwrap();
    assert!(one.is_created() && !other.is_created() && other.len() == 1000);
    one.write(10, b"hello").unwrap();
    let mut bytes = [0; 5];
    other.read(10, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(one.write(996, b"hello").unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(one.write(usize::MAX, b"x").unwrap_err().kind(), ErrorKind::InvalidArgument);
    let wrong = domain.region("r", &RegionOptions { size: Some(5), ..Default::default() }).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidArgument);
    let again =
        domain.region("r", &RegionOptions { size: Some(1000), create: Create::CreateNew }).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    domain.unlink(Noun::Region, "r").unwrap();
    assert_eq!(domain.unlink(Noun::Region, "r").unwrap_err().kind(), ErrorKind::NotFound);
    one.write(0, b"still mapped").unwrap();
}

#[test]
fn sealed_memory_cannot_change() {
    let sealed = Region::sealed(b"immutable").unwrap();
    assert!(!sealed.writable());
    assert_eq!(sealed.write(0, b"x").unwrap_err().kind(), ErrorKind::PermissionDenied);
    // SAFETY: a fresh duplicate owned by nobody else.
    let duplicate = unsafe { OwnedFd::from_raw_fd(nix::libc::dup(sealed.fd().unwrap())) };
    let received = Region::from_fd(duplicate).unwrap();
    let mut bytes = [0; 9];
    received.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"immutable");
    let plain = tempfile::tempfile_in("/dev/shm").unwrap();
    plain.set_len(4096).unwrap();
    assert_eq!(Region::from_fd(plain.into()).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_wait_set_waits_for_everything() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut set = WaitSet::new().unwrap();
    set.add_subscriber(&mut subscriber, 1).unwrap();
    set.add_fd(std::os::fd::AsRawFd::as_raw_fd(&reader), 2).unwrap();
    assert_eq!(set.add_fd(0, 2).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(set.wait(None).unwrap(), [1]);
    assert!(subscriber.try_receive().unwrap().is_none());
    assert!(set.wait(Some(Duration::from_millis(5))).unwrap().is_empty());
    publisher.publish(b"x").unwrap();
    assert_eq!(set.wait(None).unwrap(), [1]);
    subscriber.try_receive().unwrap().unwrap();
    assert!(subscriber.try_receive().unwrap().is_none());
    nix::unistd::write(&writer, b"x").unwrap();
    assert_eq!(set.wait(None).unwrap(), [2]);
    assert!(set.remove(2) && !set.remove(2));
    set.add_timer(Duration::from_millis(5), 3).unwrap();
    assert_eq!(set.wait(None).unwrap(), [3]);
    assert!(set.wait(Some(Duration::ZERO)).unwrap().is_empty());
}

#[test]
fn everything_is_seen_from_outside() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t.*", &SubscriberOptions::default()).unwrap();
    let mut publisher = domain.publisher("t.a", &PublisherOptions::default()).unwrap();
    let _region = domain.region("r", &RegionOptions { size: Some(100), ..Default::default() }).unwrap();
    let _producer = domain.ring_producer("q", &RingOptions::default()).unwrap();
    publisher.publish(&[0; 5000]).unwrap();
    publisher.publish(b"x").unwrap();
    let sample = subscriber.borrow(None).unwrap();
    let seen = snapshot(&place.options()).unwrap();
    assert_eq!((seen.participants.len(), seen.publishers.len(), seen.subscribers.len()), (1, 1, 1));
    let (p, s) = (&seen.publishers[0], &seen.subscribers[0]);
    assert!(p.alive && s.alive && !p.orphan && seen.participants[0].alive);
    assert_eq!((p.published, p.bytes, p.topic.as_str()), (2, 5001, "t.a"));
    assert_eq!((s.received, s.missed, s.pinned, s.rings), (1, 0, 1, 1));
    assert_eq!((s.lag.len(), s.lag[0].publisher, s.pins[0].publisher), (1, p.id, p.id));
    assert_eq!((s.lag[0].messages, seen.regions[0].size), (1, 100));
    assert_eq!(
        (seen.regions[0].name.as_str(), seen.rings[0].producer, seen.rings[0].consumer),
        ("r", true, false)
    );
    assert!(seen.bytes > 256 << 10);
    let json = serde_json::to_value(&seen).unwrap();
    assert_eq!(json["publishers"][0]["id"], format!("{:016x}", p.id), "JSON numbers would lose digits");
    drop(sample);
    // A subscriber that never came round yet is behind by all there is.
    let _idle = domain.subscriber("u", &SubscriberOptions::default()).unwrap();
    let mut other = domain.publisher("u", &PublisherOptions::default()).unwrap();
    (0..3).for_each(|_| other.publish(b"x").unwrap());
    let idle =
        snapshot(&place.options()).unwrap().subscribers.into_iter().find(|s| s.pattern == "u").unwrap();
    assert_eq!(idle.lag.iter().map(|lag| lag.messages).collect::<Vec<_>>(), [3]);
    assert!(doctor(&place.options(), false).unwrap().is_empty());
    domain.unlink(Noun::Region, "r").unwrap();
    drop(domain);
}
