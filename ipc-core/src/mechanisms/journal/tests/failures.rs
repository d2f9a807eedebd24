//! The disk is full, or it fails.

use super::super::simulator::{Failure, Plan};
use super::*;

/// Looks at some of the states after some of the cuts from the failure on.
fn check_cuts(caller: &Caller, from: usize, random: &mut Random) {
    let end = caller.world.operations();
    let anywhere = from + random.below(end - from + 1);
    for cut in [from + 1, from + 2, from + 3, anywhere, end] {
        let cut = cut.min(end);
        for image in caller.world.after_cut(cut, 64, random).iter().take(4) {
            check(image, caller.promised(cut));
        }
    }
}

/// Once the disk works again, so does the journal: at once, or, if it is poisoned, written anew.
fn works_again(caller: &mut Caller) {
    caller.world.plan(Plan::Nothing);
    if caller.state.is_poisoned() {
        for step in [Put(1, 1), Sync] {
            let error = caller.step(step).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.message().contains("AXONIC_DATA_DIR"), "{error}");
        }
        caller.step(StartOver).unwrap();
    }
    for step in [Put(1, 10), Sync, Gone, Put(1, 500), Compact, Sync] {
        caller.step(step).unwrap();
    }
    assert_eq!(caller.state.durable(), caller.line.len() as u64);
}

fn fail_everywhere(seed: u64) {
    let steps = script(seed, 24);
    println!("AXONIC_TEST_SEED={seed}: {steps:?}");
    let mut random = Random(seed);
    let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
    run(&mut caller, &steps);
    for at in 0..caller.world.operations() {
        for (how, times) in [
            (Failure::NoSpace, 1),
            (Failure::NoSpace, usize::MAX),
            (Failure::Nothing, 1),
            (Failure::Nothing, 2),
            (Failure::Half, 1),
            (Failure::Everything, 1),
            (Failure::Everything, 2),
            (Failure::Everything, usize::MAX),
        ] {
            let plan = Plan::Fail { at, how, times };
            println!("{plan:?}");
            let world = Simulated::new(&Image::new());
            world.plan(plan);
            let Ok(mut caller) = Caller::begin(&world) else {
                world.plan(Plan::Nothing);
                works_again(&mut Caller::begin(&world).unwrap());
                continue;
            };
            run(&mut caller, &steps);
            works_again(&mut caller);
            check_cuts(&caller, at, &mut random);
        }
    }
}

#[test]
fn a_failing_disk_is_never_believed() {
    for seed in seeds(11..15) {
        fail_everywhere(seed);
    }
}

/// A full disk refuses what does not fit, and nothing else.
#[test]
fn a_full_disk_poisons_nothing() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 100)).unwrap();
    world.plan(Plan::Fail { at: world.operations(), how: Failure::NoSpace, times: 1 });
    assert_eq!(caller.step(Put(1, 1000)).unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(!caller.state.is_poisoned());
    caller.step(Put(1, 100)).unwrap();
    caller.step(Sync).unwrap();
    let promise = caller.promised(world.operations());
    assert_eq!((promise.durable, promise.lines.len()), (2, 1));
    check(&world.after_cut(world.operations(), 1, &mut Random(1))[0], promise);
}

/// What cannot be finished takes no room.
#[test]
fn a_new_start_that_fails_leaves_nothing() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    for step in [Put(1, 400), Put(1, 400), Put(1, 400)] {
        caller.step(step).unwrap();
    }
    let before = world.seen();
    // It makes a segment and fills it, makes and fills another, and has no room for a third.
    world.plan(Plan::Fail { at: world.operations() + 6, how: Failure::NoSpace, times: 1 });
    assert_eq!(caller.step(StartOver).unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(world.seen() == before);
    caller.step(StartOver).unwrap();
    assert_eq!((caller.state.durable(), world.seen().len()), (6, 4), "the old segments are gone");
    let sound = caller.journal.start_over(&mut caller.state).err().unwrap();
    assert_eq!(sound.kind(), ErrorKind::InvalidArgument);
}

/// What was written before a failed sync may look well, but is on no disk: no later sync makes it durable.
#[test]
fn a_failed_sync_poisons_for_all_processes() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 600)).unwrap();
    world.plan(Plan::Fail { at: world.operations(), how: Failure::Nothing, times: 1 });
    assert_eq!(caller.step(Sync).unwrap_err().kind(), ErrorKind::Io);
    let state = State::from_words(caller.state.to_words()).unwrap();
    let mut other = Caller::succeed(&world, state, &caller.line).unwrap();
    assert!(other.step(Sync).is_err() && other.step(Put(1, 1)).is_err() && other.step(Compact).is_err());
    assert_eq!((other.state.last(), other.state.durable()), (1, 0));
    other.step(StartOver).unwrap();
    assert_eq!(other.state.durable(), 2);
    let mut random = Random(1);
    for image in world.after_cut(world.operations(), 4096, &mut random) {
        check(&image, other.promised(world.operations()));
    }
}
