//! Locks between threads and processes: what each type promises, and what it refuses.

mod common;
mod litmus;

use axonic::*;
use common::{Place, expect, wait_readable};
use litmus::locks::{asleep, await_waiting, hold, playing, seen};
use litmus::{PATIENCE, Parent, Process, SOON, start};
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

roles!(hold, wait_for, count, answer);

const SHORT: Option<Duration> = Some(Duration::from_millis(30));

/// Waits for something and says what came of it; `type`.
fn wait_for(parent: &mut Parent) {
    let domain = litmus::open();
    let options = asleep();
    match parent.arguments()[0].as_str() {
        "condvar" => {
            let mut mutex = domain.mutex("m", &options).unwrap();
            let mut condvar = domain.condvar("c", &options).unwrap();
            mutex.lock(PATIENCE).unwrap();
            parent.say("ready");
            condvar.wait(&mut mutex, PATIENCE).unwrap();
            mutex.unlock().unwrap();
        }
        "event" => {
            let mut event = domain.event("e", Reset::Manual, &options).unwrap();
            parent.say("ready");
            event.wait(PATIENCE).unwrap();
        }
        "barrier" => {
            let mut barrier = domain.barrier("b", 3, &options).unwrap();
            parent.say("ready");
            parent.say(barrier.wait(PATIENCE).unwrap());
        }
        other => panic!("{other}"),
    }
    parent.say("over");
    parent.wait_for_end();
}

/// Passes a turn back, so many times; `times`.
fn answer(parent: &mut Parent) {
    let domain = litmus::open();
    let mut ping = domain.event("ping", Reset::Auto, &asleep()).unwrap();
    let mut pong = domain.event("pong", Reset::Auto, &asleep()).unwrap();
    for _ in 0..parent.number(0) {
        ping.wait(PATIENCE).unwrap();
        pong.set().unwrap();
    }
}

/// Adds to a plain counter under the mutex, so many times; `times wait`.
fn count(parent: &mut Parent) {
    let domain = litmus::open();
    let wait = if parent.arguments()[1] == "block" { Wait::Block } else { Wait::Adaptive };
    let mut mutex = domain.mutex("m", &LockOptions { wait }).unwrap();
    let region = domain.region("counter", &RegionOptions::default()).unwrap();
    for _ in 0..parent.number(0) {
        mutex.lock(PATIENCE).unwrap();
        add_one(&region);
        mutex.unlock().unwrap();
    }
}

fn add_one(region: &Region) {
    // SAFETY: the mutex lets one process at a time in here.
    unsafe {
        let counter = region.as_ptr().cast::<u64>();
        counter.write_volatile(counter.read_volatile() + 1);
    }
}

