//! Services that are sent more than they have room for: memory stays bounded, and what is under way is still given up.

mod common;

use axonic::{
    Call, CallOptions, Channel, ChannelOptions, Client, ClientOptions, Domain, ErrorKind, Payload, Service,
    ServiceOptions, ask_while_waiting,
};
use common::Place;
use common::serving::{Closing, give_back};
use std::cell::Cell;
use std::time::{Duration, Instant};

const A_WHILE: Option<Duration> = Some(Duration::from_secs(10));

/// Kinds of frames and a flag of calls, as docs/protocol.md numbers them.
const WELCOME: u8 = 2;
const CALL: u8 = 3;
const INPUT_END: u8 = 5;
const HAS_INPUT: u8 = 4;

fn millis(n: u64) -> Option<Duration> {
    Some(Duration::from_millis(n))
}

thread_local! {
    /// Whether this thread's waits go on.
    static GOES_ON: Cell<bool> = const { Cell::new(true) };
}

fn frame(kind: u8, flags: u8, call: u32, data: &[u8]) -> Vec<u8> {
    let name: &[u8] = if kind == CALL { b"echo" } else { b"" };
    let mut bytes = vec![kind, 0, flags, name.len() as u8];
    [call, 0, u32::MAX].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    [&bytes, name, data].concat()
}

fn listening(ax: &Domain, place: &Place, concurrency: usize) -> (Service, String) {
    let options = ServiceOptions { concurrency, ..Default::default() };
    let service = ax.service("search", "1.0.0", &options).unwrap();
    let address = service.listen(&format!("unix://{}", place.path().join("socket").display())).unwrap();
    (service, address)
}

fn client(ax: &Domain, address: &str) -> Client {
    ax.client("search", "^1", &ClientOptions { address: Some(address.into()), ..Default::default() }).unwrap()
}

/// Takes what comes until that is an answer to this call.
fn receive_answer(channel: &Channel, call: u32) {
    while channel.receive(A_WHILE).unwrap().data[4..8] != call.to_le_bytes() {}
}

/// A handler that waits for its caller's stream reads no further than the others do, and goes on once its answers are taken.
#[test]
fn who_takes_no_answers_is_made_to_wait_while_it_streams() {
    let place = Place::new();
    let ax = place.open();
    let (service, address) = listening(&ax, &place, 64);
    let channel = ax.connect(&address, &ChannelOptions::default(), A_WHILE).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&service);
        channel.send(&frame(CALL, HAS_INPUT, 0x10000, b""), A_WHILE).unwrap();
        let streaming = service.next(A_WHILE).unwrap();
        scope.spawn(move || {
            assert!(streaming.next(None).unwrap().is_none());
            streaming.reply(Payload::raw(b"all")).unwrap();
        });
        (0..2).for_each(|_| drop(scope.spawn(|| while service.next(None).map(give_back).is_ok() {})));
        let large = vec![7; 1 << 20];
        let sent = |i: &u32| channel.send(&frame(CALL, 0, 0x10000 + i, &large), millis(500)).is_ok();
        let taken = (1..200u32).take_while(sent).count();
        assert!((1..100).contains(&taken), "{taken} MiB were read ahead of their answers");
        scope.spawn(|| channel.send(&frame(INPUT_END, 0, 0x10000, b""), A_WHILE).unwrap());
        receive_answer(&channel, 0x10000);
    });
}

/// Calls until no more are read ahead, and the way is full.
fn fill(client: &Client) -> Vec<Call> {
    let options = CallOptions { timeout: millis(50), ..Default::default() };
    let mut calls = Vec::new();
    while let Ok(call) = client.start("echo", Payload::raw(&[0; 10_000]), &options) {
        calls.push(call);
    }
    assert!(calls.len() > 1000, "{}", calls.len());
    calls
}

/// One client's calls that wait in line do not hide from a handler that another gives up the call it works for.
#[test]
fn a_handler_hears_that_its_caller_gave_up_however_many_calls_of_others_wait() {
    let place = Place::new();
    let ax = place.open();
    let (service, address) = listening(&ax, &place, 1);
    let [busy, mild] = [(); 2].map(|()| client(&ax, &address));
    std::thread::scope(|scope| {
        let _closing = Closing(&service);
        let calling = scope.spawn(|| mild.start("echo", Payload::raw(b""), &CallOptions::default()).unwrap());
        let request = service.next(A_WHILE).unwrap();
        let call = calling.join().unwrap();
        // Nothing is taken, but read.
        let filling = scope.spawn(|| fill(&busy));
        while !filling.is_finished() {
            assert_eq!(service.next(millis(10)).unwrap_err().kind(), ErrorKind::Timeout);
        }
        assert!(service.fd().unwrap() >= 0 && !request.is_cancelled());
        drop(call);
        let began = Instant::now();
        while service.take_given_up() != [request.id()] {
            assert!(common::wait_readable(service.fd().unwrap(), Duration::from_secs(5)));
            assert!(service.try_next().unwrap().is_none());
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        assert!(request.is_cancelled());
    });
}

/// Who waits for the result of a call that there was no room for is asked whether to go on, as all who wait are.
#[test]
fn a_call_without_room_is_asked_about() {
    let place = Place::new();
    let ax = place.open();
    ask_while_waiting(|| GOES_ON.get());
    let listener = ax
        .listen(&format!("unix://{}", place.path().join("socket").display()), &ChannelOptions::default())
        .unwrap();
    let client = client(&ax, listener.address());
    std::thread::scope(|scope| {
        let deaf = scope.spawn(|| {
            let channel = listener.accept(A_WHILE).unwrap();
            channel.receive(A_WHILE).unwrap();
            let welcome = br#"{"service":"search","version":"1.0.0"}"#;
            channel.send(&frame(WELCOME, 0, 0, welcome), A_WHILE).unwrap();
            channel
        });
        client.connect(A_WHILE).unwrap();
        let _deaf = deaf.join().unwrap();
        let payload = vec![7; 8 << 20];
        let options = CallOptions::default();
        let mut call =
            client.try_start("echo", Payload::raw(&payload), &options).unwrap().expect("connected");
        GOES_ON.set(false);
        assert_eq!(call.result(A_WHILE).unwrap_err().kind(), ErrorKind::Interrupted);
    });
}
