//! Channels and services as an onlooker sees them, what the doctor says of those on which nothing gets on, and what of them
//! stays when somebody dies.

mod common;

use axonic::*;
use common::{Place, child, expect, options_in};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_secs(10));
const BRIEF: Option<Duration> = Some(Duration::from_millis(20));

fn seen(place: &Place) -> Snapshot {
    snapshot(&place.options()).unwrap()
}

fn options() -> ChannelOptions {
    ChannelOptions { wait: Wait::Block, ..Default::default() }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The one finding of a kind, which has these words.
#[track_caller]
fn one(place: &Place, kind: &str, words: &[&str]) {
    let all = doctor(&place.options(), false).unwrap();
    let found: Vec<&Finding> = all.iter().filter(|found| found.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {all:#?}");
    assert_eq!(found[0].severity, Severity::Warning, "{found:#?}");
    let text = format!("{}\n{}\n{}", found[0].what, found[0].why, found[0].remedy);
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
}

#[track_caller]
fn none(place: &Place) {
    let all = doctor(&place.options(), false).unwrap();
    assert!(
        all.iter().all(|found| !found.kind.starts_with("channel_") && found.kind != "service_not_served"),
        "{all:#?}"
    );
}

#[test]
fn who_listens_who_waits_and_what_is_under_way() {
    let place = Place::new();
    let ax = place.open();
    let listener = ax.listen("shm://test/jobs", &options()).unwrap();
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| ax.connect("shm://test/jobs", &options(), SECOND).unwrap());
        until("it waits", || seen(&place).listeners[0].waiting == 1);
        let there = seen(&place);
        let [jobs] = &there.listeners[..] else { panic!("{there:#?}") };
        assert!(
            jobs.name == "jobs" && jobs.alive && jobs.since_unix_ms > 0 && jobs.waiting_since_unix_ms > 0
        );
        assert!(there.channels[0].server.is_none() && there.channels[0].listener == "jobs");
        none(&place);
        std::thread::sleep(Duration::from_millis(600));
        one(&place, "channel_not_accepted", &["listener 'jobs'", "1 wait", "does not accept"]);
        let accepted = listener.accept(SECOND).unwrap();
        let channel = connecting.join().unwrap();
        (0..3).for_each(|_| channel.send(&[7; 100], SECOND).unwrap());
        let there = seen(&place);
        let [one] = &there.channels[..] else { panic!("{there:#?}") };
        let server = one.server.as_ref().unwrap();
        assert_eq!((one.client.records, one.client.pending_bytes), (3, 3 * 128));
        assert_eq!((server.records, server.pending_bytes), (0, 0));
        assert!(one.client.alive && server.pid == std::process::id() && there.listeners[0].waiting == 0);
        (0..3).for_each(|_| drop(accepted.receive(SECOND).unwrap()));
        assert_eq!(seen(&place).channels[0].client.pending_bytes, 0);
        channel.finish(SECOND).unwrap();
        let one = &seen(&place).channels[0];
        assert!(one.client.closed && !one.server.as_ref().unwrap().closed);
    });
    drop(listener);
    assert_eq!((seen(&place).listeners.len(), seen(&place).channels.len()), (0, 0));
}

#[test]
fn a_writer_that_waits_and_whom_for() {
    let place = Place::new();
    let ax = place.open();
    let listener = ax.listen("shm://test/jobs", &options()).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SECOND).unwrap());
        let channel = ax.connect("shm://test/jobs", &options(), SECOND).unwrap();
        let accepted = accepting.join().unwrap();
        let sending = scope.spawn(move || channel.send(&[7; 1 << 20], SECOND));
        until("it waits for room", || seen(&place).channels[0].client.blocked_since_unix_ms > 0);
        let me = std::process::id().to_string();
        one(&place, "channel_blocked", &["waits for room", "'jobs'", "does not read on", &me]);
        assert_eq!(accepted.receive(SECOND).unwrap().data.len(), 1 << 20);
        sending.join().unwrap().unwrap();
        none(&place);
    });
}

#[test]
fn a_service_that_takes_no_calls() {
    let place = Place::new();
    let ax = place.open();
    let service =
        ax.service("search", "1.2.0", &ServiceOptions { concurrency: 1, ..Default::default() }).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| client.call("a", Payload::raw(b"x"), SECOND));
        until("it waits", || seen(&place).services[0].waiting == 1);
        one(&place, "service_not_served", &["search@1.2.0", "1 clients wait", "takes none"]);
        let request = service.next(SECOND).unwrap();
        let there = seen(&place).services.remove(0);
        assert_eq!((there.name.as_str(), there.version.as_str(), there.alive), ("search", "1.2.0", true));
        assert_eq!((there.at_work, there.calls, there.clients, there.concurrency), (1, 1, 1, 1));
        assert!(seen(&place).listeners.is_empty() && seen(&place).channels[0].listener == "search@1.2.0");
        none(&place);
        let mut second = client.start("b", Payload::raw(b"x"), &CallOptions::default()).unwrap();
        one(&place, "service_not_served", &["has as many calls at work as may be", "raise its concurrency"]);
        request.reply(Payload::raw(b"y")).unwrap();
        assert_eq!(calling.join().unwrap().unwrap().data(), b"y");
        service.next(SECOND).unwrap().reply(Payload::raw(b"z")).unwrap();
        assert_eq!(second.result(SECOND).unwrap().data(), b"z");
        assert_eq!(seen(&place).services[0].at_work, 0);
    });
}