#[test]
fn threads_share_a_lock() {
    let place = Place::new();
    let domain = place.open();
    let opened = domain.clone();
    let shared = SharedLock::new("mutex 'm'".into(), move || opened.mutex("m", &asleep())).unwrap();
    assert!(shared.spare().map(|mutex| shared.put_idle(mutex)).is_some() && shared.holders() == 0);
    let (count, most) = (AtomicU32::new(0), 3);
    thread::scope(|scope| {
        for _ in 0..most {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut mutex = shared.idle().unwrap();
                    mutex.lock(PATIENCE).unwrap();
                    shared.put_holding(mutex).unwrap();
                    // In two steps: only the lock makes this right.
                    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    let mut mutex = shared.holding().expect("this thread has it");
                    assert!(shared.holding().is_none(), "one has it");
                    mutex.unlock().unwrap();
                    shared.put_idle(mutex);
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 200 * most);
    assert!(shared.holders() == 0);

    // Whoever waits while it is closed does not get it.
    let mut late = shared.idle().unwrap();
    late.lock(PATIENCE).unwrap();
    shared.close();
    assert_eq!(shared.put_holding(late).unwrap_err().kind(), ErrorKind::Closed);
    expect(shared.idle(), ErrorKind::Closed, &["mutex 'm'"]);
    assert!(domain.mutex("m", &asleep()).unwrap().try_lock().unwrap().is_some(), "it went back");
}

#[test]
fn a_handle_that_is_put_by_waits_for_nothing() {
    let place = Place::new();
    let domain = place.open();
    let (from, mut holder) = (domain.clone(), domain.mutex("m", &asleep()).unwrap());
    let mutexes = SharedLock::new("mutex 'm'".into(), move || from.mutex("m", &asleep())).unwrap();
    holder.lock(None).unwrap();
    for _ in 0..2 {
        let mut mutex = mutexes.idle().unwrap();
        let fd = mutex.fd().unwrap();
        assert!(mutex.try_lock().unwrap().is_none() && !wait_readable(fd, Duration::ZERO));
        assert_eq!(seen(&place, "m").waiting, 1);
        mutexes.put_idle(mutex);
        assert_eq!(seen(&place, "m").waiting, 0);
    }
    // It is as good as new, for whoever waits by it next.
    let mut mutex = mutexes.idle().unwrap();
    let fd = mutex.fd().unwrap();
    assert!(mutex.try_lock().unwrap().is_none() && !wait_readable(fd, Duration::ZERO));
    holder.unlock().unwrap();
    assert!(wait_readable(fd, SOON) && mutex.try_lock().unwrap().is_some());

    let (from, mut reader) = (domain.clone(), domain.rwlock("rw", &asleep()).unwrap());
    let writers = SharedLock::new("rwlock 'rw'".into(), move || from.rwlock("rw", &asleep())).unwrap();
    reader.read(None).unwrap();
    let mut writer = writers.idle().unwrap();
    writer.fd().unwrap();
    assert!(writer.claim_write().unwrap().is_none());
    writers.put_idle(writer);
    assert!(domain.rwlock("rw", &asleep()).unwrap().try_read().unwrap().is_some(), "its claim went back");

    let from = domain.clone();
    let open = move || from.event("e", Reset::Manual, &asleep());
    let events = SharedLock::new("event 'e'".into(), open).unwrap();
    let mut event = events.idle().unwrap();
    event.fd().unwrap();
    assert!(!event.try_wait().unwrap());
    let mut setter = domain.event("e", Reset::Manual, &asleep()).unwrap();
    setter.set().unwrap();
    drop(setter);
    events.put_idle(event);
    let mut event = events.idle().unwrap();
    assert!(event.is_set().unwrap(), "it has been open all the time");
    event.clear().unwrap();
    assert!(!event.try_wait().unwrap(), "who comes now has not waited");
}

#[test]
fn a_mutex_is_had_by_one_handle() {
    let place = Place::new();
    let domain = place.open();
    let mut one = domain.mutex("m", &LockOptions::default()).unwrap();
    let mut other = domain.mutex("m", &LockOptions::default()).unwrap();
    assert_eq!(one.lock(None).unwrap(), Acquired { owner_died: false });
    assert!(one.is_locked() && !other.is_locked());
    assert_eq!(other.try_lock().unwrap(), None);
    expect(other.lock(SHORT), ErrorKind::Timeout, &["mutex 'm'", "time", "doctor"]);
    expect(other.unlock(), ErrorKind::InvalidArgument, &["mutex 'm'", "not locked", "same handle"]);
    expect(one.lock(SHORT), ErrorKind::WouldBlock, &["mutex 'm'", "wait for itself", "unlock it first"]);
    expect(one.try_lock(), ErrorKind::WouldBlock, &["mutex 'm'", "wait for itself"]);
    one.unlock().unwrap();
    expect(one.unlock(), ErrorKind::InvalidArgument, &["mutex 'm'", "not locked"]);
    assert!(other.try_lock().unwrap().is_some());
    drop(other);
    assert!(one.try_lock().unwrap().is_some(), "dropped, a handle unlocks");
}

#[test]
fn processes_count_under_a_mutex() {
    const EACH: u64 = 20_000;
    let place = Place::new();
    let domain = place.open();
    let sized = RegionOptions { size: Some(8), ..Default::default() };
    let region = domain.region("counter", &sized).unwrap();
    for (round, wait) in [(1, "adaptive"), (2, "block")] {
        let started = Instant::now();
        let counting: Vec<Process> =
            (0..3).map(|_| start("count", place.path(), &format!("{EACH} {wait}"))).collect();
        counting.into_iter().for_each(Process::finish);
        // SAFETY: nobody else is left.
        assert_eq!(unsafe { region.as_ptr().cast::<u64>().read_volatile() }, round * 3 * EACH);
        // One that is woken by nothing but its look around each second would take longer.
        assert!(started.elapsed() < 10 * SOON, "{wait}: it took {:?}", started.elapsed());
    }
    domain.unlink(Noun::Region, "counter").unwrap();
}

#[test]
fn no_wake_up_is_late() {
    const TURNS: u64 = 5000;
    let place = Place::new();
    let domain = place.open();
    let mut ping = domain.event("ping", Reset::Auto, &asleep()).unwrap();
    let mut pong = domain.event("pong", Reset::Auto, &asleep()).unwrap();
    let answering = start("answer", place.path(), &TURNS.to_string());
    for turn in 0..TURNS {
        let began = Instant::now();
        ping.set().unwrap();
        pong.wait(PATIENCE).unwrap();
        // The first waits for the other to come; one that only the look around each second wakes is late.
        let took = began.elapsed();
        assert!(turn == 0 || took < Duration::from_millis(800), "turn {turn} took {took:?}");
    }
    answering.finish();
}

#[test]
fn who_takes_a_mutex_from_the_dead_is_told() {
    let place = Place::new();
    let domain = place.open();
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    for sleeping in [false, true] {
        let mut holder = playing("hold", &place, "mutex");
        assert_eq!(mutex.try_lock().unwrap(), None);
        let waiting = thread::spawn(move || {
            if sleeping {
                let how = mutex.lock(PATIENCE).unwrap();
                return (mutex, how, Instant::now());
            }
            (mutex, Acquired::default(), Instant::now())
        });
        if sleeping {
            await_waiting(&place, "m", 1);
        }
        holder.kill();
        let killed = Instant::now();
        let (back, mut how, when) = waiting.join().unwrap();
        mutex = back;
        if !sleeping {
            assert_eq!(seen(&place, "m").state, "owner died");
            how = mutex.try_lock().unwrap().expect("a dead owner's mutex is never reported held");
        }
        assert!(how.owner_died && mutex.owner_died());
        assert!(when.saturating_duration_since(killed) < SOON);
        mutex.unlock().unwrap();
        assert!(!mutex.lock(PATIENCE).unwrap().owner_died && !mutex.owner_died(), "it is told once");
        mutex.unlock().unwrap();
    }
    assert_eq!(seen(&place, "m").owners_died, 2);
}

#[test]
fn a_mutex_whose_owner_died_stays_until_somebody_is_told() {
    let place = Place::new();
    let domain = place.open();
    let mut holder = playing("hold", &place, "mutex");
    holder.kill();
    drop(domain);
    let domain = place.open();
    assert!(domain.mutex("m", &asleep()).unwrap().lock(PATIENCE).unwrap().owner_died);
    // Closed with it, and so it is gone.
    assert_eq!(snapshot(&place.options()).unwrap().locks.len(), 0);
    let mut holder = playing("hold", &place, "mutex");
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    expect(mutex.lock(Some(Duration::ZERO)), ErrorKind::Timeout, &["mutex 'm'"]);
    holder.kill();
    assert!(mutex.lock(Some(Duration::ZERO)).unwrap().owner_died, "it is never reported held by the dead");
    drop(mutex);
    let mut holder = playing("hold", &place, "mutex");
    expect(domain.unlink(Noun::Lock, "m"), ErrorKind::Busy, &["lock 'm'", "close it"]);
    holder.kill();
    domain.unlink(Noun::Lock, "m").unwrap();
    expect(domain.unlink(Noun::Lock, "m"), ErrorKind::NotFound, &["lock 'm'"]);
}

#[test]
fn a_closed_domain_gives_back_what_its_handles_hold() {
    let place = Place::new();
    let (domain, gone) = (place.open(), place.open());
    let mut mutex = gone.mutex("m", &asleep()).unwrap();
    let mut lock = gone.rwlock("rw", &asleep()).unwrap();
    let mut semaphore = gone.semaphore("s", 2, &asleep()).unwrap();
    let mut barrier = gone.barrier("b", 2, &asleep()).unwrap();
    mutex.lock(None).unwrap();
    lock.write(None).unwrap();
    (0..2).for_each(|_| semaphore.acquire(None).unwrap());
    assert_eq!(barrier.try_wait().unwrap(), None);
    let elsewhere = place.open();
    let (mut their_mutex, mut their_lock) =
        (elsewhere.mutex("m", &asleep()).unwrap(), elsewhere.rwlock("rw", &asleep()).unwrap());
    let waiting = thread::spawn(move || {
        assert_eq!(their_mutex.lock(PATIENCE).unwrap(), Acquired::default());
        assert_eq!(their_lock.read(PATIENCE).unwrap(), Acquired::default());
    });
    await_waiting(&place, "m", 1);
    gone.close();
    waiting.join().unwrap();
    let mut there = domain.semaphore("s", 2, &asleep()).unwrap();
    assert_eq!(there.available().unwrap(), 2);
    let mut party = domain.barrier("b", 2, &asleep()).unwrap();
    expect(party.wait(SHORT), ErrorKind::Timeout, &["barrier 'b'", "not all parties"]);
    expect(mutex.unlock(), ErrorKind::Closed, &["'m'", "closed"]);
    expect(mutex.lock(None), ErrorKind::Closed, &["'m'", "closed"]);
    expect(lock.unlock(), ErrorKind::Closed, &["'rw'", "closed"]);
    expect(semaphore.release(), ErrorKind::Closed, &["'s'", "closed"]);
    expect(barrier.try_wait(), ErrorKind::Closed, &["'b'", "closed"]);
}

#[test]
fn a_close_wakes_and_races_those_inside_calls() {
    let place = Place::new();
    let domain = place.open();
    let mut there = domain.mutex("m", &LockOptions::default()).unwrap();
    for round in 0..300 {
        let gone = place.open();
        let mut mutex = gone.mutex("m", &LockOptions::default()).unwrap();
        let mut asleep = gone.mutex("n", &asleep()).unwrap();
        let mut holder = domain.mutex("n", &LockOptions::default()).unwrap();
        holder.lock(None).unwrap();
        let busy = thread::spawn(move || {
            loop {
                match mutex.lock(PATIENCE).and_then(|_| mutex.unlock()) {
                    Ok(()) => {}
                    Err(e) => break (mutex, e),
                }
            }
        });
        let sleeping = thread::spawn(move || asleep.lock(PATIENCE).unwrap_err());
        litmus::spin(Duration::from_micros(round % 50));
        gone.close();
        let (kept, error) = busy.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(sleeping.join().unwrap().kind(), ErrorKind::Closed);
        // Its handle is still there, and holds nothing.
        assert_eq!(there.lock(PATIENCE).unwrap(), Acquired::default());
        there.unlock().unwrap();
        drop(kept);
    }
}

#[test]
fn many_read_or_one_writes() {
    let place = Place::new();
    let domain = place.open();
    let open = || domain.rwlock("rw", &asleep()).unwrap();
    let (mut one, mut two, mut writer) = (open(), open(), open());
    one.read(None).unwrap();
    assert!(two.try_read().unwrap().is_some());
    assert_eq!(writer.try_write().unwrap(), None);
    expect(one.write(SHORT), ErrorKind::WouldBlock, &["rwlock 'rw'", "wait for itself"]);
    expect(writer.write(SHORT), ErrorKind::Timeout, &["rwlock 'rw'"]);
    expect(writer.unlock(), ErrorKind::InvalidArgument, &["rwlock 'rw'", "not locked"]);
    two.unlock().unwrap();
    let writing = thread::spawn(move || {
        writer.write(PATIENCE).unwrap();
        writer
    });
    await_waiting(&place, "rw", 1);
    assert_eq!(two.try_read().unwrap(), None, "a writer that waits goes first");
    one.unlock().unwrap();
    let mut writer = writing.join().unwrap();
    assert_eq!((one.try_read().unwrap(), seen(&place, "rw").state.as_str()), (None, "written"));
    let reading = thread::spawn(move || two.read(PATIENCE).unwrap());
    await_waiting(&place, "rw", 1);
    writer.unlock().unwrap();
    reading.join().unwrap();
}

thread_local! {
    /// Whether this thread's waits go on.
    static GOES_ON: Cell<bool> = const { Cell::new(true) };
}

#[test]
fn a_wait_that_is_asked_about_keeps_its_place_or_ends() {
    let place = Place::new();
    let domain = place.open();
    ask_while_waiting(|| GOES_ON.get());
    let mut reader = domain.rwlock("rw", &asleep()).unwrap();
    reader.read(None).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| domain.rwlock("rw", &asleep()).unwrap().write(PATIENCE).map(drop));
        await_waiting(&place, "rw", 1);
        // It is asked several times meanwhile, and lets nobody in.
        let mut late = domain.rwlock("rw", &asleep()).unwrap();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(350) {
            assert!(late.try_read().unwrap().is_none(), "a reader came in before the writer");
        }
        reader.unlock().unwrap();
        writer.join().unwrap().unwrap();
    });

    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    mutex.lock(None).unwrap();
    GOES_ON.set(false);
    let mut other = domain.mutex("m", &asleep()).unwrap();
    expect(other.lock(None), ErrorKind::Interrupted, &["wait again"]);
    mutex.unlock().unwrap();
    assert!(other.try_lock().unwrap().is_some(), "it may be tried again");
}

