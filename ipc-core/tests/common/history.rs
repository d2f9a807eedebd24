//! What processes that use a queue were told, each in a file of its own, and whether all of it together keeps the queue's
//! promises. Lines are text, so that any language can write them:
//!
//! - `put N P`: message number N, priority P, is about to be put; then `accepted N`, or `refused N`.
//! - `got N T`: it was delivered, with token T.
//! - `settling N T`: it is about to be acknowledged; then `acked N T`, or `lost N T`: the lease was over.
//! - `rejected N T`: it is a dead letter, for good.
//!
//! A line is one write to a file opened for appending: it is there, whenever the process dies, but for the last one, of
//! which a part may be missing where it goes over a page; then it does not count. The number's upper half says whose
//! message it is; those of one sender and one priority are numbered in the order of their puts.

use std::collections::{BTreeMap, HashMap};
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
    accepted: bool,
    refused: bool,
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
}

/// What several histories tell.
#[derive(Default)]
pub struct Told {
    fates: HashMap<u64, Fate>,
    /// Of each file, the deliveries in their order.
    deliveries: Vec<Vec<(u64, u64)>>,
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
            "accepted" => fate.accepted = true,
            "refused" => fate.refused = true,
            "got" => {
                fate.tokens.push(more);
                self.deliveries.last_mut().expect("a history was begun").push((message, more));
            }
            "settling" => fate.settling.push(more),
            "acked" => fate.acked.push(more),
            "lost" => fate.lost.push(more),
            "rejected" => fate.rejected.push(more),
            _ => panic!("'{what} {message} {more}'"),
        }
    }

    pub fn counts(&self) -> Counts {
        let sum = |of: fn(&Fate) -> usize| self.fates.values().map(of).sum();
        Counts {
            accepted: sum(|fate| usize::from(fate.accepted)),
            delivered: sum(|fate| fate.tokens.len()),
            acknowledged: sum(|fate| fate.acked.len()),
            lost: sum(|fate| fate.lost.len()),
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
        wrong.extend(self.check_order(killed).err());
        verdict(wrong)
    }

    /// What one consumer is delivered first of one sender and priority comes in the order of its puts. Only of what was
    /// in the hands of one that died before it was told, nobody knows that it is not the first delivery.
    fn check_order(&self, killed: usize) -> Result<(), String> {
        let mut late = Vec::new();
        for deliveries in &self.deliveries {
            let mut last: BTreeMap<(u64, u64), u64> = BTreeMap::new();
            for (number, token) in deliveries {
                let fate = &self.fates[number];
                if fate.tokens.iter().any(|other| other < token) {
                    continue;
                }
                let last = last.entry((number >> 32, fate.priority)).or_default();
                if number < last {
                    late.push((*number, *last));
                }
                *last = (*last).max(*number);
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
            return Err("nobody put it");
        }
        if tokens.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("two deliveries have one token");
        }
        let places = ready + dead + self.acked.len();
        if places > 1 {
            return Err("it is there more than once");
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
        if self.accepted && !unknown && places == 0 {
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
