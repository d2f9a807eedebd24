//! What producers, workers and counters printed, some of which were killed, and whether all of it together keeps the
//! promises of queues and mutexes. `tests/peers/rust/peer.rs` has their lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What one process printed, and whether it was killed.
pub struct Told {
    pub text: String,
    pub killed: bool,
}

impl Told {
    /// Its lines; one that was cut off by death was not said.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let end = self.text.rfind('\n').map_or(0, |end| end + 1);
        self.text[..end].lines()
    }
}

/// One delivery of a message.
#[derive(Debug)]
struct Taken {
    attempt: u64,
    /// What the worker said it did; nothing, if it was killed before it could.
    outcome: Option<String>,
}

/// What is known of one message.
#[derive(Debug, Default)]
struct Fate {
    put: bool,
    taken: Vec<Taken>,
    ready: u64,
    dead: u64,
}

/// What all said of a queue. The upper half of a message's number is that of its producer.
#[derive(Default)]
pub struct Jobs {
    fates: HashMap<u64, Fate>,
    /// The message after the last that a killed producer told of may be in the queue.
    untold: BTreeSet<u64>,
    late: Vec<u64>,
    wrong: Vec<String>,
    killed_workers: usize,
    pub acknowledged: u64,
    pub lost: u64,
}

/// A number of a line, the word at this place.
fn number(line: &str, place: usize) -> u64 {
    let word = line.split(' ').nth(place).and_then(|word| word.parse().ok());
    word.unwrap_or_else(|| panic!("no number at {place}: {line:?}"))
}

impl Jobs {
    /// A producer that numbers its messages from `first`.
    pub fn add_producer(&mut self, first: u64, told: &Told) {
        let mut next = first;
        for line in told.lines().filter(|line| line.starts_with("put ")) {
            assert_eq!(number(line, 1), next, "a producer puts one after another");
            self.fates.entry(next).or_default().put = true;
            next += 1;
        }
        if told.killed {
            self.untold.insert(next);
        }
    }

    pub fn add_worker(&mut self, told: &Told) {
        self.killed_workers += usize::from(told.killed);
        let mut last: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        let mut lines = told.lines();
        while let Some(line) = lines.next().filter(|line| !line.starts_with("done ")) {
            assert!(line.starts_with("take "), "a worker said {line:?}");
            let (k, attempt) = (number(line, 1), number(line, 2));
            let outcome = lines.next().map(|line| {
                assert_eq!(number(line, 1), k, "a worker finishes one before it takes another: {line:?}");
                line.split(' ').next().unwrap_or_default().to_owned()
            });
            if outcome.is_none() && !told.killed {
                self.wrong.push(format!("{k:#x}: a worker that lives said nothing more of it"));
            }
            self.acknowledged += u64::from(outcome.as_deref() == Some("ack"));
            self.lost += u64::from(outcome.as_deref() == Some("lost"));
            self.fates.entry(k).or_default().taken.push(Taken { attempt, outcome });
            if attempt == 1 {
                // Of one producer and priority.
                let last = last.entry((k >> 32, k % 3)).or_default();
                self.late.extend((k < *last).then_some(k));
                *last = k.max(*last);
            }
        }
    }

    /// What somebody finds in the queue in the end, to be delivered or as a dead letter.
    pub fn add_left(&mut self, k: u64, is_dead: bool) {
        let fate = self.fates.entry(k).or_default();
        if is_dead { fate.dead += 1 } else { fate.ready += 1 }
    }

    pub fn messages(&self) -> usize {
        self.fates.len()
    }

    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let mut wrong = self.wrong.clone();
        for (k, fate) in &self.fates {
            let nobodys = !fate.put && !self.untold.contains(k);
            let what = if nobodys { Some("nobody put it") } else { fate.check(*k).err() };
            wrong.extend(what.map(|what| format!("{k:#x}: {what}; {fate:?}")));
        }
        // One that died with a message before the queue noted its delivery leaves it as if it had none.
        let (late, killed) = (&self.late, self.killed_workers);
        if late.len() > killed {
            wrong.push(format!("{killed} workers were killed, and these came late: {late:x?}"));
        }
        told_of(wrong)
    }
}

