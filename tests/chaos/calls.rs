//! Services and callers in mixed languages, a thousand calls under way at any time, while providers and callers are killed
//! and replaced: each call ends once, with its own result, because its provider is gone, or because its time is over; none
//! is done twice, and those who live on do not grow.

mod verdict;

use crate::common::flat::{Flat, Held};
use crate::common::often;
use crate::common::random::Random;
use crate::history::Printed;
use crate::peers::Peer;
use crate::{Place, Telltale, long, memory, seed_of_now};
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};
use verdict::Verdict;

/// So many live and die, besides one of each language that stays.
const MORTALS: [(Role, usize); 2] = [(Role::Provider, 3), (Role::Caller, 4)];
/// Which of the peers comes next: those that are slow to start are rarer, or they would never get to work.
const LANGUAGES: [usize; 9] = [0, 1, 2, 0, 1, 2, 3, 4, 5];
/// Calls that a caller has under way: with six that stay and four that do not, a thousand.
const TOGETHER: usize = 100;
/// How long a caller calls that does not stay.
const VISIT: Duration = Duration::from_millis(1500);
/// So many of each role are killed, however slow the machine is.
const AT_LEAST: u64 = 3;
/// Those who stay are looked at until so long before they end.
const LONGER: Duration = Duration::from_secs(2);
/// More than a call is ever given.
const END: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Provider,
    Caller,
}

struct Member {
    role: Role,
    language: &'static str,
    child: Child,
    /// What it prints goes there.
    output: PathBuf,
    /// The number of its first call, of a caller.
    first: u64,
    stays: bool,
}

impl Member {
    fn has_begun(&self) -> bool {
        self.output.metadata().is_ok_and(|file| file.len() > 0)
    }

