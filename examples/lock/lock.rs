//! A lock: processes count in turn; one is killed while it has the mutex, and the next is told.

use axonic::*;
use std::env;
use std::process::{Child, Command};
use std::time::Duration;

fn value(counter: &Region) -> Result<u64> {
    let mut bytes = [0; 8];
    counter.read(0, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// In two steps: only the mutex makes this right.
fn add_one(counter: &Region) -> Result<()> {
    counter.write(0, &(value(counter)? + 1).to_le_bytes())
}

fn start(role: &str) -> Child {
    Command::new(env::current_exe().expect("this program")).arg(role).spawn().expect("another process")
}

fn main() -> Result<()> {
    let ax = match env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-lock")?,
    };
    let counter = ax.region("counter", &RegionOptions { size: Some(8), ..Default::default() })?;
    let mut mutex = ax.mutex("counter", &LockOptions::default())?;
    let mut taken = ax.event("taken", Reset::Manual, &LockOptions::default())?;
    match env::args().nth(1).as_deref() {
        Some("count") => {
            for _ in 0..1000 {
                mutex.lock(None)?;
                add_one(&counter)?;
                mutex.unlock()?;
            }
            return Ok(());
        }
        Some(_) => {
            mutex.lock(None)?;
            add_one(&counter)?;
            taken.set()?;
            loop {
                std::thread::park();
            }
        }
        None => {}
    }

    for mut child in ["count"; 3].map(start) {
        child.wait().expect("it ends");
    }
    println!("3 processes counted to {}", value(&counter)?);

    let mut victim = start("die");
    taken.wait(Some(Duration::from_secs(5)))?;
    println!("locked: {}", mutex.try_lock()?.is_none());
    victim.kill().expect("it lives");
    let how = mutex.lock(Some(Duration::from_secs(5)))?;
    println!("owner died: {}, the counter says {}", how.owner_died, value(&counter)?);
    mutex.unlock()?;
    victim.wait().expect("it ends");
    ax.unlink(Noun::Region, "counter")
}
