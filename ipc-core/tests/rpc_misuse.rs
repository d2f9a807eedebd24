//! Calls of those who do too much, too little or something wrong: nobody else is held up by it, and it costs no more memory
//! than was agreed on.

mod common;

use axonic::{
    CallOptions, ChannelOptions, Client, ClientOptions, Code, Domain, Error, ErrorKind, Payload, Request,
    Service, ServiceOptions, Status,
};
use common::Place;
use common::child::ended;
use common::serving::{Closing, give_back};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{ForkResult, fork};
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const A_WHILE: Option<Duration> = Some(Duration::from_secs(10));

fn millis(n: u64) -> Option<Duration> {
    Some(Duration::from_millis(n))
}

fn opened(ax: &Domain) -> (Service, Client) {
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    (service, ax.client("search", "^1", &ClientOptions::default()).unwrap())
}

/// Answers every call with what it carries, until the service is closed.
fn echo(service: &Service) {
    while let Ok(request) = service.next(None) {
        give_back(request);
    }
}

/// Memory of this process in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() << 12
}

/// Waits until it is so.
#[track_caller]
fn soon(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn who_waits_to_be_let_in_holds_up_no_other_call() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        // Nobody takes the service's calls, so nobody is let in.
        let patient = scope.spawn(|| client.call("echo", Payload::raw(b"x"), None));
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        let error = client.call("echo", Payload::raw(b"x"), millis(50)).unwrap_err();
        let status = error.status().unwrap();
        assert_eq!(
            (error.kind(), status.code, status.retryable),
            (ErrorKind::Timeout, Code::DeadlineExceeded, true)
        );
        assert!(client.fd().unwrap() >= 0 && began.elapsed() < Duration::from_millis(900));
        // Who is let in now is watched by who asked for the descriptor meanwhile.
        give_back(service.next(A_WHILE).unwrap());
        assert_eq!(patient.join().unwrap().unwrap().data(), b"x");
        let mut call = client.start("echo", Payload::raw(b"y"), &CallOptions::default()).unwrap();
        give_back(service.next(A_WHILE).unwrap());
        assert!(common::wait_readable(client.fd().unwrap(), Duration::from_secs(10)));
        assert!(client.take_news().unwrap().contains(&call.id()));
        assert_eq!(call.try_result().unwrap().unwrap().data(), b"y");
    });
}

#[test]
fn closing_a_client_ends_the_wait_to_be_let_in() {
    let place = Place::new();
    let ax = place.open();
    let (_service, client) = opened(&ax);
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| client.call("echo", Payload::raw(b"x"), None));
        std::thread::sleep(Duration::from_millis(50));
        client.close();
        assert_eq!(patient.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}

/// Whoever of them reads for the others.
#[test]
fn closing_a_client_ends_its_calls() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| [service.next(A_WHILE).unwrap(), service.next(A_WHILE).unwrap()]);
        let calls = [(); 2].map(|()| scope.spawn(|| client.call("echo", Payload::raw(b"x"), A_WHILE)));
        let requests = serving.join().unwrap();
        client.close();
        for call in calls {
            let error = call.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            assert!(error.to_string().contains("the client of search@1.0.0"), "{error}");
        }
        soon(|| requests.iter().all(Request::is_cancelled));
    });
}

#[test]
fn a_call_has_its_time_once() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        let began = Instant::now();
        let calling = scope.spawn(|| client.call("echo", Payload::raw(b"x"), millis(1000)));
        // Let in late, it has what is left of its time.
        std::thread::sleep(Duration::from_millis(600));
        let request = service.next(A_WHILE).unwrap();
        assert!(request.remaining().unwrap() < Duration::from_millis(500));
        assert_eq!(calling.join().unwrap().unwrap_err().kind(), ErrorKind::Timeout);
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    });
}