    /// How much more it may hold in the end: what belongs to those who come and go, and what garbage collectors leave for
    /// later. Deaths are so many that it would be more if each left something.
    fn allowed(&self) -> Held {
        match self.language {
            "node" => [24, 48, 32 << 10],
            "python" | "asyncio" => [24, 48, 8 << 10],
            _ => [24, 48, 4 << 10],
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Crowd<'a> {
    place: &'a Place,
    peers: &'a [Peer],
    /// Of the files they print to.
    outputs: tempfile::TempDir,
    members: Vec<Member>,
    started: u64,
    /// Callers that stay have been there since then, or a little later.
    since: Instant,
    kills: [u64; 2],
    verdict: Verdict,
}

impl<'a> Crowd<'a> {
    /// Those who stay are there for so long, and a little longer.
    fn new(place: &'a Place, peers: &'a [Peer], time: Duration, random: &mut Random) -> Crowd<'a> {
        let outputs = tempfile::Builder::new().prefix("axonic-crowd-").tempdir_in("/dev/shm").unwrap();
        let (members, verdict) = (Vec::new(), Verdict::new(TOGETHER));
        let mut crowd = Crowd {
            place,
            peers,
            outputs,
            members,
            started: 0,
            since: Instant::now(),
            kills: [0; 2],
            verdict,
        };
        for role in [Role::Provider, Role::Caller] {
            crowd.since = Instant::now();
            (0..peers.len()).for_each(|at| crowd.start(role, at, Some(time + LONGER)));
            crowd.until_begun();
        }
        for (role, count) in MORTALS {
            (0..count).for_each(|_| crowd.start_any(role, random));
        }
        crowd
    }

    fn start_any(&mut self, role: Role, random: &mut Random) {
        let at = LANGUAGES[random.below(LANGUAGES.len() as u64) as usize];
        self.start(role, at, None);
    }

    fn start(&mut self, role: Role, at: usize, stays: Option<Duration>) {
        self.started += 1;
        let (peer, first) = (&self.peers[at], self.started << 32);
        let milliseconds = stays.unwrap_or(VISIT).as_millis().to_string();
        let (beginning, together) = (first.to_string(), TOGETHER.to_string());
        let words = match role {
            Role::Provider => vec!["provide", "chaos", "crowd"],
            Role::Caller => vec!["consult", "chaos", "crowd", &beginning, &milliseconds, &together],
        };
        let output = self.outputs.path().join(format!("{}-{}", self.started, peer.language));
        let mut command = peer.to_start(self.place.directory.path(), &words);
        let child = command.stdout(File::create(&output).unwrap()).spawn().unwrap();
        let (language, stays) = (peer.language, stays.is_some());
        self.members.push(Member { role, language, child, output, first, stays });
    }

    fn until_begun(&self) {
        let started = Instant::now();
        while let Some(slow) = self.members.iter().find(|member| !member.has_begun()) {
            assert!(started.elapsed() < END, "a {:?} in {} does not begin", slow.role, slow.language);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// One of those who do not stay is killed; who has not begun is mostly spared.
    fn strike(&mut self, random: &mut Random) {
        let mortals: Vec<usize> = (0..self.members.len()).filter(|at| !self.members[*at].stays).collect();
        let at = mortals[random.below(mortals.len() as u64) as usize];
        if self.members[at].has_begun() || random.below(4) == 0 {
            let mut member = self.members.swap_remove(at);
            let _ = member.child.kill();
            let status = member.child.wait().unwrap();
            // It may have ended by itself just before.
            let was_killed = !status.success();
            self.kills[member.role as usize] += u64::from(was_killed);
            self.note(&member, was_killed);
            self.start_any(member.role, random);
        }
    }

    /// Callers that are done are replaced.
    fn replace(&mut self, random: &mut Random) {
        for at in (0..self.members.len()).rev() {
            if !self.members[at].stays && self.leave(at) {
                self.start_any(Role::Caller, random);
            }
        }
    }

    /// Whether one has ended by itself, as callers do.
    fn leave(&mut self, at: usize) -> bool {
        let Some(status) = self.members[at].child.try_wait().unwrap() else { return false };
        let member = self.members.swap_remove(at);
        self.note(&member, false);
        let Member { role, language, .. } = &member;
        assert!(status.success() && *role == Role::Caller, "a {role:?} in {language} ended with {status}");
        true
    }

    /// Takes in what one printed that has ended.
    fn note(&mut self, member: &Member, killed: bool) {
        let Member { role, language, first, .. } = member;
        let printed = Printed { text: std::fs::read_to_string(&member.output).unwrap(), killed };
        let bad = printed.lines().find(|line| line.starts_with("bad "));
        assert_eq!(bad, None, "a {role:?} in {language}");
        match role {
            Role::Provider => self.verdict.add_provider(&printed),
            Role::Caller => self.verdict.add_caller(*first, &printed),
        }
        std::fs::remove_file(&member.output).unwrap();
    }

    fn look(&self, flat: &mut Flat) {
        for member in self.members.iter().filter(|member| member.stays) {
            let name = format!("{} {:?}", member.language, member.role);
            flat.process(&name, member.child.id(), member.allowed());
        }
        // Each of those who come and go has channels with many.
        flat.domain(self.place.domain.path(), 200, 32 << 10);
    }

    /// Callers come to their end, and then nobody is left to provide for.
    fn end(&mut self) {
        let started = Instant::now();
        while let Some(at) = self.members.iter().position(|member| member.role == Role::Caller) {
            let language = self.members[at].language;
            assert!(started.elapsed() < END, "a call in {language} does not end");
            for at in (0..self.members.len()).rev() {
                self.leave(at);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for mut provider in std::mem::take(&mut self.members) {
            let _ = provider.child.kill();
            provider.child.wait().unwrap();
            self.note(&provider, true);
        }
    }
}

fn crowd(time: Duration) {
    let _memory = memory();
    let seed =
        std::env::var("AXONIC_CHAOS_SEED").map_or_else(|_| seed_of_now(), |seed| seed.parse().unwrap());
    let _telltale = Telltale(seed);
    let random = &mut Random(seed);
    let (place, peers) = (Place::new(), Peer::with_asyncio());
    let mut crowd = Crowd::new(&place, &peers, time, random);
    let mut flat = Flat::over(time);
    while crowd.since.elapsed() < time || crowd.kills.iter().any(|kills| *kills < AT_LEAST) {
        std::thread::sleep(Duration::from_micros(random.below(100_000)));
        crowd.replace(random);
        crowd.strike(random);
        if crowd.since.elapsed() < time && flat.is_due() {
            crowd.look(&mut flat);
        }
    }
    crowd.end();
    let counts = crowd.verdict.check(crowd.kills[Role::Provider as usize], 10 * TOGETHER as u64);
    let counts = counts.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{counts:?}");
    flat.check();
    for role in [Role::Provider, Role::Caller] {
        often(format!("kills of a {role:?}"), crowd.kills[role as usize], time, 0.3);
    }
    drop(crowd);
    place.end();
}

#[test]
fn a_thousand_calls_outlive_providers_and_callers() {
    crowd(Duration::from_secs(6));
}

#[test]
#[ignore = "make chaos"]
fn a_thousand_calls_outlive_providers_and_callers_for_long() {
    crowd(long(60, 10));
}
