//! Two containers that share a domain's directory: each has mounts, pids, a `/proc` and a `/dev/shm` of its own and
//! finds the directory under another name. Messages pass, deaths are told, and either cleans up after the other.

mod common;
mod litmus;

use axonic::*;
use common::container::Container;
use common::flat::Flat;
use common::{Place, child, often};
use litmus::survivor::{Survivor, asleep, block, participants, victim};
use litmus::{PATIENCE, Parent, Process, Random, SOON, long, number_of, payload, rounds, start_with};
use nix::unistd::{Pid, getpid};
use std::path::Path;
use std::time::{Duration, Instant};

roles!(exchange, victim, survive, clean);

/// Two of them that share a place, if this system allows it.
fn containers(place: &Place) -> Option<[Container; 2]> {
    let both = [Container::new(place.path(), "here"), Container::new(place.path(), "there")];
    if !both[0].is_permitted() {
        child::skip("containers: namespaces for mounts and pids of our own are not allowed here");
        return None;
    }
    Some(both)
}

fn start_in(container: &Container, role: &str, arguments: &str) -> Process {
    start_with(role, container.path(), arguments, |command| container.hold(command))
}

fn size_of(number: u64) -> usize {
    [100, 2000, 5000][number as usize % 3]
}

/// Publishes as many messages as it receives of its counterpart; `own other count outside`.
fn exchange(parent: &mut Parent) {
    let [own, other, count, outside] = &parent.arguments()[..] else { panic!("four words") };
    assert!(getpid() == Pid::from_raw(1) && !Path::new(outside).exists());
    let count: u64 = count.parse().unwrap();
    let domain = litmus::open();
    let mut subscriber = domain.subscriber(&format!("from.{other}"), &asleep()).unwrap();
    let mut publisher = domain.publisher(&format!("from.{own}"), &block()).unwrap();
    parent.say("ready");
    assert_eq!(parent.hear().as_deref(), Some("go"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..count {
                publisher.send(&Payload::raw(&payload(number, size_of(number))), PATIENCE).unwrap();
            }
        });
        for number in 0..count {
            let message = subscriber.receive(PATIENCE).unwrap();
            assert_eq!((number_of(message.data()), message.missed()), (number, 0));
            assert_eq!(message.data().len(), size_of(number));
        }
    });
    parent.say("all");
    parent.wait_for_end();
}

/// Each publishes to the other and to one outside, and waits for both.
fn exchanged(count: u64) {
    let place = Place::new();
    let Some([here, there]) = containers(&place) else { return };
    let domain = place.open();
    let mut witness = domain.subscriber("from.*", &asleep()).unwrap();
    let outside = place.path().display();
    let mut one = start_in(&here, "exchange", &format!("one two {count} {outside}"));
    let mut two = start_in(&there, "exchange", &format!("two one {count} {outside}"));
    assert_eq!([one.hear(), two.hear()], ["ready", "ready"]);
    let known = snapshot(&place.options()).unwrap().participants;
    let foreign = known.iter().filter(|p| p.pid == 1 && p.alive && !p.same_pid_namespace);
    assert_eq!((known.len(), foreign.count()), (3, 2), "{known:?}");
    one.say("go");
    two.say("go");
    let mut next = [0, 0];
    for _ in 0..2 * count {
        let message = witness.receive(PATIENCE).unwrap();
        let next = &mut next[usize::from(message.topic() == "from.two")];
        assert_eq!((number_of(message.data()), message.missed()), (*next, 0), "{}", message.topic());
        *next += 1;
    }
    assert_eq!([one.hear(), two.hear()], ["all", "all"]);
    one.end();
    two.end();
}

#[test]
fn messages_pass_between_containers() {
    exchanged(1000);
}

/// Survives the deaths it is told of: does one thing at a time and says when it is done.
fn survive(parent: &mut Parent) {
    let mut survivor = Survivor::new();
    parent.say("ready");
    while let Some(line) = parent.hear() {
        match &line.split(' ').collect::<Vec<_>>()[..] {
            ["meet"] => survivor.meet(),
            ["outlive", dead] => survivor.outlive(dead, 0),
            ["clean"] => clean_up(),
            ["search", dead] => survivor.has_nothing_of(dead),
            _ => panic!("what is {line}?"),
        }
        parent.say("done");
    }
}

fn clean_up() {
    let found = doctor(&DomainOptions::default(), true).unwrap();
    assert!(found.iter().any(|f| f.kind == "left_behind" && f.remedy == "removed"), "{found:?}");
}

/// Cleans up after the dead. It may be the first process of a namespace that has the number of a dead one's.
fn clean(parent: &mut Parent) {
    assert!(participants().iter().any(|p| !p.alive));
    clean_up();
    parent.say("done");
}

/// The number out here of the first process of a container.
fn first_inside(outer: &Process) -> u32 {
    let pid = outer.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.trim().parse().expect("one child")
}

/// One container is killed, again and again, while a publisher in the other waits for it.
fn deaths_are_told(time: Duration) {
    let place = Place::new();
    let Some([here, there]) = containers(&place) else { return };
    let mut random = Random::new();
    let mut survivor = start_in(&there, "survive", "");
    assert_eq!(survivor.hear(), "ready");
    let inside = first_inside(&survivor);
    let mut told = |line: &str| {
        survivor.say(line);
        assert_eq!(survivor.hear(), "done");
    };
    let mut longest = Duration::ZERO;
    let mut flat = Flat::over(time);
    let count = rounds(time, |_| {
        let mut dying = start_in(&here, "victim", "");
        let dead = dying.hear();
        told("meet");
        assert_eq!(dying.hear(), "holding");
        let delay = Duration::from_millis(random.below(50));
        let killing = std::thread::spawn(move || {
            std::thread::sleep(delay);
            dying.kill();
            Instant::now()
        });
        told(&format!("outlive {dead}"));
        longest = longest.max(killing.join().unwrap().elapsed());
        match random.below(3) {
            0 => told("clean"),
            1 => {
                let mut cleaner = start_in(&here, "clean", "");
                assert_eq!(cleaner.hear(), "done");
                cleaner.finish();
            }
            _ => drop(doctor(&place.options(), true).unwrap()),
        }
        told(&format!("search {dead}"));
        if flat.is_due() {
            flat.process("survivor", inside, [0, 0, 256]);
            flat.domain(&place.path().join("test"), 0, 64);
        }
    });
    // A few deaths tell nothing.
    if count > 30 {
        flat.check();
    }
    assert!(longest < SOON, "{longest:?} until a death was told");
    println!("told within {longest:?}");
    often("kills of containers", count, time, 0.5);
    survivor.end();
    drop(place.open().subscriber("none", &asleep()).unwrap());
}

#[test]
fn a_death_in_one_container_is_told_in_the_other() {
    deaths_are_told(Duration::from_millis(700));
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn containers_for_long() {
    rounds(long(32), |_| exchanged(20_000));
    deaths_are_told(long(32));
}