#[test]
fn what_is_too_large_fails_its_call_and_no_other() {
    let place = Place::new();
    let ax = place.open();
    let channel = ChannelOptions { max_message: 100_000, ..Default::default() };
    let options = ServiceOptions { channel: channel.clone(), ..Default::default() };
    let service = ax.service("search", "1.0.0", &options).unwrap();
    let client = ax.client("search", "^1", &ClientOptions { channel, address: None }).unwrap();
    let large = "x".repeat(200_000);
    let stream = CallOptions { stream: true, timeout: A_WHILE, ..Default::default() };
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let bystander = service.next(A_WHILE).unwrap();
            let replying = service.next(A_WHILE).unwrap();
            assert_eq!(
                replying.reply(Payload::raw(large.as_bytes())).unwrap_err().kind(),
                ErrorKind::TooLarge
            );
            service.next(A_WHILE).unwrap().fail(Status::new(Code::NotFound, large.as_str()));
            let telling = service.next(A_WHILE).unwrap();
            telling.progress(0.5, &large);
            telling.reply(Payload::raw(b"told")).unwrap();
            let streaming = service.next(A_WHILE).unwrap();
            let refused = streaming.send(Payload::raw(large.as_bytes()), A_WHILE).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TooLarge, "{refused}");
            // It took no credit, of which there would be none for the next one.
            streaming.send(Payload::raw(b"item"), A_WHILE).unwrap();
            streaming.reply(Payload::raw(b"")).unwrap();
            give_back(bystander);
        });
        let mut bystander = client.start("stay", Payload::raw(b"here"), &CallOptions::default()).unwrap();
        for _ in 0..2 {
            let error = client.call("large", Payload::raw(b""), A_WHILE).unwrap_err();
            assert_eq!(error.status().unwrap().code, Code::ResourceExhausted, "{error}");
        }
        assert_eq!(client.call("tell", Payload::raw(b""), A_WHILE).unwrap().data(), b"told");
        let mut items = client.start("stream", Payload::raw(b""), &stream).unwrap();
        assert_eq!(items.next(A_WHILE).unwrap().unwrap().data(), b"item");
        assert!(items.next(A_WHILE).unwrap().is_none());
        assert_eq!(bystander.result(A_WHILE).unwrap().data(), b"here");
        serving.join().unwrap();
    });
}

#[test]
fn input_that_is_too_large_takes_no_credit() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let request = service.next(A_WHILE).unwrap();
            assert_eq!(request.next(A_WHILE).unwrap().unwrap().data(), b"item");
            request.reply(Payload::raw(b"")).unwrap();
        });
        let options = CallOptions { input: true, timeout: A_WHILE, ..Default::default() };
        let mut call = client.start("take", Payload::raw(b""), &options).unwrap();
        let large = vec![0; 17 << 20];
        assert_eq!(call.send(Payload::raw(&large), A_WHILE).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(call.try_send(Payload::raw(&large)).unwrap_err().kind(), ErrorKind::TooLarge);
        call.send(Payload::raw(b"item"), SECOND).unwrap();
        call.result(A_WHILE).unwrap();
        serving.join().unwrap();
    });
}

/// What a client or a service agreed to take is reckoned in frames: items that are empty would have no end.
#[test]
fn a_stream_of_empty_items_waits_for_who_takes_them_too() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    let options = CallOptions { stream: true, input: true, timeout: A_WHILE };
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| client.start("stream", Payload::raw(b""), &options).unwrap());
        let request = service.next(A_WHILE).unwrap();
        let mut call = calling.join().unwrap();
        let mut sent = 0;
        let stalled = loop {
            match request.send(Payload::raw(b""), millis(50)) {
                Ok(()) => sent += 1,
                Err(e) => break e.kind(),
            }
            assert!(sent < 100_000);
            // Whoever reads for another call keeps what comes for this one.
            let _ = call.progress();
        };
        assert_eq!(stalled, ErrorKind::Timeout);
        (0..sent).for_each(|_| assert!(call.next(SECOND).unwrap().is_some()));
        request.send(Payload::raw(b""), SECOND).unwrap();
        let mut put = 0;
        while call.try_send(Payload::raw(b"")).unwrap() {
            put += 1;
            assert!(put < 100_000);
        }
        for _ in 0..put {
            client.flush().unwrap();
            assert!(request.next(SECOND).unwrap().is_some());
        }
        assert!(call.try_send(Payload::raw(b"")).unwrap());
    });
}

