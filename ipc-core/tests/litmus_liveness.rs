//! Who is alive: stopped processes, forks, raw clones, pid namespaces and reused slots.

mod common;
mod litmus;

use axonic::*;
use common::Place;
use litmus::survivor::{asleep, block, clone_that_waits};
use litmus::{PATIENCE, Parent, Process, SOON, Stray, may_unshare, number_of, payload, start, start_with};
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

roles!(listen, talk, clone_and_wait, inside, deaf, neighbours, hold);

/// What `axonic ls` would say of a participant by its pid.
fn seen(place: &Place, pid: Pid) -> ParticipantInfo {
    let participants = snapshot(&place.options()).unwrap().participants;
    let found = participants.into_iter().find(|p| p.pid == pid.as_raw() as u32);
    found.unwrap_or_else(|| panic!("no participant with pid {pid}"))
}

/// Receives numbers from 0 until one is missing or `wanted` came; says how many and whether any was missed.
fn listen(parent: &mut Parent) {
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    parent.say("ready");
    for expected in 0..parent.number(0) {
        let message = subscriber.receive(PATIENCE).unwrap();
        assert_eq!((number_of(message.data()), message.missed()), (expected, 0));
    }
    parent.say("all");
    parent.wait_for_end();
}

/// Stops a process and waits until the kernel says that it is.
fn stop(process: &Process) {
    process.signal(Signal::SIGSTOP);
    let status = waitpid(process.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(process.pid(), Signal::SIGSTOP));
}

#[test]
fn a_stopped_subscriber_is_not_evicted_and_misses_nothing() {
    const MESSAGES: u64 = 2000;
    let place = Place::new();
    let domain = place.open();
    let mut listener = start("listen", place.directory.path(), &MESSAGES.to_string());
    assert_eq!(listener.hear(), "ready");
    let mut publisher = domain.publisher("t", &block()).unwrap();
    let mut sent = 0;
    let mut send = |publisher: &mut Publisher, timeout| {
        let outcome = publisher.send(&Payload::raw(&payload(sent, 500)), timeout);
        sent += u64::from(outcome.is_ok());
        outcome
    };
    for _ in 0..100 {
        send(&mut publisher, PATIENCE).unwrap();
    }
    stop(&listener);
    let stopped = Instant::now();
    while send(&mut publisher, Some(Duration::from_millis(1))).is_ok() {}
    // Two seconds without room, and nobody is forgotten for it.
    let timeout = Duration::from_secs(2).saturating_sub(stopped.elapsed());
    assert_eq!(send(&mut publisher, Some(timeout)).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(publisher.subscribers(), 1);
    let info = seen(&place, listener.pid());
    assert!(info.alive && info.stopped);
    listener.signal(Signal::SIGCONT);
    while send(&mut publisher, PATIENCE).is_ok() && publisher.stats().published < MESSAGES {}
    assert_eq!(listener.hear(), "all");
    listener.end();
}

/// Publishes when told to.
fn talk(parent: &mut Parent) {
    let domain = litmus::open();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    parent.say("ready");
    while let Some(number) = parent.hear() {
        publisher.publish(&payload(number.parse().unwrap(), 100)).unwrap();
    }
}

#[test]
fn a_stopped_publisher_is_not_given_up() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    let mut talker = start("talk", place.directory.path(), "");
    assert_eq!(talker.hear(), "ready");
    talker.say(1);
    assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), 1);
    stop(&talker);
    assert_eq!(subscriber.receive(Some(Duration::from_millis(300))).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(subscriber.publishers(), 1);
    // Neither is it swept away by who comes and goes.
    drop(place.open().subscriber("t", &asleep()).unwrap());
    talker.say(2);
    talker.signal(Signal::SIGCONT);
    let message = subscriber.receive(PATIENCE).unwrap();
    assert_eq!((number_of(message.data()), message.sequence()), (2, 1));
    talker.end();
}

/// Opens a publisher and a subscriber, then makes a child with a bare `clone`, which runs no fork handlers and so
/// keeps every descriptor. Says the child's pid and waits to be killed.
fn clone_and_wait(parent: &mut Parent) {
    let domain = litmus::open();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    let _subscriber = domain.subscriber("u", &asleep()).unwrap();
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    producer.try_push(&payload(0, 100)).unwrap();
    publisher.publish(&payload(0, 100)).unwrap();
    parent.say(clone_that_waits());
    parent.wait_for_end();
}

