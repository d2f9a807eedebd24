//! Pids that come again: a process dies, and another has its number before anybody looked. The dead stays dead,
//! whoever bears its number, a stranger to the domain or a new participant of it.

mod common;
mod litmus;

use axonic::*;
use common::container::Container;
use common::{Place, child, often};
use litmus::survivor::{self, Survivor, asleep, block, victim};
use litmus::{PATIENCE, Parent, Process, Random, Stray, long, number_of, payload, start, start_with};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

roles!(victim, stranger, namesake, succeed);

/// Where the lock does not tell, the time of a process's start does, which is known to a hundredth of a second. No
/// number comes round faster unless somebody, as here, makes it.
const TICKS: Duration = Duration::from_millis(30);

/// Decides the number of the next process of this pid namespace.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Starts a role under this number.
fn start_as(pid: Pid, role: &str, arguments: &str) -> Process {
    std::fs::write(LAST_PID, (pid.as_raw() - 1).to_string()).unwrap();
    let process = start(role, &PathBuf::from(std::env::var_os("AXONIC_RUNTIME_DIR").unwrap()), arguments);
    assert_eq!(process.pid(), pid);
    process
}

/// A process that has nothing to do with the domain.
fn stranger(parent: &mut Parent) {
    parent.say("here");
    parent.wait_for_end();
}

/// A new participant that does what the dead one did, and gets nothing that was meant for that one: of `u` only the
/// messages that it is told of. With the argument `busy` the ring's lock is still held by a child of the dead one.
fn namesake(parent: &mut Parent) {
    let domain = litmus::open();
    let mut subscriber = domain.subscriber("u", &asleep()).unwrap();
    let mut publisher = domain.publisher("t", &block()).unwrap();
    let mut producer = match domain.ring_producer("r", &RingOptions::default()) {
        Err(e) if parent.arguments() == ["busy"] && e.kind() == ErrorKind::Busy => None,
        made => Some(made.unwrap()),
    };
    let own = domain.participant().to_string();
    let same: Vec<_> =
        survivor::participants().into_iter().filter(|p| p.pid == std::process::id() && p.alive).collect();
    assert!(same.len() == 1 && format!("{}.{}", same[0].slot, same[0].epoch) == own, "{own}: {same:?}");
    parent.say(own);
    let words = parent.hear().unwrap();
    let (first, end) = words.split_once(' ').unwrap();
    publisher.publish(&payload(0, 100)).unwrap();
    producer.iter_mut().for_each(|producer| producer.try_push(&payload(7, 100)).unwrap());
    for number in first.parse::<u64>().unwrap()..end.parse().unwrap() {
        let message = subscriber.receive(PATIENCE).unwrap();
        assert_eq!((number_of(message.data()), message.sequence(), message.missed()), (number, number, 0));
    }
    assert!(subscriber.try_receive().unwrap().is_none());
    parent.say("good");
    parent.wait_for_end();
}

/// The first process of a pid namespace, which survives victims and sees others bear their numbers; `milliseconds seed`.
fn succeed(parent: &mut Parent) {
    assert_eq!(getpid(), Pid::from_raw(1));
    let (time, mut random) = (Duration::from_millis(parent.number(0)), Random(parent.number(1)));
    let (started, mut deaths) = (Instant::now(), 0);
    while deaths < 4 || started.elapsed() < time {
        let pid = Pid::from_raw(300 + random.below(30_000) as i32);
        one_succeeds_another(pid, deaths & 1 == 1, deaths & 2 == 2);
        deaths += 1;
    }
    parent.say(deaths);
}

/// `keeps`: a child of the dead keeps its lock. `joins`: whoever has its number then takes part in the domain.
fn one_succeeds_another(pid: Pid, keeps: bool, joins: bool) {
    let mut survivor = Survivor::new();
    let mut dying = start_as(pid, "victim", if keeps { "clone" } else { "" });
    let dead = dying.hear();
    let child = keeps.then(|| Pid::from_raw(dying.hear().parse().unwrap()));
    let stray = child.map(Stray::new);
    survivor.meet();
    assert_eq!(dying.hear(), "holding");
    if keeps {
        std::thread::sleep(TICKS);
    }
    dying.kill();
    let (role, words) = (if joins { "namesake" } else { "stranger" }, if keeps { "busy" } else { "" });
    let mut next = start_as(pid, role, words);
    let said = next.hear();
    let first = survivor.sent;
    survivor.outlive(&dead, usize::from(joins));
    // Who comes only now finds the number in use, and does not know the dead either.
    let late = litmus::open();
    let mut subscriber = late.subscriber("t", &asleep()).unwrap();
    let mut publisher = late.publisher("u", &block()).unwrap();
    let others = usize::from(joins);
    assert_eq!((subscriber.publishers(), publisher.subscribers()), (others, others));
    doctor(&DomainOptions::default(), true).unwrap();
    survivor.has_nothing_of(&dead);
    assert!(!survivor::is_alive(&dead));
    if joins {
        assert!(said != dead && survivor::is_alive(&said));
        (0..50).for_each(|n| survivor.send(if n % 3 == 0 { 5000 } else { 900 }, PATIENCE).unwrap());
        next.say(format!("{first} {}", survivor.sent));
        assert_eq!(next.hear(), "good");
        survivor.take(0..1);
        match survivor.pop() {
            Err(e) => assert!(keeps && e.kind() == ErrorKind::Disconnected, "{e}"),
            Ok(number) => assert!(!keeps && number == 7, "{number}"),
        }
    }
    drop((subscriber, publisher, late, survivor));
    next.end();
    drop(stray);
    // Whoever has no parent any more is the first process's child.
    if let Some(child) = child {
        waitpid(child, None).unwrap();
    }
}

fn numbers_come_again(time: Duration) {
    let place = Place::new();
    let container = Container::new(place.path(), "inside");
    if !container.is_permitted() || !Path::new(LAST_PID).exists() {
        return child::skip(
            "reused pids: a pid namespace, or choosing the next pid in it, is not allowed here",
        );
    }
    let seed = Random::new().next();
    let mut first =
        start_with("succeed", container.path(), &format!("{} {seed}", time.as_millis()), |command| {
            container.hold(command)
        });
    let deaths = first.hear().parse().expect("a number");
    often("deaths, each with the number given to another", deaths, time, 0.5);
    first.finish();
    drop(place.open().subscriber("none", &asleep()).unwrap());
}

#[test]
fn who_bears_the_number_of_the_dead_is_not_taken_for_it() {
    numbers_come_again(Duration::ZERO);
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn numbers_come_again_for_long() {
    numbers_come_again(long(32));
}
