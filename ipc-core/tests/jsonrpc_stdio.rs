//! A service at the end of two pipes, as a program has it that another one starts: it is there for whoever has the other ends.

mod common;

use axonic::{ChannelOptions, ErrorKind, Payload, Request, Service, ServiceOptions, Wait};
use common::Place;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SECONDS: Option<Duration> = Some(Duration::from_secs(10));

/// What the other program has.
struct Parent {
    to_service: PipeWriter,
    from_service: PipeReader,
}

impl Parent {
    fn ask(&mut self, method: &str, id: u32) {
        writeln!(self.to_service, r#"{{"jsonrpc":"2.0","method":"{method}","id":{id}}}"#).unwrap();
    }

    /// The rest of what it is told, having nothing more to say.
    fn hear_out(self) -> String {
        drop(self.to_service);
        let mut said = String::new();
        BufReader::new(self.from_service).read_to_string(&mut said).unwrap();
        said
    }
}

/// A service with two pipes, to its other ends.
fn start(place: &Place) -> (Service, Parent) {
    start_with(place, Wait::default())
}

fn start_with(place: &Place, wait: Wait) -> (Service, Parent) {
    let channel = ChannelOptions { wait, ..Default::default() };
    let options = ServiceOptions { channel, ..Default::default() };
    let service = place.open().service("maths", "1.0.0", &options).unwrap();
    let (read, to_service) = std::io::pipe().unwrap();
    let (from_service, write) = std::io::pipe().unwrap();
    let address = format!("pipe:{},{}", read.as_raw_fd(), write.as_raw_fd());
    assert_eq!(service.listen(&address).unwrap(), address);
    // The service has them now.
    std::mem::forget((read, write));
    (service, Parent { to_service, from_service })
}

fn reply(request: Request) {
    request.reply(Payload::json(b"\"done\"")).unwrap();
}

fn response(id: u32) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"result\":\"done\",\"id\":{id}}}\n")
}

/// That nothing comes any more, whoever asks.
fn is_over(service: &Service) {
    for _ in 0..2 {
        let error = service.next(SECONDS).unwrap_err();
        assert!(error.kind() == ErrorKind::Disconnected && error.message().contains("pipe"), "{error}");
        assert_eq!(service.try_next().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn a_service_is_over_when_its_standard_input_is() {
    [Wait::Adaptive, Wait::Block, Wait::Spin].into_iter().for_each(is_over_after_its_input);
}

fn is_over_after_its_input(wait: Wait) {
    let place = Place::new();
    let (service, mut parent) = start_with(&place, wait);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            while let Ok(request) = service.next(None) {
                reply(request);
            }
        });
        for id in 0..3 {
            parent.ask("echo", id);
            let mut line = String::new();
            BufReader::with_capacity(1, &parent.from_service).read_line(&mut line).unwrap();
            assert_eq!(line, response(id));
        }
        assert!(!serving.is_finished());
        assert_eq!(parent.hear_out(), "");
        serving.join().unwrap();
    });
    is_over(&service);
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let place = Place::new();
    let (service, mut parent) = start(&place);
    (0..3).for_each(|id| parent.ask("echo", id));
    let requests: Vec<_> = (0..2).map(|_| service.next(SECONDS).unwrap()).collect();
    std::thread::scope(|scope| {
        let hearing = scope.spawn(|| parent.hear_out());
        // Its end is seen meanwhile.
        let third = service.next(SECONDS).unwrap();
        assert_eq!(service.next(Some(Duration::from_millis(20))).unwrap_err().kind(), ErrorKind::Timeout);
        assert!(!requests[0].is_cancelled() && !third.is_cancelled());
        requests.into_iter().chain([third]).for_each(reply);
        is_over(&service);
        assert_eq!(hearing.join().unwrap(), (0..3).map(response).collect::<String>());
    });
}

#[test]
fn what_is_streamed_after_the_end_is_heard() {
    let place = Place::new();
    let (service, mut parent) = start(&place);
    parent.ask("stream", 1);
    let request = service.next(SECONDS).unwrap();
    std::thread::scope(|scope| {
        let hearing = scope.spawn(|| parent.hear_out());
        assert_eq!(service.next(Some(Duration::from_millis(20))).unwrap_err().kind(), ErrorKind::Timeout);
        // More than may be on its way without its taker saying so.
        let item = format!("\"{}\"", "x".repeat(10_000));
        for _ in 0..100 {
            request.send(Payload::json(item.as_bytes()), SECONDS).unwrap();
        }
        request.reply(Payload::default()).unwrap();
        is_over(&service);
        assert_eq!(hearing.join().unwrap().len(), response(1).len() - "\"done\"".len() + 100 * 10_003 + 1);
    });
}