#[test]
fn a_raw_clone_does_not_keep_its_dead_parent_alive() {
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    let mut parent = start("clone_and_wait", place.directory.path(), "");
    let stray = Stray::new(Pid::from_raw(parent.hear().parse().unwrap()));
    subscriber.receive(PATIENCE).unwrap();
    assert_eq!(subscriber.publishers(), 1);
    let mut consumer =
        domain.ring_consumer("r", &RingOptions { wait: Wait::Block, ..Default::default() }).unwrap();
    assert_eq!(number_of(consumer.pop(PATIENCE).unwrap()), 0);
    let mut publisher = domain.publisher("u", &block()).unwrap();
    let killer = parent.pid();
    let killing = std::thread::spawn(move || {
        parent.kill();
        Instant::now()
    });
    // A whole ring more than there is room for: only the death makes room.
    for number in 0..2000 {
        publisher.send(&Payload::raw(&payload(number, 500)), PATIENCE).expect("the publisher goes on");
    }
    assert!(killing.join().unwrap().elapsed() < SOON);
    assert_eq!((subscriber.publishers(), publisher.subscribers()), (0, 0));
    assert_eq!(consumer.pop(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(stray.lives());
    assert!(
        !snapshot(&place.options())
            .unwrap()
            .participants
            .iter()
            .any(|p| p.pid == killer.as_raw() as u32 && p.alive)
    );
    drop((stray, publisher, subscriber, consumer, domain));
    clear(&place);
}

/// The pages and bells of the dead go with the first object of a participant.
fn clear(place: &Place) {
    drop(place.open().subscriber("none", &asleep()).unwrap());
}

/// Runs a role as the first process of a pid namespace of its own, with the outer `/proc`.
fn start_inside(role: &str, place: &Place, flags: CloneFlags) -> Process {
    start_with(role, place.directory.path(), "", |command| {
        // SAFETY: unshare is a bare system call.
        unsafe { command.pre_exec(move || unshare(flags).map_err(std::io::Error::from)) };
    })
}

/// Forks into the pid namespace that was unshared; the outer process waits for the inner one.
fn enter_namespace() {
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            assert_eq!(getpid(), Pid::from_raw(1));
            // SAFETY: the outer process is our end as well.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).unwrap();
            std::process::exit(if status == WaitStatus::Exited(child, 0) { 0 } else { 101 });
        }
    }
}

const OWN_PIDS: CloneFlags = CloneFlags::CLONE_NEWUSER.union(CloneFlags::CLONE_NEWPID);

/// In a namespace of its own: publishes on `inside` what it receives on `outside`.
fn inside(parent: &mut Parent) {
    enter_namespace();
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("outside", &asleep()).unwrap();
    let mut publisher = domain.publisher("inside", &block()).unwrap();
    parent.say("ready");
    loop {
        let number = number_of(subscriber.receive(PATIENCE).unwrap().data());
        publisher.send(&Payload::raw(&payload(number, 100)), PATIENCE).unwrap();
    }
}

/// Across pid namespaces a pid says nothing and the lock decides: messages pass both ways, nobody is taken for
/// dead while it lives, and a death is noticed.
#[test]
fn pid_namespaces_share_a_domain() {
    if !may_unshare(OWN_PIDS) {
        return;
    }
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("inside", &asleep()).unwrap();
    let mut publisher = domain.publisher("outside", &block()).unwrap();
    let mut first = start_inside("inside", &place, OWN_PIDS);
    assert_eq!(first.hear(), "ready");
    let mut second = start_inside("inside", &place, OWN_PIDS);
    assert_eq!(second.hear(), "ready");
    publisher.wait_for_subscribers(2, PATIENCE).unwrap();
    for number in 0..200 {
        publisher.send(&Payload::raw(&payload(number, 100)), PATIENCE).unwrap();
        for _ in 0..2 {
            assert_eq!(number_of(subscriber.receive(PATIENCE).unwrap().data()), number);
        }
    }
    let known = snapshot(&place.options()).unwrap().participants;
    let foreign: Vec<_> = known.iter().filter(|p| p.pid == 1).collect();
    assert!(foreign.len() == 2 && foreign.iter().all(|p| p.alive && !p.same_pid_namespace), "{known:?}");
    assert_eq!((publisher.subscribers(), subscriber.publishers()), (2, 2));
    // Whoever sweeps sees no dead.
    drop(place.open().subscriber("none", &asleep()).unwrap());
    second.kill();
    first.kill();
    for number in 0..2000 {
        publisher.send(&Payload::raw(&payload(number, 500)), PATIENCE).expect("the publisher goes on");
    }
    let killed = Instant::now();
    while subscriber.publishers() > 0 {
        assert!(killed.elapsed() < PATIENCE.unwrap());
    }
    drop((publisher, subscriber, domain));
    clear(&place);
}

