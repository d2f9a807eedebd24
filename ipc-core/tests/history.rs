//! The checker of what processes were told (`common/history.rs`) finds each kind of broken promise.

mod common;

use common::history::Told;

/// A message that is put, and delivered with token 5 by another.
const PUT: &str = "put 1 0\naccepted 1 0\n";
const GOT: &str = "got 1 5\n";
const ACKED: &str = "got 1 5\nsettling 1 5\nacked 1 5\n";

#[track_caller]
fn check(histories: &[&str], left: &[u64], killed: usize) {
    Told::of(histories.iter().copied()).check(left, &[], killed).unwrap();
}

#[track_caller]
fn broken(histories: &[&str], left: &[u64], what: &str) {
    let told = Told::of(histories.iter().copied()).check(left, &[], 0).expect_err(what);
    assert!(told.contains(what), "{told}");
}

#[test]
fn what_keeps_the_promises_passes() {
    check(&[PUT, ACKED], &[], 0);
    check(&[PUT], &[1], 0);
    // Given back, and then done by another.
    check(&[PUT, GOT, "got 1 6\nsettling 1 6\nacked 1 6\n"], &[], 0);
    // A lease that was over.
    check(&[PUT, "got 1 5\nsettling 1 5\nlost 1 5\n", "got 1 7\nsettling 1 7\nacked 1 7\n"], &[], 0);
    // Nobody knows what became of it: its producer, or its consumer, died over it.
    check(&["put 1 0\n"], &[], 0);
    check(&["put 1 0\n"], &[1], 0);
    check(&[PUT, "got 1 5\nsettling 1 5\n"], &[], 0);
    check(&[PUT, "got 1 5\nsettling 1 5\n"], &[1], 0);
    // One died in the middle of a line.
    check(&["put 1 0\naccepted 1 0\npu"], &[1], 0);
    // It was never put.
    check(&["put 1 0\nrefused 1 0\n"], &[], 0);
    // Other priorities, and other consumers, have other orders; what comes back may come late.
    check(&["put 1 0\naccepted 1 0\nput 2 1\naccepted 2 0\n", "got 2 1\ngot 1 1\n"], &[1, 2], 0);
    check(&["put 1 0\naccepted 1 0\nput 2 0\naccepted 2 0\n", "got 2 1\n", "got 1 1\n"], &[1, 2], 0);
    check(&["put 1 0\naccepted 1 0\nput 2 0\naccepted 2 0\n", "got 2 1\ngot 1 2\n", "got 1 1\n"], &[1, 2], 0);
}

#[test]
fn what_was_accepted_and_is_nowhere_is_lost() {
    broken(&[PUT], &[], "it is lost");
    broken(&[PUT, GOT], &[], "it is lost");
    broken(&[PUT, "got 1 5\nsettling 1 5\nlost 1 5\n"], &[], "it is lost");
    broken(&[PUT, "got 1 5\nsettling 1 5"], &[], "it is lost");
    // One died while it acknowledged, but another got the message later.
    broken(&[PUT, "got 1 5\nsettling 1 5\n", "got 1 6\n"], &[], "it is lost");
}

#[test]
fn what_was_acknowledged_does_not_come_again() {
    broken(&[PUT, ACKED], &[1], "more than once");
    broken(&[PUT, ACKED, "got 1 6\n"], &[], "after it was acknowledged");
    broken(&[PUT, ACKED, "got 1 6\nsettling 1 6\nacked 1 6\n"], &[], "more than once");
    broken(&[PUT], &[1, 1], "more than once");
}

#[test]
fn a_late_acknowledgement_does_not_count() {
    broken(&[PUT, "got 1 6\n", ACKED], &[], "lease was over");
}