#[test]
fn who_waits_by_the_descriptor_to_write_stops_those_who_come_to_read() {
    let place = Place::new();
    let domain = place.open();
    let open = || domain.rwlock("rw", &asleep()).unwrap();
    let (mut one, mut two, mut writer) = (open(), open(), open());
    let fd = writer.fd().unwrap();
    one.read(None).unwrap();
    assert_eq!(writer.claim_write().unwrap(), None);
    assert_eq!(two.try_read().unwrap(), None, "a writer that waits goes first");
    assert_eq!(open().claim_write().unwrap(), None);
    // The other one, which came and went, was heard.
    assert_eq!(writer.claim_write().unwrap(), None);
    assert!(!writer.is_locked() && !wait_readable(fd, Duration::ZERO));
    one.unlock().unwrap();
    assert!(wait_readable(fd, SOON) && writer.claim_write().unwrap().is_some());
    assert_eq!(seen(&place, "rw").state, "written");
    assert!(!writer.withdraw().unwrap(), "it is no claim any more");
    writer.unlock().unwrap();

    // Given up in whatever way, it lets them in.
    let ways: [fn(RwLock) -> Option<RwLock>; 3] = [
        |mut writer| writer.withdraw().unwrap().then_some(writer),
        |mut writer| writer.try_write().unwrap().is_none().then_some(writer),
        |writer| {
            writer.close();
            None
        },
    ];
    for give_up in ways {
        one.read(None).unwrap();
        let mut writer = open();
        writer.fd().unwrap();
        assert_eq!(writer.claim_write().unwrap(), None);
        let reading = thread::scope(|scope| {
            let reading = scope.spawn(|| two.read(PATIENCE));
            await_waiting(&place, "rw", 2);
            let writer = give_up(writer);
            let read = reading.join().unwrap();
            drop(writer);
            read
        });
        reading.unwrap();
        one.unlock().unwrap();
        two.unlock().unwrap();
    }
    one.read(None).unwrap();
    assert_eq!(writer.claim_write().unwrap(), None);
    one.unlock().unwrap();
    assert!(writer.write(SHORT).is_ok(), "another call claims anew");
}

