//! The journal on a disk that loses power. A caller does what the queue will do; what it has been promised is noted
//! beside the operations of the disk, and every state the disk may be in must keep it.

mod cuts;
mod failures;
mod flips;
mod real;
mod successor;

use super::simulator::{Image, Random, Simulated, seeds};
use super::*;
use std::collections::BTreeMap;

/// Segments so small that a few messages fill one, and that begin and end within sectors.
const TINY: u64 = 700;

/// A record as it was appended: kind, id, body.
type Own = (Kind, u64, Vec<u8>);
/// All records that were ever appended, by LSN from 1 on.
type Line = Vec<Own>;
/// What is left of a line: each message that is not gone, with its attempt count before it.
type Fold = BTreeMap<u64, Vec<u8>>;

fn fold<'a>(records: impl IntoIterator<Item = &'a Own>) -> Fold {
    let mut fold = Fold::new();
    for (kind, id, body) in records {
        match kind {
            Kind::Put => drop(fold.insert(*id, body.clone())),
            Kind::Note => {
                if let Some(message) = fold.get_mut(id) {
                    message[0] = body[0];
                }
            }
            Kind::Gone => drop(fold.remove(id)),
        }
    }
    fold
}

/// What holds from an operation of the disk on.
#[derive(Clone, Debug)]
struct Promise {
    operations: usize,
    /// Records up to this LSN were called durable.
    durable: u64,
    /// What may have been appended; the log must be a beginning of one of them.
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many new messages of so many bytes, in one batch.
    Put(usize, usize),
    Note,
    Gone,
    Sync,
    /// Copies what lives in the oldest segment and retires it.
    Compact,
    /// As after a failed sync.
    StartOver,
}

use Step::*;

/// Uses a journal as the queue does.
struct Caller {
    journal: Journal,
    state: State,
    world: Simulated,
    line: Line,
    /// Lines that were given up but may still be found.
    other: Vec<Line>,
    promises: Vec<Promise>,
    /// What others may have found in shared memory, and what was in the journal then.
    published: Vec<(usize, State, Line)>,
    /// The segment of the Put of each live message.
    places: BTreeMap<u64, u64>,
    next_id: u64,
}

/// What was read: LSN, segment, record.
type Visited = Vec<(u64, u64, Own)>;

/// Recovers a journal with tiny segments.
fn recover(world: &Simulated) -> Result<(Journal, State, Recovery, Visited)> {
    let mut visited = Vec::new();
    let journal = Journal { segment: TINY, spare: 0, ..Journal::new(world.disk(), Kept::default()) };
    let recovered = journal.recovered(&mut |record| {
        visited.push((record.lsn, record.segment, (record.kind, record.id, record.body.to_vec())));
        Ok(())
    })?;
    let (journal, state, recovery) = recovered.begin()?;
    Ok((journal, state, recovery, visited))
}

impl Caller {
    /// Takes over what is on a disk.
    fn begin(world: &Simulated) -> Result<Caller> {
        let before = world.operations();
        let (journal, state, recovery, visited) = recover(world)?;
        let mut line: Line =
            vec![(Kind::Gone, 0, Vec::new()); (recovery.last - visited.len() as u64) as usize];
        line.extend(visited.iter().map(|(_, _, own)| own.clone()));
        let next_id = visited.iter().map(|(_, _, own)| own.1).max().unwrap_or(0) + 1;
        let world = world.clone();
        let (other, promises, published, places) = Default::default();
        let mut caller = Caller { journal, state, world, line, other, promises, published, places, next_id };
        visited.iter().for_each(|(_, segment, own)| caller.settle(std::slice::from_ref(own), *segment));
        caller.promise();
        // What was read had been there.
        caller.promises[0].operations = before;
        Ok(caller)
    }

    /// Goes on where a dead caller stopped, with the state it left and what it had in mind.
    fn succeed(world: &Simulated, mut state: State, line: &Line) -> Result<Caller> {
        let mut journal = Journal::resume(world.disk(), Kept::default())?;
        journal.segment = TINY;
        let last = journal.verify(&mut state)?;
        let mut line = line.clone();
        line.truncate(last as usize);
        let (_, _, _, visited) = recover(&Simulated::new(&world.seen()))?;
        let (other, promises, published, places) = Default::default();
        let world = world.clone();
        let mut caller =
            Caller { journal, state, world, line, other, promises, published, places, next_id: 1000 };
        visited.iter().for_each(|(_, segment, own)| caller.settle(std::slice::from_ref(own), *segment));
        caller.promise();
        Ok(caller)
    }

    fn lines(&self) -> Vec<Line> {
        self.other.iter().cloned().chain([self.line.clone()]).collect()
    }

    fn promise(&mut self) {
        let operations = self.world.operations();
        self.promises.push(Promise { operations, durable: self.state.durable, lines: self.lines() });
        self.published.push((operations, self.state, self.line.clone()));
    }

    /// What holds if the power goes after so many operations.
    fn promised(&self, operations: usize) -> &Promise {
        self.promises.iter().rev().find(|promise| promise.operations <= operations).unwrap()
    }

    /// Something will be appended: until it has been, it may be found.
    fn intend(&mut self, line: &Line) {
        let promise = self.promises.last().unwrap();
        let lines = promise.lines.iter().cloned().chain([line.clone()]).collect();
        let operations = self.world.operations();
        self.promises.push(Promise { operations, durable: promise.durable, lines });
    }

