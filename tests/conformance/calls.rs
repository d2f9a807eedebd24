//! Calls between every two languages, asyncio among them, within a domain and over addresses: bytes and JSON, failures with
//! all that they say, deadlines, cancelling, streams both ways, progress, traces, and a provider that dies.

use crate::jobs::with_each;
use crate::peers::{Peer, Running};
use crate::tls::certificates::Authority;
use crate::{left_behind, pipes, place, sum_of};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where services are called: `{place}` is a folder, `{name}` a name of its own, `{secured}` asks for TLS in which both ends
/// say who they are; `-` is within the domain.
const WAYS: [&str; 6] = [
    "-",
    "unix://{place}/{name}",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:0?{secured}",
    "ws://127.0.0.1:0/{name}",
    "pipe:",
];
/// As the peers have them.
const SIZES: [usize; 5] = [0, 1, 64, 4096, 1 << 20];
const ITEMS: usize = 600;
const ITEM: usize = 1024;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// Milliseconds that a call may take.
const LIMIT: i64 = 100;
/// Callers of a dead provider are told within this time, and all of them on a machine with too few cores.
const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(2);

fn addresses(place: &Path, name: &str, secured: &str) -> Vec<String> {
    let place = place.to_str().expect("a plain path");
    let at = |way: &&str| match *way {
        "pipe:" => pipes::address(0),
        way => way.replace("{place}", place).replace("{name}", name).replace("{secured}", secured),
    };
    WAYS.iter().map(at).collect()
}

/// A peer that provides a service of this name, and where.
pub fn provide(
    peer: &Peer,
    runtime: &Path,
    name: &str,
    given: &[String],
    ends: Vec<pipes::Ends>,
) -> Result<(Running, Vec<String>), String> {
    let words = ["serve", "pairs", name].into_iter().chain(given.iter().map(String::as_str));
    let words: Vec<&str> = words.collect();
    let mut serving = peer.start_with(runtime, &words, |command| pipes::pass(command, ends));
    let at = given.iter().map(|_| {
        let line = serving.line()?;
        line.strip_prefix("at ").map(String::from).ok_or_else(|| format!("the provider said {line:?}"))
    });
    let at = at.collect::<Result<Vec<_>, _>>()?;
    serving.expect_line("serving")?;
    Ok((serving, at))
}

struct Pair {
    calling: Running,
    serving: Running,
}

fn start(caller: &Peer, server: &Peer, runtime: &Path, place: &Path, secured: &str) -> Result<Pair, String> {
    let name = server.language;
    let (ours, theirs) = pipes::pairs(1);
    let given = addresses(place, name, secured);
    let (serving, at) = provide(server, runtime, name, &given[1..], theirs)?;
    let words = ["call", "pairs", name, "-"].into_iter().chain(at.iter().map(String::as_str));
    let words: Vec<&str> = words.collect();
    Ok(Pair { calling: caller.start_with(runtime, &words, |command| pipes::pass(command, ours)), serving })
}

/// What a caller says of one way to a service, line by line; `provider` is its pid.
fn check_way(calling: &mut Running, service: &str, provider: u32) -> Result<(), String> {
    let sizes = SIZES.iter().enumerate().fold(0u32, |sum, (k, size)| sum.wrapping_add(sum_of(k, *size)));
    let items = (0..ITEMS).fold(0u32, |sum, k| sum.wrapping_add(sum_of(k, ITEM)));
    calling.expect_line(&format!("reversed {sizes}"))?;
    check_described(&calling.line()?)?;
    check_failed(&calling.line()?, service, provider)?;
    calling.expect_line("unknown CallFailed UNIMPLEMENTED")?;
    calling.expect_line("late Timeout DEADLINE_EXCEEDED")?;
    let given = calling.line()?;
    let left = given.strip_prefix("given ").and_then(|left| left.parse().ok());
    if !left.is_some_and(|left: i64| (1..=LIMIT).contains(&left)) {
        return Err(format!("a handler whose caller waits {LIMIT} ms had {given:?}"));
    }
    // Who waits as long as it takes has given no time.
    calling.expect_line("cancelled -1")?;
    calling.expect_line(&format!("streamed {ITEMS} {items}"))?;
    calling.expect_line(&format!("total {ITEMS} {items}"))?;
    calling.expect_line("progress 0.5 half worked")?;
    calling.expect_line(&format!("trace {TRACE}"))
}

fn check_described(line: &str) -> Result<(), String> {
    let wanted = json!({ "got": {
        "text": "ä€😀", "numbers": [1, -2.5, 1e300], "none": null, "yes": true, "deep": { "a": [{ "b": [] }] }
    } });
    let told = line.strip_prefix("described ").and_then(|text| serde_json::from_str::<Value>(text).ok());
    if told == Some(wanted) { Ok(()) } else { Err(format!("structured arguments came back as {line:?}")) }
}

fn check_failed(line: &str, service: &str, provider: u32) -> Result<(), String> {
    let parts: Vec<&str> = line.split('|').collect();
    let ["failed CallFailed FAILED_PRECONDITION not_now 1", "not now", details, origin] = parts[..] else {
        return Err(format!("a failure came as {line:?}"));
    };
    let details: Option<Value> = serde_json::from_str(details).ok();
    let is_whole = details == Some(json!({ "left": 3, "why": ["a", null] }));
    let is_known =
        origin.starts_with(&format!("{service}@1.2.0 (")) && origin.ends_with(&format!(", pid {provider})"));
    if is_whole && is_known { Ok(()) } else { Err(format!("a failure came as {line:?}")) }
}

/// How long after its provider's death the caller is told of it, whose calls wait.
fn mourned(pair: Pair) -> Result<Duration, String> {
    let Pair { mut calling, serving } = pair;
    let killed = Instant::now();
    drop(serving);
    for _ in WAYS {
        calling.expect_line("gone Unavailable UNAVAILABLE")?;
    }
    let took = killed.elapsed();
    calling.lines()?;
    if took < LATE { Ok(took) } else { Err(format!("a death was told after {took:?}")) }
}

fn called(mut pair: Pair, service: &str) -> Result<Duration, String> {
    let provider = pair.serving.child.id();
    for way in WAYS {
        check_way(&mut pair.calling, service, provider).map_err(|e| format!("over {way}: {e}"))?;
    }
    pair.calling.expect_line("absent Unavailable UNAVAILABLE")?;
    pair.calling.expect_line("napping")?;
    mourned(pair)
}

#[test]
fn every_pair_calls() {
    let authority = Authority::new();
    let secured = authority.mutual("either");
    let mut times = Vec::new();
    with_each(|caller, servers| {
        let (runtime, sockets) = (place(), place());
        let pairs: Vec<_> = servers
            .iter()
            .map(|server| (server.language, start(caller, server, runtime.path(), sockets.path(), &secured)))
            .collect();
        let outcomes: Vec<_> = pairs
            .into_iter()
            .map(|(name, pair)| (name, pair.and_then(|pair| called(pair, name)).map(|took| times.push(took))))
            .collect();
        if outcomes.iter().all(|(_, outcome)| outcome.is_ok()) {
            left_behind(&runtime).expect("a domain goes with its last participant");
        }
        outcomes
    });
    times.sort();
    assert!(times[times.len() / 2] < SOON, "callers are told of a death after {times:?}");
}
