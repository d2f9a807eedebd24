//! What the Rust peer does in a crowd: it provides a service with others, or calls it many times at once.

use crate::PATIENCE;
use crate::jobs::{message, number_in};
use axonic::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const THREADS: usize = 8;
const SIZE: usize = 64;
/// How long a call may take that takes longer.
const LIMIT: Duration = Duration::from_millis(20);
const DELAY: Duration = Duration::from_millis(40);

fn reversed(data: &[u8]) -> Vec<u8> {
    data.iter().rev().copied().collect()
}

fn answer(request: Request) -> Result<()> {
    println!("did {}", number_in(request.body().data())?);
    if request.method() == "delay" {
        std::thread::sleep(DELAY);
    }
    let result = reversed(request.body().data());
    // Its caller may be gone.
    let _ = request.reply(Payload::raw(&result));
    Ok(())
}

pub fn provide(domain: &str, service: &str) -> Result<()> {
    let domain = Domain::open(domain)?;
    let service = domain.service(service, "1.0.0", &ServiceOptions::default())?;
    println!("providing");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        answer(service.next(None)?)?
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })
}

fn call(client: &Client, k: u64) -> Result<&'static str> {
    let data = message(k, SIZE);
    let (method, limit) = if k % 16 == 5 { ("delay", Some(LIMIT)) } else { ("solve", PATIENCE) };
    match client.call(method, Payload::raw(&data), limit) {
        Ok(result) if result.data() == reversed(&data) => Ok("ok"),
        Ok(_) => Ok("wrong"),
        Err(e) if e.kind() == ErrorKind::Unavailable => Ok("gone"),
        Err(e) if e.kind() == ErrorKind::Timeout => Ok("late"),
        Err(e) => Err(e),
    }
}

pub fn consult(domain: &str, service: &str, first: u64, milliseconds: u64, together: usize) -> Result<()> {
    let domain = Domain::open(domain)?;
    let client = domain.client(service, "^1", &ClientOptions::default())?;
    let (next, end) = (AtomicU64::new(first), Instant::now() + Duration::from_millis(milliseconds));
    std::thread::scope(|scope| {
        let ask = || -> Result<()> {
            while Instant::now() < end {
                let k = next.fetch_add(1, Relaxed);
                println!("{} {k}", call(&client, k)?);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..together).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    println!("consulted {}", next.into_inner() - first);
    Ok(())
}