#[test]
fn a_dead_reader_is_not_waited_for_and_a_dead_writer_is_told_of() {
    let place = Place::new();
    let domain = place.open();
    let mut lock = domain.rwlock("rw", &asleep()).unwrap();
    let mut reader = playing("hold", &place, "read");
    let writing = thread::spawn(move || {
        let how = lock.write(PATIENCE).unwrap();
        lock.unlock().unwrap();
        (lock, how)
    });
    await_waiting(&place, "rw", 1);
    reader.kill();
    let (mut lock, how) = writing.join().unwrap();
    assert!(!how.owner_died);
    let mut other = domain.rwlock("rw", &asleep()).unwrap();
    for writes in [false, true] {
        let mut writer = playing("hold", &place, "write");
        assert_eq!(lock.try_read().unwrap(), None);
        writer.kill();
        assert_eq!(seen(&place, "rw").state, "writer died");
        let how = if writes { lock.write(PATIENCE) } else { lock.read(PATIENCE) }.unwrap();
        assert!(how.owner_died && lock.owner_died());
        if !writes {
            assert!(!other.read(PATIENCE).unwrap().owner_died, "the first is told, and only the first");
            other.unlock().unwrap();
        }
        lock.unlock().unwrap();
        assert!(!other.write(PATIENCE).unwrap().owner_died);
        other.unlock().unwrap();
    }
}

