//! Calls within a domain: what clients and services promise each other.

mod common;

use axonic::{
    CallOptions, Client, ClientOptions, Code, ErrorKind, Payload, Request, Service, ServiceOptions, Status,
};
use common::Place;
use common::certificates::Authority;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// Answers calls until the service is closed.
fn serve(service: &Service) {
    while let Ok(request) = service.next(None) {
        answer(request);
    }
}

fn answer(request: Request) {
    match request.method() {
        "echo" => {
            let data = request.body().data().to_vec();
            request.reply(Payload::raw(&data)).unwrap();
        }
        "fail" => request.fail(Status::new(Code::NotFound, "no order 7").with_reason("no_such_order")),
        "numbers" => {
            request.begin_stream().unwrap();
            request.reply(Payload::raw(b"none")).unwrap();
        }
        "stubborn" => {
            let refused = request.send(Payload::raw(b"item"), None).unwrap_err();
            assert_eq!(refused.status().unwrap().reason, "stream");
            request.reply(Payload::raw(b"done all the same")).unwrap();
        }
        "count" => {
            let up_to: u32 = std::str::from_utf8(request.body().data()).unwrap().parse().unwrap();
            for i in 0..up_to {
                if request.send(Payload::raw(&i.to_le_bytes()), None).is_err() {
                    return;
                }
            }
            request.reply(Payload::raw(b"")).unwrap();
        }
        "sum" => {
            let mut sum = 0u64;
            while let Some(item) = request.next(SECOND).unwrap() {
                sum += u64::from(u32::from_le_bytes(item.data().try_into().unwrap()));
            }
            request.reply(Payload::raw(&sum.to_le_bytes())).unwrap();
        }
        "hang" => {
            while !request.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        "drop" => {}
        method => {
            let text = format!("no method {method}");
            request.fail(Status::new(Code::Unimplemented, text));
        }
    }
}

fn with_service(act: impl FnOnce(&Client)) {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1.2", &ClientOptions::default()).unwrap();
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| serve(&service))));
        let _closing = Closing(&service);
        act(&client);
    });
}

/// Ends whoever serves, however the test ends.
struct Closing<'a>(&'a Service);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[test]
fn a_call_has_its_result() {
    with_service(|client| {
        for i in 0..1000u32 {
            let result = client.call("echo", Payload::raw(&i.to_le_bytes()), SECOND).unwrap();
            assert_eq!(result.data(), i.to_le_bytes());
        }
        let large = vec![7; 3 << 20];
        assert!(client.call("echo", Payload::raw(&large), SECOND).unwrap().data() == large);
    });
}

#[test]
fn a_failure_says_why() {
    with_service(|client| {
        let error = client.call("fail", Payload::raw(b""), SECOND).unwrap_err();
        let status = error.status().unwrap();
        assert_eq!(
            (error.kind(), status.code, status.reason.as_str()),
            (ErrorKind::CallFailed, Code::NotFound, "no_such_order")
        );
        assert!(status.origin.starts_with("search@1.2.0"), "{status:?}");
        let error = client.call("nonsense", Payload::raw(b""), SECOND).unwrap_err();
        assert_eq!(error.status().unwrap().code, Code::Unimplemented);
        let error = client.call("drop", Payload::raw(b""), SECOND).unwrap_err();
        assert_eq!(error.status().unwrap().code, Code::Internal);
    });
}

/// Whatever the handler does of the error.
#[test]
fn what_streams_is_not_called_for_one_result() {
    with_service(|client| {
        for method in ["count", "stubborn"] {
            let error = client.call(method, Payload::raw(b"3"), SECOND).unwrap_err();
            let status = error.status().unwrap();
            assert_eq!((status.code, status.reason.as_str()), (Code::InvalidArgument, "stream"), "{method}");
            assert!(status.message.contains(method) && status.origin.starts_with("search@"), "{status:?}");
        }
    });
}

