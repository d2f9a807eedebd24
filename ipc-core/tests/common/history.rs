//! What processes that use a queue were told, each in a file of its own, and whether all of it together keeps the queue's
//! promises. Lines are text, so that any language can write them:
//!
//! - `put N P`: message number N, priority P, is about to be put; then `accepted N`, or `refused N`.
//! - `got N T`: it was delivered, with token T.
//! - `settling N T`: it is about to be acknowledged; then `acked N T`, or `lost N T`: the lease was over.
//! - `rejected N T`: it is a dead letter, for good.
//!
//! Where times matter there are more, in nanoseconds of the monotonic clock:
//!
//! - `later N T`: it is about to be put for later, not to be delivered before T; `due N T`: it is put, and due then.
//! - `ttl N 0`: it is about to be put for a time; `until N T`: it is put, and after T it is too late for it.
//! - `asked N T`: whoever got it began to wait for a message then, and had it before `seen N T`.
//! - `leased N T`: it has it with a lease that does not end before T, but before `ends N T`.
//! - `settles N T`: it is about to acknowledge it, then; `told N T`: it was told by then that the lease was over.
//! - `duplicate N 0`: it was not put, since one with its id had been before.
//! - `expired N 0`: it is a dead letter in the end, because it was too late for it.
//!
//! A line is one write to a file opened for appending: it is there, whenever the process dies, but for the last one, of
//! which a part may be missing where it goes over a page; then it does not count. The number's upper half says whose
//! message it is; those of one sender and one priority are numbered in the order of their puts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Where one process writes down what it does.
pub struct History(File);

impl History {
    /// The file `name` in a directory that all share; nobody else has it.
    pub fn create(directory: &Path, name: &str) -> History {
        History(File::options().create_new(true).append(true).open(directory.join(name)).unwrap())
    }

    pub fn note(&mut self, what: &str, number: u64, more: u64) {
        self.0.write_all(format!("{what} {number} {more}\n").as_bytes()).unwrap();
    }
}

/// What all histories say of one message.
#[derive(Debug, Default)]
struct Fate {
    priority: u64,
    put: bool,
    accepted: usize,
    duplicate: bool,
    refused: bool,
    later: u64,
    due: Option<u64>,
    until: Option<u64>,
    expired: bool,
    tokens: Vec<u64>,
    settling: Vec<u64>,
    acked: Vec<u64>,
    lost: Vec<u64>,
    rejected: Vec<u64>,
}

/// How much was done.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: usize,
    pub delivered: usize,
    pub acknowledged: usize,
    pub lost: usize,
    pub delayed: usize,
    pub expired: usize,
    pub duplicates: usize,
}

/// What one process was told of a delivery. Whoever died before it said when it asked may have asked long ago.
#[derive(Clone, Copy)]
struct Got {
    number: u64,
    token: u64,
    asked: u64,
    seen: u64,
    leased: u64,
    ends: u64,
    settles: u64,
    told: u64,
}

impl Got {
    fn new(number: u64, token: u64) -> Got {
        let never = u64::MAX;
        Got { number, token, asked: 0, seen: never, leased: 0, ends: never, settles: 0, told: never }
    }
}

/// What several histories tell.
#[derive(Default)]
pub struct Told {
    fates: HashMap<u64, Fate>,
    /// Of each file, the deliveries in their order.
    deliveries: Vec<Vec<Got>>,
}

impl Told {
    pub fn read(directory: &Path) -> Told {
        let files = std::fs::read_dir(directory).unwrap();
        let texts: Vec<String> =
            files.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        Told::of(texts.iter().map(String::as_str))
    }