#[test]
fn who_waits_to_be_accepted_hears_that_the_listener_ends() {
    let place = Place::new();
    let ax = place.open();
    for close_the_domain in [false, true] {
        let theirs = place.open();
        let listener = theirs.listen("shm://test/jobs", &options()).unwrap();
        std::thread::scope(|scope| {
            let connecting = scope.spawn(|| ax.connect("shm://test/jobs", &options(), None));
            until("it waits", || seen(&place).listeners[0].waiting == 1);
            let began = Instant::now();
            if close_the_domain {
                theirs.close()
            } else {
                listener.close()
            };
            drop(listener);
            expect(connecting.join().unwrap(), ErrorKind::Disconnected, &["ended before it accepted"]);
            assert!(began.elapsed() < Duration::from_secs(1));
        });
    }
    expect(ax.connect("shm://test/jobs", &options(), BRIEF), ErrorKind::NotFound, &["nobody listens there"]);
}

#[test]
fn a_listener_of_a_closed_domain_leaves_its_successor_alone() {
    let place = Place::new();
    let ax = place.open();
    let theirs = place.open();
    let first = theirs.listen("shm://test/jobs", &options()).unwrap();
    expect(ax.listen("shm://test/jobs", &options()), ErrorKind::Busy, &["listens there already"]);
    theirs.close();
    let second = ax.listen("shm://test/jobs", &options()).unwrap();
    drop(first);
    std::thread::scope(|scope| {
        scope.spawn(|| second.accept(SECOND).unwrap());
        ax.connect("shm://test/jobs", &options(), SECOND).unwrap();
    });
}

#[test]
fn a_closed_domain_ends_its_channels_at_once() {
    let place = Place::new();
    let (ax, theirs) = (place.open(), place.open());
    let listener = ax.listen("shm://test/jobs", &options()).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SECOND).unwrap());
        let channel = theirs.connect("shm://test/jobs", &options(), SECOND).unwrap();
        let accepted = accepting.join().unwrap();
        channel.send(b"x", SECOND).unwrap();
        let receiving = scope.spawn(move || {
            assert_eq!(accepted.receive(SECOND).unwrap().data, b"x");
            accepted.receive(SECOND).unwrap_err().kind()
        });
        theirs.close();
        assert_eq!(receiving.join().unwrap(), ErrorKind::Disconnected);
        assert_eq!(channel.send(b"y", SECOND).unwrap_err().kind(), ErrorKind::Closed);
    });
}

/// Has a listener that accepts one channel, a service, and a channel to somebody else's listener.
fn live() {
    let ax = Domain::open_with(options_in(&child::directory())).unwrap();
    let _listener = ax.listen("shm://test/theirs", &options()).unwrap();
    let _service = ax.service("theirs", "1.0.0", &ServiceOptions::default()).unwrap();
    let channel = ax.connect("shm://test/ours", &options(), SECOND).unwrap();
    (0..3).for_each(|_| channel.send(b"last words", SECOND).unwrap());
    child::ready_until_told();
}

#[test]
fn the_dead_leave_what_they_sent_and_nothing_else() {
    if child::role().is_some() {
        return live();
    }
    let place = Place::new();
    let ax = place.open();
    let listener = ax.listen("shm://test/ours", &options()).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SECOND).unwrap());
        let name = "the_dead_leave_what_they_sent_and_nothing_else";
        let running = child::Running::start(name, "live", place.path());
        let channel = accepting.join().unwrap();
        running.exit();
        let left = doctor(&place.options(), false).unwrap();
        let left = |name: &str| {
            left.iter()
                .filter(|f| f.path.as_ref().is_some_and(|p| p.to_string_lossy().contains(name)))
                .count()
        };
        assert_eq!((left("listeners/theirs"), left("channels/")), (2, 1));
        let generation = ax.client("theirs", "^1", &ClientOptions::default()).unwrap();
        let error = generation.call("a", Payload::raw(b""), SECOND).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        // Somebody who comes removes the names; what was sent is read all the same.
        let newcomer = place.open();
        let _listener = newcomer.listen("shm://test/new", &options()).unwrap();
        let left = seen(&place);
        assert_eq!(
            (
                left.listeners.len(),
                left.services.len(),
                left.participants.iter().filter(|p| !p.alive).count()
            ),
            (2, 0, 0)
        );
        (0..3).for_each(|_| assert_eq!(channel.receive(SECOND).unwrap().data, b"last words"));
        assert_eq!(channel.receive(SECOND).unwrap_err().kind(), ErrorKind::Disconnected);
    });
}