#[test]
fn one_result_is_a_stream_of_one_item() {
    with_service(|client| {
        let options = CallOptions { stream: true, timeout: SECOND, ..CallOptions::default() };
        let large = vec![7; 3 << 20];
        for data in [&b""[..], b"one", &large] {
            let mut call = client.start("echo", Payload::raw(data), &options).unwrap();
            assert!(call.next(SECOND).unwrap().unwrap().data() == data);
            assert!(call.next(SECOND).unwrap().is_none());
            assert_eq!(call.result(SECOND).unwrap().data(), b"null");
        }
        let mut failing = client.start("fail", Payload::raw(b""), &options).unwrap();
        assert_eq!(failing.next(SECOND).unwrap_err().status().unwrap().code, Code::NotFound);
        let mut none = client.start("numbers", Payload::raw(b""), &options).unwrap();
        assert!(none.next(SECOND).unwrap().is_none());
        assert_eq!(none.result(SECOND).unwrap().data(), b"none");
    });
}

#[test]
fn many_calls_are_under_way_at_the_same_time() {
    with_service(|client| {
        let mut calls: Vec<_> = (0..200u32)
            .map(|i| {
                (i, client.start("echo", Payload::raw(&i.to_le_bytes()), &CallOptions::default()).unwrap())
            })
            .collect();
        while let Some((i, mut call)) = calls.pop() {
            assert_eq!(call.result(SECOND).unwrap().data(), i.to_le_bytes());
        }
        std::thread::scope(|scope| {
            for thread in 0..8u32 {
                scope.spawn(move || {
                    for i in 0..500u32 {
                        let number = (thread << 16 | i).to_le_bytes();
                        assert_eq!(
                            client.call("echo", Payload::raw(&number), SECOND).unwrap().data(),
                            number
                        );
                    }
                });
            }
        });
    });
}

#[test]
fn a_stream_is_no_faster_than_who_takes_it() {
    with_service(|client| {
        let options = CallOptions { stream: true, ..CallOptions::default() };
        let mut call = client.start("count", Payload::raw(b"100000"), &options).unwrap();
        let mut seen = 0u32;
        while let Some(item) = call.next(SECOND).unwrap() {
            assert_eq!(item.data(), seen.to_le_bytes());
            seen += 1;
            if seen == 1000 {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        assert_eq!(seen, 100_000);
        let options = CallOptions { input: true, ..CallOptions::default() };
        let mut call = client.start("sum", Payload::raw(b""), &options).unwrap();
        for i in 0..100_000u32 {
            call.send(Payload::raw(&i.to_le_bytes()), SECOND).unwrap();
        }
        call.finish_input().unwrap();
        let sum = u64::from_le_bytes(call.result(SECOND).unwrap().data().try_into().unwrap());
        assert_eq!(sum, (0..100_000u64).sum::<u64>());
    });
}

#[test]
fn who_gives_up_tells_the_service() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1.2", &ClientOptions::default()).unwrap();
    let (cancelled, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                let request = service.next(None).unwrap();
                taken.fetch_add(1, Ordering::Release);
                let began = Instant::now();
                while !request.is_cancelled() {
                    assert!(began.elapsed() < Duration::from_secs(5));
                    std::thread::sleep(Duration::from_millis(1));
                }
                cancelled.store(true, Ordering::Release);
            }
        });
        let error = client.call("hang", Payload::raw(b""), Some(Duration::from_millis(20))).unwrap_err();
        assert_eq!(
            (error.kind(), error.status().unwrap().code),
            (ErrorKind::Timeout, Code::DeadlineExceeded)
        );
        let call = client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap();
        // One that is given up before it is taken is never handed out.
        while taken.load(Ordering::Acquire) < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        call.cancel();
    });
    assert!(cancelled.load(Ordering::Acquire));
}

