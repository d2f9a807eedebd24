//! What processes that use a queue were told, each in a file of its own, and whether all of it together keeps the queue's
//! promises. Lines are text, so that any language can write them:
//!
//! - `put N P`: message number N, priority P, is about to be put; then `accepted N`, or `refused N`.
//! - `got N T`: it was delivered, with token T.
//! - `settling N T`: it is about to be acknowledged; then `acked N T`, or `lost N T`: the lease was over.
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
}

/// What is in a directory of histories.
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
        let mut told = Told { fates: HashMap::new(), deliveries: Vec::new() };
        histories.into_iter().for_each(|text| told.add(text));
        told
    }

    fn add(&mut self, text: &str) {
        let mut deliveries = Vec::new();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let mut words = line.split(' ');
            let what = words.next().unwrap();
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
            let (Some(message), more) = (number(), number().unwrap_or(0)) else { panic!("'{line}'") };
            let fate = self.fates.entry(message).or_default();
            match what {
                "put" => (fate.put, fate.priority) = (true, more),
                "accepted" => fate.accepted = true,
                "refused" => fate.refused = true,
                "got" => {
                    fate.tokens.push(more);
                    deliveries.push((message, more));
                }
                "settling" => fate.settling.push(more),
                "acked" => fate.acked.push(more),
                "lost" => fate.lost.push(more),
                _ => panic!("'{line}'"),
            }
        }
        self.deliveries.push(deliveries);
    }

    /// Messages accepted, and deliveries.
    pub fn counts(&self) -> (usize, usize) {
        let accepted = self.fates.values().filter(|fate| fate.accepted).count();
        (accepted, self.deliveries.iter().map(Vec::len).sum())
    }

    /// Fails unless each message is in one place: acknowledged, or `left`, as those have found who looked in the end,
    /// dead letters included. So often somebody was `killed` that had consumed.
    pub fn check(&self, left: &[u64], killed: usize) {
        let mut found: HashMap<u64, usize> = HashMap::new();
        left.iter().for_each(|number| *found.entry(*number).or_default() += 1);
        for number in found.keys().chain(self.fates.keys()) {
            assert!(self.fates.get(number).is_some_and(|fate| fate.put), "{number:#x}: nobody put it");
        }
        for (number, fate) in &self.fates {
            fate.check(*number, found.get(number).copied().unwrap_or(0));
        }
        self.check_order(killed);
    }

    /// What one consumer is delivered first of one sender and priority comes in the order of its puts. Only of what was
    /// in the hands of one that died before it was told, nobody knows that it is not the first delivery.
    fn check_order(&self, killed: usize) {
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
        assert!(late.len() <= killed, "{killed} were killed, and these came late: {late:x?}");
    }
}

impl Fate {
    fn check(&self, number: u64, found: usize) {
        let fail =
            |what: &str| panic!("{number:#x}: {what}; {found} times in the queue in the end; {self:x?}");
        let mut tokens = self.tokens.clone();
        tokens.sort_unstable();
        if tokens.windows(2).any(|pair| pair[0] == pair[1]) {
            fail("two deliveries have one token");
        }
        if found + self.acked.len() > 1 {
            fail("it is there more than once");
        }
        if self.refused && found + self.acked.len() + self.tokens.len() > 0 {
            fail("it was refused");
        }
        // Of one who died while it acknowledged, and after whom nobody else got it.
        let is_last = |token: &u64| self.tokens.iter().all(|other| other <= token);
        let told = |token: &u64| self.acked.contains(token) || self.lost.contains(token);
        let unknown = self.settling.iter().any(|token| !told(token) && is_last(token));
        if self.accepted && !unknown && found + self.acked.len() == 0 {
            fail("it is lost");
        }
        if self.acked.iter().any(|token| self.tokens.iter().any(|later| later > token)) {
            fail("it was delivered after it was acknowledged, or acknowledged by one whose lease was over");
        }
    }
}
