//! `bench`: two processes, a table, and nothing left.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::harness::{Place, Running, until};

/// The results by case and size.
fn results(json: &str) -> (serde_json::Value, Vec<(String, u64)>) {
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    let rows = report["results"].as_array().unwrap().iter();
    let named = rows.map(|row| (row["case"].as_str().unwrap().to_owned(), row["size"].as_u64().unwrap()));
    let named = named.collect();
    (report, named)
}

fn assert_nothing_is_left(place: &Place) {
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().flatten().map(|e| e.path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}

/// Starts it so long that it is in the middle of a case, and returns the pid of its other side.
fn halfway(place: &Place) -> (Running, Pid) {
    let mut bench = Running::start(&mut place.axonic(["bench", "--seconds", "600"]));
    let path = format!("/proc/{0}/task/{0}/children", bench.child().id());
    let mut other = None;
    until("both sides are in the domain", || {
        let children = std::fs::read_to_string(&path).unwrap();
        other = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        let domains = axonic::domains_in(place.path());
        let options = |name: &String| axonic::DomainOptions {
            name: Some(name.clone()),
            runtime_dir: Some(place.path().into()),
            ..axonic::DomainOptions::default()
        };
        domains.first().and_then(|name| axonic::snapshot(&options(name)).ok()).is_some_and(|seen| {
            seen.participants.iter().filter(|p| p.alive).count() == 2 && seen.regions.len() == 1
        })
    });
    (bench, Pid::from_raw(other.unwrap()))
}

#[test]
fn bench_measures_beside_the_floor_and_leaves_nothing() {
    let place = Place::new();
    let (report, cases) = results(&place.ok(["bench", "--json", "--seconds", "0.5"]));
    if std::thread::available_parallelism().unwrap().get() > 1 {
        let named: Vec<(&str, u64)> = cases.iter().map(|(case, size)| (case.as_str(), *size)).collect();
        let mib = 1 << 20;
        assert_eq!(
            named,
            [
                ("atomics", 8),
                ("one_way_spin", 48),
                ("one_way_spin", 64),
                ("loan_borrow", mib),
                ("futexes", 4),
                ("round_trip_blocking", 64),
                ("copies_64", 64),
                ("throughput", 64),
                ("copies_1m", mib),
                ("throughput", mib),
            ]
        );
        assert_eq!(report["one_core"], false);
        assert_ne!(report["cores"][0], report["cores"][1]);
        for row in report["results"].as_array().unwrap() {
            let measured = row["p50"].as_f64().or(row["rate"].as_f64()).unwrap();
            assert!(measured > 0.0, "{row}");
            assert_eq!(row["floor"].is_null(), row["ratio"].is_null(), "{row}");
        }
    }
    assert_nothing_is_left(&place);
}

#[test]
fn bench_says_plainly_that_there_is_one_core() {
    let place = Place::new();
    let done =
        Running::start(&mut place.shell("exec taskset -c 0 axonic bench --json --seconds 0.3")).finish();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("one core only"), "{}", done.err);
    let (report, cases) = results(&done.out);
    assert_eq!(report["one_core"], true);
    assert!(cases.iter().all(|(case, _)| case != "one_way_spin" && case != "atomics"));
    assert!(
        cases.contains(&("round_trip_blocking".into(), 64)) && cases.contains(&("throughput".into(), 64))
    );
    assert_nothing_is_left(&place);
}

#[test]
fn ctrl_c_ends_bench_and_its_other_side_and_removes_the_domain() {
    let place = Place::new();
    let (mut bench, other) = halfway(&place);
    // In the middle of the first case, which would take a minute.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let signalled = std::time::Instant::now();
    bench.signal(Signal::SIGINT);
    assert_eq!(bench.finish().code, 130);
    assert!(signalled.elapsed() < std::time::Duration::from_secs(15));
    assert!(nix::sys::signal::kill(other, None).is_err(), "the other side is gone and reaped");
    assert_nothing_is_left(&place);
}

#[test]
fn bench_tells_that_its_other_side_died() {
    let place = Place::new();
    let (bench, other) = halfway(&place);
    nix::sys::signal::kill(other, Signal::SIGKILL).unwrap();
    let done = bench.finish();
    let (code, message) = done.error();
    assert!(code == 1 && message.contains("other side"), "{message}");
    assert_nothing_is_left(&place);
}

#[test]
fn the_other_side_of_bench_does_not_outlive_it() {
    let place = Place::new();
    let (mut bench, other) = halfway(&place);
    bench.signal(Signal::SIGKILL);
    bench.finish();
    until("the other side ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{other}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    // What it left goes with the next; what looks alike and is in use stays.
    let alike = format!("bench-{other}-00000000");
    let used = place.open(&alike);
    place.ok(["bench", "--json", "--seconds", "0.2"]);
    assert_eq!(axonic::domains_in(place.path()), [alike]);
    drop(used);
    assert_nothing_is_left(&place);
}

#[test]
fn bench_takes_no_domain() {
    let place = Place::new();
    let done = place.run(["bench", "--domain", "mine"]);
    assert_eq!(done.error().0, 2);
    assert_eq!(place.run(["bench", "--seconds", "0"]).code, 2);
    assert_nothing_is_left(&place);
}
