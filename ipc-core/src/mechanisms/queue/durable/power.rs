//! The power goes while a queue writes to a disk that loses power, fails and fills up (see the journal's simulator).

mod times;

use crate::domain::{Domain, DomainOptions, Noun};
use crate::mechanisms::journal::simulator::{Failure, Image, Plan, Random, Simulated, seeds};
use crate::mechanisms::queue::dead::Reason;
use crate::mechanisms::queue::{Fsync, Get, Put, QueueConsumer, QueueOptions, QueueProducer, Ticket};
use crate::sys::disk::Disk;
use crate::value::Payload;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;
use times::{Found, History, Times};

thread_local! {
    /// The disk of the durable queues that this thread uses.
    static DISK: RefCell<Option<Simulated>> = const { RefCell::new(None) };
}

/// The disk that this thread has instead of a real one.
pub fn disk() -> Option<Box<dyn Disk>> {
    DISK.with_borrow(|simulated| simulated.as_ref().map(Simulated::disk))
}

/// From now on this thread has this disk.
pub fn use_disk(world: &Simulated) {
    DISK.set(Some(world.clone()));
}

/// A domain, and where it is as long as that lives.
pub fn domain() -> (tempfile::TempDir, Domain) {
    let place = tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap();
    let options = DomainOptions {
        name: Some("test".into()),
        runtime_dir: Some(place.path().into()),
        data_dir: Some(place.path().join("data")),
        ..Default::default()
    };
    let domain = Domain::open_with(options).unwrap();
    (place, domain)
}

/// So many states of a disk are looked at after one cut at most.
const MOST: usize = 64;
/// So often a message is delivered at most.
const ATTEMPTS: u16 = 3;
/// Why a message is rejected.
const BAD: &str = "it is said to be bad";
const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// What was done with a message, each with how many operations the disk had done: before, for what may be on it since
/// then, and afterwards, for what was promised.
#[derive(Clone, Debug, Default)]
struct Job {
    priority: u8,
    length: usize,
    begun: usize,
    durable: Option<usize>,
    may_be_gone: Option<usize>,
    gone: Option<usize>,
    may_be_dead: Option<usize>,
    dead: Option<usize>,
    /// When it is due and when it is too late, which changes.
    times: History,
}

impl Job {
    fn payload(&self, number: u32) -> Vec<u8> {
        let mut bytes = vec![number as u8; self.length];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        bytes
    }
}

/// One who puts and settles, and remembers.
struct Caller {
    world: Simulated,
    producer: QueueProducer,
    consumer: QueueConsumer,
    jobs: BTreeMap<u32, Job>,
    next: u32,
    /// Settled and not known to be on the disk.
    accepted: Vec<u32>,
    /// Puts may be for later, for a time, once or for a result.
    timed: bool,
    /// Which message was put with which id, as long as the queue remembers.
    ids: BTreeMap<usize, u32>,
    tickets: Vec<Ticket>,
}

fn options(fsync: Fsync) -> QueueOptions {
    QueueOptions {
        capacity: 256,
        max_attempts: u32::from(ATTEMPTS),
        durable: Some(fsync),
        ..Default::default()
    }
}

fn number_of(payload: &[u8]) -> u32 {
    u32::from_le_bytes(payload[..4].try_into().expect("every payload has four bytes"))
}

impl Caller {
    /// Opens the queue `name` over a disk.
    fn open(domain: &Domain, name: &str, world: &Simulated, fsync: Fsync, timed: bool) -> Caller {
        use_disk(world);
        let producer = domain.queue_producer(name, &options(fsync)).unwrap();
        let consumer = domain.queue_consumer(name, &options(fsync)).unwrap();
        let (jobs, next, accepted, ids, tickets) = Default::default();
        Caller { world: world.clone(), producer, consumer, jobs, next, accepted, timed, ids, tickets }
    }

    fn now(&self) -> usize {
        self.world.operations()
    }

