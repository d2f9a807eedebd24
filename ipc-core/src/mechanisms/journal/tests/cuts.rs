//! The power goes, at any time, and again.

use super::super::simulator::{Failure, Plan};
use super::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// As many states of a disk are looked at after one cut.
const MOST: usize = 4096;

/// States that were looked at, and what they were found to keep at least.
#[derive(Default)]
struct Seen(HashMap<u64, u64>);

impl Seen {
    /// Whether it tells nothing new: it was found right when as much was promised and no more might be there.
    fn was(&mut self, image: &Image, durable: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        let kept = self.0.insert(hasher.finish(), durable);
        kept.is_some_and(|kept| kept >= durable)
    }
}

/// Cuts the power after each operation of a caller from `from` on, and calls `then` with each disk and what holds.
fn each_cut(caller: &Caller, most: usize, random: &mut Random, mut then: impl FnMut(&Image, &Promise)) {
    let mut seen = Seen::default();
    for operations in 0..=caller.world.operations() {
        let promise = caller.promised(operations);
        for image in caller.world.after_cut(operations, most, random) {
            if !seen.was(&image, promise.durable) {
                then(&image, promise);
            }
        }
    }
}

/// What a journal says after a power cut it says again after another one during that recovery.
fn recovers_again(world: &Simulated, promise: &Promise, last: u64, random: &mut Random) {
    let again = Promise { durable: last, ..promise.clone() };
    let operations = world.operations();
    // Before the end of the recovery nothing more is promised than before it.
    for cut in 0..=operations {
        for image in world.after_cut(cut, 48, random).into_iter().take(3) {
            let (_, found) = check(&image, &again);
            assert_eq!(found, last);
        }
    }
}

/// It goes on after a power cut: messages are added, others go, and the power goes again.
fn goes_on(image: &Image, random: &mut Random) {
    let mut caller = Caller::begin(&Simulated::new(image)).unwrap();
    for step in [Put(1, 30), Gone, Sync, Put(1, 400), Sync, Compact, Put(1, 5)] {
        caller.step(step).unwrap();
    }
    for cut in 0..=caller.world.operations() {
        let promise = caller.promised(cut);
        for image in caller.world.after_cut(cut, 32, random).into_iter().take(2) {
            check(&image, promise);
        }
    }
}

/// It goes on after a power cut where the disk has no room for a segment: messages are added and go in the last one, as
/// far as that has room, and once there is more, everything is as ever.
fn goes_on_in_the_last_segment(image: &Image, promise: &Promise, random: &mut Random) {
    let world = Simulated::new(image);
    world.plan(Plan::Room(0));
    let mut caller = match Caller::begin(&world) {
        Ok(caller) => caller,
        Err(e) => {
            assert_eq!((e.kind(), promise.durable), (ErrorKind::NoSpace, 0), "there is no segment");
            return;
        }
    };
    assert!(caller.state.last >= promise.durable);
    // On the way a segment that was retired may be read once more: what it holds is told, too.
    let read = caller.line.iter().position(|own| own.1 != 0).map_or(&[][..], |first| &caller.line[first..]);
    let told = caller.line.len();
    let fits = |line: &&Line| line.len() >= told && line[..told].ends_with(read);
    caller.line = promise.lines.iter().find(fits).unwrap()[..told].to_vec();
    caller.promises[0].lines = caller.lines();
    for step in [Put(1, 30), Sync, Gone, Put(1, 60), Note, Put(1, 400), Sync] {
        assert!(caller.step(step).err().is_none_or(|e| e.kind() == ErrorKind::NoSpace));
    }
    world.plan(Plan::Nothing);
    for step in [Put(1, 400), Sync, Compact, Put(1, 5)] {
        caller.step(step).unwrap();
    }
    for cut in 0..=caller.world.operations() {
        let promise = caller.promised(cut);
        for image in caller.world.after_cut(cut, 32, random).into_iter().take(3) {
            check(&image, promise);
        }
    }
}

fn cut_everywhere(steps: &[Step], seed: u64) {
    let mut random = Random(seed);
    let mut further = Random(!seed);
    let mut caller = Caller::begin(&Simulated::new(&Image::new())).unwrap();
    run(&mut caller, steps);
    let mut count = 0_usize;
    each_cut(&caller, MOST, &mut random, |image, promise| {
        let (world, last) = check(image, promise);
        count += 1;
        if count.is_multiple_of(101) {
            recovers_again(&world, promise, last, &mut further);
            goes_on(image, &mut further);
        }
        if count.is_multiple_of(37) {
            goes_on_in_the_last_segment(image, promise, &mut further);
        }
    });
    eprintln!("seed {seed}: {} operations, {count} states", caller.world.operations());
}

#[test]
fn nothing_synced_is_lost_and_nothing_gone_comes_back() {
    for seed in seeds(1..7) {
        let steps = script(seed, 30);
        println!("AXONIC_TEST_SEED={seed}: {steps:?}");
        cut_everywhere(&steps, seed);
    }
}

