//! What callers and providers printed, some of which were killed, and whether all of it together keeps the promises of
//! calls. `tests/peers/rust/peer.rs` has their lines.

use crate::common::history::verdict;
use crate::history::{Printed, number};
use std::collections::{HashMap, HashSet};

/// Calls of this kind take longer than their callers wait.
fn is_too_long(k: u64) -> bool {
    k % 16 == 5
}

#[derive(Debug, Default)]
pub struct Counts {
    done: u64,
    ok: u64,
    gone: u64,
    late: u64,
}

/// The upper half of a call's number is that of its caller.
pub struct Verdict {
    /// Calls that a caller has under way.
    together: u64,
    done: HashSet<u64>,
    answered: Vec<u64>,
    /// How many calls each caller has begun, as far as it could say.
    callers: HashMap<u64, u64>,
    counts: Counts,
    wrong: Vec<String>,
}

impl Verdict {
    pub fn new(together: usize) -> Verdict {
        Verdict {
            together: together as u64,
            done: HashSet::new(),
            answered: Vec::new(),
            callers: HashMap::new(),
            counts: Counts::default(),
            wrong: Vec::new(),
        }
    }

    pub fn add_provider(&mut self, printed: &Printed) {
        for line in printed.lines().filter(|line| line.starts_with("did ")) {
            self.counts.done += 1;
            let k = number(line, 1);
            if !self.done.insert(k) {
                self.wrong.push(format!("call {k:#x} was done twice"));
            }
        }
    }

    pub fn add_caller(&mut self, first: u64, printed: &Printed) {
        let (mut ended, mut begun) = (HashSet::new(), None);
        for line in printed.lines() {
            let k = number(line, 1);
            if line.starts_with("consulted ") {
                begun = Some(k);
                continue;
            }
            self.end(line, k);
            if !ended.insert(k) {
                self.wrong.push(format!("call {k:#x} ended twice: {line:?}"));
            }
        }
        let last = ended.iter().max().map_or(0, |last| last - first + 1);
        let count = begun.unwrap_or(last);
        let open = (first..first + count.max(last)).filter(|k| !ended.contains(k)).count() as u64;
        let may_be_open = if printed.killed { self.together } else { 0 };
        if open > may_be_open || (begun.is_none() && !printed.killed) {
            self.wrong.push(format!("of {count} calls from {first:#x} on {open} did not end"));
        }
        // Of one that was killed, more may be done than have ended.
        self.callers.insert(first, if printed.killed { count + self.together } else { count });
    }

    fn end(&mut self, line: &str, k: u64) {
        match line.split(' ').next() {
            Some("ok") => {
                self.counts.ok += 1;
                self.answered.push(k);
            }
            Some("gone") => self.counts.gone += 1,
            Some("late") => {
                self.counts.late += 1;
                if !is_too_long(k) {
                    self.wrong.push(format!("call {k:#x} was never answered"));
                }
            }
            Some("wrong") => self.wrong.push(format!("call {k:#x} was answered with another's answer")),
            _ => self.wrong.push(format!("a caller said {line:?}")),
        }
    }

    /// What happened, or what is wrong, when so many providers were killed, with so many calls at most under way.
    pub fn check(&mut self, kills: u64, under_way: u64) -> Result<Counts, String> {
        let Verdict { done, answered, callers, wrong, counts, .. } = self;
        let by_nobody = answered.iter().filter(|k| !done.contains(k));
        wrong.extend(by_nobody.map(|k| format!("call {k:#x} was answered, and nobody has done it")));
        let is_made =
            |k: &u64| callers.get(&(k >> 32 << 32)).is_some_and(|count| (*k as u32 as u64) < *count);
        wrong.extend(done.iter().filter(|k| !is_made(k)).map(|k| format!("nobody made call {k:#x}")));
        if counts.gone > kills * under_way {
            wrong.push(format!("{kills} providers died, and {} calls were told so", counts.gone));
        }
        if counts.ok == 0 || counts.late == 0 {
            wrong.push(format!("nobody got to work: {counts:?}"));
        }
        verdict(std::mem::take(wrong)).map(|()| std::mem::take(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 7 << 32;

    /// What is wrong with what a caller with two calls under way says of its calls, and a provider, one of which was killed.
    fn checked(caller: &str, caller_died: bool, provider: &str, kills: u64) -> Result<Counts, String> {
        let numbered = |text: &str| {
            let line = |line: &str| match line.split_once(' ') {
                Some((word, k)) if word != "consulted" => {
                    format!("{word} {}\n", FIRST + k.parse::<u64>().unwrap())
                }
                _ => format!("{line}\n"),
            };
            text.split(", ").map(line).collect::<String>()
        };
        let mut verdict = Verdict::new(2);
        verdict.add_provider(&Printed { text: numbered(provider), killed: true });
        verdict.add_caller(FIRST, &Printed { text: numbered(caller), killed: caller_died });
        verdict.check(kills, 2)
    }

    const DONE: &str = "did 0, did 1, did 2, did 3, did 4, did 5";
    const SAID: &str = "ok 0, ok 1, ok 2, ok 3, ok 4, late 5";

    #[test]
    fn right_histories_pass() {
        let said = format!("{SAID}, consulted 6");
        for (caller, died, provider, kills) in [
            (said.as_str(), false, DONE, 0),
            (&said, false, "did 0, did 1, did 2, did 3, did 4", 0),
            ("ok 1, ok 0, ok 3, ok 2, ok 4, late 5, gone 6, consulted 7", false, DONE, 1),
            ("ok 0, ok 1, ok 4, late 5", true, DONE, 0),
            (
                "ok 0, ok 1, ok 2, ok 3, late 5",
                true,
                "did 0, did 1, did 2, did 3, did 4, did 5, did 6, did 7",
                0,
            ),
        ] {
            checked(caller, died, provider, kills).unwrap_or_else(|wrong| panic!("{caller}: {wrong}"));
        }
    }

    #[test]
    fn wrong_histories_do_not() {
        let said = format!("{SAID}, consulted 6");
        for (caller, died, provider, kills, what) in [
            ("ok 0, ok 1, ok 2, ok 3, late 5, consulted 6", false, DONE, 1, "1 did not end"),
            (SAID, false, DONE, 0, "0 did not end"),
            ("ok 0, late 5", true, DONE, 0, "4 did not end"),
            ("ok 0, ok 0, ok 1, ok 2, ok 3, ok 4, late 5, consulted 6", false, DONE, 0, "ended twice"),
            ("ok 0, ok 1, wrong 2, ok 3, ok 4, late 5, consulted 6", false, DONE, 0, "another's"),
            ("ok 0, ok 1, late 2, ok 3, ok 4, late 5, consulted 6", false, DONE, 0, "never answered"),
            (&said, false, "did 0, did 1, did 2, did 4", 0, "nobody has done it"),
            (&said, false, "did 0, did 1, did 2, did 3, did 4, did 2", 0, "done twice"),
            (&said, false, "did 0, did 1, did 2, did 3, did 4, did 6", 0, "nobody made"),
            ("ok 0, gone 1, ok 2, ok 3, ok 4, late 5, consulted 6", false, DONE, 0, "0 providers died"),
            ("gone 0, consulted 1", false, "did 0", 1, "got to work"),
        ] {
            let wrong = checked(caller, died, provider, kills).expect_err(caller);
            assert!(wrong.contains(what), "{caller}: {wrong}");
        }
    }
}