#[test]
fn a_stopped_process_is_named() {
    if child::role().is_some() {
        return live();
    }
    let place = Place::new();
    let ax = place.open();
    let listener = ax.listen("shm://test/ours", &options()).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SECOND).unwrap());
        let running = child::Running::start("a_stopped_process_is_named", "live", place.path());
        let channel = accepting.join().unwrap();
        let pid = channel.peer().pid.unwrap();
        kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).unwrap();
        let stopped = || seen(&place).participants.iter().any(|p| p.stopped);
        until("it is stopped", stopped);
        channel.send(&[7; 1 << 20], BRIEF).unwrap();
        let sending = scope.spawn(move || channel.send(b"more", Some(Duration::from_secs(1))));
        until("it waits for room", || {
            seen(&place).channels[0].server.as_ref().is_some_and(|s| s.blocked_since_unix_ms > 0)
        });
        one(&place, "channel_blocked", &["is stopped", &format!("kill -CONT {pid}")]);
        expect(sending.join().unwrap(), ErrorKind::Timeout, &["no room"]);
        kill(Pid::from_raw(pid as i32), Signal::SIGCONT).unwrap();
        running.exit();
    });
}

#[test]
fn who_only_looks_hears_of_a_death_too() {
    if child::role().is_some() {
        return live();
    }
    let place = Place::new();
    let ax = place.open();
    let listener = ax.listen("shm://test/ours", &options()).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SECOND).unwrap());
        let running = child::Running::start("who_only_looks_hears_of_a_death_too", "live", place.path());
        let channel = accepting.join().unwrap();
        running.exit();
        let began = Instant::now();
        let mut heard = None;
        until("it hears", || {
            heard = channel.try_receive().err().map(|e| e.kind());
            heard.is_some()
        });
        assert_eq!(heard, Some(ErrorKind::Disconnected));
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn what_is_no_channel_is_named() {
    let place = Place::new();
    let ax = place.open();
    let _listener = ax.listen("shm://test/jobs", &options()).unwrap();
    let at = |name: &str| place.path().join("test").join(name);
    let (foreign, damaged) = (at("channels/notes.txt"), at("listeners/other"));
    std::fs::write(&foreign, b"x").unwrap();
    std::fs::write(&damaged, b"x").unwrap();
    let found = |kind: &str| {
        let all = doctor(&place.options(), false).unwrap();
        all.into_iter().filter(|f| f.kind == kind).filter_map(|f| f.path).collect::<Vec<_>>()
    };
    assert_eq!((found("foreign"), found("damaged")), (vec![foreign.clone()], vec![damaged.clone()]));
    doctor(&place.options(), true).unwrap();
    assert!(foreign.exists() && !damaged.exists());
    std::fs::remove_file(foreign).unwrap();
}

/// The offsets that docs/protocol.md gives.
#[test]
fn files_are_as_the_protocol_says() {
    let place = Place::new();
    let ax = place.open();
    let service =
        ax.service("search", "1.2.0", &ServiceOptions { concurrency: 7, ..Default::default() }).unwrap();
    let client = ax.client("search", "^1", &ClientOptions::default()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| client.call("a", Payload::raw(b"x"), SECOND).unwrap_err());
        let _request = service.next(SECOND).unwrap();
        let read = |path: &std::path::Path| {
            let bytes = std::fs::read(path).unwrap();
            move |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
        };
        let named = |directory: &str, end: &str| {
            let path = place
                .files()
                .into_iter()
                .find(|p| p.parent().unwrap().ends_with(directory) && p.to_string_lossy().contains(end));
            path.unwrap()
        };
        let file = named("listeners", "search@1.2.0*");
        let listener = read(&file);
        assert_eq!((listener(8), listener(280), listener(640), listener(648)), (10 << 32 | 1, 7, 0, 1));
        assert!(listener(272) > 0 && listener(520) != 0);
        let (c, s) = (read(&named("channels", "-c")), read(&named("channels", "-s")));
        assert_eq!((c(8), s(8), c(280), c(56), s(56)), (11 << 32 | 1, 11 << 32 | 1, 256 << 10, c(56), c(56)));
        let me = u64::from(ax.participant().slot) << 32 | u64::from(ax.participant().epoch);
        assert_eq!((c(9488), s(9488), c(9496)), (0, me + 1, listener(56)));
        assert_eq!((s(9216), c(640)), (c(648), 1), "the service has read all of it");
        assert!(c(9352) != 0 && s(9352) != 0 && c(9480) == 16 << 20 && s(9480) == 16 << 20);
        assert!(c(9504) > 0 && s(9504) > 0 && c(9472) == 0);
    });
}