#[test]
fn a_writer_that_dies_while_it_waits_has_harmed_nothing() {
    let place = Place::new();
    let domain = place.open();
    let mut lock = domain.rwlock("rw", &asleep()).unwrap();
    lock.read(None).unwrap();
    let mut writer = start("hold", place.path(), "write");
    await_waiting(&place, "rw", 1);
    writer.kill();
    let mut other = domain.rwlock("rw", &asleep()).unwrap();
    assert_eq!(other.try_read().unwrap(), Some(Acquired { owner_died: false }));
    other.unlock().unwrap();
    lock.unlock().unwrap();
    assert_eq!(other.write(PATIENCE).unwrap(), Acquired { owner_died: false });
}

#[test]
fn permits_are_counted_and_come_back() {
    let place = Place::new();
    let domain = place.open();
    let mut one = domain.semaphore("s", 3, &asleep()).unwrap();
    let mut other = domain.semaphore("s", 3, &asleep()).unwrap();
    expect(one.release(), ErrorKind::InvalidArgument, &["semaphore 's'", "no permit"]);
    (0..2).for_each(|_| one.acquire(None).unwrap());
    assert!(other.try_acquire().unwrap() && !other.try_acquire().unwrap());
    assert_eq!((one.held(), other.held(), one.available().unwrap()), (2, 1, 0));
    expect(other.acquire(SHORT), ErrorKind::Timeout, &["semaphore 's'"]);
    one.release().unwrap();
    other.acquire(SHORT).unwrap();
    drop(one);
    other.acquire(SHORT).unwrap();
    expect(other.acquire(SHORT), ErrorKind::WouldBlock, &["all 3 permits", "release one"]);
    (0..3).for_each(|_| other.release().unwrap());
    let mut holder = playing("hold", &place, "permits");
    other.acquire(SHORT).unwrap();
    assert!(!other.try_acquire().unwrap());
    let acquiring = thread::spawn(move || {
        other.acquire(PATIENCE).unwrap();
        other.acquire(PATIENCE).unwrap();
    });
    await_waiting(&place, "s", 1);
    holder.kill();
    acquiring.join().unwrap();
}

