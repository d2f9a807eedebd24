//! What producers, workers and counters printed, some of which were killed, and whether all of it together keeps the
//! promises of queues and mutexes. `tests/peers/rust/peer.rs` has their lines; what they say of a queue is checked as the
//! core's litmus tests do it.

use crate::common::history::{Counts, Told, verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What one process printed, and whether it was killed.
pub struct Printed {
    pub text: String,
    pub killed: bool,
}

impl Printed {
    /// Its lines; one that was cut off by death was not said.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let end = self.text.rfind('\n').map_or(0, |end| end + 1);
        self.text[..end].lines()
    }
}

/// What all said of a queue. The upper half of a message's number is that of its producer.
#[derive(Default)]
pub struct Jobs {
    told: Told,
    ready: Vec<u64>,
    dead: Vec<u64>,
    killed_workers: usize,
}

/// A number of a line, the word at this place.
pub fn number(line: &str, place: usize) -> u64 {
    let word = line.split(' ').nth(place).and_then(|word| word.parse().ok());
    word.unwrap_or_else(|| panic!("no number at {place}: {line:?}"))
}

impl Jobs {
    /// A producer that numbers its messages from `first`.
    pub fn add_producer(&mut self, first: u64, printed: &Printed) {
        let mut next = first;
        self.told.begin();
        for line in printed.lines().filter(|line| line.starts_with("put ")) {
            assert_eq!(number(line, 1), next, "a producer puts one after another");
            self.told.tell("put", next, next % 3);
            self.told.tell("accepted", next, 0);
            next += 1;
        }
        // The one after the last that a killed one told of may be in the queue.
        if printed.killed {
            self.told.tell("put", next, next % 3);
        }
    }

    /// The number of a delivery is its token.
    pub fn add_worker(&mut self, printed: &Printed) {
        self.killed_workers += usize::from(printed.killed);
        self.told.begin();
        let mut lines = printed.lines();
        while let Some(line) = lines.next().filter(|line| !line.starts_with("done ")) {
            assert!(line.starts_with("take "), "a worker said {line:?}");
            let (k, attempt) = (number(line, 1), number(line, 2));
            self.told.tell("got", k, attempt);
            if let Some(line) = lines.next() {
                assert_eq!(number(line, 1), k, "a worker finishes one before it takes another: {line:?}");
                self.settled(line, k, attempt);
            } else if printed.killed && is_acknowledged(k, attempt) {
                self.told.tell("settling", k, attempt);
            }
        }
    }

    fn settled(&mut self, line: &str, k: u64, attempt: u64) {
        match line.split(' ').next() {
            Some("ack") => self.told.tell("acked", k, attempt),
            Some("lost") => self.told.tell("lost", k, attempt),
            Some("dead") => self.told.tell("rejected", k, attempt),
            Some("back") => {}
            _ => panic!("a worker said {line:?}"),
        }
    }

    /// What somebody finds in the queue in the end, to be delivered or as a dead letter.
    pub fn add_left(&mut self, k: u64, is_dead: bool) {
        if is_dead { self.dead.push(k) } else { self.ready.push(k) }
    }

    pub fn counts(&self) -> Counts {
        self.told.counts()
    }

    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.told.check(&self.ready, &self.dead, self.killed_workers)
    }
}

/// Whether workers acknowledge message `k` when they get it for the n-th time.
fn is_acknowledged(k: u64, attempt: u64) -> bool {
    k % 11 != 7 && !(k % 5 == 3 && attempt == 1)
}

