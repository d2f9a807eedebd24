//! Who has a lock and who waits for it, as it is seen from outside and told in errors.

mod common;
mod litmus;

use axonic::*;
use common::{Place, expect};
use litmus::PATIENCE;
use litmus::locks::{asleep, await_waiting, hold, playing, seen};
use nix::sys::signal::Signal;
use std::thread;
use std::time::{Duration, Instant};

roles!(hold);

#[test]
fn what_is_held_and_waited_for_is_seen() {
    let place = Place::new();
    let domain = place.open();
    let holder = playing("hold", &place, "mutex");
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    let waiting = thread::spawn(move || mutex.lock(PATIENCE).unwrap());
    await_waiting(&place, "m", 1);
    holder.signal(Signal::SIGSTOP);
    while !seen(&place, "m").holders[0].stopped {}
    let lock = seen(&place, "m");
    assert_eq!((lock.type_name, lock.state.as_str(), lock.waiting), ("mutex", "locked", 1));
    let held = &lock.holders[0];
    assert_eq!((held.pid, held.alive, held.role), (holder.pid().as_raw() as u32, true, "owner"));
    assert!(held.since_unix_ms > 1_500_000_000_000 && lock.waiting_since_unix_ms > 1_500_000_000_000);
    let findings = doctor(&place.options(), false).unwrap();
    let found = findings.iter().find(|f| f.kind == "lock_waited_for").expect("who waits for whom");
    assert!(found.what.contains(&format!("pid {}", holder.pid())) && found.remedy.contains("kill -CONT"));
    let me = format!("(pid {}), for ", std::process::id());
    assert!(found.what.contains("1 wait for mutex 'm'") && found.what.contains(&me), "{found:?}");
    assert_eq!(
        (lock.waiters.len(), lock.waiters[0].pid, lock.waiters[0].role),
        (1, std::process::id(), "waiter")
    );
    holder.signal(Signal::SIGCONT);
    holder.end();
    assert!(!waiting.join().unwrap().owner_died);
    let mut holder = playing("hold", &place, "mutex");
    holder.kill();
    let findings = doctor(&place.options(), false).unwrap();
    assert!(findings.iter().any(|f| f.kind == "lock_owner_died" && f.what.contains("mutex 'm'")));
    domain.unlink(Noun::Lock, "m").unwrap();
}

#[test]
fn who_runs_out_of_time_is_told_who_has_it() {
    let place = Place::new();
    let domain = place.open();
    let soon = Some(Duration::from_millis(1));
    let holder = playing("hold", &place, "mutex");
    let of = format!("(pid {}), for ", holder.pid());
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    expect(mutex.lock(soon), ErrorKind::Timeout, &["mutex 'm'", "had by '", &of, " s; give it more time"]);
    holder.end();
    // Threads of a process get in each other's way, too.
    let (mut one, mut other) =
        (domain.rwlock("r", &asleep()).unwrap(), domain.rwlock("r", &asleep()).unwrap());
    one.read(None).unwrap();
    expect(other.write(soon), ErrorKind::Timeout, &["rwlock 'r'", "had by this process, for 0."]);
    let mut seats: Vec<Semaphore> = (0..5).map(|_| domain.semaphore("s", 4, &asleep()).unwrap()).collect();
    seats[..4].iter_mut().for_each(|seat| seat.acquire(None).unwrap());
    expect(seats[4].acquire(soon), ErrorKind::Timeout, &["semaphore 's'", "this process", "; and 1 more"]);
    let mut event = domain.event("e", Reset::Auto, &asleep()).unwrap();
    let error = event.wait(soon).unwrap_err();
    assert!(!error.message().contains("had by"), "nobody has an event: {error}");
}

#[test]
fn who_waited_for_others_is_told_what_they_lacked() {
    let place = Place::new();
    let domain = place.open();
    let soon = Some(Duration::from_millis(1));
    let mut party = domain.barrier("b", 3, &asleep()).unwrap();
    let alone = [
        "barrier 'b': not all parties arrived within 1ms: of 3 parties 2 are missing; nobody else waits there;",
    ];
    expect(party.wait(soon), ErrorKind::Timeout, &alone);
    let mut other = domain.barrier("b", 3, &asleep()).unwrap();
    assert_eq!(other.try_wait().unwrap(), None);
    let one = ["of 3 parties 1 are missing; there waits this process, for 0."];
    expect(party.wait(soon), ErrorKind::Timeout, &one);
    // The one that asks is no other, whether it was withdrawn or not.
    assert!(party.timed_out(soon).message().contains(one[0]));
    assert_eq!(party.try_wait().unwrap(), None);
    assert!(party.timed_out(soon).message().contains(one[0]));
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    let mut condvar = domain.condvar("c", &asleep()).unwrap();
    mutex.lock(None).unwrap();
    let told =
        ["condvar 'c': it was not notified within 1ms, and its mutex is locked again; give it more time"];
    expect(condvar.wait(&mut mutex, soon), ErrorKind::Timeout, &told);
}