#[test]
fn threads_have_their_permits_by_one_handle() {
    const PERMITS: u32 = 500;
    let place = Place::new();
    let (domain, opened) = (place.open(), Arc::new(AtomicU32::new(0)));
    let (from, count) = (domain.clone(), opened.clone());
    let open = move || {
        count.fetch_add(1, Ordering::Relaxed);
        from.semaphore("s", PERMITS, &asleep())
    };
    let shared = SharedLock::new("semaphore 's'".into(), open).unwrap();
    let take = || {
        let mut semaphore = shared.idle().unwrap();
        semaphore.acquire(PATIENCE).unwrap();
        shared.put_permit(semaphore).unwrap();
    };
    (0..PERMITS).for_each(|_| take());
    assert_eq!((opened.load(Ordering::Relaxed), shared.holders()), (2, 1));
    assert_eq!(seen(&place, "s").state, "0 of 500 free");
    thread::scope(|scope| {
        // Each gives back and takes, one after the other, and they wait for each other's.
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..200 {
                    shared.release().unwrap();
                    take();
                }
            });
        }
        let waiting = scope.spawn(take);
        await_waiting(&place, "s", 1);
        shared.release().unwrap();
        waiting.join().unwrap();
    });
    assert_eq!((seen(&place, "s").state.as_str(), shared.holders()), ("0 of 500 free", 1));
    assert!(opened.load(Ordering::Relaxed) <= 5, "as many as waited at once, and one");
    (0..PERMITS).for_each(|_| shared.release().unwrap());
    expect(shared.release(), ErrorKind::InvalidArgument, &["semaphore 's'", "no permit"]);
    assert_eq!((seen(&place, "s").state.as_str(), shared.holders()), ("500 of 500 free", 0));

    (0..3).for_each(|_| take());
    let mut late = shared.idle().unwrap();
    assert!(late.try_acquire().unwrap());
    let mut there = place.open().semaphore("s", PERMITS, &asleep()).unwrap();
    shared.close();
    assert_eq!(shared.put_permit(late).unwrap_err().kind(), ErrorKind::Closed);
    expect(shared.release(), ErrorKind::Closed, &["semaphore 's'"]);
    assert_eq!(there.available().unwrap(), PERMITS);
}

#[test]
fn permits_that_are_handed_over_go_back_with_their_domain() {
    let place = Place::new();
    let mut there = place.open().semaphore("s", 8, &asleep()).unwrap();
    for round in 0..200 {
        let gone = place.open();
        let from = gone.clone();
        let open = move || from.semaphore("s", 8, &asleep());
        let shared = SharedLock::new("semaphore 's'".into(), open).unwrap();
        let take = || {
            let mut semaphore = shared.idle()?;
            semaphore.acquire(PATIENCE)?;
            shared.put_permit(semaphore)
        };
        take().unwrap();
        thread::scope(|scope| {
            let busy = scope.spawn(|| {
                loop {
                    if let Err(e) = take().and_then(|()| shared.release()) {
                        break e;
                    }
                }
            });
            litmus::spin(Duration::from_micros(round % 50));
            gone.close();
            assert_eq!(busy.join().unwrap().kind(), ErrorKind::Closed);
        });
        assert_eq!(there.available().unwrap(), 8, "after round {round}");
    }
}

#[test]
fn an_event_releases_everybody_or_one() {
    let place = Place::new();
    let domain = place.open();
    let mut event = domain.event("e", Reset::Manual, &asleep()).unwrap();
    expect(event.wait(SHORT), ErrorKind::Timeout, &["event 'e'", "not set"]);
    let mut waiting: Vec<Process> = (0..3).map(|_| playing("wait_for", &place, "event")).collect();
    await_waiting(&place, "e", 3);
    event.set().unwrap();
    event.clear().unwrap();
    waiting.iter_mut().for_each(|process| assert_eq!(process.hear(), "over"));
    assert!(!event.is_set().unwrap() && !event.try_wait().unwrap());
    event.set().unwrap();
    assert!(event.try_wait().unwrap() && event.is_set().unwrap());
    let mut auto = domain.event("a", Reset::Auto, &asleep()).unwrap();
    auto.set().unwrap();
    auto.set().unwrap();
    assert!(auto.try_wait().unwrap() && !auto.try_wait().unwrap());
    let (passed, passes) = mpsc::channel();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let (mut auto, passed) = (domain.event("a", Reset::Auto, &asleep()).unwrap(), passed.clone());
            thread::spawn(move || passed.send(auto.wait(PATIENCE).map_err(|e| e.kind())).unwrap())
        })
        .collect();
    await_waiting(&place, "a", 2);
    auto.set().unwrap();
    passes.recv_timeout(SOON).unwrap().unwrap();
    assert!(passes.recv_timeout(Duration::from_millis(30)).is_err(), "one passes for one set");
    auto.set().unwrap();
    passes.recv_timeout(SOON).unwrap().unwrap();
    // Their handles end with them.
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

#[test]
fn a_barrier_releases_all_and_one_leads() {
    let place = Place::new();
    let domain = place.open();
    let mut barrier = domain.barrier("b", 3, &asleep()).unwrap();
    for _ in 0..3 {
        let mut others: Vec<Process> = (0..2).map(|_| playing("wait_for", &place, "barrier")).collect();
        let mut leaders = u32::from(barrier.wait(PATIENCE).unwrap());
        leaders += others.iter_mut().map(|process| u32::from(process.hear() == "true")).sum::<u32>();
        assert_eq!((leaders, barrier.waiting().unwrap()), (1, 0));
    }
    expect(barrier.wait(SHORT), ErrorKind::Timeout, &["barrier 'b'", "not all parties"]);
    assert_eq!((barrier.waiting().unwrap(), barrier.withdraw().unwrap()), (0, false));
    assert_eq!(barrier.try_wait().unwrap(), None);
    assert_eq!((barrier.waiting().unwrap(), barrier.withdraw().unwrap()), (1, true));
}