    fn put(&mut self, random: &mut Random) {
        let length = [4, 30, 150, 700, 5000][random.below(5)];
        let mut job = Job { priority: random.below(3) as u8, length, begun: self.now(), ..Job::default() };
        let (number, durable) = (self.next, random.below(2) == 0);
        let mut put = Put { priority: job.priority, durable: Some(durable), ..Put::default() };
        let id = if self.timed { times::choose(&mut put, number, random) } else { None };
        let payload = job.payload(number);
        let done = self.producer.put_with(&Payload::raw(&payload), &put, SECOND);
        let durable = (durable && done.is_ok()).then(|| self.now());
        let first = id.and_then(|id| self.ids.get(&id).copied());
        let told = done.as_ref().is_ok_and(|receipt| receipt.is_duplicate() != first.is_some());
        assert!(!told, "{number} is the first with its id since the queue was read, or is after {first:?}");
        if let Some(first) = first {
            self.known(first, durable);
            return;
        }
        self.ids.extend(id.map(|id| (id, number)));
        self.tickets.extend(done.ok().and_then(|receipt| receipt.ticket()));
        self.next += 1;
        job.times.change(Times::of(&put), job.begun);
        job.may_be_dead = put.ttl.filter(|ttl| ttl.is_zero()).map(|_| job.begun);
        self.jobs.insert(number, job);
        self.known(number, durable);
    }

    /// Puts the last message with an id once more, to know that it is on the disk.
    fn put_again(&mut self) {
        let Some((id, first)) = self.ids.iter().max_by_key(|(_, number)| **number) else { return };
        let put = Put { dedup_id: Some(id.to_string()), durable: Some(true), ..Put::default() };
        let (first, done) = (*first, self.producer.put_with(&Payload::raw(b"again"), &put, SECOND));
        let is_duplicate = done.as_ref().ok().is_none_or(|receipt| receipt.is_duplicate());
        assert!(is_duplicate, "{first} is put already");
        let durable = done.is_ok().then(|| self.now());
        self.known(first, durable);
    }

    /// A message is known to be on the disk, if it is that long.
    fn known(&mut self, number: u32, durable: Option<usize>) {
        let Some((job, now)) = self.jobs.get_mut(&number).zip(durable) else { return };
        if job.may_be_gone.is_none() {
            job.durable.get_or_insert(now);
            job.times.known(now);
        }
    }

    /// Takes a message and gives it back, rejects it, or is done with it.
    fn settle(&mut self, random: &mut Random) {
        let durable = random.below(2) == 0;
        let get = Get { durable: Some(durable), ..Get::default() };
        let Ok(Some(delivery)) = self.consumer.try_get_with(&get) else { return };
        let (number, now) = (number_of(delivery.data()), self.now());
        let job = self.jobs.get_mut(&number).expect("what comes out was put in");
        assert_eq!(delivery.data(), job.payload(number));
        let way = random.below(if self.timed { 4 } else { 8 });
        let done = match way {
            0 => {
                job.may_be_dead.get_or_insert(now);
                let delay = if self.timed { times::delay(number, random) } else { Duration::ZERO };
                if delivery.attempt() < ATTEMPTS {
                    job.times.change(job.times.last().returned(delay), now);
                }
                delivery.nack(delay)
            }
            1 => {
                job.may_be_dead.get_or_insert(now);
                delivery.reject(BAD)
            }
            _ => {
                job.may_be_gone = Some(now);
                if self.timed { delivery.ack_with(&Payload::raw(&[1; 300])) } else { delivery.ack() }
            }
        };
        let after = (durable && done.is_ok()).then(|| self.world.operations());
        // Only acknowledging waits for the disk.
        if way > 1 {
            job.gone = after;
        }
        self.accepted.extend((way == 1 || way > 1 && !durable).then_some(number).filter(|_| done.is_ok()));
    }

    fn sync(&mut self) {
        if self.consumer.sync(SECOND).is_err() {
            return;
        }
        let now = self.now();
        let there = |job: &&mut Job| job.durable.is_none() && job.may_be_gone.is_none();
        self.jobs.values_mut().filter(there).for_each(|job| job.durable = Some(now));
        self.jobs.values_mut().for_each(|job| job.times.known(now));
        for number in self.accepted.drain(..) {
            let job = self.jobs.get_mut(&number).expect("what was settled was put in");
            if job.may_be_gone.is_some() {
                job.gone = Some(now);
            } else {
                job.dead = Some(now);
            }
        }
    }

