//! Raw shared memory: a named region mapped twice, and a sealed one known by its descriptor.

use axonic::*;
use std::os::fd::{BorrowedFd, OwnedFd};

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-region")?,
    };
    let table = ax.region("table", &RegionOptions { size: Some(4096), ..Default::default() })?;
    let how = if table.is_created() { "created" } else { "opened" };
    println!("{how} {}: {} bytes", table.name(), table.len());
    let again = ax.region("table", &RegionOptions::default())?;
    table.write(0, b"hello")?;
    let mut word = [0; 5];
    again.read(0, &mut word)?;
    println!("read from {}: {}", again.name(), String::from_utf8_lossy(&word));
    ax.unlink(Noun::Region, "table")?;

    let sealed = Region::sealed(b"for ever")?;
    // Another process would inherit the descriptor or be sent it over a Unix socket.
    let number = sealed.fd().expect("sealed memory has a descriptor");
    // SAFETY: `sealed` keeps the descriptor open.
    let descriptor: OwnedFd =
        unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().expect("a descriptor to spare");
    let received = Region::from_fd(descriptor)?;
    let mut words = vec![0; received.len()];
    received.read(0, &mut words)?;
    println!("read from a sealed region: {}", String::from_utf8_lossy(&words));
    Ok(())
}