/// Who tells a storage which delivery is the later one relies on it.
#[test]
fn each_recovery_has_a_higher_number_than_any_before() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    for step in [Put(1, 100), Sync, Put(1, 500), Sync] {
        caller.step(step).unwrap();
    }
    let (mut highest, mut segments) = (caller.state.highest(), 0);
    for room in [0, 0, usize::MAX, 0, usize::MAX] {
        world.plan(Plan::Room(room));
        let caller = Caller::begin(&world).unwrap();
        assert!(caller.state.highest() > highest, "{} after {highest}", caller.state.highest());
        assert!(caller.state.highest() == caller.state.segment || room == 0);
        (highest, segments) = (caller.state.highest(), world.seen().len());
        let state = caller.state;
        // Whoever takes over from a dead one leaves it like that.
        let line = caller.line.clone();
        assert_eq!(Caller::succeed(&world, state, &line).unwrap().state.highest(), highest);
        assert_eq!(world.seen().len(), segments);
    }
    assert_eq!(segments, 4, "nothing is left of the recoveries on a full disk");
}

/// A message may hold what looks like a batch, even one that calls everything durable.
#[test]
fn a_message_that_looks_like_a_log_is_none() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 20)).unwrap();
    caller.step(Sync).unwrap();
    let (name, at) = (caller.state.name(), caller.state.end);
    // The message's own header is in the first sector; in the second are batches of a segment of another salt and of
    // one of another number, at their place, and one of this segment at another place.
    let mut body = vec![0; 512 - 64 - at as usize];
    for (name, at) in
        [(Name { salt: !name.salt, ..name }, 512), (Name { number: 9, ..name }, 560), (name, 512)]
    {
        body.extend_from_slice(Batch::new(3).seal(name, at, 1000, 1));
    }
    caller.append(vec![(Kind::Put, 99, body)]).unwrap();
    assert_eq!((caller.state.name(), caller.state.end), (name, 512 + 3 * 48));
    let mut torn = 0;
    for image in world.after_cut(world.operations(), MOST, &mut Random(1)) {
        let (_, last) = check(&image, caller.promised(world.operations()));
        torn += usize::from(last == 1);
    }
    assert!(torn >= 3, "the message is whole in one of four states, if no sector is torn");
}

/// An old chain is whole, whatever is left of a new one that was to replace it.
#[test]
fn an_unfinished_new_start_is_no_torn_end() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 300)).unwrap();
    caller.step(Sync).unwrap();
    world.plan(Plan::Die { at: world.operations() + 3, sixteenths: 8 });
    caller.step(StartOver).unwrap_err();
    assert_eq!(world.seen().len(), 2);
    let (_, state, recovery, _) = recover(&Simulated::new(&world.seen())).unwrap();
    assert_eq!((state.last(), recovery.torn), (1, None));
}

/// Without a reboot between, what is read may be in the page cache only, and a sync may have failed unseen.
#[test]
fn a_recovery_makes_durable_what_it_read() {
    for failed in [false, true] {
        let world = Simulated::new(&Image::new());
        let mut caller = Caller::begin(&world).unwrap();
        for step in [Put(1, 20), Sync, Put(1, 500), Put(1, 500), Gone] {
            caller.step(step).unwrap();
        }
        if failed {
            world.plan(Plan::Fail { at: world.operations(), how: Failure::Nothing, times: 1 });
            caller.step(Sync).unwrap_err();
            world.plan(Plan::Nothing);
        }
        let caller = Caller::begin(&world).unwrap();
        assert_eq!((caller.state.last(), caller.state.durable()), (4, 4));
        let mut random = Random(1);
        for image in world.after_cut(world.operations(), MOST, &mut random) {
            check(&image, caller.promised(world.operations()));
        }
    }
}

/// What is torn off is told: where, how much, and what the broken batch was to hold.
#[test]
fn a_torn_end_is_told() {
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::begin(&world).unwrap();
    caller.step(Put(1, 20)).unwrap();
    caller.step(Sync).unwrap();
    let (file, offset) = (caller.state.name().to_string(), caller.state.end);
    caller.step(Put(2, 150)).unwrap();
    let end = caller.state.end;
    let mut image = world.seen();
    let sectors = image.get_mut(&file).unwrap();
    sectors[1] = vec![0; sectors[1].len()].into();
    let (_, _, recovery, visited) = recover(&Simulated::new(&image)).unwrap();
    assert!(offset < 512 && end > 512);
    let torn = recovery.torn.unwrap();
    assert_eq!((visited.len(), torn.records, torn.following), (1, Some(2), 0));
    // The last message's bytes end before the sector does, which are lost.
    assert_eq!((torn.file, torn.offset, torn.bytes), (file, offset, 512 - offset));
}