    /// Somebody looks what became of a message, or does not want to know any more.
    fn fetch(&mut self, random: &mut Random) {
        if self.tickets.is_empty() {
            return;
        }
        let mut ticket = self.tickets.swap_remove(random.below(self.tickets.len()));
        if random.below(2) == 0 {
            let _ = ticket.try_result();
        }
    }

    fn redrive(&mut self) {
        let now = self.now();
        for letter in self.consumer.dead_letters(1000).unwrap() {
            let job = self.jobs.get_mut(&number_of(letter.data())).expect("what died was put in");
            job.times.change(Times::default(), now);
        }
        let _ = self.consumer.redrive(1000);
        self.jobs.values_mut().for_each(|job| job.dead = None);
        self.accepted.retain(|number| self.jobs[number].may_be_gone.is_some());
    }

    fn purge_dead_letters(&mut self) {
        let now = self.now();
        for peeked in self.consumer.dead_letters(1000).unwrap() {
            let number = number_of(peeked.data());
            let job = self.jobs.get_mut(&number).expect("what died was put in");
            job.may_be_gone.get_or_insert(now);
            self.accepted.push(number);
        }
        let _ = self.consumer.purge_dead_letters();
    }

    fn run(&mut self, random: &mut Random, steps: usize) {
        for _ in 0..steps {
            match random.below(40) {
                0..=14 => self.put(random),
                15..=35 => self.settle(random),
                36 => self.redrive(),
                37 => self.purge_dead_letters(),
                _ => self.sync(),
            }
            match if self.timed { random.below(8) } else { 7 } {
                0 | 1 => self.fetch(random),
                2 => self.redrive(),
                3 => self.put_again(),
                _ => {}
            }
        }
        self.tickets.clear();
        assert_eq!(self.consumer.stats().done, 0, "nobody waits for a result");
    }
}

impl Job {
    /// It is as it may be after so many operations.
    fn check(&self, number: u32, found: &Found, operations: usize) {
        let context = || format!("{number} after {operations}: {self:?}");
        assert_eq!(found.payload, self.payload(number), "{}", context());
        assert_eq!(found.priority, self.priority, "{}", context());
        assert!(self.begun < operations || self.durable == Some(0), "put later: {}", context());
        assert!(self.gone.is_none_or(|gone| gone > operations), "gone for good: {}", context());
        if found.is_dead {
            assert!(self.may_be_dead.is_some_and(|dead| dead <= operations), "died later: {}", context());
        } else {
            assert!(self.dead.is_none_or(|dead| dead > operations), "dead for good: {}", context());
        }
        assert!(self.times.allows(found, operations), "{:?} instead of {}", found.times, context());
        assert!(!found.has_ticket, "whoever waited for it is gone: {}", context());
    }

    /// The same as if it had always been there.
    fn always(&self, found: &Found) -> Job {
        let may_be_dead = (found.is_dead || found.times.is_too_late()).then_some(0);
        let (durable, times) = (Some(0), History::of(found.times));
        Job { priority: self.priority, length: self.length, durable, may_be_dead, times, ..Job::default() }
    }
}

/// What a queue holds is what was promised after so many operations; `jobs` then, as if all of it had always been there.
fn check(caller: &mut Caller, jobs: &BTreeMap<u32, Job>, operations: usize) {
    let line: Vec<u32> =
        caller.consumer.peek(1000).unwrap().iter().map(|job| number_of(job.data())).collect();
    let letters = caller.consumer.dead_letters(1000).unwrap();
    let all = Found::all(caller.consumer.handle());
    let mut waits = Vec::new();
    for found in &all {
        let number = number_of(&found.payload);
        let job = jobs.get(&number).unwrap_or_else(|| panic!("{number} was never put"));
        job.check(number, found, operations);
        if !found.is_dead && !found.times.is_for_later() {
            waits.push((u8::MAX - job.priority, number));
        }
        let again = caller.jobs.insert(number, job.always(found));
        assert!(again.is_none(), "{number} is there twice after {operations}: {job:?}");
    }
    waits.sort_unstable();
    assert_eq!(line, waits.iter().map(|(_, number)| *number).collect::<Vec<_>>(), "after {operations}");
    for letter in letters {
        let (reason, is_bad) = (letter.reason().expect("a reason"), letter.reason_text() == BAD);
        let is_too_late = caller.jobs[&number_of(letter.data())].times.last().is_too_late();
        let told = (reason == Reason::Rejected, reason == Reason::Expired);
        assert_eq!(told, (is_bad, is_too_late), "{letter:?} after {operations}");
    }
    for (number, job) in jobs {
        let kept = job.durable.is_some_and(|durable| durable <= operations)
            && job.may_be_gone.is_none_or(|gone| gone >= operations);
        assert!(!kept || caller.jobs.contains_key(number), "{number} is lost after {operations}: {job:?}");
    }
    let stats = caller.consumer.stats();
    assert_eq!((stats.leased, stats.done), (0, 0), "leases and results end after {operations}");
    caller.next = jobs.keys().last().map_or(0, |last| last + 1);
}

