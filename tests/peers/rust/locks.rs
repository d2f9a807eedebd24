//! What the Rust peer does with locks.

use crate::PATIENCE;
use axonic::*;
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Raises the number in a file, and says what it is now.
fn raise(file: &File) -> u64 {
    let number = number_in(file) + 1;
    file.write_all_at(&number.to_le_bytes(), 0).expect("a number");
    number
}

fn number_in(file: &File) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).expect("a number");
    u64::from_le_bytes(bytes)
}

fn opened(file: &str) -> File {
    File::options().read(true).write(true).open(file).expect("the file with the number")
}

pub fn alternate(domain: &str, file: &str, parity: u64, times: usize) -> Result<()> {
    let (domain, plain) = (Domain::open(domain)?, LockOptions::default());
    let (mut mutex, mut turn) = (domain.mutex("count", &plain)?, domain.condvar("turn", &plain)?);
    let file = opened(file);
    for _ in 0..times {
        mutex.lock(PATIENCE)?;
        while number_in(&file) % 2 != parity {
            turn.wait(&mut mutex, PATIENCE)?;
        }
        raise(&file);
        turn.notify_one()?;
        mutex.unlock()?;
    }
    println!("alternated {times}");
    Ok(())
}

pub fn count(domain: &str, file: &str, times: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut mutex = domain.mutex("count", &LockOptions::default())?;
    let file = opened(file);
    for _ in 0..times {
        if mutex.lock(PATIENCE)?.owner_died {
            println!("owner died");
        }
        println!("{}", raise(&file));
        mutex.unlock()?;
    }
    println!("counted {times}");
    Ok(())
}

/// Long enough for others to come.
const MOMENT: Duration = Duration::from_micros(100);

/// Has a permit for a moment, and tells from when to when.
fn sit(seats: &mut Semaphore) -> Result<()> {
    let now = || {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
        time.tv_sec() * 1_000_000_000 + time.tv_nsec()
    };
    seats.acquire(PATIENCE)?;
    println!("in {}", now());
    std::thread::sleep(MOMENT);
    println!("out {}", now());
    seats.release()
}

pub fn share(domain: &str, file: &str, times: usize) -> Result<()> {
    let (domain, plain) = (Domain::open(domain)?, LockOptions::default());
    let (mut page, mut seats) = (domain.rwlock("page", &plain)?, domain.semaphore("seats", 2, &plain)?);
    let file = opened(file);
    for n in 0..times {
        if n % 4 == 0 {
            if page.write(PATIENCE)?.owner_died {
                println!("owner died");
            }
            println!("{}", raise(&file));
        } else {
            let died = page.read(PATIENCE)?.owner_died;
            let number = number_in(&file);
            if died {
                println!("owner died {number}");
            }
            sit(&mut seats)?;
            must(number_in(&file) == number, "nobody writes while somebody reads")?;
        }
        page.unlock()?;
    }
    println!("shared {times}");
    Ok(())
}

struct Hall {
    domain: Domain,
    barrier: Barrier,
    event: Event,
    bell: Event,
    rwlock: RwLock,
    seats: Semaphore,
    led: usize,
}

pub fn must(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(ErrorKind::Corrupt, format!("not so: {what}"))) }
}

impl Hall {
    fn turn(&mut self) -> Result<()> {
        self.led += usize::from(self.barrier.wait(PATIENCE)?);
        Ok(())
    }

    /// Says who has a lock.
    fn tell(&self, name: &str) -> Result<()> {
        for LockHolder { pid, label, since_unix_ms, alive, role, .. } in self.domain.lock_holders(name)? {
            must(alive && since_unix_ms > 0, "it is there, and has come")?;
            println!("{name}: {role} {pid} {label}");
        }
        Ok(())
    }

    fn first(&mut self) -> Result<()> {
        self.rwlock.write(PATIENCE)?;
        self.seats.acquire(PATIENCE)?;
        self.bell.set()?;
        self.bell.set()?;
        self.turn()?;
        self.turn()?;
        self.rwlock.unlock()?;
        self.seats.release()?;
        self.event.set()?;
        self.bell.set()?;
        self.turn()?;
        must(!self.bell.is_set()?, "who passed has cleared it")?;
        must(self.rwlock.try_write()?.is_none(), "the other reads, so nobody writes")?;
        must(self.rwlock.try_read()?.is_some(), "two read")?;
        self.rwlock.unlock()?;
        must(!self.seats.try_acquire()?, "the other has the only permit")?;
        self.tell("seat")?;
        must(self.event.is_set()?, "it stays set")?;
        self.event.clear()?;
        self.turn()?;
        self.turn()?;
        must(self.rwlock.try_write()?.is_some(), "the other has stopped reading")?;
        must(self.seats.try_acquire()?, "the other has given its permit back")?;
        self.rwlock.unlock()?;
        self.seats.release()
    }

    fn second(&mut self) -> Result<()> {
        self.turn()?;
        must(self.rwlock.try_read()?.is_none(), "the other writes, so nobody reads")?;
        must(self.rwlock.try_write()?.is_none(), "the other writes, so nobody else does")?;
        must(!self.seats.try_acquire()?, "the other has the only permit")?;
        self.tell("page")?;
        must(!self.event.try_wait()?, "nobody has set it")?;
        must(self.bell.try_wait()?, "it was set before")?;
        must(!self.bell.try_wait()?, "set twice it lets one pass")?;
        self.turn()?;
        self.event.wait(PATIENCE)?;
        self.bell.wait(PATIENCE)?;
        self.rwlock.read(PATIENCE)?;
        self.seats.acquire(PATIENCE)?;
        self.turn()?;
        self.turn()?;
        must(!self.event.try_wait()?, "the other has cleared it")?;
        self.rwlock.unlock()?;
        self.seats.release()?;
        self.turn()
    }
}

pub fn meet(domain: &str, role: &str) -> Result<()> {
    let (domain, plain) = (Domain::open(domain)?, LockOptions::default());
    let mut hall = Hall {
        barrier: domain.barrier("turn", 2, &plain)?,
        event: domain.event("go", Reset::Manual, &plain)?,
        bell: domain.event("bell", Reset::Auto, &plain)?,
        rwlock: domain.rwlock("page", &plain)?,
        seats: domain.semaphore("seat", 1, &plain)?,
        led: 0,
        domain,
    };
    if role == "first" {
        hall.first()?
    } else {
        hall.second()?
    }
    println!("met {}", hall.led);
    Ok(())
}
