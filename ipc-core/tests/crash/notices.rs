//! One that waits for a condition stops at each step, is notified meanwhile, goes on, and dies while it waits for its mutex:
//! the notice is another's then.

use super::common::{Place, wait_readable};
use super::litmus::{self, PATIENCE, Parent, SOON, start};
use super::{BRIEF, locks};
use axonic::*;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::time::{Duration, Instant};

/// Waits in vain, if nobody notifies it while it is stopped before its step of this number.
pub fn wait_and_stop(parent: &mut Parent) {
    let domain = litmus::open();
    let (mut mutex, mut condvar) =
        (domain.mutex("m", &locks()).unwrap(), domain.condvar("c", &locks()).unwrap());
    mutex.lock(PATIENCE).unwrap();
    crash::arm(parent.number(0), Signal::SIGSTOP as i32);
    let notified = condvar.wait(&mut mutex, BRIEF).is_ok();
    crash::disarm();
    parent.say(format!("notified {notified}"));
    parent.wait_for_end();
}

/// Whether there is such a step.
fn notified_at(step: u64) -> bool {
    let place = Place::new();
    let mut doomed = start("wait_and_stop", place.path(), &step.to_string());
    let at = doomed.hear();
    if at.starts_with("notified") {
        doomed.end();
        return false;
    }
    println!("wait_and_stop:{step} stopped at {at}");
    let status = waitpid(doomed.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(doomed.pid(), Signal::SIGSTOP));

    let domain = place.open();
    let open = || domain.condvar("c", &locks()).unwrap();
    let (mut other, mut its) = (open(), domain.mutex("its", &locks()).unwrap());
    let fd = other.fd().unwrap();
    its.lock(None).unwrap();
    other.start_wait(&mut its).unwrap();
    assert!(open().notify_one().unwrap());
    let mut mutex = domain.mutex("m", &locks()).unwrap();
    let taken = mutex.try_lock().unwrap().is_some();
    doomed.signal(Signal::SIGCONT);
    let mut used = false;
    if taken {
        let waits = |lock: &LockInfo| lock.name == "m" && lock.waiting == 1;
        while !snapshot(&place.options()).unwrap().locks.iter().any(waits) {}
    } else {
        used = doomed.hear() == "notified true";
    }
    doomed.kill();
    let killed = Instant::now();
    while other.try_wait().unwrap() == used {
        assert!(!used, "it was notified twice");
        assert!(killed.elapsed() < SOON, "its notice is lost");
        wait_readable(fd, Duration::from_millis(10));
    }
    // Somebody is told that it died in its mutex, if it did.
    assert!(taken || mutex.lock(PATIENCE).is_ok());
    true
}

#[test]
fn a_notice_is_not_lost_with_the_one_that_has_it() {
    let steps = (0..).take_while(|step| notified_at(*step)).count();
    assert!(steps > 10, "{steps} steps");
}