    fn append(&mut self, records: Vec<Own>) -> Result<()> {
        let mut batch = Batch::new(self.state.last + 1);
        fill(&mut batch, &records);
        let longer: Line = self.line.iter().chain(&records).cloned().collect();
        self.intend(&longer);
        let appended = self.journal.append(&mut self.state, &mut batch);
        if let Ok(segment) = &appended {
            self.line = longer;
            self.settle(&records, *segment);
        } else if self.state.is_poisoned() {
            self.other.push(longer);
        }
        self.promise();
        appended.map(drop)
    }

    fn settle(&mut self, records: &[Own], segment: u64) {
        for (kind, id, _) in records {
            match kind {
                Kind::Put => drop(self.places.insert(*id, segment)),
                Kind::Gone => drop(self.places.remove(id)),
                Kind::Note => {}
            }
        }
    }

    fn live(&self, segment: Option<u64>) -> Vec<Own> {
        let fold = fold(&self.line);
        let in_it = |id: &u64| segment.is_none_or(|segment| self.places[id] == segment);
        fold.into_iter().filter(|(id, _)| in_it(id)).map(|(id, body)| (Kind::Put, id, body)).collect()
    }

    fn step(&mut self, step: Step) -> Result<()> {
        let oldest_id = self.places.keys().next().copied();
        match (step, oldest_id) {
            (Put(count, length), _) => {
                let first = self.next_id;
                self.next_id += count as u64;
                let body = |id: u64| [vec![0], vec![id as u8; length]].concat();
                self.append((first..self.next_id).map(|id| (Kind::Put, id, body(id))).collect())
            }
            (Note, Some(id)) => {
                let attempts = fold(&self.line)[&id][0] + 1;
                self.append(vec![(Kind::Note, id, vec![attempts])])
            }
            (Gone, Some(id)) => self.append(vec![(Kind::Gone, id, Vec::new())]),
            (Note | Gone, None) => Ok(()),
            (Sync, _) => {
                let synced = self.journal.sync(&mut self.state);
                self.promise();
                synced
            }
            (Compact, _) => self.compact(),
            (StartOver, _) => self.start_over(),
        }
    }

    fn compact(&mut self) -> Result<()> {
        if self.state.oldest == self.state.segment {
            return Ok(());
        }
        for copy in self.live(Some(self.state.oldest)) {
            self.append(vec![copy])?;
        }
        let retired = self.journal.retire(&mut self.state);
        self.promise();
        retired
    }

    fn start_over(&mut self) -> Result<()> {
        self.state.poisoned = true;
        self.promise();
        let live = self.live(None);
        let longer: Line = self.line.iter().chain(&live).cloned().collect();
        self.intend(&longer);
        let mut places = BTreeMap::new();
        let begun = write_anew(&mut self.journal, &mut self.state, &live, &mut places);
        if begun.is_ok() {
            self.line = longer;
            self.places = places;
        } else {
            self.other.push(longer);
        }
        self.promise();
        begun
    }
}

fn fill(batch: &mut Batch, records: &[Own]) {
    for (kind, id, body) in records {
        batch.push(*kind, *id, body.len()).unwrap().copy_from_slice(body);
    }
}

fn write_anew(
    journal: &mut Journal,
    state: &mut State,
    live: &[Own],
    places: &mut BTreeMap<u64, u64>,
) -> Result<()> {
    let mut fresh = journal.start_over(state)?;
    for own in live {
        let mut batch = Batch::new(fresh.state().last() + 1);
        fill(&mut batch, std::slice::from_ref(own));
        places.insert(own.1, fresh.append(&mut batch)?);
    }
    fresh.finish()
}

/// Reads a disk after a power cut and compares it with what was promised.
fn check(image: &Image, promise: &Promise) -> (Simulated, u64) {
    let world = Simulated::new(image);
    let (_, state, recovery, visited) =
        recover(&world).unwrap_or_else(|e| panic!("{e:?}, promised: {promise:?}"));
    let last = recovery.last;
    assert!(last >= promise.durable, "{last} of {}: {recovery:?}", promise.durable);
    assert_eq!(recovery.records, visited.len() as u64);
    assert_eq!((state.last(), state.durable()), (last, last));
    let all: usize = world.seen().values().flatten().map(|bytes| bytes.len()).sum();
    assert_eq!(state.bytes(), all as u64, "nothing else is left");
    let first = last + 1 - visited.len() as u64;
    assert!(visited.iter().map(|(lsn, _, _)| *lsn).eq(first..=last), "{visited:?}");
    let found = fold(visited.iter().map(|(_, _, own)| own));
    let fits = |line: &&Line| {
        last <= line.len() as u64
            && visited.iter().map(|(_, _, own)| own).eq(&line[first as usize - 1..last as usize])
            && found == fold(&line[..last as usize])
    };
    assert!(promise.lines.iter().any(|line| fits(&line)), "{visited:?}, promised: {promise:?}");
    (world, last)
}

/// Steps of every kind.
fn script(seed: u64, length: usize) -> Vec<Step> {
    let mut random = Random(seed);
    let step = |_| match random.below(16) {
        0..=2 => Put(1, random.below(80)),
        3 => Put(1 + random.below(3), 20),
        4 => Put(1, 300 + random.below(900)),
        5..=6 => Note,
        7..=9 => Gone,
        10..=12 => Sync,
        13..=14 => Compact,
        _ => StartOver,
    };
    (0..length).map(step).collect()
}

/// Does all steps. What fails is not done; a poisoned journal is written anew.
fn run(caller: &mut Caller, steps: &[Step]) {
    for step in steps {
        if caller.state.is_poisoned() {
            let _ = caller.step(StartOver);
        }
        let _ = caller.step(*step);
    }
}
