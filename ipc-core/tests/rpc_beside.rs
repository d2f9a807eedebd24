//! Calls beside others that are under way: to whom they go, and that none holds up another.

mod common;

use axonic::{Call, CallOptions, Client, ClientOptions, Domain, Payload, Request, Service, ServiceOptions};
use common::Place;
use common::certificates::Authority;
use common::serving::{Closing, give_back};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything takes that happens at all.
const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// Waits until it is so.
#[track_caller]
fn soon(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A provider that answers some calls at once, and holds the others.
struct Provider {
    service: Service,
    held: Mutex<Vec<Request>>,
    answered: AtomicUsize,
}

impl Provider {
    fn new(ax: &Domain, version: &str) -> Provider {
        let service = ax.service("search", version, &ServiceOptions::default()).unwrap();
        Provider { service, held: Mutex::default(), answered: AtomicUsize::new(0) }
    }

    fn serve(&self) {
        while let Ok(request) = self.service.next(None) {
            if request.method() == "hold" {
                self.held.lock().unwrap().push(request);
                continue;
            }
            give_back(request);
            self.answered.fetch_add(1, Ordering::Release);
        }
    }

    fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

/// Calls that their providers hold, by the numbers that they carry.
struct Held<'a> {
    client: &'a Client,
    providers: &'a [Provider; 3],
    calls: HashMap<Vec<u8>, Call>,
    begun: u32,
}

impl Held<'_> {
    /// Begins so many calls more: how many each provider has now.
    fn start(&mut self, count: usize) -> [usize; 3] {
        for _ in 0..count {
            self.begun += 1;
            let number = self.begun.to_le_bytes();
            let call = self.client.start("hold", Payload::raw(&number), &CallOptions::default()).unwrap();
            self.calls.insert(number.into(), call);
        }
        let held = || self.providers.each_ref().map(Provider::held);
        soon(|| held().iter().sum::<usize>() == self.calls.len());
        held()
    }

    /// A provider answers so many of them, and their results are taken.
    fn answer(&mut self, provider: usize, count: usize) {
        let answered: Vec<_> = self.providers[provider].held.lock().unwrap().drain(..count).collect();
        for request in answered {
            let mut call = self.calls.remove(request.body().data()).unwrap();
            give_back(request);
            call.result(SOON).unwrap();
        }
    }
}

/// In turns they would get as many each, whatever they have to do already.
#[test]
fn the_provider_with_the_fewest_calls_under_way_is_called() {
    let place = Place::new();
    let ax = place.open();
    let providers = ["1.0.0", "1.1.0", "1.2.0"].map(|version| Provider::new(&ax, version));
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    std::thread::scope(|scope| {
        providers.iter().for_each(|provider| drop(scope.spawn(|| provider.serve())));
        let _closing = providers.each_ref().map(|provider| Closing(&provider.service));
        // It is to know all of them.
        soon(|| {
            client.call("echo", Payload::raw(b""), SOON).unwrap();
            providers.iter().all(|provider| provider.answered.load(Ordering::Acquire) > 0)
        });
        let mut held = Held { client: &client, providers: &providers, calls: HashMap::new(), begun: 0 };
        assert_eq!(held.start(12), [4, 4, 4]);
        held.answer(1, 4);
        held.answer(2, 1);
        assert_eq!(held.start(3), [4, 3, 3]);
        assert_eq!(held.start(5), [5, 5, 5]);
    });
}

const SIZE: usize = 1024;
/// More than the credit of a stream.
const ITEMS: u32 = 2000;

fn item(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(SIZE / 4)
}

/// Streams to its caller, takes its caller's stream when it is let, or answers at once.
fn serve_streams(service: &Service, may_take: &AtomicBool) {
    while let Ok(request) = service.next(None) {
        match request.method() {
            "give" => {
                (0..ITEMS).for_each(|number| request.send(Payload::raw(&item(number)), None).unwrap());
                request.reply(Payload::raw(b"")).unwrap();
            }
            "take" => {
                soon(|| may_take.load(Ordering::Acquire));
                for number in 0..ITEMS {
                    assert!(request.next(SOON).unwrap().unwrap().data() == item(number), "{number}");
                }
                assert!(request.next(SOON).unwrap().is_none());
                request.reply(Payload::raw(b"taken")).unwrap();
            }
            _ => give_back(request),
        }
    }
}

/// Calls and streams of one connection, of which two stand still.
fn go_on_beside_streams(client: &Client, may_take: &AtomicBool, over: &str) {
    let streaming = CallOptions { stream: true, ..CallOptions::default() };
    let begin = || client.start("give", Payload::raw(b""), &streaming).unwrap();
    let take_all = |mut call: Call| {
        for number in 0..ITEMS {
            assert!(call.next(SOON).unwrap().unwrap().data() == item(number), "{over}: {number}");
        }
        assert!(call.next(SOON).unwrap().is_none(), "{over}");
    };
    let slow = begin();
    let options = CallOptions { input: true, ..CallOptions::default() };
    let mut fed = client.start("take", Payload::raw(b""), &options).unwrap();
    // Until there is no credit left.
    let fit = (0..ITEMS).take_while(|number| {
        fed.send(Payload::raw(&item(*number)), Some(Duration::from_millis(200))).is_ok()
    });
    let sent = fit.count() as u32;
    assert!(sent > 0 && sent < ITEMS, "{over}: {sent} items were sent");
    for number in 0..200u32 {
        let answer = client.call("echo", Payload::raw(&item(number)), SOON).unwrap();
        assert!(answer.data() == item(number), "{over}");
    }
    take_all(begin());
    // They stood still, and lost nothing.
    may_take.store(true, Ordering::Release);
    (sent..ITEMS).for_each(|number| fed.send(Payload::raw(&item(number)), SOON).unwrap());
    fed.finish_input().unwrap();
    assert_eq!(fed.result(SOON).unwrap().data(), b"taken", "{over}");
    take_all(slow);
}

#[test]
fn a_stream_that_nobody_takes_from_holds_up_no_other_call() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let authority = Authority::new();
    let may_take = AtomicBool::new(false);
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| serve_streams(&service, &may_take))));
        let _closing = Closing(&service);
        let within = [None].into_iter();
        let at = [
            "inproc://beside".into(),
            format!("unix://{}", place.path().join("socket").display()),
            format!("fifo://{}", place.path().join("fifo").display()),
            "tcp://127.0.0.1:0".into(),
            format!("tcp://127.0.0.1:0?{}", authority.mutual("either")),
            "ws://127.0.0.1:0/beside".into(),
        ];
        for address in within.chain(at.iter().map(Some)) {
            may_take.store(false, Ordering::Release);
            let there = address.map(|address| service.listen(address).unwrap());
            let options = ClientOptions { address: there, ..Default::default() };
            let client = ax.client("search", "^1", &options).unwrap();
            go_on_beside_streams(&client, &may_take, address.map_or("the domain", |address| address));
        }
    });
}
