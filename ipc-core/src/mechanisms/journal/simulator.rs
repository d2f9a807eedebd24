//! A disk that loses power, fails and fills up.
//!
//! It knows of each sector which contents it may have after a power cut: the one that was synced last and each that
//! was written since, or the beginning of a later one and the end of an earlier one. A file may be missing until its directory was synced, and empty until it was synced itself; one
//! that was removed may be back until then. What a failed sync was to make durable is read as before, but no later
//! sync makes it durable unless it is written again. What a process wrote outlives it: several use one disk.

use super::format::SECTOR;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::disk::Disk;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// What is on a disk when the power is back: files, in sectors.
pub type Image = BTreeMap<String, Vec<Arc<[u8]>>>;

/// A file's bytes as sectors.
pub fn sectors(content: &[u8]) -> Vec<Arc<[u8]>> {
    content.chunks(SECTOR).map(Arc::from).collect()
}

#[derive(Clone)]
struct Sector {
    /// What it may hold after a power cut; reading gives the last.
    versions: Vec<Arc<[u8]>>,
    /// Written since the last sync, failed or not.
    dirty: bool,
}

impl Sector {
    /// What it holds if the power goes while it is written: the beginning of a newer content, then an older one. Whole, as
    /// often as not.
    fn torn(&self, whole: usize, random: &mut Random) -> Arc<[u8]> {
        let whole = self.versions[whole].clone();
        if self.versions.len() == 1 || random.below(2) == 0 {
            return whole;
        }
        let newer = 1 + random.below(self.versions.len() - 1);
        let (new, old) = (&self.versions[newer], &self.versions[random.below(newer)]);
        let differs = |at: &usize| new[*at] != old[*at];
        let (Some(first), Some(last)) = ((0..new.len()).find(differs), (0..new.len()).rfind(differs)) else {
            return whole;
        };
        let end = first + 1 + random.below((last - first).max(1));
        [&new[..end], &old[end..]].concat().into()
    }
}

#[derive(Clone)]
struct File {
    size: usize,
    sectors: Vec<Sector>,
    /// It was synced once, so it is not empty after a power cut.
    sized: bool,
}

impl File {
    fn of(sectors: &[Arc<[u8]>]) -> File {
        let size = sectors.iter().map(|bytes| bytes.len()).sum();
        let sector = |bytes: &Arc<[u8]>| Sector { versions: vec![bytes.clone()], dirty: false };
        File { size, sectors: sectors.iter().map(sector).collect(), sized: true }
    }

    fn content(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.size);
        self.sectors.iter().for_each(|sector| content.extend_from_slice(sector.versions.last().unwrap()));
        content
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.size, "written past what was allocated");
        let touched = self.sectors.iter_mut().enumerate().take((at + bytes.len()).div_ceil(SECTOR));
        for (i, sector) in touched.skip(at / SECTOR) {
            let begin = i * SECTOR;
            let mut content = sector.versions.last().unwrap().to_vec();
            let (from, to) = (at.max(begin), (at + bytes.len()).min(begin + content.len()));
            if from < to {
                content[from - begin..to - begin].copy_from_slice(&bytes[from - at..to - at]);
                sector.versions.push(content.into());
                sector.dirty = true;
            }
        }
    }

    fn sync(&mut self, done: bool) {
        self.sized |= done;
        for sector in self.sectors.iter_mut().filter(|sector| sector.dirty) {
            sector.dirty = false;
            if done {
                sector.versions.drain(..sector.versions.len() - 1);
            }
        }
    }
}

/// A name in the directory, and its file.
#[derive(Clone)]
struct Entry {
    file: Arc<File>,
    present: bool,
    /// Whether it may be there, and may be missing, after a power cut.
    may_be: bool,
    may_lack: bool,
    dirty: bool,
}

type Files = BTreeMap<String, Entry>;

/// What goes wrong with an operation of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No room; nothing is done.
    NoSpace,
    /// Nothing, half or all of it is done, and an error is told.
    Nothing,
    Half,
    Everything,
}

/// What happens at an operation that changes the disk, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Nothing,
    Fail {
        at: usize,
        how: Failure,
        times: usize,
    },
    /// The process ends before this operation is complete: of a write so many sixteenths are done; a sync fails if it
    /// is any, which nobody hears of; anything else is not done.
    Die {
        at: usize,
        sixteenths: usize,
    },
    /// No file that has any bytes is made beyond so many of all of them.
    Room(usize),
}

struct Inner {
    files: Files,
    /// What it was after each operation, beginning with none.
    history: Vec<Files>,
    plan: Plan,
    /// How many files there was no room for.
    refused: usize,
}

/// A disk, shared by all who have a clone.
#[derive(Clone)]
pub struct Simulated(Arc<Mutex<Inner>>);

/// How an operation goes.
#[derive(Clone, Copy)]
struct Course {
    /// How much of a write is done.
    sixteenths: usize,
    error: Option<ErrorKind>,
    /// Nobody is left who would hear of the error.
    dead: bool,
}

