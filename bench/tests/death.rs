//! A measurement whose other half dies ends at once, and says so: a run goes on without that subject.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_spinning_half_does_not_wait_for_a_dead_one() {
    let place = std::path::PathBuf::from(format!("/dev/shm/axonic-bench-test-{}", std::process::id()));
    std::fs::create_dir(&place).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_axonic-bench"))
        .args(["--own", "atomics", "floor_ping_pong", "100000000", "1"])
        .env("AXONIC_RUNTIME_DIR", &place)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    let begun = Instant::now();
    let other = loop {
        let pids = std::fs::read_to_string(&children).unwrap();
        if let Some(pid) = pids.split_whitespace().next() {
            break pid.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it has no other half");
    };
    assert!(Command::new("kill").args(["-KILL", &other]).status().unwrap().success());
    let killed = Instant::now();
    let status = loop {
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        if killed.elapsed() > Duration::from_secs(20) {
            run.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(1), "the other process was killed\n"));
}