#[test]
fn a_call_that_is_answered_late_is_out_of_time() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let options = CallOptions { timeout: Some(Duration::from_millis(20)), ..CallOptions::default() };
    let late: [fn(Request); 3] = [
        |request| request.reply(Payload::raw(b"late")).unwrap(),
        |request| request.fail(Status::new(Code::Unknown, "its handler was cancelled")),
        drop,
    ];
    for answer in late {
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| client.start("echo", Payload::raw(b"x"), &options).unwrap());
            let request = service.next(SECOND).unwrap();
            let mut call = calling.join().unwrap();
            while !request.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            answer(request);
            let error = call.result(None).unwrap_err();
            assert_eq!(
                (error.kind(), error.status().unwrap().code),
                (ErrorKind::Timeout, Code::DeadlineExceeded)
            );
        });
    }
}

#[test]
fn what_dead_providers_and_callers_leave_goes() {
    let place = Place::new();
    let ax = place.open();
    let left = || {
        let names = |kind: &str| std::fs::read_dir(ax.path().join(kind)).unwrap().count();
        (names("listeners"), names("channels"))
    };
    {
        let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
        let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| answer(service.next(SECOND).unwrap()));
            assert_eq!(client.call("echo", Payload::raw(b"x"), SECOND).unwrap().data(), b"x");
        });
        // A closed one that is still around has no files either.
        client.close();
        service.close();
        assert_eq!(left(), (0, 0));
    }
    // As those who were killed left them: their slots are free, or their epochs over.
    std::fs::write(ax.path().join("listeners/search@1.0.0*0009000700000001"), []).unwrap();
    std::fs::write(ax.path().join("channels/0009000700000002-c"), []).unwrap();
    let other = place.open();
    other.publisher("collect", &Default::default()).unwrap();
    assert_eq!(left(), (0, 0));
}

#[test]
fn nobody_there_is_told_at_once() {
    let place = Place::new();
    let ax = place.open();
    let client = ax.client("search", "^1.2", &ClientOptions::default()).unwrap();
    let error = client.call("echo", Payload::raw(b""), None).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unavailable && error.message().contains("nobody provides it"),
        "{error}"
    );
    let _old = ax.service("search", "1.1.0", &ServiceOptions::default()).unwrap();
    let error = client.call("echo", Payload::raw(b""), None).unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.message().contains("there is 1.1.0"), "{error}");
}

#[test]
fn providers_share_the_calls_and_one_may_go() {
    let place = Place::new();
    let ax = place.open();
    let client = ax.client("search", ">=1", &ClientOptions::default()).unwrap();
    let one = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let two = ax.service("search", "1.1.0", &ServiceOptions::default()).unwrap();
    let served = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        for (service, served) in [(&one, &served[0]), (&two, &served[1])] {
            scope.spawn(move || {
                while let Ok(request) = service.next(None) {
                    served.fetch_add(1, Ordering::Relaxed);
                    answer(request);
                }
            });
        }
        let _closing = (Closing(&one), Closing(&two));
        for _ in 0..100 {
            client.call("echo", Payload::raw(b"x"), SECOND).unwrap();
        }
        assert!(served.iter().all(|served| served.load(Ordering::Relaxed) == 50), "{served:?}");
        one.close();
        for _ in 0..10 {
            client.call("echo", Payload::raw(b"x"), SECOND).unwrap();
        }
        two.close();
        let error = client.call("echo", Payload::raw(b"x"), SECOND).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    });
}

#[test]
fn no_more_are_at_work_than_may_be_and_who_gives_up_is_heard_all_the_same() {
    let place = Place::new();
    let ax = place.open();
    let service =
        ax.service("search", "1.0.0", &ServiceOptions { concurrency: 2, ..Default::default() }).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let fd = service.fd().unwrap();
    let (mut calls, _taken) = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let start = |_| client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap();
            (0..3).map(start).collect()
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            common::wait_readable(fd, Duration::from_secs(5));
            taken.extend(service.try_next().unwrap());
        }
        let calls: Vec<axonic::Call> = calls.join().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert!(service.try_next().unwrap().is_none() && service.at_work() == 2);
        (calls, taken)
    });
    calls.remove(0).cancel();
    common::wait_readable(fd, Duration::from_secs(5));
    assert!(service.try_next().unwrap().is_none());
    assert_eq!(service.take_given_up().len(), 1);
}

