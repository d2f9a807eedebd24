//! Locks between every two languages, asyncio among them, and among all.

use crate::peers::{Peer, Running};
use crate::table::CONDVARS;
use crate::{left_behind, numbered_file, place};
use std::path::Path;

/// How often the scripted dance of `peer meet` passes its barrier.
const TURNS: u32 = 5;
const TIMES: u64 = 200;

#[test]
fn every_pair_meets() {
    let peers = Peer::with_asyncio();
    let mut failures = Vec::new();
    for first in &peers {
        let place = place();
        // Each pair has a domain of its own.
        let start = |peer: &Peer, domain, role| peer.start(place.path(), &["meet", domain, role]);
        let pairs: Vec<_> = peers
            .iter()
            .map(|second| (second, [(first, "first"), (second, "second")]))
            .map(|(second, pair)| (second, pair.map(|(peer, role)| start(peer, second.language, role))))
            .collect();
        for (second, pair) in pairs {
            let met = met(pair, [first, second].map(Peer::program));
            failures
                .extend(met.err().map(|why| format!("{} and {}: {why}", first.language, second.language)));
        }
        left_behind(&place).expect("locks go with their last handle");
    }
    assert!(failures.is_empty(), "{} pairs failed:\n{}", failures.len(), failures.join("\n"));
}

/// Each turn one of both leads. Each tells what the other has, and who that is.
fn met(pair: [Running; 2], programs: [String; 2]) -> Result<(), String> {
    let mut led = 0;
    let had = [("page", "owner"), ("seat", "permit")];
    let ids = [&pair[0], &pair[1]].map(|peer| peer.child.id());
    for (peer, other) in pair.into_iter().zip([1, 0]) {
        let mut said = peer.lines()?;
        let last = said.pop().unwrap_or_default();
        let (lock, role) = had[other];
        let holder = format!("{lock}: {role} {} ", ids[other]);
        if said.len() != 1 || !said[0].starts_with(&holder) || !said[0].ends_with(&programs[other]) {
            return Err(format!("said {said:?} of {holder:?}by {:?}", programs[other]));
        }
        let times = last.strip_prefix("met ").and_then(|times| times.parse::<u32>().ok());
        led += times.ok_or_else(|| format!("said {last:?}"))?;
    }
    if led == TURNS { Ok(()) } else { Err(format!("{led} of {TURNS} turns were led")) }
}

#[test]
fn all_count_together() {
    let (place, number) = (place(), numbered_file());
    let file = number.path().to_str().expect("a plain path");
    let peers = Peer::with_asyncio();
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

#[test]
fn every_pair_alternates_by_a_condvar() {
    let peers: Vec<Peer> = Peer::all().into_iter().filter(|peer| CONDVARS.contains(&peer.language)).collect();
    assert_eq!(peers.len(), CONDVARS.len());
    let mut failures = Vec::new();
    for even in &peers {
        let place = place();
        let pairs: Vec<_> = peers
            .iter()
            .map(|odd| {
                let number = numbered_file();
                let file = number.path().to_str().expect("a plain path");
                let start = |peer: &Peer, parity| {
                    let words = ["alternate", odd.language, file, parity, &TIMES.to_string()];
                    peer.start(place.path(), &words)
                };
                (odd.language, [start(even, "0"), start(odd, "1")], number)
            })
            .collect();
        for (odd, pair, number) in pairs {
            let alternated = alternated(pair, number.path());
            failures.extend(alternated.err().map(|why| format!("{} and {odd}: {why}", even.language)));
        }
        left_behind(&place).expect("locks go with their last handle");
    }
    assert!(failures.is_empty(), "{} pairs failed:\n{}", failures.len(), failures.join("\n"));
}

fn alternated(pair: [Running; 2], number: &Path) -> Result<(), String> {
    for peer in pair {
        let last = peer.finish()?;
        if last != format!("alternated {TIMES}") {
            return Err(format!("said {last:?}"));
        }
    }
    let last = std::fs::read(number).map_err(|e| e.to_string())?;
    if last == (2 * TIMES).to_le_bytes() { Ok(()) } else { Err(format!("the number is {last:?}")) }
}