#[test]
fn progress_that_nobody_takes_is_not_kept() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| client.start("tell", Payload::raw(b""), &CallOptions::default()).unwrap());
        let request = service.next(A_WHILE).unwrap();
        let mut call = calling.join().unwrap();
        let (note, before) = ("x".repeat(4000), memory());
        (0..50_000).for_each(|i| request.progress(f64::from(i) / 50_000.0, &note));
        assert!(memory() < before + (64 << 20), "{} MiB", (memory() - before) >> 20);
        request.reply(Payload::raw(b"done")).unwrap();
        scope.spawn(|| while service.next(None).is_ok() {});
        let _closing = Closing(&service);
        assert_eq!(call.result(A_WHILE).unwrap().data(), b"done");
    });
}

const PREAMBLE: [u8; 16] = *b"AXONIC/1\0\0\0\0\0\0\0\x01";

/// A call of `echo` as it is on a stream.
fn call_frame(id: u32, flags: u8, meta: &[u8], data: &[u8]) -> Vec<u8> {
    let length = (16 + 4 + meta.len() + data.len()) as u32;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend([3, 0, flags, 4]);
    [id, meta.len() as u32, u32::MAX].iter().for_each(|word| frame.extend(word.to_le_bytes()));
    [&b"echo"[..], meta, data].iter().for_each(|part| frame.extend(*part));
    frame
}

fn stranger(address: &str) -> UnixStream {
    let mut stream = UnixStream::connect(address.strip_prefix("unix://").unwrap()).unwrap();
    stream.write_all(&PREAMBLE).unwrap();
    stream.set_write_timeout(millis(500)).unwrap();
    stream
}

/// Whoever sends calls and takes no answer is read no further: its answers would fill the service's memory.
#[test]
fn who_takes_no_answers_is_made_to_wait() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    let address = service.listen(&format!("unix://{}", place.path().join("socket").display())).unwrap();
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| echo(&service))));
        let _closing = Closing(&service);
        let mut greedy = stranger(&address);
        let large = vec![7; 1 << 20];
        let call = |i: u32| greedy.write_all(&call_frame(0x10000 + i, 0, &[], &large));
        let taken = (0..200u32).map(call).take_while(|sent| sent.is_ok()).count();
        assert!((1..100).contains(&taken), "{taken} MiB were read ahead of their answers");
        assert_eq!(client.call("echo", Payload::raw(b"x"), A_WHILE).unwrap().data(), b"x");
    });
}

/// A client that starts many calls before it takes the first answer is no such one: it takes them while it waits for room.
#[test]
fn answers_are_taken_while_calls_wait_for_room() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| echo(&service))));
        let _closing = Closing(&service);
        let options = CallOptions { timeout: Some(Duration::from_secs(60)), ..Default::default() };
        let large = vec![7; 1 << 20];
        let start = |_| client.start("echo", Payload::raw(&large), &options).unwrap();
        let calls: Vec<_> = (0..60).map(start).collect();
        for mut call in calls {
            assert!(call.result(None).unwrap().data() == large);
        }
    });
}

#[test]
fn attributes_that_cannot_be_read_end_only_who_sent_them() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    let address = service.listen(&format!("unix://{}", place.path().join("socket").display())).unwrap();
    let mut damaged = stranger(&address);
    damaged.write_all(&call_frame(0x10000, 2, &[0xff; 5], b"x")).unwrap();
    assert_eq!(service.next(millis(100)).unwrap_err().kind(), ErrorKind::Timeout);
    std::thread::scope(|scope| {
        scope.spawn(|| give_back(service.next(A_WHILE).unwrap()));
        assert_eq!(client.call("echo", Payload::raw(b"x"), A_WHILE).unwrap().data(), b"x");
    });
}