#[test]
fn an_event_loop_hears_of_each_call() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let (called, answered) = (client.fd().unwrap(), service.fd().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = 100;
            while left > 0 {
                common::wait_readable(answered, Duration::from_secs(5));
                while let Some(request) = service.try_next().unwrap() {
                    answer(request);
                    left -= 1;
                }
            }
        });
        let mut calls: std::collections::HashMap<u64, _> = (0..100u32)
            .map(|i| {
                (i, client.start("echo", Payload::raw(&i.to_le_bytes()), &CallOptions::default()).unwrap())
            })
            .map(|(i, call)| (call.id(), (i, call)))
            .collect();
        while !calls.is_empty() {
            common::wait_readable(called, Duration::from_secs(5));
            for id in client.take_news().unwrap() {
                let (i, mut call) = calls.remove(&id).unwrap();
                assert_eq!(call.try_result().unwrap().unwrap().data(), i.to_le_bytes());
            }
        }
    });
}

/// What is promised within a domain holds over whatever carries it.
#[test]
fn a_service_is_called_over_every_stream() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let [socket, fifo] = [path("socket"), path("fifo")];
    let inproc = String::from("inproc://calls");
    let authority = Authority::new();
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| serve(&service))));
        let _closing = Closing(&service);
        for address in [
            "shm://test/elsewhere".into(),
            inproc,
            format!("unix://{socket}"),
            format!("unix://{socket}-seq?type=seqpacket"),
            format!("fifo://{fifo}"),
            "tcp://127.0.0.1:0?checksum=crc32c".into(),
            format!("tcp://127.0.0.1:0?{}", authority.mutual("either")),
            "ws://127.0.0.1:0/calls".into(),
        ] {
            let there = service.listen(&address).unwrap();
            let options = ClientOptions { address: Some(there), ..Default::default() };
            let client = ax.client("search", "^1", &options).unwrap();
            let call = |method: &str, data: &[u8]| client.call(method, Payload::raw(data), SECOND);
            for i in 0..100u32 {
                assert_eq!(call("echo", &i.to_le_bytes()).unwrap().data(), i.to_le_bytes(), "{address}");
            }
            if !address.contains("seqpacket") {
                let large = vec![7; 3 << 20];
                assert!(call("echo", &large).unwrap().data() == large, "{address}");
            }
            assert_eq!(call("fail", b"").unwrap_err().status().unwrap().code, Code::NotFound);
            let options = CallOptions { stream: true, ..CallOptions::default() };
            let mut stream = client.start("count", Payload::raw(b"20000"), &options).unwrap();
            let mut count = 0;
            while stream.next(SECOND).unwrap().is_some() {
                count += 1;
            }
            assert_eq!(count, 20_000, "{address}");
        }
    });
}

#[test]
fn an_event_loop_waits_neither_for_providers_nor_for_room() {
    const LARGE: usize = 100_000;
    let place = Place::new();
    let ax = place.open();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let called = client.fd().unwrap();
    let start = || client.try_start("echo", Payload::raw(&[7; LARGE]), &CallOptions::default()).unwrap();
    assert!(start().is_none());
    assert_eq!(client.connect(SECOND).unwrap_err().kind(), ErrorKind::Unavailable);
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&service);
        assert!(start().is_none(), "it is not connected to who is new");
        // Whoever connects is let in by whoever waits for calls.
        let connecting = scope.spawn(|| client.connect(SECOND));
        while !connecting.is_finished() {
            assert!(service.try_next().unwrap().is_none());
        }
        connecting.join().unwrap().unwrap();
        // Nobody takes them, and many more than there is room for are begun all the same.
        let mut calls: std::collections::HashMap<u64, _> =
            (0..50).map(|_| start().unwrap()).map(|call| (call.id(), call)).collect();
        scope.spawn(|| serve(&service));
        while !calls.is_empty() {
            common::wait_readable(called, Duration::from_secs(5));
            for id in client.take_news().unwrap() {
                let result = calls.get_mut(&id).unwrap().try_result().unwrap();
                assert_eq!(result.unwrap().data(), [7; LARGE]);
                calls.remove(&id);
            }
        }
    });
    assert!(start().is_none(), "it is closed by now");
}

