//! Channels between every two languages, asyncio among them, over everything that crosses processes: messages of several
//! sizes, many at once, descriptors, who is there, an end that is said, and an end by death.

use crate::jobs::with_each;
use crate::peers::{Peer, Running};
use crate::table::{Largest, TRANSPORTS, Transport};
use crate::tls::certificates::Authority;
use crate::{left_behind, pipes, place, sum_of};
use std::path::Path;
use std::time::{Duration, Instant};

/// As the peers have them.
const SIZES: [usize; 6] = [64, 0, 1, 4096, 60_000, 1 << 20];
const SMALL: usize = 64;
const MANY: usize = 100;
const ANSWERS: usize = 1000;
/// The largest message of a channel.
const LARGEST: usize = 16 << 20;
/// What is in the file whose descriptor is passed.
const TEXT: &str = "as agreed";
/// The kernel tells of a death, and there are few cores.
const SOON: Duration = Duration::from_secs(1);

impl Transport {
    fn is_pipe(&self) -> bool {
        self.address == "pipe:"
    }

    fn can(&self, what: usize) -> bool {
        self.can.as_bytes()[what] == b'1'
    }

    /// What it can do for who hears messages with numbers from `first`.
    fn can_of(&self, first: usize) -> String {
        self.can.replace('L', if first == 0 { "1" } else { "0" })
    }

    fn has_messages(&self) -> bool {
        self.can(2)
    }

    fn has_end(&self) -> bool {
        self.can(4)
    }

    fn has_half_close(&self) -> bool {
        self.can(5)
    }

    /// The sum of the bytes of all sizes it takes, by who has numbers from `first`.
    fn sizes(&self, first: usize, largest: usize) -> u32 {
        let fits = |size: usize| size <= largest && (size > 0 || self.has_messages());
        let sizes = SIZES.into_iter().enumerate().filter(|(_, size)| fits(*size));
        sizes.fold(0, |sum, (k, size)| sum.wrapping_add(sum_of(first + k, size)))
    }

    /// What an end says that hears messages with numbers from `first`, of a peer with this pid.
    fn told(&self, first: usize, largest: usize, peer: u32) -> Vec<String> {
        let can = self.can_of(first);
        let count = if self.can(3) { 200 } else { 8 };
        let many = (MANY..MANY + count).fold(0u32, |sum, k| sum.wrapping_add(sum_of(first + k, SMALL)));
        let mut lines = vec![format!("can {can} {largest}"), format!("sizes {}", self.sizes(first, largest))];
        lines.extend(can.ends_with('1').then(|| format!("peer {peer}")));
        lines.push(format!("many {count} {many}"));
        lines.extend(self.can(6).then(|| format!("descriptor {TEXT}")));
        // Who speaks first closes where it cannot end and hear.
        let is_told = self.has_half_close() || self.has_end() && first == 0;
        lines.extend(is_told.then(|| "ended".to_owned()));
        lines
    }
}

/// Two peers, and where the one that listens does so: first where they talk, then where they hold each other.
struct Pair {
    listening: Running,
    connecting: Running,
}

/// Of the held channels.
fn held() -> impl Iterator<Item = &'static Transport> {
    TRANSPORTS.iter().filter(|transport| transport.has_end())
}

fn addresses(place: &Path, name: &str, secured: &str) -> Vec<String> {
    let mut pipes = 0;
    let all = TRANSPORTS.iter().chain(held()).enumerate();
    all.map(|(n, transport)| {
        if transport.is_pipe() {
            pipes += 1;
            return pipes::address(pipes - 1);
        }
        let place = place.to_str().expect("a plain path");
        let address = transport.address.replace("{place}", place).replace("{name}", &format!("{name}-{n}"));
        address.replace("{secured}", secured)
    })
    .collect()
}

fn start(left: &Peer, right: &Peer, runtime: &Path, place: &Path, secured: &str) -> Result<Pair, String> {
    let (file, count) = (place.join("file"), TRANSPORTS.len().to_string());
    let file = file.to_str().expect("a plain path");
    let (ours, theirs) = pipes::pairs(2);
    let words = |verb, addresses: &[String]| -> Vec<String> {
        [verb, "pairs", file, &count].map(String::from).into_iter().chain(addresses.iter().cloned()).collect()
    };
    let run = |peer: &Peer, words: Vec<String>, ends| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        peer.start_with(runtime, &words, |command| pipes::pass(command, ends))
    };
    let given = addresses(place, right.language, secured);
    let mut listening = run(right, words("listen", &given), theirs);
    let at = given.iter().map(|_| {
        let line = listening.line()?;
        line.strip_prefix("at ").map(String::from).ok_or_else(|| format!("who listens said {line:?}"))
    });
    let at = at.collect::<Result<Vec<_>, _>>()?;
    Ok(Pair { connecting: run(left, words("connect", &at), ours), listening })
}

/// What one end says of each transport; the largest messages are those that who was asked first has told.
fn talked(end: &mut Running, first: usize, peer: u32) -> Result<(), String> {
    for transport in &TRANSPORTS {
        let can = end.line()?;
        let largest = can.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let fits = match transport.largest {
            Largest::Any => largest == LARGEST,
            Largest::AtLeast(least) => (least..LARGEST).contains(&largest),
        };
        let wanted = transport.told(first, largest, peer);
        let mut told = vec![can];
        for _ in 1..wanted.len() {
            told.push(end.line()?);
        }
        if !fits || told != wanted {
            return Err(format!("over {} it said {told:?}, not {wanted:?}", transport.address));
        }
    }
    end.expect_line("holding")
}

/// One of them dies, and the other is told.
fn mourned(victim: Running, mut survivor: Running) -> Result<(), String> {
    let killed = Instant::now();
    drop(victim);
    survivor.expect_line(&format!("gone {}", held().count()))?;
    let took = killed.elapsed();
    survivor.lines()?;
    if took < SOON { Ok(()) } else { Err(format!("a death was told after {took:?}")) }
}

fn met(pair: Pair, dies_first: bool) -> Result<(), String> {
    let Pair { mut listening, mut connecting } = pair;
    let pids = (listening.child.id(), connecting.child.id());
    talked(&mut connecting, ANSWERS, pids.0).map_err(|e| format!("who connects: {e}"))?;
    talked(&mut listening, 0, pids.1).map_err(|e| format!("who listens: {e}"))?;
    if dies_first { mourned(connecting, listening) } else { mourned(listening, connecting) }
}

#[test]
fn every_pair_has_channels_of_every_kind() {
    let authority = Authority::new();
    let secured = authority.mutual("either");
    let mut lefts = 0;
    with_each(|left, rights| {
        lefts += 1;
        let (runtime, sockets) = (place(), place());
        std::fs::write(sockets.path().join("file"), TEXT).expect("a file");
        let pairs: Vec<_> = rights
            .iter()
            .map(|right| (right.language, start(left, right, runtime.path(), sockets.path(), &secured)))
            .collect();
        let outcomes: Vec<_> = pairs
            .into_iter()
            .enumerate()
            // Of every two languages each dies once, both as who listens or both as who connects.
            .map(|(n, (right, pair))| (right, pair.and_then(|pair| met(pair, (lefts + n) % 2 == 0))))
            .collect();
        if outcomes.iter().all(|(_, outcome)| outcome.is_ok()) {
            left_behind(&runtime).expect("a domain goes with its last participant");
        }
        outcomes
    });
}
