//! Frames of calls that come from where they must not, or when they must not: who sends them is cut off, and nobody else is.

mod common;

use axonic::{Channel, ChannelOptions, ClientOptions, Domain, ErrorKind, Payload, Service, ServiceOptions};
use common::Place;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// Kinds of frames, as docs/protocol.md numbers them; the last is none of the protocol's.
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const CALL: u8 = 3;
const INPUT: u8 = 4;
const INPUT_END: u8 = 5;
const CANCEL: u8 = 6;
const ITEM: u8 = 7;
const REPLY: u8 = 8;
const FAILURE: u8 = 9;
const CREDIT: u8 = 10;
const PROGRESS: u8 = 11;
const REFUSED: u8 = 12;

/// A call's frame: it is called `wait`, and streams nothing.
const WAIT: &[u8] = b"wait";

fn frame(kind: u8, call: u32, value: u32, payload: &[u8]) -> Vec<u8> {
    let name: &[u8] = if kind == CALL { WAIT } else { b"" };
    let mut bytes = vec![kind, 0, 0, name.len() as u8];
    bytes.extend(call.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(value.to_le_bytes());
    [&bytes, name, payload].concat()
}

fn hello() -> Vec<u8> {
    frame(HELLO, 0, 0, br#"{"service":"search","range":"^1"}"#)
}

fn call(number: u32) -> Vec<u8> {
    frame(CALL, number, u32::MAX, b"")
}

/// Connects to a service that only lets in who comes.
fn connect(ax: &Domain, service: &Service, address: &str) -> Channel {
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| ax.connect(address, &ChannelOptions::default(), SECOND));
        while !connecting.is_finished() {
            assert!(service.try_next().unwrap().is_none());
        }
        connecting.join().unwrap().unwrap()
    })
}

/// Whether the service cuts off who has said this, and whether it gives its calls up then.
fn is_cut_off(messages: &[Vec<u8>]) -> bool {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let address = service.listen("inproc://frames").unwrap();
    let [channel, other] = [(); 2].map(|()| connect(&ax, &service, &address));
    let mut requests = Vec::new();
    for message in messages {
        let _ = channel.send(message, SECOND);
        requests.extend(service.try_next().unwrap());
    }
    let began = Instant::now();
    let cut_off = loop {
        assert!(service.try_next().unwrap().is_none());
        match channel.try_receive() {
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Disconnected, "{e}");
                break true;
            }
            Ok(Some(answer)) => assert_eq!(answer.data[0], WELCOME),
            Ok(None) if began.elapsed() > Duration::from_millis(20) => break false,
            Ok(None) => {}
        }
    };
    assert!(requests.iter().all(|request| request.is_cancelled() == cut_off));
    // Somebody else is served all the same.
    other.send(&call(7), SECOND).unwrap();
    service.next(SECOND).unwrap().reply(Payload::raw(b"done")).unwrap();
    assert_eq!(other.receive(SECOND).unwrap().data, frame(REPLY, 7, 0, b"done"));
    cut_off
}

#[test]
fn a_client_that_says_what_services_do_is_cut_off() {
    for kind in [WELCOME, ITEM, REPLY, FAILURE, PROGRESS, REFUSED] {
        // Of a call that is under way, and of none.
        for number in [7, 0x0001_0007] {
            assert!(is_cut_off(&[hello(), call(7), frame(kind, number, 0, b"{}")]), "kind {kind}");
        }
    }
}

#[test]
fn a_client_that_breaks_the_order_of_its_calls_is_cut_off() {
    for (what, messages) in [
        ("the same number twice", vec![call(7), call(7)]),
        ("another number in the same place", vec![call(7), call(0x0001_0007)]),
        ("a greeting after a greeting", vec![hello(), hello()]),
        ("input of a call that streams none", vec![call(7), frame(INPUT, 7, 0, b"x")]),
    ] {
        assert!(is_cut_off(&messages), "{what}");
    }
}

#[test]
fn what_comes_late_or_is_far_too_much_hurts_nobody() {
    let late = |kind| frame(kind, 9, 0, b"late");
    let messages = [INPUT, INPUT_END, CANCEL, CREDIT].map(late);
    assert!(!is_cut_off(&messages));
    let credit = frame(CREDIT, 7, u32::MAX, b"");
    assert!(!is_cut_off(&[hello(), call(7), credit.clone(), credit]));
}

/// What a client's call comes to whose service says this.
fn answered(messages: &[Vec<u8>]) -> ErrorKind {
    let place = Place::new();
    let ax = place.open();
    let listener = ax.listen("inproc://answers", &ChannelOptions::default()).unwrap();
    let options = ClientOptions { address: Some("inproc://answers".into()), ..Default::default() };
    let client = ax.client("search", "^1", &options).unwrap();
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| client.call("wait", Payload::raw(b""), Some(Duration::from_millis(50))));
        let channel = listener.accept(SECOND).unwrap();
        channel.receive(SECOND).unwrap();
        channel.send(&frame(WELCOME, 0, 0, br#"{"service":"search","version":"1.0.0"}"#), SECOND).unwrap();
        channel.receive(SECOND).unwrap();
        for message in messages {
            let _ = channel.send(message, SECOND);
        }
        let kind = calling.join().unwrap().unwrap_err().kind();
        // Nothing is said to it but that the call was given up.
        while let Ok(Some(said)) = channel.try_receive() {
            assert_eq!(said.data[0], CANCEL);
        }
        kind
    })
}

#[test]
fn a_service_that_says_what_clients_do_is_given_up() {
    for kind in [HELLO, WELCOME, CALL, INPUT, INPUT_END, CANCEL, REFUSED] {
        assert_eq!(answered(&[frame(kind, 0x0001_0000, 0, b"{}")]), ErrorKind::Unavailable, "kind {kind}");
    }
    let credit = frame(CREDIT, 0x0001_0000, u32::MAX, b"");
    let late = frame(REPLY, 0x0001_0009, 0, b"");
    assert_eq!(answered(&[credit.clone(), credit, late]), ErrorKind::Timeout);
}
