//! SIGKILL and SIGSTOP at random moments around locks: one owner at a time, whoever dies; what a dead owner left half-done is
//! told; nobody who lives sleeps for what is free.

mod common;
mod litmus;

use axonic::*;
use common::flat::stays_flat;
use common::{Place, often};
use litmus::{KILLS, PATIENCE, Parent, Process, Random, SOON, STOPS, long, rounds, start};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

roles!(count, share, take_permits, meet, consume, keep);

fn asleep() -> LockOptions {
    LockOptions { wait: Wait::Block }
}

/// Two numbers that are equal unless somebody is in the middle of raising both.
struct Pair(Region);

impl Pair {
    fn open(domain: &Domain) -> Pair {
        Pair(domain.region("pair", &RegionOptions { size: Some(16), ..Default::default() }).unwrap())
    }

    fn get(&self) -> [u64; 2] {
        // SAFETY: what it is, is protected by a lock of the test.
        [0, 1].map(|at| unsafe { self.0.as_ptr().cast::<u64>().add(at).read_volatile() })
    }

    fn set(&self, at: usize, value: u64) {
        // SAFETY: as above.
        unsafe { self.0.as_ptr().cast::<u64>().add(at).write_volatile(value) }
    }

    fn mend(&self) {
        let most = self.get().into_iter().max().unwrap();
        (0..2).for_each(|at| self.set(at, most));
    }

    fn raise(&self, told: bool, random: &mut Random) {
        let [first, second] = self.get();
        assert!(told || first == second, "{first} and {second}, and nobody was told of a death");
        let next = first.max(second) + 1;
        self.set(0, next);
        random.pause(20);
        self.set(1, next);
    }
}

fn options(random: &mut Random) -> LockOptions {
    LockOptions { wait: if random.below(2) == 0 { Wait::Block } else { Wait::Adaptive } }
}

/// Raises the pair under the mutex until it is killed.
fn count(parent: &mut Parent) {
    let (domain, mut random) = (litmus::open(), Random::new());
    let mut mutex = domain.mutex("m", &options(&mut random)).unwrap();
    let pair = Pair::open(&domain);
    parent.say("ready");
    loop {
        let how = mutex.lock(PATIENCE).expect("the dead hold nobody up");
        pair.raise(how.owner_died, &mut random);
        mutex.unlock().unwrap();
        random.pause(20);
    }
}

/// The same, with readers: every other one writes.
fn share(parent: &mut Parent) {
    let (domain, mut random) = (litmus::open(), Random::new());
    let mut lock = domain.rwlock("rw", &options(&mut random)).unwrap();
    let pair = Pair::open(&domain);
    parent.say("ready");
    loop {
        if random.below(2) == 0 {
            let how = lock.write(PATIENCE).expect("the dead hold no writer up");
            pair.raise(how.owner_died, &mut random);
        } else if lock.read(PATIENCE).expect("the dead hold no reader up").owner_died {
            // No writer comes in before this is set right, or another is told.
            pair.mend();
        } else if pair.get()[0] != pair.get()[1] {
            // The first to read after a death was told, and only that one.
            lock.unlock().unwrap();
            let how = lock.write(PATIENCE).unwrap();
            assert!(how.owner_died || pair.get()[0] == pair.get()[1]);
            pair.mend();
        }
        lock.unlock().unwrap();
        random.pause(20);
    }
}

/// Takes one permit or two, and gives them back, until it is killed.
fn take_permits(parent: &mut Parent) {
    let (domain, mut random) = (litmus::open(), Random::new());
    let mut semaphore = domain.semaphore("s", 3, &options(&mut random)).unwrap();
    parent.say("ready");
    loop {
        semaphore.acquire(PATIENCE).expect("the dead keep no permits");
        let two = random.below(2) == 0 && semaphore.try_acquire().unwrap();
        random.pause(20);
        (0..1 + u32::from(two)).for_each(|_| semaphore.release().unwrap());
        random.pause(20);
    }
}

/// Meets others at the barrier until it is killed.
fn meet(parent: &mut Parent) {
    let (domain, mut random) = (litmus::open(), Random::new());
    let mut barrier = domain.barrier("b", 3, &options(&mut random)).unwrap();
    parent.say("ready");
    loop {
        barrier.wait(PATIENCE).expect("others come");
        random.pause(20);
    }
}

