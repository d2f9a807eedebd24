//! What is special to channels within a process.

mod common;

use axonic::{ChannelOptions, Domain, DomainOptions, ErrorKind};
use common::{Place, expect};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_secs(20));

fn options() -> ChannelOptions {
    ChannelOptions::default()
}

/// The same name in another domain is another place.
#[test]
fn a_name_belongs_to_its_domain() {
    let place = Place::new();
    let ours = place.open();
    let theirs = Domain::open_with(DomainOptions { name: Some("other".into()), ..place.options() }).unwrap();
    let listener = ours.listen("inproc://a", &options()).unwrap();
    expect(
        theirs.connect("inproc://a", &options(), SOON),
        ErrorKind::NotFound,
        &["inproc://a", "nobody listens"],
    );
    let also = theirs.listen("inproc://a", &options()).unwrap();
    let channel = theirs.connect("inproc://a", &options(), SOON).unwrap();
    assert!(listener.try_accept().unwrap().is_none());
    also.accept(SOON).unwrap().send(b"theirs", SOON).unwrap();
    assert_eq!(channel.receive(SOON).unwrap().data, b"theirs");
    expect(ours.listen("inproc://a/b c", &options()), ErrorKind::InvalidName, &["a/b c"]);
}

/// Channels are open before they are accepted, and messages wait in them.
#[test]
fn who_is_not_accepted_yet_can_send_already() {
    let place = Place::new();
    let domain = place.open();
    let listener = domain.listen("inproc://a", &options()).unwrap();
    let waiting: Vec<_> = (0..128).map(|_| domain.connect("inproc://a", &options(), SOON).unwrap()).collect();
    waiting[0].send(b"first", SOON).unwrap();
    let soon = Some(Duration::from_millis(60));
    expect(domain.connect("inproc://a", &options(), soon), ErrorKind::Timeout, &["128 channels wait"]);
    assert_eq!(listener.accept(SOON).unwrap().receive(SOON).unwrap().data, b"first");
    drop(domain.connect("inproc://a", &options(), SOON).unwrap());
    // Who was never accepted hears of the listener's end.
    listener.close();
    expect(waiting[5].receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
    expect(waiting[5].send(b"", SOON), ErrorKind::Disconnected, &["connect anew"]);
}

/// Descriptors are passed as over a socket: the receiver has copies of its own.
#[test]
fn descriptors_are_copied() {
    let place = Place::new();
    let domain = place.open();
    let listener = domain.listen("inproc://a", &options()).unwrap();
    let one = domain.connect("inproc://a", &options(), SOON).unwrap();
    let other = listener.accept(SOON).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    one.send_descriptors(b"pipe", &[writer.as_fd()], SOON).unwrap();
    drop(writer);
    let message = other.receive(SOON).unwrap();
    assert_eq!((message.data.as_slice(), message.descriptors.len()), (&b"pipe"[..], 1));
    std::fs::File::from(message.descriptors.into_iter().next().unwrap()).write_all(b"through").unwrap();
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, "through");
}

/// A large message goes alone, and what waits is bounded in bytes too.
#[test]
fn what_waits_is_bounded() {
    let place = Place::new();
    let domain = place.open();
    let listener = domain.listen("inproc://a", &options()).unwrap();
    let one = domain.connect("inproc://a", &options(), SOON).unwrap();
    let other = listener.accept(SOON).unwrap();
    one.try_send(&vec![1; 8 << 20]).unwrap();
    expect(one.try_send(b""), ErrorKind::WouldBlock, &["no room"]);
    assert_eq!(other.receive(SOON).unwrap().data.len(), 8 << 20);
    let sent = (0..).find(|_| one.try_send(&[0; 100_000]).is_err()).unwrap();
    assert_eq!(sent, 10, "a MiB is on its way at most");
    (0..sent).for_each(|_| assert_eq!(other.receive(SOON).unwrap().data.len(), 100_000));
    assert_eq!((0..).find(|_| one.try_send(b"").is_err()).unwrap(), 256);
}