#[test]
fn what_a_dead_parent_has_asked_is_cancelled() {
    let place = Place::new();
    let (service, mut parent) = start(&place);
    parent.ask("hang", 1);
    let request = service.next(SECONDS).unwrap();
    drop(parent);
    let cancelled = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| is_over(&service));
        while !request.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        cancelled.store(true, Ordering::Release);
        drop(request);
    });
    assert!(cancelled.load(Ordering::Acquire));
}

/// Several handlers may have the last answers at the same time: whoever sees one of them sent still waits for the others.
#[test]
fn the_last_answers_are_told_together() {
    for _ in 0..50 {
        let place = Place::new();
        let (service, mut parent) = start(&place);
        (0..4).for_each(|id| parent.ask("echo", id));
        let requests: Vec<_> = (0..4).map(|_| service.next(SECONDS).unwrap()).collect();
        let together = Barrier::new(requests.len());
        let said = std::thread::scope(|scope| {
            let hearing = scope.spawn(|| parent.hear_out());
            scope.spawn(|| is_over(&service));
            std::thread::sleep(Duration::from_millis(2));
            for request in requests {
                scope.spawn(|| {
                    together.wait();
                    reply(request);
                });
            }
            hearing.join().unwrap()
        });
        assert_eq!(said.lines().count(), 4, "{said}");
    }
}

/// Nothing else tells an event loop that nobody hears the answer to what was asked last.
#[test]
fn an_event_loop_is_told_that_nobody_hears_the_last_answer() {
    let place = Place::new();
    let (service, mut parent) = start(&place);
    parent.ask("echo", 1);
    let mut request = None;
    while request.is_none() {
        assert!(common::wait_readable(service.fd().unwrap(), Duration::from_secs(10)));
        request = service.try_next().unwrap();
    }
    let Parent { to_service, from_service } = parent;
    drop(to_service);
    // It hears of that end.
    while common::wait_readable(service.fd().unwrap(), Duration::from_millis(50)) {
        assert!(service.try_next().unwrap().is_none());
    }
    drop(from_service);
    request.into_iter().for_each(reply);
    assert!(common::wait_readable(service.fd().unwrap(), Duration::from_secs(10)));
    assert_eq!(service.try_next().unwrap_err().kind(), ErrorKind::Disconnected);
}

/// Node gives its children sockets, and two of them.
#[test]
fn two_sockets_are_as_good_as_two_pipes() {
    let place = Place::new();
    let service = place.open().service("maths", "1.0.0", &ServiceOptions::default()).unwrap();
    let [(input, mut to_service), (mut from_service, output)] = [(); 2].map(|()| UnixStream::pair().unwrap());
    service.listen(&format!("pipe:{},{}", input.as_raw_fd(), output.as_raw_fd())).unwrap();
    std::mem::forget((input, output));
    writeln!(to_service, r#"{{"jsonrpc":"2.0","method":"echo","id":7}}"#).unwrap();
    reply(service.next(SECONDS).unwrap());
    drop(to_service);
    is_over(&service);
    let mut said = String::new();
    from_service.read_to_string(&mut said).unwrap();
    assert_eq!(said, response(7));
}

/// However the last of it went out: by a turn of the event loop that had something else to do, too.
#[test]
fn an_event_loop_is_told_that_answers_without_room_have_gone_out() {
    let large = format!("\"{}\"", "x".repeat(300_000));
    for _ in 0..20 {
        let place = Place::new();
        let (service, mut parent) = start(&place);
        (0..6).for_each(|id| parent.ask("large", id));
        let hearing = std::thread::spawn(|| parent.hear_out());
        let over = loop {
            assert!(
                common::wait_readable(service.fd().unwrap(), Duration::from_secs(10)),
                "it sleeps for ever"
            );
            match service.try_next() {
                Ok(Some(request)) => request.reply(Payload::json(large.as_bytes())).unwrap(),
                Ok(None) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(over.kind(), ErrorKind::Disconnected);
        assert_eq!(hearing.join().unwrap().lines().count(), 6);
    }
}
