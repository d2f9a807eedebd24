//! Two processes on two cores, and a page between them.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where whoever waits for a disk may be: what the disk has done is told to one of them, which is the faster one then.
pub const CORES: &[usize] = &[0, 1];

/// Keeps this process on one core.
pub fn pin(core: usize) {
    keep(&[core]);
}

/// Keeps this process, and what it starts, on these cores.
pub fn keep(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        let _ = set.set(*core);
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

/// Zeroed memory shared with children forked later. It is never unmapped: a run needs little of it.
pub fn shared(bytes: usize) -> *mut u8 {
    let length = NonZeroUsize::new(bytes.next_multiple_of(4096)).expect("some bytes");
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let memory = unsafe { mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) };
    memory.expect("memory for the bench").as_ptr().cast()
}

/// A word in shared memory, `line` cache-line pairs from the start.
pub fn word(memory: *mut u8, line: usize) -> &'static AtomicU64 {
    // SAFETY: the mappings of `shared` are never unmapped and at least this large.
    unsafe { &*memory.add(line * 128).cast::<AtomicU64>() }
}

/// Ends this process when the other half has failed: whoever waits for it, perhaps spinning, would wait for ever.
extern "C" fn child_ended(_: nix::libc::c_int) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let said: &[u8] = match waitid(Id::All, look) {
        Ok(WaitStatus::Signaled(..)) => b"the other process was killed\n",
        // It has said why.
        Ok(WaitStatus::Exited(_, code)) if code != 0 => b"",
        _ => return,
    };
    let _ = nix::unistd::write(std::io::stderr(), said);
    // SAFETY: ends the process from within a signal handler, without running anything else.
    unsafe { nix::libc::_exit(1) }
}

/// Runs `child` in another process on core 1 and `parent` here on core 0; the parent's result counts.
pub fn pair<T>(child: impl FnOnce(), parent: impl FnOnce() -> T) -> T {
    with(vec![start(&[1], child)], parent)
}

/// The same with so many children, each told its number; they run on both cores, as the system likes.
pub fn crew<T>(count: usize, child: impl Fn(usize), parent: impl FnOnce() -> T) -> T {
    with((0..count).map(|i| start(CORES, || child(i))).collect(), parent)
}

fn with<T>(children: Vec<Pid>, parent: impl FnOnce() -> T) -> T {
    pin(0);
    let result = parent();
    for child in children {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => {}
            other => panic!("the other process failed: {other:?}"),
        }
    }
    result
}

/// Begins `child` in a process of its own on these cores.
fn start(cores: &[usize], child: impl FnOnce()) -> Pid {
    // SAFETY: the handler makes system calls only, and leaves when it has no reason to end the process.
    unsafe { signal(Signal::SIGCHLD, SigHandler::Handler(child_ended)) }.expect("a handler");
    // SAFETY: the bench is single-threaded, so the child may do anything.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            keep(cores);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the child without running the parent's destructors in it.
            unsafe { nix::libc::_exit(i32::from(outcome.is_err())) }
        }
    }
}

/// A rendezvous of processes on a word.
pub fn meet(word: &AtomicU64, parties: u64) {
    word.fetch_add(1, Ordering::AcqRel);
    while word.load(Ordering::Acquire) < parties {
        std::hint::spin_loop();
    }
}