/// A service that can take no more calls reads none, but hears that a client is gone.
#[test]
fn the_handlers_of_a_client_that_is_gone_hear_of_it_however_many_calls_it_left() {
    let place = Place::new();
    let ax = place.open();
    for address in ["", "unix", "inproc"] {
        let options = ServiceOptions { concurrency: 1, ..Default::default() };
        let service = ax.service("search", "1.0.0", &options).unwrap();
        let address = match address {
            "" => None,
            "unix" => Some(format!("unix://{}", place.path().join("socket").display())),
            _ => Some("inproc://calls".into()),
        };
        let address = address.map(|address: String| service.listen(&address).unwrap());
        let client = ax.client("search", "^1", &ClientOptions { address, ..Default::default() }).unwrap();
        let cancelled = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let request = service.next(A_WHILE).unwrap();
                soon(|| request.is_cancelled());
                cancelled.store(true, Ordering::Release);
                drop(request);
            });
            let options = CallOptions { timeout: millis(2), ..Default::default() };
            let mut calls = vec![client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap()];
            // Until no more are read ahead, and the way is full.
            while let Ok(call) = client.start("hang", Payload::raw(&[0; 10_000]), &options) {
                calls.push(call);
            }
            assert!(!cancelled.load(Ordering::Acquire));
            let began = Instant::now();
            client.close();
            soon(|| cancelled.load(Ordering::Acquire));
            assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        });
    }
}

/// Nor does it look again and again whether it can, as long as it cannot.
#[test]
fn a_service_that_can_take_no_more_sleeps() {
    let place = Place::new();
    let ax = place.open();
    let options = ServiceOptions { concurrency: 1, ..Default::default() };
    let service = ax.service("search", "1.0.0", &options).unwrap();
    let address = service.listen(&format!("unix://{}", place.path().join("socket").display())).unwrap();
    let at = ClientOptions { address: Some(address), ..Default::default() };
    let client = ax.client("search", "^1", &at).unwrap();
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let options = CallOptions { timeout: millis(100), ..Default::default() };
            let mut calls = vec![client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap()];
            while let Ok(call) = client.start("hang", Payload::raw(&[0; 10_000]), &options) {
                calls.push(call);
            }
            calls
        });
        let request = service.next(A_WHILE).unwrap();
        soon(|| {
            let _ = request.is_cancelled();
            calling.is_finished()
        });
        let before = cpu_time();
        assert_eq!(service.next(millis(400)).unwrap_err().kind(), ErrorKind::Timeout);
        let worked = cpu_time() - before;
        assert!(worked < Duration::from_millis(200), "{worked:?} of 400 ms");
    });
}

/// The processor time of this thread.
fn cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn many_providers_may_have_gone_since_the_last_call() {
    let place = Place::new();
    let ax = place.open();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    let provide = |i| ax.service("search", &format!("1.{i}.0"), &ServiceOptions::default()).unwrap();
    let services: Vec<_> = (0..40).map(provide).collect();
    std::thread::scope(|scope| {
        services.iter().for_each(|service| drop(scope.spawn(|| echo(service))));
        let _closing: Vec<_> = services.iter().map(Closing).collect();
        client.call("echo", Payload::raw(b"x"), A_WHILE).unwrap();
        services[1..].iter().for_each(Service::close);
        for _ in 0..40 {
            client.call("echo", Payload::raw(b"x"), A_WHILE).unwrap();
        }
    });
}

