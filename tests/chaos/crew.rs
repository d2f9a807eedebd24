//! Producers, workers and those who share a number in mixed languages, killed and stopped at random and replaced, on one
//! queue, one mutex, one rwlock and one semaphore: what was accepted is worked off once, a number is counted once and does
//! not change while it is read, there are no more permits than there are, and nobody waits for ever.

use crate::common::history::Counts;
use crate::common::often;
use crate::common::random::Random;
use crate::history::{Jobs, Printed, check_counts, check_seats};
use crate::peers::Peer;
use crate::{PATIENCE, Place, Telltale, byte, long, memory, seed_of_now};
use axonic::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// So many of a role are there at any time.
const ROLES: [(Role, usize); 4] =
    [(Role::Producer, 3), (Role::Worker, 4), (Role::Counter, 3), (Role::Sharer, 4)];
/// Which of the peers comes next: those that are slow to start are rarer, or they would never get to work.
const LANGUAGES: [usize; 9] = [0, 1, 2, 0, 1, 2, 3, 4, 5];
/// In one round somebody is killed, stopped or continued so often.
const BLOWS: usize = 120;
/// Workers have every second message for this long only.
const LEASE: Duration = Duration::from_secs(2);
/// What a process does at most.
const MESSAGES: &str = "12000";
const COUNTS: &str = "5000";
/// Of the semaphore.
const PERMITS: i32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Role {
    Producer,
    Worker,
    Counter,
    Sharer,
}

struct Member {
    role: Role,
    language: &'static str,
    child: Child,
    /// What it prints goes there.
    output: PathBuf,
    /// The number of its first message, of a producer.
    first: u64,
    stopped: bool,
}

impl Member {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("a child that was not waited for");
    }

    fn has_begun(&self) -> bool {
        self.output.metadata().is_ok_and(|file| file.len() > 0)
    }

    fn printed(&self, killed: bool) -> Printed {
        Printed { text: std::fs::read_to_string(&self.output).expect("what it printed"), killed }
    }
}

/// What happened in a round, or in all.
#[derive(Default)]
struct Tally {
    kills: HashMap<Role, usize>,
    idle_kills: usize,
    stops: usize,
    jobs: Counts,
    counts: u64,
    shared: u64,
}

struct Crew<'a> {
    place: &'a Place,
    peers: &'a [Peer],
    /// Of the files it prints to.
    outputs: tempfile::TempDir,
    members: Vec<Member>,
    started: u64,
    jobs: Jobs,
    counters: Vec<Printed>,
    sharers: Vec<Printed>,
    tally: Tally,
}