#[test]
fn who_looks_at_a_barrier_needs_no_handle() {
    let place = Place::new();
    let domain = place.open();
    expect(Barrier::waiting_at(&domain, "b"), ErrorKind::NotFound, &["lock 'b'"]);
    let mut all: Vec<Barrier> = (0..64).map(|_| domain.barrier("b", 64, &asleep()).unwrap()).collect();
    assert_eq!(domain.barrier("b", 64, &asleep()).unwrap_err().kind(), ErrorKind::LimitReached);
    assert_eq!(Barrier::waiting_at(&domain, "b").unwrap(), 0);
    all[..3].iter_mut().for_each(|barrier| assert_eq!(barrier.try_wait().unwrap(), None));
    assert_eq!((Barrier::waiting_at(&domain, "b").unwrap(), all[9].waiting().unwrap()), (3, 3));
    let _mutex = domain.mutex("m", &asleep()).unwrap();
    expect(Barrier::waiting_at(&domain, "m"), ErrorKind::InvalidArgument, &["lock 'm'", "no barrier"]);
}

#[test]
fn a_barrier_does_not_count_the_dead() {
    let place = Place::new();
    let domain = place.open();
    let mut barrier = domain.barrier("b", 2, &asleep()).unwrap();
    let mut dead = playing("hold", &place, "barrier");
    dead.kill();
    expect(barrier.wait(SHORT), ErrorKind::Timeout, &["not all parties"]);
    let mut party = playing("hold", &place, "barrier");
    assert!(barrier.wait(PATIENCE).unwrap());
    party.kill();
    let full: Vec<Barrier> = (1..64).map(|_| domain.barrier("b", 2, &asleep()).unwrap()).collect();
    expect(domain.barrier("b", 2, &asleep()), ErrorKind::LimitReached, &["'b'", "64 times"]);
    drop(full);
}

#[test]
fn a_condition_wakes_those_who_wait() {
    let place = Place::new();
    let domain = place.open();
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    let mut condvar = domain.condvar("c", &asleep()).unwrap();
    expect(condvar.wait(&mut mutex, SHORT), ErrorKind::InvalidArgument, &["mutex 'm'", "lock it"]);
    mutex.lock(None).unwrap();
    expect(condvar.wait(&mut mutex, SHORT), ErrorKind::Timeout, &["condvar 'c'"]);
    assert!(mutex.is_locked(), "it is locked again");
    mutex.unlock().unwrap();
    assert!(!condvar.notify_one().unwrap());
    let mut waiting: Vec<Process> = (0..3).map(|_| playing("wait_for", &place, "condvar")).collect();
    let all_wait = |count: usize| while seen(&place, "c").state != format!("{count} wait") {};
    all_wait(3);
    assert!(condvar.notify_one().unwrap());
    assert_eq!(waiting.remove(0).hear(), "over", "who has waited longest");
    all_wait(2);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(seen(&place, "c").state, "2 wait", "and nobody else");
    assert_eq!(condvar.notify_all().unwrap(), 2);
    waiting.iter_mut().for_each(|process| assert_eq!(process.hear(), "over"));
    let other = Domain::open_with(DomainOptions { name: Some("other".into()), ..place.options() }).unwrap();
    let mut foreign = other.mutex("m", &asleep()).unwrap();
    foreign.lock(None).unwrap();
    expect(condvar.wait(&mut foreign, SHORT), ErrorKind::InvalidArgument, &["'other'", "same domain"]);
}

#[test]
fn a_notice_passes_from_the_dead_to_another() {
    let place = Place::new();
    let domain = place.open();
    let mut condvar = domain.condvar("c", &asleep()).unwrap();
    let mut first = playing("wait_for", &place, "condvar");
    while seen(&place, "c").state != "1 wait" {}
    first.signal(Signal::SIGSTOP);
    let mut second = playing("wait_for", &place, "condvar");
    while seen(&place, "c").state != "2 wait" {}
    assert!(condvar.notify_one().unwrap());
    first.kill();
    assert_eq!(second.hear(), "over");
}