/// Opens a queue over what a disk holds, compares it with what was promised, and goes on for some `steps`.
fn check_disk(
    domain: &Domain,
    image: &Image,
    before: (&BTreeMap<u32, Job>, usize),
    random: &mut Random,
    (steps, timed): (usize, bool),
) {
    let mut caller = Caller::open(domain, "after", &Simulated::new(image), Fsync::Always, timed);
    check(&mut caller, before.0, before.1);
    if steps > 0 {
        caller.run(random, steps);
        caller.sync();
        cut_everywhere(domain, caller, random, 0);
    } else {
        drop(caller);
        domain.unlink(Noun::Queue, "after").unwrap();
    }
}

/// The power goes after each operation of the disk; how many states were looked at.
fn cut_everywhere(domain: &Domain, caller: Caller, random: &mut Random, further: usize) -> usize {
    let (world, jobs, timed) = (caller.world.clone(), caller.jobs.clone(), caller.timed);
    let operations = world.operations();
    // What it does at its end is not looked at: the power is gone.
    world.plan(Plan::Die { at: operations, sixteenths: 0 });
    let name = caller.producer.name().to_owned();
    drop(caller);
    // Nothing is in memory any more, either.
    domain.unlink(Noun::Queue, &name).unwrap();
    let mut count = 0_usize;
    for cut in 0..=operations {
        for image in world.after_cut(cut, MOST, random) {
            count += 1;
            let steps = if count.is_multiple_of(50) { further } else { 0 };
            check_disk(domain, &image, (&jobs, cut), random, (steps, timed));
        }
    }
    count
}

fn play(seed: u64, steps: usize, fail: bool, timed: bool) {
    let mut random = Random(seed);
    let (_place, domain) = domain();
    let fsync = [Fsync::Always, Fsync::Never, Fsync::Interval(Duration::from_millis(1))][random.below(3)];
    let world = Simulated::new(&Image::new());
    let mut caller = Caller::open(&domain, "before", &world, fsync, timed);
    if fail {
        let how = [Failure::NoSpace, Failure::Nothing, Failure::Half, Failure::Everything][random.below(4)];
        let plan = Plan::Fail { at: random.below(2 * steps), how, times: 1 + random.below(6) };
        println!("{plan:?}");
        world.plan(plan);
    }
    caller.run(&mut random, steps);
    let operations = world.operations();
    let count = cut_everywhere(&domain, caller, &mut random, 12);
    println!("seed {seed}, {fsync:?}: {operations} operations, {count} states");
}

#[test]
fn what_was_durable_is_there_and_what_was_acknowledged_is_not() {
    for seed in seeds(1..3) {
        println!("AXONIC_TEST_SEED={seed}");
        play(seed, 40, false, false);
    }
}

#[test]
fn times_are_kept_and_ids_and_tickets_are_forgotten() {
    for seed in seeds(204..206) {
        println!("AXONIC_TEST_SEED={seed}");
        play(seed, 24, seed.is_multiple_of(2), true);
    }
}

#[test]
fn a_disk_that_fails_loses_nothing_it_had_promised() {
    for seed in seeds(101..104) {
        println!("AXONIC_TEST_SEED={seed}");
        play(seed, 40, true, false);
    }
}

/// The long form, for `make chaos`: scripts that no run had before.
#[test]
#[ignore = "takes minutes"]
fn any_script_keeps_its_promises() {
    let mut random = Random(crate::sys::process::random());
    for seed in seeds((0..60).map(|_| random.next())) {
        println!("AXONIC_TEST_SEED={seed}");
        play(seed, 40, seed.is_multiple_of(2), seed & 2 == 0);
    }
}
