//! A process dies in the middle of something, and another one goes on.

use super::super::simulator::Plan;
use super::*;

/// A caller that died at an operation.
struct Dead {
    world: Simulated,
    published: Vec<(usize, State, Line)>,
    /// What it had in mind.
    lines: Vec<Line>,
}

fn die(steps: &[Step], at: usize, sixteenths: usize) -> Option<Dead> {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    if world.operations() > at {
        return None;
    }
    world.plan(Plan::Die { at, sixteenths });
    run(&mut caller, steps);
    world.plan(Plan::Nothing);
    caller.published.retain(|(operations, _, _)| *operations <= at);
    let lines = caller.promised(at).lines.clone();
    Some(Dead { world, published: caller.published, lines })
}

/// What the dead one was told is there, and nothing it did not have in mind.
fn succeed(dead: &Dead, state: State) -> Caller {
    let (_, _, told) = dead.published.last().unwrap();
    let longest = dead.lines.iter().max_by_key(|line| line.len()).unwrap();
    let caller = Caller::succeed(&dead.world, state, longest).unwrap();
    let last = caller.state.last();
    assert!(last >= told.len() as u64, "{last} of {}", told.len());
    assert_eq!(caller.line.len() as u64, last);
    let promise = Promise { operations: 0, durable: last, lines: dead.lines.clone() };
    let (_, found) = check(&dead.world.seen(), &promise);
    assert_eq!(found, last, "nothing is there that was not found");
    caller
}

/// The successor goes on, and what it syncs survives a power cut.
fn goes_on(mut caller: Caller, random: &mut Random) {
    let begun = caller.world.operations();
    if caller.state.is_poisoned() {
        caller.step(StartOver).unwrap();
    }
    for step in [Put(1, 40), Sync, Gone, Compact, Put(1, 500), Sync] {
        caller.step(step).unwrap();
    }
    assert_eq!(caller.state.durable(), caller.line.len() as u64);
    let (_, _, recovery, _) = recover(&Simulated::new(&caller.world.seen())).unwrap();
    assert_eq!(recovery.torn, None, "what was half done was cleared away");
    let end = caller.world.operations();
    for cut in [begun + random.below(end - begun + 1), end] {
        let promise = caller.promised(cut);
        for image in caller.world.after_cut(cut, 32, random).iter().take(3) {
            check(image, promise);
        }
    }
}

fn die_everywhere(seed: u64) {
    let steps = script(seed, 24);
    println!("AXONIC_TEST_SEED={seed}: {steps:?}");
    let mut random = Random(seed);
    let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
    run(&mut caller, &steps);
    for at in 0..caller.world.operations() {
        for sixteenths in [0, 1, 8, 15] {
            let Some(dead) = die(&steps, at, sixteenths) else { continue };
            let count = dead.published.len();
            let choice = [count - 1, count.saturating_sub(2), random.below(count)][random.below(3)];
            println!("died at {at} ({sixteenths}/16), state {choice} of {count}");
            let state = dead.published[choice].1;
            // The first successor may die as well, in the middle of its repairs.
            let at = dead.world.operations() + random.below(6);
            dead.world.plan(Plan::Die { at, sixteenths: random.below(16) });
            let _ = Caller::succeed(&dead.world, state, &dead.lines[0]);
            dead.world.plan(Plan::Nothing);
            goes_on(succeed(&dead, state), &mut random);
        }
    }
}

#[test]
fn a_successor_finds_the_true_end() {
    for seed in seeds(21..26) {
        die_everywhere(seed);
    }
}

/// Nothing that the dead one left half made takes room.
#[test]
fn a_successor_removes_what_is_half_made() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 100)).unwrap();
    // The segment is made, and its header is not written.
    world.plan(Plan::Die { at: world.operations() + 1, sixteenths: 3 });
    caller.step(Put(1, 600)).unwrap_err();
    world.plan(Plan::Nothing);
    assert_eq!(world.seen().len(), 2);
    let (_, state, line) = caller.published.iter().rev().nth(1).unwrap();
    let caller = Caller::succeed(&world, *state, line).unwrap();
    assert_eq!((world.seen().len(), caller.state.last(), caller.state.bytes()), (1, 1, TINY));
}

/// A segment whose header is whole is finished: its first batch, which tells that the header was written, too.
#[test]
fn a_successor_finishes_a_segment() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 100)).unwrap();
    world.plan(Plan::Die { at: world.operations() + 1, sixteenths: 15 });
    caller.step(Put(1, 600)).unwrap_err();
    world.plan(Plan::Nothing);
    let (_, state, line) = caller.published.iter().rev().nth(1).unwrap();
    let caller = Caller::succeed(&world, *state, line).unwrap();
    assert_eq!((caller.state.segment(), caller.state.last()), (2, 1));
    let content = world.seen()[&caller.state.name().to_string()].concat();
    let first = format::BatchHeader::find(caller.state.name(), &content, HEADER).unwrap();
    assert_eq!((first.count, first.first), (0, 2));
}

/// A caller that lost count is told.
#[test]
fn numbers_follow_one_another() {
    let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
    for lsn in [0, 2] {
        let appended = caller.journal.append(&mut caller.state, &mut Batch::new(lsn));
        assert_eq!(appended.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

/// A state that says more than the disk has is of another directory.
#[test]
fn a_state_ahead_of_the_disk_is_refused() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 10)).unwrap();
    let mut ahead = caller.state;
    ahead.last += 1;
    assert_eq!(caller.journal.verify(&mut ahead).unwrap_err().kind(), ErrorKind::Corrupt);
    let empty = Simulated::new(&Image::new());
    assert_eq!(Journal::resume(empty.disk(), Kept::default()).err().unwrap().kind(), ErrorKind::NotFound);
}

/// A state goes through shared memory, and what cannot be one is refused.
#[test]
fn states_are_checked() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(3, 300)).unwrap();
    let words = caller.state.to_words();
    assert_eq!(State::from_words(words).unwrap(), caller.state);
    for (word, value) in [
        (0, 0),
        (0, u64::MAX),
        (2, 8),
        (2, 177),
        (3, 0),
        (3, 1 << 40),
        (4, 99),
        (5, 1),
        (7, 99),
        (8, 99),
        (11, 4),
    ] {
        let mut forged = words;
        forged[word] = value;
        assert_eq!(State::from_words(forged).unwrap_err().kind(), ErrorKind::Corrupt, "{word}: {value}");
    }
}