#[test]
fn a_lock_is_what_it_is() {
    let place = Place::new();
    let domain = place.open();
    let _gpu = domain.semaphore("gpu", 4, &asleep()).unwrap();
    expect(
        domain.mutex("gpu", &asleep()),
        ErrorKind::InvalidArgument,
        &["lock 'gpu' is a semaphore, not a mutex"],
    );
    expect(domain.event("gpu", Reset::Auto, &asleep()), ErrorKind::InvalidArgument, &["not an event"]);
    expect(domain.semaphore("gpu", 5, &asleep()), ErrorKind::InvalidArgument, &["permits 4, not 5"]);
    let _event = domain.event("e", Reset::Auto, &asleep()).unwrap();
    expect(
        domain.event("e", Reset::Manual, &asleep()),
        ErrorKind::InvalidArgument,
        &["reset auto, not manual"],
    );
    for permits in [0, 1025] {
        expect(domain.semaphore("x", permits, &asleep()), ErrorKind::InvalidArgument, &["1 to 1024"]);
    }
    for parties in [1, 65] {
        expect(domain.barrier("x", parties, &asleep()), ErrorKind::InvalidArgument, &["2 to 64"]);
    }
    assert_eq!(domain.mutex("no/name", &asleep()).unwrap_err().kind(), ErrorKind::InvalidName);
    let mut all = domain.semaphore("many", 1024, &asleep()).unwrap();
    (0..1024).for_each(|_| all.acquire(SHORT).unwrap());
    assert_eq!((all.available().unwrap(), all.held()), (0, 1024));
}

/// What a watched descriptor tells: readable until a try has found nothing, and again once there is something.
fn watched(fd: i32, mut found: impl FnMut() -> bool, mut give: impl FnMut()) {
    assert!(wait_readable(fd, Duration::ZERO), "the first time it is worth a try");
    while found() {}
    assert!(!wait_readable(fd, Duration::ZERO));
    give();
    assert!(wait_readable(fd, SOON) && found());
}

#[test]
fn descriptors_tell_when_to_try_again() {
    let place = Place::new();
    let domain = place.open();
    let (mut mutex, mut holder) =
        (domain.mutex("m", &asleep()).unwrap(), domain.mutex("m", &asleep()).unwrap());
    holder.lock(None).unwrap();
    watched(mutex.fd().unwrap(), || mutex.try_lock().unwrap().is_some(), || holder.unlock().unwrap());
    let open = || domain.rwlock("rw", &asleep()).unwrap();
    let (mut reader, mut writer) = (open(), open());
    writer.write(None).unwrap();
    watched(reader.fd().unwrap(), || reader.try_read().unwrap().is_some(), || writer.unlock().unwrap());
    watched(writer.fd().unwrap(), || writer.try_write().unwrap().is_some(), || reader.unlock().unwrap());
    let open = || domain.semaphore("s", 1, &asleep()).unwrap();
    let (mut semaphore, mut holder) = (open(), open());
    holder.acquire(None).unwrap();
    watched(semaphore.fd().unwrap(), || semaphore.try_acquire().unwrap(), || holder.release().unwrap());
    for reset in [Reset::Manual, Reset::Auto] {
        let open = || domain.event(reset.name(), reset, &asleep()).unwrap();
        let (mut event, mut setter) = (open(), open());
        watched(
            event.fd().unwrap(),
            || event.try_wait().unwrap(),
            || {
                setter.set().unwrap();
                if reset == Reset::Manual {
                    setter.clear().unwrap();
                }
            },
        );
    }
    let open = || domain.barrier("b", 2, &asleep()).unwrap();
    let (mut barrier, mut last) = (open(), open());
    watched(
        barrier.fd().unwrap(),
        || barrier.try_wait().unwrap().is_some(),
        || assert!(last.wait(SHORT).unwrap()),
    );
    let open = || domain.condvar("c", &asleep()).unwrap();
    let (mut condvar, mut notifier) = (open(), open());
    condvar.start_wait(&mut mutex).unwrap();
    watched(
        condvar.fd().unwrap(),
        || condvar.try_wait().unwrap(),
        || assert!(notifier.notify_one().unwrap()),
    );
}

#[test]
fn a_fork_keeps_nothing_and_opens_anew() {
    let place = Place::new();
    let domain = place.open();
    let mut held = domain.mutex("m", &asleep()).unwrap();
    let mut free = domain.mutex("n", &asleep()).unwrap();
    let mut reader = domain.rwlock("rw", &asleep()).unwrap();
    let mut claimed = domain.rwlock("rw", &asleep()).unwrap();
    held.lock(None).unwrap();
    reader.read(None).unwrap();
    assert_eq!(claimed.claim_write().unwrap(), None);
    reader.unlock().unwrap();
    // SAFETY: the child calls what this test is about, and ends without running anything else.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                expect(held.unlock(), ErrorKind::Forked, &["lock 'm'", "parent", "anew"]);
                expect(held.lock(SHORT), ErrorKind::Forked, &["lock 'm'"]);
                free.lock(SHORT).unwrap();
                assert_eq!(claimed.claim_write().unwrap(), None, "the claim is the parent's");
                let mut anew = domain.mutex("m", &asleep()).unwrap();
                assert_eq!(anew.try_lock().unwrap(), None);
                drop((held, anew, claimed));
                free.unlock().unwrap();
                domain.close();
            }));
            // SAFETY: ends the process at once.
            unsafe { nix::libc::_exit(i32::from(outcome.is_err())) }
        }
        ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
    held.unlock().unwrap();
    assert!(claimed.claim_write().unwrap().is_some());
}