/// Calls have numbers of 16 bits, which come again. A handler that took no notice of its caller's end answers nobody else.
#[test]
fn a_late_answer_reaches_no_other_call() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    let number = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let late = service.next(A_WHILE).unwrap();
            let mut late = Some(late);
            while let Ok(request) = service.next(None) {
                if late.as_ref().is_some_and(|late| late.id() == request.id()) {
                    late.take().unwrap().reply(Payload::raw(b"late")).unwrap();
                }
                number.fetch_add(1, Ordering::Relaxed);
                give_back(request);
            }
            assert!(late.is_none(), "no number came again");
        });
        let _closing = Closing(&service);
        assert_eq!(
            client.call("late", Payload::raw(b""), millis(20)).unwrap_err().kind(),
            ErrorKind::Timeout
        );
        for i in 0..70_000u32 {
            let answer = client.call("echo", Payload::raw(&i.to_le_bytes()), A_WHILE).unwrap();
            assert_eq!(answer.data(), i.to_le_bytes());
        }
    });
    assert!(number.load(Ordering::Relaxed) >= 70_000);
}

/// A forked child has copies of the locks that its parent's threads just held, for ever.
#[test]
fn a_forked_child_is_told_that_calls_are_its_parents() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking =
            scope.spawn(|| client.start("echo", Payload::raw(b"asked"), &CallOptions::default()).unwrap());
        let request = service.next(A_WHILE).unwrap();
        let mut asked = asking.join().unwrap();
        (0..2).for_each(|_| drop(scope.spawn(|| echo(&service))));
        let _closing = Closing(&service);
        let mut call = client.start("echo", Payload::raw(b"x"), &CallOptions::default()).unwrap();
        let calling = || {
            while !over.load(Ordering::Relaxed) {
                client.call("echo", Payload::raw(b"y"), A_WHILE).unwrap();
            }
        };
        let callers = [(); 3].map(|()| scope.spawn(calling));
        let mut ends = Vec::new();
        for _ in 0..100 {
            // SAFETY: the child looks at its copy of the call and exits; glibc keeps its allocator usable after a fork.
            match unsafe { fork() }.unwrap() {
                ForkResult::Child => {
                    let is_forked = |e: Error| e.kind() == ErrorKind::Forked;
                    let told = call.result(SECOND).is_err_and(is_forked)
                        && request.next(SECOND).is_err_and(is_forked)
                        && request.send(Payload::raw(b"z"), SECOND).is_err_and(is_forked)
                        && request.reply(Payload::raw(b"z")).is_err_and(is_forked);
                    drop(call);
                    // SAFETY: ends the child without running the test harness's exit handlers.
                    unsafe { nix::libc::_exit(i32::from(!told)) }
                }
                ForkResult::Parent { child } => ends.push(ended(child, Duration::from_secs(5))),
            }
        }
        give_back(request);
        assert_eq!(asked.result(A_WHILE).unwrap().data(), b"asked");
        over.store(true, Ordering::Relaxed);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(ends.iter().all(|end| *end == Some(0)), "{ends:?}");
        assert_eq!(call.result(A_WHILE).unwrap().data(), b"x");
    });
}

/// What tells of a process's death is watched for each of its channels, in a set within a set within an event loop's: the
/// kernel allows a hundred of those for one descriptor.
#[test]
fn one_process_may_have_many_clients_of_a_service_in_an_event_loop() {
    const NAME: &str = "one_process_may_have_many_clients_of_a_service_in_an_event_loop";
    if common::child::role().is_some() {
        let ax = Domain::open_with(common::options_in(&common::child::directory())).unwrap();
        let connect = |_| {
            let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
            client.call("echo", Payload::raw(b"x"), A_WHILE).unwrap();
            client
        };
        let clients: Vec<Client> = (0..110).map(connect).collect();
        drop(clients);
        return;
    }
    let place = Place::new();
    let ax = place.open();
    let (service, _) = opened(&ax);
    let set = Epoll::new(EpollCreateFlags::empty()).unwrap();
    // SAFETY: the service is open as long as the set.
    let fd = unsafe { BorrowedFd::borrow_raw(service.fd().unwrap()) };
    set.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
    std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| common::child::run(&mut common::child::command(NAME, "call", place.path())));
        while !calling.is_finished() {
            set.wait(&mut [EpollEvent::empty()], 10u8).unwrap();
            while let Some(request) = service.try_next().unwrap() {
                give_back(request);
            }
        }
        calling.join().unwrap();
    });
}