#[test]
fn an_event_loop_hears_of_the_streams_of_a_service() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    assert_eq!((service.fd().unwrap() >= 0, service.take_news()), (true, vec![]));
    let options = CallOptions { input: true, ..CallOptions::default() };
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let start = |_| client.start("sum", Payload::raw(b""), &options).unwrap();
            (0..2).map(start).collect::<Vec<_>>()
        });
        let requests: Vec<_> = (0..2).map(|_| service.next(SECOND).unwrap()).collect();
        let mut calls = calls.join().unwrap();
        assert!(calls[1].try_send(Payload::raw(&5u32.to_le_bytes())).unwrap());
        assert!(service.try_next().unwrap().is_none());
        assert_eq!(service.take_news(), [requests[1].id()]);
        // Whoever reads for the one call reads for the other.
        calls[1].finish_input().unwrap();
        assert_eq!(requests[0].next(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!((service.take_news(), service.take_news()), (vec![requests[1].id()], vec![]));
        while calls[0].try_send(Payload::raw(&[0; 50 << 10])).unwrap() {}
        assert_eq!(requests[1].next(Some(Duration::ZERO)).unwrap().unwrap().data(), 5u32.to_le_bytes());
    });
}

#[test]
fn a_service_is_called_at_an_address_too() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    let address = service.listen("shm://test/elsewhere").unwrap();
    let at = |service: &str, range: &str| {
        let options = ClientOptions { address: Some(address.clone()), ..Default::default() };
        ax.client(service, range, &options).unwrap()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&service));
        let _closing = Closing(&service);
        assert_eq!(at("search", "^1").call("echo", Payload::raw(b"x"), SECOND).unwrap().data(), b"x");
        for (name, range, says) in
            [("other", "^1", "here is search@1.2.0"), ("search", "^2", "no version in ^2")]
        {
            let error = at(name, range).call("echo", Payload::raw(b"x"), SECOND).unwrap_err();
            assert!(error.kind() == ErrorKind::Unavailable && error.message().contains(says), "{error}");
        }
    });
    let error = at("search", "^1").call("echo", Payload::raw(b"x"), SECOND).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unavailable && error.message().contains("nobody provides it at"),
        "{error}"
    );
}

#[test]
fn a_provider_that_takes_no_calls_holds_nobody_up_while_another_does() {
    let place = Place::new();
    let ax = place.open();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let _silent = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let service = ax.service("search", "1.1.0", &ServiceOptions::default()).unwrap();
    let _silent_too = ax.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&service));
        let _closing = Closing(&service);
        let began = Instant::now();
        for _ in 0..100 {
            assert_eq!(client.call("echo", Payload::raw(b"x"), None).unwrap().data(), b"x");
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    });
    let error = client.call("echo", Payload::raw(b"x"), Some(Duration::from_millis(100))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[test]
fn what_was_answered_before_its_provider_went_is_a_result() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1.2", &ClientOptions::default()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // In the other order: who waits for the first reads the others' results.
            let requests: Vec<_> = (0..3).map(|_| service.next(SECOND).unwrap()).collect();
            requests.into_iter().rev().for_each(answer);
        });
        let call = |i: u32| client.start("echo", Payload::raw(&i.to_le_bytes()), &CallOptions::default());
        let mut calls: Vec<_> = (0..3).map(|i| call(i).unwrap()).collect();
        assert_eq!(calls[0].result(SECOND).unwrap().data(), 0u32.to_le_bytes());
        service.close();
        assert_eq!(calls[1].result(SECOND).unwrap().data(), 1u32.to_le_bytes());
        assert_eq!(calls[2].try_result().unwrap().unwrap().data(), 2u32.to_le_bytes());
    });
}