impl Course {
    fn is_done(self) -> bool {
        self.error.is_none()
    }
}

impl Plan {
    fn course(self, operation: usize) -> Course {
        let course = |sixteenths, error, dead| Course { sixteenths, error, dead };
        match self {
            Plan::Fail { at, how, times } if operation >= at && operation - at < times => match how {
                Failure::NoSpace => course(0, Some(ErrorKind::NoSpace), false),
                Failure::Nothing => course(0, Some(ErrorKind::Io), false),
                Failure::Half => course(8, Some(ErrorKind::Io), false),
                Failure::Everything => course(16, Some(ErrorKind::Io), false),
            },
            Plan::Die { at, sixteenths } if at == operation => course(sixteenths, Some(ErrorKind::Io), true),
            Plan::Die { at, .. } if at < operation => course(0, Some(ErrorKind::Io), true),
            _ => course(16, None, false),
        }
    }
}

impl Simulated {
    /// A disk with these files, all of them durable.
    pub fn new(image: &Image) -> Simulated {
        let entry = |sectors: &Vec<Arc<[u8]>>| {
            let file = Arc::new(File::of(sectors));
            Entry { file, present: true, may_be: true, may_lack: false, dirty: false }
        };
        let files: Files = image.iter().map(|(name, sectors)| (name.clone(), entry(sectors))).collect();
        let inner = Inner { history: vec![files.clone()], files, plan: Plan::Nothing, refused: 0 };
        Simulated(Arc::new(Mutex::new(inner)))
    }

    pub fn plan(&self, plan: Plan) {
        self.0.lock().unwrap().plan = plan;
    }

    pub fn disk(&self) -> Box<dyn Disk> {
        Box::new(self.clone())
    }

    /// How many operations there were.
    pub fn operations(&self) -> usize {
        self.0.lock().unwrap().history.len() - 1
    }

    /// The files as the processes see them.
    pub fn seen(&self) -> Image {
        let inner = self.0.lock().unwrap();
        let newest = |sector: &Sector| sector.versions[sector.versions.len() - 1].clone();
        let present = inner.files.iter().filter(|(_, entry)| entry.present);
        present.map(|(name, entry)| (name.clone(), entry.file.sectors.iter().map(newest).collect())).collect()
    }

    /// Bytes of the files as the processes see them.
    pub fn used(&self) -> usize {
        let inner = self.0.lock().unwrap();
        inner.files.values().filter(|entry| entry.present).map(|entry| entry.file.size).sum()
    }

    /// How many files it had no room for.
    pub fn refused(&self) -> usize {
        self.0.lock().unwrap().refused
    }

    /// The names the processes see.
    fn names(&self) -> Vec<String> {
        let inner = self.0.lock().unwrap();
        inner.files.iter().filter(|(_, entry)| entry.present).map(|(name, _)| name.clone()).collect()
    }

    /// What may be on the disk if the power goes after so many operations: all of it if that is at most `most`
    /// states, else a sixteenth as many of them; and as many with torn sectors, of which the first ones are among the first.
    pub fn after_cut(&self, operations: usize, most: usize, random: &mut Random) -> Vec<Image> {
        let files = self.0.lock().unwrap().history[operations].clone();
        let (choices, few) = (choices(&files), most.div_ceil(16));
        let all = choices.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
        let whole = |sector: &Sector, chosen: usize| sector.versions[chosen].clone();
        let states: Vec<Image> = match all.filter(|all| *all <= most) {
            Some(all) => (0..all).map(|number| image(&files, &mut digits(number, &choices), whole)).collect(),
            None => (0..few).map(|i| image(&files, &mut sample(i, &choices, random), whole)).collect(),
        };
        let is_unsynced = files.values().any(|entry| entry.file.sectors.iter().any(|s| s.versions.len() > 1));
        let mut torn = (0..if is_unsynced { few } else { 0 }).map(|i| {
            let mut tears = Random(random.next());
            let torn = |sector: &Sector, chosen| sector.torn(chosen, &mut tears);
            image(&files, &mut sample(i, &choices, random), torn)
        });
        let mut mixed = Vec::new();
        for state in states {
            mixed.push(state);
            mixed.extend(torn.next());
        }
        mixed.extend(torn);
        mixed
    }

    /// Does an operation, as far as the plan lets it come.
    fn step(&self, change: impl FnOnce(&mut Files, Course)) -> Result<()> {
        let mut inner = self.0.lock().unwrap();
        let course = inner.plan.course(inner.history.len() - 1);
        if !course.dead || course.sixteenths > 0 {
            change(&mut inner.files, course);
        }
        let files = inner.files.clone();
        inner.history.push(files);
        course.error.map_or(Ok(()), |kind| Err(Error::new(kind, "the simulated disk fails")))
    }

    fn entry(&self, name: &str) -> Result<Entry> {
        let inner = self.0.lock().unwrap();
        let entry = inner.files.get(name).filter(|entry| entry.present).cloned();
        entry.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{name} is not there")))
    }
}

