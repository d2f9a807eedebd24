//! The command inside a foreign process, as the Python wheel and the npm package run it.
//!
//! One test in a program of its own: it looks at what belongs to the whole process.

use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

static HOST: AtomicUsize = AtomicUsize::new(0);

extern "C" fn host_handler(_: i32) {
    HOST.fetch_add(1, Ordering::SeqCst);
}

fn run(directory: &std::path::Path, args: &[&str]) -> i32 {
    let mut all: Vec<OsString> = vec!["axonic".into(), "--runtime-dir".into(), directory.into()];
    all.extend(args.iter().map(OsString::from));
    axonic_cli::run(all)
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
fn running_the_command_leaves_the_process_as_it_was() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let host = SigAction::new(SigHandler::Handler(host_handler), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only touches an atomic.
        unsafe { sigaction(signal, &host) }.unwrap();
    }
    // Once for what the core keeps per process.
    assert_eq!(run(place.path(), &["sub", "a", "--timeout", "0"]), 0);
    let before = (count("/proc/self/fd"), count("/proc/self/task"));

    assert_eq!(run(place.path(), &["bogus"]), 2);
    assert_eq!(run(place.path(), &["sub"]), 2);
    assert_eq!(run(place.path(), &["stat", "--domain", "nowhere"]), 1);
    assert_eq!(run(place.path(), &["pub", "a", "x"]), 0);
    assert_eq!(run(place.path(), &["sub", "a", "--count", "1", "--timeout", "0.01"]), 1);
    // It is told no way to start itself again here.
    assert_eq!(run(place.path(), &["bench", "--seconds", "0.1"]), 1);
    // Several at a time, in threads of the host's choosing.
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| run(place.path(), &["sub", "a", "--timeout", "0.05"]))).collect();
        for run in runs {
            assert_eq!(run.join().unwrap(), 0);
        }
    });

    assert_eq!((count("/proc/self/fd"), count("/proc/self/task")), before);
    for (number, signal) in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().enumerate() {
        raise(signal).unwrap();
        assert_eq!(HOST.load(Ordering::SeqCst), number + 1, "{signal} goes to the host again");
    }
}