    /// What these histories tell.
    pub fn of<'a>(histories: impl IntoIterator<Item = &'a str>) -> Told {
        let mut told = Told::default();
        histories.into_iter().for_each(|text| told.add(text));
        told
    }

    fn add(&mut self, text: &str) {
        self.begin();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let mut words = line.split(' ');
            let what = words.next().unwrap();
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
            let (Some(message), more) = (number(), number().unwrap_or(0)) else { panic!("'{line}'") };
            self.tell(what, message, more);
        }
    }

    /// What is told from now on is the history of another process.
    pub fn begin(&mut self) {
        self.deliveries.push(Vec::new());
    }

    /// What a line of it says.
    pub fn tell(&mut self, what: &str, message: u64, more: u64) {
        let fate = self.fates.entry(message).or_default();
        match what {
            "put" => (fate.put, fate.priority) = (true, more),
            "accepted" => fate.accepted += 1,
            "duplicate" => fate.duplicate = true,
            "refused" => fate.refused = true,
            "later" => fate.later = more,
            "due" => fate.due = Some(more),
            "ttl" => fate.until = Some(u64::MAX),
            "until" => fate.until = Some(more),
            "expired" => fate.expired = true,
            "got" => {
                fate.tokens.push(more);
                self.deliveries.last_mut().expect("a history was begun").push(Got::new(message, more));
            }
            "asked" => self.last_got().asked = more,
            "seen" => self.last_got().seen = more,
            "leased" => self.last_got().leased = more,
            "ends" => self.last_got().ends = more,
            "settles" => self.last_got().settles = more,
            "told" => self.last_got().told = more,
            "settling" => fate.settling.push(more),
            "acked" => fate.acked.push(more),
            "lost" => fate.lost.push(more),
            "rejected" => fate.rejected.push(more),
            _ => panic!("'{what} {message} {more}'"),
        }
    }

    /// What the current history was delivered last.
    fn last_got(&mut self) -> &mut Got {
        self.deliveries.last_mut().and_then(|deliveries| deliveries.last_mut()).expect("it got something")
    }

    pub fn counts(&self) -> Counts {
        let sum = |of: fn(&Fate) -> usize| self.fates.values().map(of).sum();
        Counts {
            accepted: sum(|fate| fate.accepted),
            delivered: sum(|fate| fate.tokens.len()),
            acknowledged: sum(|fate| fate.acked.len()),
            lost: sum(|fate| fate.lost.len()),
            delayed: sum(|fate| usize::from(fate.due.is_some())),
            expired: sum(|fate| usize::from(fate.expired)),
            duplicates: sum(|fate| usize::from(fate.duplicate)),
        }
    }

    /// Whether each message is in one place: acknowledged, or found in the end, to be delivered (`ready`) or as a dead
    /// letter. If not, what is wrong. So often somebody was `killed` that had consumed.
    pub fn check(&self, ready: &[u64], dead: &[u64], killed: usize) -> Result<(), String> {
        let mut found: HashMap<u64, [usize; 2]> = self.fates.keys().map(|number| (*number, [0; 2])).collect();
        ready.iter().for_each(|number| found.entry(*number).or_default()[0] += 1);
        dead.iter().for_each(|number| found.entry(*number).or_default()[1] += 1);
        let nobodys = Fate::default();
        let mut wrong = Vec::new();
        for (number, [ready, dead]) in &found {
            let fate = self.fates.get(number).unwrap_or(&nobodys);
            let what = fate.check(*ready, *dead).err();
            wrong.extend(
                what.map(|what| format!("{number:#x}: {what}; {ready} ready, {dead} dead; {fate:x?}")),
            );
        }
        wrong.extend(self.deliveries.iter().flatten().filter_map(|got| self.check_times(got).err()));
        wrong.extend(self.deliveries.iter().flatten().filter_map(|got| self.check_lease(got).err()));
        wrong.extend(self.check_order(killed).err());
        verdict(wrong)
    }

    /// Nobody's lease is over before its end, and nobody has a message longer than that if somebody else asks for it: one who
    /// does is not delivered what is behind it in line instead.
    fn check_lease(&self, got: &Got) -> Result<(), String> {
        if got.told < got.leased {
            return Err(format!("{:#x} was taken away {} ns too early", got.number, got.leased - got.told));
        }
        if got.settles <= got.ends || !self.fates[&got.number].acked.contains(&got.token) {
            return Ok(());
        }
        let passes = |other: &&Got| other.asked >= got.ends && other.seen <= got.settles;
        let mut passing = self.deliveries.iter().flatten().filter(passes);
        match passing.find(|other| self.is_behind(other, got)) {
            Some(other) => {
                Err(format!("{:#x} came, and not {:#x} whose lease was over", other.number, got.number))
            }
            None => Ok(()),
        }
    }

    /// Whether a message was put after another and for the same line, in which nothing may expire.
    fn is_behind(&self, got: &Got, before: &Got) -> bool {
        let line = |got: &Got| (got.number >> 32, self.fates[&got.number].priority);
        got.number > before.number && line(got) == line(before) && !self.gaps().contains(&line(got).1)
    }

    /// The priorities of messages that may expire.
    fn gaps(&self) -> BTreeSet<u64> {
        self.fates.values().filter(|fate| fate.until.is_some()).map(|fate| fate.priority).collect()
    }

    /// Nobody is delivered a message before its time, nor when it is too late for it.
    fn check_times(&self, got: &Got) -> Result<(), String> {
        let Fate { later, until, .. } = self.fates[&got.number];
        if got.seen < later {
            return Err(format!("{:#x} came {} ns before its time", got.number, later - got.seen));
        }
        match until {
            Some(until) if got.asked > until => {
                Err(format!("{:#x} came {} ns too late", got.number, got.asked - until))
            }
            _ => Ok(()),
        }
    }

    /// What one consumer is delivered first of one sender and priority comes in the order of its puts; what was for later
    /// is passed over by those that were asked for before it was due. Only of what was in the hands of one that died before
    /// it was told, nobody knows that it is not the first delivery. Where messages may expire there are gaps, across which
    /// no order is kept.
    fn check_order(&self, killed: usize) -> Result<(), String> {
        let has_gaps = self.gaps();
        let mut late = Vec::new();
        for deliveries in &self.deliveries {
            let mut before: BTreeMap<(u64, u64), (u64, Vec<Got>)> = BTreeMap::new();
            for got in deliveries {
                let fate = &self.fates[&got.number];
                if has_gaps.contains(&fate.priority) || fate.tokens.iter().any(|other| *other < got.token) {
                    continue;
                }
                let (last, before) = before.entry((got.number >> 32, fate.priority)).or_default();
                let passed = match (fate.later, fate.due.unwrap_or(u64::MAX)) {
                    (0, _) => *last,
                    (_, due) => {
                        let since = before.iter().rev().take_while(|other| other.asked >= due);
                        since.map(|other| other.number).max().unwrap_or(0)
                    }
                };
                if got.number < passed {
                    late.push((got.number, passed));
                }
                *last = (*last).max(got.number);
                before.push(*got);
            }
        }
        if late.len() <= killed {
            Ok(())
        } else {
            Err(format!("{killed} were killed, and these came late: {late:x?}"))
        }
    }
}

