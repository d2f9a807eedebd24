//! `lock ls`, and locks wherever else one looks: who has them, who waits, and who died in one.

use std::time::Duration;

use axonic::{Domain, LockOptions, Mutex, Reset};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::harness::{Place, json_lines, until};

fn options() -> LockOptions {
    LockOptions::default()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The first line that begins with this name.
fn row<'a>(output: &'a str, name: &str) -> Vec<&'a str> {
    let line = output.lines().find(|line| words(line).first() == Some(&name));
    words(line.unwrap_or_else(|| panic!("no {name} in:\n{output}")))
}

fn locked(domain: &Domain, name: &str) -> Mutex {
    let mut mutex = domain.mutex(name, &options()).unwrap();
    mutex.lock(Some(Duration::from_secs(10))).unwrap();
    mutex
}

/// A process that dies while it has the mutex.
fn die_with(place: &Place, name: &str) -> Pid {
    // SAFETY: of what another thread may be in the middle of, the child uses the allocator only, which is made for that.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let _mutex = locked(&place.open("default"), name);
            let _ = raise(Signal::SIGKILL);
            unreachable!("killed");
        }
        ForkResult::Parent { child } => {
            waitpid(child, None).unwrap();
            child
        }
    }
}

#[test]
fn a_lock_is_listed_with_who_has_it_and_how_many_wait() {
    let place = Place::new();
    let domain = place.open("default");
    assert_eq!(place.ok(["lock", "ls"]), "no locks in domain default\n");
    let mut mutex = locked(&domain, "gpu");
    let mut permits: Vec<_> = (0..4).map(|_| domain.semaphore("seats", 5, &options()).unwrap()).collect();
    permits.iter_mut().for_each(|semaphore| semaphore.acquire(None).unwrap());
    let _event = domain.event("ready", Reset::Auto, &options()).unwrap();
    let me = format!("tester({})", std::process::id());
    let waiting = domain.clone();
    let waiting = std::thread::spawn(move || drop(locked(&waiting, "gpu")));
    until("somebody waits", || place.snapshot().locks.iter().any(|lock| lock.waiting == 1));

    for args in [&["lock", "ls"][..], &["ls", "default"], &["stat"]] {
        let shown = place.ok(args);
        let gpu = row(&shown, "gpu");
        assert_eq!(gpu[..4], ["gpu", "mutex", "locked", &me], "{shown}");
        assert_eq!((gpu[5], gpu[6], gpu[9..].join(" ")), ("s", "1", me.clone()), "{shown}");
        let seats = ["seats", "semaphore,", "permits", "5", "1", "of", "5", "free"];
        assert_eq!(row(&shown, "seats")[..8], seats, "{shown}");
        assert!(shown.contains(&format!("{me}, {me}, {me}, and 1 more")), "{shown}");
        let ready = ["ready", "event,", "reset", "auto", "clear", "-", "-", "0", "-", "-"];
        assert_eq!(row(&shown, "ready"), ready, "{shown}");
    }
    let listed = json_lines(&place.ok(["lock", "ls", "--json"]));
    assert_eq!((listed.len(), &listed[0]["name"], &listed[0]["waiting"]), (3, &"gpu".into(), &1.into()));
    assert_eq!(listed[0]["holders"][0]["pid"], std::process::id());
    assert_eq!(
        (&listed[0]["waiters"][0]["as"], &listed[0]["waiters"][1]),
        (&"waiter".into(), &serde_json::Value::Null)
    );
    let stat: serde_json::Value = serde_json::from_str(&place.ok(["stat", "--json"])).unwrap();
    assert_eq!(stat["locks"][2]["state"], "1 of 5 free", "{stat}");
    let domains = place.ok(["ls"]);
    assert_eq!(row(&domains, "default")[..7], ["default", "1", "0", "0", "0", "0", "3"], "{domains}");
    let scraped = place.ok(["stat", "--openmetrics"]);
    for line in [
        r#"axonic_lock_waiting{domain="default",lock="gpu",type="mutex"} 1"#,
        r#"axonic_lock_holders{domain="default",lock="seats",type="semaphore"} 4"#,
        r#"axonic_lock_owner_died{domain="default",lock="gpu",type="mutex"} 0"#,
    ] {
        assert!(scraped.lines().any(|seen| seen == line), "no {line} in {scraped}");
    }
    mutex.unlock().unwrap();
    waiting.join().unwrap();
}

#[test]
fn a_dead_owner_is_seen_until_somebody_is_told_or_the_lock_is_removed() {
    let place = Place::new();
    let domain = place.open("default");
    let who = format!("tester({})", die_with(&place, "gpu"));
    let shown = place.ok(["lock", "ls"]);
    assert!(shown.contains(&format!("{who}, dead")) && shown.contains("owner died"), "{shown}");
    let stat = place.ok(["stat"]);
    assert!(
        stat.contains(&format!("! gpu: {who} died while it had it; whoever takes it next is told")),
        "{stat}"
    );
    let scraped = place.ok(["stat", "--openmetrics"]);
    let line = r#"axonic_lock_owner_died{domain="default",lock="gpu",type="mutex"} 1"#;
    assert!(scraped.lines().any(|seen| seen == line), "{scraped}");
    {
        let mut mutex = domain.mutex("gpu", &options()).unwrap();
        assert!(mutex.lock(None).unwrap().owner_died);
        assert_eq!(row(&place.ok(["stat"]), "gpu")[2], "locked");
        let done = place.run(["unlink", "lock", "gpu"]);
        let who = format!("lock 'gpu' is open in 'tester' (pid {})", std::process::id());
        assert!(done.error().1.contains(&who), "{done:?}");
    }
    die_with(&place, "gpu");
    assert_eq!(place.ok(["unlink", "lock", "gpu"]), "");
    assert_eq!(place.run(["unlink", "lock", "gpu"]).error().0, 1);
    assert_eq!(place.ok(["lock", "ls"]), "no locks in domain default\n");
}

#[test]
fn looking_for_locks_makes_no_domain() {
    let place = Place::new();
    let done = place.run(["lock", "ls", "--domain", "nowhere"]);
    assert!(done.error().0 == 1 && done.err.contains("nowhere"), "{done:?}");
    assert!(place.ok(["ls"]).starts_with("no domains"));
    assert_eq!(place.run(["lock"]).code, 2);
}
