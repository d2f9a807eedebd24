//! Quotas of a domain and of its participants.

mod common;

use axonic::*;
use common::Place;

#[test]
fn nobody_takes_more_than_the_quotas() {
    let place = Place::new();
    let quotas = DomainOptions { quota: Some(4 << 20), participant_quota: Some(2 << 20), ..place.options() };
    let one = Domain::open_with(quotas).unwrap();
    // The quotas are the domain's: whoever opens it later is under them too.
    let two = place.open();
    let mut publisher = one.publisher("t", &PublisherOptions::default()).unwrap();
    publisher.publish(&[1; 1 << 20]).unwrap();
    let refused = publisher.publish(&[1; 800 << 10]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoSpace);
    assert!(refused.message().contains("participant_quota"), "{refused}");
    publisher.publish(b"small ones still pass").unwrap();
    let size = |bytes| RegionOptions { size: Some(bytes), ..Default::default() };
    let _region = two.region("r", &size(1 << 20)).unwrap();
    let refused = two.region("s", &size(3 << 20)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoSpace);
    assert!(
        refused.message().contains("over its quota") && refused.message().contains("larger quota"),
        "{refused}"
    );
    let refused = two.region("s", &size(1 << 20)).unwrap_err();
    assert!(refused.message().contains("participant_quota"), "{refused}");
    two.unlink(Noun::Region, "r").unwrap();
    two.region("s", &size(1 << 20)).unwrap();
    two.unlink(Noun::Region, "s").unwrap();
}

#[test]
fn a_region_counts_for_its_maker_whatever_it_is_called() {
    let place = Place::new();
    let quotas = DomainOptions { participant_quota: Some(2 << 20), ..place.options() };
    let one = Domain::open_with(quotas).unwrap();
    let two = place.open();
    let size = RegionOptions { size: Some(1 << 20), ..Default::default() };
    // A name of the form of an id of the first participant.
    let ParticipantId { slot, epoch } = one.participant();
    let name = format!("{:016x}", u64::from(slot) << 52 | u64::from(epoch) << 32 | 7);
    let _taken = two.region(&name, &size).unwrap();
    assert_eq!(two.region("s", &size).unwrap_err().kind(), ErrorKind::NoSpace);
    one.region("s", &size).unwrap();
    [name.as_str(), "s"].iter().for_each(|name| one.unlink(Noun::Region, name).unwrap());
}