#[test]
fn whoever_takes_part_can_ask_who_has_a_lock() {
    let place = Place::new();
    let domain = place.open();
    let me = std::process::id();
    let named = |holders: &[LockHolder]| {
        holders.iter().map(|h| (h.pid, h.alive, h.role)).collect::<Vec<(u32, bool, &str)>>()
    };
    expect(domain.lock_holders("m"), ErrorKind::NotFound, &["lock 'm' does not exist in domain"]);
    expect(domain.lock_holders("no/name"), ErrorKind::InvalidName, &[]);
    let mut holder = playing("hold", &place, "mutex");
    let pid = holder.pid().as_raw() as u32;
    let held = domain.lock_holders("m").unwrap();
    assert_eq!(named(&held), [(pid, true, "owner")]);
    assert_eq!(held[0].label, seen(&place, "m").holders[0].label);
    // Each counts back from its now, by a clock that goes in steps of some milliseconds.
    assert!(held[0].since_unix_ms.abs_diff(seen(&place, "m").holders[0].since_unix_ms) < 1000);
    holder.kill();
    assert_eq!(named(&domain.lock_holders("m").unwrap()), [(pid, false, "owner")]);
    // One's own are as alive as the others': no lock of the table tells of them.
    let mut lock = domain.rwlock("r", &asleep()).unwrap();
    lock.read(None).unwrap();
    assert_eq!(named(&domain.lock_holders("r").unwrap()), [(me, true, "reader")]);
    lock.unlock().unwrap();
    lock.write(None).unwrap();
    assert_eq!(named(&domain.lock_holders("r").unwrap()), [(me, true, "owner")]);
    let mut seat = domain.semaphore("s", 3, &asleep()).unwrap();
    seat.acquire(None).unwrap();
    seat.acquire(None).unwrap();
    assert_eq!(named(&domain.lock_holders("s").unwrap()), [(me, true, "permit"); 2]);
    let mut party = domain.barrier("b", 2, &asleep()).unwrap();
    assert_eq!(party.try_wait().unwrap(), None);
    assert_eq!(named(&domain.lock_holders("b").unwrap()), [(me, true, "party")]);
    let _event = domain.event("e", Reset::Manual, &asleep()).unwrap();
    assert_eq!(named(&domain.lock_holders("e").unwrap()), []);
    domain.unlink(Noun::Lock, "m").unwrap();
    domain.close();
    expect(domain.lock_holders("m"), ErrorKind::Closed, &[]);
}

#[test]
fn a_circle_of_waiters_is_told_of_as_a_deadlock() {
    let place = Place::new();
    let circle = |place: &Place| {
        let findings = doctor(&place.options(), false).unwrap();
        findings.into_iter().find(|found| found.kind == "lock_deadlock")
    };
    let names = ["a", "b", "c"];
    let mut held: Vec<(Domain, Mutex)> = names
        .iter()
        .map(|name| {
            let domain = place.open();
            let mut mutex = domain.mutex(name, &asleep()).unwrap();
            mutex.lock(None).unwrap();
            (domain, mutex)
        })
        .collect();
    let wait = |domain: &Domain, name: &'static str| {
        let mut mutex = domain.mutex(name, &asleep()).unwrap();
        thread::spawn(move || mutex.lock(PATIENCE).map(drop).unwrap())
    };
    // A chain is none.
    let chain = [wait(&held[0].0, "b"), wait(&held[1].0, "c")];
    await_waiting(&place, "c", 1);
    thread::sleep(Duration::from_millis(700));
    assert!(circle(&place).is_none(), "{:?}", circle(&place));
    let last = wait(&held[2].0, "a");
    await_waiting(&place, "a", 1);
    let started = Instant::now();
    let found = loop {
        if let Some(found) = circle(&place) {
            break found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "nothing is told of it");
    };
    for name in names {
        assert!(found.what.contains(&format!("waits for mutex '{name}', which '")), "{found:?}");
    }
    held.iter_mut().for_each(|(_, mutex)| mutex.unlock().unwrap());
    chain.into_iter().chain([last]).for_each(|waiting| waiting.join().unwrap());
    assert!(circle(&place).is_none());
}
