//! Pipelines, closed pipes and signals.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Place, Running, until};

#[test]
fn sub_and_pub_make_a_filter_between_two_topics() {
    let place = Place::new();
    let sink = place.sub(["b", "--count", "2"]);
    let script = "axonic sub a --count 4 | grep --line-buffered x | axonic pub b";
    let filter = Running::start(&mut place.shell(script));
    until("the filter listens", || place.listeners() == 2);
    for data in ["x1", "y2", "3x", "4"] {
        place.ok(["pub", "a", data]);
    }
    assert_eq!(sink.finish().ok(), "x1\n3x\n");
    filter.finish().ok();
}

#[test]
fn a_message_goes_through_a_pipeline_at_once() {
    let place = Place::new();
    let sink = place.sub(["b", "--count", "1"]);
    let mut filter = Running::start(&mut place.shell("axonic sub a | cat -u | axonic pub b"));
    until("the filter listens", || place.listeners() == 2);
    place.ok(["pub", "a", "now"]);
    // The filter is still running: nothing waited in a buffer for its end.
    assert_eq!(sink.finish().ok(), "now\n");
    assert!(filter.child().try_wait().unwrap().is_none());
    drop(filter);
    until("the whole filter has ended", || place.listeners() == 0);
}

#[test]
fn sub_ends_when_its_reader_has_gone() {
    let place = Place::new();
    let script = "{ axonic sub a; echo $? >&2; } | head -n 1";
    let reader = Running::start(&mut place.shell(script));
    until("it listens", || place.listeners() == 1);
    place.ok(["pub", "a", "first"]);
    // No second message comes that could meet the closed pipe.
    let done = reader.finish();
    assert_eq!((done.out.as_str(), done.err.as_str()), ("first\n", "0\n"));
    assert_eq!(place.listeners(), 0);
}

#[test]
fn a_closed_stdout_is_no_error() {
    let place = Place::new();
    let domain = place.open("default");
    for verb in ["ls", "ls default", "stat", "stat --json", "top --once", "doctor", "--help", "pub --help"] {
        // `true` may be gone before or after the first write: both have to be quiet.
        let script = format!("{{ sleep 0.05; axonic {verb}; echo $? >&2; }} | true");
        let done = Running::start(&mut place.shell(&script)).finish();
        assert_eq!((done.out.as_str(), done.err.as_str()), ("", "0\n"), "{verb}");
    }
    drop(domain);
}

#[test]
fn a_full_stdout_is_an_error() {
    let place = Place::new();
    let _domain = place.open("default");
    let done = Running::start(&mut place.shell("axonic stat > /dev/full")).finish();
    let (code, message) = done.error();
    assert_eq!(code, 1);
    assert!(message.contains("space"), "{message}");
}

#[test]
fn ctrl_c_ends_sub_cleanly() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let place = Place::new();
        let mut sub = place.sub(["a"]);
        place.ok(["pub", "a", "x"]);
        until("it was read", || place.snapshot().subscribers.iter().any(|s| s.received == 1));
        sub.signal(signal);
        assert_eq!(sub.finish().ok(), "x\n");
        let left = place.snapshot();
        assert!(left.subscribers.is_empty() && left.participants.iter().all(|p| !p.alive));
        place.ok(["doctor"]);
    }
}

#[test]
fn ctrl_c_before_the_work_is_done_shows_in_the_exit_code() {
    let place = Place::new();
    let mut counting = place.sub(["a", "--count", "5"]);
    counting.signal(Signal::SIGINT);
    assert_eq!(counting.finish().code, 130);

    let mut waiting = Running::start(&mut place.axonic(["pub", "b", "x", "--wait-for", "1"]));
    until("it publishes", || place.snapshot().publishers.iter().any(|p| p.topic == "b"));
    waiting.signal(Signal::SIGTERM);
    assert_eq!(waiting.finish().code, 143);

    let mut reading = Running::start(place.axonic(["pub", "c"]).stdin(Stdio::piped()));
    until("it publishes", || place.snapshot().publishers.iter().any(|p| p.topic == "c"));
    reading.signal(Signal::SIGINT);
    let stdin = reading.child().stdin.take();
    assert_eq!(reading.finish().code, 130);
    drop(stdin);
    place.ok(["doctor"]);
}

#[test]
fn ctrl_c_ends_a_pub_that_waits_for_room_and_a_sub_whose_reader_sleeps() {
    let place = Place::new();
    // A pipe nobody reads: `sub` blocks in its write, then `pub` in its ring.
    let mut sub = place.sub(["a"]);
    let mut publisher = Running::start(place.axonic(["pub", "a"]).stdin(Stdio::piped()));
    let mut stdin = publisher.child().stdin.take().unwrap();
    let writer = std::thread::spawn(move || while stdin.write_all(&[b'x', b'\n'].repeat(4096)).is_ok() {});
    until("everything is full", || {
        let count = |place: &Place| place.snapshot().publishers.first().map(|p| p.published);
        let before = count(&place);
        std::thread::sleep(Duration::from_millis(200));
        before.is_some_and(|published| published > 0) && count(&place) == before
    });
    publisher.signal(Signal::SIGINT);
    assert_eq!(publisher.finish().code, 130);
    writer.join().unwrap();
    sub.signal(Signal::SIGINT);
    let status = {
        let child = sub.child();
        until("sub ends", || child.try_wait().unwrap().is_some());
        child.wait().unwrap()
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_background_job_ignores_the_interrupt_it_was_told_to_ignore() {
    let place = Place::new();
    let mut command = place.shell("trap '' INT; exec axonic sub a --count 1");
    let mut sub = Running::start(&mut command);
    until("it listens", || place.listeners() == 1);
    sub.signal(Signal::SIGINT);
    place.ok(["pub", "a", "still here"]);
    assert_eq!(sub.finish().ok(), "still here\n");
}

#[test]
fn pub_waits_for_its_listeners() {
    let place = Place::new();
    let mut waiting = Running::start(&mut place.axonic(["pub", "a", "x", "--wait-for", "2"]));
    let first = place.sub(["a", "--count", "1"]);
    assert!(waiting.child().try_wait().unwrap().is_none(), "one is not enough");
    let second = Running::start(&mut place.axonic(["sub", "a", "--count", "1"]));
    assert_eq!(first.finish().ok(), "x\n");
    assert_eq!(second.finish().ok(), "x\n");
    waiting.finish().ok();
}