/// Waits for the first number of the pair to be above zero, and lowers it, until it is killed.
fn consume(parent: &mut Parent) {
    let (domain, mut random) = (litmus::open(), Random::new());
    let mut mutex = domain.mutex("m", &options(&mut random)).unwrap();
    let mut condvar = domain.condvar("c", &options(&mut random)).unwrap();
    let pair = Pair::open(&domain);
    parent.say("ready");
    loop {
        mutex.lock(PATIENCE).unwrap();
        while pair.get()[0] == 0 {
            condvar.wait(&mut mutex, None).unwrap();
        }
        pair.set(0, pair.get()[0] - 1);
        mutex.unlock().unwrap();
        random.pause(20);
    }
}

/// Locks the mutex, says so, and unlocks it when it is told to; again and again.
fn keep(parent: &mut Parent) {
    let domain = litmus::open();
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    parent.say("ready");
    while parent.hear().is_some() {
        mutex.lock(PATIENCE).unwrap();
        parent.say("got");
        parent.hear();
        mutex.unlock().unwrap();
    }
}

fn playing(role: &str, place: &Place) -> Process {
    let mut process = start(role, place.path(), "");
    assert_eq!(process.hear(), "ready");
    process
}

/// Some processes play a role; one of them after the other is killed and replaced, and `living` goes on.
fn killing(place: &Place, role: &str, time: Duration, mut living: impl FnMut(&mut Random)) -> u64 {
    let mut random = Random::new();
    let mut players: Vec<Process> = (0..3).map(|_| playing(role, place)).collect();
    let count = rounds(time, |_| {
        random.pause(2000);
        let victim = random.below(3) as usize;
        players[victim].kill();
        living(&mut random);
        for (number, player) in players.iter_mut().enumerate().filter(|(number, _)| *number != victim) {
            assert_eq!(player.ended(), None, "player {number} has ended, though nobody killed it");
        }
        players[victim] = playing(role, place);
    });
    often(format!("kills at {role}"), count, time, KILLS);
    count
}

fn in_time<T>(act: impl FnOnce() -> Result<T>) -> T {
    let started = Instant::now();
    let done = act().expect("the living go on");
    assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    done
}

fn owners_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    let pair = Pair::open(&domain);
    let mut deaths = 0;
    let kills = killing(&place, "count", time, |random| {
        let how = in_time(|| mutex.lock(PATIENCE));
        deaths += u64::from(how.owner_died);
        pair.raise(how.owner_died, random);
        mutex.unlock().unwrap();
    });
    println!("{} raised, {deaths} of {kills} deaths told here", pair.get()[0]);
    drop(mutex);
    finish(&domain, &["m"]);
}

#[test]
fn a_mutex_outlives_its_owners() {
    owners_killed(Duration::from_millis(1500));
}

/// Whoever died last may have left a lock that nobody was told of.
fn finish(domain: &Domain, locks: &[&str]) {
    let _ = domain.unlink(Noun::Region, "pair");
    for lock in locks {
        let _ = domain.unlink(Noun::Lock, lock);
    }
}

fn readers_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut lock = domain.rwlock("rw", &asleep()).unwrap();
    let pair = Pair::open(&domain);
    killing(&place, "share", time, |random| {
        let how = in_time(|| lock.write(PATIENCE));
        pair.raise(how.owner_died, random);
        lock.unlock().unwrap();
        if in_time(|| lock.read(PATIENCE)).owner_died {
            pair.mend();
        }
        lock.unlock().unwrap();
    });
    drop(lock);
    finish(&domain, &["rw"]);
}

#[test]
fn a_rwlock_outlives_those_who_read_and_write() {
    readers_killed(Duration::from_millis(1500));
}

fn permits_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut semaphore = domain.semaphore("s", 3, &asleep()).unwrap();
    killing(&place, "take_permits", time, |_| {
        in_time(|| semaphore.acquire(PATIENCE));
        semaphore.release().unwrap();
    });
    assert_eq!(semaphore.available().unwrap(), 3, "permits were lost");
}

#[test]
fn permits_come_back_from_the_dead() {
    permits_killed(Duration::from_millis(1000));
}

fn parties_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut barriers: Vec<Barrier> = (0..2).map(|_| domain.barrier("b", 3, &asleep()).unwrap()).collect();
    // Of those that are left two and two of ours meet, whoever they are.
    killing(&place, "meet", time, |_| {
        std::thread::scope(|scope| {
            for barrier in &mut barriers {
                scope.spawn(|| in_time(|| barrier.wait(PATIENCE)));
            }
        });
    });
}

