//! Listening: who comes, who is refused, and what it costs.

use crate::common::{child, expect, flat, readable, wait_readable};
use crate::ground::{Ground, SOON};
use axonic::{ChannelOptions, ErrorKind};
use std::time::{Duration, Instant};

/// Nobody listens; somebody does already; nobody does any more.
pub fn refusals(ground: &Ground) {
    if !ground.listens() {
        return;
    }
    let options = ChannelOptions::default();
    let listener = ground.listener();
    let address = listener.address().to_string();
    let again = ground.domain.listen(&address, &options);
    expect(again, ErrorKind::Busy, &["close it first"]);
    expect(
        listener.accept(Some(Duration::from_millis(5))),
        ErrorKind::Timeout,
        &["nobody connected", &address],
    );
    assert!(listener.try_accept().unwrap().is_none());
    listener.close();
    expect(listener.accept(SOON), ErrorKind::Closed, &[&address]);
    if address.starts_with("udp:") {
        // That nobody is there shows when something is sent.
        return;
    }
    let started = Instant::now();
    expect(
        ground.domain.connect(&address, &options, SOON),
        ErrorKind::NotFound,
        &[&address, "nobody listens"],
    );
    assert!(started.elapsed() < Duration::from_secs(2), "at once");
    drop(ground.domain.listen(&address, &options).unwrap());
    expect(
        ground.domain.connect(&address, &options, SOON),
        ErrorKind::NotFound,
        &[&address, "nobody listens"],
    );
}

/// The descriptor tells of who comes, and closing ends a wait.
pub fn accepts(ground: &Ground) {
    if !ground.listens() {
        return;
    }
    let listener = ground.listener();
    let fd = listener.fd().unwrap();
    assert!(listener.try_accept().unwrap().is_none() && !readable(fd));
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            let connected = ground.domain.connect(listener.address(), &ChannelOptions::default(), SOON);
            let connected = connected.unwrap();
            connected.send(b"I am here", SOON).unwrap();
            connected
        });
        let accepted = loop {
            assert!(wait_readable(fd, SOON.unwrap()));
            if let Some(accepted) = listener.try_accept().unwrap() {
                break accepted;
            }
        };
        assert_eq!(accepted.receive(SOON).unwrap().data, b"I am here");
        connecting.join().unwrap();
        let waiting = scope.spawn(|| listener.accept(SOON));
        std::thread::sleep(Duration::from_millis(30));
        listener.close();
        expect(waiting.join().unwrap(), ErrorKind::Closed, &[listener.address()]);
    });
}

/// A thousand that come and go cost nothing that stays.
pub fn comings_and_goings(ground: &Ground) {
    if child::role().is_none() {
        return child::run(&mut ground.alone());
    }
    let listener = ground.listens().then(|| ground.listener());
    let options = ChannelOptions::default();
    let come = || match &listener {
        Some(listener) => ground.connect(listener, &options),
        None => ground.pair(),
    };
    let exchange = |count: u32| {
        for i in 0..count {
            let (one, other) = come();
            if i % 2 == 0 {
                one.send(&[1; 1000], SOON).unwrap();
                assert_eq!(other.receive(SOON).unwrap().data, [1; 1000]);
            }
            drop((one, other));
        }
    };
    exchange(100);
    let before = flat::held(std::process::id());
    exchange(1000);
    let after = flat::held(std::process::id());
    const ALLOWED: flat::Held = [0, 16, 2048];
    let grown =
        after.iter().zip(before).zip(ALLOWED).any(|((after, before), allowed)| *after > before + allowed);
    assert!(!grown, "it grew from {before:?} to {after:?}");
}