/// Whether those who counted by a lock were alone with the number, which is `last` now, and were told of those who died
/// with it; readers say at which number they were told.
pub fn check_counts(counters: &[Printed], last: u64) -> Result<(), String> {
    let killed = counters.iter().filter(|printed| printed.killed).count();
    let (mut died, mut told_before, mut wrong) = (0, BTreeMap::new(), Vec::new());
    let mut told_readers = BTreeSet::new();
    for counter in counters {
        let mut is_told = false;
        for line in counter.lines() {
            match line.split(' ').next() {
                Some("owner") if line == "owner died" => is_told = true,
                Some("owner") => drop(told_readers.insert(number(line, 2))),
                Some("in" | "out" | "counted" | "shared") => continue,
                _ => {
                    if told_before.insert(number(line, 0), std::mem::take(&mut is_told)).is_some() {
                        wrong.push(format!("{line} was counted twice"));
                    }
                    continue;
                }
            }
            died += 1;
        }
    }
    if told_before.keys().any(|number| !(1..=last).contains(number)) {
        wrong.push(format!("the number went back to {last}"));
    }
    let missing: Vec<u64> = (1..=last).filter(|number| !told_before.contains_key(number)).collect();
    if died.max(missing.len()) > killed {
        wrong.push(format!("{killed} were killed, {died} told of it, and nobody counted {missing:?}"));
    }
    // Who counted it died before it could say so, and had the lock.
    let untold = missing
        .iter()
        .filter(|number| !told_readers.contains(number) && told_before.get(&(*number + 1)) == Some(&false));
    wrong.extend(untold.map(|number| format!("who counted {number} died, and who counted on was not told")));
    verdict(wrong)
}

/// Whether never more had a permit at once than there are. Of one that died with it nobody knows until when.
pub fn check_seats(sharers: &[Printed], permits: i32) -> Result<(), String> {
    let mut changes = Vec::new();
    for sharer in sharers {
        let mut since = None;
        for line in sharer.lines() {
            match line.split(' ').next() {
                Some("in") => since = Some(number(line, 1)),
                Some("out") => {
                    let since = since.take().unwrap_or_else(|| panic!("{line:?} without a beginning"));
                    changes.extend([(since, true), (number(line, 1), false)]);
                }
                _ => {}
            }
        }
    }
    // Who goes makes room for one who comes at the same time.
    changes.sort_unstable();
    let mut taken = 0;
    for (time, comes) in changes {
        taken += if comes { 1 } else { -1 };
        if taken > permits {
            return Err(format!("{taken} had one of {permits} permits at {time}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, killed: bool) -> Printed {
        Printed { text: text.into(), killed }
    }

    /// Producer 0 puts messages 0, 1 and 2; two workers say this, of which the first was killed.
    fn checked(first: &str, second: &str, ready: &[u64], dead: &[u64]) -> bool {
        let mut jobs = Jobs::default();
        jobs.add_producer(0, &printed("put 0\nput 1\nput 2\nput", true));
        jobs.add_worker(&printed(first, true));
        jobs.add_worker(&printed(second, false));
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
            jobs.add_producer(k, &printed(&format!("put {k}\n"), false));
            jobs.add_worker(&printed(&format!("take {k} {attempt}\n"), true));
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
            jobs.add_producer(0, &printed("put 0\nput 1\nput 2\nput 3\nput 4\nput 5\nput 6\n", false));
            jobs.add_worker(&printed(lines, killed));
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
        check_counts(&[printed(first, true), printed(second, false)], last).is_ok()
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

    #[test]
    fn who_reads_is_told_in_the_place_of_who_writes() {
        assert!(counted("1\n", "in 1\nout 2\nowner died 2\n3\nshared 2\n", 3), "a reader was told");
        assert!(!counted("1\n", "owner died 1\n3\n", 3), "it was told of another");
        assert!(!counted("1\nowner died 1\n", "owner died 1\n2\n", 2), "one killed, two told");
    }

    #[test]
    fn permits_are_counted() {
        let seated = |first: &str, second: &str, third: &str| {
            check_seats(&[printed(first, false), printed(second, true), printed(third, false)], 2).is_ok()
        };
        assert!(seated("in 1\nout 5\n", "in 2\nout 6\n", "in 5\nout 7\n"));
        assert!(seated("in 1\nout 5\n", "in 2\n", "in 3\nout 4\n"), "killed, and its permit went to another");
        assert!(!seated("in 1\nout 5\n", "in 2\nout 6\n", "in 4\nout 7\n"));
    }
}