/// Nobody can be let in without descriptors: that is tried now and then, and not all the time.
#[test]
fn a_service_without_descriptors_sleeps() {
    without_descriptors("a_service_without_descriptors_sleeps", |service| service.next(millis(400)).ok());
}

/// An event loop looks only when it is told to.
#[test]
fn a_service_without_descriptors_tells_its_event_loop_when_it_has_some() {
    let name = "a_service_without_descriptors_tells_its_event_loop_when_it_has_some";
    without_descriptors(name, |service| {
        let until = Instant::now() + Duration::from_millis(400);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if common::wait_readable(service.fd().unwrap(), left)
                && let Some(request) = service.try_next().unwrap()
            {
                return Some(request);
            }
        }
        None
    });
}

/// In a process of its own: `take` takes a call if one comes within 400 ms.
fn without_descriptors(name: &str, take: impl Fn(&Service) -> Option<Request>) {
    if common::child::role().is_none() {
        let place = Place::new();
        common::child::run(&mut common::child::command(name, "serve", place.path()));
        return;
    }
    let ax = Domain::open_with(common::options_in(&common::child::directory())).unwrap();
    let (service, client) = opened(&ax);
    std::thread::scope(|scope| {
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let calling = scope.spawn(|| client.call("echo", Payload::raw(b"x"), A_WHILE));
        std::thread::sleep(Duration::from_millis(100));
        let files: Vec<_> =
            std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).take(used as usize + 64).collect();
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, used, used + 128).unwrap();
        let before = cpu_time();
        assert!(take(&service).is_none());
        let worked = cpu_time() - before;
        assert!(worked < Duration::from_millis(200), "{worked:?} of 400 ms");
        drop(files);
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, used + 128, used + 128)
            .unwrap();
        let request = (0..10).find_map(|_| take(&service));
        let _closing = Closing(&service);
        give_back(request.expect("whoever waits is let in"));
        assert_eq!(calling.join().unwrap().unwrap().data(), b"x");
    });
}

/// However many descriptors there are: some let a client be accepted, and not be watched.
#[test]
fn who_is_accepted_and_cannot_be_watched_stays_at_the_door() {
    const NAME: &str = "who_is_accepted_and_cannot_be_watched_stays_at_the_door";
    if common::child::role().is_none() {
        let place = Place::new();
        return common::child::run(&mut common::child::command(NAME, "serve", place.path()));
    }
    let directory = common::child::directory();
    let ax = Domain::open_with(common::options_in(&directory)).unwrap();
    let (service, _) = opened(&ax);
    let socket = format!("unix://{}", directory.join("s").display());
    let addresses = [&socket, "tcp://127.0.0.1:0"].map(|address| service.listen(address).unwrap());
    assert!(service.next(millis(1)).is_err());
    let limit = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 + 40;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, limit, limit).unwrap();
    for (address, free) in addresses.iter().flat_map(|address| (0..6).map(move |free| (address, free))) {
        // The one before has gone, with its descriptors.
        assert!(service.next(millis(20)).is_err());
        let options = ClientOptions { address: Some(address.clone()), ..Default::default() };
        let client = ax.client("search", "^1", &options).unwrap();
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| client.call("echo", Payload::raw(b"x"), A_WHILE));
            // It has come, and waits to be let in.
            std::thread::sleep(Duration::from_millis(30));
            let mut files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
            files.truncate(files.len() - free);
            let early = service.next(millis(50)).ok();
            drop(files);
            let request = early.or_else(|| service.next(A_WHILE).ok());
            if let Some(request) = request {
                give_back(request);
            }
            let called = calling.join().unwrap();
            assert!(
                called.as_ref().is_ok_and(|body| body.data() == b"x"),
                "{address}, {free} free: {called:?}"
            );
        });
    }
}