/// The first of what is wrong, and how many there are.
fn told_of(wrong: Vec<String>) -> Result<(), String> {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{} wrong, such as\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n")))
    }
}

/// Whether workers acknowledge message `k` when they get it for the n-th time.
fn is_acknowledged(k: u64, attempt: u64) -> bool {
    k % 11 != 7 && !(k % 5 == 3 && attempt == 1)
}

impl Fate {
    fn check(&self, k: u64) -> Result<(), &'static str> {
        let attempts: BTreeSet<u64> = self.taken.iter().map(|taken| taken.attempt).collect();
        if attempts.len() < self.taken.len() {
            return Err("two deliveries have one number");
        }
        let is = |taken: &Taken, what| taken.outcome.as_deref() == Some(what);
        let count = |what| self.taken.iter().filter(|taken| is(taken, what)).count() as u64;
        let (acked, dead) = (count("ack"), count("dead"));
        if acked + self.ready + self.dead > 1 {
            return Err("it is there more than once");
        }
        if dead > 0 && self.dead == 0 {
            return Err("it was rejected and is no dead letter");
        }
        let last = attempts.last();
        let is_over = |taken: &Taken| is(taken, "ack") || is(taken, "dead");
        if self.taken.iter().any(|taken| is_over(taken) && Some(&taken.attempt) != last) {
            return Err("it was delivered after its end");
        }
        let mut cut_off = self.taken.iter().filter(|taken| taken.outcome.is_none());
        let unknown = cut_off.any(|taken| Some(&taken.attempt) == last && is_acknowledged(k, taken.attempt));
        if self.put && acked + self.ready + self.dead == 0 && !unknown {
            return Err("it is lost");
        }
        Ok(())
    }
}