impl<'a> Crew<'a> {
    fn new(place: &'a Place, peers: &'a [Peer], random: &mut Random) -> Crew<'a> {
        let outputs = tempfile::Builder::new().prefix("axonic-crew-").tempdir_in("/dev/shm").unwrap();
        for number in ["number", "shared"] {
            std::fs::write(outputs.path().join(number), 0u64.to_le_bytes()).unwrap();
        }
        let (jobs, tally) = (Jobs::default(), Tally::default());
        let mut crew = Crew {
            place,
            peers,
            outputs,
            members: Vec::new(),
            started: 0,
            jobs,
            counters: Vec::new(),
            sharers: Vec::new(),
            tally,
        };
        for (role, count) in ROLES {
            (0..count).for_each(|_| crew.start(role, random));
        }
        crew
    }

    fn start(&mut self, role: Role, random: &mut Random) {
        self.started += 1;
        let first = self.started << 32;
        let peer = &self.peers[LANGUAGES[random.below(LANGUAGES.len() as u64) as usize]];
        let file = |name| self.outputs.path().join(name).to_str().unwrap().to_owned();
        let (number, shared, beginning) = (file("number"), file("shared"), first.to_string());
        let words = match role {
            Role::Producer => vec!["put", "chaos", "jobs", &beginning, MESSAGES, "64"],
            Role::Worker => vec!["work", "chaos", "jobs"],
            Role::Counter => vec!["count", "chaos", &number, COUNTS],
            Role::Sharer => vec!["share", "chaos", &shared, COUNTS],
        };
        let output = self.outputs.path().join(format!("{}-{}", self.started, peer.language));
        let mut command = peer.to_start(self.place.directory.path(), &words);
        let child = command.stdout(File::create(&output).unwrap()).spawn().unwrap();
        let language = peer.language;
        self.members.push(Member { role, language, child, output, first, stopped: false });
    }

    /// One is killed, stopped, or continued.
    fn strike(&mut self, random: &mut Random) {
        let at = random.below(self.members.len() as u64) as usize;
        let (how, spares) = (random.below(10), random.below(4) > 0);
        let member = &mut self.members[at];
        match (member.stopped, member.role, how) {
            // Long enough for a lease to end.
            (true, Role::Worker, 0..9) => {}
            (true, _, 0..6 | 9) if spares => {
                member.signal(Signal::SIGCONT);
                member.stopped = false;
            }
            (false, _, 0..2) => {
                member.signal(Signal::SIGSTOP);
                member.stopped = true;
                self.tally.stops += 1;
            }
            _ if spares && !member.has_begun() => {}
            _ => self.kill(at, random),
        }
    }

    fn kill(&mut self, at: usize, random: &mut Random) {
        let mut member = self.members.swap_remove(at);
        self.tally.idle_kills += usize::from(!member.has_begun());
        *self.tally.kills.entry(member.role).or_default() += 1;
        member.signal(Signal::SIGKILL);
        let status = member.child.wait().unwrap();
        // It may have ended by itself just before.
        self.note(&member, !status.success());
        self.start(member.role, random);
    }

    /// Takes in what one printed that has ended.
    fn note(&mut self, member: &Member, killed: bool) {
        let printed = member.printed(killed);
        assert!(
            !printed.text.contains("bad "),
            "a {:?} in {}: {}",
            member.role,
            member.language,
            printed.text
        );
        match member.role {
            Role::Producer => self.jobs.add_producer(member.first, &printed),
            Role::Worker => self.jobs.add_worker(&printed),
            Role::Counter => self.counters.push(printed),
            Role::Sharer => self.sharers.push(printed),
        }
    }

    /// Who is done is replaced.
    fn replace(&mut self, random: &mut Random) {
        for at in (0..self.members.len()).rev() {
            if self.members[at].child.try_wait().unwrap().is_some() {
                let role = self.members[at].role;
                self.leave(at);
                self.start(role, random);
            }
        }
    }

    /// One has ended by itself.
    fn leave(&mut self, at: usize) {
        let mut member = self.members.swap_remove(at);
        let status = member.child.wait().unwrap();
        self.note(&member, false);
        assert!(status.success(), "a {:?} in {} ended with {status}", member.role, member.language);
    }

    /// Nobody is struck until workers that are stopped have lost what they have for a time only, to others.
    fn outlast_leases(&mut self, random: &mut Random) {
        let started = Instant::now();
        while started.elapsed() < LEASE {
            std::thread::sleep(Duration::from_millis(5));
            self.replace(random);
        }
    }

    /// All are left alone, and each comes to its end.
    fn end(&mut self) {
        self.members.iter().filter(|member| member.stopped).for_each(|member| member.signal(Signal::SIGCONT));
        let started = Instant::now();
        while let Some(slow) = self.members.first() {
            let (role, language) = (slow.role, slow.language);
            assert!(started.elapsed() < Duration::from_secs(60), "a {role:?} in {language} waits for ever");
            match (0..self.members.len()).find(|at| self.members[*at].child.try_wait().unwrap().is_some()) {
                Some(at) => self.leave(at),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// What nobody has worked off is in the queue, and nothing else is.
    fn look(&mut self) {
        let mut consumer = self.place.domain.queue_consumer("jobs", &QueueOptions::default()).unwrap();
        while let Some(job) = consumer.try_get().unwrap() {
            self.jobs.add_left(number_in(job.data()), false);
            job.ack().unwrap();
        }
        for letter in consumer.dead_letters(usize::MAX).unwrap() {
            self.jobs.add_left(number_in(letter.data()), true);
        }
        consumer.purge_dead_letters().unwrap();
        let stats = consumer.stats();
        assert_eq!(stats.ready + stats.delayed + stats.leased + stats.done + stats.dead, 0, "{stats:?}");
        // Nobody has the locks any more, whoever died with them.
        let (domain, plain) = (&self.place.domain, LockOptions::default());
        domain.mutex("count", &plain).unwrap().lock(PATIENCE).unwrap();
        domain.rwlock("page", &plain).unwrap().write(PATIENCE).unwrap();
        let mut seats = domain.semaphore("seats", PERMITS as u32, &plain).unwrap();
        (0..PERMITS).for_each(|_| seats.acquire(PATIENCE).unwrap());
    }

    fn check(mut self) -> Tally {
        let [last, shared] = ["number", "shared"].map(|file| {
            let number = std::fs::read(self.outputs.path().join(file)).unwrap();
            u64::from_le_bytes(number.try_into().unwrap())
        });
        let outcome = self.jobs.check().and_then(|()| check_counts(&self.counters, last));
        let outcome = outcome.and_then(|()| check_counts(&self.sharers, shared));
        let outcome = outcome.and_then(|()| check_seats(&self.sharers, PERMITS));
        outcome.unwrap_or_else(|wrong| panic!("{wrong}"));
        self.tally.jobs = self.jobs.counts();
        self.tally.counts = last;
        self.tally.shared = shared;
        self.tally
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of a message, every byte of which is as it should be.
fn number_in(data: &[u8]) -> u64 {
    let k = u64::from_le_bytes(*data.first_chunk().unwrap());
    let torn = (8..data.len()).find(|i| data[*i] != byte(*i, k as usize, data.len()));
    assert_eq!(torn, None, "message {k:#x} is torn");
    k
}

fn round(peers: &[Peer], seed: u64) -> Tally {
    let _telltale = Telltale(seed);
    let random = &mut Random(seed);
    let place = Place::new();
    let mut crew = Crew::new(&place, peers, random);
    for _ in 0..BLOWS {
        std::thread::sleep(Duration::from_micros(random.below(40_000)));
        crew.strike(random);
        crew.replace(random);
    }
    crew.outlast_leases(random);
    crew.end();
    crew.look();
    let tally = crew.check();
    place.end();
    tally
}

impl Tally {
    fn add(&mut self, other: Tally) {
        other.kills.iter().for_each(|(role, count)| *self.kills.entry(*role).or_default() += count);
        self.idle_kills += other.idle_kills;
        self.stops += other.stops;
        self.jobs.accepted += other.jobs.accepted;
        self.jobs.delivered += other.jobs.delivered;
        self.jobs.acknowledged += other.jobs.acknowledged;
        self.jobs.lost += other.jobs.lost;
        self.counts += other.counts;
        self.shared += other.shared;
    }
}

fn rounds(time: Duration) {
    let _memory = memory();
    let peers = Peer::with_asyncio();
    if let Ok(seed) = std::env::var("AXONIC_CHAOS_SEED") {
        round(&peers, seed.parse().expect("a number"));
        return;
    }
    let (first, started, mut count) = (seed_of_now(), Instant::now(), 0);
    let mut all = Tally::default();
    while count == 0 || started.elapsed() < time {
        all.add(round(&peers, first + count));
        count += 1;
    }
    let Tally { kills, idle_kills, stops, jobs, counts, shared } = &all;
    println!("{count} rounds, killed: {kills:?} ({idle_kills} before they printed anything)");
    println!("{jobs:?}; counted to {counts}, and to {shared} by a rwlock");
    for (role, _) in ROLES {
        let killed = kills.get(&role).copied().unwrap_or(0);
        often(format!("kills of a {role:?}"), killed as u64, time, 0.1);
    }
    often("stops", *stops as u64, time, 0.3);
    assert!(jobs.acknowledged > 0 && *counts > 0 && *shared > 0, "nobody got to work");
}

#[test]
fn a_crew_is_decimated() {
    rounds(Duration::ZERO);
}

#[test]
#[ignore = "make chaos"]
fn a_crew_is_decimated_for_long() {
    rounds(long(60, 10));
}
