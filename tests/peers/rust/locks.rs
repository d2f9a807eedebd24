//! What the Rust peer does with locks.

use crate::PATIENCE;
use axonic::*;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub fn count(domain: &str, file: &str, times: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let mut mutex = domain.mutex("count", &LockOptions::default())?;
    let file = File::options().read(true).write(true).open(file).expect("the file with the number");
    for _ in 0..times {
        if mutex.lock(PATIENCE)?.owner_died {
            println!("owner died");
        }
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 0).expect("a number");
        let number = u64::from_le_bytes(bytes) + 1;
        file.write_all_at(&number.to_le_bytes(), 0).expect("a number");
        println!("{number}");
        mutex.unlock()?;
    }
    println!("counted {times}");
    Ok(())
}

struct Hall {
    barrier: Barrier,
    event: Event,
    rwlock: RwLock,
    seats: Semaphore,
    led: usize,
}

fn must(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(ErrorKind::Corrupt, format!("not so: {what}"))) }
}

impl Hall {
    fn turn(&mut self) -> Result<()> {
        self.led += usize::from(self.barrier.wait(PATIENCE)?);
        Ok(())
    }

    fn first(&mut self) -> Result<()> {
        self.rwlock.write(PATIENCE)?;
        self.seats.acquire(PATIENCE)?;
        self.turn()?;
        self.turn()?;
        self.rwlock.unlock()?;
        self.seats.release()?;
        self.event.set()?;
        self.turn()?;
        must(self.rwlock.try_write()?.is_none(), "the other reads, so nobody writes")?;
        must(self.rwlock.try_read()?.is_some(), "two read")?;
        self.rwlock.unlock()?;
        must(!self.seats.try_acquire()?, "the other has the only permit")?;
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
        must(!self.event.try_wait()?, "nobody has set it")?;
        self.turn()?;
        self.event.wait(PATIENCE)?;
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
        rwlock: domain.rwlock("page", &plain)?,
        seats: domain.semaphore("seat", 1, &plain)?,
        led: 0,
    };
    if role == "first" {
        hall.first()?
    } else {
        hall.second()?
    }
    println!("met {}", hall.led);
    Ok(())
}