/// Whether those who counted by a mutex were alone with the number, which is `last` now, and were told of those who
/// died with it.
pub fn check_counts(counters: &[Told], last: u64) -> Result<(), String> {
    let killed = counters.iter().filter(|told| told.killed).count();
    let (mut died, mut told_before, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for counter in counters {
        let mut is_told = false;
        for line in counter.lines().filter(|line| !line.starts_with("counted ")) {
            if line == "owner died" {
                died += 1;
                is_told = true;
            } else if told_before.insert(number(line, 0), std::mem::take(&mut is_told)).is_some() {
                wrong.push(format!("{line} was counted twice"));
            }
        }
    }
    if told_before.keys().any(|number| !(1..=last).contains(number)) {
        wrong.push(format!("the number went back to {last}"));
    }
    let missing: Vec<u64> = (1..=last).filter(|number| !told_before.contains_key(number)).collect();
    if died.max(missing.len()) > killed {
        wrong.push(format!("{killed} were killed, {died} told of it, and nobody counted {missing:?}"));
    }
    // Who counted it died before it could say so, and had the mutex.
    let untold = missing.iter().filter(|number| told_before.get(&(*number + 1)) == Some(&false));
    wrong.extend(untold.map(|number| format!("who counted {number} died, and who counted on was not told")));
    told_of(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, killed: bool) -> Told {
        Told { text: text.into(), killed }
    }

    /// Producer 0 puts messages 0, 1 and 2; two workers say this, of which the first was killed.
    fn checked(first: &str, second: &str, ready: &[u64], dead: &[u64]) -> bool {
        let mut jobs = Jobs::default();
        jobs.add_producer(0, &told("put 0\nput 1\nput 2\nput", true));
        jobs.add_worker(&told(first, true));
        jobs.add_worker(&told(second, false));
        ready.iter().for_each(|k| jobs.add_left(*k, false));
        dead.iter().for_each(|k| jobs.add_left(*k, true));
        jobs.check().is_ok()
    }

    #[test]
    fn right_histories_pass() {
        assert!(checked("", "", &[0, 1, 2], &[]));
        assert!(checked("", "", &[0, 1, 2, 3], &[]), "accepted, and its producer killed before it said so");
        assert!(checked("take 0 1\nack 0\n", "take 1 1\nback 1\ntake 1 2\nack 1\ndone 2\n", &[2], &[]));
        assert!(checked("take 0 1\n", "take 0 2\nack 0\ntake 1 1\ndead 1\n", &[2], &[1]), "redelivered");
        assert!(checked("take 0 1\nac", "", &[1, 2], &[]), "acknowledged, and killed before it said so");
        assert!(checked("take 0 1\nlost 0\n", "take 0 2\nack 0\n", &[1, 2], &[]));
    }

    #[test]
    fn wrong_histories_do_not() {
        for (first, second, ready, dead) in [
            ("", "", &[0u64, 1] as &[u64], &[] as &[u64]),
            ("", "", &[0, 1, 2, 2], &[]),
            ("", "", &[0, 1, 2, 4], &[]),
            ("take 0 1\nack 0\n", "", &[0, 1, 2], &[]),
            ("take 0 1\nack 0\n", "take 0 2\nack 0\n", &[1, 2], &[]),
            ("take 0 1\nack 0\n", "take 0 2\nback 0\n", &[1, 2], &[]),
            ("take 0 1\nack 0\n", "take 0 1\nlost 0\n", &[1, 2], &[]),
            ("take 0 1\n", "take 0 2\nlost 0\n", &[1, 2], &[]),
            ("take 0 1\ndead 0\n", "", &[1, 2], &[]),
            ("", "take 0 1\n", &[1, 2], &[]),
            ("", "take 0 1\nback 0\n", &[1, 2], &[]),
        ] {
            assert!(!checked(first, second, ready, dead), "{first:?} {second:?} {ready:?} {dead:?}");
        }
    }

    #[test]
    fn only_what_was_about_to_be_acknowledged_may_be_gone() {
        let gone = |k: u64, attempt: u64| {
            let mut jobs = Jobs::default();
            jobs.add_producer(k, &told(&format!("put {k}\n"), false));
            jobs.add_worker(&told(&format!("take {k} {attempt}\n"), true));
            jobs.check().is_ok()
        };
        assert!(gone(1, 1) && gone(3, 2));
        assert!(!gone(3, 1), "it would have been given back");
        assert!(!gone(7, 1), "it would have been rejected");
    }

    #[test]
    fn as_many_first_deliveries_come_late_as_workers_were_killed() {
        let late = |lines: &str, killed| {
            let mut jobs = Jobs::default();
            jobs.add_producer(0, &told("put 0\nput 1\nput 2\nput 3\nput 4\nput 5\nput 6\n", false));
            jobs.add_worker(&told(lines, killed));
            for k in [1, 2, 4, 5] {
                jobs.add_left(k, false);
            }
            jobs.check().is_ok()
        };
        assert!(late("take 0 1\nack 0\ntake 3 1\nack 3\ntake 6 1\nack 6\n", false));
        assert!(!late("take 3 1\nack 3\ntake 0 1\nack 0\ntake 6 1\nack 6\n", false));
        assert!(late("take 3 1\nack 3\ntake 0 1\nack 0\ntake 6 1\nack 6\n", true));
        assert!(!late("take 6 1\nack 6\ntake 0 1\nack 0\ntake 3 1\nack 3\n", true));
    }

    fn counted(first: &str, second: &str, last: u64) -> bool {
        check_counts(&[told(first, true), told(second, false)], last).is_ok()
    }

    #[test]
    fn counts_are_checked() {
        assert!(counted("1\n3\n", "2\n4\ncounted 2\n", 4));
        assert!(counted("1\n", "owner died\n3\ncounted 1\n", 3), "killed before it said 2");
        assert!(counted("1\n2", "owner died\n3\ncounted 1\n", 3), "killed while it said 2");
        assert!(!counted("1\n2\n", "2\n3\n", 3), "twice");
        assert!(!counted("1\n", "3\ncounted 1\n", 3), "not told");
        assert!(!counted("1\n", "owner died\n4\ncounted 1\n", 4), "one killed, two missing");
        assert!(!counted("1\n2\n3\n", "", 2), "went back");
        assert!(!counted("1\nowner died\n2\n", "owner died\n3\n", 3), "told twice of one");
    }
}