/// In a namespace of its own: holds a subscriber that never reads, and publishes one message.
fn deaf(parent: &mut Parent) {
    enter_namespace();
    let domain = litmus::open();
    let _subscriber = domain.subscriber("outside", &asleep()).unwrap();
    let mut publisher = domain.publisher("inside", &block()).unwrap();
    publisher.publish(&payload(0, 100)).unwrap();
    parent.say("ready");
    parent.wait_for_end();
}

/// Who watches a descriptor hears of a death in another pid namespace too: a publisher that waits for room, and
/// a subscriber, which takes the ring away.
#[test]
fn a_watched_descriptor_tells_of_a_death_in_another_namespace() {
    if !may_unshare(OWN_PIDS) {
        return;
    }
    let place = Place::new();
    let domain = place.open();
    let mut subscriber = domain.subscriber("inside", &asleep()).unwrap();
    let mut publisher = domain.publisher("outside", &block()).unwrap();
    let (hears, sends) = (subscriber.fd().unwrap(), publisher.fd().unwrap());
    let mut other = start_inside("deaf", &place, OWN_PIDS);
    assert_eq!(other.hear(), "ready");
    assert!(common::wait_readable(hears, PATIENCE.unwrap()));
    assert_eq!(number_of(subscriber.try_receive().unwrap().expect("it was rung").data()), 0);
    while subscriber.try_receive().unwrap().is_some() {}
    let full = loop {
        if let Err(e) = publisher.try_send(&Payload::raw(&payload(0, 1000))) {
            break e;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    other.kill();
    let killed = Instant::now();
    while publisher.try_send(&Payload::raw(&payload(1, 1000))).is_err() {
        assert!(common::wait_readable(sends, PATIENCE.unwrap()), "nothing tells of the death");
    }
    while snapshot(&place.options()).unwrap().publishers.iter().any(|p| p.topic == "inside") {
        assert!(common::wait_readable(hears, PATIENCE.unwrap()), "nothing tells of the death");
        assert!(subscriber.try_receive().unwrap().is_none());
    }
    assert!(killed.elapsed() < PATIENCE.unwrap());
    // Nobody is left whose lock must be looked at: the clock stands still.
    while common::readable(hears) {
        assert!(subscriber.try_receive().unwrap().is_none());
    }
    assert!(!common::wait_readable(hears, Duration::from_millis(600)));
    drop((publisher, subscriber, domain));
    clear(&place);
}

/// Two participants in one namespace whose `/proc` is that of another: its pids are not theirs.
fn neighbours(parent: &mut Parent) {
    enter_namespace();
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    let mut fds = [0; 2];
    // SAFETY: fills in two descriptors.
    assert_eq!(unsafe { libc::pipe(fds.as_mut_ptr()) }, 0);
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let domain = litmus::open();
            let mut publisher = domain.publisher("t", &block()).unwrap();
            publisher.publish(&payload(getpid().as_raw() as u64, 100)).unwrap();
            loop {
                // SAFETY: sleeps until it is killed.
                unsafe { libc::pause() };
            }
        }
        ForkResult::Parent { child } => {
            let number = number_of(subscriber.receive(PATIENCE).unwrap().data());
            assert_eq!(number, child.as_raw() as u64);
            // What /proc tells of that number is another process.
            let place = DomainOptions {
                runtime_dir: Some(std::env::var_os("AXONIC_RUNTIME_DIR").unwrap().into()),
                ..Default::default()
            };
            let known = snapshot(&place).unwrap().participants;
            assert!(known.iter().all(|p| p.alive && !p.same_pid_namespace && !p.stopped), "{known:?}");
            assert_eq!(subscriber.publishers(), 1);
            kill(child, Signal::SIGKILL).unwrap();
            waitpid(child, None).unwrap();
            let killed = Instant::now();
            while subscriber.publishers() > 0 {
                assert!(killed.elapsed() < SOON);
            }
            parent.say("good");
        }
    }
}

