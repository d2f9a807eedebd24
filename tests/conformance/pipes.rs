//! Pipes between two peers, which they inherit.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The first number that a peer has them by: so high that no program has it in use when it starts.
const FIRST: RawFd = 500;

/// An end of a pair of pipes: to read from, to write to.
pub struct Ends(OwnedFd, OwnedFd);

/// Pairs of pipes between two peers.
pub fn pairs(count: usize) -> (Vec<Ends>, Vec<Ends>) {
    let one = || -> (PipeReader, PipeWriter) { pipe().expect("a pipe") };
    let pair = |_| {
        let (there, back) = (one(), one());
        (Ends(back.0.into(), there.1.into()), Ends(there.0.into(), back.1.into()))
    };
    (0..count).map(pair).unzip()
}

/// What the n-th of them is called in a peer.
pub fn address(n: usize) -> String {
    let number = FIRST + 2 * n as RawFd;
    format!("pipe:{number},{}", number + 1)
}

/// Has a peer that is started inherit these, which are closed here once `command` is dropped.
pub fn pass(command: &mut Command, ends: Vec<Ends>) {
    let pass = move || {
        let all = ends.iter().flat_map(|Ends(read, write)| [read.as_fd(), write.as_fd()]);
        for (number, descriptor) in (FIRST..).zip(all) {
            // SAFETY: the program that is about to start has no descriptor of this number that anything relies on.
            let copy = unsafe { nix::unistd::dup2_raw(descriptor, number) }?;
            let _ = copy.into_raw_fd();
        }
        Ok(())
    };
    // SAFETY: between fork and exec it only calls dup2.
    unsafe { command.pre_exec(pass) };
}