#[test]
fn a_barrier_goes_on_without_the_dead() {
    parties_killed(Duration::from_millis(1000));
}

fn consumers_killed(time: Duration) {
    let place = Place::new();
    let domain = place.open();
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    let mut condvar = domain.condvar("c", &asleep()).unwrap();
    let pair = Pair::open(&domain);
    let mut random = Random::new();
    let mut players: Vec<Process> = (0..3).map(|_| playing("consume", &place)).collect();
    let count = rounds(time, |_| {
        for _ in 0..random.below(4) + 1 {
            mutex.lock(PATIENCE).unwrap();
            pair.set(0, pair.get()[0] + 1);
            condvar.notify_one().unwrap();
            mutex.unlock().unwrap();
        }
        random.pause(100);
        let victim = random.below(3) as usize;
        players[victim].kill();
        let killed = Instant::now();
        // Who had the mutex had taken its notice: whoever is told of that gives another.
        if mutex.lock(PATIENCE).unwrap().owner_died {
            condvar.notify_one().unwrap();
        }
        mutex.unlock().unwrap();
        // Otherwise there was one notice for each, and those who live take them all.
        while pair.get()[0] > 0 {
            assert!(killed.elapsed() < SOON, "{} were not taken", pair.get()[0]);
            std::thread::yield_now();
        }
        players[victim] = playing("consume", &place);
    });
    often("kills of those who wait for a condition", count, time, KILLS);
    drop((players, mutex, condvar));
    finish(&domain, &["m", "c"]);
}

#[test]
fn a_notice_outlives_the_notified() {
    consumers_killed(Duration::from_millis(1000));
}

/// Two sleep for a mutex; one is stopped, or killed, just when it is unlocked: the other gets it, unless the stopped one has.
fn rung_ones(time: Duration, signal: Signal) {
    let place = Place::new();
    let domain = place.open();
    let mut mutex = domain.mutex("m", &asleep()).unwrap();
    let mut random = Random::new();
    let lock_of = || snapshot(&place.options()).unwrap().locks.remove(0);
    let mut players: Vec<Process> = (0..2).map(|_| playing("keep", &place)).collect();
    let mut stopped = 0;
    let count = rounds(time, |_| {
        mutex.lock(PATIENCE).unwrap();
        players.iter_mut().for_each(|player| player.say("lock"));
        while lock_of().waiting < 2 {
            std::thread::yield_now();
        }
        let victim = random.below(2) as usize;
        let delay = Duration::from_micros(random.below(60));
        mutex.unlock().unwrap();
        litmus::spin(delay);
        match signal {
            Signal::SIGKILL => players[victim].kill(),
            _ => players[victim].signal(signal),
        }
        let unlocked = Instant::now();
        let owner = loop {
            assert!(unlocked.elapsed() < 2 * SOON, "nobody got it");
            match lock_of().holders.first() {
                Some(holder) if holder.alive => break holder.pid,
                _ => std::thread::yield_now(),
            }
        };
        stopped += u32::from(owner == players[victim].pid().as_raw() as u32);
        match signal {
            Signal::SIGKILL => {
                players[victim] = playing("keep", &place);
                players[victim].say("lock");
            }
            _ => players[victim].signal(Signal::SIGCONT),
        }
        let first = usize::from(owner != players[0].pid().as_raw() as u32);
        for player in [first, 1 - first] {
            assert_eq!(players[player].hear(), "got");
            players[player].say("unlock");
        }
    });
    println!("in {stopped} rounds it was the one with the {signal} that had it");
    let a_second = if signal == Signal::SIGKILL { KILLS } else { STOPS };
    often(format!("{signal} of one that was rung for"), count, time, a_second);
    drop((players, mutex));
    finish(&domain, &["m"]);
}

#[test]
fn one_that_was_rung_for_and_stopped_holds_nobody_up() {
    rung_ones(Duration::from_millis(2500), Signal::SIGSTOP);
}

#[test]
fn one_that_was_rung_for_and_killed_holds_nobody_up() {
    rung_ones(Duration::from_millis(1000), Signal::SIGKILL);
}

#[test]
#[ignore = "long: part of `make chaos`"]
fn locks_for_long() {
    for work in [owners_killed, readers_killed, permits_killed, parties_killed, consumers_killed] {
        stays_flat(long(40), work);
    }
    stays_flat(long(40), |time| rung_ones(time, Signal::SIGSTOP));
}
