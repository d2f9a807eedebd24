//! Forks while other threads change what a process has one of: the child has copies of locks that nobody gives back.

mod common;

use axonic::{ChannelOptions, Domain};
use common::Place;
use common::child::ended;
use nix::unistd::{ForkResult, fork};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_secs(2));

/// Forks again and again while threads do `often`, each with a number; what a child does is to go well, and to end.
fn fork_while(domain: &Domain, often: impl Fn(&Domain, usize) + Sync, child: impl Fn(&Domain) -> bool) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (over, often) = (&over, &often);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    often(domain, number);
                }
            });
        }
        let mut ends = Vec::new();
        while ends.len() < 100 && ends.iter().all(|end| *end == Some(0)) {
            // SAFETY: the child uses the library and exits; glibc keeps its allocator usable after a fork.
            match unsafe { fork() }.unwrap() {
                // SAFETY: ends the child without running the test harness's exit handlers.
                ForkResult::Child => unsafe { nix::libc::_exit(i32::from(!child(domain))) },
                ForkResult::Parent { child } => ends.push(ended(child, Duration::from_secs(10))),
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(|end| *end == Some(0)), "{ends:?}");
    });
}

#[test]
fn a_forked_child_listens_within_itself_whatever_its_parents_threads_did() {
    let place = Place::new();
    let domain = place.open();
    let options = ChannelOptions::default();
    let listen = |domain: &Domain, name: &str| domain.listen(&format!("inproc://{name}"), &options).is_ok();
    let own = domain.listen("inproc://own", &options).unwrap();
    fork_while(
        &domain,
        |domain, n| assert!(listen(domain, &format!("n{n}"))),
        |domain| listen(domain, "own"),
    );
    drop(own);
}

/// Nobody listens there: what counts is that it is told so, and in time.
#[test]
fn a_forked_child_asks_for_names_whatever_its_parents_threads_did() {
    let place = Place::new();
    let domain = place.open();
    let connect = |domain: &Domain, name: &str| {
        domain.connect(&format!("tcp://{name}:9"), &ChannelOptions::default(), SOON).is_err()
    };
    fork_while(
        &domain,
        |domain, _| assert!(connect(domain, "localhost")),
        |domain| connect(domain, "localhost"),
    );
}
