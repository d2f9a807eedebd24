//! Locks between every two languages, and among all.

use crate::peers::{Peer, Running};
use crate::{left_behind, numbered_file, place};

/// How often the scripted dance of `peer meet` passes its barrier.
const TURNS: u32 = 5;
const TIMES: u64 = 200;

#[test]
fn every_pair_meets() {
    let peers = Peer::all();
    let mut failures = Vec::new();
    for first in &peers {
        let place = place();
        // Each pair has a domain of its own.
        let start = |peer: &Peer, domain, role| peer.start(place.path(), &["meet", domain, role]);
        let pairs: Vec<_> = peers
            .iter()
            .map(|second| (second.language, [(first, "first"), (second, "second")]))
            .map(|(domain, pair)| (domain, pair.map(|(peer, role)| start(peer, domain, role))))
            .collect();
        for (second, pair) in pairs {
            failures.extend(met(pair).err().map(|why| format!("{} and {second}: {why}", first.language)));
        }
        left_behind(&place).expect("locks go with their last handle");
    }
    assert!(failures.is_empty(), "{} pairs failed:\n{}", failures.len(), failures.join("\n"));
}

/// Each turn one of both leads.
fn met(pair: [Running; 2]) -> Result<(), String> {
    let mut led = 0;
    for peer in pair {
        let last = peer.finish()?;
        let times = last.strip_prefix("met ").and_then(|times| times.parse::<u32>().ok());
        led += times.ok_or_else(|| format!("said {last:?}"))?;
    }
    if led == TURNS { Ok(()) } else { Err(format!("{led} of {TURNS} turns were led")) }
}

#[test]
fn all_count_together() {
    let (place, number) = (place(), numbered_file());
    let file = number.path().to_str().expect("a plain path");
    let peers = Peer::all();
    let counting: Vec<_> = peers
        .iter()
        .map(|peer| (peer.language, peer.start(place.path(), &["count", "all", file, &TIMES.to_string()])))
        .collect();
    let mut numbers = Vec::new();
    for (language, counter) in counting {
        let mut said = counter.lines().unwrap_or_else(|why| panic!("{language}: {why}"));
        assert_eq!(said.pop(), Some(format!("counted {TIMES}")), "{language}");
        let own = said.iter().map(|line| line.parse::<u64>().expect("only numbers, since nobody died"));
        numbers.extend(own);
    }
    numbers.sort_unstable();
    let all = peers.len() as u64 * TIMES;
    assert_eq!(numbers, (1..=all).collect::<Vec<_>>());
    let last = std::fs::read(number.path()).expect("the file with the number");
    assert_eq!(last, all.to_le_bytes());
    left_behind(&place).expect("a mutex goes with its last handle");
}
