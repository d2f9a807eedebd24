//! Accepting against giving up: at every step of one of them the other happens as a whole. Whatever comes of it, both sides
//! agree: either both have the channel, or whoever gave up has none and its end is told, and nothing stays.
//!
//! What decides is in the directory, one renames what the other removes, so this is played on files rather than modelled.

use super::channels::blocking;
use super::chosen_steps;
use super::common::Place;
use super::litmus::{self, PATIENCE, Parent, Process, start};
use axonic::*;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::time::{Duration, Instant};

const ADDRESS: &str = "shm://test/here";

/// How long whoever connects waits.
const BRIEF: Option<Duration> = Some(Duration::from_millis(2));

/// The same where it must not give up before the other one is asked to accept.
const PATIENT: Option<Duration> = Some(Duration::from_millis(200));

/// Says something through a channel; whether the other end was there to answer.
fn is_met(channel: &Channel) -> bool {
    channel.send(b"question", PATIENCE).is_ok()
        && channel.receive(PATIENCE).is_ok_and(|answer| answer.data == b"answer")
}

/// At the other end: whether there was a question.
fn is_asked(channel: &Channel) -> bool {
    let asked = channel.receive(PATIENCE);
    if let Err(e) = &asked {
        assert_eq!(e.kind(), ErrorKind::Disconnected, "{e}");
    }
    asked.is_ok_and(|question| question.data == b"question") && channel.send(b"answer", PATIENCE).is_ok()
}

fn come(domain: &Domain) -> bool {
    match domain.connect(ADDRESS, &blocking(), PATIENT) {
        Ok(channel) => {
            assert!(is_met(&channel), "a channel whose other end nobody has");
            true
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Timeout, "{e}");
            false
        }
    }
}

/// `step`: connects and gives up, stopped there; says whether it has met somebody.
pub fn come_and_stop(parent: &mut Parent) {
    let (domain, after) = (litmus::open(), parent.number(0));
    crash::arm(after, Signal::SIGSTOP as i32);
    let connected = domain.connect(ADDRESS, &blocking(), BRIEF);
    parent.say(format!("steps {}", after - crash::disarm()));
    let met = match connected {
        Ok(channel) => is_met(&channel),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Timeout, "{e}");
            false
        }
    };
    parent.say(met);
    parent.wait_for_end();
}

/// `step`: accepts who waits, stopped there; says whether it has met somebody.
pub fn accept_and_stop(parent: &mut Parent) {
    let (domain, after) = (litmus::open(), parent.number(0));
    let listener = domain.listen(ADDRESS, &blocking()).unwrap();
    parent.say("listening");
    parent.hear().expect("somebody waits");
    crash::arm(after, Signal::SIGSTOP as i32);
    let accepted = listener.try_accept().unwrap();
    parent.say(format!("steps {}", after - crash::disarm()));
    parent.say(accepted.is_some_and(|channel| is_asked(&channel)));
    parent.wait_for_end();
}

/// Has it go on if it was stopped: its steps, or `None`.
fn stopped(process: &mut Process, meanwhile: impl FnOnce()) -> Option<u64> {
    let line = process.hear();
    if let Some(steps) = line.strip_prefix("steps ") {
        meanwhile();
        return Some(steps.parse().unwrap());
    }
    let status = waitpid(process.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(process.pid(), Signal::SIGSTOP), "{line}");
    meanwhile();
    process.signal(Signal::SIGCONT);
    assert!(process.hear().starts_with("steps "));
    None
}

fn is_left_empty(place: &Place) {
    let started = Instant::now();
    while !place.files().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "left behind: {:?}", place.files());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whoever comes stops at a step, and is accepted as far as it is there. How many steps it has, if it has no such step.
fn accepted_at(step: u64) -> Option<u64> {
    let place = Place::new();
    let domain = place.open();
    let listener = domain.listen(ADDRESS, &blocking()).unwrap();
    let mut comer = start("come_and_stop", place.path(), &step.to_string());
    let mut accepted = None;
    let steps = stopped(&mut comer, || accepted = listener.try_accept().unwrap());
    // It may have come to be there only then.
    let accepted = accepted.or_else(|| listener.accept(BRIEF).ok());
    let asked = accepted.is_some_and(|channel| is_asked(&channel));
    assert_eq!(comer.hear(), asked.to_string(), "step {step}: who came, and who accepted");
    comer.end();
    drop((listener, domain));
    is_left_empty(&place);
    steps
}

/// Whoever accepts stops at a step, and who waits gives up meanwhile.
fn given_up_at(step: u64) -> Option<u64> {
    let place = Place::new();
    let mut accepter = start("accept_and_stop", place.path(), &step.to_string());
    assert_eq!(accepter.hear(), "listening");
    let domain = place.open();
    let (steps, met) = std::thread::scope(|scope| {
        let coming = scope.spawn(|| come(&domain));
        while snapshot(&place.options()).unwrap().listeners.iter().all(|listener| listener.waiting == 0) {
            if coming.is_finished() {
                break;
            }
        }
        accepter.say("go");
        let steps =
            stopped(&mut accepter, || std::thread::sleep(PATIENT.unwrap() + Duration::from_millis(50)));
        (steps, coming.join().unwrap())
    });
    assert_eq!(accepter.hear(), met.to_string(), "step {step}: who accepted, and who came");
    accepter.end();
    drop(domain);
    is_left_empty(&place);
    steps
}

/// All steps, or about so many.
fn meet(name: &str, most: u64, at: fn(u64) -> Option<u64>) {
    chosen_steps(
        name,
        most,
        || at(super::NEVER).filter(|steps| *steps > 5).expect("it has steps, and comes to its end"),
        |step| at(step).is_none(),
    );
}

#[test]
fn accepted_at_every_step_of_connecting_and_giving_up() {
    meet("accepted_at", u64::MAX, accepted_at);
}

#[test]
fn given_up_at_every_step_of_accepting() {
    meet("given_up_at", u64::MAX, given_up_at);
}