/// The first of what is wrong, and how much it is.
pub fn verdict(wrong: Vec<String>) -> Result<(), String> {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{} wrong, such as\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n")))
    }
}

impl Fate {
    fn check(&self, ready: usize, dead: usize) -> Result<(), &'static str> {
        let mut tokens = self.tokens.clone();
        tokens.sort_unstable();
        if !self.put {
            // Whoever was killed before it put has told when it was to come at most.
            let is_nothing = ready + dead + tokens.len() + self.acked.len() == 0;
            return if is_nothing { Ok(()) } else { Err("nobody put it") };
        }
        if tokens.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("two deliveries have one token");
        }
        let places = ready + dead + self.acked.len();
        if places > 1 {
            return Err("it is there more than once");
        }
        if self.accepted > 1 {
            return Err("it was put more than once");
        }
        if self.expired && self.until.is_none() {
            return Err("it expired, and nobody had said when it would");
        }
        if self.refused && places + tokens.len() > 0 {
            return Err("it was refused");
        }
        if !self.rejected.is_empty() && dead == 0 {
            return Err("it was rejected and is no dead letter");
        }
        // Of one who died while it acknowledged, and after whom nobody else got it.
        let is_last = |token: &u64| tokens.last().is_none_or(|last| last <= token);
        let told = |token: &u64| self.acked.contains(token) || self.lost.contains(token);
        let unknown = self.settling.iter().any(|token| !told(token) && is_last(token));
        if (self.accepted > 0 || self.duplicate) && !unknown && places == 0 {
            return Err("it is lost");
        }
        if !self.acked.iter().chain(&self.rejected).all(is_last) {
            return Err(
                "it was delivered after it was acknowledged or rejected, or that was done by one whose lease was over",
            );
        }
        Ok(())
    }
}