#[test]
fn what_was_rejected_is_a_dead_letter_for_good() {
    let checked = |histories: &[&str], ready: &[u64], dead: &[u64]| {
        Told::of(histories.iter().copied()).check(ready, dead, 0)
    };
    let rejected = "got 1 5\nrejected 1 5\n";
    assert_eq!(checked(&[PUT, rejected], &[], &[1]), Ok(()));
    for (histories, ready, dead, what) in [
        ([PUT, rejected, ""], &[1u64] as &[u64], &[] as &[u64], "no dead letter"),
        ([PUT, rejected, ""], &[], &[], "no dead letter"),
        ([PUT, rejected, ""], &[1], &[1], "more than once"),
        ([PUT, rejected, "got 1 6\n"], &[], &[1], "or rejected"),
        ([PUT, ACKED, ""], &[], &[1], "more than once"),
    ] {
        let told = checked(&histories, ready, dead).expect_err(what);
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn no_two_have_a_message_at_once() {
    broken(&[PUT, GOT, GOT], &[1], "one token");
}

#[test]
fn what_was_refused_or_never_put_is_nowhere() {
    broken(&["put 1 0\nrefused 1 0\n"], &[1], "it was refused");
    broken(&["put 1 0\nrefused 1 0\n", GOT], &[], "it was refused");
    broken(&[PUT], &[1, 2], "nobody put it");
    broken(&[PUT, "got 2 5\n"], &[1], "nobody put it");
}

#[test]
fn who_puts_before_is_served_before() {
    let put = "put 1 0\naccepted 1 0\nput 2 0\naccepted 2 0\n";
    let got = "got 2 1\ngot 1 1\n";
    broken(&[put, got], &[1, 2], "these came late");
    // Unless one was killed, who may have had the first of them before it said so.
    check(&[put, got], &[1, 2], 1);
}

#[test]
fn what_is_for_later_comes_when_it_is_due() {
    let later = "later 1 100\nput 1 0\naccepted 1 0\ndue 1 120\n";
    check(&[later, "got 1 5\nasked 1 50\nseen 1 100\n"], &[1], 0);
    broken(&[later, "got 1 5\nasked 1 50\nseen 1 99\n"], &[1], "1 ns before its time");
    broken(&[later], &[], "it is lost");
    // Due, it is where it was put: before the second, unless that was asked for before.
    let both = format!("{later}put 2 0\naccepted 2 0\n");
    let got = |asked| format!("got 2 5\nasked 2 {asked}\nseen 2 130\ngot 1 6\nasked 1 131\nseen 1 140\n");
    check(&[&both, &got(119)], &[1, 2], 0);
    broken(&[&both, &got(120)], &[1, 2], "these came late");
    // Nobody knows when it is due whose producer died.
    check(&[both.replace("due 1 120\n", "").as_str(), &got(120)], &[1, 2], 0);
    // What was put before it comes before it.
    let both = format!("put 0 0\naccepted 0 0\n{later}");
    broken(&[&both, "got 1 6\nasked 1 131\nseen 1 140\ngot 0 7\nasked 0 141\n"], &[0, 1], "these came late");
}

#[test]
fn what_is_put_for_a_time_comes_before_or_never() {
    let put = "ttl 1 0\nput 1 0\naccepted 1 0\nuntil 1 100\n";
    let checked = |histories: &[&str], ready: &[u64], dead: &[u64]| {
        Told::of(histories.iter().copied()).check(ready, dead, 0).err().unwrap_or_default()
    };
    let got = |asked| format!("got 1 5\nasked 1 {asked}\nseen 1 130\nsettling 1 5\nacked 1 5\n");
    assert_eq!(checked(&[put, &got(100)], &[], &[]), "");
    assert!(checked(&[put, &got(101)], &[], &[]).contains("1 ns too late"));
    assert_eq!(checked(&[put, "expired 1 0\n"], &[], &[1]), "");
    assert!(checked(&[put], &[], &[]).contains("it is lost"));
    assert!(checked(&[put, &got(100), "expired 1 0\n"], &[], &[1]).contains("more than once"));
    assert!(checked(&[PUT, "expired 1 0\n"], &[], &[1]).contains("nobody had said when it would"));
    // Across the gaps it makes no order is kept.
    let more = format!("{put}put 2 0\naccepted 2 0\n");
    assert_eq!(checked(&[&more, "got 2 1\nasked 2 1\ngot 1 1\nasked 1 2\n"], &[1, 2], &[]), "");
}

#[test]
fn what_is_put_once_is_there_once() {
    let again = "put 1 0\nduplicate 1 0\n";
    check(&[PUT, again, ACKED], &[], 0);
    check(&["put 1 0\n", again], &[1], 0);
    broken(&[PUT, PUT, ACKED], &[], "put more than once");
    broken(&["put 1 0\n", again], &[], "it is lost");
}

#[test]
fn a_lease_is_over_at_its_end_and_not_before() {
    let got = "got 1 5\nasked 1 90\nseen 1 100\nleased 1 120\nends 1 130\n";
    let lost = |told| format!("{got}settling 1 5\nsettles 1 110\nlost 1 5\ntold 1 {told}\n");
    check(&[PUT, &lost(120), "got 1 7\nsettling 1 7\nacked 1 7\n"], &[], 0);
    broken(&[PUT, &lost(119)], &[1], "1 ns too early");
    // Nobody takes it over who does not ask after its end, or is served before it is done.
    let both = format!("{PUT}put 2 0\naccepted 2 0\n");
    let kept_on = format!("{got}settling 1 5\nsettles 1 150\nacked 1 5\n");
    let other = |asked, seen| format!("got 2 6\nasked 2 {asked}\nseen 2 {seen}\n");
    check(&[&both, &kept_on, &other(129, 150)], &[2], 0);
    check(&[&both, &kept_on, &other(130, 151)], &[2], 0);
    broken(&[&both, &kept_on, &other(130, 150)], &[2], "whose lease was over");
    // What is of another line, or somewhere in one with gaps, may come all the same.
    check(&[&both.replace("put 2 0", "put 2 1"), &kept_on, &other(130, 150)], &[2], 0);
    check(&[&format!("ttl 2 0\n{both}until 2 900\n"), &kept_on, &other(130, 150)], &[2], 0);
}