#[test]
fn no_call_overtakes_what_was_kept_for_want_of_room() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&service);
        let connecting = scope.spawn(|| client.connect(SECOND));
        while !connecting.is_finished() {
            assert!(service.try_next().unwrap().is_none());
        }
        connecting.join().unwrap().unwrap();
        // Nobody takes them: most are kept, and the last is given up, whose number another has then.
        let large = vec![7; 100_000];
        let start = || client.try_start("echo", Payload::raw(&large), &CallOptions::default());
        let mut calls: Vec<_> = (0..10).map(|_| start().unwrap().unwrap()).collect();
        calls.pop().unwrap().cancel();
        let called = scope.spawn(|| client.call("echo", Payload::raw(b"small"), SECOND));
        // It waits behind them.
        std::thread::sleep(Duration::from_millis(10));
        let requests: Vec<_> = (0..11).map(|_| service.next(SECOND).unwrap()).collect();
        let lengths: Vec<_> = requests.iter().map(|request| request.body().data().len()).collect();
        assert_eq!((&lengths[..10], lengths[10]), (&[100_000; 10][..], 5));
        assert!(requests[9].is_cancelled() && !requests[10].is_cancelled());
        requests.into_iter().for_each(answer);
        scope.spawn(|| serve(&service));
        assert_eq!(called.join().unwrap().unwrap().data(), b"small");
        calls.iter_mut().for_each(|call| assert!(call.result(SECOND).unwrap().data() == large));
    });
}

#[test]
fn no_place_is_lost_by_who_gives_up_or_breaks() {
    let place = Place::new();
    let ax = place.open();
    let service =
        ax.service("search", "1.0.0", &ServiceOptions { concurrency: 1, ..Default::default() }).unwrap();
    let client = || ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let (patient, hasty) = (client(), client());
    let connect = |client: &Client| {
        std::thread::scope(|scope| {
            let connecting = scope.spawn(|| client.connect(SECOND));
            while !connecting.is_finished() {
                assert!(service.try_next().unwrap().is_none());
            }
            connecting.join().unwrap().unwrap();
        });
    };
    connect(&patient);
    connect(&hasty);
    let start = |client: &Client, data: &[u8]| {
        client.start("echo", Payload::raw(data), &CallOptions::default()).unwrap()
    };
    for round in 0..10 {
        // One is at work, and more are read ahead of their turn, or are still to be read.
        let mut broken = start(&patient, b"broken");
        let request = service.next(SECOND).unwrap();
        let before = [start(&patient, b"given up"), start(&hasty, b"given up")];
        assert!(service.try_next().unwrap().is_none() && !request.is_cancelled());
        let mut last = start(&patient, b"last");
        drop(before);
        if round == 9 {
            // Its client goes as well, with what it has asked for.
            let gone = start(&hasty, b"gone");
            hasty.close();
            drop(gone);
        }
        assert!(service.try_next().unwrap().is_none() && service.at_work() == 1);
        let panicked = std::thread::scope(|scope| {
            let handler = scope.spawn(move || {
                assert_eq!(request.body().data(), b"another", "as a handler breaks");
            });
            handler.join()
        });
        assert!(panicked.is_err());
        assert_eq!(broken.result(SECOND).unwrap_err().status().unwrap().code, Code::Internal);
        let request = service.next(SECOND).unwrap();
        assert_eq!((request.body().data(), service.at_work()), (&b"last"[..], 1));
        answer(request);
        assert_eq!(last.result(SECOND).unwrap().data(), b"last");
        assert!(service.try_next().unwrap().is_none() && service.at_work() == 0);
    }
}