#[test]
fn a_foreign_proc_is_not_believed() {
    if !may_unshare(OWN_PIDS) {
        return;
    }
    let place = Place::new();
    let mut inside = start_inside("neighbours", &place, OWN_PIDS);
    assert_eq!(inside.hear(), "good");
    inside.finish();
    clear(&place);
}

/// Time namespaces give one process several start times.
#[test]
fn time_namespaces_share_a_domain() {
    const OWN_TIME: CloneFlags = CloneFlags::from_bits_retain(libc::CLONE_NEWUSER | 0x80);
    if !may_unshare(OWN_TIME) {
        return;
    }
    let place = Place::new();
    let domain = place.open();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    let mut elsewhere = start_with("listen", place.directory.path(), "1", |command| {
        let later = || {
            unshare(OWN_TIME)?;
            // An hour more since boot, for the processes it makes from now on: those of `exec`.
            std::fs::write("/proc/self/timens_offsets", "boottime 3600 0")
        };
        // SAFETY: the child of a fork of one thread's making; it may allocate as the parent held no lock of malloc's then.
        unsafe { command.pre_exec(later) };
    });
    assert_eq!(elsewhere.hear(), "ready");
    publisher.wait_for_subscribers(1, PATIENCE).unwrap();
    assert!(seen(&place, elsewhere.pid()).alive);
    assert_eq!(publisher.subscribers(), 1);
    publisher.publish(&payload(0, 100)).unwrap();
    assert_eq!(elsewhere.hear(), "all");
    elsewhere.end();
}

/// Holds a subscriber that never reads, with a borrowed sample if there is one; says who it is.
fn hold(parent: &mut Parent) {
    let domain =
        Domain::open_with(DomainOptions { max_participants: Some(2), ..Default::default() }).unwrap();
    let mut subscriber = domain.subscriber("t", &asleep()).unwrap();
    parent.say(domain.participant());
    let _sample = (parent.arguments()[0] == "borrow").then(|| subscriber.borrow(PATIENCE).unwrap());
    parent.say("holding");
    parent.wait_for_end();
}

/// In a table of two, each successor has the slot of the one before: it has an epoch of its own, and nothing
/// of the dead is taken for its own.
#[test]
fn a_reused_slot_inherits_nothing() {
    let place = Place::new();
    let domain = Domain::open_with(DomainOptions { max_participants: Some(2), ..place.options() }).unwrap();
    let mut publisher = domain.publisher("t", &PublisherOptions { max_bytes: 32 << 10, ..block() }).unwrap();
    let mut known: Vec<String> = Vec::new();
    for round in 0..20 {
        let mut dying = start("hold", place.directory.path(), "borrow");
        known.push(dying.hear());
        publisher.wait_for_subscribers(1, PATIENCE).unwrap();
        publisher.send(&Payload::raw(&payload(round, 5000)), PATIENCE).unwrap();
        assert_eq!(dying.hear(), "holding");
        dying.kill();
        // The successor is there before the publisher has looked round.
        let mut successor = start("hold", place.directory.path(), "sit");
        known.push(successor.hear());
        assert_eq!(successor.hear(), "holding");
        let full = domain.options().clone();
        assert_eq!(Domain::open_with(full).unwrap_err().kind(), ErrorKind::LimitReached);
        // All slots of the slab but what the living may still read: the pin of the dead holds none of them.
        for number in 0..4 {
            publisher
                .send(&Payload::raw(&payload(number, 5000)), PATIENCE)
                .expect("the pin of the dead is nobody's");
        }
        assert_eq!(publisher.subscribers(), 1);
        successor.kill();
        let killed = Instant::now();
        (0..200).for_each(|n| publisher.send(&Payload::raw(&payload(n, 5000)), PATIENCE).unwrap());
        assert!(killed.elapsed() < SOON);
    }
    let slots: Vec<&str> = known.iter().map(|id| id.split('.').next().unwrap()).collect();
    assert!(slots.iter().all(|slot| *slot == slots[0]), "{known:?}");
    let before = known.len();
    known.sort();
    known.dedup();
    assert_eq!(known.len(), before, "an epoch was given out twice");
    drop((publisher, domain));
    clear(&place);
}