impl Disk for Simulated {
    fn place(&self) -> String {
        "simulated".into()
    }

    fn list(&mut self) -> Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<()> {
        let plan = self.0.lock().unwrap().plan;
        if matches!(plan, Plan::Room(room) if bytes > 0 && self.used() + bytes as usize > room) {
            self.0.lock().unwrap().refused += 1;
            return Err(Error::new(ErrorKind::NoSpace, "the simulated disk is full"));
        }
        self.step(|files, course| {
            if course.is_done() {
                let file = Arc::new(File { sized: false, ..File::of(&sectors(&vec![0; bytes as usize])) });
                let entry = Entry { file, present: true, may_be: true, may_lack: true, dirty: true };
                assert!(files.insert(name.to_owned(), entry).is_none(), "{name} was there before");
            }
        })
    }

    fn open(&mut self, name: &str) -> Result<u64> {
        Ok(self.entry(name)?.file.size as u64)
    }

    fn read_at(&mut self, name: &str, at: u64, buffer: &mut [u8]) -> Result<usize> {
        let content = self.entry(name)?.file.content();
        let rest = content.get(at as usize..).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        self.entry(name)?;
        self.step(|files, course| {
            let file = Arc::make_mut(&mut files.get_mut(name).unwrap().file);
            file.write(at as usize, &bytes[..bytes.len() * course.sixteenths / 16]);
        })
    }

    fn sync(&mut self, name: &str) -> Result<()> {
        self.entry(name)?;
        self.step(|files, course| {
            Arc::make_mut(&mut files.get_mut(name).unwrap().file).sync(course.is_done());
        })
    }

    fn sync_directory(&mut self) -> Result<()> {
        self.step(|files, course| {
            for entry in files.values_mut().filter(|entry| entry.dirty && !course.dead) {
                entry.dirty = false;
                if course.is_done() {
                    (entry.may_be, entry.may_lack) = (entry.present, !entry.present);
                }
            }
            files.retain(|_, entry| entry.may_be || entry.present);
        })
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        self.step(|files, course| {
            if let Some(entry) = files.get_mut(name).filter(|_| course.is_done()) {
                (entry.present, entry.may_lack, entry.dirty) = (false, true, true);
            }
        })
    }

    fn room(&self) -> u64 {
        let plan = self.0.lock().unwrap().plan;
        match plan {
            Plan::Room(room) => room.saturating_sub(self.used()) as u64,
            _ => u64::MAX,
        }
    }

    fn salt(&mut self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.operations(), self.names()).hash(&mut hasher);
        hasher.finish()
    }
}

/// How many ways each thing can be that the power cut decides on, in the order in which [`image`] asks.
fn choices(files: &Files) -> Vec<usize> {
    let mut choices = Vec::new();
    for entry in files.values() {
        choices.push(1 + usize::from(entry.may_be && entry.may_lack));
        choices.push(if entry.file.sized { 1 } else { 2 });
        choices.extend(entry.file.sectors.iter().map(|sector| sector.versions.len()));
    }
    choices
}

/// What is on the disk if things are as chosen: the larger a choice, the newer the state. `hold` tells what a sector does.
fn image(
    files: &Files,
    chosen: &mut dyn Iterator<Item = usize>,
    mut hold: impl FnMut(&Sector, usize) -> Arc<[u8]>,
) -> Image {
    let mut image = Image::new();
    for (name, entry) in files {
        let newest = chosen.next().unwrap() == 1 || !(entry.may_be && entry.may_lack);
        let there = if newest { entry.present && entry.may_be } else { !entry.present };
        let full = chosen.next().unwrap() == 1 || entry.file.sized;
        let mut content = Vec::new();
        for sector in &entry.file.sectors {
            content.push(hold(sector, chosen.next().unwrap()));
        }
        if there {
            image.insert(name.clone(), if full { content } else { Vec::new() });
        }
    }
    image
}

/// The choices number `number` stands for.
fn digits<'a>(mut number: usize, choices: &'a [usize]) -> impl Iterator<Item = usize> + use<'a> {
    choices.iter().map(move |n| {
        let digit = number % n;
        number /= n;
        digit
    })
}

/// Some choices: everything old, everything new, mostly the one or the other, or anything.
fn sample<'a>(
    i: usize,
    choices: &'a [usize],
    random: &'a mut Random,
) -> impl Iterator<Item = usize> + use<'a> {
    let odd = [0, 0, 1, 2, 8][if i < 2 { 0 } else { random.below(5) }];
    let mostly_new = i % 2 == 1;
    choices.iter().map(move |n| {
        if odd > 0 && random.below(8) < odd {
            random.below(*n)
        } else if mostly_new {
            n - 1
        } else {
            0
        }
    })
}

/// The seeds of the random scripts; `AXONIC_TEST_SEED` is one more, the first.
#[cfg(test)]
pub fn seeds(usual: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let own = std::env::var("AXONIC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    own.into_iter().chain(usual).collect()
}