/// Where something is lost, or nothing has bounds, no call could be relied on.
#[test]
fn calls_are_refused_where_they_could_be_lost() {
    let place = Place::new();
    let ax = place.open();
    let (service, _) = opened(&ax);
    let socket = format!("unix://{}", place.path().join("s").display());
    for address in [
        "udp://127.0.0.1:0".into(),
        format!("{socket}?type=datagram"),
        format!("{socket}?framing=none"),
        "tcp://127.0.0.1:0?framing=none".into(),
    ] {
        let refused = service.listen(&address).unwrap_err();
        assert!(
            refused.kind() == ErrorKind::Unsupported && refused.message().contains("no calls"),
            "{refused}"
        );
        let options = ClientOptions { address: Some(address), ..Default::default() };
        assert_eq!(ax.client("search", "^1", &options).unwrap_err().kind(), ErrorKind::Unsupported);
    }
    for max_message in [0, 1023, (1 << 30) + 1] {
        let channel = ChannelOptions { max_message, ..Default::default() };
        let options = ServiceOptions { channel: channel.clone(), ..Default::default() };
        let refused = ax.service("other", "1.0.0", &options).unwrap_err();
        assert!(refused.message().contains("max_message"), "{refused}");
        let options = ClientOptions { channel, address: None };
        assert_eq!(ax.client("search", "^1", &options).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

/// It waits for its result alone, as does who looks for that now and then.
#[test]
fn who_takes_no_items_has_the_result_all_the_same() {
    let place = Place::new();
    let ax = place.open();
    let (service, client) = opened(&ax);
    let options = CallOptions { stream: true, timeout: A_WHILE, ..Default::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                let request = service.next(A_WHILE).unwrap();
                (0..2000).for_each(|_| request.send(Payload::raw(&[7; 1024]), A_WHILE).unwrap());
                request.reply(Payload::raw(b"all")).unwrap();
            }
        });
        let mut call = client.start("items", Payload::raw(b""), &options).unwrap();
        assert_eq!(call.result(None).unwrap().data(), b"all");
        let mut call = client.start("items", Payload::raw(b""), &options).unwrap();
        let taken = loop {
            if let Some(result) = call.try_result().unwrap() {
                break result;
            }
        };
        assert_eq!(taken.data(), b"all");
        // Another thread reads for both.
        let mut call = client.start("items", Payload::raw(b""), &options).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| client.call("echo", Payload::raw(b"x"), A_WHILE));
            assert_eq!(call.result(None).unwrap().data(), b"all");
            give_back(service.next(A_WHILE).unwrap());
            assert_eq!(other.join().unwrap().unwrap().data(), b"x");
        });
    });
}

#[test]
fn closing_the_domain_ends_the_wait_for_calls() {
    let place = Place::new();
    let ax = place.open();
    let (service, _) = opened(&ax);
    service.listen(&format!("unix://{}", place.path().join("socket").display())).unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| service.next(A_WHILE).map(drop));
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        ax.close();
        // Whoever comes now finds a listener that nobody has.
        let _ = UnixStream::connect(place.path().join("socket"));
        assert_eq!(serving.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        service.close();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

/// What one thread leaves behind for want of room another one sends, though it waits for something else.
#[test]
fn what_is_kept_goes_out_while_another_thread_waits() {
    let place = Place::new();
    let ax = place.open();
    let service = ax.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    let address = service.listen(&format!("unix://{}", place.path().join("socket").display())).unwrap();
    let options = ClientOptions { address: Some(address), ..Default::default() };
    let client = ax.client("search", "^1", &options).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&service);
        let waiting = scope.spawn(|| client.call("wait", Payload::raw(b"x"), None));
        let held = service.next(A_WHILE).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let large = vec![7; 1 << 20];
        let start = |_| client.try_start("large", Payload::raw(&large), &CallOptions::default());
        // They are given up, but for that they have to come.
        drop((0..4).map(start).collect::<Vec<_>>());
        (0..4).for_each(|_| drop(service.next(A_WHILE).unwrap()));
        give_back(held);
        assert_eq!(waiting.join().unwrap().unwrap().data(), b"x");
    });
}
